/* SPDX-License-Identifier: Apache-2.0 */
/* What calls can say besides their messages: compression, metadata, rich status; and who may call: guards. */
#define _DEFAULT_SOURCE
#include "rpc/rpc_fixture.h"

static ccz_rc call(struct fixture *f, const char *path, struct ccz_span request,
                   const struct ccz_rpc_call_cfg *cfg, struct ccz_rpc_result *res,
                   struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    memset(err, 0, sizeof(*err));
    return ccz_rpc_unary(&out, res, f->client, path, request, cfg, err);
}

static void with_methods(struct fixture *f, void (*add)(struct fixture *f),
                         struct ccz_rpc_server_cfg server, struct ccz_rpc_client_cfg client)
{
    memset(f, 0, sizeof(*f));
    f->before_start = add;
    start_server(f, CCZ_RATLS_SESSION, server);
    client.reconnect = true;
    make_client(f, CCZ_RATLS_SESSION, client);
}

/* ------------------------------------------------------------------------------- compression */

static char text[50000];

static struct ccz_span long_text(void)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "over and over "[i % 14];
    return CCZ_SPAN(text, sizeof(text));
}

/* Answers compressed, and says how the question came. */
static void zip(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    (void)arg;
    bool in = ccz_rpc_message_compressed(c);
    ccz_rpc_add_header(c, "x-in", ccz_span_str(in ? "gzip" : "identity"));
    ccz_rpc_set_compression(c, CCZ_RPC_GZIP);
    ccz_rpc_reply(c, request);
}

static void *zip_later(void *arg)
{
    struct ccz_rpc_call *c = arg;
    zip(c, NULL, long_text());
    ccz_rpc_call_unref(c);
    return NULL;
}

static void zip_thread(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    pthread_t t;
    ccz_rpc_call_ref(c);
    CHECK(pthread_create(&t, NULL, zip_later, c) == 0);
    pthread_detach(t);
}

/* A stream that is asked for "z", "p" and ends with "!": each answer compressed or not. */
static void switch_message(struct ccz_rpc_call *c, void *arg, struct ccz_span msg)
{
    (void)arg;
    ccz_rpc_set_compression(c, msg.ptr[0] == 'z' ? CCZ_RPC_GZIP : CCZ_RPC_IDENTITY);
    ccz_rpc_send(c, long_text());
}

static void switch_end(struct ccz_rpc_call *c, void *arg)
{
    (void)arg;
    ccz_rpc_finish(c, CCZ_RPC_OK, NULL);
}

static void add_zip(struct fixture *f)
{
    struct ccz_rpc_handler h = {.on_message = switch_message, .on_half_close = switch_end};
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Zip", zip, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/ZipThread", zip_thread, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(f->server, "/t.T/Switch", &h, f) == CCZ_OK);
}

static void expect_zip(struct fixture *f, const char *path, struct ccz_span request,
                       enum ccz_rpc_compression c, const char *in, bool out)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    CCZ_AUTO(ccz_rpc_received) got = NULL;
    CHECK(ccz_rpc_received_new(&got) == CCZ_OK);
    struct ccz_rpc_call_cfg cfg = {.compression = c, .received = got};
    CHECK(call(f, path, request, &cfg, &res, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_rpc_received_get(got, "x-in"), ccz_span_str(in)));
    CHECK(res.compressed == out);
}

static void test_compression(void)
{
    struct fixture f;
    with_methods(&f, add_zip, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    struct ccz_span big = long_text();
    expect_zip(&f, "/t.T/Zip", big, CCZ_RPC_IDENTITY, "identity", true);
    expect_zip(&f, "/t.T/Zip", big, CCZ_RPC_GZIP, "gzip", true);
    expect_zip(&f, "/t.T/ZipThread", big, CCZ_RPC_GZIP, "gzip", true);
    expect_zip(&f, "/t.T/Zip", ccz_span_str("tiny"), CCZ_RPC_GZIP, "identity", false);
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct ccz_rpc_call_cfg cfg = {.compression =
                                       CCZ_RPC_GZIP}; /* the server does not ask for it */
    CHECK(call(&f, "/t.T/Echo", big, &cfg, &res, &err) == CCZ_OK && !res.compressed);
    teardown(&f);
}

static void recv_switched(struct ccz_rpc_stream *s, const char *ask, bool compressed)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, sizeof(text));
    CHECK(ccz_rpc_stream_send(s, ccz_span_str(ask)) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&msg, s, NULL, NULL) == CCZ_OK && msg.size == sizeof(text));
    CHECK(ccz_rpc_stream_compressed(s) == compressed);
}

