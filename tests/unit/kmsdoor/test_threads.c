/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back to the listener from other threads: the service's worker and the door's own. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static unsigned gate_waiting;
static atomic_uint done_calls;

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_moved);
    pthread_mutex_unlock(&gate_lock);
}

static void gate_pass(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate_lock);
    gate_waiting++;
    pthread_cond_broadcast(&gate_moved);
    while (!gate_open)
        pthread_cond_wait(&gate_moved, &gate_lock);
    gate_waiting--;
    pthread_mutex_unlock(&gate_lock);
}

static void gate_await(unsigned n)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_waiting < n)
        pthread_cond_wait(&gate_moved, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void on_worked(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    done_calls++;
    cczi_door_reply_json(r, 200, ccz_span_str("{}"));
}

static void on_work(struct cczi_door_req *r, void *arg)
{
    struct ccz_err err = {0};
    if (cczi_door_work(r, gate_pass, on_worked, arg, &err) != CCZ_OK)
        cczi_door_reply_err(r, &err);
}

static void on_released(struct cczi_door_req *r, void *arg, struct ccz_span response,
                        const struct ccz_err *err)
{
    (void)arg;
    (void)response;
    done_calls++;
    if (err)
        cczi_door_reply_err(r, err);
    else
        cczi_door_reply_json(r, 200, ccz_span_str("{\"released\":true}"));
}

/* As a door with evidence does. */
static void on_release(struct cczi_door_req *r, void *arg)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 256);
    struct cczi_msg_release_req m = {ccz_span_str("key/model"), 0};
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    struct ccz_ratls_peer peer = fix_peer(arg ? FIX_STALE : FIX_WORKLOAD);
    cczi_door_call(r, &(struct cczi_door_call){.method = "Release", .body = &body, .peer = &peer},
                   on_released, NULL);
    memset(&peer, 0xee, sizeof(peer)); /* it was copied */
}

/* A request that there was no memory for is asked of nobody, an answer is not sent empty. */
static void on_half(struct cczi_door_req *r, void *arg)
{
    CCZ_AUTO_BUF half;
    ccz_buf_init(&half, 3);
    ccz_buf_put_str(&half, "{}");
    ccz_buf_put_str(&half, "more than it may have");
    if (arg)
        cczi_door_call(r, &(struct cczi_door_call){.method = "TokenKeys", .body = &half},
                       on_released, NULL);
    else
        cczi_door_reply_built(r, &half);
}

static void add_calls(struct ccz_kms_door *d)
{
    static const struct cczi_door_route routes[] = {
        {.name = "half", .methods = "GET", .path = "/half-answer", .fn = on_half},
        {.name = "half", .methods = "GET", .path = "/half-call", .fn = on_half, .arg = &gate_open},
        {.name = "work", .methods = "GET", .path = "/work", .fn = on_work},
        {.name = "release", .methods = "GET", .path = "/release", .fn = on_release},
        {.name = "stale", .methods = "GET", .path = "/stale", .fn = on_release, .arg = &gate_open},
    };
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
        CHECK(cczi_door_route(d, &routes[i], &err) == CCZ_OK);
}

static void test_calls(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.add = add_calls});
    gate_set(true);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/release"}) == 200 &&
          strcmp(r.body, "{\"released\":true}") == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/stale"}) == 403 &&
          kit_where(&r, "kms:evidence-stale"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/work"}) == 200);
    kit_close(&k);
}

static void test_memory(void)
{
    static const char *const paths[] = {"/half-answer", "/half-call"};
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.add = add_calls});
    for (size_t i = 0; i < 2; i++)
        CHECK(kit_ask(&k, &r, &(struct ask){.path = paths[i]}) == 503 &&
              kit_where(&r, "door:memory"));
    kit_close(&k);
}

