/* SPDX-License-Identifier: Apache-2.0 */
/* What a run refuses: settings, disagreement, malformed messages, peers that cheat. */
#define _GNU_SOURCE
#include "parties.h"

enum { N = 2001, COMMON = 500 };

/* Ids 0 .. N-1 for the sender, N-COMMON .. 2N-COMMON-1 for the receiver. */
static void give_ids(struct party p[2])
{
    static uint64_t numbers[2][N];
    for (size_t i = 0; i < N; i++) {
        numbers[0][i] = i;
        numbers[1][i] = N - COMMON + i;
    }
    for (int i = 0; i < 2; i++)
        p[i].ids = ids_of(numbers[i], N, NULL);
}

static void take_ids(struct party p[2])
{
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
    free_results(p);
}

static bool says(const struct party *p, const char *where)
{
    return p->rc != CCZ_OK && strcmp(p->err.where, where) == 0 && p->err.rc == p->rc;
}

static void test_config(void)
{
    static const struct {
        struct ccz_psi_cfg cfg;
        const char *where;
        ccz_rc rc;
    } cases[] = {
        {{0}, "psi:config", CCZ_E_ARG},
        {{.role = (enum ccz_psi_role)3}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .protocol = CCZ_PSI_PROTOCOLS}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .learns = (enum ccz_psi_learns)2}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .output = (enum ccz_psi_output)2}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .bucket_len = 1023}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .bucket_len = (UINT64_C(1) << 22) + 1}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .peer_len_max = CCZ_PSI_LEN_MAX + 1}, "psi:config", CCZ_E_ARG},
        {{.role = CCZ_PSI_SENDER, .output = CCZ_PSI_CARDINALITY}, "psi:output", CCZ_E_UNSUPPORTED},
        {{.role = CCZ_PSI_SENDER, .min_intersection = 1},
         "psi:minimum-untrusted",
         CCZ_E_UNSUPPORTED},
    };
    struct party p[2] = {{0}, {0}};
    give_ids(p);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_chan *a, *b;
        struct ccz_psi_result *r;
        struct ccz_err err = {0};
        CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
        CHECK(ccz_psi_run(&r, a, p[0].ids, &cases[i].cfg, &err) == cases[i].rc && !r);
        CHECK(strcmp(err.where, cases[i].where) == 0);
        CHECK(ccz_chan_stats(a).sent_len == 0); /* nothing was sent */
        CCZ_AUTO_BUF in;
        ccz_buf_init(&in, 10);
        CHECK(ccz_chan_recv(&in, b, &err) == CCZ_E_CLOSED); /* and the peer need not wait */
        ccz_chan_free(a);
        ccz_chan_free(b);
    }
    take_ids(p);
}

