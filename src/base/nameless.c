/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary files that nobody can open by a name. */
#define _GNU_SOURCE /* O_TMPFILE */
#include <cczoo/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MODE = 0600 };

/* A name for as long as it takes to remove it, before anything is written. */
static int open_unlinked(const char *dir)
{
    char path[4096];
    const int n = snprintf(path, sizeof(path), "%s/.cczoo-XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || unlink(path) == 0)
        return fd;
    const int e = errno;
    close(fd);
    errno = e;
    return -1;
}

int ccz_nameless_open(const char *dir)
{
    const int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, MODE);
    /* file systems without it say EOPNOTSUPP, kernels without it EISDIR, and library systems of enclaves EINVAL */
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    return open_unlinked(dir);
}
