/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_H
#define CCZ_MPC_H
/**
 * @file mpc.h
 * Computing of two parties on values that neither shows to the other: secret shares over Z_2^k and over bits. Here: session,
 * tensors, sharing, revealing, everything linear, and products. Comparisons: mpc_cmp.h. Functions: mpc_math.h. Where the
 * correlated randomness of products comes from: mpc_source.h.
 *
 * **Ideal functionality.** Both parties run the same program, line by line. A trusted third would take the inputs of both,
 * compute what the program says, and give each party what ccz_mpc_reveal() names, and nothing else. What both parties learn
 * besides: the program, all shapes, scales and owners, and what is revealed to them. The protocols realise it against a
 * **semi-honest**, static adversary: one of the parties follows the protocol and reads everything it sees. Computational
 * security is 128 bits (117 where messages are masked by transfers, ot_ext.h), statistical 40 bits
 * of a session unless cfg.stat_bits says less: enforced over the whole of it, "mpc:he-distance"; sessions on the same values add up. A party that deviates can make results wrong
 * and, through results revealed to it, learn about inputs. Attestation of both programs (RA-TLS) is what makes "follows the
 * protocol" something that is verified.
 *
 * Terms. A value is an element of Z_2^k, k = 8, 16, 32 or 64, kept as uint64_t below 2^k and sent as k/8 bytes, little-endian.
 * A fixed-point value v is the element round(v 2^frac), negative ones in two's complement. Sums need equal `frac`
 * ("mpc:scale"); products add them, and the caller truncates (mpc_cmp.h). A tensor is one of four kinds:
 *   PUBLIC   both parties know the values
 *   PRIVATE  its owner knows the values, the other party the shape
 *   SHARED   the values are the sums of two shares modulo 2^k, each of which is uniform on its own
 *   BITS     one bit per element, the exclusive or of two shares
 * Operations do what is cheapest for the kinds they get: with PUBLIC operands everything is local.
 *
 * Cost. Each operation that sends states its bytes, both directions together, as a formula that the counters equal exactly
 * (ccz_mpc_stats()), and its rounds: one round is one trip of messages from a party to the other, trips of both at the same
 * time counted once. w = k/8.
 *
 * Failure. The first failure of any operation ends the session: the channel is closed with the error's `where`, so that the
 * other party fails too, with CCZ_E_CLOSED and that place; values and paths stay here. Later operations return the first error
 * again. Nothing more is sent,
 * and so nothing revealed. The one exception is a planning session, which has no peer.
 *
 * Threads and ownership: a session and its tensors are used by one thread at a time. A tensor belongs to who got it, is
 * freed before its session, and wiped then. Operations allocate `*out`, which is NULL unless CCZ_OK, and may not be an operand.
 * Time and addresses depend on shapes and public values, not on private values or shares (@ct in all of them; but for orders of
 * more than 2,048 rows, see ccz_mpc_permute() and ccz_mpc_shuffle()).
 * Reading order of the sources: mpc_priv.h, session.c, wire.c, tensor.c, linear.c, product.c, source*.c, store.c.
 */
#include <cczoo/chan.h>
#include <cczoo/mpc_source.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- session */

/** How scaled products get back to their scale; mpc_cmp.h says what each is. */
enum ccz_mpc_trunc {
    CCZ_MPC_TRUNC_FAITHFUL, /**< floor, exactly */
    CCZ_MPC_TRUNC_ONE_BIT,  /**< floor or one more */
    CCZ_MPC_TRUNC_LOCAL, /**< no communication; wrong with a probability that depends on the values; k = 64 alone */
};
enum ccz_mpc_ot {
    CCZ_MPC_OT_SOFTSPOKEN, /**< less computing */
    CCZ_MPC_OT_SILENT,     /**< fewer bytes */
};

