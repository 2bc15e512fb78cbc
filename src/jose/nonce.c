/* SPDX-License-Identifier: Apache-2.0 */
/* Nonces without memory: time (5 bytes, big-endian seconds), 11 random bytes, 16 bytes of MAC over both. */
#include "jose_priv.h"

#include <string.h>

enum {
    TIME_SIZE = CCZ_NONCE_TIME_SIZE, /* beyond the year 9999 */
    MAC_AT = 16,
    MAC_SIZE = CCZ_NONCE_SIZE - MAC_AT,
    KEY_SIZE_MIN = 32,
    KEY_SIZE_MAX = 64,
};

static const char purpose[] = "cczoo nonce v1";

static ccz_rc mac(uint8_t out[MAC_SIZE], const struct ccz_secret *key, const uint8_t *nonce)
{
    uint8_t whole[32];
    const struct ccz_span parts[] = {CCZ_SPAN(purpose, sizeof(purpose)), CCZ_SPAN(nonce, MAC_AT)};
    ccz_rc rc =
        ccz_hmac(whole, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(key), ccz_secret_size(key)), parts, 2);
    if (rc == CCZ_OK)
        memcpy(out, whole, MAC_SIZE);
    ccz_wipe(whole, sizeof(whole));
    return rc;
}

static bool usable(const struct ccz_secret *key, int64_t now_s)
{
    return key && ccz_secret_size(key) >= KEY_SIZE_MIN && ccz_secret_size(key) <= KEY_SIZE_MAX &&
           now_s >= 0 && now_s <= CCZ_JWT_TIME_MAX_S;
}

ccz_rc ccz_nonce_new(char text[CCZ_NONCE_TEXT_SIZE + 1], const struct ccz_secret *key,
                     int64_t now_s)
{
    uint8_t nonce[CCZ_NONCE_SIZE];
    memset(text, 0, CCZ_NONCE_TEXT_SIZE + 1);
    if (!usable(key, now_s))
        return CCZ_E_ARG;
    for (size_t i = 0; i < TIME_SIZE; i++)
        nonce[i] = (uint8_t)(now_s >> 8 * (TIME_SIZE - 1 - i));
    ccz_rc rc = ccz_random(nonce + TIME_SIZE, MAC_AT - TIME_SIZE);
    if (rc == CCZ_OK)
        rc = mac(nonce + MAC_AT, key, nonce);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF base64;
    ccz_buf_init(&base64, CCZ_NONCE_TEXT_SIZE);
    ccz_base64_put(&base64, CCZ_SPAN(nonce, sizeof(nonce)), CCZ_BASE64_STD);
    if (base64.bad)
        return CCZ_E_NOMEM;
    memcpy(text, base64.ptr, CCZ_NONCE_TEXT_SIZE);
    return CCZ_OK;
}

static ccz_rc check_age(const uint8_t *nonce, int64_t now_s, int64_t age_max_s, int64_t skew_s,
                        struct ccz_err *err)
{
    int64_t made = 0;
    for (size_t i = 0; i < TIME_SIZE; i++)
        made = made << 8 | nonce[i];
    if (made > now_s + skew_s)
        return ccz_refuse_num(err, CCZ_E_EXPIRED, "nonce:future", made, now_s);
    if (now_s - made > age_max_s)
        return ccz_refuse_num(err, CCZ_E_EXPIRED, "nonce:age", now_s - made, age_max_s);
    return CCZ_OK;
}

ccz_rc ccz_nonce_check(uint8_t nonce[CCZ_NONCE_SIZE], struct ccz_span text,
                       const struct ccz_secret *key, int64_t now_s, int64_t age_max_s,
                       int64_t skew_s, struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    uint8_t want[MAC_SIZE];
    struct ccz_err why = {0};
    memset(nonce, 0, CCZ_NONCE_SIZE);
    ccz_buf_init(&bytes, CCZ_NONCE_SIZE + 1); /* as many as that text can hold */
    if (!usable(key, now_s) || age_max_s < 1 || age_max_s > CCZ_NONCE_AGE_MAX_S || skew_s < 0 ||
        skew_s > CCZ_JWT_SKEW_MAX_S)
        return ccz_fail(err, CCZ_E_ARG, "nonce:config", 0, "key, time, age or skew out of range");
    if (text.size != CCZ_NONCE_TEXT_SIZE)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "nonce:text", (int64_t)text.size,
                              CCZ_NONCE_TEXT_SIZE);
    ccz_rc rc = ccz_base64_get(&bytes, text, CCZ_BASE64_STD, &why);
    if (rc == CCZ_E_LIMIT)
        return ccz_fail(err, CCZ_E_NOMEM, "nonce:text", 0, "out of memory");
    if (rc != CCZ_OK || bytes.size != CCZ_NONCE_SIZE) /* 31 bytes have as many characters */
        return ccz_fail(err, CCZ_E_FORMAT, "nonce:text", why.aux, "no 32 bytes in base64");
    rc = mac(want, key, bytes.ptr);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "nonce:mac", 0, "%s", ccz_rc_str(rc));
    int same = ccz_ct_eq(want, bytes.ptr + MAC_AT, MAC_SIZE);
    ccz_wipe(want, sizeof(want));
    if (!same)
        return ccz_fail(err, CCZ_E_SIG, "nonce:foreign", 0, "this server has not made it");
    if ((rc = check_age(bytes.ptr, now_s, age_max_s, skew_s, err)) == CCZ_OK)
        memcpy(nonce, bytes.ptr, CCZ_NONCE_SIZE);
    return rc;
}
