/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SECAGG_PRIV_H
#define CCZ_SECAGG_PRIV_H
/* Shared by the sources of secagg. */
#include <cczoo/secagg.h>
#include <string.h>

enum {
    CCZI_SA_KEY = 32, /* X25519 keys, seeds, secrets that are shared out */
    CCZI_SA_DIGEST = 32,
    CCZI_SA_SIG = 64,
    CCZI_SA_TAG = 16, /* of a configuration, in every message */
    CCZI_SA_SHARE = CCZI_SA_KEY,
    CCZI_SA_SHARES = 2 * CCZI_SA_SHARE, /* of the mask key, then of the self seed */
    CCZI_SA_BOX = CCZI_SA_SHARES + CCZ_AEAD_TAG_SIZE,
    CCZI_SA_COMMITS = 2 * CCZI_SA_DIGEST,
    CCZI_SA_LANES = CCZI_SA_KEY / 2, /* elements of GF(2^16) in a secret */
};

/* Texts of a known size are put together in place: each returns where the next one goes. */
static inline uint8_t *cczi_sa_put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}
static inline uint8_t *cczi_sa_put_le(uint8_t *at, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(v >> (8 * i));
    return at + size;
}

/* ------------------------------------------------------------------------------ parameters */

struct cczi_sa_params {
    struct ccz_secagg_cfg cfg;      /* without zeros that stand for something */
    uint8_t digest[CCZI_SA_DIGEST]; /* of the configuration and the roster */
    size_t bitmap_size;             /* one bit for each member */
};
/* Checks and completes a configuration. */
ccz_rc cczi_sa_params_init(struct cczi_sa_params *p, const struct ccz_secagg_cfg *cfg,
                           const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE], struct ccz_err *err);

/* ----------------------------------------------------------------------------- field, shares */

/* GF(2^16) modulo x^16 + x^5 + x^3 + x^2 + 1. */
uint16_t cczi_sa_mul(uint16_t a, uint16_t b);
uint16_t cczi_sa_inv(uint16_t a); /* of 0: 0 */
/* a[i] *= b[i] resp. a[i] = a[i] * b ^ c[i]. @ct in a, b and c */
void cczi_sa_mul_lanes(uint16_t *a, const uint16_t *b, size_t len);
void cczi_sa_horner(uint16_t *a, uint16_t b, const uint16_t *c, size_t len);

/* Point of a member, never 0. */
static inline uint16_t cczi_sa_point(uint32_t member)
{
    return (uint16_t)(member + 1);
}
/*
 * Both secrets of a client, CCZI_SA_SHARES bytes, shared out: threshold of the shares give them back, less tell nothing.
 * @shape out[len][CCZI_SA_SHARES], members[len] distinct
 */
ccz_rc cczi_sa_split(uint8_t *out, const uint8_t *secrets, const uint32_t *members, size_t len,
                     uint32_t threshold);
/* One secret from `len` shares of as many members. */
ccz_rc cczi_sa_combine(uint8_t out[CCZI_SA_KEY], const uint8_t *const *shares,
                       const uint32_t *members, size_t len);

/* ----------------------------------------------------------------------------------- masks */

struct cczi_sa_mask {
    const uint8_t *key; /* CCZI_SA_KEY bytes */
    bool negative;      /* subtracted */
};
/* Adds masks to elements offset .. of a vector: all of them for a piece that fits the cache. @ct in keys and y */
ccz_rc cczi_sa_apply(uint32_t *y, uint64_t offset, size_t len, const struct cczi_sa_mask *masks,
                     size_t masks_len);

/* -------------------------------------------------------------------------------- messages */

enum cczi_sa_kind {
    CCZI_SA_KEYS = 1,
    CCZI_SA_NEIGHBOURS,
    CCZI_SA_SEALED,
    CCZI_SA_INBOX,
    CCZI_SA_DELIVERED,
    CCZI_SA_SIGNED,
    CCZI_SA_UNMASK,
    CCZI_SA_REVEAL,
    CCZI_SA_KIND_LEN
};
/* A parsed message: what is fixed, then entries of one size, each of which starts with a member; members grow. */
struct cczi_sa_msg {
    enum cczi_sa_kind kind;
    struct ccz_span fixed;
    uint32_t len;
    size_t entry_size;
    struct ccz_span entries;
};
ccz_rc cczi_sa_msg_parse(struct cczi_sa_msg *out, const struct cczi_sa_params *p,
                         struct ccz_span in, struct ccz_err *err);
