/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that all parties have: one and several followers, stored alignments, lies. */
#define _GNU_SOURCE
#include "temp_dir.h"
#include "vfl/kit.h"

enum { PARTIES_MAX = 4, ID_SIZE = 16 };

struct party {
    struct ccz_chan *chan;
    char (*id)[ID_SIZE];
    size_t len;
    struct ccz_psi_ids *ids;
    struct ccz_vfl_align_cfg cfg;
    struct ccz_vfl_rows *rows;
    ccz_rc rc;
    struct ccz_err err;
};

static struct ccz_secret *seal_of(uint8_t first)
{
    uint8_t seal[32] = {first};
    struct ccz_secret *s;
    CHECK(ccz_secret_from(&s, seal, 32) == CCZ_OK);
    return s;
}

/* Persons 0 .. people-1 with a chance to be a customer, each party in an order of its own. */
static void party_init(struct party *p, size_t people, double share, uint64_t seed)
{
    *p = (struct party){.cfg = {.kind = "train"}};
    size_t *order = calloc(people, sizeof(*order));
    struct ccz_span *spans = calloc(people, sizeof(*spans));
    p->id = calloc(people, sizeof(*p->id));
    CHECK(order && spans && p->id);
    for (size_t i = 0; i < people; i++) {
        size_t j = (size_t)(kit_uniform(&seed) * (double)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < people; i++)
        if (kit_uniform(&seed) < share) {
            (void)snprintf(p->id[p->len], ID_SIZE, "person-%zu", order[i]);
            spans[p->len] = ccz_span_str(p->id[p->len]);
            p->len++;
        }
    CHECK(ccz_psi_ids_new(&p->ids, spans, p->len, NULL, NULL) == CCZ_OK);
    free(order);
    free(spans);
}

static void party_free(struct party *p)
{
    ccz_vfl_rows_free(p->rows);
    ccz_psi_ids_free(p->ids);
    free(p->id);
}

static void *follow(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vfl_align_follow(&p->rows, p->chan, p->ids, &p->cfg, &p->err);
    ccz_chan_free(p->chan);
    return NULL;
}

/* Party 0 leads. */
static void play(struct party *p, size_t len)
{
    struct ccz_chan *here[PARTIES_MAX];
    pthread_t thread[PARTIES_MAX];
    for (size_t i = 0; i < len; i++) {
        ccz_vfl_rows_free(p[i].rows);
        p[i].rows = NULL;
    }
    for (size_t i = 1; i < len; i++) {
        CHECK(ccz_chan_pair(&here[i - 1], &p[i].chan, NULL, NULL) == CCZ_OK);
        CHECK(pthread_create(&thread[i], NULL, follow, &p[i]) == 0);
    }
    p[0].rc = ccz_vfl_align_lead(&p[0].rows, here, len - 1, p[0].ids, &p[0].cfg, &p[0].err);
    for (size_t i = 1; i < len; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
        ccz_chan_free(here[i - 1]);
    }
}

static size_t common(const struct party *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < p[0].len; i++) {
        bool all = true;
        for (size_t k = 1; all && k < len; k++) {
            all = false;
            for (size_t j = 0; j < p[k].len; j++)
                all |= strcmp(p[k].id[j], p[0].id[i]) == 0;
        }
        n += all;
    }
    return n;
}

static void check_rows(const struct party *p, size_t len)
{
    size_t n = common(p, len);
    for (size_t k = 0; k < len; k++) {
        if (p[k].rc != CCZ_OK)
            fprintf(stderr, "%zu: %s: %s\n", k, p[k].err.where, p[k].err.msg);
        CHECK(p[k].rc == CCZ_OK && p[k].rows->len == n);
        CHECK(memcmp(p[k].rows->digest, p[0].rows->digest, 32) == 0);
        for (size_t i = 0; i < n; i++)
            CHECK(p[k].rows->row[i] < p[k].len &&
                  strcmp(p[k].id[p[k].rows->row[i]], p[0].id[p[0].rows->row[i]]) == 0);
    }
}

static void aligns(void)
{
    for (size_t len = 2; len <= PARTIES_MAX; len++) {
        struct party p[PARTIES_MAX];
        for (size_t i = 0; i < len; i++)
            party_init(&p[i], 400, 0.8, 10 + i);
        play(p, len);
        check_rows(p, len);
        CHECK(p[0].rows->len > 100 && !p[0].rows->stored);
        for (size_t i = 0; i < len; i++)
            party_free(&p[i]);
    }
}

