/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RPC_CHAN_H
#define CCZ_RPC_CHAN_H
/**
 * @file rpc_chan.h
 * Channels (chan.h) over gRPC inside RA-TLS: one bidirectional call of "/cczoo.Channel/Open" (proto/channel.proto) per
 * channel. A server offers any number of channels, told apart by a name and by the name of the party that opens them;
 * both travel as metadata, "ccz-channel" and "ccz-party".
 *
 * Who the peer is: RA-TLS appraised its evidence before the first byte, as the context of server or client says. A party
 * that needs none (a data owner outside a TEE) is let in by peer_evidence_optional there; ccz_rpc_chan_peer() then says
 * attested = false, and it is for `allow` or the application to judge. The party name is the peer's own claim: bind it
 * to the peer's claims or key in `allow` where that matters.
 *
 * Messages are cut into frames of at most 256 KiB. Frames are taken off the network without the receiving thread until a
 * whole message waits and more than queue_size_max bytes with it; then the peer's flow-control window closes and its
 * sends wait. So a peer can make this side hold message_size_max + queue_size_max bytes per channel and a little. Limits
 * of time count from the last progress: a message that takes minutes on a slow line does not fail while it moves.
 *
 * End: what was sent before ccz_chan_close() arrives, then the peer sees the reason. ccz_chan_free() waits for that, at
 * most linger_ms. A peer that dies, a lost connection, a refused renewal of evidence or the end of server or client
 * end the channel with CCZ_E_CLOSED, "chan:closed", whose message holds the reason and whose aux the rc behind it.
 * A protocol should end with an acknowledgement, as over any network.
 *
 * Threads: as chan.h; nothing here may be called on a loop's thread (from gRPC handlers). Channels may outlive client and
 * server, closed.
 */
#include <cczoo/chan.h>
#include <cczoo/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Names of channels and parties: 1 to 64 of [A-Za-z0-9._-]. */
#define CCZ_RPC_CHAN_NAME_SIZE        65
#define CCZ_RPC_CHAN_MESSAGE_SIZE_MAX ((size_t)64 << 20) /**< default limit of one message */

struct ccz_rpc_chan_limits {
    size_t
        message_size_max; /**< sent or received; 0 = CCZ_RPC_CHAN_MESSAGE_SIZE_MAX. The same on both sides */
    size_t queue_size_max; /**< 0 = CCZ_CHAN_QUEUE_SIZE */
    size_t
        send_size_max; /**< bytes that wait here for a slow peer before senders do; 0 = CCZ_RPC_PENDING_HIGH, which is the most */
    int64_t linger_ms; /**< how long ccz_chan_free() waits for the rest to leave; 0 = 5 s */
};

/* -------------------------------------------------------------------------------- server */

struct ccz_rpc_chan_server;
struct ccz_rpc_chan_server_cfg {
    struct ccz_rpc_chan_limits limits;
    unsigned channels_max; /**< open at a time, accepted or waiting for it; 0 = 64 */
    /**
     * Asked on the server's loop for each channel that a peer opens; must not block. Anything but CCZ_OK refuses it with
     * *err, which reaches the peer in full. NULL = every appraised peer and name.
     */
    ccz_rc (*allow)(void *arg, const char *channel, const char *party,
                    const struct ccz_ratls_peer *peer, struct ccz_err *err);
    void *allow_arg;
};
/** Adds the method to @p s, which is not started yet. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_chan_server_new(struct ccz_rpc_chan_server **out,
                                                    struct ccz_rpc_server *s,
                                                    const struct ccz_rpc_chan_server_cfg *cfg,
                                                    struct ccz_err *err);
/**
 * The oldest channel that waits under that name; NULL = any name, any party. One that broke before it was accepted is
 * skipped.
 * @retval CCZ_E_TIMEOUT  nobody came, "rpc-chan:accept-timeout"
 * @retval CCZ_E_CLOSED   ccz_rpc_chan_server_stop() was called, "rpc-chan:stopped"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_chan_accept(struct ccz_chan **out,
                                                struct ccz_rpc_chan_server *s, const char *channel,
                                                const char *party, int64_t timeout_ms,
                                                struct ccz_err *err);
/** Takes no more channels, closes those that wait, wakes ccz_rpc_chan_accept(). */
CCZ_API void ccz_rpc_chan_server_stop(struct ccz_rpc_chan_server *s);
/** After ccz_rpc_server_free(): handlers use it. */
CCZ_API void ccz_rpc_chan_server_free(struct ccz_rpc_chan_server *s);
CCZ_DEFINE_AUTO(ccz_rpc_chan_server)

/* -------------------------------------------------------------------------------- client */

struct ccz_rpc_chan_cfg {
    const char *channel; /**< which one; NULL = "default" */
    const char *party;   /**< own name; NULL = "client" */
    struct ccz_rpc_chan_limits limits;
    int64_t open_timeout_ms; /**< until the server opened it; 0 = 30 s */
    int64_t
        lifetime_ms; /**< the channel's end whatever happens (the call's deadline); 0 = 7 days, INT64_MAX = none */
    /** Wait for a server that is not there yet, up to open_timeout_ms. Refusals by appraisal count as not there, too, if
     *  the client reconnects: call ccz_rpc_client_connect() first to see them. */
    bool wait_for_ready;
};
/**
 * Opens a channel; returns once the server let it in.
 * @retval CCZ_E_ARG      malformed names, "rpc-chan:name"
 * @retval CCZ_E_TIMEOUT  "rpc-chan:open-timeout"
 * @retval CCZ_E_LIMIT    the server has channels_max open, "rpc-chan:channels"
 * @retval others         of the connection, of RA-TLS, and of the server's `allow`
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_chan_connect(struct ccz_chan **out, struct ccz_rpc_client *c,
                                                 const struct ccz_rpc_chan_cfg *cfg,
                                                 struct ccz_err *err);

/* ---------------------------------------------------------------------------------- both */

/** What RA-TLS knows of the other side, as of the opening; NULL if @p c is no channel of this kind. */
CCZ_API const struct ccz_ratls_peer *ccz_rpc_chan_peer(const struct ccz_chan *c);
/** The channel's name, and that of the party that opened it; NULL as above. */
CCZ_API const char *ccz_rpc_chan_channel(const struct ccz_chan *c);
CCZ_API const char *ccz_rpc_chan_party(const struct ccz_chan *c);

#ifdef __cplusplus
}
#endif
#endif
