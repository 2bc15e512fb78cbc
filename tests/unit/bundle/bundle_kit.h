/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUNDLE_KIT_H
#define BUNDLE_KIT_H
/* Folders of models and bundles below one temporary folder. */
#include "bundle/bundle_priv.h"
#include "ccz_test.h"

#include <cczoo/codec.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIT_PATH 512
static char kit_top[64];

static inline int kit_remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static inline void kit_remove(const char *path)
{
    (void)nftw(path, kit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void kit_clean(void)
{
    kit_remove(kit_top);
}

static inline const char *kit_path(char out[KIT_PATH], const char *name)
{
    if (!kit_top[0]) {
        (void)snprintf(kit_top, sizeof(kit_top), "/tmp/ccz-bundle.XXXXXX");
        CHECK(mkdtemp(kit_top));
        (void)atexit(kit_clean);
    }
    (void)snprintf(out, KIT_PATH, "%s/%s", kit_top, name);
    return out;
}

/* A file with known bytes: byte i is i * 7 + i / 251 + seed. */
static inline uint8_t kit_byte(uint64_t i, unsigned seed)
{
    return (uint8_t)(i * 7 + i / 251 + seed);
}

static inline void kit_file(const char *dir, const char *rel, size_t size, unsigned seed)
{
    char path[2 * KIT_PATH];
    uint8_t *bytes = malloc(size + 1);
    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = kit_byte(i, seed);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, rel);
    FILE *f = fopen(path, "wb"); /* without fsync: there are hundreds of them */
    CHECK(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
    free(bytes);
}

static inline void kit_dir(const char *dir, const char *rel)
{
    char path[2 * KIT_PATH];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, rel);
    CHECK(ccz_dir_make(path, 0755, NULL) == CCZ_OK);
}

struct kit_part {
    const char *path;
    size_t size;
    unsigned seed;
};
/* As a manifest has them. */
static const struct kit_part kit_model[] = {
    {"assets/vocab.txt", 3072, 5},           {"empty", 0, 0}, {"saved_model.pb", 10000, 1},
    {"variables/variables.data", 700000, 2}, /* more than a chunk, and more than one MHT node */
    {"variables/variables.index", 100, 3},
};
enum { KIT_PARTS = 5, KIT_DATA = 3 };

static inline const char *kit_make_model(char dir[KIT_PATH])
{
    kit_path(dir, "model");
    if (access(dir, F_OK) == 0)
        return dir;
    kit_dir(dir, "assets");
    kit_dir(dir, "variables");
    for (int i = 0; i < KIT_PARTS; i++)
        kit_file(dir, kit_model[i].path, kit_model[i].size, kit_model[i].seed);
    return dir;
}

static inline struct ccz_pkey *kit_signer(void)
{
    static struct ccz_pkey *k;
    if (!k)
        CHECK(ccz_pkey_generate(&k, CCZ_PKEY_P256, NULL) == CCZ_OK);
    return k;
}

static inline struct ccz_pkey *kit_owner(void)
{
    static struct ccz_pkey *k;
    if (!k)
        CHECK(ccz_pkey_generate(&k, CCZ_PKEY_ED25519, NULL) == CCZ_OK);
    return k;
}

/* The public half alone, as readers have it. The caller frees it. */
static inline struct ccz_pkey *kit_public(const struct ccz_pkey *k)
{
    struct ccz_buf spki;
    struct ccz_pkey *out = NULL;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    CHECK(ccz_pkey_spki(&spki, k) == CCZ_OK);
    CHECK(ccz_pkey_from_spki(&out, ccz_buf_span(&spki), NULL) == CCZ_OK);
    ccz_buf_free(&spki);
    return out;
}

static inline struct ccz_secret *kit_key(uint8_t fill, size_t size)
{
    struct ccz_secret *s = NULL;
    CHECK(ccz_secret_new(&s, size) == CCZ_OK);
    memset(ccz_secret_bytes(s), fill, size);
    return s;
}

static inline struct ccz_bundle_manifest kit_manifest(int64_t version)
{
    return (struct ccz_bundle_manifest){.name = "fashion",
                                        .version = version,
                                        .min_version = 1,
                                        .engine = "tensorflow",
                                        .key = "key/models/fashion",
                                        .key_version = (uint32_t)version,
                                        .created_s = 1700000000};
}

/* A bundle of the model in @p in, signed, under the key 0x11. */
static inline void kit_save(const char *dir, const char *in, int64_t version, bool owned)
{
    struct ccz_err err = {0};
    struct ccz_secret *key = kit_key(0x11, 16);
    const struct ccz_bundle_manifest m = kit_manifest(version);
    const struct ccz_bundle_write w = {.in_dir = in,
                                       .manifest = &m,
                                       .key = key,
                                       .signer = {.key = kit_signer()},
                                       .owner = {.key = owned ? kit_owner() : NULL}};
    if (ccz_bundle_save(NULL, dir, &w, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    ccz_secret_free(key);
}

/* Opens with the signer trusted. */
static inline ccz_rc kit_open(struct ccz_bundle **out, const char *dir, struct ccz_err *err)
{
    const struct ccz_pkey *const signers[] = {kit_signer()};
    return ccz_bundle_open(out, dir, &(struct ccz_bundle_cfg){.signers = signers, .signers_len = 1},
                           err);
}

/* Open, unlock, verify: the first refusal. */
static inline ccz_rc kit_check(const char *dir, struct ccz_err *err)
{
    struct ccz_secret *key = kit_key(0x11, 16);
    struct ccz_bundle *b = NULL;
    *err = (struct ccz_err){0};
    ccz_rc rc = kit_open(&b, dir, err);
    if (rc == CCZ_OK)
        rc = ccz_bundle_unlock(b, key, err);
    if (rc == CCZ_OK)
        rc = ccz_bundle_verify(b, NULL, NULL, err);
    ccz_bundle_free(b);
    ccz_secret_free(key);
    return rc;
}

static inline bool kit_where(const struct ccz_err *err, const char *where)
{
    if (strcmp(err->where, where) == 0)
        return true;
    fprintf(stderr, "refused by %s (%s), expected %s\n", err->where, err->msg, where);
    return false;
}

/* Copies one file of @p dir over another; reads and writes whole files. */
static inline void kit_copy(const char *from, const char *to)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 24);
    CHECK(ccz_file_read(&b, from, NULL) == CCZ_OK);
    CHECK(ccz_file_write(to, ccz_buf_span(&b), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

#endif
