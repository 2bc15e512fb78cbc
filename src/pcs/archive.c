/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of bundles as one signed file, and back. */
#define _DEFAULT_SOURCE
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE_FILE "MANIFEST.sig"
#define FORMAT         "cczoo-collateral-1"
enum { DAY = 86400, SPKI_SIZE_MAX = 128, SIGNATURE_SIZE = 64, FILE_SIZE_MAX = 1 << 20 };

ccz_rc ccz_pcs_signer(uint8_t signer[32], const struct ccz_key *key)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, SPKI_SIZE_MAX);
    memset(signer, 0, 32);
    ccz_rc rc = ccz_key_spki(&spki, key);
    return rc == CCZ_OK ? ccz_sha256(signer, ccz_buf_span(&spki)) : rc;
}

/* ----------------------------------------------------------------------------------- paths */

static bool is_hex(const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789abcdef", s[i]) || s[i] == 0)
            return false;
    return true;
}

static bool is_amd_name(const char *name)
{
    static const char *const names[] = {"snp-Milan-vcek", "snp-Genoa-vcek", "snp-Turin-vcek",
                                        "snp-Milan-vlek", "snp-Genoa-vlek", "snp-Turin-vlek"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* "ark.der", or "<chip>/<tcb>.vek.der", which is one name on disk but would not fit in a USTAR header. */
static bool amd_file(char file[CCZI_USTAR_PATH_MAX + 1], const char *path)
{
    enum { CHIP = 128, TCB = 16 };
    if (strcmp(path, "ark.der") == 0 || strcmp(path, "ask.der") == 0 ||
        strcmp(path, "crl.der") == 0) {
        (void)snprintf(file, CCZI_USTAR_PATH_MAX + 1, "%s", path);
        return true;
    }
    if (strlen(path) != CHIP + 1 + TCB + 8 || !is_hex(path, CHIP) || path[CHIP] != '/' ||
        !is_hex(path + CHIP + 1, TCB) || strcmp(path + CHIP + 1 + TCB, ".vek.der") != 0)
        return false;
    (void)snprintf(file, CCZI_USTAR_PATH_MAX + 1, "%s", path);
    file[CHIP] = '-';
    return true;
}

/* "<fmspc>-<tee>-<ca>" */
static bool is_bundle_name(const char *name)
{
    static const char *const tails[] = {"-sgx-platform", "-sgx-processor", "-tdx-platform",
                                        "-tdx-processor"};
    if (!is_hex(name, 12))
        return false;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
        if (strcmp(name + 12, tails[i]) == 0)
            return true;
    return false;
}

struct cczi_archive_path cczi_archive_path(const char *path)
{
    struct cczi_archive_path p = {.kind = CCZI_PATH_BAD};
    const char *slash = strchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    if (size == 0 || size > CCZ_PCS_NAME_MAX)
        return p;
    (void)snprintf(p.name, sizeof(p.name), "%.*s", (int)size, path);
    if (is_amd_name(p.name) && amd_file(p.file, slash + 1))
        p.kind = CCZI_PATH_AMD;
    for (int i = 0; i < CCZI_PARTS && is_bundle_name(p.name); i++) {
        if (strcmp(slash + 1, cczi_part_names[i]) != 0)
            continue;
        p.kind = CCZI_PATH_PART;
        p.part = i;
    }
    return p;
}

/* --------------------------------------------------------------------------------- writing */

struct packer {
    const struct ccz_pcs_export_cfg *cfg;
    struct ccz_buf files, bundles, members; /* JSON lists, and the archive's rest */
    int64_t expires_s;
};

static ccz_rc pack_file(struct packer *p, const char *path, struct ccz_span data,
                        struct ccz_err *err)
{
    uint8_t digest[32];
    char hex[65];
    ccz_rc rc = ccz_sha256(digest, data);
    if (rc == CCZ_OK)
        rc = cczi_ustar_put(&p->members, path, data);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "archive:path", 0, "%.120s cannot be packed", path);
    ccz_hex(hex, digest, sizeof(digest));
    ccz_buf_printf(&p->files, "%s\n{\"path\":\"%s\",\"size\":%zu,\"sha256\":\"%s\"}",
                   p->files.size ? "," : "", path, data.size, hex);
    return CCZ_OK;
}

static ccz_rc too_old(struct ccz_err *err, const char *name, int64_t until_s)
{
    char until[21];
    ccz_time_format(until, until_s);
    ccz_rc rc =
        ccz_fail(err, CCZ_E_EXPIRED, "archive:expired", 0, "%.60s expired at %s", name, until);
    return ccz_hint(err, rc, "fetch again, or remove what is not needed any more");
}

static ccz_rc pack_bundle(struct packer *p, const struct ccz_pcs_entry *e, struct ccz_err *err)
{
    struct ccz_buf parts[CCZI_PARTS];
    CCZ_AUTO(ccz_collateral) c = NULL;
    char dir[CCZI_PCS_PATH_SIZE], name[CCZ_PCS_NAME_MAX + 1];
    cczi_parts_init(parts);
    ccz_rc rc = cczi_path(dir, p->cfg->dir, e->name, err);
    if (rc == CCZ_OK)
        rc = cczi_parts_read(parts, dir, err);
    if (rc == CCZ_OK)
        rc = cczi_parts_open(&c, parts, p->cfg->roots, err); /* it may have been replaced since */
    const struct ccz_pcs_want want = cczi_want_of(rc == CCZ_OK ? c : e->collateral);
    if (rc == CCZ_OK)
        rc = cczi_want_name(name, &want, err);
    if (rc == CCZ_OK && ccz_collateral_expires(c) < p->cfg->now_s)
        rc = too_old(err, name, ccz_collateral_expires(c));
    for (int i = 0; i < CCZI_PARTS && rc == CCZ_OK; i++) {
        char path[CCZI_USTAR_PATH_MAX + 1];
        (void)snprintf(path, sizeof(path), "%s/%s", name, cczi_part_names[i]);
        if (parts[i].size > 0)
            rc = pack_file(p, path, ccz_buf_span(&parts[i]), err);
    }
    if (rc == CCZ_OK) {
        if (ccz_collateral_expires(c) < p->expires_s)
            p->expires_s = ccz_collateral_expires(c);
        ccz_buf_put_str(&p->bundles, p->bundles.size ? ",\n" : "\n");
        cczi_report_one(&p->bundles, name, c, p->cfg->now_s);
    }
    cczi_parts_free(parts);
    return rc;
}

static int is_file(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* Path in the archive of a file in an AMD directory; "" for others. */
static void amd_path(char path[CCZI_USTAR_PATH_MAX + 1], const char *name, const char *file)
{
    int n = snprintf(path, CCZI_USTAR_PATH_MAX + 1, "%s/%s", name, file);
    if (n > 0 && n <= CCZI_USTAR_PATH_MAX && strstr(file, ".vek.der")) {
        char *cut = strchr(path + strlen(name), '-');
        if (cut)
            *cut = '/';
    }
    if (n <= 0 || n > CCZI_USTAR_PATH_MAX || cczi_archive_path(path).kind != CCZI_PATH_AMD)
        path[0] = 0;
}

static ccz_rc read_amd(struct ccz_buf *out, const char *dir, const char *file, struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    ccz_buf_init(out, FILE_SIZE_MAX);
    ccz_rc rc = cczi_path(path, dir, file, err);
    return rc == CCZ_OK ? ccz_file_read(out, path, err) : rc;
}

/* The end of AMD's chain and revocation list counts like a bundle's. */
static ccz_rc check_amd(struct packer *p, const char *dir, const char *name, struct ccz_err *err)
{
    char product[8] = "";
    struct ccz_buf ark, ask, crl;
    int64_t until_s = 0;
    (void)snprintf(product, sizeof(product), "%.5s", name + strlen("snp-"));
    const struct ccz_pcs_want_amd any = {.product = product, .vlek = strstr(name, "-vlek") != NULL};
    ccz_buf_init(&ask, 0);
    ccz_buf_init(&crl, 0);
    ccz_rc rc = read_amd(&ark, dir, "ark.der", err);
    if (rc == CCZ_OK)
        rc = read_amd(&ask, dir, "ask.der", err);
    if (rc == CCZ_OK)
        rc = read_amd(&crl, dir, "crl.der", err);
    const struct cczi_amd_parts parts = {
        ccz_buf_span(&ark), ccz_buf_span(&ask), ccz_buf_span(&crl), {NULL, 0}};
    if (rc == CCZ_OK)
        rc = cczi_amd_check(&until_s, &parts, &any, p->cfg->snp_roots, err);
    if (rc == CCZ_OK && until_s < p->cfg->now_s)
        rc = too_old(err, name, until_s);
    if (rc == CCZ_OK && until_s < p->expires_s)
        p->expires_s = until_s;
    ccz_buf_free(&ark);
    ccz_buf_free(&ask);
    ccz_buf_free(&crl);
    return rc;
}

static ccz_rc pack_amd(struct packer *p, const char *name, struct ccz_err *err)
{
    char dir[CCZI_PCS_PATH_SIZE], file[CCZI_PCS_PATH_SIZE];
    struct dirent **list = NULL;
    ccz_rc rc = cczi_path(dir, p->cfg->dir, name, err);
    if (rc == CCZ_OK)
        rc = check_amd(p, dir, name, err);
    int len = rc == CCZ_OK ? scandir(dir, &list, is_file, alphasort) : 0;
    for (int i = 0; i < len; i++) {
        char path[CCZI_USTAR_PATH_MAX + 1];
        CCZ_AUTO_BUF data;
        ccz_buf_init(&data, FILE_SIZE_MAX);
        amd_path(path, name, list[i]->d_name);
        if (rc == CCZ_OK && path[0])
            rc = cczi_path(file, dir, list[i]->d_name, err);
        if (rc == CCZ_OK && path[0])
            rc = ccz_file_read(&data, file, err);
        if (rc == CCZ_OK && path[0])
            rc = pack_file(p, path, ccz_buf_span(&data), err);
        free(list[i]);
    }
    free(list);
    return rc;
}

static int is_amd_dir(const struct dirent *e)
{
    return is_amd_name(e->d_name);
}

struct ordered {
    char name[CCZ_PCS_NAME_MAX + 1];
    struct ccz_pcs_entry entry;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ordered *)a)->name, ((const struct ordered *)b)->name);
}

