/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* accept4 */
#include "net/net_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LISTEN_ACCEPTS = 16,  /* connections taken before others get their turn */
    LISTEN_REST_MS = 100, /* without file descriptors; the backlog holds the peers meanwhile */
};

struct ccz_listener {
    int fd;
    uint16_t port;
    struct cczi_addr bound;
    struct event *accept_ev, *rest_ev;
    void (*on_accept)(void *arg, int fd, const char *peer);
    void *arg;
    bool accepting; /* inside on_accept(): freeing waits */
    bool freed;
};

static void listener_release(struct ccz_listener *l)
{
    if (l->accept_ev)
        event_free(l->accept_ev);
    if (l->rest_ev)
        event_free(l->rest_ev);
    if (l->fd >= 0) {
        close(l->fd);
        cczi_unlink_addr(&l->bound);
    }
    l->accept_ev = l->rest_ev = NULL;
    l->fd = -1;
}

void ccz_listener_free(struct ccz_listener *l)
{
    if (!l)
        return;
    listener_release(l);
    l->freed = true;
    if (!l->accepting)
        free(l);
}

/* @return the new socket; -1: none now, or none of use */
static int accept_one(struct ccz_listener *l, char peer[CCZ_ADDR_TEXT_SIZE])
{
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    socklen_t size = sizeof(ss);
    int fd = accept4(l->fd, (struct sockaddr *)&ss, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        cczi_addr_text(peer, (struct sockaddr *)&ss, size);
        return fd;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        /* The socket stays readable, so that the loop would spin until somebody closes something.
         */
        struct timeval rest = cczi_timeval(LISTEN_REST_MS);
        ccz_log(CCZ_LOG_WARN, "net", "listen port=%u resting: %s", l->port, strerror(errno));
        if (event_add(l->rest_ev, &rest) == 0) /* else it spins: better than to be deaf */
            event_del(l->accept_ev);
    }
    return -1; /* else: nobody waiting, or the peer has gone already (accept(2)) */
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_listener *l = arg;
    char peer[CCZ_ADDR_TEXT_SIZE];
    (void)fd;
    (void)what;
    l->accepting = true;
    for (unsigned i = 0; i < LISTEN_ACCEPTS && !l->freed; i++) {
        int s = accept_one(l, peer);
        if (s < 0)
            break;
        l->on_accept(l->arg, s, peer);
    }
    l->accepting = false;
    if (l->freed)
        free(l);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_listener *l = arg;
    (void)fd;
    (void)what;
    struct timeval rest = cczi_timeval(LISTEN_REST_MS);
    if (event_add(l->accept_ev, NULL) != 0)
        (void)event_add(l->rest_ev, &rest); /* whose place has just become free */
}

ccz_rc ccz_listen(struct ccz_listener **out, struct ccz_loop *loop,
                  const struct ccz_listen_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_listener) l = calloc(1, sizeof(*l));
    if (!l)
        return ccz_fail(err, CCZ_E_NOMEM, "net:listen", 0, "out of memory");
    l->fd = -1;
    l->on_accept = cfg->on_accept;
    l->arg = cfg->arg;
    ccz_rc rc = cczi_listen_socket(&l->fd, &l->port, cfg, &l->bound, err);
    if (rc != CCZ_OK)
        return rc;
    l->accept_ev = event_new(loop->base, l->fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->rest_ev = evtimer_new(loop->base, on_rested, l);
    if (!l->accept_ev || !l->rest_ev || event_add(l->accept_ev, NULL) != 0)
        return ccz_fail(err, CCZ_E_NOMEM, "net:listen", 0, "out of memory");
    *out = ccz_listener_take(&l);
    return CCZ_OK;
}

uint16_t ccz_listener_port(const struct ccz_listener *l)
{
    return l->port;
}
