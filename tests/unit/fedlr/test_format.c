/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and masks against big integers, messages, and the sealed state of a party. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "fedlr/fedlr_priv.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <openssl/bn.h>

/* --------------------------------------------------------------------------------- layout */

static void layout_bounds(void)
{
    static const unsigned bits[] = {1024, 2048, 3072, 4096};
    static const size_t rows[] = {1, 32, 4096, 100000, CCZ_FEDLR_ROWS_MAX};
    for (size_t b = 0; b < 4; b++)
        for (size_t r = 0; r < 5; r++)
            for (uint32_t parties = 1; parties <= CCZ_FEDLR_PARTIES_MAX; parties += 9)
                for (unsigned optimize = 0; optimize <= CCZ_FEDLR_ALL; optimize++) {
                    struct cczi_fl_layout l;
                    struct ccz_err err = {0};
                    CHECK(cczi_fl_layout_of(&l, bits[b], rows[r], parties, optimize, &err) ==
                          CCZ_OK);
                    double value =
                        ldexp((parties + 1) * CCZI_SHARE_CLIP + 0.5, CCZI_SHARE_FRACTION);
                    CHECK(value < ldexp(1, (int)l.value_bits));
                    /* the sum over all rows fits in half a slot, its neighbours' carries with it */
                    CHECK(value * ldexp(1, (int)l.x_bits) * (double)rows[r] <=
                          ldexp(1, (int)l.slot_bits - 2));
                    CHECK(l.slots == 1 || (optimize & CCZ_FEDLR_PACK));
                    CHECK(l.total_bits + 1 + CCZI_HIDING_BITS <= l.mask_bits);
                    CHECK(l.mask_bits + 1 <= bits[b] - 4); /* below n / 3 */
                    CHECK(l.window >= 2 && l.window <= 64);
                    CHECK(l.middle + l.drop + l.window <= l.total_bits + 1);
                    /* no larger number of slots would do */
                    unsigned more = l.slot_bits * (2 * l.slots + 1);
                    CHECK(!(optimize & CCZ_FEDLR_PACK) || more + CCZI_HIDING_BITS > l.mask_bits);
                }
    struct cczi_fl_layout l;
    CHECK(cczi_fl_layout_of(&l, 2048, 100000, 1, CCZ_FEDLR_ALL, NULL) == CCZ_OK);
    CHECK(l.slots >= 16); /* that is what makes the packed traffic small */
    struct ccz_err err = {0};
    CHECK(cczi_fl_layout_of(&l, 96, 100000, 1, CCZ_FEDLR_ALL, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "fedlr:layout") == 0);
}

static void layout_fixed(void)
{
    CHECK(cczi_fl_fixed(1.5, 4, 8) == 24);
    CHECK(cczi_fl_fixed(-0.3, 8, 8) == -77);
    CHECK(cczi_fl_fixed(100, 4, 8) == 127 && cczi_fl_fixed(-100, 4, 8) == -127);
    CHECK(cczi_fl_fixed(HUGE_VAL, 4, 8) == 127);
}

/* A number that stands for n: odd, with its top bit set. */
static void some_n(uint8_t *n, size_t size)
{
    struct ccz_seeded r = ccz_seeded_from(77, size);
    for (size_t i = 0; i < size; i++)
        n[i] = (uint8_t)ccz_seeded_u64(&r);
    n[0] |= 0x80;
    n[size - 1] |= 1;
}

static BIGNUM *signed_bn(int64_t v)
{
    BIGNUM *b = BN_new();
    CHECK(b && BN_set_word(b, (BN_ULONG)(v < 0 ? -v : v)));
    BN_set_negative(b, v < 0);
    return b;
}

/* acc += v 2^shift */
static void add_shifted(BIGNUM *acc, int64_t v, unsigned shift)
{
    BIGNUM *b = signed_bn(v);
    CHECK(BN_lshift(b, b, (int)shift) && BN_add(acc, acc, b));
    BN_free(b);
}

