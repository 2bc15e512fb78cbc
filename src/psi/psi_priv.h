/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PSI_PRIV_H
#define CCZ_SRC_PSI_PRIV_H
/* Inside of psi. Sources in reading order: see psi.h. */
#include <cczoo/crypto.h>
#include <cczoo/ot.h>
#include <cczoo/psi.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "field elements travel as they lie in memory");

/* An id as the protocols see it: 128 bits of its hash. Whoever can guess ids can tell which one it is. */
struct cczi_psi_rec {
    uint8_t b[16]; /* in lists: a tag */
    uint64_t row;  /* CCZI_PSI_PADDING: a random entry that stands for no id */
};
#define CCZI_PSI_PADDING UINT64_MAX

/* ----------------------------------------------------------------------------------- memory */

/* Uninitialized, aligned to 64 bytes, for free(). Never NULL but when there is no memory. */
void *cczi_psi_alloc(size_t len, size_t size);
void *cczi_psi_alloc_zero(size_t len, size_t size);
/* Wipes, too: to who can guess, hashes of ids are as good as ids. NULL is fine. */
void cczi_psi_recs_free(struct cczi_psi_rec *recs, size_t len);

/* ------------------------------------------------------------------------- random oracle */

/*
 * SHA-256 of a prefix block of 64 bytes (a label and a key, compressed once) and what follows. One-block messages are
 * hashed side by side where the processor has wide registers: a set is a million of them.
 */
struct cczi_ro {
    uint32_t mid[8];
};
struct cczi_digest {
    uint32_t w[8]; /* words of SHA-256 as numbers */
};
/* @param label at most 31 characters. Zero-padded to 32 bytes, then the key. */
void cczi_ro_init(struct cczi_ro *ro, const char *label, const uint8_t key[32]);
/* out[i] = SHA-256(prefix, in[2 i], in[2 i + 1]): two items of 16 bytes each. @p tier: see cczi_ro_hash_tier(). */
void cczi_ro_hash(struct cczi_digest *out, const struct cczi_ro *ro, const uint8_t (*in)[32],
                  size_t len);
/* As above with a chosen tier, which must be usable: for tests and benches. */
void cczi_ro_hash_tier(struct cczi_digest *out, const struct cczi_ro *ro, const uint8_t (*in)[32],
                       size_t len, enum ccz_cpu_tier tier);
/* out[i] = SHA-256(prefix, in[i]) for messages of any length, bytes in the order of the standard. */
void cczi_ro_hash_spans(uint8_t (*out)[32], const struct cczi_ro *ro, const struct ccz_span *in,
                        size_t len);

/* out[i] = the compression function on mid and block i. Any len. */
typedef void (*cczi_sha_lanes)(struct cczi_digest *out, const uint32_t mid[8],
                               const uint8_t (*block)[64], size_t len);
void cczi_sha_portable(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
                       size_t len);
void cczi_sha_avx2(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
                   size_t len);
void cczi_sha_avx512(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
                     size_t len);

/* ---------------------------------------------------------------------------------- OKVS */

/*
 * A linear oblivious key-value store (docs/design/psi.md): `len` elements of GF(2^128), such that for every key the sum
 * of one element in each of three neighbouring segments, and of those among the last CCZI_OKVS_DENSE that the key's
 * bits choose, is the key's value. The segments overlap like tiles (spatial coupling), so that most of the table is
 * used, and keys in the order of their segments touch memory from front to back.
 */
enum { CCZI_OKVS_DENSE = 48 };
/* As many as sizes were measured for: a bucket of 2^22 with room to spare. */
#define CCZI_OKVS_KEYS_MAX ((size_t)5 << 20)
struct cczi_okvs {
    unsigned seg_bits; /* a segment has 2^seg_bits elements */
    uint32_t starts;   /* segments that a key can begin in; there are two more */
    size_t sparse_len; /* (starts + 2) << seg_bits */
    size_t len;        /* sparse_len + CCZI_OKVS_DENSE */
};
/* Sizes for @p keys keys, 0 < keys <= CCZI_OKVS_KEYS_MAX: a function of this number alone. */
void cczi_okvs_params(struct cczi_okvs *out, size_t keys);

