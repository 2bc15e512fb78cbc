/* SPDX-License-Identifier: Apache-2.0 */
/* The standard services over real connections, as a client sees them. */
#include "rpc/rpc_fixture.h"

#include <cczoo/codec.h>
#include <cczoo/rpc_services.h>

#define HEALTH     "/grpc.health.v1.Health/"
#define REFLECTION "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

static struct ccz_rpc_health *health;
static struct ccz_rpc_reflection *reflection;

static void add_services(struct fixture *f)
{
    struct ccz_err err = {0};
    struct ccz_rpc_health *second = NULL;
    struct ccz_rpc_reflection *other = NULL;
    CHECK(ccz_rpc_health_new(&health, f->server, &err) == CCZ_OK);
    CHECK(ccz_rpc_reflection_new(&reflection, f->server, &err) == CCZ_OK);
    CHECK(ccz_rpc_health_new(&second, f->server, &err) == CCZ_E_EXISTS && !second);
    CHECK(strcmp(err.where, "rpc:health") == 0);
    CHECK(ccz_rpc_reflection_new(&other, f->server, &err) == CCZ_E_EXISTS && !other);
    CHECK(strcmp(err.where, "rpc:reflection") == 0);
}

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->before_start = add_services;
    start_server(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){.threads = 2});
    make_client(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){.reconnect = true});
}

static void end(struct fixture *f)
{
    teardown(f);
    ccz_rpc_health_free(health);
    ccz_rpc_reflection_free(reflection);
    health = NULL;
    reflection = NULL;
}

/* ------------------------------------------------------------------------------------ health */

/* HealthCheckResponse; anything else is a failure. */
static enum ccz_rpc_serving status_in(struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    uint64_t status = 0;
    while (ccz_pb_next(&f, &r)) {
        CHECK(f.number == 1 && f.wire == CCZ_PB_VARINT);
        status = f.num;
    }
    CHECK(!r.bad && status <= CCZ_RPC_SERVICE_UNKNOWN);
    return (enum ccz_rpc_serving)status;
}

static enum ccz_rpc_code check(struct fixture *f, const char *service, enum ccz_rpc_serving *status)
{
    struct ccz_rpc_result res;
    CCZ_AUTO_BUF in, out;
    ccz_buf_init(&in, 4096);
    ccz_buf_init(&out, 4096);
    ccz_pb_put_str(&in, 1, service);
    ccz_pb_put_uint(&in, 77, 1); /* from a later version */
    ccz_rc rc = ccz_rpc_unary(&out, &res, f->client, HEALTH "Check", ccz_buf_span(&in), NULL, NULL);
    CHECK((rc == CCZ_OK) == (res.code == CCZ_RPC_OK));
    *status = rc == CCZ_OK ? status_in(ccz_buf_span(&out)) : CCZ_RPC_SERVICE_UNKNOWN;
    return res.code;
}

static void expect_check(struct fixture *f, const char *service, enum ccz_rpc_serving want)
{
    enum ccz_rpc_serving got;
    CHECK(check(f, service, &got) == CCZ_RPC_OK && got == want);
    CHECK(ccz_rpc_health_get(health, service) == want);
}

static void test_check(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    enum ccz_rpc_serving got;
    char name[CCZ_RPC_HEALTH_NAME_SIZE_MAX + 2];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    begin(&f);
    expect_check(&f, "", CCZ_RPC_SERVING);
    CHECK(check(&f, "t.T", &got) == CCZ_RPC_NOT_FOUND);
    CHECK(ccz_rpc_health_get(health, "t.T") == CCZ_RPC_SERVICE_UNKNOWN);
    for (int s = CCZ_RPC_SERVING_UNKNOWN; s <= CCZ_RPC_NOT_SERVING; s++) {
        CHECK(ccz_rpc_health_set(health, "t.T", (enum ccz_rpc_serving)s) == CCZ_OK);
        expect_check(&f, "t.T", (enum ccz_rpc_serving)s);
    }
    expect_check(&f, "", CCZ_RPC_SERVING);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVICE_UNKNOWN) == CCZ_E_ARG);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    CHECK(ccz_rpc_health_set(health, name, CCZ_RPC_SERVING) == CCZ_E_ARG);
    CHECK(ccz_rpc_health_set(health, name + 1, CCZ_RPC_SERVING) == CCZ_OK);
    expect_check(&f, name + 1, CCZ_RPC_SERVING);
    static const char *const malformed[] = {"\x08\x01", "\x0a\x05t.T", "\x0b"};
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_rpc_unary(&out, &res, f.client, HEALTH "Check", ccz_span_str(malformed[i]), NULL,
                            NULL) != CCZ_OK);
        CHECK(res.code == CCZ_RPC_INVALID_ARGUMENT);
    }
    end(&f);
}

