/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on ciphertexts against the same on numbers, with the error that the ciphertext states. */
#include "ops.h"

#define OK(call) CHECK((call) == CCZ_OK)
/* Decrypts `ct` and holds it against an expression in i. */
#define MATCHES(o, ct, slack, expression)                                                          \
    do {                                                                                           \
        long double want_[SLOTS];                                                                  \
        for (size_t i = 0; i < SLOTS; i++)                                                         \
            want_[i] = (expression);                                                               \
        ops_check((o), (ct), want_, (slack));                                                      \
    } while (0)

typedef long double real;

static void test_encrypt(void)
{
    struct ops o;
    ops_init(&o, 1, 1);
    MATCHES(&o, o.cx, 3, o.x[i]);
    MATCHES(&o, o.cy, 3, o.y[i]);
    for (size_t limbs = 1; limbs <= 4; limbs++) {
        OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.px, limbs, NULL));
        CHECK(ccz_ckks_level(o.out) == limbs - 1 && o.out->ct.seeded);
        MATCHES(&o, o.out, 3, o.x[i]);
    }
    /* coefficients alone are enough, and so are residues alone */
    OK(ccz_ckks_encode(o.pt, o.e, o.x, SLOTS, SCALE, 0, NULL));
    CHECK(o.pt->limbs == 0);
    OK(ccz_ckks_encrypt_pk(o.out, o.e, o.pk, o.pt, 3, NULL));
    MATCHES(&o, o.out, 3, o.x[i]);
    OK(ccz_ckks_encode(o.pt, o.e, o.x, SLOTS, SCALE, 0, NULL));
    OK(ccz_ckks_pt_expand(o.pt, o.e, 2, NULL));
    CHECK(o.pt->limbs == 2 && memcmp(o.pt->v, o.px->v, 2 * N * sizeof(uint64_t)) == 0);
    o.pt->has_coeff = false;
    OK(ccz_ckks_encrypt_pk(o.out, o.e, o.pk, o.pt, 2, NULL));
    MATCHES(&o, o.out, 3, o.x[i]);
    ops_deinit(&o);
}

/* What a fresh ciphertext says of itself does not depend on the values. */
static void test_public_bounds(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    CHECK(o.cx->bound == SCALE && o.cy->bound == SCALE);
    double small[SLOTS] = {0.001}, large[SLOTS] = {2.5, 3.7};
    OK(ccz_ckks_encode(o.pt, o.e, small, SLOTS, SCALE, 0, NULL));
    OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 0, NULL));
    CHECK(o.out->bound == SCALE && o.out->noise == o.cy->noise);
    OK(ccz_ckks_encode(o.pt, o.e, large, SLOTS, SCALE, 0, NULL));
    OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 0, NULL));
    CHECK(o.out->bound == 4 * SCALE);
    OK(ccz_ckks_pt_declare(o.pt, 5, &err));
    OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 0, NULL));
    CHECK(o.out->bound == 5 * SCALE);
    /* the next encoding is not declared any more */
    OK(ccz_ckks_encode(o.pt, o.e, small, SLOTS, SCALE, 0, NULL));
    OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 0, NULL));
    CHECK(o.out->bound == SCALE);
    OK(ccz_ckks_encode(o.pt, o.e, large, SLOTS, SCALE, 0, NULL));
    CHECK(ops_refused(ccz_ckks_pt_declare(o.pt, 3.6, &err), CCZ_E_ARG, &err, "ckks:declared"));
    CHECK(ops_refused(ccz_ckks_pt_declare(o.pt, (double)INFINITY, &err), CCZ_E_ARG, &err,
                      "ckks:declared"));
    ops_deinit(&o);
}

