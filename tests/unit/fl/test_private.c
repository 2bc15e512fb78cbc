/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds with secure aggregation and differential privacy, in one thread. */
#define _GNU_SOURCE
#include "fl/client.h"
#include "fl/server_private.h"
#include "world.h"

#include "temp_dir.h"

static void base(struct world *w, unsigned members)
{
    *w = (struct world){.len = members};
    w->cfg.rounds = 2;
    w->cfg.members_min = members;
    w->cfg.seeded = true;
    w->cfg.seed = 7;
    w->cfg.train.epochs = 2;
    w->cfg.train.lr = 0.1F;
    w->cfg.samples_max = 1000;
    w->cfg.eval_every = 1;
}

static void secure(struct world *w)
{
    w->cfg.privacy.secagg = true;
    w->cfg.privacy.range = 4;
}

/* Runs it to the end; the model is what a run without secure aggregation makes. */
static void like_plain(struct world *w, struct world *plain, uint64_t params)
{
    struct world *both[] = {w, plain};
    for (int i = 0; i < 2; i++) {
        world_begin(both[i], params);
        world_server(both[i]);
        world_join_all(both[i]);
        world_run(both[i]);
        CHECK(ccz_fl_server_over(both[i]->s, NULL) && both[i]->recs == both[i]->cfg.rounds);
    }
    const float *x = ccz_fl_server_params(w->s), *y = ccz_fl_server_params(plain->s);
    for (uint64_t i = 0; i < params; i++)
        CHECK(fabsf(x[i] - y[i]) < 1e-4F);
    CHECK(memcmp(x, y, (size_t)params * sizeof(float)) != 0); /* by way of integers */
}

static void test_like_plain(void)
{
    for (int equal = 0; equal < 2; equal++) {
        struct world w, plain;
        base(&w, 5);
        base(&plain, 5);
        w.cfg.agg.equal_weights = plain.cfg.agg.equal_weights = equal;
        secure(&w);
        like_plain(&w, &plain, 700);
        CHECK(w.rec[0].delivered == 5 && w.rec[0].dropped == 0 && w.rec[0].attempt == 1);
        CHECK(w.rec[0].private_size > 5 * 4 * 148 && w.rec[0].epsilon < 0);
        /* three models and a bit: no update travels twice */
        CHECK(w.rec[0].received_size < plain.rec[0].received_size + w.rec[0].private_size + 5 * 64);
        CHECK(w.refusals == 0);
        world_end(&w);
        world_end(&plain);
    }
}

/* A chunk's border inside of the vector, more members than one upload at a time, a sparse graph. */
static void test_chunks(void)
{
    struct world w, plain;
    base(&w, 12);
    base(&plain, 12);
    w.cfg.rounds = plain.cfg.rounds = 1;
    w.cfg.slots = 3;
    secure(&w);
    w.cfg.privacy.range = 100; /* the toys' goals are far away */
    w.cfg.privacy.degree = 6;
    w.cfg.privacy.threshold = 4;
    like_plain(&w, &plain, 300001);
    world_end(&w);
    world_end(&plain);
}

/* The mean of the toys' goals, weighted, of those in the set: where one step of everybody leads. */
static double expected(const struct world *w, unsigned set)
{
    double sum = 0, weight = 0, gain = 1;
    for (uint32_t e = 0; e < w->cfg.train.epochs; e++)
        gain *= 1 - (double)w->cfg.train.lr;
    for (unsigned i = 0; i < w->len; i++)
        if (set >> i & 1) {
            sum += 10.0 * (i + 1) * (i + 1) * (1 - gain);
            weight += 10.0 * (i + 1);
        }
    return sum / weight;
}

/* Steps all but `skip`, until the server is in `phase`. */
static void until_phase(struct world *w, enum hfl_phase phase, unsigned skip)
{
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    bool moved = true;
    while (moved && w->s->phase != phase) {
        moved = false;
        for (unsigned i = 0; i < w->len && w->s->phase != phase; i++)
            if (i != skip)
                moved |= world_step(w, i, &msg);
    }
    CHECK(w->s->phase == phase);
    ccz_buf_free(&msg);
}

