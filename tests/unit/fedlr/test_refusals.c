/* SPDX-License-Identifier: Apache-2.0 */
/* What a role refuses, and what leaves it: masked numbers only. */
#define _GNU_SOURCE
#include "parties.h"

/* The arbiter counts rows as guest and hosts tell them. */
static void refuses_uneven(const struct ccz_paillier_key *key, struct ccz_fedlr_table *guest,
                           struct ccz_fedlr_table *host)
{
    struct ccz_fedlr_table *const part[3] = {guest, host};
    struct party p[PARTIES] = {0};
    (void)join_hetero(p, key, part, &HETERO, 0);
    run_all(p, 3);
    CHECK(refused(p, 3, CCZ_E_MISMATCH, "fedlr:alignment") == &p[2]);
    clear(p, 3);
}

static void refuses_agreement(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_key) other = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    CCZ_AUTO(ccz_fedlr_table) b = some_rows(40, COLS + 1, 1);
    struct ccz_fedlr_table *part[3] = {0};
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    cut_columns(part, t, 1);
    struct party p[PARTIES] = {0};

    struct ccz_fedlr_cfg differs = HETERO;
    differs.seed = 1;
    (void)join_hetero(p, key, part, &HETERO, 0);
    p[1].run.cfg = &differs;
    run_all(p, 3);
    (void)refused(p, 3, CCZ_E_MISMATCH, "fedlr:config-digest");
    clear(p, 3);

    (void)join_hetero(p, key, part, &HETERO, 0);
    memcpy(part[1]->id[5], part[1]->id[6], sizeof(part[1]->id[5]));
    run_all(p, 3);
    (void)refused(p, 3, CCZ_E_MISMATCH, "fedlr:alignment");
    clear(p, 3);

    memcpy(part[1]->id[5], part[0]->id[5], sizeof(part[1]->id[5]));
    refuses_uneven(key, part[0], b);
    memset(id, 1, sizeof(id));
    memcpy(part[1]->id[5], part[0]->id[5], sizeof(part[1]->id[5]));
    (void)join_hetero(p, key, part, &HETERO, 0);
    p[1].run.key_id = id;
    run_all(p, 3);
    CHECK(refused(p, 3, CCZ_E_MISMATCH, "fedlr:key-id") == &p[1]);
    clear(p, 3);

    struct party h[4] = {0};
    join_homo(h, key, a, a, &HOMO, 0);
    h[2].key = other;
    run_all(h, 3);
    CHECK(refused(h, 3, CCZ_E_MISMATCH, "fedlr:key-id") == &h[0]);
    clear(h, 3);

    join_homo(h, key, a, b, &HOMO, 0);
    run_all(h, 3);
    CHECK(refused(h, 3, CCZ_E_MISMATCH, "fedlr:columns") == &h[0]);
    clear(h, 3);

    join_homo(h, key, a, a, &HOMO, 0);
    h[2].role = CCZI_ROLE_AGGREGATOR; /* two who want to add up */
    h[2].run.cfg = &(struct ccz_fedlr_cfg){
        .mode = CCZ_FEDLR_HOMO, .rounds = 2, .parties = 1, .optimize = CCZ_FEDLR_ALL};
    run_all(h, 3);
    (void)refused(h, 3, CCZ_E_MISMATCH, "fedlr:config-digest");
    clear(h, 3);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

static void *weak_party(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_fedlr_guest(&p->model, NULL, p->chan, 1, p->chan[1], p->t, &p->run, &p->err);
    for (size_t i = 0; i < p->len; i++)
        ccz_chan_close(p->chan[i], "weak");
    return NULL;
}

/* A key of 1024 bits is refused by everybody who does not allow it expressly. */
static void refuses_weak_key(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    struct ccz_fedlr_table *part[3] = {0};
    cut_columns(part, t, 1);
    struct party p[PARTIES] = {0};
    (void)join_hetero(p, key, part, &HETERO, 0);
    CHECK(pthread_create(&p[0].thread, NULL, weak_party, &p[0]) == 0);
    for (size_t i = 1; i < 3; i++)
        CHECK(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_join(p[i].thread, NULL) == 0);
    CHECK(refused(p, 3, CCZ_E_LIMIT, "paillier:n-bits") == &p[0]);
    clear(p, 3);
    ccz_fedlr_table_free(part[0]);
    ccz_fedlr_table_free(part[1]);
}

