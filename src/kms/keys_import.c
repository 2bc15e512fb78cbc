/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of others, wrapped. Token: u8 1 | u8 kind | le64 expires_s | id[16] | mac[32], in base64url, with
 *     mac = HMAC-SHA-256(token key, "cczoo kms import token v1" | 0 | the 26 bytes before it | SHA-256 of the wrapping key's
 *                        SubjectPublicKeyInfo | le32 ops | u8 flags | le64 the key's expiry | name)
 */
#include "keys_priv.h"
#include "kms_priv.h" /* namespaces of names */

#include <cczoo/codec.h>

#include "base/ct.h"

#include <stdlib.h>
#include <string.h>

enum {
    FORMAT = 1,
    ID_SIZE = 16,
    MAC_SIZE = 32,
    CLEAR_SIZE = 1 + 1 + 8 + ID_SIZE,
    TOKEN_SIZE = CLEAR_SIZE + MAC_SIZE,
    TERMS_SIZE = 32 + 4 + 1 + 8,
    SESSION_KEY_SIZE = 32,
};

/* ------------------------------------------------------------------------------- tokens */

enum { SHARE_MAX = CCZI_KMS_IMPORT_USED_MAX / 8 };
struct cczi_kms_import_used {
    int64_t
        latest_s; /* time only goes forward here: marks that ended are forgotten, and no clock that is set back makes theirs good again */
    size_t len;
    struct used {
        uint8_t id[ID_SIZE];
        int64_t expires_s;
        char ns[CCZ_KMS_NAME_SIZE];
    } tokens[CCZI_KMS_IMPORT_USED_MAX];
};

ccz_rc cczi_kms_import_used_new(struct cczi_kms_import_used **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? CCZ_OK : CCZ_E_NOMEM;
}

void cczi_kms_import_used_free(struct cczi_kms_import_used *u)
{
    free(u);
}

/* Marks a token as used, once. Any operator of some namespace can use up tokens, which cost nothing: so when it gets tight a
 * namespace that has its share waits, and the others go on. */
static ccz_rc use_token(struct cczi_kms_import_used *u, const uint8_t id[ID_SIZE], const char *name,
                        int64_t expires_s, int64_t now_s, struct ccz_err *err)
{
    size_t kept = 0, same = 0;
    char ns[CCZ_KMS_NAME_SIZE];
    cczi_kms_ns_of(ns, name);
    u->latest_s = now_s > u->latest_s ? now_s : u->latest_s;
    if (expires_s <= u->latest_s)
        return ccz_refuse_num(err, CCZ_E_EXPIRED, "kms:import-expired", u->latest_s, expires_s);
    for (size_t i = 0; i < u->len; i++) {
        if (memcmp(u->tokens[i].id, id, ID_SIZE) == 0) /* the id is public: it is in the token */
            return ccz_fail(err, CCZ_E_DENIED, "kms:import-used", 0,
                            "the token was used already, with success or without");
    }
    for (size_t i = 0; i < u->len; i++) {
        if (u->latest_s >= u->tokens[i].expires_s)
            continue;
        same += strcmp(u->tokens[i].ns, ns) == 0;
        u->tokens[kept++] = u->tokens[i];
    }
    u->len = kept;
    if (kept == CCZI_KMS_IMPORT_USED_MAX ||
        (kept >= CCZI_KMS_IMPORT_USED_MAX / 2 && same >= SHARE_MAX))
        return ccz_fail(err, CCZ_E_LIMIT, "kms:import-busy", CCZI_KMS_IMPORT_USED_MAX,
                        "too many imports at this time");
    memcpy(u->tokens[kept].id, id, ID_SIZE);
    u->tokens[kept].expires_s = expires_s;
    memcpy(u->tokens[kept].ns, ns, sizeof(ns));
    u->len++;
    return CCZ_OK;
}

static ccz_rc check_wrapping(const struct cczi_kms_import *what, struct ccz_err *err)
{
    enum ccz_pkey_kind k = ccz_pkey_kind(what->wrapping);
    if (k == CCZ_PKEY_RSA_3072 || k == CCZ_PKEY_RSA_4096)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:import-wrapping", ccz_pkey_kind_name(k),
                      "RSA-3072 or RSA-4096");
}

