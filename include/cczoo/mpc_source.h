/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_SOURCE_H
#define CCZ_MPC_SOURCE_H
/**
 * @file mpc_source.h
 * Correlated randomness of two parties for products (mpc.h): what is needed, what has been prepared, and who prepares it. All
 * sources sit behind one table of functions, so that lattice ciphertexts, oblivious transfer, Paillier, an attested dealer and
 * files of an earlier offline phase can be compared, and mixed, in the same program.
 *
 * **Ideal functionality** of a source: for each need, uniform values that satisfy its relation; each party gets its share and,
 * where a `fixed` operand takes part, the owner gives it in. Neither learns more, but for the dealer: who knows the dealer's
 * seeds knows every mask, so the dealer must be trusted not to work together with a party (it is an attested program).
 *
 * Relations, modulo 2^k (the two shares of x are written [x]):
 *   MUL            [a], [b], [c] of n elements, c = a b               SQUARE   [a], [c], c = a a
 *   AND            [a], [b], [c] of n bits, c = a and b
 *   MATMUL         [a] of m x k, [b] of k x n, [c] of m x n, c = a b
 *   CROSS_MATMUL   x of m x k fixed, of party p; v of k x n, uniform, of party 1 - p; [c] of m x n, c = x v
 *   CROSS_MUL      x of n elements fixed, of party p; v of n elements, of party 1 - p; [c], c = x v
 *   CROSS_CONV2D   x = weights [kh, kw, c, o] fixed, of party p; v of the input's shape [b, h, w, c], of party 1 - p;
 *                  [c] of [b, oh, ow, o]
 *   OTS            n random oblivious transfers that party `owner` sends. These fill the session's own store (ot_ext.h), whatever the source
 *                  is: sources never see this kind.
 * A fixed operand may take part in any number of needs. With w the true other operand, its holder sends w - v, once.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_mpc;
struct ccz_chan;

enum ccz_mpc_need_kind {
    CCZ_MPC_MUL,
    CCZ_MPC_SQUARE,
    CCZ_MPC_AND,
    CCZ_MPC_MATMUL,
    CCZ_MPC_CROSS_MATMUL,
    CCZ_MPC_CROSS_MUL,
    CCZ_MPC_CROSS_CONV2D,
    CCZ_MPC_OTS,
    CCZ_MPC_NEED_KINDS
};
struct ccz_mpc_conv {
    size_t batch, h, w, c, kh, kw, o, stride, pad, oh, ow;
};
/** One need. Both parties have the same, but for what tensor `fixed` holds. */
struct ccz_mpc_need {
    enum ccz_mpc_need_kind kind;
    size_t m, k, n; /**< m, k of matrices alone; n: also elements, bits */
    uint64_t fixed; /**< CROSS: ccz_mpc_id_of() of the operand x */
    unsigned owner; /**< CROSS: the role p; OTS: who sends */
    bool
        transposed; /**< CROSS_MATMUL: x is the transpose of that tensor (the product was v' x', turned around) */
    struct ccz_mpc_conv conv;
};

/**
 * Shares to be filled in by a source, or to be used up. Memory of exactly these lengths is the session's, zeroed before, wiped
 * after use; values below 2^k. BITS are packed, 64 to a word; bits behind the last are ignored.
 *   MUL, SQUARE, MATMUL, AND: a, b (not SQUARE), c            CROSS: v at party 1 - p alone, c at both
 */
struct ccz_mpc_item {
    uint64_t *a, *b, *c, *v;
    size_t a_len, b_len, c_len, v_len; /**< words */
    const uint64_t *
        x; /**< CROSS: the fixed operand, at p alone; already transposed; borrowed during prepare */
    size_t x_len; /**< at both parties */
};

/** What a source expects a list of needs to cost: both directions together, and this party's processor time. */
struct ccz_mpc_cost {
    uint64_t setup_size; /**< bytes once per session, if it has not been done (base OTs, keys) */
    uint64_t size;       /**< bytes; exact for OT, dealer and store, within 15 % for ciphertexts */
    uint64_t rounds;
    uint64_t ots
        [2]; /**< transfers from the session's stores, by the role that sends them; paid for in `size` */
    /** Statistical distance of what each party, by role, gives away when it makes them: bound. */
    double distance[2];
    double cpu_s; /**< estimate, one thread of a processor of 2023; the same at both parties */
};

