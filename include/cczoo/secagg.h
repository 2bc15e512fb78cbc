/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SECAGG_H
#define CCZ_SECAGG_H
/**
 * @file secagg.h
 * Secure aggregation: a server learns the sum of its clients' vectors and nothing else about them, also when clients
 * vanish in the middle. State machines without I/O, clock or threads: messages in, messages out.
 *
 * Protocol (Bonawitz et al., CCS 2017; with a sparse graph: Bell et al., CCS 2020). Each client hides its vector of
 * numbers modulo 2^32 under a mask of its own and one shared with each of its *neighbours*, which one of the two adds
 * and the other subtracts. The seeds of the masks are shared out to the neighbours (Shamir), `threshold` of whom can
 * later open, of each client, either the one (it delivered) or the other (it vanished), never both.
 *
 * | phase   | client sends                     | server answers to each who is still there     | who is silent until then |
 * |---------|----------------------------------|-----------------------------------------------|--------------------------|
 * | KEYS    | two X25519 keys, signed          | keys of its neighbours                        | is not part of the round |
 * | SHARES  | sealed shares of its two secrets | what the neighbours sealed for it             | is not part of the sum   |
 * | INPUT   | its masked vector                | who delivered (with a roster)                 | its masks are removed    |
 * | AGREE   | its signature of that            | who delivered, who vanished, the signatures   | (only with a roster)     |
 * | REVEAL  | one share for each neighbour     | -                                             | others' shares suffice   |
 *
 * A client: _new, then _step with an empty input gives KEYS; each answer of the server goes into _step, which gives the
 * next message. Behind the inbox of shares, ccz_secagg_client_mask() masks the vector, in pieces as it is sent.
 * A server: _new; _input for each message; _uploaded for each vector that it has *added* with ccz_secagg_add(); _next
 * closes a phase; _output is what each client gets then. At the end ccz_secagg_server_unmask() removes the masks.
 *
 * Who is trusted. A zeroed configuration is the strict one: every client knows the others' signing keys (the *roster*),
 * the graph is complete, and a client opens shares only for a set that `threshold` clients have signed. This holds
 * against a server that deviates in any way and works with up to 2 threshold - members - 1 clients. With
 * `attested_server` the keys are what the server says and the graph is the server's choice, without signatures: right
 * only where the client has verified, by attestation on its channel, that the server runs this code (then the
 * clients' vectors stay hidden from who reads the server's memory later, or its log, and from other clients).
 * docs/design/secagg.md has the arguments, and what is not protected: a client may lie about its own vector.
 *
 * Secrets live in ccz_secret; what is computed from them takes no branch and no address from them (masks, shares,
 * keys). Threads: objects are independent; one is used by one thread at a time, but ccz_secagg_add() and the pure
 * functions by any.
 * Reading order of the sources: params.c, field.c (GF(2^16)), shamir.c, prg*.c (masks), quant.c, msg.c, keys.c,
 * graph.c, client.c, server.c.
 */
#include <cczoo/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_SECAGG_MEMBERS_MAX  65535 /**< share of member i is at x = i + 1 in GF(2^16) */
#define CCZ_SECAGG_DEGREE_MAX   4096
#define CCZ_SECAGG_SESSION_SIZE 32
#define CCZ_SECAGG_ID_SIZE      64 /**< public key of a member's identity: P-256, x || y */

/** What all parties of a round agree on; its hash is in every message and every key. */
struct ccz_secagg_cfg {
    uint32_t members; /**< invited, numbered from 0; 3 .. CCZ_SECAGG_MEMBERS_MAX */
    uint32_t
        degree; /**< neighbours of a client; even; 0 = all others (the only choice with a roster) */
    uint32_t
        threshold; /**< shares that open a secret. With a roster above members / 2, 0 = two thirds of them + 1;
                             else above degree / 2, at most degree; see ccz_secagg_choose() */
    uint32_t quorum;      /**< fewest vectors of a sum; 0 = two thirds of the members, at least 2 */
    bool attested_server; /**< see above; false: roster and signatures */
    uint64_t len;         /**< numbers in a vector; at least 1 */
    uint64_t
        round; /**< a client never takes part in the same (session, round) twice: the caller counts up */
    uint8_t session[CCZ_SECAGG_SESSION_SIZE]; /**< random, the server's choice */
};

/* ---------------------------------------------------------------------------------- parameters */

