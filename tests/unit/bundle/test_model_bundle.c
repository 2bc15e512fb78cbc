/* SPDX-License-Identifier: Apache-2.0 */
/* Model bundles: what comes back, and everything that must not. */
#define _GNU_SOURCE
#include "bundle_kit.h"

static void join(char out[2 * KIT_PATH], const char *dir, const char *rel)
{
    (void)snprintf(out, (size_t)2 * KIT_PATH, "%s/%s", dir, rel);
}

static void fresh(char dir[KIT_PATH], const char *name, int64_t version, bool owned)
{
    char model[KIT_PATH];
    kit_path(dir, name);
    kit_remove(dir);
    kit_save(dir, kit_make_model(model), version, owned);
}

/* ------------------------------------------------------------------------ what comes back */

static void count_file(void *arg, const char *path, uint64_t size)
{
    unsigned *n = arg;
    CHECK(strcmp(path, kit_model[*n].path) == 0 && size == kit_model[*n].size);
    ++*n;
}

static void read_all(struct ccz_bundle *b)
{
    uint8_t chunk[4000];
    for (size_t i = 0; i < KIT_PARTS; i++)
        for (uint64_t at = 0; at < kit_model[i].size; at += sizeof(chunk)) {
            const uint64_t left = kit_model[i].size - at;
            const size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
            CHECK(ccz_bundle_read_at(b, i, at, chunk, n, NULL) == CCZ_OK);
            for (size_t k = 0; k < n; k++)
                CHECK(chunk[k] == kit_byte(at + k, kit_model[i].seed));
        }
}

static void test_round_trip(void)
{
    char dir[KIT_PATH];
    struct ccz_err err = {0};
    unsigned files = 0;
    fresh(dir, "b", 3, false);
    CHECK(ccz_bundle_is(dir) && !ccz_bundle_is("/tmp"));
    CCZ_AUTO(ccz_bundle) b = NULL;
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 16);
    CHECK(kit_open(&b, dir, &err) == CCZ_OK);
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(b);
    CHECK(strcmp(m->name, "fashion") == 0 && m->version == 3 && m->min_version == 1);
    CHECK(strcmp(m->engine, "tensorflow") == 0 && strcmp(m->key, "key/models/fashion") == 0);
    CHECK(m->key_version == 3 && m->created_s == 1700000000 && m->files_len == KIT_PARTS);
    for (int i = 0; i < KIT_PARTS; i++)
        CHECK(strcmp(m->file[i].path, kit_model[i].path) == 0 &&
              m->file[i].size == kit_model[i].size);
    /* without the key: the protected files, not what is in them */
    CHECK(ccz_bundle_verify(b, count_file, &files, &err) == CCZ_OK && files == KIT_PARTS);
    CHECK(ccz_bundle_finish(b, &err) == CCZ_E_SIG && kit_where(&err, "bundle:unread"));
    CHECK(ccz_bundle_unlock(b, key, &err) == CCZ_OK);
    CHECK(ccz_bundle_finish(b, &err) == CCZ_E_SIG && kit_where(&err, "bundle:unread"));
    read_all(b);
    CHECK(ccz_bundle_finish(b, &err) == CCZ_OK);
    read_all(b); /* as often as one likes */
    files = 0;
    CHECK(ccz_bundle_verify(b, count_file, &files, &err) == CCZ_OK && files == KIT_PARTS);
}

/* ------------------------------------------------------------------------------ manifest */

