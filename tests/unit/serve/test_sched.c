/* SPDX-License-Identifier: Apache-2.0 */
/* Queues: order, bounds, fairness, deadlines, draining, runs on the caller's thread; workers. Nothing is batched here. */
#define _DEFAULT_SOURCE
#include "serve/sched_kit.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

enum { MS = 1000000 };

static int64_t now; /* ns */
static struct kit_job jobs[600];
static char order[1024]; /* a letter for each run */
static size_t order_len;

/* Model letters are in the version pointer: runs need none. */
static ccz_rc run(struct ccz_result **out, struct ccz_run_status *st, struct ccz_model *m,
                  const struct ccz_run_req *req)
{
    struct kit_job *k = (struct kit_job *)((uintptr_t)req->in - offsetof(struct kit_job, in));
    (void)m;
    (void)st;
    *out = NULL;
    k->ran++;
    if (k->clock)
        *k->clock += k->run_ns;
    k->timeout_ms = req->timeout_ms;
    k->gone = k->gone || k->gone_when == GONE_RUN;
    if (order_len < sizeof(order) - 1)
        order[order_len++] = (char)k->job.size;
    return CCZ_OK;
}

static const struct ccz_sched_job_ops ops = {kit_cancelled, kit_decode, run, kit_finish,
                                             kit_release};

/* Job i: size = letter, run time. */
static struct kit_job *job(size_t i, char letter, int64_t run_ns)
{
    jobs[i] = (struct kit_job){.job = {.ops = &ops, .size = (size_t)letter},
                               .clock = &now,
                               .run_ns = run_ns,
                               .req = {.in = jobs[i].in}};
    return &jobs[i];
}

static struct ccz_sched *new_sched(struct ccz_sched_cfg cfg)
{
    struct ccz_sched *s = NULL;
    cfg.now_ns = kit_now;
    cfg.clock_arg = &now;
    now = 1000 * (int64_t)MS;
    order_len = 0;
    memset(order, 0, sizeof(order));
    CHECK(ccz_sched_new(&s, &cfg, NULL) == CCZ_OK);
    return s;
}

static void models(struct ccz_sched *s, const char *letters, struct ccz_sched_model_cfg cfg)
{
    for (; *letters; letters++)
        CHECK(ccz_sched_model(s, (const char[]){*letters, 0}, &cfg, NULL) == CCZ_OK);
}

static void steps(struct ccz_sched *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(ccz_sched_step(s));
}

static size_t count(const char *text, size_t len, char letter)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == letter;
    return n;
}

/* ------------------------------------------------------------------------ one model */

static void test_order(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
    models(s, "A", (struct ccz_sched_model_cfg){0});
    CHECK(!ccz_sched_step(s));
    for (size_t i = 0; i < 5; i++)
        kit_submit(s, "A", job(i, (char)('a' + i), MS));
    jobs[1].answered_by_decode = true;
    jobs[3].job.cls = CCZ_SCHED_BULK; /* too late: it has its place */
    struct ccz_sched_stats st = kit_stats(s);
    CHECK(st.waiting == 5 && st.waiting_bytes == 'a' + 'b' + 'c' + 'd' + 'e' && st.done == 0);
    steps(s, 5);
    CHECK(!ccz_sched_step(s) && strcmp(order, "acde") == 0);
    for (size_t i = 0; i < 5; i++)
        CHECK(jobs[i].decoded == 1 && jobs[i].ran == (i != 1) && jobs[i].released == 1 &&
              jobs[i].st_null == (i == 1) && jobs[i].st.code == CCZ_RUN_OK);
    CHECK(jobs[4].job.times.queued_ns == 3 * MS && jobs[4].job.times.run_ns == MS);
    st = kit_stats(s);
    CHECK(st.waiting == 0 && st.waiting_bytes == 0 && st.running == 0 && st.done == 5);

    for (size_t i = 0; i < 4; i++) { /* bulk waits for normal ones of its model */
        struct kit_job *k = job(i, (char)('a' + i), MS);
        k->job.cls = i < 2 ? CCZ_SCHED_BULK : CCZ_SCHED_NORMAL;
        kit_submit(s, "A", k);
    }
    order_len = 0;
    steps(s, 4);
    CHECK(strncmp(order, "cdab", 4) == 0);
}

/* ------------------------------------------------------------------------ bounds */