/** Degree and threshold of a sparse graph, with what they are good for. */
struct ccz_secagg_choice {
    uint32_t degree, threshold;
    double
        leak_log2; /**< log2 of a bound of the chance that some honest client's secrets can be opened, or that honest
                           clients fall apart into groups with sums of their own */
    double fail_log2; /**< log2 of a bound of the chance that the round cannot be finished */
};
/**
 * Smallest degree, then the threshold in the middle of what is possible.
 * @param members   of the round
 * @param corrupt   of them, that work with the server
 * @param dropped   of them, that vanish at the worst moment
 * @param leak_bits, fail_bits  leak_log2 <= -leak_bits, fail_log2 <= -fail_bits (0 = 40 and 20)
 * @retval CCZ_E_ARG  secagg:choice: no such degree (the complete graph is then the way), or senseless numbers
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_choose(struct ccz_secagg_choice *out, uint32_t members,
                                              uint32_t corrupt, uint32_t dropped,
                                              uint32_t leak_bits, uint32_t fail_bits,
                                              struct ccz_err *err);

/**
 * Real numbers as integers modulo 2^32, so that no sum of `clients` of them runs over: q = round(x / step),
 * step = range / floor((2^31 - 1) / clients). Values outside of the range are clipped.
 */
struct ccz_secagg_quant {
    float range;      /**< |x| <= range; > 0 and finite */
    uint32_t clients; /**< most in one sum, each counted with its weight; 1 .. 2^24 */
};
/** The step; 0 if the configuration is not valid. */
CCZ_API double ccz_secagg_quant_step(const struct ccz_secagg_quant *cfg);
/**
 * @param[out] q        two's complement; error of each value <= step / 2
 * @param[out] clipped  how many values were outside of the range; NULL = do not count
 * @param scale         x is multiplied by it first: 1, or the client's weight
 * @retval CCZ_E_FORMAT  secagg:not-finite, aux = index of the value
 * @retval CCZ_E_ARG     secagg:range
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_quantize(uint32_t *q, uint64_t *clipped, const float *x,
                                                size_t len, float scale,
                                                const struct ccz_secagg_quant *cfg,
                                                struct ccz_err *err);
/** x = factor * step * q: the sum with factor 1, the mean with 1 / n. May not overlap unless x == (float *)q. */
CCZ_API void ccz_secagg_dequantize(float *x, const uint32_t *q, size_t len, double factor,
                                   const struct ccz_secagg_quant *cfg);

/* --------------------------------------------------------------------------------------- client */

struct ccz_secagg_client;
struct ccz_secagg_client_cfg {
    struct ccz_secagg_cfg round; /**< copied */
    uint32_t self;               /**< own number */
    const struct ccz_key
        *identity; /**< P-256 with its private half; borrowed. NULL with attested_server */
    const uint8_t (*roster)
        [CCZ_SECAGG_ID_SIZE]; /**< public identity of each member; borrowed. NULL with attested_server */
};
/**
 * Draws the secrets of one round.
 * @retval CCZ_E_ARG     secagg:members, secagg:degree, secagg:threshold, secagg:quorum, secagg:len, secagg:self; secagg:roster
 *                       and secagg:identity: missing (or given with attested_server), repeated, or not the member's own
 * @retval CCZ_E_NOMEM, CCZ_E_INTERNAL
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_client_new(struct ccz_secagg_client **out,
                                                  const struct ccz_secagg_client_cfg *cfg,
                                                  struct ccz_err *err);
CCZ_API void ccz_secagg_client_free(struct ccz_secagg_client *c); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_secagg_client)
/**
 * One message of the server, one answer. A refusal is final: secrets are wiped and every later step is refused.
 * @param[out] out  the answer is appended; nothing for the inbox of shares (the masked vector is the answer)
 * @param in        empty at the start; untrusted
 * @retval CCZ_E_FORMAT    secagg:message: malformed
 * @retval CCZ_E_MISMATCH  secagg:round, secagg:session: of another round or configuration (also: replayed)
 * @retval CCZ_E_DENIED    secagg:phase: not the message that is due, a second request to reveal among them;
 *                         secagg:both-shares: a member is to be opened both ways; secagg:self-dropped: this client is called
 *                         vanished; secagg:mixed-sets: not the set that this client signed; secagg:sets: a member that has
 *                         sent shares is missing, or one is named that has not; secagg:few: too few neighbours or vectors
 * @retval CCZ_E_SIG       secagg:signature: of a key; secagg:agreement: too few valid signatures of the set;
 *                         secagg:share-tag: a sealed share was changed, or is for somebody else
 * @retval CCZ_E_PEER      secagg:key-repeated, secagg:equal-keys, secagg:weak-key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_client_step(struct ccz_buf *out, struct ccz_secagg_client *c,
                                                   struct ccz_span in, struct ccz_err *err);
/** The inbox has come, the vector is due. */
CCZ_API bool ccz_secagg_client_masking(const struct ccz_secagg_client *c);
/**
 * Adds this client's masks, modulo 2^32, to elements offset .. offset + len - 1 of its vector, in place. Each element is
 * masked exactly once, in order: two different values under one mask would show their difference.
 * @retval CCZ_E_DENIED  secagg:mask-order, secagg:phase
 * @ct in the masks
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_client_mask(uint32_t *y, struct ccz_secagg_client *c,
                                                   uint64_t offset, size_t len,
                                                   struct ccz_err *err);

/* --------------------------------------------------------------------------------------- server */