static void test_compression_streams(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s;
    struct ccz_err err;
    with_methods(&f, add_zip, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Switch", NULL, &err) == CCZ_OK);
    recv_switched(s, "z", true);
    recv_switched(s, "p", false);
    recv_switched(s, "z", true);
    ccz_rpc_stream_free(s);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Switch", NULL, &err) == CCZ_OK);
    recv_switched(s, "p", false);
    recv_switched(s, "z", false); /* gzip was not announced with the headers */
    ccz_rpc_stream_free(s);
    struct ccz_rpc_call_cfg cfg = {.compression = CCZ_RPC_GZIP}; /* our own direction */
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Sum", &cfg, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, long_text()) == CCZ_OK);
    ccz_rpc_stream_set_compression(s, CCZ_RPC_IDENTITY);
    CHECK(ccz_rpc_stream_send(s, long_text()) == CCZ_OK && ccz_rpc_stream_half_close(s) == CCZ_OK);
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 100);
    CHECK(ccz_rpc_stream_recv(&msg, s, NULL, NULL) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&msg), ccz_span_str("100000 in 2")));
    ccz_rpc_stream_free(s);
    teardown(&f);
}

/* The limit of messages is one of what comes out of them, in both directions. */
static void test_compression_limits(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct ccz_rpc_call_cfg cfg = {.compression = CCZ_RPC_GZIP};
    with_methods(&f, add_zip, (struct ccz_rpc_server_cfg){.message_size_max = sizeof(text) - 1},
                 (struct ccz_rpc_client_cfg){0});
    CHECK(call(&f, "/t.T/Zip", long_text(), &cfg, &res, &err) == CCZ_E_LIMIT &&
          res.code == CCZ_RPC_RESOURCE_EXHAUSTED);
    struct ccz_span less = CCZ_SPAN(text, sizeof(text) - 1);
    CHECK(call(&f, "/t.T/Zip", less, &cfg, &res, &err) == CCZ_OK);
    teardown(&f);
    with_methods(&f, add_zip, (struct ccz_rpc_server_cfg){0},
                 (struct ccz_rpc_client_cfg){.message_size_max = sizeof(text) - 1});
    CHECK(call(&f, "/t.T/Zip", long_text(), &cfg, &res, &err) == CCZ_E_LIMIT &&
          res.code == CCZ_RPC_RESOURCE_EXHAUSTED);
    CHECK(call(&f, "/t.T/Zip", less, &cfg, &res, &err) == CCZ_OK && res.compressed);
    teardown(&f);
}

/* ---------------------------------------------------------------------------------- metadata */

static const uint8_t details[] = {8, 3, 18, 4, 'o', 'h', 0, 0xff};
#define SPECIAL "\t\ntest with whitespace\r\nand Unicode \xe2\x98\xba and \xf0\x9f\x98\x88\t\n"

/* Copies every field of the request into headers, and gives trailers of its own. */
static void mirror(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    (void)arg;
    struct ccz_rpc_md md;
    for (size_t at = 0; ccz_rpc_metadata_next(&md, &at, c);)
        if (strncmp(md.key, "x-", 2) == 0)
            ccz_rpc_add_header(c, md.key, md.value);
        else
            CHECK(md.key[0] != ':');
    ccz_rpc_add_trailer(c, "x-last", ccz_span_str("one"));
    ccz_rpc_add_trailer(c, "x-last", ccz_span_str("two"));
    if (request.size && request.ptr[0] == 'h')
        ccz_rpc_send_headers(c);
    if (request.size)
        ccz_rpc_fail_details(c, CCZ_RPC_ABORTED, SPECIAL, CCZ_SPAN(details, sizeof(details)));
    else
        ccz_rpc_reply(c, ccz_span_str("ok"));
}

