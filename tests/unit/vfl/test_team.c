/* SPDX-License-Identifier: Apache-2.0 */
/* Two parties of several workers each: the training of one worker with larger batches, the same bits each time, resuming, refusals. */
#define _GNU_SOURCE
#include "temp_dir.h"
#include "vfl/kit.h"

enum { WORKERS_MAX = 3, WIDTH = 3, ROWS = 300, LEADER = 0, FOLLOWER = 1 };

/* One worker: its models, its ends of the channels, what it ended with. */
struct seat {
    struct crew *crew;
    int party;
    uint32_t k; /* from 0 */
    struct ccz_vfl_cfg cfg;
    struct ccz_vfl_team_cfg team;
    struct ccz_vfl_lead lead; /* of a follower: `bottom` alone */
    struct ccz_chan *pair, *peer[WORKERS_MAX];
    size_t peers;
    uint8_t data[CCZ_VFL_DIGEST_SIZE];
    char state[512];
    struct ccz_vfl_rows *rows;
    struct ccz_vfl_result out;
    struct ccz_vfl_epoch last;
    ccz_rc rc;
    struct ccz_err err;
    float *first_grad; /* what the bottom model's first backward pass got */
};
struct crew {
    uint32_t workers;
    struct kit_data data, test;
    struct ccz_secret *key[2], *seal;
    struct seat seat[2][WORKERS_MAX];
    struct ccz_chan_fault_cfg fault;
    int fault_at; /* 0: none, 1: leader's end of the last pair, 2, 3: hub's end of that party's last worker */
    int64_t delay_ms[2][WORKERS_MAX];
};

static void make_models(struct crew *c)
{
    for (uint32_t k = 0; k < c->workers; k++) {
        c->seat[LEADER][k].lead.top = kit_top_new(2, WIDTH, 2);
        for (int p = 0; p < 2; p++)
            c->seat[p][k].lead.bottom = kit_bottom_new(KIT_COLS, WIDTH, 100 + (uint64_t)p);
    }
}
static void free_models(struct crew *c)
{
    for (uint32_t k = 0; k < c->workers; k++)
        for (int p = 0; p < 2; p++) {
            ccz_vfl_top_free(c->seat[p][k].lead.top);
            ccz_vfl_bottom_free(c->seat[p][k].lead.bottom);
        }
}
static void renew(struct crew *c)
{
    free_models(c);
    make_models(c);
}

static void crew_init(struct crew *c, uint32_t workers)
{
    uint8_t key[32] = {7};
    *c = (struct crew){.workers = workers};
    kit_data_init(&c->data, ROWS, 2, 2, 0.2, 1);
    kit_data_init(&c->test, 200, 2, 2, 0.2, 2);
    CHECK(ccz_secret_from(&c->seal, key, 32) == CCZ_OK);
    for (int p = 0; p < 2; p++) {
        key[1] = (uint8_t)p;
        CHECK(ccz_secret_from(&c->key[p], key, 32) == CCZ_OK);
        for (uint32_t k = 0; k < workers; k++) {
            struct seat *s = &c->seat[p][k];
            *s = (struct seat){.crew = c, .party = p, .k = k};
            s->cfg = (struct ccz_vfl_cfg){.epochs = 3,
                                          .batch = 10,
                                          .eval_batch = 70,
                                          .seed = 1,
                                          .workers = workers,
                                          .average_steps = 1,
                                          .alignment = {1},
                                          .test_alignment = {2},
                                          .schema = {3}};
            s->team = (struct ccz_vfl_team_cfg){.worker = k + 1,
                                                .workers = workers,
                                                .leader = p == LEADER,
                                                .key = c->key[p],
                                                .timeout_ms = 20000};
            s->lead = (struct ccz_vfl_lead){.labels = &c->data.labels,
                                            .test_labels = &c->test.labels,
                                            .protect = CCZ_VFL_PROTECT_NONE_INSECURE,
                                            .noise_seed = c->seal};
        }
    }
    make_models(c);
}
static void crew_free(struct crew *c)
{
    free_models(c);
    kit_data_free(&c->data);
    kit_data_free(&c->test);
    ccz_secret_free(c->seal);
    for (int p = 0; p < 2; p++)
        ccz_secret_free(c->key[p]);
}

static void on_epoch(void *arg, const struct ccz_vfl_epoch *e)
{
    ((struct seat *)arg)->last = *e;
}

/* Worker 1 has "found" all rows in reverse order; the others must come to know. */
static ccz_rc share_rows(struct seat *s, struct ccz_vfl_team *team, struct ccz_err *err)
{
    if (s->k == 0) {
        s->rows = calloc(1, sizeof(*s->rows));
        CHECK(s->rows && (s->rows->row = calloc(ROWS, sizeof(size_t))));
        s->rows->len = ROWS;
        s->rows->digest[5] = 9;
        for (size_t i = 0; i < ROWS; i++)
            s->rows->row[i] = ROWS - 1 - i;
    }
    ccz_rc rc = ccz_vfl_team_rows(&s->rows, team, ROWS, s->data, err);
    if (rc == CCZ_OK)
        CHECK(s->rows->len == ROWS && s->rows->row[0] == ROWS - 1 && s->rows->digest[5] == 9);
    ccz_vfl_rows_free(s->rows);
    s->rows = NULL;
    return rc;
}

