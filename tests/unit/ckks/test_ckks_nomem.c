/* SPDX-License-Identifier: Apache-2.0 */
/* One whole use with the k-th allocation failing, for every k: nothing leaks (with sanitizers), nothing wrong comes out. */
#define _DEFAULT_SOURCE
#include <cczoo/ckks.h>

#include "ccz_test.h"
#include "nomem.h"

struct world {
    struct ccz_ckks *c;
    struct ccz_ckks_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois;
    struct ccz_ckks_pt *pt;
    struct ccz_ckks_ct *a, *b, *c3;
    struct ccz_buf buf;
};

static void world_free(struct world *w)
{
    ccz_buf_free(&w->buf);
    ccz_ckks_ct_free(w->a);
    ccz_ckks_ct_free(w->b);
    ccz_ckks_ct_free(w->c3);
    ccz_ckks_pt_free(w->pt);
    ccz_rlwe_galois_set_free(w->galois);
    ccz_rlwe_swk_free(w->relin);
    ccz_rlwe_pk_free(w->pk);
    ccz_rlwe_sk_free(w->sk);
    ccz_ckks_eval_free(w->e);
    ccz_ckks_free(w->c);
}

#define STEP(call)                                                                                 \
    if (rc == CCZ_OK)                                                                              \
    rc = (call)

static ccz_rc setup(struct world *w, struct ccz_err *err)
{
    static const int64_t steps[] = {1, 2};
    const struct ccz_ckks_cfg cfg = {.ring = {.n = 1024,
                                              .data_len = 3,
                                              .special_len = 2,
                                              .bits = {45, 40, 40, 45, 45},
                                              .security_insecure = true}};
    ccz_rc rc = ccz_ckks_new(&w->c, &cfg, err);
    STEP(ccz_ckks_eval_new(&w->e, w->c, NULL, err));
    STEP(ccz_rlwe_sk_new(&w->sk, ccz_ckks_eval_work(w->e), err));
    STEP(ccz_rlwe_pk_new(&w->pk, ccz_ckks_eval_work(w->e), w->sk, err));
    STEP(ccz_rlwe_relin_new(&w->relin, ccz_ckks_eval_work(w->e), w->sk, err));
    STEP(ccz_ckks_galois_new(&w->galois, w->e, w->sk, steps, 2, false, err));
    STEP(ccz_ckks_pt_new(&w->pt, w->c, err));
    STEP(ccz_ckks_ct_new(&w->a, w->c, err));
    STEP(ccz_ckks_ct_new(&w->b, w->c, err));
    STEP(ccz_ckks_ct_new(&w->c3, w->c, err));
    return rc;
}

static ccz_rc use(struct world *w, struct ccz_err *err)
{
    static const double x[4] = {0.5, -0.25, 1, 0};
    static const int64_t steps[] = {2, 1};
    struct ccz_ckks_ct *outs[] = {w->b, w->c3};
    double got[4] = {0};
    ccz_buf_clear(&w->buf);
    ccz_rc rc = ccz_ckks_encode(w->pt, w->e, x, 4, 0x1p40, 0, err);
    STEP(ccz_ckks_encrypt_sk(w->a, w->e, w->sk, w->pt, 0, err));
    STEP(ccz_ckks_encrypt_pk(w->b, w->e, w->pk, w->pt, 0, err));
    STEP(ccz_ckks_mul(w->c3, w->e, w->a, w->b, err));
    STEP(ccz_ckks_relin(w->c3, w->e, w->c3, w->relin, err));
    STEP(ccz_ckks_rescale(w->c3, w->e, w->c3, err));
    STEP(ccz_ckks_ct_write(&w->buf, w->c3, err));
    STEP(ccz_ckks_ct_read(w->a, w->e, ccz_buf_span(&w->buf), NULL, err));
    STEP(ccz_ckks_rotate_many(outs, w->e, w->a, steps, 2, w->galois, err));
    STEP(ccz_ckks_inner_sum(w->b, w->e, w->a, 4, w->galois, err));
    STEP(ccz_ckks_decrypt(w->pt, w->e, w->sk, w->b, err));
    STEP(ccz_ckks_decode(got, 4, w->e, w->pt, err));
    if (rc == CCZ_OK)
        CHECK(got[0] > 1.3124 && got[0] < 1.3126);
    return rc;
}

/* A matrix of one row, and a cubic. */
static ccz_rc linear_and_poly(struct world *w, struct ccz_err *err)
{
    static const double x[4] = {0.5, -0.25, 1, 0}, row[4] = {1, 2, -0.5, 3};
    static const double cubic[4] = {0.5, 1, 0, -1};
    CCZ_AUTO(ccz_ckks_matrix) m = NULL;
    double got[1] = {0};
    ccz_rc rc = ccz_ckks_encode(w->pt, w->e, x, 4, 0x1p40, 0, err);
    STEP(ccz_ckks_encrypt_sk(w->a, w->e, w->sk, w->pt, 0, err));
    STEP(ccz_ckks_matrix_new(&m, w->e, row, 1, 4, 0x1p40, 3, err));
    STEP(ccz_ckks_matrix_mul(w->b, w->e, m, w->a, w->galois, err));
    STEP(ccz_ckks_decrypt(w->pt, w->e, w->sk, w->b, err));
    STEP(ccz_ckks_decode(got, 1, w->e, w->pt, err));
    if (rc == CCZ_OK)
        CHECK(got[0] > -0.5001 && got[0] < -0.4999);
    STEP(ccz_ckks_poly(w->a, w->e, w->a, CCZ_CKKS_POWERS, cubic, 3, 0, w->relin, err));
    STEP(ccz_ckks_decrypt(w->pt, w->e, w->sk, w->a, err));
    STEP(ccz_ckks_decode(got, 1, w->e, w->pt, err));
    if (rc == CCZ_OK)
        CHECK(got[0] > 0.8749 && got[0] < 0.8751);
    return rc;
}

