/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling, encryption, phase, division by a prime, key switching: against integers. */
#include "kit.h"

#include <math.h>

enum { N = 1024 };

/* ---------------------------------------------------------------------------------- sampling */

static void test_small(void)
{
    struct kit k;
    kit_init(&k, 1, 0, 1);
    static int8_t v[N], again[N], other[N];
    const uint8_t seed[CCZ_RLWE_SEED_SIZE] = {1, 2, 3};
    size_t count[3] = {0};
    double sum = 0, squares = 0;
    const int rounds = 64;
    for (int i = 0; i < rounds; i++) {
        CHECK(cczi_rlwe_small(v, k.w, 0, seed, CCZI_RLWE_TERNARY, (size_t)i) == CCZ_OK);
        for (size_t x = 0; x < N; x++) {
            CHECK(v[x] >= -1 && v[x] <= 1);
            count[v[x] + 1]++;
        }
        CHECK(cczi_rlwe_small(v, k.w, 0, seed, CCZI_RLWE_ERROR, (size_t)i) == CCZ_OK);
        for (size_t x = 0; x < N; x++) {
            CHECK(v[x] >= -CCZI_RLWE_ETA && v[x] <= CCZI_RLWE_ETA);
            sum += v[x];
            squares += v[x] * v[x];
        }
    }
    const double total = rounds * N;
    for (size_t i = 0; i < 3; i++) /* 6 standard deviations */
        CHECK(fabs((double)count[i] - total / 3) < 6 * sqrt(total * 2 / 9));
    const double variance = CCZI_RLWE_ETA / 2.0;
    CHECK(fabs(sum) < 6 * sqrt(total * variance));
    CHECK(fabs(squares / total - variance) < 6 * variance * sqrt(2 / total));
    /* the same input, the same values; another index, others */
    CHECK(cczi_rlwe_small(v, k.w, 0, seed, CCZI_RLWE_ERROR, 5) == CCZ_OK);
    CHECK(cczi_rlwe_small(again, k.w, 0, seed, CCZI_RLWE_ERROR, 5) == CCZ_OK);
    CHECK(cczi_rlwe_small(other, k.w, 0, seed, CCZI_RLWE_ERROR, 6) == CCZ_OK);
    CHECK(memcmp(v, again, N) == 0 && memcmp(v, other, N) != 0);
    kit_deinit(&k);
}

static void test_uniform(void)
{
    struct kit k;
    kit_init(&k, 2, 1, 1);
    static uint64_t v[N], other[N];
    const uint8_t seed[CCZ_RLWE_SEED_SIZE] = {9};
    for (size_t prime = 0; prime < 3; prime++) {
        double mean = 0, q = (double)k.r->mod[prime].q;
        CHECK(cczi_rlwe_uniform(v, k.w, 0, seed, CCZI_RLWE_UNIFORM_CT, 0, prime) == CCZ_OK);
        for (size_t x = 0; x < N; x++) {
            CHECK(v[x] < k.r->mod[prime].q);
            mean += (double)v[x] / q / N;
        }
        CHECK(fabs(mean - 0.5) < 6 * sqrt(1.0 / 12 / N));
    }
    /* domain, index and prime each start another stream */
    CHECK(cczi_rlwe_uniform(v, k.w, 0, seed, CCZI_RLWE_UNIFORM_SWK, 1, 1) == CCZ_OK);
    CHECK(cczi_rlwe_uniform(other, k.w, 0, seed, CCZI_RLWE_UNIFORM_SWK, 2, 1) == CCZ_OK);
    CHECK(memcmp(v, other, sizeof(v)) != 0);
    CHECK(cczi_rlwe_uniform(other, k.w, 0, seed, CCZI_RLWE_UNIFORM_PK, 1, 1) == CCZ_OK);
    CHECK(memcmp(v, other, sizeof(v)) != 0);
    kit_deinit(&k);
}

