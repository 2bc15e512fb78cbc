/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NET_HTTP_BOUND_H
#define CCZ_NET_HTTP_BOUND_H
/*
 * What all connections of an HTTP server may hold together. evhttp counts none, limits only the time between two bytes, and keeps
 * a body until it is whole, so whoever is not heard yet, or does not take his answer, is bounded here: how many, from where, how much, for how long.
 */
#include "net/net_priv.h"

struct bufferevent;
struct cczi_http_bound;
struct cczi_http_conn;

/* @param cfg  as the caller gave it; defaults are filled in here */
struct cczi_http_bound *cczi_http_bound_new(struct event_base *base,
                                            const struct ccz_http_server_cfg *cfg);
/* After evhttp, before the base. NULL is fine. */
void cczi_http_bound_free(struct cczi_http_bound *b);
/* A connection begins. @param refused  it is closed as soon as it has a socket. @return false: no memory, nothing was kept */
bool cczi_http_bound_add(struct cczi_http_bound *b, struct bufferevent *bev, bool refused);
/* NULL: not counted. */
struct cczi_http_conn *cczi_http_bound_find(struct cczi_http_bound *b,
                                            const struct bufferevent *bev);
/* Its request is whole: from here on it may take its time. NULL is fine, as below. */
void cczi_http_conn_busy(struct cczi_http_conn *c);
/* Its answer of @p size bytes is being sent: whoever takes it slowly is treated as who sends slowly. */
void cczi_http_conn_answers(struct cczi_http_conn *c, size_t size);
/* Its answer has been sent. */
void cczi_http_conn_idle(struct cczi_http_conn *c);
/* Any thread. */
void cczi_http_bound_stats(struct ccz_http_server_stats *out, const struct cczi_http_bound *b);

#endif
