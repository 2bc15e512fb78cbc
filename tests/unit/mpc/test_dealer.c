/* SPDX-License-Identifier: Apache-2.0 */
/* The dealer between two clients that may lie, disagree, or stop. */
#include "kit.h"
#include "mpc/deal.h"

/* Two clients that send these messages, in order, and read nothing but what comes. */
struct talk {
    struct ccz_span msg[2][3];
};
static const uint8_t session[32] = {7};
static bool used;

static bool fresh(void *arg, const uint8_t s[32])
{
    (void)arg;
    return !used && s[0] == 7;
}

static void talk(const struct talk *t, uint64_t len_max, ccz_rc rc, const char *where)
{
    struct ccz_chan *c[2], *d[2];
    struct ccz_err e = {0};
    const struct ccz_mpc_dealer_cfg cfg = {.len_max = len_max, .fresh = fresh};
    for (int i = 0; i < 2; i++) {
        CHECK(ccz_chan_pair(&c[i], &d[i], NULL, NULL) == CCZ_OK);
        for (int k = 0; k < 3; k++)
            if (t->msg[i][k].ptr)
                CHECK(ccz_chan_send(c[i], t->msg[i][k], NULL) == CCZ_OK);
        ccz_chan_set_timeout(d[i], 300);
    }
    ccz_rc got = ccz_mpc_dealer_run(d[0], d[1], &cfg, &e);
    if (got != rc || strcmp(e.where, where) != 0)
        fprintf(stderr, "got %s %s (%s), expected %s\n", ccz_rc_name(got), e.where, e.msg, where);
    CHECK(got == rc && strcmp(e.where, where) == 0);
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(c[i]);
        ccz_chan_free(d[i]);
    }
}

/* A request of one need. */
static struct ccz_span request(struct ccz_buf *b, const struct ccz_mpc_need *n)
{
    ccz_buf_init(b, 4096);
    cczi_deal_put_need(b, n);
    return ccz_buf_span(b);
}

static void test_hello(void)
{
    uint8_t h[2][CCZI_DEAL_HELLO], bad[CCZI_DEAL_HELLO];
    const uint8_t other[32] = {7, 1};
    static const uint8_t nothing[1];
    const struct ccz_span bye = CCZ_SPAN(nothing, 0);
    for (unsigned i = 0; i < 2; i++)
        cczi_deal_hello(h[i], i, 64, session);
    struct talk t = {{{CCZ_SPAN(h[0], 48), bye}, {CCZ_SPAN(h[1], 48), bye}}};
    talk(&t, 0, CCZ_OK, "");
    used = true;
    talk(&t, 0, CCZ_E_DENIED, "mpc:dealer-session");
    used = false;
    for (size_t n = 0; n < CCZI_DEAL_HELLO; n++) {
        t.msg[1][0] = CCZ_SPAN(h[1], n);
        talk(&t, 0, CCZ_E_PEER, "chan:size");
    }
    for (size_t i = 0; i < 16; i++) {
        memcpy(bad, h[1], sizeof(bad));
        bad[i] ^= 0x40;
        t.msg[1][0] = CCZ_SPAN(bad, sizeof(bad));
        talk(&t, 0, CCZ_E_PEER, "mpc:dealer-hello");
    }
    t.msg[1][0] = CCZ_SPAN(h[0], 48);
    talk(&t, 0, CCZ_E_PEER, "mpc:dealer-role");
    cczi_deal_hello(bad, 1, 64, other);
    t.msg[1][0] = CCZ_SPAN(bad, 48);
    talk(&t, 0, CCZ_E_PEER, "mpc:dealer-session");
    cczi_deal_hello(bad, 1, 32, session);
    talk(&t, 0, CCZ_E_PEER, "mpc:dealer-mismatch");
    t.msg[1][0] = CCZ_SPAN(h[1], 48);
    t.msg[1][1] = CCZ_SPAN(NULL, 0); /* leaves without a goodbye */
    talk(&t, 0, CCZ_E_TIMEOUT, "chan:recv-timeout");
}

