/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: within the security table, of the smallest degree, and refusals with their reason. */
#include "ccz_test.h"
#include "ckks_kit.h"

static void refused(struct ccz_ckks_goal goal, ccz_rc want, const char *where)
{
    struct ccz_ckks_plan plan;
    struct ccz_err err;
    static const struct ccz_ckks_plan zero;
    CHECK(ccz_ckks_plan(&plan, &goal, &err) == want);
    CHECK(strcmp(err.where, where) == 0);
    CHECK(memcmp(&plan, &zero, sizeof(plan)) == 0);
    CHECK(ccz_ckks_plan(&plan, &goal, NULL) == want);
}

static void test_refused(void)
{
    refused((struct ccz_ckks_goal){0}, CCZ_E_ARG, "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 49}, CCZ_E_ARG, "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .depth = 61}, CCZ_E_ARG, "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .security = 100}, CCZ_E_ARG,
            "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .max_value = 0.5}, CCZ_E_ARG,
            "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .max_value = NAN}, CCZ_E_ARG,
            "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .max_value = 0x1p46}, CCZ_E_ARG,
            "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .slots = 32769}, CCZ_E_LIMIT,
            "ckks:plan-slots");
    refused((struct ccz_ckks_goal){.precision_bits = 40}, CCZ_E_LIMIT, "ckks:plan-precision");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .depth = 12, .gain = 8}, CCZ_E_LIMIT,
            "ckks:plan-precision");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .gain = -1}, CCZ_E_ARG, "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 20, .gain = NAN}, CCZ_E_ARG, "ckks:plan-goal");
    refused((struct ccz_ckks_goal){.precision_bits = 15, .depth = 28, .security = 256}, CCZ_E_LIMIT,
            "ckks:plan-modulus");
}

static unsigned sum_of_bits(const struct ccz_rlwe_cfg *ring)
{
    unsigned sum = 0;
    for (size_t i = 0; i < ring->data_len + ring->special_len; i++)
        sum += ring->bits[i];
    return sum;
}

/* What every plan promises, whatever the goal. */
static void check_plan(const struct ccz_ckks_plan *p, const struct ccz_ckks_goal *g)
{
    const struct ccz_rlwe_cfg *ring = &p->cfg.ring;
    unsigned security = g->security ? g->security : 128;
    double max_value = g->max_value > 0 ? g->max_value : 1;
    CHECK(ring->n / 2 >= g->slots && ring->data_len == p->base_len + g->depth);
    CHECK(p->bits == sum_of_bits(ring));
    CHECK(p->max_bits == ccz_rlwe_max_bits(ring->n, security) && p->bits <= p->max_bits);
    CHECK(!ring->security_insecure && ring->security == g->security);
    CHECK(p->error_bits <= -(double)g->precision_bits);
    CHECK(p->scale == ldexp(1, (int)p->scale_bits));
    unsigned base = 0, widest = 0;
    for (size_t i = 0; i < ring->data_len; i++) {
        base += i < p->base_len ? ring->bits[i] : 0;
        CHECK(i < p->base_len || ring->bits[i] == p->scale_bits);
        widest = ring->bits[i] > widest ? ring->bits[i] : widest;
    }
    CHECK(max_value * p->scale <= ldexp(1, (int)base - 2));
    CHECK((ring->special_len == 0) == g->no_key_switching);
    for (size_t i = ring->data_len; i < ring->data_len + ring->special_len; i++)
        CHECK(ring->bits[i] == widest);
    CHECK(strstr(p->why, "degree") && strlen(p->why) + 1 < sizeof(p->why));
    CHECK(p->why[strlen(p->why) - 1] == '\n'); /* not cut */
}

static void test_grid(void)
{
    static const unsigned security[] = {0, 128, 192, 256};
    static const double values[] = {0, 1, 3.3, 1000, 0x1p20};
    size_t plans = 0;
    for (unsigned depth = 0; depth <= 24; depth += 3)
        for (unsigned precision = 5; precision <= 30; precision += 5)
            for (size_t s = 0; s < 4; s++)
                for (size_t v = 0; v < 5; v++)
                    for (size_t slots = 0; slots <= 8192; slots = slots ? slots * 4 : 512) {
                        struct ccz_ckks_goal goal = {.depth = depth,
                                                     .precision_bits = precision,
                                                     .max_value = values[v],
                                                     .slots = slots,
                                                     .security = security[s],
                                                     .no_key_switching =
                                                         (depth + precision) % 7 == 0};
                        struct ccz_ckks_plan plan;
                        if (ccz_ckks_plan(&plan, &goal, NULL) != CCZ_OK)
                            continue;
                        check_plan(&plan, &goal);
                        plans++;
                    }
    CHECK(plans > 2000);
}

