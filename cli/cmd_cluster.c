/* SPDX-License-Identifier: Apache-2.0 */
/* `cczoo cluster up|status|roll|scale|drain|down`: options, and asking a cluster that runs. */
#include "cli.h"
#include "cluster.h"

#include <cczoo/codec.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ANSWER_SIZE_MAX = 256 << 10, WAIT_STEP_MS = 100 };

static const char default_dir[] = "cczoo-cluster";

/* ------------------------------------------------------------------------------- up */

static int up(int argc, char **argv)
{
    struct cluster_cfg cfg = {
        .dir = default_dir, .nginx = "/usr/sbin/nginx", .listen = "127.0.0.1:8500"};
    int64_t replicas = 3, start_s = 120, grace_s = 15;
    const struct ui_opt opts[] = {
        {"dir", &cfg.dir, NULL, NULL, "DIR", "run files and logs, default ./cczoo-cluster"},
        {"replicas", NULL, &replicas, NULL, "N", "default 3"},
        {"listen", &cfg.listen, NULL, NULL, "ADDR", "of the balancer, default 127.0.0.1:8500"},
        {"rest-listen", &cfg.rest_listen, NULL, NULL, "ADDR",
         "the same for REST; absent = no REST"},
        {"nginx", &cfg.nginx, NULL, NULL, "FILE", "default /usr/sbin/nginx"},
        {"start-timeout", NULL, &start_s, NULL, "SECONDS",
         "a replica has to be ready by then, default 120"},
        {"grace", NULL, &grace_s, NULL, "SECONDS",
         "between SIGTERM and SIGKILL, default 15: more than the replicas' own --grace"},
        {0},
    };
    int split = 1;
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    int n =
        ui_parse(split, argv,
                 "cczoo cluster up [--replicas N] ... -- cczoo-served --model-name NAME ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0 || split + 1 >= argc) {
        ui_error("the replicas' command line belongs behind \"--\"");
        ui_hint("for example: cczoo cluster up --replicas 3 -- cczoo-served --model-name m ...");
        return UI_USAGE;
    }
    if (!ui_count("replicas", replicas, 1, CLUSTER_REPLICAS_MAX) ||
        !ui_count("start-timeout", start_s, 1, 3600) || !ui_count("grace", grace_s, 1, 3600))
        return UI_USAGE;
    cfg.replicas = (unsigned)replicas;
    cfg.times = (struct cluster_times){
        .start_ms = start_s * 1000, .leave_ms = 500, .grace_ms = grace_s * 1000};
    cfg.argv = argv + split + 1;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
    struct ccz_err err = {0};
    return cluster_run(&cfg, &err) == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* ------------------------------------------------------------------------------ ask */

/* Sends one request; @p *j is the answer, 0 the status. */
static int ask(struct ccz_json **j, const char *dir, struct ccz_span request)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&answer, ANSWER_SIZE_MAX);
    ccz_rc rc = cluster_ask(&answer, dir, request, &err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(j, ccz_buf_span(&answer), &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    const char *wrong = ccz_json_str(ccz_json_get(*j, "error"));
    if (!wrong)
        return UI_OK;
    ui_error("%s", wrong);
    ccz_json_free(*j);
    *j = NULL;
    return UI_NO;
}

static int64_t number(const struct ccz_json *j, const char *key)
{
    int64_t v = -1;
    return ccz_json_int(&v, ccz_json_get(j, key)) ? v : -1;
}

static const char *text(const struct ccz_json *j, const char *key)
{
    const char *t = ccz_json_str(ccz_json_get(j, key));
    return t ? t : "";
}

static bool is_rolling(const struct ccz_json *j)
{
    bool rolling = false;
    return ccz_json_bool(&rolling, ccz_json_get(j, "rolling")) && rolling;
}

static void show(const struct ccz_json *j)
{
    ui_out("%lld of %lld replicas are ready behind %s, generation %lld%s\n",
           (long long)number(j, "ready"), (long long)number(j, "replicas"), text(j, "listen"),
           (long long)number(j, "generation"), is_rolling(j) ? ", rolling" : "");
    const struct ccz_json *slots = ccz_json_get(j, "slots");
    for (size_t i = 0; i < ccz_json_len(slots); i++) {
        const struct ccz_json *s = ccz_json_at(slots, i);
        ui_out("  %-12s %-9s generation %lld  pid %-7lld port %lld\n", text(s, "name"),
               text(s, "state"), (long long)number(s, "generation"), (long long)number(s, "pid"),
               (long long)number(s, "port"));
    }
}

struct ask_opts {
    const char *dir;
    bool json, no_wait;
    int64_t timeout_s;
};

/* Until @p done says so of the status, or the time is over. */
static int wait_for(const struct ask_opts *o, bool (*done)(const struct ccz_json *j))
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
    for (int64_t left = o->timeout_s * 1000; left > 0; left -= WAIT_STEP_MS) {
        CCZ_AUTO(ccz_json) j = NULL;
        int status = ask(&j, o->dir, ccz_span_str("{\"do\":\"status\"}\n"));
        if (status != UI_OK)
            return status;
        if (done(j)) {
            show(j);
            return UI_OK;
        }
        (void)nanosleep(&step, NULL);
    }
    ui_error("not done after %lld seconds", (long long)o->timeout_s);
    return UI_ENV;
}

