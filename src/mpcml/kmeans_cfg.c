/* SPDX-License-Identifier: Apache-2.0 */
/* K-means: what is refused, defaults, the choice of first centres, points as elements. */
#include "kmeans_priv.h"

#include <math.h>
#include <stdlib.h>

static bool by_rows(const struct ccz_mpcml_kmeans_cfg *c)
{
    return c->split == CCZ_MPCML_ROWS;
}

size_t ccz_mpcml_kmeans_points(const struct ccz_mpcml_kmeans_cfg *cfg)
{
    return by_rows(cfg) ? cfg->rows[0] + cfg->rows[1] : cfg->rows[0];
}

size_t ccz_mpcml_kmeans_columns(const struct ccz_mpcml_kmeans_cfg *cfg)
{
    return by_rows(cfg) ? cfg->columns[0] : cfg->columns[0] + cfg->columns[1];
}

size_t cczi_kmeans_len(const struct cczi_kmeans *k, unsigned role)
{
    return k->c.rows[role] * k->c.columns[role];
}

/* ------------------------------------------------------------------------------- configuration */

static ccz_rc check_pair(const size_t v[2], bool equal, size_t max, const char *where,
                         struct ccz_err *err)
{
    for (int i = 0; i < 2; i++)
        if (v[i] < 1 || v[i] > max)
            return ccz_refuse_num(err, CCZ_E_ARG, where, (int64_t)v[i], (int64_t)max);
    if (equal && v[0] != v[1])
        return ccz_refuse_num(err, CCZ_E_ARG, where, (int64_t)v[1], (int64_t)v[0]);
    return CCZ_OK;
}

static ccz_rc check_numbers(const struct ccz_mpcml_kmeans_cfg *c, struct ccz_err *err)
{
    const size_t points = ccz_mpcml_kmeans_points(c);
    if (c->clusters < 2 || c->clusters > CCZ_MPCML_CLUSTERS_MAX || c->clusters > points)
        return ccz_refuse_num(
            err, CCZ_E_ARG, "mpcml:clusters", (int64_t)c->clusters,
            (int64_t)(points < CCZ_MPCML_CLUSTERS_MAX ? points : CCZ_MPCML_CLUSTERS_MAX));
    if (c->iterations < 1 || c->iterations > CCZ_MPCML_ITERATIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:iterations", (int64_t)c->iterations,
                              CCZ_MPCML_ITERATIONS_MAX);
    if (c->frac > CCZI_KMEANS_SIZE_FRAC)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:frac", c->frac, CCZI_KMEANS_SIZE_FRAC);
    if (!(c->max_abs > 0) || !(c->max_abs <= 0x1p20))
        return ccz_fail(err, CCZ_E_ARG, "mpcml:max-abs", 0, "a bound of %g, expected up to 2^20",
                        c->max_abs);
    if (c->to > CCZ_MPC_TO_BOTH || (c->to == 0 && by_rows(c)))
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:to", c->to, CCZ_MPC_TO_BOTH);
    return CCZ_OK;
}

/* Largest elements: distances d (b^2 + 2 b m), sums n m, quotients b 2^28; b bounds centres, m points. */
static ccz_rc check_range(const struct cczi_kmeans *k, struct ccz_err *err)
{
    const double m = ldexp(k->c.max_abs, (int)k->c.frac), b = m * (1 + 0x1p-10) + 2;
    const double distance = (double)k->columns * (b * b + 2 * b * m);
    const double largest =
        fmax(fmax(distance, (double)k->points * m), ldexp(b, CCZI_KMEANS_SIZE_FRAC));
    if (largest < 0x1p62)
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_LIMIT, "mpcml:range", (int64_t)ceil(log2(largest)),
                   "values may reach %.1f bits, the ring has room for 62", log2(largest));
    return ccz_hint(err, CCZ_E_LIMIT, "scale the columns, or fewer fraction bits");
}

/* ---------------------------------------------------------------------------------- first centres */

/* Different points by the seed, each as likely as any other: SplitMix64, which both compute. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool taken(const struct cczi_kmeans *k, size_t len, uint32_t point)
{
    for (size_t i = 0; i < len; i++)
        if (k->first[i] == point)
            return true;
    return false;
}

static ccz_rc choose_first(struct cczi_kmeans *k, struct ccz_err *err)
{
    uint64_t state = k->c.seed;
    for (size_t i = 0; i < k->c.clusters;) {
        const uint32_t point = k->c.first ? k->c.first[i] : (uint32_t)(next(&state) % k->points);
        const bool bad = point >= k->points || taken(k, i, point);
        if (bad && k->c.first)
            return ccz_fail(err, CCZ_E_ARG, "mpcml:first", (int64_t)i,
                            "first centre %zu is point %u: there is no such point, or twice", i,
                            point);
        if (!bad)
            k->first[i++] = point;
    }
    return CCZ_OK;
}

ccz_rc cczi_kmeans_init(struct cczi_kmeans *k, const struct ccz_mpcml_kmeans_cfg *cfg,
                        struct ccz_err *err)
{
    *k = (struct cczi_kmeans){.c = *cfg};
    struct ccz_mpcml_kmeans_cfg *c = &k->c;
    c->frac = c->frac ? c->frac : 14;
    c->max_abs = c->max_abs != 0 ? c->max_abs : 8;
    if ((unsigned)c->split > CCZ_MPCML_ROWS)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:split", (int64_t)c->split, CCZ_MPCML_ROWS);
    ccz_rc rc = check_pair(c->rows, !by_rows(c), CCZ_MPCML_ROWS_MAX / 4, "mpcml:rows", err);
    if (rc == CCZ_OK)
        rc = check_pair(c->columns, by_rows(c), CCZ_MPCML_COLUMNS_MAX, "mpcml:columns", err);
    if (rc == CCZ_OK)
        rc = check_numbers(c, err);
    if (rc != CCZ_OK)
        return rc;
    k->points = ccz_mpcml_kmeans_points(c);
    k->columns = ccz_mpcml_kmeans_columns(c);
    for (k->octaves.hi = 1; (size_t)1 << k->octaves.hi <= k->points; k->octaves.hi++)
        ;
    rc = check_range(k, err);
    return rc == CCZ_OK ? choose_first(k, err) : rc;
}

ccz_rc cczi_kmeans_encode(uint64_t **out, const struct cczi_kmeans *k, unsigned role,
                          const double *x, struct ccz_err *err)
{
    const size_t len = cczi_kmeans_len(k, role);
    *out = NULL;
    for (size_t i = 0; i < len; i++)
        if (!(fabs(x[i]) <= k->c.max_abs))
            return ccz_fail(err, CCZ_E_ARG, "mpcml:input", (int64_t)i,
                            "number %zu is beyond the bound %g", i, k->c.max_abs);
    ccz_rc rc = cczi_mpcml_alloc(out, len, sizeof(**out), err);
    if (rc == CCZ_OK)
        ccz_mpc_encode(*out, x, len, CCZI_KMEANS_RING, k->c.frac);
    return rc;
}
