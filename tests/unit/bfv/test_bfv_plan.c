/* SPDX-License-Identifier: Apache-2.0 */
/* Planned parameters hold what was asked of them: run at the limit, within the security table. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>

enum { N_MAX = 8192 };

static const struct {
    const char *name;
    struct ccz_bfv_goal goal;
    size_t n; /* expected */
} goals[] = {
    {"sums of shares", {.plain_bits = 32, .terms = 1000}, 4096},
    {"flags", {.plain_bits = 1, .terms = 2}, 1024},
    {"matrix over Z_2^32", {.plain_bits = 32, .multiply = true}, 4096},
    {"matrix over Z_2^64", {.plain_bits = 64, .multiply = true, .flood_bits = 40}, 8192},
    {"sum of 16", {.plain_bits = 64, .multiply = true, .terms = 16, .flood_bits = 40}, 8192},
    {"model of 20 bits",
     {.plain_bits = 64,
      .multiply = true,
      .max_factor = 0x1p20,
      .factor_terms = 784,
      .flood_bits = 40},
     8192},
    {"slots",
     {.plain_prime = 1099511480321, .multiply = true, .flood_bits = 40, .n_min = 8192},
     8192},
    {"192 bits", {.plain_bits = 16, .multiply = true, .flood_bits = 20, .security = 192}, 8192},
};

static uint64_t va[N_MAX], vb[N_MAX], vd[N_MAX];

