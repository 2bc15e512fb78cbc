/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption, data keys, wrapping, derivation, HMAC; RSA-OAEP where the kind is RSA. */
#include "keys_priv.h"

#include "base/ct.h"

#include <string.h>

enum {
    FORMAT = 1,
    SALT_SIZE = 24,
    HEAD_SIZE = 1 + SALT_SIZE,
    MESSAGE_KEY_SIZE = 32,
    DATA_KEY_SIZE_MAX = 1024,
    DERIVED_SIZE_MIN = 16,
    DERIVED_SIZE_MAX = 64,
};

static struct ccz_span raw(const struct cczi_kms_key *key)
{
    return CCZ_SPAN(ccz_secret_view(key->raw), ccz_secret_size(key->raw));
}

static struct ccz_span view(const struct ccz_secret *s)
{
    return CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s));
}

/* -------------------------------------------------------------------------------- AEAD */

/* @param[out] block  message key, nonce, rest; the caller wipes it */
static ccz_rc message_key(uint8_t block[CCZ_HASH_SIZE_MAX], const struct cczi_kms_key *key,
                          const uint8_t salt[SALT_SIZE])
{
    uint8_t label[CCZI_KEY_LABEL_SIZE_MAX];
    const struct ccz_span parts[] = {
        CCZ_SPAN(label, cczi_kms_key_label(label, "cczoo kms message v1", key)),
        CCZ_SPAN(salt, SALT_SIZE)};
    return ccz_hmac(block, CCZ_SHA512, raw(key), parts, 2);
}

static ccz_rc seal(struct ccz_buf *sealed, const struct cczi_kms_key *key, struct ccz_span aad,
                   struct ccz_span text)
{
    uint8_t block[CCZ_HASH_SIZE_MAX], *p;
    p = ccz_buf_extend(sealed, HEAD_SIZE + text.size + CCZ_AEAD_TAG_SIZE);
    if (!p)
        return CCZ_E_NOMEM;
    p[0] = FORMAT;
    ccz_rc rc = ccz_random(p + 1, SALT_SIZE);
    if (rc == CCZ_OK)
        rc = message_key(block, key, p + 1);
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(key->aead, p + HEAD_SIZE, p + HEAD_SIZE + text.size, block,
                           block + MESSAGE_KEY_SIZE, aad, text);
    ccz_wipe(block, sizeof(block));
    return rc;
}

static ccz_rc unseal(struct ccz_secret **text, const struct cczi_kms_key *key, struct ccz_span aad,
                     struct ccz_span sealed)
{
    struct ccz_rd r = ccz_rd_from(sealed);
    uint8_t format = ccz_rd_u8(&r), block[CCZ_HASH_SIZE_MAX];
    struct ccz_span salt = ccz_rd_take(&r, SALT_SIZE);
    if (r.bad || format != FORMAT || r.left <= CCZ_AEAD_TAG_SIZE ||
        r.left - CCZ_AEAD_TAG_SIZE > CCZI_KMS_KEY_TEXT_SIZE_MAX)
        return CCZ_E_SIG;
    size_t size = r.left - CCZ_AEAD_TAG_SIZE;
    CCZ_AUTO(ccz_secret) out = NULL;
    ccz_rc rc = ccz_secret_new(&out, size);
    if (rc == CCZ_OK)
        rc = message_key(block, key, salt.ptr);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(key->aead, ccz_secret_bytes(out), r.ptr + size, block,
                           block + MESSAGE_KEY_SIZE, aad, CCZ_SPAN(r.ptr, size));
    ccz_wipe(block, sizeof(block));
    if (rc == CCZ_OK)
        *text = ccz_secret_take(&out);
    return rc;
}

/* ---------------------------------------------------------------------- encrypt, decrypt */

static ccz_rc check_aad(const struct cczi_kms_key *key, struct ccz_span aad, struct ccz_err *err)
{
    if (key->pair && aad.size > 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "kms:key-aad", (int64_t)aad.size,
                        "a key of kind %s cannot bind associated data",
                        cczi_kms_key_kind_name(key->kind));
    return cczi_kms_key_size_ok("associated data", aad.size, 0, CCZI_KMS_KEY_AAD_SIZE_MAX, err);
}