/* One message of a worker is changed on its way; somebody notices, everybody ends. */
static void refuses_changes(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    static const struct {
        struct ccz_chan_fault_cfg fault;
        const char *where;
    } cases[] = {
        {{.send_shorten = 1}, "fedlr:message"},                                         /* hello */
        {{.send_repeat = 1}, "fedlr:order"},         {{.send_drop = 3}, "fedlr:order"}, /* go */
        {{.send_shorten = 4}, "paillier:truncated"},                                    /* update */
        {{.send_repeat = 4}, "fedlr:order"},         {{.send_cut_after = 3}, "chan:closed"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct party p[4] = {0};
        join_homo(p, key, a, a, &HOMO, 0);
        CHECK(ccz_chan_fault_new(&p[1].chan[0], p[1].chan[0], &cases[i].fault, NULL) == CCZ_OK);
        p[0].run.timeout_ms = 1000;
        run_all(p, 3);
        CHECK(p[0].rc != CCZ_OK);
        if (strcmp(p[0].err.where, cases[i].where) != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, p[0].err.where, p[0].err.msg);
        CHECK(strcmp(p[0].err.where, cases[i].where) == 0);
        clear(p, 3);
    }
}

static void end_of_two(const struct ccz_fedlr_cfg *cfg, struct ccz_fedlr_table *const part[3],
                       const char *where)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_key) other = small_key();
    struct party p[2] = {{.role = CCZI_ROLE_GUEST, .key = key, .t = part[0], .run = {.cfg = cfg}},
                         {.role = CCZI_ROLE_HOST, .key = other, .t = part[1], .run = {.cfg = cfg}}};
    join(&p[0], &p[1], 0);
    run_all(p, 2);
    if (where)
        (void)refused(p, 2, CCZ_E_LIMIT, where);
    else
        all_well(p, 2);
    clear(p, 2);
}

