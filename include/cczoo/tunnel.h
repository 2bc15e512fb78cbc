/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TUNNEL_H
#define CCZ_TUNNEL_H
/**
 * @file tunnel.h
 * Attested connections for programs that know nothing of attestation: takes plain connections (TCP or unix
 * sockets) and carries each inside an RA-TLS connection of its own to the other end, where it becomes plain
 * again. One tunnel can be both ends, with as many ways in as wanted.
 *
 *   program -> [CCZ_TUNNEL_OUT: listens plain, connects attested] -> [CCZ_TUNNEL_IN: listens attested,
 *   connects plain] -> server
 *
 *  - No plain byte is read or sent for a peer that was not accepted: the IN side connects to its server only after
 *    the attestation, the OUT side reads nothing from its program before.
 *  - Each direction ends on its own (half-close), as TCP does. What was cut, and not ended in order, is
 *    cut on the other side too (TCP reset), so that nobody takes a part for the whole.
 *  - Memory of a connection is bounded (`buffer_size`); who is fast waits for who is slow.
 *  - Every refusal is one log line on both sides (log module "tunnel"), with where, got and expected.
 *
 * Threads: a tunnel runs threads of its own. The functions may be called from any thread, but one at a time.
 * Reading order of the sources: proxy.c, pair.c, tunnel.c.
 */
#include <cczoo/ratls.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ccz_tunnel_side {
    CCZ_TUNNEL_OUT = 0, /**< plain in, attested out: next to the client program */
    CCZ_TUNNEL_IN       /**< attested in, plain out: next to the server program */
};

/** One way through the tunnel. Addresses: net.h ("127.0.0.1:6379", "[::]:7000", "name:7000", "unix:/run/x.sock"). */
struct ccz_tunnel_map {
    const char *name; /**< for logs; NULL = the address listened on */
    enum ccz_tunnel_side side;
    const char *listen;  /**< no name; port 0 = any free port. A unix path must not exist */
    const char *connect; /**< where to; a name is resolved for each connection */
    /** Client context for OUT, server context for IN; the tunnel holds a reference. Session profile for fresh
     *  evidence. With reattest_interval_ms in it, long connections are asked again. */
    struct ccz_ratls_ctx *ratls;
    /** IN: clients that are neither attested nor pinned are let in; needed for a context that does so, refused for others.
     *  Only the server is attested then. */
    bool anyone;
    /** IN: the server is told who is connected by a PROXY protocol header, version 2, before the first byte:
     *  source address, and the verified identity in TLVs (below). The server must expect it. */
    bool proxy_v2;
    bool
        proxy_v2_short; /**< with proxy_v2: no TLVs, for servers that take no long header (nginx 1.22: 107 bytes) */
};

struct ccz_tunnel_cfg {
    const struct ccz_tunnel_map *maps; /**< copied, with their texts */
    size_t maps_len;                   /**< 1 to 256 */
    unsigned threads;                  /**< event loops; 0 = 1, at most 64 */
    unsigned
        connections_max; /**< at a time, of all maps together; 0 = 4096. More are closed at once */
    /** Bytes of one connection that may wait in one direction; 0 = 256 KiB, at least 64 KiB. Beyond it the sender is
     *  not read. Reading in one go, and encryption, may exceed it by 320 KiB. */
    size_t buffer_size;
    /* On the side IN, connections that are not attested yet may be a quarter of connections_max (16 if that is more, but not
     * above half), in equal parts for each thread. Beyond it the oldest of them is closed: a stranger that says nothing keeps
     * nobody out. */
    int64_t connect_timeout_ms;   /**< TCP connect of either end; 0 = 10 s */
    int64_t handshake_timeout_ms; /**< from accept or connect to attested; 0 = 30 s */
    int64_t
        idle_timeout_ms; /**< no byte in either direction closes; 0 = never (TCP keepalive notices dead peers) */
};

