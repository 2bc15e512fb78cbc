/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    SMALL_MESSAGE_MAX =
        16 << 20 /* of an aggregator or arbiter: a ciphertext for each column at most */
};

static bool is(const struct fedlr_opts *o, const char *role)
{
    return strcmp(o->role, role) == 0;
}

/* Where a party of that name sits: guest (arbiter only), then numbered ones, then the arbiter; -1 = nowhere. */
static int seat_of(void *arg, const char *party)
{
    const struct fedlr_opts *o = arg;
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

/* Workers and an aggregator's arbiter, guest and hosts, hosts: who connects to a role that listens. */
static size_t seats_of(const struct fedlr_opts *o)
{
    bool third =
        is(o, "arbiter") || (is(o, "aggregator") && o->cfg.mode == CCZ_FEDLR_ENCRYPTED_MODEL);
    return (size_t)o->cfg.parties + third;
}

ccz_rc fedlr_links_open(struct fedlr_links *l, const struct fedlr_opts *o, struct ccz_err *err)
{
    bool connects = o->aggregator || o->arbiter || o->guest;
    const struct ccz_links_cfg cfg = {
        .channel = "fedlr",
        .party = {.tee = {.provider = o->tee, .sim_dir = o->sim_dir},
                  .collateral_dir = o->collateral,
                  .trust_sim_dir = o->trust_sim},
        .listen = o->listen,
        .port_file = o->port_file,
        .listen_policy = o->listen ? o->client_policy : NULL,
        .connects = connects,
        .connect_policy = connects ? o->policy : NULL,
        .limits = {.message_size_max =
                       is(o, "aggregator") || is(o, "arbiter") ? SMALL_MESSAGE_MAX : 0},
        .seats = (unsigned)seats_of(o),
        .seat_of = seat_of,
        .arg = (void *)(uintptr_t)o};
    ccz_rc rc = ccz_links_new(&l->links, &cfg, err);
    if (rc == CCZ_OK && ccz_links_simulated(l->links))
        ui_simulated("evidence comes from a software TEE");
    return rc;
}

static void drop_channels(struct fedlr_links *l)
{
    for (size_t i = 0; i < FEDLR_LINKS_MAX; i++) {
        ccz_chan_free(l->chan[i]);
        l->chan[i] = NULL;
    }
    if (l->links)
        ccz_links_disconnect(l->links);
    l->len = 0;
    l->arbiter = false;
}

ccz_rc fedlr_links_join(struct fedlr_links *l, const struct fedlr_opts *o, int64_t timeout_ms,
                        struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    drop_channels(l);
    if (o->listen) {
        size_t seats = seats_of(o);
        rc = ccz_links_accept(l->chan, l->links, timeout_ms, err);
        l->arbiter = is(o, "aggregator") && seats > o->cfg.parties;
        l->len = seats - l->arbiter;
    } else {
        const char *name = is(o, "arbiter") ? "arbiter" : is(o, "worker") ? "worker-1" : "host-1";
        rc = ccz_links_connect(&l->chan[0], l->links, is(o, "host") ? o->guest : o->aggregator,
                               o->name ? o->name : name, err);
        l->len = 1;
    }
    if (rc == CCZ_OK && o->cfg.mode == CCZ_FEDLR_HETERO && (is(o, "guest") || is(o, "host"))) {
        const char *name = is(o, "guest") ? "guest" : o->name ? o->name : "host-1";
        rc = ccz_links_connect(&l->chan[l->len], l->links, o->arbiter, name, err);
        l->arbiter = rc == CCZ_OK;
    }
    return rc;
}

bool fedlr_peer_lost(ccz_rc rc)
{
    return rc == CCZ_E_CLOSED || rc == CCZ_E_TIMEOUT || rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_IO;
}

ccz_rc fedlr_attempts(struct fedlr_links *l, const struct fedlr_opts *o, bool complete,
                      int64_t *progress_ms, ccz_rc (*work)(void *arg, struct ccz_err *err),
                      void *arg, struct ccz_err *err)
{
    static const struct timespec pause = {.tv_nsec = 200000000};
    const int64_t timeout_ms = o->timeout_s * 1000;
    int64_t wait_ms = timeout_ms, left_ms = o->retry_s * 1000;
    if (complete && left_ms > 0 && left_ms < timeout_ms)
        wait_ms = left_ms;
    for (*progress_ms = ccz_mono_ms();;) {
        *err = (struct ccz_err){0};
        ccz_rc rc = fedlr_links_join(l, o, wait_ms, err);
        if (rc == CCZ_OK)
            rc = work(arg, err);
        left_ms = *progress_ms + o->retry_s * 1000 - ccz_mono_ms();
        if (rc == CCZ_OK || !fedlr_peer_lost(rc) || left_ms <= 0)
            return rc;
        wait_ms = left_ms < timeout_ms ? left_ms : timeout_ms;
        ui_say("%s: %s; connecting again", err->where, err->msg);
        if (!o->listen) /* who listens is there at once, so that the others find him */
            (void)nanosleep(&pause, NULL);
    }
}

void fedlr_links_close(struct fedlr_links *l)
{
    drop_channels(l);
    ccz_links_free(l->links);
}
