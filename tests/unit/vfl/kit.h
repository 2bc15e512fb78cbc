/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_VFL_KIT_H
#define CCZ_TEST_VFL_KIT_H
/*
 * A network without TensorFlow: bottom models are one dense layer with a leaky ramp, the top model is a softmax, a logistic
 * or a linear regression; all by plain gradient descent with momentum. Small enough to be checked by hand.
 */
#include "ccz_test.h"
#include "vfl/vfl_priv.h"

#include <pthread.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

/* Not for secrets: data and first weights of tests. */
static inline double kit_uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-53;
}

/* A vector of parameters with its momentum. */
struct kit_params {
    size_t len;
    float *v, *speed;
};
static inline void kit_params_init(struct kit_params *p, size_t len, double scale, uint64_t seed)
{
    *p = (struct kit_params){len, calloc(len, sizeof(float)), calloc(len, sizeof(float))};
    CHECK(p->v && p->speed);
    for (size_t i = 0; i < len; i++)
        p->v[i] = (float)(scale * (2 * kit_uniform(&seed) - 1));
}
static inline void kit_params_free(struct kit_params *p)
{
    free(p->v);
    free(p->speed);
}
static inline void kit_params_apply(struct kit_params *p, const float *grad, float rate)
{
    for (size_t i = 0; i < p->len; i++) {
        p->speed[i] = 0.5f * p->speed[i] + grad[i];
        p->v[i] -= rate * p->speed[i];
    }
}
static inline void kit_params_save(struct ccz_buf *out, const struct kit_params *p)
{
    ccz_buf_put(out, p->v, p->len * sizeof(float));
    ccz_buf_put(out, p->speed, p->len * sizeof(float));
}
static inline ccz_rc kit_params_load(struct kit_params *p, struct ccz_span in, struct ccz_err *err)
{
    if (in.size != 2 * p->len * sizeof(float))
        return ccz_fail(err, CCZ_E_FORMAT, "kit:state", (int64_t)in.size, "another size");
    memcpy(p->v, in.ptr, in.size / 2);
    memcpy(p->speed, in.ptr + in.size / 2, in.size / 2);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- bottom */

struct kit_bottom {
    size_t in, width, rows[CCZ_VFL_INFLIGHT_MAX + 1];
    float *x[CCZ_VFL_INFLIGHT_MAX + 1], *act[CCZ_VFL_INFLIGHT_MAX + 1], rate;
    struct kit_params p;     /* [in * width] and [width] */
    uint64_t fail_at, calls; /* backward number that fails; 0 = none */
    bool nan;                /* activations that are no numbers */
    uint32_t seed;           /* state that is each worker's own, in place of a random generator */
    struct ccz_vfl_part part[2];
};
static inline void kit_dense(float *act, const struct kit_bottom *b, const float *x, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < b->width; k++) {
            float z = b->p.v[b->in * b->width + k];
            for (size_t j = 0; j < b->in; j++)
                z += x[i * b->in + j] * b->p.v[j * b->width + k];
            act[i * b->width + k] = b->nan ? NAN : z > 0 ? z : 0.1f * z;
        }
}
static inline ccz_rc kit_forward(float *act, void *self, unsigned slot, const struct ccz_tensor *in,
                                 size_t in_len, struct ccz_err *err)
{
    struct kit_bottom *b = self;
    (void)err;
    CHECK(in_len == 1 && in->dtype == CCZ_DT_FLOAT && in->rank == 2 &&
          (size_t)in->dims[1] == b->in && (uintptr_t)in->data.ptr % 64 == 0);
    size_t rows = b->rows[slot] = (size_t)in->dims[0];
    CHECK(!b->x[slot]); /* a slot is used again only after its backward */
    b->x[slot] = malloc(rows * b->in * sizeof(float));
    b->act[slot] = malloc(rows * b->width * sizeof(float));
    CHECK(b->x[slot] && b->act[slot]);
    memcpy(b->x[slot], in->data.ptr, in->data.size);
    kit_dense(act, b, b->x[slot], rows);
    memcpy(b->act[slot], act, rows * b->width * sizeof(float));
    return CCZ_OK;
}
static inline void kit_drop(struct kit_bottom *b, unsigned slot)
{
    free(b->x[slot]);
    free(b->act[slot]);
    b->x[slot] = b->act[slot] = NULL;
}
static inline ccz_rc kit_backward(void *self, unsigned slot, const float *grad, struct ccz_err *err)
{
    struct kit_bottom *b = self;
    CHECK(b->x[slot]);
    if (++b->calls == b->fail_at)
        return ccz_fail(err, CCZ_E_INTERNAL, "kit:fails", 0, "as the test wants it");
    float *g = calloc(b->p.len, sizeof(float));
    CHECK(g);
    for (size_t i = 0; i < b->rows[slot]; i++)
        for (size_t k = 0; k < b->width; k++) {
            float z = grad[i * b->width + k] * (b->act[slot][i * b->width + k] > 0 ? 1 : 0.1f);
            for (size_t j = 0; j < b->in; j++)
                g[j * b->width + k] += z * b->x[slot][i * b->in + j];
            g[b->in * b->width + k] += z;
        }
    kit_params_apply(&b->p, g, b->rate);
    free(g);
    kit_drop(b, slot);
    return CCZ_OK;
}
static inline ccz_rc kit_bottom_infer(float *act, void *self, const struct ccz_tensor *in,
                                      size_t in_len, struct ccz_err *err)
{
    (void)in_len;
    (void)err;
    kit_dense(act, self, (const float *)(const void *)in->data.ptr, (size_t)in->dims[0]);
    return CCZ_OK;
}
static inline ccz_rc kit_bottom_save(struct ccz_buf *out, void *self, struct ccz_err *err)
{
    struct kit_bottom *b = self;
    (void)err;
    kit_params_save(out, &b->p);
    ccz_buf_le32(out, b->seed);
    return CCZ_OK;
}
static inline ccz_rc kit_bottom_load(void *self, struct ccz_span state, struct ccz_err *err)
{
    struct kit_bottom *b = self;
    for (unsigned i = 0; i <= CCZ_VFL_INFLIGHT_MAX; i++)
        kit_drop(b, i);
    size_t size = 2 * b->p.len * sizeof(float);
    if (state.size != size + 4)
        return ccz_fail(err, CCZ_E_FORMAT, "kit:state", (int64_t)state.size, "another size");
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(state.ptr + size, 4));
    b->seed = ccz_rd_le32(&r);
    return kit_params_load(&b->p, CCZ_SPAN(state.ptr, size), err);
}
static inline void kit_bottom_parts(const struct ccz_vfl_part **out, size_t *len, void *self)
{
    struct kit_bottom *b = self;
    b->part[0] = (struct ccz_vfl_part){CCZ_VFL_PART_MEAN, 2 * b->p.len * sizeof(float)};
    b->part[1] = (struct ccz_vfl_part){CCZ_VFL_PART_OWN, 4};
    *out = b->part;
    *len = 2;
}
static inline void kit_bottom_free(void *self)
{
    struct kit_bottom *b = self;
    for (unsigned i = 0; i <= CCZ_VFL_INFLIGHT_MAX; i++)
        kit_drop(b, i);
    kit_params_free(&b->p);
    free(b);
}
static inline struct ccz_vfl_bottom *kit_bottom_new(size_t in, size_t width, uint64_t seed)
{
    static const struct ccz_vfl_bottom_ops ops = {
        kit_forward,     kit_backward,    kit_bottom_infer, kit_bottom_save,
        kit_bottom_load, kit_bottom_free, kit_bottom_parts};
    struct kit_bottom *b = calloc(1, sizeof(*b));
    struct ccz_vfl_bottom *v = calloc(1, sizeof(*v));
    CHECK(b && v);
    *b = (struct kit_bottom){.in = in, .width = width, .rate = 0.1f, .seed = 5};
    kit_params_init(&b->p, (in + 1) * width, 0.5, seed);
    *v = (struct ccz_vfl_bottom){.ops = &ops, .self = b, .width = width};
    return v;
}

