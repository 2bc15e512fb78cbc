/* SPDX-License-Identifier: Apache-2.0 */
/* Loads ONNX Runtime from one explicit path, and the environment that all its sessions share. */
#include "engine/ort_priv.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char hint[] = "scripts/fetch-onnxruntime gets the library and prints its folder";

/* ONNX Runtime has one environment per process, with the thread pools of whoever made it first. */
static struct {
    pthread_mutex_t lock; /* for everything below */
    size_t users;
    int intra_threads, inter_threads;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool cczi_ort_ok(const struct ort_api *api, struct OrtStatus *s, int *code, char *text,
                 size_t text_size)
{
    if (!s)
        return true;
    *code = api->GetErrorCode(s);
    (void)snprintf(text, text_size, "%s", api->GetErrorMessage(s));
    api->ReleaseStatus(s);
    return false;
}

ccz_rc cczi_ort_check(const struct ort_api *api, struct OrtStatus *s, ccz_rc rc, const char *where,
                      struct ccz_err *err)
{
    char text[512];
    int code = 0;
    if (cczi_ort_ok(api, s, &code, text, sizeof(text)))
        return CCZ_OK;
    return ccz_fail(err, rc, where, code, "%.180s", text);
}

static ccz_rc resolve(struct ccz_engine *e, struct ort_engine *o, void *lib, struct ccz_err *err)
{
    const struct OrtApiBase *(*get)(void) = NULL;
    void *symbol = dlsym(lib, "OrtGetApiBase");
    if (!symbol)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:symbol", 0,
                        "the library has no function OrtGetApiBase");
    ccz_rc rc = cczi_lib_origin(symbol, e->libraries[0], err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(&get, &symbol,
           sizeof(symbol)); /* ISO C has no such cast; POSIX says the bits are the same */
    const struct OrtApiBase *base = get();
    (void)snprintf(e->version, sizeof(e->version), "%s", base->GetVersionString());
    const void *const *table = base->GetApi(ORT_API_VERSION);
    if (!table) {
        ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:version", ORT_API_VERSION,
                 "ONNX Runtime %.20s is older than its API %d", e->version, ORT_API_VERSION);
        return ccz_hint(err, CCZ_E_UNAVAILABLE, hint);
    }
#define X(place, ret, name, params) memcpy(&o->api.name, &table[place], sizeof(table[place]));
    ORT_FUNCTIONS(X)
#undef X
    return CCZ_OK;
}

/* 0 of ours means one per core, as 0 of theirs; -1 runs one operation at a time, which needs no pool. */
static int pool_size(int inter_threads)
{
    return inter_threads < 0 ? 1 : inter_threads;
}

static ccz_rc make_env(struct ort_engine *o, struct ccz_err *err)
{
    const struct ort_api *api = &o->api;
    struct OrtThreadingOptions *t = NULL;
    ccz_rc rc = cczi_ort_check(api, api->CreateThreadingOptions(&t), CCZ_E_UNAVAILABLE,
                               "engine:threads", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api, api->SetGlobalIntraOpNumThreads(t, o->intra_threads),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api, api->SetGlobalInterOpNumThreads(t, pool_size(o->inter_threads)),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    if (rc == CCZ_OK) /* a thread without work must not take the core of one that has some */
        rc = cczi_ort_check(api, api->SetGlobalSpinControl(t, 0), CCZ_E_UNAVAILABLE,
                            "engine:threads", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api,
                            api->CreateEnvWithGlobalThreadPools(ORT_LOG_FATAL, "cczoo", t, &o->env),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    if (t)
        api->ReleaseThreadingOptions(t);
    return rc;
}

static ccz_rc share_env(struct ort_engine *o, struct ccz_err *err)
{
    pthread_mutex_lock(&process.lock);
    ccz_rc rc = make_env(o, err);
    if (rc == CCZ_OK && process.users++ == 0) {
        process.intra_threads = o->intra_threads;
        process.inter_threads = o->inter_threads;
    }
    o->own_pools = process.intra_threads != o->intra_threads ||
                   pool_size(process.inter_threads) != pool_size(o->inter_threads);
    pthread_mutex_unlock(&process.lock);
    return rc;
}

/* With this variable a model file sets options of its session: threads, and a profile that is written to a file. */
static ccz_rc check_environment(struct ccz_err *err)
{
    static const char name[] = "ORT_LOAD_CONFIG_FROM_MODEL";
    const char *value = getenv(name);
    if (!value || strcmp(value, "0") == 0)
        return CCZ_OK;
    ccz_fail(err, CCZ_E_DENIED, "engine:environment", 0, "%s is set: models would set options",
             name);
    return ccz_hint(err, CCZ_E_DENIED, "unset ORT_LOAD_CONFIG_FROM_MODEL");
}

ccz_rc cczi_ort_lib_open(struct ccz_engine *e, struct ort_engine *o, const char *library,
                         struct ccz_err *err)
{
    void *lib = NULL;
    ccz_rc rc = cczi_lib_path(&e->libraries[0], library, hint, err);
    if (rc == CCZ_OK)
        rc = check_environment(err);
    if (rc == CCZ_OK)
        rc = cczi_lib_load(&lib, e->libraries[0], hint, err);
    if (rc == CCZ_OK) /* before any of it is called */
        rc = cczi_lib_offline(lib, e->libraries[0], err);
    if (rc == CCZ_OK)
        rc = resolve(e, o, lib, err);
    if (rc == CCZ_OK)
        rc = share_env(o, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_ort_check(&o->api,
                        o->api.CreateCpuMemoryInfo(ORT_DEVICE_ALLOCATOR, ORT_MEM_DEFAULT, &o->cpu),
                        CCZ_E_UNAVAILABLE, "engine:library", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(&o->api, o->api.GetAllocatorWithDefaultOptions(&o->allocator),
                            CCZ_E_UNAVAILABLE, "engine:library", err);
    return rc;
}

void cczi_ort_lib_close(struct ort_engine *o)
{
    if (o->cpu)
        o->api.ReleaseMemoryInfo(o->cpu);
    if (!o->env)
        return;
    pthread_mutex_lock(&process.lock);
    process.users--;
    o->api.ReleaseEnv(o->env);
    pthread_mutex_unlock(&process.lock);
}
