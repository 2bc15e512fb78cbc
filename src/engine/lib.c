/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the library of a back end from one explicit path. */
#define _GNU_SOURCE
#include "engine/engine_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
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

static bool is_network(const char *name)
{
    static const char *const functions[] = {"socket", "connect", "getaddrinfo", "gethostbyname"};
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strcmp(name, functions[i]) == 0)
            return true;
    return false;
}

/* An entry of the dynamic section as an address; some loaders leave it relative to where the library lies. */
static uintptr_t dynamic(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++)
        if (d->d_tag == tag)
            return d->d_un.d_ptr < map->l_addr ? map->l_addr + d->d_un.d_ptr : d->d_un.d_ptr;
    return 0;
}

/*
 * Builds of ONNX Runtime since 1.29 send usage data: they carry an HTTP client, keep a database in the home folder and a log in
 * /tmp. In a process with confidential inputs nothing of that may be. This finds what somebody built in openly, among the symbols
 * that the loader resolved for it (those before the hashed ones are taken from elsewhere); a library that hides it has to be found
 * by its measurement.
 */
ccz_rc cczi_lib_offline(void *lib, const char *path, struct ccz_err *err)
{
    struct link_map *map = NULL;
    if (dlinfo(lib, RTLD_DI_LINKMAP, &map) != 0 || !dynamic(map, DT_GNU_HASH))
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "engine:network", 0, "cannot tell what %.100s uses",
                        path);
    const ElfW(Sym) *symbols = (const ElfW(Sym) *)dynamic(map, DT_SYMTAB);
    const char *names = (const char *)dynamic(map, DT_STRTAB);
    const uint32_t *hash =
        (const uint32_t *)dynamic(map, DT_GNU_HASH); /* {buckets, first hashed, ..} */
    for (uint32_t i = 1; i < hash[1]; i++) {
        const char *name = names + symbols[i].st_name;
        if (symbols[i].st_shndx != SHN_UNDEF || !is_network(name))
            continue;
        ccz_fail(err, CCZ_E_DENIED, "engine:network", 0, "%.120s can open connections (it uses %s)",
                 path, name);
        return ccz_hint(
            err, CCZ_E_DENIED,
            "ONNX Runtime sends usage data since 1.29; scripts/fetch-onnxruntime gets one "
            "that does not");
    }
    return CCZ_OK;
}
