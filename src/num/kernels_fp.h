/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NUM_KERNELS_FP_H
#define CCZ_NUM_KERNELS_FP_H
/*
 * Kernels in double precision, included by the file of each tier. Larger moduli, the words behind the
 * last register, and kernels that gain little, are left to portable code.
 */
#include "ntt_fp.h"

#define PORTABLE (&cczi_tier_portable.k)

/* Length that is served here. */
INLINE size_t served(size_t n, const struct ccz_modulus *m)
{
    return m->bits <= CCZ_FAST_BITS ? n / LANES * LANES : 0;
}

static void add_words(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                      const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec s = add(from_words(a + i, f.zero), from_words(b + i, f.zero));
        store_signed(r + i, sub(s, f.q), &f);
    }
    (void)control(was);
    PORTABLE->add(r + i, a + i, b + i, n - i, m);
}

static void sub_words(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                      const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store_signed(r + i, sub(from_words(a + i, f.zero), from_words(b + i, f.zero)), &f);
    (void)control(was);
    PORTABLE->sub(r + i, a + i, b + i, n - i, m);
}

static void neg(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store_signed(r + i, sub(all(0), from_words(a + i, f.zero)), &f);
    (void)control(was);
    PORTABLE->neg(r + i, a + i, n - i, m);
}

/* Of a lazy word, less 2 q, and a residue. */
INLINE vec lazy_product(const uint64_t *a, const uint64_t *b, const struct field *f)
{
    return product(from_words(a, f->two_q), from_words(b, f->zero), f);
}

static void mul(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store_any(r + i, lazy_product(a + i, b + i, &f), &f);
    (void)control(was);
    PORTABLE->mul(r + i, a + i, b + i, n - i, m);
}

static void mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                    const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec p = lazy_product(a + i, b + i, &f);
        store_any(r + i, add(p, from_words(r + i, f.zero)), &f);
    }
    (void)control(was);
    PORTABLE->mul_add(r + i, a + i, b + i, n - i, m);
}

static void mul_const(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                      const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const struct factor w = factor(c.w, m);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store_signed(r + i, times(from_words(a + i, f.zero), all(w.w), all(w.quot), &f), &f);
    (void)control(was);
    PORTABLE->mul_const(r + i, a + i, c, n - i, m);
}

static void mul_const_add(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                          const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const struct factor w = factor(c.w, m);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec p = times(from_words(a + i, f.zero), all(w.w), all(w.quot), &f);
        store_any(r + i, add(p, from_words(r + i, f.zero)), &f);
    }
    (void)control(was);
    PORTABLE->mul_const_add(r + i, a + i, c, n - i, m);
}

static void sub_mul_const(uint64_t *r, const uint64_t *a, const uint64_t *b, struct ccz_mulc c,
                          size_t n, const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const struct factor w = factor(c.w, m);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec d = sub(from_words(a + i, f.zero), from_words(b + i, f.zero));
        store_signed(r + i, times(d, all(w.w), all(w.quot), &f), &f);
    }
    (void)control(was);
    PORTABLE->sub_mul_const(r + i, a + i, b + i, c, n - i, m);
}

/* ------------------------------------------------------------------------------------ sums */

INLINE vec sum_from(const uint64_t *r, bool accumulate, const struct field *f)
{
    return accumulate ? from_words(r, f->zero) : all(0);
}

/* Sums are reduced after every other product: they stay below 3 q + 1/2. */
INLINE vec sum_add(vec s, vec p, size_t k, const struct field *f)
{
    s = add(s, p);
    return k % 2 ? reduce(s, f) : s;
}

/* The words behind the last register. */
static void mac_rest(uint64_t *r, const uint64_t *const *a, const uint64_t *const *b, size_t b_step,
                     size_t terms, size_t from, size_t n, const struct ccz_modulus *m,
                     bool accumulate)
{
    const uint64_t *pa[CCZ_MAC_TERMS_MAX], *pb[CCZ_MAC_TERMS_MAX];
    if (from == n)
        return;
    for (size_t k = 0; k < terms; k++) {
        pa[k] = a[k] + from;
        pb[k] = b[k * b_step] + from;
    }
    PORTABLE->mac(r + from, pa, pb, terms, n - from, m, accumulate);
}

static void mac(uint64_t *r, const uint64_t *const *a, const uint64_t *const *b, size_t terms,
                size_t n, const struct ccz_modulus *m, bool accumulate)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec s = sum_from(r + i, accumulate, &f);
        for (size_t k = 0; k < terms; k++)
            s = sum_add(s, lazy_product(a[k] + i, b[k] + i, &f), k, &f);
        store_any(r + i, s, &f);
    }
    (void)control(was);
    mac_rest(r, a, b, 1, terms, i, n, m, accumulate);
}

