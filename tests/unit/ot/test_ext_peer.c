/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the store and its forms, arguments, and peers that disagree, break off, send garbage or cheat. */
#define _DEFAULT_SOURCE
#include "ext_kit.h"

/* ------------------------------------------------------------------------------------- bytes */

enum { ITEMS = 1000, WIDTH = 3, BITS = 37 };

static uint64_t values[ITEMS * WIDTH + ITEMS * 16], results[ITEMS * WIDTH];
static uint8_t bits[ITEMS], picks[ITEMS];
static struct ccz_f128 rows[2 * ITEMS];

static struct ccz_ot_ext_size expected; /* of the step, said by the sender */

static ccz_rc prepare_only(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    const size_t *len = arg;
    for (int i = 0; i < 2; i++) {
        const struct ccz_ot_ext_size s = ccz_ot_ext_prepare_size(e, len[i]);
        if (ccz_ot_ext_is_sender(e)) {
            expected.from_sender += s.from_sender;
            expected.from_receiver += s.from_receiver;
        }
        ccz_rc rc = ccz_ot_ext_prepare(e, len[i], err);
        if (rc != CCZ_OK)
            return rc;
        CHECK(ccz_ot_ext_stored(e) >= len[i]);
    }
    return CCZ_OK;
}

static void expect_bytes(const struct ext_two *t, struct ccz_ot_ext_size s)
{
    ext_expect_ok(t);
    if (t->p[0].sent != s.from_sender || t->p[1].sent != s.from_receiver)
        fprintf(stderr, "sent %llu %llu, said %llu %llu\n", (unsigned long long)t->p[0].sent,
                (unsigned long long)t->p[1].sent, (unsigned long long)s.from_sender,
                (unsigned long long)s.from_receiver);
    CHECK(t->p[0].sent == s.from_sender && t->p[1].sent == s.from_receiver);
    CHECK(t->p[1].received == s.from_sender && t->p[0].received == s.from_receiver);
}

static void test_bytes(void)
{
    static size_t lens[][2] = {{1, 0}, {128, 129}, {131073, 131074}, {400000, 700000}};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            expected = (struct ccz_ot_ext_size){0, 0};
            struct ext_two t = ext_new(&ext_engines[k], prepare_only, prepare_only, lens[i]);
            ext_run(&t);
            expect_bytes(&t, expected);
            const struct ccz_chan_stats st = ccz_chan_stats(t.p[0].chan);
            const struct ccz_ot_ext_size setup = ccz_ot_ext_setup_size(&ext_engines[k]);
            CHECK(st.sent_size - t.p[0].sent == setup.from_sender);
            CHECK(st.received_size - t.p[0].received == setup.from_receiver);
            if (lens[i][1] == 0) { /* in one go */
                const struct ccz_ot_ext_size all =
                    ccz_ot_ext_total_size(&ext_engines[k], lens[i][0]);
                CHECK(all.from_sender == st.sent_size && all.from_receiver == st.received_size);
            }
            ext_free(&t);
        }
}

static ccz_rc form_send(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    switch (*(int *)arg) {
    case 0:
        return ccz_ot_ext_cot_send(rows, ITEMS - 1, e, err);
    case 1:
        return ccz_ot_ext_n64_send(values, ITEMS - 1, 4, BITS, e, err);
    case 2:
        return ccz_ot_ext_ring_send(results, values, ITEMS - 1, WIDTH, BITS, e, err);
    default:
        return ccz_ot_ext_mul_send(results, values, ITEMS - 1, WIDTH, BITS, e, err);
    }
}

static ccz_rc form_recv(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    static uint64_t y[ITEMS * WIDTH];
    static struct ccz_f128 t[ITEMS];
    switch (*(int *)arg) {
    case 0:
        return ccz_ot_ext_cot_recv(t, bits, ITEMS - 1, e, err);
    case 1:
        return ccz_ot_ext_n64_recv(y, picks, ITEMS - 1, 4, BITS, e, err);
    case 2:
        return ccz_ot_ext_ring_recv(y, bits, ITEMS - 1, WIDTH, BITS, e, err);
    default:
        return ccz_ot_ext_mul_recv(y, values, ITEMS - 1, WIDTH, BITS, e, err);
    }
}

/* Messages and bytes of each form, the store being full; how many OTs it uses up. */
static ccz_rc prepared(struct ccz_ot_ext *e, ext_fn run, void *arg, struct ccz_err *err)
{
    static const size_t each[] = {1, 4, 1, BITS};
    ccz_rc rc = ccz_ot_ext_prepare(e, ITEMS * BITS, err);
    size_t before = ccz_ot_ext_stored(e);
    if (rc == CCZ_OK)
        rc = run(e, arg, err);
    CHECK(before - ccz_ot_ext_stored(e) == each[*(int *)arg] * (ITEMS - 1));
    return rc;
}