static void *seat_main(void *arg)
{
    struct seat *s = arg;
    CCZ_AUTO(ccz_vfl_team) team = NULL;
    s->err = (struct ccz_err){0};
    s->rc = ccz_vfl_team_join(&team, s->peer, s->peers, &s->team, &s->err);
    if (s->rc == CCZ_OK)
        s->rc = share_rows(s, team, &s->err);
    const struct ccz_vfl_run run = {.cfg = &s->cfg,
                                    .train = &s->crew->data.table[s->party],
                                    .test = &s->crew->test.table[s->party],
                                    .timeout_ms = 20000,
                                    .checkpoint = s->state[0] ? s->state : NULL,
                                    .seal = s->crew->seal,
                                    .team = team,
                                    .on_epoch = on_epoch,
                                    .arg = s};
    if (s->rc == CCZ_OK)
        s->rc = s->party == LEADER
                    ? ccz_vfl_lead(&s->out, &s->pair, 1, &s->lead, &run, &s->err)
                    : ccz_vfl_follow(&s->out, s->pair, s->lead.bottom, &run, &s->err);
    else
        ccz_chan_close(s->pair, s->err.where);
    return NULL;
}

static void faulty(struct ccz_chan **chan, const struct crew *c, bool here, int64_t delay_ms)
{
    struct ccz_chan_fault_cfg f = here ? c->fault : (struct ccz_chan_fault_cfg){0};
    f.delay_ms = delay_ms;
    CHECK(ccz_chan_fault_new(chan, *chan, &f, NULL) == CCZ_OK);
}

static void connect_all(struct crew *c)
{
    uint32_t end = c->workers - 1;
    for (uint32_t k = 0; k < c->workers; k++) {
        struct seat *a = &c->seat[LEADER][k], *b = &c->seat[FOLLOWER][k];
        CHECK(ccz_chan_pair(&a->pair, &b->pair, NULL, NULL) == CCZ_OK);
        faulty(&a->pair, c, c->fault_at == 1 && k == end, c->delay_ms[LEADER][k]);
        faulty(&b->pair, c, false, c->delay_ms[FOLLOWER][k]);
        for (int p = 0; p < 2; p++)
            if (k > 0) {
                struct ccz_chan **hub = &c->seat[p][0].peer[k - 1];
                CHECK(ccz_chan_pair(hub, &c->seat[p][k].peer[0], NULL, NULL) == CCZ_OK);
                faulty(hub, c, c->fault_at == 2 + p && k == end, 0);
            }
    }
}

/* Runs all workers until they return. */
static void play(struct crew *c)
{
    pthread_t thread[2][WORKERS_MAX];
    connect_all(c);
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < c->workers; k++) {
            struct seat *s = &c->seat[p][k];
            s->peers = k == 0 ? c->workers - 1 : 1;
            CHECK(pthread_create(&thread[p][k], NULL, seat_main, s) == 0);
        }
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < c->workers; k++)
            CHECK(pthread_join(thread[p][k], NULL) == 0);
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < c->workers; k++) {
            ccz_chan_free(c->seat[p][k].pair);
            for (size_t i = 0; i < c->seat[p][k].peers; i++)
                ccz_chan_free(c->seat[p][k].peer[i]);
        }
}
static void play_well(struct crew *c)
{
    play(c);
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < c->workers; k++) {
            const struct seat *s = &c->seat[p][k];
            if (s->rc != CCZ_OK)
                fprintf(stderr, "party %d worker %u: %s: %s\n", p, k + 1, s->err.where, s->err.msg);
            CHECK(s->rc == CCZ_OK);
        }
}

/* All states of all workers, to compare. */
static void states(struct ccz_buf *out, const struct crew *c)
{
    ccz_buf_init(out, 1 << 20);
    for (uint32_t k = 0; k < c->workers; k++) {
        const struct ccz_vfl_top *top = c->seat[LEADER][k].lead.top;
        CHECK(top->ops->save(out, top->self, NULL) == CCZ_OK);
        for (int p = 0; p < 2; p++) {
            const struct ccz_vfl_bottom *b = c->seat[p][k].lead.bottom;
            CHECK(b->ops->save(out, b->self, NULL) == CCZ_OK);
        }
    }
    CHECK(!out->bad);
}
static bool same_states(const struct ccz_buf *a, const struct crew *c)
{
    struct ccz_buf b;
    states(&b, c);
    bool same = ccz_span_eq(ccz_buf_span(a), ccz_buf_span(&b));
    ccz_buf_free(&b);
    return same;
}
static const struct kit_params *params(const struct crew *c, int which, uint32_t k)
{
    if (which == 2)
        return &((const struct kit_top *)c->seat[LEADER][k].lead.top->self)->p;
    return &((const struct kit_bottom *)c->seat[which][k].lead.bottom->self)->p;
}

/* -------------------------------------------------------------------------------- numbers */

