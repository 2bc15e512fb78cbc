/* SPDX-License-Identifier: Apache-2.0 */
/* Signed tokens and what they claim. */
#include "jose_test.h"
#include "rfc_vectors.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { NOW = 1300819380 - 100 }; /* before "exp" of the examples of RFC 7515 */

static const char rfc_payload[] =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

static ccz_rc verify(struct ccz_buf *out, const char *key, const char *token)
{
    CCZ_AUTO(ccz_jwk) k = jwk_of(key);
    return ccz_jws_verify(out, k, ccz_span_str(token), &err);
}

/* RFC 7515, A.2 to A.4, RFC 8037, A.4 */
static void test_rfc(void)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    CHECK_OK(verify(&out, rfc7515_a3_key, rfc7515_a3_token));
    CHECK(text_is(&out, rfc_payload));
    ccz_buf_clear(&out);
    CHECK_OK(verify(&out, rfc7515_a2_key, rfc7515_a2_token));
    CHECK(text_is(&out, rfc_payload));
    ccz_buf_clear(&out);
    CHECK_OK(verify(&out, rfc8037_key, rfc8037_token));
    CHECK(text_is(&out, "Example of Ed25519 signing"));
    ccz_buf_clear(&out);
    CHECK_REFUSED(verify(&out, rfc7515_a3_key, rfc7515_a1_token), CCZ_E_SIG, "jws:alg");
    CHECK_REFUSED(verify(&out, rfc7515_a3_key, rfc7515_a4_token), CCZ_E_SIG, "jws:alg");
    CHECK(out.size == 0);
}

/* header.payload of texts, and a signature given as bytes */
static void put_token(struct ccz_buf *out, const char *header, const char *payload,
                      struct ccz_span sig)
{
    ccz_base64_put(out, ccz_span_str(header), CCZ_BASE64_URL);
    ccz_buf_u8(out, '.');
    ccz_base64_put(out, ccz_span_str(payload), CCZ_BASE64_URL);
    ccz_buf_u8(out, '.');
    ccz_base64_put(out, sig, CCZ_BASE64_URL);
}

/* A token under any header, rightly signed with an EC key. */
static void sign_any(struct ccz_buf *out, const struct ccz_key *key, const char *header,
                     const char *payload)
{
    CCZ_AUTO_BUF input;
    uint8_t sig[96];
    ccz_buf_init(&input, 1 << 20);
    put_token(&input, header, payload, (struct ccz_span){0});
    struct ccz_span part = CCZ_SPAN(input.ptr, input.size - 1);
    CHECK(ccz_ecdsa_sign(sig, key, &part, 1) == CCZ_OK);
    ccz_buf_init(out, 1 << 20);
    put_token(out, header, payload, CCZ_SPAN(sig, ccz_key_curve(key) == CCZ_P256 ? 64 : 96));
}

static void test_sign(void)
{
    for (enum ccz_curve c = CCZ_P256; c <= CCZ_P384; c++) {
        CCZ_AUTO(ccz_key) key = NULL;
        CCZ_AUTO(ccz_key) other = NULL;
        CCZ_AUTO(ccz_jwk) pub = NULL;
        CCZ_AUTO(ccz_jwk) wrong = NULL;
        CCZ_AUTO_BUF token;
        CCZ_AUTO_BUF out;
        ccz_buf_init(&token, 10000);
        ccz_buf_init(&out, 10000);
        make_pair(&key, &pub, c);
        make_pair(&other, &wrong, c);
        struct ccz_jws_header h = {.typ = "JWT", .kid = ccz_jwk_kid(pub)};
        ccz_buf_put_str(&token, "before");
        CHECK_OK(ccz_jws_sign(&token, key, &h, ccz_span_str("{}"), &err));
        ccz_buf_consume(&token, 6);
        ccz_buf_put_str(&out, "before");
        CHECK_OK(ccz_jws_verify(&out, pub, ccz_buf_span(&token), &err));
        CHECK(text_is(&out, "before{}"));
        CHECK_REFUSED(ccz_jws_verify(&out, wrong, ccz_buf_span(&token), &err), CCZ_E_SIG,
                      "jws:signature");
        CHECK(text_is(&out, "before{}"));
        /* an empty payload is one */
        ccz_buf_clear(&token);
        ccz_buf_clear(&out);
        CHECK_OK(
            ccz_jws_sign(&token, key, &(struct ccz_jws_header){0}, (struct ccz_span){0}, &err));
        CHECK_OK(ccz_jws_verify(&out, pub, ccz_buf_span(&token), &err));
        CHECK(out.size == 0);
    }
}

