/* SPDX-License-Identifier: Apache-2.0 */
/* VOLE: every output of many lengths, what it costs, and peers that disagree, cheat, break or vanish. */
#define _DEFAULT_SOURCE
#include "kit.h"

enum { SILENT = CCZ_VOLE_SILENT_LEN + 1, SHORT = 77 };

static void run(size_t len, unsigned k)
{
    struct two t = two_new(len);
    t.p[0].cfg.k = t.p[1].cfg.k = k;
    two_run(&t, vole_sender, vole_receiver);
    expect_vole(&t);
    struct ccz_chan_stats st = ccz_chan_stats(t.p[0].chan);
    CHECK(st.sent_size + st.received_size == ccz_vole_size(len, k));
    two_free(&t);
}

static void test_sizes(void)
{
    static const size_t lens[] = {1,     2,     3,     127,    128,    129,    4095,   4096,  4097,
                                  8190,  8191,  8192,  8193,   10007,  16383,  16384,  16385, 65535,
                                  65536, 65537, 99999, 131071, 131072, 262145, 1000000};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
        run(lens[i], 0);
    for (unsigned k = 1; k <= 8; k *= 2) {
        run(SHORT, k);
        run(SILENT, k);
    }
}

/* The promise of the header: bytes grow with the logarithm. */
static void test_bytes(void)
{
    CHECK(ccz_vole_size(1360000, 0) <= 700000);
    CHECK(ccz_vole_size(1360000, 8) <= 500000);
    CHECK(ccz_vole_size(CCZ_VOLE_LEN_MAX, 0) <= 2 * ccz_vole_size(1360000, 0));
    CHECK(ccz_vole_size(1, 0) < 20000);
}

static void test_arguments(void)
{
    static const struct ccz_f128 zero;
    struct two t = two_new(4);
    struct ccz_err err;
    CHECK(ccz_vole_send(&t.p[0].delta, t.p[0].y, 0, t.p[0].chan, &t.p[0].cfg, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "vole:len") == 0);
    CHECK(ccz_vole_recv(t.p[1].x, t.p[1].y, CCZ_VOLE_LEN_MAX + 1, t.p[1].chan, &t.p[1].cfg, &err) ==
          CCZ_E_ARG);
    CHECK(strcmp(err.where, "vole:len") == 0);
    t.p[0].cfg.k = 3;
    vole_sender(&t.p[0]);
    expect_refused(&t.p[0], true, CCZ_E_ARG, "ot:k");
    t.p[0].cfg = (struct ccz_ot_cfg){.delta = &zero};
    vole_sender(&t.p[0]);
    expect_refused(&t.p[0], true, CCZ_E_ARG, "ot:delta");
    two_free(&t);
}

static int bits_of(const struct ccz_f128 *a, size_t len)
{
    int n = 0;
    for (size_t i = 0; i < len; i++)
        n += __builtin_popcountll(a[i].lo) + __builtin_popcountll(a[i].hi);
    return n;
}

/* Fixed delta; two runs of one configuration have nothing in common; a and b look random. */
static void test_fresh(void)
{
    const struct ccz_f128 delta = {5, 1};
    for (size_t len = SHORT; len <= SILENT; len += SILENT - SHORT) {
        struct two t = two_new(len), u = two_new(len);
        t.p[0].cfg.delta = u.p[0].cfg.delta = &delta;
        two_run(&t, vole_sender, vole_receiver);
        two_run(&u, vole_sender, vole_receiver);
        expect_vole(&t);
        expect_vole(&u);
        CHECK(t.p[0].delta.lo == 5 && t.p[0].delta.hi == 1);
        for (size_t i = 0; i < len; i++) {
            CHECK(t.p[1].x[i].lo != u.p[1].x[i].lo && t.p[0].y[i].lo != u.p[0].y[i].lo);
            CHECK(i == 0 || t.p[1].x[i].lo != t.p[1].x[i - 1].lo);
        }
        const struct ccz_f128 *const seen[] = {t.p[1].x, t.p[0].y};
        for (int i = 0; i < 2; i++) { /* six standard deviations */
            double ones = bits_of(seen[i], len), all = 128.0 * (double)len;
            CHECK((2 * ones - all) * (2 * ones - all) < 36 * all);
        }
        two_free(&t);
        two_free(&u);
    }
}

