/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_MATH_H
#define CCZ_MPC_MATH_H
/**
 * @file mpc_math.h
 * Functions of fixed-point values that two parties share (mpc.h): sigmoid, tanh, exponential, reciprocal, roots, softmax; and rows
 * of a table in an order that one party, or neither, knows.
 *
 * **Ideal functionality.** Each function takes both shares of x and gives uniform shares of the value that its `_plain` twin
 * computes (tanh: shares of an even number, so both even). Nothing is revealed. In a session with CCZ_MPC_TRUNC_FAITHFUL the result is that value, bit for bit. With
 * CCZ_MPC_TRUNC_ONE_BIT every truncation inside gives the same or one more, and the result is at most the stated error and 1 u away from
 * the plain value, unless another bound is stated. With CCZ_MPC_TRUNC_LOCAL it is the same: as values fill the ring in here, truncations are those of
 * ONE_BIT.
 *
 * Terms. k: bits of the ring; f: fraction of x, and of every result unless said; u = 2^-f, one unit in the last place; n: elements.
 * "Error" is the largest difference from the real function of the real number that x stands for, over the whole input range.
 *
 * Operands are SHARED, PUBLIC or PRIVATE. The last two cost nothing: who knows the values computes the plain function, and the
 * result is of the same kind.
 *
 * **Cost.** ccz_mpc_math_cost() gives online bytes, rounds, OTs and the randomness of products; tests hold counters to it.
 * Comparisons that belong to one function travel in one batch. A sigmoid of 3 pieces takes 8 rounds in a ring of 64 bits, in every mode; 7 if
 * |x| is known to be below 8 and f <= 28, 6 if f <= 12. One of 5 to 31 pieces takes 8 and a truncation: 14, ONE_BIT 10. The others are in
 * docs/design/mpc.md.
 *
 * **Errors of all functions**: those of mpc_cmp.h, and
 *  - CCZ_E_ARG "mpc:ring": a ring of less than 32 bits (sigmoid of pieces and permutations work in all); of twins also what
 *    is no ring: not 8, 16, 32 or 64
 *  - CCZ_E_ARG "mpc:frac": more than the fraction that the function can work with in this ring
 * After a failure the session is unusable.
 *
 * **Memory, threads**: as mpc_cmp.h. Time and addresses depend on shapes and public parameters only (@ct), also in `_plain`; but
 * for orders of more than 2,048 rows, as ccz_mpc_permute() and ccz_mpc_shuffle() say.
 * A call needs memory for all its steps at once: besides OTs about 16 bytes for each element and piece, and half a kilobyte for each
 * element of exponentials and quotients. Cut larger ones.
 * Reading order of the sources: math_priv.h, math_tables.c, math_steps.c, math_calc.c, math_sigmoid.c, math_exp.c, math_inverse.c,
 * math_softmax.c, math_cost.c; shuffle.h, shuffle_tree.c, shuffle_route.c, shuffle.c.
 */
#include <cczoo/mpc_cmp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- sigmoid */

/** 1 / (1 + e^-x), approximated. */
enum ccz_mpc_sigmoid {
    /** 0, x + 1/2, 1 (Mohassel, Zhang, SecureML, S&P 2017). Exact in this sense. Error 0.378 (at 1/2): a step, made for training. */
    CCZ_MPC_SIGMOID_3,
    /** 3, 5, 7, 15 or 31 straight pieces, the first 0 and the last 1, with the least error there is. Values in [0, 1]. */
    CCZ_MPC_SIGMOID_SPLINE,
    /** An odd polynomial of degree 3, 5 or 7 and 1/2, no comparison: for -8 <= x <= 8 only, and useless outside. */
    CCZ_MPC_SIGMOID_CHEBYSHEV,
};
/** Zeroed: three pieces, nothing known about x. */
struct ccz_mpc_sigmoid_cfg {
    enum ccz_mpc_sigmoid kind; /**< "mpc:sigmoid" */
    unsigned pieces;           /**< SPLINE: 3, 5, 7, 15 or 31; 0 = 7; "mpc:pieces" */
    unsigned degree;           /**< CHEBYSHEV: 3, 5 or 7; 0 = 5; "mpc:degree" */
    /** 3 or more: both know that -2^range <= x < 2^range, which makes comparisons of range + f + 1 bits instead of k - 1. A false
     *  promise gives a wrong result. 0: nothing is known but |x| < 2^(k-1) u - 16. "mpc:range" */
    unsigned range;
};
/**
 * @error 3: 0.378. SPLINE: 0.0561 (3), 0.0174 (5), 0.0084 (7), 0.0017 (15), 0.00039 (31), each plus 2^(1-s) + u, where s is
 *        the smaller of 16 and k - 2 - f. CHEBYSHEV: 0.0917 (3), 0.0432 (5), 0.0199 (7), each plus 2 u (k = 32: 16 u). ONE_BIT and
 *        LOCAL differ from the plain value by at most 1 u, CHEBYSHEV by 2 u (k = 32: 16 u), of 3 pieces not at all.
 * @retval CCZ_E_ARG "mpc:frac": 3: f is 0 or above k - 2; SPLINE: above k - 8; CHEBYSHEV: above 24 (k = 32: 10)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sigmoid_as(struct ccz_mpc_tensor **out,
                                               const struct ccz_mpc_tensor *x,
                                               const struct ccz_mpc_sigmoid_cfg *cfg,
                                               struct ccz_err *err);
/** The kind with its defaults, nothing known about x. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sigmoid(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *x,
                                            enum ccz_mpc_sigmoid kind, struct ccz_err *err);
/** 2 sigmoid(2 x) - 1. Twice the error of the sigmoid; -4 <= x <= 4 for CHEBYSHEV. Not of 3 pieces, "mpc:sigmoid".
 *  @param cfg  range: of x; 0: nothing is known but |x| < 2^(k-2) u - 8 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_tanh(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *x,
                                         const struct ccz_mpc_sigmoid_cfg *cfg,
                                         struct ccz_err *err);

/* ------------------------------------------------------------------------- exponential, quotients, roots */

