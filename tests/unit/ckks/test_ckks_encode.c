/* SPDX-License-Identifier: Apache-2.0 */
/* Encoder and decoder against their definitions in long double and exact integers. */
#include "ccz_test.h"
#include "ckks_kit.h"

#include <cczoo/num.h>

enum { N = 1024, SLOTS = N / 2, LEVELS = 4 };

static struct kit kit;
static struct ccz_complex values[SLOTS + 1], got[SLOTS + 1];
static double reals[SLOTS + 1], real_got[SLOTS + 1];
static int64_t plain[N];

/* ------------------------------------------------------------------------------ definitions */

static long double root_re[2 * N], root_im[2 * N];

static void make_roots(void)
{
    const long double pi = 3.14159265358979323846264338327950288L;
    for (size_t e = 0; e < 2 * N; e++) {
        root_re[e] = cosl(pi * (long double)e / N);
        root_im[e] = sinl(pi * (long double)e / N);
    }
}

/* Coefficient k of the polynomial with these values at the powers 5^j, times scale: 2 / N times the
 * real part of the sum of z_j / root^(k 5^j). */
static long double coefficient(size_t k, const struct ccz_complex *z, double scale)
{
    long double sum = 0;
    size_t e = 1;
    for (size_t j = 0; j < SLOTS; j++, e = e * 5 % (2 * N)) {
        size_t at = k * e % (2 * N);
        sum += (long double)z[j].re * root_re[at] + (long double)z[j].im * root_im[at];
    }
    return sum * 2 / N * (long double)scale;
}

/* Largest |z|. */
static double size_of(const struct ccz_complex *z)
{
    double most = 0;
    for (size_t j = 0; j < SLOTS; j++)
        most = fmax(most, hypot(z[j].re, z[j].im));
    return most;
}

static void random_values(double size)
{
    for (size_t j = 0; j < SLOTS; j++)
        values[j] = (struct ccz_complex){size * random_unit() * 0.7, size * random_unit() * 0.7};
}

/* Residues of @p p against its integers. */
static void check_residues(const struct ccz_ckks_pt *p, const int64_t *coeff, size_t limbs)
{
    static uint64_t v[N];
    CHECK(p->limbs == limbs);
    for (size_t l = 0; l < limbs; l++) {
        const struct ccz_ntt *ntt = ccz_rlwe_ntt(ccz_ckks_ring(kit.ctx), l);
        int64_t q = (int64_t)ccz_ntt_modulus(ntt)->q;
        ccz_ntt_inverse(v, p->v + l * N, ntt);
        for (size_t k = 0; k < N; k++)
            CHECK((int64_t)v[k] == (coeff[k] % q + q) % q);
    }
}

/* ------------------------------------------------------------------------------------ tests */

static void test_definition(void)
{
    for (int bits = 1; bits <= 60; bits += 7)
        for (size_t limbs = 0; limbs <= LEVELS + 1; limbs += 2) {
            double scale = ldexp(1.3, bits), size = limbs == 0 && bits > 50 ? 0.6 : 0.9;
            random_values(size);
            CHECK(ccz_ckks_encode_complex(kit.pt, kit.eval, values, SLOTS, scale, limbs, NULL) ==
                  CCZ_OK);
            CHECK(kit.pt->has_coeff && kit.pt->limbs == limbs && kit.pt->scale == scale);
            double bound = size_of(values) * scale;
            CHECK(fabs(kit.pt->bound / bound - 1) < 1e-12);
            for (size_t k = 0; k < N; k += 11) {
                long double want = coefficient(k, values, scale);
                CHECK(fabsl((long double)kit.pt->coeff[k] - want) <= 0.5L + bound * 0x1p-48);
            }
            if (limbs)
                check_residues(kit.pt, kit.pt->coeff, limbs);
        }
}

