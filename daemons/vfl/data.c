/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of one party: from files into tensors with the names that the models' inputs have. */
#include "vfl.h"

#include <cczoo/crypto.h>
#include <cczoo/dataset.h>
#include <cczoo/fedlr.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDS_SIZE_MAX = 1 << 30, SPLIT_SIZE_MAX = 1 << 20 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
}

static void path_of(char out[VFL_PATH_SIZE], const char *dir, const char *what, const char *rest)
{
    (void)snprintf(out, VFL_PATH_SIZE, "%s/%s%s", dir, what, rest);
}

void vfl_rows_free(struct vfl_rows *r)
{
    for (size_t i = 0; i < VFL_COLUMNS_MAX; i++) {
        if (r->memory[i])
            ccz_wipe(r->memory[i], r->in[i].data.size);
        free(r->memory[i]);
    }
    if (r->label)
        ccz_wipe(r->label, r->rows * sizeof(*r->label));
    free(r->label);
    free(r->id);
    ccz_buf_free(&r->id_text);
    *r = (struct vfl_rows){0};
}

/* One more tensor, zeros. dims[0] is the number of rows. */
static void *add_tensor(struct vfl_rows *r, const char *name, enum ccz_dtype dtype, int rank,
                        const int64_t *dims)
{
    size_t i = r->table.in_len;
    struct ccz_tensor t = {.name = name, .dtype = dtype, .rank = rank};
    for (int k = 0; k < rank; k++)
        t.dims[k] = dims[k];
    if (i == VFL_COLUMNS_MAX || !ccz_tensor_len(&t.len, rank, dims))
        return NULL;
    void *memory = calloc(t.len ? t.len : 1, ccz_dtype_size(dtype));
    if (!memory)
        return NULL;
    t.data = CCZ_SPAN(memory, t.len * ccz_dtype_size(dtype));
    r->in[i] = t;
    r->memory[i] = memory;
    r->table = (struct ccz_vfl_table){.rows = r->rows, .in = r->in, .in_len = i + 1};
    return memory;
}

static ccz_rc set_labels(struct vfl_rows *r, const uint32_t *label, uint32_t classes,
                         int64_t positive, struct ccz_err *err)
{
    r->label = calloc(r->rows, sizeof(*r->label));
    if (!r->label)
        return no_memory(err);
    for (size_t i = 0; i < r->rows; i++) {
        r->label[i] = positive < 0 ? label[i] : label[i] == (uint32_t)positive;
        if (r->label[i] >= classes)
            return ccz_hint(err,
                            ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:labels", (int64_t)r->label[i],
                                           (int64_t)classes - 1),
                            "the models have fewer classes; --positive makes two of many");
    }
    r->labels = (struct ccz_vfl_labels){.rows = r->rows, .classes = classes, .label = r->label};
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ CSV */

static ccz_rc csv_ids(struct vfl_rows *r, const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    r->id = calloc(t->rows, sizeof(*r->id));
    ccz_buf_init(&r->id_text, IDS_SIZE_MAX);
    for (size_t i = 0; i < t->rows; i++)
        ccz_buf_put_str(&r->id_text, t->id[i]);
    if (!r->id || r->id_text.bad)
        return no_memory(err);
    size_t at = 0;
    for (size_t i = 0; i < t->rows; i++) {
        r->id[i] = CCZ_SPAN(r->id_text.ptr + at, strlen(t->id[i]));
        at += r->id[i].size;
    }
    return CCZ_OK;
}

static ccz_rc csv_columns(struct vfl_rows *r, const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    size_t index = t->cols;
    for (size_t j = 0; j < t->cols; j++)
        if (strcmp(t->name[j], "index") == 0)
            index = j;
    size_t plain = t->cols - (index < t->cols);
    const int64_t rows = (int64_t)t->rows, one[] = {rows, 1}, many[] = {rows, (int64_t)plain};
    int32_t *number = index < t->cols ? add_tensor(r, "index", CCZ_DT_INT32, 2, one) : NULL;
    float *x = plain ? add_tensor(r, "x", CCZ_DT_FLOAT, 2, many) : NULL;
    if ((index < t->cols && !number) || (plain && !x))
        return no_memory(err);
    for (size_t i = 0; i < t->rows; i++)
        for (size_t j = 0, k = 0; j < t->cols; j++) {
            double v = t->x[i * t->cols + j];
            if (j != index) {
                x[i * plain + k++] = (float)v;
                continue;
            }
            if (v < 0 || v > INT32_MAX || v != floor(v))
                return ccz_fail(err, CCZ_E_FORMAT, "vfl:index", (int64_t)i,
                                "row %zu: %g is no index", i + 1, v);
            number[i] = (int32_t)v;
        }
    return CCZ_OK;
}