/* Products are SHARED x SHARED ones of the session's source: CCZ_MPC_MUL and CCZ_MPC_SQUARE in ccz_mpc_needs() of a planning
 * session. "u" here is one unit of the result's last rounding; in modes ONE_BIT and LOCAL results are at most twice the relative error and
 * 2 u away from the plain value. */

enum ccz_mpc_exp_range {
    CCZ_MPC_EXP_ANY, /**< x is clamped to [-16, 8], in a ring of 32 bits to [-16, 4] */
    CCZ_MPC_EXP_NEGATIVE, /**< both know that x <= 0; clamped to [-16, 0]. One comparison less, and more precise */
};
/**
 * e^x: a polynomial of degree 4 of x / 2^t, squared t times.
 * @param x  |x| < 2^(k-1) u - 16
 * @error relative to e^x, of clamped x, plus u: k = 64: 2^-15; k = 32: 2^-6, NEGATIVE 2^-9. ONE_BIT: one
 *        more in each rounding is doubled by every square: k = 32 within 2^-4, NEGATIVE 2^-7 of the plain value
 * @retval CCZ_E_ARG  "mpc:exp-range"; "mpc:frac": f above 24; k = 32: above 12, NEGATIVE 15
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_exp(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                                        enum ccz_mpc_exp_range range, struct ccz_err *err);

/** Both know that 2^lo <= x < 2^hi. Each power of two in between is one comparison (roots: each second one). */
struct ccz_mpc_octaves {
    /** -f <= lo < hi, 1 <= hi <= k - 6 - f, hi - lo <= 32 (k = 32: 16); of 1 / x also hi <= 34 (k = 32: 17); "mpc:octaves" */
    int lo, hi;
};
/**
 * 1 / x. x is brought into [1/2, 1) by a power of two, selected by comparisons; then Goldschmidt's products.
 * @error relative 2^-25 (k = 32: 2^-11), plus u. Values outside of the octaves, 0 too, give a result without meaning that does
 *        not end the session.
 * @retval CCZ_E_ARG  "mpc:frac": f above 28 (k = 32: 13); of roots too
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_reciprocal(struct ccz_mpc_tensor **out,
                                               const struct ccz_mpc_tensor *x,
                                               struct ccz_mpc_octaves octaves, struct ccz_err *err);
/** Square root. @error relative 2^-18 (k = 32: 2^-11), plus u */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sqrt(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *x,
                                         struct ccz_mpc_octaves octaves, struct ccz_err *err);
/** 1 / square root. @error relative 2^-18 (k = 32: 2^-10), plus u */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_rsqrt(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *x,
                                          struct ccz_mpc_octaves octaves, struct ccz_err *err);
/**
 * e^x_i / sum of e^x_j along the last axis, of length d: maximum, exponentials, one reciprocal for each row.
 * @param x  differences must stay 16 below overflow; d at most 2^16 (k = 32: 2^10), "mpc:softmax"
 * @error 2^-14 (k = 32: 2^-8), plus u
 * @retval CCZ_E_ARG  "mpc:frac": f above 24 (k = 32: 13)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_softmax(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *x, struct ccz_err *err);

/* ------------------------------------------------------------------------------- order of rows */

/*
 * Rows are what dimension 0 counts: r of them, of d elements. Permute and share (Chase, Ghosh, Poburinnaya, ASIACRYPT 2020): for each
 * row the party that does not know the order has a tree of random numbers of which the other one knows all but that of the row's
 * place. Bytes: 16 for each of the log2 r levels of a row's tree, whatever d is, and the row once; a network of switches sends
 * about log2 r rows instead. Above 2,048 rows the order is made of three steps inside of about sqrt r rows each, so that the work is
 * r^1.5 and not r^2: rows are sent three times, trees have half as many levels.
 */
