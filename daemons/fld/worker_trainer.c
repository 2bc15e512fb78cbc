/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer from a configuration: {"trainer": "nn" or "tensorflow", "model": .., "data": {..}, ..}. */
#include "fld.h"

#include <cczoo/fl_nn.h>
#include <cczoo/fl_tf.h>
#include <cczoo/pf.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMEWORK, LIBRARY, GRAPH, FILES, THREADS_MAX = 256, PATH_SIZE = 4096 };

struct worker_trainer {
    struct ccz_json *json; /* texts are borrowed from it */
    struct ccz_dataset *train, *held_out;
    struct ccz_engine *engine;
    struct ccz_model *model;
    struct ccz_secret *model_key;
    char *path[FILES]; /* measured, in the order in which they are loaded */
    struct ccz_fl_trainer t;
};

static ccz_rc refuse(const char *name, const char *expected, struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", name, expected);
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

static bool flag(bool *out, const struct ccz_json *object, const char *name)
{
    const struct ccz_json *j = ccz_json_get(object, name);
    return !j || ccz_json_bool(out, j);
}

static const char *text(const struct ccz_json *object, const char *name)
{
    return ccz_json_str(ccz_json_get(object, name));
}

static ccz_rc open_data(struct worker_trainer *w, const struct ccz_json *data,
                        const struct worker_opts *o, struct ccz_err *err)
{
    static const char *const known[] = {
        "kind", "dir",   "parts",          "part",  "skew",     "alpha",      "per_part",
        "seed", "limit", "held_out_limit", "least", "balanced", "whole_test", NULL};
    struct ccz_dataset_source s = {.kind = text(data, "kind"), .dir = text(data, "dir")};
    uint64_t parts = 0, part = 0, per_part = 0, least = 0, limit = 0, held_out = 0, seed = 0;
    double alpha = 0.5;
    ccz_rc rc = fld_check_names(data, known, err);
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
        !flag(&s.parts.balanced, data, "balanced") || !flag(&s.whole_test, data, "whole_test"))
        return refuse("data", "numbers that are not negative; balanced, whole_test: true or false",
                      err);
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

/* A model is a program: its graph is measured like the libraries that run it. */
static ccz_rc name_files(struct worker_trainer *w, const char *library, const char *model,
                         struct ccz_err *err)
{
    static const char *const base[FILES] = {
        [FRAMEWORK] = "libtensorflow_framework.so.2", [GRAPH] = "saved_model.pb"};
    const char *slash = strrchr(library, '/');
    if (!slash)
        return refuse("library", "a path with a folder", err);
    for (int i = 0; i < FILES; i++) {
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, PATH_SIZE);
        if (i == GRAPH)
            ccz_buf_put_str(&b, model);
        else
            ccz_buf_put(&b, library, (size_t)(slash - library));
        ccz_buf_printf(&b, "/%s", base[i] ? base[i] : slash + 1);
        w->path[i] = b.bad ? NULL : strdup(ccz_buf_str(&b));
        if (!w->path[i])
            return ccz_fail(err, CCZ_E_LIMIT, "fld:path", i, "a path is too long");
    }
    return CCZ_OK;
}

static ccz_rc open_tensorflow(struct worker_trainer *w, struct ccz_err *err)
{
    uint64_t threads = 1; /* the same bits again */
    const char *model = text(w->json, "model"), *key = text(w->json, "model_key"),
               *library = text(w->json, "library");
    if (!model || !library || !number(&threads, w->json, "threads", THREADS_MAX) || threads == 0)
        return refuse("model, library or threads",
                      "the folder of a SavedModel, libtensorflow_cc.so.2, a number from 1", err);
    const struct ccz_engine_cfg cfg = {.backend = "tensorflow",
                                       .library = library,
                                       .intra_threads = (int)threads,
                                       .inter_threads = -1};
    ccz_rc rc = name_files(w, library, model, err);
    if (rc == CCZ_OK && key)
        rc = ccz_file_read_secret(&w->model_key, key, CCZ_PF_KEY_SIZE, err);
    if (rc == CCZ_OK)
        rc = ccz_engine_open(&w->engine, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_tf_load(&w->model, w->engine, model, w->model_key, err);
    const struct ccz_fl_tf_cfg tf = {.model = w->model, .train = w->train, .held_out = w->held_out};
    return rc == CCZ_OK ? ccz_fl_tf_trainer(&w->t, &tf, err) : rc;
}

static ccz_rc open_all(struct worker_trainer *w, const struct worker_opts *o, struct ccz_err *err)
{
    static const char *const known[] = {"trainer",      "model", "model_key", "library", "threads",
                                        "weight_decay", "seed",  "data",      "secagg",  NULL};
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, FLD_CONFIG_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&file, o->config, err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&w->json, ccz_buf_span(&file), err);
    if (rc == CCZ_OK)
        rc = fld_check_names(w->json, known, err);
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
    for (int i = 0; i < FILES; i++)
        free(w->path[i]);
    free(w);
}

const struct ccz_fl_trainer *worker_trainer_get(const struct worker_trainer *w)
{
    return &w->t;
}

size_t worker_trainer_files(const char *const **out, const struct worker_trainer *w)
{
    *out = (const char *const *)w->path;
    return w->path[0] ? FILES : 0;
}

const struct ccz_json *worker_trainer_json(const struct worker_trainer *w)
{
    return w->json;
}
