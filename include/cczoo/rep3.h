/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_REP3_H
#define CCZ_REP3_H
/**
 * @file rep3.h
 * Computing of three parties on values that none of them sees, as long as no two put together what they have: replicated
 * secret shares over Z_2^k and over bits (Araki et al., CCS 2016; ABY3, CCS 2018). Against two parties (mpc.h) the third one
 * replaces oblivious transfer and homomorphic encryption: a product costs one element per party, and nothing is prepared.
 *
 * **Ideal functionality.** The three run the same program, line by line. A trusted fourth would take the inputs, compute what
 * the program says, and give each party what ccz_rep3_reveal() names, and nothing else. What all learn besides: the program,
 * shapes, scales, owners of inputs, and what is revealed to them. Realised against a **semi-honest**, static adversary that
 * sees everything **one** party sees. Two parties together know all values. Security is computational, 128 bits, and rests on
 * AES for streams and SHA-256 for their seeds, given confidential channels. A party that deviates can make results wrong and learn through results revealed to it. Attestation (RA-TLS) is
 * what makes "follows the protocol" something that is verified. A cheap check against faults, not against attacks: who is
 * shown a value gets the share it lacks from both others, and refuses if they differ ("rep3:copies"). Copies that the
 * receiver has itself are not compared: design/rep3.md says which faults stay unseen.
 *
 * Terms. Role i is followed by i + 1 mod 3, "next", and preceded by "previous". A value x is x_0 + x_1 + x_2 modulo 2^k,
 * k = 8, 16, 32 or 64; party i has x_i and x_(i+1). Values are kept as uint64_t below 2^k and sent as k/8 bytes,
 * little-endian. Fixed point: v is the element round(v 2^frac), negative ones in two's complement; sums need equal `frac`
 * ("rep3:scale"), products add them. A tensor is one of four kinds:
 *   PUBLIC  all know the values
 *   SHARED  two of the three shares at each party
 *   PARTS   one summand at each party: what products give. Nothing has been sent for it yet; what takes it pays the round
 *   BITS    one bit per element, shared like SHARED with exclusive or
 * So a product of matrices and the ReLU behind it cost no round of their own for the product.
 *
 * Cost. Each operation that sends states bytes (all three parties together) and rounds; ccz_rep3_stats() equals them exactly.
 * n = elements, w = k/8, B(n) = ceil(n / 8). One round is one trip of messages at the same time, at most one message from each
 * party to each other one. Some operations have a leading party, which sends more; the lead goes round, one party further at
 * each operation, so that the load is even.
 *
 * Failure. As in mpc.h: the first failure ends the session, both channels are closed with its `where` (or what another party has
 * closed with), so that the other two fail too, with CCZ_E_CLOSED; later operations return the first error again. Exception: planning sessions have no peers.
 *
 * Threads and ownership: a session and its tensors are used by one thread at a time. Tensors are freed before their session,
 * and wiped then. Operations allocate `*out`, which is NULL unless CCZ_OK, and may not be an operand.
 * @ct in all of them: time and addresses depend on shapes and public values, not on shares.
 * Reading order of the sources: rep3_priv.h, session.c, wire.c, tensor.c, linear.c, arrange.c, product.c, compare.c, select.c,
 * nonlinear.c, programs.c.
 */
#include <cczoo/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- session */

