/* SPDX-License-Identifier: Apache-2.0 */
/* Two parties infer: equal to the simulation, what is revealed, what it costs, what is refused, what is lost on the way. */
#include "nn_kit.h"

#include <cczoo/chan.h>
#include <cczoo/mpc_cmp.h>

#include <math.h>
#include <pthread.h>

struct side {
    struct ccz_chan *chan;
    struct ccz_mpcml_nn *nn;
    struct ccz_mpcml_run_cfg cfg;
    struct ccz_mpc_stats stats;
    struct ccz_mpc_reveal reveals[8];
    size_t reveals_len;
    ccz_rc rc;
    struct ccz_err err;
};

static void log_reveal(void *arg, const struct ccz_mpc_reveal *r)
{
    struct side *s = arg;
    CHECK(s->reveals_len < 8);
    s->reveals[s->reveals_len++] = *r;
}

static void *run_side(void *arg)
{
    struct side *s = arg;
    s->rc = ccz_mpcml_run(&s->stats, s->chan, ccz_mpcml_nn_program(s->nn), &s->cfg, &s->err);
    return NULL;
}

/* A pair of parties: the server has `net`, the client its own view of it. */
struct pair {
    struct ccz_mpcml_network *net, *bare;
    struct ccz_mpcml_nn_cfg cfg;
    float *images;
    uint64_t *expected;
    size_t len;
    struct side side[2];
};

static void pair_init(struct pair *p, const struct ccz_mpcml_spec *spec,
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
    CHECK(ccz_chan_pair(&p->side[0].chan, &p->side[1].chan, NULL, NULL) == CCZ_OK);
    for (unsigned r = 0; r < 2; r++) {
        struct side *s = &p->side[r];
        const bool server = r == cfg->server;
        ccz_chan_set_timeout(s->chan, 30000);
        s->cfg = (struct ccz_mpcml_run_cfg){
            .role = r, .trunc = trunc, .on_reveal = log_reveal, .arg = s};
        CHECK(ccz_mpcml_nn_new(&s->nn, r, server ? p->net : p->bare, cfg, server ? NULL : p->images,
                               &err) == CCZ_OK);
        CHECK(ccz_mpcml_nn_output(s->nn) == NULL);
    }
}

static void pair_run(struct pair *p)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, run_side, &p->side[0]) == 0);
    (void)run_side(&p->side[1]);
    CHECK(pthread_join(t, NULL) == 0);
}

static void pair_free(struct pair *p)
{
    for (unsigned r = 0; r < 2; r++) {
        ccz_mpcml_nn_free(p->side[r].nn);
        ccz_chan_free(p->side[r].chan);
    }
    free(p->images);
    free(p->expected);
    ccz_mpcml_network_free(p->bare);
    ccz_mpcml_network_free(p->net);
}

static void pair_ok(const struct pair *p)
{
    for (unsigned r = 0; r < 2; r++) {
        if (p->side[r].rc != CCZ_OK)
            fprintf(stderr, "party %u: %s %s\n", r, p->side[r].err.where, p->side[r].err.msg);
        CHECK(p->side[r].rc == CCZ_OK);
    }
    CHECK(ccz_mpcml_nn_output(p->side[p->cfg.server].nn) == NULL);
    CHECK(ccz_mpcml_nn_output(p->side[1 - p->cfg.server].nn) != NULL);
}

/* --------------------------------------------------------------------------------- the same values */

