/* SPDX-License-Identifier: Apache-2.0 */
/* Products with matrices against their definition, with keys for exactly the steps that were named. */
#include "ccz_test.h"
#include "ckks_kit.h"

enum { N = 1024, SLOTS = N / 2 };

static double m[SLOTS * SLOTS], x[SLOTS], want[SLOTS];

static size_t power_from(size_t a)
{
    size_t p = 1;
    while (p < a)
        p *= 2;
    return p;
}

static void random_matrix(size_t rows, size_t cols, bool sparse)
{
    for (size_t i = 0; i < rows * cols; i++)
        m[i] = sparse && random_bits() % 50 ? 0 : random_unit();
    m[random_bits() % (rows * cols)] = 0.7; /* not all 0 */
    memset(x, 0, sizeof(x));
    size_t period = power_from(cols);
    for (size_t j = 0; j < cols; j++)
        x[j] = random_unit();
    for (size_t j = period; j < SLOTS; j++)
        x[j] = x[j - period];
}

static void product(size_t rows, size_t cols)
{
    size_t period = power_from(rows);
    for (size_t j = 0; j < SLOTS; j++) {
        want[j] = 0;
        for (size_t c = 0; j % period < rows && c < cols; c++)
            want[j] += m[j % period * cols + c] * x[c];
    }
}