/* Headers at once; a message and the end when the client says so. */
static void early_start(struct ccz_rpc_call *c, void *arg)
{
    (void)arg;
    ccz_rpc_add_header(c, "x-early", ccz_span_str("yes"));
    ccz_rpc_send_headers(c);
    ccz_rpc_send_headers(c); /* once is enough */
    ccz_rpc_add_header(c, "x-late", ccz_span_str("no"));
}

static void early_half_close(struct ccz_rpc_call *c, void *arg)
{
    (void)arg;
    ccz_rpc_send(c, ccz_span_str("message"));
    ccz_rpc_add_trailer(c, "x-last", ccz_span_str("one"));
    ccz_rpc_fail_details(c, CCZ_RPC_NOT_FOUND, "gone", CCZ_SPAN(details, sizeof(details)));
}

static void refuse_start(struct ccz_rpc_call *c, void *arg)
{
    (void)arg;
    ccz_rpc_add_trailer(c, "x-last", ccz_span_str("only"));
    ccz_rpc_finish(c, CCZ_RPC_FAILED_PRECONDITION, "at once");
}

static void add_mirror(struct fixture *f)
{
    struct ccz_rpc_handler early = {.on_start = early_start, .on_half_close = early_half_close};
    struct ccz_rpc_handler no = {.on_start = refuse_start};
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Mirror", mirror, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(f->server, "/t.T/Early", &early, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(f->server, "/t.T/No", &no, f) == CCZ_OK);
}

static bool next(const struct ccz_rpc_received *r, size_t *at, bool trailer, const char *key,
                 struct ccz_span value)
{
    struct ccz_rpc_md md;
    /* what the transport adds is not our business here */
    while (trailer ? ccz_rpc_received_trailer(&md, at, r) : ccz_rpc_received_header(&md, at, r))
        if (strncmp(md.key, "x-", 2) == 0)
            return key && strcmp(md.key, key) == 0 && ccz_span_eq(md.value, value);
    return !key;
}

static const struct ccz_rpc_md sent[] = {{"x-a", {(const uint8_t *)"1", 1}},
                                         {"x-raw-bin", {(const uint8_t *)"\0\xff", 2}},
                                         {"x-a", {(const uint8_t *)"2", 1}},
                                         {"x-raw-bin", {(const uint8_t *)"", 0}}};

static void expect_mirrored(const struct ccz_rpc_received *r, bool as_trailers)
{
    size_t h = 0, t = 0;
    size_t *at = as_trailers ? &t : &h;
    for (size_t i = 0; i < 4; i++)
        CHECK(next(r, at, as_trailers, sent[i].key, sent[i].value));
    CHECK(next(r, &h, false, NULL, (struct ccz_span){0}));
    CHECK(next(r, &t, true, "x-last", ccz_span_str("one")) &&
          next(r, &t, true, "x-last", ccz_span_str("two")));
    CHECK(next(r, &t, true, NULL, (struct ccz_span){0}));
}

struct waiting {
    const struct ccz_rpc_received *got;
    atomic_int over;
};

static void on_mirrored(void *arg, struct ccz_span response, const struct ccz_rpc_result *result,
                        const struct ccz_err *err)
{
    struct waiting *w = arg;
    CHECK(!err && result->code == CCZ_RPC_OK && response.size == 2);
    expect_mirrored(w->got, false); /* filled before this runs */
    atomic_store(&w->over, 1);
}

