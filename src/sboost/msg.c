/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header: "CCZB", version 2, kind, 2 bytes 0, tree (4), node (4)        all integers little-endian
 * HELLO:  guest (1), 3 bytes 0, columns (4), rows (8), config (32), ids (32), number of states (4), trees of each (2 * 4), run (16)
 * CHOOSE: candidate (4)                     LEFT: number of the split (4), bitmap of the node's rows
 * TREE:   nothing, or a bitmap of all rows  SPLIT: bitmap of the node's rows
 * ANSWERS: number of splits (4), rows (8), ids (32), a bitmap of all rows for each
 * START: run (16)
 * NODE, DONE, SAVE, SAVED: nothing          others: one object in the formats of paillier.h
 */
#include "sboost/sboost_priv.h"

#include <stdio.h>
#include <string.h>

static const uint8_t MAGIC[4] = {'C', 'C', 'Z', 'B'};
enum { VERSION = 2, OUT_SIZE_MAX = 1 << 30, HELLO_SIZE_MAX = 128 };

static bool parse_states(struct cczi_sb_states *have, struct ccz_rd *r)
{
    static const uint8_t none[CCZI_SB_RUN_SIZE] = {0};
    bool good = true;
    have->len = ccz_rd_le32(r);
    for (uint32_t i = 0; i < CCZI_CKPT_KEPT; i++) {
        have->trees[i] = ccz_rd_le32(r);
        good &= have->trees[i] <= (i < have->len ? CCZ_SBOOST_TREES_MAX : 0);
    }
    ccz_rd_copy(r, have->run, sizeof(have->run));
    return good && have->len <= CCZI_CKPT_KEPT &&
           (have->len > 0 || memcmp(have->run, none, sizeof(none)) == 0);
}

static bool parse_hello(struct cczi_sb_hello *h, struct ccz_rd *r)
{
    uint8_t guest = ccz_rd_u8(r);
    uint32_t zero = ccz_rd_u8(r);
    zero |= ccz_rd_le16(r);
    h->guest = guest == 1;
    h->cols = ccz_rd_le32(r);
    h->rows = ccz_rd_le64(r);
    ccz_rd_copy(r, h->config, sizeof(h->config));
    ccz_rd_copy(r, h->ids, sizeof(h->ids));
    return parse_states(&h->have, r) && zero == 0 && guest <= 1 && h->cols <= CCZ_SBOOST_COLS_MAX &&
           h->rows <= CCZ_SBOOST_ROWS_MAX;
}

static bool parse_body(struct cczi_sb_msg *m, struct ccz_rd *r)
{
    switch (m->kind) {
    case CCZI_SB_HELLO:
        return parse_hello(&m->hello, r);
    case CCZI_SB_NODE:
    case CCZI_SB_DONE:
    case CCZI_SB_SAVE:
    case CCZI_SB_SAVED:
        return true;
    case CCZI_SB_CHOOSE:
        m->number = ccz_rd_le32(r);
        return true;
    case CCZI_SB_LEFT:
    case CCZI_SB_ANSWERS:
        m->number = ccz_rd_le32(r);
        if (m->kind == CCZI_SB_ANSWERS) {
            m->hello.rows = ccz_rd_le64(r);
            ccz_rd_copy(r, m->hello.ids, sizeof(m->hello.ids));
        }
        m->body = ccz_rd_take(r, r->left);
        return true;
    case CCZI_SB_START:
        m->body = ccz_rd_take(r, CCZI_SB_RUN_SIZE);
        return true;
    default:
        m->body = ccz_rd_take(r, r->left);
        return true;
    }
}

