/* SPDX-License-Identifier: Apache-2.0 */
/* Networks without a peer: layers, files, steps, ranges, the simulation. */
#include "nn_kit.h"

#include "mpcml/nn_priv.h"

#include <math.h>

static void refused(const struct ccz_mpcml_spec *spec, const float *params, size_t len, ccz_rc rc,
                    const char *where)
{
    struct ccz_mpcml_network *net = (void *)spec;
    struct ccz_err err = {0};
    const ccz_rc got = ccz_mpcml_network_new(&net, spec, params, len, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %s %s (%s), expected %s\n", ccz_rc_name(got), err.where, err.msg,
                where);
    CHECK(got == rc && strcmp(err.where, where) == 0 && net == NULL);
}

/* -------------------------------------------------------------------------------------- layers */

static void test_layers(void)
{
    const struct ccz_mpcml_spec spec = spec_all();
    struct ccz_mpcml_network *net = random_network(&spec, 0.5F, 1);
    const struct cczi_mpcml_image expected[] = {{11, 9, 3}, {11, 9, 3}, {5, 4, 3}, {3, 2, 4},
                                                {2, 1, 4},  {2, 1, 4},  {1, 1, 8}, {1, 1, 6},
                                                {1, 1, 6},  {1, 1, 4},  {1, 1, 4}};
    for (size_t i = 0; i < spec.layers_len; i++)
        CHECK(memcmp(&net->node[i].out, &expected[i], sizeof(expected[i])) == 0);
    CHECK(ccz_mpcml_network_inputs(net) == 198 && ccz_mpcml_network_outputs(net) == 4);
    CHECK(ccz_mpcml_network_params_len(net) ==
          3 * 3 * 2 * 3 + 3 + 3 * 3 * 3 * 4 + 4 + 8 * 6 + 6 + 6 * 4 + 4);
    CHECK(ccz_mpcml_network_has_weights(net));
    ccz_mpcml_network_free(net);
    ccz_mpcml_network_free(NULL);
}

static void test_refusals(void)
{
    const struct ccz_mpcml_spec good = spec_all();
    struct ccz_mpcml_spec s = good;
    s.layers[0].out = 0;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-layer");
    s = good;
    s.layers[0].pad = 3; /* as wide as the window: rows of nothing but zeros */
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-layer");
    s = good;
    s.layers[2].stride = 0;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-layer");
    s = good;
    s.layers[1].kh = 1;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-layer");
    s = good;
    s.layers[1].kind = 9;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-last"); /* behind the kinds that end a network */
    s.layers[1].kind = 0;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-layer");
    s = good;
    s.height = 2; /* nothing left for the pool of means */
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-shape");
    s = good;
    s.layers[6].kind = CCZ_MPCML_RELU; /* dense on an image */
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-shape");
    s = good;
    s.layers[9] = (struct ccz_mpcml_layer)L_RELU;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-last");
    s = good;
    s.layers[1] = (struct ccz_mpcml_layer)L_SOFTMAX;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-last");
    s = good;
    s.layers_len = 0;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-last");
    s = good;
    s.input_max = s.input_min;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-input");
    s.input_max = NAN;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-input");
    s.input_max = INFINITY;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-input");
    s = good;
    s.weight_max = CCZ_MPCML_NETWORK_WEIGHT_MAX + 1;
    refused(&s, NULL, 0, CCZ_E_FORMAT, "mpcml:net-weight");
    s = good;
    s.layers_len = CCZ_MPCML_NETWORK_LAYERS_MAX + 1;
    refused(&s, NULL, 0, CCZ_E_LIMIT, "mpcml:net-size");
    s = good;
    s.height = CCZ_MPCML_NETWORK_SIDE_MAX + 1;
    refused(&s, NULL, 0, CCZ_E_LIMIT, "mpcml:net-size");
    s.height = s.width = CCZ_MPCML_NETWORK_SIDE_MAX;
    refused(&s, NULL, 0, CCZ_E_LIMIT, "mpcml:net-size");
    s = good; /* parameters: 4096 x 4096 and its bias */
    s.layers[7].out = s.layers[9].out = CCZ_MPCML_NETWORK_SIDE_MAX;
    refused(&s, NULL, 0, CCZ_E_LIMIT, "mpcml:net-size");
}

