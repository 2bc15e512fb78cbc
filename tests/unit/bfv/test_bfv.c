/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling, encoding, encryption and arithmetic, against exact integers. */
#include "kit.h"

#include <math.h>

enum { N = 1024 };

static uint64_t va[N], vb[N], vc[N], want[N];

/* Plaintext moduli with a chain that has room for one product. */
static const struct {
    struct plain t;
    size_t limbs;
    uint8_t bits;
} sets[] = {
    {{0, 1}, 1, 45},
    {{0, 16}, 2, 40},
    {{0, 32}, 3, 40},
    {{0, 63}, 4, 50},
    {{0, 64}, 4, 50},
    {{0, 64}, 5, 34},
    {{3, 0}, 1, 45},
    {{65537, 0}, 2, 40},
    {{12289, 0}, 2, 30},
    {{1125899906826241, 0}, 4, 45}}; /* the last: the largest prime below 2^50 that is 1 mod 2048 */
enum { SETS = sizeof(sets) / sizeof(sets[0]) };

static void kit_set(struct kit *k, size_t i)
{
    kit_init(k, sets[i].t, sets[i].limbs, sets[i].bits);
}

/* ----------------------------------------------------------------------------------- scaling */

/* round(Q m / t), for every number of primes. */
static void test_scale_up(void)
{
    for (size_t s = 0; s < SETS; s++) {
        struct kit k;
        kit_set(&k, s);
        uint64_t *out = ccz_rlwe_words_new(sets[s].limbs * N);
        CHECK(out);
        random_words(&k, va, N);
        for (size_t limbs = 1; limbs <= sets[s].limbs; limbs++) {
            const struct big t = big_t(&k), q = big_q(&k, limbs);
            const struct big half = big_div(t, big_from(2));
            cczi_bfv_scale_up(out, k.e, va, limbs);
            for (size_t x = 0; x < N; x += 7) {
                struct big v = big_div(big_add(big_mul_add(q, va[x], 0), half), t);
                for (size_t i = 0; i < limbs; i++)
                    CHECK(out[i * N + x] == big_mod(v, ccz_rlwe_prime(k.c->ring, i)));
            }
        }
        ccz_rlwe_words_free(out);
        kit_deinit(&k);
    }
}

static struct big random_below_q(struct kit *k, size_t limbs)
{
    struct big v = {{0}};
    for (size_t i = 0; i < limbs; i++)
        v = big_mul_add(v, ccz_rlwe_prime(k->c->ring, i),
                        rnd(&k->rng.state) % ccz_rlwe_prime(k->c->ring, i));
    return v;
}

/* (odd / 2 +- 2^-60) Q / t: close to where rounding turns over. */
static struct big near_middle(struct kit *k, struct big q, bool above)
{
    uint64_t odd = mod_t(k, rnd(&k->rng.state)) | 1;
    struct big num = big_shift(big_mul_add(q, odd, 0), 60);
    num = above ? big_add(num, big_shift(q, 1)) : big_sub(num, big_shift(q, 1));
    struct big v = big_div(num, big_shift(big_t(k), 61));
    return big_cmp(v, q) < 0 ? v : big_from(odd);
}

/* round(t x / Q) mod t by long division, for x anywhere */
static void test_scale_down(void)
{
    for (size_t s = 0; s < SETS; s++) {
        struct kit k;
        kit_set(&k, s);
        uint64_t *x = ccz_rlwe_words_new(sets[s].limbs * N);
        CHECK(x);
        for (size_t limbs = 1; limbs <= sets[s].limbs; limbs++) {
            const struct big q = big_q(&k, limbs);
            const bool is_long = ccz_bfv_room(k.c, limbs) > 62;
            for (size_t at = 0; at < N; at++) {
                struct big v =
                    at % 8 < 2 && is_long ? near_middle(&k, q, at % 8) : random_below_q(&k, limbs);
                for (size_t i = 0; i < limbs; i++)
                    x[i * N + at] = big_mod(v, ccz_rlwe_prime(k.c->ring, i));
                struct big y =
                    big_div(big_add(big_shift(big_times_t(&k, v), 1), q), big_shift(q, 1));
                want[at] = mod_t(&k, (u128)y.w[1] << 64 | y.w[0]);
            }
            ccz_rlwe_forward(x, ccz_bfv_eval_work(k.e), limbs);
            cczi_bfv_scale_down(va, k.e, x, limbs);
            CHECK(memcmp(va, want, sizeof(want)) == 0);
        }
        ccz_rlwe_words_free(x);
        kit_deinit(&k);
    }
}

/* ---------------------------------------------------------------------------------- encoding */

