/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers to integers and back: ranges, rounding, slots, bounds. */
#include "pai_test.h"
#include "paillier/paillier_priv.h"

#include <float.h>
#include <math.h>

static void test_i64(void)
{
    static const int64_t v[] = {0, 1, -1, 127, -127, INT64_MAX, -INT64_MAX};
    int64_t back[7];
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, 7, 63);
    CHECK(ccz_paillier_plain_len(p) == 7 && ccz_paillier_plain_values(p) == 7);
    CHECK(ccz_paillier_plain_exponent(p) == 0);
    CHECK(ccz_paillier_plain_to_i64(back, p, NULL) == CCZ_OK && memcmp(v, back, sizeof(v)) == 0);

    CCZ_AUTO(ccz_paillier_plain) none = NULL;
    const int64_t min = INT64_MIN;
    for (unsigned bits = 1; bits < 63; bits++) {
        int64_t edge = ((int64_t)1 << bits), in[2] = {edge - 1, 1 - edge};
        CCZ_AUTO(ccz_paillier_plain) good = plain_of(in, 2, bits);
        REFUSED(ccz_paillier_plain_i64(&none, test_pub(), &edge, 1, bits, NULL, &err_), CCZ_E_LIMIT,
                "paillier:range");
        edge = -edge;
        REFUSED(ccz_paillier_plain_i64(&none, test_pub(), &edge, 1, bits, NULL, &err_), CCZ_E_LIMIT,
                "paillier:range");
    }
    REFUSED(ccz_paillier_plain_i64(&none, test_pub(), &min, 1, 63, NULL, &err_), CCZ_E_LIMIT,
            "paillier:range");
    REFUSED(ccz_paillier_plain_i64(&none, test_pub(), v, 1, 0, NULL, &err_), CCZ_E_ARG,
            "paillier:bits");
    REFUSED(ccz_paillier_plain_i64(&none, test_pub(), v, 1, 64, NULL, &err_), CCZ_E_ARG,
            "paillier:bits");
    CHECK(none == NULL);
}

static void test_residues(void)
{
    static const int64_t v[] = {5, -7, 0};
    uint8_t r[3 * N_SIZE], n[N_SIZE];
    int64_t back[3];
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, 3, 3);
    CCZ_AUTO(ccz_paillier_plain) again = NULL;
    ccz_paillier_plain_to_residues(r, p);
    ccz_paillier_n(n, test_pub());
    uint8_t minus[N_SIZE];
    unsigned borrow = 7;
    for (size_t i = N_SIZE; i-- > 0;) {
        minus[i] = (uint8_t)(n[i] - borrow);
        borrow = n[i] < borrow;
    }
    CHECK(r[N_SIZE - 1] == 5 && memcmp(r + N_SIZE, minus, N_SIZE) == 0);
    const struct ccz_paillier_format format = {0, 3};
    CHECK(ccz_paillier_plain_residues(&again, test_pub(), r, 3, format, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_i64(back, again, NULL) == CCZ_OK);
    CHECK(memcmp(v, back, sizeof(v)) == 0);
    ccz_paillier_plain_free(again);
    const struct ccz_paillier_format narrow = {0, 2}, wide = {0, BITS - 3};
    REFUSED(ccz_paillier_plain_residues(&again, test_pub(), r, 3, narrow, &err_), CCZ_E_LIMIT,
            "paillier:range");
    memset(r, 0, N_SIZE); /* 2^(BITS - 2): between n / 4 and n / 2, beyond 2^(BITS - 3) */
    r[0] = 0x40;
    REFUSED(ccz_paillier_plain_residues(&again, test_pub(), r, 1, wide, &err_), CCZ_E_LIMIT,
            "paillier:range");
    memcpy(r, n, N_SIZE);
    REFUSED(ccz_paillier_plain_residues(&again, test_pub(), r, 1, wide, &err_), CCZ_E_LIMIT,
            "paillier:range");
}

/* Rounds to an integer by long double, exact for what fits in 63 bits. */
static int64_t rounded(double x, int32_t exponent)
{
    return (int64_t)nearbyintl(ldexpl((long double)x, -4 * exponent));
}