static void test_received(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err;
    CCZ_AUTO(ccz_rpc_received) got = NULL;
    CHECK(ccz_rpc_received_new(&got) == CCZ_OK);
    ccz_rpc_received_free(NULL);
    with_methods(&f, add_mirror, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    struct ccz_rpc_call_cfg cfg = {.metadata = sent, .metadata_len = 4, .received = got};
    CHECK(call(&f, "/t.T/Mirror", (struct ccz_span){0}, &cfg, &res, &err) == CCZ_OK);
    expect_mirrored(got, false);
    CHECK(ccz_span_eq(ccz_rpc_received_get(got, "x-a"), ccz_span_str("1")));
    CHECK(!ccz_rpc_received_get(got, "x-b").ptr && !ccz_rpc_received_details(got).ptr);
    CHECK(ccz_rpc_received_message(got).size == 0 && ccz_rpc_received_message(got).ptr[0] == 0);
    for (int headers = 0; headers < 2; headers++) { /* a status alone, and behind headers */
        CHECK(call(&f, "/t.T/Mirror", ccz_span_str(headers ? "h" : "x"), &cfg, &res, &err) ==
                  CCZ_E_PEER &&
              res.code == CCZ_RPC_ABORTED);
        expect_mirrored(got, !headers);
        CHECK(ccz_span_eq(ccz_rpc_received_details(got), CCZ_SPAN(details, sizeof(details))));
        CHECK(ccz_span_eq(ccz_rpc_received_message(got), ccz_span_str(SPECIAL)));
        CHECK(strchr(res.message, '\n') == NULL); /* what is for logs is escaped */
        CHECK(!ccz_rpc_received_get(got, "grpc-message").ptr);
    }
    struct waiting w = {.got = got};
    CHECK(ccz_rpc_unary_async(f.client, "/t.T/Mirror", (struct ccz_span){0}, &cfg, on_mirrored,
                              &w) == CCZ_OK);
    while (!atomic_load(&w.over))
        usleep(1000);
    ccz_rpc_server_stop(f.server, 0); /* nothing old is left in it when nothing came */
    CHECK(call(&f, "/t.T/Mirror", (struct ccz_span){0}, &cfg, &res, &err) != CCZ_OK);
    size_t at = 0;
    struct ccz_rpc_md md;
    CHECK(!ccz_rpc_received_header(&md, &at, got) && !ccz_rpc_received_trailer(&md, &at, got));
    teardown(&f);
}

static void test_received_streams(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct ccz_rpc_stream *s;
    CCZ_AUTO(ccz_rpc_received) got = NULL;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 100);
    CHECK(ccz_rpc_received_new(&got) == CCZ_OK);
    with_methods(&f, add_mirror, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    struct ccz_rpc_call_cfg cfg = {.received = got};
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Early", &cfg, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_headers(s) == CCZ_OK); /* before there is any message */
    CHECK(ccz_rpc_stream_headers(s) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_rpc_received_get(got, "x-early"), ccz_span_str("yes")));
    CHECK(!ccz_rpc_received_get(got, "x-late").ptr && !ccz_rpc_received_get(got, "x-last").ptr);
    CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&msg, s, &res, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&msg, s, &res, &err) == CCZ_E_NOT_FOUND &&
          res.code == CCZ_RPC_NOT_FOUND);
    CHECK(ccz_span_eq(ccz_rpc_received_get(got, "x-early"), ccz_span_str("yes")) &&
          ccz_span_eq(ccz_rpc_received_get(got, "x-last"), ccz_span_str("one")));
    CHECK(ccz_span_eq(ccz_rpc_received_details(got), CCZ_SPAN(details, sizeof(details))));
    ccz_rpc_stream_free(s);
    CHECK(ccz_span_eq(ccz_rpc_received_message(got), ccz_span_str("gone"))); /* it is ours */

    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/No", &cfg, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_headers(s) == CCZ_E_CLOSED); /* a status is no header */
    CHECK(ccz_rpc_stream_recv(&msg, s, &res, &err) == CCZ_E_MISMATCH);
    CHECK(ccz_span_eq(ccz_rpc_received_get(got, "x-last"), ccz_span_str("only")));
    ccz_rpc_stream_free(s);

    /* a stream that is given up does not touch the caller's object any more */
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Hold", &cfg, &err) == CCZ_OK);
    ccz_rpc_stream_free(s);
    ccz_rpc_received_free(ccz_rpc_received_take(&got));
    teardown(&f);
}

/* ------------------------------------------------------------------------------------ guards */

struct gate {
    atomic_int asked;
    ccz_rc rc;
    const char *where; /* NULL: refuses without a word */
};

static ccz_rc judge(void *arg, const struct ccz_ratls_peer *peer, const char *path,
                    struct ccz_err *err)
{
    struct gate *g = arg;
    (void)peer;
    CHECK(path[0] == '/');
    atomic_fetch_add(&g->asked, 1);
    if (g->rc == CCZ_OK || !g->where)
        return g->rc;
    (void)ccz_refuse(err, g->rc, g->where, "this program", "another program");
    return ccz_hint(err, g->rc, "run the other one");
}

