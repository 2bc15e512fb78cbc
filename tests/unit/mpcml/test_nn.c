/* SPDX-License-Identifier: Apache-2.0 */
/* Two parties infer: equal to the simulation, what is revealed, what it costs, what is refused, what is lost on the way. */
#include "nn_kit.h"
#include "pair.h"

#include <cczoo/mpc_cmp.h>

/* Two parties: the server has `net`, the client its own view of it. */
struct parties {
    struct ccz_mpcml_network *net, *bare;
    struct ccz_mpcml_nn_cfg cfg;
    float *images;
    uint64_t *expected;
    size_t len;
    struct ccz_mpcml_nn *nn[2];
    struct kit_pair k;
};

static void start(struct parties *p, const struct ccz_mpcml_spec *spec,
                  const struct ccz_mpcml_nn_cfg *cfg, enum ccz_mpc_trunc trunc)
{
    struct ccz_err err = {0};
    memset(p, 0, sizeof(*p));
    p->net = random_network(spec, 0.5F, 11);
    p->bare = clients_network(p->net);
    p->cfg = *cfg;
    p->images = random_images(p->net, cfg->images, 12);
    p->len = ccz_mpcml_nn_output_len(p->net, cfg);
    p->expected = malloc(p->len * sizeof(*p->expected));
    CHECK(p->expected);
    CHECK(ccz_mpcml_nn_simulate(p->expected, p->net, cfg, p->images, &err) == CCZ_OK);
    for (unsigned r = 0; r < 2; r++) {
        const bool server = r == cfg->server;
        CHECK(ccz_mpcml_nn_new(&p->nn[r], r, server ? p->net : p->bare, cfg,
                               server ? NULL : p->images, &err) == CCZ_OK);
        CHECK(ccz_mpcml_nn_output(p->nn[r]) == NULL);
    }
    kit_init(&p->k, ccz_mpcml_nn_program(p->nn[0]), ccz_mpcml_nn_program(p->nn[1]), NULL);
    p->k.p[0].cfg.trunc = p->k.p[1].cfg.trunc = trunc;
}

static void stop(struct parties *p)
{
    kit_free(&p->k);
    for (unsigned r = 0; r < 2; r++)
        ccz_mpcml_nn_free(p->nn[r]);
    free(p->images);
    free(p->expected);
    ccz_mpcml_network_free(p->bare);
    ccz_mpcml_network_free(p->net);
}

static void run_ok(struct parties *p)
{
    kit_run(&p->k);
    pair_ok(&p->k);
    CHECK(ccz_mpcml_nn_output(p->nn[p->cfg.server]) == NULL);
    CHECK(ccz_mpcml_nn_output(p->nn[1 - p->cfg.server]) != NULL);
}

/* --------------------------------------------------------------------------------- the same values */

static void same(const struct ccz_mpcml_spec *spec, const struct ccz_mpcml_nn_cfg *cfg,
                 enum ccz_mpcml_optimize optimize)
{
    struct parties p;
    start(&p, spec, cfg, CCZ_MPC_TRUNC_FAITHFUL);
    p.k.p[0].cfg.setting = p.k.p[1].cfg.setting = ccz_mpcml_setting(optimize);
    run_ok(&p);
    const uint64_t *got = ccz_mpcml_nn_output(p.nn[1 - cfg->server]);
    CHECK(memcmp(got, p.expected, p.len * sizeof(*got)) == 0);
    stop(&p);
}

static void test_same(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(20, 12, 5), all = spec_all();
    for (unsigned server = 0; server < 2; server++) {
        same(&mlp, &(struct ccz_mpcml_nn_cfg){.server = server, .images = 5}, CCZ_MPCML_ROUNDS);
        same(&mlp,
             &(struct ccz_mpcml_nn_cfg){
                 .server = server, .images = 5, .batch = 2, .output = CCZ_MPCML_NN_LOGITS},
             CCZ_MPCML_ROUNDS);
    }
    same(&all,
         &(struct ccz_mpcml_nn_cfg){
             .server = 1, .images = 3, .ring_bits = 64, .output = CCZ_MPCML_NN_LOGITS},
         CCZ_MPCML_ROUNDS);
    same(&all, &(struct ccz_mpcml_nn_cfg){.server = 1, .images = 2}, CCZ_MPCML_ROUNDS);
}