/* Each row of an epoch goes to one worker; the shares of a step are equal, those of the last one differ by one at most. */
static void shares(void)
{
    static const struct {
        size_t rows;
        uint64_t per_epoch;
        size_t used;
    } cases[] = {{90, 3, 90}, {47, 2, 47}, {32, 1, 30}, {33, 2, 33}, {3, 1, 3}};
    struct ccz_vfl_cfg cfg = {.epochs = 2, .batch = 10, .workers = 3, .seed = 4, .alignment = {1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t seen[90] = {0};
        size_t used = 0, least[8], most[8];
        for (uint32_t k = 0; k < 3; k++) {
            struct cczi_vfl_plan p;
            CHECK(cczi_vfl_plan_init(&p, &cfg, k, cases[i].rows, NULL) == CCZ_OK);
            CHECK(p.per_epoch == cases[i].per_epoch);
            for (uint64_t t = 1; t <= p.per_epoch; t++) {
                size_t len;
                const size_t *rows = cczi_vfl_rows_of(&len, &p, t + p.per_epoch);
                least[t] = k == 0 || len < least[t] ? len : least[t];
                most[t] = k == 0 || len > most[t] ? len : most[t];
                CHECK(len >= 1 && len <= 10 && most[t] - least[t] <= 1);
                for (size_t j = 0; j < len; j++, used++)
                    CHECK(rows[j] < cases[i].rows && !seen[rows[j]]++);
            }
            cczi_vfl_plan_deinit(&p);
        }
        CHECK(used == cases[i].used);
    }
    struct cczi_vfl_plan p;
    struct ccz_err err = {0};
    CHECK(cczi_vfl_plan_init(&p, &cfg, 0, 2, &err) == CCZ_E_ARG && WHERE(err, "vfl:workers"));
    cfg.average_steps =
        4; /* averages, too, are ends of segments; states are stored at checkpoints alone */
    cfg.checkpoint_steps = 6;
    CHECK(cczi_vfl_plan_init(&p, &cfg, 0, 300, NULL) == CCZ_OK);
    CHECK(cczi_vfl_segment_end(&p, 0) == 4 && cczi_vfl_segment_end(&p, 4) == 6);
    CHECK(cczi_vfl_segment_end(&p, 8) == 10 && !cczi_vfl_stores(&p, 4) && cczi_vfl_stores(&p, 6));
    CHECK(cczi_vfl_stores(&p, 10));
    cczi_vfl_plan_deinit(&p);
}

static const struct ccz_vfl_part PARTS[] = {
    {CCZ_VFL_PART_EQUAL, 2}, {CCZ_VFL_PART_MEAN, 8}, {CCZ_VFL_PART_OWN, 5}, {CCZ_VFL_PART_MEAN, 4}};
static void give_parts(const struct ccz_vfl_part **out, size_t *len, void *self)
{
    *out = PARTS;
    *len = *(const size_t *)self;
}
static struct ccz_vfl_part bad_part;
static void give_bad(const struct ccz_vfl_part **out, size_t *len, void *self)
{
    (void)self;
    *out = &bad_part;
    *len = 1;
}

static void means(void)
{
    struct cczi_vfl_layout y = {0};
    struct ccz_err err = {0};
    struct ccz_buf a;
    size_t all = 4;
    double sum[3] = {0};
    float v[3];
    CHECK(cczi_vfl_layout_add(&y, give_parts, &all, NULL) == CCZ_OK);
    CHECK(y.state_size == 19 && y.shared_size == 14 && y.floats == 3);
    uint8_t state[19] = {1, 2}, shared[2][14];
    const float values[2][3] = {{1, -2, 0.1f}, {2, 4, 0.1f}};
    for (int w = 0; w < 2; w++) {
        memcpy(state + 2, values[w], 8);
        memcpy(state + 15, &values[w][2], 4);
        memset(state + 10, 0xf0 + w, 5);
        ccz_buf_init(&a, 64);
        CHECK(cczi_vfl_layout_share(&a, &y, CCZ_SPAN(state, 19), NULL) == CCZ_OK && a.size == 14);
        memcpy(shared[w], a.ptr, 14);
        CHECK(cczi_vfl_layout_share(&a, &y, CCZ_SPAN(state, 18), &err) == CCZ_E_INTERNAL &&
              WHERE(err, "vfl:worker-model"));
        ccz_buf_free(&a);
        CHECK(cczi_vfl_layout_sum(sum, &y, shared[0], shared[w], (uint32_t)w, NULL) == CCZ_OK);
    }
    cczi_vfl_layout_mean(shared[0], &y, sum, 2);
    cczi_vfl_layout_merge(state, &y, shared[0]);
    memcpy(v, state + 2, 8);
    memcpy(v + 2, state + 15, 4);
    CHECK(state[0] == 1 && state[1] == 2 && v[0] == 1.5f && v[1] == 1 && v[2] == 0.1f);
    CHECK(state[10] == 0xf1 && state[14] == 0xf1); /* its own stays */
    cczi_vfl_layout_fork(state, &y, 2); /* 0xf1f1f1f1 + 2 * 0x9e3779b9 = 0x2e60e563, mod 2^32 */
    CHECK(state[10] == 0x63 && state[11] == 0xe5 && state[12] == 0x60 && state[13] == 0x2e &&
          state[14] == 0xf1 && state[9] != 0xf1);
    shared[1][1] = 3;
    CHECK(cczi_vfl_layout_sum(sum, &y, shared[0], shared[1], 1, &err) == CCZ_E_MISMATCH &&
          WHERE(err, "vfl:worker-state"));
    shared[1][1] = 2;
    memset(shared[1] + 2, 0xff, 4);
    CHECK(cczi_vfl_layout_sum(sum, &y, shared[0], shared[1], 1, &err) == CCZ_E_PEER &&
          WHERE(err, "vfl:finite"));
    CHECK(cczi_vfl_layout_add(&y, NULL, NULL, &err) == CCZ_E_ARG && WHERE(err, "vfl:worker-model"));
    static const struct ccz_vfl_part bad[] = {{CCZ_VFL_PART_MEAN, 6},
                                              {CCZ_VFL_PART_OWN, 3},
                                              {(enum ccz_vfl_part_kind)0, 4},
                                              {CCZ_VFL_PART_EQUAL, CCZ_VFL_STATE_SIZE_MAX}};
    for (size_t i = 0; i < 4; i++) {
        bad_part = bad[i];
        CHECK(cczi_vfl_layout_add(&y, give_bad, NULL, &err) == CCZ_E_ARG);
    }
    cczi_vfl_layout_deinit(&y);
}

static size_t message(uint8_t *out, enum cczi_vfl_kind kind, const void *body, size_t size)
{
    struct cczi_vfl_msg m = {.kind = kind, .session = {1}, .step = 3};
    cczi_vfl_msg_header(out, &m);
    memcpy(out + CCZI_VFL_HEADER_SIZE, body, size);
    return CCZI_VFL_HEADER_SIZE + size;
}

/* What is written is read the same; every truncation and every bad field is refused. */
static void messages(void)
{
    uint8_t bytes[256], body[CCZI_VFL_PIECE_SIZE + 3];
    struct cczi_vfl_msg m;
    struct ccz_buf b;
    const struct cczi_vfl_team_hello team = {CCZI_VFL_LEADER, 2, 4, {9}};
    const struct cczi_vfl_ready ready = {{8}, 2, {40, 20}};
    const struct cczi_vfl_piece piece = {.total = 7, .at = 4, .value = 0.5};
    ccz_buf_init(&b, 128);
    cczi_vfl_msg_team(&b, &team);
    size_t size = message(bytes, CCZI_VFL_TEAM, b.ptr, b.size);
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    CHECK(m.team.role == CCZI_VFL_LEADER && m.team.worker == 2 && m.team.workers == 4 &&
          m.team.fresh[0] == 9);
    for (size_t cut = 0; cut < size; cut++)
        CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, cut), NULL) == CCZ_E_PEER);
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{64, 3}, {65, 1}, {66, 1}, {68, 4}, {72, 1}, {72, 65}, {76, 1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t was = bytes[bad[i].at];
        bytes[bad[i].at] = bad[i].value;
        CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
        bytes[bad[i].at] = was;
    }
    ccz_buf_clear(&b);
    cczi_vfl_msg_ready(&b, &ready);
    size = message(bytes, CCZI_VFL_READY, b.ptr, b.size);
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    CHECK(m.ready.settings[0] == 8 && m.ready.steps_len == 2 && m.ready.steps[1] == 20);
    for (size_t cut = 0; cut < size; cut++)
        CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, cut), NULL) == CCZ_E_PEER);
    bytes[96] = 3;
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
    bytes[96] = 1; /* a second step that is not counted */
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
    cczi_vfl_msg_piece(body, &piece);
    memcpy(body + CCZI_VFL_PIECE_SIZE, "abc", 3);
    size = message(bytes, CCZI_VFL_MEAN, body, sizeof(body));
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    CHECK(m.piece.total == 7 && m.piece.at == 4 && m.piece.value == 0.5 && m.piece.bytes.size == 3);
    bytes[72] = 5; /* beyond the whole */
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
    bytes[72] = 4;
    bytes[68] = 1; /* larger than a state may be */
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
    size = message(bytes, CCZI_VFL_PROOF, "01234567890123456789012345678901", 32);
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size), NULL) == CCZ_OK && m.proof[1] == '1');
    CHECK(cczi_vfl_msg_parse(&m, CCZ_SPAN(bytes, size - 1), NULL) == CCZ_E_PEER);
    ccz_buf_free(&b);
}

