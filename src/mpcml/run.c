/* SPDX-License-Identifier: Apache-2.0 */
/* From a program and a setting to a session: digest, sources, one run. */
#include "mpcml_priv.h"

#include <cczoo/mpc_he.h>

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- memory */

ccz_rc cczi_mpcml_alloc(void *out, size_t len, size_t size, struct ccz_err *err)
{
    void *p = calloc(len ? len : 1, size);
    memcpy(out, &p, sizeof(p)); /* a pointer to a pointer of any kind */
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "mpcml:memory", (int64_t)len,
                        "no memory for %zu elements", len);
    return CCZ_OK;
}

void cczi_mpcml_wipe_free(void *p, size_t size)
{
    if (p)
        ccz_wipe(p, size);
    free(p);
}

/* ------------------------------------------------------------------------------------ digests */

void cczi_mpcml_digest_begin(struct cczi_mpcml_digest *d, const char *label)
{
    *d = (struct cczi_mpcml_digest){0};
    d->rc = ccz_hasher_new(&d->h, CCZ_SHA256);
    cczi_mpcml_digest_u64(d, strlen(label));
    cczi_mpcml_digest_bytes(d, label, strlen(label));
}

void cczi_mpcml_digest_bytes(struct cczi_mpcml_digest *d, const void *p, size_t size)
{
    if (d->rc == CCZ_OK)
        d->rc = ccz_hasher_put(d->h, CCZ_SPAN(p, size));
}

void cczi_mpcml_digest_u64(struct cczi_mpcml_digest *d, uint64_t v)
{
    uint8_t le[8];
    for (unsigned i = 0; i < sizeof(le); i++)
        le[i] = (uint8_t)(v >> 8 * i);
    cczi_mpcml_digest_bytes(d, le, sizeof(le));
}

void cczi_mpcml_digest_real(struct cczi_mpcml_digest *d, double v)
{
    uint64_t bits;
    v = v == 0 ? 0 : v;
    memcpy(&bits, &v, sizeof(bits));
    cczi_mpcml_digest_u64(d, bits);
}

