/* SPDX-License-Identifier: Apache-2.0 */
/* An engine of somebody's own functions: signatures, defaults, types, and outputs that lie. */
#include "ccz_test.h"

#include <cczoo/engine.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

enum lie { NO_LIE, SHORT_DATA, OTHER_TYPE, NO_STRINGS };
struct adder {
    int loaded;
    enum lie lie;
    bool bad_signature;
    bool two; /* the same signature under a second name */
};

/* sum = a + b, b is 5 if it is left out; twice = "sum" said in words as often as asked */
static ccz_rc load(void **model, struct ccz_buf *signatures, void *arg,
                   const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    struct adder *a = arg;
    char byte = 0;
    ccz_rc rc = cfg->read_at(cfg->arg, 0, 0, &byte, 1, err);
    if (rc != CCZ_OK)
        return rc;
    static const int64_t any[1] = {-1};
    const int64_t five = 5;
    const struct ccz_tensor b = {.dtype = a->bad_signature ? CCZ_DT_FLOAT : CCZ_DT_INT64,
                                 .len = 1,
                                 .data = CCZ_SPAN(&five, a->bad_signature ? 4 : sizeof(five))};
    const struct ccz_tensor_spec in[] = {{"a", CCZ_DT_INT64, 1, any, NULL},
                                         {"b", CCZ_DT_INT64, -1, NULL, &b}};
    const struct ccz_tensor_spec out[] = {{"sum", CCZ_DT_INT64, 1, any, NULL},
                                          {"words", CCZ_DT_STRING, 1, any, NULL}};
    ccz_signature_put(signatures, &(struct ccz_signature_spec){"serving_default", in, out, 2, 2});
    if (a->two)
        ccz_signature_put(signatures, &(struct ccz_signature_spec){"again", in, out, 2, 2});
    a->loaded++;
    *model = a;
    return CCZ_OK;
}

static void unload(void *model)
{
    ((struct adder *)model)->loaded--;
}

static ccz_rc run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st,
                  void *model, const struct ccz_signature *sig, const struct ccz_tensor *const *in,
                  uint32_t timeout_ms)
{
    const struct adder *a = model;
    (void)sig, (void)timeout_ms;
    int64_t b = 0;
    memcpy(&b, in[1]->data.ptr, sizeof(b));
    if (b < 0)
        return ccz_run_status_set(st, CCZ_RUN_OUT_OF_RANGE, "b is negative");
    const size_t n = in[0]->len;
    int64_t *sum = ccz_result_alloc(r, n, sizeof(*sum));
    struct ccz_span *words = ccz_result_alloc(r, n, sizeof(*words));
    CHECK(sum && words);
    for (size_t i = 0; i < n; i++) {
        memcpy(&sum[i], in[0]->data.ptr + i * sizeof(int64_t), sizeof(int64_t));
        sum[i] += b;
        words[i] = ccz_span_str(sum[i] % 2 ? "odd" : "even");
    }
    for (size_t i = 0; i < 2; i++) {
        out[i].rank = 1;
        out[i].dims[0] = (int64_t)n;
        out[i].len = n;
    }
    out[0].data = CCZ_SPAN(sum, n * sizeof(*sum) - (a->lie == SHORT_DATA));
    out[1].strings = a->lie == NO_STRINGS ? NULL : words;
    if (a->lie == OTHER_TYPE)
        out[0].dtype = CCZ_DT_DOUBLE;
    return CCZ_OK;
}

static ccz_rc read_one(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                       struct ccz_err *err)
{
    if (file != 0 || offset != 0 || size != 1 || !arg)
        return ccz_fail(err, CCZ_E_IO, "test:read", 0, "nothing there");
    memset(out, 'x', 1);
    return CCZ_OK;
}

static const struct ccz_engine_ops ops = {"adder", "1.2", load, unload, run};
static struct ccz_model_file file = {"model", 1};

static struct ccz_model *load_model(struct ccz_engine **e, struct adder *a)
{
    struct ccz_err err = {0};
    struct ccz_model *m = NULL;
    CHECK(ccz_engine_custom(e, &ops, a, &err) == CCZ_OK);
    const struct ccz_model_cfg cfg = {
        .files = &file, .files_len = 1, .read_at = read_one, .arg = &file};
    CHECK(ccz_model_load(&m, *e, &cfg, &err) == CCZ_OK && a->loaded == 1);
    return m;
}

static const int64_t numbers[3] = {1, 2, 39}, three = 3, minus = -1;
static const struct ccz_tensor in_a = {.name = "a",
                                       .dtype = CCZ_DT_INT64,
                                       .rank = 1,
                                       .dims = {3},
                                       .len = 3,
                                       .data = {(const uint8_t *)numbers, sizeof(numbers)}};
static const struct ccz_tensor in_b = {
    .name = "b", .dtype = CCZ_DT_INT64, .len = 1, .data = {(const uint8_t *)&three, sizeof(three)}};

