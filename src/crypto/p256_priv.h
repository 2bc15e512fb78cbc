/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_P256_PRIV_H
#define CCZI_P256_PRIV_H
/*
 * Verification of P-256 signatures (FIPS 186-5, 6.4.2): shared by p256*.c. Everything here is
 * variable time on purpose: keys, digests and signatures are public. Never use it to sign.
 * Algorithms, sources and figures: docs/design/p256.md. Reading order: p256_scalar.c, p256_curve.h,
 * p256_portable.c, p256_x86.c, p256_table.c, p256.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CCZI_P256_COMB_BITS = 7, /* of a signed digit of the tables of whole keys */
    CCZI_P256_COMB_ROWS = 37,
    CCZI_P256_COMB_COLS = 64,
    CCZI_P256_NAF_BITS = 5,
    CCZI_P256_NAF_LEN = 257,
    CCZI_P256_SUM_MAX = 2 * CCZI_P256_COMB_ROWS, /* table points that make up one signature */
    CCZI_P256_WINDOW_BITS = 5, /* of a signed digit of a key without a table, side by side */
    CCZI_P256_WINDOWS = 52,
    CCZI_P256_LANES = 4, /* sums side by side */
};

/* x * 2^256 mod p (Montgomery form), below p; least significant limb first. */
struct cczi_fe {
    uint64_t v[4];
};
/* The point at infinity has no affine form. */
struct cczi_p256_point {
    struct cczi_fe x, y;
};
/* Jacobian: (x / z^2, y / z^3); z = 0 is infinity. zz is z^2. */
struct cczi_p256_jac {
    struct cczi_fe x, y, z, zz;
};
/* at[i][j] = (j + 1) * 2^(7 i) * Q: a multiple of Q is one point of each row. 148 KB, each point
 * one cache line. */
struct cczi_p256_table {
    _Alignas(64) struct cczi_p256_point at[CCZI_P256_COMB_ROWS][CCZI_P256_COMB_COLS];
};
/* A point of a table, or its negative. */
struct cczi_p256_ref {
    const struct cczi_p256_point *point;
    bool negate;
};

/* Integers modulo the order n, below n, least significant limb first. */
struct cczi_p256_int {
    uint64_t v[4];
};

/* ------------------------------------------------------------------------- p256_scalar.c */

/* Big-endian bytes; not reduced. */
struct cczi_p256_int cczi_p256_int_read(const uint8_t bytes[32]);
bool cczi_p256_int_is_zero(const struct cczi_p256_int *a);
/* a < b as 256-bit numbers */
bool cczi_p256_int_less(const uint64_t a[4], const uint64_t b[4]);
extern const struct cczi_p256_int cczi_p256_order;
/* a * b / 2^256 mod n (Montgomery). @param a  any 256-bit number @param b  below n */
void cczi_p256_order_mul(struct cczi_p256_int *out, const struct cczi_p256_int *a,
                         const struct cczi_p256_int *b);
/* 2^256 / a mod n: cczi_p256_order_mul() of x and this is x / a. @param a 0 < a < n */
void cczi_p256_order_inverse(struct cczi_p256_int *out, const struct cczi_p256_int *a);
/* The inverse of an integer modulo @p m, odd and prime. @param a 0 < a < m, @param out in [0, m) */
void cczi_p256_inverse(uint64_t out[4], const uint64_t a[4], const uint64_t m[4]);
/* Signed digits: at most one of 5 neighbours is not 0, the others odd in -15..15 (HMV, 3.35). */
size_t cczi_p256_naf(int8_t out[CCZI_P256_NAF_LEN], const struct cczi_p256_int *k);
/* Signed digits in -16..16 of base 32. */
void cczi_p256_windows(int8_t out[CCZI_P256_WINDOWS], const struct cczi_p256_int *k);
/* The points of @p t whose sum is k * Q. @return how many */
size_t cczi_p256_comb(struct cczi_p256_ref out[CCZI_P256_COMB_ROWS],
                      const struct cczi_p256_table *t, const struct cczi_p256_int *k);

/* -------------------------------------------------------------------------------- curve */

