/* SPDX-License-Identifier: Apache-2.0 */
/* The P-256 verifier against OpenSSL: field, integers, points, and signatures made to hit each case. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <cczoo/crypto.h>

#include "ccz_test.h"
#include "crypto/p256_priv.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <pthread.h>

static EC_GROUP *group;
static BN_CTX *ctx;
static BIGNUM *p, *n;

/* Plain C; what this processor uses, without its vectors; what it uses. */
static struct cczi_p256_engine portable, scalar;
static const struct cczi_p256_engine *engines[3];
enum { ENGINES_LEN = 3, COPIES = 4 };

static void set_up(void)
{
    ctx = BN_CTX_new();
    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    p = BN_new();
    CHECK(ctx && group && p && EC_GROUP_get_curve(group, p, NULL, NULL, ctx) == 1);
    n = BN_dup(EC_GROUP_get0_order(group));
    cczi_p256_engine_init(&portable, &cczi_p256_curve_portable, false);
    engines[0] = &portable;
    engines[1] = &scalar;
    engines[2] = cczi_p256_engine();
    cczi_p256_engine_init(&scalar, engines[2]->curve, false);
}

static BIGNUM *small(unsigned long v)
{
    BIGNUM *a = BN_new();
    CHECK(a && BN_set_word(a, v) == 1);
    return a;
}

static void to_limbs(uint64_t out[4], const BIGNUM *a)
{
    uint8_t bytes[32];
    CHECK(BN_bn2binpad(a, bytes, 32) == 32);
    struct cczi_p256_int v = cczi_p256_int_read(bytes);
    memcpy(out, v.v, 32);
}