static void test_sums(void)
{
    struct ops o;
    ops_init(&o, 1, 1);
    OK(ccz_ckks_add(o.out, o.e, o.cx, o.cy, NULL));
    MATCHES(&o, o.out, 4, (real)o.x[i] + o.y[i]);
    OK(ccz_ckks_sub(o.out, o.e, o.cx, o.cy, NULL));
    MATCHES(&o, o.out, 4, (real)o.x[i] - o.y[i]);
    OK(ccz_ckks_neg(o.out, o.e, o.cx, NULL));
    MATCHES(&o, o.out, 4, -(real)o.x[i]);
    OK(ccz_ckks_add_plain(o.out, o.e, o.cx, o.py, NULL));
    MATCHES(&o, o.out, 4, (real)o.x[i] + o.y[i]);
    OK(ccz_ckks_sub_plain(o.out, o.e, o.cx, o.py, NULL));
    MATCHES(&o, o.out, 4, (real)o.x[i] - o.y[i]);
    OK(ccz_ckks_add_scalar(o.out, o.e, o.cx, -2.75, NULL));
    MATCHES(&o, o.out, 4, (real)o.x[i] - 2.75L);
    /* in place, either side */
    OK(ccz_ckks_copy(o.out, o.cx));
    OK(ccz_ckks_sub(o.out, o.e, o.out, o.cy, NULL));
    MATCHES(&o, o.out, 4, (real)o.x[i] - o.y[i]);
    OK(ccz_ckks_sub(o.out, o.e, o.cy, o.out, NULL));
    MATCHES(&o, o.out, 4, 2 * (real)o.y[i] - o.x[i]);
    OK(ccz_ckks_add(o.out, o.e, o.out, o.out, NULL));
    MATCHES(&o, o.out, 4, 4 * (real)o.y[i] - 2 * (real)o.x[i]);
    OK(ccz_ckks_add_plain(o.out, o.e, o.out, o.px, NULL));
    OK(ccz_ckks_add_scalar(o.out, o.e, o.out, 1, NULL));
    OK(ccz_ckks_neg(o.out, o.e, o.out, NULL));
    MATCHES(&o, o.out, 4, -(4 * (real)o.y[i] - (real)o.x[i] + 1));
    ops_deinit(&o);
}

static void test_products(void)
{
    struct ops o;
    ops_init(&o, 1, 1);
    OK(ccz_ckks_mul_plain(o.out, o.e, o.cx, o.py, NULL));
    MATCHES(&o, o.out, 5, (real)o.x[i] * o.y[i]);
    OK(ccz_ckks_mul_scalar(o.out, o.e, o.cx, -0.3, SCALE, NULL));
    MATCHES(&o, o.out, 5, (real)o.x[i] * -0.3);
    OK(ccz_ckks_mul_scalar(o.out, o.e, o.cx, 7, 1, NULL));
    CHECK(o.out->scale == SCALE);
    MATCHES(&o, o.out, 5, (real)o.x[i] * 7);
    OK(ccz_ckks_mul(o.out, o.e, o.cx, o.cy, NULL));
    CHECK(o.out->ct.parts == 3);
    MATCHES(&o, o.out, 5, (real)o.x[i] * o.y[i]);
    /* a constant at scale 2^80 is added exactly enough; 2 and 3 parts add up */
    OK(ccz_ckks_add_scalar(o.out, o.e, o.out, 0.1, NULL));
    struct ccz_ckks_ct *two;
    OK(ccz_ckks_ct_new(&two, o.c, NULL));
    OK(ccz_ckks_mul_plain(two, o.e, o.cx, o.py, NULL));
    OK(ccz_ckks_add(o.out, o.e, two, o.out, NULL));
    MATCHES(&o, o.out, 6, 2 * (real)o.x[i] * o.y[i] + 0.1L);
    OK(ccz_ckks_sub(o.out, o.e, two, o.out, NULL));
    MATCHES(&o, o.out, 6, -(real)o.x[i] * o.y[i] - 0.1L);
    OK(ccz_ckks_square(o.out, o.e, o.cx, NULL));
    MATCHES(&o, o.out, 5, (real)o.x[i] * o.x[i]);
    OK(ccz_ckks_copy(two, o.cx));
    OK(ccz_ckks_mul(two, o.e, two, o.cy, NULL));
    MATCHES(&o, two, 5, (real)o.x[i] * o.y[i]);
    OK(ccz_ckks_relin(two, o.e, two, o.relin, NULL));
    CHECK(two->ct.parts == 2);
    MATCHES(&o, two, 5, (real)o.x[i] * o.y[i]);
    OK(ccz_ckks_relin(o.out, o.e, two, o.relin, NULL)); /* nothing to do: a copy */
    MATCHES(&o, o.out, 5, (real)o.x[i] * o.y[i]);
    OK(ccz_ckks_relin_rescale(o.out, o.e, two, o.relin, NULL)); /* a rescale */
    MATCHES(&o, o.out, 5, (real)o.x[i] * o.y[i]);
    ccz_ckks_ct_free(two);
    ops_deinit(&o);
}

