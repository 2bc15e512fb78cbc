/* SPDX-License-Identifier: Apache-2.0 */
/* Queues: order, bounds, fairness, deadlines, draining, runs on the caller's thread; workers. Nothing is batched here. */
#define _DEFAULT_SOURCE
#include "serve/sched_kit.h"

#include <pthread.h>
#include <stdatomic.h>

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

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"sched.order", test_order}};
    (void)count;
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
