/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings, compressed rows, factors: memory, and from the first to the second by counting. */
#include "recsys_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, LANES = 16 };

ccz_rc cczi_recsys_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
}

void *cczi_recsys_alloc(uint64_t len, size_t size)
{
    if (len > (SIZE_MAX - ALIGNMENT) / size)
        return NULL;
    size_t all = (size_t)len * size;
    all = (all + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *p = aligned_alloc(ALIGNMENT, all ? all : ALIGNMENT);
    if (p)
        memset(p, 0, all);
    return p;
}

void cczi_recsys_wipe_free(void *p, size_t size)
{
    if (p)
        ccz_wipe(p, size);
    free(p);
}

/* ------------------------------------------------------------------------------------- ratings */

static ccz_rc check_len(uint32_t users, uint32_t items, struct ccz_err *err)
{
    if (users > CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:users", users, CCZ_RECSYS_LEN_MAX);
    if (items > CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:items", items, CCZ_RECSYS_LEN_MAX);
    return CCZ_OK;
}

ccz_rc ccz_recsys_ratings_init(struct ccz_recsys_ratings *out, uint32_t users, uint32_t items,
                               uint64_t len, bool times, struct ccz_err *err)
{
    *out = (struct ccz_recsys_ratings){0};
    ccz_rc rc = check_len(users, items, err);
    if (rc == CCZ_OK && len > CCZ_RECSYS_RATINGS_MAX)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:ratings", (int64_t)len,
                            (int64_t)CCZ_RECSYS_RATINGS_MAX);
    if (rc != CCZ_OK)
        return rc;
    *out = (struct ccz_recsys_ratings){.users = users,
                                       .items = items,
                                       .len = len,
                                       .user = cczi_recsys_alloc(len, sizeof(*out->user)),
                                       .item = cczi_recsys_alloc(len, sizeof(*out->item)),
                                       .value = cczi_recsys_alloc(len, sizeof(*out->value)),
                                       .time = times ? cczi_recsys_alloc(len, sizeof(*out->time))
                                                     : NULL};
    if (out->user && out->item && out->value && (out->time || !times))
        return CCZ_OK;
    ccz_recsys_ratings_deinit(out);
    return cczi_recsys_no_memory(err);
}

void ccz_recsys_ratings_deinit(struct ccz_recsys_ratings *r)
{
    cczi_recsys_wipe_free(r->user, r->len * sizeof(*r->user));
    cczi_recsys_wipe_free(r->item, r->len * sizeof(*r->item));
    cczi_recsys_wipe_free(r->value, r->len * sizeof(*r->value));
    cczi_recsys_wipe_free(r->time, r->len * sizeof(*r->time));
    *r = (struct ccz_recsys_ratings){0};
}

/* ------------------------------------------------------------------------------ compressed rows */

static struct ccz_recsys_csr *csr_alloc(uint32_t rows, uint32_t cols, uint64_t len)
{
    struct ccz_recsys_csr *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    *m = (struct ccz_recsys_csr){.rows = rows,
                                 .cols = cols,
                                 .len = len,
                                 .start = cczi_recsys_alloc((uint64_t)rows + 1, sizeof(*m->start)),
                                 .col = cczi_recsys_alloc(len, sizeof(*m->col)),
                                 .value = cczi_recsys_alloc(len, sizeof(*m->value))};
    if (m->start && m->col && m->value)
        return m;
    ccz_recsys_csr_free(m);
    return NULL;
}

ccz_rc cczi_recsys_csr_alloc(struct ccz_recsys_csr **out, uint32_t rows, uint32_t cols,
                             uint64_t len, struct ccz_err *err)
{
    *out = csr_alloc(rows, cols, len);
    return *out ? CCZ_OK : cczi_recsys_no_memory(err);
}

void ccz_recsys_csr_free(struct ccz_recsys_csr *m)
{
    if (!m)
        return;
    cczi_recsys_wipe_free(m->start, ((size_t)m->rows + 1) * sizeof(*m->start));
    cczi_recsys_wipe_free(m->col, m->len * sizeof(*m->col));
    cczi_recsys_wipe_free(m->value, m->len * sizeof(*m->value));
    free(m);
}

/* Counts in start[i + 1] become the places where rows start. */
static void sum_up(uint64_t *start, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++)
        start[i + 1] += start[i];
}

/* Rows were filled in by start[r]++: back by one row. */
static void back_up(uint64_t *start, uint32_t rows)
{
    for (uint32_t i = rows; i > 0; i--)
        start[i] = start[i - 1];
    start[0] = 0;
}

ccz_rc ccz_recsys_csr_transpose(struct ccz_recsys_csr **out, const struct ccz_recsys_csr *in,
                                struct ccz_err *err)
{
    *out = NULL;
    struct ccz_recsys_csr *t = csr_alloc(in->cols, in->rows, in->len);
    if (!t)
        return cczi_recsys_no_memory(err);
    for (uint64_t i = 0; i < in->len; i++)
        t->start[in->col[i] + 1]++;
    sum_up(t->start, t->rows);
    for (uint32_t r = 0; r < in->rows; r++)
        for (uint64_t i = in->start[r]; i < in->start[r + 1]; i++) {
            const uint64_t to = t->start[in->col[i]]++;
            t->col[to] = r;
            t->value[to] = in->value[i];
        }
    back_up(t->start, t->rows);
    *out = t;
    return CCZ_OK;
}

ccz_rc cczi_recsys_refuse_rating(const struct ccz_recsys_ratings *r, uint64_t i,
                                 struct ccz_err *err)
{
    if (r->user[i] >= r->users)
        return ccz_fail(err, CCZ_E_ARG, "recsys:user", (int64_t)i, "number %u of %u users",
                        r->user[i], r->users);
    return ccz_fail(err, CCZ_E_ARG, "recsys:item", (int64_t)i, "number %u of %u items", r->item[i],
                    r->items);
}

static ccz_rc check_ratings(const struct ccz_recsys_ratings *r, struct ccz_err *err)
{
    for (uint64_t i = 0; i < r->len; i++) {
        ccz_rc rc = cczi_recsys_check_rating(r, i, err);
        if (rc != CCZ_OK)
            return rc;
        if (!isfinite(r->value[i]))
            return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)i, "not a finite number");
    }
    return CCZ_OK;
}

