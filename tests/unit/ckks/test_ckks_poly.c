/* SPDX-License-Identifier: Apache-2.0 */
/* Polynomials under encryption against their definition: both bases, every degree, exact depth and scale. */
#include "ccz_test.h"
#include "ckks_kit.h"

enum { N = 1024, SLOTS = N / 2, LEVELS = 7 };

static struct kit kit;
static double x[SLOTS], want[SLOTS], coeff[CCZ_CKKS_DEGREE_MAX + 1];

/* The linker sends relinearizations here (--wrap): one per product of ciphertexts. */
static size_t products;
ccz_rc __real_ccz_ckks_relin(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                             const struct ccz_ckks_ct *a, const struct ccz_rlwe_swk *k,
                             struct ccz_err *err);
ccz_rc __wrap_ccz_ckks_relin(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                             const struct ccz_ckks_ct *a, const struct ccz_rlwe_swk *k,
                             struct ccz_err *err);
ccz_rc __wrap_ccz_ckks_relin(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                             const struct ccz_ckks_ct *a, const struct ccz_rlwe_swk *k,
                             struct ccz_err *err)
{
    products++;
    return __real_ccz_ckks_relin(out, e, a, k, err);
}

static double value(enum ccz_ckks_basis basis, size_t degree, double t)
{
    double sum = 0;
    for (size_t i = degree + 1; i-- > 0;)
        sum = basis == CCZ_CKKS_POWERS ? sum * t + coeff[i]
                                       : sum + coeff[i] * cos((double)i * acos(t));
    return sum;
}

/* Evaluates at the top, expects the values within the estimate, the depth and the scale. */
static void check(enum ccz_ckks_basis basis, size_t degree, double scale, size_t limbs)
{
    struct ccz_ckks_ct *in = kit_ct(&kit), *out = kit_ct(&kit);
    struct ccz_err err = {0};
    for (size_t j = 0; j < SLOTS; j++) {
        x[j] = j == 0 ? 1 : j == 1 ? -1 : random_unit();
        want[j] = value(basis, degree, x[j]);
    }
    kit_encrypt(in, &kit, x);
    CHECK(ccz_ckks_drop(in, kit.eval, in, limbs, NULL) == CCZ_OK);
    ccz_rc rc = ccz_ckks_poly(out, kit.eval, in, basis, coeff, degree, scale, kit.relin, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "degree %zu: %s: %s\n", degree, err.where, err.msg);
    CHECK(rc == CCZ_OK);
    size_t real = degree;
    while (coeff[real] == 0)
        real--;
    CHECK(out->ct.parts == 2 && out->ct.limbs == limbs - ccz_ckks_poly_depth(real));
    CHECK(fabs(out->scale / (scale > 0 ? scale : in->scale) - 1) < 1e-9);
    kit_expect(&kit, out, want);
    CHECK(in->ct.limbs == limbs); /* not touched */
    CHECK(ccz_ckks_poly(in, kit.eval, in, basis, coeff, degree, scale, kit.relin, NULL) == CCZ_OK);
    kit_expect(&kit, in, want); /* in place */
    ccz_ckks_ct_free(in);
    ccz_ckks_ct_free(out);
}

static void random_coeff(size_t degree, size_t step)
{
    double sum = 0;
    memset(coeff, 0, sizeof(coeff));
    for (size_t i = degree % step; i <= degree; i += step)
        sum += fabs(coeff[i] = random_unit());
    coeff[0] = random_unit();
    coeff[degree] += coeff[degree] < 0 ? -0.1 : 0.1;
    for (size_t i = 0; i <= degree; i++)
        coeff[i] /= sum + 1; /* values up to 1 */
}

static void test_depth(void)
{
    CHECK(ccz_ckks_poly_depth(1) == 1 && ccz_ckks_poly_depth(2) == 2 &&
          ccz_ckks_poly_depth(3) == 2);
    CHECK(ccz_ckks_poly_depth(4) == 3 && ccz_ckks_poly_depth(7) == 3 &&
          ccz_ckks_poly_depth(8) == 4);
    CHECK(ccz_ckks_poly_depth(127) == 7 && ccz_ckks_poly_depth(255) == 8);
}