/** How ccz_rep3_trunc() works; everything else that truncates is SAFE. */
enum ccz_rep3_trunc {
    CCZ_REP3_TRUNC_SAFE, /**< 2 rounds, never wrong if -2^(k-2) <= x < 2^(k-2) as an element */
    CCZ_REP3_TRUNC_FAST, /**< 1 round, wrong by 2^(k - shift) with probability |x| / 2^k, x the element before */
};
#define CCZ_REP3_PROGRAM_SIZE 32
/** What a revealed value was, for a log of what left the computation. */
struct ccz_rep3_reveal {
    const char *label; /**< the caller's */
    size_t len;        /**< elements */
    unsigned to;       /**< bit i: party i */
    uint64_t number;   /**< of this reveal, from 1 */
};
/** Compared field by field with those of both others. Zeroed, but for role and ring: safe truncation, no digest. */
struct ccz_rep3_cfg {
    unsigned role;      /**< 0, 1 or 2: "rep3:hello-role" */
    unsigned ring_bits; /**< k: "rep3:ring", "rep3:hello-ring" */
    unsigned frac;      /**< of fixed-point inputs, below k - 1: "rep3:frac", "rep3:hello-frac" */
    enum ccz_rep3_trunc trunc; /**< "rep3:trunc", "rep3:hello-trunc" */
    /** Hash over the name, shapes and parameters of what will be computed: "rep3:hello-program". */
    uint8_t program[CCZ_REP3_PROGRAM_SIZE];
    /** Told of every reveal, at all parties, before its message is sent. May be NULL. */
    void (*on_reveal)(void *arg, const struct ccz_rep3_reveal *r);
    void *arg;
};
struct ccz_rep3;
/**
 * Opens a session: one message to each other party (CCZ_REP3_HELLO_SIZE bytes), one round. It carries what the seeds of
 * common randomness are made of, so that zero sharings never cost bytes again.
 * @param prev, next  to the previous and the next party; borrowed. They **must** be confidential and authenticated (RA-TLS):
 *                    who reads one of them knows the seed of its two ends, and with that and the messages what they share
 * @retval CCZ_E_ARG   "rep3:role", "rep3:ring", "rep3:frac", "rep3:trunc", "rep3:chan"
 * @retval CCZ_E_PEER  "rep3:hello" (no hello of ours), "rep3:hello-version", and those above
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_new(struct ccz_rep3 **out, struct ccz_chan *prev,
                                         struct ccz_chan *next, const struct ccz_rep3_cfg *cfg,
                                         struct ccz_err *err);
#define CCZ_REP3_HELLO_SIZE 112
/** A planning session: no peers and no values (received ones count as zero). ccz_rep3_stats() says what the real run will say. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_plan_new(struct ccz_rep3 **out, const struct ccz_rep3_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_rep3_free(struct ccz_rep3 *m); /**< NULL is fine; wipes */
CCZ_DEFINE_AUTO(ccz_rep3)
CCZ_API const struct ccz_rep3_cfg *ccz_rep3_cfg_of(const struct ccz_rep3 *m);
CCZ_API bool ccz_rep3_is_plan(const struct ccz_rep3 *m);
/** The first error, or CCZ_OK. */
CCZ_API ccz_rc ccz_rep3_status(const struct ccz_rep3 *m, struct ccz_err *err);

enum { CCZ_REP3_PREV, CCZ_REP3_NEXT };
/** Of this party, hello included. Sizes are bytes of messages, as the channel takes them. */
struct ccz_rep3_stats {
    uint64_t sent_size[2], received_size[2]; /**< [CCZ_REP3_PREV], [CCZ_REP3_NEXT] */
    uint64_t sent_len[2], received_len[2];   /**< messages */
    uint64_t rounds;                         /**< the same at all parties */
    uint64_t reveals, revealed_len;
};
CCZ_API struct ccz_rep3_stats ccz_rep3_stats(const struct ccz_rep3 *m);

/* ------------------------------------------------------------------------------------- tensors */

#define CCZ_REP3_RANK_MAX 4
#define CCZ_REP3_LEN_MAX  ((size_t)1 << 28) /**< elements; "rep3:shape" */
/** Row-major. Every dimension is at least 1; rank 0 is a single value. */
struct ccz_rep3_shape {
    unsigned rank;
    size_t dim[CCZ_REP3_RANK_MAX];
};
#define CCZ_REP3_SHAPE1(a)          ((struct ccz_rep3_shape){1, {(a)}})
#define CCZ_REP3_SHAPE2(a, b)       ((struct ccz_rep3_shape){2, {(a), (b)}})
#define CCZ_REP3_SHAPE3(a, b, c)    ((struct ccz_rep3_shape){3, {(a), (b), (c)}})
#define CCZ_REP3_SHAPE4(a, b, c, d) ((struct ccz_rep3_shape){4, {(a), (b), (c), (d)}})

enum ccz_rep3_kind { CCZ_REP3_PUBLIC, CCZ_REP3_SHARED, CCZ_REP3_PARTS, CCZ_REP3_BITS };
struct ccz_rep3_tensor;
CCZ_API void ccz_rep3_tensor_free(struct ccz_rep3_tensor *t); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_rep3_tensor)
CCZ_API enum ccz_rep3_kind ccz_rep3_kind_of(const struct ccz_rep3_tensor *t);
CCZ_API struct ccz_rep3_shape ccz_rep3_shape_of(const struct ccz_rep3_tensor *t);
CCZ_API size_t ccz_rep3_len_of(const struct ccz_rep3_tensor *t);
CCZ_API unsigned ccz_rep3_frac_of(const struct ccz_rep3_tensor *t);
CCZ_API struct ccz_rep3 *ccz_rep3_session_of(const struct ccz_rep3_tensor *t);
/** This party's share x_(role + which), which = 0 or 1; of PUBLIC and PARTS ones: 0 alone. len words (BITS: packed). Borrowed. */
CCZ_API const uint64_t *ccz_rep3_words(const struct ccz_rep3_tensor *t, unsigned which);

