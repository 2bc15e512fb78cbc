/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RATLS_H
#define CCZ_RATLS_H
/**
 * @file ratls.h
 * TLS 1.3 with remote attestation, as an engine without I/O (same shape as tls.h).
 *
 * Session profile (default, between our own parties): both sides use self-made P-256 certificates; inside
 * the finished TLS session, before any application byte, each attesting side sends evidence with
 *   report_data = SHA-512("cczoo ra-tls session v1" || role || SPKI || exporter || nonce)
 * role: 1 byte, 's' or 'c' of the attester; SPKI: own SubjectPublicKeyInfo DER, preceded by its le32 size;
 * exporter: 32 bytes, label "EXPORTER-cczoo-ra-tls", empty context; nonce: 32 bytes from the peer. So evidence is
 * fresh, bound to this session and key, and cannot be reflected. ALPN "ccz-ratls/1": no downgrade to plain TLS.
 *
 * Long connections: with `reattest_interval_ms` on either side, ALPN is "ccz-ratls/2": application bytes travel in
 * frames, and between them each side can ask the other for evidence again, over a new nonce, with
 *   report_data = SHA-512("cczoo ra-tls session v2" || role || SPKI || exporter || nonce || round as le64)
 * where round 0 is the one before the first application byte. What is refused ends the connection. A side that
 * does not ask itself answers whoever does, if it speaks version 2; who asks refuses peers that do not.
 *
 * Handshake profile (fresh, any ALPN protocol, and for TLS stacks of others: ratls_openssl.h, grpc_creds.h): each
 * verifying side sends a 32-byte nonce in ClientHello or CertificateRequest, and the Certificate message that answers it
 * carries evidence (struct ccz_tls_proof) with
 *   report_data = SHA-512("cczoo ra-tls handshake v1" || role || le32 size of SPKI || SPKI || nonce)
 * Fresh and bound to the key, which CertificateVerify proves to be there; not to the session's own secrets, which do not
 * exist yet: who has stolen a key can have fresh evidence over it made for connections of their own as long as its owner
 * runs. The session profile closes that. docs/design/ratls.md says which one is for what.
 *
 * Certificate profile (interoperable, no freshness): evidence in a certificate extension (Gramine legacy and
 * CCC "Interoperable RA-TLS" formats), report_data binds the key only.
 *
 * Messages of the session profile and their states: session.c; evidence again: rounds.c, frames.c; certificates:
 * cert.c; evidence inside the handshake: handshake.c; engine: ratls.c.
 */
#include <cczoo/quote.h>
#include <cczoo/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ccz_ratls_profile {
    CCZ_RATLS_SESSION = 0,
    CCZ_RATLS_CERTIFICATE,
    CCZ_RATLS_TLS_ONLY_INSECURE, /**< TLS without attestation: stock clients on a test port, pinned admin keys */
    CCZ_RATLS_HANDSHAKE
};

/** Produces evidence for @p report_data (usually ccz_attester_quote()). */
typedef ccz_rc (*ccz_ratls_attest_fn)(void *arg, struct ccz_buf *quote,
                                      const uint8_t report_data[64], struct ccz_err *err);
/** Verifies evidence and decides about it (quote.h + policy.h, composed by module verifier). The engine itself
 *  compares the report data, in constant time, after this returned CCZ_OK. */
typedef ccz_rc (*ccz_ratls_appraise_fn)(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                                        struct ccz_err *err);
/** Accepts a peer by its SPKI instead of evidence (pinned administrator keys). Return CCZ_OK to accept. */
typedef ccz_rc (*ccz_ratls_pin_fn)(void *arg, struct ccz_span spki, struct ccz_err *err);

/** Appends a certificate (DER) for @p key from somebody else, with the evidence of this side inside: kms_use.h has one issued. */
typedef ccz_rc (*ccz_ratls_certify_fn)(void *arg, struct ccz_buf *der, const struct ccz_key *key,
                                       struct ccz_err *err);

/** Which extensions an own certificate carries. Each costs a quote, in the handshake some 5 KB. SEV-SNP: always DICE. */
enum ccz_ratls_emit {
    CCZ_RATLS_EMIT_DICE =
        0,                /**< for Gramine >= 1.8, Intel's SGX SDK >= 2.22, rats-tls, ourselves */
    CCZ_RATLS_EMIT_BOTH,  /**< as Gramine since 1.8 */
    CCZ_RATLS_EMIT_LEGACY /**< for Gramine 1.4 to 1.7 (with a P-384 key) and early rats-tls */
};

#define CCZ_RATLS_ALPN   "ccz-ratls/1"
#define CCZ_RATLS_ALPN_2 "ccz-ratls/2" /**< with evidence again */

