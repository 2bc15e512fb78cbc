/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "handover/handover_priv.h"

#include "temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SKIPPED = 77 };

static const char secret[] = "correct horse battery staple";
#define SECRET CCZ_SPAN(secret, sizeof(secret) - 1)

/* Runs @p fn in a process of its own, which may change what it likes; its status. */
static int in_child(void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fn();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The same where the system allows mount namespaces. */
static void in_namespace(void (*fn)(void))
{
    int status = in_child(fn);
    if (status == SKIPPED) {
        puts("skipped: no mount namespaces here");
        exit(SKIPPED);
    }
    CHECK(status == 0);
}

static void enter_namespace(void)
{
    struct ccz_err err = {0};
    if (ccz_handover_mounts(&err) != CCZ_OK) {
        CHECK(strcmp(err.where, "handover:mounts") == 0 && err.hint[0]);
        _exit(SKIPPED);
    }
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void check_content(const char *path, const char *want)
{
    char got[256] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && read(fd, got, sizeof(got) - 1) == (ssize_t)strlen(want));
    CHECK(strcmp(got, want) == 0 && close(fd) == 0);
}

/* -------------------------------------------------------------------------------- specs */

static struct ccz_handover_spec parsed(const char *text)
{
    struct ccz_handover_spec s;
    struct ccz_err err = {0};
    CHECK(ccz_handover_spec_parse(&s, text, &err) == CCZ_OK);
    return s;
}

static void test_spec(void)
{
    struct ccz_handover_spec s = parsed("secret/db/password=fd:9");
    CHECK(strcmp(s.item, "secret/db/password") == 0 && s.version == 0);
    CHECK(s.form == CCZ_HANDOVER_FD && s.as == 9 && !s.var[0] && !s.path[0]);
    s = parsed("key/model@17=fd:MODEL_FD");
    CHECK(strcmp(s.item, "key/model") == 0 && s.version == 17);
    CHECK(s.as == -1 && strcmp(s.var, "MODEL_FD") == 0);
    s = parsed("secret/a.b-c/d=fd");
    CHECK(s.as == -1 && strcmp(s.var, "CCZOO_SECRET_A_B_C_D") == 0 && !s.path[0]);
    s = parsed("secret/a/b=file");
    CHECK(s.form == CCZ_HANDOVER_FILE && strcmp(s.path, "/run/cczoo/secret-a-b") == 0);
    CHECK(strcmp(s.var, "CCZOO_SECRET_A_B") == 0);
    s = parsed("secret/a=file:/run/x:y=z/..data");
    CHECK(strcmp(s.path, "/run/x:y=z/..data") == 0 && !s.var[0]);
    s = parsed("secret/a=tmpfs:/dev/shm/p");
    CHECK(s.form == CCZ_HANDOVER_TMPFS && strcmp(s.path, "/dev/shm/p") == 0);
    s = parsed("secret/a=env:_P4ss");
    CHECK(s.form == CCZ_HANDOVER_ENV && strcmp(s.var, "_P4ss") == 0);
    s = parsed("secret/a=path:PGPASSFILE");
    CHECK(s.form == CCZ_HANDOVER_PATH && strcmp(s.var, "PGPASSFILE") == 0);
}

static void test_spec_refused(void)
{
    struct ccz_handover_spec s;
    static const char *const bad[] = {"",
                                      "=",
                                      "a",
                                      "a=",
                                      "=fd:3",
                                      "@1=fd:3",
                                      "a@=fd:3",
                                      "a@0=fd:3",
                                      "a@01=fd:3",
                                      "a@-1=fd:3",
                                      "a@1x=fd:3",
                                      "a@9999999999=fd:3",
                                      "a=fd:",
                                      "a=fd:0",
                                      "a=fd:2",
                                      "a=fd:256",
                                      "a=fd:3x",
                                      "a=fd:03",
                                      "a=fd:99999999999",
                                      "a=fd:-3",
                                      "a=fdx",
                                      "a=FD:3",
                                      "a=path",
                                      "a=path:3",
                                      "a=path:/x",
                                      "a=tmpfs",
                                      "a=tmpfs:",
                                      "a=file:",
                                      "a=file:x",
                                      "a=file:/",
                                      "a=file:/a/",
                                      "a=file://a",
                                      "a=file:/a//b",
                                      "a=file:/a/../b",
                                      "a=file:/./b",
                                      "a=file:/a/..",
                                      "a=env",
                                      "a=env:",
                                      "a=env:1",
                                      "a=env:A B",
                                      "a=env:A=B",
                                      "a=env:\xc3\xa9",
                                      "a=memfd:3",
                                      ".=file",
                                      "..=file"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_err err = {0};
        memset(&s, 1, sizeof(s));
        CHECK(ccz_handover_spec_parse(&s, bad[i], &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "handover:spec") == 0 && err.hint[0]);
        CHECK(s.form == CCZ_HANDOVER_NONE && !s.item[0]);
    }
    char text[2048]; /* longest that fit, and one more */
    for (int n = 158; n <= 161; n++) {
        (void)snprintf(text, sizeof(text), "%0*d=fd:3", n, 0);
        CHECK((ccz_handover_spec_parse(&s, text, NULL) == CCZ_OK) == (n < 160));
    }
    for (int n = 1020; n <= 1025; n++) {
        (void)snprintf(text, sizeof(text), "a=file:/%0*d", n - 1, 0);
        CHECK((ccz_handover_spec_parse(&s, text, NULL) == CCZ_OK) == (n < 1024));
    }
}

static void test_specs(void)
{
    struct ccz_err err = {0};
    static const char *const twice[][2] = {{"a=fd:3", "b=fd:3"},
                                           {"a=fd:V", "b=env:V"},
                                           {"a/b=fd", "a.b=fd"},
                                           {"a=file:/x/y", "b=tmpfs:/x/y"},
                                           {"a=file", "a=file"}};
    for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
        const struct ccz_handover_spec s[] = {parsed(twice[i][0]), parsed(twice[i][1])};
        CHECK(ccz_handover_specs_check(s, 2, &err) == CCZ_E_FORMAT &&
              strstr(err.msg, "another item"));
        CHECK(ccz_handover_specs_check(s, 1, &err) == CCZ_OK);
    }
    const struct ccz_handover_spec s[] = {parsed("a=fd:3"),    parsed("a=fd:4"),
                                          parsed("a=env:V"),   parsed("a=fd:W"),
                                          parsed("a=file:/x"), parsed("a=file:/y")};
    CHECK(ccz_handover_specs_check(s, 6, &err) == CCZ_OK); /* one item may go to several places */
}

