/* SPDX-License-Identifier: Apache-2.0 */
/* Protocols below the tensors against what they are to compute: exhaustively on small numbers, on edges for large ones. */
#define _DEFAULT_SOURCE
#include "cmp_kit.h"

static uint64_t *words_new(size_t len)
{
    uint64_t *p = calloc(len + 1, sizeof(*p));
    CHECK(p);
    return p;
}

/* ------------------------------------------------------------------------------------- kernels */

static void fill(struct ccz_f128 *in, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        in[i] = (struct ccz_f128){rnd(&seed), rnd(&seed)};
}

/* H of ot, at every length. */
static void test_kernels(void)
{
    enum { LEN = 200 };
    const struct cczi_cmp_kernels *tier[2] = {&cczi_cmp_plain, cczi_cmp_kernels_fused()};
    struct ccz_f128 in[4 * LEN], out[LEN], h[LEN], offset = {5, 1u << 20};
    uint64_t lo[LEN], hi[LEN];
    struct cczi_aes aes;
    fill(in, 4 * LEN, 3);
    cczi_ot_portable.aes_key(&aes, (const uint8_t *)"0123456789abcdef");
    for (int t = 0; t < 2 && tier[t]; t++)
        for (size_t len = 1; len <= LEN; len++) {
            for (size_t i = 0; i < len; i++)
                h[i] = cczi_f128_add(in[i], offset);
            cczi_ot_portable.hash(h, h, len, 99, &aes);
            memset(lo, 0xee, sizeof(lo));
            memset(hi, 0xee, sizeof(hi));
            tier[t]->pad_words(lo, hi, in, offset, len, 99, &aes);
            for (size_t i = 0; i < len; i++)
                CHECK(lo[i] == h[i].lo && hi[i] == h[i].hi);
            CHECK(len == LEN || lo[len] == 0xeeeeeeeeeeeeeeeeu);
            tier[t]->pad_bits(lo, hi, in, offset, len, 99, &aes);
            for (size_t i = 0; i < cczi_words_of(len) * 64; i++) {
                CHECK(row_bit(lo, i) == (i < len ? h[i].lo & 1 : 0));
                CHECK(row_bit(hi, i) == (i < len ? h[i].hi & 1 : 0));
            }
            for (unsigned planes = 1; planes <= 4; planes++) {
                tier[t]->fold(out, in, LEN, len, planes);
                for (size_t i = 0; i < len; i++) {
                    struct ccz_f128 sum = in[i], x = {2, 0}, p = x;
                    for (unsigned b = 1; b < planes; b++, p = ccz_f128_mul(p, x))
                        sum = cczi_f128_add(sum, ccz_f128_mul(in[b * LEN + i], p));
                    CHECK(sum.lo == out[i].lo && sum.hi == out[i].hi);
                }
            }
        }
}

/* One key makes no more masks than CCZI_HASH_USES, whatever the number of messages, and none of another call. */
static void test_keys(void)
{
    enum { LEN = CCZI_CMP_CHUNK };
    static struct ccz_f128 in[LEN];
    static uint64_t lo[LEN], hi[LEN], a[LEN], b[LEN], bits[2][LEN / 64], c[2][LEN / 64];
    const struct cczi_cmp_kernels *k = cczi_cmp_kernels();
    static struct cczi_hash h;
    fill(in, LEN, 8);
    for (unsigned log = 1; log <= 4; log++) {
        const size_t each = CCZI_HASH_USES >> log;
        const struct cczi_pads p = {.in = in, .len = LEN, .tweak = 70, .log = log};
        cczi_hash_init(&h, cczi_ot_kernels(), (const uint8_t *)"sixteen of bytes");
        cczi_cmp_pad_words(lo, hi, &p, &h);
        cczi_cmp_pad_bits(bits[0], bits[1], &p, &h);
        for (size_t m = 0; m < CCZI_HASH_KEPT; m++) {
            size_t words = 0, rows = 0;
            if (!h.made[m])
                continue;
            k->pad_words(a, b, in, p.offset, LEN, 70, &h.key[m]);
            for (size_t i = 0; i < LEN; i++)
                words += a[i] == lo[i] && b[i] == hi[i];
            CHECK(words == each);
            k->pad_bits(c[0], c[1], in, p.offset, LEN, 70, &h.key[m]);
            for (size_t w = 0; w < LEN / 64; w++)
                rows += c[0][w] == bits[0][w] && c[1][w] == bits[1][w];
            CHECK(rows == each / 64);
        }
        const struct cczi_pads next = {.in = in, .len = LEN, .tweak = 70 + LEN, .log = log};
        struct cczi_hash old = h;
        cczi_cmp_pad_words(lo, hi, &next, &h);
        for (size_t m = 0; m < LEN / each; m++)
            CHECK(memcmp(&old.key[m], &h.key[m], sizeof(h.key[m])) != 0);
    }
}

