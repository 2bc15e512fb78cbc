/* SPDX-License-Identifier: Apache-2.0 */
/* Loads TensorFlow's two libraries from one explicit folder and resolves what is used of them. */
#include "engine/tf_priv.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char framework_name[] = "libtensorflow_framework.so.2";

static const char hint[] = "scripts/fetch-tensorflow gets the libraries and prints their folder";

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
    ccz_rc rc = cczi_lib_path(&e->libraries[0], library, hint, err);
    if (rc != CCZ_OK)
        return rc;
    const char *real = e->libraries[0];
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
        rc = cczi_lib_load(&framework, e->libraries[1], hint, err);
    if (rc == CCZ_OK)
        rc = cczi_lib_load(&lib, e->libraries[0], hint, err);
    if (rc == CCZ_OK)
        rc = resolve(tf, lib, err);
    /* One function of each library: the loader would also take a framework that is in the process already, or that
     * LD_LIBRARY_PATH names. */
    if (rc == CCZ_OK) {
        memcpy(&symbol, &tf->TF_SessionRun, sizeof(symbol));
        rc = cczi_lib_origin(symbol, e->libraries[0], err);
    }
    if (rc == CCZ_OK) {
        memcpy(&symbol, &tf->TF_NewWritableFile, sizeof(symbol));
        rc = cczi_lib_origin(symbol, e->libraries[1], err);
    }
    if (rc == CCZ_OK)
        (void)snprintf(e->version, sizeof(e->version), "%s", tf->TF_Version());
    return rc;
}
