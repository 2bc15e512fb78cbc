/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host. It answers the guest (guest.c): for a node with the sums left of each of its candidates, in an order made anew for each
 * node; for a choice with the rows that go left. Sums over a node are computed for the smaller of two siblings and subtracted
 * from their parent's for the other.
 */
#include "sboost/sboost_priv.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;
#define KEY_SIZE_MAX ((size_t)16384)
enum { NOT_IN = -1 };

struct host {
    struct cczi_sb_session *s;
    const struct ccz_sboost_data *d;
    struct cczi_sb_bins bins;
    struct cczi_sb_grow grow;
    struct ccz_sboost_part *part;
    struct ccz_paillier_pub *pub;
    struct ccz_paillier_vec *gradients;
    struct ccz_paillier_vec **sums; /* [nodes] of those that may be needed: [bin][column] */
    int32_t *item;                  /* [rows] its ciphertext, or NOT_IN */
    uint32_t *index;                /* [rows * columns], by group */
    size_t *begin;                  /* [bins * columns + 1] */
    size_t *order;                  /* [candidates] of the node that was asked for */
    unsigned value_bits;
    struct cczi_sb_store store;
    uint8_t order_seed[CCZ_STREAM_SEED_SIZE];
    uint32_t saved; /* trees whose state is stored, or need not be */
    /* when the tree began */
    int64_t start_ns;
    uint64_t sent, received;
    size_t splits;
    bool asked; /* for `node` of `tree`: its choice may follow */
    uint32_t tree, node;
};

static size_t candidates_of(const struct host *h)
{
    return h->bins.cols * (h->bins.bins - 1);
}

/* --------------------------------------------------------------------------------------- sums */

static void drop_sums(struct host *h)
{
    for (size_t n = 0; n < CCZI_SB_NODES_MAX; n++) {
        ccz_paillier_vec_free(h->sums[n]);
        h->sums[n] = NULL;
    }
}

/* Group of bin @p b and column @p j: b * columns + j. */
static ccz_rc direct_sums(struct host *h, size_t node, struct ccz_err *err)
{
    const struct cczi_sb_node *n = &h->grow.tree.node[node];
    size_t cols = h->bins.cols, groups = h->bins.bins * cols, at = 0;
    memset(h->begin, 0, (groups + 1) * sizeof(*h->begin));
    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < n->len; i++) {
            uint32_t row = h->grow.row[n->from + i];
            h->begin[h->bins.bin[j * h->d->rows + row] * cols + j] += h->item[row] != NOT_IN;
        }
    for (size_t g = 0; g < groups; g++) { /* numbers to beginnings */
        size_t len = h->begin[g];
        h->begin[g] = at;
        at += len;
    }
    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < n->len; i++) {
            uint32_t row = h->grow.row[n->from + i];
            if (h->item[row] != NOT_IN)
                h->index[h->begin[h->bins.bin[j * h->d->rows + row] * cols + j]++] =
                    (uint32_t)h->item[row];
        }
    memmove(h->begin + 1, h->begin, groups * sizeof(*h->begin)); /* each is at its end now */
    h->begin[0] = 0;
    return ccz_paillier_sums(&h->sums[node], h->gradients, h->index, h->begin, groups,
                             h->s->run->threads, err);
}

static ccz_rc sums_of(struct host *h, size_t node, struct ccz_err *err)
{
    const struct cczi_sb_node *n = &h->grow.tree.node[node];
    if (h->sums[node])
        return CCZ_OK;
    if (n->parent == CCZI_SB_NONE || !h->sums[n->parent])
        return direct_sums(h, node, err);
    const struct cczi_sb_node *parent = &h->grow.tree.node[n->parent];
    size_t left = (size_t)parent->left, right = (size_t)parent->right;
    bool less = h->grow.tree.node[left].len <= h->grow.tree.node[right].len;
    size_t small = less ? left : right, large = less ? right : left;
    ccz_rc rc = direct_sums(h, small, err);
    if (rc == CCZ_OK) {
        h->sums[large] = h->sums[n->parent];
        h->sums[n->parent] = NULL;
        rc = ccz_paillier_sub(h->sums[large], h->sums[small], err);
    }
    return rc;
}

