/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a cluster against a world that a test makes: what runs, what is behind the balancer, and at no time too little. */
#include "../../../cli/cluster.h"

#include "ccz_test.h"

struct world {
    struct cluster c;
    int64_t now;
    bool runs[CLUSTER_SLOTS], comes_up[2]; /* comes_up: by generation */
    bool refuses_to_start;
    bool deaf; /* SIGTERM changes nothing */
    unsigned generation[CLUSTER_SLOTS], started, asked, killed, balanced;
    unsigned least_ready; /* since watch() */
    char events[4096];
};

static bool start(void *arg, unsigned slot, unsigned generation)
{
    struct world *w = arg;
    CHECK(!w->runs[slot]);
    if (w->refuses_to_start)
        return false;
    w->runs[slot] = true;
    w->generation[slot] = generation;
    w->started++;
    return true;
}

static bool ready(void *arg, unsigned slot, uint16_t *port, uint16_t *rest)
{
    struct world *w = arg;
    *port = (uint16_t)(1000 + slot);
    *rest = 0;
    return w->runs[slot] && w->comes_up[w->generation[slot]];
}

static void stop(void *arg, unsigned slot, bool at_once)
{
    struct world *w = arg;
    CHECK(w->runs[slot]);
    w->asked += !at_once;
    w->killed += at_once;
    if (at_once || !w->deaf) {
        w->runs[slot] = false;
        cluster_gone(&w->c, slot, w->now);
    }
}

static void balance(void *arg)
{
    struct world *w = arg;
    w->balanced++;
    unsigned n = cluster_count(&w->c, CLUSTER_READY);
    w->least_ready = n < w->least_ready ? n : w->least_ready;
}

static void told(void *arg, const char *event, unsigned slot)
{
    struct world *w = arg;
    if (slot == CLUSTER_SLOTS)
        (void)strncat(w->events, event, sizeof(w->events) - strlen(w->events) - 1);
}

static void begin(struct world *w, unsigned replicas)
{
    static const struct cluster_ops ops = {start, ready, stop, balance, told};
    *w = (struct world){.comes_up = {true, true}, .now = 1000000};
    w->c = (struct cluster){.ops = &ops,
                            .arg = w,
                            .times = {.start_ms = 10000, .leave_ms = 500, .grace_ms = 2000},
                            .replicas = replicas};
}

static void pass(struct world *w, int64_t ms)
{
    for (int64_t end = w->now + ms; w->now < end; w->now += 50)
        cluster_tick(&w->c, w->now);
}

static unsigned ready_of(const struct world *w, unsigned generation)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        n += w->c.slot[i].state == CLUSTER_READY && w->generation[i] == generation;
    return n;
}

static unsigned running(const struct world *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        n += w->runs[i];
    return n;
}

static void up(void)
{
    struct world w;
    begin(&w, 3);
    pass(&w, 200);
    CHECK(w.started == 3 && cluster_count(&w.c, CLUSTER_READY) == 3 && w.balanced == 3);
    CHECK(w.c.slot[2].port == 1002);
    pass(&w, 5000); /* nothing more to do */
    CHECK(w.started == 3 && w.balanced == 3 && w.asked == 0 && w.killed == 0);
}

static void crash(void)
{
    struct world w;
    begin(&w, 2);
    pass(&w, 200);
    w.runs[1] = false;
    cluster_gone(&w.c, 1, w.now);
    CHECK(cluster_count(&w.c, CLUSTER_READY) == 1 && w.balanced == 3);
    pass(&w, 100); /* not at once */
    CHECK(w.started == 2);
    pass(&w, 300);
    CHECK(w.started == 3 && cluster_count(&w.c, CLUSTER_READY) == 2);
    w.refuses_to_start = true; /* longer and longer, but for ever */
    w.runs[0] = false;
    cluster_gone(&w.c, 0, w.now);
    pass(&w, 60000);
    CHECK(cluster_count(&w.c, CLUSTER_READY) == 1 && w.c.slot[0].starts >= 5 &&
          w.c.slot[0].starts < 20);
    w.refuses_to_start = false;
    pass(&w, 11000);
    CHECK(cluster_count(&w.c, CLUSTER_READY) == 2);
}

