/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog with real models in the registry of infer.h. */
#define _GNU_SOURCE
#include <cczoo/codec.h>
#include <cczoo/serve.h>

#include "temp_dir.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KEEPS_WHAT_WAS_FREED = 1 }; /* sanitizers do */
#elif defined(__clang__)
enum {
    KEEPS_WHAT_WAS_FREED = __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||
                           __has_feature(thread_sanitizer)
};
#else
enum { KEEPS_WHAT_WAS_FREED = 0 };
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>

enum { SETTLE_MS = 60000, BIG_SIZE = 128 << 20, SMALL = 16384 };

static struct ccz_err err;
static struct ccz_run_status st;

/* A back end whose models hold memory and answer their version: many small pieces, which malloc() takes from its heap and
 * keeps there, with one that stays at the end. */
struct big {
    float version;
    void **pieces;
    size_t len;
};
static size_t pieces; /* of the next model */
static size_t runs;

static ccz_rc big_load(void **model, struct ccz_buf *signatures, void *arg,
                       const struct ccz_model_cfg *cfg, struct ccz_err *e)
{
    static const int64_t dims[] = {-1};
    const struct ccz_tensor_spec x = {.name = "x", .dtype = CCZ_DT_FLOAT, .rank = 1, .dims = dims};
    const struct ccz_tensor_spec y = {.name = "y", .dtype = CCZ_DT_FLOAT, .rank = 1, .dims = dims};
    ccz_signature_put(
        signatures, &(struct ccz_signature_spec){
                        .name = "serving_default", .in = &x, .out = &y, .in_len = 1, .out_len = 1});
    struct big *b = calloc(1, sizeof(*b));
    CHECK(b);
    b->len = pieces;
    b->pieces = calloc(pieces + 1, sizeof(*b->pieces));
    CHECK(b->pieces);
    for (size_t i = 0; i < b->len; i++) {
        b->pieces[i] = malloc(SMALL);
        CHECK(b->pieces[i]);
        memset(b->pieces[i], 1, SMALL);
    }
    (void)arg;
    ccz_rc rc = cfg->read_at(cfg->arg, 0, 0, &b->version, sizeof(b->version), e);
    *model = b;
    return rc;
}

static void big_unload(void *model)
{
    struct big *b = model;
    for (size_t i = 0; i < b->len; i++)
        free(b->pieces[i]);
    free(b->pieces);
    free(b);
}

static ccz_rc big_run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *s,
                      void *model, const struct ccz_signature *sig,
                      const struct ccz_tensor *const *in, uint32_t timeout_ms)
{
    const struct big *b = model;
    runs++;
    float *y = ccz_result_alloc(r, in[0]->len, sizeof(float));
    CHECK(y);
    (void)s;
    (void)sig;
    (void)timeout_ms;
    for (size_t i = 0; i < in[0]->len; i++)
        y[i] = b->version;
    out[0].rank = 1;
    out[0].dims[0] = in[0]->dims[0];
    out[0].len = in[0]->len;
    out[0].data = CCZ_SPAN(y, in[0]->len * sizeof(float));
    return CCZ_OK;
}

static ccz_rc read_version(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                           struct ccz_err *e)
{
    (void)file;
    (void)offset;
    (void)e;
    memcpy(out, arg, size);
    return CCZ_OK;
}

static ccz_rc load(void *arg, struct ccz_model **model, const struct ccz_catalog_item *item,
                   struct ccz_err *e)
{
    float v = (float)item->version;
    const struct ccz_model_file file = {.name = "v", .size = sizeof(v)};
    const struct ccz_model_cfg cfg = {
        .files = &file, .files_len = 1, .read_at = read_version, .arg = &v};
    return ccz_model_load(model, arg, &cfg, e);
}

static size_t gone;
static void count_gone(void *arg, const struct ccz_catalog_item *item)
{
    (void)arg;
    (void)item;
    gone++;
}

static void configure(struct ccz_catalog *c, const char *policy)
{
    struct ccz_serve_models m;
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "model_config_list { config { name: 'm' base_path: '%s' %s } }", temp_base,
                   policy);
    CHECK(ccz_serve_read_models(&m, NULL, ccz_span_str(text), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(ccz_catalog_replace(c, &m, -1, &st) == CCZ_OK);
    ccz_serve_models_free(&m);
    CHECK(ccz_catalog_settle(c, SETTLE_MS, &err) == CCZ_OK);
}

/* The answer of "m", or of a label of it; -1 if there is none. */
static float ask(struct ccz_infer *s, const char *label)
{
    CCZ_AUTO_BUF b;
    char path[80];
    struct ccz_infer_http_answer a;
    ccz_buf_init(&b, 4096);
    (void)snprintf(path, sizeof(path), "/v1/models/m%s%s:predict", label[0] ? "/labels/" : "",
                   label);
    ccz_infer_rest(&b, &a, s,
                   &(struct ccz_infer_http){
                       .method = "POST", .path = path, .body = ccz_span_str("{\"inputs\":[1]}")});
    const char *at = strstr(ccz_buf_str(&b), "[");
    return a.status == 200 && at ? strtof(at + 1 + strspn(at + 1, " \n"), NULL) : -1;
}

/* Of TFRecord, as test_warmup.c has it. */
static uint32_t masked_crc(const uint8_t *p, size_t size)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < size * 8; i++) {
        const uint32_t bit = (uint32_t)(p[i / 8] >> (i % 8) & 1) ^ (c & 1);
        c = (c >> 1) ^ (bit ? 0x82f63b78u : 0);
    }
    c = ~c;
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

