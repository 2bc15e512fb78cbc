/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as JSON, sets of them, canonical JSON, bindings. */
#include "jose_test.h"
#include "rfc_vectors.h"

#include <stdlib.h>

static void check_put(const struct ccz_jwk *k, enum ccz_jwk_form form, const char *want)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 8192);
    ccz_jwk_put(&b, k, form);
    CHECK(!b.bad && text_is(&b, want));
}

static void check_thumbprint(const struct ccz_jwk *k, const char *want)
{
    char text[CCZ_JWK_THUMBPRINT_SIZE + 1];
    CHECK(ccz_jwk_thumbprint(text, k) == CCZ_OK);
    CHECK(strcmp(text, want) == 0);
}

/* RFC 7517, A.1; RFC 7638, 3.1; RFC 8037, A.2, A.3 */
static void test_rfc(void)
{
    CCZ_AUTO(ccz_jwks) s = NULL;
    CHECK_OK(ccz_jwks_parse(&s, ccz_span_str(rfc7517_a1), &err));
    CHECK(ccz_jwks_len(s) == 2 && ccz_jwks_left_out(s) == 0 && !ccz_jwks_at(s, 2));
    const struct ccz_jwk *ec = ccz_jwks_find(s, ccz_span_str("1"));
    const struct ccz_jwk *rsa = ccz_jwks_find(s, ccz_span_str("2011-04-29"));
    CHECK(ec && rsa && ccz_jwks_at(s, 0) == ec && ccz_jwks_at(s, 1) == rsa);
    CHECK(!ccz_jwks_find(s, ccz_span_str("2")) && !ccz_jwks_find(s, ccz_span_str("")));
    CHECK(ccz_jwk_kind(ec) == CCZ_JWK_P256 && ccz_jwk_kind(rsa) == CCZ_JWK_RSA);
    CHECK(ccz_jwk_sig_alg(ec) == CCZ_JOSE_ALG_NONE);
    CHECK(ccz_jwk_enc_alg(ec) == CCZ_JOSE_ECDH_ES_A256KW);
    CHECK(ccz_jwk_sig_alg(rsa) == CCZ_JOSE_RS256 && ccz_jwk_enc_alg(rsa) == CCZ_JOSE_ALG_NONE);
    check_thumbprint(ec, "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    check_thumbprint(rsa, rfc7638_thumbprint);

    CCZ_AUTO(ccz_jwk) ed = jwk_of(rfc8037_key);
    CHECK(ccz_jwk_sig_alg(ed) == CCZ_JOSE_EDDSA && ccz_jwk_enc_alg(ed) == CCZ_JOSE_ALG_NONE);
    check_thumbprint(ed, rfc8037_thumbprint);
    check_put(ed, CCZ_JWK_FULL,
              "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"11qYAYKxCrfVS_"
              "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}");
}

static void test_forms(void)
{
    CCZ_AUTO(ccz_jwk)
    k = jwk_of(
        " { \"y\" : \"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\", \"unknown\": [1], \"kid\": "
        "\"a\\u0022/\\u00e9\","
        " \"x5c\": [\"AAAA\"], \"use\": \"enc\", \"alg\": \"ECDH-ES+A256KW\", \"crv\": \"P-256\","
        " \"x\": \"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\", \"kty\": \"EC\" } ");
    check_put(
        k, CCZ_JWK_FULL,
        "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kid\":\"a\\\"/\xc3\xa9\",\"kty\":\"EC\","
        "\"use\":\"enc\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}");
    check_put(k, CCZ_JWK_TEE,
              "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\","
              "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
              "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}");
    check_put(k, CCZ_JWK_REQUIRED,
              "{\"crv\":\"P-256\",\"kty\":\"EC\","
              "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
              "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}");
    CHECK(strcmp(ccz_jwk_kid(k), "a\"/\xc3\xa9") == 0);

    /* of an EC key, and what is read back is the same key */
    for (enum ccz_curve c = CCZ_P256; c <= CCZ_P384; c++) {
        CCZ_AUTO(ccz_key) key = NULL;
        CCZ_AUTO(ccz_jwk) made = NULL;
        CCZ_AUTO(ccz_jwk) back = NULL;
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 4096);
        make_pair(&key, &made, c);
        check_thumbprint(made, ccz_jwk_kid(made));
        ccz_jwk_put(&text, made, CCZ_JWK_FULL);
        CHECK_OK(ccz_jwk_parse(&back, ccz_buf_span(&text), &err));
        CHECK(ccz_jwk_same(made, back) && !ccz_jwk_same(made, k));
        CHECK(ccz_jwk_sig_alg(back) == (c == CCZ_P256 ? CCZ_JOSE_ES256 : CCZ_JOSE_ES384));
        CHECK(ccz_jwk_enc_alg(back) == CCZ_JOSE_ALG_NONE);
    }
    /* a TEE key that does not say its algorithm gets the only one there is */
    CCZ_AUTO(ccz_jwk) rsa = jwk_of(rfc7515_a2_key);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    ccz_jwk_put(&text, rsa, CCZ_JWK_TEE);
    CHECK(strncmp(ccz_buf_str(&text),
                  "{\"alg\":\"RSA-OAEP-256\",\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"ofgW",
                  52) == 0);
    CHECK(ccz_jwk_sig_alg(rsa) == CCZ_JOSE_RS256); /* without "alg": what OpenID providers mean */
}

