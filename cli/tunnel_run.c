/* SPDX-License-Identifier: Apache-2.0 */
/* Runs tunnels in the foreground: parties, signals, and the service manager's notices. */
#define _GNU_SOURCE
#include "tunnel.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct attached {
    struct ccz_tunnel *tunnel;
    size_t map;
};

struct run {
    struct attached attached[CLI_TUNNEL_MAPS_MAX]; /* one a map */
    size_t attached_len;
    struct ccz_party *parties[CLI_TUNNEL_MAPS_MAX];
    size_t parties_len;
    struct ccz_tunnel *tunnel;
    bool simulated;
};

static ccz_rc profile_from(enum ccz_ratls_profile *out, const char *name, struct ccz_err *err)
{
    *out = CCZ_RATLS_SESSION;
    if (!name || strcmp(name, "session") == 0)
        return CCZ_OK;
    *out = CCZ_RATLS_CERTIFICATE;
    if (strcmp(name, "certificate") == 0)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "tunnel:profile", 0, "a profile is session or certificate");
}

static ccz_rc open_party(struct ccz_party **out, const struct cli_tunnel_end *e,
                         struct ccz_err *err)
{
    static const char *const alpn[] = {"ccz-tunnel/1", NULL}; /* so that no other server is meant */
    struct ccz_party_cfg cfg = {
        .tee = {.provider = e->tee, .sim_dir = e->sim_dir},
        .collateral_dir = e->collateral,
        .trust_sim_dir = e->trust_sim,
        .collateral_from = e->collateral_from,
        .collateral_ca_file = e->collateral_ca_file,
        .policy_file = e->policy,
        .server = e->side == CCZ_TUNNEL_IN,
        .peer_evidence_optional = e->side == CCZ_TUNNEL_IN && !e->policy,
        .reattest_interval_ms = e->reattest_s * 1000,
    };
    ccz_rc rc = profile_from(&cfg.profile, e->profile, err);
    if (rc != CCZ_OK)
        return rc;
    if (cfg.profile == CCZ_RATLS_CERTIFICATE)
        cfg.alpn = alpn;
    if (e->side == CCZ_TUNNEL_IN && !e->tee)
        return ccz_fail(err, CCZ_E_ARG, "tunnel:tee", 0,
                        "the attested side needs evidence of its own");
    return ccz_party_new(out, &cfg, err);
}

/* ccz_party_renewed_fn */
static void on_renewed(void *arg, struct ccz_ratls_ctx *ctx)
{
    const struct attached *a = arg;
    struct ccz_err err = {0};
    if (ccz_tunnel_set_ratls(a->tunnel, a->map, ctx, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "tunnel", "not renewed", &err);
}

static ccz_rc attach(struct run *r, const struct cli_tunnel *t, struct ccz_err *err)
{
    for (; r->attached_len < t->maps_len; r->attached_len++) {
        struct attached *a = &r->attached[r->attached_len];
        *a = (struct attached){r->tunnel, r->attached_len};
        if (ccz_party_attach(r->parties[t->maps[a->map].end], on_renewed, a) != CCZ_OK)
            return ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    }
    return CCZ_OK;
}

static ccz_rc open_tunnel(struct run *r, const struct cli_tunnel *t, struct ccz_err *err)
{
    struct ccz_tunnel_map *maps = calloc(t->maps_len ? t->maps_len : 1, sizeof(*maps));
    if (!maps)
        return ccz_fail(err, CCZ_E_NOMEM, "tunnel:memory", 0, "out of memory");
    ccz_rc rc = CCZ_OK;
    for (; rc == CCZ_OK && r->parties_len < t->ends_len; r->parties_len++) {
        struct ccz_party **p = &r->parties[r->parties_len];
        rc = open_party(p, &t->ends[r->parties_len], err);
        r->simulated = r->simulated || (rc == CCZ_OK && ccz_party_simulated(*p));
    }
    for (size_t i = 0; rc == CCZ_OK && i < t->maps_len; i++) {
        const struct cli_tunnel_map *m = &t->maps[i];
        maps[i] = (struct ccz_tunnel_map){.name = m->name,
                                          .side = t->ends[m->end].side,
                                          .listen = m->listen,
                                          .connect = m->connect,
                                          .ratls = ccz_party_ratls(r->parties[m->end]),
                                          .anyone = t->ends[m->end].side == CCZ_TUNNEL_IN &&
                                                    !t->ends[m->end].policy,
                                          .proxy_v2 = t->ends[m->end].proxy_v2,
                                          .proxy_v2_short = t->ends[m->end].proxy_v2_short};
    }
    const struct ccz_tunnel_cfg cfg = {.maps = maps,
                                       .maps_len = t->maps_len,
                                       .threads = (unsigned)t->threads,
                                       .connections_max = (unsigned)t->connections,
                                       .buffer_size = (size_t)t->buffer_kib << 10,
                                       .connect_timeout_ms = t->connect_s * 1000,
                                       .handshake_timeout_ms = t->handshake_s * 1000,
                                       .idle_timeout_ms = t->idle_s * 1000};
    if (rc == CCZ_OK)
        rc = ccz_tunnel_new(&r->tunnel, &cfg, err);
    free(maps);
    if (rc == CCZ_OK)
        rc = attach(r, t, err);
    return rc == CCZ_OK ? ccz_tunnel_start(r->tunnel, err) : rc;
}

/* systemd's protocol for Type=notify; nothing without NOTIFY_SOCKET. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    if (size < 2 || size >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, size);
    if (path[0] == '@') /* abstract */
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0)
        ccz_log(CCZ_LOG_WARN, "tunnel", "cannot notify the service manager: %s", strerror(errno));
    close(fd);
}

