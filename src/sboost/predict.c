/* SPDX-License-Identifier: Apache-2.0 */
#include "sboost/sboost_priv.h"

#include <cczoo/codec.h>
#include <stdlib.h>
#include <string.h>

enum { SPLITS_MAX = 1 << 24 };

/* What each host answers: for each of its splits, which rows go left. */
struct answers {
    struct ccz_buf bits;
    size_t splits;
};

static const char *broken(const struct ccz_sboost_model *m, const struct answers *a)
{
    for (size_t t = 0; t < m->trees; t++)
        for (size_t n = 0; n < m->tree[t].len; n++) {
            const struct cczi_sb_node *node = &m->tree[t].node[n];
            if (node->party > CCZI_SB_OWN && node->split >= a[node->party - 1].splits)
                return "a host knows fewer splits than the trees have of it";
        }
    return NULL;
}

static void predict_row(double *p, const struct ccz_sboost_model *m, const struct answers *a,
                        const struct ccz_sboost_data *d, size_t row)
{
    size_t bytes = cczi_sb_bitmap_size(d->rows);
    memcpy(p, m->base, m->outputs * sizeof(*p));
    for (size_t t = 0; t < m->trees; t++) {
        const struct cczi_sb_node *node = m->tree[t].node;
        size_t n = 0;
        while (node[n].party != CCZI_SB_NONE) {
            bool left =
                node[n].party == CCZI_SB_OWN
                    ? d->x[row * d->cols + node[n].split] <= node[n].cut
                    : cczi_sb_bit(a[node[n].party - 1].bits.ptr + node[n].split * bytes, row);
            n = (size_t)(left ? node[n].left : node[n].right);
        }
        p[t % m->outputs] += node[n].weight;
    }
    cczi_sb_output(p, &m->cfg);
}

static ccz_rc recv_answers(struct answers *a, struct ccz_chan *host, size_t rows,
                           struct ccz_err *err)
{
    struct cczi_sb_msg msg;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, CCZ_CHAN_MESSAGE_SIZE_MAX);
    ccz_rc rc = ccz_chan_recv(&in, host, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_msg_parse(&msg, ccz_buf_span(&in), err);
    if (rc == CCZ_OK && msg.kind != CCZI_SB_ANSWERS)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:order", (int64_t)msg.kind, CCZI_SB_ANSWERS);
    size_t size = rc == CCZ_OK ? msg.number * cczi_sb_bitmap_size(rows) : 0;
    if (rc == CCZ_OK && (msg.number > SPLITS_MAX || msg.body.size != size))
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:message", (int64_t)msg.body.size,
                            (int64_t)size);
    if (rc != CCZ_OK)
        return rc;
    a->splits = msg.number;
    ccz_buf_put_span(&a->bits, msg.body);
    return a->bits.bad ? cczi_sb_no_memory(err) : CCZ_OK;
}

static ccz_rc say_done(struct ccz_chan *to, struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_SB_HEADER_SIZE);
    cczi_sb_msg_begin(&out, CCZI_SB_DONE, 0, 0);
    return ccz_chan_send(to, ccz_buf_span(&out), err);
}

ccz_rc ccz_sboost_predict_guest(double *p, const struct ccz_sboost_model *m,
                                struct ccz_chan *const *hosts, size_t len,
                                const struct ccz_sboost_data *data, struct ccz_err *err)
{
    struct answers a[CCZ_SBOOST_HOSTS_MAX];
    if (m->cols != data->cols || m->hosts != len)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "sboost:model", (int64_t)data->cols,
                              (int64_t)m->cols);
    for (size_t i = 0; i < len; i++) {
        a[i] = (struct answers){0};
        ccz_buf_init(&a[i].bits, CCZ_CHAN_MESSAGE_SIZE_MAX);
    }
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = recv_answers(&a[i], hosts[i], data->rows, err);
    const char *what = rc == CCZ_OK ? broken(m, a) : NULL;
    if (what)
        rc = ccz_fail(err, CCZ_E_MISMATCH, "sboost:model", 0, "%s", what);
    for (size_t i = 0; rc == CCZ_OK && i < data->rows; i++)
        predict_row(p + i * m->outputs, m, a, data, i);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = say_done(hosts[i], err);
    for (size_t i = 0; i < len; i++)
        ccz_buf_free(&a[i].bits);
    return rc;
}

