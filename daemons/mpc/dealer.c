/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dealer: an attested program that makes correlated randomness for two parties. It serves one session after another and
 * keeps nothing of them but their names, so that none is dealt to twice.
 */
#include "daemon.h"

#include <cczoo/mpc_source.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_SIZE = 32, SESSIONS_MAX = 1 << 20 };

struct dealer {
    const char *listen, *port_file;
    struct mpc_evidence evidence;
    int64_t sessions, timeout_s, len_max;
    struct ccz_links *links;
    /* names of the sessions so far */
    uint8_t (*seen)[SESSION_SIZE];
    size_t seen_len, seen_room;
};

/* Who dealt to a session a second time would hand out the same names for other randomness: a sign of a replay. */
static bool fresh(void *arg, const uint8_t session[SESSION_SIZE])
{
    struct dealer *d = arg;
    for (size_t i = 0; i < d->seen_len; i++)
        if (memcmp(d->seen[i], session, SESSION_SIZE) == 0)
            return false;
    if (d->seen_len == d->seen_room) {
        size_t room = d->seen_room ? 2 * d->seen_room : 64;
        void *more = room <= SESSIONS_MAX ? realloc(d->seen, room * SESSION_SIZE) : NULL;
        if (!more) /* a session that cannot be remembered is not dealt to */
            return false;
        d->seen = more;
        d->seen_room = room;
    }
    memcpy(d->seen[d->seen_len++], session, SESSION_SIZE);
    return true;
}

static int seat_of(void *arg, const char *party)
{
    (void)arg;
    return strcmp(party, MPC_PARTY_0) == 0 ? 0 : strcmp(party, MPC_PARTY_1) == 0 ? 1 : -1;
}

static ccz_rc open_links(struct dealer *d, struct ccz_err *err)
{
    const struct mpc_evidence *e = &d->evidence;
    const struct ccz_links_cfg cfg = {.channel = MPC_DEALER_CHANNEL,
                                      .party = {.tee = {.provider = e->tee, .sim_dir = e->sim_dir},
                                                .collateral_dir = e->collateral,
                                                .trust_sim_dir = e->trust_sim},
                                      .listen = d->listen,
                                      .port_file = d->port_file,
                                      .listen_policy = e->policy,
                                      .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX},
                                      .seats = 2,
                                      .seat_of = seat_of};
    ccz_rc rc = ccz_links_new(&d->links, &cfg, err);
    if (rc == CCZ_OK && ccz_links_simulated(d->links))
        ui_simulated("evidence comes from a software TEE");
    if (rc == CCZ_OK && !e->policy)
        ui_say("INSECURE: parties are asked for no evidence");
    return rc;
}

static ccz_rc serve(struct dealer *d, struct ccz_chan *const chan[2], struct ccz_err *err)
{
    const struct ccz_mpc_dealer_cfg cfg = {
        .len_max = (uint64_t)d->len_max, .fresh = fresh, .arg = d};
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(chan[i], 1000 * d->timeout_s);
    int64_t start_ms = ccz_mono_ms();
    ccz_rc rc = ccz_mpc_dealer_run(chan[0], chan[1], &cfg, err);
    if (rc == CCZ_OK) {
        const struct ccz_chan_stats a = ccz_chan_stats(chan[0]), b = ccz_chan_stats(chan[1]);
        ui_out("session dealt to: %.1f kB to party 0, %.1f kB to party 1, %.2f s\n",
               (double)a.sent_size / 1e3, (double)b.sent_size / 1e3,
               (double)(ccz_mono_ms() - start_ms) / 1e3);
        (void)ui_out_flush();
    }
    return rc;
}

static int run(struct dealer *d)
{
    struct ccz_err err = {0};
    ccz_rc rc = open_links(d, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    int status = UI_OK;
    for (int64_t n = 0; rc == CCZ_OK && (d->sessions == 0 || n < d->sessions); n++) {
        struct ccz_chan *chan[2] = {0};
        err = (struct ccz_err){0};
        rc = ccz_links_accept(chan, d->links, INT64_MAX / 2, &err);
        if (rc != CCZ_OK)
            status = ui_fail(&err);
        else if (serve(d, chan, &err) != CCZ_OK) /* of these parties; none of the next ones' */
            status = ui_fail(&err);
        for (int i = 0; i < 2; i++)
            ccz_chan_free(chan[i]);
    }
    ccz_links_free(d->links);
    free(d->seen);
    if (status == UI_OK)
        ui_out("done after %zu sessions\n", d->seen_len);
    return status;
}

int mpc_dealer_here(const char *port_file)
{
    struct dealer d = {.listen = "127.0.0.1:0",
                       .port_file = port_file,
                       .evidence.unattested_insecure = true,
                       .timeout_s = MPC_TIMEOUT_S};
    return run(&d);
}

int mpc_cmd_dealer(int argc, char **argv)
{
    struct dealer d = {.timeout_s = MPC_TIMEOUT_S};
    const struct ui_opt opts[] = {
        {"listen", &d.listen, NULL, NULL, "ADDR", "gRPC address for both parties; port 0 = any"},
        {"port-file", &d.port_file, NULL, NULL, "FILE", "write the port here when ready"},
        UI_OWN_EVIDENCE(&d.evidence),
        UI_TRUST_FILES(&d.evidence),
        {"policy", &d.evidence.policy, NULL, NULL, "FILE",
         "policy that the evidence of parties must satisfy"},
        {"unattested-insecure", NULL, NULL, &d.evidence.unattested_insecure, NULL,
         "ask parties for no evidence, and give none"},
        {"sessions", NULL, &d.sessions, NULL, "N", "end after so many; default 0: at SIGTERM"},
        {"len-max", NULL, &d.len_max, NULL, "N",
         "elements of one request at most; default 0 = 2^28"},
        {"timeout", NULL, &d.timeout_s, NULL, "SECONDS", "longest wait for a request, default 600"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo-mpc dealer --listen ADDR --policy FILE --tee ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0)
        ui_error("unexpected operand: %s", argv[0]);
    if (n > 0 || !mpc_evidence_ok(&d.evidence))
        return UI_USAGE;
    if (!d.listen || (!d.evidence.tee && !d.evidence.unattested_insecure)) {
        ui_error("--listen and --tee are required: parties deal with an attested dealer only");
        return UI_USAGE;
    }
    if (!mpc_number_in("sessions", d.sessions, 0, SESSIONS_MAX) ||
        !mpc_number_in("len-max", d.len_max, 0, INT64_C(1) << 36) ||
        !mpc_number_in("timeout", d.timeout_s, 1, MPC_SECONDS_MAX))
        return UI_USAGE;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    return run(&d);
}
