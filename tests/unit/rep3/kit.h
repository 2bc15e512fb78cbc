/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_REP3_KIT_H
#define CCZ_TEST_REP3_KIT_H
/* Three parties that run the same program in three threads of one process. */
#include <cczoo/rep3.h>
#include <cczoo/ring.h>

#include "ccz_test.h"
#include "rep3/rep3_priv.h"
#include "test_rng.h"

#include <pthread.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        ccz_rc ok_rc = (call);                                                                     \
        if (ok_rc != CCZ_OK)                                                                       \
            fprintf(stderr, "%s:%d: %s %s\n", __FILE__, __LINE__, e->where, e->msg);               \
        CHECK(ok_rc == CCZ_OK);                                                                    \
    } while (0)

struct trio;
struct party {
    struct trio *trio;
    unsigned role;
    struct ccz_rep3 *m;
    struct ccz_chan *chan[2]; /* to the previous and the next party */
    struct ccz_rep3_cfg cfg;
    ccz_rc rc;
    struct ccz_err err;
};
typedef void (*program_fn)(struct party *p, void *arg);
struct trio {
    struct party p[3];
    program_fn run;
    void *arg;
};

static inline void trio_init(struct trio *t, unsigned bits)
{
    memset(t, 0, sizeof(*t));
    for (unsigned i = 0; i < 3; i++) {
        struct party *p = &t->p[i], *next = &t->p[(i + 1) % 3];
        CHECK(ccz_chan_pair(&p->chan[CCZ_REP3_NEXT], &next->chan[CCZ_REP3_PREV], NULL, NULL) ==
              CCZ_OK);
        ccz_chan_set_timeout(p->chan[CCZ_REP3_NEXT], 30000);
        ccz_chan_set_timeout(next->chan[CCZ_REP3_PREV], 30000);
        p->trio = t;
        p->role = i;
        p->cfg = (struct ccz_rep3_cfg){.role = i, .ring_bits = bits};
    }
}

static inline void *trio_thread(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_rep3_new(&p->m, p->chan[0], p->chan[1], &p->cfg, &p->err);
    if (p->rc == CCZ_OK)
        p->trio->run(p, p->trio->arg);
    return NULL;
}

/* All to the end; sessions stay open. */
static inline void trio_run(struct trio *t, program_fn run, void *arg)
{
    pthread_t thread[2];
    t->run = run;
    t->arg = arg;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&thread[i], NULL, trio_thread, &t->p[i]) == 0);
    (void)trio_thread(&t->p[2]);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
}

static inline void trio_free(struct trio *t)
{
    for (int i = 0; i < 3; i++)
        ccz_rep3_free(t->p[i].m);
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 2; d++)
            ccz_chan_free(t->p[i].chan[d]);
}

static inline void trio_good(const struct trio *t)
{
    for (int i = 0; i < 3; i++) {
        if (t->p[i].rc != CCZ_OK)
            fprintf(stderr, "party %d: %s %s\n", i, t->p[i].err.where, t->p[i].err.msg);
        CHECK(t->p[i].rc == CCZ_OK);
    }
}

/* A program in one session that must work. */
static inline void all(unsigned bits, program_fn run, void *arg)
{
    struct trio t;
    trio_init(&t, bits);
    trio_run(&t, run, arg);
    trio_good(&t);
    trio_free(&t);
}

static inline void words_freep(uint64_t **v)
{
    free(*v);
}
#define AUTO_WORDS  __attribute__((cleanup(words_freep))) uint64_t *
#define AUTO_TENSOR CCZ_AUTO(ccz_rep3_tensor)

/* Numbers that all threads know: the test's, not the parties'. With the edges in front. */
static inline uint64_t *numbers(size_t len, unsigned bits, uint64_t seed)
{
    uint64_t *v = malloc(len * sizeof(*v)), mask = ccz_ring_mask(bits);
    const uint64_t edges[] = {0, mask, mask >> 1, (mask >> 1) + 1, 1};
    CHECK(v);
    for (size_t i = 0; i < len; i++)
        v[i] = i < 5 && len >= 5 ? edges[(i + seed) % 5] : rnd(&seed) & mask;
    return v;
}

/* An input of a kind: PUBLIC; SHARED, of party `owner`; PARTS: a shared one times one. */
static inline struct ccz_rep3_tensor *input(struct party *p, enum ccz_rep3_kind kind,
                                            unsigned owner, struct ccz_rep3_shape shape,
                                            unsigned frac, const uint64_t *v)
{
    struct ccz_err *e = &p->err;
    struct ccz_rep3_tensor *t = NULL, *one = NULL, *r = NULL;
    const uint64_t unit = 1;
    if (kind == CCZ_REP3_PUBLIC)
        OK(ccz_rep3_public(&t, p->m, shape, frac, v, e));
    else
        OK(ccz_rep3_share(&t, p->m, owner, shape, frac, owner == p->role ? v : NULL, e));
    if (kind != CCZ_REP3_PARTS)
        return t;
    OK(ccz_rep3_share(&one, p->m, (owner + 1) % 3, CCZ_REP3_SHAPE1(1), 0,
                      (owner + 1) % 3 == p->role ? &unit : NULL, e));
    OK(ccz_rep3_mul(&r, t, one, e));
    ccz_rep3_tensor_free(t);
    ccz_rep3_tensor_free(one);
    return r;
}

/* What a tensor holds, told to all parties, whatever its kind. Owned by the caller. */
static inline uint64_t *values(struct party *p, const struct ccz_rep3_tensor *t)
{
    struct ccz_err *e = &p->err;
    size_t len = ccz_rep3_len_of(t);
    uint64_t *v = calloc(len, sizeof(*v));
    struct ccz_rep3_tensor *s = NULL;
    CHECK(v);
    if (ccz_rep3_kind_of(t) == CCZ_REP3_PARTS) {
        OK(ccz_rep3_reshare(&s, t, e));
        t = s;
    }
    if (ccz_rep3_kind_of(t) == CCZ_REP3_PUBLIC)
        memcpy(v, ccz_rep3_words(t, 0), len * sizeof(*v));
    else
        OK(ccz_rep3_reveal(v, t, CCZ_REP3_TO_ALL, "test", e));
    ccz_rep3_tensor_free(s);
    return v;
}

static inline void expect(struct party *p, const struct ccz_rep3_tensor *t,
                          const uint64_t *expected)
{
    size_t len = ccz_rep3_len_of(t);
    AUTO_WORDS v = values(p, t);
    for (size_t i = 0; i < len; i++)
        if (v[i] != expected[i]) {
            fprintf(stderr, "element %zu of %zu: got %llx, expected %llx\n", i, len,
                    (unsigned long long)v[i], (unsigned long long)expected[i]);
            CHECK(false);
        }
}

static inline bool bit_of(const uint64_t *v, size_t i)
{
    return v[i / 64] >> i % 64 & 1;
}

static inline void expect_error(const struct party *p, ccz_rc rc, const char *where)
{
    if (p->rc != rc || strcmp(p->err.where, where) != 0)
        fprintf(stderr, "party %u: got %s %s (%s), expected %s %s\n", p->role, ccz_rc_name(p->rc),
                p->err.where, p->err.msg, ccz_rc_name(rc), where);
    CHECK(p->rc == rc && strcmp(p->err.where, where) == 0);
}
#endif