/* Where the randomness of products comes from changes nothing. */
static void test_settings(void)
{
    const struct ccz_mpcml_spec all = spec_all();
    const struct ccz_mpcml_nn_cfg cfg = {.images = 2, .output = CCZ_MPCML_NN_LOGITS};
    same(&all, &cfg, CCZ_MPCML_OT);
    same(&all, &cfg, CCZ_MPCML_HE_EACH);
    same(&all, &cfg, CCZ_MPCML_SILENT);
}

/* ONE_BIT: not further from the simulation than is said, and not always on it. */
static void test_one_bit(void)
{
    const struct ccz_mpcml_spec all = spec_all();
    const struct ccz_mpcml_nn_cfg cfg = {.images = 40, .output = CCZ_MPCML_NN_LOGITS};
    struct ccz_mpcml_nn_range range;
    struct parties p;
    size_t off = 0;
    start(&p, &all, &cfg, CCZ_MPC_TRUNC_ONE_BIT);
    CHECK(ccz_mpcml_nn_range(&range, p.net, &cfg, NULL) == CCZ_OK);
    run_ok(&p);
    const uint64_t *got = ccz_mpcml_nn_output(p.nn[1]);
    for (size_t i = 0; i < p.len; i++) {
        const int64_t d = ccz_mpc_signed((got[i] - p.expected[i]) & UINT32_MAX, 32);
        CHECK(fabs((double)d) <= range.deviation);
        off += d != 0;
    }
    CHECK(off > 0);
    stop(&p);
}

/* ------------------------------------------------------------------------------------ what is revealed */

static void test_reveals(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(6, 4, 3);
    for (unsigned server = 0; server < 2; server++)
        for (int logits = 0; logits < 2; logits++) {
            const struct ccz_mpcml_nn_cfg cfg = {.server = server,
                                                 .images = 5,
                                                 .batch = 3,
                                                 .output = logits ? CCZ_MPCML_NN_LOGITS
                                                                  : CCZ_MPCML_NN_CLASS};
            struct parties p;
            start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
            run_ok(&p);
            for (unsigned r = 0; r < 2; r++) {
                const struct kit_party *s = &p.k.p[r];
                CHECK(s->reveals_len == 2 && s->stats.reveals == 2);
                CHECK(s->stats.revealed_len == (logits ? 15 : 5));
                for (size_t i = 0; i < 2; i++) {
                    CHECK(s->reveals[i].to == 1u << (1 - server)); /* to the client alone */
                    CHECK(strcmp(s->reveals[i].label, logits ? "logits" : "class") == 0);
                    CHECK(s->reveals[i].len == (i == 0 ? 3u : 2u) * (logits ? 3 : 1));
                }
            }
            stop(&p);
        }
}

/* ------------------------------------------------------------------------------------------------ cost */

static void test_plan(void)
{
    const struct ccz_mpcml_spec specs[] = {spec_mlp(300, 100, 10), spec_all()};
    for (size_t i = 0; i < 2; i++) {
        const struct ccz_mpcml_nn_cfg cfg = {
            .images = 40, .batch = 16, .ring_bits = i == 0 ? 64 : 32};
        struct ccz_mpcml_plan *plan = NULL;
        struct parties p;
        start(&p, &specs[i], &cfg, CCZ_MPC_TRUNC_ONE_BIT);
        CHECK(ccz_mpcml_plan_new(&plan, ccz_mpcml_nn_program(p.nn[1]), &p.k.p[1].cfg, NULL) ==
              CCZ_OK);
        p.k.p[1].cfg.plan = plan;
        run_ok(&p);
        pair_as_planned(&p.k, plan);
        ccz_mpcml_plan_free(plan);
        stop(&p);
    }
}

