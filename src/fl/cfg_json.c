/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a server from JSON: one table of members. docs/reference/fl.md lists them. */
#include "fl/fl_priv.h"

#include <cczoo/codec.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum type { T_U64, T_U32, T_SECONDS, T_BOOL, T_FLOAT, T_DOUBLE, T_RULE, T_OPT, T_CODEC };

/* What JSON says in other terms than the structure. */
struct extra {
    double topk; /* share */
    bool seed;
};
struct member {
    const char *group; /* NULL = at the top */
    const char *name;
    enum type type;
    void *to;
    bool *present;
};

static ccz_rc refuse(const struct member *m, const char *expected, struct ccz_err *err)
{
    char got[96];
    (void)snprintf(got, sizeof(got), "another value of %s%s%s", m->group ? m->group : "",
                   m->group ? "." : "", m->name);
    return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", got, expected);
}

static ccz_rc take_int(const struct member *m, const struct ccz_json *v, struct ccz_err *err)
{
    int64_t n;
    if (!ccz_json_int(&n, v) || n < 0 || (m->type == T_U32 && n > UINT32_MAX) ||
        (m->type == T_SECONDS && n > INT64_MAX / 1000))
        return refuse(m, "a whole number that is not negative", err);
    if (m->type == T_U32)
        *(uint32_t *)m->to = (uint32_t)n;
    else if (m->type == T_SECONDS)
        *(int64_t *)m->to = n * 1000;
    else
        *(uint64_t *)m->to = (uint64_t)n;
    return CCZ_OK;
}

static ccz_rc take_name(const struct member *m, const struct ccz_json *v, struct ccz_err *err)
{
    const char *s = ccz_json_str(v) ? ccz_json_str(v) : "";
    if (m->type == T_RULE) {
        enum ccz_fl_rule rule = ccz_fl_rule_from(s);
        if (rule == CCZ_FL_RULES)
            return refuse(m, "mean, median, trimmed or krum", err);
        *(enum ccz_fl_rule *)m->to = rule;
    } else if (m->type == T_OPT) {
        enum ccz_agg_opt_kind kind = ccz_agg_opt_from(s);
        if (kind == CCZ_AGG_OPT_KINDS)
            return refuse(m, "fedavg, fedavgm, fedadagrad, fedadam or fedyogi", err);
        *(struct ccz_agg_opt_cfg *)m->to = ccz_agg_opt_defaults(kind);
    } else {
        enum ccz_agg_codec_kind kind = ccz_agg_codec_from(s);
        if (kind == CCZ_AGG_CODECS)
            return refuse(m, "f32, f16, bf16, int8 or topk", err);
        *(enum ccz_agg_codec_kind *)m->to = kind;
    }
    return CCZ_OK;
}

static ccz_rc take(const struct member *m, const struct ccz_json *v, struct ccz_err *err)
{
    double d;
    if (m->present)
        *m->present = true;
    switch (m->type) {
    case T_U64:
    case T_U32:
    case T_SECONDS:
        return take_int(m, v, err);
    case T_BOOL:
        return ccz_json_bool(m->to, v) ? CCZ_OK : refuse(m, "true or false", err);
    case T_FLOAT:
    case T_DOUBLE:
        if (!ccz_json_real(&d, v))
            return refuse(m, "a number", err);
        if (m->type == T_FLOAT)
            *(float *)m->to = (float)d;
        else
            *(double *)m->to = d;
        return CCZ_OK;
    default:
        return take_name(m, v, err);
    }
}

/* A name of a group, or a member; anything else is a misspelling that would silently change nothing. */
static ccz_rc check_names(const struct ccz_json *root, const char *group,
                          const struct member *members, size_t len, struct ccz_err *err)
{
    const char *key = NULL;
    const struct ccz_json *v;
    const struct ccz_json *object = group ? ccz_json_get(root, group) : root;
    while ((v = ccz_json_next(&key, object))) {
        bool known = false;
        for (size_t i = 0; i < len && !known; i++) {
            const struct member *m = &members[i];
            bool here = group ? m->group && strcmp(m->group, group) == 0 : !m->group;
            known = here && strcmp(m->name, key) == 0;
            if (!group && m->group && strcmp(m->group, key) == 0) {
                known = true;
                if (ccz_json_type(v) != CCZ_JSON_OBJECT)
                    return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", key, "an object");
            }
        }
        if (!known) {
            char name[96];
            ccz_escape(name, sizeof(name), ccz_span_str(key));
            return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-name", name,
                              "a setting of docs/reference/fl.md");
        }
    }
    return CCZ_OK;
}

static ccz_rc apply(const struct ccz_json *root, const struct member *members, size_t len,
                    struct ccz_err *err)
{
    static const char *const groups[] = {NULL,    "train",  "aggregate", "codec",
                                         "async", "secagg", "dp"};
    if (ccz_json_type(root) != CCZ_JSON_OBJECT)
        return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", "no object", "an object");
    ccz_rc rc = CCZ_OK;
    for (size_t g = 0; rc == CCZ_OK && g < sizeof(groups) / sizeof(groups[0]); g++)
        rc = check_names(root, groups[g], members, len, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        const struct member *m = &members[i];
        const struct ccz_json *v =
            ccz_json_get(m->group ? ccz_json_get(root, m->group) : root, m->name);
        if (v)
            rc = take(m, v, err);
    }
    return rc;
}