#define X  "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\""
#define Y  "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\""
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\","

/* clang-format off */
static const struct bad_key {
    const char *json;
    ccz_rc rc;
    const char *where;
} bad_keys[] = {
    {"", CCZ_E_FORMAT, "jwk:json"},
    {"[]", CCZ_E_FORMAT, "jwk:json"},
    {"{" EC X "," Y "}x", CCZ_E_FORMAT, "jwk:json"},
    {"{" EC X "," X "," Y "}", CCZ_E_FORMAT, "jwk:json"},                        /* twice the same member */
    {"{\"crv\":\"P-256\"," X "," Y "}", CCZ_E_FORMAT, "jwk:member"},
    {"{\"kty\":1,\"crv\":\"P-256\"," X "," Y "}", CCZ_E_FORMAT, "jwk:member"},
    {"{\"kty\":\"EC\"," X "," Y "}", CCZ_E_FORMAT, "jwk:member"},
    {"{" EC X "}", CCZ_E_FORMAT, "jwk:member"},
    {"{" EC X ",\"y\":\"\"}", CCZ_E_FORMAT, "jwk:member"},
    {"{" EC X ",\"y\":[1]}", CCZ_E_FORMAT, "jwk:member"},
    {"{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AAAA\"}", CCZ_E_DENIED, "jwk:private"},
    {"{" EC X "," Y ",\"d\":\"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw\"}", CCZ_E_DENIED, "jwk:private"},
    {"{" EC X "," Y ",\"d\":null}", CCZ_E_DENIED, "jwk:private"},
    {"{\"kty\":\"oct\"}", CCZ_E_UNSUPPORTED, "jwk:kty"},
    {"{\"kty\":\"ec\",\"crv\":\"P-256\"," X "," Y "}", CCZ_E_UNSUPPORTED, "jwk:kty"},
    {"{\"kty\":\"EC\",\"crv\":\"P-521\"," X "," Y "}", CCZ_E_UNSUPPORTED, "jwk:crv"},
    {"{\"kty\":\"EC\",\"crv\":\"Ed25519\"," X "," Y "}", CCZ_E_UNSUPPORTED, "jwk:crv"},
    {"{\"kty\":\"OKP\",\"crv\":\"X25519\"," X "}", CCZ_E_UNSUPPORTED, "jwk:crv"},
    {"{" EC X "," Y ",\"alg\":\"none\"}", CCZ_E_UNSUPPORTED, "jwk:alg"},
    {"{" EC X "," Y ",\"alg\":\"HS256\"}", CCZ_E_UNSUPPORTED, "jwk:alg"},
    {"{" EC X "," Y ",\"alg\":\"ES384\"}", CCZ_E_UNSUPPORTED, "jwk:alg"},
    {"{" EC X "," Y ",\"alg\":\"RS256\"}", CCZ_E_UNSUPPORTED, "jwk:alg"},
    {"{" EC X "," Y ",\"alg\":\"\"}", CCZ_E_FORMAT, "jwk:member"},
    {"{" EC X "," Y ",\"use\":\"both\"}", CCZ_E_UNSUPPORTED, "jwk:use"},
    {"{" EC X "," Y ",\"use\":1}", CCZ_E_FORMAT, "jwk:member"},
    {"{" EC X "," Y ",\"key_ops\":\"verify\"}", CCZ_E_FORMAT, "jwk:key-ops"},
    {"{" EC X "," Y ",\"key_ops\":[1]}", CCZ_E_FORMAT, "jwk:key-ops"},
    {"{" EC X "," Y ",\"key_ops\":[\"verify\",\"sign\",\"verify\"]}", CCZ_E_FORMAT, "jwk:key-ops"},
    {"{" EC X "," Y ",\"kid\":\"\"}", CCZ_E_FORMAT, "jwk:kid"},
    {"{" EC X "," Y ",\"kid\":7}", CCZ_E_FORMAT, "jwk:kid"},
    {"{" EC X "," Y ",\"kid\":\"a\\u0000b\"}", CCZ_E_FORMAT, "jwk:kid"},
    {"{" EC X ",\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck=\"}", CCZ_E_FORMAT, "jwk:base64"},
    {"{" EC X ",\"y\":\"e8lnCO+AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}", CCZ_E_FORMAT, "jwk:base64"},
    {"{" EC X ",\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOycl\"}", CCZ_E_FORMAT, "jwk:base64"}, /* stray bits */
    {"{" EC X ",\"y\":\"AHvJZwjvgJUrU_jSVV_nK4Qe0EWIYosdN4pZSTlQDsnJ\"}", CCZ_E_FORMAT, "jwk:size"},  /* a leading zero */
    {"{" EC X ",\"y\":\"yWcI74CVK1P40lVf5yuEHtBFiGKLHTeKWUk5UA7JyQ\"}", CCZ_E_FORMAT, "jwk:size"},    /* a byte less */
    {"{" EC X ",\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOycg\"}", CCZ_E_FORMAT, "jwk:point"},
    {"{" EC "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     CCZ_E_FORMAT, "jwk:point"},
    /* Ed25519: the neutral element, a point of order 8, one that is not canonical (p + 1) */
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", CCZ_E_FORMAT, "jwk:point"},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU\"}", CCZ_E_FORMAT, "jwk:point"},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"7v_______________________________________38\"}", CCZ_E_FORMAT, "jwk:point"},
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"}", CCZ_E_FORMAT, "jwk:rsa"},
    {"{" EC Y ",\"x\":\"yWcI74CVK1P40lVf5yuEHtBFiGKLHTeKWUk5UA7JyQ\"}", CCZ_E_FORMAT, "jwk:size"},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"yWcI74CVK1P40lVf5yuEHtBFiGKLHTeKWUk5UA7JyQ\"}", CCZ_E_FORMAT, "jwk:size"},
};
/* clang-format on */