static void test_slots(void)
{
    static const uint64_t primes[] = {65537, 12289, 1125899906826241};
    for (size_t s = 0; s < 3; s++) {
        struct kit k;
        kit_init(&k, (struct plain){primes[s], 0}, 3, 45);
        CHECK(ccz_bfv_slots(k.c) == N);
        random_words(&k, va, N);
        random_words(&k, vb, N);
        CHECK(ccz_bfv_encode(k.p[0], k.e, va, N, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encode(k.p[1], k.e, vb, N, NULL) == CCZ_OK);
        CHECK(ccz_bfv_decode(want, N, k.e, k.p[0], NULL) == CCZ_OK);
        CHECK(memcmp(va, want, sizeof(va)) == 0);
        /* products of polynomials are products of slots */
        multiply(&k, k.p[2]->m, k.p[0]->m, k.p[1]->m);
        CHECK(ccz_bfv_decode(want, N, k.e, k.p[2], NULL) == CCZ_OK);
        for (size_t j = 0; j < N; j++)
            CHECK(want[j] == mod_t(&k, (u128)va[j] * vb[j]));
        /* X -> X^5 turns both rows by one to the left, X -> X^-1 swaps them */
        ccz_galois_coeff(k.p[2]->m, k.p[0]->m, N, 5, &k.c->t);
        CHECK(ccz_bfv_decode(want, N, k.e, k.p[2], NULL) == CCZ_OK);
        for (size_t j = 0; j < N; j++)
            CHECK(want[j] == va[j / (N / 2) * (N / 2) + (j + 1) % (N / 2)]);
        ccz_galois_coeff(k.p[2]->m, k.p[0]->m, N, 2 * N - 1, &k.c->t);
        CHECK(ccz_bfv_decode(want, N, k.e, k.p[2], NULL) == CCZ_OK);
        for (size_t j = 0; j < N; j++)
            CHECK(want[j] == va[(j + N / 2) % N]);
        /* a constant is the same in all slots; fewer values than slots */
        CHECK(ccz_bfv_encode_coeff(k.p[0], va + 3, 1, NULL) == CCZ_OK);
        CHECK(ccz_bfv_decode(want, 5, k.e, k.p[0], NULL) == CCZ_OK);
        for (size_t j = 0; j < 5; j++)
            CHECK(want[j] == va[3]);
        CHECK(ccz_bfv_encode(k.p[0], k.e, va, 3, NULL) == CCZ_OK);
        CHECK(ccz_bfv_decode(want, N, k.e, k.p[0], NULL) == CCZ_OK);
        CHECK(memcmp(want, va, 3 * sizeof(*va)) == 0);
        for (size_t j = 3; j < N; j++)
            CHECK(want[j] == 0);
        kit_deinit(&k);
    }
}

static void test_encode_refuse(void)
{
    struct kit k;
    struct ccz_err err;
    static uint64_t v[N + 1];
    kit_init(&k, (struct plain){65537, 0}, 2, 40);
    CHECK(is_refused(ccz_bfv_encode(k.p[0], k.e, v, N + 1, &err), CCZ_E_ARG, &err, "bfv:length"));
    CHECK(is_refused(ccz_bfv_encode_coeff(k.p[0], v, N + 1, &err), CCZ_E_ARG, &err, "bfv:length"));
    CHECK(is_refused(ccz_bfv_decode(v, N + 1, k.e, k.p[0], &err), CCZ_E_ARG, &err, "bfv:length"));
    static const uint64_t over[] = {65537, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        v[7] = over[i];
        CHECK(is_refused(ccz_bfv_encode(k.p[0], k.e, v, 8, &err), CCZ_E_ARG, &err, "bfv:value"));
        CHECK(is_refused(ccz_bfv_encode_coeff(k.p[0], v, 8, &err), CCZ_E_ARG, &err, "bfv:value"));
    }
    v[7] = 65536;
    CHECK(ccz_bfv_encode_coeff(k.p[0], v, 8, &err) == CCZ_OK && k.p[0]->m[7] == 65536);
    struct kit other;
    kit_init(&other, (struct plain){0, 40}, 3, 40);
    CHECK(is_refused(ccz_bfv_encode(k.p[0], other.e, v, 8, &err), CCZ_E_MISMATCH, &err,
                     "bfv:context"));
    CHECK(is_refused(ccz_bfv_decode(v, 8, other.e, k.p[0], &err), CCZ_E_MISMATCH, &err,
                     "bfv:context"));
    CHECK(is_refused(ccz_bfv_encode(other.p[0], other.e, v, 8, &err), CCZ_E_ARG, &err,
                     "bfv:no-slots"));
    CHECK(is_refused(ccz_bfv_decode(v, 8, other.e, other.p[0], &err), CCZ_E_ARG, &err,
                     "bfv:no-slots"));
    v[7] = UINT64_C(1) << 40;
    CHECK(is_refused(ccz_bfv_encode_coeff(other.p[0], v, 8, &err), CCZ_E_ARG, &err, "bfv:value"));
    v[7]--;
    CHECK(ccz_bfv_encode_coeff(other.p[0], v, 8, &err) == CCZ_OK);
    kit_deinit(&other);
    kit_deinit(&k);
}

static void test_declare(void)
{
    struct kit k;
    struct ccz_err err;
    for (size_t s = 0; s < SETS; s++) {
        kit_set(&k, s);
        memset(va, 0, sizeof(va));
        const uint64_t one = mod_t(&k, 1);
        va[0] = one;
        va[9] = neg_t(&k, one); /* -1, which is 1 modulo 2 */
        CHECK(ccz_bfv_encode_coeff(k.p[0], va, N, NULL) == CCZ_OK);
        CHECK(k.p[0]->terms == N && fabs(log2(k.p[0]->max_abs) - (ccz_bfv_log2_t(k.c) - 1)) < 1e-9);
        CHECK(ccz_bfv_pt_declare(k.p[0], 1, 2, &err) == CCZ_OK);
        CHECK(k.p[0]->terms == 2 && k.p[0]->max_abs == 1);
        CHECK(ccz_bfv_pt_declare(k.p[0], 0x1p80, N, &err) == CCZ_OK);
        static const struct {
            double max_abs;
            size_t terms;
        } bad[] = {{1, 1},    {0.5, 2}, {0, 2}, {-1, 2}, {(double)NAN, 2}, {(double)INFINITY, 2},
                   {1, N + 1}};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            CHECK(is_refused(ccz_bfv_pt_declare(k.p[0], bad[i].max_abs, bad[i].terms, &err),
                             CCZ_E_ARG, &err, "bfv:declared"));
        CHECK(k.p[0]->terms == N); /* as before */
        ccz_bfv_pt_declare_public(k.p[0]);
        CHECK(k.p[0]->is_public);
        CHECK(ccz_bfv_encode_coeff(k.p[0], va, 0, NULL) == CCZ_OK);
        CHECK(!k.p[0]->is_public); /* another plaintext */
        CHECK(ccz_bfv_pt_declare(k.p[0], 0, 0, &err) == CCZ_OK);
        kit_deinit(&k);
    }
    /* the largest of all */
    kit_init(&k, (struct plain){0, 64}, 4, 50);
    va[0] = UINT64_C(1) << 63;
    CHECK(ccz_bfv_encode_coeff(k.p[0], va, 1, NULL) == CCZ_OK);
    CHECK(
        is_refused(ccz_bfv_pt_declare(k.p[0], 0x1.fp62, 1, &err), CCZ_E_ARG, &err, "bfv:declared"));
    CHECK(ccz_bfv_pt_declare(k.p[0], 0x1p63, 1, &err) == CCZ_OK);
    kit_deinit(&k);
}

/* -------------------------------------------------------------------------------- arithmetic */

static void encode(struct kit *k, size_t i, uint64_t *v)
{
    random_words(k, v, N);
    CHECK(ccz_bfv_encode_coeff(k->p[i], v, N, NULL) == CCZ_OK);
}

/* It decrypts to `want`, and its noise is within the bound. */
static void expect(struct kit *k, const struct ccz_bfv_ct *ct)
{
    double budget;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_bfv_decrypt(k->p[2], k->e, k->sk, ct, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    CHECK(memcmp(k->p[2]->m, want, sizeof(want)) == 0);
    CHECK(ccz_bfv_noise_budget(&budget, k->e, k->sk, ct, NULL) == CCZ_OK);
    CHECK(budget >= ccz_bfv_room(k->c, ct->ct.limbs) - ccz_bfv_noise_bits(ct) && budget > 0);
}

static void test_encrypt(void)
{
    for (size_t s = 0; s < SETS; s++) {
        struct kit k;
        kit_set(&k, s);
        for (size_t limbs = 1; limbs <= sets[s].limbs; limbs++) {
            if (ccz_bfv_room(k.c, limbs) < 13) {
                struct ccz_err err;
                CHECK(is_refused(ccz_bfv_encrypt_pk(k.ct[0], k.e, k.pk, k.p[0], limbs, &err),
                                 CCZ_E_LIMIT, &err, "bfv:noise"));
                CHECK(err.hint[0] && err.got[0] && err.expected[0]);
                continue;
            }
            encode(&k, 0, want);
            CHECK(ccz_bfv_encrypt_sk(k.ct[0], k.e, k.sk, k.p[0], limbs, NULL) == CCZ_OK);
            CHECK(k.ct[0]->ct.limbs == limbs && k.ct[0]->ct.seeded && !k.ct[0]->is_private);
            expect(&k, k.ct[0]);
            CHECK(ccz_bfv_encrypt_pk(k.ct[0], k.e, k.pk, k.p[0], limbs, NULL) == CCZ_OK);
            CHECK(!k.ct[0]->ct.seeded);
            expect(&k, k.ct[0]);
        }
        /* the bound of fresh noise is not much above what is there */
        double budget;
        CHECK(ccz_bfv_encrypt_sk(k.ct[0], k.e, k.sk, k.p[0], 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_noise_budget(&budget, k.e, k.sk, k.ct[0], NULL) == CCZ_OK);
        CHECK(budget < ccz_bfv_room(k.c, 0) - ccz_bfv_noise_bits(k.ct[0]) + 4);
        kit_deinit(&k);
    }
}

static void test_sums(void)
{
    for (size_t s = 0; s < SETS; s++) {
        struct kit k;
        kit_set(&k, s);
        encode(&k, 0, va);
        encode(&k, 1, vb);
        CHECK(ccz_bfv_encrypt_sk(k.ct[0], k.e, k.sk, k.p[0], 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encrypt_pk(k.ct[1], k.e, k.pk, k.p[1], 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_add(k.ct[2], k.e, k.ct[0], k.ct[1], NULL) == CCZ_OK);
        for (size_t i = 0; i < N; i++)
            want[i] = mod_t(&k, (u128)va[i] + vb[i]);
        CHECK(!k.ct[2]->is_private && !k.ct[2]->ct.seeded);
        expect(&k, k.ct[2]);
        CHECK(ccz_bfv_add_plain(k.ct[3], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
        CHECK(k.ct[3]->is_private);
        expect(&k, k.ct[3]);
        CHECK(ccz_bfv_sub(k.ct[2], k.e, k.ct[0], k.ct[1], NULL) == CCZ_OK);
        for (size_t i = 0; i < N; i++)
            want[i] = mod_t(&k, (u128)va[i] + neg_t(&k, vb[i]));
        expect(&k, k.ct[2]);
        CHECK(ccz_bfv_sub_plain(k.ct[3], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
        expect(&k, k.ct[3]);
        CHECK(ccz_bfv_neg(k.ct[2], k.e, k.ct[2], NULL) == CCZ_OK); /* in place */
        for (size_t i = 0; i < N; i++)
            want[i] = neg_t(&k, want[i]);
        expect(&k, k.ct[2]);
        CHECK(ccz_bfv_add(k.ct[2], k.e, k.ct[2], k.ct[0], NULL) == CCZ_OK);
        memcpy(want, vb, sizeof(want));
        expect(&k, k.ct[2]);
        CHECK(ccz_bfv_add(k.ct[2], k.e, k.ct[2], k.ct[2], NULL) == CCZ_OK); /* dependent errors */
        for (size_t i = 0; i < N; i++)
            want[i] = mod_t(&k, (u128)vb[i] + vb[i]);
        expect(&k, k.ct[2]);
        CHECK(ccz_bfv_sub(k.ct[2], k.e, k.ct[2], k.ct[2], NULL) == CCZ_OK); /* transparent */
        struct ccz_err err;
        CHECK(is_refused(ccz_bfv_decrypt(k.p[2], k.e, k.sk, k.ct[2], &err), CCZ_E_FORMAT, &err,
                         "rlwe:transparent"));
        kit_deinit(&k);
    }
}

static void test_products(void)
{
    for (size_t s = 0; s < SETS; s++) {
        struct kit k;
        kit_set(&k, s);
        encode(&k, 0, va);
        encode(&k, 1, vb);
        CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encrypt_sk(k.ct[0], k.e, k.sk, k.p[0], 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_mul_plain(k.ct[1], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
        CHECK(k.ct[1]->is_private);
        multiply(&k, want, va, vb);
        expect(&k, k.ct[1]);
        CHECK(ccz_bfv_mul_plain(k.ct[0], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK); /* in place */
        expect(&k, k.ct[0]);
        /* the sum of two products is that of the sums */
        encode(&k, 0, vc);
        CHECK(ccz_bfv_pt_prepare(k.p[0], k.e, 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encode_coeff(k.p[2], va, N, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encrypt_pk(k.ct[2], k.e, k.pk, k.p[2], 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encrypt_sk(k.ct[3], k.e, k.sk, k.p[2], 0, NULL) == CCZ_OK);
        const struct ccz_bfv_ct *const a[] = {k.ct[2], k.ct[3]};
        const struct ccz_bfv_pt *const p[] = {k.p[0], k.p[1]};
        CHECK(ccz_bfv_dot_plain(k.ct[0], k.e, a, p, 2, NULL) == CCZ_OK);
        for (size_t i = 0; i < N; i++)
            vb[i] = mod_t(&k, (u128)vb[i] + vc[i]);
        multiply(&k, want, va, vb);
        expect(&k, k.ct[0]);
        CHECK(k.ct[0]->is_private);
        ccz_bfv_pt_declare_public(k.p[0]);
        CHECK(ccz_bfv_mul_plain(k.ct[1], k.e, k.ct[2], k.p[0], NULL) == CCZ_OK);
        CHECK(!k.ct[1]->is_private);
        kit_deinit(&k);
    }
}

/* Slots, with a mask and a sum, as triples for multiplication need them. */
static void test_simd(void)
{
    struct kit k;
    kit_init(&k, (struct plain){1125899906826241, 0}, 4, 45);
    random_words(&k, va, N);
    random_words(&k, vb, N);
    random_words(&k, vc, N);
    CHECK(ccz_bfv_encode(k.p[0], k.e, va, N, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encrypt_sk(k.ct[0], k.e, k.sk, k.p[0], 0, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encode(k.p[0], k.e, vb, N, NULL) == CCZ_OK);
    CHECK(ccz_bfv_pt_prepare(k.p[0], k.e, 4, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encode(k.p[1], k.e, vc, N, NULL) == CCZ_OK);
    CHECK(ccz_bfv_mul_plain(k.ct[0], k.e, k.ct[0], k.p[0], NULL) == CCZ_OK);
    CHECK(ccz_bfv_sub_plain(k.ct[0], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
    CHECK(ccz_bfv_decrypt(k.p[2], k.e, k.sk, k.ct[0], NULL) == CCZ_OK);
    CHECK(ccz_bfv_decode(want, N, k.e, k.p[2], NULL) == CCZ_OK);
    for (size_t j = 0; j < N; j++)
        CHECK(mod_t(&k, (u128)want[j] + vc[j]) == mod_t(&k, (u128)va[j] * vb[j]));
    kit_deinit(&k);
}

/* Three threads give what one gives, to the bit. */
static void test_threads(void)
{
    struct kit k[2];
    struct ccz_bfv_cfg cfg = kit_cfg((struct plain){0, 64}, 4, 50);
    for (unsigned i = 0; i < 2; i++) {
        kit_init_cfg(&k[i], &cfg, 1 + 2 * i);
        random_words(&k[i], va, N);
        CHECK(ccz_bfv_encode_coeff(k[i].p[0], va, N, NULL) == CCZ_OK);
        CHECK(ccz_bfv_pt_prepare(k[i].p[0], k[i].e, 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encrypt_sk(k[i].ct[0], k[i].e, k[i].sk, k[i].p[0], 0, NULL) == CCZ_OK);
        const struct ccz_bfv_ct *const a[] = {k[i].ct[0], k[i].ct[0]};
        const struct ccz_bfv_pt *const p[] = {k[i].p[0], k[i].p[0]};
        CHECK(ccz_bfv_dot_plain(k[i].ct[1], k[i].e, a, p, 2, NULL) == CCZ_OK);
        CHECK(ccz_bfv_add_plain(k[i].ct[1], k[i].e, k[i].ct[1], k[i].p[0], NULL) == CCZ_OK);
        CHECK(ccz_bfv_decrypt(k[i].p[2], k[i].e, k[i].sk, k[i].ct[1], NULL) == CCZ_OK);
    }
    for (size_t p = 0; p < 2; p++)
        CHECK(memcmp(k[0].ct[1]->ct.c[p], k[1].ct[1]->ct.c[p], 4 * N * sizeof(uint64_t)) == 0);
    CHECK(memcmp(k[0].p[2]->m, k[1].p[2]->m, N * sizeof(uint64_t)) == 0);
    kit_deinit(&k[0]);
    kit_deinit(&k[1]);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"bfv.scale_up", test_scale_up}, {"bfv.scale_down", test_scale_down},
        {"bfv.slots", test_slots},       {"bfv.encode_refuse", test_encode_refuse},
        {"bfv.declare", test_declare},   {"bfv.encrypt", test_encrypt},
        {"bfv.sums", test_sums},         {"bfv.products", test_products},
        {"bfv.simd", test_simd},         {"bfv.threads", test_threads},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