static void test_f64_encode(void)
{
    static const double x[] = {0.0,
                               -0.0,
                               1.0,
                               -1.0,
                               0.5,
                               1.5,
                               2.5,
                               -0.5,
                               -1.5,
                               0.49999,
                               0.50001,
                               1e-300,
                               5e-324,
                               -5e-324,
                               1e9,
                               -1e9,
                               0.1,
                               -0.3,
                               3.14159265358979,
                               1 / 3.0,
                               0x1p-12,
                               0x1p-13,
                               0x1.8p-12,
                               0x1.fffffffffffffp-2,
                               0x1.0000000000001p-1};
    static const int32_t exponents[] = {0, -1, -2, -3, -5, -6, 1, 2, 5};
    for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++)
        for (size_t k = 0; k < sizeof(exponents) / sizeof(exponents[0]); k++) {
            uint64_t v[CCZI_PAI_WORDS_MAX + 1];
            int64_t want = rounded(x[i], exponents[k]);
            CHECK(cczi_f64_to_words(v, x[i], exponents[k], 62) == 0 && (int64_t)v[0] == want);
            CHECK(cczi_f64_to_words(v, x[i], exponents[k], 130) == 0 && (int64_t)v[0] == want);
            uint64_t fill = want < 0 ? ~(uint64_t)0 : 0;
            CHECK(v[1] == fill && v[2] == fill);
        }
    struct test_rng rng = {.state = 1};
    for (int i = 0; i < 20000; i++) { /* ties are frequent: few bits below the point */
        uint64_t v[2], r = test_word(&rng);
        double y = ldexp((double)(int64_t)(r >> 20) - 0x1p43, (int)(r & 63) - 44);
        if (fabs(y) >= 0x1p40)
            continue;
        CHECK(cczi_f64_to_words(v, y, -4, 60) == 0 && (int64_t)v[0] == rounded(y, -4));
    }
}

static void test_f64_range(void)
{
    static const double bad[] = {INFINITY, -INFINITY, NAN, DBL_MAX, 1e30};
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_format format = {-2, 20};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        REFUSED(ccz_paillier_plain_f64(&p, test_pub(), bad + i, 1, format, NULL, &err_),
                CCZ_E_LIMIT, "paillier:range");
    const double most = 4095.998, more = 4095.9981; /* 2^20 - 0.5 is a tie, up to 2^20 */
    CHECK(ccz_paillier_plain_f64(&p, test_pub(), &most, 1, format, NULL, NULL) == CCZ_OK);
    ccz_paillier_plain_free(p);
    REFUSED(ccz_paillier_plain_f64(&p, test_pub(), &more, 1, format, NULL, &err_), CCZ_E_LIMIT,
            "paillier:range");
    REFUSED(ccz_paillier_plain_f64(&p, test_pub(), &most, 1, (struct ccz_paillier_format){1025, 20},
                                   NULL, &err_),
            CCZ_E_ARG, "paillier:exponent");
    REFUSED(ccz_paillier_plain_f64(&p, test_pub(), &most, 1,
                                   (struct ccz_paillier_format){0, BITS - 2}, NULL, &err_),
            CCZ_E_ARG, "paillier:bits");
    /* The largest double needs 1024 bits; with steps of 2^8 it fits. */
    const double max = DBL_MAX;
    double back;
    CHECK(ccz_paillier_plain_f64(&p, test_pub(), &max, 1, (struct ccz_paillier_format){2, BITS - 3},
                                 NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_f64(&back, p, NULL) == CCZ_OK && back == max);
}

/* Words of a number of up to 192 bits, and its double by way of long double where that is exact. */
static void test_f64_decode(void)
{
    struct test_rng rng = {.state = 2};
    double got;
    for (int i = 0; i < 20000; i++) {
        uint64_t r = test_word(&rng) >> (i % 64);
        if (i % 3 == 0) /* ties, and what is next to them */
            r = (r >> 11 << 11) | (uint64_t)(1023 + i % 9 / 3);
        int32_t exponent = (int32_t)(test_word(&rng) % 500) - 275;
        uint64_t v[3] = {r & INT64_MAX, 0, 0};
        double want = (double)ldexpl((long double)v[0], 4 * exponent);
        CHECK(cczi_f64_from_words(&got, v, 1, exponent) == (isinf(want) ? 1 : 0));
        CHECK(isinf(want) || got == want);
        uint64_t m[3] = {0 - v[0], v[0] ? ~(uint64_t)0 : 0, v[0] ? ~(uint64_t)0 : 0};
        CHECK(cczi_f64_from_words(&got, m, 3, exponent) == (isinf(want) ? 1 : 0));
        CHECK(isinf(want) || got == -want);
        /* the same, 64 bits higher, with a bit far below that breaks ties */
        uint64_t w[3] = {1, v[0], 0};
        long double up = ldexpl((long double)v[0], 4 * exponent + 64);
        double next = (double)up;
        if (v[0] > UINT32_MAX && fabsl(up) < 1e300L && fabsl(up) > 1e-290L) {
            CHECK(cczi_f64_from_words(&got, w, 3, exponent) == 0);
            CHECK(got == next || (got > next && got == nextafter(next, INFINITY) &&
                                  up - (long double)next == (long double)got - up));
        }
    }
    const uint64_t zero[2] = {0, 0};
    CHECK(cczi_f64_from_words(&got, zero, 2, 1000) == 0 && got == 0 && !signbit(got));
    CHECK(cczi_f64_from_words(&got, zero, 2, -1000) == 0 && got == 0);
}

static void test_f64_exponent(void)
{
    static const double x[] = {1.0, 0.1, -0.1, 1e10, 0x1p53, 0x1p60, 1e-20, 0.0};
    static const int32_t want[] = {-13, -14, -14, -5, 0, 2, -30, -14}; /* python-paillier 1.5.0 */
    for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++) {
        CHECK(ccz_paillier_f64_exponent(x[i]) == want[i]);
        CCZ_AUTO(ccz_paillier_plain) p = NULL;
        double back;
        const struct ccz_paillier_format format = {want[i], 60};
        CHECK(ccz_paillier_plain_f64(&p, test_pub(), x + i, 1, format, NULL, NULL) == CCZ_OK);
        CHECK(ccz_paillier_plain_to_f64(&back, p, NULL) == CCZ_OK && back == x[i]);
    }
}