/* Who goes where: before keys, behind them, in the training, behind its upload. */
static void test_dropouts(void)
{
    for (int when = 0; when < 6; when++) {
        struct world w;
        base(&w, 6);
        secure(&w);
        w.cfg.rounds = 1;
        w.cfg.quorum = 5;
        world_begin(&w, 50);
        world_server(&w);
        world_join_all(&w);
        struct ccz_buf msg;
        ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
        for (unsigned i = 0; i < 6; i++) /* greetings of all, so that all six are in the round */
            (void)world_up(&w, i, &msg);
        ccz_buf_free(&msg);
        w.s->cfg.members_min = 5;
        if (when == 0) { /* says nothing any more: the phase ends by time */
            world_run_but(&w, 5);
            CHECK(w.s->phase == HFL_PREPARE);
            w.now_ms += 40000;
            (void)ccz_fl_server_tick(w.s, w.now_ms);
            world_run_but(&w, 5);
        } else if (when == 1) {
            until_phase(&w, HFL_PREPARE, 5);
            world_leave(&w, 5);
        } else if (when == 2) {
            until_phase(&w, HFL_COLLECT, WORLD_MAX);
            world_leave(&w, 5); /* masks with it are in the updates of the others */
        } else if (when == 3) {
            until_phase(&w, HFL_COLLECT, WORLD_MAX);
            world_leave(&w, 5);
            world_join(&w, 5); /* and comes back, without its keys: in the next round again */
        } else {
            until_phase(&w, HFL_REVEAL, WORLD_MAX);
            world_leave(&w, 5); /* its update counts, the others open its mask */
            if (when == 5)
                world_join(&w, 5); /* it is not asked for shares that it has not any more */
        }
        if (when != 0)
            world_run(&w);
        CHECK(w.recs == 1 && w.refusals == 0);
        unsigned in = when >= 4 ? 0x3f : 0x1f;
        CHECK(w.rec[0].delivered == (when >= 4 ? 6 : 5));
        CHECK(fabs((double)ccz_fl_server_params(w.s)[0] - expected(&w, in)) < 1e-4);
        world_end(&w);
    }
}

/* Too few are left to open the masks: the round begins anew, with fresh keys. */
static void test_anew(void)
{
    struct world w;
    base(&w, 5);
    secure(&w);
    w.cfg.rounds = 1;
    w.cfg.quorum = 4;
    w.cfg.members_min = 4;
    world_begin(&w, 50);
    world_server(&w);
    for (unsigned i = 0; i < 5; i++)
        world_join(&w, i);
    until_phase(&w, HFL_REVEAL, 4);
    for (unsigned i = 0; i < 4; i++) {
        world_leave(&w, i);
        world_join(&w, i);
    }
    world_run(&w);
    CHECK(w.recs == 1 && w.rec[0].attempt == 2 && w.s->totals.attempts == 1);
    CHECK(w.rec[0].delivered >= 4);
    world_end(&w);
}

/* The same while others have the model already: their work is void, their connections are not. */
static void test_anew_at_work(void)
{
    struct world w;
    base(&w, 6);
    secure(&w);
    w.cfg.rounds = 1;
    w.cfg.quorum = 5;
    w.cfg.members_min = 6;
    w.cfg.round_timeout_ms = 1000;
    world_begin(&w, 50);
    world_server(&w);
    world_join_all(&w);
    until_phase(&w, HFL_COLLECT, WORLD_MAX);
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    while (world_down(&w, 0, &msg)) /* inbox, task, model: work is to be done */
        ;
    while (world_down(&w, 1, &msg)) /* and done, offered */
        ;
    CHECK(w.seat[0].work && w.seat[1].work);
    (void)world_step(&w, 1, &msg);
    CHECK(w.seat[1].toy.trainings == 1);
    for (unsigned i = 4; i < 6; i++)
        world_leave(&w, i);
    w.now_ms += 2000;
    (void)ccz_fl_server_tick(w.s, w.now_ms);
    for (unsigned i = 4; i < 6; i++) {
        world_join(&w, i);
        CHECK(world_up(&w, i, &msg)); /* hello: the round begins anew, before client 0 has worked */
    }
    ccz_buf_free(&msg);
    CHECK(w.s->phase == HFL_PREPARE && w.seat[0].work);
    world_run(&w);
    CHECK(w.recs == 1 && w.rec[0].attempt == 2 && w.rec[0].delivered == 6);
    for (unsigned i = 0; i < 6; i++)
        CHECK(w.seat[i].rc == CCZ_OK);
    CHECK(w.s->totals.refused == 0 && w.seat[0].toy.trainings == 1);
    world_end(&w);
}