/* The header, byte by byte. */
static void test_header(void)
{
    CCZ_AUTO(ccz_key) bob = key_of(bob_d, bob_x, bob_y);
    CCZ_AUTO_BUF token;
    CCZ_AUTO_BUF header;
    ccz_buf_init(&token, 10000);
    ccz_buf_init(&header, 10000);
    const struct ccz_span certs[] = {ccz_span_str("\xfb\xff"), ccz_span_str("abc")};
    struct ccz_jws_header h = {
        .typ = "JWT", .kid = "k\"", .with_jwk = true, .certs = certs, .certs_len = 2};
    CHECK_OK(ccz_jws_sign(&token, bob, &h, ccz_span_str("x"), &err));
    struct ccz_span whole = ccz_buf_span(&token);
    const uint8_t *dot = memchr(whole.ptr, '.', whole.size);
    CHECK(ccz_base64_get(&header, CCZ_SPAN(whole.ptr, (size_t)(dot - whole.ptr)), CCZ_BASE64_URL,
                         NULL) == CCZ_OK);
    CHECK(text_is(&header, "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k\\\"\",\"jwk\":{\"alg\":"
                           "\"ES256\",\"crv\":\"P-256\","
                           "\"kty\":\"EC\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
                           "\"x5c\":[\"+/8=\",\"YWJj\"],"
                           "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}}"));

    ccz_buf_clear(&token);
    h.with_jwk = false;
    CHECK_REFUSED(ccz_jws_sign(&token, bob, &h, ccz_span_str("x"), &err), CCZ_E_ARG, "jws:header");
    h = (struct ccz_jws_header){.kid = "\xff"};
    CHECK_REFUSED(ccz_jws_sign(&token, bob, &h, ccz_span_str("x"), &err), CCZ_E_ARG, "jws:header");
    const struct ccz_span large = CCZ_SPAN(rfc_payload, sizeof(rfc_payload));
    struct ccz_span chain[600];
    for (size_t i = 0; i < 600; i++)
        chain[i] = large;
    h = (struct ccz_jws_header){.with_jwk = true, .certs = chain, .certs_len = 600};
    CHECK_REFUSED(ccz_jws_sign(&token, bob, &h, ccz_span_str("x"), &err), CCZ_E_LIMIT,
                  "jws:header");
    h = (struct ccz_jws_header){0};
    uint8_t *big = calloc(1, CCZ_JWS_SIZE_MAX);
    CHECK(big);
    CHECK_REFUSED(ccz_jws_sign(&token, bob, &h, CCZ_SPAN(big, CCZ_JWS_SIZE_MAX), &err), CCZ_E_LIMIT,
                  "jws:text");
    CHECK_REFUSED(ccz_jws_sign(&token, bob, &h, CCZ_SPAN(big, 9000), &err), CCZ_E_LIMIT,
                  "jws:text");
    free(big);
    CHECK(token.size == 0 && !token.bad);
    uint8_t xy[64];
    CCZ_AUTO(ccz_key) pub = NULL;
    CHECK(ccz_key_xy(xy, bob) == CCZ_OK &&
          ccz_key_from_xy(&pub, CCZ_P256, CCZ_SPAN(xy, 64)) == CCZ_OK);
    CHECK_REFUSED(ccz_jws_sign(&token, pub, &h, ccz_span_str("x"), &err), CCZ_E_ARG, "jws:key");
}

