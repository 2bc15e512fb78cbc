/* SPDX-License-Identifier: Apache-2.0 */
/* Parties of the silent engine that cheat from within: one thing is changed, every transcript agrees, and only the check made for
 * it can tell. The engine is included as source, with other names. */
#define _DEFAULT_SOURCE
#define cczi_silent_shape      own_silent_shape
#define cczi_silent_new        own_silent_new
#define cczi_silent_free       own_silent_free
#define cczi_silent_init       own_silent_init
#define cczi_silent_deinit     own_silent_deinit
#define cczi_silent_round      own_silent_round
#define cczi_silent_round_size own_silent_round_size
#include "ot/silent.c"

#include "kit.h"

enum { LOG = CCZ_OT_SILENT_LOG_MIN };

enum how { HONEST, LEVEL, LAST_LEVEL, ROOT, LEAF, OTHER_DELTA };
static enum how how;
static struct ccz_f128 *leaves_seen;
static size_t cheat_tree = 77;

/* round_send() with something else in a tree. */
static ccz_rc cheat_round(struct ccz_f128 *out, struct cczi_silent *m, struct cczi_soft *s)
{
    const unsigned depth = m->shape.lpn.depth;
    const struct ccz_f128 delta = s->delta;
    struct public_part r;
    draw_public(&r, s);
    for (size_t i = TREES; i-- > 0;) {
        struct ccz_f128 *msg = m->msg.at + i * (depth - 1);
        if (how == OTHER_DELTA && i == cheat_tree)
            s->delta.hi ^= 4;
        grow_tree(m->leaves.at + (i << depth), msg, i, m, &r, s);
        s->delta = delta;
        if (i != cheat_tree)
            continue;
        msg[3].hi ^= how == LEVEL;
        msg[depth - 2].lo ^= how == LAST_LEVEL ? 4 : 0;
        m->leaves.at[(i << depth) + 5].hi ^= how == LEAF;
    }
    for (size_t to = TREES, from; to > 0; to = from) {
        from = piece_before(to);
        CHECK(cczi_transcript_send(&s->t, "silent trees", piece_of(m, from, to), s->chan, NULL) ==
              CCZ_OK);
    }
    memcpy(leaves_seen, m->leaves.at, m->leaves.len * sizeof(*leaves_seen));
    ccz_rc rc = answer_check(m, s, NULL);
    if (rc == CCZ_OK)
        encode(out, m, &r, s);
    return rc;
}

static void *silent_sender(void *arg)
{
    struct party *p = arg;
    const struct ccz_f128 delta = {0xfedcba9876543211u, 0x123456789abcdef1u};
    struct cczi_silent *m;
    struct cczi_soft s;
    p->cfg.delta = &delta;
    CHECK(cczi_soft_init(&s, true, CCZI_OT_SILENT_STORE, LOG, p->chan, &p->cfg, NULL) == CCZ_OK);
    s.odd = true;
    CHECK(own_silent_new(&m, LOG, &s, NULL) == CCZ_OK);
    if (how == ROOT)
        m->base.at[cheat_tree * m->shape.lpn.depth].lo ^=
            8; /* another first node than the OT says */
    p->rc = cheat_round(p->x, m, &s);
    p->delta = delta;
    own_silent_free(m);
    cczi_soft_deinit(&s);
    return NULL;
}

static struct ccz_f128 *shares_seen;

static void *silent_receiver(void *arg)
{
    struct party *p = arg;
    struct cczi_silent *m;
    struct cczi_soft s;
    CHECK(cczi_soft_init(&s, false, CCZI_OT_SILENT_STORE, LOG, p->chan, &p->cfg, NULL) == CCZ_OK);
    s.odd = true;
    CHECK(own_silent_new(&m, LOG, &s, NULL) == CCZ_OK);
    /* round_recv(), with a look at the trees before the code spoils them */
    const struct ccz_f128 chi = {0x3141592653589793u, 4};
    struct public_part r;
    struct sums sum;
    draw_public(&r, &s);
    CHECK(recv_trees(&sum, chi, m, &r, &s, NULL) == CCZ_OK);
    memcpy(shares_seen, m->leaves.at, m->leaves.len * sizeof(*shares_seen));
    p->rc = check_and_encode(p->x, &sum, chi, m, &r, &s, &p->err);
    own_silent_free(m);
    cczi_soft_deinit(&s);
    return NULL;
}

/* w = v + e delta, one e in each tree, shown by the lowest bit. */
static void expect_shares(struct ccz_f128 delta)
{
    const struct cczi_silent_shape s = own_silent_shape(LOG);
    for (size_t i = 0; i < TREES; i++) {
        size_t noisy = 0;
        for (size_t j = i << s.lpn.depth; j < (i + 1) << s.lpn.depth; j++) {
            uint64_t e = shares_seen[j].lo & 1;
            struct ccz_f128 w = cczi_f128_add(leaves_seen[j], cczi_f128_and(delta, 0 - e));
            noisy += e;
            CHECK((leaves_seen[j].lo & 1) == 0);
            CHECK(w.lo == shares_seen[j].lo && w.hi == shares_seen[j].hi);
        }
        CHECK(noisy == 1);
    }
}

static ccz_rc run_silent(enum how cheat)
{
    const struct cczi_silent_shape shape = own_silent_shape(LOG);
    struct two t = two_new(shape.lpn.n);
    how = cheat;
    leaves_seen = elements(shape.lpn.noisy);
    shares_seen = elements(shape.lpn.noisy);
    two_run(&t, silent_sender, silent_receiver);
    ccz_rc rc = t.p[1].rc;
    if (rc == CCZ_OK && how != LEVEL && how != LAST_LEVEL)
        expect_shares(t.p[0].delta);
    if (rc != CCZ_OK)
        CHECK(rc == CCZ_E_PEER && strcmp(t.p[1].err.where, "ot:silent-check") == 0);
    free(leaves_seen);
    free(shares_seen);
    two_free(&t);
    return rc;
}

static void test_honest(void)
{
    CHECK(run_silent(HONEST) == CCZ_OK);
}

static void test_leaf(void)
{
    CHECK(run_silent(LEAF) == CCZ_E_PEER);
}

static void test_level(void)
{
    CHECK(run_silent(LEVEL) == CCZ_E_PEER);
    CHECK(run_silent(LAST_LEVEL) == CCZ_E_PEER);
}

static void test_delta(void)
{
    CHECK(run_silent(OTHER_DELTA) == CCZ_E_PEER);
}

static void test_root(void)
{
    CHECK(run_silent(ROOT) == CCZ_E_PEER);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ext_cheat.honest", test_honest}, {"ext_cheat.leaf", test_leaf},
        {"ext_cheat.level", test_level},   {"ext_cheat.delta", test_delta},
        {"ext_cheat.root", test_root},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
