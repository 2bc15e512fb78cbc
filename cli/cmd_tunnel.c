/* SPDX-License-Identifier: Apache-2.0 */
/* `cczoo tunnel client|server|run`: options. What runs is in tunnel_run.c. */
#include "cli.h"
#include "tunnel.h"

#include <stdlib.h>
#include <string.h>

enum { SECONDS_MAX = 30 * 86400, GRACE_S = 10 };

static bool in_range(const char *name, int64_t value, int64_t max)
{
    if (value >= 0 && value <= max)
        return true;
    ui_error("%s must be 0..%lld", name, (long long)max);
    return false;
}

static bool check_limits(const struct cli_tunnel *t)
{
    bool ok =
        in_range("threads", t->threads, 64) && in_range("connections", t->connections, 1000000) &&
        in_range("idle", t->idle_s, SECONDS_MAX) &&
        in_range("handshake", t->handshake_s, SECONDS_MAX) &&
        in_range("connect time", t->connect_s, SECONDS_MAX) &&
        in_range("grace", t->grace_s, SECONDS_MAX) && in_range("buffer", t->buffer_kib, 65536);
    for (size_t i = 0; ok && i < t->ends_len; i++) {
        const struct cli_tunnel_end *e = &t->ends[i];
        ok = in_range("reattest", e->reattest_s, SECONDS_MAX);
        if (ok && e->reattest_s && !e->policy) {
            ui_error("reattest needs a policy: who is not asked once is not asked again");
            ok = false;
        } else if (ok && e->collateral_from && !e->collateral && !e->trust_sim) {
            ui_error("collateral-from needs collateral, the directory that it fills");
            ok = false;
        }
    }
    return ok;
}

static bool add_map(struct cli_tunnel *t, const char *listen, const char *connect)
{
    if (t->maps_len == CLI_TUNNEL_MAPS_MAX) {
        ui_error("more than %d tunnels", CLI_TUNNEL_MAPS_MAX);
        return false;
    }
    t->maps[t->maps_len++] = (struct cli_tunnel_map){.listen = listen, .connect = connect};
    return true;
}

/* --listen and --connect, and operands LISTEN=CONNECT. */
static bool add_maps(struct cli_tunnel *t, const char *listen, const char *connect, int len,
                     char **operands)
{
    if (!listen != !connect) {
        ui_error("--listen and --connect go together");
        return false;
    }
    if (listen && !add_map(t, listen, connect))
        return false;
    for (int i = 0; i < len; i++) {
        char *equals = strchr(operands[i], '=');
        if (!equals) {
            ui_error("\"%s\": a tunnel is written LISTEN=CONNECT", operands[i]);
            return false;
        }
        *equals = 0;
        if (!add_map(t, operands[i], equals + 1))
            return false;
    }
    if (t->maps_len == 0) {
        ui_error("no tunnel was named");
        ui_hint("--listen ADDR --connect ADDR, or LISTEN=CONNECT once or more");
    }
    return t->maps_len > 0;
}

