/* SPDX-License-Identifier: Apache-2.0 */
#include "vfl.h"

#include "../../cli/ui.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL "vfl"
enum {
    CHANNELS_MAX =
        2 * CCZ_VFL_PARTIES_MAX /* who comes again may be there before its first channel is over */
};

/* What TensorFlow brings into the process belongs to the measurement. */
static ccz_rc open_attester(struct ccz_attester **out, const struct vfl_opts *o,
                            struct ccz_err *err)
{
    char framework[VFL_PATH_SIZE];
    const char *slash = strrchr(o->tensorflow, '/');
    if (!slash)
        return ccz_fail(err, CCZ_E_ARG, "vfl:tensorflow", 0,
                        "--tensorflow needs a path with a folder");
    int n = snprintf(framework, sizeof(framework), "%.*s/libtensorflow_framework.so.2",
                     (int)(slash - o->tensorflow), o->tensorflow);
    if (n < 0 || (size_t)n >= sizeof(framework))
        return ccz_fail(err, CCZ_E_LIMIT, "vfl:tensorflow", n, "path of TensorFlow is too long");
    const char *const libs[] = {framework,
                                o->tensorflow}; /* in the order in which they are loaded */
    const struct ccz_attester_cfg cfg = {
        .provider = o->tee, .sim_dir = o->sim_dir, .measure = libs, .measure_len = 2};
    if (access(o->tensorflow, R_OK) != 0)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_IO, "vfl:tensorflow", errno, "cannot read %s: %s",
                                 o->tensorflow, strerror(errno)),
                        "scripts/fetch-tensorflow gets the libraries and prints their folder");
    return ccz_attester_open(out, &cfg, err);
}

/* Which follower a name is, from 0; -1 = none that is expected. */
static int seat_of(const char *name, const struct vfl_opts *o)
{
    char text[32];
    for (int i = 0; i < (int)o->parties; i++) {
        (void)snprintf(text, sizeof(text), "follower-%d", i + 1);
        if (strcmp(name, text) == 0)
            return i;
    }
    return -1;
}

/* Asked before anything of theirs is kept. */
static ccz_rc allow_seat(void *arg, const char *channel, const char *party,
                         const struct ccz_ratls_peer *peer, struct ccz_err *err)
{
    (void)peer; /* appraised by the server's policy, if it has one */
    if (strcmp(channel, CHANNEL) == 0 && seat_of(party, arg) >= 0)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_DENIED, "vfl:name", 0, "no follower of this name is expected");
}

static ccz_rc start_server(struct vfl_links *l, const struct vfl_opts *o, struct ccz_err *err)
{
    char port[8];
    const struct ccz_rpc_server_cfg cfg = {.listen = o->listen, .ratls = ccz_party_ratls(l->party)};
    const struct ccz_rpc_chan_server_cfg chans = {
        .channels_max = CHANNELS_MAX, .allow = allow_seat, .allow_arg = (void *)(uintptr_t)o};
    ccz_rc rc = ccz_rpc_server_new(&l->server, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_server_new(&l->offers, l->server, &chans, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(l->server, err);
    if (rc != CCZ_OK || !o->port_file)
        return rc;
    (void)snprintf(port, sizeof(port), "%u\n", ccz_rpc_server_port(l->server));
    return ccz_file_write(o->port_file, ccz_span_str(port), 0644, CCZ_FILE_REPLACE, err);
}

ccz_rc vfl_links_open(struct vfl_links *l, const struct vfl_opts *o, struct ccz_err *err)
{
    ccz_rc rc = o->tee ? open_attester(&l->attester, o, err) : CCZ_OK;
    const char *policy = o->leader ? o->client_policy : o->policy;
    const struct ccz_party_cfg cfg = {.attester = l->attester,
                                      .collateral_dir = o->collateral,
                                      .trust_sim_dir = o->trust_sim,
                                      .policy_file = policy,
                                      .server = o->leader,
                                      .peer_evidence_optional = !policy};
    if (rc == CCZ_OK)
        rc = ccz_party_new(&l->party, &cfg, err);
    if (rc == CCZ_OK && o->leader)
        rc = start_server(l, o, err);
    if (rc == CCZ_OK && ccz_party_simulated(l->party))
        ui_simulated("evidence comes from a software TEE");
    return rc;
}

/* Its evidence is judged before anything is sent. */
static ccz_rc connect_to_leader(struct vfl_links *l, const struct vfl_opts *o, struct ccz_err *err)
{
    const struct ccz_rpc_client_cfg c = {.target = o->connect, .ratls = ccz_party_ratls(l->party)};
    const struct ccz_rpc_chan_cfg chan = {.channel = CHANNEL, .party = o->name};
    ccz_rc rc = ccz_rpc_client_new(&l->client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, l->client, err);
    return rc == CCZ_OK ? ccz_rpc_chan_connect(&l->chan[0], l->client, &chan, err) : rc;
}

/* Fills all seats. Who comes again while others are awaited has given up its first channel: the newest counts. */
static ccz_rc accept_all(struct vfl_links *l, const struct vfl_opts *o, int64_t timeout_ms,
                         struct ccz_err *err)
{
    int64_t end_ms = ccz_mono_ms() + timeout_ms;
    for (size_t taken = 0; taken < (size_t)o->parties;) {
        struct ccz_chan *c;
        int64_t left_ms = end_ms - ccz_mono_ms();
        ccz_rc rc =
            ccz_rpc_chan_accept(&c, l->offers, CHANNEL, NULL, left_ms > 0 ? left_ms : 0, err);
        if (rc != CCZ_OK)
            return rc;
        int seat = seat_of(ccz_rpc_chan_party(c), o); /* there is one, or it would not be here */
        taken += l->chan[seat] == NULL;
        ccz_chan_free(l->chan[seat]);
        l->chan[seat] = c;
    }
    return CCZ_OK;
}

static void drop_channels(struct vfl_links *l)
{
    for (size_t i = 0; i < CCZ_VFL_PARTIES_MAX; i++) {
        ccz_chan_free(l->chan[i]);
        l->chan[i] = NULL;
    }
    ccz_rpc_client_free(l->client);
    l->client = NULL;
}

ccz_rc vfl_links_join(struct vfl_links *l, const struct vfl_opts *o, int64_t timeout_ms,
                      struct ccz_err *err)
{
    drop_channels(l);
    l->len = o->leader ? (size_t)o->parties : 1;
    ccz_rc rc = o->leader ? accept_all(l, o, timeout_ms, err) : connect_to_leader(l, o, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++)
        ccz_chan_set_timeout(l->chan[i], o->timeout_s * 1000);
    return rc;
}

void vfl_links_close(struct vfl_links *l)
{
    drop_channels(l);
    if (l->offers)
        ccz_rpc_chan_server_stop(l->offers);
    if (l->server)
        ccz_rpc_server_stop(l->server, 1000);
    ccz_rpc_server_free(l->server);
    ccz_rpc_chan_server_free(l->offers);
    ccz_party_free(l->party);
    ccz_attester_free(l->attester);
}
