/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of encrypted modules.
 *
 * GCM:  le32 size of what follows | nonce[12] | ciphertext | tag[16]
 * CTR:  le32 size of what follows | nonce[12] | ciphertext; first counter block: nonce | be32 1
 * AAD:  prefix | aad_file_unique | u8 module | le16 row group | le16 column | le16 page, as far as the module has them
 *
 * A reader's scans run in several threads, so that contexts are made per module: their cost is that of 100 bytes of AES.
 */
#include "parquet/crypt_priv.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH_SIZE = 4, NONCE_SIZE = CCZ_AEAD_NONCE_SIZE, TAG_SIZE = CCZ_AEAD_TAG_SIZE };

struct aad {
    uint8_t bytes[CCZI_PQ_FILE_AAD_SIZE_MAX + CCZI_PQ_AAD_SUFFIX_SIZE_MAX];
    size_t size;
};

static void put_ordinal(struct aad *a, int32_t ordinal)
{
    a->bytes[a->size++] = (uint8_t)ordinal;
    a->bytes[a->size++] = (uint8_t)((uint32_t)ordinal >> 8);
}

static ccz_rc make_aad(struct aad *a, const struct cczi_pq_file_aad *file,
                       const struct cczi_pq_at *at, struct ccz_err *err)
{
    bool has_page = at->module == CCZI_PQ_DATA_PAGE || at->module == CCZI_PQ_DATA_PAGE_HEADER;
    int32_t ordinals[3] = {at->row_group, at->column, at->page};
    size_t len = at->module == CCZI_PQ_FOOTER ? 0 : has_page ? 3 : 2;
    a->size = file->size;
    memcpy(a->bytes, file->bytes, file->size);
    a->bytes[a->size++] = (uint8_t)at->module;
    for (size_t i = 0; i < len; i++) {
        /* 16 bits have room for no more; a number that is cut would be another module's. */
        if (ordinals[i] < 0 || ordinals[i] > CCZ_PQ_CRYPT_ORDINAL_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "parquet:ordinal", ordinals[i],
                            "an encrypted file has at most %d row groups, columns, and pages of a "
                            "chunk",
                            CCZ_PQ_CRYPT_ORDINAL_MAX + 1);
        put_ordinal(a, ordinals[i]);
    }
    return CCZ_OK;
}

bool cczi_pq_is_key_size(size_t size)
{
    return size == 16 || size == 24 || size == 32;
}

ccz_rc cczi_pq_check_key(const struct ccz_secret *key, struct ccz_err *err)
{
    if (cczi_pq_is_key_size(ccz_secret_size(key)))
        return CCZ_OK;
    char got[32];
    snprintf(got, sizeof(got), "%zu bytes", ccz_secret_size(key));
    return ccz_refuse(err, CCZ_E_ARG, "parquet:key-size", got, "16, 24 or 32 bytes");
}

static ccz_rc new_gcm(struct ccz_aead **out, const struct ccz_secret *key)
{
    size_t size = ccz_secret_size(key);
    return ccz_aead_new(out, size == 16   ? CCZ_AES_128_GCM
                             : size == 24 ? CCZ_AES_192_GCM
                                          : CCZ_AES_256_GCM);
}

static bool is_ctr(bool ctr, const struct cczi_pq_at *at)
{
    return ctr && (at->module == CCZI_PQ_DATA_PAGE || at->module == CCZI_PQ_DICT_PAGE);
}

static ccz_rc apply_ctr(uint8_t *out, const struct ccz_secret *key, const uint8_t *nonce,
                        struct ccz_span in)
{
    uint8_t iv[CCZ_CTR_IV_SIZE] = {[CCZ_CTR_IV_SIZE - 1] = 1};
    memcpy(iv, nonce, NONCE_SIZE);
    CCZ_AUTO(ccz_ctr) ctr = NULL;
    ccz_rc rc = ccz_ctr_new(&ctr, ccz_secret_size(key));
    return rc == CCZ_OK ? ccz_ctr_apply(ctr, out, ccz_secret_view(key), iv, in) : rc;
}

static ccz_rc seal_gcm(uint8_t *out, uint8_t *tag, const struct ccz_secret *key,
                       const uint8_t *nonce, const struct aad *aad, struct ccz_span in)
{
    CCZ_AUTO(ccz_aead) gcm = NULL;
    ccz_rc rc = new_gcm(&gcm, key);
    return rc == CCZ_OK ? ccz_aead_seal(gcm, out, tag, ccz_secret_view(key), nonce,
                                        CCZ_SPAN(aad->bytes, aad->size), in)
                        : rc;
}

