/* SPDX-License-Identifier: Apache-2.0 */
/* The key agent: alone until SIGTERM, or around one program, which ends it. `cczoo agent run` and cczoo-agent. */
#define _GNU_SOURCE
#include "agent_run.h"

#include "exec_tunnel.h"
#include "ui.h"

#include <cczoo/agent.h>
#include <cczoo/crypto.h>
#include <cczoo/handover.h>
#include <cczoo/party.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LIST_MAX = 64, SECONDS_MAX = 30 * 86400, FAILED = 125, REFUSED = 124 };

/* A comma-separated option, cut in place. */
struct list {
    const char *name[LIST_MAX];
    size_t len;
};

struct agent_opts {
    bool measured; /* cczoo-agent: the evidence says what it was told to do */
    const char *kms, *policy, *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *ca_file;
    const char *kms_id, *socket, *ready_file, *unwrap, *wrap, *secret, *env, *measure, *pass_env;
    int64_t refresh_s, connections, idle_s, peer_uid;
    bool inherit_env, any_arguments, measurement;
    struct list unwraps, wraps, secrets, files, passed;
    char *specs[LIST_MAX]; /* of the secrets in launch.secrets, owned */
    char dir[64];          /* made for the socket of one program, else "" */
    int folder;            /* nobody else sees or changes what is in it; -1: no such one */
    pid_t self;            /* of the agent, also in its child */
    char path[4096];
    struct launch launch; /* of the program behind --, if there is one: launch.argv */
    struct ccz_kms_instance instance;
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

/* Where the program finds us is nobody else's to say. */
static bool is_own(const char *variable)
{
    static const char *const own[] = {CCZ_AGENT_VARIABLE, CCZ_AGENT_PID_VARIABLE};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (ccz_span_eq(CCZ_SPAN(variable, strcspn(variable, "=")), ccz_span_str(own[i]))) {
            ui_error("%s is set by the agent", own[i]);
            return true;
        }
    return false;
}

/* VARIABLE=NAME: the program gets secret/NAME in it, so the agent has to have it. */
static bool split_env(struct agent_opts *o)
{
    struct list envs = {0};
    struct launch_list *specs = &o->launch.secrets;
    if (!split(&envs, "env", o->env))
        return false;
    for (size_t i = 0; i < envs.len; i++) {
        char *equals = strchr(envs.name[i], '=');
        if (!equals || !equals[1] || o->secrets.len == LIST_MAX ||
            !ccz_handover_is_variable(CCZ_SPAN(envs.name[i], (size_t)(equals - envs.name[i])))) {
            ui_error("\"%s\": expected VARIABLE=NAME of a secret", envs.name[i]);
            return false;
        }
        if (is_own(envs.name[i]))
            return false;
        *equals = 0;
        o->secrets.name[o->secrets.len++] = equals + 1;
        if (asprintf(&o->specs[i], "secret/%s=env:%s", equals + 1, envs.name[i]) < 0) {
            o->specs[i] = NULL;
            ui_error("out of memory");
            return false;
        }
        specs->text[specs->len++] = o->specs[i];
    }
    return true;
}

static bool is_sim(const struct agent_opts *o)
{
    return strncmp(o->tee, "sim-", 4) == 0;
}

/* What the program is, and what it gets, beside what the KMS gives. */
static bool check_launch(struct agent_opts *o)
{
    struct launch *l = &o->launch;
    if (!split(&o->files, "measure", o->measure) || !split(&o->passed, "pass-env", o->pass_env) ||
        !split_env(o))
        return false;
    if (l->secrets.len && !l->argv) {
        ui_error("--env needs a program behind --");
        return false;
    }
    if (o->measured && o->socket && l->argv) {
        ui_error("--socket is for an agent without a program: a program's agent listens where "
                 "nobody else does");
        return false;
    }
    if ((o->passed.len || o->inherit_env || o->any_arguments) && !l->argv) {
        ui_error("--pass-env, --inherit-env and --any-arguments-insecure need a program behind --");
        return false;
    }
    if (!is_sim(o) && (o->files.len || o->any_arguments || o->measurement)) {
        ui_error("--measure, --any-arguments-insecure and --measurement are for the software TEE");
        ui_hint("elsewhere the measured image or manifest says what is started, with which "
                "arguments: docs/reference/agent.md");
        return false;
    }
    l->identity = o->measured && is_sim(o) ? LAUNCH_EVIDENCE : LAUNCH_IMAGE;
    l->pin_program = l->allow_swap = true; /* what the program keeps in memory is its affair */
    l->any_arguments = o->any_arguments;
    l->inherit_env = !o->measured || o->inherit_env || o->any_arguments;
    for (size_t i = 0; i < o->passed.len; i++) {
        if (is_own(o->passed.name[i]))
            return false;
        l->env.text[l->env.len++] = o->passed.name[i];
    }
    for (size_t i = 0; i < o->files.len && l->identity == LAUNCH_EVIDENCE && l->argv; i++)
        l->measure.text[l->measure.len++] = o->files.name[i];
    return true;
}

static bool check(struct agent_opts *o)
{
    const struct ui_need needs[] = {{"kms", o->measurement || o->kms},
                                    {"policy", o->policy},
                                    {"tee", o->tee},
                                    {"socket", o->launch.argv || o->measurement || o->socket}};
    if (!ui_needs(needs, sizeof(needs) / sizeof(needs[0])))
        return false;
    if (!split(&o->unwraps, "unwrap", o->unwrap) || !split(&o->wraps, "wrap", o->wrap) ||
        !split(&o->secrets, "secret", o->secret) || !check_launch(o))
        return false;
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

enum { OWN_OPTIONS = 4 }; /* of cczoo-agent, the last ones of the table */

/* Where our own arguments end: the options of the program behind "--" are none of ours. */
static int own_end(int argc, char **argv)
{
    int end = 1;
    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    return end;
}

static int options(struct agent_opts *o, int argc, char **argv, const char *usage)
{
    struct ui_opt opts[] = {
        {"kms", &o->kms, NULL, NULL, "ADDR", "address of the KMS"},
        {"policy", &o->policy, NULL, NULL, "FILE",
         "policy that the evidence of the KMS must satisfy"},
        {"kms-id", &o->kms_id, NULL, NULL, "HEX",
         "which KMS (cczoo kms status); absent = that of the first value"},
        UI_OWN_EVIDENCE(o),
        {"measure", &o->measure, NULL, NULL, "FILE,..",
         "software TEE: files that are measured as well"},
        UI_TRUST(o, ca_file),
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
        {"pass-env", &o->pass_env, NULL, NULL, "NAME[=VALUE],..",
         "variables for the program, measured; it gets no others"},
        {"inherit-env", NULL, NULL, &o->inherit_env, NULL, "give it the whole environment"},
        {"any-arguments-insecure", NULL, NULL, &o->any_arguments, NULL,
         "software TEE: the measurement is of this program with any arguments, in any environment"},
        {"measurement", NULL, NULL, &o->measurement, NULL,
         "software TEE: print the measurement that the evidence will have, and end"},
        {0},
    };
    int end = own_end(argc, argv);
    o->launch.argv = end + 1 < argc ? argv + end + 1 : NULL;
    if (!o->measured)
        opts[sizeof(opts) / sizeof(opts[0]) - 1 - OWN_OPTIONS] = (struct ui_opt){0};
    o->peer_uid = -1;
    int n = ui_parse(end, argv, usage, opts);
    if (n < 0)
        return n == -2 ? -2 : UI_USAGE;
    if (n > 0 || (end < argc && !o->launch.argv)) {
        ui_error(n > 0 ? "expected -- before the program" : "expected a program behind --");
        return UI_USAGE;
    }
    return check(o) ? UI_OK : UI_USAGE;
}

/* ---------------------------------------------------------------------------- the agent */

static int failed(const struct ccz_err *err)
{
    return ui_fail(err) == UI_NO ? REFUSED : FAILED;
}

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

/* After stop(), which removes the socket. A child that fails leaves the folder to the agent. */
static void leave_folder(struct agent_opts *o)
{
    if (o->folder >= 0)
        (void)close(o->folder);
    if (o->dir[0] && getpid() == o->self)
        (void)rmdir(o->dir);
    o->folder = -1;
    o->dir[0] = 0;
}

/* What the evidence is over. A record has measured files in it if there is a program: the copies that this will read. */
static struct ccz_attester_cfg evidence(const struct agent_opts *o)
{
    struct ccz_attester_cfg cfg = {.provider = o->tee, .sim_dir = o->sim_dir};
    if (o->launch.identity == LAUNCH_EVIDENCE)
        cfg.record = ccz_buf_span(&o->launch.record);
    if (o->launch.measure.len == 0) {
        cfg.measure = o->files.name;
        cfg.measure_len = o->files.len;
    }
    return cfg;
}

/* @param child  the program, or 0: it and what it starts may ask, and nobody else */
static ccz_rc start(struct running *r, struct agent_opts *o, pid_t child, struct ccz_err *err)
{
    const struct ccz_party_cfg party = {
        .tee = evidence(o),
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .collateral_from = o->collateral_from,
        .collateral_ca_file = o->ca_file,
        .policy_file = o->launch.policy_path,
    };
    ccz_rc rc = ccz_party_new(&r->party, &party, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_party_simulated(r->party))
        ui_simulated("the evidence of this agent or of its KMS comes from a software TEE");
    const struct ccz_agent_kms_cfg kms = {.target = o->kms,
                                          .party = r->party,
                                          .refresh_ms = o->refresh_s * 1000,
                                          .instance = o->instance};
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
                                      .peer_root = child,
                                      .connections_max = (unsigned)o->connections,
                                      .idle_timeout_ms = o->idle_s * 1000};
    rc = ccz_agent_new(&r->agent, &cfg, err);
    if (rc == CCZ_OK && o->folder >= 0)
        rc = ccz_handover_ram_dir_close(o->folder, err);
    if (rc == CCZ_OK && o->ready_file)
        rc = ccz_file_write(o->ready_file, ccz_span_str(o->path), 0600, CCZ_FILE_REPLACE, err);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "agent", "ready socket=%s unwrap=%zu wrap=%zu secret=%zu%s", o->path,
                o->unwraps.len, o->wraps.len, o->secrets.len,
                ccz_party_simulated(r->party) ? " SIMULATED" : "");
    return rc;
}

