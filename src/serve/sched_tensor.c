/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of tensors: whether they go together, put together with padding, taken apart, gathered again. */
#include "serve/sched_priv.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 }; /* what engines use in place */

/* Strings are rows of spans here: their bytes stay where they are. */
static size_t element_size(const struct ccz_tensor *t)
{
    return t->dtype == CCZ_DT_STRING ? sizeof(struct ccz_span) : ccz_dtype_size(t->dtype);
}

static const uint8_t *elements(const struct ccz_tensor *t)
{
    return t->dtype == CCZ_DT_STRING ? (const uint8_t *)t->strings : t->data.ptr;
}

static size_t row_len(int rank, const int64_t *dims)
{
    size_t n = 1;
    for (int i = 1; i < rank; i++)
        n *= (size_t)dims[i];
    return n;
}

static bool alike(const struct ccz_tensor *a, const struct ccz_tensor *b, bool pad)
{
    if (strcmp(a->name, b->name) != 0 || a->dtype != b->dtype || a->rank != b->rank)
        return false;
    bool same = true, empty = false;
    for (int i = 1; i < a->rank; i++) {
        same = same && a->dims[i] == b->dims[i];
        empty = empty || a->dims[i] == 0 || b->dims[i] == 0; /* no element to pad with */
    }
    return same || (pad && !empty);
}

bool cczi_sched_alike(const struct ccz_run_req *a, const struct ccz_run_req *b, bool pad)
{
    if (a->in_len != b->in_len || !a->fetch != !b->fetch || a->fetch_len != b->fetch_len ||
        (a->fetch && memcmp(a->fetch, b->fetch, a->fetch_len * sizeof(*a->fetch)) != 0))
        return false;
    for (size_t i = 0; i < a->in_len; i++)
        if (!alike(&a->in[i], &b->in[i], pad))
            return false;
    return true;
}

struct ccz_tensor cczi_sched_rows(const struct ccz_tensor *t, int64_t first, int64_t rows)
{
    struct ccz_tensor v = *t;
    size_t len = row_len(t->rank, t->dims);
    v.dims[0] = rows;
    v.len = (size_t)rows * len;
    if (t->dtype == CCZ_DT_STRING) {
        v.strings = t->strings + (size_t)first * len;
    } else {
        size_t size = element_size(t);
        v.data = CCZ_SPAN(t->data.ptr + (size_t)first * len * size, v.len * size);
    }
    return v;
}

/* ------------------------------------------------------------------------ together */

/* Copies rows of shape @p have into rows of the larger shape @p want, whose other elements are set already. */
static void copy_smaller(uint8_t *dst, const int64_t *want, const uint8_t *src, const int64_t *have,
                         int rank, int64_t rows, size_t size)
{
    int64_t at[CCZ_TENSOR_RANK_MAX] = {0};
    size_t line = (size_t)have[rank - 1] * size;
    while (at[0] < rows) {
        size_t offset = 0;
        for (int i = 0; i < rank - 1; i++)
            offset = (offset + (size_t)at[i]) * (size_t)want[i + 1];
        memcpy(dst + offset * size, src, line);
        src += line;
        int i = rank - 2;
        for (at[i]++; i > 0 && at[i] == have[i]; at[i]++) {
            at[i--] = 0;
        }
    }
}

static void put_rows(uint8_t *dst, const struct ccz_tensor *want, const struct ccz_tensor *t,
                     int64_t first, int64_t rows)
{
    size_t size = element_size(t), have_len = row_len(t->rank, t->dims),
           want_len = row_len(want->rank, want->dims);
    const uint8_t *src = elements(t) + (size_t)first * have_len * size;
    if (have_len * (size_t)rows == 0)
        return;
    if (have_len == want_len) { /* shapes only grow */
        memcpy(dst, src, (size_t)rows * have_len * size);
        return;
    }
    for (size_t i = 0; i < (size_t)rows * want_len; i++)
        memcpy(dst + i * size, src, size);
    copy_smaller(dst, want->dims, src, t->dims, t->rank, rows, size);
}

/* The shape that all of them fit in, with @p padded rows: its dimensions come from different requests, so that it may be much larger than
 * all of these together. False if it is more than @p size_max bytes. */
static bool common_shape(struct ccz_tensor *t, struct ccz_sched_part *const *parts, size_t len,
                         size_t input, int64_t padded, size_t size_max)
{
    *t = parts[0]->job->req->in[input];
    for (size_t k = 1; k < len; k++)
        for (int i = 1; i < t->rank; i++) {
            int64_t dim = parts[k]->job->req->in[input].dims[i];
            t->dims[i] = dim > t->dims[i] ? dim : t->dims[i];
        }
    t->dims[0] = padded;
    return ccz_tensor_len(&t->len, t->rank, t->dims) && t->len <= size_max / element_size(t);
}

