/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_BUNDLE_PRIV_H
#define CCZ_RECSYS_BUNDLE_PRIV_H
/* Bundles: files, their names, sizes and digests. */
#include <cczoo/codec.h>
#include <cczoo/recsys_bundle.h>

/* Files with contents, in the order in which they are read; titles may be missing. */
#define CCZI_BUNDLE_PARTS(X)                                                                       \
    X(USER_IDS, "user.ids")                                                                        \
    X(ITEM_IDS, "item.ids")                                                                        \
    X(TITLES, "titles")                                                                            \
    X(SEEN, "seen.csr")                                                                            \
    X(USER, "user.f32")                                                                            \
    X(ITEM, "item.f32")
enum cczi_bundle_part {
#define X(name, text) CCZI_PART_##name,
    CCZI_BUNDLE_PARTS(X)
#undef X
        CCZI_PARTS
};
#define CCZI_BUNDLE_MANIFEST  "manifest.json"
#define CCZI_BUNDLE_SIGNATURE "signature"
#define CCZI_BUNDLE_KEY       "key.json" /* in clear: which key opens the others */
#define CCZI_BUNDLE_FORMAT    "cczoo recsys bundle 2"
/* What a signature is over, beside the manifest, which says its format itself: so an old bundle is known for what it is. */
#define CCZI_BUNDLE_LABEL "cczoo recsys bundle 1"
enum {
    CCZI_BUNDLE_FILES_MAX = CCZI_PARTS + 2,
    CCZI_MANIFEST_SIZE_MAX = 1 << 16,
    CCZI_MANIFEST_ROUND = 1 << 13,     /* sizes of the two small files are multiples */
    CCZI_SIGNATURE_SIZE_MAX = 1 << 17, /* CCZ_CERT_SIZE_MAX and some */
};
/* What the manifest says of one of them; size 0: it is not there. */
struct cczi_bundle_file {
    uint64_t size;      /* without what rounds it up */
    uint8_t sha256[32]; /* of all of it */
};
const char *cczi_bundle_part_name(enum cczi_bundle_part p);
/* Size on the disk before protection: an eighth more at most, above 64 KiB. */
uint64_t cczi_bundle_rounded(uint64_t size);
/* Bytes of a matrix of vectors with its biases, of a history. */
uint64_t cczi_bundle_factors_size(uint32_t len, uint32_t factors, bool bias);
uint64_t cczi_bundle_seen_size(uint32_t rows, uint64_t len);

/* ---- bundle_manifest.c */

/* @p files may be NULL: for people. */
void cczi_manifest_put(struct ccz_buf *out, const struct ccz_recsys_manifest *m,
                       const struct cczi_bundle_file *files);
ccz_rc cczi_manifest_parse(struct ccz_recsys_manifest *m, struct cczi_bundle_file *files,
                           struct ccz_span json, struct ccz_err *err);
/* What both a writer and a reader refuse. */
ccz_rc cczi_manifest_check(const struct ccz_recsys_manifest *m, struct ccz_err *err);
bool cczi_bundle_name_ok(const char *name);

/* ---- order.c */

enum { CCZI_ALS_KINDS = 3 };
extern const char *const cczi_als_kinds[CCZI_ALS_KINDS];

#endif
