/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/2 engine over memory, against a bare nghttp2 peer that breaks rules. */
#include "rpc/h2_ends.h"

#include <stdio.h>

/* ----------------------------------------------------------------------- a bare nghttp2 peer */

struct raw {
    nghttp2_session *ng;
    char status[16], grpc_status[16], grpc_message[256], allow[16], accept[32];
    uint32_t rst, goaway;
    size_t body_size;
    bool closed, got_goaway;
};

static int raw_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                      void *user)
{
    (void)ng, (void)frame, (void)flags, (void)name_size, (void)value_size;
    struct raw *r = user;
    const char *k = (const char *)name, *v = (const char *)value;
    char *to = strcmp(k, ":status") == 0       ? r->status
               : strcmp(k, "grpc-status") == 0 ? r->grpc_status
               : strcmp(k, "allow") == 0       ? r->allow
                                               : NULL;
    if (to)
        (void)snprintf(to, 16, "%s", v);
    if (strcmp(k, "grpc-message") == 0)
        (void)snprintf(r->grpc_message, sizeof(r->grpc_message), "%s", v);
    if (strcmp(k, "grpc-accept-encoding") == 0)
        (void)snprintf(r->accept, sizeof(r->accept), "%s", v);
    return 0;
}

static int raw_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)ng;
    struct raw *r = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        r->got_goaway = true;
        r->goaway = frame->goaway.error_code;
    }
    return 0;
}

static int raw_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t size, void *user)
{
    (void)ng, (void)flags, (void)id, (void)data;
    ((struct raw *)user)->body_size += size;
    return 0;
}

static int raw_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
    (void)ng, (void)id;
    struct raw *r = user;
    r->closed = true;
    r->rst = code;
    return 0;
}

