/* SPDX-License-Identifier: Apache-2.0 */
/* What load tools get wrong: percentiles, waiting that nobody counts, failures that look fast. */
#define _GNU_SOURCE
#include "load/load.h"

#include <cczoo/codec.h>

#include "ccz_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* ------------------------------------------------------------------------------ hist */

static void hist(void)
{
    static struct cczi_hist h;
    CHECK(cczi_hist_at(&h, 0.5) == 0 && cczi_hist_mean(&h) == 0.0);
    for (uint64_t v = 1; v <= 100000; v++)
        cczi_hist_add(&h, v);
    CHECK(h.len == 100000 && h.min_ns == 1 && h.max_ns == 100000);
    CHECK(cczi_hist_mean(&h) > 50000.4 && cczi_hist_mean(&h) < 50000.6);
    for (unsigned p = 1; p <= 1000; p++) { /* never below the truth, and at most 1/128 above */
        uint64_t truth = (uint64_t)p * 100, got = cczi_hist_at(&h, p / 1000.0);
        CHECK(got >= truth && got <= truth + truth / 128 + 1);
    }
    CHECK(cczi_hist_at(&h, 0) == 1 && cczi_hist_at(&h, 1) == 100000);
    cczi_hist_add(&h, UINT64_MAX); /* more than there is room for: the largest is still told */
    CHECK(h.max_ns == UINT64_MAX && h.len == 100001);
    CHECK(cczi_hist_at(&h, 0.5) >= 50000 && cczi_hist_at(&h, 0.5) <= 50000 + 50000 / 128);
}

static void hist_merge(void)
{
    static struct cczi_hist a, b, both;
    for (uint64_t v = 1; v < 5000; v += 3) {
        cczi_hist_add(&a, v * 1000);
        cczi_hist_add(&both, v * 1000);
    }
    cczi_hist_merge(&a, &b); /* nothing */
    CHECK(memcmp(&a, &both, sizeof(a)) == 0);
    for (uint64_t v = 2; v < 9000; v += 7) {
        cczi_hist_add(&b, v);
        cczi_hist_add(&both, v);
    }
    cczi_hist_merge(&a, &b);
    CHECK(a.len == both.len && a.min_ns == both.min_ns && a.max_ns == both.max_ns &&
          memcmp(a.count, both.count, sizeof(a.count)) == 0);
}

/* ------------------------------------------------------------------- a server of one thread */

enum { QUEUE = 4096 };
struct server {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cczi_load *load;
    unsigned slot[QUEUE];
    size_t first, len, most; /* most: that ever waited or ran at a time */
    bool stop;
    _Atomic uint64_t sent;
    int64_t stall_ms;       /* the first call takes so long */
    unsigned fail_every;    /* 0 = none; code 14 */
    const char *answers[3]; /* in turn */
    uint64_t refuse_after;  /* 0 = never: sending fails from this call on */
};

static void *serve(void *arg)
{
    struct server *s = arg;
    for (uint64_t n = 0;; n++) {
        pthread_mutex_lock(&s->lock);
        while (!s->len && !s->stop)
            pthread_cond_wait(&s->changed, &s->lock);
        if (!s->len) {
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        unsigned slot = s->slot[s->first];
        struct cczi_load *l = s->load;
        pthread_mutex_unlock(&s->lock);
        if (n == 0 && s->stall_ms) {
            const struct timespec t = {.tv_nsec = (long)s->stall_ms * 1000000};
            (void)nanosleep(&t, NULL);
        }
        unsigned code = s->fail_every && n % s->fail_every == 0 ? 14 : 0;
        const char *a = s->answers[n % 3] ? s->answers[n % 3] : "answer";
        pthread_mutex_lock(&s->lock);
        s->first = (s->first + 1) % QUEUE;
        s->len--;
        pthread_mutex_unlock(&s->lock);
        cczi_load_done(l, slot, code, ccz_span_str(a));
    }
}

static ccz_rc send_one(void *arg, struct cczi_load *l, unsigned slot, struct ccz_err *err)
{
    struct server *s = arg;
    uint64_t n = atomic_fetch_add(&s->sent, 1);
    if (s->refuse_after && n >= s->refuse_after)
        return ccz_fail(err, CCZ_E_NOMEM, "test:send", 0, "no more");
    pthread_mutex_lock(&s->lock);
    CHECK(s->len < QUEUE);
    s->load = l;
    s->slot[(s->first + s->len++) % QUEUE] = slot;
    s->most = s->most > s->len ? s->most : s->len;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return CCZ_OK;
}

static ccz_rc drive(struct cczi_load_result *r, struct server *s, struct cczi_load_cfg cfg,
                    struct ccz_err *err)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    cfg.send = send_one;
    cfg.arg = s;
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
    ccz_rc rc = cczi_load_run(r, &cfg, err);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    return rc;
}

static void closed(void)
{
    struct server s = {0};
    static struct cczi_load_result r;
    CHECK(drive(&r, &s,
                (struct cczi_load_cfg){.in_flight = 8, .duration_ms = 60000, .calls_max = 5000},
                NULL) == CCZ_OK);
    CHECK(r.ok.len == 5000 && r.code[0] == 5000 && r.failed.len == 0 && s.sent == 5000);
    CHECK(s.most <= 8 && r.answers == 1 && r.answer[0].calls == 5000 && r.late == 0);
    CHECK(r.seconds > 0 && r.seconds_len == 60);
    uint64_t calls = 0;
    for (size_t i = 0; i < r.seconds_len; i++)
        calls += r.second[i].calls;
    CHECK(calls == 5000);
    cczi_load_result_free(&r);
}