#define CCZ_MPC_PROGRAM_SIZE 32
/** What a revealed value was, for a log of what left the computation. */
struct ccz_mpc_reveal {
    const char *label; /**< the caller's */
    size_t len;        /**< elements */
    unsigned to;       /**< CCZ_MPC_TO_... */
    uint64_t number;   /**< of this reveal, from 1 */
};
/** Zeroed, but for role and ring: exact truncation, products by OT, no program digest. Compared field by field. */
struct ccz_mpc_cfg {
    unsigned role;      /**< 0 or 1, opposite on both sides: "mpc:hello-role" */
    unsigned ring_bits; /**< k: 8, 16, 32 or 64; "mpc:ring", "mpc:hello-ring" */
    unsigned frac;      /**< of fixed-point inputs, below k - 1; "mpc:frac", "mpc:hello-frac" */
    enum ccz_mpc_trunc trunc; /**< "mpc:trunc" (LOCAL and k < 64), "mpc:hello-trunc" */
    enum ccz_mpc_ot ot;       /**< "mpc:hello-ot" */
    unsigned ot_k;            /**< struct ccz_ot_cfg; 0 = its default; "mpc:hello-ot" */
    enum ccz_mpc_source_kind
        source; /**< what will be attached; 0 = OT, which needs nothing; "mpc:hello-source" */
    /** Hash over the name, shapes and parameters of what will be computed: "mpc:hello-program". */
    uint8_t program[CCZ_MPC_PROGRAM_SIZE];
    /**
     * Statistical security of the session: randomness that would bring struct ccz_mpc_stats.distance, of either party, above 2^-this is
     * refused before it is made, "mpc:he-distance"; 0 = 40; at most 64, "mpc:stat-bits". Each party's own affair, not compared.
     */
    unsigned stat_bits;
    /** Told of every reveal, at both parties, before its message is sent. May be NULL. */
    void (*on_reveal)(void *arg, const struct ccz_mpc_reveal *r);
    void *arg;
};
/**
 * Opens a session: one message each way (CCZ_MPC_HELLO_SIZE bytes each), one round.
 * @param chan  borrowed; should be confidential and authenticated (RA-TLS): who reads it and one party's shares reads values
 * @retval CCZ_E_ARG   "mpc:role", "mpc:ring", "mpc:frac", "mpc:trunc", "mpc:ot", "mpc:source-kind", "mpc:stat-bits"
 * @retval CCZ_E_PEER  "mpc:hello" (no hello of ours), "mpc:hello-version", and those above
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_new(struct ccz_mpc **out, struct ccz_chan *chan,
                                        const struct ccz_mpc_cfg *cfg, struct ccz_err *err);
#define CCZ_MPC_HELLO_SIZE 80
/**
 * A planning session: no peer and no values. The program runs on it as on a real one; inputs count as zero, products are not
 * computed, messages are counted and not sent, needs of correlated randomness are recorded (ccz_mpc_needs()). What
 * ccz_mpc_stats() then says of the online phase is exactly what the real run will say.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_plan_new(struct ccz_mpc **out, const struct ccz_mpc_cfg *cfg,
                                             struct ccz_err *err);
/**
 * Both parties are about to compute the same thing, of which this is the digest: for who keeps a session for several programs, of
 * which the hello named the first alone. 32 bytes each way, one round, phase SETUP.
 * @retval CCZ_E_PEER  "mpc:hello-program"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_compare(struct ccz_mpc *m,
                                            const uint8_t program[CCZ_MPC_PROGRAM_SIZE],
                                            struct ccz_err *err);
CCZ_API void ccz_mpc_free(struct ccz_mpc *m); /**< NULL is fine; wipes; frees the source */
CCZ_DEFINE_AUTO(ccz_mpc)
CCZ_API const struct ccz_mpc_cfg *ccz_mpc_cfg_of(const struct ccz_mpc *m);
CCZ_API bool ccz_mpc_is_plan(const struct ccz_mpc *m);
/** The first error, or CCZ_OK. */
CCZ_API ccz_rc ccz_mpc_status(const struct ccz_mpc *m, struct ccz_err *err);

enum ccz_mpc_phase { CCZ_MPC_SETUP, CCZ_MPC_OFFLINE, CCZ_MPC_ONLINE, CCZ_MPC_PHASES };
struct ccz_mpc_phase_stats {
    uint64_t sent_size, received_size; /**< bytes of messages, as the channel takes them */
    uint64_t sent_len, received_len;   /**< messages */
    uint64_t rounds;
    int64_t time_ns, cpu_ns; /**< wall clock, and processor time of this thread */
};
/** Set-up: hellos, base OTs, keys. Offline: what depends on no input, or on fixed operands alone. Online: the rest. */
struct ccz_mpc_stats {
    struct ccz_mpc_phase_stats phase[CCZ_MPC_PHASES];
    uint64_t reveals, revealed_len;
    uint64_t
        needs[CCZ_MPC_NEED_KINDS]; /**< correlated randomness used, in elements of the result */
    /**
     * Bound of the statistical distance between what the peer has got so far and something that does not depend on this party's
     * values: a sum over all results of ciphertexts (mpc_he.h, Paillier), of whatever source. 0 with transfers, dealer and store, in planning
     * sessions, and in the session that uses a store (that which made it has counted). Sessions on the same values: add.
     */
    double distance;
};
CCZ_API struct ccz_mpc_stats ccz_mpc_stats(const struct ccz_mpc *m);