static void put(struct ccz_buf *out, const struct ccz_bundle_manifest *m)
{
    ccz_buf_init(out, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_bundle_manifest_put(out, m);
    CHECK(!out->bad);
}

static struct ccz_bundle_manifest *sample(void)
{
    struct ccz_bundle_manifest *m = calloc(1, sizeof(*m));
    CHECK(m);
    *m = kit_manifest(7);
    memset(m->id, 0xab, sizeof(m->id));
    memset(m->signer, 0xcd, sizeof(m->signer));
    m->files_len = 2;
    (void)strcpy(m->file[0].path, "a b");
    (void)strcpy(m->file[1].path, "c/d");
    m->file[1].size = ((uint64_t)1 << 53) - 1;
    return m;
}

static void test_manifest(void)
{
    struct ccz_bundle_manifest *m = sample(), *again = calloc(1, sizeof(*again));
    struct ccz_buf text, cut;
    struct ccz_err err = {0};
    CHECK(again);
    put(&text, m);
    CHECK(ccz_bundle_manifest_parse(again, ccz_buf_span(&text), &err) == CCZ_OK);
    CHECK(strcmp(again->key, m->key) == 0 && again->file[1].size == m->file[1].size);
    CHECK(ccz_sha256(m->sha256, ccz_buf_span(&text)) == CCZ_OK);
    CHECK(memcmp(m->sha256, again->sha256, 32) == 0);
    /* sorted members, as RFC 8785 has it */
    static const char expected[] =
        "{\"created\":\"2023-11-14T22:13:20Z\",\"engine\":\"tensorflow\",\"files\":[{\"digest\":";
    CHECK(text.size > sizeof(expected) && memcmp(text.ptr, expected, sizeof(expected) - 1) == 0);
    for (size_t n = 0; n < text.size; n++) {
        CHECK(ccz_bundle_manifest_parse(again, CCZ_SPAN(text.ptr, n), &err) == CCZ_E_FORMAT);
        CHECK(again->files_len == 0 && again->version == 0);
    }
    ccz_buf_init(&cut, CCZ_BUNDLE_MANIFEST_SIZE_MAX + 1);
    CHECK(ccz_buf_extend(&cut, CCZ_BUNDLE_MANIFEST_SIZE_MAX + 1));
    memset(cut.ptr, ' ', cut.size);
    CHECK(ccz_bundle_manifest_parse(again, ccz_buf_span(&cut), &err) == CCZ_E_LIMIT);
    CHECK(kit_where(&err, "bundle:manifest-size"));
    ccz_buf_free(&cut);
    ccz_buf_free(&text);
    free(m);
    free(again);
}

/* The text of sample() with one part replaced. */
static void refused(const char *from, const char *to, const char *where, const char *got)
{
    struct ccz_bundle_manifest *m = sample();
    struct ccz_buf text, changed;
    struct ccz_err err = {0};
    put(&text, m);
    const char *all = ccz_buf_str(&text), *at = strstr(all, from);
    CHECK(at);
    ccz_buf_init(&changed, (size_t)2 * CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_buf_put(&changed, all, (size_t)(at - all));
    ccz_buf_put_str(&changed, to);
    ccz_buf_put_str(&changed, at + strlen(from));
    CHECK(ccz_bundle_manifest_parse(m, ccz_buf_span(&changed), &err) != CCZ_OK);
    if (!kit_where(&err, where) || (got && strcmp(err.got, got) != 0)) {
        fprintf(stderr, "%s -> %s: got %s\n", from, to, err.got);
        CHECK(false);
    }
    ccz_buf_free(&changed);
    ccz_buf_free(&text);
    free(m);
}

static void test_strict(void)
{
    refused("{\"created\"", "[{\"created\"", "bundle:manifest", NULL);
    refused("cczoo-bundle-1", "cczoo-bundle-2", "bundle:format", "cczoo-bundle-2");
    refused("\"version\":7}", "\"version\":7,\"x\":1}", "bundle:member", "unknown");
    refused("\"size\":0}", "\"size\":0,\"mode\":1}", "bundle:member", "unknown");
    refused("\"name\":\"fashion\",", "", "bundle:member", "name");
    refused("\"name\":\"fashion\"", "\"name\":5", "bundle:member", "name");
    refused("\"name\":\"fashion\"", "\"name\":\"a/b\"", "bundle:member", "name");
    refused("\"name\":\"fashion\"", "\"name\":\".b\"", "bundle:member", "name");
    refused("\"engine\":\"tensorflow\"", "\"engine\":\"\"", "bundle:member", "engine");
    refused("\"version\":7}", "\"version\":0}", "bundle:member", "version");
    refused("\"version\":7}", "\"version\":9007199254740992}", "bundle:member", "version");
    refused("\"version\":7}", "\"version\":7.0}", "bundle:member", "version");
    refused("\"min_version\":1", "\"min_version\":8", "bundle:member", "min_version");
    refused("\"min_version\":1", "\"min_version\":0", "bundle:member", "min_version");
    refused("\"key_version\":7", "\"key_version\":0", "bundle:member", "key_version");
    refused("\"key\":\"key/models/fashion\"", "\"key\":\"\"", "bundle:member", "key_version");
    refused("key/models/fashion", "secret/fashion", "bundle:member", "key");
    refused("key/models/fashion", "key/models/../f", "bundle:member", "key");
    refused("key/models/fashion", "key/models/", "bundle:member", "key");
    refused("2023-11-14T22:13:20Z", "2023-11-14", "bundle:member", "created");
    refused("\"a b\"", "\"/a\"", "bundle:member", "path");
    refused("\"a b\"", "\"../a\"", "bundle:member", "path");
    refused("\"a b\"", "\"a/./b\"", "bundle:member", "path");
    refused("\"a b\"", "\"a//b\"", "bundle:member", "path");
    refused("\"a b\"", "\"a/\"", "bundle:member", "path");
    refused("\"a b\"", "\"a\\u0001\"", "bundle:member", "path");
    refused("\"a b\"", "\"z\"", "bundle:member", "files");   /* not in order */
    refused("\"a b\"", "\"c/d\"", "bundle:member", "files"); /* twice */
    refused("\"size\":0}", "\"size\":-1}", "bundle:member", "size");
    refused("\"size\":0}", "\"size\":9007199254740992}", "bundle:member", "size");
    refused("\"owner\":\"\"", "\"owner\":\"ab\"", "bundle:member", "owner");
    refused("\"id\":\"abab", "\"id\":\"ab", "bundle:member", "id");
    /* the same meaning in another spelling */
    refused("\"id\":\"abab", "\"id\":\"ABab", "bundle:canonical", NULL);
    refused("\"name\":\"fashion\"", "\"name\":\"f\\u0061shion\"", "bundle:canonical", NULL);
    refused("\"version\":7}", "\"version\":7 }", "bundle:canonical", NULL);
    refused("\"version\":7}", "\"version\":7}\n", "bundle:canonical", NULL);
    refused("\"owner\":\"\"",
            "\"owner\":\"0000000000000000000000000000000000000000000000000000000000000000\"",
            "bundle:canonical", NULL);
}

/* ---------------------------------------------------------------------------- signatures */

static void test_signed(void)
{
    char dir[KIT_PATH], sig[2 * KIT_PATH], manifest[2 * KIT_PATH], other[KIT_PATH];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_bundle) b = NULL;
    CCZ_AUTO(ccz_pkey) pub = kit_public(kit_signer());
    CCZ_AUTO(ccz_pkey) stranger = NULL;
    CHECK(ccz_pkey_generate(&stranger, CCZ_PKEY_P256, NULL) == CCZ_OK);
    fresh(dir, "signed", 1, false);
    CHECK(ccz_bundle_open(&b, dir, &(struct ccz_bundle_cfg){0}, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:trust"));
    const struct ccz_pkey *two[] = {stranger, pub};
    struct ccz_bundle_cfg cfg = {.signers = two, .signers_len = 2};
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_OK);
    ccz_bundle_free(b);
    b = NULL;
    cfg.signers_len = 1;
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_E_UNTRUSTED);
    CHECK(kit_where(&err, "bundle:signer") && !b);
    /* whoever is trusted has signed, under another name */
    join(sig, dir, "manifest.sig");
    join(manifest, dir, "manifest.json");
    struct ccz_buf text, made;
    ccz_buf_init(&text, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_buf_init(&made, 512);
    CHECK(ccz_file_read(&text, manifest, NULL) == CCZ_OK);
    CHECK(ccz_pkey_sign(&made, stranger, &(struct ccz_sign_how){0}, ccz_buf_span(&text), NULL) ==
          CCZ_OK);
    CHECK(ccz_file_write(sig, ccz_buf_span(&made), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_E_UNTRUSTED);
    CHECK(kit_where(&err, "bundle:signer"));
    CHECK(kit_check(dir, &err) == CCZ_E_SIG && kit_where(&err, "bundle:signature"));
    ccz_buf_free(&text);
    ccz_buf_free(&made);
    /* the signature of another bundle of the same signer */
    fresh(other, "signed2", 2, false);
    char from[2 * KIT_PATH];
    join(from, other, "manifest.sig");
    kit_copy(from, sig);
    CHECK(kit_check(dir, &err) == CCZ_E_SIG && kit_where(&err, "bundle:signature"));
    CHECK(unlink(sig) == 0);
    CHECK(kit_check(dir, &err) == CCZ_E_NOT_FOUND && kit_where(&err, "bundle:no-signature"));
    CHECK(unlink(manifest) == 0);
    CHECK(kit_check(dir, &err) == CCZ_E_NOT_FOUND && kit_where(&err, "bundle:no-manifest"));
}

static ccz_rc open_owned(const char *dir, const struct ccz_pkey *owner, struct ccz_err *err)
{
    const struct ccz_pkey *const signers[] = {kit_signer()};
    CCZ_AUTO(ccz_bundle) b = NULL;
    return ccz_bundle_open(
        &b, dir, &(struct ccz_bundle_cfg){.signers = signers, .signers_len = 1, .owner = owner},
        err);
}

static void test_owner(void)
{
    char dir[KIT_PATH], sig[2 * KIT_PATH], model[KIT_PATH];
    struct ccz_err err = {0};
    fresh(dir, "owned", 1, true);
    CHECK(open_owned(dir, kit_owner(), &err) == CCZ_OK);
    CHECK(open_owned(dir, kit_signer(), &err) == CCZ_E_UNTRUSTED);
    CHECK(kit_where(&err, "bundle:owner"));
    join(sig, dir, "owner.sig");
    int fd = open(sig, O_RDWR);
    uint8_t byte;
    CHECK(fd >= 0 && pread(fd, &byte, 1, 5) == 1);
    byte ^= 1;
    CHECK(pwrite(fd, &byte, 1, 5) == 1 && close(fd) == 0);
    CHECK(open_owned(dir, kit_owner(), &err) == CCZ_E_SIG);
    CHECK(kit_where(&err, "bundle:owner-signature"));
    /* he signs later, elsewhere */
    kit_path(dir, "owned-later");
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 32);
    CCZ_AUTO(ccz_pkey) pub = kit_public(kit_owner());
    const struct ccz_bundle_manifest m = kit_manifest(1);
    struct ccz_bundle_write w = {.in_dir = kit_make_model(model),
                                 .manifest = &m,
                                 .key = key,
                                 .signer = {.key = kit_signer()},
                                 .owner = {.key = pub}};
    CHECK(ccz_bundle_save(NULL, dir, &w, &err) == CCZ_OK);
    CHECK(open_owned(dir, pub, &err) == CCZ_E_NOT_FOUND);
    CHECK(kit_where(&err, "bundle:no-owner-signature"));
    CHECK(ccz_bundle_countersign(dir, &w.signer, &err) == CCZ_E_UNTRUSTED);
    CHECK(kit_where(&err, "bundle:owner"));
    CHECK(ccz_bundle_countersign(dir, &w.owner, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:owner-key"));
    w.owner.key = kit_owner();
    CHECK(ccz_bundle_countersign(dir, &w.owner, &err) == CCZ_OK);
    CHECK(open_owned(dir, pub, &err) == CCZ_OK);
    CHECK(ccz_bundle_countersign(dir, &w.owner, &err) == CCZ_E_EXISTS);
    /* a bundle without an owner, where one is asked for */
    fresh(dir, "unowned", 1, false);
    CHECK(open_owned(dir, pub, &err) == CCZ_E_UNTRUSTED && kit_where(&err, "bundle:owner"));
    join(sig, dir, "owner.sig"); /* and with a file of that name it is not said to have one */
    CHECK(ccz_file_write(sig, ccz_span_str("x"), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(kit_check(dir, &err) == CCZ_E_MISMATCH && kit_where(&err, "bundle:file-extra"));
}

static void test_rules(void)
{
    char dir[KIT_PATH];
    struct ccz_err err = {0};
    struct ccz_bundle *b = NULL;
    const struct ccz_pkey *const signers[] = {kit_signer()};
    struct ccz_bundle_cfg cfg = {.signers = signers, .signers_len = 1};
    fresh(dir, "rules", 4, false);
    cfg.name = "fashion2";
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_E_POLICY && kit_where(&err, "bundle:name"));
    cfg.name = "fashion";
    cfg.version = 5;
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_E_POLICY &&
          kit_where(&err, "bundle:version"));
    cfg.version = 4;
    cfg.version_min = 5; /* an older one, under the same keys, as genuine as ever */
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_E_POLICY &&
          kit_where(&err, "bundle:rolled-back"));
    CHECK(!b);
    cfg.version_min = 4;
    CHECK(ccz_bundle_open(&b, dir, &cfg, &err) == CCZ_OK);
    ccz_bundle_free(b);
}

/* -------------------------------------------------------------------------------- folder */

static void test_folder(void)
{
    char dir[KIT_PATH], a[2 * KIT_PATH], b[2 * KIT_PATH];
    struct ccz_err err = {0};
    fresh(dir, "folder", 1, false);
    join(a, dir, "files/saved_model.pb");
    join(b, dir, "files/saved_model2.pb");
    CHECK(rename(a, b) == 0);
    CHECK(kit_check(dir, &err) == CCZ_E_MISMATCH && kit_where(&err, "bundle:file-renamed"));
    CHECK(strcmp(err.got, "files/saved_model2.pb") == 0 &&
          strcmp(err.expected, "saved_model.pb") == 0);
    CHECK(unlink(b) == 0);
    CHECK(kit_check(dir, &err) == CCZ_E_MISMATCH && kit_where(&err, "bundle:file-missing"));
    fresh(dir, "folder", 1, false);
    kit_file(dir, "files/variables/more", 10, 1);
    CHECK(kit_check(dir, &err) == CCZ_E_MISMATCH && kit_where(&err, "bundle:file-extra"));
    fresh(dir, "folder", 1, false);
    kit_file(dir, "README", 10, 1);
    CHECK(kit_check(dir, &err) == CCZ_E_MISMATCH && kit_where(&err, "bundle:file-extra"));
    fresh(dir, "folder", 1, false);
    CHECK(rename(a, b) == 0 && symlink(b, a) == 0); /* nothing outside is read */
    CHECK(kit_check(dir, &err) == CCZ_E_UNSUPPORTED && kit_where(&err, "pf:file-type"));
}

/* ------------------------------------------------------------------------- files elsewhere */

static void test_misplaced(void)
{
    char dir[KIT_PATH], other[KIT_PATH], a[2 * KIT_PATH], b[2 * KIT_PATH], c[2 * KIT_PATH];
    struct ccz_err err = {0};
    fresh(dir, "misplaced", 1, false);
    join(a, dir, "files/saved_model.pb");
    join(b, dir, "files/assets/vocab.txt");
    join(c, dir, "files/tmp");
    CHECK(rename(a, c) == 0 && rename(b, a) == 0 && rename(c, b) == 0);
    CHECK(kit_check(dir, &err) == CCZ_E_SIG && kit_where(&err, "bundle:file-swapped"));
    CHECK(strcmp(err.expected, "assets/vocab.txt") == 0 && strcmp(err.got, "saved_model.pb") == 0);
    /* of the version before, and of the same version packed again: the same key, name and path */
    for (int64_t version = 1; version <= 2; version++) {
        fresh(dir, "misplaced", 2, false);
        fresh(other, "misplaced2", version, false);
        join(a, dir, "files/saved_model.pb");
        join(b, other, "files/saved_model.pb");
        kit_copy(b, a);
        CHECK(kit_check(dir, &err) == CCZ_E_SIG && kit_where(&err, "bundle:file-foreign"));
        CHECK(strcmp(err.expected, "saved_model.pb") == 0);
    }
}

static void test_key(void)
{
    char dir[KIT_PATH];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_bundle) b = NULL;
    CCZ_AUTO(ccz_secret) wrong = kit_key(0x12, 16);
    CCZ_AUTO(ccz_secret) small = kit_key(0x11, 15);
    CCZ_AUTO(ccz_secret) large = kit_key(0x11, 65);
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 16);
    uint8_t byte = 7;
    fresh(dir, "key", 1, false);
    CHECK(kit_open(&b, dir, &err) == CCZ_OK);
    CHECK(ccz_bundle_read_at(b, 0, 0, &byte, 1, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:locked") && byte == 0);
    CHECK(ccz_bundle_unlock(b, wrong, &err) == CCZ_E_SIG && kit_where(&err, "bundle:key"));
    CHECK(strcmp(err.expected, "key/models/fashion") == 0);
    CHECK(ccz_bundle_unlock(b, small, &err) == CCZ_E_ARG && kit_where(&err, "bundle:key-size"));
    CHECK(ccz_bundle_unlock(b, large, &err) == CCZ_E_ARG && kit_where(&err, "bundle:key-size"));
    CHECK(ccz_bundle_unlock(b, key, &err) == CCZ_OK);
    CHECK(ccz_bundle_read_at(b, 0, 0, &byte, 1, &err) == CCZ_OK);
    CHECK(ccz_bundle_unlock(b, wrong, &err) == CCZ_E_SIG); /* and it is locked again */
    CHECK(ccz_bundle_read_at(b, 0, 1, &byte, 1, &err) == CCZ_E_ARG);
}

static void test_read(void)
{
    char dir[KIT_PATH];
    struct ccz_err err = {0};
    uint8_t out[16];
    CCZ_AUTO(ccz_bundle) b = NULL;
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 16);
    fresh(dir, "read", 1, false);
    CHECK(kit_open(&b, dir, &err) == CCZ_OK && ccz_bundle_unlock(b, key, &err) == CCZ_OK);
    const size_t index = 4; /* 100 bytes */
    memset(out, 9, sizeof(out));
    CHECK(ccz_bundle_read_at(b, index, 1, out, 4, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:read-order") && out[0] == 0 && out[3] == 0 && out[4] == 9);
    CHECK(ccz_bundle_read_at(b, index, 0, out, 16, &err) == CCZ_OK);
    CHECK(ccz_bundle_read_at(b, index, 0, out, 16, &err) == CCZ_E_ARG); /* not half a pass */
    CHECK(kit_where(&err, "bundle:read-order"));
    CHECK(ccz_bundle_read_at(b, index, 96, out, 5, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:read-range"));
    CHECK(ccz_bundle_read_at(b, index, UINT64_MAX, out, 2, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:read-range"));
    CHECK(ccz_bundle_read_at(b, KIT_PARTS, 0, out, 1, &err) == CCZ_E_ARG);
    CHECK(kit_where(&err, "bundle:read-range"));
    CHECK(ccz_bundle_read_at(b, 1, 0, out, 0, &err) == CCZ_OK); /* the empty one */
}

/* ---------------------------------------------------------------------------------- bytes */

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= (uint8_t)(1u << (at % 8));
    CHECK(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
}

static off_t size_of(const char *path)
{
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return st.st_size;
}

/* Every byte of the manifest and of the signatures. */
static void flip_clear(const char *dir, const char *name, const char *where)
{
    char path[2 * KIT_PATH];
    struct ccz_err err = {0};
    unsigned strangers = 0;
    join(path, dir, name);
    for (off_t at = 0; at < size_of(path); at++) {
        flip(path, at);
        CHECK(open_owned(dir, kit_owner(), &err) != CCZ_OK);
        /* a byte of the signer's id: then the manifest says that a stranger signed it */
        CHECK(strcmp(err.where, "bundle:signer") == 0 || kit_where(&err, where));
        strangers += strcmp(err.where, "bundle:signer") == 0;
        flip(path, at);
    }
    CHECK(strangers <= 64 && (strangers == 0 || strcmp(name, "manifest.json") == 0));
}

/* Bytes of a protected file: refused where the plaintext is read (b1), and by who has no key (b2). */
static void flip_sealed(const char *dir, const char *name, off_t step)
{
    char path[2 * KIT_PATH];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 16);
    CCZ_AUTO(ccz_bundle) b1 = NULL;
    CCZ_AUTO(ccz_bundle) b2 = NULL;
    uint8_t chunk[8192];
    CHECK(kit_open(&b1, dir, &err) == CCZ_OK && kit_open(&b2, dir, &err) == CCZ_OK);
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(b1);
    join(path, dir, name);
    const off_t size = size_of(path);
    for (off_t at = 0; at < size; at += step) {
        flip(path, at);
        ccz_rc rc = ccz_bundle_unlock(b1, key, &err);
        for (size_t i = 0; rc == CCZ_OK && i < m->files_len; i++)
            for (uint64_t k = 0; rc == CCZ_OK && k < m->file[i].size; k += sizeof(chunk)) {
                const uint64_t left = m->file[i].size - k;
                rc = ccz_bundle_read_at(b1, i, k, chunk,
                                        left < sizeof(chunk) ? (size_t)left : sizeof(chunk), &err);
            }
        CHECK(rc != CCZ_OK && strncmp(err.where, "pf:", 3) == 0);
        CHECK(ccz_bundle_finish(b1, &err) == CCZ_E_SIG);
        if (at % 64 == 0) {
            CHECK(ccz_bundle_verify(b2, NULL, NULL, &err) == CCZ_E_SIG);
            CHECK(kit_where(&err, "bundle:sealed-digest"));
        }
        flip(path, at);
    }
    CHECK(ccz_bundle_unlock(b1, key, &err) == CCZ_OK);
    CHECK(ccz_bundle_verify(b1, NULL, NULL, &err) == CCZ_OK);
}

static void test_bit_flips(void)
{
    char dir[KIT_PATH], in[KIT_PATH];
    kit_path(in, "small");
    kit_dir(in, "v");
    kit_file(in, "head", 100, 1);     /* node 0 alone */
    kit_file(in, "v/nodes", 5000, 2); /* node 0, root, one block */
    kit_save(kit_path(dir, "flips"), in, 1, true);
    flip_clear(dir, "manifest.json", "bundle:signature");
    flip_clear(dir, "manifest.sig", "bundle:signature");
    flip_clear(dir, "owner.sig", "bundle:owner-signature");
    flip_sealed(dir, "files/head", 1);
    flip_sealed(dir, "files/v/nodes", 1);
    fresh(dir, "flips2", 1, false);
    flip_sealed(dir, "files/variables/variables.data", 9973);
}

static void test_cuts(void)
{
    static const char *const files[] = {"manifest.json", "manifest.sig", "files/head",
                                        "files/v/nodes"};
    char dir[KIT_PATH], in[KIT_PATH], path[2 * KIT_PATH];
    struct ccz_err err = {0};
    kit_path(in, "small");
    kit_dir(in, "v");
    kit_file(in, "head", 100, 1);
    kit_file(in, "v/nodes", 5000, 2);
    for (size_t i = 0; i < 4; i++) {
        kit_path(dir, "cuts");
        kit_remove(dir);
        kit_save(dir, in, 1, false);
        join(path, dir, files[i]);
        const off_t size = size_of(path);
        const off_t step = size > 1000 ? 4096 : 1;
        CHECK(truncate(path, size + 1) == 0); /* one more */
        CHECK(kit_check(dir, &err) != CCZ_OK);
        CHECK(truncate(path, size + 4096) == 0);
        CHECK(kit_check(dir, &err) != CCZ_OK);
        for (off_t n = size - 1; n >= 0; n -= n > step ? step : 1) {
            CHECK(truncate(path, n) == 0);
            CHECK(kit_check(dir, &err) != CCZ_OK);
            if (n == 0)
                break;
        }
    }
}

/* Whoever has the key can make files that decrypt: they are not what was signed. */
static void test_contents(void)
{
    char dir[KIT_PATH], in[KIT_PATH], out[2 * KIT_PATH], bound[128], hex[33];
    struct ccz_err err = {0};
    struct cczi_bundle_keys keys;
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 16);
    struct ccz_bundle *b = NULL;
    fresh(dir, "contents", 1, false);
    CHECK(kit_open(&b, dir, &err) == CCZ_OK);
    ccz_hex(hex, ccz_bundle_manifest(b)->id, 16);
    CHECK(cczi_bundle_keys_init(&keys, key, &err) == CCZ_OK);
    (void)snprintf(bound, sizeof(bound), "cczoo-bundle/%s/saved_model.pb", hex);
    join(out, dir, "files/saved_model.pb");
    kit_path(in, "forged");
    for (int longer = 0; longer <= 1; longer++) {
        kit_file(kit_top, "forged", longer ? 10001 : 10000, 77);
        CHECK(ccz_pf_encrypt_file(out, in, keys.files,
                                  &(struct ccz_pf_cfg){.path = bound, .replace = true},
                                  &err) == CCZ_OK);
        ccz_rc rc = ccz_bundle_unlock(b, key, &err);
        if (longer) {
            CHECK(rc == CCZ_E_MISMATCH && kit_where(&err, "bundle:file-size"));
            break;
        }
        CHECK(rc == CCZ_OK);
        uint8_t plain[10000];
        CHECK(ccz_bundle_read_at(b, 2, 0, plain, 9999, &err) == CCZ_OK);
        plain[0] = 1;
        CHECK(ccz_bundle_read_at(b, 2, 9999, plain, 1, &err) == CCZ_E_SIG);
        CHECK(kit_where(&err, "bundle:digest") && plain[0] == 0);
        CHECK(strcmp(err.got, "saved_model.pb") == 0);
        CHECK(ccz_bundle_finish(b, &err) == CCZ_E_SIG);
    }
    cczi_bundle_keys_deinit(&keys);
    ccz_bundle_free(b);
}

/* ------------------------------------------------------------------------------- refusals */

static ccz_rc wrong_signature(void *arg, struct ccz_buf *sig, struct ccz_span message,
                              struct ccz_err *err)
{
    return ccz_pkey_sign(sig, arg, &(struct ccz_sign_how){0}, message, err);
}

static ccz_rc save_with(const struct ccz_bundle_write *base, const struct ccz_bundle_manifest *m,
                        struct ccz_err *err)
{
    char dir[KIT_PATH];
    struct ccz_bundle_write w = *base;
    if (m)
        w.manifest = m;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_bundle_save(NULL, kit_path(dir, "refused"), &w, err);
    CHECK(access(dir, F_OK) != 0); /* nothing is left, not even under another name */
    (void)snprintf(dir, sizeof(dir), "%s/refused.%ld.tmp", kit_top, (long)getpid());
    CHECK(access(dir, F_OK) != 0);
    return rc;
}

static void test_save_refuses(void)
{
    char model[KIT_PATH], dir[KIT_PATH];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) key = kit_key(0x11, 16);
    CCZ_AUTO(ccz_secret) small = kit_key(0x11, 8);
    CCZ_AUTO(ccz_pkey) pub = kit_public(kit_signer());
    CCZ_AUTO(ccz_pkey) p384 = NULL;
    CCZ_AUTO(ccz_pkey) other = NULL;
    CHECK(ccz_pkey_generate(&p384, CCZ_PKEY_P384, NULL) == CCZ_OK);
    CHECK(ccz_pkey_generate(&other, CCZ_PKEY_P256, NULL) == CCZ_OK);
    const struct ccz_bundle_manifest m = kit_manifest(1);
    const struct ccz_bundle_write good = {.in_dir = kit_make_model(model),
                                          .manifest = &m,
                                          .key = key,
                                          .signer = {.key = kit_signer()}};
    struct ccz_bundle_manifest bad = m;
    (void)strcpy(bad.name, "a b");
    CHECK(save_with(&good, &bad, &err) == CCZ_E_FORMAT && kit_where(&err, "bundle:member"));
    struct ccz_bundle_write w = good;
    w.key = small;
    CHECK(save_with(&w, NULL, &err) == CCZ_E_ARG && kit_where(&err, "bundle:key-size"));
    w = good;
    w.signer.key = pub;
    CHECK(save_with(&w, NULL, &err) == CCZ_E_ARG && kit_where(&err, "bundle:signer-key"));
    w.signer.key = p384;
    CHECK(save_with(&w, NULL, &err) == CCZ_E_ARG && kit_where(&err, "bundle:signer-key"));
    w.signer = (struct ccz_bundle_signer){.key = pub, .sign = wrong_signature, .arg = other};
    CHECK(save_with(&w, NULL, &err) == CCZ_E_SIG && kit_where(&err, "bundle:signature"));
    w = good;
    w.owner.key = kit_signer();
    CHECK(save_with(&w, NULL, &err) == CCZ_E_ARG && kit_where(&err, "bundle:owner-key"));
    w = good;
    w.in_dir = kit_path(dir, "nothing");
    CHECK(save_with(&w, NULL, &err) == CCZ_E_NOT_FOUND);
    kit_dir(kit_top, "nothing");
    CHECK(save_with(&w, NULL, &err) == CCZ_E_LIMIT && kit_where(&err, "bundle:files"));
    kit_file(dir, "a\"b", 3, 1);
    CHECK(save_with(&w, NULL, &err) == CCZ_E_FORMAT && kit_where(&err, "bundle:member"));
    CHECK(strcmp(err.got, "a\\x22b") == 0);
    kit_remove(dir);
    kit_dir(kit_top, "nothing");
    for (int i = 0; i <= CCZ_BUNDLE_FILES_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "f%d", i);
        kit_file(dir, name, 1, 1);
    }
    CHECK(save_with(&w, NULL, &err) == CCZ_E_LIMIT && kit_where(&err, "bundle:files"));
    fresh(dir, "there", 1, false);
    CHECK(ccz_bundle_save(NULL, dir, &good, &err) == CCZ_E_EXISTS);
    CHECK(kit_where(&err, "file:exists") && kit_check(dir, &err) == CCZ_OK);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"model_bundle.round_trip", test_round_trip},
        {"model_bundle.manifest", test_manifest},
        {"model_bundle.strict", test_strict},
        {"model_bundle.signed", test_signed},
        {"model_bundle.owner", test_owner},
        {"model_bundle.rules", test_rules},
        {"model_bundle.folder", test_folder},
        {"model_bundle.misplaced", test_misplaced},
        {"model_bundle.key", test_key},
        {"model_bundle.read", test_read},
        {"model_bundle.bit_flips", test_bit_flips},
        {"model_bundle.cuts", test_cuts},
        {"model_bundle.contents", test_contents},
        {"model_bundle.save_refuses", test_save_refuses},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
