/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that do not belong together, each with its own reason; generators that fail. */
#include "kit.h"

enum { N = 1024 };

struct world {
    struct kit k, other; /* of other parameters */
    struct ccz_rlwe_sk *sk2;
    struct ccz_rlwe_pk *pk2;
    struct ccz_rlwe_swk *relin, *galois, *relin2, *galois2;
    struct ccz_rlwe_ct ct, ct3, out, foreign;
};

static const struct ccz_rlwe_msg zero;

static void init(struct world *w)
{
    kit_init(&w->k, 2, 1, 1);
    kit_init(&w->other, 3, 1, 1);
    struct kit *k = &w->k;
    CHECK(ccz_rlwe_sk_new(&w->sk2, k->w, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_pk_new(&w->pk2, k->w, w->sk2, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_relin_new(&w->relin, k->w, k->sk, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_new(&w->galois, k->w, k->sk, 5, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_relin_new(&w->relin2, k->w, w->sk2, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_new(&w->galois2, k->w, w->sk2, 5, NULL) == CCZ_OK);
    ccz_rlwe_ct_init(&w->ct, k->r);
    ccz_rlwe_ct_init(&w->ct3, k->r);
    ccz_rlwe_ct_init(&w->out, k->r);
    ccz_rlwe_ct_init(&w->foreign, w->other.r);
    CHECK(ccz_rlwe_encrypt_sk(&w->ct, k->w, k->sk, 2, zero, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_encrypt_sk(&w->foreign, w->other.w, w->other.sk, 2, zero, NULL) == CCZ_OK);
    kit_random_ct(k, &w->ct3, 3, 2);
}

static void deinit(struct world *w)
{
    struct ccz_rlwe_ct *cts[] = {&w->ct, &w->ct3, &w->out, &w->foreign};
    for (size_t i = 0; i < 4; i++)
        ccz_rlwe_ct_deinit(cts[i]);
    struct ccz_rlwe_swk *keys[] = {w->relin, w->galois, w->relin2, w->galois2};
    for (size_t i = 0; i < 4; i++)
        ccz_rlwe_swk_free(keys[i]);
    ccz_rlwe_pk_free(w->pk2);
    ccz_rlwe_sk_free(w->sk2);
    kit_deinit(&w->other);
    kit_deinit(&w->k);
}

static void test_params(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    static uint64_t v[3 * N];
    struct ccz_rlwe_work *k = w.k.w, *o = w.other.w;
    struct ccz_rlwe_ct *list[] = {&w.out};
    const struct ccz_rlwe_swk *keys[] = {w.galois};
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    CCZ_AUTO(ccz_rlwe_swk) swk = NULL;
    const ccz_rc rcs[] = {
        ccz_rlwe_pk_new(&pk, o, w.k.sk, NULL),
        ccz_rlwe_relin_new(&swk, o, w.k.sk, NULL),
        ccz_rlwe_encrypt_sk(&w.out, k, w.other.sk, 1, zero, NULL),
        ccz_rlwe_encrypt_pk(&w.out, k, w.other.pk, 1, zero, NULL),
        ccz_rlwe_encrypt_sk(&w.foreign, k, w.k.sk, 1, zero, NULL),
        ccz_rlwe_phase(v, o, w.other.sk, &w.ct, 1, NULL),
        ccz_rlwe_phase(v, k, w.other.sk, &w.ct, 1, NULL),
        ccz_rlwe_rescale(&w.out, o, &w.ct, NULL),
        ccz_rlwe_rescale(&w.foreign, k, &w.ct, NULL),
        ccz_rlwe_relinearize(&w.out, o, &w.ct3, w.relin, NULL),
        ccz_rlwe_relinearize(&w.foreign, k, &w.ct3, w.relin, NULL),
        ccz_rlwe_automorph(&w.out, o, &w.ct, w.galois, NULL),
        ccz_rlwe_automorph_many(list, o, &w.ct, keys, 1, NULL),
    };
    for (size_t i = 0; i < sizeof(rcs) / sizeof(rcs[0]); i++)
        CHECK(rcs[i] == CCZ_E_MISMATCH);
    CHECK(is_refused(ccz_rlwe_encrypt_sk(&w.out, k, w.other.sk, 1, zero, &err), CCZ_E_MISMATCH,
                     &err, "rlwe:params"));
    CHECK(is_refused(ccz_rlwe_phase(v, k, w.other.sk, &w.ct, 1, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:params"));
    CHECK(w.out.parts == 0 && !pk && !swk);
    CHECK(ccz_rlwe_ct_copy(&w.foreign, &w.ct) == CCZ_E_MISMATCH);
    deinit(&w);
}

static void test_key_id(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    static uint64_t v[2 * N];
    struct ccz_rlwe_work *k = w.k.w;
    struct ccz_rlwe_ct *list[] = {&w.out};
    const struct ccz_rlwe_swk *keys[] = {w.galois2};
    CHECK(is_refused(ccz_rlwe_phase(v, k, w.sk2, &w.ct, 2, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:key-id"));
    CHECK(is_refused(ccz_rlwe_relinearize(&w.out, k, &w.ct3, w.relin2, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:key-id"));
    CHECK(is_refused(ccz_rlwe_relinearize_rescale(&w.out, k, &w.ct3, w.relin2, &err),
                     CCZ_E_MISMATCH, &err, "rlwe:key-id"));
    CHECK(is_refused(ccz_rlwe_automorph(&w.out, k, &w.ct, w.galois2, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:key-id"));
    CHECK(is_refused(ccz_rlwe_automorph_many(list, k, &w.ct, keys, 1, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:key-id"));
    CHECK(w.out.parts == 0);
    deinit(&w);
}

static void test_operands(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    static uint64_t v[2 * N];
    struct ccz_rlwe_work *k = w.k.w;
    struct ccz_rlwe_digits d;
    CCZ_AUTO(ccz_rlwe_swk) swk = NULL;
    /* kinds of keys */
    CHECK(is_refused(ccz_rlwe_relinearize(&w.out, k, &w.ct3, w.galois, &err), CCZ_E_ARG, &err,
                     "rlwe:relin-key"));
    CHECK(is_refused(ccz_rlwe_automorph(&w.out, k, &w.ct, w.relin, &err), CCZ_E_ARG, &err,
                     "rlwe:galois-key"));
    static const uint32_t elts[] = {0, 2, 2 * N, 2 * N + 1};
    for (size_t i = 0; i < 4; i++)
        CHECK(is_refused(ccz_rlwe_galois_new(&swk, k, w.k.sk, elts[i], &err), CCZ_E_ARG, &err,
                         "rlwe:galois-element"));
    /* shape of ciphertexts */
    CHECK(is_refused(ccz_rlwe_automorph(&w.out, k, &w.ct3, w.galois, &err), CCZ_E_ARG, &err,
                     "rlwe:parts"));
    const struct ccz_rlwe_swk *keys[] = {w.galois};
    struct ccz_rlwe_ct *list[] = {&w.ct};
    CHECK(is_refused(ccz_rlwe_automorph_many(list, k, &w.ct, keys, 1, &err), CCZ_E_ARG, &err,
                     "rlwe:output"));
    w.ct.ntt = w.ct3.ntt = false;
    CHECK(is_refused(ccz_rlwe_relinearize(&w.out, k, &w.ct3, w.relin, &err), CCZ_E_ARG, &err,
                     "rlwe:form"));
    CHECK(is_refused(ccz_rlwe_automorph(&w.out, k, &w.ct, w.galois, &err), CCZ_E_ARG, &err,
                     "rlwe:form"));
    w.ct.ntt = w.ct3.ntt = true;
    CHECK(is_refused(ccz_rlwe_phase(v, k, w.k.sk, &w.out, 1, &err), CCZ_E_ARG, &err, "rlwe:empty"));
    CHECK(is_refused(ccz_rlwe_rescale(&w.out, k, &w.out, &err), CCZ_E_ARG, &err, "rlwe:empty"));
    CHECK(is_refused(ccz_rlwe_automorph(&w.out, k, &w.out, w.galois, &err), CCZ_E_ARG, &err,
                     "rlwe:empty"));
    /* number of primes */
    static const size_t limbs[] = {0, 3};
    for (size_t i = 0; i < 2; i++) {
        CHECK(is_refused(ccz_rlwe_encrypt_sk(&w.out, k, w.k.sk, limbs[i], zero, &err), CCZ_E_ARG,
                         &err, "rlwe:limbs"));
        CHECK(is_refused(ccz_rlwe_encrypt_pk(&w.out, k, w.k.pk, limbs[i], zero, &err), CCZ_E_ARG,
                         &err, "rlwe:limbs"));
        CHECK(is_refused(ccz_rlwe_phase(v, k, w.k.sk, &w.ct, limbs[i], &err), CCZ_E_ARG, &err,
                         "rlwe:limbs"));
        CHECK(is_refused(ccz_rlwe_decompose(&d, k, v, limbs[i], &err), CCZ_E_ARG, &err,
                         "rlwe:limbs"));
        CHECK(is_refused(ccz_rlwe_ct_drop(&w.ct, limbs[i], &err), CCZ_E_ARG, &err, "rlwe:drop"));
    }
    CHECK(ccz_rlwe_ct_drop(&w.ct, 1, &err) == CCZ_OK && w.ct.limbs == 1);
    CHECK(is_refused(ccz_rlwe_rescale(&w.out, k, &w.ct, &err), CCZ_E_ARG, &err, "rlwe:last-prime"));
    CHECK(ccz_rlwe_ct_reserve(&w.ct, 4) == CCZ_E_ARG);
    deinit(&w);
}

/* Parameters without special primes encrypt, but switch no keys. */
static void test_no_special(void)
{
    struct kit k;
    struct ccz_err err;
    struct ccz_rlwe_digits d;
    kit_init(&k, 2, 0, 1);
    static uint64_t v[2 * N];
    CCZ_AUTO(ccz_rlwe_swk) swk = NULL;
    CHECK(
        is_refused(ccz_rlwe_relin_new(&swk, k.w, k.sk, &err), CCZ_E_ARG, &err, "rlwe:no-special"));
    CHECK(is_refused(ccz_rlwe_galois_new(&swk, k.w, k.sk, 5, &err), CCZ_E_ARG, &err,
                     "rlwe:no-special"));
    CHECK(is_refused(ccz_rlwe_decompose(&d, k.w, v, 2, &err), CCZ_E_ARG, &err, "rlwe:no-special"));
    kit_deinit(&k);
}

/* A generator that fails at any of its calls: nothing comes out. */
static void test_random_fails(void)
{
    struct kit k;
    struct ccz_err err;
    kit_init(&k, 2, 1, 1);
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, k.r);
    static int64_t v[N];
    for (long calls = 0; calls < 2; calls++) {
        CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
        CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
        CCZ_AUTO(ccz_rlwe_swk) swk = NULL;
        k.rng.left = calls;
        CHECK(is_refused(ccz_rlwe_sk_new(&sk, k.w, &err), CCZ_E_INTERNAL, &err, "rlwe:random"));
        k.rng.left = calls;
        CHECK(
            is_refused(ccz_rlwe_pk_new(&pk, k.w, k.sk, &err), CCZ_E_INTERNAL, &err, "rlwe:random"));
        k.rng.left = calls;
        CHECK(is_refused(ccz_rlwe_relin_new(&swk, k.w, k.sk, &err), CCZ_E_INTERNAL, &err,
                         "rlwe:random"));
        k.rng.left = calls;
        CHECK(is_refused(ccz_rlwe_encrypt_sk(&ct, k.w, k.sk, 2, zero, &err), CCZ_E_INTERNAL, &err,
                         "rlwe:random"));
        CHECK(!sk && !pk && !swk && ct.parts == 0);
    }
    k.rng.left = 0;
    CHECK(is_refused(ccz_rlwe_encrypt_pk(&ct, k.w, k.pk, 2, zero, &err), CCZ_E_INTERNAL, &err,
                     "rlwe:random"));
    CHECK(is_refused(ccz_rlwe_flood(v, k.w, 3, &err), CCZ_E_INTERNAL, &err, "rlwe:random"));
    CHECK(ct.parts == 0);
    ccz_rlwe_ct_deinit(&ct);
    kit_deinit(&k);
}

/* Without a generator given the system's is used. */
static void two_keys(const struct kit *k)
{
    CCZ_AUTO(ccz_rlwe_work) w = NULL;
    CCZ_AUTO(ccz_rlwe_sk) a = NULL;
    CCZ_AUTO(ccz_rlwe_sk) b = NULL;
    CHECK(ccz_rlwe_work_new(&w, k->r, NULL, NULL) == CCZ_OK && ccz_rlwe_work_ctx(w) == k->r);
    CHECK(ccz_rlwe_sk_new(&a, w, NULL) == CCZ_OK && ccz_rlwe_sk_new(&b, w, NULL) == CCZ_OK);
    CHECK(memcmp(ccz_rlwe_sk_id(a), ccz_rlwe_sk_id(b), CCZ_RLWE_KEY_ID_SIZE) != 0);
    CHECK(memcmp(ccz_secret_view(a->coeff), ccz_secret_view(b->coeff), N) != 0);
}

static void test_system_random(void)
{
    struct kit k;
    kit_init(&k, 1, 0, 1);
    two_keys(&k);
    kit_deinit(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rlwe.other_params", test_params},       {"rlwe.other_key", test_key_id},
        {"rlwe.operands", test_operands},         {"rlwe.no_special", test_no_special},
        {"rlwe.random_fails", test_random_fails}, {"rlwe.system_random", test_system_random},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