/* ------------------------------------------------------------------------------- training */

/* One worker, batches as large as those of all together. */
struct follower_alone {
    struct seat *seat;
    const struct ccz_vfl_run *run;
};
static void *follow_alone(void *arg)
{
    const struct follower_alone *f = arg;
    f->seat->rc =
        ccz_vfl_follow(&f->seat->out, f->seat->pair, f->seat->lead.bottom, f->run, &f->seat->err);
    return NULL;
}
static void alone(struct crew *c, uint32_t batch)
{
    struct seat *a = &c->seat[LEADER][0], *b = &c->seat[FOLLOWER][0];
    struct ccz_vfl_run run[2];
    pthread_t thread;
    crew_init(c, 1);
    CHECK(ccz_chan_pair(&a->pair, &b->pair, NULL, NULL) == CCZ_OK);
    for (int p = 0; p < 2; p++) {
        c->seat[p][0].cfg.workers = 0;
        c->seat[p][0].cfg.batch = batch;
        run[p] = (struct ccz_vfl_run){.cfg = &c->seat[p][0].cfg,
                                      .train = &c->data.table[p],
                                      .test = &c->test.table[p],
                                      .timeout_ms = 20000,
                                      .on_epoch = on_epoch,
                                      .arg = &c->seat[p][0]};
    }
    struct follower_alone f = {b, &run[FOLLOWER]};
    CHECK(pthread_create(&thread, NULL, follow_alone, &f) == 0);
    a->rc = ccz_vfl_lead(&a->out, &a->pair, 1, &a->lead, &run[LEADER], &a->err);
    CHECK(pthread_join(thread, NULL) == 0 && a->rc == CCZ_OK && b->rc == CCZ_OK);
    ccz_chan_free(a->pair);
    ccz_chan_free(b->pair);
}

