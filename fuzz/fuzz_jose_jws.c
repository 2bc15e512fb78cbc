/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte says what follows. 0: a token as it comes, which no key here has signed. 1: a header, a line end, and claims, which are
 * signed as they are: what is accepted then says ES256 and asks for nothing else, and its claims hold. 2: JSON to be made
 * canonical: parsing that again and making it canonical gives the same text.
 */
#include "jose/jose_priv.h"
#include "jose/rfc_vectors.h"

#include <stdlib.h>
#include <string.h>

enum { NOW_S = 1000 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_key *key;
static struct ccz_jwk *pub;

static void make_key(void)
{
    if (key)
        return;
    expect(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    expect(ccz_jwk_from_key(&pub, key, NULL) == CCZ_OK);
}

static void token_as_is(struct ccz_span token)
{
    CCZ_AUTO(ccz_jwk) ed = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_JWS_SIZE_MAX);
    expect(ccz_jwk_parse(&ed, ccz_span_str(rfc8037_key), NULL) == CCZ_OK);
    expect(ccz_jws_verify(&out, pub, token, NULL) != CCZ_OK);
    if (ccz_jws_verify(&out, ed, token, NULL) == CCZ_OK) /* one is known */
        expect(ccz_span_eq(token, ccz_span_str(rfc8037_token)));
}

/* Signed whatever it says; so ccz_jws_sign() does not do. */
static void signed_claims(struct ccz_span text)
{
    const uint8_t *nl = text.size ? memchr(text.ptr, '\n', text.size) : NULL;
    if (!nl)
        return;
    struct ccz_span header = CCZ_SPAN(text.ptr, (size_t)(nl - text.ptr));
    struct ccz_span claims = CCZ_SPAN(nl + 1, text.size - header.size - 1);
    uint8_t sig[64];
    CCZ_AUTO_BUF token;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_buf_init(&token, CCZ_JWS_SIZE_MAX);
    ccz_base64_put(&token, header, CCZ_BASE64_URL);
    ccz_buf_u8(&token, '.');
    ccz_base64_put(&token, claims, CCZ_BASE64_URL);
    struct ccz_span input = ccz_buf_span(&token);
    if (token.bad || ccz_ecdsa_sign(sig, key, &input, 1) != CCZ_OK)
        return;
    ccz_buf_u8(&token, '.');
    ccz_base64_put(&token, CCZ_SPAN(sig, 64), CCZ_BASE64_URL);
    struct ccz_jwt_rules rules = {
        .key = pub, .iss = "a", .aud = "b", .now_s = NOW_S, .skew_s = 10, .age_max_s = 50};
    struct ccz_err err = {0};
    ccz_rc rc = ccz_jwt_verify(&j, &rules, ccz_buf_span(&token), &err);
    expect((rc == CCZ_OK) == (j != NULL));
    if (rc != CCZ_OK) {
        expect(err.rc == rc && strcmp(err.where, "jws:signature") != 0);
        return;
    }
    CCZ_AUTO(ccz_json) head = NULL;
    int64_t exp, iat, nbf;
    expect(ccz_json_parse(&head, header, NULL) == CCZ_OK);
    expect(strcmp(ccz_json_str(ccz_json_get(head, "alg")), "ES256") == 0);
    expect(!ccz_json_get(head, "crit") && !ccz_json_get(head, "b64"));
    expect(ccz_json_int(&exp, ccz_json_get(j, "exp")) && exp > NOW_S - 10);
    expect(ccz_json_int(&iat, ccz_json_get(j, "iat")) && iat >= NOW_S - 60 && iat <= NOW_S + 10);
    expect(!ccz_json_get(j, "nbf") ||
           (ccz_json_int(&nbf, ccz_json_get(j, "nbf")) && nbf <= NOW_S + 10));
    expect(strcmp(ccz_json_str(ccz_json_get(j, "iss")), "a") == 0);
}

static void canonical(struct ccz_span text)
{
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO(ccz_json) k = NULL;
    CCZ_AUTO_BUF a;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&a, 8 * text.size + 64);
    ccz_buf_init(&b, 8 * text.size + 64);
    if (ccz_json_parse(&j, text, NULL) != CCZ_OK)
        return;
    ccz_rc rc = ccz_jcs_put(&a, j, NULL);
    expect(rc == CCZ_OK || rc == CCZ_E_UNSUPPORTED);
    if (rc != CCZ_OK)
        return;
    expect(ccz_json_parse(&k, ccz_buf_span(&a), NULL) == CCZ_OK);
    expect(ccz_jcs_put(&b, k, NULL) == CCZ_OK && ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    make_key();
    struct ccz_span rest = CCZ_SPAN(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        token_as_is(rest);
        break;
    case 1:
        signed_claims(rest);
        break;
    default:
        canonical(rest);
        break;
    }
    return 0;
}