/* @return as ui_parse() */
static int parse_side(struct cli_tunnel *t, struct cli_tunnel_map *first, int argc, char **argv)
{
    struct cli_tunnel_end *e = &t->ends[0];
    bool server = e->side == CCZ_TUNNEL_IN;
    const struct ui_opt opts[] = {
        {"listen", &first->listen, NULL, NULL, "ADDR",
         server ? "attested peers come here: 0.0.0.0:7000, [::]:7000"
                : "plain programs connect here: 127.0.0.1:6379, unix:/run/x.sock"},
        {"connect", &first->connect, NULL, NULL, "ADDR",
         server ? "the plain server: 127.0.0.1:6379, unix:/run/x.sock"
                : "the other end of the tunnel: host:7000"},
        {"policy", &e->policy, NULL, NULL, "FILE",
         server ? "clients must attest and satisfy this policy; absent = anyone is let in"
                : "policy that the server's evidence must satisfy; required"},
        UI_TRUST(e, collateral_ca_file),
        UI_OWN_EVIDENCE(e),
        {"profile", &e->profile, NULL, NULL, "NAME",
         "session (default): fresh evidence per connection; certificate: made once"},
        {"reattest", NULL, &e->reattest_s, NULL, "SECONDS",
         "ask peers for evidence again, that often; default 0 = never"},
        {"proxy-v2", NULL, NULL, &e->proxy_v2, NULL,
         "server: tell the plain server who is connected (PROXY protocol 2)"},
        {"proxy-v2-short", NULL, NULL, &e->proxy_v2_short, NULL,
         "with --proxy-v2: addresses alone, for servers that take no long header"},
        {"threads", NULL, &t->threads, NULL, "N", "event loops, default 1"},
        {"connections", NULL, &t->connections, NULL, "N", "at a time, default 4096"},
        {"idle", NULL, &t->idle_s, NULL, "SECONDS",
         "close connections without a byte for so long; default 0 = never"},
        {"handshake", NULL, &t->handshake_s, NULL, "SECONDS", "to be attested, default 30"},
        {"grace", NULL, &t->grace_s, NULL, "SECONDS",
         "SIGTERM: how long connections may go on, default 10"},
        {"buffer-kib", NULL, &t->buffer_kib, NULL, "N",
         "bytes that may wait per connection and direction, default 256 KiB"},
        {"port-file", &t->port_file, NULL, NULL, "FILE",
         "write the ports here when ready, one a line"},
        {0},
    };
    return ui_parse(argc, argv,
                    server ? "cczoo tunnel server --listen ADDR --connect ADDR --tee PROVIDER ..."
                           : "cczoo tunnel client --listen ADDR --connect ADDR --policy FILE ...",
                    opts);
}

static int run_side(struct cli_tunnel *t, enum ccz_tunnel_side side, int argc, char **argv)
{
    struct cli_tunnel_map first = {0};
    struct cli_tunnel_end *e = &t->ends[t->ends_len++];
    bool server = side == CCZ_TUNNEL_IN;
    e->side = side;
    int n = parse_side(t, &first, argc, argv);
    if (n < 0)
        return ui_parse_status(n);
    if (!add_maps(t, first.listen, first.connect, n, argv) || !check_limits(t))
        return UI_USAGE;
    if (server && !e->tee) {
        ui_error("--tee is required: the server shows evidence");
        return UI_USAGE;
    }
    if (!server && !e->policy) {
        ui_error("--policy is required: without it nobody would be accepted");
        return UI_USAGE;
    }
    return cli_tunnel_run(t);
}

static int run_file(struct cli_tunnel *t, int argc, char **argv)
{
    const struct ui_opt opts[] = {
        {"port-file", &t->port_file, NULL, NULL, "FILE",
         "write the ports here when ready, one a line"},
        {0},
    };
    struct ccz_err err = {0};
    int n = ui_parse(argc, argv, "cczoo tunnel run FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("one configuration file is expected");
        return UI_USAGE;
    }
    ccz_rc rc = cli_tunnel_read(t, argv[0], &err);
    if (rc != CCZ_OK) {
        int status = ui_fail(&err);
        return rc == CCZ_E_FORMAT ? UI_USAGE : status;
    }
    return check_limits(t) ? cli_tunnel_run(t) : UI_USAGE;
}

int cmd_tunnel(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "--help";
    struct cli_tunnel *t = calloc(1, sizeof(*t));
    if (!t) {
        ui_error("out of memory");
        return UI_ENV;
    }
    t->grace_s = GRACE_S;
    int status = UI_USAGE;
    if (strcmp(verb, "client") == 0) {
        status = run_side(t, CCZ_TUNNEL_OUT, argc - 1, argv + 1);
    } else if (strcmp(verb, "server") == 0) {
        status = run_side(t, CCZ_TUNNEL_IN, argc - 1, argv + 1);
    } else if (strcmp(verb, "run") == 0) {
        status = run_file(t, argc - 1, argv + 1);
    } else if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        ui_out("usage: cczoo tunnel VERB [--help]\n\n"
               "  client   next to a client program: plain in, attested out\n"
               "  server   next to a server program: attested in, plain out\n"
               "  run      both, as many as wanted, from a configuration file\n");
        status = argc > 1 ? UI_OK : UI_USAGE;
    } else {
        ui_error("no such command: tunnel %s", verb);
        ui_hint("cczoo tunnel --help lists them");
    }
    ccz_json_free(t->file);
    free(t);
    return status;
}
