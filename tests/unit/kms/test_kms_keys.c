/* SPDX-License-Identifier: Apache-2.0 */
/* Keys at work: each kind by each operation, known answers, damage, sizes. */
#include "kms/keys_priv.h"

#include <cczoo/codec.h>

#include "ccz_test.h"
#include "crypto/rsa_vectors.h"
#include "refused.h"

#include <string.h>

enum { BYTES_MAX = 4096, VERSION = 7 };

static struct ccz_err err;

#define REFUSED(expr, want, at) CHECK(is_refused((expr), (want), &err, (at)))

static struct ccz_span bytes(uint8_t out[BYTES_MAX], const char *hex)
{
    size_t size = strlen(hex) / 2;
    CHECK(size <= BYTES_MAX && ccz_unhex(out, size, hex, 2 * size) == CCZ_OK);
    return CCZ_SPAN(out, size);
}

static struct ccz_span view(const struct ccz_secret *s)
{
    return CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s));
}

static bool is_text(const struct ccz_secret *s, const char *text)
{
    return ccz_span_eq(view(s), ccz_span_str(text));
}

/* Material 00 01 02 ... */
static struct ccz_secret *counting(size_t size)
{
    struct ccz_secret *s;
    CHECK(ccz_secret_new(&s, size) == CCZ_OK);
    for (size_t i = 0; i < size; i++)
        ccz_secret_bytes(s)[i] = (uint8_t)i;
    return s;
}

static struct cczi_kms_key *counting_key(enum cczi_kms_key_kind k, size_t size, uint32_t version)
{
    CCZ_AUTO(ccz_secret) m = counting(size);
    struct cczi_kms_key *key;
    CHECK(cczi_kms_key_open(&key, k, version, m, &err) == CCZ_OK);
    return key;
}

/* A fresh key of any kind; RSA of 2,048 bits is always the same, making one takes long. */
static struct ccz_secret *material(enum cczi_kms_key_kind k)
{
    struct ccz_secret *m;
    if (k == CCZI_KEY_RSA_2048) {
        uint8_t b[BYTES_MAX];
        struct ccz_span der = bytes(b, rsa_pkcs8);
        CHECK(ccz_secret_from(&m, der.ptr, der.size) == CCZ_OK);
    } else {
        CHECK(cczi_kms_key_generate(&m, k, &err) == CCZ_OK);
    }
    return m;
}

static struct cczi_kms_key *fresh(enum cczi_kms_key_kind k)
{
    CCZ_AUTO(ccz_secret) m = material(k);
    struct cczi_kms_key *key;
    CHECK(cczi_kms_key_open(&key, k, 1, m, &err) == CCZ_OK);
    CHECK(cczi_kms_key_kind(key) == k && cczi_kms_key_number(key) == 1);
    return key;
}

/* -------------------------------------------------------------------------------- kinds */

static void test_kinds(void)
{
    static const char *const names[] = {"aes-128",     "aes-256",           "aes-128-gcm",
                                        "aes-256-gcm", "chacha20-poly1305", "hmac-sha256",
                                        "ecdsa-p256",  "ecdsa-p384",        "ed25519",
                                        "rsa-2048",    "rsa-3072",          "rsa-4096"};
    for (unsigned i = 0; i < CCZI_KEY_KINDS - 1; i++) {
        enum cczi_kms_key_kind k;
        CHECK(cczi_kms_key_kind_parse(&k, ccz_span_str(names[i]), &err) == CCZ_OK);
        CHECK(k == i + 1 && strcmp(cczi_kms_key_kind_name(k), names[i]) == 0);
        CHECK(strlen(names[i]) < CCZI_KMS_KEY_KIND_SIZE && cczi_kms_key_kind_ops(k) != 0);
        REFUSED(cczi_kms_key_kind_parse(&k, CCZ_SPAN(names[i], strlen(names[i]) - 1), &err),
                CCZ_E_UNSUPPORTED, "kms:key-kind");
        CHECK(k == CCZI_KEY_NONE);
    }
    enum cczi_kms_key_kind k;
    REFUSED(cczi_kms_key_kind_parse(&k, ccz_span_str("none"), &err), CCZ_E_UNSUPPORTED,
            "kms:key-kind");
    CHECK(cczi_kms_key_kind_ops(CCZI_KEY_NONE) == 0 && cczi_kms_key_kind_ops(99) == 0);
    struct ccz_secret *none;
    REFUSED(cczi_kms_key_generate(&none, CCZI_KEY_NONE, &err), CCZ_E_ARG, "kms:key-kind");
    REFUSED(cczi_kms_key_generate(&none, CCZI_KEY_KINDS, &err), CCZ_E_ARG, "kms:key-kind");
}

