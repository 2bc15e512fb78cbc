/* SPDX-License-Identifier: Apache-2.0 */
/* What evidence binds in the protocol of the Key Broker Service, version 0.4. */
#include "jose_priv.h"

#include <string.h>

static ccz_rc check(const struct ccz_rcar_binding *b, struct ccz_err *err)
{
    const char *what = NULL;
    if (!b->tee_key || ccz_jwk_enc_alg(b->tee_key) == CCZ_JOSE_ALG_NONE)
        what = "no key for encryption";
    else if (b->nonce.size == 0)
        what = "no nonce";
    else if (b->device && b->additional.size > 0)
        what = "evidence of a device does not bind that of others";
    else if (!ccz_utf8_ok(b->nonce) || !ccz_utf8_ok(b->additional))
        what = "text that is no UTF-8";
    return what ? ccz_fail(err, CCZ_E_ARG, "rcar:binding", 0, "%s", what) : CCZ_OK;
}

ccz_rc ccz_rcar_binding_put(struct ccz_buf *out, const struct ccz_rcar_binding *b,
                            struct ccz_err *err)
{
    ccz_rc rc = check(b, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, out->max_size - (out->size < out->max_size ? out->size : out->max_size));
    ccz_buf_u8(&text, '{');
    if (!b->device) {
        ccz_buf_put_str(&text, "\"additional-evidence\":");
        cczi_put_jcs_str(&text, b->additional);
        ccz_buf_u8(&text, ',');
    }
    ccz_buf_put_str(&text, "\"nonce\":");
    cczi_put_jcs_str(&text, b->nonce);
    ccz_buf_put_str(&text, ",\"tee-pubkey\":");
    ccz_jwk_put(&text, b->tee_key, CCZ_JWK_TEE);
    ccz_buf_u8(&text, '}');
    return cczi_hand_over(out, &text, "rcar:text", err);
}

ccz_rc ccz_rcar_report_data(uint8_t out[64], const struct ccz_rcar_binding *b, enum ccz_hash alg,
                            struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    memset(out, 0, 64);
    size_t rest =
        1024; /* names, nonce and key beside what is escaped, six characters for one at most */
    ccz_buf_init(&text,
                 6 * (b->additional.size + b->nonce.size) + 2 * CCZI_JOSE_RSA_SIZE_MAX + rest);
    ccz_rc rc = ccz_rcar_binding_put(&text, b, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span part = ccz_buf_span(&text);
    rc = ccz_hash(out, alg, &part, 1);
    if (rc == CCZ_OK)
        return rc;
    memset(out, 0, 64);
    return ccz_fail(err, rc, "rcar:hash", 0, "%s", ccz_rc_str(rc));
}
