/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption to keys, and the primitives below. */
#define _DEFAULT_SOURCE
#include "jose_test.h"
#include "rfc_vectors.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>

/* --------------------------------------------------------------------------------- primitives */

/* RFC 7518, C */
static void test_kdf(void)
{
    CCZ_AUTO(ccz_key) alice = key_of(alice_d, alice_x, alice_y);
    CCZ_AUTO(ccz_key) bob = key_of(bob_d, bob_x, bob_y);
    uint8_t z[32], back[32], key[32], want[32];
    CHECK(cczi_jose_ecdh(z, alice, bob) == CCZ_OK && cczi_jose_ecdh(back, bob, alice) == CCZ_OK);
    (void)from_hex(want, "9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4");
    CHECK(memcmp(z, want, 32) == 0 && memcmp(back, want, 32) == 0);
    CHECK(cczi_concat_kdf(key, 16, CCZ_SPAN(z, 32), "A128GCM", ccz_span_str("Alice"),
                          ccz_span_str("Bob")) == CCZ_OK);
    CHECK(from_base64url(want, 32, alice_bob_derived) == 16 && memcmp(key, want, 16) == 0);
    struct ccz_span none = {0};
    CHECK(cczi_concat_kdf(key, 32, CCZ_SPAN(z, 32), "ECDH-ES+A256KW", none, none) == CCZ_OK);
    (void)from_hex(want, "89ab838633757805bd678cb164f2427776824e8f784152f23747096449921f46");
    CHECK(memcmp(key, want, 32) == 0);
    CHECK(cczi_concat_kdf(key, 33, CCZ_SPAN(z, 32), "", none, none) == CCZ_E_ARG);

    CCZ_AUTO(ccz_key) p384 = NULL;
    CCZ_AUTO(ccz_key) pub = NULL;
    uint8_t xy[64];
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    CHECK(cczi_jose_ecdh(z, alice, p384) == CCZ_E_ARG);
    CHECK(ccz_key_xy(xy, bob) == CCZ_OK &&
          ccz_key_from_xy(&pub, CCZ_P256, CCZ_SPAN(xy, 64)) == CCZ_OK);
    CHECK(cczi_jose_ecdh(z, pub, alice) == CCZ_E_ARG); /* no private half */
    CHECK(ERR_peek_error() == 0);
}

