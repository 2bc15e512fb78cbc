/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The field of P-256 for x86-64 with BMI2 and ADX, in assembly because compilers keep no two carry
 * chains apart: gcc 12 needs more than twice the time for the same in C. The method is that of
 * p256_portable.c. Variable time: public data only.
 */
#include "p256_priv.h"

#if defined(__x86_64__)

static const uint64_t p_top = 0xffffffff00000001; /* the limbs of p: -1, 2^32 - 1, 0, p_top */

static inline void fe_add(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b)
{
    uint64_t t0 = a->v[0], t1 = a->v[1], t2 = a->v[2], t3 = a->v[3], s0, s1, s2, s3, top = 0;
    __asm__("add %[b0], %[t0]\n\t"
            "adc %[b1], %[t1]\n\t"
            "adc %[b2], %[t2]\n\t"
            "adc %[b3], %[t3]\n\t"
            "adc $0, %[top]\n\t"
            "mov %[t0], %[s0]\n\t"
            "mov %[t1], %[s1]\n\t"
            "mov %[t2], %[s2]\n\t"
            "mov %[t3], %[s3]\n\t"
            "sub $-1, %[t0]\n\t"
            "sbb %[p1], %[t1]\n\t"
            "sbb $0, %[t2]\n\t"
            "sbb %[p3], %[t3]\n\t"
            "sbb $0, %[top]\n\t"
            "cmovc %[s0], %[t0]\n\t"
            "cmovc %[s1], %[t1]\n\t"
            "cmovc %[s2], %[t2]\n\t"
            "cmovc %[s3], %[t3]\n\t"
            : [t0] "+&r"(t0), [t1] "+&r"(t1), [t2] "+&r"(t2), [t3] "+&r"(t3), [top] "+&r"(top),
              [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3)
            : [b0] "m"(b->v[0]), [b1] "m"(b->v[1]), [b2] "m"(b->v[2]), [b3] "m"(b->v[3]),
              [p1] "r"((uint64_t)0xffffffff), [p3] "m"(p_top)
            : "cc");
    *r = (struct cczi_fe){{t0, t1, t2, t3}};
}

static inline void fe_sub(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b)
{
    uint64_t t0 = a->v[0], t1 = a->v[1], t2 = a->v[2], t3 = a->v[3], all, low, top = 0;
    __asm__("sub %[b0], %[t0]\n\t"
            "sbb %[b1], %[t1]\n\t"
            "sbb %[b2], %[t2]\n\t"
            "sbb %[b3], %[t3]\n\t"
            "sbb %[all], %[all]\n\t" /* all ones if it went below zero: then add p */
            "mov %k[all], %k[low]\n\t"
            "sub %[low], %[top]\n\t"
            "add %[all], %[t0]\n\t"
            "adc %[low], %[t1]\n\t"
            "adc $0, %[t2]\n\t"
            "adc %[top], %[t3]\n\t"
            : [t0] "+&r"(t0), [t1] "+&r"(t1), [t2] "+&r"(t2), [t3] "+&r"(t3), [all] "=&r"(all),
              [low] "=&r"(low), [top] "+&r"(top)
            : [b0] "m"(b->v[0]), [b1] "m"(b->v[1]), [b2] "m"(b->v[2]), [b3] "m"(b->v[3])
            : "cc");
    *r = (struct cczi_fe){{t0, t1, t2, t3}};
}

/* (t0..t3) = ((t0..t3) + t0 p) / 2^64, which is t1, t2, t3, t0 in this order */
#define REDUCE_LIMB(t0, t1, t2, t3)                                                                \
    "mov %[" t0 "], %[lo]\n\t"                                                                     \
    "mov %[" t0 "], %[hi]\n\t"                                                                     \
    "mov %[" t0 "], %%rdx\n\t"                                                                     \
    "shl $32, %[lo]\n\t"                                                                           \
    "shr $32, %[hi]\n\t"                                                                           \
    "sub %[lo], %%rdx\n\t"                                                                         \
    "sbb %[hi], %[" t0 "]\n\t"                                                                     \
    "add %[lo], %[" t1 "]\n\t"                                                                     \
    "adc %[hi], %[" t2 "]\n\t"                                                                     \
    "adc %%rdx, %[" t3 "]\n\t"                                                                     \
    "adc $0, %[" t0 "]\n\t"

