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
    int eai;
    size_t len;
    struct cczi_addr addrs[CCZ_LOOKUP_MAX];
    /* loop's thread only; both NULL = cancelled */
    void (*done)(void *arg, const struct cczi_resolved *res);
    void (*done_all)(void *arg, int eai, const struct cczi_addr *addrs, size_t len);
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
    if (r->done) {
        struct cczi_resolved first = {.eai = r->eai};
        first.len = r->len < CCZI_RESOLVE_MAX ? r->len : CCZI_RESOLVE_MAX;
        memcpy(first.addrs, r->addrs, first.len * sizeof(first.addrs[0]));
        r->done(r->arg, &first);
    } else if (r->done_all) {
        r->done_all(r->arg, r->eai, r->addrs, r->len);
    }
    resolve_free(r);
}

static void *resolve_thread(void *arg)
{
    struct cczi_resolve *r = arg;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    r->eai = getaddrinfo(r->host, r->port, &hints, &list);
    for (struct addrinfo *a = list; a && r->len < CCZ_LOOKUP_MAX; a = a->ai_next) {
        struct cczi_addr *to = &r->addrs[r->len];
        if (a->ai_addrlen > sizeof(to->ss))
            continue;
        memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
        to->size = a->ai_addrlen;
        r->len++;
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

static struct cczi_resolve *resolve_new(struct ccz_loop *loop, const char *host, uint16_t port)
{
    struct cczi_resolve *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->mail = cczi_mail_ref(loop->mail);
    (void)snprintf(r->host, sizeof(r->host), "%s", host);
    (void)snprintf(r->port, sizeof(r->port), "%u", port);
    return r;
}

/* @return false: @p r is freed */
static bool resolve_run(struct cczi_resolve *r)
{
    sigset_t all, old; /* signals are for the threads of the program, not for this one */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, resolve_thread, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        resolve_free(r);
        return false;
    }
    pthread_detach(thread);
    return true;
}

ccz_rc cczi_resolve_start(struct cczi_resolve **out, struct ccz_loop *loop, const char *host,
                          uint16_t port, void (*done)(void *arg, const struct cczi_resolved *res),
                          void *arg)
{
    *out = NULL;
    struct cczi_resolve *r = resolve_new(loop, host, port);
    if (!r)
        return CCZ_E_NOMEM;
    r->done = done;
    r->arg = arg;
    if (!resolve_run(r))
        return CCZ_E_NOMEM;
    *out = r; /* its end waits for the loop */
    return CCZ_OK;
}

ccz_rc cczi_resolve_all(struct cczi_resolve **out, struct ccz_loop *loop, const char *host,
                        uint16_t port,
                        void (*done)(void *arg, int eai, const struct cczi_addr *addrs, size_t len),
                        void *arg)
{
    *out = NULL;
    struct cczi_resolve *r = resolve_new(loop, host, port);
    if (!r)
        return CCZ_E_NOMEM;
    r->done_all = done;
    r->arg = arg;
    if (!resolve_run(r))
        return CCZ_E_NOMEM;
    *out = r;
    return CCZ_OK;
}

void cczi_resolve_cancel(struct cczi_resolve *r)
{
    if (!r)
        return;
    r->done = NULL;
    r->done_all = NULL;
}