/** A tensor all know. @param values  reduced modulo 2^k here; copied @param frac  at most k - 2 ("rep3:frac") */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_public(struct ccz_rep3_tensor **out, struct ccz_rep3 *m,
                                            struct ccz_rep3_shape shape, unsigned frac,
                                            const uint64_t *values, struct ccz_err *err);
/**
 * Shares of a party's values. Bytes: n w, from the owner to the next party; 1 round.
 * @param values  of the owner; NULL at the others ("rep3:values"), and in planning sessions
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_share(struct ccz_rep3_tensor **out, struct ccz_rep3 *m,
                                           unsigned owner, struct ccz_rep3_shape shape,
                                           unsigned frac, const uint64_t *values,
                                           struct ccz_err *err);
/** Likewise bits, packed: bit i % 64 of word i / 64. Bytes: B(n); 1 round. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_share_bits(struct ccz_rep3_tensor **out, struct ccz_rep3 *m,
                                                unsigned owner, struct ccz_rep3_shape shape,
                                                const uint64_t *bits, struct ccz_err *err);
enum { CCZ_REP3_TO_ALL = 7 };
/**
 * Reveals SHARED or BITS (packed) to the parties whose bits are in @p to. Each receiver gets the share it lacks from the next
 * party, and the same from the previous one (beyond 32 bytes: its SHA-256).
 * Bytes, per receiver: s + min(s, 32), s = n w (BITS: B(n)); 1 round.
 * @param[out] out  at a receiver: n words (BITS: packed), zeros after an error; else NULL (refused otherwise, and left alone)
 * @retval CCZ_E_ARG   "rep3:reveal": to nobody, no `out` at a receiver, or one elsewhere; "rep3:kind"
 * @retval CCZ_E_PEER  "rep3:copies": the two copies differ
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_reveal(uint64_t *out, const struct ccz_rep3_tensor *t,
                                            unsigned to, const char *label, struct ccz_err *err);

/* ----------------------------------------------------------------------- linear: no bytes, no rounds */

/* Shapes are broadcast: aligned at the last dimension, a dimension of 1 (or none) repeats. "rep3:shape", "rep3:scale",
 * "rep3:session" (tensors of two sessions), "rep3:kind" (BITS). With a PARTS operand the result is PARTS, else SHARED, or PUBLIC if
 * all operands are. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_add(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a,
                                         const struct ccz_rep3_tensor *b, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_sub(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a,
                                         const struct ccz_rep3_tensor *b, struct ccz_err *err);
/** a times a public integer, whose own scale is @p frac: that of the result is the sum. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_scale(struct ccz_rep3_tensor **out,
                                           const struct ccz_rep3_tensor *a, uint64_t factor,
                                           unsigned frac, struct ccz_err *err);
/** a plus one public value (at a's scale) everywhere. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_add_value(struct ccz_rep3_tensor **out,
                                               const struct ccz_rep3_tensor *a, uint64_t value,
                                               struct ccz_err *err);
/** The same elements, said to be at another scale: values times 2^(old - frac), for nothing. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_reinterpret(struct ccz_rep3_tensor **out,
                                                 const struct ccz_rep3_tensor *a, unsigned frac,
                                                 struct ccz_err *err);
/** Sums along a dimension, which becomes 1. "rep3:axis" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_sum(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a, unsigned axis,
                                         struct ccz_err *err);
/** Bits of one shape; PUBLIC ones do not exist. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_xor(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a,
                                         const struct ccz_rep3_tensor *b, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_not(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a, struct ccz_err *err);

/* Arrangement; not of BITS ("rep3:kind"). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_reshape(struct ccz_rep3_tensor **out,
                                             const struct ccz_rep3_tensor *a,
                                             struct ccz_rep3_shape shape, struct ccz_err *err);
/** @p a repeated to @p shape by the rule above. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_expand(struct ccz_rep3_tensor **out,
                                            const struct ccz_rep3_tensor *a,
                                            struct ccz_rep3_shape shape, struct ccz_err *err);
/** Elements from, from + step, ... (len of them) of a dimension. "rep3:axis", "rep3:slice" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_slice(struct ccz_rep3_tensor **out,
                                           const struct ccz_rep3_tensor *a, unsigned axis,
                                           size_t from, size_t step, size_t len,
                                           struct ccz_err *err);
/** Two of equal kind and scale, one behind the other in a dimension. "rep3:axis", "rep3:kind", "rep3:scale", "rep3:shape" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_concat(struct ccz_rep3_tensor **out,
                                            const struct ccz_rep3_tensor *a,
                                            const struct ccz_rep3_tensor *b, unsigned axis,
                                            struct ccz_err *err);
/** The last two dimensions change places. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_transpose(struct ccz_rep3_tensor **out,
                                               const struct ccz_rep3_tensor *a,
                                               struct ccz_err *err);

/* ---------------------------------------------------------------- products: no bytes, no rounds */