static BIGNUM *from_limbs(const uint64_t a[4])
{
    uint8_t bytes[32];
    for (size_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(a[3 - i / 8] >> (8 * (7 - i % 8)));
    return BN_bin2bn(bytes, 32, NULL);
}

static BIGNUM *random_below(const BIGNUM *m)
{
    BIGNUM *a = BN_new();
    CHECK(a && BN_rand_range(a, m) == 1);
    return a;
}

/* --------------------------------------------------------------------------------- numbers */

/* Below @p m: near 0, near m, single bits, runs of ones and zeros where carries travel, random. */
enum { SPECIALS = 420 };
static BIGNUM *special(size_t i, const BIGNUM *m)
{
    BIGNUM *a = small(i % 4), *bit = small(1);
    if (i < 4) {
        ;
    } else if (i < 8) {
        CHECK(BN_add_word(a, 1) && BN_sub(a, m, a));
    } else if (i < 264) {
        CHECK(BN_lshift(bit, bit, (int)(i - 8)) && BN_add(a, a, bit) && BN_sub_word(a, 2));
    } else {
        CHECK(BN_rand_range(a, m));
        for (int limb = 0; limb < 8;
             limb++) { /* 32 bits each: all ones, all zeros or as they are */
            uint8_t kind;
            CHECK(RAND_bytes(&kind, 1) == 1);
            for (int k = 32 * limb; k < 32 * limb + 32 && kind % 3 < 2; k++)
                CHECK(kind % 3 ? BN_set_bit(a, k) : BN_is_bit_set(a, k) ? BN_clear_bit(a, k) : 1);
        }
    }
    CHECK(BN_nnmod(a, a, m, ctx));
    BN_free(bit);
    return a;
}

/* want = a op b in the field, all in Montgomery form */
static void check_fe(const struct cczi_fe *got, const BIGNUM *want)
{
    uint64_t limbs[4];
    to_limbs(limbs, want);
    CHECK(memcmp(got->v, limbs, 32) == 0);
}

static void check_field(const struct cczi_p256_curve *c, const BIGNUM *a, const BIGNUM *b,
                        const BIGNUM *r_inverse)
{
    struct cczi_fe x, y, z;
    BIGNUM *w = BN_new();
    to_limbs(x.v, a);
    to_limbs(y.v, b);
    CHECK(w && BN_mod_mul(w, a, b, p, ctx) && BN_mod_mul(w, w, r_inverse, p, ctx));
    c->fe_mul(&z, &x, &y);
    check_fe(&z, w);
    CHECK(BN_mod_add(w, a, b, p, ctx));
    c->fe_add(&z, &x, &y);
    check_fe(&z, w);
    CHECK(BN_mod_sub(w, a, b, p, ctx));
    c->fe_sub(&z, &x, &y);
    check_fe(&z, w);
    CHECK(BN_mod_sqr(w, a, p, ctx) && BN_mod_mul(w, w, r_inverse, p, ctx));
    c->fe_sqr(&z, &x);
    check_fe(&z, w);
    z = x; /* in place */
    c->fe_sqr(&z, &z);
    check_fe(&z, w);
    c->fe_half(&z, &x);
    c->fe_add(&z, &z, &z);
    check_fe(&z, a);
    BN_free(w);
}

static void test_field(void)
{
    BIGNUM *r_inverse = small(1), *s[SPECIALS];
    CHECK(BN_lshift(r_inverse, r_inverse, 256) && BN_mod_inverse(r_inverse, r_inverse, p, ctx));
    for (size_t i = 0; i < SPECIALS; i++)
        s[i] = special(i, p);
    for (size_t e = 0; e < ENGINES_LEN; e++) {
        for (size_t i = 0; i < SPECIALS; i++) {
            for (size_t j = i % 7; j < SPECIALS; j += 7)
                check_field(engines[e]->curve, s[i], s[j], r_inverse);
            struct cczi_fe x, y;
            to_limbs(x.v, s[i]);
            if (BN_is_zero(s[i]))
                continue;
            engines[e]->curve->fe_inverse(&y,
                                          &x); /* x' = R / x: the product is 1, R in this form */
            engines[e]->curve->fe_mul(&y, &y, &x);
            const struct cczi_fe one = {{1, 0xffffffff00000000, 0xffffffffffffffff, 0xfffffffe}};
            CHECK(memcmp(&y, &one, sizeof(one)) == 0);
        }
    }
    for (size_t i = 0; i < SPECIALS; i++)
        BN_free(s[i]);
    BN_free(r_inverse);
}

/* The digits of k stand for k. */
static void check_digits(const struct cczi_p256_int *k, const BIGNUM *want)
{
    int8_t naf[CCZI_P256_NAF_LEN];
    struct cczi_p256_ref refs[CCZI_P256_COMB_ROWS];
    BIGNUM *sum = small(0), *t = BN_new();
    int last = -CCZI_P256_NAF_BITS;
    size_t len = cczi_p256_naf(naf, k);
    CHECK(t && len <= CCZI_P256_NAF_LEN && (len == 0 || naf[len - 1] != 0));
    for (int i = 0; i < (int)len; i++) {
        if (naf[i] == 0)
            continue;
        CHECK(naf[i] % 2 != 0 && naf[i] > -16 && naf[i] < 16 && i - last >= CCZI_P256_NAF_BITS);
        last = i;
        CHECK(BN_set_word(t, (BN_ULONG)abs(naf[i])) && BN_lshift(t, t, i));
        CHECK(naf[i] < 0 ? BN_sub(sum, sum, t) : BN_add(sum, sum, t));
    }
    CHECK(BN_cmp(sum, want) == 0);
    BN_zero(sum);
    const struct cczi_p256_table *table = &portable.base;
    len = cczi_p256_comb(refs, table, k);
    for (size_t i = 0; i < len; i++) {
        size_t at = (size_t)(refs[i].point - &table->at[0][0]);
        CHECK(BN_set_word(t, at % CCZI_P256_COMB_COLS + 1));
        CHECK(BN_lshift(t, t, (int)(at / CCZI_P256_COMB_COLS) * CCZI_P256_COMB_BITS));
        CHECK(refs[i].negate ? BN_sub(sum, sum, t) : BN_add(sum, sum, t));
    }
    CHECK(BN_cmp(sum, want) == 0);
    BN_free(sum);
    BN_free(t);
}

static void test_integers(void)
{
    BIGNUM *w = BN_new(), *r = small(1), *all = small(1);
    CHECK(BN_lshift(r, r, 256) && BN_lshift(all, all, 256) && BN_sub_word(all, 1));
    for (size_t i = 0; i < 3 * SPECIALS; i++) {
        BIGNUM *a = special(i % SPECIALS, n), *b = special((i * 31 + 5) % SPECIALS, n), *got;
        struct cczi_p256_int x, y, z;
        to_limbs(x.v, a);
        to_limbs(y.v, b);
        check_digits(&x, a);
        CHECK(cczi_p256_int_is_zero(&x) == BN_is_zero(a));
        CHECK(cczi_p256_int_less(x.v, y.v) == (BN_cmp(a, b) < 0));
        cczi_p256_order_mul(&z, &x, &y);
        got = from_limbs(z.v);
        CHECK(BN_mod_mul(w, a, b, n, ctx) && BN_mod_mul(got, got, r, n, ctx));
        CHECK(BN_cmp(w, got) == 0 && cczi_p256_int_less(z.v, cczi_p256_order.v));
        BN_free(got);
        if (!BN_is_zero(a)) {
            const BIGNUM *moduli[] = {n, p};
            for (size_t m = 0; m < 2; m++) {
                uint64_t out[4], limbs[4];
                to_limbs(limbs, moduli[m]);
                cczi_p256_inverse(out, x.v, limbs);
                got = from_limbs(out);
                CHECK(BN_mod_inverse(w, a, moduli[m], ctx) && BN_cmp(w, got) == 0);
                BN_free(got);
            }
        }
        BN_free(a);
        a = special(i % SPECIALS, all); /* a digest of any value */
        to_limbs(x.v, a);
        cczi_p256_order_mul(&z, &x, &y);
        got = from_limbs(z.v);
        CHECK(BN_mod_mul(w, a, b, n, ctx) && BN_mod_mul(got, got, r, n, ctx));
        CHECK(BN_cmp(w, got) == 0 && cczi_p256_int_less(z.v, cczi_p256_order.v));
        BN_free(got);
        BN_free(a);
        BN_free(b);
    }
    BN_free(w);
    BN_free(r);
    BN_free(all);
}

/* ------------------------------------------------------------------------------- signatures */

struct sample {
    uint8_t xy[64], sig[64], digest[32];
};

static void put_point(uint8_t xy[64], const EC_POINT *q)
{
    uint8_t oct[65];
    CHECK(EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, oct, 65, ctx) == 65);
    memcpy(xy, oct + 1, 64);
}

