/* SPDX-License-Identifier: Apache-2.0 */
#include "sboost/sboost_priv.h"

#include <cczoo/codec.h>
#include <stdio.h>
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

/* What is borrowed as ids, or zeros: as in the greeting of training. */
static const uint8_t *ids_of(const struct ccz_sboost_data *d)
{
    static const uint8_t none[32] = {0};
    return d->ids ? d->ids : none;
}

/* Answers for other rows, or in another order, would give each row the prediction of some other one. */
static ccz_rc aligned(const struct cczi_sb_hello *theirs, const struct ccz_sboost_data *d,
                      struct ccz_err *err)
{
    if (theirs->rows != d->rows)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "sboost:alignment", (int64_t)theirs->rows,
                              (int64_t)d->rows);
    if (memcmp(theirs->ids, ids_of(d), sizeof(theirs->ids)) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "sboost:alignment", theirs->ids,
                                         sizeof(theirs->ids), ids_of(d), sizeof(theirs->ids)),
                        "all parties need the same rows in the same order");
    return CCZ_OK;
}

static ccz_rc recv_answers(struct answers *a, struct ccz_chan *host,
                           const struct ccz_sboost_data *d, struct ccz_err *err)
{
    struct cczi_sb_msg msg;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, CCZ_CHAN_MESSAGE_SIZE_MAX);
    ccz_rc rc = ccz_chan_recv(&in, host, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_msg_parse(&msg, ccz_buf_span(&in), err);
    if (rc == CCZ_OK && msg.kind != CCZI_SB_ANSWERS)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:order", (int64_t)msg.kind, CCZI_SB_ANSWERS);
    if (rc == CCZ_OK)
        rc = aligned(&msg.hello, d, err);
    size_t size = rc == CCZ_OK ? msg.number * cczi_sb_bitmap_size(d->rows) : 0;
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

/* All channels are closed with the reason. */
static ccz_rc give_up(struct ccz_chan *const *chans, size_t len, ccz_rc rc,
                      const struct ccz_err *reason, struct ccz_err *err)
{
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    (void)snprintf(text, sizeof(text), "%s: %s", reason->where, reason->msg);
    for (size_t i = 0; i < len; i++)
        ccz_chan_close(chans[i], text);
    if (err)
        *err = *reason;
    return rc;
}

ccz_rc ccz_sboost_predict_guest(double *p, const struct ccz_sboost_model *m,
                                struct ccz_chan *const *hosts, size_t len,
                                const struct ccz_sboost_data *data, struct ccz_err *err)
{
    struct answers a[CCZ_SBOOST_HOSTS_MAX];
    struct ccz_err e = {0};
    if (m->cols != data->cols || m->hosts != len) {
        (void)ccz_refuse_num(&e, CCZ_E_MISMATCH, "sboost:model",
                             (int64_t)(m->hosts != len ? len : data->cols),
                             (int64_t)(m->hosts != len ? m->hosts : m->cols));
        return give_up(hosts, len, CCZ_E_MISMATCH, &e, err);
    }
    for (size_t i = 0; i < len; i++) {
        a[i] = (struct answers){0};
        ccz_buf_init(&a[i].bits, CCZ_CHAN_MESSAGE_SIZE_MAX);
    }
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = recv_answers(&a[i], hosts[i], data, &e);
    const char *what = rc == CCZ_OK ? broken(m, a) : NULL;
    if (what)
        rc = ccz_fail(&e, CCZ_E_MISMATCH, "sboost:model", 0, "%s", what);
    for (size_t i = 0; rc == CCZ_OK && i < data->rows; i++)
        predict_row(p + i * m->outputs, m, a, data, i);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = say_done(hosts[i], &e);
    for (size_t i = 0; i < len; i++)
        ccz_buf_free(&a[i].bits);
    return rc == CCZ_OK ? rc : give_up(hosts, len, rc, &e, err);
}

ccz_rc ccz_sboost_predict_host(struct ccz_chan *guest, const struct ccz_sboost_part *p,
                               const struct ccz_sboost_data *data, struct ccz_err *err)
{
    struct cczi_sb_msg msg;
    struct ccz_err e = {0};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_CHAN_MESSAGE_SIZE_MAX);
    if (p->cols != data->cols) {
        (void)ccz_refuse_num(&e, CCZ_E_MISMATCH, "sboost:model", (int64_t)data->cols,
                             (int64_t)p->cols);
        return give_up(&guest, 1, CCZ_E_MISMATCH, &e, err);
    }
    cczi_sb_msg_begin(&b, CCZI_SB_ANSWERS, 0, 0);
    ccz_buf_le32(&b, (uint32_t)p->len);
    ccz_buf_le64(&b, data->rows);
    ccz_buf_put(&b, ids_of(data), 32);
    for (size_t s = 0; s < p->len; s++)
        for (size_t i = 0; i < data->rows; i += 8) {
            uint8_t byte = 0;
            for (size_t k = 0; k < 8 && i + k < data->rows; k++)
                byte |=
                    (uint8_t)((data->x[(i + k) * data->cols + p->split[s].col] <= p->split[s].cut)
                              << k);
            ccz_buf_u8(&b, byte);
        }
    ccz_rc rc = b.bad ? cczi_sb_no_memory(&e) : ccz_chan_send(guest, ccz_buf_span(&b), &e);
    ccz_buf_clear(&b);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv(&b, guest, &e);
    if (rc == CCZ_OK)
        rc = cczi_sb_msg_parse(&msg, ccz_buf_span(&b), &e);
    if (rc == CCZ_OK && msg.kind != CCZI_SB_DONE)
        rc = ccz_refuse_num(&e, CCZ_E_PEER, "sboost:order", (int64_t)msg.kind, CCZI_SB_DONE);
    return rc == CCZ_OK ? rc : give_up(&guest, 1, rc, &e, err);
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