/* ------------------------------------------------------------------------- memory files */

static void check_unchangeable(int fd)
{
    char path[48];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again =
        open(path, O_RDWR | O_CLOEXEC); /* root opens a file of mode 0400 for writing, too */
    int w = again >= 0 ? again : fd;
    CHECK(write(w, "x", 1) < 0 && pwrite(w, "x", 1, 0) < 0);
    CHECK(ftruncate(w, 0) != 0 && ftruncate(w, 1 << 20) != 0);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0) == MAP_FAILED);
    CHECK(fcntl(w, F_ADD_SEALS, F_SEAL_WRITE) != 0 && errno == EPERM);
    if (again >= 0)
        close(again);
}

static void test_memory(void)
{
    struct ccz_err err = {0};
    struct stat st;
    char got[64] = {0};
    int fd = -1;
    CHECK(ccz_handover_memory(&fd, "password", SECRET, &err) == CCZ_OK && fd >= 0);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0400);
    CHECK(read(fd, got, sizeof(got)) == (ssize_t)SECRET.size && strcmp(got, secret) == 0);
    check_unchangeable(fd);
    CHECK(ccz_handover_check_sealed(fd, &err) == CCZ_OK);
    CHECK(ccz_handover_check_ram(fd, "memory", &err) == CCZ_OK);
    close(fd);
    CHECK(ccz_handover_memory(&fd, "none", (struct ccz_span){0}, &err) == CCZ_E_ARG && fd == -1);
    char name[400];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    CHECK(ccz_handover_memory(&fd, name, SECRET, &err) == CCZ_OK); /* a long name is cut */
    close(fd);
}