ccz_rc cczi_pq_module_seal(struct ccz_buf *out, const struct ccz_secret *key,
                           const struct cczi_pq_file_aad *file, const struct cczi_pq_at *at,
                           bool ctr, struct ccz_span in, struct ccz_err *err)
{
    struct aad aad;
    ctr = is_ctr(ctr, at);
    size_t more = NONCE_SIZE + (ctr ? 0 : TAG_SIZE), before = out->size;
    ccz_rc rc = make_aad(&aad, file, at, err);
    if (rc != CCZ_OK)
        return rc;
    if (in.size > INT32_MAX - more - LENGTH_SIZE) /* Parquet's sizes are int32 */
        return cczi_pq_fail(err, CCZ_E_LIMIT, at, "too large for a module");
    ccz_buf_le32(out, (uint32_t)(more + in.size));
    uint8_t *nonce = ccz_buf_extend(out, more + in.size);
    if (!nonce)
        rc = CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        rc = ccz_random(nonce, NONCE_SIZE);
    if (rc == CCZ_OK && ctr)
        rc = apply_ctr(nonce + NONCE_SIZE, key, nonce, in);
    else if (rc == CCZ_OK)
        rc = seal_gcm(nonce + NONCE_SIZE, nonce + NONCE_SIZE + in.size, key, nonce, &aad, in);
    if (rc == CCZ_OK)
        return CCZ_OK;
    out->size = before;
    return cczi_pq_fail(err, rc, at, "cannot be encrypted");
}

static ccz_rc check_frame(struct ccz_span *body, const struct cczi_pq_at *at, size_t more,
                          struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    uint32_t size = ccz_rd_le32(&r);
    if (r.bad || size < more || size != r.left) {
        ccz_rc rc = cczi_pq_fail(err, CCZ_E_FORMAT, at, "not an encrypted module of this size");
        /* parquet-java leaves the levels of such pages in front of the module, in clear. */
        return at->module == CCZI_PQ_DATA_PAGE
                   ? ccz_hint(err, rc,
                              "pages of version 2 are read if their levels are encrypted "
                              "as well; version 1 always")
                   : rc;
    }
    *body = CCZ_SPAN(r.ptr, r.left);
    return CCZ_OK;
}

static ccz_rc open_body(uint8_t *out, const struct ccz_secret *key, const struct aad *aad, bool ctr,
                        struct ccz_span body)
{
    size_t more = NONCE_SIZE + (ctr ? 0 : TAG_SIZE), size = body.size - more;
    struct ccz_span text = CCZ_SPAN(body.ptr + NONCE_SIZE, size);
    if (ctr)
        return apply_ctr(out, key, body.ptr, text);
    CCZ_AUTO(ccz_aead) gcm = NULL;
    ccz_rc rc = new_gcm(&gcm, key);
    return rc == CCZ_OK ? ccz_aead_open(gcm, out, text.ptr + size, ccz_secret_view(key), body.ptr,
                                        CCZ_SPAN(aad->bytes, aad->size), text)
                        : rc;
}

ccz_rc cczi_pq_module_open(struct ccz_buf *out, const struct ccz_secret *key,
                           const struct cczi_pq_file_aad *file, const struct cczi_pq_at *at,
                           bool ctr, struct ccz_span in, struct ccz_err *err)
{
    struct aad aad;
    struct ccz_span body;
    ctr = is_ctr(ctr, at);
    size_t more = NONCE_SIZE + (ctr ? 0 : TAG_SIZE), before = out->size;
    ccz_rc rc = make_aad(&aad, file, at, err);
    if (rc == CCZ_OK)
        rc = check_frame(&body, at, more, in, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t none[1], *text = body.size == more ? none : ccz_buf_extend(out, body.size - more);
    if (!text)
        return cczi_pq_fail(err, CCZ_E_NOMEM, at, "no memory, or beyond the caller's limit");
    rc = open_body(text, key, &aad, ctr, body);
    if (rc == CCZ_OK)
        return CCZ_OK;
    out->size = before;
    return cczi_pq_fail(err, rc, at,
                        rc == CCZ_E_SIG
                            ? "does not open: changed, moved, or another key or AAD prefix"
                            : "cannot be decrypted");
}

/* The tag that encrypting the footer would have; the ciphertext is of no use. */
static ccz_rc footer_tag(uint8_t tag[TAG_SIZE], const struct ccz_secret *key,
                         const struct cczi_pq_file_aad *file, const uint8_t *nonce,
                         struct ccz_span footer)
{
    struct aad aad;
    struct cczi_pq_at at = cczi_pq_at_footer();
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, footer.size);
    uint8_t none[1], *p = footer.size ? ccz_buf_extend(&text, footer.size) : none;
    ccz_rc rc = p ? make_aad(&aad, file, &at, NULL) : CCZ_E_NOMEM;
    return rc == CCZ_OK ? seal_gcm(p, tag, key, nonce, &aad, footer) : rc;
}

