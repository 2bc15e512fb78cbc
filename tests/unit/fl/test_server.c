/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds: who takes part, what is averaged, what happens to those who are late, lost or gone. */
#include "fl/world.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-4;
}

static void end_with(struct world *w, const char *where)
{
    struct ccz_err why = {0};
    CHECK(ccz_fl_server_over(w->s, &why));
    CHECK(strcmp(why.where, where) == 0);
}

/* Weighted by samples: clients pull to 1, 2, 3 with 10, 20, 30 samples. */
static void test_fedavg(void)
{
    struct world w = {.len = 3, .cfg = {.rounds = 2, .members_min = 3, .train = {.lr = 0.5F}}};
    CHECK(ccz_key_generate(&w.key, CCZ_P256) == CCZ_OK);
    world_begin(&w, 700000); /* three chunks */
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    end_with(&w, "");
    CHECK(w.recs == 2 && ccz_fl_server_round(w.s) == 2);
    const float *x = ccz_fl_server_params(w.s);
    /* after round r: goal * (1 - 0.5^r) */
    double goal = (1 * 10 + 2 * 20 + 3 * 30) / 60.0;
    CHECK(near((double)x[0], 0.75 * goal));
    CHECK(near((double)x[699999], 0.75 * (goal + 699.999)) ||
          fabs((double)x[699999] - 0.75 * (goal + 699.999)) < 1e-2);
    CHECK(w.rec[0].selected == 3 && w.rec[0].delivered == 3 && w.rec[0].samples == 60);
    CHECK(w.rec[0].update_norm > 0 && w.rec[0].norm_max >= w.rec[0].norm_mean);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(w.seat[i].over && w.seat[i].rounds == 2 && w.seat[i].rec.accepted);
        CHECK(ccz_fl_client_round(w.seat[i].c) == 2); /* the last model was delivered */
        CHECK(memcmp(ccz_fl_client_params(w.seat[i].c), x, 700000 * sizeof(float)) == 0);
        CHECK(w.seat[i].toy.trainings == 2);
    }
    CHECK(ccz_fl_server_final_eval(w.s).samples == 60);
    CHECK(near(ccz_fl_server_final_eval(w.s).accuracy, 1));
    world_end(&w);
}

static void test_equal_weights(void)
{
    struct world w = {
        .len = 3,
        .cfg = {.rounds = 1, .members_min = 3, .train = {.lr = 1}, .agg = {.equal_weights = true}}};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(near((double)ccz_fl_server_params(w.s)[0], 2));
    world_end(&w);
}

/* Local settings reach the trainer; the rate decays; FedProx pulls back. */
static void test_task(void)
{
    struct world w = {
        .len = 1,
        .cfg = {
            .rounds = 3,
            .lr_decay = 0.5,
            .eval_every = 1,
            .seeded = true,
            .seed = 7,
            .train = {.epochs = 2, .batch = 8, .lr = 0.1F, .momentum = 0.9F, .prox_mu = 0.25F}}};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    const struct ccz_fl_train_cfg *t = &w.seat[0].toy.last;
    CHECK(t->round == 3 && t->epochs == 2 && t->batch == 8 && t->momentum == 0.9F);
    CHECK(t->prox_mu == 0.25F && near((double)t->lr, 0.025) && t->seed != 0);
    CHECK(w.rec[0].base_eval.samples == 10 && w.rec[2].base_eval.samples == 10);
    world_end(&w);
}

static void test_sampling(void)
{
    unsigned times[8] = {0};
    struct world w = {
        .len = 8,
        .cfg = {.rounds = 20, .members_min = 8, .sample_len = 3, .seeded = true, .seed = 5}};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == 20);
    for (unsigned i = 0; i < 8; i++) {
        times[i] = (unsigned)w.seat[i].toy.trainings;
        CHECK(times[i] > 0 && times[i] < 20);
    }
    float first = ccz_fl_server_params(w.s)[0];
    world_end(&w);
    /* The same seed draws the same members, whatever the order in which they come. */
    struct world v = {.len = 8, .cfg = w.cfg};
    world_begin(&v, 10);
    world_server(&v);
    for (unsigned i = 8; i-- > 0;)
        world_join(&v, i);
    world_run(&v);
    for (unsigned i = 0; i < 8; i++)
        CHECK(v.seat[i].toy.trainings == times[i]);
    CHECK(ccz_fl_server_params(v.s)[0] == first);
    world_end(&v);
}