/* Where a key looks. */
struct cczi_okvs_pos {
    uint32_t base; /* first element of its first segment */
    uint16_t off[3];
    uint16_t dense_high;
    uint32_t dense_low;
};
/* Hashed keys in the order of their segments. */
struct cczi_okvs_keys {
    size_t len;
    struct cczi_okvs_pos *pos;
    struct ccz_f128 *value; /* what a key's elements have to add up to: hash of the key */
    uint32_t *item;         /* which of the items it is */
};
void cczi_okvs_keys_free(struct cczi_okvs_keys *k); /* wipes */
CCZ_DEFINE_AUTO(cczi_okvs_keys)
/* @param work  len digests, overwritten @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_okvs_keys_new(struct cczi_okvs_keys **out,
                                       const struct cczi_psi_rec *items, size_t len,
                                       const struct cczi_okvs *okvs, const struct cczi_ro *ro,
                                       struct cczi_digest *work, struct ccz_err *err);
/*
 * Solves for the table. Elements that no key needs are zero: whoever sends it has to mask it.
 * @param[out] p    okvs->len elements, zeroed on failure
 * @param[out] gap  keys for which the dense elements were needed; NULL = not asked for
 * @retval CCZ_E_NOT_FOUND  psi:okvs: these keys have no solution, take other hashes; probability: psi.md
 */
CCZ_MUST_USE ccz_rc cczi_okvs_solve(struct ccz_f128 *p, size_t *gap, const struct cczi_okvs *okvs,
                                    const struct cczi_okvs_keys *keys, struct ccz_err *err);
/* out[i] = what key i finds in @p p. */
void cczi_okvs_decode(struct ccz_f128 *out, const struct ccz_f128 *p, const struct cczi_okvs *okvs,
                      const struct cczi_okvs_keys *keys);

/* --------------------------------------------------------------------------------- masks */

/* What a key's element is hashed to: 128 bits that the sender shows, and 128 that only who has the id knows. */
struct cczi_psi_mask {
    uint64_t hi, lo; /* big-endian halves of the first 16 bytes, cut to the length in use */
    uint32_t at;     /* of which key */
};
enum { CCZI_PSI_MASK_SIZE_MAX = 16 };
/*
 * Bytes of a semi-honest mask: so many that with probability 1 - 2^-40, in all buckets together, no mask of the sender is that of
 * another id, be it the receiver's (a false match) or its own (the reader refuses equal masks).
 * @param senders, receivers  items in each bucket
 */
size_t cczi_psi_mask_size(size_t senders, size_t receivers, uint32_t buckets);
/* By value; equal ones by `at`. @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_psi_masks_sort(struct cczi_psi_mask **masks, size_t len,
                                        struct ccz_err *err);
/* Bytes of @p len masks of @p size bytes each on the wire. */
size_t cczi_psi_masks_size(size_t len, size_t size);
/* @param masks ascending @param[out] out cczi_psi_masks_size() bytes */
void cczi_psi_masks_put(uint8_t *out, const struct cczi_psi_mask *masks, size_t len, size_t size);
/*
 * Reads them one by one, in the order of the wire. Exactly what put() writes is accepted: ascending, all different.
 *     for (rc = start(&g, ...); rc == CCZ_OK && (rc = next(&g, err)) == CCZ_OK && !g.end;) ... g.mask ...
 */
struct cczi_psi_masks_in {
    struct cczi_psi_mask mask; /* `at` counts from 0 */
    bool end;                  /* all were read; there is no mask */
    const uint8_t *bits, *low;
    size_t len, size, prefix_size, bit, prefix, read;
};
/* @param in  borrowed @retval CCZ_E_PEER psi:masks: its size */
CCZ_MUST_USE ccz_rc cczi_psi_masks_start(struct cczi_psi_masks_in *g, size_t len, size_t size,
                                         struct ccz_span in, struct ccz_err *err);
/* @retval CCZ_E_PEER psi:masks */
CCZ_MUST_USE ccz_rc cczi_psi_masks_next(struct cczi_psi_masks_in *g, struct ccz_err *err);

/* --------------------------------------------------------------------------------- spool */

/*
 * Records of 24 bytes in parts, appended, read part by part. Kept in memory up to a limit, then in a file without a
 * name, sealed chunk by chunk.
 */
struct cczi_spool;
struct cczi_spool_cfg {
    size_t parts;
    uint64_t memory_len; /* records */
    const char *dir;     /* NULL: no file, more is refused */
};
CCZ_MUST_USE ccz_rc cczi_spool_new(struct cczi_spool **out, const struct cczi_spool_cfg *cfg,
                                   struct ccz_err *err);
/* @retval CCZ_E_LIMIT psi:memory @retval CCZ_E_IO psi:spool @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_spool_put(struct cczi_spool *s, size_t part,
                                   const struct cczi_psi_rec *rec, struct ccz_err *err);
uint64_t cczi_spool_len(const struct cczi_spool *s, size_t part);
/* @param[out] out  cczi_spool_len() records @retval CCZ_E_IO psi:spool @retval CCZ_E_SIG psi:spool-seal */
CCZ_MUST_USE ccz_rc cczi_spool_read(struct cczi_psi_rec *out, const struct cczi_spool *s,
                                    size_t part, struct ccz_err *err);
