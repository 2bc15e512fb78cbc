/* SPDX-License-Identifier: Apache-2.0 */
/* The audit chain: each line hashes the one before, the sealed head holds the end. */
#include "kms_priv.h"

#include "master_priv.h"

#include <string.h>

void cczi_kms_line_head(uint8_t out[CCZI_KMS_LINE_HEAD_SIZE], const struct ccz_kms_audit_line *l)
{
    memcpy(out, l->prev, 32);
    for (size_t i = 0; i < 8; i++) {
        out[32 + i] = (uint8_t)(l->seq >> (8 * i));
        out[40 + i] = (uint8_t)((uint64_t)l->time_s >> (8 * i));
    }
}

ccz_rc cczi_kms_line_hash(uint8_t out[32], const struct ccz_kms_audit_line *l)
{
    uint8_t head[CCZI_KMS_LINE_HEAD_SIZE];
    cczi_kms_line_head(head, l);
    const struct ccz_span parts[] = {CCZ_SPAN(head, sizeof(head)), l->entry};
    return ccz_hash(out, CCZ_SHA256, parts, 2);
}

ccz_rc ccz_kms_audit_check(const struct ccz_kms_audit_line *line, struct ccz_err *err)
{
    uint8_t hash[32];
    ccz_rc rc = cczi_kms_line_hash(hash, line);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:audit-hash", 0, "cannot hash an audit line");
    if (!ccz_ct_eq(hash, line->hash, sizeof(hash)))
        return ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)line->seq,
                        "audit line %llu does not have its hash", (unsigned long long)line->seq);
    return CCZ_OK;
}

/* The line in the current row of CCZI_SQL_AUDIT_FROM, without its hash. */
static struct ccz_kms_audit_line row_line(struct cczi_q *q)
{
    struct ccz_kms_audit_line l = {.seq = (uint64_t)cczi_q_col_int(q, 0),
                                   .time_s = cczi_q_col_int(q, 1),
                                   .entry = cczi_q_col(q, 2)};
    cczi_q_col_bytes(l.prev, sizeof(l.prev), q, 3);
    return l;
}

static ccz_rc append(struct cczi_kms_tree *t, const struct ccz_kms_audit_line *l,
                     struct ccz_err *err)
{
    uint8_t leaf[32];
    ccz_rc rc = ccz_kms_leaf_hash(leaf, l);
    if (rc == CCZ_OK)
        rc = cczi_kms_tree_append(t, leaf);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_fail(err, rc, "kms:audit-tree", 0, "cannot hash the audit lines");
}

/* The tree of a store that was written before there was one: once, over all lines. */
ccz_rc cczi_kms_tree_catch_up(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_tree t = {0};
    ccz_rc rc = CCZ_OK;
    if (s->head.tree.size == s->head.seq)
        return CCZ_OK;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, 0);
    cczi_q_int(&q, -1);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = row_line(&q);
        rc = append(&t, &l, err);
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc != CCZ_OK)
        return rc;
    if (t.size != s->head.seq)
        return ccz_refuse_num(err, CCZ_E_SIG, "kms:audit-tree", (int64_t)t.size,
                              (int64_t)s->head.seq);
    s->head.tree = t;
    s->head_dirty = true;
    cczi_kms_lines_start(&s->lines, &t);
    return CCZ_OK;
}

/* Adds a line to the tree, and to the lines of this transaction. */
static ccz_rc tree_add(struct ccz_kms_store *s, const struct ccz_kms_audit_line *l,
                       struct ccz_err *err)
{
    uint8_t leaf[32];
    ccz_rc rc = ccz_kms_leaf_hash(leaf, l);
    if (rc == CCZ_OK)
        rc = cczi_kms_tree_append(&s->head.tree, leaf);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:audit-tree", (int64_t)l->seq,
                        "cannot add an audit line to the tree");
    cczi_kms_lines_add(&s->lines, leaf);
    return CCZ_OK;
}