static void test_flood(void)
{
    struct kit k;
    struct ccz_err err;
    kit_init(&k, 1, 0, 1);
    static int64_t v[N];
    static const double sigmas[] = {0.0, 3.0, 0x1p30, 0x1p57};
    for (size_t s = 0; s < 4; s++) {
        double squares = 0, sum = 0;
        CHECK(ccz_rlwe_flood(v, k.w, sigmas[s], &err) == CCZ_OK);
        for (size_t x = 0; x < N; x++) {
            sum += (double)v[x];
            squares += (double)v[x] * (double)v[x];
        }
        const double variance = sigmas[s] * sigmas[s] + (s == 1 ? 1.0 / 12 : 0);
        CHECK(fabs(squares / N - variance) <= 6 * variance * sqrt(2.0 / N));
        CHECK(fabs(sum / N) <= 6 * sqrt(variance / N));
    }
    CHECK(is_refused(ccz_rlwe_flood(v, k.w, 0x1p58, &err), CCZ_E_ARG, &err, "rlwe:flood"));
    CHECK(is_refused(ccz_rlwe_flood(v, k.w, (double)NAN, &err), CCZ_E_ARG, &err, "rlwe:flood"));
    kit_deinit(&k);
}

/* -------------------------------------------------------------------------------- encryption */

static void random_message(struct kit *k, int64_t *coeff, int bits)
{
    for (size_t x = 0; x < N; x++)
        coeff[x] = (int64_t)rnd(&k->rng.state) >> (64 - bits);
}

/* Encrypts, and compares the phase with the message; the error is that of the estimate. */
static void check_encryption(struct kit *k, bool public_key, bool as_coeff, size_t limbs)
{
    int64_t coeff[N];
    struct ccz_rlwe_ct ct;
    struct ccz_err err = {0};
    uint64_t *want = ccz_rlwe_words_new(limbs * N), *poly = ccz_rlwe_words_new(limbs * N);
    CHECK(want && poly);
    random_message(k, coeff, limbs == 1 ? 40 : 61);
    ccz_rlwe_from_signed(want, k->w, coeff, limbs, false);
    ccz_rlwe_from_signed(poly, k->w, coeff, limbs, true);
    struct ccz_rlwe_msg m = {.coeff = as_coeff ? coeff : NULL, .poly = as_coeff ? NULL : poly};
    ccz_rlwe_ct_init(&ct, k->r);
    ccz_rc rc = public_key ? ccz_rlwe_encrypt_pk(&ct, k->w, k->pk, limbs, m, &err)
                           : ccz_rlwe_encrypt_sk(&ct, k->w, k->sk, limbs, m, &err);
    CHECK(rc == CCZ_OK && ct.parts == 2 && ct.limbs == limbs && ct.ntt);
    CHECK(ct.seeded == !public_key && !ccz_rlwe_ct_transparent(&ct));
    uint64_t *got = kit_phase(k, &ct);
    int64_t error = kit_distance(k, got, want, limbs);
    double sigma = sqrt(public_key ? ccz_rlwe_var_fresh_pk(k->r) : ccz_rlwe_var_fresh_sk(k->r));
    CHECK((double)error < 7 * sigma && (double)error > sigma);
    /* fewer primes of the phase are the same numbers */
    CHECK(ccz_rlwe_phase(poly, k->w, k->sk, &ct, 1, &err) == CCZ_OK);
    ccz_rlwe_inverse(poly, k->w, 1);
    CHECK(memcmp(poly, got, N * sizeof(*got)) == 0);
    ccz_rlwe_words_free(got);
    ccz_rlwe_words_free(want);
    ccz_rlwe_words_free(poly);
    ccz_rlwe_ct_deinit(&ct);
}

static void test_encrypt(void)
{
    struct kit k;
    kit_init(&k, 4, 1, 1);
    for (int kind = 0; kind < 4; kind++)
        for (size_t limbs = 1; limbs <= 4; limbs++)
            check_encryption(&k, kind & 1, kind & 2, limbs);
    kit_deinit(&k);
}