static size_t aligned(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static bool scratch_need(struct scratch *m, size_t size)
{
    if (m->cap >= size)
        return true;
    free(m->ptr);
    m->ptr = aligned_alloc(ALIGN, aligned(size + size / 2));
    m->cap = m->ptr ? aligned(size + size / 2) : 0;
    return m->ptr != NULL;
}

bool cczi_sched_merge(struct ccz_tensor *in, struct scratch *m, struct ccz_sched_part *const *parts,
                      size_t len, int64_t padded, size_t size_max)
{
    size_t in_len = parts[0]->job->req->in_len, total = 0, taken = 0;
    for (size_t i = 0; i < in_len; i++) {
        if (!common_shape(&in[i], parts, len, i, padded, size_max - taken))
            return false;
        taken += in[i].len * element_size(&in[i]);
        total += aligned(in[i].len * element_size(&in[i]));
    }
    if (!scratch_need(m, total ? total : ALIGN))
        return false;
    uint8_t *at = m->ptr;
    for (size_t i = 0; i < in_len; i++) {
        struct ccz_tensor *t = &in[i];
        size_t size = element_size(t), row = row_len(t->rank, t->dims) * size, done = 0;
        for (size_t k = 0; k < len; k++) {
            put_rows(at + done, t, &parts[k]->job->req->in[i], parts[k]->first, parts[k]->rows);
            done += (size_t)parts[k]->rows * row;
        }
        size_t of_last = done - (size_t)parts[len - 1]->rows * row;
        for (; row && done < t->len * size; done += row)
            memcpy(at + done, at + of_last, row); /* its first row is a valid one */
        if (t->dtype == CCZ_DT_STRING)
            t->strings = (const struct ccz_span *)(const void *)at;
        else
            t->data = CCZ_SPAN(at, t->len * size);
        at += aligned(t->len * size);
    }
    return true;
}

/* ------------------------------------------------------------------------ gathered again */

static bool set_up(struct ccz_tensor *out, const struct ccz_tensor *t, int64_t all)
{
    struct ccz_tensor o = *t;
    o.dims[0] = all;
    o.len = (size_t)all * row_len(t->rank, t->dims);
    o.data = (struct ccz_span){0};
    o.strings = NULL;
    if (t->dtype == CCZ_DT_STRING) {
        o.strings = calloc(o.len ? o.len : 1, sizeof(*o.strings));
    } else {
        size_t size = o.len * element_size(t);
        o.data = CCZ_SPAN(malloc(size ? size : 1), size);
    }
    if (!o.strings && !o.data.ptr)
        return false;
    *out = o;
    return true;
}

static bool copy_strings(struct ccz_span *dst, const struct ccz_span *src, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t *p = malloc(src[i].size ? src[i].size : 1);
        if (!p)
            return false;
        if (src[i].size)
            memcpy(p, src[i].ptr, src[i].size);
        dst[i] = CCZ_SPAN(p, src[i].size);
    }
    return true;
}

bool cczi_sched_gather(struct ccz_tensor *out, struct ccz_run_status *st,
                       const struct ccz_tensor *t, int64_t first, int64_t all)
{
    bool empty = !out->data.ptr && !out->strings;
    if (empty && !set_up(out, t, all)) {
        ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the outputs");
        return false;
    }
    bool fits = out->rank == t->rank && out->dtype == t->dtype;
    for (int i = 1; fits && i < t->rank; i++)
        fits = out->dims[i] == t->dims[i];
    if (!fits) {
        ccz_run_status_set(st, CCZ_RUN_INTERNAL,
                           "Tensor concat operation failed: output %.200s has another shape in "
                           "each part of the request",
                           t->name);
        return false;
    }
    size_t at = (size_t)first * row_len(t->rank, t->dims);
    if (t->dtype == CCZ_DT_STRING) {
        if (copy_strings((struct ccz_span *)out->strings + at, t->strings, t->len))
            return true;
        ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the outputs");
        return false;
    }
    if (t->len)
        memcpy((uint8_t *)out->data.ptr + at * element_size(t), t->data.ptr, t->data.size);
    return true;
}

void cczi_sched_gather_free(struct ccz_tensor *out)
{
    for (size_t i = 0; out->strings && i < out->len; i++)
        free((void *)out->strings[i].ptr);
    free((void *)out->strings);
    free((void *)out->data.ptr);
}
