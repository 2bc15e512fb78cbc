/* SPDX-License-Identifier: Apache-2.0 */
/* What a member may not do, and what a client takes from no server: messages by hand. Each refusal names its own reason. */
#include "fl/world.h"

#include "fl/client.h"
#include "fl/server.h"

enum { LEN = 1000 };
static struct ccz_buf text;

static struct ccz_span encoded(const struct cczi_hfl_msg *m)
{
    ccz_buf_clear(&text);
    cczi_hfl_msg_put(&text, m);
    CHECK(!text.bad);
    return ccz_buf_span(&text);
}

/* Says something to the server as member 0; the reason of its refusal, "" if it takes it. */
static const char *say(struct world *w, const struct cczi_hfl_msg *m)
{
    static struct ccz_err err;
    err = (struct ccz_err){0};
    ccz_rc rc = ccz_fl_server_input(w->s, w->seat[0].member, encoded(m), w->now_ms, &err);
    return rc == CCZ_OK ? "" : err.where;
}

/* A world whose member 0 has trained and not yet offered. Its offer is w->seat[0].c->offer. */
static void begin(struct world *w, const struct ccz_fl_server_cfg *cfg)
{
    struct ccz_buf msg;
    ccz_buf_init(&text, CCZ_FL_MESSAGE_SIZE_MAX);
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    *w = (struct world){.len = 1};
    if (cfg)
        w->cfg = *cfg;
    w->cfg.rounds = w->cfg.rounds ? w->cfg.rounds : 3;
    w->cfg.train.lr = 1;
    world_begin(w, LEN);
    world_server(w);
    world_join_all(w);
    while (w->seat[0].toy.trainings == 0)
        CHECK(world_step(w, 0, &msg));
    ccz_buf_free(&msg);
}

static void end(struct world *w)
{
    world_end(w);
    ccz_buf_free(&text);
}

static struct cczi_hfl_msg offer_of(const struct world *w)
{
    return (struct cczi_hfl_msg){.kind = CCZI_HFL_OFFER, .offer = w->seat[0].c->offer};
}

static void grant(struct world *w)
{
    struct cczi_hfl_msg m = offer_of(w), in;
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX);
    CHECK(say(w, &m)[0] == '\0');
    CHECK(ccz_fl_server_output(&msg, w->s, w->seat[0].member, 0));
    CHECK(cczi_hfl_msg_parse(&in, ccz_buf_span(&msg), NULL) == CCZ_OK);
    CHECK(in.kind == CCZI_HFL_GRANT && in.granted == 1);
    ccz_buf_free(&msg);
}

static const char *send_chunk(struct world *w, uint32_t vector, uint64_t offset, const void *p,
                              size_t size)
{
    return say(w, &(struct cczi_hfl_msg){
                      .kind = CCZI_HFL_CHUNK,
                      .chunk = {.vector = vector, .offset = offset, .data = CCZ_SPAN(p, size)}});
}

/* The verdict that the server has for member 0. */
static bool verdict(struct world *w, const char *where)
{
    struct cczi_hfl_msg in;
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX);
    bool good = ccz_fl_server_output(&msg, w->s, w->seat[0].member, 0) &&
                cczi_hfl_msg_parse(&in, ccz_buf_span(&msg), NULL) == CCZ_OK &&
                in.kind == CCZI_HFL_VERDICT && in.verdict.accepted == !where &&
                (!where || ccz_span_eq(in.verdict.where, ccz_span_str(where)));
    ccz_buf_free(&msg);
    return good;
}

/* An offer with one thing wrong: a verdict of that reason, and nothing is granted. */
static void bad_offer(const char *where, void (*change)(struct cczi_hfl_offer *o))
{
    struct world w;
    begin(&w, &(struct ccz_fl_server_cfg){.samples_max = 100});
    struct cczi_hfl_msg m = offer_of(&w);
    change(&m.offer);
    CHECK(say(&w, &m)[0] == '\0');
    CHECK(verdict(&w, where));
    CHECK(strcmp(w.refusal.where, where) == 0);
    end(&w);
}