static void test_list(void)
{
    struct fixture f;
    size_t len = 0;
    bool whole = false;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    begin(&f);
    for (int i = 1; i < CCZ_RPC_HEALTH_LEN_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%d", i);
        CHECK(ccz_rpc_health_set(health, name, i % 2 ? CCZ_RPC_SERVING : CCZ_RPC_NOT_SERVING) ==
              CCZ_OK);
    }
    CHECK(ccz_rpc_health_set(health, "one more", CCZ_RPC_SERVING) == CCZ_E_LIMIT);
    CHECK(ccz_rpc_health_set(health, "s1", CCZ_RPC_SERVING) == CCZ_OK);
    CHECK(ccz_rpc_unary(&out, NULL, f.client, HEALTH "List", (struct ccz_span){0}, NULL, NULL) ==
          CCZ_OK);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&out));
    struct ccz_pb_field entry, key, value;
    for (; ccz_pb_next(&entry, &r); len++) {
        struct ccz_rd e = ccz_rd_from(entry.bytes);
        CHECK(ccz_pb_next(&key, &e) && key.number == 1 && ccz_pb_next(&value, &e) &&
              value.number == 2 && ccz_rd_done(&e));
        char name[16] = "";
        CHECK(key.bytes.size < sizeof(name));
        memcpy(name, key.bytes.ptr, key.bytes.size);
        whole |= key.bytes.size == 0;
        CHECK(status_in(value.bytes) == ccz_rpc_health_get(health, name));
    }
    CHECK(!r.bad && len == CCZ_RPC_HEALTH_LEN_MAX && whole);
    end(&f);
}

static struct ccz_rpc_stream *watch(struct fixture *f, const char *service)
{
    struct ccz_rpc_stream *s = NULL;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, 4096);
    ccz_pb_put_str(&in, 1, service);
    CHECK(ccz_rpc_stream_open(&s, f->client, HEALTH "Watch", NULL, NULL) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, ccz_buf_span(&in)) == CCZ_OK);
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    return s;
}

static enum ccz_rpc_serving next_status(struct ccz_rpc_stream *s)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 64);
    CHECK(ccz_rpc_stream_recv(&msg, s, NULL, NULL) == CCZ_OK);
    return status_in(ccz_buf_span(&msg));
}

static void test_watch(void)
{
    struct fixture f;
    begin(&f);
    CCZ_AUTO(ccz_rpc_stream) whole = watch(&f, "");
    CCZ_AUTO(ccz_rpc_stream) one = watch(&f, "t.T");
    CHECK(next_status(whole) == CCZ_RPC_SERVING && next_status(one) == CCZ_RPC_SERVICE_UNKNOWN);
    CHECK(ccz_rpc_health_set(health, "other", CCZ_RPC_SERVING) == CCZ_OK);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK);
    CHECK(next_status(one) == CCZ_RPC_SERVING);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK); /* no news */
    CHECK(ccz_rpc_health_set(health, "", CCZ_RPC_NOT_SERVING) == CCZ_OK);
    CHECK(next_status(whole) == CCZ_RPC_NOT_SERVING);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING_UNKNOWN) == CCZ_OK);
    CHECK(next_status(one) == CCZ_RPC_SERVING_UNKNOWN); /* an empty message, and the next one */
    ccz_rpc_stream_cancel(one);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK);
    CCZ_AUTO(ccz_rpc_stream) again = watch(&f, "t.T");
    CHECK(next_status(again) == CCZ_RPC_SERVING);
    end(&f);
}

