/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, encryption, decryption and the operations, judged by the definition of the scheme. */
#define _POSIX_C_SOURCE 200809L
#include "pai_test.h"
#include "paillier/paillier_priv.h"

#include <math.h>
#include <time.h>

/* ------------------------------------------------------------------------------------ keys */

static void test_keygen(void)
{
    const struct ref *r = test_ref();
    struct ccz_paillier_key *none;
    CHECK(BN_num_bits(r->n) == BITS && ccz_paillier_bits(test_pub()) == BITS);
    CHECK(ccz_paillier_has_djn(test_pub()));
    CHECK(BN_kronecker(r->h, r->n, r->ctx) == 1); /* -x^2 of a Blum integer: not a square, ... */
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_paillier_key_write(&s, test_key()) == CCZ_OK);
    BIGNUM *p = bn_from(ccz_secret_view(s) + HEAD, P_SIZE);
    CHECK(BN_kronecker(r->h, p, r->ctx) == -1); /* ... but minus one, modulo either prime */
    CHECK(BN_mod_word(p, 4) == 3);
    BN_free(p);

    const unsigned bad[] = {1, 1024, 1536, 2047, 2049, 3000, 4160, 8192};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        REFUSED(
            ccz_paillier_keygen(&none, &(struct ccz_paillier_keygen_cfg){.bits = bad[i]}, &err_),
            CCZ_E_ARG, "paillier:key-bits");
    struct test_rng rng = {.fail = true};
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true,
                                                .rng = {test_fill, &rng}};
    REFUSED(ccz_paillier_keygen(&none, &cfg, &err_), CCZ_E_INTERNAL, "paillier:random");
    CHECK(none == NULL);
}

/* h = -x^2 mod n for the x that the injected generator gives. */
static void test_keygen_h(void)
{
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    CCZ_AUTO_BUF b;
    struct test_rng rng = {.state = 7}, same = {.state = 7};
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true,
                                                .rng = {test_fill, &rng}};
    uint8_t x[N_SIZE + 16];
    CHECK(ccz_paillier_keygen(&k, &cfg, NULL) == CCZ_OK);
    CHECK(test_fill(&same, x, sizeof(x)) == CCZ_OK);
    ccz_buf_init(&b, 4096);
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(k);
    ccz_paillier_pub_write(&b, pub);
    CHECK(b.size == HEAD + 2 * N_SIZE);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *n = bn_from(b.ptr + HEAD, N_SIZE), *h = bn_from(b.ptr + HEAD + N_SIZE, N_SIZE);
    BIGNUM *y = bn_from(x, sizeof(x));
    CHECK(BN_mod_sqr(y, y, n, ctx) && BN_sub(y, n, y) && BN_cmp(y, h) == 0);
    BN_free(n), BN_free(h), BN_free(y), BN_CTX_free(ctx);
}

static void test_keygen_sizes(void)
{
    static const unsigned sizes[] = {2048, 0};
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_paillier_key) k = NULL;
        CHECK(ccz_paillier_keygen(&k, &(struct ccz_paillier_keygen_cfg){.bits = sizes[i]}, NULL) ==
              CCZ_OK);
        CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(k);
        CHECK(ccz_paillier_bits(pub) == (sizes[i] ? sizes[i] : 3072));
        const int64_t v[3] = {-5, 0, INT64_MAX};
        int64_t back[3];
        CCZ_AUTO(ccz_paillier_plain) p = NULL;
        CCZ_AUTO(ccz_paillier_plain) d = NULL;
        CCZ_AUTO(ccz_paillier_vec) c = NULL;
        CHECK(ccz_paillier_plain_i64(&p, pub, v, 3, 63, NULL, NULL) == CCZ_OK);
        CHECK(ccz_paillier_encrypt(&c, p, NULL, NULL) == CCZ_OK);
        CHECK(ccz_paillier_decrypt(&d, k, c, NULL, NULL) == CCZ_OK);
        CHECK(ccz_paillier_plain_to_i64(back, d, NULL) == CCZ_OK);
        CHECK(memcmp(v, back, sizeof(v)) == 0);
    }
}

/* n = what is left of the bytes after a change. */
static struct ccz_span number(uint8_t out[N_SIZE], const BIGNUM *n)
{
    CHECK(BN_bn2binpad(n, out, N_SIZE) == N_SIZE);
    return CCZ_SPAN(out, N_SIZE);
}