/* ------------------------------------------------------------------- correlated randomness */

/**
 * Gives the session where its products' randomness comes from; at most once, before the first product.
 * @param src  taken over in any case
 * @retval CCZ_E_ARG  "mpc:source-kind": not what the configuration says, or the second one
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_attach(struct ccz_mpc *m, struct ccz_mpc_source *src,
                                           struct ccz_err *err);
/**
 * Prepares randomness for what follows, in order of use: the offline phase, made in one step so that the needs of a whole
 * training share ciphertexts. Without it, or when it is used up, each product prepares its own. Both parties give the same
 * list; a digest of it and one of how the source goes about it are compared (32 bytes each way, one round), "mpc:needs" and
 * "mpc:needs-plan". A source that has more to agree on than needs (mpc_source.h: plan) is also compared before the
 * first product that prepares its own, if nothing was prepared before.
 * @param needs  as ccz_mpc_needs() of a planning session gives them; PRIVATE tensors they name must exist
 * @retval CCZ_E_ARG    "mpc:need" (impossible shape), "mpc:need-fixed" (no such tensor)
 * @retval CCZ_E_PEER   "mpc:needs", "mpc:needs-plan" (sources with different settings), and what the source says
 * @retval CCZ_E_LIMIT  "mpc:he-distance": cfg.stat_bits; also from products that prepare their own
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_prepare(struct ccz_mpc *m, const struct ccz_mpc_need *needs,
                                            size_t len, struct ccz_err *err);
/** What was used so far, in order; borrowed, until the next operation. */
CCZ_API const struct ccz_mpc_need *ccz_mpc_needs(size_t *len, const struct ccz_mpc *m);

/* ------------------------------------------------------------------------------------- tensors */

#define CCZ_MPC_RANK_MAX 4
#define CCZ_MPC_LEN_MAX  ((size_t)1 << 30) /**< elements; "mpc:shape" */
/** Row-major. Every dimension is at least 1; rank 0 is a single value. */
struct ccz_mpc_shape {
    unsigned rank;
    size_t dim[CCZ_MPC_RANK_MAX];
};
#define CCZ_MPC_SHAPE1(a)          ((struct ccz_mpc_shape){1, {(a)}})
#define CCZ_MPC_SHAPE2(a, b)       ((struct ccz_mpc_shape){2, {(a), (b)}})
#define CCZ_MPC_SHAPE3(a, b, c)    ((struct ccz_mpc_shape){3, {(a), (b), (c)}})
#define CCZ_MPC_SHAPE4(a, b, c, d) ((struct ccz_mpc_shape){4, {(a), (b), (c), (d)}})

enum ccz_mpc_kind { CCZ_MPC_PUBLIC, CCZ_MPC_PRIVATE, CCZ_MPC_SHARED, CCZ_MPC_BITS };
struct ccz_mpc_tensor;
CCZ_API void ccz_mpc_tensor_free(struct ccz_mpc_tensor *t); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_mpc_tensor)
CCZ_API enum ccz_mpc_kind ccz_mpc_kind_of(const struct ccz_mpc_tensor *t);
CCZ_API unsigned ccz_mpc_owner_of(const struct ccz_mpc_tensor *t); /**< role; of PRIVATE ones */
CCZ_API struct ccz_mpc_shape ccz_mpc_shape_of(const struct ccz_mpc_tensor *t);
CCZ_API size_t ccz_mpc_len_of(const struct ccz_mpc_tensor *t);
CCZ_API unsigned ccz_mpc_frac_of(const struct ccz_mpc_tensor *t);
CCZ_API struct ccz_mpc *ccz_mpc_session_of(const struct ccz_mpc_tensor *t);
/** The number of this PRIVATE tensor in the session, from 1: the same at both parties and in a planning session. */
CCZ_API uint64_t ccz_mpc_id_of(const struct ccz_mpc_tensor *t);

/** Elements of fixed-point values: round half away from zero, saturated at the range of the ring. NaN becomes 0. */
CCZ_API void ccz_mpc_encode(uint64_t *out, const double *in, size_t len, unsigned ring_bits,
                            unsigned frac);
CCZ_API void ccz_mpc_decode(double *out, const uint64_t *in, size_t len, unsigned ring_bits,
                            unsigned frac);