static void test_slots(void)
{
    static const unsigned widths[] = {2, 3, 8, 31, 32, 33, 63, 64, 65, 127, 128, 200, 512};
    struct test_rng rng = {.state = 3};
    for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
        struct ccz_paillier_packing pack = {.slot_bits = widths[w]};
        unsigned slots = ccz_paillier_slots(test_pub(), widths[w]);
        unsigned bits = widths[w] - 1 < 63 ? widths[w] - 1 : 63;
        CHECK(slots == (BITS - 2) / widths[w]);
        for (int round = 0; round < 4; round++) { /* all largest, all smallest, mixed, random */
            size_t len = 2 * slots + 1;
            int64_t *v = calloc(3 * slots, sizeof(*v)), *back = calloc(3 * slots, sizeof(*back));
            int64_t most = (int64_t)(((uint64_t)1 << bits) - 1);
            for (size_t i = 0; i < len; i++)
                v[i] = round == 0   ? most
                       : round == 1 ? -most
                       : round == 2 ? (i % 3 == 0   ? most
                                       : i % 3 == 1 ? -most
                                                    : 0)
                                    : (int64_t)test_word(&rng) & most;
            CCZ_AUTO(ccz_paillier_plain) p = NULL;
            CHECK(ccz_paillier_plain_i64(&p, test_pub(), v, len, bits, &pack, NULL) == CCZ_OK);
            CHECK(ccz_paillier_plain_len(p) == 3 && ccz_paillier_plain_values(p) == 3 * slots);
            CHECK(ccz_paillier_plain_to_i64(back, p, NULL) == CCZ_OK);
            CHECK(memcmp(v, back, 3 * slots * sizeof(*v)) == 0);
            free(v), free(back);
        }
    }
    CCZ_AUTO(ccz_paillier_plain) none = NULL;
    const int64_t one = 1;
    for (unsigned width = 0; width < 1000; width += width == 1 ? 512 : 1) {
        struct ccz_paillier_packing pack = {.slot_bits = width};
        if (width == 2)
            width = 513, pack.slot_bits = 513;
        CHECK(ccz_paillier_slots(test_pub(), width) == 0);
        REFUSED(ccz_paillier_plain_i64(&none, test_pub(), &one, 1, 1, &pack, &err_), CCZ_E_ARG,
                "paillier:slots");
    }
    const struct ccz_paillier_packing many = {.slot_bits = 64, .slots = 16};
    REFUSED(ccz_paillier_plain_i64(&none, test_pub(), &one, 1, 1, &many, &err_), CCZ_E_ARG,
            "paillier:slots");
    const struct ccz_paillier_packing narrow = {.slot_bits = 8};
    REFUSED(ccz_paillier_plain_i64(&none, test_pub(), &one, 1, 8, &narrow, &err_), CCZ_E_ARG,
            "paillier:bits");
}

