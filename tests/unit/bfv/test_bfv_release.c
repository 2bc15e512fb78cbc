/* SPDX-License-Identifier: Apache-2.0 */
/* Results on their way back: modulus switching, flooding, bytes; noise at its worst; parameters; refusals. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>

enum { N = 1024 };

static uint64_t va[N], vb[N], vc[N], want[N];

static void encode(struct kit *k, size_t i, const uint64_t *v)
{
    CHECK(ccz_bfv_encode_coeff(k->p[i], v, N, NULL) == CCZ_OK);
}

static bool decrypts(struct kit *k, const struct ccz_bfv_ct *ct)
{
    CHECK(ccz_bfv_decrypt(k->p[2], k->e, k->sk, ct, NULL) == CCZ_OK);
    return memcmp(k->p[2]->m, want, k->n * sizeof(*want)) == 0;
}

static double budget(struct kit *k, const struct ccz_bfv_ct *ct)
{
    double b;
    CHECK(ccz_bfv_noise_budget(&b, k->e, k->sk, ct, NULL) == CCZ_OK);
    return b;
}

static void expect(struct kit *k, const struct ccz_bfv_ct *ct)
{
    CHECK(decrypts(k, ct));
    CHECK(budget(k, ct) >= ccz_bfv_room(k->c, ct->ct.limbs) - ccz_bfv_noise_bits(ct));
}

/* ct[1] = ct[0] p[1] with words of all kinds; `want` is the plaintext. */
static void product(struct kit *k)
{
    random_words(k, va, N);
    random_words(k, vb, N);
    encode(k, 0, va);
    encode(k, 1, vb);
    CHECK(ccz_bfv_pt_prepare(k->p[1], k->e, 0, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encrypt_sk(k->ct[0], k->e, k->sk, k->p[0], 0, NULL) == CCZ_OK);
    CHECK(ccz_bfv_mul_plain(k->ct[1], k->e, k->ct[0], k->p[1], NULL) == CCZ_OK);
    multiply(k, want, va, vb);
}

/* ----------------------------------------------------------------------------- mod switching */

static void test_mod_switch(void)
{
    static const struct plain ts[] = {{0, 16}, {0, 64}, {65537, 0}};
    for (size_t s = 0; s < 3; s++) {
        struct kit k;
        struct ccz_err err;
        kit_init(&k, ts[s], 5, 45);
        product(&k);
        for (size_t limbs = 5; limbs >= 1; limbs--) {
            if (ccz_bfv_room(k.c, limbs) < 12) {
                CHECK(is_refused(ccz_bfv_mod_switch(k.ct[2], k.e, k.ct[1], limbs, &err),
                                 CCZ_E_LIMIT, &err, "bfv:noise"));
                continue;
            }
            CHECK(ccz_bfv_mod_switch(k.ct[2], k.e, k.ct[1], limbs, NULL) == CCZ_OK);
            CHECK(k.ct[2]->ct.limbs == limbs && k.ct[2]->is_private);
            expect(&k, k.ct[2]);
        }
        CHECK(ccz_bfv_copy(k.ct[3], k.ct[1]) == CCZ_OK);
        CHECK(ccz_bfv_mod_switch(k.ct[3], k.e, k.ct[3], 3, NULL) == CCZ_OK); /* in place */
        expect(&k, k.ct[3]);
        CHECK(is_refused(ccz_bfv_add(k.ct[0], k.e, k.ct[3], k.ct[1], &err), CCZ_E_ARG, &err,
                         "bfv:level"));
        CHECK(err.hint[0]);
        CHECK(is_refused(ccz_bfv_mod_switch(k.ct[0], k.e, k.ct[3], 4, &err), CCZ_E_ARG, &err,
                         "bfv:limbs"));
        CHECK(is_refused(ccz_bfv_mod_switch(k.ct[0], k.e, k.ct[3], 0, &err), CCZ_E_ARG, &err,
                         "bfv:limbs"));
        kit_deinit(&k);
    }
}

/* Each part, coefficient by coefficient: the nearest integer to c / P. */
static void test_exact_switch(void)
{
    enum { FROM = 5 };
    struct kit k;
    kit_init(&k, (struct plain){0, 16}, FROM, 45);
    product(&k);
    for (size_t to = 1; to < FROM; to++) {
        const struct big p = big_div(big_q(&k, FROM), big_q(&k, to));
        CHECK(ccz_bfv_copy(k.ct[2], k.ct[1]) == CCZ_OK);
        CHECK(ccz_bfv_mod_switch(k.ct[3], k.e, k.ct[2], to, NULL) == CCZ_OK);
        for (size_t part = 0; part < 2; part++) {
            uint64_t *c = k.ct[2]->ct.c[part], *d = k.ct[3]->ct.c[part];
            ccz_rlwe_inverse(c, ccz_bfv_eval_work(k.e), FROM);
            ccz_rlwe_inverse(d, ccz_bfv_eval_work(k.e), to);
            for (size_t x = 0; x < N; x += 13) {
                /* the number with those residues, by adding one prime's product at a time */
                struct big v = {{0}}, q = big_from(1);
                for (size_t i = 0; i < FROM; i++) {
                    const struct ccz_modulus *m = cczi_bfv_modulus(k.c, i);
                    uint64_t diff = ccz_mod_sub(c[i * N + x], big_mod(v, m->q), m);
                    v = big_add(
                        v,
                        big_mul_add(q, ccz_mod_mul(diff, ccz_mod_inv(big_mod(q, m->q), m), m), 0));
                    q = big_mul_add(q, m->q, 0);
                }
                v = big_div(big_add(v, big_div(p, big_from(2))), p);
                for (size_t i = 0; i < to; i++)
                    CHECK(d[i * N + x] == big_mod(v, ccz_rlwe_prime(k.c->ring, i)));
            }
        }
    }
    kit_deinit(&k);
}

/* -------------------------------------------------------------------------------------- flooding */

static void test_flood(void)
{
    static const struct plain ts[] = {{0, 16}, {0, 64}, {65537, 0}};
    static const unsigned bits[] = {1, 20, 40};
    for (size_t s = 0; s < 3; s++) {
        struct kit k;
        struct ccz_err err;
        kit_init(&k, ts[s], 5, 45);
        product(&k);
        for (size_t b = 0; b < 3; b++) {
            CHECK(ccz_bfv_flood(k.ct[2], k.e, k.ct[1], NULL, k.pk, bits[b], NULL) == CCZ_OK);
            CHECK(!k.ct[2]->is_private && k.ct[1]->is_private);
            expect(&k, k.ct[2]);
            /* as wide as it should be: 2^flood_bits n times twice the bound, on both sides */
            double width = ccz_bfv_room(k.c, 0) - budget(&k, k.ct[2]);
            double least = ccz_bfv_noise_bits(k.ct[1]) + 10 + bits[b];
            CHECK(width > least - 0.1 && width < least + 1.1);
            CHECK(ccz_bfv_mod_switch(k.ct[3], k.e, k.ct[2], 4, NULL) == CCZ_OK);
            CHECK(!k.ct[3]->is_private);
            expect(&k, k.ct[3]);
        }
        CHECK(ccz_bfv_flood(k.ct[1], k.e, k.ct[1], NULL, k.pk, 5, NULL) == CCZ_OK); /* in place */
        expect(&k, k.ct[1]);
        random_words(&k, vc, N);
        encode(&k, 0, vc);
        CHECK(ccz_bfv_flood(k.ct[1], k.e, k.ct[1], k.p[0], k.pk, 5, NULL) ==
              CCZ_OK); /* and a mask */
        for (size_t x = 0; x < N; x++)
            want[x] = mod_t(&k, (u128)want[x] + vc[x]);
        CHECK(!k.ct[1]->is_private);
        expect(&k, k.ct[1]);
        CHECK(is_refused(ccz_bfv_flood(k.ct[2], k.e, k.ct[1], NULL, k.pk, 0, &err), CCZ_E_ARG, &err,
                         "bfv:flood-bits"));
        CHECK(is_refused(
            ccz_bfv_flood(k.ct[2], k.e, k.ct[1], NULL, k.pk, CCZ_BFV_FLOOD_MAX + 1, &err),
            CCZ_E_ARG, &err, "bfv:flood-bits"));
        if (s == 1)
            CHECK(is_refused(
                ccz_bfv_flood(k.ct[2], k.e, k.ct[1], NULL, k.pk, CCZ_BFV_FLOOD_MAX, &err),
                CCZ_E_LIMIT, &err, "bfv:noise"));
        kit_deinit(&k);
    }
}

/* (c1 of the result) / (c1 of the input) modulo q_0 in evaluation form: the factor, to who knows both. */
static bool reveals(const struct kit *k, const struct ccz_bfv_ct *result)
{
    const struct ccz_modulus *m = cczi_bfv_modulus(k->c, 0);
    for (size_t x = 0; x < N; x++) {
        uint64_t a = k->ct[0]->ct.c[1][x], b = result->ct.c[1][x];
        if (a && ccz_mod_mul(b, ccz_mod_inv(a, m), m) != k->p[1]->factor[x])
            return false;
    }
    return true;
}

/* A result with next to no noise of its own: what the encryption of zero brings has to be covered as well. */
static void test_flood_small(void)
{
    static const struct plain ts[] = {{0, 16}, {0, 64}, {65537, 0}};
    for (size_t s = 0; s < 3; s++) {
        struct kit k;
        kit_init(&k, ts[s], 5, 45);
        random_words(&k, want, N);
        encode(&k, 0, want);
        CHECK(ccz_bfv_encrypt_sk(k.ct[1], k.e, k.sk, k.p[0], 0, NULL) == CCZ_OK);
        CHECK(ccz_bfv_encrypt_pk(k.ct[3], k.e, k.pk, k.p[0], 0, NULL) == CCZ_OK); /* as zero is */
        CHECK(ccz_bfv_noise_bits(k.ct[3]) > ccz_bfv_noise_bits(k.ct[1]) + 4);
        for (unsigned bits = 1; bits <= 40; bits += 13) {
            CHECK(ccz_bfv_flood(k.ct[2], k.e, k.ct[1], NULL, k.pk, bits, NULL) == CCZ_OK);
            expect(&k, k.ct[2]);
            double width = ccz_bfv_room(k.c, 0) - budget(&k, k.ct[2]);
            double least = ccz_bfv_noise_bits(k.ct[3]) + 10 + bits;
            CHECK(width > least - 0.1 && width < least + 1.2);
        }
        kit_deinit(&k);
    }
}

/* Why results are flooded, and that nothing goes out that is not. */
static void test_leak(void)
{
    struct kit k;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    kit_init(&k, (struct plain){0, 32}, 4, 45);
    product(&k);
    CHECK(reveals(&k, k.ct[1]));
    CHECK(is_refused(ccz_bfv_ct_write(&b, k.ct[1], &err), CCZ_E_POLICY, &err, "bfv:not-flooded"));
    CHECK(err.hint[0] && b.size == 0);
    CHECK(ccz_bfv_flood(k.ct[2], k.e, k.ct[1], NULL, k.pk, 40, NULL) == CCZ_OK);
    CHECK(!reveals(&k, k.ct[2]));
    CHECK(ccz_bfv_ct_write(&b, k.ct[2], NULL) == CCZ_OK);
    /* a mask shows in the roundings of a sum: also that is private */
    ccz_buf_clear(&b);
    CHECK(ccz_bfv_add_plain(k.ct[1], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_ct_write(&b, k.ct[1], &err), CCZ_E_POLICY, &err, "bfv:not-flooded"));
    /* and what is made from it */
    CHECK(ccz_bfv_neg(k.ct[2], k.e, k.ct[1], NULL) == CCZ_OK && k.ct[2]->is_private);
    CHECK(ccz_bfv_add(k.ct[2], k.e, k.ct[0], k.ct[1], NULL) == CCZ_OK && k.ct[2]->is_private);
    CHECK(ccz_bfv_copy(k.ct[2], k.ct[1]) == CCZ_OK && k.ct[2]->is_private);
    CHECK(ccz_bfv_mod_switch(k.ct[2], k.e, k.ct[1], 3, NULL) == CCZ_OK && k.ct[2]->is_private);
    ccz_bfv_pt_declare_public(k.p[1]);
    CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 0, NULL) == CCZ_OK);
    const struct ccz_bfv_ct *terms[] = {k.ct[0], k.ct[1]};
    const struct ccz_bfv_pt *factors[] = {k.p[1], k.p[1]};
    CHECK(ccz_bfv_mul_plain(k.ct[2], k.e, k.ct[1], k.p[1], NULL) == CCZ_OK && k.ct[2]->is_private);
    CHECK(ccz_bfv_dot_plain(k.ct[2], k.e, terms, factors, 2, NULL) == CCZ_OK);
    CHECK(k.ct[2]->is_private);
    CHECK(ccz_bfv_dot_plain(k.ct[2], k.e, terms, factors, 1, NULL) == CCZ_OK);
    CHECK(!k.ct[2]->is_private);
    CHECK(ccz_bfv_add_plain(k.ct[2], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
    CHECK(ccz_bfv_ct_write(&b, k.ct[2], NULL) == CCZ_OK);
    /* a product with zero is transparent until it is flooded */
    CHECK(ccz_bfv_encode_coeff(k.p[1], NULL, 0, NULL) == CCZ_OK);
    CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 0, NULL) == CCZ_OK);
    CHECK(ccz_bfv_mul_plain(k.ct[1], k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_decrypt(k.p[2], k.e, k.sk, k.ct[1], &err), CCZ_E_FORMAT, &err,
                     "rlwe:transparent"));
    CHECK(ccz_bfv_flood(k.ct[1], k.e, k.ct[1], NULL, k.pk, 40, NULL) == CCZ_OK);
    memset(want, 0, sizeof(want));
    expect(&k, k.ct[1]);
    kit_deinit(&k);
}

