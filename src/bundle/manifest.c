/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest: canonical JSON, and one text for each meaning. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <string.h>

enum { JSON_NUMBER_BITS = 53 };

static const char name_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

/* -------------------------------------------------------------------------------- values */

static bool name_ok(const char *name, size_t size)
{
    const size_t n = strnlen(name, size);
    return n > 0 && n < size && name[0] != '.' && strspn(name, name_chars) == n;
}

/* "key/NAME" by the rule of kms.h, or "". */
static bool key_ok(const char *key)
{
    const size_t n = strnlen(key, CCZ_BUNDLE_KEY_ITEM_SIZE);
    if (n == 0)
        return true;
    if (n >= CCZ_BUNDLE_KEY_ITEM_SIZE || strncmp(key, "key/", 4) != 0)
        return false;
    for (const char *p = key + 4;; p++) {
        const size_t part = strspn(p, name_chars);
        if (part == 0 || p[0] == '.')
            return false;
        p += part;
        if (*p != '/')
            return *p == 0;
    }
}

bool cczi_bundle_path_ok(const char *path)
{
    const size_t n = strnlen(path, CCZ_BUNDLE_PATH_SIZE);
    if (n == 0 || n == CCZ_BUNDLE_PATH_SIZE)
        return false;
    for (size_t i = 0; i < n; i++) /* nothing that JSON escapes, so that a path has one spelling */
        if (path[i] < ' ' || path[i] > '~' || path[i] == '"' || path[i] == '\\')
            return false;
    for (const char *p = path;; p++) {
        const size_t part = strcspn(p, "/");
        if (part == 0 || (part == 1 && p[0] == '.') || (part == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += part;
        if (*p == 0)
            return true;
    }
}

static ccz_rc wrong(struct ccz_err *err, const char *member, const char *expected)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "bundle:member", member, expected);
}

ccz_rc ccz_bundle_manifest_check(const struct ccz_bundle_manifest *m, struct ccz_err *err)
{
    if (!name_ok(m->name, sizeof(m->name)))
        return wrong(err, "name", "1 to 128 of A-Z a-z 0-9 . _ -, no . in front");
    if (!name_ok(m->engine, sizeof(m->engine)))
        return wrong(err, "engine", "1 to 31 of A-Z a-z 0-9 . _ -, no . in front");
    if (m->version < 1 || m->version > CCZ_BUNDLE_VERSION_MAX)
        return wrong(err, "version", "1 to 2^53 - 1");
    if (m->min_version < 1 || m->min_version > m->version)
        return wrong(err, "min_version", "1 to version");
    if (!key_ok(m->key))
        return wrong(err, "key", "key/NAME of a KMS, or nothing");
    if (!m->key[0] != !m->key_version)
        return wrong(err, "key_version", "from 1 with a key of a KMS, 0 without");
    if (m->created_s < 0 || m->created_s > 253402300799)
        return wrong(err, "created", "a time of the years 1970 to 9999");
    if (m->files_len < 1 || m->files_len > CCZ_BUNDLE_FILES_MAX)
        return wrong(err, "files", "1 to 256 files");
    for (size_t i = 0; i < m->files_len; i++) {
        const struct ccz_bundle_file *f = &m->file[i];
        if (!cczi_bundle_path_ok(f->path))
            return wrong(err, "path", "a relative path of at most 255 printable characters");
        if (i > 0 && strcmp(m->file[i - 1].path, f->path) >= 0)
            return wrong(err, "files", "each file once, by path");
        if (f->size >> JSON_NUMBER_BITS)
            return wrong(err, "size", "below 2^53");
    }
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- writing */

static void put_hex(struct ccz_buf *out, const char *key, const uint8_t *bytes, size_t size)
{
    char hex[65];
    ccz_hex(hex, bytes, size);
    ccz_buf_printf(out, "\"%s\":\"%s\",", key, hex);
}

static bool is_zero(const uint8_t id[32])
{
    static const uint8_t zero[32];
    return memcmp(id, zero, sizeof(zero)) == 0;
}

void ccz_bundle_manifest_put(struct ccz_buf *out, const struct ccz_bundle_manifest *m)
{
    char at[21];
    ccz_time_format(at, m->created_s);
    ccz_buf_printf(out, "{\"created\":\"%s\",\"engine\":\"%s\",\"files\":[", at, m->engine);
    for (size_t i = 0; i < m->files_len; i++) {
        const struct ccz_bundle_file *f = &m->file[i];
        ccz_buf_put_str(out, i ? ",{" : "{");
        put_hex(out, "digest", f->digest, sizeof(f->digest));
        ccz_buf_printf(out, "\"path\":\"%s\",", f->path);
        put_hex(out, "sha256", f->sha256, sizeof(f->sha256));
        ccz_buf_printf(out, "\"size\":%" PRIu64 "}", f->size);
    }
    ccz_buf_printf(out, "],\"format\":\"%s\",", CCZ_BUNDLE_FORMAT);
    put_hex(out, "id", m->id, sizeof(m->id));
    ccz_buf_printf(out, "\"key\":\"%s\",", m->key);
    put_hex(out, "key_check", m->key_check, sizeof(m->key_check));
    ccz_buf_printf(out, "\"key_version\":%" PRIu32 ",\"min_version\":%" PRId64 ",\"name\":\"%s\",",
                   m->key_version, m->min_version, m->name);
    if (is_zero(m->owner))
        ccz_buf_put_str(out, "\"owner\":\"\",");
    else
        put_hex(out, "owner", m->owner, sizeof(m->owner));
    put_hex(out, "signer", m->signer, sizeof(m->signer));
    ccz_buf_printf(out, "\"version\":%" PRId64 "}", m->version);
}

/* -------------------------------------------------------------------------------- reading */

/* Reads everything; the first member that is wrong is named. */
struct members {
    const struct ccz_json *in;
    const char *wrong;
};

static void is_wrong(struct members *p, const char *key)
{
    if (!p->wrong)
        p->wrong = key;
}

static void text(struct members *p, char *out, size_t size, const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(p->in, key));
    if (!s || strlen(s) >= size) {
        is_wrong(p, key);
        return;
    }
    memcpy(out, s, strlen(s) + 1);
}

