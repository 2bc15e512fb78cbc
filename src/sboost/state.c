/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a party stores after each tree (ckpt.h): beside the state the run it belongs to (16).
 * Guest: seed of the sampling (8); for each tree its number of nodes (4), and of each its parent, left, right, party, split and
 * depth (4 each), cut and weight (8 each); the score of each row and output (8 each), and within a round those at its beginning.
 * Host: number of splits (4), of each its column (4) and cut (8).
 */
#include "sboost/sboost_priv.h"

#include <cczoo/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { SPLITS_MAX = 1 << 24 };
static const struct cczi_ckpt_kind KIND = {.magic = {'C', 'C', 'Z', 'B', '-', 'c', 'k', 'p'},
                                           .info = "cczoo sboost checkpoint",
                                           .where = "sboost:checkpoint",
                                           .where_config = "sboost:checkpoint-config",
                                           .extra_size_max = CCZI_SB_RUN_SIZE,
                                           .state_size_max = (size_t)1 << 32};

bool cczi_sb_kept(const struct cczi_sb_store *st)
{
    return st->files.path[0] != NULL;
}

/* Everything that a state belongs to: it must not be taken into another training. */
static ccz_rc belonging(uint8_t out[32], const struct cczi_sb_session *s, bool guest,
                        const struct ccz_sboost_data *d, struct ccz_err *err)
{
    CCZ_AUTO_BUF head;
    uint8_t config[32];
    static const uint8_t none[32] = {0};
    ccz_buf_init(&head, 256);
    cczi_sb_config_digest(config, &s->cfg);
    ccz_buf_put_str(&head, guest ? "cczoo sboost guest 1" : "cczoo sboost host 1");
    ccz_buf_put(&head, config, sizeof(config));
    ccz_buf_put(&head, d->ids ? d->ids : none, sizeof(none));
    ccz_buf_le64(&head, d->rows);
    ccz_buf_le64(&head, d->cols);
    ccz_buf_le64(&head, guest ? s->len : 0);
    ccz_buf_le64(&head, guest ? s->run->sample_seed : 0);
    const struct ccz_span parts[] = {ccz_buf_span(&head),
                                     CCZ_SPAN(d->x, d->rows * d->cols * sizeof(*d->x)),
                                     CCZ_SPAN(d->y, guest ? d->rows * sizeof(*d->y) : 0)};
    ccz_rc rc = head.bad ? CCZ_E_NOMEM : ccz_hash(out, CCZ_SHA256, parts, 3);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "sboost:checkpoint", 0, "cannot hash");
}

/* All files that are there are of one run. */
static ccz_rc look(struct cczi_sb_store *st, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    uint8_t run[CCZI_SB_RUN_SIZE];
    for (size_t i = 0; rc == CCZ_OK && i < CCZI_CKPT_KEPT; i++) {
        if (!st->files.have[i])
            continue;
        ccz_buf_clear(&st->state);
        rc = cczi_ckpt_load(&st->state, run, sizeof(run), &st->files, st->files.step[i], err);
        if (rc == CCZ_OK && st->files.step[i] > CCZ_SBOOST_TREES_MAX)
            rc = ccz_refuse_num(err, CCZ_E_FORMAT, "sboost:checkpoint", (int64_t)st->files.step[i],
                                CCZ_SBOOST_TREES_MAX);
        if (rc == CCZ_OK && st->have.len > 0 && memcmp(run, st->have.run, sizeof(run)) != 0)
            rc = ccz_hint(err,
                          ccz_refuse_bytes(err, CCZ_E_MISMATCH, "sboost:checkpoint-config", run,
                                           sizeof(run), st->have.run, sizeof(run)),
                          "the two files are of different runs");
        memcpy(st->have.run, run, sizeof(run));
        st->have.trees[st->have.len++] = (uint32_t)st->files.step[i];
    }
    return rc;
}

ccz_rc cczi_sb_store_open(struct cczi_sb_store *st, const struct cczi_sb_session *s, bool guest,
                          const struct ccz_sboost_data *d, struct ccz_err *err)
{
    const struct ccz_sboost_run *run = s->run;
    *st = (struct cczi_sb_store){.files.last = -1};
    ccz_buf_init(&st->state, KIND.state_size_max);
    st->state.wipe = true;
    if (!run->checkpoint)
        return CCZ_OK;
    if (!run->seal || ccz_secret_size(run->seal) != CCZI_CKPT_SEAL_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "sboost:config", 0,
                        "a checkpoint needs a sealing key of %d bytes", CCZI_CKPT_SEAL_SIZE);
    ccz_rc rc = belonging(st->belongs, s, guest, d, err);
    if (rc == CCZ_OK)
        rc = cczi_ckpt_open(&st->files, &KIND, run->checkpoint,
                            guest ? "sboost/guest" : "sboost/host", run->seal, st->belongs, err);
    return rc == CCZ_OK ? look(st, err) : rc;
}

void cczi_sb_store_close(struct cczi_sb_store *st)
{
    cczi_ckpt_close(&st->files);
    ccz_buf_free(&st->state);
}

ccz_rc cczi_sb_store_secret(uint8_t out[32], const struct cczi_sb_store *st,
                            const struct ccz_sboost_run *run, const char *info, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 128);
    ccz_buf_put_str(&b, info);
    ccz_buf_put(&b, st->have.run, sizeof(st->have.run));
    ccz_rc rc = b.bad ? CCZ_E_NOMEM
                      : ccz_hkdf(out, 32, CCZ_SHA256, CCZ_SPAN(st->belongs, sizeof(st->belongs)),
                                 CCZ_SPAN(ccz_secret_view(run->seal), CCZI_CKPT_SEAL_SIZE),
                                 ccz_buf_span(&b));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "sboost:random", 0, "no key");
}

