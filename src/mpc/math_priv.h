/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_MATH_PRIV_H
#define CCZI_MPC_MATH_PRIV_H
/* Functions of shared values: what the files share. Every function is written twice, on shares and on plain values. */
#include <cczoo/mpc_math.h>

#include "cmp_op.h"

/* Rings there are, of at least `least` bits: before anything is shifted by k. "mpc:ring" */
static inline ccz_rc cczi_math_ring(unsigned k, unsigned least, struct ccz_err *err)
{
    if (!cczi_mpc_is_ring(k) || k < least)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:ring", k, least > 8 ? least : 64);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ straight pieces */

enum { CCZI_PIECES_MAX = 31 };
/*
 * 0 below at[0], 1 from at[steps - 1] on, a[j] + b[j] x in [at[j], at[j + 1]), at fraction frac + shift, with half a unit of the
 * truncation that follows in a[j]. All numbers modulo 2^64.
 */
struct cczi_pieces {
    unsigned steps, frac, shift;
    unsigned bits; /* x - at[j] fits into bits + 1 bits */
    uint64_t at[CCZI_PIECES_MAX], a[CCZI_PIECES_MAX], b[CCZI_PIECES_MAX];
};
/* Of SIGMOID_3 and SIGMOID_SPLINE. "mpc:sigmoid", "mpc:pieces", "mpc:range", "mpc:frac", "mpc:ring" */
ccz_rc cczi_pieces_init(struct cczi_pieces *p, const struct ccz_mpc_sigmoid_cfg *cfg, unsigned k,
                        unsigned frac, struct ccz_err *err);
/* Before the truncation. x, out: [n] shares */
ccz_rc cczi_pieces_run(uint64_t *out, const uint64_t *x, size_t n, const struct cczi_pieces *p,
                       struct cczi_op *o, struct ccz_err *err);
void cczi_pieces_plain(uint64_t *out, const uint64_t *x, size_t n, const struct cczi_pieces *p,
                       unsigned k);
struct cczi_cmp_need cczi_pieces_need(size_t n, const struct cczi_pieces *p, unsigned k);

/*
 * That of 2 x, which tanh is made of: its range is one more (of all numbers nothing is known again). "mpc:sigmoid": of 3
 * pieces.
 */
ccz_rc cczi_tanh_sigmoid(struct ccz_mpc_sigmoid_cfg *out, const struct ccz_mpc_sigmoid_cfg *cfg,
                         struct ccz_err *err);

/* --------------------------------------------------------------------------------------- steps */

/* Rows, one behind the other without gaps: bit j n + i is a share of [x_i >= at[j]]; x - at[j] fits into bits + 1 bits. */
ccz_rc cczi_steps(uint64_t *rows, const uint64_t *x, size_t n, const uint64_t *at, unsigned steps,
                  unsigned bits, struct cczi_op *o, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- plain values */

/* floor(v / 2^s) of elements of k bits, s < k */
static inline uint64_t cczi_plain_floor(uint64_t v, unsigned s, unsigned k)
{
    const uint64_t mask = UINT64_MAX >> (64 - k), sign = 0 - (v >> (k - 1) & 1);
    v |= sign & ~mask;
    return (v >> s | (s > 0 ? sign << (64 - s) : 0)) & mask;
}
/* All ones if x >= c, in two's complement of k bits, and x - c does not overflow. */
static inline uint64_t cczi_plain_from(uint64_t x, uint64_t c, unsigned k)
{
    return ((x - c) >> (k - 1) & 1) - 1;
}

/* v + half a unit of what a truncation by s leaves */
static inline uint64_t cczi_plain_round(uint64_t v, unsigned s, unsigned k)
{
    return cczi_plain_floor((v + (s > 0 ? (uint64_t)1 << (s - 1) : 0)) & (UINT64_MAX >> (64 - k)),
                            s, k);
}

/* ----------------------------------------------------------------------------------- formulas */

enum { CCZI_MATH_KINDS = 1u << CCZ_MPC_PUBLIC | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_SHARED };

/*
 * A formula on shared tensors under way. Results belong to it. The first error stays: what follows does nothing and gives NULL, so that
 * a formula is written down without asking after each step.
 */
enum { CCZI_CALC_MAX = 96 };
struct cczi_calc {
    struct ccz_mpc *m;
    struct ccz_err *err;
    ccz_rc rc;
    struct ccz_mpc_tensor *own[CCZI_CALC_MAX];
    unsigned len;
};
void cczi_calc_deinit(struct cczi_calc *c);
#define CCZI_AUTO_CALC __attribute__((cleanup(cczi_calc_deinit))) struct cczi_calc
/* Takes t over (NULL: keeps rc, which is not CCZ_OK). */
struct ccz_mpc_tensor *cczi_calc_keep(struct cczi_calc *c, ccz_rc rc, struct ccz_mpc_tensor *t);
/* The result, to the caller. */
ccz_rc cczi_calc_leave(struct ccz_mpc_tensor **out, struct cczi_calc *c, struct ccz_mpc_tensor *t);
/* constant + ka a + kb b (b may be NULL), elements as integers, said to be at fraction frac. SHARED. */
struct ccz_mpc_tensor *cczi_affine(struct cczi_calc *c, unsigned frac, uint64_t constant,
                                   const struct ccz_mpc_tensor *a, uint64_t ka,
                                   const struct ccz_mpc_tensor *b, uint64_t kb);
/* a b (a = b: the square). Several of them in one round. */
struct ccz_mpc_tensor *cczi_times(struct cczi_calc *c, const struct ccz_mpc_tensor *a,
                                  const struct ccz_mpc_tensor *b);
void cczi_products(struct ccz_mpc_tensor **out, struct cczi_calc *c,
                   const struct ccz_mpc_product *p, size_t len);
/*
 * Truncation: exact, or of one bit. Never without messages, whatever the session says: values fill the ring here, and that one
 * would be wrong with probability |x| / 2^k.
 */
ccz_rc cczi_math_truncate(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned s,
                          enum ccz_mpc_range range, struct ccz_err *err);
/* Rounded to fraction `frac`: half a unit is added, then truncated. In place for len tensors of one shape and fraction, in one batch. */
void cczi_round(struct ccz_mpc_tensor **t, unsigned len, struct cczi_calc *c, unsigned frac,
                enum ccz_mpc_range range);
/* The same of one tensor, or without loss and for nothing if its fraction is smaller. */
struct ccz_mpc_tensor *cczi_at_frac(struct cczi_calc *c, struct ccz_mpc_tensor *t, unsigned frac,
                                    enum ccz_mpc_range range);

/* v of fraction `from` at fraction `to`, rounded down: constants. */
static inline uint64_t cczi_const(uint64_t v, unsigned from, unsigned to)
{
    return to >= from ? v << (to - from) : v >> (from - to);
}

/* The polynomial of CCZ_MPC_SIGMOID_CHEBYSHEV: x / 8 times a polynomial of degree (terms - 1) of its square. */
struct cczi_cheb {
    unsigned frac, work; /* of x, and inside */
    unsigned terms;      /* 2, 3, 4 */
    int64_t c[4];        /* fraction CCZI_CHEB_FRAC */
};
enum { CCZI_CHEB_FRAC = 6 };
ccz_rc cczi_cheb_init(struct cczi_cheb *p, const struct ccz_mpc_sigmoid_cfg *cfg, unsigned k,
                      unsigned frac, struct ccz_err *err);

/* e^x = (e^(x / 2^halvings))^(2^halvings) */
struct cczi_exp {
    unsigned frac, work; /* of x, and inside */
    unsigned halvings, shift;
    int lo, hi;        /* x is clamped to them */
    uint64_t c[4], c4; /* fraction 30, c4: `shift` */
    bool negative;
};
ccz_rc cczi_exp_init(struct cczi_exp *p, enum ccz_mpc_exp_range range, unsigned k, unsigned frac,
                     struct ccz_err *err);
struct ccz_mpc_tensor *cczi_exp_shared(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                       const struct cczi_exp *p, unsigned out_frac);
uint64_t cczi_exp_value(uint64_t x, const struct cczi_exp *p, unsigned out_frac, unsigned k);

/* Quotients and roots of x in [2^lo, 2^hi). */
enum cczi_inverse_kind { CCZI_RECIPROCAL, CCZI_SQRT, CCZI_RSQRT };
enum { CCZI_OCTAVES_MAX = 32 };
struct cczi_inverse {
    enum cczi_inverse_kind kind;
    unsigned frac, work, steps, bits;
    unsigned up_frac, back_frac;
    uint64_t at[CCZI_OCTAVES_MAX]; /* [steps], where the next octave (or two of them) begins */
    uint64_t
        up[CCZI_OCTAVES_MAX]; /* [steps + 1], brings x of this octave to [1/2, 1) or [1/4, 1) */
    uint64_t back[CCZI_OCTAVES_MAX]; /* [steps + 1], and the result back */
    unsigned turns;
};
ccz_rc cczi_inverse_init(struct cczi_inverse *p, enum cczi_inverse_kind kind, unsigned k,
                         unsigned frac, struct ccz_mpc_octaves octaves, struct ccz_err *err);
struct ccz_mpc_tensor *cczi_inverse_shared(struct cczi_calc *c, const struct ccz_mpc_tensor *x,
                                           const struct cczi_inverse *p, unsigned out_frac);
uint64_t cczi_inverse_value(uint64_t x, const struct cczi_inverse *p, unsigned out_frac,
                            unsigned k);
/* Of the comparisons, and their bits as ring elements. */
struct cczi_cmp_need cczi_inverse_need(size_t n, const struct cczi_inverse *p, unsigned k);

/* Exponentials of differences to the maximum, and their sum's reciprocal. */
struct cczi_softmax {
    struct cczi_exp exp;
    struct cczi_inverse inverse;
    unsigned work; /* fraction of exponentials and sum */
};
ccz_rc cczi_softmax_init(struct cczi_softmax *p, size_t d, unsigned k, unsigned frac,
                         struct ccz_err *err);

#endif
