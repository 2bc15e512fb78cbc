/* SPDX-License-Identifier: Apache-2.0 */
/* One bundle directory: files to struct ccz_collateral_src, and replacing a directory as a whole. */
#define _GNU_SOURCE /* renameat2 */
#include "pcs/pcs_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

const char *const cczi_part_names[CCZI_PARTS] = {
    [CCZI_TCB_INFO] = "tcb_info.json",
    [CCZI_TCB_CHAIN] = "tcb_info_issuer_chain.pem",
    [CCZI_QE_IDENTITY] = "qe_identity.json",
    [CCZI_QE_CHAIN] = "qe_identity_issuer_chain.pem",
    [CCZI_CRL_CHAIN] = "pck_crl_issuer_chain.pem",
    [CCZI_ROOT_CRL] = "root_ca_crl.der",
    [CCZI_PCK_CRL] = "pck_crl.der",
    [CCZI_LEAF] = "pck_leaf.pem",
    [CCZI_SIGN_CHAIN] = "pck_sign_chain.pem",
};

/* --------------------------------------------------------------------------------- reading */

ccz_rc cczi_path(char path[CCZI_PCS_PATH_SIZE], const char *dir, const char *name,
                 struct ccz_err *err)
{
    int n = snprintf(path, CCZI_PCS_PATH_SIZE, "%s/%s", dir, name);
    if (n < 0 || n >= CCZI_PCS_PATH_SIZE)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:path", n, CCZI_PCS_PATH_SIZE - 1);
    return CCZ_OK;
}

/* *there is false, and that is no error, if the file does not exist. */
static ccz_rc read_part(bool *there, struct ccz_buf *out, const char *dir, const char *file,
                        struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = cczi_path(path, dir, file, err);
    if (rc != CCZ_OK)
        return rc;
    *there = access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    return *there ? ccz_file_read(out, path, err) : CCZ_OK;
}

void cczi_parts_init(struct ccz_buf parts[CCZI_PARTS])
{
    for (int i = 0; i < CCZI_PARTS; i++)
        ccz_buf_init(&parts[i], CCZ_COLLATERAL_SIZE_MAX);
}

void cczi_parts_free(struct ccz_buf parts[CCZI_PARTS])
{
    for (int i = 0; i < CCZI_PARTS; i++)
        ccz_buf_free(&parts[i]);
}

ccz_rc cczi_parts_read(struct ccz_buf parts[CCZI_PARTS], const char *dir, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int i = 0; i < CCZI_PARTS && rc == CCZ_OK; i++) {
        bool there;
        rc = read_part(&there, &parts[i], dir, cczi_part_names[i], err);
        if (rc != CCZ_OK || there || i >= CCZI_PARTS_REQUIRED)
            continue;
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, i == CCZI_TCB_INFO ? "pcs:no-bundle" : "pcs:incomplete",
                      0, "%s is missing", cczi_part_names[i]);
    }
    return rc;
}

ccz_rc cczi_parts_open(struct ccz_collateral **out, struct ccz_buf parts[CCZI_PARTS],
                       const struct ccz_roots *roots, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO_BUF pck;
    ccz_buf_init(&pck, CCZ_COLLATERAL_SIZE_MAX);
    if (parts[CCZI_LEAF].size > 0) {
        ccz_buf_put_span(&pck, ccz_buf_span(&parts[CCZI_LEAF]));
        ccz_buf_put_span(&pck, ccz_buf_span(&parts[CCZI_SIGN_CHAIN]));
        if (pck.bad)
            return ccz_fail(err, CCZ_E_LIMIT, "pcs:pck-chain", 0, "the PCK chain is too large");
    }
    const struct ccz_collateral_src src = {
        .tcb_info = ccz_buf_span(&parts[CCZI_TCB_INFO]),
        .tcb_info_chain = ccz_buf_span(&parts[CCZI_TCB_CHAIN]),
        .qe_identity = ccz_buf_span(&parts[CCZI_QE_IDENTITY]),
        .qe_identity_chain = ccz_buf_span(&parts[CCZI_QE_CHAIN]),
        .root_ca_crl = ccz_buf_span(&parts[CCZI_ROOT_CRL]),
        .pck_crl = ccz_buf_span(&parts[CCZI_PCK_CRL]),
        .pck_crl_chain = ccz_buf_span(&parts[CCZI_CRL_CHAIN]),
        .pck_chain = ccz_buf_span(&pck),
    };
    return ccz_collateral_new(out, &src, roots, err);
}

ccz_rc cczi_bundle_load(struct ccz_collateral **out, const char *dir, const struct ccz_roots *roots,
                        struct ccz_err *err)
{
    struct ccz_buf parts[CCZI_PARTS];
    cczi_parts_init(parts);
    *out = NULL;
    ccz_rc rc = cczi_parts_read(parts, dir, err);
    if (rc == CCZ_OK)
        rc = cczi_parts_open(out, parts, roots, err);
    cczi_parts_free(parts);
    return rc;
}

/* ------------------------------------------------------------------------------- replacing */

static ccz_rc fail_write(struct ccz_err *err, const char *what, const char *path)
{
    return ccz_fail(err, CCZ_E_IO, "pcs:write", errno, "%s %.110s: %s", what, path,
                    strerror(errno));
}