/* Runs an operation with input that is good for every kind that can do it. */
static ccz_rc run(const struct cczi_kms_key *key, enum cczi_kms_key_op op)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, BYTES_MAX);
    CCZ_AUTO(ccz_secret) text = NULL;
    const struct ccz_span none = {0}, in = ccz_span_str("0123456789abcdef0123456789abcdef");
    const struct ccz_sign_how how = {
        .hash = cczi_kms_key_kind(key) == CCZI_KEY_ECDSA_P384 ? CCZ_SHA384 : CCZ_SHA256};
    uint8_t mac[CCZI_KMS_KEY_MAC_SIZE];
    switch (op) {
    case CCZI_OP_ENCRYPT:
        return cczi_kms_key_encrypt(&out, key, none, in, &err);
    case CCZI_OP_DECRYPT:
        return cczi_kms_key_decrypt(&text, key, none, in, &err);
    case CCZI_OP_DATA_KEY:
        return cczi_kms_key_data_key(&text, &out, key, 32, none, &err);
    case CCZI_OP_REWRAP:
        return cczi_kms_key_rewrap(&out, key, key, none, in, &err);
    case CCZI_OP_WRAP:
        return cczi_kms_key_wrap(&out, key, in, &err);
    case CCZI_OP_UNWRAP:
        return cczi_kms_key_unwrap(&text, key, in, &err);
    case CCZI_OP_DERIVE:
        return cczi_kms_key_derive(&text, key, in, 32, &err);
    case CCZI_OP_HMAC:
        return cczi_kms_key_hmac(mac, key, in, &err);
    case CCZI_OP_HMAC_VERIFY:
        return cczi_kms_key_hmac_verify(key, in, in, &err);
    case CCZI_OP_SIGN:
        return cczi_kms_key_sign(&out, key, &how, in, &err);
    case CCZI_OP_VERIFY:
        return cczi_kms_key_verify(key, &how, in, in, &err);
    case CCZI_OP_PUBLIC:
        return cczi_kms_key_public(&out, key, &err);
    case CCZI_OP_ISSUE:
        return cczi_kms_key_issue(&out, key, &(struct ccz_cert_cfg){.cn = "x", .ca = true}, &err);
    default:
        return CCZ_E_UNSUPPORTED;
    }
}

/* Written down once more, by kind: what stands in the table is what functions do, and nothing else. */
static void test_table(void)
{
    static const struct {
        enum cczi_kms_key_kind kind;
        const char *ops;
    } want[] = {
        {CCZI_KEY_AES_128, "release"},
        {CCZI_KEY_AES_256, "release"},
        {CCZI_KEY_AES_128_GCM, "encrypt decrypt data-key rewrap wrap unwrap export"},
        {CCZI_KEY_AES_256_GCM, "encrypt decrypt data-key rewrap wrap unwrap derive export"},
        {CCZI_KEY_CHACHA20_POLY1305, "encrypt decrypt data-key rewrap derive export"},
        {CCZI_KEY_HMAC_SHA256, "derive hmac hmac-verify export"},
        {CCZI_KEY_ECDSA_P256, "sign verify public-key export issue"},
        {CCZI_KEY_ECDSA_P384, "sign verify public-key export issue"},
        {CCZI_KEY_ED25519, "sign verify public-key export"},
        {CCZI_KEY_RSA_2048,
         "encrypt decrypt data-key rewrap wrap unwrap sign verify public-key export"},
    };
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        CCZ_AUTO(cczi_kms_key) key = fresh(want[i].kind);
        CCZ_AUTO_BUF names;
        ccz_buf_init(&names, 200);
        for (unsigned op = 0; op < CCZI_OPS; op++) {
            bool can = cczi_kms_key_kind_ops(want[i].kind) & CCZI_OP_BIT(op);
            if (can)
                ccz_buf_printf(&names, "%s%s", names.size ? " " : "", cczi_kms_key_op_name(op));
            if (op == CCZI_OP_RELEASE || op == CCZI_OP_EXPORT)
                continue; /* of the store: no function here */
            ccz_rc rc = run(key, op);
            bool refused = rc == CCZ_E_UNSUPPORTED && strcmp(err.where, "kms:key-op") == 0;
            CHECK(refused == !can);
            CHECK(!can || rc == CCZ_OK || rc == CCZ_E_SIG);
        }
        CHECK(strcmp(ccz_buf_str(&names), want[i].ops) == 0);
    }
    CHECK(cczi_kms_key_kind_ops(CCZI_KEY_RSA_3072) == cczi_kms_key_kind_ops(CCZI_KEY_RSA_2048));
    CHECK(cczi_kms_key_kind_ops(CCZI_KEY_RSA_4096) == cczi_kms_key_kind_ops(CCZI_KEY_RSA_2048));
    CHECK(strcmp(cczi_kms_key_op_name(CCZI_OPS), "?") == 0);
}