static double spent(double multiplier, uint64_t steps, double delta)
{
    struct ccz_dp_accountant a = {0};
    const struct ccz_dp_event e = {CCZ_DP_ALL, 1, multiplier, steps};
    double epsilon;
    CHECK(ccz_dp_spend(&a, &e, NULL) == CCZ_OK);
    CHECK(ccz_dp_epsilon(&epsilon, NULL, &a, delta, NULL) == CCZ_OK);
    return epsilon;
}

/* Noise of the right size, wherever it is added; epsilon in every record. */
static void noisy(bool secagg, bool at_members)
{
    enum { LEN = 20000, MEMBERS = 4 };
    struct world w;
    base(&w, MEMBERS);
    w.cfg.rounds = 2;
    w.cfg.agg.equal_weights = true;
    w.cfg.quorum = MEMBERS;
    w.cfg.privacy = (struct ccz_fl_privacy){.secagg = secagg,
                                            .clip = 3,
                                            .multiplier = 2,
                                            .delta = 1e-6,
                                            .noise_at_members = at_members};
    world_begin(&w, LEN);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == 2);
    CHECK(fabs(w.rec[0].epsilon / spent(2, 1, 1e-6) - 1) < 1e-9 && w.rec[0].delta == 1e-6);
    CHECK(fabs(w.rec[1].epsilon / spent(2, 2, 1e-6) - 1) < 1e-9 && w.rec[1].clip == 3);
    /* two rounds of noise 2 * 3 on sums of four, divided by four; updates are clipped to 3 in 20,000 coordinates */
    double square = 0;
    for (size_t i = 0; i < LEN; i++)
        square += (double)ccz_fl_server_params(w.s)[i] * (double)ccz_fl_server_params(w.s)[i];
    CHECK(fabs(sqrt(square / LEN) / (2.0 * 3 / 4 * sqrt(2)) - 1) < 0.04);
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 65536);
    ccz_fl_record_json(&json, &w.rec[1]);
    CHECK(strstr(ccz_buf_str(&json), ",\"epsilon\":") && strstr(ccz_buf_str(&json), ",\"clip\":3"));
    CHECK(!secagg == !strstr(ccz_buf_str(&json), ",\"private_bytes\":"));
    world_end(&w);
}

static void test_noise(void)
{
    noisy(false, false);
    noisy(true, false);
    noisy(true, true);
}

/* Without noise, a clip only: the step is as long as the clip, whoever clips. */
static void test_clip(void)
{
    for (int secagg = 0; secagg < 2; secagg++) {
        struct world w;
        base(&w, 3);
        w.cfg.rounds = 1;
        w.cfg.privacy.secagg = secagg;
        w.cfg.privacy.clip = 0.01;
        world_begin(&w, 100);
        world_server(&w);
        world_join_all(&w);
        world_run(&w);
        CHECK(w.recs == 1 && w.rec[0].epsilon < 0);
        CHECK(w.rec[0].update_norm <= 0.01 && w.rec[0].update_norm > 0.0099);
        world_end(&w);
    }
}

/* The clip follows the norms, which are far above it at first. */
static void test_adaptive(void)
{
    for (int secagg = 0; secagg < 2; secagg++) {
        struct world w;
        base(&w, 5);
        w.cfg.rounds = 8;
        w.cfg.agg.equal_weights = true;
        w.cfg.privacy = (struct ccz_fl_privacy){.secagg = secagg,
                                                .clip = 0.01,
                                                .multiplier = 0.01,
                                                .adaptive_rate = 0.5,
                                                .adaptive_sigma = 0.1};
        world_begin(&w, 100);
        world_server(&w);
        world_join_all(&w);
        world_run(&w);
        CHECK(w.recs == 8);
        for (int i = 1; i < 8;
             i++) /* nobody is below it: it grows by e^(0.5 * 0.5), give or take the noise */
            CHECK(fabs(log(w.rec[i].clip / w.rec[i - 1].clip) - 0.25) < 0.1);
        world_end(&w);
    }
}

