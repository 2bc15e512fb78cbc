/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: their text, and how those of one transaction are made together. */
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------- text */

static void put_hex(struct ccz_buf *out, const uint8_t hash[32])
{
    char hex[65];
    ccz_hex(hex, hash, 32);
    ccz_buf_printf(out, "\"%s\"", hex);
}

void ccz_kms_inclusion_put(struct ccz_buf *out, const struct ccz_kms_inclusion *r)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_kms_checkpoint_put(&text, &r->checkpoint);
    ccz_buf_printf(out, "{\"seq\":%llu,\"leaf\":", (unsigned long long)r->seq);
    put_hex(out, r->leaf);
    ccz_buf_put_str(out, ",\"path\":[");
    for (size_t i = 0; i < r->path.len; i++) {
        if (i)
            ccz_buf_put_str(out, ",");
        put_hex(out, r->path.node[i]);
    }
    ccz_buf_put_str(out, "],\"checkpoint\":");
    ccz_json_put_str(out, ccz_buf_span(&text));
    ccz_buf_put_str(out, "}");
    if (text.bad)
        out->bad = true;
}

static bool read_hex(uint8_t out[32], const struct ccz_json *j)
{
    struct ccz_span t = ccz_json_bytes(j);
    return t.size == 64 && ccz_unhex(out, 32, (const char *)t.ptr, t.size) == CCZ_OK;
}

/* The parts that are JSON; the checkpoint in it is looked at by the caller. */
static bool read_json(struct ccz_kms_inclusion *r, const struct ccz_json *j)
{
    int64_t seq;
    const struct ccz_json *path = ccz_json_get(j, "path");
    if (!ccz_json_int(&seq, ccz_json_get(j, "seq")) || seq < 1 ||
        !read_hex(r->leaf, ccz_json_get(j, "leaf")) || ccz_json_type(path) != CCZ_JSON_ARRAY ||
        ccz_json_len(path) > CCZ_KMS_PATH_MAX)
        return false;
    r->seq = (uint64_t)seq;
    r->path.len = ccz_json_len(path);
    for (size_t i = 0; i < r->path.len; i++)
        if (!read_hex(r->path.node[i], ccz_json_at(path, i)))
            return false;
    return true;
}

ccz_rc ccz_kms_inclusion_parse(struct ccz_kms_inclusion *out, struct ccz_span text,
                               struct ccz_err *err)
{
    *out = (struct ccz_kms_inclusion){0};
    if (text.size > CCZ_KMS_INCLUSION_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:receipt", (int64_t)text.size,
                        "a receipt has at most %d bytes", CCZ_KMS_INCLUSION_SIZE_MAX);
    CCZ_AUTO(ccz_json) j = NULL;
    struct ccz_kms_inclusion r = {0};
    ccz_rc rc = ccz_json_parse(&j, text, NULL);
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "kms:receipt", 0, "out of memory");
    if (rc != CCZ_OK || !read_json(&r, j))
        return ccz_fail(err, CCZ_E_FORMAT, "kms:receipt", 0, "this is not a receipt");
    rc =
        ccz_kms_checkpoint_parse(&r.checkpoint, ccz_json_bytes(ccz_json_get(j, "checkpoint")), err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF again; /* other members, white space, upper-case digits: not ours */
    ccz_buf_init(&again, CCZ_KMS_INCLUSION_SIZE_MAX);
    ccz_kms_inclusion_put(&again, &r);
    if (!ccz_span_eq(text, ccz_buf_span(&again)))
        return ccz_fail(err, CCZ_E_FORMAT, "kms:receipt", 0,
                        "the receipt is not written the one way that it can be");
    *out = r;
    return CCZ_OK;
}

ccz_rc ccz_kms_inclusion_verify(const struct ccz_kms_inclusion *r,
                                const struct ccz_key *const *keys, size_t len, struct ccz_err *err)
{
    /* seq 0 would wrap to an index that no tree has, which is refused */
    ccz_rc rc = ccz_kms_inclusion_check(r->seq - 1, r->checkpoint.size, r->leaf, &r->path,
                                        r->checkpoint.root, err);
    return rc == CCZ_OK ? ccz_kms_checkpoint_check(&r->checkpoint, keys, len, err) : rc;
}

/* ----------------------------------------------------------- lines of one transaction */

/*
 * Level h of the signed tree has the complete nodes of 2^h leaves and, behind them, at most one node of fewer. Of the complete ones the
 * batch holds those that end inside of it, which are numbers first(h) to count(h) - 1 of their level; the one before them, if a path
 * needs it, is in the frontier.
 */
static uint64_t first(const struct cczi_kms_lines *b, unsigned level)
{
    return b->before.size >> level;
}

static uint64_t count(const struct cczi_kms_lines *b, unsigned level)
{
    return (b->before.size + b->len) >> level;
}

