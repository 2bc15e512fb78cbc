/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An order of many rows as three steps of permutations inside of small blocks (Clos 1953; Slepian, Duguid). Rows lie in a table of r
 * blocks of c columns. Each row goes to some column of its block, then down or up in that column to the block where it is to
 * be, then to its place in there. Columns are the colours of the edges of a bipartite graph, blocks before to blocks after, of degree c, a
 * power of two: it is split in halves of equal degrees again and again, by walking around its cycles.
 */
#include "shuffle.h"

#include <stdlib.h>

void cczi_order_shape(struct cczi_order *o, size_t rows, size_t d)
{
    size_t c = 2;
    *o = (struct cczi_order){.rows = rows, .padded = rows, .d = d};
    if (rows > 1) {
        o->steps = 1;
        o->step[0] = (struct cczi_order_step){1, rows, rows, 1, 0};
    }
    if (rows > CCZI_ROWS_SINGLE) {
        while (c * c < rows)
            c *= 2;
        const size_t r = (rows + c - 1) / c;
        o->steps = 3;
        o->padded = r * c;
        o->step[0] = o->step[2] = (struct cczi_order_step){r, c, c, 1, 0};
        o->step[1] = (struct cczi_order_step){c, r, 1, c, 0};
    }
    for (unsigned s = 0; s < o->steps; s++) {
        o->step[s].depth = 2;
        while ((size_t)1 << o->step[s].depth < o->step[s].len)
            o->step[s].depth++;
        o->ots += (uint64_t)o->padded * o->step[s].depth;
    }
}

/* ------------------------------------------------------------------------------------- colours */

#define NONE UINT32_MAX

struct graph {
    size_t len;           /* edges: rows after */
    unsigned bits;        /* of a colour */
    const uint32_t *from; /* row before */
    uint32_t *colour, *pair[2], *open;
};

static size_t node_of(const struct graph *g, size_t edge, int side)
{
    return (side ? edge : g->from[edge]) >> g->bits;
}

/* Edges that meet at a node of a side, and have the same colour so far, two by two. */
static void pair_up(struct graph *g, int side, unsigned known)
{
    for (size_t i = 0; i < g->len; i++)
        g->open[i] = NONE;
    for (uint32_t e = 0; e < g->len; e++) {
        uint32_t *other = &g->open[node_of(g, e, side) << known | g->colour[e]];
        if (*other == NONE) {
            *other = e;
            continue;
        }
        g->pair[side][e] = *other;
        g->pair[side][*other] = e;
        *other = NONE;
    }
}

/* One more bit of each colour: different ones for the two of every pair, on both sides. */
static void halve(struct graph *g, unsigned known)
{
    pair_up(g, 0, known);
    pair_up(g, 1, known);
    for (uint32_t e = 0; e < g->len; e++) {
        uint32_t at = e;
        while (g->pair[0][at] != NONE) {
            const uint32_t next = g->pair[0][at];
            g->colour[at] = 2 * g->colour[at];
            g->colour[next] = 2 * g->colour[next] + 1;
            g->pair[0][at] = g->pair[0][next] = NONE;
            at = g->pair[1][next];
        }
    }
}

static void three_steps(uint32_t *const place[CCZI_ORDER_STEPS], const struct graph *g)
{
    const size_t c = (size_t)1 << g->bits;
    for (size_t i = 0; i < g->len; i++) {
        const size_t before = g->from[i] >> g->bits, after = i >> g->bits, col = g->colour[i];
        place[0][before * c + col] = g->from[i] & (uint32_t)(c - 1);
        place[1][after * c + col] = (uint32_t)before;
        place[2][i] = (uint32_t)col;
    }
}

ccz_rc cczi_order_route(uint32_t *const place[CCZI_ORDER_STEPS], const uint32_t *order,
                        const struct cczi_order *o, struct ccz_err *err)
{
    const size_t n = o->padded;
    uint32_t *words = NULL;
    if (o->steps < 3) {
        for (size_t i = 0; i < n; i++)
            place[0][i] = order[i];
        return CCZ_OK;
    }
    ccz_rc rc = cczi_mpc_alloc(&words, 5 * n, sizeof(*words), err);
    if (rc != CCZ_OK)
        return rc;
    struct graph g = {n, 0, words, words + n, {words + 2 * n, words + 3 * n}, words + 4 * n};
    while ((size_t)1 << g.bits < o->step[0].len)
        g.bits++;
    for (size_t i = 0; i < n; i++) /* what was added stays */
        words[i] = i < o->rows ? order[i] : (uint32_t)i;
    for (unsigned known = 0; known < g.bits; known++)
        halve(&g, known);
    three_steps(place, &g);
    cczi_mpc_wipe_free(words, 5 * n * sizeof(*words));
    return CCZ_OK;
}
