/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_EXT_KIT_H
#define CCZ_TEST_EXT_KIT_H
/* Two parties with a store of OTs each. */
#include "kit.h"

#include "test_rng.h"

#include <cczoo/ot_ext.h>

/* What a party does with its object; `arg` is the test's. */
typedef ccz_rc (*ext_fn)(struct ccz_ot_ext *e, void *arg, struct ccz_err *err);

struct ext_party {
    struct ccz_chan *chan;
    struct ccz_ot_ext_cfg cfg;
    bool sender;
    ext_fn run;
    void *arg;
    struct ccz_f128 delta;
    struct ccz_err err;
    ccz_rc rc;
    uint64_t sent, received; /* by run alone */
};
struct ext_two {
    struct ext_party p[2]; /* sender, receiver */
};

static inline void *ext_main(void *arg)
{
    struct ext_party *p = arg;
    CCZ_AUTO(ccz_ot_ext) e = NULL;
    p->rc = ccz_ot_ext_new(&e, p->sender, p->chan, &p->cfg, &p->err);
    if (p->rc == CCZ_OK) {
        const struct ccz_chan_stats before = ccz_chan_stats(p->chan);
        if (p->sender)
            p->delta = *ccz_ot_ext_delta(e);
        p->rc = p->run(e, p->arg, &p->err);
        const struct ccz_chan_stats after = ccz_chan_stats(p->chan);
        p->sent = after.sent_size - before.sent_size;
        p->received = after.received_size - before.received_size;
    }
    if (p->rc != CCZ_OK)
        ccz_chan_close(p->chan, p->err.where);
    return NULL;
}

static inline struct ext_two ext_new(const struct ccz_ot_ext_cfg *cfg, ext_fn sender,
                                     ext_fn receiver, void *arg)
{
    struct ext_two t = {.p = {{.sender = true, .run = sender}, {.run = receiver}}};
    CHECK(ccz_chan_pair(&t.p[0].chan, &t.p[1].chan, NULL, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        ccz_chan_set_timeout(t.p[i].chan, 30000);
        t.p[i].cfg = *cfg;
        t.p[i].arg = arg;
    }
    return t;
}

static inline void ext_run(struct ext_two *t)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ext_main, &t->p[0]) == 0);
    (void)ext_main(&t->p[1]);
    CHECK(pthread_join(thread, NULL) == 0);
}

static inline void ext_free(struct ext_two *t)
{
    ccz_chan_free(t->p[0].chan);
    ccz_chan_free(t->p[1].chan);
}

static inline void ext_expect_ok(const struct ext_two *t)
{
    for (int i = 0; i < 2; i++)
        if (t->p[i].rc != CCZ_OK)
            fprintf(stderr, "%s: %s %s\n", i ? "receiver" : "sender", t->p[i].err.where,
                    t->p[i].err.msg);
    CHECK(t->p[0].rc == CCZ_OK && t->p[1].rc == CCZ_OK);
}

/* A run that must work; the sender's delta if it is asked for. */
static inline void ext_pair(const struct ccz_ot_ext_cfg *cfg, ext_fn sender, ext_fn receiver,
                            void *arg, struct ccz_f128 *delta)
{
    struct ext_two t = ext_new(cfg, sender, receiver, arg);
    ext_run(&t);
    ext_expect_ok(&t);
    if (delta)
        *delta = t.p[0].delta;
    ext_free(&t);
}

static const struct ccz_ot_ext_cfg ext_engines[] = {{.engine = CCZ_OT_SOFTSPOKEN},
                                                    {.engine = CCZ_OT_SILENT}};

static inline bool ext_same(struct ccz_f128 a, struct ccz_f128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static inline struct ccz_f128 ext_plus(struct ccz_f128 a, struct ccz_f128 b, uint64_t bit)
{
    return (struct ccz_f128){a.lo ^ (b.lo & (0 - bit)), a.hi ^ (b.hi & (0 - bit))};
}

static inline uint64_t ext_bit(const uint8_t *packed, size_t i)
{
    return packed[i / 8] >> i % 8 & 1;
}

static inline void ext_fill(void *out, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)(rnd(&seed) >> 40);
}
#endif
