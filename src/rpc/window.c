/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a peer may send ahead of our credit. What the way holds between two credits is found out without a clock: a PING is
 * sent when data comes in, and what arrives until its answer is what one round trip carries. If that is most of a window, the
 * window was what limited it, and is doubled. Slow peers and short calls never get large windows, so that their readers never
 * have to hold much; nobody gets more than the largest.
 */
#include "h2.h"

#include <string.h>

enum {
    PROBE_FIRST =
        64 << 10, /* bytes received before the first question, and after each that led to more */
    PROBE_REST_MAX = 16 << 20 /* after questions that led to nothing */
};

static const uint8_t probe_ping[8] = "window";

void cczi_window_received(struct cczi_h2 *h, size_t size)
{
    struct cczi_window *w = &h->window;
    w->received += size;
    if (w->probing || w->size >= CCZI_H2_WINDOW_MAX || w->received < w->rest)
        return;
    /* without memory for it the next data tries again */
    w->probing = nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, probe_ping) == 0;
    if (w->probing)
        w->received = 0;
}

static void grow(struct cczi_h2 *h)
{
    struct cczi_window *w = &h->window;
    nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2 * w->size};
    w->rest = PROBE_FIRST;
    if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, &iv, 1) != 0 ||
        nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
                                              CCZI_H2_CONN_WINDOWS * 2 * (int32_t)w->size) != 0)
        return; /* what the peer was not told, it does not use */
    w->size *= 2;
}

void cczi_window_answered(struct cczi_h2 *h, const uint8_t ping[8])
{
    struct cczi_window *w = &h->window;
    if (!w->probing || memcmp(ping, probe_ping, sizeof(probe_ping)) != 0)
        return;
    w->probing = false;
    if (w->received >= w->size / 3 * 2)
        grow(h);
    else if (w->rest < PROBE_REST_MAX)
        w->rest *= 2;
    w->received = 0;
}

bool cczi_window_init(struct cczi_h2 *h)
{
    h->window = (struct cczi_window){.size = CCZI_H2_WINDOW_FIRST, .rest = PROBE_FIRST};
    return nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
                                                 CCZI_H2_CONN_WINDOWS * CCZI_H2_WINDOW_FIRST) == 0;
}
