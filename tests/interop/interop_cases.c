/* SPDX-License-Identifier: Apache-2.0 */
/* The cases, as doc/interop-test-descriptions.md of gRPC has them. */
#define _DEFAULT_SOURCE
#include "interop_cases.h"

#include <cczoo/rpc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGE_REQUEST = 271828, LARGE_RESPONSE = 314159 };
static const char initial_value[] = "test_initial_metadata_value";

static const struct ic_ops *ops;
static const char *target, *running;

#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: line %d: %s\n", running, __LINE__, #cond);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void end_init(struct ic_end *e)
{
    e->code = -1;
    ccz_buf_init(&e->message, 4096);
    ccz_buf_init(&e->initial, 4096);
    ccz_buf_init(&e->trailing, 4096);
}

static void end_free(struct ic_end *e)
{
    ccz_buf_free(&e->message);
    ccz_buf_free(&e->initial);
    ccz_buf_free(&e->trailing);
}

static void expect_code(const struct ic_end *e, int code)
{
    if (e->code != code)
        fprintf(stderr, "%s: got status %d (%.*s), expected %d\n", running, e->code,
                (int)e->message.size, e->message.size ? (const char *)e->message.ptr : "", code);
    EXPECT(e->code == code);
}

static void finish(void *call, int code)
{
    struct ic_end e;
    end_init(&e);
    ops->end(call, &e);
    expect_code(&e, code);
    end_free(&e);
}

static void *start(void *channel, const char *method, struct ic_start s)
{
    char path[96];
    (void)snprintf(path, sizeof(path), IM_SERVICE "%s", method);
    s.path = path;
    void *call = ops->open(channel, &s);
    EXPECT(call);
    return call;
}

static bool send_request(void *call, enum im_kind kind, const struct im_request *rq,
                         size_t body_size, bool compressed)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    im_put_request(&msg, kind, rq, body_size);
    EXPECT(!msg.bad);
    return ops->send(call, ccz_buf_span(&msg), compressed);
}

/* The next message has a body of so many zeros. */
static void expect_body(void *call, size_t size, enum im_bool compressed)
{
    CCZ_AUTO_BUF msg;
    struct ccz_span body, id;
    bool was_compressed;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    EXPECT(ops->recv(call, &msg, &was_compressed));
    EXPECT(im_get_response(&body, &id, ccz_buf_span(&msg)));
    EXPECT(body.size == size && im_all_zero(body));
    if (compressed != IM_UNSET)
        EXPECT(was_compressed == (compressed == IM_TRUE));
}

static void expect_no_more(void *call)
{
    CCZ_AUTO_BUF msg;
    bool compressed;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    EXPECT(!ops->recv(call, &msg, &compressed));
}

/* ------------------------------------------------------------------------------------- unary */

static void empty_unary(void *channel)
{
    CCZ_AUTO_BUF msg;
    bool compressed;
    ccz_buf_init(&msg, 64);
    void *call = start(channel, "EmptyCall", (struct ic_start){.unary = true});
    EXPECT(ops->send(call, (struct ccz_span){0}, false));
    ops->half_close(call);
    EXPECT(ops->recv(call, &msg, &compressed) && msg.size == 0);
    finish(call, CCZ_RPC_OK);
}

static void unary(void *channel, const struct im_request *rq, bool gzip, bool compressed, int code)
{
    void *call = start(channel, "UnaryCall", (struct ic_start){.unary = true, .gzip = gzip});
    EXPECT(send_request(call, IM_SIMPLE, rq, LARGE_REQUEST, compressed));
    ops->half_close(call);
    if (code == CCZ_RPC_OK)
        expect_body(call, rq->response_size, rq->response_compressed);
    else
        expect_no_more(call);
    finish(call, code);
}

static void large_unary(void *channel)
{
    unary(channel, &(struct im_request){.response_size = LARGE_RESPONSE}, false, false, CCZ_RPC_OK);
}

static void client_compressed_unary(void *channel)
{
    struct im_request rq = {.response_size = LARGE_RESPONSE, .expect_compressed = IM_TRUE};
    unary(channel, &rq, false, false, CCZ_RPC_INVALID_ARGUMENT); /* does the server look? */
    unary(channel, &rq, true, true, CCZ_RPC_OK);
    rq.expect_compressed = IM_FALSE;
    unary(channel, &rq, false, false, CCZ_RPC_OK);
}

