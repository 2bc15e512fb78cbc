/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of all kinds, signatures, RSA-OAEP and key wrap: known answers, every refusal, damage. */
#include <cczoo/pkey.h>

#include "ccz_test.h"
#include "crypto/rsa_vectors.h"
#include "refused.h"

#include <openssl/err.h>
#include <string.h>

static struct ccz_err err;

#define REFUSED(expr, want, at) CHECK(is_refused((expr), (want), &err, (at)))

static const enum ccz_pkey_kind kinds[] = {CCZ_PKEY_P256,     CCZ_PKEY_P384,     CCZ_PKEY_ED25519,
                                           CCZ_PKEY_RSA_2048, CCZ_PKEY_RSA_3072, CCZ_PKEY_RSA_4096};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), SIZE_MAX_HERE = 4096 };

/* Bytes of hex in a static buffer of its own for each call site's use. */
static struct ccz_span bytes(uint8_t out[SIZE_MAX_HERE], const char *hex)
{
    size_t size = strlen(hex) / 2;
    CHECK(size <= SIZE_MAX_HERE && ccz_unhex(out, size, hex, 2 * size) == CCZ_OK);
    return CCZ_SPAN(out, size);
}

static struct ccz_secret *secret(const char *hex)
{
    uint8_t b[SIZE_MAX_HERE];
    struct ccz_span s = bytes(b, hex);
    struct ccz_secret *out;
    CHECK(ccz_secret_from(&out, s.ptr, s.size) == CCZ_OK);
    return out;
}

static struct ccz_pkey *private_key(const char *hex)
{
    CCZ_AUTO(ccz_secret) der = secret(hex);
    struct ccz_pkey *k;
    CHECK(ccz_pkey_from_pkcs8(&k, der, CCZ_PKEY_FOREIGN, &err) == CCZ_OK);
    return k;
}

static struct ccz_pkey *public_key(const char *hex)
{
    uint8_t b[SIZE_MAX_HERE];
    struct ccz_pkey *k;
    CHECK(ccz_pkey_from_spki(&k, bytes(b, hex), &err) == CCZ_OK);
    return k;
}

/* The public half alone. */
static struct ccz_pkey *public_of(const struct ccz_pkey *k)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    CHECK(ccz_pkey_spki(&spki, k) == CCZ_OK);
    struct ccz_pkey *out;
    CHECK(ccz_pkey_from_spki(&out, ccz_buf_span(&spki), &err) == CCZ_OK);
    CHECK(ccz_pkey_kind(out) == ccz_pkey_kind(k) && !ccz_pkey_is_private(out));
    return out;
}

/* ------------------------------------------------------------------------ known answers */

/* RFC 8032, 7.1: tests 1 and 3, the key as RFC 8410 writes it */
#define ED_PKCS8 "302e020100300506032b657004220420"
#define ED_SPKI  "302a300506032b6570032100"
static const struct {
    const char *pkcs8, *spki, *message, *sig;
} ed25519[] = {
    {ED_PKCS8 "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     ED_SPKI "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {ED_PKCS8 "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     ED_SPKI "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
};

static void test_ed25519(void)
{
    const struct ccz_sign_how how = {0};
    for (size_t i = 0; i < 2; i++) {
        uint8_t m[SIZE_MAX_HERE], s[SIZE_MAX_HERE], p[SIZE_MAX_HERE];
        struct ccz_span msg = bytes(m, ed25519[i].message), want = bytes(s, ed25519[i].sig);
        CCZ_AUTO(ccz_pkey) k = private_key(ed25519[i].pkcs8);
        CCZ_AUTO(ccz_pkey) pub = public_key(ed25519[i].spki);
        CCZ_AUTO_BUF sig, spki;
        ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
        ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
        CHECK(ccz_pkey_spki(&spki, k) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&spki), bytes(p, ed25519[i].spki)));
        CHECK(ccz_pkey_sign(&sig, k, &how, msg, &err) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&sig), want));
        CHECK(ccz_pkey_verify(pub, &how, msg, want, &err) == CCZ_OK);
        REFUSED(ccz_pkey_verify(pub, &how, ccz_span_str("af83"), want, &err), CCZ_E_SIG,
                "pkey:signature");
        REFUSED(ccz_pkey_sign(&sig, k, &(struct ccz_sign_how){.prehashed = true}, msg, &err),
                CCZ_E_UNSUPPORTED, "pkey:prehashed");
        if (msg.size == 0) /* nothing at all is the same message */
            CHECK(ccz_pkey_verify(pub, &how, CCZ_SPAN(NULL, 0), want, &err) == CCZ_OK);
    }
}

