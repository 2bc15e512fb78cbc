/* SPDX-License-Identifier: Apache-2.0 */
/* Secure aggregation and differential privacy within the server's rounds; the phases that they add: server_round.c. */
#include "fl/server_private.h"

#include <cczoo/parallel.h>

#include <cczoo/codec.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADROOM = 8 }; /* standard deviations of noise for which a sum has room */
#define DELTA_DEFAULT 1e-5

/* ------------------------------------------------------------------------------ configuration */

static ccz_rc contradicts(struct ccz_err *err, const char *text)
{
    return ccz_fail(err, CCZ_E_ARG, "fl:cfg-privacy", 0, "%s", text);
}

static bool adaptive(const struct ccz_fl_server_cfg *c)
{
    return c->privacy.adaptive_rate > 0;
}

static ccz_rc check_dp(const struct ccz_fl_server_cfg *c, struct ccz_err *err)
{
    const struct ccz_fl_privacy *p = &c->privacy;
    if (!(p->clip >= 0) || !isfinite(p->clip) || !(p->multiplier >= 0) ||
        !isfinite(p->multiplier) || !(p->delta >= 0) || !(p->delta < 1) || !(p->adaptive_rate >= 0))
        return contradicts(err, "clip, multiplier, delta or adaptive_rate is out of its range");
    if (p->multiplier > 0 && !(p->clip > 0))
        return contradicts(err, "noise needs a clip");
    if (p->multiplier > 0 && !c->agg.equal_weights)
        return contradicts(err, "with noise all updates weigh the same: set equal_weights");
    if (p->noise_at_members && !p->secagg)
        return contradicts(err, "noise of members is too little by itself: it needs secagg");
    if (p->noise_at_members && c->quorum == 0)
        return contradicts(err, "noise of members needs a quorum: those who add it for certain");
    if (adaptive(c) && !(p->multiplier > 0))
        return contradicts(err, "an adaptive clip needs noise");
    return CCZ_OK;
}

ccz_rc cczi_hfl_private_check(const struct ccz_fl_server_cfg *c, struct ccz_err *err)
{
    const struct ccz_fl_privacy *p = &c->privacy;
    bool plain_sum = c->agg.rule == CCZ_FL_MEAN && !c->agg.scaffold && !c->buffer_len;
    if ((p->secagg || p->clip > 0) && !plain_sum)
        return contradicts(err,
                           "secagg and clip go with mean, without scaffold, in synchronous rounds");
    if (p->secagg && (c->agg.codec.kind != CCZ_AGG_F32 || c->norm_max > 0))
        return contradicts(err, "with secagg, no codec, and no norm_max: nobody sees an update");
    if (p->secagg && !(p->range > 0) && !(p->clip > 0))
        return contradicts(err, "secagg needs a range of values, or a clip");
    if (p->secagg && (!(p->range >= 0) || !isfinite(p->range)))
        return contradicts(err, "the range is no number");
    if (p->secagg && c->samples_max > (uint64_t)1 << 24 && !c->agg.equal_weights)
        return contradicts(err, "secagg with weights needs samples_max, at most 2^24");
    if (p->roster && (!p->secagg || p->degree || p->roster_len < 3))
        return contradicts(err, "a roster goes with secagg on the complete graph, of 3 or more");
    if (!p->secagg && (p->degree || p->threshold || p->range > 0))
        return contradicts(err, "degree, threshold and range are of secagg");
    return check_dp(c, err);
}

ccz_rc cczi_hfl_private_new(struct ccz_fl_server *s, struct ccz_err *err)
{
    const struct ccz_fl_privacy *c = &s->cfg.privacy;
    if (!c->secagg && !(c->clip > 0))
        return CCZ_OK;
    struct hfl_private *p = s->private = calloc(1, sizeof(*p));
    if (!p)
        return cczi_hfl_no_memory(err);
    p->adaptive =
        (struct ccz_dp_adaptive){.clip = c->clip,
                                 .quantile = c->adaptive_quantile > 0 ? c->adaptive_quantile : 0.5,
                                 .rate = c->adaptive_rate,
                                 .count_sigma = c->adaptive_sigma};
    return c->multiplier > 0 ? ccz_dp_rng_new(&p->rng, NULL, err) : CCZ_OK;
}