/* Factors as large as the goal allows, `terms` products, a mask; flooded, switched down, decrypted. */
static void run(const struct ccz_bfv_plan *plan, const struct ccz_bfv_goal *g)
{
    struct kit k;
    kit_init_cfg(&k, &plan->cfg, 1);
    const size_t n = k.n, factors = g->factor_terms ? g->factor_terms : n;
    const uint64_t half =
        k.c->plain_bits ? (k.c->plain_bits == 1 ? 1 : (UINT64_C(1) << (k.c->plain_bits - 1)) - 1)
                        : k.c->t.q / 2;
    const uint64_t factor = g->max_factor > 0 ? (uint64_t)g->max_factor : half;
    random_words(&k, va, n);
    random_words(&k, vd, n);
    memset(vb, 0, sizeof(vb));
    for (size_t x = 0; x < factors; x++)
        vb[x] = x % 3 ? factor : neg_t(&k, factor);
    CHECK(ccz_bfv_encode_coeff(k.p[0], va, n, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encode_coeff(k.p[1], vb, n, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encode_coeff(k.p[2], vd, n, NULL) == CCZ_OK);
    if (g->max_factor > 0)
        CHECK(ccz_bfv_pt_declare(k.p[1], g->max_factor, factors, NULL) == CCZ_OK);
    CHECK(ccz_bfv_pt_prepare(k.p[1], k.e, 0, NULL) == CCZ_OK);
    const size_t terms = g->terms ? g->terms : 1;
    for (size_t i = 0; i < terms; i++) {
        struct ccz_bfv_ct *to = i ? k.ct[1] : k.ct[2];
        if (i < 3)
            CHECK(ccz_bfv_encrypt_pk(k.ct[0], k.e, k.pk, k.p[0], 0, NULL) == CCZ_OK);
        if (g->multiply)
            CHECK(ccz_bfv_mul_plain(to, k.e, k.ct[0], k.p[1], NULL) == CCZ_OK);
        else
            CHECK(ccz_bfv_copy(to, k.ct[0]) == CCZ_OK);
        if (i)
            CHECK(ccz_bfv_add(k.ct[2], k.e, k.ct[2], k.ct[1], NULL) == CCZ_OK);
    }
    CHECK(ccz_bfv_add_plain(k.ct[2], k.e, k.ct[2], k.p[2], NULL) == CCZ_OK);
    if (g->flood_bits)
        CHECK(ccz_bfv_flood(k.ct[2], k.e, k.ct[2], NULL, k.pk, g->flood_bits, NULL) == CCZ_OK);
    CHECK(ccz_bfv_mod_switch(k.ct[2], k.e, k.ct[2], plan->return_limbs, NULL) == CCZ_OK);
    CHECK(ccz_bfv_decrypt(k.p[0], k.e, k.sk, k.ct[2], NULL) == CCZ_OK);
    /* (va vb terms + vd), at some coefficients */
    for (size_t at = 0; at < n; at += 509) {
        uint64_t sum = g->multiply ? 0 : va[at];
        for (size_t i = 0; g->multiply && i < n; i++) {
            uint64_t v = mod_t(&k, (u128)va[i] * vb[(at + n - i) % n]);
            sum = mod_t(&k, (u128)sum + (i <= at ? v : neg_t(&k, v)));
        }
        CHECK(k.p[0]->m[at] == mod_t(&k, (u128)mod_t(&k, (u128)sum * mod_t(&k, terms)) + vd[at]));
    }
    double budget;
    CHECK(ccz_bfv_noise_budget(&budget, k.e, k.sk, k.ct[2], NULL) == CCZ_OK);
    CHECK(budget >= plan->spare_bits - 0.1);
    kit_deinit(&k);
}

static void test_plan(void)
{
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
        struct ccz_bfv_plan plan;
        struct ccz_err err = {0};
        ccz_rc rc = ccz_bfv_plan(&plan, &goals[i].goal, &err);
        if (rc != CCZ_OK || plan.cfg.ring.n != goals[i].n)
            fprintf(stderr, "%s: n %zu, %s: %s\n", goals[i].name, plan.cfg.ring.n, err.where,
                    err.msg);
        CHECK(rc == CCZ_OK && plan.cfg.ring.n == goals[i].n);
        CHECK(plan.spare_bits > 0 && plan.return_limbs <= plan.cfg.ring.data_len);
        CHECK(!plan.cfg.ring
                   .security_insecure); /* so that ccz_bfv_new() holds it against the table */
        run(&plan, &goals[i].goal);
    }
}

/* What a private product of a vector and a matrix sends back: 2 parts of 80 bits. */
static void test_return_size(void)
{
    struct ccz_bfv_plan plan;
    unsigned bits = 0;
    CHECK(ccz_bfv_plan(&plan, &goals[3].goal, NULL) == CCZ_OK);
    for (size_t i = 0; i < plan.return_limbs; i++)
        bits += plan.cfg.ring.bits[i];
    CHECK(bits <= 80);
}

static void test_plan_refuse(void)
{
    static const struct ccz_bfv_goal bad[] = {
        {0},
        {.plain_bits = 16, .plain_prime = 65537},
        {.plain_bits = 65},
        {.plain_prime = UINT64_C(1) << 50},
        {.plain_bits = 16, .max_factor = -1},
        {.plain_bits = 16, .max_factor = (double)INFINITY},
        {.plain_bits = 16, .max_factor = (double)NAN},
        {.plain_bits = 16, .factor_terms = CCZ_RLWE_N_MAX + 1},
        {.plain_bits = 16, .terms = (size_t)1 << 21},
        {.plain_bits = 16, .flood_bits = CCZ_BFV_FLOOD_MAX + 1},
        {.plain_bits = 16, .n_min = CCZ_RLWE_N_MAX + 1},
        {.plain_bits = 16, .security = 100},
    };
    struct ccz_bfv_plan plan;
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(is_refused(ccz_bfv_plan(&plan, &bad[i], &err), CCZ_E_ARG, &err, "bfv:goal"));
        CHECK(plan.cfg.ring.n == 0);
    }
    const struct ccz_bfv_goal huge = {
        .plain_bits = 64, .multiply = true, .max_factor = 0x1p900, .security = 256};
    CHECK(is_refused(ccz_bfv_plan(&plan, &huge, &err), CCZ_E_LIMIT, &err, "bfv:plan"));
    CHECK(err.got[0] && err.expected[0] && err.hint[0]);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"bfv.plan", test_plan},
                                            {"bfv.return_size", test_return_size},
                                            {"bfv.plan_refuse", test_plan_refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
