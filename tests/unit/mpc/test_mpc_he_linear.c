/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products and convolutions in ciphertexts: values, tiles, noise at its worst, uniform shares, refusals. */
#include "he_kit.h"

#include <math.h>

static const unsigned rings[] = {8, 16, 32, 64};

static uint64_t bound_of(unsigned bits, bool full)
{
    return full ? UINT64_C(1) << (bits - 1) : UINT64_C(1) << (bits / 2 - 2);
}

/* One case alone, in one ring. */
static void run_case(struct he_shape s, unsigned bits, bool full)
{
    struct he_case c;
    struct he_pair q;
    uint64_t rng = 5 + bits;
    he_case_init(&c, s, bits, bound_of(bits, full), &rng);
    he_pair_init(&q, &c, 1, bits, bound_of(bits, full), &test_weights);
    he_run(&q);
    he_check(&c, bits);
    he_pair_deinit(&q);
    he_case_deinit(&c);
}

static void test_matmul(void)
{
    static const size_t shapes[][3] = {{1, 1, 1}, {7, 7, 7}, {1, 64, 5}, {13, 3, 1}, {3, 129, 17}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (size_t r = 0; r < 4; r++)
            run_case(he_matmul(shapes[i][0], shapes[i][1], shapes[i][2]), rings[r], i % 2);
    run_case(he_matmul(128, 784, 1), 64, false);
    run_case(he_matmul(128, 784, 1), 64, true);
    run_case(he_matmul(10, 784, 32), 32, false);
}

static void test_conv(void)
{
    static const struct he_shape shapes[] = {
        {1, 1, 5, 5, 3, 3, 2, 1, 0},   {2, 3, 7, 6, 3, 2, 5, 1, 1},    {1, 2, 9, 9, 3, 3, 4, 2, 1},
        {1, 3, 8, 5, 2, 2, 3, 2, 0},   {1, 1, 28, 28, 5, 5, 6, 1, 2},  {3, 5, 4, 4, 1, 1, 7, 3, 0},
        {1, 4, 11, 11, 5, 3, 3, 3, 2}, {1, 6, 14, 14, 5, 5, 16, 1, 0},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        run_case(shapes[i], rings[i % 4], i % 3 == 0);
    run_case((struct he_shape){1, 7, 40, 40, 3, 3, 2, 1, 1}, 16,
             false); /* more than a ciphertext */
    run_case((struct he_shape){1, 1, 3, 9000, 3, 3, 1, 1, 0}, 8, false); /* rows as well */
}

/* Many jobs in one plan share ciphertexts, those with other numbers of columns and convolutions too. */
static void test_together(void)
{
    enum { LEN = 14 };
    struct he_case c[LEN];
    struct he_pair q;
    uint64_t rng = 9;
    for (size_t i = 0; i < LEN; i++) {
        struct he_shape s = he_matmul(3 + i, i % 3 ? 50 : 21, i == 5 ? 2 : 1);
        if (i == 7)
            s = (struct he_shape){1, 2, 6, 6, 3, 3, 4, 1, 1};
        he_case_init(&c[i], s, 64, 1 << 20, &rng);
    }
    he_pair_init(&q, c, LEN, 64, 1 << 20, &test_weights);
    he_run(&q);
    for (size_t i = 0; i < LEN; i++)
        he_check(&c[i], 64);
    CHECK(q.plan[0].up < 8 && q.plan[0].down <= 1);
    /* once more with the same keys: shares are added */
    for (size_t i = 0; i < LEN; i++)
        for (size_t x = 0; x < c[i].out_len; x++)
            c[i].want[x] *= 2;
    he_run(&q);
    for (size_t i = 0; i < LEN; i++)
        he_check(&c[i], 64);
    he_pair_deinit(&q);
    for (size_t i = 0; i < LEN; i++)
        he_case_deinit(&c[i]);
}

/* Columns of one job from several places. */
static void test_parts(void)
{
    struct he_case c;
    struct he_pair q;
    uint64_t rng = 3;
    he_case_init(&c, he_matmul(9, 20, 6), 32, 1 << 10, &rng);
    he_pair_init(&q, &c, 1, 32, 1 << 10, &test_weights);
    for (unsigned end = 0; end < 2; end++) { /* images 0..1, 2, 3..5 */
        static const size_t lens[] = {2, 1, 3};
        struct cczi_he_job *j = &q.plan[end].jobs[0];
        struct cczi_he_part whole = j->parts[0];
        j->parts_len = j->images = 0;
        for (size_t i = 0, at = 0; i < 3; at += lens[i++]) {
            struct cczi_he_part part = whole;
            part.images = lens[i];
            part.v = whole.v ? whole.v + at * whole.v_image : NULL;
            part.out += at * whole.out_image;
            CHECK(cczi_he_part_add(j, &part, NULL) == CCZ_OK);
        }
    }
    he_run(&q);
    he_check(&c, 32);
    he_pair_deinit(&q);
    he_case_deinit(&c);
}

/* Every tiling gives the same, whatever is cheap: many channel tiles, few outputs in a product, many in one group. */
static void test_tilings(void)
{
    static const struct cczi_he_weights all[] = {
        {1, 1e-3, 1e-3, 1e-3}, {1e-3, 1e-3, 1, 1e-3}, {1e-3, 1, 1e-3, 1e-3}, {1, 1, 1, 1}};
    for (size_t i = 0; i < 4; i++) {
        struct he_case c[3];
        struct he_pair q;
        uint64_t rng = 21;
        he_case_init(&c[0], he_matmul(20, 300, 3), 16, 100, &rng);
        he_case_init(&c[1], he_matmul(4, 100, 3), 16, 100, &rng);
        he_case_init(&c[2], (struct he_shape){2, 9, 10, 10, 3, 3, 8, 1, 1}, 16, 100, &rng);
        he_pair_init(&q, c, 3, 16, 100, &all[i]);
        he_run(&q);
        for (size_t k = 0; k < 3; k++) {
            he_check(&c[k], 16);
            he_case_deinit(&c[k]);
        }
        he_pair_deinit(&q);
    }
}

/* Largest factors and operands of every sign pattern that adds up: what comes back decrypts, with room to spare. */
static void test_worst(void)
{
    for (size_t r = 0; r < 4; r++) {
        const unsigned bits = rings[r];
        struct he_case c;
        struct he_pair q;
        uint64_t rng = 1;
        he_case_init(&c, he_matmul(40, 200, 1), bits, 1, &rng);
        for (size_t i = 0; i < c.x_len; i++)
            c.x[i] = UINT64_C(1) << (bits - 1);
        for (size_t i = 0; i < c.v_len; i++)
            c.v[i] = (i % 2 ? 0 - UINT64_C(1) : UINT64_C(1)) << (bits - 1) >> 1;
        for (size_t i = 0; i < c.v_len; i++)
            c.v[i] = ((UINT64_C(1) << (bits - 1)) - i % 2) & (~UINT64_C(0) >> (64 - bits));
        he_expect(&c, bits);
        he_pair_init(&q, &c, 1, bits, UINT64_C(1) << (bits - 1), &test_weights);
        he_run(&q);
        he_check(&c, bits);
        /* noise that is there, against the bound that came along: of the part that is packed */
        struct cczi_he_suite *s = q.suite[0];
        CCZ_AUTO(ccz_bfv_ct) ct = NULL;
        CHECK(ccz_bfv_ct_new(&ct, s->pack_c, NULL) == CCZ_OK);
        const size_t size = cczi_he_down_size(s->pack_c, s->return_limbs);
        CHECK(ccz_bfv_ct_read(ct, s->pack_e, CCZ_SPAN(q.down.ptr, size), NULL, NULL) == CCZ_OK);
        CHECK(ccz_bfv_noise_bits(ct) < ccz_bfv_room(s->pack_c, 0) - 0.2);
        he_pair_deinit(&q);
        he_case_deinit(&c);
    }
}

/* Each party's share alone is uniform: chi-square over 256 values, of top and bottom bits, for constant operands. */
static void test_uniform(void)
{
    struct he_case c;
    struct he_pair q;
    uint64_t rng = 1;
    he_case_init(&c, he_matmul(96, 2, 64), 64, 4, &rng);
    for (size_t i = 0; i < c.x_len; i++)
        c.x[i] = 3;
    for (size_t i = 0; i < c.v_len; i++)
        c.v[i] = 5;
    he_expect(&c, 64);
    he_pair_init(&q, &c, 1, 64, 4, &test_weights);
    he_run(&q);
    he_check(&c, 64);
    for (unsigned end = 0; end < 2; end++)
        for (unsigned shift = 0; shift <= 56; shift += 56) {
            size_t count[256] = {0};
            double chi = 0, mean = (double)c.out_len / 256;
            for (size_t i = 0; i < c.out_len; i++)
                count[c.out[end][i] >> shift & 255]++;
            for (size_t i = 0; i < 256; i++)
                chi += ((double)count[i] - mean) * ((double)count[i] - mean) / mean;
            CHECK(chi > 130 && chi < 470); /* 255 degrees of freedom: once in 10^12 */
        }
    he_pair_deinit(&q);
    he_case_deinit(&c);
}

/* The plan's size is what is promised for known shapes, and its memory is laid out without overlap. */
static void test_sizes(void)
{
    static const struct {
        struct he_shape s;
        size_t up, down;
    } known[] = {{{1, 784, 1, 1, 1, 1, 128, 1, 0}, 1, 1},
                 {{32, 784, 1, 1, 1, 1, 128, 1, 0}, 7, 1},
                 {{32, 128, 1, 1, 1, 1, 128, 1, 0}, 2, 1}};
    for (size_t i = 0; i < 3; i++) {
        struct he_case c;
        struct cczi_he_plan p = {0};
        uint64_t rng = 1;
        he_case_init(&c, known[i].s, 64, 4, &rng);
        he_add_job(&p, &c, 0);
        CHECK(cczi_he_plan_tiles(&p, 8192, &test_weights, NULL) == CCZ_OK);
        CHECK(p.up <= known[i].up && p.down <= known[i].down);
        cczi_he_plan_deinit(&p);
        he_case_deinit(&c);
    }
    struct he_case c;
    struct cczi_he_plan p = {0};
    struct ccz_err err;
    uint64_t rng = 1;
    he_case_init(&c, (struct he_shape){1, 1, 120, 120, 120, 120, 1, 1, 0}, 64, 4, &rng);
    he_add_job(&p, &c, 0);
    CHECK(is_refused(cczi_he_plan_tiles(&p, 8192, &test_weights, &err), CCZ_E_LIMIT, &err,
                     "mpc:he-size"));
    cczi_he_plan_deinit(&p);
    he_case_deinit(&c);
}

static void test_refuse(void)
{
    struct he_case c;
    struct he_pair q;
    struct ccz_err err;
    uint64_t rng = 1;
    const struct cczi_he_rng words = {test_words, &rng};
    he_case_init(&c, he_matmul(3, 4, 1), 16, 100, &rng);
    he_pair_init(&q, &c, 1, 16, 100, &test_weights);
    he_run(&q);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 24);
    const struct ccz_span up = ccz_buf_span(&q.up), down = ccz_buf_span(&q.down);
    const struct cczi_he_plan *mine = &q.plan[0], *theirs = &q.plan[1];
    struct cczi_he_suite *owner = q.suite[0], *other = q.suite[1];
    for (size_t cut = 0; cut < up.size; cut += up.size / 5)
        CHECK(cczi_he_linear_eval(&out, theirs, other, CCZ_SPAN(up.ptr, cut), &words, &err) ==
              CCZ_E_FORMAT);
    for (size_t cut = 0; cut < down.size; cut += down.size / 5)
        CHECK(cczi_he_linear_down(mine, owner, CCZ_SPAN(down.ptr, cut), &err) == CCZ_E_FORMAT);
    CCZ_AUTO_BUF more;
    ccz_buf_init(&more, 1 << 24);
    ccz_buf_put(&more, up.ptr, up.size);
    ccz_buf_put(&more, up.ptr, up.size);
    CHECK(is_refused(cczi_he_linear_eval(&out, theirs, other, ccz_buf_span(&more), &words, &err),
                     CCZ_E_PEER, &err, "mpc:he-size"));
    ccz_buf_clear(&more);
    ccz_buf_put(&more, down.ptr, down.size);
    ccz_buf_put(&more, down.ptr, down.size);
    CHECK(is_refused(cczi_he_linear_down(mine, owner, ccz_buf_span(&more), &err), CCZ_E_PEER, &err,
                     "mpc:he-size"));
    /* a ciphertext of another key; one residue out of range */
    q.up.ptr[40] ^= 1;
    CHECK(is_refused(cczi_he_linear_eval(&out, theirs, other, up, &words, &err), CCZ_E_MISMATCH,
                     &err, "rlwe:key-id"));
    q.up.ptr[40] ^= 1;
    memset(q.up.ptr + 200, 0xff, 64);
    CHECK(is_refused(cczi_he_linear_eval(&out, theirs, other, up, &words, &err), CCZ_E_FORMAT, &err,
                     "rlwe:residue"));
    q.down.ptr[40] ^= 1;
    CHECK(is_refused(cczi_he_linear_down(mine, owner, down, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:key-id"));
    /* a factor that is larger than was said */
    c.x[0] = 101;
    ccz_buf_clear(&q.up);
    CHECK(cczi_he_linear_up(&q.up, mine, owner, NULL) == CCZ_OK);
    CHECK(is_refused(cczi_he_linear_eval(&out, theirs, other, ccz_buf_span(&q.up), &words, &err),
                     CCZ_E_ARG, &err, "bfv:declared"));
    he_pair_deinit(&q);
    he_case_deinit(&c);
}

/* Keys: cut, of another owner, sent again for more doublings. */
static void test_keys(void)
{
    struct he_case c;
    struct he_pair q;
    struct ccz_err err;
    uint64_t rng = 1;
    he_case_init(&c, he_matmul(3, 4, 1), 16, 100, &rng);
    he_pair_init(&q, &c, 1, 16, 100, &test_weights);
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 1 << 24);
    CHECK(!cczi_he_keys_missing(true, 3, 1) && cczi_he_keys_missing(false, 3, 1) &&
          cczi_he_keys_missing(true, 3, 4));
    CHECK(cczi_he_keys_write(&keys, q.suite[0], 7, NULL) == CCZ_OK);
    for (size_t cut = 0; cut < keys.size; cut += keys.size / 7)
        CHECK(cczi_he_keys_read(q.suite[1], CCZ_SPAN(keys.ptr, cut), 7, &err) == CCZ_E_FORMAT);
    CHECK(cczi_he_keys_read(q.suite[1], ccz_buf_span(&keys), 7, NULL) == CCZ_OK);
    he_run(&q);
    he_check(&c, 16);
    /* suddenly another key */
    CCZ_AUTO(cczi_he_suite) foreign = NULL;
    CHECK(cczi_he_suite_new(&foreign, 16, 100, q.suite[0]->terms, q.suite[0]->n, CCZI_HE_FLOOD,
                            NULL) == CCZ_OK);
    ccz_buf_clear(&keys);
    CHECK(cczi_he_keys_write(&keys, foreign, 7, NULL) == CCZ_OK);
    CHECK(is_refused(cczi_he_keys_read(q.suite[1], ccz_buf_span(&keys), 7, &err), CCZ_E_MISMATCH,
                     &err, "rlwe:key-id"));
    he_run(&q); /* the old ones are still there */
    he_pair_deinit(&q);
    he_case_deinit(&c);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpc_he.matmul", test_matmul},     {"mpc_he.conv", test_conv},
        {"mpc_he.together", test_together}, {"mpc_he.parts", test_parts},
        {"mpc_he.tilings", test_tilings},   {"mpc_he.worst", test_worst},
        {"mpc_he.uniform", test_uniform},   {"mpc_he.sizes", test_sizes},
        {"mpc_he.refuse", test_refuse},     {"mpc_he.keys", test_keys}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
