/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models that TensorFlow computes, with the signatures that models/export_split.py makes. What the backward pass needs of the
 * forward pass stays in TensorFlow's memory, as the result of one run that the next one borrows from.
 *
 * A state: number of tensors (4), then for each its size (8) and its bytes, in the order of the signature. To several workers of a
 * party, float32 is to be averaged and what is named g... belongs to random generators.
 */
#include "vfl/vfl_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATES_MAX = 1024, KEPT_MAX = 256 };

/* What both kinds have. */
struct net {
    struct ccz_model *model;
    const struct ccz_signature *get, *set, *infer;
    struct ccz_vfl_part *part; /* number, then size and bytes of each */
    size_t part_len;
};

/* --------------------------------------------------------------------------- signatures */

static ccz_rc mismatch(struct ccz_err *err, const char *signature, const char *what)
{
    return ccz_hint(
        err, ccz_fail(err, CCZ_E_MISMATCH, "vfl:signature", 0, "signature %s: %s", signature, what),
        "models/export_split.py makes what is needed");
}

static const struct ccz_tensor_info *find(const struct ccz_tensor_info *list, size_t len,
                                          const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static ccz_rc signature(const struct ccz_signature **out, const struct ccz_model *m,
                        const char *name, struct ccz_err *err)
{
    *out = ccz_model_signature(m, name);
    if (!*out)
        return mismatch(err, name, "missing");
    return (*out)->runnable ? CCZ_OK : mismatch(err, name, "cannot be run");
}

/* float32 [any, width]; *width 0: any, and set. */
static bool is_rows(const struct ccz_tensor_info *t, size_t *width)
{
    if (!t || t->dtype != CCZ_DT_FLOAT || t->unknown_rank || t->rank != 2 || t->dims[0] != -1 ||
        t->dims[1] < 1 || t->dims[1] > CCZ_VFL_WIDTH_MAX)
        return false;
    if (*width == 0)
        *width = (size_t)t->dims[1];
    return *width == (size_t)t->dims[1];
}

/* What get_state gives is what set_state takes. */
static bool same_states(const struct ccz_signature *get, const struct ccz_signature *set)
{
    bool good = get->in_len == 0 && get->out_len == set->in_len && get->out_len <= STATES_MAX;
    for (size_t i = 0; good && i < get->out_len; i++) {
        const struct ccz_tensor_info *a = &get->out[i], *b = &set->in[i];
        good = strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && !a->unknown_rank &&
               a->rank == b->rank && a->rank <= CCZ_TENSOR_RANK_MAX && ccz_dtype_size(a->dtype) > 0;
        for (int k = 0; good && k < a->rank; k++)
            good = a->dims[k] == b->dims[k] && a->dims[k] >= 0;
    }
    return good;
}

static ccz_rc set_parts(struct net *n, struct ccz_err *err)
{
    const struct ccz_signature *get = n->get;
    n->part = calloc(1 + 2 * get->out_len, sizeof(*n->part));
    if (!n->part)
        return cczi_vfl_no_memory(err);
    n->part[n->part_len++] = (struct ccz_vfl_part){CCZ_VFL_PART_EQUAL, 4};
    for (size_t i = 0; i < get->out_len; i++) {
        const struct ccz_tensor_info *t = &get->out[i];
        size_t len;
        enum ccz_vfl_part_kind kind = t->name[0] == 'g'          ? CCZ_VFL_PART_OWN
                                      : t->dtype == CCZ_DT_FLOAT ? CCZ_VFL_PART_MEAN
                                                                 : CCZ_VFL_PART_EQUAL;
        if (!ccz_tensor_len(&len, t->rank, t->dims))
            return mismatch(err, "get_state", "gives a tensor that is too large");
        n->part[n->part_len++] = (struct ccz_vfl_part){CCZ_VFL_PART_EQUAL, 8};
        n->part[n->part_len++] = (struct ccz_vfl_part){kind, len * ccz_dtype_size(t->dtype)};
    }
    return CCZ_OK;
}

static ccz_rc net_init(struct net *n, struct ccz_model *m, struct ccz_err *err)
{
    n->model = m;
    ccz_rc rc = signature(&n->get, m, "get_state", err);
    if (rc == CCZ_OK)
        rc = signature(&n->set, m, "set_state", err);
    if (rc == CCZ_OK && !same_states(n->get, n->set))
        rc = mismatch(err, "set_state", "takes other tensors than get_state gives");
    if (rc == CCZ_OK)
        rc = set_parts(n, err);
    return rc == CCZ_OK ? signature(&n->infer, m, "infer", err) : rc;
}

static ccz_rc run(struct ccz_result **out, struct net *n, const struct ccz_signature *sig,
                  const struct ccz_tensor *in, size_t in_len, struct ccz_err *err)
{
    const struct ccz_run_req req = {
        .sig = sig, .in = in, .in_len = in_len, .copy_in = sig == n->set};
    return ccz_model_run(out, NULL, n->model, &req, err);
}

static const struct ccz_tensor *output(const struct ccz_result *r, const char *name)
{
    for (size_t i = 0; i < ccz_result_len(r); i++)
        if (strcmp(ccz_result_at(r, i)->name, name) == 0)
            return ccz_result_at(r, i);
    return NULL;
}

/* Copies an output of exactly that many floats. */
static ccz_rc take(float *out, const struct ccz_result *r, const char *name, size_t len,
                   struct ccz_err *err)
{
    const struct ccz_tensor *t = output(r, name);
    if (!t || t->dtype != CCZ_DT_FLOAT || t->len != len)
        return ccz_fail(err, CCZ_E_MISMATCH, "vfl:signature", (int64_t)(t ? t->len : 0),
                        "output %s has %zu values, expected %zu", name, t ? t->len : 0, len);
    memcpy(out, t->data.ptr, t->data.size);
    return CCZ_OK;
}

static struct ccz_tensor rows_of(const char *name, const float *v, size_t rows, size_t width)
{
    return (struct ccz_tensor){.name = name,
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 2,
                               .dims = {(int64_t)rows, (int64_t)width},
                               .len = rows * width,
                               .data = CCZ_SPAN(v, rows * width * sizeof(*v))};
}

/* ----------------------------------------------------------------------------------- state */

static ccz_rc net_save(struct ccz_buf *out, struct net *n, struct ccz_err *err)
{
    CCZ_AUTO(ccz_result) r = NULL;
    ccz_rc rc = run(&r, n, n->get, NULL, 0, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_le32(out, (uint32_t)ccz_result_len(r));
    for (size_t i = 0; i < ccz_result_len(r); i++) {
        const struct ccz_tensor *t = ccz_result_at(r, i);
        ccz_buf_le64(out, t->data.size);
        ccz_buf_put_span(out, t->data);
    }
    return out->bad ? cczi_vfl_no_memory(err) : CCZ_OK;
}

static ccz_rc net_load(struct net *n, struct ccz_span state, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(state);
    CCZ_AUTO(ccz_result) done = NULL;
    struct ccz_tensor *in = calloc(n->set->in_len ? n->set->in_len : 1, sizeof(*in));
    if (!in)
        return cczi_vfl_no_memory(err);
    bool good = ccz_rd_le32(&r) == n->set->in_len;
    for (size_t i = 0; good && i < n->set->in_len; i++) {
        const struct ccz_tensor_info *t = &n->set->in[i];
        uint64_t size = ccz_rd_le64(&r);
        in[i] = (struct ccz_tensor){.name = t->name, .dtype = t->dtype, .rank = t->rank};
        for (int k = 0; k < t->rank; k++)
            in[i].dims[k] = t->dims[k];
        good = ccz_tensor_len(&in[i].len, t->rank, t->dims) &&
               size == in[i].len * ccz_dtype_size(t->dtype) && size <= r.left;
        in[i].data = ccz_rd_take(&r, (size_t)size);
    }
    ccz_rc rc = good && ccz_rd_done(&r)
                    ? run(&done, n, n->set, in, n->set->in_len, err)
                    : ccz_fail(err, CCZ_E_FORMAT, "vfl:state", (int64_t)state.size,
                               "the state is not one of this model");
    free(in);
    return rc;
}

/* ---------------------------------------------------------------------------------- bottom */

struct bottom {
    struct net net;
    const struct ccz_signature *forward, *backward;
    size_t width;
    struct ccz_result *kept[CCZ_VFL_INFLIGHT_MAX + 1]; /* by slot */
};

static void drop_all(struct bottom *b)
{
    for (size_t i = 0; i <= CCZ_VFL_INFLIGHT_MAX; i++) {
        ccz_result_free(b->kept[i]);
        b->kept[i] = NULL;
    }
}

static size_t batch_rows(const struct ccz_tensor *in)
{
    return (size_t)in[0].dims[0];
}

static ccz_rc bottom_forward(float *act, void *self, unsigned slot, const struct ccz_tensor *in,
                             size_t in_len, struct ccz_err *err)
{
    struct bottom *b = self;
    ccz_result_free(b->kept[slot]);
    b->kept[slot] = NULL;
    ccz_rc rc = run(&b->kept[slot], &b->net, b->forward, in, in_len, err);
    if (rc == CCZ_OK)
        rc = take(act, b->kept[slot], "act", batch_rows(in) * b->width, err);
    return rc;
}

static ccz_rc bottom_backward(void *self, unsigned slot, const float *grad, struct ccz_err *err)
{
    struct bottom *b = self;
    CCZ_AUTO(ccz_result) kept = b->kept[slot];
    CCZ_AUTO(ccz_result) done = NULL;
    struct ccz_tensor in[KEPT_MAX + 1];
    b->kept[slot] = NULL;
    const struct ccz_tensor *act = kept ? output(kept, "act") : NULL;
    if (!act)
        return ccz_fail(err, CCZ_E_ARG, "vfl:slot", (int64_t)slot, "no batch in this slot");
    for (size_t i = 0; i < b->backward->in_len; i++) {
        const char *name = b->backward->in[i].name;
        if (strcmp(name, "grad") == 0)
            in[i] = rows_of(name, grad, act->len / b->width, b->width);
        else
            in[i] = *output(kept, name); /* bottom_check() has seen that there is one */
    }
    return run(&done, &b->net, b->backward, in, b->backward->in_len, err);
}

static ccz_rc bottom_infer(float *act, void *self, const struct ccz_tensor *in, size_t in_len,
                           struct ccz_err *err)
{
    struct bottom *b = self;
    CCZ_AUTO(ccz_result) r = NULL;
    ccz_rc rc = run(&r, &b->net, b->net.infer, in, in_len, err);
    return rc == CCZ_OK ? take(act, r, "act", batch_rows(in) * b->width, err) : rc;
}

static ccz_rc bottom_save(struct ccz_buf *out, void *self, struct ccz_err *err)
{
    struct bottom *b = self;
    return net_save(out, &b->net, err);
}

static ccz_rc bottom_load(void *self, struct ccz_span state, struct ccz_err *err)
{
    struct bottom *b = self;
    drop_all(b);
    return net_load(&b->net, state, err);
}

static void bottom_parts(const struct ccz_vfl_part **out, size_t *len, void *self)
{
    const struct bottom *b = self;
    *out = b->net.part;
    *len = b->net.part_len;
}

static void bottom_free(void *self)
{
    struct bottom *b = self;
    drop_all(b);
    free(b->net.part);
    free(b);
}

static const struct ccz_vfl_bottom_ops BOTTOM_OPS = {bottom_forward, bottom_backward, bottom_infer,
                                                     bottom_save,    bottom_load,     bottom_free,
                                                     bottom_parts};

static ccz_rc bottom_check(struct bottom *b, struct ccz_err *err)
{
    const struct ccz_signature *f = b->forward, *g = b->backward;
    if (f->in_len == 0 || !is_rows(find(f->out, f->out_len, "act"), &b->width))
        return mismatch(err, "forward", "needs columns, and an output act of float [-1, width]");
    if (g->in_len > KEPT_MAX || !is_rows(find(g->in, g->in_len, "grad"), &b->width))
        return mismatch(err, "backward", "needs an input grad of the shape of act");
    for (size_t i = 0; i < g->in_len; i++) {
        const struct ccz_tensor_info *t = find(f->out, f->out_len, g->in[i].name);
        if (strcmp(g->in[i].name, "grad") != 0 && (!t || t->dtype != g->in[i].dtype))
            return mismatch(err, "backward", "needs something that forward does not give");
    }
    const struct ccz_signature *n = b->net.infer;
    if (!is_rows(find(n->out, n->out_len, "act"), &b->width) || n->in_len != f->in_len)
        return mismatch(err, "infer", "needs the columns of forward, and its output act");
    return CCZ_OK;
}

ccz_rc ccz_vfl_bottom_tf(struct ccz_vfl_bottom **out, struct ccz_model *m, struct ccz_err *err)
{
    *out = NULL;
    struct bottom *b = calloc(1, sizeof(*b));
    struct ccz_vfl_bottom *v = calloc(1, sizeof(*v));
    ccz_rc rc = b && v ? net_init(&b->net, m, err) : cczi_vfl_no_memory(err);
    if (rc == CCZ_OK)
        rc = signature(&b->forward, m, "forward", err);
    if (rc == CCZ_OK)
        rc = signature(&b->backward, m, "backward", err);
    if (rc == CCZ_OK)
        rc = bottom_check(b, err);
    if (rc != CCZ_OK) {
        if (b)
            free(b->net.part);
        free(b);
        free(v);
        return rc;
    }
    *v = (struct ccz_vfl_bottom){.ops = &BOTTOM_OPS, .self = b, .width = b->width};
    *out = v;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- top */

enum { NAME_SIZE = 32 };

struct top {
    struct net net;
    const struct ccz_signature *step;
    size_t parties, width[CCZ_VFL_PARTIES_MAX + 1], outputs;
    bool label_is_float;
    char act[CCZ_VFL_PARTIES_MAX + 1][NAME_SIZE], grad[CCZ_VFL_PARTIES_MAX + 1][NAME_SIZE];
};

static ccz_rc top_step(double *loss, float *const *grad, void *self, const float *const *act,
                       const struct ccz_vfl_labels *batch, struct ccz_err *err)
{
    struct top *t = self;
    CCZ_AUTO(ccz_result) r = NULL;
    struct ccz_tensor in[CCZ_VFL_PARTIES_MAX + 2];
    float mean;
    if (t->label_is_float != (batch->classes == 0))
        return ccz_fail(
            err, CCZ_E_MISMATCH, "vfl:signature", 0, "labels are %s, and the top model wants %s",
            batch->classes ? "classes" : "numbers", t->label_is_float ? "numbers" : "classes");
    for (size_t i = 0; i < t->parties; i++)
        in[i] = rows_of(t->act[i], act[i], batch->rows, t->width[i]);
    /* Classes are below 2^12: the same bytes as int32. */
    in[t->parties] = (struct ccz_tensor){
        .name = "label",
        .dtype = t->label_is_float ? CCZ_DT_FLOAT : CCZ_DT_INT32,
        .rank = 1,
        .dims = {(int64_t)batch->rows},
        .len = batch->rows,
        .data = CCZ_SPAN(t->label_is_float ? (const void *)batch->value : batch->label,
                         batch->rows * 4)};
    ccz_rc rc = run(&r, &t->net, t->step, in, t->parties + 1, err);
    if (rc == CCZ_OK)
        rc = take(&mean, r, "loss", 1, err);
    for (size_t i = 0; rc == CCZ_OK && i < t->parties; i++)
        rc = take(grad[i], r, t->grad[i], batch->rows * t->width[i], err);
    *loss = rc == CCZ_OK ? (double)mean : NAN;
    return rc;
}

static ccz_rc top_infer(float *score, void *self, const float *const *act, size_t rows,
                        struct ccz_err *err)
{
    struct top *t = self;
    CCZ_AUTO(ccz_result) r = NULL;
    struct ccz_tensor in[CCZ_VFL_PARTIES_MAX + 1];
    for (size_t i = 0; i < t->parties; i++)
        in[i] = rows_of(t->act[i], act[i], rows, t->width[i]);
    ccz_rc rc = run(&r, &t->net, t->net.infer, in, t->parties, err);
    return rc == CCZ_OK ? take(score, r, "score", rows * t->outputs, err) : rc;
}

static ccz_rc top_save(struct ccz_buf *out, void *self, struct ccz_err *err)
{
    struct top *t = self;
    return net_save(out, &t->net, err);
}

static ccz_rc top_load(void *self, struct ccz_span state, struct ccz_err *err)
{
    struct top *t = self;
    return net_load(&t->net, state, err);
}

static void top_parts(const struct ccz_vfl_part **out, size_t *len, void *self)
{
    const struct top *t = self;
    *out = t->net.part;
    *len = t->net.part_len;
}

static void top_free(void *self)
{
    struct top *t = self;
    free(t->net.part);
    free(t);
}

static const struct ccz_vfl_top_ops TOP_OPS = {top_step, top_infer, top_save,
                                               top_load, top_free,  top_parts};

static ccz_rc top_check(struct top *t, struct ccz_err *err)
{
    const struct ccz_signature *s = t->step, *n = t->net.infer;
    const struct ccz_tensor_info *label = find(s->in, s->in_len, "label");
    const struct ccz_tensor_info *loss = find(s->out, s->out_len, "loss");
    if (s->in_len < 2 || s->in_len > CCZ_VFL_PARTIES_MAX + 2 || !label || label->rank != 1 ||
        (label->dtype != CCZ_DT_FLOAT && label->dtype != CCZ_DT_INT32))
        return mismatch(err, "step", "needs act_00 .. and label, int32 or float [-1]");
    if (!loss || loss->dtype != CCZ_DT_FLOAT || loss->rank != 0)
        return mismatch(err, "step", "needs a float output loss");
    t->label_is_float = label->dtype == CCZ_DT_FLOAT;
    t->parties = s->in_len - 1;
    for (size_t i = 0; i < t->parties; i++) {
        (void)snprintf(t->act[i], NAME_SIZE, "act_%02zu", i);
        (void)snprintf(t->grad[i], NAME_SIZE, "grad_%02zu", i);
        if (!is_rows(find(s->in, s->in_len, t->act[i]), &t->width[i]) ||
            !is_rows(find(s->out, s->out_len, t->grad[i]), &t->width[i]))
            return mismatch(err, "step", "needs act_NN and grad_NN of the same shape");
        if (!is_rows(find(n->in, n->in_len, t->act[i]), &t->width[i]))
            return mismatch(err, "infer", "needs the activations of step");
    }
    if (n->in_len != t->parties || !is_rows(find(n->out, n->out_len, "score"), &t->outputs))
        return mismatch(err, "infer", "needs an output score of float [-1, outputs]");
    return CCZ_OK;
}

ccz_rc ccz_vfl_top_tf(struct ccz_vfl_top **out, struct ccz_model *m, struct ccz_err *err)
{
    *out = NULL;
    struct top *t = calloc(1, sizeof(*t));
    struct ccz_vfl_top *v = calloc(1, sizeof(*v));
    ccz_rc rc = t && v ? net_init(&t->net, m, err) : cczi_vfl_no_memory(err);
    if (rc == CCZ_OK)
        rc = signature(&t->step, m, "step", err);
    if (rc == CCZ_OK)
        rc = top_check(t, err);
    if (rc != CCZ_OK) {
        if (t)
            free(t->net.part);
        free(t);
        free(v);
        return rc;
    }
    *v = (struct ccz_vfl_top){
        .ops = &TOP_OPS, .self = t, .parties = t->parties, .outputs = t->outputs};
    memcpy(v->width, t->width, sizeof(v->width));
    *out = v;
    return CCZ_OK;
}
