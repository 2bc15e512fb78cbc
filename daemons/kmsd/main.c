/* SPDX-License-Identifier: Apache-2.0 */
#include "kmsd.h"

#include "../../cli/ui.h"

#ifdef CCZ_HAVE_POSTGRESQL
#include "kms_pg/kms_pg.h"
#endif

#include <cczoo/kms_door.h>

#include <string.h>

enum { REATTEST_MAX_S = 30 * 86400 };

static int64_t now_s(void)
{
    return ccz_clock_now_s(ccz_clock_system());
}

static bool missing(const char *name, const char *value)
{
    if (!value)
        ui_error("--%s is required", name);
    return !value;
}

static void say_admin(const struct kmsd_opts *o, const uint8_t spki_sha256[32], const char *role)
{
    char hex[65];
    ccz_hex(hex, spki_sha256, 32);
    if (o->jwt_subject)
        ui_say("%s: subject %s of %s, id %s", role, o->jwt_subject, o->jwt_issuer, hex);
    else
        ui_say("%s: key %s, sha256 of its SPKI %s", role, o->admin_key, hex);
}

/* Whom the role is for: a key, or the subject of an issuer's tokens. */
static ccz_rc principal_of(uint8_t id[32], const struct kmsd_opts *o, struct ccz_err *err)
{
    return o->jwt_subject ? ccz_kms_door_subject(id, o->jwt_issuer, o->jwt_subject, err)
                          : kmsd_admin_key(id, NULL, o->admin_key, err);
}

enum { APPROVERS_MAX = 100 };

/* --approver FILE,FILE: keys that are there already, each at somebody else's. */
static ccz_rc load_approvers(uint8_t out[APPROVERS_MAX][32], size_t *len, const char *files,
                             struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    *len = 0;
    for (const char *p = files; rc == CCZ_OK && p && *p; p += *p == ',') {
        char path[4096];
        size_t n = strcspn(p, ",");
        if (n >= sizeof(path) || *len == APPROVERS_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "kmsd:approver", APPROVERS_MAX,
                            "at most %d approvers, and paths that are not too long", APPROVERS_MAX);
        memcpy(path, p, n);
        path[n] = 0;
        rc = kmsd_admin_key(out[(*len)++], NULL, path, err);
        p += n;
    }
    return rc;
}