static void test_disagreement(void)
{
    static const struct {
        struct ccz_psi_cfg cfg; /* the receiver's; the sender's is all zero */
        const char *where;
    } cases[] = {
        {{.role = CCZ_PSI_SENDER}, "psi:role"},
        {{.protocol = CCZ_PSI_VOLE_SEMI_HONEST}, "psi:peer-protocol"},
        {{.learns = CCZ_PSI_BOTH}, "psi:peer-learns"},
        {{.output = CCZ_PSI_CARDINALITY}, "psi:peer-output"},
        {{.min_intersection = 3}, "psi:peer-minimum"},
        {{.session = {(const uint8_t *)"x", 1}}, "psi:peer-session"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct party p[2] = {{0}, {.cfg = cases[i].cfg}};
        give_ids(p);
        run_pair(p, NULL, 0);
        CHECK(says(&p[0], cases[i].where) && says(&p[1], cases[i].where));
        CHECK(p[0].rc == CCZ_E_MISMATCH && p[0].sent_len == 1);
        take_ids(p);
    }
    struct party p[2] = {{0}, {0}};
    const struct ccz_psi_ids_cfg other = {.domain = "mail"};
    const uint64_t one = 1;
    p[0].ids = ids_of(&one, 1, NULL);
    p[1].ids = ids_of(&one, 1, &other);
    run_pair(p, NULL, 0);
    CHECK(says(&p[0], "psi:peer-ids") && says(&p[1], "psi:peer-ids"));
    take_ids(p);
}

static void test_peer_len(void)
{
    for (int i = 0; i < 2; i++) {
        struct party p[2] = {{0}, {0}};
        p[i].cfg.peer_len_max = N - 1;
        give_ids(p);
        run_pair(p, NULL, 0);
        CHECK(says(&p[i], "psi:peer-len") && p[i].rc == CCZ_E_LIMIT && p[!i].rc != CCZ_OK);
        take_ids(p);
    }
}

static void test_hello(void)
{
    struct cczi_psi_hello h = {.role = 1, .len = 77, .bucket_len = 1024}, back;
    uint8_t wire[CCZI_PSI_HELLO_SIZE];
    struct ccz_err err = {0};
    memset(h.nonce, 9, 32);
    cczi_psi_hello_put(wire, &h);
    CHECK(cczi_psi_hello_get(&back, CCZ_SPAN(wire, sizeof(wire)), NULL) == CCZ_OK);
    CHECK(memcmp(&back, &h, sizeof(h)) == 0);
    for (size_t cut = 0; cut < sizeof(wire); cut++) {
        CHECK(cczi_psi_hello_get(&back, CCZ_SPAN(wire, cut), &err) != CCZ_OK);
        CHECK(back.len == 0 && strncmp(err.where, "psi:", 4) == 0);
    }
    static const struct {
        size_t at;
        const char *where;
    } bad[] = {{0, "psi:message"}, {3, "psi:version"}, {32, "psi:message"}};
    for (size_t i = 0; i < 3; i++) {
        wire[bad[i].at] ^= 1;
        CHECK(cczi_psi_hello_get(&back, CCZ_SPAN(wire, sizeof(wire)), &err) != CCZ_OK);
        CHECK(strcmp(err.where, bad[i].where) == 0);
        wire[bad[i].at] ^= 1;
    }
}

/* Every message of either side cut short, lost, doubled, changed, and the channel cut behind it. */
static void test_broken_messages(void)
{
    struct party count[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
    give_ids(count);
    run_pair(count, NULL, 0);
    CHECK(count[0].rc == CCZ_OK && count[1].rc == CCZ_OK);
    CHECK(count[0].result->len == COMMON);
    for (int side = 0; side < 2; side++) {
        for (uint64_t m = 1; m <= count[side].sent_len; m++) {
            const struct ccz_chan_fault_cfg faults[] = {{.send_shorten = m},
                                                        {.send_drop = m},
                                                        {.send_cut_after = m},
                                                        {.send_repeat = m},
                                                        {.send_flip = m}};
            for (size_t f = 0; f < 5; f++) {
                struct party p[2] = {
                    {.cfg = {.learns = CCZ_PSI_BOTH}, .ids = count[0].ids, .timeout_ms = 700},
                    {.cfg = {.learns = CCZ_PSI_BOTH}, .ids = count[1].ids, .timeout_ms = 700}};
                run_pair(p, &faults[f], side);
                bool last = m == count[side].sent_len;
                if (f <
                    2) /* whoever waits for it fails; after that, the other one has its result */
                    CHECK(p[!side].rc != CCZ_OK && p[!side].err.where[0]);
                if (f == 2 && !last)
                    CHECK(p[side].rc != CCZ_OK && p[!side].rc != CCZ_OK);
                for (int i = 0; i < 2; i++) /* nobody is told a wrong row */
                    for (size_t k = 0; p[i].result && k < p[i].result->len; k++)
                        CHECK(i ? p[1].result->rows[k] < COMMON
                                : p[0].result->rows[k] >= N - COMMON);
                if (p[0].result && p[1].result)
                    CHECK(memcmp(p[0].result->digest, p[1].result->digest, 32) == 0);
                free_results(p);
            }
        }
    }
    take_ids(count);
}

/* Runs with one bit of message @p m changed (from the end if negative) of @p side. */
static void run_flipped(struct party p[2], int side, int64_t m)
{
    struct party count[2] = {{.cfg = p[0].cfg}, {.cfg = p[1].cfg}};
    give_ids(count);
    run_pair(count, NULL, 0);
    CHECK(count[0].rc == CCZ_OK && count[1].rc == CCZ_OK);
    const struct ccz_chan_fault_cfg fault = {
        .send_flip = m > 0 ? (uint64_t)m : count[side].sent_len + 1 - (uint64_t)-m};
    p[0].ids = count[0].ids;
    p[1].ids = count[1].ids;
    run_pair(p, &fault, side);
    free_results(count);
}

/* A receiver that claims (or denies) one id more cannot show the digest. */
static void test_proof(void)
{
    struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
    run_flipped(p, 1, -1);
    CHECK(says(&p[0], "psi:proof") && p[0].rc == CCZ_E_SIG && p[1].rc != CCZ_OK);
    take_ids(p);
}

/* A sender that reveals another w than it committed to. */
static void test_commitment(void)
{
    struct party p[2] = {{0}, {0}};
    run_flipped(p, 0, 2);
    CHECK(says(&p[1], "psi:commitment") && p[1].rc == CCZ_E_SIG && p[0].rc != CCZ_OK);
    take_ids(p);
}

static void test_alignment(void)
{
    struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
    run_flipped(p, 0, -1);
    CHECK(says(&p[1], "psi:alignment") && p[1].rc == CCZ_E_SIG);
    take_ids(p);
}

/* ---------------------------------------------------------------- a receiver of one's own */

/* As ccz_psi_run() up to the end of the only bucket. */
static void raw_receive(struct cczi_psi_list **list, struct cczi_psi_run *run, struct party *p)
{
    static const uint8_t zero[32];
    uint8_t bytes[2][CCZI_PSI_HELLO_SIZE], number[4] = {0};
    struct cczi_psi_hello own = {.role = CCZ_PSI_RECEIVER,
                                 .learns = (uint8_t)p->cfg.learns,
                                 .output = (uint8_t)p->cfg.output,
                                 .len = p->ids->len,
                                 .min_intersection = p->cfg.min_intersection,
                                 .bucket_len = 1 << 22},
                          peer;
    memcpy(own.prepared, p->ids->prepared, 32);
    cczi_psi_derive(own.session, "cczoo psi name", zero, p->cfg.session);
    cczi_psi_hello_put(bytes[1], &own);
    CHECK(ccz_chan_send(p->chan, CCZ_SPAN(bytes[1], CCZI_PSI_HELLO_SIZE), NULL) == CCZ_OK);
    CHECK(ccz_chan_recv_exact(bytes[0], CCZI_PSI_HELLO_SIZE, p->chan, NULL) == CCZ_OK);
    CHECK(cczi_psi_hello_get(&peer, CCZ_SPAN(bytes[0], CCZI_PSI_HELLO_SIZE), NULL) == CCZ_OK);
    *run = (struct cczi_psi_run){.chan = p->chan,
                                 .cfg = &p->cfg,
                                 .ids = p->ids,
                                 .own_len = own.len,
                                 .peer_len = peer.len,
                                 .buckets = 1};
    cczi_psi_derive(run->session, "cczoo psi session", zero, CCZ_SPAN(bytes, sizeof(bytes)));
    struct cczi_psi_rec *recs;
    struct cczi_psi_set set = {.peer_len = peer.len};
    CHECK(cczi_psi_ids_parts(&recs, &set.len, 0, p->ids, 0, CCZI_PSI_PARTS, NULL) == CCZ_OK);
    set.items = recs;
    cczi_psi_derive(set.session, "cczoo psi bucket", run->session, CCZ_SPAN(number, 4));
    CHECK(cczi_psi_vole_bucket(list, run, &set, NULL) == CCZ_OK);
    free(recs);
}

/* What the raw receiver says at last. */
static struct {
    uint8_t bytes[1 + 32 + (N + 7) / 8 + 64];
    size_t size;
    bool honest;  /* the right digest and matches in front of what is changed */
    size_t claim; /* with honest: this entry is claimed, too; SIZE_MAX: none */
    size_t leave; /* with honest: only so many of the matches */
    bool claim_padding;
} last;

static void honest_end(const struct cczi_psi_list *list, const struct cczi_psi_run *run)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    uint8_t d[32], *bits = last.bytes + 33;
    uint64_t len = list->len < last.leave ? list->len : last.leave;
    CHECK(ccz_hasher_new(&h, CCZ_SHA256) == CCZ_OK);
    CHECK(ccz_hasher_put(h, ccz_span_str("cczoo psi alignment")) == CCZ_OK);
    CHECK(ccz_hasher_put(h, CCZ_SPAN(run->session, 32)) == CCZ_OK);
    CHECK(ccz_hasher_put(h, CCZ_SPAN(list->tag, 16 * len)) == CCZ_OK);
    CHECK(ccz_hasher_put(h, CCZ_SPAN(&len, 8)) == CCZ_OK && ccz_hasher_done(d, h) == CCZ_OK);
    memset(last.bytes, 0, sizeof(last.bytes));
    last.bytes[0] = 1;
    cczi_psi_derive(last.bytes + 1, "cczoo psi receiver", d, CCZ_SPAN(NULL, 0));
    for (size_t i = 0; i < len; i++)
        bits[list->at[i] / 8] |= (uint8_t)(1u << list->at[i] % 8);
    if (last.claim != SIZE_MAX)
        bits[last.claim / 8] |= (uint8_t)(1u << last.claim % 8);
    for (size_t i = 0, k = 0; last.claim_padding && i < run->peer_len;
         i++) { /* every other entry */
        if (k < list->len && list->at[k] == i)
            k++;
        else
            bits[i / 8] |= (uint8_t)(1u << i % 8);
    }
    last.size = 33 + (run->peer_len + 7) / 8;
}

static void *raw_receiver(void *arg)
{
    struct party *p = arg;
    struct cczi_psi_run run;
    struct cczi_psi_list *list;
    raw_receive(&list, &run, p);
    if (last.honest)
        honest_end(list, &run);
    p->rc = ccz_chan_send(p->chan, CCZ_SPAN(last.bytes, last.size), NULL);
    uint8_t confirm[32];
    if (p->rc == CCZ_OK)
        p->rc = ccz_chan_recv_exact(confirm, 32, p->chan, &p->err);
    ccz_chan_close(p->chan, "done");
    cczi_psi_list_free(list);
    return NULL;
}

static void run_raw(struct party p[2], const struct ccz_psi_cfg *cfg)
{
    p[0] = p[1] = (struct party){.cfg = *cfg};
    p[1].run = raw_receiver;
    p[0].timeout_ms = p[1].timeout_ms = 10000;
    give_ids(p);
    run_pair(p, NULL, 0);
}

static void test_last_message(void)
{
    struct party p[2];
    const struct ccz_psi_cfg both = {.learns = CCZ_PSI_BOTH};
    memset(&last, 0, sizeof(last));
    last.honest = true;
    last.claim = SIZE_MAX;
    last.leave = SIZE_MAX;
    run_raw(p, &both); /* the raw receiver can do it right */
    CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK && p[0].result->len == COMMON);
    take_ids(p);
    last.claim = N; /* a bit behind the last entry */
    run_raw(p, &both);
    CHECK(says(&p[0], "psi:matches"));
    take_ids(p);
    last.claim = SIZE_MAX;
    last.honest = false;
    memset(last.bytes, 0, sizeof(last.bytes));
    static const size_t sizes[] = {0, 1, 9, 33, 33 + (N + 7) / 8 - 1, 33 + (N + 7) / 8 + 1};
    for (size_t i = 0; i < 6; i++) {
        last.size = sizes[i];
        last.bytes[0] = 1;
        run_raw(p, &both);
        CHECK(p[0].rc == CCZ_E_PEER || p[0].rc == CCZ_E_LIMIT);
        take_ids(p);
    }
    for (unsigned verdict = 0; verdict < 256; verdict++) { /* FEW is no answer without a minimum */
        last.size = verdict == 1 ? 33 + (N + 7) / 8 : 1;
        last.bytes[0] = (uint8_t)verdict;
        if (verdict > 3 && verdict < 250)
            continue;
        run_raw(p, &both);
        CHECK(verdict == 1 ? says(&p[0], "psi:proof") : says(&p[0], "psi:matches"));
        take_ids(p);
    }
    last.size = 33 + (N + 7) / 8; /* nor is any other verdict, whatever follows it */
    last.bytes[0] = 3;
    run_raw(p, &both);
    CHECK(says(&p[0], "psi:matches"));
    take_ids(p);
    /* A number that cannot be. */
    const struct ccz_psi_cfg number = {
        .learns = CCZ_PSI_BOTH, .output = CCZ_PSI_CARDINALITY, .trusted_receiver = true};
    uint64_t len = N + 1;
    last.bytes[0] = 1;
    memcpy(last.bytes + 1, &len, 8);
    last.size = 9;
    run_raw(p, &number);
    CHECK(says(&p[0], "psi:matches"));
    take_ids(p);
}

