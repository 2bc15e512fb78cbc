/* SPDX-License-Identifier: Apache-2.0 */
/* What parties of boosted trees refuse of settings, of data, and of each other. */
#include "kit.h"

#include <math.h>

static void settings(void)
{
    struct ccz_err err = {0};
    const struct ccz_sboost_cfg flaws[] = {
        {.rounds = 0},
        {.rounds = CCZ_SBOOST_TREES_MAX + 1},
        /* 2^32 trees: as many as none */
        {.rounds = 1U << 26, .loss = CCZ_SBOOST_SOFTMAX, .classes = 64},
        {.rounds = 1, .loss = CCZ_SBOOST_SOFTMAX},
        {.rounds = 1, .classes = 3},
        {.rounds = 1, .depth = 11},
        {.rounds = 1, .bins = 1},
        {.rounds = 1, .bins = 257},
        {.rounds = 1, .eta = 1.5},
        {.rounds = 1, .eta = NAN},
        {.rounds = 1, .lambda = -1},
        {.rounds = 1, .gamma = NAN},
        {.rounds = 1, .min_child = -1},
        {.rounds = 1, .goss_top = 0.2},
        {.rounds = 1, .goss_top = 0.7, .goss_rest = 0.4},
        {.rounds = 1, .loss = (enum ccz_sboost_loss)3}};
    for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
        struct ccz_sboost_cfg out;
        CHECK(cczi_sb_config(&out, &flaws[i], &err) == CCZ_E_ARG &&
              strcmp(err.where, "sboost:config") == 0);
    }
}

static void refuses(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    const uint8_t ids[2][32] = {{1}, {2}};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    static const struct {
        ccz_rc rc;
        int who;
        const char *where;
    } want[] = {{CCZ_E_MISMATCH, 1, "sboost:alignment"},
                {CCZ_E_MISMATCH, 1, "sboost:alignment"},
                {CCZ_E_MISMATCH, 1, "sboost:config-digest"},
                {CCZ_E_ARG, 0, "sboost:labels"},
                {CCZ_E_ARG, 0, "sboost:config"},
                {CCZ_E_ARG, 1, "sboost:not-finite"},
                {CCZ_E_LIMIT, 1, "paillier:n-bits"},
                {CCZ_E_ARG, 0, "sboost:config"},
                {CCZ_E_ARG, 1, "sboost:data"}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 8}, other = cfg;
        double kept = t.y[3];
        memset(p, 0, sizeof(p));
        other.gamma = 1;
        t.y[3] = i == 3 ? 0.5 : t.y[3];
        seat(p, 1, &t, key, &cfg);
        if (i == 0)
            p[1].data.rows--;
        if (i == 1)
            p[0].data.ids = ids[0], p[1].data.ids = ids[1];
        if (i == 2)
            p[1].run.cfg = &other;
        if (i == 4)
            p[0].key = NULL;
        if (i == 5)
            p[1].x[17] = NAN;
        if (i == 6)
            p[1].run.key_1024_insecure = false;
        if (i == 7)
            p[0].run.key_1024_insecure = false;
        if (i == 8)
            p[1].data.cols = 0;
        run_all(p, 1);
        const struct party *who = &p[want[i].who];
        if (who->rc != want[i].rc || strcmp(who->err.where, want[i].where) != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, who->err.where, who->err.msg);
        CHECK(who->rc == want[i].rc && strcmp(who->err.where, want[i].where) == 0);
        CHECK(p[0].rc != CCZ_OK && p[1].rc != CCZ_OK && !p[0].model && !p[1].part);
        t.y[3] = kept;
        clear(p, 1);
    }
    settings();
}

/* Messages shortened, sent twice or left out, of either side: both end, with a reason, and nobody hangs. */
static void refuses_changes(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    for (int side = 0; side < 2; side++)
        for (uint64_t n = 1; n <= (side ? 3 : 6); n++)
            for (int what = 0; what < 3; what++) {
                const struct ccz_chan_fault_cfg fault = {.send_shorten = what == 0 ? n : 0,
                                                         .send_repeat = what == 1 ? n : 0,
                                                         .send_drop = what == 2 ? n : 0};
                memset(p, 0, sizeof(p));
                seat(p, 1, &t, key, &cfg);
                p[0].run.timeout_ms = p[1].run.timeout_ms = 3000;
                CHECK(ccz_chan_fault_new(&p[side].chan[0], p[side].chan[0], &fault, NULL) ==
                      CCZ_OK);
                run_all(p, 1);
                const struct ccz_err *e = &p[1 - side].err;
                if (p[1 - side].rc == CCZ_OK)
                    fprintf(stderr, "side %d, message %d, fault %d: accepted\n", side, (int)n,
                            what);
                CHECK(p[1 - side].rc != CCZ_OK && e->where[0]);
                CHECK(strncmp(e->where, "sboost:", 7) == 0 ||
                      strncmp(e->where, "paillier:", 9) == 0 || strncmp(e->where, "chan:", 5) == 0);
                CHECK(!p[0].model && !p[1].part);
                clear(p, 1);
            }
}

