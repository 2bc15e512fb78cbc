/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Federated regression, all roles as threads of one process.   bench_fedlr [WHAT [ARGUMENTS]]
 * One line per measurement, tab separated: name, least and median microseconds.
 *
 * encrypted-model [BITS]    one round of one worker: 227 rows of 30 columns, all local steps, until its update is sent
 * hetero ROWS GUEST HOST EPOCHS BATCH OPTIMIZE [BITS]
 *                           an epoch of guest and host (columns each) and arbiter, wall time; then bytes, and AUC beside
 *                           that of the whole table in one place. OPTIMIZE: sum of 1 djn, 2 pack, 4 product
 * rlwe ROWS GUEST HOST EPOCHS BATCH
 *                           the same of guest and host without an arbiter, with lattice ciphertexts
 * table ROWS GUEST HOST     one epoch with none of the optimisations, with each, and with all
 * Without arguments: all of them in small sizes.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/fedlr.h>

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { SAMPLES_MAX = 4096, RESIDUAL_THREADS = 2 };

struct party {
    int role; /* 0 aggregator, 1 arbiter, 2 worker, 3 guest, 4 host */
    const struct ccz_paillier_key *key;
    struct ccz_chan *chan[3];
    size_t len;
    bool arbiter;
    const struct ccz_fedlr_table *t;
    size_t cols;
    struct ccz_fedlr_run run;
    struct ccz_fedlr_model *model;
    pthread_t thread;
    double us[SAMPLES_MAX];
    size_t samples;
    uint64_t bytes;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double *us, size_t len)
{
    qsort(us, len, sizeof(*us), by_value);
    printf("%s\t%.1f\t%.1f\n", name, us[0], us[len / 2]);
    (void)fflush(stdout);
}

static void on_round(void *arg, const struct ccz_fedlr_progress *p)
{
    struct party *me = arg;
    if (me->samples < SAMPLES_MAX)
        me->us[me->samples++] = (double)p->took_ns / 1e3;
    me->bytes += p->sent_size;
}

static void *run_party(void *arg)
{
    struct party *p = arg;
    size_t peers = p->len - p->arbiter;
    struct ccz_chan *arbiter = p->arbiter ? p->chan[p->len - 1] : NULL;
    struct ccz_err err = {0};
    ccz_rc rc;
    p->run.on_round = on_round;
    p->run.arg = p;
    p->run.timeout_ms = 36000000;
    if (p->role == 0)
        rc = ccz_fedlr_aggregate(p->chan, peers, arbiter, &p->run, &err);
    else if (p->role == 1)
        rc = ccz_fedlr_arbitrate(&p->model, p->key, p->chan, p->len, p->cols, &p->run, &err);
    else if (p->role == 2)
        rc = ccz_fedlr_work(&p->model, p->key, p->chan[0], p->t, &p->run, &err);
    else if (p->role == 3)
        rc = ccz_fedlr_guest(&p->model, NULL, p->chan, peers, arbiter, p->t, &p->run, &err);
    else
        rc = ccz_fedlr_host(&p->model, NULL, p->chan[0], arbiter, p->t, &p->run, &err);
    if (rc != CCZ_OK)
        (void)fprintf(stderr, "role %d: %s: %s\n", p->role, err.where, err.msg);
    must(rc == CCZ_OK, "training");
    return NULL;
}

static void join(struct party *a, struct party *b)
{
    must(ccz_chan_pair(&a->chan[a->len++], &b->chan[b->len++], NULL, NULL) == CCZ_OK, "channel");
}

static void run_all(struct party *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        must(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0, "thread");
    for (size_t i = 0; i < len; i++)
        must(pthread_join(p[i].thread, NULL) == 0, "thread");
    for (size_t i = 0; i < len; i++)
        for (size_t c = 0; c < p[i].len; c++)
            ccz_chan_free(p[i].chan[c]);
}

static struct ccz_paillier_key *make_key(unsigned bits)
{
    struct ccz_paillier_key *key;
    const struct ccz_paillier_keygen_cfg cfg = {.bits = bits};
    must(ccz_paillier_keygen(&key, &cfg, NULL) == CCZ_OK, "key");
    return key;
}

/* Approximately normal numbers from a linear congruence: good enough to be regressed on. */
static double some_normal(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(*state >> 11) * 0x1p-53;
    }
    return sum - 6;
}