static void server_compressed_unary(void *channel)
{
    struct im_request rq = {.response_size = LARGE_RESPONSE, .response_compressed = IM_TRUE};
    unary(channel, &rq, false, false, CCZ_RPC_OK);
    rq.response_compressed = IM_FALSE;
    unary(channel, &rq, false, false, CCZ_RPC_OK);
}

/* ----------------------------------------------------------------------------------- streams */

static size_t input_sum(void *call)
{
    CCZ_AUTO_BUF msg;
    bool compressed;
    size_t size;
    ccz_buf_init(&msg, 64);
    ops->half_close(call);
    EXPECT(ops->recv(call, &msg, &compressed) && im_get_sum(&size, ccz_buf_span(&msg)));
    expect_no_more(call);
    finish(call, CCZ_RPC_OK);
    return size;
}

static void client_streaming(void *channel)
{
    static const size_t sizes[] = {27182, 8, 1828, 45904};
    void *call = start(channel, "StreamingInputCall", (struct ic_start){0});
    for (size_t i = 0; i < 4; i++)
        EXPECT(send_request(call, IM_INPUT, &(struct im_request){0}, sizes[i], false));
    EXPECT(input_sum(call) == 74922);
}

static void client_compressed_streaming(void *channel)
{
    const struct im_request yes = {.expect_compressed = IM_TRUE};
    const struct im_request no = {.expect_compressed = IM_FALSE};
    void *call = start(channel, "StreamingInputCall", (struct ic_start){.gzip = true});
    EXPECT(send_request(call, IM_INPUT, &yes, 27182, false));
    ops->half_close(call);
    expect_no_more(call);
    finish(call, CCZ_RPC_INVALID_ARGUMENT);
    call = start(channel, "StreamingInputCall", (struct ic_start){.gzip = true});
    EXPECT(send_request(call, IM_INPUT, &yes, 27182, true));
    EXPECT(send_request(call, IM_INPUT, &no, 45904, false));
    EXPECT(input_sum(call) == 73086);
}

static void output(void *channel, const struct im_request *rq)
{
    void *call = start(channel, "StreamingOutputCall", (struct ic_start){0});
    EXPECT(send_request(call, IM_OUTPUT, rq, 0, false));
    ops->half_close(call);
    for (size_t i = 0; i < rq->parts_len; i++)
        expect_body(call, rq->parts[i].size, rq->parts[i].compressed);
    expect_no_more(call);
    finish(call, CCZ_RPC_OK);
}

static void server_streaming(void *channel)
{
    output(channel, &(struct im_request){
                        .parts = {{.size = 31415}, {.size = 9}, {.size = 2653}, {.size = 58979}},
                        .parts_len = 4});
}

static void server_compressed_streaming(void *channel)
{
    output(channel, &(struct im_request){.parts = {{.size = 31415, .compressed = IM_TRUE},
                                                   {.size = 92653, .compressed = IM_FALSE}},
                                         .parts_len = 2});
}

static void ping(void *call, size_t body_size, size_t response_size, bool wait)
{
    struct im_request rq = {.parts = {{.size = response_size}}, .parts_len = 1};
    EXPECT(send_request(call, IM_OUTPUT, &rq, body_size, false));
    if (wait)
        expect_body(call, response_size, IM_UNSET);
}

static const size_t ping_sizes[4][2] = {{27182, 31415}, {8, 9}, {1828, 2653}, {45904, 58979}};

static void ping_pong(void *channel)
{
    void *call = start(channel, "FullDuplexCall", (struct ic_start){0});
    for (size_t i = 0; i < 4; i++)
        ping(call, ping_sizes[i][0], ping_sizes[i][1], true);
    ops->half_close(call);
    expect_no_more(call);
    finish(call, CCZ_RPC_OK);
}

/* Answers come after the last request. */
static void half_duplex(void *channel)
{
    void *call = start(channel, "HalfDuplexCall", (struct ic_start){0});
    for (size_t i = 0; i < 4; i++)
        ping(call, ping_sizes[i][0], ping_sizes[i][1], false);
    ops->half_close(call);
    for (size_t i = 0; i < 4; i++)
        expect_body(call, ping_sizes[i][1], IM_UNSET);
    expect_no_more(call);
    finish(call, CCZ_RPC_OK);
}

