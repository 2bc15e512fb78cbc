/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "net_test.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static struct ccz_loop *new_loop(void)
{
    struct ccz_loop *loop;
    struct ccz_err err;
    CHECK(ccz_loop_new(&loop, &err) == CCZ_OK);
    return loop;
}

static void stop_loop(void *arg)
{
    ccz_loop_stop(arg);
}

/* ------------------------------------------------------------------------------------ posting */

enum { POST_THREADS = 4, POSTS_EACH = 20000 };
struct posting {
    struct ccz_loop *loop;
    unsigned last[POST_THREADS]; /* touched on the loop's thread only */
    unsigned total;
    bool wrong_order, wrong_thread;
};
struct posted {
    struct posting *p;
    unsigned thread, i;
};
static struct posted posted[POST_THREADS][POSTS_EACH];

static void on_posted(void *arg)
{
    const struct posted *x = arg;
    struct posting *p = x->p;
    p->wrong_thread |= !ccz_loop_is_current(p->loop);
    p->wrong_order |= x->i != p->last[x->thread];
    p->last[x->thread] = x->i + 1;
    if (++p->total == POST_THREADS * POSTS_EACH)
        ccz_loop_stop(p->loop);
}

static void *poster(void *arg)
{
    struct posted *mine = arg;
    for (unsigned i = 0; i < POSTS_EACH; i++)
        CHECK(ccz_loop_post(mine[i].p->loop, on_posted, &mine[i]) == CCZ_OK);
    return NULL;
}

