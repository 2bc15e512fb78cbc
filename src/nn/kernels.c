/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier, and the test that it has to pass. */
#define _DEFAULT_SOURCE
#include "nn_priv.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct cczi_nn_kernels *const tiers[CCZ_CPU_TIERS] = {
    [CCZ_CPU_PORTABLE] = &cczi_nn_portable,
#if defined(__x86_64__)
    [CCZ_CPU_AVX2] = &cczi_nn_avx2,
    [CCZ_CPU_AVX512] = &cczi_nn_avx512,
#endif
};
static const struct cczi_nn_kernels *usable[CCZ_CPU_TIERS], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    for (int i = 0; i <= (int)ccz_cpu()->best; i++) {
        if (tiers[i] && (i == CCZ_CPU_PORTABLE || cczi_nn_self_test(tiers[i])))
            usable[i] = tiers[i];
        if (usable[i] && i <= (int)ccz_cpu()->chosen)
            chosen = usable[i];
    }
}

const struct cczi_nn_kernels *cczi_nn_kernels(const char *name)
{
    (void)pthread_once(&chosen_once, choose);
    if (!name)
        return chosen;
    const enum ccz_cpu_tier tier = ccz_cpu_tier_from(name);
    return tier < CCZ_CPU_TIERS ? usable[tier] : NULL;
}

/* A little network with odd sizes, so that every kernel runs with whole tiles and with what is left at borders. */
bool cczi_nn_self_test(const struct cczi_nn_kernels *k)
{
    enum { SAMPLES = 19 };
    const struct ccz_nn_spec spec = {
        .channels = 2,
        .height = 15,
        .width = 14,
        .layers_len = 5,
        .layers = {{.kind = CCZ_NN_CONV, .out = 7, .size = 4, .relu = true},
                   {.kind = CCZ_NN_POOL, .size = 2},
                   {.kind = CCZ_NN_CONV, .out = 9, .size = 3, .relu = true},
                   {.kind = CCZ_NN_DENSE, .out = 21, .relu = true},
                   {.kind = CCZ_NN_DENSE, .out = 5}}};
    uint8_t bytes[SAMPLES * 2 * 15 * 14];
    uint32_t labels[SAMPLES];
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)cczi_nn_random(&state);
    for (size_t i = 0; i < SAMPLES; i++)
        labels[i] = (uint32_t)i % 5;
    const struct ccz_nn_data data = {.bytes = bytes, .labels = labels, .len = SAMPLES};
    float *params[2] = {NULL, NULL};
    bool ok = true;
    size_t len = 0;
    for (int t = 0; t < 2; t++) {
        CCZ_AUTO(ccz_nn) nn = calloc(1, sizeof(*nn));
        struct ccz_nn_metrics m;
        if (!nn) {
            ok = false;
            break;
        }
        nn->spec = spec;
        nn->k = t ? k : &cczi_nn_portable;
        ok = ok && cczi_nn_plan(nn, NULL) == CCZ_OK && (params[t] = cczi_nn_floats(nn->params_len));
        if (!ok)
            break;
        len = nn->params_len;
        ccz_nn_init(params[t], nn, 7);
        ok = ccz_nn_train(&m, params[t], nn, &data,
                          &(struct ccz_nn_train_cfg){.epochs = 2,
                                                     .batch = 11,
                                                     .lr = 0.05f,
                                                     .momentum = 0.5f,
                                                     .weight_decay = 0.01f,
                                                     .prox_mu = 0.1f,
                                                     .correction = NULL},
                          NULL) == CCZ_OK;
    }
    for (size_t i = 0; ok && i < len; i++)
        ok = fabsf(params[0][i] - params[1][i]) <= 1e-4f;
    free(params[0]);
    free(params[1]);
    return ok;
}