/** Misconfigurations are refused by ccz_ratls_ctx_new() ("ratls:config"): neither `appraise` nor
 *  `peer_evidence_optional`, hooks that the profile would not call, `alpn` in the session profile where clients are judged. */
struct ccz_ratls_cfg {
    enum ccz_ratls_profile profile;
    bool server;
    const struct ccz_key *key;  /**< TLS identity, P-256; NULL = a fresh one */
    int64_t now_s;              /**< for the validity of the certificate made here */
    ccz_ratls_attest_fn attest; /**< NULL = this side has no evidence to give */
    void *attest_arg;
    ccz_ratls_appraise_fn
        appraise; /**< NULL = this side asks for no evidence: needs peer_evidence_optional */
    void *appraise_arg;
    /** The peer may come without evidence (a client that is not in a TEE, a server that trusts TLS pins). Zero =
     *  evidence required. With `pin` set, such a peer must pass it. */
    bool peer_evidence_optional;
    ccz_ratls_pin_fn pin;
    void *pin_arg;
    /** All but the SESSION profile: e.g. {"h2", NULL}, which gRPC needs. SESSION servers with `attest` that ask nothing of their clients
     *  (neither `appraise` nor `pin`): clients of these protocols are served, too, beside those of the profile. They are peers without
     *  evidence, and the own certificate carries evidence then, as in the CERTIFICATE profile, for those that look at it. */
    const char *const *alpn;
    enum ccz_ratls_emit emit; /**< where the own certificate carries evidence */
    /** Where the own certificate carries evidence: it is this one's, for peers that know its issuer, instead of a self-signed one.
     *  It has to be for the key and carry evidence over it ("ratls:certified"). */
    ccz_ratls_certify_fn certify;
    void *certify_arg;
    /** The evidence of an attested peer must be made for this very connection: refuses the profiles that cannot do that. */
    bool require_fresh;
    /** SESSION profile with `appraise`: ask attested peers for evidence again, that often; 0 = never, INT64_MAX = only
     *  when ccz_ratls_reattest() says so. ccz_ratls_tick() must be called. */
    int64_t reattest_interval_ms;
    int64_t reattest_timeout_ms; /**< to answer; 0 = 60 s. A quote can take 30 s (tee.h) */
};
struct ccz_ratls_ctx;
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_ctx_new(struct ccz_ratls_ctx **out,
                                              const struct ccz_ratls_cfg *cfg, struct ccz_err *err);
/** Another reference, to be given up with ccz_ratls_ctx_free(); each connection holds one itself. Thread-safe. @return @p ctx */
CCZ_API struct ccz_ratls_ctx *ccz_ratls_ctx_ref(struct ccz_ratls_ctx *ctx);
/** Gives up a reference. What the hooks use must live until the last one is gone, those of connections included. */
CCZ_API void ccz_ratls_ctx_free(struct ccz_ratls_ctx *ctx);
CCZ_DEFINE_AUTO(ccz_ratls_ctx)
/** What a context does, for who is handed one and must refuse what does not fit. */
struct ccz_ratls_traits {
    bool server;
    bool attests;   /**< has evidence to give */
    bool appraises; /**< asks peers for evidence */
    bool
        judges; /**< accepts no peer that has neither evidence nor, with `pin`, a key that passes it */
};
CCZ_API void ccz_ratls_ctx_traits(struct ccz_ratls_traits *out, const struct ccz_ratls_ctx *ctx);
/** For HTTPS on the same identity (CERTIFICATE and TLS_ONLY servers that ask nothing of their clients). Connections
 *  made from it directly refuse every peer that a context must judge ("ratls:native"). */
CCZ_API struct ccz_tls_ctx *ccz_ratls_tls_ctx(struct ccz_ratls_ctx *ctx);

/** What is known about the peer once the connection is ready. */
struct ccz_ratls_peer {
    bool attested;            /**< evidence was verified and accepted */
    bool fresh;               /**< evidence was made for this connection (SESSION, HANDSHAKE) */
    bool pinned;              /**< accepted by its key */
    struct ccz_claims claims; /**< zeroed unless attested */
    uint64_t rounds;          /**< how often the evidence was renewed since */
    uint8_t spki_sha256[32];  /**< of the peer's key; zero if it has no certificate */
};

/** One connection; same calling rules as struct ccz_tls: feed, step until ready, read / write, and drain after each.
 *  Behind ready, ccz_ratls_step() again whenever ccz_ratls_step_due() after a read. */
