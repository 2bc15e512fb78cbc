/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NN_PRIV_H
#define CCZ_NN_PRIV_H
/*
 * Two layouts. Dense layers work on rows: [sample][value]. Layers before the first dense one work on *groups* of LANES samples
 * that lie side by side: [channel][y][x][lane]. A vector register then holds the same pixel of many samples, a tap of
 * a convolution is one multiplication by a weight for all of them, and no layer needs gathers, padding or im2col.
 */
#include <cczoo/nn.h>

#define LANES 16

/* One convolution of a group: x [in][in_h][in_w], y [out][out_h][out_w], w [out][in][k][k]. A row of dy has k - 1 zero
 * positions before and after it: what conv_input() reads beyond the border. */
struct cczi_nn_conv {
    size_t in, in_h, in_w, out, out_h, out_w, k;
};
struct cczi_nn_pool {
    size_t channels, in_h, in_w, out_h, out_w, k;
    size_t d_stride; /* positions from one row of dx to the next */
    bool relu;       /* what is pooled went through ReLU: no gradient where the largest is 0 */
};
/* w -= lr (v + correction), v = momentum v + g + decay w + prox (w - centre); v, centre, correction may be NULL */
struct cczi_nn_step {
    float *w, *v;
    const float *g, *centre, *correction;
    size_t len;
    float lr, momentum, decay, prox;
};

/* Outputs do not overlap inputs. */
struct cczi_nn_kernels {
    const char *name;
    /* y[m][n] = x[m][k] w[n][k] + b[n] */
    void (*dense)(float *y, const float *x, const float *w, const float *b, bool relu, size_t m,
                  size_t n, size_t k);
    /* c[m][n] = sum over k of a[m * row + k * col] b[k][n] */
    void (*product)(float *c, const float *a, size_t row, size_t col, const float *b, size_t m,
                    size_t n, size_t k);
    void (*conv)(float *y, const float *x, const float *w, const float *b, bool relu,
                 const struct cczi_nn_conv *s);
    /* dx from dy; rows of dx are `stride` positions apart */
    void (*conv_input)(float *dx, const float *dy, const float *w, size_t stride,
                       const struct cczi_nn_conv *s);
    /* adds to dw and db */
    void (*conv_weights)(float *dw, float *db, const float *x, const float *dy,
                         const struct cczi_nn_conv *s);
    void (*pool)(float *y, const float *x, const struct cczi_nn_pool *s);
    void (*pool_back)(float *dx, const float *x, const float *y, const float *dy,
                      const struct cczi_nn_pool *s);
    /* d = y > 0 ? d : 0 */
    void (*relu_back)(float *d, const float *y, size_t len);
    void (*step)(const struct cczi_nn_step *s);
    void (*from_bytes)(float *y, const uint8_t *x, size_t len, float scale, float shift);
    /* [lane][len] to [len][lane] and back */
    void (*to_lanes)(float *y, const float *x, size_t len);
    void (*from_lanes)(float *y, const float *x, size_t len);
};
extern const struct cczi_nn_kernels cczi_nn_portable, cczi_nn_avx2, cczi_nn_avx512;
/* By name, NULL = the best allowed. NULL if the processor cannot run it, or it failed its self-test. */
const struct cczi_nn_kernels *cczi_nn_kernels(const char *name);
/* Whether a tier computes what the portable one does, up to rounding. */
bool cczi_nn_self_test(const struct cczi_nn_kernels *k);

struct cczi_nn_shape {
    uint32_t channels, height, width;
};
static inline size_t cczi_nn_size(struct cczi_nn_shape s)
{
    return (size_t)s.channels * s.height * s.width;
}

struct cczi_nn_node {
    struct ccz_nn_layer layer;
    struct cczi_nn_shape in, out;
    size_t in_size, out_size; /* values per sample */
    size_t w_at, b_at;        /* in the parameters */
    size_t pad;               /* zero positions around a row of d: k - 1 of a convolution */
    float *y;                 /* dense: rows of the batch; else groups of it */
    float *d;                 /* gradient with respect to y; not dense: of one group, rows padded */
};

struct ccz_nn {
    struct ccz_nn_spec spec;
    const struct cczi_nn_kernels *k;
    struct ccz_nn_tensor tensors[CCZ_NN_TENSORS_MAX];
    size_t tensors_len, params_len;
    struct cczi_nn_node nodes[CCZ_NN_LAYERS_MAX];
    size_t nodes_len, spatial_len; /* nodes before the first dense one */
    size_t features, outputs;
    /* Working memory, for batches of up to `batch` samples. */
    size_t batch;
    float *input;  /* rows or groups */
    float *rows;   /* one group as rows: on its way to lanes and back */
    float *flat;   /* rows of the last spatial layer */
    float *flat_d; /* gradient with respect to it */
    uint32_t *label;
    /* For training. */
    float *grad, *velocity, *centre;
    uint32_t *order;
    size_t order_len;
};

/* spec.c */
ccz_rc cczi_nn_plan(struct ccz_nn *nn, struct ccz_err *err);
/* Zeroed floats, aligned for any tier; NULL if there is no memory. len 0 gives a valid pointer. */
float *cczi_nn_floats(size_t len);
/* Working memory for batches of that size. */
ccz_rc cczi_nn_reserve(struct ccz_nn *nn, size_t batch, struct ccz_err *err);

/* data.c */
size_t cczi_nn_rows(const struct ccz_nn_data *data);
/* Everything about data that can be wrong. */
ccz_rc cczi_nn_check(const struct ccz_nn *nn, const struct ccz_nn_data *data, bool labels,
                     struct ccz_err *err);
/* Loads nn->input and nn->label with rows order[0 .. len), or first .. first + len without an order. */
void cczi_nn_load(struct ccz_nn *nn, const struct ccz_nn_data *data, const uint32_t *order,
                  size_t first, size_t len);

/* pass.c: over what cczi_nn_load() loaded */
void cczi_nn_forward(struct ccz_nn *nn, const float *params, size_t len);
/* Adds up loss and hits over the batch; @p gradient: and leaves that of the mean loss in the last node. */
void cczi_nn_loss(double *loss, size_t *hits, struct ccz_nn *nn, size_t len, bool gradient);
void cczi_nn_backward(float *grad, struct ccz_nn *nn, const float *params, size_t len);

/* SplitMix64 (Steele, Lea, Flood 2014): orders and initial weights have to be reproducible, not secret. */
static inline uint64_t cczi_nn_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
