/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Encryption, flattened JSON (RFC 7516, 7.2.2), with the key management of RFC 7518: ECDH-ES+A256KW (4.6) and
 * RSA-OAEP-256 (4.3), content by A256GCM (5.3).
 */
#include "jose_priv.h"

#include <string.h>

enum {
    CEK_SIZE = 32,
    Z_SIZE_MAX = 48,
    HEADER_SIZE_MAX = 4096,
    PARTY_SIZE_MAX = 256, /* of "apu" and "apv" */
};

/* ------------------------------------------------------------------------ key derivation */

ccz_rc cczi_concat_kdf(uint8_t *out, size_t out_size, struct ccz_span z, const char *alg,
                       struct ccz_span apu, struct ccz_span apv)
{
    struct ccz_span id = ccz_span_str(alg);
    uint8_t digest[32], sizes[4][4], counter[4] = {0, 0, 0, 1};
    const size_t values[4] = {id.size, apu.size, apv.size, 8 * out_size};
    if (out_size > sizeof(digest)) /* one round */
        return CCZ_E_ARG;
    for (size_t i = 0; i < 4; i++) {
        for (size_t b = 0; b < 4; b++)
            sizes[i][b] = (uint8_t)(values[i] >> (24 - 8 * b));
    }
    const struct ccz_span parts[] = {CCZ_SPAN(counter, 4),  z,   CCZ_SPAN(sizes[0], 4), id,
                                     CCZ_SPAN(sizes[1], 4), apu, CCZ_SPAN(sizes[2], 4), apv,
                                     CCZ_SPAN(sizes[3], 4)};
    ccz_rc rc = ccz_hash(digest, CCZ_SHA256, parts, sizeof(parts) / sizeof(parts[0]));
    if (rc == CCZ_OK)
        memcpy(out, digest, out_size);
    ccz_wipe(digest, sizeof(digest));
    return rc;
}

/* The key encryption key that two EC keys have in common. */
static ccz_rc agree(uint8_t kek[32], const struct ccz_key *mine, const struct ccz_key *peer,
                    struct ccz_span apu, struct ccz_span apv)
{
    uint8_t z[Z_SIZE_MAX];
    size_t size = ccz_key_curve(peer) == CCZ_P256 ? 32 : 48;
    ccz_rc rc = cczi_jose_ecdh(z, mine, peer);
    if (rc == CCZ_OK)
        rc = cczi_concat_kdf(kek, 32, CCZ_SPAN(z, size), ccz_jose_alg_name(CCZ_JOSE_ECDH_ES_A256KW),
                             apu, apv);
    ccz_wipe(z, sizeof(z));
    return rc;
}

/* ------------------------------------------------------------------------------- sealing */

/* What a JWE is made of, while it is made or opened. */
struct work {
    struct ccz_buf prot;   /* the protected header in base64url, as sent */
    struct ccz_buf key;    /* the encrypted key */
    struct ccz_buf text;   /* ciphertext, then plaintext */
    uint8_t cek[CEK_SIZE]; /* content encryption key */
    uint8_t iv[CCZ_AEAD_NONCE_SIZE], tag[CCZ_AEAD_TAG_SIZE];
};

static void work_init(struct work *w)
{
    ccz_buf_init(&w->prot, HEADER_SIZE_MAX / 3 * 4 + 4);
    ccz_buf_init(&w->key, CCZI_JOSE_RSA_SIZE_MAX);
    ccz_buf_init(&w->text, CCZ_JWE_PLAIN_SIZE_MAX);
    w->text.wipe = true;
}

static void work_deinit(struct work *w)
{
    ccz_buf_free(&w->prot);
    ccz_buf_free(&w->key);
    ccz_buf_free(&w->text);
    ccz_wipe(w->cek, sizeof(w->cek));
}