/* Curve arithmetic over one implementation of the field; every case of additions is handled. */
struct cczi_p256_curve {
    const char *name;
    /* @return false if a coordinate is not below p, or the point not on the curve */
    bool (*read)(struct cczi_p256_point *out, const uint8_t xy[64]);
    /* k * Q by the digits of k, least significant first */
    void (*mul)(struct cczi_p256_jac *out, const struct cczi_p256_point *q, const int8_t *naf,
                size_t len);
    /* acc += each of the points */
    void (*sum)(struct cczi_p256_jac *acc, const struct cczi_p256_ref *refs, size_t len);
    /* acc += other */
    void (*add)(struct cczi_p256_jac *acc, const struct cczi_p256_jac *other);
    /* Is the affine x of the point, as an integer, r or r + n (mod n it is r)? False for infinity. */
    bool (*x_is)(const struct cczi_p256_jac *p, const struct cczi_p256_int *r);
    void (*table)(struct cczi_p256_table *out, const struct cczi_p256_point *q);
    /* the field: for tests, and to take results of the vector code over */
    void (*fe_mul)(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b);
    void (*fe_sqr)(struct cczi_fe *r, const struct cczi_fe *a);
    void (*fe_add)(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b);
    void (*fe_sub)(struct cczi_fe *r, const struct cczi_fe *a, const struct cczi_fe *b);
    void (*fe_half)(struct cczi_fe *r, const struct cczi_fe *a);
    void (*fe_inverse)(struct cczi_fe *r, const struct cczi_fe *a);
};
extern const struct cczi_p256_curve cczi_p256_curve_portable;
#if defined(__x86_64__)
extern const struct cczi_p256_curve cczi_p256_curve_x86; /* needs BMI2 and ADX */
#endif

/* One sum: a multiple of a key without a table, and points of tables. */
struct cczi_p256_lane {
    const struct cczi_p256_point *key; /* of all lanes or of none (NULL) */
    int8_t digits[CCZI_P256_WINDOWS];
    struct cczi_p256_ref refs[CCZI_P256_SUM_MAX];
    size_t len;
};
#if defined(__x86_64__)
/*
 * Four sums at once; needs AVX-512VL and IFMA. Where z comes out as 0 the sum is infinity, or an
 * addition on the way met a special case and the sum is not known.
 */
void cczi_p256_ifma_sum(struct cczi_p256_jac out[CCZI_P256_LANES],
                        const struct cczi_p256_lane lanes[CCZI_P256_LANES],
                        const struct cczi_p256_curve *curve);
#endif

/* ------------------------------------------------------------------------------- p256.c */

/* One signature. What it points to is the caller's. */
struct cczi_p256_job {
    const struct cczi_p256_point *key;
    const struct cczi_p256_table *table; /* of the key; NULL: there is none */
    const uint8_t *sig;                  /* r || s, 64 bytes, big-endian; untrusted */
    const uint8_t *digest;               /* 32 bytes */
    bool valid;                          /* [out] */
};
/* An implementation and the table of the generator. */
struct cczi_p256_engine {
    const struct cczi_p256_curve *curve;
    bool ifma;
    struct cczi_p256_table base;
};
void cczi_p256_engine_init(struct cczi_p256_engine *e, const struct cczi_p256_curve *curve,
                           bool ifma);
/* The fastest one of this processor, chosen and tested at the first call (0.4 ms). Never NULL. */
const struct cczi_p256_engine *cczi_p256_engine(void);
/* A pure function. */
void cczi_p256_verify(const struct cczi_p256_engine *engine, struct cczi_p256_job *jobs,
                      size_t len);

/* -------------------------------------------------------------------------- p256_table.c */

/*
 * cczi_p256_verify() on this processor's engine, with tables of keys that recur: at most 8 in the
 * process, made when a key has verified its eighth signature, dropped for keys used more recently.
 * The state is a cache of a pure function of public keys: it decides how long a verification takes,
 * never its result. jobs[i].table is set and cleared.
 */
void cczi_p256_verify_cached(struct cczi_p256_job *jobs, size_t len);
/* For tests: how many there are, how many were ever made. */
struct cczi_p256_known_stats {
    size_t tables;
    uint64_t made;
};
struct cczi_p256_known_stats cczi_p256_known_stats(void);

#endif
