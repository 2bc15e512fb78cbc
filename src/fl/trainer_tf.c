/* SPDX-License-Identifier: Apache-2.0 */
#include "fl/trainer_tf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVAL_BATCH = 250, ALIGN = 64, SCALARS = 3 };

struct trainer {
    struct ccz_fl_tf_cfg cfg;
    struct cczi_fl_tf_signatures sig;
    struct ccz_fl_layout *layout;
    struct ccz_tensor *weights; /* [layout->tensors_len]: inputs that set all or some weights */
    size_t *order;              /* [train->len] */
    float *x;                   /* of one batch, aligned: TensorFlow reads it in place */
    uint32_t *label;            /* also int32: classes are small */
    size_t batch, x_size;       /* room in x and label: samples; bytes of x */
};

/* ---------------------------------------------------------------------------------- signatures */

static ccz_rc malformed(const char *signature, const char *what, struct ccz_err *err)
{
    return ccz_hint(err,
                    ccz_fail(err, CCZ_E_FORMAT, "fl:tf-signature", 0, "signature %.40s %.100s",
                             signature, what),
                    "models/export_train.py makes models that can be trained");
}

static const struct ccz_tensor_info *find(const struct ccz_tensor_info *in, size_t len,
                                          const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(in[i].name, name) == 0)
            return &in[i];
    return NULL;
}

struct wanted {
    const char *name;
    enum ccz_dtype dtype;
    int rank; /* -1: any */
};

static bool has_all(const struct ccz_tensor_info *got, size_t got_len, const struct wanted *w,
                    size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const struct ccz_tensor_info *t = find(got, got_len, w[i].name);
        if (!t || t->dtype != w[i].dtype || t->unknown_rank ||
            (w[i].rank >= 0 && t->rank != w[i].rank))
            return false;
    }
    return got_len == len;
}

static const struct wanted TRAIN_IN[] = {{"x", CCZ_DT_FLOAT, -1},
                                         {"y", CCZ_DT_INT32, 1},
                                         {"lr", CCZ_DT_FLOAT, 0},
                                         {"momentum", CCZ_DT_FLOAT, 0},
                                         {"prox_mu", CCZ_DT_FLOAT, 0}};
static const struct wanted MEASURED[] = {{"loss", CCZ_DT_FLOAT, 0}, {"correct", CCZ_DT_INT32, 0}};
static const struct wanted SEED[] = {{"seed", CCZ_DT_INT64, 0}};

static bool fixed_floats(const struct ccz_tensor_info *t, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (t[i].dtype != CCZ_DT_FLOAT || t[i].unknown_rank || t[i].rank > CCZ_FL_RANK_MAX)
            return false;
        for (int k = 0; k < t[i].rank; k++)
            if (t[i].dims[k] < 1)
                return false;
    }
    return len > 0;
}

static bool same_shape(const struct ccz_tensor_info *a, const struct ccz_tensor_info *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof(*a->dims)) == 0;
}

/* Inputs of `set_correction` and `set_weights` are weights that `get_weights` gives, in the same shapes. */
static bool subset(const struct ccz_signature *some, const struct ccz_signature *get)
{
    for (size_t i = 0; i < some->in_len; i++) {
        const struct ccz_tensor_info *w = find(get->out, get->out_len, some->in[i].name);
        if (!w || some->in[i].dtype != CCZ_DT_FLOAT || some->in[i].unknown_rank ||
            !same_shape(w, &some->in[i]))
            return false;
    }
    return some->in_len > 0 && some->out_len > 0;
}

ccz_rc cczi_fl_tf_check(const struct cczi_fl_tf_signatures *s, struct ccz_err *err)
{
    if (!has_all(s->train->in, s->train->in_len, TRAIN_IN, 5) ||
        !has_all(s->train->out, s->train->out_len, MEASURED, 2))
        return malformed("train", "has other inputs or outputs", err);
    if (!has_all(s->eval->in, s->eval->in_len, TRAIN_IN, 2) ||
        !has_all(s->eval->out, s->eval->out_len, MEASURED, 2))
        return malformed("eval", "has other inputs or outputs", err);
    if (!has_all(s->begin->in, s->begin->in_len, SEED, 1) || s->begin->out_len == 0)
        return malformed("begin", "has other inputs or outputs", err);
    if (s->get->in_len != 0 || !fixed_floats(s->get->out, s->get->out_len))
        return malformed("get_weights", "has inputs, or outputs that are not float32 of one shape",
                         err);
    if (!subset(s->set, s->get) || s->set->in_len != s->get->out_len)
        return malformed("set_weights", "does not take what get_weights gives", err);
    if (!subset(s->correct, s->get))
        return malformed("set_correction", "takes what get_weights does not give", err);
    return CCZ_OK;
}

