/* SPDX-License-Identifier: Apache-2.0 */
/* Compact binary formats. Tables: docs/design/paillier.md. */
#include "paillier/paillier_priv.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, HEAD_SIZE = 8, VEC_HEAD_SIZE = 72, BATCH = 256 };
enum kind { KIND_PUB = 1, KIND_KEY = 2, KIND_VEC = 3 };
static const char magic[4] = {'C', 'C', 'Z', 'P'};

/* ------------------------------------------------------------------------------------ head */

static void put_head(struct ccz_buf *out, enum kind kind)
{
    ccz_buf_put(out, magic, sizeof(magic));
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, (uint8_t)kind);
    ccz_buf_le16(out, 0);
}

static ccz_rc take_head(struct ccz_rd *r, enum kind want, struct ccz_err *err)
{
    char got[sizeof(magic)];
    ccz_rd_copy(r, got, sizeof(got));
    uint8_t version = ccz_rd_u8(r), kind = ccz_rd_u8(r);
    uint16_t flags = ccz_rd_le16(r);
    if (r->bad)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:truncated", 0, "the head is cut off");
    if (memcmp(got, magic, sizeof(magic)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_FORMAT, "paillier:magic", got, sizeof(got), magic,
                                sizeof(magic));
    if (version != VERSION || flags != 0)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:version", version, VERSION);
    if (kind != want)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:kind", kind, (int64_t)want);
    return CCZ_OK;
}

static ccz_rc finish(const struct ccz_rd *r, struct ccz_err *err)
{
    if (r->bad)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:truncated", 0, "the contents are cut off");
    if (r->left > 0)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:trailing", (int64_t)r->left,
                        "%zu bytes too many", r->left);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ keys */

/* Head, size of n (2 bytes), 1 if there is an h (2 bytes), n, h. */
void ccz_paillier_pub_write(struct ccz_buf *out, const struct ccz_paillier_pub *pub)
{
    put_head(out, KIND_PUB);
    ccz_buf_le16(out, (uint16_t)pub->size);
    ccz_buf_le16(out, pub->djn);
    ccz_buf_put(out, pub->n_bytes, pub->size);
    if (pub->djn)
        ccz_buf_put(out, pub->h, pub->size);
}

ccz_rc ccz_paillier_pub_read(struct ccz_paillier_pub **out, struct ccz_span in,
                             const struct ccz_paillier_pub_cfg *cfg, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    *out = NULL;
    ccz_rc rc = take_head(&r, KIND_PUB, err);
    if (rc != CCZ_OK)
        return rc;
    size_t size = ccz_rd_le16(&r);
    uint16_t djn = ccz_rd_le16(&r);
    struct ccz_span n = ccz_rd_take(&r, size);
    struct ccz_span h = ccz_rd_take(&r, djn ? size : 0);
    if ((rc = finish(&r, err)) != CCZ_OK)
        return rc;
    if (djn > 1)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:kind", djn, 1);
    return ccz_paillier_pub_new(out, n, h, cfg, err);
}

/* Head, size of n (2 bytes), 1 if there is an h (2 bytes), p, q, h. */
ccz_rc ccz_paillier_key_write(struct ccz_secret **out, const struct ccz_paillier_key *k)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, HEAD_SIZE + 4 + 2 * CCZ_PAILLIER_N_SIZE_MAX);
    b.wipe = true;
    *out = NULL;
    put_head(&b, KIND_KEY);
    ccz_buf_le16(&b, (uint16_t)k->pub->size);
    ccz_buf_le16(&b, k->pub->djn);
    ccz_buf_put(&b, k->p_bytes, k->size);
    ccz_buf_put(&b, k->q_bytes, k->size);
    if (k->pub->djn)
        ccz_buf_put(&b, k->pub->h, k->pub->size);
    return b.bad ? CCZ_E_NOMEM : ccz_secret_from(out, b.ptr, b.size);
}

ccz_rc ccz_paillier_key_read(struct ccz_paillier_key **out, const struct ccz_secret *in,
                             const struct ccz_paillier_pub_cfg *cfg, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(ccz_secret_view(in), ccz_secret_size(in)));
    *out = NULL;
    ccz_rc rc = take_head(&r, KIND_KEY, err);
    if (rc != CCZ_OK)
        return rc;
    size_t size = ccz_rd_le16(&r);
    uint16_t djn = ccz_rd_le16(&r);
    struct ccz_span p = ccz_rd_take(&r, size / 2), q = ccz_rd_take(&r, size / 2);
    struct ccz_span h = ccz_rd_take(&r, djn ? size : 0);
    if ((rc = finish(&r, err)) != CCZ_OK)
        return rc;
    if (djn > 1 || size % 2 != 0)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:kind", djn, 1);
    return cczi_key_import(out, p, q, h, cfg, err);
}

/* ----------------------------------------------------------------------------- ciphertexts */

size_t ccz_paillier_vec_size(const struct ccz_paillier_pub *pub, size_t len)
{
    return VEC_HEAD_SIZE + len * 2 * pub->size;
}

