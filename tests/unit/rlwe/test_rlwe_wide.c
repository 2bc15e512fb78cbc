/* SPDX-License-Identifier: Apache-2.0 */
/* What exact schemes need: messages as residues, noise wider than a word. */
#include "kit.h"

enum { N = 1024, LIMBS = 3 };

__extension__ typedef __int128 i128;

/* The number nearest to zero with these residues; q0 q1 q2 < 2^126. */
static i128 compose(const struct kit *k, const uint64_t *v, size_t x)
{
    const struct ccz_modulus *m = k->r->mod;
    u128 value = v[x], q = m[0].q;
    for (size_t i = 1; i < LIMBS; i++) {
        uint64_t have = (uint64_t)(value % m[i].q), q_mod = (uint64_t)(q % m[i].q);
        uint64_t diff = ccz_mod_sub(v[i * N + x], have, &m[i]);
        value += q * ccz_mod_mul(diff, ccz_mod_inv(q_mod, &m[i]), &m[i]);
        q *= m[i].q;
    }
    return value > q / 2 ? (i128)(value - q) : (i128)value;
}

static void test_flood_wide(void)
{
    static const unsigned widths[] = {1, 2, 20, 63, 64, 65, 100, 120};
    static uint64_t v[LIMBS * N];
    struct kit k;
    struct ccz_err err;
    kit_init(&k, LIMBS, 0, 2);
    for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
        const unsigned bits = widths[w];
        const i128 half = (i128)1 << (bits - 1);
        size_t negative = 0, outer = 0, odd = 0;
        CHECK(ccz_rlwe_flood_uniform(v, k.w, bits, LIMBS, &err) == CCZ_OK);
        for (size_t x = 0; x < N; x++) {
            for (size_t i = 0; i < LIMBS; i++)
                CHECK(v[i * N + x] < k.r->mod[i].q);
            i128 c = compose(&k, v, x);
            CHECK(c >= -half && c < half);
            negative += c < 0;
            odd += (size_t)(c & 1);
            outer += bits > 1 && (c < -(half / 2) || c >= half / 2);
        }
        /* N / 2 each, within 6 standard deviations (16) */
        CHECK(negative > N / 2 - 96 && negative < N / 2 + 96);
        CHECK(odd > N / 2 - 96 && odd < N / 2 + 96);
        CHECK(bits == 1 || (outer > N / 2 - 96 && outer < N / 2 + 96));
    }
    /* fewer primes of the same noise */
    CHECK(ccz_rlwe_flood_uniform(v, k.w, 30, 1, &err) == CCZ_OK);
    CHECK(is_refused(ccz_rlwe_flood_uniform(v, k.w, 0, 1, &err), CCZ_E_ARG, &err, "rlwe:flood"));
    CHECK(is_refused(ccz_rlwe_flood_uniform(v, k.w, CCZ_RLWE_FLOOD_BITS_MAX + 1, 1, &err),
                     CCZ_E_ARG, &err, "rlwe:flood"));
    CHECK(is_refused(ccz_rlwe_flood_uniform(v, k.w, 1, 0, &err), CCZ_E_ARG, &err, "rlwe:limbs"));
    CHECK(is_refused(ccz_rlwe_flood_uniform(v, k.w, 1, LIMBS + 1, &err), CCZ_E_ARG, &err,
                     "rlwe:limbs"));
    k.rng.left = 0;
    CHECK(is_refused(ccz_rlwe_flood_uniform(v, k.w, 30, 1, &err), CCZ_E_INTERNAL, &err,
                     "rlwe:random"));
    kit_deinit(&k);
}

/* The same message as coefficients and as residues, under the same errors: the same ciphertext. */
static void test_residues(void)
{
    static int64_t coeff[N];
    static uint64_t residues[LIMBS * N];
    struct kit k;
    struct ccz_rlwe_ct ct[2];
    kit_init(&k, LIMBS, 0, 1);
    for (size_t x = 0; x < N; x++)
        coeff[x] = (int64_t)rnd(&k.rng.state) >> 4;
    ccz_rlwe_from_signed(residues, k.w, coeff, LIMBS, false);
    for (int pk = 0; pk < 2; pk++) {
        const struct ccz_rlwe_msg msg[2] = {{.coeff = coeff}, {.residues = residues}};
        const uint64_t state = k.rng.state;
        for (int i = 0; i < 2; i++) {
            k.rng.state = state;
            ccz_rlwe_ct_init(&ct[i], k.r);
            CHECK((pk ? ccz_rlwe_encrypt_pk(&ct[i], k.w, k.pk, LIMBS, msg[i], NULL)
                      : ccz_rlwe_encrypt_sk(&ct[i], k.w, k.sk, LIMBS, msg[i], NULL)) == CCZ_OK);
        }
        for (size_t p = 0; p < 2; p++)
            CHECK(memcmp(ct[0].c[p], ct[1].c[p], sizeof(residues)) == 0);
        for (int i = 0; i < 2; i++)
            ccz_rlwe_ct_deinit(&ct[i]);
    }
    kit_deinit(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"rlwe.flood_wide", test_flood_wide},
                                            {"rlwe.residues", test_residues}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