static void pack_exact(void)
{
    enum { SIZE = 256 };
    uint8_t n[SIZE], residue[SIZE];
    some_n(n, SIZE);
    struct cczi_fl_layout l;
    CHECK(cczi_fl_layout_of(&l, 8 * SIZE, 5000, 2, CCZ_FEDLR_ALL, NULL) == CCZ_OK);
    struct ccz_seeded r = ccz_seeded_from(1, 2);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *bn = BN_bin2bn(n, SIZE, NULL);
    for (int round = 0; round < 200; round++) {
        int64_t v[64] = {0};
        size_t len = 1 + (size_t)ccz_seeded_below(&r, l.slots);
        BIGNUM *want = BN_new(), *got;
        for (size_t i = 0; i < len; i++) {
            int64_t top = ((int64_t)1 << l.value_bits) - 1;
            int64_t some = (int64_t)ccz_seeded_below(&r, (uint64_t)(2 * top)) - top;
            v[i] = round == 0 ? top : round == 1 ? -top : round == 2 ? 0 : some;
            add_shifted(want, v[i], (unsigned)i * l.slot_bits);
        }
        CHECK(BN_nnmod(want, want, bn, ctx));
        cczi_fl_pack(residue, v, len, &l, n);
        got = BN_bin2bn(residue, SIZE, NULL);
        CHECK(BN_cmp(want, got) == 0);
        BN_free(want);
        BN_free(got);
    }
    BN_free(bn);
    BN_CTX_free(ctx);
}

/*
 * The whole way of a product, with integers in place of ciphertexts: pack, multiply by shifted features, add a mask, take
 * the window, unmask. Extremes included; the result may be off by one unit of the last place returned.
 */
static void product_way(int extreme, unsigned optimize, size_t rows)
{
    enum { SIZE = 256 };
    uint8_t n[SIZE], residue[SIZE], mask[SIZE];
    some_n(n, SIZE);
    struct cczi_fl_layout l;
    CHECK(cczi_fl_layout_of(&l, 8 * SIZE, rows, 1, optimize, NULL) == CCZ_OK);
    struct ccz_seeded r = ccz_seeded_from(5, rows);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *bn = BN_bin2bn(n, SIZE, NULL), *z = BN_new(), *p = BN_new();
    double want = 0;
    int64_t dmax = cczi_fl_fixed(2 * CCZI_SHARE_CLIP + 0.5, CCZI_SHARE_FRACTION, 100);
    int64_t xmax = ((int64_t)1 << l.x_bits) - 1;
    for (size_t from = 0; from < rows; from += l.slots) {
        size_t len = rows - from < l.slots ? rows - from : l.slots;
        int64_t d[64];
        BIGNUM *e = BN_new();
        for (size_t i = 0; i < len; i++) {
            d[i] = extreme ? (extreme > 0 ? dmax : -dmax)
                           : (int64_t)ccz_seeded_below(&r, (uint64_t)(2 * dmax)) - dmax;
            int64_t x = extreme ? xmax : (int64_t)ccz_seeded_below(&r, (uint64_t)(2 * xmax)) - xmax;
            want +=
                ldexp((double)d[i], -CCZI_SHARE_FRACTION) * ldexp((double)x, -(int)l.x_fraction);
            add_shifted(e, x, l.slot_bits * (unsigned)(l.slots - 1 - i));
        }
        cczi_fl_pack(residue, d, len, &l, n);
        CHECK(BN_bin2bn(residue, SIZE, p) && BN_mul(p, p, e, ctx) && BN_add(z, z, p));
        BN_free(e);
    }
    CHECK(BN_nnmod(z, z, bn, ctx));
    CHECK(cczi_fl_mask(mask, &l, NULL, NULL) == CCZ_OK);
    BIGNUM *m = BN_bin2bn(mask, SIZE, NULL);
    CHECK(BN_mod_add(z, z, m, bn, ctx) && BN_bn2binpad(z, residue, SIZE) == SIZE);
    CHECK(BN_num_bits(z) <=
          (int)l.mask_bits + 1); /* no borrow below 0: it would look like n - something */
    double got = cczi_fl_unmask(cczi_fl_window(residue, &l), mask, &l);
    CHECK(fabs(got - want) <= 2 * ldexp(1, -CCZI_SUM_FRACTION) + 1e-9 * fabs(want));
    BN_free(m);
    BN_free(z);
    BN_free(p);
    BN_free(bn);
    BN_CTX_free(ctx);
}

