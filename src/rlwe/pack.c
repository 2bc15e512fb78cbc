/* SPDX-License-Identifier: Apache-2.0 */
/* Residues as a string of bits. n is a multiple of 8, so that a limb is a whole number of bytes. */
#include "rlwe_priv.h"

#include <string.h>

size_t cczi_rlwe_packed_size(size_t n, unsigned bits)
{
    return n / 8 * bits;
}

static void put_le64(uint8_t *out, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

/* Written out, so that it becomes one load. */
static inline uint64_t get_le64(const uint8_t *in)
{
    return (uint64_t)in[0] | (uint64_t)in[1] << 8 | (uint64_t)in[2] << 16 | (uint64_t)in[3] << 24 |
           (uint64_t)in[4] << 32 | (uint64_t)in[5] << 40 | (uint64_t)in[6] << 48 |
           (uint64_t)in[7] << 56;
}

void cczi_rlwe_pack(uint8_t *out, const uint64_t *in, size_t n, unsigned bits)
{
    uint64_t word = 0;
    unsigned fill = 0;
    for (size_t i = 0; i < n; i++) {
        word |= in[i] << fill;
        fill += bits;
        if (fill >= 64) {
            put_le64(out, word, 8);
            out += 8;
            fill -= 64;
            word = fill ? in[i] >> (bits - fill) : 0;
        }
    }
    put_le64(out, word, fill / 8);
}

void cczi_rlwe_unpack(uint64_t *out, const uint8_t *in, size_t n, unsigned bits)
{
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    const size_t size = cczi_rlwe_packed_size(n, bits);
    size_t i = 0, at = 0;
    /* bits <= 50: eight bytes hold a residue wherever it starts */
    for (; i < n && at / 8 + 8 <= size; i++, at += bits)
        out[i] = get_le64(in + at / 8) >> at % 8 & mask;
    for (; i < n; i++, at += bits) {
        uint8_t end[8] = {0};
        memcpy(end, in + at / 8, size - at / 8);
        out[i] = get_le64(end) >> at % 8 & mask;
    }
}
