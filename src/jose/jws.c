/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Signature, compact form (RFC 7515). */
#include "jose_priv.h"

#include <string.h>

/* -------------------------------------------------------------------------------- making */

/* The header: alg, then what was asked for. */
static void put_header(struct ccz_buf *out, enum ccz_jose_alg alg, const struct ccz_jwk *pub,
                       const struct ccz_jws_header *h)
{
    ccz_buf_printf(out, "{\"alg\":\"%s\"", ccz_jose_alg_name(alg));
    if (h->typ) {
        ccz_buf_put_str(out, ",\"typ\":");
        cczi_put_jcs_str(out, ccz_span_str(h->typ));
    }
    if (h->kid) {
        ccz_buf_put_str(out, ",\"kid\":");
        cczi_put_jcs_str(out, ccz_span_str(h->kid));
    }
    if (h->with_jwk) {
        ccz_buf_put_str(out, ",\"jwk\":");
        cczi_jwk_put_certs(out, pub, CCZ_JWK_TEE, h->certs, h->certs_len);
    }
    ccz_buf_u8(out, '}');
}

ccz_rc ccz_jws_sign(struct ccz_buf *out, const struct ccz_key *key, const struct ccz_jws_header *h,
                    struct ccz_span payload, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO_BUF header;
    CCZ_AUTO_BUF token;
    uint8_t sig[96];
    ccz_buf_init(&header, CCZ_JWS_HEADER_SIZE_MAX);
    ccz_buf_init(&token, CCZ_JWS_SIZE_MAX);
    ccz_rc rc = ccz_jwk_from_key(&pub, key, err);
    if (rc != CCZ_OK)
        return rc;
    if (h->certs_len && !h->with_jwk)
        return ccz_fail(err, CCZ_E_ARG, "jws:header", 0,
                        "certificates stand in the key of the header, which is left out");
    if ((h->typ && !ccz_utf8_ok(ccz_span_str(h->typ))) ||
        (h->kid && !ccz_utf8_ok(ccz_span_str(h->kid))))
        return ccz_fail(err, CCZ_E_ARG, "jws:header", 0, "text that is no UTF-8");
    put_header(&header, ccz_jwk_sig_alg(pub), pub, h);
    if (header.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "jws:header", 0, "the header is larger than %d bytes",
                        CCZ_JWS_HEADER_SIZE_MAX);
    ccz_base64_put(&token, ccz_buf_span(&header), CCZ_BASE64_URL);
    ccz_buf_u8(&token, '.');
    ccz_base64_put(&token, payload, CCZ_BASE64_URL);
    struct ccz_span input = ccz_buf_span(&token);
    if (token.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "jws:text", (int64_t)payload.size,
                        "the token would be larger than %d bytes", CCZ_JWS_SIZE_MAX);
    rc = ccz_ecdsa_sign(sig, key, &input, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "jws:key", 0, "%s",
                        rc == CCZ_E_ARG ? "the key has no private half" : ccz_rc_str(rc));
    ccz_buf_u8(&token, '.');
    ccz_base64_put(&token, CCZ_SPAN(sig, pub->a_size + pub->b_size), CCZ_BASE64_URL);
    return cczi_hand_over(out, &token, "jws:text", err);
}

/* ----------------------------------------------------------------------------- verifying */

struct parts {
    struct ccz_span header, payload, sig; /* base64url */
    struct ccz_span input;                /* what was signed */
};

static ccz_rc split(struct parts *out, struct ccz_span token, struct ccz_err *err)
{
    struct ccz_span *part[] = {&out->header, &out->payload, &out->sig};
    const uint8_t *end = token.ptr + token.size, *from = token.ptr;
    size_t len = 0;
    for (const uint8_t *p = token.ptr; p <= end && token.size > 0; p++) {
        if (p < end && *p != '.')
            continue;
        if (len < 3)
            *part[len] = CCZ_SPAN(from, (size_t)(p - from));
        len++;
        from = p + 1;
    }
    if (len != 3)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "jws:parts", (int64_t)len, 3);
    out->input = CCZ_SPAN(token.ptr, out->header.size + 1 + out->payload.size);
    return CCZ_OK;
}

static ccz_rc parse_header(struct ccz_json **out, struct ccz_span text, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    struct ccz_err why = {0};
    ccz_buf_init(&json, CCZ_JWS_HEADER_SIZE_MAX);
    ccz_rc rc = cczi_get_base64url(&json, text, "jws:base64", "header", err);
    if (rc == CCZ_E_LIMIT)
        return ccz_fail(err, CCZ_E_FORMAT, "jws:header", (int64_t)text.size,
                        "the header is larger than %d bytes", CCZ_JWS_HEADER_SIZE_MAX);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_json) j = NULL;
    rc = ccz_json_parse(&j, ccz_buf_span(&json), &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "jws:header", why.aux, "%s",
                        why.msg);
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "jws:header", 0, "the header is no JSON object");
    /* RFC 7515, 4.1.11: no extension is understood here. RFC 7797: "b64" would change what is signed. */
    static const char *const refused[] = {"crit", "b64"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (ccz_json_get(j, refused[i]))
            return ccz_fail(err, CCZ_E_UNSUPPORTED, "jws:crit", 0, "the header has \"%s\"",
                            refused[i]);
    }
    *out = ccz_json_take(&j);
    return CCZ_OK;
}

