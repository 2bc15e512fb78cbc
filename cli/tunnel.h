/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_TUNNEL_H
#define CCZ_CLI_TUNNEL_H
/* What `cczoo tunnel` is asked for, by options or by a file. */
#include "ui.h"

#include <cczoo/codec.h>
#include <cczoo/party.h>
#include <cczoo/tunnel.h>

enum { CLI_TUNNEL_MAPS_MAX = 256, CLI_TUNNEL_FILE_SIZE_MAX = 1 << 20 };

/* One end: who we are and whom we accept. Texts are borrowed. */
struct cli_tunnel_end {
    enum ccz_tunnel_side side;
    const char *policy, *trust_sim, *collateral, *collateral_from, *collateral_ca_file;
    const char *tee, *sim_dir, *profile;
    int64_t reattest_s;
    bool proxy_v2, proxy_v2_short;
};
struct cli_tunnel_map {
    const char *name, *listen, *connect;
    size_t end; /* index into ends */
};
struct cli_tunnel {
    struct cli_tunnel_end ends[CLI_TUNNEL_MAPS_MAX];
    size_t ends_len;
    struct cli_tunnel_map maps[CLI_TUNNEL_MAPS_MAX];
    size_t maps_len;
    int64_t threads, connections, idle_s, handshake_s, connect_s, grace_s, buffer_kib;
    const char *port_file;
    struct ccz_json *file; /* owns the texts that came from it */
};
/* Reads a configuration file (docs/reference/tunnel.md). where = "tunnel:file" */
CCZ_MUST_USE ccz_rc cli_tunnel_read(struct cli_tunnel *t, const char *file, struct ccz_err *err);
/* Opens it, and runs it until SIGTERM or SIGINT. @return exit status */
int cli_tunnel_run(const struct cli_tunnel *t);
#endif
