/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "json_out.h"
#include "kms_token.h"

#include <cczoo/jose.h>

enum { ISSUER_SIZE_MAX = 256 };

ccz_rc kms_token_key_rotate(struct ccz_rpc_client *c, bool json, struct ccz_err *err)
{
    char kid[CCZ_KMS_KID_SIZE];
    struct ccz_kms_receipt r;
    ccz_rc rc = ccz_kms_rotate_token_key(kid, &r, c, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_put_str(&b, "{\"done\":\"rotated\"");
    put_text(&b, "kid", kid);
    ccz_buf_printf(&b, ",\"audit_seq\":%llu}", (unsigned long long)r.audit_seq);
    if (json)
        ui_out("%s\n", ccz_buf_str(&b));
    else
        ui_out("from now on %s signs, audit line %llu\n", kid, (unsigned long long)r.audit_seq);
    return CCZ_OK;
}

/* @param issuer  escaped  @param first  the one that signs */
static void show(const struct ccz_jwk *k, const char *issuer, bool first, bool json)
{
    if (!json) {
        char kid[128];
        ccz_escape(kid, sizeof(kid), ccz_span_str(ccz_jwk_kid(k)));
        ui_out("%-44s %s\n", kid, first ? "signs" : "published");
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 8192);
    ccz_buf_printf(&b, "{\"signs\":%s", first ? "true" : "false");
    put_text(&b, "kid", ccz_jwk_kid(k));
    put_text(&b, "issuer", issuer);
    ccz_buf_put_str(&b, ",\"jwk\":");
    ccz_jwk_put(&b, k, CCZ_JWK_FULL);
    ui_out("%s}\n", ccz_buf_str(&b));
}

ccz_rc kms_token_key_list(struct ccz_rpc_client *c, bool json, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF issuer;
    CCZ_AUTO(ccz_jwks) keys = NULL;
    ccz_buf_init(&text, CCZ_JWKS_SIZE_MAX);
    ccz_buf_init(&issuer, ISSUER_SIZE_MAX + 1);
    ccz_rc rc = ccz_kms_token_keys(&text, &issuer, c, err);
    if (rc == CCZ_OK)
        rc = ccz_jwks_parse(&keys, ccz_buf_span(&text), err);
    if (rc != CCZ_OK)
        return rc;
    char iss[ISSUER_SIZE_MAX * 4 + 1];
    ccz_escape(iss, sizeof(iss), ccz_buf_span(&issuer));
    if (!json)
        ui_out("issuer %s\n", iss);
    for (size_t i = 0; i < ccz_jwks_len(keys); i++)
        show(ccz_jwks_at(keys, i), ccz_buf_str(&issuer), i == 0, json);
    return CCZ_OK;
}