/* Who gets as many sums of a mini-batch as it has rows solves for every row: who decrypts refuses. */
static void refuses_few_rows(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    /* the guest has 3 columns, intercept and labels; the host 4, of which 5 rows are just enough */
    static const struct {
        size_t guest, host, batch_rows;
        bool good;
    } cases[] = {{3, 4, 5, false}, {3, 4, 6, true}, {1, 5, 5, false}, {1, 4, 5, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_fedlr_table *part[3] = {0};
        struct party p[PARTIES] = {0};
        struct ccz_fedlr_cfg cfg = HETERO;
        cfg.rounds = 1;
        cfg.batch_rows = cases[i].batch_rows;
        size_t rows[30];
        CCZ_AUTO(ccz_fedlr_table) few = NULL;
        for (size_t k = 0; k < 30; k++)
            rows[k] = k;
        CHECK(ccz_fedlr_table_rows(&few, t, rows, 30, NULL) == CCZ_OK);
        CHECK(ccz_fedlr_table_cols(&part[0], few, 0, cases[i].guest, true, NULL) == CCZ_OK);
        CHECK(ccz_fedlr_table_cols(&part[1], few, 2, cases[i].host, false, NULL) == CCZ_OK);
        (void)join_hetero(p, key, part, &cfg, 0);
        run_all(p, 3);
        if (cases[i].good)
            all_well(p, 3);
        else
            CHECK(refused(p, 3, CCZ_E_LIMIT, "fedlr:few-rows") == &p[2]);
        clear(p, 3);
        cfg.mode = CCZ_FEDLR_HETERO_TWO;
        end_of_two(&cfg, part, cases[i].good ? NULL : "fedlr:few-rows");
        ccz_fedlr_table_free(part[0]);
        ccz_fedlr_table_free(part[1]);
    }
}

/* No mini-batch is a remainder of a few rows, and together they are all rows once. */
static void even_batches(void)
{
    size_t order[ROWS];
    for (size_t rows = 1; rows <= ROWS; rows++)
        for (size_t per = 0; per <= ROWS + 1; per++) {
            const struct ccz_fedlr_cfg cfg = {.batch_rows = per};
            size_t batches = cczi_fl_batches(rows, &cfg), at = 0, least = rows, most = 0;
            for (size_t i = 0; i < batches; i++) {
                struct cczi_fl_batch b = cczi_fl_batch_of(order, rows, &cfg, i);
                CHECK(b.index == order + at && b.len > 0);
                at += b.len;
                least = b.len < least ? b.len : least;
                most = b.len > most ? b.len : most;
            }
            CHECK(at == rows && most - least <= 1 && (per == 0 || most <= per));
        }
}

/* The second of those who are added up breaks: what the first sent is given back (asan would tell). */
static void second_breaks(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    const struct ccz_chan_fault_cfg update = {.send_shorten = 4}, parts = {.send_shorten = 2};
    struct ccz_fedlr_cfg cfg = HETERO;
    struct ccz_fedlr_table *part[3] = {0};
    struct party p[PARTIES] = {0};
    join_homo(p, key, a, a, &HOMO, 0);
    CHECK(ccz_chan_fault_new(&p[2].chan[0], p[2].chan[0], &update, NULL) == CCZ_OK);
    run_all(p, 3);
    CHECK(refused(p, 3, CCZ_E_FORMAT, "paillier:truncated") == &p[0]);
    clear(p, 3);

    memset(p, 0, sizeof(p));
    cut_columns(part, t, 2);
    cfg.parties = 2;
    size_t len = join_hetero(p, key, part, &cfg, 0);
    CHECK(ccz_chan_fault_new(&p[2].chan[0], p[2].chan[0], &parts, NULL) == CCZ_OK);
    run_all(p, len);
    CHECK(refused(p, len, CCZ_E_FORMAT, "paillier:truncated") == &p[0]);
    clear(p, len);
    for (size_t i = 0; i < 3; i++)
        ccz_fedlr_table_free(part[i]);
}

static void bad_config(const struct ccz_fedlr_cfg *cfg, const struct ccz_secret *seal,
                       const char *checkpoint)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(10, COLS, 1);
    struct ccz_chan *a, *b;
    struct ccz_err err = {0};
    struct ccz_fedlr_model *m = NULL;
    const struct ccz_fedlr_run run = {.cfg = cfg, .checkpoint = checkpoint, .seal = seal};
    CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_guest(&m, NULL, &a, 1, b, t, &run, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fedlr:config") == 0 && !m);
    CHECK(ccz_chan_send(a, ccz_span_str("x"), NULL) == CCZ_E_CLOSED); /* the peer learns of it */
    ccz_chan_free(a);
    ccz_chan_free(b);
}

static void refuses_config(void)
{
    struct ccz_fedlr_cfg c = HETERO;
    c.rounds = 0;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.parties = 0;
    bad_config(&c, NULL, NULL);
    c.parties = 2; /* but one channel */
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.momentum = 1;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.eta = NAN;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.l1 = -1;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.optimize = 8;
    bad_config(&c, NULL, NULL);
    c = HETERO;
    c.mode = CCZ_FEDLR_HOMO; /* has no guest */
    bad_config(&c, NULL, NULL);
    c.mode = CCZ_FEDLR_HETERO_TWO; /* has no arbiter */
    bad_config(&c, NULL, NULL);
    c = HETERO;
    bad_config(&c, NULL, temp_path("nowhere")); /* a checkpoint without a key */

    CCZ_AUTO(ccz_fedlr_table) t = some_rows(10, COLS, 1);
    struct ccz_fedlr_cfg l1 = {
        .mode = CCZ_FEDLR_ENCRYPTED_MODEL, .rounds = 1, .parties = 1, .l1 = 0.1};
    const struct ccz_fedlr_run run = {.cfg = &l1};
    struct ccz_chan *a, *b;
    struct ccz_err err = {0};
    struct ccz_fedlr_model *m;
    CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
    CHECK(ccz_fedlr_work(&m, NULL, a, t, &run, &err) == CCZ_E_ARG);
    CHECK(strstr(err.msg, "L1") != NULL);
    ccz_chan_free(a);
    ccz_chan_free(b);
}

/* Numbers that grow beyond what was declared stop the training before anything wraps around. */
static void refuses_divergence(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    for (size_t i = 0; i < a->rows * a->cols; i++)
        a->x[i] *= 30; /* not standardised */
    for (int mode = CCZ_FEDLR_ENCRYPTED_MODEL; mode <= CCZ_FEDLR_HOMO; mode++) {
        const struct ccz_fedlr_cfg cfg = {.mode = (enum ccz_fedlr_mode)mode,
                                          .rounds = 3,
                                          .parties = 2,
                                          .eta = 20,
                                          .optimize = CCZ_FEDLR_ALL};
        struct party p[4] = {0};
        join_homo(p, key, a, a, &cfg, 0);
        size_t len = mode == CCZ_FEDLR_HOMO ? 3 : 4;
        run_all(p, len);
        (void)refused(p, len, CCZ_E_LIMIT, "fedlr:range");
        clear(p, 4);
    }
}

static void other_side(struct cczi_fl_session *s, struct party *p, enum cczi_fl_role role)
{
    struct ccz_chan *mine;
    CHECK(ccz_chan_pair(&mine, &p->chan[0], NULL, NULL) == CCZ_OK);
    p->len = 1;
    CHECK(cczi_fl_session_init(s, &p->run, role, &mine, 1, NULL, NULL) == CCZ_OK);
}

static void end_side(struct cczi_fl_session *s)
{
    ccz_chan_free(s->chan[0]);
    s->len = 0;
    (void)cczi_fl_session_end(s, CCZ_OK, NULL, NULL);
}

static void refuses_role_and_start(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) a = some_rows(40, COLS, 1);
    for (int i = 0; i < 3; i++) {
        bool wrong = i == 1, homo = i < 2;
        const struct ccz_fedlr_cfg cfg = {
            .mode = homo ? CCZ_FEDLR_HOMO : CCZ_FEDLR_ENCRYPTED_MODEL, .rounds = 1, .parties = 1};
        struct party p = {.role = CCZI_ROLE_WORKER, .t = a, .run = {.cfg = &cfg}};
        p.key = homo ? key : NULL;
        struct cczi_fl_session s;
        struct cczi_fl_hello theirs, mine = {0};
        struct ccz_paillier_pub *pub;
        struct ccz_err err = {0};
        p.run.key_1024_insecure = true; /* of the session, too */
        other_side(&s, &p, wrong ? CCZI_ROLE_WORKER : CCZI_ROLE_AGGREGATOR);
        CHECK(pthread_create(&p.thread, NULL, run_party, &p) == 0);
        CHECK(cczi_fl_greet(&theirs, &s, &mine, &err) == CCZ_OK && theirs.rows == 40);
        if (!wrong) { /* fewer rows than the worker alone has: its share would be above 1 */
            if (homo) {
                CHECK(cczi_fl_recv_key(&pub, &s, 0, &err) == CCZ_OK);
                ccz_paillier_pub_free(pub);
            } else {
                s.pub = ccz_paillier_key_pub(key);
                CHECK(cczi_fl_send_key(&s, 0, &err) == CCZ_OK);
            }
            CHECK(cczi_fl_send_start(&s, 0, 0, 39, &err) == CCZ_OK);
            ccz_chan_close(s.chan[0], "no more");
        }
        CHECK(pthread_join(p.thread, NULL) == 0);
        CHECK(p.rc == (wrong ? CCZ_E_MISMATCH : CCZ_E_PEER));
        CHECK(strcmp(p.err.where, wrong ? "fedlr:role" : "fedlr:message") == 0);
        clear(&p, 1);
        end_side(&s);
    }
}