/* ------------------------------------------------------------------------------- disagreement */

static void refuse_hello(const struct two *t)
{
    for (int i = 0; i < 2; i++)
        expect_refused(&t->p[i], i == 0, CCZ_E_PEER, "ot:hello");
    CHECK(strcmp(t->p[0].err.got, t->p[1].err.expected) == 0 || t->p[0].err.got[0] == 'r');
}

static void *vole_sender_again(void *arg)
{
    return vole_sender(arg);
}

static void test_disagree(void)
{
    struct two t = two_new(SHORT);
    t.p[1].cfg.session[7] = 1;
    two_run(&t, vole_sender, vole_receiver);
    refuse_hello(&t);
    two_free(&t);
    t = two_new(SHORT);
    t.p[1].cfg.k = 8;
    two_run(&t, vole_sender, vole_receiver);
    refuse_hello(&t);
    CHECK(strcmp(t.p[0].err.got, "k 8") == 0 && strcmp(t.p[0].err.expected, "k 4") == 0);
    two_free(&t);
    t = two_new(SHORT);
    t.p[1].len--;
    two_run(&t, vole_sender, vole_receiver);
    refuse_hello(&t);
    CHECK(strcmp(t.p[0].err.got, "length 76") == 0);
    two_free(&t);
    t = two_new(SHORT); /* both send */
    two_run(&t, vole_sender, vole_sender_again);
    for (int i = 0; i < 2; i++)
        expect_refused(&t.p[i], true, CCZ_E_PEER, "ot:hello");
    two_free(&t);
}

static void hello_version(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == 1)
        msg[7]++;
}

static void hello_kind(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == 1)
        msg[9] = 1;
}

static void hello_reserved(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == 1)
        msg[14] = 1;
}

static void test_hello(void)
{
    static const edit_fn edits[] = {hello_version, hello_kind, hello_reserved};
    for (size_t i = 0; i < 3; i++) {
        struct two t = two_new(SHORT);
        t.p[0].chan = edited_new(t.p[0].chan, edits[i]);
        two_run(&t, vole_sender, vole_receiver);
        expect_refused(&t.p[1], false, CCZ_E_PEER, "ot:hello");
        CHECK(t.p[0].rc == CCZ_E_CLOSED);
        two_free(&t);
    }
}

/* ------------------------------------------------------------------------------------ cheating */

/* A sender whose nibbles of delta are all set: no correction is ignored. */
static const struct ccz_f128 all_set = {0x1f2f3f4f5f6f7f8fu, 0x1121314151617181u};

/* Runs with one of them (0: the sender) cheating by `edit`. */
static struct two cheat(size_t len, int who, edit_fn edit)
{
    struct two t = two_new(len);
    t.p[0].cfg.delta = &all_set;
    t.p[who].chan = edited_new(t.p[who].chan, edit);
    two_run(&t, vole_sender, vole_receiver);
    return t;
}

static void expect_caught(size_t len, int who, edit_fn edit, const char *where)
{
    struct two t = cheat(len, who, edit);
    expect_refused(&t.p[1 - who], who == 1, CCZ_E_PEER, where);
    two_free(&t);
}

static void bad_points(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == 2 && size == (size_t)64 * 128)
        memset(msg + (size_t)32 * 77, 0xff, 32);
}

static void identity_answer(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == 2)
        memset(msg, 0, size);
}

static void bad_answer(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == 2)
        msg[31] ^= 0x80;
}

static void test_points(void)
{
    expect_caught(SHORT, 0, bad_points, "ot:point");
    expect_caught(SHORT, 1, identity_answer, "ot:point");
    expect_caught(SHORT, 1, bad_answer, "ot:point");
}

enum { TREES = 3, CORRECTIONS = 4, TAU = 4, CHALLENGE = 5, SUMS = 8 };

/* Both sums of a level of the third group: whichever the sender needs is wrong. */
static void tree_sums(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == TREES) {
        msg[16 * (2 * SUMS + 2)] ^= 1;
        msg[16 * (2 * SUMS + 3)] ^= 1;
    }
}

static void tree_tags(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == TREES)
        msg[16 * (5 * SUMS + SUMS - 1)] ^= 4;
}

static void tree_digest(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == TREES)
        msg[size - 1] ^= 1;
}