/* ------------------------------------------------------------------------------------- top */

struct kit_top {
    size_t parties, width, outputs; /* outputs 1: logistic, or linear without classes */
    struct kit_params p;            /* [parties * width * outputs] and [outputs] */
    float rate;
    bool numbers;
    struct ccz_vfl_part part;
};
static inline void kit_scores(float *score, const struct kit_top *t, const float *const *act,
                              size_t rows)
{
    size_t k = t->outputs;
    for (size_t i = 0; i < rows; i++) {
        float *z = score + i * k, most = -INFINITY, sum = 0;
        for (size_t o = 0; o < k; o++) {
            z[o] = t->p.v[t->parties * t->width * k + o];
            for (size_t p = 0; p < t->parties; p++)
                for (size_t j = 0; j < t->width; j++)
                    z[o] += act[p][i * t->width + j] * t->p.v[(p * t->width + j) * k + o];
            most = z[o] > most ? z[o] : most;
        }
        if (k == 1 && !t->numbers)
            z[0] = 1 / (1 + expf(-z[0]));
        for (size_t o = 0; k > 1 && o < k; o++)
            sum += z[o] = expf(z[o] - most);
        for (size_t o = 0; k > 1 && o < k; o++)
            z[o] /= sum;
    }
}
static inline ccz_rc kit_step(double *loss, float *const *grad, void *self, const float *const *act,
                              const struct ccz_vfl_labels *batch, struct ccz_err *err)
{
    struct kit_top *t = self;
    size_t k = t->outputs, rows = batch->rows;
    float *d = malloc(rows * k * sizeof(*d)), *g = calloc(t->p.len, sizeof(*g));
    (void)err;
    CHECK(d && g);
    kit_scores(d, t, act, rows);
    *loss = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t o = 0; o < k; o++) {
            bool hit = !t->numbers && batch->label[i] == (k == 1 ? 1 : o);
            float y = t->numbers ? batch->value[i] : (float)hit, q = d[i * k + o];
            if (t->numbers)
                *loss += 0.5 * (double)((q - y) * (q - y)) / (double)rows;
            else if (k == 1)
                *loss -= log((double)(hit ? q : 1 - q) + 1e-9) / (double)rows;
            else if (hit)
                *loss -= log((double)q + 1e-9) / (double)rows;
            d[i * k + o] = (q - y) / (float)rows;
        }
    for (size_t p = 0; p < t->parties; p++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < t->width; j++) {
                float sum = 0;
                for (size_t o = 0; o < k; o++) {
                    sum += d[i * k + o] * t->p.v[(p * t->width + j) * k + o];
                    g[(p * t->width + j) * k + o] += d[i * k + o] * act[p][i * t->width + j];
                }
                grad[p][i * t->width + j] = sum;
            }
    for (size_t i = 0; i < rows; i++)
        for (size_t o = 0; o < k; o++)
            g[t->parties * t->width * k + o] += d[i * k + o];
    kit_params_apply(&t->p, g, t->rate);
    free(d);
    free(g);
    return CCZ_OK;
}
static inline ccz_rc kit_top_infer(float *score, void *self, const float *const *act, size_t rows,
                                   struct ccz_err *err)
{
    (void)err;
    kit_scores(score, self, act, rows);
    return CCZ_OK;
}
static inline ccz_rc kit_top_save(struct ccz_buf *out, void *self, struct ccz_err *err)
{
    (void)err;
    kit_params_save(out, &((struct kit_top *)self)->p);
    return CCZ_OK;
}
static inline ccz_rc kit_top_load(void *self, struct ccz_span state, struct ccz_err *err)
{
    return kit_params_load(&((struct kit_top *)self)->p, state, err);
}
static inline void kit_top_parts(const struct ccz_vfl_part **out, size_t *len, void *self)
{
    struct kit_top *t = self;
    t->part = (struct ccz_vfl_part){CCZ_VFL_PART_MEAN, 2 * t->p.len * sizeof(float)};
    *out = &t->part;
    *len = 1;
}
static inline void kit_top_free(void *self)
{
    kit_params_free(&((struct kit_top *)self)->p);
    free(self);
}
/* classes 0: numbers; 2: one logistic output */
static inline struct ccz_vfl_top *kit_top_new(size_t parties, size_t width, uint32_t classes)
{
    static const struct ccz_vfl_top_ops ops = {kit_step,     kit_top_infer, kit_top_save,
                                               kit_top_load, kit_top_free,  kit_top_parts};
    struct kit_top *t = calloc(1, sizeof(*t));
    struct ccz_vfl_top *v = calloc(1, sizeof(*v));
    CHECK(t && v);
    *t = (struct kit_top){.parties = parties,
                          .width = width,
                          .outputs = classes > 2 ? classes : 1,
                          .rate = classes ? 0.1f : 0.02f,
                          .numbers = classes == 0};
    kit_params_init(&t->p, (parties * width + 1) * t->outputs, 0.5, 77);
    *v = (struct ccz_vfl_top){.ops = &ops, .self = t, .parties = parties, .outputs = t->outputs};
    for (size_t i = 0; i < parties; i++)
        v->width[i] = width;
    return v;
}

