/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256's compression function (FIPS 180-4, 6.2.2) on LANES blocks side by side, one word of each block in a register.
 * Included once per tier, which defines: LANES, V (a register of LANES words), V_LOAD, V_STORE, V_SET1, V_ADD, V_XOR,
 * V_ROR, V_SHR, V_CH, V_MAJ, V_XOR3 and the name SHA_LANES of the function.
 */
#include "crypto/sha256_rounds.h"

#include <string.h>

/* Word t of every block beside each other, as numbers. */
static inline void sha_gather(uint32_t w[16][LANES], const uint8_t (*block)[64], size_t len)
{
    for (size_t i = 0; i < LANES; i++) {
        uint32_t x[16];
        memcpy(x, block[i < len ? i : 0], 64);
        for (int t = 0; t < 16; t++)
            w[t][i] = __builtin_bswap32(x[t]);
    }
}

static inline void sha_lanes(struct cczi_digest *out, const uint32_t mid[8],
                             const uint8_t (*block)[64], size_t len)
{
    uint32_t words[16][LANES];
    V w[16], s[8];
    sha_gather(words, block, len);
    for (int t = 0; t < 16; t++)
        w[t] = V_LOAD(words[t]);
    for (int j = 0; j < 8; j++)
        s[j] = V_SET1(mid[j]);
    sha_rounds(s, w);
    for (int j = 0; j < 8; j++)
        V_STORE(words[j], V_ADD(s[j], V_SET1(mid[j])));
    for (size_t i = 0; i < len; i++)
        for (int j = 0; j < 8; j++)
            out[i].w[j] = words[j][i];
}

void SHA_LANES(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
               size_t len)
{
    for (size_t i = 0; i < len; i += LANES)
        sha_lanes(out + i, mid, block + i, len - i < LANES ? len - i : LANES);
}
