/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "load.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LATE_NS = 1000000 };

struct call {
    int64_t due_ns;
    bool counted, busy;
};
struct cczi_load {
    const struct cczi_load_cfg *cfg;
    struct cczi_load_result *out;
    pthread_mutex_t lock; /* everything below, and *out */
    pthread_cond_t changed;
    int64_t begin_ns, from_ns, until_ns; /* of the run, of what is counted, of sending */
    int64_t last_ns;                     /* when the last counted call ended */
    struct call *call;                   /* [in_flight] */
    unsigned *free_slot;                 /* stack of those that are free */
    unsigned free_len, under_way;
    uint64_t counted; /* calls that were begun and count */
    bool stopping;
    ccz_rc rc; /* of the first call that could not be started */
    struct ccz_err err;
    struct cczi_hist second; /* of the second in progress */
    uint32_t second_failed;
    size_t second_at;
};

/* FNV-1a over words: answers of megabytes are looked at, too. */
static uint64_t digest_of(struct ccz_span s)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ s.size, w;
    size_t i = 0;
    for (; i + 8 <= s.size; i += 8) {
        memcpy(&w, s.ptr + i, 8);
        h = (h ^ w) * UINT64_C(1099511628211);
        h ^= h >> 29;
    }
    for (; i < s.size; i++)
        h = (h ^ s.ptr[i]) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

static void note_answer(struct cczi_load_result *r, uint64_t digest)
{
    size_t i = 0;
    while (i < r->answers && r->answer[i].digest != digest)
        i++;
    if (i == CCZI_LOAD_ANSWERS_MAX) {
        r->answers_more++;
        return;
    }
    r->answers += i == r->answers;
    r->answer[i].digest = digest;
    r->answer[i].calls++;
}

/* The second that ended, or all that passed without a call. */
static void close_seconds(struct cczi_load *l, size_t now)
{
    struct cczi_load_result *r = l->out;
    for (; l->second_at < now && l->second_at < r->seconds_len; l->second_at++) {
        r->second[l->second_at] = (struct cczi_load_second){
            .calls = (uint32_t)l->second.len,
            .failed = l->second_failed,
            .p50_ms = (float)cczi_hist_at(&l->second, 0.5) / 1e6f,
            .p99_ms = (float)cczi_hist_at(&l->second, 0.99) / 1e6f,
            .max_ms = (float)l->second.max_ns / 1e6f,
        };
        if (l->second.len || l->second_failed)
            memset(&l->second, 0, sizeof(l->second));
        l->second_failed = 0;
    }
}

/* Under the lock. */
static void count(struct cczi_load *l, const struct call *c, int64_t now, unsigned code,
                  uint64_t digest)
{
    struct cczi_load_result *r = l->out;
    uint64_t took = now > c->due_ns ? (uint64_t)(now - c->due_ns) : 0;
    r->code[code < 32 ? code : 31]++;
    cczi_hist_add(code ? &r->failed : &r->ok, took);
    if (!code)
        note_answer(r, digest);
    close_seconds(l, now > l->from_ns ? (size_t)((now - l->from_ns) / 1000000000) : 0);
    if (code)
        l->second_failed++;
    else
        cczi_hist_add(&l->second, took);
    if (now > l->last_ns)
        l->last_ns = now;
}

/* Whether another call may begin; under the lock. */
static bool goes_on(const struct cczi_load *l, int64_t due_ns)
{
    return !l->stopping && l->rc == CCZ_OK && due_ns < l->until_ns &&
           (!l->cfg->calls_max || l->counted < l->cfg->calls_max);
}

/* Takes a slot for a call that is due; under the lock. */
static unsigned take(struct cczi_load *l, int64_t due_ns, int64_t now)
{
    unsigned slot = l->free_slot[--l->free_len];
    l->call[slot] = (struct call){.due_ns = due_ns, .counted = due_ns >= l->from_ns, .busy = true};
    l->under_way++;
    if (l->call[slot].counted) {
        l->counted++;
        l->out->late += now - due_ns > LATE_NS;
    }
    return slot;
}

static void give_back(struct cczi_load *l, unsigned slot)
{
    l->call[slot].busy = false;
    l->free_slot[l->free_len++] = slot;
    l->under_way--;
}