/* x^8 over three levels, with one, two and three special primes and helper threads. */
static void test_depth(void)
{
    for (unsigned special = 1; special <= 3; special++) {
        struct ops o;
        ops_init(&o, special, special);
        OK(ccz_ckks_copy(o.out, o.cx));
        double scale = SCALE;
        for (size_t level = 3; level > 0; level--) {
            const double q = (double)ccz_rlwe_prime(ccz_ckks_ring(o.c), level);
            OK(ccz_ckks_square(o.out, o.e, o.out, NULL));
            if (level == 2) {
                OK(ccz_ckks_relin(o.out, o.e, o.out, o.relin, NULL));
                OK(ccz_ckks_rescale(o.out, o.e, o.out, NULL));
            } else {
                OK(ccz_ckks_relin_rescale(o.out, o.e, o.out, o.relin, NULL));
            }
            scale = scale * scale / q;
            CHECK(o.out->scale == scale && ccz_ckks_level(o.out) == level - 1);
        }
        MATCHES(&o, o.out, 8, powl(o.x[i], 8));
        ops_deinit(&o);
    }
}

static void test_levels(void)
{
    struct ops o;
    ops_init(&o, 1, 1);
    CHECK(ccz_ckks_headroom_bits(o.cx) > 123.9 && ccz_ckks_headroom_bits(o.cx) < 124.1);
    for (size_t limbs = 4; limbs >= 1; limbs--) {
        OK(ccz_ckks_drop(o.out, o.e, o.cy, limbs, NULL));
        CHECK(o.out->ct.limbs == limbs && o.out->scale == SCALE);
        MATCHES(&o, o.out, 3, o.y[i]);
    }
    CHECK(ccz_ckks_headroom_bits(o.out) < 4.1);
    OK(ccz_ckks_copy(o.out, o.cy));
    OK(ccz_ckks_drop(o.out, o.e, o.out, 2, NULL));
    MATCHES(&o, o.out, 3, o.y[i]);
    /* to the level and scale of a product */
    struct ccz_ckks_ct *product;
    OK(ccz_ckks_ct_new(&product, o.c, NULL));
    OK(ccz_ckks_encode(o.pt, o.e, o.y, SLOTS, SCALE * 1.01, 4, NULL));
    OK(ccz_ckks_mul_plain(product, o.e, o.cx, o.pt, NULL));
    OK(ccz_ckks_rescale(product, o.e, product, NULL));
    CHECK(ccz_ckks_match(o.out, o.e, o.cx, 3, product->scale, NULL) == CCZ_OK);
    MATCHES(&o, o.out, 5, o.x[i]);
    OK(ccz_ckks_add(o.out, o.e, o.out, product, NULL));
    MATCHES(&o, o.out, 6, (real)o.x[i] * o.y[i] + o.x[i]);
    OK(ccz_ckks_match(o.out, o.e, o.cx, 2, SCALE * (1 + 1e-7), NULL)); /* close enough: a drop */
    CHECK(o.out->scale == SCALE && o.out->ct.limbs == 2);
    ccz_ckks_ct_free(product);
    ops_deinit(&o);
}

static void test_weighted(void)
{
    enum { TERMS = 150 };
    struct ops o;
    ops_init(&o, 1, 2);
    const struct ccz_ckks_ct *a[TERMS], *b[TERMS];
    const struct ccz_ckks_pt *p[TERMS];
    double w[TERMS];
    real of_x = 0, of_y = 0;
    for (size_t k = 0; k < TERMS; k++) {
        a[k] = k % 3 ? o.cx : o.cy;
        b[k] = k % 2 ? o.cx : o.cy;
        p[k] = k % 2 ? o.px : o.py;
        w[k] = k % 7 ? ops_unit(&o.rng.state) / 8 : 0;
        *(k % 3 ? &of_x : &of_y) += (real)w[k];
    }
    OK(ccz_ckks_dot_scalar(o.out, o.e, a, w, TERMS, SCALE, NULL));
    MATCHES(&o, o.out, 9, of_x * o.x[i] + of_y * o.y[i]);
    OK(ccz_ckks_dot_plain(o.out, o.e, a, p, TERMS, NULL));
    /* of six terms in turn: y y, x x, x y, y x, x y, x x */
    MATCHES(&o, o.out, 9,
            25 * ((real)o.y[i] * o.y[i] + 2 * (real)o.x[i] * o.x[i] + 3 * (real)o.x[i] * o.y[i]));
    OK(ccz_ckks_dot(o.out, o.e, a, b, TERMS, NULL));
    CHECK(o.out->ct.parts == 3);
    MATCHES(&o, o.out, 9,
            25 * ((real)o.y[i] * o.y[i] + 2 * (real)o.x[i] * o.x[i] + 3 * (real)o.x[i] * o.y[i]));
    OK(ccz_ckks_dot(o.out, o.e, a, b, 1, NULL));
    MATCHES(&o, o.out, 5, (real)o.y[i] * o.y[i]);
    ops_deinit(&o);
}

