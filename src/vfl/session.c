/* SPDX-License-Identifier: Apache-2.0 */
/* What both roles do with a channel: agree, send and receive messages of the expected step, part. */
#include "vfl/vfl_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELLO_SIZE_MAX = 512, FAREWELL_MS = 5000, EVAL_BATCH = 1000 };

void cczi_vfl_link_init(struct cczi_vfl_link *l, struct ccz_chan *chan,
                        const struct ccz_vfl_run *run)
{
    *l = (struct cczi_vfl_link){.chan = chan};
    ccz_buf_init(&l->in, HELLO_SIZE_MAX);
    if (run->timeout_ms > 0)
        ccz_chan_set_timeout(chan, run->timeout_ms);
}

uint32_t cczi_vfl_eval_batch(const struct ccz_vfl_cfg *cfg)
{
    return cfg->eval_batch ? cfg->eval_batch : EVAL_BATCH;
}

uint32_t cczi_vfl_workers(const struct ccz_vfl_cfg *cfg)
{
    return cfg->workers ? cfg->workers : 1;
}

uint32_t cczi_vfl_worker(const struct ccz_vfl_run *run)
{
    return run->team ? run->team->worker : 0;
}

static const char *config_flaw(const struct ccz_vfl_run *run, size_t width)
{
    static const uint8_t zeros[CCZ_VFL_DIGEST_SIZE] = {0};
    const struct ccz_vfl_cfg *c = run->cfg;
    if (c->epochs == 0 || c->batch == 0 || c->batch > CCZ_VFL_BATCH_MAX ||
        c->eval_batch > CCZ_VFL_BATCH_MAX)
        return "epochs or rows of a batch are out of range";
    if (c->staleness > CCZ_VFL_INFLIGHT_MAX)
        return "too many batches under way";
    /* Else both sides could wait for the other to receive (exchange rule of chan.h). */
    if (c->staleness > 0 &&
        ((uint64_t)c->staleness + 1) * c->batch * width * sizeof(float) > CCZ_CHAN_QUEUE_SIZE / 2)
        return "the batches under way do not fit the channel's queue: less staleness or rows";
    if (memcmp(c->alignment, zeros, sizeof(zeros)) == 0)
        return "no digest of the alignment";
    if (run->checkpoint && (!run->seal || ccz_secret_size(run->seal) != 32))
        return "a checkpoint needs a seal of 32 bytes";
    return NULL;
}

static ccz_rc check_team(const struct ccz_vfl_run *run, bool leader, struct ccz_err *err)
{
    uint32_t workers = cczi_vfl_workers(run->cfg), got = run->team ? run->team->workers : 1;
    if (workers != got || (run->team && run->team->leader != leader))
        return ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_ARG, "vfl:workers", (int64_t)workers, (int64_t)got),
            "several workers need their team, one has none");
    return CCZ_OK;
}

ccz_rc cczi_vfl_run_check(const struct ccz_vfl_run *run, enum cczi_vfl_role role, size_t width,
                          struct ccz_err *err)
{
    const char *flaw = config_flaw(run, width);
    ccz_rc rc = flaw ? ccz_fail(err, CCZ_E_ARG, "vfl:config", 0, "%s", flaw) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = check_team(run, role != CCZI_VFL_FOLLOWER, err);
    if (rc != CCZ_OK || role == CCZI_VFL_LEADER)
        return rc;
    if (!run->train)
        return ccz_fail(err, CCZ_E_ARG, "vfl:table", 0, "no columns");
    if (width == 0 || width > CCZ_VFL_WIDTH_MAX)
        return ccz_fail(err, CCZ_E_ARG, "vfl:table", (int64_t)width, "%zu activations per row",
                        width);
    rc = cczi_vfl_table_check(run->train, "training rows", err);
    if (rc == CCZ_OK && run->test)
        rc = cczi_vfl_table_check(run->test, "test rows", err);
    return rc;
}

ccz_rc cczi_vfl_hello_init(struct cczi_vfl_hello *h, const struct ccz_vfl_run *run,
                           enum cczi_vfl_role role, size_t width, size_t rows, size_t test_rows,
                           const struct cczi_ckpt *c, struct ccz_err *err)
{
    *h = (struct cczi_vfl_hello){.role = role,
                                 .worker = cczi_vfl_worker(run),
                                 .workers = cczi_vfl_workers(run->cfg),
                                 .width = width,
                                 .rows = rows,
                                 .test_rows = test_rows};
    for (size_t i = 0; i < CCZI_VFL_KEPT; i++)
        if (c->have[i])
            h->steps[h->steps_len++] = c->step[i];
    if (h->steps_len == 0)
        h->steps_len = 1; /* step 0: the models as they are */
    memcpy(h->alignment, run->cfg->alignment, sizeof(h->alignment));
    memcpy(h->test_alignment, run->cfg->test_alignment, sizeof(h->test_alignment));
    memcpy(h->schema, run->cfg->schema, sizeof(h->schema));
    return cczi_vfl_config_digest(h->config, run->cfg, err);
}

/* ------------------------------------------------------------------------------- messages */

