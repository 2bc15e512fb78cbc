/* SPDX-License-Identifier: Apache-2.0 */
/* getaddrinfo() blocks and knows no event loop, so each look-up has a thread; connections by name
 * are few (configured peers), and the system's own rules (hosts file, nsswitch) apply. */
#define _GNU_SOURCE
#include "net/net_priv.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct cczi_resolve {
    struct cczi_mail *mail;
    char host[CCZI_HOST_SIZE];
    char port[6];
    struct cczi_resolved res;
    void (*done)(void *arg,
                 const struct cczi_resolved *res); /* loop's thread only; NULL = cancelled */
    void *arg;
};

static void resolve_free(struct cczi_resolve *r)
{
    cczi_mail_unref(r->mail);
    free(r);
}

static void on_resolved(void *arg)
{
    struct cczi_resolve *r = arg;
    if (r->done)
        r->done(r->arg, &r->res);
    resolve_free(r);
}

static void *resolve_thread(void *arg)
{
    struct cczi_resolve *r = arg;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    r->res.eai = getaddrinfo(r->host, r->port, &hints, &list);
    for (struct addrinfo *a = list; a && r->res.len < CCZI_RESOLVE_MAX; a = a->ai_next) {
        struct cczi_addr *to = &r->res.addrs[r->res.len];
        if (a->ai_addrlen > sizeof(to->ss))
            continue;
        memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
        to->size = a->ai_addrlen;
        r->res.len++;
    }
    if (list)
        freeaddrinfo(list);
    /* The connection may hold on to r until on_resolved() ran, so being out of memory has to pass.
     * A closed mailbox means that the loop is gone, and with it everybody who could be waiting. */
    static const struct timespec pause = {.tv_nsec = 10000000};
    ccz_rc rc;
    while ((rc = cczi_mail_post(r->mail, on_resolved, r)) == CCZ_E_NOMEM)
        (void)nanosleep(&pause, NULL);
    if (rc != CCZ_OK)
        resolve_free(r);
    return NULL;
}

ccz_rc cczi_resolve_start(struct cczi_resolve **out, struct ccz_loop *loop, const char *host,
                          uint16_t port, void (*done)(void *arg, const struct cczi_resolved *res),
                          void *arg)
{
    *out = NULL;
    struct cczi_resolve *r = calloc(1, sizeof(*r));
    if (!r)
        return CCZ_E_NOMEM;
    r->mail = cczi_mail_ref(loop->mail);
    (void)snprintf(r->host, sizeof(r->host), "%s", host);
    (void)snprintf(r->port, sizeof(r->port), "%u", port);
    r->done = done;
    r->arg = arg;
    sigset_t all, old; /* signals are for the threads of the program, not for this one */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, resolve_thread, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        resolve_free(r);
        return CCZ_E_NOMEM;
    }
    pthread_detach(thread);
    *out = r;
    return CCZ_OK;
}

void cczi_resolve_cancel(struct cczi_resolve *r)
{
    if (r)
        r->done = NULL;
}
