/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_CMP_H
#define CCZ_MPC_CMP_H
/**
 * @file mpc_cmp.h
 * What two parties do with shares that is not linear: comparisons, selection, ReLU, maxima, conversion between bits and
 * ring elements, truncation. Everything is made of correlated OTs, which the session hands out (both directions), and goes
 * through all elements of a tensor at once: rounds do not depend on how many there are.
 *
 * **Terms.** k: bits of the session's ring Z_2^k. An element is read as two's complement unless "unsigned" is said. n:
 * elements of the operand. A bit tensor (CCZ_MPC_BITS) is shared by exclusive or. s: bits to drop in a truncation.
 *
 * **Security.** Semi-honest peers, static; computational 128 bit. Each function is an *ideal functionality*: it takes both
 * parties' shares, which are uniform, and gives both shares of the result which is written beside it, each of which is uniform by
 * itself (truncation without messages apart); a party learns nothing but the shapes. Nothing is revealed anywhere here.
 * Statistical error: none, except where CCZ_MPC_TRUNC_LOCAL says so.
 *
 * **Cost.** ccz_mpc_cmp_cost() gives bytes, rounds and OTs of each function; tests hold the session's counters to it. A
 * round is one message of each party, both under way at the same time. What the OTs themselves cost (set-up, refilling of
 * the session's stock) is the session's to say: mpc.h.
 *  - OTs are random ones from the stock. The receiver says how its choice differs from the random one (1 bit per OT).
 *  - A comparison of b bits cuts them into leaves of 4. Per leaf: one 1-of-16 OT whose messages are the bits "less" and
 *    "equal" (Rathee et al., CrypTFlow2, CCS 2020, ePrint 2020/1002; 1 bit only in the lowest leaf, which needs no "equal"),
 *    made of 4 OTs. Party 0 is the sender for one half of the elements and party 1 for the other, so that both work.
 *    Then a tree of ANDs, one round per level: l - 1 nodes for l leaves, two ANDs with a common operand in each but the
 *    lowest of a level.
 *  - An AND uses a bit triple made of two random OTs (one each way, no bytes), and opens 2 bits per party (3 for two ANDs that
 *    share an operand).
 *  - Selection: two OTs of k bits, one each way.
 *
 * **Errors of all functions.** After a failure the session is unusable (mpc.h).
 *  - CCZ_E_ARG "mpc:kind": an operand is of the wrong kind; "mpc:shape": shapes do not fit; "mpc:scale": unequal fractions;
 *    "mpc:session": operands of two sessions. Other refusals stand beside their function.
 *  - CCZ_E_LIMIT "mpc:message-size", CCZ_E_ARG "ot:len": too many elements at once. OTs of an operation take 16 bytes each, and at
 *    most 2^28 in a direction: 65,536 ReLU of 32 bits 25 MB per direction, 5.6 million of 64 bits are the most. Cut larger ones.
 *  - CCZ_E_NOMEM "mpc:memory"
 *  - CCZ_E_PEER "chan:size": a message has the wrong size; what the OTs refuse (ot.h)
 *  - CCZ_E_TIMEOUT, CCZ_E_CLOSED from the channel
 * A bit that is flipped on the way changes results and is not noticed: the channel is authenticated, or this is lost.
 *
 * **Memory, threads.** `*out` is the caller's, NULL unless CCZ_OK. A session and its tensors belong to one thread at a time.
 * Time and addresses depend on shapes only (@ct).
 * Reading order of the sources: cmp_priv.h, cmp_wire.c, cmp_and.c, cmp_cot.c, millionaire.c, cmp_op.c, cmp.c, mux.c, convert.c,
 * relu.c, max.c, trunc.c, cmp_need.c, cmp_cost.c.
 */
#include <cczoo/mpc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------- comparisons */

