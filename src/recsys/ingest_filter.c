/* SPDX-License-Identifier: Apache-2.0 */
/* Users and items with too few ratings: once, or until nobody has. Each rating is looked at twice at most, whatever the order
 * in which they fall (Batagelj, Zaversnik 2003). */
#include "ingest.h"

#include <stdlib.h>

/* Sides of the graph: 0 users, 1 items. */
struct peel {
    const struct ccz_recsys_csr *rows[2];
    uint32_t min[2];
    uint32_t *degree[2];
    uint8_t *gone[2];
    uint32_t *queue[2]; /* of the side, in the order in which they fell */
    uint32_t from[2], to[2];
};

static void fall(struct peel *p, int side, uint32_t i)
{
    p->gone[side][i] = 1;
    p->queue[side][p->to[side]++] = i;
}

/* What fell takes a rating from each one on the other side. */
static void spread(struct peel *p, int side, bool chain)
{
    while (p->from[side] < p->to[side]) {
        const struct ccz_recsys_csr *m = p->rows[side];
        const uint32_t row = p->queue[side][p->from[side]++];
        for (uint64_t k = m->start[row]; k < m->start[row + 1]; k++) {
            const uint32_t other = m->col[k];
            p->degree[!side][other]--;
            if (chain && !p->gone[!side][other] && p->degree[!side][other] < p->min[!side])
                fall(p, !side, other);
        }
    }
}

static void start(struct peel *p, int side)
{
    for (uint32_t i = 0; i < p->rows[side]->rows; i++)
        if (!p->gone[side][i] && p->degree[side][i] < p->min[side])
            fall(p, side, i);
}

static ccz_rc peel_init(struct peel *p, struct ccz_err *err)
{
    for (int side = 0; side < 2; side++) {
        const struct ccz_recsys_csr *m = p->rows[side];
        p->degree[side] = cczi_recsys_alloc(m->rows, sizeof(uint32_t));
        p->queue[side] = cczi_recsys_alloc(m->rows, sizeof(uint32_t));
        p->gone[side] = cczi_recsys_alloc(m->rows, 1);
        if (!p->degree[side] || !p->queue[side] || !p->gone[side])
            return cczi_recsys_no_memory(err);
        for (uint32_t i = 0; i < m->rows; i++)
            p->degree[side][i] = (uint32_t)(m->start[i + 1] - m->start[i]);
    }
    return CCZ_OK;
}

static void peel_deinit(struct peel *p)
{
    for (int side = 0; side < 2; side++) {
        free(p->degree[side]);
        free(p->queue[side]);
        free(p->gone[side]);
    }
}

static void number(uint32_t *to, uint32_t *left, const uint8_t *gone, uint32_t len)
{
    *left = 0;
    for (uint32_t i = 0; i < len; i++)
        to[i] = gone[i] ? CCZ_RECSYS_NONE : (*left)++;
}

ccz_rc cczi_recsys_keep_init(struct cczi_recsys_keep *k, const struct ccz_recsys_csr *by_user,
                             const struct ccz_recsys_csr *by_item,
                             const struct ccz_recsys_filter *filter, struct ccz_err *err)
{
    struct peel p = {
        .rows = {by_user, by_item},
        .min = {filter->per_user > 0 ? filter->per_user : 1, /* who is left with none goes, too */
                filter->per_item > 0 ? filter->per_item : 1}};
    *k = (struct cczi_recsys_keep){.users = by_user->rows, .items = by_item->rows};
    k->user = cczi_recsys_alloc(k->users, sizeof(*k->user));
    k->item = cczi_recsys_alloc(k->items, sizeof(*k->item));
    ccz_rc rc = k->user && k->item ? peel_init(&p, err) : cczi_recsys_no_memory(err);
    if (rc == CCZ_OK) {
        start(&p, 1); /* items, by all ratings */
        if (filter->once)
            spread(&p, 1, false);
        start(&p, 0);
        while (!filter->once && (p.from[0] < p.to[0] || p.from[1] < p.to[1])) {
            spread(&p, 0, true);
            spread(&p, 1, true);
        }
        number(k->user, &k->users_left, p.gone[0], k->users);
        number(k->item, &k->items_left, p.gone[1], k->items);
    }
    peel_deinit(&p);
    if (rc != CCZ_OK)
        cczi_recsys_keep_deinit(k);
    return rc;
}

void cczi_recsys_keep_deinit(struct cczi_recsys_keep *k)
{
    free(k->user);
    free(k->item);
    *k = (struct cczi_recsys_keep){0};
}

void cczi_recsys_csr_keep(struct ccz_recsys_csr *m, const uint32_t *row_to, uint32_t rows,
                          const uint32_t *col_to, uint32_t cols)
{
    uint64_t to = 0, from = 0;
    for (uint32_t r = 0; r < m->rows; r++) {
        const uint64_t end = m->start[r + 1];
        if (row_to[r] == CCZ_RECSYS_NONE) {
            from = end;
            continue;
        }
        m->start[row_to[r]] = to; /* row_to[r] <= r: what is read later is still in place */
        for (; from < end; from++)
            if (col_to[m->col[from]] != CCZ_RECSYS_NONE) {
                m->col[to] = col_to[m->col[from]];
                m->value[to++] = m->value[from];
            }
    }
    ccz_wipe(m->start + rows, ((size_t)m->rows + 1 - rows) * sizeof(*m->start));
    m->start[rows] = to;
    ccz_wipe(m->col + to, (m->len - to) * sizeof(*m->col)); /* freeing sees `len` */
    ccz_wipe(m->value + to, (m->len - to) * sizeof(*m->value));
    m->rows = rows;
    m->cols = cols;
    m->len = to;
}