static void test_requests(void)
{
    uint8_t h[2][CCZI_DEAL_HELLO];
    static const uint8_t nothing[1];
    CCZ_AUTO_BUF a;
    CCZ_AUTO_BUF b;
    const struct ccz_mpc_need conv = {
        .kind = CCZ_MPC_CROSS_CONV2D, .owner = 1, .conv = {1, 5, 5, 1, 3, 3, 2, 1, 0, 3, 3}};
    for (unsigned i = 0; i < 2; i++)
        cczi_deal_hello(h[i], i, 64, session);
    const struct ccz_span bye = CCZ_SPAN(nothing, 0);
    struct talk t = {{{CCZ_SPAN(h[0], 48)}, {CCZ_SPAN(h[1], 48)}}};
    struct ccz_span good = request(&a, &conv);
    t.msg[0][1] = t.msg[1][1] = good;
    t.msg[0][2] = t.msg[1][2] = bye;
    talk(&t, 0, CCZ_OK, "");
    talk(&t, 160, CCZ_OK, "");
    talk(&t, 159, CCZ_E_LIMIT, "mpc:dealer-limit"); /* 25 + 18, 2 x 18, and 81 of windows */
    for (size_t n = 1; n < good.size; n++) {
        t.msg[0][1] = t.msg[1][1] = CCZ_SPAN(good.ptr, n);
        talk(&t, 0, CCZ_E_PEER, "mpc:dealer-request");
    }
    for (size_t at = 0; at < 8; at++) { /* kind, owner, flag, zeros */
        a.ptr[at] ^= 0x88;
        t.msg[0][1] = t.msg[1][1] = good;
        talk(&t, 0, CCZ_E_PEER, "mpc:dealer-request");
        a.ptr[at] ^= 0x88;
    }
    struct ccz_span other = request(&b, &(struct ccz_mpc_need){.kind = CCZ_MPC_MUL, .n = 5});
    t.msg[0][1] = good;
    t.msg[1][1] = other;
    talk(&t, 0, CCZ_E_PEER, "mpc:dealer-mismatch");
    t.msg[0][1] = bye;
    talk(&t, 0, CCZ_E_PEER, "mpc:dealer-mismatch");
    ccz_buf_clear(&b);
    cczi_deal_put_need(&b, &(struct ccz_mpc_need){
                               .kind = CCZ_MPC_MATMUL, .m = 1 << 20, .k = 1 << 20, .n = 1 << 20});
    t.msg[0][1] = t.msg[1][1] = ccz_buf_span(&b);
    talk(&t, 0, CCZ_E_PEER, "mpc:dealer-request");
    ccz_buf_clear(&b);
    cczi_deal_put_need(&b, &(struct ccz_mpc_need){.kind = CCZ_MPC_MUL, .n = (size_t)1 << 30});
    t.msg[0][1] = t.msg[1][1] = ccz_buf_span(&b);
    talk(&t, 0, CCZ_E_LIMIT, "mpc:dealer-limit");
}

/* ------------------------------------------------------------------------------------ clients */

static const struct ccz_mpc_need many[] = {{.kind = CCZ_MPC_MUL, .n = 3 * CCZI_DEAL_BLOCK + 5},
                                           {.kind = CCZ_MPC_AND, .n = 64 * CCZI_DEAL_BLOCK + 9},
                                           {.kind = CCZ_MPC_SQUARE, .n = CCZI_DEAL_BLOCK},
                                           {.kind = CCZ_MPC_MATMUL, .m = 3, .k = 50, .n = 40},
                                           {.kind = CCZ_MPC_MUL, .n = 600000}};
enum { MANY = sizeof(many) / sizeof(many[0]) };