/** Elements of two's complement of any width modulo 2^k. */
static inline int64_t ccz_mpc_signed(uint64_t v, unsigned ring_bits)
{
    uint64_t half = (uint64_t)1 << (ring_bits - 1);
    return (int64_t)((v ^ half) - half);
}

/** A tensor both parties know. @param values  reduced modulo 2^k here; copied @param frac  below k - 1 ("mpc:frac") */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_public(struct ccz_mpc_tensor **out, struct ccz_mpc *m,
                                           struct ccz_mpc_shape shape, unsigned frac,
                                           const uint64_t *values, struct ccz_err *err);
/** A tensor of one party. @param values  of the owner; NULL at the other party ("mpc:values"), and in planning sessions */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_private(struct ccz_mpc_tensor **out, struct ccz_mpc *m,
                                            unsigned owner, struct ccz_mpc_shape shape,
                                            unsigned frac, const uint64_t *values,
                                            struct ccz_err *err);
/** Shares of a PUBLIC or PRIVATE tensor (of a SHARED one: a copy). No bytes: the other party's share is the stream of a common seed. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_share(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *t, struct ccz_err *err);
/** Likewise bits of a party, packed, bit i % 64 of word i / 64. No bytes. @param owner  role, or 2: both know them */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_share_bits(struct ccz_mpc_tensor **out, struct ccz_mpc *m,
                                               unsigned owner, struct ccz_mpc_shape shape,
                                               const uint64_t *bits, struct ccz_err *err);
/** A share that the caller brings, made elsewhere (by a third party, in an earlier session). It must be uniform. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_import(struct ccz_mpc_tensor **out, struct ccz_mpc *m,
                                           enum ccz_mpc_kind kind, struct ccz_mpc_shape shape,
                                           unsigned frac, const uint64_t *share,
                                           struct ccz_err *err);
/** This party's values or share: len words (BITS: len / 64 rounded up). Borrowed; NULL for a PRIVATE one of the other party. */
CCZ_API const uint64_t *ccz_mpc_words(const struct ccz_mpc_tensor *t);

enum { CCZ_MPC_TO_0 = 1, CCZ_MPC_TO_1 = 2, CCZ_MPC_TO_BOTH = 3 };
/**
 * Reveals SHARED or BITS (packed) to the parties named. Counted, and told to cfg->on_reveal.
 * Bytes: len w (BITS: len bits rounded up to 8) for each receiver; 1 round.
 * @param[out] out  at a receiver: len words (BITS: packed); else NULL
 * @param label     for the log, not compared; a constant
 * @retval CCZ_E_ARG  "mpc:reveal": to nobody, no `out` at a receiver, or one elsewhere; "mpc:kind"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_reveal(uint64_t *out, const struct ccz_mpc_tensor *t,
                                           unsigned to, const char *label, struct ccz_err *err);
/** As a tensor: PUBLIC if to both, else PRIVATE. Not for BITS. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_open(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *t, unsigned to,
                                         const char *label, struct ccz_err *err);

/* ----------------------------------------------------------------------- linear: no bytes, no rounds */