/* OpenSSL's verdict: 1 valid, 0 not, -1 no such key */
static int openssl_verdict(const struct sample *s)
{
    uint8_t oct[65] = {4};
    memcpy(oct + 1, s->xy, 64);
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    CHECK(key && sig);
    CHECK(ECDSA_SIG_set0(sig, BN_bin2bn(s->sig, 32, NULL), BN_bin2bn(s->sig + 32, 32, NULL)) == 1);
    int verdict = -1;
    if (EC_KEY_oct2key(key, oct, 65, NULL) == 1)
        verdict = ECDSA_do_verify(s->digest, 32, sig, key) == 1;
    ERR_clear_error();
    ECDSA_SIG_free(sig);
    EC_KEY_free(key);
    return verdict;
}

/* Alone, and as several jobs, which may run side by side; with a table of the key or without. */
static int verdict(const struct cczi_p256_engine *e, const struct sample *s,
                   const struct cczi_p256_table *table)
{
    struct cczi_p256_point key;
    struct cczi_p256_job jobs[COPIES];
    if (!e->curve->read(&key, s->xy))
        return -1;
    for (size_t len = 1; len <= (e->ifma ? COPIES : 1); len *= 2) {
        for (size_t i = 0; i < len; i++)
            jobs[i] = (struct cczi_p256_job){&key, table, s->sig, s->digest, len & 1};
        cczi_p256_verify(e, jobs, len);
        for (size_t i = 1; i < len; i++)
            CHECK(jobs[i].valid == jobs[0].valid);
    }
    return jobs[0].valid;
}

/* The table of the last key is kept for the next sample. All engines make the same. */
static const struct cczi_p256_table *table_of(const uint8_t xy[64])
{
    static struct cczi_p256_table tables[ENGINES_LEN];
    static struct cczi_p256_point of;
    struct cczi_p256_point key;
    CHECK(portable.curve->read(&key, xy));
    if (memcmp(&of, &key, sizeof(key)) != 0) {
        for (size_t e = 0; e < ENGINES_LEN; e++)
            engines[e]->curve->table(&tables[e], &key);
        CHECK(memcmp(&tables[0], &tables[1], sizeof(tables[0])) == 0);
        CHECK(memcmp(&tables[0], &tables[2], sizeof(tables[0])) == 0);
    }
    of = key;
    return &tables[0];
}

static int check(const struct sample *s)
{
    int want = openssl_verdict(s);
    const struct cczi_p256_table *table = want >= 0 ? table_of(s->xy) : NULL;
    for (size_t e = 0; e < ENGINES_LEN; e++) {
        CHECK(verdict(engines[e], s, NULL) == want);
        CHECK(verdict(engines[e], s, table) == want);
    }
    return want;
}

/*
 * A signature for which the verifier computes u1 G + u2 Q with these u1 and u2: r is the x of that,
 * s = r / u2, e = u1 s. Valid unless the sum is infinity, where r is made up.
 */
static void make(struct sample *out, const EC_POINT *q, const BIGNUM *u1, const BIGNUM *u2)
{
    BIGNUM *r = BN_new(), *s = BN_new(), *e = BN_new();
    EC_POINT *sum = EC_POINT_new(group);
    CHECK(r && s && e && sum && EC_POINT_mul(group, sum, u1, q, u2, ctx) == 1);
    put_point(out->xy, q);
    if (EC_POINT_is_at_infinity(group, sum) == 1)
        CHECK(BN_rand_range(r, n));
    else
        CHECK(EC_POINT_get_affine_coordinates(group, sum, r, NULL, ctx) && BN_mod(r, r, n, ctx));
    CHECK(BN_mod_inverse(s, u2, n, ctx) && BN_mod_mul(s, s, r, n, ctx));
    CHECK(BN_mod_mul(e, s, u1, n, ctx));
    CHECK(BN_bn2binpad(r, out->sig, 32) == 32 && BN_bn2binpad(s, out->sig + 32, 32) == 32);
    CHECK(BN_bn2binpad(e, out->digest, 32) == 32);
    BN_free(r);
    BN_free(s);
    BN_free(e);
    EC_POINT_free(sum);
}

static EC_POINT *times_g(const BIGNUM *k)
{
    EC_POINT *q = EC_POINT_new(group);
    CHECK(q && EC_POINT_mul(group, q, k, NULL, NULL, ctx) == 1);
    return q;
}