/* Of SHARED and SHARED: PARTS. With a PUBLIC operand: the kind of the other one. PARTS are no factors of SHARED or PARTS ones
 * ("rep3:kind"): ccz_rep3_reshare() or ccz_rep3_trunc() first. The scale of a product is the sum of those of its factors; above
 * k - 2 it is refused, "rep3:frac". */
/** Elementwise, shapes broadcast. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_mul(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a,
                                         const struct ccz_rep3_tensor *b, struct ccz_err *err);
/** @shape a[m, k], b[k, n], out[m, n] */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_matmul(struct ccz_rep3_tensor **out,
                                            const struct ccz_rep3_tensor *a,
                                            const struct ccz_rep3_tensor *b, struct ccz_err *err);
/** @shape x[n, h, w, c], weights[kh, kw, c, o], out[n, oh, ow, o]; zero padding on all sides. "rep3:conv" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_conv2d(struct ccz_rep3_tensor **out,
                                            const struct ccz_rep3_tensor *x,
                                            const struct ccz_rep3_tensor *weights, size_t stride,
                                            size_t pad, struct ccz_err *err);

/* ------------------------------------------------------------------------- what takes PARTS */

/* All of these take SHARED or PARTS. "+ parts": 2 n w more if the operand is PARTS; no more rounds. */
/** PARTS to SHARED (a SHARED one is copied for nothing). Bytes: 3 n w; 1 round. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_reshare(struct ccz_rep3_tensor **out,
                                             const struct ccz_rep3_tensor *a, struct ccz_err *err);
/**
 * Elements divided by 2^shift, rounded down or up at random: up with probability exactly (x mod 2^shift) / 2^shift over the shares, so
 * that it is unbiased, and exact for multiples (behind a FAST truncation by d: if shift is at most k - d). The coin is known to parties (design/rep3.md). frac becomes frac - shift ("rep3:scale").
 * SAFE: bytes 3 n w + ceil(n shift / 8) + parts; 2 rounds; right if -2^(k-2) <= x < 2^(k-2).  FAST: bytes 5 n w; 1 round.
 * @param shift  at most k - 2; 0: as ccz_rep3_reshare()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_trunc(struct ccz_rep3_tensor **out,
                                           const struct ccz_rep3_tensor *a, unsigned shift,
                                           struct ccz_err *err);

/**
 * What is known of a value that is compared. Zeroed: nothing, exact over the whole ring.
 * Bytes and rounds of comparisons depend on c = bits - skip - 1: l = ceil(c / 4) leaves, the last of which has the rest of
 * the bits. M = sum over leaves of 2^(its bits) - 1. d = ceil(log2 l) levels and A = 2 (l - 1) - d ANDs; if l is 1, d = A = 1.
 */