/** A kind of source. Functions get the object given to ccz_mpc_source_new(). Both parties' calls match. */
struct ccz_mpc_source_ops {
    const char *name; /**< for plans: "ot", "he" */
    /** False: not for this need (kind, ring, size). Does not communicate. */
    bool (*can)(void *self, const struct ccz_mpc_need *need);
    /** Of the whole list, prepared together. Does not communicate; also called in planning sessions. */
    ccz_rc (*cost)(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                   size_t len, struct ccz_err *err);
    /** Fills all items, in one interactive step over the session's channel (the dealer's: over its own). */
    ccz_rc (*prepare)(struct ccz_mpc_item *items, void *self, const struct ccz_mpc_need *needs,
                      size_t len, struct ccz_err *err);
    void (*free)(void *self);
    /**
     * A hash over everything that both parties have to do alike for these needs, prepared together, and that the needs do not
     * say: configuration, layout of ciphertexts, choices. The parties compare it before they prepare, "mpc:needs-plan".
     * Called before prepare with the same needs, at both parties in the same state, unless settings were compared before. Does not communicate; also called in
     * planning sessions. NULL: the needs say it all.
     */
    ccz_rc (*plan)(uint8_t digest[32], void *self, const struct ccz_mpc_need *needs, size_t len,
                   struct ccz_err *err);
};

enum ccz_mpc_source_kind {
    CCZ_MPC_SOURCE_OT,       /**< Gilboa products from correlated OT */
    CCZ_MPC_SOURCE_HE,       /**< lattice ciphertexts: matrices, convolutions, elementwise */
    CCZ_MPC_SOURCE_PAILLIER, /**< packed Paillier ciphertexts, the historic baseline */
    CCZ_MPC_SOURCE_DEALER,   /**< an attested program */
    CCZ_MPC_SOURCE_STORE,    /**< files of an earlier offline phase */
    CCZ_MPC_SOURCE_MIXED,    /**< the cheapest of several, need by need */
    CCZ_MPC_SOURCE_KINDS
};
CCZ_API const char *ccz_mpc_source_kind_name(enum ccz_mpc_source_kind kind);
CCZ_API const char *ccz_mpc_need_kind_name(enum ccz_mpc_need_kind kind);

struct ccz_mpc_source;
/** A source of whatever kind. @param self  taken over in any case: freed by ops->free also if this fails */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_new(struct ccz_mpc_source **out,
                                               enum ccz_mpc_source_kind kind,
                                               const struct ccz_mpc_source_ops *ops, void *self,
                                               struct ccz_err *err);
CCZ_API void ccz_mpc_source_free(struct ccz_mpc_source *s); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_mpc_source)
CCZ_API enum ccz_mpc_source_kind ccz_mpc_source_kind_of(const struct ccz_mpc_source *s);
CCZ_API const char *ccz_mpc_source_name(const struct ccz_mpc_source *s);
CCZ_API bool ccz_mpc_source_can(const struct ccz_mpc_source *s, const struct ccz_mpc_need *need);
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_cost(struct ccz_mpc_cost *out, struct ccz_mpc_source *s,
                                                const struct ccz_mpc_need *needs, size_t len,
                                                struct ccz_err *err);

/* The constructors below do not communicate; what a source has to set up it does at the first prepare. `m` is borrowed and
 * outlives the source (which it frees, once attached). */

