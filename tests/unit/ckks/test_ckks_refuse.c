/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that do not go together, and what is written and read: each refusal with its reason. */
#include "ops.h"

#define OK(call) CHECK((call) == CCZ_OK)

static void test_context(void)
{
    struct ops o, other;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    ops_init(&other, 2, 1);
    const struct ccz_ckks_ct *list[] = {other.cx};
    const struct ccz_ckks_pt *plain[] = {other.px};
    const struct ccz_ckks_ct *own[] = {o.cx};
    struct ccz_ckks_ct *outs[] = {other.out};
    const int64_t step = 1;
    const double w = 1;
#define REFUSED(call) CHECK(ops_refused((call), CCZ_E_MISMATCH, &err, "ckks:context"))
    REFUSED(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, other.px, 0, &err));
    REFUSED(ccz_ckks_encrypt_pk(other.out, o.e, o.pk, o.px, 0, &err));
    REFUSED(ccz_ckks_decrypt(o.pt, o.e, o.sk, other.cx, &err));
    REFUSED(ccz_ckks_decrypt(other.pt, o.e, o.sk, o.cx, &err));
    REFUSED(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, other.cx, 10, &err));
    REFUSED(ccz_ckks_pt_expand(other.px, o.e, 1, &err));
    REFUSED(ccz_ckks_add(o.out, o.e, o.cx, other.cx, &err));
    REFUSED(ccz_ckks_add(o.out, o.e, other.cx, o.cx, &err));
    REFUSED(ccz_ckks_add(other.out, o.e, o.cx, o.cx, &err));
    REFUSED(ccz_ckks_neg(o.out, o.e, other.cx, &err));
    REFUSED(ccz_ckks_add_plain(o.out, o.e, o.cx, other.px, &err));
    REFUSED(ccz_ckks_mul_plain(o.out, o.e, o.cx, other.px, &err));
    REFUSED(ccz_ckks_add_scalar(o.out, o.e, other.cx, 1, &err));
    REFUSED(ccz_ckks_mul_scalar(o.out, o.e, other.cx, 1, 1, &err));
    REFUSED(ccz_ckks_dot_scalar(o.out, o.e, list, &w, 1, 1, &err));
    REFUSED(ccz_ckks_dot_plain(o.out, o.e, own, plain, 1, &err));
    REFUSED(ccz_ckks_dot(o.out, o.e, own, list, 1, &err));
    REFUSED(ccz_ckks_mul(o.out, o.e, o.cx, other.cx, &err));
    REFUSED(ccz_ckks_relin(other.out, o.e, o.cx, o.relin, &err));
    REFUSED(ccz_ckks_relin(o.out, o.e, other.cx, o.relin, &err));
    REFUSED(ccz_ckks_relin_rescale(other.out, o.e, o.cx, o.relin, &err));
    REFUSED(ccz_ckks_relin_rescale(o.out, o.e, other.cx, o.relin, &err));
    REFUSED(ccz_ckks_rescale(other.out, o.e, o.cx, &err));
    REFUSED(ccz_ckks_rescale(o.out, o.e, other.cx, &err));
    REFUSED(ccz_ckks_drop(o.out, o.e, other.cx, 1, &err));
    REFUSED(ccz_ckks_match(o.out, o.e, other.cx, 1, SCALE, &err));
    REFUSED(ccz_ckks_rotate(other.out, o.e, o.cx, 1, o.galois, &err));
    REFUSED(ccz_ckks_rotate(o.out, o.e, other.cx, 1, o.galois, &err));
    REFUSED(ccz_ckks_conjugate(o.out, o.e, other.cx, o.galois, &err));
    REFUSED(ccz_ckks_rotate_many(outs, o.e, o.cx, &step, 1, o.galois, &err));
    REFUSED(ccz_ckks_inner_sum(o.out, o.e, other.cx, 2, o.galois, &err));
    REFUSED(ccz_ckks_ct_read(other.out, o.e, (struct ccz_span){0}, NULL, &err));
#undef REFUSED
    CHECK(ccz_ckks_copy(o.out, other.cx) == CCZ_E_MISMATCH);
    CHECK(o.out->ct.parts == 0);
    ops_deinit(&o);
    ops_deinit(&other);
}