/* A host that takes another host for its guest. */
static void refuses_role(void)
{
    static struct table t;
    static struct party p[2];
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    struct cczi_sb_session s;
    struct ccz_err err = {0};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    memset(p, 0, sizeof(p));
    seat(p, 1, &t, NULL, &cfg);
    CHECK(pthread_create(&p[1].thread, NULL, run_host, &p[1]) == 0);
    CHECK(cczi_sb_session_init(&s, &p[0].run, p[0].chan, 1, &err) == CCZ_OK);
    CHECK(cczi_sb_greet(&s, false, &p[0].data, NULL, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "sboost:role") == 0);
    ccz_chan_close(p[0].chan[0], "done");
    CHECK(pthread_join(p[1].thread, NULL) == 0);
    CHECK(p[1].rc == CCZ_E_MISMATCH && strcmp(p[1].err.where, "sboost:role") == 0 && !p[1].part);
    (void)cczi_sb_session_end(&s, CCZ_OK, NULL, NULL);
    clear(p, 1);
}

/* A host that answers with a ciphertext that is not packed as agreed. */
static void refuses_candidates(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    CCZ_AUTO(ccz_paillier_plain) plain = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    struct cczi_sb_session s;
    struct ccz_err err = {0};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    memset(p, 0, sizeof(p));
    seat(p, 1, &t, key, &cfg);
    CHECK(pthread_create(&p[0].thread, NULL, run_guest, &p[0]) == 0);
    CHECK(cczi_sb_session_init(&s, &p[1].run, p[1].chan, 1, &err) == CCZ_OK);
    CHECK(cczi_sb_greet(&s, false, &p[1].data, NULL, &err) == CCZ_OK);
    CHECK(ccz_paillier_plain_i64(&plain, pub, &(int64_t){1}, 1, 20, NULL, &err) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&v, plain, NULL, &err) == CCZ_OK);
    cczi_sb_msg_begin(&s.out, CCZI_SB_CANDIDATES, 0, 0);
    CHECK(ccz_paillier_vec_write(&s.out, v, &err) == CCZ_OK);
    CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
    CHECK(pthread_join(p[0].thread, NULL) == 0);
    CHECK(p[0].rc == CCZ_E_PEER && strcmp(p[0].err.where, "sboost:candidate") == 0 && !p[0].model);
    (void)cczi_sb_session_end(&s, CCZ_OK, NULL, NULL);
    clear(p, 1);
}

enum {
    SPLIT_FIRST,
    UNKNOWN_NODE,
    CHOOSE_BEYOND,
    CHOOSE_TWICE,
    SECOND_TREE,
    HOSTS_OWN,
    ONE_SIDE,
    TOO_LARGE,
    FORGED,
    NO_ROWS
};