/* RFC 6979, A.2.5 and A.2.6: message "sample" */
#define P256_SPKI "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
#define P384_SPKI "3076301006072a8648ce3d020106052b8104002203620004"
static const struct {
    enum ccz_hash hash;
    const char *spki, *sig;
} ecdsa[] = {
    {CCZ_SHA384,
     P256_SPKI "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
               "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
     "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719"
     "4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954"},
    {CCZ_SHA512,
     P256_SPKI "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
               "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
     "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00"
     "2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe"},
    {CCZ_SHA512,
     P384_SPKI "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a"
               "254515480bc13"
               "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe734"
               "4fd2533264720",
     "ed0959d5880ab2d869ae7f6c2915c6d60f96507f9cb3e047c0046861da4a799cfe30f35cc900056d7c99cd7882433"
     "709"
     "512c8cceee3890a84058ce1e22dbc2198f42323ce8aca9135329f03c068e5112dc7cc3ef3446defceb01a45c2667f"
     "d"
     "d5"},
};

static void test_ecdsa(void)
{
    for (size_t i = 0; i < 3; i++) {
        uint8_t s[SIZE_MAX_HERE], digest[CCZ_HASH_SIZE_MAX];
        struct ccz_span sig = bytes(s, ecdsa[i].sig), msg = ccz_span_str("sample");
        CCZ_AUTO(ccz_pkey) k = public_key(ecdsa[i].spki);
        struct ccz_sign_how how = {.hash = ecdsa[i].hash};
        CHECK(ccz_pkey_verify(k, &how, msg, sig, &err) == CCZ_OK);
        CHECK(ccz_hash(digest, ecdsa[i].hash, &msg, 1) == CCZ_OK);
        how.prehashed = true;
        struct ccz_span d = CCZ_SPAN(digest, ccz_hash_size(how.hash));
        CHECK(ccz_pkey_verify(k, &how, d, sig, &err) == CCZ_OK);
        d.size--;
        REFUSED(ccz_pkey_verify(k, &how, d, sig, &err), CCZ_E_FORMAT, "pkey:digest-size");
        how = (struct ccz_sign_how){.hash = ecdsa[i].hash == CCZ_SHA384 ? CCZ_SHA512 : CCZ_SHA384};
        REFUSED(ccz_pkey_verify(k, &how, msg, sig, &err), CCZ_E_SIG, "pkey:signature");
    }
}