static void test_trees(void)
{
    expect_caught(SHORT, 1, tree_sums, "ot:tree-check");
    expect_caught(SHORT, 1, tree_tags, "ot:tree-check");
    expect_caught(SHORT, 1, tree_digest, "ot:tree-check");
}

static void opened_sum(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == CORRECTIONS)
        msg[size - 20] ^= 1;
}

static void test_corrections(void)
{
    expect_caught(SHORT, 1, opened_sum, "ot:consistency");
}

static void tau(uint8_t *msg, size_t size, uint64_t n)
{
    (void)size;
    if (n == TAU)
        msg[31] ^= 1;
}

static void challenge(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == CHALLENGE)
        msg[size - 1] ^= 1;
}

static void test_noise(void)
{
    expect_caught(SILENT, 0, tau, "vole:check");
    /* a receiver that blinds wrongly gets nothing that it could compare with */
    struct two t = cheat(SILENT, 1, challenge);
    expect_refused(&t.p[1], false, CCZ_E_PEER, "vole:check");
    two_free(&t);
}

/* ------------------------------------------------------------------------- broken transport */

/* Each message short by a byte, and a peer that is gone after it. */
static void test_broken(void)
{
    static const uint64_t sent[2] = {4, 5};
    for (int who = 0; who < 2; who++)
        for (uint64_t n = 1; n <= sent[who]; n++) {
            struct two t = two_new(SILENT);
            CHECK(ccz_chan_fault_new(&t.p[who].chan, t.p[who].chan,
                                     &(struct ccz_chan_fault_cfg){.send_shorten = n},
                                     NULL) == CCZ_OK);
            two_run(&t, vole_sender, vole_receiver);
            expect_refused(&t.p[1 - who], who == 1, CCZ_E_PEER, "chan:size");
            two_free(&t);
            t = two_new(SILENT);
            CHECK(ccz_chan_fault_new(&t.p[who].chan, t.p[who].chan,
                                     &(struct ccz_chan_fault_cfg){
                                         .send_cut_after = n - 1 ? n - 1 : 0, .send_flip = n == 1},
                                     NULL) == CCZ_OK);
            two_run(&t, vole_sender, vole_receiver);
            CHECK(t.p[1 - who].rc == (n == 1 ? CCZ_E_PEER : CCZ_E_CLOSED));
            CHECK(is_zero(t.p[1 - who].y, SILENT));
            two_free(&t);
        }
}

/* A message again, or of another run: refused by size or check, never accepted. */
static void test_replayed(void)
{
    for (int who = 0; who < 2; who++)
        for (uint64_t n = 1; n <= 4; n++) {
            struct two t = two_new(SILENT);
            CHECK(ccz_chan_fault_new(&t.p[who].chan, t.p[who].chan,
                                     &(struct ccz_chan_fault_cfg){.send_repeat = n},
                                     NULL) == CCZ_OK);
            two_run(&t, vole_sender, vole_receiver);
            if (who != 0 || n != 4) /* the last one is left in the channel */
                CHECK(t.p[1 - who].rc != CCZ_OK && is_zero(t.p[1 - who].y, SILENT));
            two_free(&t);
        }
}

static uint8_t stolen[1 << 20];
static size_t stolen_size;

static void steal(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == CORRECTIONS) {
        CHECK(size <= sizeof(stolen));
        memcpy(stolen, msg, size);
        stolen_size = size;
    }
}

static void put_stolen(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == CORRECTIONS) {
        CHECK(size == stolen_size);
        memcpy(msg, stolen, size);
    }
}

static void test_other_session(void)
{
    struct two t = cheat(SHORT, 1, steal);
    expect_vole(&t);
    two_free(&t);
    expect_caught(SHORT, 1, put_stolen, "ot:consistency");
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"vole.sizes", test_sizes},
        {"vole.bytes", test_bytes},
        {"vole.arguments", test_arguments},
        {"vole.fresh", test_fresh},
        {"vole.disagree", test_disagree},
        {"vole.hello", test_hello},
        {"vole.points", test_points},
        {"vole.trees", test_trees},
        {"vole.corrections", test_corrections},
        {"vole.noise", test_noise},
        {"vole.broken", test_broken},
        {"vole.replayed", test_replayed},
        {"vole.other_session", test_other_session},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