/* What a Watch call with these messages ends with. */
static enum ccz_rpc_code watch_refused(struct fixture *f, size_t len, const struct ccz_span *msgs)
{
    struct ccz_rpc_result res = {0};
    CCZ_AUTO_BUF msg;
    CCZ_AUTO(ccz_rpc_stream) s = NULL;
    ccz_buf_init(&msg, 64);
    CHECK(ccz_rpc_stream_open(&s, f->client, HEALTH "Watch", NULL, NULL) == CCZ_OK);
    for (size_t i = 0; i < len; i++)
        (void)!ccz_rpc_stream_send(s, msgs[i]); /* it may be refused before the last one */
    (void)!ccz_rpc_stream_half_close(s);
    CHECK(ccz_rpc_stream_recv(&msg, s, &res, NULL) != CCZ_OK);
    return res.code;
}

static void test_watch_refused(void)
{
    struct fixture f;
    const struct ccz_span two[] = {{0}, {0}};
    const struct ccz_span wrong = CCZ_SPAN("\x08\x01", 2);
    CCZ_AUTO_BUF longer;
    ccz_buf_init(&longer, 4096);
    ccz_pb_put_tag(&longer, 1, CCZ_PB_LEN);
    ccz_pb_put_varint(&longer, CCZ_RPC_HEALTH_NAME_SIZE_MAX + 1);
    memset(ccz_buf_extend(&longer, CCZ_RPC_HEALTH_NAME_SIZE_MAX + 1), 'x',
           CCZ_RPC_HEALTH_NAME_SIZE_MAX + 1);
    const struct ccz_span big = ccz_buf_span(&longer);
    begin(&f);
    CHECK(watch_refused(&f, 0, NULL) == CCZ_RPC_UNIMPLEMENTED);
    CHECK(watch_refused(&f, 2, two) == CCZ_RPC_UNIMPLEMENTED);
    CHECK(watch_refused(&f, 1, &wrong) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(watch_refused(&f, 1, &big) == CCZ_RPC_INVALID_ARGUMENT);
    end(&f);
}

/* Stopping does not wait for watches; the same server can start again. */
static void test_stop(void)
{
    struct fixture f;
    struct ccz_rpc_result res = {0};
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 64);
    begin(&f);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK);
    CCZ_AUTO(ccz_rpc_stream) one = watch(&f, "t.T");
    CCZ_AUTO(ccz_rpc_stream) nobody = watch(&f, "nobody");
    CHECK(next_status(one) == CCZ_RPC_SERVING && next_status(nobody) == CCZ_RPC_SERVICE_UNKNOWN);
    ccz_rpc_server_stop(f.server, INT64_C(1)
                                      << 40); /* for ever, if something waited for the watches */
    CHECK(next_status(one) == CCZ_RPC_NOT_SERVING);
    CHECK(ccz_rpc_stream_recv(&msg, one, &res, NULL) == CCZ_E_UNAVAILABLE &&
          strstr(res.message, "stopping"));
    CHECK(ccz_rpc_stream_recv(&msg, nobody, &res, NULL) == CCZ_E_UNAVAILABLE);
    CHECK(ccz_rpc_health_get(health, "") == CCZ_RPC_NOT_SERVING);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK);
    CHECK(ccz_rpc_health_get(health, "t.T") == CCZ_RPC_NOT_SERVING);
    ccz_rpc_health_resume(health);
    CHECK(ccz_rpc_health_get(health, "t.T") == CCZ_RPC_SERVING);
    end(&f);
}

/* Before it stops: who watches hears of it and goes on watching, whoever asks is told the same. */
static void test_suspend(void)
{
    struct fixture f;
    begin(&f);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK);
    CCZ_AUTO(ccz_rpc_stream) one = watch(&f, "t.T");
    CCZ_AUTO(ccz_rpc_stream) nobody = watch(&f, "nobody");
    CHECK(next_status(one) == CCZ_RPC_SERVING && next_status(nobody) == CCZ_RPC_SERVICE_UNKNOWN);
    ccz_rpc_health_suspend(health);
    CHECK(next_status(one) == CCZ_RPC_NOT_SERVING);
    enum ccz_rpc_serving status;
    CHECK(check(&f, "", &status) == CCZ_RPC_OK && status == CCZ_RPC_NOT_SERVING);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING) == CCZ_OK); /* no news */
    CHECK(ccz_rpc_health_get(health, "t.T") == CCZ_RPC_NOT_SERVING);
    ccz_rpc_health_resume(health);
    CHECK(next_status(one) == CCZ_RPC_SERVING);
    end(&f);
}