ccz_rc cczi_vfl_send_msg(struct cczi_vfl_link *l, struct cczi_vfl_msg *m, struct ccz_span body,
                         struct ccz_err *err)
{
    uint8_t header[CCZI_VFL_HEADER_SIZE];
    memcpy(m->session, l->session, sizeof(m->session));
    cczi_vfl_msg_header(header, m);
    const struct ccz_span parts[] = {CCZ_SPAN(header, sizeof(header)), body};
    return ccz_chan_send_parts(l->chan, parts, 2, err);
}

ccz_rc cczi_vfl_send_plain(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, uint64_t step,
                           struct ccz_err *err)
{
    struct cczi_vfl_msg m = {.kind = kind, .step = step};
    return cczi_vfl_send_msg(l, &m, CCZ_SPAN(NULL, 0), err);
}

ccz_rc cczi_vfl_send_floats(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, uint64_t step,
                            const uint8_t *batch, const float *v, size_t rows, size_t width,
                            struct ccz_err *err)
{
    struct cczi_vfl_msg m = {
        .kind = kind, .step = step, .rows = (uint32_t)rows, .width = (uint32_t)width};
    memcpy(m.batch, batch, sizeof(m.batch));
    if (!cczi_vfl_finite(v, rows * width))
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_ARG, "vfl:finite", (int64_t)step,
                                 "own values of step %llu are not finite",
                                 (unsigned long long)step),
                        "the training diverges: a smaller learning rate, scaled columns");
    return cczi_vfl_send_msg(l, &m, CCZ_SPAN(v, rows * width * sizeof(*v)), err);
}

static const char *kind_name(enum cczi_vfl_kind kind)
{
    static const char *const names[] = {
        [CCZI_VFL_HELLO] = "hello",           [CCZI_VFL_START] = "start",
        [CCZI_VFL_ACT] = "activations",       [CCZI_VFL_GRAD] = "gradients",
        [CCZI_VFL_TEST] = "test activations", [CCZI_VFL_BYE] = "end",
        [CCZI_VFL_TEAM] = "worker",           [CCZI_VFL_PROOF] = "worker's proof",
        [CCZI_VFL_READY] = "worker ready",    [CCZI_VFL_STATE] = "worker's state",
        [CCZI_VFL_MEAN] = "mean state",       [CCZI_VFL_ROWS] = "rows"};
    return names[kind];
}

ccz_rc cczi_vfl_recv_kind(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, size_t size_max,
                          struct ccz_err *err)
{
    ccz_buf_clear(&l->in);
    l->in.max_size = size_max;
    ccz_rc rc = ccz_chan_recv(&l->in, l->chan, err);
    if (rc == CCZ_OK)
        rc = cczi_vfl_msg_parse(&l->msg, ccz_buf_span(&l->in), err);
    if (rc == CCZ_OK && l->msg.kind != kind)
        rc = ccz_refuse(err, CCZ_E_PEER, "vfl:order", kind_name(l->msg.kind), kind_name(kind));
    if (rc == CCZ_OK && kind != CCZI_VFL_HELLO && kind != CCZI_VFL_START && kind != CCZI_VFL_TEAM &&
        memcmp(l->msg.session, l->session, sizeof(l->session)) != 0)
        rc = ccz_hint(err,
                      ccz_refuse_bytes(err, CCZ_E_PEER, "vfl:session", l->msg.session,
                                       sizeof(l->session), l->session, sizeof(l->session)),
                      "a message of another run, played back");
    return rc;
}

ccz_rc cczi_vfl_recv_floats(float *out, struct cczi_vfl_link *l, enum cczi_vfl_kind kind,
                            uint64_t step, const uint8_t *batch, size_t rows, size_t width,
                            struct ccz_err *err)
{
    size_t len = rows * width;
    ccz_rc rc = cczi_vfl_recv_kind(
        l, kind, CCZI_VFL_HEADER_SIZE + (size_t)CCZ_VFL_BATCH_MAX * CCZ_VFL_WIDTH_MAX / 4, err);
    const struct cczi_vfl_msg *m = &l->msg;
    if (rc != CCZ_OK)
        return rc;
    if (m->step != step)
        return ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_PEER, "vfl:batch", (int64_t)m->step, (int64_t)step),
            "a batch was played back or is missing");
    if (memcmp(m->batch, batch, sizeof(m->batch)) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_PEER, "vfl:batch", m->batch, sizeof(m->batch),
                                         batch, sizeof(m->batch)),
                        "the batch has other rows at the other side");
    if (m->rows != rows)
        return ccz_refuse_num(err, CCZ_E_PEER, "vfl:rows", (int64_t)m->rows, (int64_t)rows);
    if (m->width != width)
        return ccz_refuse_num(err, CCZ_E_PEER, "vfl:schema", (int64_t)m->width, (int64_t)width);
    memcpy(out, m->body.ptr, len * sizeof(*out));
    if (!cczi_vfl_finite(out, len))
        return ccz_fail(err, CCZ_E_PEER, "vfl:finite", (int64_t)step,
                        "%s of step %llu are not finite", kind_name(kind),
                        (unsigned long long)step);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ agreement */

