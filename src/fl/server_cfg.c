/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: defaults, contradictions, what of it defines a training; and a server made of it. */
#define _DEFAULT_SOURCE
#include "fl/server_private.h"

#include "base/condwait.h"
#include <cczoo/parallel.h>

#include <cczoo/codec.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER_MS (INT64_MAX / 4) /* longer times would wrap where they are added up */

enum { MEMBERS_DEFAULT = 1024, STALL_MS = 30000, STRIKES = 3, STALENESS = 16, SLOTS_MAX = 256 };

static ccz_rc contradicts(struct ccz_err *err, const char *where, const char *text)
{
    return ccz_fail(err, CCZ_E_ARG, where, 0, "%s", text);
}

static void fill_defaults(struct ccz_fl_server_cfg *c)
{
    c->members_min = c->members_min ? c->members_min : 1;
    c->members_max = c->members_max ? c->members_max : MEMBERS_DEFAULT;
    c->stall_ms = c->stall_ms ? c->stall_ms : STALL_MS;
    c->stall_ms = c->stall_ms < FOREVER_MS ? c->stall_ms : FOREVER_MS;
    c->round_timeout_ms = c->round_timeout_ms < FOREVER_MS ? c->round_timeout_ms : FOREVER_MS;
    c->strikes_max = c->strikes_max ? c->strikes_max : STRIKES;
    c->samples_max = c->samples_max ? c->samples_max : UINT64_C(1) << 32;
    c->staleness_max = c->staleness_max ? c->staleness_max : STALENESS;
    c->slots = c->slots ? c->slots : 1;
    c->threads = c->threads ? c->threads : ccz_processors();
    c->lr_decay = c->lr_decay != 0 ? c->lr_decay : 1;
    c->train.epochs = c->train.epochs ? c->train.epochs : 1;
    c->train.batch = c->train.batch ? c->train.batch : 32;
    c->train.lr = c->train.lr != 0 ? c->train.lr : 0.01F;
    c->agg.krum_keep = c->agg.krum_keep ? c->agg.krum_keep : 1;
    if (c->agg.opt.lr == 0)
        c->agg.opt = ccz_agg_opt_defaults(c->agg.opt.kind);
    if (c->agg.codec.kind == CCZ_AGG_INT8 && c->agg.codec.block == 0)
        c->agg.codec.block = CCZ_AGG_BLOCK_DEFAULT;
}

static ccz_rc check_members(const struct ccz_fl_server_cfg *c, struct ccz_err *err)
{
    if (c->members_max > CCZ_FL_MEMBERS_MAX || c->members_min > c->members_max)
        return contradicts(err, "fl:cfg-members", "members_min or members_max is out of range");
    if (c->sample_len > c->members_max || (c->sample_len && c->quorum > c->sample_len) ||
        c->quorum > c->members_max)
        return contradicts(err, "fl:cfg-quorum", "more updates are needed than there can be");
    if (c->slots > SLOTS_MAX)
        return contradicts(err, "fl:cfg-slots", "too many slots");
    if (c->threads > CCZ_THREADS_MAX)
        return contradicts(err, "fl:cfg-threads", "too many threads");
    if (c->round_timeout_ms < 0 || c->stall_ms < 0)
        return contradicts(err, "fl:cfg-time", "a time is negative");
    if (!(c->norm_max >= 0) || !isfinite(c->norm_max))
        return contradicts(err, "fl:cfg-norm", "norm_max is no bound");
    return CCZ_OK;
}

static ccz_rc check_train(const struct ccz_fl_train_cfg *t, const struct ccz_fl_server_cfg *c,
                          struct ccz_err *err)
{
    bool good = t->lr > 0 && isfinite(t->lr) && t->momentum >= 0 && t->momentum < 1 &&
                t->prox_mu >= 0 && isfinite(t->prox_mu) && c->lr_decay > 0 && c->lr_decay <= 1;
    return good ? CCZ_OK
                : contradicts(err, "fl:cfg-train",
                              "lr, momentum, prox_mu or lr_decay is out of its range");
}