struct ccz_ratls;
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_new(struct ccz_ratls **out, struct ccz_ratls_ctx *ctx);
CCZ_API void ccz_ratls_free(struct ccz_ratls *r);
CCZ_DEFINE_AUTO(ccz_ratls)
/**
 * Last words to a peer that is refused by its certificate (all but the SESSION profile), where otherwise an alert, which says
 * next to nothing, ends the handshake: @p fn appends bytes of the application's protocol that tell @p why (HTTP/2:
 * GOAWAY). The handshake is brought to its end for them, they are sent inside the session, and it is closed. Nothing of the
 * peer's is read, and the connection is never ready. Before the first step; not used in the SESSION profile, which has messages for it.
 */
typedef void (*ccz_ratls_farewell_fn)(void *arg, struct ccz_buf *out, const struct ccz_err *why);
CCZ_API void ccz_ratls_set_farewell(struct ccz_ratls *r, ccz_ratls_farewell_fn fn, void *arg);
/** Application bytes that were read are overwritten inside, also in the TLS library. For secrets. Before the first step. */
CCZ_API void ccz_ratls_set_wipe(struct ccz_ratls *r);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_feed(struct ccz_ratls *r, struct ccz_span wire);
/** As ccz_ratls_feed() without a copy, until ccz_ratls_settle(): see ccz_tls_lend(). Not across ccz_ratls_step() on another thread. */
CCZ_API void ccz_ratls_lend(struct ccz_ratls *r, struct ccz_span wire);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_settle(struct ccz_ratls *r);
/** Advances handshake and attestation. On failure the reason is queued for the peer (drain, then close), and
 *  when the *peer* refused us, err carries its where / got / expected with where prefixed "peer:" (CCZ_E_PEER,
 *  aux = the peer's rc, its hint at the end of msg). A failed connection stays failed.
 *  The hooks run inside this call: it takes as long as making and appraising a quote takes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_step(struct ccz_ratls *r, struct ccz_err *err);
/** Call ccz_ratls_step(): not ready yet, or a message about evidence waits. It comes before the application bytes
 *  behind it: ccz_ratls_read() gives out none of those until it is handled. */
CCZ_API bool ccz_ratls_step_due(const struct ccz_ratls *r);
/** The message that waits asks for evidence: the step will make some, and queue it. A peer may send such messages without
 *  end, and read no answer: put the step off while too much of what was drained has not left. */
CCZ_API bool ccz_ratls_step_answers(const struct ccz_ratls *r);
CCZ_API bool ccz_ratls_ready(const struct ccz_ratls *r);
/** @retval CCZ_E_ARG before ready @retval CCZ_E_CLOSED the peer writes no more; the session may go on, and messages about
 *  evidence come (version 2): keep feeding, reading and stepping */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_read(struct ccz_buf *out, struct ccz_ratls *r,
                                           struct ccz_err *err);
/** @retval CCZ_E_ARG before ready: no application byte leaves before the peer is appraised */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_write(struct ccz_ratls *r, struct ccz_span plain,
                                            struct ccz_err *err);
/** Ends this side's direction (half-close): the peer's ccz_ratls_read() says CCZ_E_CLOSED behind the last byte written, and
 *  its bytes are read as before. Evidence again goes on both ways. Writing is refused from now on ("ratls:ended").
 *  @retval CCZ_E_ARG before ready */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_end(struct ccz_ratls *r, struct ccz_err *err);
/**
 * Timers of evidence again: asks if it is time, ends the connection if no answer came. Call it once the connection is
 * ready (the interval begins there), then at @p next_ms, and after ccz_ratls_step() behind ready; then drain. Nothing
 * else here looks at the time.
 * @param[out] next_ms  when to call again, INT64_MAX = never
 * @param      now_ms   any monotonic clock, above 0, the same for all calls
 * @retval CCZ_E_TIMEOUT  "ratls:reattest-timeout"; the peer is told
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_tick(int64_t *next_ms, struct ccz_ratls *r, int64_t now_ms,
                                           struct ccz_err *err);
/** Asks for evidence now; nothing if an answer is awaited already. The answer is judged inside ccz_ratls_step().
 *  @retval CCZ_E_UNSUPPORTED  "ratls:reattest": the peer gave none, or does not speak version 2 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_reattest(struct ccz_ratls *r, int64_t now_ms,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_drain(struct ccz_buf *out, struct ccz_ratls *r);
CCZ_API size_t ccz_ratls_pending(const struct ccz_ratls *r);
CCZ_API void ccz_ratls_close(struct ccz_ratls *r);
CCZ_API void ccz_ratls_trim(struct ccz_ratls *r); /**< as ccz_tls_trim(): for an idle connection */
/** NULL until ready. */
CCZ_API const struct ccz_ratls_peer *ccz_ratls_peer(const struct ccz_ratls *r);