enum { WATCHES = 24, CHANGES = 400 };

static void *change(void *arg)
{
    (void)arg;
    for (int i = 0; i < CHANGES; i++)
        CHECK(ccz_rpc_health_set(health, "t.T", i % 2 ? CCZ_RPC_SERVING : CCZ_RPC_NOT_SERVING) ==
              CCZ_OK);
    return NULL;
}

/* Several threads change a status while watches come and go: each watch is told the last one last. */
static void test_watch_threads(void)
{
    struct fixture f;
    pthread_t t[2];
    struct ccz_rpc_stream *s[WATCHES];
    begin(&f);
    for (int i = 0; i < WATCHES; i++)
        s[i] = watch(&f, "t.T");
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&t[i], NULL, change, NULL) == 0);
    for (int i = 0; i < WATCHES; i += 3) {
        (void)next_status(s[i]);
        ccz_rpc_stream_free(s[i]);
        s[i] = watch(&f, "t.T");
    }
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(ccz_rpc_health_set(health, "t.T", CCZ_RPC_SERVING_UNKNOWN) == CCZ_OK);
    for (int i = 0; i < WATCHES; i++) {
        int told = 0;
        while (next_status(s[i]) != CCZ_RPC_SERVING_UNKNOWN)
            told++;
        CHECK(told <= 2 * CHANGES + 1);
        ccz_rpc_stream_free(s[i]);
    }
    end(&f);
}

/* -------------------------------------------------------------------------------- reflection */

static struct ccz_rpc_stream *talk(struct fixture *f)
{
    struct ccz_rpc_stream *s = NULL;
    CHECK(ccz_rpc_stream_open(&s, f->client, REFLECTION, NULL, NULL) == CCZ_OK);
    return s;
}

/* Sends a request and takes the answer apart: @return the number of its kind; @p body is the content. */
static uint32_t ask(struct ccz_buf *answer, struct ccz_span *body, struct ccz_rpc_stream *s,
                    uint32_t field, struct ccz_span value)
{
    struct ccz_pb_field f;
    uint32_t kind = 0;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, 1 << 16);
    ccz_pb_put_str(&in, 1, "host.example");
    ccz_pb_put_bytes(&in, field, value);
    ccz_buf_clear(answer);
    CHECK(ccz_rpc_stream_send(s, ccz_buf_span(&in)) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(answer, s, NULL, NULL) == CCZ_OK);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(answer));
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1)
            CHECK(ccz_span_eq(f.bytes, ccz_span_str("host.example")));
        else if (f.number == 2)
            CHECK(ccz_span_eq(f.bytes, ccz_buf_span(&in)));
        else
            kind = f.number, *body = f.bytes;
    }
    CHECK(!r.bad);
    return kind;
}

/* Contents of field 1 of each repeated message, joined by spaces. Of a file that is its name. */
static const char *names(struct ccz_buf *out, struct ccz_span body)
{
    struct ccz_rd r = ccz_rd_from(body);
    struct ccz_pb_field f, name;
    ccz_buf_clear(out);
    while (ccz_pb_next(&f, &r)) {
        struct ccz_rd in = ccz_rd_from(f.bytes);
        CHECK(f.number == 1 && ccz_pb_next(&name, &in) && name.number == 1);
        ccz_buf_put_span(out, name.bytes);
        ccz_buf_put_str(out, " ");
    }
    CHECK(!r.bad);
    return ccz_buf_str(out);
}

static uint64_t error_code(struct ccz_span body)
{
    struct ccz_rd r = ccz_rd_from(body);
    struct ccz_pb_field f;
    CHECK(ccz_pb_next(&f, &r) && f.number == 1);
    return f.num;
}