static void test_strict(void)
{
    struct ccz_jwk *k;
    for (size_t i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++) {
        fprintf(stderr, "%zu: %s\n", i, bad_keys[i].json);
        k = (struct ccz_jwk *)&err; /* must not stay */
        CHECK_REFUSED(ccz_jwk_parse(&k, ccz_span_str(bad_keys[i].json), &err), bad_keys[i].rc,
                      bad_keys[i].where);
        CHECK(k == NULL);
    }
    CHECK_REFUSED(ccz_jwk_parse(&k, ccz_span_str(rfc7517_a2_ec), &err), CCZ_E_DENIED,
                  "jwk:private");
    CHECK_REFUSED(ccz_jwk_parse(&k, ccz_span_str(rfc7515_a4_key), &err), CCZ_E_UNSUPPORTED,
                  "jwk:crv");
    char kid[300];
    (void)snprintf(kid, sizeof(kid), "{" EC X "," Y ",\"kid\":\"%0128d\"}", 1);
    k = jwk_of(kid);
    CHECK(strlen(ccz_jwk_kid(k)) == 128);
    ccz_jwk_free(k);
    (void)snprintf(kid, sizeof(kid), "{" EC X "," Y ",\"kid\":\"%0129d\"}", 1);
    CHECK_REFUSED(ccz_jwk_parse(&k, ccz_span_str(kid), &err), CCZ_E_FORMAT, "jwk:kid");
    CCZ_AUTO_BUF big;
    ccz_buf_init(&big, 2 * CCZ_JWK_SIZE_MAX);
    ccz_buf_printf(&big, "{" EC X "," Y "%*s}", CCZ_JWK_SIZE_MAX, " ");
    CHECK_REFUSED(ccz_jwk_parse(&k, ccz_buf_span(&big), &err), CCZ_E_LIMIT, "jwk:text");
}