/* What a header may not do: choose the algorithm or the key. */
static void test_confusion(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    make_pair(&key, &pub, CCZ_P256);
    static const struct {
        const char *header;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {"{\"alg\":\"none\"}", CCZ_E_SIG, "jws:none"},
        {"{\"alg\":\"NoNe\"}", CCZ_E_SIG, "jws:none"},
        {"{\"alg\":\"HS256\"}", CCZ_E_SIG, "jws:alg"},
        {"{\"alg\":\"ES384\"}", CCZ_E_SIG, "jws:alg"},
        {"{\"alg\":\"es256\"}", CCZ_E_SIG, "jws:alg"},
        {"{\"alg\":\"ES256 \"}", CCZ_E_SIG, "jws:alg"},
        {"{\"alg\":\"\"}", CCZ_E_SIG, "jws:alg"},
        {"{}", CCZ_E_FORMAT, "jws:member"},
        {"{\"alg\":null}", CCZ_E_FORMAT, "jws:member"},
        {"{\"alg\":[\"ES256\"]}", CCZ_E_FORMAT, "jws:member"},
        {"[\"alg\"]", CCZ_E_FORMAT, "jws:header"},
        {"", CCZ_E_FORMAT, "jws:header"},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", CCZ_E_FORMAT, "jws:header"},
        {"{\"alg\":\"ES256\",\"crit\":[\"exp\"],\"exp\":1}", CCZ_E_UNSUPPORTED, "jws:crit"},
        {"{\"alg\":\"ES256\",\"crit\":[]}", CCZ_E_UNSUPPORTED, "jws:crit"},
        {"{\"alg\":\"ES256\",\"b64\":false}", CCZ_E_UNSUPPORTED, "jws:crit"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CCZ_AUTO_BUF token;
        sign_any(&token, key, bad[i].header, "{}");
        CHECK_REFUSED(ccz_jws_verify(&out, pub, ccz_buf_span(&token), &err), bad[i].rc,
                      bad[i].where);
    }
    CHECK(out.size == 0);
}

static void test_hmac(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    make_pair(&key, &pub, CCZ_P256);
    /* HMAC with the public key as its secret, in each spelling of it that an attacker may try */
    for (int form = 0; form < 2; form++) {
        CCZ_AUTO_BUF secret;
        CCZ_AUTO_BUF input;
        CCZ_AUTO_BUF token;
        uint8_t mac[32];
        ccz_buf_init(&secret, 4096);
        ccz_buf_init(&input, 4096);
        ccz_buf_init(&token, 4096);
        if (form == 0)
            ccz_jwk_put(&secret, pub, CCZ_JWK_FULL);
        else
            CHECK(ccz_key_spki(&secret, key) == CCZ_OK);
        put_token(&input, "{\"alg\":\"HS256\"}", "{}", (struct ccz_span){0});
        struct ccz_span part = CCZ_SPAN(input.ptr, input.size - 1);
        CHECK(ccz_hmac(mac, CCZ_SHA256, ccz_buf_span(&secret), &part, 1) == CCZ_OK);
        put_token(&token, "{\"alg\":\"HS256\"}", "{}", CCZ_SPAN(mac, 32));
        CHECK_REFUSED(ccz_jws_verify(&out, pub, ccz_buf_span(&token), &err), CCZ_E_SIG, "jws:alg");
    }
    CHECK(out.size == 0);
}

/* Signed by another key that the token brings along, or not signed. */
static void test_other_key(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_key) evil = NULL;
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    make_pair(&key, &pub, CCZ_P256);
    CHECK(ccz_key_generate(&evil, CCZ_P256) == CCZ_OK);
    /* a key in the header is not looked at */
    CCZ_AUTO_BUF token;
    ccz_buf_init(&token, 4096);
    struct ccz_jws_header h = {.with_jwk = true, .kid = ccz_jwk_kid(pub)};
    CHECK_OK(ccz_jws_sign(&token, evil, &h, ccz_span_str("{}"), &err));
    CHECK_REFUSED(ccz_jws_verify(&out, pub, ccz_buf_span(&token), &err), CCZ_E_SIG,
                  "jws:signature");
    /* no signature, and the signature of nothing */
    CCZ_AUTO_BUF none;
    ccz_buf_init(&none, 4096);
    put_token(&none, "{\"alg\":\"ES256\"}", "{}", (struct ccz_span){0});
    CHECK_REFUSED(ccz_jws_verify(&out, pub, ccz_buf_span(&none), &err), CCZ_E_SIG, "jws:signature");
    static const uint8_t zero[600];
    for (size_t size = 1; size < sizeof(zero); size += size < 100 ? 1 : 100) {
        ccz_buf_clear(&none);
        put_token(&none, "{\"alg\":\"ES256\"}", "{}", CCZ_SPAN(zero, size));
        CHECK_REFUSED(ccz_jws_verify(&out, pub, ccz_buf_span(&none), &err), CCZ_E_SIG,
                      "jws:signature");
    }
    CHECK(out.size == 0);
}