static void test_custom(void)
{
    struct adder a = {0};
    CCZ_AUTO(ccz_engine) e = NULL;
    struct ccz_model *m = load_model(&e, &a);
    CHECK(strcmp(ccz_engine_backend(e), "adder") == 0 &&
          strcmp(ccz_engine_version(e), "1.2") == 0 && !ccz_engine_library(e, 0));
    CHECK(ccz_model_engine(m) == e);
    const struct ccz_signature *sig = ccz_model_signature(m, "serving_default");
    CHECK(sig && sig->runnable && sig->in_len == 2 && sig->out_len == 2);
    CHECK(sig->in[0].rank == 1 && sig->in[0].dims[0] == -1 && !sig->in[0].unknown_rank);
    CHECK(sig->in[1].unknown_rank && sig->in[1].default_proto.size);

    const struct ccz_tensor in[] = {in_b, in_a}; /* in any order */
    struct ccz_run_req req = {.sig = sig, .in = in, .in_len = 2};
    struct ccz_result *r = NULL;
    struct ccz_run_status st;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 2);
    const struct ccz_tensor *sum = ccz_result_at(r, 0);
    CHECK(strcmp(sum->name, "sum") == 0 && ((const int64_t *)(const void *)sum->data.ptr)[2] == 42);
    ccz_result_free(r);
    const size_t fetch[] = {1};
    req.fetch = fetch;
    req.fetch_len = 1;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 1);
    CHECK(ccz_span_eq(ccz_result_at(r, 0)->strings[1], ccz_span_str("odd")));
    ccz_result_free(r);
    ccz_model_free(m);
    CHECK(a.loaded == 0);
}

static void test_refuses(void)
{
    struct ccz_err err = {0};
    struct ccz_engine *none = NULL;
    struct ccz_engine_ops bad = ops;
    bad.run = NULL;
    CHECK(ccz_engine_custom(&none, &bad, NULL, &err) == CCZ_E_ARG && WHERE(err, "engine:backend"));
    bad = ops;
    bad.version = "a version that is longer than there is room for";
    CHECK(ccz_engine_custom(&none, &bad, NULL, &err) == CCZ_E_ARG && !none);

    struct adder a = {0};
    CCZ_AUTO(ccz_engine) e = NULL;
    CCZ_AUTO(ccz_model) m = load_model(&e, &a);
    struct ccz_tensor in[] = {in_a, in_b};
    struct ccz_run_req req = {
        .sig = ccz_model_signature(m, "serving_default"), .in = in, .in_len = 2};
    struct ccz_run_status st;
    struct ccz_result *r = NULL;
    for (enum lie lie = SHORT_DATA; lie <= NO_STRINGS; lie++) {
        a.lie = lie;
        CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_INTERNAL && !r);
        CHECK(st.code == CCZ_RUN_INTERNAL);
    }
    a.lie = NO_LIE;
    in[1].data.ptr = (const uint8_t *)&minus; /* the back end's own refusal comes through */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT && st.code == CCZ_RUN_OUT_OF_RANGE);
    in[1] = in_b;
    in[1].dtype = CCZ_DT_DOUBLE; /* as wide, of another type */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT &&
          st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "input b is double"));
    in[1] = in_b;
    in[0].rank = 0;
    in[0].len = 1;
    in[0].data.size = 8;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT &&
          st.code == CCZ_RUN_INVALID_ARGUMENT);
}

/* A default that does not fit its input, and files that cannot be read: nothing is loaded, nothing stays. */
static void test_defaults(void)
{
    struct adder a = {.bad_signature = true};
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_engine) e = NULL;
    struct ccz_model *m = NULL;
    CHECK(ccz_engine_custom(&e, &ops, &a, &err) == CCZ_OK);
    struct ccz_model_cfg cfg = {.files = &file, .files_len = 1, .read_at = read_one, .arg = &file};
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_INTERNAL && WHERE(err, "engine:signature"));
    CHECK(!m && a.loaded == 0);
    a.bad_signature = false;
    cfg.arg = NULL;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_IO && WHERE(err, "test:read") && !m);
    CHECK(a.loaded == 0);
}

/* Functions run one signature at a time. */
static void test_union(void)
{
    struct adder a = {.two = true};
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_engine) e = NULL;
    CCZ_AUTO(ccz_model) m = load_model(&e, &a);
    const struct ccz_signature *u = NULL, *sigs[] = {ccz_model_signature(m, "serving_default"),
                                                     ccz_model_signature(m, "again")};
    CHECK(sigs[0] && sigs[1]);
    CHECK(ccz_model_union(&u, m, sigs, 1, &err) == CCZ_OK && u == sigs[0]);
    CHECK(ccz_model_union(&u, m, sigs, 2, &err) == CCZ_E_UNSUPPORTED && !u);
    CHECK(WHERE(err, "engine:union") && strstr(err.msg, "adder"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"engine.custom", test_custom},
        {"engine.custom_refuses", test_refuses},
        {"engine.custom_defaults", test_defaults},
        {"engine.custom_union", test_union},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