/* What was spent is not forgotten by a restart. */
static void test_resume(void)
{
    temp_setup();
    const char *dir = temp_path("checkpoints");
    CHECK(ccz_dir_make(dir, 0700, NULL) == CCZ_OK);
    struct world w;
    base(&w, 3);
    w.cfg.rounds = 2;
    w.cfg.agg.equal_weights = true;
    w.cfg.privacy = (struct ccz_fl_privacy){
        .secagg = true, .clip = 1, .multiplier = 1.5, .adaptive_rate = 0.3, .adaptive_sigma = 2};
    w.dir = dir;
    CHECK(ccz_secret_new(&w.seal, CCZ_FL_KEY_SIZE) == CCZ_OK);
    world_begin(&w, 30);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    double epsilon = w.rec[1].epsilon, clip = w.s->private->adaptive.clip;
    CHECK(epsilon > 0 && clip != 1);
    ccz_fl_server_free(w.s);
    w.s = NULL;
    w.cfg.rounds = 3;
    struct ccz_err err;
    CHECK(ccz_fl_checkpoint_load(&w.s, dir, w.seal, &w.cfg, 0, &err) == CCZ_OK);
    CHECK(w.s->private->adaptive.clip == clip);
    for (unsigned i = 0; i < 3; i++) {
        ccz_fl_client_free(w.seat[i].c);
        world_client(&w, i, NULL);
    }
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == 3 && w.rec[2].epsilon > epsilon && w.rec[2].clip == clip);
    CHECK(fabs(w.rec[2].epsilon / spent(1.5, 3, 1e-5) - 1) < 1e-9);
    /* less noise than the file was made with is another training */
    ccz_fl_server_free(w.s);
    w.s = NULL;
    w.cfg.privacy.multiplier = 1;
    CHECK(ccz_fl_checkpoint_load(&w.s, dir, w.seal, &w.cfg, 0, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "fl:checkpoint-config") == 0);
    world_end(&w);
}

/* A quorum with which masks could not be opened ends the training, with the reason. */
static void test_quorum(void)
{
    struct world w;
    base(&w, 3);
    secure(&w);
    w.cfg.quorum = 2;
    world_begin(&w, 30);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    struct ccz_err err;
    CHECK(ccz_fl_server_over(w.s, &err) && err.rc == CCZ_E_ARG && w.recs == 0);
    CHECK(strcmp(err.where, "fl:cfg-privacy") == 0);
    world_end(&w);
}

/* A member that wants secure aggregation gives its update to nobody without it. */
static void test_required(void)
{
    for (int what = 0; what < 3; what++) {
        struct world w;
        base(&w, 5);
        if (what > 0)
            secure(&w);
        w.cfg.quorum = 4;
        world_begin(&w, 30);
        world_server(&w);
        w.seat[0].c->cfg.secagg_required = true;
        w.seat[0].c->cfg.secagg_quorum_min = what == 1 ? 5 : 4;
        world_join_all(&w);
        world_run(&w);
        if (what < 2) {
            CHECK(w.seat[0].rc == CCZ_E_POLICY);
            CHECK(strcmp(w.seat[0].err.where, what ? "fl:plan-quorum" : "fl:not-private") == 0);
            CHECK(w.seat[0].toy.trainings == 0);
        } else {
            CHECK(w.seat[0].rc == CCZ_OK && w.recs == 2);
        }
        world_end(&w);
    }
}

/* The same bits from any number of threads, with members that vanished and a last piece that is no multiple of anything. */
static void test_threads(void)
{
    enum { PARAMS = 40003 };
    static const unsigned threads[] = {1, 2, 3, 0};
    float *first = malloc(PARAMS * sizeof(*first));
    CHECK(first);
    for (int i = 0; i < 4; i++) {
        struct world w;
        base(&w, 6);
        secure(&w);
        w.cfg.rounds = 1;
        w.cfg.quorum = 5;
        w.cfg.threads = threads[i];
        world_begin(&w, PARAMS);
        world_server(&w);
        world_join_all(&w);
        until_phase(&w, HFL_COLLECT, WORLD_MAX);
        world_leave(&w, 2);
        world_run(&w);
        CHECK(w.recs == 1 && w.rec[0].delivered == 5);
        const float *x = ccz_fl_server_params(w.s);
        if (i == 0)
            memcpy(first, x, PARAMS * sizeof(*first));
        CHECK(memcmp(first, x, PARAMS * sizeof(*first)) == 0);
        world_end(&w);
    }
    free(first);
}