/* ----------------------------------------------------------------------------- worst noise */

/*
 * The largest factors there are, added up until the bound says stop: what was not refused decrypts, always.
 */
static void test_worst(void)
{
    static const struct {
        struct plain t;
        size_t limbs;
        uint8_t bits;
    } sets[] = {{{0, 16}, 2, 27}, {{0, 64}, 4, 37}, {{65537, 0}, 2, 27}};
    size_t tried = 0;
    for (size_t s = 0; s < 3; s++) {
        struct kit k;
        struct ccz_err err;
        kit_init(&k, sets[s].t, sets[s].limbs, sets[s].bits);
        const uint64_t half = k.c->plain_bits ? UINT64_C(1) << (k.c->plain_bits - 1) : k.c->t.q / 2;
        for (size_t x = 0; x < N; x++) {
            va[x] = x % 2 ? half : neg_t(&k, half);
            vb[x] = half;
        }
        encode(&k, 0, va);
        encode(&k, 1, vb);
        CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 0, NULL) == CCZ_OK);
        multiply(&k, vc, va, vb);
        memset(want, 0, sizeof(want));
        size_t sums = 0;
        for (;; sums++) {
            CHECK(ccz_bfv_encrypt_pk(k.ct[0], k.e, k.pk, k.p[0], 0, NULL) == CCZ_OK);
            ccz_rc rc = ccz_bfv_mul_plain(k.ct[1], k.e, k.ct[0], k.p[1], &err);
            if (rc == CCZ_OK && sums > 0)
                rc = ccz_bfv_add(k.ct[1], k.e, k.ct[1], k.ct[2], &err);
            if (rc != CCZ_OK) {
                CHECK(is_refused(rc, CCZ_E_LIMIT, &err, "bfv:noise"));
                break;
            }
            CHECK(ccz_bfv_copy(k.ct[2], k.ct[1]) == CCZ_OK);
            for (size_t x = 0; x < N; x++)
                want[x] = mod_t(&k, (u128)want[x] + vc[x]);
            CHECK(decrypts(&k, k.ct[1]));
            tried += N;
        }
        CHECK(sums >= 3 && sums < 1000);
        /* the bound is no more than some bits above what happened */
        CHECK(budget(&k, k.ct[2]) > 0 && budget(&k, k.ct[2]) < 14);
        kit_deinit(&k);
    }
    CHECK(tried > 10000);
}

