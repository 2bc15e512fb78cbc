/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of one party fails in turn, while the other one goes on: no crash, no leak (under ASan), an error on the
 * side that had none left, and no waiting on the other. Linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,
 * --wrap=aligned_alloc; the count is of the thread, so that the peer is not hit.
 */
#define _GNU_SOURCE
#include "parties.h"
#include "temp_dir.h"

#include <cczoo/psi_db.h>
#include <cczoo/psi_tee.h>

static _Thread_local long left = -1; /* allocations until one fails; -1: none does */
static _Thread_local bool failed;

static bool fails(void)
{
    if (left < 0 || left-- > 0)
        return false;
    failed = true;
    left = -1;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t len, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t len, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t len, size_t size)
{
    return fails() ? NULL : __real_calloc(len, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(align, size);
}

static long run_left; /* for the party that is to fail */
static bool run_failed;

static void *failing_run(void *arg)
{
    struct party *p = arg;
    left = run_left;
    failed = false;
    p->rc = ccz_psi_run(&p->result, p->chan, p->ids, &p->cfg, &p->err);
    left = -1;
    run_failed = failed;
    return NULL;
}

static void check_run(const struct ccz_psi_cfg *cfg)
{
    enum { N = 400 };
    uint64_t numbers[N];
    for (size_t i = 0; i < N; i++)
        numbers[i] = i;
    struct ccz_psi_ids *ids = ids_of(numbers, N, NULL);
    for (int side = 0; side < 2; side++) {
        long k = 0;
        for (run_failed = true; run_failed; k += 1 + (cfg->protocol == CCZ_PSI_ECDH ? k / 6 : 0)) {
            struct party p[2] = {{.cfg = *cfg, .ids = ids}, {.cfg = *cfg, .ids = ids}};
            p[side].run = failing_run;
            run_left = k;
            run_pair(p, NULL, 0);
            CHECK((p[side].rc == CCZ_OK) == (p[side].result != NULL));
            if (run_failed) {
                /* a channel takes a buffer that cannot grow for one that is too small */
                CHECK(p[side].rc == CCZ_E_NOMEM || strncmp(p[side].err.where, "chan:", 5) == 0);
                CHECK(p[side].rc != CCZ_OK && p[side].err.where[0] != '\0');
                CHECK(p[!side].rc == CCZ_OK || p[!side].rc == CCZ_E_CLOSED);
            } else {
                CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK && p[0].result->len == N);
            }
            free_results(p);
        }
        CHECK(k > 15); /* there were some to fail */
    }
    ccz_psi_ids_free(ids);
}

static void test_nomem_run(void)
{
    check_run(&(struct ccz_psi_cfg){.learns = CCZ_PSI_BOTH});
}

static void test_nomem_ecdh(void)
{
    struct ccz_psi_cfg cfg = {.protocol = CCZ_PSI_ECDH, .learns = CCZ_PSI_BOTH, .threads = 1};
    check_run(&cfg);
    cfg.min_intersection = 10; /* rows hidden at first */
    check_run(&cfg);
}

/* A session whose server, or one of whose parties, has no memory left. */
struct tee_side {
    struct ccz_psi_tee *tee;
    struct ccz_chan *chan;
    const struct ccz_psi_ids *ids;
    bool server;
    unsigned number;
    long left;
    bool failed;
    ccz_rc rc;
    struct ccz_err err;
};

static void *tee_run(void *arg)
{
    struct tee_side *s = arg;
    struct ccz_psi_result *r = NULL;
    const struct ccz_psi_tee_join_cfg cfg = {.terms = {.parties = 2}};
    left = s->left;
    failed = false;
    s->rc = s->server ? ccz_psi_tee_serve(s->tee, s->number, s->chan, &s->err)
                      : ccz_psi_tee_join(&r, s->chan, s->ids, &cfg, &s->err);
    left = -1;
    s->failed = failed;
    CHECK(s->server || (s->rc == CCZ_OK) == (r != NULL));
    ccz_psi_result_free(r);
    return NULL;
}

