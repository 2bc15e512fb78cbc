/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/helr.h>

/* The smallest power of two that is not below @p x. */
static size_t ceil_power(size_t x)
{
    size_t p = 1;
    while (p < x)
        p *= 2;
    return p;
}

struct ccz_helr_layout ccz_helr_layout(size_t n, size_t features, size_t rows, size_t per_ct_max)
{
    struct ccz_helr_layout l = {0};
    if (rows == 0 || rows > n / 2 || features == 0)
        return l;
    size_t limit = ceil_power(features);
    if (per_ct_max > 0 && per_ct_max < limit)
        limit = per_ct_max;
    if (limit > n)
        limit = n;
    l.per_ct = 1;
    while (2 * l.per_ct <= limit && 2 * l.per_ct * rows <= n) {
        l.per_ct *= 2;
        l.switches++;
    }
    l.cts = (features + l.per_ct - 1) / l.per_ct;
    l.rows_max = l.per_ct == 1 ? n / 2 : n / l.per_ct;
    return l;
}