static void test_key_use(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    make_pair(&key, &pub, CCZ_P256);
    /* keys for something else do not verify */
    CCZ_AUTO_BUF good;
    sign_any(&good, key, "{\"alg\":\"ES256\"}", "{}");
    struct ccz_jwk_parts p = {.kind = CCZ_JWK_P256, .a = {pub->a, 32}, .b = {pub->b, 32}};
    for (int way = 0; way < 3; way++) {
        CCZ_AUTO(ccz_jwk) k = NULL;
        p.alg = way == 0 ? CCZ_JOSE_ECDH_ES_A256KW : CCZ_JOSE_ALG_NONE;
        p.use = way == 1 ? CCZ_JWK_USE_ENC : CCZ_JWK_USE_ANY;
        CHECK_OK(ccz_jwk_make(&k, &p, &err));
        k->no_verify = way == 2;
        CHECK_REFUSED(ccz_jws_verify(&out, k, ccz_buf_span(&good), &err), CCZ_E_DENIED,
                      "jws:key-use");
    }
    CHECK(out.size == 0);
    CHECK_OK(ccz_jws_verify(&out, pub, ccz_buf_span(&good), &err));
}

/* "key_ops" is heeded from the text on. */
static void test_key_ops(void)
{
    static const char head[] =
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\",\"key_ops\":";
    static const struct {
        const char *ops;
        bool sig, enc;
    } cases[] = {{"[\"verify\"]", true, false},
                 {"[\"deriveKey\"]", false, true},
                 {"[\"deriveBits\"]", false, true},
                 {"[\"sign\",\"other\"]", false, false},
                 {"[]", false, false},
                 {"[\"wrapKey\",\"verify\"]", true, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[400];
        (void)snprintf(text, sizeof(text), "%s%s}", head, cases[i].ops);
        CCZ_AUTO(ccz_jwk) k = jwk_of(text);
        CHECK((ccz_jwk_sig_alg(k) != CCZ_JOSE_ALG_NONE) == cases[i].sig);
        CHECK((ccz_jwk_enc_alg(k) != CCZ_JOSE_ALG_NONE) == cases[i].enc);
    }
}

/* RSA: both paddings, a salt of another size, the wrong padding for the key. */
static EVP_PKEY *rsa;

static void put_rsa(struct ccz_buf *token, const char *header, bool pss, int salt)
{
    CCZ_AUTO_BUF input;
    uint8_t sig[512];
    size_t size = sizeof(sig);
    EVP_PKEY_CTX *ctx = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ccz_buf_init(&input, 4096);
    put_token(&input, header, "{}", (struct ccz_span){0});
    CHECK(md && EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, rsa) == 1);
    if (pss)
        CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) == 1);
    CHECK(EVP_DigestSign(md, sig, &size, input.ptr, input.size - 1) == 1);
    EVP_MD_CTX_free(md);
    ccz_buf_init(token, 4096);
    put_token(token, header, "{}", CCZ_SPAN(sig, size));
}

static void test_rsa(void)
{
    uint8_t n[512], e[4];
    BIGNUM *bn = NULL, *be = NULL;
    rsa = EVP_RSA_gen(2048);
    CHECK(rsa && EVP_PKEY_get_bn_param(rsa, "n", &bn) == 1 &&
          EVP_PKEY_get_bn_param(rsa, "e", &be) == 1);
    struct ccz_jwk_parts p = {.kind = CCZ_JWK_RSA};
    p.a = CCZ_SPAN(n, (size_t)BN_bn2bin(bn, n));
    p.b = CCZ_SPAN(e, (size_t)BN_bn2bin(be, e));
    BN_free(bn);
    BN_free(be);
    CCZ_AUTO(ccz_jwk) rs = NULL;
    CCZ_AUTO(ccz_jwk) ps = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    CHECK_OK(ccz_jwk_make(&rs, &p, &err));
    p.alg = CCZ_JOSE_PS256;
    CHECK_OK(ccz_jwk_make(&ps, &p, &err));
    static const char rs_head[] = "{\"alg\":\"RS256\"}", ps_head[] = "{\"alg\":\"PS256\"}";
    const struct {
        const char *header;
        bool pss;
        int salt;
        const struct ccz_jwk *key;
        const char *where; /* NULL: verifies */
    } cases[] = {
        {rs_head, false, 0, rs, NULL},
        {ps_head, true, 32, ps, NULL},
        {rs_head, true, 32, rs, "jws:signature"},
        {ps_head, false, 0, ps, "jws:signature"},
        {ps_head, true, 20, ps, "jws:signature"},
        {ps_head, true, 0, ps, "jws:signature"},
        {rs_head, false, 0, ps, "jws:alg"},
        {ps_head, true, 32, rs, "jws:alg"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CCZ_AUTO_BUF token;
        put_rsa(&token, cases[i].header, cases[i].pss, cases[i].salt);
        if (!cases[i].where)
            CHECK_OK(ccz_jws_verify(&out, cases[i].key, ccz_buf_span(&token), &err));
        else
            CHECK_REFUSED(ccz_jws_verify(&out, cases[i].key, ccz_buf_span(&token), &err), CCZ_E_SIG,
                          cases[i].where);
    }
    EVP_PKEY_free(rsa);
}

/* Every cut and every changed bit of tokens is refused. */
static void test_every_bit(void)
{
    static const struct {
        const char *key, *token;
    } cases[] = {{rfc7515_a3_key, rfc7515_a3_token},
                 {rfc8037_key, rfc8037_token},
                 {rfc7515_a2_key, rfc7515_a2_token}};
    for (size_t c = 0; c < 3; c++) {
        CCZ_AUTO(ccz_jwk) k = jwk_of(cases[c].key);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 4096);
        size_t size = strlen(cases[c].token);
        uint8_t *copy = malloc(size);
        CHECK(copy);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *part = malloc(cut + 1);
            CHECK(part);
            memcpy(part, cases[c].token, cut);
            CHECK(ccz_jws_verify(&out, k, CCZ_SPAN(part, cut), NULL) != CCZ_OK);
            free(part);
        }
        for (size_t bit = 0; bit < 8 * size; bit += c == 2 ? 5 : 1) {
            memcpy(copy, cases[c].token, size);
            copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK(ccz_jws_verify(&out, k, CCZ_SPAN(copy, size), NULL) != CCZ_OK);
        }
        CHECK(out.size == 0);
        free(copy);
    }
}

