/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header: "CCZF", version 1, kind, 2 bytes 0, round (8)        all integers little-endian
 * HELLO:  role (1), 3 bytes 0, cols (4), rows (8), round (8), config (32), ids (32)
 * START:  first round (8), rows of all (8)      GO: 1 byte
 * BYE:    nothing
 * WINDOWS, SCORES: 8 bytes per value, an integer or an IEEE 754 double
 * others: one object in the formats of paillier.h
 */
#include "fedlr/fedlr_priv.h"

#include <cczoo/codec.h>
#include <math.h>
#include <string.h>

static const uint8_t MAGIC[4] = {'C', 'C', 'Z', 'F'};
enum { VERSION = 1, VALUE_SIZE = 8, VALUES_MAX = 1 << 24 };

static bool parse_hello(struct cczi_fl_hello *h, struct ccz_rd *r)
{
    uint8_t role = ccz_rd_u8(r);
    uint32_t zero = ccz_rd_u8(r);
    zero |= ccz_rd_le16(r);
    h->role = (enum cczi_fl_role)role;
    h->cols = ccz_rd_le32(r);
    h->rows = ccz_rd_le64(r);
    h->round = ccz_rd_le64(r);
    ccz_rd_copy(r, h->config, sizeof(h->config));
    ccz_rd_copy(r, h->ids, sizeof(h->ids));
    return zero == 0 && role >= CCZI_ROLE_AGGREGATOR && role < CCZI_ROLE_LEN &&
           h->cols <= CCZ_FEDLR_COLS_MAX && h->rows <= CCZ_FEDLR_ROWS_MAX;
}

/* Values of 8 bytes; scores must be finite. */
static bool parse_values(struct cczi_fl_msg *m, struct ccz_rd *r)
{
    m->body = ccz_rd_take(r, r->left);
    m->len = m->body.size / VALUE_SIZE;
    if (m->body.size % VALUE_SIZE != 0 || m->len > VALUES_MAX)
        return false;
    for (size_t i = 0; m->kind == CCZI_MSG_SCORES && i < m->len; i++)
        if (!isfinite(cczi_fl_msg_score(m, i)))
            return false;
    return true;
}

static bool parse_body(struct cczi_fl_msg *m, struct ccz_rd *r)
{
    switch (m->kind) {
    case CCZI_MSG_HELLO:
        return parse_hello(&m->hello, r);
    case CCZI_MSG_START:
        m->start.round = ccz_rd_le64(r);
        m->start.rows = ccz_rd_le64(r);
        return m->start.rows <= (uint64_t)CCZ_FEDLR_ROWS_MAX * CCZ_FEDLR_PARTIES_MAX;
    case CCZI_MSG_GO:
        m->go = ccz_rd_u8(r);
        return m->go <= 1;
    case CCZI_MSG_WINDOWS:
    case CCZI_MSG_SCORES:
        return parse_values(m, r);
    case CCZI_MSG_BYE:
        return true;
    default: /* an object that paillier.h reads */
        m->body = ccz_rd_take(r, r->left);
        return m->body.size > 0;
    }
}

ccz_rc cczi_fl_msg_parse(struct cczi_fl_msg *out, struct ccz_span in, struct ccz_err *err)
{
    struct cczi_fl_msg m = {0};
    struct ccz_rd r = ccz_rd_from(in);
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    good &= ccz_rd_u8(&r) == VERSION;
    m.kind = (enum cczi_fl_msg_kind)ccz_rd_u8(&r);
    good &= ccz_rd_le16(&r) == 0;
    m.round = ccz_rd_le64(&r);
    good &= m.kind >= CCZI_MSG_HELLO && m.kind < CCZI_MSG_KIND_LEN;
    if (!good || !parse_body(&m, &r) || !ccz_rd_done(&r)) {
        *out = (struct cczi_fl_msg){0};
        return ccz_fail(err, CCZ_E_PEER, "fedlr:message", (int64_t)in.size,
                        "malformed message of %zu bytes", in.size);
    }
    *out = m;
    return CCZ_OK;
}

uint64_t cczi_fl_msg_window(const struct cczi_fl_msg *m, size_t i)
{
    struct ccz_rd r = ccz_rd_from(ccz_span_sub(m->body, i * VALUE_SIZE, VALUE_SIZE));
    return ccz_rd_le64(&r);
}

double cczi_fl_msg_score(const struct cczi_fl_msg *m, size_t i)
{
    return ccz_pb_as_double(cczi_fl_msg_window(m, i));
}

void cczi_fl_msg_begin(struct ccz_buf *out, enum cczi_fl_msg_kind kind, uint64_t round)
{
    ccz_buf_clear(out);
    ccz_buf_put(out, MAGIC, sizeof(MAGIC));
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, (uint8_t)kind);
    ccz_buf_le16(out, 0);
    ccz_buf_le64(out, round);
}

void cczi_fl_msg_put_hello(struct ccz_buf *out, const struct cczi_fl_hello *h)
{
    ccz_buf_u8(out, (uint8_t)h->role);
    ccz_buf_u8(out, 0);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, h->cols);
    ccz_buf_le64(out, h->rows);
    ccz_buf_le64(out, h->round);
    ccz_buf_put(out, h->config, sizeof(h->config));
    ccz_buf_put(out, h->ids, sizeof(h->ids));
}

void cczi_fl_msg_put_double(struct ccz_buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    ccz_buf_le64(out, bits);
}
