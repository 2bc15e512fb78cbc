/* SPDX-License-Identifier: Apache-2.0 */
/* ECDH and unbalanced runs: results against a merge, hidden rows, peers that send what is no point. */
#define _GNU_SOURCE
#include "parties.h"

#include <cczoo/ristretto.h>

/* Ids drawn below a range without repetition: numbers[i] of side i, ascending steps of 1 to 3. */
static uint64_t *draw(size_t len, uint64_t *seed)
{
    uint64_t *n = malloc(len * sizeof(*n) + 1), at = 0;
    CHECK(n);
    for (size_t i = 0; i < len; i++)
        n[i] = at += 1 + rnd(seed) % 3;
    for (size_t i = len; i > 1; i--) {
        size_t k = rnd(seed) % i;
        uint64_t t = n[i - 1];
        n[i - 1] = n[k];
        n[k] = t;
    }
    return n;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static size_t common(const uint64_t *a, size_t na, const uint64_t *b, size_t nb)
{
    uint64_t *s = malloc((na + nb) * sizeof(*s) + 1);
    size_t n = 0;
    CHECK(s);
    if (na > 0)
        memcpy(s, a, na * sizeof(*s));
    if (nb > 0)
        memcpy(s + na, b, nb * sizeof(*s));
    qsort(s, na + nb, sizeof(*s), ascending);
    for (size_t i = 1; i < na + nb; i++)
        n += s[i] == s[i - 1];
    free(s);
    return n;
}

static const uint8_t zero[32];

/* 0 .. len - 1. */
static void count_to(uint64_t *numbers, size_t len)
{
    for (size_t i = 0; i < len; i++)
        numbers[i] = i;
}

static void check_results(const struct party p[2], uint64_t *const numbers[2], size_t expected)
{
    const struct ccz_psi_result *s = p[0].result, *r = p[1].result;
    bool rows = p[1].cfg.output == CCZ_PSI_ROWS;
    CHECK(r->learned && r->len == expected && !!r->rows == (rows && expected > 0));
    CHECK(s->learned == (p[0].cfg.learns == CCZ_PSI_BOTH));
    CHECK((memcmp(r->digest, zero, 32) != 0) == rows);
    if (!s->learned)
        return;
    CHECK(s->len == expected && memcmp(s->digest, r->digest, 32) == 0);
    for (size_t i = 0; rows && i < expected; i++) {
        CHECK(numbers[0][s->rows[i]] == numbers[1][r->rows[i]]);
        for (size_t k = i + 1; k < expected && k < i + 3; k++)
            CHECK(r->rows[k] != r->rows[i]);
    }
}

static void run_sizes(size_t ns, size_t nr, struct ccz_psi_cfg cfg, uint64_t bucket_len,
                      uint64_t seed)
{
    struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
    uint64_t *numbers[2] = {draw(ns, &seed), draw(nr, &seed)};
    for (int i = 0; i < 2; i++) {
        p[i].ids = ids_of(numbers[i], i ? nr : ns, NULL);
        p[i].cfg.bucket_len = bucket_len;
    }
    size_t expected = common(numbers[0], ns, numbers[1], nr);
    run_pair(p, NULL, 0);
    for (int i = 0; i < 2; i++)
        if (p[i].rc != CCZ_OK)
            fprintf(stderr, "party %d: %s: %s\n", i, p[i].err.where, p[i].err.msg);
    if (expected < cfg.min_intersection) {
        for (int i = 0; i < 2; i++)
            CHECK(p[i].rc == CCZ_E_POLICY && strcmp(p[i].err.where, "psi:minimum") == 0);
    } else {
        CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
        check_results(p, numbers, expected);
    }
    free_results(p);
    for (int i = 0; i < 2; i++) {
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
        free(numbers[i]);
    }
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 2, 63, 64, 65, 257};
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    for (size_t i = 0; i < N * N; i++) {
        for (unsigned k = 0; k < 8; k++) {
            struct ccz_psi_cfg cfg = {.protocol =
                                          i % 3 || k & 6 ? CCZ_PSI_ECDH : CCZ_PSI_UNBALANCED,
                                      .learns = k & 1 ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY,
                                      .output = k & 2 ? CCZ_PSI_CARDINALITY : CCZ_PSI_ROWS,
                                      .min_intersection = k & 4 ? 20 : 0,
                                      .pad = i % 2};
            run_sizes(sizes[i / N], sizes[i % N], cfg, 0, 1 + 8 * i + k);
        }
    }
}