void cczi_hfl_private_free(struct ccz_fl_server *s)
{
    if (!s->private)
        return;
    ccz_secagg_server_free(s->private->secagg);
    free(s->private->roster);
    ccz_dp_rng_free(s->private->rng);
    free(s->private);
    s->private = NULL;
}

/* ------------------------------------------------------------------------------- plan of a round */

/* Sampled members are those that nobody could guess; else there is nothing to be gained. */
static bool amplified(const struct ccz_fl_server *s)
{
    return !s->cfg.seeded && s->private->rate < 1;
}

static double sensitivity(const struct ccz_fl_server *s)
{
    return s->private->adaptive.clip * (amplified(s) ? 2 : 1);
}

/* Multiplier of the vectors; the adaptive clip's bits spend a part of it. */
static ccz_rc vector_multiplier(double *z, const struct ccz_fl_server *s, struct ccz_err *err)
{
    *z = s->cfg.privacy.multiplier;
    return adaptive(&s->cfg) ? ccz_dp_adaptive_multiplier(z, *z, &s->private->adaptive, err)
                             : CCZ_OK;
}

static ccz_rc shared_sigma(uint32_t *sigma, const struct ccz_fl_server *s, uint32_t contributors,
                           struct ccz_err *err)
{
    const struct cczi_hfl_plan *plan = &s->private->plan;
    struct ccz_dp_shared d = {.sensitivity = sensitivity(s),
                              .step = ccz_secagg_quant_step(&plan->quant),
                              .len = s->layout->len,
                              .contributors = contributors};
    ccz_rc rc = vector_multiplier(&d.multiplier, s, err);
    return rc == CCZ_OK ? ccz_dp_shared_sigma(sigma, &d, err) : rc;
}

/* Shares are opened by those who are left, at least `quorum` of `n`. */
static ccz_rc choose_graph(struct ccz_secagg_cfg *c, const struct ccz_fl_privacy *p,
                           struct ccz_err *err)
{
    struct ccz_secagg_choice choice;
    uint32_t n = c->members, lost = n - c->quorum, corrupt = n / 10 + 1;
    c->degree = p->degree;
    c->threshold = p->threshold;
    if (p->degree || p->threshold)
        return CCZ_OK;
    if (!p->roster && n > 32 &&
        ccz_secagg_choose(&choice, n, corrupt, lost, 0, 0, NULL) == CCZ_OK &&
        choice.degree < n - 1) {
        c->degree = choice.degree;
        c->threshold = choice.threshold;
        return CCZ_OK;
    }
    uint32_t of = p->roster ? n : n - 1, usual = 2 * of / 3 + 1, most = c->quorum - 1;
    c->threshold = usual < most ? usual : most;
    if (c->threshold > of / 2)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "fl:cfg-privacy", c->quorum,
                    "a quorum of %u of %u is too small for secagg: more than half must stay",
                    c->quorum, n);
}

static ccz_rc make_plan(struct ccz_fl_server *s, struct ccz_err *err)
{
    struct hfl_private *p = s->private;
    const struct ccz_fl_privacy *c = &s->cfg.privacy;
    struct cczi_hfl_plan *plan = &p->plan;
    uint32_t n = (uint32_t)s->seats_len;
    double room = n + 1 + ceil(HEADROOM * c->multiplier);
    if (n < 3)
        return ccz_fail(err, CCZ_E_ARG, "fl:cfg-privacy", n,
                        "secagg needs at least 3 members in a round: set members_min");
    *plan = (struct cczi_hfl_plan){
        .secagg = {.members = n,
                   .quorum = cczi_hfl_quorum(s) < 2 ? 2 : cczi_hfl_quorum(s),
                   .attested_server = !c->roster,
                   .len = s->layout->len + CCZI_HFL_TAIL,
                   .round = s->round + 1},
        .quant = {(float)(c->range > 0 ? c->range : p->adaptive.clip), (uint32_t)room},
        .samples_max = s->cfg.agg.equal_weights ? 0 : s->cfg.samples_max,
        .clip = p->adaptive.clip};
    ccz_rc rc = ccz_random(plan->secagg.session, sizeof(plan->secagg.session));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "fl:random", 0, "no randomness");
    rc = choose_graph(&plan->secagg, c, err);
    if (rc == CCZ_OK && c->noise_at_members && c->multiplier > 0)
        rc = shared_sigma(&plan->sigma, s, s->cfg.quorum, err);
    return rc;
}

