/* SPDX-License-Identifier: Apache-2.0 */
/* The socket of an agent: who may connect, one thread a connection, limits. */
#define _GNU_SOURCE /* accept4 */
#include "agent_priv.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS_DEFAULT = 64, CONNECTIONS_MAX = 1024, BACKLOG = 64, REST_MS = 100 };
enum { REQUEST_MS = 10000, IDLE_MS = 600000 };

/* A connection and its thread. Only the thread that accepts starts and joins. */
struct slot {
    struct ccz_agent *agent;
    pthread_t thread;
    int fd; /* under the lock: -1 when the thread has closed it */
    struct cczi_agent_peer peer;
    bool running; /* has a thread to join */
    bool done;    /* under the lock */
};

struct ccz_agent {
    struct ccz_agent_cfg cfg;
    struct sockaddr_un at;
    uint32_t uid; /* who may ask */
    int listener, wake;
    pthread_t acceptor;
    bool accepting;
    pthread_mutex_t lock; /* fd and done of slots */
    struct slot *slots;
    size_t slots_len;
};

/* -------------------------------------------------------------------------- connections */

static ccz_rc serve_one(struct cczi_agent_io *io, const struct slot *s, struct ccz_err *err)
{
    const struct ccz_agent_cfg *cfg = &s->agent->cfg;
    struct ccz_span line;
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&answer, CCZI_AGENT_ANSWER_SIZE_MAX);
    answer.wipe = true;
    ccz_rc rc = cczi_agent_io_read(&line, io, cfg->idle_timeout_ms, cfg->request_timeout_ms, err);
    if (rc == CCZ_E_LIMIT) { /* the rest of the line would be taken for a request */
        cczi_agent_put_error(&answer, err);
        (void)cczi_agent_io_write(io, ccz_buf_span(&answer), cfg->request_timeout_ms, NULL);
    }
    if (rc != CCZ_OK)
        return rc;
    cczi_agent_handle(&answer, cfg, line, &s->peer);
    if (answer.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "agent:answer", 0, "no memory for an answer");
    return cczi_agent_io_write(io, ccz_buf_span(&answer), cfg->request_timeout_ms, err);
}