static void test_format(void)
{
    CCZ_AUTO(ccz_jwk) k = jwk_of(rfc8037_key);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    static const struct {
        const char *token, *where;
    } bad[] = {{"", "jws:parts"},
               {"a.b", "jws:parts"},
               {"a.b.c.d", "jws:parts"},
               {"..", "jws:header"},
               {"e30=.e30.e30", "jws:base64"},
               {"e30.e30.e30 ", "jws:member"},
               {"e3 0.e30.e30", "jws:base64"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_REFUSED(ccz_jws_verify(&out, k, ccz_span_str(bad[i].token), &err), CCZ_E_FORMAT,
                      bad[i].where);
    CHECK_REFUSED(verify(&out, rfc8037_key,
                         "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_"
                         "MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIb"
                         "QR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAh"),
                  CCZ_E_FORMAT, "jws:base64"); /* stray bits: a second text of one signature */
    uint8_t *big = malloc(CCZ_JWS_SIZE_MAX + 1);
    CHECK(big);
    memset(big, 'A', CCZ_JWS_SIZE_MAX + 1);
    CHECK_REFUSED(ccz_jws_verify(&out, k, CCZ_SPAN(big, CCZ_JWS_SIZE_MAX + 1), &err), CCZ_E_LIMIT,
                  "jws:text");
    memcpy(big + 100000, ".e30.e30", 8);
    CHECK_REFUSED(ccz_jws_verify(&out, k, CCZ_SPAN(big, 100008), &err), CCZ_E_FORMAT, "jws:header");
    free(big);
    /* genuine, and larger than the caller wants */
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 10);
    ccz_buf_put_str(&small, "ab");
    CHECK_REFUSED(ccz_jws_verify(&small, k, ccz_span_str(rfc8037_token), &err), CCZ_E_LIMIT,
                  "jws:payload");
    CHECK(text_is(&small, "ab"));
}

static void test_set(void)
{
    CCZ_AUTO(ccz_key) a = NULL;
    CCZ_AUTO(ccz_key) b = NULL;
    CCZ_AUTO(ccz_jwk) ja = NULL;
    CCZ_AUTO(ccz_jwk) jb = NULL;
    CCZ_AUTO(ccz_jwks) both = NULL;
    CCZ_AUTO(ccz_jwks) one = NULL;
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF out;
    const struct ccz_jwk *used;
    ccz_buf_init(&text, 10000);
    ccz_buf_init(&out, 10000);
    CHECK(ccz_key_generate(&a, CCZ_P256) == CCZ_OK && ccz_key_generate(&b, CCZ_P384) == CCZ_OK);
    CHECK_OK(ccz_jwk_from_key(&ja, a, &err));
    CHECK_OK(ccz_jwk_from_key(&jb, b, &err));
    const struct ccz_jwk *keys[] = {ja, jb};
    ccz_jwks_put(&text, keys, 2);
    CHECK_OK(ccz_jwks_parse(&both, ccz_buf_span(&text), &err));
    ccz_buf_clear(&text);
    ccz_jwks_put(&text, keys, 1);
    CHECK_OK(ccz_jwks_parse(&one, ccz_buf_span(&text), &err));

    CCZ_AUTO_BUF with;
    CCZ_AUTO_BUF without;
    CCZ_AUTO_BUF foreign;
    CCZ_AUTO_BUF crossed;
    CCZ_AUTO_BUF odd;
    char header[200];
    (void)snprintf(header, sizeof(header), "{\"alg\":\"ES384\",\"kid\":\"%s\"}", ccz_jwk_kid(jb));
    sign_any(&with, b, header, "{}");
    CHECK_OK(ccz_jws_verify_set(&out, &used, both, ccz_buf_span(&with), &err));
    CHECK(used == ccz_jwks_at(both, 1));
    sign_any(&without, a, "{\"alg\":\"ES256\"}", "{}");
    CHECK_REFUSED(ccz_jws_verify_set(&out, &used, both, ccz_buf_span(&without), &err),
                  CCZ_E_NOT_FOUND, "jws:kid");
    CHECK(used == NULL);
    CHECK_OK(ccz_jws_verify_set(&out, &used, one, ccz_buf_span(&without), &err));
    sign_any(&foreign, a, "{\"alg\":\"ES256\",\"kid\":\"../../etc/passwd\"}", "{}");
    CHECK_REFUSED(ccz_jws_verify_set(&out, &used, one, ccz_buf_span(&foreign), &err),
                  CCZ_E_NOT_FOUND, "jws:kid");
    (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", ccz_jwk_kid(jb));
    sign_any(&crossed, a, header, "{}"); /* the kid decides, and then its key's algorithm */
    CHECK_REFUSED(ccz_jws_verify_set(&out, &used, both, ccz_buf_span(&crossed), &err), CCZ_E_SIG,
                  "jws:alg");
    sign_any(&odd, a, "{\"alg\":\"ES256\",\"kid\":1}", "{}");
    CHECK_REFUSED(ccz_jws_verify_set(&out, &used, one, ccz_buf_span(&odd), &err), CCZ_E_FORMAT,
                  "jws:member");
}

/* ------------------------------------------------------------------------------------- claims */

static struct ccz_key *issuer;
static struct ccz_jwk *issuer_pub;

static void make_issuer(void)
{
    CHECK(ccz_key_generate(&issuer, CCZ_P256) == CCZ_OK);
    CHECK_OK(ccz_jwk_from_key(&issuer_pub, issuer, &err));
}

static void free_issuer(void)
{
    ccz_key_free(issuer);
    ccz_jwk_free(issuer_pub);
}

static ccz_rc jwt(const struct ccz_jwt_rules *rules, const char *header, const char *claims)
{
    CCZ_AUTO_BUF token;
    CCZ_AUTO(ccz_json) j = NULL;
    sign_any(&token, issuer, header, claims);
    ccz_rc rc = ccz_jwt_verify(&j, rules, ccz_buf_span(&token), &err);
    CHECK((rc == CCZ_OK) == (j != NULL));
    return rc;
}

#define H "{\"alg\":\"ES256\"}"

static void test_jwt(void)
{
    CCZ_AUTO(ccz_jwk) rfc = jwk_of(rfc7515_a3_key);
    CCZ_AUTO(ccz_json) j = NULL;
    struct ccz_jwt_rules rules = {.key = rfc, .iss = "joe", .now_s = NOW};
    bool root = false;
    CHECK_OK(ccz_jwt_verify(&j, &rules, ccz_span_str(rfc7515_a3_token), &err));
    CHECK(ccz_json_bool(&root, ccz_json_get(j, "http://example.com/is_root")) && root);
    struct ccz_json *no;
    rules.now_s = 1300819380;
    CHECK_REFUSED(ccz_jwt_verify(&no, &rules, ccz_span_str(rfc7515_a3_token), &err), CCZ_E_EXPIRED,
                  "jwt:exp");
    CHECK(strcmp(err.got, "2011-03-22T18:43:00Z") == 0);

    make_issuer();
    struct ccz_jwt_rules r = {.key = issuer_pub, .iss = "https://a", .now_s = 1000};
    CHECK_OK(jwt(
        &r, H, "{\"iss\":\"https:\\/\\/a\",\"exp\":1001}")); /* an escape that some writers like */
    CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"jwt\"}",
                 "{\"iss\":\"https://a\",\"exp\":1001,\"x\":[1.5]}"));
    static const struct {
        const char *claims;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {"", CCZ_E_FORMAT, "jwt:json"},
        {"[]", CCZ_E_FORMAT, "jwt:json"},
        {"{\"iss\":\"https://a\",\"exp\":1001", CCZ_E_FORMAT, "jwt:json"},
        {"{\"exp\":1001}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":[\"https://a\"],\"exp\":1001}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a/\",\"exp\":1001}", CCZ_E_UNTRUSTED, "jwt:iss"},
        {"{\"iss\":\"https://a\\u0000\",\"exp\":1001}", CCZ_E_UNTRUSTED, "jwt:iss"},
        {"{\"iss\":\"https://a\"}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":\"1001\"}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":1001.5}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":null}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":-1}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":9223372036854775807}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":1001,\"nbf\":\"0\"}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":1001,\"iat\":1e3}", CCZ_E_FORMAT, "jwt:claim"},
        {"{\"iss\":\"https://a\",\"exp\":1000}", CCZ_E_EXPIRED, "jwt:exp"},
        {"{\"iss\":\"https://a\",\"exp\":1001,\"exp\":2000}", CCZ_E_FORMAT, "jwt:json"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_REFUSED(jwt(&r, H, bad[i].claims), bad[i].rc, bad[i].where);
    /* who has not signed does not get as far as the claims */
    struct ccz_jwt_rules foreign = {.key = rfc, .iss = "https://a", .now_s = 1000};
    CHECK_REFUSED(jwt(&foreign, H, "{\"exp\":0}"), CCZ_E_SIG, "jws:signature");
    free_issuer();
}

static void test_jwt_typ(void)
{
    make_issuer();
    struct ccz_jwt_rules r = {.key = issuer_pub, .iss = "a", .now_s = 1000};
    static const char claims[] = "{\"iss\":\"a\",\"exp\":1001}";
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", claims), CCZ_E_FORMAT,
                  "jwt:typ");
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":1}", claims), CCZ_E_FORMAT, "jwt:typ");
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"JW\"}", claims), CCZ_E_FORMAT, "jwt:typ");
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"JW4\"}", claims), CCZ_E_FORMAT, "jwt:typ");
    r.typ = "at+jwt";
    CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"AT+JWT\"}", claims));
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_FORMAT, "jwt:typ");
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", claims), CCZ_E_FORMAT, "jwt:typ");
    /* RFC 9068, 4 has both spellings, RFC 7515, 4.1.9 says when they are one */
    static const char *const spellings[] = {"at+jwt", "application/at+jwt"};
    for (size_t i = 0; i < 2; i++) {
        r.typ = spellings[i];
        CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", claims));
        CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"application/at+jwt\"}", claims));
        CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"Application/AT+JWT\"}", claims));
        static const char *const others[] = {"application/",       "application/application/at+jwt",
                                             "text/at+jwt",        "application/at+jwt/",
                                             "application/jwt",    "applicationat+jwt",
                                             "xapplication/at+jwt"};
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            char header[80];
            (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":\"%s\"}", others[k]);
            CHECK_REFUSED(jwt(&r, header, claims), CCZ_E_FORMAT, "jwt:typ");
        }
    }
    r.typ = "text/x";
    CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"text/x\"}", claims));
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"application/text/x\"}", claims),
                  CCZ_E_FORMAT, "jwt:typ");
    r.typ = NULL;
    CHECK_OK(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"application/jwt\"}", claims));
    r.typ = "at+jwt";
    CHECK_REFUSED(jwt(&r, "{\"alg\":\"ES256\",\"typ\":\"at\\u000bjwt\"}", claims), CCZ_E_FORMAT,
                  "jwt:typ"); /* '+' but for the bit that is the case of letters */
    free_issuer();
}

