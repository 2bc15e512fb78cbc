/* SPDX-License-Identifier: Apache-2.0 */
/* The key agent: alone until SIGTERM, or around one program, which ends it. `cczoo agent run` and cczoo-agent. */
#define _GNU_SOURCE
#include "agent_run.h"

#include "exec_tunnel.h"
#include "ui.h"

#include <cczoo/agent.h>
#include <cczoo/handover.h>
#include <cczoo/party.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = 64, SECONDS_MAX = 30 * 86400, FAILED = 125, REFUSED = 124 };

/* A comma-separated option, cut in place. */
struct list {
    const char *name[LIST_MAX];
    size_t len;
};

struct agent_opts {
    const char *kms, *policy, *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *ca_file;
    const char *socket, *ready_file, *unwrap, *wrap, *secret, *env, *measure;
    int64_t refresh_s, connections, idle_s, peer_uid;
    char **program; /* behind --, or NULL */
    struct list unwraps, wraps, secrets, envs, measured;
    char dir[64]; /* made for the socket of one program, else "" */
    char path[4096];
    char program_path[4096]; /* with measure_program: what is measured, and started */
};

static bool split(struct list *out, const char *option, const char *text)
{
    char *rest = (char *)(uintptr_t)text; /* an argument of ours */
    for (char *one; rest && (one = strsep(&rest, ",")) != NULL;) {
        if (!*one || out->len == LIST_MAX) {
            ui_error("--%s is a list of at most %d names: a,b,c/*", option, LIST_MAX);
            return false;
        }
        out->name[out->len++] = one;
    }
    return true;
}

/* VARIABLE=NAME: the program gets secret/NAME in it, so the agent has to have it. */
static bool split_env(struct agent_opts *o)
{
    if (!split(&o->envs, "env", o->env))
        return false;
    for (size_t i = 0; i < o->envs.len; i++) {
        char *equals = strchr(o->envs.name[i], '=');
        if (!equals || !equals[1] || o->secrets.len == LIST_MAX ||
            !ccz_handover_is_variable(
                CCZ_SPAN(o->envs.name[i], (size_t)(equals - o->envs.name[i])))) {
            ui_error("\"%s\": expected VARIABLE=NAME of a secret", o->envs.name[i]);
            return false;
        }
        *equals = 0;
        o->secrets.name[o->secrets.len++] = equals + 1;
    }
    return true;
}

static bool check(struct agent_opts *o)
{
    const struct {
        const char *name, *value;
    } required[] = {{"kms", o->kms},
                    {"policy", o->policy},
                    {"tee", o->tee},
                    {"socket", o->program ? "" : o->socket}};
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (!required[i].value) {
            ui_error("--%s is required", required[i].name);
            return false;
        }
    if (!split(&o->unwraps, "unwrap", o->unwrap) || !split(&o->wraps, "wrap", o->wrap) ||
        !split(&o->secrets, "secret", o->secret) || !split(&o->measured, "measure", o->measure) ||
        !split_env(o))
        return false;
    if (o->envs.len && !o->program) {
        ui_error("--env needs a program behind --");
        return false;
    }
    if (o->unwraps.len + o->wraps.len + o->secrets.len == 0) {
        ui_error("this agent may use nothing: name keys with --unwrap and --wrap, or --secret");
        return false;
    }
    if (o->refresh_s < 0 || o->refresh_s > SECONDS_MAX || o->idle_s < 0 ||
        o->idle_s > SECONDS_MAX || o->connections < 0 || o->connections > 1024 ||
        o->peer_uid < -1 || o->peer_uid > UINT32_MAX - 1) {
        ui_error("--refresh and --idle are seconds up to %d, --connections is 1..1024, --uid a "
                 "user's number",
                 SECONDS_MAX);
        return false;
    }
    return true;
}

