/* SPDX-License-Identifier: Apache-2.0 */
/* Whole rounds: the sum is exact whoever vanishes, or the round is refused with the reason. */
#include "kit.h"

static void whole_round(uint32_t members, uint32_t degree, bool attested)
{
    struct kit *k = kit_new(members, degree, 0, attested, members);
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_UNMASK));
    struct ccz_secagg_stats st;
    ccz_secagg_server_stats(&st, k->server);
    CHECK(st.members == members && st.keys == members && st.shares == members &&
          st.inputs == members && st.reveals == members);
    CHECK(st.masks == members && st.wrong_shares == 0 && st.bytes_in > 0 && st.bytes_out > 0);
    CHECK(st.degree == (degree ? degree : members - 1));
    kit_check_sum(k);
    kit_free(k);
}

static void test_round(void)
{
    whole_round(3, 0, false);
    whole_round(4, 0, false);
    whole_round(9, 0, false);
    whole_round(3, 0, true);
    whole_round(12, 4, true);
    whole_round(KIT_MEMBERS, 12, true);
}

/* Who vanishes in each phase, in all of them, in the middle of an upload: masks of the vanished are opened. */
static void test_dropouts(void)
{
    for (uint32_t phase = 0; phase <= CCZ_SECAGG_REVEAL; phase++)
        for (int attested = 0; attested < 2; attested++) {
            struct kit *k = kit_new(10, 0, attested ? 5 : 6, attested, phase);
            k->leaves[2] = phase;
            k->leaves[9] = phase;
            kit_begin(k);
            CHECK(kit_until(k, CCZ_SECAGG_UNMASK));
            struct ccz_secagg_stats st;
            ccz_secagg_server_stats(&st, k->server);
            CHECK(st.inputs == (phase <= CCZ_SECAGG_INPUT ? 8 : 10));
            /* two vanished clients leave a mask with each of the eight that delivered */
            CHECK(st.masks == st.inputs + (phase == CCZ_SECAGG_INPUT ? 16 : 0));
            kit_check_sum(k);
            kit_free(k);
        }
}

/* Any pattern: exact, or refused for the reason that it should be. */
static void random_round(uint64_t seed, uint32_t *exact, uint32_t *given_up)
{
    uint64_t state = seed * 1000003 + 17;
    bool attested = rnd(&state) >> 63;
    uint32_t members = 3 + (uint32_t)(rnd(&state) >> 40) % 14;
    uint32_t degree = 0;
    if (attested && members > 6 && rnd(&state) >> 63)
        degree = 4 + 2 * ((uint32_t)(rnd(&state) >> 40) % ((members - 4) / 2));
    struct kit *k = kit_new(members, degree, 0, attested, seed);
    k->cfg.quorum = 2;
    uint32_t rate = (uint32_t)(rnd(&state) >> 40) % 30; /* percent that vanish */
    for (uint32_t i = 0; i < members; i++)
        if ((rnd(&state) >> 40) % 100 < rate)
            k->leaves[i] = (uint32_t)(rnd(&state) >> 40) % 5;
    kit_begin(k);
    if (kit_until(k, CCZ_SECAGG_UNMASK)) {
        struct ccz_secagg_stats st;
        ccz_secagg_server_stats(&st, k->server);
        uint32_t stay = 0;
        for (uint32_t i = 0; i < members; i++)
            stay += k->leaves[i] > CCZ_SECAGG_INPUT;
        if (st.inputs == stay) {
            kit_check_sum(k);
            ++*exact;
        }
    } else {
        CHECK(k->rc == CCZ_E_PEER);
        CHECK(strcmp(k->err.where, "secagg:few") == 0 ||
              strcmp(k->err.where, "secagg:shares") == 0);
        CHECK(ccz_secagg_server_phase(k->server) == CCZ_SECAGG_FAILED);
        uint32_t some;
        CHECK(ccz_secagg_server_unmask(&some, k->server, 0, 1, NULL) == CCZ_E_DENIED);
        uint32_t gone = 0;
        for (uint32_t i = 0; i < members; i++)
            gone += k->leaves[i] != KIT_STAYS;
        CHECK(gone > 0); /* never without a reason */
        ++*given_up;
    }
    kit_free(k);
}

static void test_random(void)
{
    uint32_t exact = 0, given_up = 0;
    for (uint64_t seed = 0; seed < 300; seed++)
        random_round(seed, &exact, &given_up);
    CHECK(exact > 150 && given_up > 5 && exact + given_up > 280);
}

/* Too few are left, in each phase. */
static void test_too_few(void)
{
    for (uint32_t phase = 0; phase <= CCZ_SECAGG_REVEAL; phase++)
        for (int attested = 0; attested < 2; attested++) {
            if (attested && phase == CCZ_SECAGG_AGREE)
                continue;
            struct kit *k = kit_new(9, 0, 6, attested, phase);
            for (uint32_t i = 0; i < 4; i++)
                k->leaves[2 * i] = phase;
            kit_begin(k);
            CHECK(!kit_until(k, CCZ_SECAGG_UNMASK));
            kit_refused(k, k->rc, CCZ_E_PEER,
                        phase == CCZ_SECAGG_REVEAL ? "secagg:shares" : "secagg:few");
            CHECK(ccz_secagg_server_phase(k->server) == CCZ_SECAGG_FAILED);
            k->rc = ccz_secagg_server_next(k->server, &k->err); /* and that is final */
            kit_refused(k, k->rc, CCZ_E_DENIED, "secagg:phase");
            kit_free(k);
        }
}

