/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo model ...: bundles of models (bundle.h). */
#include "cli.h"
#include "key_file.h"
#include "model.h"

#include <cczoo/bundle.h>

#include <stdio.h>
#include <string.h>

enum { SIGNERS_MAX = 8, KEY_FILE_SIZE_MAX = 64, PATH_SIZE = 4096 };

void model_on_file(void *arg, const char *path, uint64_t size)
{
    (void)arg;
    ui_say("%s (%llu bytes)", path, (unsigned long long)size);
}

/* ------------------------------------------------------------------------------------- keygen */

static ccz_rc key_id(char hex[65], const struct ccz_pkey *key, struct ccz_err *err)
{
    uint8_t id[32];
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_rc rc = ccz_pkey_spki(&spki, key);
    if (rc == CCZ_OK)
        rc = ccz_sha256(id, ccz_buf_span(&spki));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "model:key", 0, "cannot encode a public key");
    ccz_hex(hex, id, sizeof(id));
    return CCZ_OK;
}

static int model_keygen(int argc, char **argv)
{
    bool ed25519 = false;
    const struct ui_opt opts[] = {
        {"ed25519", NULL, NULL, &ed25519, NULL, "Ed25519 instead of ECDSA P-256"}, {0}};
    int n = ui_parse(argc, argv, "cczoo model keygen FILE [--ed25519]", opts);
    if (n < 0)
        return ui_parse_status(n);
    char public_path[PATH_SIZE], hex[65];
    if (n != 1 ||
        snprintf(public_path, sizeof(public_path), "%s.pub", argv[0]) >= (int)sizeof(public_path)) {
        ui_error("expected one file name");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pkey) key = NULL;
    ccz_rc rc = ccz_pkey_generate(&key, ed25519 ? CCZ_PKEY_ED25519 : CCZ_PKEY_P256, &err);
    if (rc == CCZ_OK)
        rc = key_id(hex, key, &err);
    if (rc == CCZ_OK)
        rc = key_file_save_pair(key, argv[0], public_path, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    ui_out("%s %s\n", hex, public_path);
    ui_say("%s signs bundles, %s verifies them; a key that encrypts one: cczoo pf keygen", argv[0],
           public_path);
    return UI_OK;
}

/* ------------------------------------------------------------------------------------ inspect */

static void put_manifest(const struct ccz_bundle_manifest *m)
{
    char hex[65], at[21];
    uint64_t total = 0;
    static const uint8_t none[32];
    for (size_t i = 0; i < m->files_len; i++)
        total += m->file[i].size;
    ccz_time_format(at, m->created_s);
    ui_out(
        "name         %s\nversion      %lld\nmin version  %lld\nengine       %s\ncreated      %s\n",
        m->name, (long long)m->version, (long long)m->min_version, m->engine, at);
    if (m->key[0])
        ui_out("key          %s version %u\n", m->key, m->key_version);
    else
        ui_out("key          in no KMS\n");
    ccz_hex(hex, m->signer, sizeof(m->signer));
    ui_out("signer       %s\n", hex);
    ccz_hex(hex, m->owner, sizeof(m->owner));
    ui_out("owner        %s\n", memcmp(m->owner, none, sizeof(none)) == 0 ? "none" : hex);
    ccz_hex(hex, m->id, sizeof(m->id));
    ui_out("id           %s\n", hex);
    ccz_hex(hex, m->sha256, sizeof(m->sha256));
    ui_out("manifest     %s\nfiles        %zu, %llu bytes\n", hex, m->files_len,
           (unsigned long long)total);
    for (size_t i = 0; i < m->files_len; i++) {
        ccz_hex(hex, m->file[i].sha256, sizeof(m->file[i].sha256));
        ui_out("  %s %12llu %s\n", hex, (unsigned long long)m->file[i].size, m->file[i].path);
    }
}

static int model_inspect(int argc, char **argv)
{
    bool json = false;
    const struct ui_opt opts[] = {
        {"json", NULL, NULL, &json, NULL, "the manifest as it is, in one line"}, {0}};
    int n = ui_parse(argc, argv, "cczoo model inspect BUNDLE [--json]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one bundle");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_bundle) b = NULL;
    ccz_rc rc =
        ccz_bundle_open(&b, argv[0], &(struct ccz_bundle_cfg){.any_signer_insecure = true}, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    if (json) {
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
        ccz_bundle_manifest_put(&text, ccz_bundle_manifest(b));
        ui_out("%s\n", ccz_buf_str(&text));
    } else {
        put_manifest(ccz_bundle_manifest(b));
    }
    ui_say("signatures were not looked at: cczoo model verify");
    return UI_OK;
}

/* ------------------------------------------------------------------------------------- verify */

struct verify_opts {
    const char *signer, *owner, *name, *key_file;
    int64_t version, min_version;
};

/* "A,B": public keys. */
struct trusted {
    struct ccz_pkey *key[SIGNERS_MAX];
    size_t len;
};

static ccz_rc load_trusted(struct trusted *t, const char *files, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (const char *p = files; rc == CCZ_OK && *p;) {
        char path[PATH_SIZE];
        const size_t n = strcspn(p, ",");
        if (n >= sizeof(path) || t->len == SIGNERS_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "model:signer", (int64_t)t->len,
                            "at most %d signers, and names of at most %d bytes", SIGNERS_MAX,
                            PATH_SIZE - 1);
        memcpy(path, p, n);
        path[n] = 0;
        rc = key_file_load_any(&t->key[t->len], path, err);
        t->len += rc == CCZ_OK;
        p += n + (p[n] == ',');
    }
    return rc;
}

static ccz_rc verify(const struct verify_opts *o, const struct trusted *t, const char *dir,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_pkey) owner = NULL;
    CCZ_AUTO(ccz_bundle) b = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = o->owner ? key_file_load_any(&owner, o->owner, err) : CCZ_OK;
    const struct ccz_bundle_cfg cfg = {.signers = (const struct ccz_pkey *const *)t->key,
                                       .signers_len = t->len,
                                       .owner = owner,
                                       .name = o->name,
                                       .version = o->version,
                                       .version_min = o->min_version};
    if (rc == CCZ_OK)
        rc = ccz_bundle_open(&b, dir, &cfg, err);
    if (rc == CCZ_OK && o->key_file)
        rc = ccz_file_read_secret(&key, o->key_file, KEY_FILE_SIZE_MAX, err);
    if (rc == CCZ_OK && key)
        rc = ccz_bundle_unlock(b, key, err);
    if (rc == CCZ_OK)
        rc = ccz_bundle_verify(b, model_on_file, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(b);
    ui_out("verified %s version %lld: signature%s, %zu protected files%s\n", m->name,
           (long long)m->version, o->owner ? "s of signer and owner" : " of the signer",
           m->files_len, key ? " and what is in them" : "");
    return CCZ_OK;
}

static int model_verify(int argc, char **argv)
{
    struct verify_opts o = {0};
    const struct ui_opt opts[] = {
        UI_TEXT("signer", &o.signer, "FILE,FILE", "public keys, one of which must have signed"),
        UI_TEXT("owner", &o.owner, "FILE", "public key that must have signed as well"),
        UI_TEXT("name", &o.name, "NAME", "what the model must be called"),
        {"version", NULL, &o.version, NULL, "N", "its version"},
        {"min-version", NULL, &o.min_version, NULL, "N", "refuse older ones"},
        UI_TEXT("key-file", &o.key_file, "FILE", "key of the bundle: checks the plaintext, too"),
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo model verify BUNDLE --signer FILE [--key-file FILE]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1 || !o.signer || o.version < 0 || o.min_version < 0) {
        ui_error("expected one bundle and --signer FILE");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    struct trusted t = {0};
    ccz_rc rc = load_trusted(&t, o.signer, &err);
    if (rc == CCZ_OK)
        rc = verify(&o, &t, argv[0], &err);
    for (size_t i = 0; i < t.len; i++)
        ccz_pkey_free(t.key[i]);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* --------------------------------------------------------------------------------------- sign */

static int model_sign(int argc, char **argv)
{
    const char *file = NULL;
    const struct ui_opt opts[] = {
        UI_TEXT("owner-key", &file, "FILE", "private key of the owner whom the manifest names"),
        {0}};
    int n = ui_parse(argc, argv, "cczoo model sign BUNDLE --owner-key FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1 || !file) {
        ui_error("expected one bundle and --owner-key FILE");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pkey) owner = NULL;
    ccz_rc rc = key_file_load_any(&owner, file, &err);
    if (rc == CCZ_OK)
        rc = ccz_bundle_countersign(argv[0], &(struct ccz_bundle_signer){.key = owner}, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_model(int argc, char **argv)
{
    static const struct ui_verb verbs[] = {
        {"keygen", "FILE", "a key pair that signs bundles: FILE and FILE.pub", model_keygen},
        {"pack", "IN OUT", "encrypt and sign the files of a model", model_pack},
        {"sign", "BUNDLE", "sign a bundle as the owner of the model", model_sign},
        {"inspect", "BUNDLE", "what a bundle says of itself; needs no key", model_inspect},
        {"verify", "BUNDLE", "check signatures and every byte", model_verify},
    };
    return ui_verbs("model", verbs, sizeof(verbs) / sizeof(verbs[0]), argc, argv);
}
