/* SPDX-License-Identifier: Apache-2.0 */
/* Columns and labels: checked once, gathered for each batch into aligned memory. */
#include "vfl/vfl_priv.h"

#include <stdlib.h>
#include <string.h>

void *cczi_vfl_alloc(size_t len, size_t size)
{
    if (len > (SIZE_MAX - CCZI_VFL_ALIGN) / (size ? size : 1))
        return NULL;
    size_t bytes = (len * size + CCZI_VFL_ALIGN) / CCZI_VFL_ALIGN * CCZI_VFL_ALIGN;
    void *p = aligned_alloc(CCZI_VFL_ALIGN, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

ccz_rc cczi_vfl_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
}

ccz_rc cczi_vfl_table_check(const struct ccz_vfl_table *t, const char *what, struct ccz_err *err)
{
    if (t->rows == 0 || t->rows > CCZ_VFL_ROWS_MAX || t->in_len == 0 ||
        t->in_len > CCZ_VFL_INPUTS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "vfl:table", (int64_t)t->rows,
                        "%s: %zu rows of %zu tensors, at most %zu and %d", what, t->rows, t->in_len,
                        CCZ_VFL_ROWS_MAX, CCZ_VFL_INPUTS_MAX);
    for (size_t i = 0; i < t->in_len; i++) {
        const struct ccz_tensor *c = &t->in[i];
        size_t len, size = ccz_dtype_size(c->dtype);
        if (!c->name || size == 0 || c->rank < 1 || c->rank > CCZ_TENSOR_RANK_MAX ||
            !ccz_tensor_len(&len, c->rank, c->dims) || len == 0 || len != c->len ||
            (size_t)c->dims[0] != t->rows || c->data.size != len * size)
            return ccz_fail(err, CCZ_E_ARG, "vfl:table", (int64_t)i,
                            "%s: tensor %zu is not %zu rows of numbers", what, i, t->rows);
    }
    return CCZ_OK;
}

static size_t row_size(const struct ccz_tensor *t)
{
    return t->data.size / (size_t)t->dims[0];
}

ccz_rc cczi_vfl_batch_init(struct cczi_vfl_batch *b, const struct ccz_vfl_table *t, size_t rows_max,
                           struct ccz_err *err)
{
    *b = (struct cczi_vfl_batch){.in_len = t->in_len};
    for (size_t i = 0; i < t->in_len; i++) {
        b->in[i] = t->in[i];
        b->memory[i] = cczi_vfl_alloc(rows_max, row_size(&t->in[i]));
        if (!b->memory[i]) {
            cczi_vfl_batch_deinit(b);
            return cczi_vfl_no_memory(err);
        }
    }
    return CCZ_OK;
}

void cczi_vfl_batch_deinit(struct cczi_vfl_batch *b)
{
    for (size_t i = 0; i < b->in_len; i++)
        free(b->memory[i]);
    *b = (struct cczi_vfl_batch){0};
}

void cczi_vfl_batch_fill(struct cczi_vfl_batch *b, const struct ccz_vfl_table *t,
                         const size_t *index, size_t first, size_t len)
{
    for (size_t i = 0; i < t->in_len; i++) {
        size_t size = row_size(&t->in[i]);
        const uint8_t *from = t->in[i].data.ptr;
        if (!index)
            memcpy(b->memory[i], from + first * size, len * size);
        for (size_t k = 0; index && k < len; k++)
            memcpy(b->memory[i] + k * size, from + index[k] * size, size);
        b->in[i].dims[0] = (int64_t)len;
        b->in[i].len = t->in[i].len / t->rows * len;
        b->in[i].data = CCZ_SPAN(b->memory[i], len * size);
    }
}

ccz_rc cczi_vfl_labels_check(const struct ccz_vfl_labels *l, const char *what, struct ccz_err *err)
{
    bool good = l->rows > 0 && l->rows <= CCZ_VFL_ROWS_MAX && l->classes <= CCZ_VFL_CLASSES_MAX &&
                l->classes != 1 && (l->classes ? l->label != NULL : l->value != NULL);
    if (!good)
        return ccz_fail(err, CCZ_E_ARG, "vfl:labels", (int64_t)l->rows, "%s: %zu rows, %u classes",
                        what, l->rows, l->classes);
    for (size_t i = 0; i < l->rows; i++) {
        if (l->classes && l->label[i] >= l->classes)
            return ccz_hint(err,
                            ccz_refuse_num(err, CCZ_E_ARG, "vfl:labels", (int64_t)l->label[i],
                                           (int64_t)l->classes - 1),
                            "a label must be below the number of classes");
        if (!l->classes && !isfinite(l->value[i]))
            return ccz_fail(err, CCZ_E_ARG, "vfl:labels", (int64_t)i,
                            "%s: row %zu is not a finite number", what, i);
    }
    return CCZ_OK;
}

ccz_rc cczi_vfl_label_batch_init(struct cczi_vfl_label_batch *b, const struct ccz_vfl_labels *l,
                                 size_t rows_max, struct ccz_err *err)
{
    *b = (struct cczi_vfl_label_batch){.view.classes = l->classes};
    b->label = l->classes ? cczi_vfl_alloc(rows_max, sizeof(*b->label)) : NULL;
    b->value = l->classes ? NULL : cczi_vfl_alloc(rows_max, sizeof(*b->value));
    b->view.label = b->label;
    b->view.value = b->value;
    return b->label || b->value ? CCZ_OK : cczi_vfl_no_memory(err);
}

void cczi_vfl_label_batch_deinit(struct cczi_vfl_label_batch *b)
{
    free(b->label);
    free(b->value);
    *b = (struct cczi_vfl_label_batch){0};
}

void cczi_vfl_label_batch_fill(struct cczi_vfl_label_batch *b, const struct ccz_vfl_labels *l,
                               const size_t *index, size_t len)
{
    b->view.rows = len;
    for (size_t i = 0; i < len; i++) {
        if (b->label)
            b->label[i] = l->label[index[i]];
        else
            b->value[i] = l->value[index[i]];
    }
}

bool cczi_vfl_finite(const float *v, size_t len)
{
    /* Exponent bits all set: infinity or not a number. One pass without branches. */
    uint32_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof(bits));
        bad |= (bits & UINT32_C(0x7f800000)) == UINT32_C(0x7f800000);
    }
    return bad == 0;
}

void ccz_vfl_bottom_free(struct ccz_vfl_bottom *b)
{
    if (!b)
        return;
    b->ops->free(b->self);
    free(b);
}

void ccz_vfl_top_free(struct ccz_vfl_top *t)
{
    if (!t)
        return;
    t->ops->free(t->self);
    free(t);
}