static struct ccz_engine *engine(void)
{
    static const struct ccz_engine_ops ops = {
        .name = "big", .load = big_load, .unload = big_unload, .run = big_run};
    struct ccz_engine *e;
    CHECK(ccz_engine_custom(&e, &ops, NULL, &err) == CCZ_OK);
    return e;
}

static void test_infer(void)
{
    CCZ_AUTO(ccz_engine) e = engine();
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_catalog_cfg cfg = {.manual = true};
    struct ccz_catalog *c;
    CHECK(ccz_infer_new(&s, &err) == CCZ_OK);
    struct ccz_catalog_infer to = {.infer = s, .arg = e, .load = load, .gone = count_gone};
    ccz_catalog_use_infer(&cfg, &to);
    CHECK(ccz_catalog_new(&c, &cfg, &err) == CCZ_OK);
    (void)temp_make_dir("1");
    (void)temp_make_dir("2");
    configure(c, "model_version_policy { all {} } version_labels { key: 'stable' value: 1 }");
    CHECK(ask(s, "") == 2 && ask(s, "stable") == 1 && ccz_infer_ready(s, "m"));
    configure(c, "model_version_policy { all {} } version_labels { key: 'stable' value: 2 }");
    CHECK(ask(s, "stable") == 2 && ask(s, "canary") == -1);
    (void)temp_make_dir("3");
    configure(c, "");
    CHECK(ask(s, "") == 3 && gone == 2);
    CHECK(ccz_infer_state(s, "m", 1) == CCZ_INFER_END &&
          ccz_infer_state(s, "m", 3) == CCZ_INFER_AVAILABLE);
    CHECK(ccz_catalog_revoke(c, "m", 3, "gone", &err) == CCZ_OK);
    CHECK(ask(s, "") != 3); /* none, or the policy's next choice is there already */
    CHECK(ccz_catalog_settle(c, SETTLE_MS, &err) == CCZ_OK);
    CHECK(ask(s, "") == 2);
    CCZ_AUTO_BUF b;
    struct ccz_infer_http_answer a;
    ccz_buf_init(&b, 4096);
    ccz_infer_rest(&b, &a, s,
                   &(struct ccz_infer_http){.method = "GET", .path = "/v1/models/m/versions/3"});
    CHECK(strstr(ccz_buf_str(&b), "\"END\"") && strstr(ccz_buf_str(&b), "revoked: gone"));
    ccz_catalog_free(c);
    CHECK(ask(s, "") == -1 && gone == 4);
}

/* A version is warmed before it is in service: by requests that name whatever model they were recorded from. */
static struct ccz_infer *warm_infer;
static struct ccz_span warm_file;
static size_t warm_records, warm_runs;

static ptrdiff_t give(void *arg, void *to, size_t size, struct ccz_err *e)
{
    struct ccz_span *left = arg;
    (void)e;
    const size_t n = size < left->size ? size : left->size;
    if (n > 0)
        memcpy(to, left->ptr, n);
    *left = ccz_span_sub(*left, n, left->size - n);
    return (ptrdiff_t)n;
}

static ccz_rc warm(void *arg, struct ccz_model *model, const struct ccz_catalog_item *item,
                   struct ccz_err *e)
{
    struct ccz_span left = warm_file;
    const struct ccz_serve_warmup w = {.read = give, .arg = &left, .iterations = 2};
    (void)arg;
    CHECK(ccz_infer_state(warm_infer, item->name, item->version) == CCZ_INFER_LOADING);
    const size_t before = runs;
    ccz_rc rc = ccz_serve_warmup_infer(&warm_records, warm_infer, model, &w, e);
    warm_runs = runs - before;
    return rc;
}

/* One record: a PredictionLog with a request for @p model, input @p name. */
static void put_record(struct ccz_buf *out, const char *model, const char *name)
{
    static const float one[] = {1};
    const struct ccz_tensor x = {.name = name,
                                 .dtype = CCZ_DT_FLOAT,
                                 .rank = 1,
                                 .dims = {1},
                                 .len = 1,
                                 .data = CCZ_SPAN(one, sizeof(one))};
    CCZ_AUTO_BUF request, log;
    ccz_buf_init(&request, 4096);
    ccz_buf_init(&log, 4096);
    ccz_infer_encode_predict(&request, model, NULL, &x, 1, NULL);
    const size_t mark = ccz_pb_open(&log, 6);
    ccz_pb_put_bytes(&log, 1, ccz_buf_span(&request));
    ccz_pb_close(&log, mark);
    uint8_t size[8] = {(uint8_t)log.size, (uint8_t)(log.size >> 8)};
    ccz_buf_put(out, size, 8);
    ccz_buf_le32(out, masked_crc(size, 8));
    ccz_buf_put_span(out, ccz_buf_span(&log));
    ccz_buf_le32(out, masked_crc(log.ptr, log.size));
}