static ccz_rc find_signatures(struct trainer *t, struct ccz_err *err)
{
    const struct {
        const char *name;
        const struct ccz_signature **at;
    } all[] = {{"train", &t->sig.train},     {"eval", &t->sig.eval},
               {"begin", &t->sig.begin},     {"set_correction", &t->sig.correct},
               {"get_weights", &t->sig.get}, {"set_weights", &t->sig.set}};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        *all[i].at = ccz_model_signature(t->cfg.model, all[i].name);
        if (!*all[i].at || !(*all[i].at)->runnable)
            return malformed(all[i].name, "is missing, or cannot be run", err);
    }
    return cczi_fl_tf_check(&t->sig, err);
}

static ccz_rc make_layout(struct trainer *t, struct ccz_err *err)
{
    size_t len = t->sig.get->out_len;
    struct ccz_fl_tensor *w = calloc(len, sizeof(*w));
    ccz_rc rc = w ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "fl:tf-memory", 0, "out of memory");
    for (size_t i = 0; w && i < len; i++) {
        const struct ccz_tensor_info *o = &t->sig.get->out[i]; /* sorted by name, so in order */
        (void)snprintf(w[i].name, sizeof(w[i].name), "%s", o->name);
        w[i].rank = (uint32_t)o->rank;
        for (int k = 0; k < o->rank; k++)
            w[i].dims[k] = (uint64_t)o->dims[k];
    }
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_new(&t->layout, w, len, err);
    free(w);
    return rc;
}

/* Do the samples of @p d fit input x? Either shape for shape, or as rows of as many numbers. */
static ccz_rc check_shape(const struct trainer *t, const struct ccz_dataset *d, struct ccz_err *err)
{
    const struct ccz_tensor_info *x = find(t->sig.train->in, t->sig.train->in_len, "x");
    const struct ccz_tensor_info *e = find(t->sig.eval->in, t->sig.eval->in_len, "x");
    uint64_t width = 1;
    bool fits = x->rank >= 1 && x->rank <= CCZ_TENSOR_RANK_MAX && same_shape(x, e);
    for (int i = 1; fits && i < x->rank; i++) {
        fits = x->dims[i] > 0 && (uint64_t)x->dims[i] <= CCZ_DATASET_SIZE_MAX / width;
        width *= fits ? (uint64_t)x->dims[i] : 1;
    }
    if (d && x->rank == (int)d->rank + 1) /* 28 x 28 x 1 is not 1 x 28 x 28 */
        for (unsigned i = 0; i < d->rank; i++)
            fits = fits && x->dims[i + 1] == d->dims[i];
    if (!fits || (d && width != d->width))
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "fl:tf-shape", d ? (int64_t)d->width : 0,
                              (int64_t)width);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- runs */

static ccz_rc run(struct ccz_result **out, struct trainer *t, const struct ccz_signature *sig,
                  const struct ccz_tensor *in, size_t in_len, struct ccz_err *err)
{
    const struct ccz_run_req req = {.sig = sig,
                                    .in = in,
                                    .in_len = in_len,
                                    .copy_in = sig == t->sig.set ||
                                               sig == t->sig.correct}; /* they become variables */
    return ccz_model_run(out, NULL, t->cfg.model, &req, err);
}

/* As run(), for signatures whose outputs say nothing. */
static ccz_rc run_for_effect(struct trainer *t, const struct ccz_signature *sig,
                             const struct ccz_tensor *in, size_t in_len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_result) r = NULL;
    return run(&r, t, sig, in, in_len, err);
}

static struct ccz_tensor scalar(const char *name, enum ccz_dtype dtype, const void *value)
{
    return (struct ccz_tensor){
        .name = name, .dtype = dtype, .len = 1, .data = CCZ_SPAN(value, ccz_dtype_size(dtype))};
}

static const struct ccz_fl_layout *op_layout(void *self)
{
    return ((struct trainer *)self)->layout;
}

static ccz_rc op_get(void *self, float *params, struct ccz_err *err)
{
    struct trainer *t = self;
    CCZ_AUTO(ccz_result) r = NULL;
    ccz_rc rc = run(&r, t, t->sig.get, NULL, 0, err);
    for (size_t i = 0; rc == CCZ_OK && i < t->layout->tensors_len; i++) {
        const struct ccz_fl_tensor *w = &t->layout->tensors[i];
        const struct ccz_tensor *got = ccz_result_at(r, i);
        if (got->dtype != CCZ_DT_FLOAT || got->len != w->len)
            return ccz_refuse_num(err, CCZ_E_FORMAT, "fl:tf-signature", (int64_t)got->len,
                                  (int64_t)w->len);
        memcpy(params + w->offset, got->data.ptr, got->data.size);
    }
    return rc;
}