static void test_bounds(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){.jobs_max = 7, .bytes_max = 1000});
    struct ccz_err err = {0};
    models(s, "AB", (struct ccz_sched_model_cfg){.jobs_max = 3, .bytes_max = 250});
    for (size_t i = 0; i < 2; i++)
        kit_submit(s, "A", job(i, 'd', MS)); /* 100 bytes each */
    kit_refused(s, "A", job(2, 'd', MS),
                "The queue to which this request was submitted is full; 200 bytes wait for model A "
                "and the limit is 250");
    kit_submit(s, "A", job(2, '2', MS)); /* 50 more are just right */
    kit_refused(s, "A", job(3, '\1', MS),
                "The queue to which this request was submitted is full; 3 requests wait for model "
                "A and the limit is 3");
    struct kit_job *large =
        job(4, 'x', MS); /* another model has its own; what is too large goes alone */
    large->job.size = 600;
    kit_submit(s, "B", large);
    kit_refused(s, "B", job(5, '\1', MS), "The queue to which this request was submitted is full");
    struct kit_job *more = job(5, 'y', MS);
    more->job.size = 151; /* 850 of 1000 wait */
    kit_refused(s, "", more,
                "The queue to which this request was submitted is full; 850 bytes in all wait and "
                "the limit is 1000");
    more->job.size = 150;
    kit_submit(s, "", more);
    CHECK(kit_stats(s).refused_full == 4 && kit_stats(s).waiting_bytes == 1000);
    while (ccz_sched_step(s))
        ;
    CHECK(kit_stats(s).waiting_bytes == 0 && kit_stats(s).done == 5);
    for (size_t i = 0; i < 7; i++) /* as many as may wait in all; names nobody told share a queue */
        kit_submit(s, i % 2 ? "p" : "q", job(i, 'd', MS));
    kit_refused(s, "A", job(7, '\1', MS),
                "The queue to which this request was submitted is full; 7 requests in all wait for "
                "model A and the limit is 7");
    while (ccz_sched_step(s))
        ;

    CHECK(ccz_sched_model(s, "", &(struct ccz_sched_model_cfg){0}, &err) == CCZ_E_ARG &&
          strcmp(err.where, "sched:model") == 0);
    char name[CCZ_SCHED_NAME_SIZE_MAX + 2];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    CHECK(ccz_sched_model(s, name, &(struct ccz_sched_model_cfg){0}, &err) == CCZ_E_ARG);
    CHECK(ccz_sched_model(s, name + 1, &(struct ccz_sched_model_cfg){0}, &err) == CCZ_OK);
    for (int i = 3; i < CCZ_SCHED_MODELS_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        CHECK(ccz_sched_model(s, name, &(struct ccz_sched_model_cfg){0}, &err) == CCZ_OK);
    }
    CHECK(ccz_sched_model(s, "one more", &(struct ccz_sched_model_cfg){0}, &err) == CCZ_E_LIMIT);
    CHECK(ccz_sched_model(s, "A", &(struct ccz_sched_model_cfg){0}, &err) == CCZ_OK); /* has one */
    struct ccz_sched *bad = NULL;
    CHECK(ccz_sched_new(&bad, &(struct ccz_sched_cfg){.inline_share_percent = 101}, &err) ==
              CCZ_E_ARG &&
          !bad && strcmp(err.where, "sched:cfg") == 0);
    CHECK(ccz_sched_new(&bad, &(struct ccz_sched_cfg){.workers = 1025}, &err) == CCZ_E_ARG);
    CHECK(ccz_sched_new(&bad, &(struct ccz_sched_cfg){.quantum_us = -1}, &err) == CCZ_E_ARG);
    CHECK(ccz_sched_new(&bad, &(struct ccz_sched_cfg){.quantum_us = 1000001}, &err) == CCZ_E_ARG);
    CHECK(ccz_sched_new(&bad, &(struct ccz_sched_cfg){.inline_max_us = 1000001}, &err) ==
          CCZ_E_ARG);
    CHECK(ccz_sched_model(s, "A", &(struct ccz_sched_model_cfg){.weight = 1001}, &err) ==
              CCZ_E_ARG &&
          strcmp(err.where, "sched:weight") == 0);
}