/* More than one block of points, more than one bucket. */
static void test_blocks(void)
{
    for (unsigned k = 0; k < 5; k++) {
        struct ccz_psi_cfg cfg = {.protocol = k == 4 ? CCZ_PSI_UNBALANCED : CCZ_PSI_ECDH,
                                  .learns = CCZ_PSI_BOTH,
                                  .output = k == 1 ? CCZ_PSI_CARDINALITY : CCZ_PSI_ROWS,
                                  .min_intersection = k == 2 || k == 3 ? 100 : 0,
                                  .threads = k % 2 ? 3 : 0};
        run_sizes(CCZI_PSI_ECDH_BLOCK + 1, 2 * CCZI_PSI_ECDH_BLOCK - 1, cfg, k == 3 ? 2048 : 0,
                  k + 1);
    }
    struct ccz_psi_cfg cfg = {.protocol = CCZ_PSI_UNBALANCED};
    run_sizes(40000, 5, cfg, 0, 3); /* the window is never full */
    run_sizes(5, 50000, (struct ccz_psi_cfg){.protocol = CCZ_PSI_ECDH}, 0, 4); /* and over-full */
}

/* ---------------------------------------------------------------------- peers that cheat, by hand */

enum { BAD_LEN = 100 };

/* What a peer sends instead of the points in message @p which; everything else is as it should be. */
struct cheat {
    uint64_t which;
    void (*change)(uint8_t (*points)[32]);
    bool sender;
    size_t size; /* of that message; 0: points of all ids */
};
static struct cheat g_cheat;

/* A channel whose end changes one message. */
struct wrap {
    struct ccz_chan *inner;
    uint64_t sent;
};

static ccz_rc wrap_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                        struct ccz_err *err)
{
    struct wrap *w = self;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 24);
    for (size_t i = 0; i < len; i++)
        ccz_buf_put_span(&b, parts[i]);
    (void)timeout_ms;
    if (++w->sent == g_cheat.which) {
        CHECK(b.size == (g_cheat.size ? g_cheat.size : BAD_LEN * 32));
        g_cheat.change((uint8_t(*)[32])b.ptr);
    }
    return ccz_chan_send(w->inner, ccz_buf_span(&b), err);
}

static ccz_rc wrap_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    struct wrap *w = self;
    return ccz_chan_recv_within(msg, w->inner, timeout_ms, err);
}

static void wrap_close(void *self, const char *reason)
{
    struct wrap *w = self;
    ccz_chan_close(w->inner, reason);
}

static void wrap_free(void *self)
{
    struct wrap *w = self;
    ccz_chan_free(w->inner);
    free(w);
}

static const struct ccz_chan_ops wrap_ops = {
    .send = wrap_send, .recv = wrap_recv, .close = wrap_close, .free = wrap_free};

static void *run_cheat(void *arg)
{
    struct party *p = arg;
    struct wrap *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->inner = p->chan;
    CHECK(ccz_chan_new(&p->chan, &wrap_ops, w, "cheat", NULL) == CCZ_OK);
    p->rc = ccz_psi_run(&p->result, p->chan, p->ids, &p->cfg, &p->err);
    return NULL;
}