/* Gives the inputs of @p sig, weights by name, their parts of @p values. */
static ccz_rc give(struct trainer *t, const struct ccz_signature *sig, const float *values,
                   struct ccz_err *err)
{
    for (size_t i = 0, at = 0; i < sig->in_len; i++) { /* both sorted by name */
        while (strcmp(t->layout->tensors[at].name, sig->in[i].name) != 0)
            at++;
        const struct ccz_fl_tensor *w = &t->layout->tensors[at];
        struct ccz_tensor *in = &t->weights[i];
        *in = (struct ccz_tensor){.name = sig->in[i].name,
                                  .dtype = CCZ_DT_FLOAT,
                                  .rank = sig->in[i].rank,
                                  .len = (size_t)w->len,
                                  .data = CCZ_SPAN(values + w->offset, w->len * sizeof(*values))};
        memcpy(in->dims, sig->in[i].dims, (size_t)in->rank * sizeof(*in->dims));
    }
    return run_for_effect(t, sig, t->weights, sig->in_len, err);
}

static ccz_rc op_set(void *self, const float *params, struct ccz_err *err)
{
    struct trainer *t = self;
    return give(t, t->sig.set, params, err);
}

static void drop_batch(struct trainer *t)
{
    if (t->x)
        ccz_wipe(t->x, t->x_size);
    free(t->x);
    free(t->label);
    t->x = NULL;
    t->label = NULL;
    t->batch = t->x_size = 0;
}

/* Room for a batch of @p len samples. */
static ccz_rc reserve(struct trainer *t, size_t len, size_t width, struct ccz_err *err)
{
    size_t size = (len * width * sizeof(*t->x) + ALIGN - 1) / ALIGN * ALIGN;
    if (len <= t->batch)
        return CCZ_OK;
    drop_batch(t);
    t->x = aligned_alloc(ALIGN, size);
    t->label = aligned_alloc(ALIGN, (len * sizeof(*t->label) + ALIGN - 1) / ALIGN * ALIGN);
    if (!t->x || !t->label)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:tf-memory", (int64_t)size, "no room for a batch");
    t->batch = len;
    t->x_size = size;
    return CCZ_OK;
}

/* Runs train or eval on samples index[0 .. len-1] and adds up what it measured. */
static ccz_rc step(struct ccz_fl_metrics *sum, struct trainer *t, const struct ccz_signature *sig,
                   const struct ccz_dataset *d, const size_t *index, size_t len,
                   const struct ccz_tensor *scalars, struct ccz_err *err)
{
    CCZ_AUTO(ccz_result) r = NULL;
    const struct ccz_tensor_info *x = find(sig->in, sig->in_len, "x");
    struct ccz_tensor in[2 + SCALARS] = {{.name = "x",
                                          .dtype = CCZ_DT_FLOAT,
                                          .rank = x->rank,
                                          .len = len * d->width,
                                          .data = CCZ_SPAN(t->x, len * d->width * sizeof(*t->x))},
                                         {.name = "y",
                                          .dtype = CCZ_DT_INT32,
                                          .rank = 1,
                                          .dims = {(int64_t)len},
                                          .len = len,
                                          .data = CCZ_SPAN(t->label, len * sizeof(*t->label))}};
    memcpy(in[0].dims, x->dims, (size_t)x->rank * sizeof(*x->dims));
    in[0].dims[0] = (int64_t)len;
    if (scalars)
        memcpy(in + 2, scalars, SCALARS * sizeof(*scalars));
    ccz_dataset_gather(t->x, t->label, d, index, len);
    ccz_rc rc = run(&r, t, sig, in, sig->in_len, err);
    if (rc != CCZ_OK)
        return rc;
    int32_t correct; /* outputs are sorted by name: correct, loss */
    float loss;
    memcpy(&correct, ccz_result_at(r, 0)->data.ptr, sizeof(correct));
    memcpy(&loss, ccz_result_at(r, 1)->data.ptr, sizeof(loss));
    sum->samples += len;
    sum->loss += (double)loss * (double)len;
    sum->accuracy += correct;
    return CCZ_OK;
}

static void means(struct ccz_fl_metrics *m)
{
    m->loss /= (double)m->samples;
    m->accuracy /= (double)m->samples;
}

/* One epoch; @p m starts anew with it, so that the last one is what is reported. */
static ccz_rc epoch(struct ccz_fl_metrics *m, struct trainer *t, const struct ccz_fl_train_cfg *cfg,
                    uint32_t number, struct ccz_err *err)
{
    const struct ccz_dataset *d = t->cfg.train;
    const struct ccz_tensor scalars[SCALARS] = {scalar("lr", CCZ_DT_FLOAT, &cfg->lr),
                                                scalar("momentum", CCZ_DT_FLOAT, &cfg->momentum),
                                                scalar("prox_mu", CCZ_DT_FLOAT, &cfg->prox_mu)};
    *m = (struct ccz_fl_metrics){.steps = m->steps};
    ccz_dataset_order(t->order, d->len, cfg->seed, number);
    for (size_t at = 0; at < d->len; m->steps++) {
        size_t len = d->len - at < cfg->batch ? d->len - at : cfg->batch;
        ccz_rc rc = step(m, t, t->sig.train, d, t->order + at, len, scalars, err);
        if (rc != CCZ_OK)
            return rc;
        at += len;
    }
    return CCZ_OK;
}

