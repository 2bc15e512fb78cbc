/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: what a scheduler sees of a call, what metrics are told, whose call it is; reload, CORS, v2's repository. */
#define _DEFAULT_SOURCE
#include "infer_kit.h"

static const float two[2] = {1, 2};

/* Predict with n before x: not the order of the signature, which is by name. */
static void put_predict(struct ccz_buf *b, const char *filter)
{
    const int32_t seven = 7;
    const struct ccz_tensor in[2] = {
        {.name = "x",
         .dtype = CCZ_DT_FLOAT,
         .rank = 2,
         .dims = {1, 2},
         .len = 2,
         .data = CCZ_SPAN(two, 8)},
        {.name = "n", .dtype = CCZ_DT_INT32, .len = 1, .data = CCZ_SPAN(&seven, 4)}};
    ccz_infer_encode_predict(b, "m", NULL, in, 2, filter);
}

static void test_predict(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    put_predict(&req, "y");
    struct ccz_infer_task *t = kit_begin(s, CCZ_INFER_PATH_PREDICT, &req);
    const struct ccz_infer_task_info *info = ccz_infer_task_info(t);
    const struct ccz_run_req *r = info->req;
    CHECK(strcmp(info->model, "m") == 0 && info->version == 3 &&
          strcmp(info->api, "Predict") == 0 && !info->rest && r->timeout_ms == 77 &&
          strcmp(r->sig->name, "serving_default") == 0);
    CHECK(r->in_len == 2 && strcmp(r->in[0].name, "n") == 0 && strcmp(r->in[1].name, "x") == 0 &&
          r->in[1].len == 2);
    CHECK(r->fetch_len == 1 && strcmp(r->sig->out[r->fetch[0]].name, "y") == 0);
    /* A view into somebody's batch, under no name. */
    const struct ccz_tensor out = {
        .dtype = CCZ_DT_FLOAT, .rank = 2, .dims = {1, 2}, .len = 2, .data = CCZ_SPAN(two, 8)};
    struct ccz_run_status st;
    ccz_buf_put_str(&resp, "kept:");
    ccz_infer_answer_grpc(&resp, &st, t, &out, 1);
    want_status(&st, CCZ_RUN_OK, "");
    CHECK(memcmp(resp.ptr, "kept:", 5) == 0);
    CCZ_AUTO(ccz_infer_answer) a = NULL;
    CHECK(ccz_infer_decode_predict(&a, CCZ_SPAN(resp.ptr + 5, resp.size - 5), 4096, NULL) ==
              CCZ_OK &&
          ccz_infer_answer_version(a) == 3 && ccz_infer_answer_get(a, "y") &&
          !ccz_infer_answer_get(a, "m"));
    ccz_infer_answer_grpc(&resp, &st, t, &out, 2); /* another number of outputs than was fetched */
    want_status(&st, CCZ_RUN_INTERNAL, "the run gave 2 outputs instead of 1");
    ccz_infer_task_free(t);
    ccz_infer_task_free(NULL);
}

static struct ccz_infer_task *begin_rest(struct ccz_infer *s, struct ccz_infer_http_answer *answer,
                                         struct ccz_buf *body, const char *path, const char *text)
{
    struct ccz_infer_task *t = NULL;
    ccz_buf_free(body);
    ccz_buf_init(body, 1 << 16);
    ccz_infer_begin_rest(
        &t, body, answer, s,
        &(struct ccz_infer_http){
            .method = "POST", .path = path, .body = ccz_span_str(text), .timeout_ms = 55});
    return t;
}

