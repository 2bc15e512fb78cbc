/* SPDX-License-Identifier: Apache-2.0 */
/* The run on zeros that a model without warm-up records gets before its first client. */
#include "../../../daemons/served/served.h"

#include "ccz_test.h"

#include <string.h>

static struct ccz_err err;

/* A model with signatures as `specs` says, which notes what it is asked. */
struct toy {
    struct ccz_signature_spec specs[2];
    size_t len;
    bool fails;
    unsigned runs;
    char ran[32];
    size_t numbers;
    bool zero;
};

static ccz_rc toy_load(void **model, struct ccz_buf *signatures, void *arg,
                       const struct ccz_model_cfg *cfg, struct ccz_err *e)
{
    struct toy *t = arg;
    (void)cfg;
    (void)e;
    for (size_t i = 0; i < t->len; i++)
        ccz_signature_put(signatures, &t->specs[i]);
    *model = t;
    return CCZ_OK;
}

static void toy_unload(void *model)
{
    (void)model;
}

static ccz_rc toy_run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st,
                      void *model, const struct ccz_signature *sig,
                      const struct ccz_tensor *const *in, uint32_t timeout_ms)
{
    struct toy *t = model;
    CHECK(timeout_ms > 0);
    t->runs++;
    (void)snprintf(t->ran, sizeof(t->ran), "%s", sig->name);
    t->numbers = in[0]->len;
    t->zero = true;
    for (size_t i = 0; i < in[0]->data.size; i++)
        t->zero &= in[0]->data.ptr[i] == 0;
    if (t->fails)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "zeros are nothing to me");
    float *p = ccz_result_alloc(r, 1, sizeof(*p));
    CHECK(p);
    out->rank = 1;
    out->dims[0] = 1;
    out->len = 1;
    out->data = CCZ_SPAN(p, sizeof(*p));
    return CCZ_OK;
}

static unsigned runs_of(struct toy *t)
{
    static const struct ccz_engine_ops ops = {
        .name = "toy", .load = toy_load, .unload = toy_unload, .run = toy_run};
    static const struct ccz_model_file file = {.name = "toy", .size = 0};
    CCZ_AUTO(ccz_engine) engine = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    CHECK(ccz_engine_custom(&engine, &ops, t, &err) == CCZ_OK);
    const struct ccz_model_cfg cfg = {.files = &file, .files_len = 1};
    CHECK(ccz_model_load(&model, engine, &cfg, &err) == CCZ_OK);
    served_first_run(model);
    return t->runs;
}

static const int64_t any[] = {-1, 4, 3}, one[] = {-1}, huge[] = {1 << 20, 1 << 20};
static const struct ccz_tensor_spec numbers = {"x", CCZ_DT_FLOAT, 3, any, NULL},
                                    text = {"x", CCZ_DT_STRING, 1, one, NULL},
                                    unknown = {"x", CCZ_DT_FLOAT, -1, NULL, NULL},
                                    large = {"x", CCZ_DT_FLOAT, 2, huge, NULL},
                                    score = {"y", CCZ_DT_FLOAT, 1, one, NULL};

static void test_first_run(void)
{
    struct toy t = {
        .specs = {{"serving_default", &numbers, &score, 1, 1}, {"train", &numbers, &score, 1, 1}},
        .len = 2};
    CHECK(runs_of(&t) == 1);
    CHECK(strcmp(t.ran, "serving_default") == 0); /* `train` would have changed the model */
    CHECK(t.numbers == 12 && t.zero);
    struct toy only = {.specs = {{"train", &numbers, &score, 1, 1}}, .len = 1};
    CHECK(runs_of(&only) == 0);
    struct toy sour = {
        .specs = {{"serving_default", &numbers, &score, 1, 1}}, .len = 1, .fails = true};
    CHECK(runs_of(&sour) == 1); /* which is told, and no more */
}

static void test_left_alone(void)
{
    static const struct ccz_tensor_spec *const inputs[] = {&text, &unknown, &large};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct toy t = {.specs = {{"serving_default", inputs[i], &score, 1, 1}}, .len = 1};
        CHECK(runs_of(&t) == 0);
    }
    struct toy two = {
        .specs = {{"first", &numbers, &score, 1, 1}, {"second", &numbers, &score, 1, 1}}, .len = 2};
    CHECK(runs_of(&two) == 0); /* none is the default */
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"served.first_run", test_first_run},
                                            {"served.first_run_left_alone", test_left_alone}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