static void test_warm(void)
{
    CCZ_AUTO(ccz_engine) e = engine();
    CCZ_AUTO(ccz_infer) s = NULL;
    CCZ_AUTO_BUF file;
    struct ccz_catalog_cfg cfg = {.manual = true, .retries = CCZ_CATALOG_NO_RETRY};
    struct ccz_catalog *c;
    ccz_buf_init(&file, 65536);
    CHECK(ccz_infer_new(&s, &err) == CCZ_OK);
    struct ccz_catalog_infer to = {.infer = s, .arg = e, .load = load, .warm = warm};
    ccz_catalog_use_infer(&cfg, &to);
    CHECK(ccz_catalog_new(&c, &cfg, &err) == CCZ_OK);
    (void)temp_make_dir("20");
    warm_infer = s;
    put_record(&file, "somebody's", "x");
    put_record(&file, "", "x");
    warm_file = ccz_buf_span(&file);
    configure(c, "");
    CHECK(warm_records == 2 && warm_runs == 4 && ask(s, "") == 20);
    put_record(&file, "m", "z"); /* it has no such input: the version is not served */
    warm_file = ccz_buf_span(&file);
    (void)temp_make_dir("21");
    ccz_catalog_poll(c);
    CHECK(ccz_catalog_settle(c, SETTLE_MS, &err) == CCZ_OK);
    CHECK(warm_records == 2 && ask(s, "") == 20 && ccz_infer_state(s, "m", 21) == CCZ_INFER_END);
    ccz_catalog_free(c);
}

static bool reloaded;
static void on_reload(void *arg, struct ccz_span model_server_config, struct ccz_run_status *own)
{
    (void)arg;
    (void)model_server_config;
    (void)own;
    reloaded = true;
}

/* Only methods that run a model can be asked for. */
static void test_warm_paths(void)
{
    CCZ_AUTO(ccz_engine) e = engine();
    CCZ_AUTO(ccz_infer) s = NULL;
    CCZ_AUTO(ccz_model) m = NULL;
    struct ccz_run_status own = {0};
    const struct ccz_catalog_item item = {.name = "m", .version = 5};
    CHECK(ccz_infer_new(&s, &err) == CCZ_OK && load(e, &m, &item, &err) == CCZ_OK);
    ccz_infer_configure(s, &(struct ccz_infer_cfg){.on_reload = on_reload});
    const struct ccz_infer_call reload = {.path = CCZ_INFER_PATH_RELOAD,
                                          .request = CCZ_SPAN("\x0a\x02\x0a\x00", 4)};
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, 4096);
    ccz_infer_grpc(&response, &own, s, &reload);
    CHECK(own.code == CCZ_RUN_OK && reloaded); /* it would work for a client */
    reloaded = false;
    ccz_infer_warm(&own, s, m, &reload);
    CHECK(own.code == CCZ_RUN_UNIMPLEMENTED && !reloaded);
    ccz_infer_warm(
        &own, s, m,
        &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT, .request = CCZ_SPAN("\xff", 1)});
    CHECK(own.code != CCZ_RUN_OK);
}

static size_t resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size, rss;
    CHECK(f && fscanf(f, "%lu %lu", &size, &rss) == 2 && fclose(f) == 0);
    return rss * (size_t)sysconf(_SC_PAGESIZE);
}

/* What a model took is given back to the system when it is unloaded, not only to malloc(). */
static void test_memory(void)
{
    CCZ_AUTO(ccz_engine) e = engine();
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_catalog_cfg cfg = {.manual = true};
    struct ccz_catalog *c;
    CHECK(ccz_infer_new(&s, &err) == CCZ_OK);
    struct ccz_catalog_infer to = {.infer = s, .arg = e, .load = load};
    ccz_catalog_use_infer(&cfg, &to);
    CHECK(ccz_catalog_new(&c, &cfg, &err) == CCZ_OK);
    (void)temp_make_dir("10");
    configure(c, "");
    const size_t before = resident();
    pieces = BIG_SIZE / SMALL;
    (void)temp_make_dir("11");
    configure(c, "");
    CHECK(KEEPS_WHAT_WAS_FREED || resident() > before + BIG_SIZE / 10 * 9);
    pieces = 1; /* lies behind the others: without trimming, everything before it stays */
    (void)temp_make_dir("12");
    configure(c, "");
    CHECK(ask(s, "") == 12);
    CHECK(KEEPS_WHAT_WAS_FREED || resident() < before + BIG_SIZE / 4);
    ccz_catalog_free(c);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"catalog.infer", test_infer},
                                            {"catalog.warm", test_warm},
                                            {"catalog.warm_paths", test_warm_paths},
                                            {"catalog.memory", test_memory}};
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