/* Two encryptions of one message have nothing in common; the same seeds give the same. */
static void test_fresh(void)
{
    struct kit k;
    kit_init(&k, 2, 1, 1);
    struct ccz_rlwe_ct a, b;
    ccz_rlwe_ct_init(&a, k.r);
    ccz_rlwe_ct_init(&b, k.r);
    const struct ccz_rlwe_msg zero = {0};
    CHECK(ccz_rlwe_encrypt_sk(&a, k.w, k.sk, 2, zero, NULL) == CCZ_OK);
    uint64_t state = k.rng.state;
    CHECK(ccz_rlwe_encrypt_sk(&b, k.w, k.sk, 2, zero, NULL) == CCZ_OK);
    CHECK(memcmp(a.seed, b.seed, sizeof(a.seed)) != 0);
    for (size_t p = 0; p < 2; p++) {
        size_t same = 0;
        for (size_t i = 0; i < 2 * N; i++)
            same += a.c[p][i] == b.c[p][i];
        CHECK(same == 0);
    }
    k.rng.state = state;
    CHECK(ccz_rlwe_encrypt_sk(&a, k.w, k.sk, 2, zero, NULL) == CCZ_OK);
    CHECK(memcmp(a.c[0], b.c[0], 2 * N * sizeof(uint64_t)) == 0);
    CHECK(memcmp(a.c[1], b.c[1], 2 * N * sizeof(uint64_t)) == 0);
    ccz_rlwe_ct_deinit(&a);
    ccz_rlwe_ct_deinit(&b);
    kit_deinit(&k);
}

/* c0 + c1 s + c2 s^2 by schoolbook multiplication; either form. */
static void schoolbook_phase(uint64_t *out, const struct kit *k, const struct ccz_rlwe_ct *ct,
                             size_t limb)
{
    const uint64_t q = k->r->mod[limb].q;
    const int8_t *s = (const int8_t *)ccz_secret_view(k->sk->coeff);
    uint64_t sum[N] = {0}, next[N];
    for (size_t p = ct->parts; p-- > 0;) {
        memcpy(next, ct->c[p] + limb * N, sizeof(next));
        for (size_t i = 0; i < N; i++) {
            for (size_t x = 0; x < N; x++) {
                /* X^(i + x), negative past the degree */
                bool minus = (i + x >= N) != (s[i] < 0);
                uint64_t term = s[i] == 0 ? 0 : minus ? (q - sum[x]) % q : sum[x];
                size_t at = (i + x) % N;
                next[at] = (next[at] + term) % q;
            }
        }
        memcpy(sum, next, sizeof(sum));
    }
    memcpy(out, sum, sizeof(sum));
}

static void test_phase(void)
{
    struct kit k;
    kit_init(&k, 2, 0, 1);
    for (size_t parts = 2; parts <= 3; parts++) {
        struct ccz_rlwe_ct ct;
        uint64_t want[N];
        ccz_rlwe_ct_init(&ct, k.r);
        kit_random_ct(&k, &ct, parts, 2);
        ct.ntt = false;
        uint64_t *got = kit_phase(&k, &ct);
        for (size_t i = 0; i < 2; i++) {
            schoolbook_phase(want, &k, &ct, i);
            CHECK(memcmp(want, got + i * N, sizeof(want)) == 0);
        }
        for (size_t p = 0; p < parts; p++)
            ccz_rlwe_forward(ct.c[p], k.w, 2);
        ct.ntt = true;
        uint64_t *again = kit_phase(&k, &ct);
        CHECK(memcmp(got, again, 2 * sizeof(want)) == 0);
        ccz_rlwe_words_free(got);
        ccz_rlwe_words_free(again);
        ccz_rlwe_ct_deinit(&ct);
    }
    kit_deinit(&k);
}

/* ---------------------------------------------------------------------------------- division */