/* The server stops for 200 ms in the first call. Calls were due all the time: those of the first half waited for at least
 * half of it, whether they could be sent or not. A tool that counts from sending sees one slow call. */
static void open_counts_waiting(void)
{
    struct server s = {.stall_ms = 200};
    static struct cczi_load_result r;
    const struct cczi_load_cfg cfg = {
        .rate = 1000, .in_flight = 1, .duration_ms = 60000, .calls_max = 300};
    CHECK(drive(&r, &s, cfg, NULL) == CCZ_OK);
    CHECK(r.ok.len == 300 && s.most == 1 && r.ok.max_ns >= 200000000 && r.late >= 100);
    uint64_t slow = 0;
    for (size_t i = 0; i < CCZI_HIST_BUCKETS; i++)
        slow += r.ok.count[i];
    CHECK(slow == 300);
    CHECK(cczi_hist_at(&r.ok, 1 - 99.0 / 300) >= 100000000); /* 100 calls of 300 at the least */
    cczi_load_result_free(&r);
}

static void answers(void)
{
    struct server s = {.answers = {"one", "two", "two"}};
    static struct cczi_load_result r;
    const struct cczi_load_cfg cfg = {.in_flight = 4, .duration_ms = 60000, .calls_max = 300};
    CHECK(drive(&r, &s, cfg, NULL) == CCZ_OK);
    CHECK(r.answers == 2 && r.answers_more == 0 && r.answer[0].calls + r.answer[1].calls == 300);
    CHECK(r.answer[0].calls == 100 || r.answer[0].calls == 200);
    cczi_load_result_free(&r);
}

static void failures(void)
{
    struct server s = {.fail_every = 10};
    static struct cczi_load_result r;
    CHECK(drive(&r, &s,
                (struct cczi_load_cfg){.in_flight = 4, .duration_ms = 60000, .calls_max = 1000},
                NULL) == CCZ_OK);
    CHECK(r.ok.len == 900 && r.failed.len == 100 && r.code[14] == 100 && r.code[0] == 900);
    cczi_load_result_free(&r);
    struct server broken = {.refuse_after = 10};
    struct ccz_err err = {0};
    CHECK(drive(&r, &broken,
                (struct cczi_load_cfg){.in_flight = 4, .duration_ms = 60000, .calls_max = 1000},
                &err) == CCZ_E_NOMEM);
    CHECK(strcmp(err.where, "test:send") == 0 && r.ok.len <= 10);
    cczi_load_result_free(&r);
}

static void config(void)
{
    static struct cczi_load_result r;
    struct server s = {0};
    const struct cczi_load_cfg good = {
        .in_flight = 1, .duration_ms = 1, .send = send_one, .arg = &s};
    struct cczi_load_cfg bad[6] = {good, good, good, good, good, good};
    bad[0].in_flight = 0;
    bad[1].duration_ms = 0;
    bad[2].rate = -1;
    bad[3].send = NULL;
    bad[4].warm_up_ms = -1;
    bad[5].in_flight = 1 << 20;
    for (size_t i = 0; i < 6; i++) {
        struct ccz_err err = {0};
        CHECK(cczi_load_run(&r, &bad[i], &err) == CCZ_E_ARG &&
              strcmp(err.where, "load:config") == 0);
        cczi_load_result_free(&r);
    }
    CHECK(s.sent == 0);
}

/* ---------------------------------------------------------------------------- reports */

static const char *code_name(unsigned code)
{
    return code ? "UNAVAILABLE" : "OK";
}

static void reports(void)
{
    struct server s = {.fail_every = 7};
    static struct cczi_load_result r;
    const struct cczi_load_cfg cfg = {.in_flight = 4, .duration_ms = 60000, .calls_max = 700};
    CHECK(drive(&r, &s, cfg, NULL) == CCZ_OK);
    const struct cczi_load_about about = {.title = "m<1>",
                                          .api = "grpc",
                                          .code_name = code_name,
                                          .in_flight = 4,
                                          .request_size = 12,
                                          .machine = "two \"cores\"",
                                          .simulated = true};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1 << 20);
    cczi_load_json(&text, &r, &about);
    CCZ_AUTO(ccz_json) j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&text), NULL) == CCZ_OK);
    double n = 0;
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "target")), "m<1>") == 0);
    CHECK(ccz_json_real(&n, ccz_json_get(ccz_json_get(j, "latency_ms"), "calls")) && n == 600.0);
    CHECK(ccz_json_real(&n, ccz_json_get(ccz_json_get(j, "codes"), "UNAVAILABLE")) && n == 100.0);
    ccz_buf_clear(&text);
    cczi_load_html(&text, &r, &about);
    CHECK(strstr(ccz_buf_str(&text), "m&lt;1&gt;") && strstr(ccz_buf_str(&text), "SIMULATED") &&
          strstr(ccz_buf_str(&text), "<svg") && !strstr(ccz_buf_str(&text), "<1>"));
    ccz_buf_clear(&text);
    cczi_load_text(&text, &r, &about);
    CHECK(strstr(ccz_buf_str(&text), "SIMULATED") &&
          strstr(ccz_buf_str(&text), "100 calls: UNAVAILABLE"));
    cczi_load_result_free(&r);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"load.hist", hist},       {"load.hist_merge", hist_merge},
        {"load.closed", closed},   {"load.open_counts_waiting", open_counts_waiting},
        {"load.answers", answers}, {"load.failures", failures},
        {"load.config", config},   {"load.reports", reports},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