static void test_random(void)
{
    enum { KEYS = 40, EACH = 12 };
    for (int k = 0; k < KEYS; k++) {
        BIGNUM *d = random_below(n);
        EC_POINT *q = times_g(d);
        for (int i = 0; i < EACH; i++) {
            struct sample s, bad;
            BIGNUM *u1 = random_below(n), *u2 = random_below(n);
            make(&s, q, u1, u2);
            CHECK(check(&s) == 1);
            uint8_t at[4];
            CHECK(RAND_bytes(at, 4) == 1);
            for (int part = 0; part < 4;
                 part++) { /* one bit of r, of s, of the digest, of the key */
                uint8_t *where[] = {bad.sig, bad.sig + 32, bad.digest, bad.xy + 32 * (i % 2)};
                bad = s;
                where[part][at[part] / 8] ^= (uint8_t)(1u << at[part] % 8);
                CHECK(check(&bad) == (part == 3 ? -1 : 0));
            }
            BN_free(u1);
            BN_free(u2);
        }
        EC_POINT_free(q);
        BN_free(d);
    }
}

/* r and s at the borders of 1..n-1, and digests of every kind of value. */
static void test_range(void)
{
    BIGNUM *values[16], *top = small(1);
    CHECK(BN_lshift(top, top, 256) && BN_sub_word(top, 1));
    for (unsigned i = 0; i < 3; i++) {
        values[i] = small(i);
        values[3 + i] = BN_dup(n);
        CHECK(BN_add_word(values[3 + i], i + 1) && BN_sub_word(values[3 + i], 2)); /* n-1, n, n+1 */
        values[6 + i] = BN_dup(p);
        CHECK(BN_add_word(values[6 + i], i + 1) && BN_sub_word(values[6 + i], 2));
        values[9 + i] = BN_dup(p);
        CHECK(BN_sub(values[9 + i], p, n) && BN_add_word(values[9 + i], i)); /* p - n, ... */
        CHECK(BN_sub_word(values[9 + i], 1));
    }
    values[12] = BN_dup(top);
    values[13] = small(2);
    CHECK(BN_lshift(values[13], values[13], 254));
    values[14] = random_below(n);
    values[15] = random_below(n);
    BIGNUM *d = random_below(n);
    EC_POINT *q = times_g(d);
    struct sample s, good;
    make(&good, q, values[14], values[15]);
    for (size_t i = 0; i < 16; i++) {
        s = good; /* this digest, not the one signed */
        CHECK(BN_bn2binpad(values[i], s.digest, 32) == 32);
        CHECK(check(&s) == 0);
        s = good;
        CHECK(BN_bn2binpad(values[i], s.sig + 32, 32) == 32);
        CHECK(check(&s) == 0);
        for (size_t j = 0; j < 16; j++) {
            CHECK(BN_bn2binpad(values[i], s.sig, 32) == 32);
            CHECK(BN_bn2binpad(values[j], s.sig + 32, 32) == 32);
            CHECK(check(&s) == 0);
        }
    }
    for (size_t i = 0; i < 16; i++)
        BN_free(values[i]);
    BN_free(top);
    BN_free(d);
    EC_POINT_free(q);
}

/* The same number plus n is another encoding of it: refused as s, taken as digest. */
static void test_plus_order(void)
{
    struct sample s;
    BIGNUM *d = random_below(n), *t = BN_new(), *r = BN_new(), *k = random_below(n);
    EC_POINT *kg = times_g(k), *q = times_g(d);
    put_point(s.xy, q);
    CHECK(t && r && EC_POINT_get_affine_coordinates(group, kg, r, NULL, ctx) &&
          BN_mod(r, r, n, ctx));
    CHECK(BN_bn2binpad(r, s.sig, 32) == 32 && BN_mod_mul(r, r, d, n, ctx));
    CHECK(BN_set_word(t, 5) && BN_bn2binpad(t, s.sig + 32, 32) == 32); /* e = 5 k - r d */
    CHECK(BN_mod_mul(t, t, k, n, ctx) && BN_mod_sub(t, t, r, n, ctx));
    CHECK(BN_bn2binpad(t, s.digest, 32) == 32 && check(&s) == 1);
    CHECK(BN_copy(t, n) && BN_add_word(t, 5) && BN_bn2binpad(t, s.sig + 32, 32) == 32);
    CHECK(check(&s) == 0);
    CHECK(BN_mod_inverse(k, k, n, ctx));
    for (unsigned e = 0; e < 4; e++) {
        CHECK(BN_copy(t, r) && BN_add_word(t, e) &&
              BN_mod_mul(t, t, k, n, ctx)); /* (e + r d) / k */
        CHECK(BN_bn2binpad(t, s.sig + 32, 32) == 32);
        CHECK(BN_set_word(t, e) && BN_bn2binpad(t, s.digest, 32) == 32 && check(&s) == 1);
        CHECK(BN_add(t, t, n) && BN_bn2binpad(t, s.digest, 32) == 32 && check(&s) == 1);
    }
    BN_free(r);
    BN_free(k);
    EC_POINT_free(kg);
    EC_POINT_free(q);
    BN_free(t);
    BN_free(d);
}

/*
 * Sums in which an addition meets the same point, its negative or infinity, at every stage: keys that
 * are small multiples of G or of what the tables hold, and digits that cancel.
 */