ccz_rc cczi_sb_msg_parse(struct cczi_sb_msg *out, struct ccz_span in, struct ccz_err *err)
{
    struct cczi_sb_msg m = {0};
    struct ccz_rd r = ccz_rd_from(in);
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    good &= ccz_rd_u8(&r) == VERSION;
    m.kind = (enum cczi_sb_kind)ccz_rd_u8(&r);
    good &= ccz_rd_le16(&r) == 0;
    m.tree = ccz_rd_le32(&r);
    m.node = ccz_rd_le32(&r);
    good &= m.kind >= CCZI_SB_HELLO && m.kind < CCZI_SB_KIND_LEN;
    if (!good || !parse_body(&m, &r) || !ccz_rd_done(&r)) {
        *out = (struct cczi_sb_msg){0};
        return ccz_fail(err, CCZ_E_PEER, "sboost:message", (int64_t)in.size,
                        "malformed message of %zu bytes", in.size);
    }
    *out = m;
    return CCZ_OK;
}

void cczi_sb_msg_begin(struct ccz_buf *out, enum cczi_sb_kind kind, size_t tree, size_t node)
{
    ccz_buf_clear(out);
    ccz_buf_put(out, MAGIC, sizeof(MAGIC));
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, (uint8_t)kind);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, (uint32_t)tree);
    ccz_buf_le32(out, (uint32_t)node);
}

void cczi_sb_msg_put_hello(struct ccz_buf *out, const struct cczi_sb_hello *h)
{
    ccz_buf_u8(out, h->guest);
    ccz_buf_u8(out, 0);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, h->cols);
    ccz_buf_le64(out, h->rows);
    ccz_buf_put(out, h->config, sizeof(h->config));
    ccz_buf_put(out, h->ids, sizeof(h->ids));
    ccz_buf_le32(out, h->have.len);
    for (uint32_t i = 0; i < CCZI_CKPT_KEPT; i++)
        ccz_buf_le32(out, h->have.trees[i]);
    ccz_buf_put(out, h->have.run, sizeof(h->have.run));
}

/* ----------------------------------------------------------------------------------- session */

ccz_rc cczi_sb_session_init(struct cczi_sb_session *s, const struct ccz_sboost_run *run,
                            struct ccz_chan *const *chans, size_t len, struct ccz_err *err)
{
    *s = (struct cczi_sb_session){.run = run};
    ccz_buf_init(&s->in, HELLO_SIZE_MAX);
    ccz_buf_init(&s->out, OUT_SIZE_MAX);
    for (size_t i = 0; i < len && i < CCZ_SBOOST_HOSTS_MAX; i++) {
        s->chan[s->len++] = chans[i];
        if (run->timeout_ms > 0)
            ccz_chan_set_timeout(chans[i], run->timeout_ms);
    }
    if (len > CCZ_SBOOST_HOSTS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "sboost:config", (int64_t)len, CCZ_SBOOST_HOSTS_MAX);
    return cczi_sb_config(&s->cfg, run->cfg, err);
}

ccz_rc cczi_sb_session_end(struct cczi_sb_session *s, ccz_rc rc, const struct ccz_err *reason,
                           struct ccz_err *err)
{
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    if (rc != CCZ_OK) {
        (void)snprintf(text, sizeof(text), "%s: %s", reason->where, reason->msg);
        for (size_t i = 0; i < s->len; i++)
            ccz_chan_close(s->chan[i], text);
        if (err)
            *err = *reason;
    }
    ccz_buf_free(&s->in);
    ccz_buf_free(&s->out);
    return rc;
}

ccz_rc cczi_sb_send(struct cczi_sb_session *s, size_t to, struct ccz_err *err)
{
    if (s->out.bad)
        return cczi_sb_no_memory(err);
    return ccz_chan_send(s->chan[to], ccz_buf_span(&s->out), err);
}

ccz_rc cczi_sb_send_all(struct cczi_sb_session *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        rc = cczi_sb_send(s, i, err);
    return rc;
}

ccz_rc cczi_sb_recv(struct cczi_sb_session *s, size_t from, size_t size_max, struct ccz_err *err)
{
    ccz_buf_clear(&s->in);
    s->in.max_size = CCZI_SB_HEADER_SIZE + size_max;
    ccz_rc rc = ccz_chan_recv(&s->in, s->chan[from], err);
    return rc == CCZ_OK ? cczi_sb_msg_parse(&s->msg, ccz_buf_span(&s->in), err) : rc;
}