static void product_exact(void)
{
    for (int extreme = -1; extreme <= 1; extreme++)
        for (unsigned optimize = 0; optimize <= CCZ_FEDLR_ALL; optimize++)
            for (size_t rows = 1; rows <= 1000; rows = rows * 7 + 3)
                product_way(extreme, optimize, rows);
}

static ccz_rc no_randomness(void *arg, void *out, size_t size)
{
    (void)arg, (void)out, (void)size;
    return CCZ_E_INTERNAL;
}

static ccz_rc all_ones(void *arg, void *out, size_t size)
{
    (void)arg;
    memset(out, 0xff, size);
    return CCZ_OK;
}

static void masks(void)
{
    enum { SIZE = 256, DRAWS = 4000 };
    static uint8_t mask[SIZE], n[SIZE];
    struct cczi_fl_layout l;
    CHECK(cczi_fl_layout_of(&l, 8 * SIZE, 100000, 1, CCZ_FEDLR_ALL, NULL) == CCZ_OK);
    static unsigned ones[8 * SIZE];
    BIGNUM *low = BN_new(), *m = BN_new();
    CHECK(BN_set_bit(low, (int)l.total_bits));
    for (int i = 0; i < DRAWS; i++) {
        CHECK(cczi_fl_mask(mask, &l, NULL, NULL) == CCZ_OK);
        CHECK(BN_bin2bn(mask, SIZE, m));
        CHECK(BN_cmp(m, low) >= 0); /* never less than what the product can be below 0 */
        CHECK(BN_num_bits(m) <= (int)l.mask_bits + 1);
        for (unsigned b = 0; b < l.mask_bits; b++)
            ones[b] += (unsigned)BN_is_bit_set(m, (int)b);
    }
    for (unsigned b = 0; b < l.mask_bits;
         b++) /* every bit of the mask is a coin; 8 standard deviations */
        CHECK(fabs((double)ones[b] - DRAWS / 2) < 8 * sqrt(DRAWS) / 2);
    /* the largest mask and the largest product stay below n / 3 */
    const struct ccz_paillier_rng ones_rng = {.fill = all_ones};
    CHECK(cczi_fl_mask(mask, &l, &ones_rng, NULL) == CCZ_OK);
    some_n(n, SIZE);
    memset(n, 0, SIZE);
    n[0] = 0x80; /* the least n */
    BIGNUM *third = BN_bin2bn(n, SIZE, NULL);
    CHECK(BN_div_word(third, 3) != (BN_ULONG)-1);
    CHECK(BN_bin2bn(mask, SIZE, m) && BN_add(m, m, low) && BN_cmp(m, third) < 0);
    BN_free(third);
    BN_free(low);
    BN_free(m);
    const struct ccz_paillier_rng broken = {.fill = no_randomness};
    struct ccz_err err = {0};
    CHECK(cczi_fl_mask(mask, &l, &broken, &err) == CCZ_E_INTERNAL);
    CHECK(strcmp(err.where, "fedlr:random") == 0);
}

/* ------------------------------------------------------------------------------- messages */

static void build(struct ccz_buf *out, enum cczi_fl_msg_kind kind)
{
    struct cczi_fl_hello h = {.role = CCZI_ROLE_GUEST, .cols = 3, .rows = 70, .round = 9};
    memset(h.config, 1, sizeof(h.config));
    memset(h.ids, 2, sizeof(h.ids));
    cczi_fl_msg_begin(out, kind, 77);
    if (kind == CCZI_MSG_HELLO)
        cczi_fl_msg_put_hello(out, &h);
    else if (kind == CCZI_MSG_START) {
        ccz_buf_le64(out, 4);
        ccz_buf_le64(out, 500);
    } else if (kind == CCZI_MSG_GO)
        ccz_buf_u8(out, 1);
    else if (kind != CCZI_MSG_BYE) {
        cczi_fl_msg_put_double(out, -1.5);
        cczi_fl_msg_put_double(out, 2);
    }
}

