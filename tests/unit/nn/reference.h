/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NN_REFERENCE_H
#define CCZ_NN_REFERENCE_H
/* The same networks in double precision, layer by layer as in a textbook: what the kernels are held against. */
#include <cczoo/nn.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One layer, x [channels][height][width] to y; returns how many parameters it took from w. */
static inline size_t ref_layer(double *y, uint32_t shape[3], const double *x,
                               const struct ccz_nn_layer *l, const double *w)
{
    const uint32_t in = shape[0], h = shape[1], wd = shape[2], k = l->size;
    const size_t flat = (size_t)in * h * wd;
    size_t used = 0;
    if (l->kind == CCZ_NN_DENSE) {
        for (size_t o = 0; o < l->out; o++) {
            y[o] = w[l->out * flat + o];
            for (size_t i = 0; i < flat; i++)
                y[o] += w[o * flat + i] * x[i];
        }
        used = l->out * flat + l->out;
        shape[0] = l->out;
        shape[1] = shape[2] = 1;
    } else {
        const bool conv = l->kind == CCZ_NN_CONV;
        const uint32_t out = conv ? l->out : in, oh = conv ? h - k + 1 : h / k,
                       ow = conv ? wd - k + 1 : wd / k;
        for (size_t at = 0; at < (size_t)out * oh * ow; at++) {
            const size_t o = at / (oh * ow), r = at / ow % oh, c = at % ow;
            double v = conv ? w[(size_t)out * in * k * k + o] : -INFINITY;
            for (size_t ch = 0; ch < (conv ? in : 1); ch++) {
                for (size_t t = 0; t < (size_t)k * k; t++) {
                    const size_t i = t / k, j = t % k, step = conv ? 1 : k;
                    const double s = x[((conv ? ch : o) * h + r * step + i) * wd + c * step + j];
                    v = conv ? v + s * w[((o * in + ch) * k + i) * k + j] : fmax(v, s);
                }
            }
            y[at] = v;
        }
        used = conv ? (size_t)out * in * k * k + out : 0;
        shape[0] = out;
        shape[1] = oh;
        shape[2] = ow;
    }
    for (size_t i = 0; l->relu && i < (size_t)shape[0] * shape[1] * shape[2]; i++)
        y[i] = y[i] > 0 ? y[i] : 0;
    return used;
}

/* The last layer's values for one sample. */
static inline void ref_scores(double *z, const struct ccz_nn_spec *spec, const double *w,
                              const float *x)
{
    static double memory[2][8192];
    double *a = memory[0], *b = memory[1];
    uint32_t shape[3] = {spec->channels, spec->height, spec->width};
    for (size_t i = 0; i < (size_t)shape[0] * shape[1] * shape[2]; i++)
        a[i] = (double)x[i];
    for (size_t l = 0; l < spec->layers_len; l++) {
        w += ref_layer(b, shape, a, &spec->layers[l], w);
        double *t = a;
        a = b;
        b = t;
    }
    memcpy(z, a, shape[0] * sizeof(*z));
}

static inline double ref_loss(const struct ccz_nn_spec *spec, const double *w,
                              const struct ccz_nn_data *data, size_t features)
{
    const uint32_t outputs = spec->layers[spec->layers_len - 1].out;
    double loss = 0, z[64];
    for (size_t s = 0; s < data->len; s++) {
        ref_scores(z, spec, w, data->floats + s * features);
        const uint32_t y = data->labels[s];
        if (spec->loss == CCZ_NN_LOGISTIC) {
            loss += log1p(exp(-(y ? z[0] : -z[0])));
        } else {
            double sum = 0;
            for (size_t k = 0; k < outputs; k++)
                sum += exp(z[k]);
            loss += log(sum) - z[y];
        }
    }
    return loss / (double)data->len;
}
#endif
