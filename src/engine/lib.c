/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the library of a back end from one explicit path. */
#define _GNU_SOURCE
#include "engine/engine_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

ccz_rc cczi_lib_path(char **out, const char *library, const char *hint, struct ccz_err *err)
{
    if (!library || !strchr(library, '/'))
        return ccz_refuse(err, CCZ_E_ARG, "engine:library", library ? library : "none",
                          "a path with a '/': no place is searched");
    *out = realpath(library, NULL);
    if (*out)
        return CCZ_OK;
    ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:dlopen", errno, "%.120s: %s", library,
             strerror(errno));
    return ccz_hint(err, CCZ_E_UNAVAILABLE, hint);
}

ccz_rc cczi_lib_load(void **out, const char *path, const char *hint, struct ccz_err *err)
{
    /* NOW: a missing function shows here and not in the middle of a request, and the tables of
     * pointers are read-only afterwards. NODELETE: such libraries leave threads behind. */
    *out = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (*out)
        return CCZ_OK;
    const char *why = dlerror();
    ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:dlopen", 0, "cannot load %.80s: %.90s", path,
             why ? why : "");
    return ccz_hint(err, CCZ_E_UNAVAILABLE, hint);
}

ccz_rc cczi_lib_origin(void *symbol, const char *path, struct ccz_err *err)
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