/* ------------------------------------------------------------- certificates with evidence */

/** Where the evidence of a certificate stood. */
enum ccz_ratls_format {
    CCZ_RATLS_FORMAT_NONE = 0,
    CCZ_RATLS_FORMAT_DICE, /**< CCC / TCG DICE tagged evidence, 2.23.133.5.4.9 */
    CCZ_RATLS_FORMAT_LEGACY /**< raw: Gramine's 0.6.9.42.840.113741.1337.6 or the OID meant by it, early
                               rats-tls for TDX (..1337.8) and SEV-SNP (..1337.20) */
};
/** Evidence found in a certificate, nothing appraised. The views borrow from the certificate. */
struct ccz_ratls_evidence {
    enum ccz_ratls_format format;
    /** An Intel quote, or an SEV-SNP report (its certificate table may follow). */
    struct ccz_span quote;
    uint8_t report_data[64]; /**< what the quote must carry to be bound to this certificate's key */
    struct ccz_span nonce;   /**< DICE: the "nonce" claim, bound too; ptr NULL if absent */
};
/**
 * Finds the evidence of a certificate and computes its binding. The DICE extension, when present, decides
 * alone. Strict: one legacy extension; evidence of the kind that tag or OID announce; exactly one pubkey-hash
 * (SHA-256, -384 or -512 of the SubjectPublicKeyInfo), no repeated key, definite and minimal CBOR, no trailing
 * bytes at any level.
 * @retval CCZ_E_NOT_FOUND   "ratls:no-evidence": no known extension
 * @retval CCZ_E_FORMAT, CCZ_E_LIMIT, CCZ_E_UNSUPPORTED, CCZ_E_MISMATCH, CCZ_E_SIG  err->where "ratls:cert-..." names
 *         the rule; docs/design/ratls.md lists them
 * @source CCC "Interoperable RA-TLS"; Gramine tools/sgx/ra-tls; rats-tls, librats
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_cert_evidence(struct ccz_ratls_evidence *out,
                                                    const struct ccz_cert *cert,
                                                    struct ccz_err *err);
/** ccz_ratls_cert_evidence(), appraisal, and the comparison of all 64 bytes of report data. Possession of the
 *  key is for the TLS handshake to prove; dates and self-signature carry no weight. @p claims zeroed on failure */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_cert_verify(struct ccz_claims *claims,
                                                  const struct ccz_cert *cert,
                                                  ccz_ratls_appraise_fn appraise,
                                                  void *appraise_arg, struct ccz_err *err);
/**
 * The same of a request for a certificate, whose key is proven by its signature (x509.h). It asks for the evidence extension and
 * for no other: what an issuer copies into a certificate is what was looked at.
 * @retval CCZ_E_FORMAT  "ratls:csr-extensions"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_csr_verify(struct ccz_claims *claims,
                                                 const struct ccz_csr *csr,
                                                 ccz_ratls_appraise_fn appraise, void *appraise_arg,
                                                 struct ccz_err *err);
/** Appends a request (DER) for a certificate of @p key with evidence over it from @p attest, in the DICE extension. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_csr_make(struct ccz_buf *out_der, const struct ccz_key *key,
                                               ccz_ratls_attest_fn attest, void *attest_arg,
                                               struct ccz_err *err);
/**
 * Collateral that a certificate carries for verifiers without a network (extension 2.23.133.5.4.2, Intel quotes).
 * A transport, nothing more: views to hand to ccz_collateral_new(), which verifies them under the roots of the
 * verifier like any other collateral; old but unexpired collateral can be replayed by whoever writes certificates.
 * @param[out] out  borrows from @p cert; pck_chain is empty
 * @retval CCZ_E_NOT_FOUND  "ratls:no-endorsements"
 * @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED  "ratls:endorsements..."
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_cert_endorsements(struct ccz_collateral_src *out,
                                                        const struct ccz_cert *cert,
                                                        struct ccz_err *err);
/**
 * Appends a self-signed DER certificate for @p key with evidence from @p attest in the extensions that @p emit names,
 * each over a quote of its own. @p now_s: valid from an hour before to a year after.
 * @retval CCZ_E_UNSUPPORTED  "ratls:cert-issue-legacy": EMIT_LEGACY and SEV-SNP
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ratls_cert_issue(struct ccz_buf *out_der, const struct ccz_key *key,
                                                 int64_t now_s, enum ccz_ratls_emit emit,
                                                 ccz_ratls_attest_fn attest, void *attest_arg,
                                                 struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