static ccz_rc check_agg(const struct ccz_fl_server_cfg *c, struct ccz_err *err)
{
    const struct ccz_fl_agg_cfg *a = &c->agg;
    if (a->rule >= CCZ_FL_RULES)
        return contradicts(err, "fl:cfg-rule", "no such rule");
    if (a->rule == CCZ_FL_TRIMMED ? !(a->trim > 0 && a->trim < 0.5) : a->trim != 0)
        return contradicts(err, "fl:cfg-trim", "trim must be above 0 and below 0.5 for that rule");
    bool krum = a->rule == CCZ_FL_KRUM;
    if (krum ? c->quorum < 2 * (uint64_t)a->byzantine + 3 || a->krum_keep > c->quorum - a->byzantine
             : a->byzantine != 0)
        return contradicts(err, "fl:cfg-krum",
                           "krum needs a quorum of 2 byzantine + 3, and keeps at most the others");
    if (a->rule != CCZ_FL_MEAN &&
        (c->sample_len ? c->sample_len : c->members_max) > CCZ_AGG_ROWS_MAX)
        return contradicts(err, "fl:cfg-rule", "robust rules take at most 1024 updates");
    if (a->rule != CCZ_FL_MEAN && c->buffer_len)
        return contradicts(err, "fl:cfg-rule", "asynchronous rounds have the mean only");
    if (a->scaffold && (a->rule != CCZ_FL_MEAN || a->codec.kind != CCZ_AGG_F32 ||
                        a->opt.kind != CCZ_AGG_FEDAVG || c->buffer_len))
        return contradicts(err, "fl:cfg-scaffold",
                           "scaffold goes with mean, fedavg and f32, in synchronous rounds");
    if (c->spill_dir && c->buffer_len)
        return contradicts(err, "fl:cfg-spill", "asynchronous rounds always need their model");
    if (c->buffer_len && c->quorum)
        return contradicts(err, "fl:cfg-quorum", "asynchronous rounds have no quorum");
    return CCZ_OK;
}

ccz_rc cczi_hfl_cfg_check(struct ccz_fl_server_cfg *c, uint64_t *update_size, struct ccz_err *err)
{
    *update_size = 0;
    if (!c->layout || c->rounds == 0 || c->rounds > (uint64_t)1 << 40)
        return contradicts(err, "fl:cfg-rounds", "a layout and rounds are needed");
    fill_defaults(c);
    ccz_rc rc = check_members(c, err);
    if (rc == CCZ_OK)
        rc = check_train(&c->train, c, err);
    if (rc == CCZ_OK)
        rc = check_agg(c, err);
    if (rc == CCZ_OK)
        rc = ccz_agg_codec_size(update_size, &c->agg.codec, (size_t)c->layout->len, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_private_check(c, err);
    if (rc == CCZ_OK && c->privacy.secagg)
        *update_size = (c->layout->len + CCZI_HFL_TAIL) * sizeof(uint32_t);
    if (rc == CCZ_OK && c->sign_key && ccz_key_curve(c->sign_key) != CCZ_P256)
        rc = contradicts(err, "fl:cfg-key", "models are signed by keys of P-256");
    return rc;
}

/* Two servers with the same text and first model, seed and members make the same models. */
ccz_rc cczi_hfl_cfg_digest(uint8_t out[CCZ_FL_DIGEST_SIZE], const struct ccz_fl_server_cfg *c,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF t;
    const struct ccz_fl_agg_cfg *a = &c->agg;
    ccz_buf_init(&t, 4096);
    ccz_buf_put_str(&t, "cczoo fl config 1\n");
    ccz_buf_put(&t, c->layout->digest, sizeof(c->layout->digest));
    ccz_buf_printf(&t, "train %u %u %a %a %a %a\n", c->train.epochs, c->train.batch,
                   (double)c->train.lr, (double)c->train.momentum, (double)c->train.prox_mu,
                   c->lr_decay);
    ccz_buf_printf(&t, "rule %d %a %u %u %d %d\n", a->rule, a->trim, a->byzantine, a->krum_keep,
                   a->equal_weights, a->scaffold);
    ccz_buf_printf(&t, "opt %d %a %a %a %a\n", a->opt.kind, (double)a->opt.lr, (double)a->opt.beta1,
                   (double)a->opt.beta2, (double)a->opt.tau);
    ccz_buf_printf(&t, "codec %d %u %llu\n", a->codec.kind, a->codec.block,
                   (unsigned long long)a->codec.topk);
    ccz_buf_printf(&t, "async %u %u\n", c->buffer_len, c->buffer_len ? c->staleness_max : 0);
    const struct ccz_fl_privacy *p = &c->privacy;
    ccz_buf_printf(&t, "privacy %d %a %a %a %d %a %a %a\n", p->secagg, (double)p->range, p->clip,
                   p->multiplier, p->noise_at_members, p->adaptive_rate, p->adaptive_quantile,
                   p->adaptive_sigma);
    ccz_buf_printf(&t, "seed %d %llu\n", c->seeded, c->seeded ? (unsigned long long)c->seed : 0ULL);
    if (t.bad)
        return cczi_hfl_no_memory(err);
    ccz_rc rc = ccz_sha256(out, ccz_buf_span(&t));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "fl:hash", 0, "hashing failed");
}

