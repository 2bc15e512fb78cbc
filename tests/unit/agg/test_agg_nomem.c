/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of every constructor fails once: the answer is agg:memory, and nothing leaks. */
#define _DEFAULT_SOURCE
#include "agg/kit.h"
#include "nomem.h"

static ccz_rc make_opt(struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_opt) o = NULL;
    struct ccz_agg_opt_cfg cfg = ccz_agg_opt_defaults(CCZ_AGG_FEDADAM);
    return ccz_agg_opt_new(&o, &cfg, 100, err);
}

static ccz_rc make_robust(struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_robust) r = NULL;
    struct ccz_agg_robust_cfg cfg = {CCZ_AGG_MEDIAN, 10, 0};
    return ccz_agg_robust_new(&r, &cfg, err);
}

static ccz_rc make_krum(struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_krum) k = NULL;
    return ccz_agg_krum_new(&k, 10, 2, err);
}

static ccz_rc make_enc(struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_enc) e = NULL;
    struct ccz_agg_codec c = {CCZ_AGG_F32, 0, 0};
    return ccz_agg_enc_new(&e, &c, 100, err);
}

static ccz_rc make_dec(struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_dec) d = NULL;
    struct ccz_agg_codec c = {CCZ_AGG_F32, 0, 0};
    return ccz_agg_dec_new(&d, &c, 100, err);
}

static ccz_rc sink(void *arg, struct ccz_span bytes, struct ccz_err *err)
{
    (void)arg;
    (void)err;
    return bytes.size > 0 ? CCZ_OK : CCZ_E_INTERNAL;
}

static ccz_rc save(struct ccz_err *err)
{
    CCZ_AUTO(ccz_agg_opt) o = NULL;
    struct ccz_agg_opt_cfg cfg = ccz_agg_opt_defaults(CCZ_AGG_FEDAVG);
    ccz_rc rc = ccz_agg_opt_new(&o, &cfg, 100, err);
    return rc == CCZ_OK ? ccz_agg_opt_save(o, sink, NULL, err) : rc;
}

static void test_nomem(void)
{
    static ccz_rc (*const all[])(struct ccz_err *) = {make_opt, make_robust, make_krum,
                                                      make_enc, make_dec,    save};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct ccz_err err;
        nomem_left = -1;
        nomem_used = 0;
        CHECK(all[i](NULL) == CCZ_OK);
        long used = nomem_used;
        CHECK(used > 0);
        for (long k = 0; k < used; k++) {
            nomem_left = k;
            CHECK(all[i](&err) == CCZ_E_NOMEM && strcmp(err.where, "agg:memory") == 0);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"agg_nomem.constructors", test_nomem}};
    CHECK(nomem_openssl());
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
