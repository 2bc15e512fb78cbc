/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of deadlines behind one timer: setting one costs no system call and no event. */
#include "wire.h"

#include <stdlib.h>

static void place(struct cczi_deadlines *ds, size_t i, struct cczi_deadline *d)
{
    ds->heap[i] = d;
    d->pos = i + 1;
}

static void sift_up(struct cczi_deadlines *ds, size_t i, struct cczi_deadline *d)
{
    while (i > 0 && ds->heap[(i - 1) / 2]->at_ms > d->at_ms) {
        place(ds, i, ds->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(ds, i, d);
}

static void sift_down(struct cczi_deadlines *ds, size_t i, struct cczi_deadline *d)
{
    for (size_t child; (child = 2 * i + 1) < ds->len; i = child) {
        if (child + 1 < ds->len && ds->heap[child + 1]->at_ms < ds->heap[child]->at_ms)
            child++;
        if (ds->heap[child]->at_ms >= d->at_ms)
            break;
        place(ds, i, ds->heap[child]);
    }
    place(ds, i, d);
}

/* @return false: there was no timer, and there is no memory for one */
static bool arm(struct cczi_deadlines *ds)
{
    /* A timer that fires early for nothing is cheaper than one moved with every call. */
    if (ds->len == 0 || ds->heap[0]->at_ms >= ds->armed_ms)
        return true;
    if (!ccz_timer_set(ds->timer, ds->heap[0]->at_ms - ccz_mono_ms(), 0))
        return false;
    ds->armed_ms = ds->heap[0]->at_ms;
    return true;
}

static void on_timer(void *arg)
{
    struct cczi_deadlines *ds = arg;
    int64_t now = ccz_mono_ms();
    ds->armed_ms = INT64_MAX;
    while (ds->len && ds->heap[0]->at_ms <= now) {
        struct cczi_deadline *d = ds->heap[0];
        cczi_deadline_cancel(ds, d);
        d->fn(d);
    }
    (void)arm(ds); /* the timer's place has just become free; else the next deadline tries again */
}

ccz_rc cczi_deadlines_init(struct cczi_deadlines *ds, struct ccz_loop *loop)
{
    *ds = (struct cczi_deadlines){.armed_ms = INT64_MAX};
    return ccz_timer_new(&ds->timer, loop, on_timer, ds);
}

void cczi_deadlines_deinit(struct cczi_deadlines *ds)
{
    ccz_timer_free(ds->timer);
    free(ds->heap);
    *ds = (struct cczi_deadlines){0};
}

bool cczi_deadline_set(struct cczi_deadlines *ds, struct cczi_deadline *d, int64_t at_ms)
{
    cczi_deadline_cancel(ds, d);
    if (ds->len == ds->cap) {
        size_t cap = ds->cap ? 2 * ds->cap : 64;
        struct cczi_deadline **heap = realloc(ds->heap, cap * sizeof(*heap));
        if (!heap)
            return false;
        ds->heap = heap;
        ds->cap = cap;
    }
    d->at_ms = at_ms;
    sift_up(ds, ds->len++, d);
    if (arm(ds))
        return true;
    cczi_deadline_cancel(ds, d);
    return false;
}

void cczi_deadline_cancel(struct cczi_deadlines *ds, struct cczi_deadline *d)
{
    if (d->pos == 0)
        return;
    size_t i = d->pos - 1;
    struct cczi_deadline *last = ds->heap[--ds->len];
    d->pos = 0;
    if (last == d)
        return;
    if (i > 0 && ds->heap[(i - 1) / 2]->at_ms > last->at_ms)
        sift_up(ds, i, last);
    else
        sift_down(ds, i, last);
}