/* The borders of every time, with and without skew. */
static void test_jwt_times(void)
{
    make_issuer();
    struct ccz_jwt_rules r = {.key = issuer_pub, .iss = "a", .now_s = 1000, .skew_s = 60};
    static const struct {
        const char *claims, *where;
    } cases[] = {
        {"{\"iss\":\"a\",\"exp\":941}", NULL},
        {"{\"iss\":\"a\",\"exp\":940}", "jwt:exp"},
        {"{\"iss\":\"a\",\"exp\":2000,\"nbf\":1060}", NULL},
        {"{\"iss\":\"a\",\"exp\":2000,\"nbf\":1061}", "jwt:nbf"},
        {"{\"iss\":\"a\",\"exp\":2000,\"iat\":1060}", NULL},
        {"{\"iss\":\"a\",\"exp\":2000,\"iat\":1061}", "jwt:iat"},
        {"{\"iss\":\"a\",\"exp\":253402300799,\"iat\":0,\"nbf\":0}", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].where)
            CHECK_REFUSED(jwt(&r, H, cases[i].claims), CCZ_E_EXPIRED, cases[i].where);
        else
            CHECK_OK(jwt(&r, H, cases[i].claims));
    }
    r.skew_s = 0;
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"nbf\":1001}"), CCZ_E_EXPIRED,
                  "jwt:nbf");
    r.age_max_s = 100;
    CHECK_OK(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"iat\":900}"));
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"iat\":899}"), CCZ_E_EXPIRED, "jwt:age");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000}"), CCZ_E_FORMAT, "jwt:claim");
    free_issuer();
}