/* A model that goes away: what waits is done, later jobs share the queue of unknown names. */
static void test_removed(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){.model_jobs_max = 1});
    models(s, "AB", (struct ccz_sched_model_cfg){.jobs_max = 2});
    kit_submit(s, "A", job(0, 'a', MS));
    kit_submit(s, "A", job(1, 'a', MS));
    ccz_sched_model_remove(s, "A");
    ccz_sched_model_remove(s, "A");
    ccz_sched_model_remove(s, "B"); /* nothing waits there */
    kit_submit(s, "A", job(2, 'a', MS));
    kit_refused(s, "A", job(3, 'a', MS), "The queue to which");
    kit_refused(s, "nobody", job(3, 'a', MS), "The queue to which");
    steps(s, 3);
    CHECK(!ccz_sched_step(s) && jobs[0].released && jobs[1].released && jobs[2].released);
    models(s, "A", (struct ccz_sched_model_cfg){.jobs_max = 2}); /* it comes back */
    kit_submit(s, "A", job(0, 'a', MS));
    kit_submit(s, "A", job(1, 'a', MS));
    ccz_sched_model_remove(s, "A"); /* freed with the scheduler, which does not run them */
}

/* ------------------------------------------------------------------------ fairness */

/* A flood of A does not delay B beyond its share, whatever a job of each takes. */
static void test_flood(void)
{
    static const struct {
        int64_t a_ms, b_ms;
        size_t a_most; /* jobs of A before the last of 20 of B: B's time, one job and a turn more */
    } cases[] = {{10, 1, 4}, {1, 10, 212}, {2, 2, 22}, {100, 1, 2}};
    for (size_t c = 0; c < 4; c++) {
        CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
        models(s, "AB", (struct ccz_sched_model_cfg){0});
        for (size_t i = 0; i < 500; i++)
            kit_submit(s, "A", job(i, 'a', cases[c].a_ms * MS));
        steps(s, 30); /* it had everything for a while, which does not count against it */
        for (size_t i = 0; i < 20; i++)
            kit_submit(s, "B", job(500 + i, 'b', cases[c].b_ms * MS));
        order_len = 0;
        while (jobs[519].ran == 0)
            steps(s, 1);
        size_t a = count(order, order_len, 'a');
        CHECK(a <= cases[c].a_most && a + 3 >= (size_t)(19 * cases[c].b_ms / cases[c].a_ms));
        CHECK(count(order, order_len, 'b') == 20);
    }
}

/* Of B: when A is idle it comes again, which it has been for one look at least. */
static void submit_again(struct kit_job *k)
{
    if (jobs[0].released)
        kit_submit((struct ccz_sched *)k->job.model, "A", job(0, 'a', 50 * (int64_t)MS));
}

/* Nor does a model escape by never having two jobs waiting. */
static void test_pauses(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
    models(s, "AB", (struct ccz_sched_model_cfg){0});
    kit_submit(s, "A", job(0, 'a', 50 * (int64_t)MS));
    for (size_t i = 0; i < 300; i++) {
        struct kit_job *k = job(10 + i, 'b', MS);
        k->on_finish = submit_again;
        k->job.model = (struct ccz_model *)s; /* carried along: nothing looks at it */
        kit_submit(s, "B", k);
    }
    while (jobs[309].ran == 0)
        steps(s, 1);
    size_t a = count(order, order_len, 'a');
    CHECK(a >= 5 && a <= 7); /* 300 ms of B, 50 ms each */
    while (ccz_sched_step(s))
        ;

    /* An idle model saves nothing up, and one that was alone owes nothing. */
    for (size_t i = 0; i < 100; i++)
        kit_submit(s, "A", job(i, 'a', MS));
    steps(s, 60);
    for (size_t i = 0; i < 40; i++)
        kit_submit(s, "B", job(100 + i, 'b', MS));
    order_len = 0;
    steps(s, 40);
    CHECK(count(order, 40, 'a') >= 19 && count(order, 40, 'a') <= 21);
}

static void test_weight(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
    models(s, "A", (struct ccz_sched_model_cfg){.weight = 3});
    models(s, "BC", (struct ccz_sched_model_cfg){0});
    for (size_t i = 0; i < 300; i++)
        kit_submit(s, (const char *[]){"A", "B", "C"}[i % 3], job(i, "abc"[i % 3], MS));
    steps(s, 100);
    CHECK(count(order, 100, 'a') >= 58 && count(order, 100, 'a') <= 62);
    CHECK(count(order, 100, 'b') >= 18 && count(order, 100, 'b') <= 22);
}

/* ------------------------------------------------------------------------ nobody waits any more */

