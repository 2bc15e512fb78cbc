/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Powers of one base. With windows of w bits, base^e is the product of base^(d_k 2^(w k)) over the
 * digits d_k of e, and all of these factors are in a table (Brickell, Gordon, McCurley and Wilson,
 * "Fast exponentiation with precomputation", 1992). Every lookup reads all entries of its window.
 */
#include "mont_priv.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_DEFAULT = 6, WINDOW_MIN_ENTRIES = 8, BLOCK_GROUPS = 4 };

struct ccz_mont_comb {
    const struct ccz_mont *m;
    size_t exp_bits, windows, entries; /* entries: at least 8, those above 2^window are unused */
    unsigned window;
    struct cczi_mont_scratch table; /* [windows][len][entries] */
};

static uint64_t *window_table(const struct ccz_mont_comb *c, size_t k)
{
    return c->table.ptr + k * c->m->len * c->entries;
}

static void put_entry(const struct ccz_mont_comb *c, size_t k, size_t entry, const uint64_t *value)
{
    uint64_t *t = window_table(c, k);
    for (size_t i = 0; i < c->m->len; i++)
        t[i * c->entries + entry] = value[i];
}

/* Entries of windows k .. k + count - 1 from their bases, side by side. */
static void fill_windows(const struct ccz_mont_comb *c, size_t k, size_t count,
                         const uint64_t *bases)
{
    uint64_t powers[CCZI_MONT_LANES_MAX * CCZ_MONT_LEN_MAX];
    const struct ccz_mont *m = c->m;
    for (size_t i = 0; i < count; i++) {
        put_entry(c, k + i, 0, m->one);
        put_entry(c, k + i, 1, bases + i * m->len);
    }
    memcpy(powers, bases, count * m->len * 8);
    for (size_t e = 2; e < (size_t)1 << c->window; e++) {
        ccz_mont_mul(m, powers, powers, bases, count);
        for (size_t i = 0; i < count; i++)
            put_entry(c, k + i, e, powers + i * m->len);
    }
    ccz_wipe(powers, sizeof(powers));
}

static void fill(const struct ccz_mont_comb *c, const uint64_t *base)
{
    uint64_t bases[CCZI_MONT_LANES_MAX * CCZ_MONT_LEN_MAX], next[CCZ_MONT_LEN_MAX];
    const struct ccz_mont *m = c->m;
    memcpy(next, base, m->len * 8);
    for (size_t k = 0, n; k < c->windows; k += n) {
        for (n = 0; n < m->tier->wide->lanes && k + n < c->windows; n++) {
            memcpy(bases + n * m->len, next, m->len * 8);
            for (unsigned i = 0; i < c->window; i++)
                ccz_mont_sqr(m, next, next, 1);
        }
        fill_windows(c, k, n, bases);
    }
    ccz_wipe(bases, sizeof(bases));
    ccz_wipe(next, sizeof(next));
}

ccz_rc ccz_mont_comb_new(struct ccz_mont_comb **out, const struct ccz_mont *m, const uint64_t *base,
                         size_t exp_bits, unsigned window, struct ccz_err *err)
{
    *out = NULL;
    if (exp_bits < 1 || exp_bits > CCZ_MONT_EXP_BITS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "mont:exp", (int64_t)exp_bits,
                        "an exponent of %zu bits, expected 1 to %d", exp_bits,
                        CCZ_MONT_EXP_BITS_MAX);
    if (window > CCZ_MONT_COMB_WINDOW_MAX)
        return ccz_fail(err, CCZ_E_ARG, "mont:window", window, "a window of %u bits, expected %d",
                        window, CCZ_MONT_COMB_WINDOW_MAX);
    struct ccz_mont_comb *c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    c->m = m;
    c->exp_bits = exp_bits;
    c->window = window ? window : WINDOW_DEFAULT;
    c->windows = (exp_bits + c->window - 1) / c->window;
    c->entries = (size_t)1 << c->window;
    if (c->entries < WINDOW_MIN_ENTRIES)
        c->entries = WINDOW_MIN_ENTRIES;
    if (!cczi_mont_scratch_new(&c->table, c->windows * m->len * c->entries)) {
        ccz_mont_comb_free(c);
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    }
    memset(c->table.ptr, 0, c->table.len * 8);
    fill(c, base);
    *out = c;
    return CCZ_OK;
}

void ccz_mont_comb_free(struct ccz_mont_comb *c)
{
    if (c)
        cczi_mont_scratch_free(&c->table);
    free(c);
}

size_t ccz_mont_comb_size(const struct ccz_mont_comb *c)
{
    return c->table.len * 8;
}

/* One group among those that share a pass over the table. */
struct part {
    const struct cczi_mont_ops *ops;
    const uint8_t *exps;
    size_t count;
    uint64_t *acc;
};

static void digits_of(const struct ccz_mont_comb *c, uint64_t *digits, const struct part *p,
                      size_t window)
{
    size_t size = (c->exp_bits + 7) / 8, from = window * c->window, left = c->exp_bits - from;
    unsigned bits = left < c->window ? (unsigned)left : c->window;
    for (size_t k = 0; k < p->ops->lanes; k++)
        digits[k] =
            cczi_mont_bits(p->exps + size * (k < p->count ? k : p->count - 1), size, from, bits);
}

static void multiply_in(const struct ccz_mont_comb *c, const struct part *p, size_t window,
                        uint64_t *entry)
{
    uint64_t digits[CCZI_MONT_LANES_MAX];
    digits_of(c, digits, p, window);
    p->ops->lookup(window == 0 ? p->acc : entry, window_table(c, window), c->entries, digits,
                   c->m->len);
    if (window > 0)
        p->ops->mul[c->m->pair](p->acc, p->acc, entry, cczi_mont_moduli(c->m, p->ops));
    ccz_wipe(digits, sizeof(digits));
}

ccz_rc ccz_mont_comb_pow(const struct ccz_mont_comb *c, uint64_t *out, const uint8_t *exps,
                         size_t count, struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    const struct ccz_mont *m = c->m;
    size_t exp_size = (c->exp_bits + 7) / 8, group_len = m->len * m->tier->wide->lanes;
    uint64_t *memory = cczi_mont_scratch_new(&scratch, (BLOCK_GROUPS + 1) * group_len);
    if (!memory)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    for (size_t done = 0; done < count;) {
        struct part parts[BLOCK_GROUPS];
        size_t len = 0, first = done;
        for (; len < BLOCK_GROUPS && done < count; len++) {
            struct part *p = &parts[len];
            p->ops = cczi_mont_ops(m, count - done);
            p->exps = exps + done * exp_size;
            p->count = count - done < p->ops->lanes ? count - done : p->ops->lanes;
            p->acc = memory + (len + 1) * group_len;
            done += p->count;
        }
        for (size_t k = 0; k < c->windows; k++) {
            for (size_t i = 0; i < len; i++)
                multiply_in(c, &parts[i], k, memory);
        }
        for (size_t i = 0; i < len; first += parts[i++].count)
            cczi_mont_store(m, parts[i].ops, out + first * m->len, parts[i].acc, parts[i].count);
    }
    return CCZ_OK;
}