/* Members that know each other's keys, and a server that they need not trust. */
struct rostered {
    struct world w;
    struct ccz_key *key[6];
    struct ccz_fl_identity roster[6];
};

static void with_roster(struct rostered *r)
{
    base(&r->w, 6);
    secure(&r->w);
    r->w.cfg.rounds = 1;
    r->w.cfg.quorum = 5;
    r->w.cfg.members_min = 5; /* of the roster: the last one is a stranger */
    r->w.cfg.privacy.roster = r->roster;
    r->w.cfg.privacy.roster_len = 5;
    world_begin(&r->w, 50);
    for (unsigned i = 0; i < 6; i++) {
        CHECK(ccz_key_generate(&r->key[i], CCZ_P256) == CCZ_OK);
        (void)snprintf(r->roster[i].name, sizeof(r->roster[i].name), "m-%02u", i);
        CHECK(ccz_key_xy(r->roster[i].xy, r->key[i]) == CCZ_OK);
        r->w.seat[i].c->cfg.roster = r->roster;
        r->w.seat[i].c->cfg.roster_len = 5;
        r->w.seat[i].c->cfg.identity = r->key[i];
    }
}

static void without_roster(struct rostered *r)
{
    world_end(&r->w);
    for (unsigned i = 0; i < 6; i++)
        ccz_key_free(r->key[i]);
}

static void test_roster(void)
{
    struct rostered r;
    with_roster(&r);
    world_server(&r.w);
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX);
    const unsigned first[] = {5, 0, 1, 2, 3}; /* the stranger is here before the round begins */
    for (unsigned i = 0; i < 5; i++) {
        world_join(&r.w, first[i]);
        CHECK(world_up(&r.w, first[i], &msg) && r.w.s->phase == HFL_WAIT);
    }
    world_join(&r.w, 4);
    world_run(&r.w);
    CHECK(r.w.recs == 1 && r.w.rec[0].selected == 5 && r.w.rec[0].delivered == 5);
    CHECK(r.w.seat[5].toy.trainings == 0);
    CHECK(fabs((double)ccz_fl_server_params(r.w.s)[0] - expected(&r.w, 0x1f)) < 1e-4);
    without_roster(&r);
    /* one vanishes with its masks in the others' updates */
    with_roster(&r);
    r.w.cfg.quorum = 4;
    world_server(&r.w);
    world_join_all(&r.w);
    until_phase(&r.w, HFL_COLLECT, WORLD_MAX);
    world_leave(&r.w, 2);
    world_run(&r.w);
    CHECK(r.w.recs == 1 && r.w.rec[0].delivered == 4);
    CHECK(fabs((double)ccz_fl_server_params(r.w.s)[0] - expected(&r.w, 0x1b)) < 1e-4);
    without_roster(&r);
}

/* What a member with a roster refuses. */
static void test_roster_refused(void)
{
    struct ccz_err err;
    for (int what = 0; what < 4; what++) {
        struct rostered r;
        with_roster(&r);
        CCZ_AUTO_BUF names;
        ccz_buf_init(&names, 4096);
        for (unsigned i = 0; i < 5; i++) {
            unsigned n = what == 1 && i == 3 ? 5 : what == 2 ? (i + 1) % 5 : i;
            ccz_buf_printf(&names, "%c%s", 4, r.roster[n].name); /* a stranger; all one seat on */
        }
        if (what == 3) /* one more */
            ccz_buf_printf(&names, "%cm-00", 4);
        struct cczi_hfl_plan plan = {.secagg = {.members = 5, .quorum = 4, .len = 52, .round = 1},
                                     .quant = {1, 9}};
        plan.secagg.attested_server = what == 0; /* trust me */
        plan.names = what == 0 ? (struct ccz_span){0} : ccz_buf_span(&names);
        struct cczi_hfl_part *p;
        ccz_rc rc = cczi_hfl_part_new(&p, &plan, &r.w.seat[0].c->cfg, &err);
        CHECK(rc == CCZ_E_POLICY && strcmp(err.where, "fl:plan-roster") == 0 && !p);
        without_roster(&r);
    }
    struct rostered r;
    with_roster(&r);
    struct ccz_fl_client_cfg cfg = r.w.seat[0].c->cfg;
    struct ccz_fl_client *c;
    const struct ccz_key *const keys[] = {NULL, r.key[1]}; /* none, and another member's */
    for (int i = 0; i < 2; i++) {
        cfg.identity = keys[i];
        CHECK(ccz_fl_client_new(&c, &cfg, &err) == CCZ_E_ARG && !c);
        CHECK(strcmp(err.where, "fl:identity") == 0);
    }
    cfg.identity = r.key[5];
    cfg.name = "m-05"; /* not in it */
    CHECK(ccz_fl_client_new(&c, &cfg, &err) == CCZ_E_ARG && strcmp(err.where, "fl:identity") == 0);
    /* somebody else under this name: its keys are not signed by the one whom the others know */
    r.w.seat[3].c->cfg.identity = r.key[5];
    world_server(&r.w);
    world_join_all(&r.w);
    world_run(&r.w);
    CHECK(r.w.seat[3].rc == CCZ_E_ARG && strcmp(r.w.seat[3].err.where, "secagg:identity") == 0);
    CHECK(r.w.recs == 0);
    without_roster(&r);
}

