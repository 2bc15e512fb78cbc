/* SPDX-License-Identifier: Apache-2.0 */
/* One whole use with the k-th allocation failing, for every k: nothing leaks (with sanitizers), nothing wrong comes out. */
#define _DEFAULT_SOURCE
#include "nomem.h"
#include "pai_test.h"

enum { LEN = 3 };

struct use {
    struct ccz_paillier_vec *v, *w, *sum, *packed, *read;
    struct ccz_paillier_plain *p, *opened;
    struct ccz_paillier_pool *pool;
    struct ccz_buf out;
};

static void use_free(struct use *u)
{
    ccz_paillier_vec_free(u->v);
    ccz_paillier_vec_free(u->w);
    ccz_paillier_vec_free(u->sum);
    ccz_paillier_vec_free(u->packed);
    ccz_paillier_vec_free(u->read);
    ccz_paillier_plain_free(u->p);
    ccz_paillier_plain_free(u->opened);
    ccz_paillier_pool_free(u->pool);
    ccz_buf_free(&u->out);
}

/* Arithmetic: the result is 5 (v k + v) for each v, packed. */
static ccz_rc compute(struct use *u, struct ccz_err *err)
{
    static const int64_t v[LEN] = {1, -2, 3}, x[1] = {5};
    const struct ccz_paillier_packing pack = {.slot_bits = 40};
    const struct ccz_paillier_matrix five = {
        .x = x, .rows = 1, .cols = 1, .row_stride = 7, .col_stride = 1, .bits = 3};
    struct ccz_paillier_enc_cfg cfg = {0};
    ccz_rc rc = ccz_paillier_plain_i64(&u->p, test_pub(), v, LEN, 3, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_pool_new(&u->pool, test_pub(), 4, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_pool_refill(u->pool, 2, NULL, err);
    cfg.pool = u->pool;
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&u->v, u->p, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_mul_plain(u->v, u->p, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_add_plain(u->v, u->p, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_slice(&u->w, u->v, 1, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_sub(u->v, u->w, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_matmul(&u->sum, u->w, &five, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_squeeze(&u->packed, u->v, pack, 1, err);
    return rc == CCZ_OK ? ccz_paillier_randomise(u->packed, NULL, err) : rc;
}

/* Out and in again, binary and JSON. */
static ccz_rc travel(struct use *u, int64_t *values, struct ccz_err *err)
{
    ccz_buf_init(&u->out, 1 << 16);
    ccz_rc rc = ccz_paillier_vec_write(&u->out, u->packed, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_read(&u->read, test_pub(), ccz_buf_span(&u->out), 9, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_decrypt(&u->opened, test_key(), u->read, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_to_i64(values, u->opened, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_randomise(u->sum, NULL, err);
    ccz_buf_clear(&u->out);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_to_json(&u->out, u->sum, err);
    ccz_paillier_vec_free(u->read);
    u->read = NULL;
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_from_json(&u->read, test_pub(), ccz_buf_span(&u->out), 20, 1, err);
    return rc;
}

static bool no_memory(ccz_rc rc, const struct ccz_err *err)
{
    /* OpenSSL does not say why a call failed, and a buffer that cannot grow is full. */
    return rc == CCZ_E_NOMEM || rc == CCZ_E_INTERNAL ||
           (rc == CCZ_E_LIMIT && strcmp(err->where, "paillier:buffer") == 0);
}

static void test_nomem(void)
{
    static const int64_t want[LEN] = {2 - 2, 0, 12 - 2};
    (void)test_key();
    CHECK(ccz_paillier_prepare(test_pub(), NULL) == CCZ_OK);
    bool failed = true;
    long k = -1; /* first without a failure: OpenSSL sets itself up */
    for (; failed || k == 0; k++) {
        struct use u = {0};
        struct ccz_err err = {0};
        int64_t values[32] = {0};
        nomem_left = k;
        ccz_rc rc = compute(&u, &err);
        if (rc == CCZ_OK)
            rc = travel(&u, values, &err);
        failed = k < 0 || nomem_left < 0;
        nomem_left = -1;
        CHECK(rc == CCZ_OK ? memcmp(values, want, sizeof(want)) == 0 : no_memory(rc, &err));
        CHECK(rc == CCZ_OK || (failed && k >= 0));
        use_free(&u);
    }
    CHECK(k > 50);
}

/* Reading a key: most allocations are those of OpenSSL's tests of primes. */
static void test_nomem_key(void)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_paillier_key_write(&s, test_key()) == CCZ_OK);
    bool failed = true;
    long k = -1;
    for (; failed || k == 0; k += k < 100 ? 1 : 23) {
        CCZ_AUTO(ccz_paillier_key) key = NULL;
        struct ccz_err err = {0};
        nomem_left = k;
        ccz_rc rc = ccz_paillier_key_read(&key, s, &small_ok, &err);
        failed = k < 0 || nomem_left < 0;
        nomem_left = -1;
        /* a test of primes that cannot be done counts as not passed */
        CHECK(rc == CCZ_OK || no_memory(rc, &err) || strcmp(err.where, "bignum:not-prime") == 0);
        CHECK((rc == CCZ_OK) == (key != NULL));
    }
    CHECK(k > 50);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"paillier.nomem", test_nomem},
                                            {"paillier.nomem_key", test_nomem_key}};
    if (!nomem_openssl())
        return 1;
    return ccz_test_main(tests, 2, argc, argv);
}
