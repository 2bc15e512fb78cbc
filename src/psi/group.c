/* SPDX-License-Identifier: Apache-2.0 */
/* Points of ids, many at a time, by several threads. */
#define _GNU_SOURCE
#include "psi_priv.h"

#include <cczoo/ristretto.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 16, PART_LEN_MIN = 64, BATCH = 64 };

struct part {
    void (*fn)(void *arg, size_t from, size_t to);
    void *arg;
    size_t from, to;
    pthread_t thread;
    bool started;
};

static void *run_part(void *arg)
{
    struct part *p = arg;
    p->fn(p->arg, p->from, p->to);
    return NULL;
}

static unsigned processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

void cczi_psi_parallel(void (*fn)(void *arg, size_t from, size_t to), void *arg, size_t len,
                       unsigned threads)
{
    struct part parts[THREADS_MAX];
    size_t n = threads == 0 ? processors() : threads > THREADS_MAX ? THREADS_MAX : threads;
    n = n > len / PART_LEN_MIN ? len / PART_LEN_MIN : n;
    n = n ? n : 1;
    for (size_t i = 0; i < n; i++) {
        struct part *p = &parts[i];
        *p = (struct part){.fn = fn, .arg = arg, .from = i * len / n, .to = (i + 1) * len / n};
        p->started = i > 0 && pthread_create(&p->thread, NULL, run_part, p) == 0;
    }
    for (size_t i = 0; i < n; i++) { /* what could not be started is done here */
        if (!parts[i].started)
            (void)run_part(&parts[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].started)
            (void)pthread_join(parts[i].thread, NULL);
    }
}

/* ---------------------------------------------------------------------------- hash to the group */

struct points_job {
    uint8_t (*out)[32];
    const uint8_t *s;
    const struct cczi_psi_rec *items;
    struct cczi_ro ro;
};

static void points_part(void *arg, size_t from, size_t to)
{
    const struct points_job *job = arg;
    for (size_t i = from; i < to; i += BATCH) {
        size_t n = to - i < BATCH ? to - i : BATCH;
        uint8_t in[2 * BATCH][32] = {{0}};
        struct cczi_digest hash[2 * BATCH]; /* 64 bytes for each item */
        for (size_t j = 0; j < 2 * n; j++) {
            memcpy(in[j], job->items[i + j / 2].b, 16);
            in[j][16] = (uint8_t)(j % 2);
        }
        cczi_ro_hash(hash, &job->ro, (const uint8_t(*)[32])in, 2 * n);
        ccz_ristretto_from_hash_each(job->out + i, (const uint8_t(*)[64])(const void *)hash, n);
        size_t done =
            ccz_ristretto_mul_each(job->out + i, job->s, (const uint8_t(*)[32])(job->out + i), n);
        (void)done; /* an item that hashes to the identity, 2^-252, is one that the peer refuses */
        ccz_wipe(in, sizeof(in));
        ccz_wipe(hash, sizeof(hash));
    }
}

void cczi_psi_points(uint8_t (*out)[32], const uint8_t s[32], const struct cczi_psi_rec *items,
                     size_t len, const uint8_t key[32], unsigned threads)
{
    struct points_job job = {.out = out, .s = s, .items = items};
    cczi_ro_init(&job.ro, "cczoo psi point", key);
    cczi_psi_parallel(points_part, &job, len, threads);
}

/* --------------------------------------------------------------------------------- multiplication */

struct mul_job {
    uint8_t (*out)[32];
    const uint8_t *s;
    const uint8_t (*in)[32];
    _Atomic size_t bad; /* the first encoding that is refused */
};

static void mul_part(void *arg, size_t from, size_t to)
{
    struct mul_job *job = arg;
    for (size_t i = from; i < to; i += BATCH) {
        size_t n = to - i < BATCH ? to - i : BATCH;
        size_t good = ccz_ristretto_mul_each(job->out + i, job->s, job->in + i, n);
        if (good == n)
            continue;
        size_t bad = atomic_load(&job->bad);
        while (i + good < bad && !atomic_compare_exchange_weak(&job->bad, &bad, i + good))
            ;
        return;
    }
}

ccz_rc cczi_psi_mul(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32], size_t len,
                    unsigned threads, struct ccz_err *err)
{
    struct mul_job job = {.out = out, .s = s, .in = in, .bad = len};
    cczi_psi_parallel(mul_part, &job, len, threads);
    size_t bad = atomic_load(&job.bad);
    if (bad < len)
        return ccz_fail(err, CCZ_E_PEER, "psi:point", (int64_t)bad,
                        "point %zu is not a canonical encoding of ristretto255, or the identity",
                        bad);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------------- outputs */

struct finish_job {
    uint8_t (*out)[32];
    const struct cczi_psi_rec *items;
    const uint8_t (*points)[32];
    struct cczi_ro ro;
};

static void finish_part(void *arg, size_t from, size_t to)
{
    const struct finish_job *job = arg;
    for (size_t i = from; i < to; i += BATCH) {
        size_t n = to - i < BATCH ? to - i : BATCH;
        uint8_t in[BATCH][48];
        struct ccz_span spans[BATCH];
        for (size_t j = 0; j < n; j++) {
            memcpy(in[j], job->items[i + j].b, 16);
            memcpy(in[j] + 16, job->points[i + j], 32);
            spans[j] = CCZ_SPAN(in[j], 48);
        }
        cczi_ro_hash_spans(job->out + i, &job->ro, spans, n);
        ccz_wipe(in, sizeof(in));
    }
}

void cczi_psi_finish(uint8_t (*out)[32], const struct cczi_psi_rec *items,
                     const uint8_t (*points)[32], size_t len, const uint8_t key[32],
                     unsigned threads)
{
    struct finish_job job = {.out = out, .items = items, .points = points};
    cczi_ro_init(&job.ro, "cczoo psi ecdh output", key);
    cczi_psi_parallel(finish_part, &job, len, threads);
}

/* ------------------------------------------------------------------------------------------- masks */

struct cczi_psi_mask cczi_psi_mask_from(const uint8_t hash[32], size_t size, uint32_t at)
{
    uint64_t be[2] = {0};
    memcpy(be, hash, size < 16 ? size : 16);
    return (struct cczi_psi_mask){
        .hi = __builtin_bswap64(be[0]), .lo = __builtin_bswap64(be[1]), .at = at};
}

ccz_rc cczi_psi_masks_all(struct cczi_psi_mask *masks, size_t len, size_t size, struct ccz_span in,
                          struct ccz_err *err)
{
    struct cczi_psi_masks_in g;
    ccz_rc rc = cczi_psi_masks_start(&g, len, size, in, err);
    while (rc == CCZ_OK && (rc = cczi_psi_masks_next(&g, err)) == CCZ_OK && !g.end)
        masks[g.mask.at] = g.mask;
    return rc;
}

static int by_second(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return x[1] < y[1] ? -1 : x[1] > y[1];
}

size_t cczi_psi_match(uint32_t (*pairs)[2], const struct cczi_psi_mask *a, size_t a_len,
                      const struct cczi_psi_mask *b, size_t b_len)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a_len && k < b_len;) {
        if (a[i].hi == b[k].hi && a[i].lo == b[k].lo) {
            pairs[n][0] = a[i++].at;
            pairs[n++][1] = b[k++].at;
        } else if (a[i].hi < b[k].hi || (a[i].hi == b[k].hi && a[i].lo < b[k].lo)) {
            i++;
        } else {
            k++;
        }
    }
    qsort(pairs, n, sizeof(*pairs), by_second);
    return n;
}