/* A member that vanishes in the middle of its upload leaves nothing; with a quorum the round goes on. */
static void test_dropout(void)
{
    struct world w = {.len = 3,
                      .cfg = {.rounds = 1, .members_min = 3, .quorum = 2, .train = {.lr = 1}}};
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_begin(&w, 1000000);
    world_server(&w);
    world_join_all(&w);
    for (unsigned i = 0; i < 3; i++)
        CHECK(world_step(&w, i, &msg));
    while (w.seat[2].toy.trainings == 0)
        CHECK(world_step(&w, 2, &msg));
    for (unsigned i = 0; i < 4; i++) /* offer, grant, two of four chunks */
        CHECK(world_step(&w, 2, &msg));
    world_leave(&w, 2);
    world_run_but(&w, 2);
    CHECK(w.recs == 1 && w.rec[0].delivered == 2 && w.rec[0].dropped == 1);
    CHECK(near((double)ccz_fl_server_params(w.s)[0], (1 * 10 + 2 * 20) / 30.0));
    ccz_buf_free(&msg);
    world_end(&w);
}

/* Without a spare member the round waits, and who comes back within it has its seat and trains again. */
static void test_return(void)
{
    struct world w = {.len = 2,
                      .cfg = {.rounds = 1, .members_min = 2, .train = {.lr = 1}, .seeded = true}};
    world_begin(&w, 1000);
    world_server(&w);
    world_join_all(&w);
    world_run_but(&w, 1);
    world_leave(&w, 1);
    world_run(&w);
    CHECK(w.recs == 0 && !ccz_fl_server_over(w.s, NULL));
    world_join(&w, 1);
    world_run(&w);
    CHECK(w.recs == 1 && w.rec[0].delivered == 2 && w.rec[0].attempt == 1);
    CHECK(near((double)ccz_fl_server_params(w.s)[0], (1 * 10 + 2 * 20) / 30.0));
    world_end(&w);
}

/* A whole update counts, also when its member is gone before its turn. */
static void test_left_behind(void)
{
    struct world w = {
        .len = 2,
        .cfg = {.rounds = 1, .members_min = 2, .slots = 2, .train = {.lr = 1}, .seeded = true}};
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_begin(&w, 1000);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == 1);
    world_end(&w);
    struct world v = {.len = 2, .cfg = w.cfg};
    world_begin(&v, 1000);
    world_server(&v);
    world_join_all(&v);
    while (v.seat[0].toy.trainings + v.seat[1].toy.trainings < 2)
        for (unsigned i = 0; i < 2; i++)
            (void)world_step(&v, i, &msg);
    /* Both offer; m-01 uploads all of it while m-00 has not sent a byte. */
    (void)world_up(&v, 0, &msg);
    while (world_step(&v, 1, &msg))
        ;
    world_leave(&v, 1);
    CHECK(v.recs == 0);
    world_join(&v, 1);
    world_run_but(&v, 0);
    CHECK(v.seat[1].toy.trainings == 1); /* not asked again */
    world_run(&v);
    CHECK(v.recs == 1 && v.rec[0].delivered == 2);
    CHECK(near((double)ccz_fl_server_params(v.s)[0], (1 * 10 + 2 * 20) / 30.0));
    ccz_buf_free(&msg);
    world_end(&v);
}