static void test_jwt_aud(void)
{
    make_issuer();
    struct ccz_jwt_rules r = {.key = issuer_pub, .iss = "a", .now_s = 1000};
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":\"me\"}"), CCZ_E_DENIED,
                  "jwt:aud");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":[]}"), CCZ_E_DENIED, "jwt:aud");
    r.aud = "me";
    CHECK_OK(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":\"me\"}"));
    CHECK_OK(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":[\"you\",\"me\"]}"));
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000}"), CCZ_E_FORMAT, "jwt:claim");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":\"you\"}"), CCZ_E_DENIED,
                  "jwt:aud");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":[\"you\"]}"), CCZ_E_DENIED,
                  "jwt:aud");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":[]}"), CCZ_E_DENIED, "jwt:aud");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":[\"me\",1]}"), CCZ_E_FORMAT,
                  "jwt:claim");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":{\"me\":1}}"), CCZ_E_FORMAT,
                  "jwt:claim");
    CHECK_REFUSED(jwt(&r, H, "{\"iss\":\"a\",\"exp\":2000,\"aud\":\"me\\u0000\"}"), CCZ_E_DENIED,
                  "jwt:aud");
    free_issuer();
}

static void test_jwt_rules(void)
{
    make_issuer();
    CCZ_AUTO(ccz_jwks) set = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    const struct ccz_jwk *keys[] = {issuer_pub};
    ccz_jwks_put(&text, keys, 1);
    CHECK_OK(ccz_jwks_parse(&set, ccz_buf_span(&text), &err));
    static const char claims[] = "{\"iss\":\"a\",\"exp\":2000}";
    const struct ccz_jwt_rules good = {.keys = set, .iss = "a", .now_s = 1000};
    struct ccz_jwt_rules r = good;
    CHECK_OK(jwt(&r, H, claims));
    r = good, r.key = issuer_pub;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    r = good, r.keys = NULL;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    r = good, r.iss = NULL;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    r = good, r.now_s = -1;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    r = good, r.skew_s = CCZ_JWT_SKEW_MAX_S + 1;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    r = good, r.skew_s = -1;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    r = good, r.age_max_s = INT64_MAX;
    CHECK_REFUSED(jwt(&r, H, claims), CCZ_E_ARG, "jwt:rules");
    free_issuer();
}

static const struct ccz_test tests[] = {
    {"jose.jws_rfc", test_rfc},
    {"jose.jws_sign", test_sign},
    {"jose.jws_header", test_header},
    {"jose.jws_confusion", test_confusion},
    {"jose.jws_hmac", test_hmac},
    {"jose.jws_other_key", test_other_key},
    {"jose.jws_key_use", test_key_use},
    {"jose.jws_key_ops", test_key_ops},
    {"jose.jws_rsa", test_rsa},
    {"jose.jws_every_bit", test_every_bit},
    {"jose.jws_format", test_format},
    {"jose.jws_set", test_set},
    {"jose.jwt", test_jwt},
    {"jose.jwt_typ", test_jwt_typ},
    {"jose.jwt_times", test_jwt_times},
    {"jose.jwt_aud", test_jwt_aud},
    {"jose.jwt_rules", test_jwt_rules},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