static ccz_rc read_csv(struct vfl_rows *r, const char *path, bool labels, uint32_t classes,
                       int64_t positive, struct ccz_err *err)
{
    const struct ccz_fedlr_csv_cfg cfg = {.label = labels ? "y" : NULL, .id = "id"};
    CCZ_AUTO(ccz_fedlr_table) t = NULL;
    ccz_rc rc = ccz_fedlr_csv_read(&t, path, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    r->rows = t->rows;
    rc = csv_ids(r, t, err);
    if (rc == CCZ_OK)
        rc = csv_columns(r, t, err);
    if (rc != CCZ_OK || !labels)
        return rc;
    uint32_t *label = calloc(t->rows, sizeof(*label));
    if (!label)
        return no_memory(err);
    for (size_t i = 0; i < t->rows; i++)
        label[i] = t->y[i] > 0.5;
    rc = set_labels(r, label, classes, positive, err);
    free(label);
    return rc;
}

/* --------------------------------------------------------------------------------- images */

static ccz_rc read_ids(struct vfl_rows *r, const char *path, struct ccz_err *err)
{
    ccz_buf_init(&r->id_text, IDS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&r->id_text, path, err);
    if (rc != CCZ_OK)
        return rc;
    r->id = calloc(r->rows, sizeof(*r->id));
    if (!r->id)
        return no_memory(err);
    size_t len = 0;
    for (size_t at = 0; at < r->id_text.size; len++) {
        const uint8_t *line = r->id_text.ptr + at;
        const uint8_t *end = memchr(line, '\n', r->id_text.size - at);
        size_t size = end ? (size_t)(end - line) : r->id_text.size - at;
        if (len < r->rows)
            r->id[len] = CCZ_SPAN(line, size);
        at += size + 1;
    }
    if (len != r->rows)
        return ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:ids", (int64_t)len, (int64_t)r->rows),
            "one line per row is needed");
    return CCZ_OK;
}

static ccz_rc read_images(struct vfl_rows *r, const char *dir, const char *what, bool labels,
                          uint32_t classes, int64_t positive, struct ccz_err *err)
{
    char path[VFL_PATH_SIZE];
    struct ccz_idx images = {0}, marks = {0};
    path_of(path, dir, what, "-images.idx");
    ccz_rc rc = ccz_idx_read(&images, path, 3, err);
    if (rc == CCZ_OK) {
        r->rows = images.dims[0];
        const int64_t dims[] = {images.dims[0], images.dims[1], images.dims[2], 1};
        void *memory = add_tensor(r, "image", CCZ_DT_UINT8, 4, dims);
        if (memory)
            memcpy(memory, images.data, r->in[0].data.size);
        else
            rc = no_memory(err);
    }
    ccz_idx_free(&images);
    path_of(path, dir, what, ".ids");
    if (rc == CCZ_OK)
        rc = read_ids(r, path, err);
    if (rc != CCZ_OK || !labels)
        return rc;
    path_of(path, dir, what, "-labels.idx");
    uint32_t *label = calloc(r->rows, sizeof(*label));
    rc = label ? ccz_idx_read(&marks, path, 1, err) : no_memory(err);
    if (rc == CCZ_OK && marks.dims[0] != r->rows)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:labels", marks.dims[0], (int64_t)r->rows);
    for (size_t i = 0; rc == CCZ_OK && i < r->rows; i++)
        label[i] = marks.data[i];
    if (rc == CCZ_OK)
        rc = set_labels(r, label, classes, positive, err);
    ccz_idx_free(&marks);
    free(label);
    return rc;
}

ccz_rc vfl_rows_read(struct vfl_rows *out, const char *dir, const char *what, bool labels,
                     uint32_t classes, int64_t positive, struct ccz_err *err)
{
    char csv[VFL_PATH_SIZE], images[VFL_PATH_SIZE];
    *out = (struct vfl_rows){0};
    path_of(csv, dir, what, ".csv");
    path_of(images, dir, what, "-images.idx");
    ccz_rc rc;
    if (access(csv, F_OK) == 0)
        rc = read_csv(out, csv, labels, classes, positive, err);
    else if (access(images, F_OK) == 0)
        rc = read_images(out, dir, what, labels, classes, positive, err);
    else
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "vfl:data", 0,
                      "%.100s has neither %s.csv nor %s-images.idx", dir, what, what);
    if (rc != CCZ_OK)
        vfl_rows_free(out);
    return rc;
}