static ccz_rc check_alg(const struct ccz_json *header, const struct ccz_jwk *key,
                        struct ccz_err *err)
{
    const struct ccz_json *alg = ccz_json_get(header, "alg");
    struct ccz_span got = ccz_json_bytes(alg);
    enum ccz_jose_alg want = ccz_jwk_sig_alg(key);
    if (ccz_json_type(alg) != CCZ_JSON_STRING)
        return ccz_fail(err, CCZ_E_FORMAT, "jws:member", 0, "\"alg\" is missing, or no string");
    /* A name of its own for what is an attack and nothing else, in any spelling (RFC 8725, 3.1). */
    if (got.size == 4 && (got.ptr[0] | 32) == 'n' && (got.ptr[1] | 32) == 'o' &&
        (got.ptr[2] | 32) == 'n' && (got.ptr[3] | 32) == 'e')
        return ccz_fail(err, CCZ_E_SIG, "jws:none", 0, "the token says that it is not signed");
    if (want == CCZ_JOSE_ALG_NONE)
        return ccz_fail(err, CCZ_E_DENIED, "jws:key-use", 0, "the key is not for signatures");
    if (!ccz_span_eq(got, ccz_span_str(ccz_jose_alg_name(want))))
        return cczi_refuse_text(err, CCZ_E_SIG, "jws:alg", got, ccz_jose_alg_name(want));
    return CCZ_OK;
}

static ccz_rc pick_key(const struct ccz_jwk **out, struct cczi_jws_keys keys,
                       const struct ccz_json *header, struct ccz_err *err)
{
    *out = keys.one;
    if (keys.one)
        return CCZ_OK;
    const struct ccz_json *kid = ccz_json_get(header, "kid");
    if (kid && ccz_json_type(kid) != CCZ_JSON_STRING)
        return ccz_fail(err, CCZ_E_FORMAT, "jws:member", 0, "\"kid\" is no string");
    if (kid)
        *out = ccz_jwks_find(keys.set, ccz_json_bytes(kid));
    else if (ccz_jwks_len(keys.set) == 1)
        *out = ccz_jwks_at(keys.set, 0);
    if (*out)
        return CCZ_OK;
    return cczi_refuse_text(err, CCZ_E_NOT_FOUND, "jws:kid", ccz_json_bytes(kid),
                            "the kid of a key that is trusted");
}

static ccz_rc check_signature(const struct parts *p, const struct ccz_jwk *key, struct ccz_err *err)
{
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&sig, CCZI_JOSE_RSA_SIZE_MAX);
    ccz_rc rc = cczi_get_base64url(&sig, p->sig, "jws:base64", "signature", err);
    if (rc != CCZ_OK && rc != CCZ_E_LIMIT)
        return rc;
    struct ccz_span raw = ccz_buf_span(&sig);
    if (rc == CCZ_E_LIMIT) { /* larger than any signature */
        rc = CCZ_E_SIG;
    } else {
        switch (key->kind) {
        case CCZ_JWK_P256:
        case CCZ_JWK_P384:
            rc = ccz_ecdsa_verify(key->ec, raw.ptr, raw.size, &p->input, 1);
            break;
        case CCZ_JWK_RSA:
            rc = cczi_jose_rsa_verify(key->rsa, ccz_jwk_sig_alg(key) == CCZ_JOSE_PS256, raw,
                                      p->input);
            break;
        case CCZ_JWK_ED25519:
            rc = cczi_jose_ed25519_verify(key->a, raw, p->input);
            break;
        }
    }
    if (rc == CCZ_OK)
        return rc;
    return ccz_fail(err, rc, "jws:signature", 0, "%s",
                    rc == CCZ_E_SIG ? "the token was changed, or signed with another key"
                                    : ccz_rc_str(rc));
}

ccz_rc cczi_jws_verify(struct ccz_buf *out, struct ccz_json **header, const struct ccz_jwk **used,
                       struct cczi_jws_keys keys, struct ccz_span token, struct ccz_err *err)
{
    struct parts p = {0};
    const struct ccz_jwk *key = NULL;
    CCZ_AUTO(ccz_json) head = NULL;
    CCZ_AUTO_BUF payload;
    ccz_buf_init(&payload, CCZ_JWS_SIZE_MAX);
    if (token.size > CCZ_JWS_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "jws:text", (int64_t)token.size, CCZ_JWS_SIZE_MAX);
    ccz_rc rc = split(&p, token, err);
    if (rc != CCZ_OK || (rc = parse_header(&head, p.header, err)) != CCZ_OK ||
        (rc = pick_key(&key, keys, head, err)) != CCZ_OK ||
        (rc = check_alg(head, key, err)) != CCZ_OK ||
        (rc = check_signature(&p, key, err)) != CCZ_OK)
        return rc;
    rc = cczi_get_base64url(&payload, p.payload, "jws:base64", "payload", err);
    if (rc != CCZ_OK || (rc = cczi_hand_over(out, &payload, "jws:payload", err)) != CCZ_OK)
        return rc;
    if (header)
        *header = ccz_json_take(&head);
    if (used)
        *used = key;
    return CCZ_OK;
}

ccz_rc ccz_jws_verify(struct ccz_buf *out, const struct ccz_jwk *key, struct ccz_span token,
                      struct ccz_err *err)
{
    return cczi_jws_verify(out, NULL, NULL, (struct cczi_jws_keys){.one = key}, token, err);
}

ccz_rc ccz_jws_verify_set(struct ccz_buf *out, const struct ccz_jwk **used,
                          const struct ccz_jwks *keys, struct ccz_span token, struct ccz_err *err)
{
    *used = NULL;
    return cczi_jws_verify(out, NULL, used, (struct cczi_jws_keys){.set = keys}, token, err);
}
