/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, evaluators, memory of plaintexts and ciphertexts, and the checks that all calls share. */
#include "bfv_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the schemes in the parameter identity. */
enum { SCHEME_BFV_PRIME = 2, SCHEME_BFV_POWER = 3 };
#define PLAIN_PRIME_MAX (UINT64_C(1) << 50)

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
}

/* ---------------------------------------------------------------------------------- contexts */

static ccz_rc check_plain(const struct ccz_bfv_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->plain_prime == !cfg->plain_bits)
        return ccz_fail(err, CCZ_E_ARG, "bfv:plain", 0,
                        "one of plain_prime and plain_bits has to be given");
    if (cfg->plain_bits > 64)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:plain", cfg->plain_bits, 64);
    if (cfg->plain_bits)
        return CCZ_OK;
    if (cfg->plain_prime < 3 || cfg->plain_prime >= PLAIN_PRIME_MAX ||
        !ccz_is_prime(cfg->plain_prime))
        return ccz_fail(err, CCZ_E_ARG, "bfv:plain", (int64_t)cfg->plain_prime,
                        "%llu is no odd prime below 2^50", (unsigned long long)cfg->plain_prime);
    return CCZ_OK;
}

/* floor(t 2^128 / q), word by word */
static struct cczi_bfv_ratio ratio_of(const struct ccz_bfv *c, uint64_t q)
{
    const uint64_t t =
        c->plain_bits ? (c->plain_bits < 64 ? UINT64_C(1) << c->plain_bits : 0) : c->t.q;
    uint64_t word[3];
    cczi_u128 rest = c->plain_bits == 64;
    for (size_t i = 0; i < 3; i++) {
        rest = rest << 64 | (i == 0 ? t : 0);
        word[i] = (uint64_t)(rest / q);
        rest %= q;
    }
    return (struct cczi_bfv_ratio){word[0], word[1], word[2]};
}

static uint64_t product_mod_t(const struct ccz_bfv *c, size_t limbs)
{
    uint64_t x = 1;
    for (size_t i = 0; i < limbs; i++) {
        uint64_t q = ccz_rlwe_prime(c->ring, i);
        x = c->plain_bits ? x * q : ccz_mod_mul(x, ccz_mod_reduce(q, &c->t), &c->t);
    }
    return c->plain_bits ? x & ~UINT64_C(0) >> (64 - c->plain_bits) : x;
}

static uint64_t t_mod(const struct ccz_bfv *c, const struct ccz_modulus *m)
{
    return c->plain_bits ? ccz_mod_pow(2, c->plain_bits, m) : ccz_mod_reduce(c->t.q, m);
}

static bool level_init(struct cczi_bfv_level *l, const struct ccz_bfv *c, size_t limbs)
{
    l->delta = calloc(limbs, sizeof(*l->delta));
    l->inverse = calloc(limbs, sizeof(*l->inverse));
    if (!l->delta || !l->inverse)
        return false;
    l->q_mod_t = product_mod_t(c, limbs);
    if (!c->plain_bits)
        l->q_mod_t_prime = ccz_mulc_from(l->q_mod_t, &c->t);
    for (size_t i = 0; i < limbs; i++) {
        const struct ccz_modulus *m = cczi_bfv_modulus(c, i);
        l->log2_q += log2((double)m->q);
        /* (Q - Q mod t) / t, and Q is 0 modulo q_i */
        uint64_t rest = ccz_mod_sub(0, ccz_mod_reduce(l->q_mod_t, m), m);
        l->delta[i] = ccz_mulc_from(ccz_mod_mul(rest, ccz_mod_inv(t_mod(c, m), m), m), m);
        uint64_t others = 1;
        for (size_t j = 0; j < limbs; j++)
            if (j != i)
                others = ccz_mod_mul(others, ccz_mod_reduce(ccz_rlwe_prime(c->ring, j), m), m);
        l->inverse[i] = ccz_ntt_scale_from(ccz_mod_inv(others, m), ccz_rlwe_ntt(c->ring, i));
    }
    return true;
}

static ccz_rc slots_init(struct ccz_bfv *c, struct ccz_err *err)
{
    if (c->plain_bits || c->t.q % (2 * c->n) != 1)
        return CCZ_OK;
    c->slot_at = calloc(c->n, sizeof(*c->slot_at));
    if (!c->slot_at)
        return no_memory(err);
    for (uint64_t j = 0, e = 1; j < c->n / 2; j++, e = e * 5 % (2 * c->n)) {
        c->slot_at[j] = (uint32_t)ccz_ntt_position(c->n, e);
        c->slot_at[c->n / 2 + j] = (uint32_t)ccz_ntt_position(c->n, 2 * c->n - e);
    }
    return ccz_ntt_new(&c->slots, &c->t, c->n, NULL, err);
}