static void test_foreign_n(void)
{
    const struct ref *r = test_ref();
    const struct ccz_span no_h = {NULL, 0};
    uint8_t b[N_SIZE], long_n[520];
    struct ccz_paillier_pub *pub = NULL;
    BIGNUM *n = BN_dup(r->n), *t = BN_new();
    REFUSED(ccz_paillier_pub_new(&pub, number(b, n), no_h, NULL, &err_), CCZ_E_LIMIT,
            "paillier:n-bits"); /* 1024 bits without the insecure field */
    CHECK(ccz_paillier_pub_new(&pub, number(b, n), no_h, &small_ok, NULL) == CCZ_OK);
    CHECK(!ccz_paillier_has_djn(pub));
    ccz_paillier_pub_free(pub);
    REFUSED(ccz_paillier_pub_new(&pub, CCZ_SPAN(b, N_SIZE - 1), no_h, &small_ok, &err_),
            CCZ_E_LIMIT, "paillier:n-bits");
    memset(long_n, 0xff, sizeof(long_n));
    REFUSED(ccz_paillier_pub_new(&pub, CCZ_SPAN(long_n, 520), no_h, NULL, &err_), CCZ_E_LIMIT,
            "paillier:n-bits");
    REFUSED(ccz_paillier_pub_new(&pub, CCZ_SPAN(long_n, 257), no_h, NULL, &err_), CCZ_E_LIMIT,
            "paillier:n-bits");
    CHECK(BN_sub_word(n, 1));
    REFUSED(ccz_paillier_pub_new(&pub, number(b, n), no_h, &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:n-odd");
    CHECK(BN_copy(n, r->n) && BN_sub_word(n, BN_mod_word(n, 2 * 65521)) && BN_add_word(n, 65521));
    if (BN_num_bits(n) == BITS)
        REFUSED(ccz_paillier_pub_new(&pub, number(b, n), no_h, &small_ok, &err_), CCZ_E_FORMAT,
                "paillier:n-factor");
    CHECK(BN_generate_prime_ex(n, BITS, 0, NULL, NULL, NULL));
    REFUSED(ccz_paillier_pub_new(&pub, number(b, n), no_h, &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:n-prime");
    CHECK(BN_generate_prime_ex(t, BITS / 2, 0, NULL, NULL, NULL) && BN_set_bit(t, BITS / 2 - 2));
    while (BN_check_prime(t, r->ctx, NULL) != 1)
        CHECK(BN_add_word(t, 2));
    CHECK(BN_sqr(n, t, r->ctx));
    REFUSED(ccz_paillier_pub_new(&pub, number(b, n), no_h, &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:n-power");
    CHECK(pub == NULL);
    BN_free(n), BN_free(t);
}

static void test_foreign_h(void)
{
    const struct ref *r = test_ref();
    uint8_t n[N_SIZE], b[N_SIZE] = {0};
    struct ccz_paillier_pub *pub = NULL;
    BIGNUM *h = BN_dup(r->h);
    (void)number(n, r->n);
    const struct ccz_span n_span = CCZ_SPAN(n, N_SIZE);
    CHECK(ccz_paillier_pub_new(&pub, n_span, number(b, h), &small_ok, NULL) == CCZ_OK);
    CHECK(ccz_paillier_has_djn(pub));
    ccz_paillier_pub_free(pub);
    REFUSED(ccz_paillier_pub_new(&pub, n_span, CCZ_SPAN(b, N_SIZE - 1), &small_ok, &err_),
            CCZ_E_FORMAT, "paillier:h-range");
    REFUSED(ccz_paillier_pub_new(&pub, n_span, n_span, &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:h-range");
    BN_zero(h);
    REFUSED(ccz_paillier_pub_new(&pub, n_span, number(b, h), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:h-range");
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_paillier_key_write(&s, test_key()) == CCZ_OK);
    memset(b, 0, P_SIZE);
    memcpy(b + P_SIZE, ccz_secret_view(s) + HEAD, P_SIZE);
    REFUSED(ccz_paillier_pub_new(&pub, n_span, CCZ_SPAN(b, N_SIZE), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:h-gcd");
    CHECK(BN_copy(h, r->h));
    do
        CHECK(BN_add_word(h, 1));
    while (BN_kronecker(h, r->n, r->ctx) != -1);
    REFUSED(ccz_paillier_pub_new(&pub, n_span, number(b, h), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:h-jacobi");
    CHECK(BN_one(h)); /* 1 and -1: of Jacobi symbol 1, and no randomness at all */
    REFUSED(ccz_paillier_pub_new(&pub, n_span, number(b, h), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:h-order");
    CHECK(BN_sub(h, r->n, h));
    REFUSED(ccz_paillier_pub_new(&pub, n_span, number(b, h), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:h-order");
    BN_free(h);
}

/* ---------------------------------------------------------------------- encrypt, decrypt */

/* c = (1 + m n) h^(n a) mod n^2, or (1 + m n) r^n, for a and r from the generator. */
static void test_encrypt_definition(void)
{
    const struct ref *ref = test_ref();
    static const int64_t v[3] = {0, 41, -1000};
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, 3, 20);
    for (int full = 0; full < 2; full++) {
        struct test_rng rng = {.state = 9}, same = {.state = 9};
        struct ccz_paillier_enc_cfg cfg = {.rng = {test_fill, &rng}};
        size_t each = full ? N_SIZE + 16 : N_SIZE / 2;
        uint8_t r[3 * (N_SIZE + 16)], c[3 * C_SIZE];
        cfg.method = full ? CCZ_PAILLIER_FULL : CCZ_PAILLIER_AUTO;
        CCZ_AUTO(ccz_paillier_vec) vec = NULL;
        CHECK(ccz_paillier_encrypt(&vec, p, &cfg, NULL) == CCZ_OK);
        CHECK(test_fill(&same, r, 3 * each) == CCZ_OK);
        items_of(c, vec);
        for (size_t i = 0; i < 3; i++) {
            BIGNUM *a = bn_from(r + i * each, each), *x = BN_new(), *m = BN_new();
            CHECK(BN_mod_exp(x, full ? a : ref->h, ref->n, ref->n2, ref->ctx));
            if (!full)
                CHECK(BN_mod_exp(x, x, a, ref->n2, ref->ctx));
            CHECK(BN_set_word(m, (BN_ULONG)llabs(v[i])) && BN_mul(m, m, ref->n, ref->ctx));
            BN_set_negative(m, v[i] < 0);
            CHECK(BN_add_word(m, 1) && BN_nnmod(m, m, ref->n2, ref->ctx));
            CHECK(BN_mod_mul(x, x, m, ref->n2, ref->ctx));
            BIGNUM *got = bn_from(c + i * C_SIZE, C_SIZE);
            CHECK(BN_cmp(got, x) == 0);
            BN_free(a), BN_free(x), BN_free(m), BN_free(got);
        }
    }
}

static void test_encrypt(void)
{
    struct test_rng rng = {.state = 4};
    static const size_t lens[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 130};
    for (size_t k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
        int64_t v[130], back[130];
        for (size_t i = 0; i < lens[k]; i++)
            v[i] = (int64_t)test_word(&rng) >> 1;
        for (unsigned threads = 0; threads < 3; threads++) {
            CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, lens[k], 63);
            CCZ_AUTO(ccz_paillier_plain) d = NULL;
            CCZ_AUTO(ccz_paillier_vec) c = NULL;
            const struct ccz_paillier_enc_cfg cfg = {.threads = threads};
            CHECK(ccz_paillier_encrypt(&c, p, &cfg, NULL) == CCZ_OK);
            CHECK(ccz_paillier_vec_len(c) == lens[k] && ccz_paillier_vec_randomised(c));
            if (lens[k] > 0)
                CHECK(item_is(c, lens[k] - 1, v[lens[k] - 1]) && item_is(c, 0, v[0]));
            const struct ccz_paillier_dec_cfg dec = {.threads = threads};
            CHECK(ccz_paillier_decrypt(&d, test_key(), c, &dec, NULL) == CCZ_OK);
            CHECK(ccz_paillier_plain_to_i64(back, d, NULL) == CCZ_OK);
            CHECK(memcmp(v, back, lens[k] * sizeof(*v)) == 0);
        }
    }
    struct test_rng broken = {.fail = true};
    const struct ccz_paillier_enc_cfg cfg = {.rng = {test_fill, &broken}};
    const int64_t one = 1;
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(&one, 1, 1);
    struct ccz_paillier_vec *none;
    REFUSED(ccz_paillier_encrypt(&none, p, &cfg, &err_), CCZ_E_INTERNAL, "paillier:random");
}

static void test_decrypt_edges(void)
{
    const struct ccz_paillier_pub *pub = test_pub();
    struct ccz_paillier_plain *none;
    CCZ_AUTO(ccz_paillier_plain) p = plain_of((const int64_t[4]){0}, 4, 1);
    memcpy(p->w, pub->max, 8 * pub->words); /* the largest, its negative, and one more */
    const uint64_t zero[CCZI_PAI_WORDS_MAX] = {0}, one[CCZI_PAI_WORDS_MAX] = {1};
    uint64_t *w1 = p->w + pub->words, *w2 = w1 + pub->words;
    (void)cczi_words_sub(w1, zero, pub->max, ~(uint64_t)0, pub->words);
    for (int more = 0; more < 3; more++) {
        CCZ_AUTO(ccz_paillier_vec) c = NULL;
        if (more == 1)
            (void)cczi_words_add(w2, pub->max, one, ~(uint64_t)0, pub->words);
        if (more == 2)
            (void)cczi_words_sub(w2, w1, one, ~(uint64_t)0, pub->words);
        CHECK(ccz_paillier_encrypt(&c, p, NULL, NULL) == CCZ_OK);
        if (more) {
            REFUSED(ccz_paillier_decrypt(&none, test_key(), c, NULL, &err_), CCZ_E_LIMIT,
                    "paillier:overflow");
            continue;
        }
        CCZ_AUTO(ccz_paillier_plain) d = NULL;
        CHECK(ccz_paillier_decrypt(&d, test_key(), c, NULL, NULL) == CCZ_OK);
        CHECK(memcmp(d->w, p->w, 4 * 8 * pub->words) == 0);
    }
    CCZ_AUTO(ccz_paillier_key) other = NULL;
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&other, &cfg, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_vec) c = vec_of((const int64_t[1]){1}, 1, 1);
    REFUSED(ccz_paillier_decrypt(&none, other, c, NULL, &err_), CCZ_E_MISMATCH, "paillier:key");
}

static void expect_fault(const struct ccz_paillier_key *k, const struct ccz_paillier_vec *c)
{
    struct ccz_paillier_plain *p;
    REFUSED(ccz_paillier_decrypt(&p, k, c, NULL, &err_), CCZ_E_INTERNAL, "paillier:fault");
    CHECK(p == NULL);
}

/* One kind of error for each check, which the others do not see. */
static void test_fault(void)
{
    struct ccz_paillier_key *k = test_key();
    const int64_t v[9] = {-1, 2, -3, 4, -5, 6, 7, 8, 9};
    int64_t back[9];
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 9, 4);
    CCZ_AUTO(ccz_paillier_vec) one = vec_of(v, 1, 4);
    k->q.coef[0] ^= 1; /* all results of this half are wrong by the same factor */
    expect_fault(k, c);
    expect_fault(k, one);
    k->q.coef[0] ^= 1;

    /* Wrong reduction of the last product of one half: not the same for all items. */
    CCZ_AUTO(ccz_mont) wrong = NULL;
    uint8_t other[P_SIZE];
    memcpy(other, k->q_bytes, P_SIZE);
    other[P_SIZE / 2] ^= 1;
    CHECK(ccz_mont_new(&wrong, CCZ_SPAN(other, P_SIZE), NULL) == CCZ_OK);
    struct ccz_mont *right = k->q.prime;
    k->q.prime = wrong;
    expect_fault(k, c);
    k->q.prime = right;

    open_i64(back, c);
    CHECK(memcmp(v, back, sizeof(v)) == 0);
    uint8_t p[C_SIZE] = {0}; /* not a unit: its plain number would be a multiple of p */
    memcpy(p + C_SIZE - P_SIZE, k->p_bytes, P_SIZE);
    CHECK(ccz_mont_from_bytes(k->pub->m, c->w + 3 * k->pub->len, p, C_SIZE, 1) == CCZ_OK);
    CHECK(ccz_mont_from_bytes(k->pub->m, one->w, p, C_SIZE, 1) == CCZ_OK);
    expect_fault(k, c);
    expect_fault(k, one);
}

static void test_blinding(void)
{
    struct ccz_paillier_key *k = test_key();
    const int64_t v = -77;
    int64_t back;
    uint64_t last[CCZ_MONT_LEN_MAX];
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(&v, 1, 8);
    for (int i = 0; i < 2 * CCZI_PAI_BLIND_USES; i++) {
        memcpy(last, k->blind, 8 * k->pub->len);
        open_i64(&back, c);
        CHECK(back == v && memcmp(last, k->blind, 8 * k->pub->len) != 0);
    }
}

/* ------------------------------------------------------------------------------ operations */

static void test_add(void)
{
    const int64_t a[3] = {100, -100, 7}, b[3] = {-1, -1000, 8}, one = 50;
    int64_t r[3];
    CCZ_AUTO(ccz_paillier_vec) x = vec_of(a, 3, 7);
    CCZ_AUTO(ccz_paillier_vec) y = vec_of(b, 3, 10);
    CCZ_AUTO(ccz_paillier_vec) z = vec_of(&one, 1, 6);
    CHECK(ccz_paillier_add(x, y, NULL) == CCZ_OK && ccz_paillier_vec_randomised(x));
    CHECK(fabs(ccz_paillier_vec_bound(x) - log2(128 + 1024)) < 1e-9);
    open_i64(r, x);
    CHECK(r[0] == 99 && r[1] == -1100 && r[2] == 15 && item_is(x, 1, -1100));
    CHECK(ccz_paillier_add(x, z, NULL) == CCZ_OK);
    open_i64(r, x);
    CHECK(r[0] == 149 && r[1] == -1050 && r[2] == 65);
    CHECK(ccz_paillier_sub(x, y, NULL) == CCZ_OK && ccz_paillier_sub(x, z, NULL) == CCZ_OK);
    open_i64(r, x);
    CHECK(memcmp(r, a, sizeof(a)) == 0);
    CHECK(ccz_paillier_neg(x, NULL) == CCZ_OK && item_is(x, 0, -100) && item_is(x, 2, -7));
    CHECK(ccz_paillier_vec_randomised(x));
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(b, 3, 10);
    CHECK(ccz_paillier_add_plain(x, p, NULL) == CCZ_OK && !ccz_paillier_vec_randomised(x));
    CHECK(item_is(x, 0, -101) && item_is(x, 1, -900));
    CHECK(ccz_paillier_add(z, x, NULL) == CCZ_E_MISMATCH);
}

static void test_add_refused(void)
{
    const int64_t v[3] = {1, 2, 3};
    CCZ_AUTO(ccz_paillier_vec) x = vec_of(v, 3, 7);
    CCZ_AUTO(ccz_paillier_vec) two = vec_of(v, 2, 7);
    CCZ_AUTO(ccz_paillier_vec) low = vec_of(v, 3, 7);
    CCZ_AUTO(ccz_paillier_vec) high = vec_of(v, 3, 7);
    CCZ_AUTO(ccz_paillier_vec) slots = vec_of(v, 3, 7);
    CCZ_AUTO(ccz_paillier_vec) packed = NULL;
    CCZ_AUTO(ccz_paillier_key) key = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) alien = NULL;
    uint8_t before[3 * C_SIZE], after[3 * C_SIZE];
    items_of(before, x);
    REFUSED(ccz_paillier_add(x, two, &err_), CCZ_E_MISMATCH, "paillier:len");
    CHECK(ccz_paillier_rescale(low, -1, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_add(x, low, &err_), CCZ_E_MISMATCH, "paillier:exponent");
    REFUSED(ccz_paillier_sub(x, low, &err_), CCZ_E_MISMATCH, "paillier:exponent");
    const struct ccz_paillier_packing pack = {.slot_bits = 10};
    CHECK(ccz_paillier_squeeze(&packed, slots, pack, 1, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_add(x, packed, &err_), CCZ_E_MISMATCH, "paillier:packing");
    CHECK(ccz_paillier_shift(high, BITS - 12, NULL) == CCZ_OK);
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < 20; i++)
        rc = ccz_paillier_add(high, high, NULL);
    CHECK(ccz_paillier_vec_bound(high) > BITS - 4);
    REFUSED(ccz_paillier_add(high, high, &err_), CCZ_E_LIMIT, "paillier:overflow");
    REFUSED(ccz_paillier_shift(high, 2, &err_), CCZ_E_LIMIT, "paillier:overflow");
    REFUSED(ccz_paillier_shift(x, BITS + 1, &err_), CCZ_E_ARG, "paillier:bits");
    REFUSED(ccz_paillier_rescale(x, 1, &err_), CCZ_E_ARG, "paillier:exponent");
    REFUSED(ccz_paillier_rescale(x, -255, &err_), CCZ_E_LIMIT, "paillier:overflow");
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&key, &cfg, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    CHECK(ccz_paillier_plain_i64(&p, pub, v, 3, 7, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&alien, p, NULL, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_add(x, alien, &err_), CCZ_E_MISMATCH, "paillier:key");
    REFUSED(ccz_paillier_add_plain(x, p, &err_), CCZ_E_MISMATCH, "paillier:key");
    REFUSED(ccz_paillier_mul_plain(x, p, &err_), CCZ_E_MISMATCH, "paillier:key");
    items_of(after, x);
    CHECK(memcmp(before, after, sizeof(before)) == 0);
}

static void test_mul(void)
{
    static const unsigned bits[] = {1, 3, 8, 31, 53, 63};
    struct test_rng rng = {.state = 5};
    for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++) {
        for (size_t len = 1; len <= 70; len = len < 9 ? len + 1 : 2 * len + 1) {
            int64_t v[70], k[70];
            for (size_t i = 0; i < len; i++) {
                v[i] = (int64_t)(test_word(&rng) % 2001) - 1000;
                k[i] = (int64_t)(test_word(&rng) >> (64 - bits[b]));
                k[i] = i % 5 == 4 ? 0 : i % 2 ? -k[i] : k[i];
            }
            CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, len, 10);
            CCZ_AUTO(ccz_paillier_plain) p = plain_of(k, len, bits[b]);
            CHECK(ccz_paillier_mul_plain(c, p, NULL) == CCZ_OK);
            CHECK(!ccz_paillier_vec_randomised(c));
            CHECK(fabs(ccz_paillier_vec_bound(c) - 10 - bits[b]) < 1e-9);
            CCZ_AUTO(ccz_paillier_plain) d = NULL;
            CHECK(ccz_paillier_decrypt(&d, test_key(), c, NULL, NULL) == CCZ_OK);
            for (size_t i = 0; i < len; i++) {
                __extension__ const __int128 want = (__int128)v[i] * k[i];
                const uint64_t *w = d->w + i * d->pub->words;
                CHECK(w[0] == (uint64_t)want && w[1] == (uint64_t)(want >> 64));
            }
        }
    }
}

static void test_mul_kinds(void)
{
    const int64_t v[3] = {3, -4, 5}, k = -7;
    const double x = -0.75;
    double back[3];
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 3, 4);
    CCZ_AUTO(ccz_paillier_plain) one = plain_of(&k, 1, 3);
    CCZ_AUTO(ccz_paillier_plain) two = plain_of(v, 2, 3);
    CCZ_AUTO(ccz_paillier_plain) wide = NULL;
    CCZ_AUTO(ccz_paillier_plain) real = NULL;
    CCZ_AUTO(ccz_paillier_plain) packed = NULL;
    CCZ_AUTO(ccz_paillier_plain) d = NULL;
    CHECK(ccz_paillier_mul_plain(c, one, NULL) == CCZ_OK); /* one for all */
    CHECK(item_is(c, 0, -21) && item_is(c, 1, 28) && item_is(c, 2, -35));
    CHECK(ccz_paillier_plain_f64(&real, test_pub(), &x, 1, (struct ccz_paillier_format){-3, 20},
                                 NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_mul_plain(c, real, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_exponent(c) == -3);
    CHECK(ccz_paillier_rescale(c, -5, NULL) == CCZ_OK && ccz_paillier_vec_exponent(c) == -5);
    CHECK(ccz_paillier_decrypt(&d, test_key(), c, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_f64(back, d, NULL) == CCZ_OK);
    CHECK(back[0] == 15.75 && back[1] == -21 && back[2] == 26.25);
    int64_t ints[3];
    REFUSED(ccz_paillier_plain_to_i64(ints, d, &err_), CCZ_E_ARG, "paillier:exponent");
    REFUSED(ccz_paillier_mul_plain(c, two, &err_), CCZ_E_MISMATCH, "paillier:len");
    const struct ccz_paillier_packing pack = {.slot_bits = 8};
    CHECK(ccz_paillier_plain_i64(&packed, test_pub(), v, 3, 4, &pack, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_mul_plain(c, packed, &err_), CCZ_E_MISMATCH, "paillier:packing");
    CHECK(ccz_paillier_plain_f64(&wide, test_pub(), &x, 1, (struct ccz_paillier_format){0, 1010},
                                 NULL, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_mul_plain(c, wide, &err_), CCZ_E_LIMIT, "paillier:overflow");
    CCZ_AUTO(ccz_paillier_plain) far = NULL;
    CHECK(ccz_paillier_plain_f64(&far, test_pub(), &x, 1, (struct ccz_paillier_format){-1024, 3},
                                 NULL, NULL) == CCZ_E_LIMIT); /* 0.75 * 16^1024 */
    const double tiny = 0;
    CHECK(ccz_paillier_plain_f64(&far, test_pub(), &tiny, 1, (struct ccz_paillier_format){-1024, 3},
                                 NULL, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_mul_plain(c, far, &err_), CCZ_E_LIMIT, "paillier:exponent");
}

static void test_sum_dot(void)
{
    int64_t v[100], k[100], total = 0, dot = 0, got;
    for (int i = 0; i < 100; i++) {
        v[i] = 37 * i - 1000;
        k[i] = (i % 7 - 3) * (i + 1);
        total += v[i];
        dot += v[i] * k[i];
    }
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 100, 12);
    CCZ_AUTO(ccz_paillier_vec) s = NULL;
    CCZ_AUTO(ccz_paillier_vec) d = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(k, 100, 9);
    CHECK(ccz_paillier_sum(&s, c, NULL) == CCZ_OK && ccz_paillier_vec_randomised(s));
    CHECK(fabs(ccz_paillier_vec_bound(s) - 12 - log2(100)) < 1e-9);
    open_i64(&got, s);
    CHECK(got == total);
    CHECK(ccz_paillier_dot(&d, c, p, NULL) == CCZ_OK && !ccz_paillier_vec_randomised(d));
    open_i64(&got, d);
    CHECK(got == dot && item_is(d, 0, dot));
    CCZ_AUTO(ccz_paillier_plain) one = plain_of(k, 1, 9);
    struct ccz_paillier_vec *none;
    REFUSED(ccz_paillier_dot(&none, c, one, &err_), CCZ_E_MISMATCH, "paillier:len");
    CHECK(ccz_paillier_shift(c, BITS - 18, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_sum(&none, c, &err_), CCZ_E_LIMIT, "paillier:overflow");
    REFUSED(ccz_paillier_dot(&none, c, p, &err_), CCZ_E_LIMIT, "paillier:overflow");
}

static void test_matmul(void)
{
    enum { ROWS = 37, COLS = 11 };
    int64_t x[ROWS * COLS], v[COLS], out[ROWS];
    struct test_rng rng = {.state = 6};
    for (unsigned bits = 1; bits <= 40; bits += 13) {
        for (int i = 0; i < ROWS * COLS; i++)
            x[i] = (int64_t)(test_word(&rng) >> (64 - bits)) * (i % 3 ? 1 : -1);
        for (int i = 0; i < COLS; i++)
            v[i] = (int64_t)(test_word(&rng) % 2001) - 1000;
        CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, COLS, 10);
        for (int transposed = 0; transposed < 2; transposed++)
            for (unsigned threads = 0; threads < 3; threads += 2) {
                struct ccz_paillier_matrix m = {
                    .x = x, .rows = ROWS, .cols = COLS, .bits = bits, .exponent = -2};
                m.row_stride = transposed ? 1 : COLS;
                m.col_stride = transposed ? ROWS : 1;
                CCZ_AUTO(ccz_paillier_vec) r = NULL;
                CHECK(ccz_paillier_matmul(&r, c, &m, threads, NULL) == CCZ_OK);
                CHECK(ccz_paillier_vec_exponent(r) == -2 && !ccz_paillier_vec_randomised(r));
                CHECK(fabs(ccz_paillier_vec_bound(r) - 10 - bits - log2(COLS)) < 1e-9);
                CHECK(ccz_paillier_vec_len(r) == ROWS);
                r->exponent = 0;
                open_i64(out, r);
                for (size_t i = 0; i < ROWS; i++) {
                    int64_t want = 0;
                    for (size_t k = 0; k < COLS; k++)
                        want += x[i * m.row_stride + k * m.col_stride] * v[k];
                    CHECK(out[i] == want);
                }
            }
    }
}

static void test_matmul_refused(void)
{
    const int64_t x[4] = {1, 2, 3, -8}, v[2] = {1, 2};
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 2, 10);
    struct ccz_paillier_matrix m = {
        .x = x, .rows = 2, .cols = 2, .row_stride = 2, .col_stride = 1, .bits = 4};
    struct ccz_paillier_vec *none = NULL;
    m.bits = 3;
    REFUSED(ccz_paillier_matmul(&none, c, &m, 1, &err_), CCZ_E_LIMIT, "paillier:range");
    m.bits = 0;
    REFUSED(ccz_paillier_matmul(&none, c, &m, 1, &err_), CCZ_E_ARG, "paillier:bits");
    m.bits = 63;
    REFUSED(ccz_paillier_matmul(&none, c, &m, 1, &err_), CCZ_E_ARG, "paillier:bits");
    m.bits = 4;
    m.exponent = 1025;
    REFUSED(ccz_paillier_matmul(&none, c, &m, 1, &err_), CCZ_E_LIMIT, "paillier:exponent");
    m.exponent = 0;
    m.cols = 1;
    REFUSED(ccz_paillier_matmul(&none, c, &m, 1, &err_), CCZ_E_MISMATCH, "paillier:len");
    m.cols = 2;
    CHECK(ccz_paillier_shift(c, BITS - 15, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_matmul(&none, c, &m, 1, &err_), CCZ_E_LIMIT, "paillier:overflow");
}

/* --------------------------------------------------------------------------------- packing */

static void test_packed(void)
{
    enum { LEN = 100, WIDTH = 30 };
    int64_t a[LEN], b[LEN], r[3 * LEN];
    const struct ccz_paillier_packing pack = {.slot_bits = WIDTH};
    for (int i = 0; i < LEN; i++) {
        a[i] = (i % 2 ? -1 : 1) * (1000 * i + 7);
        b[i] = 50000 - 999 * i;
    }
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_plain) q = NULL;
    CCZ_AUTO(ccz_paillier_vec) x = NULL;
    CCZ_AUTO(ccz_paillier_vec) y = NULL;
    CHECK(ccz_paillier_plain_i64(&p, test_pub(), a, LEN, 20, &pack, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_i64(&q, test_pub(), b, LEN, 20, &pack, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&x, p, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&y, q, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_len(x) == 3 && ccz_paillier_vec_packing(x).slots == 34);
    CHECK(ccz_paillier_sub(x, y, NULL) == CCZ_OK);
    const int64_t k = -200; /* 8 bits of 9 guard bits, of which the difference took one */
    CCZ_AUTO(ccz_paillier_plain) weight = plain_of(&k, 1, 8);
    CHECK(ccz_paillier_mul_plain(x, weight, NULL) == CCZ_OK);
    open_i64(r, x);
    for (int i = 0; i < LEN; i++)
        CHECK(r[i] == k * (a[i] - b[i]));
    CHECK(r[LEN] == 0 && r[101] == 0);
    /* 20 + 1 + 8 of 29 bits are taken: any more is refused, before it is done. */
    REFUSED(ccz_paillier_add(x, y, &err_), CCZ_E_LIMIT, "paillier:overflow");
    REFUSED(ccz_paillier_mul_plain(x, weight, &err_), CCZ_E_LIMIT, "paillier:overflow");
    REFUSED(ccz_paillier_shift(x, 1, &err_), CCZ_E_LIMIT, "paillier:overflow");
}

static void test_squeeze(void)
{
    enum { LEN = 75 };
    int64_t v[LEN], r[3 * LEN];
    for (int i = 0; i < LEN; i++)
        v[i] = (i % 3 - 1) * (int64_t)(((uint64_t)1 << 20) - 1 - (unsigned)i);
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, LEN, 20);
    static const struct ccz_paillier_packing packs[] = {
        {21, 0}, {40, 0}, {33, 1}, {64, 8}, {512, 1}};
    for (size_t k = 0; k < sizeof(packs) / sizeof(packs[0]); k++)
        for (unsigned threads = 1; threads <= 2; threads++) {
            CCZ_AUTO(ccz_paillier_vec) s = NULL;
            CHECK(ccz_paillier_squeeze(&s, c, packs[k], threads, NULL) == CCZ_OK);
            unsigned slots = ccz_paillier_vec_packing(s).slots;
            CHECK(slots == (packs[k].slots ? packs[k].slots : (BITS - 2) / packs[k].slot_bits));
            CHECK(ccz_paillier_vec_len(s) == (LEN + slots - 1) / slots);
            CHECK(ccz_paillier_vec_randomised(s));
            open_i64(r, s);
            CHECK(memcmp(r, v, sizeof(v)) == 0);
            struct ccz_paillier_vec *none;
            REFUSED(ccz_paillier_squeeze(&none, s, packs[k], 1, &err_), CCZ_E_MISMATCH,
                    "paillier:packing");
        }
    struct ccz_paillier_vec *none;
    REFUSED(ccz_paillier_squeeze(&none, c, (struct ccz_paillier_packing){20, 0}, 1, &err_),
            CCZ_E_LIMIT, "paillier:overflow");
    REFUSED(ccz_paillier_squeeze(&none, c, (struct ccz_paillier_packing){40, 26}, 1, &err_),
            CCZ_E_ARG, "paillier:slots");
    REFUSED(ccz_paillier_squeeze(&none, c, (struct ccz_paillier_packing){0, 0}, 1, &err_),
            CCZ_E_ARG, "paillier:slots");
}

/* ----------------------------------------------------------------------- copies, randomness */

static void test_copies(void)
{
    const int64_t v[5] = {10, 20, 30, 40, 50};
    int64_t r[10];
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 5, 8);
    CCZ_AUTO(ccz_paillier_vec) s = NULL;
    CCZ_AUTO(ccz_paillier_vec) g = NULL;
    CCZ_AUTO(ccz_paillier_vec) all = NULL;
    CHECK(ccz_paillier_vec_slice(&s, c, 1, 3, NULL) == CCZ_OK);
    open_i64(r, s);
    CHECK(r[0] == 20 && r[1] == 30 && r[2] == 40);
    const size_t index[4] = {4, 0, 0, 2}, wrong[1] = {5};
    CHECK(ccz_paillier_vec_gather(&g, c, index, 4, NULL) == CCZ_OK);
    open_i64(r, g);
    CHECK(r[0] == 50 && r[1] == 10 && r[2] == 10 && r[3] == 30);
    CHECK(ccz_paillier_shift(g, 3, NULL) == CCZ_OK);
    const struct ccz_paillier_vec *parts[2] = {s, g};
    CHECK(ccz_paillier_vec_concat(&all, parts, 2, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_bound(all) == 11 && ccz_paillier_vec_randomised(all));
    open_i64(r, all);
    CHECK(r[0] == 20 && r[3] == 400 && r[6] == 240 && ccz_paillier_vec_len(all) == 7);
    ccz_paillier_vec_free(all);
    ccz_paillier_vec_taint(g);
    CHECK(ccz_paillier_vec_concat(&all, parts, 2, NULL) == CCZ_OK);
    CHECK(!ccz_paillier_vec_randomised(all));
    struct ccz_paillier_vec *none;
    REFUSED(ccz_paillier_vec_slice(&none, c, 3, 3, &err_), CCZ_E_ARG, "paillier:index");
    REFUSED(ccz_paillier_vec_slice(&none, c, 6, 0, &err_), CCZ_E_ARG, "paillier:index");
    REFUSED(ccz_paillier_vec_slice(&none, c, 1, SIZE_MAX, &err_), CCZ_E_ARG, "paillier:index");
    REFUSED(ccz_paillier_vec_gather(&none, c, wrong, 1, &err_), CCZ_E_ARG, "paillier:index");
    REFUSED(ccz_paillier_vec_concat(&none, parts, 0, &err_), CCZ_E_ARG, "paillier:len");
    CHECK(ccz_paillier_rescale(g, -1, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_vec_concat(&none, parts, 2, &err_), CCZ_E_MISMATCH, "paillier:exponent");
}

static void test_randomness(void)
{
    const int64_t v[3] = {1, -2, 3};
    uint8_t a[3 * C_SIZE], b[3 * C_SIZE];
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, 3, 2);
    CCZ_AUTO(ccz_paillier_vec) t = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 16);
    CHECK(ccz_paillier_encrypt_trivial(&t, p, NULL) == CCZ_OK && !ccz_paillier_vec_randomised(t));
    CHECK(item_is(t, 1, -2));
    REFUSED(ccz_paillier_vec_write(&out, t, &err_), CCZ_E_DENIED, "paillier:not-randomised");
    REFUSED(ccz_paillier_vec_to_json(&out, t, &err_), CCZ_E_DENIED, "paillier:not-randomised");
    CHECK(out.size == 0);
    items_of(a, t);
    CHECK(ccz_paillier_randomise(t, NULL, NULL) == CCZ_OK && ccz_paillier_vec_randomised(t));
    CHECK(ccz_paillier_vec_write(&out, t, NULL) == CCZ_OK);
    items_of(b, t);
    for (size_t i = 0; i < 3; i++)
        CHECK(memcmp(a + i * C_SIZE, b + i * C_SIZE, C_SIZE) != 0 && item_is(t, i, v[i]));
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 3, 2);
    CCZ_AUTO(ccz_paillier_vec) u = NULL;
    CHECK(ccz_paillier_encrypt_trivial(&u, p, NULL) == CCZ_OK);
    CHECK(ccz_paillier_add(c, u, NULL) == CCZ_OK && !ccz_paillier_vec_randomised(c));
    ccz_buf_clear(&out);
    ccz_paillier_vec_taint(t);
    REFUSED(ccz_paillier_vec_write(&out, t, &err_), CCZ_E_DENIED, "paillier:not-randomised");
    /* what is made of it may not leave either */
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    CCZ_AUTO(ccz_paillier_vec) packed = NULL;
    CCZ_AUTO(ccz_paillier_vec) part = NULL;
    CCZ_AUTO(ccz_paillier_vec) some = NULL;
    const size_t index[2] = {2, 0};
    CHECK(ccz_paillier_sum(&sum, t, NULL) == CCZ_OK && !ccz_paillier_vec_randomised(sum));
    CHECK(ccz_paillier_squeeze(&packed, t, (struct ccz_paillier_packing){.slot_bits = 16}, 1,
                               NULL) == CCZ_OK &&
          !ccz_paillier_vec_randomised(packed));
    CHECK(ccz_paillier_vec_slice(&part, t, 0, 2, NULL) == CCZ_OK &&
          !ccz_paillier_vec_randomised(part));
    CHECK(ccz_paillier_vec_gather(&some, t, index, 2, NULL) == CCZ_OK &&
          !ccz_paillier_vec_randomised(some));
}

static void test_pool(void)
{
    const int64_t v[5] = {1, -2, 3, -4, 5};
    int64_t r[5];
    uint8_t a[5 * C_SIZE], b[5 * C_SIZE];
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, 5, 3);
    CCZ_AUTO(ccz_paillier_pool) pool = NULL;
    CCZ_AUTO(ccz_paillier_vec) x = NULL;
    CCZ_AUTO(ccz_paillier_vec) y = NULL;
    CHECK(ccz_paillier_pool_new(&pool, test_pub(), 12, NULL) == CCZ_OK);
    struct ccz_paillier_enc_cfg cfg = {.pool = pool, .pool_only = true};
    struct ccz_paillier_vec *none;
    REFUSED(ccz_paillier_encrypt(&none, p, &cfg, &err_), CCZ_E_UNAVAILABLE, "paillier:pool-empty");
    CHECK(ccz_paillier_pool_refill(pool, 10, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_pool_len(pool) == 10);
    CHECK(ccz_paillier_encrypt(&x, p, &cfg, NULL) == CCZ_OK && ccz_paillier_pool_len(pool) == 5);
    CHECK(ccz_paillier_encrypt(&y, p, &cfg, NULL) == CCZ_OK && ccz_paillier_pool_len(pool) == 0);
    items_of(a, x);
    items_of(b, y);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 5; k++)
            CHECK(memcmp(a + i * C_SIZE, b + k * C_SIZE, C_SIZE) != 0);
    open_i64(r, y);
    CHECK(memcmp(r, v, sizeof(v)) == 0);
    CHECK(ccz_paillier_pool_refill(pool, 1000, &(struct ccz_paillier_enc_cfg){.threads = 2},
                                   NULL) == CCZ_OK);
    CHECK(ccz_paillier_pool_len(pool) == 12);
    cfg.pool_only = false;
    for (int i = 0; i < 4; i++) { /* 20 of 12: the rest is computed */
        CCZ_AUTO(ccz_paillier_vec) z = NULL;
        CHECK(ccz_paillier_encrypt(&z, p, &cfg, NULL) == CCZ_OK);
        open_i64(r, z);
        CHECK(memcmp(r, v, sizeof(v)) == 0);
    }
    CCZ_AUTO(ccz_paillier_key) other = NULL;
    const struct ccz_paillier_keygen_cfg small = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&other, &small, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(other);
    CCZ_AUTO(ccz_paillier_plain) q = NULL;
    CHECK(ccz_paillier_plain_i64(&q, pub, v, 1, 1, NULL, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_encrypt(&none, q, &cfg, &err_), CCZ_E_MISMATCH, "paillier:key");
}

static void test_pool_thread(void)
{
    const int64_t v[5] = {1, -2, 3, -4, 5};
    int64_t r[5];
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, 5, 3);
    CCZ_AUTO(ccz_paillier_pool) pool = NULL;
    CHECK(ccz_paillier_pool_new(&pool, test_pub(), 20, NULL) == CCZ_OK);
    CHECK(ccz_paillier_pool_start(pool, NULL) == CCZ_OK);
    CHECK(ccz_paillier_pool_start(pool, NULL) == CCZ_OK); /* runs already */
    const struct ccz_paillier_enc_cfg cfg = {.pool = pool, .threads = 2};
    for (int i = 0; i < 20; i++) {
        CCZ_AUTO(ccz_paillier_vec) z = NULL;
        CHECK(ccz_paillier_encrypt(&z, p, &cfg, NULL) == CCZ_OK);
        open_i64(r, z);
        CHECK(memcmp(r, v, sizeof(v)) == 0);
    }
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 20000 && ccz_paillier_pool_len(pool) < 20; i++)
        (void)nanosleep(&pause, NULL);
    CHECK(ccz_paillier_pool_len(pool) == 20);
}

/* Sums of groups: by the definition, for each number of threads. */
static void test_sums(void)
{
    enum { LEN = 40, GROUPS = 6, LONG = 700 };
    static uint32_t index[2 + 3 + 2 + LONG + LEN];
    size_t begin[GROUPS + 1] = {2, 2, 5, 5, 7, 7 + LONG, 7 + LONG + LEN}, at = 0;
    int64_t m[LEN], want[GROUPS] = {0}, got[GROUPS];
    static const uint32_t first[] = {39, 39,        /* before the first group: of none */
                                     3,  3,      3, /* one item, three times */
                                     0,  LEN - 1};
    for (; at < sizeof(first) / sizeof(first[0]); at++)
        index[at] = first[at];
    for (size_t i = 0; i < LONG; i++) /* more than are multiplied at a time */
        index[at++] = (uint32_t)(i * 7 % LEN);
    for (size_t i = 0; i < LEN; i++)
        index[at++] = (uint32_t)i;
    for (size_t i = 0; i < LEN; i++)
        m[i] = (int64_t)(i * i * 1000) - 700000;
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t i = begin[g]; i < begin[g + 1]; i++)
            want[g] += m[index[i]];
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_paillier_plain_i64(&p, test_pub(), m, LEN, 40, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&v, p, NULL, NULL) == CCZ_OK);
    for (unsigned threads = 0; threads < 9; threads++) {
        CCZ_AUTO(ccz_paillier_vec) s = NULL;
        CCZ_AUTO(ccz_paillier_plain) q = NULL;
        CHECK(ccz_paillier_sums(&s, v, index, begin, GROUPS, threads, NULL) == CCZ_OK);
        CHECK(ccz_paillier_vec_len(s) == GROUPS);
        CHECK(ccz_paillier_vec_bound(s) >= 49 && ccz_paillier_vec_bound(s) <= 51); /* 700 2^40 */
        CHECK(ccz_paillier_decrypt(&q, test_key(), s, NULL, NULL) == CCZ_OK);
        CHECK(ccz_paillier_plain_to_i64(got, q, NULL) == CCZ_OK);
        CHECK(memcmp(got, want, sizeof(want)) == 0);
        REFUSED(ccz_paillier_vec_write(&b, s, &err_), CCZ_E_DENIED, "paillier:not-randomised");
    }
}

static void test_sums_refused(void)
{
    const int64_t m[3] = {1, 2, 3};
    const uint32_t beyond[] = {0, 3}, good[] = {0, 1};
    const size_t whole[] = {0, 2}, falling[] = {0, 2, 1}, none[] = {1, 1};
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_plain) large = NULL;
    CCZ_AUTO(ccz_paillier_vec) w = NULL;
    CCZ_AUTO(ccz_paillier_vec) s = NULL;
    CHECK(ccz_paillier_plain_i64(&p, test_pub(), m, 3, 8, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&v, p, NULL, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_sums(&s, v, beyond, whole, 1, 1, &err_), CCZ_E_ARG, "paillier:index");
    REFUSED(ccz_paillier_sums(&s, v, good, falling, 2, 1, &err_), CCZ_E_ARG, "paillier:index");
    CHECK(s == NULL);
    CHECK(ccz_paillier_sums(&s, v, good, none, 1, 2, NULL) == CCZ_OK &&
          ccz_paillier_vec_len(s) == 1);
    /* the longest sum must stay below the limit: one item does, two do not */
    CHECK(ccz_paillier_plain_i64(&large, test_pub(), m, 3, 8, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&w, large, NULL, NULL) == CCZ_OK);
    unsigned bits = 1;
    while (ccz_paillier_shift(w, 1, NULL) == CCZ_OK)
        bits++;
    CHECK(bits > BITS / 2);
    ccz_paillier_vec_free(s);
    s = NULL;
    const size_t single[] = {0, 1, 2};
    CHECK(ccz_paillier_sums(&s, w, good, single, 2, 1, NULL) == CCZ_OK);
    ccz_paillier_vec_free(s);
    s = NULL;
    REFUSED(ccz_paillier_sums(&s, w, good, whole, 1, 1, &err_), CCZ_E_LIMIT, "paillier:overflow");
    CHECK(s == NULL);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"paillier.keygen", test_keygen},
        {"paillier.keygen_h", test_keygen_h},
        {"paillier.keygen_sizes", test_keygen_sizes},
        {"paillier.foreign_n", test_foreign_n},
        {"paillier.foreign_h", test_foreign_h},
        {"paillier.encrypt_definition", test_encrypt_definition},
        {"paillier.encrypt", test_encrypt},
        {"paillier.decrypt_edges", test_decrypt_edges},
        {"paillier.fault", test_fault},
        {"paillier.blinding", test_blinding},
        {"paillier.add", test_add},
        {"paillier.add_refused", test_add_refused},
        {"paillier.mul", test_mul},
        {"paillier.mul_kinds", test_mul_kinds},
        {"paillier.sum_dot", test_sum_dot},
        {"paillier.sums", test_sums},
        {"paillier.sums_refused", test_sums_refused},
        {"paillier.matmul", test_matmul},
        {"paillier.matmul_refused", test_matmul_refused},
        {"paillier.packed", test_packed},
        {"paillier.squeeze", test_squeeze},
        {"paillier.copies", test_copies},
        {"paillier.randomness", test_randomness},
        {"paillier.pool", test_pool},
        {"paillier.pool_thread", test_pool_thread},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