static void no_descriptors(void)
{
    struct ccz_err err = {0};
    int fd = 5;
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0}) == 0);
    CHECK(ccz_handover_memory(&fd, "password", SECRET, &err) == CCZ_E_IO && fd == -1);
    CHECK(err.aux == EMFILE && strcmp(err.where, "handover:memory") == 0);
    CHECK(ccz_handover_copy(&fd, "/proc/self/exe", &err) == CCZ_E_IO && fd == -1);
}

/* A file may not grow beyond RLIMIT_FSIZE: what was begun is closed, and reported. */
static void no_room(void)
{
    struct ccz_err err = {0};
    int fd = 5, before = dup(0);
    close(before);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4, 4}) == 0);
    CHECK(ccz_handover_memory(&fd, "password", SECRET, &err) == CCZ_E_IO && fd == -1);
    CHECK(err.aux == EFBIG && !strstr(err.msg, "horse"));
    CHECK(ccz_handover_copy(&fd, "/proc/self/exe", &err) == CCZ_E_IO && fd == -1);
    int after = dup(0);
    CHECK(after == before); /* nothing was left open */
}

static void test_memory_errors(void)
{
    CHECK(in_child(no_descriptors) == 0 && in_child(no_room) == 0);
}

static void test_copy(void)
{
    struct ccz_err err = {0};
    struct stat st;
    char got[16] = {0};
    int fd = -1;
    const char *path = temp_path("program");
    write_file(path, "first", 0755);
    CHECK(ccz_handover_copy(&fd, path, &err) == CCZ_OK);
    write_file(path, "other", 0755);
    CHECK(read(fd, got, sizeof(got)) == 5 && strcmp(got, "first") == 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0500);
    check_unchangeable(fd);
    close(fd);
    CHECK(ccz_handover_copy(&fd, temp_path("absent"), &err) == CCZ_E_NOT_FOUND && fd == -1);
    CHECK(ccz_handover_copy(&fd, temp_make_dir("folder"), &err) == CCZ_E_IO && fd == -1);
    const char *fifo = temp_path("fifo");
    CHECK(mkfifo(fifo, 0600) == 0);
    CHECK(ccz_handover_copy(&fd, fifo, &err) == CCZ_E_IO && fd == -1); /* and does not wait */
    const char *huge = temp_path("huge");
    write_file(huge, "", 0600);
    CHECK(truncate(huge, CCZ_HANDOVER_COPY_SIZE_MAX + 1) == 0);
    CHECK(ccz_handover_copy(&fd, huge, &err) == CCZ_E_LIMIT && fd == -1);
    CHECK(strcmp(err.got, "1073741825") == 0 && strcmp(err.expected, "1073741824") == 0);
}