/* base.proto, with the message b.Base; top.proto, which imports it and extends b.Base by 200 and 300; filler of a megabyte. */
static void add_files(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 2 << 20);
    size_t file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "base.proto");
    ccz_pb_put_str(&b, 2, "b");
    ccz_pb_put_bytes(&b, 4, CCZ_SPAN("\12\4Base", 6));
    ccz_pb_close(&b, file);
    file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "top.proto");
    ccz_pb_put_str(&b, 3, "base.proto");
    for (unsigned i = 2; i < 4; i++) {
        char name[] = {'x', (char)('0' + i), 0};
        size_t ext = ccz_pb_open(&b, 7);
        ccz_pb_put_str(&b, 1, name);
        ccz_pb_put_str(&b, 2, ".b.Base");
        ccz_pb_put_uint(&b, 3, 100 * i);
        ccz_pb_close(&b, ext);
    }
    ccz_pb_close(&b, file);
    file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "filler.proto");
    size_t info = ccz_pb_open(&b, 9);
    memset(ccz_buf_extend(&b, 1 << 20), 'c', 1 << 20);
    ccz_pb_close(&b, info);
    ccz_pb_close(&b, file);
    struct ccz_err err;
    CHECK(ccz_rpc_reflection_add(reflection, ccz_buf_span(&b), &err) == CCZ_OK);
}

static void add_services_and_files(struct fixture *f)
{
    add_services(f);
    add_files();
}

static void begin_reflection(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->before_start = add_services_and_files;
    start_server(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){.reconnect = true});
}

static void test_reflection(void)
{
    struct fixture f;
    struct ccz_span body = {0};
    CCZ_AUTO_BUF answer, text, rq;
    ccz_buf_init(&answer, 4 << 20);
    ccz_buf_init(&text, 4096);
    ccz_buf_init(&rq, 4096);
    begin_reflection(&f);
    CCZ_AUTO(ccz_rpc_stream) s = talk(&f);
    CHECK(ask(&answer, &body, s, 7, ccz_span_str("*")) == 6);
    CHECK(strcmp(names(&text, body), "grpc.health.v1.Health grpc.reflection.v1.ServerReflection "
                                     "grpc.reflection.v1alpha.ServerReflection t.T ") == 0);
    CHECK(ask(&answer, &body, s, 3, ccz_span_str("grpc/health/v1/health.proto")) == 4);
    CHECK(strcmp(names(&text, body), "grpc/health/v1/health.proto ") == 0);
    CHECK(ask(&answer, &body, s, 4, ccz_span_str("grpc.health.v1.Health.Watch")) == 4);
    CHECK(strcmp(names(&text, body), "grpc/health/v1/health.proto ") == 0);
    CHECK(ask(&answer, &body, s, 4, ccz_span_str("x2")) == 4); /* imports come along, once */
    CHECK(strcmp(names(&text, body), "top.proto base.proto ") == 0);
    CHECK(ask(&answer, &body, s, 3, ccz_span_str("top.proto")) == 4);
    CHECK(strcmp(names(&text, body), "top.proto ") == 0);
    ccz_pb_put_str(&rq, 1, "b.Base");
    ccz_pb_put_uint(&rq, 2, 300);
    CHECK(ask(&answer, &body, s, 5, ccz_buf_span(&rq)) == 4);
    CHECK(strcmp(names(&text, body), "top.proto ") == 0);
    CHECK(ask(&answer, &body, s, 6, ccz_span_str("b.Base")) == 5);
    CHECK(ccz_span_eq(ccz_span_sub(body, body.size - 4, 4), CCZ_SPAN("\xc8\1\xac\2", 4)));
    CHECK(ask(&answer, &body, s, 6, ccz_span_str("grpc.health.v1.HealthListRequest")) == 5);
    static const struct {
        uint32_t field;
        const char *value;
        uint64_t code;
    } errors[] = {
        {3, "x.proto", CCZ_RPC_NOT_FOUND},
        {4, "b", CCZ_RPC_NOT_FOUND},
        {4, "", CCZ_RPC_NOT_FOUND},
        {6, "b.Nobody", CCZ_RPC_NOT_FOUND},
        {6, "x2", CCZ_RPC_NOT_FOUND},
        {5, "\12\6b.Base\20\5", CCZ_RPC_NOT_FOUND},
        {5, "\10\1", CCZ_RPC_INVALID_ARGUMENT},
        {5, "\12\7b", CCZ_RPC_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        CHECK(ask(&answer, &body, s, errors[i].field, ccz_span_str(errors[i].value)) == 7);
        CHECK(error_code(body) == errors[i].code);
    }
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&answer, s, NULL, NULL) == CCZ_E_NOT_FOUND);
    CHECK(ccz_rpc_reflection_add(reflection, ccz_span_str("\12\0"), NULL) == CCZ_E_ARG);
    end(&f);
}

