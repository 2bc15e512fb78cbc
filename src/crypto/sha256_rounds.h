/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256's compression function (FIPS 180-4, 6.2.2) on as many blocks side by side as a register V has words, one word of each block
 * in a register. Included by a kernel, which defines V_SET1, V_ADD, V_ROR, V_SHR, V_CH, V_MAJ and V_XOR3 first.
 */
#include <stdint.h>

static const uint32_t sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline V sha_round_word(V *w, int t)
{
    V a = w[(t + 1) & 15], b = w[(t + 14) & 15];
    V s0 = V_XOR3(V_ROR(a, 7), V_ROR(a, 18), V_SHR(a, 3));
    V s1 = V_XOR3(V_ROR(b, 17), V_ROR(b, 19), V_SHR(b, 10));
    return w[t & 15] = V_ADD(V_ADD(w[t & 15], s0), V_ADD(w[(t + 9) & 15], s1));
}

/* The 64 rounds, without the final addition; the blocks' words @p w are used up. */
static inline void sha_rounds(V s[8], V w[16])
{
#pragma GCC unroll 64 /* so that every index is a constant and every word in a register */
    for (int t = 0; t < 64; t++) {
        V wt = t < 16 ? w[t] : sha_round_word(w, t);
        V e1 = V_XOR3(V_ROR(s[4], 6), V_ROR(s[4], 11), V_ROR(s[4], 25));
        V t1 = V_ADD(V_ADD(s[7], e1), V_ADD(V_CH(s[4], s[5], s[6]), V_ADD(wt, V_SET1(sha_k[t]))));
        V e0 = V_XOR3(V_ROR(s[0], 2), V_ROR(s[0], 13), V_ROR(s[0], 22));
        V t2 = V_ADD(e0, V_MAJ(s[0], s[1], s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = V_ADD(s[3], t1);
        s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = V_ADD(t1, t2);
    }
}