/* Whom a role greets has to be who it takes it for. The peers say hello, then send a key, whoever is asked for one. */
static void refuses_roles(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(40, COLS, 1);
    enum { A = CCZI_ROLE_AGGREGATOR, J = CCZI_ROLE_ARBITER, W = CCZI_ROLE_WORKER };
    enum { G = CCZI_ROLE_GUEST, H = CCZI_ROLE_HOST };
    static const struct {
        enum ccz_fedlr_mode mode;
        int me;
        size_t len;
        int peer[2];
    } cases[] = {{CCZ_FEDLR_HETERO, G, 2, {J, J}},
                 {CCZ_FEDLR_HETERO, G, 2, {H, H}},
                 {CCZ_FEDLR_HETERO, H, 2, {H, J}},
                 {CCZ_FEDLR_HETERO, H, 2, {G, G}},
                 {CCZ_FEDLR_HETERO, J, 2, {H, H}},
                 {CCZ_FEDLR_HETERO, J, 2, {G, G}},
                 {CCZ_FEDLR_HETERO_TWO, G, 1, {G}},
                 {CCZ_FEDLR_HETERO_TWO, H, 1, {H}},
                 {CCZ_FEDLR_HOMO, A, 1, {J}},
                 {CCZ_FEDLR_HOMO, W, 1, {W}},
                 {CCZ_FEDLR_ENCRYPTED_MODEL, A, 2, {W, W}},
                 {CCZ_FEDLR_ENCRYPTED_MODEL, A, 2, {J, J}},
                 {CCZ_FEDLR_ENCRYPTED_MODEL, W, 1, {J}},
                 {CCZ_FEDLR_ENCRYPTED_MODEL, J, 1, {W}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct ccz_fedlr_cfg cfg = {.mode = cases[i].mode, .rounds = 1, .parties = 1};
        bool two = cfg.mode == CCZ_FEDLR_HETERO_TWO;
        struct party p = {.role = (enum cczi_fl_role)cases[i].me, .t = t, .run = {.cfg = &cfg}};
        struct cczi_fl_session s[2];
        struct cczi_fl_hello theirs, mine = {.cols = COLS, .rows = 40};
        p.run.key_1024_insecure = true;
        p.key = two || p.role == CCZI_ROLE_ARBITER || cfg.mode == CCZ_FEDLR_HOMO ? key : NULL;
        p.cols = COLS;
        p.arbiter = cases[i].len == 2 && p.role != CCZI_ROLE_ARBITER;
        for (size_t k = 0; k < cases[i].len; k++) {
            struct ccz_chan *end;
            CHECK(ccz_chan_pair(&end, &p.chan[k], NULL, NULL) == CCZ_OK);
            (void)cczi_fl_session_init(&s[k], &p.run, (enum cczi_fl_role)cases[i].peer[k], &end, 1,
                                       NULL,
                                       NULL); /* it may be wrong for the mode: that is the point */
            s[k].pub = ccz_paillier_key_pub(key);
        }
        p.len = cases[i].len;
        struct cczi_fl_hello its = cczi_fl_hello_of(&(struct cczi_fl_history){0}, t);
        memcpy(mine.ids, its.ids, sizeof(mine.ids));
        CHECK(pthread_create(&p.thread, NULL, run_party, &p) == 0);
        for (size_t k = 0; k < p.len; k++)
            CHECK(cczi_fl_greet(&theirs, &s[k], &mine, NULL) == CCZ_OK);
        for (size_t k = 0; k < p.len; k++)
            (void)cczi_fl_send_key(&s[k], 0, NULL); /* it may have gone already */
        CHECK(pthread_join(p.thread, NULL) == 0);
        if (p.rc != CCZ_E_MISMATCH || strcmp(p.err.where, "fedlr:role") != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, p.err.where, p.err.msg);
        CHECK(p.rc == CCZ_E_MISMATCH && strcmp(p.err.where, "fedlr:role") == 0);
        clear(&p, 1);
        for (size_t k = 0; k < cases[i].len; k++)
            end_side(&s[k]);
    }
}

/* The two of HETERO_TWO look at each other's rows and key. */
static void refuses_other_of_two(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_key) other = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) fewer = some_rows(ROWS - 1, ALL, 3);
    CCZ_AUTO(ccz_fedlr_table) named = some_rows(ROWS, ALL, 3);
    memcpy(named->id[5], named->id[6], sizeof(named->id[5]));
    struct ccz_fedlr_cfg cfg = HETERO;
    cfg.mode = CCZ_FEDLR_HETERO_TWO;
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    ccz_paillier_id(id, pub);
    for (int i = 0; i < 4; i++) {
        struct party p[2] = {{.role = CCZI_ROLE_GUEST, .key = key, .t = t, .run = {.cfg = &cfg}},
                             {.role = CCZI_ROLE_HOST, .key = other, .t = t, .run = {.cfg = &cfg}}};
        p[i % 2].run.key_id = i < 2 ? id : NULL; /* the guest pins its own key: not the peer's */
        p[1].t = i == 2 ? fewer : i == 3 ? named : t;
        join(&p[0], &p[1], 0);
        run_all(p, 2);
        if (i == 1)
            all_well(p, 2);
        else
            (void)refused(p, 2, CCZ_E_MISMATCH, i == 0 ? "fedlr:key-id" : "fedlr:alignment");
        clear(p, 2);
    }
}

