/* SPDX-License-Identifier: Apache-2.0 */
#include "helr/helr_priv.h"

/* The smallest power of two that is not below @p x. */
static size_t ceil_power(size_t x)
{
    size_t p = 1;
    while (p < x)
        p *= 2;
    return p;
}

struct ccz_helr_layout cczi_helr_layout_of(size_t n, size_t features, size_t per_ct)
{
    struct ccz_helr_layout l = {.per_ct = per_ct,
                                .cts = (features + per_ct - 1) / per_ct,
                                .rows_max = per_ct == 1 ? n / 2 : n / per_ct};
    while ((size_t)1 << l.switches < per_ct)
        l.switches++;
    return l;
}

struct ccz_helr_layout ccz_helr_layout(size_t n, size_t features, size_t rows, size_t per_ct_max)
{
    if (rows == 0 || rows > n / 2 || features == 0)
        return (struct ccz_helr_layout){0};
    size_t limit = ceil_power(features), per_ct = 1;
    if (per_ct_max > 0 && per_ct_max < limit)
        limit = per_ct_max;
    while (2 * per_ct <= limit && 2 * per_ct * rows <= n)
        per_ct *= 2;
    return cczi_helr_layout_of(n, features, per_ct);
}