ccz_rc cczi_pq_module_sign(uint8_t out[CCZI_PQ_SIGNATURE_SIZE], const struct ccz_secret *key,
                           const struct cczi_pq_file_aad *aad, struct ccz_span footer,
                           struct ccz_err *err)
{
    struct cczi_pq_at at = cczi_pq_at_footer();
    ccz_rc rc = ccz_random(out, NONCE_SIZE);
    if (rc == CCZ_OK)
        rc = footer_tag(out + NONCE_SIZE, key, aad, out, footer);
    return rc == CCZ_OK ? rc : cczi_pq_fail(err, rc, &at, "cannot be signed");
}

ccz_rc cczi_pq_module_verify(const struct ccz_secret *key, const struct cczi_pq_file_aad *aad,
                             struct ccz_span footer, struct ccz_span signature, struct ccz_err *err)
{
    struct cczi_pq_at at = cczi_pq_at_footer();
    uint8_t tag[TAG_SIZE];
    if (signature.size != CCZI_PQ_SIGNATURE_SIZE)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &at, "a signature has 28 bytes");
    ccz_rc rc = footer_tag(tag, key, aad, signature.ptr, footer);
    if (rc != CCZ_OK)
        return cczi_pq_fail(err, rc, &at, "cannot be verified");
    if (!ccz_ct_eq(tag, signature.ptr + NONCE_SIZE, TAG_SIZE))
        return cczi_pq_fail(err, CCZ_E_SIG, &at,
                            "signature does not verify: changed, or another key or AAD prefix");
    return CCZ_OK;
}

/* --------------------------------------------------------------------------- keys under keys */

ccz_rc cczi_pq_wrap(struct ccz_buf *out, const struct ccz_secret *under, struct ccz_span aad,
                    const struct ccz_secret *key)
{
    size_t size = ccz_secret_size(key), before = out->size;
    uint8_t *nonce = ccz_buf_extend(out, NONCE_SIZE + size + TAG_SIZE);
    CCZ_AUTO(ccz_aead) gcm = NULL;
    ccz_rc rc = nonce ? new_gcm(&gcm, under) : CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        rc = ccz_random(nonce, NONCE_SIZE);
    if (rc == CCZ_OK)
        rc =
            ccz_aead_seal(gcm, nonce + NONCE_SIZE, nonce + NONCE_SIZE + size,
                          ccz_secret_view(under), nonce, aad, CCZ_SPAN(ccz_secret_view(key), size));
    if (rc != CCZ_OK)
        out->size = before;
    return rc;
}

ccz_rc cczi_pq_unwrap(struct ccz_secret **out, const struct ccz_secret *under, struct ccz_span aad,
                      struct ccz_span wrapped)
{
    size_t more = NONCE_SIZE + TAG_SIZE;
    *out = NULL;
    if (wrapped.size < more || !cczi_pq_is_key_size(wrapped.size - more))
        return CCZ_E_SIG;
    struct ccz_span text = ccz_span_sub(wrapped, NONCE_SIZE, wrapped.size - more);
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_aead) gcm = NULL;
    ccz_rc rc = ccz_secret_new(&key, text.size);
    if (rc == CCZ_OK)
        rc = new_gcm(&gcm, under);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(gcm, ccz_secret_bytes(key), text.ptr + text.size, ccz_secret_view(under),
                           wrapped.ptr, aad, text);
    if (rc == CCZ_OK)
        *out = ccz_secret_take(&key);
    return rc;
}
