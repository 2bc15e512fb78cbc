/* SPDX-License-Identifier: Apache-2.0 */
/* A whole use with each allocation failing in turn: refused for that reason and no other, nothing half done, nothing lost. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "jose_test.h"
#include "rfc_vectors.h"

struct world {
    struct ccz_key *key;
    struct ccz_jwe_key *tee;
    struct ccz_secret *secret;
    struct ccz_buf token, jwe, text; /* what is appended to */
};

static ccz_rc use_keys(struct ccz_jwks **set, const struct world *w)
{
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO(ccz_jwks) rfc = NULL;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 4096);
    ccz_rc rc = ccz_jwks_parse(&rfc, ccz_span_str(rfc7517_a1), &err);
    if (rc != CCZ_OK || (rc = ccz_jwk_from_key(&pub, w->key, &err)) != CCZ_OK)
        return rc;
    const struct ccz_jwk *keys[] = {pub, ccz_jwks_at(rfc, 1)};
    ccz_jwks_put(&json, keys, 2);
    return json.bad ? CCZ_E_NOMEM : ccz_jwks_parse(set, ccz_buf_span(&json), &err);
}

static ccz_rc use_token(struct world *w, const struct ccz_jwks *set)
{
    CCZ_AUTO_BUF claims;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_buf_init(&claims, 4096);
    struct ccz_ear_submod sub = {.name = "cpu0", .tee_key = ccz_jwe_key_public(w->tee)};
    struct ccz_ear ear = {.issuer = "a",
                          .developer = "b",
                          .build = "c",
                          .lifetime_s = 10,
                          .submods = &sub,
                          .submods_len = 1};
    ccz_rc rc = ccz_ear_put(&claims, &ear, &err);
    struct ccz_jws_header h = {
        .typ = "JWT", .kid = ccz_jwk_kid(ccz_jwks_at(set, 0)), .with_jwk = true};
    if (rc == CCZ_OK)
        rc = ccz_jws_sign(&w->token, w->key, &h, ccz_buf_span(&claims), &err);
    struct ccz_jwt_rules rules = {.keys = set, .iss = "a", .now_s = 5};
    if (rc == CCZ_OK)
        rc = ccz_jwt_verify(&j, &rules, ccz_buf_span(&w->token), &err);
    return rc == CCZ_OK ? ccz_jcs_put(&w->text, j, &err) : rc;
}

static ccz_rc use_encryption(struct world *w)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_replay) replay = NULL;
    char nonce[CCZ_NONCE_TEXT_SIZE + 1];
    uint8_t id[CCZ_NONCE_SIZE], data[64];
    ccz_buf_init(&text, 100);
    ccz_rc rc = ccz_nonce_new(nonce, w->secret, 100);
    if (rc != CCZ_OK ||
        (rc = ccz_nonce_check(id, ccz_span_str(nonce), w->secret, 100, 10, 0, &err)) != CCZ_OK ||
        (rc = ccz_replay_new(&replay, 10, &err)) != CCZ_OK ||
        (rc = ccz_replay_use(replay, id, 110, 100, &err)) != CCZ_OK)
        return rc;
    struct ccz_rcar_binding b = {.nonce = ccz_span_str(nonce),
                                 .tee_key = ccz_jwe_key_public(w->tee)};
    if ((rc = ccz_rcar_report_data(data, &b, CCZ_SHA384, &err)) != CCZ_OK ||
        (rc = ccz_jwe_seal(&w->jwe, ccz_jwe_key_public(w->tee), ccz_span_str("secret"), &err)) !=
            CCZ_OK ||
        (rc = ccz_jwe_open(&text, w->tee, ccz_buf_span(&w->jwe), &err)) != CCZ_OK)
        return rc;
    CHECK(ccz_span_eq(ccz_buf_span(&text), ccz_span_str("secret")));
    return CCZ_OK;
}

static ccz_rc use(struct world *w)
{
    CCZ_AUTO(ccz_jwks) set = NULL;
    ccz_buf_free(&w->token);
    ccz_buf_free(&w->jwe);
    ccz_buf_free(&w->text);
    ccz_rc rc = use_keys(&set, w);
    if (rc == CCZ_OK)
        rc = use_token(w, set);
    return rc == CCZ_OK ? use_encryption(w) : rc;
}

static void test_nomem(void)
{
    CHECK(nomem_openssl());
    struct world w = {0};
    ccz_buf_init(&w.token, 8192);
    ccz_buf_init(&w.jwe, 8192);
    ccz_buf_init(&w.text, 8192);
    CHECK(ccz_key_generate(&w.key, CCZ_P256) == CCZ_OK);
    CHECK_OK(ccz_jwe_key_generate(&w.tee, CCZ_JWK_P256, &err));
    CHECK(ccz_secret_new(&w.secret, 32) == CCZ_OK);
    CHECK_OK(use(&w));
    nomem_used = 0;
    CHECK_OK(use(&w));
    long all = nomem_used, refused = 0;
    CHECK(all > 100);
    for (long i = 0; i < all; i++) {
        nomem_left = i;
        ccz_rc rc = use(&w);
        nomem_left = -1;
        if (rc != CCZ_OK && rc != CCZ_E_NOMEM && rc != CCZ_E_LIMIT && rc != CCZ_E_INTERNAL)
            fprintf(stderr, "allocation %ld: %s at %s: %s\n", i, ccz_rc_name(rc), err.where,
                    err.msg);
        CHECK(rc == CCZ_OK || rc == CCZ_E_NOMEM || rc == CCZ_E_LIMIT || rc == CCZ_E_INTERNAL);
        CHECK(!w.token.bad && !w.jwe.bad && !w.text.bad);
        refused += rc != CCZ_OK;
    }
    CHECK(refused > all / 2); /* OpenSSL can do without some of its own */
    CHECK_OK(use(&w));
    ccz_buf_free(&w.token);
    ccz_buf_free(&w.jwe);
    ccz_buf_free(&w.text);
    ccz_key_free(w.key);
    ccz_jwe_key_free(w.tee);
    ccz_secret_free(w.secret);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"jose.nomem", test_nomem}};
    return ccz_test_main(tests, 1, argc, argv);
}