/* Averaging after each step is the training of one worker with the batches of all, but for rounding. */
static void as_one(void)
{
    for (uint32_t workers = 2; workers <= WORKERS_MAX; workers++) {
        struct crew c, one;
        crew_init(&c, workers);
        play_well(&c);
        alone(&one, 10 * workers);
        for (int which = 0; which < 3; which++) {
            const struct kit_params *p = params(&c, which, 0), *q = params(&one, which, 0);
            for (size_t i = 0; i < p->len; i++)
                CHECK(fabsf(p->v[i] - q->v[i]) < 2e-5f && fabsf(p->speed[i] - q->speed[i]) < 2e-5f);
            for (uint32_t k = 1; k < workers; k++) /* all have the very same model */
                CHECK(memcmp(params(&c, which, k)->v, p->v, p->len * sizeof(float)) == 0);
        }
        const struct ccz_vfl_epoch *e = &c.seat[LEADER][0].last, *f = &one.seat[LEADER][0].last;
        CHECK(e->epoch == 3 && e->step == f->step && e->test_rows == 200 &&
              e->accuracy == f->accuracy && fabs(e->loss - f->loss) < 1e-5);
        CHECK(c.seat[LEADER][1].last.loss == e->loss && c.seat[LEADER][1].last.test_rows == 0);
        /* Random generators: of each worker its own, in place from the first step. */
        for (uint32_t k = 0; k < workers; k++)
            for (int p = 0; p < 2; p++)
                CHECK(((struct kit_bottom *)c.seat[p][k].lead.bottom->self)->seed ==
                      5 + k * UINT32_C(0x9e3779b9));
        crew_free(&c);
        crew_free(&one);
    }
}

static void settings(struct crew *c, uint32_t staleness, uint32_t every)
{
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < c->workers; k++) {
            c->seat[p][k].cfg.staleness = staleness;
            c->seat[p][k].cfg.average_steps = every;
            c->seat[p][k].cfg.checkpoint_steps = 5;
            c->seat[p][k].lead.protect = CCZ_VFL_MARVELL;
        }
}

/* The same bits each time, whoever is slow; other averages give other bits. */
static void seeded(void)
{
    struct ccz_buf first[2];
    for (uint32_t every = 1; every <= 3; every += 2) {
        struct crew c;
        crew_init(&c, 3);
        settings(&c, every == 3 ? 2 : 0, every);
        play_well(&c);
        CHECK(c.seat[LEADER][0].last.accuracy > 0.8);
        states(&first[every == 3], &c);
        for (int slow = 0; slow < 4; slow++) {
            memset(c.delay_ms, 0, sizeof(c.delay_ms));
            c.delay_ms[slow % 2][slow / 2] = 1;
            renew(&c);
            play_well(&c);
            CHECK(same_states(&first[every == 3], &c));
        }
        crew_free(&c);
    }
    CHECK(!ccz_span_eq(ccz_buf_span(&first[0]), ccz_buf_span(&first[1])));
    ccz_buf_free(&first[0]);
    ccz_buf_free(&first[1]);
}

/* ----------------------------------------------------------------------------- protection */

static struct crew *watched;
static ccz_rc (*backward_fn)(void *, unsigned, const float *, struct ccz_err *);
static ccz_rc keep_first(void *self, unsigned slot, const float *grad, struct ccz_err *err)
{
    for (uint32_t k = 0; k < watched->workers; k++) {
        struct seat *s = &watched->seat[FOLLOWER][k];
        if (s->lead.bottom->self == self && !s->first_grad) {
            s->first_grad = malloc(10 * WIDTH * sizeof(float));
            CHECK(s->first_grad);
            memcpy(s->first_grad, grad, 10 * WIDTH * sizeof(float));
        }
    }
    return backward_fn(self, slot, grad, err);
}