/* Sums up to each cut: [cut][column]. */
static ccz_rc cumulate(struct ccz_paillier_vec **out, const struct host *h,
                       const struct ccz_paillier_vec *sums, struct ccz_err *err)
{
    size_t cols = h->bins.cols, cuts = h->bins.bins - 1;
    struct ccz_paillier_vec **row = calloc(cuts, sizeof(struct ccz_paillier_vec *));
    ccz_rc rc = row ? CCZ_OK : cczi_sb_no_memory(err);
    for (size_t c = 0; rc == CCZ_OK && c < cuts; c++) {
        rc = ccz_paillier_vec_slice(&row[c], sums, c * cols, cols, err);
        if (rc == CCZ_OK && c > 0)
            rc = ccz_paillier_add(row[c], row[c - 1], err);
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_concat(out, (const struct ccz_paillier_vec *const *)row, cuts, err);
    for (size_t c = 0; row && c < cuts; c++)
        ccz_paillier_vec_free(row[c]);
    free(row);
    return rc;
}

/* --------------------------------------------------------------------------------- candidates */

/* With states, what is done again after a failure must be what it was: among equal candidates the order decides. */
static ccz_rc order_of_state(void *out, size_t size, const struct host *h)
{
    CCZ_AUTO(ccz_stream) stream = NULL;
    CCZ_AUTO_BUF iv; /* tree, node, counter: no two nodes of a run have blocks in common */
    ccz_buf_init(&iv, CCZ_STREAM_IV_SIZE);
    ccz_buf_le32(&iv, h->tree);
    ccz_buf_le32(&iv, h->node);
    ccz_buf_le64(&iv, 0);
    ccz_rc rc = iv.bad ? CCZ_E_NOMEM : ccz_stream_new(&stream);
    if (rc == CCZ_OK)
        rc = ccz_stream_start(stream, h->order_seed, iv.ptr);
    return rc == CCZ_OK ? ccz_stream_read(out, stream, size) : rc;
}

/* An order of its own for each node: the guest must not learn which candidates are of one column. */
static ccz_rc shuffle(struct host *h, struct ccz_err *err)
{
    size_t len = candidates_of(h), size = len * sizeof(uint64_t);
    const struct ccz_paillier_rng *rng = &h->s->run->rng;
    uint64_t *random = malloc(size ? size : 1);
    ccz_rc rc = !random                   ? CCZ_E_NOMEM
                : cczi_sb_kept(&h->store) ? order_of_state(random, size, h)
                : rng->fill               ? rng->fill(rng->arg, random, size)
                                          : ccz_random(random, size);
    for (size_t i = 0; i < len; i++)
        h->order[i] = i;
    for (size_t i = len; rc == CCZ_OK && i > 1; i--) {
        /* multiply and shift: off from uniform by at most i / 2^64 */
        size_t k = (size_t)((u128)random[i - 1] * i >> 64), t = h->order[i - 1];
        h->order[i - 1] = h->order[k];
        h->order[k] = t;
    }
    if (random)
        ccz_wipe(random, size);
    free(random);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "sboost:random", 0, "no randomness");
}