static void test_weights(void)
{
    const struct ccz_mpcml_spec spec = spec_mlp(2, 2, 2);
    float p[2 * 2 * 3 + 6] = {0};
    const size_t len = sizeof(p) / sizeof(p[0]);
    struct ccz_mpcml_network *net = NULL;
    p[4] = 100; /* a bias */
    CHECK(ccz_mpcml_network_new(&net, &spec, p, len, NULL) == CCZ_OK);
    ccz_mpcml_network_free(net);
    refused(&spec, p, len - 1, CCZ_E_FORMAT, "mpcml:net-params");
    p[3] = -1.5F;
    refused(&spec, p, len, CCZ_E_FORMAT, "mpcml:net-weight");
    p[3] = 0;
    p[len - 1] = NAN;
    refused(&spec, p, len, CCZ_E_FORMAT, "mpcml:net-weight");
}

/* --------------------------------------------------------------------------------------- files */

static void test_file(void)
{
    const struct ccz_mpcml_spec spec = spec_all();
    struct ccz_mpcml_network *net = random_network(&spec, 1, 2), *back = NULL, *bare = NULL;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    CHECK(ccz_mpcml_network_write(&file, net, true, &err) == CCZ_OK);
    CHECK(file.wipe);
    CHECK(file.size == 44 + 24 * spec.layers_len + 4 * net->params_len);
    CHECK(memcmp(file.ptr, "cczoo-nn\1\0\0\0\1\0\0\0\13\0\0\0\11\0\0\0\2\0\0\0", 28) == 0);
    CHECK(ccz_mpcml_network_read(&back, ccz_buf_span(&file), &err) == CCZ_OK);
    CHECK(memcmp(&back->node, &net->node, sizeof(net->node)) == 0);
    CHECK(memcmp(back->params, net->params, net->params_len * sizeof(float)) == 0);
    bare = clients_network(net);
    ccz_buf_clear(&file);
    CHECK(ccz_mpcml_network_write(&file, bare, true, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mpcml:weights") == 0);
    ccz_mpcml_network_free(bare);
    ccz_mpcml_network_free(back);
    ccz_mpcml_network_free(net);
}

static void refused_file(const uint8_t *file, size_t size, const char *where)
{
    struct ccz_mpcml_network *net = (void *)file;
    struct ccz_err err = {0};
    uint8_t *copy = malloc(size ? size : 1); /* its end is where the sanitizer sees it */
    CHECK(copy);
    if (size)
        memcpy(copy, file, size);
    const ccz_rc rc = ccz_mpcml_network_read(&net, CCZ_SPAN(copy, size), &err);
    free(copy);
    if (rc == CCZ_OK || strcmp(err.where, where) != 0)
        fprintf(stderr, "%zu bytes: got %s, expected %s\n", size, err.where, where);
    CHECK(rc != CCZ_OK && strcmp(err.where, where) == 0 && net == NULL);
}

static void test_truncated(void)
{
    const struct ccz_mpcml_spec spec = spec_all();
    struct ccz_mpcml_network *net = random_network(&spec, 1, 3);
    struct ccz_err err = {0};
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    CHECK(ccz_mpcml_network_write(&file, net, true, &err) == CCZ_OK);
    for (size_t size = 0; size < file.size; size++)
        refused_file(file.ptr, size, size < 8 ? "mpcml:net-magic" : "mpcml:net-truncated");
    const size_t size = file.size;
    ccz_buf_u8(&file, 0);
    refused_file(file.ptr, size + 1, "mpcml:net-truncated");
    uint8_t *p = file.ptr;
    p[7] ^= 1;
    refused_file(p, size, "mpcml:net-magic");
    p[7] ^= 1;
    p[8] = 2;
    refused_file(p, size, "mpcml:net-version");
    p[8] = 1;
    p[12] = 3;
    refused_file(p, size, "mpcml:net-flags");
    p[12] = 0; /* weights that are not announced */
    refused_file(p, size, "mpcml:net-truncated");
    p[12] = 1;
    p[40] = CCZ_MPCML_NETWORK_LAYERS_MAX + 1;
    refused_file(p, size, "mpcml:net-size");
    p[40] = (uint8_t)spec.layers_len;
    memcpy(p + 44 + 24 * spec.layers_len, (const uint8_t[]){0, 0, 0xc0, 0x7f}, 4);
    refused_file(p, size, "mpcml:net-weight");
    ccz_mpcml_network_free(net);
}

/* --------------------------------------------------------------------------------------- numbers */

/* 2 x 2 pixels, a window of 2 x 2 with padding, then one output: by hand. */
static void test_logits(void)
{
    const struct ccz_mpcml_spec spec = {
        .height = 2,
        .width = 2,
        .channels = 1,
        .input_min = -4,
        .input_max = 4,
        .weight_max = 8,
        .layers_len = 5,
        .layers = {L_CONV(1, 2, 2, 1), L_RELU, L_MAX(2, 1), L_FLATTEN, L_DENSE(2)}};
    const float params[] = {1, 2, 3, 4, 0.5F /* bias */, 2, -1, 0.25F, 8 /* biases */};
    const float image[] = {1, -2, 3, -4};
    /* padded corners: 4 1, 3 (-2), 2 3, 1 (-4), each + 0.5; the largest is 6.5 */
    const double expected[] = {2 * 6.5 + 0.25, -6.5 + 8};
    struct ccz_mpcml_network *net = NULL;
    double got[2];
    uint64_t words[2];
    struct ccz_mpcml_nn_cfg cfg = {.images = 1, .output = CCZ_MPCML_NN_LOGITS};
    CHECK(ccz_mpcml_network_new(&net, &spec, params, 9, NULL) == CCZ_OK);
    CHECK(ccz_mpcml_network_logits(got, net, image, NULL) == CCZ_OK);
    CHECK(got[0] == expected[0] && got[1] == expected[1]);
    for (cfg.ring_bits = 32; cfg.ring_bits <= 64; cfg.ring_bits += 32) { /* exact in both */
        CHECK(ccz_mpcml_nn_simulate(words, net, &cfg, image, NULL) == CCZ_OK);
        ccz_mpc_decode(got, words, 2, cfg.ring_bits, ccz_mpcml_nn_output_frac(&cfg));
        CHECK(got[0] == expected[0] && got[1] == expected[1]);
    }
    cfg.ring_bits = 0;
    cfg.output = CCZ_MPCML_NN_CLASS;
    CHECK(ccz_mpcml_nn_simulate(words, net, &cfg, image, NULL) == CCZ_OK && words[0] == 0);
    CHECK(ccz_mpcml_nn_output_len(net, &cfg) == 1 && ccz_mpcml_nn_output_frac(&cfg) == 0);
    ccz_mpcml_network_free(net);
    double p[] = {1000, 1000, -1000};
    ccz_mpcml_softmax(p, p, 3);
    CHECK(p[0] == 0.5 && p[1] == 0.5 && p[2] == 0);
}

static void test_steps(void)
{
    static const struct {
        enum cczi_nn_op op;
        unsigned shift;
        enum ccz_mpc_range range;
    } expected[] = {{CCZI_NN_CONV, 0, 0},
                    {CCZI_NN_MAX, 0, 0},
                    {CCZI_NN_RELU, 0, 0}, /* the pool first */
                    {CCZI_NN_TRUNCATE, 10, CCZ_MPC_RANGE_POSITIVE},
                    {CCZI_NN_CONV, 0, 0},
                    {CCZI_NN_SUM, 0, 0},
                    {CCZI_NN_HALVE, 2, 0},
                    {CCZI_NN_RELU, 0, 0},
                    {CCZI_NN_TRUNCATE, 12, CCZ_MPC_RANGE_POSITIVE},
                    {CCZI_NN_DENSE, 0, 0},
                    {CCZI_NN_RELU, 0, 0},
                    {CCZI_NN_TRUNCATE, 10, CCZ_MPC_RANGE_POSITIVE},
                    {CCZI_NN_DENSE, 0, 0}};
    struct ccz_mpcml_spec spec = spec_all();
    struct ccz_mpcml_network *net = random_network(&spec, 1, 4);
    struct ccz_mpcml_nn_cfg cfg = {.images = 1};
    struct cczi_nn_steps steps;
    CHECK(cczi_nn_cfg(&cfg, net, &cfg, NULL) == CCZ_OK);
    cczi_nn_steps(&steps, net, &cfg);
    CHECK(steps.len == sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < steps.len; i++)
        CHECK(steps.step[i].op == expected[i].op && steps.step[i].shift == expected[i].shift &&
              steps.step[i].range == expected[i].range);
    ccz_mpcml_network_free(net);
    /* a mean of nine, signed: truncated before, and not known to be positive behind it */
    spec = (struct ccz_mpcml_spec){.height = 3,
                                   .width = 3,
                                   .channels = 1,
                                   .input_min = -1,
                                   .input_max = 1,
                                   .weight_max = 1,
                                   .layers_len = 3,
                                   .layers = {L_CONV(1, 1, 1, 0), L_AVG(3, 1), L_DENSE(1)}};
    net = random_network(&spec, 1, 5);
    cczi_nn_steps(&steps, net, &cfg);
    CHECK(steps.len == 6 && steps.step[1].op == CCZI_NN_TRUNCATE &&
          steps.step[1].range == CCZ_MPC_RANGE_HALF);
    CHECK(steps.step[3].op == CCZI_NN_SCALE && steps.step[3].factor == 910); /* 8192 / 9 */
    CHECK(steps.step[4].op == CCZI_NN_TRUNCATE && steps.step[4].shift == 13);
    ccz_mpcml_network_free(net);
}

/* Means of means: truncated in between where fraction bits run out, refused where that is not enough. */
static void test_means(void)
{
    struct ccz_mpcml_spec spec = {
        .height = 15,
        .width = 15,
        .channels = 1,
        .input_max = 1,
        .weight_max = 1,
        .layers_len = 5,
        .layers = {L_AVG(8, 1), L_AVG(4, 1), L_AVG(4, 1), L_AVG(2, 2), L_DENSE(1)}};
    struct ccz_mpcml_network *net = random_network(&spec, 1, 9);
    struct ccz_mpcml_nn_cfg cfg = {.images = 1, .frac = 20, .weight_frac = 8};
    struct cczi_nn_steps steps;
    struct ccz_err err = {0};
    CHECK(cczi_nn_cfg(&cfg, net, &cfg, &err) == CCZ_OK);
    cczi_nn_steps(&steps, net, &cfg); /* 20 + 6, which 4 more would fill too far, + 4, 20 + 4 + 2 */
    CHECK(steps.frac_max == 28 && steps.len == 12);
    CHECK(steps.step[2].op == CCZI_NN_TRUNCATE && steps.step[2].shift == 6);
    float *image = random_images(net, 1, 10);
    uint64_t word;
    double got, real;
    cfg.output = CCZ_MPCML_NN_LOGITS;
    CHECK(ccz_mpcml_nn_simulate(&word, net, &cfg, image, NULL) == CCZ_OK);
    ccz_mpc_decode(&got, &word, 1, 32, ccz_mpcml_nn_output_frac(&cfg));
    CHECK(ccz_mpcml_network_logits(&real, net, image, NULL) == CCZ_OK && fabs(got - real) < 0.01);
    free(image);
    ccz_mpcml_network_free(net);
    spec = (struct ccz_mpcml_spec){.height = 512,
                                   .width = 512,
                                   .channels = 1,
                                   .input_max = 1,
                                   .weight_max = 1,
                                   .layers_len = 2,
                                   .layers = {L_AVG(512, 1), L_DENSE(1)}};
    net = random_network(&spec, 1, 9);
    cfg = (struct ccz_mpcml_nn_cfg){.images = 1, .frac = 11};
    CHECK(cczi_nn_cfg(&cfg, net, &cfg, &err) == CCZ_E_ARG && strcmp(err.where, "mpcml:frac") == 0);
    cfg = (struct ccz_mpcml_nn_cfg){.images = 1, .frac = 10};
    CHECK(cczi_nn_cfg(&cfg, net, &cfg, &err) == CCZ_OK);
    ccz_mpcml_network_free(net);
}

/* Fixed point is as near to doubles as rounding allows, for every kind of layer. */
static void test_near(void)
{
    const struct ccz_mpcml_spec spec = spec_all();
    struct ccz_mpcml_network *net = random_network(&spec, 0.5F, 6);
    struct ccz_mpcml_nn_cfg cfg = {.images = 20, .ring_bits = 64, .output = CCZ_MPCML_NN_LOGITS};
    float *x = random_images(net, cfg.images, 7);
    uint64_t words[80];
    double got[80], real[4];
    CHECK(ccz_mpcml_nn_simulate(words, net, &cfg, x, NULL) == CCZ_OK);
    ccz_mpc_decode(got, words, 80, 64, ccz_mpcml_nn_output_frac(&cfg));
    for (size_t i = 0; i < cfg.images; i++) {
        CHECK(ccz_mpcml_network_logits(real, net, x + i * ccz_mpcml_network_inputs(net), NULL) ==
              CCZ_OK);
        for (size_t o = 0; o < 4; o++)
            CHECK(fabs(got[4 * i + o] - real[o]) < 0.005);
    }
    free(x);
    ccz_mpcml_network_free(net);
}

/* Largest |logit| that inputs at the ends of their range reach is what the range says, when signs of weights are all the same. */
static void test_range(void)
{
    struct ccz_mpcml_spec spec = spec_mlp(16, 8, 2);
    struct ccz_mpcml_network *net = NULL;
    struct ccz_mpcml_nn_range range;
    struct ccz_mpcml_nn_cfg cfg = {.images = 1, .output = CCZ_MPCML_NN_LOGITS};
    float params[16 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2] = {0}, ones[16];
    struct ccz_err err = {0};
    uint64_t words[2];
    const size_t len = sizeof(params) / sizeof(params[0]);
    for (size_t i = 0; i < len; i++)
        params[i] = 0.5F;
    for (size_t i = 0; i < 16; i++)
        ones[i] = 1;
    CHECK(ccz_mpcml_network_new(&net, &spec, params, len, NULL) == CCZ_OK);
    CHECK(ccz_mpcml_nn_range(&range, net, &cfg, &err) == CCZ_OK);
    CHECK(ccz_mpcml_nn_simulate(words, net, &cfg, ones, NULL) == CCZ_OK);
    CHECK(words[0] > 0 && log2((double)words[0]) <= range.bits);
    CHECK(log2((double)words[0]) > range.bits - 0.01);
    /* one unit in 2 truncations: 1, then (1 512 8) / 1024 = 4 and 1 more, then times 512 8 */
    CHECK(range.deviation == 5 * 512 * 8);
    for (cfg.frac = 8; range.bits < 30 && cfg.frac < 20; cfg.frac++) { /* until it is too much */
        const ccz_rc rc = ccz_mpcml_nn_range(&range, net, &cfg, &err);
        CHECK((rc == CCZ_OK) == (range.bits < 30));
        if (rc != CCZ_OK) {
            char bits[16]; /* what weights make of it is the owner's to know */
            CHECK(rc == CCZ_E_LIMIT && strcmp(err.where, "mpcml:range") == 0);
            (void)snprintf(bits, sizeof(bits), "%.1f", range.bits);
            CHECK(!strstr(err.msg, bits) && err.aux == 30 && err.got[0] == 0);
            CHECK(ccz_mpcml_nn_simulate(words, net, &cfg, ones, &err) == CCZ_E_LIMIT);
        }
    }
    CHECK(range.bits >= 30);
    ccz_mpcml_network_free(net);
    params[16 * 8] = 1e6F; /* a bias, which would be saturated */
    cfg.frac = 0;
    CHECK(ccz_mpcml_network_new(&net, &spec, params, len, NULL) == CCZ_OK);
    CHECK(ccz_mpcml_nn_range(&range, net, &cfg, &err) == CCZ_E_LIMIT);
    ccz_mpcml_network_free(net);
}

/* What no source of randomness could bound is refused, at both parties. */
static void test_weight_bound(void)
{
    struct ccz_mpcml_spec spec = spec_mlp(4, 4, 2);
    struct ccz_mpcml_nn_cfg cfg = {.images = 1, .frac = 1, .weight_frac = 14};
    struct ccz_mpcml_nn *nn = NULL;
    struct ccz_err err = {0};
    for (spec.weight_max = 32768; spec.weight_max >= 32767; spec.weight_max--) {
        struct ccz_mpcml_network *bare = NULL;
        CHECK(ccz_mpcml_network_new(&bare, &spec, NULL, 0, NULL) == CCZ_OK);
        cfg.weight_frac = spec.weight_max == 32768 ? 15 : 14;
        const ccz_rc rc = ccz_mpcml_nn_new(&nn, 1, bare, &cfg, NULL, &err);
        CHECK(rc == (spec.weight_max == 32768 ? CCZ_E_ARG : CCZ_OK));
        CHECK(rc == CCZ_OK || strcmp(err.where, "mpcml:frac") == 0);
        ccz_mpcml_nn_free(nn);
        ccz_mpcml_network_free(bare);
    }
}

static void test_config(void)
{
    struct ccz_mpcml_spec spec = spec_mlp(4, 4, 2);
    spec.layers[spec.layers_len++] = (struct ccz_mpcml_layer)L_ARGMAX;
    struct ccz_mpcml_network *net = random_network(&spec, 1, 8), *bare = clients_network(net);
    const struct {
        struct ccz_mpcml_nn_cfg cfg;
        const char *where;
    } bad[] = {{{.images = 1, .server = 2}, "mpcml:role"},
               {{.images = 1, .ring_bits = 16}, "mpcml:ring"},
               {{.images = 0}, "mpcml:images"},
               {{.images = CCZ_MPCML_NN_IMAGES_MAX + 1}, "mpcml:images"},
               {{.images = 1, .batch = CCZ_MPCML_NN_BATCH_MAX + 1}, "mpcml:batch"},
               {{.images = 1, .frac = 19}, "mpcml:frac"},
               {{.images = 1, .weight_frac = UINT32_MAX}, "mpcml:frac"},
               {{.images = 1, .output = CCZ_MPCML_NN_LOGITS}, "mpcml:output"},
               {{.images = 1, .output = 2}, "mpcml:output"}};
    struct ccz_mpcml_nn *nn;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ccz_mpcml_nn_new(&nn, 0, net, &bad[i].cfg, NULL, &err) == CCZ_E_ARG && !nn);
        if (strcmp(err.where, bad[i].where) != 0)
            fprintf(stderr, "%zu: got %s, expected %s\n", i, err.where, bad[i].where);
        CHECK(strcmp(err.where, bad[i].where) == 0);
    }
    const struct ccz_mpcml_nn_cfg cfg = {.images = 1};
    float x[4] = {0, 1, 0.5F, 1.01F};
    uint64_t word;
    CHECK(ccz_mpcml_nn_new(&nn, 1, bare, &cfg, x, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mpcml:input") == 0);
    x[3] = NAN;
    CHECK(ccz_mpcml_nn_new(&nn, 1, bare, &cfg, x, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mpcml:input") == 0);
    x[3] = 0;
    CHECK(ccz_mpcml_nn_simulate(&word, bare, &cfg, x, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mpcml:weights") == 0);
    CHECK(ccz_mpcml_nn_new(&nn, 2, net, &cfg, NULL, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mpcml:role") == 0);
    ccz_mpcml_network_free(bare);
    ccz_mpcml_network_free(net);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"network.layers", test_layers},
                                            {"network.refusals", test_refusals},
                                            {"network.weights", test_weights},
                                            {"network.file", test_file},
                                            {"network.truncated", test_truncated},
                                            {"network.logits", test_logits},
                                            {"network.steps", test_steps},
                                            {"network.means", test_means},
                                            {"network.near", test_near},
                                            {"network.range", test_range},
                                            {"network.weight_bound", test_weight_bound},
                                            {"network.config", test_config}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
