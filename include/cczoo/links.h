/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_LINKS_H
#define CCZ_LINKS_H
/**
 * @file links.h
 * The channels of one program to the others of its protocol, each inside RA-TLS: some programs listen and have a seat for
 * every party that they expect, others connect, some do both. What every program of the kind would otherwise wire by hand.
 *
 * Who comes and goes: a party names itself; the newest channel of a name counts, as who comes again while others are awaited
 * has given up its first one. What the peer's evidence must satisfy is the policy of that direction; without a policy it is not
 * asked for evidence, and its name is just a claim.
 *
 * Ownership: channels belong to the caller; they are freed before the links are. Threads: one.
 */
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_LINKS_SEATS_MAX 1024

struct ccz_links_cfg {
    const char *channel; /**< name of the channels, the same on both sides; required */
    /**
     * Own evidence and what is trusted, as for ccz_party_new(); `attester` is borrowed. Policies, `server` and
     * `peer_evidence_optional` are set by the fields below and must be zero here.
     */
    struct ccz_party_cfg party;
    const char *listen;        /**< address; NULL = does not listen */
    const char *port_file;     /**< the port is written here once it is open; NULL = nowhere */
    const char *listen_policy; /**< for who connects; NULL = no evidence is asked for */
    bool connects;
    const char *connect_policy; /**< for whom this program connects to; NULL = likewise */
    struct ccz_rpc_chan_limits limits;
    unsigned seats; /**< of parties that connect; 1 .. CCZ_LINKS_SEATS_MAX with `listen` */
    /** Seat of a party of that name, below `seats`; < 0: nobody of this name is expected. NULL: any names, seats by arrival. */
    int (*seat_of)(void *arg, const char *party);
    void *arg;
};

struct ccz_links;
/**
 * Makes evidence and parties, and listens if it is to.
 * @retval CCZ_E_ARG  "links:config"
 * @retval others     of ccz_attester_open(), ccz_party_new(), ccz_rpc_server_new() and of writing the port file
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_links_new(struct ccz_links **out, const struct ccz_links_cfg *cfg,
                                          struct ccz_err *err);
/** Stops listening; what was sent still leaves, at most some seconds. */
CCZ_API void ccz_links_free(struct ccz_links *l);
CCZ_DEFINE_AUTO(ccz_links)
/** True if evidence of either side comes from a software TEE: say SIMULATED. */
CCZ_API bool ccz_links_simulated(const struct ccz_links *l);
/** 0: does not listen. */
CCZ_API uint16_t ccz_links_port(const struct ccz_links *l);
/**
 * Waits until all seats are taken.
 * @param[in,out] chan  `seats` of them, each NULL or the channel of before, which a newer one replaces (and frees)
 * @retval CCZ_E_TIMEOUT, CCZ_E_CLOSED  as ccz_rpc_chan_accept(); the seats that were taken stay so
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_links_accept(struct ccz_chan **chan, struct ccz_links *l,
                                             int64_t timeout_ms, struct ccz_err *err);
/**
 * Its evidence is judged before anything is sent.
 * @param party  own name there
 * @retval CCZ_E_DENIED  "links:name", "links:channel": the other side expects nobody of that name
 * @retval others        of connecting and of ccz_rpc_chan_connect()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_links_connect(struct ccz_chan **out, struct ccz_links *l,
                                              const char *target, const char *party,
                                              struct ccz_err *err);
/** Ends the connections that were made by ccz_links_connect(), and with them their channels. */
CCZ_API void ccz_links_disconnect(struct ccz_links *l);

#ifdef __cplusplus
}
#endif
#endif
