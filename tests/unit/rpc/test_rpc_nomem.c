/* SPDX-License-Identifier: Apache-2.0 */
/* Without memory a client and a server end in an error, never in silence: allocations fail, and posts to loops, and writes. */
#define _DEFAULT_SOURCE
#include "rpc_fixture.h"

#include <cczoo/net.h>
#include <cczoo/rpc_chan.h>

#include "nomem.h"
#include "wire/wire.h"

#include <signal.h>
#include <sys/wait.h>

/* ------------------------------------------------------------------------------- what is linked with --wrap */

ccz_rc __real_ccz_loop_post(struct ccz_loop *loop, void (*fn)(void *arg), void *arg);
ccz_rc __wrap_ccz_loop_post(struct ccz_loop *loop, void (*fn)(void *arg), void *arg);
ccz_rc __real_ccz_loop_run(struct ccz_loop *loop, struct ccz_err *err);
ccz_rc __wrap_ccz_loop_run(struct ccz_loop *loop, struct ccz_err *err);
ccz_rc __real_ccz_conn_write(struct ccz_conn *c, struct ccz_span data);
ccz_rc __wrap_ccz_conn_write(struct ccz_conn *c, struct ccz_span data);

static _Thread_local int posts_fail;             /* so many of this thread's, from now on */
static atomic_int writes_fail, later_posts_fail; /* of any thread; of one whose write has failed */
static _Atomic(struct ccz_loop *) last_loop;     /* that has begun to run */
static atomic_int loops_ended;

ccz_rc __wrap_ccz_loop_post(struct ccz_loop *loop, void (*fn)(void *arg), void *arg)
{
    if (posts_fail <= 0)
        return __real_ccz_loop_post(loop, fn, arg);
    posts_fail--;
    return CCZ_E_NOMEM;
}

ccz_rc __wrap_ccz_loop_run(struct ccz_loop *loop, struct ccz_err *err)
{
    atomic_store(&last_loop, loop);
    ccz_rc rc = __real_ccz_loop_run(loop, err);
    atomic_fetch_add(&loops_ended, 1);
    return rc;
}

ccz_rc __wrap_ccz_conn_write(struct ccz_conn *c, struct ccz_span data)
{
    if (atomic_load(&writes_fail) <= 0 || atomic_fetch_sub(&writes_fail, 1) <= 0)
        return __real_ccz_conn_write(c, data);
    posts_fail = atomic_load(&later_posts_fail);
    return CCZ_E_NOMEM;
}

/* --------------------------------------------------------------------------------- allocations */

/* A server in a process of its own, where allocations do not fail. */
static pid_t server_elsewhere(struct fixture *f)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        start_server(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
        CHECK(write(fds[1], f->target, sizeof(f->target)) == (ssize_t)sizeof(f->target));
        for (;;)
            pause();
    }
    CHECK(read(fds[0], f->target, sizeof(f->target)) == (ssize_t)sizeof(f->target));
    close(fds[0]);
    close(fds[1]);
    return pid;
}

/* One client: connects, calls, streams, goes. @return true if what should fail was asked for */
static bool use_client(struct fixture *f, long k, long more, bool reconnect)
{
    struct ccz_err err = {0};
    struct ccz_rpc_result res;
    struct ccz_rpc_stream *s;
    const struct ccz_rpc_call_cfg call = {.timeout_ms = 10000};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    make_client(f, CCZ_RATLS_TLS_ONLY_INSECURE,
                (struct ccz_rpc_client_cfg){.reconnect = reconnect, .backoff_max_ms = 1});
    nomem_left = k;
    nomem_more = more;
    ccz_rc rc = ccz_rpc_client_connect(NULL, f->client, &err);
    CHECK(rc == CCZ_OK || err.rc == rc);
    if (rc != CCZ_OK && reconnect)
        (void)!ccz_rpc_client_connect(NULL, f->client, &err);
    rc = ccz_rpc_unary(&out, &res, f->client, "/t.T/Echo", ccz_span_str("hello"), &call, &err);
    CHECK(rc != CCZ_E_TIMEOUT && (rc != CCZ_OK || out.size == 5));
    if (ccz_rpc_stream_open(&s, f->client, "/t.T/Bidi", &call, &err) == CCZ_OK) {
        (void)!ccz_rpc_stream_send(s, ccz_span_str("a"));
        if (ccz_rpc_stream_half_close(s) != CCZ_OK)
            ccz_rpc_stream_cancel(s);
        while ((rc = ccz_rpc_stream_recv(&out, s, &res, &err)) == CCZ_OK)
            continue;
        CHECK(rc != CCZ_E_TIMEOUT);
        ccz_rpc_stream_free(s);
    }
    bool hit = nomem_left < 0;
    nomem_left = -1;
    nomem_more = 0;
    ccz_rpc_client_free(f->client);
    f->client = NULL;
    return hit;
}