static void test_material(void)
{
    static const enum cczi_kms_key_kind kinds[] = {
        CCZI_KEY_AES_128,     CCZI_KEY_AES_256,          CCZI_KEY_AES_128_GCM, CCZI_KEY_AES_256_GCM,
        CCZI_KEY_HMAC_SHA256, CCZI_KEY_ECDSA_P256,       CCZI_KEY_ECDSA_P384,  CCZI_KEY_ED25519,
        CCZI_KEY_RSA_2048,    CCZI_KEY_CHACHA20_POLY1305};
    enum { LEN = sizeof(kinds) / sizeof(kinds[0]) };
    for (size_t i = 0; i < LEN; i++) {
        CCZ_AUTO(ccz_secret) m = material(kinds[i]);
        CCZ_AUTO(ccz_secret) again = NULL;
        CHECK(cczi_kms_key_import(&again, kinds[i], m, &err) == CCZ_OK);
        CHECK(ccz_span_eq(view(m), view(again)));
        for (size_t k = 0; k < LEN; k++) { /* a pair is of one kind, whatever somebody says */
            struct cczi_kms_key *none = NULL;
            struct ccz_secret *no_secret = NULL;
            if (k == i || (!cczi_kms_key_is_pair(kinds[k]) && !cczi_kms_key_is_pair(kinds[i])))
                continue;
            if (kinds[k] == CCZI_KEY_HMAC_SHA256 && kinds[i] == CCZI_KEY_ED25519)
                continue; /* 48 bytes, which can be any HMAC key */
            REFUSED(cczi_kms_key_open(&none, kinds[k], 1, m, &err), CCZ_E_FORMAT,
                    "kms:key-material");
            CHECK(!none);
            CHECK(cczi_kms_key_import(&no_secret, kinds[k], m, &err) == CCZ_E_FORMAT && !no_secret);
        }
    }
    CCZ_AUTO(ccz_secret) p256 = material(CCZI_KEY_ECDSA_P256);
    struct ccz_secret *none;
    REFUSED(cczi_kms_key_import(&none, CCZI_KEY_ECDSA_P384, p256, &err), CCZ_E_FORMAT,
            "kms:key-kind");
    REFUSED(cczi_kms_key_import(&none, CCZI_KEY_NONE, p256, &err), CCZ_E_ARG, "kms:key-kind");
    static const struct {
        enum cczi_kms_key_kind kind;
        size_t size;
        bool ok;
    } sizes[] = {
        {CCZI_KEY_AES_128_GCM, 15, false},       {CCZI_KEY_AES_128_GCM, 17, false},
        {CCZI_KEY_AES_256_GCM, 16, false},       {CCZI_KEY_AES_256_GCM, 33, false},
        {CCZI_KEY_CHACHA20_POLY1305, 31, false}, {CCZI_KEY_HMAC_SHA256, 31, false},
        {CCZI_KEY_HMAC_SHA256, 32, true},        {CCZI_KEY_HMAC_SHA256, 64, true},
        {CCZI_KEY_HMAC_SHA256, 65, false},       {CCZI_KEY_AES_256, 24, false},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CCZ_AUTO(ccz_secret) m = counting(sizes[i].size);
        CCZ_AUTO(ccz_secret) out = NULL;
        CCZ_AUTO(cczi_kms_key) key = NULL;
        ccz_rc rc = cczi_kms_key_import(&out, sizes[i].kind, m, &err);
        CHECK(sizes[i].ok ? rc == CCZ_OK : is_refused(rc, CCZ_E_FORMAT, &err, "kms:key-size"));
        rc = cczi_kms_key_open(&key, sizes[i].kind, 1, m, &err);
        CHECK(sizes[i].ok ? rc == CCZ_OK : is_refused(rc, CCZ_E_FORMAT, &err, "kms:key-material"));
    }
    CCZ_AUTO(ccz_secret) zero = NULL;
    CHECK(ccz_secret_new(&zero, 32) == CCZ_OK);
    REFUSED(cczi_kms_key_import(&none, CCZI_KEY_AES_256_GCM, zero, &err), CCZ_E_FORMAT,
            "kms:key-weak");
    struct cczi_kms_key *no_key;
    REFUSED(cczi_kms_key_open(&no_key, CCZI_KEY_AES_256_GCM, 0, zero, &err), CCZ_E_ARG,
            "kms:key-version");
    REFUSED(cczi_kms_key_open(&no_key, CCZI_KEY_AES_256_GCM, CCZ_KMS_VERSIONS_MAX + 1, zero, &err),
            CCZ_E_ARG, "kms:key-version");
    REFUSED(cczi_kms_key_open(&no_key, CCZI_KEY_NONE, 1, zero, &err), CCZ_E_ARG, "kms:key-kind");
}

/* ---------------------------------------------------------------------------- encryption */

/* By the text of kms_keys.h with other implementations of HMAC, AES-GCM and ChaCha20-Poly1305: material 00 01 .., version 7,
 * salt 60..77, associated data "the aad", text "the plain text". */
static const struct {
    enum cczi_kms_key_kind kind;
    size_t size;
    const char *sealed;
} known[] = {
    {CCZI_KEY_AES_128_GCM, 16,
     "01606162636465666768696a6b6c6d6e6f70717273747576775ea57ac656fd235f4b6a854ebd7a278790c98370670"
     "3627566"
     "cbd15754f3"},
    {CCZI_KEY_AES_256_GCM, 32,
     "01606162636465666768696a6b6c6d6e6f7071727374757677eb7cd86def271e4864a54ec21612f39b479b8be02aa"
     "6d1fc79"
     "54787c56b0"},
    {CCZI_KEY_CHACHA20_POLY1305, 32,
     "01606162636465666768696a6b6c6d6e6f7071727374757677bf70c5a5c46d685ebb4eb63be36c2abe9bfde2789f0"
     "8eebb8e"
     "10ef90bd0d"},
};