/* Workers compute from the same numbers whether to go on; if they do not agree, somebody is wrong. */
static void refuses_discord(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    struct party p = {.role = CCZI_ROLE_AGGREGATOR, .run = {.cfg = &HOMO}};
    struct cczi_fl_session s[2];
    struct cczi_fl_hello theirs, mine = {.cols = COLS, .rows = 40};
    p.run.key_1024_insecure = true;
    for (size_t k = 0; k < 2; k++) {
        struct ccz_chan *end;
        CHECK(ccz_chan_pair(&end, &p.chan[k], NULL, NULL) == CCZ_OK);
        CHECK(cczi_fl_session_init(&s[k], &p.run, CCZI_ROLE_WORKER, &end, 1, NULL, NULL) == CCZ_OK);
        s[k].pub = ccz_paillier_key_pub(key);
    }
    p.len = 2;
    CHECK(pthread_create(&p.thread, NULL, run_party, &p) == 0);
    for (size_t k = 0; k < 2; k++) {
        CHECK(cczi_fl_greet(&theirs, &s[k], &mine, NULL) == CCZ_OK);
        CHECK(cczi_fl_send_key(&s[k], 0, NULL) == CCZ_OK);
    }
    for (size_t k = 0; k < 2; k++) {
        CHECK(cczi_fl_recv(&s[k], 0, CCZI_MSG_START, 0, NULL) == CCZ_OK);
        CHECK(cczi_fl_send_go(&s[k], 0, 0, k == 0, NULL) == CCZ_OK);
    }
    for (size_t k = 0; k < 2; k++)
        ccz_chan_close(s[k].chan[0], "no more");
    CHECK(pthread_join(p.thread, NULL) == 0);
    CHECK(p.rc == CCZ_E_PEER && strcmp(p.err.where, "fedlr:order") == 0);
    clear(&p, 1);
    for (size_t k = 0; k < 2; k++)
        end_side(&s[k]);
}

