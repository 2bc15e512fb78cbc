/* SPDX-License-Identifier: Apache-2.0 */
/* Wrapped keys: a data key sealed under a master key, as text. */
#include "agent_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>

#include <string.h>

static const char prefix[] = "ccz1.";
static const char label[] = "cczoo wrapped key v1"; /* for the key, and as associated data */
enum { HEAD_SIZE = 4, RAW_MIN = HEAD_SIZE + CCZ_AEAD_NONCE_SIZE + 1 + CCZ_AEAD_TAG_SIZE };

/* What holds for a sealed key besides its bytes. */
static void put_context(struct ccz_buf *aad, uint32_t version, const char *name)
{
    ccz_buf_init(aad, sizeof(label) + 4 + CCZ_KMS_NAME_SIZE);
    ccz_buf_put(aad, label, sizeof(label)); /* its NUL ends it */
    ccz_buf_le32(aad, version);
    ccz_buf_put_str(aad, name);
}

/* The master key may serve other purposes as well: this one has a key of its own. */
static ccz_rc open_key(struct ccz_secret **key, struct ccz_aead **aead,
                       const struct ccz_secret *master, struct ccz_err *err)
{
    ccz_rc rc = ccz_secret_derive(key, ccz_aead_key_size(CCZ_AES_256_GCM), master, label);
    if (rc == CCZ_OK)
        rc = ccz_aead_new(aead, CCZ_AES_256_GCM);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "agent:wrap", 0, "cannot set up the cipher");
}

ccz_rc ccz_agent_wrap(struct ccz_buf *out, const struct ccz_secret *master, uint32_t version,
                      const char *name, struct ccz_span plain, struct ccz_err *err)
{
    if (plain.size == 0 || plain.size > CCZ_AGENT_KEY_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "agent:key-size", (int64_t)plain.size,
                              CCZ_AGENT_KEY_SIZE_MAX);
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_aead) aead = NULL;
    CCZ_AUTO_BUF aad;
    put_context(&aad, version, name);
    uint8_t nonce[CCZ_AEAD_NONCE_SIZE], sealed[CCZ_AGENT_KEY_SIZE_MAX], tag[CCZ_AEAD_TAG_SIZE];
    ccz_rc rc = open_key(&key, &aead, master, err);
    if (rc != CCZ_OK)
        return rc;
    rc = aad.bad ? CCZ_E_NOMEM : ccz_random(nonce, sizeof(nonce));
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(aead, sealed, tag, ccz_secret_view(key), nonce, ccz_buf_span(&aad),
                           plain);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "agent:wrap", 0, "cannot wrap a key");
    CCZ_AUTO_BUF raw;
    ccz_buf_init(&raw, CCZ_AGENT_WRAPPED_SIZE_MAX);
    ccz_buf_le32(&raw, version);
    ccz_buf_put(&raw, nonce, sizeof(nonce));
    ccz_buf_put(&raw, sealed, plain.size);
    ccz_buf_put(&raw, tag, sizeof(tag));
    ccz_buf_put_str(out, prefix);
    ccz_base64_put(out, ccz_buf_span(&raw), CCZ_BASE64_STD);
    return raw.bad || out->bad ? ccz_fail(err, CCZ_E_NOMEM, "agent:wrap", 0, "no memory") : CCZ_OK;
}

/* Bytes of a wrapped key into @p raw; its size is that of a key that can be. */
static ccz_rc decode(struct ccz_buf *raw, struct ccz_span wrapped, struct ccz_err *err)
{
    const size_t start = sizeof(prefix) - 1;
    ccz_buf_init(raw, CCZ_AGENT_WRAPPED_SIZE_MAX);
    bool ok = wrapped.size <= CCZ_AGENT_WRAPPED_SIZE_MAX && wrapped.size > start &&
              memcmp(wrapped.ptr, prefix, start) == 0 &&
              ccz_base64_get(raw, ccz_span_sub(wrapped, start, wrapped.size - start),
                             CCZ_BASE64_STD, NULL) == CCZ_OK;
    if (ok && raw->size >= RAW_MIN && raw->size < RAW_MIN + CCZ_AGENT_KEY_SIZE_MAX)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "agent:wrapped", (int64_t)wrapped.size,
                    "this is no wrapped key: expected ccz1. and base64");
}

ccz_rc ccz_agent_wrapped_version(uint32_t *version, struct ccz_span wrapped, struct ccz_err *err)
{
    CCZ_AUTO_BUF raw;
    *version = 0;
    ccz_rc rc = decode(&raw, wrapped, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&raw));
    uint32_t v = ccz_rd_le32(&r);
    if (v == 0 || v > CCZ_KMS_VERSIONS_MAX) /* 0 would ask the KMS for the latest one */
        return ccz_fail(err, CCZ_E_FORMAT, "agent:wrapped", v,
                        "this is no wrapped key: no such version of a master key");
    *version = v;
    return CCZ_OK;
}

ccz_rc ccz_agent_unwrap(struct ccz_secret **out, const struct ccz_secret *master, const char *name,
                        struct ccz_span wrapped, struct ccz_err *err)
{
    uint32_t version;
    CCZ_AUTO_BUF raw;
    *out = NULL;
    ccz_rc rc = ccz_agent_wrapped_version(&version, wrapped, err);
    if (rc == CCZ_OK)
        rc = decode(&raw, wrapped, err);
    else
        ccz_buf_init(&raw, 0);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO(ccz_aead) aead = NULL;
    CCZ_AUTO_BUF aad;
    put_context(&aad, version, name);
    rc = open_key(&key, &aead, master, err);
    if (rc == CCZ_OK && (aad.bad || ccz_secret_new(&plain, raw.size - RAW_MIN + 1) != CCZ_OK))
        rc = ccz_fail(err, CCZ_E_NOMEM, "agent:wrapped", 0, "no memory");
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *nonce = raw.ptr + HEAD_SIZE, *sealed = nonce + CCZ_AEAD_NONCE_SIZE;
    rc = ccz_aead_open(aead, ccz_secret_bytes(plain), sealed + ccz_secret_size(plain),
                       ccz_secret_view(key), nonce, ccz_buf_span(&aad),
                       CCZ_SPAN(sealed, ccz_secret_size(plain)));
    if (rc == CCZ_E_SIG) {
        rc = ccz_fail(err, rc, "agent:wrapped", 0,
                      "it was wrapped under another master key or name, or changed since");
        return ccz_hint(err, rc, "the name of a master key is part of what is sealed");
    }
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "agent:wrapped", 0, "cannot unwrap a key");
    *out = ccz_secret_take(&plain);
    return CCZ_OK;
}