static void test_aead_kat(void)
{
    const struct ccz_span aad = ccz_span_str("the aad");
    for (size_t i = 0; i < 3; i++) {
        uint8_t b[BYTES_MAX];
        struct ccz_span sealed = bytes(b, known[i].sealed);
        CHECK(sealed.size == 14 + CCZI_KMS_KEY_SEALED_OVERHEAD);
        CCZ_AUTO(cczi_kms_key) key = counting_key(known[i].kind, known[i].size, VERSION);
        CCZ_AUTO(ccz_secret) text = NULL;
        CHECK(cczi_kms_key_decrypt(&text, key, aad, sealed, &err) == CCZ_OK);
        CHECK(is_text(text, "the plain text"));
        struct ccz_secret *none;
        for (size_t bit = 0; bit < 8 * sealed.size; bit++) {
            b[bit / 8] ^= (uint8_t)(1u << bit % 8);
            REFUSED(cczi_kms_key_decrypt(&none, key, aad, sealed, &err), CCZ_E_SIG,
                    "kms:key-decrypt");
            b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t cut = 0; cut < sealed.size; cut++)
            REFUSED(cczi_kms_key_decrypt(&none, key, aad, CCZ_SPAN(b, cut), &err), CCZ_E_SIG,
                    "kms:key-decrypt");
        REFUSED(cczi_kms_key_decrypt(&none, key, ccz_span_str("the aae"), sealed, &err), CCZ_E_SIG,
                "kms:key-decrypt");
        REFUSED(cczi_kms_key_decrypt(&none, key, ccz_span_str(""), sealed, &err), CCZ_E_SIG,
                "kms:key-decrypt");
        /* the same material as another version, or another kind of the same size */
        CCZ_AUTO(cczi_kms_key) other = counting_key(known[i].kind, known[i].size, VERSION + 1);
        REFUSED(cczi_kms_key_decrypt(&none, other, aad, sealed, &err), CCZ_E_SIG,
                "kms:key-decrypt");
        CCZ_AUTO(cczi_kms_key)
        kind =
            counting_key(i == 1 ? CCZI_KEY_CHACHA20_POLY1305 : CCZI_KEY_AES_256_GCM, 32, VERSION);
        CHECK(i == 1 || i == 2 || known[i].size == 16);
        REFUSED(cczi_kms_key_decrypt(&none, kind, aad, sealed, &err), CCZ_E_SIG, "kms:key-decrypt");
    }
}

static void test_aead(void)
{
    static uint8_t big[CCZI_KMS_KEY_TEXT_SIZE_MAX + 1];
    static const size_t sizes[] = {1, 15, 16, 17, 4096, CCZI_KMS_KEY_TEXT_SIZE_MAX};
    for (int k = CCZI_KEY_AES_128_GCM; k <= CCZI_KEY_CHACHA20_POLY1305; k++) {
        CCZ_AUTO(cczi_kms_key) key = fresh((enum cczi_kms_key_kind)k);
        CCZ_AUTO_BUF once, twice;
        ccz_buf_init(&once, sizeof(big) + CCZI_KMS_KEY_SEALED_OVERHEAD);
        ccz_buf_init(&twice, sizeof(big) + CCZI_KMS_KEY_SEALED_OVERHEAD);
        struct ccz_span aad = CCZ_SPAN(big, CCZI_KMS_KEY_AAD_SIZE_MAX);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct ccz_span text = CCZ_SPAN(big, sizes[i]);
            ccz_buf_clear(&once);
            ccz_buf_clear(&twice);
            CHECK(cczi_kms_key_encrypt(&once, key, aad, text, &err) == CCZ_OK);
            CHECK(cczi_kms_key_encrypt(&twice, key, aad, text, &err) == CCZ_OK);
            CHECK(once.size == sizes[i] + CCZI_KMS_KEY_SEALED_OVERHEAD);
            CHECK(memcmp(once.ptr + 1, twice.ptr + 1, 24) != 0); /* salts */
            CHECK(memcmp(once.ptr + once.size - 16, twice.ptr + twice.size - 16, 16) != 0);
            CCZ_AUTO(ccz_secret) back = NULL;
            CHECK(cczi_kms_key_decrypt(&back, key, aad, ccz_buf_span(&once), &err) == CCZ_OK);
            CHECK(ccz_span_eq(view(back), text));
        }
        size_t before = once.size;
        REFUSED(cczi_kms_key_encrypt(&once, key, aad, CCZ_SPAN(big, 0), &err), CCZ_E_LIMIT,
                "kms:key-input");
        REFUSED(cczi_kms_key_encrypt(&once, key, aad, CCZ_SPAN(big, sizeof(big)), &err),
                CCZ_E_LIMIT, "kms:key-input");
        aad.size++;
        REFUSED(cczi_kms_key_encrypt(&once, key, aad, CCZ_SPAN(big, 1), &err), CCZ_E_LIMIT,
                "kms:key-input");
        struct ccz_secret *none;
        REFUSED(cczi_kms_key_decrypt(&none, key, aad, ccz_buf_span(&twice), &err), CCZ_E_LIMIT,
                "kms:key-input");
        CHECK(once.size == before);
        CCZ_AUTO_BUF small; /* no room: nothing is left there */
        ccz_buf_init(&small, 40);
        CHECK(cczi_kms_key_encrypt(&small, key, CCZ_SPAN(big, 0), CCZ_SPAN(big, 1), &err) ==
              CCZ_E_NOMEM);
        CHECK(small.size == 0);
    }
}