ccz_rc ccz_sboost_predict_host(struct ccz_chan *guest, const struct ccz_sboost_part *p,
                               const struct ccz_sboost_data *data, struct ccz_err *err)
{
    struct cczi_sb_msg msg;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CHAN_MESSAGE_SIZE_MAX);
    if (p->cols != data->cols)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "sboost:model", (int64_t)data->cols,
                              (int64_t)p->cols);
    cczi_sb_msg_begin(&b, CCZI_SB_ANSWERS, 0, 0);
    ccz_buf_le32(&b, (uint32_t)p->len);
    for (size_t s = 0; s < p->len; s++)
        for (size_t i = 0; i < data->rows; i += 8) {
            uint8_t byte = 0;
            for (size_t k = 0; k < 8 && i + k < data->rows; k++)
                byte |=
                    (uint8_t)((data->x[(i + k) * data->cols + p->split[s].col] <= p->split[s].cut)
                              << k);
            ccz_buf_u8(&b, byte);
        }
    if (b.bad)
        return cczi_sb_no_memory(err);
    ccz_rc rc = ccz_chan_send(guest, ccz_buf_span(&b), err);
    ccz_buf_clear(&b);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv(&b, guest, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_msg_parse(&msg, ccz_buf_span(&b), err);
    if (rc == CCZ_OK && msg.kind != CCZI_SB_DONE)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:order", (int64_t)msg.kind, CCZI_SB_DONE);
    return rc;
}

/* --------------------------------------------------------------------------------------- JSON */

static void put_number(struct ccz_buf *out, const char *name, double v)
{
    ccz_buf_printf(out, "\"%s\":", name);
    ccz_json_put_double(out, v);
}

static void put_node(struct ccz_buf *out, const struct cczi_sb_node *n)
{
    ccz_buf_put_str(out, "{");
    if (n->party == CCZI_SB_NONE) {
        put_number(out, "weight", n->weight);
    } else {
        if (n->party == CCZI_SB_OWN) {
            ccz_buf_printf(out, "\"column\":%u,", n->split);
            put_number(out, "cut", n->cut);
        } else {
            ccz_buf_printf(out, "\"host\":%d,\"split\":%u", n->party, n->split);
        }
        ccz_buf_printf(out, ",\"left\":%d,\"right\":%d", n->left, n->right);
    }
    ccz_buf_put_str(out, "}");
}

void ccz_sboost_model_json(struct ccz_buf *out, const struct ccz_sboost_model *m)
{
    static const char *const losses[] = {"logistic", "squared", "softmax"};
    ccz_buf_printf(out, "{\"loss\":\"%s\",\"columns\":%zu,\"hosts\":%zu,\"base\":[",
                   losses[m->cfg.loss], m->cols, m->hosts);
    for (uint32_t k = 0; k < m->outputs; k++) {
        ccz_buf_put_str(out, k ? "," : "");
        ccz_json_put_double(out, m->base[k]);
    }
    ccz_buf_put_str(out, "],\"trees\":[");
    for (size_t t = 0; t < m->trees; t++) {
        ccz_buf_put_str(out, t ? ",[" : "[");
        for (size_t n = 0; n < m->tree[t].len; n++) {
            ccz_buf_put_str(out, n ? "," : "");
            put_node(out, &m->tree[t].node[n]);
        }
        ccz_buf_put_str(out, "]");
    }
    ccz_buf_put_str(out, "]}\n");
}

void ccz_sboost_part_json(struct ccz_buf *out, const struct ccz_sboost_part *p)
{
    ccz_buf_printf(out, "{\"columns\":%zu,\"splits\":[", p->cols);
    for (size_t i = 0; i < p->len; i++) {
        ccz_buf_printf(out, "%s{\"column\":%u,", i ? "," : "", p->split[i].col);
        put_number(out, "cut", p->split[i].cut);
        ccz_buf_put_str(out, "}");
    }
    ccz_buf_put_str(out, "]}\n");
}