static void test_rsa(void)
{
    uint8_t a[SIZE_MAX_HERE], b[SIZE_MAX_HERE], c[SIZE_MAX_HERE], d[SIZE_MAX_HERE];
    const struct ccz_sign_how pss = {0}, pkcs1 = {.padding = CCZ_RSA_PKCS1};
    struct ccz_span msg = ccz_span_str("sample"), sig1 = bytes(a, rsa_pkcs1_sig);
    struct ccz_span sig2 = bytes(b, rsa_pss_sig), short_salt = bytes(c, rsa_pss_sig_salt20);
    CCZ_AUTO(ccz_pkey) k = private_key(rsa_pkcs8);
    CCZ_AUTO(ccz_pkey) pub = public_key(rsa_spki);
    CCZ_AUTO_BUF out, spki;
    ccz_buf_init(&out, CCZ_PKEY_SIG_SIZE_MAX);
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    CHECK(ccz_pkey_kind(k) == CCZ_PKEY_RSA_2048);
    CHECK(ccz_pkey_spki(&spki, k) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&spki), bytes(d, rsa_spki)));
    CHECK(ccz_pkey_sign(&out, k, &pkcs1, msg, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), sig1));
    CHECK(ccz_pkey_verify(pub, &pkcs1, msg, sig1, &err) == CCZ_OK);
    CHECK(ccz_pkey_verify(pub, &pss, msg, sig2, &err) == CCZ_OK);
    REFUSED(ccz_pkey_verify(pub, &pss, msg, short_salt, &err), CCZ_E_SIG, "pkey:signature");
    REFUSED(ccz_pkey_verify(pub, &pss, msg, sig1, &err), CCZ_E_SIG, "pkey:signature");
    REFUSED(ccz_pkey_verify(pub, &pkcs1, msg, sig2, &err), CCZ_E_SIG, "pkey:signature");
    const struct ccz_sign_how other = {.padding = CCZ_RSA_PKCS1, .hash = CCZ_SHA384};
    REFUSED(ccz_pkey_verify(pub, &other, msg, sig1, &err), CCZ_E_SIG, "pkey:signature");
    const struct ccz_sign_how none = {.padding = 2};
    REFUSED(ccz_pkey_sign(&out, k, &none, msg, &err), CCZ_E_UNSUPPORTED, "pkey:padding");

    CCZ_AUTO(ccz_secret) text = NULL;
    CHECK(ccz_pkey_oaep_open(&text, k, CCZ_SHA256, bytes(a, rsa_oaep), &err) == CCZ_OK);
    CHECK(ccz_secret_size(text) == 10 && memcmp(ccz_secret_view(text), "plain text", 10) == 0);
    struct ccz_secret *none_text;
    REFUSED(ccz_pkey_oaep_open(&none_text, k, CCZ_SHA256, bytes(a, rsa_oaep_label), &err),
            CCZ_E_SIG, "pkey:oaep");
    CHECK(!none_text);
    REFUSED(ccz_pkey_oaep_open(&none_text, k, CCZ_SHA384, bytes(a, rsa_oaep), &err), CCZ_E_SIG,
            "pkey:oaep");
    REFUSED(ccz_pkey_oaep_open(&none_text, pub, CCZ_SHA256, bytes(a, rsa_oaep), &err), CCZ_E_ARG,
            "pkey:private");
}