/* The form of kms_keys.h written once more, around one byte more than encrypt would take: right in all but its size. */
static void test_aead_too_large(void)
{
    static uint8_t text[CCZI_KMS_KEY_TEXT_SIZE_MAX + 1],
        sealed[sizeof(text) + CCZI_KMS_KEY_SEALED_OVERHEAD];
    static const uint8_t label[] = "cczoo kms message v1\0\x04\x07\0\0"; /* and a NUL that counts */
    uint8_t block[64];
    CCZ_AUTO(ccz_secret) m = counting(32);
    CCZ_AUTO(cczi_kms_key) key = counting_key(CCZI_KEY_AES_256_GCM, 32, VERSION);
    CCZ_AUTO(ccz_aead) aead = NULL;
    sealed[0] = 1; /* the salt is zero */
    const struct ccz_span parts[] = {CCZ_SPAN(label, sizeof(label)), CCZ_SPAN(sealed + 1, 24)};
    CHECK(ccz_hmac(block, CCZ_SHA512, view(m), parts, 2) == CCZ_OK);
    CHECK(ccz_aead_new(&aead, CCZ_AES_256_GCM) == CCZ_OK);
    for (size_t less = 0; less < 2; less++) {
        size_t size = sizeof(text) - less;
        CHECK(ccz_aead_seal(aead, sealed + 25, sealed + 25 + size, block, block + 32,
                            CCZ_SPAN(NULL, 0), CCZ_SPAN(text, size)) == CCZ_OK);
        CCZ_AUTO(ccz_secret) back = NULL;
        ccz_rc rc = cczi_kms_key_decrypt(&back, key, CCZ_SPAN(NULL, 0),
                                         CCZ_SPAN(sealed, sizeof(sealed) - less), &err);
        CHECK(less ? rc == CCZ_OK : is_refused(rc, CCZ_E_SIG, &err, "kms:key-decrypt"));
    }
}

static void test_rsa(void)
{
    static uint8_t text[200] = {1, 2, 3};
    const struct ccz_span none = {0};
    CCZ_AUTO(cczi_kms_key) key = fresh(CCZI_KEY_RSA_2048);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 256);
    CHECK(cczi_kms_key_encrypt(&out, key, none, CCZ_SPAN(text, 190), &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) back = NULL;
    CHECK(cczi_kms_key_decrypt(&back, key, none, ccz_buf_span(&out), &err) == CCZ_OK);
    CHECK(ccz_secret_size(back) == 190 && memcmp(ccz_secret_view(back), text, 190) == 0);
    struct ccz_secret *no_text;
    out.ptr[255] ^= 1;
    REFUSED(cczi_kms_key_decrypt(&no_text, key, none, ccz_buf_span(&out), &err), CCZ_E_SIG,
            "kms:key-decrypt");
    REFUSED(cczi_kms_key_unwrap(&no_text, key, ccz_buf_span(&out), &err), CCZ_E_SIG,
            "kms:key-unwrap");
    ccz_buf_clear(&out);
    REFUSED(cczi_kms_key_encrypt(&out, key, none, CCZ_SPAN(text, 191), &err), CCZ_E_LIMIT,
            "kms:key-input");
    REFUSED(cczi_kms_key_wrap(&out, key, CCZ_SPAN(text, 191), &err), CCZ_E_LIMIT, "kms:key-input");
    /* associated data that RSA cannot bind are refused, never dropped */
    REFUSED(cczi_kms_key_encrypt(&out, key, ccz_span_str("a"), CCZ_SPAN(text, 1), &err),
            CCZ_E_UNSUPPORTED, "kms:key-aad");
    uint8_t b[BYTES_MAX];
    REFUSED(cczi_kms_key_decrypt(&no_text, key, ccz_span_str("a"), bytes(b, rsa_oaep), &err),
            CCZ_E_UNSUPPORTED, "kms:key-aad");
    CCZ_AUTO(ccz_secret) known_text = NULL;
    CHECK(cczi_kms_key_unwrap(&known_text, key, bytes(b, rsa_oaep), &err) == CCZ_OK);
    CHECK(is_text(known_text, "plain text") && out.size == 0);
}

static void test_data_key(void)
{
    const struct ccz_span aad = ccz_span_str("volume 4");
    static const size_t sizes[] = {1, 16, 32, 1024};
    CCZ_AUTO(cczi_kms_key) key = fresh(CCZI_KEY_AES_256_GCM);
    CCZ_AUTO_BUF sealed;
    ccz_buf_init(&sealed, BYTES_MAX);
    for (size_t i = 0; i < 4; i++) {
        CCZ_AUTO(ccz_secret) plain = NULL;
        CCZ_AUTO(ccz_secret) back = NULL;
        ccz_buf_clear(&sealed);
        CHECK(cczi_kms_key_data_key(&plain, &sealed, key, sizes[i], aad, &err) == CCZ_OK);
        CHECK(ccz_secret_size(plain) == sizes[i]);
        CHECK(cczi_kms_key_decrypt(&back, key, aad, ccz_buf_span(&sealed), &err) == CCZ_OK);
        CHECK(ccz_span_eq(view(plain), view(back)));
        struct ccz_secret *none;
        REFUSED(
            cczi_kms_key_decrypt(&none, key, ccz_span_str("volume 5"), ccz_buf_span(&sealed), &err),
            CCZ_E_SIG, "kms:key-decrypt");
    }
    CCZ_AUTO(ccz_secret) later = NULL; /* the ciphertext alone */
    ccz_buf_clear(&sealed);
    CHECK(cczi_kms_key_data_key(NULL, &sealed, key, 32, aad, &err) == CCZ_OK);
    CHECK(cczi_kms_key_decrypt(&later, key, aad, ccz_buf_span(&sealed), &err) == CCZ_OK);
    CHECK(ccz_secret_size(later) == 32);
    ccz_buf_clear(&sealed);
    struct ccz_secret *none;
    REFUSED(cczi_kms_key_data_key(&none, &sealed, key, 0, aad, &err), CCZ_E_LIMIT, "kms:key-input");
    REFUSED(cczi_kms_key_data_key(&none, &sealed, key, 1025, aad, &err), CCZ_E_LIMIT,
            "kms:key-input");
    CHECK(!none && sealed.size == 0);
    CCZ_AUTO(cczi_kms_key) rsa = fresh(CCZI_KEY_RSA_2048);
    CHECK(cczi_kms_key_data_key(NULL, &sealed, rsa, 32, CCZ_SPAN(NULL, 0), &err) == CCZ_OK);
    REFUSED(cczi_kms_key_data_key(&none, &sealed, rsa, 191, CCZ_SPAN(NULL, 0), &err), CCZ_E_LIMIT,
            "kms:key-input");
    CHECK(!none);
}