static int parse(struct ask_opts *o, int argc, char **argv, const char *usage)
{
    *o = (struct ask_opts){.dir = default_dir, .timeout_s = 300};
    const struct ui_opt opts[] = {
        {"dir", &o->dir, NULL, NULL, "DIR", "of `cczoo cluster up`, default ./cczoo-cluster"},
        {"json", NULL, NULL, &o->json, NULL, "status as one JSON object"},
        {"no-wait", NULL, NULL, &o->no_wait, NULL, "do not wait until it is done"},
        {"timeout", NULL, &o->timeout_s, NULL, "SECONDS", "wait at most so long, default 300"},
        {0},
    };
    return ui_parse(argc, argv, usage, opts);
}

static int status(int argc, char **argv)
{
    struct ask_opts o;
    int n = parse(&o, argc, argv, "cczoo cluster status [--dir DIR] [--json]");
    if (n != 0)
        return n < 0 ? ui_parse_status(n) : UI_USAGE;
    struct ccz_err err = {0};
    if (o.json) {
        CCZ_AUTO_BUF answer;
        ccz_buf_init(&answer, ANSWER_SIZE_MAX);
        ccz_rc rc = cluster_ask(&answer, o.dir, ccz_span_str("{\"do\":\"status\"}\n"), &err);
        if (rc != CCZ_OK)
            return ui_fail(&err);
        ui_out_span(ccz_buf_span(&answer));
        return UI_OK;
    }
    CCZ_AUTO(ccz_json) j = NULL;
    int s = ask(&j, o.dir, ccz_span_str("{\"do\":\"status\"}\n"));
    if (s == UI_OK)
        show(j);
    return s;
}

static bool all_ready(const struct ccz_json *j)
{
    return !is_rolling(j) && number(j, "ready") == number(j, "replicas") &&
           ccz_json_len(ccz_json_get(j, "slots")) == (size_t)number(j, "replicas");
}

/* Sends, and waits until as many replicas as wanted are ready and no others are there. */
static int send_and_wait(const struct ask_opts *o, struct ccz_span request)
{
    CCZ_AUTO(ccz_json) j = NULL;
    int s = ask(&j, o->dir, request);
    return s != UI_OK || o->no_wait ? s : wait_for(o, all_ready);
}

/* The generation that a roll made, or went back from. */
static int64_t generation(const char *dir)
{
    CCZ_AUTO(ccz_json) j = NULL;
    return ask(&j, dir, ccz_span_str("{\"do\":\"status\"}\n")) == UI_OK ? number(j, "generation")
                                                                        : -1;
}

