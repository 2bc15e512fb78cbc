/* SPDX-License-Identifier: Apache-2.0 */
/* Engines, each opened with the first model that needs it: one takes a second and hundreds of MB. */
#include "served.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ENGINES_MAX = 2 };

struct served_engines {
    const struct served_opts *opts;
    pthread_mutex_t lock;
    struct ccz_engine *engine[ENGINES_MAX];
};

static const struct {
    const char *backend, *hint;
} kinds[ENGINES_MAX] = {
    {"tensorflow",
     "scripts/fetch-tensorflow gets the library and prints its folder; say --tensorflow "
     "FOLDER/libtensorflow_cc.so.2"},
    {"onnxruntime", "scripts/fetch-onnxruntime gets the library and prints its folder; say "
                    "--onnxruntime FOLDER/libonnxruntime.so.1"},
};

ccz_rc served_engines_new(struct served_engines **out, const struct served_opts *o,
                          struct ccz_err *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return ccz_fail(err, CCZ_E_NOMEM, "served:engines", 0, "out of memory");
    (*out)->opts = o;
    (void)pthread_mutex_init(&(*out)->lock, NULL);
    return CCZ_OK;
}

static ccz_rc open_one(struct ccz_engine **out, const struct served_opts *o, size_t kind,
                       struct ccz_err *err)
{
    const char *library = kind == 0 ? o->tensorflow : o->onnxruntime;
    if (!library)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_UNAVAILABLE, "served:engine", 0,
                                 "the model needs %s, which this server was not given",
                                 kinds[kind].backend),
                        kinds[kind].hint);
    const struct served_tfs *t = &o->tfs;
    const struct ccz_engine_cfg cfg = {
        .backend = kinds[kind].backend,
        .library = library,
        .intra_threads = t->intra_threads ? (int)t->intra_threads : 1,
        /* one run per worker, in the worker, unless somebody says otherwise */
        .inter_threads = t->inter_threads ? (int)t->inter_threads : -1};
    return ccz_engine_open(out, &cfg, err);
}

ccz_rc served_engines_get(struct ccz_engine **out, struct served_engines *e, const char *backend,
                          struct ccz_err *err)
{
    *out = NULL;
    size_t kind = 0;
    while (kind < ENGINES_MAX && strcmp(kinds[kind].backend, backend) != 0)
        kind++;
    if (kind == ENGINES_MAX)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "served:engine", backend,
                          "tensorflow, onnxruntime");
    (void)pthread_mutex_lock(&e->lock);
    ccz_rc rc = e->engine[kind] ? CCZ_OK : open_one(&e->engine[kind], e->opts, kind, err);
    *out = e->engine[kind];
    (void)pthread_mutex_unlock(&e->lock);
    return rc;
}

void served_engines_free(struct served_engines *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < ENGINES_MAX; i++)
        ccz_engine_free(e->engine[i]);
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}
