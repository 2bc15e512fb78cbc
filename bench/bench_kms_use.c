/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses of keys with their audit lines, through the handler and the service, without a network; the store is in memory:
 *   bench_kms_use [seconds]      default 2
 *
 * Lines:  use-handler  operation, uses per second of processor time, one at a time: checks, operation, line, receipt
 *         use-beside   who does RSA: nobody, `inline` (the worker), `threads` (two beside it); RSA-3072 signatures/s;
 *                      then of HMACs that come one every 2 ms meanwhile: p50 ms, p99 ms, largest ms
 */
#define _GNU_SOURCE
#include "../tests/unit/kms/use_fixture.h"
#include "../tests/unit/kms/wrapping_key.h"
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { SIGNERS = 8, SAMPLES_MAX = 4096, EVERY_US = 2000 };

/* A key of RSA-3072 that takes no time to make. */
static void put_rsa(struct ccz_kms_store *s)
{
    struct ccz_secret *der = NULL;
    struct cczi_kms_key_meta m;
    const struct cczi_kms_key_spec spec = {.kind = CCZI_KEY_RSA_3072,
                                           .ops = CCZI_OP_BIT(CCZI_OP_SIGN)};
    const struct ccz_kms_request req = {.now_s = FIX_NOW};
    struct cczi_kms_call call = {
        .store = s, .req = &req, .ref = {CCZI_KMS_KEY, "rsa"}, .roles = CCZ_KMS_ROLE_AUTHOR};
    struct ccz_buf response;
    ccz_buf_init(&response, 256);
    size_t size = strlen(wrapping_pkcs8) / 2;
    must(ccz_secret_new(&der, size) == CCZ_OK &&
             ccz_unhex(ccz_secret_bytes(der), size, wrapping_pkcs8, 2 * size) == CCZ_OK &&
             cczi_kms_key_meta_new(&m, &spec, FIX_NOW, NULL) == CCZ_OK &&
             cczi_kms_begin(s, NULL) == CCZ_OK &&
             cczi_kms_put_key(&response, &call, &m, der, (struct ccz_span){0}, NULL) == CCZ_OK &&
             cczi_kms_bind_to(&call, ccz_span_str("server"), 0, NULL) == CCZ_OK &&
             cczi_kms_commit(s, NULL) == CCZ_OK,
         "an RSA key");
    ccz_secret_free(der);
    ccz_buf_free(&response);
}

static struct ccz_kms_store *make_store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    must(use_make(s, "aead", "aes-256-gcm", NULL, "server") == CCZ_OK &&
             use_make(s, "mac", "hmac-sha256", NULL, "server") == CCZ_OK &&
             use_make(s, "ec", "ecdsa-p256", NULL, "server") == CCZ_OK,
         "keys");
    put_rsa(s);
    return s;
}

/* ------------------------------------------------------------------------- handler */

struct one {
    struct ccz_kms_store *s;
    const char *method;
    const struct cczi_msg_field *fields;
    struct cczi_msg_use_req m;
    struct use_got got;
};

static void use_one(void *arg)
{
    struct one *o = arg;
    must(use(&o->got, o->s, o->method, o->fields, &o->m) == CCZ_OK, o->method);
}

static void handler(struct ccz_kms_store *s)
{
    static uint8_t text[1024];
    struct one ops[] = {
        {.method = "Hmac", .fields = cczi_msg_hmac_req, .m = {.key = fix_str("mac")}},
        {.method = "Encrypt", .fields = cczi_msg_encrypt_req, .m = {.key = fix_str("aead")}},
        {.method = "DataKey", .fields = cczi_msg_data_key_req, .m = {.key = fix_str("aead")}},
        {.method = "Sign", .fields = cczi_msg_sign_req, .m = {.key = fix_str("ec")}},
        {.method = "Sign", .fields = cczi_msg_sign_req, .m = {.key = fix_str("rsa")}},
    };
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        ops[i].s = s;
        ops[i].m.text = CCZ_SPAN(text, sizeof(text));
        use_got_init(&ops[i].got);
        printf("use-handler\t%s %.*s\t%.0f\n", ops[i].method, (int)ops[i].m.key.size,
               (const char *)ops[i].m.key.ptr, per_second(use_one, &ops[i]));
        (void)fflush(stdout);
        use_got_deinit(&ops[i].got);
    }
}

/* -------------------------------------------------------------------------- beside */

/* A worker that does RSA itself, as it was before: the same batches from a queue, handled at once. */
struct call {
    struct ccz_kms_request req;
    _Atomic bool *done;
};
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct call call[SIGNERS + 1];
    size_t len;
    bool stop;
    struct ccz_kms_store *s;
};

