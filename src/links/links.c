/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/links.h>

#include "base/condwait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS_MIN = 64, CLIENTS_MAX = 8, STOP_MS = 1000 };

struct ccz_links {
    struct ccz_links_cfg cfg; /* strings are copies where they are needed later */
    char *channel;
    struct ccz_attester *attester; /* own, or NULL */
    struct ccz_party *listens, *connects;
    struct ccz_rpc_server *server;
    struct ccz_rpc_chan_server *offers;
    struct ccz_rpc_client *client[CLIENTS_MAX];
    size_t clients;
};

/* ------------------------------------------------------------------------------------ opening */

static ccz_rc open_party(struct ccz_party **out, const struct ccz_links *l, const char *policy,
                         bool server, struct ccz_err *err)
{
    struct ccz_party_cfg cfg = l->cfg.party;
    cfg.tee = (struct ccz_attester_cfg){0};
    cfg.attester = l->attester ? l->attester : l->cfg.party.attester;
    cfg.policy_file = policy;
    cfg.server = server;
    cfg.peer_evidence_optional = !policy;
    return ccz_party_new(out, &cfg, err);
}

/* Asked before anything of theirs is kept: a stranger costs no channel, and no time when all seats are to be filled. */
static ccz_rc allow(void *arg, const char *channel, const char *party,
                    const struct ccz_ratls_peer *peer, struct ccz_err *err)
{
    const struct ccz_links *l = arg;
    (void)peer; /* appraised by the party's policy, if it has one */
    if (strcmp(channel, l->channel) != 0)
        return ccz_fail(err, CCZ_E_DENIED, "links:channel", 0, "no channel of this name");
    if (l->cfg.seat_of && l->cfg.seat_of(l->cfg.arg, party) < 0)
        return ccz_fail(err, CCZ_E_DENIED, "links:name", 0, "no party of this name is expected");
    return CCZ_OK;
}

