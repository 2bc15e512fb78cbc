/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of several parties with a server: results, refusals, parties that fail or cheat. */
#define _GNU_SOURCE
#include "parties.h"
#include "psi/tee_priv.h"

enum { PARTIES_MAX = 5 };

/* One party and the server's thread for it. */
struct member {
    struct ccz_psi_tee *tee;
    unsigned number;
    struct ccz_chan *chan[2]; /* server's, party's */
    const struct ccz_psi_ids *ids;
    struct ccz_psi_tee_join_cfg cfg;
    struct ccz_psi_result *result;
    ccz_rc rc[2];
    struct ccz_err err[2];
    pthread_t thread[2];
    void (*cheat)(struct member *m); /* in the place of ccz_psi_tee_join() */
};

static void *run_server(void *arg)
{
    struct member *m = arg;
    m->rc[0] = ccz_psi_tee_serve(m->tee, m->number, m->chan[0], &m->err[0]);
    return NULL;
}

static void *run_member(void *arg)
{
    struct member *m = arg;
    if (m->cheat)
        m->cheat(m);
    else
        m->rc[1] = ccz_psi_tee_join(&m->result, m->chan[1], m->ids, &m->cfg, &m->err[1]);
    return NULL;
}

static uint64_t run_session(struct member *m, unsigned n, const struct ccz_psi_tee_cfg *cfg)
{
    struct ccz_psi_tee *t;
    CHECK(ccz_psi_tee_new(&t, cfg, NULL) == CCZ_OK);
    for (unsigned i = 0; i < n; i++) {
        m[i].tee = t;
        m[i].number = i;
        if (m[i].cfg.terms.parties == 0)
            m[i].cfg.terms = cfg->terms;
        CHECK(ccz_chan_pair(&m[i].chan[0], &m[i].chan[1], NULL, NULL) == CCZ_OK);
        for (int k = 0; k < 2; k++)
            ccz_chan_set_timeout(m[i].chan[k], 20000);
        CHECK(pthread_create(&m[i].thread[0], NULL, run_server, &m[i]) == 0);
        CHECK(pthread_create(&m[i].thread[1], NULL, run_member, &m[i]) == 0);
    }
    for (unsigned i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++)
            CHECK(pthread_join(m[i].thread[k], NULL) == 0);
        for (int k = 0; k < 2; k++)
            ccz_chan_free(m[i].chan[k]);
        CHECK((m[i].rc[1] == CCZ_OK) == (m[i].result != NULL) || m[i].cheat);
    }
    uint64_t len = ccz_psi_tee_len(t);
    ccz_psi_tee_free(t);
    return len;
}

/* Party i has the multiples of i + 2 below a limit, and repeats none. */
static size_t multiples(uint64_t *out, unsigned of, uint64_t limit)
{
    size_t n = 0;
    for (uint64_t x = 0; x < limit; x += of)
        out[n++] = x;
    return n;
}

static void check_session(unsigned n, uint64_t limit, bool pad, enum ccz_psi_output output,
                          const struct ccz_secret *key)
{
    struct member m[PARTIES_MAX] = {{0}};
    uint64_t *numbers[PARTIES_MAX], step = 1;
    struct ccz_psi_tee_cfg cfg = {.terms = {.parties = n, .output = output}, .wait_ms = INT64_MAX};
    static const uint64_t lcm[PARTIES_MAX + 2] = {1, 1, 2, 6, 12, 60, 60};
    step = lcm[n + 1];
    for (unsigned i = 0; i < n; i++) {
        numbers[i] = malloc(limit * sizeof(uint64_t) + 1);
        CHECK(numbers[i]);
        m[i].ids = ids_of(numbers[i], multiples(numbers[i], i + 2, limit), NULL);
        m[i].cfg = (struct ccz_psi_tee_join_cfg){.pad = pad, .key = key};
    }
    size_t expected = (size_t)((limit + step - 1) / step);
    CHECK(run_session(m, n, &cfg) == expected);
    for (unsigned i = 0; i < n; i++) {
        if (m[i].rc[1] != CCZ_OK)
            fprintf(stderr, "%s: %s\n", m[i].err[1].where, m[i].err[1].msg);
        CHECK(m[i].rc[0] == CCZ_OK && m[i].rc[1] == CCZ_OK && m[i].result->len == expected);
        CHECK(memcmp(m[i].result->digest, m[0].result->digest, 32) == 0);
        CHECK(memcmp(m[i].result->session, m[0].result->session, 32) == 0);
        for (size_t k = 0; output == CCZ_PSI_ROWS && k < expected; k++) {
            CHECK(numbers[i][m[i].result->rows[k]] == numbers[0][m[0].result->rows[k]]);
            CHECK(numbers[i][m[i].result->rows[k]] % step == 0);
        }
        CHECK(output == CCZ_PSI_ROWS || !m[i].result->rows);
    }
    for (unsigned i = 0; i < n; i++) {
        ccz_psi_result_free(m[i].result);
        ccz_psi_ids_free((struct ccz_psi_ids *)m[i].ids);
        free(numbers[i]);
    }
}

