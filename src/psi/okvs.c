/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, GAP_MAX = 16, TABLES = CCZI_OKVS_DENSE / 8, PIVOT_SHIFT = 24 };
_Static_assert(CCZI_OKVS_KEYS_MAX <= (size_t)1 << PIVOT_SHIFT,
               "an order entry holds key and pivot");

/*
 * Segments of 2^bits for up to `keys` keys, of which at most `load` (in 1/1024) per element of the segments that a key
 * can begin in. Where peeling begins to fail, and how fast the probability falls below that: docs/design/psi.md.
 */
static const struct {
    size_t keys;
    unsigned bits, load;
} sizes[] = {
    {(size_t)1 << 11, 8, 665},  {(size_t)1 << 13, 9, 716},  {(size_t)1 << 15, 10, 798},
    {(size_t)1 << 17, 11, 840}, {(size_t)1 << 19, 12, 850}, {CCZI_OKVS_KEYS_MAX, 13, 880},
};

void cczi_okvs_params(struct cczi_okvs *out, size_t keys)
{
    size_t i = 0;
    while (keys > sizes[i].keys)
        i++;
    uint64_t per_segment = ((uint64_t)sizes[i].load << sizes[i].bits) >> 10;
    out->seg_bits = sizes[i].bits;
    out->starts = (uint32_t)((keys + per_segment - 1) / per_segment);
    out->sparse_len = ((size_t)out->starts + 2) << out->seg_bits;
    out->len = out->sparse_len + CCZI_OKVS_DENSE;
}

/* ---------------------------------------------------------------------------------- keys */

static void free_wiped(void *p, size_t size)
{
    if (p)
        ccz_wipe(p, size);
    free(p);
}

void cczi_okvs_keys_free(struct cczi_okvs_keys *k)
{
    if (!k)
        return;
    free_wiped(k->pos, k->len * sizeof(*k->pos));
    free_wiped(k->value, k->len * sizeof(*k->value));
    free_wiped(k->item, k->len * sizeof(*k->item));
    free(k);
}

static uint32_t start_of(const struct cczi_digest *d, const struct cczi_okvs *okvs)
{
    return (uint32_t)(((uint64_t)d->w[4] * okvs->starts) >> 32);
}

/* Words 0-3 of the hash are the value, 4 the first segment, 5-7 the rest: independent of each other, which matters. If
 * the dense bits were made of the value's, one fixed table could answer every key. */
static void put_key(struct cczi_okvs_keys *k, size_t at, size_t item, const struct cczi_digest *d,
                    const struct cczi_okvs *okvs)
{
    uint16_t mask = (uint16_t)((1u << okvs->seg_bits) - 1);
    k->pos[at] = (struct cczi_okvs_pos){
        .base = start_of(d, okvs) << okvs->seg_bits,
        .off = {(uint16_t)(d->w[5] & mask), (uint16_t)(d->w[5] >> 16 & mask),
                (uint16_t)(d->w[6] & mask)},
        .dense_high = (uint16_t)(d->w[6] >> 16),
        .dense_low = d->w[7],
    };
    k->value[at] = (struct ccz_f128){.lo = d->w[0] | (uint64_t)d->w[1] << 32,
                                     .hi = d->w[2] | (uint64_t)d->w[3] << 32};
    k->item[at] = (uint32_t)item;
}

static void hash_items(struct cczi_digest *d, const struct cczi_psi_rec *items, size_t len,
                       const struct cczi_ro *ro)
{
    uint8_t in[BATCH][32] = {{0}};
    for (size_t i = 0; i < len; i += BATCH) {
        size_t n = len - i < BATCH ? len - i : BATCH;
        for (size_t j = 0; j < n; j++)
            memcpy(in[j], items[i + j].b, 16);
        cczi_ro_hash(d + i, ro, (const uint8_t(*)[32])in, n);
    }
    ccz_wipe(in, sizeof(in));
}