/* Entries that the receiver does not have: one of the sender's ids, and one of its padding. */
static void test_padding_claim(void)
{
    struct party p[2];
    memset(&last, 0, sizeof(last));
    last.honest = true;
    last.leave = SIZE_MAX;
    for (int padding = 0; padding < 2; padding++) {
        const struct ccz_psi_cfg cfg = {.learns = CCZ_PSI_BOTH, .pad = true};
        last.claim = SIZE_MAX;
        last.claim_padding = padding;
        if (!padding)
            last.leave = COMMON - 1; /* one match denied: a smaller set, which nobody can tell */
        else
            last.leave = SIZE_MAX;
        run_raw(p, &cfg);
        if (padding)
            CHECK(says(&p[0], "psi:proof"));
        else
            CHECK(p[0].rc == CCZ_OK && p[0].result->len == COMMON - 1);
        take_ids(p);
    }
}

/* A receiver that goes on although it names fewer than the minimum. */
static void test_claims_few(void)
{
    struct party p[2];
    const struct ccz_psi_cfg cfg = {
        .learns = CCZ_PSI_BOTH, .min_intersection = 100, .trusted_receiver = true};
    memset(&last, 0, sizeof(last));
    last.honest = true;
    last.claim = SIZE_MAX;
    last.leave = 99;
    run_raw(p, &cfg);
    CHECK(says(&p[0], "psi:minimum"));
    take_ids(p);
    last.leave = 100;
    run_raw(p, &cfg);
    CHECK(p[0].rc == CCZ_OK && p[0].result->len == 100);
    take_ids(p);
    const struct ccz_psi_cfg number = {.learns = CCZ_PSI_BOTH,
                                       .min_intersection = 100,
                                       .output = CCZ_PSI_CARDINALITY,
                                       .trusted_receiver = true};
    uint64_t len = 99;
    last.honest = false;
    last.bytes[0] = 1;
    memcpy(last.bytes + 1, &len, 8);
    last.size = 9;
    run_raw(p, &number);
    CHECK(says(&p[0], "psi:minimum"));
    take_ids(p);
}

