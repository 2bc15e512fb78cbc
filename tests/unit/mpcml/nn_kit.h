/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPCML_NN_KIT_H
#define CCZ_TEST_MPCML_NN_KIT_H
/* Small networks with random weights. */
#include <cczoo/mpcml_nn.h>

#include "ccz_test.h"
#include "test_rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define L_DENSE(n)                                                                                 \
    {                                                                                              \
        .kind = CCZ_MPCML_DENSE, .out = (n)                                                        \
    }
#define L_CONV(n, k, s, p)                                                                         \
    {                                                                                              \
        .kind = CCZ_MPCML_CONV2D, .out = (n), .kh = (k), .kw = (k), .stride = (s), .pad = (p)      \
    }
#define L_MAX(k, s)                                                                                \
    {                                                                                              \
        .kind = CCZ_MPCML_MAX_POOL, .kh = (k), .kw = (k), .stride = (s)                            \
    }
#define L_AVG(k, s)                                                                                \
    {                                                                                              \
        .kind = CCZ_MPCML_AVG_POOL, .kh = (k), .kw = (k), .stride = (s)                            \
    }
#define L_RELU                                                                                     \
    {                                                                                              \
        .kind = CCZ_MPCML_RELU                                                                     \
    }
#define L_FLATTEN                                                                                  \
    {                                                                                              \
        .kind = CCZ_MPCML_FLATTEN                                                                  \
    }
#define L_SOFTMAX                                                                                  \
    {                                                                                              \
        .kind = CCZ_MPCML_SOFTMAX                                                                  \
    }
#define L_ARGMAX                                                                                   \
    {                                                                                              \
        .kind = CCZ_MPCML_ARGMAX                                                                   \
    }

static inline struct ccz_mpcml_spec spec_mlp(uint32_t inputs, uint32_t hidden, uint32_t outputs)
{
    return (struct ccz_mpcml_spec){
        .height = 1,
        .width = 1,
        .channels = inputs,
        .input_max = 1,
        .weight_max = 1,
        .layers_len = 5,
        .layers = {L_DENSE(hidden), L_RELU, L_DENSE(hidden), L_RELU, L_DENSE(outputs)}};
}

/* Every kind of layer: windows that leave something out, padding, strides, means of 4 and of 3 x 3 values. */
static inline struct ccz_mpcml_spec spec_all(void)
{
    return (struct ccz_mpcml_spec){.height = 11,
                                   .width = 9,
                                   .channels = 2,
                                   .input_min = -1,
                                   .input_max = 1,
                                   .weight_max = 1,
                                   .layers_len = 11,
                                   .layers = {L_CONV(3, 3, 1, 1), L_RELU, L_MAX(2, 2),
                                              L_CONV(4, 3, 2, 1), L_AVG(2, 1), L_RELU, L_FLATTEN,
                                              L_DENSE(6), L_RELU, L_DENSE(4), L_SOFTMAX}};
}

static inline float unit(uint64_t *state)
{
    return (float)((double)(rnd(state) >> 11) / 0x1p52 - 1); /* [-1, 1) */
}

static inline struct ccz_mpcml_network *random_network(const struct ccz_mpcml_spec *spec,
                                                       float scale, uint64_t seed)
{
    struct ccz_mpcml_network *net = NULL, *bare = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_mpcml_network_new(&bare, spec, NULL, 0, &err) == CCZ_OK);
    const size_t len = ccz_mpcml_network_params_len(bare);
    float *params = malloc(len * sizeof(*params));
    CHECK(params);
    for (size_t i = 0; i < len; i++)
        params[i] = scale * unit(&seed);
    CHECK(ccz_mpcml_network_new(&net, spec, params, len, &err) == CCZ_OK);
    free(params);
    ccz_mpcml_network_free(bare);
    return net;
}

/* The one without weights that a client has: out of the file that the server would send. */
static inline struct ccz_mpcml_network *clients_network(const struct ccz_mpcml_network *net)
{
    struct ccz_mpcml_network *out = NULL;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    CHECK(ccz_mpcml_network_write(&file, net, false, &err) == CCZ_OK);
    CHECK(ccz_mpcml_network_read(&out, ccz_buf_span(&file), &err) == CCZ_OK);
    CHECK(!ccz_mpcml_network_has_weights(out));
    return out;
}

static inline float *random_images(const struct ccz_mpcml_network *net, size_t images,
                                   uint64_t seed)
{
    const struct ccz_mpcml_spec *s = ccz_mpcml_network_spec(net);
    const size_t len = images * ccz_mpcml_network_inputs(net);
    float *x = malloc(len * sizeof(*x));
    CHECK(x);
    for (size_t i = 0; i < len; i++)
        x[i] = s->input_min + (s->input_max - s->input_min) * (unit(&seed) + 1) / 2;
    x[0] = s->input_max;
    x[len - 1] = s->input_min;
    return x;
}
#endif