static void test_deadline(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
    static const struct {
        int64_t wait, decode, run; /* ms, of 10 */
        int decoded, ran;
        enum ccz_run_code code;
        uint32_t timeout_ms, told_ms; /* of the request, and what the run is told */
    } cases[] = {
        {10, 0, 0, 0, 0, CCZ_RUN_DEADLINE_EXCEEDED, 0, 0},
        {4, 6, 0, 1, 0, CCZ_RUN_DEADLINE_EXCEEDED, 0, 0},
        {4, 2, 4, 1, 1, CCZ_RUN_DEADLINE_EXCEEDED, 0, 4},
        {4, 2, 3, 1, 1, CCZ_RUN_OK, 0, 4},
        {0, 0, 1, 1, 1, CCZ_RUN_OK, 3, 3},
        {9, 0, 0, 1, 1, CCZ_RUN_OK, 30, 1},
    };
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct kit_job *k = job(0, 'a', cases[c].run * MS);
        k->decode_ns = cases[c].decode * MS;
        k->job.deadline_ns = now + 10 * MS;
        k->req.timeout_ms = cases[c].timeout_ms;
        kit_submit(s, "A", k);
        now += cases[c].wait * MS;
        steps(s, 1);
        CHECK(k->decoded == cases[c].decoded && k->ran == cases[c].ran && k->released == 1 &&
              k->st.code == cases[c].code && k->timeout_ms == cases[c].told_ms);
    }
    CHECK(kit_stats(s).expired == 3);
}

static void test_cancelled(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
    for (int when = GONE_WAITING; when <= GONE_RUN; when++) {
        struct kit_job *k = job(0, 'a', MS);
        k->gone_when = (enum gone_when)when;
        kit_submit(s, "A", k);
        k->gone = when == GONE_WAITING;
        steps(s, 1);
        CHECK(k->decoded == (when > GONE_WAITING) && k->ran == (when > GONE_DECODE) &&
              k->released == 1 && k->st.code == CCZ_RUN_CANCELLED);
    }
    CHECK(kit_stats(s).cancelled == 3 && kit_stats(s).done == 3);
}

/* ------------------------------------------------------------------------ draining */

static void test_drain(void)
{
    for (int grace = 0; grace < 2; grace++) {
        CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_cfg){0});
        models(s, "A", (struct ccz_sched_model_cfg){0});
        kit_submit(s, "A", job(0, 'a', MS));
        kit_submit(s, "B", job(1, 'b', MS));
        CHECK(ccz_sched_drain(s, grace * 60000) == (grace == 1));
        for (size_t i = 0; i < 2; i++)
            CHECK(jobs[i].released == 1 && jobs[i].ran == grace &&
                  jobs[i].st.code == (grace ? CCZ_RUN_OK : CCZ_RUN_UNAVAILABLE));
        kit_refused(s, "A", job(2, 'a', MS), "The server is shutting down");
        CHECK(kit_stats(s).waiting == 0 && kit_stats(s).done == 2 &&
              kit_stats(s).refused_drain == (grace ? 1 : 3));
        CHECK(ccz_sched_drain(s, 0));
    }
}

/* ------------------------------------------------------------------------ on the caller's thread */

static bool done_in_submit(struct ccz_sched *s, int64_t run_ns, size_t size)
{
    struct kit_job *k = job(0, 'a', run_ns);
    k->job.size = size;
    kit_submit(s, "A", k);
    bool done = k->released == 1;
    while (ccz_sched_step(s))
        ;
    CHECK(k->released == 1);
    return done;
}

static void submit_other(struct kit_job *k)
{
    kit_submit((struct ccz_sched *)k->job.model, "A", job(3, 'a', 20000));
    CHECK(jobs[3].released == 0); /* or a chain of them would end with the stack */
}

