/* SPDX-License-Identifier: Apache-2.0 */
/* A key that is accepted, written in canonical form, is accepted again, is the same key, and has the same text and thumbprint; the
 * same for sets, whose keys are found by their kid. */
#include <cczoo/codec.h>
#include <cczoo/jose.h>

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void check_key(const struct ccz_jwk *k)
{
    for (enum ccz_jwk_form form = CCZ_JWK_FULL; form <= CCZ_JWK_TEE; form++) {
        CCZ_AUTO(ccz_jwk) back = NULL;
        CCZ_AUTO_BUF a;
        CCZ_AUTO_BUF b;
        char x[CCZ_JWK_THUMBPRINT_SIZE + 1], y[CCZ_JWK_THUMBPRINT_SIZE + 1];
        ccz_buf_init(&a, 8192);
        ccz_buf_init(&b, 8192);
        ccz_jwk_put(&a, k, form);
        expect(!a.bad && ccz_jwk_parse(&back, ccz_buf_span(&a), NULL) == CCZ_OK);
        expect(ccz_jwk_same(k, back));
        ccz_jwk_put(&b, back, form);
        /* "key_ops" is not written, so that what it left out is there again: an algorithm that only TEE names */
        if (form != CCZ_JWK_TEE || ccz_jwk_enc_alg(k) != CCZ_JOSE_ALG_NONE)
            expect(ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
        expect(ccz_jwk_thumbprint(x, k) == CCZ_OK && ccz_jwk_thumbprint(y, back) == CCZ_OK);
        expect(strcmp(x, y) == 0);
    }
    enum ccz_jose_alg sig = ccz_jwk_sig_alg(k), enc = ccz_jwk_enc_alg(k);
    expect(sig < CCZ_JOSE_ECDH_ES_A256KW);
    expect(enc == CCZ_JOSE_ALG_NONE || enc >= CCZ_JOSE_ECDH_ES_A256KW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span text = CCZ_SPAN(data, size);
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_jwk) k = NULL;
    CCZ_AUTO(ccz_jwks) s = NULL;
    ccz_rc rc = ccz_jwk_parse(&k, text, &err);
    expect((rc == CCZ_OK) == (k != NULL) && (rc == CCZ_OK || err.rc == rc));
    if (k)
        check_key(k);
    if (ccz_jwks_parse(&s, text, &err) != CCZ_OK)
        return 0;
    for (size_t i = 0; i < ccz_jwks_len(s); i++) {
        const struct ccz_jwk *one = ccz_jwks_at(s, i);
        struct ccz_span kid = ccz_span_str(ccz_jwk_kid(one));
        expect(ccz_jwks_find(s, kid) == (kid.size ? one : NULL));
        check_key(one);
    }
    return 0;
}