/* RFC 5649, section 6 */
static void test_kwp(void)
{
    static const struct {
        const char *key, *wrapped;
    } vectors[] = {{"c37b7e6492584340bed12207808941155068f738",
                    "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
                   {"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"}};
    uint8_t a[SIZE_MAX_HERE], b[SIZE_MAX_HERE], c[SIZE_MAX_HERE];
    struct ccz_span kek = bytes(a, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
    for (size_t i = 0; i < 2; i++) {
        struct ccz_span key = bytes(b, vectors[i].key), want = bytes(c, vectors[i].wrapped);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 64);
        CHECK(ccz_aes_kwp_wrap(&out, kek, key) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), want));
        CCZ_AUTO(ccz_secret) back = NULL;
        CHECK(ccz_aes_kwp_unwrap(&back, kek, want) == CCZ_OK);
        CHECK(ccz_span_eq(CCZ_SPAN(ccz_secret_view(back), ccz_secret_size(back)), key));
        struct ccz_secret *none;
        for (size_t bit = 0; bit < 8 * want.size; bit++) {
            c[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK(ccz_aes_kwp_unwrap(&none, kek, want) == CCZ_E_SIG && !none);
            c[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t cut = 0; cut < want.size; cut++)
            CHECK(ccz_aes_kwp_unwrap(&none, kek, CCZ_SPAN(c, cut)) == CCZ_E_SIG && !none);
    }
}

static void test_kwp_sizes(void)
{
    static uint8_t big[CCZ_KWP_SIZE_MAX + 17];
    uint8_t kek[32] = {7}, other[32] = {8};
    struct ccz_span k = CCZ_SPAN(kek, 32);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KWP_SIZE_MAX + 8);
    static const size_t sizes[] = {1, 7, 8, 9, 15, 16, 17, 32, 1000, CCZ_KWP_SIZE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ccz_buf_clear(&out);
        big[0] = (uint8_t)i;
        CHECK(ccz_aes_kwp_wrap(&out, k, CCZ_SPAN(big, sizes[i])) == CCZ_OK);
        CHECK(out.size == (sizes[i] + 7) / 8 * 8 + 8);
        CCZ_AUTO(ccz_secret) back = NULL;
        CHECK(ccz_aes_kwp_unwrap(&back, k, ccz_buf_span(&out)) == CCZ_OK);
        CHECK(ccz_secret_size(back) == sizes[i]);
        CHECK(memcmp(ccz_secret_view(back), big, sizes[i]) == 0);
        struct ccz_secret *none;
        CHECK(ccz_aes_kwp_unwrap(&none, CCZ_SPAN(other, 32), ccz_buf_span(&out)) == CCZ_E_SIG);
        CHECK(ccz_aes_kwp_unwrap(&none, CCZ_SPAN(kek, 31), ccz_buf_span(&out)) == CCZ_E_ARG);
    }
    ccz_buf_clear(&out);
    CHECK(ccz_aes_kwp_wrap(&out, k, CCZ_SPAN(big, 0)) == CCZ_E_LIMIT);
    CHECK(ccz_aes_kwp_wrap(&out, k, CCZ_SPAN(big, CCZ_KWP_SIZE_MAX + 1)) == CCZ_E_LIMIT);
    CHECK(ccz_aes_kwp_wrap(&out, CCZ_SPAN(kek, 0), CCZ_SPAN(big, 8)) == CCZ_E_ARG);
    struct ccz_secret *none;
    CHECK(ccz_aes_kwp_unwrap(&none, k, CCZ_SPAN(big, CCZ_KWP_SIZE_MAX + 16)) == CCZ_E_SIG);
}

/* ---------------------------------------------------------------------------- all kinds */

/* Signs, verifies with the public half, then with everything that is wrong. */
static void sign_and_damage(const struct ccz_pkey *k, const struct ccz_sign_how *how)
{
    CCZ_AUTO(ccz_pkey) pub = public_of(k);
    uint8_t digest[CCZ_HASH_SIZE_MAX];
    struct ccz_span msg = ccz_span_str("the message"), in = msg;
    if (how->prehashed) {
        CHECK(ccz_hash(digest, how->hash, &msg, 1) == CCZ_OK);
        in = CCZ_SPAN(digest, ccz_hash_size(how->hash));
    }
    CCZ_AUTO_BUF sig, more;
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    ccz_buf_init(&more, CCZ_PKEY_SIG_SIZE_MAX);
    CHECK(ccz_pkey_sign(&sig, k, how, in, &err) == CCZ_OK);
    CHECK(ccz_pkey_verify(pub, how, in, ccz_buf_span(&sig), &err) == CCZ_OK);
    CHECK(ccz_pkey_verify(k, how, in, ccz_buf_span(&sig), &err) == CCZ_OK);
    struct ccz_sign_how plain = *how;
    plain.prehashed = false; /* one and the same signature */
    CHECK(ccz_pkey_verify(pub, &plain, msg, ccz_buf_span(&sig), &err) == CCZ_OK);
    REFUSED(ccz_pkey_verify(pub, &plain, ccz_span_str("another"), ccz_buf_span(&sig), &err),
            CCZ_E_SIG, "pkey:signature");
    for (size_t i = 0; i < sig.size; i += 7) {
        sig.ptr[i] ^= 0x10;
        REFUSED(ccz_pkey_verify(pub, how, in, ccz_buf_span(&sig), &err), CCZ_E_SIG,
                "pkey:signature");
        sig.ptr[i] ^= 0x10;
    }
    for (size_t cut = 0; cut < sig.size; cut += 5)
        REFUSED(ccz_pkey_verify(pub, how, in, CCZ_SPAN(sig.ptr, cut), &err), CCZ_E_SIG,
                "pkey:signature");
    REFUSED(ccz_pkey_sign(&more, pub, how, in, &err), CCZ_E_ARG, "pkey:private");
    CHECK(more.size == 0 && ERR_peek_error() == 0);
}

