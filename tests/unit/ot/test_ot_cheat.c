/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that cheat from within: they run the protocol with one thing changed, so that every transcript agrees and only the check
 * made for it can tell. The trees of silent VOLE are included as source, with other names. */
#define _DEFAULT_SOURCE
#define cczi_spvole_send own_spvole_send
#define cczi_spvole_recv own_spvole_recv
#define cczi_spvole_size own_spvole_size
#include "ot/spvole.c"

#undef cczi_spvole_send
#undef cczi_spvole_recv
#undef cczi_spvole_size
#include "kit.h"

ccz_rc cczi_spvole_recv(struct ccz_f128 (*out)[2], const struct cczi_lpn *p, uint8_t code_seed[32],
                        struct cczi_soft *s, struct ccz_err *err);

static bool same(struct ccz_f128 a, struct ccz_f128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

enum { BLOCKS = 70, ROWS = 5 * 128 + 3, LEN = 8192 };

/* ----------------------------------------------------------------- receivers: corrections */

/* The receiver takes another stream x for group `group`: right if delta's part is x, else another w there. */
static struct {
    size_t group, x;
    bool cheats;
    struct ccz_f128 w[BLOCKS];
} plan;

static void *soft_sender(void *arg)
{
    struct party *p = arg;
    struct cczi_soft s;
    p->rc = cczi_soft_init(&s, true, CCZI_OT_EXTENSION, 0, p->chan, &p->cfg, &p->err);
    CHECK(p->rc == CCZ_OK);
    p->delta = s.delta;
    p->rc = cczi_soft_send(p->x, ROWS, p->y, BLOCKS, &s, &p->err);
    if (p->rc != CCZ_OK) { /* who was caught does not get another guess */
        struct ccz_err err = {0};
        CHECK(cczi_soft_send(p->x, ROWS, p->y, BLOCKS, &s, &err) == p->rc);
        CHECK(strcmp(err.where, "ot:unusable") == 0);
    }
    cczi_soft_deinit(&s);
    return NULL;
}

static void *soft_receiver(void *arg)
{
    struct party *p = arg;
    struct cczi_soft s;
    p->rc = cczi_soft_init(&s, false, CCZI_OT_EXTENSION, 0, p->chan, &p->cfg, &p->err);
    CHECK(p->rc == CCZ_OK);
    if (plan.cheats)
        s.keys[plan.group * 16 + plan.x].round[10][3] ^= 1;
    p->rc = cczi_soft_recv(p->x, ROWS, p->y, plan.w, BLOCKS, &s, &p->err);
    CHECK(p->rc == CCZ_OK);
    cczi_soft_deinit(&s);
    return NULL;
}

static struct two run_soft(const struct ccz_f128 *delta)
{
    struct two t = two_new((size_t)ROWS + BLOCKS);
    t.p[0].cfg.delta = delta;
    two_run(&t, soft_sender, soft_receiver);
    return t;
}

static void expect_related(const struct two *t)
{
    const struct party *s = &t->p[0], *r = &t->p[1];
    CHECK(s->rc == CCZ_OK);
    for (size_t i = 0; i < BLOCKS; i++) {
        struct ccz_f128 v = cczi_f128_add(s->y[i], ccz_f128_mul(plan.w[i], s->delta));
        CHECK(same(v, r->y[i]));
    }
    for (size_t i = 0; i < ROWS; i++) {
        struct ccz_f128 w = plan.w[i / 128];
        uint64_t bit = (i % 128 < 64 ? w.lo : w.hi) >> i % 64 & 1;
        struct ccz_f128 v = cczi_f128_add(s->x[i], cczi_f128_and(s->delta, 0 - bit));
        CHECK(same(v, r->x[i]));
    }
}

static void choose_w(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        plan.w[i] =
            ccz_f128_mul((struct ccz_f128){i * i + 3, i + 1}, (struct ccz_f128){99, 77 + i});
}

/* Nibbles 1, 2, .. 15 and so on. */
static const struct ccz_f128 delta = {0xfedcba987654321fu, 0x123456789abcdef1u};

static uint64_t nibble(size_t group)
{
    return (group < 16 ? delta.lo : delta.hi) >> 4 * (group % 16) & 15;
}

static void test_corrections(void)
{
    choose_w();
    plan.cheats = false;
    struct two t = run_soft(&delta);
    expect_related(&t);
    two_free(&t);
    plan.cheats = true;
    plan.x = 0; /* never right: no nibble is 0 */
    for (plan.group = 0; plan.group < 32; plan.group += 7) {
        t = run_soft(&delta);
        CHECK(t.p[0].rc == CCZ_E_PEER && strcmp(t.p[0].err.where, "ot:consistency") == 0);
        two_free(&t);
    }
}

/* Every x but the right one is noticed: the check leaks exactly that. */
static void test_lucky_guess(void)
{
    choose_w();
    plan.cheats = true;
    plan.group = 11;
    for (plan.x = 0; plan.x < 16; plan.x++) {
        struct two t = run_soft(&delta);
        if (plan.x == nibble(plan.group))
            expect_related(&t);
        else
            CHECK(t.p[0].rc == CCZ_E_PEER && strcmp(t.p[0].err.where, "ot:consistency") == 0);
        two_free(&t);
    }
}

/* ------------------------------------------------------------------------ senders: trees */

enum how { HONEST, LEVELS, LEAF, ONE_SIDE };
static enum how how;
static struct ccz_f128 *v_seen;

/* send_trees() with something else in the message. */
static ccz_rc cheat_trees(struct ccz_f128 *v, const struct cczi_lpn *p, struct seeds *x,
                          struct cczi_soft *s, struct ccz_err *err)
{
    for (size_t i = 0; i < p->t; i++) {
        struct ccz_f128 *msg = x->msg.at + i * (2 * p->depth + 1);
        grow_tree(v + (i << p->depth), msg, (struct ccz_f128){i, 5}, i, p, x);
        hide_sums(msg, i, p, x, s);
        if (how == LEVELS && i == 77)
            msg[2].hi ^= 1, msg[3].hi ^= 1;
        if (how == LEAF && i == 3)
            msg[2 * p->depth].lo ^= 1;
        if (how == ONE_SIDE && i == 100)
            msg[4].lo ^= 2;
    }
    struct ccz_span all = CCZ_SPAN(x->msg.at, x->msg.len * sizeof(*x->msg.at));
    cczi_transcript_put(&s->t, "noise trees", all);
    return ccz_chan_send(s->chan, all, err);
}

static void *tree_sender(void *arg)
{
    struct party *party = arg;
    struct cczi_soft s;
    struct seeds x;
    uint8_t seed[32];
    const struct cczi_lpn p = cczi_lpn_for(LEN);
    CHECK(cczi_soft_init(&s, true, CCZI_OT_VOLE, LEN, party->chan, &party->cfg, NULL) == CCZ_OK);
    CHECK(seeds_init(&x, &p, true, NULL) == CCZ_OK);
    CHECK(cczi_soft_send(x.rows.at, x.ots, x.comb.at, x.blocks, &s, NULL) == CCZ_OK);
    draw_public(&x, seed, &s);
    CHECK(cheat_trees(v_seen, &p, &x, &s, NULL) == CCZ_OK);
    CHECK(answer_check(v_seen, &p, &x, &s, NULL) == CCZ_OK);
    party->delta = s.delta;
    seeds_deinit(&x);
    cczi_soft_deinit(&s);
    return NULL;
}

static void *tree_receiver(void *arg)
{
    struct party *party = arg;
    struct cczi_soft s;
    uint8_t seed[32];
    const struct cczi_lpn p = cczi_lpn_for(LEN);
    CHECK(cczi_soft_init(&s, false, CCZI_OT_VOLE, LEN, party->chan, &party->cfg, NULL) == CCZ_OK);
    party->rc =
        cczi_spvole_recv((struct ccz_f128(*)[2])(void *)party->x, &p, seed, &s, &party->err);
    cczi_soft_deinit(&s);
    return NULL;
}

/* w = v + e delta, one e in each tree. */
static void expect_shares(const struct two *t)
{
    const struct cczi_lpn p = cczi_lpn_for(LEN);
    CHECK(t->p[1].rc == CCZ_OK);
    for (size_t i = 0; i < p.t; i++) {
        size_t noisy = 0;
        for (size_t j = i << p.depth; j < (i + 1) << p.depth; j++) {
            struct ccz_f128 e = t->p[1].x[2 * j], w = t->p[1].x[2 * j + 1];
            noisy += (e.lo | e.hi) != 0;
            struct ccz_f128 sum = cczi_f128_add(v_seen[j], ccz_f128_mul(e, t->p[0].delta));
            CHECK(same(sum, w));
        }
        CHECK(noisy == 1);
    }
}

static ccz_rc run_trees(enum how cheat)
{
    struct two t = two_new((size_t)4 * LEN);
    how = cheat;
    v_seen = elements((size_t)4 * LEN);
    two_run(&t, tree_sender, tree_receiver);
    ccz_rc rc = t.p[1].rc;
    if (rc == CCZ_OK)
        expect_shares(&t);
    else
        CHECK(rc == CCZ_E_PEER && strcmp(t.p[1].err.where, "vole:check") == 0);
    free(v_seen);
    two_free(&t);
    return rc;
}

static void test_levels(void)
{
    CHECK(run_trees(HONEST) == CCZ_OK);
    CHECK(run_trees(LEVELS) == CCZ_E_PEER);
}

static void test_leaf(void)
{
    CHECK(run_trees(LEAF) == CCZ_E_PEER);
}

/* A sum that is wrong on one side: noticed half of the time, else harmless. That is the bit a cheating sender may gain. */
static void test_one_side(void)
{
    int caught = 0, all = 40;
    for (int i = 0; i < all; i++)
        caught += run_trees(ONE_SIDE) != CCZ_OK;
    CHECK(caught > 0 && caught < all); /* wrong once in 2^39 */
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"cheat.corrections", test_corrections}, {"cheat.lucky_guess", test_lucky_guess},
        {"cheat.levels", test_levels},           {"cheat.leaf", test_leaf},
        {"cheat.one_side", test_one_side},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
