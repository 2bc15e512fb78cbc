/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo model pack: which engine, under which key, signed by whom; then ccz_bundle_save(). */
#include "key_file.h"
#include "kms_session.h"
#include "model.h"

#include <cczoo/bundle.h>
#include <cczoo/kms_use.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KEY_SIZE = 16, KEY_FILE_SIZE_MAX = 64 };

struct pack_opts {
    struct kms_reach reach;
    const char *name, *engine, *sign_key, *owner_key, *key, *key_file, *bind;
    int64_t version, min_version;
    bool minimum;
};

/* ------------------------------------------------------------------------------------- engine */

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

/* What lies there says what runs it, as far as that is beyond doubt. */
static ccz_rc detect(const char **engine, const char *dir, struct ccz_err *err)
{
    bool saved_model = false, onnx = false;
    DIR *d = opendir(dir);
    if (!d)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "model:folder", 0, "cannot list %.150s", dir);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        saved_model |= strcmp(e->d_name, "saved_model.pb") == 0;
        onnx |= ends_with(e->d_name, ".onnx");
    }
    closedir(d);
    if (saved_model == onnx)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_ARG, "model:engine",
                                   onnx ? "saved_model.pb and a .onnx file" : "neither",
                                   "saved_model.pb or a .onnx file"),
                        "say --engine NAME, and give the folder of one version of the model");
    *engine = saved_model ? "tensorflow" : "onnxruntime";
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- key */

/* The next version of a key that is only released. */
static ccz_rc put_released(uint32_t *version, struct kms_session *s, const struct pack_opts *o,
                           const char *name, const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_kms_put put = {.name = name, .alg = "aes-128", .policy = o->bind, .value = key};
    ccz_rc rc = ccz_kms_create_key(version, NULL, s->client, &put, err);
    if (rc != CCZ_E_EXISTS)
        return rc;
    put.new_version = true;
    put.policy = NULL; /* it keeps its binding */
    return ccz_kms_create_key(version, NULL, s->client, &put, err);
}

/* The next version of a key with a minimum; it is made to leave, and brought in wrapped, since who packs needs it once. */
static ccz_rc import(uint32_t *version, struct kms_session *s, const struct pack_opts *o,
                     const char *name, const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_kms_key_spec spec = {
        .name = name, .kind = "aes-128-gcm", .policy = o->bind, .exportable = true};
    ccz_rc rc = ccz_kms_key_import(version, NULL, s->client, &spec, false, key, err);
    if (rc != CCZ_E_EXISTS)
        return rc;
    spec = (struct ccz_kms_key_spec){.name = name, .kind = "aes-128-gcm"};
    return ccz_kms_key_import(version, NULL, s->client, &spec, true, key, err);
}