/* RFC 3394, 4.3, 4.5, 4.6: keys of 128, 192 and 256 bits under one of 256 */
static void test_key_wrap(void)
{
    static const char *const vectors[][2] = {
        {"00112233445566778899aabbccddeeff", "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
        {"00112233445566778899aabbccddeeff0001020304050607",
         "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"},
        {"00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
         "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
    };
    uint8_t kek[32], in[64], want[72], out[72], back[72], zero[72] = {0};
    for (size_t i = 0; i < 32; i++)
        kek[i] = (uint8_t)i;
    for (size_t v = 0; v < 3; v++) {
        size_t in_size = from_hex(in, vectors[v][0]), size = from_hex(want, vectors[v][1]);
        CHECK(cczi_jose_kw_wrap(out, kek, CCZ_SPAN(in, in_size)) == CCZ_OK);
        CHECK(size == in_size + 8 && memcmp(out, want, size) == 0);
        CHECK(cczi_jose_kw_unwrap(back, kek, CCZ_SPAN(want, size)) == CCZ_OK);
        CHECK(memcmp(back, in, in_size) == 0);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            want[bit / 8] ^= (uint8_t)(1u << bit % 8);
            memset(back, 1, sizeof(back));
            CHECK(cczi_jose_kw_unwrap(back, kek, CCZ_SPAN(want, size)) == CCZ_E_SIG);
            CHECK(memcmp(back, zero, in_size) == 0);
            want[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    static const size_t wrong[] = {0, 8, 15, 17, 65, 72};
    for (size_t i = 0; i < 6; i++)
        CHECK(cczi_jose_kw_wrap(out, kek, CCZ_SPAN(zero, wrong[i])) == CCZ_E_ARG);
    static const size_t cut[] = {0, 8, 16, 23, 39, 41};
    for (size_t i = 0; i < 6; i++)
        CHECK(cczi_jose_kw_unwrap(back, kek, CCZ_SPAN(want, cut[i])) == CCZ_E_SIG);
    CHECK(ERR_peek_error() == 0);
}

/* RFC 7516, A.1, from the content key on: what is authenticated is the text of the header. */
static void test_content(void)
{
    static const uint8_t cek[32] = {177, 161, 244, 128, 84,  143, 225, 115, 63, 180, 3,
                                    255, 107, 154, 212, 246, 138, 7,   110, 91, 112, 46,
                                    34,  105, 47,  130, 203, 46,  122, 234, 64, 252};
    static const uint8_t iv[12] = {227, 197, 117, 252, 2, 219, 233, 68, 180, 225, 77, 219};
    static const char text[] = "The true sign of intelligence is not knowledge but imagination.";
    CCZ_AUTO(ccz_aead) a = NULL;
    uint8_t out[63], tag[16], want[63], want_tag[16];
    CHECK(ccz_aead_new(&a, CCZ_AES_256_GCM) == CCZ_OK);
    CHECK(ccz_aead_seal(a, out, tag, cek, iv,
                        ccz_span_str("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ"),
                        CCZ_SPAN(text, 63)) == CCZ_OK);
    CHECK(from_base64url(want, 63,
                         "5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_"
                         "EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A") == 63);
    CHECK(from_base64url(want_tag, 16, "XFBoMYUZodetZdvTiFvSkQ") == 16);
    CHECK(memcmp(out, want, 63) == 0 && memcmp(tag, want_tag, 16) == 0);
}

/* ---------------------------------------------------------------------------------------- EC */

static const char known[] =
    "{\"protected\":"
    "\"eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2IjoiUC0yNTYiLCJrdHkiOiJF"
    "QyIsIngiOiJnSTBHQUlMQmR1N1Q1M2FrckZtTXlHY3NGM241ZE83TW13TkJIS1c1U1YwIiwieSI6IlNMV194U2ZmemxQV3"
    "JIRVZJMzBESE1fNGVnVnd0M05RcWVVRDduTUZwcHMifX0\","
    "\"encrypted_key\":\"T0NVWKoWucQiDmmVc2dmvQ8xVyt-7o5H1C0MnaCf5KFFpsfACs-0RQ\",\"iv\":"
    "\"AAECAwQFBgcICQoL\","
    "\"ciphertext\":\"L2e6d6o\",\"tag\":\"FMooQIq0p2Buu6e1SZruQg\"}";

static struct ccz_jwe_key *bob_private(void)
{
    CCZ_AUTO(ccz_secret) der = pkcs8_of(bob_d, bob_x, bob_y);
    struct ccz_jwe_key *k;
    CHECK_OK(ccz_jwe_key_from_pkcs8(&k, der, &err));
    return k;
}

static ccz_rc open_text(struct ccz_buf *out, const struct ccz_jwe_key *k, const char *json)
{
    return ccz_jwe_open(out, k, ccz_span_str(json), &err);
}

/* Made by others from the same keys (the ephemeral key of RFC 7518, C): ours is the same byte by byte. */
static void test_known(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    CCZ_AUTO(ccz_jwe_key) k = bob_private();
    CCZ_AUTO(ccz_key) alice = key_of(alice_d, alice_x, alice_y);
    CCZ_AUTO_BUF out;
    CCZ_AUTO_BUF text;
    struct cczi_jwe_drawn drawn = {.eph = alice};
    ccz_buf_init(&out, 4096);
    ccz_buf_init(&text, 4096);
    for (size_t i = 0; i < 32; i++)
        drawn.cek[i] = (uint8_t)i;
    memcpy(drawn.iv, drawn.cek, 12);
    CHECK_OK(cczi_jwe_seal_with(&out, bob, ccz_span_str("hello"), &drawn, &err));
    CHECK(text_is(&out, known));
    CHECK_OK(open_text(&text, k, known));
    CHECK(text_is(&text, "hello") && text.wipe);
    CHECK(ccz_jwk_same(ccz_jwe_key_public(k), bob));
    ccz_buf_clear(&out);
    ccz_jwk_put(&out, ccz_jwe_key_public(k), CCZ_JWK_FULL);
    CHECK(strncmp(ccz_buf_str(&out), "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\"", 43) ==
          0);
}

static void check_round_trip(const struct ccz_jwe_key *k, size_t size)
{
    CCZ_AUTO_BUF jwe;
    CCZ_AUTO_BUF back;
    uint8_t *text = malloc(size + 1);
    CHECK(text);
    for (size_t i = 0; i < size; i++)
        text[i] = (uint8_t)(i * 7);
    ccz_buf_init(&jwe, CCZ_JWE_SIZE_MAX);
    ccz_buf_init(&back, CCZ_JWE_PLAIN_SIZE_MAX);
    CHECK_OK(ccz_jwe_seal(&jwe, ccz_jwe_key_public(k), CCZ_SPAN(text, size), &err));
    CHECK_OK(ccz_jwe_open(&back, k, ccz_buf_span(&jwe), &err));
    CHECK(back.size == size && (size == 0 || memcmp(back.ptr, text, size) == 0));
    free(text);
}

static void test_both_ways(void)
{
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_jwe_key) k = NULL;
        CHECK_OK(ccz_jwe_key_generate(&k, i ? CCZ_JWK_P384 : CCZ_JWK_P256, &err));
        for (size_t size = 0; size <= 40; size++)
            check_round_trip(k, size);
        if (i == 0)
            check_round_trip(k, CCZ_JWE_PLAIN_SIZE_MAX);
    }
    struct ccz_jwe_key *no;
    CHECK_REFUSED(ccz_jwe_key_generate(&no, CCZ_JWK_RSA, &err), CCZ_E_ARG, "jwe:kind");
}

/* Nothing that must be new each time comes twice. */
static void test_fresh(void)
{
    enum { RUNS = 20 };
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    static const char *const members[] = {"protected", "encrypted_key", "iv", "ciphertext", "tag"};
    char seen[RUNS][5][400];
    for (size_t r = 0; r < RUNS; r++) {
        CCZ_AUTO_BUF jwe;
        CCZ_AUTO(ccz_json) j = NULL;
        ccz_buf_init(&jwe, 4096);
        CHECK_OK(ccz_jwe_seal(&jwe, bob, ccz_span_str("the same text each time"), &err));
        CHECK_OK(ccz_json_parse(&j, ccz_buf_span(&jwe), &err));
        for (size_t m = 0; m < 5; m++) {
            (void)snprintf(seen[r][m], sizeof(seen[r][m]), "%s",
                           ccz_json_str(ccz_json_get(j, members[m])));
            for (size_t before = 0; before < r; before++)
                CHECK(strcmp(seen[before][m], seen[r][m]) != 0);
        }
    }
}

/* Every cut and every changed bit of the whole text is refused. */
static void test_every_bit(void)
{
    CCZ_AUTO(ccz_jwe_key) k = bob_private();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    ccz_buf_put_str(&out, "before");
    size_t size = strlen(known);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = malloc(cut + 1);
        CHECK(part);
        memcpy(part, known, cut);
        CHECK_REFUSED(ccz_jwe_open(&out, k, CCZ_SPAN(part, cut), &err), CCZ_E_FORMAT, "jwe:json");
        free(part);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        char copy[sizeof(known)];
        memcpy(copy, known, sizeof(known));
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        CHECK(ccz_jwe_open(&out, k, CCZ_SPAN(copy, size), NULL) != CCZ_OK);
    }
    CHECK(text_is(&out, "before"));
}

/* JSON around a header of choice; the rest as in `known`, so that a header that is taken fails later. */
static ccz_rc open_header(const struct ccz_jwe_key *k, const char *header)
{
    CCZ_AUTO_BUF jwe;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&jwe, 1 << 16);
    ccz_buf_init(&out, 4096);
    ccz_buf_put_str(&jwe, "{\"protected\":\"");
    ccz_base64_put(&jwe, ccz_span_str(header), CCZ_BASE64_URL);
    ccz_buf_put_str(&jwe, strstr(known, "\",\"encrypted_key"));
    return ccz_jwe_open(&out, k, ccz_buf_span(&jwe), &err);
}

