/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer from a configuration: {"trainer": "nn" or "tensorflow", "model": .., "data": {..}, ..}. */
#include "fld.h"

#include <cczoo/codec.h>
#include <cczoo/fl_nn.h>
#include <cczoo/fl_tf.h>
#include <stdlib.h>
#include <string.h>

struct worker_trainer {
    struct ccz_json *json; /* texts are borrowed from it */
    struct ccz_dataset *train, *held_out;
    struct ccz_engine *engine;
    struct ccz_model *model;
    struct ccz_secret *model_key;
    struct ccz_fl_trainer t;
};

static ccz_rc refuse(const char *name, const char *expected, struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", name, expected);
}

static ccz_rc check_names(const struct ccz_json *object, const char *const *known,
                          struct ccz_err *err)
{
    const char *key = NULL;
    while (ccz_json_next(&key, object)) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i]) {
            char name[96];
            ccz_escape(name, sizeof(name), ccz_span_str(key));
            return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-name", name,
                              "a setting of docs/reference/fl.md");
        }
    }
    return CCZ_OK;
}

/* A number that is absent keeps its default. */
static bool number(uint64_t *out, const struct ccz_json *object, const char *name, uint64_t most)
{
    int64_t v;
    const struct ccz_json *j = ccz_json_get(object, name);
    if (!j)
        return true;
    bool good = ccz_json_int(&v, j) && v >= 0 && (uint64_t)v <= most;
    if (good)
        *out = (uint64_t)v;
    return good;
}

static bool real(double *out, const struct ccz_json *object, const char *name)
{
    const struct ccz_json *j = ccz_json_get(object, name);
    return !j || ccz_json_real(out, j);
}

static const char *text(const struct ccz_json *object, const char *name)
{
    return ccz_json_str(ccz_json_get(object, name));
}

static ccz_rc open_data(struct worker_trainer *w, const struct ccz_json *data,
                        const struct worker_opts *o, struct ccz_err *err)
{
    static const char *const known[] = {"kind",  "dir",      "parts", "part",  "skew",
                                        "alpha", "per_part", "seed",  "limit", "held_out_limit",
                                        "least", "balanced", NULL};
    struct ccz_dataset_source s = {.kind = text(data, "kind"), .dir = text(data, "dir")};
    uint64_t parts = 0, part = 0, per_part = 0, least = 0, limit = 0, held_out = 0, seed = 0;
    double alpha = 0.5;
    ccz_rc rc = check_names(data, known, err);
    if (rc != CCZ_OK)
        return rc;
    if (!s.kind || !s.dir)
        return refuse("data", "an object with kind and dir", err);
    if (!number(&parts, data, "parts", CCZ_DATASET_PARTS_MAX) ||
        !number(&part, data, "part", CCZ_DATASET_PARTS_MAX) ||
        !number(&per_part, data, "per_part", UINT32_MAX) ||
        !number(&least, data, "least", UINT32_MAX) || !number(&limit, data, "limit", SIZE_MAX) ||
        !number(&held_out, data, "held_out_limit", SIZE_MAX) ||
        !number(&seed, data, "seed", INT64_MAX) || !real(&alpha, data, "alpha") ||
        (ccz_json_get(data, "balanced") &&
         !ccz_json_bool(&s.parts.balanced, ccz_json_get(data, "balanced"))))
        return refuse("data", "numbers that are not negative", err);
    if (text(data, "skew") && !ccz_dataset_skew_from(&s.parts.skew, text(data, "skew")))
        return refuse("data.skew", "iid, dirichlet, shards, labels or groups", err);
    s.parts.parts = (uint32_t)parts;
    s.parts.alpha = alpha;
    s.parts.per_part = (uint32_t)per_part;
    s.parts.least = (uint32_t)least;
    s.parts.seed = seed;
    s.which = o->part >= 0 ? (uint32_t)o->part : (uint32_t)part;
    s.limit = limit;
    s.held_out_limit = held_out;
    return ccz_dataset_open(&w->train, &w->held_out, &s, err);
}

static ccz_rc open_nn(struct worker_trainer *w, struct ccz_err *err)
{
    uint64_t seed = 0;
    double decay = 0;
    const char *model = text(w->json, "model");
    if (!model || !number(&seed, w->json, "seed", INT64_MAX) ||
        !real(&decay, w->json, "weight_decay"))
        return refuse("model, seed or weight_decay", "a network's name and two numbers", err);
    struct ccz_fl_nn_cfg cfg = {
        .weight_decay = (float)decay, .train = ccz_fl_nn_data(w->train), .seed = seed};
    if (w->held_out)
        cfg.test = ccz_fl_nn_data(w->held_out);
    ccz_rc rc = ccz_fl_nn_spec(&cfg.spec, model, w->train, err);
    return rc == CCZ_OK ? ccz_fl_nn_trainer(&w->t, &cfg, err) : rc;
}

static ccz_rc open_tensorflow(struct worker_trainer *w, struct ccz_err *err)
{
    const struct ccz_engine_cfg cfg = {.backend = "tensorflow",
                                       .library = text(w->json, "library"),
                                       .intra_threads = 1, /* the same bits again */
                                       .inter_threads = -1};
    const char *model = text(w->json, "model"), *key = text(w->json, "model_key");
    if (!model)
        return refuse("model", "the folder of a SavedModel", err);
    ccz_rc rc = key ? ccz_file_read_secret(&w->model_key, key, 64, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = ccz_engine_open(&w->engine, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_tf_load(&w->model, w->engine, model, w->model_key, err);
    const struct ccz_fl_tf_cfg tf = {.model = w->model, .train = w->train, .held_out = w->held_out};
    return rc == CCZ_OK ? ccz_fl_tf_trainer(&w->t, &tf, err) : rc;
}

static ccz_rc open_all(struct worker_trainer *w, const struct worker_opts *o, struct ccz_err *err)
{
    static const char *const known[] = {"trainer",      "model", "model_key", "library",
                                        "weight_decay", "seed",  "data",      NULL};
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, FLD_CONFIG_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&file, o->config, err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&w->json, ccz_buf_span(&file), err);
    if (rc == CCZ_OK)
        rc = check_names(w->json, known, err);
    if (rc == CCZ_OK)
        rc = open_data(w, ccz_json_get(w->json, "data"), o, err);
    if (rc != CCZ_OK)
        return rc;
    const char *trainer = text(w->json, "trainer");
    if (trainer && strcmp(trainer, "nn") == 0)
        return open_nn(w, err);
    if (trainer && strcmp(trainer, "tensorflow") == 0)
        return open_tensorflow(w, err);
    return refuse("trainer", "nn or tensorflow", err);
}

ccz_rc worker_trainer_open(struct worker_trainer **out, const struct worker_opts *o,
                           struct ccz_err *err)
{
    struct worker_trainer *w = calloc(1, sizeof(*w));
    *out = w;
    if (!w)
        return ccz_fail(err, CCZ_E_NOMEM, "fld:memory", 0, "out of memory");
    return open_all(w, o, err);
}

void worker_trainer_close(struct worker_trainer *w)
{
    if (!w)
        return;
    if (w->t.ops)
        w->t.ops->free(w->t.self);
    ccz_model_free(w->model);
    ccz_engine_free(w->engine);
    ccz_secret_free(w->model_key);
    ccz_dataset_free(w->train);
    ccz_dataset_free(w->held_out);
    ccz_json_free(w->json);
    free(w);
}

const struct ccz_fl_trainer *worker_trainer_get(const struct worker_trainer *w)
{
    return &w->t;
}
