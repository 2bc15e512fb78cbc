/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PSI_PRIV_H
#define CCZ_SRC_PSI_PRIV_H
/* Inside of psi. Sources in reading order: see psi.h. */
#include <cczoo/crypto.h>
#include <cczoo/ot.h>
#include <cczoo/psi.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "field elements travel as they lie in memory");

/* An id as the protocols see it: 128 bits of its hash. Which ids these are is known to whoever can guess them. */
struct cczi_psi_item {
    uint8_t b[16];
};

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
#define CCZI_OKVS_KEYS_MAX ((size_t)1 << 24)
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
/* @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_okvs_keys_new(struct cczi_okvs_keys **out,
                                       const struct cczi_psi_item *items, size_t len,
                                       const struct cczi_okvs *okvs, const struct cczi_ro *ro,
                                       struct ccz_err *err);
/*
 * Solves for the table. Elements that no key needs are zero: whoever sends it has to mask it.
 * @param[out] p  okvs->len elements, zeroed on failure
 * @retval CCZ_E_NOT_FOUND  psi:okvs: these keys have no solution, take other hashes; probability: psi.md
 */
CCZ_MUST_USE ccz_rc cczi_okvs_solve(struct ccz_f128 *p, const struct cczi_okvs *okvs,
                                    const struct cczi_okvs_keys *keys, struct ccz_err *err);
/* out[i] = what key i finds in @p p. */
void cczi_okvs_decode(struct ccz_f128 *out, const struct ccz_f128 *p, const struct cczi_okvs *okvs,
                      const struct cczi_okvs_keys *keys);