/* Each allocation in turn, and a few in a row. */
static void test_nomem(void)
{
    static struct fixture f;
    pid_t server = server_elsewhere(&f);
    for (int way = 0; way < 3; way++) {
        long k = 0;
        while (use_client(&f, k, way == 2 ? 3 : 0, way > 0))
            k++;
        CHECK(k > 20);
    }
    CHECK(kill(server, SIGKILL) == 0 && waitpid(server, NULL, 0) == server);
    teardown(&f);
}

/* What cannot be tried again is final, and said: also where the first failure was another one. */
static void test_server_away(void)
{
    static struct fixture f;
    bool hit = true;
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:1");
    for (long k = 0; hit; k++) {
        struct ccz_err err = {0};
        make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                    (struct ccz_rpc_client_cfg){.reconnect = true});
        nomem_left = k;
        nomem_more = 4;
        ccz_rc rc = ccz_rpc_client_connect(NULL, f.client, &err);
        CHECK(rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_NOMEM || rc == CCZ_E_IO);
        hit = nomem_left < 0;
        nomem_left = -1;
        nomem_more = 0;
        rc = ccz_rpc_client_connect(NULL, f.client, &err); /* told again, or tried again */
        CHECK(rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_NOMEM || rc == CCZ_E_IO);
        ccz_rpc_client_free(f.client);
    }
    f.client = NULL;
    teardown(&f);
}

void event_set_mem_functions(void *(*malloc_fn)(size_t size),
                             void *(*realloc_fn)(void *p, size_t size), void (*free_fn)(void *p));

static void stop_loop(struct cczi_deadline *d)
{
    (void)d;
    ccz_loop_stop(atomic_load(&last_loop));
}

/* A deadline that no timer stands behind is not set; the next one is not fooled by it. */
static void test_deadline(void)
{
    struct cczi_deadlines ds;
    struct cczi_deadline first = {.fn = stop_loop}, next = {.fn = stop_loop};
    struct ccz_loop *loop;
    event_set_mem_functions(__wrap_malloc, __wrap_realloc, free);
    CHECK(ccz_loop_new(&loop, NULL) == CCZ_OK && cczi_deadlines_init(&ds, loop) == CCZ_OK);
    atomic_store(&last_loop, loop);
    for (long k = 0; k < 2; k++) { /* of the heap, of libevent */
        nomem_left = k;
        CHECK(!cczi_deadline_set(&ds, &first, ccz_mono_ms() + 1));
        nomem_left = -1;
        CHECK(first.pos == 0 && ds.len == 0);
    }
    CHECK(cczi_deadline_set(&ds, &next, ccz_mono_ms() + 2));
    CHECK(ccz_loop_run(loop, NULL) == CCZ_OK && next.pos == 0);
    cczi_deadlines_deinit(&ds);
    ccz_loop_free(loop);
}

/* --------------------------------------------------------------------------------- posts and writes */