#define ALG "\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\""
#define EPK                                                                                        \
    "\"epk\":{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":"                                             \
    "\"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0\","                                             \
    "\"y\":\"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps\"}"

static void test_header(void)
{
    CCZ_AUTO(ccz_jwe_key) k = bob_private();
    /* clang-format off */
    static const struct {
        const char *header;
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {"{" ALG "," EPK " }", CCZ_E_SIG, "jwe:tag"}, /* the same meaning, another text */
        {"{" ALG ",\"kid\":\"x\",\"typ\":\"JOSE\"," EPK "}", CCZ_E_SIG, "jwe:tag"},
        {"{" ALG ",\"apu\":\"QWxpY2U\"," EPK "}", CCZ_E_SIG, "jwe:wrap"}, /* another key */
        {"{" ALG ",\"apu\":\"QWxpY2V\"," EPK "}", CCZ_E_FORMAT, "jwe:base64"},
        {"{" ALG ",\"apu\":1," EPK "}", CCZ_E_FORMAT, "jwe:member"},
        {"{" ALG ",\"apv\":{}," EPK "}", CCZ_E_FORMAT, "jwe:member"},
        {"{" ALG ",\"zip\":\"DEF\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:zip"},
        {"{" ALG ",\"crit\":[\"exp\"]," EPK "}", CCZ_E_UNSUPPORTED, "jwe:crit"},
        {"{" ALG "}", CCZ_E_FORMAT, "jwk:json"},
        {"{" ALG ",\"epk\":{}}", CCZ_E_FORMAT, "jwk:member"},
        {"{" ALG ",\"epk\":{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0\","
         "\"y\":\"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFppw\"}}", CCZ_E_FORMAT, "jwk:point"}, /* invalid curve */
        {"{" ALG ",\"epk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}",
         CCZ_E_UNSUPPORTED, "jwe:epk"},
        {"{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:alg"},
        {"{\"alg\":\"ECDH-ES+A128KW\",\"enc\":\"A256GCM\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:alg"},
        {"{\"alg\":\"dir\",\"enc\":\"A256GCM\"}", CCZ_E_UNSUPPORTED, "jwe:alg"},
        {"{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}", CCZ_E_UNSUPPORTED, "jwe:alg"},
        {"{\"alg\":7,\"enc\":\"A256GCM\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:alg"},
        {"{\"enc\":\"A256GCM\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:alg"},
        {"{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A128GCM\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:enc"},
        {"{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256CBC-HS512\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:enc"},
        {"{\"alg\":\"ECDH-ES+A256KW\"," EPK "}", CCZ_E_UNSUPPORTED, "jwe:enc"},
        {"{" ALG "," ALG "," EPK "}", CCZ_E_FORMAT, "jwe:header"},
        {"[]", CCZ_E_FORMAT, "jwe:header"},
        {"", CCZ_E_FORMAT, "jwe:header"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fprintf(stderr, "%s\n", cases[i].header);
        CHECK_REFUSED(open_header(k, cases[i].header), cases[i].rc, cases[i].where);
    }
    char *big = calloc(1, 10000);
    CHECK(big);
    memset(big, ' ', 9999);
    CHECK_REFUSED(open_header(k, big), CCZ_E_FORMAT, "jwe:header");
    free(big);
    CCZ_AUTO(ccz_jwe_key) p384 = NULL; /* an ephemeral key of the other curve */
    CHECK_OK(ccz_jwe_key_generate(&p384, CCZ_JWK_P384, &err));
    CHECK_REFUSED(open_header(p384, "{" ALG "," EPK "}"), CCZ_E_UNSUPPORTED, "jwe:epk");
}

/* `known` with one piece of it replaced. */
static ccz_rc open_edited(const struct ccz_jwe_key *k, const char *from, const char *to)
{
    char text[2000];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    const char *at = strstr(known, from);
    CHECK(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - known), known, to, at + strlen(from));
    return open_text(&out, k, text);
}

