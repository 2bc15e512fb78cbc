/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts and keys of products in coefficients. The key of packing is independent of the one products are encrypted under,
 * so that each is held against its own modulus.
 */
#include "mpc/source_he_priv.h"

#include "base/ct.h"

#include <stdlib.h>
#include <string.h>

enum { FLOOD_LEAST = 48, DOUBLINGS_MAX = 13 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

/* Results are flooded with as many bits as cost no larger degree: a session has many of them, whose distances add up. */
static ccz_rc plan_widest(struct ccz_bfv_plan *plan, struct ccz_bfv_goal *goal, unsigned most,
                          struct ccz_err *err)
{
    struct ccz_bfv_plan wide;
    goal->flood_bits = FLOOD_LEAST;
    ccz_rc rc = ccz_bfv_plan(plan, goal, err);
    for (unsigned bits = FLOOD_LEAST + 1; rc == CCZ_OK && bits <= most; bits++) {
        struct ccz_bfv_goal more = *goal;
        more.flood_bits = bits;
        if (ccz_bfv_plan(&wide, &more, NULL) != CCZ_OK || wide.cfg.ring.n != plan->cfg.ring.n)
            break;
        *plan = wide;
        *goal = more;
    }
    return rc;
}

static ccz_rc contexts(struct cczi_he_suite *s, size_t n_min, struct ccz_err *err)
{
    struct ccz_bfv_goal goal = {.plain_bits = s->bits,
                                .secret_key = true,
                                .multiply = true,
                                .max_factor = s->max_abs,
                                .terms = s->terms,
                                .pack = DOUBLINGS_MAX,
                                .n_min = n_min};
    struct ccz_bfv_plan plan;
    struct ccz_bfv_cfg pack;
    ccz_rc rc = plan_widest(&plan, &goal, s->flood_most, err);
    s->flood_bits = goal.flood_bits;
    if (rc == CCZ_OK)
        rc = ccz_bfv_new(&s->c, &plan.cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pack_cfg(&pack, s->c, plan.return_limbs, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_new(&s->pack_c, &pack, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_eval_new(&s->e, s->c, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_eval_new(&s->pack_e, s->pack_c, NULL, err);
    s->n = plan.cfg.ring.n;
    s->return_limbs = plan.return_limbs;
    return rc;
}

ccz_rc cczi_he_suite_new(struct cczi_he_suite **out, unsigned bits, double max_abs, size_t terms,
                         size_t n_min, unsigned flood_most, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_he_suite) s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    s->bits = bits;
    s->max_abs = max_abs;
    s->terms = terms;
    s->flood_most = flood_most;
    ccz_rc rc = contexts(s, n_min, err);
    if (rc == CCZ_OK)
        *out = cczi_he_suite_take(&s);
    return rc;
}

void cczi_he_suite_free(struct cczi_he_suite *s)
{
    if (!s)
        return;
    ccz_rlwe_sk_free(s->sk);
    ccz_rlwe_sk_free(s->pack_sk);
    ccz_rlwe_pk_free(s->pk);
    ccz_bfv_pack_key_free(s->pack);
    ccz_bfv_eval_free(s->e);
    ccz_bfv_eval_free(s->pack_e);
    ccz_bfv_free(s->c);
    ccz_bfv_free(s->pack_c);
    free(s);
}

/* ------------------------------------------------------------------------------------ sizes */

static struct ccz_rlwe_ct shape_of(const struct ccz_bfv *c, size_t limbs, bool seeded)
{
    return (struct ccz_rlwe_ct){
        .ctx = ccz_bfv_ring(c), .parts = 2, .limbs = limbs, .ntt = true, .seeded = seeded};
}

size_t cczi_he_up_size(const struct ccz_bfv *c)
{
    const struct ccz_bfv_ct ct = {.ct = shape_of(c, ccz_rlwe_data_len(ccz_bfv_ring(c)), true)};
    return ccz_bfv_ct_size(&ct);
}

size_t cczi_he_down_size(const struct ccz_bfv *c, size_t limbs)
{
    const struct ccz_bfv_ct ct = {.ct = shape_of(c, limbs, false)};
    return ccz_bfv_ct_size(&ct);
}

void cczi_he_ct_public(const struct ccz_bfv_ct *ct)
{
    const size_t size = ct->ct.limbs * ccz_rlwe_n(ccz_bfv_ring(ct->ctx)) * sizeof(uint64_t);
    for (size_t p = 0; p < 2; p++)
        CCZ_CT_PUBLIC(ct->ct.c[p], size);
}

/* ------------------------------------------------------------------------------------- keys */

bool cczi_he_keys_missing(bool have, uint32_t doublings, uint32_t want)
{
    return !have || (want & ~doublings) != 0;
}

size_t cczi_he_keys_size(const struct cczi_he_suite *s, uint32_t doublings)
{
    return ccz_rlwe_pk_size(ccz_bfv_ring(s->c)) + ccz_bfv_pack_key_size(s->pack_c, doublings);
}

/* The secret keys are made once; keys that are sent again are made anew from them. */
static ccz_rc own_keys(struct cczi_he_suite *s, struct ccz_err *err)
{
    if (s->sk)
        return CCZ_OK;
    ccz_rc rc = ccz_rlwe_sk_new(&s->sk, ccz_bfv_eval_work(s->e), err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_sk_new(&s->pack_sk, ccz_bfv_eval_work(s->pack_e), err);
    return rc;
}

ccz_rc cczi_he_keys_write(struct ccz_buf *out, struct cczi_he_suite *s, uint32_t doublings,
                          struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    CCZ_AUTO(ccz_bfv_pack_key) pack = NULL;
    ccz_rc rc = own_keys(s, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_pk_new(&pk, ccz_bfv_eval_work(s->e), s->sk, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_pk_write(out, pk, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pack_key_new(&pack, s->pack_e, s->pack_sk, s->sk, doublings, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pack_key_write(out, pack, err);
    if (rc != CCZ_OK)
        return rc;
    s->own_doublings = doublings;
    s->own_sent = true;
    return CCZ_OK;
}

ccz_rc cczi_he_keys_read(struct cczi_he_suite *s, struct ccz_span in, uint32_t doublings,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    CCZ_AUTO(ccz_bfv_pack_key) pack = NULL;
    struct ccz_rd rd = ccz_rd_from(in);
    const uint8_t *id = s->pk ? ccz_rlwe_pk_id(s->pk) : NULL; /* the same key as before */
    ccz_rc rc = ccz_rlwe_pk_read(&pk, ccz_bfv_eval_work(s->e),
                                 ccz_rd_take(&rd, ccz_rlwe_pk_size(ccz_bfv_ring(s->c))), id, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pack_key_read(&pack, s->pack_e, ccz_rd_take(&rd, rd.left), ccz_rlwe_pk_id(pk),
                                   doublings, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_rlwe_pk_free(s->pk);
    ccz_bfv_pack_key_free(s->pack);
    s->pk = ccz_rlwe_pk_take(&pk);
    s->pack = ccz_bfv_pack_key_take(&pack);
    s->peer_doublings = doublings;
    s->peer_got = true;
    return CCZ_OK;
}
