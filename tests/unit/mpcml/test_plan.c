/* SPDX-License-Identifier: Apache-2.0 */
/* Plans against the counters of real runs, and what a session can be used for more than once. */
#include "kit.h"

static struct ccz_mpcml_plan *plan_of(const struct kit_lr *k, const struct kit_party *p)
{
    struct ccz_mpcml_plan *plan;
    OK(ccz_mpcml_plan_new(&plan, ccz_mpcml_lr_program(k->lr[p->cfg.role]), &p->cfg, e));
    return plan;
}

/* Of one party's counters; with a dealer, of both parties' channels to it as well. */
static uint64_t measured(const struct kit_pair *pair, unsigned phase)
{
    uint64_t size = kit_bytes(&pair->p[0].stats, phase);
    if (pair->dealer[1] && phase == CCZ_MPC_OFFLINE) {
        const struct ccz_chan_stats other = ccz_chan_stats(pair->p[1].dealer);
        size += other.sent_size + other.received_size;
    }
    return size;
}

static bool within(uint64_t got, uint64_t planned, double share)
{
    return fabs((double)got - (double)planned) <= share * (double)planned;
}

static void check_plan(const struct kit_pair *pair, const struct ccz_mpcml_plan *plan)
{
    static const char *const names[] = {"set-up", "offline", "online"};
    /* Paillier ciphertexts have headers that are estimated; stores are filled in pieces, of which a second filling finds some */
    const bool filled_twice = strcmp(plan->choices[0].chosen.source, "ot") == 0;
    const double share = plan->setting->source == CCZ_MPC_SOURCE_PAILLIER ? 0.15
                         : filled_twice                                   ? 0.01
                                                                          : 0;
    uint64_t all = 0, rounds = 0;
    for (unsigned i = 0; i < CCZ_MPC_PHASES; i++) {
        const uint64_t size = measured(pair, i), r = pair->p[0].stats.phase[i].rounds;
        all += size;
        rounds += r;
        if (!within(size, plan->phase[i].size, share) || r != plan->phase[i].rounds)
            fprintf(stderr, "%s, %s: %llu bytes of %llu, %llu rounds of %llu\n",
                    plan->setting->name, names[i], (unsigned long long)size,
                    (unsigned long long)plan->phase[i].size, (unsigned long long)r,
                    (unsigned long long)plan->phase[i].rounds);
    }
    CHECK(within(all, plan->total.size, share));
    const struct ccz_mpc_phase_stats *online = &pair->p[0].stats.phase[CCZ_MPC_ONLINE];
    CHECK(plan->phase[CCZ_MPC_ONLINE].size == online->sent_size + online->received_size);
    CHECK(plan->phase[CCZ_MPC_ONLINE].rounds == online->rounds);
    CHECK(rounds == plan->total.rounds);
}

static void planned(const struct ccz_mpcml_lr_cfg *cfg, const char *setting,
                    enum ccz_mpc_trunc trunc)
{
    struct kit_lr k;
    struct kit_pair pair;
    kit_lr_init(&k, cfg, 5);
    kit_lr_start(&pair, &k, setting);
    for (unsigned p = 0; p < 2; p++)
        pair.p[p].cfg.trunc = trunc;
    struct ccz_mpcml_plan *plan = plan_of(&k, &pair.p[0]);
    pair.p[0].cfg.plan = plan; /* the other one makes its own */
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++)
        kit_expect(&pair.p[p], CCZ_OK, "");
    check_plan(&pair, plan);
    kit_free(&pair);
    ccz_mpcml_plan_free(plan);
    kit_lr_free(&k);
}