static void check_cheat(struct cheat cheat, struct ccz_psi_cfg cfg, const char *where, int64_t aux)
{
    struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
    uint64_t numbers[BAD_LEN];
    count_to(numbers, BAD_LEN);
    p[0].ids = ids_of(numbers, BAD_LEN, NULL);
    p[1].ids = ids_of(numbers, BAD_LEN, NULL);
    g_cheat = cheat;
    int liar = cheat.sender ? 0 : 1;
    p[liar].run = run_cheat;
    run_pair(p, NULL, 0);
    struct party *honest = &p[!liar];
    if (honest->rc != CCZ_E_PEER || strcmp(honest->err.where, where) != 0)
        fprintf(stderr, "%s: %s, expected %s\n", honest->err.where, honest->err.msg, where);
    CHECK(honest->rc == CCZ_E_PEER && strcmp(honest->err.where, where) == 0);
    CHECK(aux < 0 || honest->err.aux == aux);
    CHECK(!p[0].result && !p[1].result && p[liar].rc != CCZ_OK);
    free_results(p);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

static void to_identity(uint8_t (*p)[32])
{
    memset(p[7], 0, 32);
}

static void to_unreduced(uint8_t (*p)[32]) /* 2^255 - 19: zero, not canonical */
{
    memset(p[7], 0xff, 32);
    p[7][0] = 0xed;
    p[7][31] = 0x7f;
}

static void to_negative(uint8_t (*p)[32]) /* the other field element of the same point */
{
    p[7][0] |= 1;
}

static void to_high_bit(uint8_t (*p)[32])
{
    p[7][31] |= 0x80;
}

static void to_no_point(uint8_t (*p)[32]) /* RFC 9496, A.3: a non-square x^2 */
{
    static const uint8_t bad[32] = {0x26, 0x94, 0x8d, 0x35, 0xca, 0x62, 0xe6, 0x43,
                                    0xe2, 0x6a, 0x83, 0x17, 0x73, 0x32, 0xe6, 0xb6,
                                    0xaf, 0xeb, 0x9d, 0x08, 0xe4, 0x26, 0x8b, 0x65,
                                    0x0f, 0x1f, 0x5b, 0xbd, 0x8d, 0x81, 0xd3, 0x71};
    CHECK(!ccz_ristretto_valid(bad));
    memcpy(p[7], bad, 32);
}

static void to_small_order(uint8_t (*p)[32]) /* s = -1, a point of the torsion subgroup */
{
    memset(p[7], 0xff, 32);
    p[7][0] = 0xec;
    p[7][31] = 0x7f;
    CHECK(!ccz_ristretto_valid(p[7]));
}

static void to_twice(uint8_t (*p)[32])
{
    memcpy(p[7], p[50], 32);
}

static void to_loud(uint8_t (*p)[32])
{
    p[0][0] = 1;
}

/* Messages of a side: 1 is the greeting. Receiver: 2 = a H(y). Sender: 2 = b a H(y); rows hidden: 3 = b H(x). */
static void test_points_refused(void)
{
    static void (*const changes[])(uint8_t(*)[32]) = {to_identity, to_unreduced, to_high_bit,
                                                      to_no_point, to_small_order};
    const struct ccz_psi_cfg rows = {.protocol = CCZ_PSI_ECDH},
                             unbalanced = {.protocol = CCZ_PSI_UNBALANCED},
                             hidden = {.protocol = CCZ_PSI_ECDH, .output = CCZ_PSI_CARDINALITY};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        check_cheat((struct cheat){2, changes[i], false, 0}, rows, "psi:point", 7);
        check_cheat((struct cheat){2, changes[i], true, 0}, rows, "psi:point", 7);
        check_cheat((struct cheat){2, changes[i], true, 0}, unbalanced, "psi:point", 7);
        check_cheat((struct cheat){2, changes[i], false, 0}, hidden, "psi:point", 7);
        check_cheat((struct cheat){2, changes[i], true, 0}, hidden, "psi:point", 7);
        check_cheat((struct cheat){3, changes[i], true, 0}, hidden, "psi:point", 7);
    }
    check_cheat((struct cheat){3, to_loud, true, 1}, rows, "psi:message", -1);
    check_cheat((struct cheat){2, to_negative, false, 0}, rows, "psi:point", 7);
    check_cheat((struct cheat){2, to_twice, true, 0}, hidden, "psi:points", -1);
    check_cheat((struct cheat){3, to_twice, true, 0}, hidden, "psi:points", -1);
}

/* Messages of the sender of 1,100 ids, 200 of them in common. The seed is one of them, and so is a confirmation. */
static uint64_t run_minimum(struct ccz_psi_cfg cfg)
{
    enum { N = 1100, COMMON = 200 };
    static uint64_t numbers[2 * N - COMMON];
    struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
    bool enough = cfg.min_intersection <= COMMON, rows = cfg.output == CCZ_PSI_ROWS;
    count_to(numbers, 2 * N - COMMON);
    p[0].ids = ids_of(numbers, N, NULL);
    p[1].ids = ids_of(numbers + N - COMMON, N, NULL);
    run_pair(p, NULL, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(p[i].rc == (enough ? CCZ_OK : CCZ_E_POLICY));
        CHECK(enough || (!p[i].result && strcmp(p[i].err.where, "psi:minimum") == 0));
    }
    if (enough) {
        bool both = cfg.learns == CCZ_PSI_BOTH;
        CHECK(p[1].result->len == COMMON && !!p[1].result->rows == rows);
        CHECK(p[0].result->learned == both && p[0].result->len == (both ? COMMON : 0u));
    }
    free_results(p);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
    return p[0].sent_len;
}

