/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value at a time for x86-64 with BMI2 and ADX, in blocks of eight limbs. In assembly because
 * compilers keep no two carry chains apart: gcc 12 needs more than three times the time for the same
 * in C, and GMP twice.
 */
#include "mont_priv.h"

#if defined(__x86_64__)

#include <gmp.h>
#include <string.h>

enum { LIMBS_MAX = CCZI_MONT_LIMBS64_MAX, BLOCK = 8 };

/* r0 .. r7 += rdx * a[0 .. 7]. The lowest limb is finished and goes to `out`; its register is the new
 * highest one. */
#define ROW(r0, r1, r2, r3, r4, r5, r6, r7, out)                                                   \
    "xor %k[lo], %k[lo]\n\t" /* no carries */                                                      \
    "mulx (%[a]), %[lo], %[hi]\n\t"                                                                \
    "adcx %[lo], %[" r0 "]\n\t"                                                                    \
    "adox %[hi], %[" r1 "]\n\t"                                                                    \
    "mulx 8(%[a]), %[lo], %[hi]\n\t"                                                               \
    "adcx %[lo], %[" r1 "]\n\t"                                                                    \
    "adox %[hi], %[" r2 "]\n\t"                                                                    \
    "mulx 16(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" r2 "]\n\t"                                                                    \
    "adox %[hi], %[" r3 "]\n\t"                                                                    \
    "mulx 24(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" r3 "]\n\t"                                                                    \
    "adox %[hi], %[" r4 "]\n\t"                                                                    \
    "mulx 32(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" r4 "]\n\t"                                                                    \
    "adox %[hi], %[" r5 "]\n\t"                                                                    \
    "mulx 40(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" r5 "]\n\t"                                                                    \
    "adox %[hi], %[" r6 "]\n\t"                                                                    \
    "mulx 48(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" r6 "]\n\t"                                                                    \
    "adox %[hi], %[" r7 "]\n\t" out "mulx 56(%[a]), %[lo], %[" r0 "]\n\t"                          \
    "adcx %[lo], %[" r7 "]\n\t"                                                                    \
    "mov $0, %k[lo]\n\t"                                                                           \
    "adcx %[lo], %[" r0 "]\n\t"                                                                    \
    "adox %[lo], %[" r0 "]\n\t"

/* A row by b[i], and one by the multiple of p that clears the lowest limb, stored as q[i]. */
#define ROW_B(i, r0, r1, r2, r3, r4, r5, r6, r7)                                                   \
    "mov " i                                                                                       \
    "(%[b]), %%rdx\n\t" ROW(r0, r1, r2, r3, r4, r5, r6, r7, "mov %[" r0 "], " i "(%[out])\n\t")
#define ROW_Q(i, r0, r1, r2, r3, r4, r5, r6, r7)                                                   \
    "mov %[" r0 "], %%rdx\n\t"                                                                     \
    "imul %[b], %%rdx\n\t"                                                                         \
    "mov %%rdx, " i "(%[out])\n\t" ROW(r0, r1, r2, r3, r4, r5, r6, r7, "")

/* Rows 0 to 3 and 4 to 7; one string would be longer than C guarantees. */
#define ROWS_LOW(ROW_)                                                                             \
    ROW_("0", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7")                                      \
    ROW_("8", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r0")                                      \
    ROW_("16", "r2", "r3", "r4", "r5", "r6", "r7", "r0", "r1")                                     \
    ROW_("24", "r3", "r4", "r5", "r6", "r7", "r0", "r1", "r2")
#define ROWS_HIGH(ROW_)                                                                            \
    ROW_("32", "r4", "r5", "r6", "r7", "r0", "r1", "r2", "r3")                                     \
    ROW_("40", "r5", "r6", "r7", "r0", "r1", "r2", "r3", "r4")                                     \
    ROW_("48", "r6", "r7", "r0", "r1", "r2", "r3", "r4", "r5")                                     \
    ROW_("56", "r7", "r0", "r1", "r2", "r3", "r4", "r5", "r6")

#define ROWS(text, b_)                                                                             \
    __asm__ volatile(                                                                              \
        text                                                                                       \
        : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), [r4] "+&r"(r4),          \
          [r5] "+&r"(r5), [r6] "+&r"(r6), [r7] "+&r"(r7), [lo] "=&r"(lo), [hi] "=&r"(hi)           \
        : [a] "r"(a), [b] "r"(b_), [out] "r"(out)                                                  \
        : "rdx", "cc", "memory")

/* Eight rows: acc + a * b (or q p): the low half to out, the high half is the new acc. */
#define BLOCK_ROWS(ROW_, b_)                                                                       \
    uint64_t r0 = acc[0], r1 = acc[1], r2 = acc[2], r3 = acc[3];                                   \
    uint64_t r4 = acc[4], r5 = acc[5], r6 = acc[6], r7 = acc[7], lo, hi;                           \
    ROWS(ROWS_LOW(ROW_), b_);                                                                      \
    ROWS(ROWS_HIGH(ROW_), b_);                                                                     \
    acc[0] = r0, acc[1] = r1, acc[2] = r2, acc[3] = r3;                                            \
    acc[4] = r4, acc[5] = r5, acc[6] = r6, acc[7] = r7;