/* A sum in fewer slots than were sent: a worker or arbiter would read behind its end. */
static void refuses_short_sum(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(40, COLS, 1);
    static const int64_t one = 1;
    for (int mode = CCZ_FEDLR_ENCRYPTED_MODEL; mode <= CCZ_FEDLR_HOMO; mode++) {
        const struct ccz_fedlr_cfg cfg = {.mode = (enum ccz_fedlr_mode)mode,
                                          .rounds = 1,
                                          .parties = 1,
                                          .optimize = CCZ_FEDLR_ALL};
        bool homo = mode == CCZ_FEDLR_HOMO;
        struct party p = {.role = homo ? CCZI_ROLE_WORKER : CCZI_ROLE_ARBITER, .key = key, .t = t};
        struct cczi_fl_session s;
        struct cczi_fl_hello theirs, mine = {.cols = COLS};
        CCZ_AUTO(ccz_paillier_pub) its = NULL;
        CCZ_AUTO(ccz_paillier_plain) plain = NULL;
        CCZ_AUTO(ccz_paillier_vec) sent = NULL;
        CCZ_AUTO(ccz_paillier_vec) got = NULL;
        bool go;
        p.run.cfg = &cfg;
        p.run.key_1024_insecure = true;
        p.cols = COLS;
        other_side(&s, &p, CCZI_ROLE_AGGREGATOR);
        CHECK(pthread_create(&p.thread, NULL, run_party, &p) == 0);
        CHECK(cczi_fl_greet(&theirs, &s, &mine, NULL) == CCZ_OK);
        CHECK(cczi_fl_recv_key(&its, &s, 0, NULL) == CCZ_OK);
        CHECK(cczi_fl_send_start(&s, 0, 0, 40, NULL) == CCZ_OK);
        CHECK(cczi_fl_recv_go(&go, &s, 0, 0, NULL) == CCZ_OK && go);
        CHECK(cczi_fl_recv_vec(&got, &s, 0, homo ? CCZI_MSG_UPDATE : CCZI_MSG_MODEL, 0, pub,
                               homo ? 1 : D, NULL) == CCZ_OK);
        CHECK(ccz_paillier_plain_i64(&plain, pub, &one, 1, 8, NULL, NULL) == CCZ_OK);
        CHECK(ccz_paillier_encrypt(&sent, plain, NULL, NULL) == CCZ_OK);
        CHECK(cczi_fl_send_vec(&s, 0, CCZI_MSG_UPDATE, 0, sent, NULL) == CCZ_OK);
        ccz_chan_close(s.chan[0], "no more");
        CHECK(pthread_join(p.thread, NULL) == 0);
        CHECK(p.rc == CCZ_E_PEER && strcmp(p.err.where, "fedlr:message") == 0);
        clear(&p, 1);
        end_side(&s);
    }
}

