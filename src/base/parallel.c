/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of items over threads that live for one call. */
#define _GNU_SOURCE
#include <cczoo/parallel.h>

#include <pthread.h>
#include <sched.h>

enum { THREADS_MAX = CCZ_THREADS_MAX };

struct share {
    ccz_range_fn fn;
    void *arg;
    size_t from, len;
    ccz_rc rc;
    struct ccz_err err;
};

static void *run(void *arg)
{
    struct share *s = arg;
    s->rc = s->len > 0 ? s->fn(s->arg, s->from, s->len, &s->err) : CCZ_OK;
    return NULL;
}

ccz_rc ccz_parallel(ccz_range_fn fn, void *arg, size_t len, size_t grain, unsigned threads,
                    struct ccz_err *err)
{
    size_t grains = (len + grain - 1) / grain;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    if (threads > grains)
        threads = (unsigned)grains;
    if (threads <= 1)
        return len > 0 ? fn(arg, 0, len, err) : CCZ_OK;
    struct share shares[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    bool started[THREADS_MAX] = {false};
    size_t each = (grains + threads - 1) / threads * grain;
    for (unsigned t = 0; t < threads; t++) {
        size_t from = t * each < len ? t * each : len, left = len - from;
        shares[t] =
            (struct share){.fn = fn, .arg = arg, .from = from, .len = left < each ? left : each};
        started[t] = t > 0 && pthread_create(&ids[t], NULL, run, &shares[t]) == 0;
    }
    for (unsigned t = 0; t < threads; t++) /* the first share, and those without a thread */
        if (!started[t])
            (void)run(&shares[t]);
    ccz_rc rc = CCZ_OK;
    for (unsigned t = 0; t < threads; t++) {
        if (started[t])
            (void)pthread_join(ids[t], NULL);
        if (rc == CCZ_OK && shares[t].rc != CCZ_OK) {
            rc = shares[t].rc;
            if (err)
                *err = shares[t].err;
        }
    }
    return rc;
}

unsigned ccz_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}
