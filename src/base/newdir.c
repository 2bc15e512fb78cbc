/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that gets its name when all of it is there. */
#define _XOPEN_SOURCE 700
#include <cczoo/base.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ccz_rc fail_errno(struct ccz_err *err, const char *what, const char *path)
{
    const int e = errno;
    return ccz_fail(err, e == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "file:dir", e, "%s %s: %s", what,
                    path, strerror(e));
}

static ccz_rc exists(const char *path, struct ccz_err *err)
{
    ccz_fail(err, CCZ_E_EXISTS, "file:exists", 0, "%s exists already", path);
    return ccz_hint(err, CCZ_E_EXISTS, "choose another name or move the old folder away");
}

ccz_rc ccz_newdir_open(struct ccz_newdir *d, const char *path, unsigned perm, struct ccz_err *err)
{
    struct stat st;
    d->path = path;
    d->tmp[0] = 0;
    if (lstat(path, &st) == 0)
        return exists(path, err);
    const int n = snprintf(d->tmp, sizeof(d->tmp), "%s.%ld.tmp", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(d->tmp)) {
        d->tmp[0] = 0;
        return ccz_fail(err, CCZ_E_LIMIT, "file:path-size", n,
                        "the name of the output is too long");
    }
    if (mkdir(d->tmp, perm) != 0) {
        ccz_rc rc = fail_errno(err, "cannot create", d->tmp);
        d->tmp[0] = 0; /* it is not ours to remove */
        return rc;
    }
    ccz_rc rc = ccz_sync_parent(d->tmp, err);
    if (rc != CCZ_OK)
        ccz_newdir_abort(d);
    return rc;
}

ccz_rc ccz_newdir_commit(struct ccz_newdir *d, struct ccz_err *err)
{
    /* rename() would replace an empty folder that somebody made meanwhile: that is no loss */
    if (rename(d->tmp, d->path) != 0) {
        ccz_rc rc = errno == EEXIST || errno == ENOTEMPTY
                        ? exists(d->path, err)
                        : fail_errno(err, "cannot rename to", d->path);
        ccz_newdir_abort(d);
        return rc;
    }
    d->tmp[0] = 0;
    return ccz_sync_parent(d->path, err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void ccz_newdir_abort(struct ccz_newdir *d)
{
    if (d->tmp[0])
        (void)nftw(d->tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    d->tmp[0] = 0;
}
