/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs that the log of today continues that of an earlier day, over the wire. Such a proof is made of roots of ranges of lines; what
 * takes long is hashing them. So roots of blocks of lines are kept in memory, of committed lines alone, and made as far as one call
 * may hold up the others; a caller who comes too early is told how far it is, and asks again. Rows are proved by nothing but the chain:
 * each has to continue the one before, a block the block before, and what is behind the last block all of them.
 */
#include "kms_priv.h"
#include "msg_fields.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_LEVEL = 10, /* 1,024 lines */
    BLOCK = 1 << BLOCK_LEVEL,
    BLOCKS_A_CALL = 32, /* made in one call: some tens of milliseconds */
    PROOF_PATH = 1,
    PROOF_KEYS = 3
};

/* Number i: of the lines from i * BLOCK on. */
struct block {
    uint8_t root[32]; /* as a tree of their own */
    uint8_t end[32];  /* hash of the last one, which the next line continues */
};
struct cczi_kms_blocks {
    struct block *block;
    size_t len, cap;
};

const struct cczi_msg_field cczi_msg_consistency_req[] = {
    UINT(1, cczi_msg_consistency_req, old_size, CCZ_KMS_TREE_SIZE_MAX),
    UINT(2, cczi_msg_consistency_req, size, CCZ_KMS_TREE_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_consistency_resp[] = {
    SPAN(2, cczi_msg_consistency_resp, checkpoint, CCZ_KMS_CHECKPOINT_SIZE_MAX),
    UINT(4, cczi_msg_consistency_resp, size, CCZ_KMS_TREE_SIZE_MAX),
    END,
};

void cczi_kms_blocks_free(struct cczi_kms_blocks *b)
{
    if (!b)
        return;
    free(b->block);
    free(b);
}

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "kms:consistency", 0, "out of memory");
}

/* Lines that continue each other, as a tree. */
struct run {
    struct cczi_kms_tree tree;
    uint8_t last[32]; /* hash of the last line, or of the one before the first */
    bool known;       /* false: of neither */
};

static ccz_rc no_chain(struct ccz_err *err, uint64_t seq)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)seq,
                    "audit line %llu is missing or does not continue the chain",
                    (unsigned long long)seq);
}

static ccz_rc no_hash(struct ccz_err *err, ccz_rc rc)
{
    return ccz_fail(err, rc, "kms:consistency", 0, "cannot hash");
}

static ccz_rc add_line(struct run *r, const struct ccz_kms_audit_line *l)
{
    uint8_t leaf[32];
    if (r->known && !ccz_ct_eq(l->prev, r->last, sizeof(r->last)))
        return CCZ_E_SIG;
    ccz_rc rc = ccz_kms_leaf_hash(leaf, l);
    if (rc == CCZ_OK)
        rc = cczi_kms_tree_append(&r->tree, leaf);
    if (rc == CCZ_OK)
        rc = cczi_kms_line_hash(r->last, l);
    r->known = rc == CCZ_OK;
    return rc;
}

/* Adds the lines [from, to), by their rows: those of the chain that ends in the sealed head, as far as this is seen from here. */
static ccz_rc add_lines(struct run *r, struct ccz_kms_store *s, uint64_t from, uint64_t to,
                        struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    uint64_t seq = from;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)from);
    cczi_q_int(&q, (int64_t)(to - from));
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = {.seq = (uint64_t)cczi_q_col_int(&q, 0),
                                       .time_s = cczi_q_col_int(&q, 1),
                                       .entry = cczi_q_col(&q, 2)};
        cczi_q_col_bytes(l.prev, sizeof(l.prev), &q, 3);
        rc = l.seq == ++seq ? add_line(r, &l) : CCZ_E_SIG;
        if (rc != CCZ_OK && rc != CCZ_E_SIG)
            no_hash(err, rc);
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_E_SIG)
        return no_chain(err, seq);
    if (rc == CCZ_OK && seq != to)
        return no_chain(err, seq + 1);
    if (rc == CCZ_OK && to == s->head.seq && !ccz_ct_eq(r->last, s->head.hash, sizeof(r->last)))
        return no_chain(err, to);
    return rc;
}

static bool reserve(struct cczi_kms_blocks *b)
{
    if (b->len < b->cap)
        return true;
    size_t cap = b->cap ? 2 * b->cap : 64;
    struct block *p = realloc(b->block, cap * sizeof(*p));
    if (!p)
        return false;
    b->block = p;
    b->cap = cap;
    return true;
}

/* What continues the blocks that are there, or what they begin with. */
static struct run start_at(const struct cczi_kms_blocks *b, uint64_t at)
{
    struct run r = {.known = at % BLOCK == 0 && at / BLOCK <= b->len};
    if (r.known && at) /* before the first line: zeros */
        memcpy(r.last, b->block[at / BLOCK - 1].end, sizeof(r.last));
    return r;
}

/* Blocks of lines that are committed, until those below @p size are there or this call has done its share. */
static ccz_rc make_blocks(struct ccz_kms_store *s, uint64_t size, struct ccz_err *err)
{
    struct cczi_kms_blocks *b = s->blocks;
    uint64_t committed = s->seen_seq < size ? s->seen_seq : size;
    for (unsigned n = 0; (b->len + 1) * (uint64_t)BLOCK <= committed; n++) {
        uint64_t from = b->len * (uint64_t)BLOCK;
        struct run r = start_at(b, from);
        if (n == BLOCKS_A_CALL) {
            ccz_refuse_num(err, CCZ_E_UNAVAILABLE, "kms:audit-index", (int64_t)from,
                           (int64_t)committed);
            return cczi_kms_hint(err, CCZ_E_UNAVAILABLE);
        }
        if (!reserve(b))
            return no_memory(err);
        ccz_rc rc = add_lines(&r, s, from, from + BLOCK, err);
        if (rc == CCZ_OK && cczi_kms_tree_root(b->block[b->len].root, &r.tree) != CCZ_OK)
            rc = no_hash(err, CCZ_E_INTERNAL);
        if (rc != CCZ_OK)
            return rc;
        memcpy(b->block[b->len++].end, r.last, sizeof(r.last));
    }
    return CCZ_OK;
}