static void test_messages(void)
{
    enum { LEN = 130 };
    uint64_t seed = 5, v[LEN], w[LEN], row[3], got[3], rows[64 * 3];
    for (size_t i = 0; i < LEN; i++)
        v[i] = rnd(&seed);
    for (unsigned width = 1; width <= 64; width++)
        for (size_t len = 1; len <= LEN; len += 43) {
            uint64_t *buf = words_new(3 * LEN);
            struct cczi_bits put = {buf, 0}, get = {buf, 0};
            row[0] = rnd(&seed), row[1] = rnd(&seed), row[2] = rnd(&seed);
            cczi_bits_put_words(&put, v, len, width);
            cczi_bits_put(&put, row, len);
            cczi_bits_put_words(&put, v, len, width);
            CHECK(put.at == len * (2 * width + 1));
            for (int twice = 0; twice < 2; twice++) {
                cczi_bits_get_words(w, &get, len, width);
                for (size_t i = 0; i < len; i++)
                    CHECK(w[i] == (v[i] & (UINT64_MAX >> (64 - width))));
                if (twice == 0)
                    cczi_bits_get(got, &get, len);
                for (size_t i = 0; i < len; i++)
                    CHECK(row_bit(got, i) == row_bit(row, i));
            }
            cczi_rows_of(rows, 3, v, len, width);
            for (size_t i = 0; i < len; i++)
                for (unsigned b = 0; b < width; b++)
                    CHECK(row_bit(rows + 3 * b, i) == (v[i] >> b & 1));
            cczi_words_from(w, rows, 3, len, width);
            for (size_t i = 0; i < len; i++)
                CHECK(w[i] == (v[i] & (UINT64_MAX >> (64 - width))));
            free(buf);
        }
}

/* --------------------------------------------------------------------------------- comparisons */

struct job {
    const uint64_t *v;
    size_t n;
    unsigned bits, low;
    bool equal;
    uint64_t *out, *out_low;
};

static void run_job(struct dealt *d)
{
    struct job *j = d->arg;
    if (j->equal)
        d->rc = cczi_cmp_equal(j->out, j->v, j->n, j->bits, &d->c, &d->err);
    else
        d->rc = cczi_cmp_less(j->out, j->low ? j->out_low : NULL, j->v, j->n, j->bits, j->low,
                              &d->c, &d->err);
}

static void compare(const uint64_t *x, const uint64_t *y, size_t n, unsigned bits, unsigned low,
                    bool equal)
{
    struct job j[2];
    struct dealt d[2];
    for (int p = 0; p < 2; p++)
        j[p] = (struct job){
            p ? y : x, n, bits, low, equal, words_new(n / 64 + 1), words_new(n / 64 + 1)};
    dealt_both(d, run_job, &j[0], &j[1], bits * 100 + low);
    struct cczi_cmp_need need =
        equal ? cczi_cmp_equal_need(n, bits) : cczi_cmp_less_need(n, bits, low);
    dealt_check(d, &need);
    const uint64_t mask = UINT64_MAX >> (64 - bits), low_mask = ((uint64_t)1 << low % 64) - 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t a = x[i] & mask, b = y[i] & mask;
        CHECK((row_bit(j[0].out, i) ^ row_bit(j[1].out, i)) == (equal ? a == b : a < b));
        if (low > 0)
            CHECK((row_bit(j[0].out_low, i) ^ row_bit(j[1].out_low, i)) ==
                  ((a & low_mask) < (b & low_mask)));
    }
    for (int p = 0; p < 2; p++) {
        free(j[p].out);
        free(j[p].out_low);
    }
}