static ccz_rc tables_init(struct ccz_bfv *c, struct ccz_err *err)
{
    c->level = calloc(c->data_len, sizeof(*c->level));
    c->ratio = calloc(c->data_len, sizeof(*c->ratio));
    if (!c->level || !c->ratio)
        return no_memory(err);
    for (size_t i = 0; i < c->data_len; i++) {
        c->ratio[i] = ratio_of(c, ccz_rlwe_prime(c->ring, i));
        if (!level_init(&c->level[i], c, i + 1))
            return no_memory(err);
    }
    return slots_init(c, err);
}

/* The plaintext modulus is prime to Q, and leaves room for the noise of an encryption. */
static ccz_rc check_room(const struct ccz_bfv *c, struct ccz_err *err)
{
    const double variance = ccz_rlwe_var_fresh_sk(c->ring);
    for (size_t i = 0; !c->plain_bits && i < c->data_len + ccz_rlwe_special_len(c->ring); i++)
        if (ccz_rlwe_prime(c->ring, i) == c->t.q)
            return ccz_fail(err, CCZ_E_ARG, "bfv:plain", (int64_t)c->t.q,
                            "the plaintext modulus is one of the ring's primes");
    ccz_rc rc = cczi_bfv_fits(c, cczi_bfv_fresh_pk(c->n, variance), c->data_len, err);
    if (rc == CCZ_OK)
        return rc;
    char got[CCZ_ERR_VALUE_SIZE] = "", expected[CCZ_ERR_VALUE_SIZE] = "";
    if (err) {
        memcpy(got, err->got, sizeof(got));
        memcpy(expected, err->expected, sizeof(expected));
    }
    rc = ccz_refuse(err, CCZ_E_ARG, "bfv:room", got, expected);
    return ccz_hint(err, rc, "more or larger primes, or a smaller plaintext modulus");
}

ccz_rc ccz_bfv_new(struct ccz_bfv **out, const struct ccz_bfv_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (cfg->ring.scheme || cfg->ring.scheme_param)
        return ccz_fail(err, CCZ_E_ARG, "bfv:scheme", cfg->ring.scheme,
                        "the scheme's number is set by bfv");
    ccz_rc rc = check_plain(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_bfv) c = calloc(1, sizeof(*c));
    if (!c)
        return no_memory(err);
    struct ccz_rlwe_cfg ring = cfg->ring;
    ring.scheme = cfg->plain_bits ? SCHEME_BFV_POWER : SCHEME_BFV_PRIME;
    ring.scheme_param = cfg->plain_bits ? cfg->plain_bits : cfg->plain_prime;
    rc = ccz_rlwe_new(&c->ring, &ring, err);
    if (rc == CCZ_OK && !cfg->plain_bits)
        rc = ccz_modulus_init(&c->t, cfg->plain_prime, err);
    if (rc != CCZ_OK)
        return rc;
    c->n = ring.n;
    c->data_len = ring.data_len;
    c->k = ccz_kernels(NULL);
    c->plain_bits = cfg->plain_bits;
    c->log2_t = cfg->plain_bits ? cfg->plain_bits : log2((double)cfg->plain_prime);
    rc = tables_init(c, err);
    if (rc == CCZ_OK)
        rc = check_room(c, err);
    if (rc == CCZ_OK)
        *out = ccz_bfv_take(&c);
    return rc;
}

void ccz_bfv_free(struct ccz_bfv *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->level && i < c->data_len; i++) {
        free(c->level[i].delta);
        free(c->level[i].inverse);
    }
    free(c->level);
    free(c->ratio);
    free(c->slot_at);
    ccz_ntt_free(c->slots);
    ccz_rlwe_free(c->ring);
    free(c);
}

const struct ccz_rlwe *ccz_bfv_ring(const struct ccz_bfv *c)
{
    return c->ring;
}

double ccz_bfv_log2_t(const struct ccz_bfv *c)
{
    return c->log2_t;
}

size_t ccz_bfv_slots(const struct ccz_bfv *c)
{
    return c->slots ? c->n : 0;
}

/* -------------------------------------------------------------------------------- evaluators */

static void wipe_free(uint64_t *v, size_t words)
{
    if (v)
        ccz_wipe(v, words * sizeof(*v));
    ccz_rlwe_words_free(v);
}

