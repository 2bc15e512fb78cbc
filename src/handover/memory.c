/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed memory files. */
#define _GNU_SOURCE
#include "handover/handover_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
/* Linux >= 6.3; the headers of Debian 12 do not have them. */
#define NOEXEC_SEAL 0x0008u
#define MAY_EXEC    0x0010u

enum { CHUNK_SIZE = 65536, NAME_SIZE = 64 };

ccz_rc cczi_handover_errno(struct ccz_err *err, const char *where, const char *what,
                           const char *name)
{
    int e = errno;
    ccz_rc rc = e == ENOENT || e == ENOTDIR ? CCZ_E_NOT_FOUND
                : e == ENOMEM               ? CCZ_E_NOMEM
                : e == EEXIST               ? CCZ_E_EXISTS
                                            : CCZ_E_IO;
    return ccz_fail(err, rc, where, e, "%s %s: %s", what, name, strerror(e));
}

int cczi_handover_write(int fd, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    while (size > 0) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return -1;
        }
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

ccz_rc cczi_handover_stream(int out, int in, const char *where, const char *name,
                            struct ccz_err *err)
{
    uint8_t chunk[CHUNK_SIZE];
    int64_t size = 0;
    ccz_rc rc = CCZ_OK;
    for (;;) {
        ssize_t n = read(in, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = cczi_handover_errno(err, where, "cannot read", name);
        if (n <= 0)
            break;
        size += n;
        if (size > CCZ_HANDOVER_COPY_SIZE_MAX)
            rc = ccz_refuse_num(err, CCZ_E_LIMIT, where, size, CCZ_HANDOVER_COPY_SIZE_MAX);
        else if (cczi_handover_write(out, chunk, (size_t)n) != 0)
            rc = cczi_handover_errno(err, where, "cannot copy", name);
        if (rc != CCZ_OK)
            break;
    }
    ccz_wipe(chunk, sizeof(chunk));
    return rc;
}

/* An empty memory file. Older kernels know no flag about executing, and take every file as executable. */
static ccz_rc create(int *fd, const char *name, bool program, struct ccz_err *err)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    char cut[NAME_SIZE];
    (void)snprintf(cut, sizeof(cut), "%s", name);
    *fd = memfd_create(cut, flags | (program ? MAY_EXEC : NOEXEC_SEAL));
    if (*fd < 0 && errno == EINVAL)
        *fd = memfd_create(cut, flags);
    if (*fd >= 0)
        return CCZ_OK;
    int e = errno;
    if (e != ENOSYS && e != EINVAL && e != EPERM && e != EACCES)
        return cczi_handover_errno(err, "handover:memory", "cannot make memory file", cut);
    ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "handover:memory", e, "no %smemory files here: %s",
                         program ? "executable " : "", strerror(e));
    return ccz_hint(err, rc,
                    program && (e == EACCES || e == EPERM)
                        ? "is vm.memfd_noexec set?"
                        : "Linux is needed; a library OS may have private files or the environment "
                          "only");
}

static ccz_rc seal(int fd, mode_t mode, struct ccz_err *err)
{
    if (lseek(fd, 0, SEEK_SET) != 0 || fchmod(fd, mode) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        return cczi_handover_errno(err, "handover:memory", "cannot seal", "a memory file");
    return ccz_handover_check_sealed(fd, err);
}

ccz_rc ccz_handover_memory(int *fd, const char *name, struct ccz_span bytes, struct ccz_err *err)
{
    *fd = -1;
    if (bytes.size == 0)
        return ccz_fail(err, CCZ_E_ARG, "handover:memory", 0, "%s is empty", name);
    int f;
    ccz_rc rc = create(&f, name, false, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_handover_write(f, bytes.ptr, bytes.size) != 0)
        rc = cczi_handover_errno(err, "handover:memory", "cannot write memory file", name);
    else
        rc = seal(f, 0400, err);
    if (rc == CCZ_OK)
        *fd = f;
    else
        (void)close(f);
    return rc;
}

ccz_rc ccz_handover_copy(int *fd, const char *path, struct ccz_err *err)
{
    *fd = -1;
    int in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    if (in < 0)
        return cczi_handover_errno(err, "handover:copy", "cannot open", path);
    struct stat st;
    int f = -1;
    ccz_rc rc = CCZ_OK;
    if (fstat(in, &st) != 0)
        rc = cczi_handover_errno(err, "handover:copy", "cannot stat", path);
    else if (!S_ISREG(st.st_mode))
        rc = ccz_fail(err, CCZ_E_IO, "handover:copy", 0, "%s is not a regular file", path);
    else if (st.st_size > CCZ_HANDOVER_COPY_SIZE_MAX) /* one that grows is noticed while copying */
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "handover:copy", st.st_size,
                            CCZ_HANDOVER_COPY_SIZE_MAX);
    else
        rc = create(&f, path, true, err);
    if (rc == CCZ_OK)
        rc = cczi_handover_stream(f, in, "handover:copy", path, err);
    if (rc == CCZ_OK)
        rc = seal(f, 0500, err);
    (void)close(in);
    if (rc == CCZ_OK)
        *fd = f;
    else if (f >= 0)
        (void)close(f);
    return rc;
}

ccz_rc ccz_handover_check_sealed(int fd, struct ccz_err *err)
{
    char got[24], want[24];
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && (seals & SEALS) == SEALS)
        return CCZ_OK;
    if (seals < 0)
        (void)snprintf(got, sizeof(got), "no memory file");
    else
        (void)snprintf(got, sizeof(got), "seals 0x%x", (unsigned)seals);
    (void)snprintf(want, sizeof(want), "seals 0x%x", (unsigned)SEALS);
    return ccz_refuse(err, CCZ_E_DENIED, "handover:seals", got, want);
}