/* Places of ratings by item and, for the same item, in their order: two passes of counting make rows whose columns ascend. */
static ccz_rc by_item(uint64_t **out, const struct ccz_recsys_ratings *r, struct ccz_err *err)
{
    uint64_t *start = cczi_recsys_alloc((uint64_t)r->items + 1, sizeof(*start));
    *out = cczi_recsys_alloc(r->len, sizeof(**out));
    if (!start || !*out) {
        free(start);
        free(*out);
        *out = NULL;
        return cczi_recsys_no_memory(err);
    }
    for (uint64_t i = 0; i < r->len; i++)
        start[r->item[i] + 1]++;
    sum_up(start, r->items);
    for (uint64_t i = 0; i < r->len; i++)
        (*out)[start[r->item[i]]++] = i;
    cczi_recsys_wipe_free(start, ((size_t)r->items + 1) * sizeof(*start));
    return CCZ_OK;
}

/* Equal columns stand side by side, in the order of ratings: the first place takes what counts. `from` is each one's rating. */
static ccz_rc merge_twice(struct ccz_recsys_csr *m, const uint64_t *from,
                          const struct ccz_recsys_ratings *r, enum ccz_recsys_twice twice,
                          struct ccz_err *err)
{
    uint64_t to = 0, i = 0;
    for (uint32_t row = 0; row < m->rows; row++) {
        const uint64_t begin = to, end = m->start[row + 1];
        int64_t time = 0;
        for (; i < end; i++) {
            const int64_t t = r->time ? r->time[from[i]] : 0;
            if (to == begin || m->col[to - 1] != m->col[i]) {
                m->col[to] = m->col[i];
                m->value[to++] = m->value[i];
                time = t;
                continue;
            }
            if (twice == CCZ_RECSYS_TWICE_REFUSE)
                return ccz_fail(err, CCZ_E_EXISTS, "recsys:twice", (int64_t)from[i],
                                "user %u has rated item %u before", row, m->col[i]);
            if (twice == CCZ_RECSYS_TWICE_SUM) {
                m->value[to - 1] += m->value[i];
                if (!isfinite(m->value[to - 1]))
                    return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)from[i],
                                    "the sum of ratings of user %u and item %u is not finite", row,
                                    m->col[i]);
            } else if (t >= time) {
                m->value[to - 1] = m->value[i];
                time = t;
            }
        }
        m->start[row] = begin;
    }
    m->start[m->rows] = to;
    ccz_wipe(m->col + to,
             (m->len - to) * sizeof(*m->col)); /* ccz_recsys_csr_free() sees what is in use */
    ccz_wipe(m->value + to, (m->len - to) * sizeof(*m->value));
    m->len = to;
    return CCZ_OK;
}

