/* SPDX-License-Identifier: Apache-2.0 */
/* Elements as they travel, and as numbers. */
#include <cczoo/ring.h>

#include <math.h>
#include <string.h>

static size_t packed_size(size_t len, unsigned bits)
{
    return bits ? (len * bits + 7) / 8 : (len + 7) / 8;
}

/* Elements of whole bytes. Inlined with a constant size, so that compilers make single stores and loads of them. */
static inline __attribute__((always_inline)) void pack_bytes(uint8_t *out, const uint64_t *v,
                                                             size_t len, unsigned size)
{
    for (size_t i = 0; i < len; i++)
        for (unsigned b = 0; b < size; b++)
            out[i * size + b] = (uint8_t)(v[i] >> 8 * b);
}

static inline __attribute__((always_inline)) void unpack_bytes(uint64_t *v, const uint8_t *in,
                                                               size_t len, unsigned size)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t x = 0;
        for (unsigned b = 0; b < size; b++)
            x |= (uint64_t)in[i * size + b] << 8 * b;
        v[i] = x;
    }
}

/* Elements that are no multiple of bytes: a string of bits, the first lowest. */
static void pack_string(uint8_t *out, const uint64_t *v, size_t len, unsigned bits)
{
    uint64_t mask = UINT64_MAX >> (64 - bits);
    size_t at = 0;
    memset(out, 0, packed_size(len, bits));
    for (size_t i = 0; i < len; i++) {
        uint64_t x = v[i] & mask;
        for (unsigned left = bits; left > 0;) {
            unsigned off = at & 7, n = 8 - off < left ? 8 - off : left;
            out[at / 8] = (uint8_t)(out[at / 8] | (x & ((1u << n) - 1)) << off);
            x >>= n;
            at += n;
            left -= n;
        }
    }
}

static void unpack_string(uint64_t *v, const uint8_t *in, size_t len, unsigned bits)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t x = 0;
        for (unsigned got = 0; got < bits;) {
            unsigned off = at & 7, n = 8 - off < bits - got ? 8 - off : bits - got;
            x |= ((uint64_t)in[at / 8] >> off & ((1u << n) - 1)) << got;
            at += n;
            got += n;
        }
        v[i] = x;
    }
}

void ccz_ring_pack(uint8_t *out, const uint64_t *v, size_t len, unsigned bits)
{
    switch (bits) {
    case 64:
        pack_bytes(out, v, len, 8);
        break;
    case 32:
        pack_bytes(out, v, len, 4);
        break;
    case 16:
        pack_bytes(out, v, len, 2);
        break;
    case 8:
        pack_bytes(out, v, len, 1);
        break;
    default:
        pack_string(out, v, len, bits);
    }
}

void ccz_ring_unpack(uint64_t *v, const uint8_t *in, size_t len, unsigned bits)
{
    switch (bits) {
    case 64:
        unpack_bytes(v, in, len, 8);
        break;
    case 32:
        unpack_bytes(v, in, len, 4);
        break;
    case 16:
        unpack_bytes(v, in, len, 2);
        break;
    case 8:
        unpack_bytes(v, in, len, 1);
        break;
    default:
        unpack_string(v, in, len, bits);
    }
}

/* Packed bits, words to bytes. What is behind the last is zero in both. */
void ccz_ring_pack_bits(uint8_t *out, const uint64_t *v, size_t len)
{
    for (size_t i = 0; i < (len + 7) / 8; i++)
        out[i] = (uint8_t)(v[i / 8] >> 8 * (i % 8));
    if (len % 8)
        out[len / 8] = (uint8_t)(out[len / 8] & ((1u << len % 8) - 1));
}

void ccz_ring_unpack_bits(uint64_t *v, const uint8_t *in, size_t len)
{
    memset(v, 0, (len + 63) / 64 * sizeof(*v));
    for (size_t i = 0; i < (len + 7) / 8; i++)
        v[i / 8] |= (uint64_t)in[i] << 8 * (i % 8);
    if (len % 64)
        v[len / 64] &= ((uint64_t)1 << len % 64) - 1;
}

/* ----------------------------------------------------------------------------------- bit rows */

/* A matrix of 64 x 64 bits, transposed in place by exchanging blocks of 32, 16, .. 1. */
static void transpose64(uint64_t m[64])
{
    uint64_t mask = UINT32_MAX;
    for (unsigned by = 32; by > 0; by /= 2, mask ^= mask << by)
        for (unsigned i = 0; i < 64; i = (i + by + 1) & ~by) {
            uint64_t t = (m[i] >> by ^ m[i + by]) & mask;
            m[i + by] ^= t;
            m[i] ^= t << by;
        }
}

void ccz_ring_bit_rows(uint64_t *out, const uint64_t *v, size_t len, unsigned from, unsigned bits)
{
    size_t words = (len + 63) / 64;
    uint64_t m[64];
    for (size_t w = 0; w < words; w++) {
        size_t n = len - w * 64 < 64 ? len - w * 64 : 64;
        memset(m, 0, sizeof(m));
        for (size_t i = 0; i < n; i++)
            m[i] = v[w * 64 + i] >> from;
        transpose64(m);
        for (unsigned j = 0; j < bits; j++)
            out[j * words + w] = m[j];
    }
    ccz_wipe(m, sizeof(m));
}

/* -------------------------------------------------------------------------------- fixed point */

void ccz_ring_encode(uint64_t *out, const double *in, size_t len, unsigned ring_bits, unsigned frac)
{
    const double scale = ldexp(1, (int)frac), top = ldexp(1, (int)ring_bits - 1);
    const uint64_t mask = ccz_ring_mask(ring_bits), most = mask >> 1;
    for (size_t i = 0; i < len; i++) {
        double x = round(in[i] * scale);
        if (x >= top)
            out[i] = most;
        else if (x < -top)
            out[i] = most + 1;
        else
            out[i] = x == x ? (uint64_t)(int64_t)x & mask : 0;
    }
}

void ccz_ring_decode(double *out, const uint64_t *in, size_t len, unsigned ring_bits, unsigned frac)
{
    for (size_t i = 0; i < len; i++)
        out[i] = ldexp((double)ccz_ring_signed(in[i], ring_bits), -(int)frac);
}