static void put_roster(struct ccz_buf *out, unsigned len, struct ccz_key **keys)
{
    ccz_buf_put_str(out, "{\"members\": [");
    for (unsigned i = 0; i < len; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "m-%02u", i);
        ccz_buf_put_str(out, i ? ", " : "");
        CHECK(ccz_key_generate(&keys[i], CCZ_P256) == CCZ_OK);
        CHECK(ccz_fl_roster_entry(out, name, keys[i], NULL) == CCZ_OK);
    }
    ccz_buf_put_str(out, "]}");
}

static void test_roster_text(void)
{
    struct ccz_key *keys[4], *wide;
    struct ccz_fl_identity *roster;
    struct ccz_err err;
    size_t len;
    uint8_t xy[64];
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    put_roster(&text, 4, keys);
    CHECK(ccz_fl_roster_parse(&roster, &len, ccz_buf_span(&text), NULL) == CCZ_OK && len == 4);
    for (size_t i = 0; i < 4; i++) {
        CHECK(ccz_key_xy(xy, keys[i]) == CCZ_OK && memcmp(xy, roster[i].xy, 64) == 0);
        CHECK(roster[i].name[3] == (char)('0' + i));
    }
    free(roster);
    for (size_t cut = 0; cut < text.size; cut++) {
        CHECK(ccz_fl_roster_parse(&roster, &len, CCZ_SPAN(text.ptr, cut), &err) == CCZ_E_FORMAT);
        CHECK(!roster && len == 0 && strcmp(err.where, "json:parse") == 0);
    }
    CHECK(ccz_fl_roster_entry(&text, "a b", keys[0], &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fl:member-name") == 0);
    CHECK(ccz_key_generate(&wide, CCZ_P384) == CCZ_OK);
    CHECK(ccz_fl_roster_entry(&text, "a", wide, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fl:identity") == 0);
    ccz_key_free(wide);
    for (size_t i = 0; i < 4; i++)
        ccz_key_free(keys[i]);
}

/* One thing is wrong in each. %K is a key of its own, the same one each time; %O, %P are two others. */
static void test_roster_text_refused(void)
{
#define ENTRY(name, key) "{\"name\": \"" name "\", \"key\": \"" key "\"}"
#define TWO              ENTRY("a", "%K") ", " ENTRY("b", "%O")
    static const struct {
        const char *text, *where;
        ccz_rc rc;
    } bad[] = {
        {"{\"members\": [" TWO ", " ENTRY("c", "%P") "]}", "", CCZ_OK},
        {"[" TWO ", " ENTRY("c", "%P") "]", "fl:roster", CCZ_E_FORMAT},
        {"{}", "fl:roster", CCZ_E_FORMAT},
        {"{\"members\": {}}", "fl:roster", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("c", "%P") "], \"version\": 1}", "fl:roster",
         CCZ_E_FORMAT},
        {"{\"members\": [" TWO "]}", "fl:roster-len", CCZ_E_LIMIT},
        {"{\"members\": [" TWO ", 3]}", "fl:roster", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", {\"name\": \"c\"}]}", "fl:roster", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", {\"name\": \"c\", \"key\": \"%P\", \"x\": 1}]}", "fl:roster",
         CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", {\"name\": 3, \"key\": \"%P\"}]}", "fl:roster-name",
         CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("c d", "%P") "]}", "fl:roster-name", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("", "%P") "]}", "fl:roster-name", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("a", "%P") "]}", "fl:roster-name", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("c", "%K") "]}", "fl:roster-key", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("c", "%P0") "]}", "fl:roster-key", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("c", "00") "]}", "fl:roster-key", CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", {\"name\": \"c\", \"key\": null}]}", "fl:roster-key",
         CCZ_E_FORMAT},
        {"{\"members\": [" TWO ", " ENTRY("c", "%Z") "]}", "fl:roster-key", CCZ_E_FORMAT},
    };
    static const char kinds[] = "KOPZ";
    char hex[4][129]; /* %K, %O, %P, and %Z: no point */
    for (int i = 0; i < 3; i++) {
        CCZ_AUTO(ccz_key) key = NULL;
        uint8_t xy[64];
        CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK && ccz_key_xy(xy, key) == CCZ_OK);
        ccz_hex(hex[i], xy, sizeof(xy));
    }
    memcpy(hex[3], hex[0], sizeof(hex[3]));
    hex[3][127] = hex[3][127] == '0' ? '1' : '0';
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_fl_identity *roster;
        struct ccz_err err = {0};
        size_t len;
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 4096);
        for (const char *c = bad[i].text; *c; c++) {
            const char *which = *c == '%' ? strchr(kinds, c[1]) : NULL;
            if (which)
                ccz_buf_put_str(&text, hex[which - kinds]);
            else
                ccz_buf_put(&text, c, 1);
            c += which != NULL;
        }
        CHECK(ccz_fl_roster_parse(&roster, &len, ccz_buf_span(&text), &err) == bad[i].rc);
        CHECK(strcmp(err.where, bad[i].where) == 0 && (roster != NULL) == (bad[i].rc == CCZ_OK));
        free(roster);
    }
}

/* A server that goes on with a round in which this member's masks are used up. */
static void test_order(void)
{
    struct world w;
    struct cczi_hfl_msg m = {.kind = CCZI_HFL_PRIVATE, .secret = {.round = 1}};
    enum ccz_fl_event event;
    struct ccz_err err;
    CCZ_AUTO_BUF body;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&body, 4096);
    ccz_buf_init(&msg, 4096);
    base(&w, 3);
    secure(&w);
    world_begin(&w, 30);
    world_server(&w);
    world_join_all(&w);
    until_phase(&w, HFL_PREPARE, WORLD_MAX);
    struct ccz_fl_client *c = w.seat[0].c;
    const struct cczi_hfl_plan plan = w.s->private->plan;
    c->state = HFL_C_IDLE;
    m.secret.phase = CCZI_HFL_STEP; /* nothing is planned */
    cczi_hfl_msg_put(&msg, &m);
    CHECK(ccz_fl_client_input(&event, c, ccz_buf_span(&msg), &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "fl:order") == 0);
    m.secret.phase = CCZI_HFL_PLAN;
    cczi_hfl_plan_put(&body, &plan);
    for (size_t cut = 0; cut < body.size; cut++) {
        m.secret.body = CCZ_SPAN(body.ptr, cut);
        ccz_buf_clear(&msg);
        cczi_hfl_msg_put(&msg, &m);
        CHECK(ccz_fl_client_input(&event, c, ccz_buf_span(&msg), &err) == CCZ_E_PEER);
        CHECK(strcmp(err.where, "fl:plan") == 0);
    }
    m.secret.body = ccz_buf_span(&body);
    ccz_buf_clear(&msg);
    cczi_hfl_msg_put(&msg, &m);
    CHECK(ccz_fl_client_input(&event, c, ccz_buf_span(&msg), &err) == CCZ_OK);
    CHECK(c->private_out.size > 0);
    CHECK(ccz_fl_client_input(&event, c, ccz_buf_span(&msg), &err) == CCZ_E_PEER);
    ccz_buf_clear(&c->private_out); /* sent */
    CHECK(ccz_fl_client_input(&event, c, ccz_buf_span(&msg), &err) == CCZ_E_POLICY);
    CHECK(strcmp(err.where, "fl:plan-twice") == 0);
    c->seen = true;
    c->seen_round = 1;
    CHECK(ccz_fl_client_input(&event, c, ccz_buf_span(&msg), &err) == CCZ_E_POLICY);
    CHECK(strcmp(err.where, "fl:rollback") == 0);
    world_end(&w);
}