/* Columns that share a factor, labels from a plane with noise: about 0.9 of AUC. */
static struct ccz_fedlr_table *some_rows(size_t rows, size_t cols, uint64_t seed)
{
    struct ccz_fedlr_table *t;
    must(ccz_fedlr_table_new(&t, rows, cols, true, false, NULL) == CCZ_OK, "table");
    for (size_t i = 0; i < rows; i++) {
        double z = 0, shared = some_normal(&seed);
        for (size_t j = 0; j < cols; j++) {
            double x = 0.5 * shared + 0.87 * some_normal(&seed);
            t->x[i * cols + j] = x;
            z += (j % 3 ? -1.0 : 1.5) * x / sqrt((double)j + 4);
        }
        t->y[i] = z + some_normal(&seed) > 0;
    }
    return t;
}

static void encrypted_model(unsigned bits)
{
    static struct party p[4];
    memset(p, 0, sizeof(p));
    struct ccz_paillier_key *key = make_key(bits);
    struct ccz_fedlr_table *a = some_rows(227, 30, 1), *b = some_rows(228, 30, 2);
    const struct ccz_fedlr_cfg cfg = {.mode = CCZ_FEDLR_ENCRYPTED_MODEL,
                                      .rounds = 20,
                                      .parties = 2,
                                      .l2 = 1e-3,
                                      .optimize = CCZ_FEDLR_ALL};
    char name[64];
    for (size_t i = 0; i < 4; i++) {
        p[i].role = i < 2 ? (int)i : 2;
        p[i].run.cfg = &cfg;
    }
    p[0].arbiter = true;
    p[1].key = key;
    p[1].cols = 30;
    p[2].t = a;
    p[3].t = b;
    join(&p[2], &p[0]);
    join(&p[3], &p[0]);
    join(&p[1], &p[0]);
    run_all(p, 4);
    (void)snprintf(name, sizeof(name), "fedlr/encrypted-model-worker/%u", bits);
    report(name, p[2].us, p[2].samples);
    (void)snprintf(name, sizeof(name), "fedlr/encrypted-model-round/%u", bits);
    report(name, p[1].us, p[1].samples);
    for (size_t i = 0; i < 4; i++)
        ccz_fedlr_model_free(p[i].model);
    ccz_fedlr_table_free(a);
    ccz_fedlr_table_free(b);
    ccz_paillier_key_free(key);
}

static double auc_of(const struct ccz_fedlr_model *m, const struct ccz_fedlr_table *t)
{
    struct ccz_fedlr_metrics metrics;
    double *p = malloc(t->rows * sizeof(*p));
    must(p && ccz_fedlr_predict(p, m, t, NULL) == CCZ_OK, "prediction");
    must(ccz_fedlr_measure(&metrics, p, t->y, t->rows, NULL) == CCZ_OK, "metrics");
    free(p);
    return metrics.auc;
}

struct hetero {
    size_t rows, guest, host, batch;
    uint32_t epochs;
    unsigned optimize, bits; /* bits 0: HETERO_RLWE */
    bool compare;            /* AUC with the whole table */
};

static void compare(const struct party *p, const struct ccz_fedlr_table *t, size_t guest)
{
    struct ccz_fedlr_model *central, whole = {.len = t->cols + 1};
    whole.w = malloc(whole.len * sizeof(double));
    must(whole.w != NULL, "memory");
    memcpy(whole.w, p[0].model->w, (guest + 1) * sizeof(double));
    memcpy(whole.w + guest + 1, p[1].model->w + 1, (t->cols - guest) * sizeof(double));
    must(ccz_fedlr_train_central(&central, t, 1e-4, NULL) == CCZ_OK, "baseline");
    printf("# AUC %.4f, of one table in one place %.4f\n", auc_of(&whole, t), auc_of(central, t));
    ccz_fedlr_model_free(central);
    free(whole.w);
}