ccz_rc cczi_kms_audit_append(struct ccz_kms_receipt *receipt, struct ccz_kms_store *s,
                             int64_t time_s, struct ccz_span entry, struct ccz_err *err)
{
    *receipt = (struct ccz_kms_receipt){0};
    struct ccz_kms_audit_line l = {.seq = s->head.seq + 1, .time_s = time_s, .entry = entry};
    memcpy(l.prev, s->head.hash, sizeof(l.prev));
    ccz_rc rc = cczi_kms_tree_catch_up(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_line_hash(l.hash, &l);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:audit-hash", 0, "cannot hash an audit line");
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_PUT);
    cczi_q_int(&q, (int64_t)l.seq);
    cczi_q_int(&q, l.time_s);
    cczi_q_blob(&q, l.entry);
    cczi_q_blob(&q, CCZ_SPAN(l.prev, sizeof(l.prev)));
    cczi_q_blob(&q, CCZ_SPAN(l.hash, sizeof(l.hash)));
    rc = cczi_q_end(&q, err);
    if (rc == CCZ_OK)
        rc = tree_add(s, &l, err);
    if (rc != CCZ_OK)
        return rc;
    s->head.seq = l.seq;
    memcpy(s->head.hash, l.hash, sizeof(l.hash));
    s->head_dirty = true;
    receipt->audit_seq = l.seq;
    receipt->time_s = time_s;
    memcpy(receipt->audit_sha256, l.hash, sizeof(l.hash));
    return CCZ_OK;
}

/* The lines are those that the sealed head covers; is its tree theirs? */
static ccz_rc check_tree(const struct ccz_kms_store *s, const struct cczi_kms_tree *t,
                         struct ccz_err *err)
{
    if (s->head.tree.size == 0 && s->head.seq != 0) /* of the first format */
        return CCZ_OK;
    uint8_t got[32], want[32];
    ccz_rc rc = cczi_kms_tree_root(got, t);
    if (rc == CCZ_OK)
        rc = cczi_kms_tree_root(want, &s->head.tree);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:audit-tree", 0, "cannot hash the audit lines");
    return s->head.tree.size == t->size && ccz_ct_eq(got, want, sizeof(got))
               ? CCZ_OK
               : ccz_refuse_bytes(err, CCZ_E_SIG, "kms:audit-tree", got, 32, want, 32);
}

ccz_rc cczi_kms_audit_check_all(uint64_t *lines, struct ccz_kms_store *s, struct ccz_err *err)
{
    *lines = 0;
    ccz_rc rc = CCZ_OK;
    struct cczi_kms_tree tree = {0};
    uint8_t prev[32] = {0};
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, INT64_MIN); /* also lines numbered 0 or below, which we never write */
    cczi_q_int(&q, -1);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = row_line(&q);
        cczi_q_col_bytes(l.hash, sizeof(l.hash), &q, 4);
        ++*lines;
        if (l.seq != *lines || !ccz_ct_eq(l.prev, prev, sizeof(prev)))
            rc = ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)*lines,
                          "audit line %llu is missing or does not continue the chain",
                          (unsigned long long)*lines);
        else
            rc = ccz_kms_audit_check(&l, err);
        if (rc == CCZ_OK)
            rc = append(&tree, &l, err);
        memcpy(prev, l.hash, sizeof(prev));
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc != CCZ_OK)
        return rc;
    /* a chain cut at its end, or rewritten as a whole, is consistent in itself; the hash covers the number too */
    if (!ccz_ct_eq(prev, s->head.hash, sizeof(prev)))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "kms:audit-end", prev, 32, s->head.hash, 32);
    return check_tree(s, &tree, err);
}

ccz_rc cczi_kms_audit_continues(bool *there, struct ccz_kms_store *s,
                                const struct cczi_kms_mark *from, const struct cczi_kms_head *at,
                                struct ccz_err *err)
{
    uint64_t seq = from->seq;
    uint8_t hash[32];
    bool next = true;
    ccz_rc rc = CCZ_OK;
    memcpy(hash, from->hash, sizeof(hash));
    if (there)
        *there = false;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)seq);
    cczi_q_int(&q, (int64_t)(s->head.seq - seq));
    while (next && rc == CCZ_OK && cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = row_line(&q);
        next = l.seq == seq + 1 && ccz_ct_eq(l.prev, hash, sizeof(hash));
        if (next && cczi_kms_line_hash(hash, &l) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_NOMEM, "kms:audit-hash", 0, "cannot hash an audit line");
        seq += next;
        if (there && next && seq == at->seq)
            *there = ccz_ct_eq(hash, at->hash, sizeof(hash));
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc != CCZ_OK)
        return rc;
    if (next && seq == s->head.seq && ccz_ct_eq(hash, s->head.hash, sizeof(hash)))
        return CCZ_OK;
    (void)ccz_refuse_bytes(err, CCZ_E_SIG, "kms:forked", hash, 32, s->head.hash, 32);
    return cczi_kms_hint(err, CCZ_E_SIG);
}