struct ccz_tunnel;
/**
 * Checks the configuration and opens the ports; nothing is accepted before ccz_tunnel_start().
 * @retval CCZ_E_ARG     tunnel:config: what is missing or out of range; a context of the other role, by which nobody gives
 *                       evidence, that accepts any server, or any client without `anyone`
 * @retval CCZ_E_FORMAT  net:address
 * @retval CCZ_E_IO      net:listen, aux = errno
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tunnel_new(struct ccz_tunnel **out,
                                           const struct ccz_tunnel_cfg *cfg, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_tunnel_start(struct ccz_tunnel *t, struct ccz_err *err);
/** The bound port of map @p i; 0 for unix sockets. */
CCZ_API uint16_t ccz_tunnel_port(const struct ccz_tunnel *t, size_t i);

/** Connections that map @p i takes from here on use @p ctx (another key, newer evidence); open ones go on with theirs. The
 *  tunnel holds a reference. For ccz_party_attach(). Any thread, also while others are called.
 *  @retval CCZ_E_ARG  tunnel:config: as ccz_tunnel_new(), or no such map; the old one stays in use */
CCZ_API CCZ_MUST_USE ccz_rc ccz_tunnel_set_ratls(struct ccz_tunnel *t, size_t i,
                                                 struct ccz_ratls_ctx *ctx, struct ccz_err *err);

/** Counted since the start. */
struct ccz_tunnel_stats {
    uint64_t accepted; /**< connections taken */
    uint64_t refused;  /**< of them: peers not accepted, or that did not accept us */
    uint64_t failed;   /**< of them: nobody to connect to, or cut while they ran */
    uint64_t
        limited; /**< connections not taken for connections_max, or closed for those behind (these are failed, too) */
    uint64_t open;                /**< at the moment */
    uint64_t bytes_in, bytes_out; /**< plain bytes that came from, went to attested peers */
};
CCZ_API void ccz_tunnel_stats(struct ccz_tunnel_stats *out, const struct ccz_tunnel *t);

/** Closes the ports, lets open connections end for at most @p grace_ms (0 = not at all), cuts the rest. Blocks until all
 *  is over; a tunnel that is stopped stays so. */
CCZ_API void ccz_tunnel_stop(struct ccz_tunnel *t, int64_t grace_ms);
CCZ_API void ccz_tunnel_free(struct ccz_tunnel *t); /**< stops first, without grace; NULL is fine */
CCZ_DEFINE_AUTO(ccz_tunnel)

/* -------------------------------------------------------------------- PROXY protocol version 2 */

/**
 * TLVs that the header of `proxy_v2` carries besides the addresses of the attested connection (command PROXY; TCP over IPv4
 * or IPv6; over a unix socket the family is UNSPEC, without addresses). The range 0xE0 to 0xEF is for custom types.
 *
 * | type | value |
 * |---:|---|
 * | 0x20 PP2_TYPE_SSL | client 0x01 (TLS), 0x03 with a certificate; verify (be32) 0 if attested or pinned, else 1; sub-TLV 0x21 version "TLSv1.3" |
 * | 0xE0 CCZ_PP2_TYPE_STATUS | one byte: bit 0 attested, bit 1 fresh, bit 2 simulated |
 * | 0xE1 CCZ_PP2_TYPE_MEASUREMENT | MRENCLAVE, MRTD or SNP measurement as lower-case hex; only if attested |
 * | 0xE2 CCZ_PP2_TYPE_CLAIMS | claims as JSON (quote.h), UTF-8 without NUL; only if attested |
 * | 0xE3 CCZ_PP2_TYPE_SPKI | SHA-256 of the peer's public key, 32 bytes; only with a certificate |
 *
 * They say what was verified when the connection was made.
 * @source HAProxy, "The PROXY protocol", section 2.2
 */
enum {
    CCZ_PP2_TYPE_STATUS = 0xE0,
    CCZ_PP2_TYPE_MEASUREMENT = 0xE1,
    CCZ_PP2_TYPE_CLAIMS = 0xE2,
    CCZ_PP2_TYPE_SPKI = 0xE3
};
enum { CCZ_PP2_ATTESTED = 1, CCZ_PP2_FRESH = 2, CCZ_PP2_SIMULATED = 4 };

#ifdef __cplusplus
}
#endif
#endif
