/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are used hold buffers (35 KB and more of TLS, HTTP/2 and output) and what handlers may ask about the peer;
 * idle ones should not, so that a server can have ten thousand of them. Warm is who was heard of lately: at most WARM_MAX of a
 * loop, each until it is silent for a second. Whoever is heard of again is warm again; nothing else happens to it.
 */
#include "server.h"

enum {
    WARM_MAX =
        256, /* more connections at a time than that pay for their buffers with each message */
    WARM_MS = 1000
};

static void give_back(struct cczi_sconn *c)
{
    cczi_wire_trim(c->wire);
    cczi_h2_trim(c->h2);
    if (cczi_h2_streams(c->h2) == 0) {
        cczi_peer_unref(c->peer);
        c->peer = NULL;
    }
}

void cczi_sconn_forget_warm(struct cczi_sconn *c)
{
    struct cczi_worker *w = c->worker;
    if (!c->warm)
        return;
    *(c->warm_prev ? &c->warm_prev->warm_next : &w->warm_first) = c->warm_next;
    *(c->warm_next ? &c->warm_next->warm_prev : &w->warm_last) = c->warm_prev;
    c->warm = false;
    w->warm_len--;
}

static void cool(struct cczi_sconn *c)
{
    cczi_sconn_forget_warm(c);
    if (!c->busy) /* else a callback of it is under way: next time */
        give_back(c);
}

void cczi_sconn_warm(struct cczi_sconn *c)
{
    struct cczi_worker *w = c->worker;
    if (c->warm)
        return;
    c->warm = true;
    c->warm_next = NULL;
    c->warm_prev = w->warm_last;
    *(w->warm_last ? &w->warm_last->warm_next : &w->warm_first) = c;
    w->warm_last = c;
    if (++w->warm_len > WARM_MAX)
        cool(w->warm_first);
}

void cczi_worker_cool(struct cczi_worker *w, int64_t now_ms)
{
    struct cczi_sconn *next;
    for (struct cczi_sconn *c = w->warm_first; c; c = next) {
        next = c->warm_next;
        if (now_ms - c->heard_ms > WARM_MS)
            cool(c);
    }
}