/* Bytes online of a perceptron as the headers state them. */
static void test_cost(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(20, 12, 5);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 7};
    struct parties p;
    start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_ONE_BIT);
    run_ok(&p);
    const struct ccz_mpc_cmp_cost relu = ccz_mpc_cmp_cost(CCZ_MPC_OP_RELU, 7 * 12, 32, 0),
                                  trunc = ccz_mpc_cmp_cost(CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE, 7 * 12,
                                                           32, 10),
                                  max = ccz_mpc_cmp_cost(CCZ_MPC_OP_ARGMAX, 7, 32, 5);
    for (unsigned r = 0; r < 2; r++) {
        const struct ccz_mpc_phase_stats *online = &p.k.p[r].stats.phase[CCZ_MPC_ONLINE];
        uint64_t sent = 2 * (relu.sent[r] + trunc.sent[r]) + max.sent[r];
        sent += r == 1 ? 7 * (20 + 12 + 12) * 4 : 7 * 4; /* masked inputs; shares of classes */
        CHECK(online->sent_size == sent);
        CHECK(online->rounds == 3 + 2 * (relu.rounds + trunc.rounds) + max.rounds + 1);
    }
    stop(&p);
}

/* What the benchmarks promise of 784-128-128-10, in bytes, set-up included. */
static void test_bars(void)
{
    const struct ccz_mpcml_spec spec = {
        .height = 28,
        .width = 28,
        .channels = 1,
        .input_max = 1,
        .weight_max = 1,
        .layers_len = 6,
        .layers = {L_FLATTEN, L_DENSE(128), L_RELU, L_DENSE(128), L_RELU, L_DENSE(10)}};
    struct ccz_mpcml_network *net = NULL;
    CHECK(ccz_mpcml_network_new(&net, &spec, NULL, 0, NULL) == CCZ_OK);
    for (int silent = 0; silent < 2; silent++)
        for (size_t images = 1; images <= 32; images += 31) {
            const struct ccz_mpcml_nn_cfg cfg = {.images = images};
            const struct ccz_mpcml_run_cfg run = {
                .trunc = CCZ_MPC_TRUNC_ONE_BIT,
                .setting = ccz_mpcml_setting_named(silent ? "rounds" : "he-packed")};
            struct ccz_mpcml_nn *nn = NULL;
            struct ccz_mpcml_plan *plan = NULL;
            CHECK(ccz_mpcml_nn_new(&nn, 0, net, &cfg, NULL, NULL) == CCZ_OK);
            CHECK(ccz_mpcml_plan_new(&plan, ccz_mpcml_nn_program(nn), &run, NULL) == CCZ_OK);
            CHECK(plan->total.size <= (images == 1 ? 2000000 : silent ? 4000000 : 5000000));
            CHECK(plan->total.rounds <= 80);
            ccz_mpcml_plan_free(plan);
            ccz_mpcml_nn_free(nn);
        }
    ccz_mpcml_network_free(net);
}

/* -------------------------------------------------------------------------------------------- refusals */

static void both_refuse(struct parties *p, const char *where)
{
    pair_refused(&p->k, where);
    CHECK(!ccz_mpcml_nn_output(p->nn[0]) && !ccz_mpcml_nn_output(p->nn[1]));
}

/* The client's program, made anew. */
static void replace_client(struct parties *p, const struct ccz_mpcml_network *net,
                           const struct ccz_mpcml_nn_cfg *cfg, const float *images)
{
    ccz_mpcml_nn_free(p->nn[1]);
    CHECK(ccz_mpcml_nn_new(&p->nn[1], 1, net, cfg, images, NULL) == CCZ_OK);
    p->k.p[1].program = ccz_mpcml_nn_program(p->nn[1]);
}