static struct gate all, service, method, folder;

static void fallback(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    echo(c, arg, request);
}

static void add_guards(struct fixture *f)
{
    struct ccz_rpc_server *s = f->server;
    struct ccz_rpc_handler hold = {.on_start = hold_start, .on_done = hold_done};
    CHECK(ccz_rpc_server_add_unary(s, "/g.G/Get", echo, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/g.G/GetSecret", echo, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/g.GG/Get", echo, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(s, "/g.G/Hold", &hold, f) == CCZ_OK);
    ccz_rpc_server_set_fallback(s, fallback, f);
    static const char *const nothing[] = {"", "g.G/", "/g.G", "//", "//Get", "/g.G//", "/g.G/Get/"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        CHECK(ccz_rpc_server_guard(s, nothing[i], judge, &service) == CCZ_E_ARG);
    CHECK(ccz_rpc_server_guard(s, "/g.G/", NULL, &service) == CCZ_E_ARG);
    CHECK(ccz_rpc_server_guard(s, "/g.G/", judge, &service) == CCZ_OK);
    CHECK(ccz_rpc_server_guard(s, "/g.G/", judge, &all) == CCZ_E_EXISTS);
    CHECK(ccz_rpc_server_guard(s, "/", judge, &all) == CCZ_OK);
    CHECK(ccz_rpc_server_guard(s, "/g.G/Get", judge, &method) == CCZ_OK);
    CHECK(ccz_rpc_server_guard(s, "/f.F/", judge, &folder) == CCZ_OK);
}

/* The guard that is asked, and no other. */
static void expect_asked(struct fixture *f, const char *path, struct gate *g)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    atomic_int *counts[] = {&all.asked, &service.asked, &method.asked, &folder.asked};
    for (size_t i = 0; i < 4; i++)
        atomic_store(counts[i], 0);
    int before = atomic_load(&f->echoes);
    ccz_rc rc = call(f, path, ccz_span_str("x"), NULL, &res, &err);
    for (size_t i = 0; i < 4; i++)
        if (atomic_load(counts[i]) != (counts[i] == &g->asked)) {
            fprintf(stderr, "%s: guard %zu asked %d times\n", path, i, atomic_load(counts[i]));
            exit(1);
        }
    CHECK((rc == CCZ_OK) == (g->rc == CCZ_OK));
    CHECK(atomic_load(&f->echoes) == before + (g->rc == CCZ_OK)); /* no handler ran otherwise */
    if (rc == CCZ_OK)
        return;
    CHECK(res.code == CCZ_RPC_PERMISSION_DENIED && res.attempts == 1);
    CHECK(strcmp(err.where, g->where ? g->where : "rpc:guard") == 0 && err.aux == g->rc);
    if (g->where)
        CHECK(strcmp(err.got, "this program") == 0 &&
              strcmp(err.expected, "another program") == 0 &&
              strcmp(err.hint, "run the other one") == 0);
}

static void test_guards(void)
{
    struct fixture f;
    all = service = method = folder = (struct gate){0};
    with_methods(&f, add_guards, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_server_guard(f.server, "/late/", judge, &all) == CCZ_E_ARG);
    for (int refused = 0; refused < 5; refused++) { /* none, then each in turn */
        struct gate *g[] = {&all, &service, &method, &folder};
        for (int i = 0; i < 4; i++) {
            g[i]->rc = i + 1 == refused ? CCZ_E_POLICY : CCZ_OK;
            g[i]->where = i == 2 ? NULL : "policy:mrenclave";
        }
        expect_asked(&f, "/t.T/Echo", &all);
        expect_asked(&f, "/g.G/Get", &method);        /* the longest */
        expect_asked(&f, "/g.G/GetSecret", &service); /* not the one of Get */
        expect_asked(&f, "/g.GG/Get", &all);          /* another service */
        expect_asked(&f, "/f.F/Anything", &folder);   /* before the fallback */
        expect_asked(&f, "/g.G/Nothing", &service);   /* nor does it tell which methods there are */
        expect_asked(&f, "/g.G/Get/", &service);
        expect_asked(&f, "//g.G/Get", &all);
        expect_asked(&f, "/G.G/Get", &all);
    }
    /* streams: refused before on_start(), and no on_done() either */
    struct ccz_rpc_stream *s;
    struct ccz_rpc_result res;
    struct ccz_err err;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 100);
    service = (struct gate){.rc = CCZ_E_UNAVAILABLE, .where = "test:later"};
    CHECK(ccz_rpc_stream_open(&s, f.client, "/g.G/Hold", NULL, &err) == CCZ_OK);
    (void)(ccz_rpc_stream_send(s, ccz_span_str("x")) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&msg, s, &res, &err) == CCZ_E_UNAVAILABLE &&
          strcmp(err.where, "test:later") == 0);
    ccz_rpc_stream_free(s);
    CHECK(atomic_load(&f.started) == 0 && atomic_load(&f.done) == 0);
    teardown(&f);
}

