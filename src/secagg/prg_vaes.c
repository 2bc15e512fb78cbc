/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The masks of prg.c with VAES on 512 bits: AES-256-CTR (FIPS 197, SP 800-38A) whose key stream goes from the registers straight into
 * the vector, so that nothing but the vector passes through memory.
 */
#include "secagg/prg.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

enum {
    ROUNDS = 14,
    WIDE = 4,
    REGS = 8,
    PER_BLOCK = 4
}; /* blocks in a register; integers in a block */

/* FIPS 197, 5.2: eight words from the eight before. RotWord, SubWord and Rcon are what AESKEYGENASSIST gives in its highest word, SubWord
 * alone in the one below. */
static inline __m128i spread(__m128i key, __m128i assist)
{
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, assist);
}

#define EVEN(k, n, rcon)                                                                           \
    ((k)[n] =                                                                                      \
         spread((k)[(n)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128((k)[(n)-1], rcon), 0xff)))
#define ODD(k, n)                                                                                  \
    ((k)[n] = spread((k)[(n)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128((k)[(n)-1], 0), 0xaa)))

static void schedule(__m128i k[ROUNDS + 1], const uint8_t key[CCZI_SA_KEY])
{
    k[0] = _mm_loadu_si128((const __m128i *)(const void *)key);
    k[1] = _mm_loadu_si128((const __m128i *)(const void *)(key + 16));
    EVEN(k, 2, 0x01);
    ODD(k, 3);
    EVEN(k, 4, 0x02);
    ODD(k, 5);
    EVEN(k, 6, 0x04);
    ODD(k, 7);
    EVEN(k, 8, 0x08);
    ODD(k, 9);
    EVEN(k, 10, 0x10);
    ODD(k, 11);
    EVEN(k, 12, 0x20);
    ODD(k, 13);
    EVEN(k, 14, 0x40);
}

/* Four counter blocks: 8 zero bytes, then the number of the block, big-endian. */
static inline __m512i counters(uint64_t block)
{
    const __m512i swap = _mm512_broadcast_i32x4(
        _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, -128, -128, -128, -128, -128, -128, -128, -128));
    const __m512i first = _mm512_maskz_set1_epi64(0x55, (long long)block);
    return _mm512_shuffle_epi8(_mm512_add_epi64(first, _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0)),
                               swap);
}

static inline void stream(__m512i b[REGS], uint64_t block, const __m512i k[ROUNDS + 1])
{
    for (unsigned i = 0; i < REGS; i++)
        b[i] = _mm512_xor_si512(counters(block + WIDE * i), k[0]);
    for (int r = 1; r < ROUNDS; r++)
        for (int i = 0; i < REGS; i++)
            b[i] = _mm512_aesenc_epi128(b[i], k[r]);
    for (int i = 0; i < REGS; i++)
        b[i] = _mm512_aesenclast_epi128(b[i], k[ROUNDS]);
}

/* Up to a register's worth of integers of y, lanes `mask` of it. */
static inline void apply(uint32_t *y, __mmask16 mask, __m512i s, bool negative)
{
    __m512i v = _mm512_maskz_loadu_epi32(mask, y);
    v = negative ? _mm512_sub_epi32(v, s) : _mm512_add_epi32(v, s);
    _mm512_mask_storeu_epi32(y, mask, v);
}

/* @param skip  integers of the first block that lie before y */
static void one_mask(uint32_t *y, size_t len, uint64_t block, size_t skip, const uint8_t *key,
                     bool negative)
{
    __m128i round[ROUNDS + 1];
    __m512i k[ROUNDS + 1], b[REGS];
    const size_t lanes = (size_t)WIDE * PER_BLOCK;
    schedule(round, key);
    for (int r = 0; r <= ROUNDS; r++)
        k[r] = _mm512_broadcast_i32x4(round[r]);
    y -= skip; /* lanes before y are masked out */
    len += skip;
    for (size_t at = 0; at < len; at += REGS * lanes, block += WIDE * REGS) {
        stream(b, block, k);
        if (at >= skip && len - at >= REGS * lanes) {
            for (size_t i = 0; i < REGS; i++)
                apply(y + at + i * lanes, 0xffff, b[i], negative);
            continue;
        }
        for (size_t i = 0; i < REGS && at + i * lanes < len; i++) {
            size_t from = at + i * lanes, n = len - from < lanes ? len - from : lanes;
            unsigned mask = (1u << n) - 1;
            if (from < skip)
                mask &= ~((1u << (skip - from)) - 1);
            apply(y + from, (__mmask16)mask, b[i], negative);
        }
    }
    ccz_wipe(round, sizeof(round));
    ccz_wipe(k, sizeof(k));
}

bool cczi_sa_vaes_usable(void)
{
    const struct ccz_cpu *cpu = ccz_cpu();
    return cpu->vaes && cpu->chosen >= CCZ_CPU_AVX512;
}

void cczi_sa_vaes_apply(uint32_t *y, uint64_t offset, size_t len, const struct cczi_sa_mask *masks,
                        size_t masks_len)
{
    enum { PIECE = 4096 }; /* integers: what stays in the first-level cache while all masks pass */
    while (len) {
        size_t n = len < PIECE ? len : PIECE, skip = (size_t)(offset % PER_BLOCK);
        for (size_t i = 0; i < masks_len; i++)
            one_mask(y, n, offset / PER_BLOCK, skip, masks[i].key, masks[i].negative);
        y += n;
        offset += n;
        len -= n;
    }
}
#else
bool cczi_sa_vaes_usable(void)
{
    return false;
}

void cczi_sa_vaes_apply(uint32_t *y, uint64_t offset, size_t len, const struct cczi_sa_mask *masks,
                        size_t masks_len)
{
    (void)y;
    (void)offset;
    (void)len;
    (void)masks;
    (void)masks_len;
}
#endif