/* Who comes after a round began is in the next one. */
static void test_late_joiner(void)
{
    struct world w = {.len = 2, .cfg = {.rounds = 2, .members_min = 1, .train = {.lr = 1}}};
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_begin(&w, 10);
    world_server(&w);
    world_join(&w, 0);
    CHECK(world_step(&w, 0, &msg)); /* hello: round 1 begins */
    world_join(&w, 1);
    world_run_but(&w, 0);
    CHECK(w.seat[1].toy.trainings == 0);
    world_run(&w);
    CHECK(w.recs == 2 && w.rec[0].selected == 1 && w.rec[1].selected == 2);
    CHECK(near((double)ccz_fl_server_params(w.s)[0], (1 * 10 + 2 * 20) / 30.0));
    ccz_buf_free(&msg);
    world_end(&w);
}

/* At the deadline a quorum is enough; the straggler hears why, and is welcome in the next round. */
static void test_straggler(void)
{
    struct world w = {.len = 3,
                      .cfg = {.rounds = 2,
                              .members_min = 2,
                              .quorum = 2,
                              .round_timeout_ms = 1000,
                              .train = {.lr = 1}}};
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    for (unsigned i = 0; i < 3; i++)
        CHECK(world_step(&w, i, &msg)); /* hellos */
    world_run_but(&w, 2);               /* m-02 came when the first round had begun */
    CHECK(w.recs == 1);
    while (w.seat[2].toy.trainings == 0)
        CHECK(world_step(&w, 2, &msg)); /* and now keeps its update to itself */
    w.now_ms = 999;
    CHECK(ccz_fl_server_tick(w.s, w.now_ms) == 1000);
    CHECK(w.recs == 1);
    w.now_ms = 1000;
    (void)ccz_fl_server_tick(w.s, w.now_ms);
    CHECK(w.recs == 2 && w.rec[1].dropped == 1 && w.rec[1].delivered == 2);
    CHECK(world_up(&w, 2, &msg));
    CHECK(w.refusals == 1 && strcmp(w.refusal.where, "fl:stale-update") == 0);
    world_run(&w);
    CHECK(strcmp(w.seat[2].rec.refusal.where, "fl:stale-update") == 0);
    CHECK(!w.seat[2].rec.accepted && w.seat[2].over && ccz_fl_client_round(w.seat[2].c) == 2);
    ccz_buf_free(&msg);
    world_end(&w);
}

/* An offer that crosses the last model on its way takes nothing away: the member evaluates it, and is counted. */
static void test_straggler_last(void)
{
    for (unsigned async = 0; async < 2; async++) {
        struct world w = {.len = 3,
                          .cfg = {.rounds = 1,
                                  .members_min = 3,
                                  .quorum = async ? 0 : 2,
                                  .buffer_len = async ? 2 : 0,
                                  .round_timeout_ms = 1000,
                                  .train = {.lr = 1}}};
        struct ccz_buf msg, offer;
        ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
        ccz_buf_init(&offer, CCZ_FL_MESSAGE_SIZE_MAX);
        world_begin(&w, 10);
        world_server(&w);
        world_join_all(&w);
        while (w.seat[2].toy.trainings == 0)
            for (unsigned i = 0; i < 3; i++)
                if (w.seat[i].toy.trainings == 0)
                    (void)world_step(&w, i, &msg);
        CHECK(ccz_fl_client_output(&offer, w.seat[2].c)); /* on its way */
        world_run_but(&w, 2);
        w.now_ms += async ? 0 : 1000;
        (void)ccz_fl_server_tick(w.s, w.now_ms);
        CHECK(w.recs == 1);
        while (world_down(&w, 2, &msg)) /* the last model */
            ;
        CHECK(w.seat[2].work);
        CHECK(ccz_fl_server_input(w.s, w.seat[2].member, ccz_buf_span(&offer), w.now_ms, NULL) ==
              CCZ_OK);
        CHECK(w.refusals == 1 && strcmp(w.refusal.where, "fl:stale-update") == 0);
        world_run(&w);
        CHECK(w.seat[2].over && w.seat[2].rc == CCZ_OK && ccz_fl_client_complete(w.seat[2].c));
        CHECK(ccz_fl_server_final_eval(w.s).samples == 60);
        ccz_buf_free(&msg);
        ccz_buf_free(&offer);
        world_end(&w);
    }
}