static void test_counters(void)
{
    static const char *const names[] = {"rounds", "ot", "he-each", "he-packed", "silent", "dealer"};
    const struct ccz_mpcml_lr_cfg cfg = {.rows = {70, 70},
                                         .columns = {5, 9},
                                         .batch = 32,
                                         .epochs = 2,
                                         .rate = 0.3,
                                         .score_rows = {9, 9},
                                         .score_to = CCZ_MPC_TO_BOTH};
    const struct ccz_mpcml_lr_cfg by_rows = {.split = CCZ_MPCML_ROWS,
                                             .rows = {40, 50},
                                             .columns = {12, 12},
                                             .batch = 32,
                                             .epochs = 1,
                                             .rate = 0.3,
                                             .weights = CCZ_MPCML_WEIGHTS_TO_BOTH};
    const struct ccz_mpcml_lr_cfg linear = {.model = CCZ_MPCML_LINEAR,
                                            .rows = {40, 40},
                                            .columns = {12, 12},
                                            .batch = 32,
                                            .epochs = 1,
                                            .rate = 0.3};
    const struct ccz_mpcml_lr_cfg tiny = {
        .rows = {4, 4}, .columns = {1, 2}, .batch = 4, .epochs = 1, .rate = 0.3};
    for (int i = 0; i < 6; i++) {
        planned(&cfg, names[i], CCZ_MPC_TRUNC_FAITHFUL);
        planned(&by_rows, names[i], CCZ_MPC_TRUNC_ONE_BIT);
    }
    planned(&linear, "rounds", CCZ_MPC_TRUNC_FAITHFUL);
    planned(&tiny, "paillier", CCZ_MPC_TRUNC_FAITHFUL);
}

/* The bars of rounds and bytes are those of plans: 10 features, 10 batches of 128, one epoch; 100 features, 8 batches. */
static void test_bars(void)
{
    const struct ccz_mpcml_lr_cfg ten = {
        .rows = {1280, 1280}, .columns = {5, 5}, .batch = 128, .epochs = 1, .rate = 0.1};
    const struct ccz_mpcml_lr_cfg hundred = {
        .rows = {1024, 1024}, .columns = {50, 50}, .batch = 128, .epochs = 1, .rate = 0.1};
    const struct ccz_mpcml_run_cfg run = {0};
    const struct ccz_mpcml_lr_cfg *const all[] = {&ten, &hundred};
    const uint64_t size[] = {10000000, 20000000};
    for (int i = 0; i < 2; i++) {
        struct ccz_mpcml_lr *lr;
        struct ccz_mpcml_plan *plan;
        OK(ccz_mpcml_lr_new(&lr, 0, all[i], NULL, e));
        OK(ccz_mpcml_plan_new(&plan, ccz_mpcml_lr_program(lr), &run, e));
        CHECK(plan->total.rounds <= 255 && plan->total.size <= size[i]);
        ccz_mpcml_plan_free(plan);
        ccz_mpcml_lr_free(lr);
    }
}

/* -------------------------------------------------------------------------------------- choices */

struct chosen {
    const char *of[CCZ_MPC_NEED_KINDS];
    uint64_t size[CCZ_MPC_NEED_KINDS];
};

static void on_choice(void *arg, const char *source, enum ccz_mpc_need_kind kind, size_t needs,
                      const struct ccz_mpc_cost *cost)
{
    struct chosen *c = arg;
    (void)needs;
    c->of[kind] = source;
    c->size[kind] = cost->size + cost->setup_size;
}

/* What the source takes is what the plan said, whichever that is. */
static void choices(const struct ccz_mpcml_lr_cfg *cfg, struct ccz_mpcml_net net, const char *name)
{
    struct chosen c[2] = {{{0}, {0}}};
    struct kit_lr k;
    struct kit_pair pair;
    kit_lr_init(&k, cfg, 5);
    kit_lr_start(&pair, &k, "rounds");
    for (unsigned p = 0; p < 2; p++) {
        pair.p[p].cfg.net = net;
        pair.p[p].cfg.on_reveal = NULL;
        pair.p[p].cfg.on_choice = on_choice;
        pair.p[p].cfg.arg = &c[p];
    }
    struct ccz_mpcml_plan *plan = plan_of(&k, &pair.p[0]);
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++)
        kit_expect(&pair.p[p], CCZ_OK, "");
    const struct ccz_mpcml_choice *cross = &plan->choices[0];
    CHECK(cross->kind == CCZ_MPC_CROSS_MATMUL && cross->others_len == 3);
    CHECK(strcmp(cross->chosen.source, name) == 0);
    for (unsigned p = 0; p < 2; p++) {
        CHECK(strcmp(c[p].of[CCZ_MPC_CROSS_MATMUL], name) == 0);
        CHECK(c[p].size[CCZ_MPC_CROSS_MATMUL] ==
              cross->chosen.cost.size + cross->chosen.cost.setup_size);
    }
    for (size_t i = 0; i < cross->others_len; i++)
        CHECK(cross->others[i].cost.size > 0 &&
              (strcmp(cross->others[i].source, "dealer") == 0 ||
               cross->others[i].seconds >= cross->chosen.seconds));
    kit_free(&pair);
    ccz_mpcml_plan_free(plan);
    kit_lr_free(&k);
}

