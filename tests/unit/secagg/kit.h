/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SECAGG_KIT_H
#define CCZ_SECAGG_KIT_H
/* A whole round in one thread: server, members, their vectors, and who vanishes when. */
#include "ccz_test.h"
#include "test_rng.h"

#include "secagg/secagg_priv.h"

enum { KIT_MEMBERS = 40, KIT_LEN = 61, KIT_STAYS = 99 };

struct kit {
    struct ccz_secagg_cfg cfg;
    struct ccz_key *identity[KIT_MEMBERS];
    uint8_t roster[KIT_MEMBERS][CCZ_SECAGG_ID_SIZE];
    struct ccz_secagg_client *client[KIT_MEMBERS];
    struct ccz_secagg_server *server;
    uint32_t x[KIT_MEMBERS][KIT_LEN], sum[KIT_LEN];
    uint32_t leaves[KIT_MEMBERS]; /* phase in which a member says nothing any more */
    struct ccz_err err;
    ccz_rc rc; /* why the server gave up */
};

/* Numbers are made of `seed`; everything else of a round is secret and random, and must not matter. */
static inline struct kit *kit_new(uint32_t members, uint32_t degree, uint32_t threshold,
                                  bool attested, uint64_t seed)
{
    struct kit *k = calloc(1, sizeof(*k));
    CHECK(k && members <= KIT_MEMBERS);
    uint64_t state = seed * 77 + 1;
    k->cfg = (struct ccz_secagg_cfg){.members = members,
                                     .degree = degree,
                                     .threshold = threshold,
                                     .attested_server = attested,
                                     .len = KIT_LEN,
                                     .round = seed + 5,
                                     .session = {1, 2, 3}};
    for (uint32_t i = 0; i < members; i++) {
        for (uint32_t j = 0; j < KIT_LEN; j++)
            k->x[i][j] = (uint32_t)(rnd(&state) >> 32);
        k->leaves[i] = KIT_STAYS;
        if (attested)
            continue;
        CHECK(ccz_key_generate(&k->identity[i], CCZ_P256) == CCZ_OK);
        CHECK(ccz_key_xy(k->roster[i], k->identity[i]) == CCZ_OK);
    }
    return k;
}

static inline void kit_begin(struct kit *k)
{
    const uint8_t(*roster)[CCZ_SECAGG_ID_SIZE] =
        k->cfg.attested_server ? NULL : (const uint8_t(*)[CCZ_SECAGG_ID_SIZE])k->roster;
    CHECK(ccz_secagg_server_new(&k->server, &k->cfg, roster, NULL) == CCZ_OK);
    for (uint32_t i = 0; i < k->cfg.members; i++) {
        const struct ccz_secagg_client_cfg c = {k->cfg, i, k->identity[i], roster};
        CHECK(ccz_secagg_client_new(&k->client[i], &c, NULL) == CCZ_OK);
    }
}

static inline void kit_free(struct kit *k)
{
    ccz_secagg_server_free(k->server);
    for (uint32_t i = 0; i < k->cfg.members; i++) {
        ccz_secagg_client_free(k->client[i]);
        ccz_key_free(k->identity[i]);
    }
    free(k);
}

/* What the server has for a member now, and what the member answers (appended to `out`). */
static inline ccz_rc kit_answer(struct kit *k, struct ccz_buf *out, uint32_t member)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 1 << 20);
    if (ccz_secagg_server_phase(k->server) != CCZ_SECAGG_KEYS)
        CHECK(ccz_secagg_server_output(&msg, k->server, member, &k->err) == CCZ_OK);
    return ccz_secagg_client_step(out, k->client[member], ccz_buf_span(&msg), &k->err);
}

/* Masks and delivers, in two pieces. */
static inline void kit_deliver(struct kit *k, uint32_t member)
{
    uint32_t y[KIT_LEN];
    size_t first = 1 + member % (KIT_LEN - 1);
    memcpy(y, k->x[member], sizeof(y));
    CHECK(ccz_secagg_client_masking(k->client[member]));
    CHECK(ccz_secagg_client_mask(y, k->client[member], 0, first, &k->err) == CCZ_OK);
    CHECK(ccz_secagg_client_mask(y + first, k->client[member], first, KIT_LEN - first, &k->err) ==
          CCZ_OK);
    CHECK(!ccz_secagg_client_masking(k->client[member]));
    CHECK(memcmp(y, k->x[member], sizeof(y)) != 0);
    ccz_secagg_add(k->sum, y, KIT_LEN);
    CHECK(ccz_secagg_server_uploaded(k->server, member, &k->err) == CCZ_OK);
}

/* Everybody who is still there answers. */
static inline void kit_phase(struct kit *k)
{
    enum ccz_secagg_phase phase = ccz_secagg_server_phase(k->server);
    for (uint32_t i = 0; i < k->cfg.members; i++) {
        if (!ccz_secagg_server_waits(k->server, i) || k->leaves[i] <= phase)
            continue;
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 1 << 20);
        CHECK(kit_answer(k, &out, i) == CCZ_OK);
        if (phase == CCZ_SECAGG_INPUT)
            kit_deliver(k, i);
        else
            CHECK(ccz_secagg_server_input(k->server, i, ccz_buf_span(&out), &k->err) == CCZ_OK);
    }
}

/* Runs until the server is in `phase`, or has given up (k->rc). */
static inline bool kit_until(struct kit *k, enum ccz_secagg_phase phase)
{
    while (ccz_secagg_server_phase(k->server) < phase) {
        kit_phase(k);
        k->rc = ccz_secagg_server_next(k->server, &k->err);
        if (k->rc != CCZ_OK)
            return false;
    }
    return ccz_secagg_server_phase(k->server) == phase;
}

/* The sum that the server ends up with is that of those who delivered, exactly. */
static inline void kit_check_sum(struct kit *k)
{
    uint32_t want[KIT_LEN] = {0};
    for (uint32_t i = 0; i < k->cfg.members; i++)
        if (k->leaves[i] > CCZ_SECAGG_INPUT)
            ccz_secagg_add(want, k->x[i], KIT_LEN);
    CHECK(memcmp(want, k->sum, sizeof(want)) != 0); /* masked until now */
    CHECK(ccz_secagg_server_unmask(k->sum + 7, k->server, 7, KIT_LEN - 7, &k->err) == CCZ_OK);
    CHECK(ccz_secagg_server_unmask(k->sum, k->server, 0, 7, &k->err) == CCZ_OK);
    CHECK(memcmp(want, k->sum, sizeof(want)) == 0);
}

static inline void kit_refused(const struct kit *k, ccz_rc got, ccz_rc want, const char *where)
{
    if (got != want || strcmp(k->err.where, where) != 0)
        fprintf(stderr, "got %s %s (%s), expected %s %s\n", ccz_rc_name(got), k->err.where,
                k->err.msg, ccz_rc_name(want), where);
    CHECK(got == want && k->err.rc == want && strcmp(k->err.where, where) == 0);
    CHECK(k->err.msg[0]);
}
#endif
