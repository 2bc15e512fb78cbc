/* SPDX-License-Identifier: Apache-2.0 */
/* Private values are in no memory that is given back: every block is searched for them as it is freed. */
#include "kit.h"
#include "nn_kit.h"

#include <cczoo/mpcml_kmeans.h>

#include <malloc.h>

enum { KINDS = 2, LEN_MIN = 3 };
static struct {
    uint64_t word; /* of 4 or 8 bytes */
    size_t size;
} wanted[KINDS];
static volatile size_t found; /* the compiler believes that free() changes nothing */

void __real_free(void *p); // NOLINT: names of the linker's
void __wrap_free(void *p); // NOLINT

/* So many of them one behind the other are no accident. */
static bool holds(const uint8_t *p, size_t size, uint64_t word, size_t step)
{
    size_t run = 0;
    for (size_t i = 0; i + step <= size && run < LEN_MIN; i += step)
        run = memcmp(p + i, &word, step) == 0 ? run + 1 : 0;
    return run == LEN_MIN;
}

void __wrap_free(void *p) // NOLINT
{
    for (size_t i = 0; p && i < KINDS; i++)
        if (wanted[i].word && holds(p, malloc_usable_size(p), wanted[i].word, wanted[i].size))
            found++;
    __real_free(p);
}

static void want(double v, unsigned frac, float f)
{
    uint32_t bits;
    ccz_mpc_encode(&wanted[0].word, &v, 1, 64, frac);
    memcpy(&bits, &f, sizeof(bits));
    wanted[0].size = sizeof(uint64_t);
    wanted[1].word = bits;
    wanted[1].size = sizeof(bits);
    found = 0;
}

static void test_found(void)
{
    uint64_t *p = calloc(10, sizeof(*p));
    CHECK(p);
    want(1.3, 14, 0);
    volatile uint64_t *kept = p; /* what is freed next would not have to be written */
    for (int i = 4; i < 7; i++)
        kept[i] = wanted[0].word;
    free(p);
    CHECK(found == 1);
}

static void test_kmeans(void)
{
    enum { POINTS = 12 };
    const struct ccz_mpcml_kmeans_cfg cfg = {.split = CCZ_MPCML_COLUMNS,
                                             .rows = {POINTS, POINTS},
                                             .columns = {1, 1},
                                             .clusters = 2,
                                             .iterations = 2,
                                             .to = CCZ_MPC_TO_1};
    double x[2][POINTS];
    uint64_t centres[4];
    struct ccz_mpcml_kmeans *km;
    for (size_t i = 0; i < POINTS; i++)
        x[0][i] = x[1][i] = 1.3;
    want(1.3, 14, 0);
    OK(ccz_mpcml_kmeans_simulate(centres, NULL, &cfg, x[0], x[1], e));
    OK(ccz_mpcml_kmeans_new(&km, 0, &cfg, x[0], e));
    ccz_mpcml_kmeans_free(km);
    CHECK(found == 0);
    x[1][POINTS - 1] = 9; /* refused, when the first party's are encoded already */
    CHECK(ccz_mpcml_kmeans_simulate(centres, NULL, &cfg, x[0], x[1], NULL) == CCZ_E_ARG);
    CHECK(found == 0);
}

static void test_network(void)
{
    const struct ccz_mpcml_spec spec = {.height = 1,
                                        .width = 1,
                                        .channels = 8,
                                        .input_max = 2,
                                        .weight_max = 2,
                                        .layers_len = 1,
                                        .layers = {L_DENSE(4)}};
    const struct ccz_mpcml_nn_cfg cfg = {.images = 2, .ring_bits = 64, .weight_frac = 16};
    float params[8 * 4 + 4], images[16];
    uint64_t out[2];
    struct ccz_mpcml_network *net, *again;
    struct ccz_mpcml_nn *nn;
    struct ccz_buf file;
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
        params[i] = 1.3F;
    for (size_t i = 0; i < 16; i++)
        images[i] = 1.3F;
    want((double)1.3F, 16, 1.3F);
    OK(ccz_mpcml_network_new(&net, &spec, params, sizeof(params) / sizeof(params[0]), e));
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    OK(ccz_mpcml_network_write(&file, net, true, e));
    OK(ccz_mpcml_network_read(&again, ccz_buf_span(&file), e));
    ccz_mpcml_network_free(again);
    ccz_buf_free(&file);
    OK(ccz_mpcml_nn_simulate(out, net, &cfg, images, e));
    for (unsigned role = 0; role < 2; role++) {
        OK(ccz_mpcml_nn_new(&nn, role, net, &cfg, role ? images : NULL, e));
        ccz_mpcml_nn_free(nn);
    }
    ccz_mpcml_network_free(net);
    CHECK(found == 0);
}

static void test_regression(void)
{
    enum { ROWS = 8 };
    struct ccz_mpcml_lr_cfg cfg = {.rows = {ROWS, ROWS},
                                   .columns = {2, 2},
                                   .batch = 4,
                                   .epochs = 2,
                                   .rate = 4, /* a gain of 1 */
                                   .seed = 3,
                                   .weights = CCZ_MPCML_WEIGHTS_TO_0};
    double x[2 * ROWS], y[ROWS] = {0};
    const struct ccz_mpcml_lr_data data[2] = {{.x = x, .y = y}, {.x = x}};
    int64_t words[5];
    struct ccz_mpcml_lr *lr;
    for (size_t i = 0; i < 2 * ROWS; i++)
        x[i] = 1.3;
    want(1.3, 14, 0);
    OK(ccz_mpcml_lr_simulate(words, NULL, &cfg, data, e));
    OK(ccz_mpcml_lr_new(&lr, 0, &cfg, &data[0], e));
    ccz_mpcml_lr_free(lr);
    x[2 * ROWS - 1] = 17; /* refused in the middle */
    CHECK(ccz_mpcml_lr_new(&lr, 0, &cfg, &data[0], NULL) == CCZ_E_ARG);
    CHECK(found == 0);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpcml_wipe.found", test_found},
        {"mpcml_wipe.kmeans", test_kmeans},
        {"mpcml_wipe.network", test_network},
        {"mpcml_wipe.regression", test_regression},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