/* Complete node number x of a level. */
static const uint8_t *complete(const struct cczi_kms_lines *b, unsigned level, uint64_t x)
{
    return x >= first(b, level) ? b->node[b->at[level] + (size_t)(x - first(b, level))]
                                : b->before.node[level];
}

/* Whether there is a node of fewer leaves at the end of a level. */
static bool has_rest(const struct cczi_kms_lines *b, unsigned level)
{
    return ((b->before.size + b->len) & (((uint64_t)1 << level) - 1)) != 0;
}

void cczi_kms_lines_start(struct cczi_kms_lines *b, const struct cczi_kms_tree *before)
{
    b->before = *before;
    b->len = 0;
    b->bad = false;
    b->checkpoint = (struct ccz_kms_checkpoint){0};
}

/* Room for `len` nodes. */
static bool reserve(struct cczi_kms_lines *b, size_t len)
{
    if (len <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 16;
    while (cap < len)
        cap *= 2;
    uint8_t(*p)[32] = realloc(b->node, cap * sizeof(*p));
    if (!p)
        return false;
    b->node = p;
    b->cap = cap;
    return true;
}

void cczi_kms_lines_add(struct cczi_kms_lines *b, const uint8_t leaf[32])
{
    b->checkpoint = (struct ccz_kms_checkpoint){0};
    if (b->bad || !reserve(b, b->len + 1)) {
        b->bad = true;
        return;
    }
    memcpy(b->node[b->len++], leaf, 32);
}

void cczi_kms_lines_cut(struct cczi_kms_lines *b, size_t len)
{
    b->checkpoint = (struct ccz_kms_checkpoint){0};
    if (len < b->len)
        b->len = len;
}

void cczi_kms_lines_free(struct cczi_kms_lines *b)
{
    free(b->node);
    *b = (struct cczi_kms_lines){0};
}

/* Level h + 1 out of level h. */
static ccz_rc build_level(struct cczi_kms_lines *b, unsigned h)
{
    size_t at = b->at[h] + (size_t)(count(b, h) - first(b, h));
    b->at[h + 1] = at;
    ccz_rc rc = CCZ_OK;
    for (uint64_t x = first(b, h + 1); rc == CCZ_OK && x < count(b, h + 1); x++)
        rc = cczi_kms_node_hash(b->node[at++], complete(b, h, 2 * x), complete(b, h, 2 * x + 1));
    if (rc != CCZ_OK || (count(b, h) & 1) == 0) {
        memcpy(b->rest[h + 1], b->rest[h], 32);
        return rc;
    }
    const uint8_t *last = complete(b, h, count(b, h) - 1);
    if (has_rest(b, h))
        return cczi_kms_node_hash(b->rest[h + 1], last, b->rest[h]);
    memcpy(b->rest[h + 1], last, 32);
    return CCZ_OK;
}

ccz_rc cczi_kms_lines_sign(struct cczi_kms_lines *b, const struct cczi_kms_signer *s,
                           const struct cczi_kms_tree *after, int64_t now_s, struct ccz_err *err)
{
    b->checkpoint = (struct ccz_kms_checkpoint){0};
    /* each level above has at most half of the nodes below it, and one */
    if (b->bad || !reserve(b, 2 * b->len + CCZI_KMS_TREE_LEVELS))
        return ccz_fail(err, CCZ_E_NOMEM, "kms:checkpoint-sign", 0, "out of memory");
    if (b->len == 0 || after->size != b->before.size + b->len)
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:checkpoint-sign", (int64_t)after->size,
                        "the lines of the transaction are not those of the tree");
    ccz_rc rc = CCZ_OK;
    b->at[0] = 0;
    for (unsigned h = 0; rc == CCZ_OK && h + 1 < CCZI_KMS_TREE_LEVELS; h++)
        rc = build_level(b, h);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:checkpoint-sign", 0, "cannot hash");
    return cczi_kms_checkpoint_sign(&b->checkpoint, s, after, now_s, err);
}

ccz_rc cczi_kms_lines_receipt(struct ccz_kms_inclusion *out, const struct cczi_kms_lines *b,
                              uint64_t seq)
{
    *out = (struct ccz_kms_inclusion){0};
    if (b->checkpoint.size == 0 || seq <= b->before.size || seq > b->before.size + b->len)
        return CCZ_E_ARG;
    out->seq = seq;
    out->checkpoint = b->checkpoint;
    uint64_t x = seq - 1, last = b->checkpoint.size - 1;
    memcpy(out->leaf, complete(b, 0, x), 32);
    for (unsigned h = 0; last >> h; h++, x >>= 1) {
        const uint8_t *sibling = NULL;
        if (x & 1)
            sibling = complete(b, h, x - 1);
        else if (x + 1 < count(b, h))
            sibling = complete(b, h, x + 1);
        else if (x + 1 == count(b, h) && has_rest(b, h))
            sibling = b->rest[h];
        if (sibling) /* else it goes up unchanged */
            memcpy(out->path.node[out->path.len++], sibling, 32);
    }
    return CCZ_OK;
}
