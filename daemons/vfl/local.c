/* SPDX-License-Identifier: Apache-2.0 */
/* The same network in one process that has all columns: what split learning is compared with. */
#include "vfl.h"

#include "../../cli/ui.h"

#include <cczoo/dataset.h>
#include <cczoo/fl_tf.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTIES = 2, INPUTS_MAX = PARTIES * VFL_COLUMNS_MAX + 1, NAME_SIZE = 32 };

struct local {
    const char *model, *data[PARTIES], *tensorflow, *split;
    int64_t epochs, batch, seed, positive, threads;
    bool raw;
    struct ccz_engine *engine;
    struct ccz_model *net;
    const struct ccz_signature *step, *infer;
    struct vfl_rows train[PARTIES], test[PARTIES];
    char name[INPUTS_MAX][NAME_SIZE];
};

static int by_id(const void *a, const void *b)
{
    const struct ccz_span *x = *(const struct ccz_span *const *)a,
                          *y = *(const struct ccz_span *const *)b;
    size_t least = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->ptr, y->ptr, least);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static const struct ccz_span **sorted(const struct vfl_rows *r)
{
    const struct ccz_span **s = calloc(r->rows, sizeof(*s));
    for (size_t i = 0; s && i < r->rows; i++)
        s[i] = &r->id[i];
    if (s)
        qsort(s, r->rows, sizeof(*s), by_id);
    return s;
}

/* Both parties' rows of the ids that both have, in the order of the ids. */
static ccz_rc join(struct vfl_rows out[PARTIES], struct vfl_rows in[PARTIES], struct ccz_err *err)
{
    const struct ccz_span **a = sorted(&in[0]), **b = sorted(&in[1]);
    size_t *left = calloc(in[0].rows, sizeof(*left)), *right = calloc(in[0].rows, sizeof(*right));
    size_t len = 0;
    bool good = a && b && left && right;
    for (size_t i = 0, k = 0; good && i < in[0].rows && k < in[1].rows;) {
        int order = by_id(&a[i], &b[k]);
        if (order == 0) {
            left[len] = (size_t)(a[i] - in[0].id);
            right[len++] = (size_t)(b[k] - in[1].id);
        }
        i += order <= 0;
        k += order >= 0;
    }
    ccz_rc rc = good ? vfl_rows_take(&out[0], &in[0], left, len, err)
                     : ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = vfl_rows_take(&out[1], &in[1], right, len, err);
    free((void *)a);
    free((void *)b);
    free(left);
    free(right);
    return rc;
}

static ccz_rc read_rows(struct vfl_rows out[PARTIES], const struct local *l, const char *what,
                        uint32_t classes, struct ccz_err *err)
{
    struct vfl_rows in[PARTIES] = {0};
    ccz_rc rc = CCZ_OK;
    for (int p = 0; rc == CCZ_OK && p < PARTIES; p++)
        rc = vfl_rows_read(&in[p], l->data[p], what, p == 0, classes, l->positive, err);
    if (rc == CCZ_OK)
        rc = join(out, in, err);
    for (int p = 0; p < PARTIES; p++)
        vfl_rows_free(&in[p]);
    return rc;
}

/* A batch of both parties as the inputs of the whole network. */
static size_t inputs(struct ccz_tensor *in, struct local *l, struct vfl_rows batch[PARTIES])
{
    size_t n = 0;
    for (int p = 0; p < PARTIES; p++)
        for (size_t i = 0; i < batch[p].table.in_len; i++, n++) {
            in[n] = batch[p].in[i];
            (void)snprintf(l->name[n], NAME_SIZE, "%.20s_%02d", in[n].name, p);
            in[n].name = l->name[n];
        }
    return n;
}

static ccz_rc take(struct vfl_rows batch[PARTIES], struct vfl_rows from[PARTIES],
                   const size_t *rows, size_t len, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int p = 0; rc == CCZ_OK && p < PARTIES; p++)
        rc = vfl_rows_take(&batch[p], &from[p], rows, len, err);
    return rc;
}

static ccz_rc run(struct ccz_result **out, struct local *l, const struct ccz_signature *sig,
                  struct vfl_rows batch[PARTIES], struct ccz_err *err)
{
    struct ccz_tensor in[INPUTS_MAX];
    size_t n = inputs(in, l, batch);
    if (sig == l->step)
        in[n++] = (struct ccz_tensor){.name = "label",
                                      .dtype = CCZ_DT_INT32,
                                      .rank = 1,
                                      .dims = {(int64_t)batch[0].rows},
                                      .len = batch[0].rows,
                                      .data = CCZ_SPAN(batch[0].label, batch[0].rows * 4)};
    const struct ccz_run_req req = {.sig = sig, .in = in, .in_len = n};
    return ccz_model_run(out, NULL, l->net, &req, err);
}

static ccz_rc train_epoch(double *loss, struct local *l, uint64_t epoch, size_t *order,
                          struct ccz_err *err)
{
    size_t rows = l->train[0].rows, steps = 0;
    ccz_dataset_order(order, rows, (uint64_t)l->seed, epoch);
    *loss = 0;
    for (size_t first = 0; first < rows; first += (size_t)l->batch, steps++) {
        struct vfl_rows batch[PARTIES] = {0};
        size_t len = rows - first < (size_t)l->batch ? rows - first : (size_t)l->batch;
        CCZ_AUTO(ccz_result) r = NULL;
        ccz_rc rc = take(batch, l->train, order + first, len, err);
        if (rc == CCZ_OK)
            rc = run(&r, l, l->step, batch, err);
        if (rc == CCZ_OK)
            *loss += (double)*(const float *)(const void *)ccz_result_at(r, 0)->data.ptr;
        ccz_result_free(r); /* borrows from the batch */
        r = NULL;
        for (int p = 0; p < PARTIES; p++)
            vfl_rows_free(&batch[p]);
        if (rc != CCZ_OK)
            return rc;
    }
    *loss /= (double)steps;
    return CCZ_OK;
}