ccz_rc cczi_mpcml_digest_end(uint8_t out[CCZ_MPC_PROGRAM_SIZE], struct cczi_mpcml_digest *d,
                             struct ccz_err *err)
{
    if (d->rc == CCZ_OK)
        d->rc = ccz_hasher_done(out, d->h);
    ccz_hasher_free(d->h);
    if (d->rc != CCZ_OK)
        return ccz_fail(err, d->rc, "mpcml:hash", 0, "hashing failed");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ configuration */

struct ccz_mpcml_run_cfg cczi_mpcml_run_cfg(const struct ccz_mpcml_run_cfg *cfg)
{
    struct ccz_mpcml_run_cfg c = *cfg;
    c.setting = c.setting ? c.setting : ccz_mpcml_setting(CCZ_MPCML_ROUNDS);
    c.net.bytes_per_s = c.net.bytes_per_s > 0 ? c.net.bytes_per_s : 12.5e6;
    c.net.rtt_s = c.net.rtt_s > 0 ? c.net.rtt_s : 1e-3;
    c.paillier_bits = c.paillier_bits ? c.paillier_bits : 3072;
    return c;
}

double cczi_mpcml_seconds(const struct ccz_mpc_cost *c, const struct ccz_mpcml_net *net)
{
    return (double)(c->setup_size + c->size) / net->bytes_per_s +
           (double)c->rounds * net->rtt_s / 2 + c->cpu_s;
}

ccz_rc ccz_mpcml_session_cfg(struct ccz_mpc_cfg *out, const struct ccz_mpcml_program *program,
                             const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    const struct ccz_mpcml_run_cfg c = cczi_mpcml_run_cfg(cfg);
    struct cczi_mpcml_digest d;
    *out = (struct ccz_mpc_cfg){.role = c.role,
                                .ring_bits = program->ring_bits,
                                .frac = program->frac,
                                .trunc = c.trunc,
                                .ot = c.setting->ot,
                                .ot_k = c.ot_k,
                                .source = c.setting->source,
                                .stat_bits = c.stat_bits,
                                .on_reveal = c.on_reveal,
                                .arg = c.arg};
    cczi_mpcml_digest_begin(&d, "cczoo mpcml run 1");
    cczi_mpcml_digest_bytes(&d, program->digest, sizeof(program->digest));
    cczi_mpcml_digest_u64(&d, program->max_abs);
    cczi_mpcml_digest_u64(&d, (uint64_t)c.setting->optimize);
    cczi_mpcml_digest_u64(&d, c.setting->prepare_all);
    cczi_mpcml_digest_u64(&d, c.setting->one_by_one);
    cczi_mpcml_digest_real(&d, c.net.bytes_per_s);
    cczi_mpcml_digest_real(&d, c.net.rtt_s);
    cczi_mpcml_digest_u64(&d, c.paillier_bits);
    return cczi_mpcml_digest_end(out->program, &d, err);
}

/* ------------------------------------------------------------------------------------ sources */

static ccz_rc mixed_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                        const struct ccz_mpcml_program *program,
                        const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    struct ccz_mpc_mixed_cfg mixed = {.bytes_per_s = cfg->net.bytes_per_s,
                                      .rtt_s = cfg->net.rtt_s,
                                      .on_choice = cfg->on_choice,
                                      .arg = cfg->arg};
    CCZ_AUTO(ccz_mpc_source) he = NULL;
    CCZ_AUTO(ccz_mpc_source) ot = NULL;
    ccz_rc rc = cczi_mpcml_source_of(&he, CCZ_MPC_SOURCE_HE, m, program, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_source_of(&ot, CCZ_MPC_SOURCE_OT, m, program, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    mixed.sources[mixed.len++] = ccz_mpc_source_take(&he);
    mixed.sources[mixed.len++] = ccz_mpc_source_take(&ot);
    return ccz_mpc_source_mixed_new(out, m, &mixed, err);
}

ccz_rc cczi_mpcml_source_of(struct ccz_mpc_source **out, enum ccz_mpc_source_kind kind,
                            struct ccz_mpc *m, const struct ccz_mpcml_program *program,
                            const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    const struct ccz_mpc_he_cfg he = {.max_abs = program->max_abs,
                                      .bytes_per_s = cfg->net.bytes_per_s};
    const struct ccz_mpc_paillier_cfg paillier = {.key_bits = cfg->paillier_bits};
    *out = NULL;
    switch (kind) {
    case CCZ_MPC_SOURCE_OT:
        return ccz_mpc_source_ot_new(out, m, err);
    case CCZ_MPC_SOURCE_HE:
        return ccz_mpc_source_he_new(out, m, &he, err);
    case CCZ_MPC_SOURCE_PAILLIER:
        return ccz_mpc_source_paillier_new(out, m, &paillier, err);
    case CCZ_MPC_SOURCE_DEALER:
        return ccz_mpc_source_dealer_new(out, m, cfg->dealer, err);
    default:
        return mixed_new(out, m, program, cfg, err);
    }
}

static ccz_rc check_dealer(const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    const bool wanted = cfg->setting->source == CCZ_MPC_SOURCE_DEALER;
    if (wanted == (cfg->dealer != NULL))
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_ARG, "mpcml:dealer",
                      cfg->dealer ? "a channel to a dealer" : "no channel to a dealer",
                      wanted ? "one, for this setting" : "none, for this setting");
}

ccz_rc ccz_mpcml_source_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                            const struct ccz_mpcml_program *program,
                            const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err)
{
    const struct ccz_mpcml_run_cfg c = cczi_mpcml_run_cfg(cfg);
    *out = NULL;
    ccz_rc rc = check_dealer(&c, err);
    if (rc == CCZ_OK && c.setting->source != CCZ_MPC_SOURCE_OT)
        rc = cczi_mpcml_source_of(out, c.setting->source, m, program, &c, err);
    return rc;
}

/* ----------------------------------------------------------------------------------- one run */

ccz_rc cczi_mpcml_next_id(uint64_t *out, struct ccz_mpc *m, struct ccz_err *err)
{
    const uint64_t zero = 0;
    const bool mine = !ccz_mpc_is_plan(m) && ccz_mpc_cfg_of(m)->role == 0;
    CCZ_AUTO(ccz_mpc_tensor) t = NULL;
    ccz_rc rc = ccz_mpc_private(&t, m, 0, CCZ_MPC_SHAPE1(1), 0, mine ? &zero : NULL, err);
    *out = rc == CCZ_OK ? ccz_mpc_id_of(t) + 1 : 0;
    return rc;
}

ccz_rc cczi_mpcml_check_session(const struct ccz_mpc *m, unsigned role, unsigned ring_bits,
                                struct ccz_err *err)
{
    const struct ccz_mpc_cfg *c = ccz_mpc_cfg_of(m);
    if (c->trunc == CCZ_MPC_TRUNC_LOCAL) {
        (void)ccz_refuse(err, CCZ_E_ARG, "mpcml:trunc", "local", "faithful or one bit");
        return ccz_hint(err, CCZ_E_ARG, "it is wrong too often in a ring this full");
    }
    if (ccz_mpc_is_plan(m) || (c->role == role && c->ring_bits == ring_bits))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "mpcml:session", c->role,
                    "role %u, ring of %u bits: the program was made for role %u, %u bits", c->role,
                    c->ring_bits, role, ring_bits);
}

/*
 * Prepares the needs of a plan, or (with `store`) writes them to files. They name PRIVATE tensors by number: in a session that has run
 * something before, numbers begin later.
 */