static void check_rsa(const struct ccz_jwk_parts *p, bool taken)
{
    struct ccz_jwk *k;
    if (taken)
        CHECK_OK(ccz_jwk_make(&k, p, &err));
    else
        CHECK_REFUSED(ccz_jwk_make(&k, p, &err), CCZ_E_FORMAT, "jwk:rsa");
    CHECK(taken == (k != NULL));
    ccz_jwk_free(k);
}

/* RSA numbers at the borders of what is taken. */
static void test_rsa_range(void)
{
    uint8_t n[520], e[8];
    struct ccz_jwk *k;
    memset(n, 0xff, sizeof(n));
    struct ccz_jwk_parts p = {.kind = CCZ_JWK_RSA, .a = {n, 256}, .b = {e, 3}};
    memcpy(e, "\x01\x00\x01", 3);
    check_rsa(&p, true);
    p.a.size = 512;
    check_rsa(&p, true);
    p.a.size = 513;
    CHECK_REFUSED(ccz_jwk_make(&k, &p, &err), CCZ_E_FORMAT, "jwk:size");
    p.a.size = 256;
    n[0] = 0x7f; /* 2047 bits */
    check_rsa(&p, false);
    n[0] = 0;
    p.a.size = 257; /* a leading zero */
    check_rsa(&p, false);
    n[0] = 0xff;
    p.a.size = 256;
    n[255] = 0xfe; /* even */
    check_rsa(&p, false);
    n[255] = 0xff;
    static const struct {
        const char *e;
        size_t size;
        bool ok;
    } exps[] = {{"\x03", 1, false},
                {"\xff\xff", 2, false},
                {"\x01\x00\x02", 3, false},
                {"\x00\x01\x00\x01", 4, false},
                {"\xff\xff\xff\xff", 4, true},
                {"\x01\x00\x00\x00\x01", 5, false}};
    for (size_t i = 0; i < sizeof(exps) / sizeof(exps[0]); i++) {
        p.b = CCZ_SPAN(exps[i].e, exps[i].size);
        check_rsa(&p, exps[i].ok);
    }
}

/* No cut of a key is a key; every key that differs in a byte is refused or another text. */
static void test_cuts(void)
{
    const char *keys[] = {bob_key, rfc7515_a2_key, rfc8037_key};
    for (size_t i = 0; i < 3; i++) {
        struct ccz_span whole = ccz_span_str(keys[i]);
        for (size_t size = 0; size < whole.size; size++) {
            uint8_t *cut = malloc(size + 1); /* so that a sanitizer sees reads behind it */
            struct ccz_jwk *k;
            CHECK(cut);
            memcpy(cut, whole.ptr, size);
            CHECK_REFUSED(ccz_jwk_parse(&k, CCZ_SPAN(cut, size), &err), CCZ_E_FORMAT, "jwk:json");
            free(cut);
        }
    }
}

static void set_refused(const char *json, ccz_rc rc, const char *where)
{
    struct ccz_jwks *s;
    CHECK_REFUSED(ccz_jwks_parse(&s, ccz_span_str(json), &err), rc, where);
    CHECK(!s);
}