/* @return whether there was an allocation to fail */
static bool run_tee(long k, int which, const struct ccz_psi_ids *ids)
{
    struct tee_side s[4];
    pthread_t t[4];
    struct ccz_psi_tee *tee;
    CHECK(ccz_psi_tee_new(&tee, &(struct ccz_psi_tee_cfg){.terms = {.parties = 2}}, NULL) ==
          CCZ_OK);
    for (unsigned i = 0; i < 4; i += 2) {
        s[i] = (struct tee_side){.tee = tee, .server = true, .number = i / 2, .left = -1};
        s[i + 1] = (struct tee_side){.ids = ids, .left = -1};
        CHECK(ccz_chan_pair(&s[i].chan, &s[i + 1].chan, NULL, NULL) == CCZ_OK);
    }
    s[which].left = k;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, tee_run, &s[i]) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    for (int i = 0; i < 4; i++) {
        ccz_chan_free(s[i].chan);
        CHECK(s[i].rc == CCZ_OK || (s[which].failed && s[i].err.where[0]));
    }
    CHECK(!s[which].failed || s[which].rc != CCZ_OK);
    ccz_psi_tee_free(tee);
    return s[which].failed;
}

static void test_nomem_tee(void)
{
    uint64_t numbers[100];
    for (size_t i = 0; i < 100; i++)
        numbers[i] = i;
    struct ccz_psi_ids *ids = ids_of(numbers, 100, NULL);
    for (int which = 0; which < 2; which++) {
        long k = 0;
        while (run_tee(k, which, ids))
            k += 1 + k / 8;
        CHECK(k > 4);
    }
    ccz_psi_ids_free(ids);
}

static void test_nomem_db(void)
{
    uint64_t numbers[50];
    for (size_t i = 0; i < 50; i++)
        numbers[i] = i;
    struct ccz_psi_ids *ids = ids_of(numbers, 50, NULL);
    long k = 0;
    for (failed = true; failed; k += 1 + k / 8) {
        struct ccz_psi_db *db;
        struct ccz_err err = {0};
        failed = false;
        left = k;
        ccz_rc rc = ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){.threads = 1}, &err);
        left = -1;
        CHECK(failed ? rc == CCZ_E_NOMEM && !db && err.where[0] : rc == CCZ_OK && db);
        ccz_psi_db_free(db);
    }
    CHECK(k > 10);
    ccz_psi_ids_free(ids);
}

static void test_nomem_ids(void)
{
    enum { N = 30000 };
    static struct ccz_span spans[N];
    static char text[N][8];
    const struct ccz_psi_ids_cfg cfg = {.memory_len = 256, .spool_dir = temp_base};
    for (size_t i = 0; i < N; i++)
        spans[i] = CCZ_SPAN(text[i], (size_t)snprintf(text[i], 8, "%zu", i));
    long k = 0;
    for (failed = true; failed; k += 1 + k / 4) { /* all of the first ones, then some */
        struct ccz_psi_ids *ids;
        struct ccz_err err = {0};
        failed = false;
        left = k;
        ccz_rc rc = ccz_psi_ids_new(&ids, spans, N, &cfg, &err);
        left = -1;
        CHECK(failed ? rc == CCZ_E_NOMEM && !ids && err.where[0] : rc == CCZ_OK && ids);
        ccz_psi_ids_free(ids);
    }
    CHECK(k > 500);
}

static const struct ccz_test tests[] = {{"psi.nomem_run", test_nomem_run},
                                        {"psi.nomem_ids", test_nomem_ids},
                                        {"psi.nomem_ecdh", test_nomem_ecdh},
                                        {"psi.nomem_tee", test_nomem_tee},
                                        {"psi.nomem_db", test_nomem_db}};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