/*
 * With mounts of their own, agent and program have a folder that no other process of their user sees, and that nobody can take away:
 * what is mounted in /tmp goes when somebody removes or renames the folder under it, and nothing is removed or renamed in /proc.
 */
static ccz_rc private_folder(struct agent_opts *o, struct ccz_err *err)
{
    static const char *const places[] = {"/proc/tty/driver",
                                         "/proc/fs"}; /* of no use to programs */
    ccz_rc rc = CCZ_E_NOT_FOUND;
    for (size_t i = 0; rc == CCZ_E_NOT_FOUND && i < sizeof(places) / sizeof(places[0]); i++) {
        rc = ccz_handover_ram_over(&o->folder, places[i], err);
        (void)snprintf(o->path, sizeof(o->path), "%s/agent.sock", places[i]);
    }
    return rc;
}

static ccz_rc shared_folder(struct agent_opts *o, struct ccz_err *err)
{
    (void)snprintf(o->dir, sizeof(o->dir), "/tmp/cczoo-agent.XXXXXX");
    if (!mkdtemp(o->dir)) {
        o->dir[0] = 0;
        return ccz_fail(err, CCZ_E_IO, "agent:socket", errno, "no folder for the socket: %s",
                        strerror(errno));
    }
    (void)snprintf(o->path, sizeof(o->path), "%s/agent.sock", o->dir);
    return CCZ_OK;
}