static void same(const struct ccz_mpcml_spec *spec, const struct ccz_mpcml_nn_cfg *cfg,
                 enum ccz_mpcml_optimize optimize)
{
    struct pair p;
    pair_init(&p, spec, cfg, CCZ_MPC_TRUNC_FAITHFUL);
    p.side[0].cfg.setting = p.side[1].cfg.setting = ccz_mpcml_setting(optimize);
    pair_run(&p);
    pair_ok(&p);
    const uint64_t *got = ccz_mpcml_nn_output(p.side[1 - cfg->server].nn);
    CHECK(memcmp(got, p.expected, p.len * sizeof(*got)) == 0);
    pair_free(&p);
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
    struct pair p;
    size_t off = 0;
    pair_init(&p, &all, &cfg, CCZ_MPC_TRUNC_ONE_BIT);
    CHECK(ccz_mpcml_nn_range(&range, p.net, &cfg, NULL) == CCZ_OK);
    pair_run(&p);
    pair_ok(&p);
    const uint64_t *got = ccz_mpcml_nn_output(p.side[1].nn);
    for (size_t i = 0; i < p.len; i++) {
        const int64_t d = ccz_mpc_signed((got[i] - p.expected[i]) & UINT32_MAX, 32);
        CHECK(fabs((double)d) <= range.deviation);
        off += d != 0;
    }
    CHECK(off > 0);
    pair_free(&p);
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
            struct pair p;
            pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
            pair_run(&p);
            pair_ok(&p);
            for (unsigned r = 0; r < 2; r++) {
                const struct side *s = &p.side[r];
                CHECK(s->reveals_len == 2 && s->stats.reveals == 2);
                CHECK(s->stats.revealed_len == (logits ? 15 : 5));
                for (size_t i = 0; i < 2; i++) {
                    CHECK(s->reveals[i].to == 1u << (1 - server)); /* to the client alone */
                    CHECK(strcmp(s->reveals[i].label, logits ? "logits" : "class") == 0);
                    CHECK(s->reveals[i].len == (i == 0 ? 3u : 2u) * (logits ? 3 : 1));
                }
            }
            pair_free(&p);
        }
}

/* ------------------------------------------------------------------------------------------------ cost */

static uint64_t size_of(const struct ccz_mpc_phase_stats *s)
{
    return s->sent_size + s->received_size;
}

static void test_plan(void)
{
    const struct ccz_mpcml_spec specs[] = {spec_mlp(300, 100, 10), spec_all()};
    for (size_t i = 0; i < 2; i++) {
        const struct ccz_mpcml_nn_cfg cfg = {
            .images = 40, .batch = 16, .ring_bits = i == 0 ? 64 : 32};
        struct ccz_mpcml_plan *plan = NULL;
        struct pair p;
        pair_init(&p, &specs[i], &cfg, CCZ_MPC_TRUNC_ONE_BIT);
        CHECK(ccz_mpcml_plan_new(&plan, ccz_mpcml_nn_program(p.side[1].nn), &p.side[1].cfg, NULL) ==
              CCZ_OK);
        p.side[1].cfg.plan = plan;
        pair_run(&p);
        pair_ok(&p);
        for (unsigned r = 0; r < 2; r++) {
            const struct ccz_mpc_phase_stats *s = p.side[r].stats.phase;
            const struct ccz_mpc_phase_stats *online = &s[CCZ_MPC_ONLINE];
            CHECK(size_of(online) == plan->phase[CCZ_MPC_ONLINE].size);
            CHECK(online->rounds == plan->phase[CCZ_MPC_ONLINE].rounds);
            const uint64_t real = size_of(&s[0]) + size_of(&s[1]) + size_of(&s[2]);
            CHECK(fabs((double)real - (double)plan->total.size) < 0.15 * (double)real);
        }
        ccz_mpcml_plan_free(plan);
        pair_free(&p);
    }
}

/* Bytes online of a perceptron as the headers state them. */
static void test_cost(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(20, 12, 5);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 7};
    struct pair p;
    pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_ONE_BIT);
    pair_run(&p);
    pair_ok(&p);
    const struct ccz_mpc_cmp_cost relu = ccz_mpc_cmp_cost(CCZ_MPC_OP_RELU, 7 * 12, 32, 0),
                                  trunc = ccz_mpc_cmp_cost(CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE, 7 * 12,
                                                           32, 10),
                                  max = ccz_mpc_cmp_cost(CCZ_MPC_OP_ARGMAX, 7, 32, 5);
    for (unsigned r = 0; r < 2; r++) {
        const struct ccz_mpc_phase_stats *online = &p.side[r].stats.phase[CCZ_MPC_ONLINE];
        uint64_t sent = 2 * (relu.sent[r] + trunc.sent[r]) + max.sent[r];
        sent += r == 1 ? 7 * (20 + 12 + 12) * 4 : 7 * 4; /* masked inputs; shares of classes */
        CHECK(online->sent_size == sent);
        CHECK(online->rounds == 3 + 2 * (relu.rounds + trunc.rounds) + max.rounds + 1);
    }
    pair_free(&p);
}

/* -------------------------------------------------------------------------------------------- refusals */

