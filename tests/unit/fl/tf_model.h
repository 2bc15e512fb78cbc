/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_FL_TF_MODEL_H
#define CCZ_TEST_FL_TF_MODEL_H
/* For tests: TensorFlow with one thread and an exported network; skipped (77) where either is missing. Define
 * _DEFAULT_SOURCE first. */
#include "ccz_test.h"
#include "engine/model_dir.h"

#include <cczoo/fl_tf.h>

static inline void tf_skip(const char *what, const char *how)
{
    fprintf(stderr, "skipped: %s is missing (%s)\n", what, how);
    exit(77);
}

static inline void tf_check(ccz_rc rc, const struct ccz_err *err)
{
    if (rc == CCZ_OK)
        return;
    fprintf(stderr, "%s: %s (%s / %s)\n", err->where, err->msg, err->got, err->expected);
    CHECK(false);
}

/* The folder of an exported network. */
static inline void tf_network(char out[MODEL_DIR_PATH_SIZE], const char *name)
{
    char pattern[64];
    (void)snprintf(pattern, sizeof(pattern), "models/federated-*/%s", name);
    if (!cache_find(out, pattern))
        tf_skip("the exported network", "scripts/export-models");
}

static inline struct ccz_engine *tf_engine(void)
{
    char lib[MODEL_DIR_PATH_SIZE];
    if (!tf_library(lib))
        tf_skip("TensorFlow", "scripts/fetch-tensorflow");
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    char dir[MODEL_DIR_PATH_SIZE];
    tf_network(dir, "tiny"); /* loading TensorFlow takes seconds */
    const struct ccz_engine_cfg cfg = {
        .backend = "tensorflow", .library = lib, .intra_threads = 1, .inter_threads = -1};
    tf_check(ccz_engine_open(&e, &cfg, &err), &err);
    return e;
}

static inline struct ccz_model *tf_model(struct ccz_engine *e, const char *name)
{
    char dir[MODEL_DIR_PATH_SIZE];
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    tf_network(dir, name);
    tf_check(ccz_fl_tf_load(&m, e, dir, NULL, &err), &err);
    return m;
}

#endif
