/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise products in slots: values at the ends of the range, masks, noise, uniform shares, refusals. */
#include "he_kit.h"

static const unsigned rings[] = {8, 16, 32, 64};

struct slot_pair {
    struct cczi_he_slots *s[2]; /* 0 owns the key */
    struct ccz_buf up, down;
    uint64_t *arg[2][2], *out[2], *want; /* [end][operand] */
    struct cczi_he_elements el[2];
    uint64_t rng;
};

static void slot_init(struct slot_pair *q, unsigned bits, size_t operands, size_t len)
{
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 1 << 26);
    *q = (struct slot_pair){.rng = 7 + bits};
    ccz_buf_init(&q->up, 1 << 28);
    ccz_buf_init(&q->down, 1 << 28);
    q->want = he_alloc(len);
    for (unsigned end = 0; end < 2; end++) {
        CHECK(cczi_he_slots_new(&q->s[end], bits, NULL) == CCZ_OK);
        q->out[end] = he_alloc(len);
        q->el[end] =
            (struct cczi_he_elements){.operands = operands, .len = len, .out = q->out[end]};
        for (size_t k = 0; k < operands; k++) {
            q->arg[end][k] = he_alloc(len);
            he_values(q->arg[end][k], len, bits, UINT64_C(1) << (bits - 1), &q->rng);
            if (len >= 4) /* the largest products, and none */
                for (size_t i = 0; i < 4; i++)
                    q->arg[end][k][i] = i & (1u << end) ? 0 : ~UINT64_C(0) >> (64 - bits);
            q->el[end].enc[k] = end ? NULL : q->arg[end][k];
            q->el[end].fac[k] = end ? q->arg[end][k] : NULL;
        }
    }
    for (size_t i = 0; i < len; i++)
        for (size_t k = 0; k < operands; k++)
            q->want[i] =
                (q->want[i] + q->arg[0][k][i] * q->arg[1][k][i]) & (~UINT64_C(0) >> (64 - bits));
    CHECK(cczi_he_slots_keys_write(&keys, q->s[0], NULL) == CCZ_OK);
    CHECK(keys.size == cczi_he_slots_keys_size(q->s[0]));
    CHECK(cczi_he_slots_keys_read(q->s[1], ccz_buf_span(&keys), NULL) == CCZ_OK);
}

static void slot_deinit(struct slot_pair *q)
{
    ccz_buf_free(&q->up);
    ccz_buf_free(&q->down);
    free(q->want);
    for (unsigned end = 0; end < 2; end++) {
        cczi_he_slots_free(q->s[end]);
        free(q->out[end]);
        free(q->arg[end][0]);
        free(q->arg[end][1]);
    }
}

static void slot_run(struct slot_pair *q)
{
    const struct cczi_he_rng rng = {test_words, &q->rng};
    const struct cczi_he_elements *el = &q->el[0];
    ccz_buf_clear(&q->up);
    ccz_buf_clear(&q->down);
    CHECK(cczi_he_slots_up(&q->up, q->s[0], &q->el[0], NULL) == CCZ_OK);
    CHECK(q->up.size == cczi_he_slots_up_size(q->s[1], el->operands, el->len));
    CHECK(cczi_he_slots_eval(&q->down, q->s[1], &q->el[1], ccz_buf_span(&q->up), &rng, NULL) ==
          CCZ_OK);
    CHECK(q->down.size == cczi_he_slots_down_size(q->s[0], el->len));
    CHECK(cczi_he_slots_down(q->s[0], &q->el[0], ccz_buf_span(&q->down), NULL) == CCZ_OK);
}

static void slot_check(const struct slot_pair *q, unsigned bits)
{
    const uint64_t mask = ~UINT64_C(0) >> (64 - bits);
    for (size_t i = 0; i < q->el[0].len; i++)
        CHECK(((q->out[0][i] + q->out[1][i]) & mask) == q->want[i] && q->out[0][i] <= mask &&
              q->out[1][i] <= mask);
}

static void test_values(void)
{
    static const size_t lens[] = {1, 7, 9000};
    for (size_t r = 0; r < 4; r++)
        for (size_t l = 0; l < 3; l++) {
            struct slot_pair q;
            slot_init(&q, rings[r], 1 + (r + l) % 2, lens[l]);
            slot_run(&q);
            slot_check(&q, rings[r]);
            slot_deinit(&q);
        }
}

/* All products of the 8-bit ring. */
static void test_all(void)
{
    enum { ALL = 65536 };
    struct slot_pair q;
    slot_init(&q, 8, 1, ALL);
    for (size_t i = 0; i < ALL; i++) {
        q.arg[0][0][i] = i & 255;
        q.arg[1][0][i] = i >> 8;
        q.want[i] = (i & 255) * (i >> 8) & 255;
    }
    slot_run(&q);
    slot_check(&q, 8);
    slot_deinit(&q);
}

/* The primes hold what the comment of source_he_slots.c says, and parameters are secure. */
static void test_range(void)
{
    for (size_t r = 0; r < 4; r++) {
        CCZ_AUTO(cczi_he_slots) s = NULL;
        CHECK(cczi_he_slots_new(&s, rings[r], NULL) == CCZ_OK);
        double bits = 0;
        for (size_t i = 0; i < s->len; i++) {
            bits += ccz_bfv_log2_t(s->c[i]);
            CHECK(ccz_bfv_slots(s->c[i]) == s->n);
            CHECK(ccz_rlwe_security(ccz_bfv_ring(s->c[i])) >= 128);
        }
        CHECK(bits > 2 * rings[r] + 2 + 61 + 0.99);
    }
}