/* out * q = in - centred(in mod q), modulo every prime that stays. */
static void check_division(const struct kit *k, const uint64_t *out, const uint64_t *in,
                           size_t limbs)
{
    const uint64_t q = k->r->mod[limbs - 1].q;
    for (size_t x = 0; x < N; x++) {
        int64_t rest = kit_centre(in[(limbs - 1) * N + x], q);
        for (size_t i = 0; i + 1 < limbs; i++) {
            uint64_t m = k->r->mod[i].q;
            uint64_t back = (uint64_t)((u128)out[i * N + x] * q % m);
            back = (back + (uint64_t)((rest % (int64_t)m + (int64_t)m) % (int64_t)m)) % m;
            CHECK(back == in[i * N + x]);
        }
    }
}

static void test_rescale(void)
{
    struct kit k;
    kit_init(&k, 4, 1, 1);
    for (size_t limbs = 2; limbs <= 4; limbs++) {
        struct ccz_rlwe_ct in, out, form;
        ccz_rlwe_ct_init(&in, k.r);
        ccz_rlwe_ct_init(&out, k.r);
        ccz_rlwe_ct_init(&form, k.r);
        kit_random_ct(&k, &in, 3, limbs);
        in.ntt = false;
        CHECK(ccz_rlwe_rescale(&out, k.w, &in, NULL) == CCZ_OK);
        CHECK(out.parts == 3 && out.limbs == limbs - 1 && !out.ntt);
        for (size_t p = 0; p < 3; p++)
            check_division(&k, out.c[p], in.c[p], limbs);
        /* the same in evaluation form, in place */
        CHECK(ccz_rlwe_ct_copy(&form, &in) == CCZ_OK);
        for (size_t p = 0; p < 3; p++)
            ccz_rlwe_forward(form.c[p], k.w, limbs);
        form.ntt = true;
        CHECK(ccz_rlwe_rescale(&form, k.w, &form, NULL) == CCZ_OK);
        for (size_t p = 0; p < 3; p++) {
            ccz_rlwe_inverse(form.c[p], k.w, limbs - 1);
            CHECK(memcmp(form.c[p], out.c[p], (limbs - 1) * N * sizeof(uint64_t)) == 0);
        }
        ccz_rlwe_ct_deinit(&in);
        ccz_rlwe_ct_deinit(&out);
        ccz_rlwe_ct_deinit(&form);
    }
    kit_deinit(&k);
}

/* ----------------------------------------------------------------------------- key switching */

static void check_noise(const struct kit *k, int64_t error, size_t limbs)
{
    double sigma = sqrt(ccz_rlwe_var_switch(k->r, limbs));
    if (!((double)error < 7 * sigma && (double)error > sigma)) {
        fprintf(stderr, "error %lld, sigma %g\n", (long long)error, sigma);
        CHECK(false);
    }
}

static void check_relin(struct kit *k, const struct ccz_rlwe_swk *key, size_t limbs, bool in_place)
{
    struct ccz_rlwe_ct in, out;
    ccz_rlwe_ct_init(&in, k->r);
    ccz_rlwe_ct_init(&out, k->r);
    kit_random_ct(k, &in, 3, limbs);
    uint64_t *want = kit_phase(k, &in);
    struct ccz_rlwe_ct *to = in_place ? &in : &out;
    CHECK(ccz_rlwe_relinearize(to, k->w, &in, key, NULL) == CCZ_OK);
    CHECK(to->parts == 2 && to->limbs == limbs);
    uint64_t *got = kit_phase(k, to);
    check_noise(k, kit_distance(k, got, want, limbs), limbs);
    ccz_rlwe_words_free(want);
    ccz_rlwe_words_free(got);
    ccz_rlwe_ct_deinit(&in);
    ccz_rlwe_ct_deinit(&out);
}