static enum ccz_rpc_code refused(struct fixture *f, struct ccz_span request)
{
    struct ccz_rpc_result res = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    CCZ_AUTO(ccz_rpc_stream) s = talk(f);
    CHECK(ccz_rpc_stream_send(s, request) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&out, s, &res, NULL) != CCZ_OK);
    return res.code;
}

static void test_reflection_refused(void)
{
    struct fixture f;
    static const uint8_t big[1 << 17] = "\x3a\xfa\xff\x07";
    begin_reflection(&f);
    CHECK(refused(&f, (struct ccz_span){0}) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(refused(&f, ccz_span_str("\12\1h")) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(refused(&f, ccz_span_str("\32\5abc")) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(refused(&f, ccz_span_str("\x38\1")) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(refused(&f, CCZ_SPAN(big, sizeof(big))) == CCZ_RPC_RESOURCE_EXHAUSTED);
    end(&f);
}

/* Small questions about large files, and nobody reads the answers. */
static void test_reflection_flood(void)
{
    struct fixture f;
    struct ccz_rpc_result res = {0};
    CCZ_AUTO_BUF rq, out;
    ccz_buf_init(&rq, 64);
    ccz_buf_init(&out, 64 << 20);
    begin_reflection(&f);
    CCZ_AUTO(ccz_rpc_stream) s = talk(&f);
    ccz_pb_put_str(&rq, 3, "filler.proto");
    ccz_rc rc = CCZ_OK;
    size_t answers = 0;
    for (int i = 0; rc == CCZ_OK && i < 200; i++)
        rc = ccz_rpc_stream_send(s, ccz_buf_span(&rq));
    do {
        ccz_buf_clear(&out);
        rc = ccz_rpc_stream_recv(&out, s, &res, NULL);
        answers += rc == CCZ_OK;
    } while (rc == CCZ_OK);
    CHECK(res.code == CCZ_RPC_RESOURCE_EXHAUSTED && answers > 0 && answers < 100);
    end(&f);
}

static ccz_rc nobody(void *arg, const struct ccz_ratls_peer *peer, const char *path,
                     struct ccz_err *err)
{
    (void)peer;
    CHECK(strncmp(path, arg, strlen(arg)) == 0);
    return ccz_refuse(err, CCZ_E_DENIED, "test:guard", path, "nobody");
}

static void add_guards(struct fixture *f)
{
    static char services[][48] = {"/grpc.health.v1.Health/",
                                  "/grpc.reflection.v1.ServerReflection/"};
    add_services(f);
    for (size_t i = 0; i < 2; i++)
        CHECK(ccz_rpc_server_guard(f->server, services[i], nobody, services[i]) == CCZ_OK);
}

/* Guards hold for these services as for any. */
static void test_guarded(void)
{
    struct fixture f = {.before_start = add_guards};
    enum ccz_rpc_serving status;
    const struct ccz_span empty = {0};
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){.reconnect = true});
    CHECK(check(&f, "", &status) == CCZ_RPC_UNAUTHENTICATED); /* as is who shows no evidence */
    CHECK(watch_refused(&f, 1, &empty) == CCZ_RPC_UNAUTHENTICATED);
    CHECK(refused(&f, ccz_span_str("\x3a\1*")) == CCZ_RPC_UNAUTHENTICATED);
    end(&f);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rpc.health_check", test_check},
        {"rpc.health_list", test_list},
        {"rpc.health_watch", test_watch},
        {"rpc.health_watch_refused", test_watch_refused},
        {"rpc.health_stop", test_stop},
        {"rpc.health_suspend", test_suspend},
        {"rpc.health_watch_threads", test_watch_threads},
        {"rpc.services_guarded", test_guarded},
        {"rpc.reflection", test_reflection},
        {"rpc.reflection_refused", test_reflection_refused},
        {"rpc.reflection_flood", test_reflection_flood},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