/* More of anything never takes a smaller modulus, and slots only raise the degree. */
static void test_order(void)
{
    struct ccz_ckks_plan a, b;
    struct ccz_ckks_goal goal = {.depth = 3, .precision_bits = 18, .max_value = 4};
    CHECK(ccz_ckks_plan(&a, &goal, NULL) == CCZ_OK);
    CHECK(a.cfg.ring.n == 8192); /* inference with a cubic */
    goal.precision_bits = 22;
    CHECK(ccz_ckks_plan(&b, &goal, NULL) == CCZ_OK);
    CHECK(b.scale_bits == a.scale_bits + 4);
    goal.depth = 6;
    CHECK(ccz_ckks_plan(&b, &goal, NULL) == CCZ_OK);
    CHECK(b.cfg.ring.n == 16384 && b.bits > a.bits);
    goal = (struct ccz_ckks_goal){.depth = 3, .precision_bits = 18, .max_value = 4, .slots = 4097};
    CHECK(ccz_ckks_plan(&b, &goal, NULL) == CCZ_OK);
    CHECK(b.cfg.ring.n == 16384 && strstr(b.why, "only 4096 slots"));
    CHECK(b.cfg.ring.special_len > 1); /* there is room to switch keys faster */
    goal = (struct ccz_ckks_goal){.precision_bits = 10, .no_key_switching = true};
    CHECK(ccz_ckks_plan(&b, &goal, NULL) == CCZ_OK);
    CHECK(b.cfg.ring.n == 1024 && b.cfg.ring.special_len == 0);
}

/* The computation that the model describes, with what the plan says: as precise as was asked for. */
static void run_plan(const struct ccz_ckks_goal *goal)
{
    struct ccz_ckks_plan plan;
    struct kit k = {0};
    struct ccz_rlwe_galois_set *keys = NULL;
    int64_t step = 1;
    CHECK(ccz_ckks_plan(&plan, goal, NULL) == CCZ_OK);
    CHECK(ccz_ckks_new(&k.ctx, &plan.cfg, NULL) == CCZ_OK); /* secure, and the primes exist */
    kit_eval(&k);
    CHECK(ccz_ckks_pt_new(&k.pt, k.ctx, NULL) == CCZ_OK);
    kit_keys(&k);
    k.slots = ccz_ckks_slots(k.ctx);
    k.scale = plan.scale;
    double *x = malloc(k.slots * sizeof(*x)), *got = malloc(k.slots * sizeof(*got));
    struct ccz_ckks_ct *ct = kit_ct(&k);
    CHECK(x && got);
    CHECK(ccz_ckks_galois_new(&keys, k.eval, k.sk, &step, 1, false, NULL) == CCZ_OK);
    double root = pow(goal->max_value, ldexp(1, -(int)goal->depth));
    for (size_t j = 0; j < k.slots; j++)
        x[j] = (j % 2 ? 1 - fabs(random_unit()) / 1000 : fabs(random_unit())) * root;
    kit_encrypt(ct, &k, x);
    for (unsigned i = 0; i < goal->depth; i++) {
        CHECK(ccz_ckks_assume(ct, root * 1.001, NULL) == CCZ_OK);
        CHECK(ccz_ckks_square(ct, k.eval, ct, NULL) == CCZ_OK);
        CHECK(ccz_ckks_relin(ct, k.eval, ct, k.relin, NULL) == CCZ_OK);
        CHECK(ccz_ckks_rescale(ct, k.eval, ct, NULL) == CCZ_OK);
        root *= root;
        for (size_t j = 0; j < k.slots; j++)
            x[j] *= x[j];
    }
    CHECK(ccz_ckks_rotate(ct, k.eval, ct, 1, keys, NULL) == CCZ_OK);
    CHECK(ct->ct.limbs == plan.base_len);
    CHECK(ccz_ckks_decrypt(k.pt, k.eval, k.sk, ct, NULL) == CCZ_OK);
    CHECK(ccz_ckks_decode(got, k.slots, k.eval, k.pt, NULL) == CCZ_OK);
    for (size_t j = 0; j < k.slots; j++)
        CHECK(fabs(got[j] - x[(j + 1) % k.slots]) <= exp2(plan.error_bits));
    ccz_rlwe_galois_set_free(keys);
    ccz_ckks_ct_free(ct);
    free(x);
    free(got);
    kit_deinit(&k);
}

static void test_holds(void)
{
    static const struct ccz_ckks_goal goals[] = {
        {.precision_bits = 10, .max_value = 1},
        {.depth = 1, .precision_bits = 12, .max_value = 4, .gain = 4},
        {.depth = 2, .precision_bits = 15, .max_value = 1, .gain = 2},
        {.depth = 3, .precision_bits = 16, .max_value = 1, .gain = 2},
        {.depth = 3,
         .precision_bits = 6,
         .max_value = 1000,
         .gain = 64}, /* two primes in the end */
        {.depth = 6, .precision_bits = 20, .max_value = 1, .gain = 2},
    };
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++)
        run_plan(&goals[i]);
}

/* The primes of every plan exist, up to the largest degree. */
static void test_primes(void)
{
    static const struct ccz_ckks_goal goals[] = {
        {.precision_bits = 1, .no_key_switching = true},
        {.precision_bits = 1, .slots = 32768},
        {.depth = 60, .precision_bits = 1},
        {.depth = 36, .precision_bits = 12},
        {.depth = 12, .precision_bits = 20, .security = 256},
    };
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
        struct ccz_ckks_plan plan;
        struct ccz_rlwe *ring = NULL;
        struct ccz_err err;
        ccz_rc rc = ccz_ckks_plan(&plan, &goals[i], &err);
        if (rc == CCZ_E_LIMIT) /* then for its modulus */
            CHECK(strcmp(err.where, "ckks:plan-modulus") == 0 && i == 2);
        else
            CHECK(rc == CCZ_OK && ccz_rlwe_new(&ring, &plan.cfg.ring, NULL) == CCZ_OK);
        ccz_rlwe_free(ring);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks_plan.refused", test_refused}, {"ckks_plan.grid", test_grid},
        {"ckks_plan.order", test_order},     {"ckks_plan.holds", test_holds},
        {"ckks_plan.primes", test_primes},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