static ccz_rc prepared_send(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    return prepared(e, form_send, arg, err);
}

static ccz_rc prepared_recv(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    return prepared(e, form_recv, arg, err);
}

static void test_form_bytes(void)
{
    const struct ccz_ot_ext_cfg *cfg = &ext_engines[0];
    const struct ccz_ot_ext_size setup = ccz_ot_ext_setup_size(cfg);
    struct ccz_ot_ext_size fill = ccz_ot_ext_total_size(cfg, ITEMS * BITS);
    fill.from_sender -= setup.from_sender;
    fill.from_receiver -= setup.from_receiver;
    const struct ccz_ot_ext_size forms[] = {
        ccz_ot_ext_cot_size(ITEMS - 1), ccz_ot_ext_n_size(ITEMS - 1, 4, BITS),
        ccz_ot_ext_ring_size(ITEMS - 1, WIDTH, BITS), ccz_ot_ext_mul_size(ITEMS - 1, WIDTH, BITS)};
    for (int form = 0; form < 4; form++) {
        struct ext_two t = ext_new(cfg, prepared_send, prepared_recv, &form);
        ext_run(&t);
        expect_bytes(&t, (struct ccz_ot_ext_size){fill.from_sender + forms[form].from_sender,
                                                  fill.from_receiver + forms[form].from_receiver});
        ext_free(&t);
    }
    CHECK(forms[1].from_sender == (999 * 16 * 37 + 7) / 8 && forms[1].from_receiver == 500);
    CHECK(forms[3].from_sender == (999 * 3 * (37 * 38 / 2) + 7) / 8);
}

/* The bar: bytes of a random OT of the silent engine. */
static void test_silent_bytes(void)
{
    for (unsigned log = CCZ_OT_SILENT_LOG_MIN; log <= CCZ_OT_SILENT_LOG_MAX; log++) {
        static const double bar[] = {0.127, 0.07, 0.038, 0.021};
        const struct ccz_ot_ext_cfg cfg = {.engine = CCZ_OT_SILENT, .silent_log = log};
        size_t round = ((size_t)5 << log) / 8 - 256 * (log - 8) - 128;
        const struct ccz_ot_ext_size one = ccz_ot_ext_total_size(&cfg, round);
        const struct ccz_ot_ext_size two = ccz_ot_ext_total_size(&cfg, 2 * round);
        uint64_t size = two.from_sender - one.from_sender + two.from_receiver - one.from_receiver;
        CHECK((double)size / (double)round <= bar[log - CCZ_OT_SILENT_LOG_MIN]);
        CHECK(ccz_ot_ext_total_size(&cfg, 1).from_sender == one.from_sender);
        CHECK(ccz_ot_ext_total_size(&cfg, round + 1).from_sender == two.from_sender);
    }
}

/* --------------------------------------------------------------------------------- arguments */

static void expect_arg(ccz_rc rc, const struct ccz_err *err, const char *where)
{
    if (rc != CCZ_E_ARG || strcmp(err->where, where) != 0)
        fprintf(stderr, "got %s %s, expected %s\n", ccz_rc_name(rc), err->where, where);
    CHECK(rc == CCZ_E_ARG && strcmp(err->where, where) == 0);
}