struct ccz_rep3_range {
    unsigned
        bits; /**< -2^(bits-1) <= x < 2^(bits-1), as elements; 0: k. A wrong claim makes wrong results. 2 + skip .. k: "rep3:range" */
    unsigned
        skip; /**< so many low bits of the shares are left out: 0 <= x < 2^skip may count as negative, and, since the smallest numbers overflow
                 in the same way, x < -2^(bits-1) + 2^skip as not negative. Where these occur, claim one bit more. */
};
/**
 * x < 0, as BITS. Bytes: (M + 2 (2 l - 1) + 3 A) B(n) + parts; 2 + d rounds.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_negative(struct ccz_rep3_tensor **out,
                                              const struct ccz_rep3_tensor *x,
                                              struct ccz_rep3_range range, struct ccz_err *err);
/** a < b, for values whose difference is in the range. As ccz_rep3_negative() of a - b. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_less(struct ccz_rep3_tensor **out,
                                          const struct ccz_rep3_tensor *a,
                                          const struct ccz_rep3_tensor *b,
                                          struct ccz_rep3_range range, struct ccz_err *err);
/** Bytes: 3 B(n), 1 round. Shapes are equal. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_and(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *a,
                                         const struct ccz_rep3_tensor *b, struct ccz_err *err);
/**
 * bit x, for bits and values of one shape: 0 where the bit is 0. x SHARED: bytes 4 n w; PARTS: 5 n w + parts; 2 rounds.
 * @param x  NULL: 1, so that bits become elements (frac 0); bytes 3 n w
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_inject(struct ccz_rep3_tensor **out,
                                            const struct ccz_rep3_tensor *bits,
                                            const struct ccz_rep3_tensor *x, struct ccz_err *err);
/**
 * max(x, 0) / 2^shift, rounded as by ccz_rep3_trunc() SAFE. With range.skip <= shift the error stays below one.
 * Bytes: (M + 2 (2 l - 1) + 3 A - 1) B(n) + 5 n w + ceil(2 n shift / 8) + parts; 3 + d rounds.
 * shift is 0 and x SHARED: n w less.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_relu(struct ccz_rep3_tensor **out,
                                          const struct ccz_rep3_tensor *x, unsigned shift,
                                          struct ccz_rep3_range range, struct ccz_err *err);
/**
 * The sigmoid of three pieces (SecureML): 0 below -1/2, x + 1/2, 1 above 1/2, at scale frac - shift. Both comparisons share
 * what their leading party sends. Error against the logistic function: 0.378 at most (at 1/2); against itself: rounding as by
 * ccz_rep3_trunc() SAFE, and at the ends one unit at most if range.skip <= shift.
 * Bytes: (M + 2 (2 (2 l - 1) + 3 A) - 2) B(n) + 7 n w + ceil(3 n shift / 8) + parts; 3 + d rounds.
 * shift is 0 and x SHARED: n w less.
 * @param range  of x - 1/2 and x + 1/2
 * @retval CCZ_E_ARG  "rep3:scale": frac - shift is 0, or frac above k - 3
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_sigmoid3(struct ccz_rep3_tensor **out,
                                              const struct ccz_rep3_tensor *x, unsigned shift,
                                              struct ccz_rep3_range range, struct ccz_err *err);

/* ------------------------------------------------------------------------------------- programs */

/** One step of logistic regression by gradient descent on a batch, with the sigmoid of three pieces. */
struct ccz_rep3_lr_cfg {
    unsigned
        rate_shift; /**< the weights move by 2^-rate_shift times the sum of gradients of the batch; at most 2 frac ("rep3:scale"), and 2 frac + rate_shift at most k - 2 ("rep3:frac") */
    /** Of x w before truncation, at twice the scale; zeroed is always right. The sigmoid gets one bit more (up to k), for 1/2. */
    struct ccz_rep3_range range;
};
/**
 * out = w - 2^-rate_shift x' (sigmoid3(x w) - y). SHARED all, at one scale. A column of ones is the intercept.
 * Rounds: those of ccz_rep3_sigmoid3(), with one bit more than the range has, and of ccz_rep3_trunc() in the session's mode. Bytes:
 * their sum.
 * @shape w[f, 1], x[n, f], y[n, 1]
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_lr_step(
    struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *w, const struct ccz_rep3_tensor *x,
    const struct ccz_rep3_tensor *y, const struct ccz_rep3_lr_cfg *cfg, struct ccz_err *err);
struct ccz_rep3_layer {
    const struct ccz_rep3_tensor *weights; /**< [in, out], SHARED or PUBLIC */
    const struct ccz_rep3_tensor *bias; /**< [out], at weights' scale + the inputs'; NULL: none */
};
#define CCZ_REP3_LAYERS_MAX 64
/**
 * Dense layers with ReLU between them; nothing behind the last, whose result is PARTS (SHARED with PUBLIC weights) at the sum of
 * scales. After each ReLU values are back at the scale of x.
 * @param range  of sums before their ReLU
 * @retval CCZ_E_ARG  "rep3:layers": none, or above CCZ_REP3_LAYERS_MAX
 * @shape x[n, in]
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rep3_mlp(struct ccz_rep3_tensor **out,
                                         const struct ccz_rep3_tensor *x,
                                         const struct ccz_rep3_layer *layers, size_t len,
                                         struct ccz_rep3_range range, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
