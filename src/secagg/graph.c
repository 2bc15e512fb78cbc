/* SPDX-License-Identifier: Apache-2.0 */
#include "secagg/secagg_priv.h"

#include <stdlib.h>
#include <string.h>

/* Fisher and Yates, with unbiased draws. */
static ccz_rc shuffle(uint32_t *x, uint32_t len)
{
    for (uint32_t i = len; i > 1; i--) {
        uint32_t r, limit = UINT32_MAX - UINT32_MAX % i;
        do {
            if (ccz_random(&r, sizeof(r)) != CCZ_OK)
                return CCZ_E_INTERNAL;
        } while (r >= limit);
        uint32_t t = x[i - 1];
        x[i - 1] = x[r % i];
        x[r % i] = t;
    }
    return CCZ_OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

ccz_rc cczi_sa_graph(uint32_t **out, uint32_t *degree, const uint32_t *members, uint32_t len,
                     uint32_t wanted)
{
    uint32_t half = wanted / 2;
    bool all = wanted == 0 || wanted >= len - 1;
    *degree = all ? len - 1 : wanted;
    *out = NULL;
    uint32_t *ring = malloc(len * sizeof(*ring));
    uint32_t *list = malloc((size_t)len * *degree * sizeof(*list));
    if (!ring || !list) {
        free(ring);
        free(list);
        return CCZ_E_NOMEM;
    }
    for (uint32_t i = 0; i < len; i++)
        ring[i] = i;
    ccz_rc rc = all ? CCZ_OK : shuffle(ring, len);
    for (uint32_t i = 0; i < len; i++) {
        uint32_t *mine = list + (size_t)ring[i] * *degree;
        for (uint32_t d = 1; d <= *degree;
             d++) { /* all: the rest of the ring; else half of it behind */
            uint32_t step = all || d <= half ? d : len - (d - half);
            mine[d - 1] = members[ring[(i + step) % len]];
        }
        qsort(mine, *degree, sizeof(*mine), by_number);
    }
    free(ring);
    if (rc == CCZ_OK)
        *out = list;
    else
        free(list);
    return rc;
}

uint32_t cczi_sa_find(const uint32_t *list, uint32_t len, uint32_t member)
{
    uint32_t lo = 0, hi = len;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (list[mid] < member)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < len && list[lo] == member ? lo : len;
}