/* Keys of the round's members; all of them are in the roster. */
static ccz_rc take_roster(struct ccz_fl_server *s, struct ccz_err *err)
{
    const struct ccz_fl_privacy *c = &s->cfg.privacy;
    free(s->private->roster);
    s->private->roster = NULL;
    if (!c->roster)
        return CCZ_OK;
    uint8_t(*keys)[CCZ_SECAGG_ID_SIZE] = calloc(s->seats_len, sizeof(*keys));
    if (!keys)
        return cczi_hfl_no_memory(err);
    for (size_t i = 0; i < s->seats_len; i++) {
        const char *name = s->members[s->seats[i]]->name;
        const struct ccz_fl_identity *known =
            cczi_hfl_identity(c->roster, c->roster_len, name, strlen(name));
        memcpy(keys[i], known->xy, sizeof(keys[i]));
    }
    s->private->roster = keys;
    return CCZ_OK;
}

static void put_plan(struct ccz_buf *out, struct ccz_fl_server *s, const struct hfl_member *m)
{
    CCZ_AUTO_BUF names;
    ccz_buf_init(&names, CCZ_FL_CHUNK_SIZE);
    for (size_t i = 0; s->private->roster && i < s->seats_len; i++) {
        const char *name = s->members[s->seats[i]]->name;
        ccz_buf_u8(&names, (uint8_t)strlen(name));
        ccz_buf_put_str(&names, name);
    }
    struct cczi_hfl_plan plan = s->private->plan;
    plan.self = m->number;
    plan.names = ccz_buf_span(&names);
    cczi_hfl_plan_put(out, &plan);
    out->bad |= names.bad;
}

ccz_rc cczi_hfl_private_begin_locked(struct ccz_fl_server *s, uint32_t eligible,
                                     struct ccz_err *err)
{
    struct hfl_private *p = s->private;
    if (!p)
        return CCZ_OK;
    p->rate = eligible ? (double)s->seats_len / eligible : 1;
    p->below = 0;
    memset(p->tail, 0, sizeof(p->tail));
    s->rec.clip = p->adaptive.clip;
    if (!cczi_hfl_secagg(s))
        return CCZ_OK;
    ccz_secagg_server_free(p->secagg);
    p->secagg = NULL;
    ccz_rc rc = make_plan(s, err);
    if (rc == CCZ_OK)
        rc = take_roster(s, err);
    if (rc == CCZ_OK)
        rc = ccz_secagg_server_new(&p->secagg, &p->plan.secagg,
                                   (const uint8_t(*)[CCZ_SECAGG_ID_SIZE])p->roster, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->seats_len; i++) {
        struct hfl_member *m = s->members[s->seats[i]];
        m->number = (uint32_t)i;
        m->private_due = true;
        m->keyless = false;
        cczi_hfl_wake_locked(s, m);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------- messages */

bool cczi_hfl_private_waits(const struct ccz_fl_server *s, const struct hfl_member *m)
{
    const struct hfl_private *p = s->private;
    bool seated = m->number < s->seats_len && s->seats[m->number] == m->id;
    return p && p->secagg && seated && !m->keyless && ccz_secagg_server_waits(p->secagg, m->number);
}

uint32_t cczi_hfl_private_pending(const struct ccz_fl_server *s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s->seats_len; i++) {
        const struct hfl_member *m = s->members[s->seats[i]];
        n += m->link == HFL_HERE && m->seat != HFL_NO_SEAT && cczi_hfl_private_waits(s, m);
    }
    return n;
}

ccz_rc cczi_hfl_private_next_locked(struct ccz_fl_server *s, struct ccz_err *err)
{
    ccz_rc rc = ccz_secagg_server_next(s->private->secagg, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->seats_len; i++) {
        struct hfl_member *m = s->members[s->seats[i]];
        bool lost = m->link != HFL_HERE || m->seat == HFL_NO_SEAT;
        m->private_due = !lost && cczi_hfl_private_waits(s, m);
        if (m->private_due)
            cczi_hfl_wake_locked(s, m);
    }
    return rc;
}

void cczi_hfl_private_put_locked(struct ccz_buf *out, struct ccz_fl_server *s, struct hfl_member *m)
{
    struct hfl_private *p = s->private;
    struct ccz_err err;
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_FL_CHUNK_SIZE);
    bool plan = ccz_secagg_server_phase(p->secagg) == CCZ_SECAGG_KEYS;
    if (plan) {
        put_plan(&body, s, m);
    } else if (ccz_secagg_server_output(&body, p->secagg, m->number, &err) != CCZ_OK) {
        body.bad = true;
    }
    out->bad |= body.bad;
    cczi_hfl_msg_put(
        out, &(struct cczi_hfl_msg){.kind = CCZI_HFL_PRIVATE,
                                    .secret = {.round = s->round + 1,
                                               .phase = plan ? CCZI_HFL_PLAN : CCZI_HFL_STEP,
                                               .body = ccz_buf_span(&body)}});
    s->rec.private_size += out->size;
}