/* Without the bound the sum goes wrong in the end: the budget tells. */
static void test_failure(void)
{
    struct kit k;
    kit_init(&k, (struct plain){0, 16}, 2, 31);
    product(&k);
    CHECK(budget(&k, k.ct[1]) > 0);
    for (int i = 0; i < 40; i++) {
        k.ct[1]->sigma = k.ct[1]->fixed = -100; /* a claim */
        CHECK(ccz_bfv_add(k.ct[1], k.e, k.ct[1], k.ct[1], NULL) == CCZ_OK);
        for (size_t x = 0; x < N; x++)
            want[x] = mod_t(&k, (u128)want[x] + want[x]);
    }
    CHECK(budget(&k, k.ct[1]) < 0.1);
    CHECK(!decrypts(&k, k.ct[1]));
    kit_deinit(&k);
}

/* -------------------------------------------------------------------------------------- bytes */

static void test_serial(void)
{
    struct kit k;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    kit_init(&k, (struct plain){0, 64}, 4, 45);
    const uint8_t *id = ccz_rlwe_sk_id(k.sk);
    product(&k);
    memcpy(want, va, sizeof(want));
    CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
    CHECK(b.size == ccz_bfv_ct_size(k.ct[0]) && b.size < 4 * N * 46 / 8 + 300); /* half: seeded */
    CHECK(ccz_bfv_ct_read(k.ct[2], k.e, ccz_buf_span(&b), id, NULL) == CCZ_OK);
    CHECK(k.ct[2]->sigma == k.ct[0]->sigma && k.ct[2]->fixed == k.ct[0]->fixed);
    CHECK(k.ct[2]->ct.seeded && !k.ct[2]->is_private);
    expect(&k, k.ct[2]);
    for (size_t cut = 0; cut < b.size; cut += cut < 200 ? 1 : 997) {
        CHECK(ccz_bfv_ct_read(k.ct[2], k.e, CCZ_SPAN(b.ptr, cut), id, &err) == CCZ_E_FORMAT);
        CHECK(k.ct[2]->ct.parts == 0);
    }
    /* whatever the sender says of its noise */
    k.ct[0]->sigma = 90;
    k.ct[0]->fixed = -(double)INFINITY;
    ccz_buf_clear(&b);
    CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
    CHECK(ccz_bfv_ct_read(k.ct[2], k.e, ccz_buf_span(&b), id, NULL) == CCZ_OK);
    CHECK(k.ct[2]->sigma == 90 && k.ct[2]->fixed == -(double)INFINITY);
    CHECK(ccz_bfv_ct_read_fresh(k.ct[2], k.e, ccz_buf_span(&b), id, NULL) == CCZ_OK);
    CHECK(fabs(k.ct[2]->sigma - 0.5 * log2(10.5)) < 1e-9 && k.ct[2]->fixed == -1);
    expect(&k, k.ct[2]);
    static const double bad[][2] = {{200, 0},
                                    {0, 200},
                                    {(double)NAN, 0},
                                    {0, (double)NAN},
                                    {(double)INFINITY, 0},
                                    {(double)INFINITY, (double)INFINITY}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        k.ct[0]->sigma = bad[i][0];
        k.ct[0]->fixed = bad[i][1];
        ccz_buf_clear(&b);
        CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
        CHECK(is_refused(ccz_bfv_ct_read(k.ct[2], k.e, ccz_buf_span(&b), id, &err), CCZ_E_FORMAT,
                         &err, "bfv:meta"));
        CHECK(k.ct[2]->ct.parts == 0);
    }
    /* not seeded: as under the public key */
    CHECK(ccz_bfv_encrypt_pk(k.ct[0], k.e, k.pk, k.p[0], 0, NULL) == CCZ_OK);
    ccz_buf_clear(&b);
    CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
    CHECK(ccz_bfv_ct_read_fresh(k.ct[2], k.e, ccz_buf_span(&b), id, NULL) == CCZ_OK);
    CHECK(k.ct[2]->sigma == k.ct[0]->sigma && k.ct[2]->sigma > 6);
    /* too few primes for that */
    CHECK(ccz_rlwe_ct_drop(&k.ct[0]->ct, 1, NULL) == CCZ_OK);
    ccz_buf_clear(&b);
    CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_ct_read_fresh(k.ct[2], k.e, ccz_buf_span(&b), id, &err), CCZ_E_LIMIT,
                     &err, "bfv:noise"));
    CHECK(k.ct[2]->ct.parts == 0);
    /* coefficient form, three parts: not ours */
    CHECK(ccz_bfv_encrypt_pk(k.ct[0], k.e, k.pk, k.p[0], 0, NULL) == CCZ_OK);
    k.ct[0]->ct.ntt = false;
    ccz_buf_clear(&b);
    CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_ct_read(k.ct[2], k.e, ccz_buf_span(&b), id, &err), CCZ_E_FORMAT, &err,
                     "bfv:form"));
    CHECK(k.ct[2]->ct.parts == 0);
    k.ct[0]->ct.ntt = true;
    CHECK(ccz_rlwe_ct_reserve(&k.ct[0]->ct, 3) == CCZ_OK);
    memset(k.ct[0]->ct.c[2], 0, 4 * N * sizeof(uint64_t));
    k.ct[0]->ct.parts = 3;
    ccz_buf_clear(&b);
    CHECK(ccz_bfv_ct_write(&b, k.ct[0], NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_ct_read(k.ct[2], k.e, ccz_buf_span(&b), id, &err), CCZ_E_FORMAT, &err,
                     "bfv:form"));
    CHECK(k.ct[2]->ct.parts == 0);
    kit_deinit(&k);
}