/* The file, for tests; -1 if there is none yet. */
int cczi_spool_fd(const struct cczi_spool *s);
void cczi_spool_free(struct cczi_spool *s); /* wipes; NULL is fine */
CCZ_DEFINE_AUTO(cczi_spool)

/* ----------------------------------------------------------------------------------- ids */

enum { CCZI_PSI_PARTS = 256 };
struct ccz_psi_ids {
    uint64_t len;
    uint8_t prepared[32];     /* hash of how ids are prepared: both sides must have the same */
    struct cczi_spool *spool; /* by the first byte of the hash */
    struct cczi_spool_cfg spool_cfg;
    char *dir;
};
/*
 * Parts first .. first + count - 1, each hash once, with its first row.
 * @param[out] out  owned by the caller: cczi_psi_recs_free()
 * @param room      there is room for so many, at least
 */
CCZ_MUST_USE ccz_rc cczi_psi_ids_parts(struct cczi_psi_rec **out, size_t *len, size_t room,
                                       const struct ccz_psi_ids *ids, size_t first, size_t count,
                                       struct ccz_err *err);

/* ----------------------------------------------------------------------------------- run */

/* out = SHA-256 of a prefix block (label, key) and parts. */
void cczi_psi_derive(uint8_t out[32], const char *label, const uint8_t key[32], struct ccz_span in);

struct cczi_psi_hello {
    uint8_t role, protocol, learns, output;
    uint64_t len, min_intersection, bucket_len;
    uint8_t prepared[32], session[32], nonce[32];
};
#define CCZI_PSI_HELLO_SIZE 132
void cczi_psi_hello_put(uint8_t out[CCZI_PSI_HELLO_SIZE], const struct cczi_psi_hello *h);
/* Form only; what it says is compared by the run. @retval CCZ_E_PEER psi:message @retval CCZ_E_UNSUPPORTED psi:version */
CCZ_MUST_USE ccz_rc cczi_psi_hello_get(struct cczi_psi_hello *h, struct ccz_span in,
                                       struct ccz_err *err);

/* What protocols see of a run. */
struct cczi_psi_run {
    struct ccz_chan *chan;
    const struct ccz_psi_cfg *cfg;
    const struct ccz_psi_ids *ids;
    uint64_t own_len, peer_len; /* as announced */
    uint32_t buckets;           /* power of two, at most CCZI_PSI_PARTS */
    uint8_t session[32];        /* hash of both hellos */
    uint8_t shuffle[32]; /* ECDH, sender: seed of what hides the receiver's rows until the end */
};
/* One bucket. All items are different; those behind the ids are padding. */
struct cczi_psi_set {
    uint8_t session[32]; /* of this bucket */
    const struct cczi_psi_rec *items;
    size_t len, peer_len; /* both > 0 */
};
/* What came out of it. The common order is that of the sender's list. */
struct cczi_psi_list {
    size_t len;
    uint32_t *
        item; /* sender: all its items, in an order that the receiver cannot foresee; receiver: common ones */
    uint8_t (*tag)[16]; /* of each: known to the other side only for ids that it has, too */
    uint32_t *at;       /* receiver: where in the sender's list, ascending; sender: NULL */
    /* Receiver, while its rows are hidden: the sender's point of each entry; item is a place in the order that the sender
     * shuffled, not an item. NULL otherwise. */
    uint8_t (*hidden)[32];
};
/* @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_psi_list_new(struct cczi_psi_list **out, size_t len, bool at,
                                      struct ccz_err *err);
void cczi_psi_list_free(struct cczi_psi_list *l);
CCZ_DEFINE_AUTO(cczi_psi_list)

/*
 * A protocol. Telling the sender, comparing alignments and all settings are the run's business.
 *  - bucket() runs one bucket; afterwards the receiver knows which ids are common, or, if rows are hidden, how many.
 *  - hides_rows: where there is a minimum or only the number is wanted, the receiver's list has places of a shuffle of the
 *    sender's (cczi_psi_list.hidden). The sender tells the shuffle after the verdict on the number, or never. Then it need
 *    not trust the receiver's program; with the others it has to, or there is no such run (trusted_receiver).
 */
struct cczi_psi_protocol {
    const char *name;
    bool hides_rows;
    ccz_rc (*bucket)(struct cczi_psi_list **out, struct cczi_psi_run *run,
                     const struct cczi_psi_set *set, struct ccz_err *err);
};
/* The only way to them. */
const struct cczi_psi_protocol *cczi_psi_protocol(enum ccz_psi_protocol p);
/* Whether the receiver of such a run learns a number first, and rows, if at all, when the sender allows it. */
bool cczi_psi_rows_hidden(const struct ccz_psi_cfg *cfg);

