/* SPDX-License-Identifier: Apache-2.0 */
/* The audit chain: each line hashes the one before, the sealed head holds the end. */
#include "kms_priv.h"

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
    ccz_rc rc = cczi_kms_line_hash(l.hash, &l);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:audit-hash", 0, "cannot hash an audit line");
    rc = tree_add(s, &l, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_PUT);
    cczi_q_int(&q, (int64_t)l.seq);
    cczi_q_int(&q, l.time_s);
    cczi_q_blob(&q, l.entry);
    cczi_q_blob(&q, CCZ_SPAN(l.prev, sizeof(l.prev)));
    cczi_q_blob(&q, CCZ_SPAN(l.hash, sizeof(l.hash)));
    rc = cczi_q_end(&q, err); /* the last thing that can fail: cczi_kms_savepoint_last() */
    if (rc != CCZ_OK)
        return rc;
    s->head.seq = l.seq;
    memcpy(s->head.hash, l.hash, sizeof(l.hash));
    if (l.seq == 1)
        memcpy(s->head.first, l.hash, sizeof(l.hash));
    s->head_dirty = true;
    receipt->audit_seq = l.seq;
    receipt->time_s = time_s;
    memcpy(receipt->audit_sha256, l.hash, sizeof(l.hash));
    return CCZ_OK;
}

/* The lines are those that the sealed head covers; is the rest of it theirs? */
static ccz_rc check_rest(const struct ccz_kms_store *s, const struct cczi_kms_walk *w,
                         struct ccz_err *err)
{
    const struct cczi_kms_head *h = &s->head;
    if (s->sealer.has_id && !ccz_ct_eq(w->first, h->first, sizeof(h->first)))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "kms:audit-first", w->first, 32, h->first, 32);
    if (!s->sealer.has_id && h->tree.size == 0) /* of the first format */
        return CCZ_OK;
    uint8_t got[32], want[32];
    ccz_rc rc = cczi_kms_tree_root(got, &w->tree);
    if (rc == CCZ_OK)
        rc = cczi_kms_tree_root(want, &h->tree);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:audit-tree", 0, "cannot hash the audit lines");
    return h->tree.size == w->tree.size && ccz_ct_eq(got, want, sizeof(got))
               ? CCZ_OK
               : ccz_refuse_bytes(err, CCZ_E_SIG, "kms:audit-tree", got, 32, want, 32);
}

/* @p prev  of the line before, then of this one */
static ccz_rc walk_line(struct cczi_kms_walk *w, uint8_t prev[32],
                        const struct ccz_kms_audit_line *l, struct ccz_err *err)
{
    ++w->lines;
    if (l->seq != w->lines || !ccz_ct_eq(l->prev, prev, 32))
        return ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)w->lines,
                        "audit line %llu is missing or does not continue the chain",
                        (unsigned long long)w->lines);
    ccz_rc rc = ccz_kms_audit_check(l, err);
    if (rc == CCZ_OK)
        rc = append(&w->tree, l, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(prev, l->hash, 32);
    w->last_s = l->time_s;
    if (l->seq == 1)
        memcpy(w->first, l->hash, 32);
    if (l->seq == w->at)
        memcpy(w->at_hash, l->hash, 32);
    return CCZ_OK;
}

ccz_rc cczi_kms_audit_check_all(struct cczi_kms_walk *w, struct ccz_kms_store *s,
                                struct ccz_err *err)
{
    *w = (struct cczi_kms_walk){.at = w->at};
    ccz_rc rc = CCZ_OK;
    uint8_t prev[32] = {0};
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, INT64_MIN); /* also lines numbered 0 or below, which we never write */
    cczi_q_int(&q, -1);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = row_line(&q);
        cczi_q_col_bytes(l.hash, sizeof(l.hash), &q, 4);
        rc = walk_line(w, prev, &l, err);
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc != CCZ_OK)
        return rc;
    /* a chain cut at its end, or rewritten as a whole, is consistent in itself; the hash covers the number too */
    if (!ccz_ct_eq(prev, s->head.hash, sizeof(prev)))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "kms:audit-end", prev, 32, s->head.hash, 32);
    return check_rest(s, w, err);
}

/* A line of another server that says that it changed how many have to agree: methods begin their lines so, and the machine's operator. Not
 * those of refused calls, which anybody can cause. */
static bool changes_quorum(struct ccz_span entry)
{
    static const char *const ops[] = {"{\"op\":\"SetQuorum\",\"verdict\":\"accept\",",
                                      "{\"op\":\"set-quorum\",\"verdict\":\"accept\","};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        size_t n = strlen(ops[i]);
        if (entry.size > n && memcmp(entry.ptr, ops[i], n) == 0)
            return true;
    }
    return false;
}

ccz_rc cczi_kms_audit_holds(bool *yes, struct ccz_kms_store *s, uint64_t seq,
                            const uint8_t hash[32], struct ccz_err *err)
{
    *yes = false;
    if (seq == 0 || s->head.seq < seq)
        return CCZ_OK;
    ccz_rc rc = CCZ_OK;
    uint8_t last[32] = {0};
    uint64_t next = seq;
    bool found = false;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)seq - 1);
    cczi_q_int(&q, -1);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = row_line(&q);
        cczi_q_col_bytes(l.hash, sizeof(l.hash), &q, 4);
        if (l.seq != next || (next > seq && !ccz_ct_eq(l.prev, last, sizeof(last))))
            rc = ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)next,
                          "audit line %llu is missing or does not continue the chain",
                          (unsigned long long)next);
        else
            rc = ccz_kms_audit_check(&l, err);
        if (l.seq > seq &&
            cczi_kms_names_signer(l.entry)) /* of another server: ours signs no more */
            cczi_kms_signer_deinit(&s->signer);
        if (next++ == seq)
            found = ccz_ct_eq(l.hash, hash, 32);
        else if (changes_quorum(l.entry))
            cczi_kms_quorums_forget(s);
        memcpy(last, l.hash, sizeof(last));
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_OK && !ccz_ct_eq(last, s->head.hash, sizeof(last)))
        rc = ccz_refuse_bytes(err, CCZ_E_SIG, "kms:audit-end", last, 32, s->head.hash, 32);
    *yes = rc == CCZ_OK && found;
    return rc;
}