static void test_rewrap(void)
{
    const struct ccz_span aad = ccz_span_str("a");
    CCZ_AUTO(ccz_secret) m1 = material(CCZI_KEY_CHACHA20_POLY1305);
    CCZ_AUTO(ccz_secret) m2 = material(CCZI_KEY_CHACHA20_POLY1305);
    CCZ_AUTO(cczi_kms_key) v1 = NULL;
    CCZ_AUTO(cczi_kms_key) v2 = NULL;
    CHECK(cczi_kms_key_open(&v1, CCZI_KEY_CHACHA20_POLY1305, 1, m1, &err) == CCZ_OK);
    CHECK(cczi_kms_key_open(&v2, CCZI_KEY_CHACHA20_POLY1305, 2, m2, &err) == CCZ_OK);
    CCZ_AUTO_BUF old, new;
    ccz_buf_init(&old, BYTES_MAX);
    ccz_buf_init(&new, BYTES_MAX);
    CHECK(cczi_kms_key_encrypt(&old, v1, aad, ccz_span_str("text"), &err) == CCZ_OK);
    CHECK(cczi_kms_key_rewrap(&new, v2, v1, aad, ccz_buf_span(&old), &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) text = NULL;
    CHECK(cczi_kms_key_decrypt(&text, v2, aad, ccz_buf_span(&new), &err) == CCZ_OK);
    CHECK(is_text(text, "text"));
    struct ccz_secret *none;
    REFUSED(cczi_kms_key_decrypt(&none, v1, aad, ccz_buf_span(&new), &err), CCZ_E_SIG,
            "kms:key-decrypt");
    size_t before = new.size;
    REFUSED(cczi_kms_key_rewrap(&new, v2, v1, ccz_span_str("b"), ccz_buf_span(&old), &err),
            CCZ_E_SIG, "kms:key-decrypt");
    REFUSED(cczi_kms_key_rewrap(&new, v2, v2, aad, ccz_buf_span(&old), &err), CCZ_E_SIG,
            "kms:key-decrypt");
    CCZ_AUTO(cczi_kms_key) other = fresh(CCZI_KEY_AES_256_GCM);
    REFUSED(cczi_kms_key_rewrap(&new, other, v1, aad, ccz_buf_span(&old), &err), CCZ_E_ARG,
            "kms:key-rewrap");
    CHECK(new.size == before);
}

static void test_wrap(void)
{
    static const struct {
        enum cczi_kms_key_kind kind;
        size_t size;
        const char *wrapped;
    } vectors[] = {
        {CCZI_KEY_AES_256_GCM, 32,
         "8614e433b3441f543902b75c2c7d026af8f444080bdb89aa8082092bf10b10bf"},
        {CCZI_KEY_AES_128_GCM, 16,
         "a6b45c318dc8e1a6c5e227a8404302b306e6c0f2450f5aa7ad9c75c22c47327b"},
    };
    static uint8_t big[CCZ_KWP_SIZE_MAX + 1];
    for (size_t i = 0; i < 2; i++) {
        uint8_t b[BYTES_MAX];
        struct ccz_span want = bytes(b, vectors[i].wrapped);
        CCZ_AUTO(cczi_kms_key) key = counting_key(vectors[i].kind, vectors[i].size, 1);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, BYTES_MAX);
        CHECK(cczi_kms_key_wrap(&out, key, ccz_span_str("a key of 21 bytes, is"), &err) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), want));
        CCZ_AUTO(ccz_secret) back = NULL;
        CHECK(cczi_kms_key_unwrap(&back, key, want, &err) == CCZ_OK);
        CHECK(is_text(back, "a key of 21 bytes, is"));
        struct ccz_secret *none;
        b[9] ^= 4;
        REFUSED(cczi_kms_key_unwrap(&none, key, want, &err), CCZ_E_SIG, "kms:key-unwrap");
        REFUSED(cczi_kms_key_unwrap(&none, key, CCZ_SPAN(b, 7), &err), CCZ_E_SIG, "kms:key-unwrap");
        REFUSED(cczi_kms_key_wrap(&out, key, CCZ_SPAN(big, 0), &err), CCZ_E_LIMIT, "kms:key-input");
        REFUSED(cczi_kms_key_wrap(&out, key, CCZ_SPAN(big, sizeof(big)), &err), CCZ_E_LIMIT,
                "kms:key-input");
    }
}

/* ----------------------------------------------------------------- derivation, HMAC, text */