ccz_rc cczi_okvs_keys_new(struct cczi_okvs_keys **out, const struct cczi_psi_rec *items, size_t len,
                          const struct cczi_okvs *okvs, const struct cczi_ro *ro,
                          struct cczi_digest *d, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_okvs_keys) k = calloc(1, sizeof(*k));
    uint32_t *at = calloc((size_t)okvs->starts + 1, sizeof(*at));
    if (k) {
        k->len = len;
        k->pos = cczi_psi_alloc(len, sizeof(*k->pos));
        k->value = cczi_psi_alloc(len, sizeof(*k->value));
        k->item = cczi_psi_alloc(len, sizeof(*k->item));
    }
    if (!k || !at || !k->pos || !k->value || !k->item) {
        free(at);
        return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for the keys");
    }
    hash_items(d, items, len, ro);
    for (size_t i = 0; i < len; i++)
        at[start_of(&d[i], okvs) + 1]++;
    for (uint32_t s = 0; s < okvs->starts; s++)
        at[s + 1] += at[s];
    for (size_t i = 0; i < len; i++)
        put_key(k, at[start_of(&d[i], okvs)]++, i, &d[i], okvs);
    free(at);
    *out = cczi_okvs_keys_take(&k);
    return CCZ_OK;
}

/* The three elements of a key. */
static inline void slots_of(uint32_t s[3], const struct cczi_okvs_pos *p, unsigned seg_bits)
{
    uint32_t seg = (uint32_t)1 << seg_bits;
    s[0] = p->base + p->off[0];
    s[1] = p->base + seg + p->off[1];
    s[2] = p->base + 2 * seg + p->off[2];
}

static inline uint64_t dense_of(const struct cczi_okvs_pos *p)
{
    return (uint64_t)p->dense_high << 32 | p->dense_low;
}

static inline void add(struct ccz_f128 *a, struct ccz_f128 b)
{
    a->lo ^= b.lo;
    a->hi ^= b.hi;
}

/* ------------------------------------------------------------------- sums of chosen elements */

/* Sums of every subset of eight elements ("four Russians"): a byte of the choice is one look-up. */
struct subsets {
    struct ccz_f128 sum[TABLES][256];
};

static void subsets_init(struct subsets *t, const struct ccz_f128 *dense)
{
    for (size_t k = 0; k < TABLES; k++) {
        t->sum[k][0] = (struct ccz_f128){0};
        for (unsigned bit = 0; bit < 8; bit++) {
            for (unsigned i = 0; i < 1u << bit; i++) {
                t->sum[k][i | 1u << bit] = t->sum[k][i];
                add(&t->sum[k][i | 1u << bit], dense[8 * k + bit]);
            }
        }
    }
}

static inline struct ccz_f128 subset_sum(const struct subsets *t, uint64_t choice)
{
    struct ccz_f128 r = t->sum[0][choice & 255];
    for (size_t k = 1; k < TABLES; k++)
        add(&r, t->sum[k][choice >> (8 * k) & 255]);
    return r;
}

void cczi_okvs_decode(struct ccz_f128 *out, const struct ccz_f128 *p, const struct cczi_okvs *okvs,
                      const struct cczi_okvs_keys *keys)
{
    struct subsets t;
    subsets_init(&t, p + okvs->sparse_len);
    for (size_t i = 0; i < keys->len; i++) {
        uint32_t s[3];
        slots_of(s, &keys->pos[i], okvs->seg_bits);
        struct ccz_f128 r = subset_sum(&t, dense_of(&keys->pos[i]));
        add(&r, p[s[0]]);
        add(&r, p[s[1]]);
        add(&r, p[s[2]]);
        out[i] = r;
    }
    ccz_wipe(&t, sizeof(t));
}

/* --------------------------------------------------------------------------------- solving */

struct slot {
    uint32_t keys; /* exclusive or of the keys that look here and are not placed yet */
    uint32_t len;  /* how many these are */
};
/* Peeling: a key that is alone at one of its elements is placed there, and solved when all keys after it are. */
struct peel {
    const struct cczi_okvs *okvs;
    const struct cczi_okvs_keys *keys;
    struct slot *slots;
    uint32_t *stack; /* elements with one key left */
    uint32_t
        *order; /* keys in the order of their placing, and which of the three elements is its own */
    size_t placed;
    bool *gone;            /* placed, or in the gap */
    uint32_t gap[GAP_MAX]; /* keys that had to be taken out so that the others could be placed */
    size_t gap_len;
};

