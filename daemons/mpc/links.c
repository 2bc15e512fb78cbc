/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of a party: to the other one, and to a dealer if there is one. Both ends of each ask for evidence. */
#include "daemon.h"

#include <stdlib.h>
#include <string.h>

static int seat_of(void *arg, const char *party)
{
    (void)arg;
    return strcmp(party, MPC_PARTY_1) == 0 ? 0 : -1;
}

static ccz_rc open_peer(struct mpc_links *l, const struct mpc_net *n, struct ccz_err *err)
{
    const struct mpc_evidence *e = &n->evidence;
    const struct ccz_links_cfg cfg = {.channel = MPC_CHANNEL,
                                      .party = {.attester = l->attester,
                                                .collateral_dir = e->collateral,
                                                .trust_sim_dir = e->trust_sim},
                                      .listen = n->listen,
                                      .port_file = n->port_file,
                                      .listen_policy = n->listen ? e->policy : NULL,
                                      .connects = n->connect != NULL,
                                      .connect_policy = n->connect ? e->policy : NULL,
                                      .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX},
                                      .seats = n->listen ? 1 : 0,
                                      .seat_of = seat_of};
    return ccz_links_new(&l->peer_links, &cfg, err);
}

static ccz_rc open_dealer(struct mpc_links *l, const struct mpc_net *n, struct ccz_err *err)
{
    const struct mpc_evidence *e = &n->evidence;
    const struct ccz_links_cfg cfg = {.channel = MPC_DEALER_CHANNEL,
                                      .party = {.attester = l->attester,
                                                .collateral_dir = e->collateral,
                                                .trust_sim_dir = e->trust_sim},
                                      .connects = true,
                                      .connect_policy = n->dealer_policy,
                                      .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX}};
    return ccz_links_new(&l->dealer_links, &cfg, err);
}

ccz_rc mpc_links_open(struct mpc_links *l, const struct mpc_net *n, struct ccz_err *err)
{
    const struct ccz_attester_cfg own = {.provider = n->evidence.tee,
                                         .sim_dir = n->evidence.sim_dir};
    ccz_rc rc = own.provider ? ccz_attester_open(&l->attester, &own, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = open_peer(l, n, err);
    if (rc == CCZ_OK && n->dealer)
        rc = open_dealer(l, n, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_links_simulated(l->peer_links))
        ui_simulated("evidence comes from a software TEE");
    if (!n->evidence.policy)
        ui_say("INSECURE: the other party is asked for no evidence");
    if (n->dealer && !n->dealer_policy)
        ui_say("INSECURE: the dealer, which knows all masks, is asked for no evidence");
    return rc;
}

ccz_rc mpc_links_join(struct mpc_links *l, const struct mpc_net *n, struct ccz_err *err)
{
    int64_t timeout_ms = 1000 * n->timeout_s;
    ccz_rc rc = n->listen
                    ? ccz_links_accept(&l->peer, l->peer_links, timeout_ms, err)
                    : ccz_links_connect(&l->peer, l->peer_links, n->connect, MPC_PARTY_1, err);
    if (rc == CCZ_OK)
        ccz_chan_set_timeout(l->peer, timeout_ms);
    if (rc == CCZ_OK && n->dealer) {
        rc = ccz_links_connect(&l->dealer, l->dealer_links, n->dealer,
                               n->listen ? MPC_PARTY_0 : MPC_PARTY_1, err);
        if (rc == CCZ_OK)
            ccz_chan_set_timeout(l->dealer, timeout_ms);
        else
            mpc_links_give_up(l, err); /* it shall not wait for a dealer that is none */
    }
    return rc;
}

void mpc_links_give_up(struct mpc_links *l, const struct ccz_err *err)
{
    ccz_chan_close_error(l->peer, err);
}

void mpc_links_close(struct mpc_links *l)
{
    ccz_chan_free(l->dealer);
    ccz_chan_free(l->peer);
    ccz_links_free(l->dealer_links);
    ccz_links_free(l->peer_links);
    ccz_attester_free(l->attester);
    *l = (struct mpc_links){0};
}