/* Without its quorum a round begins anew, as often as is allowed. */
static void test_quorum(void)
{
    struct world w = {.len = 2,
                      .cfg = {.rounds = 1,
                              .members_min = 2,
                              .round_timeout_ms = 1000,
                              .attempts_max = 2,
                              .train = {.lr = 1}}};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run_but(&w, 1);
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    CHECK(world_step(&w, 1, &msg)); /* hello */
    world_run_but(&w, 1);
    CHECK(w.seat[0].toy.trainings == 1 && w.recs == 0);
    w.now_ms = 1000;
    (void)ccz_fl_server_tick(w.s, w.now_ms);
    world_run_but(&w, 1);
    CHECK(w.seat[0].toy.trainings == 2 && w.recs == 0);
    w.now_ms = 2000;
    (void)ccz_fl_server_tick(w.s, w.now_ms);
    end_with(&w, "fl:quorum");
    world_run(&w);
    CHECK(w.seat[0].over && w.seat[0].rc == CCZ_E_PEER);
    ccz_buf_free(&msg);
    world_end(&w);
}

/* An upload that stands still gives up its slot. */
static void test_stall(void)
{
    struct world w = {.len = 2,
                      .cfg = {.rounds = 1,
                              .members_min = 2,
                              .quorum = 1,
                              .stall_ms = 500,
                              .round_timeout_ms = INT64_MAX,
                              .train = {.lr = 1}}};
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_begin(&w, 1000000);
    world_server(&w);
    world_join_all(&w);
    for (unsigned i = 0; i < 2; i++)
        CHECK(world_step(&w, i, &msg));
    while (w.seat[1].toy.trainings == 0)
        CHECK(world_step(&w, 1, &msg));
    CHECK(world_step(&w, 1, &msg) && world_step(&w, 1, &msg) && world_step(&w, 1, &msg));
    world_run_but(&w, 1);
    CHECK(w.recs == 0); /* the slot is taken */
    CHECK(ccz_fl_server_tick(w.s, 100) == 500);
    w.now_ms = 500;
    (void)ccz_fl_server_tick(w.s, w.now_ms);
    CHECK(strcmp(w.refusal.where, "fl:upload-stalled") == 0);
    world_run(&w); /* chunks that were under way do no harm */
    CHECK(w.recs == 1 && w.rec[0].delivered == 1 && w.rec[0].refused == 1);
    CHECK(near((double)ccz_fl_server_params(w.s)[0], 1));
    CHECK(w.seat[1].over && w.seat[1].rc == CCZ_OK);
    ccz_buf_free(&msg);
    world_end(&w);
}

static void test_stop(void)
{
    struct world w = {.len = 2, .cfg = {.rounds = 5, .members_min = 2}};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run_but(&w, 1);
    ccz_fl_server_stop(w.s, "maintenance");
    end_with(&w, "fl:stopped");
    world_run(&w);
    CHECK(w.seat[0].over && strcmp(w.seat[0].err.where, "fl:stopped") == 0);
    uint32_t id;
    struct ccz_err err;
    CHECK(ccz_fl_server_join(&id, w.s, "x", 0, &err) == CCZ_E_CLOSED);
    CHECK(strcmp(err.where, "fl:over") == 0);
    world_end(&w);
}

/* A model that cannot be kept is not shown to anybody. */
static void test_store_fails(void)
{
    struct world w = {.len = 1, .cfg = {.rounds = 2}, .store_rc = CCZ_E_IO};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    end_with(&w, "test:store");
    CHECK(w.recs == 0 && ccz_fl_client_round(w.seat[0].c) == 0);
    world_end(&w);
}

/* Members train all the time; the model steps after each two updates, older ones count less. */
static void test_async(void)
{
    struct world w = {.len = 3,
                      .cfg = {.rounds = 6,
                              .members_min = 3,
                              .buffer_len = 2,
                              .staleness_max = 2,
                              .agg = {.equal_weights = true},
                              .train = {.lr = 0.5F}}};
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    end_with(&w, "");
    CHECK(w.recs == 6);
    uint64_t trainings = 0;
    double staleness = 0;
    for (unsigned i = 0; i < 3; i++)
        trainings += w.seat[i].toy.trainings;
    for (unsigned i = 0; i < 6; i++) {
        CHECK(w.rec[i].delivered == 2);
        staleness += w.rec[i].staleness_mean;
    }
    CHECK(trainings >= 12 && staleness > 0);
    CHECK(ccz_fl_server_params(w.s)[0] > 1 && ccz_fl_server_params(w.s)[0] < 3);
    world_end(&w);
}