static void test_special_sums(void)
{
    enum { KEYS = 12, SCALARS = 16 };
    BIGNUM *scalars[SCALARS], *d = BN_new();
    int refused = 0;
    for (unsigned i = 0; i < SCALARS; i++) {
        scalars[i] = small(i < 6 ? i : i == 6 ? 64 : 1);
        if (i >= 7 && i < 11) /* one digit in another row; 2^7 (5 + 2^7 3); all rows */
            CHECK(BN_lshift(scalars[i], scalars[i], (int)(7 * (i - 6))));
        if (i == 11)
            CHECK(BN_set_word(scalars[i], 5 + 128 * 3 + 16384UL * 9));
        if (i == 12)
            CHECK(BN_set_word(scalars[i], 5 + 128 * 3));
        if (i >= 13)
            CHECK(BN_sub(scalars[i], n, scalars[i - 12]));
    }
    for (unsigned k = 0; k < KEYS; k++) {
        CHECK(BN_set_word(d, k < 8 ? k % 4 + 1 : 1)); /* 1..4, -1..-4, 2^(7 i) */
        if (k >= 4 && k < 8)
            CHECK(BN_sub(d, n, d));
        else if (k >= 8)
            CHECK(BN_lshift(d, d, (int)(7 * (k - 7))));
        EC_POINT *q = times_g(d);
        for (size_t i = 0; i < SCALARS; i++) {
            for (size_t j = 1; j < SCALARS; j++) {
                struct sample s;
                make(&s, q, scalars[i], scalars[j]);
                refused += check(&s) == 0;
                BIGNUM *u1 = BN_new(); /* u1 = -u2 d: infinity; u1 = u2 d: the same point twice */
                CHECK(u1 && BN_mod_mul(u1, scalars[j], d, n, ctx));
                make(&s, q, u1, scalars[j]);
                CHECK(check(&s) == 1);
                CHECK(BN_sub(u1, n, u1));
                make(&s, q, u1, scalars[j]);
                CHECK(check(&s) == 0);
                BN_free(u1);
            }
        }
        EC_POINT_free(q);
    }
    CHECK(refused > 0); /* infinity was among them, too */
    for (size_t i = 0; i < SCALARS; i++)
        BN_free(scalars[i]);
    BN_free(d);
}

/* Infinity is neutral on either side. */
static void test_neutral(void)
{
    for (size_t e = 0; e < sizeof(engines) / sizeof(engines[0]); e++) {
        const struct cczi_p256_curve *c = engines[e]->curve;
        const struct cczi_p256_ref ref = {&engines[e]->base.at[1][2], true};
        struct cczi_p256_jac point = {0}, sum, zero = {0};
        c->sum(&point, &ref, 1);
        sum = point;
        c->add(&sum, &zero);
        CHECK(memcmp(&sum, &point, sizeof(sum)) == 0);
        sum = zero;
        c->add(&sum, &point);
        CHECK(memcmp(&sum, &point, sizeof(sum)) == 0);
        sum = zero;
        c->add(&sum, &zero);
        CHECK(memcmp(&sum.z, &zero.z, sizeof(sum.z)) == 0);
    }
}

/* r + n is x + 2^256: the same limbs as x, but no other way to write it. */
static void test_carry(void)
{
    BIGNUM *two_256 = small(1), *u1 = random_below(n), *u2 = random_below(n), *x = BN_new(),
           *t = BN_new();
    EC_POINT *q = EC_POINT_new(group), *r = EC_POINT_new(group);
    CHECK(BN_lshift(two_256, two_256, 256));
    for (int i = 0; i < 8; i++, BN_add_word(u1, 1)) {
        struct sample s;
        BIGNUM *k = random_below(n);
        CHECK(EC_POINT_mul(group, q, k, NULL, NULL, ctx));
        CHECK(EC_POINT_mul(group, r, u1, q, u2, ctx));
        CHECK(EC_POINT_get_affine_coordinates(group, r, x, NULL, ctx));
        make(&s, q, u1, u2);
        CHECK(check(&s) == 1);
        CHECK(BN_add(x, x, two_256) && BN_sub(x, x, n) &&
              BN_cmp(x, n) < 0); /* but for one x of 2^31 */
        /* with the same u1 and u2: s = r / u2, e = u1 s */
        CHECK(BN_bn2binpad(x, s.sig, 32) == 32 && BN_mod_inverse(t, u2, n, ctx));
        CHECK(BN_mod_mul(t, t, x, n, ctx) && BN_bn2binpad(t, s.sig + 32, 32) == 32);
        CHECK(BN_mod_mul(t, t, u1, n, ctx) && BN_bn2binpad(t, s.digest, 32) == 32);
        CHECK(check(&s) == 0);
        BN_free(k);
    }
    BN_free(two_256);
    BN_free(u1);
    BN_free(u2);
    BN_free(x);
    BN_free(t);
    EC_POINT_free(q);
    EC_POINT_free(r);
}