static void test_rest(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(&(struct ccz_infer_cfg){.cors = true});
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 16);
    struct ccz_infer_http_answer answer;
    struct ccz_infer_task *t = begin_rest(s, &answer, &body, "/v1/models/m:predict",
                                          "{\"inputs\":{\"x\":[[1,2]],\"n\":7}}");
    CHECK(t && body.size == 0 && answer.headers_len == 3);
    const struct ccz_infer_task_info *info = ccz_infer_task_info(t);
    CHECK(strcmp(info->api, "Predict") == 0 && info->rest && info->req->timeout_ms == 55 &&
          !info->req->fetch && strcmp(info->req->in[0].name, "n") == 0);
    const int32_t seven = 7;
    const struct ccz_tensor out[2] = {
        {.dtype = CCZ_DT_INT32, .len = 1, .data = CCZ_SPAN(&seven, 4)}, kit_floats(two, 1, 2, 0)};
    ccz_infer_answer_rest(&body, &answer, t, out, 2);
    CHECK(answer.status == 200 && answer.headers_len == 3);
    CHECK(strcmp(ccz_buf_str(&body),
                 "{\n    \"outputs\": {\n        \"m\": 7,\n        \"y\": [\n"
                 "            1.0,\n            2.0\n        ]\n    }\n}") == 0);
    ccz_buf_clear(&body);
    ccz_infer_answer_rest(&body, &answer, t, out, 1);
    CHECK(answer.status == 500 && answer.headers_len == 3 && body.size);
    ccz_infer_task_free(t);
    /* A run that failed keeps the headers, too. */
    t = begin_rest(s, &answer, &body, "/v1/models/m:predict",
                   "{\"inputs\":{\"x\":[[1,2]],\"n\":7}}");
    struct ccz_run_status st;
    (void)ccz_run_status_set(&st, CCZ_RUN_UNAVAILABLE, "full");
    ccz_infer_fail_rest(&body, &answer, &st);
    CHECK(answer.status == 503 && answer.headers_len == 3 &&
          strcmp(ccz_buf_str(&body), "{\n    \"error\": \"full\"\n}") == 0);
    ccz_infer_task_free(t);
    /* v2 */
    t = begin_rest(
        s, &answer, &body, "/v2/models/m/infer",
        "{\"id\":\"q\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],"
        "\"data\":[1,2]},{\"name\":\"n\",\"datatype\":\"INT32\",\"shape\":[],\"data\":[7]}],"
        "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}}]}");
    CHECK(t && strcmp(ccz_infer_task_info(t)->api, "ModelInfer") == 0 && answer.headers_len == 0);
    ccz_infer_answer_rest(&body, &answer, t, &out[1], 1);
    CHECK(answer.status == 200 && answer.json_size + 8 == body.size &&
          memcmp(body.ptr + answer.json_size, two, 8) == 0);
    ccz_infer_task_free(t);
    t = begin_rest(s, &answer, &body, "/v1/models/m:predict", "{}");
    CHECK(!t && answer.status == 400 && answer.headers_len == 3 && body.size);
}

static void test_cors(void)
{
    static const struct {
        const char *origin;
        unsigned status;
    } cases[] = {{"https://a.example", 200},
                 {"http://a.example:81", 200},
                 {"ftp://a", 400},
                 {"null", 400},
                 {NULL, 400}};
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 16);
    for (int on = 0; on < 2; on++) {
        ccz_infer_configure(s, &(struct ccz_infer_cfg){.cors = on});
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct ccz_infer_http_answer a;
            ccz_infer_rest(&body, &a, s,
                           &(struct ccz_infer_http){.method = "OPTIONS",
                                                    .path = "/v1/models/m:predict",
                                                    .origin = cases[i].origin});
            CHECK(a.status == cases[i].status && body.size == 0 && a.headers_len == (on ? 3 : 0));
            for (size_t k = 0; k < a.headers_len; k++) {
                static const char *const want[][2] = {
                    {"Access-Control-Allow-Origin", "*"},
                    {"Access-Control-Allow-Methods", "POST, GET"},
                    {"Access-Control-Allow-Headers", "Content-Type"}};
                CHECK(strcmp(a.headers[k].name, want[k][0]) == 0 &&
                      strcmp(a.headers[k].value, want[k][1]) == 0);
            }
        }
    }
    struct ccz_infer_http_answer a;
    ccz_infer_rest(&body, &a, s, &(struct ccz_infer_http){.method = "GET", .path = "/v1/models/m"});
    CHECK(a.status == 200 && a.headers_len == 3);
    ccz_buf_clear(&body);
    ccz_infer_rest(&body, &a, s, &(struct ccz_infer_http){.method = "OPTIONS", .path = "/metrics"});
    CHECK(a.status == 404 && a.headers_len == 0);
}

/* ------------------------------------------------------------------------ peek */

