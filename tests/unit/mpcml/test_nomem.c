/* SPDX-License-Identifier: Apache-2.0 */
/* Regressions with the k-th allocation failing: simulation and plan for every k; runs of two parties for every 23rd. */
#define _DEFAULT_SOURCE
#include "kit.h"
#include "nomem.h"

static const struct ccz_mpcml_lr_cfg cfg = {.rows = {5, 5},
                                            .columns = {2, 1},
                                            .batch = 3,
                                            .epochs = 1,
                                            .rate = 0.5,
                                            .l2 = 0.1,
                                            .seed = 1,
                                            .score_rows = {2, 2},
                                            .score_to = CCZ_MPC_TO_BOTH};

static ccz_rc alone(const struct kit_lr *k, struct ccz_err *err)
{
    const struct ccz_mpcml_run_cfg run = {.setting = ccz_mpcml_setting_named("ot")};
    CCZ_AUTO(ccz_mpcml_lr) lr = NULL;
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    int64_t words[4], scores[2];
    ccz_rc rc = ccz_mpcml_lr_new(&lr, 0, &cfg, &k->data[0], err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_lr_simulate(words, scores, &cfg, k->data, err);
    return rc == CCZ_OK ? ccz_mpcml_plan_new(&plan, ccz_mpcml_lr_program(lr), &run, err) : rc;
}

static void test_alone(void)
{
    struct kit_lr k;
    kit_lr_init(&k, &cfg, 1);
    CHECK(alone(&k, NULL) == CCZ_OK);
    nomem_used = 0;
    CHECK(alone(&k, NULL) == CCZ_OK);
    const long total = nomem_used;
    CHECK(total > 100);
    for (long i = 0; i < total; i++) {
        struct ccz_err err = {0};
        nomem_left = i;
        const ccz_rc rc = alone(&k, &err);
        nomem_left = -1;
        if (rc != CCZ_E_NOMEM)
            fprintf(stderr, "%ld of %ld: %s %s\n", i, total, err.where, err.msg);
        CHECK(rc == CCZ_E_NOMEM && err.where[0] != 0);
    }
    kit_lr_free(&k);
}

static bool explained(const struct kit_party *p)
{
    return p->rc == CCZ_OK || p->rc == CCZ_E_NOMEM || p->rc == CCZ_E_CLOSED ||
           p->rc == CCZ_E_INTERNAL || strcmp(p->err.where, "chan:size") == 0 ||
           strcmp(p->err.where, "chan:message-size") == 0;
}

static void test_both(void)
{
    struct kit_lr k;
    struct kit_pair pair;
    kit_lr_init(&k, &cfg, 1);
    long i = 0;
    for (bool failed = true; failed; i += 23) {
        kit_lr_start(&pair, &k, "ot");
        nomem_left = i;
        kit_run(&pair);
        failed = nomem_left < 0;
        nomem_left = -1;
        bool good = pair.p[0].rc == CCZ_OK && pair.p[1].rc == CCZ_OK;
        CHECK(good || failed);
        for (unsigned p = 0; p < 2; p++) {
            if (!explained(&pair.p[p]))
                fprintf(stderr, "%ld: party %u: %s %s\n", i, p, pair.p[p].err.where,
                        pair.p[p].err.msg);
            CHECK(explained(&pair.p[p]));
            CHECK(pair.p[p].rc == CCZ_OK || !ccz_mpcml_lr_result(k.lr[p]).weights);
        }
        kit_free(&pair);
    }
    CHECK(i > 23 * 10);
    kit_lr_free(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"mpcml_nomem.alone", test_alone},
                                            {"mpcml_nomem.both", test_both}};
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