/* All that a guest says before the message that the case is about. */
static void say_first(struct cczi_sb_session *s, struct party *guest, struct ccz_paillier_pub *pub,
                      int i)
{
    static const uint8_t run[CCZI_SB_RUN_SIZE];
    struct ccz_err err = {0};
    CHECK(cczi_sb_session_init(s, &guest->run, guest->chan, 1, &err) == CCZ_OK);
    CHECK(cczi_sb_greet(s, true, &guest->data, NULL, &err) == CCZ_OK);
    cczi_sb_msg_begin(&s->out, CCZI_SB_KEY, 0, 0);
    ccz_paillier_pub_write(&s->out, pub);
    CHECK(cczi_sb_send(s, 0, &err) == CCZ_OK);
    cczi_sb_msg_begin(&s->out, CCZI_SB_START, 0, 0);
    ccz_buf_put(&s->out, run, sizeof(run));
    CHECK(cczi_sb_send(s, 0, &err) == CCZ_OK);
    cczi_sb_msg_begin(&s->out, CCZI_SB_TREE, 0, 0);
    if (i == FORGED)
        ccz_buf_u8(&s->out, 1);
    for (size_t k = 0; i == NO_ROWS && k < cczi_sb_bitmap_size(ROWS); k++)
        ccz_buf_u8(&s->out, 0);
    CHECK(cczi_sb_send(s, 0, &err) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_plain) plain = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    static int64_t m[ROWS];
    unsigned bits = i == TOO_LARGE ? 62 : 20;
    CHECK(ccz_paillier_plain_i64(&plain, pub, m, ROWS, bits, NULL, &err) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&v, plain, NULL, &err) == CCZ_OK);
    cczi_sb_msg_begin(&s->out, CCZI_SB_GRADIENTS, 0, 0);
    CHECK(ccz_paillier_vec_write(&s->out, v, &err) == CCZ_OK);
    (void)cczi_sb_send(s, 0, NULL); /* it may be gone by then */
    if (i >= CHOOSE_BEYOND && i <= CHOOSE_TWICE) {
        cczi_sb_msg_begin(&s->out, CCZI_SB_NODE, 0, 0);
        CHECK(cczi_sb_send(s, 0, &err) == CCZ_OK);
        CHECK(cczi_sb_expect(s, 0, CCZI_SB_CANDIDATES, 0, 0, 1 << 20, &err) == CCZ_OK);
    }
    if (i == ONE_SIDE) {
        cczi_sb_msg_begin(&s->out, CCZI_SB_NODE, 0, 0);
        CHECK(cczi_sb_send(s, 0, &err) == CCZ_OK);
    }
}

static void say_wrong(struct cczi_sb_session *s, int i)
{
    enum cczi_sb_kind kind = i == UNKNOWN_NODE   ? CCZI_SB_NODE
                             : i <= SPLIT_FIRST  ? CCZI_SB_SPLIT
                             : i <= CHOOSE_TWICE ? CCZI_SB_CHOOSE
                             : i == SECOND_TREE  ? CCZI_SB_TREE
                             : i == HOSTS_OWN    ? CCZI_SB_NODE
                                                 : CCZI_SB_SPLIT;
    cczi_sb_msg_begin(&s->out, kind, i == SECOND_TREE ? 2 : 0, i == UNKNOWN_NODE ? 1 << 30 : 0);
    if (i == HOSTS_OWN) {
        cczi_sb_msg_begin(&s->out, CCZI_SB_LEFT, 0, 0);
        ccz_buf_le32(&s->out, 0);
    }
    if (kind == CCZI_SB_CHOOSE)
        ccz_buf_le32(&s->out, i == CHOOSE_BEYOND ? 4 * 3 : 0);
    for (size_t k = 0; kind == CCZI_SB_SPLIT && k < cczi_sb_bitmap_size(ROWS); k++)
        ccz_buf_u8(&s->out, 0); /* all rows to the right */
    (void)cczi_sb_send(s, 0, NULL);
    if (i == CHOOSE_TWICE)
        (void)cczi_sb_send(s, 0, NULL);
}

/* A guest of its own making: messages in a wrong order, choices that were not offered, ciphertexts that are too large. */
static void refuses_order(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    static const char *const want[] = {
        "sboost:order", "sboost:order", "sboost:candidate", "sboost:order",   "sboost:order",
        "sboost:order", "sboost:split", "sboost:message",   "sboost:message", "sboost:message"};
    for (int i = SPLIT_FIRST; i <= NO_ROWS; i++) {
        struct cczi_sb_session s;
        memset(p, 0, sizeof(p));
        seat(p, 1, &t, key, &cfg);
        CHECK(pthread_create(&p[1].thread, NULL, run_host, &p[1]) == 0);
        say_first(&s, &p[0], pub, i);
        say_wrong(&s, i);
        CHECK(pthread_join(p[1].thread, NULL) == 0);
        if (strcmp(p[1].err.where, want[i]) != 0)
            fprintf(stderr, "case %d: %s: %s\n", i, p[1].err.where, p[1].err.msg);
        CHECK(p[1].rc == CCZ_E_PEER && strcmp(p[1].err.where, want[i]) == 0 && !p[1].part);
        (void)cczi_sb_session_end(&s, CCZ_OK, NULL, NULL);
        clear(p, 1);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"sboost.refuses", refuses},
        {"sboost.refuses_changes", refuses_changes},
        {"sboost.refuses_order", refuses_order},
        {"sboost.refuses_role", refuses_role},
        {"sboost.refuses_candidates", refuses_candidates},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
