/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cczoo infer`: verifies the servers' evidence, then sends images and reports accuracy, latency and who answered.
 * Calls are asynchronous: `in-flight` batches are on their way at any time, spread over the connections. A call that
 * ended UNAVAILABLE (its server died) is sent again by the channel; a call never counts twice.
 */
#include "cli.h"

#include <cczoo/crypto.h>
#include <cczoo/dataset.h>
#include <cczoo/infer.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLICAS_MAX = 64, SIDE_MAX = 4096 };

struct infer_opts {
    const char *target, *policy, *trust_sim, *collateral, *model, *signature, *input, *output,
        *images, *labels;
    const char *expect_classes, *half_file;
    int64_t batch, connections, in_flight, limit, timeout_ms, retries, expect_correct;
    bool json;
};

struct replica {
    char name[64];
    uint64_t images;
};

/* Shared with the channel's thread; everything under `lock`. */
struct run {
    const struct infer_opts *o;
    struct ccz_rpc_client *client;
    struct ccz_idx images, labels;
    size_t total, batch, image_size;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t in_flight, answered, correct;
    uint64_t retried;
    uint32_t *latency_us; /* one per batch */
    uint8_t *classes;     /* the answer for each image */
    size_t batches_done;
    struct replica replica[REPLICAS_MAX];
    size_t replica_len;
    ccz_rc rc; /* first failure */
    struct ccz_err err;
};

struct batch {
    struct run *run;
    size_t first, len;
    int64_t start_ns;
};

static void count_replica(struct run *r, const char *name, size_t images)
{
    size_t i = 0;
    while (i < r->replica_len && strcmp(r->replica[i].name, name) != 0)
        i++;
    if (i == REPLICAS_MAX)
        return;
    if (i == r->replica_len) {
        (void)snprintf(r->replica[i].name, sizeof(r->replica[i].name), "%s", name);
        r->replica_len++;
    }
    r->replica[i].images += images;
}

/* Right answers among the scores of one batch: the index of the largest score is the class. */
static ccz_rc count_correct(size_t *correct, const struct batch *b, struct ccz_span response,
                            struct ccz_err *err)
{
    struct run *r = b->run;
    CCZ_AUTO_BUF scores;
    ccz_buf_init(&scores, CCZ_RPC_MESSAGE_SIZE_MAX);
    size_t classes = 0;
    ccz_rc rc = ccz_infer_decode_scores(&scores, &classes, response, r->o->output, b->len, err);
    *correct = 0;
    if (rc == CCZ_OK && classes > 256)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "infer:classes", (int64_t)classes, 256);
    for (size_t i = 0; rc == CCZ_OK && i < b->len; i++) {
        float best, v;
        size_t top = 0;
        memcpy(&best, scores.ptr + i * classes * sizeof(float), sizeof(best));
        for (size_t k = 1; k < classes; k++) {
            memcpy(&v, scores.ptr + (i * classes + k) * sizeof(float), sizeof(v));
            if (v > best) {
                best = v;
                top = k;
            }
        }
        r->classes[b->first + i] = (uint8_t)top; /* no other batch touches these */
        *correct += top == r->labels.data[b->first + i];
    }
    return rc;
}

static void on_answer(void *arg, struct ccz_span response, const struct ccz_rpc_result *result,
                      const struct ccz_err *err)
{
    struct batch *b = arg;
    struct run *r = b->run;
    struct ccz_err bad = {0};
    size_t correct = 0;
    int64_t us = (ccz_mono_ns() - b->start_ns) / 1000;
    ccz_rc rc = err ? err->rc : count_correct(&correct, b, response, &bad);
    pthread_mutex_lock(&r->lock);
    if (rc != CCZ_OK && r->rc == CCZ_OK) {
        r->rc = rc;
        r->err = err ? *err : bad;
    }
    if (rc == CCZ_OK) {
        r->answered += b->len;
        r->correct += correct;
        r->latency_us[r->batches_done++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
        r->retried += result->attempts > 1 ? result->attempts - 1 : 0;
        count_replica(r, result->replica, b->len);
    }
    r->in_flight--;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    free(b);
}

static ccz_rc send_batch(struct run *r, size_t first, size_t len, struct ccz_err *err)
{
    float *pixels = malloc(len * r->image_size * sizeof(float));
    struct batch *b = malloc(sizeof(*b));
    CCZ_AUTO_BUF request;
    ccz_buf_init(&request, CCZ_RPC_MESSAGE_SIZE_MAX);
    if (!pixels || !b) {
        free(pixels);
        free(b);
        return ccz_fail(err, CCZ_E_NOMEM, "infer:batch", 0, "out of memory");
    }
    const uint8_t *bytes = r->images.data + first * r->image_size;
    for (size_t i = 0; i < len * r->image_size; i++)
        pixels[i] = (float)bytes[i] / 255.0f;
    const struct ccz_tensor t = {.name = r->o->input,
                                 .dtype = CCZ_DT_FLOAT,
                                 .rank = 4,
                                 .dims = {(int64_t)len, r->images.dims[1], r->images.dims[2], 1},
                                 .len = len * r->image_size,
                                 .data = CCZ_SPAN(pixels, len * r->image_size * sizeof(float))};
    ccz_infer_encode_predict(&request, r->o->model, r->o->signature, &t, 1, r->o->output);
    free(pixels);
    *b = (struct batch){.run = r, .first = first, .len = len, .start_ns = ccz_mono_ns()};
    const struct ccz_rpc_call_cfg cfg = {
        .timeout_ms = r->o->timeout_ms, .retries = (unsigned)r->o->retries, .wait_for_ready = true};
    pthread_mutex_lock(&r->lock);
    r->in_flight++;
    pthread_mutex_unlock(&r->lock);
    ccz_rc rc = request.bad ? CCZ_E_NOMEM
                            : ccz_rpc_unary_async(r->client, CCZ_INFER_PATH_PREDICT,
                                                  ccz_buf_span(&request), &cfg, on_answer, b);
    if (rc != CCZ_OK) {
        pthread_mutex_lock(&r->lock);
        r->in_flight--;
        pthread_mutex_unlock(&r->lock);
        free(b);
        return ccz_fail(err, rc, "infer:send", 0, "cannot start a call: %s", ccz_rc_str(rc));
    }
    return CCZ_OK;
}

/* Keeps the pipe full; returns once every call has ended. */
static ccz_rc send_all(struct run *r, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    size_t sent = 0;
    const char *half_file =
        r->o->half_file; /* for scripts that do something in the middle of a run */
    pthread_mutex_lock(&r->lock);
    for (;;) {
        bool stop = rc != CCZ_OK || r->rc != CCZ_OK || sent == r->total;
        if (stop && r->in_flight == 0)
            break;
        if (stop || r->in_flight >= (size_t)r->o->in_flight) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        size_t done = r->answered;
        pthread_mutex_unlock(&r->lock);
        if (rc == CCZ_OK && half_file && done >= r->total / 2) {
            rc = ccz_file_write(half_file, ccz_span_str("half\n"), 0600, CCZ_FILE_REPLACE, err);
            half_file = NULL;
        }
        size_t len = r->total - sent < r->batch ? r->total - sent : r->batch;
        ui_progress("images", done, r->total);
        if (rc == CCZ_OK)
            rc = send_batch(r, sent, len, err);
        sent += len;
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    if (rc == CCZ_OK && r->rc != CCZ_OK) {
        *err = r->err;
        rc = r->rc;
    }
    if (rc == CCZ_OK)
        ui_progress("images", r->answered, r->total);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct replica *)a)->name, ((const struct replica *)b)->name);
}

static double percentile_ms(const struct run *r, unsigned percent)
{
    size_t i = r->batches_done * percent / 100;
    return r->latency_us[i < r->batches_done ? i : r->batches_done - 1] / 1000.0;
}

static void report(struct run *r, double seconds)
{
    qsort(r->latency_us, r->batches_done, sizeof(r->latency_us[0]), by_value);
    qsort(r->replica, r->replica_len, sizeof(r->replica[0]), by_name);
    double accuracy = (double)r->correct / (double)r->total;
    if (r->o->json) {
        ui_out("{\"images\":%zu,\"correct\":%zu,\"accuracy\":%.6f,\"seconds\":%.3f,\"images_per_"
               "s\":%.1f,\"batch\":%zu,",
               r->total, r->correct, accuracy, seconds, (double)r->total / seconds, r->batch);
        ui_out("\"latency_ms\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"max\":%.2f},\"retried\":%"
               "llu,\"replicas\":{",
               percentile_ms(r, 50), percentile_ms(r, 90), percentile_ms(r, 99),
               percentile_ms(r, 100), (unsigned long long)r->retried);
        for (size_t i = 0; i < r->replica_len; i++)
            ui_out("%s\"%s\":%llu", i ? "," : "", r->replica[i].name,
                   (unsigned long long)r->replica[i].images);
        ui_out("}}\n");
        return;
    }
    ui_out("accuracy    %.2f %% (%zu of %zu)\n", 100 * accuracy, r->correct, r->total);
    ui_out("speed       %.0f images/s (batch %zu)\n", (double)r->total / seconds, r->batch);
    ui_out("latency     p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, max %.1f ms per batch\n",
           percentile_ms(r, 50), percentile_ms(r, 90), percentile_ms(r, 99), percentile_ms(r, 100));
    ui_out("retried     %llu calls\n", (unsigned long long)r->retried);
    for (size_t i = 0; i < r->replica_len; i++)
        ui_out("answered    %s: %llu images\n",
               r->replica[i].name[0] ? r->replica[i].name : "(unnamed)",
               (unsigned long long)r->replica[i].images);
}

static ccz_rc load_data(struct run *r, struct ccz_err *err)
{
    ccz_rc rc = ccz_idx_read(&r->images, r->o->images, 3, err);
    if (rc == CCZ_OK)
        rc = ccz_idx_read(&r->labels, r->o->labels, 1, err);
    if (rc != CCZ_OK)
        return rc;
    if (r->images.dims[0] != r->labels.dims[0])
        return ccz_refuse_num(err, CCZ_E_FORMAT, "infer:labels", r->labels.dims[0],
                              r->images.dims[0]);
    if (r->images.dims[1] > SIDE_MAX || r->images.dims[2] > SIDE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "infer:image-side", r->images.dims[1], SIDE_MAX);
    r->image_size = (size_t)r->images.dims[1] * r->images.dims[2];
    r->total = r->images.dims[0];
    if (r->o->limit > 0 && (size_t)r->o->limit < r->total)
        r->total = (size_t)r->o->limit;
    r->batch = (size_t)r->o->batch;
    r->latency_us = calloc(r->total / r->batch + 1, sizeof(r->latency_us[0]));
    r->classes = calloc(r->total, 1);
    return r->latency_us && r->classes
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_NOMEM, "infer:data", 0, "out of memory");
}

static void say_peer(const struct ccz_ratls_peer *peer)
{
    char hex[65];
    if (!peer->attested)
        return;
    ccz_hex(hex, peer->claims.tee == CCZ_TEE_SGX ? peer->claims.mrenclave : peer->claims.mrtd, 8);
    ui_say("server accepted: %s, measurement %s..., TCB %s, evidence bound to this session: %s",
           ccz_tee_name(peer->claims.tee), hex, ccz_tcb_status_name(peer->claims.tcb_status),
           peer->fresh ? "yes" : "no");
}

static ccz_rc connect_servers(struct run *r, struct ccz_party **party, struct ccz_err *err)
{
    const struct infer_opts *o = r->o;
    const struct ccz_party_cfg cfg = {
        .collateral_dir = o->collateral, .trust_sim_dir = o->trust_sim, .policy_file = o->policy};
    ccz_rc rc = ccz_party_new(party, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_party_simulated(*party))
        ui_simulated("a software TEE is trusted");
    const struct ccz_rpc_client_cfg c = {.target = o->target,
                                         .ratls = ccz_party_ratls(*party),
                                         .connections = (unsigned)o->connections,
                                         .reconnect = true};
    rc = ccz_rpc_client_new(&r->client, &c, err);
    struct ccz_ratls_peer peer = {0};
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(&peer, r->client, err);
    if (rc == CCZ_OK)
        say_peer(&peer);
    return rc;
}

/* The same number of right answers, or even the same answer for each image, as somebody else got. */
static ccz_rc check_expected(const struct run *r, struct ccz_err *err)
{
    const struct infer_opts *o = r->o;
    if (o->expect_correct >= 0 && r->correct != (size_t)o->expect_correct)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "infer:accuracy", (int64_t)r->correct,
                              o->expect_correct);
    if (!o->expect_classes)
        return CCZ_OK;
    uint8_t digest[32];
    char hex[65];
    ccz_rc rc = ccz_sha256(digest, CCZ_SPAN(r->classes, r->total));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "infer:classes", 0, "cannot hash the answers");
    ccz_hex(hex, digest, sizeof(digest));
    return strcmp(hex, o->expect_classes) == 0
               ? CCZ_OK
               : ccz_refuse(err, CCZ_E_MISMATCH, "infer:classes", hex, o->expect_classes);
}

static int run_all(const struct infer_opts *o)
{
    struct ccz_err err = {0};
    struct run r = {.o = o, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    CCZ_AUTO(ccz_party) party = NULL;
    ccz_rc rc = load_data(&r, &err);
    if (rc == CCZ_OK)
        rc = connect_servers(&r, &party,
                             &err); /* no image leaves before this accepted the evidence */
    int64_t t0 = ccz_mono_ns();
    if (rc == CCZ_OK)
        rc = send_all(&r, &err);
    double seconds = (double)(ccz_mono_ns() - t0) / 1e9;
    int status = UI_OK;
    if (rc != CCZ_OK) {
        status = ui_fail(&err);
    } else {
        report(&r, seconds);
        if (check_expected(&r, &err) != CCZ_OK)
            status = ui_fail(&err);
    }
    ccz_rpc_client_free(r.client);
    free(r.latency_us);
    free(r.classes);
    ccz_idx_free(&r.images);
    ccz_idx_free(&r.labels);
    return status;
}

static bool check(const struct infer_opts *o)
{
    if (!o->target || !o->policy || !o->model || !o->images || !o->labels) {
        ui_error("--target, --policy, --model, --images and --labels are required");
        return false;
    }
    if (o->batch < 1 || o->batch > 4096 || o->connections < 1 || o->connections > 256 ||
        o->in_flight < 1 || o->in_flight > 4096 || o->retries < 0 || o->retries > 100 ||
        o->timeout_ms < 1) {
        ui_error(
            "--batch must be 1..4096, --connections 1..256, --in-flight 1..4096, --retries 0..100");
        return false;
    }
    return true;
}

int cmd_infer(int argc, char **argv)
{
    struct infer_opts o = {.signature = "serving_default",
                           .input = "images",
                           .output = "scores",
                           .batch = 32,
                           .connections = 4,
                           .in_flight = 8,
                           .timeout_ms = 30000,
                           .retries = 8,
                           .expect_correct = -1};
    const struct ui_opt opts[] = {
        {"target", &o.target, NULL, NULL, "ADDR", "server or load balancer"},
        {"policy", &o.policy, NULL, NULL, "FILE",
         "policy that every server's evidence must satisfy"},
        UI_TRUST_FILES(&o),
        {"model", &o.model, NULL, NULL, "NAME", "name of the model"},
        {"signature", &o.signature, NULL, NULL, "NAME", "default serving_default"},
        {"input", &o.input, NULL, NULL, "NAME", "float input [n,rows,cols,1], default images"},
        {"output", &o.output, NULL, NULL, "NAME", "float output [n,classes], default scores"},
        {"images", &o.images, NULL, NULL, "FILE", "IDX file of images, plain or gzip"},
        {"labels", &o.labels, NULL, NULL, "FILE", "IDX file of labels"},
        {"batch", NULL, &o.batch, NULL, "N", "images per call, default 32"},
        {"connections", NULL, &o.connections, NULL, "N", "parallel connections, default 4"},
        {"in-flight", NULL, &o.in_flight, NULL, "N", "calls under way at any time, default 8"},
        {"limit", NULL, &o.limit, NULL, "N", "send only the first N images"},
        {"timeout-ms", NULL, &o.timeout_ms, NULL, "N", "deadline of a call, default 30000"},
        {"retries", NULL, &o.retries, NULL, "N",
         "further attempts of a call whose server vanished, default 8"},
        {"expect-correct", NULL, &o.expect_correct, NULL, "N",
         "end with status 1 unless exactly N are right"},
        {"expect-classes", &o.expect_classes, NULL, NULL, "HEX",
         "and unless this is the SHA-256 of all answers, a byte each"},
        {"half-file", &o.half_file, NULL, NULL, "FILE",
         "write FILE when half of the answers are in"},
        {"json", NULL, NULL, &o.json, NULL, "one JSON object"},
        {0},
    };
    int n = ui_parse(
        argc, argv,
        "cczoo infer --target ADDR --policy FILE --model NAME --images FILE --labels FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    return n == 0 && check(&o) ? run_all(&o) : UI_USAGE;
}