static void test_sets(void)
{
    CCZ_AUTO(ccz_jwks) s = NULL;
    static const char mixed[] =
        "{\"keys\":[{\"kty\":\"AKP\",\"pub\":\"AA\"},{" EC X "," Y ",\"kid\":\"a\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-521\"},{" EC X "," Y ",\"alg\":\"ES999\"},{" EC X "," Y
        "},{" EC X "," Y ",\"kid\":\"b\"}],\"more\":1}";
    CHECK_OK(ccz_jwks_parse(&s, ccz_span_str(mixed), &err));
    CHECK(ccz_jwks_len(s) == 3 && ccz_jwks_left_out(s) == 3);
    CHECK(ccz_jwks_find(s, ccz_span_str("b")) == ccz_jwks_at(s, 2));
    CHECK(ccz_jwk_kid(ccz_jwks_at(s, 1))[0] == 0 && !ccz_jwks_find(s, ccz_span_str("")));
    const struct ccz_jwk *two[] = {ccz_jwks_at(s, 0), ccz_jwks_at(s, 2)};
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_jwks) back = NULL;
    ccz_buf_init(&text, 4096);
    ccz_jwks_put(&text, two, 2);
    CHECK_OK(ccz_jwks_parse(&back, ccz_buf_span(&text), &err));
    CHECK(ccz_jwks_len(back) == 2 && ccz_jwks_left_out(back) == 0);

    set_refused("{\"keys\":{}}", CCZ_E_FORMAT, "jwks:keys");
    set_refused("[]", CCZ_E_FORMAT, "jwks:keys");
    set_refused("{", CCZ_E_FORMAT, "jwks:keys");
    set_refused("{\"keys\":[{" EC X "," Y ",\"d\":\"AA\"}]}", CCZ_E_DENIED, "jwk:private");
    set_refused("{\"keys\":[{" EC X "," Y ",\"kid\":\"a\"},{\"kty\":\"oct\",\"k\":\"AA\"}]}",
                CCZ_E_DENIED, "jwk:private");
    struct ccz_jwks *no;
    CCZ_AUTO_BUF many;
    ccz_buf_init(&many, 1 << 20);
    ccz_buf_put_str(&many, "{\"keys\":[0");
    for (size_t i = 0; i < CCZ_JWKS_LEN_MAX; i++)
        ccz_buf_put_str(&many, ",0");
    ccz_buf_put_str(&many, "]}");
    CHECK_REFUSED(ccz_jwks_parse(&no, ccz_buf_span(&many), &err), CCZ_E_LIMIT, "jwks:len");
    uint8_t *big = calloc(1, CCZ_JWKS_SIZE_MAX + 1);
    CHECK(big);
    CHECK_REFUSED(ccz_jwks_parse(&no, CCZ_SPAN(big, CCZ_JWKS_SIZE_MAX + 1), &err), CCZ_E_LIMIT,
                  "jwks:text");
    free(big);
}

/* @param kids  of the keys that are kept, in order, "" = none, ' ' between them */
static void check_kept(const char *json, size_t left_out, const char *kids)
{
    CCZ_AUTO(ccz_jwks) s = NULL;
    char got[64] = "";
    CHECK_OK(ccz_jwks_parse(&s, ccz_span_str(json), &err));
    for (size_t i = 0; i < ccz_jwks_len(s); i++) {
        const char *kid = ccz_jwk_kid(ccz_jwks_at(s, i));
        size_t n = strlen(got);
        (void)snprintf(got + n, sizeof(got) - n, "%s%s", i ? " " : "", kid);
        CHECK(!kid[0] || ccz_jwks_find(s, ccz_span_str(kid)) == ccz_jwks_at(s, i));
    }
    if (ccz_jwks_left_out(s) != left_out || strcmp(got, kids) != 0)
        fprintf(stderr, "%s: kept \"%s\", left out %zu\n", json, got, ccz_jwks_left_out(s));
    CHECK(ccz_jwks_left_out(s) == left_out && strcmp(got, kids) == 0);
}

/* An odd key does not keep the others of its issuer from being used. */
static void test_odd(void)
{
#define KEY(kid) "{" EC X "," Y ",\"kid\":\"" kid "\"}"
    check_kept("{\"keys\":[" KEY("a") ",{" EC X "," Y ",\"use\":\"x509-svid\"},{" EC X "}]}", 2,
               "a");
    check_kept("{\"keys\":[1,[],null,{},{" EC X "," Y ",\"kid\":7},{" EC X "," Y
               ",\"key_ops\":1}," KEY("a") "]}",
               6, "a");
    /* of one kid, wherever they stand */
    check_kept("{\"keys\":[" KEY("a") "," KEY("b") "," KEY("a") "," KEY("c") "," KEY("a") "]}", 3,
               "b c");
    check_kept("{\"keys\":[" KEY("a") "," KEY("a") "]}", 2, "");
    /* one of the two is none anyway */
    check_kept("{\"keys\":[{" EC X ",\"kid\":\"a\"}," KEY("a") "]}", 1, "a");
    check_kept("{\"keys\":[{" EC X "," Y "},{" EC X "," Y "}]}", 0, " ");
#undef KEY
    /* a SPIFFE bundle: authorities of X.509 beside keys of tokens */
    CCZ_AUTO(ccz_jwks) spiffe = NULL;
    CHECK_OK(ccz_jwks_parse(&spiffe,
                            ccz_span_str("{\"spiffe_sequence\":1,\"keys\":[{" EC X "," Y
                                         ",\"use\":\"x509-svid\",\"x5c\":[\"AAAA\"]},{" EC X "," Y
                                         ",\"use\":\"jwt-svid\",\"kid\":\"j\"}]}"),
                            &err));
    const struct ccz_jwk *j = ccz_jwks_find(spiffe, ccz_span_str("j"));
    CHECK(ccz_jwks_len(spiffe) == 1 && ccz_jwks_left_out(spiffe) == 1 && j);
    CHECK(ccz_jwk_sig_alg(j) == CCZ_JOSE_ES256 && ccz_jwk_enc_alg(j) == CCZ_JOSE_ALG_NONE);
}