/* Points with x in n..p-1: r is x - n. The key is made to fit: Q = (R - u1 G) / u2. */
static void test_wrapped_r(void)
{
    BIGNUM *x = BN_dup(n), *u1 = random_below(n), *u2 = random_below(n), *t = BN_new();
    EC_POINT *r = EC_POINT_new(group), *q = EC_POINT_new(group);
    int found = 0;
    for (int i = 0; found < 6; i++, BN_add_word(x, 1)) {
        if (EC_POINT_set_compressed_coordinates(group, r, x, i & 1, ctx) != 1) {
            ERR_clear_error();
            continue;
        }
        struct sample s;
        CHECK(EC_POINT_mul(group, q, u1, NULL, NULL, ctx) && EC_POINT_invert(group, q, ctx));
        CHECK(EC_POINT_add(group, q, r, q, ctx) && BN_mod_inverse(t, u2, n, ctx));
        CHECK(EC_POINT_mul(group, q, NULL, q, t, ctx));
        make(&s, q, u1, u2);
        CHECK(BN_bin2bn(s.sig, 32, t) && BN_num_bits(t) < 32 && (BN_is_zero(t) || check(&s) == 1));
        CHECK(BN_bn2binpad(x, s.sig, 32) == 32 && check(&s) == 0); /* x itself is not below n */
        found++;
    }
    /* r + n is not below p: there is nothing to try, above all not r + n - p */
    CHECK(BN_sub(x, p, n));
    for (int i = 0; i < 40; i++, BN_add_word(x, 1)) {
        struct sample s;
        BIGNUM *low = small((unsigned long)i);
        if (i == 0 || EC_POINT_set_compressed_coordinates(group, r, low, 0, ctx) != 1) {
            ERR_clear_error();
            BN_free(low);
            continue;
        }
        CHECK(EC_POINT_mul(group, q, u1, NULL, NULL, ctx) && EC_POINT_invert(group, q, ctx));
        CHECK(EC_POINT_add(group, q, r, q, ctx) && BN_mod_inverse(t, u2, n, ctx));
        CHECK(EC_POINT_mul(group, q, NULL, q, t, ctx));
        make(&s, q, u1, u2);
        CHECK(check(&s) == 1);
        /* another r with the same u1, u2: s = r / u2, e = u1 s */
        CHECK(BN_bn2binpad(x, s.sig, 32) == 32 && BN_mod_inverse(t, u2, n, ctx));
        CHECK(BN_mod_mul(t, t, x, n, ctx) && BN_bn2binpad(t, s.sig + 32, 32) == 32);
        CHECK(BN_mod_mul(t, t, u1, n, ctx) && BN_bn2binpad(t, s.digest, 32) == 32);
        CHECK(check(&s) == 0);
        BN_free(low);
    }
    BN_free(x);
    BN_free(u1);
    BN_free(u2);
    BN_free(t);
    EC_POINT_free(r);
    EC_POINT_free(q);
}

#if defined(__x86_64__)
/* The sums side by side are those of plain C, over any mixture of lengths, signs and digits. */
static void check_lanes(const struct cczi_p256_curve *c, struct cczi_p256_lane *lanes)
{
    struct cczi_p256_jac out[CCZI_P256_LANES];
    cczi_p256_ifma_sum(out, lanes, c);
    for (size_t i = 0; i < CCZI_P256_LANES; i++) {
        struct cczi_p256_jac want = {0}, minus;
        for (size_t w = CCZI_P256_WINDOWS; lanes[i].key && w-- > 0;) {
            for (int k = 0; k < CCZI_P256_WINDOW_BITS; k++)
                c->add(&want, &(struct cczi_p256_jac){want.x, want.y, want.z, want.zz});
            const struct cczi_p256_ref r = {lanes[i].key, lanes[i].digits[w] < 0};
            for (int k = abs(lanes[i].digits[w]); k > 0; k--)
                c->sum(&want, &r, 1);
        }
        c->sum(&want, lanes[i].refs, lanes[i].len);
        const struct cczi_fe zero = {{0}};
        CHECK(memcmp(&out[i].z, &zero, sizeof(zero)) != 0); /* random points: no special case */
        minus = out[i];
        c->fe_sub(&minus.y, &zero, &minus.y);
        c->add(&want, &minus);
        CHECK(memcmp(&want.z, &zero, sizeof(zero)) == 0);
    }
}

