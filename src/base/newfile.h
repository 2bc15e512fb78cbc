/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_BASE_NEWFILE_H
#define CCZ_SRC_BASE_NEWFILE_H
/* A file that appears under its name only when it is complete and durable. */
#include <cczoo/base.h>

struct cczi_newfile {
    int fd; /* read and write; -1 once committed or aborted */
    const char *path;
    char tmp[4096]; /* beside `path`, so that the rename stays in one file system */
};

/* @param path borrowed until commit or abort */
ccz_rc cczi_newfile_open(struct cczi_newfile *f, const char *path, unsigned perm,
                         struct ccz_err *err);
/* fsync, rename, fsync of the folder. On failure nothing is left behind. */
ccz_rc cczi_newfile_commit(struct cczi_newfile *f, enum ccz_file_mode mode, struct ccz_err *err);
/* Removes the unfinished file; does nothing after commit, abort or a failed open. */
void cczi_newfile_abort(struct cczi_newfile *f);
/* Makes the entry of `path` in its folder durable, best effort. */
void cczi_sync_parent(const char *path);

#endif