/* The protected header: this order of members, no white space (a client builds it again to check the tag). */
static ccz_rc make_header(struct work *w, enum ccz_jose_alg alg, const struct ccz_key *eph,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, HEADER_SIZE_MAX);
    ccz_buf_printf(&json, "{\"alg\":\"%s\",\"enc\":\"A256GCM\"", ccz_jose_alg_name(alg));
    if (eph) {
        CCZ_AUTO(ccz_jwk) epk = NULL;
        ccz_rc rc = ccz_jwk_from_key(&epk, eph, err);
        if (rc != CCZ_OK)
            return rc;
        ccz_buf_put_str(&json, ",\"epk\":");
        ccz_jwk_put(&json, epk, CCZ_JWK_REQUIRED);
    }
    ccz_buf_u8(&json, '}');
    ccz_base64_put(&w->prot, ccz_buf_span(&json), CCZ_BASE64_URL);
    if (json.bad || w->prot.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "jwe:header", 0, "out of memory");
    return CCZ_OK;
}

static ccz_rc wrap_key(struct work *w, const struct ccz_jwk *to, const struct ccz_key *eph)
{
    uint8_t kek[32], wrapped[CCZI_JOSE_RSA_SIZE_MAX];
    size_t size = CEK_SIZE + CCZI_JOSE_KW_OVERHEAD;
    struct ccz_span cek = CCZ_SPAN(w->cek, CEK_SIZE), none = {0};
    ccz_rc rc;
    if (to->kind == CCZ_JWK_RSA) {
        rc = cczi_jose_oaep_seal(wrapped, &size, to->rsa, cek);
    } else {
        rc = agree(kek, eph, to->ec, none, none);
        if (rc == CCZ_OK)
            rc = cczi_jose_kw_wrap(wrapped, kek, cek);
        ccz_wipe(kek, sizeof(kek));
    }
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(&w->key, wrapped, size);
    return w->key.bad ? CCZ_E_NOMEM : CCZ_OK;
}

/* @param in  may be w->text, in place */
static ccz_rc gcm_seal(struct work *w, struct ccz_span in)
{
    CCZ_AUTO(ccz_aead) aead = NULL;
    uint8_t none[1];
    ccz_rc rc = ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *to = in.size ? ccz_buf_extend(&w->text, in.size) : none;
    if (!to)
        return CCZ_E_NOMEM;
    return ccz_aead_seal(aead, to, w->tag, w->cek, w->iv, ccz_buf_span(&w->prot), in);
}

static void put_member(struct ccz_buf *out, const char *name, struct ccz_span bytes)
{
    ccz_buf_printf(out, ",\"%s\":", name);
    cczi_put_base64url_str(out, bytes);
}

static ccz_rc put_json(struct ccz_buf *out, const struct work *w, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_JWE_SIZE_MAX);
    ccz_buf_put_str(&json, "{\"protected\":\"");
    ccz_buf_put_span(&json, ccz_buf_span(&w->prot));
    ccz_buf_u8(&json, '"');
    put_member(&json, "encrypted_key", ccz_buf_span(&w->key));
    put_member(&json, "iv", CCZ_SPAN(w->iv, sizeof(w->iv)));
    put_member(&json, "ciphertext", ccz_buf_span(&w->text));
    put_member(&json, "tag", CCZ_SPAN(w->tag, sizeof(w->tag)));
    ccz_buf_u8(&json, '}');
    return cczi_hand_over(out, &json, "jwe:text", err);
}

