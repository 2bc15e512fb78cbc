/* SPDX-License-Identifier: Apache-2.0 */
/* Training, fold-in and loss with the k-th allocation failing, for every k. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "als_kit.h"
#include "refused.h"

static bool go_on(void *arg, const struct ccz_recsys_als_step *step)
{
    (void)arg;
    return step->model != NULL;
}

/* One whole use; false and "recsys:memory" if an allocation failed. */
static bool use(const struct ccz_recsys_csr *m, const struct ccz_recsys_als_cfg *cfg)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_model) model = NULL;
    CCZ_AUTO(ccz_recsys_fold) f = NULL;
    struct ccz_recsys_factors users = {0};
    double loss;
    ccz_rc rc = ccz_recsys_als_train(&model, m, cfg, &err);
    CHECK((rc == CCZ_OK) == (model != NULL));
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_iterate(model, m, cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_als_loss(&loss, model, m, cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_fold_new(&f, model, CCZ_RECSYS_USERS, cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_fold_rows(&users, f, m, &err);
    CHECK((rc == CCZ_OK) == (users.v != NULL));
    ccz_recsys_factors_deinit(&users);
    CHECK(rc == CCZ_OK || is_refused(rc, CCZ_E_NOMEM, &err, "recsys:memory"));
    return rc == CCZ_OK;
}

static void nomem(void)
{
    CHECK(nomem_openssl());
    CCZ_AUTO(ccz_recsys_csr) m = feedback(40, 30, 0.3, 1);
    for (int kind = 0; kind < 4; kind++) {
        struct ccz_recsys_als_cfg cfg =
            cfg_of(kind < 3 ? (enum ccz_recsys_als_kind)kind : CCZ_RECSYS_EXPLICIT, kind == 3, 6);
        cfg.nonneg = kind == 0;
        cfg.on_iteration = go_on;
        cfg.loss = true;
        long k = 0;
        for (bool done = false; !done; k++) {
            nomem_left = k;
            done = use(m, &cfg);
            nomem_left = -1;
        }
        CHECK(k > 15);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"als.nomem", nomem}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