static void test_results(void)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_from(&key, "sixteen bytes ..", 16) == CCZ_OK);
    for (unsigned n = 2; n <= PARTIES_MAX; n++) {
        check_session(n, 0, false, CCZ_PSI_ROWS, NULL);
        check_session(n, 1, true, CCZ_PSI_ROWS, NULL);
        check_session(n, 1000, n % 2, CCZ_PSI_ROWS, n % 2 ? key : NULL);
        check_session(n, 1000, true, CCZ_PSI_CARDINALITY, key);
    }
    check_session(2, 300000, false, CCZ_PSI_ROWS, key); /* several blocks both ways */
}

static void two(struct member m[2], size_t a, size_t b)
{
    uint64_t numbers[100];
    for (size_t i = 0; i < 100; i++)
        numbers[i] = i;
    m[0].ids = ids_of(numbers, a, NULL);
    m[1].ids = ids_of(numbers, b, NULL);
}

static void free_two(struct member m[2])
{
    for (int i = 0; i < 2; i++) {
        ccz_psi_ids_free((struct ccz_psi_ids *)m[i].ids);
        ccz_psi_result_free(m[i].result);
    }
}

static void test_minimum(void)
{
    for (uint64_t min = 50; min <= 51; min++) {
        struct member m[2] = {{0}, {0}};
        struct ccz_psi_tee_cfg cfg = {.terms = {.parties = 2, .min_intersection = min}};
        two(m, 100, 50);
        (void)run_session(m, 2, &cfg);
        for (int i = 0; i < 2; i++) {
            for (int k = 0; k < 2; k++) {
                CHECK(m[i].rc[k] == (min <= 50 ? CCZ_OK : CCZ_E_POLICY));
                CHECK(min <= 50 || strcmp(m[i].err[k].where, "psi:minimum") == 0);
            }
        }
        free_two(m);
    }
}

static void check_refused(struct member m[2], const struct ccz_psi_tee_cfg *cfg, const char *where)
{
    bool said = false;
    (void)run_session(m, 2, cfg);
    for (int i = 0; i < 2; i++) {
        CHECK(m[i].rc[0] != CCZ_OK && !m[i].result);
        CHECK(m[i].cheat || m[i].rc[1] == CCZ_E_CLOSED); /* and is told why */
        said = said || strcmp(m[i].err[0].where, where) == 0;
        CHECK(strcmp(m[i].err[0].where, where) == 0 ||
              strcmp(m[i].err[0].where, "psi:tee-peer") == 0);
        if (!m[i].cheat && !strstr(m[i].err[1].msg, where))
            fprintf(stderr, "%s, expected %s\n", m[i].err[1].msg, where);
        CHECK(m[i].cheat || strstr(m[i].err[1].msg, where));
    }
    CHECK(said);
    free_two(m);
}

