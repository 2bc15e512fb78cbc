/* SPDX-License-Identifier: Apache-2.0 */
/* Files in RAM that only this process and what it starts can see. */
#define _GNU_SOURCE
#include "handover/handover_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, SWAPS_SIZE_MAX = 65536 };

/* ---------------------------------------------------------------------- where bytes lie */

ccz_rc ccz_handover_check_ram(int fd, const char *name, struct ccz_err *err)
{
    struct statfs st;
    if (fstatfs(fd, &st) != 0)
        return cczi_handover_errno(err, "handover:ram", "cannot tell the file system of", name);
    unsigned long type = (unsigned long)st.f_type & 0xffffffffu;
    if (type == TMPFS_MAGIC || type == RAMFS_MAGIC)
        return CCZ_OK;
    char got[CCZ_ERR_VALUE_SIZE], at[64];
    ccz_escape(at, sizeof(at), ccz_span_str(name));
    (void)snprintf(got, sizeof(got), "%s on file system 0x%lx", at, type);
    ccz_rc rc = ccz_refuse(err, CCZ_E_DENIED, "handover:ram", got, "ramfs or tmpfs");
    return ccz_hint(err, rc, "secrets are not written where they could come to a disk");
}

ccz_rc ccz_handover_check_swap(const char *fs_root, struct ccz_err *err)
{
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof(path), "%s/proc/swaps", fs_root ? fs_root : "");
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_ARG, "handover:swap", n, "fs_root is too long");
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, SWAPS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, path, err);
    if (rc == CCZ_E_NOT_FOUND) /* a kernel that cannot swap */
        return CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    const char *s = ccz_buf_str(&text);
    const char *line = strchr(s, '\n'); /* the first line has the titles */
    if (!line || line[1] == 0)
        return CCZ_OK;
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), CCZ_SPAN(line + 1, strcspn(line + 1, " \t\n")));
    rc = ccz_refuse(err, CCZ_E_DENIED, "handover:swap", got, "no swap");
    return ccz_hint(err, rc, "what is in memory may come to that device: swapoff -a");
}

/* --------------------------------------------------------------------------- namespaces */

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int r = cczi_handover_write(fd, text, strlen(text));
    int e = errno;
    (void)close(fd);
    errno = e;
    return r;
}

/* A user namespace in which we are who we are, and may mount. The files of a process that is not dumpable belong to
 * root: for a moment, in which there is no secret yet, it is. */