static ccz_rc say_ready(const struct run *r, const struct cli_tunnel *t, struct ccz_err *err)
{
    CCZ_AUTO_BUF ports;
    ccz_buf_init(&ports, (size_t)16 * CLI_TUNNEL_MAPS_MAX);
    for (size_t i = 0; i < t->maps_len; i++) {
        const struct cli_tunnel_map *m = &t->maps[i];
        const struct cli_tunnel_end *e = &t->ends[m->end];
        ccz_buf_printf(&ports, "%u\n", ccz_tunnel_port(r->tunnel, i));
        ccz_log(CCZ_LOG_INFO, "tunnel", "ready side=%s listen=%s port=%u connect=%s peers=%s%s",
                e->side == CCZ_TUNNEL_IN ? "server" : "client", m->listen,
                ccz_tunnel_port(r->tunnel, i), m->connect, e->policy ? e->policy : "anyone",
                ccz_party_simulated(r->parties[m->end]) ? " SIMULATED" : "");
    }
    if (t->port_file)
        return ccz_file_write(t->port_file, ccz_buf_span(&ports), 0644, CCZ_FILE_REPLACE, err);
    return CCZ_OK;
}

/* Collateral from its directory, and a new TLS identity: with the certificate profile, new evidence. */
static void reload(const struct run *r)
{
    for (size_t i = 0; i < r->parties_len; i++)
        (void)ccz_party_reload(r->parties[i], "tunnel");
}

static void wait_for_end(const struct run *r, const sigset_t *signals)
{
    for (;;) {
        int signo = 0;
        (void)sigwait(signals, &signo);
        if (signo != SIGHUP) {
            ccz_log(CCZ_LOG_INFO, "tunnel", "stopping signal=%d", signo);
            return;
        }
        reload(r);
    }
}

static void say_end(const struct run *r)
{
    struct ccz_tunnel_stats s;
    ccz_tunnel_stats(&s, r->tunnel);
    ccz_log(CCZ_LOG_INFO, "tunnel",
            "stopped accepted=%llu refused=%llu failed=%llu limited=%llu bytes_in=%llu "
            "bytes_out=%llu",
            (unsigned long long)s.accepted, (unsigned long long)s.refused,
            (unsigned long long)s.failed, (unsigned long long)s.limited,
            (unsigned long long)s.bytes_in, (unsigned long long)s.bytes_out);
}

int cli_tunnel_run(const struct cli_tunnel *t)
{
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
    sigset_t signals; /* blocked in every thread, waited for in this one */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    struct run r = {0};
    struct ccz_err err = {0};
    ccz_rc rc = open_tunnel(&r, t, &err);
    if (rc == CCZ_OK && r.simulated)
        ui_simulated("evidence of this tunnel, or evidence it accepts, comes from a software TEE");
    if (rc == CCZ_OK)
        rc = say_ready(&r, t, &err);
    if (rc == CCZ_OK) {
        notify("READY=1");
        wait_for_end(&r, &signals);
        notify("STOPPING=1");
        ccz_tunnel_stop(r.tunnel, t->grace_s * 1000);
        say_end(&r);
    }
    for (size_t i = 0; i < r.attached_len; i++)
        ccz_party_detach(r.parties[t->maps[i].end], on_renewed, &r.attached[i]);
    ccz_tunnel_free(r.tunnel);
    for (size_t i = 0; i < r.parties_len; i++)
        ccz_party_free(r.parties[i]);
    if (rc == CCZ_OK)
        return UI_OK;
    int status = ui_fail(&err);
    return strcmp(err.where, "net:address") == 0 || rc == CCZ_E_ARG ? UI_USAGE : status;
}