ccz_rc cczi_vfl_send_hello(struct cczi_vfl_link *l, const struct cczi_vfl_hello *h,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF body;
    struct cczi_vfl_msg m = {.kind = CCZI_VFL_HELLO};
    ccz_buf_init(&body, HELLO_SIZE_MAX);
    cczi_vfl_msg_hello(&body, h);
    return body.bad ? cczi_vfl_no_memory(err) : cczi_vfl_send_msg(l, &m, ccz_buf_span(&body), err);
}

static ccz_rc same(const char *where, const uint8_t *got, const uint8_t *expected, const char *hint,
                   struct ccz_err *err)
{
    if (memcmp(got, expected, CCZ_VFL_DIGEST_SIZE) == 0)
        return CCZ_OK;
    return ccz_hint(err,
                    ccz_refuse_bytes(err, CCZ_E_MISMATCH, where, got, CCZ_VFL_DIGEST_SIZE, expected,
                                     CCZ_VFL_DIGEST_SIZE),
                    hint);
}

ccz_rc cczi_vfl_recv_hello(struct cczi_vfl_link *l, const struct cczi_vfl_hello *mine,
                           bool expect_leader, size_t width, struct ccz_err *err)
{
    ccz_rc rc = cczi_vfl_recv_kind(l, CCZI_VFL_HELLO, HELLO_SIZE_MAX, err);
    const struct cczi_vfl_hello *h = &l->msg.hello;
    l->peer = *h;
    if (rc == CCZ_OK && (h->role == CCZI_VFL_LEADER) != expect_leader)
        rc = ccz_refuse(err, CCZ_E_MISMATCH, "vfl:role",
                        h->role == CCZI_VFL_LEADER ? "leader" : "follower",
                        expect_leader ? "leader" : "follower");
    if (rc == CCZ_OK && h->workers != mine->workers)
        rc = ccz_hint(err,
                      ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:workers", h->workers, mine->workers),
                      "all parties need the same number of workers");
    if (rc == CCZ_OK && h->worker != mine->worker)
        rc = ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:worker", h->worker + 1, mine->worker + 1),
            "worker k of one party trains with worker k of the other");
    if (rc == CCZ_OK)
        rc = same("vfl:schema", h->schema, mine->schema, "the models are not parts of one split",
                  err);
    if (rc == CCZ_OK && width && h->width != width)
        rc = ccz_hint(
            err,
            ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:schema", (int64_t)h->width, (int64_t)width),
            "activations per row: the bottom model does not fit the top model");
    if (rc == CCZ_OK)
        rc = same("vfl:config", h->config, mine->config,
                  "all parties need the same epochs, batch sizes, staleness, checkpoints and seed",
                  err);
    if (rc == CCZ_OK && h->rows != mine->rows)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:rows", (int64_t)h->rows, (int64_t)mine->rows);
    if (rc == CCZ_OK && h->test_rows != mine->test_rows)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:rows", (int64_t)h->test_rows,
                            (int64_t)mine->test_rows);
    if (rc == CCZ_OK)
        rc = same("vfl:alignment", h->alignment, mine->alignment,
                  "the rows are not the same, or not in the same order", err);
    if (rc == CCZ_OK && h->test_rows)
        rc = same("vfl:alignment", h->test_alignment, mine->test_alignment,
                  "the test rows are not the same, or not in the same order", err);
    return rc;
}

/* ------------------------------------------------------------------------------------ end */

/* Everything has been received here: what goes wrong now is of no consequence. */
static void part(struct cczi_vfl_link *l, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (cczi_vfl_send_plain(&l[i], CCZI_VFL_BYE, 0, NULL) != CCZ_OK)
            continue;
    for (size_t i = 0; i < len; i++) {
        ccz_buf_clear(&l[i].in);
        if (ccz_chan_recv_within(&l[i].in, l[i].chan, FAREWELL_MS, NULL) != CCZ_OK)
            continue; /* it is gone already */
    }
}

ccz_rc cczi_vfl_end(struct cczi_vfl_link *l, size_t len, ccz_rc rc, const struct ccz_err *reason,
                    struct ccz_err *err)
{
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    if (rc == CCZ_OK) {
        part(l, len);
    } else {
        (void)snprintf(text, sizeof(text), "%s: %s", reason->where, reason->msg);
        for (size_t i = 0; i < len; i++)
            ccz_chan_close(l[i].chan, text);
        if (err)
            *err = *reason;
    }
    for (size_t i = 0; i < len; i++)
        ccz_buf_free(&l[i].in);
    return rc;
}

void cczi_vfl_traffic(struct ccz_vfl_epoch *e, struct cczi_vfl_link *l, size_t len)
{
    e->sent_size = e->received_size = 0;
    e->waited_ns = 0;
    for (size_t i = 0; i < len; i++) {
        struct ccz_chan_stats now = ccz_chan_stats(l[i].chan);
        e->sent_size += now.sent_size - l[i].before.sent_size;
        e->received_size += now.received_size - l[i].before.received_size;
        e->waited_ns += now.waited_ns - l[i].before.waited_ns;
        l[i].before = now;
    }
}