static ccz_rc prepare(struct ccz_mpc *m, const struct ccz_mpcml_plan *plan, uint64_t first,
                      const struct ccz_mpc_store_cfg *store, struct ccz_err *err)
{
    const uint64_t later = first - cczi_mpcml_plan_first_id(plan);
    struct ccz_mpc_need *needs = NULL;
    if (plan->needs_len == 0 && !store)
        return CCZ_OK;
    ccz_rc rc = cczi_mpcml_alloc(&needs, plan->needs_len + 1, sizeof(*needs), err);
    for (size_t i = 0; i < plan->needs_len && rc == CCZ_OK; i++) {
        needs[i] = plan->needs[i];
        needs[i].fixed += needs[i].fixed ? later : 0;
    }
    if (rc == CCZ_OK)
        rc = store ? ccz_mpc_store_write(m, needs, plan->needs_len, store, err)
                   : ccz_mpc_prepare(m, needs, plan->needs_len, err);
    free(needs);
    return rc;
}

/* The hello has compared what a session runs first. Later both ask, whatever it is: a party that did not would go on alone. */
static ccz_rc agree(struct ccz_mpc *m, const struct ccz_mpcml_plan *plan, uint64_t first,
                    struct ccz_err *err)
{
    const uint8_t *digest = cczi_mpcml_plan_digest(plan);
    if (first == cczi_mpcml_plan_first_id(plan) &&
        memcmp(digest, ccz_mpc_cfg_of(m)->program, CCZ_MPC_PROGRAM_SIZE) == 0)
        return CCZ_OK;
    return ccz_mpc_compare(m, digest, err);
}

static ccz_rc run_or_store(struct ccz_mpc *m, const struct ccz_mpcml_program *program,
                           const struct ccz_mpcml_setting *setting,
                           const struct ccz_mpcml_plan *plan, const struct ccz_mpc_store_cfg *store,
                           struct ccz_err *err)
{
    uint64_t first;
    ccz_rc rc = cczi_mpcml_plan_check(plan, program, setting, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_mpcml_next_id(&first, m, err);
    if (rc == CCZ_OK)
        rc = agree(m, plan, first, err);
    if (rc == CCZ_OK)
        rc = program->inputs(program->self, m, err);
    if (rc == CCZ_OK)
        rc = prepare(m, plan, first, store, err);
    if (rc == CCZ_OK && !store)
        rc = program->compute(program->self, m, setting, err);
    program->reset(program->self);
    return rc;
}

ccz_rc ccz_mpcml_run_on(struct ccz_mpc *m, const struct ccz_mpcml_program *program,
                        const struct ccz_mpcml_setting *setting, const struct ccz_mpcml_plan *plan,
                        struct ccz_err *err)
{
    return run_or_store(m, program, setting, plan, NULL, err);
}

ccz_rc ccz_mpcml_store_on(struct ccz_mpc *m, const struct ccz_mpcml_program *program,
                          const struct ccz_mpcml_setting *setting,
                          const struct ccz_mpcml_plan *plan, const struct ccz_mpc_store_cfg *store,
                          struct ccz_err *err)
{
    return run_or_store(m, program, setting, plan, store, err);
}

ccz_rc ccz_mpcml_open(struct ccz_mpc **out, struct ccz_chan *chan,
                      const struct ccz_mpcml_program *program, const struct ccz_mpcml_run_cfg *cfg,
                      struct ccz_err *err)
{
    struct ccz_mpc_cfg session;
    CCZ_AUTO(ccz_mpc) m = NULL;
    CCZ_AUTO(ccz_mpc_source) source = NULL;
    ccz_rc rc = ccz_mpcml_session_cfg(&session, program, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_new(&m, chan, &session, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_source_new(&source, m, program, cfg, err);
    if (rc == CCZ_OK && source)
        rc = ccz_mpc_attach(m, ccz_mpc_source_take(&source), err);
    if (rc == CCZ_OK)
        *out = ccz_mpc_take(&m);
    return rc;
}

ccz_rc ccz_mpcml_run(struct ccz_mpc_stats *stats, struct ccz_chan *chan,
                     const struct ccz_mpcml_program *program, const struct ccz_mpcml_run_cfg *cfg,
                     struct ccz_err *err)
{
    const struct ccz_mpcml_run_cfg c = cczi_mpcml_run_cfg(cfg);
    struct ccz_err own = {0};
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    CCZ_AUTO(ccz_mpc) m = NULL;
    if (stats)
        *stats = (struct ccz_mpc_stats){0};
    ccz_rc rc = check_dealer(&c, &own);
    if (rc == CCZ_OK && !c.plan)
        rc = ccz_mpcml_plan_new(&plan, program, &c, &own);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_open(&m, chan, program, &c, &own);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_run_on(m, program, c.setting, c.plan ? c.plan : plan, &own);
    if (m && stats)
        *stats = ccz_mpc_stats(m);
    if (rc != CCZ_OK) { /* whatever failed, the peers hear of it */
        ccz_chan_close_error(chan, &own);
        if (c.dealer)
            ccz_chan_close_error(c.dealer, &own);
        if (err)
            *err = own;
    }
    return rc;
}