/* A directory without sub-directories, or a link in its place: what the link points to is not ours to empty. */
static void remove_flat(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        (void)unlink(path);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    (void)rmdir(path);
}

static void sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static ccz_rc beside(char path[CCZI_PCS_PATH_SIZE], const char *dir, const char *prefix,
                     const char *name, struct ccz_err *err)
{
    char file[CCZ_PCS_NAME_MAX + 8];
    int n = snprintf(file, sizeof(file), "%s%s", prefix, name);
    if (n < 0 || (size_t)n >= sizeof(file))
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:name", n, CCZ_PCS_NAME_MAX);
    return cczi_path(path, dir, file, err);
}

ccz_rc cczi_dir_stage(const char *dir, const char *name, const struct cczi_file *files, size_t len,
                      struct ccz_err *err)
{
    char fresh[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = beside(fresh, dir, ".new-", name, err);
    if (rc != CCZ_OK)
        return rc;
    remove_flat(fresh);
    rc = ccz_dir_make(fresh, 0755, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        rc = cczi_path(path, fresh, files[i].name, err);
        if (rc == CCZ_OK)
            rc = ccz_file_write(path, files[i].data, 0644, CCZ_FILE_CREATE_ONLY, err);
    }
    if (rc == CCZ_OK)
        sync_dir(fresh);
    else
        remove_flat(fresh);
    return rc;
}

/* Where the file system cannot exchange two names there is a moment without dir/name; cczi_dir_recover() ends it
 * if we do not. */
static int exchange(const char *fresh, const char *path, const char *old)
{
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return rename(fresh, old);
    if (errno == ENOENT)
        return rename(fresh, path);
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (rename(path, old) != 0)
        return -1;
    if (rename(fresh, path) == 0)
        return 0;
    int why = errno;
    (void)rename(old, path);
    errno = why;
    return -1;
}

/* Waits, whatever signals come. */
static int lock_wait(int fd, int how)
{
    int rc;
    do
        rc = flock(fd, how);
    while (rc != 0 && errno == EINTR);
    return rc;
}

ccz_rc cczi_dir_commit(const char *dir, const char *name, struct ccz_err *err)
{
    char fresh[CCZI_PCS_PATH_SIZE], old[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = beside(fresh, dir, ".new-", name, err);
    if (rc == CCZ_OK)
        rc = beside(old, dir, ".old-", name, err);
    if (rc == CCZ_OK)
        rc = cczi_path(path, dir, name, err);
    if (rc != CCZ_OK)
        return rc;
    remove_flat(old);
    char lock[CCZI_PCS_PATH_SIZE];
    rc = cczi_path(lock, dir, ".lock", err);
    if (rc != CCZ_OK)
        return rc;
    int fd = open(lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0644); /* readers wait for the exchange */
    if (fd < 0 || lock_wait(fd, LOCK_EX) != 0)
        rc = fail_write(err, "cannot lock", lock);
    else if (exchange(fresh, path, old) != 0)
        rc = fail_write(err, "cannot replace", path);
    if (fd >= 0)
        close(fd);
    if (rc == CCZ_OK)
        sync_dir(dir);
    else
        remove_flat(fresh);
    remove_flat(old);
    return rc;
}

ccz_rc cczi_dir_withdraw(const char *dir, const char *name, struct ccz_err *err)
{
    char away[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE], lock[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = beside(away, dir, ".revoked-", name, err);
    if (rc == CCZ_OK)
        rc = cczi_path(path, dir, name, err);
    if (rc == CCZ_OK)
        rc = cczi_path(lock, dir, ".lock", err);
    if (rc != CCZ_OK)
        return rc;
    int fd = open(lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || lock_wait(fd, LOCK_EX) != 0) {
        rc = fail_write(err, "cannot lock", lock);
    } else {
        remove_flat(away);
        if (rename(path, away) != 0)
            rc = fail_write(err, "cannot withdraw", path);
    }
    if (fd >= 0)
        close(fd);
    if (rc == CCZ_OK)
        sync_dir(dir);
    return rc;
}

void cczi_dir_recover(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char left[CCZI_PCS_PATH_SIZE], path[CCZI_PCS_PATH_SIZE];
        bool fresh = strncmp(e->d_name, ".new-", 5) == 0;
        bool old = strncmp(e->d_name, ".old-", 5) == 0;
        if ((!fresh && !old) || cczi_path(left, dir, e->d_name, NULL) != CCZ_OK ||
            cczi_path(path, dir, e->d_name + 5, NULL) != CCZ_OK)
            continue;
        if (fresh || access(path, F_OK) == 0 || rename(left, path) != 0)
            remove_flat(left);
    }
    closedir(d);
}

/* ----------------------------------------------------------------------------------- locks */

int cczi_lock_shared(const char *dir)
{
    char path[CCZI_PCS_PATH_SIZE];
    if (cczi_path(path, dir, ".lock", NULL) != CCZ_OK)
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)lock_wait(fd, LOCK_SH);
    return fd;
}

ccz_rc cczi_lock_fetch(int *fd, const char *dir, struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    *fd = -1;
    ccz_rc rc = cczi_path(path, dir, ".fetch.lock", err);
    if (rc != CCZ_OK)
        return rc;
    *fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    if (*fd >= 0 && lock_wait(*fd, LOCK_EX) == 0)
        return CCZ_OK;
    rc = fail_write(err, "cannot lock", path);
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return rc;
}
