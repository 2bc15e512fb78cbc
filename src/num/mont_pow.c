/* SPDX-License-Identifier: Apache-2.0 */
/* Powers: windows of fixed width for secret exponents, sliding ones for public exponents. */
#include "mont_priv.h"

#include <string.h>

enum { WINDOW_MAX = 6 };

/* ---------------------------------------------------------------------------- secret exponents */

/* Bits per window: cheapest, where a product costs as much as reading `ratio` entries of the table. The
 * table does not fit into the first cache. */
static unsigned best_window(size_t exp_bits, size_t ratio)
{
    unsigned best = 1;
    size_t best_cost = SIZE_MAX;
    for (unsigned w = 1; w <= WINDOW_MAX; w++) {
        size_t windows = (exp_bits + w - 1) / w, entries = (size_t)1 << w;
        size_t cost = ratio * (entries + windows) + windows * entries;
        if (cost < best_cost) {
            best = w;
            best_cost = cost;
        }
    }
    return best;
}

/* What the powers of a group need, in one piece of scratch. */
struct power {
    const struct cczi_mont_ops *ops;
    const struct cczi_mont_moduli *moduli;
    struct cczi_mont_moduli mixed; /* where the moduli differ */
    bool pair;
    size_t len, group_len;
    size_t exp_bits;
    unsigned window;
    uint64_t *acc, *entry, *table, *mixed_mod;
};

static size_t power_lay_out(struct power *p, uint64_t *base, size_t limbs)
{
    size_t entries = (size_t)1 << p->window;
    p->group_len = p->len * p->ops->lanes;
    p->acc = base;
    p->entry = p->acc + p->group_len;
    p->table = p->entry + p->group_len;
    p->mixed_mod = p->table + entries * p->group_len;
    return (2 + entries) * p->group_len + (2 * limbs + 1) * p->ops->cells;
}

static const struct ccz_mont_job *job_of(const struct ccz_mont_job *jobs, size_t count, size_t lane)
{
    return &jobs[lane < count ? lane : count - 1];
}

/* Moduli of the jobs: those of their context if they have the same, else put together. */
static void set_moduli(struct power *p, const struct ccz_mont_job *jobs, size_t count)
{
    const struct ccz_mont *m = jobs[0].m;
    size_t cells = p->ops->cells, limbs = m->limbs;
    bool same = true;
    for (size_t k = 1; k < count; k++)
        same = same && jobs[k].m == m;
    p->moduli = cczi_mont_moduli(m, p->ops);
    if (same)
        return;
    uint64_t *mod_1 = p->mixed_mod + limbs * cells, *minus_k = mod_1 + limbs * cells;
    for (size_t k = 0; k < cells; k++) {
        const struct ccz_mont *own = job_of(jobs, count, k * p->ops->lanes / cells)->m;
        for (size_t i = 0; i < limbs; i++) {
            p->mixed_mod[i * cells + k] = own->mod[i];
            mod_1[i * cells + k] = own->mod_1[i];
        }
        minus_k[k] = own->minus_k;
    }
    p->mixed = (struct cczi_mont_moduli){limbs, p->mixed_mod, mod_1, minus_k};
    p->moduli = &p->mixed;
}

/* Powers 0 .. entries - 1 of the bases. */
static void fill_table(struct power *p, const struct ccz_mont_job *jobs, size_t count)
{
    const uint64_t *ones[CCZI_MONT_LANES_MAX], *bases[CCZI_MONT_LANES_MAX];
    size_t entries = (size_t)1 << p->window, n = p->group_len;
    for (size_t k = 0; k < p->ops->lanes; k++) {
        ones[k] = job_of(jobs, count, k)->m->one;
        bases[k] = job_of(jobs, count, k)->base;
    }
    p->ops->load(p->table, ones, p->len);
    p->ops->load(p->table + n, bases, p->len);
    for (size_t e = 2; e < entries; e++) {
        uint64_t *t = p->table + e * n;
        if (e % 2 == 0)
            p->ops->sqr[p->pair](t, p->table + e / 2 * n, p->moduli);
        else
            p->ops->mul[p->pair](t, t - n, p->table + n, p->moduli);
    }
}

static void pick(struct power *p, uint64_t *r, const struct ccz_mont_job *jobs, size_t count,
                 size_t from)
{
    uint64_t digits[CCZI_MONT_LANES_MAX];
    size_t left = p->exp_bits - from;
    unsigned bits = left < p->window ? (unsigned)left : p->window;
    for (size_t k = 0; k < p->ops->lanes; k++)
        digits[k] = cczi_mont_bits(job_of(jobs, count, k)->exp, (p->exp_bits + 7) / 8, from, bits);
    p->ops->select(r, p->table, (size_t)1 << p->window, digits, p->len);
    ccz_wipe(digits, sizeof(digits));
}