/* A fresh key for this bundle, stored as a new version before anything is written under it. */
static ccz_rc key_of_kms(struct ccz_secret **key, uint32_t *version, const struct pack_opts *o,
                         struct ccz_err *err)
{
    struct kms_session s;
    const char *name = o->key + strlen("key/");
    CCZ_AUTO(ccz_secret) made = NULL;
    ccz_rc rc = ccz_secret_new(&made, KEY_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(made), KEY_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "model:key", 0, "cannot make a key");
    rc = kms_session_begin(&s, &o->reach, err);
    if (rc == CCZ_OK)
        rc = o->minimum ? import(version, &s, o, name, made, err)
                        : put_released(version, &s, o, name, made, err);
    kms_session_end(&s);
    if (rc != CCZ_OK)
        return rc;
    ui_say("key %s version %u is in the KMS", o->key, *version);
    *key = ccz_secret_take(&made);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- pack */

static bool text_into(char *out, size_t size, const char *text)
{
    const int n = snprintf(out, size, "%s", text ? text : "");
    return n >= 0 && (size_t)n < size;
}

/* What the bundle is going to say of itself. */
static ccz_rc describe(struct ccz_bundle_manifest *m, const struct pack_opts *o, const char *in,
                       struct ccz_err *err)
{
    const char *engine = o->engine;
    ccz_rc rc = engine ? CCZ_OK : detect(&engine, in, err);
    if (rc != CCZ_OK)
        return rc;
    *m = (struct ccz_bundle_manifest){.version = o->version,
                                      .min_version = o->min_version,
                                      .key_version = o->key ? 1 : 0,
                                      .created_s = ccz_clock_now_s(ccz_clock_system())};
    if (!text_into(m->name, sizeof(m->name), o->name) ||
        !text_into(m->engine, sizeof(m->engine), engine) ||
        !text_into(m->key, sizeof(m->key), o->key))
        return ccz_fail(err, CCZ_E_ARG, "model:name", 0,
                        "the name of model, engine or key is too long");
    /* before the KMS makes a version for it: as if there was one file */
    m->files_len = 1;
    memcpy(m->file[0].path, "f", 2);
    return ccz_bundle_manifest_check(m, err);
}

static void tell(const char *dir, const struct ccz_bundle_manifest *m, const uint8_t sha256[32])
{
    char hex[65];
    ccz_hex(hex, sha256, 32);
    ui_out("packed %s: %s version %lld for %s, manifest %s\n", dir, m->name, (long long)m->version,
           m->engine, hex);
}

/* How older bundles are kept from coming back, once this one is where it should be. */
static void tell_next(const struct pack_opts *o, uint32_t version)
{
    if (!o->key || version < 2)
        return;
    if (o->minimum)
        ui_hint("when this version is served everywhere: cczoo kms key minimum %s --decrypt %u",
                o->key + strlen("key/"), version);
    else
        ui_hint("when this version is served everywhere: cczoo kms disable %s --version %u", o->key,
                version - 1);
}

static ccz_rc pack(const struct pack_opts *o, const char *in, const char *out, struct ccz_err *err)
{
    static struct ccz_bundle_manifest m; /* 80 KiB */
    uint8_t sha256[32];
    CCZ_AUTO(ccz_pkey) signer = NULL;
    CCZ_AUTO(ccz_pkey) owner = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    if (access(out, F_OK) == 0) /* the KMS would make a version for nothing */
        return ccz_fail(err, CCZ_E_EXISTS, "file:exists", 0, "%.150s exists already", out);
    ccz_rc rc = describe(&m, o, in, err);
    if (rc == CCZ_OK)
        rc = key_file_load_any(&signer, o->sign_key, err);
    if (rc == CCZ_OK && o->owner_key)
        rc = key_file_load_any(&owner, o->owner_key, err);
    if (rc == CCZ_OK)
        rc = o->key ? key_of_kms(&key, &m.key_version, o, err)
                    : ccz_file_read_secret(&key, o->key_file, KEY_FILE_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_bundle_write w = {.in_dir = in,
                                       .manifest = &m,
                                       .key = key,
                                       .signer = {.key = signer},
                                       .owner = {.key = owner},
                                       .on_file = model_on_file};
    rc = ccz_bundle_save(sha256, out, &w, err);
    if (rc != CCZ_OK)
        return rc;
    tell(out, &m, sha256);
    if (owner && !ccz_pkey_is_private(owner))
        ui_hint("the owner has not signed yet: cczoo model sign %s --owner-key FILE", out);
    tell_next(o, m.key_version);
    return CCZ_OK;
}

static bool check(const struct pack_opts *o, int operands)
{
    if (operands != 2 || !o->name || !o->sign_key || o->version < 1) {
        ui_error("expected a folder, a bundle to make, --name, --version from 1 and --sign-key");
        return false;
    }
    if (!o->key == !o->key_file) {
        ui_error("expected --key key/NAME of a KMS, or --key-file FILE");
        return false;
    }
    if (o->key && (strncmp(o->key, "key/", 4) != 0 || !o->reach.kms || !o->reach.policy)) {
        ui_error("--key key/NAME needs --kms, --policy and --admin-key");
        return false;
    }
    if (!o->key && (o->bind || o->minimum)) {
        ui_error("--bind and --minimum are for keys of a KMS");
        return false;
    }
    return true;
}

int model_pack(int argc, char **argv)
{
    struct pack_opts o = {.min_version = 1};
    const struct ui_opt opts[] = {
        UI_TEXT("name", &o.name, "NAME", "of the model"),
        {"version", NULL, &o.version, NULL, "N", "of the model, from 1"},
        {"min-version", NULL, &o.min_version, NULL, "N",
         "who has accepted this one accepts no older ones than that; default 1"},
        UI_TEXT("engine", &o.engine, "NAME",
                "default: tensorflow for saved_model.pb, onnxruntime for a .onnx file"),
        UI_TEXT("sign-key", &o.sign_key, "FILE", "private key of the signer (cczoo model keygen)"),
        UI_TEXT("owner-key", &o.owner_key, "FILE",
                "key of the owner, who signs as well: private, or public and he signs later"),
        UI_TEXT("key-file", &o.key_file, "FILE", "key of the bundle, 16 to 64 bytes, mode 0600"),
        UI_TEXT("key", &o.key, "key/NAME",
                "or: a new version of this key of a KMS, which is made if there is none"),
        UI_TEXT("bind", &o.bind, "POLICY", "with --key: policy of a key that is made"),
        {"minimum", NULL, NULL, &o.minimum, NULL,
         "with --key: a key with a minimum version (aes-128-gcm, exportable)"},
        KMS_REACH_OPTS(&o.reach),
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo model pack FOLDER BUNDLE --name NAME --version N --sign-key FILE "
                     "(--key-file FILE | --key key/NAME --kms ADDR ...)",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    if (!check(&o, n))
        return UI_USAGE;
    struct ccz_err err = {0};
    return pack(&o, argv[0], argv[1], &err) == CCZ_OK ? UI_OK : ui_fail(&err);
}