static void open_raw(struct raw *r, bool server)
{
    memset(r, 0, sizeof(*r));
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    CHECK(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
    nghttp2_session_callbacks_set_on_header_callback(cb, raw_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, raw_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, raw_close);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, raw_data);
    nghttp2_option_set_no_http_messaging(opt, 1);
    nghttp2_option_set_max_send_header_block_length(opt, 1 << 20);
    CHECK((server ? nghttp2_session_server_new2(&r->ng, cb, r, opt)
                  : nghttp2_session_client_new2(&r->ng, cb, r, opt)) == 0);
    CHECK(nghttp2_submit_settings(r->ng, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
}

static void run_raw(struct raw *r, struct end *e)
{
    struct ccz_err err;
    for (int i = 0; i < 50; i++) {
        const uint8_t *p;
        ssize_t n;
        while ((n = nghttp2_session_mem_send(r->ng, &p)) > 0)
            if (cczi_h2_feed(e->h, CCZ_SPAN(p, (size_t)n), &err) != CCZ_OK)
                return;
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 24);
        CHECK(cczi_h2_pull(&wire, e->h, 1 << 20, &err) == CCZ_OK);
        if (wire.size && nghttp2_session_mem_recv(r->ng, wire.ptr, wire.size) < 0)
            return;
    }
}

#define NV(k, v)                                                                                   \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(k), (uint8_t *)(uintptr_t)(v), strlen(k), strlen(v),                \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

struct body {
    const char *ptr;
    size_t size;
};

static ssize_t raw_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    (void)ng, (void)id, (void)user;
    struct body *b = source->ptr;
    size_t n = b->size < size ? b->size : size;
    memcpy(buf, b->ptr, n);
    b->ptr += n;
    b->size -= n;
    if (b->size == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* One request with one header replaced or added, and a body; what the server makes of it. */
static void raw_request(struct raw *r, struct end *s, const char *key, const char *value,
                        struct body body)
{
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc"),
                       NV("x-extra", "1")};
    size_t len = sizeof(nv) / sizeof(nv[0]);
    for (size_t i = 0; key && i < len; i++) {
        bool same = nv[i].namelen == strlen(key) && memcmp(nv[i].name, key, nv[i].namelen) == 0;
        if (!same && i + 1 < len)
            continue;
        nv[i] = value ? (nghttp2_nv)NV(key, value) : (nghttp2_nv)NV("x-instead", "1");
        break;
    }
    open_raw(r, false);
    open_end(s, true, 100);
    s->echo = true;
    nghttp2_data_provider p = {.source = {.ptr = &body}, .read_callback = raw_read};
    CHECK(nghttp2_submit_request(r->ng, NULL, nv, len, body.ptr ? &p : NULL, NULL) > 0);
    run_raw(r, s);
    cczi_h2_free(s->h);
    nghttp2_session_del(r->ng);
}

static const struct body hello = {"\0\0\0\0\5hello", 10};

static void test_request_headers(void)
{
    static char long_value[2000];
    memset(long_value, 'x', sizeof(long_value) - 1);
    static const struct {
        const char *key, *value, *status, *grpc_status;
    } cases[] = {
        {NULL, NULL, "200", "0"},
        {":method", "GET", "405", ""},
        {":method", "PUT", "405", ""},
        {":method", "HEAD", "405", ""},
        {"content-type", "text/html", "415", ""},
        {"content-type", "application/grpcx", "415", ""},
        {"content-type", "application/grpc+proto", "200", "0"},
        {"content-type", "application/grpc;x=y", "200", "0"},
        {"te", NULL, "200", "13"},
        {"content-type", NULL, "415", ""},
        {"grpc-encoding", "gzip", "200", "0"}, /* the messages need not be */
        {"grpc-encoding", "deflate", "200", "0"},
        {"grpc-encoding", "snappy", "200", "12"},
        {"grpc-encoding", "", "200", "12"},
        {"grpc-encoding", "gzip,gzip", "200", "12"},
        {"grpc-encoding", "identity", "200", "0"},
        {"grpc-timeout", "5x", "200", "13"},
        {"grpc-timeout", "123456789m", "200", "13"},
        {"grpc-timeout", "5S", "200", "0"},
        {"x-raw-bin", "!!", "200", "13"},
        {"x-raw-bin", "AAE", "200", "0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r;
        struct end s;
        raw_request(&r, &s, cases[i].key, cases[i].value, hello);
        if (strcmp(r.status, cases[i].status) != 0 ||
            strcmp(r.grpc_status, cases[i].grpc_status) != 0)
            fprintf(stderr, "%s: %s: HTTP %s, gRPC %s (%s)\n", cases[i].key, cases[i].value,
                    r.status, r.grpc_status, r.grpc_message);
        CHECK(strcmp(r.status, cases[i].status) == 0 &&
              strcmp(r.grpc_status, cases[i].grpc_status) == 0);
        CHECK(s.requests == (strcmp(cases[i].grpc_status, "0") == 0) && s.closes == 1);
        CHECK(strcmp(r.allow, strcmp(r.status, "405") == 0 ? "POST" : "") == 0);
        bool head = cases[i].value && strcmp(cases[i].value, "HEAD") == 0;
        if (strcmp(r.status, "200") != 0) /* a line for people */
            CHECK(r.closed && r.rst == NGHTTP2_NO_ERROR && (r.body_size > 20) == !head);
        /* above all with UNIMPLEMENTED: the client learns what it may send */
        CHECK(strcmp(r.accept, strcmp(r.status, "200") == 0 ? CCZI_ACCEPT_ENCODING : "") == 0);
    }
}

static void test_header_limits(void)
{
    static char value[2000];
    memset(value, 'x', sizeof(value) - 1);
    struct raw r;
    struct end s;
    for (size_t fields = 20; fields <= 60; fields += 40) { /* 40 KB pass, 120 KB do not */
        nghttp2_nv nv[80] = {NV(":method", "POST"), NV(":scheme", "https"),
                             NV(":path", "/a/B"),   NV(":authority", "t"),
                             NV("te", "trailers"),  NV("content-type", "application/grpc")};
        for (size_t i = 0; i < fields; i++)
            nv[6 + i] = (nghttp2_nv)NV("x-long", value);
        open_raw(&r, false);
        open_end(&s, true, 100);
        s.echo = true;
        CHECK(nghttp2_submit_request(r.ng, NULL, nv, 6 + fields, NULL, NULL) > 0);
        run_raw(&r, &s);
        CHECK(s.requests == (fields == 20) && r.closed);
        if (fields == 60)
            CHECK(strcmp(r.grpc_status, "8") == 0);
        cczi_h2_free(s.h);
        nghttp2_session_del(r.ng);
    }
    nghttp2_nv many[6 + 70] = {NV(":method", "POST"), NV(":scheme", "https"),
                               NV(":path", "/a/B"),   NV(":authority", "t"),
                               NV("te", "trailers"),  NV("content-type", "application/grpc")};
    for (size_t i = 0; i < 70; i++)
        many[6 + i] = (nghttp2_nv)NV("x", "y");
    open_raw(&r, false);
    open_end(&s, true, 100);
    CHECK(nghttp2_submit_request(r.ng, NULL, many, 76, NULL, NULL) > 0);
    run_raw(&r, &s);
    CHECK(s.requests == 0 && strcmp(r.grpc_status, "8") == 0);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

static void test_request_body(void)
{
    static const struct {
        struct body body;
        const char *grpc_status;
        unsigned messages;
    } cases[] = {
        {{"\0\0\0\0\5hello", 10}, "0", 1},
        {{"\0\0\0\0\5hello\0\0\0\0\0", 15}, "0", 2},
        {{"\0\0\0\0\5hell", 9}, "13", 0},
        {{"\0\0", 2}, "13", 0},
        {{"\0\0\0\0\x65", 5}, "8", 0},
        {{"\1\0\0\0\1x", 6}, "13", 0},
        {{"\2\0\0\0\1x", 6}, "13", 0},
        {{"\0\xff\xff\xff\xff", 5}, "8", 0},
        {{"\0\0\0\0\1a\1\0\0\0\1x", 12}, "13", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r;
        struct end s;
        raw_request(&r, &s, NULL, NULL, cases[i].body);
        if (strcmp(r.grpc_status, cases[i].grpc_status) != 0)
            fprintf(stderr, "case %zu: gRPC %s (%s)\n", i, r.grpc_status, r.grpc_message);
        CHECK(strcmp(r.grpc_status, cases[i].grpc_status) == 0 && s.messages == cases[i].messages);
        CHECK(s.closes == 1);
    }
}

static ssize_t raw_read_more(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size,
                             uint32_t *flags, nghttp2_data_source *source, void *user)
{
    const nghttp2_nv trailer = NV(":method", "POST");
    ssize_t n = raw_read(ng, id, buf, size, flags, source, user);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    CHECK(nghttp2_submit_trailer(ng, id, &trailer, 1) == 0);
    return n;
}

/* What HTTP/2 itself forbids in a request resets its stream, and only that. */
static void test_malformed(void)
{
    struct raw r;
    struct end s;
    raw_request(&r, &s, "content-length", "3", hello);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && !r.got_goaway && !r.grpc_status[0]);
    raw_request(&r, &s, "content-length", "10", hello);
    CHECK(r.closed && r.rst == NGHTTP2_NO_ERROR && strcmp(r.grpc_status, "0") == 0);
    raw_request(&r, &s, "te", "gzip", hello);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && s.requests == 0);
    raw_request(&r, &s, "connection", "close", hello);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && s.requests == 0);

    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    struct body body = hello;
    nghttp2_data_provider p = {.source = {.ptr = &body}, .read_callback = raw_read_more};
    open_raw(&r, false);
    open_end(&s, true, 100);
    s.echo = true;
    CHECK(nghttp2_submit_request(r.ng, NULL, nv, 6, &p, NULL) > 0); /* ":method" as a trailer */
    run_raw(&r, &s);
    CHECK(s.messages == 1 && s.half_closes == 0);
    CHECK(r.closed && r.rst == NGHTTP2_PROTOCOL_ERROR && !r.got_goaway);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

/* CVE-2023-44487: streams opened and reset at once. The connection is ended, memory does not grow.
 */
static void test_rapid_reset(void)
{
    struct raw r;
    struct end s;
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    open_raw(&r, false);
    open_end(&s, true, 100);
    int rounds = 0;
    while (!r.got_goaway && rounds++ < 2000) {
        int32_t id = nghttp2_submit_request(r.ng, NULL, nv, 6, NULL, NULL);
        run_raw(&r, &s);
        if (id > 0)
            (void)nghttp2_submit_rst_stream(r.ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        run_raw(&r, &s);
        CHECK(cczi_h2_streams(s.h) <= 8);
    }
    CHECK(r.got_goaway && r.goaway == NGHTTP2_ENHANCE_YOUR_CALM &&
          rounds <= CCZI_H2_RESETS_FREE + 2);
    CHECK(cczi_h2_done(s.h));
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

/* CVE-2025-8671: streams that the client makes *us* reset, here by overflowing their windows. */
static void test_made_reset(void)
{
    struct raw r;
    struct end s;
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    open_raw(&r, false);
    open_end(&s, true, 100);
    int rounds = 0;
    while (!r.got_goaway && rounds++ < 2000) {
        int32_t id = nghttp2_submit_request(r.ng, NULL, nv, 6, NULL, NULL);
        run_raw(&r, &s);
        const uint8_t overflow[] = {
            0,    0,    4,   NGHTTP2_WINDOW_UPDATE, 0, 0, 0, (uint8_t)(id >> 8), (uint8_t)id, 0x7f,
            0xff, 0xff, 0xff};
        if (id > 0)
            (void)(cczi_h2_feed(s.h, CCZ_SPAN(overflow, sizeof(overflow)), NULL) == CCZ_OK);
        run_raw(&r, &s);
    }
    CHECK(r.got_goaway && r.goaway == NGHTTP2_ENHANCE_YOUR_CALM &&
          rounds <= CCZI_H2_RESETS_FREE + 2);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

/* Many incomplete messages at once: the connection's budget holds. */
static void test_budget(void)
{
    struct raw r;
    struct end s;
    static char part[100000];
    part[1] = 0, part[2] = 1, part[3] = (char)0x86, part[4] = (char)0xa0; /* announces 100,000 */
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "https"),
                       NV(":path", "/a/B"),   NV(":authority", "t"),
                       NV("te", "trailers"),  NV("content-type", "application/grpc")};
    open_raw(&r, false);
    open_end(&s, true, 100000);
    run_raw(&r, &s);
    struct body body[8];
    for (int i = 0; i < 8; i++) {
        body[i] = (struct body){part, 90000};
        nghttp2_data_provider p = {.source = {.ptr = &body[i]}, .read_callback = raw_read};
        nghttp2_nv copy[6];
        memcpy(copy, nv, sizeof(nv));
        /* NO_END_STREAM: each message stays incomplete */
        CHECK(nghttp2_submit_headers(r.ng, NGHTTP2_FLAG_NONE, -1, NULL, copy, 6, NULL) > 0);
        run_raw(&r, &s);
        CHECK(nghttp2_submit_data(r.ng, NGHTTP2_FLAG_NONE, 1 + 2 * i, &p) == 0);
        run_raw(&r, &s);
        CHECK(cczi_h2_buffered(s.h) <= 4 * 100000 + 16384);
    }
    CHECK(strcmp(r.grpc_status, "8") == 0 && s.closes >= 1);
    cczi_h2_free(s.h);
    nghttp2_session_del(r.ng);
}

static void test_garbage(void)
{
    static const char *const garbage[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nAAAAAAAAAAAAAAAA",
                                          "\x16\x03\x01\x02"};
    for (size_t i = 0; i < 3; i++) {
        struct end s;
        struct ccz_err err = {0};
        open_end(&s, true, 100);
        ccz_rc rc = cczi_h2_feed(s.h, ccz_span_str(garbage[i]), &err);
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        if (cczi_h2_pull(&wire, s.h, 1 << 16, &err) == CCZ_OK)
            CHECK(rc != CCZ_OK || cczi_h2_done(s.h));
        cczi_h2_free(s.h);
    }
}

/* ------------------------------------------------------------- what a client makes of responses */

struct answer {
    const char *status, *content, *grpc_status; /* NULL = not sent */
    struct body body;
    uint32_t rst; /* instead of trailers */
    bool informational;
    const char *encoding;
};

static int32_t wait_request(struct raw *r, struct end *c)
{
    run_raw(r, c);
    return nghttp2_session_get_last_proc_stream_id(r->ng);
}

static void answer(struct raw *r, struct end *c, const struct answer *a)
{
    open_raw(r, true);
    open_end(c, false, 100);
    cczi_stream_half_close(request(c, "/a/B"));
    int32_t id = wait_request(r, c);
    CHECK(id == 1);
    nghttp2_nv early[] = {NV(":status", "103")}, nv[4] = {NV(":status", a->status)};
    size_t len = 1;
    if (a->informational)
        CHECK(nghttp2_submit_headers(r->ng, NGHTTP2_FLAG_NONE, id, NULL, early, 1, NULL) == 0);
    if (a->content)
        nv[len++] = (nghttp2_nv)NV("content-type", a->content);
    if (a->encoding)
        nv[len++] = (nghttp2_nv)NV("grpc-encoding", a->encoding);
    struct body body = a->body;
    nghttp2_data_provider p = {.source = {.ptr = &body}, .read_callback = raw_read};
    bool trailers = body.ptr && a->grpc_status;
    if (!body.ptr && a->grpc_status)
        nv[len++] = (nghttp2_nv)NV("grpc-status", a->grpc_status);
    CHECK(nghttp2_submit_headers(r->ng,
                                 body.ptr || a->rst ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM,
                                 id, NULL, nv, len, NULL) == 0);
    run_raw(r, c);
    if (body.ptr && !c->closes) /* else it was refused already */
        CHECK(nghttp2_submit_data(r->ng,
                                  trailers || a->rst ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM,
                                  id, &p) == 0);
    run_raw(r, c);
    nghttp2_nv last[] = {NV("grpc-status", a->grpc_status ? a->grpc_status : "")};
    if (trailers && !c->closes)
        CHECK(nghttp2_submit_trailer(r->ng, id, last, 1) == 0);
    if (a->rst)
        CHECK(nghttp2_submit_rst_stream(r->ng, NGHTTP2_FLAG_NONE, id, a->rst) == 0);
    run_raw(r, c);
    CHECK(c->closes == 1);
    cczi_h2_free(c->h);
    nghttp2_session_del(r->ng);
}

static void test_responses(void)
{
    static const char grpc[] = "application/grpc";
    static const struct {
        struct answer a;
        enum ccz_rpc_code code;
        unsigned messages;
    } cases[] = {
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_OK,
         1},
        {{.status = "200", .content = grpc, .grpc_status = "5"}, CCZ_RPC_NOT_FOUND, 0},
        {{.status = "200",
          .content = grpc,
          .grpc_status = "0",
          .body = {"\0\0\0\0\1x", 6},
          .informational = true},
         CCZ_RPC_OK,
         1},
        {{.status = "503", .content = "text/html", .body = {"<html>", 6}}, CCZ_RPC_UNAVAILABLE, 0},
        {{.status = "404"}, CCZ_RPC_UNIMPLEMENTED, 0},
        {{.status = "200", .content = "text/html", .body = {"\0\0\0\0\1x", 6}}, CCZ_RPC_UNKNOWN, 0},
        {{.status = "200", .content = grpc, .body = {"\0\0\0\0\1x", 6}}, CCZ_RPC_UNKNOWN, 1},
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\0\0\0\0\2x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200", .content = grpc, .grpc_status = "77", .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_UNKNOWN,
         1},
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\0\0\0\0\x7fx", 6}},
         CCZ_RPC_RESOURCE_EXHAUSTED,
         0},
        {{.status = "200", .content = grpc, .grpc_status = "0", .body = {"\1\0\0\0\1x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200",
          .content = grpc,
          .encoding = "gzip",
          .grpc_status = "0",
          .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_OK,
         1},
        {{.status = "200",
          .content = grpc,
          .encoding = "gzip",
          .grpc_status = "0",
          .body = {"\1\0\0\0\1x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200",
          .content = grpc,
          .encoding = "snappy",
          .grpc_status = "0",
          .body = {"\0\0\0\0\1x", 6}},
         CCZ_RPC_INTERNAL,
         0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_REFUSED_STREAM}, CCZ_RPC_UNAVAILABLE, 0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_CANCEL}, CCZ_RPC_CANCELLED, 0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_ENHANCE_YOUR_CALM},
         CCZ_RPC_RESOURCE_EXHAUSTED,
         0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_INADEQUATE_SECURITY},
         CCZ_RPC_PERMISSION_DENIED,
         0},
        {{.status = "200", .content = grpc, .rst = NGHTTP2_INTERNAL_ERROR}, CCZ_RPC_INTERNAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct raw r;
        struct end c;
        answer(&r, &c, &cases[i].a);
        if (c.code != cases[i].code || c.messages != cases[i].messages)
            fprintf(stderr, "case %zu: %s (%s), %u messages\n", i, ccz_rpc_code_name(c.code),
                    c.message, c.messages);
        CHECK(c.code == cases[i].code && c.messages == cases[i].messages);
    }
}
static const struct ccz_test tests[] = {
    {"rpc.h2_request_headers", test_request_headers},
    {"rpc.h2_header_limits", test_header_limits},
    {"rpc.h2_request_body", test_request_body},
    {"rpc.h2_rapid_reset", test_rapid_reset},
    {"rpc.h2_made_reset", test_made_reset},
    {"rpc.h2_budget", test_budget},
    {"rpc.h2_garbage", test_garbage},
    {"rpc.h2_malformed", test_malformed},
    {"rpc.h2_responses", test_responses},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
