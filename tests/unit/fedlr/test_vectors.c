/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workload of the original (two hospitals, 227 and 228 patients of 30 columns, validated on 114): the encrypted model
 * must reach in 20 rounds what central training reaches, with keys of 2048 bits. Without the data: skipped.
 */
#include "ccz_test.h"
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <pthread.h>

enum { SKIPPED = 77, COLS = 30 };

struct seat {
    struct ccz_chan *chan[3];
    size_t len;
    const struct ccz_paillier_key *key;
    const struct ccz_fedlr_table *t;
    struct ccz_fedlr_run run;
    struct ccz_fedlr_model *model;
    ccz_rc rc;
    struct ccz_err err;
    pthread_t thread;
};

static const struct ccz_fedlr_table *g_test;
static double g_accuracy[32], g_auc[32];

static void on_round(void *arg, const struct ccz_fedlr_progress *p)
{
    (void)arg;
    struct ccz_fedlr_metrics m;
    double score[128];
    const struct ccz_fedlr_model model = {.len = p->w_len, .w = (double *)(uintptr_t)p->w};
    CHECK(g_test->rows <= 128 && p->round < 32);
    CHECK(ccz_fedlr_predict(score, &model, g_test, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_measure(&m, score, g_test->y, g_test->rows, NULL) == CCZ_OK);
    g_accuracy[p->round] = m.accuracy;
    g_auc[p->round] = m.auc;
}

static void *take_seat(void *arg)
{
    struct seat *s = arg;
    if (s->key)
        s->rc = ccz_fedlr_arbitrate(&s->model, s->key, s->chan, 1, COLS, &s->run, &s->err);
    else if (s->t)
        s->rc = ccz_fedlr_work(&s->model, NULL, s->chan[0], s->t, &s->run, &s->err);
    else
        s->rc = ccz_fedlr_aggregate(s->chan, 2, s->chan[2], &s->run, &s->err);
    return NULL;
}

static struct ccz_fedlr_table *read_part(const char *name)
{
    const char *dir = getenv("CCZOO_VECTORS");
    const struct ccz_fedlr_csv_cfg cfg = {.label = "y", .id = "id"};
    struct ccz_fedlr_table *t;
    struct ccz_err err = {0};
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/lr/breast_homo_%s.csv",
                   dir ? dir : CCZ_TEST_SOURCE_DIR "/../shared/vectors", name);
    ccz_rc rc = ccz_fedlr_csv_read(&t, path, &cfg, &err);
    if (rc == CCZ_E_NOT_FOUND) {
        puts("skipped: the data of the original are not there");
        exit(SKIPPED);
    }
    CHECK(rc == CCZ_OK && t->cols == COLS);
    return t;
}

static void original(void)
{
    CCZ_AUTO(ccz_fedlr_table) guest = read_part("guest");
    CCZ_AUTO(ccz_fedlr_table) host = read_part("host");
    CCZ_AUTO(ccz_fedlr_table) test = read_part("test");
    CCZ_AUTO(ccz_paillier_key) key = NULL;
    const struct ccz_paillier_keygen_cfg bits = {.bits = 2048};
    CHECK(ccz_paillier_keygen(&key, &bits, NULL) == CCZ_OK);
    const struct ccz_fedlr_cfg cfg = {.mode = CCZ_FEDLR_ENCRYPTED_MODEL,
                                      .rounds = 20,
                                      .parties = 2,
                                      .l2 = 1e-3,
                                      .optimize = CCZ_FEDLR_ALL};
    struct seat s[4] = {{.t = guest}, {.t = host}, {.key = key}, {.t = NULL}};
    g_test = test;
    for (size_t i = 0; i < 4; i++)
        s[i].run = (struct ccz_fedlr_run){.cfg = &cfg, .on_round = i == 2 ? on_round : NULL};
    for (size_t i = 0; i < 3; i++)
        CHECK(ccz_chan_pair(&s[i].chan[0], &s[3].chan[i], NULL, NULL) == CCZ_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&s[i].thread, NULL, take_seat, &s[i]) == 0);
    for (size_t i = 0; i < 4; i++) {
        CHECK(pthread_join(s[i].thread, NULL) == 0);
        if (s[i].rc != CCZ_OK)
            fprintf(stderr, "%s: %s\n", s[i].err.where, s[i].err.msg);
        CHECK(s[i].rc == CCZ_OK);
    }
    unsigned first = 0;
    for (unsigned r = 20; r > 0; r--)
        if (g_accuracy[r] >= 0.9735 && g_auc[r] >= 0.987) /* 111 of 114 is 0.974 */
            first = r;
    printf("accuracy %.4f and AUC %.4f after 20 rounds; reached in round %u\n", g_accuracy[20],
           g_auc[20], first);
    CHECK(g_accuracy[20] >= 0.9735 && g_auc[20] >= 0.987 && first > 0);
    for (size_t i = 0; i < 4; i++)
        ccz_fedlr_model_free(s[i].model);
    for (size_t i = 0; i < 3; i++) {
        ccz_chan_free(s[i].chan[0]);
        ccz_chan_free(s[3].chan[i]);
    }
}

static const struct ccz_test tests[] = {{"fedlr.original", original}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, 1, argc, argv);
}