/* Member of entry i, and what follows it. */
uint32_t cczi_sa_msg_member(const struct cczi_sa_msg *m, uint32_t i);
const uint8_t *cczi_sa_msg_body(const struct cczi_sa_msg *m, uint32_t i);
void cczi_sa_msg_begin(struct ccz_buf *out, const struct cczi_sa_params *p, enum cczi_sa_kind kind);

static inline bool cczi_sa_bit(const uint8_t *bitmap, uint32_t i)
{
    return bitmap[i / 8] >> (i % 8) & 1;
}
static inline void cczi_sa_set_bit(uint8_t *bitmap, uint32_t i)
{
    bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | 1u << (i % 8));
}
uint32_t cczi_sa_count(const uint8_t *bitmap, size_t size);

/* ------------------------------------------------------------------------------------ keys */

/* Public keys of a member, as they travel: mask key, box key, with a roster their signature. */
struct cczi_sa_public {
    uint8_t mask[CCZI_SA_KEY], box[CCZI_SA_KEY], sig[CCZI_SA_SIG];
};
ccz_rc cczi_sa_sign_keys(struct cczi_sa_public *k, const struct cczi_sa_params *p, uint32_t member,
                         const struct ccz_key *identity);
ccz_rc cczi_sa_check_keys(const struct cczi_sa_public *k, const struct cczi_sa_params *p,
                          uint32_t member, const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE],
                          struct ccz_err *err);
/* One of two members' keys is one of the other's. */
bool cczi_sa_share_keys(const struct cczi_sa_public *a, const struct cczi_sa_public *b);
ccz_rc cczi_sa_sign_set(uint8_t sig[CCZI_SA_SIG], const struct cczi_sa_params *p,
                        const uint8_t *bitmap, const struct ccz_key *identity);
ccz_rc cczi_sa_check_set(const uint8_t sig[CCZI_SA_SIG], const struct cczi_sa_params *p,
                         const uint8_t *bitmap, const uint8_t id[CCZ_SECAGG_ID_SIZE]);
/* Key of the mask that `self` and `peer` share, from the private half of one and the public half of the other. */
ccz_rc cczi_sa_pair_key(uint8_t out[CCZI_SA_KEY], const struct cczi_sa_params *p, uint32_t self,
                        struct ccz_x25519_key *priv, const uint8_t *pub, uint32_t peer,
                        const uint8_t *peer_pub);
/* Keys of sealed shares: from self to peer, and from peer to self. */
ccz_rc cczi_sa_box_keys(uint8_t to[CCZI_SA_KEY], uint8_t from[CCZI_SA_KEY],
                        const struct cczi_sa_params *p, uint32_t self, struct ccz_x25519_key *priv,
                        const uint8_t *pub, uint32_t peer, const uint8_t *peer_pub);
ccz_rc cczi_sa_self_key(uint8_t out[CCZI_SA_KEY], const struct cczi_sa_params *p, uint32_t member,
                        const uint8_t seed[CCZI_SA_KEY]);
/* What a dealer commits to: its self seed, and each share. */
ccz_rc cczi_sa_commit_seed(uint8_t out[CCZI_SA_DIGEST], const struct cczi_sa_params *p,
                           uint32_t member, const uint8_t seed[CCZI_SA_KEY]);
ccz_rc cczi_sa_commit_share(uint8_t out[CCZI_SA_DIGEST], const struct cczi_sa_params *p,
                            uint32_t dealer, uint32_t holder, bool self_seed,
                            const uint8_t share[CCZI_SA_SHARE]);
/* Which mask of a pair is added: the one of the member with the smaller number. */
static inline bool cczi_sa_negative(uint32_t self, uint32_t peer)
{
    return self > peer;
}

/* ----------------------------------------------------------------------------------- graph */

/*
 * Neighbours on a ring in random order, degree / 2 to each side; all others if there are not more. The list of each of the
 * `len` members is sorted. @shape out[len][*degree]
 */
ccz_rc cczi_sa_graph(uint32_t **out, uint32_t *degree, const uint32_t *members, uint32_t len,
                     uint32_t wanted);
/* Place of a member in a sorted list; len if it is not there. */
uint32_t cczi_sa_find(const uint32_t *list, uint32_t len, uint32_t member);
#endif