static void messages(void)
{
    CCZ_AUTO_BUF b;
    struct cczi_fl_msg m;
    struct ccz_err err = {0};
    ccz_buf_init(&b, 1 << 16);
    for (int kind = CCZI_MSG_HELLO; kind < CCZI_MSG_KIND_LEN; kind++) {
        build(&b, (enum cczi_fl_msg_kind)kind);
        CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_OK);
        CHECK((int)m.kind == kind && m.round == 77);
        bool whole = kind == CCZI_MSG_HELLO || kind == CCZI_MSG_BYE || kind == CCZI_MSG_START ||
                     kind == CCZI_MSG_GO;
        for (size_t size = 0; size < b.size; size++) { /* cut anywhere */
            bool values = kind == CCZI_MSG_WINDOWS || kind == CCZI_MSG_SCORES;
            bool good = !whole && (values ? size >= 16 && size % 8 == 0 : size > 16);
            CHECK((cczi_fl_msg_parse(&m, CCZ_SPAN(b.ptr, size), &err) == CCZ_OK) == good);
        }
        if (whole) {
            ccz_buf_u8(&b, 0);
            CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_E_PEER);
            CHECK(strcmp(err.where, "fedlr:message") == 0);
        }
    }
    build(&b, CCZI_MSG_HELLO);
    CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_OK);
    CHECK(m.hello.role == CCZI_ROLE_GUEST && m.hello.cols == 3 && m.hello.rows == 70 &&
          m.hello.round == 9 && m.hello.config[31] == 1 && m.hello.ids[0] == 2);
    build(&b, CCZI_MSG_SCORES);
    CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_OK);
    CHECK(m.len == 2 && cczi_fl_msg_score(&m, 0) == -1.5 && cczi_fl_msg_score(&m, 1) == 2);
    cczi_fl_msg_put_double(&b, NAN);
    CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_E_PEER);
}

/* Each changed byte of the fixed part is refused, or changes what is read. */
static void messages_changed(void)
{
    CCZ_AUTO_BUF b;
    struct cczi_fl_msg m;
    ccz_buf_init(&b, 1 << 16);
    build(&b, CCZI_MSG_HELLO);
    static const size_t refused[] = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        b.ptr[refused[i]] ^= 0x80;
        CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), NULL) == CCZ_E_PEER);
        b.ptr[refused[i]] ^= 0x80;
    }
    b.ptr[23] ^= 1; /* columns: 2^24 */
    CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), NULL) == CCZ_E_PEER);
    b.ptr[23] ^= 1;
    b.ptr[31] ^= 1; /* rows: 2^56 */
    CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), NULL) == CCZ_E_PEER);
    b.ptr[31] ^= 1;
    build(&b, CCZI_MSG_GO);
    b.ptr[16] = 2;
    CHECK(cczi_fl_msg_parse(&m, ccz_buf_span(&b), NULL) == CCZ_E_PEER);
}

/* ----------------------------------------------------------------------------- checkpoint */

static const struct ccz_fedlr_cfg SOME_CFG = {.mode = CCZ_FEDLR_HOMO, .rounds = 5, .parties = 2};

static struct ccz_secret *some_key(uint8_t fill)
{
    struct ccz_secret *s;
    CHECK(ccz_secret_new(&s, 32) == CCZ_OK);
    memset(ccz_secret_bytes(s), fill, 32);
    return s;
}