/* Ids that all fall into one bucket. */
static void test_bucket_full(void)
{
    struct party p[2] = {{.cfg = {.bucket_len = 1024}}, {0}};
    give_ids(p);
    struct ccz_psi_ids *ids = (struct ccz_psi_ids *)p[0].ids;
    uint64_t seed = 6;
    for (size_t i = 0; i < N; i++) {
        struct cczi_psi_rec rec = {.row = N + i};
        for (size_t k = 1; k < 16; k++)
            rec.b[k] = (uint8_t)rnd(&seed);
        CHECK(cczi_spool_put(ids->spool, 0, &rec, NULL) == CCZ_OK);
        ids->len++;
    }
    run_pair(p, NULL, 0);
    CHECK(says(&p[0], "psi:bucket-full") && p[0].rc == CCZ_E_LIMIT && p[1].rc != CCZ_OK);
    take_ids(p);
}

static const struct ccz_test tests[] = {{"psi.config", test_config},
                                        {"psi.disagreement", test_disagreement},
                                        {"psi.hello", test_hello},
                                        {"psi.broken_messages", test_broken_messages},
                                        {"psi.proof", test_proof},
                                        {"psi.commitment", test_commitment},
                                        {"psi.alignment", test_alignment},
                                        {"psi.last_message", test_last_message},
                                        {"psi.padding_claim", test_padding_claim},
                                        {"psi.claims_few", test_claims_few},
                                        {"psi.bucket_full", test_bucket_full},
                                        {"psi.peer_len", test_peer_len}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