/* Each worker's gradients are protected, with noise that is not another worker's even if all are given one seed. */
static void protection(void)
{
    float *grad[2][2];
    for (int how = 0; how < 2; how++) {
        struct crew c;
        crew_init(&c, 2);
        struct ccz_vfl_bottom_ops ops = *c.seat[FOLLOWER][0].lead.bottom->ops;
        backward_fn = ops.backward;
        ops.backward = keep_first;
        watched = &c;
        for (uint32_t k = 0; k < 2; k++) {
            c.seat[LEADER][k].lead.protect = how ? CCZ_VFL_MAX_NORM : CCZ_VFL_PROTECT_NONE_INSECURE;
            c.seat[FOLLOWER][k].lead.bottom->ops = &ops;
        }
        play_well(&c);
        for (uint32_t k = 0; k < 2; k++)
            grad[how][k] = c.seat[FOLLOWER][k].first_grad;
        crew_free(&c);
    }
    size_t rows = 0, same = 0;
    double z[2][10];
    for (int k = 0; k < 2; k++) {
        double most = 0, norm[10];
        for (size_t i = 0; i < 10; i++) {
            norm[i] = 0;
            for (size_t j = 0; j < WIDTH; j++)
                norm[i] += pow((double)grad[0][k][i * WIDTH + j], 2);
            most = fmax(most, norm[i]);
        }
        for (size_t i = 0; i < 10; i++) {
            double factor = (double)grad[1][k][i * WIDTH] / (double)grad[0][k][i * WIDTH];
            z[k][i] = norm[i] < 0.9 * most ? (factor - 1) / sqrt(most / norm[i] - 1) : NAN;
        }
    }
    for (size_t i = 0; i < 10; i++)
        if (isfinite(z[0][i]) && isfinite(z[1][i])) {
            rows++;
            same += fabs(z[0][i] - z[1][i]) < 1e-3;
            CHECK(fabs(z[0][i]) > 1e-6 && fabs(z[1][i]) > 1e-6);
        }
    CHECK(rows >= 4 && same == 0);
    for (int i = 0; i < 4; i++)
        free(grad[i / 2][i % 2]);
}

/* ------------------------------------------------------------------------------- resuming */

static void set_states(struct crew *c, const char *prefix)
{
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < c->workers; k++)
            (void)snprintf(c->seat[p][k].state, sizeof(c->seat[p][k].state), "%s/%s-%d-%u",
                           temp_base, prefix, p, k);
}

/* A channel breaks after so many messages, of a pair or between workers; everybody comes back with nothing but the files. */
static void resume(void)
{
    struct crew c;
    struct ccz_buf whole;
    uint64_t resumed_most = 0;
    temp_setup();
    crew_init(&c, 2);
    settings(&c, 1, 2);
    play_well(&c);
    states(&whole, &c);
    struct ccz_vfl_epoch last = c.seat[LEADER][0].last;
    for (uint64_t n = 1; n < 40; n++) {
        char prefix[32];
        (void)snprintf(prefix, sizeof(prefix), "cut-%llu", (unsigned long long)n);
        set_states(&c, prefix);
        renew(&c);
        c.fault_at = 1 + (int)(n % 3);
        c.fault = n % 2 ? (struct ccz_chan_fault_cfg){.recv_cut_after = (n + 1) / 2}
                        : (struct ccz_chan_fault_cfg){.send_cut_after = n / 2};
        play(&c);
        renew(&c);
        c.fault_at = 0;
        play_well(&c);
        for (int p = 0; p < 2; p++)
            for (uint32_t k = 0; k < 2; k++)
                CHECK(c.seat[p][k].out.resumed == c.seat[0][0].out.resumed);
        if (c.seat[0][0].out.resumed > resumed_most)
            resumed_most = c.seat[0][0].out.resumed;
        CHECK(same_states(&whole, &c));
        const struct ccz_vfl_epoch *e = &c.seat[LEADER][0].out.last;
        CHECK(e->epoch == 3 && e->accuracy == last.accuracy && e->loss == last.loss &&
              e->sent.norm == last.sent.norm);
    }
    CHECK(resumed_most >= 20);
    ccz_buf_free(&whole);
    crew_free(&c);
}

/* A worker that fails ends all others, who say which one; a state is its worker's alone. */
static void lost(void)
{
    for (int p = 0; p < 2; p++)
        for (uint32_t k = 0; k < 3; k++) {
            struct crew c;
            crew_init(&c, 3);
            ((struct kit_bottom *)c.seat[p][k].lead.bottom->self)->fail_at = 7;
            play(&c);
            for (int q = 0; q < 2; q++)
                for (uint32_t j = 0; j < 3; j++)
                    CHECK(c.seat[q][j].rc != CCZ_OK && c.seat[q][j].out.steps == 0);
            CHECK(c.seat[p][k].rc == CCZ_E_INTERNAL && WHERE(c.seat[p][k].err, "kit:fails"));
            const struct ccz_err *e = &c.seat[p][k == 0 ? 1 : 0].err;
            CHECK(WHERE(*e, "vfl:worker-lost") && strstr(e->msg, "kit:fails"));
            char name[16];
            (void)snprintf(name, sizeof(name), "worker %u ", k + 1);
            CHECK(strstr(e->msg, name) == e->msg);
            crew_free(&c);
        }
    struct crew c;
    temp_setup();
    crew_init(&c, 2);
    set_states(&c, "own");
    play_well(&c);
    for (int p = 0; p < 2; p++) { /* worker 2 with the files of worker 1 */
        struct crew d;
        crew_init(&d, 2);
        set_states(&d, "own");
        memcpy(d.seat[p][1].state, d.seat[p][0].state, sizeof(d.seat[p][1].state));
        play(&d);
        CHECK(d.seat[p][1].rc == CCZ_E_MISMATCH &&
              WHERE(d.seat[p][1].err, "vfl:checkpoint-config"));
        crew_free(&d);
    }
    char path[600]; /* and one that has lost its files */
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s.%d", c.seat[LEADER][1].state, i);
        CHECK(remove(path) == 0);
    }
    renew(&c);
    play(&c);
    CHECK(c.seat[LEADER][0].rc == CCZ_E_PEER && WHERE(c.seat[LEADER][0].err, "vfl:resume"));
    crew_free(&c);
}