static void empty_stream(void *channel)
{
    void *call = start(channel, "FullDuplexCall", (struct ic_start){0});
    ops->half_close(call);
    expect_no_more(call);
    finish(call, CCZ_RPC_OK);
}

/* ------------------------------------------------------------------- cancellation, deadlines */

static void cancel_after_begin(void *channel)
{
    void *call = start(channel, "StreamingInputCall", (struct ic_start){0});
    ops->cancel(call);
    expect_no_more(call);
    finish(call, CCZ_RPC_CANCELLED);
}

static void cancel_after_first_response(void *channel)
{
    void *call = start(channel, "FullDuplexCall", (struct ic_start){0});
    ping(call, 27182, 31415, true);
    ops->cancel(call);
    expect_no_more(call);
    finish(call, CCZ_RPC_CANCELLED);
}

static void timeout_on_sleeping_server(void *channel)
{
    void *call = start(channel, "FullDuplexCall", (struct ic_start){.timeout_ms = 1});
    struct im_request rq = {.parts = {{.size = 31415, .interval_us = 200000}}, .parts_len = 1};
    (void)send_request(call, IM_OUTPUT, &rq, 27182, false); /* it may be over already */
    expect_no_more(call);
    finish(call, CCZ_RPC_DEADLINE_EXCEEDED);
}

/* -------------------------------------------------------------------------- metadata, status */

/* One request of a unary method or on a stream; what the call ends with is left in @p e. */
static void exchange(struct ic_end *e, void *channel, bool duplex, const struct im_request *rq,
                     size_t body_size, bool metadata)
{
    void *call = start(channel, duplex ? "FullDuplexCall" : "UnaryCall",
                       (struct ic_start){.unary = !duplex, .metadata = metadata});
    EXPECT(send_request(call, duplex ? IM_OUTPUT : IM_SIMPLE, rq, body_size, false));
    ops->half_close(call);
    if (rq->has_status)
        expect_no_more(call);
    else
        expect_body(call, LARGE_RESPONSE, IM_UNSET);
    ops->end(call, e);
}

static void custom_metadata(void *channel)
{
    for (int duplex = 0; duplex < 2; duplex++) {
        struct ic_end e;
        struct im_request rq = {.response_size = duplex ? 0 : LARGE_RESPONSE};
        if (duplex) {
            rq.parts[0].size = LARGE_RESPONSE;
            rq.parts_len = 1;
        }
        end_init(&e);
        exchange(&e, channel, duplex, &rq, LARGE_REQUEST, true);
        expect_code(&e, CCZ_RPC_OK);
        EXPECT(ccz_span_eq(ccz_buf_span(&e.initial), ccz_span_str(initial_value)));
        EXPECT(ccz_span_eq(ccz_buf_span(&e.trailing), CCZ_SPAN("\xab\xab\xab", 3)));
        end_free(&e);
    }
}

static void status(void *channel, bool duplex, const char *text)
{
    struct ic_end e;
    struct im_request rq = {
        .has_status = true, .code = CCZ_RPC_UNKNOWN, .message = ccz_span_str(text)};
    end_init(&e);
    exchange(&e, channel, duplex, &rq, 0, false);
    expect_code(&e, CCZ_RPC_UNKNOWN);
    EXPECT(ccz_span_eq(ccz_buf_span(&e.message), ccz_span_str(text)));
    end_free(&e);
}

static void status_code_and_message(void *channel)
{
    status(channel, false, "test status message");
    status(channel, true, "test status message");
}

static void special_status_message(void *channel)
{
    status(channel, false,
           "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP "
           "\xf0\x9f\x98\x88\t\n");
}

static void unimplemented(void *channel, const char *path)
{
    void *call = ops->open(channel, &(struct ic_start){.path = path, .unary = true});
    EXPECT(call);
    (void)ops->send(call, (struct ccz_span){0},
                    false); /* the headers may have been refused by now */
    ops->half_close(call);
    expect_no_more(call);
    finish(call, CCZ_RPC_UNIMPLEMENTED);
}