static int roll(int argc, char **argv)
{
    int split = 1;
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    struct ask_opts o;
    int n = parse(&o, split, argv, "cczoo cluster roll [--dir DIR] -- cczoo-served ...");
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0 || split + 1 >= argc) {
        ui_error("the new command line belongs behind \"--\"");
        return UI_USAGE;
    }
    CCZ_AUTO_BUF request;
    ccz_buf_init(&request, ANSWER_SIZE_MAX);
    ccz_buf_put_str(&request, "{\"do\":\"roll\",\"argv\":[");
    for (int i = split + 1; i < argc; i++) {
        ccz_buf_put_str(&request, i > split + 1 ? "," : "");
        ccz_json_put_str(&request, ccz_span_str(argv[i]));
    }
    ccz_buf_put_str(&request, "]}\n");
    if (request.bad) {
        ui_error("the command line is too long");
        return UI_USAGE;
    }
    const int64_t before = generation(o.dir);
    int s = before < 0 ? UI_ENV : send_and_wait(&o, ccz_buf_span(&request));
    if (s == UI_OK && !o.no_wait && generation(o.dir) == before) {
        ui_error("the new replicas did not come up: the old ones serve on");
        ui_hint("their last words are in %s/replica-*.log; if the KMS refused them, its policy has "
                "to allow both measurements while the cluster rolls",
                o.dir);
        return UI_NO;
    }
    return s;
}

/* `scale N`, `drain N`. */
static int with_number(int argc, char **argv, const char *verb, const char *usage)
{
    struct ask_opts o;
    int n = parse(&o, argc, argv, usage);
    if (n < 0)
        return ui_parse_status(n);
    char *end = NULL;
    long v = n == 1 ? strtol(argv[0], &end, 10) : -1;
    if (n != 1 || end == argv[0] || *end || v < 0 || v > CLUSTER_SLOTS) {
        ui_error("%s needs one number", verb);
        return UI_USAGE;
    }
    CCZ_AUTO_BUF request;
    ccz_buf_init(&request, 256);
    ccz_buf_printf(&request, "{\"do\":\"%s\",\"n\":%ld}\n", verb, v);
    return send_and_wait(&o, ccz_buf_span(&request));
}

static int scale(int argc, char **argv)
{
    return with_number(argc, argv, "scale", "cczoo cluster scale [--dir DIR] REPLICAS");
}

static int drain(int argc, char **argv)
{
    return with_number(argc, argv, "drain", "cczoo cluster drain [--dir DIR] REPLICA");
}

/* Until nobody answers any more: it is over when every replica has ended. */
static int wait_end(const struct ask_opts *o)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
    for (int64_t left = o->timeout_s * 1000; left > 0; left -= WAIT_STEP_MS) {
        CCZ_AUTO_BUF answer;
        ccz_buf_init(&answer, ANSWER_SIZE_MAX);
        if (cluster_ask(&answer, o->dir, ccz_span_str("{\"do\":\"status\"}\n"), NULL) != CCZ_OK)
            return UI_OK;
        (void)nanosleep(&step, NULL);
    }
    ui_error("it still runs after %lld seconds", (long long)o->timeout_s);
    return UI_ENV;
}

static int down(int argc, char **argv)
{
    struct ask_opts o;
    int n = parse(&o, argc, argv, "cczoo cluster down [--dir DIR]");
    if (n != 0)
        return n < 0 ? ui_parse_status(n) : UI_USAGE;
    CCZ_AUTO(ccz_json) j = NULL;
    int s = ask(&j, o.dir, ccz_span_str("{\"do\":\"down\"}\n"));
    return s != UI_OK || o.no_wait ? s : wait_end(&o);
}

int cmd_cluster(int argc, char **argv)
{
    static const struct ui_verb verbs[] = {
        {"up", "-- cczoo-served ...", "start replicas and a balancer, and keep them running", up},
        {"status", "", "which replicas there are", status},
        {"roll", "-- cczoo-served ...", "replace them one by one: another program, model or option",
         roll},
        {"scale", "REPLICAS", "more of them, or fewer", scale},
        {"drain", "REPLICA", "one leaves in order, a new one takes its place", drain},
        {"down", "", "end all of them in order", down},
    };
    return ui_verbs("cluster", verbs, sizeof(verbs) / sizeof(verbs[0]), argc, argv);
}