static void test_kinds(void)
{
    for (size_t i = 0; i < KINDS - 2; i++) { /* larger RSA keys: test_rsa_sizes() */
        CCZ_AUTO(ccz_pkey) k = NULL;
        CHECK(ccz_pkey_generate(&k, kinds[i], &err) == CCZ_OK);
        CHECK(ccz_pkey_kind(k) == kinds[i] && ccz_pkey_is_private(k));
        CCZ_AUTO(ccz_secret) der = NULL;
        CHECK(ccz_pkey_to_pkcs8(&der, k, &err) == CCZ_OK);
        for (int origin = CCZ_PKEY_FOREIGN; origin <= CCZ_PKEY_OWN; origin++) {
            CCZ_AUTO(ccz_pkey) back = NULL;
            CHECK(ccz_pkey_from_pkcs8(&back, der, (enum ccz_pkey_origin)origin, &err) == CCZ_OK);
            CHECK(ccz_pkey_kind(back) == kinds[i] && ccz_pkey_is_private(back));
            struct ccz_sign_how how = {.hash = kinds[i] == CCZ_PKEY_P384 ? CCZ_SHA384 : CCZ_SHA256};
            sign_and_damage(back, &how);
            how.form = CCZ_SIG_DER;
            how.padding = CCZ_RSA_PKCS1;
            how.prehashed = kinds[i] != CCZ_PKEY_ED25519;
            sign_and_damage(back, &how);
            how.hash = CCZ_SHA512;
            sign_and_damage(back, &how);
            how = (struct ccz_sign_how){.hash = CCZ_SHA256, .usual_hash = true};
            sign_and_damage(back, &how);
        }
        CCZ_AUTO(ccz_pkey) pub = public_of(k);
        struct ccz_secret *none;
        REFUSED(ccz_pkey_to_pkcs8(&none, pub, &err), CCZ_E_ARG, "pkey:private");
        CHECK(!none);
    }
    struct ccz_pkey *none;
    REFUSED(ccz_pkey_generate(&none, 0, &err), CCZ_E_ARG, "pkey:kind");
    REFUSED(ccz_pkey_generate(&none, CCZ_PKEY_RSA_4096 + 1, &err), CCZ_E_ARG, "pkey:kind");
    CHECK(strcmp(ccz_pkey_kind_name(CCZ_PKEY_RSA_3072), "RSA-3072") == 0);
    CHECK(strcmp(ccz_pkey_kind_name(0), "?") == 0);
}

static void test_rsa_sizes(void)
{
    for (size_t i = KINDS - 2; i < KINDS; i++) {
        size_t size = kinds[i] == CCZ_PKEY_RSA_3072 ? 384 : 512;
        CCZ_AUTO(ccz_pkey) k = NULL;
        CHECK(ccz_pkey_generate(&k, kinds[i], &err) == CCZ_OK);
        CHECK(ccz_pkey_kind(k) == kinds[i]);
        CHECK(ccz_pkey_oaep_room(k, CCZ_SHA256) == size - 66);
        CCZ_AUTO_BUF sig;
        ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
        const struct ccz_sign_how how = {.hash = CCZ_SHA512};
        CHECK(ccz_pkey_sign(&sig, k, &how, ccz_span_str("m"), &err) == CCZ_OK && sig.size == size);
        CCZ_AUTO(ccz_pkey) pub = public_of(k);
        CHECK(ccz_pkey_verify(pub, &how, ccz_span_str("m"), ccz_buf_span(&sig), &err) == CCZ_OK);
    }
}