static int own_user_namespace(void)
{
    char uid[48], gid[48];
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    (void)snprintf(uid, sizeof(uid), "%u %u 1\n", (unsigned)geteuid(), (unsigned)geteuid());
    (void)snprintf(gid, sizeof(gid), "%u %u 1\n", (unsigned)getegid(), (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        return -1;
    int r = write_text("/proc/self/setgroups", "deny") != 0 ||
                    write_text("/proc/self/uid_map", uid) != 0 ||
                    write_text("/proc/self/gid_map", gid) != 0
                ? -1
                : 0;
    int e = errno;
    if (dumpable != 1)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    errno = e;
    return r;
}

ccz_rc ccz_handover_mounts(struct ccz_err *err)
{
    int e = unshare(CLONE_NEWNS) == 0 ? 0 : errno;
    if (e == EPERM)
        e = own_user_namespace() == 0 ? 0 : errno;
    if (e != 0) {
        ccz_rc rc = ccz_fail(err, CCZ_E_DENIED, "handover:mounts", e,
                             "no mount namespace of its own is allowed here: %s", strerror(e));
        return ccz_hint(err, rc,
                        "run with CAP_SYS_ADMIN or allow user namespaces, or hand secrets over "
                        "otherwise: they are not written to shared files");
    }
    /* what we mount must not show elsewhere: distributions have "/" shared */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return cczi_handover_errno(err, "handover:mounts", "cannot make mounts private at", "/");
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- files */

static ccz_rc ram_dir_failed(struct ccz_err *err, const char *what, const char *dir)
{
    return cczi_handover_errno(err, "handover:ram-dir", what, dir);
}

static ccz_rc check_empty(int target, const char *dir, struct ccz_err *err)
{
    int fd = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        ccz_rc rc = ram_dir_failed(err, "cannot open folder", dir);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    ccz_rc rc = CCZ_OK;
    for (const struct dirent *e; rc == CCZ_OK && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = ccz_fail(err, CCZ_E_EXISTS, "handover:ram-dir", 0,
                          "%s is not empty: its files would be hidden", dir);
    (void)closedir(d);
    return rc == CCZ_OK ? rc : ccz_hint(err, rc, "name a folder for the secrets alone");
}

/* A ramfs that is mounted nowhere yet. @return its folder, or -1 with errno */
static int new_ramfs(void)
{
    int mounted = -1, fs = fsopen("ramfs", FSOPEN_CLOEXEC);
    if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "source", "cczoo", 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0700", 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mounted =
            fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    int e = errno;
    if (fs >= 0)
        (void)close(fs);
    errno = e;
    return mounted;
}

/* By descriptors alone: what was looked at is what is covered, and what was mounted is what files are made in. */
static ccz_rc cover(int *folder, const char *dir, bool empty, struct ccz_err *err)
{
    *folder = -1;
    int target = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (target < 0)
        return ram_dir_failed(err, "cannot open folder", dir);
    int mounted = -1;
    ccz_rc rc = empty ? check_empty(target, dir, err) : CCZ_OK;
    if (rc == CCZ_OK && (mounted = new_ramfs()) < 0)
        rc = ram_dir_failed(err, "cannot make a ramfs for", dir);
    if (rc == CCZ_OK &&
        move_mount(mounted, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        rc = ram_dir_failed(err, "cannot mount ramfs at", dir);
    (void)close(target);
    if (rc == CCZ_OK)
        *folder = mounted;
    else if (mounted >= 0)
        (void)close(mounted);
    return rc;
}

ccz_rc ccz_handover_ram_dir(int *folder, const char *dir, struct ccz_err *err)
{
    return cover(folder, dir, true, err);
}

ccz_rc ccz_handover_ram_over(int *folder, const char *dir, struct ccz_err *err)
{
    return cover(folder, dir, false, err);
}

ccz_rc ccz_handover_ram_dir_close(int folder, struct ccz_err *err)
{
    const unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char at[48];
    (void)snprintf(at, sizeof(at), "/proc/self/fd/%d", folder);
    if (mount(NULL, at, NULL, flags, NULL) != 0)
        return ram_dir_failed(err, "cannot make read only", at);
    return CCZ_OK;
}

/* The file is where the folder is: nothing is mounted over its name. */
static ccz_rc check_place(int folder, int fd, const char *name, struct ccz_err *err)
{
    struct stat in, st;
    if (folder == AT_FDCWD)
        return CCZ_OK;
    if (fstat(folder, &in) != 0 || fstat(fd, &st) != 0)
        return cczi_handover_errno(err, "handover:file", "cannot stat", name);
    if (in.st_dev == st.st_dev)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_DENIED, "handover:ram", "a file on another file system",
                      "the ramfs of its folder");
}

ccz_rc ccz_handover_file(int folder, const char *name, struct ccz_span bytes, struct ccz_err *err)
{
    if (folder != AT_FDCWD && (!name[0] || strchr(name, '/')))
        return ccz_fail(err, CCZ_E_ARG, "handover:file", 0, "not a name in a folder: %s", name);
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (fd < 0)
        return cczi_handover_errno(err, "handover:file", "cannot create", name);
    ccz_rc rc = ccz_handover_check_ram(fd, name, err);
    if (rc == CCZ_OK)
        rc = check_place(folder, fd, name, err);
    if (rc == CCZ_OK && cczi_handover_write(fd, bytes.ptr, bytes.size) != 0)
        rc = cczi_handover_errno(err, "handover:file", "cannot write", name);
    if (rc != CCZ_OK)
        (void)unlinkat(folder, name, 0);
    (void)close(fd);
    return rc;
}

/* ---------------------------------------------------------------------------------- pin */

static ccz_rc pin_failed(struct ccz_err *err, const char *what, const char *path)
{
    return cczi_handover_errno(err, "handover:pin", what, path);
}

/* In the ramfs at @p dir: a copy of the memory file. */
static ccz_rc write_copy(const char *copy, int fd, mode_t mode, const char *path,
                         struct ccz_err *err)
{
    int out = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return pin_failed(err, "cannot copy", path);
    ccz_rc rc = ccz_handover_check_ram(out, path, err);
    if (rc == CCZ_OK && lseek(fd, 0, SEEK_SET) != 0)
        rc = pin_failed(err, "cannot read the copy of", path);
    if (rc == CCZ_OK)
        rc = cczi_handover_stream(out, fd, "handover:pin", path, err);
    if (rc == CCZ_OK && fchmod(out, mode & 0555) != 0)
        rc = pin_failed(err, "cannot set the mode of", path);
    (void)close(out);
    return rc;
}

/* The copy over the file. @p target is a descriptor of the file, as its folder is covered at the moment. */
static ccz_rc bind_over(struct stat *st, const char *copy, int target, const char *path,
                        struct ccz_err *err)
{
    char at[48];
    (void)snprintf(at, sizeof(at), "/proc/self/fd/%d", target);
    if (stat(copy, st) != 0 || mount(copy, at, NULL, MS_BIND, NULL) != 0)
        return pin_failed(err, "cannot bind", path);
    return CCZ_OK;
}

static ccz_rc check_same(const char *path, const struct stat *got, const struct stat *want,
                         struct ccz_err *err)
{
    if (got->st_dev == want->st_dev && got->st_ino == want->st_ino)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_IO, "handover:pin", 0, "%s leads elsewhere than it did", path);
}

/* Who opens @p path gets the copy, and cannot change it. */
static ccz_rc open_pinned(int *pinned, const char *path, const struct stat *want,
                          struct ccz_err *err)
{
    struct stat got;
    if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0)
        return pin_failed(err, "cannot make read only", path);
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return pin_failed(err, "cannot open", path);
    ccz_rc rc = fstat(fd, &got) != 0 ? pin_failed(err, "cannot stat", path)
                                     : check_same(path, &got, want, err);
    if (rc == CCZ_OK)
        *pinned = fd;
    else
        (void)close(fd);
    return rc;
}

/* The folder of the file is covered by a ramfs while the copy is made: a mount point that is sure to exist. */
static ccz_rc pin_target(int *pinned, const char *path, int target, int fd, struct ccz_err *err)
{
    char dir[PATH_SIZE], copy[PATH_SIZE + 8];
    struct stat st, copied = {0};
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    (void)snprintf(copy, sizeof(copy), "%s/copy", dir);
    if (fstat(target, &st) != 0)
        return pin_failed(err, "cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return ccz_fail(err, CCZ_E_IO, "handover:pin", 0, "%s is not a regular file", path);
    if (mount("cczoo", dir, "ramfs", MS_NOSUID | MS_NODEV, "mode=0700") != 0)
        return pin_failed(err, "cannot cover the folder of", path);
    ccz_rc rc = write_copy(copy, fd, st.st_mode, path, err);
    if (rc == CCZ_OK)
        rc = bind_over(&copied, copy, target, path, err);
    if (umount2(dir, MNT_DETACH) != 0 && rc == CCZ_OK)
        rc = pin_failed(err, "cannot uncover the folder of", path);
    return rc == CCZ_OK ? open_pinned(pinned, path, &copied, err) : rc;
}

ccz_rc ccz_handover_pin(int *pinned, const char *path, int fd, struct ccz_err *err)
{
    *pinned = -1;
    if (path[0] != '/' || strrchr(path, '/') == path || strlen(path) >= PATH_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "handover:pin", 0,
                        "expected an absolute path of a file in a folder: %s", path);
    ccz_rc rc = ccz_handover_check_sealed(fd, err);
    if (rc != CCZ_OK)
        return rc;
    int target = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (target < 0)
        return pin_failed(err, "cannot open", path);
    rc = pin_target(pinned, path, target, fd, err);
    (void)close(target);
    return rc;
}

ccz_rc ccz_handover_check_pin(const char *path, int pinned, struct ccz_err *err)
{
    struct stat got, want;
    if (stat(path, &got) != 0 || fstat(pinned, &want) != 0)
        return pin_failed(err, "cannot stat", path);
    return check_same(path, &got, &want, err);
}
