/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-128 (FIPS 197) without tables: 8 blocks at once in bit slices. Word p holds bit p of every byte of four blocks,
 * two such words side by side. In a word, the byte of row r, column c, block n is bit 32 (n & 1) + 8 r + 4 (n >> 1) + c, so
 * that ShiftRows turns groups of four bits and MixColumns turns 32-bit halves by bytes.
 */
#include "kernels.h"

#include <string.h>

enum { LANES = 2, BATCH = 4 * LANES };
typedef uint64_t word __attribute__((vector_size(8 * LANES)));
struct slices {
    word bit[8];
};

/* --------------------------------------------------------------------------------- bit slices */

/* Exchanges the bits of a under mask << shift with those of b under mask. */
static inline void swap_bits(word *a, word *b, uint64_t mask, int shift)
{
    word t = ((*a >> shift) ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

/* Bit i of word j of each byte becomes bit j of word i: an 8 by 8 transpose, its own inverse. */
static inline void transpose(struct slices *s)
{
    word *w = s->bit;
    for (int i = 0; i < 8; i += 2)
        swap_bits(&w[i], &w[i + 1], 0x5555555555555555u, 1);
    for (int i = 0; i < 8; i += 4) {
        swap_bits(&w[i], &w[i + 2], 0x3333333333333333u, 2);
        swap_bits(&w[i + 1], &w[i + 3], 0x3333333333333333u, 2);
    }
    for (int i = 0; i < 4; i++)
        swap_bits(&w[i], &w[i + 4], 0x0f0f0f0f0f0f0f0fu, 4);
}

/* Column c of a block. */
static inline uint64_t column(const struct ccz_f128 *block, int c)
{
    return ((c < 2 ? block->lo : block->hi) >> 32 * (c & 1)) & 0xffffffffu;
}

static void pack(struct slices *s, const struct ccz_f128 in[BATCH])
{
    for (int lane = 0; lane < LANES; lane++)
        for (int c = 0; c < 4; c++)
            for (int h = 0; h < 2; h++) {
                const struct ccz_f128 *pair = in + 4 * lane + 2 * h;
                s->bit[c + 4 * h][lane] = column(pair, c) | column(pair + 1, c) << 32;
            }
    transpose(s);
}

static void unpack(struct ccz_f128 out[BATCH], struct slices *s)
{
    transpose(s);
    for (int lane = 0; lane < LANES; lane++)
        for (int h = 0; h < 2; h++)
            for (int n = 0; n < 2; n++) {
                uint32_t c[4];
                for (int i = 0; i < 4; i++)
                    c[i] = (uint32_t)(s->bit[i + 4 * h][lane] >> 32 * n);
                out[4 * lane + 2 * h + n] =
                    (struct ccz_f128){c[0] | (uint64_t)c[1] << 32, c[2] | (uint64_t)c[3] << 32};
            }
}

/* -------------------------------------------------------------------------------- GF(2^8), S-box */

/* Polynomial of degree 14 to degree 7: x^8 = x^4 + x^3 + x + 1. */
static inline void reduce(struct slices *r, word t[15])
{
    for (int i = 14; i >= 8; i--) {
        t[i - 4] ^= t[i];
        t[i - 5] ^= t[i];
        t[i - 7] ^= t[i];
        t[i - 8] ^= t[i];
    }
    memcpy(r->bit, t, sizeof(r->bit));
}

static inline void gf_mul(struct slices *r, const struct slices *a, const struct slices *b)
{
    word t[15] = {{0}};
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            t[i + j] ^= a->bit[i] & b->bit[j];
    reduce(r, t);
}

static inline void gf_square(struct slices *r, const struct slices *a, int times)
{
    *r = *a;
    for (; times > 0; times--) {
        word t[15] = {{0}};
        for (int i = 0; i < 8; i++)
            t[2 * i] = r->bit[i];
        reduce(r, t);
    }
}

/* a^254, which is 1 / a, and the affine map (FIPS 197, 5.1.1). */
static void sub_bytes(struct slices *s)
{
    struct slices a2, a3, a12, a15, t;
    gf_square(&a2, s, 1);
    gf_mul(&a3, &a2, s);
    gf_square(&a12, &a3, 2);
    gf_mul(&a15, &a12, &a3);
    gf_square(&t, &a15, 4); /* 240 */
    gf_mul(&t, &t, &a12);   /* 252 */
    gf_mul(&t, &t, &a2);    /* 254 */
    for (int i = 0; i < 8; i++) {
        s->bit[i] = t.bit[i];
        for (int k = 4; k < 8; k++)
            s->bit[i] ^= t.bit[(i + k) % 8];
        if (0x63 >> i & 1)
            s->bit[i] = ~s->bit[i];
    }
}

/* ----------------------------------------------------------------------------------- cipher */

static void shift_rows(struct slices *s)
{
    for (int i = 0; i < 8; i++) {
        word x = s->bit[i];
        word r1 = (x >> 1 & 0x0000770000007700u) | (x << 3 & 0x0000880000008800u);
        word r2 = (x >> 2 & 0x0033000000330000u) | (x << 2 & 0x00cc000000cc0000u);
        word r3 = (x >> 3 & 0x1100000011000000u) | (x << 1 & 0xee000000ee000000u);
        s->bit[i] = (x & 0x000000ff000000ffu) | (r1 & 0x0000ff000000ff00u) |
                    (r2 & 0x00ff000000ff0000u) | (r3 & 0xff000000ff000000u);
    }
}

/* Each byte takes the place of the one above it in its column, times rows. */
static inline word turn(word x, int rows)
{
    uint64_t low = 0xffffffffu >> 8 * rows;
    low |= low << 32;
    return (x >> 8 * rows & low) | (x << (32 - 8 * rows) & ~low);
}

static void mix_columns(struct slices *s)
{
    word t[9], one[8];
    for (int i = 0; i < 8; i++) {
        one[i] = turn(s->bit[i], 1);
        t[i + 1] = s->bit[i] ^ one[i];
    }
    word carry = t[8];
    t[0] = carry;
    for (int i = 0; i < 8; i++) {
        word twice = i == 1 || i == 3 || i == 4 ? t[i] ^ carry : t[i]; /* 2 (a + next) */
        s->bit[i] = twice ^ one[i] ^ turn(t[i + 1], 2);
    }
}

static void add_round_key(struct slices *s, const struct slices *key)
{
    for (int i = 0; i < 8; i++)
        s->bit[i] ^= key->bit[i];
}

static void slice_keys(struct slices keys[11], const struct cczi_aes *aes)
{
    for (int r = 0; r < 11; r++) {
        struct ccz_f128 same[BATCH];
        for (int i = 0; i < BATCH; i++)
            memcpy(&same[i], aes->round[r], 16);
        pack(&keys[r], same);
    }
}

/* Blocks are little-endian words here, bytes in FIPS 197: the same on the machines that run this. */
static void encrypt(struct ccz_f128 blocks[BATCH], const struct slices keys[11])
{
    struct slices s;
    pack(&s, blocks);
    add_round_key(&s, &keys[0]);
    for (int r = 1; r < 11; r++) {
        sub_bytes(&s);
        shift_rows(&s);
        if (r < 10)
            mix_columns(&s);
        add_round_key(&s, &keys[r]);
    }
    unpack(blocks, &s);
}

static void aes_key(struct cczi_aes *aes, const uint8_t key[16])
{
    uint8_t rcon = 1;
    memcpy(aes->round[0], key, 16);
    for (int r = 1; r < 11; r++) {
        const uint8_t *last = aes->round[r - 1];
        uint8_t *now = aes->round[r];
        struct ccz_f128 b[BATCH] = {{0}};
        struct slices s;
        memcpy(&b[0], last + 12, 4);
        pack(&s, b);
        sub_bytes(&s);
        unpack(b, &s);
        uint8_t sub[4];
        memcpy(sub, &b[0], 4);
        for (int i = 0; i < 4; i++)
            now[i] = last[i] ^ sub[(i + 1) % 4];
        now[0] ^= rcon;
        for (int i = 4; i < 16; i++)
            now[i] = last[i] ^ now[i - 4];
        rcon = (uint8_t)(rcon << 1 ^ (0x1b & (0 - (rcon >> 7))));
    }
}

static void ctr(struct ccz_f128 *out, size_t len, uint64_t first, const struct cczi_aes *aes)
{
    struct slices keys[11];
    slice_keys(keys, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        struct ccz_f128 b[BATCH];
        for (size_t k = 0; k < BATCH; k++)
            b[k] = (struct ccz_f128){first + i + k, 0};
        encrypt(b, keys);
        memcpy(out + i, b, (len - i < BATCH ? len - i : BATCH) * sizeof(*b));
    }
}

static void grow(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                 const struct cczi_aes *aes)
{
    struct slices keys[11];
    slice_keys(keys, aes);
    for (size_t i = 0; i < len; i += BATCH / 2) {
        struct ccz_f128 b[BATCH] = {{0}}, x[BATCH];
        size_t n = len - i < BATCH / 2 ? len - i : BATCH / 2;
        for (size_t k = 0; k < 2 * n; k++)
            b[k] = cczi_f128_add(in[i + k / 2], (struct ccz_f128){k & 1, 0});
        memcpy(x, b, sizeof(x));
        encrypt(b, keys);
        for (size_t k = 0; k < 2 * n; k++)
            out[2 * i + k] = cczi_f128_add(b[k], x[k]);
    }
}

static struct ccz_f128 halve(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                             const struct cczi_aes *aes)
{
    struct slices keys[11];
    struct ccz_f128 sum = {0};
    slice_keys(keys, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        struct ccz_f128 b[BATCH] = {{0}}, x[BATCH];
        size_t n = len - i < BATCH ? len - i : BATCH;
        for (size_t k = 0; k < n; k++)
            b[k] = (struct ccz_f128){in[i + k].hi, in[i + k].lo ^ in[i + k].hi};
        memcpy(x, b, sizeof(x));
        encrypt(b, keys);
        for (size_t k = 0; k < n; k++) {
            struct ccz_f128 left = cczi_f128_add(b[k], x[k]);
            sum = cczi_f128_add(sum, left);
            out[2 * (i + k)] = left;
            out[2 * (i + k) + 1] = cczi_f128_add(left, in[i + k]);
        }
    }
    return sum;
}

static void hash(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len, uint64_t tweak,
                 const struct cczi_aes *aes)
{
    struct slices keys[11];
    slice_keys(keys, aes);
    for (size_t i = 0; i < len; i += BATCH) {
        struct ccz_f128 b[BATCH] = {{0}}, x[BATCH];
        size_t n = len - i < BATCH ? len - i : BATCH;
        memcpy(b, in + i, n * sizeof(*b));
        encrypt(b, keys);
        memcpy(x, b, sizeof(x));
        for (size_t k = 0; k < BATCH; k++)
            b[k].lo ^= tweak + i + k;
        encrypt(b, keys);
        for (size_t k = 0; k < n; k++)
            out[i + k] = cczi_f128_add(b[k], x[k]);
    }
}

/* ------------------------------------------------------------------------------------ GF(2^128) */

static struct ccz_f128 mul(struct ccz_f128 a, struct ccz_f128 b)
{
    struct ccz_f128 r = {0};
    for (int i = 0; i < 128; i++) {
        uint64_t bit = (i < 64 ? b.lo : b.hi) >> (i & 63) & 1;
        r = cczi_f128_add(r, cczi_f128_and(a, 0 - bit));
        a = cczi_f128_mulx(a);
    }
    return r;
}

static void mul_add(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    for (size_t i = 0; i < len; i++)
        r[i] = cczi_f128_add(r[i], mul(a[i], x));
}

static struct ccz_f128 poly(const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    struct ccz_f128 sum = {0};
    for (size_t i = len; i-- > 0;)
        sum = mul(cczi_f128_add(sum, a[i]), x);
    return sum;
}

const struct cczi_ot_kernels cczi_ot_portable = {.name = "portable",
                                                 .aes_key = aes_key,
                                                 .ctr = ctr,
                                                 .grow = grow,
                                                 .halve = halve,
                                                 .hash = hash,
                                                 .mul = mul,
                                                 .mul_add = mul_add,
                                                 .poly = poly};