static void test_how(void)
{
    CCZ_AUTO(ccz_pkey) p384 = NULL;
    CCZ_AUTO(ccz_pkey) p256 = NULL;
    CHECK(ccz_pkey_generate(&p384, CCZ_PKEY_P384, &err) == CCZ_OK);
    CHECK(ccz_pkey_generate(&p256, CCZ_PKEY_P256, &err) == CCZ_OK);
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    struct ccz_sign_how how = {0};
    REFUSED(ccz_pkey_sign(&sig, p384, &how, ccz_span_str("m"), &err), CCZ_E_UNSUPPORTED,
            "pkey:hash");
    how.hash = CCZ_SHA512 + 1;
    REFUSED(ccz_pkey_sign(&sig, p256, &how, ccz_span_str("m"), &err), CCZ_E_UNSUPPORTED,
            "pkey:hash");
    how = (struct ccz_sign_how){.prehashed = true};
    REFUSED(ccz_pkey_sign(&sig, p256, &how, ccz_span_str("m"), &err), CCZ_E_FORMAT,
            "pkey:digest-size");
    CHECK(sig.size == 0);
    struct ccz_secret *none;
    REFUSED(ccz_pkey_oaep_seal(&sig, p256, CCZ_SHA256, ccz_span_str("m"), &err), CCZ_E_UNSUPPORTED,
            "pkey:kind");
    REFUSED(ccz_pkey_oaep_open(&none, p256, CCZ_SHA256, ccz_span_str("m"), &err), CCZ_E_UNSUPPORTED,
            "pkey:kind");
    CHECK(ccz_pkey_oaep_room(p256, CCZ_SHA256) == 0);
}

static void test_oaep(void)
{
    CCZ_AUTO(ccz_pkey) k = private_key(rsa_pkcs8);
    CCZ_AUTO(ccz_pkey) pub = public_key(rsa_spki);
    static uint8_t text[256] = {1, 2, 3};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1024);
    for (int h = CCZ_SHA256; h <= CCZ_SHA512; h++) {
        enum ccz_hash hash = (enum ccz_hash)h;
        size_t room = ccz_pkey_oaep_room(pub, hash);
        CHECK(room == 256 - 2 * ccz_hash_size(hash) - 2);
        ccz_buf_clear(&out);
        CHECK(ccz_pkey_oaep_seal(&out, pub, hash, CCZ_SPAN(text, room), &err) == CCZ_OK);
        CHECK(out.size == 256);
        CCZ_AUTO(ccz_secret) back = NULL;
        CHECK(ccz_pkey_oaep_open(&back, k, hash, ccz_buf_span(&out), &err) == CCZ_OK);
        CHECK(ccz_secret_size(back) == room && memcmp(ccz_secret_view(back), text, room) == 0);
        struct ccz_secret *none;
        out.ptr[100] ^= 1;
        REFUSED(ccz_pkey_oaep_open(&none, k, hash, ccz_buf_span(&out), &err), CCZ_E_SIG,
                "pkey:oaep");
        for (size_t cut = 0; cut < 256; cut += 51)
            REFUSED(ccz_pkey_oaep_open(&none, k, hash, CCZ_SPAN(out.ptr, cut), &err), CCZ_E_SIG,
                    "pkey:oaep");
        size_t before = out.size;
        REFUSED(ccz_pkey_oaep_seal(&out, pub, hash, CCZ_SPAN(text, room + 1), &err), CCZ_E_LIMIT,
                "pkey:oaep-size");
        REFUSED(ccz_pkey_oaep_seal(&out, pub, hash, CCZ_SPAN(text, 0), &err), CCZ_E_LIMIT,
                "pkey:oaep-size");
        CHECK(out.size == before && ERR_peek_error() == 0);
    }
    REFUSED(ccz_pkey_oaep_seal(&out, pub, 3, CCZ_SPAN(text, 1), &err), CCZ_E_UNSUPPORTED,
            "pkey:hash");
}