static void test_members(void)
{
    CCZ_AUTO(ccz_jwe_key) k = bob_private();
    static const struct {
        const char *from, *to;
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {"{\"protected\"", "{\"aad\":\"\",\"protected\"", CCZ_E_FORMAT, "jwe:member"},
        {"{\"protected\"", "{\"unprotected\":{},\"protected\"", CCZ_E_FORMAT, "jwe:member"},
        {"{\"protected\"", "{\"recipients\":[],\"protected\"", CCZ_E_FORMAT, "jwe:member"},
        {"{\"protected\"", "{\"header\":{},\"protected\"", CCZ_E_FORMAT, "jwe:member"},
        {"\"protected\"", "\"Protected\"", CCZ_E_FORMAT, "jwe:member"},
        {",\"iv\":\"AAECAwQFBgcICQoL\"", "", CCZ_E_FORMAT, "jwe:member"},
        {"\"AAECAwQFBgcICQoL\"", "7", CCZ_E_FORMAT, "jwe:member"},
        {"AAECAwQFBgcICQoL", "AAECAwQFBgcICQo", CCZ_E_FORMAT, "jwe:size"},
        {"AAECAwQFBgcICQoL", "AAECAwQFBgcICQoLDA", CCZ_E_FORMAT, "jwe:size"},
        {"AAECAwQFBgcICQoL", "AAECAwQFBgcICQo=", CCZ_E_FORMAT, "jwe:base64"},
        {"FMooQIq0p2Buu6e1SZruQg", "FMooQIq0p2Buu6e1SZru", CCZ_E_FORMAT,
         "jwe:size"}, /* a shorter tag */
        {"FMooQIq0p2Buu6e1SZruQg", "", CCZ_E_FORMAT, "jwe:size"},
        {"L2e6d6o", "L2e6d6p", CCZ_E_FORMAT, "jwe:base64"},
        {"L2e6d6o", "", CCZ_E_SIG, "jwe:tag"},
        {"T0NVWKoWucQiDmmVc2dmvQ8xVyt-7o5H1C0MnaCf5KFFpsfACs-0RQ", "", CCZ_E_SIG, "jwe:wrap"},
        {"T0NVWKoWucQiDmmVc2dmvQ8xVyt-7o5H1C0MnaCf5KFFpsfACs-0RQ",
         "T0NVWKoWucQiDmmVc2dmvQ8xVyt-7o5H", CCZ_E_SIG, "jwe:wrap"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_REFUSED(open_edited(k, cases[i].from, cases[i].to), cases[i].rc, cases[i].where);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    CHECK_REFUSED(open_text(&out, k, "[]"), CCZ_E_FORMAT, "jwe:json");
    CHECK_REFUSED(open_text(&out, k, "{}"), CCZ_E_FORMAT, "jwe:member");
    CCZ_AUTO(ccz_jwe_key) other = NULL;
    CHECK_OK(ccz_jwe_key_generate(&other, CCZ_JWK_P256, &err));
    CHECK_REFUSED(open_text(&out, other, known), CCZ_E_SIG, "jwe:wrap");
}

static void test_limits(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    CCZ_AUTO(ccz_jwk) ed = jwk_of(rfc8037_key);
    CCZ_AUTO(ccz_jwe_key) k = bob_private();
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 20);
    ccz_buf_put_str(&small, "before the secret");
    uint8_t *big = calloc(1, CCZ_JWE_SIZE_MAX + 1);
    CHECK(big);
    CHECK_REFUSED(ccz_jwe_seal(&small, bob, CCZ_SPAN(big, CCZ_JWE_PLAIN_SIZE_MAX + 1), &err),
                  CCZ_E_LIMIT, "jwe:plaintext");
    CHECK_REFUSED(ccz_jwe_seal(&small, bob, CCZ_SPAN(big, 1), &err), CCZ_E_LIMIT, "jwe:text");
    CHECK_REFUSED(ccz_jwe_open(&small, k, CCZ_SPAN(big, CCZ_JWE_SIZE_MAX + 1), &err), CCZ_E_LIMIT,
                  "jwe:text");
    CHECK_REFUSED(open_text(&small, k, known), CCZ_E_LIMIT, "jwe:plaintext");
    CHECK_REFUSED(ccz_jwe_seal(&small, ed, CCZ_SPAN(big, 1), &err), CCZ_E_DENIED, "jwe:key-use");
    free(big);
    CHECK(text_is(&small, "before the secret"));
    CCZ_AUTO(ccz_key) key = key_of(bob_d, bob_x, bob_y);
    CCZ_AUTO(ccz_jwk) sig = NULL; /* a key for signatures */
    CHECK_OK(ccz_jwk_from_key(&sig, key, &err));
    CHECK_REFUSED(ccz_jwe_seal(&small, sig, (struct ccz_span){0}, &err), CCZ_E_DENIED,
                  "jwe:key-use");
}

/* --------------------------------------------------------------------------------------- RSA */

static struct ccz_secret *rsa_pkcs8(EVP_PKEY *pair)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    uint8_t *der = NULL;
    int size = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    struct ccz_secret *s;
    CHECK(size > 0 && ccz_secret_from(&s, der, (size_t)size) == CCZ_OK);
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
    return s;
}

