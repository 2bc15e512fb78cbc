/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPCML_SMALL_H
#define CCZ_TEST_MPCML_SMALL_H
/* A network and a clustering as small as they can be and have every step: for tests that run them many times. */
#include "nn_kit.h"
#include "pair.h"

#include <cczoo/mpcml_kmeans.h>

struct small {
    struct ccz_mpcml_network *net, *bare;
    float *images;
    struct ccz_mpcml_nn_cfg cfg;
    struct ccz_mpcml_nn *nn[2];
    struct ccz_mpcml_kmeans *km[2];
    uint64_t classes[2], centres[6]; /* what comes out */
};
static const double small_points[2][6] = {{1, 2, -3, 4, 5, -6}, {2, 2, 2, -4, 4, 4}};
static const struct ccz_mpcml_kmeans_cfg small_kmeans = {.split = CCZ_MPCML_COLUMNS,
                                                         .rows = {6, 6},
                                                         .columns = {1, 1},
                                                         .clusters = 3,
                                                         .iterations = 1,
                                                         .to = CCZ_MPC_TO_1};

static inline void small_init(struct small *s)
{
    const struct ccz_mpcml_spec spec = {
        .height = 4,
        .width = 4,
        .channels = 1,
        .input_max = 1,
        .weight_max = 1,
        .layers_len = 6,
        .layers = {L_CONV(2, 3, 1, 1), L_RELU, L_MAX(2, 2), L_AVG(2, 1), L_FLATTEN, L_DENSE(3)}};
    *s = (struct small){.cfg = {.images = 2}};
    s->net = random_network(&spec, 0.5F, 5);
    s->bare = clients_network(s->net);
    s->images = random_images(s->net, 2, 6);
    CHECK(ccz_mpcml_nn_simulate(s->classes, s->net, &s->cfg, s->images, NULL) == CCZ_OK);
    CHECK(ccz_mpcml_kmeans_simulate(s->centres, NULL, &small_kmeans, small_points[0],
                                    small_points[1], NULL) == CCZ_OK);
}

static inline void small_deinit(struct small *s)
{
    free(s->images);
    ccz_mpcml_network_free(s->bare);
    ccz_mpcml_network_free(s->net);
}

/* New objects of one of both programs; an error if there is no memory for them. */
static inline ccz_rc small_new(struct small *s, bool kmeans, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (unsigned r = 0; r < 2 && rc == CCZ_OK; r++)
        rc = kmeans ? ccz_mpcml_kmeans_new(&s->km[r], r, &small_kmeans, small_points[r], err)
                    : ccz_mpcml_nn_new(&s->nn[r], r, r ? s->bare : s->net, &s->cfg,
                                       r ? s->images : NULL, err);
    return rc;
}

static inline void small_free(struct small *s)
{
    for (int r = 0; r < 2; r++) {
        ccz_mpcml_nn_free(s->nn[r]);
        ccz_mpcml_kmeans_free(s->km[r]);
        s->nn[r] = NULL;
        s->km[r] = NULL;
    }
}

static inline const struct ccz_mpcml_program *small_program(const struct small *s, unsigned r,
                                                            bool kmeans)
{
    return kmeans ? ccz_mpcml_kmeans_program(s->km[r]) : ccz_mpcml_nn_program(s->nn[r]);
}

/* What party 1 got; NULL: nothing. */
static inline const uint64_t *small_result(const struct small *s, bool kmeans)
{
    return kmeans ? ccz_mpcml_kmeans_centres(s->km[1]) : ccz_mpcml_nn_output(s->nn[1]);
}

static inline bool small_right(const struct small *s, bool kmeans)
{
    const uint64_t *got = small_result(s, kmeans);
    return got && memcmp(got, kmeans ? s->centres : s->classes,
                         kmeans ? sizeof(s->centres) : sizeof(s->classes)) == 0;
}
#endif
