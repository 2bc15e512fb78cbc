/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEMP_DIR_H
#define CCZ_TEMP_DIR_H
/* A directory for the files of one test program, removed at its end. Define _GNU_SOURCE first. */
#include "ccz_test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char temp_base[] = "/tmp/ccz_test.XXXXXX";

static inline int temp_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void temp_cleanup(void)
{
    (void)nftw(temp_base, temp_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void temp_setup(void)
{
    CHECK(mkdtemp(temp_base) != NULL);
    CHECK(atexit(temp_cleanup) == 0);
}

/* The path of @p name in it; good for the next seven calls. */
static inline const char *temp_path(const char *name)
{
    static char text[8][512];
    static unsigned turn;
    char *p = text[turn++ % 8];
    CHECK((size_t)snprintf(p, sizeof(text[0]), "%s/%s", temp_base, name) < sizeof(text[0]));
    return p;
}

static inline const char *temp_make_dir(const char *name)
{
    const char *p = temp_path(name);
    CHECK(mkdir(p, 0755) == 0);
    return p;
}
#endif
