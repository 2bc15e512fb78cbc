/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JOSE_TEST_H
#define JOSE_TEST_H
/* Shared by the tests of src/jose; each uses some of it. */
#include "ccz_test.h"
#include "jose/jose_priv.h"
#include "refused.h"

#include <openssl/err.h>

#define UNUSED_IS_FINE __attribute__((unused))

static struct ccz_err err;

/* A refusal with its code and where; nothing is left in OpenSSL's queue. */
#define CHECK_REFUSED(call, want_rc, at)                                                           \
    do {                                                                                           \
        err = (struct ccz_err){.rc = CCZ_OK};                                                      \
        CHECK(is_refused((call), (want_rc), &err, (at)));                                          \
        CHECK(ERR_peek_error() == 0);                                                              \
    } while (0)
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        err = (struct ccz_err){.rc = CCZ_OK};                                                      \
        if ((call) != CCZ_OK) {                                                                    \
            fprintf(stderr, "%s: %s\n", err.where, err.msg);                                       \
            CHECK(!"refused");                                                                     \
        }                                                                                          \
        CHECK(ERR_peek_error() == 0);                                                              \
    } while (0)

UNUSED_IS_FINE static size_t from_base64url(uint8_t *out, size_t max, const char *text)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, max);
    CHECK(ccz_base64_get(&b, ccz_span_str(text), CCZ_BASE64_URL, NULL) == CCZ_OK);
    memcpy(out, b.ptr, b.size);
    return b.size;
}

UNUSED_IS_FINE static size_t from_hex(uint8_t *out, const char *hex)
{
    size_t size = strlen(hex) / 2;
    CHECK(ccz_unhex(out, size, hex, 2 * size) == CCZ_OK);
    return size;
}

UNUSED_IS_FINE static struct ccz_jwk *jwk_of(const char *json)
{
    struct ccz_jwk *k = NULL;
    CHECK_OK(ccz_jwk_parse(&k, ccz_span_str(json), &err));
    return k;
}

UNUSED_IS_FINE static bool text_is(struct ccz_buf *b, const char *want)
{
    if (strcmp(ccz_buf_str(b), want) == 0)
        return true;
    fprintf(stderr, "got      %s\nexpected %s\n", ccz_buf_str(b), want);
    return false;
}

/* PKCS#8 of a P-256 key given as in a JWK. */
UNUSED_IS_FINE static struct ccz_secret *pkcs8_of(const char *d, const char *x, const char *y)
{
    uint8_t der[138];
    CHECK(
        from_hex(der, "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420") ==
        36);
    CHECK(from_base64url(der + 36, 32, d) == 32);
    CHECK(from_hex(der + 68, "a14403420004") == 6);
    CHECK(from_base64url(der + 74, 32, x) == 32);
    CHECK(from_base64url(der + 106, 32, y) == 32);
    struct ccz_secret *s;
    CHECK(ccz_secret_from(&s, der, sizeof(der)) == CCZ_OK);
    return s;
}

UNUSED_IS_FINE static struct ccz_key *key_of(const char *d, const char *x, const char *y)
{
    CCZ_AUTO(ccz_secret) der = pkcs8_of(d, x, y);
    struct ccz_key *k;
    CHECK_OK(ccz_key_from_pkcs8(&k, der, &err));
    return k;
}

/* A fresh key and its public half as a JWK. */
UNUSED_IS_FINE static void make_pair(struct ccz_key **key, struct ccz_jwk **pub, enum ccz_curve c)
{
    CHECK(ccz_key_generate(key, c) == CCZ_OK);
    CHECK_OK(ccz_jwk_from_key(pub, *key, &err));
}

#endif