ccz_rc cczi_psi_ecdh_bucket(struct cczi_psi_list **out, struct cczi_psi_run *run,
                            const struct cczi_psi_set *set, struct ccz_err *err);

ccz_rc cczi_psi_vole_bucket(struct cczi_psi_list **out, struct cczi_psi_run *run,
                            const struct cczi_psi_set *set, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- ecdh */

enum { CCZI_PSI_ECDH_BLOCK = 8192 }; /* points of a message */

/* fn(arg, from, to) over parts of 0 .. len - 1, side by side. @param threads 0 = as many as processors */
void cczi_psi_parallel(void (*fn)(void *arg, size_t from, size_t to), void *arg, size_t len,
                       unsigned threads);
/* out[i] = s H(items[i]), where H is a hash to the group under @p key, made for one use. */
void cczi_psi_points(uint8_t (*out)[32], const uint8_t s[32], const struct cczi_psi_rec *items,
                     size_t len, const uint8_t key[32], unsigned threads);
/* out[i] = s in[i]. @retval CCZ_E_PEER psi:point (err->aux = its index): not an encoding, or the identity */
CCZ_MUST_USE ccz_rc cczi_psi_mul(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32],
                                 size_t len, unsigned threads, struct ccz_err *err);
/* What an item's point is hashed to: 16 bytes that the sender shows, then 16 that only who has the item knows. */
void cczi_psi_finish(uint8_t (*out)[32], const struct cczi_psi_rec *items,
                     const uint8_t (*points)[32], size_t len, const uint8_t key[32],
                     unsigned threads);
/* Reads all of a list of masks. @retval CCZ_E_PEER psi:masks */
CCZ_MUST_USE ccz_rc cczi_psi_masks_all(struct cczi_psi_mask *masks, size_t len, size_t size,
                                       struct ccz_span in, struct ccz_err *err);
/* A mask of the first @p size bytes of a hash. */
struct cczi_psi_mask cczi_psi_mask_from(const uint8_t hash[32], size_t size, uint32_t at);
/* Places with equal masks in two ascending lists, in the order of @p b's `at`. @param[out] pairs  least of both lengths; at of
 * a, at of b @return how many */
size_t cczi_psi_match(uint32_t (*pairs)[2], const struct cczi_psi_mask *a, size_t a_len,
                      const struct cczi_psi_mask *b, size_t b_len);

/* out[k] = which item is at place k of the order under @p seed. @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_psi_shuffled(uint32_t *out, size_t len, const uint8_t seed[32],
                                      const uint8_t session[32], struct ccz_err *err);

/* --------------------------------------------------------------------------------- align */

/* What of the buckets is kept until all are done. */
struct cczi_psi_align {
    struct ccz_hasher *digest; /* receiver: of the tags so far */
    struct cczi_spool *list;   /* sender: tags and rows, a part per bucket */
    struct ccz_buf matches;    /* receiver: a bit for each entry of the sender's lists */
    uint64_t *rows;            /* receiver: so far */
    uint64_t len, cap;         /* of rows */
    struct ccz_buf hidden;     /* receiver, rows hidden: struct cczi_psi_hidden of each match */
};
struct cczi_psi_hidden {
    uint32_t bucket, place;
    uint8_t point[32];
};
CCZ_MUST_USE ccz_rc cczi_psi_align_init(struct cczi_psi_align *a, const struct cczi_psi_run *run,
                                        struct ccz_err *err);
void cczi_psi_align_deinit(struct cczi_psi_align *a);
/* Takes one bucket's list. */
CCZ_MUST_USE ccz_rc cczi_psi_align_put(struct cczi_psi_align *a, const struct cczi_psi_run *run,
                                       uint32_t bucket, const struct cczi_psi_list *list,
                                       const struct cczi_psi_set *set, struct ccz_err *err);
/* Minimum, what the sender is told, and the comparison of digests. */
CCZ_MUST_USE ccz_rc cczi_psi_align_done(struct ccz_psi_result *out, struct cczi_psi_align *a,
                                        const struct cczi_psi_run *run, struct ccz_err *err);
/* Session of a bucket. */
void cczi_psi_bucket_session(uint8_t out[32], const struct cczi_psi_run *run, uint32_t bucket);
/* Items of a bucket on the wire, padded: a function of what is announced alone. */
size_t cczi_psi_bucket_len(uint64_t len, uint32_t buckets);
#endif