static void test_seals(void)
{
    struct ccz_err err = {0};
    const int all[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
    for (size_t missing = 0; missing < 4; missing++) {
        int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        for (size_t i = 1; i <= 4; i++) /* F_SEAL_SEAL last */
            if (i % 4 != missing)
                CHECK(fcntl(fd, F_ADD_SEALS, all[i % 4]) == 0);
        CHECK(ccz_handover_check_sealed(fd, &err) == CCZ_E_DENIED);
        CHECK(strcmp(err.where, "handover:seals") == 0 && strstr(err.got, "seals 0x"));
        close(fd);
    }
    int p[2];
    CHECK(pipe(p) == 0);
    CHECK(ccz_handover_check_sealed(p[0], &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.got, "no memory file") == 0);
    CHECK(ccz_handover_check_sealed(-1, &err) == CCZ_E_DENIED);
    close(p[0]);
    close(p[1]);
}

/* ------------------------------------------------------------------------------- places */

static void test_ram(void)
{
    struct ccz_err err = {0};
    int disk = open("/proc/self", O_RDONLY | O_CLOEXEC);
    CHECK(disk >= 0 && ccz_handover_check_ram(disk, "/proc/self", &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "handover:ram") == 0 && strstr(err.got, "/proc/self") && err.hint[0]);
    close(disk);
    CHECK(ccz_handover_check_ram(-1, "none", &err) == CCZ_E_IO);
}

/* A file on a disk is refused and not left there; where temporary files are in RAM there is none to refuse. */
static void test_file_disk(void)
{
    struct ccz_err err = {0};
    int base = open(temp_base, O_RDONLY | O_CLOEXEC);
    bool ram = ccz_handover_check_ram(base, temp_base, &err) == CCZ_OK;
    close(base);
    if (ram) {
        puts("skipped: /tmp is in RAM");
        exit(SKIPPED);
    }
    const char *path = temp_path("password");
    CHECK(ccz_handover_file(AT_FDCWD, path, SECRET, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "handover:ram") == 0);
    CHECK(access(path, F_OK) != 0);
}

static void test_swap(void)
{
    struct ccz_err err = {0};
    const char *root = temp_make_dir("root");
    char proc[512], swaps[600];
    CHECK(ccz_handover_check_swap(root, &err) ==
          CCZ_OK); /* a kernel without swap has no such file */
    (void)snprintf(proc, sizeof(proc), "%s/proc", root);
    (void)snprintf(swaps, sizeof(swaps), "%s/swaps", proc);
    CHECK(mkdir(proc, 0755) == 0);
    static const char titles[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    write_file(swaps, titles, 0644);
    CHECK(ccz_handover_check_swap(root, &err) == CCZ_OK);
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "%s/dev/sda2                               partition\t1\t0\t-2\n", titles);
    write_file(swaps, text, 0644);
    CHECK(ccz_handover_check_swap(root, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "handover:swap") == 0 && strcmp(err.got, "/dev/sda2") == 0);
    CHECK(unlink(swaps) == 0 && mkdir(swaps, 0755) == 0);
    CHECK(ccz_handover_check_swap(root, &err) == CCZ_E_IO); /* cannot tell */
}

/* -------------------------------------------------------------------------------- mounts */

static char dir[512], file[600], other[700]; /* set before the process is forked */

static void ram_dir_child(void)
{
    struct ccz_err err = {0};
    int folder = -1, none = 0;
    enter_namespace();
    CHECK(ccz_handover_ram_dir(&folder, dir, &err) == CCZ_OK);
    CHECK(ccz_handover_file(folder, "password", SECRET, &err) == CCZ_OK);
    check_content(file, secret);
    struct stat st;
    CHECK(stat(file, &st) == 0 && (st.st_mode & 07777) == 0400);
    CHECK(stat(dir, &st) == 0 && (st.st_mode & 07777) == 0700);
    CHECK(ccz_handover_file(folder, "password", SECRET, &err) ==
          CCZ_E_EXISTS); /* never into a file of somebody else's */
    CHECK(symlink("elsewhere", other) == 0);
    CHECK(ccz_handover_file(folder, "other", SECRET, &err) == CCZ_E_EXISTS);
    CHECK(unlink(other) == 0);
    static const char *const bad[] = {"", "/etc/password", "../password", "sub/password"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(ccz_handover_file(folder, bad[i], SECRET, &err) == CCZ_E_ARG);
    CHECK(ccz_handover_ram_dir_close(folder, &err) == CCZ_OK);
    CHECK(ccz_handover_file(folder, "other", SECRET, &err) == CCZ_E_IO && err.aux == EROFS);
    CHECK(chmod(file, 0600) != 0 && unlink(file) != 0);
    check_content(file, secret);
    CHECK(ccz_handover_ram_dir(&none, "/", &err) == CCZ_E_EXISTS); /* would hide everything */
    CHECK(strcmp(err.where, "handover:ram-dir") == 0 && err.hint[0]);
    CHECK(ccz_handover_ram_dir(&none, "/absent", &err) == CCZ_E_NOT_FOUND);
    CHECK(ccz_handover_ram_dir(&none, file, &err) == CCZ_E_NOT_FOUND); /* not a folder */
    CHECK(none == -1 && fcntl(folder, F_GETFD) == FD_CLOEXEC);
    CHECK(ccz_handover_ram_over(&none, file, &err) == CCZ_E_NOT_FOUND && none == -1);
    CHECK(ccz_handover_ram_over(&none, dir, &err) == CCZ_OK); /* hides what is there */
    CHECK(access(file, F_OK) != 0 && errno == ENOENT && close(none) == 0);
}

static void test_ram_dir(void)
{
    (void)snprintf(dir, sizeof(dir), "%s", temp_make_dir("secrets"));
    (void)snprintf(file, sizeof(file), "%s/password", dir);
    (void)snprintf(other, sizeof(other), "%s/other", dir);
    in_namespace(ram_dir_child);
    CHECK(access(file, F_OK) != 0); /* nothing of it is seen outside, or left */
    CHECK(rmdir(dir) == 0);
}

/* Whoever owns a link above the folder points it elsewhere, also into RAM, before the value is written. */
static void swapped_child(void)
{
    struct ccz_err err = {0};
    int folder = -1;
    char theirs[720];
    enter_namespace();
    (void)snprintf(theirs, sizeof(theirs), "%s/theirs", dir);
    CHECK(mount("t", theirs, "tmpfs", 0, NULL) == 0);
    (void)snprintf(theirs, sizeof(theirs), "%s/theirs/secrets", dir);
    CHECK(mkdir(theirs, 0755) == 0);
    CHECK(ccz_handover_ram_dir(&folder, file, &err) == CCZ_OK); /* by the link */
    CHECK(unlink(other) == 0 && symlink("theirs", other) == 0);
    CHECK(ccz_handover_file(folder, "password", SECRET, &err) == CCZ_OK);
    CHECK(ccz_handover_ram_dir_close(folder, &err) == CCZ_OK);
    (void)snprintf(theirs, sizeof(theirs), "%s/theirs/secrets/password", dir);
    CHECK(access(theirs, F_OK) != 0 && errno == ENOENT);
    (void)snprintf(theirs, sizeof(theirs), "%s/ours/secrets/password", dir);
    check_content(theirs, secret);
    CHECK(unlink(theirs) != 0 && errno == EROFS);
    (void)snprintf(theirs, sizeof(theirs), "%s/theirs/secrets/new", dir);
    write_file(theirs, "not closed by mistake", 0600);
}

static void test_swapped(void)
{
    char sub[600];
    static const char *const subs[] = {"ours", "ours/secrets", "theirs"};
    (void)snprintf(dir, sizeof(dir), "%s", temp_make_dir("swapped"));
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(sub, sizeof(sub), "%s/%s", dir, subs[i]);
        CHECK(mkdir(sub, 0755) == 0);
    }
    (void)snprintf(other, sizeof(other), "%s/link", dir);
    (void)snprintf(file, sizeof(file), "%s/link/secrets", dir);
    CHECK(symlink("ours", other) == 0);
    in_namespace(swapped_child);
}

/* Where mounts are shared, as distributions have them: what the program sees, others do not. */
static void shared_child(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("t", dir, "tmpfs", 0, NULL) != 0 ||
        mount(NULL, dir, NULL, MS_SHARED, NULL) != 0)
        _exit(SKIPPED);
    CHECK(mkdir(file, 0700) == 0);
    int ready[2], go[2];
    char c;
    CHECK(pipe(ready) == 0 && pipe(go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct ccz_err err = {0};
        int folder = -1;
        CHECK(ccz_handover_mounts(&err) == CCZ_OK);
        CHECK(ccz_handover_ram_dir(&folder, file, &err) == CCZ_OK);
        CHECK(ccz_handover_file(folder, "password", SECRET, &err) == CCZ_OK);
        CHECK(write(ready[1], "r", 1) == 1 && read(go[0], &c, 1) == 1);
        _exit(0);
    }
    int status;
    close(ready[1]);
    CHECK(read(ready[0], &c, 1) == 1);
    CHECK(access(other, F_OK) != 0 && errno == ENOENT);
    CHECK(write(go[1], "g", 1) == 1 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_shared(void)
{
    (void)snprintf(dir, sizeof(dir), "%s", temp_make_dir("shared"));
    (void)snprintf(file, sizeof(file), "%s/secrets", dir);
    (void)snprintf(other, sizeof(other), "%s/password", file);
    in_namespace(shared_child);
}

/* With none allowed in this user namespace, it is a refusal: there is no shared place to fall back to. */
static void no_namespaces_child(void)
{
    struct ccz_err err = {0};
    char map[32];
    unsigned id = (unsigned)geteuid();
    (void)snprintf(map, sizeof(map), "0 %u 1\n", id);
    if (unshare(CLONE_NEWUSER) != 0)
        _exit(SKIPPED);
    write_file("/proc/self/uid_map", map, 0);
    write_file("/proc/sys/user/max_mnt_namespaces", "0", 0);
    CHECK(ccz_handover_mounts(&err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "handover:mounts") == 0 && err.aux != 0 && err.hint[0]);
}

static void test_no_namespaces(void)
{
    in_namespace(no_namespaces_child);
}

/* As an ordinary user: a user namespace, in which he keeps his name. */
static void unprivileged_child(void)
{
    if (geteuid() == 0)
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    uid_t uid = geteuid();
    gid_t gid = getegid();
    enter_namespace();
    CHECK(geteuid() == uid && getuid() == uid && getegid() == gid);
    struct ccz_err err = {0};
    int folder = -1;
    CHECK(ccz_handover_ram_dir(&folder, dir, &err) == CCZ_OK);
    CHECK(ccz_handover_file(folder, "password", SECRET, &err) == CCZ_OK);
    CHECK(ccz_handover_ram_dir_close(folder, &err) == CCZ_OK);
    check_content(file, secret);
}

static void test_unprivileged(void)
{
    CHECK(chmod(temp_base, 0755) == 0);
    (void)snprintf(dir, sizeof(dir), "%s", temp_make_dir("unprivileged"));
    (void)snprintf(file, sizeof(file), "%s/password", dir);
    in_namespace(unprivileged_child);
    CHECK(access(file, F_OK) != 0);
}

/* Somebody else replaces a pinned file: in a process that keeps the mounts of before. */
static void replaced_child(int fd, int outside)
{
    struct ccz_err err = {0};
    int pinned = -1, status = 0;
    char fd_path[64], text[16] = {0};
    CHECK(ccz_handover_pin(&pinned, other, fd, &err) == CCZ_OK);
    CHECK(ccz_handover_check_pin(other, pinned, &err) == CCZ_OK);
    pid_t pid = fork();
    if (pid == 0) {
        char from[720];
        (void)snprintf(from, sizeof(from), "%s.new", other);
        if (setns(outside, CLONE_NEWNS) != 0)
            _exit(1);
        write_file(from, "replaced", 0755);
        _exit(rename(from, other) == 0 ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    check_content(other, "replaced"); /* the kernel has taken the pin away */
    CHECK(ccz_handover_check_pin(other, pinned, &err) == CCZ_E_IO);
    CHECK(strcmp(err.where, "handover:pin") == 0);
    (void)snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", pinned);
    int in = open(fd_path, O_RDONLY | O_CLOEXEC);
    CHECK(in >= 0 && read(in, text, sizeof(text) - 1) == 8 && strcmp(text, "measured") == 0);
}

static void pin_child(void)
{
    struct ccz_err err = {0};
    int fd = -1, pinned = -1, outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    enter_namespace();
    CHECK(ccz_handover_copy(&fd, file, &err) == CCZ_OK);
    write_file(file, "changed", 0755); /* after it was measured */
    CHECK(ccz_handover_pin(&pinned, file, fd, &err) == CCZ_OK);
    check_content(file, "measured");
    check_content(other, "beside it");
    struct stat st;
    CHECK(stat(file, &st) == 0 && (st.st_mode & 07777) == 0555);
    CHECK(open(file, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK(unlink(file) != 0 && errno == EBUSY);
    CHECK(ccz_handover_pin(&pinned, dir, fd, &err) == CCZ_E_IO);
    CHECK(ccz_handover_pin(&pinned, "relative", fd, &err) == CCZ_E_ARG);
    CHECK(ccz_handover_pin(&pinned, "/file", fd, &err) == CCZ_E_ARG);
    CHECK(ccz_handover_pin(&pinned, "/absent/file", fd, &err) == CCZ_E_NOT_FOUND);
    int unsealed = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(ccz_handover_pin(&pinned, other, unsealed, &err) == CCZ_E_DENIED);
    check_content(other, "beside it");
    replaced_child(fd, outside);
    CHECK(unlink(other) == 0 && symlink(file, other) == 0);
    CHECK(ccz_handover_pin(&pinned, other, fd, &err) ==
          CCZ_E_IO); /* a link: its target is what has to be named */
}

static void test_pin(void)
{
    (void)snprintf(dir, sizeof(dir), "%s", temp_make_dir("bin"));
    (void)snprintf(file, sizeof(file), "%s/program", dir);
    (void)snprintf(other, sizeof(other), "%s/other", dir);
    write_file(file, "measured", 0755);
    write_file(other, "beside it", 0644);
    in_namespace(pin_child);
    check_content(file, "changed"); /* for everybody else */
}

/* ------------------------------------------------------------------------------ starting */

/* A shell looks at what it was given: descriptors, limits. */
static void start_shell(const char *script, const struct ccz_handover_fd *fds, size_t len)
{
    char sh[] = "sh", c[] = "-c", text[1024], path[] = "PATH=/usr/bin:/bin";
    (void)snprintf(text, sizeof(text), "%s", script);
    char *argv[] = {sh, c, text, NULL}, *envp[] = {path, NULL};
    struct ccz_err err = {0};
    const struct ccz_handover_start s = {
        .path = "/bin/sh", .argv = argv, .envp = envp, .fds = fds, .fds_len = len};
    (void)ccz_handover_exec(&s, &err);
    fprintf(stderr, "%s: %s\n", err.where, err.msg);
    _exit(1);
}

static void exec_child(void)
{
    struct ccz_err err = {0};
    int a = -1, b = -1;
    CHECK(ccz_handover_memory(&a, "a", ccz_span_str("first"), &err) == CCZ_OK);
    CHECK(ccz_handover_memory(&b, "b", ccz_span_str("second"), &err) == CCZ_OK);
    CHECK(dup2(a, 200) == 200); /* close-on-exec or not, it is not the program's */
    /* each where the other is now, or would be moved to if it were not moved far away */
    int free_1 = dup(0), free_2 = dup(0);
    close(free_1);
    close(free_2);
    const struct ccz_handover_fd fds[] = {
        {.fd = a, .as = free_2}, {.fd = b, .as = free_1}, {.fd = a, .as = b}, {.fd = b, .as = a}};
    char script[1024];
    (void)snprintf(
        script, sizeof(script),
        "test \"$(cat <&%d)\" = second && test \"$(cat <&%d)\" = first && "
        "test \"$(cat /proc/self/fd/%d)\" = second && test \"$(cat /proc/self/fd/%d)\" = first && "
        "test ! -e /proc/$$/fd/200 && test \"$(ulimit -c)$(ulimit -Hc)\" = 00 && "
        "grep -q 'Max core file size  *1  *1 ' /proc/$$/limits",
        a, b, free_1, free_2);
    start_shell(script, fds, 4);
}

static void exec_memory_child(void)
{
    char name[] = "name", *argv[] = {name, NULL}, *envp[] = {NULL};
    struct ccz_err err = {0};
    int fd = -1;
    CHECK(ccz_handover_copy(&fd, "/bin/true", &err) == CCZ_OK);
    const struct ccz_handover_start s = {.fd = fd, .argv = argv, .envp = envp};
    (void)ccz_handover_exec(&s, &err);
    _exit(1);
}

static void exec_refused_child(void)
{
    char name[] = "name", *argv[] = {name, NULL}, *envp[] = {NULL};
    struct ccz_err err = {0};
    static const int bad[] = {-1, 0, 2, CCZ_HANDOVER_FD_MAX + 1};
    struct ccz_handover_fd fds[] = {{.fd = 0, .as = 5}, {.fd = 0, .as = 5}};
    struct ccz_handover_start s = {
        .path = "/absent", .argv = argv, .envp = envp, .fds = fds, .fds_len = 2};
    CHECK(ccz_handover_exec(&s, &err) == CCZ_E_ARG && strstr(err.msg, "twice"));
    s.fds_len = 1;
    for (size_t i = 0; i < 4; i++) {
        fds[0].as = bad[i];
        CHECK(ccz_handover_exec(&s, &err) == CCZ_E_ARG && strcmp(err.where, "handover:fds") == 0);
    }
    fds[0] = (struct ccz_handover_fd){.fd = 200, .as = 5};
    CHECK(ccz_handover_exec(&s, &err) == CCZ_E_IO && err.aux == EBADF);
    s.fds_len = 0;
    CHECK(ccz_handover_exec(&s, &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "handover:exec") == 0 && err.aux == ENOENT);
    s.path = "/etc/passwd";
    CHECK(ccz_handover_exec(&s, &err) == CCZ_E_UNAVAILABLE && err.aux == EACCES);
}

static void test_exec(void)
{
    CHECK(in_child(exec_child) == 0 && in_child(exec_memory_child) == 0);
    CHECK(in_child(exec_refused_child) == 0);
}

static void test_core(void)
{
    struct ccz_err err = {0};
    CHECK(cczi_handover_core("core\n", false, &err) == CCZ_OK);
    CHECK(cczi_handover_core("|/usr/lib/systemd/systemd-coredump %P\n", true, &err) == CCZ_OK);
    CHECK(cczi_handover_core("|/usr/lib/systemd/systemd-coredump %P\n", false, &err) ==
          CCZ_E_DENIED);
    CHECK(strcmp(err.where, "handover:core") == 0 && err.hint[0] && !strchr(err.got, '\n'));
    CHECK(cczi_handover_core("@/run/dumps\n", true, &err) == CCZ_E_DENIED);
}

/* A missing core_pattern says something only where the kernel's folder is there at all. */
static void test_core_absent(void)
{
    struct ccz_err err = {0};
    char kernel[128], path[160];
    (void)snprintf(kernel, sizeof(kernel), "%s", temp_make_dir("kernel"));
    (void)snprintf(path, sizeof(path), "%s/absent", kernel);
    CHECK(cczi_handover_core_in(path, true, &err) == CCZ_E_DENIED); /* no /proc */
    CHECK(strcmp(err.where, "handover:core") == 0 && err.got[0] && err.hint[0]);
    CHECK(cczi_handover_core_in(kernel, true, &err) == CCZ_E_DENIED); /* an empty one over it */
    CHECK(strcmp(err.where, "handover:core") == 0);
    (void)snprintf(path, sizeof(path), "%s/osrelease", kernel);
    write_file(path, "6.1.0\n", 0444);
    CHECK(cczi_handover_core_in(kernel, true, &err) == CCZ_OK);
    (void)snprintf(path, sizeof(path), "%s/core_pattern", kernel);
    write_file(path, "@/run/dumps\n", 0444);
    CHECK(cczi_handover_core_in(kernel, true, &err) == CCZ_E_DENIED);
}

static const struct ccz_test tests[] = {
    {"handover.spec", test_spec},
    {"handover.spec_refused", test_spec_refused},
    {"handover.specs", test_specs},
    {"handover.memory", test_memory},
    {"handover.memory_errors", test_memory_errors},
    {"handover.copy", test_copy},
    {"handover.seals", test_seals},
    {"handover.ram", test_ram},
    {"handover.file_disk", test_file_disk},
    {"handover.swap", test_swap},
    {"handover.ram_dir", test_ram_dir},
    {"handover.swapped", test_swapped},
    {"handover.shared", test_shared},
    {"handover.no_namespaces", test_no_namespaces},
    {"handover.unprivileged", test_unprivileged},
    {"handover.pin", test_pin},
    {"handover.exec", test_exec},
    {"handover.core", test_core},
    {"handover.core_absent", test_core_absent},
};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