/* The root of the lines [from, to) as a tree of their own. Ranges of proofs begin at multiples of what they could be made of. */
static ccz_rc range_root(uint8_t out[32], struct ccz_kms_store *s, uint64_t from, uint64_t to,
                         struct ccz_err *err)
{
    const struct cczi_kms_blocks *b = s->blocks;
    struct cczi_kms_tree t = {0};
    uint64_t at = from;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && at % BLOCK == 0 && to - at >= BLOCK && at / BLOCK < b->len) {
        rc = cczi_kms_tree_append_at(&t, BLOCK_LEVEL, b->block[at / BLOCK].root);
        at += BLOCK;
    }
    if (rc != CCZ_OK)
        return no_hash(err, rc);
    struct run r = start_at(b, at);
    r.tree = t;
    if (at < to)
        rc = add_lines(&r, s, at, to, err);
    if (rc == CCZ_OK && cczi_kms_tree_root(out, &r.tree) != CCZ_OK)
        rc = no_hash(err, CCZ_E_INTERNAL);
    return rc;
}

/* The line behind the blocks continues them: what they were made of is what is there now. */
static ccz_rc check_end(struct ccz_kms_store *s, struct ccz_err *err)
{
    uint64_t end = s->blocks->len * (uint64_t)BLOCK;
    struct run r = start_at(s->blocks, end);
    return end ? add_lines(&r, s, end, end < s->head.seq ? end + 1 : end, err) : CCZ_OK;
}

ccz_rc cczi_kms_consistency_path(struct ccz_kms_path *out, struct ccz_kms_store *s,
                                 uint64_t old_size, uint64_t size, struct ccz_err *err)
{
    struct cczi_kms_gather g;
    *out = (struct ccz_kms_path){0};
    if (!s->blocks && !(s->blocks = calloc(1, sizeof(*s->blocks))))
        return no_memory(err);
    ccz_rc rc = make_blocks(s, size, err);
    if (rc == CCZ_OK)
        rc = check_end(s, err);
    if (rc == CCZ_E_SIG) /* the rows, or what was made of them before: nothing of it is kept */
        s->blocks->len = 0;
    cczi_kms_gather_consistency(&g, old_size, size);
    for (size_t i = 0; rc == CCZ_OK && i < g.len; i++)
        rc = range_root(out->node[i], s, g.range[i].from, g.range[i].to, err);
    out->len = rc == CCZ_OK ? g.len : 0;
    return rc;
}

struct keys_out {
    struct ccz_buf *response;
    uint32_t field;
};

static void put_spki(void *arg, struct ccz_span spki)
{
    const struct keys_out *k = arg;
    ccz_pb_put_bytes(k->response, k->field, spki);
}

/* Also the lines of calls before this one in the same transaction, and the one of a key made here: so it is answered when they are. */
ccz_rc cczi_kms_checkpoint_here(struct ccz_buf *text, struct ccz_buf *response, uint32_t field,
                                struct cczi_kms_call *call, struct ccz_err *err)
{
    struct ccz_kms_store *s = call->store;
    struct keys_out keys = {response, field};
    struct ccz_kms_checkpoint c;
    struct cczi_kms_signer signer = {0}; /* s->signer may not be loaded yet */
    call->shows_log = true;
    ccz_rc rc = cczi_kms_signer_here(&signer, s, call->req->now_s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_checkpoint_sign(&c, &signer, &s->head.tree, call->req->now_s, err);
    cczi_kms_signer_deinit(&signer);
    if (rc == CCZ_OK)
        rc = cczi_kms_signer_each(s, put_spki, &keys, err);
    if (rc == CCZ_OK)
        ccz_kms_checkpoint_put(text, &c);
    return rc == CCZ_OK && text->bad
               ? ccz_fail(err, CCZ_E_NOMEM, "kms:checkpoint", 0, "out of memory")
               : rc;
}

ccz_rc cczi_kms_run_consistency(struct ccz_buf *response, struct cczi_kms_call *call,
                                struct ccz_err *err)
{
    struct cczi_msg_consistency_req m = {0};
    struct ccz_kms_path path;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_consistency_req, call->req->body, err);
    if (rc == CCZ_OK &&
        m.size == 0) /* the key that is made here, if there is none, is a line too */
        rc = cczi_kms_checkpoint_here(&text, response, PROOF_KEYS, call, err);
    uint64_t now = call->store->head.seq, size = m.size ? m.size : now;
    if (rc == CCZ_OK && (size > now || m.old_size > size)) {
        ccz_refuse_num(err, CCZ_E_ARG, "kms:consistency-size",
                       (int64_t)(size > now ? size : m.old_size),
                       (int64_t)(size > now ? now : size));
        rc = cczi_kms_hint(err, CCZ_E_ARG);
    }
    if (rc == CCZ_OK)
        rc = cczi_kms_consistency_path(&path, call->store, m.old_size, size, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < path.len; i++)
        ccz_pb_put_bytes(response, PROOF_PATH, CCZ_SPAN(path.node[i], 32));
    const struct cczi_msg_consistency_resp out = {.checkpoint = ccz_buf_span(&text), .size = size};
    cczi_msg_put(response, cczi_msg_consistency_resp, &out);
    return CCZ_OK;
}