static void peel_free(struct peel *w)
{
    free_wiped(w->slots, w->okvs->sparse_len * sizeof(*w->slots));
    free_wiped(w->order, w->keys->len * sizeof(*w->order));
    free(w->stack);
    free(w->gone);
}

static ccz_rc peel_init(struct peel *w, const struct cczi_okvs *okvs,
                        const struct cczi_okvs_keys *keys, struct ccz_err *err)
{
    *w = (struct peel){.okvs = okvs, .keys = keys};
    w->slots = cczi_psi_alloc_zero(okvs->sparse_len, sizeof(*w->slots));
    w->stack = cczi_psi_alloc(okvs->sparse_len, sizeof(*w->stack));
    w->order = cczi_psi_alloc(keys->len, sizeof(*w->order));
    w->gone = cczi_psi_alloc_zero(keys->len, sizeof(*w->gone));
    if (!w->slots || !w->stack || !w->order || !w->gone)
        return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)keys->len, "no memory to solve");
    for (size_t i = 0; i < keys->len; i++) {
        uint32_t s[3];
        slots_of(s, &keys->pos[i], okvs->seg_bits);
        for (int j = 0; j < 3; j++) {
            w->slots[s[j]].keys ^= (uint32_t)i;
            w->slots[s[j]].len++;
        }
    }
    return CCZ_OK;
}

/* Takes a key out of its elements; those left with one key go on the stack. Returns the new top. */
static size_t take_out(struct peel *w, size_t top, uint32_t key)
{
    uint32_t s[3];
    slots_of(s, &w->keys->pos[key], w->okvs->seg_bits);
    for (int j = 0; j < 3; j++) {
        struct slot *e = &w->slots[s[j]];
        e->keys ^= key;
        if (--e->len == 1)
            w->stack[top++] = s[j];
    }
    w->gone[key] = true;
    return top;
}

static void drain(struct peel *w, size_t top)
{
    while (top > 0) {
        uint32_t at = w->stack[--top];
        if (w->slots[at].len != 1)
            continue; /* its last key was placed elsewhere meanwhile */
        uint32_t key = w->slots[at].keys;
        uint32_t pivot = (at - w->keys->pos[key].base) >> w->okvs->seg_bits;
        w->order[w->placed++] = key | pivot << PIVOT_SHIFT;
        top = take_out(w, top, key);
    }
}

/* Every key is placed or in the gap; false if the gap gets too large. */
static bool peel_all(struct peel *w)
{
    for (size_t i = 0; i < w->okvs->sparse_len; i++) {
        if (w->slots[i].len == 1) {
            w->stack[0] = (uint32_t)i;
            drain(w, 1);
        }
    }
    size_t next = 0;
    while (w->placed + w->gap_len < w->keys->len) {
        if (w->gap_len == GAP_MAX)
            return false;
        while (w->gone[next])
            next++;
        w->gap[w->gap_len++] = (uint32_t)next;
        drain(w, take_out(w, 0, (uint32_t)next));
    }
    return true;
}

/* Solves the placed keys with the dense elements zero. */
static void place_values(struct ccz_f128 *p, const struct peel *w)
{
    for (size_t i = w->placed; i-- > 0;) {
        uint32_t key = w->order[i] & ((1u << PIVOT_SHIFT) - 1), pivot = w->order[i] >> PIVOT_SHIFT;
        uint32_t s[3];
        slots_of(s, &w->keys->pos[key], w->okvs->seg_bits);
        struct ccz_f128 v = w->keys->value[key];
        add(&v, p[s[0]]); /* its own element is still zero */
        add(&v, p[s[1]]);
        add(&v, p[s[2]]);
        p[s[pivot]] = v;
    }
}

