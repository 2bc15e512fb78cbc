/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAI_TEST_H
#define PAI_TEST_H
/* A key for all tests of a program, and Paillier by definition with OpenSSL's BIGNUM to judge by. */
#include <cczoo/paillier.h>

#include "ccz_test.h"

#include <openssl/bn.h>

enum { BITS = 1024, N_SIZE = BITS / 8, P_SIZE = N_SIZE / 2, C_SIZE = 2 * N_SIZE, HEAD = 12 };

static const struct ccz_paillier_pub_cfg small_ok = {.bits_1024_insecure = true};

#define REFUSED(call, code, step)                                                                  \
    do {                                                                                           \
        struct ccz_err err_ = {0};                                                                 \
        CHECK((call) == (code));                                                                   \
        if (strcmp(err_.where, (step)) != 0)                                                       \
            fprintf(stderr, "refused by %s: %s\n", err_.where, err_.msg);                          \
        CHECK(strcmp(err_.where, (step)) == 0);                                                    \
    } while (0)

static inline struct ccz_paillier_key *test_key(void)
{
    static struct ccz_paillier_key *key;
    struct ccz_err err = {0};
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    if (!key) {
        ccz_rc rc = ccz_paillier_keygen(&key, &cfg, &err);
        if (rc != CCZ_OK)
            fprintf(stderr, "keygen: %s: %s\n", err.where, err.msg);
        CHECK(rc == CCZ_OK);
    }
    return key;
}

/* Borrowed for the life of the program. */
static inline struct ccz_paillier_pub *test_pub(void)
{
    static struct ccz_paillier_pub *pub;
    if (!pub)
        pub = ccz_paillier_key_pub(test_key());
    return pub;
}

/* Numbers that repeat. */
struct test_rng {
    uint64_t state;
    bool fail;
};

static inline uint64_t test_word(struct test_rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline ccz_rc test_fill(void *arg, void *out, size_t size)
{
    struct test_rng *r = arg;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)test_word(r);
    return r->fail ? CCZ_E_INTERNAL : CCZ_OK;
}

/* -------------------------------------------------------------------------- by definition */

struct ref {
    BN_CTX *ctx;
    BIGNUM *n, *n2, *lambda, *mu, *h;
};

static inline BIGNUM *bn_from(const uint8_t *bytes, size_t size)
{
    BIGNUM *b = BN_bin2bn(bytes, (int)size, NULL);
    CHECK(b != NULL);
    return b;
}

static inline const struct ref *test_ref(void)
{
    static struct ref r;
    CCZ_AUTO(ccz_secret) s = NULL;
    if (r.ctx)
        return &r;
    CHECK(ccz_paillier_key_write(&s, test_key()) == CCZ_OK);
    const uint8_t *at = ccz_secret_view(s) + HEAD;
    BIGNUM *p = bn_from(at, P_SIZE), *q = bn_from(at + P_SIZE, P_SIZE);
    r.ctx = BN_CTX_new();
    r.n = BN_new(), r.n2 = BN_new(), r.lambda = BN_new(), r.mu = BN_new();
    r.h = bn_from(at + 2 * P_SIZE, N_SIZE);
    CHECK(BN_mul(r.n, p, q, r.ctx) && BN_sqr(r.n2, r.n, r.ctx));
    CHECK(BN_sub_word(p, 1) && BN_sub_word(q, 1) && BN_mul(r.lambda, p, q, r.ctx));
    CHECK(BN_mod_inverse(r.mu, r.lambda, r.n, r.ctx) != NULL);
    BN_free(p), BN_free(q);
    return &r;
}

/* m = L(c^phi mod n^2) / phi mod n, 0 <= m < n */
static inline BIGNUM *ref_decrypt(const uint8_t *c)
{
    const struct ref *r = test_ref();
    BIGNUM *x = bn_from(c, C_SIZE), *rest = BN_new();
    CHECK(BN_mod_exp(x, x, r->lambda, r->n2, r->ctx) && BN_sub_word(x, 1));
    CHECK(BN_div(x, rest, x, r->n, r->ctx) && BN_is_zero(rest));
    CHECK(BN_mod_mul(x, x, r->mu, r->n, r->ctx));
    BN_free(rest);
    return x;
}

/* The items of a vec as bytes. */
static inline void items_of(uint8_t *c, const struct ccz_paillier_vec *v)
{
    CCZ_AUTO_BUF b;
    size_t len = ccz_paillier_vec_len(v);
    ccz_buf_init(&b, 1 << 24);
    CHECK(ccz_paillier_vec_write_insecure(&b, v, NULL) == CCZ_OK);
    CHECK(b.size == ccz_paillier_vec_size(test_pub(), len));
    memcpy(c, b.ptr + b.size - len * C_SIZE, len * C_SIZE);
}

/* Item @p i of v is an encryption of m by definition. */
static inline bool item_is(const struct ccz_paillier_vec *v, size_t i, int64_t m)
{
    static uint8_t c[1024 * C_SIZE];
    CHECK(ccz_paillier_vec_len(v) <= 1024);
    items_of(c, v);
    BIGNUM *x = ref_decrypt(c + i * C_SIZE), *y = BN_new();
    CHECK(BN_set_word(y, m < 0 ? 0 - (BN_ULONG)m : (BN_ULONG)m));
    if (m < 0)
        CHECK(BN_sub(y, test_ref()->n, y));
    bool same = BN_cmp(x, y) == 0;
    BN_free(x), BN_free(y);
    return same;
}

/* ------------------------------------------------------------------------------ shortcuts */

static inline struct ccz_paillier_plain *plain_of(const int64_t *v, size_t len, unsigned bits)
{
    struct ccz_paillier_plain *p;
    CHECK(ccz_paillier_plain_i64(&p, test_pub(), v, len, bits, NULL, NULL) == CCZ_OK);
    return p;
}

static inline struct ccz_paillier_vec *vec_of(const int64_t *v, size_t len, unsigned bits)
{
    CCZ_AUTO(ccz_paillier_plain) p = plain_of(v, len, bits);
    struct ccz_paillier_vec *c;
    CHECK(ccz_paillier_encrypt(&c, p, NULL, NULL) == CCZ_OK);
    return c;
}

/* Decrypts to integers, as many as there are values. */
static inline void open_i64(int64_t *out, const struct ccz_paillier_vec *v)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_paillier_decrypt(&p, test_key(), v, NULL, &err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_to_i64(out, p, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "decrypt: %s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
}
#endif