static inline void block_mul(uint64_t acc[BLOCK], uint64_t *out, const uint64_t *a,
                             const uint64_t *b)
{
    BLOCK_ROWS(ROW_B, b)
}

static inline void block_quotient(uint64_t acc[BLOCK], uint64_t *out, const uint64_t *a,
                                  uint64_t minus_k)
{
    BLOCK_ROWS(ROW_Q, minus_k)
}

#define ADC(i)                                                                                     \
    "mov " i "(%[a]), %[t]\n\t"                                                                    \
    "adc " i "(%[b]), %[t]\n\t"                                                                    \
    "mov %[t], " i "(%[r])\n\t"

/* r = a + b + carry, eight limbs. @return the carry */
static inline unsigned char block_add(uint64_t r[BLOCK], const uint64_t *a, const uint64_t *b,
                                      unsigned char carry)
{
    uint64_t t;
    __asm__ volatile("addb $-1, %[carry]\n\t" ADC("0") ADC("8") ADC("16") ADC("24") ADC("32")
                         ADC("40") ADC("48") ADC("56") "setc %[carry]\n\t"
                     : [carry] "+&q"(carry), [t] "=&r"(t)
                     : [a] "r"(a), [b] "r"(b), [r] "r"(r)
                     : "cc", "memory");
    return carry;
}

static mp_limb_t reduce(mp_limb_t *q_, mp_limb_t *x_, const struct cczi_mont_moduli *m)
{
    uint64_t *q = (uint64_t *)q_, *x = (uint64_t *)x_;
    unsigned char top = 0;
    for (size_t k = 0; k < m->limbs; k += BLOCK) {
        uint64_t acc[BLOCK];
        unsigned char carry = 0;
        memcpy(acc, x + k, sizeof(acc));
        block_quotient(acc, q + k, m->mod, m->minus_k[0]);
        for (size_t i = BLOCK; i < m->limbs; i += BLOCK) {
            carry = block_add(acc, acc, x + k + i, carry);
            block_mul(acc, x + k + i, m->mod + i, q + k);
        }
        /* acc + carry does not overflow: it is the top of a product and two summands. */
        static const uint64_t zero[BLOCK];
        (void)block_add(acc, acc, zero, carry);
        top = block_add(x + k + m->limbs, x + k + m->limbs, acc, top);
    }
    return top;
}

/* r[first + k ..] of 2n limbs += a[first ..] * b[k .. k + 7], where r is not yet set from n + k on */
static inline void mul_row(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t k,
                           size_t first, size_t n)
{
    static const uint64_t zero[BLOCK];
    uint64_t acc[BLOCK] = {0};
    unsigned char carry = 0;
    for (size_t i = first; i < n; i += BLOCK) {
        carry = block_add(acc, acc, r + k + i, carry);
        block_mul(acc, r + k + i, a + i, b + k);
    }
    (void)block_add(r + k + n, acc, zero, carry);
}

static void mul_wide(mp_limb_t *r, const mp_limb_t *a, const mp_limb_t *b, mp_size_t len)
{
    size_t n = (size_t)len;
    memset(r, 0, n * 8);
    for (size_t k = 0; k < n; k += BLOCK)
        mul_row((uint64_t *)r, (const uint64_t *)a, (const uint64_t *)b, k, 0, n);
}

/* Products of different blocks once, doubled, then the squares of blocks. */
static void sqr_wide(mp_limb_t *r_, const mp_limb_t *a_, mp_size_t len)
{
    uint64_t *r = (uint64_t *)r_;
    const uint64_t *a = (const uint64_t *)a_;
    size_t n = (size_t)len;
    unsigned char carry = 0, twice = 0;
    memset(r, 0, (n + BLOCK) * 8);
    for (size_t k = 0; k + BLOCK < n; k += BLOCK)
        mul_row(r, a, a, k, k + BLOCK, n);
    memset(r + 2 * n - BLOCK, 0, BLOCK * 8);
    for (size_t k = 0; k < n; k += BLOCK) {
        uint64_t low[BLOCK], acc[BLOCK] = {0};
        block_mul(acc, low, a + k, a + k);
        twice = block_add(r + 2 * k, r + 2 * k, r + 2 * k, twice);
        carry = block_add(r + 2 * k, r + 2 * k, low, carry);
        twice = block_add(r + 2 * k + BLOCK, r + 2 * k + BLOCK, r + 2 * k + BLOCK, twice);
        carry = block_add(r + 2 * k + BLOCK, r + 2 * k + BLOCK, acc, carry);
    }
}

#include "mont_words.h"

const struct cczi_mont_tier cczi_mont_x86 = {
    .name = "x86",
    .limb_bits = 64,
    .limbs_step = BLOCK,
    .wide = &ops,
    .narrow = &ops,
};

#endif