/* What the token stands for, and the key it was made for. */
static ccz_rc put_terms(struct ccz_buf *out, const struct cczi_kms_import *what)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_rc rc = ccz_pkey_spki(&spki, what->wrapping);
    uint8_t *sha256 = ccz_buf_extend(out, 32);
    if (rc == CCZ_OK && sha256)
        rc = ccz_sha256(sha256, ccz_buf_span(&spki));
    ccz_buf_le32(out, what->spec.ops);
    ccz_buf_u8(out, (uint8_t)(what->spec.exportable | what->spec.unattested_insecure << 1));
    ccz_buf_le64(out, (uint64_t)what->spec.expires_s);
    ccz_buf_put_str(out, what->name);
    return rc == CCZ_OK && out->bad ? CCZ_E_NOMEM : rc;
}

static ccz_rc token_mac(uint8_t mac[MAC_SIZE], const struct ccz_secret *token_key,
                        const struct cczi_kms_import *what, const uint8_t clear[CLEAR_SIZE])
{
    static const char label[] = "cczoo kms import token v1"; /* with its NUL */
    CCZ_AUTO_BUF terms;
    ccz_buf_init(&terms, TERMS_SIZE + CCZ_KMS_NAME_SIZE);
    ccz_rc rc = put_terms(&terms, what);
    const struct ccz_span parts[] = {CCZ_SPAN(label, sizeof(label)), CCZ_SPAN(clear, CLEAR_SIZE),
                                     ccz_buf_span(&terms)};
    return rc == CCZ_OK ? ccz_hmac(mac, CCZ_SHA256,
                                   CCZ_SPAN(ccz_secret_view(token_key), ccz_secret_size(token_key)),
                                   parts, 3)
                        : rc;
}

static ccz_rc check_token_key(const struct ccz_secret *token_key, struct ccz_err *err)
{
    if (token_key && ccz_secret_size(token_key) == CCZI_KMS_IMPORT_TOKEN_KEY_SIZE)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "kms:import-token-key", 0, "the key of tokens has %d bytes",
                    CCZI_KMS_IMPORT_TOKEN_KEY_SIZE);
}

ccz_rc cczi_kms_import_token(struct ccz_buf *token, const struct ccz_secret *token_key,
                             const struct cczi_kms_import *what, int64_t life_s, int64_t now_s,
                             struct ccz_err *err)
{
    ccz_rc rc = check_token_key(token_key, err);
    if (rc == CCZ_OK)
        rc = check_wrapping(what, err);
    if (rc != CCZ_OK)
        return rc;
    if (life_s == 0)
        life_s = CCZI_KMS_IMPORT_LIFE_S;
    if (life_s < 0 || life_s > CCZI_KMS_IMPORT_LIFE_MAX_S || now_s < 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "kms:import-life", life_s,
                              CCZI_KMS_IMPORT_LIFE_MAX_S);
    uint64_t expires = (uint64_t)now_s + (uint64_t)life_s;
    uint8_t bytes[TOKEN_SIZE] = {FORMAT, (uint8_t)what->spec.kind};
    for (unsigned i = 0; i < 8; i++)
        bytes[2 + i] = (uint8_t)(expires >> 8 * i);
    rc = ccz_random(bytes + CLEAR_SIZE - ID_SIZE, ID_SIZE);
    if (rc == CCZ_OK)
        rc = token_mac(bytes + CLEAR_SIZE, token_key, what, bytes);
    if (rc == CCZ_OK)
        ccz_base64_put(token, CCZ_SPAN(bytes, sizeof(bytes)), CCZ_BASE64_URL);
    if (rc == CCZ_OK && token->bad)
        rc = CCZ_E_NOMEM;
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "kms:import-token", 0, "cannot make a token");
}

static ccz_rc bad_token(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:import-token", 0,
                    "not a token of this KMS for this name, kind, use and wrapping key");
}

/* The whole check: authentic first, then when, then how often. */
static ccz_rc check_token(struct cczi_kms_import_used *used, const struct ccz_secret *token_key,
                          const struct cczi_kms_import *what, struct ccz_span token, int64_t now_s,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, TOKEN_SIZE);
    if (token.size > CCZI_KMS_IMPORT_TOKEN_SIZE_MAX ||
        ccz_base64_get(&bytes, token, CCZ_BASE64_URL, NULL) != CCZ_OK || bytes.size != TOKEN_SIZE)
        return bad_token(err);
    uint8_t want[MAC_SIZE];
    ccz_rc rc = token_mac(want, token_key, what, bytes.ptr);
    int ok = rc == CCZ_OK && ccz_ct_eq(want, bytes.ptr + CLEAR_SIZE, MAC_SIZE);
    CCZ_CT_PUBLIC(&ok, sizeof(ok));
    ccz_wipe(want, sizeof(want)); /* else it is a token for whoever reads the stack */
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(bytes.ptr, CLEAR_SIZE));
    uint8_t format = ccz_rd_u8(&r), kind = ccz_rd_u8(&r);
    int64_t expires_s = (int64_t)ccz_rd_le64(&r);
    struct ccz_span id = ccz_rd_take(&r, ID_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:import-token", 0, "cannot check the token");
    if (!ok || format != FORMAT || kind != (uint8_t)what->spec.kind)
        return bad_token(err);
    /* one that expires too late was made before the clock went back: it would outlive its mark */
    if (now_s >= expires_s || expires_s - now_s > CCZI_KMS_IMPORT_LIFE_MAX_S)
        return ccz_refuse_num(err, CCZ_E_EXPIRED, "kms:import-expired", now_s, expires_s);
    return use_token(used, id.ptr, what->name, expires_s, now_s, err);
}