static ccz_rc start_server(struct ccz_links *l, struct ccz_err *err)
{
    char port[8];
    const struct ccz_rpc_server_cfg rpc = {.listen = l->cfg.listen,
                                           .ratls = ccz_party_ratls(l->listens)};
    /* who comes again may be there before its first channel is over */
    unsigned channels = 2 * l->cfg.seats > CHANNELS_MIN ? 2 * l->cfg.seats : CHANNELS_MIN;
    const struct ccz_rpc_chan_server_cfg chans = {
        .limits = l->cfg.limits, .channels_max = channels, .allow = allow, .allow_arg = l};
    ccz_rc rc = ccz_rpc_server_new(&l->server, &rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_server_new(&l->offers, l->server, &chans, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(l->server, err);
    if (rc != CCZ_OK || !l->cfg.port_file)
        return rc;
    (void)snprintf(port, sizeof(port), "%u\n", ccz_rpc_server_port(l->server));
    return ccz_file_write(l->cfg.port_file, ccz_span_str(port), 0644, CCZ_FILE_REPLACE, err);
}

static const char *flaw(const struct ccz_links_cfg *c)
{
    const struct ccz_party_cfg *p = &c->party;
    if (!c->channel)
        return "channels need a name";
    if (!c->listen && !c->connects)
        return "neither listens nor connects";
    if (c->listen && (c->seats < 1 || c->seats > CCZ_LINKS_SEATS_MAX))
        return "who listens has 1 to 1024 seats";
    if (p->policy_file || p->server || p->peer_evidence_optional || p->genuine_only)
        return "policies are those of the two directions";
    if ((!c->listen && c->listen_policy) || (!c->connects && c->connect_policy))
        return "a policy for a direction that there is not";
    return NULL;
}

ccz_rc ccz_links_new(struct ccz_links **out, const struct ccz_links_cfg *cfg, struct ccz_err *err)
{
    const char *what = flaw(cfg);
    *out = NULL;
    if (what)
        return ccz_fail(err, CCZ_E_ARG, "links:config", 0, "%s", what);
    CCZ_AUTO(ccz_links) l = calloc(1, sizeof(*l));
    if (!l || !(l->channel = strdup(cfg->channel)))
        return ccz_fail(err, CCZ_E_NOMEM, "links:memory", 0, "out of memory");
    l->cfg = *cfg;
    ccz_rc rc =
        cfg->party.tee.provider ? ccz_attester_open(&l->attester, &cfg->party.tee, err) : CCZ_OK;
    if (rc == CCZ_OK && cfg->connects)
        rc = open_party(&l->connects, l, cfg->connect_policy, false, err);
    if (rc == CCZ_OK && cfg->listen)
        rc = open_party(&l->listens, l, cfg->listen_policy, true, err);
    if (rc == CCZ_OK && cfg->listen)
        rc = start_server(l, err);
    if (rc == CCZ_OK)
        *out = ccz_links_take(&l);
    return rc;
}

void ccz_links_disconnect(struct ccz_links *l)
{
    while (l->clients > 0)
        ccz_rpc_client_free(l->client[--l->clients]);
}

void ccz_links_free(struct ccz_links *l)
{
    if (!l)
        return;
    ccz_links_disconnect(l);
    if (l->offers)
        ccz_rpc_chan_server_stop(l->offers);
    if (l->server)
        ccz_rpc_server_stop(l->server, STOP_MS);
    ccz_rpc_server_free(l->server);
    ccz_rpc_chan_server_free(l->offers);
    ccz_party_free(l->listens);
    ccz_party_free(l->connects);
    ccz_attester_free(l->attester);
    free(l->channel);
    free(l);
}

bool ccz_links_simulated(const struct ccz_links *l)
{
    return (l->listens && ccz_party_simulated(l->listens)) ||
           (l->connects && ccz_party_simulated(l->connects));
}

uint16_t ccz_links_port(const struct ccz_links *l)
{
    return l->server ? ccz_rpc_server_port(l->server) : 0;
}

/* ----------------------------------------------------------------------------------- channels */

/* The seat of the party at the other end of @p c: its own, or by arrival the one of that name or the first that is free. */
static size_t seat_for(struct ccz_chan *const *chan, const struct ccz_links *l,
                       const struct ccz_chan *c)
{
    const char *party = ccz_rpc_chan_party(c);
    if (l->cfg.seat_of) /* it was let in, so that it has one */
        return (size_t)l->cfg.seat_of(l->cfg.arg, party);
    size_t at = 0;
    while (at < l->cfg.seats && chan[at] && strcmp(ccz_rpc_chan_party(chan[at]), party) != 0)
        at++;
    return at;
}

ccz_rc ccz_links_accept(struct ccz_chan **chan, struct ccz_links *l, int64_t timeout_ms,
                        struct ccz_err *err)
{
    int64_t end_ms = cczi_deadline_ms(timeout_ms);
    size_t taken = 0;
    for (size_t i = 0; i < l->cfg.seats; i++)
        taken += chan[i] != NULL;
    while (taken < l->cfg.seats) {
        struct ccz_chan *c;
        int64_t left_ms = end_ms - ccz_mono_ms();
        ccz_rc rc =
            ccz_rpc_chan_accept(&c, l->offers, l->channel, NULL, left_ms > 0 ? left_ms : 0, err);
        if (rc != CCZ_OK)
            return rc;
        size_t seat = seat_for(chan, l, c); /* below `seats`: one is free */
        taken += chan[seat] == NULL;
        ccz_chan_free(chan[seat]);
        chan[seat] = c;
    }
    return CCZ_OK;
}

ccz_rc ccz_links_connect(struct ccz_chan **out, struct ccz_links *l, const char *target,
                         const char *party, struct ccz_err *err)
{
    const struct ccz_rpc_chan_cfg chan = {
        .channel = l->channel, .party = party, .limits = l->cfg.limits};
    *out = NULL;
    if (!l->connects || l->clients == CLIENTS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "links:config", (int64_t)l->clients,
                        "does not connect, or has 8 connections already");
    const struct ccz_rpc_client_cfg rpc = {.target = target, .ratls = ccz_party_ratls(l->connects)};
    struct ccz_rpc_client *client;
    ccz_rc rc = ccz_rpc_client_new(&client, &rpc, err);
    if (rc != CCZ_OK)
        return rc;
    l->client[l->clients++] = client;
    rc = ccz_rpc_client_connect(NULL, client, err);
    return rc == CCZ_OK ? ccz_rpc_chan_connect(out, client, &chan, err) : rc;
}
