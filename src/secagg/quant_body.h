/* SPDX-License-Identifier: Apache-2.0 */
/* Included once for each set of instructions, with QUANT_ROUND and QUANT_REAL set: the loops of quant.c, which the compiler makes vectors
 * of. Each element by itself, in IEEE 754 doubles: the same bits in every set. */
#include "secagg/quant.h"

#include <math.h>
#include <string.h>

/* Added to a number below 2^51, its lowest bits are the number rounded to an integer (to nearest). */
#define ROUNDER 0x1.8p52

/* Not-a-number ends up as 0 or at a border; `bad` tells. */
uint32_t QUANT_ROUND(uint32_t *q, uint64_t *clipped, const float *x, size_t len, double factor,
                     double top)
{
    uint64_t out = 0;
    uint64_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        double v = (double)x[i] * factor;
        bad |= (uint64_t) !(v - v == 0);
        out += (uint64_t)(fabs(v) > top + 0.5);
        v = v > top ? top : v;
        v = v < -top ? -top : v;
        v += ROUNDER;
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        q[i] = (uint32_t)bits;
    }
    if (clipped)
        *clipped = out;
    return bad != 0;
}

void QUANT_REAL(float *x, const uint32_t *q, size_t len, double by)
{
    for (size_t i = 0; i < len; i++) {
        int32_t v;
        memcpy(&v, &q[i], sizeof(v));
        float f = (float)(by * v);
        memcpy(&x[i], &f, sizeof(f));
    }
}