static void test_disagreement(void)
{
    const struct ccz_psi_tee_cfg cfg = {.terms = {.parties = 2}, .len_max = 90};
    static const struct {
        struct ccz_psi_tee_terms terms;
        const char *where;
    } cases[] = {{{.parties = 3}, "psi:tee-parties"},
                 {{.parties = 2, .output = CCZ_PSI_CARDINALITY}, "psi:peer-output"},
                 {{.parties = 2, .min_intersection = 1}, "psi:peer-minimum"},
                 {{.parties = 2, .session = {(const uint8_t *)"x", 1}}, "psi:peer-session"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct member m[2] = {{0}, {.cfg = {.terms = cases[i].terms}}};
        two(m, 20, 20);
        check_refused(m, &cfg, cases[i].where);
    }
    struct member large[2] = {{0}, {0}};
    two(large, 20, 91);
    check_refused(large, &cfg, "psi:peer-len");
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_from(&key, "sixteen bytes ..", 16) == CCZ_OK);
    struct member keys[2] = {{0}, {.cfg = {.key = key}}};
    two(keys, 20, 20);
    check_refused(keys, &cfg, "psi:tee-key");
    struct member prepared[2] = {{0}, {0}};
    two(prepared, 20, 20);
    ccz_psi_ids_free((struct ccz_psi_ids *)prepared[1].ids);
    const uint64_t one = 1;
    prepared[1].ids = ids_of(&one, 1, &(struct ccz_psi_ids_cfg){.domain = "mail"});
    check_refused(prepared, &cfg, "psi:peer-ids");
}

static void test_config(void)
{
    struct ccz_psi_tee *t;
    struct ccz_err err = {0};
    static const struct ccz_psi_tee_cfg bad[] = {
        {{0}, 0, 0},
        {{.parties = 1}, 0, 0},
        {{.parties = CCZ_PSI_TEE_PARTIES_MAX + 1}, 0, 0},
        {{.parties = 2, .output = (enum ccz_psi_output)2}, 0, 0},
        {{.parties = 2}, CCZ_PSI_LEN_MAX + 1, 0},
        {{.parties = 2}, 0, -1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ccz_psi_tee_new(&t, &bad[i], &err) == CCZ_E_ARG && !t);
        CHECK(strcmp(err.where, "psi:config") == 0);
    }
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_from(&key, "fifteen bytes .", 15) == CCZ_OK);
    const uint64_t one = 1;
    struct ccz_psi_ids *ids = ids_of(&one, 1, NULL);
    struct ccz_chan *a, *b;
    struct ccz_psi_result *r;
    struct ccz_psi_tee_join_cfg cfg = {.terms = {.parties = 2}, .key = key};
    CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
    CHECK(ccz_psi_tee_join(&r, a, ids, &cfg, &err) == CCZ_E_ARG && !r);
    CHECK(strcmp(err.where, "psi:config") == 0 && ccz_chan_stats(a).sent_len == 0);
    CHECK(ccz_psi_tee_new(&t, &(struct ccz_psi_tee_cfg){.terms = {.parties = 2}}, NULL) == CCZ_OK);
    CHECK(ccz_psi_tee_serve(t, 2, b, &err) == CCZ_E_ARG && strcmp(err.where, "psi:tee-party") == 0);
    ccz_psi_tee_free(t);
    ccz_chan_free(a);
    ccz_chan_free(b);
    ccz_psi_ids_free(ids);
}

/* --------------------------------------------------------------------------- parties that cheat */

static void say_hello(struct member *m, uint64_t len, uint8_t nonce[32])
{
    struct cczi_tee_hello h = {.parties = 2, .len = len};
    uint8_t out[CCZI_TEE_HELLO_SIZE];
    static const uint8_t zero[32];
    uint8_t key[32];
    memcpy(h.prepared, m->ids->prepared, 32);
    cczi_tee_session(h.session, CCZ_SPAN(NULL, 0));
    cczi_psi_derive(key, "cczoo psi tee key", zero, CCZ_SPAN(NULL, 0));
    cczi_psi_derive(h.key, "cczoo psi tee key name", key, CCZ_SPAN(NULL, 0));
    cczi_tee_hello_put(out, &h);
    CHECK(ccz_chan_send(m->chan[1], CCZ_SPAN(out, sizeof(out)), NULL) == CCZ_OK);
    m->rc[1] = ccz_chan_recv_exact(nonce, 32, m->chan[1], NULL);
}

static void cheat_twice(struct member *m)
{
    uint8_t nonce[32], tags[5][16] = {{1}, {2}, {3}, {2}, {4}};
    say_hello(m, 5, nonce);
    CHECK(ccz_chan_send(m->chan[1], CCZ_SPAN(tags, sizeof(tags)), NULL) == CCZ_OK);
}