/* On a sparse graph, a client that has lost its neighbours is left out before it masks. */
static void test_lost_neighbours(void)
{
    struct kit *k = kit_new(20, 4, 4, true, 3); /* all four neighbours are needed */
    k->cfg.quorum = 2;
    k->leaves[5] = CCZ_SECAGG_SHARES;
    kit_begin(k);
    bool done = kit_until(k, CCZ_SECAGG_INPUT);
    struct ccz_secagg_stats st;
    ccz_secagg_server_stats(&st, k->server);
    CHECK(!done && st.shares == 0); /* one after the other: the ring unravels */
    kit_refused(k, k->rc, CCZ_E_PEER, "secagg:few");
    kit_free(k);

    k = kit_new(20, 6, 5, true, 4);
    k->leaves[5] = CCZ_SECAGG_SHARES;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_UNMASK));
    kit_check_sum(k);
    kit_free(k);
}

static void test_config(void)
{
    struct kit *k = kit_new(5, 0, 0, false, 1);
    const uint8_t(*roster)[CCZ_SECAGG_ID_SIZE] = (const uint8_t(*)[CCZ_SECAGG_ID_SIZE])k->roster;
    const struct {
        uint32_t members, degree, threshold, quorum;
        bool attested;
        uint64_t len;
        const char *where;
    } bad[] = {
        {2, 0, 0, 0, true, 5, "secagg:members"},
        {65536, 4, 0, 0, true, 5, "secagg:members"},
        {5, 0, 0, 0, true, 0, "secagg:len"},
        {5, 3, 0, 0, true, 5, "secagg:degree"},  /* odd */
        {5, 6, 0, 0, true, 5, "secagg:degree"},  /* more than there are */
        {5, 2, 0, 0, false, 5, "secagg:degree"}, /* with a roster */
        {5000, 0, 0, 0, true, 5, "secagg:degree"},
        {5, 4, 2, 0, true, 5, "secagg:threshold"}, /* two halves could open both */
        {5, 4, 5, 0, true, 5, "secagg:threshold"},
        {5, 0, 2, 0, false, 5, "secagg:threshold"},
        {5, 0, 5, 0, false, 5, "secagg:threshold"},
        {5, 0, 0, 1, true, 5, "secagg:quorum"},
        {5, 0, 0, 6, true, 5, "secagg:quorum"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct ccz_secagg_cfg c = {.members = bad[i].members,
                                         .degree = bad[i].degree,
                                         .threshold = bad[i].threshold,
                                         .quorum = bad[i].quorum,
                                         .attested_server = bad[i].attested,
                                         .len = bad[i].len};
        const struct ccz_secagg_client_cfg cc = {c, 0, bad[i].attested ? NULL : k->identity[0],
                                                 bad[i].attested ? NULL : roster};
        struct ccz_secagg_client *client;
        ccz_rc rc = ccz_secagg_client_new(&client, &cc, &k->err);
        kit_refused(k, rc, CCZ_E_ARG, bad[i].where);
        CHECK(!client);
        rc = ccz_secagg_server_new(&k->server, &c, cc.roster, &k->err);
        kit_refused(k, rc, CCZ_E_ARG, bad[i].where);
    }
    CHECK(!k->server);
    kit_free(k);
}

static void test_identities(void)
{
    struct kit *k = kit_new(5, 0, 0, false, 1);
    const uint8_t(*roster)[CCZ_SECAGG_ID_SIZE] = (const uint8_t(*)[CCZ_SECAGG_ID_SIZE])k->roster;
    struct ccz_secagg_client *c;
    CCZ_AUTO(ccz_key) p384 = NULL;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    struct ccz_secagg_client_cfg cfg = {k->cfg, 1, k->identity[1], NULL};
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:roster");
    cfg.roster = roster;
    cfg.self = 5;
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:self");
    cfg.self = 2; /* of member 1 */
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:identity");
    cfg.identity = NULL;
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:identity");
    cfg.identity = p384;
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:identity");
    cfg.identity = k->identity[2];
    memcpy(k->roster[4], k->roster[0], CCZ_SECAGG_ID_SIZE); /* one person, two places */
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:roster");
    cfg.round.attested_server = true; /* both kinds of trust at once */
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:roster");
    cfg.roster = NULL;
    kit_refused(k, ccz_secagg_client_new(&c, &cfg, &k->err), CCZ_E_ARG, "secagg:identity");
    CHECK(!c);
    kit_free(k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"secagg.round", test_round},
        {"secagg.dropouts", test_dropouts},
        {"secagg.random", test_random},
        {"secagg.too_few", test_too_few},
        {"secagg.lost_neighbours", test_lost_neighbours},
        {"secagg.config", test_config},
        {"secagg.identities", test_identities},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
