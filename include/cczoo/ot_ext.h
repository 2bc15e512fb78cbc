/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_OT_EXT_H
#define CCZ_OT_EXT_H
/**
 * @file ot_ext.h
 * Oblivious transfer as secure computation needs it: a store of random correlated OTs that one party sends and the other
 * receives, filled by one of two engines, and the forms made of them.
 *
 *  - **Engines** (cfg.engine; both sides the same): SoftSpokenOT, 128 / k bits per OT and little work; or silent OT, about
 *    0.1 byte per OT: correlated GGM trees (Guo et al. 2023, "half-tree") and dual LPN over GF(2) with regular noise, whose
 *    output feeds the next round, so that there is one set-up for any number of OTs.
 *  - **Store**: each OT in it is (q, x, t = q + x delta): the sender has q and delta, the receiver x, a random bit, and t.
 *    ccz_ot_ext_prepare() fills it ahead of time ("offline"). What is missing is made when it is needed, so that
 *    prepare is never necessary. OTs are taken in order and once.
 *  - **Forms**: below. Each one is at most one message of the receiver (corrections of its random choices) and then one of
 *    the sender, both coalesced over the whole batch.
 *
 * Masks are H(q + j delta; i), H the tweakable hash of random OT (ot.h), i a counter that never repeats. 1-of-N OT takes
 * l = log2 N OTs: with Q = sum x^b q_b and T = sum x^b t_b in GF(2^128), T = Q + c delta for the choice c as a polynomial,
 * and message j is masked with H(Q + j delta; i). One hash per message for the sender, one per OT for the receiver.
 *
 * Security: malicious peers as in ot.h for what is in the store. Forms on top of it: choices stay hidden and only one
 * message is learned, whatever the peer does; a malicious sender may use inputs that are not consistent from one item to
 * the next, which is for the protocol above. delta has 127 random bits: its lowest is 1 and that of q is 0, so that the lowest
 * bit of t is x. H has a key of its own for each 1,024 masks: who learns all messages, of any number of OTs, finds delta with
 * 2^117 calls of AES. Derivation of parameters: docs/design/ot.md.
 *
 * Both parties call the matching functions in the same order with the same lengths. An object is one direction; for both
 * directions make two over the same channel, one after the other. Arguments are refused (CCZ_E_ARG) before anything is done;
 * any other failure makes the object unusable: every later call returns the same code, "ot:unusable". Outputs are zeroed
 * on failure. Calling a sender's function with a receiver, or the other way round, is a bug of the caller (assert).
 *
 * Threads: one at a time. Time and addresses do not depend on secrets (@ct).
 * Bits are packed: bit i of an array is bit i % 8 of byte i / 8; spare bits of outputs are zero, of inputs ignored.
 * Reading order of the sources: ext.c (store), silent.c (silent engine), forms.c, forms_n.c, forms_ring.c.
 */
#include <cczoo/ot.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ object */

enum ccz_ot_engine {
    CCZ_OT_SOFTSPOKEN = 0, /**< 128 / k bits per OT, half a round trip per filling */
    CCZ_OT_SILENT = 1,     /**< 0.126 byte per OT or less, one and a half round trips per round */
};
#define CCZ_OT_SILENT_LOG_MIN 19
#define CCZ_OT_SILENT_LOG_MAX 22
/** Zero is the default of every field. */
struct ccz_ot_ext_cfg {
    /** Session, k (also of the silent engine's first OTs), delta, which must be odd. */
    struct ccz_ot_cfg ot;
    enum ccz_ot_engine engine;
    /** Silent: a round makes 5/8 2^silent_log OTs (some of which feed the next); 0 = 19. Each one more halves the bytes per OT
     *  (0.126, 0.069, 0.038, 0.020), doubles the memory (16 bytes times 2^silent_log) and takes more time per OT, as that
     *  memory is read in random order: 19 fits into caches. */
    unsigned silent_log;
};
struct ccz_ot_ext;
/**
 * Set-up: base OTs. The two parties need opposite roles.
 * @param chan  borrowed for the life of the object
 * @retval CCZ_E_ARG   "ot:k" | "ot:engine" | "ot:silent-log" | "ot:delta": even
 * @retval CCZ_E_PEER  "ot:hello" (another engine, k, role or session), "chan:size", "ot:point", "ot:tree-check"
 * @retval CCZ_E_NOMEM "ot:memory"; CCZ_E_TIMEOUT, CCZ_E_CLOSED from the channel
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_new(struct ccz_ot_ext **out, bool sender,
                                           struct ccz_chan *chan, const struct ccz_ot_ext_cfg *cfg,
                                           struct ccz_err *err);
CCZ_API void ccz_ot_ext_free(struct ccz_ot_ext *e); /**< NULL is fine; wipes */
CCZ_DEFINE_AUTO(ccz_ot_ext)
CCZ_API bool ccz_ot_ext_is_sender(const struct ccz_ot_ext *e);
/** The sender's, borrowed; NULL for a receiver. */
CCZ_API const struct ccz_f128 *ccz_ot_ext_delta(const struct ccz_ot_ext *e);

