/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_BUNDLE_PRIV_H
#define CCZI_BUNDLE_PRIV_H
/* Shared by the sources of src/bundle and their tests only. */
#include <cczoo/bundle.h>
#include <cczoo/pf.h>

#define CCZI_BUNDLE_MANIFEST  "manifest.json"
#define CCZI_BUNDLE_SIGNATURE "manifest.sig"
#define CCZI_BUNDLE_OWNER     "owner.sig"
#define CCZI_BUNDLE_FILES     "files"
#define CCZI_BUNDLE_BOUND     "cczoo-bundle/"
/* A bound path: CCZI_BUNDLE_BOUND, the id in hex, '/', a path. */
#define CCZI_BUNDLE_BOUND_SIZE (sizeof(CCZI_BUNDLE_BOUND) + 33 + CCZ_BUNDLE_PATH_SIZE)
enum { CCZI_BUNDLE_PATH_MAX = 4096 }; /* bytes of a path on the disk, with the NUL */

/* ------------------------------------------------------------------------ manifest.c */

bool cczi_bundle_path_ok(const char *path);

/* ---------------------------------------------------------------------------- sign.c */

/* SHA-256 of the SubjectPublicKeyInfo. @param where  of the refusal of a key that is none of the two kinds */
ccz_rc cczi_bundle_key_id(uint8_t id[32], const struct ccz_pkey *key, const char *where,
                          struct ccz_err *err);
/* Appends a signature that verifies. */
ccz_rc cczi_bundle_sign(struct ccz_buf *sig, const struct ccz_bundle_signer *s,
                        struct ccz_span manifest, struct ccz_err *err);
bool cczi_bundle_signed_by(const struct ccz_pkey *key, struct ccz_span manifest,
                           struct ccz_span sig);

/* -------------------------------------------------------------------------- folder.c */

/* "<dir>/<name>". where = "bundle:path-size" */
ccz_rc cczi_bundle_join(char out[CCZI_BUNDLE_PATH_MAX], const char *dir, const char *name,
                        struct ccz_err *err);
/* A small file of the folder, appended. where = @p missing, if it is not there */
ccz_rc cczi_bundle_read_small(struct ccz_buf *out, const char *dir, const char *name,
                              const char *missing, struct ccz_err *err);
/* That the folder holds what the manifest says and nothing else. */
ccz_rc cczi_bundle_folder_check(const char *dir, const struct ccz_bundle_manifest *m,
                                struct ccz_err *err);

/* What comes of the key of a bundle. */
struct cczi_bundle_keys {
    struct ccz_secret *files;  /* CCZ_PF_KEY_SIZE */
    struct ccz_secret *digest; /* 32 */
    uint8_t check[16];         /* public */
};
ccz_rc cczi_bundle_keys_init(struct cczi_bundle_keys *k, const struct ccz_secret *key,
                             struct ccz_err *err);
void cczi_bundle_keys_deinit(struct cczi_bundle_keys *k);

/* A protected file that is read front to back. */
struct cczi_bundle_reader {
    struct ccz_pf_reader *pf;
    int fd; /* -1 = not open */
    struct ccz_hasher *hash;
    uint64_t at;   /* plaintext bytes of this pass so far */
    bool complete; /* a pass was read to its end and compared; none has begun since */
};
/* Opens file @p path of the bundle in @p dir, bound to it and to @p id. */
ccz_rc cczi_bundle_reader_open(struct cczi_bundle_reader *r, const char *dir, const uint8_t id[16],
                               const char *path, const struct ccz_secret *key, struct ccz_err *err);
void cczi_bundle_reader_close(struct cczi_bundle_reader *r);
/* The next bytes, into the digest of the pass as well. */
ccz_rc cczi_bundle_reader_next(void *out, struct cczi_bundle_reader *r, size_t size,
                               struct ccz_err *err);
/* Keyed digest of the pass that has come to its end. */
ccz_rc cczi_bundle_reader_digest(uint8_t out[32], struct cczi_bundle_reader *r,
                                 const struct ccz_secret *key, struct ccz_err *err);
/* SHA-256 of a file as it lies there. */
ccz_rc cczi_bundle_sha256(uint8_t out[32], const char *path, struct ccz_err *err);

#endif