static void power_group(struct power *p, const struct ccz_mont_job *jobs, size_t count)
{
    uint64_t *outs[CCZI_MONT_LANES_MAX], unused[CCZ_MONT_LEN_MAX];
    size_t from = (p->exp_bits - 1) / p->window * p->window;
    set_moduli(p, jobs, count);
    fill_table(p, jobs, count);
    pick(p, p->acc, jobs, count, from);
    while (from > 0) {
        from -= p->window;
        for (unsigned i = 0; i < p->window; i++)
            p->ops->sqr[p->pair](p->acc, p->acc, p->moduli);
        pick(p, p->entry, jobs, count, from);
        p->ops->mul[p->pair](p->acc, p->acc, p->entry, p->moduli);
    }
    for (size_t k = 0; k < p->ops->lanes; k++)
        outs[k] = k < count ? jobs[k].out : unused;
    p->ops->store(outs, p->acc, p->len);
}

ccz_rc ccz_mont_pow(const struct ccz_mont_job *jobs, size_t jobs_len, size_t exp_bits,
                    struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    if (exp_bits < 1 || exp_bits > CCZ_MONT_EXP_BITS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "mont:exp", (int64_t)exp_bits,
                        "an exponent of %zu bits, expected 1 to %d", exp_bits,
                        CCZ_MONT_EXP_BITS_MAX);
    if (jobs_len == 0)
        return CCZ_OK;
    const struct ccz_mont *m = jobs[0].m;
    for (size_t i = 1; i < jobs_len; i++) {
        const struct ccz_mont *other = jobs[i].m;
        if (other->tier != m->tier || other->pair != m->pair || other->limbs != m->limbs)
            return ccz_fail(err, CCZ_E_ARG, "mont:shape", (int64_t)i,
                            "moduli of different size or kind in one call");
    }
    struct power p = {.pair = m->pair,
                      .len = m->len,
                      .exp_bits = exp_bits,
                      .window = best_window(exp_bits, 2 * m->limbs),
                      .ops = cczi_mont_ops(m, jobs_len)};
    uint64_t none;
    uint64_t *memory = cczi_mont_scratch_new(&scratch, power_lay_out(&p, &none, m->limbs));
    if (!memory)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    for (size_t done = 0, n; done < jobs_len; done += n) {
        p.ops = cczi_mont_ops(m, jobs_len - done);
        n = jobs_len - done < p.ops->lanes ? jobs_len - done : p.ops->lanes;
        (void)power_lay_out(&p, memory, m->limbs);
        power_group(&p, jobs + done, n);
    }
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- public exponents */

static bool bit(struct ccz_span exp, size_t i)
{
    return exp.ptr[exp.size - 1 - i / 8] >> (i % 8) & 1;
}

/* Sliding windows: odd powers of the base only. table[i] = base^(2 i + 1) */
static void slide(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *acc,
                  uint64_t *table, struct ccz_span exp, size_t bits, unsigned window)
{
    const struct cczi_mont_moduli *moduli = cczi_mont_moduli(m, ops);
    size_t n = m->len * ops->lanes, entries = (size_t)1 << (window - 1);
    bool started = false;
    if (entries > 1)
        ops->sqr[m->pair](acc, table, moduli);
    for (size_t e = 1; e < entries; e++)
        ops->mul[m->pair](table + e * n, table + (e - 1) * n, acc, moduli);
    for (size_t i = bits; i > 0;) {
        if (!bit(exp, i - 1)) {
            ops->sqr[m->pair](acc, acc, moduli); /* the first bit is set */
            i--;
            continue;
        }
        size_t low = i > window ? i - window : 0;
        while (!bit(exp, low))
            low++;
        size_t digit = cczi_mont_bits(exp.ptr, exp.size, low, (unsigned)(i - low));
        for (; started && i > low; i--)
            ops->sqr[m->pair](acc, acc, moduli);
        if (started)
            ops->mul[m->pair](acc, acc, table + digit / 2 * n, moduli);
        else
            memcpy(acc, table + digit / 2 * n, n * 8);
        started = true;
        i = low;
    }
}

ccz_rc ccz_mont_pow_var(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, size_t count,
                        struct ccz_span exp, struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    while (exp.size > 0 && exp.ptr[0] == 0)
        exp = CCZ_SPAN(exp.ptr + 1, exp.size - 1);
    size_t bits = exp.size * 8;
    if (bits > CCZ_MONT_EXP_BITS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "mont:exp", (int64_t)bits,
                        "an exponent of %zu bits, expected at most %d", bits,
                        CCZ_MONT_EXP_BITS_MAX);
    if (bits == 0) {
        for (size_t i = 0; i < count; i++)
            memcpy(out + i * m->len, m->one, m->len * 8);
        return CCZ_OK;
    }
    while (!bit(exp, bits - 1))
        bits--;
    unsigned window = bits > 512 ? 6 : bits > 128 ? 5 : bits > 24 ? 4 : bits > 7 ? 3 : 1;
    size_t entries = (size_t)1 << (window - 1);
    size_t group_len = m->len * m->tier->wide->lanes;
    uint64_t *acc = cczi_mont_scratch_new(&scratch, (entries + 1) * group_len);
    if (!acc)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        n = count - done < ops->lanes ? count - done : ops->lanes;
        cczi_mont_load(m, ops, acc + group_len, a + done * m->len, m->len, n);
        slide(m, ops, acc, acc + group_len, exp, bits, window);
        cczi_mont_store(m, ops, out + done * m->len, acc, n);
    }
    return CCZ_OK;
}