#define CCZ_MPC_ROWS_MAX ((size_t)1 << 18) /**< "mpc:rows" */
/**
 * out[i] = x[order[i]], in an order that party `owner` alone knows. 2 rounds; if the owner knows x, nothing, and out is PRIVATE.
 * @param x      SHARED, PRIVATE or PUBLIC, any fraction; at least one dimension
 * @param order  of the owner: each of 0 .. r - 1 once, "mpc:order"; NULL at the other party ("mpc:values"), and in planning
 *               sessions. Secret: @ct up to 2,048 rows; above, the owner's time before its first message depends on its own order
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_permute(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *x, unsigned owner,
                                            const uint32_t *order, struct ccz_err *err);
/**
 * In a uniformly random order that nobody knows: a permutation of each party. 4 rounds. SHARED, whatever x is.
 * Not @ct above 2,048 rows: each party looks for the three steps of its permutation by walking along its cycles, and the other one
 * sees when it goes on. That happens before the first message of the operation, for both permutations; whoever must not learn even
 * that waits for a fixed time, or shuffles smaller tables.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_shuffle(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *x, struct ccz_err *err);

/* ------------------------------------------------------------------------- plain twins, cost */

/* What the functions compute, on values instead of shares: elements of k = ring_bits bits, fraction f = frac, in and out. Same
 * refusals. In and out may be the same array. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sigmoid_plain(uint64_t *out, const uint64_t *x, size_t len,
                                                  unsigned ring_bits, unsigned frac,
                                                  const struct ccz_mpc_sigmoid_cfg *cfg,
                                                  struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_tanh_plain(uint64_t *out, const uint64_t *x, size_t len,
                                               unsigned ring_bits, unsigned frac,
                                               const struct ccz_mpc_sigmoid_cfg *cfg,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_exp_plain(uint64_t *out, const uint64_t *x, size_t len,
                                              unsigned ring_bits, unsigned frac,
                                              enum ccz_mpc_exp_range range, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_reciprocal_plain(uint64_t *out, const uint64_t *x, size_t len,
                                                     unsigned ring_bits, unsigned frac,
                                                     struct ccz_mpc_octaves octaves,
                                                     struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sqrt_plain(uint64_t *out, const uint64_t *x, size_t len,
                                               unsigned ring_bits, unsigned frac,
                                               struct ccz_mpc_octaves octaves, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_rsqrt_plain(uint64_t *out, const uint64_t *x, size_t len,
                                                unsigned ring_bits, unsigned frac,
                                                struct ccz_mpc_octaves octaves,
                                                struct ccz_err *err);
/** @shape x[rows, d], out[rows, d] */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_softmax_plain(uint64_t *out, const uint64_t *x, size_t rows,
                                                  size_t d, unsigned ring_bits, unsigned frac,
                                                  struct ccz_err *err);

enum ccz_mpc_math_op {
    CCZ_MPC_MATH_SIGMOID,
    CCZ_MPC_MATH_TANH,
    CCZ_MPC_MATH_EXP,
    CCZ_MPC_MATH_RECIPROCAL,
    CCZ_MPC_MATH_SQRT,
    CCZ_MPC_MATH_RSQRT,
    CCZ_MPC_MATH_SOFTMAX,
    CCZ_MPC_MATH_PERMUTE,
    CCZ_MPC_MATH_SHUFFLE,
};
/** A call, for ccz_mpc_math_cost(). */
struct ccz_mpc_math_call {
    enum ccz_mpc_math_op op;
    size_t n;                           /**< elements; SOFTMAX, PERMUTE, SHUFFLE: rows */
    size_t d;                           /**< SOFTMAX, PERMUTE, SHUFFLE: elements of a row */
    unsigned ring_bits, frac;           /**< k, f */
    enum ccz_mpc_trunc trunc;           /**< of the session */
    struct ccz_mpc_sigmoid_cfg sigmoid; /**< SIGMOID, TANH */
    enum ccz_mpc_exp_range exp_range;   /**< EXP */
    struct ccz_mpc_octaves octaves;     /**< RECIPROCAL, SQRT, RSQRT */
    unsigned owner;                     /**< PERMUTE */
};
struct ccz_mpc_math_cost {
    uint64_t sent[2]; /**< bytes that party 0 and party 1 send online */
    uint64_t ots[2];  /**< OTs in which party 0 and party 1 is the sender */
    unsigned rounds;  /**< online */
    uint64_t muls,
        squares; /**< elements of CCZ_MPC_MUL and CCZ_MPC_SQUARE that a source has to prepare */
};
/** Exact, for a SHARED operand. A call that is refused costs nothing. */
CCZ_API struct ccz_mpc_math_cost ccz_mpc_math_cost(const struct ccz_mpc_math_call *call);

#ifdef __cplusplus
}
#endif
#endif
