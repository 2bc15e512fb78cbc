/* SPDX-License-Identifier: Apache-2.0 */
/* Loads TensorFlow's two libraries from one explicit folder and resolves what is used of them. */
#define _GNU_SOURCE
#include "engine/tf_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char framework_name[] = "libtensorflow_framework.so.2";

static ccz_rc load(void **out, const char *path, struct ccz_err *err)
{
    /* NOW: a missing function shows here and not in the middle of a request, and the tables of
     * pointers are read-only afterwards. NODELETE: TensorFlow leaves threads behind. */
    *out = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (*out)
        return CCZ_OK;
    const char *why = dlerror();
    ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:dlopen", 0, "cannot load %.80s: %.90s", path,
             why ? why : "");
    return ccz_hint(err, CCZ_E_UNAVAILABLE,
                    "scripts/fetch-tensorflow gets the libraries and prints their folder");
}

/*
 * The library that depends on the framework must have taken the one beside it: the loader would
 * also accept one that is in the process already, or that LD_LIBRARY_PATH names.
 */
static ccz_rc check_origin(void *symbol, const char *path, struct ccz_err *err)
{
    Dl_info info = {0};
    struct stat want, got;
    if (dladdr(symbol, &info) == 0 || !info.dli_fname || stat(info.dli_fname, &got) != 0 ||
        stat(path, &want) != 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:origin", errno,
                        "cannot tell where %.100s came from", path);
    if (got.st_dev != want.st_dev || got.st_ino != want.st_ino)
        return ccz_refuse(err, CCZ_E_UNAVAILABLE, "engine:origin", info.dli_fname, path);
    return CCZ_OK;
}

static ccz_rc resolve(struct tf_api *tf, void *lib, struct ccz_err *err)
{
    void *symbol;
    /* ISO C has no cast from an object pointer to a function pointer; POSIX says the bits are the
     * same. */
#define X(ret, name, params)                                                                       \
    symbol = dlsym(lib, #name);                                                                    \
    if (!symbol)                                                                                   \
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:symbol", 0,                                \
                        "the library has no function " #name);                                     \
    memcpy(&tf->name, &symbol, sizeof(symbol));
    TF_FUNCTIONS(X)
#undef X
    return CCZ_OK;
}

/* The folder of the library given, links followed, and the two paths in it. */
static ccz_rc paths(struct ccz_engine *e, const char *library, struct ccz_err *err)
{
    if (!library || !strchr(library, '/'))
        return ccz_refuse(err, CCZ_E_ARG, "engine:library", library ? library : "none",
                          "a path with a '/': no place is searched");
    char *real = realpath(library, NULL);
    if (!real) {
        ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:dlopen", errno, "%.120s: %s", library,
                 strerror(errno));
        return ccz_hint(err, CCZ_E_UNAVAILABLE,
                        "scripts/fetch-tensorflow gets the libraries and prints their folder");
    }
    e->libraries[0] = real;
    size_t folder = (size_t)(strrchr(real, '/') - real) + 1;
    e->libraries[1] = malloc(folder + sizeof(framework_name));
    if (!e->libraries[1])
        return ccz_fail(err, CCZ_E_NOMEM, "engine:library", 0, "no memory");
    memcpy(e->libraries[1], real, folder);
    memcpy(e->libraries[1] + folder, framework_name, sizeof(framework_name));
    return CCZ_OK;
}

ccz_rc cczi_tf_lib_open(struct ccz_engine *e, struct tf_api *tf, const char *library,
                        struct ccz_err *err)
{
    void *framework, *lib, *symbol;
    ccz_rc rc = paths(e, library, err);
    if (rc == CCZ_OK)
        rc = load(&framework, e->libraries[1], err);
    if (rc == CCZ_OK)
        rc = load(&lib, e->libraries[0], err);
    if (rc == CCZ_OK)
        rc = resolve(tf, lib, err);
    /* One function of each library. */
    if (rc == CCZ_OK) {
        memcpy(&symbol, &tf->TF_SessionRun, sizeof(symbol));
        rc = check_origin(symbol, e->libraries[0], err);
    }
    if (rc == CCZ_OK) {
        memcpy(&symbol, &tf->TF_NewWritableFile, sizeof(symbol));
        rc = check_origin(symbol, e->libraries[1], err);
    }
    if (rc == CCZ_OK)
        (void)snprintf(e->version, sizeof(e->version), "%s", tf->TF_Version());
    return rc;
}
