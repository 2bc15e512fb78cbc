/* SPDX-License-Identifier: Apache-2.0 */
/* What a run will cost: the program on a planning session, and what sources say of its needs. */
#include "mpcml_priv.h"

#include <cczoo/ot_ext.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The public part, and all needs: those that wait for their product too. */
struct plan {
    struct ccz_mpcml_plan pub;
    struct ccz_mpc_need *all;
    size_t all_len;
    struct ccz_mpc
        *blank; /* a planning session on which nothing has happened: where sources are asked */
    struct ccz_mpc_stats stats;
    uint64_t first_id;
    uint8_t program[CCZ_MPC_PROGRAM_SIZE], session[CCZ_MPC_PROGRAM_SIZE]; /* digests */
    uint64_t max_abs;
    bool later;
};

enum { LOCAL_SOURCES = 4, COMPARISON_SIZE = 64 }; /* bytes of both digests, both ways */
/* Seconds of a transfer with what a comparison does with it: measured, docs/design/mpcml.md. */
#define SOFTSPOKEN_S 60e-9
#define SILENT_S     100e-9
static const enum ccz_mpc_source_kind asked[LOCAL_SOURCES] = {
    CCZ_MPC_SOURCE_HE, CCZ_MPC_SOURCE_OT, CCZ_MPC_SOURCE_PAILLIER, CCZ_MPC_SOURCE_DEALER};
_Static_assert(LOCAL_SOURCES <= CCZ_MPCML_ALTERNATIVES + 1, "offers");

void ccz_mpcml_plan_free(struct ccz_mpcml_plan *p)
{
    if (!p)
        return;
    struct plan *all = (struct plan *)p; /* its first member */
    ccz_mpc_free(all->blank);
    free(all->all);
    free(all);
}

uint64_t cczi_mpcml_plan_first_id(const struct ccz_mpcml_plan *p)
{
    return ((const struct plan *)p)->first_id;
}

ccz_rc cczi_mpcml_plan_check(const struct ccz_mpcml_plan *p,
                             const struct ccz_mpcml_program *program,
                             const struct ccz_mpcml_setting *setting, struct ccz_err *err)
{
    const struct plan *all = (const struct plan *)p;
    if (p->setting != setting)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:plan", p->setting->name, setting->name);
    if (memcmp(all->program, program->digest, sizeof(all->program)) != 0 ||
        all->max_abs != program->max_abs)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:plan", "a plan of another program", program->name);
    return CCZ_OK;
}

const uint8_t *cczi_mpcml_plan_digest(const struct ccz_mpcml_plan *p)
{
    return ((const struct plan *)p)->session;
}

/* --------------------------------------------------------------------------------- the program */