/* ------------------------------------------------------------------------------ canonical JSON */

static void check_jcs(const char *in, const char *want)
{
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 16);
    CHECK_OK(ccz_json_parse(&j, ccz_span_str(in), &err));
    CHECK_OK(ccz_jcs_put(&out, j, &err));
    CHECK(text_is(&out, want));
}

static void check_digest(const char *text, const char *want_hex)
{
    uint8_t digest[48], want[48];
    struct ccz_span part = ccz_span_str(text);
    CHECK(from_hex(want, want_hex) == 48);
    CHECK(ccz_hash(digest, CCZ_SHA384, &part, 1) == CCZ_OK);
    CHECK(memcmp(digest, want, 48) == 0);
}

static void test_jcs(void)
{
    check_jcs("{\"b\":1,\"a\":\"test\",\"c\":{\"d\":\"e\"}}",
              "{\"a\":\"test\",\"b\":1,\"c\":{\"d\":\"e\"}}");
    check_digest("{\"a\":\"test\",\"b\":1,\"c\":{\"d\":\"e\"}}",
                 "e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c"
                 "4597480a186427c813ca941da78870c3");
    /* RFC 8785, 3.2.2 without its numbers, and 3.2.3: the order of UTF-16, not of UTF-8 or of characters */
    check_jcs("{\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/"
              "\",\"literals\":[null, true, false]}",
              "{\"literals\":[null,true,false],\"string\":\"\xe2\x82\xac$\\u000f\\nA'"
              "B\\\"\\\\\\\\\\\"/\"}");
    check_jcs("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter "
              "Dalet With Dagesh\","
              "\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
              "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
              "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
              "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\","
              "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
              "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
    check_jcs("\"\\u0008\\t\\f\\u007f\\u0001\"", "\"\\b\\t\\f\x7f\\u0001\"");
    check_jcs(" [ ] ", "[]");
    check_jcs("[{},[[]],{\"aa\":1,\"a\":{\"z\":[0,-0,9007199254740992]}}]",
              "[{},[[]],{\"a\":{\"z\":[0,0,9007199254740992]},\"aa\":1}]");
}

static void test_jcs_refused(void)
{
    static const char *const numbers[] = {"1.5", "1e3", "9007199254740993", "-9007199254740993",
                                          "[{\"a\":[0,0.1]}]"};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 12);
    ccz_buf_put_str(&out, "before");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        CCZ_AUTO(ccz_json) j = NULL;
        CHECK_OK(ccz_json_parse(&j, ccz_span_str(numbers[i]), &err));
        CHECK_REFUSED(ccz_jcs_put(&out, j, &err), CCZ_E_UNSUPPORTED, "jcs:number");
    }
    CCZ_AUTO(ccz_json) j = NULL;
    CHECK_OK(ccz_json_parse(&j, ccz_span_str("[1,2,3]"), &err));
    CHECK_REFUSED(ccz_jcs_put(&out, j, &err), CCZ_E_LIMIT, "jcs:text");
    CHECK(text_is(&out, "before"));
    char deep[200];
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    deep[128] = 0;
    check_jcs(deep, deep);
}

/* ------------------------------------------------------------------------------------ binding */