ccz_rc cczi_sb_expect(struct cczi_sb_session *s, size_t from, enum cczi_sb_kind kind, size_t tree,
                      size_t node, size_t size_max, struct ccz_err *err)
{
    ccz_rc rc = cczi_sb_recv(s, from, size_max, err);
    if (rc == CCZ_OK && (s->msg.kind != kind || s->msg.tree != tree || s->msg.node != node)) {
        char got[64], expected[64];
        (void)snprintf(got, sizeof(got), "kind %d of tree %u, node %u", (int)s->msg.kind,
                       s->msg.tree, s->msg.node);
        (void)snprintf(expected, sizeof(expected), "kind %d of tree %zu, node %zu", (int)kind, tree,
                       node);
        rc = ccz_refuse(err, CCZ_E_PEER, "sboost:order", got, expected);
    }
    return rc;
}

static ccz_rc check_hello(const struct cczi_sb_hello *theirs, const struct cczi_sb_hello *mine,
                          struct ccz_err *err)
{
    if (theirs->guest == mine->guest)
        return ccz_refuse(err, CCZ_E_MISMATCH, "sboost:role", theirs->guest ? "guest" : "host",
                          mine->guest ? "host" : "guest");
    if (memcmp(theirs->config, mine->config, sizeof(mine->config)) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "sboost:config-digest",
                                         theirs->config, sizeof(mine->config), mine->config,
                                         sizeof(mine->config)),
                        "all parties need the same loss, rounds, depth and bins");
    if (theirs->rows != mine->rows)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "sboost:alignment", (int64_t)theirs->rows,
                              (int64_t)mine->rows);
    if (memcmp(theirs->ids, mine->ids, sizeof(mine->ids)) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "sboost:alignment", theirs->ids,
                                         sizeof(mine->ids), mine->ids, sizeof(mine->ids)),
                        "all parties need the same rows in the same order");
    return CCZ_OK;
}

ccz_rc cczi_sb_greet(struct cczi_sb_session *s, bool guest, const struct ccz_sboost_data *d,
                     const struct cczi_sb_states *have, struct ccz_err *err)
{
    struct cczi_sb_hello mine = {.guest = guest, .rows = d->rows, .cols = (uint32_t)d->cols};
    if (d->ids)
        memcpy(mine.ids, d->ids, sizeof(mine.ids));
    if (have)
        mine.have = *have;
    cczi_sb_config_digest(mine.config, &s->cfg);
    cczi_sb_msg_begin(&s->out, CCZI_SB_HELLO, 0, 0);
    cczi_sb_msg_put_hello(&s->out, &mine);
    ccz_rc rc = cczi_sb_send_all(s, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        rc = cczi_sb_expect(s, i, CCZI_SB_HELLO, 0, 0, HELLO_SIZE_MAX, err);
        if (rc == CCZ_OK)
            rc = check_hello(&s->msg.hello, &mine, err);
        s->cols[i] = rc == CCZ_OK ? s->msg.hello.cols : 0;
        if (rc == CCZ_OK)
            s->have[i] = s->msg.hello.have;
    }
    return rc;
}

void cczi_sb_count(uint64_t *sent, uint64_t *received, const struct cczi_sb_session *s)
{
    *sent = *received = 0;
    for (size_t i = 0; i < s->len; i++) {
        struct ccz_chan_stats st = ccz_chan_stats(s->chan[i]);
        *sent += st.sent_size;
        *received += st.received_size;
    }
}

unsigned cczi_sb_slot_bits(unsigned value_bits, size_t rows, const struct ccz_sboost_cfg *cfg)
{
    /* sums of all rows, of all bins, and a bit for each level of differences, as bounds have it */
    return value_bits + cczi_sb_log2_up(rows) + cczi_sb_log2_up(cfg->bins) + cfg->depth + 2;
}