static void test_rotations(void)
{
    struct ops o;
    ops_init(&o, 2, 1);
    static const int64_t steps[] = {1, -3, 100, 0, SLOTS, SLOTS - 3};
    struct ccz_ckks_ct *many[6];
    for (size_t k = 0; k < 6; k++) {
        OK(ccz_ckks_rotate(o.out, o.e, o.cx, steps[k], o.galois, NULL));
        MATCHES(&o, o.out, 4, o.x[(i + (size_t)(steps[k] + SLOTS)) % SLOTS]);
        OK(ccz_ckks_ct_new(&many[k], o.c, NULL));
    }
    OK(ccz_ckks_rotate_many(many, o.e, o.cx, steps, 6, o.galois, NULL));
    for (size_t k = 0; k < 6; k++) {
        MATCHES(&o, many[k], 4, o.x[(i + (size_t)(steps[k] + SLOTS)) % SLOTS]);
        ccz_ckks_ct_free(many[k]);
    }
    OK(ccz_ckks_inner_sum(o.out, o.e, o.cy, 16, o.galois, NULL));
    real sums[SLOTS];
    for (size_t i = 0; i < SLOTS; i++) {
        sums[i] = 0;
        for (size_t k = 0; k < 16; k++)
            sums[i] += o.y[(i + k) % SLOTS];
    }
    ops_check(&o, o.out, sums, 7);
    OK(ccz_ckks_inner_sum(o.out, o.e, o.cy, 1, o.galois, NULL));
    MATCHES(&o, o.out, 4, o.y[i]);
    ops_deinit(&o);
}

static void test_conjugate(void)
{
    struct ops o;
    ops_init(&o, 1, 1);
    static struct ccz_complex z[SLOTS], got[SLOTS];
    for (size_t i = 0; i < SLOTS; i++)
        z[i] = (struct ccz_complex){o.x[i], o.y[i]};
    OK(ccz_ckks_encode_complex(o.pt, o.e, z, SLOTS, SCALE, 0, NULL));
    OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 3, NULL));
    OK(ccz_ckks_conjugate(o.out, o.e, o.out, o.galois, NULL));
    OK(ccz_ckks_decrypt(o.pt, o.e, o.sk, o.out, NULL));
    OK(ccz_ckks_decode_complex(got, SLOTS, o.e, o.pt, NULL));
    const double error = exp2(ccz_ckks_error_bits(o.out));
    for (size_t i = 0; i < SLOTS; i++)
        CHECK(hypot(got[i].re - o.x[i], got[i].im + o.y[i]) <= error);
    ops_deinit(&o);
}

/* Flooding: the noise is there, of the size that was asked for, other each time. */
static void test_shared(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    static double first[SLOTS];
    for (unsigned bits = 1; bits <= 25; bits += 8) {
        OK(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, bits, &err));
        OK(ccz_ckks_decode(first, SLOTS, o.e, o.pt, NULL));
        OK(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, bits, &err));
        OK(ccz_ckks_decode(o.got, SLOTS, o.e, o.pt, NULL));
        double squares = 0, limit = o.pt->noise / o.pt->scale;
        for (size_t i = 0; i < SLOTS; i++) {
            squares += (o.got[i] - o.y[i]) * (o.got[i] - o.y[i]);
            CHECK(fabs(o.got[i] - o.y[i]) < limit && o.got[i] != first[i]);
        }
        /* real part: half the variance of a slot; sigma = 2^bits of the error's */
        double want = exp2(ccz_ckks_error_bits(o.cy) + bits) / 6 / sqrt(2),
               have = sqrt(squares / SLOTS);
        CHECK(have > want * 0.85 && have < want * 1.25);
    }
    static const unsigned none[] = {0, 59};
    for (size_t i = 0; i < 2; i++)
        CHECK(ops_refused(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, none[i], &err), CCZ_E_ARG,
                          &err, "ckks:flood-bits"));
    CHECK(ops_refused(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, 40, &err), CCZ_E_LIMIT, &err,
                      "ckks:flood-precision"));
    CHECK(o.pt->limbs == 0 && !o.pt->has_coeff);
    /* an estimate that was understated is not believed below that of a fresh ciphertext */
    double noise = o.cy->noise;
    o.cy->noise = 0;
    OK(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, 20, &err));
    CHECK(o.pt->noise > noise * 0x1p19);
    ops_deinit(&o);
}