bool cczi_sb_offers(const struct cczi_sb_states *have, uint32_t trees)
{
    for (uint32_t i = 0; i < have->len; i++)
        if (have->trees[i] == trees)
            return true;
    return have->len == 0 && trees == 0;
}

ccz_rc cczi_sb_store_save(struct cczi_sb_store *st, uint32_t trees, struct ccz_err *err)
{
    if (st->state.bad)
        return cczi_sb_no_memory(err);
    return cczi_ckpt_save(&st->files, trees, CCZ_SPAN(st->have.run, sizeof(st->have.run)),
                          ccz_buf_span(&st->state), err);
}

ccz_rc cczi_sb_store_load(struct cczi_sb_store *st, uint32_t trees, struct ccz_err *err)
{
    uint8_t run[CCZI_SB_RUN_SIZE];
    ccz_buf_clear(&st->state);
    ccz_rc rc = cczi_ckpt_load(&st->state, run, sizeof(run), &st->files, trees, err);
    if (rc == CCZ_OK && memcmp(run, st->have.run, sizeof(run)) != 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "sboost:checkpoint", trees,
                      "the state changed while it was in use");
    return rc;
}

ccz_rc cczi_sb_no_resume(uint32_t trees, const char *what, struct ccz_err *err)
{
    return ccz_hint(err, ccz_fail(err, CCZ_E_PEER, "sboost:resume", trees, "%s", what),
                    "to begin anew, remove the states of all parties");
}

/* ------------------------------------------------------------------------------------ formats */

static void put_double(struct ccz_buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    ccz_buf_le64(out, bits);
}

static double take_double(struct ccz_rd *r)
{
    uint64_t bits = ccz_rd_le64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

void cczi_sb_put_trees(struct ccz_buf *out, const struct ccz_sboost_model *m)
{
    for (size_t t = 0; t < m->trees; t++) {
        ccz_buf_le32(out, (uint32_t)m->tree[t].len);
        for (size_t i = 0; i < m->tree[t].len; i++) {
            const struct cczi_sb_node *n = &m->tree[t].node[i];
            ccz_buf_le32(out, (uint32_t)n->parent);
            ccz_buf_le32(out, (uint32_t)n->left);
            ccz_buf_le32(out, (uint32_t)n->right);
            ccz_buf_le32(out, (uint32_t)n->party);
            ccz_buf_le32(out, n->split);
            ccz_buf_le32(out, n->depth);
            put_double(out, n->cut);
            put_double(out, n->weight);
        }
    }
}

/* Children come behind their parents, so that walking down ends. */
static bool node_ok(const struct cczi_sb_node *n, size_t at, size_t len,
                    const struct ccz_sboost_model *m)
{
    if (n->party == CCZI_SB_NONE)
        return n->left == CCZI_SB_NONE && n->right == CCZI_SB_NONE;
    return n->party >= 0 && (size_t)n->party <= m->hosts && n->left > (int64_t)at &&
           n->right > (int64_t)at && (size_t)n->left < len && (size_t)n->right < len &&
           (n->party != CCZI_SB_OWN || n->split < m->cols);
}

static bool take_tree(struct cczi_sb_tree *t, const struct ccz_sboost_model *m, struct ccz_rd *r)
{
    uint32_t len = ccz_rd_le32(r);
    if (r->bad || len == 0 || len > CCZI_SB_NODES_MAX)
        return false;
    t->node = calloc(len, sizeof(*t->node));
    t->len = t->cap = t->node ? len : 0;
    bool good = t->node != NULL;
    for (size_t i = 0; good && i < len; i++) {
        struct cczi_sb_node *n = &t->node[i];
        n->parent = (int32_t)ccz_rd_le32(r);
        n->left = (int32_t)ccz_rd_le32(r);
        n->right = (int32_t)ccz_rd_le32(r);
        n->party = (int32_t)ccz_rd_le32(r);
        n->split = ccz_rd_le32(r);
        n->depth = ccz_rd_le32(r);
        n->cut = take_double(r);
        n->weight = take_double(r);
        good = !r->bad && node_ok(n, i, len, m);
    }
    return good;
}

bool cczi_sb_take_trees(struct ccz_sboost_model *m, uint32_t trees, struct ccz_rd *r)
{
    for (; m->trees < trees; m->trees++)
        if (!take_tree(&m->tree[m->trees], m, r)) {
            cczi_sb_tree_free(&m->tree[m->trees]);
            return false;
        }
    return true;
}

void cczi_sb_put_splits(struct ccz_buf *out, const struct ccz_sboost_part *p)
{
    ccz_buf_le32(out, (uint32_t)p->len);
    for (size_t i = 0; i < p->len; i++) {
        ccz_buf_le32(out, p->split[i].col);
        put_double(out, p->split[i].cut);
    }
}

bool cczi_sb_take_splits(struct ccz_sboost_part *p, struct ccz_rd *r)
{
    uint32_t len = ccz_rd_le32(r);
    bool good = !r->bad && len <= SPLITS_MAX && r->left == (size_t)len * 12;
    struct cczi_sb_cut *list = good ? calloc((size_t)len + 1, sizeof(*list)) : NULL;
    if (!list)
        return false;
    for (size_t i = 0; i < len; i++) {
        list[i].col = ccz_rd_le32(r);
        list[i].cut = take_double(r);
        good &= list[i].col < p->cols;
    }
    free(p->split);
    p->split = list;
    p->len = good ? len : 0;
    p->cap = (size_t)len + 1;
    return good;
}