/* ------------------------------------------------------------------------------------ refusals */

static void refused_cfg(struct ccz_bfv_cfg cfg, ccz_rc rc, const char *where)
{
    struct ccz_bfv *c;
    struct ccz_err err;
    CHECK(is_refused(ccz_bfv_new(&c, &cfg, &err), rc, &err, where) && !c);
}

static void test_cfg_refuse(void)
{
    struct ccz_bfv_cfg cfg = kit_cfg((struct plain){65537, 16}, 3, 40);
    refused_cfg(cfg, CCZ_E_ARG, "bfv:plain");
    static const struct plain bad[] = {{0, 0},         {0, 65},    {2, 0},
                                       {1, 0},         {65535, 0}, {(UINT64_C(1) << 50) + 55, 0},
                                       {UINT64_MAX, 0}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused_cfg(kit_cfg(bad[i], 3, 40), CCZ_E_ARG, "bfv:plain");
    refused_cfg(kit_cfg((struct plain){0, 64}, 2, 36), CCZ_E_ARG, "bfv:room");
    cfg = kit_cfg((struct plain){0, 16}, 3, 40);
    cfg.ring.scheme = 1;
    refused_cfg(cfg, CCZ_E_ARG, "bfv:scheme");
    cfg.ring.scheme = 0;
    cfg.ring.scheme_param = 1;
    refused_cfg(cfg, CCZ_E_ARG, "bfv:scheme");
    cfg.ring.scheme_param = 0;
    cfg.ring.security_insecure = false;
    refused_cfg(cfg, CCZ_E_POLICY, "rlwe:security");
    /* one of the ring's primes as plaintext modulus */
    struct kit k;
    kit_init(&k, (struct plain){0, 16}, 3, 40);
    cfg = kit_cfg((struct plain){ccz_rlwe_prime(k.c->ring, 1), 0}, 3, 40);
    refused_cfg(cfg, CCZ_E_ARG, "bfv:plain");
    /* contexts that differ in the plaintext modulus alone have other identities */
    struct kit other;
    kit_init(&other, (struct plain){0, 17}, 3, 40);
    CHECK(memcmp(ccz_rlwe_params_id(k.c->ring), ccz_rlwe_params_id(other.c->ring), 32) != 0);
    kit_deinit(&other);
    kit_init(&other, (struct plain){17, 0}, 3, 40);
    CHECK(memcmp(ccz_rlwe_params_id(k.c->ring), ccz_rlwe_params_id(other.c->ring), 32) != 0);
    CHECK(ccz_bfv_slots(other.c) == 0 && ccz_bfv_slots(k.c) == 0);
    kit_deinit(&other);
    kit_deinit(&k);
}

#define REFUSED(call, rc, where) CHECK(is_refused((call), (rc), &err, (where)))

static void test_refuse(void)
{
    struct kit k, o;
    struct ccz_err err;
    kit_init(&k, (struct plain){0, 32}, 3, 40);
    kit_init(&o, (struct plain){0, 33}, 3, 40);
    product(&o);
    product(&k);
    struct ccz_bfv_ct *const out = k.ct[2], *const a = k.ct[0];
    const ccz_rc arg = CCZ_E_ARG, other = CCZ_E_MISMATCH;
    /* objects of another context */
    REFUSED(ccz_bfv_encrypt_sk(out, k.e, k.sk, o.p[0], 0, &err), other, "bfv:context");
    REFUSED(ccz_bfv_encrypt_pk(o.ct[2], k.e, k.pk, k.p[0], 0, &err), other, "bfv:context");
    REFUSED(ccz_bfv_encrypt_sk(out, k.e, o.sk, k.p[0], 0, &err), other, "rlwe:params");
    REFUSED(ccz_bfv_decrypt(o.p[2], k.e, k.sk, a, &err), other, "bfv:context");
    REFUSED(ccz_bfv_decrypt(k.p[2], k.e, k.sk, o.ct[0], &err), other, "bfv:context");
    REFUSED(ccz_bfv_add(out, k.e, a, o.ct[0], &err), other, "bfv:context");
    REFUSED(ccz_bfv_sub(o.ct[2], k.e, a, a, &err), other, "bfv:context");
    REFUSED(ccz_bfv_neg(o.ct[2], k.e, a, &err), other, "bfv:context");
    REFUSED(ccz_bfv_add_plain(out, k.e, a, o.p[1], &err), other, "bfv:context");
    REFUSED(ccz_bfv_sub_plain(out, k.e, o.ct[0], k.p[1], &err), other, "bfv:context");
    REFUSED(ccz_bfv_mul_plain(out, k.e, a, o.p[1], &err), other, "bfv:context");
    REFUSED(ccz_bfv_pt_prepare(k.p[1], o.e, 0, &err), other, "bfv:context");
    REFUSED(ccz_bfv_mod_switch(o.ct[2], k.e, a, 2, &err), other, "bfv:context");
    REFUSED(ccz_bfv_flood(out, k.e, o.ct[0], NULL, k.pk, 5, &err), other, "bfv:context");
    REFUSED(ccz_bfv_flood(out, k.e, a, o.p[0], k.pk, 5, &err), other, "bfv:context");
    REFUSED(ccz_bfv_ct_read(o.ct[2], k.e, (struct ccz_span){0}, NULL, &err), other, "bfv:context");
    CHECK(ccz_bfv_copy(o.ct[2], a) == CCZ_E_MISMATCH);
    /* nothing in it */
    out->ct.parts = 0;
    REFUSED(ccz_bfv_decrypt(k.p[2], k.e, k.sk, out, &err), arg, "bfv:empty");
    REFUSED(ccz_bfv_add(k.ct[3], k.e, a, out, &err), arg, "bfv:empty");
    REFUSED(ccz_bfv_neg(k.ct[3], k.e, out, &err), arg, "bfv:empty");
    REFUSED(ccz_bfv_mod_switch(k.ct[3], k.e, out, 1, &err), arg, "bfv:empty");
    double bits;
    REFUSED(ccz_bfv_noise_budget(&bits, k.e, k.sk, out, &err), arg, "bfv:empty");
    /* primes */
    REFUSED(ccz_bfv_encrypt_sk(out, k.e, k.sk, k.p[0], 4, &err), arg, "bfv:limbs");
    REFUSED(ccz_bfv_pt_prepare(k.p[1], k.e, 4, &err), arg, "bfv:limbs");
    encode(&k, 1, vb);
    CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 2, NULL) == CCZ_OK);
    REFUSED(ccz_bfv_mul_plain(out, k.e, a, k.p[1], &err), arg, "bfv:not-prepared");
    CHECK(err.hint[0]);
    /* keys */
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    CHECK(ccz_rlwe_sk_new(&sk, ccz_bfv_eval_work(k.e), NULL) == CCZ_OK);
    CHECK(ccz_rlwe_pk_new(&pk, ccz_bfv_eval_work(k.e), sk, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encrypt_sk(k.ct[3], k.e, sk, k.p[0], 0, NULL) == CCZ_OK);
    REFUSED(ccz_bfv_add(out, k.e, a, k.ct[3], &err), other, "bfv:key-id");
    REFUSED(ccz_bfv_flood(out, k.e, a, NULL, pk, 5, &err), other, "bfv:key-id");
    REFUSED(ccz_bfv_decrypt(k.p[2], k.e, sk, a, &err), other, "rlwe:key-id");
    /* sums */
    const struct ccz_bfv_ct *list[] = {a, k.ct[3]};
    const struct ccz_bfv_pt *factors[] = {k.p[1], k.p[1]};
    CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 0, NULL) == CCZ_OK);
    REFUSED(ccz_bfv_dot_plain(out, k.e, list, factors, 2, &err), other, "bfv:key-id");
    REFUSED(ccz_bfv_dot_plain(out, k.e, list, factors, 0, &err), arg, "bfv:length");
    REFUSED(ccz_bfv_dot_plain(out, k.e, list, factors, CCZ_BFV_TERMS_MAX + 1, &err), arg,
            "bfv:length");
    REFUSED(ccz_bfv_dot_plain(a, k.e, list, factors, 1, &err), arg, "bfv:overlap");
    CHECK(a->ct.parts == 2);
    /* noise */
    a->sigma = ccz_bfv_room(k.c, 0) - 10;
    REFUSED(ccz_bfv_mul_plain(out, k.e, a, k.p[1], &err), CCZ_E_LIMIT, "bfv:noise");
    REFUSED(ccz_bfv_dot_plain(out, k.e, list, factors, 1, &err), CCZ_E_LIMIT, "bfv:noise");
    a->sigma = a->fixed = ccz_bfv_room(k.c, 0) - 1;
    REFUSED(ccz_bfv_add(out, k.e, a, a, &err), CCZ_E_LIMIT, "bfv:noise");
    REFUSED(ccz_bfv_add_plain(out, k.e, a, k.p[1], &err), CCZ_E_LIMIT, "bfv:noise");
    /* no randomness */
    CHECK(ccz_bfv_encrypt_sk(k.ct[0], k.e, k.sk, k.p[0], 0, NULL) == CCZ_OK);
    k.rng.left = 0;
    REFUSED(ccz_bfv_encrypt_sk(out, k.e, k.sk, k.p[0], 0, &err), CCZ_E_INTERNAL, "rlwe:random");
    REFUSED(ccz_bfv_flood(out, k.e, k.ct[0], NULL, k.pk, 5, &err), CCZ_E_INTERNAL, "rlwe:random");
    k.rng.left = 1;
    REFUSED(ccz_bfv_flood(out, k.e, k.ct[0], NULL, k.pk, 5, &err), CCZ_E_INTERNAL, "rlwe:random");
    ccz_rlwe_pk_free(pk);
    ccz_rlwe_sk_free(sk);
    kit_deinit(&o);
    kit_deinit(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"bfv.mod_switch", test_mod_switch},
        {"bfv.exact_switch", test_exact_switch},
        {"bfv.flood", test_flood},
        {"bfv.leak", test_leak},
        {"bfv.flood_small", test_flood_small},
        {"bfv.worst", test_worst},
        {"bfv.failure", test_failure},
        {"bfv.serial", test_serial},
        {"bfv.cfg_refuse", test_cfg_refuse},
        {"bfv.refuse", test_refuse},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