static void checkpoint_round_trip(void)
{
    CCZ_AUTO(ccz_secret) seal = some_key(1);
    CCZ_AUTO(ccz_secret) wrong = some_key(2);
    struct ccz_fedlr_run run = {.cfg = &SOME_CFG, .checkpoint = temp_path("state"), .seal = seal};
    struct cczi_fl_history h = {0}, g = {0};
    struct ccz_err err = {0};
    const double first[3] = {1, 2, 3}, second[3] = {4.5, -5, 1e300};
    CHECK(cczi_fl_history_new(&h, 3, &err) == CCZ_OK && cczi_fl_history_new(&g, 3, &err) == CCZ_OK);
    CHECK(cczi_fl_history_load(&g, CCZI_ROLE_WORKER, &run, &err) == CCZ_OK && g.now.round == 0);
    CHECK(cczi_fl_history_push(&h, first, CCZI_ROLE_WORKER, &run, &err) == CCZ_OK);
    CHECK(cczi_fl_history_push(&h, second, CCZI_ROLE_WORKER, &run, &err) == CCZ_OK);
    CHECK(cczi_fl_history_load(&g, CCZI_ROLE_WORKER, &run, &err) == CCZ_OK);
    CHECK(g.now.round == 2 && memcmp(g.now.v, second, sizeof(second)) == 0);
    CHECK(g.has_before && g.before.round == 1 && memcmp(g.before.v, first, sizeof(first)) == 0);
    CHECK(cczi_fl_history_back(&g, 2, &err) == CCZ_OK && g.now.round == 2);
    CHECK(cczi_fl_history_back(&g, 1, &err) == CCZ_OK && g.now.v[2] == 3);
    CHECK(cczi_fl_history_back(&g, 0, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "fedlr:resume") == 0);

    run.seal = wrong;
    CHECK(cczi_fl_history_load(&g, CCZI_ROLE_WORKER, &run, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "fedlr:checkpoint-seal") == 0);
    run.seal = seal;
    CHECK(cczi_fl_history_load(&g, CCZI_ROLE_GUEST, &run, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "fedlr:checkpoint") == 0);
    struct ccz_fedlr_cfg other = SOME_CFG;
    other.eta = 0.25;
    run.cfg = &other;
    CHECK(cczi_fl_history_load(&g, CCZI_ROLE_WORKER, &run, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "fedlr:checkpoint-config") == 0);
    cczi_fl_history_free(&h);
    cczi_fl_history_free(&g);
}

static void checkpoint_damaged(void)
{
    CCZ_AUTO(ccz_secret) seal = some_key(3);
    CCZ_AUTO_BUF file;
    struct ccz_fedlr_run run = {.cfg = &SOME_CFG, .checkpoint = temp_path("damaged"), .seal = seal};
    struct cczi_fl_history h = {0};
    struct ccz_err err = {0};
    const double v[2] = {1, 2};
    ccz_buf_init(&file, 1 << 16);
    CHECK(cczi_fl_history_new(&h, 2, &err) == CCZ_OK);
    CHECK(cczi_fl_history_push(&h, v, CCZI_ROLE_HOST, &run, &err) == CCZ_OK);
    CHECK(ccz_file_read(&file, run.checkpoint, &err) == CCZ_OK);
    double clear = 1;
    for (size_t i = 0; i + sizeof(clear) <= file.size; i++) /* no weight stands there in clear */
        CHECK(memcmp(file.ptr + i, &clear, sizeof(clear)) != 0);
    for (size_t i = 0; i < file.size; i++) {
        file.ptr[i] ^= 1;
        CHECK(ccz_file_write(run.checkpoint, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, &err) ==
              CCZ_OK);
        CHECK(cczi_fl_history_load(&h, CCZI_ROLE_HOST, &run, &err) != CCZ_OK);
        file.ptr[i] ^= 1;
    }
    for (size_t size = 0; size < file.size; size += 3) {
        CHECK(ccz_file_write(run.checkpoint, CCZ_SPAN(file.ptr, size), 0600, CCZ_FILE_REPLACE,
                             &err) == CCZ_OK);
        CHECK(cczi_fl_history_load(&h, CCZI_ROLE_HOST, &run, &err) == CCZ_E_FORMAT);
    }
    cczi_fl_history_free(&h);
}

static const struct ccz_test tests[] = {
    {"fedlr.layout", layout_bounds},
    {"fedlr.fixed", layout_fixed},
    {"fedlr.pack", pack_exact},
    {"fedlr.product", product_exact},
    {"fedlr.masks", masks},
    {"fedlr.messages", messages},
    {"fedlr.messages_changed", messages_changed},
    {"fedlr.checkpoint", checkpoint_round_trip},
    {"fedlr.checkpoint_damaged", checkpoint_damaged},
};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