/* A member that sleeps over more versions than allowed is refused, and goes on with the newest. */
static void test_async_stale(void)
{
    struct world w = {.len = 2,
                      .cfg = {.rounds = 5,
                              .members_min = 2,
                              .buffer_len = 1,
                              .staleness_max = 2,
                              .train = {.lr = 0.5F}}};
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    for (unsigned i = 0; i < 2; i++)
        CHECK(world_step(&w, i, &msg));
    while (w.seat[1].toy.trainings == 0)
        CHECK(world_step(&w, 1, &msg));
    while (w.recs < 3)
        CHECK(world_step(&w, 0, &msg));
    CHECK(world_up(&w, 1, &msg)); /* its base is version 0, three behind */
    CHECK(w.refusals == 1 && strcmp(w.refusal.where, "fl:stale-update") == 0);
    uint64_t before = w.seat[1].toy.trainings;
    world_run(&w);
    CHECK(w.seat[1].toy.trainings > before || w.recs == 5);
    end_with(&w, "");
    ccz_buf_free(&msg);
    world_end(&w);
}

static void robust_world(struct world *w)
{
    world_begin(w, 5000);
    for (unsigned i = 0; i < w->len; i++)
        w->seat[i].toy.target =
            i + 1 == w->len ? 1e6F : 1.0F + 0.01F * (float)i; /* the last one lies */
    world_server(w);
    world_join_all(w);
    world_run(w);
    CHECK(w->recs == 1 && w->rec[0].delivered == w->len);
    float x = ccz_fl_server_params(w->s)[0];
    CHECK(x > 0.99F && x < 1.1F);
    world_end(w);
}

static void test_robust(void)
{
    const struct ccz_fl_server_cfg base = {.rounds = 1, .members_min = 5, .train = {.lr = 1}};
    struct world w = {.len = 5, .cfg = base};
    w.cfg.agg.rule = CCZ_FL_MEDIAN;
    robust_world(&w);
    w = (struct world){.len = 5, .cfg = base};
    w.cfg.agg.rule = CCZ_FL_TRIMMED;
    w.cfg.agg.trim = 0.2;
    robust_world(&w);
    w = (struct world){.len = 5, .cfg = base};
    w.cfg.agg.rule = CCZ_FL_KRUM;
    w.cfg.agg.byzantine = 1;
    w.cfg.quorum = 5;
    robust_world(&w);
    w = (struct world){.len = 5, .cfg = base};
    w.cfg.agg.rule = CCZ_FL_KRUM;
    w.cfg.agg.byzantine = 1;
    w.cfg.agg.krum_keep = 3;
    w.cfg.agg.codec.kind = CCZ_AGG_INT8;
    w.cfg.quorum = 5;
    robust_world(&w);
}

/* Every codec and optimizer gets there; error feedback makes up for what is lost. */
static void test_codecs(void)
{
    for (int kind = 0; kind < CCZ_AGG_CODECS; kind++) {
        struct world w = {.len = 2, .cfg = {.rounds = 60, .members_min = 2, .train = {.lr = 0.1F}}};
        w.cfg.agg.codec.kind = (enum ccz_agg_codec_kind)kind;
        w.cfg.agg.codec.topk = kind == CCZ_AGG_TOPK ? 200 : 0;
        world_begin(&w, 1000);
        world_server(&w);
        world_join_all(&w);
        world_run(&w);
        CHECK(w.recs == 60);
        double goal = (1 * 10 + 2 * 20) / 30.0, x = (double)ccz_fl_server_params(w.s)[500];
        CHECK(fabs(x - goal - 0.5) < 0.05);
        if (kind == CCZ_AGG_TOPK)
            CHECK(w.rec[3].received_size < 2 * 200 * 6 + 1000);
        if (kind == CCZ_AGG_INT8)
            CHECK(w.rec[3].received_size < 2 * 1016 + 1000);
        world_end(&w);
    }
}

