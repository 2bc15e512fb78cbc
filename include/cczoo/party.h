/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PARTY_H
#define CCZ_PARTY_H
/**
 * @file party.h
 * One participant of an attested system: where its own evidence comes from, which evidence it accepts from
 * others, and the RA-TLS context made of both. What every daemon and client would otherwise wire by hand.
 */
#include <cczoo/ratls.h>
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_party_cfg {
    /** Own evidence; provider NULL = this party gives none (a client outside a TEE). */
    struct ccz_attester_cfg tee;
    /** Instead of `tee`: an attester that several parties of one process share; borrowed, outlives the party. */
    struct ccz_attester *attester;
    /** Evidence of others. */
    const char *collateral_dir; /**< collateral of genuine platforms, or NULL */
    const char *trust_sim_dir;  /**< trusts this software TEE, or NULL */
    /**
     * Where collateral is fetched from: "pcs" (Intel's and AMD's services), or the URL of a PCCS for Intel's; NULL = from
     * nowhere, what is in the directories is all there is. It fills collateral_dir, or if there is none trust_sim_dir.
     * A server has a thread that refreshes what is due, fetches what the evidence of a peer lacks, and logs when
     * collateral expires; that peer is refused with "party:collateral-pending" and may come again. A client waits.
     */
    const char *collateral_from;
    const char
        *collateral_ca_file; /**< PEM authorities of that server instead of the system's, or NULL */
    const char *policy_file; /**< required unless genuine_only or peer_evidence_optional */
    /** Accepts every genuine peer; the application judges the claims itself (the KMS: per item). Not with a policy. */
    bool genuine_only;
    /** RA-TLS: as in struct ccz_ratls_cfg. With the certificate profile, whose evidence comes again and again, what
     *  was verified is remembered (verifier.h). */
    enum ccz_ratls_profile profile;
    bool server;
    bool peer_evidence_optional;
    const struct ccz_key *key; /**< TLS identity, borrowed during the call; NULL = a fresh one */
    ccz_ratls_pin_fn pin;
    void *pin_arg;
    const char *const *alpn;
    enum ccz_ratls_emit emit;
    ccz_ratls_certify_fn
        certify; /**< who issues the own certificate, or NULL; asked at each renewal */
    void *certify_arg;
    bool require_fresh; /**< the default profile is fresh; this refuses the others */
    int64_t reattest_interval_ms, reattest_timeout_ms;
    struct ccz_clock clock; /**< zeroed = the system's clock */
};

struct ccz_party;
/**
 * @retval CCZ_E_ARG  collateral_from without a directory ("party:collateral")
 * @retval CCZ_E_ARG  no policy, and nothing says that none is needed, or both ("party:policy"); two sources of own evidence
 * @retval others     of ccz_attester_open(), ccz_verifier_new(), ccz_policy_parse(), ccz_ratls_ctx_new()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_new(struct ccz_party **out, const struct ccz_party_cfg *cfg,
                                          struct ccz_err *err);
CCZ_API void ccz_party_free(struct ccz_party *p); /**< after all connections are gone */
CCZ_DEFINE_AUTO(ccz_party)
CCZ_API struct ccz_ratls_ctx *
ccz_party_ratls(struct ccz_party *p); /**< borrowed, until ccz_party_renew() or the end */
/** The configuration of that context, for TLS stacks of others (ratls_openssl.h, grpc_creds.h); its hooks borrow from the
 *  party, `now_s` is the time of this call, `key` and `alpn` are NULL. Renewals are theirs too. */
CCZ_API void ccz_party_ratls_cfg(struct ccz_ratls_cfg *out, const struct ccz_party *p);

/** The context for new connections from now on. It is borrowed during the call: whoever keeps it takes a reference, as the gRPC server and
 *  client do (ccz_rpc_server_set_ratls(), ccz_rpc_client_set_ratls()). No call of the party's renewal functions in it. */
