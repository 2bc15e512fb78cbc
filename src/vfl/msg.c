/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header (64 bytes): "CCZV", version 1, kind, 2 bytes 0, session (16), step (8), rows (4), width (4), batch digest (16),
 *         8 bytes 0                                            all integers little-endian
 * ACT, GRAD, TEST: rows * width float32      START, BYE: nothing
 * HELLO:  role (1), states (1), 6 bytes 0, steps of states (2 * 8), width (8), rows (8), test rows (8), digests of
 *         configuration, alignment, test alignment, schema (32 each)
 */
#include "vfl/vfl_priv.h"

#include <string.h>

static const uint8_t MAGIC[4] = {'C', 'C', 'Z', 'V'};
enum { VERSION = 1, WIDTH_MAX = CCZ_VFL_WIDTH_MAX, ROWS_MAX = 1 << 20 };

static bool parse_hello(struct cczi_vfl_hello *h, struct ccz_rd *r)
{
    uint8_t role = ccz_rd_u8(r);
    h->role = (enum cczi_vfl_role)role;
    h->steps_len = ccz_rd_u8(r);
    bool zero = ccz_rd_le16(r) == 0;
    zero &= ccz_rd_le32(r) == 0;
    for (size_t i = 0; i < CCZI_VFL_KEPT; i++)
        h->steps[i] = ccz_rd_le64(r);
    zero &= h->steps_len >= CCZI_VFL_KEPT || h->steps[1] == 0; /* what is not said is 0 */
    h->width = ccz_rd_le64(r);
    h->rows = ccz_rd_le64(r);
    h->test_rows = ccz_rd_le64(r);
    ccz_rd_copy(r, h->config, sizeof(h->config));
    ccz_rd_copy(r, h->alignment, sizeof(h->alignment));
    ccz_rd_copy(r, h->test_alignment, sizeof(h->test_alignment));
    ccz_rd_copy(r, h->schema, sizeof(h->schema));
    return zero && role >= CCZI_VFL_LEADER && role <= CCZI_VFL_OWN && h->steps_len >= 1 &&
           h->steps_len <= CCZI_VFL_KEPT && h->width <= WIDTH_MAX;
}

static bool parse_body(struct cczi_vfl_msg *m, struct ccz_rd *r)
{
    switch (m->kind) {
    case CCZI_VFL_HELLO:
        return m->rows == 0 && m->width == 0 && parse_hello(&m->hello, r);
    case CCZI_VFL_ACT:
    case CCZI_VFL_GRAD:
    case CCZI_VFL_TEST:
        if (m->rows == 0 || m->rows > ROWS_MAX || m->width == 0 || m->width > WIDTH_MAX)
            return false;
        m->body = ccz_rd_take(r, (size_t)m->rows * m->width * sizeof(float));
        return true;
    default:
        return m->rows == 0 && m->width == 0;
    }
}

ccz_rc cczi_vfl_msg_parse(struct cczi_vfl_msg *out, struct ccz_span in, struct ccz_err *err)
{
    struct cczi_vfl_msg m = {0};
    struct ccz_rd r = ccz_rd_from(in);
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    good &= ccz_rd_u8(&r) == VERSION;
    uint8_t kind = ccz_rd_u8(&r);
    m.kind = (enum cczi_vfl_kind)kind;
    good &= ccz_rd_le16(&r) == 0;
    ccz_rd_copy(&r, m.session, sizeof(m.session));
    m.step = ccz_rd_le64(&r);
    m.rows = ccz_rd_le32(&r);
    m.width = ccz_rd_le32(&r);
    ccz_rd_copy(&r, m.batch, sizeof(m.batch));
    good &= ccz_rd_le64(&r) == 0;
    good &= kind >= CCZI_VFL_HELLO && kind < CCZI_VFL_KIND_END;
    if (!good || !parse_body(&m, &r) || !ccz_rd_done(&r)) {
        *out = (struct cczi_vfl_msg){0};
        return ccz_fail(err, CCZ_E_PEER, "vfl:message", (int64_t)in.size,
                        "malformed message of %zu bytes", in.size);
    }
    *out = m;
    return CCZ_OK;
}

static void put_le(uint8_t *out, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

void cczi_vfl_msg_header(uint8_t out[CCZI_VFL_HEADER_SIZE], const struct cczi_vfl_msg *m)
{
    memset(out, 0, CCZI_VFL_HEADER_SIZE);
    memcpy(out, MAGIC, sizeof(MAGIC));
    out[4] = VERSION;
    out[5] = (uint8_t)m->kind;
    memcpy(out + 8, m->session, sizeof(m->session));
    put_le(out + 24, m->step, 8);
    put_le(out + 32, m->rows, 4);
    put_le(out + 36, m->width, 4);
    memcpy(out + 40, m->batch, sizeof(m->batch));
}

void cczi_vfl_msg_hello(struct ccz_buf *out, const struct cczi_vfl_hello *h)
{
    ccz_buf_u8(out, (uint8_t)h->role);
    ccz_buf_u8(out, (uint8_t)h->steps_len);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, 0);
    for (size_t i = 0; i < CCZI_VFL_KEPT; i++)
        ccz_buf_le64(out, i < h->steps_len ? h->steps[i] : 0);
    ccz_buf_le64(out, h->width);
    ccz_buf_le64(out, h->rows);
    ccz_buf_le64(out, h->test_rows);
    ccz_buf_put(out, h->config, sizeof(h->config));
    ccz_buf_put(out, h->alignment, sizeof(h->alignment));
    ccz_buf_put(out, h->test_alignment, sizeof(h->test_alignment));
    ccz_buf_put(out, h->schema, sizeof(h->schema));
}