static void other_base(struct cczi_hfl_offer *o)
{
    o->base[31] ^= 1;
}
static void future_round(struct cczi_hfl_offer *o)
{
    o->round = 2;
}
static void round_zero(struct cczi_hfl_offer *o)
{
    o->round = 0;
}
static void no_samples(struct cczi_hfl_offer *o)
{
    o->train.samples = 0;
}
static void many_samples(struct cczi_hfl_offer *o)
{
    o->train.samples = 101;
}
static void many_tested(struct cczi_hfl_offer *o)
{
    o->eval.samples = 101;
}
static void short_update(struct cczi_hfl_offer *o)
{
    o->size -= 4;
}
static void long_update(struct cczi_hfl_offer *o)
{
    o->size += 4;
}
static void endless_update(struct cczi_hfl_offer *o)
{
    o->size = UINT64_MAX;
}

static void test_offers(void)
{
    bad_offer("fl:update-base", other_base);
    bad_offer("fl:update-round", future_round);
    bad_offer("fl:update-round", round_zero);
    bad_offer("fl:update-samples", no_samples);
    bad_offer("fl:update-samples", many_samples);
    bad_offer("fl:update-samples", many_tested);
    bad_offer("fl:update-size", short_update);
    bad_offer("fl:update-size", long_update);
    bad_offer("fl:update-size", endless_update);
}

/* The update of round 1, again, when round 2 is under way; and a second one within a round. */
static void test_replay(void)
{
    struct world w;
    begin(&w, NULL);
    struct cczi_hfl_msg m = offer_of(&w);
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX);
    while (w.recs == 0)
        CHECK(world_step(&w, 0, &msg));
    while (w.seat[0].toy.trainings == 1)
        CHECK(world_step(&w, 0, &msg));
    CHECK(say(&w, &m)[0] == '\0' && verdict(&w, "fl:stale-update"));
    CHECK(w.seat[0].c->offer.round == 2);
    ccz_buf_free(&msg);
    end(&w);
    begin(&w, &(struct ccz_fl_server_cfg){.rounds = 3, .quorum = 1, .strikes_max = 9});
    m = offer_of(&w);
    m.offer.base[0] ^= 1;
    CHECK(say(&w, &m)[0] == '\0' && verdict(&w, "fl:update-base"));
    m.offer.base[0] ^= 1; /* judged is judged: the round began anew, with a task of its own */
    CHECK(say(&w, &m)[0] == '\0' && verdict(&w, "fl:stale-update"));
    end(&w);
}

static void test_values(void)
{
    float x[LEN] = {0};
    struct world w;
    for (unsigned i = 0; i < 3; i++) {
        begin(&w, &(struct ccz_fl_server_cfg){.norm_max = 10});
        grant(&w);
        memset(x, 0, sizeof(x));
        x[LEN - 1] = i == 0 ? NAN : i == 1 ? INFINITY : 10.001F;
        CHECK(send_chunk(&w, 0, 0, x, 1500)[0] == '\0');
        CHECK(send_chunk(&w, 0, 1500, (uint8_t *)x + 1500, sizeof(x) - 1500)[0] == '\0');
        CHECK(verdict(&w, i < 2 ? "fl:not-finite" : "fl:norm-bound"));
        CHECK(ccz_fl_server_params(w.s)[LEN - 1] == 0 && w.recs == 0);
        end(&w);
    }
    begin(&w, &(struct ccz_fl_server_cfg){.norm_max = 10});
    grant(&w);
    x[LEN - 1] = 10;
    CHECK(send_chunk(&w, 0, 0, x, sizeof(x))[0] == '\0');
    CHECK(w.recs == 1 && ccz_fl_server_params(w.s)[LEN - 1] == 10 && verdict(&w, NULL));
    end(&w);
}

/* A variate that is not finite spoils as much as an update. */
static void test_variate(void)
{
    float x[LEN] = {0};
    struct world w;
    begin(&w, &(struct ccz_fl_server_cfg){.agg = {.scaffold = true}});
    grant(&w);
    CHECK(send_chunk(&w, 0, 0, x, sizeof(x))[0] == '\0');
    CHECK(strcmp(send_chunk(&w, 0, 0, x, sizeof(x)), "fl:chunk-offset") == 0);
    x[3] = INFINITY;
    CHECK(send_chunk(&w, 1, 0, x, sizeof(x))[0] == '\0' && verdict(&w, "fl:not-finite"));
    end(&w);
}

