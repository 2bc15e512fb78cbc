/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming the program: descriptors, limits, exec. */
#define _GNU_SOURCE
#include "handover/handover_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static ccz_rc check_fds(const struct ccz_handover_start *s, struct ccz_err *err)
{
    bool used[CCZ_HANDOVER_FD_MAX + 1] = {false};
    for (size_t i = 0; i < s->fds_len; i++) {
        int as = s->fds[i].as;
        if (as <= STDERR_FILENO || as > CCZ_HANDOVER_FD_MAX)
            return ccz_fail(err, CCZ_E_ARG, "handover:fds", as,
                            "descriptor %d is not within 3 to %d", as, CCZ_HANDOVER_FD_MAX);
        if (used[as])
            return ccz_fail(err, CCZ_E_ARG, "handover:fds", as, "descriptor %d is asked for twice",
                            as);
        used[as] = true;
    }
    return CCZ_OK;
}

static ccz_rc failed(struct ccz_err *err, const char *what)
{
    return cczi_handover_errno(err, "handover:fds", what, "descriptors");
}

/* First all out of the way, then each to its place: sources and places overlap. */
static ccz_rc place_fds(int *program, const struct ccz_handover_start *s, struct ccz_err *err)
{
    int moved[CCZ_HANDOVER_FD_MAX];
    if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        return failed(err, "cannot close");
    for (size_t i = 0; i < s->fds_len; i++) {
        moved[i] = fcntl(s->fds[i].fd, F_DUPFD_CLOEXEC, CCZ_HANDOVER_FD_MAX + 1);
        if (moved[i] < 0)
            return failed(err, "cannot move");
    }
    *program = s->path ? -1 : fcntl(s->fd, F_DUPFD_CLOEXEC, CCZ_HANDOVER_FD_MAX + 1);
    if (!s->path && *program < 0)
        return failed(err, "cannot move");
    for (size_t i = 0; i < s->fds_len; i++)
        if (dup2(moved[i], s->fds[i].as) < 0) /* not close-on-exec */
            return failed(err, "cannot place");
    return CCZ_OK;
}

/* RLIMIT_CORE 0 forbids core files, but a handler in core_pattern is run all the same; with 1, that is not run either.
 * What is sent to a socket ("@") knows no limit. */
ccz_rc cczi_handover_core(const char *pattern, bool limit_is_one, struct ccz_err *err)
{
    if (pattern[0] != '@' && (pattern[0] != '|' || limit_is_one))
        return CCZ_OK;
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), CCZ_SPAN(pattern, strcspn(pattern, "\n")));
    ccz_rc rc = ccz_refuse(err, CCZ_E_DENIED, "handover:core", got, "no core dumps of the program");
    return ccz_hint(err, rc,
                    "change kernel.core_pattern, or start with a hard limit of at least 1 (ulimit "
                    "-Hc)");
}

/* No core_pattern beside a readable osrelease: a kernel without core dumps. Without both, we were shown no such folder,
 * and the kernel may have a handler all the same. */
static ccz_rc check_absent(const char *folder, struct ccz_err *err)
{
    char path[128];
    CCZ_AUTO_BUF release;
    ccz_buf_init(&release, 4096);
    (void)snprintf(path, sizeof(path), "%s/osrelease", folder);
    if (ccz_file_read(&release, path, err) == CCZ_OK)
        return CCZ_OK;
    ccz_rc rc = ccz_refuse(err, CCZ_E_DENIED, "handover:core", "no readable /proc/sys/kernel",
                           "no core dumps of the program");
    return ccz_hint(err, rc, "mount /proc, with /proc/sys in it: core_pattern has to be looked at");
}

ccz_rc cczi_handover_core_in(const char *folder, bool limit_is_one, struct ccz_err *err)
{
    char path[128];
    CCZ_AUTO_BUF pattern;
    ccz_buf_init(&pattern, 4096);
    int n = snprintf(path, sizeof(path), "%s/core_pattern", folder);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_ARG, "handover:core", n, "the folder is too long");
    ccz_rc rc = ccz_file_read(&pattern, path, err);
    if (rc == CCZ_E_NOT_FOUND)
        return check_absent(folder, err);
    return rc == CCZ_OK ? cczi_handover_core(ccz_buf_str(&pattern), limit_is_one, err) : rc;
}

static ccz_rc forbid_core(struct ccz_err *err)
{
    const struct rlimit one = {1, 1};
    bool limit_is_one = setrlimit(RLIMIT_CORE, &one) == 0;
    if (!limit_is_one && setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        return cczi_handover_errno(err, "handover:core", "cannot set", "RLIMIT_CORE");
    return cczi_handover_core_in("/proc/sys/kernel", limit_is_one, err);
}

ccz_rc ccz_handover_exec(const struct ccz_handover_start *s, struct ccz_err *err)
{
    int program = -1;
    ccz_rc rc = check_fds(s, err);
    if (rc == CCZ_OK)
        rc = forbid_core(err);
    if (rc == CCZ_OK)
        rc = place_fds(&program, s, err);
    if (rc != CCZ_OK)
        return rc;
    if (s->path)
        (void)execve(s->path, s->argv, s->envp);
    else
        (void)execveat(program, "", s->argv, s->envp, AT_EMPTY_PATH);
    int e = errno;
    return ccz_fail(err, e == ENOENT || e == ENOTDIR ? CCZ_E_NOT_FOUND : CCZ_E_UNAVAILABLE,
                    "handover:exec", e, "cannot start %s: %s", s->argv[0], strerror(e));
}