/* All pairs of numbers, all widths up to 8 bits, all splits. */
static void exhaustive(bool equal)
{
    for (unsigned bits = 1; bits <= 8; bits++) {
        size_t side = (size_t)1 << bits, n = side * side;
        uint64_t *x = words_new(n), *y = words_new(n);
        for (size_t i = 0; i < n; i++) {
            x[i] = i / side;
            y[i] = i % side;
        }
        for (unsigned low = 0; low < (equal ? 1 : bits); low++)
            compare(x, y, n, bits, low, equal);
        free(x);
        free(y);
    }
}

static void test_less_all(void)
{
    exhaustive(false);
}

static void test_equal_all(void)
{
    exhaustive(true);
}

/* Numbers at and beside the borders of leaves and words, in all pairs, cut to some lengths. */
static void test_edges(void)
{
    static const size_t lens[] = {1, 7, 63, 64, 65, 128, 1023, 4096};
    static const unsigned widths[] = {15, 16, 31, 32, 63, 64};
    uint64_t seed = 11;
    for (size_t w = 0; w < 6; w++) {
        uint64_t x[4096], y[4096], edge[200];
        unsigned count = 0;
        for (unsigned b = 0; b < widths[w] && count + 3 <= 200; b += b % 4 == 0 ? 1 : 3)
            for (int off = -1; off <= 1; off++)
                edge[count++] = ((uint64_t)1 << b) + (uint64_t)(int64_t)off;
        edge[count++] = UINT64_MAX;
        for (size_t i = 0; i < 4096; i++) {
            x[i] = edge[i % count];
            y[i] = i % 5 == 0 ? x[i] : i % 3 == 0 ? rnd(&seed) : edge[i / count % count];
        }
        for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
            compare(x, y, lens[l], widths[w], 0, false);
            compare(x, y, lens[l], widths[w], 13, false);
            compare(x, y, lens[l], widths[w], 0, true);
        }
    }
}

/* ------------------------------------------------------------------------------ ANDs, selection */

struct and_job {
    uint64_t *row[5]; /* a, b, b2, z, z2 */
    size_t n;
};

static void run_and(struct dealt *d)
{
    struct and_job *j = d->arg;
    struct cczi_and ands[2] = {
        {.a = j->row[0], .b = j->row[1], .b2 = j->row[2], .z = j->row[3], .z2 = j->row[4]},
        {.a = j->row[1], .b = j->row[2], .z = j->row[2]}};
    d->rc = cczi_cmp_and(&d->c, ands, 2, j->n, &d->err);
}

static void test_and(void)
{
    static const size_t lens[] = {1, 7, 64, 65, 1024, 1025, 4099};
    uint64_t seed = 17;
    for (size_t l = 0; l < 7; l++) {
        struct and_job j[2];
        struct dealt d[2];
        size_t n = lens[l], words = cczi_words_of(n);
        uint64_t *in = words_new(3 * words);
        for (int p = 0; p < 2; p++) {
            j[p].n = n;
            for (int r = 0; r < 5; r++) {
                j[p].row[r] = words_new(words);
                for (size_t w = 0; w < words && r < 3; w++) {
                    j[p].row[r][w] = rnd(&seed);
                    in[(size_t)r * words + w] ^= j[p].row[r][w];
                }
            }
        }
        dealt_both(d, run_and, &j[0], &j[1], l);
        struct cczi_cmp_need need = cczi_cmp_and_need(n, 2, 1);
        dealt_check(d, &need);
        for (size_t i = 0; i < n; i++) {
            unsigned a = row_bit(in, i), b = row_bit(in + words, i),
                     b2 = row_bit(in + 2 * words, i);
            CHECK((row_bit(j[0].row[3], i) ^ row_bit(j[1].row[3], i)) == (a & b));
            CHECK((row_bit(j[0].row[4], i) ^ row_bit(j[1].row[4], i)) == (a & b2));
            CHECK((row_bit(j[0].row[2], i) ^ row_bit(j[1].row[2], i)) == (b & b2));
        }
        for (int p = 0; p < 2; p++)
            for (int r = 0; r < 5; r++)
                free(j[p].row[r]);
        free(in);
    }
}