/* The seed of the shuffle is sent if rows are wanted and there are enough, and never else. */
static void test_minimum(void)
{
    for (unsigned k = 0; k < 4; k++) {
        struct ccz_psi_cfg cfg = {.protocol = CCZ_PSI_ECDH,
                                  .learns = k & 1 ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY,
                                  .output = CCZ_PSI_CARDINALITY,
                                  .bucket_len = k & 2 ? 1024 : 0};
        uint64_t number = run_minimum(cfg);
        for (uint64_t min = 199; min <= 201; min++) {
            cfg.min_intersection = min;
            cfg.output = CCZ_PSI_CARDINALITY;
            CHECK(run_minimum(cfg) == number);
            cfg.output = CCZ_PSI_ROWS;
            CHECK(run_minimum(cfg) == number + (min > 200 ? 0 : k & 1 ? 2 : 1));
        }
    }
}

static void to_few(uint8_t (*p)[32])
{
    p[0][0] = 2;
}

/* Who was shown rows says afterwards that there were too few: the sender would believe that nothing was shown. */
static void test_few_afterwards(void)
{
    const struct ccz_psi_cfg cfg = {.protocol = CCZ_PSI_ECDH, .min_intersection = 2};
    struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
    uint64_t numbers[BAD_LEN];
    count_to(numbers, BAD_LEN);
    for (int i = 0; i < 2; i++)
        p[i].ids = ids_of(numbers, BAD_LEN, NULL);
    g_cheat = (struct cheat){4, to_few, false, 1};
    p[1].run = run_cheat;
    run_pair(p, NULL, 0);
    CHECK(p[0].rc == CCZ_E_PEER && strcmp(p[0].err.where, "psi:matches") == 0);
    free_results(p);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

/* A minimum with a protocol that shows rows at once is kept by the receiver's program alone. */
static void test_untrusted(void)
{
    struct ccz_psi_cfg cfg = {.role = CCZ_PSI_SENDER};
    for (unsigned k = 0; k < 4 * CCZ_PSI_PROTOCOLS; k++) {
        struct ccz_chan *a, *b;
        struct ccz_psi_result *result;
        struct ccz_err err = {0};
        uint64_t one = 1;
        cfg.protocol = (enum ccz_psi_protocol)(k / 4);
        cfg.output = k & 1 ? CCZ_PSI_CARDINALITY : CCZ_PSI_ROWS;
        cfg.min_intersection = k & 2 ? 1 : 0;
        const char *where = cfg.protocol == CCZ_PSI_ECDH ? NULL
                            : k & 1                      ? "psi:output"
                            : k & 2                      ? "psi:minimum-untrusted"
                                                         : NULL;
        CCZ_AUTO(ccz_psi_ids) ids = ids_of(&one, 1, NULL);
        CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
        ccz_chan_free(b); /* whoever is not refused finds nobody there */
        ccz_rc rc = ccz_psi_run(&result, a, ids, &cfg, &err);
        CHECK(rc == (where ? CCZ_E_UNSUPPORTED : CCZ_E_CLOSED) && !result);
        CHECK(!where || strcmp(err.where, where) == 0);
        ccz_chan_free(a);
    }
}

static void to_other_seed(uint8_t (*p)[32])
{
    p[0][5] ^= 1;
}

/* A sender that says that it shuffled otherwise: rows and tags do not go together. */
static void test_other_seed(void)
{
    for (int padded = 0; padded < 2; padded++) {
        const struct ccz_psi_cfg cfg = {
            .protocol = CCZ_PSI_ECDH, .learns = CCZ_PSI_BOTH, .min_intersection = 2, .pad = padded};
        struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
        uint64_t numbers[BAD_LEN];
        count_to(numbers, BAD_LEN);
        p[0].ids = ids_of(numbers, BAD_LEN, NULL);
        p[1].ids = ids_of(numbers, BAD_LEN, NULL);
        g_cheat = (struct cheat){4, to_other_seed, true, 32};
        p[0].run = run_cheat;
        run_pair(p, NULL, 0);
        CHECK(p[1].rc == (padded ? CCZ_E_PEER : CCZ_E_CLOSED) && !p[1].result && !p[0].result);
        CHECK(strcmp(p[1].err.where, padded ? "psi:matches" : "chan:closed") == 0);
        CHECK(padded || strcmp(p[0].err.where, "psi:proof") == 0);
        for (int i = 0; i < 2; i++)
            ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
    }
}

/* Every message of either side cut short, lost, doubled, changed, and the channel cut behind it. */
static void test_broken_messages(void)
{
    for (int mode = 0; mode < 3; mode++) {
        struct ccz_psi_cfg cfg = {.protocol = CCZ_PSI_ECDH,
                                  .learns = CCZ_PSI_BOTH,
                                  .output = mode == 1 ? CCZ_PSI_CARDINALITY : CCZ_PSI_ROWS,
                                  .min_intersection = mode == 2 ? 5 : 0};
        uint64_t numbers[BAD_LEN];
        count_to(numbers, BAD_LEN);
        struct party count[2] = {{.cfg = cfg}, {.cfg = cfg}};
        const struct ccz_psi_ids *ids[2] = {ids_of(numbers, BAD_LEN, NULL),
                                            ids_of(numbers + 40, BAD_LEN - 40, NULL)};
        count[0].ids = ids[0];
        count[1].ids = ids[1];
        run_pair(count, NULL, 0);
        CHECK(count[0].rc == CCZ_OK && count[1].rc == CCZ_OK);
        for (int side = 0; side < 2; side++) {
            for (uint64_t m = 1; m <= count[side].sent_len; m++) {
                const struct ccz_chan_fault_cfg faults[] = {{.send_shorten = m},
                                                            {.send_drop = m},
                                                            {.send_cut_after = m},
                                                            {.recv_cut_after = m}};
                for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++) {
                    struct party p[2] = {{.cfg = cfg, .ids = ids[0], .timeout_ms = 300},
                                         {.cfg = cfg, .ids = ids[1], .timeout_ms = 300}};
                    run_pair(p, &faults[f], side);
                    bool last = m == count[side].sent_len || f >= 2;
                    CHECK(last || p[0].rc != CCZ_OK || p[1].rc != CCZ_OK);
                    for (int i = 0; i < 2; i++)
                        CHECK(p[i].rc == CCZ_OK || (!p[i].result && p[i].err.where[0]));
                    free_results(p);
                }
            }
        }
        free_results(count);
        ccz_psi_ids_free((struct ccz_psi_ids *)ids[0]);
        ccz_psi_ids_free((struct ccz_psi_ids *)ids[1]);
    }
}

