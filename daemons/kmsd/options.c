/* SPDX-License-Identifier: Apache-2.0 */
/* The options, and which command takes which: one that a command has no use for is an error, not ignored. */
#include "kmsd.h"

#include "../../cli/ui.h"

#include <stddef.h>
#include <string.h>

enum { ALL = ~0, INIT = KMSD_INIT, RUN = KMSD_RUN, ADMIN = KMSD_ADMIN };

enum kind { TEXT, NUMBER, FLAG };
#define AT(member) offsetof(struct kmsd_opts, member)

static const struct row {
    int of; /* commands */
    enum kind kind;
    size_t at;
    const char *name, *arg, *help;
} rows[] = {
    /* the store and what opens it */
    {ALL, TEXT, AT(state.dir), "state", "DIR", "state folder"},
    {ALL, TEXT, AT(master_key), "master-key", "WHERE",
     "master key: FILE (default DIR/master.key; better on another disk), pkcs11:URI, "
     "tee:mrenclave, tee:mrsigner, shamir:K/N"},
    {INIT, FLAG, AT(state.reuse_master_key), "reuse-master-key", NULL,
     "take a master key that is there already, another store's as well"},
    {KMSD_REKEY, TEXT, AT(new_master_key), "new-master-key", "WHERE", "the new one"},
    {ALL, TEXT, AT(shares), "shares", "FILE",
     "shamir: shares of the master key, one a line; run waits for those that are missing"},
    {INIT | KMSD_REKEY, TEXT, AT(shares_dir), "shares-dir", "DIR",
     "shamir: new shares are written here"},
    {ALL, TEXT, AT(epoch), "epoch", "WHERE",
     "counter outside of the store: file:FILE on another disk, or pkcs11:URI"},
    {ALL, NUMBER, AT(epoch_lag_s), "epoch-lag", "SECONDS",
     "advance it at most so much later than a commit; default 0 = before it is acknowledged"},
    {KMSD_EPOCH | KMSD_CHECK, FLAG, AT(accept_lost), "accept-lost", NULL,
     "the counter is lost, or new: start it from the store as it is"},
    {KMSD_EPOCH | KMSD_CHECK, FLAG, AT(accept_rolled_back), "accept-rolled-back", NULL,
     "the store is an older copy on purpose"},
    {ALL, TEXT, AT(state.database), "database", "CONNECTION",
     "PostgreSQL for several servers, e.g. \"host=db dbname=kms user=kms passfile=FILE\"; "
     "default: SQLite in DIR"},
    {ALL, TEXT, AT(tee), "tee", "PROVIDER",
     "own evidence: gramine, configfs, tdx-guest, sev-guest, sim-sgx, sim-tdx, sim-snp; beside run "
     "it opens a master key of tee:.."},
    {ALL, TEXT, AT(sim_dir), "sim-dir", "DIR", "folder of the software TEE (cczoo sim init)"},
    /* who may do what */
    {INIT | ADMIN, TEXT, AT(admin_key), "admin-key", "FILE",
     "PEM key of an administrator; init: made if it does not exist"},
    {ADMIN, TEXT, AT(jwt_issuer), "jwt-issuer", "ISS", "issuer of the tokens of --jwt-subject"},
    {ADMIN, TEXT, AT(jwt_subject), "jwt-subject", "SUB", "whose tokens get the role"},
    {ADMIN, TEXT, AT(role), "role", "ROLES",
     "auditor, operator, author, approver, client (more with commas), admin or none"},
    {ADMIN, TEXT, AT(ns), "namespace", "NS",
     "of names before their first /; '' = names without one; default: * = all"},
    {ADMIN, TEXT, AT(label), "label", "TEXT", "of the key, for people"},
    {INIT | ADMIN, NUMBER, AT(approvals), "approvals", "N",
     "so many have to agree to changes of policies, bindings and roles"},
    {INIT, TEXT, AT(approver), "approver", "FILE,FILE", "PEM keys of those who may agree"},
    /* the server */
    {RUN, TEXT, AT(listen), "listen", "ADDR", "address, e.g. 127.0.0.1:8443; port 0 = any"},
    {RUN, TEXT, AT(port_file), "port-file", "FILE", "write the port here when ready"},
    {RUN, TEXT, AT(backup), "backup", "FILE",
     "at SIGUSR2 copy the store here, replacing the last copy (SQLite; PostgreSQL has pg_dump)"},
    {RUN, TEXT, AT(trust_sim), "trust-sim", "DIR",
     "trust this software TEE (everything says SIMULATED)"},
    {RUN, TEXT, AT(collateral), "collateral", "DIR", "collateral of genuine platforms"},
    {RUN, TEXT, AT(collateral_from), "collateral-from", "URL|pcs",
     "keep it fresh from a PCCS, or from Intel and AMD; absent = never ask anybody"},
    {RUN, TEXT, AT(collateral_ca_file), "collateral-ca-file", "FILE",
     "PEM certificates that this PCCS may have"},
    {RUN, NUMBER, AT(reattest_s), "reattest", "SECONDS",
     "ask workloads for evidence again, that often; default 0 = never"},
    {RUN, NUMBER, AT(rpc_rate), "rpc-rate", "N",
     "calls a second of --listen from one address, and of one key or workload; default 2000, 1000"},
    {RUN, NUMBER, AT(rpc_total_rate), "rpc-total-rate", "N",
     "calls a second in all; default 20000"},
    {RUN, NUMBER, AT(rpc_handshakes), "rpc-handshakes", "N",
     "new connections a second from one address; default 200"},
    {RUN, NUMBER, AT(rpc_total_handshakes), "rpc-total-handshakes", "N",
     "and in all, a quarter of them kept for addresses that are known; default 1000 or more"},
    {RUN, NUMBER, AT(crypto_threads), "crypto-threads", "N",
     "threads for RSA and large messages; default 2, at most 64"},
    {RUN, NUMBER, AT(quota_items), "quota-items", "N",
     "keys and secrets of a namespace; default 10000"},
    {RUN, NUMBER, AT(quota_versions), "quota-versions", "N", "and their versions; default 20000"},
    {RUN, NUMBER, AT(quota_bytes), "quota-bytes", "N", "and bytes of them; default 134217728"},
    {RUN, NUMBER, AT(quota_policies), "quota-policies", "N",
     "policies and versions of reference sets of a namespace; default 1000"},
    {RUN, NUMBER, AT(quota_policy_bytes), "quota-policy-bytes", "N",
     "and bytes of them; default 2097152"},
    /* its other doors */
    {RUN, TEXT, AT(prov), "secret-prov", "ADDR",
     "Gramine's secret provisioning on this address, e.g. 0.0.0.0:4433"},
    {RUN, TEXT, AT(prov_cert), "secret-prov-cert", "FILE",
     "PEM chain of the certificate that its clients are told to trust"},
    {RUN, TEXT, AT(prov_key), "secret-prov-key", "FILE", "PEM key of that, mode 0600"},
    {RUN, TEXT, AT(prov_map), "secret-prov-map", "FILE",
     "JSON: which measured program gets which item"},
    {RUN, TEXT, AT(prov_port_file), "secret-prov-port-file", "FILE",
     "write its port here when it listens"},
    {RUN, NUMBER, AT(prov_rate), "secret-prov-rate", "N",
     "its connections a second from one address, and of one workload; default 100"},
    {RUN, NUMBER, AT(prov_total_rate), "secret-prov-total-rate", "N",
     "and in all; default 1000 or more"},
    {RUN, TEXT, AT(https), "https", "ADDR", "serve HTTPS here, too: REST, health"},
    {RUN, TEXT, AT(https_port_file), "https-port-file", "FILE", "write its port here"},
    {RUN, TEXT, AT(tls_cert), "tls-cert", "FILE",
     "its certificates, PEM, leaf first; default: one with the evidence of --tee"},
    {RUN, TEXT, AT(tls_key), "tls-key", "FILE", "their private key, PEM, mode 0600"},
    {RUN, FLAG, AT(plain_http_insecure), "plain-http-insecure", NULL,
     "no TLS, on a loopback address alone"},
    {RUN, FLAG, AT(transit), "transit", NULL,
     "Vault's transit API there, too, so that Vault and OpenBao can unseal themselves"},
    {RUN, FLAG, AT(kbs), "kbs", NULL, "the KBS protocol of Confidential Containers there, too"},
    {RUN, NUMBER, AT(kbs_sessions), "kbs-sessions", "N",
     "attested clients that are remembered; default 65536"},
    {RUN, NUMBER, AT(kbs_attestations), "kbs-attestations", "N",
     "attestations in a minute; default 131072"},
    {RUN, TEXT, AT(token_policies), "token-policies", "NAME,NAME",
     "policies whose acceptance tokens call approved executables; * = any"},
    {RUN, TEXT, AT(issuer), "issuer", "URL",
     "iss of attestation results: the https URL under which --https is reached"},
    {RUN, TEXT, AT(metrics), "metrics", "ADDR",
     "GET /metrics for Prometheus here, in clear and for everybody"},
    {RUN, TEXT, AT(metrics_port_file), "metrics-port-file", "FILE", "write its port here"},
    {RUN, NUMBER, AT(https_rate), "https-rate", "N",
     "requests a second from one address, and of one key or subject; default 200, 100"},
    {RUN, NUMBER, AT(https_connections), "https-connections", "N",
     "connections in all, an eighth of them from one address; default 1024"},
    {RUN, TEXT, AT(jwt_issuer), "jwt-issuer", "ISS", "take tokens of this issuer (OIDC)"},
    {RUN, TEXT, AT(jwt_audience), "jwt-audience", "AUD", "that are for this audience"},
    {RUN, TEXT, AT(jwt_keys), "jwt-keys", "FILE|URL", "the keys of the issuer, a JWKS"},
    {RUN, TEXT, AT(jwt_ca_file), "jwt-ca-file", "FILE",
     "PEM authorities of that URL instead of the system's"},
    {RUN, NUMBER, AT(jwt_skew_s), "jwt-skew", "SECONDS", "how wrong clocks may be; default 0"},
    {RUN, TEXT, AT(jwt_issuers), "jwt-issuers", "FILE", "JSON: several issuers"},
};
enum { ROWS_LEN = sizeof(rows) / sizeof(*rows) };