static void test_level_scale(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    OK(ccz_ckks_drop(o.out, o.e, o.cy, 3, NULL));
    struct ccz_ckks_ct *r;
    OK(ccz_ckks_ct_new(&r, o.c, NULL));
    CHECK(ops_refused(ccz_ckks_add(r, o.e, o.cx, o.out, &err), CCZ_E_ARG, &err, "ckks:level"));
    CHECK(strstr(err.hint, "ccz_ckks_drop"));
    CHECK(ops_refused(ccz_ckks_sub(r, o.e, o.out, o.cx, &err), CCZ_E_ARG, &err, "ckks:level"));
    CHECK(ops_refused(ccz_ckks_mul(r, o.e, o.cx, o.out, &err), CCZ_E_ARG, &err, "ckks:level"));
    /* scales off by a little more than 2^-20, and a little less */
    OK(ccz_ckks_copy(o.out, o.cy));
    static const double off[] = {1 + 0x1.1p-20, 1 - 0x1.1p-20, 2,
                                 0.5,           1 + 0x1.ep-21, 1 - 0x1.ep-21};
    for (size_t i = 0; i < 6; i++) {
        o.out->scale = SCALE * off[i];
        ccz_rc rc = ccz_ckks_add(r, o.e, o.cx, o.out, &err);
        CHECK(i < 4 ? ops_refused(rc, CCZ_E_ARG, &err, "ckks:scale") : rc == CCZ_OK);
        CHECK(i >= 4 || strstr(err.hint, "ccz_ckks_match"));
        o.py->scale = SCALE * off[i];
        rc = ccz_ckks_sub_plain(r, o.e, o.cx, o.py, &err);
        CHECK(i < 4 ? ops_refused(rc, CCZ_E_ARG, &err, "ckks:scale") : rc == CCZ_OK);
    }
    /* a plaintext for fewer primes */
    OK(ccz_ckks_encode(o.pt, o.e, o.x, SLOTS, SCALE, 3, NULL));
    CHECK(ops_refused(ccz_ckks_add_plain(r, o.e, o.cx, o.pt, &err), CCZ_E_ARG, &err,
                      "ckks:plain-limbs"));
    CHECK(ops_refused(ccz_ckks_mul_plain(r, o.e, o.cx, o.pt, &err), CCZ_E_ARG, &err,
                      "ckks:plain-limbs"));
    o.pt->has_coeff = false;
    CHECK(ops_refused(ccz_ckks_pt_expand(o.pt, o.e, 4, &err), CCZ_E_ARG, &err,
                      "ckks:no-coefficients"));
    CHECK(ops_refused(ccz_ckks_encrypt_sk(r, o.e, o.sk, o.pt, 4, &err), CCZ_E_ARG, &err,
                      "ckks:plain-limbs"));
    static const size_t limbs[] = {0, 5};
    for (size_t i = 0; i < 2; i++) {
        CHECK(ops_refused(ccz_ckks_pt_expand(o.px, o.e, limbs[i], &err), CCZ_E_ARG, &err,
                          "ckks:limbs"));
        CHECK(
            ops_refused(ccz_ckks_drop(r, o.e, o.cx, limbs[i], &err), CCZ_E_ARG, &err, "rlwe:drop"));
    }
    CHECK(ops_refused(ccz_ckks_encrypt_pk(r, o.e, o.pk, o.px, 5, &err), CCZ_E_ARG, &err,
                      "ckks:limbs"));
    OK(ccz_ckks_drop(o.out, o.e, o.cy, 1, NULL));
    CHECK(ops_refused(ccz_ckks_rescale(r, o.e, o.out, &err), CCZ_E_ARG, &err, "rlwe:last-prime"));
    CHECK(ops_refused(ccz_ckks_relin_rescale(r, o.e, o.out, o.relin, &err), CCZ_E_ARG, &err,
                      "rlwe:last-prime"));
    CHECK(ops_refused(ccz_ckks_match(r, o.e, o.cx, 4, 2 * SCALE, &err), CCZ_E_ARG, &err,
                      "ckks:match"));
    CHECK(ops_refused(ccz_ckks_match(r, o.e, o.cx, 3, SCALE * 0x1p-21, &err), CCZ_E_ARG, &err,
                      "ckks:match"));
    /* what has been dropped is not left in the output of a change of scale that fails later */
    CHECK(ops_refused(ccz_ckks_match(r, o.e, o.cx, 3, SCALE * 0x1p100, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    CHECK(r->ct.parts == 0);
    ccz_ckks_ct_free(r);
    ops_deinit(&o);
}

static void test_operands(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    struct ccz_ckks_ct *r;
    OK(ccz_ckks_ct_new(&r, o.c, NULL));
    /* empty */
    CHECK(ops_refused(ccz_ckks_add(o.out, o.e, o.cx, r, &err), CCZ_E_ARG, &err, "ckks:empty"));
    CHECK(ops_refused(ccz_ckks_neg(o.out, o.e, r, &err), CCZ_E_ARG, &err, "ckks:empty"));
    CHECK(ops_refused(ccz_ckks_rescale(o.out, o.e, r, &err), CCZ_E_ARG, &err, "ckks:empty"));
    CHECK(ops_refused(ccz_ckks_decrypt(o.pt, o.e, o.sk, r, &err), CCZ_E_ARG, &err, "ckks:empty"));
    /* three parts where two are needed */
    OK(ccz_ckks_mul(r, o.e, o.cx, o.cy, NULL));
    const struct ccz_ckks_ct *list[] = {r};
    const double w = 1;
    CHECK(ops_refused(ccz_ckks_mul(o.out, o.e, o.cx, r, &err), CCZ_E_ARG, &err, "ckks:parts"));
    CHECK(ops_refused(ccz_ckks_dot_scalar(o.out, o.e, list, &w, 1, 1, &err), CCZ_E_ARG, &err,
                      "ckks:parts"));
    CHECK(ops_refused(ccz_ckks_rotate(o.out, o.e, r, 1, o.galois, &err), CCZ_E_ARG, &err,
                      "rlwe:parts"));
    /* zero: a product would be transparent */
    const double zeros[SLOTS] = {0}, tiny = 0.4;
    OK(ccz_ckks_encode(o.pt, o.e, zeros, SLOTS, SCALE, 4, NULL));
    const struct ccz_ckks_ct *own[] = {o.cx};
    const struct ccz_ckks_pt *plain[] = {o.pt};
    CHECK(ops_refused(ccz_ckks_mul_plain(o.out, o.e, o.cx, o.pt, &err), CCZ_E_ARG, &err,
                      "ckks:zero"));
    CHECK(ops_refused(ccz_ckks_mul_scalar(o.out, o.e, o.cx, 0.4, 1, &err), CCZ_E_ARG, &err,
                      "ckks:zero"));
    CHECK(ops_refused(ccz_ckks_dot_scalar(o.out, o.e, own, &tiny, 1, 1, &err), CCZ_E_ARG, &err,
                      "ckks:zero"));
    CHECK(ops_refused(ccz_ckks_dot_plain(o.out, o.e, own, plain, 1, &err), CCZ_E_ARG, &err,
                      "ckks:zero"));
    /* numbers that are none */
    static const double bad[] = {(double)NAN, (double)INFINITY};
    for (size_t i = 0; i < 2; i++) {
        CHECK(ops_refused(ccz_ckks_add_scalar(o.out, o.e, o.cx, bad[i], &err), CCZ_E_ARG, &err,
                          "ckks:value"));
        CHECK(ops_refused(ccz_ckks_mul_scalar(o.out, o.e, o.cx, bad[i], 1, &err), CCZ_E_ARG, &err,
                          "ckks:value"));
        CHECK(ops_refused(ccz_ckks_dot_scalar(o.out, o.e, own, &bad[i], 1, 1, &err), CCZ_E_ARG,
                          &err, "ckks:value"));
    }
    /* sums: number of terms, output among the inputs */
    CHECK(ops_refused(ccz_ckks_dot_scalar(o.out, o.e, own, &w, 0, 1, &err), CCZ_E_ARG, &err,
                      "ckks:terms"));
    CHECK(ops_refused(ccz_ckks_dot(o.out, o.e, own, own, 0, &err), CCZ_E_ARG, &err, "ckks:terms"));
    CHECK(ops_refused(ccz_ckks_dot_scalar(o.cx, o.e, own, &w, 1, 1, &err), CCZ_E_ARG, &err,
                      "ckks:in-place"));
    CHECK(
        ops_refused(ccz_ckks_dot(o.cx, o.e, own, own, 1, &err), CCZ_E_ARG, &err, "ckks:in-place"));
    struct ccz_ckks_ct *outs[] = {o.cx};
    const int64_t step = 1;
    CHECK(ops_refused(ccz_ckks_rotate_many(outs, o.e, o.cx, &step, 1, o.galois, &err), CCZ_E_ARG,
                      &err, "ckks:in-place"));
    CHECK(o.cx->ct.parts == 2 && o.out->ct.parts == 0);
    ccz_ckks_ct_free(r);
    ops_deinit(&o);
}

static void test_overflow(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    const struct ccz_ckks_ct *list[] = {o.cy, o.cy};
    const double w[] = {0x1p44, 0x1p44};
    struct ccz_ckks_ct *low;
    OK(ccz_ckks_ct_new(&low, o.c, NULL));
    OK(ccz_ckks_drop(low, o.e, o.cy, 1, NULL)); /* 45 bits: room for |value| < 16 */
    OK(ccz_ckks_add_scalar(o.out, o.e, low, 14, NULL));
    CHECK(ops_refused(ccz_ckks_add_scalar(o.out, o.e, low, 16, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    CHECK(ops_refused(ccz_ckks_mul_scalar(o.out, o.e, low, 16, 1, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    CHECK(ops_refused(ccz_ckks_mul(o.out, o.e, low, low, &err), CCZ_E_ARG, &err, "ckks:overflow"));
    CHECK(ops_refused(ccz_ckks_mul_plain(o.out, o.e, low, o.px, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    for (size_t i = 0; i < 4; i++) /* 2, 4, 8 times: the last one does not fit */
        CHECK((ccz_ckks_add(low, o.e, low, low, &err) == CCZ_OK) == (i < 3));
    CHECK(strcmp(err.where, "ckks:overflow") == 0 && err.hint[0]);
    OK(ccz_ckks_mul_scalar(o.out, o.e, o.cy, 1, 0x1p44, NULL));
    CHECK(ops_refused(ccz_ckks_drop(o.out, o.e, o.out, 2, &err), CCZ_E_ARG, &err, "ckks:overflow"));
    CHECK(ops_refused(ccz_ckks_dot_scalar(low, o.e, list, w, 2, 0x1p80, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    const struct ccz_ckks_ct *large[] = {o.out};
    OK(ccz_ckks_mul_scalar(o.out, o.e, o.cy, 1, 0x1p60, NULL));
    CHECK(ops_refused(ccz_ckks_dot(low, o.e, large, large, 1, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    OK(ccz_ckks_mul_scalar(o.out, o.e, o.cy, 1, 0x1p121, NULL));
    CHECK(ops_refused(ccz_ckks_inner_sum(low, o.e, o.out, 16, o.galois, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    double big[SLOTS] = {17};
    OK(ccz_ckks_encode(o.pt, o.e, big, SLOTS, SCALE, 0, NULL));
    CHECK(ops_refused(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 1, &err), CCZ_E_ARG, &err,
                      "ckks:overflow"));
    ccz_ckks_ct_free(low);
    ops_deinit(&o);
}

static void test_keys(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    struct ccz_rlwe_work *w = ccz_ckks_eval_work(o.e);
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_swk *relin;
    struct ccz_ckks_ct *r, *under;
    OK(ccz_rlwe_sk_new(&sk, w, NULL));
    OK(ccz_rlwe_relin_new(&relin, w, sk, NULL));
    OK(ccz_ckks_ct_new(&r, o.c, NULL));
    OK(ccz_ckks_ct_new(&under, o.c, NULL));
    OK(ccz_ckks_encrypt_sk(under, o.e, sk, o.px, 0, NULL));
    CHECK(
        ops_refused(ccz_ckks_add(r, o.e, o.cx, under, &err), CCZ_E_MISMATCH, &err, "ckks:key-id"));
    CHECK(
        ops_refused(ccz_ckks_mul(r, o.e, o.cx, under, &err), CCZ_E_MISMATCH, &err, "ckks:key-id"));
    CHECK(ops_refused(ccz_ckks_decrypt(o.pt, o.e, sk, o.cx, &err), CCZ_E_MISMATCH, &err,
                      "rlwe:key-id"));
    CHECK(ops_refused(ccz_ckks_decrypt_shared(o.pt, o.e, sk, o.cx, 5, &err), CCZ_E_MISMATCH, &err,
                      "rlwe:key-id"));
    OK(ccz_ckks_mul(r, o.e, o.cx, o.cy, NULL));
    CHECK(ops_refused(ccz_ckks_relin(r, o.e, r, relin, &err), CCZ_E_MISMATCH, &err, "rlwe:key-id"));
    CHECK(ops_refused(ccz_ckks_relin(r, o.e, r, ccz_rlwe_galois_find(o.galois, 5), &err), CCZ_E_ARG,
                      &err, "rlwe:relin-key"));
    CHECK(ops_refused(ccz_ckks_rotate(r, o.e, under, 1, o.galois, &err), CCZ_E_MISMATCH, &err,
                      "rlwe:key-id"));
    /* rotations that nobody asked for */
    CHECK(ops_refused(ccz_ckks_rotate(r, o.e, o.cx, 3, o.galois, &err), CCZ_E_NOT_FOUND, &err,
                      "ckks:galois-key"));
    CHECK(strstr(err.msg, "by 3"));
    const int64_t steps[] = {1, 7};
    struct ccz_ckks_ct *outs[] = {r, o.out};
    CHECK(ops_refused(ccz_ckks_rotate_many(outs, o.e, o.cx, steps, 2, o.galois, &err),
                      CCZ_E_NOT_FOUND, &err, "ckks:galois-key"));
    CHECK(ops_refused(ccz_ckks_inner_sum(r, o.e, o.cx, 32, o.galois, &err), CCZ_E_NOT_FOUND, &err,
                      "ckks:galois-key"));
    /* a sum that fails at its first rotation leaves nothing of the input behind */
    OK(ccz_ckks_copy(o.out, o.cx));
    CHECK(ops_refused(ccz_ckks_inner_sum(o.out, o.e, under, 4, o.galois, &err), CCZ_E_MISMATCH,
                      &err, "rlwe:key-id"));
    CHECK(o.out->ct.parts == 0);
    static const size_t lens[] = {0, 3, N};
    for (size_t i = 0; i < 3; i++)
        CHECK(ops_refused(ccz_ckks_inner_sum(r, o.e, o.cx, lens[i], o.galois, &err), CCZ_E_ARG,
                          &err, "ckks:inner-sum"));
    struct ccz_rlwe_galois_set *few;
    OK(ccz_ckks_galois_new(&few, o.e, o.sk, steps, 1, false, NULL));
    CHECK(ops_refused(ccz_ckks_conjugate(r, o.e, o.cx, few, &err), CCZ_E_NOT_FOUND, &err,
                      "ckks:galois-key"));
    ccz_rlwe_galois_set_free(few);
    ccz_rlwe_swk_free(relin);
    ccz_rlwe_sk_free(sk);
    ccz_ckks_ct_free(r);
    ccz_ckks_ct_free(under);
    ops_deinit(&o);
}

static void test_cfg(void)
{
    struct ccz_err err;
    struct ccz_ckks *c;
    struct ccz_ckks_cfg cfg = ops_cfg(1);
    cfg.ring.scheme = 1;
    CHECK(ops_refused(ccz_ckks_new(&c, &cfg, &err), CCZ_E_ARG, &err, "ckks:scheme") && !c);
    cfg = ops_cfg(1);
    cfg.ring.security_insecure = false;
    CHECK(ops_refused(ccz_ckks_new(&c, &cfg, &err), CCZ_E_POLICY, &err, "rlwe:security") && !c);
}

/* ------------------------------------------------------------------------------ serialization */

enum { META_AT = 56 + 4 };

static void set_double(uint8_t *at, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    for (size_t i = 0; i < 8; i++)
        at[i] = (uint8_t)(bits >> 8 * i);
}

static void test_serial(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    struct ccz_ckks_ct *back;
    OK(ccz_ckks_ct_new(&back, o.c, NULL));
    OK(ccz_ckks_mul(o.out, o.e, o.cx, o.cy, NULL));
    const struct ccz_ckks_ct *kinds[] = {o.cx, o.cy, o.out};
    for (size_t k = 0; k < 3; k++) {
        ccz_buf_clear(&b);
        OK(ccz_ckks_ct_write(&b, kinds[k], NULL));
        CHECK(b.size == ccz_ckks_ct_size(kinds[k]));
        OK(ccz_ckks_ct_read(back, o.e, ccz_buf_span(&b), ccz_rlwe_sk_id(o.sk), &err));
        CHECK(back->scale == kinds[k]->scale && back->bound == kinds[k]->bound &&
              back->noise == kinds[k]->noise && back->ct.parts == kinds[k]->ct.parts);
        for (size_t p = 0; p < back->ct.parts; p++)
            CHECK(memcmp(back->ct.c[p], kinds[k]->ct.c[p], 4 * N * sizeof(uint64_t)) == 0);
    }
    CHECK(ccz_ckks_ct_size(o.cy) < ccz_ckks_ct_size(o.cx) * 51 / 100);
    OK(ccz_ckks_neg(o.cy, o.e, o.cy, NULL)); /* in place: the seed stands for nothing any more */
    CHECK(ccz_ckks_ct_size(o.cy) == ccz_ckks_ct_size(o.cx));
    OK(ccz_ckks_encrypt_sk(o.cy, o.e, o.sk, o.py, 0, NULL));
    ccz_buf_clear(&b);
    OK(ccz_ckks_ct_write(&b, o.cy, NULL));
    static const struct {
        size_t at;
        double value;
    } bad[] = {{0, 0.0},          {0, -1.0},     {0, (double)NAN}, {0, 0x1p1000},
               {0, 0x1p-1001},    {8, -1.0},     {8, 0x1p170},     {8, (double)NAN},
               {8, -0.0},         {16, -0.0},    {16, -0x1p-10},   {16, (double)INFINITY},
               {16, (double)NAN}, {16, 0x1p1000}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t keep[24];
        memcpy(keep, b.ptr + META_AT, sizeof(keep));
        set_double(b.ptr + META_AT + bad[i].at, bad[i].value);
        CHECK(ops_refused(ccz_ckks_ct_read(back, o.e, ccz_buf_span(&b), NULL, &err), CCZ_E_FORMAT,
                          &err, "ckks:meta"));
        CHECK(back->ct.parts == 0);
        memcpy(b.ptr + META_AT, keep, sizeof(keep));
    }
    uint8_t other_id[CCZ_RLWE_KEY_ID_SIZE] = {1};
    CHECK(ops_refused(ccz_ckks_ct_read(back, o.e, ccz_buf_span(&b), other_id, &err), CCZ_E_MISMATCH,
                      &err, "rlwe:key-id"));
    for (size_t cut = 0; cut < b.size; cut++)
        CHECK(ccz_ckks_ct_read(back, o.e, CCZ_SPAN(b.ptr, cut), NULL, &err) == CCZ_E_FORMAT &&
              back->ct.parts == 0);
    /* coefficient form is for other schemes */
    ccz_buf_clear(&b);
    o.cx->ct.ntt = false;
    OK(ccz_ckks_ct_write(&b, o.cx, NULL));
    CHECK(ops_refused(ccz_ckks_ct_read(back, o.e, ccz_buf_span(&b), NULL, &err), CCZ_E_FORMAT, &err,
                      "ckks:meta"));
    ccz_ckks_ct_free(back);
    ops_deinit(&o);
}

/* What a ciphertext says of itself is up to who sends it: the extremes that are read harm nobody. */
static void test_claims(void)
{
    struct ops o;
    struct ccz_err err;
    ops_init(&o, 1, 1);
    struct ccz_ckks_ct *r;
    OK(ccz_ckks_ct_new(&r, o.c, NULL));
    /* products of scales that are no number */
    const double one = 1;
    o.cx->scale = 0x1p999;
    OK(ccz_ckks_copy(o.out, o.cx));
    const struct ccz_ckks_ct *list[] = {o.out};
    const struct ccz_ckks_pt *plain[] = {o.px};
    o.px->scale = 0x1p999;
#define REFUSED(call) CHECK(ops_refused((call), CCZ_E_ARG, &err, "ckks:scale") && r->ct.parts == 0)
    REFUSED(ccz_ckks_mul(r, o.e, o.cx, o.out, &err));
    REFUSED(ccz_ckks_dot(r, o.e, list, list, 1, &err));
    REFUSED(ccz_ckks_mul_plain(r, o.e, o.cx, o.px, &err));
    REFUSED(ccz_ckks_dot_plain(r, o.e, list, plain, 1, &err));
    REFUSED(ccz_ckks_dot_scalar(r, o.e, list, &one, 1, 2, &err));
#undef REFUSED
    /* a scale so small that slots are no numbers; decryption for others does not believe it */
    struct ccz_complex pairs[2] = {{1, 1}, {1, 1}};
    double got[2] = {1, 1};
    o.cy->scale = 0x1p-1000;
    OK(ccz_ckks_decrypt(o.pt, o.e, o.sk, o.cy, NULL));
    o.pt->scale = 0x1p-1020;
    CHECK(ops_refused(ccz_ckks_decode(got, 2, o.e, o.pt, &err), CCZ_E_FORMAT, &err, "ckks:value"));
    CHECK(got[0] == 0 && got[1] == 0);
    CHECK(ops_refused(ccz_ckks_decode_complex(pairs, 2, o.e, o.pt, &err), CCZ_E_FORMAT, &err,
                      "ckks:value"));
    CHECK(pairs[1].im == 0);
    CHECK(ops_refused(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, 10, &err), CCZ_E_LIMIT, &err,
                      "ckks:flood-precision"));
    o.cy->scale = SCALE;
    o.cy->noise = 0x1p999;
    OK(ccz_ckks_decrypt(o.pt, o.e, o.sk, o.cy, NULL)); /* all primes, then */
    CHECK(o.pt->limbs == 4);
    CHECK(ops_refused(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, o.cy, 10, &err), CCZ_E_LIMIT, &err,
                      "ckks:flood-precision"));
    /* room in the scale, but noise wider than a word */
    OK(ccz_ckks_copy(r, o.cy));
    r->scale = 0x1p160;
    r->noise = 0x1p20;
    CHECK(ops_refused(ccz_ckks_decrypt_shared(o.pt, o.e, o.sk, r, 58, &err), CCZ_E_LIMIT, &err,
                      "ckks:flood-precision"));
    ccz_ckks_ct_free(r);
    ops_deinit(&o);
}

/* The noise of a fresh ciphertext comes from its encoding, but no bit of the values shows in it. */
static void test_fresh_noise(void)
{
    struct ops o;
    ops_init(&o, 1, 1);
    double noise = 0;
    for (size_t i = 0; i < 200; i++) {
        double x = 0.5 + 0.25 * ops_unit(&o.rng.state);
        OK(ccz_ckks_encode(o.pt, o.e, &x, 1, 0x1p58, 0, NULL));
        OK(ccz_ckks_encrypt_sk(o.out, o.e, o.sk, o.pt, 0, NULL));
        CHECK(i == 0 || o.out->noise == noise);
        noise = o.out->noise;
    }
    ops_deinit(&o);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks.context", test_context},
        {"ckks.level_scale", test_level_scale},
        {"ckks.operands", test_operands},
        {"ckks.overflow", test_overflow},
        {"ckks.keys", test_keys},
        {"ckks.cfg", test_cfg},
        {"ckks.serial", test_serial},
        {"ckks.claims", test_claims},
        {"ckks.fresh_noise", test_fresh_noise},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