/* More requests wait than may: the others are told to come again, probes are not among them. */
static void test_waiting(void)
{
    struct kit k;
    struct reply r;
    int fds[3];
    static const char get[] = "GET /work HTTP/1.1\r\nHost: x\r\n\r\n";
    kit_open(&k, &(struct kit_opts){.plain = true, .add = add_calls, .limits = {.requests = 3}});
    gate_set(false);
    for (int i = 0; i < 3; i++) {
        fds[i] = kit_dial(&k);
        CHECK(send(fds[i], get, sizeof(get) - 1, MSG_NOSIGNAL) == sizeof(get) - 1);
    }
    while (atomic_load(&k.door->requests_now) < 3)
        usleep(1000);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/work"}) == 503 &&
          kit_where(&r, "door:requests") && strstr(r.headers, "Retry-After: 1\r\n") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200);
    gate_set(true);
    for (int i = 0; i < 3; i++) {
        char byte;
        CHECK(recv(fds[i], &byte, 1, 0) == 1 && byte == 'H');
        close(fds[i]);
    }
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/work"}) == 200);
    kit_close(&k);
}

/* What the log says of a flood: something, and not everything. */
static atomic_uint log_lines;

static void on_line(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg;
    (void)level;
    if (strcmp(module, "kms-door") == 0 &&
        strstr(line, "refused route=none status=404 peer=127.0.0.1:"))
        log_lines++;
}

static void test_log(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.plain = true});
    ccz_log_install(on_line, NULL, CCZ_LOG_INFO);
    CURL *c = curl_easy_init();
    unsigned n = 0;
    for (; n < 60 || log_lines + 20 > n; n++) /* until some are left out */
        CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/x\"y"}) != 0);
    curl_easy_cleanup(c);
    kit_close(&k);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    CHECK(log_lines >= 50);
}

/* Clients that leave before the answer, and a server that ends before it: nothing is lost, nothing is answered twice. */
static void test_gone(void)
{
    enum { CLIENTS = 6 };
    for (int end_first = 0; end_first < 2; end_first++) {
        struct kit k;
        int fds[CLIENTS];
        static const char get[] = "GET /work HTTP/1.1\r\nHost: x\r\n\r\n";
        static const char call[] = "GET /release HTTP/1.1\r\nHost: x\r\n\r\n";
        kit_open(&k, &(struct kit_opts){.plain = true, .add = add_calls});
        done_calls = 0;
        gate_set(false);
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = kit_dial(&k);
            const char *text = i % 2 ? call : get;
            CHECK(send(fds[i], text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
        }
        gate_await(2); /* both workers are inside */
        /* the calls are answered, and the others have come */
        while (done_calls < CLIENTS / 2 || atomic_load(&k.door->requests_now) != CLIENTS / 2)
            usleep(1000);
        if (!end_first)
            for (int i = 0; i < CLIENTS; i++)
                close(fds[i]);
        gate_set(true);
        kit_close(&k);
        CHECK(done_calls == CLIENTS);
        for (int i = 0; end_first && i < CLIENTS; i++)
            close(fds[i]);
    }
}

static void *stop_door(void *arg)
{
    struct kit *k = arg;
    ccz_kms_door_stop(k->door, 50);
    return NULL;
}

/* The door ends while workers and the service still hold requests: they come back to it all the same. */
static void test_stop(void)
{
    enum { CLIENTS = 4 };
    struct kit k;
    int fds[CLIENTS];
    static const char get[] = "GET /work HTTP/1.1\r\nHost: x\r\n\r\n";
    kit_open(&k, &(struct kit_opts){.plain = true, .add = add_calls});
    done_calls = 0;
    gate_set(false);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = kit_dial(&k);
        CHECK(send(fds[i], get, sizeof(get) - 1, MSG_NOSIGNAL) == sizeof(get) - 1);
    }
    gate_await(2);
    while (atomic_load(&k.door->requests_now) < CLIENTS)
        usleep(1000);
    pthread_t stopper;
    CHECK(pthread_create(&stopper, NULL, stop_door, &k) == 0);
    usleep(200000); /* beyond its grace: the loop has ended */
    gate_set(true);
    CHECK(pthread_join(stopper, NULL) == 0);
    kit_close(&k);
    CHECK(done_calls == CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

static const struct ccz_test tests[] = {
    {"door.calls", test_calls}, {"door.waiting", test_waiting}, {"door.log", test_log},
    {"door.gone", test_gone},   {"door.stop", test_stop},       {"door.memory", test_memory},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