static ccz_rc rehearse(struct plan *p, const struct ccz_mpcml_program *program,
                       const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    struct ccz_mpc_cfg session;
    CCZ_AUTO(ccz_mpc) m = NULL;
    ccz_rc rc = ccz_mpcml_session_cfg(&session, program, cfg, err);
    session.role = 0;
    session.on_reveal = NULL;
    if (rc == CCZ_OK)
        rc = ccz_mpc_plan_new(&m, &session, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_plan_new(&p->blank, &session, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(p->program, program->digest, sizeof(p->program));
    memcpy(p->session, session.program, sizeof(p->session));
    p->max_abs = program->max_abs;
    p->later = cfg->later;
    if (cfg->later)
        rc = ccz_mpc_compare(m, p->session, err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_next_id(&p->first_id, m, err);
    if (rc == CCZ_OK)
        rc = program->inputs(program->self, m, err);
    if (rc == CCZ_OK)
        rc = program->compute(program->self, m, cfg->setting, err);
    program->reset(program->self);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_mpc_need *needs = ccz_mpc_needs(&p->all_len, m);
    p->stats = ccz_mpc_stats(m);
    rc = cczi_mpcml_alloc(&p->all, p->all_len, sizeof(*p->all), err);
    if (rc == CCZ_OK && p->all_len)
        memcpy(p->all, needs, p->all_len * sizeof(*needs));
    return rc;
}

/* ------------------------------------------------------------------------------------- offers */

static size_t of_kind(struct ccz_mpc_need *out, const struct plan *p, enum ccz_mpc_need_kind kind)
{
    size_t len = 0;
    for (size_t i = 0; i < p->all_len; i++)
        if (p->all[i].kind == kind)
            out[len++] = p->all[i];
    return len;
}

static uint64_t elements_of(const struct ccz_mpc_need *n)
{
    const struct ccz_mpc_conv *c = &n->conv;
    switch (n->kind) {
    case CCZ_MPC_MATMUL:
    case CCZ_MPC_CROSS_MATMUL:
        return (uint64_t)n->m * n->n;
    case CCZ_MPC_CROSS_CONV2D:
        return (uint64_t)c->batch * c->oh * c->ow * c->o;
    default:
        return n->n;
    }
}

/* A dealer's greeting, and set-up of transfers, take no round that `rounds` has. */
static bool has_keys(const struct ccz_mpc_source *s)
{
    const enum ccz_mpc_source_kind kind = ccz_mpc_source_kind_of(s);
    return kind == CCZ_MPC_SOURCE_HE || kind == CCZ_MPC_SOURCE_PAILLIER;
}

static ccz_rc cost_of_all(struct ccz_mpcml_offer *o, struct ccz_mpc_source *s,
                          const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    ccz_rc rc = ccz_mpc_source_cost(&o->cost, s, needs, len, err);
    o->key_rounds = o->cost.setup_size > 0 && has_keys(s);
    return rc;
}

/* Each need on its own. Keys are sent once: by each party when the first need asks for them. */
static ccz_rc cost_of_each(struct ccz_mpcml_offer *o, struct ccz_mpc_source *s,
                           const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    struct ccz_mpc_cost *out = &o->cost;
    uint64_t setup[2] = {0};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        struct ccz_mpc_cost c;
        rc = ccz_mpc_source_cost(&c, s, &needs[i], 1, err);
        const unsigned owner = needs[i].owner;
        const bool more = c.setup_size > setup[owner], keys = c.setup_size > 0 && has_keys(s);
        setup[owner] = more ? c.setup_size : setup[owner];
        o->key_rounds += more && keys;
        for (unsigned r = 0; r < 2; r++) {
            out->ots[r] += c.ots[r];
            out->distance[r] += c.distance[r];
        }
        out->size += c.size;
        out->rounds += c.rounds - keys;
        out->cpu_s += c.cpu_s;
    }
    out->setup_size = setup[0] + setup[1];
    out->rounds += o->key_rounds;
    return rc;
}

static ccz_rc offer(struct ccz_mpcml_offer *out, struct plan *p, enum ccz_mpc_source_kind kind,
                    const struct ccz_mpcml_program *program, const struct ccz_mpcml_run_cfg *cfg,
                    const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_source) s = NULL;
    *out = (struct ccz_mpcml_offer){0};
    ccz_rc rc = cczi_mpcml_source_of(&s, kind, p->blank, program, cfg, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        if (!ccz_mpc_source_can(s, &needs[i]))
            return CCZ_OK;
    if (rc == CCZ_OK)
        rc = cfg->setting->prepare_all ? cost_of_all(out, s, needs, len, err)
                                       : cost_of_each(out, s, needs, len, err);
    if (rc != CCZ_OK)
        return rc;
    out->source = ccz_mpc_source_kind_name(kind);
    out->seconds = cczi_mpcml_seconds(&out->cost, &cfg->net);
    return CCZ_OK;
}

/* Whether a setting would take this one instead of the one it has. */
static bool takes(const struct ccz_mpcml_setting *setting, enum ccz_mpc_source_kind kind,
                  const struct ccz_mpcml_offer *new, const struct ccz_mpcml_offer *old)
{
    if (setting->source != CCZ_MPC_SOURCE_MIXED)
        return kind == setting->source;
    return (kind == CCZ_MPC_SOURCE_HE || kind == CCZ_MPC_SOURCE_OT) &&
           (!old->source || new->seconds < old->seconds);
}

static ccz_rc choose(struct ccz_mpcml_choice *c, struct plan *p,
                     const struct ccz_mpcml_program *program, const struct ccz_mpcml_run_cfg *cfg,
                     const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    c->needs = len;
    for (size_t i = 0; i < len; i++)
        c->len += elements_of(&needs[i]);
    for (size_t i = 0; i < LOCAL_SOURCES; i++) {
        struct ccz_mpcml_offer o;
        ccz_rc rc = offer(&o, p, asked[i], program, cfg, needs, len, err);
        if (rc != CCZ_OK)
            return rc;
        if (!o.source)
            continue;
        const bool take = takes(cfg->setting, asked[i], &o, &c->chosen);
        const struct ccz_mpcml_offer aside = take ? c->chosen : o;
        if (take)
            c->chosen = o;
        if (aside.source)
            c->others[c->others_len++] = aside;
    }
    if (!c->chosen.source)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "mpc:source-none",
                          ccz_mpc_need_kind_name(c->kind),
                          "a need that the setting's source can make");
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- transfers */

/* Both directions of a filling, set-up included. */
static uint64_t filled(const struct ccz_ot_ext_cfg *cfg, uint64_t len)
{
    const struct ccz_ot_ext_size s = ccz_ot_ext_total_size(cfg, (size_t)len);
    return s.from_sender + s.from_receiver;
}

static uint64_t setup_size(const struct ccz_ot_ext_cfg *cfg)
{
    const struct ccz_ot_ext_size s = ccz_ot_ext_setup_size(cfg);
    return s.from_sender + s.from_receiver;
}

/* What fills the stores behind the sources, which have taken `before`. Set-up was counted when the program first used a direction. */
static struct ccz_mpc_cost fill_cost(const struct plan *p, enum ccz_mpc_ot engine, unsigned k,
                                     const uint64_t before[2])
{
    const struct ccz_ot_ext_cfg cfg = {
        .ot.k = k, .engine = engine == CCZ_MPC_OT_SILENT ? CCZ_OT_SILENT : CCZ_OT_SOFTSPOKEN};
    struct ccz_mpc_cost c = {0};
    for (size_t i = 0; i < p->all_len; i++) {
        const struct ccz_mpc_need *n = &p->all[i];
        if (n->kind != CCZ_MPC_OTS)
            continue;
        const uint64_t size =
            filled(&cfg, before[n->owner] + n->n) - filled(&cfg, before[n->owner]);
        c.size += size;
        c.rounds += size > 0;
        c.cpu_s += (double)n->n * (engine == CCZ_MPC_OT_SILENT ? SILENT_S : SOFTSPOKEN_S);
    }
    return c;
}

/* Gilboa products of several kinds fill the same stores, each on from where the last one left them. Sources cannot know. */
static void share_fillings(struct plan *p, const struct ccz_mpcml_run_cfg *cfg)
{
    const struct ccz_ot_ext_cfg ot = {
        .ot.k = cfg->ot_k,
        .engine = cfg->setting->ot == CCZ_MPC_OT_SILENT ? CCZ_OT_SILENT : CCZ_OT_SOFTSPOKEN};
    uint64_t before[2] = {0};
    for (size_t i = 0; i < p->pub.choices_len; i++) {
        struct ccz_mpcml_offer *o = &p->pub.choices[i].chosen;
        for (unsigned s = 0; s < 2; s++) {
            const uint64_t n = o->cost.ots[s];
            if (n > 0 && before[s] > 0) { /* else as the source has it */
                const uint64_t more = filled(&ot, before[s] + n) - filled(&ot, before[s]);
                o->cost.size += more;
                o->cost.size -= filled(&ot, n) - setup_size(&ot);
                o->cost.rounds -= more == 0;
            }
            before[s] += n;
        }
        o->seconds = cczi_mpcml_seconds(&o->cost, &cfg->net);
    }
}

static void add_transfers(struct plan *p, const struct ccz_mpcml_run_cfg *cfg)
{
    share_fillings(p, cfg);
    static const char *const names[] = {
        [CCZ_MPC_OT_SOFTSPOKEN] = "softspoken", [CCZ_MPC_OT_SILENT] = "silent"};
    struct ccz_mpcml_choice c = {.kind = CCZ_MPC_OTS, .others_len = 1};
    const enum ccz_mpc_ot engine = cfg->setting->ot;
    const enum ccz_mpc_ot other =
        engine == CCZ_MPC_OT_SILENT ? CCZ_MPC_OT_SOFTSPOKEN : CCZ_MPC_OT_SILENT;
    uint64_t before[2] = {0};
    for (size_t i = 0; i < p->pub.choices_len; i++)
        for (unsigned s = 0; s < 2; s++)
            before[s] += p->pub.choices[i].chosen.cost.ots[s];
    for (size_t i = 0; i < p->all_len; i++)
        if (p->all[i].kind == CCZ_MPC_OTS) {
            c.needs++;
            c.len += p->all[i].n;
        }
    if (c.needs == 0)
        return;
    c.chosen.source = names[engine];
    c.chosen.cost = fill_cost(p, engine, cfg->ot_k, before);
    c.chosen.seconds = cczi_mpcml_seconds(&c.chosen.cost, &cfg->net);
    c.others[0].source = names[other];
    c.others[0].cost = fill_cost(p, other, cfg->ot_k, before);
    c.others[0].seconds = cczi_mpcml_seconds(&c.others[0].cost, &cfg->net);
    p->pub.choices[p->pub.choices_len++] = c;
}

/* -------------------------------------------------------------------------------------- totals */

static void add_cost(struct ccz_mpcml_plan *p, const struct ccz_mpcml_choice *c,
                     const struct plan *all)
{
    const struct ccz_mpcml_offer *o = &c->chosen;
    struct ccz_mpcml_phase_cost *setup = &p->phase[CCZ_MPC_SETUP];
    struct ccz_mpcml_phase_cost *offline = &p->phase[CCZ_MPC_OFFLINE];
    const bool dealer = strcmp(o->source, "dealer") == 0, transfers = strcmp(o->source, "ot") == 0;
    /* a dealer is greeted when it is first asked; transfers of comparisons have had their set-up counted already */
    if (!transfers || all->stats.needs[CCZ_MPC_OTS] == 0)
        (dealer ? offline : setup)->size += o->cost.setup_size;
    setup->rounds += o->key_rounds;
    offline->size += o->cost.size;
    offline->rounds += o->cost.rounds - o->key_rounds;
    offline->cpu_s += o->cost.cpu_s;
}

static bool first_product(const struct plan *p)
{
    return p->all_len > 0 && p->all[0].kind != CCZ_MPC_OTS; /* transfers are at the end */
}

static void total_up(struct plan *all)
{
    struct ccz_mpcml_plan *p = &all->pub;
    for (unsigned i = 0; i < CCZ_MPC_PHASES; i++) {
        const struct ccz_mpc_phase_stats *s = &all->stats.phase[i];
        p->phase[i].size = s->sent_size + s->received_size;
        p->phase[i].rounds = s->rounds;
    }
    if (all->later) { /* which has been greeted */
        p->phase[CCZ_MPC_SETUP].size -= 2 * CCZ_MPC_HELLO_SIZE;
        p->phase[CCZ_MPC_SETUP].rounds--;
    }
    if (p->needs_len > 0) { /* both compare what they prepare */
        p->phase[CCZ_MPC_OFFLINE].size += COMPARISON_SIZE;
        p->phase[CCZ_MPC_OFFLINE].rounds++;
    }
    if (!p->setting->prepare_all &&
        first_product(all)) { /* and then how the source makes its first item */
        p->phase[CCZ_MPC_OFFLINE].size += COMPARISON_SIZE;
        p->phase[CCZ_MPC_OFFLINE].rounds++;
    }
    double distance[2] = {0};
    for (size_t i = 0; i < p->choices_len; i++) {
        add_cost(p, &p->choices[i], all);
        distance[0] += p->choices[i].chosen.cost.distance[0];
        distance[1] += p->choices[i].chosen.cost.distance[1];
    }
    p->distance = distance[0] > distance[1] ? distance[0] : distance[1];
    for (unsigned i = 0; i < CCZ_MPC_PHASES; i++) {
        p->total.size += p->phase[i].size;
        p->total.rounds += p->phase[i].rounds;
        p->total.cpu_s += p->phase[i].cpu_s;
    }
    p->seconds = (double)p->total.size / p->net.bytes_per_s +
                 (double)p->total.rounds * p->net.rtt_s / 2 + p->total.cpu_s;
}

static ccz_rc ask_all(struct plan *p, const struct ccz_mpcml_program *program,
                      const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    struct ccz_mpc_need *some = NULL;
    ccz_rc rc = cczi_mpcml_alloc(&some, p->all_len, sizeof(*some), err);
    for (unsigned k = 0; k < CCZ_MPC_OTS && rc == CCZ_OK; k++) {
        struct ccz_mpcml_choice c = {.kind = (enum ccz_mpc_need_kind)k};
        const size_t len = of_kind(some, p, c.kind);
        if (len == 0)
            continue;
        rc = choose(&c, p, program, cfg, some, len, err);
        p->pub.choices[p->pub.choices_len++] = c;
    }
    free(some);
    return rc;
}

ccz_rc ccz_mpcml_plan_new(struct ccz_mpcml_plan **out, const struct ccz_mpcml_program *program,
                          const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    struct ccz_mpcml_run_cfg c = cczi_mpcml_run_cfg(cfg);
    struct plan *p = NULL;
    *out = NULL;
    c.dealer = NULL;
    c.on_choice = NULL;
    ccz_rc rc = cczi_mpcml_alloc(&p, 1, sizeof(*p), err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_mpcml_plan) owner = &p->pub;
    p->pub.setting = c.setting;
    p->pub.net = c.net;
    rc = rehearse(p, program, &c, err);
    if (rc == CCZ_OK)
        rc = ask_all(p, program, &c, err);
    if (rc != CCZ_OK)
        return rc;
    size_t ots = 0; /* at the end of the list */
    for (size_t i = 0; i < p->all_len; i++)
        ots += p->all[i].kind == CCZ_MPC_OTS;
    p->pub.needs_len = c.setting->prepare_all ? p->all_len : ots;
    p->pub.needs = p->all + (p->all_len - p->pub.needs_len);
    add_transfers(p, &c);
    total_up(p);
    *out = ccz_mpcml_plan_take(&owner);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- text */

struct text {
    char *out;
    size_t size, at;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const size_t left = t->at < t->size ? t->size - t->at : 0;
    const int n = vsnprintf(left ? t->out + t->at : NULL, left, fmt, ap);
    va_end(ap);
    t->at += n > 0 ? (size_t)n : 0;
}

static void put_offer(struct text *t, const char *what, const struct ccz_mpcml_offer *o)
{
    put(t, "%-24s%-12s%14llu%10llu%12.4f\n", what, o->source,
        (unsigned long long)(o->cost.setup_size + o->cost.size), (unsigned long long)o->cost.rounds,
        o->seconds);
}

size_t ccz_mpcml_plan_text(char *out, size_t size, const struct ccz_mpcml_plan *p)
{
    static const char *const phases[CCZ_MPC_PHASES] = {"set-up", "offline", "online"};
    struct text t = {out, size, 0};
    put(&t, "setting %s: %s; %.1f MB/s, round trip %.1f ms\n", p->setting->name,
        p->setting->summary, p->net.bytes_per_s / 1e6, p->net.rtt_s * 1e3);
    put(&t, "%-24s%-12s%14s%10s%12s\n", "needs", "source", "bytes", "rounds", "seconds");
    for (size_t i = 0; i < p->choices_len; i++) {
        const struct ccz_mpcml_choice *c = &p->choices[i];
        char what[48];
        (void)snprintf(what, sizeof(what), "%s, %llu", ccz_mpc_need_kind_name(c->kind),
                       (unsigned long long)c->len);
        put_offer(&t, what, &c->chosen);
        for (size_t k = 0; k < c->others_len; k++)
            put_offer(&t, "  instead of", &c->others[k]);
    }
    put(&t, "%-24s%-12s%14s%10s%12s\n", "phase", "", "bytes", "rounds", "cpu s");
    for (unsigned i = 0; i < CCZ_MPC_PHASES; i++)
        put(&t, "%-36s%14llu%10llu%12.4f\n", phases[i], (unsigned long long)p->phase[i].size,
            (unsigned long long)p->phase[i].rounds, p->phase[i].cpu_s);
    put(&t, "%-36s%14llu%10llu%12.4f\n", "total", (unsigned long long)p->total.size,
        (unsigned long long)p->total.rounds, p->total.cpu_s);
    put(&t, "estimated seconds %.3f\n", p->seconds);
    if (p->distance > 0)
        put(&t, "statistical distance 2^%.1f\n", log2(p->distance));
    else
        put(&t, "statistical distance 0\n");
    return t.at;
}