/* What a host sends for a prediction, and what it gets for it. */
static void refuses_scores(void)
{
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(10, COLS, 1);
    double w[COLS + 1] = {0.5}, p[10];
    const struct ccz_fedlr_model m = {.len = COLS + 1, .w = w};
    for (int i = 0; i < 4; i++) {
        CCZ_AUTO_BUF out;
        struct ccz_chan *a, *b;
        struct ccz_err err = {0};
        ccz_buf_init(&out, 4096);
        CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
        cczi_fl_msg_begin(&out, i == 1 ? CCZI_MSG_WINDOWS : CCZI_MSG_SCORES, 0);
        for (size_t k = 0; k < (i == 0 ? 9 : 10); k++)
            cczi_fl_msg_put_double(&out, 0.25);
        CHECK(ccz_chan_send(b, ccz_buf_span(&out), NULL) == CCZ_OK);
        ccz_rc rc = i < 3
                        ? ccz_fedlr_predict_guest(p, &m, &a, 1, t, &err)
                        : ccz_fedlr_predict_host(a, &m, t, &err); /* scores instead of a goodbye */
        CHECK(rc == (i == 2 ? CCZ_OK : CCZ_E_PEER));
        CHECK(i == 2 || strcmp(err.where, i < 3 ? "fedlr:message" : "fedlr:order") == 0);
        ccz_chan_free(a);
        ccz_chan_free(b);
    }
}

/* A vector of ciphertexts must have the length that the protocol gives it. */
static void refuses_length(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    static const int64_t v[3] = {1, 2, 3};
    for (size_t len = 1; len <= 3; len++) {
        struct party p = {.run = {.cfg = &HOMO}};
        struct cczi_fl_session a, b;
        CCZ_AUTO(ccz_paillier_plain) plain = NULL;
        CCZ_AUTO(ccz_paillier_vec) sent = NULL;
        CCZ_AUTO(ccz_paillier_vec) got = NULL;
        struct ccz_err err = {0};
        other_side(&a, &p, CCZI_ROLE_WORKER);
        CHECK(cczi_fl_session_init(&b, &p.run, CCZI_ROLE_WORKER, p.chan, 1, NULL, &err) == CCZ_OK);
        CHECK(ccz_paillier_plain_i64(&plain, pub, v, len, 8, NULL, &err) == CCZ_OK);
        CHECK(ccz_paillier_encrypt(&sent, plain, NULL, &err) == CCZ_OK);
        CHECK(cczi_fl_send_vec(&a, 0, CCZI_MSG_UPDATE, 4, sent, &err) == CCZ_OK);
        ccz_rc rc = cczi_fl_recv_vec(&got, &b, 0, CCZI_MSG_UPDATE, 4, pub, 2, &err);
        CHECK(rc == (len == 2 ? CCZ_OK : len < 2 ? CCZ_E_PEER : CCZ_E_LIMIT));
        CHECK(len == 2 || strcmp(err.where, len < 2 ? "fedlr:message" : "chan:message-size") == 0);
        if (len < 3) { /* else the channel is of no more use */
            cczi_fl_msg_begin(&a.out, CCZI_MSG_WINDOWS, 4);
            for (size_t i = 0; i < len; i++)
                cczi_fl_msg_put_double(&a.out, 1);
            CHECK(cczi_fl_send(&a, 0, &err) == CCZ_OK);
            rc = cczi_fl_recv_values(&b, 0, CCZI_MSG_WINDOWS, 4, 2, &err);
            CHECK(rc == (len == 2 ? CCZ_OK : CCZ_E_PEER));
            CHECK(len == 2 || strcmp(err.where, "fedlr:message") == 0);
        }
        end_side(&a);
        end_side(&b);
    }
}