/* Shapes are broadcast: aligned at the last dimension, a dimension of 1 (or none) repeats. "mpc:shape", "mpc:scale",
 * "mpc:session" (tensors of two sessions), "mpc:kind" (a BITS tensor). PRIVATE with PRIVATE of the same owner stays PRIVATE; with
 * PUBLIC too; everything else becomes SHARED. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_add(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        const struct ccz_mpc_tensor *b, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sub(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        const struct ccz_mpc_tensor *b, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_neg(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        struct ccz_err *err);
/** a times a public integer, whose own scale is @p frac: that of the result is the sum. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_scale(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *a, uint64_t factor,
                                          unsigned frac, struct ccz_err *err);
/** a plus one public value (at a's scale) everywhere. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_add_value(struct ccz_mpc_tensor **out,
                                              const struct ccz_mpc_tensor *a, uint64_t value,
                                              struct ccz_err *err);
/** The same values at a larger scale: elements times 2^(frac - old). "mpc:scale" if it is smaller. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_rescale(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *a, unsigned frac,
                                            struct ccz_err *err);
/** The same elements, said to be at another scale: values times 2^(old - frac), for nothing. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_reinterpret(struct ccz_mpc_tensor **out,
                                                const struct ccz_mpc_tensor *a, unsigned frac,
                                                struct ccz_err *err);
/** Sums along a dimension, which becomes 1. "mpc:axis" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_sum(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        unsigned axis, struct ccz_err *err);
/** Bits. Broadcast is not done. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_xor(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        const struct ccz_mpc_tensor *b, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_not(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        struct ccz_err *err);

/* Arrangement, of all four kinds. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_copy(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *a, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_reshape(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *a,
                                            struct ccz_mpc_shape shape, struct ccz_err *err);
/** @p a repeated to @p shape by the rule above. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_expand(struct ccz_mpc_tensor **out,
                                           const struct ccz_mpc_tensor *a,
                                           struct ccz_mpc_shape shape, struct ccz_err *err);
/** Elements from, from + step, ... (len of them) of a dimension. "mpc:axis", "mpc:slice" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_slice(struct ccz_mpc_tensor **out,
                                          const struct ccz_mpc_tensor *a, unsigned axis,
                                          size_t from, size_t step, size_t len,
                                          struct ccz_err *err);
/** Rows (of dimension 0) by public numbers, which may repeat. "mpc:slice" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_rows(struct ccz_mpc_tensor **out,
                                         const struct ccz_mpc_tensor *a, const uint32_t *rows,
                                         size_t len, struct ccz_err *err);
/** Equal kind (and owner) and scale; 1 to 64 tensors. "mpc:axis", "mpc:kind", "mpc:scale", "mpc:shape" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_concat(struct ccz_mpc_tensor **out,
                                           const struct ccz_mpc_tensor *const *parts, size_t len,
                                           unsigned axis, struct ccz_err *err);
/** The last two dimensions change places. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_transpose(struct ccz_mpc_tensor **out,
                                              const struct ccz_mpc_tensor *a, struct ccz_err *err);

/* ------------------------------------------------------------------------------------- products */

/*
 * The scale of a product is the sum of those of its factors; above k - 2 it is refused, "mpc:frac". Bytes online:
 *   an operand is PUBLIC, or both are PRIVATE of one owner: none
 *   PRIVATE (p) x PRIVATE (q), PRIVATE x SHARED:            |other operand| w, from the other party to the owner; 1 round
 *   SHARED x SHARED:                                        2 (|a| + |b|) w (square: 2 |a| w); 1 round
 * where |x| counts elements. The other operand of PRIVATE (p) x PRIVATE (q) is b, unless a prepared need fixes b.
 * PRIVATE factors that are used many times should stay the same tensor: prepared needs name it, and its products cost the masks alone.
 */
/** Elementwise, shapes broadcast (what is broadcast is counted at its full size). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_mul(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        const struct ccz_mpc_tensor *b, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_square(struct ccz_mpc_tensor **out,
                                           const struct ccz_mpc_tensor *a, struct ccz_err *err);
/** @shape a[m, k], b[k, n], out[m, n] */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_matmul(struct ccz_mpc_tensor **out,
                                           const struct ccz_mpc_tensor *a,
                                           const struct ccz_mpc_tensor *b, struct ccz_err *err);
/** @shape x[n, h, w, c], weights[kh, kw, c, o], out[n, oh, ow, o]; zero padding on all sides. "mpc:conv" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_conv2d(struct ccz_mpc_tensor **out,
                                           const struct ccz_mpc_tensor *x,
                                           const struct ccz_mpc_tensor *weights, size_t stride,
                                           size_t pad, struct ccz_err *err);
/** Windows as rows: out[n, oh, ow, kh kw c], local. What is outside is zero. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_windows(struct ccz_mpc_tensor **out,
                                            const struct ccz_mpc_tensor *x, size_t kh, size_t kw,
                                            size_t stride, size_t pad, struct ccz_err *err);
/** One of several products that have nothing to do with each other. */
enum ccz_mpc_op { CCZ_MPC_OP_MUL, CCZ_MPC_OP_SQUARE, CCZ_MPC_OP_MATMUL, CCZ_MPC_OP_CONV2D };
struct ccz_mpc_product {
    enum ccz_mpc_op op;
    const struct ccz_mpc_tensor *a, *b; /**< b: NULL for SQUARE */
    size_t stride, pad;                 /**< CONV2D */
};
#define CCZ_MPC_PRODUCTS_MAX 1024
/** All of them in the same single round. On failure every out[i] is NULL. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_products(struct ccz_mpc_tensor **out,
                                             const struct ccz_mpc_product *p, size_t len,
                                             struct ccz_err *err);
/** Bits: 4 ceil(len / 8) bytes, 1 round. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_and(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                                        const struct ccz_mpc_tensor *b, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