static void mac2(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b,
                 size_t terms, size_t n, const struct ccz_modulus *m, bool accumulate)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec s = sum_from(r[0] + i, accumulate, &f), t = sum_from(r[1] + i, accumulate, &f);
        for (size_t k = 0; k < terms; k++) {
            s = sum_add(s, lazy_product(a[k] + i, b[2 * k] + i, &f), k, &f);
            t = sum_add(t, lazy_product(a[k] + i, b[2 * k + 1] + i, &f), k, &f);
        }
        store_any(r[0] + i, s, &f);
        store_any(r[1] + i, t, &f);
    }
    (void)control(was);
    mac_rest(r[0], a, b, 2, terms, i, n, m, accumulate);
    mac_rest(r[1], a, b + 1, 2, terms, i, n, m, accumulate);
}

static void mac_scalar(uint64_t *r, const uint64_t *const *a, const uint64_t *s, size_t terms,
                       size_t n, const struct ccz_modulus *m, bool accumulate)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    struct factor w[CCZ_MAC_TERMS_MAX];
    const uint64_t *rest[CCZ_MAC_TERMS_MAX];
    size_t i = 0, len = served(n, m);
    for (size_t k = 0; k < terms && len > 0; k++)
        w[k] = factor(s[k], m);
    for (; i < len; i += LANES) {
        vec sum = sum_from(r + i, accumulate, &f);
        for (size_t k = 0; k < terms; k++) {
            vec x = from_words(a[k] + i, f.zero);
            sum = sum_add(sum, times(x, all(w[k].w), all(w[k].quot), &f), k, &f);
        }
        store_any(r + i, sum, &f);
    }
    for (size_t k = 0; k < terms; k++)
        rest[k] = a[k] + i;
    (void)control(was);
    PORTABLE->mac_scalar(r + i, rest, s, terms, n - i, m, accumulate);
}

static void tensor(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b, size_t n,
                   const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec a0 = from_words(a[0] + i, f.zero), a1 = from_words(a[1] + i, f.zero);
        vec b0 = from_words(b[0] + i, f.zero), b1 = from_words(b[1] + i, f.zero);
        store_any(r[0] + i, product(a0, b0, &f), &f);
        store_any(r[1] + i, add(product(a0, b1, &f), product(a1, b0, &f)), &f);
        store_any(r[2] + i, product(a1, b1, &f), &f);
    }
    (void)control(was);
    PORTABLE->tensor((uint64_t *[]){r[0] + i, r[1] + i, r[2] + i},
                     (const uint64_t *[]){a[0] + i, a[1] + i},
                     (const uint64_t *[]){b[0] + i, b[1] + i}, n - i, m);
}

static void tensor_square(uint64_t *const *r, const uint64_t *const *a, size_t n,
                          const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec a0 = from_words(a[0] + i, f.zero), a1 = from_words(a[1] + i, f.zero);
        store_any(r[0] + i, product(a0, a0, &f), &f);
        store_any(r[1] + i, product(add(a0, a0), a1, &f), &f);
        store_any(r[2] + i, product(a1, a1, &f), &f);
    }
    (void)control(was);
    PORTABLE->tensor_square((uint64_t *[]){r[0] + i, r[1] + i, r[2] + i},
                            (const uint64_t *[]){a[0] + i, a[1] + i}, n - i, m);
}

static void lift(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *from,
                 const struct ccz_modulus *to)
{
    const struct field f = field(to);
    const unsigned was = control(CONTROL);
    const vec half = all((double)(from->q / 2)), q = all((double)from->q);
    size_t i = 0, len = from->bits <= CCZ_FAST_BITS ? served(n, to) : 0;
    for (; i < len; i += LANES)
        store_any(r + i, sub_if_above(from_words(a + i, f.zero), half, q), &f);
    (void)control(was);
    PORTABLE->lift(r + i, a + i, n - i, from, to);
}

static void forward_lift_lazy(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                              const struct ccz_ntt *t)
{
    lift(r, a, t->n, from, &t->m);
    forward(r, r, t);
}

/* The table of a tier. */
#define FP_TIER(tier_name)                                                                         \
    {                                                                                              \
        .k = {.name = (tier_name),                                                                 \
              .add = add_words,                                                                    \
              .sub = sub_words,                                                                    \
              .neg = neg,                                                                          \
              .mul = mul,                                                                          \
              .mul_add = mul_add,                                                                  \
              .mul_const = mul_const,                                                              \
              .mul_const_add = mul_const_add,                                                      \
              .sub_mul_const = sub_mul_const,                                                      \
              .mac = mac,                                                                          \
              .mac2 = mac2,                                                                        \
              .mac_scalar = mac_scalar,                                                            \
              .tensor = tensor,                                                                    \
              .tensor_square = tensor_square,                                                      \
              .reduce_u64 = cczi_portable_reduce_u64,                                              \
              .reduce_i64 = cczi_portable_reduce_i64,                                              \
              .reduce_i8 = cczi_portable_reduce_i8,                                                \
              .lift = lift,                                                                        \
              .round_sum = cczi_portable_round_sum,                                                \
              .uniform = cczi_portable_uniform,                                                    \
              .below = cczi_portable_below,                                                        \
              .galois = cczi_portable_galois},                                                     \
        .table_words = 7, .fill = fill, .forward = forward, .forward_lazy = forward,               \
        .forward_lift_lazy = forward_lift_lazy, .inverse = inverse                                 \
    }
#endif