/* In the order of their names in the archive, whatever they are called on disk. */
static ccz_rc pack_set(struct packer *p, const struct ccz_pcs *set, struct ccz_err *err)
{
    size_t len = ccz_pcs_len(set);
    struct ordered *list = calloc(len + 1, sizeof(*list));
    ccz_rc rc = list ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "pcs:memory", 0, "out of memory");
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        list[i].entry = ccz_pcs_at(set, i);
        const struct ccz_pcs_want want = cczi_want_of(list[i].entry.collateral);
        rc = cczi_want_name(list[i].name, &want, err);
    }
    if (rc == CCZ_OK)
        qsort(list, len, sizeof(*list), by_name);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = pack_bundle(p, &list[i].entry, err);
    free(list);
    return rc;
}

static ccz_rc pack_all(struct packer *p, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pcs) set = NULL;
    struct dirent **list = NULL;
    struct ccz_err why = {0};
    int len = scandir(p->cfg->dir, &list, is_amd_dir, alphasort);
    ccz_rc rc = ccz_pcs_load(&set, p->cfg->dir, p->cfg->roots, &why);
    if (rc == CCZ_E_NOT_FOUND && len > 0)
        rc = CCZ_OK; /* AMD only */
    if (rc != CCZ_OK && err)
        *err = why;
    if (rc == CCZ_OK)
        rc = pack_set(p, set, err);
    for (int i = 0; i < len; i++) {
        if (rc == CCZ_OK)
            rc = pack_amd(p, list[i]->d_name, err);
        free(list[i]);
    }
    free(list);
    return rc;
}