/* One product, one rotation, at parameters of 128-bit security. */
static void check_secure(const struct ccz_ckks_cfg *cfg, double scale)
{
    struct ccz_ckks *c;
    struct ccz_ckks_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois;
    struct ccz_ckks_pt *pt;
    struct ccz_ckks_ct *a, *b;
    const int64_t step = 5;
    OK(ccz_ckks_new(&c, cfg, NULL));
    /* always the same numbers: the bound is six standard deviations of a Gaussian, and that of a product has longer tails */
    struct test_rng rng = {.state = 0x9e3779b97f4a7c15, .left = -1};
    OK(ccz_ckks_eval_new(&e, c, &(struct ccz_rlwe_work_cfg){.threads = 2, .rng = {rng_fill, &rng}},
                         NULL));
    struct ccz_rlwe_work *w = ccz_ckks_eval_work(e);
    OK(ccz_rlwe_sk_new(&sk, w, NULL));
    OK(ccz_rlwe_pk_new(&pk, w, sk, NULL));
    OK(ccz_rlwe_relin_new(&relin, w, sk, NULL));
    OK(ccz_ckks_galois_new(&galois, e, sk, &step, 1, false, NULL));
    OK(ccz_ckks_pt_new(&pt, c, NULL));
    OK(ccz_ckks_ct_new(&a, c, NULL));
    OK(ccz_ckks_ct_new(&b, c, NULL));
    const size_t slots = ccz_ckks_slots(c);
    double *x = malloc(slots * sizeof(*x)), *got = malloc(slots * sizeof(*got));
    CHECK(x && got && ccz_rlwe_security(ccz_ckks_ring(c)) >= 128);
    uint64_t state = 99;
    for (size_t i = 0; i < slots; i++)
        x[i] = ops_unit(&state);
    OK(ccz_ckks_encode(pt, e, x, slots, scale, 0, NULL));
    OK(ccz_ckks_encrypt_pk(a, e, pk, pt, 0, NULL));
    OK(ccz_ckks_encrypt_sk(b, e, sk, pt, 0, NULL));
    OK(ccz_ckks_mul(a, e, a, b, NULL));
    OK(ccz_ckks_relin_rescale(a, e, a, relin, NULL));
    OK(ccz_ckks_rotate(a, e, a, step, galois, NULL));
    OK(ccz_ckks_decrypt(pt, e, sk, a, NULL));
    OK(ccz_ckks_decode(got, slots, e, pt, NULL));
    double largest = 0;
    for (size_t i = 0; i < slots; i++) {
        double v = x[(i + 5) % slots];
        largest = fmax(largest, fabs(got[i] - v * v));
    }
    const double bits = ccz_ckks_error_bits(a);
    CHECK(log2(largest) <= bits && log2(largest) > bits - 5);
    free(x);
    free(got);
    ccz_ckks_ct_free(a);
    ccz_ckks_ct_free(b);
    ccz_ckks_pt_free(pt);
    ccz_rlwe_galois_set_free(galois);
    ccz_rlwe_swk_free(relin);
    ccz_rlwe_pk_free(pk);
    ccz_rlwe_sk_free(sk);
    ccz_ckks_eval_free(e);
    ccz_ckks_free(c);
}

static void test_secure(void)
{
    static const struct {
        size_t n, data, special;
        uint8_t bits;
    } sets[] = {{4096, 2, 1, 36},
                {8192, 4, 1, 43},
                {16384, 8, 1, 48},
                {32768, 14, 4, 48},
                {65536, 4, 2, 50}};
    for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
        struct ccz_ckks_cfg cfg = {
            .ring = {.n = sets[s].n, .data_len = sets[s].data, .special_len = sets[s].special}};
        memset(cfg.ring.bits, sets[s].bits, sets[s].data + sets[s].special);
        check_secure(&cfg, ldexp(1, sets[s].bits - 4));
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks.encrypt", test_encrypt},     {"ckks.public_bounds", test_public_bounds},
        {"ckks.sums", test_sums},           {"ckks.products", test_products},
        {"ckks.depth", test_depth},         {"ckks.levels", test_levels},
        {"ckks.weighted", test_weighted},   {"ckks.rotations", test_rotations},
        {"ckks.conjugate", test_conjugate}, {"ckks.shared", test_shared},
        {"ckks.secure", test_secure},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