static int64_t number(struct members *p, const char *key, int64_t max)
{
    int64_t n;
    if (ccz_json_int(&n, ccz_json_get(p->in, key)) && n >= 0 && n <= max)
        return n;
    is_wrong(p, key);
    return 0;
}

static void hex(struct members *p, uint8_t *out, size_t size, const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(p->in, key));
    if (!s || ccz_unhex(out, size, s, strlen(s)) != CCZ_OK)
        is_wrong(p, key);
}

/* A member that is not among those we know: whoever wrote it meant something by it. */
static void only(struct members *p, const char *const *names)
{
    const char *key = NULL;
    while (ccz_json_next(&key, p->in)) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i]) {
            is_wrong(p, "unknown");
            return;
        }
    }
}

static void files(struct members *p, struct ccz_bundle_manifest *m)
{
    static const char *const names[] = {"digest", "path", "sha256", "size", NULL};
    const struct ccz_json *list = ccz_json_get(p->in, "files");
    m->files_len = ccz_json_len(list);
    if (ccz_json_type(list) != CCZ_JSON_ARRAY || m->files_len > CCZ_BUNDLE_FILES_MAX) {
        m->files_len = 0;
        is_wrong(p, "files");
        return;
    }
    for (size_t i = 0; i < m->files_len && !p->wrong; i++) {
        struct ccz_bundle_file *f = &m->file[i];
        struct members of = {.in = ccz_json_at(list, i)};
        hex(&of, f->digest, sizeof(f->digest), "digest");
        text(&of, f->path, sizeof(f->path), "path");
        hex(&of, f->sha256, sizeof(f->sha256), "sha256");
        f->size = (uint64_t)number(&of, "size", INT64_MAX);
        only(&of, names);
        if (of.wrong)
            is_wrong(p, of.wrong);
    }
}

static void all(struct members *p, struct ccz_bundle_manifest *m)
{
    static const char *const names[] = {
        "created",     "engine",      "files", "format", "id",     "key",     "key_check",
        "key_version", "min_version", "name",  "owner",  "signer", "version", NULL};
    char created[21] = "", owner[65] = "";
    text(p, created, sizeof(created), "created");
    if (ccz_time_parse(&m->created_s, created, strlen(created)) != CCZ_OK)
        is_wrong(p, "created");
    text(p, m->engine, sizeof(m->engine), "engine");
    files(p, m);
    hex(p, m->id, sizeof(m->id), "id");
    text(p, m->key, sizeof(m->key), "key");
    hex(p, m->key_check, sizeof(m->key_check), "key_check");
    m->key_version = (uint32_t)number(p, "key_version", UINT32_MAX);
    m->min_version = number(p, "min_version", CCZ_BUNDLE_VERSION_MAX);
    text(p, m->name, sizeof(m->name), "name");
    text(p, owner, sizeof(owner), "owner");
    if (owner[0])
        hex(p, m->owner, sizeof(m->owner), "owner");
    hex(p, m->signer, sizeof(m->signer), "signer");
    m->version = number(p, "version", CCZ_BUNDLE_VERSION_MAX);
    only(p, names);
}

/* Whoever signs one text signs one meaning, and no byte of it is without. */
static ccz_rc is_canonical(const struct ccz_bundle_manifest *m, struct ccz_span json,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_bundle_manifest_put(&b, m);
    if (!b.bad && ccz_span_eq(ccz_buf_span(&b), json))
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_FORMAT, "bundle:canonical", "another spelling of this manifest",
                      "sorted members, no white space, no escapes, lower-case hex");
}

static ccz_rc parse(struct ccz_bundle_manifest *m, struct ccz_span json, struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) root = NULL;
    if (json.size > CCZ_BUNDLE_MANIFEST_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "bundle:manifest-size", (int64_t)json.size,
                              CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    if (ccz_json_parse(&root, json, NULL) != CCZ_OK || ccz_json_type(root) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "bundle:manifest", 0, "the manifest is no JSON object");
    const char *format = ccz_json_str(ccz_json_get(root, "format"));
    if (!format || strcmp(format, CCZ_BUNDLE_FORMAT) != 0) {
        char got[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), ccz_span_str(format ? format : "no format"));
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_UNSUPPORTED, "bundle:format", got, CCZ_BUNDLE_FORMAT),
                        "a bundle of another release: pack the model again");
    }
    struct members p = {.in = root};
    all(&p, m);
    if (p.wrong)
        return wrong(err, p.wrong, "the members of docs/reference/bundle.md and no other");
    ccz_rc rc = ccz_bundle_manifest_check(m, err);
    if (rc == CCZ_OK)
        rc = is_canonical(m, json, err);
    return rc == CCZ_OK ? ccz_sha256(m->sha256, json) : rc;
}

ccz_rc ccz_bundle_manifest_parse(struct ccz_bundle_manifest *out, struct ccz_span json,
                                 struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    ccz_rc rc = parse(out, json, err);
    if (rc != CCZ_OK)
        memset(out, 0, sizeof(*out));
    return rc;
}