struct cot_job {
    uint64_t *a, *a2, *bit, *out[3];
    size_t n;
    unsigned width;
};

/* One that goes both ways with two values, and one by halves. */
static void run_cot(struct dealt *d)
{
    struct cot_job *j = d->arg;
    const struct cczi_range all = {0, j->n};
    struct cczi_cot cots[2] = {{.a = j->a,
                                .a2 = j->a2,
                                .bit = j->bit,
                                .send = all,
                                .recv = all,
                                .width = j->width,
                                .out = j->out[0],
                                .out2 = j->out[1]},
                               {.a = j->a2,
                                .bit = j->bit,
                                .send = cczi_cmp_half(j->n, d->party),
                                .recv = cczi_cmp_half(j->n, 1 - d->party),
                                .width = j->width,
                                .out = j->out[2]}};
    d->rc = cczi_cmp_cot(&d->c, cots, 2, &d->err);
}

static void check_cot(const struct cot_job j[2])
{
    const uint64_t mask = UINT64_MAX >> (64 - j[0].width);
    for (size_t i = 0; i < j[0].n; i++) {
        unsigned b0 = row_bit(j[0].bit, i), b1 = row_bit(j[1].bit, i);
        unsigned sender = i < cczi_cmp_half(j[0].n, 0).len ? 0 : 1;
        uint64_t half = row_bit(j[1 - sender].bit, i) ? j[sender].a2[i] : 0;
        uint64_t both = (b1 ? j[0].a[i] : 0) + (b0 ? j[1].a[i] : 0);
        uint64_t both2 = (b1 ? j[0].a2[i] : 0) + (b0 ? j[1].a2[i] : 0);
        CHECK(((j[0].out[0][i] + j[1].out[0][i] - both) & mask) == 0);
        CHECK(((j[0].out[1][i] + j[1].out[1][i] - both2) & mask) == 0);
        CHECK(((j[0].out[2][i] + j[1].out[2][i] - half) & mask) == 0);
    }
}

static void test_cot(void)
{
    static const size_t lens[] = {1, 7, 64, 65, 1025, 4096};
    static const unsigned widths[] = {1, 7, 8, 13, 32, 63, 64};
    uint64_t seed = 19;
    for (size_t l = 0; l < 6; l++)
        for (size_t w = 0; w < 7; w++) {
            struct cot_job j[2];
            struct dealt d[2];
            size_t n = lens[l];
            for (int p = 0; p < 2; p++) {
                j[p] = (struct cot_job){.a = words_new(n),
                                        .a2 = words_new(n),
                                        .bit = words_new(n),
                                        .n = n,
                                        .width = widths[w]};
                for (size_t i = 0; i < n; i++) {
                    j[p].a[i] = rnd(&seed);
                    j[p].a2[i] = rnd(&seed);
                    j[p].bit[i] = rnd(&seed);
                }
                for (int o = 0; o < 3; o++)
                    j[p].out[o] = words_new(n);
            }
            dealt_both(d, run_cot, &j[0], &j[1], l);
            for (int p = 0; p < 2; p++)
                CHECK(d[p].rc == CCZ_OK && d[p].rounds == 2);
            check_cot(j);
            for (int p = 0; p < 2; p++) {
                free(j[p].a);
                free(j[p].a2);
                free(j[p].bit);
                for (int o = 0; o < 3; o++)
                    free(j[p].out[o]);
            }
        }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"cmp_parts.kernels", test_kernels},   {"cmp_parts.messages", test_messages},
        {"cmp_parts.less_all", test_less_all}, {"cmp_parts.equal_all", test_equal_all},
        {"cmp_parts.edges", test_edges},       {"cmp_parts.and", test_and},
        {"cmp_parts.cot", test_cot},           {"cmp_parts.keys", test_keys},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
