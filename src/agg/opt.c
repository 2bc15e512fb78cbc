/* SPDX-License-Identifier: Apache-2.0 */
/* Server optimizers. */
#include "agg_priv.h"
#include "opt_priv.h"

#include <math.h>
#include <stdlib.h>

static const char *const names[CCZ_AGG_OPT_KINDS] = {"fedavg", "fedavgm", "fedadagrad", "fedadam",
                                                     "fedyogi"};

const char *ccz_agg_opt_name(enum ccz_agg_opt_kind kind)
{
    return names[kind];
}

enum ccz_agg_opt_kind ccz_agg_opt_from(const char *name)
{
    int i = 0;
    while (i < CCZ_AGG_OPT_KINDS && strcmp(name, names[i]) != 0)
        i++;
    return (enum ccz_agg_opt_kind)i;
}

struct ccz_agg_opt_cfg ccz_agg_opt_defaults(enum ccz_agg_opt_kind kind)
{
    struct ccz_agg_opt_cfg cfg = {.kind = kind, .lr = 1};
    if (kind != CCZ_AGG_FEDAVG && kind != CCZ_AGG_FEDADAGRAD)
        cfg.beta1 = 0.9f;
    if (kind >= CCZ_AGG_FEDADAGRAD) {
        cfg.lr = 0.01f;
        cfg.beta2 = 0.99f;
        cfg.tau = 1e-3f;
    }
    return cfg;
}

static ccz_rc refuse(struct ccz_err *err, const char *where, float got, const char *expected)
{
    return ccz_fail(err, CCZ_E_ARG, where, 0, "got %g, expected %s", (double)got, expected);
}

static ccz_rc check(const struct ccz_agg_opt_cfg *c, struct ccz_err *err)
{
    if ((unsigned)c->kind >= CCZ_AGG_OPT_KINDS)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:opt-kind", c->kind, CCZ_AGG_OPT_KINDS - 1);
    if (!(c->lr > 0 && c->lr <= 0x1p20f))
        return refuse(err, "agg:opt-lr", c->lr, "more than 0, at most 2^20");
    if (c->kind != CCZ_AGG_FEDAVG && !(c->beta1 >= 0 && c->beta1 < 1))
        return refuse(err, "agg:opt-beta1", c->beta1, "0 or more, below 1");
    if ((c->kind == CCZ_AGG_FEDADAM || c->kind == CCZ_AGG_FEDYOGI) &&
        !(c->beta2 >= 0 && c->beta2 < 1))
        return refuse(err, "agg:opt-beta2", c->beta2, "0 or more, below 1");
    if (c->kind >= CCZ_AGG_FEDADAGRAD && !(c->tau >= 0x1p-60f && c->tau <= 0x1p40f))
        return refuse(err, "agg:opt-tau", c->tau, "2^-60 to 2^40");
    return CCZ_OK;
}

void cczi_agg_opt_reset(struct ccz_agg_opt *o)
{
    o->rounds = 0;
    if (o->m)
        memset(o->m, 0, o->len * sizeof(*o->m));
    for (size_t i = 0; o->v && i < o->len; i++)
        o->v[i] = o->cfg.tau * o->cfg.tau;
}

ccz_rc ccz_agg_opt_new(struct ccz_agg_opt **out, const struct ccz_agg_opt_cfg *cfg, size_t len,
                       struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    if (len > CCZ_AGG_LEN_MAX)
        return cczi_agg_refuse_len(err, len);
    CCZ_AUTO(ccz_agg_opt) o = calloc(1, sizeof(*o));
    size_t size = len ? len : 1;
    bool has_m = cfg->kind != CCZ_AGG_FEDAVG, has_v = cfg->kind >= CCZ_AGG_FEDADAGRAD;
    if (o) {
        o->cfg = *cfg;
        o->len = len;
        o->m = has_m ? malloc(size * sizeof(*o->m)) : NULL;
        o->v = has_v ? malloc(size * sizeof(*o->v)) : NULL;
    }
    if (!o || (has_m && !o->m) || (has_v && !o->v))
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", (int64_t)len, "no memory for an optimizer");
    cczi_agg_opt_reset(o);
    *out = ccz_agg_opt_take(&o);
    return CCZ_OK;
}

void ccz_agg_opt_free(struct ccz_agg_opt *o)
{
    if (!o)
        return;
    free(o->m);
    free(o->v);
    free(o);
}

uint64_t ccz_agg_opt_rounds(const struct ccz_agg_opt *o)
{
    return o->rounds;
}

/* Index of the first element of the update that is too large or NaN, or len. */
static size_t find_large(const struct ccz_agg_opt *o, const float *sum, float scale)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    size_t i = 0;
    while (i < o->len) {
        size_t n = o->len - i < CCZI_AGG_TILE ? o->len - i : CCZI_AGG_TILE;
        float max = cczi_agg_float(k->max_abs(sum + i, n));
        if (!(fabsf(max * scale) <= CCZ_AGG_OPT_UPDATE_MAX))
            break;
        i += n;
    }
    while (i < o->len && fabsf(scale * sum[i]) <= CCZ_AGG_OPT_UPDATE_MAX)
        i++;
    return i;
}

ccz_rc ccz_agg_opt_step(struct ccz_agg_opt *o, float *params, const float *sum, float scale,
                        struct ccz_err *err)
{
    size_t bad = find_large(o, sum, scale);
    if (bad < o->len)
        return ccz_fail(err, CCZ_E_LIMIT, "agg:opt-update", (int64_t)bad,
                        "element %zu of the mean update is %g, expected at most 2^40", bad,
                        (double)(scale * sum[bad]));
    struct cczi_agg_step s = {.params = params,
                              .m = o->m,
                              .v = o->v,
                              .sum = sum,
                              .scale = scale,
                              .lr = o->cfg.lr,
                              .beta1 = o->cfg.beta1,
                              .beta2 = o->cfg.beta2,
                              .tau = o->cfg.tau,
                              .len = o->len};
    cczi_agg_kernels(NULL)->step[o->cfg.kind](&s);
    o->rounds++;
    return CCZ_OK;
}
