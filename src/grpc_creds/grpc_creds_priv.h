/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_GRPC_CREDS_PRIV_H
#define CCZI_GRPC_CREDS_PRIV_H
/* Credentials (grpc_creds.c), what they remember of peers (peers.c), whether the hook works here (self_test.c). */
#include <cczoo/grpc_creds.h>

#include <pthread.h>

/* ----------------------------------------------------------------------------------- peers.c */

struct cczi_peer_entry;
struct cczi_peers {
    pthread_mutex_t lock;
    struct cczi_peer_entry **bucket;
    size_t len, max;
    uint64_t clock; /* counts uses */
};
CCZ_MUST_USE ccz_rc cczi_peers_init(struct cczi_peers *p, size_t max);
void cczi_peers_deinit(struct cczi_peers *p);
/* A handshake with this certificate was accepted; its end is awaited for CCZI_PEER_PENDING_S, to the second below. Between
 * the two is the rest of one handshake, with own evidence to be made at most. @p now_ms: ccz_mono_ms() */
enum { CCZI_PEER_PENDING_S = 20 };
CCZ_MUST_USE ccz_rc cczi_peers_accepted(struct cczi_peers *p, const uint8_t cert_sha256[32],
                                        const struct ccz_ratls_peer *peer, int64_t now_ms);
/* It has ended: true if that was awaited, once for each cczi_peers_accepted(). */
bool cczi_peers_finish(struct cczi_peers *p, const uint8_t cert_sha256[32], int64_t now_ms);
bool cczi_peers_find(struct ccz_ratls_peer *out, struct cczi_peers *p,
                     const uint8_t cert_sha256[32]);

/* ------------------------------------------------------------------------------ grpc_creds.c */

/* ccz_grpc_creds_new() without the self-test; @p hooked false: the hook into OpenSSL is left out, as if libgrpc had another
 * TLS library. */
CCZ_MUST_USE ccz_rc cczi_grpc_creds_make(struct ccz_grpc_creds **out,
                                         const struct ccz_grpc_cfg *cfg, bool hooked,
                                         struct ccz_err *err);

/* ------------------------------------------------------------------------------- self_test.c */

/* A handshake of libgrpc with itself: both sides must have been asked for evidence, and have judged it. */
CCZ_MUST_USE ccz_rc cczi_grpc_self_test(bool hooked, struct ccz_err *err);
#endif