/* An integer that no packing makes: something is left above the slots. */
static void test_slots_rest(void)
{
    uint8_t r[N_SIZE] = {0};
    int64_t v[2];
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_format format = {0, 40};
    r[N_SIZE - 5] = 1; /* 2^32 */
    CHECK(ccz_paillier_plain_residues(&p, test_pub(), r, 1, format, NULL) == CCZ_OK);
    p->pack = (struct ccz_paillier_packing){16, 2};
    p->values = 2;
    REFUSED(ccz_paillier_plain_to_i64(v, p, &err_), CCZ_E_LIMIT, "paillier:range");
}

static void test_bounds(void)
{
    struct cczi_bound one = cczi_bound_bits(10), sum = one, limit = cczi_bound_bits(20);
    for (int i = 1; i < 1024; i++)
        sum = cczi_bound_add(sum, one);
    CHECK(cczi_bound_fits(sum, limit)); /* 2^10 of 2^10: exactly the room there is */
    CHECK(!cczi_bound_fits(cczi_bound_add(sum, cczi_bound_bits(0)), limit));
    CHECK(cczi_bound_fits(cczi_bound_times(one, 1024), limit));
    CHECK(!cczi_bound_fits(cczi_bound_times(one, 1025), limit));
    CHECK(cczi_bound_fits(cczi_bound_mul(one, one), limit));
    struct cczi_bound big = cczi_bound_bits(3000), more = cczi_bound_add(big, one);
    CHECK(!cczi_bound_fits(more, big) && more.e == 3000); /* rounded up, not away */
    struct cczi_bound third = cczi_bound_mul(cczi_bound_times(one, 3), cczi_bound_times(one, 7));
    CHECK(third.e == 24 && third.m == 21.0 / 16 && fabs(cczi_bound_log2(third) - 24.392) < 1e-3);
    struct cczi_bound again;
    CHECK(cczi_bound_from(&again, cczi_bound_mantissa(third), third.e));
    CHECK(again.m == third.m && again.e == third.e);
    CHECK(!cczi_bound_from(&again, (uint64_t)1 << 51, 3));
    CHECK(!cczi_bound_from(&again, (uint64_t)1 << 53, 3));
    CHECK(!cczi_bound_from(&again, (uint64_t)1 << 52, -1));
    CHECK(!cczi_bound_from(&again, (uint64_t)1 << 52, CCZ_PAILLIER_BITS_MAX + 1));
    /* n / 3 - 1 lies between the limit and its double */
    const struct ccz_paillier_pub *pub = test_pub();
    double log2_max = log2((double)pub->max[pub->words - 1]) + BITS - 64;
    CHECK(fabs(cczi_bound_log2(pub->limit) - log2_max) < 1e-9);
    CHECK(pub->limit.e == BITS - 2 || pub->limit.e == BITS - 3);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"paillier.i64", test_i64},
        {"paillier.residues", test_residues},
        {"paillier.f64_encode", test_f64_encode},
        {"paillier.f64_range", test_f64_range},
        {"paillier.f64_decode", test_f64_decode},
        {"paillier.f64_exponent", test_f64_exponent},
        {"paillier.slots", test_slots},
        {"paillier.slots_rest", test_slots_rest},
        {"paillier.bounds", test_bounds},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
