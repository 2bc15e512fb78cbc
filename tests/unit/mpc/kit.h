/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPC_KIT_H
#define CCZ_TEST_MPC_KIT_H
/* Two parties that run the same program in two threads of one process. */
#include <cczoo/mpc.h>
#include <cczoo/ring.h>

#include "ccz_test.h"
#include "test_rng.h"

#include <pthread.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        ccz_rc ok_rc = (call);                                                                     \
        if (ok_rc != CCZ_OK)                                                                       \
            fprintf(stderr, "%s:%d: %s %s\n", __FILE__, __LINE__, e->where, e->msg);               \
        CHECK(ok_rc == CCZ_OK);                                                                    \
    } while (0)

struct duo;
struct party {
    struct duo *duo;
    unsigned role;
    struct ccz_mpc *m;
    struct ccz_chan *chan, *dealer;
    struct ccz_mpc_cfg cfg;
    ccz_rc rc;
    struct ccz_err err;
};
/* What sessions of a test use: set before duo_init(). */
static enum ccz_mpc_source_kind kit_source;
static enum ccz_mpc_ot kit_ot;
typedef void (*program_fn)(struct party *p, void *arg);
struct duo {
    struct party p[2];
    program_fn run;
    void *arg;
    struct ccz_chan *dealer[2];
    struct ccz_mpc_dealer_cfg dealer_cfg;
    pthread_t dealer_thread;
    ccz_rc dealer_rc;
    struct ccz_err dealer_err;
};

static inline void *dealer_thread(void *arg)
{
    struct duo *d = arg;
    d->dealer_rc = ccz_mpc_dealer_run(d->dealer[0], d->dealer[1], &d->dealer_cfg, &d->dealer_err);
    return NULL;
}

static inline void duo_init(struct duo *d, unsigned bits)
{
    memset(d, 0, sizeof(*d));
    CHECK(ccz_chan_pair(&d->p[0].chan, &d->p[1].chan, NULL, NULL) == CCZ_OK);
    for (unsigned i = 0; i < 2; i++) {
        ccz_chan_set_timeout(d->p[i].chan, 30000);
        d->p[i].duo = d;
        d->p[i].role = i;
        d->p[i].cfg =
            (struct ccz_mpc_cfg){.role = i, .ring_bits = bits, .source = kit_source, .ot = kit_ot};
        if (kit_source == CCZ_MPC_SOURCE_DEALER) {
            CHECK(ccz_chan_pair(&d->p[i].dealer, &d->dealer[i], NULL, NULL) == CCZ_OK);
            ccz_chan_set_timeout(d->p[i].dealer, 30000);
        }
    }
}

static inline void *duo_thread(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_mpc_new(&p->m, p->chan, &p->cfg, &p->err);
    struct ccz_mpc_source *s = NULL;
    if (p->rc == CCZ_OK && p->cfg.source == CCZ_MPC_SOURCE_PAILLIER) {
        p->rc = ccz_mpc_source_paillier_new(&s, p->m, NULL, &p->err);
        if (p->rc == CCZ_OK)
            p->rc = ccz_mpc_attach(p->m, s, &p->err);
    }
    if (p->rc == CCZ_OK && p->dealer) {
        p->rc = ccz_mpc_source_dealer_new(&s, p->m, p->dealer, &p->err);
        if (p->rc == CCZ_OK)
            p->rc = ccz_mpc_attach(p->m, s, &p->err);
    }
    if (p->rc == CCZ_OK)
        p->duo->run(p, p->duo->arg);
    else {
        ccz_chan_close(p->chan, p->err.where);
        if (p->dealer)
            ccz_chan_close(p->dealer, p->err.where);
    }
    return NULL;
}

/* Both to the end; sessions stay open. */
static inline void duo_run(struct duo *d, program_fn run, void *arg)
{
    pthread_t t;
    d->run = run;
    d->arg = arg;
    if (d->dealer[0])
        CHECK(pthread_create(&d->dealer_thread, NULL, dealer_thread, d) == 0);
    CHECK(pthread_create(&t, NULL, duo_thread, &d->p[0]) == 0);
    (void)duo_thread(&d->p[1]);
    CHECK(pthread_join(t, NULL) == 0);
    for (int i = 0; i < 2; i++)
        if (d->p[i].rc != CCZ_OK && !d->p[i].m)
            fprintf(stderr, "party %d: %s %s\n", i, d->p[i].err.where, d->p[i].err.msg);
}

