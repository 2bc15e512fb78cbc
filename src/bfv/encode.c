/* SPDX-License-Identifier: Apache-2.0 */
/* Plaintexts: slots, coefficients, public bounds, the form of factors. */
#include "bfv_priv.h"

#include "base/ct.h"

#include <math.h>
#include <string.h>

/* Whether all are in [0, t); the answer alone is public. */
static bool in_range(const struct ccz_bfv *c, const uint64_t *values, size_t len)
{
    uint64_t bad = 0;
    for (size_t i = 0; i < len; i++)
        bad |= c->plain_bits ? (c->plain_bits < 64 ? values[i] >> c->plain_bits : 0)
                             : (values[i] >> 63) | (c->t.q - 1 - values[i]) >> 63;
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    return bad == 0;
}

static ccz_rc check_values(const struct ccz_bfv *c, const uint64_t *values, size_t len,
                           struct ccz_err *err)
{
    if (len > c->n)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:length", (int64_t)len, (int64_t)c->n);
    if (!in_range(c, values, len))
        return ccz_fail(err, CCZ_E_ARG, "bfv:value", 0,
                        "a value is not below the plaintext modulus of %.2f bits", c->log2_t);
    return CCZ_OK;
}

static ccz_rc check_slots(const struct ccz_bfv *c, struct ccz_err *err)
{
    if (c->slots)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "bfv:no-slots", 0,
                    "slots need a prime plaintext modulus that is 1 modulo %zu", 2 * c->n);
}

ccz_rc ccz_bfv_encode(struct ccz_bfv_pt *out, struct ccz_bfv_eval *e, const uint64_t *values,
                      size_t len, struct ccz_err *err)
{
    const struct ccz_bfv *c = e->ctx;
    ccz_rc rc = cczi_bfv_context(out->ctx == c, err);
    if (rc == CCZ_OK)
        rc = check_slots(c, err);
    if (rc == CCZ_OK)
        rc = check_values(c, values, len, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_bfv_pt_reset(out);
    memset(e->word, 0, c->n * sizeof(*e->word));
    for (size_t j = 0; j < len; j++)
        e->word[c->slot_at[j]] = values[j];
    ccz_ntt_inverse(out->m, e->word, c->slots);
    ccz_wipe(e->word, c->n * sizeof(*e->word));
    return CCZ_OK;
}

ccz_rc ccz_bfv_encode_coeff(struct ccz_bfv_pt *out, const uint64_t *coeff, size_t len,
                            struct ccz_err *err)
{
    ccz_rc rc = check_values(out->ctx, coeff, len, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_bfv_pt_reset(out);
    if (len > 0)
        memcpy(out->m, coeff, len * sizeof(*coeff));
    memset(out->m + len, 0, (out->ctx->n - len) * sizeof(*coeff));
    return CCZ_OK;
}

ccz_rc ccz_bfv_decode(uint64_t *out, size_t len, struct ccz_bfv_eval *e, const struct ccz_bfv_pt *p,
                      struct ccz_err *err)
{
    const struct ccz_bfv *c = e->ctx;
    ccz_rc rc = cczi_bfv_context(p->ctx == c, err);
    if (rc == CCZ_OK)
        rc = check_slots(c, err);
    if (rc == CCZ_OK && len > c->n)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "bfv:length", (int64_t)len, (int64_t)c->n);
    if (rc != CCZ_OK)
        return rc;
    ccz_ntt_forward(e->word, p->m, c->slots);
    for (size_t j = 0; j < len; j++)
        out[j] = e->word[c->slot_at[j]];
    ccz_wipe(e->word, c->n * sizeof(*e->word));
    return CCZ_OK;
}

/* |coefficient nearest to 0|, at most 2^63 */
static inline uint64_t magnitude(const struct ccz_bfv *c, uint64_t m)
{
    if (!c->plain_bits) {
        const uint64_t over = (c->t.q / 2 - m) >> 63;
        return m ^ ((m ^ (c->t.q - m)) & -over);
    }
    const uint64_t sign = UINT64_C(1) << (c->plain_bits - 1);
    const uint64_t value = (m ^ sign) - sign, negative = -(value >> 63);
    return (value ^ negative) - negative;
}

ccz_rc ccz_bfv_pt_declare(struct ccz_bfv_pt *p, double max_abs, size_t terms, struct ccz_err *err)
{
    const uint64_t limit = max_abs < 0x1p63 ? (uint64_t)(max_abs > 0 ? max_abs : 0) : INT64_MAX;
    uint64_t large = 0, len = 0;
    for (size_t x = 0; x < p->ctx->n; x++) {
        const uint64_t size = magnitude(p->ctx, p->m[x]);
        large |= (limit - size) >> 63;
        len += (size | -size) >> 63;
    }
    uint64_t bad = (max_abs < 0x1p63 ? large : 0) | (terms - len) >> 63;
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    if (bad || !(max_abs >= 0) || !isfinite(max_abs) || terms > p->ctx->n)
        return ccz_fail(err, CCZ_E_ARG, "bfv:declared", 0,
                        "not every coefficient is within %g, or more than %zu are not 0", max_abs,
                        terms);
    p->max_abs = max_abs;
    p->terms = terms;
    return CCZ_OK;
}

struct job {
    struct ccz_bfv_pt *p;
};

static void factor_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const struct ccz_bfv *c = j->p->ctx;
    uint64_t *out = j->p->factor + i * c->n;
    cczi_bfv_centred(out, c, j->p->m, i);
    ccz_ntt_forward(out, out, ccz_rlwe_ntt(c->ring, i));
}

ccz_rc ccz_bfv_pt_prepare(struct ccz_bfv_pt *p, struct ccz_bfv_eval *e, size_t limbs,
                          struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_context(p->ctx == e->ctx, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_limbs(&limbs, p->ctx, err);
    if (rc != CCZ_OK || p->factor_limbs >= limbs)
        return rc;
    if (!p->factor)
        p->factor = ccz_rlwe_words_new(p->ctx->data_len * p->ctx->n);
    if (!p->factor)
        return ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
    struct job j = {p};
    ccz_rlwe_parallel(e->work, limbs, factor_limb, &j);
    p->factor_limbs = limbs;
    return CCZ_OK;
}
