/* SPDX-License-Identifier: Apache-2.0 */
/* A channel that breaks where a test wants it. */
#define _DEFAULT_SOURCE
#include "chan_priv.h"

#include <stdlib.h>
#include <time.h>

struct fault {
    struct ccz_chan *inner;
    struct ccz_chan_fault_cfg cfg;
    uint64_t sends, recvs;
};

static ccz_rc cut(struct fault *f, struct ccz_err *err)
{
    ccz_chan_close(f->inner, "cut");
    return ccz_fail(err, CCZ_E_CLOSED, "chan:cut", 0, "the channel broke");
}

static void shorten(struct ccz_buf *b, size_t before)
{
    if (b->size > before)
        b->size--;
    else
        ccz_buf_u8(b, 0);
}

static void flip(struct ccz_buf *b, size_t before)
{
    if (b->size > before)
        b->ptr[before + (b->size - before) / 2] ^= 1;
}

static ccz_rc fault_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                         struct ccz_err *err)
{
    struct fault *f = self;
    const struct ccz_chan_ops *ops = f->inner->ops;
    uint64_t n = ++f->sends;
    if (f->cfg.send_cut_after && n > f->cfg.send_cut_after)
        return cut(f, err);
    if (n == f->cfg.send_drop)
        return CCZ_OK;
    CCZ_AUTO_BUF whole;
    ccz_buf_init(&whole, CCZ_CHAN_MESSAGE_SIZE_MAX + 1);
    for (size_t i = 0; i < len; i++)
        ccz_buf_put_span(&whole, parts[i]);
    if (n == f->cfg.send_shorten)
        shorten(&whole, 0);
    if (n == f->cfg.send_flip)
        flip(&whole, 0);
    if (whole.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "chan:memory", 0, "out of memory");
    struct ccz_span msg = ccz_buf_span(&whole);
    ccz_rc rc = ops->send(f->inner->self, &msg, 1, timeout_ms, err);
    if (rc == CCZ_OK && n == f->cfg.send_repeat)
        rc = ops->send(f->inner->self, &msg, 1, timeout_ms, err);
    return rc;
}

static ccz_rc fault_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct fault *f = self;
    size_t before = msg->size;
    if (f->cfg.recv_cut_after && f->recvs >= f->cfg.recv_cut_after)
        return cut(f, err);
    if (f->cfg.delay_ms > 0)
        (void)nanosleep(&(struct timespec){.tv_sec = (time_t)(f->cfg.delay_ms / 1000),
                                           .tv_nsec = (long)(f->cfg.delay_ms % 1000) * 1000000},
                        NULL);
    ccz_rc rc = f->inner->ops->recv(msg, f->inner->self, timeout_ms, err);
    if (rc != CCZ_OK || msg->bad)
        return rc;
    uint64_t n = ++f->recvs;
    if (n == f->cfg.recv_shorten)
        shorten(msg, before);
    if (n == f->cfg.recv_flip)
        flip(msg, before);
    return CCZ_OK;
}

static void fault_close(void *self, const char *reason)
{
    ccz_chan_close(((struct fault *)self)->inner, reason);
}

static void fault_free(void *self)
{
    struct fault *f = self;
    ccz_chan_free(f->inner);
    free(f);
}

static const struct ccz_chan_ops fault_ops = {
    .send = fault_send, .recv = fault_recv, .close = fault_close, .free = fault_free};

ccz_rc ccz_chan_fault_new(struct ccz_chan **out, struct ccz_chan *inner,
                          const struct ccz_chan_fault_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    struct fault *f = calloc(1, sizeof(*f));
    if (!f) {
        ccz_chan_free(inner);
        return ccz_fail(err, CCZ_E_NOMEM, "chan:memory", 0, "out of memory");
    }
    f->inner = inner;
    f->cfg = *cfg;
    return ccz_chan_new(out, &fault_ops, f, inner->name, err);
}