ccz_rc ccz_bfv_eval_new(struct ccz_bfv_eval **out, const struct ccz_bfv *c,
                        const struct ccz_rlwe_work_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_bfv_eval) e = calloc(1, sizeof(*e));
    if (!e)
        return no_memory(err);
    e->ctx = c;
    e->word = ccz_rlwe_words_new(c->n);
    for (size_t i = 0; i < 2; i++)
        e->poly[i] = ccz_rlwe_words_new(c->data_len * c->n);
    if (!e->word || !e->poly[0] || !e->poly[1])
        return no_memory(err);
    ccz_rc rc = ccz_bfv_ct_new(&e->tmp, c, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_work_new(&e->work, c->ring, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_bfv_eval_take(&e);
    return rc;
}

void ccz_bfv_eval_free(struct ccz_bfv_eval *e)
{
    if (!e)
        return;
    ccz_rlwe_work_free(e->work);
    ccz_bfv_ct_free(e->tmp);
    wipe_free(e->word, e->ctx->n);
    for (size_t i = 0; i < 2; i++)
        wipe_free(e->poly[i], e->ctx->data_len * e->ctx->n);
    free(e->list);
    cczi_bfv_drop_deinit(&e->drop);
    free(e);
}

struct ccz_rlwe_work *ccz_bfv_eval_work(struct ccz_bfv_eval *e)
{
    return e->work;
}

/* -------------------------------------------------------------------- plaintexts, ciphertexts */

ccz_rc ccz_bfv_pt_new(struct ccz_bfv_pt **out, const struct ccz_bfv *c, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_bfv_pt) p = calloc(1, sizeof(*p));
    if (!p)
        return no_memory(err);
    p->ctx = c;
    p->m = ccz_rlwe_words_new(c->n);
    if (!p->m)
        return no_memory(err);
    memset(p->m, 0, c->n * sizeof(*p->m));
    cczi_bfv_pt_reset(p);
    *out = ccz_bfv_pt_take(&p);
    return CCZ_OK;
}

void ccz_bfv_pt_free(struct ccz_bfv_pt *p)
{
    if (!p)
        return;
    wipe_free(p->m, p->ctx->n);
    wipe_free(p->factor, p->ctx->data_len * p->ctx->n);
    free(p);
}

void cczi_bfv_pt_reset(struct ccz_bfv_pt *p)
{
    p->factor_limbs = 0;
    p->max_abs = exp2(p->ctx->log2_t - 1);
    p->terms = p->ctx->n;
    p->is_public = false;
}

void ccz_bfv_pt_declare_public(struct ccz_bfv_pt *p)
{
    p->is_public = true;
}

ccz_rc ccz_bfv_ct_new(struct ccz_bfv_ct **out, const struct ccz_bfv *c, struct ccz_err *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return no_memory(err);
    (*out)->ctx = c;
    ccz_rlwe_ct_init(&(*out)->ct, c->ring);
    return CCZ_OK;
}

void ccz_bfv_ct_free(struct ccz_bfv_ct *ct)
{
    if (!ct)
        return;
    ccz_rlwe_ct_deinit(&ct->ct);
    free(ct);
}

ccz_rc ccz_bfv_copy(struct ccz_bfv_ct *out, const struct ccz_bfv_ct *in)
{
    if (out->ctx != in->ctx)
        return CCZ_E_MISMATCH;
    ccz_rc rc = ccz_rlwe_ct_copy(&out->ct, &in->ct);
    if (rc != CCZ_OK)
        return rc;
    out->sigma = in->sigma;
    out->fixed = in->fixed;
    out->is_private = in->is_private;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ checks */

ccz_rc cczi_bfv_context(bool same, struct ccz_err *err)
{
    return same ? CCZ_OK
                : ccz_fail(err, CCZ_E_MISMATCH, "bfv:context", 0,
                           "plaintext or ciphertext is of another context than the evaluator");
}

ccz_rc cczi_bfv_operand(const struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_context(a->ctx == e->ctx, err);
    if (rc == CCZ_OK && a->ct.parts == 0)
        rc = ccz_fail(err, CCZ_E_ARG, "bfv:empty", 0, "the ciphertext is empty");
    return rc;
}

ccz_rc cczi_bfv_same_key(const uint8_t *have, const uint8_t *want, struct ccz_err *err)
{
    if (memcmp(have, want, CCZ_RLWE_KEY_ID_SIZE) == 0)
        return CCZ_OK;
    return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "bfv:key-id", have, CCZ_RLWE_KEY_ID_SIZE, want,
                            CCZ_RLWE_KEY_ID_SIZE);
}

ccz_rc cczi_bfv_limbs(size_t *limbs, const struct ccz_bfv *c, struct ccz_err *err)
{
    *limbs = *limbs ? *limbs : c->data_len;
    return *limbs <= c->data_len
               ? CCZ_OK
               : ccz_refuse_num(err, CCZ_E_ARG, "bfv:limbs", (int64_t)*limbs, (int64_t)c->data_len);
}

ccz_rc cczi_bfv_output(struct ccz_bfv_ct *out, const struct ccz_bfv_eval *e, bool is_input,
                       struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_context(out->ctx == e->ctx, err);
    if (rc != CCZ_OK)
        return rc;
    if (!is_input)
        out->ct.parts = 0;
    return ccz_rlwe_ct_reserve(&out->ct, 2) == CCZ_OK ? CCZ_OK : no_memory(err);
}

void cczi_bfv_finish(struct ccz_bfv_ct *out, const struct ccz_bfv_ct *a, struct cczi_bfv_noise v,
                     bool is_private)
{
    out->ct.parts = 2;
    out->ct.limbs = a->ct.limbs;
    out->ct.ntt = true;
    out->ct.seeded = false;
    if (out != a)
        memcpy(out->ct.key_id, a->ct.key_id, sizeof(out->ct.key_id));
    out->sigma = v.sigma;
    out->fixed = v.fixed;
    out->is_private = is_private;
}