ccz_rc ccz_paillier_vec_write_insecure(struct ccz_buf *out, const struct ccz_paillier_vec *v,
                                       struct ccz_err *err)
{
    const size_t size = 2 * v->pub->size;
    if (v->len > CCZ_PAILLIER_VEC_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:len", (int64_t)v->len,
                              CCZ_PAILLIER_VEC_LEN_MAX);
    put_head(out, KIND_VEC);
    ccz_buf_put(out, v->pub->id, sizeof(v->pub->id));
    ccz_buf_le32(out, v->pub->bits);
    ccz_buf_le32(out, (uint32_t)v->len);
    ccz_buf_le32(out, (uint32_t)v->exponent);
    ccz_buf_le32(out, v->pack.slot_bits);
    ccz_buf_le32(out, v->pack.slots);
    ccz_buf_le64(out, cczi_bound_mantissa(v->bound));
    ccz_buf_le32(out, (uint32_t)v->bound.e);
    uint8_t *to = ccz_buf_extend(out, v->len * size);
    if (!to)
        return ccz_fail(err, CCZ_E_LIMIT, "paillier:buffer", 0, "the buffer is full");
    for (size_t i = 0; i < v->len; i += BATCH)
        ccz_mont_to_bytes(v->pub->m, to + i * size, v->w + i * v->pub->len,
                          v->len - i < BATCH ? v->len - i : BATCH);
    return CCZ_OK;
}

ccz_rc ccz_paillier_vec_write(struct ccz_buf *out, const struct ccz_paillier_vec *v,
                              struct ccz_err *err)
{
    if (v->random != CCZI_RANDOM_FULL) {
        ccz_rc rc =
            ccz_refuse(err, CCZ_E_DENIED, "paillier:not-randomised",
                       "ciphertexts that plain numbers could be computed from", "randomised ones");
        return ccz_hint(err, rc, "call ccz_paillier_randomise() first");
    }
    return ccz_paillier_vec_write_insecure(out, v, err);
}

/* How the items are to be read; all of it untrusted. */
static ccz_rc take_kind(struct ccz_paillier_vec *v, struct ccz_rd *r, struct ccz_err *err)
{
    v->exponent = (int32_t)ccz_rd_le32(r);
    v->pack.slot_bits = ccz_rd_le32(r);
    v->pack.slots = ccz_rd_le32(r);
    uint64_t mantissa = ccz_rd_le64(r);
    int32_t exponent = (int32_t)ccz_rd_le32(r);
    if (v->exponent < -CCZI_PAI_EXPONENT_MAX || v->exponent > CCZI_PAI_EXPONENT_MAX)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:exponent", v->exponent,
                              CCZI_PAI_EXPONENT_MAX);
    if (v->pack.slots == 0 || (v->pack.slot_bits == 0 && v->pack.slots != 1) ||
        (v->pack.slot_bits && cczi_packing_check(&v->pack, v->pub, NULL) != CCZ_OK))
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:packing", v->pack.slots,
                              ccz_paillier_slots(v->pub, v->pack.slot_bits));
    if (!cczi_bound_from(&v->bound, mantissa, exponent) ||
        !cczi_bound_fits(v->bound, cczi_limit(v->pub, v->pack)))
        return ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:bound", exponent,
                              cczi_limit(v->pub, v->pack).e);
    return CCZ_OK;
}

ccz_rc ccz_paillier_vec_read(struct ccz_paillier_vec **out, const struct ccz_paillier_pub *pub,
                             struct ccz_span in, size_t len_max, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    *out = NULL;
    ccz_rc rc = take_head(&r, KIND_VEC, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span id = ccz_rd_take(&r, CCZ_PAILLIER_ID_SIZE);
    uint32_t bits = ccz_rd_le32(&r), len = ccz_rd_le32(&r);
    if (r.bad)
        return finish(&r, err);
    if (memcmp(id.ptr, pub->id, sizeof(pub->id)) != 0 || bits != pub->bits)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "paillier:key", id.ptr, id.size, pub->id,
                                sizeof(pub->id));
    if (len > len_max || len > CCZ_PAILLIER_VEC_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:len", len, (int64_t)len_max);
    size_t rest = VEC_HEAD_SIZE - HEAD_SIZE - CCZ_PAILLIER_ID_SIZE - 8 + len * 2 * pub->size;
    if (r.left < rest) /* before memory is taken for it */
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:truncated", 0, "items are cut off");
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    if ((rc = cczi_vec_new(&v, pub, len, err)) != CCZ_OK)
        return rc;
    if ((rc = take_kind(v, &r, err)) != CCZ_OK)
        return rc;
    struct ccz_span items = ccz_rd_take(&r, len * 2 * pub->size);
    if ((rc = finish(&r, err)) != CCZ_OK || (rc = cczi_vec_load(v, items.ptr, err)) != CCZ_OK)
        return rc;
    v->random = CCZI_RANDOM_FULL;
    *out = ccz_paillier_vec_take(&v);
    return CCZ_OK;
}

ccz_rc ccz_paillier_vec_from_residues(struct ccz_paillier_vec **out,
                                      const struct ccz_paillier_pub *pub, const uint8_t *residues,
                                      size_t len, struct ccz_paillier_format format,
                                      const struct ccz_paillier_packing *pack, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_plain) kind = NULL; /* has the rules for format and packing */
    ccz_rc rc = cczi_plain_new(&kind, pub, 0, format, pack, err);
    if (rc == CCZ_OK)
        rc = cczi_vec_new(&v, pub, len, err);
    if (rc == CCZ_OK)
        rc = cczi_vec_load(v, residues, err);
    if (rc != CCZ_OK)
        return rc;
    v->exponent = kind->exponent;
    v->pack = kind->pack;
    v->bound = kind->bound;
    v->random = CCZI_RANDOM_FULL;
    *out = ccz_paillier_vec_take(&v);
    return CCZ_OK;
}