ccz_rc ccz_recsys_csr_new(struct ccz_recsys_csr **out, const struct ccz_recsys_ratings *r,
                          enum ccz_recsys_twice twice, struct ccz_err *err)
{
    *out = NULL;
    uint64_t *order = NULL, *from = NULL;
    ccz_rc rc = check_ratings(r, err);
    if (rc == CCZ_OK)
        rc = by_item(&order, r, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t len = r->len;
    struct ccz_recsys_csr *m = csr_alloc(r->users, r->items, len);
    from = cczi_recsys_alloc(len, sizeof(*from));
    if (!m || !from) {
        rc = cczi_recsys_no_memory(err);
        goto out;
    }
    for (uint64_t i = 0; i < len; i++)
        m->start[r->user[i] + 1]++;
    sum_up(m->start, m->rows);
    for (uint64_t i = 0; i < len; i++) {
        const uint64_t k = order[i], to = m->start[r->user[k]]++;
        m->col[to] = r->item[k];
        m->value[to] = r->value[k];
        from[to] = k;
    }
    back_up(m->start, m->rows);
    rc = merge_twice(m, from, r, twice, err);
out:
    cczi_recsys_wipe_free(order, len * sizeof(*order));
    cczi_recsys_wipe_free(from, len * sizeof(*from));
    if (rc == CCZ_OK)
        *out = m;
    else
        ccz_recsys_csr_free(m);
    return rc;
}

/* ------------------------------------------------------------------------------------- factors */

ccz_rc ccz_recsys_factors_init(struct ccz_recsys_factors *out, uint32_t len, uint32_t factors,
                               bool bias, struct ccz_err *err)
{
    *out = (struct ccz_recsys_factors){0};
    if (factors == 0 || factors > CCZ_RECSYS_FACTORS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:factors", factors, CCZ_RECSYS_FACTORS_MAX);
    if (len > CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:users", len, CCZ_RECSYS_LEN_MAX);
    const uint32_t stride = (factors + LANES - 1) / LANES * LANES;
    *out = (struct ccz_recsys_factors){
        .len = len,
        .factors = factors,
        .stride = stride,
        .v = cczi_recsys_alloc((uint64_t)len * stride, sizeof(*out->v)),
        .bias = bias ? cczi_recsys_alloc(len, sizeof(*out->bias)) : NULL};
    if (out->v && (out->bias || !bias))
        return CCZ_OK;
    ccz_recsys_factors_deinit(out);
    return cczi_recsys_no_memory(err);
}

void ccz_recsys_factors_deinit(struct ccz_recsys_factors *f)
{
    cczi_recsys_wipe_free(f->v, (size_t)f->len * f->stride * sizeof(*f->v));
    cczi_recsys_wipe_free(f->bias, f->len * sizeof(*f->bias));
    *f = (struct ccz_recsys_factors){0};
}

void ccz_recsys_model_free(struct ccz_recsys_model *m)
{
    if (!m)
        return;
    ccz_recsys_factors_deinit(&m->user);
    ccz_recsys_factors_deinit(&m->item);
    free(m);
}