static void test_lanes(void)
{
    enum { ROUNDS = 60 };
    static struct cczi_p256_lane lanes[CCZI_P256_LANES];
    const struct cczi_p256_engine *e = engines[2];
    if (!getenv("CCZOO_CPU")) /* a failed self-test must not pass for a processor without it */
        CHECK(e->ifma ==
              (__builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vl")));
    if (!e->ifma) {
        puts("skipped: the processor has no AVX-512 IFMA");
        exit(77);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CCZI_P256_LANES; i++) {
            uint8_t bytes[2 * CCZI_P256_SUM_MAX + CCZI_P256_WINDOWS];
            struct cczi_p256_lane *l = &lanes[i];
            CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
            const uint8_t *b = bytes;
            l->len = round % 6 == 5   ? 0
                     : round % 3 == 0 ? CCZI_P256_SUM_MAX
                                      : 1 + bytes[0] % CCZI_P256_SUM_MAX;
            for (size_t k = 0; k < l->len; k++, b += 2)
                l->refs[k] = (struct cczi_p256_ref){
                    &e->base.at[k % CCZI_P256_COMB_ROWS][b[0] % CCZI_P256_COMB_COLS], b[1] & 1};
            for (size_t w = 0; w < CCZI_P256_WINDOWS; w++)
                l->digits[w] = (int8_t)(round % 4 == 1 ? 16 : bytes[w] % 33 - 16);
            /* Keys need not be on this curve: the formulas do not know b. Small y, large y. */
            static struct cczi_p256_point odd[CCZI_P256_LANES];
            odd[i] = e->base.at[round % CCZI_P256_COMB_ROWS][i];
            odd[i].y = (struct cczi_fe){{(uint64_t)round + i, 0, 0, 0}};
            if (i % 2)
                e->curve->fe_sub(&odd[i].y, &(struct cczi_fe){{0}}, &odd[i].y);
            l->key = round % 2
                         ? (round % 6 == 5 ? &odd[i] : &e->base.at[b[0] % CCZI_P256_COMB_ROWS][i])
                         : NULL;
        }
        check_lanes(e->curve, lanes);
    }
}
#else
static void test_lanes(void)
{
    puts("skipped: not x86-64");
    exit(77);
}
#endif

/* Batches of every length, keys with and without tables, good and damaged, in any order. */
static void test_batch(void)
{
    enum { KEYS = 5, SAMPLES = 60, LEN_MAX = 70 };
    static struct cczi_p256_table tables[KEYS];
    static struct sample samples[SAMPLES];
    struct cczi_p256_point keys[KEYS];
    bool valid[SAMPLES];
    for (size_t k = 0; k < KEYS; k++) {
        BIGNUM *d = random_below(n);
        EC_POINT *q = times_g(d);
        for (size_t i = k; i < SAMPLES; i += KEYS) {
            BIGNUM *u1 = random_below(n), *u2 = random_below(n);
            if (i % 11 == 5) /* infinity: u1 = -u2 d */
                CHECK(BN_mod_mul(u1, u2, d, n, ctx) && BN_sub(u1, n, u1));
            make(&samples[i], q, u1, u2);
            samples[i].sig[i % 64] ^= i % 3 == 1;
            if (i % 7 == 3)
                memset(samples[i].sig + 32 * (i % 2), 0, 32);
            valid[i] = openssl_verdict(&samples[i]) == 1;
            CHECK(valid[i] == (i % 11 != 5 && i % 3 != 1 && i % 7 != 3));
            BN_free(u1);
            BN_free(u2);
        }
        CHECK(portable.curve->read(&keys[k], samples[k].xy));
        portable.curve->table(&tables[k], &keys[k]);
        EC_POINT_free(q);
        BN_free(d);
    }
    for (size_t e = 0; e < ENGINES_LEN; e++) {
        for (size_t len = 0; len < LEN_MAX; len++) {
            struct cczi_p256_job jobs[LEN_MAX];
            uint8_t pick[LEN_MAX][2];
            CHECK(RAND_bytes(&pick[0][0], sizeof(pick)) == 1);
            for (size_t i = 0; i < len; i++) {
                const struct sample *s = &samples[pick[i][0] %= SAMPLES];
                size_t k = pick[i][0] % KEYS;
                jobs[i] = (struct cczi_p256_job){&keys[k], pick[i][1] % 2 ? &tables[k] : NULL,
                                                 s->sig, s->digest, pick[i][1] & 2};
            }
            cczi_p256_verify(engines[e], jobs, len);
            for (size_t i = 0; i < len; i++)
                CHECK(jobs[i].valid == valid[pick[i][0]]);
        }
    }
}

/* Which encodings are points: as OpenSSL. */
static void test_read(void)
{
    struct sample s = {{0}, {0}, {0}};
    int points = 0;
    for (int i = 0; i < 400; i++) {
        BIGNUM *x = small((unsigned long)i / 4), *y = BN_new();
        EC_POINT *q = EC_POINT_new(group);
        if (EC_POINT_set_compressed_coordinates(group, q, x, i & 1, ctx) == 1) {
            CHECK(EC_POINT_get_affine_coordinates(group, q, x, y, ctx));
            if (i & 2) /* x + p, which still fits */
                CHECK(BN_add(x, x, p));
            CHECK(BN_bn2binpad(x, s.xy, 32) == 32 && BN_bn2binpad(y, s.xy + 32, 32) == 32);
            CHECK(check(&s) == (i & 2 ? -1 : 0));
            points++;
        }
        ERR_clear_error();
        EC_POINT_free(q);
        BN_free(x);
        BN_free(y);
    }
    CHECK(points > 100);
    memset(s.xy, 0, 64); /* (0, 0) is how some write infinity */
    CHECK(check(&s) == -1);
    memset(s.xy, 0xff, 64);
    CHECK(check(&s) == -1);
    CHECK(BN_bn2binpad(p, s.xy, 32) == 32 && check(&s) == -1);
    CHECK(BN_bn2binpad(p, s.xy + 32, 32) == 32 && check(&s) == -1);
    /* a point with a y so small that y + p still fits: a root of x^3 - 3 x + b - 25 */
    BIGNUM *x = NULL, *y = small(5);
    CHECK(BN_hex2bn(&x, "0d7325d7646cd60d80a92738ceb345f844cffaf35841022cab176f692de8de1d7") > 0);
    CHECK(BN_bn2binpad(x, s.xy, 32) == 32 && BN_bn2binpad(y, s.xy + 32, 32) == 32);
    CHECK(check(&s) == 0);
    CHECK(BN_add(y, y, p) && BN_bn2binpad(y, s.xy + 32, 32) == 32 && check(&s) == -1);
    BN_free(x);
    BN_free(y);
}

/* ------------------------------------------------------------------------------------ memo */

/* Through the public calls: tables come and go underneath, and no verdict changes. */
static void use_keys(struct ccz_key *const *keys, size_t len, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        for (size_t k = 0; k < len; k++) {
            uint8_t sig[64];
            const struct ccz_span msg = CCZ_SPAN(&i, sizeof(i));
            CHECK(ccz_ecdsa_sign(sig, keys[k], &msg, 1) == CCZ_OK);
            CHECK(ccz_ecdsa_verify(keys[k], sig, 64, &msg, 1) == CCZ_OK);
            if (len > 1)
                CHECK(ccz_ecdsa_verify(keys[(k + 1) % len], sig, 64, &msg, 1) == CCZ_E_SIG);
            sig[i % 64] ^= 1;
            CHECK(ccz_ecdsa_verify(keys[k], sig, 64, &msg, 1) == CCZ_E_SIG);
        }
    }
}