/* ------------------------------------------------------------------------------- refusals */

static void no_parts(struct crew *c, int party, uint32_t k, struct ccz_vfl_bottom_ops *ops)
{
    *ops = *c->seat[party][k].lead.bottom->ops;
    ops->parts = NULL;
    c->seat[party][k].lead.bottom->ops = ops;
}

struct refusal {
    int what, party;
    uint32_t k; /* who refuses */
    ccz_rc rc;
    const char *where;
};
static void spoil(struct crew *c, int what, struct ccz_vfl_bottom_ops *ops)
{
    struct seat *lead = &c->seat[LEADER][1], *follow = &c->seat[FOLLOWER][1];
    switch (what) {
    case 0:
        lead->team.key = c->key[FOLLOWER]; /* a worker of the other party */
        break;
    case 1:
        lead->team.leader = false;
        break;
    case 2:
        lead->team.workers = 3;
        break;
    case 4:
        lead->cfg.seed = follow->cfg.seed = 2;
        break;
    case 5:
        lead->lead.protect = CCZ_VFL_MAX_NORM;
        break;
    case 6:
        lead->lead.power = 4;
        break;
    case 7:
        no_parts(c, FOLLOWER, 1, ops);
        break;
    case 8:
        no_parts(c, LEADER, 0, ops);
        break;
    case 9:
        follow->data[3] = 1;
        break;
    case 10:
        lead->cfg.workers = 1;
        break;
    case 11:
        follow->team.worker = 3;
        break;
    case 12:
        lead->team.key = NULL;
        break;
    case 13:
        lead->cfg.average_steps = follow->cfg.average_steps = 2;
        break;
    case 14:
        follow->team.worker = 0;
        break;
    default:
        CHECK(false);
    }
}
static void refuses(void)
{
    static const struct refusal cases[] = {{0, LEADER, 0, CCZ_E_DENIED, "vfl:worker-proof"},
                                           {1, LEADER, 0, CCZ_E_MISMATCH, "vfl:role"},
                                           {2, LEADER, 0, CCZ_E_MISMATCH, "vfl:workers"},
                                           {4, LEADER, 0, CCZ_E_MISMATCH, "vfl:worker-config"},
                                           {5, LEADER, 0, CCZ_E_MISMATCH, "vfl:worker-config"},
                                           {6, LEADER, 0, CCZ_E_MISMATCH, "vfl:worker-config"},
                                           {7, FOLLOWER, 1, CCZ_E_ARG, "vfl:worker-model"},
                                           {8, LEADER, 0, CCZ_E_ARG, "vfl:worker-model"},
                                           {9, FOLLOWER, 1, CCZ_E_MISMATCH, "vfl:worker-data"},
                                           {10, LEADER, 1, CCZ_E_ARG, "vfl:workers"},
                                           {11, FOLLOWER, 1, CCZ_E_ARG, "vfl:team"},
                                           {12, LEADER, 1, CCZ_E_ARG, "vfl:team"},
                                           {13, LEADER, 0, CCZ_E_MISMATCH, "vfl:worker-config"},
                                           {14, FOLLOWER, 1, CCZ_E_ARG, "vfl:team"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crew c;
        struct ccz_vfl_bottom_ops ops;
        crew_init(&c, 2);
        spoil(&c, cases[i].what, &ops);
        play(&c);
        const struct seat *s = &c.seat[cases[i].party][cases[i].k];
        if (s->rc != cases[i].rc || strcmp(s->err.where, cases[i].where) != 0)
            fprintf(stderr, "case %d: %s %s: %s\n", cases[i].what, ccz_rc_name(s->rc), s->err.where,
                    s->err.msg);
        CHECK(s->rc == cases[i].rc && WHERE(s->err, cases[i].where));
        for (int p = 0; p < 2; p++)
            for (uint32_t k = 0; k < 2; k++)
                CHECK(c.seat[p][k].rc != CCZ_OK);
        crew_free(&c);
    }
}

/* Pairs of different parties: another W, another number. The follower is worker `k` of `workers`, in a team that is a fiction. */
static void refuses_pair(void)
{
    static const struct {
        uint32_t worker, workers;
        const char *where;
    } cases[] = {{0, 3, "vfl:workers"}, {1, 2, "vfl:worker"}};
    for (size_t i = 0; i < 2; i++) {
        struct crew c;
        crew_init(&c, 2);
        struct seat *a = &c.seat[LEADER][0], *b = &c.seat[FOLLOWER][0];
        struct ccz_vfl_team mine = {.worker = 0, .workers = 2, .leader = true},
                            theirs = {.worker = cases[i].worker, .workers = cases[i].workers};
        b->cfg.workers = cases[i].workers;
        struct ccz_vfl_run run[2];
        for (int p = 0; p < 2; p++)
            run[p] = (struct ccz_vfl_run){.cfg = p ? &b->cfg : &a->cfg,
                                          .train = &c.data.table[p],
                                          .test = &c.test.table[p],
                                          .timeout_ms = 20000,
                                          .team = p ? &theirs : &mine};
        CHECK(ccz_chan_pair(&a->pair, &b->pair, NULL, NULL) == CCZ_OK);
        pthread_t thread;
        struct follower_alone f = {b, &run[FOLLOWER]};
        CHECK(pthread_create(&thread, NULL, follow_alone, &f) == 0);
        a->rc = ccz_vfl_lead(&a->out, &a->pair, 1, &a->lead, &run[LEADER], &a->err);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(a->rc == CCZ_E_MISMATCH && WHERE(a->err, cases[i].where));
        CHECK(b->rc != CCZ_OK);
        ccz_chan_free(a->pair);
        ccz_chan_free(b->pair);
        crew_free(&c);
    }
}

/* A stranger in place of worker 1, who has no key and turns the worker's proof against it; or another number comes. */
static void refuses_stranger(void)
{
    for (int what = 0; what < 3; what++) {
        struct crew c;
        struct ccz_chan *here;
        pthread_t thread;
        crew_init(&c, 2);
        struct seat *s = &c.seat[FOLLOWER][1];
        s->peers = 1;
        CHECK(ccz_chan_pair(&here, &s->peer[0], NULL, NULL) == CCZ_OK);
        CHECK(ccz_chan_pair(&s->pair, &c.seat[LEADER][1].pair, NULL, NULL) == CCZ_OK);
        CHECK(pthread_create(&thread, NULL, seat_main, s) == 0);
        const struct ccz_vfl_run run = {.timeout_ms = 20000};
        struct cczi_vfl_link l;
        struct cczi_vfl_team_hello hello = {
            .role = CCZI_VFL_FOLLOWER, .worker = what == 1, .workers = 2, .fresh = {3}};
        struct cczi_vfl_msg team = {.kind = CCZI_VFL_TEAM}, proof = {.kind = CCZI_VFL_PROOF};
        struct ccz_buf b;
        ccz_buf_init(&b, 64);
        cczi_vfl_msg_team(&b, &hello);
        cczi_vfl_link_init(&l, here, &run);
        CHECK(cczi_vfl_send_msg(&l, what == 2 ? &proof : &team, ccz_buf_span(&b), NULL) == CCZ_OK);
        CHECK(cczi_vfl_recv_kind(&l, CCZI_VFL_TEAM, 1024, NULL) == CCZ_OK);
        if (what == 0) {
            CHECK(cczi_vfl_recv_kind(&l, CCZI_VFL_PROOF, 1024, NULL) == CCZ_OK);
            uint8_t echo[CCZI_VFL_PROOF_SIZE];
            memcpy(echo, l.msg.proof, sizeof(echo));
            CHECK(cczi_vfl_send_msg(&l, &proof, CCZ_SPAN(echo, sizeof(echo)), NULL) == CCZ_OK);
        }
        CHECK(pthread_join(thread, NULL) == 0);
        static const char *const where[] = {"vfl:worker-proof", "vfl:worker", "vfl:message"};
        static const ccz_rc rc[] = {CCZ_E_DENIED, CCZ_E_MISMATCH, CCZ_E_PEER};
        CHECK(s->rc == rc[what] && WHERE(s->err, where[what]));
        ccz_buf_free(&l.in);
        ccz_buf_free(&b);
        ccz_chan_free(here);
        ccz_chan_free(s->peer[0]);
        ccz_chan_free(s->pair);
        ccz_chan_free(c.seat[LEADER][1].pair);
        crew_free(&c);
    }
}

/* Messages between workers that come twice, not at all, or damaged. 1 team, 2 proof (hub: 3 rows), then ready, states. */
static void refuses_replay(void)
{
    static const struct {
        struct ccz_chan_fault_cfg fault;
        uint32_t k; /* who refuses */
        const char *where;
    } cases[] = {{{.send_repeat = 5}, 1, "vfl:worker-step"}, /* the first mean, as the second */
                 {{.send_repeat = 4}, 1, "vfl:order"},
                 {{.recv_shorten = 4}, 0, "vfl:message"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crew c;
        crew_init(&c, 2);
        c.fault = cases[i].fault;
        c.fault_at = 2 + FOLLOWER;
        play(&c);
        const struct seat *s = &c.seat[FOLLOWER][cases[i].k];
        if (strcmp(s->err.where, cases[i].where) != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, s->err.where, s->err.msg);
        CHECK(s->rc != CCZ_OK && WHERE(s->err, cases[i].where));
        CHECK(c.seat[LEADER][0].rc != CCZ_OK && c.seat[LEADER][1].rc != CCZ_OK);
        crew_free(&c);
    }
}

static const struct ccz_test tests[] = {{"vfl.team_shares", shares},
                                        {"vfl.team_means", means},
                                        {"vfl.team_messages", messages},
                                        {"vfl.team_as_one", as_one},
                                        {"vfl.team_seeded", seeded},
                                        {"vfl.team_protection", protection},
                                        {"vfl.team_resume", resume},
                                        {"vfl.team_lost", lost},
                                        {"vfl.team_refuses", refuses},
                                        {"vfl.team_refuses_pair", refuses_pair},
                                        {"vfl.team_refuses_stranger", refuses_stranger},
                                        {"vfl.team_refuses_replay", refuses_replay}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
