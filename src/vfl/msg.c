/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header (64 bytes): "CCZV", version 1, kind, 2 bytes 0, session (16), step (8), rows (4), width (4), batch digest (16),
 *         8 bytes 0                                            all integers little-endian
 * ACT, GRAD, TEST: rows * width float32      START, BYE: nothing
 * HELLO:  role (1), states (1), worker from 0 (2), workers but this one (2), 2 bytes 0, steps of states (2 * 8), width (8),
 *         rows (8), test rows (8), digests of configuration, alignment, test alignment, schema (32 each)
 * Between workers of one party:
 * TEAM:   role (1), 3 bytes 0, worker from 0 (4), workers (4), 4 bytes 0, a fresh number (32)      PROOF: MAC (32)
 * READY:  digest of settings (32), number of steps (8), steps (2 * 8)
 * STATE, MEAN, ROWS: size of the whole (8), where this piece begins (8), a float64 (8), the piece
 */
#include "vfl/vfl_priv.h"

#include <string.h>

static const uint8_t MAGIC[4] = {'C', 'C', 'Z', 'V'};
enum {
    VERSION = 1,
    WIDTH_MAX = CCZ_VFL_WIDTH_MAX,
    ROWS_MAX = 1 << 20,
    WORKERS_MAX = CCZ_VFL_WORKERS_MAX
};

static bool parse_hello(struct cczi_vfl_hello *h, struct ccz_rd *r)
{
    uint8_t role = ccz_rd_u8(r);
    h->role = (enum cczi_vfl_role)role;
    h->steps_len = ccz_rd_u8(r);
    h->worker = ccz_rd_le16(r);
    uint32_t others = ccz_rd_le16(r);
    h->workers = others + 1;
    bool zero = ccz_rd_le16(r) == 0 && h->worker <= others && others < WORKERS_MAX;
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

static bool parse_team(struct cczi_vfl_team_hello *h, struct ccz_rd *r)
{
    uint8_t role = ccz_rd_u8(r);
    h->role = (enum cczi_vfl_role)role;
    bool zero = ccz_rd_u8(r) == 0;
    zero &= ccz_rd_le16(r) == 0;
    h->worker = ccz_rd_le32(r);
    h->workers = ccz_rd_le32(r);
    zero &= ccz_rd_le32(r) == 0;
    ccz_rd_copy(r, h->fresh, sizeof(h->fresh));
    return zero && (role == CCZI_VFL_LEADER || role == CCZI_VFL_FOLLOWER) && h->workers >= 2 &&
           h->workers <= WORKERS_MAX && h->worker < h->workers;
}

static bool parse_ready(struct cczi_vfl_ready *y, struct ccz_rd *r)
{
    ccz_rd_copy(r, y->settings, sizeof(y->settings));
    uint64_t len = ccz_rd_le64(r);
    for (size_t i = 0; i < CCZI_VFL_KEPT; i++)
        y->steps[i] = ccz_rd_le64(r);
    y->steps_len = (uint32_t)len;
    return len <= CCZI_VFL_KEPT && (len > 0 || y->steps[0] == 0) &&
           (len >= CCZI_VFL_KEPT || y->steps[1] == 0);
}

static bool parse_piece(struct cczi_vfl_piece *p, struct ccz_rd *r)
{
    p->total = ccz_rd_le64(r);
    p->at = ccz_rd_le64(r);
    uint64_t bits = ccz_rd_le64(r);
    memcpy(&p->value, &bits, sizeof(bits));
    p->bytes = ccz_rd_take(r, r->left);
    return p->total <= CCZ_VFL_STATE_SIZE_MAX && p->at <= p->total &&
           p->bytes.size <= p->total - p->at;
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
    case CCZI_VFL_TEAM:
        return m->rows == 0 && m->width == 0 && parse_team(&m->team, r);
    case CCZI_VFL_PROOF:
        ccz_rd_copy(r, m->proof, sizeof(m->proof));
        return m->rows == 0 && m->width == 0;
    case CCZI_VFL_READY:
        return m->rows == 0 && m->width == 0 && parse_ready(&m->ready, r);
    case CCZI_VFL_STATE:
    case CCZI_VFL_MEAN:
    case CCZI_VFL_ROWS:
        return m->rows == 0 && m->width == 0 && parse_piece(&m->piece, r);
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
    ccz_buf_le16(out, (uint16_t)h->worker);
    ccz_buf_le16(out, (uint16_t)(h->workers - 1));
    ccz_buf_le16(out, 0);
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

void cczi_vfl_msg_team(struct ccz_buf *out, const struct cczi_vfl_team_hello *h)
{
    ccz_buf_u8(out, (uint8_t)h->role);
    ccz_buf_u8(out, 0);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, h->worker);
    ccz_buf_le32(out, h->workers);
    ccz_buf_le32(out, 0);
    ccz_buf_put(out, h->fresh, sizeof(h->fresh));
}

void cczi_vfl_msg_ready(struct ccz_buf *out, const struct cczi_vfl_ready *y)
{
    ccz_buf_put(out, y->settings, sizeof(y->settings));
    ccz_buf_le64(out, y->steps_len);
    for (size_t i = 0; i < CCZI_VFL_KEPT; i++)
        ccz_buf_le64(out, i < y->steps_len ? y->steps[i] : 0);
}

void cczi_vfl_msg_piece(uint8_t out[CCZI_VFL_PIECE_SIZE], const struct cczi_vfl_piece *p)
{
    uint64_t bits;
    memcpy(&bits, &p->value, sizeof(bits));
    put_le(out, p->total, 8);
    put_le(out + 8, p->at, 8);
    put_le(out + 16, bits, 8);
}