typedef void (*ccz_party_renewed_fn)(void *arg, struct ccz_ratls_ctx *ctx);
/** @p fn is called now, and at each renewal, one call at a time. @retval CCZ_E_NOMEM it was not called */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_attach(struct ccz_party *p, ccz_party_renewed_fn fn,
                                             void *arg);
/** Waits for a call of @p fn under way; none comes behind it. */
CCZ_API void ccz_party_detach(struct ccz_party *p, ccz_party_renewed_fn fn, void *arg);
/**
 * A new TLS identity without an end of service: a fresh key (or the one that was given, if one was), a new certificate, in
 * the profiles that carry evidence there with new evidence. Everybody attached gets it; existing connections go on with what
 * they have. If it fails, the old identity stays in use. Takes as long as making evidence takes; any thread.
 * @retval those of ccz_ratls_ctx_new()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_renew(struct ccz_party *p, struct ccz_err *err);

/** For daemons, at SIGHUP: reads the collateral again and renews the identity, and logs how each went as @p module. What fails is
 *  kept as it was. @retval CCZ_OK both went well, else the failure of the last that did not */
CCZ_API ccz_rc ccz_party_reload(struct ccz_party *p, const char *module);

/**
 * A guard by policy, for ccz_rpc_server_guard(): some services of a server accept fewer peers than the server does. The
 * handshake has verified that the claims are genuine; this judges them by a policy of its own, at the time of the call.
 */
struct ccz_party_guard;
/** @param clock  zeroed = the system's @retval those of ccz_policy_parse() and ccz_file_read() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_guard_new(struct ccz_party_guard **out,
                                                const char *policy_file, struct ccz_clock clock,
                                                struct ccz_err *err);
/** As ccz_party_guard_new() with the policy's text. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_guard_parse(struct ccz_party_guard **out,
                                                  struct ccz_span policy, struct ccz_clock clock,
                                                  struct ccz_err *err);
CCZ_API void ccz_party_guard_free(struct ccz_party_guard *g); /**< after the servers that ask it */
CCZ_DEFINE_AUTO(ccz_party_guard)
/** A ccz_rpc_guard_fn; @p guard is a struct ccz_party_guard.
 *  @retval CCZ_E_DENIED  "party:not-attested": the peer gave no evidence; a pinned key is no evidence
 *  @retval CCZ_E_POLICY  of ccz_policy_eval() */
CCZ_API ccz_rc ccz_party_guard_judge(void *guard, const struct ccz_ratls_peer *peer,
                                     const char *path, struct ccz_err *err);
/**
 * For what is signed and kept, as a trained model: appends a certificate of @p key with this party's evidence over it, DICE.
 * @param key  P-256
 * @retval CCZ_E_ARG  "party:evidence": this party gives none  @retval as ccz_ratls_cert_issue()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_cert_issue(struct ccz_buf *out_der, struct ccz_party *p,
                                                 const struct ccz_key *key, struct ccz_err *err);
/**
 * Judges such a certificate by this party's policy, as of now. Who holds the key is for a signature to show.
 * @param[out] claims  zeroed on failure
 * @retval CCZ_E_ARG  "party:policy": this party judges nobody  @retval as ccz_cert_parse(), ccz_ratls_cert_verify()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_party_cert_judge(struct ccz_claims *claims, struct ccz_party *p,
                                                 struct ccz_span der, struct ccz_err *err);

CCZ_API struct ccz_attester *
ccz_party_attester(struct ccz_party *p); /**< borrowed; NULL if it gives no evidence */
CCZ_API struct ccz_verifier *
ccz_party_verifier(struct ccz_party *p); /**< borrowed; NULL if it appraises nobody */
/** {"verifier": as ccz_verifier_report(), "store": as ccz_pcs_store_report() or null}; null for who appraises nobody. */
CCZ_API void ccz_party_collateral_report(struct ccz_buf *out, struct ccz_party *p);
/** True if own evidence is simulated or simulated evidence is trusted: say SIMULATED wherever a user looks. */
CCZ_API bool ccz_party_simulated(const struct ccz_party *p);

#ifdef __cplusplus
}
#endif
#endif
