/* SPDX-License-Identifier: Apache-2.0 */
/* A whole use with each allocation failing in turn: an error, nothing lost, and the same object works afterwards. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "nomem.h"

#include <cczoo/nn.h>

enum { LEN = 20, SIDE = 16, ALLOCATIONS_MAX = 200 };

static ccz_rc use(struct ccz_nn *nn, const struct ccz_nn_data *data, float *params)
{
    const struct ccz_nn_train_cfg cfg = {
        .epochs = 1, .batch = 16, .lr = 0.01f, .momentum = 0.5f, .prox_mu = 0.1f};
    struct ccz_nn_metrics m;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_nn_train(&m, params, nn, data, &cfg, &err);
    if (rc == CCZ_OK) /* larger batches: other memory */
        rc = ccz_nn_evaluate(&m, nn, params, data, &err);
    CHECK(rc == CCZ_OK || (rc == CCZ_E_NOMEM && strcmp(err.where, "nn:memory") == 0));
    return rc;
}

static void test_nomem(void)
{
    static float x[LEN * SIDE * SIDE], params[2][65536];
    static uint32_t labels[LEN];
    const struct ccz_nn_data data = {.floats = x, .labels = labels, .len = LEN};
    const struct ccz_nn_spec spec = ccz_nn_spec_lenet(1, SIDE, SIDE, 3);
    struct ccz_nn *nn;
    for (size_t i = 0; i < LEN * SIDE * SIDE; i++)
        x[i] = (float)(i % 17) / 17;
    for (size_t i = 0; i < LEN; i++)
        labels[i] = (uint32_t)i % 3;
    CHECK(nomem_openssl());
    CHECK(ccz_nn_new(&nn, &spec, NULL, NULL) == CCZ_OK); /* the choice of the tier is made once */
    ccz_nn_init(params[0], nn, 1);
    CHECK(use(nn, &data, params[0]) == CCZ_OK);
    ccz_nn_free(nn);
    bool failed = true;
    long k = 0;
    for (; failed && k < ALLOCATIONS_MAX; k++) {
        nomem_left = k;
        ccz_rc rc = ccz_nn_new(&nn, &spec, NULL, NULL);
        CHECK(rc == CCZ_OK || (rc == CCZ_E_NOMEM && !nn));
        failed = rc != CCZ_OK;
        if (rc == CCZ_OK) {
            ccz_nn_init(params[1], nn, 1);
            failed = use(nn, &data, params[1]) != CCZ_OK;
            nomem_left = -1;
            ccz_nn_init(params[1], nn, 1); /* with memory again: the same bits */
            CHECK(use(nn, &data, params[1]) == CCZ_OK);
            CHECK(memcmp(params[0], params[1], ccz_nn_params_len(nn) * sizeof(float)) == 0);
            ccz_nn_free(nn);
        }
    }
    nomem_left = -1;
    CHECK(!failed && k > 20); /* it did fail many times, and in the end not at all */
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"nn.nomem", test_nomem}};
    return ccz_test_main(tests, 1, argc, argv);
}
