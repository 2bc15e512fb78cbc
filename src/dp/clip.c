/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/dp_priv.h"

#include <math.h>

enum { LANES = 8, BLOCK = 4096 };

/* Blocks keep the error of the sum far below the slack of ccz_dp_clip() for any length. */
static double block_squares(const float *x, size_t len)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= len; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < len; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

double ccz_dp_norm(const float *x, size_t len)
{
    double sum = 0;
    for (size_t i = 0; i < len; i += BLOCK)
        sum += block_squares(x + i, len - i < BLOCK ? len - i : BLOCK);
    return sqrt(sum);
}

ccz_rc ccz_dp_clip(float *x, double *norm, size_t len, double clip, struct ccz_err *err)
{
    if (norm)
        *norm = 0;
    if (!(clip > 0) || !isfinite(clip))
        return ccz_fail(err, CCZ_E_ARG, "dp:clip", 0, "clip %g is not a positive number", clip);
    double n = ccz_dp_norm(x, len);
    if (!isfinite(n))
        return ccz_fail(err, CCZ_E_FORMAT, "dp:not-finite", 0,
                        "a value of the vector is infinite or not a number");
    if (norm)
        *norm = n;
    double shrunk = clip * (1 - 0x1p-21);
    if (n <= shrunk)
        return CCZ_OK;
    double factor = shrunk / n;
    for (size_t i = 0; i < len; i++)
        x[i] = (float)((double)x[i] * factor);
    return CCZ_OK;
}
