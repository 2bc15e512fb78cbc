/* SPDX-License-Identifier: Apache-2.0 */
/* Wrapped import: tokens that are forged, foreign, late, used; blobs that are damaged. */
#include "kms/kms_keys.h"

#include <cczoo/codec.h>

#include "ccz_test.h"
#include "kms/wrapping_key.h"
#include "refused.h"

#include <string.h>

enum { ROOM = 8192, TOKEN_BYTES = 58 };
#define NOW 1700000000

static struct ccz_err err;

#define REFUSED(expr, want, at) CHECK(is_refused((expr), (want), &err, (at)))

/* Everything that one import needs. */
struct site {
    struct ccz_secret *token_key;
    struct ccz_pkey *wrapping;
    struct cczi_kms_import_used *used;
    struct cczi_kms_import what;
    struct ccz_buf spki, token, blob;
};

static struct ccz_secret *filled(uint8_t fill, size_t size)
{
    struct ccz_secret *s;
    CHECK(ccz_secret_new(&s, size) == CCZ_OK);
    memset(ccz_secret_bytes(s), fill, size);
    return s;
}

static void site_free(struct site *s)
{
    ccz_secret_free(s->token_key);
    ccz_pkey_free(s->wrapping);
    cczi_kms_import_used_free(s->used);
    ccz_buf_free(&s->spki);
    ccz_buf_free(&s->token);
    ccz_buf_free(&s->blob);
}

static void new_token_at(struct site *s, int64_t now_s)
{
    ccz_buf_clear(&s->token);
    CHECK(cczi_kms_import_token(&s->token, s->token_key, &s->what, 0, now_s, &err) == CCZ_OK);
}

static void new_token(struct site *s)
{
    new_token_at(s, NOW);
}