static int options(struct agent_opts *o, int argc, char **argv, const char *usage)
{
    const struct ui_opt opts[] = {
        {"kms", &o->kms, NULL, NULL, "ADDR", "address of the KMS"},
        {"policy", &o->policy, NULL, NULL, "FILE",
         "policy that the evidence of the KMS must satisfy"},
        {"tee", &o->tee, NULL, NULL, "PROVIDER",
         "own evidence: gramine, configfs, tdx-guest, sev-guest, sim-sgx, sim-tdx, sim-snp"},
        {"sim-dir", &o->sim_dir, NULL, NULL, "DIR", "folder of the software TEE (cczoo sim init)"},
        {"measure", &o->measure, NULL, NULL, "FILE,..",
         "software TEE: files that are measured besides this program"},
        {"trust-sim", &o->trust_sim, NULL, NULL, "DIR",
         "trust this software TEE (everything says SIMULATED)"},
        {"collateral", &o->collateral, NULL, NULL, "DIR", "collateral of genuine platforms"},
        {"collateral-from", &o->collateral_from, NULL, NULL, "URL|pcs",
         "keep it fresh from a PCCS, or from Intel and AMD; absent = never ask anybody"},
        {"collateral-ca-file", &o->ca_file, NULL, NULL, "FILE",
         "PEM certificates that this PCCS may have"},
        {"socket", &o->socket, NULL, NULL, "PATH",
         "where to listen; absent with a program: in a private folder of its own"},
        {"ready-file", &o->ready_file, NULL, NULL, "FILE",
         "write the socket's path here when ready"},
        {"unwrap", &o->unwrap, NULL, NULL, "NAME,..",
         "master keys that open wrapped keys; a/* = all in a"},
        {"wrap", &o->wrap, NULL, NULL, "NAME,..", "master keys that wrap new ones"},
        {"secret", &o->secret, NULL, NULL, "NAME,..", "secrets that are handed over"},
        {"env", &o->env, NULL, NULL, "VARIABLE=NAME,..",
         "the program gets these secrets in its environment; without them it is not started"},
        {"refresh", NULL, &o->refresh_s, NULL, "SECONDS",
         "evidence older than this is made again, default 3600"},
        {"connections", NULL, &o->connections, NULL, "N", "at a time, default 64"},
        {"idle", NULL, &o->idle_s, NULL, "SECONDS",
         "a connection without a request for so long ends, default 600"},
        {"uid", NULL, &o->peer_uid, NULL, "N", "who may ask, default: the user of the agent"},
        {0},
    };
    int end = 1; /* the program's own options are none of ours */
    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    o->program = end + 1 < argc ? argv + end + 1 : NULL;
    o->peer_uid = -1;
    int n = ui_parse(end, argv, usage, opts);
    if (n < 0)
        return n == -2 ? -2 : UI_USAGE;
    if (n > 0 || (end < argc && !o->program)) {
        ui_error(n > 0 ? "expected -- before the program" : "expected a program behind --");
        return UI_USAGE;
    }
    return check(o) ? UI_OK : UI_USAGE;
}

/* ---------------------------------------------------------------------------- the agent */

struct running {
    struct ccz_party *party;
    struct ccz_agent_kms *kms;
    struct ccz_agent *agent;
};

static void stop(struct running *r)
{
    ccz_agent_free(r->agent);
    ccz_agent_kms_free(r->kms);
    ccz_party_free(r->party);
    *r = (struct running){0};
}

