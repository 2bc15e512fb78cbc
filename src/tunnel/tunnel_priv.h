/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_TUNNEL_PRIV_H
#define CCZI_TUNNEL_PRIV_H
/* Shared by the sources of src/tunnel only. */
#include "wire/wire.h"

#include <cczoo/tunnel.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* ------------------------------------------------------------------------------------ proxy.c */

struct cczi_proxy_addrs {
    struct sockaddr_storage from, to; /* the attested connection: its client, our port */
};
/* Of a connected socket; what cannot be told stays AF_UNSPEC. */
void cczi_proxy_addrs(struct cczi_proxy_addrs *out, int fd);
/* Appends a PROXY header, version 2. @param peer  NULL = addresses alone @return CCZ_E_LIMIT if it does not fit; nothing of use was appended then */
CCZ_MUST_USE ccz_rc cczi_proxy_put(struct ccz_buf *out, const struct cczi_proxy_addrs *addrs,
                                   const struct ccz_ratls_peer *peer);
enum { CCZI_PROXY_SIZE_MAX = 16 + UINT16_MAX, CCZI_MEASUREMENT_HEX_SIZE = 2 * 48 + 1 };
/* MRENCLAVE, MRTD or SNP measurement of an attested peer. */
void cczi_measurement_hex(char out[CCZI_MEASUREMENT_HEX_SIZE], const struct ccz_claims *c);

/* --------------------------------------------------------------- pair.c: one connection, both sides */

struct cczi_map {
    struct ccz_tunnel_map cfg;  /* texts are owned, and so is a reference to ratls .. */
    pthread_mutex_t ratls_lock; /* .. that may be exchanged */
    struct ccz_tunnel *tunnel;
    struct ccz_listener *listener; /* of the first worker */
    uint16_t port;
};

/* A reference of the caller's. */
struct ccz_ratls_ctx *cczi_map_ratls(struct cczi_map *map);

struct cczi_worker;
/* Takes @p fd. A failure is logged. */
void cczi_pair_accept(struct cczi_worker *w, struct cczi_map *map, int fd, const char *peer);
/* Cuts all pairs of a worker. */
void cczi_pairs_cut(struct cczi_worker *w);
/* Takes the buffers of pairs that moved nothing since the last call. */
void cczi_pairs_trim(struct cczi_worker *w);

/* ---------------------------------------------------------------------------------- tunnel.c */

struct cczi_pair;
struct cczi_worker {
    struct ccz_tunnel *tunnel;
    struct ccz_loop *loop;
    struct ccz_timer *stop_timer, *trim_timer;
    struct cczi_deadlines deadlines;
    struct ccz_buf scratch;
    struct cczi_pair *first;
    struct cczi_pair *strangers, *strangers_end; /* side IN, not attested yet; the newest first */
    unsigned strangers_len, strangers_max;
    bool draining;
    int64_t grace_ms;
    pthread_t thread;
    bool started;
};

struct ccz_tunnel {
    struct ccz_tunnel_cfg cfg; /* maps: not ours, see below */
    struct cczi_map *maps;
    size_t maps_len;
    struct cczi_worker *workers;
    unsigned workers_len, next_worker;
    struct cczi_wire_pool *pool;
    bool running, stopped;
    atomic_uint open;
    atomic_ullong accepted, refused, failed, limited, bytes_in, bytes_out;
};
/* A pair is gone: it no longer counts; a worker that only waited for it ends. */
void cczi_worker_left(struct cczi_worker *w);
#endif
