/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: sums worked out by hand, growth, refusals. */
#include "refused.h"

#include "ccz_test.h"

#include <cczoo/recsys_data.h>

#include <math.h>

static const struct ccz_recsys_plan_in ml20m = {.ratings = 20000000,
                                                .users = 138000,
                                                .items = 27000,
                                                .factors = 64,
                                                .memory_size = (uint64_t)24 << 30,
                                                .cores = 2};

static void sizes(void)
{
    struct ccz_recsys_plan p;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_plan(&p, &ml20m, &err) == CCZ_OK);
    CHECK(p.matrix_size == 16 * UINT64_C(20000000) + 8 * (165000 + 2));
    CHECK(p.factor_size == UINT64_C(165000) * 64 * 4);
    CHECK(p.fits && p.seconds == 0 && p.spill_size == 0 && p.executors == 1);
    CHECK(p.train_size > p.matrix_size + p.factor_size &&
          p.train_size < p.matrix_size + p.factor_size + ((uint64_t)8 << 20));
    /* exact: 2 n f^2, the Gram matrices, the factorizations */
    const double want = 2 * 2e7 * 4096 + 165000.0 * 4096 + 165000.0 * 64 * 64 * 64 / 3;
    CHECK(fabs(p.work - want) < 1e-9 * want);
    struct ccz_recsys_plan_in in = ml20m;
    in.factors = 65; /* vectors are rounded up to 16 */
    CHECK(ccz_recsys_plan(&p, &in, &err) == CCZ_OK && p.factor_size == UINT64_C(165000) * 80 * 4);
}

static void limits(void)
{
    struct ccz_recsys_plan p;
    struct ccz_err err = {0};
    struct ccz_recsys_plan_in in = ml20m;
    in.ratings = UINT64_C(5000000000); /* 80 GB of matrices */
    in.memory_size = (uint64_t)128 << 30;
    in.users = 100000000;
    CHECK(ccz_recsys_plan(&p, &in, &err) == CCZ_OK && !p.fits && p.spill_size > 0);
    CHECK(p.executors > 1 && p.cluster_size > 40 * in.ratings && p.blocks >= 2 * p.executors);
    CHECK(p.executor_memory < in.memory_size && p.executor_memory > in.memory_size / 10 * 9);
    const uint32_t few = p.executors;
    in.executor_memory_size = (uint64_t)16 << 30;
    CHECK(ccz_recsys_plan(&p, &in, &err) == CCZ_OK && p.executors > 4 * few);
    in.executor_memory_size = 1 << 20;
    CHECK(ccz_recsys_plan(&p, &in, &err) == CCZ_OK && p.executors == 0);
    in.memory_size *= 4;
    CHECK(ccz_recsys_plan(&p, &in, &err) == CCZ_OK && p.fits);
}

static void rate(void)
{
    struct ccz_recsys_plan p;
    struct ccz_err err = {0};
    struct ccz_recsys_plan_in in = ml20m;
    for (uint32_t steps = 0; steps < 4; steps += 3) {
        in.cg_steps = steps;
        in.cores = 2;
        in.rate = 0;
        in.rate = ccz_recsys_plan_rate(&in, 8.0);
        CHECK(in.rate > 0 && ccz_recsys_plan(&p, &in, &err) == CCZ_OK &&
              fabs(p.seconds - 8) < 1e-9);
        in.cores = 8;
        CHECK(ccz_recsys_plan(&p, &in, &err) == CCZ_OK && fabs(p.seconds - 2) < 1e-9);
    }
    CHECK(ccz_recsys_plan_rate(&in, 0) == 0 && ccz_recsys_plan_rate(&in, NAN) == 0);
}

static void refusals(void)
{
    struct ccz_recsys_plan_in bad[7] = {ml20m, ml20m, ml20m, ml20m, ml20m, ml20m, ml20m};
    bad[0].ratings = 0;
    bad[1].ratings = CCZ_RECSYS_RATINGS_MAX + 1;
    bad[2].users = 0;
    bad[3].items = CCZ_RECSYS_LEN_MAX + 1;
    bad[4].factors = 0;
    bad[5].memory_size = 0;
    bad[6].rate = -1;
    for (int i = 0; i < 7; i++) {
        struct ccz_recsys_plan p;
        struct ccz_err err = {0};
        CHECK(is_refused(ccz_recsys_plan(&p, &bad[i], &err), CCZ_E_ARG, &err, "recsys:plan") &&
              p.train_size == 0);
        CHECK(i == 6 || ccz_recsys_plan_rate(&bad[i], 1) == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.plan_sizes", sizes},
                                            {"recsys.plan_limits", limits},
                                            {"recsys.plan_rate", rate},
                                            {"recsys.plan_refusals", refusals}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
