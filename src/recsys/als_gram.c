/* SPDX-License-Identifier: Apache-2.0 */
/* Y' Y. Rows are cut into CCZI_GRAM_PARTS parts wherever threads are, and sums of parts are added in order. */
#include "als_priv.h"

#include <string.h>

struct gram {
    struct cczi_als *als;
    const struct ccz_recsys_factors *y;
    size_t rows; /* of a part */
    atomic_uint next;
};

static void part(const struct gram *g, size_t number)
{
    const size_t dims = g->als->stride, len = g->y->len, from = number * g->rows;
    double *out = g->als->partial + number * dims * dims;
    memset(out, 0, dims * dims * sizeof(*out));
    if (from < len)
        g->als->k->gram(out, dims, g->y->v + from * dims,
                        len - from < g->rows ? len - from : g->rows);
}

static ccz_rc work(void *arg, size_t worker, size_t len, struct ccz_err *err)
{
    struct gram *g = arg;
    (void)worker;
    (void)len;
    (void)err;
    for (unsigned number; (number = atomic_fetch_add(&g->next, 1)) < CCZI_GRAM_PARTS;)
        part(g, number);
    return CCZ_OK;
}

ccz_rc cczi_als_gram(struct cczi_als *als, const struct ccz_recsys_factors *y, struct ccz_err *err)
{
    const size_t size = als->stride * als->stride;
    struct gram g = {
        .als = als, .y = y, .rows = ((size_t)y->len + CCZI_GRAM_PARTS - 1) / CCZI_GRAM_PARTS};
    atomic_init(&g.next, 0);
    const ccz_rc rc = ccz_parallel(work, &g, als->cfg.threads, 1, als->cfg.threads, err);
    memset(als->gram, 0, size * sizeof(*als->gram));
    for (size_t p = 0; p < CCZI_GRAM_PARTS; p++)
        for (size_t i = 0; i < size; i++)
            als->gram[i] += als->partial[p * size + i];
    return rc;
}

ccz_rc cczi_als_base(struct cczi_als *als, const struct ccz_recsys_factors *fixed,
                     struct ccz_err *err)
{
    if (!als->base)
        return CCZ_OK;
    const ccz_rc rc = cczi_als_gram(als, fixed, err);
    const double scale =
        als->cfg.kind == CCZ_RECSYS_IMPLICIT_IALS ? (double)als->cfg.unobserved : 1;
    const size_t dims = als->stride; /* no bias: these are dims of systems, too */
    for (size_t i = 0; i < dims; i++)
        for (size_t j = i; j < dims; j++)
            als->base[i * dims + j] = als->base[j * dims + i] =
                (float)(scale * als->gram[i * dims + j]);
    return rc;
}