/* The masks at their largest: sums stay below half of T. */
static ccz_rc full_words(void *arg, uint64_t *out, size_t len, unsigned bits, struct ccz_err *err)
{
    (void)err;
    for (size_t i = 0; i < len; i++)
        out[i] = *(const uint64_t *)arg >> (64 - bits);
    return CCZ_OK;
}

static void test_masks(void)
{
    static const uint64_t words[] = {0, UINT64_MAX, UINT64_C(1) << 63, 0x5555555555555555u};
    for (size_t r = 0; r < 4; r++)
        for (size_t k = 0; k < 4; k++) {
            struct slot_pair q;
            slot_init(&q, rings[r], 2, 300);
            const struct cczi_he_rng rng = {full_words, (void *)(uintptr_t)&words[k]};
            CHECK(cczi_he_slots_up(&q.up, q.s[0], &q.el[0], NULL) == CCZ_OK);
            CHECK(cczi_he_slots_eval(&q.down, q.s[1], &q.el[1], ccz_buf_span(&q.up), &rng, NULL) ==
                  CCZ_OK);
            CHECK(cczi_he_slots_down(q.s[0], &q.el[0], ccz_buf_span(&q.down), NULL) == CCZ_OK);
            slot_check(&q, rings[r]);
            slot_deinit(&q);
        }
}

static void test_uniform(void)
{
    enum { LEN = 16384 };
    struct slot_pair q;
    slot_init(&q, 64, 2, LEN);
    for (size_t i = 0; i < LEN; i++)
        for (size_t k = 0; k < 2; k++) {
            q.arg[0][k][i] = 3;
            q.arg[1][k][i] = 5;
            q.want[i] = 30;
        }
    slot_run(&q);
    slot_check(&q, 64);
    for (unsigned end = 0; end < 2; end++)
        for (unsigned shift = 0; shift <= 56; shift += 56) {
            size_t count[256] = {0};
            double chi = 0;
            for (size_t i = 0; i < LEN; i++)
                count[q.out[end][i] >> shift & 255]++;
            for (size_t i = 0; i < 256; i++)
                chi += ((double)count[i] - 64) * ((double)count[i] - 64) / 64;
            CHECK(chi > 150 && chi < 400);
        }
    slot_deinit(&q);
}

static void test_refuse(void)
{
    struct slot_pair q;
    struct ccz_err err;
    slot_init(&q, 16, 2, 5);
    slot_run(&q);
    const struct cczi_he_rng rng = {test_words, &q.rng};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 26);
    const struct ccz_span up = ccz_buf_span(&q.up), down = ccz_buf_span(&q.down);
    for (size_t cut = 0; cut < up.size; cut += up.size / 5)
        CHECK(cczi_he_slots_eval(&out, q.s[1], &q.el[1], CCZ_SPAN(up.ptr, cut), &rng, &err) ==
              CCZ_E_FORMAT);
    for (size_t cut = 0; cut < down.size; cut += down.size / 5)
        CHECK(cczi_he_slots_down(q.s[0], &q.el[0], CCZ_SPAN(down.ptr, cut), &err) == CCZ_E_FORMAT);
    CCZ_AUTO_BUF more;
    ccz_buf_init(&more, 1 << 26);
    ccz_buf_put(&more, up.ptr, up.size);
    ccz_buf_u8(&more, 0);
    CHECK(is_refused(cczi_he_slots_eval(&out, q.s[1], &q.el[1], ccz_buf_span(&more), &rng, &err),
                     CCZ_E_PEER, &err, "mpc:he-size"));
    ccz_buf_clear(&more);
    ccz_buf_put(&more, down.ptr, down.size);
    ccz_buf_u8(&more, 0);
    CHECK(is_refused(cczi_he_slots_down(q.s[0], &q.el[0], ccz_buf_span(&more), &err), CCZ_E_PEER,
                     &err, "mpc:he-size"));
    /* what comes back is no fresh ciphertext: larger than one, and with noise nobody has counted */
    q.up.ptr[40] ^= 1;
    CHECK(is_refused(cczi_he_slots_eval(&out, q.s[1], &q.el[1], up, &rng, &err), CCZ_E_MISMATCH,
                     &err, "rlwe:key-id"));
    q.down.ptr[40] ^= 1;
    CHECK(is_refused(cczi_he_slots_down(q.s[0], &q.el[0], down, &err), CCZ_E_MISMATCH, &err,
                     "rlwe:key-id"));
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 1 << 26);
    CHECK(cczi_he_slots_keys_write(&keys, q.s[0], NULL) == CCZ_OK);
    for (size_t cut = 0; cut < keys.size; cut += keys.size / 5)
        CHECK(cczi_he_slots_keys_read(q.s[1], CCZ_SPAN(keys.ptr, cut), &err) == CCZ_E_FORMAT);
    ccz_buf_u8(&keys, 0);
    CHECK(is_refused(cczi_he_slots_keys_read(q.s[1], ccz_buf_span(&keys), &err), CCZ_E_PEER, &err,
                     "mpc:he-size"));
    slot_deinit(&q);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpc_he.slots", test_values},          {"mpc_he.slots_all", test_all},
        {"mpc_he.slots_range", test_range},     {"mpc_he.slots_masks", test_masks},
        {"mpc_he.slots_uniform", test_uniform}, {"mpc_he.slots_refuse", test_refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
