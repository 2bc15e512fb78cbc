/* SPDX-License-Identifier: Apache-2.0 */
#include "vfl.h"

#include "../../cli/ui.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
static int seat_of(void *arg, const char *name)
{
    const struct vfl_opts *o = arg;
    char text[32];
    for (int i = 0; i < (int)o->parties; i++) {
        (void)snprintf(text, sizeof(text), "follower-%d", i + 1);
        if (strcmp(name, text) == 0)
            return i;
    }
    return -1;
}

/* Which of the other workers a name is, from 0; -1 = none that is expected. */
static int team_seat_of(void *arg, const char *name)
{
    const struct vfl_opts *o = arg;
    char text[32];
    for (int i = 0; i < (int)o->workers - 1; i++) {
        (void)snprintf(text, sizeof(text), "worker-%d", i + 2);
        if (strcmp(name, text) == 0)
            return i;
    }
    return -1;
}

static ccz_rc open_team(struct vfl_links *l, const struct vfl_opts *o, struct ccz_err *err)
{
    bool hub = o->worker == 1;
    const struct ccz_links_cfg cfg = {.channel = o->leader ? "vfl-leader" : o->name,
                                      .party = {.attester = l->attester,
                                                .collateral_dir = o->collateral,
                                                .trust_sim_dir = o->trust_sim},
                                      .listen = hub ? o->team_listen : NULL,
                                      .port_file = hub ? o->team_port_file : NULL,
                                      .listen_policy = hub ? o->team_policy : NULL,
                                      .connects = !hub,
                                      .connect_policy = hub ? NULL : o->team_policy,
                                      .seats = o->workers - 1,
                                      .seat_of = team_seat_of,
                                      .arg = (void *)(uintptr_t)o};
    return ccz_links_new(&l->team, &cfg, err);
}

ccz_rc vfl_links_open(struct vfl_links *l, const struct vfl_opts *o, struct ccz_err *err)
{
    ccz_rc rc = o->tee ? open_attester(&l->attester, o, err) : CCZ_OK;
    const struct ccz_links_cfg cfg = {.channel = "vfl",
                                      .party = {.attester = l->attester,
                                                .collateral_dir = o->collateral,
                                                .trust_sim_dir = o->trust_sim},
                                      .listen = o->leader ? o->listen : NULL,
                                      .port_file = o->port_file,
                                      .listen_policy = o->leader ? o->client_policy : NULL,
                                      .connects = !o->leader,
                                      .connect_policy = o->leader ? NULL : o->policy,
                                      .seats = (unsigned)o->parties,
                                      .seat_of = seat_of,
                                      .arg = (void *)(uintptr_t)o};
    if (rc == CCZ_OK)
        rc = ccz_links_new(&l->links, &cfg, err);
    if (rc == CCZ_OK && o->workers > 1)
        rc = open_team(l, o, err);
    if (rc == CCZ_OK && ccz_links_simulated(l->links))
        ui_simulated("evidence comes from a software TEE");
    return rc;
}

static void drop_channels(struct vfl_links *l)
{
    for (size_t i = 0; i < CCZ_VFL_PARTIES_MAX; i++) {
        ccz_chan_free(l->chan[i]);
        l->chan[i] = NULL;
    }
    for (size_t i = 0; i < CCZ_VFL_WORKERS_MAX; i++) {
        ccz_chan_free(l->peer[i]);
        l->peer[i] = NULL;
    }
    if (l->links)
        ccz_links_disconnect(l->links);
    if (l->team)
        ccz_links_disconnect(l->team);
}

static ccz_rc team_accept(struct vfl_links *l, const struct vfl_opts *o, int64_t timeout_ms,
                          struct ccz_err *err)
{
    ccz_rc rc = ccz_links_accept(l->peer, l->team, timeout_ms, err);
    l->peers = o->workers - 1;
    for (uint32_t i = 0; rc == CCZ_E_TIMEOUT && i < l->peers; i++)
        if (!l->peer[i])
            return ccz_fail(err, rc, "vfl:worker-missing", i + 2,
                            "worker %u of %u of this party has not come", i + 2, o->workers);
    return rc;
}

/* Worker 1 may not be there yet, or just be starting again: the pairs need not fall apart because of that. */
static ccz_rc team_connect(struct vfl_links *l, const struct vfl_opts *o, int64_t timeout_ms,
                           struct ccz_err *err)
{
    static const struct timespec pause = {.tv_nsec = 200000000};
    int64_t end_ms = ccz_mono_ms() + timeout_ms;
    char name[32];
    (void)snprintf(name, sizeof(name), "worker-%u", o->worker);
    l->peers = 1;
    for (bool told = false;; told = true) {
        *err = (struct ccz_err){0};
        ccz_rc rc = ccz_links_connect(&l->peer[0], l->team, o->team_connect, name, err);
        if (rc == CCZ_OK || (rc != CCZ_E_UNAVAILABLE && rc != CCZ_E_IO && rc != CCZ_E_CLOSED))
            return rc;
        ccz_links_disconnect(l->team);
        if (ccz_mono_ms() >= end_ms) {
            const struct ccz_err why = *err;
            return ccz_fail(err, rc, "vfl:worker-missing", 1,
                            "worker 1 of this party is not at %.60s: %s", o->team_connect, why.msg);
        }
        if (!told)
            ui_say("%s: %s; waiting for worker 1", err->where, err->msg);
        (void)nanosleep(&pause, NULL);
    }
}

ccz_rc vfl_links_join(struct vfl_links *l, const struct vfl_opts *o, int64_t timeout_ms,
                      struct ccz_err *err)
{
    drop_channels(l);
    l->len = o->leader ? (size_t)o->parties : 1;
    ccz_rc rc = o->leader ? ccz_links_accept(l->chan, l->links, timeout_ms, err)
                          : ccz_links_connect(&l->chan[0], l->links, o->connect, o->name, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++)
        ccz_chan_set_timeout(l->chan[i], o->timeout_s * 1000);
    if (rc == CCZ_OK && l->team)
        rc = o->worker == 1 ? team_accept(l, o, timeout_ms, err)
                            : team_connect(l, o, timeout_ms, err);
    return rc;
}

void vfl_links_close(struct vfl_links *l)
{
    drop_channels(l);
    ccz_links_free(l->team);
    ccz_links_free(l->links);
    ccz_attester_free(l->attester);
}