enum ccz_secagg_phase {
    CCZ_SECAGG_KEYS,
    CCZ_SECAGG_SHARES,
    CCZ_SECAGG_INPUT,
    CCZ_SECAGG_AGREE, /**< with a roster only */
    CCZ_SECAGG_REVEAL,
    CCZ_SECAGG_UNMASK, /**< everything is there: ccz_secagg_server_unmask() */
    CCZ_SECAGG_FAILED
};
/** "keys", "shares", "input", "agree", "reveal", "unmask", "failed" */
CCZ_API const char *ccz_secagg_phase_name(enum ccz_secagg_phase phase);

struct ccz_secagg_server;
/**
 * @param roster  with it, signatures are checked here already; needed unless attested_server; borrowed
 * @retval as ccz_secagg_client_new()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_server_new(struct ccz_secagg_server **out,
                                                  const struct ccz_secagg_cfg *cfg,
                                                  const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE],
                                                  struct ccz_err *err);
CCZ_API void ccz_secagg_server_free(struct ccz_secagg_server *s); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_secagg_server)
CCZ_API enum ccz_secagg_phase ccz_secagg_server_phase(const struct ccz_secagg_server *s);
/** A message is due from the member in this phase (in INPUT: its vector). */
CCZ_API bool ccz_secagg_server_waits(const struct ccz_secagg_server *s, uint32_t member);
/** How many are due, and how many of this phase have come. */
CCZ_API uint32_t ccz_secagg_server_missing(const struct ccz_secagg_server *s);
CCZ_API uint32_t ccz_secagg_server_answers(const struct ccz_secagg_server *s);
/**
 * A message of a member. Refused, it leaves no trace, and the member may still send a good one.
 * @retval CCZ_E_FORMAT, CCZ_E_MISMATCH, CCZ_E_SIG, CCZ_E_PEER  as ccz_secagg_client_step()
 * @retval CCZ_E_DENIED  secagg:phase: nothing is due from this member, or it has answered already
 * @retval CCZ_E_PEER    secagg:sets: shares for or of members that are none of its neighbours, or of the wrong kind
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_server_input(struct ccz_secagg_server *s, uint32_t member,
                                                    struct ccz_span msg, struct ccz_err *err);
/** The member's masked vector is in the accumulator, whole. @retval CCZ_E_DENIED secagg:phase */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_server_uploaded(struct ccz_secagg_server *s, uint32_t member,
                                                       struct ccz_err *err);
/**
 * Ends the phase: who has not answered has vanished. A failure is final (CCZ_SECAGG_FAILED).
 * @retval CCZ_E_PEER    secagg:few: less than quorum or threshold are left, or a client has lost too many neighbours;
 *                       secagg:shares: less than threshold good shares of a member, aux = the member; secagg:secret: the shares
 *                       of a member are consistent, but not of its secret, aux = the member
 * @retval CCZ_E_DENIED  secagg:phase
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_server_next(struct ccz_secagg_server *s,
                                                   struct ccz_err *err);
/** What the member gets at the start of this phase, appended. Nothing to send in KEYS and UNMASK.
 *  @retval CCZ_E_DENIED  secagg:phase: the member has vanished */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_server_output(struct ccz_buf *out,
                                                     struct ccz_secagg_server *s, uint32_t member,
                                                     struct ccz_err *err);
/**
 * Subtracts all masks from elements offset .. offset + len - 1 of the sum, in place: exactly once for each element, in any
 * order, also from several threads (of disjoint pieces).
 * @retval CCZ_E_DENIED  secagg:phase  @retval CCZ_E_ARG  secagg:len
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secagg_server_unmask(uint32_t *sum,
                                                     const struct ccz_secagg_server *s,
                                                     uint64_t offset, size_t len,
                                                     struct ccz_err *err);
/** What a round came to, in numbers; valid in every phase. */
struct ccz_secagg_stats {
    uint32_t members, keys, shares, inputs, reveals; /**< invited, and left behind each phase */
    uint32_t degree;                                 /**< of the graph that was drawn */
    uint32_t
        wrong_shares; /**< revealed shares that were not what their dealer had committed to; not used */
    uint64_t masks;               /**< to be removed from the sum, each of `len` numbers */
    uint64_t bytes_in, bytes_out; /**< of messages; vectors are not counted */
};
CCZ_API void ccz_secagg_server_stats(struct ccz_secagg_stats *out,
                                     const struct ccz_secagg_server *s);

/** acc += y modulo 2^32: how the server adds a masked vector, or a piece of one. */
CCZ_API void ccz_secagg_add(uint32_t *acc, const uint32_t *y, size_t len);

#ifdef __cplusplus
}
#endif
#endif