/**
 * Gilboa products from correlated OT, bit triples from random OT. For every kind of need.
 * Ring products: a matrix product of m x k by k x n takes m k COTs of k + (k - 1) + .. + 1 bits for each of the n columns.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_ot_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                                  struct ccz_err *err);

/** Paillier with many values packed into a plaintext. For MUL, SQUARE, MATMUL and CROSS; not AND. */
struct ccz_mpc_paillier_cfg {
    unsigned key_bits; /**< 2048 (112-bit security), 3072 or 4096; 0 = 3072; "mpc:paillier-bits" */
    unsigned threads;  /**< 0 = 1 */
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_paillier_new(struct ccz_mpc_source **out,
                                                        struct ccz_mpc *m,
                                                        const struct ccz_mpc_paillier_cfg *cfg,
                                                        struct ccz_err *err);

/**
 * Randomness that a third, attested program deals. Party 0 gets a seed for everything; party 1 a seed for all but the products, and
 * those: w bytes for each element of c, one bit for each AND. For every kind of need but CROSS with the fixed operand,
 * which the dealer would have to know: those are made of a MUL or MATMUL triple and an opening (CROSS_CONV2D: of windows).
 * @param dealer  channel to it, borrowed; must be attested (RA-TLS): the program there knows all masks
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_dealer_new(struct ccz_mpc_source **out,
                                                      struct ccz_mpc *m, struct ccz_chan *dealer,
                                                      struct ccz_err *err);
struct ccz_mpc_dealer_cfg {
    /** What one request may ask for, in words: all shares of both parties, and windows of convolutions; 0 = 2^28. "mpc:dealer-limit" */
    uint64_t len_max;
    /** Both parties of a session name it; sessions that were dealt to already are refused by the caller's function: false. May be NULL. */
    bool (*fresh)(void *arg, const uint8_t session[32]);
    void *arg;
};
/**
 * The dealer's side: serves two parties until both say goodbye. It learns the shapes and nothing of inputs. It compares what
 * both ask for, "mpc:dealer-mismatch", and answers only when both ask for the same.
 * @retval CCZ_E_PEER   "mpc:dealer-hello", "mpc:dealer-role" (both claim one role), "mpc:dealer-session" (of two sessions),
 *                      "mpc:dealer-request" (malformed), "mpc:dealer-mismatch"
 * @retval CCZ_E_LIMIT  "mpc:dealer-limit"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_dealer_run(struct ccz_chan *chan0, struct ccz_chan *chan1,
                                               const struct ccz_mpc_dealer_cfg *cfg,
                                               struct ccz_err *err);

/**
 * Offline phases kept in protected files (pf.h). ccz_mpc_store_write() prepares needs with the session's source and writes this
 * party's shares; the source below hands them out in a later session, in order, each once. A file counts as used, durably,
 * before anything of it is handed out, so that a crash loses randomness and never repeats it. The parties' files belong
 * together by a random number of both, compared at the first prepare.
 * ccz_mpc_store_write() succeeds when both files are durable. If a party dies before, what only one of them has is an orphan:
 * it is given up at the next use, never used, and disturbs nothing. A failed write is simply repeated, in a new session.
 * CROSS needs are kept with a hash of the fixed operand: another operand is refused, "mpc:store-fixed".
 */
struct ccz_mpc_store_cfg {
    const char *dir;              /**< one party's; made if it is not there */
    const struct ccz_secret *key; /**< 16 bytes, as pf.h; borrowed */
};
/**
 * 2 rounds beyond those of the comparison of needs and of the source (8 and 40 bytes each way).
 * @retval CCZ_E_ARG    "mpc:store-plan" (a planning session), "mpc:store-len" (no needs but transfers, or too many)
 * @retval CCZ_E_PEER   "mpc:store-place", "mpc:store-pair": the peer says another number or another offline phase
 * @retval CCZ_E_LIMIT  "mpc:store-full": after 99,999,999 files
 * @retval CCZ_E_UNAVAILABLE "mpc:store-busy"; those of ccz_mpc_prepare(), pf.h and files
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_store_write(struct ccz_mpc *m, const struct ccz_mpc_need *needs,
                                                size_t len, const struct ccz_mpc_store_cfg *cfg,
                                                struct ccz_err *err);
/**
 * @retval CCZ_E_DENIED     "mpc:store-used": handed out before
 * @retval CCZ_E_NOT_FOUND  "mpc:store-empty": nothing there, or used up
 * @retval CCZ_E_MISMATCH   "mpc:store-need": other needs than were prepared; "mpc:store-ring", "mpc:store-role"; "mpc:store-fixed"
 * @retval CCZ_E_PEER       "mpc:store-pair": the peer's file is of another offline phase; "mpc:store-place": its place is not in the file, or it
 *                          does not move on to a file that both have
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_store_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                                     const struct ccz_mpc_store_cfg *cfg,
                                                     struct ccz_err *err);

/** The cheapest of several sources for each kind of need: bytes over the bandwidth, rounds of latency, processor time. Both parties
 *  need the same sources in the same order, and the same bandwidth and round trip: "mpc:needs-plan". */
#define CCZ_MPC_MIXED_MAX 6
struct ccz_mpc_mixed_cfg {
    struct ccz_mpc_source
        *sources[CCZ_MPC_MIXED_MAX]; /**< taken over in any case; in order of preference */
    size_t len;
    double bytes_per_s; /**< of the connection, each direction; 0 = 125e6 */
    double rtt_s;       /**< round trip; 0 = none */
    /** Told of every choice before anything is prepared. May be NULL. */
    void (*on_choice)(void *arg, const char *source, enum ccz_mpc_need_kind kind, size_t needs,
                      const struct ccz_mpc_cost *cost);
    void *arg;
};
/** @retval CCZ_E_UNSUPPORTED  (from prepare and cost) "mpc:source-none": no source can do a need */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_mixed_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                                     const struct ccz_mpc_mixed_cfg *cfg,
                                                     struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