/* What is stored is used again as long as all have the same; else the rows are found anew. */
static void stored(void)
{
    struct party p[3];
    struct ccz_secret *seal = seal_of(1), *other = seal_of(2);
    uint8_t digest[32];
    static const char *const names[] = {"a", "b", "c"};
    temp_setup();
    for (size_t i = 0; i < 3; i++) {
        party_init(&p[i], 200, 0.8, 20 + i);
        p[i].cfg.stored = temp_path(names[i]);
        p[i].cfg.seal = seal;
    }
    play(p, 3);
    check_rows(p, 3);
    memcpy(digest, p[0].rows->digest, 32);
    play(p, 3);
    check_rows(p, 3);
    for (size_t i = 0; i < 3; i++)
        CHECK(p[i].rows->stored && memcmp(p[i].rows->digest, digest, 32) == 0);
    CHECK(remove(p[1].cfg.stored) == 0); /* one has lost it */
    play(p, 3);
    check_rows(p, 3);
    for (size_t i = 0; i < 3; i++)
        CHECK(!p[i].rows->stored && memcmp(p[i].rows->digest, digest, 32) != 0);
    p[0].cfg.kind = "test"; /* another kind does not take it */
    play(p, 2);
    CHECK(p[0].rc == CCZ_E_SIG && WHERE(p[0].err, "pf:path") && !p[0].rows);
    CHECK(p[1].rc == CCZ_E_CLOSED && strstr(p[1].err.msg, "pf:path"));
    p[0].cfg.kind = "train";
    p[0].cfg.seal = other;
    play(p, 2);
    CHECK(p[0].rc == CCZ_E_SIG);
    p[0].cfg.seal = NULL;
    play(p, 2);
    CHECK(p[0].rc == CCZ_E_ARG && WHERE(p[0].err, "vfl:align-config"));
    for (size_t i = 0; i < 3; i++)
        party_free(&p[i]);
    ccz_secret_free(seal);
    ccz_secret_free(other);
}

static void empty(void)
{
    struct party p[2];
    party_init(&p[0], 20, 1, 1);
    party_init(&p[1], 20, 1, 2);
    struct ccz_span none = ccz_span_str("nobody");
    ccz_psi_ids_free(p[1].ids);
    CHECK(ccz_psi_ids_new(&p[1].ids, &none, 1, NULL, NULL) == CCZ_OK);
    play(p, 2);
    CHECK(p[0].rc == CCZ_E_NOT_FOUND && WHERE(p[0].err, "vfl:align-empty") && !p[0].rows);
    CHECK(p[1].rc == CCZ_E_NOT_FOUND || p[1].rc == CCZ_E_CLOSED);
    for (size_t i = 0; i < 2; i++)
        party_free(&p[i]);
}

/* A leader that sends lists that cannot be. */
static void refuses_lists(void)
{
    for (int what = 0; what < 5; what++) {
        struct party p[2];
        struct ccz_chan *here;
        struct ccz_psi_result *pair;
        pthread_t thread;
        uint8_t offer[40] = "CCZVoffr", got[40], list[40 + 16 + 4] = "CCZVrows";
        const struct ccz_psi_cfg psi = {
            .role = CCZ_PSI_RECEIVER, .learns = CCZ_PSI_BOTH, .session = ccz_span_str("train")};
        party_init(&p[0], 50, 1, 1);
        party_init(&p[1], 50, 1, 2);
        CHECK(ccz_chan_pair(&here, &p[1].chan, NULL, NULL) == CCZ_OK);
        CHECK(pthread_create(&thread, NULL, follow, &p[1]) == 0);
        CHECK(ccz_chan_send(here, CCZ_SPAN(offer, 40), NULL) == CCZ_OK);
        CHECK(ccz_chan_recv_exact(got, 40, here, NULL) == CCZ_OK);
        /* 4: the follower has none stored */
        CHECK(ccz_chan_send(here, ccz_span_str(what == 4 ? "CCZVkeep" : "CCZVfind"), NULL) ==
              CCZ_OK);
        if (what < 4) {
            CHECK(ccz_psi_run(&pair, here, p[0].ids, &psi, NULL) == CCZ_OK);
            list[40] = 3;
            list[48] = what == 0 ? 3 : what == 1 ? 50 : 4; /* twice; out of range */
            list[0] = what == 2 ? 'X' : 'C';
            CHECK(ccz_chan_send(here, CCZ_SPAN(list, what == 3 ? 60 : 56), NULL) == CCZ_OK);
            ccz_psi_result_free(pair);
        }
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(p[1].rc == CCZ_E_PEER && WHERE(p[1].err, "vfl:align") && !p[1].rows);
        ccz_chan_free(here);
        party_free(&p[0]);
        party_free(&p[1]);
    }
}

static const struct ccz_test tests[] = {{"vfl.aligns", aligns},
                                        {"vfl.align_stored", stored},
                                        {"vfl.align_empty", empty},
                                        {"vfl.align_refuses", refuses_lists}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