static ccz_rc answer_node(struct host *h, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) sums = NULL;
    CCZ_AUTO(ccz_paillier_vec) shuffled = NULL;
    CCZ_AUTO(ccz_paillier_vec) packed = NULL;
    struct cczi_sb_session *s = h->s;
    const struct ccz_paillier_enc_cfg enc = {.threads = s->run->threads, .rng = s->run->rng};
    const struct ccz_paillier_packing pack = {
        .slot_bits = cczi_sb_slot_bits(h->value_bits, h->d->rows, &s->cfg)};
    ccz_rc rc = sums_of(h, h->node, err);
    if (rc == CCZ_OK)
        rc = cumulate(&sums, h, h->sums[h->node], err);
    if (rc == CCZ_OK)
        rc = shuffle(h, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_gather(&shuffled, sums, h->order, candidates_of(h), err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_squeeze(&packed, shuffled, pack, s->run->threads, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_randomise(packed, &enc, err);
    cczi_sb_msg_begin(&s->out, CCZI_SB_CANDIDATES, h->tree, h->node);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_write(&s->out, packed, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_send(s, 0, err);
    h->asked = rc == CCZ_OK;
    return rc;
}

static ccz_rc add_split(uint32_t *number, struct ccz_sboost_part *p, struct cczi_sb_cut cut,
                        struct ccz_err *err)
{
    if (p->len == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 64;
        struct cczi_sb_cut *list = realloc(p->split, cap * sizeof(*list));
        if (!list)
            return cczi_sb_no_memory(err);
        p->split = list;
        p->cap = cap;
    }
    *number = (uint32_t)p->len;
    p->split[p->len++] = cut;
    return CCZ_OK;
}

/* The guest took candidate @p number of the node it asked for last. */
static ccz_rc answer_choice(struct host *h, uint32_t number, struct ccz_err *err)
{
    struct cczi_sb_session *s = h->s;
    struct cczi_sb_node n = h->grow.tree.node[h->node];
    uint32_t split = 0;
    if (!h->asked || number >= candidates_of(h))
        return ccz_refuse_num(err, CCZ_E_PEER, "sboost:candidate", (int64_t)number,
                              (int64_t)candidates_of(h));
    size_t cut = h->order[number] / h->bins.cols, col = h->order[number] % h->bins.cols;
    const uint8_t *bin = h->bins.bin + col * h->d->rows;
    ccz_rc rc = add_split(
        &split, h->part,
        (struct cczi_sb_cut){(uint32_t)col, h->bins.cut[col * (h->bins.bins - 1) + cut]}, err);
    cczi_sb_msg_begin(&s->out, CCZI_SB_LEFT, h->tree, h->node);
    ccz_buf_le32(&s->out, split);
    size_t at = s->out.size;
    for (size_t i = 0; i < n.len; i += 8) {
        uint8_t byte = 0;
        for (size_t k = 0; k < 8 && i + k < n.len; k++)
            byte |= (uint8_t)((bin[h->grow.row[n.from + i + k]] <= cut) << k);
        ccz_buf_u8(&s->out, byte);
    }
    if (rc == CCZ_OK)
        rc = cczi_sb_send(s, 0, err);
    h->asked = false;
    return rc == CCZ_OK ? cczi_sb_grow_split(&h->grow, h->node, s->out.ptr + at, err) : rc;
}

/* -------------------------------------------------------------------------------------- trees */

/* Ciphertexts for the rows in the body of the message, or for all. */
static ccz_rc begin_tree(struct host *h, struct ccz_err *err)
{
    struct cczi_sb_session *s = h->s;
    size_t rows = h->d->rows, size = cczi_sb_bitmap_size(rows), len = 0;
    CCZ_AUTO(ccz_paillier_vec) all = NULL;
    if (s->msg.body.size != 0 && s->msg.body.size != size)
        return ccz_refuse_num(err, CCZ_E_PEER, "sboost:message", (int64_t)s->msg.body.size,
                              (int64_t)size);
    for (size_t i = 0; i < rows; i++)
        h->item[i] =
            s->msg.body.size == 0 || cczi_sb_bit(s->msg.body.ptr, i) ? (int32_t)len++ : NOT_IN;
    if (len == 0)
        return ccz_fail(err, CCZ_E_PEER, "sboost:message", 0, "a tree of no rows");
    drop_sums(h);
    ccz_paillier_vec_free(h->gradients);
    h->gradients = NULL;
    h->asked = false;
    size_t parts = (len + CCZI_SB_BATCH - 1) / CCZI_SB_BATCH;
    struct ccz_paillier_vec **part = calloc(parts, sizeof(struct ccz_paillier_vec *));
    ccz_rc rc = part ? CCZ_OK : cczi_sb_no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < parts; i++) {
        size_t some = len - i * CCZI_SB_BATCH;
        some = some < CCZI_SB_BATCH ? some : CCZI_SB_BATCH;
        rc = cczi_sb_expect(s, 0, CCZI_SB_GRADIENTS, h->tree, 0,
                            ccz_paillier_vec_size(h->pub, some), err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_vec_read(&part[i], h->pub, s->msg.body, some, err);
        if (rc == CCZ_OK && (ccz_paillier_vec_len(part[i]) != some ||
                             ccz_paillier_vec_packing(part[i]).slot_bits != 0 ||
                             ccz_paillier_vec_exponent(part[i]) != 0 ||
                             ccz_paillier_vec_bound(part[i]) > h->value_bits))
            rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:message",
                                (int64_t)ccz_paillier_vec_len(part[i]), (int64_t)some);
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_concat(&h->gradients, (const struct ccz_paillier_vec *const *)part,
                                     parts, err);
    for (size_t i = 0; part && i < parts; i++)
        ccz_paillier_vec_free(part[i]);
    free(part);
    return rc == CCZ_OK ? cczi_sb_grow_begin(&h->grow, err) : rc;
}

static ccz_rc split_by_other(struct host *h, struct ccz_err *err)
{
    size_t size = cczi_sb_bitmap_size(h->grow.tree.node[h->node].len);
    if (!h->asked || h->s->msg.body.size != size)
        return ccz_refuse_num(err, CCZ_E_PEER, "sboost:message", (int64_t)h->s->msg.body.size,
                              (int64_t)size);
    h->asked = false;
    return cczi_sb_grow_split(&h->grow, h->node, h->s->msg.body.ptr, err);
}

/* Trees come in order, nodes of a tree likewise; a choice or a split is about the node that was asked for last. */
static ccz_rc in_order(const struct host *h, const struct cczi_sb_msg *m, uint32_t next_tree,
                       struct ccz_err *err)
{
    bool good;
    if (m->kind == CCZI_SB_TREE)
        good = m->tree == next_tree && m->node == 0 && h->saved == next_tree;
    else if (m->kind == CCZI_SB_SAVE)
        good = m->tree == next_tree && m->node == 0 && h->saved + 1 == next_tree;
    else if (m->kind == CCZI_SB_NODE)
        good = next_tree > 0 && m->tree == h->tree && m->node < h->grow.tree.len &&
               h->grow.tree.node[m->node].left == CCZI_SB_NONE &&
               (m->node > h->node || (m->node == 0 && !h->asked && !h->sums[0])) &&
               h->grow.tree.node[m->node].depth < h->s->cfg.depth;
    else
        good = (m->kind == CCZI_SB_CHOOSE || m->kind == CCZI_SB_SPLIT) && next_tree > 0 &&
               m->tree == h->tree && m->node == h->node && h->asked;
    if (good)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_PEER, "sboost:order", (int64_t)m->kind,
                    "message of kind %d for tree %u, node %u is out of order", (int)m->kind,
                    m->tree, m->node);
}

static ccz_rc save(struct host *h, uint32_t trees, struct ccz_err *err)
{
    h->saved = trees;
    if (!cczi_sb_kept(&h->store))
        return CCZ_OK;
    ccz_buf_clear(&h->store.state);
    cczi_sb_put_splits(&h->store.state, h->part);
    return cczi_sb_store_save(&h->store, trees, err);
}

static void tell(const struct host *h)
{
    uint32_t outputs = cczi_sb_outputs(&h->s->cfg), own = (uint32_t)(h->part->len - h->splits);
    struct ccz_sboost_progress p = {.round = h->tree / outputs + 1,
                                    .tree = h->tree % outputs + 1,
                                    .splits = own,
                                    .host_splits = own,
                                    .loss = NAN,
                                    .took_ns = ccz_mono_ns() - h->start_ns};
    cczi_sb_count(&p.sent_size, &p.received_size, h->s);
    p.sent_size -= h->sent;
    p.received_size -= h->received;
    h->s->run->on_tree(h->s->run->arg, &p);
}

static ccz_rc answer_save(struct host *h, struct ccz_err *err)
{
    uint32_t trees = h->s->msg.tree;
    h->asked = false;
    ccz_rc rc = save(h, trees, err);
    cczi_sb_msg_begin(&h->s->out, CCZI_SB_SAVED, trees, 0);
    if (rc == CCZ_OK)
        rc = cczi_sb_send(h->s, 0, err);
    if (rc == CCZ_OK && h->s->run->on_tree)
        tell(h);
    return rc;
}

static ccz_rc load(struct host *h, uint32_t trees, struct ccz_err *err)
{
    ccz_rc rc = cczi_sb_store_load(&h->store, trees, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&h->store.state));
    h->saved = trees;
    return cczi_sb_take_splits(h->part, &r) && ccz_rd_done(&r)
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_FORMAT, "sboost:checkpoint", trees,
                          "the state of tree %u is malformed", trees);
}

