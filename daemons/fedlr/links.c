/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <stdio.h>
#include <string.h>

#define CHANNEL "fedlr"
enum {
    CHANNELS_MAX =
        2 * FEDLR_LINKS_MAX, /* who comes again may be there before its first channel is over */
    SMALL_MESSAGE_MAX =
        16 << 20 /* of an aggregator or arbiter: a ciphertext for each column at most */
};

static bool is(const struct fedlr_opts *o, const char *role)
{
    return strcmp(o->role, role) == 0;
}

static ccz_rc open_party(struct ccz_party **out, const struct fedlr_links *l,
                         const struct fedlr_opts *o, bool server, struct ccz_err *err)
{
    const char *policy = server ? o->client_policy : o->policy;
    const struct ccz_party_cfg cfg = {.attester = l->attester,
                                      .collateral_dir = o->collateral,
                                      .trust_sim_dir = o->trust_sim,
                                      .policy_file = policy,
                                      .server = server,
                                      .peer_evidence_optional = !policy};
    return ccz_party_new(out, &cfg, err);
}

/* Where a party of that name sits: guest (arbiter only), then numbered ones, then the arbiter; -1 = nowhere. */
static int seat_of(const char *party, const struct fedlr_opts *o)
{
    bool guest = is(o, "arbiter"), workers = is(o, "aggregator");
    char name[32];
    if (guest && strcmp(party, "guest") == 0)
        return 0;
    for (uint32_t i = 0; i < o->cfg.parties; i++) {
        (void)snprintf(name, sizeof(name), "%s-%u", workers ? "worker" : "host", i + 1);
        if (strcmp(party, name) == 0)
            return (int)i + guest;
    }
    if (workers && o->cfg.mode == CCZ_FEDLR_ENCRYPTED_MODEL && strcmp(party, "arbiter") == 0)
        return (int)o->cfg.parties;
    return -1;
}

/* Asked before anything of theirs is kept: a stranger costs no channel, and no time when all seats are to be filled. */
static ccz_rc allow_seat(void *arg, const char *channel, const char *party,
                         const struct ccz_ratls_peer *peer, struct ccz_err *err)
{
    (void)peer; /* appraised by the server's policy, if it has one */
    if (strcmp(channel, CHANNEL) == 0 && seat_of(party, arg) >= 0)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_DENIED, "fedlr:name", 0, "no party of this name is expected");
}