/* How each element depends on the dense ones, as bits, when the placed keys have to stay right. */
static void place_dense(uint64_t *u, const struct peel *w)
{
    for (size_t i = w->placed; i-- > 0;) {
        uint32_t key = w->order[i] & ((1u << PIVOT_SHIFT) - 1), pivot = w->order[i] >> PIVOT_SHIFT;
        uint32_t s[3];
        slots_of(s, &w->keys->pos[key], w->okvs->seg_bits);
        u[s[pivot]] = dense_of(&w->keys->pos[key]) ^ u[s[0]] ^ u[s[1]] ^ u[s[2]];
    }
}

/* Elimination over GF(2): sum of d[j] over the bits j of row[i] is value[i]. False if there is no solution. */
static bool solve_bits(struct ccz_f128 d[CCZI_OKVS_DENSE], uint64_t *row, struct ccz_f128 *value,
                       size_t len)
{
    unsigned column[GAP_MAX];
    for (size_t i = 0; i < len; i++) {
        if (row[i] == 0 && (value[i].lo | value[i].hi) != 0)
            return false;
        column[i] = row[i] ? (unsigned)__builtin_ctzll(row[i]) : 0;
        for (size_t k = 0; k < len && row[i]; k++) {
            if (k != i && (row[k] >> column[i] & 1)) {
                row[k] ^= row[i];
                add(&value[k], value[i]);
            }
        }
    }
    memset(d, 0, CCZI_OKVS_DENSE * sizeof(*d));
    for (size_t i = 0; i < len; i++)
        if (row[i])
            d[column[i]] =
                value[i]; /* every other bit of the row is one of an element that is zero */
    return true;
}

/* The keys of the gap choose the dense elements; then all elements follow. */
static ccz_rc close_gap(struct ccz_f128 *p, const struct peel *w, struct ccz_err *err)
{
    uint64_t row[GAP_MAX];
    struct ccz_f128 value[GAP_MAX];
    struct subsets t;
    uint64_t *u = cczi_psi_alloc_zero(w->okvs->sparse_len, sizeof(*u));
    if (!u)
        return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "no memory to solve");
    place_dense(u, w);
    for (size_t i = 0; i < w->gap_len; i++) {
        uint32_t s[3];
        const struct cczi_okvs_pos *pos = &w->keys->pos[w->gap[i]];
        slots_of(s, pos, w->okvs->seg_bits);
        row[i] = dense_of(pos) ^ u[s[0]] ^ u[s[1]] ^ u[s[2]];
        value[i] = w->keys->value[w->gap[i]];
        for (int j = 0; j < 3; j++)
            add(&value[i], p[s[j]]);
    }
    bool solved = solve_bits(p + w->okvs->sparse_len, row, value, w->gap_len);
    if (solved) {
        subsets_init(&t, p + w->okvs->sparse_len);
        for (size_t i = 0; i < w->okvs->sparse_len; i++)
            add(&p[i], subset_sum(&t, u[i]));
        ccz_wipe(&t, sizeof(t));
    }
    free_wiped(u, w->okvs->sparse_len * sizeof(*u));
    return solved ? CCZ_OK
                  : ccz_fail(err, CCZ_E_NOT_FOUND, "psi:okvs", (int64_t)w->gap_len,
                             "the dense part has no solution");
}

ccz_rc cczi_okvs_solve(struct ccz_f128 *p, size_t *gap, const struct cczi_okvs *okvs,
                       const struct cczi_okvs_keys *keys, struct ccz_err *err)
{
    struct peel w;
    memset(p, 0, okvs->len * sizeof(*p));
    ccz_rc rc = peel_init(&w, okvs, keys, err);
    if (rc == CCZ_OK && !peel_all(&w))
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "psi:okvs", (int64_t)keys->len,
                      "too many keys cannot be placed");
    if (rc == CCZ_OK) {
        place_values(p, &w);
        if (w.gap_len > 0)
            rc = close_gap(p, &w, err);
    }
    if (rc != CCZ_OK)
        memset(p, 0, okvs->len * sizeof(*p));
    if (gap)
        *gap = w.gap_len;
    peel_free(&w);
    return rc;
}
