/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#define LANES           1
#define V               uint32_t
#define V_LOAD(p)       (*(p))
#define V_STORE(p, x)   (*(p) = (x))
#define V_SET1(x)       (x)
#define V_ADD(a, b)     ((a) + (b))
#define V_ROR(x, n)     ((x) >> (n) | (x) << (32 - (n)))
#define V_SHR(x, n)     ((x) >> (n))
#define V_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define V_CH(x, y, z)   (((x) & (y)) ^ (~(x) & (z)))
#define V_MAJ(x, y, z)  (((x) & (y)) ^ ((x) & (z)) ^ ((y) & (z)))
#define SHA_LANES       cczi_sha_portable
#include "sha_lanes.h"
