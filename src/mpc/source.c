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

bool cczi_mpc_source_has_plan(const struct ccz_mpc_source *s)
{
    return s->ops->plan;
}

ccz_rc cczi_mpc_source_plan(uint8_t digest[32], const struct ccz_mpc_source *s,
                            const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    memset(digest, 0, 32);
    if (len == 0 || !s->ops->plan)
        return CCZ_OK;
    ccz_rc rc = check_can(s, needs, len, err);
    return rc == CCZ_OK ? s->ops->plan(digest, s->self, needs, len, err) : rc;
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

/* The needs of one kind, and who makes them. */
struct group {
    const struct ccz_mpc_need *needs;
    const size_t *from;
    size_t len;
    struct ccz_mpc_source *source;
    struct ccz_mpc_cost cost;
};

/* Decided for all kinds before anything is prepared: what one group sends once (keys) would make the next one cheaper. */
struct decision {
    struct ccz_mpc_need *needs;
    size_t *from;
    struct group of[CCZ_MPC_NEED_KINDS];
};

static void decision_deinit(struct decision *d)
{
    free(d->needs);
    free(d->from);
}
#define AUTO_DECISION __attribute__((cleanup(decision_deinit))) struct decision

static ccz_rc decide(struct decision *d, const struct mixed *x, const struct ccz_mpc_need *needs,
                     size_t len, struct ccz_err *err)
{
    size_t at = 0;
    ccz_rc rc = cczi_mpc_alloc(&d->needs, len, sizeof(*d->needs), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&d->from, len, sizeof(*d->from), err);
    for (unsigned k = 0; k < CCZ_MPC_NEED_KINDS && rc == CCZ_OK; k++) {
        struct group *g = &d->of[k];
        g->needs = d->needs + at;
        g->from = d->from + at;
        g->len = of_kind(d->needs + at, d->from + at, needs, len, (enum ccz_mpc_need_kind)k);
        at += g->len;
        if (g->len > 0)
            rc = choose(&g->source, &g->cost, x, g->needs, g->len, err);
    }
    return rc;
}

static ccz_rc mixed_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                         size_t len, struct ccz_err *err)
{
    AUTO_DECISION d = {0};
    ccz_rc rc = decide(&d, self, needs, len, err);
    for (unsigned k = 0; k < CCZ_MPC_NEED_KINDS && rc == CCZ_OK; k++) {
        const struct ccz_mpc_cost *c = &d.of[k].cost;
        out->setup_size += c->setup_size;
        out->size += c->size;
        out->rounds += c->rounds;
        for (unsigned r = 0; r < 2; r++) {
            out->ots[r] += c->ots[r];
            out->distance[r] += c->distance[r];
        }
        out->cpu_s += c->cpu_s;
    }
    return rc;
}

/* The same memory: the items stay the session's. */
static ccz_rc prepare_group(struct ccz_mpc_item *items, const struct group *g, struct ccz_err *err)
{
    struct ccz_mpc_item *some = NULL;
    ccz_rc rc = cczi_mpc_alloc(&some, g->len, sizeof(*some), err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < g->len; i++)
        some[i] = items[g->from[i]];
    rc = cczi_mpc_source_prepare(some, g->source, g->needs, g->len, err);
    free(some);
    return rc;
}

static ccz_rc mixed_prepare(struct ccz_mpc_item *items, void *self,
                            const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    const struct mixed *x = self;
    AUTO_DECISION d = {0};
    ccz_rc rc = decide(&d, x, needs, len, err);
    for (unsigned k = 0; k < CCZ_MPC_NEED_KINDS && rc == CCZ_OK && x->cfg.on_choice; k++)
        if (d.of[k].len > 0)
            x->cfg.on_choice(x->cfg.arg, ccz_mpc_source_name(d.of[k].source),
                             (enum ccz_mpc_need_kind)k, d.of[k].len, &d.of[k].cost);
    for (unsigned k = 0; k < CCZ_MPC_NEED_KINDS && rc == CCZ_OK; k++)
        if (d.of[k].len > 0)
            rc = prepare_group(items, &d.of[k], err);
    return rc;
}

/* Who is asked, what the choice weighs, what is chosen, and how the chosen one goes about it. */
static ccz_rc hash_decision(struct ccz_hasher *h, const struct mixed *x, const struct decision *d,
                            struct ccz_err *err)
{
    ccz_rc rc = ccz_hasher_put(h, CCZ_SPAN(&x->bytes_per_s, sizeof(x->bytes_per_s)));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(&x->cfg.rtt_s, sizeof(x->cfg.rtt_s)));
    for (size_t s = 0; s < x->cfg.len && rc == CCZ_OK; s++) {
        const uint64_t kind = (uint64_t)x->cfg.sources[s]->kind;
        rc = ccz_hasher_put(h, CCZ_SPAN(&kind, sizeof(kind)));
    }
    for (uint64_t k = 0; k < CCZ_MPC_NEED_KINDS && rc == CCZ_OK; k++) {
        const struct group *g = &d->of[k];
        if (g->len == 0)
            continue;
        uint8_t plan[32];
        const uint64_t words[3] = {k, g->len, (uint64_t)g->source->kind};
        rc = cczi_mpc_source_plan(plan, g->source, g->needs, g->len, err);
        if (rc != CCZ_OK)
            return rc;
        rc = ccz_hasher_put(h, CCZ_SPAN(words, sizeof(words)));
        if (rc == CCZ_OK)
            rc = ccz_hasher_put(h, CCZ_SPAN(plan, sizeof(plan)));
    }
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
}

static ccz_rc mixed_plan(uint8_t digest[32], void *self, const struct ccz_mpc_need *needs,
                         size_t len, struct ccz_err *err)
{
    const struct mixed *x = self;
    AUTO_DECISION d = {0};
    CCZ_AUTO(ccz_hasher) h = NULL;
    ccz_rc rc = decide(&d, x, needs, len, err);
    if (rc == CCZ_OK && ccz_hasher_new(&h, CCZ_SHA256) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
    if (rc == CCZ_OK)
        rc = hash_decision(h, x, &d, err);
    if (rc == CCZ_OK && ccz_hasher_done(digest, h) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
    return rc;
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
                                                  .free = mixed_free,
                                                  .plan = mixed_plan};
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