/* -------------------------------------------------------------------------------- blobs */

/* The session key of a blob. One that does not open is replaced by a random one, so that what fails is the same step in the
 * same time, whatever somebody tries (the padding oracles of RSA). */
static ccz_rc session_key(uint8_t out[SESSION_KEY_SIZE], const struct ccz_pkey *wrapping,
                          struct ccz_span sealed)
{
    ccz_rc rc = ccz_random(out, SESSION_KEY_SIZE);
    CCZ_AUTO(ccz_secret) k = NULL;
    if (rc != CCZ_OK || ccz_pkey_oaep_open(&k, wrapping, CCZ_SHA256, sealed, NULL) != CCZ_OK)
        return rc;
    if (ccz_secret_size(k) == SESSION_KEY_SIZE)
        memcpy(out, ccz_secret_view(k), SESSION_KEY_SIZE);
    return CCZ_OK;
}

static ccz_rc unwrap_blob(struct ccz_secret **foreign, const struct ccz_pkey *wrapping,
                          struct ccz_span blob)
{
    size_t modulus = ccz_pkey_kind(wrapping) == CCZ_PKEY_RSA_4096 ? 512 : 384;
    if (blob.size <= modulus || blob.size > CCZI_KMS_IMPORT_BLOB_SIZE_MAX)
        return CCZ_E_SIG;
    uint8_t k[SESSION_KEY_SIZE];
    ccz_rc rc = session_key(k, wrapping, ccz_span_sub(blob, 0, modulus));
    if (rc == CCZ_OK)
        rc = ccz_aes_kwp_unwrap(foreign, CCZ_SPAN(k, sizeof(k)),
                                ccz_span_sub(blob, modulus, blob.size - modulus));
    ccz_wipe(k, sizeof(k));
    return rc;
}

ccz_rc cczi_kms_import_open(struct ccz_secret **material, struct cczi_kms_import_used *used,
                            const struct ccz_secret *token_key, const struct cczi_kms_import *what,
                            struct ccz_span token, struct ccz_span blob, int64_t now_s,
                            struct ccz_err *err)
{
    *material = NULL;
    ccz_rc rc = check_token_key(token_key, err);
    if (rc == CCZ_OK)
        rc = check_wrapping(what, err);
    if (rc == CCZ_OK)
        rc = check_token(used, token_key, what, token, now_s, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_secret) foreign = NULL;
    rc = unwrap_blob(&foreign, what->wrapping, blob);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:import-blob", (int64_t)blob.size,
                        "the blob does not open with the wrapping key");
    return cczi_kms_key_import(material, what->spec.kind, foreign, err);
}

ccz_rc cczi_kms_import_wrap(struct ccz_buf *blob, struct ccz_span spki,
                            const struct ccz_secret *foreign, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pkey) wrapping = NULL;
    ccz_rc rc = ccz_pkey_from_spki(&wrapping, spki, err);
    if (rc == CCZ_OK)
        rc = check_wrapping(&(struct cczi_kms_import){.wrapping = wrapping}, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t k[SESSION_KEY_SIZE];
    size_t before = blob->size;
    rc = ccz_random(k, sizeof(k));
    if (rc == CCZ_OK)
        rc = ccz_pkey_oaep_seal(blob, wrapping, CCZ_SHA256, CCZ_SPAN(k, sizeof(k)), NULL);
    if (rc == CCZ_OK)
        rc = ccz_aes_kwp_wrap(blob, CCZ_SPAN(k, sizeof(k)),
                              CCZ_SPAN(ccz_secret_view(foreign), ccz_secret_size(foreign)));
    ccz_wipe(k, sizeof(k));
    if (rc == CCZ_OK)
        return CCZ_OK;
    blob->size = before;
    return ccz_fail(err, rc, "kms:import-blob", 0, "cannot wrap the key");
}