/**
 * Millionaires: [x < y] per element, unsigned, where party 0 holds all of x and party 1 all of y.
 * @param[out] out   BITS of the shape
 * @param      x, y  PRIVATE to party 0 and 1, or the other way round
 * @param      bits  1 .. k: how many low bits are compared; higher ones must be 0 and are not looked at
 * @retval CCZ_E_ARG "mpc:bits"; "mpc:kind": both are of the same party
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_millionaires(struct ccz_mpc_tensor **out,
                                                 const struct ccz_mpc_tensor *x,
                                                 const struct ccz_mpc_tensor *y, unsigned bits,
                                                 struct ccz_err *err);
/** [x < 0], the most significant bit. One comparison of k - 1 bits. @param x  SHARED */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_msb(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                                        struct ccz_err *err);
/** [x >= 0], the derivative of ReLU. Same cost as ccz_mpc_msb(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_drelu(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *x, struct ccz_err *err);
/**
 * [x < y]. The difference must not overflow: -2^(k-1) <= x - y < 2^(k-1), which holds if both have k - 2 bits and a sign.
 * Outside of it the result is that of the difference mod 2^k. Same cost as ccz_mpc_msb().
 * @param x, y  SHARED, PUBLIC or PRIVATE (at least one not PUBLIC), same shape and fraction
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_less(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *x,
                                         const struct ccz_mpc_tensor *y, struct ccz_err *err);
/** [x < c] with a constant both know, in units of the last place of x (c = value 2^frac); x - c must not overflow. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_less_const(struct ccz_mpc_tensor **out,
                                               const struct ccz_mpc_tensor *x, int64_t c,
                                               struct ccz_err *err);
/** [x = y], no condition on the difference. Leaves of 4 bits with "equal" only; l - 1 ANDs. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_equal(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *x,
                                          const struct ccz_mpc_tensor *y, struct ccz_err *err);
/** [x0 + x1 >= 2^k]: whether the parties' shares, as numbers below 2^k, wrap. One comparison of k bits. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_wrap(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *x, struct ccz_err *err);

/* ------------------------------------------------------------------------------------- bits */

/** Bits to ring elements 0 and 1, SHARED, fraction 0. One OT, two rounds. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_b2a(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b,
                                        struct ccz_err *err);
/**
 * Ring elements to bits: a parallel prefix adder, 1 + log2 k rounds.
 * @param[out] out  BITS of shape [k, shape of x..] (rank of x at most 3, else "mpc:shape"): plane i holds bit i of x mod 2^k
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_a2b(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                                        struct ccz_err *err);

/* -------------------------------------------------------------------------------- selection */

/** b x: x where the bit is 1, else 0. Two OTs of k bits, two rounds. Shape and fraction of x. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_mux(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *b,
                                        const struct ccz_mpc_tensor *x, struct ccz_err *err);
/** b ? x : y. Cost of ccz_mpc_mux(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_select(struct ccz_mpc_tensor **out,
                                           const struct ccz_mpc_tensor *b,
                                           const struct ccz_mpc_tensor *x,
                                           const struct ccz_mpc_tensor *y, struct ccz_err *err);
/** max(x, 0). @param[out] positive  [x >= 0] as BITS, which a backward pass needs; may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_relu(struct ccz_mpc_tensor **out,
                                         struct ccz_mpc_tensor **positive,
                                         const struct ccz_mpc_tensor *x, struct ccz_err *err);
/** |x|; -2^(k-1) stays itself. Cost of ccz_mpc_relu(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_abs(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                                        struct ccz_err *err);
/**
 * lo if x < lo, hi if x > hi, else x, in units of the last place. Both comparisons in one batch: rounds of a ReLU.
 * x - lo and hi - x must not overflow. @retval CCZ_E_ARG "mpc:clamp": lo > hi
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_clamp(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *x, int64_t lo, int64_t hi,
                                          struct ccz_err *err);

/* ----------------------------------------------------------------------------------- maxima */

/** The larger of each two elements; x - y must not overflow. Cost of ccz_mpc_relu(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_max2(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *x,
                                         const struct ccz_mpc_tensor *y, struct ccz_err *err);
/**
 * Maximum along the last axis, of length d: a tree of ceil(log2 d) levels, each the cost of one ReLU of (d / 2) n / d
 * elements. Differences must not overflow.
 * @param[out] max    shape without the last axis
 * @param[out] index  SHARED, fraction 0: where the maximum stands, the first of equals; may be NULL. With it selection moves
 *                    two ring elements per OT.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_max(struct ccz_mpc_tensor **max, struct ccz_mpc_tensor **index,
                                        const struct ccz_mpc_tensor *x, struct ccz_err *err);
/** Windows of a picture; no padding: out = (in - window) / stride + 1, rounded down. */
struct ccz_mpc_pool {
    size_t height, width;      /**< of the window, at least 1 */
    size_t stride_y, stride_x; /**< 0 = height, width */
};
/** Max pooling, x [batch, height, width, channels]. @retval CCZ_E_ARG "mpc:pool": the window does not fit */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_max_pool(struct ccz_mpc_tensor **out,
                                             const struct ccz_mpc_tensor *x,
                                             const struct ccz_mpc_pool *pool, struct ccz_err *err);