static ccz_rc make_vectors(struct ccz_fl_server *s, struct ccz_err *err)
{
    uint64_t len = s->layout->len;
    s->params = cczi_hfl_vector(len);
    s->acc = cczi_hfl_vector(len);
    s->slots = calloc(s->cfg.slots, sizeof(*s->slots));
    bool good = s->params && s->acc && s->slots;
    if (s->cfg.agg.scaffold) {
        s->variate = cczi_hfl_vector(len);
        s->acc_variate = cczi_hfl_vector(len);
        good = good && s->variate && s->acc_variate;
    }
    if (s->cfg.buffer_len) {
        s->past = calloc((size_t)s->cfg.staleness_max + 1, sizeof(*s->past));
        good = good && s->past;
    }
    if (!good)
        return cczi_hfl_no_memory(err);
    for (uint32_t i = 0; i < s->cfg.slots; i++) {
        ccz_rc rc = ccz_agg_dec_new(&s->slots[i].dec, &s->cfg.agg.codec, (size_t)len, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return ccz_agg_opt_new(&s->opt, &s->cfg.agg.opt, (size_t)len, err);
}

ccz_rc cczi_hfl_server_make(struct ccz_fl_server **out, const struct ccz_fl_server_cfg *cfg,
                            struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_fl_server) s = calloc(1, sizeof(*s));
    if (!s)
        return cczi_hfl_no_memory(err);
    pthread_mutex_init(&s->lock, NULL);
    cczi_cond_init(&s->quiet);
    s->cfg = *cfg;
    s->offered_tail = &s->offered;
    s->deadline_ms = INT64_MAX;
    ccz_rc rc = cczi_hfl_cfg_check(&s->cfg, &s->update_size, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_cfg_digest(s->config, &s->cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_copy(&s->layout, cfg->layout, err);
    if (rc != CCZ_OK)
        return rc;
    s->cfg.layout = s->layout;
    s->seed = s->cfg.seed;
    rc = ccz_random(s->run, sizeof(s->run));
    if (rc == CCZ_OK && !s->cfg.seeded)
        rc = ccz_random(&s->seed, sizeof(s->seed));
    if (rc == CCZ_OK && cfg->sign_key)
        rc = ccz_key_xy(s->key, cfg->sign_key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "fl:random", 0, "no randomness, or no key");
    rc = make_vectors(s, err);
    if (rc == CCZ_OK && cfg->spill_dir)
        rc = cczi_hfl_spill_new(&s->spill, cfg->spill_dir, s->layout->len * sizeof(float), err);
    s->cfg.spill_dir = NULL;
    if (rc == CCZ_OK)
        rc = cczi_hfl_private_new(s, err);
    if (rc == CCZ_OK)
        *out = ccz_fl_server_take(&s);
    return rc;
}