/* After launch_prepare(), which makes the mounts. */
static ccz_rc choose_path(struct agent_opts *o, struct ccz_err *err)
{
    if (!o->socket)
        return o->launch.identity == LAUNCH_EVIDENCE ? private_folder(o, err)
                                                     : shared_folder(o, err);
    const int n = snprintf(o->path, sizeof(o->path), "%s", o->socket);
    return n >= 0 && (size_t)n < sizeof(o->path)
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_ARG, "agent:socket", n, "the path is too long");
}

static int run_alone(struct agent_opts *o, struct ccz_err *err)
{
    ccz_process_harden();
    struct running r = {0};
    sigset_t set;
    int got = 0;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
    ccz_rc rc = start(&r, o, 0, err);
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
static ccz_rc fetch(struct agent_opts *o, struct ccz_err *err)
{
    struct launch *l = &o->launch;
    char pid[24];
    CCZ_AUTO(ccz_agent_client) c = NULL;
    (void)snprintf(pid, sizeof(pid), "%d", (int)o->self);
    ccz_rc rc = launch_give_env(l, CCZ_AGENT_VARIABLE, o->path, err);
    if (rc == CCZ_OK)
        rc = launch_give_env(l, CCZ_AGENT_PID_VARIABLE, pid, err);
    if (rc == CCZ_OK && l->secrets.len)
        rc = ccz_agent_client_new(&c, o->path, o->self, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->secrets.len; i++)
        rc = ccz_agent_client_secret(&l->values[i], c, l->specs[i].item + strlen("secret/"), err);
    return rc;
}

/* Returns on failure only. */
static int become(struct agent_opts *o, struct exec_pair *p, struct ccz_err *err)
{
    ccz_rc rc = exec_pair_ready(p, err);
    if (rc == CCZ_E_CLOSED)
        return FAILED; /* the agent has told why */
    if (rc == CCZ_OK)
        rc = fetch(o, err);
    if (rc == CCZ_OK)
        rc = launch_hand_over(&o->launch, err);
    if (rc == CCZ_OK)
        (void)launch_start(&o->launch, err);
    return failed(err);
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
    ccz_process_harden(); /* limits of the agent alone: the program is another process by now */
    bool ready = exec_pair_wait(&p);
    if (ready)
        rc = start(&r, o, p.child, err);
    int refused = rc == CCZ_OK ? 0 : failed(err);
    if (ready && !refused)
        exec_pair_go(&p);
    (void)close(p.to); /* a child that waits for us sees the end */
    int status = exec_pair_supervise(&p);
    stop(&r);
    leave_folder(o);
    return refused ? refused : exec_pair_finish(&p, status); /* may end by the program's signal */
}

/* ------------------------------------------------------------------------------ identity */

static void record_names(struct launch *l, const char *tag, const struct list *names)
{
    for (size_t i = 0; i < names->len; i++)
        launch_record(l, tag, ccz_span_str(names->name[i]));
}

/* Up to where nothing is left but to start; what the evidence is to name is in the record then. */
static ccz_rc prepare(struct agent_opts *o, struct ccz_err *err)
{
    struct launch *l = &o->launch;
    ccz_rc rc = l->argv ? launch_find(l, err) : CCZ_OK;
    if (rc == CCZ_OK && l->argv)
        rc = launch_prepare(l, err);
    else if (rc == CCZ_OK) /* serves whoever runs as its user */
        launch_record(l, "agent-alone", (struct ccz_span){0});
    if (rc == CCZ_OK)
        rc = launch_keep_policy(l, o->policy, o->trust_sim, err);
    if (rc == CCZ_OK)
        rc = launch_keep_kms_id(l, &o->instance, o->kms_id, err);
    record_names(l, "agent-unwrap", &o->unwraps);
    record_names(l, "agent-wrap", &o->wraps);
    record_names(l, "agent-secret", &o->secrets);
    return rc == CCZ_OK ? launch_check_record(l, err) : rc;
}

/* For whoever writes the policies of the KMS. */
static ccz_rc print_measurement(const struct agent_opts *o, struct ccz_err *err)
{
    const struct ccz_attester_cfg cfg = evidence(o);
    char hex[2 * CCZ_HASH_SIZE_MAX + 1];
    CCZ_AUTO(ccz_attester) a = NULL;
    ccz_rc rc = ccz_attester_open(&a, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_span m = ccz_attester_measurement(a);
    ccz_hex(hex, m.ptr, m.size);
    ui_out("%s\n", hex);
    return CCZ_OK;
}

static int run(struct agent_opts *o, struct ccz_err *err)
{
    if (launch_begin(&o->launch, err) != CCZ_OK || prepare(o, err) != CCZ_OK)
        return o->launch.argv ? failed(err) : ui_fail(err);
    if (o->measurement)
        return print_measurement(o, err) == CCZ_OK ? UI_OK : ui_fail(err);
    if (choose_path(o, err) != CCZ_OK)
        return o->launch.argv ? failed(err) : ui_fail(err);
    return o->launch.argv ? run_around(o, err) : run_alone(o, err);
}

int agent_run(int argc, char **argv, const char *usage, bool measured)
{
    struct agent_opts *o = calloc(1, sizeof(*o));
    struct ccz_err err = {0};
    if (!o) {
        ui_error("out of memory");
        return UI_ENV;
    }
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* limits and mask are the program's */
    o->measured = measured;
    o->folder = -1;
    o->self = getpid();
    o->launch.program = o->launch.policy = -1;
    int status = options(o, argc, argv, usage);
    if (status == UI_OK) {
        ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
        status = run(o, &err);
        launch_end(&o->launch);
        leave_folder(o);
    }
    for (size_t i = 0; i < LIST_MAX; i++)
        free(o->specs[i]);
    free(o);
    return status == -2 ? UI_OK : status;
}