static struct ccz_jwe_key *rsa_private(unsigned bits)
{
    EVP_PKEY *pair = EVP_RSA_gen(bits);
    CHECK(pair);
    CCZ_AUTO(ccz_secret) der = rsa_pkcs8(pair);
    EVP_PKEY_free(pair);
    struct ccz_jwe_key *k;
    CHECK_OK(ccz_jwe_key_from_pkcs8(&k, der, &err));
    return k;
}

/* A JWE with an encrypted key of choice, the rest as it was made for this key. */
static ccz_rc open_with_key(const struct ccz_jwe_key *k, const char *made,
                            struct ccz_span encrypted_key)
{
    CCZ_AUTO_BUF jwe;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&jwe, 1 << 16);
    ccz_buf_init(&out, 4096);
    const char *at = strstr(made, "\"encrypted_key\":\"") + 17;
    ccz_buf_put(&jwe, made, (size_t)(at - made));
    ccz_base64_put(&jwe, encrypted_key, CCZ_BASE64_URL);
    ccz_buf_put_str(&jwe, strchr(at, '"'));
    return ccz_jwe_open(&out, k, ccz_buf_span(&jwe), &err);
}

/* The content key of a JWE that is sealed for this key, wherever it comes from. */
static void content_key(uint8_t cek[32], const struct ccz_jwe_key *k)
{
    CCZ_AUTO_BUF jwe;
    CCZ_AUTO(ccz_json) j = NULL;
    uint8_t wrapped[256];
    ccz_buf_init(&jwe, 4096);
    CHECK_OK(ccz_jwe_seal(&jwe, ccz_jwe_key_public(k), ccz_span_str("x"), &err));
    CHECK_OK(ccz_json_parse(&j, ccz_buf_span(&jwe), &err));
    CHECK(from_base64url(wrapped, 256, ccz_json_str(ccz_json_get(j, "encrypted_key"))) == 256);
    CHECK(cczi_jose_oaep_open(cek, 32, k->rsa, CCZ_SPAN(wrapped, 256)) == CCZ_OK);
}