/* (t0..t3) = (t0..t7) / 2^256 mod p, below p */
#define REDUCE                                                                                     \
    REDUCE_LIMB("t0", "t1", "t2", "t3")                                                            \
    REDUCE_LIMB("t1", "t2", "t3", "t0")                                                            \
    REDUCE_LIMB("t2", "t3", "t0", "t1")                                                            \
    REDUCE_LIMB("t3", "t0", "t1", "t2")                                                            \
    "mov $0xffffffff, %k[hi]\n\t"                                                                  \
    "xor %k[lo], %k[lo]\n\t"                                                                       \
    "add %[t4], %[t0]\n\t"                                                                         \
    "adc %[t5], %[t1]\n\t"                                                                         \
    "adc %[t6], %[t2]\n\t"                                                                         \
    "adc %[t7], %[t3]\n\t"                                                                         \
    "adc $0, %[lo]\n\t"                                                                            \
    "mov %[t0], %[t4]\n\t"                                                                         \
    "mov %[t1], %[t5]\n\t"                                                                         \
    "mov %[t2], %[t6]\n\t"                                                                         \
    "mov %[t3], %[t7]\n\t"                                                                         \
    "sub $-1, %[t0]\n\t"                                                                           \
    "sbb %[hi], %[t1]\n\t"                                                                         \
    "sbb $0, %[t2]\n\t"                                                                            \
    "sbb %[p3], %[t3]\n\t"                                                                         \
    "sbb $0, %[lo]\n\t"                                                                            \
    "cmovc %[t4], %[t0]\n\t"                                                                       \
    "cmovc %[t5], %[t1]\n\t"                                                                       \
    "cmovc %[t6], %[t2]\n\t"                                                                       \
    "cmovc %[t7], %[t3]\n\t"

/* (t0..t4) += a b_i, the last being 0 before: low halves by one carry chain, high ones by another */
#define MUL_ROW(offset, t0, t1, t2, t3, t4)                                                        \
    "mov " offset "(%[b]), %%rdx\n\t"                                                              \
    "xor %k[" t4 "], %k[" t4 "]\n\t"                                                               \
    "mulx (%[a]), %[lo], %[hi]\n\t"                                                                \
    "adcx %[lo], %[" t0 "]\n\t"                                                                    \
    "adox %[hi], %[" t1 "]\n\t"                                                                    \
    "mulx 8(%[a]), %[lo], %[hi]\n\t"                                                               \
    "adcx %[lo], %[" t1 "]\n\t"                                                                    \
    "adox %[hi], %[" t2 "]\n\t"                                                                    \
    "mulx 16(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" t2 "]\n\t"                                                                    \
    "adox %[hi], %[" t3 "]\n\t"                                                                    \
    "mulx 24(%[a]), %[lo], %[hi]\n\t"                                                              \
    "adcx %[lo], %[" t3 "]\n\t"                                                                    \
    "adox %[hi], %[" t4 "]\n\t"                                                                    \
    "adc $0, %[" t4 "]\n\t"

#define ALL_LIMBS                                                                                  \
    [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4),                \
        [t5] "=&r"(t5), [t6] "=&r"(t6), [t7] "=&r"(t7), [lo] "=&r"(lo), [hi] "=&r"(hi)

