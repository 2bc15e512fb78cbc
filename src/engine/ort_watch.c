/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines of runs. ONNX Runtime looks at a flag of the run between two operations; one thread of the engine sets it when the
 * time of a run is over. So the thread that runs needs no clock, and a run ends at most one operation late.
 */
#define _GNU_SOURCE
#include "engine/ort_priv.h"

#include <stdlib.h>
#include <time.h>

struct ort_watch {
    const struct ort_api *api;
    pthread_mutex_t lock; /* for everything below */
    pthread_cond_t changed;
    pthread_t thread;
    bool started, stop;
    struct ort_alarm *head;
    int64_t wake_ms; /* when the thread wakes up by itself */
};

struct ort_watch *cczi_ort_watch_new(const struct ort_api *api)
{
    struct ort_watch *w = calloc(1, sizeof(*w));
    pthread_condattr_t attr;
    if (!w)
        return NULL;
    w->api = api;
    w->wake_ms = INT64_MAX;
    if (pthread_condattr_init(&attr) != 0) {
        free(w);
        return NULL;
    }
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&w->changed, &attr) == 0;
    pthread_condattr_destroy(&attr);
    if (!ok || pthread_mutex_init(&w->lock, NULL) != 0) {
        free(w);
        return NULL;
    }
    return w;
}

/* Rings what is due; the time of the next alarm. */
static int64_t ring(struct ort_watch *w)
{
    const int64_t now = ccz_mono_ms();
    int64_t next = INT64_MAX;
    for (struct ort_alarm *a = w->head; a; a = a->next) {
        if (!a->rang && a->at_ms <= now) {
            a->rang = true;
            w->api->ReleaseStatus(w->api->RunOptionsSetTerminate(a->options));
        }
        if (!a->rang && a->at_ms < next)
            next = a->at_ms;
    }
    return next;
}

static void *watch(void *arg)
{
    struct ort_watch *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        w->wake_ms = ring(w);
        if (w->wake_ms == INT64_MAX) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        const struct timespec at = {.tv_sec = (time_t)(w->wake_ms / 1000),
                                    .tv_nsec = (long)(w->wake_ms % 1000) * 1000000};
        (void)pthread_cond_timedwait(&w->changed, &w->lock, &at);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

ccz_rc cczi_ort_alarm_set(struct ort_watch *w, struct ort_alarm *a)
{
    pthread_mutex_lock(&w->lock);
    if (!w->started)
        w->started = pthread_create(&w->thread, NULL, watch, w) == 0;
    const bool ok = w->started;
    if (ok) {
        a->prev = NULL;
        a->next = w->head;
        if (w->head)
            w->head->prev = a;
        w->head = a;
        if (a->at_ms < w->wake_ms)
            pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return ok ? CCZ_OK : CCZ_E_UNAVAILABLE;
}

bool cczi_ort_alarm_clear(struct ort_watch *w, struct ort_alarm *a)
{
    pthread_mutex_lock(&w->lock);
    if (a->prev)
        a->prev->next = a->next;
    else
        w->head = a->next;
    if (a->next)
        a->next->prev = a->prev;
    const bool rang = a->rang;
    pthread_mutex_unlock(&w->lock);
    return rang;
}

void cczi_ort_watch_free(struct ort_watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    const bool started = w->started;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (started)
        pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
