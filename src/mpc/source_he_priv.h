/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_SOURCE_HE_PRIV_H
#define CCZI_MPC_SOURCE_HE_PRIV_H
/*
 * Products by lattice ciphertexts, without sessions or channels: bytes in, bytes out. source_he.c joins them to mpc.
 * Reading order: source_he_tile.c (who sits where), source_he_suite.c (contexts and keys), source_he_linear.c (matrices and
 * convolutions in coefficients), source_he_slots.c (elementwise), source_he.c.
 *
 * Every product has an owner of the key, who encrypts its random operand v, and an evaluator, who knows the other one, x. The
 * owner gets x v + r, the evaluator keeps -r; r is uniform.
 */
#include <cczoo/bfv.h>
#include <cczoo/mpc_he.h>
#include <cczoo/num.h>

/* ------------------------------------------------------------------------------------- tiling */

/*
 * Some images of one job, with their memory. Index of an element: image, channel, row, column times these. A matrix product
 * x v is a convolution of images of one pixel: channels are rows of v, images its columns, and outputs rows of x.
 */
struct cczi_he_part {
    size_t images;
    const uint64_t *v; /* at the owner of the key */
    uint64_t *out;     /* added to, at both */
    size_t v_image, v_c, v_y, v_x;
    size_t out_image, out_o, out_y, out_x;
};

/* All products with one x. */
struct cczi_he_job {
    uint64_t key;      /* of x, for needs with the same one; 0: none */
    const uint64_t *x; /* at the evaluator */
    size_t x_o, x_c, x_y, x_x;
    size_t in_c, in_h, in_w, k_h, k_w, o, oh, ow, stride, pad; /* as the need says */
    struct cczi_he_part *parts;
    size_t parts_len, images;
    /* Strides taken out: a convolution of stride 1 over s_y s_x times the channels. */
    size_t s_y, s_x, c, h, w, kh, kw;
    size_t group, c_off; /* which group; first channel there */
};

/*
 * Jobs that share ciphertexts. A ciphertext holds `images_w` pieces of images, `chan` channels of each, and leaves room for the
 * products with `outs_w` outputs: piece i, pixel (y, x), channel c is the coefficient i outs_w area + (y w_t + x) chan + c.
 */
struct cczi_he_group {
    size_t first, len;       /* jobs, in the order of the plan */
    size_t chan;             /* a power of two: the distance of useful coefficients */
    size_t chan_tiles;       /* sums over so many ciphertexts */
    size_t h_t, w_t;         /* pixels of a piece */
    size_t step_y, step_x;   /* outputs of a piece */
    size_t tiles_y, tiles_x; /* pieces of an image */
    size_t pieces, area;     /* all of them; h_t w_t chan */
    size_t images_w, outs_w; /* pieces and outputs in a ciphertext */
    size_t blocks;           /* ceil(pieces / images_w) */
};

struct cczi_he_plan {
    size_t n;
    struct cczi_he_job *jobs; /* owned, with their parts */
    size_t len, cap;
    struct cczi_he_group *groups; /* ascending `chan` */
    size_t groups_len;
    size_t *order;                   /* of jobs, by group */
    size_t up, products, outs, down; /* ciphertexts; down after packing */
    size_t terms;                    /* ciphertexts in a sum, at most */
    struct ccz_bfv_place *places;    /* [outs] */
    uint32_t doublings;
};

/* What the choice of tiles weighs: microseconds. */
struct cczi_he_weights {
    double up, product, out, down;
};

/* A job with one part. Adds to the part list of an equal job if @p same (not NULL) says so. */
struct cczi_he_job *cczi_he_job_add(struct cczi_he_plan *p);
ccz_rc cczi_he_part_add(struct cczi_he_job *j, const struct cczi_he_part *part,
                        struct ccz_err *err);
/* Fills the derived fields of a job from those of the need. */
void cczi_he_job_derive(struct cczi_he_job *j);
/* Chooses the tiles for ciphertexts of n coefficients. "mpc:he-size": a single output does not fit. */
ccz_rc cczi_he_plan_tiles(struct cczi_he_plan *p, size_t n, const struct cczi_he_weights *weights,
                          struct ccz_err *err);
void cczi_he_plan_deinit(struct cczi_he_plan *p);
static inline size_t cczi_he_ceil(size_t a, size_t b)
{
    return (a + b - 1) / b;
}
/* Job @p i of group @p g. */
static inline struct cczi_he_job *cczi_he_job_of(const struct cczi_he_plan *p,
                                                 const struct cczi_he_group *g, size_t i)
{
    return &p->jobs[p->order[g->first + i]];
}

/* ------------------------------------------------------------------------------ contexts, keys */

enum { CCZI_HE_FLOOD = 56 }; /* bits, usually */
/* Parameters for products modulo 2^k with factors up to max_abs. */
struct cczi_he_suite {
    unsigned bits;
    double max_abs;
    size_t terms;
    unsigned flood_bits, flood_most; /* what it has; what was asked for */
    size_t n, return_limbs;
    struct ccz_bfv *c, *pack_c;
    struct ccz_bfv_eval *e, *pack_e;
    struct ccz_rlwe_sk *sk, *pack_sk; /* own */
    struct ccz_rlwe_pk *pk;           /* the peer's */
    struct ccz_bfv_pack_key *pack;    /* the peer's */
    uint32_t own_doublings, peer_doublings;
    bool own_sent, peer_got;
};
/*
 * @param n_min       the degree that tiles were chosen for; 0: any
 * @param flood_most  bits that hide a result, where that takes no larger degree
 */