/* What encrypt, data_key and rewrap have in common. */
static ccz_rc encrypt(struct ccz_buf *sealed, const struct cczi_kms_key *key, struct ccz_span aad,
                      struct ccz_span text, struct ccz_err *err)
{
    size_t room =
        key->pair ? ccz_pkey_oaep_room(key->pair, CCZ_SHA256) : (size_t)CCZI_KMS_KEY_TEXT_SIZE_MAX;
    ccz_rc rc = check_aad(key, aad, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("text", text.size, 1, room, err);
    if (rc != CCZ_OK)
        return rc;
    size_t before = sealed->size;
    if (key->pair)
        return ccz_pkey_oaep_seal(sealed, key->pair, CCZ_SHA256, text, err);
    rc = seal(sealed, key, aad, text);
    if (rc == CCZ_OK)
        return CCZ_OK;
    sealed->size = before;
    return ccz_fail(err, rc, "kms:key-encrypt", 0, "cannot encrypt");
}

static ccz_rc decrypt(struct ccz_secret **text, const struct cczi_kms_key *key, struct ccz_span aad,
                      struct ccz_span sealed, struct ccz_err *err)
{
    *text = NULL;
    ccz_rc rc = check_aad(key, aad, err);
    if (rc != CCZ_OK)
        return rc;
    rc = key->pair ? ccz_pkey_oaep_open(text, key->pair, CCZ_SHA256, sealed, NULL)
                   : unseal(text, key, aad, sealed);
    if (rc == CCZ_OK)
        return CCZ_OK;
    return ccz_fail(err, rc, "kms:key-decrypt", key->version,
                    "does not open under version %u with these associated data", key->version);
}

ccz_rc cczi_kms_key_encrypt(struct ccz_buf *sealed, const struct cczi_kms_key *key,
                            struct ccz_span aad, struct ccz_span text, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_ENCRYPT, err);
    return rc == CCZ_OK ? encrypt(sealed, key, aad, text, err) : rc;
}

ccz_rc cczi_kms_key_decrypt(struct ccz_secret **text, const struct cczi_kms_key *key,
                            struct ccz_span aad, struct ccz_span sealed, struct ccz_err *err)
{
    *text = NULL;
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_DECRYPT, err);
    return rc == CCZ_OK ? decrypt(text, key, aad, sealed, err) : rc;
}

ccz_rc cczi_kms_key_data_key(struct ccz_secret **plain, struct ccz_buf *sealed,
                             const struct cczi_kms_key *key, size_t size, struct ccz_span aad,
                             struct ccz_err *err)
{
    if (plain)
        *plain = NULL;
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_DATA_KEY, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("data key", size, 1, DATA_KEY_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_secret) data = NULL;
    rc = ccz_secret_new(&data, size);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(data), size);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:key-generate", 0, "cannot make a data key");
    rc = encrypt(sealed, key, aad, view(data), err);
    if (rc == CCZ_OK && plain)
        *plain = ccz_secret_take(&data);
    return rc;
}

ccz_rc cczi_kms_key_rewrap(struct ccz_buf *out, const struct cczi_kms_key *to,
                           const struct cczi_kms_key *from, struct ccz_span aad,
                           struct ccz_span sealed, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(to, CCZI_OP_REWRAP, err);
    if (rc != CCZ_OK)
        return rc;
    if (to->kind != from->kind)
        return ccz_refuse(err, CCZ_E_ARG, "kms:key-rewrap", cczi_kms_key_kind_name(from->kind),
                          cczi_kms_key_kind_name(to->kind));
    CCZ_AUTO(ccz_secret) text = NULL;
    rc = decrypt(&text, from, aad, sealed, err);
    return rc == CCZ_OK ? encrypt(out, to, aad, view(text), err) : rc;
}

/* ------------------------------------------------------------------------- wrap, unwrap */

