/* SPDX-License-Identifier: Apache-2.0 */
/* K-means on plain fixed-point numbers: word by word what the protocol computes. */
#include "kmeans_priv.h"

#include <stdlib.h>
#include <string.h>

struct plain {
    const struct cczi_kmeans *k;
    uint64_t *x;      /* [points, columns] */
    uint64_t *centre; /* [clusters, columns] */
    uint64_t *sum;    /* likewise */
    uint64_t *size;   /* [clusters] */
};

/* |c|^2 - 2 x c */
static int64_t distance(const uint64_t *x, const uint64_t *c, size_t columns)
{
    uint64_t d = 0;
    for (size_t i = 0; i < columns; i++)
        d += c[i] * c[i] - 2 * x[i] * c[i];
    return (int64_t)d;
}

static void assign(struct plain *p)
{
    const size_t d = p->k->columns, clusters = p->k->c.clusters;
    memset(p->sum, 0, clusters * d * sizeof(*p->sum));
    memset(p->size, 0, clusters * sizeof(*p->size));
    for (size_t i = 0; i < p->k->points; i++) {
        const uint64_t *x = p->x + i * d;
        size_t best = 0;
        for (size_t j = 1; j < clusters; j++)
            if (distance(x, p->centre + j * d, d) < distance(x, p->centre + best * d, d))
                best = j;
        p->size[best]++;
        for (size_t c = 0; c < d; c++)
            p->sum[best * d + c] += x[c];
    }
}

/* Floor of v / 2^s, s > 0, two's complement. */
static uint64_t shifted(uint64_t v, unsigned s)
{
    const uint64_t sign = 0 - (v >> 63);
    return v >> s | sign << (64 - s);
}

static ccz_rc move(struct plain *p, struct ccz_err *err)
{
    const size_t d = p->k->columns, clusters = p->k->c.clusters;
    uint64_t reciprocal[CCZ_MPCML_CLUSTERS_MAX];
    for (size_t j = 0; j < clusters; j++)
        reciprocal[j] = (p->size[j] + (p->size[j] < 1)) << CCZI_KMEANS_SIZE_FRAC;
    ccz_rc rc = ccz_mpc_reciprocal_plain(reciprocal, reciprocal, clusters, CCZI_KMEANS_RING,
                                         CCZI_KMEANS_SIZE_FRAC, p->k->octaves, err);
    for (size_t i = 0; i < clusters * d && rc == CCZ_OK; i++)
        if (p->size[i / d] > 0)
            p->centre[i] = shifted(p->sum[i] * reciprocal[i / d], CCZI_KMEANS_SIZE_FRAC);
    ccz_wipe(reciprocal, sizeof(reciprocal));
    return rc;
}

/* The points of both in one table. */
static ccz_rc gather(struct plain *p, const double *x[2], struct ccz_err *err)
{
    const struct ccz_mpcml_kmeans_cfg *c = &p->k->c;
    const size_t d = p->k->columns;
    ccz_rc rc = CCZ_OK;
    for (unsigned r = 0; r < 2 && rc == CCZ_OK; r++) {
        uint64_t *v = NULL;
        const bool rows = c->split == CCZ_MPCML_ROWS;
        const size_t row = rows && r ? c->rows[0] : 0, column = !rows && r ? c->columns[0] : 0;
        rc = cczi_kmeans_encode(&v, p->k, r, x[r], err);
        for (size_t i = 0; i < c->rows[r] && rc == CCZ_OK; i++)
            memcpy(p->x + (row + i) * d + column, v + i * c->columns[r],
                   c->columns[r] * sizeof(*v));
        cczi_mpcml_wipe_free(v, cczi_kmeans_len(p->k, r) * sizeof(*v));
    }
    return rc;
}

static ccz_rc run(struct plain *p, const double *x[2], struct ccz_err *err)
{
    const size_t d = p->k->columns;
    ccz_rc rc = gather(p, x, err);
    for (size_t j = 0; j < p->k->c.clusters && rc == CCZ_OK; j++)
        memcpy(p->centre + j * d, p->x + p->k->first[j] * d, d * sizeof(*p->x));
    for (size_t i = 0; i < p->k->c.iterations && rc == CCZ_OK; i++) {
        assign(p);
        rc = move(p, err);
    }
    return rc;
}

ccz_rc ccz_mpcml_kmeans_simulate(uint64_t *centres, size_t *sizes,
                                 const struct ccz_mpcml_kmeans_cfg *cfg, const double *x0,
                                 const double *x1, struct ccz_err *err)
{
    struct cczi_kmeans k;
    uint64_t size[CCZ_MPCML_CLUSTERS_MAX] = {0};
    struct plain p = {.k = &k, .centre = centres, .size = size};
    ccz_rc rc = cczi_kmeans_init(&k, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const size_t len = k.c.clusters * k.columns;
    rc = cczi_mpcml_alloc(&p.x, k.points * k.columns, sizeof(*p.x), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&p.sum, len, sizeof(*p.sum), err);
    if (rc == CCZ_OK)
        rc = run(&p, (const double *[]){x0, x1}, err);
    if (rc != CCZ_OK)
        memset(centres, 0, len * sizeof(*centres));
    for (size_t j = 0; sizes && j < k.c.clusters; j++)
        sizes[j] = rc == CCZ_OK ? (size_t)size[j] : 0;
    ccz_wipe(size, sizeof(size));
    cczi_mpcml_wipe_free(p.sum, len * sizeof(*p.sum));
    cczi_mpcml_wipe_free(p.x, k.points * k.columns * sizeof(*p.x));
    return rc;
}
