/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a socket: its user, and whether one of our children has started it. */
#define _GNU_SOURCE /* SO_PEERCRED */
#include "agent_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5, asm-generic/socket.h */
#endif

enum { ANCESTORS_MAX = 256 };

bool cczi_agent_peer_of(struct cczi_agent_peer *out, int fd)
{
    struct ucred c;
    socklen_t size = sizeof(c);
    *out = (struct cczi_agent_peer){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &size) != 0 || size != sizeof(c) || c.pid < 0)
        return false;
    *out = (struct cczi_agent_peer){.pid = c.pid, .uid = c.uid};
    return true;
}

int64_t cczi_agent_stat_parent(const char *text)
{
    const char *at = strrchr(text, ')'); /* the name of a program may have any bytes in it */
    char *end = NULL;
    if (!at || at[1] != ' ' || !at[2] || at[3] != ' ')
        return -1;
    errno = 0;
    long long parent = strtoll(at + 4, &end, 10);
    return errno == 0 && end != at + 4 && *end == ' ' && parent >= 0 ? parent : -1;
}

/* -1: there is no such process, or nobody tells. */
static int64_t parent_of(int64_t pid)
{
    char path[64], text[512]; /* the parent stands within the first hundred bytes */
    (void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = 0;
    return cczi_agent_stat_parent(text);
}

/*
 * A number is given to another process when its own has ended. What was read of a parent is of the parent only if it still was
 * that after reading: the kernel gives children away before it frees the number.
 */
bool cczi_agent_descends(int64_t pid, int64_t root)
{
    int64_t parent = parent_of(pid);
    for (int i = 0; i < ANCESTORS_MAX && parent > 0; i++) {
        if (pid == root)
            return parent == getpid(); /* a child that has ended leaves a number, too */
        const int64_t above = parent_of(parent);
        if (parent_of(pid) != parent)
            return false;
        pid = parent;
        parent = above;
    }
    return false;
}

/* Whether the process that connected still lives, so that its number is its own. Kernels that cannot tell: true. */
static bool still_lives(int fd)
{
    int pidfd = -1;
    socklen_t size = sizeof(pidfd);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) != 0)
        return errno == ENOPROTOOPT;
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    const bool ended = poll(&p, 1, 0) != 0;
    (void)close(pidfd);
    return !ended;
}

bool cczi_agent_peer_descends(const struct cczi_agent_peer *peer, int fd, int64_t root)
{
    return cczi_agent_descends(peer->pid, root) && still_lives(fd);
}
