/* SPDX-License-Identifier: Apache-2.0 */
/* The Merkle tree of RFC 9162, 2.1: frontier, proofs, and their verification. The two prefixes keep a node from passing as a leaf. */
#include "kms_priv.h"

#include <string.h>

ccz_rc cczi_kms_node_hash(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
    uint8_t in[65] = {1};
    memcpy(in + 1, left, 32);
    memcpy(in + 33, right, 32);
    return ccz_sha256(out, CCZ_SPAN(in, sizeof(in)));
}

ccz_rc ccz_kms_leaf_hash(uint8_t out[32], const struct ccz_kms_audit_line *line)
{
    uint8_t head[1 + CCZI_KMS_LINE_HEAD_SIZE] = {0};
    cczi_kms_line_head(head + 1, line);
    const struct ccz_span parts[] = {CCZ_SPAN(head, sizeof(head)), line->entry};
    return ccz_hash(out, CCZ_SHA256, parts, 2);
}

/* ------------------------------------------------------------------------- frontier */

static bool has_level(const struct cczi_kms_tree *t, unsigned level)
{
    return (t->size >> level & 1) != 0;
}

ccz_rc cczi_kms_tree_append(struct cczi_kms_tree *t, const uint8_t leaf[32])
{
    return cczi_kms_tree_append_at(t, 0, leaf);
}

ccz_rc cczi_kms_tree_append_at(struct cczi_kms_tree *t, unsigned level, const uint8_t root[32])
{
    const uint64_t leaves = (uint64_t)1 << level;
    if (t->size + leaves > CCZ_KMS_TREE_SIZE_MAX || t->size % leaves)
        return CCZ_E_LIMIT;
    uint8_t carry[32];
    memcpy(carry, root, 32);
    for (; has_level(t, level); level++) { /* two subtrees of a height become one */
        ccz_rc rc = cczi_kms_node_hash(carry, t->node[level], carry);
        if (rc != CCZ_OK)
            return rc;
    }
    memcpy(t->node[level], carry, 32);
    t->size += leaves;
    return CCZ_OK;
}

ccz_rc cczi_kms_tree_root(uint8_t out[32], const struct cczi_kms_tree *t)
{
    if (t->size == 0)
        return ccz_sha256(out, (struct ccz_span){0});
    unsigned level = 0;
    while (!has_level(t, level))
        level++;
    uint8_t root[32];
    memcpy(root, t->node[level], 32);
    for (level++; level < CCZI_KMS_TREE_LEVELS; level++) {
        ccz_rc rc = has_level(t, level) ? cczi_kms_node_hash(root, t->node[level], root) : CCZ_OK;
        if (rc != CCZ_OK)
            return rc;
    }
    memcpy(out, root, 32);
    return CCZ_OK;
}

void cczi_kms_tree_put(struct ccz_buf *out, const struct cczi_kms_tree *t)
{
    ccz_buf_le64(out, t->size);
    for (unsigned level = CCZI_KMS_TREE_LEVELS; level-- > 0;)
        if (has_level(t, level))
            ccz_buf_put(out, t->node[level], 32);
}

void cczi_kms_tree_get(struct cczi_kms_tree *out, struct ccz_rd *r)
{
    *out = (struct cczi_kms_tree){.size = ccz_rd_le64(r)};
    if (out->size > CCZ_KMS_TREE_SIZE_MAX)
        r->bad = true;
    for (unsigned level = CCZI_KMS_TREE_LEVELS; !r->bad && level-- > 0;)
        if (has_level(out, level))
            ccz_rd_copy(r, out->node[level], 32);
    if (r->bad)
        *out = (struct cczi_kms_tree){0};
}

/* ---------------------------------------------------------------------------- proofs */

/* The largest power of two below n; n is at least 2. */
static uint64_t split(uint64_t n)
{
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

static void add_range(struct cczi_kms_gather *g, uint64_t from, uint64_t to)
{
    g->range[g->len].from = from;
    g->range[g->len++].to = to;
}

/* Found from the root downwards; proofs list them upwards. */
static void reverse_ranges(struct cczi_kms_gather *g)
{
    for (size_t i = 0; i < g->len / 2; i++) {
        uint64_t from = g->range[i].from, to = g->range[i].to;
        size_t j = g->len - 1 - i;
        g->range[i] = g->range[j];
        g->range[j].from = from;
        g->range[j].to = to;
    }
    g->path.len = g->len;
}

void cczi_kms_gather_inclusion(struct cczi_kms_gather *g, uint64_t index, uint64_t size)
{
    *g = (struct cczi_kms_gather){0};
    uint64_t from = 0, to = size;
    while (to - from > 1) {
        uint64_t middle = from + split(to - from);
        if (index < middle) {
            add_range(g, middle, to);
            to = middle;
        } else {
            add_range(g, from, middle);
            from = middle;
        }
    }
    reverse_ranges(g);
}

void cczi_kms_gather_consistency(struct cczi_kms_gather *g, uint64_t old_size, uint64_t size)
{
    *g = (struct cczi_kms_gather){0};
    uint64_t from = 0, to = size;
    bool whole =
        true; /* [0, to) with to == old_size: its root is the old root, which the verifier has */
    while (old_size != 0 && old_size != to) {
        uint64_t middle = from + split(to - from);
        if (old_size <= middle) {
            add_range(g, middle, to);
            to = middle;
        } else {
            add_range(g, from, middle);
            from = middle;
            whole = false;
        }
    }
    if (!whole)
        add_range(g, from, to);
    reverse_ranges(g);
}

ccz_rc cczi_kms_gather_put(struct cczi_kms_gather *g, const uint8_t leaf[32])
{
    uint64_t index = g->index++;
    size_t i = 0;
    while (i < g->len && (index < g->range[i].from || index >= g->range[i].to))
        i++;
    if (i == g->len)
        return CCZ_OK;
    if (index == g->range[i].from)
        g->tree.size = 0;
    ccz_rc rc = cczi_kms_tree_append(&g->tree, leaf);
    if (rc == CCZ_OK && index + 1 == g->range[i].to)
        rc = cczi_kms_tree_root(g->path.node[i], &g->tree);
    return rc;
}

/* ---------------------------------------------------------------------- verification */

/* Where a proof leads to: the node on the way up, of its level and of the last one there. */
struct climb {
    uint64_t at, last;
};

static void up(struct climb *c)
{
    c->at >>= 1;
    c->last >>= 1;
}

/* True if the next hash of the proof is to the left. The last node of a level without a right neighbour goes up unchanged until it is
 * on the right of one. */
static bool from_left(struct climb *c)
{
    if ((c->at & 1) == 0 && c->at != c->last)
        return false;
    while ((c->at & 1) == 0 && c->at != 0)
        up(c);
    return true;
}

static ccz_rc no_inclusion(struct ccz_err *err, uint64_t index, const char *why)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:inclusion", (int64_t)(index & INT64_MAX),
                    "the proof does not show that this line is in the log: %s", why);
}