static ccz_rc reread(struct world *w, struct ccz_err *err)
{
    struct ccz_rlwe_work *work = ccz_ckks_eval_work(w->e);
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CCZ_AUTO(ccz_rlwe_galois_set) set = NULL;
    ccz_buf_clear(&w->buf);
    ccz_rc rc = ccz_rlwe_sk_write(&s, w->sk, err);
    STEP(ccz_rlwe_sk_read(&sk, work, s, err));
    STEP(ccz_rlwe_galois_set_write(&w->buf, w->galois, err));
    STEP(ccz_rlwe_galois_set_read(&set, work, ccz_buf_span(&w->buf), NULL, err));
    return rc;
}

static void test_nomem(void)
{
    struct ccz_err err;
    bool failed = true;
    long k = -1; /* first without a failure: OpenSSL sets itself up */
    for (; failed || k == 0; k++) {
        struct world w = {0};
        ccz_buf_init(&w.buf, 1 << 20);
        nomem_left = k;
        ccz_rc rc = setup(&w, &err);
        STEP(use(&w, &err));
        STEP(linear_and_poly(&w, &err));
        STEP(reread(&w, &err));
        failed = k < 0 || nomem_left < 0;
        nomem_left = -1;
        /* a buffer cannot tell no memory from its limit; OpenSSL does not say why a call failed */
        CHECK(rc == CCZ_OK ||
              ((rc == CCZ_E_NOMEM || rc == CCZ_E_INTERNAL || rc == CCZ_E_LIMIT) && err.rc == rc));
        CHECK(rc == CCZ_OK || (failed && k >= 0));
        world_free(&w);
    }
    CHECK(k > 110);
}

/* Once work space and outputs are warm, no call asks for memory but the list of many rotations. */
static void test_warm(void)
{
    struct world w = {0};
    struct ccz_err err;
    ccz_buf_init(&w.buf, 1 << 20);
    CHECK(setup(&w, &err) == CCZ_OK && use(&w, &err) == CCZ_OK && use(&w, &err) == CCZ_OK);
    ccz_rc rc = CCZ_OK;
    nomem_used = 0;
    STEP(ccz_ckks_encode(w.pt, w.e, (const double[]){0.5}, 1, 0x1p40, 0, &err));
    STEP(ccz_ckks_encrypt_pk(w.a, w.e, w.pk, w.pt, 2, &err));
    STEP(ccz_ckks_encrypt_sk(w.a, w.e, w.sk, w.pt, 2, &err));
    CHECK(rc == CCZ_OK);
    long encryption = nomem_used; /* OpenSSL's generator may ask for some */
    STEP(ccz_ckks_rotate(w.b, w.e, w.a, 1, w.galois, &err));
    STEP(ccz_ckks_add(w.c3, w.e, w.a, w.b, &err));
    STEP(ccz_ckks_mul_scalar(w.c3, w.e, w.c3, 2, 1, &err));
    STEP(ccz_ckks_inner_sum(w.b, w.e, w.a, 4, w.galois, &err));
    STEP(ccz_ckks_relin(w.b, w.e, w.b, w.relin, &err));
    STEP(ccz_ckks_decrypt(w.pt, w.e, w.sk, w.b, &err));
    CHECK(rc == CCZ_OK && nomem_used == encryption);
    STEP(ccz_ckks_encode(w.pt, w.e, (const double[]){0.5}, 1, 0x1p40, 0, &err));
    for (int i = 0; i < 4; i++) { /* polynomials keep their powers' memory */
        static const double c[4] = {0.5, 1, 0.25, -1};
        nomem_used = 0;
        STEP(ccz_ckks_encrypt_sk(w.a, w.e, w.sk, w.pt, 0, &err));
        encryption = nomem_used;
        STEP(ccz_ckks_poly(w.b, w.e, w.a, CCZ_CKKS_POWERS, c, 3, 0, w.relin, &err));
    }
    CHECK(rc == CCZ_OK && nomem_used == encryption);
    world_free(&w);
}

/* A rotation by 0 that finds no memory: the others do not stay behind without their bounds. */
static void test_rotate_many(void)
{
    struct world w = {0};
    struct ccz_err err;
    static const int64_t steps[] = {1, 0};
    ccz_buf_init(&w.buf, 1 << 20);
    CHECK(setup(&w, &err) == CCZ_OK && use(&w, &err) == CCZ_OK);
    CCZ_AUTO(ccz_ckks_ct) fresh = NULL;
    CHECK(ccz_ckks_ct_new(&fresh, w.c, NULL) == CCZ_OK);
    struct ccz_ckks_ct *outs[] = {w.b, fresh};
    nomem_left = 2; /* behind the two lists of the plan */
    ccz_rc rc = ccz_ckks_rotate_many(outs, w.e, w.a, steps, 2, w.galois, &err);
    nomem_left = -1;
    CHECK(rc == CCZ_E_NOMEM && w.b->ct.parts == 0 && fresh->ct.parts == 0);
    CHECK(ccz_ckks_rotate_many(outs, w.e, w.a, steps, 2, w.galois, &err) == CCZ_OK);
    world_free(&w);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"ckks.nomem", test_nomem},
                                            {"ckks.warm", test_warm},
                                            {"ckks.nomem_rotations", test_rotate_many}};
    if (!nomem_openssl())
        return 1;
    return ccz_test_main(tests, 3, argc, argv);
}