static void test_mismatch(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(6, 4, 3);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 4};
    for (unsigned k = 0; k < 7; k++) {
        struct ccz_mpcml_spec other = mlp;
        struct ccz_mpcml_nn_cfg c = cfg;
        struct parties p;
        other.layers[0].out = other.layers[2].out = k == 0 ? 5 : 4; /* other shapes */
        other.weight_max = k == 1 ? 2 : 1;
        other.input_max = k == 2 ? 2 : 1;
        if (k == 3)
            other.layers[1] = (struct ccz_mpcml_layer)L_FLATTEN; /* another layer */
        c.batch = k == 4 ? 2 : 0;
        c.frac = k == 5 ? 9 : 0;
        c.images = k == 6 ? 3 : 4;
        start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
        struct ccz_mpcml_network *net = random_network(&other, 0.5F, 1);
        replace_client(&p, net, &c, p.images);
        kit_run(&p.k);
        both_refuse(&p, k == 5 ? "mpc:hello-frac" : "mpc:hello-program");
        stop(&p);
        ccz_mpcml_network_free(net);
    }
}

static void test_missing(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(6, 4, 3);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 4};
    struct parties p;
    const struct ccz_mpcml_nn_cfg full_ring = {.images = 4, .ring_bits = 64};
    start(&p, &mlp, &full_ring, CCZ_MPC_TRUNC_LOCAL); /* smaller rings refuse it themselves */
    kit_run(&p.k);
    both_refuse(&p, "mpcml:trunc");
    stop(&p);
    start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
    replace_client(&p, p.bare, &cfg, NULL);
    kit_run(&p.k);
    both_refuse(&p, "mpcml:data");
    stop(&p);
    start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
    ccz_mpcml_nn_free(p.nn[0]);
    CHECK(ccz_mpcml_nn_new(&p.nn[0], 0, p.bare, &cfg, NULL, NULL) == CCZ_OK);
    p.k.p[0].program = ccz_mpcml_nn_program(p.nn[0]);
    kit_run(&p.k);
    both_refuse(&p, "mpcml:weights");
    stop(&p);
    start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL); /* both say that they are the client */
    ccz_mpcml_nn_free(p.nn[0]);
    CHECK(ccz_mpcml_nn_new(&p.nn[0], 1, p.bare, &cfg, p.images, NULL) == CCZ_OK);
    p.k.p[0].program = ccz_mpcml_nn_program(p.nn[0]);
    kit_run(&p.k);
    both_refuse(&p, "mpcml:session");
    stop(&p);
    struct ccz_mpcml_nn *nn = NULL; /* values too large for the ring: before anybody is talked to */
    struct ccz_err err = {0};
    const struct ccz_mpcml_spec wide = spec_mlp(60, 40, 3);
    struct ccz_mpcml_network *net = random_network(&wide, 1, 1);
    const struct ccz_mpcml_nn_cfg full = {.images = 1, .frac = 14, .weight_frac = 14};
    CHECK(ccz_mpcml_nn_new(&nn, 0, net, &full, NULL, &err) == CCZ_E_LIMIT && !nn);
    CHECK(strcmp(err.where, "mpcml:range") == 0);
    ccz_mpcml_network_free(net);
}

/* A run again with the same object, in a session of its own. */
static void test_again(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(6, 4, 3);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 4};
    struct parties p;
    start(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
    for (int i = 0; i < 2; i++) {
        run_ok(&p);
        CHECK(memcmp(ccz_mpcml_nn_output(p.nn[1]), p.expected, p.len * 8) == 0);
        for (int r = 0; r < 2; r++)
            ccz_chan_free(p.k.p[r].chan);
        CHECK(ccz_chan_pair(&p.k.p[0].chan, &p.k.p[1].chan, NULL, NULL) == CCZ_OK);
    }
    ccz_chan_close(p.k.p[0].chan, "gone"); /* what came out before is no result of this run */
    kit_run(&p.k);
    CHECK(p.k.p[1].rc == CCZ_E_CLOSED && ccz_mpcml_nn_output(p.nn[1]) == NULL);
    stop(&p);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"inference.same", test_same},       {"inference.settings", test_settings},
        {"inference.one_bit", test_one_bit}, {"inference.reveals", test_reveals},
        {"inference.plan", test_plan},       {"inference.cost", test_cost},
        {"inference.bars", test_bars},       {"inference.mismatch", test_mismatch},
        {"inference.missing", test_missing}, {"inference.again", test_again}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
