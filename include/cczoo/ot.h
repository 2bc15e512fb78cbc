/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_OT_H
#define CCZ_OT_H
/**
 * @file ot.h
 * Correlated randomness of two parties over a channel: oblivious transfer (OT) and vector oblivious linear evaluation
 * (VOLE) over GF(2^128), against malicious peers. What set intersection and secure computation are built on.
 *
 *  - **Base OT**: ristretto255, Masny and Rindal 2019 ("endemic"), one message each way.
 *  - **OT extension**: SoftSpokenOT (Roy 2022), consistency check made non-interactive.
 *  - **VOLE**: short ones straight from SoftSpokenOT; from CCZ_VOLE_SILENT_LEN on from puncturable PRFs (GGM trees) and
 *    dual LPN with regular noise and an expand-convolute code (Raghuraman, Rindal, Tanguy 2023), so that the bytes sent grow
 *    with the logarithm of the length. The trees are checked as in Weng, Yang, Katz, Wang 2021.
 * Parameters, their derivation and what is assumed: docs/design/ot.md.
 *
 * Both parties call the matching function with the same length and configuration; that is compared first, and a peer
 * that wants something else is refused, "ot:hello". A message of the wrong size, a malformed point, or a failed check ends
 * the protocol with CCZ_E_PEER; outputs are zeroed. What a cheating peer can learn from *whether* a check fails is the
 * usual: with probability 2^-k that nobody notices, k bits of delta (cheating receiver) or of noise positions (cheating
 * sender). After a failed check throw the session away and do not let that peer try again and again.
 *
 * Everything depends on `session`: values of two sessions are independent, and messages of one are refused in another.
 * The channel should be authenticated and encrypted (RA-TLS); nothing here needs secrecy of the channel, but who sits on it
 * can play the peer.
 *
 * Threads: objects are used by one thread at a time. Time and addresses depend on lengths and on what is sent in the
 * clear, not on secrets (@ct).
 * Reading order of the sources: kernels*.c, transcript.c, base_ot.c, pprf.c, softspoken.c, extension.c, code.c,
 * spvole.c, vole.c.
 */
#include <cczoo/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------- GF(2^128) */

/**
 * An element of GF(2)[x] / (x^128 + x^7 + x^2 + x + 1): bit i of lo is the coefficient of x^i, bit i of hi that of
 * x^(64+i). Addition is exclusive or. On the wire: 16 bytes, lo first, little-endian.
 */
struct ccz_f128 {
    uint64_t lo, hi;
} __attribute__((aligned(16)));

/** @ct both factors may be secret */
CCZ_API struct ccz_f128 ccz_f128_mul(struct ccz_f128 a, struct ccz_f128 b);
/** r[i] += a[i] x. @p r may be @p a. @ct */
CCZ_API void ccz_f128_mul_add(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len,
                              struct ccz_f128 x);
/** Sum of a[i] x^(i+1): a universal hash, len / 2^128. @ct */
CCZ_API struct ccz_f128 ccz_f128_hash(const struct ccz_f128 *a, size_t len, struct ccz_f128 x);

/* ----------------------------------------------------------------------------------- set-up */

#define CCZ_OT_SESSION_SIZE 32
/** Zero is the default of every field. */
struct ccz_ot_cfg {
    /** What the caller binds the run to (hash of roles, of a parent protocol's transcript, ...). Both sides the same. Fresh
     *  randomness of both is mixed in, so that it may repeat. */
    uint8_t session[CCZ_OT_SESSION_SIZE];
    /** SoftSpokenOT's trade: bits of delta per tree, 1, 2, 4 or 8; 128/k bits per OT, 2^k/k work. 0 = 4. */
    unsigned k;
    /** Sender only: the fixed delta; NULL = a random one. Zero is refused, "ot:delta". */
    const struct ccz_f128 *delta;
};

/* ------------------------------------------------------------------------------------- VOLE */

