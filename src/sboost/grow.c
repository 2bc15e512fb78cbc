/* SPDX-License-Identifier: Apache-2.0 */
#include "sboost/sboost_priv.h"

#include <stdlib.h>
#include <string.h>

size_t cczi_sb_bitmap_size(size_t len)
{
    return (len + 7) / 8;
}

bool cczi_sb_bit(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

void cczi_sb_tree_free(struct cczi_sb_tree *t)
{
    free(t->node);
    *t = (struct cczi_sb_tree){0};
}

ccz_rc cczi_sb_grow_new(struct cczi_sb_grow *g, size_t rows, struct ccz_err *err)
{
    *g = (struct cczi_sb_grow){.rows = rows};
    g->row = malloc(rows * sizeof(*g->row));
    g->tmp = malloc(rows * sizeof(*g->tmp));
    if (g->row && g->tmp)
        return CCZ_OK;
    cczi_sb_grow_free(g);
    return cczi_sb_no_memory(err);
}

void cczi_sb_grow_free(struct cczi_sb_grow *g)
{
    cczi_sb_tree_free(&g->tree);
    free(g->row);
    free(g->tmp);
    *g = (struct cczi_sb_grow){0};
}

static ccz_rc add_node(struct cczi_sb_tree *t, struct cczi_sb_node node, struct ccz_err *err)
{
    if (t->len == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        struct cczi_sb_node *list = realloc(t->node, cap * sizeof(*list));
        if (!list)
            return cczi_sb_no_memory(err);
        t->node = list;
        t->cap = cap;
    }
    t->node[t->len++] = node;
    return CCZ_OK;
}

static struct cczi_sb_node leaf(size_t from, size_t len, uint32_t depth, int32_t parent)
{
    return (struct cczi_sb_node){.from = from,
                                 .len = len,
                                 .depth = depth,
                                 .parent = parent,
                                 .left = CCZI_SB_NONE,
                                 .right = CCZI_SB_NONE,
                                 .party = CCZI_SB_NONE};
}

ccz_rc cczi_sb_grow_begin(struct cczi_sb_grow *g, struct ccz_err *err)
{
    for (size_t i = 0; i < g->rows; i++)
        g->row[i] = (uint32_t)i;
    g->tree.len = 0;
    return add_node(&g->tree, leaf(0, g->rows, 0, CCZI_SB_NONE), err);
}

ccz_rc cczi_sb_grow_split(struct cczi_sb_grow *g, size_t node, const uint8_t *left,
                          struct ccz_err *err)
{
    struct cczi_sb_node n = g->tree.node[node];
    size_t l = 0, r = 0;
    for (size_t i = 0; i < n.len; i++) { /* in order on both sides */
        uint32_t row = g->row[n.from + i];
        if (cczi_sb_bit(left, i))
            g->row[n.from + l++] = row;
        else
            g->tmp[r++] = row;
    }
    memcpy(g->row + n.from + l, g->tmp, r * sizeof(*g->row));
    if (l == 0 || r == 0)
        return ccz_refuse_num(err, CCZ_E_PEER, "sboost:split", (int64_t)(l ? r : l), 1);
    int32_t first = (int32_t)g->tree.len;
    ccz_rc rc = add_node(&g->tree, leaf(n.from, l, n.depth + 1, (int32_t)node), err);
    if (rc == CCZ_OK)
        rc = add_node(&g->tree, leaf(n.from + l, r, n.depth + 1, (int32_t)node), err);
    if (rc == CCZ_OK) {
        g->tree.node[node].left = first;
        g->tree.node[node].right = first + 1;
    }
    return rc;
}