/* What begins with a zero byte is a number as large without it, and yet of a wrong size (RFC 8017, 7.1.2 and 8.1.2). */
static void test_rsa_short(void)
{
    CCZ_AUTO(ccz_pkey) k = private_key(rsa_pkcs8);
    const struct ccz_sign_how pss = {0};
    struct ccz_span msg = ccz_span_str("sample");
    enum { TRIES = 10000 }; /* one in 200 or so does; what it takes is random */
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_PKEY_SIG_SIZE_MAX);
    for (size_t i = 0; i == 0 || out.ptr[0] != 0; i++) {
        ccz_buf_clear(&out);
        CHECK(i < TRIES && ccz_pkey_sign(&out, k, &pss, msg, &err) == CCZ_OK);
    }
    CHECK(ccz_pkey_verify(k, &pss, msg, ccz_buf_span(&out), &err) == CCZ_OK);
    REFUSED(ccz_pkey_verify(k, &pss, msg, CCZ_SPAN(out.ptr + 1, 255), &err), CCZ_E_SIG,
            "pkey:signature");
    for (size_t i = 0; i == 0 || out.ptr[0] != 0; i++) {
        ccz_buf_clear(&out);
        CHECK(i < TRIES && ccz_pkey_oaep_seal(&out, k, CCZ_SHA256, msg, &err) == CCZ_OK);
    }
    CCZ_AUTO(ccz_secret) text = NULL;
    struct ccz_secret *none;
    CHECK(ccz_pkey_oaep_open(&text, k, CCZ_SHA256, ccz_buf_span(&out), &err) == CCZ_OK);
    REFUSED(ccz_pkey_oaep_open(&none, k, CCZ_SHA256, CCZ_SPAN(out.ptr + 1, 255), &err), CCZ_E_SIG,
            "pkey:oaep");
    CHECK(!none);
}

/* ------------------------------------------------------------------------------ refusals */

static void refuse_pkcs8(const char *hex, enum ccz_pkey_origin origin, ccz_rc rc, const char *at)
{
    CCZ_AUTO(ccz_secret) der = secret(hex);
    struct ccz_pkey *none;
    REFUSED(ccz_pkey_from_pkcs8(&none, der, origin, &err), rc, at);
    CHECK(!none && ERR_peek_error() == 0);
}

static void test_refused(void)
{
    refuse_pkcs8(rsa_e3_pkcs8, CCZ_PKEY_FOREIGN, CCZ_E_UNSUPPORTED, "pkey:rsa-exponent");
    refuse_pkcs8(rsa_1024_pkcs8, CCZ_PKEY_FOREIGN, CCZ_E_UNSUPPORTED, "pkey:rsa-size");
    char wrong[sizeof(rsa_pkcs8)]; /* one bit of d mod (p - 1) */
    memcpy(wrong, rsa_pkcs8, sizeof(wrong));
    CHECK(wrong[1853] == '8');
    wrong[1853] = '9';
    refuse_pkcs8(wrong, CCZ_PKEY_FOREIGN, CCZ_E_FORMAT, "pkey:pair");
    refuse_pkcs8("00", CCZ_PKEY_OWN, CCZ_E_FORMAT, "pkey:pkcs8");
    /* X25519 (RFC 8410): no key to sign with */
    refuse_pkcs8(
        "302e020100300506032b656e042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031c"
        "ae7f60",
        CCZ_PKEY_FOREIGN, CCZ_E_UNSUPPORTED, "pkey:kind");
    uint8_t b[SIZE_MAX_HERE];
    struct ccz_pkey *none;
    REFUSED(ccz_pkey_from_spki(&none, bytes(b, rsa_e3_spki), &err), CCZ_E_UNSUPPORTED,
            "pkey:rsa-exponent");
    /* the exponent with a zero in front, lengths as that needs: another encoding of the same key */
    char padded[1024];
    (void)snprintf(padded, sizeof(padded), "%s", rsa_spki);
    size_t n = strlen(padded);
    CHECK(strcmp(padded + n - 10, "0203010001") == 0);
    (void)snprintf(padded + n - 10, 20, "020400010001");
    static const struct {
        size_t at;
        const char *is, *will;
    } lengths[] = {{4, "0122", "0123"}, {42, "010f", "0110"}, {52, "010a", "010b"}};
    for (size_t i = 0; i < 3; i++) {
        CHECK(memcmp(padded + lengths[i].at, lengths[i].is, 4) == 0);
        memcpy(padded + lengths[i].at, lengths[i].will, 4);
    }
    REFUSED(ccz_pkey_from_spki(&none, bytes(b, padded), &err), CCZ_E_FORMAT, "pkey:spki");
    CHECK(ERR_peek_error() == 0);
    struct ccz_span good = bytes(b, rsa_spki);
    b[good.size] = 0;
    REFUSED(ccz_pkey_from_spki(&none, CCZ_SPAN(b, good.size + 1), &err), CCZ_E_FORMAT, "pkey:spki");
    /* a point of P-256 with another y; P-521's head */
    struct ccz_span ec = bytes(b, ecdsa[0].spki);
    b[ec.size - 1] ^= 1;
    REFUSED(ccz_pkey_from_spki(&none, ec, &err), CCZ_E_FORMAT, "key:point");
    /* the same point, compressed */
    struct ccz_span small =
        bytes(b, "3039301306072a8648ce3d020106082a8648ce3d0301070322000360fed4ba255a9d"
                 "31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
    REFUSED(ccz_pkey_from_spki(&none, small, &err), CCZ_E_UNSUPPORTED, "key:spki");
}

/* Points of order 1, 2, 4 and 8, and their other spellings. Under 0100..00 the
 * signature 0100..00 0000..00 verifies with every message. */
static void test_small_order(void)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    uint8_t b[SIZE_MAX_HERE];
    struct ccz_pkey *none;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        char spki[sizeof(ED_SPKI) + 64];
        (void)snprintf(spki, sizeof(spki), "%s%s", ED_SPKI, points[i]);
        REFUSED(ccz_pkey_from_spki(&none, bytes(b, spki), &err), CCZ_E_FORMAT, "pkey:point");
        CHECK(!none);
    }
}

