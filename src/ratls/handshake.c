/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshake profile: the nonce of who verifies travels in ClientHello or CertificateRequest, the evidence beside the
 * certificate that answers it, both in the extension of struct ccz_tls_proof. What the extension itself must look like
 * is checked there; here it is made, bound and judged.
 */
#include "ratls_priv.h"

#include <cczoo/crypto.h>

_Static_assert(CCZI_RATLS_NONCE_SIZE == CCZ_TLS_CHALLENGE_SIZE, "the nonce is the challenge");

ccz_rc cczi_handshake_report_data(uint8_t out[64], char role, struct ccz_span spki,
                                  const uint8_t nonce[CCZI_RATLS_NONCE_SIZE])
{
    const uint8_t size[4] = {(uint8_t)spki.size, (uint8_t)(spki.size >> 8),
                             (uint8_t)(spki.size >> 16), (uint8_t)(spki.size >> 24)};
    const struct ccz_span parts[] = {
        ccz_span_str(CCZI_RATLS_LABEL_HANDSHAKE),
        CCZ_SPAN(&role, 1),
        CCZ_SPAN(size, sizeof(size)),
        spki,
        CCZ_SPAN(nonce, CCZI_RATLS_NONCE_SIZE),
    };
    return ccz_hash(out, CCZ_SHA512, parts, sizeof(parts) / sizeof(parts[0]));
}

/* What evidence of @p role must be over. */
static ccz_rc bind(uint8_t out[64], bool server, struct ccz_span spki, const uint8_t nonce[],
                   struct ccz_err *err)
{
    ccz_rc rc = cczi_handshake_report_data(out, server ? 's' : 'c', spki, nonce);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_fail(err, rc, "ratls:hash", 0, "report data could not be computed");
}

/* ccz_tls_proof.make: while the own Certificate message is made. */
ccz_rc cczi_handshake_make(void *arg, struct ccz_buf *out, struct ccz_span own_spki,
                           const uint8_t nonce[], struct ccz_err *err)
{
    const struct ccz_ratls_ctx *ctx = arg;
    const struct ccz_ratls_cfg *cfg = &ctx->cfg;
    uint8_t over[64];
    ccz_rc rc = bind(over, cfg->server, own_spki, nonce, err);
    if (rc == CCZ_OK)
        rc = cfg->attest(cfg->attest_arg, out, over, err);
    if (rc == CCZ_OK && (out->bad || out->size == 0))
        rc = ccz_fail(err, CCZ_E_LIMIT, "ratls:own-evidence", (int64_t)out->size,
                      "own evidence is empty or above %d bytes", CCZ_TLS_PROOF_SIZE_MAX);
    return rc;
}

struct ccz_tls_proof cczi_handshake_proof(const struct ccz_ratls_cfg *cfg,
                                          ccz_rc (*verify)(void *, void *, struct ccz_span,
                                                           const uint8_t *, struct ccz_span,
                                                           struct ccz_err *))
{
    return (struct ccz_tls_proof){.ask = cfg->appraise != NULL,
                                  .size_max = CCZ_TLS_PROOF_SIZE_MAX,
                                  .make = cfg->attest ? cczi_handshake_make : NULL,
                                  .verify = verify};
}

static ccz_rc judge_bare(struct ccz_ratls_peer *peer, const struct ccz_ratls_cfg *cfg,
                         struct ccz_span spki, struct ccz_err *err)
{
    if (cfg->peer_evidence_optional)
        return cczi_ratls_check_pin(peer, cfg, spki, err);
    (void)ccz_refuse(err, CCZ_E_DENIED, "ratls:no-evidence", "no evidence", "evidence");
    return ccz_hint(err, CCZ_E_DENIED,
                    "the peer has none to give, or does not speak the handshake profile");
}

ccz_rc cczi_handshake_judge(struct ccz_ratls_peer *peer, const struct ccz_ratls_cfg *cfg,
                            struct ccz_span spki, const uint8_t nonce[CCZI_RATLS_NONCE_SIZE],
                            struct ccz_span quote, struct ccz_err *err)
{
    struct ccz_claims found = {0};
    uint8_t expected[64];
    ccz_rc rc = cczi_ratls_hash_key(peer, spki, err);
    if (rc != CCZ_OK)
        return rc;
    if (!quote.ptr)
        return judge_bare(peer, cfg, spki, err);
    rc = cfg->appraise(cfg->appraise_arg, &found, quote, err);
    if (rc == CCZ_OK)
        rc = bind(expected, !cfg->server, spki, nonce, err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_check_binding(&found, expected, err);
    if (rc != CCZ_OK)
        return rc;
    peer->claims = found;
    peer->attested = peer->fresh = true;
    return CCZ_OK;
}