/* Where the guest says that all can go on from. */
static ccz_rc begin(struct host *h, struct ccz_err *err)
{
    struct cczi_sb_session *s = h->s;
    struct cczi_sb_states *have = &h->store.have;
    ccz_rc rc = cczi_sb_recv(s, 0, CCZI_SB_RUN_SIZE, err);
    uint32_t trees = s->msg.tree;
    if (rc == CCZ_OK && (s->msg.kind != CCZI_SB_START || s->msg.node != 0))
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:order", (int64_t)s->msg.kind, CCZI_SB_START);
    if (rc == CCZ_OK && !cczi_sb_offers(have, trees))
        rc = cczi_sb_no_resume(trees, "the guest goes on from a tree that this host has not", err);
    if (rc == CCZ_OK && have->len > 0 && memcmp(have->run, s->msg.body.ptr, CCZI_SB_RUN_SIZE) != 0)
        rc = cczi_sb_no_resume(trees, "the guest goes on with another run than this host", err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(have->run, s->msg.body.ptr, CCZI_SB_RUN_SIZE);
    if (cczi_sb_kept(&h->store))
        rc = cczi_sb_store_secret(h->order_seed, &h->store, s->run, "cczoo sboost order", err);
    if (rc == CCZ_OK)
        rc = have->len > 0 ? load(h, trees, err) : save(h, trees, err);
    return rc;
}

static ccz_rc serve(struct host *h, struct ccz_err *err)
{
    struct cczi_sb_session *s = h->s;
    uint32_t next_tree = h->saved;
    for (;;) {
        ccz_rc rc = cczi_sb_recv(s, 0, cczi_sb_bitmap_size(h->d->rows) + sizeof(uint32_t), err);
        if (rc == CCZ_OK && s->msg.kind == CCZI_SB_DONE && h->saved == next_tree &&
            next_tree == s->cfg.rounds * cczi_sb_outputs(&s->cfg))
            return CCZ_OK;
        if (rc == CCZ_OK)
            rc = in_order(h, &s->msg, next_tree, err);
        if (rc != CCZ_OK)
            return rc;
        h->node = s->msg.node;
        if (s->msg.kind == CCZI_SB_SAVE) {
            rc = answer_save(h, err);
        } else if (s->msg.kind == CCZI_SB_TREE) {
            h->tree = next_tree++;
            h->start_ns = ccz_mono_ns();
            h->splits = h->part->len;
            cczi_sb_count(&h->sent, &h->received, s);
            rc = begin_tree(h, err);
        } else if (s->msg.kind == CCZI_SB_NODE) {
            rc = answer_node(h, err);
        } else if (s->msg.kind == CCZI_SB_CHOOSE) {
            rc = answer_choice(h, s->msg.number, err);
        } else {
            rc = split_by_other(h, err);
        }
        if (rc != CCZ_OK)
            return rc;
    }
}

/* --------------------------------------------------------------------------------- life cycle */

static ccz_rc recv_key(struct host *h, struct ccz_err *err)
{
    const struct ccz_paillier_pub_cfg cfg = {.bits_1024_insecure = h->s->run->key_1024_insecure};
    ccz_rc rc = cczi_sb_expect(h->s, 0, CCZI_SB_KEY, 0, 0, KEY_SIZE_MAX, err);
    return rc == CCZ_OK ? ccz_paillier_pub_read(&h->pub, h->s->msg.body, &cfg, err) : rc;
}

static ccz_rc host_memory(struct host *h, struct ccz_err *err)
{
    size_t rows = h->d->rows, cols = h->d->cols, bins = h->s->cfg.bins;
    h->part = calloc(1, sizeof(*h->part));
    h->sums = calloc(CCZI_SB_NODES_MAX, sizeof(struct ccz_paillier_vec *));
    h->item = malloc(rows * sizeof(*h->item));
    h->index = malloc(rows * cols * sizeof(*h->index));
    h->begin = malloc((bins * cols + 2) * sizeof(*h->begin));
    h->order = malloc(cols * bins * sizeof(*h->order));
    if (!h->part || !h->sums || !h->item || !h->index || !h->begin || !h->order)
        return cczi_sb_no_memory(err);
    h->part->cols = cols;
    return CCZ_OK;
}

static void drop(void *p, size_t size)
{
    if (p)
        ccz_wipe(p, size);
    free(p);
}

static void host_free(struct host *h)
{
    size_t rows = h->d->rows, cols = h->d->cols, bins = h->s->cfg.bins;
    if (h->sums)
        drop_sums(h);
    free(h->sums);
    free(h->item);
    /* which rows are in which bins, and which candidate is which cut */
    drop(h->index, rows * cols * sizeof(*h->index));
    drop(h->begin, (bins * cols + 2) * sizeof(*h->begin));
    drop(h->order, cols * bins * sizeof(*h->order));
    ccz_paillier_vec_free(h->gradients);
    ccz_paillier_pub_free(h->pub);
    cczi_sb_bins_free(&h->bins);
    cczi_sb_grow_free(&h->grow);
    cczi_sb_store_close(&h->store);
    ccz_wipe(h->order_seed, sizeof(h->order_seed));
    ccz_sboost_part_free(h->part);
}

static ccz_rc train(struct host *h, struct ccz_err *err)
{
    struct cczi_sb_steps steps = {0}; /* for its sizes */
    ccz_rc rc =
        h->d->cols > 0 ? CCZ_OK : ccz_fail(err, CCZ_E_ARG, "sboost:data", 0, "a host has columns");
    if (rc == CCZ_OK)
        rc = cczi_sb_bins_new(&h->bins, h->d, h->s->cfg.bins, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_steps_new(&steps, h->d->rows, err);
    h->value_bits = steps.bits;
    cczi_sb_steps_free(&steps);
    if (rc == CCZ_OK)
        rc = host_memory(h, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_grow_new(&h->grow, h->d->rows, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_store_open(&h->store, h->s, false, h->d, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_greet(h->s, false, h->d, &h->store.have, err);
    if (rc == CCZ_OK)
        rc = recv_key(h, err);
    if (rc == CCZ_OK)
        rc = begin(h, err);
    return rc == CCZ_OK ? serve(h, err) : rc;
}

void ccz_sboost_part_free(struct ccz_sboost_part *p)
{
    if (!p)
        return;
    if (p->split)
        ccz_wipe(p->split, p->cap * sizeof(*p->split));
    free(p->split);
    free(p);
}

ccz_rc ccz_sboost_host(struct ccz_sboost_part **out, struct ccz_chan *guest,
                       const struct ccz_sboost_data *data, const struct ccz_sboost_run *run,
                       struct ccz_err *err)
{
    struct cczi_sb_session s;
    struct ccz_err e = {0};
    struct host h = {.s = &s, .d = data};
    *out = NULL;
    ccz_rc rc = cczi_sb_session_init(&s, run, &guest, 1, &e);
    if (rc == CCZ_OK)
        rc = train(&h, &e);
    if (rc == CCZ_OK) {
        *out = h.part;
        h.part = NULL;
    }
    host_free(&h);
    return cczi_sb_session_end(&s, rc, &e, err);
}

ccz_rc ccz_sboost_host_stored(struct ccz_sboost_part **out, const struct ccz_sboost_data *data,
                              const struct ccz_sboost_run *run, struct ccz_err *err)
{
    struct cczi_sb_session s = {.run = run};
    struct host h = {.s = &s, .d = data};
    *out = NULL;
    ccz_rc rc = cczi_sb_config(&s.cfg, run->cfg, err);
    if (rc != CCZ_OK)
        return rc;
    uint32_t trees = s.cfg.rounds * cczi_sb_outputs(&s.cfg);
    rc = cczi_sb_bins_new(&h.bins, data, s.cfg.bins, err); /* it checks the data */
    if (rc == CCZ_OK)
        rc = cczi_sb_store_open(&h.store, &s, false, data, err);
    if (rc == CCZ_OK &&
        (!cczi_sb_kept(&h.store) || h.store.have.len == 0 || !cczi_sb_offers(&h.store.have, trees)))
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "sboost:unfinished", trees,
                      "no state of tree %u, the last one", trees);
    if (rc == CCZ_OK)
        rc = host_memory(&h, err);
    if (rc == CCZ_OK)
        rc = load(&h, trees, err);
    if (rc == CCZ_OK) {
        *out = h.part;
        h.part = NULL;
    }
    host_free(&h);
    return rc;
}