static void fe_mul(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, lo, hi;
    __asm__ volatile("mov (%[b]), %%rdx\n\t"
                     "mulx (%[a]), %[t0], %[t1]\n\t"
                     "mulx 8(%[a]), %[lo], %[t2]\n\t"
                     "add %[lo], %[t1]\n\t"
                     "mulx 16(%[a]), %[lo], %[t3]\n\t"
                     "adc %[lo], %[t2]\n\t"
                     "mulx 24(%[a]), %[lo], %[t4]\n\t"
                     "adc %[lo], %[t3]\n\t"
                     "adc $0, %[t4]\n\t" MUL_ROW("8", "t1", "t2", "t3", "t4", "t5")
                         MUL_ROW("16", "t2", "t3", "t4", "t5", "t6")
                             MUL_ROW("24", "t3", "t4", "t5", "t6", "t7") REDUCE:ALL_LIMBS
                     : [a] "r"(a), [b] "r"(b), [p3] "m"(p_top)
                     : "rdx", "cc", "memory");
    *r = (struct cczi_fe){{t0, t1, t2, t3}};
}

static void fe_sqr(struct cczi_fe *r, const struct cczi_fe *a)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, lo, hi;
    __asm__ volatile(
        "mov (%[a]), %%rdx\n\t" /* the products of two different limbs */
        "mulx 8(%[a]), %[t1], %[t2]\n\t"
        "mulx 16(%[a]), %[lo], %[t3]\n\t"
        "add %[lo], %[t2]\n\t"
        "mulx 24(%[a]), %[lo], %[t4]\n\t"
        "adc %[lo], %[t3]\n\t"
        "adc $0, %[t4]\n\t"
        "mov 8(%[a]), %%rdx\n\t"
        "xor %k[t5], %k[t5]\n\t"
        "mulx 16(%[a]), %[lo], %[hi]\n\t"
        "adcx %[lo], %[t3]\n\t"
        "adox %[hi], %[t4]\n\t"
        "mulx 24(%[a]), %[lo], %[hi]\n\t"
        "adcx %[lo], %[t4]\n\t"
        "adox %[hi], %[t5]\n\t"
        "adc $0, %[t5]\n\t"
        "mov 16(%[a]), %%rdx\n\t"
        "mulx 24(%[a]), %[lo], %[t6]\n\t"
        "add %[lo], %[t5]\n\t"
        "adc $0, %[t6]\n\t"
        "xor %k[t7], %k[t7]\n\t" /* twice these by one chain, plus the squares by the other */
        "mov (%[a]), %%rdx\n\t"
        "mulx %%rdx, %[t0], %[hi]\n\t"
        "adcx %[t1], %[t1]\n\t"
        "adox %[hi], %[t1]\n\t"
        "mov 8(%[a]), %%rdx\n\t"
        "mulx %%rdx, %[lo], %[hi]\n\t"
        "adcx %[t2], %[t2]\n\t"
        "adox %[lo], %[t2]\n\t"
        "adcx %[t3], %[t3]\n\t"
        "adox %[hi], %[t3]\n\t"
        "mov 16(%[a]), %%rdx\n\t"
        "mulx %%rdx, %[lo], %[hi]\n\t"
        "adcx %[t4], %[t4]\n\t"
        "adox %[lo], %[t4]\n\t"
        "adcx %[t5], %[t5]\n\t"
        "adox %[hi], %[t5]\n\t"
        "mov 24(%[a]), %%rdx\n\t"
        "mulx %%rdx, %[lo], %[hi]\n\t"
        "adcx %[t6], %[t6]\n\t"
        "adox %[lo], %[t6]\n\t"
        "adcx %[t7], %[t7]\n\t"
        "adox %[hi], %[t7]\n\t" REDUCE:ALL_LIMBS
        : [a] "r"(a), [p3] "m"(p_top)
        : "rdx", "cc", "memory");
    *r = (struct cczi_fe){{t0, t1, t2, t3}};
}

#define CURVE      cczi_p256_curve_x86
#define CURVE_NAME "x86"
#include "p256_curve.h"

#endif
