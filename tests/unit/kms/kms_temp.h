/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_TEMP_H
#define KMS_TEMP_H
/* A temporary folder of a test, removed at exit. One at a time, so that running all tests in one process leaves nothing
 * behind either. Define _GNU_SOURCE first. */
#include "ccz_test.h"

#include <stdio.h>
#include <stdlib.h>

static char dir_root[256];

static inline void dir_remove(void)
{
    char cmd[300];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir_root);
    if (dir_root[0])
        (void)!system(cmd);
    dir_root[0] = 0;
}

/* The path of @p name in it; good for the next seven calls. */
static inline const char *dir_path(const char *name)
{
    static char path[8][400];
    static unsigned turn;
    char *p = path[turn++ % 8];
    (void)snprintf(p, sizeof(path[0]), "%s/%s", dir_root, name);
    return p;
}

/* An empty one, instead of the last. */
static inline void dir_fresh(void)
{
    static bool registered;
    const char *tmp = getenv("TMPDIR");
    dir_remove();
    (void)snprintf(dir_root, sizeof(dir_root), "%s/cczoo-kms-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir_root) != NULL);
    CHECK(registered || atexit(dir_remove) == 0);
    registered = true;
}
#endif
