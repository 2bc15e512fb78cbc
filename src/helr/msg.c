/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the messages. Integers are little-endian; a ciphertext or key is as rlwe.h writes it. */
#include "helr/helr_priv.h"

#include <string.h>

static const char magic[4] = {'H', 'E', 'L', 'R'};

void cczi_helr_put_head(struct ccz_buf *out, enum cczi_helr_kind kind)
{
    ccz_buf_put(out, magic, sizeof(magic));
    ccz_buf_u8(out, CCZI_HELR_VERSION);
    ccz_buf_u8(out, (uint8_t)kind);
    ccz_buf_le16(out, 0);
}

ccz_rc cczi_helr_get_head(struct ccz_rd *r, struct ccz_span msg, enum cczi_helr_kind kind,
                          size_t size_max, struct ccz_err *err)
{
    if (msg.size > size_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "helr:message-size", (int64_t)msg.size,
                              (int64_t)size_max);
    *r = ccz_rd_from(msg);
    char got[sizeof(magic)];
    ccz_rd_copy(r, got, sizeof(got));
    unsigned version = ccz_rd_u8(r), got_kind = ccz_rd_u8(r), zero = ccz_rd_le16(r);
    if (r->bad || memcmp(got, magic, sizeof(magic)) != 0)
        return ccz_fail(err, CCZ_E_FORMAT, "helr:magic", 0, "this is no message of helr");
    if (version != CCZI_HELR_VERSION)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "helr:version", version, CCZI_HELR_VERSION);
    if (got_kind != (unsigned)kind || zero != 0)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "helr:kind", got_kind, kind);
    return CCZ_OK;
}

void cczi_helr_put_rows(struct ccz_buf *out, enum cczi_helr_kind kind,
                        const struct cczi_helr_rows *h)
{
    cczi_helr_put_head(out, kind);
    ccz_buf_put(out, h->session, sizeof(h->session));
    ccz_buf_le32(out, h->rows);
    ccz_buf_le32(out, h->per_ct);
    ccz_buf_le32(out, h->cts);
    ccz_buf_le32(out, h->ct_size);
    uint64_t bits;
    memcpy(&bits, &h->radius, sizeof(bits));
    if (kind == CCZI_HELR_MODEL)
        ccz_buf_le64(out, bits);
}

ccz_rc cczi_helr_get_rows(struct cczi_helr_rows *h, struct ccz_span msg, enum cczi_helr_kind kind,
                          size_t size_max, const char *where, struct ccz_err *err)
{
    struct ccz_rd r;
    memset(h, 0, sizeof(*h));
    ccz_rc rc = cczi_helr_get_head(&r, msg, kind, size_max, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_rd_copy(&r, h->session, sizeof(h->session));
    h->rows = ccz_rd_le32(&r);
    h->per_ct = ccz_rd_le32(&r);
    h->cts = ccz_rd_le32(&r);
    h->ct_size = ccz_rd_le32(&r);
    uint64_t bits = kind == CCZI_HELR_MODEL ? ccz_rd_le64(&r) : 0;
    memcpy(&h->radius, &bits, sizeof(bits));
    uint64_t size = (uint64_t)h->cts * h->ct_size;
    if (r.bad || h->cts == 0 || h->ct_size == 0 || size != r.left)
        return ccz_fail(err, CCZ_E_FORMAT, where, (int64_t)msg.size,
                        "truncated, trailing bytes or no ciphertext");
    h->body = ccz_rd_take(&r, (size_t)size);
    return CCZ_OK;
}

ccz_rc cczi_helr_session_id(uint8_t id[CCZ_HELR_SESSION_SIZE], struct ccz_span keys,
                            struct ccz_err *err)
{
    uint8_t hash[32];
    ccz_rc rc = ccz_sha256(hash, keys);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "helr:session", 0, "hashing failed");
    memcpy(id, hash, CCZ_HELR_SESSION_SIZE);
    return CCZ_OK;
}