ccz_rc ccz_kms_inclusion_check(uint64_t index, uint64_t size, const uint8_t leaf[32],
                               const struct ccz_kms_path *path, const uint8_t root[32],
                               struct ccz_err *err)
{
    if (size > CCZ_KMS_TREE_SIZE_MAX || index >= size || path->len > CCZ_KMS_PATH_MAX)
        return no_inclusion(err, index, "no such line in a log of that size");
    struct climb c = {index, size - 1};
    uint8_t hash[32];
    memcpy(hash, leaf, sizeof(hash));
    for (size_t i = 0; i < path->len; i++) {
        if (c.last == 0)
            return no_inclusion(err, index, "the path is too long");
        ccz_rc rc = from_left(&c) ? cczi_kms_node_hash(hash, path->node[i], hash)
                                  : cczi_kms_node_hash(hash, hash, path->node[i]);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "kms:inclusion", 0, "cannot hash");
        up(&c);
    }
    if (c.last != 0)
        return no_inclusion(err, index, "the path is too short");
    if (!ccz_ct_eq(hash, root, sizeof(hash)))
        return no_inclusion(err, index, "it leads to another root");
    return CCZ_OK;
}

static ccz_rc no_consistency(struct ccz_err *err, const char *why)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:consistency", 0,
                    "the proof does not show that the log continues the older one: %s", why);
}

/* Both roots, out of the proof: `old` out of the part that both trees share. */
static ccz_rc climb_both(uint8_t old[32], uint8_t now[32], struct climb *c,
                         const struct ccz_kms_path *path, size_t i)
{
    for (; i < path->len; i++) {
        if (c->last == 0)
            return CCZ_E_SIG;
        ccz_rc rc = CCZ_OK;
        if (from_left(c)) {
            rc = cczi_kms_node_hash(old, path->node[i], old);
            if (rc == CCZ_OK)
                rc = cczi_kms_node_hash(now, path->node[i], now);
        } else {
            rc = cczi_kms_node_hash(now, now, path->node[i]);
        }
        if (rc != CCZ_OK)
            return rc;
        up(c);
    }
    return c->last == 0 ? CCZ_OK : CCZ_E_SIG;
}

ccz_rc ccz_kms_consistency_check(uint64_t old_size, uint64_t size, const uint8_t old_root[32],
                                 const uint8_t root[32], const struct ccz_kms_path *path,
                                 struct ccz_err *err)
{
    if (size > CCZ_KMS_TREE_SIZE_MAX || old_size > size || path->len > CCZ_KMS_PATH_MAX)
        return no_consistency(err, "it has fewer lines, or more than a log can have");
    if (old_size == 0 || old_size == size) {
        uint8_t empty[32];
        ccz_rc rc = ccz_sha256(empty, (struct ccz_span){0});
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "kms:consistency", 0, "cannot hash");
        if (path->len != 0)
            return no_consistency(err, "the path is too long");
        return ccz_ct_eq(old_root, old_size ? root : empty, 32) &&
                       (size || ccz_ct_eq(root, empty, 32))
                   ? CCZ_OK
                   : no_consistency(err, "another root for the same lines");
    }
    struct climb c = {old_size - 1, size - 1};
    while (c.at & 1)
        up(&c);
    size_t i = 0;
    uint8_t old[32], now[32];
    if (c.at == 0) { /* the old tree is a perfect one, and a node of the new one */
        memcpy(old, old_root, 32);
    } else {
        if (path->len == 0)
            return no_consistency(err, "the path is too short");
        memcpy(old, path->node[i++], 32);
    }
    memcpy(now, old, 32);
    ccz_rc rc = climb_both(old, now, &c, path, i);
    if (rc != CCZ_OK && rc != CCZ_E_SIG)
        return ccz_fail(err, rc, "kms:consistency", 0, "cannot hash");
    if (rc == CCZ_E_SIG)
        return no_consistency(err, "the path has another length");
    if (!ccz_ct_eq(old, old_root, 32))
        return no_consistency(err, "it leads to another older root");
    return ccz_ct_eq(now, root, 32) ? CCZ_OK : no_consistency(err, "it leads to another root");
}
