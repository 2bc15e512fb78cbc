/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of one party fails in turn, while the other one goes on: no crash, no leak (under ASan), an error on the
 * side that had none left, and no waiting on the other. Linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,
 * --wrap=aligned_alloc; the count is of the thread, so that the peer is not hit.
 */
#define _GNU_SOURCE
#include "parties.h"
#include "temp_dir.h"

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

static void test_nomem_run(void)
{
    enum { N = 400 };
    uint64_t numbers[N];
    for (size_t i = 0; i < N; i++)
        numbers[i] = i;
    struct ccz_psi_ids *ids = ids_of(numbers, N, NULL);
    for (int side = 0; side < 2; side++) {
        long k = 0;
        for (run_failed = true; run_failed; k++) {
            struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}, .ids = ids},
                                 {.cfg = {.learns = CCZ_PSI_BOTH}, .ids = ids}};
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
                                        {"psi.nomem_ids", test_nomem_ids}};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