static void test_rsa(void)
{
    CCZ_AUTO(ccz_jwe_key) k = rsa_private(2048);
    CCZ_AUTO(ccz_jwe_key) other = rsa_private(2048);
    CCZ_AUTO_BUF made;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&made, 1 << 16);
    ccz_buf_init(&out, 1 << 16);
    CHECK(ccz_jwk_enc_alg(ccz_jwe_key_public(k)) == CCZ_JOSE_RSA_OAEP_256);
    check_round_trip(k, 0);
    check_round_trip(k, 100);
    CHECK_OK(ccz_jwe_seal(&made, ccz_jwe_key_public(k), ccz_span_str("secret"), &err));
    const char *text = ccz_buf_str(&made);
    static const char head[] =
        "{\"protected\":\"eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIn0\",\"encrypted_key\":"
        "\"";
    CHECK(strncmp(text, head, strlen(head)) == 0); /* {"alg":"RSA-OAEP-256","enc":"A256GCM"} */

    /* Whatever is wrong with the encrypted key, the answer is that of a wrong tag: nothing is said about the padding. */
    uint8_t bytes[512] = {0};
    CHECK_REFUSED(open_text(&out, other, text), CCZ_E_SIG, "jwe:tag");
    static const size_t sizes[] = {0, 1, 255, 256, 257, 512};
    for (size_t i = 0; i < 6; i++)
        CHECK_REFUSED(open_with_key(k, text, CCZ_SPAN(bytes, sizes[i])), CCZ_E_SIG, "jwe:tag");
    memset(bytes, 0xff, sizeof(bytes)); /* above the modulus */
    CHECK_REFUSED(open_with_key(k, text, CCZ_SPAN(bytes, 256)), CCZ_E_SIG, "jwe:tag");
    size_t size;
    CHECK(cczi_jose_oaep_seal(bytes, &size, ccz_jwe_key_public(k)->rsa, CCZ_SPAN(head, 31)) ==
          CCZ_OK);
    uint8_t short_key[32];
    CHECK(cczi_jose_oaep_open(short_key, 32, k->rsa, CCZ_SPAN(bytes, size)) == CCZ_E_SIG);
    CHECK_REFUSED(open_with_key(k, text, CCZ_SPAN(bytes, size)), CCZ_E_SIG,
                  "jwe:tag"); /* a key of another size */
    CHECK(cczi_jose_oaep_seal(bytes, &size, ccz_jwe_key_public(k)->rsa, CCZ_SPAN(head, 32)) ==
          CCZ_OK);
    CHECK_REFUSED(open_with_key(k, text, CCZ_SPAN(bytes, size)), CCZ_E_SIG,
                  "jwe:tag"); /* another key */

    /* the content key is another each time */
    uint8_t once[32], twice[32];
    content_key(once, k);
    content_key(twice, k);
    CHECK(memcmp(once, twice, 32) != 0);

    /* of the other kind */
    CCZ_AUTO(ccz_jwe_key) bob = bob_private();
    CHECK_REFUSED(open_text(&out, bob, text), CCZ_E_UNSUPPORTED, "jwe:alg");
    CHECK_REFUSED(open_text(&out, k, known), CCZ_E_UNSUPPORTED, "jwe:alg");
    /* a public key opens nothing */
    uint8_t cek[32];
    CHECK(cczi_jose_oaep_open(cek, 32, ccz_jwe_key_public(k)->rsa, CCZ_SPAN(bytes, size)) ==
          CCZ_E_ARG);
    CHECK(out.size == 0);
}