static void site_init(struct site *s)
{
    *s = (struct site){0};
    ccz_buf_init(&s->spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_buf_init(&s->token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    ccz_buf_init(&s->blob, ROOM);
    CCZ_AUTO(ccz_secret) der = NULL;
    size_t size = strlen(wrapping_pkcs8) / 2;
    CHECK(ccz_secret_new(&der, size) == CCZ_OK);
    CHECK(ccz_unhex(ccz_secret_bytes(der), size, wrapping_pkcs8, 2 * size) == CCZ_OK);
    CHECK(ccz_pkey_from_pkcs8(&s->wrapping, der, CCZ_PKEY_OWN, &err) == CCZ_OK);
    CHECK(ccz_pkey_spki(&s->spki, s->wrapping) == CCZ_OK);
    CHECK(cczi_kms_import_used_new(&s->used) == CCZ_OK);
    s->token_key = filled(0x5a, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE);
    s->what = (struct cczi_kms_import){.name = "models/fmnist",
                                       .spec = {.kind = CCZI_KEY_AES_256_GCM, .imported = true},
                                       .wrapping = s->wrapping};
    new_token(s);
    CCZ_AUTO(ccz_secret) key = filled(7, 32);
    CHECK(cczi_kms_import_wrap(&s->blob, ccz_buf_span(&s->spki), key, &err) == CCZ_OK);
}

#define SITE(s)                                                                                    \
    __attribute__((cleanup(site_free))) struct site s;                                             \
    site_init(&s)

static ccz_rc open_as(struct ccz_secret **out, struct site *s, struct ccz_span token,
                      struct ccz_span blob, int64_t now_s)
{
    return cczi_kms_import_open(out, s->used, s->token_key, &s->what, token, blob, now_s, &err);
}

/* A try with another token; the true one still works after it, so nothing was used up. */
static void refuse_token(struct site *s, struct ccz_span token)
{
    struct ccz_secret *none;
    REFUSED(open_as(&none, s, token, ccz_buf_span(&s->blob), NOW), CCZ_E_SIG, "kms:import-token");
    CHECK(!none);
}

static void accept(struct site *s)
{
    CCZ_AUTO(ccz_secret) m = NULL;
    CHECK(open_as(&m, s, ccz_buf_span(&s->token), ccz_buf_span(&s->blob), NOW) == CCZ_OK);
    CHECK(ccz_secret_size(m) == 32 && ccz_secret_view(m)[31] == 7);
}

static void test_import(void)
{
    static const enum cczi_kms_key_kind kinds[] = {
        CCZI_KEY_AES_128,    CCZI_KEY_AES_256_GCM, CCZI_KEY_CHACHA20_POLY1305, CCZI_KEY_HMAC_SHA256,
        CCZI_KEY_ECDSA_P256, CCZI_KEY_ECDSA_P384,  CCZI_KEY_ED25519,           CCZI_KEY_RSA_2048};
    SITE(s);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        CCZ_AUTO(ccz_secret) key = NULL;
        CCZ_AUTO(ccz_secret) back = NULL;
        CHECK(cczi_kms_key_generate(&key, kinds[i], &err) == CCZ_OK);
        s.what.spec.kind = kinds[i];
        new_token(&s);
        ccz_buf_clear(&s.blob);
        CHECK(cczi_kms_import_wrap(&s.blob, ccz_buf_span(&s.spki), key, &err) == CCZ_OK);
        CHECK(open_as(&back, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW) == CCZ_OK);
        CHECK(ccz_secret_size(back) == ccz_secret_size(key));
        CHECK(memcmp(ccz_secret_view(back), ccz_secret_view(key), ccz_secret_size(key)) == 0);
    }
    /* opened, and then what cczi_kms_key_import() says of it */
    s.what.spec.kind = CCZI_KEY_AES_256_GCM;
    CCZ_AUTO(ccz_secret) small = filled(1, 31);
    CCZ_AUTO(ccz_secret) zero = filled(0, 32);
    struct ccz_secret *none;
    new_token(&s);
    ccz_buf_clear(&s.blob);
    CHECK(cczi_kms_import_wrap(&s.blob, ccz_buf_span(&s.spki), small, &err) == CCZ_OK);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_FORMAT,
            "kms:key-size");
    new_token(&s);
    ccz_buf_clear(&s.blob);
    CHECK(cczi_kms_import_wrap(&s.blob, ccz_buf_span(&s.spki), zero, &err) == CCZ_OK);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_FORMAT,
            "kms:key-weak");
}

