/* SPDX-License-Identifier: Apache-2.0 */
/* Products of powers by buckets; see mont_multi_priv.h. */
#include "mont_multi_priv.h"

#include <string.h>

/* Bases per round: their powers and inverses stay in the cache, and one inversion serves all. */
enum { CHUNK = 256 };

/* Memory of a call. */
struct work {
    uint64_t *buckets;           /* [group][lane][0 .. half][len] */
    uint64_t *powers, *inverses; /* [position][base][len] */
};

static uint64_t *bucket(const struct cczi_mont_multi *p, const struct work *w, size_t lane,
                        size_t digit)
{
    return w->buckets + (lane * (p->half + 1) + digit) * p->m->len;
}

/* powers[k] = bases^(2^(window k)), and inverses. */
static ccz_rc make_powers(const struct cczi_mont_multi *p, const struct work *w, size_t first,
                          size_t count, size_t *bad)
{
    const struct ccz_mont *m = p->m;
    struct ccz_err err;
    size_t row = count * m->len;
    memcpy(w->powers, p->bases + first * m->len, row * 8);
    for (size_t k = 1; k < p->positions; k++) {
        uint64_t *next = w->powers + k * row;
        memcpy(next, next - row, row * 8);
        for (unsigned i = 0; i < p->window; i++)
            ccz_mont_sqr(m, next, next, count);
    }
    ccz_rc rc = ccz_mont_inv_var(m, w->inverses, w->powers, p->positions * count, &err);
    if (rc == CCZ_E_FORMAT)
        *bad = first + (size_t)err.aux % count;
    return rc;
}

/* Multiplies a chunk of bases into the buckets of one group of outputs. */
static void fill(const struct cczi_mont_multi *p, const struct work *w, size_t group, size_t first,
                 size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t sums[CCZI_MONT_GROUP_LEN], factors[CCZI_MONT_GROUP_LEN];
    const struct ccz_mont *m = p->m;
    size_t wide = m->tier->wide->lanes, start = group * wide, left = p->out_len - start;
    const struct cczi_mont_ops *ops = cczi_mont_ops(m, left);
    for (size_t i = 0; i < count; i++) {
        const int64_t *exps = p->exps + (first + i) * p->stride + start;
        for (size_t k = 0; k < p->positions; k++) {
            const uint64_t *from[CCZI_MONT_LANES_MAX], *factor[CCZI_MONT_LANES_MAX];
            uint64_t *to[CCZI_MONT_LANES_MAX];
            size_t at = (k * count + i) * m->len;
            bool any = false;
            for (size_t j = 0; j < ops->lanes; j++) {
                int d = j < left ? cczi_mont_digit(p, exps[j], k) : 0;
                factor[j] = (d < 0 ? w->inverses : w->powers) + at;
                from[j] = to[j] = bucket(p, w, start + j, (size_t)(d < 0 ? -d : d));
                any = any || d != 0;
            }
            if (!any)
                continue;
            ops->load(sums, from, m->len);
            ops->load(factors, factor, m->len);
            ops->mul[m->pair](sums, sums, factors, cczi_mont_moduli(m, ops));
            ops->store(to, sums, m->len);
        }
    }
}

/* out = product of bucket[d]^d: product of the running products from the top. */
static void sum_up(const struct cczi_mont_multi *p, const struct work *w, uint64_t *out,
                   size_t group)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t running[CCZI_MONT_GROUP_LEN], sum[CCZI_MONT_GROUP_LEN];
    _Alignas(CCZI_MONT_ALIGN) uint64_t factor[CCZI_MONT_GROUP_LEN];
    const struct ccz_mont *m = p->m;
    size_t wide = m->tier->wide->lanes, start = group * wide, left = p->out_len - start;
    const struct cczi_mont_ops *ops = cczi_mont_ops(m, left);
    const struct cczi_mont_moduli *moduli = cczi_mont_moduli(m, ops);
    for (size_t d = p->half; d > 0; d--) {
        const uint64_t *from[CCZI_MONT_LANES_MAX];
        for (size_t j = 0; j < ops->lanes; j++)
            from[j] = bucket(p, w, start + j, d);
        ops->load(d == p->half ? running : factor, from, m->len);
        if (d < p->half)
            ops->mul[m->pair](running, running, factor, moduli);
        if (d == p->half)
            memcpy(sum, running, m->len * ops->lanes * 8);
        else
            ops->mul[m->pair](sum, sum, running, moduli);
    }
    cczi_mont_store(m, ops, out + start * m->len, sum, left < ops->lanes ? left : ops->lanes);
}

ccz_rc cczi_mont_by_buckets(const struct cczi_mont_multi *p, uint64_t *out, struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    const struct ccz_mont *m = p->m;
    size_t groups = cczi_mont_groups(p), lanes = groups * m->tier->wide->lanes;
    size_t chunk = p->bases_len < CHUNK ? p->bases_len : CHUNK;
    size_t buckets_len = lanes * (p->half + 1), powers_len = chunk * p->positions;
    uint64_t *memory = cczi_mont_scratch_new(&scratch, (buckets_len + 2 * powers_len) * m->len);
    if (!memory)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    struct work w = {.buckets = memory, .powers = memory + buckets_len * m->len};
    w.inverses = w.powers + powers_len * m->len;
    for (size_t i = 0; i < buckets_len; i++)
        memcpy(w.buckets + i * m->len, m->one, m->len * 8);
    for (size_t first = 0, n; first < p->bases_len; first += n) {
        size_t bad = 0;
        n = p->bases_len - first < chunk ? p->bases_len - first : chunk;
        ccz_rc rc = make_powers(p, &w, first, n, &bad);
        if (rc != CCZ_OK)
            return cczi_mont_blame(p, out, rc, bad, err);
        for (size_t g = 0; g < groups; g++)
            fill(p, &w, g, first, n);
    }
    for (size_t g = 0; g < groups; g++)
        sum_up(p, &w, out, g);
    return CCZ_OK;
}
