/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Median and trimmed mean of columns. Columns are sorted side by side, one comparator of a sorting network after another, on
 * tiles that stay in the cache. Comparators that no needed row depends on are left out.
 */
#include "agg_priv.h"

#include <stdlib.h>

enum { COLS_MIN = 64, COLS_MAX = 1024, TILE_SIZE = 32768 };

struct ccz_agg_robust {
    struct ccz_agg_robust_cfg cfg;
    size_t cols; /* of a tile */
    float *tile; /* [rows][cols] */
    uint16_t (*pairs)[2];
    size_t pairs_len;
};

/*
 * Batcher's odd-even merge sort for any number of rows (Knuth, volume 3, 5.2.2, algorithm M).
 * @param out  NULL: only counts
 */
static size_t network(uint16_t (*out)[2], size_t rows)
{
    size_t len = 0, top = 1;
    while (2 * top < rows)
        top *= 2;
    for (size_t p = rows > 1 ? top : 0; p > 0; p /= 2) {
        size_t q = top, r = 0, d = p;
        for (;;) {
            for (size_t i = 0; i + d < rows; i++) {
                if ((i & p) != r)
                    continue;
                if (out) {
                    out[len][0] = (uint16_t)i;
                    out[len][1] = (uint16_t)(i + d);
                }
                len++;
            }
            if (q == p)
                break;
            d = q - p;
            q /= 2;
            r = p;
        }
    }
    return len;
}

/* Drops the comparators whose outputs do not reach rows from .. to - 1. */
static size_t prune(uint16_t (*pairs)[2], size_t len, size_t from, size_t to)
{
    bool needed[CCZ_AGG_ROWS_MAX] = {0};
    size_t kept = len;
    for (size_t i = from; i < to; i++)
        needed[i] = true;
    for (size_t i = len; i-- > 0;) { /* backwards; those kept gather at the end */
        uint16_t a = pairs[i][0], b = pairs[i][1];
        if (!needed[a] && !needed[b])
            continue;
        needed[a] = needed[b] = true;
        kept--;
        pairs[kept][0] = a;
        pairs[kept][1] = b;
    }
    memmove(pairs, pairs + kept, (len - kept) * sizeof(*pairs));
    return len - kept;
}

static ccz_rc check(const struct ccz_agg_robust_cfg *c, struct ccz_err *err)
{
    if (c->kind != CCZ_AGG_MEDIAN && c->kind != CCZ_AGG_TRIMMED)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:robust-kind", c->kind, CCZ_AGG_TRIMMED);
    if (c->rows < 1 || c->rows > CCZ_AGG_ROWS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:robust-rows", c->rows, CCZ_AGG_ROWS_MAX);
    uint32_t most = c->kind == CCZ_AGG_MEDIAN ? 0 : (c->rows - 1) / 2;
    if (c->trim > most)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:robust-trim", c->trim, most);
    return CCZ_OK;
}

ccz_rc ccz_agg_robust_new(struct ccz_agg_robust **out, const struct ccz_agg_robust_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    size_t rows = cfg->rows, cols = COLS_MAX, all = network(NULL, rows);
    while (cols > COLS_MIN && rows * cols * sizeof(float) > TILE_SIZE)
        cols /= 2;
    CCZ_AUTO(ccz_agg_robust) r = calloc(1, sizeof(*r));
    if (r) {
        r->tile = aligned_alloc(64, rows * cols * sizeof(float));
        r->pairs = malloc((all + 1) * sizeof(*r->pairs));
    }
    if (!r || !r->tile || !r->pairs)
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", (int64_t)rows, "no memory for a rule");
    r->cfg = *cfg;
    r->cols = cols;
    (void)network(r->pairs, rows);
    size_t from = cfg->kind == CCZ_AGG_MEDIAN ? (rows - 1) / 2 : cfg->trim;
    r->pairs_len = prune(r->pairs, all, from, rows - from);
    *out = ccz_agg_robust_take(&r);
    return CCZ_OK;
}

void ccz_agg_robust_free(struct ccz_agg_robust *r)
{
    if (!r)
        return;
    free(r->tile);
    free(r->pairs);
    free(r);
}

/* n columns from @p at, the rest of the tile zero. */
static ccz_rc load(struct ccz_agg_robust *r, const float *const *rows, size_t at, size_t n,
                   struct ccz_err *err)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    for (size_t i = 0; i < r->cfg.rows; i++) {
        float *to = r->tile + i * r->cols;
        memcpy(to, rows[i] + at, n * sizeof(*to));
        if (n < r->cols)
            memset(to + n, 0, (r->cols - n) * sizeof(*to));
        if (k->max_abs(to, n) >= CCZI_AGG_INF_BITS)
            return cczi_agg_refuse_value(err, "row", (int64_t)i, to[ccz_agg_nonfinite(to, n)]);
    }
    return CCZ_OK;
}

ccz_rc ccz_agg_robust_run(float *out, struct ccz_agg_robust *r, const float *const *rows,
                          size_t len, struct ccz_err *err)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    size_t n = r->cfg.rows, mid = (n - 1) / 2;
    float result[COLS_MAX];
    for (size_t at = 0; at < len; at += r->cols) {
        size_t cols = len - at < r->cols ? len - at : r->cols;
        ccz_rc rc = load(r, rows, at, cols, err);
        if (rc != CCZ_OK) {
            memset(out, 0, len * sizeof(*out));
            return rc;
        }
        const float *from = result;
        k->sort(r->tile, r->cols, (const uint16_t(*)[2])r->pairs, r->pairs_len);
        if (r->cfg.kind == CCZ_AGG_TRIMMED)
            k->mean_rows(result, r->tile, r->cols, r->cfg.trim, n - r->cfg.trim);
        else if (n % 2)
            from = r->tile + mid * r->cols;
        else
            k->middle(result, r->tile + mid * r->cols, r->tile + (mid + 1) * r->cols, r->cols);
        memcpy(out + at, from, cols * sizeof(*out));
    }
    return CCZ_OK;
}