ccz_rc cczi_hfl_on_private_locked(struct ccz_fl_server *s, struct hfl_member *m,
                                  const struct cczi_hfl_private *in, struct ccz_err *err)
{
    struct ccz_err late = {0};
    if (!s->private || !s->private->secagg || in->phase != CCZI_HFL_STEP)
        return cczi_hfl_disorder(CCZI_HFL_PRIVATE, "a plan before it", err);
    if (!cczi_hfl_private_waits(s, m) || m->private_due)
        return CCZ_OK; /* of a phase that is over: it was on its way */
    ccz_rc rc = ccz_secagg_server_input(s->private->secagg, m->number, in->body, &late);
    if (rc == CCZ_OK) {
        s->rec.private_size += in->body.size;
        return CCZ_OK;
    }
    if (rc == CCZ_E_MISMATCH) { /* of an attempt that was given up, or of another roster */
        if (s->cfg.hooks.on_refusal)
            s->cfg.hooks.on_refusal(s->cfg.hooks.arg, m->name, s->round + 1, &late);
        return CCZ_OK;
    }
    if (err)
        *err = late;
    return rc;
}

/* ---------------------------------------------------------------------------------------- updates */

void cczi_hfl_private_fold(struct ccz_fl_server *s, const struct hfl_slot *slot, bool first)
{
    size_t len = (size_t)s->layout->len;
    struct hfl_private *p = s->private;
    uint32_t *acc = (uint32_t *)(void *)s->acc, tail[CCZI_HFL_TAIL];
    if (first) {
        memset(acc, 0, len * sizeof(*acc));
        memset(p->tail, 0, sizeof(p->tail));
    }
    memcpy(tail, slot->bytes + len * sizeof(*acc), sizeof(tail));
    ccz_secagg_add(acc, (const uint32_t *)(const void *)slot->bytes, len);
    ccz_secagg_add(p->tail, tail, CCZI_HFL_TAIL);
}

float cczi_hfl_private_weight(const struct ccz_fl_server *s, float weight, double norm)
{
    double clip = s->private && !cczi_hfl_secagg(s) ? s->private->adaptive.clip : 0;
    return clip > 0 && norm > clip ? weight * (float)(clip * (1 - 0x1p-20) / norm) : weight;
}

void cczi_hfl_private_folded_locked(struct ccz_fl_server *s, const struct hfl_member *m,
                                    double norm)
{
    struct ccz_err ignored; /* it can only be a member that is not due any more */
    struct hfl_private *p = s->private;
    if (p && cczi_hfl_secagg(s))
        (void)!ccz_secagg_server_uploaded(p->secagg, m->number, &ignored);
    else if (p)
        p->below += norm <= p->adaptive.clip;
}

enum { UNMASK_GRAIN = 4096 }; /* numbers, what secagg works on at a time */

/* Masks off from some of the numbers. Integers: it does not matter which thread has which, and in what order. */
static ccz_rc unmask_range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct ccz_fl_server *s = arg;
    return ccz_secagg_server_unmask((uint32_t *)(void *)s->acc + from, s->private->secagg, from,
                                    len, err);
}

