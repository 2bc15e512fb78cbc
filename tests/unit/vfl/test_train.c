/* SPDX-License-Identifier: Apache-2.0 */
/* Whole trainings over channels in memory: the same bits as in one place, staleness, protection, resuming, refusals. */
#define _GNU_SOURCE
#include "temp_dir.h"
#include "vfl/kit.h"

enum { FOLLOWERS_MAX = KIT_PARTIES_MAX, WIDTH = 3 };

/* One training: parties in threads, what each ended with. */
struct party {
    struct ccz_chan *chan; /* its end; freed when it is done */
    struct ccz_vfl_bottom *bottom;
    struct ccz_vfl_run run;
    struct ccz_vfl_result out;
    ccz_rc rc;
    struct ccz_err err;
};
struct scene {
    struct ccz_vfl_cfg cfg;
    struct ccz_vfl_cfg cfg_follower; /* zero batch: as cfg */
    struct kit_data data, test;
    uint32_t classes;
    size_t followers;
    bool own; /* the leader has columns, too */
    struct ccz_vfl_lead lead;
    struct ccz_vfl_run leader_run;
    struct party follower[FOLLOWERS_MAX];
    struct ccz_vfl_result out;
    ccz_rc rc;
    struct ccz_err err;
    struct ccz_chan_fault_cfg fault; /* at the leader's end of the first follower's channel */
    struct ccz_vfl_epoch epochs[32];
    size_t epochs_len;
    struct ccz_secret *seal;
    char state[FOLLOWERS_MAX + 1][512]; /* checkpoint paths, "" = none */
};

static void on_epoch(void *arg, const struct ccz_vfl_epoch *e)
{
    struct scene *s = arg;
    CHECK(e->epoch == e->step / ((s->data.rows + s->cfg.batch - 1) / s->cfg.batch));
    if (s->epochs_len < 32)
        s->epochs[s->epochs_len++] = *e;
}

/* Fresh models, the same every time. */
static void make_models(struct scene *s)
{
    s->lead.top = kit_top_new(s->followers + s->own, WIDTH, s->classes);
    s->lead.bottom = s->own ? kit_bottom_new(KIT_COLS, WIDTH, 100) : NULL;
    for (size_t i = 0; i < s->followers; i++)
        s->follower[i].bottom = kit_bottom_new(KIT_COLS, WIDTH, 101 + i);
}

static void free_models(struct scene *s)
{
    ccz_vfl_top_free(s->lead.top);
    ccz_vfl_bottom_free(s->lead.bottom);
    for (size_t i = 0; i < s->followers; i++)
        ccz_vfl_bottom_free(s->follower[i].bottom);
}

static void scene_init(struct scene *s, size_t followers, bool own, uint32_t classes)
{
    uint8_t seed[32] = {42};
    *s = (struct scene){.followers = followers, .own = own, .classes = classes};
    s->cfg = (struct ccz_vfl_cfg){.epochs = 3,
                                  .batch = 32,
                                  .eval_batch = 70,
                                  .seed = 1,
                                  .alignment = {1},
                                  .test_alignment = {2},
                                  .schema = {3}};
    kit_data_init(&s->data, 300, followers + own, classes, 0.2, 1);
    kit_data_init(&s->test, 200, followers + own, classes, 0.2, 2);
    CHECK(ccz_secret_from(&s->seal, seed, 32) == CCZ_OK);
    s->lead.protect = classes ? CCZ_VFL_MARVELL : CCZ_VFL_MAX_NORM;
    s->lead.noise_seed = s->seal;
    make_models(s);
}

static void scene_free(struct scene *s)
{
    free_models(s);
    kit_data_free(&s->data);
    kit_data_free(&s->test);
    ccz_secret_free(s->seal);
}

static void *follower_main(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vfl_follow(&p->out, p->chan, p->bottom, &p->run, &p->err);
    ccz_chan_free(p->chan);
    return NULL;
}

static struct ccz_vfl_run run_of(struct scene *s, size_t column, const struct ccz_vfl_cfg *cfg,
                                 const char *state)
{
    return (struct ccz_vfl_run){.cfg = cfg,
                                .train = &s->data.table[column],
                                .test = &s->test.table[column],
                                .timeout_ms = 20000,
                                .checkpoint = state[0] ? state : NULL,
                                .seal = s->seal};
}