/* Sends without the lock. */
static void begin(struct cczi_load *l, unsigned slot)
{
    struct ccz_err err = {0};
    ccz_rc rc = l->cfg->send(l->cfg->arg, l, slot, &err);
    if (rc == CCZ_OK)
        return;
    pthread_mutex_lock(&l->lock);
    if (l->rc == CCZ_OK) {
        l->rc = rc;
        l->err = err;
    }
    give_back(l, slot);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

void cczi_load_done(struct cczi_load *l, unsigned slot, unsigned code, struct ccz_span answer)
{
    const int64_t now = ccz_mono_ns();
    const uint64_t digest = code ? 0 : digest_of(answer);
    bool again = false;
    pthread_mutex_lock(&l->lock);
    if (l->call[slot].counted)
        count(l, &l->call[slot], now, code, digest);
    give_back(l, slot);
    if (l->cfg->rate <= 0 && goes_on(l, now)) { /* the next one at once, on this thread */
        slot = take(l, now, now);
        again = true;
    } else {
        pthread_cond_signal(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    if (again)
        begin(l, slot);
}

static void wait_until(struct cczi_load *l, int64_t ns)
{
    const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
                               .tv_nsec = (long)(ns % 1000000000)};
    (void)pthread_cond_timedwait(&l->changed, &l->lock, &t);
}

/* As many as may be under way; each that ends starts the next. Under the lock. */
static void closed_loop(struct cczi_load *l)
{
    for (unsigned i = 0; i < l->cfg->in_flight; i++) {
        int64_t now = ccz_mono_ns();
        if (!l->free_len || !goes_on(l, now))
            break;
        unsigned slot = take(l, now, now);
        pthread_mutex_unlock(&l->lock);
        begin(l, slot);
        pthread_mutex_lock(&l->lock);
    }
    while (l->rc == CCZ_OK && l->under_way > 0)
        pthread_cond_wait(&l->changed, &l->lock);
}

/* Call number n is due at begin + n / rate. Under the lock. */
static void open_loop(struct cczi_load *l)
{
    const double gap_ns = 1e9 / l->cfg->rate;
    for (uint64_t n = 0;; n++) {
        int64_t due = l->begin_ns + (int64_t)((double)n * gap_ns);
        while (goes_on(l, due) && ccz_mono_ns() < due)
            wait_until(l, due);
        while (goes_on(l, due) && l->free_len == 0)
            pthread_cond_wait(&l->changed, &l->lock);
        if (!goes_on(l, due))
            break;
        unsigned slot = take(l, due, ccz_mono_ns());
        pthread_mutex_unlock(&l->lock);
        begin(l, slot);
        pthread_mutex_lock(&l->lock);
    }
    while (l->under_way > 0)
        pthread_cond_wait(&l->changed, &l->lock);
}

static ccz_rc check(const struct cczi_load_cfg *cfg, struct ccz_err *err)
{
    const bool ok = cfg->send && cfg->in_flight >= 1 && cfg->in_flight <= 65536 && cfg->rate >= 0 &&
                    cfg->rate <= 1e7 && cfg->warm_up_ms >= 0 && cfg->duration_ms > 0 &&
                    cfg->duration_ms <= CCZI_LOAD_SECONDS_MAX * INT64_C(1000) &&
                    cfg->warm_up_ms <= CCZI_LOAD_SECONDS_MAX * INT64_C(1000);
    return ok ? CCZ_OK
              : ccz_fail(
                    err, CCZ_E_ARG, "load:config", 0,
                    "calls under way: 1 to 65536, rate: up to 10,000,000/s, time: up to a day");
}

static ccz_rc prepare(struct cczi_load *l, struct cczi_load_result *out,
                      const struct cczi_load_cfg *cfg, struct ccz_err *err)
{
    *l = (struct cczi_load){.cfg = cfg, .out = out};
    out->seconds_len = (size_t)(cfg->duration_ms + 999) / 1000;
    out->second = calloc(out->seconds_len, sizeof(out->second[0]));
    l->call = calloc(cfg->in_flight, sizeof(l->call[0]));
    l->free_slot = calloc(cfg->in_flight, sizeof(l->free_slot[0]));
    if (!out->second || !l->call || !l->free_slot)
        return ccz_fail(err, CCZ_E_NOMEM, "load:memory", 0, "out of memory");
    for (unsigned i = 0; i < cfg->in_flight; i++)
        l->free_slot[l->free_len++] = cfg->in_flight - 1 - i;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, &attr);
    pthread_condattr_destroy(&attr);
    return CCZ_OK;
}

ccz_rc cczi_load_run(struct cczi_load_result *out, const struct cczi_load_cfg *cfg,
                     struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    ccz_rc rc = check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_load *l = malloc(sizeof(*l)); /* a histogram is too large for some stacks */
    if (!l)
        return ccz_fail(err, CCZ_E_NOMEM, "load:memory", 0, "out of memory");
    rc = prepare(l, out, cfg, err);
    if (rc == CCZ_OK) {
        pthread_mutex_lock(&l->lock);
        l->begin_ns = ccz_mono_ns();
        l->from_ns = l->last_ns = l->begin_ns + cfg->warm_up_ms * 1000000;
        l->until_ns = l->from_ns + cfg->duration_ms * 1000000;
        if (cfg->rate > 0)
            open_loop(l);
        else
            closed_loop(l);
        while (l->under_way > 0) /* a failure to send: what is under way still ends */
            pthread_cond_wait(&l->changed, &l->lock);
        close_seconds(l, out->seconds_len);
        out->seconds = (double)(l->last_ns - l->from_ns) / 1e9;
        rc = l->rc;
        if (rc != CCZ_OK && err)
            *err = l->err;
        pthread_mutex_unlock(&l->lock);
        pthread_mutex_destroy(&l->lock);
        pthread_cond_destroy(&l->changed);
    }
    free(l->call);
    free(l->free_slot);
    free(l);
    return rc;
}

void cczi_load_result_free(struct cczi_load_result *r)
{
    free(r->second);
    r->second = NULL;
    r->seconds_len = 0;
}