#define CCZ_OT_EXT_LEN_MAX ((size_t)1 << 28) /**< OTs that one call may need */
/**
 * Fills the store so that the next forms find at least @p len OTs. 0 does nothing.
 * @retval CCZ_E_ARG   "ot:len": above CCZ_OT_EXT_LEN_MAX
 * @retval CCZ_E_PEER  "ot:consistency" (receiver cheats), "ot:silent-check" (sender cheats), "chan:size"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_prepare(struct ccz_ot_ext *e, size_t len,
                                               struct ccz_err *err);
CCZ_API size_t ccz_ot_ext_stored(const struct ccz_ot_ext *e); /**< OTs in the store */

/* ------------------------------------------------------------------------------------- bytes */

/** What travels, without channel framing. Exact. */
struct ccz_ot_ext_size {
    uint64_t from_sender, from_receiver;
};
/** Of ccz_ot_ext_new(). */
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_setup_size(const struct ccz_ot_ext_cfg *cfg);
/** Of ccz_ot_ext_prepare() of @p len at this moment. */
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_prepare_size(const struct ccz_ot_ext *e, size_t len);
/** Of set-up and one ccz_ot_ext_prepare(), for plans. */
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_total_size(const struct ccz_ot_ext_cfg *cfg, size_t len);

/* ----------------------------------------------------------------------- forms: random values */

/**
 * Random correlated OT, t[i] = q[i] + x_i delta. Nothing is sent but what fills the store.
 * @param[out] x  (len + 7) / 8 bytes, random
 * Errors of all forms: those of ccz_ot_ext_prepare(), "ot:unusable".
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_rcot_send(struct ccz_f128 *q, size_t len,
                                                 struct ccz_ot_ext *e, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_rcot_recv(struct ccz_f128 *t, uint8_t *x, size_t len,
                                                 struct ccz_ot_ext *e, struct ccz_err *err);
/** Random OT: m[2 i], m[2 i + 1] random; m_x[i] = m[2 i + x_i]. Nothing is sent. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_rot_send(struct ccz_f128 *m, size_t len,
                                                struct ccz_ot_ext *e, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_rot_recv(struct ccz_f128 *m_x, uint8_t *x, size_t len,
                                                struct ccz_ot_ext *e, struct ccz_err *err);
/** Random OT of bits: m0, m1, x, m_x are packed, (len + 7) / 8 bytes each. Nothing is sent. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_rbit_send(uint8_t *m0, uint8_t *m1, size_t len,
                                                 struct ccz_ot_ext *e, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_rbit_recv(uint8_t *m_x, uint8_t *x, size_t len,
                                                 struct ccz_ot_ext *e, struct ccz_err *err);
/**
 * Random bit triples: (a0 + a1)(b0 + b1) = c0 + c1 bit by bit, from one random OT in each direction. Nothing is sent.
 * @param[out] a, b, c  packed shares of this party
 * @param      sending, receiving  this party's two objects
 * @param      first    true at exactly one of the two parties: whose `sending` is used first
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_triples(uint8_t *a, uint8_t *b, uint8_t *c, size_t len,
                                               struct ccz_ot_ext *sending,
                                               struct ccz_ot_ext *receiving, bool first,
                                               struct ccz_err *err);

/* ----------------------------------------------------------------------- forms: chosen values */