static struct ccz_rlwe_galois_set *keys_for(struct kit *k, size_t rows, size_t cols,
                                            int64_t without)
{
    int64_t steps[CCZ_CKKS_MATRIX_STEPS_MAX];
    struct ccz_rlwe_galois_set *keys = NULL;
    size_t len = ccz_ckks_matrix_steps(steps, rows, cols), kept = 0;
    CHECK(len < CCZ_CKKS_MATRIX_STEPS_MAX);
    for (size_t i = 0; i < len; i++)
        if (steps[i] != without)
            steps[kept++] = steps[i];
    CHECK(ccz_ckks_galois_new(&keys, k->eval, k->sk, steps, kept, false, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_len(keys) == kept); /* none twice */
    return keys;
}

static void check_shape(struct kit *k, size_t rows, size_t cols, bool sparse, size_t limbs)
{
    struct ccz_ckks_matrix *matrix = NULL;
    struct ccz_ckks_ct *ct = kit_ct(k);
    struct ccz_rlwe_galois_set *keys = keys_for(k, rows, cols, 0);
    random_matrix(rows, cols, sparse);
    product(rows, cols);
    double scale = (double)ccz_rlwe_prime(ccz_ckks_ring(k->ctx), limbs - 1);
    CHECK(ccz_ckks_matrix_new(&matrix, k->eval, m, rows, cols, scale, 3, NULL) == CCZ_OK);
    kit_encrypt(ct, k, x);
    CHECK(ccz_ckks_drop(ct, k->eval, ct, limbs, NULL) == CCZ_OK);
    CHECK(ccz_ckks_matrix_mul(ct, k->eval, matrix, ct, keys, NULL) == CCZ_OK);
    kit_expect(k, ct, want);
    CHECK(ccz_ckks_rescale(ct, k->eval, ct, NULL) == CCZ_OK);
    CHECK(fabs(ct->scale / k->scale - 1) < 1e-12);
    kit_expect(k, ct, want);
    CHECK(ccz_ckks_error_bits(ct) < -8);
    ccz_ckks_matrix_free(matrix);
    ccz_rlwe_galois_set_free(keys);
    ccz_ckks_ct_free(ct);
}

static void test_shapes(void)
{
    static const size_t sides[][2] = {
        {1, 1},   {1, 2},   {1, 7},     {1, SLOTS}, {2, 1},    {7, 1},   {SLOTS, 1},
        {2, 2},   {3, 5},   {8, 8},     {5, 64},    {64, 5},   {16, 30}, {30, 16},
        {33, 31}, {40, 40}, {2, SLOTS}, {SLOTS, 2}, {100, 11},
    };
    struct kit k;
    kit_init(&k, N, 50, 40, 2);
    kit_keys(&k);
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
        check_shape(&k, sides[i][0], sides[i][1], false, 2 + i % 2);
    for (size_t i = 5; i < 16; i++)
        check_shape(&k, sides[i][0], sides[i][1], true, 3);
    kit_deinit(&k);
}

/* As many diagonals as slots: 512 of them. */
static void test_full(void)
{
    struct kit k;
    kit_init(&k, N, 50, 40, 2);
    kit_keys(&k);
    check_shape(&k, SLOTS, SLOTS, true, 3);
    kit_deinit(&k);
}

/* Without any one of the keys it is refused, and the output is as before. */
static void test_missing_keys(void)
{
    enum { ROWS = 4, COLS = 64 };
    int64_t steps[CCZ_CKKS_MATRIX_STEPS_MAX];
    struct kit k;
    struct ccz_err err;
    struct ccz_ckks_matrix *matrix = NULL;
    kit_init(&k, N, 50, 40, 2);
    kit_keys(&k);
    struct ccz_ckks_ct *in = kit_ct(&k), *out = kit_ct(&k);
    random_matrix(ROWS, COLS, false);
    kit_encrypt(in, &k, x);
    CHECK(ccz_ckks_matrix_new(&matrix, k.eval, m, ROWS, COLS, k.scale, 3, NULL) == CCZ_OK);
    size_t len = ccz_ckks_matrix_steps(steps, ROWS, COLS);
    CHECK(len >= 4 + 2);
    for (size_t i = 0; i < len; i++) {
        struct ccz_rlwe_galois_set *keys = keys_for(&k, ROWS, COLS, steps[i]);
        CHECK(ccz_ckks_matrix_mul(out, k.eval, matrix, in, keys, &err) == CCZ_E_NOT_FOUND);
        CHECK(strcmp(err.where, "ckks:galois-key") == 0);
        CHECK(out->ct.parts == 0);
        ccz_rlwe_galois_set_free(keys);
    }
    ccz_ckks_matrix_free(matrix);
    ccz_ckks_ct_free(in);
    ccz_ckks_ct_free(out);
    kit_deinit(&k);
}

static void test_refused(void)
{
    struct kit k, other;
    struct ccz_err err;
    struct ccz_ckks_matrix *matrix = NULL;
    int64_t steps[CCZ_CKKS_MATRIX_STEPS_MAX];
    kit_init(&k, N, 50, 40, 2);
    kit_init(&other, N, 50, 40, 2);
    kit_keys(&k);
    kit_keys(&other);
    memset(m, 0, sizeof(m));
    CHECK(ccz_ckks_matrix_new(&matrix, k.eval, m, 3, 3, k.scale, 3, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:matrix-zero") == 0 && !matrix);
    m[0] = 1;
    static const size_t bad[][2] = {{0, 1}, {1, 0}, {SLOTS + 1, 1}, {1, SLOTS + 1}};
    for (size_t i = 0; i < 4; i++) {
        CHECK(ccz_ckks_matrix_new(&matrix, k.eval, m, bad[i][0], bad[i][1], k.scale, 3, &err) ==
              CCZ_E_ARG);
        CHECK(strcmp(err.where, "ckks:matrix-size") == 0 && !matrix);
    }
    CHECK(ccz_ckks_matrix_steps(steps, 0, 1) == 0 && ccz_ckks_matrix_steps(steps, 1, 0) == 0);
    CHECK(ccz_ckks_matrix_steps(steps, 32769, 1) == 0 && ccz_ckks_matrix_steps(steps, 1, 1) == 0);
    CHECK(ccz_ckks_matrix_steps(steps, 32768, 32768) < CCZ_CKKS_MATRIX_STEPS_MAX);
    CHECK(ccz_ckks_matrix_new(&matrix, k.eval, m, 1, 1, k.scale, 0, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:limbs") == 0);
    m[0] = NAN;
    CHECK(ccz_ckks_matrix_new(&matrix, k.eval, m, 1, 1, k.scale, 3, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:value") == 0 && !matrix);
    m[0] = 1;
    CHECK(ccz_ckks_matrix_new(&matrix, k.eval, m, 2, 2, k.scale, 2, &err) == CCZ_OK);
    struct ccz_ckks_ct *in = kit_ct(&k), *out = kit_ct(&k);
    struct ccz_rlwe_galois_set *keys = keys_for(&k, 2, 2, 0);
    CHECK(ccz_ckks_matrix_mul(out, k.eval, matrix, in, keys, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:empty") == 0);
    kit_encrypt(in, &k, x);
    CHECK(ccz_ckks_matrix_mul(out, other.eval, matrix, in, keys, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "ckks:context") == 0);
    CHECK(ccz_ckks_matrix_mul(out, k.eval, matrix, in, keys, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:plain-limbs") == 0); /* made for two primes */
    struct ccz_rlwe_galois_set *other_keys = keys_for(&other, 2, 2, 0);
    struct ccz_ckks_ct *other_in = kit_ct(&other), *other_out = kit_ct(&other);
    kit_encrypt(other_in, &other, x);
    CHECK(ccz_ckks_drop(other_in, other.eval, other_in, 2, NULL) == CCZ_OK);
    CHECK(ccz_ckks_matrix_mul(other_out, other.eval, matrix, other_in, other_keys, &err) ==
          CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "ckks:context") == 0);
    CHECK(ccz_ckks_drop(in, k.eval, in, 2, NULL) == CCZ_OK);
    CHECK(ccz_ckks_matrix_mul(other_out, k.eval, matrix, in, keys, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "ckks:context") == 0 && other_out->ctx == other.ctx);
    ccz_rlwe_galois_set_free(other_keys);
    ccz_ckks_ct_free(other_in);
    ccz_ckks_ct_free(other_out);
    ccz_ckks_matrix_free(matrix);
    ccz_rlwe_galois_set_free(keys);
    ccz_ckks_ct_free(in);
    ccz_ckks_ct_free(out);
    kit_deinit(&k);
    kit_deinit(&other);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks_linear.shapes", test_shapes},
        {"ckks_linear.full", test_full},
        {"ckks_linear.missing_keys", test_missing_keys},
        {"ckks_linear.refused", test_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