/* A connection that lost bytes is over, also if its loop cannot be told. */
static void test_write(void)
{
    static struct fixture f;
    struct ccz_err err = {0};
    struct ccz_rpc_result res;
    const struct ccz_rpc_call_cfg call = {.timeout_ms = 10000};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    for (int more = 0; more < 2; more++) {
        CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_OK);
        usleep(100000); /* the settings of both have been exchanged: the write is the call's */
        atomic_store(&later_posts_fail, more);
        atomic_store(&writes_fail, 1);
        ccz_rc rc =
            ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", ccz_span_str("x"), &call, &err);
        CHECK(rc != CCZ_OK && res.code == CCZ_RPC_UNAVAILABLE);
        CHECK(strcmp(err.where, "wire:send") == 0);
        CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_OK);
        CHECK(ccz_rpc_unary(&out, &res, f.client, "/t.T/Echo", ccz_span_str("x"), &call, &err) ==
              CCZ_OK);
    }
    atomic_store(&later_posts_fail, 0);
    teardown(&f);
}

static void *answer_without_posts(void *arg)
{
    struct ccz_rpc_call *call = arg;
    posts_fail = 3;
    ccz_rpc_reply(call, ccz_span_str("late"));
    ccz_rpc_call_unref(call);
    return NULL;
}

static void no_posts(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    pthread_t t;
    ccz_rpc_call_ref(call);
    CHECK(pthread_create(&t, NULL, answer_without_posts, call) == 0);
    pthread_detach(t);
}

static void add_no_posts(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/NoPosts", no_posts, f) == CCZ_OK);
}

/* An answer reaches its call although the loop could not be told of it at first. */
static void test_answer(void)
{
    static struct fixture f = {.before_start = add_no_posts};
    struct ccz_err err = {0};
    const struct ccz_rpc_call_cfg call = {.timeout_ms = INT64_MAX};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_unary(&out, NULL, f.client, "/t.T/NoPosts", ccz_span_str("x"), &call, &err) ==
          CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("late")));
    teardown(&f);
}

/* What was refused for want of memory is not sent. */
static void test_stream(void)
{
    static struct fixture f;
    struct ccz_err err = {0};
    struct ccz_rpc_stream *s;
    struct ccz_rpc_result res;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    setup(&f, CCZ_RATLS_TLS_ONLY_INSECURE);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Bidi", NULL, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("a")) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK); /* no post is under way */
    posts_fail = 2;
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("b")) == CCZ_E_NOMEM);
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_E_NOMEM);
    CHECK(posts_fail == 0);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("b")) == CCZ_OK);
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    while (ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK)
        continue;
    CHECK(res.code == CCZ_RPC_OK && ccz_span_eq(ccz_buf_span(&out), ccz_span_str("ab")));
    ccz_rpc_stream_free(s);

    const struct ccz_rpc_call_cfg never = {.timeout_ms = INT64_MAX}; /* who leaves is heard of */
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Hold", &never, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("a")) == CCZ_OK);
    while (atomic_load(&f.started) == 0)
        usleep(1000);
    posts_fail = 2;
    ccz_rpc_stream_free(s);
    while (atomic_load(&f.done) == 0)
        usleep(1000);
    teardown(&f);
}

static struct ccz_rpc_chan_server *chans;

static void add_channels(struct fixture *f)
{
    CHECK(ccz_rpc_chan_server_new(&chans, f->server, NULL, NULL) == CCZ_OK);
}

/* Nor on a channel, where the first piece of a message would stay: its end comes behind what was sent. */
static void test_chan(void)
{
    static uint8_t large[3 << 20];
    static struct fixture f = {.before_start = add_channels};
    const struct ccz_span messages[] = {ccz_span_str("b"), CCZ_SPAN(large, sizeof(large))};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, sizeof(large));
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    for (size_t i = 0; i < 2; i++) {
        struct ccz_chan *a, *b;
        CHECK(ccz_rpc_chan_connect(&a, f.client, &(struct ccz_rpc_chan_cfg){0}, &err) == CCZ_OK);
        CHECK(ccz_rpc_chan_accept(&b, chans, NULL, NULL, 10000, &err) == CCZ_OK);
        CHECK(ccz_chan_send(a, ccz_span_str("a"), &err) == CCZ_OK);
        CHECK(ccz_chan_recv(&got, b, &err) == CCZ_OK); /* no post is under way */
        posts_fail = 1;
        CHECK(ccz_chan_send(a, messages[i], &err) == CCZ_E_NOMEM && posts_fail == 0);
        ccz_chan_close(a, "no memory here");
        CHECK(ccz_chan_recv(&got, b, &err) == CCZ_E_CLOSED && strstr(err.msg, "no memory here"));
        ccz_chan_free(a);
        ccz_chan_free(b);
    }
    CHECK(ccz_span_eq(ccz_buf_span(&got), ccz_span_str("aa")));
    teardown(&f);
    ccz_rpc_chan_server_free(chans);
}