/* No MAC, another MAC of the same size, parts of the right one: nothing of this is a token. */
static void test_token_forged(void)
{
    SITE(s);
    struct ccz_span text = ccz_buf_span(&s.token);
    CHECK(text.size == 78);
    CCZ_AUTO_BUF bytes, forged;
    ccz_buf_init(&bytes, 2 * TOKEN_BYTES);
    ccz_buf_init(&forged, 4 * TOKEN_BYTES);
    CHECK(ccz_base64_get(&bytes, text, CCZ_BASE64_URL, &err) == CCZ_OK);
    CHECK(bytes.size == TOKEN_BYTES);
    refuse_token(&s, CCZ_SPAN(NULL, 0));
    refuse_token(&s, ccz_span_str("undefined"));
    for (size_t cut = 0; cut < TOKEN_BYTES; cut++) { /* shorter, down to none */
        ccz_buf_clear(&forged);
        ccz_base64_put(&forged, CCZ_SPAN(bytes.ptr, cut), CCZ_BASE64_URL);
        refuse_token(&s, ccz_buf_span(&forged));
    }
    for (size_t bit = 0; bit < 8 * TOKEN_BYTES; bit++) {
        bytes.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ccz_buf_clear(&forged);
        ccz_base64_put(&forged, ccz_buf_span(&bytes), CCZ_BASE64_URL);
        refuse_token(&s, ccz_buf_span(&forged));
        bytes.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (int fill = 0; fill < 2; fill++) { /* a MAC of zeros, of ones */
        CCZ_AUTO_BUF copy;
        ccz_buf_init(&copy, TOKEN_BYTES);
        ccz_buf_put(&copy, bytes.ptr, TOKEN_BYTES);
        memset(copy.ptr + TOKEN_BYTES - 32, fill ? 0xff : 0, 32);
        ccz_buf_clear(&forged);
        ccz_base64_put(&forged, ccz_buf_span(&copy), CCZ_BASE64_URL);
        refuse_token(&s, ccz_buf_span(&forged));
    }
    ccz_buf_u8(&bytes, 0); /* longer */
    ccz_buf_clear(&forged);
    ccz_base64_put(&forged, ccz_buf_span(&bytes), CCZ_BASE64_URL);
    refuse_token(&s, ccz_buf_span(&forged));
    accept(&s);
}

/* A token for something else, each part of it alone. */
static void test_token_bound(void)
{
    SITE(s);
    const struct cczi_kms_import what = s.what;
    static const char *const names[] = {"models/fmnis", "models/fmnist2", "", "other"};
    for (size_t i = 0; i < 4; i++) {
        s.what.name = names[i];
        refuse_token(&s, ccz_buf_span(&s.token));
    }
    s.what = what;
    s.what.spec.kind = CCZI_KEY_CHACHA20_POLY1305;
    refuse_token(&s, ccz_buf_span(&s.token));
    s.what = what;
    s.what.spec.ops = CCZI_OP_BIT(CCZI_OP_DECRYPT);
    refuse_token(&s, ccz_buf_span(&s.token));
    s.what = what;
    s.what.spec.exportable = true;
    refuse_token(&s, ccz_buf_span(&s.token));
    s.what = what;
    s.what.spec.expires_s = NOW + 1;
    refuse_token(&s, ccz_buf_span(&s.token));
    s.what = what;
    CCZ_AUTO(ccz_pkey) other = NULL; /* another wrapping key: a KMS that has started anew */
    CHECK(ccz_pkey_generate(&other, CCZ_PKEY_RSA_3072, &err) == CCZ_OK);
    s.what.wrapping = other;
    refuse_token(&s, ccz_buf_span(&s.token));
    s.what = what;
    struct ccz_secret *right = s.token_key; /* another KMS */
    s.token_key = filled(0x5b, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE);
    refuse_token(&s, ccz_buf_span(&s.token));
    ccz_secret_free(s.token_key);
    s.token_key = right;
    accept(&s);
}

static void test_token_time(void)
{
    SITE(s);
    struct ccz_secret *none;
    struct ccz_span token = ccz_buf_span(&s.token), blob = ccz_buf_span(&s.blob);
    REFUSED(open_as(&none, &s, token, blob, NOW + 3600), CCZ_E_EXPIRED, "kms:import-expired");
    REFUSED(open_as(&none, &s, token, blob, INT64_MAX), CCZ_E_EXPIRED, "kms:import-expired");
    REFUSED(open_as(&none, &s, token, blob, NOW - 2 * 86400), CCZ_E_EXPIRED,
            "kms:import-expired"); /* the clock went back */
    CCZ_AUTO(ccz_secret) m = NULL;
    CHECK(open_as(&m, &s, token, blob, NOW + 3599) == CCZ_OK);
    CCZ_AUTO_BUF more;
    ccz_buf_init(&more, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    static const int64_t lives[] = {-1, 86401, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 4; i++)
        REFUSED(cczi_kms_import_token(&more, s.token_key, &s.what, lives[i], NOW, &err), CCZ_E_ARG,
                "kms:import-life");
    REFUSED(cczi_kms_import_token(&more, s.token_key, &s.what, 0, -1, &err), CCZ_E_ARG,
            "kms:import-life");
    CHECK(more.size == 0);
    CHECK(cczi_kms_import_token(&more, s.token_key, &s.what, 86400, NOW, &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) late = NULL;
    CHECK(open_as(&late, &s, ccz_buf_span(&more), blob, NOW + 86399) == CCZ_OK);
}

static void test_token_once(void)
{
    SITE(s);
    struct ccz_secret *none;
    accept(&s);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_DENIED,
            "kms:import-used");
    /* as long as it has not expired, also after others were forgotten */
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW + 3599),
            CCZ_E_DENIED, "kms:import-used");
    CCZ_AUTO_BUF old; /* nor when the clock is set back after they were */
    ccz_buf_init(&old, 256);
    ccz_buf_put_span(&old, ccz_buf_span(&s.token));
    new_token_at(&s, NOW + 4000);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), CCZ_SPAN(NULL, 0), NOW + 4000), CCZ_E_SIG,
            "kms:import-blob");
    REFUSED(open_as(&none, &s, ccz_buf_span(&old), ccz_buf_span(&s.blob), NOW + 10), CCZ_E_EXPIRED,
            "kms:import-expired");
}

