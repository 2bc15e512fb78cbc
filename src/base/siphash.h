/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_SIPHASH_H
#define CCZI_SIPHASH_H
/* SipHash-1-3 (Aumasson, Bernstein, INDOCRYPT 2012), for hash tables over what others choose: without the key nobody finds many values that
 * meet in one place. It reads words in the byte order of the machine, so that values do not leave the process. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t cczi_sip_rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void cczi_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = cczi_sip_rotate(v[1], 13) ^ v[0];
    v[3] = cczi_sip_rotate(v[3], 16) ^ v[2];
    v[0] = cczi_sip_rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[1] = cczi_sip_rotate(v[1], 17) ^ v[2];
    v[3] = cczi_sip_rotate(v[3], 21) ^ v[0];
    v[2] = cczi_sip_rotate(v[2], 32);
}

/* @param key  random, of the table's own */
static inline uint64_t cczi_siphash(const uint64_t key[2], const void *in, size_t size)
{
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    const uint8_t *p = in;
    const uint64_t last = (uint64_t)size << 56;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t m;
        memcpy(&m, p, 8);
        v[3] ^= m;
        cczi_sip_round(v);
        v[0] ^= m;
    }
    uint64_t m = 0;
    if (size > 0)
        memcpy(&m, p, size);
    m |= last;
    v[3] ^= m;
    cczi_sip_round(v);
    v[0] ^= m;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        cczi_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
#endif