static void test_choices(void)
{
    const struct ccz_mpcml_lr_cfg tiny = {
        .rows = {8, 8}, .columns = {1, 1}, .batch = 8, .epochs = 1, .rate = 0.3};
    const struct ccz_mpcml_lr_cfg large = {
        .rows = {128, 128}, .columns = {30, 30}, .batch = 64, .epochs = 2, .rate = 0.3};
    choices(&tiny, (struct ccz_mpcml_net){0}, "ot");
    choices(&large, (struct ccz_mpcml_net){0}, "he");
    choices(&large, (struct ccz_mpcml_net){.bytes_per_s = 1e6, .rtt_s = 0.05}, "he");
}

/* The plan's distance is the run's, with mixed sources too; a run that would go beyond the bound makes no randomness. */
static void test_distance(void)
{
    static const char *const settings[] = {"rounds", "he-each", "paillier", "ot"};
    const struct ccz_mpcml_lr_cfg cfg = {
        .rows = {24, 24}, .columns = {120, 120}, .batch = 12, .epochs = 1, .rate = 0.3};
    struct kit_lr k;
    kit_lr_init(&k, &cfg, 5);
    for (int i = 0; i < 4; i++)
        for (int strict = 0; strict < 2; strict++) {
            struct kit_pair pair;
            kit_lr_start(&pair, &k, settings[i]);
            for (unsigned p = 0; p < 2; p++) {
                pair.p[p].cfg.stat_bits = strict ? 64 : 0;
                pair.p[p].cfg.net.bytes_per_s = 5e5; /* where "rounds" takes ciphertexts */
            }
            struct ccz_mpcml_plan *plan = plan_of(&k, &pair.p[0]);
            kit_run(&pair);
            CHECK((plan->distance == 0) == (i == 3) && plan->distance < 0x1p-44);
            const bool refused = strict && plan->distance > 0x1p-64;
            for (unsigned p = 0; p < 2; p++)
                kit_expect(&pair.p[p], refused ? CCZ_E_LIMIT : CCZ_OK,
                           refused ? "mpc:he-distance" : "");
            CHECK((strict && i < 3) == refused);
            const double d[2] = {pair.p[0].stats.distance, pair.p[1].stats.distance};
            CHECK(fmax(d[0], d[1]) == (refused ? 0 : plan->distance));
            char text[8192];
            CHECK(ccz_mpcml_plan_text(text, sizeof(text), plan) < sizeof(text));
            CHECK(strstr(text, i == 3 ? "statistical distance 0" : "statistical distance 2^-"));
            CHECK(!refused || pair.p[0].reveals_len + pair.p[1].reveals_len == 0);
            ccz_mpcml_plan_free(plan);
            kit_free(&pair);
        }
    kit_lr_free(&k);
}