static void *converse(void *arg)
{
    struct slot *s = arg;
    struct ccz_agent *a = s->agent;
    struct cczi_agent_io io;
    struct ccz_err err = {0};
    cczi_agent_io_init(&io, s->fd, CCZ_AGENT_REQUEST_SIZE_MAX);
    while (serve_one(&io, s, &err) == CCZ_OK)
        ;
    if (err.rc != CCZ_E_CLOSED) {
        char what[64];
        (void)snprintf(what, sizeof(what), "connection ended pid=%lld", (long long)s->peer.pid);
        ccz_log_err(CCZ_LOG_INFO, "agent", what, &err);
    }
    pthread_mutex_lock(&a->lock);
    cczi_agent_io_close(&io);
    s->fd = -1;
    s->done = true;
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static struct slot *free_slot(struct ccz_agent *a)
{
    for (size_t i = 0; i < a->slots_len; i++) {
        struct slot *s = &a->slots[i];
        pthread_mutex_lock(&a->lock);
        bool done = s->done;
        pthread_mutex_unlock(&a->lock);
        if (s->running && done) {
            (void)pthread_join(s->thread, NULL);
            s->running = false;
        }
        if (!s->running)
            return s;
    }
    return NULL;
}

/* Tells why, in one line that fits into the buffer of any socket, and hangs up. */
static void turn_away(int fd, const struct cczi_agent_peer *peer, const struct ccz_err *err)
{
    char what[80];
    CCZ_AUTO_BUF line;
    ccz_buf_init(&line, 4096);
    cczi_agent_put_error(&line, err);
    (void)snprintf(what, sizeof(what), "turned away pid=%lld uid=%u", (long long)peer->pid,
                   peer->uid);
    ccz_log_err(CCZ_LOG_WARN, "agent", what, err);
    (void)send(fd, line.ptr, line.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
}

static void refuse_peer(struct ccz_err *err, const struct cczi_agent_peer *peer, int64_t root)
{
    char got[CCZ_ERR_VALUE_SIZE], expected[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(got, sizeof(got), "process %lld", (long long)peer->pid);
    (void)snprintf(expected, sizeof(expected), "process %lld, or one that it started",
                   (long long)root);
    ccz_refuse(err, CCZ_E_DENIED, "agent:peer", got, expected);
    (void)ccz_hint(err, CCZ_E_DENIED,
                   "this agent serves the program that it has started, and nobody else");
}

static void admit(struct ccz_agent *a, int fd)
{
    struct ccz_err err = {0};
    struct cczi_agent_peer peer;
    if (!cczi_agent_peer_of(&peer, fd) || peer.uid != a->uid) {
        ccz_refuse_num(&err, CCZ_E_DENIED, "agent:peer-uid", peer.uid, a->uid);
        turn_away(fd, &peer, &err);
        return;
    }
    if (a->cfg.peer_root && !cczi_agent_peer_descends(&peer, fd, a->cfg.peer_root)) {
        refuse_peer(&err, &peer, a->cfg.peer_root);
        turn_away(fd, &peer, &err);
        return;
    }
    struct slot *s = free_slot(a);
    if (!s) {
        ccz_refuse_num(&err, CCZ_E_LIMIT, "agent:connections", (int64_t)a->slots_len + 1,
                       (int64_t)a->slots_len);
        turn_away(fd, &peer, &err);
        return;
    }
    *s = (struct slot){.agent = a, .fd = fd, .peer = peer};
    s->running = pthread_create(&s->thread, NULL, converse, s) == 0;
    if (s->running)
        return;
    s->fd = -1;
    ccz_fail(&err, CCZ_E_NOMEM, "agent:connections", 0, "no thread for another connection");
    turn_away(fd, &peer, &err);
}

static void *accept_all(void *arg)
{
    struct ccz_agent *a = arg;
    struct pollfd p[2] = {{.fd = a->listener, .events = POLLIN}, {.fd = a->wake, .events = POLLIN}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            ccz_log(CCZ_LOG_ERROR, "agent", "cannot wait for connections: %s", strerror(errno));
        if (p[1].revents)
            return NULL;
        int fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            admit(a, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            (void)poll(&p[1], 1, REST_MS); /* connections that wait would make it spin */
    }
}

/* ------------------------------------------------------------------------------- socket */

static ccz_rc socket_failed(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_IO, "agent:socket", errno, "%s: %s", what, strerror(errno));
}

/* What an agent that was killed has left is removed; one that listens is not, nor anything that is no socket. */
static ccz_rc clear_path(const struct sockaddr_un *at, struct ccz_err *err)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0)
        return errno == ENOENT ? CCZ_OK : socket_failed(err, "cannot look at the path");
    if (!S_ISSOCK(st.st_mode))
        return ccz_fail(err, CCZ_E_EXISTS, "agent:socket", 0, "%.100s is there and no socket",
                        at->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_failed(err, "no socket");
    bool refused =
        connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    if (!refused)
        return ccz_fail(err, CCZ_E_EXISTS, "agent:socket", 0, "somebody listens on %.100s",
                        at->sun_path);
    return unlink(at->sun_path) == 0 ? CCZ_OK : socket_failed(err, "cannot remove a dead socket");
}

/* The mode is set before the socket has a name: there is no moment at which others could connect. */
static ccz_rc open_socket(struct ccz_agent *a, struct ccz_err *err)
{
    size_t size = strlen(a->cfg.socket);
    if (size == 0 || size >= sizeof(a->at.sun_path))
        return ccz_fail(err, CCZ_E_ARG, "agent:config", (int64_t)size,
                        "the path of a socket has 1..%zu bytes", sizeof(a->at.sun_path) - 1);
    a->at.sun_family = AF_UNIX;
    memcpy(a->at.sun_path, a->cfg.socket, size + 1);
    ccz_rc rc = clear_path(&a->at, err);
    if (rc != CCZ_OK)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return socket_failed(err, "no socket");
    bool bound = false;
    if (fchmod(fd, 0600) != 0)
        rc = socket_failed(err, "cannot set the mode of the socket");
    else if (!(bound = bind(fd, (const struct sockaddr *)&a->at, sizeof(a->at)) == 0))
        rc = socket_failed(err, "cannot open the socket");
    else if (a->uid != geteuid() && chown(a->cfg.socket, a->uid, (gid_t)-1) != 0)
        rc = socket_failed(err, "cannot give the socket to its user");
    else if (listen(fd, BACKLOG) != 0)
        rc = socket_failed(err, "cannot listen");
    if (rc == CCZ_OK) {
        a->listener = fd;
        return rc;
    }
    if (bound)
        (void)unlink(a->cfg.socket);
    (void)close(fd);
    return rc;
}

/* ----------------------------------------------------------------------------- new, free */

static ccz_rc check(struct ccz_agent *a, struct ccz_err *err)
{
    struct ccz_agent_cfg *c = &a->cfg;
    if (!c->socket || !c->release || c->connections_max > CONNECTIONS_MAX ||
        c->request_timeout_ms < 0 || c->idle_timeout_ms < 0 || c->peer_root < 0)
        return ccz_fail(err, CCZ_E_ARG, "agent:config", 0,
                        "socket and release are required, limits must be in range");
    c->request_timeout_ms = c->request_timeout_ms ? c->request_timeout_ms : REQUEST_MS;
    c->idle_timeout_ms = c->idle_timeout_ms ? c->idle_timeout_ms : IDLE_MS;
    a->uid = c->peer_uid_set ? c->peer_uid : geteuid();
    a->slots_len = c->connections_max ? c->connections_max : CONNECTIONS_DEFAULT;
    a->slots = calloc(a->slots_len, sizeof(*a->slots));
    return a->slots ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
}

ccz_rc ccz_agent_new(struct ccz_agent **out, const struct ccz_agent_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_agent) a = calloc(1, sizeof(*a));
    if (!a)
        return ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
    a->cfg = *cfg;
    a->listener = a->wake = -1;
    (void)pthread_mutex_init(&a->lock, NULL);
    ccz_rc rc = check(a, err);
    if (rc == CCZ_OK)
        rc = open_socket(a, err);
    if (rc != CCZ_OK)
        return rc;
    a->wake = eventfd(0, EFD_CLOEXEC);
    a->accepting = a->wake >= 0 && pthread_create(&a->acceptor, NULL, accept_all, a) == 0;
    if (!a->accepting)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "agent:thread", errno, "cannot start a thread");
    *out = ccz_agent_take(&a);
    return CCZ_OK;
}

void ccz_agent_free(struct ccz_agent *a)
{
    if (!a)
        return;
    if (a->accepting) {
        const uint64_t one = 1;
        if (write(a->wake, &one, sizeof(one)) != (ssize_t)sizeof(one))
            abort(); /* an eventfd that was just made takes a one */
        (void)pthread_join(a->acceptor, NULL);
    }
    for (size_t i = 0; a->slots && i < a->slots_len; i++) {
        struct slot *s = &a->slots[i];
        pthread_mutex_lock(&a->lock);
        if (s->running && s->fd >= 0)
            (void)shutdown(s->fd, SHUT_RDWR); /* wakes its thread */
        pthread_mutex_unlock(&a->lock);
    }
    for (size_t i = 0; a->slots && i < a->slots_len; i++)
        if (a->slots[i].running)
            (void)pthread_join(a->slots[i].thread, NULL);
    if (a->listener >= 0) {
        (void)unlink(a->at.sun_path);
        (void)close(a->listener);
    }
    if (a->wake >= 0)
        (void)close(a->wake);
    (void)pthread_mutex_destroy(&a->lock);
    free(a->slots);
    free(a);
}