static void test_post(void)
{
    struct posting p = {.loop = new_loop()};
    pthread_t threads[POST_THREADS];
    CHECK(!ccz_loop_is_current(p.loop));
    for (unsigned t = 0; t < POST_THREADS; t++) {
        for (unsigned i = 0; i < POSTS_EACH; i++)
            posted[t][i] = (struct posted){&p, t, i};
        CHECK(pthread_create(&threads[t], NULL, poster, posted[t]) == 0);
    }
    CHECK(ccz_loop_run(p.loop, NULL) == CCZ_OK);
    for (unsigned t = 0; t < POST_THREADS; t++)
        pthread_join(threads[t], NULL);
    CHECK(p.total == POST_THREADS * POSTS_EACH && !p.wrong_order && !p.wrong_thread);
    CHECK(!ccz_loop_is_current(p.loop));
    ccz_loop_free(p.loop);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

struct again {
    struct ccz_loop *loop;
    int runs;
};

static void post_again(void *arg)
{
    struct again *a = arg;
    if (++a->runs < 3)
        CHECK(ccz_loop_post(a->loop, post_again, a) == CCZ_OK);
}

/* What was accepted runs exactly once, even if the loop never ran. */
static void test_post_free(void)
{
    int n = 0;
    struct again a = {.loop = new_loop()};
    CHECK(ccz_loop_post(a.loop, count, &n) == CCZ_OK);
    CHECK(ccz_loop_post(a.loop, post_again, &a) == CCZ_OK);
    ccz_loop_free(a.loop);
    CHECK(n == 1 && a.runs == 3);
    ccz_loop_free(NULL);
}

static void *stop_thread(void *arg)
{
    ccz_loop_stop(arg);
    return NULL;
}

static void test_stop(void)
{
    struct ccz_loop *loop = new_loop();
    ccz_loop_stop(loop); /* before the run */
    CHECK(ccz_loop_run(loop, NULL) == CCZ_OK);
    pthread_t t; /* while it runs, and the loop can run again afterwards */
    for (int i = 0; i < 50; i++) {
        CHECK(pthread_create(&t, NULL, stop_thread, loop) == 0);
        CHECK(ccz_loop_run(loop, NULL) == CCZ_OK);
        pthread_join(t, NULL);
    }
    ccz_loop_free(loop);
}

/* ------------------------------------------------------------------------------------- timers */

struct ticking {
    struct ccz_loop *loop;
    struct ccz_timer *timer, *other;
    int64_t start_ms, at_ms;
    int ticks;
};

static void on_once(void *arg)
{
    struct ticking *t = arg;
    t->ticks++;
    t->at_ms = ccz_mono_ms();
    ccz_loop_stop(t->loop);
}

static void on_tick(void *arg)
{
    struct ticking *t = arg;
    if (++t->ticks == 5) {
        ccz_timer_free(t->timer); /* inside its own callback, while periodic */
        ccz_timer_set(t->other, 30, 0);
    }
}

static void test_timer(void)
{
    struct ticking t = {.loop = new_loop()};
    CHECK(ccz_timer_new(&t.timer, t.loop, on_once, &t) == CCZ_OK);
    for (int i = 0; i < 10; i++) { /* never early, whatever the clocks do */
        t.start_ms = ccz_mono_ms();
        ccz_timer_set(t.timer, 7, 0);
        CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
        CHECK(t.at_ms - t.start_ms >= 7);
    }
    CHECK(t.ticks == 10);

    ccz_timer_set(t.timer, 5000, 0);
    t.start_ms = ccz_mono_ms();
    ccz_timer_set(t.timer, -1, 0); /* replaces; negative is at once */
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(ccz_mono_ms() - t.start_ms < 4000 && t.ticks == 11);
    ccz_timer_set(t.timer, 5000, 5000);
    ccz_timer_now(t.timer);
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(ccz_mono_ms() - t.start_ms < 4000 && t.ticks == 12);
    ccz_timer_free(t.timer);

    t.ticks = 0;
    CHECK(ccz_timer_new(&t.timer, t.loop, on_tick, &t) == CCZ_OK);
    CHECK(ccz_timer_new(&t.other, t.loop, stop_loop, t.loop) == CCZ_OK);
    ccz_timer_set(t.timer, 0, 2);
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(t.ticks == 5);

    CHECK(ccz_timer_new(&t.timer, t.loop, count, &t.ticks) == CCZ_OK);
    ccz_timer_set(t.timer, 1, 1);
    ccz_timer_cancel(t.timer);
    ccz_timer_set(t.other, 20, 0);
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(t.ticks == 5);

    ccz_timer_set(t.timer, INT64_MAX, 0); /* never: no sum wraps */
    ccz_timer_set(t.other, 20, 0);
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(t.ticks == 5);
    ccz_timer_set(t.timer, 1, INT64_MAX); /* once */
    ccz_timer_set(t.other, 20, 0);
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(t.ticks == 6);
    ccz_timer_free(t.timer);
    ccz_timer_free(t.other);
    ccz_timer_free(NULL);
    ccz_loop_free(t.loop);
}

/* ------------------------------------------------------------------------------------ signals */

static void on_signal(void *arg, int signo)
{
    struct ticking *t = arg;
    CHECK(signo == SIGTERM && ccz_loop_is_current(t->loop));
    if (++t->ticks == 2)
        ccz_loop_stop(t->loop);
    else
        CHECK(raise(SIGTERM) == 0);
}

static void raise_term(void *arg)
{
    (void)arg;
    CHECK(raise(SIGTERM) == 0);
}

static void test_signal(void)
{
    struct ticking t = {.loop = new_loop()};
    struct ccz_err err;
    CHECK(ccz_loop_on_signal(t.loop, SIGTERM, on_signal, &t, &err) == CCZ_OK);
    CHECK(ccz_loop_on_signal(t.loop, SIGKILL, on_signal, &t, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "net:signal") == 0);
    CHECK(ccz_loop_post(t.loop, raise_term, NULL) == CCZ_OK);
    CHECK(ccz_loop_run(t.loop, NULL) == CCZ_OK);
    CHECK(t.ticks == 2);
    ccz_loop_free(t.loop);
}

static void write_to_nobody(void *arg)
{
    int fd[2];
    CHECK(pipe(fd) == 0 && close(fd[0]) == 0);
    CHECK(write(fd[1], "x", 1) < 0 && errno == EPIPE);
    close(fd[1]);
    ccz_loop_stop(arg);
}

/* What resets a connection must not end the process; behind the loop all is as before. */
static void test_pipe_signal(void)
{
    sigset_t set;
    CCZ_AUTO(ccz_loop) loop = new_loop();
    CHECK(ccz_loop_post(loop, write_to_nobody, loop) == CCZ_OK);
    CHECK(ccz_loop_run(loop, NULL) == CCZ_OK);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGPIPE) == 0);
    CHECK(sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 0);
}

static const struct ccz_test tests[] = {
    {"loop.post", test_post},     {"loop.post_free", test_post_free},
    {"loop.stop", test_stop},     {"loop.timer", test_timer},
    {"loop.signal", test_signal}, {"loop.pipe_signal", test_pipe_signal},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