ccz_rc cczi_jwe_seal_with(struct ccz_buf *out, const struct ccz_jwk *to, struct ccz_span plaintext,
                          const struct cczi_jwe_drawn *drawn, struct ccz_err *err)
{
    enum ccz_jose_alg alg = ccz_jwk_enc_alg(to);
    if (alg == CCZ_JOSE_ALG_NONE)
        return ccz_fail(err, CCZ_E_DENIED, "jwe:key-use", 0, "the key is not for encryption");
    if (plaintext.size > CCZ_JWE_PLAIN_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "jwe:plaintext", (int64_t)plaintext.size,
                              CCZ_JWE_PLAIN_SIZE_MAX);
    struct work w;
    work_init(&w);
    memcpy(w.cek, drawn->cek, sizeof(w.cek));
    memcpy(w.iv, drawn->iv, sizeof(w.iv));
    ccz_rc rc = make_header(&w, alg, drawn->eph, err);
    if (rc == CCZ_OK) {
        rc = wrap_key(&w, to, drawn->eph);
        if (rc == CCZ_OK)
            rc = gcm_seal(&w, plaintext);
        if (rc != CCZ_OK)
            ccz_fail(err, rc, "jwe:seal", 0, "%s", ccz_rc_str(rc));
        else
            rc = put_json(out, &w, err);
    }
    work_deinit(&w);
    return rc;
}

ccz_rc ccz_jwe_seal(struct ccz_buf *out, const struct ccz_jwk *to, struct ccz_span plaintext,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) eph = NULL; /* of this message alone */
    struct cczi_jwe_drawn drawn = {0};
    ccz_rc rc = ccz_random(drawn.cek, sizeof(drawn.cek));
    if (rc == CCZ_OK)
        rc = ccz_random(drawn.iv, sizeof(drawn.iv));
    if (rc == CCZ_OK && to->ec && ccz_key_generate(&eph, ccz_key_curve(to->ec)) != CCZ_OK)
        rc = CCZ_E_INTERNAL; /* whatever OpenSSL lacked */
    drawn.eph = eph;
    if (rc == CCZ_OK)
        rc = cczi_jwe_seal_with(out, to, plaintext, &drawn, err);
    else
        ccz_fail(err, rc, "jwe:random", 0, "%s", ccz_rc_str(rc));
    ccz_wipe(&drawn, sizeof(drawn));
    return rc;
}

/* ------------------------------------------------------------------------------- opening */

static ccz_rc get_bytes(struct ccz_buf *out, const struct ccz_json *j, const char *name,
                        struct ccz_err *err)
{
    const struct ccz_json *v = ccz_json_get(j, name);
    if (ccz_json_type(v) != CCZ_JSON_STRING)
        return ccz_fail(err, CCZ_E_FORMAT, "jwe:member", 0, "\"%s\" is missing, or no string",
                        name);
    ccz_rc rc = cczi_get_base64url(out, ccz_json_bytes(v), "jwe:base64", name, err);
    if (rc != CCZ_E_LIMIT)
        return rc;
    return ccz_fail(err, CCZ_E_FORMAT, "jwe:size", (int64_t)ccz_json_bytes(v).size,
                    "\"%s\" is larger than it can be", name);
}

/* A member of fixed size. */
static ccz_rc get_fixed(uint8_t *out, size_t size, const struct ccz_json *j, const char *name,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, size);
    ccz_rc rc = get_bytes(&bytes, j, name, err);
    if (rc != CCZ_OK)
        return rc;
    if (bytes.size != size)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "jwe:size", (int64_t)bytes.size, (int64_t)size);
    memcpy(out, bytes.ptr, size);
    return CCZ_OK;
}

/* Members beside these would change what is meant ("aad", "header", "unprotected", "recipients"). */
static ccz_rc check_members(const struct ccz_json *j, struct ccz_err *err)
{
    static const char *const known[] = {"protected", "encrypted_key", "iv", "ciphertext", "tag"};
    const char *name = NULL;
    while (ccz_json_next(&name, j)) {
        bool found = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !found; i++)
            found = strcmp(name, known[i]) == 0;
        if (!found)
            return cczi_refuse_text(err, CCZ_E_FORMAT, "jwe:member", ccz_span_str(name),
                                    "protected, encrypted_key, iv, ciphertext, tag");
    }
    return CCZ_OK;
}