/* The commands that take what @p arg names; 0 = it is no option. */
static int commands_of(const char *arg)
{
    size_t size = strncmp(arg, "--", 2) == 0 ? strcspn(arg + 2, "=") : 0;
    int of = 0;
    for (size_t i = 0; size && i < ROWS_LEN; i++)
        if (strncmp(rows[i].name, arg + 2, size) == 0 && rows[i].name[size] == 0)
            of |= rows[i].of;
    return of;
}

/* What was not understood may be another command's. */
static void say_whose(enum kmsd_command command, int argc, char **argv)
{
    static const char *const names[] = {"init",  "run",   "check", "migrate",
                                        "admin", "rekey", "epoch"};
    for (int i = 0; i < argc; i++) {
        int of = commands_of(argv[i]);
        for (size_t k = 0; !(of & (int)command) && k < sizeof(names) / sizeof(*names); k++)
            if (of & 1 << k) {
                ui_hint("%.*s is an option of cczoo-kmsd %s", (int)strcspn(argv[i], "="), argv[i],
                        names[k]);
                return;
            }
    }
}

int kmsd_parse(struct kmsd_opts *o, enum kmsd_command command, const char *usage, int argc,
               char **argv)
{
    struct ui_opt opts[ROWS_LEN + 1] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < ROWS_LEN; i++) {
        const struct row *r = &rows[i];
        void *at = (char *)o + r->at;
        if (!(r->of & (int)command))
            continue;
        opts[n++] = (struct ui_opt){.name = r->name,
                                    .text = r->kind == TEXT ? at : NULL,
                                    .number = r->kind == NUMBER ? at : NULL,
                                    .flag = r->kind == FLAG ? at : NULL,
                                    .arg = r->arg,
                                    .help = r->help};
    }
    int left = ui_parse(argc, argv, usage, opts);
    if (left == -1)
        say_whose(command, argc, argv);
    return left;
}