static void test_derive(void)
{
    static const struct {
        enum cczi_kms_key_kind kind;
        const char *derived;
    } vectors[] = {
        {CCZI_KEY_AES_256_GCM,
         "c148325735cea3214fa32f6eefc4d249e66d6cf5bf424845dc8dffd45943b1f9b19f5"
         "deb111e1f01ba0f7f0a0bf0c456"},
        {CCZI_KEY_CHACHA20_POLY1305,
         "4583679c42fb1bd6449acf9c746f95b3daa221a265fd98bf919d3bf3321375b"
         "f5d94d0c2798030b4b58b8385508cc6c7"},
        {CCZI_KEY_HMAC_SHA256,
         "534e61fb770f10e5280dc0334491c985f4ebf09e12e2abb2898ac64985cb84f98e0e5"
         "393a1c7a20631b7929272927d6a"},
    };
    static uint8_t big[CCZI_KMS_KEY_CONTEXT_SIZE_MAX + 1];
    for (size_t i = 0; i < 3; i++) {
        uint8_t b[BYTES_MAX];
        CCZ_AUTO(cczi_kms_key) key = counting_key(vectors[i].kind, 32, VERSION);
        CCZ_AUTO(ccz_secret) out = NULL;
        CHECK(cczi_kms_key_derive(&out, key, ccz_span_str("a context"), 48, &err) == CCZ_OK);
        CHECK(ccz_span_eq(view(out), bytes(b, vectors[i].derived)));
        CCZ_AUTO(ccz_secret) most = NULL;
        CHECK(cczi_kms_key_derive(&most, key, CCZ_SPAN(big, sizeof(big) - 1), 64, &err) == CCZ_OK);
        struct ccz_secret *none;
        REFUSED(cczi_kms_key_derive(&none, key, CCZ_SPAN(big, sizeof(big)), 32, &err), CCZ_E_LIMIT,
                "kms:key-input");
        REFUSED(cczi_kms_key_derive(&none, key, CCZ_SPAN(big, 0), 32, &err), CCZ_E_LIMIT,
                "kms:key-input");
        REFUSED(cczi_kms_key_derive(&none, key, CCZ_SPAN(big, 1), 15, &err), CCZ_E_LIMIT,
                "kms:key-input");
        REFUSED(cczi_kms_key_derive(&none, key, CCZ_SPAN(big, 1), 65, &err), CCZ_E_LIMIT,
                "kms:key-input");
    }
}