static void test_chunks(void)
{
    static uint8_t x[CCZ_FL_CHUNK_SIZE + 1];
    const struct {
        uint32_t vector;
        uint64_t offset;
        size_t size;
        const char *where;
    } bad[] = {{0, 4, 8, "fl:chunk-offset"},
               {0, UINT64_MAX - 3, 8, "fl:chunk-offset"},
               {1, 0, 8, "fl:chunk-offset"},
               {2, 0, 8, "fl:chunk-offset"},
               {0, 0, 0, "fl:chunk-size"},
               {0, 0, LEN * 4 + 1, "fl:chunk-size"},
               {0, 0, CCZ_FL_CHUNK_SIZE + 1, "fl:chunk-size"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct world w;
        begin(&w, NULL);
        ccz_buf_free(&text);
        ccz_buf_init(&text, 2 * CCZ_FL_CHUNK_SIZE);
        grant(&w);
        CHECK(strcmp(send_chunk(&w, bad[i].vector, bad[i].offset, x, bad[i].size), bad[i].where) ==
              0);
        end(&w);
    }
}

/* INT8 whose scale is negative, and TOPK that announces more than it may. */
static void test_codec(void)
{
    uint8_t x[4096] = {0};
    struct world w;
    begin(&w, &(struct ccz_fl_server_cfg){.agg = {.codec = {.kind = CCZ_AGG_INT8}}});
    grant(&w);
    x[3] = 0xbf;
    CHECK(send_chunk(&w, 0, 0, x, 600)[0] == '\0' && verdict(&w, "agg:scale"));
    CHECK(send_chunk(&w, 0, 600, x, 10)[0] == '\0'); /* under way already: no offence */
    end(&w);
    begin(&w, &(struct ccz_fl_server_cfg){.agg = {.codec = {.kind = CCZ_AGG_TOPK, .topk = 10}}});
    grant(&w);
    x[0] = 11;
    CHECK(send_chunk(&w, 0, 0, x, 20)[0] == '\0' && verdict(&w, "agg:topk-count"));
    end(&w);
}

static void test_order(void)
{
    struct world w;
    begin(&w, NULL);
    const struct cczi_hfl_msg hello = {.kind = CCZI_HFL_HELLO};
    CHECK(strcmp(say(&w, &hello), "fl:order") == 0); /* twice */
    CHECK(strcmp(send_chunk(&w, 0, 0, "abcd", 4), "fl:order") == 0);
    for (int kind = CCZI_HFL_WELCOME; kind < CCZI_HFL_KINDS; kind++)
        if (kind != CCZI_HFL_OFFER && kind != CCZI_HFL_CHUNK)
            CHECK(strcmp(say(&w, &(struct cczi_hfl_msg){.kind = (enum cczi_hfl_kind)kind}),
                         "fl:order") == 0);
    const struct cczi_hfl_msg offer = offer_of(&w);
    CHECK(say(&w, &offer)[0] == '\0');
    CHECK(strcmp(say(&w, &offer), "fl:order") == 0);                 /* two at a time */
    CHECK(strcmp(send_chunk(&w, 0, 0, "abcd", 4), "fl:order") == 0); /* the grant has not left */
    end(&w);
    /* An offer of who was never asked. */
    begin(&w, NULL);
    uint32_t id;
    struct ccz_err err = {0};
    CHECK(ccz_fl_server_join(&id, w.s, "new", 0, NULL) == CCZ_OK);
    CHECK(ccz_fl_server_input(w.s, id, encoded(&offer), 0, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "fl:order") == 0); /* before hello */
    struct cczi_hfl_msg good = {.kind = CCZI_HFL_HELLO, .hello = {.version = CCZI_HFL_VERSION}};
    memcpy(good.hello.layout, w.layout->digest, 32);
    CHECK(ccz_fl_server_input(w.s, id, encoded(&good), 0, &err) == CCZ_OK);
    CHECK(ccz_fl_server_input(w.s, id, encoded(&offer), 0, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "fl:order") == 0);
    end(&w);
}

static void test_members(void)
{
    struct world w;
    begin(&w, &(struct ccz_fl_server_cfg){.members_max = 2});
    uint32_t id;
    struct ccz_err err;
    CHECK(ccz_fl_server_join(&id, w.s, "m-00", 0, &err) == CCZ_E_EXISTS);
    CHECK(strcmp(err.where, "fl:member-twice") == 0 && id == UINT32_MAX);
    const char *const names[] = {
        "", "a b", "a/b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < 4; i++) {
        CHECK(ccz_fl_server_join(&id, w.s, names[i], 0, &err) == CCZ_E_ARG);
        CHECK(strcmp(err.where, "fl:member-name") == 0);
    }
    CHECK(ccz_fl_server_join(&id, w.s, "b", 0, &err) == CCZ_OK);
    struct cczi_hfl_msg hello = {.kind = CCZI_HFL_HELLO, .hello = {.version = 2}};
    memcpy(hello.hello.layout, w.layout->digest, 32);
    CHECK(ccz_fl_server_input(w.s, id, encoded(&hello), 0, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "fl:hello-version") == 0);
    hello.hello.version = 1;
    hello.hello.layout[0] ^= 1;
    CHECK(ccz_fl_server_input(w.s, id, encoded(&hello), 0, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "fl:layout") == 0);
    ccz_fl_server_leave(w.s, id, 0);
    CHECK(ccz_fl_server_input(w.s, id, encoded(&hello), 0, &err) == CCZ_E_CLOSED);
    CHECK(ccz_fl_server_join(&id, w.s, "c", 0, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "fl:members") == 0);
    end(&w);
}

/* Three refused updates in a row: the member is out, and the others go on. */
static void test_banned(void)
{
    struct world w = {
        .len = 3,
        .cfg = {.rounds = 4, .members_min = 2, .quorum = 2, .norm_max = 1000, .train = {.lr = 1}}};
    world_begin(&w, LEN);
    w.seat[1].toy.target = 1e6F;
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == 4 && w.seat[1].rc == CCZ_E_DENIED);
    CHECK(strcmp(w.seat[1].err.where, "fl:banned") == 0 && w.seat[1].toy.trainings == 3);
    CHECK(w.refusals == 3 && strcmp(w.refusal.where, "fl:norm-bound") == 0);
    CHECK(ccz_fl_server_params(w.s)[0] < 4);
    world_end(&w);
}