static void hetero(const struct hetero *h)
{
    static struct party p[3];
    memset(p, 0, sizeof(p));
    bool lattice = h->bits == 0;
    size_t len = lattice ? 2 : 3;
    struct ccz_paillier_key *key = lattice ? NULL : make_key(h->bits);
    struct ccz_fedlr_table *t = some_rows(h->rows, h->guest + h->host, 3), *part[2];
    must(ccz_fedlr_table_cols(&part[0], t, 0, h->guest, true, NULL) == CCZ_OK, "columns");
    must(ccz_fedlr_table_cols(&part[1], t, h->guest, h->host, false, NULL) == CCZ_OK, "columns");
    const struct ccz_fedlr_cfg cfg = {.mode = lattice ? CCZ_FEDLR_HETERO_RLWE : CCZ_FEDLR_HETERO,
                                      .rounds = h->epochs,
                                      .parties = 1,
                                      .batch_rows = h->batch,
                                      .eta = 0.05,
                                      .momentum = 0.9,
                                      .seed = 1,
                                      .optimize = h->optimize};
    char name[128];
    for (size_t i = 0; i < 3; i++) {
        p[i].role = i == 0 ? 3 : i == 1 ? 4 : 1;
        p[i].t = i < 2 ? part[i] : NULL;
        p[i].run.cfg = &cfg;
        p[i].run.threads = lattice ? 1 : RESIDUAL_THREADS;
        p[i].arbiter = i < 2 && !lattice;
    }
    p[2].key = key;
    join(&p[1], &p[0]);
    for (size_t i = 0; i < 2 && !lattice; i++)
        join(&p[i], &p[2]);
    int64_t start_ns = ccz_mono_ns(), start_cpu_ns = cpu_ns();
    run_all(p, len);
    double cpu_s = (double)(cpu_ns() - start_cpu_ns) / 1e9 / h->epochs;
    double us = (double)(ccz_mono_ns() - start_ns) / 1e3 / h->epochs;
    if (lattice)
        (void)snprintf(name, sizeof(name), "fedlr/rlwe/%zux(%zu+%zu)/batch-%zu", h->rows, h->guest,
                       h->host, h->batch);
    else
        (void)snprintf(name, sizeof(name), "fedlr/hetero/%zux(%zu+%zu)/batch-%zu/optimize-%u/%u",
                       h->rows, h->guest, h->host, h->batch, h->optimize, h->bits);
    report(name, &us, 1);
    printf("# %.2f s of processor time and %.3f MB per epoch, all parties\n", cpu_s,
           (double)(p[0].bytes + p[1].bytes + p[2].bytes) / 1e6 / h->epochs);
    if (h->compare)
        compare(p, t, h->guest);
    for (size_t i = 0; i < 3; i++)
        ccz_fedlr_model_free(p[i].model);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
    ccz_fedlr_table_free(t);
    ccz_paillier_key_free(key);
}

static void table(size_t rows, size_t guest, size_t host)
{
    static const unsigned optimize[] = {0, CCZ_FEDLR_DJN, CCZ_FEDLR_PACK, CCZ_FEDLR_PRODUCT,
                                        CCZ_FEDLR_ALL};
    for (size_t i = 0; i < sizeof(optimize) / sizeof(optimize[0]); i++)
        hetero(&(struct hetero){.rows = rows,
                                .guest = guest,
                                .host = host,
                                .epochs = 1,
                                .optimize = optimize[i],
                                .bits = 2048});
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    return i < argc ? (size_t)strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!*what || strcmp(what, "encrypted-model") == 0)
        encrypted_model((unsigned)number(argc, argv, 2, 2048));
    if (!*what || strcmp(what, "hetero") == 0)
        hetero(&(struct hetero){.rows = number(argc, argv, 2, 2000),
                                .guest = number(argc, argv, 3, 10),
                                .host = number(argc, argv, 4, 20),
                                .epochs = (uint32_t)number(argc, argv, 5, 2),
                                .batch = number(argc, argv, 6, 0),
                                .optimize = (unsigned)number(argc, argv, 7, CCZ_FEDLR_ALL),
                                .bits = (unsigned)number(argc, argv, 8, 2048),
                                .compare = true});
    if (!*what || strcmp(what, "rlwe") == 0)
        hetero(&(struct hetero){.rows = number(argc, argv, 2, 2000),
                                .guest = number(argc, argv, 3, 10),
                                .host = number(argc, argv, 4, 20),
                                .epochs = (uint32_t)number(argc, argv, 5, 2),
                                .batch = number(argc, argv, 6, 0),
                                .optimize = CCZ_FEDLR_ALL,
                                .compare = true});
    if (!*what || strcmp(what, "table") == 0)
        table(number(argc, argv, 2, 40), number(argc, argv, 3, 3), number(argc, argv, 4, 5));
    return 0;
}