static void test_hmac(void)
{
    /* RFC 7515, A.1 */
    static const char k[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUu"
        "TwjAzZr1Z9CAow";
    static const char tag[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const struct ccz_span msg = ccz_span_str("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                                             "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0"
                                             "dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
    CCZ_AUTO_BUF kb, tb;
    ccz_buf_init(&kb, 64);
    ccz_buf_init(&tb, 40);
    CHECK(ccz_base64_get(&kb, ccz_span_str(k), CCZ_BASE64_URL, &err) == CCZ_OK);
    CHECK(ccz_base64_get(&tb, ccz_span_str(tag), CCZ_BASE64_URL, &err) == CCZ_OK && tb.size == 32);
    CCZ_AUTO(ccz_secret) foreign = NULL;
    CCZ_AUTO(ccz_secret) m = NULL;
    CCZ_AUTO(cczi_kms_key) key = NULL;
    CHECK(ccz_secret_from(&foreign, kb.ptr, kb.size) == CCZ_OK);
    CHECK(cczi_kms_key_import(&m, CCZI_KEY_HMAC_SHA256, foreign, &err) == CCZ_OK);
    CHECK(cczi_kms_key_open(&key, CCZI_KEY_HMAC_SHA256, 1, m, &err) == CCZ_OK);
    uint8_t mac[CCZI_KMS_KEY_MAC_SIZE];
    CHECK(cczi_kms_key_hmac(mac, key, msg, &err) == CCZ_OK && memcmp(mac, tb.ptr, 32) == 0);
    CHECK(cczi_kms_key_hmac_verify(key, msg, ccz_buf_span(&tb), &err) == CCZ_OK);
    for (size_t bit = 0; bit < 256; bit++) {
        mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
        REFUSED(cczi_kms_key_hmac_verify(key, msg, CCZ_SPAN(mac, 32), &err), CCZ_E_SIG,
                "kms:key-mac");
        mac[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < 32;
         cut++) /* a part of the right one is not enough, nor is nothing */
        REFUSED(cczi_kms_key_hmac_verify(key, msg, CCZ_SPAN(mac, cut), &err), CCZ_E_SIG,
                "kms:key-mac");
    uint8_t more[33] = {0};
    memcpy(more, mac, 32);
    REFUSED(cczi_kms_key_hmac_verify(key, msg, CCZ_SPAN(more, 33), &err), CCZ_E_SIG, "kms:key-mac");
    static uint8_t big[CCZI_KMS_KEY_MESSAGE_SIZE_MAX + 1];
    CHECK(cczi_kms_key_hmac(mac, key, CCZ_SPAN(big, sizeof(big) - 1), &err) == CCZ_OK);
    REFUSED(cczi_kms_key_hmac(mac, key, CCZ_SPAN(big, sizeof(big)), &err), CCZ_E_LIMIT,
            "kms:key-input");
    REFUSED(cczi_kms_key_hmac_verify(key, CCZ_SPAN(big, sizeof(big)), CCZ_SPAN(mac, 32), &err),
            CCZ_E_LIMIT, "kms:key-input");
}

static void test_text(void)
{
    CCZ_AUTO_BUF text, back;
    ccz_buf_init(&text, 100);
    ccz_buf_init(&back, 10);
    uint32_t version;
    cczi_kms_key_text_put(&text, 1000, ccz_span_str("\x01\xff\xfe"));
    CHECK(strcmp(ccz_buf_str(&text), "ccz1:1000:Af_-") == 0);
    CHECK(cczi_kms_key_text_get(&version, &back, ccz_buf_span(&text), &err) == CCZ_OK);
    CHECK(version == 1000 && ccz_span_eq(ccz_buf_span(&back), ccz_span_str("\x01\xff\xfe")));
    static const char *const bad[] = {"",
                                      "ccz1",
                                      "ccz1:",
                                      "ccz1::",
                                      "ccz1:1",
                                      "ccz1:1:",
                                      "ccz1:0:AA",
                                      "ccz1:01:AA",
                                      "ccz1:1001:AA",
                                      "ccz1:-1:AA",
                                      "ccz1: 1:AA",
                                      "ccz1:+1:AA",
                                      "ccz1:1:A",
                                      "ccz1:1:AB",
                                      "ccz1:1:AA==",
                                      "ccz1:1:+w",
                                      "ccz1:1:AA ",
                                      "ccz2:1:AA",
                                      "CCZ1:1:AA",
                                      "vault:v1:AA",
                                      "ccz1:1:AA:AA",
                                      " ccz1:1:AA",
                                      "ccz1:99999999999999999999:AA",
                                      "ccz1:1x:AA",
                                      "ccz1:4294967297:AA"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ccz_buf_clear(&back);
        REFUSED(cczi_kms_key_text_get(&version, &back, ccz_span_str(bad[i]), &err), CCZ_E_FORMAT,
                "kms:key-text");
        CHECK(version == 0 && back.size == 0);
    }
    ccz_buf_clear(&back); /* more than there is room for */
    REFUSED(cczi_kms_key_text_get(&version, &back, ccz_span_str("ccz1:1:AAAAAAAAAAAAAAAA"), &err),
            CCZ_E_LIMIT, "kms:key-text");
    CHECK(version == 0);
}

/* --------------------------------------------------------------------------- signatures */

static void test_sign(void)
{
    static const struct {
        enum cczi_kms_key_kind kind;
        struct ccz_sign_how how;
        size_t size; /* 0 = it varies */
    } cases[] = {
        {CCZI_KEY_ECDSA_P256, {0}, 64},
        {CCZI_KEY_ECDSA_P256, {.form = CCZ_SIG_DER, .hash = CCZ_SHA512}, 0},
        {CCZI_KEY_ECDSA_P384, {.hash = CCZ_SHA384}, 96},
        {CCZI_KEY_ED25519, {0}, 64},
        {CCZI_KEY_RSA_2048, {0}, 256},
        {CCZI_KEY_RSA_2048, {.padding = CCZ_RSA_PKCS1, .hash = CCZ_SHA384}, 256},
    };
    static uint8_t big[CCZI_KMS_KEY_MESSAGE_SIZE_MAX + 1];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct ccz_sign_how *how = &cases[i].how;
        struct ccz_span msg = ccz_span_str("message");
        CCZ_AUTO(cczi_kms_key) key = fresh(cases[i].kind);
        CCZ_AUTO_BUF sig, der, pem;
        ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
        ccz_buf_init(&der, CCZ_PKEY_SPKI_SIZE_MAX);
        ccz_buf_init(&pem, BYTES_MAX);
        CHECK(cczi_kms_key_sign(&sig, key, how, msg, &err) == CCZ_OK);
        CHECK(cases[i].size == 0 || sig.size == cases[i].size);
        CHECK(cczi_kms_key_verify(key, how, msg, ccz_buf_span(&sig), &err) == CCZ_OK);
        /* somebody with the public key alone */
        CHECK(cczi_kms_key_public(&der, key, &err) == CCZ_OK);
        CCZ_AUTO(ccz_pkey) pub = NULL;
        CHECK(ccz_pkey_from_spki(&pub, ccz_buf_span(&der), &err) == CCZ_OK);
        CHECK(ccz_pkey_verify(pub, how, msg, ccz_buf_span(&sig), &err) == CCZ_OK);
        CHECK(cczi_kms_key_public_pem(&pem, key, &err) == CCZ_OK);
        CCZ_AUTO_BUF again;
        ccz_buf_init(&again, CCZ_PKEY_SPKI_SIZE_MAX);
        struct ccz_span rest = ccz_buf_span(&pem);
        CHECK(ccz_pem_next(&again, &rest, "PUBLIC KEY", &err) == CCZ_OK && rest.size == 0);
        CHECK(ccz_span_eq(ccz_buf_span(&again), ccz_buf_span(&der)));
        sig.ptr[sig.size / 2] ^= 1;
        REFUSED(cczi_kms_key_verify(key, how, msg, ccz_buf_span(&sig), &err), CCZ_E_SIG,
                "pkey:signature");
        ccz_buf_clear(&sig);
        REFUSED(cczi_kms_key_sign(&sig, key, how, CCZ_SPAN(big, sizeof(big)), &err), CCZ_E_LIMIT,
                "kms:key-input");
        REFUSED(cczi_kms_key_verify(key, how, CCZ_SPAN(big, sizeof(big)), msg, &err), CCZ_E_LIMIT,
                "kms:key-input");
        CHECK(sig.size == 0);
    }
}

static const struct ccz_test tests[] = {
    {"kms.key_kinds", test_kinds},       {"kms.key_table", test_table},
    {"kms.key_material", test_material}, {"kms.key_aead_kat", test_aead_kat},
    {"kms.key_aead", test_aead},         {"kms.key_aead_too_large", test_aead_too_large},
    {"kms.key_rsa", test_rsa},           {"kms.key_data_key", test_data_key},
    {"kms.key_rewrap", test_rewrap},     {"kms.key_wrap", test_wrap},
    {"kms.key_derive", test_derive},     {"kms.key_hmac", test_hmac},
    {"kms.key_text", test_text},         {"kms.key_sign", test_sign},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