static ccz_rc start_server(struct fedlr_links *l, const struct fedlr_opts *o, struct ccz_err *err)
{
    char port[8];
    ccz_rc rc = open_party(&l->server_party, l, o, true, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg cfg = {.listen = o->listen,
                                           .ratls = ccz_party_ratls(l->server_party)};
    const struct ccz_rpc_chan_server_cfg chans = {
        .limits = {.message_size_max = is(o, "guest") ? 0 : SMALL_MESSAGE_MAX},
        .channels_max = CHANNELS_MAX,
        .allow = allow_seat,
        .allow_arg = (void *)(uintptr_t)o};
    rc = ccz_rpc_server_new(&l->server, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_server_new(&l->offers, l->server, &chans, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(l->server, err);
    if (rc != CCZ_OK || !o->port_file)
        return rc;
    (void)snprintf(port, sizeof(port), "%u\n", ccz_rpc_server_port(l->server));
    return ccz_file_write(o->port_file, ccz_span_str(port), 0644, CCZ_FILE_REPLACE, err);
}

ccz_rc fedlr_links_open(struct fedlr_links *l, const struct fedlr_opts *o, struct ccz_err *err)
{
    const struct ccz_attester_cfg tee = {.provider = o->tee, .sim_dir = o->sim_dir};
    ccz_rc rc = o->tee ? ccz_attester_open(&l->attester, &tee, err) : CCZ_OK;
    if (rc == CCZ_OK && o->listen)
        rc = start_server(l, o, err);
    if (rc == CCZ_OK && (o->aggregator || o->arbiter || o->guest))
        rc = open_party(&l->client_party, l, o, false, err);
    if (rc == CCZ_OK && ((l->server_party && ccz_party_simulated(l->server_party)) ||
                         (l->client_party && ccz_party_simulated(l->client_party))))
        ui_simulated("evidence comes from a software TEE");
    return rc;
}

/* Their evidence is judged before anything is sent. */
static ccz_rc connect_to(struct ccz_chan **out, struct fedlr_links *l, size_t which,
                         const char *target, const char *name, struct ccz_err *err)
{
    const struct ccz_rpc_client_cfg c = {.target = target,
                                         .ratls = ccz_party_ratls(l->client_party)};
    const struct ccz_rpc_chan_cfg chan = {.channel = CHANNEL, .party = name};
    ccz_rc rc = ccz_rpc_client_new(&l->client[which], &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, l->client[which], err);
    return rc == CCZ_OK ? ccz_rpc_chan_connect(out, l->client[which], &chan, err) : rc;
}

/* Fills all seats. Who comes again while others are awaited has given up its first channel: the newest counts. */
static ccz_rc accept_all(struct fedlr_links *l, const struct fedlr_opts *o, size_t seats,
                         int64_t timeout_ms, struct ccz_err *err)
{
    int64_t end_ms = ccz_mono_ms() + timeout_ms;
    for (size_t taken = 0; taken < seats;) {
        struct ccz_chan *c;
        int64_t left_ms = end_ms - ccz_mono_ms();
        ccz_rc rc =
            ccz_rpc_chan_accept(&c, l->offers, CHANNEL, NULL, left_ms > 0 ? left_ms : 0, err);
        if (rc != CCZ_OK)
            return rc;
        int seat =
            seat_of(ccz_rpc_chan_party(c), o); /* there is one, or it would not have been let in */
        taken += l->chan[seat] == NULL;
        ccz_chan_free(l->chan[seat]);
        l->chan[seat] = c;
    }
    return CCZ_OK;
}

static void drop_channels(struct fedlr_links *l)
{
    for (size_t i = 0; i < FEDLR_LINKS_MAX; i++) {
        ccz_chan_free(l->chan[i]);
        l->chan[i] = NULL;
    }
    for (size_t i = 0; i < 2; i++) {
        ccz_rpc_client_free(l->client[i]);
        l->client[i] = NULL;
    }
    l->len = 0;
    l->arbiter = false;
}

ccz_rc fedlr_links_join(struct fedlr_links *l, const struct fedlr_opts *o, int64_t timeout_ms,
                        struct ccz_err *err)
{
    enum ccz_fedlr_mode mode = o->cfg.mode;
    ccz_rc rc = CCZ_OK;
    drop_channels(l);
    if (l->offers) {
        bool third = is(o, "arbiter") || (is(o, "aggregator") && mode == CCZ_FEDLR_ENCRYPTED_MODEL);
        size_t seats = (size_t)o->cfg.parties + third;
        rc = accept_all(l, o, seats, timeout_ms, err);
        l->arbiter = is(o, "aggregator") && third;
        l->len = seats - l->arbiter;
    } else {
        const char *name = is(o, "arbiter") ? "arbiter" : is(o, "worker") ? "worker-1" : "host-1";
        rc = connect_to(&l->chan[0], l, 0, is(o, "host") ? o->guest : o->aggregator,
                        o->name ? o->name : name, err);
        l->len = 1;
    }
    if (rc == CCZ_OK && mode == CCZ_FEDLR_HETERO && (is(o, "guest") || is(o, "host"))) {
        const char *name = is(o, "guest") ? "guest" : o->name ? o->name : "host-1";
        rc = connect_to(&l->chan[l->len], l, 1, o->arbiter, name, err);
        l->arbiter = rc == CCZ_OK;
    }
    return rc;
}

void fedlr_links_close(struct fedlr_links *l)
{
    drop_channels(l);
    if (l->offers)
        ccz_rpc_chan_server_stop(l->offers);
    if (l->server)
        ccz_rpc_server_stop(l->server, 1000);
    ccz_rpc_server_free(l->server);
    ccz_rpc_chan_server_free(l->offers);
    ccz_party_free(l->server_party);
    ccz_party_free(l->client_party);
    ccz_attester_free(l->attester);
}