static void test_peek(void)
{
    CCZ_AUTO_BUF b, multi, v2;
    ccz_buf_init(&b, 1000);
    ccz_buf_init(&multi, 1000);
    ccz_buf_init(&v2, 1000);
    ccz_pb_put_str(&b, 3, "filter before the spec");
    kit_spec(&b, "name", "sig");
    ccz_pb_put_bytes(&multi, 1, ccz_buf_span(&b));
    CCZ_AUTO_BUF task;
    ccz_buf_init(&task, 1000);
    kit_spec(&task, "name", NULL);
    ccz_buf_clear(&multi);
    ccz_pb_put_bytes(&multi, 1, ccz_buf_span(&task));
    ccz_pb_put_str(&v2, 2, "7");
    ccz_pb_put_str(&v2, 1, "name");
    const struct {
        const char *path;
        const struct ccz_buf *request;
        const char *want;
    } cases[] = {
        {CCZ_INFER_PATH_PREDICT, &b, "name"}, {CCZ_INFER_PATH_CLASSIFY, &b, "name"},
        {CCZ_INFER_PATH_REGRESS, &b, "name"}, {CCZ_INFER_PATH_METADATA, &b, "name"},
        {CCZ_INFER_PATH_STATUS, &b, "name"},  {CCZ_INFER_PATH_MULTI, &multi, "name"},
        {CCZ_INFER_PATH_RELOAD, &b, ""},      {CCZ_INFER_PATH_V2 "ModelInfer", &v2, "name"},
        {CCZ_INFER_PATH_PREDICT, &v2, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct ccz_span got = ccz_infer_peek_grpc(&(struct ccz_infer_call){
            .path = cases[i].path, .request = ccz_buf_span(cases[i].request)});
        CHECK(ccz_span_eq(got, ccz_span_str(cases[i].want)));
    }
    for (size_t cut = 0; cut < b.size; cut++) {
        const struct ccz_span got = ccz_infer_peek_grpc(&(struct ccz_infer_call){
            .path = CCZ_INFER_PATH_PREDICT, .request = CCZ_SPAN(b.ptr, cut)});
        CHECK(got.size == 0);
    }
    CHECK(ccz_span_eq(ccz_infer_peek_rest("/v1/models/a%20b:predict"), ccz_span_str("a%20b")));
    CHECK(ccz_span_eq(ccz_infer_peek_rest("/V1/MODELS/a/versions/1:predict"), ccz_span_str("a")));
    CHECK(ccz_span_eq(ccz_infer_peek_rest("/v2/models/a/infer?x=/v1"), ccz_span_str("a")));
    CHECK(ccz_span_eq(ccz_infer_peek_rest("/v1/models/a?b:c"), ccz_span_str("a")));
    CHECK(ccz_infer_peek_rest("/v2/health/ready").size == 0 &&
          ccz_infer_peek_rest("/v1/models").size == 0 && ccz_infer_peek_rest("").size == 0 &&
          ccz_infer_peek_rest("/x?/v1/models/a").size == 0);
}

/* ------------------------------------------------------------------------ metrics */

struct seen {
    size_t len;
    struct ccz_infer_done last;
    char model[64], api[64];
};

static void on_done(void *arg, const struct ccz_infer_done *d)
{
    struct seen *s = arg;
    s->len++;
    s->last = *d;
    (void)snprintf(s->model, sizeof(s->model), "%s", d->model);
    (void)snprintf(s->api, sizeof(s->api), "%s", d->api);
}

static void want_done(struct seen *seen, const char *model, int64_t version, const char *api,
                      enum ccz_run_code code)
{
    CHECK(seen->len == 1 && strcmp(seen->model, model) == 0 && seen->last.version == version &&
          strcmp(seen->api, api) == 0 && seen->last.code == code && seen->last.total_ns >= 0);
    seen->len = 0;
}

static void test_done(void)
{
    struct seen seen = {0};
    CCZ_AUTO(ccz_infer) s = kit_server(&(struct ccz_infer_cfg){.on_done = on_done, .arg = &seen});
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    struct ccz_run_status st;
    struct ccz_infer_call call = {.path = CCZ_INFER_PATH_PREDICT};
    put_predict(&req, NULL);
    call.request = ccz_buf_span(&req);
    ccz_infer_grpc(&resp, &st, s, &call);
    CHECK(seen.last.request_size == req.size && seen.last.response_size == resp.size &&
          seen.last.examples == 0 && !seen.last.rest);
    want_done(&seen, "m", 3, "Predict", CCZ_RUN_OK);
    ccz_buf_clear(&req);
    kit_spec(&req, "m", "scores");
    kit_input(&req, NULL);
    call = (struct ccz_infer_call){CCZ_INFER_PATH_CLASSIFY, ccz_buf_span(&req), 0};
    ccz_infer_grpc(&resp, &st, s, &call); /* strings where floats should be */
    CHECK(seen.last.examples == 2);
    want_done(&seen, "m", 3, "Classify", CCZ_RUN_INVALID_ARGUMENT);
    struct ccz_infer_task *t = kit_begin(s, CCZ_INFER_PATH_CLASSIFY, &req);
    CHECK(seen.len == 0);
    ccz_infer_task_free(t);
    want_done(&seen, "m", 3, "Classify", CCZ_RUN_CANCELLED); /* nobody answered */
    t = kit_begin(s, CCZ_INFER_PATH_CLASSIFY, &req);
    ccz_infer_task_failed(t, CCZ_RUN_DEADLINE_EXCEEDED);
    ccz_infer_task_free(t);
    want_done(&seen, "m", 3, "Classify", CCZ_RUN_DEADLINE_EXCEEDED);
    call.path = CCZ_INFER_PATH_STATUS;
    ccz_infer_grpc(&resp, &st, s, &call);
    want_done(&seen, "m", -1, "GetModelStatus", CCZ_RUN_OK);
    call.path = "/x/y";
    ccz_infer_grpc(&resp, &st, s, &call);
    want_done(&seen, "", -1, "", CCZ_RUN_UNIMPLEMENTED);
    ccz_buf_clear(&req); /* a name that clients make up is not told: metrics would grow with it */
    kit_spec(&req, "made up", NULL);
    call = (struct ccz_infer_call){CCZ_INFER_PATH_PREDICT, ccz_buf_span(&req), 0};
    ccz_infer_grpc(&resp, &st, s, &call);
    want_done(&seen, "", -1, "Predict", CCZ_RUN_NOT_FOUND);
    CHECK(ccz_infer_remove(s, "m", 3, NULL) == CCZ_OK);
    struct ccz_infer_http_answer a;
    ccz_buf_clear(&resp);
    ccz_infer_rest(&resp, &a, s,
                   &(struct ccz_infer_http){.method = "POST",
                                            .path = "/v1/models/m:predict",
                                            .body = ccz_span_str("{}")});
    CHECK(seen.last.rest && seen.last.response_size == resp.size);
    want_done(&seen, "m", -1, "Predict", CCZ_RUN_NOT_FOUND); /* known, but nothing serves it */
}

/* ------------------------------------------------------------------------ reload */

struct catalog {
    struct ccz_span config;
    char copy[64];
    int64_t counter;
    enum ccz_run_code code;
};

static void on_reload(void *arg, struct ccz_span config, struct ccz_run_status *st)
{
    struct catalog *c = arg;
    CHECK(config.size < sizeof(c->copy));
    memcpy(c->copy, config.ptr, config.size);
    c->config = CCZ_SPAN(c->copy, config.size);
    c->counter += 5;
    if (c->code != CCZ_RUN_OK)
        (void)ccz_run_status_set(st, c->code, "no such path");
}

static int64_t metric(void *arg, struct ccz_span name)
{
    const struct catalog *c = arg;
    return ccz_span_eq(name, ccz_span_str("/loads")) ? c->counter : 0;
}

static void test_reload(void)
{
    struct catalog c = {.counter = 100};
    const struct ccz_infer_cfg cfg = {.on_reload = on_reload, .metric = metric, .arg = &c};
    CCZ_AUTO(ccz_infer) s = kit_server(&cfg);
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    static const char unsupported[] = "ServerModelConfig type not supported by "
                                      "HandleReloadConfigRequest. Only ModelConfigList is "
                                      "currently supported";
    kit_refuse(s, CCZ_INFER_PATH_RELOAD, &req, CCZ_RUN_INVALID_ARGUMENT, unsupported);
    ccz_pb_put_bytes(&req, 1, CCZ_SPAN("\x0a\0\x12\0", 4)); /* custom_model_config came last */
    kit_refuse(s, CCZ_INFER_PATH_RELOAD, &req, CCZ_RUN_INVALID_ARGUMENT, unsupported);
    ccz_buf_clear(&req);
    ccz_pb_put_bytes(&req, 1, ccz_span_str("\x0a\x07"));
    kit_refuse(s, CCZ_INFER_PATH_RELOAD, &req, CCZ_RUN_INTERNAL,
               "Failed to parse the request message");
    CHECK(c.counter == 100);
    ccz_buf_clear(&req);
    ccz_pb_put_bytes(&req, 1, ccz_span_str("\x0a\x03zzz"));
    const char *const names[] = {"/loads", "/none", "/loads"};
    for (int i = 0; i < 3; i++)
        ccz_pb_put_str(&req, 2, names[i]);
    struct ccz_run_status st;
    const struct ccz_infer_call call = {.path = CCZ_INFER_PATH_RELOAD,
                                        .request = ccz_buf_span(&req)};
    struct ccz_infer_task *t;
    ccz_infer_begin_grpc(&t, &resp, &st, s, &call);
    want_status(&st, CCZ_RUN_OK, "");
    CHECK(!t && ccz_span_eq(c.config, ccz_span_str("\x0a\x03zzz")));
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&resp));
    struct ccz_pb_field f, g;
    CHECK(ccz_pb_next(&f, &r) && f.number == 1 && f.bytes.size == 0);
    for (int i = 0; i < 2; i++) { /* each name once */
        CHECK(ccz_pb_next(&f, &r) && f.number == 2);
        struct ccz_rd m = ccz_rd_from(f.bytes);
        CHECK(ccz_pb_next(&g, &m) && g.number == 1 && ccz_span_eq(g.bytes, ccz_span_str(names[i])));
        CHECK(ccz_pb_next(&g, &m) && g.number == 2 && g.num == (i ? 0 : 5) && ccz_rd_done(&m));
    }
    CHECK(ccz_rd_done(&r));
}

