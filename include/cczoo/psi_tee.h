/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PSI_TEE_H
#define CCZ_PSI_TEE_H
/**
 * @file psi_tee.h
 * Private set intersection of any number of parties by a server that all of them trust because they verified what it is
 * (a TEE; the channel is inside RA-TLS). Each party uploads hashes of its ids, the server answers each with the rows of
 * those that all have. Fast and simple; what the server is trusted with:
 *  - it learns who has how many ids, which are common, and hashes of all. With a `key` that the parties share and the server
 *    does not have, hashes are all it learns; without, it can test guesses of ids;
 *  - it could answer wrongly. Parties see the same digest, and each checks that its own rows belong to it.
 * Parties learn the common ids and the number of parties, nothing of each other's other ids.
 *
 * Server: one object per session, one thread per party in ccz_psi_tee_serve(). If one party fails, the session fails for
 * all, and says so. Reading order of the sources: tee.c, tee_join.c.
 */
#include <cczoo/psi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PSI_TEE_PARTIES_MAX 64
#define CCZ_PSI_TEE_LEN_MAX     (UINT64_C(1) << 24) /**< default of `len_max` */

/** What all parties and the server have to say alike; each difference is refused with a `where` of its own. */
struct ccz_psi_tee_terms {
    unsigned parties;           /**< 2 .. CCZ_PSI_TEE_PARTIES_MAX; required */
    enum ccz_psi_output output; /**< CCZ_PSI_CARDINALITY: nobody gets rows */
    uint64_t min_intersection;  /**< fewer common ids: "psi:minimum" for all. 0 = none */
    struct ccz_span session;    /**< name of the session, a contract's number; may be empty */
};

struct ccz_psi_tee_cfg {
    struct ccz_psi_tee_terms terms;
    uint64_t
        len_max; /**< ids of one party (padded), 40 bytes of memory each; 0 = CCZ_PSI_TEE_LEN_MAX */
    int64_t wait_ms; /**< how long the first party waits for the last; 0 = 10 minutes */
};
/** A session at the server. */
struct ccz_psi_tee;
/** @retval CCZ_E_ARG psi:config  @retval CCZ_E_NOMEM psi:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_tee_new(struct ccz_psi_tee **out,
                                            const struct ccz_psi_tee_cfg *cfg, struct ccz_err *err);
/**
 * Serves one party until it has its answer. Blocks; called once for each party, by a thread of its own. On failure the
 * channel is closed with the reason, and the session is over for all.
 * @param party  its number, 0 .. parties - 1; who it is is the caller's business
 * @retval CCZ_E_ARG       psi:tee-party: no such number, or served already
 * @retval CCZ_E_MISMATCH  psi:peer-output, psi:peer-minimum, psi:peer-session, psi:tee-parties, psi:peer-ids, psi:tee-key:
 *                         this party says otherwise than the server or the party before it
 * @retval CCZ_E_LIMIT     psi:peer-len
 * @retval CCZ_E_PEER      psi:message; psi:tee-twice: the same hash twice
 * @retval CCZ_E_TIMEOUT   psi:tee-wait: other parties did not come
 * @retval CCZ_E_CLOSED    psi:tee-peer: another party failed; the message says how
 * @retval CCZ_E_POLICY    psi:minimum
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_tee_serve(struct ccz_psi_tee *t, unsigned party,
                                              struct ccz_chan *chan, struct ccz_err *err);
/** Common ids, once all were served. */
CCZ_API uint64_t ccz_psi_tee_len(const struct ccz_psi_tee *t);
/** After all calls of ccz_psi_tee_serve() have returned; wipes. NULL is fine. */
CCZ_API void ccz_psi_tee_free(struct ccz_psi_tee *t);
CCZ_DEFINE_AUTO(ccz_psi_tee)

struct ccz_psi_tee_join_cfg {
    struct ccz_psi_tee_terms terms;
    /** A secret of the parties, any size from 16 bytes; NULL: the server can test guesses of ids. */
    const struct ccz_secret *key;
    bool pad; /**< random entries up to a power of two, so that the server sees that one only */
};
/**
 * One party. Waits for the others as long as the server does.
 * @param[out] out  owned by the caller; rows in an order that is the same for all, digest equal for all
 * @retval CCZ_E_ARG   psi:config
 * @retval CCZ_E_PEER  psi:message, psi:matches: a malformed answer
 * @retval CCZ_E_SIG   psi:alignment: rows and digest do not belong together
 * and the reasons of the server, CCZ_E_CLOSED chan:closed, CCZ_E_POLICY psi:minimum
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_psi_tee_join(struct ccz_psi_result **out, struct ccz_chan *chan,
                                             const struct ccz_psi_ids *ids,
                                             const struct ccz_psi_tee_join_cfg *cfg,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
