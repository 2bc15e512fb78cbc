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

/* The linker sends the project's ccz_stream_read() here: it fails after so many calls. */
ccz_rc __real_ccz_stream_read(void *out, struct ccz_stream *s, size_t size);
ccz_rc __wrap_ccz_stream_read(void *out, struct ccz_stream *s, size_t size);
static long reads_left = -1;

ccz_rc __wrap_ccz_stream_read(void *out, struct ccz_stream *s, size_t size)
{
    if (reads_left == 0)
        return CCZ_E_INTERNAL;
    reads_left -= reads_left > 0;
    return __real_ccz_stream_read(out, s, size);
}

static bool all_zero(const void *p, size_t size)
{
    const uint8_t *v = p;
    for (size_t i = 0; i < size; i++)
        if (v[i])
            return false;
    return true;
}

/* Neither secrets nor errors are left in the work space, nor the seed they came from. */
static bool is_clean(const struct kit *k)
{
    static const uint8_t zeros[CCZ_RLWE_SEED_SIZE], iv[CCZ_STREAM_IV_SIZE];
    CCZ_AUTO(ccz_stream) fresh = NULL;
    uint8_t a[16], b[16];
    CHECK(ccz_stream_new(&fresh) == CCZ_OK && ccz_stream_start(fresh, zeros, iv) == CCZ_OK);
    CHECK(ccz_stream_start(k->w->stream[0], NULL, iv) == CCZ_OK); /* the key that it has */
    CHECK(__real_ccz_stream_read(a, k->w->stream[0], 16) == CCZ_OK);
    CHECK(__real_ccz_stream_read(b, fresh, 16) == CCZ_OK);
    bool clean = memcmp(a, b, 16) == 0;
    for (size_t i = 0; i < 3; i++)
        clean = clean && all_zero(k->w->small[i], N);
    for (size_t i = 0; i < k->w->threads; i++)
        clean = clean && all_zero(k->w->buf[i], 2 * N * sizeof(uint64_t));
    return clean;
}

static void test_wiped(void)
{
    struct kit k;
    static int64_t v[N];
    static uint64_t flood[N];
    kit_init(&k, 1, 1, 2);
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, k.r);
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    CCZ_AUTO(ccz_rlwe_swk) relin = NULL;
    CCZ_AUTO(ccz_rlwe_swk) turn = NULL;
    memset(k.w->buf[0], 1, 2 * N * sizeof(uint64_t));
    memset(k.w->buf[1], 1, 2 * N * sizeof(uint64_t));
    CHECK(ccz_rlwe_encrypt_pk(&ct, k.w, k.pk, 1, zero, NULL) == CCZ_OK && is_clean(&k));
    CHECK(ccz_rlwe_sk_new(&sk, k.w, NULL) == CCZ_OK && is_clean(&k));
    CHECK(ccz_rlwe_flood(v, k.w, 3, NULL) == CCZ_OK && is_clean(&k));
    CHECK(ccz_rlwe_flood_uniform(flood, k.w, 70, 1, NULL) == CCZ_OK && is_clean(&k));
    /* these expand public seeds last, with other threads perhaps */
    kit_deinit(&k);
    kit_init(&k, 1, 1, 1);
    ccz_rlwe_ct_deinit(&ct);
    ccz_rlwe_ct_init(&ct, k.r);
    const void *buf = k.w->buf[0];
    CHECK(all_zero(buf, 2 * N * sizeof(uint64_t))); /* after a public key */
    CHECK(ccz_rlwe_encrypt_sk(&ct, k.w, k.sk, 1, zero, NULL) == CCZ_OK);
    CHECK(all_zero(buf, 2 * N * sizeof(uint64_t)) && all_zero(k.w->small[0], N));
    CHECK(ccz_rlwe_relin_new(&relin, k.w, k.sk, NULL) == CCZ_OK);
    CHECK(all_zero(buf, 2 * N * sizeof(uint64_t)));
    CHECK(ccz_rlwe_galois_new(&turn, k.w, k.sk, 5, NULL) == CCZ_OK);
    CHECK(all_zero(buf, 2 * N * sizeof(uint64_t)));
    ccz_rlwe_ct_deinit(&ct);
    kit_deinit(&k);
}

/* Streams that fail at any read: what has been written so far is not left in the memory of the output. */
static void test_streams_fail(void)
{
    struct kit k;
    struct ccz_err err;
    static int64_t m[N];
    kit_init(&k, 1, 1, 1);
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, k.r);
    for (size_t i = 0; i < N; i++)
        m[i] = (int64_t)i;
    const struct ccz_rlwe_msg msg = {.coeff = m};
    for (long reads = 0; reads < 2; reads++) {
        CHECK(ccz_rlwe_encrypt_sk(&ct, k.w, k.sk, 1, msg, NULL) == CCZ_OK);
        reads_left = reads; /* the error, then the uniform part */
        CHECK(is_refused(ccz_rlwe_encrypt_sk(&ct, k.w, k.sk, 1, msg, &err), CCZ_E_INTERNAL, &err,
                         "rlwe:random"));
        reads_left = -1;
        CHECK(ct.parts == 0 && all_zero(ct.c[0], N * sizeof(uint64_t)));
    }
    for (long reads = 0; reads < 3; reads++) {
        CHECK(ccz_rlwe_encrypt_pk(&ct, k.w, k.pk, 1, msg, NULL) == CCZ_OK);
        reads_left = reads;
        CHECK(is_refused(ccz_rlwe_encrypt_pk(&ct, k.w, k.pk, 1, msg, &err), CCZ_E_INTERNAL, &err,
                         "rlwe:random"));
        reads_left = -1;
        CHECK(ct.parts == 0 && all_zero(ct.c[0], N * sizeof(uint64_t)));
    }
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    CCZ_AUTO(ccz_rlwe_swk) swk = NULL;
    reads_left = 1;
    CHECK(is_refused(ccz_rlwe_pk_new(&pk, k.w, k.sk, &err), CCZ_E_INTERNAL, &err, "rlwe:random"));
    CHECK(all_zero(k.w->small[0], N));
    reads_left = 1;
    CHECK(
        is_refused(ccz_rlwe_relin_new(&swk, k.w, k.sk, &err), CCZ_E_INTERNAL, &err, "rlwe:random"));
    reads_left = -1;
    CHECK(!pk && !swk);
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
        {"rlwe.other_params", test_params},
        {"rlwe.other_key", test_key_id},
        {"rlwe.operands", test_operands},
        {"rlwe.no_special", test_no_special},
        {"rlwe.random_fails", test_random_fails},
        {"rlwe.system_random", test_system_random},
        {"rlwe.wiped", test_wiped},
        {"rlwe.streams_fail", test_streams_fail},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