/* Runs all roles until they return. */
static void play(struct scene *s)
{
    pthread_t thread[FOLLOWERS_MAX];
    struct ccz_chan *chan[FOLLOWERS_MAX];
    const struct ccz_vfl_cfg *theirs = s->cfg_follower.batch ? &s->cfg_follower : &s->cfg;
    s->epochs_len = 0;
    s->lead.labels = &s->data.labels;
    s->lead.test_labels = &s->test.labels;
    for (size_t i = 0; i < s->followers; i++) {
        struct party *p = &s->follower[i];
        CHECK(ccz_chan_pair(&chan[i], &p->chan, NULL, NULL) == CCZ_OK);
        if (i == 0)
            CHECK(ccz_chan_fault_new(&chan[i], chan[i], &s->fault, NULL) == CCZ_OK);
        if (!p->run.cfg)
            p->run = run_of(s, i + s->own, theirs, s->state[i + 1]);
        p->err = (struct ccz_err){0};
        CHECK(pthread_create(&thread[i], NULL, follower_main, p) == 0);
    }
    if (!s->leader_run.cfg)
        s->leader_run = run_of(s, 0, &s->cfg, s->state[0]);
    s->leader_run.on_epoch = on_epoch;
    s->leader_run.arg = s;
    s->err = (struct ccz_err){0};
    s->rc = ccz_vfl_lead(&s->out, chan, s->followers, &s->lead, &s->leader_run, &s->err);
    for (size_t i = 0; i < s->followers; i++) {
        ccz_chan_free(chan[i]);
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
}

static void play_well(struct scene *s)
{
    play(s);
    if (s->rc != CCZ_OK)
        fprintf(stderr, "leader: %s: %s\n", s->err.where, s->err.msg);
    CHECK(s->rc == CCZ_OK);
    for (size_t i = 0; i < s->followers; i++)
        CHECK(s->follower[i].rc == CCZ_OK);
}

/* All states of all models, to compare. */
static void states(struct ccz_buf *out, const struct scene *s)
{
    ccz_buf_init(out, 1 << 20);
    CHECK(s->lead.top->ops->save(out, s->lead.top->self, NULL) == CCZ_OK);
    if (s->own)
        CHECK(s->lead.bottom->ops->save(out, s->lead.bottom->self, NULL) == CCZ_OK);
    for (size_t i = 0; i < s->followers; i++)
        CHECK(s->follower[i].bottom->ops->save(out, s->follower[i].bottom->self, NULL) == CCZ_OK);
    CHECK(!out->bad);
}

static bool same_states(const struct ccz_buf *a, const struct scene *s)
{
    struct ccz_buf b;
    states(&b, s);
    bool same = ccz_span_eq(ccz_buf_span(a), ccz_buf_span(&b));
    ccz_buf_free(&b);
    return same;
}

/* The same mathematics in one place: no channels, no threads, no protection. */
static void central(struct scene *s)
{
    struct cczi_vfl_plan plan;
    struct cczi_vfl_label_batch labels;
    struct cczi_vfl_batch batch[FOLLOWERS_MAX];
    float act[FOLLOWERS_MAX][32 * WIDTH], grad[FOLLOWERS_MAX][32 * WIDTH];
    const float *acts[FOLLOWERS_MAX];
    float *grads[FOLLOWERS_MAX];
    struct ccz_vfl_bottom *bottom[FOLLOWERS_MAX];
    size_t parties = s->followers + s->own;
    CHECK(cczi_vfl_plan_init(&plan, &s->cfg, 0, s->data.rows, NULL) == CCZ_OK);
    CHECK(cczi_vfl_label_batch_init(&labels, &s->data.labels, 32, NULL) == CCZ_OK);
    for (size_t p = 0; p < parties; p++) {
        bottom[p] = s->own && p == 0 ? s->lead.bottom : s->follower[p - s->own].bottom;
        CHECK(cczi_vfl_batch_init(&batch[p], &s->data.table[p], 32, NULL) == CCZ_OK);
        acts[p] = act[p];
        grads[p] = grad[p];
    }
    for (uint64_t t = 1; t <= plan.steps; t++) {
        size_t len;
        double loss;
        const size_t *rows = cczi_vfl_rows_of(&len, &plan, t);
        cczi_vfl_label_batch_fill(&labels, &s->data.labels, rows, len);
        for (size_t p = 0; p < parties; p++) {
            cczi_vfl_batch_fill(&batch[p], &s->data.table[p], rows, 0, len);
            CHECK(bottom[p]->ops->forward(act[p], bottom[p]->self, 0, batch[p].in, 1, NULL) ==
                  CCZ_OK);
        }
        CHECK(s->lead.top->ops->step(&loss, grads, s->lead.top->self, acts, &labels.view, NULL) ==
              CCZ_OK);
        for (size_t p = 0; p < parties; p++)
            CHECK(bottom[p]->ops->backward(bottom[p]->self, 0, grad[p], NULL) == CCZ_OK);
    }
    for (size_t p = 0; p < parties; p++)
        cczi_vfl_batch_deinit(&batch[p]);
    cczi_vfl_label_batch_deinit(&labels);
    cczi_vfl_plan_deinit(&plan);
}

/* Split training without staleness and noise is the same training. */
static void as_central(void)
{
    static const struct {
        size_t followers;
        bool own;
        uint32_t classes;
    } cases[] = {{1, true, 2}, {1, false, 2}, {2, true, 2}, {3, false, 4}, {1, true, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene s;
        struct ccz_buf split;
        scene_init(&s, cases[i].followers, cases[i].own, cases[i].classes);
        s.lead.protect = CCZ_VFL_PROTECT_NONE_INSECURE;
        play_well(&s);
        states(&split, &s);
        CHECK(s.out.steps == 30 && s.out.resumed == 0 && s.epochs_len == 3);
        CHECK(s.epochs[2].loss < s.epochs[0].loss && s.epochs[2].test_rows == 200);
        if (cases[i].classes)
            CHECK(s.epochs[2].accuracy > (cases[i].classes == 2 ? 0.8 : 0.6));
        else
            CHECK(s.epochs[2].test_loss < s.epochs[0].test_loss && isnan(s.epochs[2].accuracy));
        free_models(&s);
        make_models(&s);
        central(&s);
        CHECK(same_states(&split, &s));
        ccz_buf_free(&split);
        scene_free(&s);
    }
}

/* With batches under way the result is another one, but the same each time. */
static void stale(void)
{
    struct ccz_buf first[3];
    static const uint32_t staleness[] = {0, 1, 4};
    for (size_t i = 0; i < 3; i++) {
        struct scene s;
        scene_init(&s, 2, true, 2);
        s.cfg.staleness = staleness[i];
        s.cfg.checkpoint_steps = 7;
        play_well(&s);
        CHECK(s.epochs[2].accuracy > 0.85);
        states(&first[i], &s);
        for (int again = 0; again < 5; again++) {
            free_models(&s);
            make_models(&s);
            play_well(&s);
            CHECK(same_states(&first[i], &s));
        }
        scene_free(&s);
    }
    CHECK(!ccz_span_eq(ccz_buf_span(&first[0]), ccz_buf_span(&first[1])));
    CHECK(!ccz_span_eq(ccz_buf_span(&first[1]), ccz_buf_span(&first[2])));
    for (size_t i = 0; i < 3; i++)
        ccz_buf_free(&first[i]);
}

/* A batch has lost exactly `staleness` updates once the pipeline is full, never more. */
static uint64_t lag_forward, lag_backward, lag_most;
static ccz_rc (*lag_forward_fn)(float *, void *, unsigned, const struct ccz_tensor *, size_t,
                                struct ccz_err *);
static ccz_rc (*lag_backward_fn)(void *, unsigned, const float *, struct ccz_err *);
static ccz_rc count_forward(float *act, void *self, unsigned slot, const struct ccz_tensor *in,
                            size_t in_len, struct ccz_err *err)
{
    uint64_t lag = lag_forward++ - lag_backward;
    lag_most = lag > lag_most ? lag : lag_most;
    return lag_forward_fn(act, self, slot, in, in_len, err);
}
static ccz_rc count_backward(void *self, unsigned slot, const float *grad, struct ccz_err *err)
{
    lag_backward++;
    return lag_backward_fn(self, slot, grad, err);
}
static void bounded(void)
{
    for (uint32_t staleness = 0; staleness <= CCZ_VFL_INFLIGHT_MAX; staleness += 4) {
        struct scene s;
        scene_init(&s, 1, false, 2);
        s.cfg.staleness = staleness;
        s.cfg.batch = 10;
        struct ccz_vfl_bottom_ops ops = *s.follower[0].bottom->ops;
        lag_forward_fn = ops.forward;
        lag_backward_fn = ops.backward;
        ops.forward = count_forward;
        ops.backward = count_backward;
        s.follower[0].bottom->ops = &ops;
        lag_forward = lag_backward = lag_most = 0;
        play_well(&s);
        CHECK(lag_most == staleness && lag_forward == 90 && lag_backward == 90);
        scene_free(&s);
    }
}

/* By default gradients hide the label from both attacks, and the model is still good. */
static void protection(void)
{
    struct scene s;
    scene_init(&s, 1, true, 2);
    s.cfg.epochs = 6;
    s.cfg.batch = 100;
    play_well(&s);
    double accuracy = s.epochs[5].accuracy;
    struct ccz_vfl_leakage raw = s.epochs[0].raw, sent = s.epochs[0].sent;
    CHECK(raw.batches == 3 && raw.norm > 0.85 && raw.cosine > 0.99);
    CHECK(sent.norm < 0.65 && sent.cosine < 0.75 && sent.norm_q95 >= sent.norm);
    free_models(&s);
    make_models(&s);
    s.lead.protect = CCZ_VFL_PROTECT_NONE_INSECURE;
    play_well(&s);
    CHECK(s.epochs[0].sent.norm == s.epochs[0].raw.norm && s.epochs[0].sent.cosine > 0.99);
    CHECK(accuracy > s.epochs[5].accuracy - 0.05);
    scene_free(&s);
}

/* -------------------------------------------------------------------------------- resuming */

static void set_states(struct scene *s, const char *prefix)
{
    for (size_t i = 0; i <= s->followers; i++)
        (void)snprintf(s->state[i], sizeof(s->state[i]), "%s/%s-%zu", temp_base, prefix, i);
}

static void resume_with(uint32_t staleness, bool own, size_t followers, uint64_t every)
{
    struct scene s;
    struct ccz_buf whole;
    scene_init(&s, followers, own, 2);
    s.cfg.staleness = staleness;
    s.cfg.checkpoint_steps = 4;
    s.cfg.epochs = 2;
    play_well(&s);
    states(&whole, &s);
    struct ccz_vfl_epoch last = s.epochs[1];
    uint64_t resumed_most = 0;
    /* The channel breaks after k messages, whatever they are; everybody comes back with nothing but the files. */
    for (uint64_t k = 1; k < 48; k += every) {
        char prefix[32];
        (void)snprintf(prefix, sizeof(prefix), "%u-%d-%zu-%llu", staleness, own, followers,
                       (unsigned long long)k);
        set_states(&s, prefix);
        memset(&s.leader_run, 0, sizeof(s.leader_run));
        for (size_t i = 0; i < followers; i++)
            memset(&s.follower[i].run, 0, sizeof(s.follower[i].run));
        free_models(&s);
        make_models(&s);
        s.fault = k % 2 ? (struct ccz_chan_fault_cfg){.recv_cut_after = k / 2}
                        : (struct ccz_chan_fault_cfg){.send_cut_after = k / 2};
        play(&s);
        free_models(&s);
        make_models(&s);
        s.fault = (struct ccz_chan_fault_cfg){0};
        play_well(&s);
        resumed_most = s.out.resumed > resumed_most ? s.out.resumed : resumed_most;
        CHECK(same_states(&whole, &s));
        CHECK(s.out.last.epoch == 2 && s.out.last.accuracy == last.accuracy &&
              s.out.last.loss == last.loss && s.out.last.sent.norm == last.sent.norm &&
              s.out.last.sent.norm_q95 == last.sent.norm_q95 &&
              s.out.last.raw.cosine == last.raw.cosine);
    }
    CHECK(resumed_most >= 16);
    ccz_buf_free(&whole);
    scene_free(&s);
}

static void resume(void)
{
    temp_setup();
    resume_with(0, true, 1, 1);
    resume_with(0, false, 2, 5);
}

static void resume_stale(void)
{
    temp_setup();
    resume_with(2, true, 2, 3);
}

/* A party that fails in the middle ends the others with its reason; then all go on. */
static void resume_after_failure(void)
{
    struct scene s;
    struct ccz_buf whole;
    temp_setup();
    scene_init(&s, 2, true, 2);
    s.cfg.checkpoint_steps = 5;
    play_well(&s);
    states(&whole, &s);
    for (int who = 0; who < 3; who++) { /* own bottom model, first, second follower */
        char prefix[32];
        (void)snprintf(prefix, sizeof(prefix), "who-%d", who);
        set_states(&s, prefix);
        memset(&s.leader_run, 0, sizeof(s.leader_run));
        for (size_t i = 0; i < 2; i++)
            memset(&s.follower[i].run, 0, sizeof(s.follower[i].run));
        free_models(&s);
        make_models(&s);
        struct ccz_vfl_bottom *b = who ? s.follower[who - 1].bottom : s.lead.bottom;
        ((struct kit_bottom *)b->self)->fail_at = 13;
        play(&s);
        CHECK(s.rc != CCZ_OK && s.out.steps == 0);
        if (who == 0)
            CHECK(s.rc == CCZ_E_INTERNAL && WHERE(s.err, "kit:fails"));
        else
            CHECK(s.rc == CCZ_E_CLOSED && strstr(s.err.msg, "kit:fails"));
        for (int i = 0; i < 2; i++)
            CHECK(s.follower[i].rc != CCZ_OK);
        free_models(&s);
        make_models(&s);
        play_well(&s);
        CHECK(s.out.resumed == 10 && same_states(&whole, &s));
    }
    /* When all is done, coming back does nothing. */
    free_models(&s);
    make_models(&s);
    play_well(&s);
    CHECK(s.out.resumed == 30 && s.out.steps == 30 && s.out.last.epoch == 3 && s.epochs_len == 0);
    CHECK(same_states(&whole, &s));
    ccz_buf_free(&whole);
    scene_free(&s);
}

/* A party without its files cannot go on, and nobody goes back silently. */
static void resume_lost(void)
{
    struct scene s;
    temp_setup();
    scene_init(&s, 1, true, 2);
    set_states(&s, "lost");
    play_well(&s);
    CHECK(remove(temp_path("lost-1.0")) == 0 && remove(temp_path("lost-1.1")) == 0);
    free_models(&s);
    make_models(&s);
    play(&s);
    CHECK(s.rc == CCZ_E_PEER && WHERE(s.err, "vfl:resume"));
    CHECK(s.follower[0].rc == CCZ_E_CLOSED && strstr(s.follower[0].err.msg, "vfl:resume"));
    scene_free(&s);
}

/* -------------------------------------------------------------------------------- refusals */

static void expect(struct scene *s, ccz_rc rc, const char *where)
{
    play(s);
    if (s->rc != rc || strcmp(s->err.where, where) != 0)
        fprintf(stderr, "got %s %s: %s\n", ccz_rc_name(s->rc), s->err.where, s->err.msg);
    CHECK(s->rc == rc && WHERE(s->err, where));
    CHECK(s->follower[0].rc != CCZ_OK && s->out.steps == 0);
    free_models(s); /* what a broken run leaves behind is no fresh model */
    make_models(s);
}

static void refuses_discord(void)
{
    static const struct {
        int what;
        ccz_rc rc;
        const char *where;
    } cases[] = {{0, CCZ_E_MISMATCH, "vfl:alignment"}, {1, CCZ_E_MISMATCH, "vfl:alignment"},
                 {2, CCZ_E_MISMATCH, "vfl:schema"},    {3, CCZ_E_MISMATCH, "vfl:config"},
                 {4, CCZ_E_MISMATCH, "vfl:config"},    {5, CCZ_E_MISMATCH, "vfl:config"},
                 {6, CCZ_E_MISMATCH, "vfl:config"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene s;
        scene_init(&s, 1, true, 2);
        struct ccz_vfl_cfg *c = &s.cfg_follower;
        *c = s.cfg;
        switch (cases[i].what) {
        case 0:
            c->alignment[31] ^= 1;
            break;
        case 1:
            c->test_alignment[31] ^= 1;
            break;
        case 2:
            c->schema[31] ^= 1;
            break;
        case 3:
            c->seed++;
            break;
        case 4:
            c->staleness++;
            break;
        case 5:
            c->epochs++;
            break;
        default:
            c->batch++;
        }
        expect(&s, cases[i].rc, cases[i].where);
        scene_free(&s);
    }
}

static void refuses_shapes(void)
{
    struct scene s;
    scene_init(&s, 1, true, 2); /* another width */
    ccz_vfl_bottom_free(s.follower[0].bottom);
    s.follower[0].bottom = kit_bottom_new(KIT_COLS, WIDTH + 1, 1);
    expect(&s, CCZ_E_MISMATCH, "vfl:schema");
    scene_free(&s);

    scene_init(&s, 1, true, 2); /* another number of rows */
    struct kit_data other;
    kit_data_init(&other, 301, 2, 2, 0.2, 1);
    s.follower[0].run = run_of(&s, 1, &s.cfg, "");
    s.follower[0].run.train = &other.table[1];
    expect(&s, CCZ_E_MISMATCH, "vfl:rows");
    s.follower[0].run.train = &s.data.table[1];
    s.follower[0].run.test = &other.table[1];
    expect(&s, CCZ_E_MISMATCH, "vfl:rows");
    kit_data_free(&other);
    scene_free(&s);

    scene_init(&s, 1, true, 2); /* two followers expected */
    ccz_vfl_top_free(s.lead.top);
    s.lead.top = kit_top_new(3, WIDTH, 2);
    expect(&s, CCZ_E_ARG, "vfl:parties");
    ccz_vfl_top_free(s.lead.top);
    s.lead.top = kit_top_new(2, WIDTH, 3); /* three classes */
    expect(&s, CCZ_E_MISMATCH, "vfl:schema");
    scene_free(&s);
}

static void refuses_config(void)
{
    for (int what = 0; what < 8; what++) {
        struct scene s;
        scene_init(&s, 1, true, what == 7 ? 0 : 2);
        switch (what) {
        case 0:
            s.cfg.epochs = 0;
            break;
        case 1:
            s.cfg.batch = 0;
            break;
        case 2:
            s.cfg.staleness = CCZ_VFL_INFLIGHT_MAX + 1;
            break;
        case 3:
            memset(s.cfg.alignment, 0, 32);
            break;
        case 4:
            ccz_secret_free(s.seal);
            s.seal = NULL;
            (void)snprintf(s.state[0], sizeof(s.state[0]), "/nowhere/state");
            break;
        case 5:
            s.cfg.staleness = 16; /* more under way than a channel queues */
            s.cfg.batch = 65536;
            break;
        case 6:
            s.data.label[5] = 2;
            break;
        default:
            s.lead.protect = CCZ_VFL_MARVELL; /* needs classes */
        }
        play(&s);
        const char *where = what == 6 ? "vfl:labels" : what == 7 ? "vfl:protect" : "vfl:config";
        CHECK(s.rc == CCZ_E_ARG && WHERE(s.err, where) && s.follower[0].rc != CCZ_OK);
        scene_free(&s);
    }
}

/* Messages from the follower, counted at the leader: 1 hello, then activations. */
static void refuses_replay(void)
{
    struct scene s;
    /* The follower's fourth message comes twice. */
    scene_init(&s, 1, true, 2);
    struct ccz_chan *here, *there;
    const struct ccz_chan_fault_cfg twice = {.send_repeat = 4}, lost = {.send_drop = 4};
    for (int what = 0; what < 2; what++) {
        pthread_t thread;
        struct party *p = &s.follower[0];
        CHECK(ccz_chan_pair(&here, &there, NULL, NULL) == CCZ_OK);
        CHECK(ccz_chan_fault_new(&p->chan, there, what ? &lost : &twice, NULL) == CCZ_OK);
        s.cfg.staleness = 2;
        p->run = run_of(&s, 1, &s.cfg, "");
        s.leader_run = run_of(&s, 0, &s.cfg, "");
        s.lead.labels = &s.data.labels;
        s.lead.test_labels = &s.test.labels;
        CHECK(pthread_create(&thread, NULL, follower_main, p) == 0);
        s.rc = ccz_vfl_lead(&s.out, &here, 1, &s.lead, &s.leader_run, &s.err);
        ccz_chan_free(here);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(s.rc == CCZ_E_PEER && WHERE(s.err, "vfl:batch"));
        CHECK(strcmp(s.err.got, what ? "4" : "3") == 0 &&
              strcmp(s.err.expected, what ? "3" : "4") == 0);
        CHECK(p->rc == CCZ_E_CLOSED && strstr(p->err.msg, "vfl:batch"));
        free_models(&s);
        make_models(&s);
    }
    scene_free(&s);
}

/* Gradients that come twice are refused by the follower: 1 hello, 2 start, 3 .. gradients. */
static void refuses_replayed_gradient(void)
{
    struct scene s;
    scene_init(&s, 1, true, 2);
    s.fault = (struct ccz_chan_fault_cfg){.send_repeat = 5};
    play(&s);
    CHECK(s.follower[0].rc == CCZ_E_PEER && WHERE(s.follower[0].err, "vfl:batch"));
    CHECK(s.rc == CCZ_E_CLOSED && strstr(s.err.msg, "vfl:batch"));
    scene_free(&s);
}

static void refuses_damage(void)
{
    struct scene s;
    scene_init(&s, 1, false, 2); /* shortened activations */
    s.fault = (struct ccz_chan_fault_cfg){.recv_shorten = 3};
    expect(&s, CCZ_E_PEER, "vfl:message");
    s.fault = (struct ccz_chan_fault_cfg){.recv_shorten = 1};
    expect(&s, CCZ_E_PEER, "vfl:message");
    s.fault = (struct ccz_chan_fault_cfg){.recv_cut_after = 3};
    play(&s);
    CHECK(s.rc != CCZ_OK && s.follower[0].rc != CCZ_OK);
    free_models(&s);
    make_models(&s);
    s.fault = (struct ccz_chan_fault_cfg){0};
    ((struct kit_bottom *)s.follower[0].bottom->self)->nan = true;
    play(&s);
    CHECK(s.follower[0].rc == CCZ_E_ARG && WHERE(s.follower[0].err, "vfl:finite"));
    scene_free(&s);
}

/* What a follower without our checks could send. */
struct liar {
    struct ccz_chan *chan;
    struct cczi_vfl_hello hello;
    struct cczi_vfl_msg msg; /* instead of the first activations */
    bool keep_session;
    float body[32 * WIDTH];
    struct scene *scene;
};
static void *liar_main(void *arg)
{
    struct liar *l = arg;
    const struct ccz_vfl_run run = run_of(l->scene, 0, &l->scene->cfg, "");
    struct cczi_vfl_link link;
    struct cczi_vfl_plan plan;
    size_t len;
    CHECK(cczi_vfl_plan_init(&plan, &l->scene->cfg, 0, l->scene->data.rows, NULL) == CCZ_OK);
    cczi_vfl_link_init(&link, l->chan, &run);
    CHECK(cczi_vfl_send_hello(&link, &l->hello, NULL) == CCZ_OK);
    if (cczi_vfl_recv_hello(&link, &l->hello, true, 0, NULL) == CCZ_OK &&
        cczi_vfl_recv_kind(&link, CCZI_VFL_START, 64, NULL) == CCZ_OK) {
        uint8_t header[64];
        struct cczi_vfl_msg m = l->msg;
        if (l->keep_session)
            memcpy(m.session, link.msg.session, sizeof(m.session));
        const size_t *rows = cczi_vfl_rows_of(&len, &plan, 1);
        if (m.batch[0] == 0)
            CHECK(cczi_vfl_batch_digest(m.batch, plan.alignment, 1, rows, len, NULL) == CCZ_OK);
        cczi_vfl_msg_header(header, &m);
        const struct ccz_span parts[] = {CCZ_SPAN(header, 64),
                                         CCZ_SPAN(l->body, m.rows * m.width * sizeof(float))};
        CHECK(ccz_chan_send_parts(l->chan, parts, 2, NULL) == CCZ_OK);
    }
    while (ccz_chan_recv(&link.in, l->chan, NULL) == CCZ_OK)
        ccz_buf_clear(&link.in);
    ccz_buf_free(&link.in);
    cczi_vfl_plan_deinit(&plan);
    ccz_chan_free(l->chan);
    return NULL;
}

static void refuses_lies(void)
{
    struct scene s;
    scene_init(&s, 1, false, 2);
    s.lead.labels = &s.data.labels;
    s.lead.test_labels = &s.test.labels;
    s.leader_run = run_of(&s, 0, &s.cfg, "");
    static const struct cczi_ckpt none = {.last = -1};
    const struct cczi_vfl_msg good = {.kind = CCZI_VFL_ACT, .step = 1, .rows = 32, .width = WIDTH};
    static const struct {
        int what;
        ccz_rc rc;
        const char *where;
    } cases[] = {{0, CCZ_E_PEER, "vfl:session"}, {1, CCZ_E_PEER, "vfl:batch"},
                 {2, CCZ_E_PEER, "vfl:batch"},   {3, CCZ_E_PEER, "vfl:rows"},
                 {4, CCZ_E_PEER, "vfl:schema"},  {5, CCZ_E_PEER, "vfl:finite"},
                 {6, CCZ_E_PEER, "vfl:order"},   {7, CCZ_E_MISMATCH, "vfl:role"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct liar l = {.scene = &s, .msg = good, .keep_session = true};
        struct ccz_chan *here;
        pthread_t thread;
        CHECK(cczi_vfl_hello_init(&l.hello, &s.leader_run, CCZI_VFL_FOLLOWER, WIDTH, 300, 200,
                                  &none, NULL) == CCZ_OK);
        l.keep_session = cases[i].what != 0; /* a message of another run */
        l.msg.step += cases[i].what == 1;
        l.msg.batch[0] = cases[i].what == 2; /* other rows */
        l.msg.rows -= cases[i].what == 3;
        l.msg.width -= cases[i].what == 4;
        l.body[95] = cases[i].what == 5 ? NAN : 0;
        l.msg.kind = cases[i].what == 6 ? CCZI_VFL_TEST : CCZI_VFL_ACT;
        l.hello.role = cases[i].what == 7 ? CCZI_VFL_LEADER : CCZI_VFL_FOLLOWER;
        CHECK(ccz_chan_pair(&here, &l.chan, NULL, NULL) == CCZ_OK);
        CHECK(pthread_create(&thread, NULL, liar_main, &l) == 0);
        s.rc = ccz_vfl_lead(&s.out, &here, 1, &s.lead, &s.leader_run, &s.err);
        ccz_chan_free(here);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(s.rc == cases[i].rc && WHERE(s.err, cases[i].where));
    }
    scene_free(&s);
}

/* A follower that falls silent: the leader waits, and no longer. */
static void silence(void)
{
    struct scene s;
    struct ccz_chan *here, *there;
    scene_init(&s, 1, true, 2);
    s.lead.labels = &s.data.labels;
    s.lead.test_labels = &s.test.labels;
    s.leader_run = run_of(&s, 0, &s.cfg, "");
    s.leader_run.timeout_ms = 50;
    CHECK(ccz_chan_pair(&here, &there, NULL, NULL) == CCZ_OK);
    s.rc = ccz_vfl_lead(&s.out, &here, 1, &s.lead, &s.leader_run, &s.err);
    CHECK(s.rc == CCZ_E_TIMEOUT && WHERE(s.err, "chan:recv-timeout"));
    ccz_chan_free(here);
    ccz_chan_free(there);
    scene_free(&s);
}

static const struct ccz_test tests[] = {
    {"vfl.as_central", as_central},
    {"vfl.stale", stale},
    {"vfl.bounded", bounded},
    {"vfl.protection", protection},
    {"vfl.resume", resume},
    {"vfl.resume_stale", resume_stale},
    {"vfl.resume_after_failure", resume_after_failure},
    {"vfl.resume_lost", resume_lost},
    {"vfl.refuses_discord", refuses_discord},
    {"vfl.refuses_shapes", refuses_shapes},
    {"vfl.refuses_config", refuses_config},
    {"vfl.refuses_replay", refuses_replay},
    {"vfl.refuses_replayed_gradient", refuses_replayed_gradient},
    {"vfl.refuses_damage", refuses_damage},
    {"vfl.refuses_lies", refuses_lies},
    {"vfl.silence", silence}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
