/* SPDX-License-Identifier: Apache-2.0 */
/* Y' Y. Rows are cut into CCZI_GRAM_PARTS parts wherever threads are; each part adds up SLICE rows in float, slices in double,
 * and parts are added in order. */
#include "als_priv.h"

#include <string.h>

enum { SLICE = 256 };

struct gram {
    struct cczi_als *als;
    const struct ccz_recsys_factors *y;
    size_t slices; /* of a part */
    atomic_uint next;
};

static void part(struct gram *g, size_t number, float *sum)
{
    const size_t dims = g->als->stride, len = g->y->len, size = dims * dims;
    double *out = g->als->partial + number * size;
    memset(out, 0, size * sizeof(*out));
    for (size_t s = 0; s < g->slices; s++) {
        const size_t from = (number * g->slices + s) * SLICE;
        if (from >= len)
            return;
        memset(sum, 0, size * sizeof(*sum));
        g->als->k->syrk(sum, dims, g->y->v + from * dims, dims,
                        len - from < SLICE ? len - from : SLICE);
        for (size_t i = 0; i < dims; i++) /* upper blocks */
            for (size_t j = i / CCZI_ALS_BLOCK * CCZI_ALS_BLOCK; j < dims; j++)
                out[i * dims + j] += (double)sum[i * dims + j];
    }
}

static ccz_rc work(void *arg, size_t worker, size_t len, struct ccz_err *err)
{
    struct gram *g = arg;
    (void)len;
    (void)err;
    for (unsigned number; (number = atomic_fetch_add(&g->next, 1)) < CCZI_GRAM_PARTS;)
        part(g, number, g->als->work[worker].a);
    return CCZ_OK;
}

ccz_rc cczi_als_gram(struct cczi_als *als, const struct ccz_recsys_factors *y, struct ccz_err *err)
{
    const size_t size = als->stride * als->stride, slices = (y->len + SLICE - 1) / SLICE;
    struct gram g = {
        .als = als, .y = y, .slices = (slices + CCZI_GRAM_PARTS - 1) / CCZI_GRAM_PARTS};
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