static ccz_rc put_manifest(struct ccz_buf *out, const struct packer *p, struct ccz_err *err)
{
    char created[21], expires[21], hex[2 * SPKI_SIZE_MAX + 1];
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, SPKI_SIZE_MAX);
    ccz_rc rc = ccz_key_spki(&spki, p->cfg->key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "archive:config", 0, "the signing key cannot be written");
    ccz_hex(hex, spki.ptr, spki.size);
    ccz_time_format(created, p->cfg->now_s);
    ccz_time_format(expires, p->expires_s);
    ccz_buf_printf(
        out,
        "{\"format\":\"" FORMAT
        "\",\n\"created\":\"%s\",\n\"expires\":\"%s\",\n\"signer\":\"%s\",\n\"bundles\":[",
        created, expires, hex);
    ccz_buf_put_span(out, ccz_buf_span(&p->bundles));
    ccz_buf_put_str(out, "],\n\"files\":[");
    ccz_buf_put_span(out, ccz_buf_span(&p->files));
    ccz_buf_put_str(out, "]}\n");
    return CCZ_OK;
}

static ccz_rc pack(struct ccz_buf *out, struct packer *p, struct ccz_err *err)
{
    uint8_t signature[SIGNATURE_SIZE];
    CCZ_AUTO_BUF manifest;
    ccz_buf_init(&manifest, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_rc rc = pack_all(p, err);
    if (rc == CCZ_OK)
        rc = put_manifest(&manifest, p, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_span text = ccz_buf_span(&manifest);
    rc = ccz_ecdsa_sign(signature, p->cfg->key, &text, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "archive:config", 0, "the key cannot sign");
    if (cczi_ustar_put(out, CCZI_MANIFEST_FILE, text) != CCZ_OK ||
        cczi_ustar_put(out, SIGNATURE_FILE, CCZ_SPAN(signature, sizeof(signature))) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "archive:path", 0, "the manifest cannot be packed");
    ccz_buf_put_span(out, ccz_buf_span(&p->members));
    cczi_ustar_end(out);
    if (out->bad || p->members.bad || p->files.bad || p->bundles.bad || manifest.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "archive:size", 0, "the archive is too large");
    return CCZ_OK;
}

ccz_rc ccz_pcs_export(struct ccz_buf *out, const struct ccz_pcs_export_cfg *cfg,
                      struct ccz_err *err)
{
    if (!cfg->dir || !cfg->roots || !cfg->key || cfg->now_s == 0 ||
        ccz_key_curve(cfg->key) != CCZ_P256)
        return ccz_fail(err, CCZ_E_ARG, "archive:config", 0,
                        "directory, roots, time or P-256 key are missing");
    struct packer p = {.cfg = cfg, .expires_s = INT64_MAX};
    ccz_buf_init(&p.files, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_buf_init(&p.bundles, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_buf_init(&p.members, CCZ_PCS_ARCHIVE_SIZE_MAX);
    ccz_rc rc = pack(out, &p, err);
    ccz_buf_free(&p.files);
    ccz_buf_free(&p.bundles);
    ccz_buf_free(&p.members);
    if (rc != CCZ_OK)
        ccz_buf_clear(out);
    return rc;
}

/* --------------------------------------------------------------------------------- reading */

static ccz_rc fail_manifest(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "archive:manifest", 0, "%s", what);
}

static bool read_time(int64_t *out, const struct ccz_json *json, const char *key)
{
    struct ccz_span v = ccz_json_bytes(ccz_json_get(json, key));
    return ccz_time_parse(out, (const char *)v.ptr, v.size) == CCZ_OK;
}

/* The signature, by the key that the manifest names. */
static ccz_rc check_signature(struct cczi_archive *a, const struct ccz_json *json,
                              struct ccz_span signature, struct ccz_err *err)
{
    uint8_t spki[SPKI_SIZE_MAX];
    CCZ_AUTO(ccz_key) key = NULL;
    struct ccz_span hex = ccz_json_bytes(ccz_json_get(json, "signer"));
    size_t size = hex.size / 2;
    if (size == 0 || size > sizeof(spki) ||
        ccz_unhex(spki, size, (const char *)hex.ptr, hex.size) != CCZ_OK ||
        ccz_key_from_spki(&key, CCZ_SPAN(spki, size), NULL) != CCZ_OK ||
        ccz_key_curve(key) != CCZ_P256)
        return fail_manifest(err, "the signer is no P-256 key");
    if (ccz_ecdsa_verify(key, signature.ptr, signature.size, &a->manifest, 1) != CCZ_OK)
        return ccz_fail(err, CCZ_E_SIG, "archive:signature", 0,
                        "the signature over the manifest does not verify");
    return ccz_sha256(a->signer, CCZ_SPAN(spki, size));
}

/* The members are exactly the files of the manifest, in its order. */
static ccz_rc check_files(const struct cczi_archive *a, const struct ccz_json *json,
                          struct ccz_err *err)
{
    const struct ccz_json *list = ccz_json_get(json, "files");
    struct ccz_span left = a->files;
    struct cczi_member m;
    size_t i = 0;
    ccz_rc rc;
    for (; (rc = cczi_ustar_next(&m, &left, err)) == CCZ_OK; i++) {
        const struct ccz_json *f = ccz_json_at(list, i);
        const char *path = ccz_json_str(ccz_json_get(f, "path"));
        struct ccz_span hex = ccz_json_bytes(ccz_json_get(f, "sha256"));
        uint8_t want[32], got[32];
        int64_t size = -1;
        if (cczi_archive_path(m.path).kind == CCZI_PATH_BAD)
            return ccz_fail(err, CCZ_E_FORMAT, "archive:path", (int64_t)i,
                            "member %zu is none that an archive may have", i);
        rc = ccz_sha256(got, m.data);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "archive:file", (int64_t)i, "hash failed");
        if (!path || strcmp(path, m.path) != 0 || !ccz_json_int(&size, ccz_json_get(f, "size")) ||
            (uint64_t)size != m.data.size ||
            ccz_unhex(want, sizeof(want), (const char *)hex.ptr, hex.size) != CCZ_OK ||
            !ccz_ct_eq(want, got, sizeof(want)))
            return ccz_fail(err, CCZ_E_FORMAT, "archive:file", (int64_t)i,
                            "%.120s is not what the manifest says", m.path);
    }
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    if (i != ccz_json_len(list))
        return ccz_refuse_num(err, CCZ_E_FORMAT, "archive:file", (int64_t)i,
                              (int64_t)ccz_json_len(list));
    return CCZ_OK;
}

ccz_rc cczi_archive_open(struct cczi_archive *out, struct ccz_span archive, struct ccz_err *err)
{
    struct cczi_member manifest, signature;
    struct cczi_archive a = {0};
    CCZ_AUTO(ccz_json) json = NULL;
    *out = a;
    if (archive.size > CCZ_PCS_ARCHIVE_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "archive:size", (int64_t)archive.size,
                              (int64_t)CCZ_PCS_ARCHIVE_SIZE_MAX);
    struct ccz_span left = archive;
    ccz_rc rc = cczi_ustar_next(&manifest, &left, err);
    if (rc == CCZ_OK)
        rc = cczi_ustar_next(&signature, &left, err);
    if (rc == CCZ_E_NOT_FOUND || (rc == CCZ_OK && (strcmp(manifest.path, CCZI_MANIFEST_FILE) != 0 ||
                                                   strcmp(signature.path, SIGNATURE_FILE) != 0)))
        return fail_manifest(err, "the archive does not begin with manifest and signature");
    if (rc != CCZ_OK)
        return rc;
    a.manifest = manifest.data;
    a.files = left;
    if (ccz_json_parse(&json, a.manifest, NULL) != CCZ_OK)
        return fail_manifest(err, "the manifest is no JSON");
    rc = check_signature(&a, json, signature.data, err);
    if (rc != CCZ_OK)
        return rc;
    const char *format = ccz_json_str(ccz_json_get(json, "format"));
    if (!format || strcmp(format, FORMAT) != 0 || !read_time(&a.created_s, json, "created") ||
        !read_time(&a.expires_s, json, "expires"))
        return fail_manifest(err, "format, creation date or expiry are missing or unknown");
    rc = check_files(&a, json, err);
    if (rc == CCZ_OK)
        *out = a;
    return rc;
}

ccz_rc ccz_pcs_archive_inspect(struct ccz_buf *out, uint8_t signer[32], struct ccz_span archive,
                               struct ccz_err *err)
{
    struct cczi_archive a;
    memset(signer, 0, 32);
    ccz_rc rc = cczi_archive_open(&a, archive, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(signer, a.signer, sizeof(a.signer));
    ccz_buf_put_span(out, a.manifest);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- importing */

static ccz_rc check_archive(const struct cczi_archive *a, const struct ccz_pcs_import_cfg *cfg,
                            struct ccz_err *err)
{
    char text[21];
    if (!ccz_ct_eq(a->signer, cfg->signer, sizeof(a->signer))) {
        ccz_rc rc = ccz_refuse_bytes(err, CCZ_E_UNTRUSTED, "archive:signer", a->signer,
                                     sizeof(a->signer), cfg->signer, sizeof(cfg->signer));
        return ccz_hint(err, rc, "name the signer only if you know the key is the right one");
    }
    ccz_time_format(text, a->created_s);
    if (a->created_s > cfg->now_s + DAY)
        return ccz_refuse(err, CCZ_E_EXPIRED, "archive:not-yet-valid", text, "a date in the past");
    ccz_time_format(text, a->expires_s);
    if (a->expires_s < cfg->now_s)
        return ccz_refuse(err, CCZ_E_EXPIRED, "archive:expired", text, "a date in the future");
    return CCZ_OK;
}

/* Files of one bundle follow each other. */
static ccz_rc take_bundle(struct cczi_install *in, struct ccz_buf parts[CCZI_PARTS],
                          const char *name, struct ccz_err *err)
{
    ccz_rc rc = name[0] ? cczi_install_add(in, parts, name, err) : CCZ_OK;
    cczi_parts_free(parts);
    return rc;
}

static ccz_rc take_files(struct cczi_install *in, struct ccz_span left, struct ccz_err *err)
{
    struct ccz_buf parts[CCZI_PARTS];
    char name[CCZ_PCS_NAME_MAX + 1] = "";
    struct cczi_member m;
    ccz_rc rc;
    cczi_parts_init(parts);
    while ((rc = cczi_ustar_next(&m, &left, err)) == CCZ_OK) {
        struct cczi_archive_path p = cczi_archive_path(m.path);
        if (p.kind == CCZI_PATH_AMD) {
            rc = cczi_install_add_amd(in, p.name, p.file, m.data, err);
        } else {
            if (strcmp(p.name, name) != 0)
                rc = take_bundle(in, parts, name, err);
            (void)snprintf(name, sizeof(name), "%s", p.name);
            if (rc == CCZ_OK && parts[p.part].size > 0) /* what is appended could still verify */
                rc = ccz_fail(err, CCZ_E_EXISTS, "pcs:duplicate", 0, "%.100s twice", m.path);
            ccz_buf_put_span(&parts[p.part], m.data);
            if (rc == CCZ_OK && parts[p.part].bad)
                rc = ccz_fail(err, CCZ_E_LIMIT, "archive:size", 0, "%.120s is too large", m.path);
        }
        if (rc != CCZ_OK)
            break;
    }
    if (rc == CCZ_E_NOT_FOUND)
        rc = take_bundle(in, parts, name, err);
    cczi_parts_free(parts);
    return rc;
}

ccz_rc ccz_pcs_import(const struct ccz_pcs_import_cfg *cfg, struct ccz_span archive,
                      struct ccz_err *err)
{
    struct cczi_archive a;
    struct cczi_install in;
    ccz_rc rc = cczi_install_init(&in, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_archive_open(&a, archive, err);
    if (rc == CCZ_OK)
        rc = check_archive(&a, cfg, err);
    if (rc == CCZ_OK) {
        in.manifest = a.manifest;
        rc = take_files(&in, a.files, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_install_commit(&in, err);
    cczi_install_deinit(&in);
    return rc;
}
