/* SPDX-License-Identifier: Apache-2.0 */
/* What all sources have in common, and the one that chooses among others. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

struct ccz_mpc_source {
    enum ccz_mpc_source_kind kind;
    const struct ccz_mpc_source_ops *ops;
    void *self;
};

const char *ccz_mpc_source_kind_name(enum ccz_mpc_source_kind kind)
{
    static const char *const names[CCZ_MPC_SOURCE_KINDS] = {"ot",     "he",    "paillier",
                                                            "dealer", "store", "mixed"};
    return (unsigned)kind < CCZ_MPC_SOURCE_KINDS ? names[kind] : "unknown";
}

const char *ccz_mpc_need_kind_name(enum ccz_mpc_need_kind kind)
{
    static const char *const names[CCZ_MPC_NEED_KINDS] = {
        "mul", "square", "and", "matmul", "cross-matmul", "cross-mul", "cross-conv2d", "ots"};
    return (unsigned)kind < CCZ_MPC_NEED_KINDS ? names[kind] : "unknown";
}

ccz_rc ccz_mpc_source_new(struct ccz_mpc_source **out, enum ccz_mpc_source_kind kind,
                          const struct ccz_mpc_source_ops *ops, void *self, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_alloc(out, 1, sizeof(**out), err);
    if (rc != CCZ_OK) {
        ops->free(self);
        return rc;
    }
    **out = (struct ccz_mpc_source){kind, ops, self};
    return CCZ_OK;
}

void ccz_mpc_source_free(struct ccz_mpc_source *s)
{
    if (!s)
        return;
    s->ops->free(s->self);
    free(s);
}

enum ccz_mpc_source_kind ccz_mpc_source_kind_of(const struct ccz_mpc_source *s)
{
    return s->kind;
}

const char *ccz_mpc_source_name(const struct ccz_mpc_source *s)
{
    return s->ops->name;
}

bool ccz_mpc_source_can(const struct ccz_mpc_source *s, const struct ccz_mpc_need *need)
{
    return s->ops->can(s->self, need);
}

static ccz_rc check_can(const struct ccz_mpc_source *s, const struct ccz_mpc_need *needs,
                        size_t len, struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++)
        if (!ccz_mpc_source_can(s, &needs[i])) {
            (void)ccz_refuse(err, CCZ_E_UNSUPPORTED, "mpc:source-none",
                             ccz_mpc_need_kind_name(needs[i].kind), "a need the source can make");
            return ccz_hint(err, CCZ_E_UNSUPPORTED, "a mixed source with one that can");
        }
    return CCZ_OK;
}

ccz_rc ccz_mpc_source_cost(struct ccz_mpc_cost *out, struct ccz_mpc_source *s,
                           const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    *out = (struct ccz_mpc_cost){0};
    ccz_rc rc = check_can(s, needs, len, err);
    if (rc == CCZ_OK && len > 0)
        rc = s->ops->cost(out, s->self, needs, len, err);
    return rc;
}

ccz_rc cczi_mpc_source_prepare(struct ccz_mpc_item *items, struct ccz_mpc_source *s,
                               const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    ccz_rc rc = check_can(s, needs, len, err);
    if (rc == CCZ_OK && len > 0)
        rc = s->ops->prepare(items, s->self, needs, len, err);
    return rc;
}

/* --------------------------------------------------------------------------------------- mixed */

struct mixed {
    struct ccz_mpc_mixed_cfg cfg;
    double bytes_per_s;
};

static double seconds(const struct mixed *x, const struct ccz_mpc_cost *c)
{
    return (double)(c->setup_size + c->size) / x->bytes_per_s +
           (double)c->rounds * x->cfg.rtt_s / 2 + c->cpu_s;
}

static bool can_all(const struct ccz_mpc_source *s, const struct ccz_mpc_need *needs, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!ccz_mpc_source_can(s, &needs[i]))
            return false;
    return true;
}

/* The needs of one kind, in order; where they came from in `from`. */
static size_t of_kind(struct ccz_mpc_need *out, size_t *from, const struct ccz_mpc_need *needs,
                      size_t len, enum ccz_mpc_need_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        if (needs[i].kind == kind) {
            from[n] = i;
            out[n++] = needs[i];
        }
    return n;
}

/* The cheapest for a group. The first of equals. */
static ccz_rc choose(struct ccz_mpc_source **best, struct ccz_mpc_cost *cost, const struct mixed *x,
                     const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    *best = NULL;
    for (size_t s = 0; s < x->cfg.len; s++) {
        struct ccz_mpc_cost c;
        if (!can_all(x->cfg.sources[s], needs, len))
            continue;
        ccz_rc rc = ccz_mpc_source_cost(&c, x->cfg.sources[s], needs, len, err);
        if (rc != CCZ_OK)
            return rc;
        if (!*best || seconds(x, &c) < seconds(x, cost)) {
            *best = x->cfg.sources[s];
            *cost = c;
        }
    }
    if (!*best)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "mpc:source-none",
                          ccz_mpc_need_kind_name(needs[0].kind), "a need some source can make");
    return CCZ_OK;
}