/* Against the quotient of the phase: (phase - rest) / q, which the error of rounding and key is added to. */
static void check_relin_rescale(struct kit *k, const struct ccz_rlwe_swk *key, size_t limbs)
{
    struct ccz_rlwe_ct in;
    ccz_rlwe_ct_init(&in, k->r);
    kit_random_ct(k, &in, 3, limbs);
    uint64_t *phase = kit_phase(k, &in), *want = ccz_rlwe_words_new(limbs * N);
    CHECK(want);
    const uint64_t q = k->r->mod[limbs - 1].q;
    for (size_t i = 0; i + 1 < limbs; i++) {
        const struct ccz_modulus *m = &k->r->mod[i];
        const uint64_t inverse = ccz_mod_inv(ccz_mod_reduce(q, m), m);
        for (size_t x = 0; x < N; x++) {
            int64_t rest = kit_centre(phase[(limbs - 1) * N + x], q);
            uint64_t r = (uint64_t)((rest % (int64_t)m->q + (int64_t)m->q) % (int64_t)m->q);
            want[i * N + x] = ccz_mod_mul(ccz_mod_sub(phase[i * N + x], r, m), inverse, m);
        }
    }
    CHECK(ccz_rlwe_relinearize_rescale(&in, k->w, &in, key, NULL) == CCZ_OK);
    CHECK(in.parts == 2 && in.limbs == limbs - 1);
    uint64_t *got = kit_phase(k, &in);
    double error = (double)kit_distance(k, got, want, limbs - 1),
           sigma = sqrt(ccz_rlwe_var_round(k->r, 2) +
                        ccz_rlwe_var_switch(k->r, limbs) / ((double)q * (double)q));
    CHECK(error < 7 * sigma + 1 && error > sigma);
    ccz_rlwe_words_free(phase);
    ccz_rlwe_words_free(want);
    ccz_rlwe_words_free(got);
    ccz_rlwe_ct_deinit(&in);
}

/* Digits of one, two and three primes, the last one truncated at some levels. */
static void test_relin(void)
{
    static const size_t sets[][2] = {{1, 1}, {4, 1}, {5, 2}, {7, 3}, {2, 4}};
    for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
        struct kit k;
        kit_init(&k, sets[s][0], sets[s][1], 1);
        CCZ_AUTO(ccz_rlwe_swk) key = NULL;
        CHECK(ccz_rlwe_relin_new(&key, k.w, k.sk, NULL) == CCZ_OK);
        CHECK(ccz_rlwe_swk_elt(key) == 0);
        for (size_t limbs = 1; limbs <= sets[s][0]; limbs++) {
            check_relin(&k, key, limbs, limbs % 2);
            if (limbs > 1)
                check_relin_rescale(&k, key, limbs);
        }
        kit_deinit(&k);
    }
}

static void automorph_coeff(const struct kit *k, uint64_t *out, const uint64_t *in, uint32_t elt,
                            size_t limbs)
{
    for (size_t i = 0; i < limbs; i++) {
        uint64_t q = k->r->mod[i].q;
        for (size_t x = 0; x < N; x++) {
            size_t at = x * elt % (2 * N);
            uint64_t v = in[i * N + x];
            out[i * N + at % N] = at < N ? v : (q - v) % q;
        }
    }
}

