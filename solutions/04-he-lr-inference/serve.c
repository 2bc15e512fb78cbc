/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: four gRPC methods around ccz_helr_server_call(), computed by one worker thread in the order of arrival.
 * usage: cczoo-he-serve --listen ADDR --port-file FILE [--model FILE] [--degree 3|5|7] [--sessions N]
 *        [--tee NAME --sim-dir DIR] [--original-parameters yes]
 *        without --model each client brings its own, encrypted
 */
#define _POSIX_C_SOURCE 200809L
#include "../options.h"

#include <cczoo/helr.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { QUEUE_MAX = 64 }; /* the bytes of the requests in it are bounded by the RPC server */

static const char *o_listen, *o_port_file, *o_model, *o_degree, *o_sessions, *o_tee, *o_sim_dir,
    *o_original;

struct job {
    struct ccz_rpc_call *call;
    const char *method;
    struct ccz_span request; /* valid until the call is let go */
};

static struct {
    struct ccz_helr_model *model;
    struct ccz_helr_server *helr;
    struct ccz_party *party;
    struct ccz_rpc_server *rpc;
    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job queue[QUEUE_MAX];
    size_t first, len;
} app = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void enqueue(struct ccz_rpc_call *call, void *method, struct ccz_span request)
{
    pthread_mutex_lock(&app.lock);
    bool room = app.len < QUEUE_MAX;
    if (room) {
        ccz_rpc_call_ref(call);
        app.queue[(app.first + app.len++) % QUEUE_MAX] = (struct job){call, method, request};
        pthread_cond_signal(&app.more);
    }
    pthread_mutex_unlock(&app.lock);
    if (!room)
        ccz_rpc_finish(call, CCZ_RPC_UNAVAILABLE, "too many requests are waiting");
}

static void *work(void *arg)
{
    (void)arg;
    CCZ_AUTO_BUF reply;
    ccz_buf_init(&reply, CCZ_HELR_INFO_SIZE_MAX + CCZ_HELR_REPLY_SIZE_MAX);
    for (;;) {
        pthread_mutex_lock(&app.lock);
        while (app.len == 0)
            pthread_cond_wait(&app.more, &app.lock);
        struct job j = app.queue[app.first];
        app.first = (app.first + 1) % QUEUE_MAX;
        app.len--;
        pthread_mutex_unlock(&app.lock);
        struct ccz_err err = {0};
        ccz_buf_clear(&reply);
        if (ccz_rpc_cancelled(j.call))
            ccz_rpc_finish(j.call, CCZ_RPC_CANCELLED, NULL);
        else if (ccz_helr_server_call(&reply, app.helr, j.method, j.request, &err) == CCZ_OK)
            ccz_rpc_reply(j.call, ccz_buf_span(&reply));
        else
            ccz_rpc_fail(j.call, &err);
        ccz_rpc_call_unref(j.call);
    }
    return NULL;
}

static ccz_rc start_scoring(struct ccz_err *err)
{
    ccz_rc rc = o_model ? ccz_helr_model_read(&app.model, o_model, err) : CCZ_OK;
    struct ccz_helr_server_cfg cfg = {
        .model = app.model,
        .degree = o_degree ? (unsigned)strtoul(o_degree, NULL, 10) : 0,
        .sessions_max = o_sessions ? strtoul(o_sessions, NULL, 10) : 0,
    };
    if (o_original) /* 300 bits at n = 8192, as the sample that this solution follows; 218 are secure */
        cfg.ring_insecure = (struct ccz_rlwe_cfg){
            .n = 8192, .bits = {50, 50, 50, 50, 50, 50}, .data_len = 5, .special_len = 1};
    if (rc == CCZ_OK)
        rc = ccz_helr_server_new(&app.helr, &cfg, err);
    if (rc == CCZ_OK && pthread_create(&app.worker, NULL, work, NULL) != 0)
        rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "serve:thread", 0, "no thread");
    return rc;
}

static ccz_rc start_rpc(struct ccz_err *err)
{
    static char method[4][8] = {"Info", "Keys", "Model", "Score"};
    const struct ccz_party_cfg who = {.tee = {.provider = o_tee, .sim_dir = o_sim_dir},
                                      .server = true,
                                      .peer_evidence_optional = true};
    ccz_rc rc = ccz_party_new(&app.party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg cfg = {.listen = o_listen, .ratls = ccz_party_ratls(app.party)};
    rc = ccz_rpc_server_new(&app.rpc, &cfg, err);
    for (size_t i = 0; i < 4 && rc == CCZ_OK; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/cczoo.Helr/%s", method[i]);
        rc = ccz_rpc_server_add_unary(app.rpc, path, enqueue, method[i]);
    }
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(app.rpc, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_party_simulated(app.party))
        (void)puts("SIMULATED: evidence comes from a software TEE");
    return write_port(o_port_file, ccz_rpc_server_port(app.rpc), err);
}

int main(int argc, char **argv)
{
    const struct option opts[] = {
        {"--listen", &o_listen},   {"--port-file", &o_port_file},         {"--model", &o_model},
        {"--degree", &o_degree},   {"--sessions", &o_sessions},           {"--tee", &o_tee},
        {"--sim-dir", &o_sim_dir}, {"--original-parameters", &o_original}};
    if (!options(opts, sizeof(opts) / sizeof(*opts), argc, argv) || !o_listen || !o_port_file)
        return usage("cczoo-he-serve --listen ADDR --port-file FILE [--model FILE] ..");
    struct ccz_err err = {0};
    ccz_process_harden();
    ccz_rc rc = start_scoring(&err);
    if (rc == CCZ_OK)
        rc = start_rpc(&err);
    if (rc == CCZ_OK)
        (void)pause(); /* until the script ends us */
    return verdict(rc, &err);
}