static void *handle_inline(void *arg)
{
    struct queue *q = arg;
    static struct cczi_kms_entry e[SIGNERS + 1];
    pthread_mutex_lock(&q->lock);
    while (!q->stop) {
        struct call batch[SIGNERS + 1];
        size_t len = q->len;
        memcpy(batch, q->call, sizeof(batch));
        q->len = 0;
        if (len == 0) {
            pthread_cond_wait(&q->wake, &q->lock);
            continue;
        }
        pthread_mutex_unlock(&q->lock);
        for (size_t i = 0; i < len; i++)
            cczi_kms_entry_init(&e[i], &batch[i].req);
        cczi_kms_handle_batch(q->s, e, len);
        for (size_t i = 0; i < len; i++) {
            must(e[i].rc == CCZ_OK, e[i].err.where);
            cczi_kms_entry_deinit(&e[i]);
            atomic_store(batch[i].done, true);
        }
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static int64_t fixed_now(void *arg)
{
    (void)arg;
    return FIX_NOW;
}

struct site {
    struct queue *q;                 /* inline, or */
    struct ccz_kms_service *service; /* with threads */
    struct ccz_kms_request sign, hmac;
    _Atomic bool stop;
    _Atomic long signatures;
};

static void on_answer(void *done, struct ccz_span response, const struct ccz_err *err)
{
    (void)response;
    must(!err, err ? err->where : "");
    atomic_store((_Atomic bool *)done, true);
}

static void ask(struct site *t, const struct ccz_kms_request *req)
{
    _Atomic bool done = false;
    if (t->service) {
        must(ccz_kms_service_call(t->service, req, on_answer, &done, NULL) == CCZ_OK, "queue");
    } else {
        pthread_mutex_lock(&t->q->lock);
        t->q->call[t->q->len++] = (struct call){*req, &done};
        pthread_cond_signal(&t->q->wake);
        pthread_mutex_unlock(&t->q->lock);
    }
    while (!atomic_load(&done))
        (void)usleep(50);
}

static void *sign_often(void *arg)
{
    struct site *t = arg;
    while (!atomic_load(&t->stop)) {
        ask(t, &t->sign);
        t->signatures++;
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct site *t, const char *name, unsigned signers, double seconds)
{
    static double ms[SAMPLES_MAX];
    pthread_t threads[SIGNERS];
    size_t n = 0;
    t->stop = false;
    t->signatures = 0;
    for (unsigned i = 0; i < signers; i++)
        must(pthread_create(&threads[i], NULL, sign_often, t) == 0, "thread");
    int64_t start = wall_ns(), next = start;
    while (wall_ns() - start < (int64_t)(seconds * 1e9) && n < SAMPLES_MAX) {
        int64_t wait = next - wall_ns();
        if (wait > 0)
            (void)usleep((useconds_t)(wait / 1000));
        ask(t, &t->hmac);
        ms[n++] = (double)(wall_ns() - next) / 1e6; /* from when it was due */
        next += EVERY_US * 1000;
    }
    double took = (double)(wall_ns() - start) / 1e9;
    t->stop = true;
    for (unsigned i = 0; i < signers; i++)
        pthread_join(threads[i], NULL);
    qsort(ms, n, sizeof(ms[0]), by_size);
    printf("use-beside\t%s\t%.0f\t%.3f\t%.3f\t%.3f\n", name, (double)t->signatures / took,
           ms[n / 2], ms[n * 99 / 100], ms[n - 1]);
    (void)fflush(stdout);
}

static void put(struct ccz_buf *body, const struct cczi_msg_field *fields, const char *key)
{
    const struct cczi_msg_use_req m = {.key = fix_str(key), .text = fix_str("message")};
    ccz_buf_init(body, 256);
    cczi_msg_put(body, fields, &m);
}

static void beside(struct ccz_kms_store *s, double seconds)
{
    static const struct ccz_kms_info info = {.version = "bench", .tee = "toy"};
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    struct ccz_buf sign, hmac;
    put(&sign, cczi_msg_sign_req, "rsa");
    put(&hmac, cczi_msg_hmac_req, "mac");
    struct site t = {
        .sign = {CCZI_KMS_SERVICE "Sign", ccz_buf_span(&sign), &peer, "bench", FIX_NOW, &info},
        .hmac = {CCZI_KMS_SERVICE "Hmac", ccz_buf_span(&hmac), &peer, "bench", FIX_NOW, &info}};
    struct queue q = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .s = s};
    pthread_t worker;
    t.q = &q;
    must(pthread_create(&worker, NULL, handle_inline, &q) == 0, "thread");
    measure(&t, "nobody", 0, seconds);
    measure(&t, "inline", SIGNERS, seconds);
    pthread_mutex_lock(&q.lock);
    q.stop = true;
    pthread_cond_signal(&q.wake);
    pthread_mutex_unlock(&q.lock);
    pthread_join(worker, NULL);
    const struct ccz_kms_service_cfg cfg = {
        .store = s, .clock = {fixed_now, NULL}, .info = {.version = "bench", .tee = "toy"}};
    must(ccz_kms_service_new(&t.service, &cfg, NULL) == CCZ_OK, "service");
    measure(&t, "threads", SIGNERS, seconds);
    ccz_kms_service_free(t.service);
    ccz_buf_free(&sign);
    ccz_buf_free(&hmac);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    struct ccz_kms_store *s = make_store();
    handler(s);
    beside(s, seconds);
    ccz_kms_store_free(s);
    return 0;
}