static void test_every_cut(void)
{
    static const char *const pkcs8s[] = {
        rsa_pkcs8, ED_PKCS8 "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"};
    uint8_t b[SIZE_MAX_HERE];
    struct ccz_pkey *none;
    for (size_t i = 0; i < 2; i++) {
        struct ccz_span whole = bytes(b, pkcs8s[i]);
        for (size_t cut = 1; cut < whole.size; cut++) {
            CCZ_AUTO(ccz_secret) der = NULL;
            CHECK(ccz_secret_from(&der, b, cut) == CCZ_OK);
            REFUSED(ccz_pkey_from_pkcs8(&none, der, CCZ_PKEY_OWN, &err), CCZ_E_FORMAT,
                    "pkey:pkcs8");
        }
        b[whole.size] = 0;
        CCZ_AUTO(ccz_secret) more = NULL;
        CHECK(ccz_secret_from(&more, b, whole.size + 1) == CCZ_OK);
        REFUSED(ccz_pkey_from_pkcs8(&none, more, CCZ_PKEY_OWN, &err), CCZ_E_FORMAT, "pkey:pkcs8");
    }
    static const char *const spkis[] = {
        rsa_spki, ED_SPKI "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"};
    for (size_t i = 0; i < 2; i++) {
        struct ccz_span whole = bytes(b, spkis[i]);
        for (size_t cut = 0; cut < whole.size; cut++)
            REFUSED(ccz_pkey_from_spki(&none, CCZ_SPAN(b, cut), &err), CCZ_E_FORMAT, "pkey:spki");
    }
    CHECK(ERR_peek_error() == 0);
}

static const struct ccz_test tests[] = {
    {"pkey.ed25519", test_ed25519},
    {"pkey.ecdsa", test_ecdsa},
    {"pkey.rsa", test_rsa},
    {"pkey.kwp", test_kwp},
    {"pkey.kwp_sizes", test_kwp_sizes},
    {"pkey.kinds", test_kinds},
    {"pkey.rsa_sizes", test_rsa_sizes},
    {"pkey.how", test_how},
    {"pkey.oaep", test_oaep},
    {"pkey.rsa_short", test_rsa_short},
    {"pkey.refused", test_refused},
    {"pkey.small_order", test_small_order},
    {"pkey.every_cut", test_every_cut},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