static void test_optimizers(void)
{
    for (int kind = 0; kind < CCZ_AGG_OPT_KINDS; kind++) {
        struct world w = {.len = 2, .cfg = {.rounds = 60, .members_min = 2, .train = {.lr = 0.5F}}};
        w.cfg.agg.opt.kind = (enum ccz_agg_opt_kind)kind;
        if (kind >= CCZ_AGG_FEDADAGRAD) {
            w.cfg.agg.opt = ccz_agg_opt_defaults((enum ccz_agg_opt_kind)kind);
            w.cfg.agg.opt.lr = 0.3F;
        }
        world_begin(&w, 100);
        world_server(&w);
        world_join_all(&w);
        world_run(&w);
        CHECK(w.recs == 60);
        CHECK(fabs((double)ccz_fl_server_params(w.s)[0] - 5.0 / 3) < 0.2);
        world_end(&w);
    }
}

/*
 * Two clients with other curvatures would drift apart; here: the control variates add up to zero gradients at the common goal, so
 * that a client's correction is its own distance from it.
 */
static void test_scaffold(void)
{
    struct world w = {.len = 2,
                      .cfg = {.rounds = 30,
                              .members_min = 2,
                              .agg = {.scaffold = true, .equal_weights = true},
                              .train = {.lr = 0.1F, .epochs = 5}}};
    world_begin(&w, 1000000);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == 30);
    CHECK(fabs((double)ccz_fl_server_params(w.s)[0] - 1.5) < 1e-3);
    /* each local training now stays where it is: its update is next to nothing */
    CHECK(w.seat[0].rec.update_norm < 1e-2 * 1000);
    CHECK(w.rec[29].norm_max < 0.01 * w.rec[0].norm_max);
    world_end(&w);
}

static void test_prometheus(void)
{
    struct world w = {.len = 2, .cfg = {.rounds = 2, .members_min = 2, .eval_every = 1}};
    struct ccz_buf text;
    ccz_buf_init(&text, 65536);
    world_begin(&w, 10);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    ccz_fl_server_prometheus(&text, w.s);
    CHECK(strstr(ccz_buf_str(&text), "\ncczoo_fl_rounds_total 2"));
    CHECK(strstr(ccz_buf_str(&text), "\ncczoo_fl_updates_accepted_total 4"));
    CHECK(strstr(ccz_buf_str(&text), "\ncczoo_fl_train_accuracy 0.5"));
    ccz_buf_clear(&text);
    ccz_fl_record_json(&text, &w.rec[1]);
    CHECK(strncmp(ccz_buf_str(&text), "{\"round\":2,", 11) == 0);
    CHECK(strstr(ccz_buf_str(&text), "\"base_eval\":{\"samples\":30,"));
    CHECK(!strchr(ccz_buf_str(&text), '\n'));
    ccz_buf_free(&text);
    world_end(&w);
}

static const struct ccz_test tests[] = {
    {"fl.fedavg", test_fedavg},
    {"fl.equal_weights", test_equal_weights},
    {"fl.task", test_task},
    {"fl.sampling", test_sampling},
    {"fl.dropout", test_dropout},
    {"fl.return", test_return},
    {"fl.left_behind", test_left_behind},
    {"fl.late_joiner", test_late_joiner},
    {"fl.straggler", test_straggler},
    {"fl.straggler_last", test_straggler_last},
    {"fl.quorum", test_quorum},
    {"fl.stall", test_stall},
    {"fl.stop", test_stop},
    {"fl.store_fails", test_store_fails},
    {"fl.async", test_async},
    {"fl.async_stale", test_async_stale},
    {"fl.robust", test_robust},
    {"fl.codecs", test_codecs},
    {"fl.optimizers", test_optimizers},
    {"fl.scaffold", test_scaffold},
    {"fl.prometheus", test_prometheus},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