static void test_private_keys(void)
{
    struct ccz_jwe_key *no;
    EVP_PKEY *weak = EVP_RSA_gen(1024), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    CHECK(weak && ed && rsa);
    CCZ_AUTO(ccz_secret) weak_der = rsa_pkcs8(weak);
    CCZ_AUTO(ccz_secret) ed_der = rsa_pkcs8(ed);
    CCZ_AUTO(ccz_secret) rsa_der = rsa_pkcs8(rsa);
    CHECK_REFUSED(ccz_jwe_key_from_pkcs8(&no, weak_der, &err), CCZ_E_UNSUPPORTED, "key:curve");
    CHECK_REFUSED(ccz_jwe_key_from_pkcs8(&no, ed_der, &err), CCZ_E_UNSUPPORTED, "key:curve");
    size_t size = ccz_secret_size(rsa_der);
    for (size_t cut = 1; cut < size; cut += 37) {
        CCZ_AUTO(ccz_secret) part = NULL;
        CHECK(ccz_secret_from(&part, ccz_secret_view(rsa_der), cut) == CCZ_OK);
        CHECK_REFUSED(ccz_jwe_key_from_pkcs8(&no, part, &err), CCZ_E_FORMAT, "jwe:pkcs8");
    }
    ccz_secret_bytes(rsa_der)[size - 10] ^= 1; /* in a number of the private half */
    CHECK_REFUSED(ccz_jwe_key_from_pkcs8(&no, rsa_der, &err), CCZ_E_FORMAT, "jwe:pkcs8");
    /* a public half that belongs to another private one */
    CCZ_AUTO(ccz_secret) mixed = pkcs8_of(bob_d, alice_x, alice_y);
    CHECK_REFUSED(ccz_jwe_key_from_pkcs8(&no, mixed, &err), CCZ_E_FORMAT, "key:pair");
    EVP_PKEY_free(weak);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(rsa);
}

