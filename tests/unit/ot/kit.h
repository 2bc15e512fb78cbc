/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_OT_KIT_H
#define CCZ_TEST_OT_KIT_H
/* Two parties in one process, one of which may cheat: what it sends passes through a function of the test. */
#include <cczoo/ot.h>

#include "ccz_test.h"

#include <pthread.h>

/* Changes message number n (from 1) before it is sent. */
typedef void (*edit_fn)(uint8_t *msg, size_t size, uint64_t n);

struct edited {
    struct ccz_chan *inner;
    edit_fn edit;
    uint64_t sent;
};

static inline ccz_rc edited_send(void *self, const struct ccz_span *parts, size_t len,
                                 int64_t timeout_ms, struct ccz_err *err)
{
    struct edited *e = self;
    CCZ_AUTO_BUF whole;
    (void)timeout_ms;
    ccz_buf_init(&whole, CCZ_CHAN_MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        ccz_buf_put_span(&whole, parts[i]);
    e->edit(whole.ptr, whole.size, ++e->sent);
    return ccz_chan_send(e->inner, ccz_buf_span(&whole), err);
}

static inline ccz_rc edited_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms,
                                 struct ccz_err *err)
{
    return ccz_chan_recv_within(msg, ((struct edited *)self)->inner, timeout_ms, err);
}

static inline void edited_close(void *self, const char *reason)
{
    ccz_chan_close(((struct edited *)self)->inner, reason);
}

static inline void edited_free(void *self)
{
    ccz_chan_free(((struct edited *)self)->inner);
    free(self);
}

static inline struct ccz_chan *edited_new(struct ccz_chan *inner, edit_fn edit)
{
    static const struct ccz_chan_ops ops = {
        .send = edited_send, .recv = edited_recv, .close = edited_close, .free = edited_free};
    struct edited *e = calloc(1, sizeof(*e));
    struct ccz_chan *out;
    CHECK(e);
    *e = (struct edited){inner, edit, 0};
    CHECK(ccz_chan_new(&out, &ops, e, "edited", NULL) == CCZ_OK);
    return out;
}

struct party {
    struct ccz_chan *chan;
    struct ccz_ot_cfg cfg;
    size_t len;
    struct ccz_f128 delta, *x, *y; /* of VOLE: y = b; x = a, y = c */
    struct ccz_err err;
    ccz_rc rc;
};

/* sender, receiver */
struct two {
    struct party p[2];
};

static inline struct ccz_f128 *elements(size_t len)
{
    size_t size = (len * sizeof(struct ccz_f128) + 63) / 64 * 64 + 64;
    struct ccz_f128 *p = aligned_alloc(64, size);
    CHECK(p);
    memset(p, 0xee, size);
    return p;
}

static inline struct two two_new(size_t len)
{
    struct two t = {0};
    CHECK(ccz_chan_pair(&t.p[0].chan, &t.p[1].chan, NULL, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        ccz_chan_set_timeout(t.p[i].chan, 20000);
        t.p[i].len = len;
        t.p[i].x = elements(len * 2);
        t.p[i].y = elements(len);
    }
    return t;
}

static inline void two_free(struct two *t)
{
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(t->p[i].chan);
        free(t->p[i].x);
        free(t->p[i].y);
    }
}

static inline void *vole_sender(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vole_send(&p->delta, p->y, p->len, p->chan, &p->cfg, &p->err);
    if (p->rc != CCZ_OK)
        ccz_chan_close(p->chan, p->err.where);
    return NULL;
}

static inline void *vole_receiver(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vole_recv(p->x, p->y, p->len, p->chan, &p->cfg, &p->err);
    if (p->rc != CCZ_OK)
        ccz_chan_close(p->chan, p->err.where);
    return NULL;
}

static inline void two_run(struct two *t, void *(*sender)(void *), void *(*receiver)(void *))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sender, &t->p[0]) == 0);
    (void)receiver(&t->p[1]);
    CHECK(pthread_join(thread, NULL) == 0);
}

static inline bool is_zero(const struct ccz_f128 *a, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum |= a[i].lo | a[i].hi;
    return sum == 0;
}

/* A VOLE that must work. */
static inline void expect_vole(const struct two *t)
{
    const struct party *s = &t->p[0], *r = &t->p[1];
    if (s->rc != CCZ_OK || r->rc != CCZ_OK)
        fprintf(stderr, "%zu: %s %s / %s %s\n", s->len, s->err.where, s->err.msg, r->err.where,
                r->err.msg);
    CHECK(s->rc == CCZ_OK && r->rc == CCZ_OK);
    for (size_t i = 0; i < s->len; i++) {
        struct ccz_f128 p = ccz_f128_mul(r->x[i], s->delta);
        CHECK(r->y[i].lo == (p.lo ^ s->y[i].lo) && r->y[i].hi == (p.hi ^ s->y[i].hi));
    }
}

/* What a party has when it refused: the error, and nothing else. */
static inline void expect_refused(const struct party *p, bool sender, ccz_rc rc, const char *where)
{
    if (p->rc != rc || strcmp(p->err.where, where) != 0)
        fprintf(stderr, "got %s %s, expected %s\n", ccz_rc_name(p->rc), p->err.where, where);
    CHECK(p->rc == rc && strcmp(p->err.where, where) == 0);
    CHECK(is_zero(p->y, p->len) && (sender ? is_zero(&p->delta, 1) : is_zero(p->x, p->len)));
}
#endif