static const char nonce_text[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static void test_binding(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    struct ccz_rcar_binding b = {.nonce = ccz_span_str(nonce_text), .tee_key = bob};
    uint8_t data[64], want[64] = {0};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    CHECK_OK(ccz_rcar_binding_put(&text, &b, &err));
    CHECK(text_is(
        &text,
        "{\"additional-evidence\":\"\",\"nonce\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\","
        "\"tee-pubkey\":{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\","
        "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}}"));
    CHECK_OK(ccz_rcar_report_data(data, &b, CCZ_SHA384, &err));
    (void)from_hex(want, "d59c5ca13c55df86b2fc4ce983ae8f26d00a1082f3acf26d7b077c4a7a264e44"
                         "b4b1f8cce97801cfba202e3197d053ef");
    CHECK(memcmp(data, want, 64) == 0);
    b.device = true;
    CHECK_OK(ccz_rcar_report_data(data, &b, CCZ_SHA384, &err));
    (void)from_hex(want, "aa29da4707a36a4cdb112f5ba622c8d08443b311fd3985eb197711c8fa3db695"
                         "fbc4c0d05ec867f41e656490aee5120d");
    CHECK(memcmp(data, want, 64) == 0);

    /* escapes, the longest at that; other hashes fill more or less of the field */
    b.device = false;
    b.additional = ccz_span_str("{\"nvidia\":\"a/\\\x01\xc3\xa9\"}");
    ccz_buf_clear(&text);
    CHECK_OK(ccz_rcar_binding_put(&text, &b, &err));
    CHECK(strncmp(ccz_buf_str(&text),
                  "{\"additional-evidence\":\"{\\\"nvidia\\\":\\\"a/\\\\\\u0001\xc3\xa9\\\"}\",",
                  55) == 0);
    struct ccz_span part = ccz_buf_span(&text);
    CHECK(ccz_hash(want, CCZ_SHA512, &part, 1) == CCZ_OK);
    CHECK_OK(ccz_rcar_report_data(data, &b, CCZ_SHA512, &err));
    CHECK(memcmp(data, want, 64) == 0);
    memset(want, 0, 64);
    CHECK(ccz_hash(want, CCZ_SHA256, &part, 1) == CCZ_OK);
    CHECK_OK(ccz_rcar_report_data(data, &b, CCZ_SHA256, &err));
    CHECK(memcmp(data, want, 64) == 0);
    uint8_t controls[5000];
    memset(controls, 1, sizeof(controls));
    b.additional = CCZ_SPAN(controls, sizeof(controls));
    CHECK_OK(ccz_rcar_report_data(data, &b, CCZ_SHA384, &err));
}

static void binding_refused(const struct ccz_rcar_binding *b)
{
    uint8_t data[64], zero[64] = {0};
    memset(data, 1, sizeof(data)); /* must not stay */
    CHECK_REFUSED(ccz_rcar_report_data(data, b, CCZ_SHA384, &err), CCZ_E_ARG, "rcar:binding");
    CHECK(memcmp(data, zero, 64) == 0);
}

static void test_binding_refused(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    CCZ_AUTO(ccz_jwk) ed = jwk_of(rfc8037_key);
    struct ccz_rcar_binding good = {.nonce = ccz_span_str(nonce_text), .tee_key = bob}, b;
    b = good, b.tee_key = NULL;
    binding_refused(&b);
    b = good, b.tee_key = ed;
    binding_refused(&b);
    b = good, b.nonce.size = 0;
    binding_refused(&b);
    b = good, b.nonce = ccz_span_str("\xff");
    binding_refused(&b);
    b = good, b.device = true, b.additional = ccz_span_str("x");
    binding_refused(&b);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 100);
    CHECK_REFUSED(ccz_rcar_binding_put(&text, &good, &err), CCZ_E_LIMIT, "rcar:text");
    CHECK(text.size == 0 && !text.bad);
}

static const struct ccz_test tests[] = {
    {"jose.jwk_rfc", test_rfc},
    {"jose.jwk_forms", test_forms},
    {"jose.jwk_strict", test_strict},
    {"jose.jwk_rsa_range", test_rsa_range},
    {"jose.jwk_cuts", test_cuts},
    {"jose.jwks", test_sets},
    {"jose.jwks_odd", test_odd},
    {"jose.jcs", test_jcs},
    {"jose.jcs_refused", test_jcs_refused},
    {"jose.binding", test_binding},
    {"jose.binding_refused", test_binding_refused},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