/* -------------------------------------------------------------------------------------- threads */

enum { THREADS = 4, ROUNDS = 20 };

struct shared {
    const struct ccz_jwe_key *keys[2];
    const struct ccz_jwk *rs;
};

/* Everything in it is shared by all. @return NULL if all went well */
static void *use_shared(void *arg)
{
    const struct shared *s = arg;
    struct ccz_err mine;
    for (int i = 0; i < ROUNDS; i++) {
        CCZ_AUTO_BUF jwe;
        CCZ_AUTO_BUF text;
        ccz_buf_init(&jwe, 8192);
        ccz_buf_init(&text, 8192);
        const struct ccz_jwe_key *k = s->keys[i % 2];
        if (ccz_jwe_seal(&jwe, ccz_jwe_key_public(k), ccz_span_str("secret"), &mine) != CCZ_OK ||
            ccz_jwe_open(&text, k, ccz_buf_span(&jwe), &mine) != CCZ_OK ||
            !ccz_span_eq(ccz_buf_span(&text), ccz_span_str("secret")))
            return arg;
        ccz_buf_clear(&text);
        if (ccz_jws_verify(&text, s->rs, ccz_span_str(rfc7515_a2_token), &mine) != CCZ_OK)
            return arg;
    }
    return NULL;
}

static void test_threads(void)
{
    CCZ_AUTO(ccz_jwe_key) ec = bob_private();
    CCZ_AUTO(ccz_jwe_key) rsa = rsa_private(2048);
    CCZ_AUTO(ccz_jwk) rs = jwk_of(rfc7515_a2_key);
    struct shared s = {{ec, rsa}, rs};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use_shared, &s) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *bad = &s;
        CHECK(pthread_join(threads[i], &bad) == 0 && bad == NULL);
    }
}

static const struct ccz_test tests[] = {
    {"jose.jwe_kdf", test_kdf},
    {"jose.jwe_key_wrap", test_key_wrap},
    {"jose.jwe_content", test_content},
    {"jose.jwe_known", test_known},
    {"jose.jwe_both_ways", test_both_ways},
    {"jose.jwe_fresh", test_fresh},
    {"jose.jwe_every_bit", test_every_bit},
    {"jose.jwe_header", test_header},
    {"jose.jwe_members", test_members},
    {"jose.jwe_limits", test_limits},
    {"jose.jwe_rsa", test_rsa},
    {"jose.jwe_private_keys", test_private_keys},
    {"jose.threads", test_threads},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