static void test_inline(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_cfg){
        .inline_max_us = 50, .inline_share_percent = 10, .inline_size_max = 100});
    models(s, "A", (struct ccz_sched_model_cfg){0});
    for (int i = 0; i < 16; i++) /* measured first */
        CHECK(!done_in_submit(s, 20000, 10));
    now += MS; /* 10 % of what passed: about 130 us */
    size_t n = 0;
    while (done_in_submit(s, 20000, 10))
        n++;
    CHECK(n >= 5 && n <= 8 && kit_stats(s).inline_done == n);
    now += 1000 * (int64_t)MS; /* no more than a burst is saved up */
    for (n = 0; done_in_submit(s, 20000, 10);)
        n++;
    CHECK(n >= 100 && n <= 125);
    now += 1000 * (int64_t)MS;
    CHECK(!done_in_submit(s, 20000, 101)); /* too many bytes */
    CHECK(done_in_submit(s, 20000, 100));
    kit_submit(s, "A", job(1, 'a', 20000)); /* cancelled ones are known here, too */
    CHECK(jobs[1].released == 1);
    struct kit_job *k = job(2, 'a', 20000);
    k->gone = true;
    kit_submit(s, "A", k);
    CHECK(k->released == 1 && k->st.code == CCZ_RUN_CANCELLED);
    now += 1000 * (int64_t)MS;
    k = job(2, 'a', 20000);
    k->on_finish = submit_other;
    k->job.model = (struct ccz_model *)s;
    kit_submit(s, "A", k);
    CHECK(k->released == 1);
    steps(s, 1);
    CHECK(jobs[3].released == 1);
    CHECK(done_in_submit(s, 900000, 10)); /* once: it is slow now */
    now += 1000 * (int64_t)MS;
    CHECK(!done_in_submit(s, 20000, 10));
    for (int i = 0; i < 30; i++) /* fast again */
        (void)done_in_submit(s, 20000, 10);
    now += 1000 * (int64_t)MS;
    CHECK(done_in_submit(s, 20000, 10));
    CHECK(ccz_sched_drain(s, 1000)); /* nothing is left over */
}

/* What is large only when it is decoded does not hold up the caller's thread, and is not decoded twice. */
static void test_inline_decoded(void)
{
    static const uint8_t many[600];
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_cfg){.inline_max_us = 50, .inline_size_max = 100});
    models(s, "A", (struct ccz_sched_model_cfg){.bytes_max = 500});
    for (int i = 0; i < 16; i++)
        CHECK(!done_in_submit(s, 20000, 10));
    now += 1000 * (int64_t)MS;
    struct kit_job *k = job(1, 'a', 20000);
    k->job.size = 10;
    k->req.in = k->in;
    k->req.in_len = 1;
    k->in[0] = (struct ccz_tensor){.data = CCZ_SPAN(many, 101)};
    kit_submit(s, "A", k);
    CHECK(k->decoded == 1 && k->ran == 0 && k->finished == 0);
    CHECK(kit_stats(s).inline_done == 0 && kit_stats(s).waiting_bytes == 101);
    struct kit_job *large = job(2, 'a', 20000);
    large->job.size = 400;
    kit_refused(s, "A", large, "The queue to which"); /* it counts by what it holds */
    steps(s, 1);
    CHECK(k->released == 1 && k->st.code == CCZ_RUN_OK && kit_stats(s).waiting_bytes == 0);
    k = job(3, 'a', 20000); /* a decode that takes long is told before */
    k->job.size = 10;
    k->job.not_inline = true;
    kit_submit(s, "A", k);
    CHECK(k->decoded == 0);
    steps(s, 1);
    CHECK(k->released == 1);
    CHECK(done_in_submit(s, 20000, 100));
}

/* Who gives no deadline has one. */
static void test_run_limit(void)
{
    for (int given = 0; given < 2; given++) {
        CCZ_AUTO(ccz_sched)
        s = new_sched((struct ccz_sched_cfg){.run_ms_max = given ? 700 : 0});
        models(s, "A", (struct ccz_sched_model_cfg){0});
        kit_submit(s, "A", job(0, 'a', 1));
        struct kit_job *k = job(1, 'a', 1);
        k->job.deadline_ns = now + 3600 * 1000 * (int64_t)MS; /* an hour is no answer either */
        kit_submit(s, "A", k);
        k = job(2, 'a', 1);
        k->req.timeout_ms = 30;
        kit_submit(s, "A", k);
        steps(s, 3);
        CHECK(jobs[0].timeout_ms == (given ? 700 : 300000));
        CHECK(jobs[1].timeout_ms == jobs[0].timeout_ms && jobs[2].timeout_ms == 30);
    }
}

/* ------------------------------------------------------------------------ workers */

enum { CROWD = 20000, SUBMITTERS = 2 };
static atomic_int crowd_finished, crowd_released;
static struct crowd_job {
    struct ccz_sched_job job;
    struct ccz_run_req req;
    atomic_int finished, released;
} crowd[CROWD];
static struct ccz_sched *crowd_sched;