static void test_text(void)
{
    const struct ccz_mpcml_lr_cfg cfg = {
        .rows = {64, 64}, .columns = {15, 15}, .batch = 64, .epochs = 1, .rate = 0.3};
    struct kit_lr k;
    struct kit_party p = {.cfg.role = 0};
    static char text[8192], cut[100];
    kit_lr_init(&k, &cfg, 5);
    struct ccz_mpcml_plan *plan = plan_of(&k, &p);
    const size_t size = ccz_mpcml_plan_text(text, sizeof(text), plan);
    CHECK(size == strlen(text) && size > 300);
    static const char *const words[] = {
        "setting rounds", "cross-matmul", "ots",     "instead of",        "paillier",
        "dealer",         "total",        "offline", "estimated seconds", "statistical distance 0"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        CHECK(strstr(text, words[i]));
    CHECK(ccz_mpcml_plan_text(cut, sizeof(cut), plan) == size && strlen(cut) == sizeof(cut) - 1);
    CHECK(ccz_mpcml_plan_text(NULL, 0, plan) == size);
    ccz_mpcml_plan_free(plan);
    kit_lr_free(&k);
}

static void test_names(void)
{
    for (unsigned i = 0; i < CCZ_MPCML_OPTIMIZES; i++) {
        const struct ccz_mpcml_setting *s = ccz_mpcml_setting((enum ccz_mpcml_optimize)i);
        CHECK(s && (unsigned)s->optimize == i && ccz_mpcml_setting_named(s->name) == s);
    }
    CHECK(ccz_mpcml_setting_named(NULL) == ccz_mpcml_setting(CCZ_MPCML_ROUNDS));
    CHECK(!ccz_mpcml_setting_named("fast") && !ccz_mpcml_setting(CCZ_MPCML_OPTIMIZES));
}

/* ---------------------------------------------------------------------------------------- again */

struct again {
    struct ccz_chan *chan;
    struct kit_lr *k;
    unsigned role;
    struct ccz_mpcml_plan *plan;
};

/* The same object twice in one session, and a plan in between: numbers of tensors go on. */
static void *run_again(void *arg)
{
    struct again *a = arg;
    const struct ccz_mpcml_program *program = ccz_mpcml_lr_program(a->k->lr[a->role]);
    const struct ccz_mpcml_run_cfg cfg = {.role = a->role,
                                          .setting = ccz_mpcml_setting_named("silent")};
    struct ccz_mpc_cfg session;
    struct ccz_mpc_source *source;
    CCZ_AUTO(ccz_mpc) m = NULL;
    OK(ccz_mpcml_session_cfg(&session, program, &cfg, e));
    OK(ccz_mpc_new(&m, a->chan, &session, e));
    OK(ccz_mpcml_source_new(&source, m, program, &cfg, e));
    OK(ccz_mpc_attach(m, source, e));
    for (int i = 0; i < 2; i++) {
        OK(ccz_mpcml_plan_new(&a->plan, program, &cfg, e));
        CHECK((ccz_mpcml_lr_result(a->k->lr[a->role]).weights != NULL) == (i == 1));
        struct ccz_err err;
        CHECK(ccz_mpcml_run_on(m, program, ccz_mpcml_setting_named("ot"), a->plan, &err) ==
                  CCZ_E_ARG &&
              strcmp(err.where, "mpcml:plan") == 0);
        const struct ccz_mpc_stats before = ccz_mpc_stats(m);
        OK(ccz_mpcml_run_on(m, program, cfg.setting, a->plan, e));
        const struct ccz_mpc_stats after = ccz_mpc_stats(m);
        const unsigned f = CCZ_MPC_OFFLINE, s = CCZ_MPC_SETUP;
        CHECK(after.phase[f].rounds - before.phase[f].rounds <= a->plan->phase[f].rounds);
        if (i == 1) /* keys and base OTs are there: what is compared alone */
            CHECK(after.phase[s].rounds - before.phase[s].rounds == 1 &&
                  kit_bytes(&after, s) - kit_bytes(&before, s) == 2 * CCZ_MPC_PROGRAM_SIZE);
        ccz_mpcml_plan_free(a->plan);
    }
    return NULL;
}

static void test_again(void)
{
    const struct ccz_mpcml_lr_cfg cfg = {
        .rows = {20, 20}, .columns = {3, 2}, .batch = 8, .epochs = 2, .rate = 0.3};
    int64_t expected[6], got[6];
    struct kit_lr k;
    struct again a[2];
    pthread_t t;
    kit_lr_init(&k, &cfg, 5);
    OK(ccz_chan_pair(&a[0].chan, &a[1].chan, NULL, e));
    for (unsigned p = 0; p < 2; p++) {
        a[p].k = &k;
        a[p].role = p;
    }
    CHECK(pthread_create(&t, NULL, run_again, &a[1]) == 0);
    (void)run_again(&a[0]);
    CHECK(pthread_join(t, NULL) == 0);
    OK(ccz_mpcml_lr_simulate(expected, NULL, &cfg, k.data, e));
    kit_lr_words(got, &k);
    CHECK(memcmp(expected, got, sizeof(got)) == 0);
    for (unsigned p = 0; p < 2; p++)
        ccz_chan_free(a[p].chan);
    kit_lr_free(&k);
}

/* ------------------------------------------------------------------------------- another program */

/* One program after the other in a session, and how the second one ended. */
struct second {
    struct ccz_chan *chan;
    struct kit_lr *first, *second;
    unsigned role;
    const char *setting;
    size_t reveals;
    ccz_rc rc;
    struct ccz_err err;
};

static void count_reveal(void *arg, const struct ccz_mpc_reveal *r)
{
    (void)r;
    ++*(size_t *)arg;
}

static void *run_second(void *arg)
{
    struct second *a = arg;
    const struct kit_lr *k[2] = {a->first, a->second};
    struct ccz_mpcml_run_cfg cfg = {.role = a->role,
                                    .setting = ccz_mpcml_setting_named(a->setting),
                                    .on_reveal = count_reveal,
                                    .arg = &a->reveals};
    struct ccz_mpc_cfg session;
    struct ccz_mpc_source *source;
    CCZ_AUTO(ccz_mpc) m = NULL;
    OK(ccz_mpcml_session_cfg(&session, ccz_mpcml_lr_program(k[0]->lr[a->role]), &cfg, e));
    OK(ccz_mpc_new(&m, a->chan, &session, e));
    OK(ccz_mpcml_source_new(&source, m, ccz_mpcml_lr_program(k[0]->lr[a->role]), &cfg, e));
    if (source)
        OK(ccz_mpc_attach(m, source, e));
    for (int i = 0; i < 2; i++) {
        const struct ccz_mpcml_program *program = ccz_mpcml_lr_program(k[i]->lr[a->role]);
        CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
        a->reveals = 0;
        cfg.later = i == 1;
        OK(ccz_mpcml_plan_new(&plan, program, &cfg, e));
        a->rc = ccz_mpcml_run_on(m, program, cfg.setting, plan, &a->err);
        CHECK(i == 1 || a->rc == CCZ_OK);
    }
    ccz_chan_close(a->chan, a->err.where);
    return NULL;
}

/* @param k  first program; second program of both parties */
static void one_then(struct second a[2], struct kit_lr *first, struct kit_lr *const second[2],
                     const char *setting)
{
    pthread_t t;
    memset(a, 0, 2 * sizeof(*a));
    OK(ccz_chan_pair(&a[0].chan, &a[1].chan, NULL, e));
    for (unsigned p = 0; p < 2; p++) {
        ccz_chan_set_timeout(a[p].chan, 60000);
        a[p].first = first;
        a[p].second = second[p];
        a[p].role = p;
        a[p].setting = setting;
    }
    CHECK(pthread_create(&t, NULL, run_second, &a[1]) == 0);
    (void)run_second(&a[0]);
    CHECK(pthread_join(t, NULL) == 0);
    for (unsigned p = 0; p < 2; p++)
        ccz_chan_free(a[p].chan);
}

static const struct ccz_mpcml_lr_cfg some = {
    .rows = {20, 20}, .columns = {3, 2}, .batch = 8, .epochs = 1, .rate = 0.3, .seed = 7};

/* Nothing of a program that the other party does not run is used, though the session's first program was the same. */
static void test_second(void)
{
    static const char *const settings[] = {"silent", "he-each", "ot"};
    struct ccz_mpcml_lr_cfg other[3] = {some, some, some};
    struct kit_lr k, same, differs;
    struct second a[2];
    int64_t expected[6], got[6];
    other[0].seed = 8;
    other[1].weights = CCZ_MPCML_WEIGHTS_TO_1;
    other[2].range = 15; /* the bound of features alone, of what both know */
    kit_lr_init(&k, &some, 5);
    kit_lr_init(&same, &other[0], 6);
    struct kit_lr *const both[2] = {&same, &same};
    one_then(a, &k, both, "silent"); /* another one, at both */
    for (unsigned p = 0; p < 2; p++)
        CHECK(a[p].rc == CCZ_OK && a[p].reveals > 0);
    OK(ccz_mpcml_lr_simulate(expected, NULL, &other[0], same.data, e));
    kit_lr_words(got, &same);
    CHECK(memcmp(expected, got, sizeof(got)) == 0);
    kit_lr_free(&same);
    for (int i = 0; i < 3; i++)
        for (unsigned who = 0; who < 2; who++) {
            kit_lr_init(&same, &some, 6);
            kit_lr_init(&differs, &other[i], 6);
            /* who runs the hello's own program again: it must not go on alone */
            struct kit_lr *const mixed[2] = {who ? &same : &differs, who ? &differs : &same};
            one_then(a, &k, mixed, settings[i]);
            bool named = false;
            for (unsigned p = 0; p < 2; p++) {
                const bool own = strcmp(a[p].err.where, "mpc:hello-program") == 0;
                CHECK(a[p].rc != CCZ_OK && a[p].reveals == 0);
                CHECK(own || strstr(a[p].err.msg, "mpc:hello-program"));
                named = named || own;
            }
            CHECK(named);
            kit_lr_free(&differs);
            kit_lr_free(&same);
        }
    kit_lr_free(&k);
}

/* A plan of a later program: a comparison instead of a hello. */
static void test_later(void)
{
    struct kit_lr k;
    struct ccz_mpcml_run_cfg cfg = {0};
    struct ccz_mpcml_plan *first, *later;
    kit_lr_init(&k, &some, 5);
    OK(ccz_mpcml_plan_new(&first, ccz_mpcml_lr_program(k.lr[0]), &cfg, e));
    cfg.later = true;
    OK(ccz_mpcml_plan_new(&later, ccz_mpcml_lr_program(k.lr[0]), &cfg, e));
    const struct ccz_mpcml_phase_cost *a = &first->phase[CCZ_MPC_SETUP],
                                      *b = &later->phase[CCZ_MPC_SETUP];
    CHECK(a->rounds == b->rounds && first->total.rounds == later->total.rounds);
    CHECK(a->size - b->size == 2 * (CCZ_MPC_HELLO_SIZE - CCZ_MPC_PROGRAM_SIZE));
    CHECK(first->total.size - later->total.size == a->size - b->size);
    ccz_mpcml_plan_free(first);
    ccz_mpcml_plan_free(later);
    kit_lr_free(&k);
}

/* Plans of another program, and sessions the program was not made for. */
struct misfit {
    struct ccz_chan *chan;
    struct kit_lr *k, *other;
    unsigned role, ring_bits;
    bool wrong_plan, wrong_role;
    const char *where;
};

static void *run_misfit(void *arg)
{
    struct misfit *a = arg;
    const unsigned who = a->wrong_role ? 1 - a->role : a->role;
    const struct ccz_mpcml_program *program = ccz_mpcml_lr_program(a->k->lr[who]),
                                   *planned = ccz_mpcml_lr_program(a->other->lr[who]);
    const struct ccz_mpcml_run_cfg cfg = {.role = a->role,
                                          .setting = ccz_mpcml_setting_named("ot")};
    struct ccz_mpc_cfg session;
    struct ccz_err err;
    CCZ_AUTO(ccz_mpc) m = NULL;
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    OK(ccz_mpcml_session_cfg(&session, program, &cfg, e));
    session.ring_bits = a->ring_bits;
    OK(ccz_mpc_new(&m, a->chan, &session, e));
    OK(ccz_mpcml_plan_new(&plan, a->wrong_plan ? planned : program, &cfg, e));
    CHECK(ccz_mpcml_run_on(m, program, cfg.setting, plan, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, a->where) == 0);
    CHECK(ccz_mpc_status(m, NULL) == CCZ_OK && ccz_mpc_stats(m).reveals == 0);
    return NULL;
}

static void test_misfits(void)
{
    static const struct misfit all[] = {
        {.ring_bits = 64, .wrong_plan = true, .where = "mpcml:plan"},
        {.ring_bits = 32, .where = "mpcml:session"},
        {.ring_bits = 64, .wrong_role = true, .where = "mpcml:session"},
    };
    struct ccz_mpcml_lr_cfg cfg = some;
    struct kit_lr k, other;
    cfg.seed++;
    kit_lr_init(&k, &some, 5);
    kit_lr_init(&other, &cfg, 5);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct misfit a[2] = {all[i], all[i]};
        pthread_t t;
        OK(ccz_chan_pair(&a[0].chan, &a[1].chan, NULL, e));
        for (unsigned p = 0; p < 2; p++) {
            a[p].role = p;
            a[p].k = &k;
            a[p].other = &other;
        }
        CHECK(pthread_create(&t, NULL, run_misfit, &a[1]) == 0);
        (void)run_misfit(&a[0]);
        CHECK(pthread_join(t, NULL) == 0);
        for (unsigned p = 0; p < 2; p++)
            ccz_chan_free(a[p].chan);
    }
    kit_lr_free(&other);
    kit_lr_free(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpcml_plan.counters", test_counters}, {"mpcml_plan.bars", test_bars},
        {"mpcml_plan.choices", test_choices},   {"mpcml_plan.text", test_text},
        {"mpcml_plan.names", test_names},       {"mpcml_plan.again", test_again},
        {"mpcml_plan.second", test_second},     {"mpcml_plan.later", test_later},
        {"mpcml_plan.misfits", test_misfits},   {"mpcml_plan.distance", test_distance},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