#define CCZ_VOLE_LEN_MAX    ((size_t)1 << 28)
#define CCZ_VOLE_SILENT_LEN 8192 /**< from here on LPN is used */
/**
 * c[i] = a[i] delta + b[i]: the sender gets delta and b, the receiver a and c. a and b are pseudorandom.
 * Peak memory besides the outputs: 32 bytes per element (sender), 64 (receiver).
 * @param[out] delta, b  zeroed on failure, as a and c are
 * @param      len       1 .. CCZ_VOLE_LEN_MAX
 * @retval CCZ_E_ARG     "vole:len" | "ot:k" | "ot:delta"
 * @retval CCZ_E_PEER    the peer disagrees ("ot:hello"), sent garbage ("chan:size", "ot:point") or cheats ("ot:tree-check",
 *                       "ot:consistency", "vole:check")
 * @retval CCZ_E_NOMEM   "ot:memory"
 * @retval CCZ_E_TIMEOUT, CCZ_E_CLOSED  from the channel
 * @ct in everything secret
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vole_send(struct ccz_f128 *delta, struct ccz_f128 *b, size_t len,
                                          struct ccz_chan *chan, const struct ccz_ot_cfg *cfg,
                                          struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_vole_recv(struct ccz_f128 *a, struct ccz_f128 *c, size_t len,
                                          struct ccz_chan *chan, const struct ccz_ot_cfg *cfg,
                                          struct ccz_err *err);
/** What a VOLE of this length sends in both directions together, for plans and tests. Exact, without channel framing. */
CCZ_API uint64_t ccz_vole_size(size_t len, unsigned k);

/* --------------------------------------------------------------------------- OT extension */

/** One set-up (128 base OTs), then any number of extensions. The sender holds delta. */
struct ccz_ot_sender;
struct ccz_ot_receiver;
/** @param chan  borrowed for the life of the object. Errors as above. After a failed call only free is allowed: others
 *  are refused with its code, "ot:unusable". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_sender_new(struct ccz_ot_sender **out, struct ccz_chan *chan,
                                              const struct ccz_ot_cfg *cfg, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_receiver_new(struct ccz_ot_receiver **out, struct ccz_chan *chan,
                                                const struct ccz_ot_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_ot_sender_free(struct ccz_ot_sender *s);     /**< NULL is fine; wipes */
CCZ_API void ccz_ot_receiver_free(struct ccz_ot_receiver *r); /**< NULL is fine; wipes */
CCZ_DEFINE_AUTO(ccz_ot_sender)
CCZ_DEFINE_AUTO(ccz_ot_receiver)
/** Borrowed. */
CCZ_API const struct ccz_f128 *ccz_ot_sender_delta(const struct ccz_ot_sender *s);

#define CCZ_OT_LEN_MAX ((size_t)1 << 30)
/**
 * Correlated OT: t[i] = q[i] + x_i delta, as bits of blocks of 128. The sender gets q, the receiver brings x.
 * @param x  choices, bit i % 8 of byte i / 8; borrowed, secret
 * @retval CCZ_E_ARG   "ot:len": 0 or above CCZ_OT_LEN_MAX
 * @retval CCZ_E_PEER  "ot:consistency": the receiver cheats
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cot_send(struct ccz_f128 *q, size_t len, struct ccz_ot_sender *s,
                                         struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_cot_recv(struct ccz_f128 *t, const uint8_t *x, size_t len,
                                         struct ccz_ot_receiver *r, struct ccz_err *err);
/**
 * Random OT: the sender gets m[2 i] and m[2 i + 1], the receiver m_x[i] = m[2 i + x_i]: correlated OT, hashed with a
 * tweakable correlation robust hash, so that nothing of delta is left.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_send(struct ccz_f128 *m, size_t len, struct ccz_ot_sender *s,
                                        struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ot_recv(struct ccz_f128 *m_x, const uint8_t *x, size_t len,
                                        struct ccz_ot_receiver *r, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