static void test_powers(void)
{
    for (size_t degree = 1; degree <= 34; degree++) {
        random_coeff(degree, 1);
        check(CCZ_CKKS_POWERS, degree, 0, ccz_ckks_poly_depth(degree) + 1 + degree % 2);
    }
    for (size_t degree = 3; degree <= 15; degree += 2) { /* odd functions */
        random_coeff(degree, 2);
        check(CCZ_CKKS_POWERS, degree, kit.scale * 1.7, ccz_ckks_poly_depth(degree) + 1);
    }
    memset(coeff, 0, sizeof(coeff)); /* one term, and leading zeros */
    coeff[13] = -0.4;
    check(CCZ_CKKS_POWERS, 40, 0, LEVELS + 1);
    coeff[0] = 0.25;
    check(CCZ_CKKS_POWERS, 13, 0, 6);
}

static void test_chebyshev(void)
{
    for (size_t degree = 1; degree <= 34; degree++) {
        random_coeff(degree, 1);
        check(CCZ_CKKS_CHEBYSHEV, degree, 0, ccz_ckks_poly_depth(degree) + 1 + degree % 2);
    }
    for (size_t degree = 63; degree <= 127; degree += 32) {
        random_coeff(degree, 1);
        check(CCZ_CKKS_CHEBYSHEV, degree, 0, LEVELS + 1);
    }
    for (size_t degree = 3; degree <= 31; degree += 4) {
        random_coeff(degree, 2);
        check(CCZ_CKKS_CHEBYSHEV, degree, kit.scale / 3, ccz_ckks_poly_depth(degree) + 1);
    }
}

/* Products of ciphertexts, at the least depth: about sqrt(2 degree) + log2(degree). */
static void test_products(void)
{
    static const struct {
        size_t degree, step, most;
    } cases[] = {{1, 1, 0},   {2, 1, 1},   {3, 1, 2},    {4, 1, 3}, {7, 1, 5}, {15, 1, 8},
                 {31, 1, 13}, {63, 1, 18}, {127, 1, 27}, {3, 2, 2}, {7, 2, 5}, {15, 2, 8}};
    struct ccz_ckks_ct *in = kit_ct(&kit), *out = kit_ct(&kit);
    memset(x, 0, sizeof(x));
    kit_encrypt(in, &kit, x);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int basis = 0; basis < 2; basis++) {
            random_coeff(cases[i].degree, cases[i].step);
            products = 0;
            CHECK(ccz_ckks_poly(out, kit.eval, in, basis ? CCZ_CKKS_CHEBYSHEV : CCZ_CKKS_POWERS,
                                coeff, cases[i].degree, 0, kit.relin, NULL) == CCZ_OK);
            CHECK(products <= cases[i].most);
        }
    ccz_ckks_ct_free(in);
    ccz_ckks_ct_free(out);
}

static double sigmoid(void *arg, double t)
{
    (void)arg;
    return 1 / (1 + exp(-t));
}

/* A sigmoid over [-16, 16] by degree 31: five levels, the error that of the approximation. */
static void test_sigmoid(void)
{
    struct ccz_ckks_ct *ct = kit_ct(&kit);
    double got[SLOTS];
    CHECK(ccz_ckks_chebyshev(coeff, 31, sigmoid, NULL, -16, 16, NULL) == CCZ_OK);
    for (size_t j = 0; j < SLOTS; j++)
        x[j] = random_unit();
    kit_encrypt(ct, &kit, x);
    CHECK(ccz_ckks_poly(ct, kit.eval, ct, CCZ_CKKS_CHEBYSHEV, coeff, 31, 0, kit.relin, NULL) ==
          CCZ_OK);
    CHECK(ccz_ckks_decrypt(kit.pt, kit.eval, kit.sk, ct, NULL) == CCZ_OK);
    CHECK(ccz_ckks_decode(got, SLOTS, kit.eval, kit.pt, NULL) == CCZ_OK);
    for (size_t j = 0; j < SLOTS; j++)
        CHECK(fabs(got[j] - sigmoid(NULL, 16 * x[j])) < 2e-3);
    /* the cubic of the logistic regression: values up to 3.3 in powers */
    CHECK(ccz_ckks_sigmoid(coeff, NULL, 3, 8, CCZ_SIGMOID_HE_TOOLKIT, NULL) == CCZ_OK);
    for (size_t j = 0; j < SLOTS; j++) {
        x[j] = 3.3 * random_unit();
        want[j] = value(CCZ_CKKS_POWERS, 3, x[j]);
    }
    kit_encrypt(ct, &kit, x);
    CHECK(ccz_ckks_drop(ct, kit.eval, ct, 3, NULL) == CCZ_OK);
    CHECK(ccz_ckks_poly(ct, kit.eval, ct, CCZ_CKKS_POWERS, coeff, 3, 0, kit.relin, NULL) == CCZ_OK);
    kit_expect(&kit, ct, want);
    ccz_ckks_ct_free(ct);
}