static ccz_rc accuracy(double *out, struct local *l, struct ccz_err *err)
{
    CCZ_AUTO(ccz_result) r = NULL;
    ccz_rc rc = run(&r, l, l->infer, l->test, err);
    if (rc != CCZ_OK)
        return rc;
    const float *score = (const float *)(const void *)ccz_result_at(r, 0)->data.ptr;
    size_t rows = l->test[0].rows, k = ccz_result_at(r, 0)->len / rows, right = 0;
    for (size_t i = 0; i < rows; i++) {
        size_t best = k == 1 ? score[i] >= 0.5f : 0;
        for (size_t c = 1; c < k; c++)
            best = score[i * k + c] > score[i * k + best] ? c : best;
        right += best == l->test[0].label[i];
    }
    *out = (double)right / (double)rows;
    return CCZ_OK;
}

static ccz_rc prepare(struct local *l, struct ccz_err *err)
{
    struct vfl_split split;
    ccz_rc rc = vfl_split_read(&split, l->split, err);
    if (rc == CCZ_OK)
        rc = read_rows(l->train, l, "train", split.classes, err);
    if (rc == CCZ_OK)
        rc = read_rows(l->test, l, "test", split.classes, err);
    for (int p = 0; rc == CCZ_OK && !l->raw && p < PARTIES; p++)
        vfl_rows_scale(&l->train[p], &l->test[p]);
    if (rc == CCZ_OK)
        rc = vfl_open_engine(&l->engine, l->tensorflow, l->threads, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_tf_load(&l->net, l->engine, l->model, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    l->step = ccz_model_signature(l->net, "step");
    l->infer = ccz_model_signature(l->net, "infer");
    return l->step && l->infer ? CCZ_OK
                               : ccz_fail(err, CCZ_E_MISMATCH, "vfl:signature", 0,
                                          "%.100s is not a whole network", l->model);
}

static ccz_rc train(struct local *l, struct ccz_err *err)
{
    size_t *order = calloc(l->train[0].rows, sizeof(*order));
    ccz_rc rc = order ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
    ui_out("%zu rows that both have\n", l->train[0].rows);
    for (int64_t epoch = 1; rc == CCZ_OK && epoch <= l->epochs; epoch++) {
        double loss, right = 0;
        int64_t began = ccz_mono_ns();
        double cpu_s = vfl_cpu_s();
        rc = train_epoch(&loss, l, (uint64_t)epoch, order, err);
        double s = (double)(ccz_mono_ns() - began) / 1e9;
        cpu_s = vfl_cpu_s() - cpu_s;
        if (rc == CCZ_OK)
            rc = accuracy(&right, l, err);
        if (rc == CCZ_OK)
            ui_out("epoch %lld of %lld  loss %.4f  test accuracy %.4f  %.0f rows/s  cpu %.2f s\n",
                   (long long)epoch, (long long)l->epochs, loss, right,
                   (double)l->train[0].rows / s, cpu_s);
        (void)ui_out_flush();
    }
    free(order);
    return rc;
}

int vfl_cmd_local(int argc, char **argv)
{
    struct local l = {.epochs = 3, .batch = 256, .seed = 1, .positive = -1, .threads = 2};
    const struct ui_opt opts[] = {
        {"model", &l.model, NULL, NULL, "DIR", "folder `whole` of scripts/export-split"},
        {"split", &l.split, NULL, NULL, "DIR", "folder of split.json (`leader`)"},
        {"data", &l.data[0], NULL, NULL, "DIR", "rows of the leader"},
        {"data-2", &l.data[1], NULL, NULL, "DIR", "rows of the follower"},
        {"tensorflow", &l.tensorflow, NULL, NULL, "FILE", "libtensorflow_cc.so.2"},
        {"threads", NULL, &l.threads, NULL, "N", "of one operation, default 2"},
        {"epochs", NULL, &l.epochs, NULL, "N", "default 3"},
        {"batch", NULL, &l.batch, NULL, "ROWS", "default 256"},
        {"seed", NULL, &l.seed, NULL, "N", "of the order of rows"},
        {"positive", NULL, &l.positive, NULL, "CLASS", "labels become 1 for this class, else 0"},
        {"raw", NULL, NULL, &l.raw, NULL, "do not scale columns of numbers"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo-vfl local --model DIR --data DIR --data-2 DIR ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0 || !l.model || !l.split || !l.data[0] || !l.data[1] || !l.tensorflow ||
        l.epochs < 1 || l.batch < 1 || l.batch > CCZ_VFL_BATCH_MAX || l.threads < 1) {
        ui_error("--model, --split, --data, --data-2 and --tensorflow are required");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    ccz_rc rc = prepare(&l, &err);
    if (rc == CCZ_OK)
        rc = train(&l, &err);
    ccz_model_free(l.net);
    ccz_engine_free(l.engine);
    for (int p = 0; p < PARTIES; p++) {
        vfl_rows_free(&l.train[p]);
        vfl_rows_free(&l.test[p]);
    }
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