static bool mixed_can(void *self, const struct ccz_mpc_need *need)
{
    struct mixed *x = self;
    for (size_t s = 0; s < x->cfg.len; s++)
        if (ccz_mpc_source_can(x->cfg.sources[s], need))
            return true;
    return false;
}

/* What happens to one group. */
struct group {
    enum ccz_mpc_need_kind kind;
    struct ccz_mpc_need *needs;
    size_t *from, len;
    struct ccz_mpc_source *source;
    struct ccz_mpc_cost cost;
};
typedef ccz_rc (*group_fn)(void *arg, const struct mixed *x, const struct group *g,
                           struct ccz_err *err);

static ccz_rc each_group(const struct mixed *x, const struct ccz_mpc_need *needs, size_t len,
                         group_fn fn, void *arg, struct ccz_err *err)
{
    struct group g = {0};
    ccz_rc rc = cczi_mpc_alloc(&g.needs, len, sizeof(*g.needs), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&g.from, len, sizeof(*g.from), err);
    for (unsigned k = 0; k < CCZ_MPC_NEED_KINDS && rc == CCZ_OK; k++) {
        g.kind = (enum ccz_mpc_need_kind)k;
        g.len = of_kind(g.needs, g.from, needs, len, g.kind);
        if (g.len == 0)
            continue;
        rc = choose(&g.source, &g.cost, x, g.needs, g.len, err);
        if (rc == CCZ_OK)
            rc = fn(arg, x, &g, err);
    }
    free(g.needs);
    free(g.from);
    return rc;
}

static ccz_rc add_cost(void *arg, const struct mixed *x, const struct group *g, struct ccz_err *err)
{
    struct ccz_mpc_cost *sum = arg;
    (void)x;
    (void)err;
    sum->setup_size += g->cost.setup_size;
    sum->size += g->cost.size;
    sum->rounds += g->cost.rounds;
    sum->cpu_s += g->cost.cpu_s;
    return CCZ_OK;
}

static ccz_rc mixed_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                         size_t len, struct ccz_err *err)
{
    return each_group(self, needs, len, add_cost, out, err);
}

static ccz_rc tell(void *arg, const struct mixed *x, const struct group *g, struct ccz_err *err)
{
    (void)arg;
    (void)err;
    if (x->cfg.on_choice)
        x->cfg.on_choice(x->cfg.arg, ccz_mpc_source_name(g->source), g->kind, g->len, &g->cost);
    return CCZ_OK;
}

static ccz_rc prepare_group(void *arg, const struct mixed *x, const struct group *g,
                            struct ccz_err *err)
{
    struct ccz_mpc_item *items = arg, *some = NULL;
    (void)x;
    ccz_rc rc = cczi_mpc_alloc(&some, g->len, sizeof(*some), err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < g->len; i++) /* the same memory: the items stay the session's */
        some[i] = items[g->from[i]];
    rc = cczi_mpc_source_prepare(some, g->source, g->needs, g->len, err);
    free(some);
    return rc;
}

static ccz_rc mixed_prepare(struct ccz_mpc_item *items, void *self,
                            const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    ccz_rc rc = each_group(self, needs, len, tell, NULL, err);
    return rc == CCZ_OK ? each_group(self, needs, len, prepare_group, items, err) : rc;
}

static void mixed_free(void *self)
{
    struct mixed *x = self;
    for (size_t s = 0; s < x->cfg.len; s++)
        ccz_mpc_source_free(x->cfg.sources[s]);
    free(x);
}

ccz_rc ccz_mpc_source_mixed_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                const struct ccz_mpc_mixed_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_mpc_source_ops ops = {.name = "mixed",
                                                  .can = mixed_can,
                                                  .cost = mixed_cost,
                                                  .prepare = mixed_prepare,
                                                  .free = mixed_free};
    struct mixed *x = NULL;
    (void)m;
    *out = NULL;
    size_t len = cfg->len < CCZ_MPC_MIXED_MAX ? cfg->len : CCZ_MPC_MIXED_MAX;
    ccz_rc rc = CCZ_OK;
    if (cfg->len == 0 || cfg->len > CCZ_MPC_MIXED_MAX)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:mixed-len", (int64_t)cfg->len, CCZ_MPC_MIXED_MAX);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&x, 1, sizeof(*x), err);
    if (rc != CCZ_OK) {
        for (size_t s = 0; s < len; s++)
            ccz_mpc_source_free(cfg->sources[s]);
        return rc;
    }
    x->cfg = *cfg;
    x->bytes_per_s = cfg->bytes_per_s > 0 ? cfg->bytes_per_s : 125e6;
    return ccz_mpc_source_new(out, CCZ_MPC_SOURCE_MIXED, &ops, x, err);
}