static ccz_rc start(struct running *r, struct agent_opts *o, struct ccz_err *err)
{
    const struct ccz_party_cfg party = {
        .tee = {.provider = o->tee,
                .sim_dir = o->sim_dir,
                .measure = o->measured.name,
                .measure_len = o->measured.len},
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .collateral_from = o->collateral_from,
        .collateral_ca_file = o->ca_file,
        .policy_file = o->policy,
    };
    ccz_rc rc = ccz_party_new(&r->party, &party, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_party_simulated(r->party))
        ui_simulated("the evidence of this agent or of its KMS comes from a software TEE");
    const struct ccz_agent_kms_cfg kms = {
        .target = o->kms, .party = r->party, .refresh_ms = o->refresh_s * 1000};
    rc = ccz_agent_kms_new(&r->kms, &kms, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_agent_cfg cfg = {.socket = o->path,
                                      .release = ccz_agent_kms_release,
                                      .release_arg = r->kms,
                                      .unwrap = {o->unwraps.name, o->unwraps.len},
                                      .wrap = {o->wraps.name, o->wraps.len},
                                      .secret = {o->secrets.name, o->secrets.len},
                                      .peer_uid_set = o->peer_uid >= 0,
                                      .peer_uid = (uint32_t)o->peer_uid,
                                      .connections_max = (unsigned)o->connections,
                                      .idle_timeout_ms = o->idle_s * 1000};
    rc = ccz_agent_new(&r->agent, &cfg, err);
    if (rc == CCZ_OK && o->ready_file)
        rc = ccz_file_write(o->ready_file, ccz_span_str(o->path), 0600, CCZ_FILE_REPLACE, err);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "agent", "ready socket=%s unwrap=%zu wrap=%zu secret=%zu%s", o->path,
                o->unwraps.len, o->wraps.len, o->secrets.len,
                ccz_party_simulated(r->party) ? " SIMULATED" : "");
    return rc;
}

/* Without --socket, a folder of one's own is what nobody else can have put something into. */
static ccz_rc choose_path(struct agent_opts *o, struct ccz_err *err)
{
    int n = -1;
    if (o->socket) {
        n = snprintf(o->path, sizeof(o->path), "%s", o->socket);
    } else {
        (void)snprintf(o->dir, sizeof(o->dir), "/tmp/cczoo-agent.XXXXXX");
        if (!mkdtemp(o->dir)) {
            o->dir[0] = 0;
            return ccz_fail(err, CCZ_E_IO, "agent:socket", errno, "no folder for the socket: %s",
                            strerror(errno));
        }
        n = snprintf(o->path, sizeof(o->path), "%s/agent.sock", o->dir);
    }
    if (n < 0 || (size_t)n >= sizeof(o->path))
        return ccz_fail(err, CCZ_E_ARG, "agent:socket", n, "the path is too long");
    return CCZ_OK;
}

static int run_alone(struct agent_opts *o, struct ccz_err *err)
{
    struct running r = {0};
    sigset_t set;
    int got = 0;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
    ccz_rc rc = start(&r, o, err);
    if (rc == CCZ_OK) {
        while (sigwait(&set, &got) != 0)
            ;
        ccz_log(CCZ_LOG_INFO, "agent", "stopping signal=%d", got);
    }
    stop(&r);
    return rc == CCZ_OK ? UI_OK : ui_fail(err);
}

/* --------------------------------------------------------------------- around a program */

/* The child asks the agent as any other program does. */
static ccz_rc set_variables(const struct agent_opts *o, struct ccz_err *err)
{
    CCZ_AUTO(ccz_agent_client) c = NULL;
    ccz_rc rc = setenv(AGENT_VARIABLE, o->path, 1) == 0
                    ? CCZ_OK
                    : ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
    if (rc == CCZ_OK && o->envs.len)
        rc = ccz_agent_client_new(&c, o->path, err);
    for (size_t i = 0; rc == CCZ_OK && i < o->envs.len; i++) {
        const char *variable = o->envs.name[i];
        CCZ_AUTO(ccz_secret) value = NULL;
        char text[8192];
        rc = ccz_agent_client_secret(&value, c, variable + strlen(variable) + 1, err);
        if (rc != CCZ_OK)
            return rc;
        size_t size = ccz_secret_size(value);
        if (size >= sizeof(text) || memchr(ccz_secret_view(value), 0, size))
            return ccz_fail(err, CCZ_E_FORMAT, "agent:env", (int64_t)size,
                            "the secret for %.64s has a NUL, or more than %zu bytes", variable,
                            sizeof(text) - 1);
        memcpy(text, ccz_secret_view(value), size);
        text[size] = 0;
        if (setenv(variable, text, 1) != 0)
            rc = ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
        ccz_wipe(text, sizeof(text));
    }
    return rc;
}

