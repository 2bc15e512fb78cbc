/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FUZZ_TAPE_H
#define CCZ_FUZZ_TAPE_H
/* A channel on which the input comes, and from which nothing goes anywhere. When the input is over it is closed. */
#include <cczoo/base.h>
#include <cczoo/chan.h>

#include <stdlib.h>

struct tape {
    struct ccz_rd rest;
    bool
        framed; /* messages behind their lengths (2 bytes, little-endian); if not, all of it is one message */
    bool over;
};

static ccz_rc tape_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                        struct ccz_err *err)
{
    (void)self;
    (void)parts;
    (void)len;
    (void)timeout_ms;
    (void)err;
    return CCZ_OK;
}

static ccz_rc tape_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct tape *t = self;
    (void)timeout_ms;
    const struct ccz_span m =
        ccz_rd_take(&t->rest, t->framed ? ccz_rd_le16(&t->rest) : t->rest.left);
    if (t->over || t->rest.bad)
        return ccz_fail(err, CCZ_E_CLOSED, "chan:closed", 0, "the tape is over");
    t->over = !t->framed;
    ccz_buf_put_span(msg, m);
    return CCZ_OK;
}

static void tape_close(void *self, const char *reason)
{
    (void)self;
    (void)reason;
}

static void tape_free(void *self)
{
    (void)self;
}

/* Channels of the same tape take their messages from it in turn. */
static struct ccz_chan *tape_chan(struct tape *t)
{
    static const struct ccz_chan_ops ops = {
        .send = tape_send, .recv = tape_recv, .close = tape_close, .free = tape_free};
    struct ccz_chan *c;
    if (ccz_chan_new(&c, &ops, t, "tape", NULL) != CCZ_OK)
        abort();
    return c;
}
#endif