/* ------------------------------------------------------------------------------- truncation */

/** What both know about x; a false promise gives a result that is wrong by 2^(k-s). */
enum ccz_mpc_range {
    CCZ_MPC_RANGE_ANY, /**< nothing */
    CCZ_MPC_RANGE_HALF, /**< -2^(k-2) <= x < 2^(k-2): one OT of s bits instead of a comparison of k bits */
    CCZ_MPC_RANGE_POSITIVE, /**< 0 <= x: the same */
};
/**
 * q = x / 2^s, rounded as the session's mode says; fraction of x less s.
 *  - CCZ_MPC_TRUNC_FAITHFUL: the floor, always (CrypTFlow2). RANGE_ANY: one comparison of k bits, which yields the carry of the
 *    low s bits as well, and two conversions of a bit (to k and s bits); with a range: a comparison of s bits, a conversion, and
 *    one OT of s bits.
 *  - CCZ_MPC_TRUNC_ONE_BIT: floor or floor + 1, the latter with probability (x mod 2^s) / 2^s over the shares: unbiased, and exact
 *    for multiples of 2^s. No comparison of the low bits (Huang et al., Cheetah, USENIX Security 2022, ePrint 2022/207). RANGE_ANY:
 *    one comparison of k bits and a conversion to s bits; with a range one OT of s bits, two rounds.
 *  - CCZ_MPC_TRUNC_LOCAL: the same values without a message (Mohassel, Zhang, SecureML, S&P 2017: party 0 shifts its share, party
 *    1 the negative of its own), but wrong by 2^(k-s) with probability |x| / 2^k: for |x| < 2^(k-40). Smaller rings than 64 bits
 *    leave no room for that and are refused, "mpc:trunc". The range is not used. Party
 *    0's share is below 2^(k-s), so not uniform in the whole ring.
 * In the last two the rounding depends on the low bits of the shares: who is shown q learns x rounded at a border that is random,
 * but known to it. That coin is part of the ideal functionality.
 * @param x  SHARED; PUBLIC or PRIVATE: the floor, in every mode, local
 * @param s  0 .. k - 2, "mpc:shift"; above the fraction of x: "mpc:scale". 0 is local.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_truncate(struct ccz_mpc_tensor **out,
                                             const struct ccz_mpc_tensor *x, unsigned s,
                                             enum ccz_mpc_range range, struct ccz_err *err);
/** The same in another mode than the session's. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_truncate_as(struct ccz_mpc_tensor **out,
                                                const struct ccz_mpc_tensor *x, unsigned s,
                                                enum ccz_mpc_range range, enum ccz_mpc_trunc mode,
                                                struct ccz_err *err);

/* ------------------------------------------------------------------------------------- cost */

enum ccz_mpc_cmp_op {
    CCZ_MPC_OP_MILLIONAIRES, /**< `bits` */
    CCZ_MPC_OP_MSB,          /**< also drelu, less, less_const */
    CCZ_MPC_OP_EQUAL,
    CCZ_MPC_OP_WRAP,
    CCZ_MPC_OP_B2A,
    CCZ_MPC_OP_A2B,
    CCZ_MPC_OP_MUX,  /**< also select */
    CCZ_MPC_OP_RELU, /**< also abs, max2 */
    CCZ_MPC_OP_CLAMP,
    CCZ_MPC_OP_MAX,            /**< `bits` = length of the axis; n = elements of the result */
    CCZ_MPC_OP_ARGMAX,         /**< likewise */
    CCZ_MPC_OP_TRUNC_FAITHFUL, /**< `bits` = s */
    CCZ_MPC_OP_TRUNC_FAITHFUL_RANGE,
    CCZ_MPC_OP_TRUNC_ONE_BIT,
    CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE,
    CCZ_MPC_OPS /**< how many */
};
struct ccz_mpc_cmp_cost {
    uint64_t sent[2]; /**< bytes that party 0 and party 1 send */
    uint64_t ots[2];  /**< OTs in which party 0 and party 1 is the sender */
    unsigned rounds;
};
/** Exact cost of one operation on n elements in a ring of k bits; zero where it is local, n is 0, or there is no such ring. */
CCZ_API struct ccz_mpc_cmp_cost ccz_mpc_cmp_cost(enum ccz_mpc_cmp_op op, size_t n, unsigned k,
                                                 unsigned bits);

#ifdef __cplusplus
}
#endif
#endif