static void test_token_once_failed(void)
{
    SITE(s);
    struct ccz_secret *none;
    new_token(&s); /* an attempt that fails is one, too */
    s.blob.ptr[0] ^= 1;
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_SIG,
            "kms:import-blob");
    s.blob.ptr[0] ^= 1;
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_DENIED,
            "kms:import-used");
    new_token(&s);
    accept(&s);
}

/* @p n tokens of a name, and then one more that finds no room. */
static void use_up(struct site *s, const char *name, size_t n)
{
    struct ccz_secret *none;
    const struct ccz_span no_blob = {0};
    s->what.name = name;
    for (size_t i = 0; i < n; i++) {
        new_token(s);
        REFUSED(open_as(&none, s, ccz_buf_span(&s->token), no_blob, NOW), CCZ_E_SIG,
                "kms:import-blob");
    }
    new_token(s);
    REFUSED(open_as(&none, s, ccz_buf_span(&s->token), no_blob, NOW), CCZ_E_LIMIT,
            "kms:import-busy");
}

static void test_busy(void)
{
    SITE(s);
    struct ccz_secret *none;
    /* whoever imports in one namespace leaves half of it to others, of whom each has an eighth */
    static const char *const others[] = {"b/key", "c", "dd/key", "d/key"};
    use_up(&s, "a/key", CCZI_KMS_IMPORT_USED_MAX / 2);
    use_up(&s, "a/another", 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        use_up(&s, others[i], CCZI_KMS_IMPORT_USED_MAX / 8);
    s.what.name = "models/fmnist";
    new_token(&s);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_LIMIT,
            "kms:import-busy");
    /* an hour later all of them have expired, and this one was not used up */
    ccz_buf_clear(&s.token);
    CHECK(cczi_kms_import_token(&s.token, s.token_key, &s.what, 0, NOW + 3600, &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) m = NULL;
    CHECK(open_as(&m, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW + 3600) == CCZ_OK);
}

static void test_blob(void)
{
    SITE(s);
    struct ccz_secret *none;
    CHECK(s.blob.size == 384 + 40);
    static const size_t cuts[] = {0, 1, 383, 384, 391, 400, 423};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        new_token(&s);
        REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), CCZ_SPAN(s.blob.ptr, cuts[i]), NOW),
                CCZ_E_SIG, "kms:import-blob");
    }
    for (size_t at = 0; at < s.blob.size; at += 13) {
        new_token(&s);
        s.blob.ptr[at] ^= 0x20;
        REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_SIG,
                "kms:import-blob");
        CHECK(!none);
        s.blob.ptr[at] ^= 0x20;
    }
    /* a session key of another size, around a key that it does wrap */
    CCZ_AUTO(ccz_secret) k = filled(3, 16);
    struct ccz_span kek = CCZ_SPAN(ccz_secret_view(k), 16);
    ccz_buf_clear(&s.blob);
    CHECK(ccz_pkey_oaep_seal(&s.blob, s.wrapping, CCZ_SHA256, kek, &err) == CCZ_OK);
    CHECK(ccz_aes_kwp_wrap(&s.blob, kek, ccz_span_str("0123456789abcdef0123456789abcdef")) ==
          CCZ_OK);
    new_token(&s);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW), CCZ_E_SIG,
            "kms:import-blob");
    static uint8_t big[CCZI_KMS_IMPORT_BLOB_SIZE_MAX + 1];
    new_token(&s);
    REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), CCZ_SPAN(big, sizeof(big)), NOW), CCZ_E_SIG,
            "kms:import-blob");
}