/* -------------------------------------------------------------------------------- the client */

/* A client between hello and its first task; @p key: models must be signed. */
static struct ccz_fl_client *client_new(struct ccz_fl_layout **l, bool unsigned_ok)
{
    struct ccz_fl_client *c;
    *l = toy_make_layout(LEN);
    const struct ccz_fl_client_cfg cfg = {
        .name = "c", .layout = *l, .unsigned_insecure = unsigned_ok};
    CHECK(ccz_fl_client_new(&c, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_fl_client_start(c, NULL) == CCZ_OK);
    ccz_buf_init(&text, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    CHECK(ccz_fl_client_output(&text, c));
    return c;
}

static const char *tell(struct ccz_fl_client *c, const struct cczi_hfl_msg *m)
{
    static struct ccz_err err;
    enum ccz_fl_event event;
    err = (struct ccz_err){0};
    return ccz_fl_client_input(&event, c, encoded(m), &err) == CCZ_OK ? "" : err.where;
}

static struct cczi_hfl_msg welcome_of(const struct ccz_fl_layout *l, struct ccz_buf *layout)
{
    ccz_buf_init(layout, CCZ_FL_LAYOUT_SIZE_MAX);
    ccz_fl_layout_encode(layout, l);
    return (struct cczi_hfl_msg){.kind = CCZI_HFL_WELCOME,
                                 .welcome = {.layout = ccz_buf_span(layout), .rounds = 9}};
}

static struct cczi_hfl_msg task_of(const struct ccz_fl_layout *l, uint64_t round, const float *x,
                                   const struct ccz_key *key)
{
    struct cczi_hfl_msg m = {.kind = CCZI_HFL_TASK,
                             .task = {.round = round, .work = CCZI_HFL_TRAIN, .lr = 1}};
    CHECK(ccz_fl_model_digest(m.task.digest, l, round - 1, x, NULL) == CCZ_OK);
    if (key)
        CHECK(cczi_hfl_sign(m.task.sig, key, m.task.digest, NULL) == CCZ_OK);
    return m;
}

static const char *give_model(struct ccz_fl_client *c, const float *x)
{
    return tell(c, &(struct cczi_hfl_msg){.kind = CCZI_HFL_CHUNK,
                                          .chunk = {.data = CCZ_SPAN(x, LEN * sizeof(float))}});
}

static void test_models(void)
{
    static float x[LEN], y[LEN];
    struct ccz_fl_layout *l;
    struct ccz_buf layout;
    struct ccz_key *key, *other;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK &&
          ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    y[5] = 1;
    for (unsigned i = 0; i < 4; i++) {
        struct ccz_fl_client *c = client_new(&l, false);
        struct cczi_hfl_msg m = welcome_of(l, &layout);
        CHECK(strcmp(tell(c, &m), "fl:server-unsigned") == 0);
        CHECK(ccz_key_xy(m.welcome.key, key) == CCZ_OK);
        CHECK(tell(c, &m)[0] == '\0');
        m = task_of(l, 1, x, i == 0 ? NULL : i == 1 ? other : key);
        CHECK(tell(c, &m)[0] == '\0');
        const char *why = give_model(c, i == 2 ? y : x);
        CHECK(strcmp(why, i < 2 ? "fl:model-signature" : i == 2 ? "fl:model-digest" : "") == 0);
        CHECK((c->state == HFL_C_READY) == (i == 3));
        CHECK((ccz_fl_client_params(c) != NULL) == (i == 3));
        ccz_buf_free(&layout);
        ccz_fl_client_free(c);
        ccz_fl_layout_free(l);
        ccz_buf_free(&text);
    }
    ccz_key_free(key);
    ccz_key_free(other);
}

/* A model older than one seen, and another model of the same round; another key, another training, another layout. */
static void test_rollback(void)
{
    static float x[LEN], y[LEN];
    struct ccz_fl_layout *l, *narrow = toy_make_layout(LEN - 1);
    struct ccz_buf layout, none;
    struct ccz_fl_client *c = client_new(&l, true);
    struct cczi_hfl_msg m = welcome_of(l, &layout);
    y[0] = 1;
    struct cczi_hfl_msg odd = welcome_of(narrow, &none);
    CHECK(strcmp(tell(c, &odd), "fl:layout") == 0);
    CHECK(tell(c, &m)[0] == '\0');
    CHECK(strcmp(tell(c, &m), "fl:order") == 0);
    struct cczi_hfl_msg t = task_of(l, 3, x, NULL);
    CHECK(tell(c, &t)[0] == '\0' && give_model(c, x)[0] == '\0');
    t = task_of(l, 2, x, NULL);
    CHECK(strcmp(tell(c, &t), "fl:rollback") == 0);
    t = task_of(l, 3, y, NULL);
    CHECK(strcmp(tell(c, &t), "fl:fork") == 0);
    t = task_of(l, 3, x, NULL);
    CHECK(tell(c, &t)[0] == '\0'); /* a round that begins anew */
    t.task.round = 0;
    CHECK(strcmp(tell(c, &t), "fl:task-round") == 0);
    t = task_of(l, 4, x, NULL);
    t.task.work = 4;
    CHECK(strcmp(tell(c, &t), "fl:task-work") == 0);
    t = task_of(l, 4, x, NULL);
    t.task.codec = CCZ_AGG_CODECS;
    CHECK(strcmp(tell(c, &t), "agg:codec-kind") == 0);
    CHECK(ccz_fl_client_start(c, NULL) == CCZ_OK && ccz_fl_client_output(&text, c));
    m.welcome.round = 1;
    CHECK(strcmp(tell(c, &m), "fl:rollback") == 0); /* it has seen the model of round 2 */
    m.welcome.round = 2;
    m.welcome.run[0] ^= 1;
    CHECK(strcmp(tell(c, &m), "fl:run") == 0);
    m.welcome.run[0] ^= 1;
    m.welcome.key[0] = 1;
    CHECK(strcmp(tell(c, &m), "fl:server-key") == 0);
    ccz_fl_client_free(c);
    ccz_fl_layout_free(l);
    ccz_fl_layout_free(narrow);
    ccz_buf_free(&layout);
    ccz_buf_free(&none);
    ccz_buf_free(&text);
}

/* A model to be evaluated only is the last one if it is that of the last round, and not because the server asks for nothing more. */
static void test_not_last(void)
{
    static float x[LEN];
    static const uint64_t finished[] = {
        3, 8, 9, 10}; /* of 9 rounds; a server may have been given fewer than there were */
    for (size_t i = 0; i < sizeof(finished) / sizeof(*finished); i++) {
        struct ccz_fl_layout *l;
        struct ccz_buf layout;
        struct toy toy;
        struct ccz_fl_client *c = client_new(&l, true);
        struct cczi_hfl_msg m = welcome_of(l, &layout);
        toy_init(&toy, l, 0);
        const struct ccz_fl_trainer trainer = toy_trainer(&toy);
        CHECK(tell(c, &m)[0] == '\0');
        m = task_of(l, finished[i] + 1, x, NULL);
        m.task.work = CCZI_HFL_EVALUATE;
        CHECK(tell(c, &m)[0] == '\0' && !ccz_fl_client_params(c) && give_model(c, x)[0] == '\0');
        CHECK(ccz_fl_client_params(c) && ccz_fl_client_work(c, &trainer, NULL) == CCZ_OK);
        CHECK(ccz_fl_client_output(&text, c)); /* the report */
        CHECK(ccz_fl_client_complete(c) == (finished[i] >= 9));
        CHECK((ccz_fl_client_is_last(c, l, finished[i], x, NULL) == CCZ_OK) == (finished[i] >= 9));
        /* a piece of the next one makes it no model at all */
        m = task_of(l, finished[i] + 2, x, NULL);
        CHECK(tell(c, &m)[0] == '\0' && !ccz_fl_client_params(c));
        ccz_fl_client_free(c);
        free(toy.x);
        ccz_fl_layout_free(l);
        ccz_buf_free(&layout);
        ccz_buf_free(&text);
    }
}

static void test_client_order(void)
{
    static float x[LEN];
    struct ccz_fl_layout *l;
    struct ccz_buf layout;
    struct ccz_fl_client *c = client_new(&l, true);
    struct cczi_hfl_msg m = welcome_of(l, &layout), t = task_of(l, 1, x, NULL);
    const struct cczi_hfl_msg grant_1 = {.kind = CCZI_HFL_GRANT, .granted = 1};
    const struct cczi_hfl_msg approval = {.kind = CCZI_HFL_VERDICT,
                                          .verdict = {.round = 1, .accepted = true}};
    CHECK(strcmp(tell(c, &t), "fl:order") == 0 && strcmp(give_model(c, x), "fl:order") == 0);
    CHECK(strcmp(tell(c, &grant_1), "fl:order") == 0);
    CHECK(strcmp(tell(c, &approval), "fl:order") == 0);
    CHECK(tell(c, &m)[0] == '\0' && tell(c, &t)[0] == '\0');
    struct cczi_hfl_msg k = {.kind = CCZI_HFL_CHUNK,
                             .chunk = {.offset = 4, .data = CCZ_SPAN(x, 8)}};
    CHECK(strcmp(tell(c, &k), "fl:chunk-offset") == 0);
    k.chunk = (struct cczi_hfl_chunk){.vector = 1, .data = CCZ_SPAN(x, 8)};
    CHECK(strcmp(tell(c, &k), "fl:chunk-offset") == 0);
    k.chunk = (struct cczi_hfl_chunk){.data = CCZ_SPAN(x, 0)};
    CHECK(strcmp(tell(c, &k), "fl:chunk-size") == 0);
    CHECK(give_model(c, x)[0] == '\0');
    struct toy toy;
    toy_init(&toy, l, 0);
    const struct ccz_fl_trainer trainer = toy_trainer(&toy);
    CHECK(ccz_fl_client_work(c, &trainer, NULL) == CCZ_OK);
    struct ccz_err err;
    CHECK(ccz_fl_client_work(c, &trainer, &err) == CCZ_E_ARG && strcmp(err.where, "fl:work") == 0);
    CHECK(strcmp(tell(c, &grant_1), "fl:order") == 0); /* before the offer has left */
    CHECK(ccz_fl_client_output(&text, c));
    CHECK(tell(c, &grant_1)[0] == '\0');
    CHECK(strcmp(tell(c, &approval), "fl:order") == 0); /* nothing was sent yet */
    CHECK(ccz_fl_client_output(&text, c) && !ccz_fl_client_output(&text, c));
    CHECK(tell(c, &approval)[0] == '\0' && c->state == HFL_C_IDLE);
    free(toy.x);
    ccz_fl_client_free(c);
    ccz_fl_layout_free(l);
    ccz_buf_free(&layout);
    ccz_buf_free(&text);
}

/* A training that diverges, or fails, ends the client with that reason; nothing is offered. */
static void test_trainer_fails(void)
{
    for (unsigned i = 0; i < 3; i++) {
        struct world w = {.len = 1, .cfg = {.rounds = 1}};
        world_begin(&w, LEN);
        w.seat[0].toy.poison = i == 0;
        w.seat[0].toy.fails = i == 1;
        w.seat[0].toy.samples = i == 2 ? 0 : 1;
        world_server(&w);
        world_join_all(&w);
        world_run(&w);
        CHECK(!w.seat[0].in && w.recs == 0);
        CHECK(strcmp(w.seat[0].err.where, i == 0   ? "fl:not-finite"
                                          : i == 1 ? "toy:fails"
                                                   : "fl:no-samples") == 0);
        world_end(&w);
    }
}

/* ----------------------------------------------------------------------------- configurations */

static void refuse_cfg(const char *where, const struct ccz_fl_server_cfg *cfg)
{
    struct ccz_fl_layout *l = toy_make_layout(LEN);
    struct ccz_fl_server_cfg c = *cfg;
    struct ccz_fl_server *s;
    static const float x[LEN];
    struct ccz_err err = {0};
    c.layout = l;
    CHECK(ccz_fl_server_new(&s, &c, x, 0, &err) == CCZ_E_ARG && !s);
    CHECK(strcmp(err.where, where) == 0);
    ccz_fl_layout_free(l);
}

static void test_config(void)
{
    refuse_cfg("fl:cfg-rounds", &(struct ccz_fl_server_cfg){0});
    refuse_cfg("fl:cfg-members", &(struct ccz_fl_server_cfg){.rounds = 1, .members_min = 2000});
    refuse_cfg("fl:cfg-quorum",
               &(struct ccz_fl_server_cfg){.rounds = 1, .sample_len = 3, .quorum = 4});
    refuse_cfg("fl:cfg-quorum",
               &(struct ccz_fl_server_cfg){.rounds = 1, .buffer_len = 3, .quorum = 2});
    refuse_cfg("fl:cfg-threads", &(struct ccz_fl_server_cfg){.rounds = 1, .threads = 65});
    refuse_cfg("fl:cfg-slots", &(struct ccz_fl_server_cfg){.rounds = 1, .slots = 1000});
    refuse_cfg("fl:cfg-time", &(struct ccz_fl_server_cfg){.rounds = 1, .stall_ms = -1});
    refuse_cfg("fl:cfg-norm", &(struct ccz_fl_server_cfg){.rounds = 1, .norm_max = NAN});
    refuse_cfg("fl:cfg-train", &(struct ccz_fl_server_cfg){.rounds = 1, .train = {.lr = -1}});
    refuse_cfg("fl:cfg-trim", &(struct ccz_fl_server_cfg){
                                  .rounds = 1, .agg = {.rule = CCZ_FL_TRIMMED, .trim = 0.5}});
    refuse_cfg("fl:cfg-krum",
               &(struct ccz_fl_server_cfg){
                   .rounds = 1, .quorum = 4, .agg = {.rule = CCZ_FL_KRUM, .byzantine = 1}});
    refuse_cfg("fl:cfg-rule", &(struct ccz_fl_server_cfg){.rounds = 1,
                                                          .members_max = 2000,
                                                          .agg = {.rule = CCZ_FL_MEDIAN}});
    refuse_cfg("fl:cfg-scaffold",
               &(struct ccz_fl_server_cfg){
                   .rounds = 1, .agg = {.scaffold = true, .codec = {.kind = CCZ_AGG_F16}}});
    struct ccz_fl_layout *l = toy_make_layout(LEN);
    struct ccz_fl_server *s;
    struct ccz_err err = {0};
    static float x[LEN];
    x[7] = NAN;
    CHECK(ccz_fl_server_new(&s, &(struct ccz_fl_server_cfg){.layout = l, .rounds = 1}, x, 0,
                            &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "fl:not-finite") == 0 && err.aux == 7);
    ccz_fl_layout_free(l);
}

static void test_settings(void)
{
    struct ccz_fl_server_cfg c = {0};
    struct ccz_err err = {0};
    const char *good =
        "{\"rounds\":7,\"members_min\":3,\"sample\":2,\"round_timeout_s\":60,\"seed\":9,"
        "\"train\":{\"epochs\":2,\"lr\":0.5,\"momentum\":0.9},\"codec\":{\"kind\":\"topk\","
        "\"topk\":0.1},\"aggregate\":{\"optimizer\":\"fedadam\",\"tau\":0.01}}";
    CHECK(ccz_fl_server_cfg_parse(&c, ccz_span_str(good), LEN, &err) == CCZ_OK);
    CHECK(c.rounds == 7 && c.members_min == 3 && c.sample_len == 2 && c.round_timeout_ms == 60000);
    CHECK(c.seeded && c.seed == 9 && c.train.epochs == 2 && c.train.lr == 0.5F);
    CHECK(c.agg.codec.kind == CCZ_AGG_TOPK && c.agg.codec.topk == 100);
    CHECK(c.agg.opt.kind == CCZ_AGG_FEDADAM && c.agg.opt.tau == 0.01F && c.agg.opt.beta1 == 0.9F);
    const char *const bad[][2] = {{"{\"round\":7}", "fl:config-name"},
                                  {"{\"train\":{\"rate\":1}}", "fl:config-name"},
                                  {"{\"train\":3}", "fl:config-value"},
                                  {"[]", "fl:config-value"},
                                  {"{\"rounds\":-1}", "fl:config-value"},
                                  {"{\"rounds\":\"7\"}", "fl:config-value"},
                                  {"{\"quorum\":4294967296}", "fl:config-value"},
                                  {"{\"aggregate\":{\"rule\":\"mode\"}}", "fl:config-value"},
                                  {"{\"aggregate\":{\"optimizer\":\"sgd\"}}", "fl:config-value"},
                                  {"{\"codec\":{\"kind\":\"zip\"}}", "fl:config-value"},
                                  {"{\"codec\":{\"kind\":\"topk\",\"topk\":0}}", "fl:config-value"},
                                  {"{\"aggregate\":{\"scaffold\":1}}", "fl:config-value"},
                                  {"{\"rounds\":7", "json:parse"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_fl_server_cfg d = {.rounds = 5};
        CHECK(ccz_fl_server_cfg_parse(&d, ccz_span_str(bad[i][0]), LEN, &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, bad[i][1]) == 0 && d.rounds == 5);
    }
}

static const struct ccz_test tests[] = {
    {"fl.refuses_offers", test_offers},
    {"fl.refuses_replay", test_replay},
    {"fl.refuses_values", test_values},
    {"fl.refuses_variate", test_variate},
    {"fl.refuses_chunks", test_chunks},
    {"fl.refuses_codec", test_codec},
    {"fl.refuses_order", test_order},
    {"fl.refuses_members", test_members},
    {"fl.bans", test_banned},
    {"fl.refuses_models", test_models},
    {"fl.refuses_rollback", test_rollback},
    {"fl.refuses_server_order", test_client_order},
    {"fl.not_last", test_not_last},
    {"fl.trainer_fails", test_trainer_fails},
    {"fl.refuses_config", test_config},
    {"fl.settings", test_settings},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