static void cheat_short(struct member *m)
{
    uint8_t nonce[32], tags[4][16] = {{1}, {2}, {3}, {4}};
    say_hello(m, 5, nonce);
    CHECK(ccz_chan_send(m->chan[1], CCZ_SPAN(tags, sizeof(tags)), NULL) == CCZ_OK);
}

static void cheat_leave(struct member *m)
{
    uint8_t nonce[32];
    say_hello(m, 5, nonce);
    ccz_chan_close(m->chan[1], "power failure");
}

static void cheat_garbage(struct member *m)
{
    uint8_t out[CCZI_TEE_HELLO_SIZE] = {0};
    CHECK(ccz_chan_send(m->chan[1], CCZ_SPAN(out, sizeof(out)), NULL) == CCZ_OK);
}

static void test_cheats(void)
{
    static const struct {
        void (*cheat)(struct member *m);
        const char *where;
    } cases[] = {{cheat_twice, "psi:tee-twice"},
                 {cheat_short, "chan:size"},
                 {cheat_leave, "chan:closed"},
                 {cheat_garbage, "psi:message"}};
    const struct ccz_psi_tee_cfg cfg = {.terms = {.parties = 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct member m[2] = {{0}, {.cheat = cases[i].cheat}};
        two(m, 20, 20);
        check_refused(m, &cfg, cases[i].where);
    }
}

/* A party that never comes; and one that comes twice. */
static void test_wait(void)
{
    const struct ccz_psi_tee_cfg cfg = {.terms = {.parties = 2}, .wait_ms = 100};
    struct ccz_psi_tee *t;
    struct member m[2] = {{0}, {0}};
    two(m, 20, 20);
    CHECK(ccz_psi_tee_new(&t, &cfg, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        m[i].tee = t;
        m[i].cfg.terms = cfg.terms;
        CHECK(ccz_chan_pair(&m[i].chan[0], &m[i].chan[1], NULL, NULL) == CCZ_OK);
    }
    CHECK(pthread_create(&m[0].thread[0], NULL, run_server, &m[0]) == 0);
    CHECK(pthread_create(&m[0].thread[1], NULL, run_member, &m[0]) == 0);
    while (ccz_chan_stats(m[0].chan[1]).received_len == 0)
        ;
    struct ccz_err err = {0};
    CHECK(ccz_psi_tee_serve(t, 0, m[1].chan[0], &err) == CCZ_E_ARG); /* number 0 again */
    CHECK(strcmp(err.where, "psi:tee-party") == 0);
    for (int k = 0; k < 2; k++)
        CHECK(pthread_join(m[0].thread[k], NULL) == 0);
    CHECK(m[0].rc[0] == CCZ_E_TIMEOUT && strcmp(m[0].err[0].where, "psi:tee-wait") == 0);
    CHECK(m[0].rc[1] == CCZ_E_CLOSED && strstr(m[0].err[1].msg, "psi:tee-wait"));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            ccz_chan_free(m[i].chan[k]);
    ccz_psi_tee_free(t);
    free_two(m);
}

/* ------------------------------------------------------------------------- a server that cheats */

struct lie {
    uint64_t len;
    uint32_t places[3];
    size_t message_size;
    const char *where;
    ccz_rc rc;
};

static void check_lie(const struct lie *lie)
{
    struct member m[1] = {{.cfg = {.terms = {.parties = 2}, .pad = true}}};
    uint64_t numbers[3] = {1, 2, 3};
    uint8_t in[4096], nonce[32] = {7}, tags[4][16], answer[CCZI_TEE_ANSWER_SIZE] = {CCZI_TEE_OK};
    m[0].ids = ids_of(numbers, 3, NULL); /* padded: 4 */
    CHECK(ccz_chan_pair(&m[0].chan[0], &m[0].chan[1], NULL, NULL) == CCZ_OK);
    CHECK(pthread_create(&m[0].thread[1], NULL, run_member, &m[0]) == 0);
    CHECK(ccz_chan_recv_exact(in, CCZI_TEE_HELLO_SIZE, m[0].chan[0], NULL) == CCZ_OK);
    CHECK(ccz_chan_send(m[0].chan[0], CCZ_SPAN(nonce, 32), NULL) == CCZ_OK);
    CHECK(ccz_chan_recv_exact(tags, sizeof(tags), m[0].chan[0], NULL) == CCZ_OK);
    memcpy(answer + 1, &lie->len, 8);
    CCZ_AUTO(ccz_hasher) h = NULL; /* a digest that goes with the places */
    CHECK(cczi_tee_digest_new(&h, nonce, NULL) == CCZ_OK);
    for (size_t i = 0; i < lie->len && i < 3; i++)
        CHECK(ccz_hasher_put(h, CCZ_SPAN(tags[lie->places[i] % 4], 16)) == CCZ_OK);
    CHECK(ccz_hasher_done(answer + 9, h) == CCZ_OK);
    if (lie->rc == CCZ_E_SIG)
        answer[9] ^= 1;
    CHECK(ccz_chan_send(m[0].chan[0], CCZ_SPAN(answer, lie->message_size), NULL) == CCZ_OK);
    if (lie->len <= 3) {
        ccz_rc rc = ccz_chan_send(m[0].chan[0], CCZ_SPAN(lie->places, 4 * lie->len), NULL);
        CHECK(rc == CCZ_OK || rc == CCZ_E_CLOSED);
    }
    CHECK(pthread_join(m[0].thread[1], NULL) == 0);
    CHECK(m[0].rc[1] == lie->rc);
    CHECK(lie->rc == CCZ_OK || strcmp(m[0].err[1].where, lie->where) == 0);
    for (int k = 0; k < 2; k++)
        ccz_chan_free(m[0].chan[k]);
    ccz_psi_ids_free((struct ccz_psi_ids *)m[0].ids);
    ccz_psi_result_free(m[0].result);
}

static void test_lies(void)
{
    static const struct lie lies[] = {
        {2, {1, 0, 0}, 41, NULL, CCZ_OK},
        {2, {1, 1, 0}, 41, "psi:matches", CCZ_E_PEER},  /* twice the same */
        {2, {1, 4, 0}, 41, "psi:matches", CCZ_E_PEER},  /* beyond the upload */
        {2, {1, 3, 0}, 41, "psi:matches", CCZ_E_PEER},  /* padding */
        {4, {0, 1, 2}, 41, "psi:matches", CCZ_E_PEER},  /* more than there are */
        {2, {1, 0, 0}, 40, "psi:matches", CCZ_E_PEER},  /* cut */
        {2, {1, 0, 0}, 1, "psi:matches", CCZ_E_PEER},   /* no number */
        {2, {0, 1, 0}, 41, "psi:alignment", CCZ_E_SIG}, /* another digest */
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        check_lie(&lies[i]);
}

static void test_hello(void)
{
    struct cczi_tee_hello h = {.output = 1, .parties = 7, .len = 77, .min_intersection = 9}, back;
    uint8_t wire[CCZI_TEE_HELLO_SIZE];
    memset(h.key, 5, 32);
    cczi_tee_hello_put(wire, &h);
    CHECK(cczi_tee_hello_get(&back, wire, NULL) == CCZ_OK && memcmp(&back, &h, sizeof(h)) == 0);
    struct ccz_err err = {0};
    static const struct {
        size_t at;
        const char *where;
    } bad[] = {{0, "psi:message"}, {3, "psi:version"}, {7, "psi:message"}};
    for (size_t i = 0; i < 3; i++) {
        wire[bad[i].at] ^= 1;
        CHECK(cczi_tee_hello_get(&back, wire, &err) != CCZ_OK &&
              strcmp(err.where, bad[i].where) == 0);
        wire[bad[i].at] ^= 1;
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"psi.tee_results", test_results},
                                            {"psi.tee_minimum", test_minimum},
                                            {"psi.tee_disagreement", test_disagreement},
                                            {"psi.tee_config", test_config},
                                            {"psi.tee_cheats", test_cheats},
                                            {"psi.tee_wait", test_wait},
                                            {"psi.tee_lies", test_lies},
                                            {"psi.tee_hello", test_hello}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