/* A new one is there before an old one leaves. */
static void roll(void)
{
    struct world w;
    begin(&w, 3);
    pass(&w, 200);
    w.least_ready = 99;
    CHECK(cluster_roll(&w.c, 1) && !cluster_roll(&w.c, 1));
    cluster_tick(&w.c, w.now);
    CHECK(w.started == 4); /* one at a time */
    pass(&w, 10000);
    CHECK(ready_of(&w, 1) == 3 && ready_of(&w, 0) == 0 && running(&w) == 3);
    CHECK(w.least_ready == 3 && w.started == 6 && w.asked == 3 && w.killed == 0 && !w.c.rolling);
    CHECK(strcmp(w.events, "roll-done") == 0);
}

/* The second of three new ones dies: all are old ones again, and there were never fewer than three. */
static void roll_back(void)
{
    struct world w;
    begin(&w, 3);
    pass(&w, 200);
    w.least_ready = 99;
    CHECK(cluster_roll(&w.c, 1));
    while (ready_of(&w, 1) < 1) {
        cluster_tick(&w.c, w.now);
        w.now += 50;
    }
    w.comes_up[1] = false;
    while (cluster_count(&w.c, CLUSTER_STARTING) < 1) {
        cluster_tick(&w.c, w.now);
        w.now += 50;
    }
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
        if (w.c.slot[i].state == CLUSTER_STARTING) {
            w.runs[i] = false;
            cluster_gone(&w.c, i, w.now);
        }
    }
    pass(&w, 20000);
    CHECK(ready_of(&w, 0) == 3 && ready_of(&w, 1) == 0 && running(&w) == 3 && w.least_ready >= 3);
    CHECK(w.c.generation == 0 && !w.c.rolling && strcmp(w.events, "roll-taken-back") == 0);
    w.comes_up[1] = true; /* and it can be tried again */
    CHECK(cluster_roll(&w.c, 1));
    pass(&w, 20000);
    CHECK(ready_of(&w, 1) == 3 && running(&w) == 3);
}

/* One that never says its port is killed and taken back. */
static void roll_late(void)
{
    struct world w;
    begin(&w, 2);
    pass(&w, 200);
    w.comes_up[1] = false;
    CHECK(cluster_roll(&w.c, 1));
    pass(&w, 9000);
    CHECK(w.c.rolling && w.killed == 0 && ready_of(&w, 0) == 2);
    pass(&w, 3000);
    CHECK(!w.c.rolling && w.killed == 1 && ready_of(&w, 0) == 2 && running(&w) == 2);
}

static void scale(void)
{
    struct world w;
    begin(&w, 2);
    pass(&w, 200);
    cluster_scale(&w.c, 5);
    pass(&w, 200);
    CHECK(cluster_count(&w.c, CLUSTER_READY) == 5);
    cluster_scale(&w.c, 1);
    cluster_tick(&w.c, w.now);
    CHECK(cluster_count(&w.c, CLUSTER_READY) == 1 &&
          w.asked == 0); /* off the list before they are told */
    pass(&w, 400);
    CHECK(w.asked == 0 && running(&w) == 5);
    pass(&w, 400);
    CHECK(w.asked == 4 && running(&w) == 1);
}

static void drain(void)
{
    struct world w;
    begin(&w, 2);
    pass(&w, 200);
    w.deaf = true;
    CHECK(cluster_drain(&w.c, 0, w.now) && !cluster_drain(&w.c, 0, w.now) &&
          !cluster_drain(&w.c, 40, w.now) && !cluster_drain(&w.c, CLUSTER_SLOTS, w.now));
    pass(&w, 1000);
    CHECK(w.asked == 1 && w.killed == 0 && w.started == 3 &&
          cluster_count(&w.c, CLUSTER_READY) == 2);
    pass(&w, 3000);
    CHECK(w.killed == 1 && running(&w) == 2 && w.asked == 1);
}

static void end(void)
{
    struct world w;
    begin(&w, 3);
    pass(&w, 200);
    w.comes_up[0] = false;
    cluster_scale(&w.c, 4);
    pass(&w, 100); /* one is just starting */
    CHECK(cluster_count(&w.c, CLUSTER_STARTING) == 1);
    cluster_end(&w.c);
    pass(&w, 5000);
    CHECK(running(&w) == 0 && cluster_count(&w.c, CLUSTER_EMPTY) == CLUSTER_SLOTS &&
          w.started == 4);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"cluster.up", up},
        {"cluster.crash", crash},
        {"cluster.roll", roll},
        {"cluster.roll_back", roll_back},
        {"cluster.roll_late", roll_late},
        {"cluster.scale", scale},
        {"cluster.drain", drain},
        {"cluster.end", end},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
