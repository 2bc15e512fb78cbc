/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

enum { BACKOFF_MS = 200, BACKOFF_MAX_MS = 10000 };

const char *cluster_state_name(enum cluster_state s)
{
    static const char *const names[] = {"empty", "starting", "ready", "draining"};
    return names[s];
}

unsigned cluster_count(const struct cluster *c, enum cluster_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        n += c->slot[i].state == state;
    return n;
}

static unsigned count_of(const struct cluster *c, enum cluster_state state, bool wanted)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        n += c->slot[i].state == state && (c->slot[i].generation == c->generation) == wanted;
    return n;
}

static void enter(struct cluster *c, unsigned slot, enum cluster_state state, int64_t now_ms)
{
    struct cluster_slot *s = &c->slot[slot];
    bool was = s->state == CLUSTER_READY;
    s->state = state;
    s->since_ms = now_ms;
    s->told = false;
    if (was || state == CLUSTER_READY)
        c->ops->balance(c->arg);
    c->ops->told(c->arg, cluster_state_name(state), slot);
}

/* A replica that did not live. Waits longer each time; a new generation that does not come up is taken back. */
static void failed(struct cluster *c, unsigned generation, int64_t now_ms)
{
    unsigned shift = c->failures < 6 ? c->failures : 6;
    int64_t wait = (int64_t)BACKOFF_MS << shift;
    c->failures++;
    c->again_ms = now_ms + (wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
    if (c->rolling && generation == c->generation) {
        c->generation = c->before;
        c->rolling = false;
        c->failures = 0;
        c->again_ms = now_ms;
        c->ops->told(c->arg, "roll-taken-back", CLUSTER_SLOTS);
    }
}

void cluster_gone(struct cluster *c, unsigned slot, int64_t now_ms)
{
    struct cluster_slot *s = &c->slot[slot];
    enum cluster_state was = s->state;
    if (was == CLUSTER_EMPTY)
        return;
    enter(c, slot, CLUSTER_EMPTY, now_ms);
    if (was != CLUSTER_DRAINING)
        failed(c, s->generation, now_ms);
}

bool cluster_drain(struct cluster *c, unsigned slot, int64_t now_ms)
{
    if (slot >= CLUSTER_SLOTS || c->slot[slot].state != CLUSTER_READY)
        return false;
    enter(c, slot, CLUSTER_DRAINING, now_ms);
    return true;
}

bool cluster_roll(struct cluster *c, unsigned generation)
{
    if (c->rolling)
        return false;
    c->before = c->generation;
    c->generation = generation;
    c->rolling = true;
    c->failures = 0;
    c->again_ms = 0;
    return true;
}

void cluster_scale(struct cluster *c, unsigned replicas)
{
    c->replicas = replicas;
}

void cluster_end(struct cluster *c)
{
    c->ending = true;
}

static void start_one(struct cluster *c, int64_t now_ms)
{
    unsigned slot = 0;
    while (slot < CLUSTER_SLOTS && c->slot[slot].state != CLUSTER_EMPTY)
        slot++;
    if (slot == CLUSTER_SLOTS)
        return; /* those that drain still have it */
    struct cluster_slot *s = &c->slot[slot];
    *s = (struct cluster_slot){.generation = c->generation, .starts = s->starts + 1};
    enter(c, slot, CLUSTER_STARTING, now_ms);
    if (!c->ops->start(c->arg, slot, c->generation))
        cluster_gone(c, slot, now_ms);
}

/* What runs: becomes ready, or too late; is told to leave, or made to. */
static void look(struct cluster *c, unsigned slot, int64_t now_ms)
{
    struct cluster_slot *s = &c->slot[slot];
    const int64_t age = now_ms - s->since_ms;
    if (s->state == CLUSTER_STARTING) {
        if (c->ops->ready(c->arg, slot, &s->port, &s->rest)) {
            c->failures = 0;
            enter(c, slot, CLUSTER_READY, now_ms);
        } else if (age > c->times.start_ms) {
            c->ops->stop(c->arg, slot, true); /* cluster_gone() comes when it is dead */
        }
    } else if (s->state == CLUSTER_DRAINING) {
        if (!s->told && age >= c->times.leave_ms) {
            c->ops->stop(c->arg, slot, false);
            s->told = true;
        } else if (s->told && age > c->times.leave_ms + c->times.grace_ms) {
            c->ops->stop(c->arg, slot, true);
        }
    }
}

/* One that may leave now, those of an unwanted generation first; the youngest slot of them. */
static unsigned to_drain(const struct cluster *c)
{
    unsigned best = CLUSTER_SLOTS;
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
        if (c->slot[i].state != CLUSTER_READY)
            continue;
        bool old = c->slot[i].generation != c->generation;
        if (best == CLUSTER_SLOTS || old || c->slot[best].generation == c->generation)
            best = i;
    }
    return best;
}

static void end_all(struct cluster *c, int64_t now_ms)
{
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        if (c->slot[i].state == CLUSTER_READY || c->slot[i].state == CLUSTER_STARTING)
            enter(c, i, CLUSTER_DRAINING, now_ms);
}

void cluster_tick(struct cluster *c, int64_t now_ms)
{
    if (c->ending)
        end_all(c, now_ms);
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        look(c, i, now_ms);
    if (c->ending)
        return;
    unsigned ready = cluster_count(c, CLUSTER_READY), fresh = count_of(c, CLUSTER_READY, true);
    unsigned old = ready - fresh, starting = cluster_count(c, CLUSTER_STARTING);
    /* without old ones all may start at once; beside them one at a time, so that a bad one hurts nobody */
    unsigned missing = c->replicas > fresh + starting ? c->replicas - fresh - starting : 0;
    if (old && missing)
        missing = starting ? 0 : 1;
    for (; missing && now_ms >= c->again_ms; missing--)
        start_one(c, now_ms);
    unsigned excess = ready > c->replicas ? ready - c->replicas : 0;
    if (fresh >= c->replicas && old > excess)
        excess = old;
    for (; excess; excess--)
        (void)cluster_drain(c, to_drain(c), now_ms);
    if (c->rolling && count_of(c, CLUSTER_READY, true) >= c->replicas &&
        count_of(c, CLUSTER_READY, false) == 0) {
        c->rolling = false;
        c->ops->told(c->arg, "roll-done", CLUSTER_SLOTS);
    }
}