/* What the receiver gets where rows are hidden does not depend on which of its items are common. */
static void test_shuffled(void)
{
    enum { LEN = 1000 };
    uint32_t a[LEN], b[LEN], seen[LEN] = {0}, fixed = 0;
    const uint8_t seed[32] = {1}, session[32] = {2}, other[32] = {3};
    CHECK(cczi_psi_shuffled(a, LEN, seed, session, NULL) == CCZ_OK);
    CHECK(cczi_psi_shuffled(b, LEN, seed, session, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    for (size_t i = 0; i < LEN; i++) {
        CHECK(a[i] < LEN && !seen[a[i]]++);
        fixed += a[i] == i;
    }
    CHECK(fixed < 10); /* 1 is expected */
    CHECK(cczi_psi_shuffled(b, LEN, seed, other, NULL) == CCZ_OK && memcmp(a, b, sizeof(a)) != 0);
    CHECK(cczi_psi_shuffled(b, LEN, other, session, NULL) == CCZ_OK &&
          memcmp(a, b, sizeof(a)) != 0);
    CHECK(cczi_psi_shuffled(b, 0, seed, session, NULL) == CCZ_OK);
    CHECK(cczi_psi_rows_hidden(
        &(struct ccz_psi_cfg){.protocol = CCZ_PSI_ECDH, .min_intersection = 1}));
    CHECK(!cczi_psi_rows_hidden(&(struct ccz_psi_cfg){.protocol = CCZ_PSI_ECDH}));
}

static void count_up(void *arg, size_t from, size_t to)
{
    uint8_t *seen = arg;
    for (size_t i = from; i < to; i++)
        seen[i]++;
}

static void test_parallel(void)
{
    for (unsigned threads = 0; threads < 20; threads++) {
        for (size_t len = 0; len < 1000; len += 1 + len / 3) {
            uint8_t seen[1000] = {0};
            cczi_psi_parallel(count_up, seen, len, threads);
            for (size_t i = 0; i < 1000; i++)
                CHECK(seen[i] == (i < len));
        }
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"psi.ecdh_sizes", test_sizes},
                                            {"psi.ecdh_blocks", test_blocks},
                                            {"psi.ecdh_points", test_points_refused},
                                            {"psi.ecdh_minimum", test_minimum},
                                            {"psi.ecdh_few_afterwards", test_few_afterwards},
                                            {"psi.ecdh_untrusted", test_untrusted},
                                            {"psi.ecdh_other_seed", test_other_seed},
                                            {"psi.ecdh_broken", test_broken_messages},
                                            {"psi.ecdh_shuffled", test_shuffled},
                                            {"psi.ecdh_parallel", test_parallel}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