/* What cannot be exactly between two integers for other numbers is for constants and spikes. */
static void test_ties(void)
{
    static const struct {
        double value;
        int64_t coeff;
    } cases[] = {{0.5, 0},
                 {1.5, 2},
                 {2.5, 2},
                 {-0.5, 0},
                 {-1.5, -2},
                 {-2.5, -2},
                 {3.25, 3},
                 {-3.75, -4},
                 {0x1p52 + 0.5, INT64_C(1) << 52},
                 {0, 0},
                 {0x1.fffffp60, 0x1fffff0000000000},
                 {-0x1.fffffp60, -0x1fffff0000000000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int imaginary = 0; imaginary < 2; imaginary++) {
            struct ccz_complex c = imaginary ? (struct ccz_complex){0, cases[i].value}
                                             : (struct ccz_complex){cases[i].value, 0};
            CHECK(ccz_ckks_encode_const(kit.pt, kit.eval, c, 1, 0, NULL) == CCZ_OK);
            for (size_t k = 0; k < N; k++)
                CHECK(kit.pt->coeff[k] == (k == (imaginary ? SLOTS : 0) ? cases[i].coeff : 0));
            /* the transform gives the same where it is exact: sums of equal numbers */
            for (size_t j = 0; j < SLOTS; j++)
                values[j] = c;
            CHECK(ccz_ckks_encode_complex(kit.pt, kit.eval, values, SLOTS, 1, 0, NULL) == CCZ_OK);
            int64_t slack = cases[i].coeff > 1 << 30 || cases[i].coeff < -(1 << 30) ? 1 << 13 : 1;
            CHECK(llabs(kit.pt->coeff[imaginary ? SLOTS : 0] - cases[i].coeff) <= slack);
        }
}

static void check_round_trip(double scale, size_t limbs, size_t len)
{
    struct ccz_ckks_pt copy;
    memset(values + len, 0, (SLOTS - len) * sizeof(values[0]));
    CHECK(ccz_ckks_encode_complex(kit.pt, kit.eval, values, len, scale, limbs, NULL) == CCZ_OK);
    double bound = (kit.pt->noise + kit.pt->bound * 0x1p-48) / scale;
    for (int from_residues = 0; from_residues <= (limbs > 0); from_residues++) {
        copy = *kit.pt;
        copy.has_coeff = kit.pt->has_coeff && !from_residues;
        CHECK(ccz_ckks_decode_complex(got, SLOTS, kit.eval, &copy, NULL) == CCZ_OK);
        for (size_t j = 0; j < SLOTS; j++)
            CHECK(hypot(got[j].re - values[j].re, got[j].im - values[j].im) <= bound);
    }
    for (size_t j = 0; j < SLOTS; j++)
        reals[j] = values[j].re;
    CHECK(ccz_ckks_encode(kit.pt, kit.eval, reals, len, scale, limbs, NULL) == CCZ_OK);
    CHECK(ccz_ckks_decode(real_got, len, kit.eval, kit.pt, NULL) == CCZ_OK);
    for (size_t j = 0; j < len; j++)
        CHECK(fabs(real_got[j] - reals[j]) <= bound);
}

static void test_round_trip(void)
{
    for (int bits = 10; bits <= 60; bits += 5)
        for (size_t limbs = 0; limbs <= LEVELS + 1; limbs++) {
            double room = limbs == 1 ? 40 : 60;
            random_values(ldexp(0.9, (int)fmin(0, room - bits)));
            check_round_trip(ldexp(1, bits), limbs, bits % 3 ? SLOTS : 77);
            /* large values, small scale */
            random_values(ldexp(0.9, (int)room - bits));
            check_round_trip(ldexp(0.9, bits), limbs, SLOTS);
        }
    CHECK(ccz_ckks_encode(kit.pt, kit.eval, NULL, 0, 1024, 2, NULL) == CCZ_OK);
    for (size_t k = 0; k < N; k++)
        CHECK(kit.pt->coeff[k] == 0 && kit.pt->v[k] == 0 && kit.pt->v[N + k] == 0);
}

/* Scales that words do not hold: residues from doubles of any size, read back from up to all primes. */
static void test_wide(void)
{
    for (int bits = 63; bits <= 190; bits += 9) {
        double scale = ldexp(1.1, bits);
        size_t limbs = bits < 85 ? 2 : bits < 125 ? 3 : bits < 165 ? 4 : 5;
        random_values(0.9);
        check_round_trip(scale, limbs, SLOTS);
        CHECK(!kit.pt->has_coeff && kit.pt->limbs == limbs);
        struct ccz_complex c = {-0.75, 0.3};
        CHECK(ccz_ckks_encode_const(kit.pt, kit.eval, c, scale, limbs, NULL) == CCZ_OK);
        CHECK(ccz_ckks_decode_complex(got, SLOTS, kit.eval, kit.pt, NULL) == CCZ_OK);
        for (size_t j = 0; j < SLOTS; j++)
            CHECK(hypot(got[j].re - c.re, got[j].im - c.im) <= 0x1p-48);
    }
    /* exact: 3 * 2^100 + 2^52 in a coefficient */
    double big = 0x3p100 + 0x1p52;
    CHECK(ccz_ckks_encode_const(kit.pt, kit.eval, (struct ccz_complex){-big, 0}, 1, 4, NULL) ==
          CCZ_OK);
    for (size_t l = 0; l < 4; l++) {
        const struct ccz_modulus *m = ccz_ntt_modulus(ccz_rlwe_ntt(ccz_ckks_ring(kit.ctx), l));
        uint64_t want = ccz_mod_mul(3, ccz_mod_pow(2, 100, m), m);
        want = ccz_mod_sub(0, ccz_mod_add(want, ccz_mod_pow(2, 52, m), m), m);
        for (size_t k = 0; k < N; k += 97)
            CHECK(kit.pt->v[l * N + k] == want);
    }
}

/* Integers next to +-Q/2 of one, two and three primes are told from their neighbours around 0. */
static void test_centred(void)
{
    for (size_t limbs = 1; limbs <= 3; limbs++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct ccz_ckks_pt *p = kit.pt;
            double want = 1;
            memset(p->v, 0, N * (LEVELS + 1) * sizeof(*p->v));
            for (size_t l = 0; l < limbs; l++) { /* (Q - 1) / 2 mod q is -1/2, for +; 1/2 for - */
                const struct ccz_modulus *m =
                    ccz_ntt_modulus(ccz_rlwe_ntt(ccz_ckks_ring(kit.ctx), l));
                uint64_t half = (m->q + 1) / 2; /* 1 / 2 */
                for (size_t k = 0; k < N; k++)
                    p->v[l * N + k] = sign < 0 ? half : m->q - half;
                want *= (double)m->q;
            }
            want = (want - 1) / 2;
            p->has_coeff = false;
            p->limbs = limbs;
            p->scale = 1;
            p->bound = want;
            p->noise = 0;
            CHECK(ccz_ckks_decode(real_got, SLOTS, kit.eval, p, NULL) == CCZ_OK);
            for (size_t j = 0; j < SLOTS; j++)
                CHECK(fabs(real_got[j] / (sign * want) - 1) <= 0x1p-50);
            for (size_t l = limbs; l <= LEVELS;
                 l++) { /* more primes than are needed, rubbish there */
                memset(p->v + l * N, 1, N * sizeof(*p->v));
                p->limbs = l + 1;
                p->bound = want / 2.1;
                CHECK(ccz_ckks_decode(real_got, 1, kit.eval, p, NULL) == CCZ_OK);
                CHECK(fabs(real_got[0] / (sign * want) - 1) <= 0x1p-50);
            }
        }
}

/* Random integers below 2^20, 2^60, 2^88: by one prime or two. */
static void test_exact(void)
{
    random_state = 7;
    for (int bits = 5; bits <= 61; bits += 7) {
        memset(plain, 0, sizeof(plain));
        for (size_t k = 0; k < N; k++)
            plain[k] = (int64_t)ldexp(random_unit(), bits - 6);
        struct ccz_ckks_pt *p = kit.pt;
        ccz_rlwe_from_signed(p->v, ccz_ckks_eval_work(kit.eval), plain, 3, true);
        p->has_coeff = false;
        p->limbs = 3;
        p->scale = 1;
        p->bound = ldexp(1, bits);
        p->noise = 0;
        CHECK(ccz_ckks_decode(real_got, SLOTS, kit.eval, p, NULL) == CCZ_OK);
        size_t e = 1;
        for (size_t j = 0; j < SLOTS; j++, e = e * 5 % (2 * N)) {
            long double re = 0;
            for (size_t k = 0; k < N; k++)
                re += (long double)plain[k] * root_re[k * e % (2 * N)];
            CHECK(fabsl(re - (long double)real_got[j]) <= ldexp(1, bits - 48));
        }
    }
}

/* Between Q/2 and Q of one prime it takes two. */
static void test_needs_two(void)
{
    int64_t q = (int64_t)ccz_rlwe_prime(ccz_ckks_ring(kit.ctx), 0);
    for (int64_t part = 3; part <= 9; part++)
        for (int sign = -1; sign <= 1; sign += 2) {
            memset(plain, 0, sizeof(plain));
            plain[0] = sign * (q / 8 * part);
            struct ccz_ckks_pt *p = kit.pt;
            ccz_rlwe_from_signed(p->v, ccz_ckks_eval_work(kit.eval), plain, 3, true);
            p->has_coeff = false;
            p->limbs = 3;
            p->scale = 1;
            p->bound = fabs((double)plain[0]);
            p->noise = 0;
            CHECK(ccz_ckks_decode(real_got, SLOTS, kit.eval, p, NULL) == CCZ_OK);
            for (size_t j = 0; j < SLOTS; j++)
                CHECK(real_got[j] == (double)plain[0]);
        }
}

/* --------------------------------------------------------------------------------- refusals */

static void refused(ccz_rc rc, const struct ccz_err *err, ccz_rc want, const char *where)
{
    CHECK(rc == want && strcmp(err->where, where) == 0);
    CHECK(kit.pt->limbs == 0 && !kit.pt->has_coeff);
}

static void test_not_finite(void)
{
    static const double bad[] = {NAN, -NAN, HUGE_VAL, -HUGE_VAL};
    struct ccz_err err;
    for (size_t b = 0; b < 4; b++)
        for (size_t at = 0; at < SLOTS; at += at < 20 ? 1 : 61)
            for (int wide = 0; wide < 2; wide++) {
                double scale = wide ? 0x1p70 : 0x1p30;
                random_values(1);
                for (size_t j = 0; j < SLOTS; j++)
                    reals[j] = values[j].re;
                reals[at] = bad[b];
                ccz_rc rc = ccz_ckks_encode(kit.pt, kit.eval, reals, SLOTS, scale, 5, &err);
                refused(rc, &err, CCZ_E_ARG, "ckks:value");
                CHECK(err.aux == (int64_t)at);
                *(at % 2 ? &values[at].re : &values[at].im) = bad[b];
                rc = ccz_ckks_encode_complex(kit.pt, kit.eval, values, SLOTS, scale, 5, &err);
                refused(rc, &err, CCZ_E_ARG, "ckks:value");
                CHECK(err.aux == (int64_t)at);
                rc = ccz_ckks_encode_const(kit.pt, kit.eval, values[at], scale, 5, &err);
                refused(rc, &err, CCZ_E_ARG, "ckks:value");
            }
}

/* |value| * scale against Q / 2, for every number of primes: constants, single slots, complex. */
static void test_overflow(void)
{
    struct ccz_err err;
    double q = 1;
    for (size_t limbs = 1; limbs <= LEVELS + 1; limbs++) {
        q *= (double)ccz_rlwe_prime(ccz_ckks_ring(kit.ctx), limbs - 1);
        for (int above = 0; above < 2; above++)
            for (int sign = -1; sign <= 1; sign += 2) {
                double factor = above ? 1 + 0x1p-30 : 1 - 0x1p-30, scale = 0x1p20;
                double value = sign * q / 2 / scale * factor;
                memset(values, 0, sizeof(values));
                memset(reals, 0, sizeof(reals));
                reals[3] = value;
                values[5] = (struct ccz_complex){value * 0.6, value * -0.8};
                ccz_rc rc = ccz_ckks_encode(kit.pt, kit.eval, reals, SLOTS, scale, limbs, &err);
                CHECK(above || rc == CCZ_OK);
                if (above)
                    refused(rc, &err, CCZ_E_ARG, "ckks:overflow");
                rc = ccz_ckks_encode_complex(kit.pt, kit.eval, values, SLOTS, scale, limbs, &err);
                CHECK(above || rc == CCZ_OK);
                if (above)
                    refused(rc, &err, CCZ_E_ARG, "ckks:overflow");
                rc = ccz_ckks_encode_const(kit.pt, kit.eval, (struct ccz_complex){value, 0}, scale,
                                           limbs, &err);
                CHECK(above || rc == CCZ_OK);
                if (above)
                    refused(rc, &err, CCZ_E_ARG, "ckks:overflow");
            }
    }
    /* without residues, what words do not hold */
    struct ccz_complex c = {0x1p41, 0};
    ccz_rc rc = ccz_ckks_encode_const(kit.pt, kit.eval, c, 0x1p20, 0, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:overflow");
    CHECK(strstr(err.hint, "residues"));
    c.re = 0x1.fffp40;
    CHECK(ccz_ckks_encode_const(kit.pt, kit.eval, c, 0x1p20, 0, NULL) == CCZ_OK);
    reals[0] = 0x1p61;
    rc = ccz_ckks_encode(kit.pt, kit.eval, reals, 1, 1, 0, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:overflow");
    reals[0] = 1e308; /* the product overflows doubles */
    rc = ccz_ckks_encode(kit.pt, kit.eval, reals, 1, 1e300, 5, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:overflow");
}

static void test_refused(void)
{
    static const double scales[] = {0, -1, 0.5, NAN, HUGE_VAL};
    struct ccz_err err;
    reals[0] = 1;
    for (size_t i = 0; i < 5; i++) {
        ccz_rc rc = ccz_ckks_encode(kit.pt, kit.eval, reals, 1, scales[i], 1, &err);
        refused(rc, &err, CCZ_E_ARG, "ckks:scale");
    }
    ccz_rc rc = ccz_ckks_encode(kit.pt, kit.eval, reals, SLOTS + 1, 1, 1, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:slots");
    rc = ccz_ckks_encode_complex(kit.pt, kit.eval, values, SLOTS + 1, 1, 1, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:slots");
    rc = ccz_ckks_encode(kit.pt, kit.eval, reals, 1, 1, LEVELS + 2, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:limbs");
    rc = ccz_ckks_encode(kit.pt, kit.eval, reals, 1, 0x1p70, LEVELS + 2, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:limbs");
    rc = ccz_ckks_encode_const(kit.pt, kit.eval, values[0], 1, LEVELS + 2, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:limbs");
    real_got[0] = 5;
    rc = ccz_ckks_decode(real_got, 1, kit.eval, kit.pt, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:empty");
    CHECK(real_got[0] == 0);
    rc = ccz_ckks_decode_complex(got, 1, kit.eval, kit.pt, &err);
    refused(rc, &err, CCZ_E_ARG, "ckks:empty");

    struct kit other;
    kit_init(&other, N, 40, 30, 1);
    rc = ccz_ckks_encode(kit.pt, other.eval, reals, 1, 1, 0, &err);
    refused(rc, &err, CCZ_E_MISMATCH, "ckks:context");
    rc = ccz_ckks_encode_const(kit.pt, other.eval, values[0], 1, 0, &err);
    refused(rc, &err, CCZ_E_MISMATCH, "ckks:context");
    CHECK(ccz_ckks_encode(other.pt, other.eval, reals, 1, 1, 1, &err) == CCZ_OK);
    rc = ccz_ckks_decode(real_got, 1, kit.eval, other.pt, &err);
    CHECK(rc == CCZ_E_MISMATCH && strcmp(err.where, "ckks:context") == 0);
    rc = ccz_ckks_decode(real_got, SLOTS + 1, other.eval, other.pt, &err);
    CHECK(rc == CCZ_E_ARG && strcmp(err.where, "ckks:slots") == 0);
    kit_deinit(&other);
}

/* Every degree, and slots that end up where the rotation wants them: X -> X^5 moves slot 1 to 0. */
static void test_degrees(void)
{
    for (size_t n = 1024; n <= 65536; n *= 2) {
        struct kit k;
        kit_init(&k, n, 50, 40, 3);
        double *in = malloc(k.slots * sizeof(*in)), *out = malloc(k.slots * sizeof(*out));
        uint64_t *coeff = malloc(4 * n * sizeof(*coeff));
        CHECK(in && out && coeff);
        for (size_t j = 0; j < k.slots; j++)
            in[j] = random_unit();
        CHECK(ccz_ckks_encode(k.pt, k.eval, in, k.slots, k.scale, 4, NULL) == CCZ_OK);
        k.pt->has_coeff = false;
        CHECK(ccz_ckks_decode(out, k.slots, k.eval, k.pt, NULL) == CCZ_OK);
        for (size_t j = 0; j < k.slots; j++)
            CHECK(fabs(out[j] - in[j]) * k.scale <= k.pt->noise + k.pt->bound * 0x1p-48);
        memcpy(coeff, k.pt->v, 4 * n * sizeof(*coeff));
        ccz_rlwe_inverse(coeff, ccz_ckks_eval_work(k.eval), 4);
        for (size_t l = 0; l < 4; l++)
            ccz_galois_coeff(k.pt->v + l * n, coeff + l * n, n, ccz_rlwe_rotation_elt(n, 1),
                             ccz_ntt_modulus(ccz_rlwe_ntt(ccz_ckks_ring(k.ctx), l)));
        ccz_rlwe_forward(k.pt->v, ccz_ckks_eval_work(k.eval), 4);
        CHECK(ccz_ckks_decode(out, k.slots, k.eval, k.pt, NULL) == CCZ_OK);
        for (size_t j = 0; j < k.slots; j++)
            CHECK(fabs(out[j] - in[(j + 1) % k.slots]) * k.scale <=
                  k.pt->noise + k.pt->bound * 0x1p-48);
        free(in);
        free(out);
        free(coeff);
        kit_deinit(&k);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks_encode.definition", test_definition}, {"ckks_encode.ties", test_ties},
        {"ckks_encode.round_trip", test_round_trip}, {"ckks_encode.wide", test_wide},
        {"ckks_encode.centred", test_centred},       {"ckks_encode.exact", test_exact},
        {"ckks_encode.not_finite", test_not_finite}, {"ckks_encode.overflow", test_overflow},
        {"ckks_encode.refused", test_refused},       {"ckks_encode.degrees", test_degrees},
        {"ckks_encode.needs_two", test_needs_two},
    };
    make_roots();
    kit_init(&kit, N, 45, 40, LEVELS);
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    kit_deinit(&kit);
    return rc;
}