static bool crowd_decode(struct ccz_sched_job *j)
{
    j->req = &((struct crowd_job *)(uintptr_t)j)->req;
    return true;
}

static ccz_rc crowd_run(struct ccz_result **out, struct ccz_run_status *st, struct ccz_model *m,
                        const struct ccz_run_req *req)
{
    (void)m, (void)req, (void)st;
    *out = NULL;
    return CCZ_OK;
}

static void crowd_finish(struct ccz_sched_job *j, const struct ccz_run_status *st,
                         const struct ccz_tensor *out, size_t len)
{
    struct crowd_job *c = (struct crowd_job *)(uintptr_t)j;
    (void)out, (void)len;
    CHECK(st->code == CCZ_RUN_OK && atomic_fetch_add(&c->finished, 1) == 0);
    atomic_fetch_add(&crowd_finished, 1);
}

static void crowd_release(struct ccz_sched_job *j)
{
    CHECK(atomic_fetch_add(&((struct crowd_job *)(uintptr_t)j)->released, 1) == 0);
    atomic_fetch_add(&crowd_released, 1);
}

static const struct ccz_sched_job_ops crowd_ops = {
    .decode = crowd_decode, .run = crowd_run, .finish = crowd_finish, .release = crowd_release};

static void *submit_many(void *arg)
{
    static const char *const names[] = {"A", "B", "C", "nobody"};
    size_t first = (size_t)(uintptr_t)arg;
    for (size_t i = first; i < CROWD; i += SUBMITTERS) {
        crowd[i].job = (struct ccz_sched_job){.ops = &crowd_ops, .size = 1};
        struct ccz_run_status st;
        while (!ccz_sched_submit(crowd_sched, ccz_span_str(names[i % 4]), &crowd[i].job, &st))
            CHECK(st.code == CCZ_RUN_UNAVAILABLE);
    }
    return NULL;
}

static void test_workers(void)
{
    CHECK(ccz_sched_new(&crowd_sched, &(struct ccz_sched_cfg){.workers = 4, .inline_max_us = 5},
                        NULL) == CCZ_OK);
    models(crowd_sched, "AB", (struct ccz_sched_model_cfg){.jobs_max = 100});
    pthread_t t[SUBMITTERS];
    for (uintptr_t i = 0; i < SUBMITTERS; i++)
        CHECK(pthread_create(&t[i], NULL, submit_many, (void *)i) == 0);
    for (int i = 0; i < 50; i++) { /* models come and go meanwhile */
        models(crowd_sched, "C", (struct ccz_sched_model_cfg){.weight = 2});
        CHECK(kit_stats(crowd_sched).waiting <= CROWD);
        ccz_sched_model_remove(crowd_sched, "C");
    }
    for (size_t i = 0; i < SUBMITTERS; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(ccz_sched_drain(crowd_sched, 60000));
    CHECK(crowd_finished == CROWD && crowd_released == CROWD);
    CHECK(kit_stats(crowd_sched).done == CROWD && kit_stats(crowd_sched).running == 0);
    ccz_sched_free(crowd_sched);
}

/* One at a time: each has to wake a worker that sleeps, or it would never be done. */
static void test_wakes(void)
{
    struct ccz_sched *s = NULL;
    CHECK(ccz_sched_new(&s, &(struct ccz_sched_cfg){.workers = 3}, NULL) == CCZ_OK);
    for (int i = 0; i < 500; i++) {
        crowd[i] = (struct crowd_job){.job = {.ops = &crowd_ops}};
        struct ccz_run_status st;
        CHECK(ccz_sched_submit(s, ccz_span_str("A"), &crowd[i].job, &st));
        while (crowd[i].released == 0)
            sched_yield();
    }
    CHECK(kit_stats(s).wakes <= 1000 && kit_stats(s).done == 500);
    ccz_sched_free(s);
    ccz_sched_free(NULL);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"sched.order", test_order},
        {"sched.bounds", test_bounds},
        {"sched.removed", test_removed},
        {"sched.flood", test_flood},
        {"sched.pauses", test_pauses},
        {"sched.weight", test_weight},
        {"sched.deadline", test_deadline},
        {"sched.cancelled", test_cancelled},
        {"sched.drain", test_drain},
        {"sched.inline", test_inline},
        {"sched.inline_decoded", test_inline_decoded},
        {"sched.run_limit", test_run_limit},
        {"sched.workers", test_workers},
        {"sched.wakes", test_wakes},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