static void test_config(void)
{
    struct world w;
    base(&w, 3);
    w.layout = toy_make_layout(30);
    w.cfg.layout = w.layout;
    struct ccz_fl_server_cfg bad[15];
    for (size_t i = 0; i < 15; i++) {
        bad[i] = w.cfg;
        bad[i].agg.equal_weights = true;
        bad[i].privacy = (struct ccz_fl_privacy){.secagg = true, .clip = 1, .multiplier = 1};
    }
    bad[0].privacy.clip = 0;
    bad[1].privacy.clip = NAN;
    bad[2].privacy.multiplier = -1;
    bad[3].privacy.delta = 1;
    bad[4].agg.equal_weights = false;
    bad[5].privacy = (struct ccz_fl_privacy){.clip = 1, .multiplier = 1, .noise_at_members = true};
    bad[6].privacy.noise_at_members = true; /* of how many? */
    bad[7].privacy = (struct ccz_fl_privacy){.clip = 1, .adaptive_rate = 0.2};
    bad[8].agg.rule = CCZ_FL_MEDIAN;
    bad[9].agg.codec.kind = CCZ_AGG_F16;
    bad[10].norm_max = 5;
    bad[11].privacy = (struct ccz_fl_privacy){.secagg = true};
    bad[12].buffer_len = 3;
    bad[13].privacy = (struct ccz_fl_privacy){.range = 2};
    bad[14].privacy = (struct ccz_fl_privacy){.secagg = true, .range = 1};
    bad[14].agg.equal_weights = false;
    bad[14].samples_max = 0;
    float zeros[30] = {0};
    struct ccz_err err;
    for (size_t i = 0; i < 15; i++) {
        struct ccz_fl_server *s;
        ccz_rc rc = ccz_fl_server_new(&s, &bad[i], zeros, 0, &err);
        if (rc != CCZ_E_ARG || strcmp(err.where, "fl:cfg-privacy") != 0)
            fprintf(stderr, "case %zu: %s %s\n", i, ccz_rc_name(rc), err.where);
        CHECK(rc == CCZ_E_ARG && strcmp(err.where, "fl:cfg-privacy") == 0 && !s);
    }
    static const char text[] =
        "{\"secagg\": {\"on\": true, \"degree\": 8, \"threshold\": 5, \"range\": 2.5}, \"dp\": "
        "{\"clip\": 0.5, \"multiplier\": 1.1, \"delta\": 1e-6, \"noise_at_members\": true, "
        "\"adaptive_rate\": 0.2, \"adaptive_quantile\": 0.6, \"adaptive_sigma\": 4}}";
    CHECK(ccz_fl_server_cfg_parse(&w.cfg, ccz_span_str(text), 30, &err) == CCZ_OK);
    const struct ccz_fl_privacy *p = &w.cfg.privacy;
    CHECK(p->secagg && p->degree == 8 && p->threshold == 5 && p->range == 2.5F && p->clip == 0.5);
    CHECK(p->multiplier == 1.1 && p->delta == 1e-6 && p->noise_at_members);
    CHECK(p->adaptive_rate == 0.2 && p->adaptive_quantile == 0.6 && p->adaptive_sigma == 4);
    ccz_fl_layout_free(w.layout);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"fl_private.like_plain", test_like_plain},
        {"fl_private.chunks", test_chunks},
        {"fl_private.threads", test_threads},
        {"fl_private.dropouts", test_dropouts},
        {"fl_private.anew", test_anew},
        {"fl_private.anew_at_work", test_anew_at_work},
        {"fl_private.noise", test_noise},
        {"fl_private.clip", test_clip},
        {"fl_private.adaptive", test_adaptive},
        {"fl_private.resume", test_resume},
        {"fl_private.quorum", test_quorum},
        {"fl_private.required", test_required},
        {"fl_private.roster", test_roster},
        {"fl_private.roster_refused", test_roster_refused},
        {"fl_private.roster_text", test_roster_text},
        {"fl_private.roster_text_refused", test_roster_text_refused},
        {"fl_private.order", test_order},
        {"fl_private.config", test_config},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