static ccz_rc bad_send(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    const size_t huge = CCZ_OT_EXT_LEN_MAX + 1;
    (void)arg;
    expect_arg(ccz_ot_ext_prepare(e, huge, err), err, "ot:len");
    expect_arg(ccz_ot_ext_rcot_send(rows, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_rot_send(rows, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_rbit_send(bits, picks, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_cot_send(rows, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_n64_send(values, 1, 0, 1, e, err), err, "ot:log");
    expect_arg(ccz_ot_ext_n64_send(values, 1, 9, 1, e, err), err, "ot:log");
    expect_arg(ccz_ot_ext_n64_send(values, 1, 1, 0, e, err), err, "ot:bits");
    expect_arg(ccz_ot_ext_n64_send(values, 1, 1, 65, e, err), err, "ot:bits");
    expect_arg(ccz_ot_ext_n8_send(bits, 1, 1, 9, e, err), err, "ot:bits");
    expect_arg(ccz_ot_ext_n64_send(values, huge / 2 + 1, 2, 1, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_n64_send(values, 1 << 20, 8, 64, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_ring_send(results, values, 1, 1, 0, e, err), err, "ot:bits");
    expect_arg(ccz_ot_ext_ring_send(results, values, 1, 1, 65, e, err), err, "ot:bits");
    expect_arg(ccz_ot_ext_ring_send(results, values, 1, 0, 8, e, err), err, "ot:width");
    expect_arg(ccz_ot_ext_ring_send(results, values, 1 << 20, SIZE_MAX / 8, 8, e, err), err,
               "ot:len");
    expect_arg(ccz_ot_ext_mul_send(results, values, huge / 64 + 1, 1, 64, e, err), err, "ot:len");
    return ccz_ot_ext_cot_send(rows, 5, e, err); /* nothing is broken */
}

static ccz_rc bad_recv(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    const size_t huge = CCZ_OT_EXT_LEN_MAX + 1;
    (void)arg;
    CHECK(!ccz_ot_ext_is_sender(e) && !ccz_ot_ext_delta(e));
    expect_arg(ccz_ot_ext_rcot_recv(rows, bits, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_rot_recv(rows, bits, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_rbit_recv(picks, bits, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_cot_recv(rows, bits, huge, e, err), err, "ot:len");
    expect_arg(ccz_ot_ext_n64_recv(results, bits, 1, 9, 1, e, err), err, "ot:log");
    expect_arg(ccz_ot_ext_n8_recv(picks, bits, 1, 1, 9, e, err), err, "ot:bits");
    expect_arg(ccz_ot_ext_ring_recv(results, bits, 1, 0, 8, e, err), err, "ot:width");
    expect_arg(ccz_ot_ext_mul_recv(results, values, 1, 1, 65, e, err), err, "ot:bits");
    return ccz_ot_ext_cot_recv(rows + ITEMS, bits, 5, e, err);
}

static void test_arguments(void)
{
    ext_pair(&ext_engines[0], bad_send, bad_recv, NULL, NULL);
    struct ccz_ot_ext *e = NULL;
    struct ccz_err err;
    const struct ccz_f128 even = {2, 1};
    const struct {
        struct ccz_ot_ext_cfg cfg;
        const char *where;
    } bad[] = {{{.engine = (enum ccz_ot_engine)2}, "ot:engine"},
               {{.silent_log = 18}, "ot:silent-log"},
               {{.silent_log = 23}, "ot:silent-log"},
               {{.ot.delta = &even}, "ot:delta"},
               {{.ot.k = 3}, "ot:k"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_arg(ccz_ot_ext_new(&e, true, NULL, &bad[i].cfg, &err), &err, bad[i].where);
        CHECK(!e);
    }
    ccz_ot_ext_free(NULL);
}

/* Nothing is asked for, nothing is sent. */
static ccz_rc empty_send(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    CHECK(ccz_ot_ext_prepare(e, 0, err) == CCZ_OK &&
          ccz_ot_ext_rcot_send(rows, 0, e, err) == CCZ_OK);
    CHECK(ccz_ot_ext_cot_send(rows, 0, e, err) == CCZ_OK);
    CHECK(ccz_ot_ext_n8_send(bits, 0, 4, 2, e, err) == CCZ_OK);
    CHECK(ccz_ot_ext_ring_send(results, values, 0, 1, 64, e, err) == CCZ_OK);
    return ccz_ot_ext_mul_send(results, values, 0, 1, 64, e, err);
}

static ccz_rc empty_recv(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)e;
    (void)arg;
    (void)err;
    return CCZ_OK;
}

static void test_empty(void)
{
    struct ext_two t = ext_new(&ext_engines[0], empty_send, empty_recv, NULL);
    ext_run(&t);
    expect_bytes(&t, (struct ccz_ot_ext_size){0, 0});
    ext_free(&t);
}

/* ------------------------------------------------------------------------------------- hello */

static void expect_hello(const struct ccz_ot_ext_cfg *a, const struct ccz_ot_ext_cfg *b,
                         bool same_role)
{
    struct ext_two t = ext_new(a, empty_recv, empty_recv, NULL);
    t.p[1].cfg = *b;
    t.p[1].sender = same_role;
    ext_run(&t);
    for (int i = 0; i < 2; i++)
        CHECK(t.p[i].rc == CCZ_E_PEER && strcmp(t.p[i].err.where, "ot:hello") == 0);
    ext_free(&t);
}

static void test_hello(void)
{
    const struct ccz_ot_ext_cfg soft = {0}, silent = {.engine = CCZ_OT_SILENT};
    const struct ccz_ot_ext_cfg larger = {.engine = CCZ_OT_SILENT, .silent_log = 20};
    const struct ccz_ot_ext_cfg other = {.ot.session = {1}}, k = {.ot.k = 2};
    expect_hello(&soft, &silent, false);
    expect_hello(&silent, &larger, false);
    expect_hello(&soft, &other, false);
    expect_hello(&soft, &k, false);
    expect_hello(&soft, &soft, true);
}

/* ------------------------------------------------------------------------------------ broken */

static ccz_rc all_send(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    (void)arg;
    for (int form = 0; form < 4 && rc == CCZ_OK; form++)
        rc = form_send(e, &form, err);
    if (rc != CCZ_OK) { /* and stays so, without a word to the peer */
        struct ccz_err again;
        CHECK(ccz_ot_ext_prepare(e, 1 << 20, &again) == rc &&
              strcmp(again.where, "ot:unusable") == 0);
        CHECK(ccz_ot_ext_rcot_send(rows, 1, e, &again) == rc);
        CHECK(is_zero(rows, 1));
        CHECK(ccz_ot_ext_ring_send(results, values, 1, 1, 64, e, &again) == rc && results[0] == 0);
    }
    return rc;
}

static ccz_rc all_recv(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    (void)arg;
    for (int form = 0; form < 4 && rc == CCZ_OK; form++)
        rc = form_recv(e, &form, err);
    if (rc != CCZ_OK) {
        static uint64_t y[1] = {7};
        struct ccz_err again;
        CHECK(ccz_ot_ext_n64_recv(y, picks, 1, 4, 8, e, &again) == rc && y[0] == 0);
        CHECK(strcmp(again.where, "ot:unusable") == 0);
    }
    return rc;
}

static struct ext_two faulty(int engine, int who, const struct ccz_chan_fault_cfg *fault)
{
    struct ext_two t = ext_new(&ext_engines[engine], all_send, all_recv, NULL);
    CHECK(ccz_chan_fault_new(&t.p[who].chan, t.p[who].chan, fault, NULL) == CCZ_OK);
    ext_run(&t);
    return t;
}

/* Each message in turn is shortened, or the channel ends there: a clear error on both sides, no hang. */
static void test_broken(void)
{
    for (int engine = 0; engine < 2; engine++)
        for (int who = 0; who < 2; who++) {
            struct ext_two whole = faulty(engine, who, &(struct ccz_chan_fault_cfg){0});
            ext_expect_ok(&whole);
            uint64_t messages = ccz_chan_stats(whole.p[who].chan).sent_len;
            ext_free(&whole);
            CHECK(messages >= 5);
            for (uint64_t n = 1; n <= messages; n++) {
                struct ext_two t;
                if (engine == 0 || n % 2) { /* set-up takes its time */
                    t = faulty(engine, who, &(struct ccz_chan_fault_cfg){.send_shorten = n});
                    CHECK(t.p[1 - who].rc == CCZ_E_PEER);
                    CHECK(strcmp(t.p[1 - who].err.where, "chan:size") == 0);
                    ext_free(&t);
                }
                if (engine == 0 || n % 2 == 0) {
                    t = faulty(engine, who, &(struct ccz_chan_fault_cfg){.send_cut_after = n});
                    CHECK(t.p[1 - who].rc == CCZ_E_CLOSED || n == messages);
                    ext_free(&t);
                }
            }
        }
}

/* ------------------------------------------------------------------------- silent: what travels */

/* A changed bit of the trees, of the challenge or of the answer is noticed by the receiver. */
static uint64_t edited_message;
static size_t edited_byte;

static void flip_one(uint8_t *msg, size_t size, uint64_t n)
{
    if (n == edited_message) {
        CHECK(edited_byte < size);
        msg[edited_byte] ^= 2;
    }
}

static ccz_rc prepare_one(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    return ccz_ot_ext_prepare(e, 1, err);
}

static void test_flipped(void)
{
    static const struct {
        int who;
        uint64_t message;
        size_t byte;
    } flips[] = {{0, 3, 1}, {0, 10, 5119}, {0, 11, 0}, {0, 11, 31}, {1, 5, 0}, {1, 5, 31}};
    for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
        struct ext_two t = ext_new(&ext_engines[1], prepare_one, prepare_one, NULL);
        edited_message = flips[i].message;
        edited_byte = flips[i].byte;
        t.p[flips[i].who].chan = edited_new(t.p[flips[i].who].chan, flip_one);
        ext_run(&t);
        if (t.p[1].rc != CCZ_E_PEER)
            fprintf(stderr, "flip %zu: %s %s\n", i, ccz_rc_name(t.p[1].rc), t.p[1].err.where);
        CHECK(t.p[1].rc == CCZ_E_PEER && strcmp(t.p[1].err.where, "ot:silent-check") == 0);
        ext_free(&t);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ext_peer.bytes", test_bytes},
        {"ext_peer.form_bytes", test_form_bytes},
        {"ext_peer.silent_bytes", test_silent_bytes},
        {"ext_peer.arguments", test_arguments},
        {"ext_peer.empty", test_empty},
        {"ext_peer.hello", test_hello},
        {"ext_peer.broken", test_broken},
        {"ext_peer.flipped", test_flipped},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