static void unimplemented_method(void *channel)
{
    unimplemented(channel, IM_SERVICE "UnimplementedCall");
}

static void unimplemented_service(void *channel)
{
    unimplemented(channel, "/grpc.testing.UnimplementedService/UnimplementedCall");
}

/* ------------------------------------------------------------------------- for other testers */

/* A call to a server, "https://HOST:PORT/...", that is not as it should be: whatever comes of it. The connection is left
 * open for a while, so that the server sees what the client makes of this. */
static int any_answer(const char *url)
{
    struct ic_end e;
    char host[64];
    if (sscanf(url, "https://%63[^/]", host) != 1)
        return 2;
    void *channel = ops->connect(host);
    if (!channel) /* it may break off at once */
        return 1;
    CCZ_AUTO_BUF msg;
    bool compressed;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    end_init(&e);
    void *call = start(channel, "FullDuplexCall", (struct ic_start){.timeout_ms = 1000});
    (void)send_request(call, IM_OUTPUT, &(struct im_request){.parts_len = 1}, 10, false);
    ops->half_close(call);
    while (ops->recv(call, &msg, &compressed))
        ccz_buf_clear(&msg);
    ops->end(call, &e);
    end_free(&e);
    usleep(200000);
    ops->disconnect(channel);
    return 0;
}

/* ------------------------------------------------------------------------------ many of them */

enum { SOAK_CALLS = 100, SOAK_CHANNELS = 10, THREADS = 4, CONCURRENT_CALLS = 50 };

static void rpc_soak(void *channel)
{
    for (int i = 0; i < SOAK_CALLS; i++)
        large_unary(channel);
}

static void channel_soak(void *channel)
{
    (void)channel;
    for (int i = 0; i < SOAK_CHANNELS; i++) {
        void *own = ops->connect(target);
        EXPECT(own);
        large_unary(own);
        ops->disconnect(own);
    }
}

static void *some_large_unary(void *channel)
{
    for (int i = 0; i < CONCURRENT_CALLS; i++)
        large_unary(channel);
    return NULL;
}

static void concurrent_large_unary(void *channel)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&t[i], NULL, some_large_unary, channel) == 0);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_join(t[i], NULL) == 0);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct {
    const char *name;
    void (*run)(void *channel);
} cases[] = {
    CASE(empty_unary),
    CASE(large_unary),
    CASE(client_compressed_unary),
    CASE(server_compressed_unary),
    CASE(client_streaming),
    CASE(client_compressed_streaming),
    CASE(server_streaming),
    CASE(server_compressed_streaming),
    CASE(ping_pong),
    CASE(half_duplex),
    CASE(empty_stream),
    CASE(cancel_after_begin),
    CASE(cancel_after_first_response),
    CASE(timeout_on_sleeping_server),
    CASE(custom_metadata),
    CASE(status_code_and_message),
    CASE(special_status_message),
    CASE(unimplemented_method),
    CASE(unimplemented_service),
    CASE(rpc_soak),
    CASE(channel_soak),
    CASE(concurrent_large_unary),
};
enum { CASES_LEN = sizeof(cases) / sizeof(cases[0]) };

static void run(void *channel, const char *name)
{
    for (size_t i = 0; i < CASES_LEN; i++) {
        if (strcmp(cases[i].name, name) != 0)
            continue;
        running = name;
        cases[i].run(channel);
        printf("ok %s\n", name);
        fflush(stdout);
        return;
    }
    fprintf(stderr, "there is no case %s\n", name);
    exit(2);
}

int ic_main(const struct ic_ops *with, int argc, char **argv)
{
    if (argc < 2) {
        for (size_t i = 0; i < CASES_LEN; i++)
            puts(cases[i].name);
        return 2;
    }
    ops = with;
    running = "connecting";
    if (argc == 3 && strcmp(argv[1], "any_answer") == 0)
        return any_answer(argv[2]);
    target = argv[1];
    void *channel = ops->connect(target);
    EXPECT(channel);
    for (size_t i = 0; argc == 2 && i < CASES_LEN; i++)
        run(channel, cases[i].name);
    for (int i = 2; i < argc; i++)
        run(channel, argv[i]);
    ops->disconnect(channel);
    return 0;
}