/* Of the integers: masks off, noise on, back to real numbers. */
static ccz_rc open_masked(struct ccz_fl_server *s, struct ccz_err *err)
{
    struct hfl_private *p = s->private;
    size_t len = (size_t)s->layout->len;
    uint32_t *acc = (uint32_t *)(void *)s->acc, sigma = 0;
    const struct ccz_secagg_quant unit = {1, p->plan.quant.clients};
    float tail[CCZI_HFL_TAIL];
    ccz_rc rc = ccz_parallel(unmask_range, s, len, UNMASK_GRAIN, s->cfg.threads, err);
    if (rc == CCZ_OK)
        rc = ccz_secagg_server_unmask(p->tail, p->secagg, len, CCZI_HFL_TAIL, err);
    if (rc == CCZ_OK && p->rng && !p->plan.sigma)
        rc = shared_sigma(&sigma, s, 1, err);
    if (rc == CCZ_OK && sigma)
        rc = ccz_dp_add_noise_int(acc, p->rng, len, sigma, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_secagg_dequantize(s->acc, acc, len, 1, &p->plan.quant);
    ccz_secagg_dequantize(tail, p->tail, CCZI_HFL_TAIL, 1, &unit);
    s->weight_sum = (double)tail[0];
    p->below = (uint32_t)lrintf(fmaxf(tail[1], 0));
    if (s->weight_sum > 0)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_PEER, "fl:weights", 0, "the weights of the updates add up to %g",
                    s->weight_sum);
}

static ccz_rc open_plain(struct ccz_fl_server *s, struct ccz_err *err)
{
    struct ccz_dp_gauss g = {.sensitivity = sensitivity(s), .len = s->layout->len};
    if (!s->private->rng)
        return CCZ_OK;
    ccz_rc rc = vector_multiplier(&g.multiplier, s, err);
    return rc == CCZ_OK ? ccz_dp_add_noise(s->acc, s->private->rng, (size_t)s->layout->len, &g, err)
                        : rc;
}

ccz_rc cczi_hfl_private_open(struct ccz_fl_server *s, struct ccz_err *err)
{
    if (!s->private)
        return CCZ_OK;
    int64_t start_ns = ccz_mono_ns();
    ccz_rc rc = cczi_hfl_secagg(s) ? open_masked(s, err) : open_plain(s, err);
    s->rec.private_ms = (ccz_mono_ns() - start_ns) / 1000000;
    return rc;
}

ccz_rc cczi_hfl_private_close(struct ccz_fl_server *s, struct ccz_err *err)
{
    struct hfl_private *p = s->private;
    const struct ccz_fl_privacy *c = &s->cfg.privacy;
    if (!p || !(c->multiplier > 0))
        return CCZ_OK;
    const struct ccz_dp_event event = {.sampling = amplified(s) ? CCZ_DP_FIXED : CCZ_DP_ALL,
                                       .rate = p->rate,
                                       .multiplier = c->multiplier,
                                       .steps = 1};
    s->rec.delta = c->delta > 0 ? c->delta : DELTA_DEFAULT;
    ccz_rc rc = ccz_dp_spend(&p->spent, &event, err);
    if (rc == CCZ_OK)
        rc = ccz_dp_epsilon(&s->rec.epsilon, NULL, &p->spent, s->rec.delta, err);
    if (rc == CCZ_OK && adaptive(&s->cfg))
        rc = ccz_dp_adaptive_update(&p->adaptive, NULL, p->rng, p->below, s->folded, err);
    return rc;
}

/* -------------------------------------------------------------------------------------- checkpoints */

void cczi_hfl_private_save(struct ccz_buf *out, const struct ccz_fl_server *s)
{
    uint64_t bits;
    const struct hfl_private *p = s->private;
    memcpy(&bits, &p->adaptive.clip, sizeof(bits));
    ccz_buf_le64(out, bits);
    for (size_t i = 0; i < CCZ_DP_ORDERS; i++) {
        memcpy(&bits, &p->spent.rdp[i], sizeof(bits));
        ccz_buf_le64(out, bits);
    }
}

ccz_rc cczi_hfl_private_load(struct ccz_fl_server *s, struct ccz_span in, struct ccz_err *err)
{
    struct hfl_private *p = s->private;
    if (!p && in.size == 0)
        return CCZ_OK;
    struct ccz_rd r = ccz_rd_from(in);
    double clip = ccz_pb_as_double(ccz_rd_le64(&r));
    struct ccz_dp_accountant spent;
    bool good = p != NULL && isfinite(clip) && clip >= 0;
    for (size_t i = 0; i < CCZ_DP_ORDERS; i++) {
        spent.rdp[i] = ccz_pb_as_double(ccz_rd_le64(&r));
        good &= spent.rdp[i] >= 0;
    }
    if (!good || !ccz_rd_done(&r)) /* what was spent must not be forgotten */
        return ccz_fail(err, CCZ_E_FORMAT, "fl:checkpoint-format", (int64_t)in.size,
                        "what privacy was spent is missing or malformed");
    p->adaptive.clip = clip;
    p->spent = spent;
    return CCZ_OK;
}