static void test_reload_refusals(void)
{
    struct catalog c = {.code = CCZ_RUN_NOT_FOUND};
    CCZ_AUTO(ccz_infer) s = kit_server(&(struct ccz_infer_cfg){.on_reload = on_reload, .arg = &c});
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    ccz_pb_put_bytes(&req, 1, ccz_span_str("\x0a\x03zzz"));
    ccz_pb_put_str(&req, 2, "/loads");
    struct ccz_run_status st;
    struct ccz_infer_task *t;
    kit_refuse(s, CCZ_INFER_PATH_RELOAD, &req, CCZ_RUN_NOT_FOUND, "no such path");
    for (size_t cut = 0; cut < req.size; cut++) {
        struct ccz_buf part = {.ptr = req.ptr, .size = cut};
        c.code = CCZ_RUN_OK;
        ccz_buf_clear(&resp);
        ccz_infer_begin_grpc(&t, &resp, &st, s,
                             &(struct ccz_infer_call){.path = CCZ_INFER_PATH_RELOAD,
                                                      .request = ccz_buf_span(&part)});
        CHECK(!t && (st.code != CCZ_RUN_OK || cut >= 7));
    }
    for (int i = 0; i < 300; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%d", i);
        ccz_pb_put_str(&req, 2, name);
    }
    kit_refuse(s, CCZ_INFER_PATH_RELOAD, &req, CCZ_RUN_RESOURCE_EXHAUSTED, "more than 256 metrics");
    ccz_infer_configure(s, &(struct ccz_infer_cfg){0});
    kit_refuse(s, CCZ_INFER_PATH_RELOAD, &req, CCZ_RUN_UNIMPLEMENTED,
               "this server does not take its configuration from requests");
}