static void refused(const struct ccz_ckks_ct *in, enum ccz_ckks_basis basis, size_t degree,
                    const char *where)
{
    struct ccz_err err;
    struct ccz_ckks_ct *out = kit_ct(&kit);
    CHECK(ccz_ckks_poly(out, kit.eval, in, basis, coeff, degree, 0, kit.relin, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, where) == 0 && out->ct.parts == 0);
    if (strcmp(where, "ckks:value") == 0)
        CHECK(err.aux == 5); /* which one */
    ccz_ckks_ct_free(out);
}

static void test_refused(void)
{
    struct ccz_ckks_ct *ct = kit_ct(&kit);
    struct ccz_err err;
    random_coeff(7, 1);
    refused(ct, CCZ_CKKS_POWERS, 7, "ckks:empty");
    memset(x, 0, sizeof(x));
    x[1] = 1.5;
    kit_encrypt(ct, &kit, x);
    refused(ct, CCZ_CKKS_POWERS, CCZ_CKKS_DEGREE_MAX + 1, "ckks:poly-degree");
    refused(ct, CCZ_CKKS_CHEBYSHEV, 7, "ckks:poly-range");
    CHECK(ccz_ckks_assume(ct, 0, &err) == CCZ_E_ARG && strcmp(err.where, "ckks:value") == 0);
    CHECK(ccz_ckks_assume(ct, NAN, &err) == CCZ_E_ARG && strcmp(err.where, "ckks:value") == 0);
    CHECK(ccz_ckks_assume(ct, 1, NULL) == CCZ_OK && ct->bound == ct->scale);
    CHECK(ccz_ckks_assume(ct, 2, NULL) == CCZ_OK && ct->bound == ct->scale); /* lowers only */
    coeff[5] = NAN;
    refused(ct, CCZ_CKKS_CHEBYSHEV, 7, "ckks:value");
    coeff[5] = HUGE_VAL;
    refused(ct, CCZ_CKKS_POWERS, 7, "ckks:value");
    memset(coeff, 0, sizeof(coeff));
    refused(ct, CCZ_CKKS_POWERS, 7, "ckks:poly-degree");
    coeff[0] = 1;
    refused(ct, CCZ_CKKS_POWERS, 0, "ckks:poly-degree");
    static const double scales[] = {-1, NAN, HUGE_VAL};
    random_coeff(3, 1);
    struct kit other;
    kit_init(&other, N, 50, 40, LEVELS);
    struct ccz_ckks_ct *foreign = kit_ct(&other);
    CHECK(ccz_ckks_poly(foreign, kit.eval, ct, CCZ_CKKS_POWERS, coeff, 3, 0, kit.relin, &err) ==
          CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "ckks:context") == 0 && foreign->ctx == other.ctx);
    ccz_ckks_ct_free(foreign);
    kit_deinit(&other);
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_ckks_poly(ct, kit.eval, ct, CCZ_CKKS_POWERS, coeff, 3, scales[i], kit.relin,
                            &err) == CCZ_E_ARG);
        CHECK(strcmp(err.where, "ckks:scale") == 0);
    }
    for (size_t degree = 1; degree <= 15; degree++) {
        random_coeff(degree, 1);
        size_t limbs = ccz_ckks_poly_depth(degree);
        struct ccz_ckks_ct *low = kit_ct(&kit);
        CHECK(ccz_ckks_drop(low, kit.eval, ct, limbs, NULL) == CCZ_OK);
        refused(low, CCZ_CKKS_POWERS, degree, "ckks:poly-depth");
        ccz_ckks_ct_free(low);
    }
    coeff[1] = 1e-40; /* nothing of it is left at the scale */
    refused(ct, CCZ_CKKS_POWERS, 1, "ckks:zero");
    ccz_ckks_ct_free(ct);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks_poly.products", test_products}, {"ckks_poly.depth", test_depth},
        {"ckks_poly.powers", test_powers},     {"ckks_poly.chebyshev", test_chebyshev},
        {"ckks_poly.sigmoid", test_sigmoid},   {"ckks_poly.refused", test_refused},
    };
    kit_init(&kit, N, 50, 40, LEVELS);
    kit_keys(&kit);
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    kit_deinit(&kit);
    return rc;
}