static void test_config(void)
{
    SITE(s);
    CCZ_AUTO_BUF out, spki;
    ccz_buf_init(&out, ROOM);
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    CCZ_AUTO(ccz_pkey) weak = NULL;
    CCZ_AUTO(ccz_pkey) ec = NULL;
    CHECK(ccz_pkey_generate(&weak, CCZ_PKEY_RSA_2048, &err) == CCZ_OK);
    CHECK(ccz_pkey_generate(&ec, CCZ_PKEY_P256, &err) == CCZ_OK);
    const struct ccz_pkey *const keys[] = {weak, ec};
    CCZ_AUTO(ccz_secret) key = filled(7, 32);
    struct ccz_secret *none;
    for (size_t i = 0; i < 2; i++) {
        s.what.wrapping = keys[i];
        REFUSED(cczi_kms_import_token(&out, s.token_key, &s.what, 0, NOW, &err), CCZ_E_UNSUPPORTED,
                "kms:import-wrapping");
        REFUSED(open_as(&none, &s, ccz_buf_span(&s.token), ccz_buf_span(&s.blob), NOW),
                CCZ_E_UNSUPPORTED, "kms:import-wrapping");
        ccz_buf_clear(&spki);
        CHECK(ccz_pkey_spki(&spki, keys[i]) == CCZ_OK);
        REFUSED(cczi_kms_import_wrap(&out, ccz_buf_span(&spki), key, &err), CCZ_E_UNSUPPORTED,
                "kms:import-wrapping");
    }
    s.what.wrapping = s.wrapping;
    REFUSED(cczi_kms_import_wrap(&out, ccz_span_str("no key"), key, &err), CCZ_E_FORMAT,
            "pkey:spki");
    /* a key for tokens that is missing or empty is an error, never a match */
    REFUSED(cczi_kms_import_token(&out, NULL, &s.what, 0, NOW, &err), CCZ_E_ARG,
            "kms:import-token-key");
    CCZ_AUTO(ccz_secret) small = filled(1, 16);
    REFUSED(cczi_kms_import_token(&out, small, &s.what, 0, NOW, &err), CCZ_E_ARG,
            "kms:import-token-key");
    REFUSED(cczi_kms_import_open(&none, s.used, NULL, &s.what, ccz_buf_span(&s.token),
                                 ccz_buf_span(&s.blob), NOW, &err),
            CCZ_E_ARG, "kms:import-token-key");
    CHECK(out.size == 0);
    CCZ_AUTO_BUF small_blob; /* no room: nothing half written */
    ccz_buf_init(&small_blob, 400);
    REFUSED(cczi_kms_import_wrap(&small_blob, ccz_buf_span(&s.spki), key, &err), CCZ_E_NOMEM,
            "kms:import-blob");
    CHECK(small_blob.size == 0);
    accept(&s);
}

static const struct ccz_test tests[] = {
    {"kms.import", test_import},
    {"kms.import_token_forged", test_token_forged},
    {"kms.import_token_bound", test_token_bound},
    {"kms.import_token_time", test_token_time},
    {"kms.import_token_once", test_token_once},
    {"kms.import_token_once_failed", test_token_once_failed},
    {"kms.import_busy", test_busy},
    {"kms.import_blob", test_blob},
    {"kms.import_config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
