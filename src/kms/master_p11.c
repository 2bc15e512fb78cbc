/* SPDX-License-Identifier: Apache-2.0 */
/* Master key wrapped by a key of a PKCS#11 token. */
#include "master_priv.h"

static enum cczi_p11_wrap how_of(const struct ccz_kms_master *m)
{
    const struct cczi_p11_uri *u = cczi_p11_uri(m->token);
    return !u->rsa ? CCZI_P11_AES_GCM : u->oaep_sha1 ? CCZI_P11_OAEP_SHA1 : CCZI_P11_OAEP_SHA256;
}

static ccz_rc p11_open(struct ccz_kms_master *m, const char *rest,
                       const struct ccz_kms_master_cfg *cfg, struct ccz_err *err)
{
    (void)cfg;
    return cczi_p11_open(&m->token, rest, err);
}

static ccz_rc p11_wrap(struct ccz_buf *body, struct ccz_kms_master *m, struct ccz_span header,
                       const struct ccz_secret *key, struct ccz_err *err)
{
    enum cczi_p11_wrap how = how_of(m);
    uint8_t iv[CCZ_AEAD_NONCE_SIZE];
    struct ccz_span nonce = CCZ_SPAN(iv, how == CCZI_P11_AES_GCM ? sizeof(iv) : 0);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1024);
    ccz_rc rc = cczi_p11_key_find(m->token, true, err);
    if (rc == CCZ_OK && ccz_random(iv, sizeof(iv)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "kms:p11-wrap", 0, "no random numbers");
    if (rc == CCZ_OK)
        rc = cczi_p11_encrypt(&text, m->token, how, nonce, header,
                              CCZ_SPAN(ccz_secret_view(key), CCZ_KMS_MASTER_KEY_SIZE), err);
    if (rc != CCZ_OK)
        return rc;
    if (text.bad || text.size < CCZ_KMS_MASTER_KEY_SIZE)
        return ccz_fail(err, CCZ_E_PEER, "kms:p11-wrap", (int64_t)text.size,
                        "the token gave back too little");
    ccz_buf_u8(body, (uint8_t)how);
    ccz_buf_le16(body, (uint16_t)nonce.size);
    ccz_buf_put_span(body, nonce);
    ccz_buf_le16(body, (uint16_t)text.size);
    ccz_buf_put_span(body, ccz_buf_span(&text));
    return CCZ_OK;
}

static ccz_rc p11_unwrap(uint8_t *key, struct ccz_kms_master *m, const struct cczi_kms_blob *blob,
                         struct ccz_err *err)
{
    static const char *const names[] = {"", "AES-GCM", "RSA-OAEP with SHA-1",
                                        "RSA-OAEP with SHA-256"};
    struct cczi_p11_body b;
    ccz_rc rc = cczi_p11_body_parse(&b, blob->body, err);
    enum cczi_p11_wrap how = how_of(m);
    if (rc == CCZ_OK && b.mechanism != how) /* the file does not choose how it is opened */
        rc = ccz_refuse(err, CCZ_E_MISMATCH, "kms:p11-kind", names[b.mechanism], names[how]);
    if (rc == CCZ_OK)
        rc = cczi_p11_key_find(m->token, false, err);
    if (rc == CCZ_OK)
        rc = cczi_p11_decrypt(key, CCZ_KMS_MASTER_KEY_SIZE, m->token, how, b.iv, blob->header,
                              b.text, err);
    return rc;
}

static void p11_close(struct ccz_kms_master *m)
{
    ccz_kms_token_free(m->token);
}

const struct cczi_kms_master_ops cczi_master_pkcs11 = {"pkcs11", CCZI_MASTER_PKCS11, p11_open,
                                                       p11_wrap, p11_unwrap,         p11_close};