/** Correlated OT with chosen bits: t[i] = q[i] + x_i delta. The receiver sends one bit each. @param x packed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_cot_send(struct ccz_f128 *q, size_t len,
                                                struct ccz_ot_ext *e, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_cot_recv(struct ccz_f128 *t, const uint8_t *x, size_t len,
                                                struct ccz_ot_ext *e, struct ccz_err *err);
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_cot_size(size_t len);

#define CCZ_OT_EXT_LOG_MAX 8
/**
 * 1-of-N OT, N = 2^log: y[i] = m[i N + c[i]]. Takes log OTs each. The receiver sends log bits each, then the sender
 * N * bits each, both packed over the whole batch and rounded up to whole bytes once.
 * @param m     [len N]; only the lowest @p bits bits count
 * @param c     [len]; only the lowest @p log bits count
 * @param bits  1 .. 8 (uint8_t), 1 .. 64 (uint64_t)
 * @param log   1 .. CCZ_OT_EXT_LOG_MAX; 1 is plain OT of chosen messages
 * @retval CCZ_E_ARG  "ot:log" | "ot:bits" | "ot:len": above CCZ_OT_EXT_LEN_MAX OTs, or a message above
 *                    CCZ_CHAN_MESSAGE_SIZE_MAX
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_n8_send(const uint8_t *m, size_t len, unsigned log,
                                               unsigned bits, struct ccz_ot_ext *e,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_n8_recv(uint8_t *y, const uint8_t *c, size_t len,
                                               unsigned log, unsigned bits, struct ccz_ot_ext *e,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_n64_send(const uint64_t *m, size_t len, unsigned log,
                                                unsigned bits, struct ccz_ot_ext *e,
                                                struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_n64_recv(uint64_t *y, const uint8_t *c, size_t len,
                                                unsigned log, unsigned bits, struct ccz_ot_ext *e,
                                                struct ccz_err *err);
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_n_size(size_t len, unsigned log, unsigned bits);

/**
 * Correlated OT over Z_2^bits: y[i w + j] = x_i f[i w + j] + r[i w + j], j < w = width. r is random, the sender's output. The
 * receiver sends one bit per i, the sender `bits` bits per element.
 * @param x     packed, [len]
 * @param f     [len width], modulo 2^bits; @p r may be @p f
 * @param bits  1 .. 64
 * @retval CCZ_E_ARG  "ot:bits" | "ot:width": 0 | "ot:len"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_ring_send(uint64_t *r, const uint64_t *f, size_t len,
                                                 size_t width, unsigned bits, struct ccz_ot_ext *e,
                                                 struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_ring_recv(uint64_t *y, const uint8_t *x, size_t len,
                                                 size_t width, unsigned bits, struct ccz_ot_ext *e,
                                                 struct ccz_err *err);
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_ring_size(size_t len, size_t width, unsigned bits);

/**
 * Products (Gilboa 1999): z_s[i w + j] + z_r[i w + j] = a[i] b[i w + j] modulo 2^bits: the receiver has a, the sender b. Takes
 * `bits` OTs per i: bit n of a needs elements of bits - n bits only. One message each way.
 * @param a  [len]
 * @param b  [len width]
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_mul_send(uint64_t *z, const uint64_t *b, size_t len,
                                                size_t width, unsigned bits, struct ccz_ot_ext *e,
                                                struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_ext_mul_recv(uint64_t *z, const uint64_t *a, size_t len,
                                                size_t width, unsigned bits, struct ccz_ot_ext *e,
                                                struct ccz_err *err);
CCZ_API struct ccz_ot_ext_size ccz_ot_ext_mul_size(size_t len, size_t width, unsigned bits);

#ifdef __cplusplus
}
#endif
#endif