static inline void duo_free(struct duo *d)
{
    for (int i = 0; i < 2; i++) {
        ccz_mpc_free(d->p[i].m);
        ccz_chan_free(d->p[i].chan);
        if (d->p[i].dealer)
            ccz_chan_close(d->p[i].dealer, NULL); /* behind a goodbye, if there was a request */
    }
    if (d->dealer[0])
        CHECK(pthread_join(d->dealer_thread, NULL) == 0);
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(d->p[i].dealer);
        ccz_chan_free(d->dealer[i]);
    }
}

/* A program over 1, or what a test says, sessions that must work. */
static inline void both(unsigned bits, program_fn run, void *arg)
{
    struct duo d;
    duo_init(&d, bits);
    duo_run(&d, run, arg);
    CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
    duo_free(&d);
}

static inline void words_freep(uint64_t **v)
{
    free(*v);
}
#define AUTO_WORDS __attribute__((cleanup(words_freep))) uint64_t *

/* Numbers that both threads know: the test's, not the parties'. With the edges in front. */
static inline uint64_t *numbers(size_t len, unsigned bits, uint64_t seed)
{
    uint64_t *v = malloc(len * sizeof(*v)), mask = ccz_ring_mask(bits);
    const uint64_t edges[] = {0, mask, mask >> 1, (mask >> 1) + 1, 1};
    CHECK(v);
    for (size_t i = 0; i < len; i++)
        v[i] = i < 5 && len >= 5 ? edges[(i + seed) % 5] : rnd(&seed) & mask;
    return v;
}

/* An input of a kind: 0 PUBLIC, 1 PRIVATE of party 0, 2 PRIVATE of party 1, 3 SHARED. */
static inline struct ccz_mpc_tensor *input(struct party *p, int kind, struct ccz_mpc_shape shape,
                                           unsigned frac, const uint64_t *v)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_tensor *t, *s;
    if (kind == 0) {
        OK(ccz_mpc_public(&t, p->m, shape, frac, v, e));
        return t;
    }
    unsigned owner = kind == 2;
    OK(ccz_mpc_private(&t, p->m, owner, shape, frac, owner == p->role ? v : NULL, e));
    if (kind != 3)
        return t;
    OK(ccz_mpc_share(&s, t, e));
    ccz_mpc_tensor_free(t);
    return s;
}

/* What a tensor holds, told to both parties, whatever its kind. Owned by the caller. */
static inline uint64_t *values(struct party *p, const struct ccz_mpc_tensor *t)
{
    struct ccz_err *e = &p->err;
    size_t len = ccz_mpc_len_of(t);
    uint64_t *v = calloc(len, sizeof(*v));
    struct ccz_mpc_tensor *s = NULL;
    CHECK(v);
    if (ccz_mpc_kind_of(t) == CCZ_MPC_PRIVATE) {
        OK(ccz_mpc_share(&s, t, e));
        t = s;
    }
    if (ccz_mpc_kind_of(t) == CCZ_MPC_PUBLIC)
        memcpy(v, ccz_mpc_words(t), len * sizeof(*v));
    else
        OK(ccz_mpc_reveal(v, t, CCZ_MPC_TO_BOTH, "test", e));
    ccz_mpc_tensor_free(s);
    return v;
}

static inline void expect(struct party *p, const struct ccz_mpc_tensor *t, const uint64_t *expected)
{
    size_t len = ccz_mpc_len_of(t);
    uint64_t *v = values(p, t);
    for (size_t i = 0; i < len; i++)
        if (v[i] != expected[i]) {
            fprintf(stderr, "element %zu of %zu: got %llx, expected %llx\n", i, len,
                    (unsigned long long)v[i], (unsigned long long)expected[i]);
            CHECK(false);
        }
    free(v);
}

static inline void expect_error(const struct party *p, ccz_rc rc, const char *where)
{
    if (p->rc != rc || strcmp(p->err.where, where) != 0)
        fprintf(stderr, "party %u: got %s %s (%s), expected %s %s\n", p->role, ccz_rc_name(p->rc),
                p->err.where, p->err.msg, ccz_rc_name(rc), where);
    CHECK(p->rc == rc && strcmp(p->err.where, where) == 0);
}
#endif
