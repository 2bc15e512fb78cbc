/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHED_KIT_H
#define SCHED_KIT_H
/*
 * A clock that stands still, jobs that write down what happened to them, and models in C whose outputs depend on rows alone.
 * Where a scheduler has no workers, ccz_sched_step() does one thing at a time: order can be told without looking at time.
 */
#include "ccz_test.h"

#include <cczoo/sched.h>

#include <stdatomic.h>

static inline int64_t kit_now(void *clock)
{
    return *(int64_t *)clock;
}

enum { KIT_OUT = 4096 };

enum gone_when { GONE_NEVER, GONE_WAITING, GONE_DECODE, GONE_RUN };

/* A job whose decode and run take what it says, and which remembers its answer. */
struct kit_job {
    struct ccz_sched_job job;
    int64_t *clock;
    int64_t decode_ns, run_ns;
    bool answered_by_decode;
    atomic_bool gone;
    enum gone_when gone_when;
    struct ccz_run_req req;
    struct ccz_tensor in[2];

    int decoded, ran, finished, released;
    uint32_t timeout_ms; /* what the run was told */
    struct ccz_run_status st;
    bool st_null;
    size_t out_len;
    struct ccz_tensor out; /* the first output, its bytes copied */
    uint8_t bytes[KIT_OUT];
    void (*on_finish)(struct kit_job *k);
};

static inline struct kit_job *kit_of(const struct ccz_sched_job *j)
{
    return (struct kit_job *)(uintptr_t)j; /* its first member */
}

static inline bool kit_cancelled(const struct ccz_sched_job *j)
{
    return kit_of(j)->gone;
}

static inline bool kit_decode(struct ccz_sched_job *j)
{
    struct kit_job *k = kit_of(j);
    CHECK(k->finished == 0 && k->decoded++ == 0);
    if (k->clock)
        *k->clock += k->decode_ns;
    j->req = &k->req;
    k->gone = k->gone || k->gone_when == GONE_DECODE;
    return !k->answered_by_decode;
}

static inline void kit_finish(struct ccz_sched_job *j, const struct ccz_run_status *st,
                              const struct ccz_tensor *out, size_t len)
{
    struct kit_job *k = kit_of(j);
    CHECK(k->finished++ == 0 && k->released == 0);
    k->st_null = !st;
    if (st)
        k->st = *st;
    CHECK(len == 0 || (st && st->code == CCZ_RUN_OK));
    k->out_len = len;
    if (len) {
        k->out = out[0];
        CHECK(out[0].data.size <= KIT_OUT);
        if (out[0].data.size)
            memcpy(k->bytes, out[0].data.ptr, out[0].data.size);
        k->out.data = CCZ_SPAN(k->bytes, out[0].data.size);
    }
    if (k->on_finish)
        k->on_finish(k);
}

static inline void kit_release(struct ccz_sched_job *j)
{
    CHECK(kit_of(j)->finished == 1 && kit_of(j)->released++ == 0);
}

static inline void kit_submit(struct ccz_sched *s, const char *model, struct kit_job *k)
{
    struct ccz_run_status st = {0};
    CHECK(ccz_sched_submit(s, ccz_span_str(model), &k->job, &st));
}

/* Refused, with this text (or the beginning of it). */
static inline void kit_refused(struct ccz_sched *s, const char *model, struct kit_job *k,
                               const char *text)
{
    struct ccz_run_status st = {0};
    CHECK(!ccz_sched_submit(s, ccz_span_str(model), &k->job, &st));
    if (st.code != CCZ_RUN_UNAVAILABLE || strncmp(st.msg, text, strlen(text)) != 0)
        fprintf(stderr, "refused: %d %s\n", (int)st.code, st.msg);
    CHECK(st.code == CCZ_RUN_UNAVAILABLE && strncmp(st.msg, text, strlen(text)) == 0);
    CHECK(k->finished == 0 && k->released == 0);
}

static inline struct ccz_sched_stats kit_stats(struct ccz_sched *s)
{
    struct ccz_sched_stats st;
    ccz_sched_stats(&st, s);
    return st;
}
#endif