/* ------------------------------------------------------------------------ repository extension of v2 */

struct orders {
    enum ccz_infer_repository what;
    char name[64];
    size_t len;
};

static void on_repository(void *arg, enum ccz_infer_repository what, const char *name,
                          struct ccz_run_status *st)
{
    struct orders *o = arg;
    o->what = what;
    o->len++;
    (void)snprintf(o->name, sizeof(o->name), "%s", name);
    if (strcmp(name, "bad") == 0)
        (void)ccz_run_status_set(st, CCZ_RUN_NOT_FOUND, "no model bad");
}

static unsigned post(struct ccz_infer *s, struct ccz_buf *body, const char *path)
{
    struct ccz_infer_http_answer a;
    ccz_buf_free(body);
    ccz_buf_init(body, 1 << 16);
    ccz_infer_rest(
        body, &a, s,
        &(struct ccz_infer_http){.method = "POST", .path = path, .body = ccz_span_str("{}")});
    return a.status;
}

static void test_repository(void)
{
    struct orders o = {0};
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF body, req;
    ccz_buf_init(&body, 1 << 16);
    ccz_buf_init(&req, 1 << 16);
    static const char *const closed[] = {"/v2/repository/index", "/v2/repository/models/m/load",
                                         "/v2/repository/models/m/unload"};
    for (int i = 0; i < 3; i++)
        CHECK(post(s, &body, closed[i]) == 501);
    kit_refuse(s, CCZ_INFER_PATH_V2 "RepositoryIndex", &req, CCZ_RUN_UNIMPLEMENTED,
               "this server has no model repository for its clients");
    ccz_infer_configure(s, &(struct ccz_infer_cfg){.on_repository = on_repository, .arg = &o});
    ccz_infer_failed(s, "m", 3, CCZ_RUN_DATA_LOSS, "not loading: no effect");
    CHECK(post(s, &body, "/v2/repository/index") == 200);
    CHECK(strcmp(ccz_buf_str(&body),
                 "[{\"name\":\"m\",\"version\":\"3\",\"state\":\"READY\",\"reason\":\"\"}]") == 0);
    CHECK(post(s, &body, "/v2/repository/models/a%20b/load") == 200 && o.len == 1 &&
          o.what == CCZ_INFER_REPOSITORY_LOAD && strcmp(o.name, "a b") == 0 && body.size == 0);
    CHECK(post(s, &body, "/v2/repository/models/m/unload") == 200 && o.len == 2 &&
          o.what == CCZ_INFER_REPOSITORY_UNLOAD);
    CHECK(post(s, &body, "/v2/repository/models/bad/load") == 404);
    CHECK(post(s, &body, "/v2/repository/models/%00/load") == 400 && o.len == 3);
    CHECK(post(s, &body, "/v2/repository/models/m/frobnicate") == 404 && o.len == 3);
    ccz_pb_put_str(&req, 2, "m");
    struct ccz_run_status st;
    ccz_infer_grpc(&body, &st, s,
                   &(struct ccz_infer_call){.path = CCZ_INFER_PATH_V2 "RepositoryModelUnload",
                                            .request = ccz_buf_span(&req)});
    CHECK(st.code == CCZ_RUN_OK && o.len == 4 && o.what == CCZ_INFER_REPOSITORY_UNLOAD);
    ccz_infer_grpc(&body, &st, s,
                   &(struct ccz_infer_call){.path = CCZ_INFER_PATH_V2 "RepositoryModelLoad",
                                            .request = ccz_buf_span(&req)});
    CHECK(st.code == CCZ_RUN_OK && o.len == 5 && o.what == CCZ_INFER_REPOSITORY_LOAD);
    ccz_buf_clear(&body);
    ccz_infer_grpc(&body, &st, s,
                   &(struct ccz_infer_call){.path = CCZ_INFER_PATH_V2 "RepositoryIndex"});
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&body));
    struct ccz_pb_field f;
    CHECK(st.code == CCZ_RUN_OK && ccz_pb_next(&f, &r) && f.number == 1 && ccz_rd_done(&r));
}

static const struct ccz_test tests[] = {
    {"tasks.predict", test_predict},
    {"tasks.rest", test_rest},
    {"tasks.cors", test_cors},
    {"tasks.peek", test_peek},
    {"tasks.done", test_done},
    {"tasks.reload", test_reload},
    {"tasks.reload_refusals", test_reload_refusals},
    {"tasks.repository", test_repository},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_engine_free(kit_engine);
    return rc;
}