ccz_rc cczi_he_suite_new(struct cczi_he_suite **out, unsigned bits, double max_abs, size_t terms,
                         size_t n_min, unsigned flood_most, struct ccz_err *err);
void cczi_he_suite_free(struct cczi_he_suite *s);
CCZ_DEFINE_AUTO(cczi_he_suite)
/* Whether keys for these doublings have to be sent by the owner of the key, and how many bytes that is. */
bool cczi_he_keys_missing(bool have, uint32_t doublings, uint32_t want);
size_t cczi_he_keys_size(const struct cczi_he_suite *s, uint32_t doublings);
ccz_rc cczi_he_keys_write(struct ccz_buf *out, struct cczi_he_suite *s, uint32_t doublings,
                          struct ccz_err *err);
ccz_rc cczi_he_keys_read(struct cczi_he_suite *s, struct ccz_span in, uint32_t doublings,
                         struct ccz_err *err);
/* Bytes of a ciphertext that is sent, and of one that comes back. */
size_t cczi_he_up_size(const struct ccz_bfv *c);
size_t cczi_he_down_size(const struct ccz_bfv *c, size_t limbs);

/* A flooded result goes to the other party: for tests of constant time. */
void cczi_he_ct_public(const struct ccz_bfv_ct *ct);

/* ----------------------------------------------------------------------------------- products */

/* Source of uniform words below 2^bits for masks. */
struct cczi_he_rng {
    ccz_rc (*fill)(void *arg, uint64_t *out, size_t len, unsigned bits, struct ccz_err *err);
    void *arg;
};

/* Owner: plan->up ciphertexts. Evaluator: plan->down of them from those. Owner: its shares. Shares are added to `out`. */
ccz_rc cczi_he_linear_up(struct ccz_buf *out, const struct cczi_he_plan *p, struct cczi_he_suite *s,
                         struct ccz_err *err);
ccz_rc cczi_he_linear_eval(struct ccz_buf *out, const struct cczi_he_plan *p,
                           struct cczi_he_suite *s, struct ccz_span up,
                           const struct cczi_he_rng *rng, struct ccz_err *err);
ccz_rc cczi_he_linear_down(const struct cczi_he_plan *p, struct cczi_he_suite *s,
                           struct ccz_span down, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- elementwise */

enum { CCZI_HE_PRIMES_MAX = 4, CCZI_HE_STAT_BITS = 61 };

/* Slots modulo several plaintext primes, whose product holds a product of elements and its mask. */
struct cczi_he_slots {
    unsigned bits, flood_bits;
    size_t n, len; /* primes */
    size_t return_limbs;
    struct ccz_modulus t[CCZI_HE_PRIMES_MAX];
    struct ccz_bfv *c[CCZI_HE_PRIMES_MAX];
    struct ccz_bfv_eval *e[CCZI_HE_PRIMES_MAX];
    struct ccz_rlwe_sk *sk[CCZI_HE_PRIMES_MAX];  /* own */
    struct ccz_rlwe_pk *pk[CCZI_HE_PRIMES_MAX];  /* the peer's */
    struct ccz_mulc inverse[CCZI_HE_PRIMES_MAX]; /* (T / t_i)^-1 mod t_i */
    double inv_t[CCZI_HE_PRIMES_MAX];
    uint64_t factor[CCZI_HE_PRIMES_MAX], whole; /* T / t_i, T modulo 2^64 */
    bool own_sent, peer_got;
};
ccz_rc cczi_he_slots_new(struct cczi_he_slots **out, unsigned bits, struct ccz_err *err);
void cczi_he_slots_free(struct cczi_he_slots *s);
CCZ_DEFINE_AUTO(cczi_he_slots)
size_t cczi_he_slots_keys_size(const struct cczi_he_slots *s);
ccz_rc cczi_he_slots_keys_write(struct ccz_buf *out, struct cczi_he_slots *s, struct ccz_err *err);
ccz_rc cczi_he_slots_keys_read(struct cczi_he_slots *s, struct ccz_span in, struct ccz_err *err);

/* len sums of `operands` (1, 2) products each: enc[0] fac[0] + enc[1] fac[1]; shares are added to `out`. */
struct cczi_he_elements {
    size_t operands, len;
    const uint64_t *enc[2]; /* at the owner of the key */
    const uint64_t *fac[2]; /* at the evaluator */
    uint64_t *out;
};
size_t cczi_he_slots_up_size(const struct cczi_he_slots *s, size_t operands, size_t len);
size_t cczi_he_slots_down_size(const struct cczi_he_slots *s, size_t len);
ccz_rc cczi_he_slots_up(struct ccz_buf *out, struct cczi_he_slots *s,
                        const struct cczi_he_elements *el, struct ccz_err *err);
ccz_rc cczi_he_slots_eval(struct ccz_buf *out, struct cczi_he_slots *s,
                          const struct cczi_he_elements *el, struct ccz_span up,
                          const struct cczi_he_rng *rng, struct ccz_err *err);
ccz_rc cczi_he_slots_down(struct cczi_he_slots *s, const struct cczi_he_elements *el,
                          struct ccz_span down, struct ccz_err *err);
#endif
