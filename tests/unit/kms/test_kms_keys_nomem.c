/* SPDX-License-Identifier: Apache-2.0 */
/* Whole uses of keys with each allocation failing in turn, then also some of OpenSSL's thousands: an error that says where, no
 * output, nothing lost. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "nomem.h"

#include "kms/kms_keys.h"
#include "kms/wrapping_key.h"

#include <openssl/err.h>

enum { NOW = 1700000000, ROOM = 8192, ALLOCATIONS_MAX = 100000, STRIDE = 97 };

static struct ccz_err err;
static struct ccz_pkey *wrapping;
static struct ccz_secret *token_key;
static uint8_t blob[ROOM];
static size_t blob_size;

/* A step failed as it should: with a place. */
static bool ok(ccz_rc rc)
{
    CHECK(rc == CCZ_OK || err.where[0] != 0);
    if (rc == CCZ_OK)
        return true;
    err = (struct ccz_err){0};
    return false;
}

static bool gave(struct ccz_secret *s, ccz_rc rc)
{
    CHECK((rc == CCZ_OK) == (s != NULL));
    return ok(rc);
}

static struct ccz_span view(const struct ccz_secret *s)
{
    return CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s));
}

/* @return false: something was refused */
static bool symmetric(void)
{
    const struct ccz_span aad = ccz_span_str("aad"), text = ccz_span_str("text");
    CCZ_AUTO(ccz_secret) m = NULL;
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO(ccz_secret) data = NULL;
    CCZ_AUTO(ccz_secret) derived = NULL;
    CCZ_AUTO(ccz_secret) unwrapped = NULL;
    CCZ_AUTO(cczi_kms_key) k = NULL;
    CCZ_AUTO_BUF sealed, again, dk, wrapped;
    ccz_buf_init(&sealed, ROOM);
    ccz_buf_init(&again, ROOM);
    ccz_buf_init(&dk, ROOM);
    ccz_buf_init(&wrapped, ROOM);
    ccz_rc rc = cczi_kms_key_generate(&m, CCZI_KEY_AES_256_GCM, &err);
    if (!gave(m, rc))
        return false;
    if (!ok(cczi_kms_key_open(&k, CCZI_KEY_AES_256_GCM, 1, m, &err)))
        return false;
    bool done = ok(cczi_kms_key_encrypt(&sealed, k, aad, text, &err));
    CHECK(done || sealed.size == 0);
    done = done && ok(cczi_kms_key_rewrap(&again, k, k, aad, ccz_buf_span(&sealed), &err));
    CHECK(done || again.size == 0);
    if (!done || !ok(cczi_kms_key_decrypt(&plain, k, aad, ccz_buf_span(&again), &err)))
        return false;
    CHECK(ccz_span_eq(view(plain), text));
    return ok(cczi_kms_key_data_key(&data, &dk, k, 32, aad, &err)) &&
           ok(cczi_kms_key_wrap(&wrapped, k, view(data), &err)) &&
           ok(cczi_kms_key_unwrap(&unwrapped, k, ccz_buf_span(&wrapped), &err)) &&
           ok(cczi_kms_key_derive(&derived, k, text, 32, &err));
}

static bool pair(enum cczi_kms_key_kind kind)
{
    const struct ccz_sign_how how = {0};
    CCZ_AUTO(ccz_secret) m = NULL;
    CCZ_AUTO(ccz_secret) imported = NULL;
    CCZ_AUTO(cczi_kms_key) k = NULL;
    CCZ_AUTO_BUF sig, pem;
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    ccz_buf_init(&pem, ROOM);
    return ok(cczi_kms_key_generate(&m, kind, &err)) &&
           ok(cczi_kms_key_import(&imported, kind, m, &err)) &&
           ok(cczi_kms_key_open(&k, kind, 1, imported, &err)) &&
           ok(cczi_kms_key_public_pem(&pem, k, &err)) &&
           ok(cczi_kms_key_sign(&sig, k, &how, ccz_span_str("m"), &err)) &&
           ok(cczi_kms_key_verify(k, &how, ccz_span_str("m"), ccz_buf_span(&sig), &err));
}

static bool pairs(void)
{
    return pair(CCZI_KEY_ED25519) && pair(CCZI_KEY_ECDSA_P256);
}

static bool import(void)
{
    const struct cczi_kms_import what = {
        .name = "a", .spec = {.kind = CCZI_KEY_AES_256_GCM}, .wrapping = wrapping};
    CCZ_AUTO(cczi_kms_import_used) used = NULL;
    CCZ_AUTO(ccz_secret) m = NULL;
    CCZ_AUTO_BUF token, spki, own;
    ccz_buf_init(&token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_buf_init(&own, ROOM);
    if (cczi_kms_import_used_new(&used) != CCZ_OK || ccz_pkey_spki(&spki, wrapping) != CCZ_OK)
        return false;
    if (!ok(cczi_kms_import_wrap(&own, ccz_buf_span(&spki), token_key, &err))) {
        CHECK(own.size == 0);
        return false;
    }
    if (!ok(cczi_kms_import_token(&token, token_key, &what, 0, NOW, &err))) {
        CHECK(token.size == 0);
        return false;
    }
    ccz_rc rc = cczi_kms_import_open(&m, used, token_key, &what, ccz_buf_span(&token),
                                     CCZ_SPAN(blob, blob_size), NOW, &err);
    return gave(m, rc);
}

static void each(bool (*use)(void), long stride)
{
    CHECK(use()); /* what OpenSSL makes once */
    long k = 0;
    for (bool done = false; !done && k < ALLOCATIONS_MAX; k += stride) {
        nomem_left = k;
        done = use();
        done = done && nomem_left >= 0; /* the k-th was not asked for any more */
        nomem_left = -1;
        ERR_clear_error();
    }
    CHECK(k > 5 && k < ALLOCATIONS_MAX);
    CHECK(use()); /* with memory again */
}

static void uses(long stride)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    CCZ_AUTO_BUF spki, out;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_buf_init(&out, ROOM);
    size_t size = strlen(wrapping_pkcs8) / 2;
    CHECK(ccz_secret_new(&der, size) == CCZ_OK);
    CHECK(ccz_unhex(ccz_secret_bytes(der), size, wrapping_pkcs8, 2 * size) == CCZ_OK);
    CHECK(ccz_pkey_from_pkcs8(&wrapping, der, CCZ_PKEY_OWN, &err) == CCZ_OK);
    CHECK(ccz_pkey_spki(&spki, wrapping) == CCZ_OK);
    CHECK(ccz_secret_new(&token_key, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE) == CCZ_OK);
    ccz_secret_bytes(token_key)[0] = 1;
    CHECK(cczi_kms_import_wrap(&out, ccz_buf_span(&spki), token_key, &err) == CCZ_OK);
    memcpy(blob, out.ptr, out.size);
    blob_size = out.size;
    each(symmetric, stride);
    each(pairs, stride);
    each(import, stride);
    ccz_pkey_free(wrapping);
    ccz_secret_free(token_key);
}

static void test_openssl(void)
{
    CHECK(nomem_openssl());
    uses(STRIDE);
}

static void test_ours(void)
{
    uses(1);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"kms.key_nomem_openssl", test_openssl},
                                            {"kms.key_nomem", test_ours}};
    return ccz_test_main(tests, 2, argc, argv);
}