/* Returns on failure only. */
static int become(const struct agent_opts *o, struct exec_pair *p, struct ccz_err *err)
{
    ccz_rc rc = exec_pair_ready(p, err);
    if (rc == CCZ_E_CLOSED)
        return FAILED; /* the agent has told why */
    if (rc == CCZ_OK)
        rc = set_variables(o, err);
    if (rc == CCZ_OK) {
        (void)execvp(o->program_path[0] ? o->program_path : o->program[0], o->program);
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "agent:program", errno, "cannot start %.100s: %s",
                      o->program[0], strerror(errno));
    }
    return ui_fail(err) == UI_NO ? REFUSED : FAILED;
}

static int run_around(struct agent_opts *o, struct ccz_err *err)
{
    struct exec_pair p = {0};
    struct running r = {0};
    ccz_rc rc = exec_pair_fork(&p, err); /* before there are threads */
    if (rc == CCZ_OK && p.child == 0)
        return become(o, &p, err);
    if (rc != CCZ_OK)
        return p.child == 0 ? FAILED : (ui_fail(err), FAILED);
    bool ready = exec_pair_wait(&p);
    if (ready)
        rc = start(&r, o, err);
    int failed = rc == CCZ_OK ? 0 : ui_fail(err) == UI_NO ? REFUSED : FAILED;
    if (ready && !failed)
        exec_pair_go(&p);
    (void)close(p.to); /* a child that waits for us sees the end */
    int status = exec_pair_supervise(&p);
    stop(&r);
    return failed ? failed : exec_pair_finish(&p, status);
}

/* Where execvp() would find it. */
static ccz_rc find_program(char *out, size_t size, const char *name, struct ccz_err *err)
{
    const char *dirs = strchr(name, '/') ? NULL : getenv("PATH");
    int n = snprintf(out, size, "%s", name);
    bool found = !dirs && n >= 0 && (size_t)n < size && access(out, X_OK) == 0;
    for (const char *at = dirs; at && !found;) {
        const size_t len = strcspn(at, ":");
        n = len ? snprintf(out, size, "%.*s/%s", (int)len, at, name)
                : snprintf(out, size, "./%s", name);
        found = n >= 0 && (size_t)n < size && access(out, X_OK) == 0;
        at = at[len] ? at + len + 1 : NULL;
    }
    return found
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_NOT_FOUND, "agent:program", errno, "cannot find %.100s", name);
}

/* The software TEE can say which program the agent serves; real ones measure the whole image. */
static ccz_rc add_program(struct agent_opts *o, struct ccz_err *err)
{
    if (!o->program || strncmp(o->tee, "sim-", 4) != 0)
        return CCZ_OK;
    if (o->measured.len == LIST_MAX)
        return ccz_fail(err, CCZ_E_ARG, "agent:measure", LIST_MAX, "too many measured files");
    ccz_rc rc = find_program(o->program_path, sizeof(o->program_path), o->program[0], err);
    if (rc != CCZ_OK)
        return rc;
    memmove(o->measured.name + 1, o->measured.name, o->measured.len * sizeof(*o->measured.name));
    o->measured.name[0] = o->program_path;
    o->measured.len++;
    return CCZ_OK;
}

int agent_run(int argc, char **argv, const char *usage, bool measure_program)
{
    struct agent_opts *o = calloc(1, sizeof(*o));
    struct ccz_err err = {0};
    if (!o) {
        ui_error("out of memory");
        return UI_ENV;
    }
    int status = options(o, argc, argv, usage);
    if (status == UI_OK) {
        ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
        if (choose_path(o, &err) != CCZ_OK)
            status = ui_fail(&err);
        else if (measure_program && add_program(o, &err) != CCZ_OK)
            status = ui_fail(&err) == UI_NO ? REFUSED : FAILED;
        else
            status = o->program ? run_around(o, &err) : run_alone(o, &err);
        if (o->dir[0])
            (void)rmdir(o->dir);
    }
    free(o);
    return status == -2 ? UI_OK : status;
}
