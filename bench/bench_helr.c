/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scoring encrypted records, one thread: 2,000 rows of 80 features (the workload of the original) and single
 * records of 30, in each packing. Lines: name, least and median microseconds; sizes: name, bytes.
 * usage: bench_helr [FEATURES ROWS [THREADS [PER_CT]]]     one shape alone, wall time if THREADS > 1
 *   client      rows to request bytes
 *   server      request bytes to reply bytes: reading, checking and expanding the ciphertexts included
 *   compute     ciphertexts in memory to the ciphertext of scores, which is what other libraries measure
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include "../src/helr/helr_priv.h"

#include <math.h>

enum { SAMPLES_MAX = 200, CTS_MAX = 80 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int64_t (*now_ns)(void) = cpu_ns;

/* Calls for at least BENCH_ROUND_NS and 15 times. */
static void measure(const char *name, void (*call)(void *arg), void *arg)
{
    double us[SAMPLES_MAX];
    size_t n = 0;
    int64_t start_ns = now_ns();
    call(arg); /* warm */
    while (n < SAMPLES_MAX && (n < 15 || now_ns() - start_ns < 2 * BENCH_ROUND_NS)) {
        int64_t from_ns = now_ns();
        call(arg);
        us[n++] = (double)(now_ns() - from_ns) / 1e3;
    }
    qsort(us, n, sizeof(*us), compare);
    printf("%s\t%.1f\t%.1f\n", name, us[0], us[n / 2]);
}

struct run {
    struct ccz_helr_model *model;
    struct ccz_helr_server *server;
    struct ccz_helr_client *client;
    double *x, *score;
    size_t rows;
    struct ccz_buf info, keys, ready, request, reply;
    /* for `compute` */
    struct ccz_ckks *ckks;
    struct cczi_helr_work *work;
    struct cczi_helr_poly poly;
    struct ccz_helr_layout layout;
    struct cczi_helr_session *session;
    struct ccz_ckks_ct *ct[CTS_MAX];
    struct ccz_ckks_pt *pt[CTS_MAX];
    double w[CTS_MAX];
};

static double number(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(int64_t)*state / 9223372036854775808.0;
}

static void make_model(struct run *r, size_t features, uint64_t *state)
{
    struct ccz_buf json;
    ccz_buf_init(&json, 1 << 20);
    ccz_buf_put_str(&json, "{\"version\":1,\"name\":\"b\",\"bias\":-0.1,\"features\":[");
    for (size_t i = 0; i < features; i++)
        ccz_buf_printf(&json, "%s{\"name\":\"f%zu\",\"weight\":%.17g}", i ? "," : "", i,
                       0.1 * number(state));
    ccz_buf_put_str(&json, "]}");
    must(ccz_helr_model_parse(&r->model, ccz_buf_span(&json), NULL) == CCZ_OK, "model");
    ccz_buf_free(&json);
}

/* The ciphertexts of r->request, and the weights, as the server has them while it computes. */
static void load(struct run *r)
{
    struct ccz_ckks_cfg cfg = {0};
    struct cczi_helr_rows h;
    size_t features = r->model->features_len, n = 8192;
    struct ccz_complex *slots = malloc(n / 2 * sizeof(*slots));
    double w[CTS_MAX];
    cczi_helr_ring(&cfg.ring, 3);
    cczi_helr_fold(&r->poly, 3, 8.0);
    must(slots && ccz_ckks_new(&r->ckks, &cfg, NULL) == CCZ_OK, "context");
    must(cczi_helr_work_new(&r->work, r->ckks, NULL, NULL) == CCZ_OK, "work space");
    must(cczi_helr_get_rows(&h, ccz_buf_span(&r->request), CCZI_HELR_REQUEST,
                            CCZ_HELR_REQUEST_SIZE_MAX, "bench", NULL) == CCZ_OK,
         "request");
    must(cczi_helr_session_read(&r->session, r->work->eval, ccz_buf_span(&r->keys), features,
                                NULL) == CCZ_OK,
         "keys");
    r->layout = cczi_helr_layout_of(n, features, h.per_ct);
    for (size_t i = 0; i < features; i++)
        r->w[i] = w[i] = r->poly.fold * r->model->features[i].weight;
    for (size_t i = 0; i < r->layout.cts; i++) {
        struct ccz_span body = ccz_span_sub(h.body, i * h.ct_size, h.ct_size);
        cczi_helr_pack_weights(slots, n, &r->layout, i, w, features);
        must(ccz_ckks_ct_new(&r->ct[i], r->ckks, NULL) == CCZ_OK &&
                 ccz_ckks_pt_new(&r->pt[i], r->ckks, NULL) == CCZ_OK &&
                 ccz_ckks_ct_read(r->ct[i], r->work->eval, body, NULL, NULL) == CCZ_OK &&
                 ccz_ckks_encode_complex(r->pt[i], r->work->eval, slots, n / 2, 0x1p40, 4, NULL) ==
                     CCZ_OK,
             "operands");
    }
    free(slots);
}

static void run_client(void *arg)
{
    struct run *r = arg;
    ccz_buf_clear(&r->request);
    must(ccz_helr_encrypt(&r->request, r->client, r->x, r->rows, NULL) == CCZ_OK, "encrypt");
}

static void run_server(void *arg)
{
    struct run *r = arg;
    ccz_buf_clear(&r->reply);
    must(ccz_helr_server_score(&r->reply, r->server, ccz_buf_span(&r->request), NULL) == CCZ_OK,
         "score");
}

static void run_decrypt(void *arg)
{
    struct run *r = arg;
    must(ccz_helr_decrypt(r->score, r->client, ccz_buf_span(&r->reply), r->rows, NULL) == CCZ_OK,
         "decrypt");
}

static void run_sum(void *arg)
{
    struct run *r = arg;
    const struct ccz_ckks_ct *const *ct = (const struct ccz_ckks_ct *const *)r->ct;
    const struct ccz_ckks_pt *const *pt = (const struct ccz_ckks_pt *const *)r->pt;
    struct cczi_helr_work *w = r->work;
    must((r->layout.per_ct == 1
              ? ccz_ckks_dot_scalar(w->sum, w->eval, ct, r->w, r->layout.cts, 0x1p40, NULL)
              : ccz_ckks_dot_plain(w->sum, w->eval, ct, pt, r->layout.cts, NULL)) == CCZ_OK,
         "dot");
}

static void run_compute(void *arg)
{
    struct run *r = arg;
    struct cczi_helr_work *w = r->work;
    struct ccz_ckks_ct *out;
    run_sum(r);
    must(cczi_helr_sum_up(w, &r->layout, r->session->galois, NULL, NULL) == CCZ_OK &&
             ccz_ckks_add_scalar(w->sum, w->eval, w->sum, r->poly.fold * r->model->bias, NULL) ==
                 CCZ_OK &&
             cczi_helr_sigmoid(&out, w, &r->poly, r->session->relin, NULL) == CCZ_OK,
         "compute");
}

/* @p threads  of the server; 0: one, and `compute` is measured too */
static void bench(const char *name, size_t features, size_t rows, size_t per_ct_max,
                  unsigned threads)
{
    struct run r = {.rows = rows};
    struct ccz_buf *bufs[] = {&r.info, &r.keys, &r.ready, &r.request, &r.reply};
    uint64_t state = features;
    char line[96];
    for (size_t i = 0; i < 5; i++)
        ccz_buf_init(bufs[i], CCZ_HELR_REQUEST_SIZE_MAX);
    make_model(&r, features, &state);
    r.x = malloc(rows * features * sizeof(*r.x));
    r.score = malloc(rows * sizeof(*r.score));
    must(r.x && r.score, "memory");
    for (size_t i = 0; i < rows * features; i++)
        r.x[i] = number(&state);
    const struct ccz_helr_server_cfg cfg = {.model = r.model, .threads = threads};
    must(ccz_helr_server_new(&r.server, &cfg, NULL) == CCZ_OK, "server");
    ccz_helr_server_info(&r.info, r.server);
    must(ccz_helr_client_new(&r.client, ccz_buf_span(&r.info),
                             &(struct ccz_helr_client_cfg){.per_ct_max = per_ct_max},
                             NULL) == CCZ_OK &&
             ccz_helr_client_keys(&r.keys, r.client, NULL) == CCZ_OK &&
             ccz_helr_server_keys(&r.ready, r.server, ccz_buf_span(&r.keys), NULL) == CCZ_OK,
         "client");
    static const struct {
        const char *part;
        void (*call)(void *arg);
    } parts[] = {{"client", run_client},
                 {"server", run_server},
                 {"decrypt", run_decrypt},
                 {"weights", run_sum},
                 {"compute", run_compute}};
    for (size_t i = 0; i < (threads == 0 ? 5 : 3); i++) {
        if (i == 3)
            load(&r);
        (void)snprintf(line, sizeof(line), "helr %s %zux%zu: %s", name, rows, features,
                       parts[i].part);
        measure(line, parts[i].call, &r);
    }
    printf("helr %s %zux%zu: request bytes\t%zu\n", name, rows, features, r.request.size);
    printf("helr %s %zux%zu: reply bytes\t%zu\n", name, rows, features, r.reply.size);
    printf("helr %s %zux%zu: keys bytes\t%zu\n", name, rows, features, r.keys.size);
    for (size_t i = 0; i < CTS_MAX; i++) {
        ccz_ckks_ct_free(r.ct[i]);
        ccz_ckks_pt_free(r.pt[i]);
    }
    cczi_helr_session_free(r.session);
    cczi_helr_work_free(r.work);
    ccz_ckks_free(r.ckks);
    ccz_helr_client_free(r.client);
    ccz_helr_server_free(r.server);
    ccz_helr_model_free(r.model);
    for (size_t i = 0; i < 5; i++)
        ccz_buf_free(bufs[i]);
    free(r.x);
    free(r.score);
}

int main(int argc, char **argv)
{
    size_t given[4] = {0, 0, 1, 0};
    for (int i = 1; i < argc && i <= 4; i++)
        given[i - 1] = strtoul(argv[i], NULL, 10);
    if (argc > 1) {
        must(given[0] > 0 && given[1] > 0 && given[2] > 0, "FEATURES ROWS [THREADS [PER_CT]]");
        if (given[2] > 1)
            now_ns = wall_ns;
        bench("shape", given[0], given[1], given[3], (unsigned)given[2]);
        return 0;
    }
    bench("packed", 80, 2000, 0, 0);
    bench("two a ciphertext", 80, 2000, 2, 0);
    bench("one a ciphertext", 80, 2000, 1, 0);
    bench("packed", 80, 4096, 0, 0);
    bench("packed", 30, 1, 0, 0);
    bench("one a ciphertext", 30, 1, 1, 0);
    return 0;
}