static ccz_rc read_protected(struct work *w, const struct ccz_json *j, struct ccz_err *err)
{
    const struct ccz_json *prot = ccz_json_get(j, "protected");
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "jwe:json", 0, "not a JSON object");
    ccz_rc rc = check_members(j, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_json_type(prot) != CCZ_JSON_STRING)
        return ccz_fail(err, CCZ_E_FORMAT, "jwe:member", 0,
                        "\"protected\" is missing, or no string");
    struct ccz_span text = ccz_json_bytes(prot);
    if (text.size > w->prot.max_size)
        return ccz_fail(err, CCZ_E_FORMAT, "jwe:header", (int64_t)text.size,
                        "the header is larger than %d bytes", HEADER_SIZE_MAX);
    ccz_buf_put_span(&w->prot, text);
    if (w->prot.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "jwe:header", 0, "out of memory");
    return CCZ_OK;
}

static ccz_rc read_rest(struct work *w, const struct ccz_json *j, struct ccz_err *err)
{
    ccz_rc rc = get_bytes(&w->key, j, "encrypted_key", err);
    if (rc != CCZ_OK || (rc = get_fixed(w->iv, sizeof(w->iv), j, "iv", err)) != CCZ_OK ||
        (rc = get_fixed(w->tag, sizeof(w->tag), j, "tag", err)) != CCZ_OK)
        return rc;
    return get_bytes(&w->text, j, "ciphertext", err);
}

static ccz_rc parse_header(struct ccz_json **out, const struct work *w, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    struct ccz_err why = {0};
    ccz_buf_init(&json, HEADER_SIZE_MAX + 8);
    ccz_rc rc = cczi_get_base64url(&json, ccz_buf_span(&w->prot), "jwe:base64", "protected", err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_json) j = NULL;
    rc = ccz_json_parse(&j, ccz_buf_span(&json), &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "jwe:header", why.aux, "%s",
                        why.msg);
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "jwe:header", 0, "the header is no JSON object");
    *out = ccz_json_take(&j);
    return CCZ_OK;
}

/* A member that has to say one thing. */
static ccz_rc expect_text(const struct ccz_json *header, const char *name, const char *want,
                          const char *where, struct ccz_err *err)
{
    const struct ccz_json *v = ccz_json_get(header, name);
    if (ccz_json_type(v) == CCZ_JSON_STRING && ccz_span_eq(ccz_json_bytes(v), ccz_span_str(want)))
        return CCZ_OK;
    return cczi_refuse_text(err, CCZ_E_UNSUPPORTED, where, ccz_json_bytes(v), want);
}

static ccz_rc check_header(const struct ccz_json *header, const struct ccz_jwe_key *key,
                           struct ccz_err *err)
{
    ccz_rc rc =
        expect_text(header, "alg", ccz_jose_alg_name(ccz_jwk_enc_alg(key->pub)), "jwe:alg", err);
    if (rc != CCZ_OK || (rc = expect_text(header, "enc", "A256GCM", "jwe:enc", err)) != CCZ_OK)
        return rc;
    if (ccz_json_get(header, "crit"))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "jwe:crit", 0, "the header has \"crit\"");
    if (ccz_json_get(header, "zip"))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "jwe:zip", 0, "compressed plaintext");
    return CCZ_OK;
}

/* "apu" or "apv", decoded; empty if it is not there. */
static ccz_rc get_party(struct ccz_buf *out, const struct ccz_json *header, const char *name,
                        struct ccz_err *err)
{
    ccz_buf_init(out, PARTY_SIZE_MAX);
    return ccz_json_get(header, name) ? get_bytes(out, header, name, err) : CCZ_OK;
}