ccz_rc cczi_kms_key_wrap(struct ccz_buf *wrapped, const struct cczi_kms_key *key,
                         struct ccz_span text, struct ccz_err *err)
{
    size_t room = key->pair ? ccz_pkey_oaep_room(key->pair, CCZ_SHA256) : (size_t)CCZ_KWP_SIZE_MAX;
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_WRAP, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("key", text.size, 1, room, err);
    if (rc != CCZ_OK)
        return rc;
    if (key->pair)
        return ccz_pkey_oaep_seal(wrapped, key->pair, CCZ_SHA256, text, err);
    rc = ccz_aes_kwp_wrap(wrapped, raw(key), text);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "kms:key-wrap", 0, "cannot wrap");
}

ccz_rc cczi_kms_key_unwrap(struct ccz_secret **text, const struct cczi_kms_key *key,
                           struct ccz_span wrapped, struct ccz_err *err)
{
    *text = NULL;
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_UNWRAP, err);
    if (rc != CCZ_OK)
        return rc;
    rc = key->pair ? ccz_pkey_oaep_open(text, key->pair, CCZ_SHA256, wrapped, NULL)
                   : ccz_aes_kwp_unwrap(text, raw(key), wrapped);
    if (rc == CCZ_OK)
        return CCZ_OK;
    return ccz_fail(err, rc, "kms:key-unwrap", key->version, "does not open under version %u",
                    key->version);
}

/* ------------------------------------------------------------------------- derive, HMAC */

ccz_rc cczi_kms_key_derive(struct ccz_secret **out, const struct cczi_kms_key *key,
                           struct ccz_span context, size_t size, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_DERIVE, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("context", context.size, 1, CCZI_KMS_KEY_CONTEXT_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("derived key", size, DERIVED_SIZE_MIN, DERIVED_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t info[CCZI_KEY_LABEL_SIZE_MAX + CCZI_KMS_KEY_CONTEXT_SIZE_MAX];
    size_t n = cczi_kms_key_label(info, "cczoo kms derive v1", key);
    memcpy(info + n, context.ptr, context.size);
    CCZ_AUTO(ccz_secret) derived = NULL;
    rc = ccz_secret_new(&derived, size);
    if (rc == CCZ_OK)
        rc = ccz_hkdf(ccz_secret_bytes(derived), size, CCZ_SHA256, CCZ_SPAN(NULL, 0), raw(key),
                      CCZ_SPAN(info, n + context.size));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:key-derive", 0, "cannot derive a key");
    *out = ccz_secret_take(&derived);
    return CCZ_OK;
}

static ccz_rc hmac(uint8_t mac[CCZI_KMS_KEY_MAC_SIZE], const struct cczi_kms_key *key,
                   enum cczi_kms_key_op op, struct ccz_span message, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(key, op, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("message", message.size, 0, CCZI_KMS_KEY_MESSAGE_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_hmac(mac, CCZ_SHA256, raw(key), &message, 1);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "kms:key-hmac", 0, "cannot compute an HMAC");
}

ccz_rc cczi_kms_key_hmac(uint8_t mac[CCZI_KMS_KEY_MAC_SIZE], const struct cczi_kms_key *key,
                         struct ccz_span message, struct ccz_err *err)
{
    return hmac(mac, key, CCZI_OP_HMAC, message, err);
}

ccz_rc cczi_kms_key_hmac_verify(const struct cczi_kms_key *key, struct ccz_span message,
                                struct ccz_span mac, struct ccz_err *err)
{
    uint8_t want[CCZI_KMS_KEY_MAC_SIZE];
    ccz_rc rc = hmac(want, key, CCZI_OP_HMAC_VERIFY, message, err);
    if (rc != CCZ_OK)
        return rc;
    int ok = mac.size == sizeof(want) && ccz_ct_eq(want, mac.ptr, sizeof(want));
    CCZ_CT_PUBLIC(&ok, sizeof(ok));
    ccz_wipe(want, sizeof(want)); /* a MAC that was not asked for */
    return ok ? CCZ_OK
              : ccz_fail(err, CCZ_E_SIG, "kms:key-mac", (int64_t)mac.size,
                         "not the HMAC of the message under version %u", key->version);
}