static int cmd_init(const struct kmsd_opts *o)
{
    uint8_t spki[32];
    bool made = false;
    struct ccz_err err = {0};
    if (missing("admin-key", o->admin_key))
        return UI_USAGE;
    uint8_t approvers[APPROVERS_MAX][32];
    struct ccz_kms_approvals ap = {.needed = o->approvals > 0 ? (uint32_t)o->approvals : 0,
                                   .approvers = (const uint8_t(*)[32])approvers};
    struct kmsd_keys k = {0};
    /* before any key is made */
    ccz_rc rc = load_approvers(approvers, &ap.approvers_len, o->approver, &err);
    if (rc == CCZ_OK)
        rc = kmsd_keys_open(&k, o, &err);
    if (rc == CCZ_OK)
        rc = kmsd_admin_key(spki, &made, o->admin_key, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_init_with(&k.state, spki, &ap, now_s(), &err);
    bool file = rc == CCZ_OK && strcmp(ccz_kms_master_name(k.state.master), "file") == 0;
    kmsd_keys_close(&k);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    if (made)
        ui_say("a new administrator key was made: keep %s where the administrator works, not here",
               o->admin_key);
    say_admin(o, spki, "administrator");
    if (ap.needed)
        ui_say("%u of %zu approvers have to agree to policies, bindings and roles", ap.needed,
               ap.approvers_len);
    if (file)
        ui_say("master key: %s%s; whoever has it and the database has every value",
               o->master_key ? "" : o->state.dir, o->master_key ? o->master_key : "/master.key");
    kmsd_say_shares(o);
    return UI_OK;
}

static int cmd_check(const struct kmsd_opts *o)
{
    struct ccz_err err = {0};
    struct ccz_kms_check c;
    struct kmsd_keys k;
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE] = {0};
    struct ccz_kms_store *store = NULL;
    ccz_rc rc = kmsd_keys_open(&k, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_store_open(&store, &k.state, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_store_check(&c, store, &err);
    if (rc == CCZ_OK)
        ccz_kms_store_instance(instance, store);
    ccz_kms_store_free(store);
    kmsd_keys_close(&k);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    char hex[2 * CCZ_KMS_INSTANCE_SIZE + 1];
    ccz_hex(hex, instance, sizeof(instance));
    ui_out("versions=%llu policies=%llu bindings=%llu admins=%llu audit_lines=%llu instance=%s\n",
           (unsigned long long)c.versions, (unsigned long long)c.policies,
           (unsigned long long)c.bindings, (unsigned long long)c.admins,
           (unsigned long long)c.audit_lines, hex);
    return UI_OK;
}

static int cmd_migrate(const struct kmsd_opts *o)
{
    struct ccz_err err = {0};
    struct kmsd_keys k;
    ccz_rc rc = kmsd_keys_open(&k, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_migrate(&k.state, now_s(), &err);
    kmsd_keys_close(&k);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    ui_say("migrated; older versions of cczoo-kmsd refuse this store from now on");
    return UI_OK;
}

/* With a shell on the machine, beside all approvals: it is on record, and nobody does it over the network. */
static int cmd_admin(const struct kmsd_opts *o)
{
    struct ccz_kms_grant g = {.ns = o->ns, .label = o->label, .token = o->jwt_subject != NULL};
    struct ccz_err err = {0};
    bool whom = o->admin_key || o->jwt_subject;
    if (o->approvals < 0 && !o->jwt_subject && missing("admin-key", o->admin_key))
        return UI_USAGE;
    if (whom && missing("role", o->role))
        return UI_USAGE;
    if (o->jwt_subject && missing("jwt-issuer", o->jwt_issuer))
        return UI_USAGE;
    if (o->jwt_subject && o->admin_key) {
        ui_error("a role is for one: --admin-key, or --jwt-issuer and --jwt-subject");
        return UI_USAGE;
    }
    if (o->role && ccz_kms_roles_parse(&g.roles, o->role, &err) != CCZ_OK) {
        (void)ui_fail(&err);
        return UI_USAGE;
    }
    if (o->jwt_issuer && !o->jwt_subject) {
        ui_error("--jwt-issuer is that of a --jwt-subject");
        return UI_USAGE;
    }
    if (o->role && o->approvals >= 0) { /* the one would be done and the other refused */
        ui_error("--role and --approvals are two commands");
        return UI_USAGE;
    }
    if (o->role && !whom) {
        ui_error("--role and --admin-key, or --jwt-subject, come together");
        return UI_USAGE;
    }
    struct kmsd_keys k;
    struct ccz_kms_store *store = NULL;
    ccz_rc rc = kmsd_keys_open(&k, o, &err);
    if (rc == CCZ_OK && whom)
        rc = principal_of(g.principal, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_store_open(&store, &k.state, &err);
    if (rc == CCZ_OK && o->role)
        rc = ccz_kms_store_grant(store, &g, now_s(), &err);
    if (rc == CCZ_OK && o->approvals >= 0)
        rc = ccz_kms_store_set_quorum(store, o->ns ? o->ns : "*", (uint32_t)o->approvals, now_s(),
                                      &err);
    ccz_kms_store_free(store);
    kmsd_keys_close(&k);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    if (o->role)
        say_admin(o, g.principal, o->role);
    if (o->approvals >= 0)
        ui_say("approvals needed: %d", (int)o->approvals);
    return UI_OK;
}

static int cmd_run(const struct kmsd_opts *o)
{
    if (missing("listen", o->listen) || missing("tee", o->tee))
        return UI_USAGE;
    if (o->reattest_s < 0 || o->reattest_s > REATTEST_MAX_S) {
        ui_error("--reattest must be 0..%d", REATTEST_MAX_S);
        return UI_USAGE;
    }
    if (o->backup && o->state.database) {
        ui_error("--backup is for SQLite; of PostgreSQL: pg_dump, beside the servers");
        return UI_USAGE;
    }
    if (o->collateral_ca_file && !o->collateral_from) {
        ui_error("--collateral-ca-file needs --collateral-from");
        return UI_USAGE;
    }
    if (o->collateral_from && !o->collateral && !o->trust_sim) {
        ui_error("--collateral-from needs --collateral, the directory that it fills");
        return UI_USAGE;
    }
    if (!ui_count("rpc-rate", o->rpc_rate, 0, CCZ_KMS_RATE_MAX) ||
        !ui_count("rpc-total-rate", o->rpc_total_rate, 0, CCZ_KMS_RATE_MAX) ||
        !ui_count("rpc-handshakes", o->rpc_handshakes, 0, CCZ_KMS_RATE_MAX) ||
        !ui_count("rpc-total-handshakes", o->rpc_total_handshakes, 0, CCZ_KMS_RATE_MAX) ||
        !ui_count("crypto-threads", o->crypto_threads, 0, CCZ_KMS_CRYPTO_THREADS_MAX) ||
        !ui_count("quota-items", o->quota_items, 0, INT64_MAX) ||
        !ui_count("quota-versions", o->quota_versions, 0, INT64_MAX) ||
        !ui_count("quota-bytes", o->quota_bytes, 0, INT64_MAX) ||
        !ui_count("quota-policies", o->quota_policies, 0, INT64_MAX) ||
        !ui_count("quota-policy-bytes", o->quota_policy_bytes, 0, INT64_MAX))
        return UI_USAGE;
    return kmsd_prov_check(o) && kmsd_https_check(o) ? kmsd_run(o) : UI_USAGE;
}

static int cmd_rekey(const struct kmsd_opts *o)
{
    return missing("new-master-key", o->new_master_key) ? UI_USAGE : kmsd_rekey(o, now_s());
}

static int cmd_epoch(const struct kmsd_opts *o)
{
    return missing("epoch", o->epoch) ? UI_USAGE : kmsd_epoch(o, now_s());
}

/* --database: several servers on one store. */
static bool choose_backend(struct kmsd_opts *o)
{
    if (!o->state.database)
        return true;
#ifdef CCZ_HAVE_POSTGRESQL
    o->state.backend = ccz_kms_postgresql();
    return true;
#else
    ui_error("--database: this cczoo-kmsd was built without libpq");
    return false;
#endif
}

static const struct command {
    enum kmsd_command id;
    const char *name, *usage, *help;
    int (*run)(const struct kmsd_opts *o);
} commands[] = {
    {KMSD_INIT, "init",
     "cczoo-kmsd init --state DIR --admin-key FILE [--master-key WHERE] [--reuse-master-key] "
     "[--shares-dir DIR] [--epoch WHERE] [--database CONNECTION] [--approvals N --approver "
     "FILE,FILE]",
     "make master key and database, and name the first administrator", cmd_init},
    {KMSD_RUN, "run",
     "cczoo-kmsd run --state DIR --listen ADDR --tee PROVIDER [--collateral DIR] [--trust-sim DIR] "
     "...",
     "serve until SIGTERM; SIGHUP reads collateral, certificates and the map again and makes a new "
     "TLS identity; SIGUSR2 makes a --backup",
     cmd_run},
    {KMSD_CHECK, "check",
     "cczoo-kmsd check --state DIR [--master-key WHERE] [--database CONNECTION]",
     "check every row, value and audit line (the server must not run, but with --database)",
     cmd_check},
    {KMSD_MIGRATE, "migrate", "cczoo-kmsd migrate --state DIR [--master-key WHERE]",
     "bring a store of an older schema to that of this version; back it up first", cmd_migrate},
    {KMSD_ADMIN, "admin",
     "cczoo-kmsd admin --state DIR ((--admin-key FILE | --jwt-issuer ISS --jwt-subject SUB) --role "
     "ROLES | --approvals N) [--namespace NS]",
     "give a key, or the subject of tokens, roles, or take them away; set approvals (the server "
     "must "
     "not run, but with --database)",
     cmd_admin},
    {KMSD_REKEY, "rekey",
     "cczoo-kmsd rekey --state DIR --new-master-key WHERE [--master-key WHERE] [--shares-dir DIR]",
     "another master key, kept where you say (the server must not run)", cmd_rekey},
    {KMSD_EPOCH, "epoch",
     "cczoo-kmsd epoch --state DIR --epoch WHERE [--accept-lost | --accept-rolled-back]",
     "compare the store with its counter, or start that again (the server must not run)",
     cmd_epoch},
};
enum { COMMANDS_LEN = sizeof(commands) / sizeof(commands[0]) };

static int help(void)
{
    ui_out("usage: cczoo-kmsd COMMAND [--help]\n\n");
    for (size_t i = 0; i < COMMANDS_LEN; i++)
        ui_out("  %-8s %s\n", commands[i].name, commands[i].help);
    ui_out("  %-8s %s\n", "openapi", "print the OpenAPI document of --https");
    return UI_OK;
}

/* What is said beside what. */
static bool check_opts(const struct kmsd_opts *o)
{
    if (o->epoch_lag_s < 0 || o->epoch_lag_s > CCZ_KMS_EPOCH_LAG_MAX_S) {
        ui_error("--epoch-lag must be 0..%d", CCZ_KMS_EPOCH_LAG_MAX_S);
        return false;
    }
    if (o->epoch_lag_s && !o->epoch) {
        ui_error("--epoch-lag needs --epoch");
        return false;
    }
    const char *master = o->new_master_key ? o->new_master_key : o->master_key;
    if (o->shares_dir && (!master || strncmp(master, "shamir:", 7) != 0)) {
        ui_error("--shares-dir is for a master key of shamir:K/N");
        return false;
    }
    if (o->approvals < -1 || o->approvals > CCZ_KMS_APPROVALS_MAX) {
        ui_error("--approvals must be 0..%d", CCZ_KMS_APPROVALS_MAX);
        return false;
    }
    return true;
}

static int dispatch(const struct command *c, int argc, char **argv)
{
    struct kmsd_opts o = {.approvals = -1};
    int n = kmsd_parse(&o, c->id, c->usage, argc, argv);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0) {
        ui_error("unexpected operand: %s", argv[0]);
        return UI_USAGE;
    }
    if (!check_opts(&o))
        return UI_USAGE;
    o.only_looks = c->id == KMSD_CHECK;
    if (missing("state", o.state.dir) || !choose_backend(&o))
        return UI_USAGE;
    return c->run(&o);
}

static int run(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)help();
        return argc < 2 ? UI_USAGE : UI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        ui_out("cczoo-kmsd %s\n", CCZ_VERSION);
        return UI_OK;
    }
    if (strcmp(argv[1], "openapi") == 0 && argc == 2)
        return kmsd_openapi();
    for (size_t i = 0; i < COMMANDS_LEN; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return dispatch(&commands[i], argc - 1, argv + 1);
    ui_error("no such command: %s", argv[1]);
    ui_hint("cczoo-kmsd --help lists the commands");
    return UI_USAGE;
}

int main(int argc, char **argv)
{
    ccz_process_harden(); /* before anything secret is read */
    return ui_finish(run(argc, argv));
}