/* ---------------------------------------------------------------------------- rearranging */

ccz_rc vfl_rows_take(struct vfl_rows *out, const struct vfl_rows *from, const size_t *row,
                     size_t len, struct ccz_err *err)
{
    *out = (struct vfl_rows){.rows = len};
    for (size_t i = 0; i < from->table.in_len; i++) {
        const struct ccz_tensor *t = &from->in[i];
        size_t size = t->data.size / from->rows;
        int64_t dims[CCZ_TENSOR_RANK_MAX];
        memcpy(dims, t->dims, sizeof(dims));
        dims[0] = (int64_t)len;
        uint8_t *memory = add_tensor(out, t->name, t->dtype, t->rank, dims);
        if (!memory) {
            vfl_rows_free(out);
            return no_memory(err);
        }
        for (size_t k = 0; k < len; k++)
            memcpy(memory + k * size, t->data.ptr + row[k] * size, size);
    }
    if (!from->labels.rows)
        return CCZ_OK;
    out->label = calloc(len, sizeof(*out->label));
    if (!out->label) {
        vfl_rows_free(out);
        return no_memory(err);
    }
    for (size_t k = 0; k < len; k++)
        out->label[k] = from->label[row[k]];
    out->labels =
        (struct ccz_vfl_labels){.rows = len, .classes = from->labels.classes, .label = out->label};
    return CCZ_OK;
}

ccz_rc vfl_rows_digest(uint8_t out[CCZ_VFL_DIGEST_SIZE], const struct vfl_rows *r,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    uint8_t ids[CCZ_VFL_DIGEST_SIZE];
    ccz_rc rc = ccz_vfl_alignment(ids, r->id, r->rows, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_hasher_new(&h, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(ids, sizeof(ids)));
    for (size_t i = 0; rc == CCZ_OK && i < r->table.in_len; i++)
        rc = ccz_hasher_put(h, r->in[i].data);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(r->label, r->label ? r->rows * sizeof(*r->label) : 0));
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
}

static float *numbers(struct vfl_rows *r, size_t *cols)
{
    for (size_t i = 0; r && i < r->table.in_len; i++)
        if (r->in[i].dtype == CCZ_DT_FLOAT) {
            *cols = r->in[i].len / r->rows;
            return r->memory[i];
        }
    return NULL;
}

void vfl_rows_scale(struct vfl_rows *train, struct vfl_rows *test)
{
    size_t cols, test_cols = 0;
    float *x = numbers(train, &cols), *y = numbers(test, &test_cols);
    for (size_t j = 0; x && j < cols; j++) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < train->rows; i++)
            mean += (double)x[i * cols + j] / (double)train->rows;
        for (size_t i = 0; i < train->rows; i++) {
            double d = (double)x[i * cols + j] - mean;
            square += d * d / (double)train->rows;
        }
        double scale = square > 0 ? 1 / sqrt(square) : 1;
        for (size_t i = 0; i < train->rows; i++)
            x[i * cols + j] = (float)(((double)x[i * cols + j] - mean) * scale);
        for (size_t i = 0; y && test_cols == cols && i < test->rows; i++)
            y[i * cols + j] = (float)(((double)y[i * cols + j] - mean) * scale);
    }
}

ccz_rc vfl_split_read(struct vfl_split *out, const char *dir, struct ccz_err *err)
{
    char path[VFL_PATH_SIZE];
    CCZ_AUTO_BUF text = {0};
    CCZ_AUTO(ccz_json) json = NULL;
    int64_t version, classes;
    ccz_buf_init(&text, SPLIT_SIZE_MAX);
    path_of(path, dir, "split", ".json");
    ccz_rc rc = ccz_file_read(&text, path, err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&json, ccz_buf_span(&text), err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_json_int(&version, ccz_json_get(json, "version")) || version != 1 ||
        !ccz_json_int(&classes, ccz_json_get(json, "classes")) || classes < 2 ||
        classes > CCZ_VFL_CLASSES_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "vfl:split", 0,
                        "%.120s: no version 1, or no number of classes", path);
    out->classes = (uint32_t)classes;
    rc = ccz_sha256(out->digest, ccz_buf_span(&text));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:split", 0, "cannot hash");
}