static ccz_rc unwrap_ec(struct work *w, const struct ccz_json *header,
                        const struct ccz_jwe_key *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jwk) epk = NULL;
    CCZ_AUTO_BUF apu;
    CCZ_AUTO_BUF apv;
    uint8_t kek[32];
    ccz_buf_init(&apv, 0);
    ccz_rc rc = get_party(&apu, header, "apu", err);
    if (rc != CCZ_OK || (rc = get_party(&apv, header, "apv", err)) != CCZ_OK ||
        (rc = cczi_jwk_from_json(&epk, ccz_json_get(header, "epk"), err)) != CCZ_OK)
        return rc;
    if (!epk->ec || epk->kind != key->pub->kind)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "jwe:epk", epk->kind,
                        "the ephemeral key is not of the curve of the key");
    rc = agree(kek, key->ec, epk->ec, ccz_buf_span(&apu), ccz_buf_span(&apv));
    if (rc == CCZ_OK && w->key.size != CEK_SIZE + CCZI_JOSE_KW_OVERHEAD)
        rc = CCZ_E_SIG;
    if (rc == CCZ_OK)
        rc = cczi_jose_kw_unwrap(w->cek, kek, ccz_buf_span(&w->key));
    ccz_wipe(kek, sizeof(kek));
    if (rc == CCZ_OK)
        return rc;
    return ccz_fail(err, rc, "jwe:wrap", 0, "%s",
                    rc == CCZ_E_SIG ? "the content key was not wrapped for this key"
                                    : ccz_rc_str(rc));
}

/* RFC 7516, 11.5: whatever is wrong with the padding, a random content key makes the tag wrong, as it is with any other change. */
static ccz_rc unwrap_rsa(struct work *w, const struct ccz_jwe_key *key, struct ccz_err *err)
{
    uint8_t cek[CEK_SIZE];
    ccz_rc rc = ccz_random(w->cek, CEK_SIZE);
    if (rc == CCZ_OK)
        rc = cczi_jose_oaep_open(cek, CEK_SIZE, key->rsa, ccz_buf_span(&w->key));
    if (rc == CCZ_OK)
        memcpy(w->cek, cek, CEK_SIZE);
    ccz_wipe(cek, sizeof(cek));
    if (rc == CCZ_OK || rc == CCZ_E_SIG)
        return CCZ_OK;
    return ccz_fail(err, rc, "jwe:unwrap", 0, "%s", ccz_rc_str(rc));
}

static ccz_rc gcm_open(struct work *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_aead) aead = NULL;
    uint8_t none[1];
    ccz_rc rc = ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(aead, w->text.size ? w->text.ptr : none, w->tag, w->cek, w->iv,
                           ccz_buf_span(&w->prot), ccz_buf_span(&w->text));
    if (rc == CCZ_OK)
        return rc;
    return ccz_fail(err, rc, "jwe:tag", 0, "%s",
                    rc == CCZ_E_SIG ? "changed, or not for this key" : ccz_rc_str(rc));
}

static ccz_rc open_with(struct work *w, const struct ccz_jwe_key *key, const struct ccz_json *j,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) header = NULL;
    ccz_rc rc = read_protected(w, j, err);
    if (rc != CCZ_OK || (rc = parse_header(&header, w, err)) != CCZ_OK ||
        (rc = check_header(header, key, err)) != CCZ_OK || (rc = read_rest(w, j, err)) != CCZ_OK)
        return rc;
    rc = key->rsa ? unwrap_rsa(w, key, err) : unwrap_ec(w, header, key, err);
    return rc == CCZ_OK ? gcm_open(w, err) : rc;
}

ccz_rc ccz_jwe_open(struct ccz_buf *out, const struct ccz_jwe_key *key, struct ccz_span json,
                    struct ccz_err *err)
{
    out->wipe = true;
    if (json.size > CCZ_JWE_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "jwe:text", (int64_t)json.size, CCZ_JWE_SIZE_MAX);
    CCZ_AUTO(ccz_json) j = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = ccz_json_parse(&j, json, &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "jwe:json", why.aux, "%s",
                        why.msg);
    struct work w;
    work_init(&w);
    rc = open_with(&w, key, j, err);
    if (rc == CCZ_OK)
        rc = cczi_hand_over(out, &w.text, "jwe:plaintext", err);
    work_deinit(&w);
    return rc;
}