enum { MEMO_KEYS = 20 };
static void new_keys(struct ccz_key *keys[MEMO_KEYS])
{
    for (size_t i = 0; i < MEMO_KEYS; i++)
        CHECK(ccz_key_generate(&keys[i], CCZ_P256) == CCZ_OK);
}

static void test_memo(void)
{
    enum { HOT = 3, USES = 8, TABLES = 8 };
    struct ccz_key *keys[MEMO_KEYS];
    new_keys(keys);
    uint64_t before = cczi_p256_known_stats().made;
    use_keys(keys, HOT, USES - 1);
    CHECK(cczi_p256_known_stats().made == before);
    use_keys(keys, HOT, 1);
    CHECK(cczi_p256_known_stats().made == before + HOT);
    for (size_t i = HOT; i < MEMO_KEYS; i++) { /* what recurs stays, whatever comes between */
        use_keys(keys, HOT, 1);
        use_keys(&keys[i], 1, USES);
        CHECK(cczi_p256_known_stats().tables <= TABLES);
    }
    use_keys(keys, HOT, USES);
    CHECK(cczi_p256_known_stats().made == before + MEMO_KEYS);
    CHECK(cczi_p256_known_stats().tables == TABLES);
    use_keys(&keys[HOT], 1, USES); /* what did not made room, and may come back */
    CHECK(cczi_p256_known_stats().made == before + MEMO_KEYS + 1);
    for (size_t i = 0; i < MEMO_KEYS; i++)
        ccz_key_free(keys[i]);
}

/* A table is of one key, not of the other point with the same x. */
static void test_memo_negative(void)
{
    enum { USES = 9 };
    uint8_t xy[64], sig[64];
    struct ccz_key *key = NULL, *negative = NULL;
    const struct ccz_span msg = ccz_span_str("message");
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    use_keys(&key, 1, USES);
    CHECK(ccz_key_xy(xy, key) == CCZ_OK && ccz_ecdsa_sign(sig, key, &msg, 1) == CCZ_OK);
    BIGNUM *y = BN_bin2bn(xy + 32, 32, NULL);
    CHECK(y && BN_sub(y, p, y) && BN_bn2binpad(y, xy + 32, 32) == 32);
    BN_free(y);
    CHECK(ccz_key_from_xy(&negative, CCZ_P256, CCZ_SPAN(xy, sizeof(xy))) == CCZ_OK);
    CHECK(ccz_ecdsa_verify(key, sig, sizeof(sig), &msg, 1) == CCZ_OK);
    CHECK(ccz_ecdsa_verify(negative, sig, sizeof(sig), &msg, 1) == CCZ_E_SIG);
    ccz_key_free(negative);
    ccz_key_free(key);
}

static void *thread(void *arg)
{
    use_keys(arg, MEMO_KEYS, 16);
    return NULL;
}

static void test_threads(void)
{
    struct ccz_key *keys[MEMO_KEYS];
    pthread_t threads[4];
    new_keys(keys);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, keys) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < MEMO_KEYS; i++)
        ccz_key_free(keys[i]);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"p256.field", test_field},
        {"p256.integers", test_integers},
        {"p256.read", test_read},
        {"p256.random", test_random},
        {"p256.range", test_range},
        {"p256.plus_order", test_plus_order},
        {"p256.special_sums", test_special_sums},
        {"p256.neutral", test_neutral},
        {"p256.carry", test_carry},
        {"p256.wrapped_r", test_wrapped_r},
        {"p256.lanes", test_lanes},
        {"p256.batch", test_batch},
        {"p256.memo", test_memo},
        {"p256.memo_negative", test_memo_negative},
        {"p256.threads", test_threads},
    };
    set_up();
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    BN_free(p);
    BN_free(n);
    EC_GROUP_free(group);
    BN_CTX_free(ctx);
    return rc;
}