static ccz_rc finish(struct ccz_fl_server_cfg *c, const struct extra *x, uint64_t len,
                     struct ccz_err *err)
{
    c->seeded |= x->seed;
    if (c->agg.codec.kind != CCZ_AGG_TOPK)
        return CCZ_OK;
    if (!(x->topk > 0 && x->topk <= 1))
        return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-value", "codec.topk",
                          "a share above 0, at most 1");
    double n = ceil(x->topk * (double)len);
    c->agg.codec.topk = n < 1 ? 1 : n > (double)len ? len : (uint64_t)n;
    return CCZ_OK;
}

enum { MEMBERS_MAX = 64 };

static size_t settings(struct member *out, struct ccz_fl_server_cfg *c, struct extra *x)
{
    const struct member members[] = {
        {NULL, "rounds", T_U64, &c->rounds, NULL},
        {NULL, "members_min", T_U32, &c->members_min, NULL},
        {NULL, "members_max", T_U32, &c->members_max, NULL},
        {NULL, "sample", T_U32, &c->sample_len, NULL},
        {NULL, "quorum", T_U32, &c->quorum, NULL},
        {NULL, "round_timeout_s", T_SECONDS, &c->round_timeout_ms, NULL},
        {NULL, "stall_s", T_SECONDS, &c->stall_ms, NULL},
        {NULL, "attempts", T_U32, &c->attempts_max, NULL},
        {NULL, "strikes", T_U32, &c->strikes_max, NULL},
        {NULL, "seed", T_U64, &c->seed, &x->seed},
        {NULL, "eval_every", T_U32, &c->eval_every, NULL},
        {NULL, "norm_max", T_DOUBLE, &c->norm_max, NULL},
        {NULL, "samples_max", T_U64, &c->samples_max, NULL},
        {NULL, "slots", T_U32, &c->slots, NULL},
        {NULL, "threads", T_U32, &c->threads, NULL},
        {"train", "epochs", T_U32, &c->train.epochs, NULL},
        {"train", "batch", T_U32, &c->train.batch, NULL},
        {"train", "lr", T_FLOAT, &c->train.lr, NULL},
        {"train", "lr_decay", T_DOUBLE, &c->lr_decay, NULL},
        {"train", "momentum", T_FLOAT, &c->train.momentum, NULL},
        {"train", "prox_mu", T_FLOAT, &c->train.prox_mu, NULL},
        {"aggregate", "rule", T_RULE, &c->agg.rule, NULL},
        {"aggregate", "trim", T_DOUBLE, &c->agg.trim, NULL},
        {"aggregate", "byzantine", T_U32, &c->agg.byzantine, NULL},
        {"aggregate", "krum_keep", T_U32, &c->agg.krum_keep, NULL},
        {"aggregate", "equal_weights", T_BOOL, &c->agg.equal_weights, NULL},
        {"aggregate", "scaffold", T_BOOL, &c->agg.scaffold, NULL},
        {"aggregate", "optimizer", T_OPT, &c->agg.opt, NULL}, /* before its settings */
        {"aggregate", "lr", T_FLOAT, &c->agg.opt.lr, NULL},
        {"aggregate", "beta1", T_FLOAT, &c->agg.opt.beta1, NULL},
        {"aggregate", "beta2", T_FLOAT, &c->agg.opt.beta2, NULL},
        {"aggregate", "tau", T_FLOAT, &c->agg.opt.tau, NULL},
        {"codec", "kind", T_CODEC, &c->agg.codec.kind, NULL},
        {"codec", "block", T_U32, &c->agg.codec.block, NULL},
        {"codec", "topk", T_DOUBLE, &x->topk, NULL},
        {"secagg", "on", T_BOOL, &c->privacy.secagg, NULL},
        {"secagg", "degree", T_U32, &c->privacy.degree, NULL},
        {"secagg", "threshold", T_U32, &c->privacy.threshold, NULL},
        {"secagg", "range", T_FLOAT, &c->privacy.range, NULL},
        {"dp", "clip", T_DOUBLE, &c->privacy.clip, NULL},
        {"dp", "multiplier", T_DOUBLE, &c->privacy.multiplier, NULL},
        {"dp", "delta", T_DOUBLE, &c->privacy.delta, NULL},
        {"dp", "noise_at_members", T_BOOL, &c->privacy.noise_at_members, NULL},
        {"dp", "adaptive_rate", T_DOUBLE, &c->privacy.adaptive_rate, NULL},
        {"dp", "adaptive_quantile", T_DOUBLE, &c->privacy.adaptive_quantile, NULL},
        {"dp", "adaptive_sigma", T_DOUBLE, &c->privacy.adaptive_sigma, NULL},
        {"async", "buffer", T_U32, &c->buffer_len, NULL},
        {"async", "staleness_max", T_U32, &c->staleness_max, NULL},
    };
    static_assert(sizeof(members) / sizeof(members[0]) <= MEMBERS_MAX, "room for all settings");
    memcpy(out, members, sizeof(members));
    return sizeof(members) / sizeof(members[0]);
}

ccz_rc ccz_fl_server_cfg_parse(struct ccz_fl_server_cfg *cfg, struct ccz_span json, uint64_t len,
                               struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) root = NULL;
    struct ccz_fl_server_cfg c = *cfg;
    struct extra x = {.topk = 0.01};
    struct member members[MEMBERS_MAX];
    const size_t members_len = settings(members, &c, &x);
    if (c.agg.opt.lr == 0)
        c.agg.opt = ccz_agg_opt_defaults(c.agg.opt.kind);
    ccz_rc rc = ccz_json_parse(&root, json, err);
    if (rc == CCZ_OK)
        rc = apply(root, members, members_len, err);
    if (rc == CCZ_OK)
        rc = finish(&c, &x, len, err);
    if (rc == CCZ_OK)
        *cfg = c;
    return rc;
}