/* ---------------------------------------------------------------------------------- servers that break off */

static atomic_int recycled;

static void recycle_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    struct fixture *f = arg;
    (void)call;
    CHECK(cancelled);
    ccz_rpc_server_set_ratls(f->server, f->server_ctx);
    CHECK(ccz_rpc_server_recycle(f->server) == CCZ_OK);
    atomic_fetch_add(&recycled, 1);
}

static void recycle_start(struct ccz_rpc_call *call, void *arg)
{
    struct fixture *f = arg;
    (void)call;
    atomic_fetch_add(&f->started, 1);
}

static void add_recycle(struct fixture *f)
{
    const struct ccz_rpc_handler h = {.on_start = recycle_start, .on_done = recycle_done};
    CHECK(ccz_rpc_server_add(f->server, "/t.T/Recycle", &h, f) == CCZ_OK);
}

/* A server with a call that nobody answers. */
static struct ccz_rpc_stream *open_recycle(struct fixture *f)
{
    struct ccz_err err = {0};
    struct ccz_rpc_stream *s;
    f->before_start = add_recycle;
    atomic_store(&recycled, 0);
    start_server(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_stream_open(&s, f->client, "/t.T/Recycle", NULL, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_span_str("x")) == CCZ_OK);
    while (atomic_load(&f->started) == 0)
        usleep(1000);
    return s;
}

static void close_recycle(struct fixture *f, struct ccz_rpc_stream *s)
{
    struct ccz_err err = {0};
    struct ccz_rpc_result res;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    CHECK(atomic_load(&recycled) == 1);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, &err) != CCZ_OK);
    ccz_rpc_stream_free(s);
    teardown(f);
}

/* Its loop cannot be told to stop in order: calls end while the server is taken apart, and may still use it. */
static void test_stop(void)
{
    static struct fixture f;
    struct ccz_rpc_stream *s = open_recycle(&f);
    posts_fail = 1;
    ccz_rpc_server_stop(f.server, 10000);
    CHECK(posts_fail == 0);
    close_recycle(&f, s);
}

/* Its loop has ended by itself; what it was told since then is done when the loop is freed. */
static void test_loop_breaks(void)
{
    static struct fixture f;
    f.before_start = NULL;
    struct ccz_rpc_stream *s = NULL;
    struct ccz_loop *servers;
    atomic_store(&last_loop, NULL);
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    while (!(servers = atomic_load(&last_loop)))
        usleep(1000);
    int ended = atomic_load(&loops_ended);
    ccz_loop_stop(servers);
    while (atomic_load(&loops_ended) == ended)
        usleep(1000);
    ccz_rpc_server_stop(f.server, 0);
    teardown(&f);
    memset(&f, 0, sizeof(f));
    s = open_recycle(&f); /* and the next one is well */
    ccz_rpc_server_stop(f.server, 0);
    close_recycle(&f, s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rpc.nomem", test_nomem},
        {"rpc.nomem_server_away", test_server_away},
        {"rpc.nomem_deadline", test_deadline},
        {"rpc.nomem_write", test_write},
        {"rpc.nomem_answer", test_answer},
        {"rpc.nomem_stream", test_stream},
        {"rpc.nomem_chan", test_chan},
        {"rpc.nomem_stop", test_stop},
        {"rpc.loop_breaks", test_loop_breaks},
    };
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