/* Relations of what is dealt, in many blocks and messages; bytes as the cost says. */
static void run_relations(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_cost cost;
    (void)arg;
    OK(ccz_mpc_source_cost(&cost, p->m->source, many, MANY, e));
    struct ccz_mpc_phase_stats before = ccz_mpc_stats(p->m).phase[CCZ_MPC_OFFLINE];
    OK(ccz_mpc_prepare(p->m, many, MANY, e));
    struct ccz_mpc_phase_stats after = ccz_mpc_stats(p->m).phase[CCZ_MPC_OFFLINE];
    uint64_t dealt = after.sent_size - before.sent_size + after.received_size -
                     before.received_size - 64; /* comparison of needs */
    /* party 0 sees its own half of the requests and of the set-up, and no answers */
    uint64_t half = MANY * CCZI_DEAL_NEED + CCZI_DEAL_HELLO + CCZI_DEAL_SEED;
    CHECK(dealt == (p->role == 0 ? half : cost.size + cost.setup_size - half));
    for (int i = 0; i < MANY; i++) {
        struct ccz_mpc_item item;
        OK(cczi_mpc_take(&item, p->m, &many[i], e));
        size_t n = many[i].kind == CCZ_MPC_MATMUL ? 0 : item.c_len;
        uint64_t *b = item.b ? item.b : item.a;
        if (many[i].kind == CCZ_MPC_AND) {
            cczi_mpc_open_xor(p->m, item.a, many[i].n);
            cczi_mpc_open_xor(p->m, item.b, many[i].n);
            cczi_mpc_open_xor(p->m, item.c, many[i].n);
        } else {
            cczi_mpc_open_sum(p->m, item.a, item.a_len, 64);
            if (item.b)
                cczi_mpc_open_sum(p->m, item.b, item.b_len, 64);
            cczi_mpc_open_sum(p->m, item.c, item.c_len, 64);
        }
        OK(cczi_mpc_round(p->m, e));
        for (size_t k = 0; k < n; k++)
            CHECK(item.c[k] == (many[i].kind == CCZ_MPC_AND ? item.a[k] & b[k] : item.a[k] * b[k]));
        if (many[i].kind == CCZ_MPC_MATMUL) {
            uint64_t c[120] = {0};
            ccz_ring_matmul_add(c, item.a, item.b, 3, 50, 40, 64);
            CHECK(memcmp(c, item.c, sizeof(c)) == 0);
        }
        cczi_mpc_item_deinit(&item);
    }
}

static void test_relations(void)
{
    kit_source = CCZ_MPC_SOURCE_DEALER;
    both(64, run_relations, NULL);
}

/* The dealer goes away, or what it says is cut: both clients end with an error. */
static void run_square(struct party *p, void *arg)
{
    uint64_t v[3] = {1, 2, 3}, out[3];
    struct ccz_mpc_tensor *t = input(p, 3, CCZ_MPC_SHAPE1(3), 0, v);
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    (void)arg;
    p->rc = ccz_mpc_square(&r, t, &p->err);
    if (p->rc == CCZ_OK)
        p->rc = ccz_mpc_reveal(out, r, CCZ_MPC_TO_BOTH, "x", &p->err);
    ccz_mpc_tensor_free(t);
}

static void test_faults(void)
{
    kit_source = CCZ_MPC_SOURCE_DEALER;
    for (int who = 0; who < 2; who++)
        for (uint64_t n = 1; n <= 1 + (uint64_t)who; n++)
            for (int how = 0; how < 2; how++) {
                struct duo d;
                struct ccz_chan_fault_cfg fault = {0};
                *(how ? &fault.send_shorten : &fault.send_cut_after) = n - !how;
                if (!how && n == 1)
                    continue;
                duo_init(&d, 64);
                CHECK(ccz_chan_fault_new(&d.dealer[who], d.dealer[who], &fault, NULL) == CCZ_OK);
                duo_run(&d, run_square, NULL);
                CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK);
                duo_free(&d);
            }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"dealer.hello", test_hello},
                                            {"dealer.requests", test_requests},
                                            {"dealer.relations", test_relations},
                                            {"dealer.faults", test_faults}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