static ccz_rc op_train(struct ccz_fl_metrics *out, void *self, const struct ccz_fl_train_cfg *cfg,
                       struct ccz_err *err)
{
    struct trainer *t = self;
    struct ccz_fl_metrics m = {0};
    const int64_t seed = (int64_t)(cfg->seed & INT64_MAX);
    const struct ccz_tensor begin = scalar("seed", CCZ_DT_INT64, &seed);
    *out = m;
    if (!t->cfg.train)
        return ccz_fail(err, CCZ_E_ARG, "fl:tf-config", 0, "there is no data to train on");
    if (cfg->epochs == 0 || cfg->batch == 0 || !(cfg->lr > 0) || !isfinite(cfg->lr))
        return ccz_fail(err, CCZ_E_ARG, "fl:tf-config", cfg->batch,
                        "epochs, batch and learning rate are to be above 0");
    size_t batch = cfg->batch < t->cfg.train->len ? cfg->batch : t->cfg.train->len;
    ccz_rc rc = reserve(t, batch, t->cfg.train->width, err);
    if (rc == CCZ_OK)
        rc = run_for_effect(t, t->sig.begin, &begin, 1, err);
    if (rc == CCZ_OK && cfg->correction)
        rc = give(t, t->sig.correct, cfg->correction, err);
    for (uint32_t e = 0; rc == CCZ_OK && e < cfg->epochs; e++)
        rc = epoch(&m, t, cfg, e, err);
    if (rc != CCZ_OK)
        return rc;
    means(&m);
    *out = m;
    return CCZ_OK;
}

static ccz_rc op_evaluate(struct ccz_fl_metrics *out, void *self, struct ccz_err *err)
{
    struct trainer *t = self;
    const struct ccz_dataset *d = t->cfg.held_out;
    struct ccz_fl_metrics m = {0};
    size_t index[1024];
    *out = m;
    if (!d)
        return CCZ_OK;
    size_t batch = t->cfg.eval_batch ? t->cfg.eval_batch : EVAL_BATCH;
    batch = batch < sizeof(index) / sizeof(*index) ? batch : sizeof(index) / sizeof(*index);
    ccz_rc rc = reserve(t, batch, d->width, err);
    for (size_t at = 0; rc == CCZ_OK && at < d->len; at += batch) {
        size_t len = d->len - at < batch ? d->len - at : batch;
        for (size_t i = 0; i < len; i++)
            index[i] = at + i;
        rc = step(&m, t, t->sig.eval, d, index, len, NULL, err);
    }
    if (rc != CCZ_OK)
        return rc;
    means(&m);
    *out = m;
    return CCZ_OK;
}

static void op_free(void *self)
{
    struct trainer *t = self;
    if (!t)
        return;
    drop_batch(t);
    ccz_fl_layout_free(t->layout);
    free(t->weights);
    free(t->order);
    free(t);
}

static const struct ccz_fl_trainer_ops OPS = {op_layout, op_get,      op_set,
                                              op_train,  op_evaluate, op_free};

ccz_rc ccz_fl_tf_trainer(struct ccz_fl_trainer *out, const struct ccz_fl_tf_cfg *cfg,
                         struct ccz_err *err)
{
    struct trainer *t = calloc(1, sizeof(*t));
    *out = (struct ccz_fl_trainer){0};
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:tf-memory", 0, "out of memory");
    t->cfg = *cfg;
    ccz_rc rc = find_signatures(t, err);
    if (rc == CCZ_OK)
        rc = make_layout(t, err);
    if (rc == CCZ_OK)
        rc = check_shape(t, cfg->train, err);
    if (rc == CCZ_OK)
        rc = check_shape(t, cfg->held_out, err);
    if (rc == CCZ_OK) {
        t->weights = calloc(t->layout->tensors_len, sizeof(*t->weights));
        t->order = calloc(cfg->train ? cfg->train->len : 1, sizeof(*t->order));
        if (!t->weights || !t->order)
            rc = ccz_fail(err, CCZ_E_NOMEM, "fl:tf-memory", 0, "out of memory");
    }
    if (rc != CCZ_OK) {
        op_free(t);
        return rc;
    }
    *out = (struct ccz_fl_trainer){.ops = &OPS, .self = t};
    return CCZ_OK;
}