/* ------------------------------------------------------------------------------------ data */

enum { KIT_COLS = 4, KIT_PARTIES_MAX = 3 };

/* Rows with columns at several parties, and labels that depend on all of them. */
struct kit_data {
    size_t rows, parties;
    float *x[KIT_PARTIES_MAX], *value;
    uint32_t *label;
    struct ccz_tensor in[KIT_PARTIES_MAX];
    struct ccz_vfl_table table[KIT_PARTIES_MAX];
    struct ccz_vfl_labels labels;
};
/* share: of class 1, of two */
static inline void kit_data_init(struct kit_data *d, size_t rows, size_t parties, uint32_t classes,
                                 double share, uint64_t seed)
{
    *d = (struct kit_data){.rows = rows, .parties = parties};
    d->label = calloc(rows, sizeof(*d->label));
    d->value = calloc(rows, sizeof(*d->value));
    CHECK(d->label && d->value);
    for (size_t p = 0; p < parties; p++) {
        d->x[p] = calloc(rows * KIT_COLS, sizeof(float));
        CHECK(d->x[p]);
        d->in[p] = (struct ccz_tensor){.name = "x",
                                       .dtype = CCZ_DT_FLOAT,
                                       .rank = 2,
                                       .dims = {(int64_t)rows, KIT_COLS},
                                       .len = rows * KIT_COLS,
                                       .data = CCZ_SPAN(d->x[p], rows * KIT_COLS * sizeof(float))};
        d->table[p] = (struct ccz_vfl_table){.rows = rows, .in = &d->in[p], .in_len = 1};
    }
    for (size_t i = 0; i < rows; i++) {
        double u = kit_uniform(&seed), sum = 0;
        d->label[i] = classes == 2 ? u < share : (uint32_t)(u * (classes ? classes : 1));
        for (size_t p = 0; p < parties; p++)
            for (size_t j = 0; j < KIT_COLS; j++) {
                double centre = classes > 2 ? ((d->label[i] + j + p) % classes == 0)
                                            : (d->label[i] ? 0.7 : -0.3);
                double x = centre + 2 * kit_uniform(&seed) - 1;
                d->x[p][i * KIT_COLS + j] = (float)x;
                sum += x * (j % 2 ? 0.5 : -1);
            }
        d->value[i] = (float)sum;
    }
    d->labels = (struct ccz_vfl_labels){.rows = rows,
                                        .classes = classes,
                                        .label = classes ? d->label : NULL,
                                        .value = classes ? NULL : d->value};
}
static inline void kit_data_free(struct kit_data *d)
{
    for (size_t p = 0; p < d->parties; p++)
        free(d->x[p]);
    free(d->label);
    free(d->value);
}
#endif