/* What the decrypter gets to see is a number far larger than the product, another one each time; what it returns is a window. */
static void masked(void)
{
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_fedlr_table) t = some_rows(ROWS, COLS, 3);
    const struct ccz_fedlr_run run = {.cfg = &HETERO, .key_1024_insecure = true};
    struct cczi_fl_session s = {.run = &run};
    struct cczi_fl_layout l;
    struct cczi_fl_side side = cczi_fl_side_of(t, true, CCZ_FEDLR_LOGISTIC);
    size_t order[ROWS];
    int64_t shares[ROWS];
    double w[COLS + 1] = {0.5, 1, -1, 2}, want[COLS + 2];
    enum { SIZE = 128 };
    static uint8_t masks[2][(COLS + 2) * SIZE], seen[2][(COLS + 2) * SIZE];
    struct ccz_err err = {0};
    s.pub = ccz_paillier_key_pub(key);
    cczi_fl_order(order, ROWS, &HETERO, 0);
    struct cczi_fl_batch b = {order, ROWS};
    CHECK(cczi_fl_layout_of(&l, 1024, ROWS, 1, CCZ_FEDLR_ALL, &err) == CCZ_OK && l.slots > 1);
    cczi_fl_shares(shares, &side, w, b);
    cczi_fl_plain_sums(want, shares, &side, b, &l);
    for (int pass = 0; pass < 2; pass++) {
        CCZ_AUTO(ccz_paillier_plain) plain = NULL;
        CCZ_AUTO(ccz_paillier_plain) open = NULL;
        CCZ_AUTO(ccz_paillier_vec) packed = NULL;
        CCZ_AUTO(ccz_paillier_vec) v = NULL;
        CHECK(cczi_fl_packed(&plain, s.pub, shares, ROWS, &l, &err) == CCZ_OK);
        CHECK(ccz_paillier_encrypt(&packed, plain, NULL, &err) == CCZ_OK);
        CHECK(cczi_fl_products(&v, masks[pass], packed, s.pub, &side, b, &l, &s, &err) == CCZ_OK);
        CHECK(ccz_paillier_vec_randomised(v));
        CHECK(ccz_paillier_decrypt(&open, key, v, NULL, &err) == CCZ_OK);
        ccz_paillier_plain_to_residues(seen[pass], open);
        for (size_t j = 0; j < side.sums; j++) {
            const uint8_t *y = seen[pass] + j * SIZE;
            bool large = false; /* above 2^(total + 16): nearly always, if there is a mask */
            for (size_t k = 0; k < SIZE - (l.total_bits + 16) / 8 - 1; k++)
                large = large || y[k] != 0;
            CHECK(large);
            uint64_t window = cczi_fl_window(y, &l);
            CHECK(l.window == 64 || window >> l.window == 0);
            double got = cczi_fl_unmask(window, masks[pass] + j * SIZE, &l);
            CHECK(fabs(got - want[j]) <= 2 * ldexp(1, -CCZI_SUM_FRACTION));
        }
    }
    for (size_t j = 0; j < side.sums; j++) /* a fresh mask for each sum, each time */
        for (size_t k = 0; k < side.sums; k++)
            CHECK(memcmp(masks[0] + j * SIZE, masks[1] + k * SIZE, SIZE) != 0);
    ccz_paillier_pub_free(s.pub);
}

static const struct ccz_test tests[] = {
    {"fedlr.masked", masked},
    {"fedlr.refuses_role", refuses_role_and_start},
    {"fedlr.refuses_roles", refuses_roles},
    {"fedlr.refuses_other_of_two", refuses_other_of_two},
    {"fedlr.refuses_discord", refuses_discord},
    {"fedlr.refuses_short_sum", refuses_short_sum},
    {"fedlr.refuses_scores", refuses_scores},
    {"fedlr.refuses_length", refuses_length},
    {"fedlr.refuses_agreement", refuses_agreement},
    {"fedlr.refuses_weak_key", refuses_weak_key},
    {"fedlr.refuses_changes", refuses_changes},
    {"fedlr.refuses_few_rows", refuses_few_rows},
    {"fedlr.even_batches", even_batches},
    {"fedlr.second_breaks", second_breaks},
    {"fedlr.refuses_config", refuses_config},
    {"fedlr.refuses_divergence", refuses_divergence},
};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