static void check_automorph(struct kit *k, uint32_t elt, size_t limbs, bool in_place)
{
    CCZ_AUTO(ccz_rlwe_swk) key = NULL;
    CHECK(ccz_rlwe_galois_new(&key, k->w, k->sk, elt, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_swk_elt(key) == elt);
    struct ccz_rlwe_ct in, out;
    ccz_rlwe_ct_init(&in, k->r);
    ccz_rlwe_ct_init(&out, k->r);
    kit_random_ct(k, &in, 2, limbs);
    uint64_t *before = kit_phase(k, &in), *want = ccz_rlwe_words_new(limbs * N);
    CHECK(want);
    automorph_coeff(k, want, before, elt, limbs);
    struct ccz_rlwe_ct *to = in_place ? &in : &out, hoisted, *list[] = {&hoisted};
    ccz_rlwe_ct_init(&hoisted, k->r);
    const struct ccz_rlwe_swk *keys[] = {key};
    CHECK(ccz_rlwe_automorph_many(list, k->w, &in, keys, 1, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_automorph(to, k->w, &in, key, NULL) == CCZ_OK);
    uint64_t *got = kit_phase(k, to);
    check_noise(k, kit_distance(k, got, want, limbs), limbs);
    for (size_t p = 0; p < 2; p++) /* the same to the bit */
        CHECK(memcmp(hoisted.c[p], to->c[p], limbs * N * sizeof(uint64_t)) == 0);
    ccz_rlwe_words_free(before);
    ccz_rlwe_words_free(want);
    ccz_rlwe_words_free(got);
    ccz_rlwe_ct_deinit(&in);
    ccz_rlwe_ct_deinit(&out);
    ccz_rlwe_ct_deinit(&hoisted);
}

static void test_automorph(void)
{
    static const size_t sets[][2] = {{3, 1}, {5, 2}};
    for (size_t s = 0; s < 2; s++) {
        struct kit k;
        kit_init(&k, sets[s][0], sets[s][1], 1);
        static const int64_t steps[] = {1, -1, 7, 511};
        for (size_t i = 0; i < 4; i++)
            check_automorph(&k, ccz_rlwe_rotation_elt(N, steps[i]), 1 + i % sets[s][0], i % 2);
        check_automorph(&k, ccz_rlwe_conjugation_elt(N), sets[s][0], true);
        kit_deinit(&k);
    }
}

static void test_elements(void)
{
    CHECK(ccz_rlwe_rotation_elt(N, 0) == 1 && ccz_rlwe_rotation_elt(N, 1) == 5);
    CHECK(ccz_rlwe_rotation_elt(N, 2) == 25 && ccz_rlwe_rotation_elt(N, N / 2) == 1);
    CHECK(ccz_rlwe_rotation_elt(N, -1) == ccz_rlwe_rotation_elt(N, N / 2 - 1));
    CHECK(ccz_rlwe_rotation_elt(N, -1) * 5 % (2 * N) == 1);
    CHECK(ccz_rlwe_rotation_elt(65536, INT64_MIN) < 131072);
    CHECK(ccz_rlwe_conjugation_elt(N) == 2 * N - 1);
}

/* Keys for exactly what was asked, twice the same once. */
static void test_galois_set(void)
{
    struct kit k;
    kit_init(&k, 2, 1, 1);
    const uint32_t elts[] = {25, 5, 2 * N - 1, 5};
    CCZ_AUTO(ccz_rlwe_galois_set) set = NULL;
    CHECK(ccz_rlwe_galois_set_new(&set, k.w, k.sk, elts, 4, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_len(set) == 3);
    for (size_t i = 0; i < 4; i++) {
        const struct ccz_rlwe_swk *key = ccz_rlwe_galois_find(set, elts[i]);
        CHECK(key && ccz_rlwe_swk_elt(key) == elts[i]);
        CHECK(memcmp(ccz_rlwe_swk_id(key), ccz_rlwe_sk_id(k.sk), CCZ_RLWE_KEY_ID_SIZE) == 0);
    }
    CHECK(!ccz_rlwe_galois_find(set, 125) && !ccz_rlwe_galois_find(set, 1));
    kit_deinit(&k);
}

/* -------------------------------------------------------------------------------- work space */

static void add_one(void *arg, size_t i)
{
    ((int *)arg)[i]++;
}

/* out = coefficients of b + a s modulo prime i, which are errors: within 21 of 0, not all 0. */
static void error_of(int64_t *out, const struct kit *k, size_t i, const uint64_t *b,
                     const uint64_t *a, const uint64_t *s)
{
    const struct ccz_modulus *m = &k->r->mod[i];
    uint64_t *v = ccz_rlwe_words_new(N);
    int64_t any = 0;
    CHECK(v);
    for (size_t x = 0; x < N; x++)
        v[x] = ccz_mod_add(b[x], ccz_mod_mul(a[x], s[x], m), m);
    ccz_ntt_inverse(v, v, k->r->ntt[i]);
    for (size_t x = 0; x < N; x++) {
        out[x] = kit_centre(v[x], m->q);
        any |= out[x];
        CHECK(out[x] >= -21 && out[x] <= 21);
    }
    CHECK(any);
    ccz_rlwe_words_free(v);
}

/* Whether residues modulo q and p at some first places come from the same words of 52 bits. */
static bool same_words(const uint64_t *a, uint64_t q, const uint64_t *b,
                       const struct ccz_modulus *p)
{
    const uint64_t inverse = ccz_mod_inv(ccz_mod_reduce(q, p), p);
    for (size_t x = 0; x < 8; x++) {
        uint64_t less = ccz_mod_sub(b[x], ccz_mod_reduce(a[x], p), p);
        if (ccz_mod_mul(less, inverse, p) < UINT64_C(1) << 13)
            return true;
    }
    return false;
}

/* Each digit of a switching key has an error and a uniform polynomial of its own: the difference of two
 * digits would be P s^2 otherwise. So has every prime. */
static void test_separate_digits(void)
{
    enum { DIGITS = 3 };
    struct kit k;
    static int64_t e[DIGITS][N], again[N];
    kit_init(&k, DIGITS, 1, 1);
    CCZ_AUTO(ccz_rlwe_swk) key = NULL;
    CHECK(ccz_rlwe_relin_new(&key, k.w, k.sk, NULL) == CCZ_OK);
    const size_t p = DIGITS; /* the special prime: no message there */
    for (size_t d = 0; d < DIGITS; d++) {
        const uint64_t *a = cczi_rlwe_swk_at(key, p, d, 1);
        error_of(e[d], &k, p, cczi_rlwe_swk_at(key, p, d, 0), a, cczi_rlwe_sk_limb(k.sk, p));
        const size_t i = (d + 1) % DIGITS; /* one error, whatever the prime */
        error_of(again, &k, i, cczi_rlwe_swk_at(key, i, d, 0), cczi_rlwe_swk_at(key, i, d, 1),
                 cczi_rlwe_sk_limb(k.sk, i));
        CHECK(memcmp(again, e[d], sizeof(again)) == 0);
        CHECK(!same_words(cczi_rlwe_swk_at(key, i, d, 1), k.r->mod[i].q, a, &k.r->mod[p]));
        for (size_t c = 0; c < d; c++) {
            CHECK(memcmp(e[c], e[d], sizeof(e[c])) != 0);
            CHECK(memcmp(cczi_rlwe_swk_at(key, p, c, 1), a, N * sizeof(*a)) != 0);
        }
    }
    kit_deinit(&k);
}

/* The three small polynomials of an encryption under the public key are three. */
static void test_separate_errors(void)
{
    struct kit k;
    static int64_t e0[N], e1[N];
    static int8_t u[N];
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    kit_init(&k, 1, 0, 1);
    const struct ccz_modulus *m = &k.r->mod[0];
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, k.r);
    struct test_rng again = k.rng;
    CHECK(ccz_rlwe_encrypt_pk(&ct, k.w, k.pk, 1, (struct ccz_rlwe_msg){0}, NULL) == CCZ_OK);
    CHECK(rng_fill(&again, seed, sizeof(seed)) == CCZ_OK);
    CHECK(cczi_rlwe_small(u, k.w, 0, seed, CCZI_RLWE_TERNARY, 0) == CCZ_OK);
    uint64_t *v = ccz_rlwe_words_new(N);
    k.r->k->reduce_i8(v, u, N, m);
    ccz_ntt_forward(v, v, k.r->ntt[0]);
    k.r->k->neg(v, v, N, m);
    error_of(e0, &k, 0, ct.c[0], k.pk->b, v);
    error_of(e1, &k, 0, ct.c[1], k.pk->a, v);
    CHECK(memcmp(e0, e1, sizeof(e0)) != 0);
    ccz_rlwe_words_free(v);
    ccz_rlwe_ct_deinit(&ct);
    kit_deinit(&k);
}

/* What changes the second part of a seeded ciphertext in place makes it one that is written whole. */
static void test_unseeded(void)
{
    struct kit k;
    kit_init(&k, 2, 1, 1);
    CCZ_AUTO(ccz_rlwe_swk) turn = NULL;
    CHECK(ccz_rlwe_galois_new(&turn, k.w, k.sk, 5, NULL) == CCZ_OK);
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, k.r);
    for (size_t i = 0; i < 2; i++) {
        CHECK(ccz_rlwe_encrypt_sk(&ct, k.w, k.sk, 2, (struct ccz_rlwe_msg){0}, NULL) == CCZ_OK);
        CHECK(ct.seeded);
        CHECK((i ? ccz_rlwe_rescale(&ct, k.w, &ct, NULL)
                 : ccz_rlwe_automorph(&ct, k.w, &ct, turn, NULL)) == CCZ_OK);
        CHECK(!ct.seeded);
    }
    ccz_rlwe_ct_deinit(&ct);
    kit_deinit(&k);
}

/* All of it with three threads gives the same bits as with one. */
static void test_threads(void)
{
    struct kit one, three;
    kit_init(&one, 5, 2, 1);
    kit_init(&three, 5, 2, 3);
    struct kit *kits[] = {&one, &three};
    struct ccz_rlwe_ct ct[2];
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_rlwe_swk) relin = NULL;
        CCZ_AUTO(ccz_rlwe_swk) galois = NULL;
        struct kit *k = kits[i];
        CHECK(ccz_rlwe_relin_new(&relin, k->w, k->sk, NULL) == CCZ_OK);
        CHECK(ccz_rlwe_galois_new(&galois, k->w, k->sk, 5, NULL) == CCZ_OK);
        ccz_rlwe_ct_init(&ct[i], k->r);
        CHECK(ccz_rlwe_encrypt_pk(&ct[i], k->w, k->pk, 5, (struct ccz_rlwe_msg){0}, NULL) ==
              CCZ_OK);
        CHECK(ccz_rlwe_automorph(&ct[i], k->w, &ct[i], galois, NULL) == CCZ_OK);
        CHECK(ccz_rlwe_rescale(&ct[i], k->w, &ct[i], NULL) == CCZ_OK);
        CHECK(ccz_rlwe_ct_reserve(&ct[i], 3) == CCZ_OK);
        memcpy(ct[i].c[2], ct[i].c[0], 4 * N * sizeof(uint64_t));
        ct[i].parts = 3;
        CHECK(ccz_rlwe_relinearize(&ct[i], k->w, &ct[i], relin, NULL) == CCZ_OK);
    }
    for (size_t p = 0; p < 2; p++)
        CHECK(memcmp(ct[0].c[p], ct[1].c[p], 4 * N * sizeof(uint64_t)) == 0);
    int counts[100] = {0};
    for (int round = 0; round < 50; round++)
        ccz_rlwe_parallel(three.w, 100, add_one, counts);
    for (size_t i = 0; i < 100; i++)
        CHECK(counts[i] == 50);
    for (size_t i = 0; i < 2; i++) {
        ccz_rlwe_ct_deinit(&ct[i]);
        kit_deinit(kits[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rlwe.small", test_small},
        {"rlwe.uniform", test_uniform},
        {"rlwe.flood", test_flood},
        {"rlwe.encrypt", test_encrypt},
        {"rlwe.fresh", test_fresh},
        {"rlwe.phase", test_phase},
        {"rlwe.rescale", test_rescale},
        {"rlwe.relin", test_relin},
        {"rlwe.automorph", test_automorph},
        {"rlwe.elements", test_elements},
        {"rlwe.galois_set", test_galois_set},
        {"rlwe.threads", test_threads},
        {"rlwe.separate_digits", test_separate_digits},
        {"rlwe.separate_errors", test_separate_errors},
        {"rlwe.unseeded", test_unseeded},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