static void both_refuse(struct pair *p, const char *where)
{
    bool named = false;
    for (unsigned r = 0; r < 2; r++) {
        const struct side *s = &p->side[r];
        const bool own = strcmp(s->err.where, where) == 0;
        if (s->rc == CCZ_OK || (!own && !strstr(s->err.msg, where)))
            fprintf(stderr, "party %u: got %s (%s), expected %s\n", r, s->err.where, s->err.msg,
                    where);
        CHECK(s->rc != CCZ_OK && (own || strstr(s->err.msg, where)));
        CHECK(s->reveals_len == 0 && ccz_mpcml_nn_output(s->nn) == NULL);
        named = named || own;
    }
    CHECK(named);
}

/* The client's program, made anew. */
static void replace_client(struct pair *p, const struct ccz_mpcml_network *net,
                           const struct ccz_mpcml_nn_cfg *cfg, const float *images)
{
    struct side *s = &p->side[1];
    ccz_mpcml_nn_free(s->nn);
    CHECK(ccz_mpcml_nn_new(&s->nn, 1, net, cfg, images, NULL) == CCZ_OK);
}

static void test_mismatch(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(6, 4, 3);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 4};
    for (unsigned k = 0; k < 7; k++) {
        struct ccz_mpcml_spec other = mlp;
        struct ccz_mpcml_nn_cfg c = cfg;
        struct pair p;
        other.layers[0].out = other.layers[2].out = k == 0 ? 5 : 4; /* other shapes */
        other.weight_max = k == 1 ? 2 : 1;
        other.input_max = k == 2 ? 2 : 1;
        if (k == 3)
            other.layers[1] = (struct ccz_mpcml_layer)L_FLATTEN; /* another layer */
        c.batch = k == 4 ? 2 : 0;
        c.frac = k == 5 ? 9 : 0;
        c.images = k == 6 ? 3 : 4;
        pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
        struct ccz_mpcml_network *net = random_network(&other, 0.5F, 1);
        replace_client(&p, net, &c, p.images);
        pair_run(&p);
        both_refuse(&p, k == 5 ? "mpc:hello-frac" : "mpc:hello-program");
        pair_free(&p);
        ccz_mpcml_network_free(net);
    }
}

static void test_missing(void)
{
    const struct ccz_mpcml_spec mlp = spec_mlp(6, 4, 3);
    const struct ccz_mpcml_nn_cfg cfg = {.images = 4};
    struct pair p;
    pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_LOCAL);
    pair_run(&p);
    both_refuse(&p, "mpcml:trunc");
    pair_free(&p);
    pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
    replace_client(&p, p.bare, &cfg, NULL);
    pair_run(&p);
    both_refuse(&p, "mpcml:data");
    pair_free(&p);
    pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
    ccz_mpcml_nn_free(p.side[0].nn);
    CHECK(ccz_mpcml_nn_new(&p.side[0].nn, 0, p.bare, &cfg, NULL, NULL) == CCZ_OK);
    pair_run(&p);
    both_refuse(&p, "mpcml:weights");
    pair_free(&p);
    pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL); /* both say that they are the client */
    ccz_mpcml_nn_free(p.side[0].nn);
    CHECK(ccz_mpcml_nn_new(&p.side[0].nn, 1, p.bare, &cfg, p.images, NULL) == CCZ_OK);
    pair_run(&p);
    both_refuse(&p, "mpcml:session");
    pair_free(&p);
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
    struct pair p;
    pair_init(&p, &mlp, &cfg, CCZ_MPC_TRUNC_FAITHFUL);
    for (int i = 0; i < 2; i++) {
        pair_run(&p);
        pair_ok(&p);
        CHECK(memcmp(ccz_mpcml_nn_output(p.side[1].nn), p.expected, p.len * 8) == 0);
        for (int r = 0; r < 2; r++)
            ccz_chan_free(p.side[r].chan);
        CHECK(ccz_chan_pair(&p.side[0].chan, &p.side[1].chan, NULL, NULL) == CCZ_OK);
    }
    ccz_chan_close(p.side[0].chan, "gone"); /* what came out before is no result of this run */
    pair_run(&p);
    CHECK(p.side[1].rc == CCZ_E_CLOSED && ccz_mpcml_nn_output(p.side[1].nn) == NULL);
    pair_free(&p);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"nn2.same", test_same},         {"nn2.settings", test_settings},
        {"nn2.one_bit", test_one_bit},   {"nn2.reveals", test_reveals},
        {"nn2.plan", test_plan},         {"nn2.cost", test_cost},
        {"nn2.mismatch", test_mismatch}, {"nn2.missing", test_missing},
        {"nn2.again", test_again}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
