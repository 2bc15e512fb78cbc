/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cczoo load`: asks a model server the same thing again and again, as fast as it can or at a fixed rate, and says how long
 * it took. gRPC: the servers' evidence is verified first. REST: a thread and a connection for each call under way.
 */
#include "cli.h"
#include "load_request.h"

#include "../src/load/load.h"

#include <cczoo/net.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE_SIZE_MAX = 64 << 20, THREADS_MAX = 256, TITLE_SIZE = 512 };

struct load_opts {
    const char *target, *rest, *api, *model, *signature, *input;
    const char *policy, *trust_sim, *collateral, *ca_file;
    const char *rate, *json_file, *html_file;
    int64_t in_flight, connections, seconds, warm_up, calls, timeout_ms, retries, failures_max,
        answers_max;
    bool insecure_tls_only, any_certificate_insecure, json;
};

/* ------------------------------------------------------------------------------ gRPC */

struct grpc_target {
    struct ccz_rpc_client *client;
    const struct load_request *request;
    int64_t timeout_ms;
    unsigned retries;
    struct grpc_call {
        struct cczi_load *load;
        unsigned slot;
    } * call; /* by slot */
};

static void on_answer(void *arg, struct ccz_span response, const struct ccz_rpc_result *result,
                      const struct ccz_err *err)
{
    struct grpc_call *c = arg;
    unsigned code = (unsigned)result->code;
    if (err && !code)
        code = CCZ_RUN_UNAVAILABLE;
    cczi_load_done(c->load, c->slot, code, response);
}

static ccz_rc send_grpc(void *arg, struct cczi_load *l, unsigned slot, struct ccz_err *err)
{
    struct grpc_target *t = arg;
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = t->timeout_ms,
                                         .retries = t->retries,
                                         .request_lent = true,
                                         .wait_for_ready = true};
    t->call[slot] = (struct grpc_call){l, slot};
    ccz_rc rc = ccz_rpc_unary_async(t->client, t->request->path, ccz_buf_span(&t->request->body),
                                    &cfg, on_answer, &t->call[slot]);
    return rc == CCZ_OK
               ? rc
               : ccz_fail(err, rc, "load:send", 0, "cannot start a call: %s", ccz_rc_str(rc));
}

static ccz_rc run_grpc(struct cczi_load_result *out, bool *simulated, const struct load_opts *o,
                       struct cczi_load_cfg *cfg, const struct load_request *request,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    const struct ccz_party_cfg p = {
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .policy_file = o->policy,
        .profile = o->insecure_tls_only ? CCZ_RATLS_TLS_ONLY_INSECURE : CCZ_RATLS_SESSION,
        .peer_evidence_optional = o->insecure_tls_only,
    };
    struct grpc_target t = {
        .request = request, .timeout_ms = o->timeout_ms, .retries = (unsigned)o->retries};
    ccz_rc rc = ccz_party_new(&party, &p, err);
    if (rc != CCZ_OK)
        return rc;
    *simulated = ccz_party_simulated(party);
    if (*simulated)
        ui_simulated("a software TEE is trusted");
    const struct ccz_rpc_client_cfg c = {.target = o->target,
                                         .ratls = ccz_party_ratls(party),
                                         .connections = (unsigned)o->connections,
                                         .message_size_max = (size_t)1 << 30,
                                         .reconnect = true};
    t.call = calloc(cfg->in_flight, sizeof(t.call[0]));
    if (!t.call)
        return ccz_fail(err, CCZ_E_NOMEM, "load:memory", 0, "out of memory");
    rc = ccz_rpc_client_new(&t.client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, t.client, err);
    cfg->send = send_grpc;
    cfg->arg = &t;
    if (rc == CCZ_OK)
        rc = cczi_load_run(out, cfg, err);
    ccz_rpc_client_free(t.client);
    free(t.call);
    return rc;
}

/* ------------------------------------------------------------------------------ REST */

struct rest_target {
    const struct load_request *request;
    char url[1024];
    pthread_mutex_t lock;
    bool stop;
    unsigned threads_len;
    struct rest_thread {
        struct rest_target *target;
        struct ccz_http_client *client;
        struct cczi_load *load; /* set: go */
        unsigned slot;
        pthread_cond_t go;
        pthread_t thread;
    } * thread; /* by slot */
};

/* What stands for an HTTP status; the numbers of gRPC. */
static unsigned code_of(unsigned status)
{
    for (unsigned code = CCZ_RUN_CANCELLED; code <= CCZ_RUN_UNAUTHENTICATED; code++)
        if (ccz_infer_http_status((enum ccz_run_code)code) == status)
            return code;
    return status == 200 ? 0 : CCZ_RUN_UNKNOWN;
}

static void fill_post(struct ccz_http_post *post, const struct rest_target *r)
{
    *post = (struct ccz_http_post){.url = r->url,
                                   .content_type = r->request->media_type,
                                   .field = r->request->field[0] ? r->request->field : NULL,
                                   .body = ccz_buf_span(&r->request->body)};
}

static void *rest_thread(void *arg)
{
    struct rest_thread *t = arg;
    struct rest_target *r = t->target;
    struct ccz_http_post post;
    fill_post(&post, r);
    struct ccz_buf body, headers;
    ccz_buf_init(&body, (size_t)1 << 30);
    ccz_buf_init(&headers, CCZ_HTTP_GET_HEADER_SIZE_MAX);
    for (;;) {
        pthread_mutex_lock(&r->lock);
        while (!t->load && !r->stop)
            pthread_cond_wait(&t->go, &r->lock);
        struct cczi_load *l = t->load;
        t->load = NULL;
        pthread_mutex_unlock(&r->lock);
        if (!l)
            break;
        unsigned status = 0;
        struct ccz_err err = {0};
        ccz_rc rc = ccz_http_send_post(&status, &body, &headers, t->client, &post, &err);
        unsigned code = rc == CCZ_OK          ? code_of(status)
                        : rc == CCZ_E_TIMEOUT ? CCZ_RUN_DEADLINE_EXCEEDED
                                              : CCZ_RUN_UNAVAILABLE;
        cczi_load_done(l, t->slot, code, ccz_buf_span(&body));
    }
    ccz_buf_free(&body);
    ccz_buf_free(&headers);
    return NULL;
}

static ccz_rc send_rest(void *arg, struct cczi_load *l, unsigned slot, struct ccz_err *err)
{
    struct rest_target *r = arg;
    (void)err;
    pthread_mutex_lock(&r->lock);
    r->thread[slot].load = l;
    pthread_cond_signal(&r->thread[slot].go);
    pthread_mutex_unlock(&r->lock);
    return CCZ_OK;
}

static ccz_rc start_threads(struct rest_target *r, const struct load_opts *o, unsigned len,
                            struct ccz_err *err)
{
    const struct ccz_http_client_cfg cfg = {
        .timeout_ms = o->timeout_ms,
        .body_size_max = (size_t)1 << 30,
        .ca_file = o->ca_file,
        .any_certificate_insecure = o->any_certificate_insecure,
    };
    r->thread = calloc(len, sizeof(r->thread[0]));
    if (!r->thread)
        return ccz_fail(err, CCZ_E_NOMEM, "load:memory", 0, "out of memory");
    for (; r->threads_len < len; r->threads_len++) {
        struct rest_thread *t = &r->thread[r->threads_len];
        *t = (struct rest_thread){
            .target = r, .slot = r->threads_len, .go = PTHREAD_COND_INITIALIZER};
        ccz_rc rc = ccz_http_client_new(&t->client, &cfg, err);
        if (rc != CCZ_OK)
            return rc;
        int e = pthread_create(&t->thread, NULL, rest_thread, t);
        if (e != 0) {
            ccz_http_client_free(t->client);
            return ccz_fail(err, CCZ_E_UNAVAILABLE, "load:thread", e, "cannot start a thread");
        }
    }
    return CCZ_OK;
}

static void stop_threads(struct rest_target *r)
{
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    for (unsigned i = 0; i < r->threads_len; i++)
        pthread_cond_signal(&r->thread[i].go);
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < r->threads_len; i++) {
        pthread_join(r->thread[i].thread, NULL);
        ccz_http_client_free(r->thread[i].client);
    }
    free(r->thread);
}

/* Whether there is an answer at all: a wrong address or certificate is told as that, not as failed calls. */
static ccz_rc try_once(const struct rest_target *r, struct ccz_err *err)
{
    struct ccz_http_post post;
    unsigned status = 0;
    CCZ_AUTO_BUF body;
    CCZ_AUTO_BUF headers;
    ccz_buf_init(&body, (size_t)1 << 30);
    ccz_buf_init(&headers, CCZ_HTTP_GET_HEADER_SIZE_MAX);
    fill_post(&post, r);
    return ccz_http_send_post(&status, &body, &headers, r->thread[0].client, &post, err);
}

static ccz_rc run_rest(struct cczi_load_result *out, const struct load_opts *o,
                       struct cczi_load_cfg *cfg, const struct load_request *request,
                       struct ccz_err *err)
{
    struct rest_target r = {.request = request, .lock = PTHREAD_MUTEX_INITIALIZER};
    int n = snprintf(r.url, sizeof(r.url), "%s%s", o->rest, request->path);
    if (n < 0 || (size_t)n >= sizeof(r.url))
        return ccz_fail(err, CCZ_E_LIMIT, "load:url", n, "the URL is too long");
    ccz_rc rc = start_threads(&r, o, cfg->in_flight, err);
    if (rc == CCZ_OK)
        rc = try_once(&r, err);
    cfg->send = send_rest;
    cfg->arg = &r;
    if (rc == CCZ_OK)
        rc = cczi_load_run(out, cfg, err);
    stop_threads(&r);
    return rc;
}

/* ------------------------------------------------------------------------------ report */

static const char *code_name(unsigned code)
{
    return ccz_run_code_name((enum ccz_run_code)code);
}

/* "AMD EPYC ..., 2 processors, load 0.12" */
static void machine(char *out, size_t size)
{
    char line[256], model[128] = "unknown processor", load[16] = "?";
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "model name : %127[^\n]", model) == 1)
            break;
    if (f)
        (void)fclose(f);
    f = fopen("/proc/loadavg", "re");
    if (!f || fscanf(f, "%15s", load) != 1)
        (void)snprintf(load, sizeof(load), "?");
    if (f)
        (void)fclose(f);
    (void)snprintf(out, size, "%s, %ld processors, load %s at the beginning", model,
                   sysconf(_SC_NPROCESSORS_ONLN), load);
}

static ccz_rc write_page(const char *file, const struct cczi_load_result *r,
                         const struct cczi_load_about *about,
                         void (*put)(struct ccz_buf *, const struct cczi_load_result *,
                                     const struct cczi_load_about *),
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, PAGE_SIZE_MAX);
    put(&page, r, about);
    if (page.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "load:report", 0, "the report is too large");
    if (file)
        return ccz_file_write(file, ccz_buf_span(&page), 0644, CCZ_FILE_REPLACE, err);
    ui_out_span(ccz_buf_span(&page));
    return CCZ_OK;
}

/* Written whatever came of the calls: a run with failures is a result, too. */
static ccz_rc report(const struct load_opts *o, const struct cczi_load_result *r,
                     const struct cczi_load_about *about, struct ccz_err *err)
{
    ccz_rc rc = write_page(NULL, r, about, o->json ? cczi_load_json : cczi_load_text, err);
    if (rc == CCZ_OK && o->json_file)
        rc = write_page(o->json_file, r, about, cczi_load_json, err);
    if (rc == CCZ_OK && o->html_file)
        rc = write_page(o->html_file, r, about, cczi_load_html, err);
    if (rc == CCZ_OK && r->failed.len > (uint64_t)o->failures_max)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "load:failures", (int64_t)r->failed.len,
                            o->failures_max);
    if (rc == CCZ_OK && o->answers_max && r->answers + r->answers_more > (uint64_t)o->answers_max)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "load:answers",
                            (int64_t)(r->answers + r->answers_more), o->answers_max);
    return rc;
}

static int run(const struct load_opts *o, enum load_api api, double rate)
{
    struct ccz_err err = {0};
    struct load_inputs in;
    struct load_request request = {0};
    char title[TITLE_SIZE], about_machine[256];
    bool simulated = false;
    struct cczi_load_result *r = calloc(1, sizeof(*r));
    if (!r)
        return ui_fail((ccz_fail(&err, CCZ_E_NOMEM, "load:memory", 0, "out of memory"), &err));
    struct cczi_load_cfg cfg = {.rate = rate,
                                .in_flight = (unsigned)o->in_flight,
                                .warm_up_ms = o->warm_up * 1000,
                                .duration_ms = o->seconds * 1000,
                                .calls_max = (uint64_t)o->calls};
    machine(about_machine, sizeof(about_machine)); /* before it is our own load */
    ccz_rc rc = load_inputs_parse(&in, o->input, &err);
    if (rc == CCZ_OK)
        rc = load_request_build(&request, api, o->model, o->signature, &in, &err);
    if (rc == CCZ_OK)
        rc = o->rest ? run_rest(r, o, &cfg, &request, &err)
                     : run_grpc(r, &simulated, o, &cfg, &request, &err);
    (void)snprintf(title, sizeof(title), "%s at %s", o->model, o->rest ? o->rest : o->target);
    const struct cczi_load_about about = {.title = title,
                                          .api = load_api_names[api],
                                          .code_name = code_name,
                                          .rate = rate,
                                          .in_flight = cfg.in_flight,
                                          .request_size = request.body.size,
                                          .machine = about_machine,
                                          .simulated = simulated};
    if (rc == CCZ_OK)
        rc = report(o, r, &about, &err);
    cczi_load_result_free(r);
    free(r);
    load_request_free(&request);
    load_inputs_free(&in);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* ------------------------------------------------------------------------------ options */

static bool check_target(const struct load_opts *o, enum load_api api)
{
    bool rest = api >= LOAD_REST;
    if (!o->model || !o->input) {
        ui_error("--model and --input are required");
        return false;
    }
    if (rest ? !o->rest || o->target : !o->target || o->rest) {
        ui_error("--api %s needs %s, and not the other", load_api_names[api],
                 rest ? "--rest URL" : "--target ADDR");
        return false;
    }
    if (!rest && !o->policy == !o->insecure_tls_only) {
        ui_error("--policy FILE, or --insecure-tls-only for a server that does not attest");
        return false;
    }
    return true;
}

static bool check_counts(const struct load_opts *o, enum load_api api)
{
    return ui_count("in-flight", o->in_flight, 1, api >= LOAD_REST ? THREADS_MAX : 65536) &&
           ui_count("connections", o->connections, 1, 256) &&
           ui_count("seconds", o->seconds, 1, CCZI_LOAD_SECONDS_MAX) &&
           ui_count("warm-up", o->warm_up, 0, 3600) && ui_count("calls", o->calls, 0, INT64_MAX) &&
           ui_count("timeout-ms", o->timeout_ms, 1, 3600000) &&
           ui_count("retries", o->retries, 0, 100) &&
           ui_count("failures-max", o->failures_max, 0, INT64_MAX) &&
           ui_count("answers-max", o->answers_max, 0, INT64_MAX);
}

int cmd_load(int argc, char **argv)
{
    struct load_opts o = {.api = "grpc",
                          .in_flight = 1,
                          .connections = 1,
                          .seconds = 10,
                          .warm_up = 2,
                          .timeout_ms = 30000};
    const struct ui_opt opts[] = {
        {"target", &o.target, NULL, NULL, "ADDR", "gRPC: server, or several: a:1,b:2"},
        {"rest", &o.rest, NULL, NULL, "URL", "REST: https://host:port"},
        {"api", &o.api, NULL, NULL, "NAME",
         "grpc (default), grpc-v2, rest, rest-v2, rest-v2-binary"},
        {"model", &o.model, NULL, NULL, "NAME", "name of the model"},
        {"signature", &o.signature, NULL, NULL, "NAME", "default: the server's"},
        {"input", &o.input, NULL, NULL, "TEXT",
         "NAME:TYPE[SHAPE]=zeros|random|@FILE, several with ';' between them"},
        {"rate", &o.rate, NULL, NULL, "N",
         "calls per second, open loop; absent = as fast as it can"},
        {"in-flight", NULL, &o.in_flight, NULL, "N",
         "calls under way (open loop: at most), default 1"},
        {"connections", NULL, &o.connections, NULL, "N", "gRPC, to each address; default 1"},
        {"seconds", NULL, &o.seconds, NULL, "N", "default 10"},
        {"warm-up", NULL, &o.warm_up, NULL, "SECONDS", "before anything counts, default 2"},
        {"calls", NULL, &o.calls, NULL, "N", "stop after so many"},
        {"timeout-ms", NULL, &o.timeout_ms, NULL, "N", "deadline of a call, default 30000"},
        {"retries", NULL, &o.retries, NULL, "N",
         "gRPC: further attempts of a call whose server vanished, default 0"},
        {"failures-max", NULL, &o.failures_max, NULL, "N",
         "status 1 if more calls fail, default 0"},
        {"answers-max", NULL, &o.answers_max, NULL, "N",
         "status 1 if more different answers come; 0 = do not look"},
        {"policy", &o.policy, NULL, NULL, "FILE",
         "policy that every server's evidence must satisfy"},
        UI_TRUST_FILES(&o),
        {"ca-file", &o.ca_file, NULL, NULL, "FILE", "REST: authorities of the server"},
        {"any-certificate-insecure", NULL, NULL, &o.any_certificate_insecure, NULL,
         "REST: take whatever certificate comes"},
        {"insecure-tls-only", NULL, NULL, &o.insecure_tls_only, NULL,
         "gRPC: a server that does not attest"},
        {"json", NULL, NULL, &o.json, NULL, "one JSON object on stdout"},
        {"json-file", &o.json_file, NULL, NULL, "FILE", "the same into a file"},
        {"html-file", &o.html_file, NULL, NULL, "FILE", "a page with curves"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo load --target ADDR --policy FILE --model NAME --input TEXT",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    enum load_api api;
    double rate = 0;
    if (n > 0)
        ui_error("unexpected operand: %s", argv[0]);
    else if (!load_api_find(&api, o.api))
        ui_error("--api: %s is none of grpc, grpc-v2, rest, rest-v2, rest-v2-binary", o.api);
    else if (ui_real(&rate, "rate", o.rate, 0, 0.001, 1e7) && check_target(&o, api) &&
             check_counts(&o, api))
        return run(&o, api, rate);
    return UI_USAGE;
}