static char told[1024];
static atomic_int tellings;

static void keep_told(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg, (void)level, (void)module;
    if (strncmp(line, "guarded ", 8) != 0)
        return;
    (void)snprintf(told, sizeof(told), "%s", line);
    atomic_fetch_add(&tellings, 1);
}

static ccz_rc forge(void *arg, const struct ccz_ratls_peer *peer, const char *path,
                    struct ccz_err *err)
{
    (void)arg, (void)peer, (void)path;
    return ccz_refuse(err, CCZ_E_DENIED, "test:forge", "a\" expected=\"a", "b");
}

static void add_forge(struct fixture *f)
{
    CHECK(ccz_rpc_server_guard(f->server, "/", forge, NULL) == CCZ_OK);
}

/* What a peer says does not become fields of the log line. */
static void test_guard_log(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err;
    ccz_log_install(keep_told, NULL, CCZ_LOG_INFO);
    with_methods(&f, add_forge, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    CHECK(call(&f, "/x\"y", ccz_span_str("x"), NULL, &res, &err) == CCZ_E_DENIED);
    CHECK(atomic_load(&tellings) == 1);
    CHECK(strstr(told, " path=/x\\x22y where=test:forge "));
    CHECK(strstr(told, " got=\"a\\x22 expected=\\x22a\" expected=\"b\""));
    teardown(&f);
    ccz_log_install(NULL, NULL, CCZ_LOG_INFO);
}

/* A guard that covers nothing is a service without its guard: the server does not start. */
static void test_guard_idle(void)
{
    static const char *const typo[] = {"/g.g/", "/g.G/get", "/g/"}, *const good[] = {"/", "/g.G/",
                                                                                     "/g.G/Get"};
    struct gate gate = {0};
    struct fixture f = {0};
    struct ccz_err err = {0};
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0"};
    cfg.ratls = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    for (int i = 0; i < 9; i++) { /* typos, the same with a fallback, what covers something */
        CCZ_AUTO(ccz_rpc_server) s = NULL;
        const char *prefix = i < 6 ? typo[i % 3] : good[i % 3];
        CHECK(ccz_rpc_server_new(&s, &cfg, &err) == CCZ_OK);
        CHECK(ccz_rpc_server_add_unary(s, "/g.G/Get", echo, &f) == CCZ_OK);
        CHECK(ccz_rpc_server_guard(s, prefix, judge, &gate) == CCZ_OK);
        if (i / 3 == 1)
            ccz_rpc_server_set_fallback(s, fallback, &f);
        CHECK(ccz_rpc_server_start(s, &err) == (i < 3 ? CCZ_E_ARG : CCZ_OK));
        if (i >= 3)
            continue;
        CHECK(strcmp(err.where, "rpc:guard") == 0 && strcmp(err.got, prefix) == 0 && err.hint[0]);
        CHECK(ccz_rpc_server_port(s) == 0);
        CHECK(ccz_rpc_server_add_unary(s, i == 1 ? prefix : "/g.g/X", echo, &f) == CCZ_OK);
        CHECK(ccz_rpc_server_start(s, &err) == (i == 2 ? CCZ_E_ARG : CCZ_OK));
    }
    ccz_ratls_ctx_free(cfg.ratls);
}

/* A peer without any identity is told that one is missing. */
static void test_guard_unauthenticated(void)
{
    struct fixture f = {.before_start = add_guards};
    struct ccz_rpc_result res;
    struct ccz_err err;
    all = service = method = folder = (struct gate){0};
    service = (struct gate){.rc = CCZ_E_DENIED, .where = "party:not-attested"};
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    CHECK(call(&f, "/g.G/GetSecret", ccz_span_str("x"), NULL, &res, &err) == CCZ_E_DENIED);
    CHECK(res.code == CCZ_RPC_UNAUTHENTICATED && strcmp(err.where, "party:not-attested") == 0);
    CHECK(call(&f, "/g.GG/Get", ccz_span_str("x"), NULL, &res, &err) == CCZ_OK);
    teardown(&f);
}

/* ------------------------------------------------------------------------------------- hooks */

static atomic_int stops;
static struct ccz_rpc_call *watch;

static void count_stop(void *arg)
{
    CHECK(atomic_fetch_add(&stops, 1) == *(int *)arg); /* in order */
}

static void end_watch(void *arg)
{
    (void)arg;
    ccz_rpc_finish(watch, CCZ_RPC_OK, NULL); /* from the stopping thread */
}

static void watch_start(struct ccz_rpc_call *c, void *arg)
{
    struct fixture *f = arg;
    ccz_rpc_call_ref(c);
    watch = c;
    atomic_fetch_add(&f->started, 1);
}

static void add_hooks(struct fixture *f)
{
    static int order[] = {0, 1};
    struct ccz_rpc_handler h = {.on_start = watch_start};
    CHECK(ccz_rpc_server_add(f->server, "/w.W/Watch", &h, f) == CCZ_OK);
    CHECK(ccz_rpc_server_on_stop(f->server, NULL, NULL) == CCZ_E_ARG);
    CHECK(ccz_rpc_server_on_stop(f->server, count_stop, &order[0]) == CCZ_OK);
    CHECK(ccz_rpc_server_on_stop(f->server, count_stop, &order[1]) == CCZ_OK);
    CHECK(ccz_rpc_server_on_stop(f->server, end_watch, NULL) == CCZ_OK);
}

static void test_on_stop(void)
{
    struct fixture f;
    struct ccz_rpc_stream *s;
    struct ccz_err err;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 100);
    with_methods(&f, add_hooks, (struct ccz_rpc_server_cfg){0}, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_server_on_stop(f.server, count_stop, NULL) == CCZ_E_ARG); /* it runs */
    size_t n = 0;
    bool found = false;
    for (const char *p; (p = ccz_rpc_server_method_path(f.server, n)) != NULL; n++)
        found |= strcmp(p, "/w.W/Watch") == 0;
    CHECK(found && n == 11 && !ccz_rpc_server_method_path(f.server, n + 1));
    CHECK(ccz_rpc_stream_open(&s, f.client, "/w.W/Watch", NULL, &err) == CCZ_OK);
    while (!atomic_load(&f.started))
        usleep(1000);
    int64_t from = ccz_mono_ms();
    ccz_rpc_server_stop(f.server, 30000); /* the hook ended what would have used the grace up */
    CHECK(ccz_mono_ms() - from < 15000 && atomic_load(&stops) == 2);
    CHECK(ccz_rpc_stream_recv(&msg, s, NULL, &err) == CCZ_E_NOT_FOUND && err.rc == CCZ_OK);
    ccz_rpc_stream_free(s);
    ccz_rpc_call_unref(watch);
    teardown(&f);
}

static const struct ccz_test tests[] = {
    {"rpc.compression", test_compression},
    {"rpc.compression_streams", test_compression_streams},
    {"rpc.compression_limits", test_compression_limits},
    {"rpc.received", test_received},
    {"rpc.received_streams", test_received_streams},
    {"rpc.guards", test_guards},
    {"rpc.guard_log", test_guard_log},
    {"rpc.guard_idle", test_guard_idle},
    {"rpc.guard_unauthenticated", test_guard_unauthenticated},
    {"rpc.on_stop", test_on_stop},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
