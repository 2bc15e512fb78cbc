/* SPDX-License-Identifier: Apache-2.0 */
/* Folders: the same work for every file below, into a new folder that gets its name last. */
#define _XOPEN_SOURCE 700
#include "pf_priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE          4096
#define DIR_QUEUE_SIZE_MAX (64u << 20) /* bytes of folder names waiting to be entered */

static ccz_rc fail_errno(struct ccz_err *err, const char *what, const char *path)
{
    int e = errno;
    return ccz_fail(err, e == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "pf:tree", e, "%s %s: %s", what,
                    path, strerror(e));
}

/* "<dir>/<rel>", or either one when the other is empty. */
static ccz_rc join(char out[PATH_SIZE], const char *dir, const char *rel, struct ccz_err *err)
{
    int n = snprintf(out, PATH_SIZE, "%s%s%s", dir, dir[0] && rel[0] ? "/" : "", rel);
    if (n < 0 || n >= PATH_SIZE)
        return ccz_fail(err, CCZ_E_LIMIT, "pf:path-size", n, "a path is longer than %d bytes",
                        PATH_SIZE - 1);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- walk */

struct walk {
    const char *top;
    ccz_rc (*on_dir)(void *arg, const char *rel, struct ccz_err *err); /* may be NULL */
    ccz_rc (*on_file)(void *arg, const char *rel, struct ccz_err *err);
    void *arg;
    struct ccz_buf queue; /* folders still to enter: relative names, each with its NUL */
};

static ccz_rc walk_entry(struct walk *w, const char *dir, const char *name, struct ccz_err *err)
{
    char rel[PATH_SIZE], path[PATH_SIZE];
    struct stat st;
    ccz_rc rc = join(rel, dir, name, err);
    if (rc == CCZ_OK)
        rc = join(path, w->top, rel, err);
    if (rc != CCZ_OK)
        return rc;
    if (lstat(path, &st) != 0)
        return fail_errno(err, "cannot stat", path);
    if (S_ISREG(st.st_mode))
        return w->on_file(w->arg, rel, err);
    if (!S_ISDIR(st.st_mode))
        return cczi_pf_refuse_type(err, path,
                                   S_ISLNK(st.st_mode) ? "is a symbolic link" : "is a special file",
                                   "regular files and folders only");
    if (w->on_dir)
        rc = w->on_dir(w->arg, rel, err);
    ccz_buf_put(&w->queue, rel, strlen(rel) + 1);
    if (rc == CCZ_OK && w->queue.bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "pf:tree", 0, "too many folders below %s", w->top);
    return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* the same order in every locale */
}

static int not_dot(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static ccz_rc walk_dir(struct walk *w, const char *dir, struct ccz_err *err)
{
    char path[PATH_SIZE];
    ccz_rc rc = join(path, w->top, dir, err);
    if (rc != CCZ_OK)
        return rc;
    struct dirent **entries;
    int len = scandir(path, &entries, not_dot, by_name);
    if (len < 0)
        return fail_errno(err, "cannot list", path);
    for (int i = 0; i < len; i++) {
        if (rc == CCZ_OK)
            rc = walk_entry(w, dir, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* Breadth first with a queue: the depth of the input costs no stack. */
static ccz_rc walk(struct walk *w, struct ccz_err *err)
{
    ccz_buf_init(&w->queue, DIR_QUEUE_SIZE_MAX);
    ccz_rc rc = walk_dir(w, "", err);
    for (size_t at = 0; at < w->queue.size && rc == CCZ_OK;) {
        char dir[PATH_SIZE]; /* a copy: the queue may move while it grows */
        size_t n = strlen((const char *)w->queue.ptr + at) + 1;
        memcpy(dir, w->queue.ptr + at, n);
        at += n;
        rc = walk_dir(w, dir, err);
    }
    ccz_buf_free(&w->queue);
    return rc;
}

ccz_rc ccz_pf_tree_walk(const char *dir,
                        ccz_rc (*visit)(void *arg, const char *rel, struct ccz_err *err), void *arg,
                        struct ccz_err *err)
{
    struct walk w = {.top = dir, .on_file = visit, .arg = arg};
    return walk(&w, err);
}

/* --------------------------------------------------------------------------- encrypt, decrypt */

struct job {
    struct ccz_newdir out; /* the folder being built */
    const char *in;
    const char *bound; /* bound path of the top folder */
    const struct ccz_secret *key;
    const struct ccz_pf_cfg *cfg;
    bool encrypt;
};

static ccz_rc job_dir(void *arg, const char *rel, struct ccz_err *err)
{
    const struct job *j = arg;
    char path[PATH_SIZE];
    ccz_rc rc = join(path, j->out.tmp, rel, err);
    if (rc != CCZ_OK)
        return rc;
    if (mkdir(path, j->encrypt ? 0755 : 0700) != 0)
        return fail_errno(err, "cannot create", path);
    return ccz_sync_parent(path, err);
}

static ccz_rc job_file(void *arg, const char *rel, struct ccz_err *err)
{
    const struct job *j = arg;
    char in[PATH_SIZE], out[PATH_SIZE], joined[PATH_SIZE], bound[CCZ_PF_PATH_SIZE_MAX + 1];
    struct ccz_pf_cfg c = {.any_path_insecure = j->cfg->any_path_insecure,
                           .version = j->cfg->version};
    ccz_rc rc = join(in, j->in, rel, err);
    if (rc == CCZ_OK)
        rc = join(out, j->out.tmp, rel, err);
    if (rc == CCZ_OK && j->bound) {
        rc = join(joined, j->bound, rel, err);
        if (rc == CCZ_OK)
            rc = ccz_pf_path_normalise(bound, joined, err);
        c.path = bound;
    }
    if (rc == CCZ_OK)
        rc = (j->encrypt ? ccz_pf_encrypt_file : ccz_pf_decrypt_file)(out, in, j->key, &c, err);
    if (rc != CCZ_OK || !j->cfg->on_file)
        return rc;
    struct stat st;
    if (stat(j->encrypt ? in : out, &st) != 0)
        return fail_errno(err, "cannot stat", in);
    j->cfg->on_file(j->cfg->arg, rel, (uint64_t)st.st_size);
    return CCZ_OK;
}

/* Nobody sees a half tree. */
static ccz_rc run(struct job *j, const char *out_dir, struct ccz_err *err)
{
    ccz_rc rc = ccz_newdir_open(&j->out, out_dir, j->encrypt ? 0755 : 0700, err);
    if (rc != CCZ_OK)
        return rc;
    struct walk w = {.top = j->in, .on_dir = job_dir, .on_file = job_file, .arg = j};
    rc = walk(&w, err);
    if (rc == CCZ_OK)
        return ccz_newdir_commit(&j->out, err);
    ccz_newdir_abort(&j->out);
    return rc;
}

ccz_rc ccz_pf_encrypt_tree(const char *out_dir, const char *in_dir, const struct ccz_secret *key,
                           const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    struct job j = {.in = in_dir, .key = key, .cfg = cfg, .encrypt = true};
    j.bound = cfg->path ? cfg->path : out_dir;
    return run(&j, out_dir, err);
}

ccz_rc ccz_pf_decrypt_tree(const char *out_dir, const char *in_dir, const struct ccz_secret *key,
                           const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    struct job j = {.in = in_dir, .key = key, .cfg = cfg, .bound = cfg->path};
    return run(&j, out_dir, err);
}
