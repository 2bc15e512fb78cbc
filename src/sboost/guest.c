/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest. KEY and START first: who it is that trains, and how many trees are there already. For each tree
 *   TREE, GRADIENTS   rows of this tree; g and h of each, packed in one ciphertext     -> hosts
 * and for each node, level by level:
 *   NODE                                                                               -> hosts
 *   CANDIDATES        sums of g and h left of each candidate, shuffled, packed         <- hosts
 *   CHOOSE            the winner, if it is a host's                                    -> that host, which answers LEFT
 *   SPLIT             the rows that go left                                            -> the other hosts
 * A node without a gain is a leaf; nobody need be told. Behind each tree
 *   SAVE              hosts store their states, then the guest its own                 -> hosts, which answer SAVED
 */
#include "sboost/sboost_priv.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct guest {
    struct cczi_sb_session *s;
    const struct ccz_paillier_key *key;
    struct ccz_paillier_pub *pub;
    const struct ccz_sboost_data *d;
    struct cczi_sb_bins bins;
    struct cczi_sb_steps steps;
    struct cczi_sb_grow grow;
    struct ccz_sboost_model *m;
    size_t candidates[CCZ_SBOOST_HOSTS_MAX]; /* of each host */
    double *score, *tmp;
    double *before; /* scores when the round began: all trees of it are for the same */
    struct cczi_sb_store store;
    uint8_t *left;   /* bitmap */
    int64_t *own;    /* [bins] sums of one column */
    int64_t *theirs; /* candidates of one host, with the tail of its last ciphertext */
    size_t theirs_cap;
    uint64_t sample_seed;
    uint32_t tree, splits, host_splits;
};

struct best {
    double gain;
    int32_t party;
    uint32_t number; /* own: column * bins + cut; of a host: its candidate */
};

/* --------------------------------------------------------------------------------- candidates */

static double half_score(double g, double h, double lambda)
{
    return h + lambda > 0 ? g * g / (h + lambda) : 0;
}

static void consider(struct best *best, const struct guest *g, int64_t left, int64_t all,
                     int32_t party, uint32_t number)
{
    const struct ccz_sboost_cfg *cfg = &g->s->cfg;
    struct cczi_sb_sum l = cczi_sb_unpack(left, &g->steps), a = cczi_sb_unpack(all, &g->steps);
    double gl = (double)l.g * g->steps.g_unit, hl = (double)l.h * g->steps.h_unit;
    double gr = (double)(a.g - l.g) * g->steps.g_unit, hr = (double)(a.h - l.h) * g->steps.h_unit;
    if (hl < cfg->min_child || hr < cfg->min_child)
        return;
    double gain = (half_score(gl, hl, cfg->lambda) + half_score(gr, hr, cfg->lambda) -
                   half_score(gl + gr, hl + hr, cfg->lambda)) /
                      2 -
                  cfg->gamma;
    if (gain > best->gain)
        *best = (struct best){gain, party, number};
}

static int64_t sum_of(const struct guest *g, const struct cczi_sb_node *n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n->len; i++)
        sum += g->steps.packed[g->grow.row[n->from + i]];
    return sum;
}

static void own_candidates(struct best *best, struct guest *g, const struct cczi_sb_node *n,
                           int64_t all)
{
    const struct cczi_sb_bins *b = &g->bins;
    for (size_t j = 0; j < b->cols; j++) {
        const uint8_t *bin = b->bin + j * b->rows;
        int64_t left = 0;
        memset(g->own, 0, b->bins * sizeof(*g->own));
        for (size_t i = 0; i < n->len; i++) {
            uint32_t row = g->grow.row[n->from + i];
            g->own[bin[row]] += g->steps.packed[row];
        }
        for (unsigned c = 0; c + 1 < b->bins; c++) {
            left += g->own[c];
            consider(best, g, left, all, CCZI_SB_OWN, (uint32_t)(j * b->bins + c));
        }
    }
}

static ccz_rc host_candidates(struct best *best, struct guest *g, size_t host, size_t node,
                              int64_t all, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_dec_cfg dec = {.threads = g->s->run->threads};
    struct cczi_sb_session *s = g->s;
    unsigned slot_bits = cczi_sb_slot_bits(g->steps.bits, g->d->rows, &s->cfg);
    size_t slots = ccz_paillier_slots(g->pub, slot_bits), len = g->candidates[host];
    size_t ciphertexts = (len + slots - 1) / slots;
    ccz_rc rc = cczi_sb_expect(s, host, CCZI_SB_CANDIDATES, g->tree, node,
                               ccz_paillier_vec_size(g->pub, ciphertexts), err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_read(&v, g->pub, s->msg.body, ciphertexts, err);
    struct ccz_paillier_packing pack = {0};
    if (rc == CCZ_OK)
        pack = ccz_paillier_vec_packing(v);
    if (rc == CCZ_OK && (ccz_paillier_vec_len(v) != ciphertexts || pack.slot_bits != slot_bits ||
                         pack.slots != slots || ccz_paillier_vec_exponent(v) != 0))
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:candidate", (int64_t)ccz_paillier_vec_len(v),
                            (int64_t)ciphertexts);
    if (rc == CCZ_OK)
        rc = ccz_paillier_decrypt(&p, g->key, v, &dec, err);
    if (rc == CCZ_OK && ccz_paillier_plain_values(p) > g->theirs_cap)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:candidate",
                            (int64_t)ccz_paillier_plain_values(p), (int64_t)g->theirs_cap);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_to_i64(g->theirs, p, err);
    for (size_t c = 0; rc == CCZ_OK && c < len; c++)
        consider(best, g, g->theirs[c], all, (int32_t)host + 1, (uint32_t)c);
    return rc;
}

/* -------------------------------------------------------------------------------------- nodes */

static void own_left(struct guest *g, const struct cczi_sb_node *n, uint32_t number)
{
    const uint8_t *bin = g->bins.bin + number / g->bins.bins * g->bins.rows;
    memset(g->left, 0, cczi_sb_bitmap_size(n->len));
    for (size_t i = 0; i < n->len; i++)
        if (bin[g->grow.row[n->from + i]] <= number % g->bins.bins)
            g->left[i / 8] |= (uint8_t)(1U << i % 8);
}

static ccz_rc ask_left(uint32_t *split, struct guest *g, size_t host, size_t node, uint32_t number,
                       struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    size_t size = cczi_sb_bitmap_size(g->grow.tree.node[node].len);
    cczi_sb_msg_begin(&s->out, CCZI_SB_CHOOSE, g->tree, node);
    ccz_buf_le32(&s->out, number);
    ccz_rc rc = cczi_sb_send(s, host, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_expect(s, host, CCZI_SB_LEFT, g->tree, node, size + sizeof(uint32_t), err);
    if (rc == CCZ_OK && s->msg.body.size != size)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "sboost:message", (int64_t)s->msg.body.size,
                            (int64_t)size);
    if (rc != CCZ_OK)
        return rc;
    *split = s->msg.number;
    memcpy(g->left, s->msg.body.ptr, size);
    return CCZ_OK;
}

static ccz_rc split_node(struct guest *g, size_t node, const struct best *best, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    struct cczi_sb_node *n = &g->grow.tree.node[node];
    uint32_t split = best->number / g->bins.bins;
    ccz_rc rc = CCZ_OK;
    if (best->party == CCZI_SB_OWN)
        own_left(g, n, best->number);
    else
        rc = ask_left(&split, g, (size_t)best->party - 1, node, best->number, err);
    cczi_sb_msg_begin(&s->out, CCZI_SB_SPLIT, g->tree, node);
    ccz_buf_put(&s->out, g->left, cczi_sb_bitmap_size(n->len));
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        if ((int32_t)i + 1 != best->party)
            rc = cczi_sb_send(s, i, err);
    n->party = best->party;
    n->split = split;
    if (best->party == CCZI_SB_OWN)
        n->cut = g->bins.cut[split * (g->bins.bins - 1) + best->number % g->bins.bins];
    g->splits++;
    g->host_splits += best->party != CCZI_SB_OWN;
    return rc == CCZ_OK ? cczi_sb_grow_split(&g->grow, node, g->left, err) : rc;
}

static ccz_rc grow_node(struct guest *g, size_t node, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    struct cczi_sb_node n = g->grow.tree.node[node];
    int64_t all = sum_of(g, &n);
    struct cczi_sb_sum sum = cczi_sb_unpack(all, &g->steps);
    double weight = (double)sum.g * g->steps.g_unit /
                    fmax((double)sum.h * g->steps.h_unit + s->cfg.lambda, 1e-300);
    g->grow.tree.node[node].weight = -s->cfg.eta * weight;
    struct best best = {.gain = 1e-12, .party = CCZI_SB_NONE};
    if (n.depth == s->cfg.depth || (double)sum.h * g->steps.h_unit < 2 * s->cfg.min_child)
        return CCZ_OK; /* a leaf */
    cczi_sb_msg_begin(&s->out, CCZI_SB_NODE, g->tree, node);
    ccz_rc rc = cczi_sb_send_all(s, err);
    if (rc == CCZ_OK)
        own_candidates(&best, g, &n, all); /* while the hosts work */
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        rc = host_candidates(&best, g, i, node, all, err);
    return rc == CCZ_OK && best.party != CCZI_SB_NONE ? split_node(g, node, &best, err) : rc;
}

/* -------------------------------------------------------------------------------------- trees */

/* Ciphertexts of g and h for the rows of this tree. */
static ccz_rc send_gradients(struct guest *g, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    const struct ccz_paillier_enc_cfg enc = {.threads = s->run->threads, .rng = s->run->rng};
    size_t rows = g->d->rows, at = 0;
    memset(g->left, 0, cczi_sb_bitmap_size(rows));
    for (size_t i = 0; i < rows; i++)
        g->left[i / 8] |= (uint8_t)(g->steps.in[i] << i % 8);
    cczi_sb_msg_begin(&s->out, CCZI_SB_TREE, g->tree, 0);
    if (g->steps.in_len < rows)
        ccz_buf_put(&s->out, g->left, cczi_sb_bitmap_size(rows));
    ccz_rc rc = cczi_sb_send_all(s, err);
    while (rc == CCZ_OK && at < rows) {
        CCZ_AUTO(ccz_paillier_plain) p = NULL;
        CCZ_AUTO(ccz_paillier_vec) v = NULL;
        int64_t batch[CCZI_SB_BATCH];
        size_t len = 0;
        for (; at < rows && len < CCZI_SB_BATCH; at++)
            if (g->steps.in[at])
                batch[len++] = g->steps.packed[at];
        if (len == 0)
            break;
        rc = ccz_paillier_plain_i64(&p, g->pub, batch, len, g->steps.bits, NULL, err);
        ccz_wipe(batch, sizeof(batch));
        if (rc == CCZ_OK)
            rc = ccz_paillier_encrypt(&v, p, &enc, err);
        cczi_sb_msg_begin(&s->out, CCZI_SB_GRADIENTS, g->tree, 0);
        if (rc == CCZ_OK)
            rc = ccz_paillier_vec_write(&s->out, v, err);
        if (rc == CCZ_OK)
            rc = cczi_sb_send_all(s, err);
    }
    return rc;
}

static void apply_leaves(struct guest *g, uint32_t k)
{
    for (size_t n = 0; n < g->grow.tree.len; n++) {
        const struct cczi_sb_node *node = &g->grow.tree.node[n];
        for (size_t i = 0; node->party == CCZI_SB_NONE && i < node->len; i++)
            g->score[g->grow.row[node->from + i] * g->m->outputs + k] += node->weight;
    }
}

static ccz_rc one_tree(struct guest *g, const double *score, uint32_t k, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    g->splits = g->host_splits = 0;
    cczi_sb_steps_fill(&g->steps, g->tmp, score, g->d->y, g->d->rows, k,
                       ccz_seeded_from(g->sample_seed, g->tree), &s->cfg);
    ccz_rc rc = cczi_sb_grow_begin(&g->grow, err);
    if (rc == CCZ_OK && s->len > 0)
        rc = send_gradients(g, err);
    for (size_t n = 0; rc == CCZ_OK && n < g->grow.tree.len; n++)
        rc = grow_node(g, n, err);
    if (rc != CCZ_OK)
        return rc;
    apply_leaves(g, k);
    g->m->tree[g->m->trees++] = g->grow.tree;
    g->grow.tree = (struct cczi_sb_tree){0};
    return CCZ_OK;
}

static size_t score_size(const struct guest *g)
{
    return g->d->rows * cczi_sb_outputs(&g->s->cfg) * sizeof(double);
}

static ccz_rc save(struct guest *g, struct ccz_err *err)
{
    struct ccz_buf *b = &g->store.state;
    if (!cczi_sb_kept(&g->store))
        return CCZ_OK;
    ccz_buf_clear(b);
    ccz_buf_le64(b, g->sample_seed);
    cczi_sb_put_trees(b, g->m);
    ccz_buf_put(b, g->score, score_size(g));
    if (g->m->trees % g->m->outputs != 0)
        ccz_buf_put(b, g->before, score_size(g));
    return cczi_sb_store_save(&g->store, (uint32_t)g->m->trees, err);
}

static ccz_rc load(struct guest *g, uint32_t trees, struct ccz_err *err)
{
    ccz_rc rc = cczi_sb_store_load(&g->store, trees, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&g->store.state));
    g->sample_seed = ccz_rd_le64(&r);
    bool good = cczi_sb_take_trees(g->m, trees, &r);
    ccz_rd_copy(&r, g->score, score_size(g));
    if (trees % g->m->outputs != 0)
        ccz_rd_copy(&r, g->before, score_size(g));
    return good && ccz_rd_done(&r) ? CCZ_OK
                                   : ccz_fail(err, CCZ_E_FORMAT, "sboost:checkpoint", trees,
                                              "the state of tree %u is malformed", trees);
}

/* Hosts first: none of them is ever behind by more than the one state that they keep beside the last. */
static ccz_rc save_all(struct guest *g, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    cczi_sb_msg_begin(&s->out, CCZI_SB_SAVE, g->m->trees, 0);
    ccz_rc rc = cczi_sb_send_all(s, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        rc = cczi_sb_expect(s, i, CCZI_SB_SAVED, g->m->trees, 0, 0, err);
    return rc == CCZ_OK ? save(g, err) : rc;
}

static void tell(struct guest *g, struct ccz_sboost_progress *p, uint64_t sent, uint64_t received)
{
    struct cczi_sb_session *s = g->s;
    cczi_sb_count(&p->sent_size, &p->received_size, s);
    p->sent_size -= sent;
    p->received_size -= received;
    p->splits = g->splits;
    p->host_splits = g->host_splits;
    if (p->tree == g->m->outputs)
        p->loss = cczi_sb_mean_loss(g->score, g->d->y, g->d->rows, &s->cfg);
    s->run->on_tree(s->run->arg, p);
}

static ccz_rc all_trees(struct guest *g, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    uint32_t outputs = g->m->outputs, trees = s->cfg.rounds * outputs;
    ccz_rc rc = CCZ_OK;
    for (g->tree = (uint32_t)g->m->trees; rc == CCZ_OK && g->tree < trees; g->tree++) {
        uint32_t k = g->tree % outputs;
        struct ccz_sboost_progress p = {.round = g->tree / outputs + 1, .tree = k + 1, .loss = NAN};
        uint64_t sent, received;
        int64_t start_ns = ccz_mono_ns();
        cczi_sb_count(&sent, &received, s);
        if (k == 0)
            memcpy(g->before, g->score, score_size(g));
        rc = one_tree(g, g->before, k, err);
        if (rc == CCZ_OK)
            rc = save_all(g, err);
        p.took_ns = ccz_mono_ns() - start_ns;
        if (rc == CCZ_OK && s->run->on_tree)
            tell(g, &p, sent, received);
    }
    return rc;
}

/* --------------------------------------------------------------------------------- life cycle */

void ccz_sboost_model_free(struct ccz_sboost_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; m->tree && i < m->trees; i++)
        cczi_sb_tree_free(&m->tree[i]);
    free(m->tree);
    free(m->base);
    free(m);
}

size_t ccz_sboost_outputs(const struct ccz_sboost_model *m)
{
    return m->outputs;
}

static ccz_rc model_new(struct ccz_sboost_model **out, const struct cczi_sb_session *s,
                        const struct ccz_sboost_data *d, struct ccz_err *err)
{
    CCZ_AUTO(ccz_sboost_model) m = calloc(1, sizeof(*m));
    if (!m)
        return cczi_sb_no_memory(err);
    m->cfg = s->cfg;
    m->cols = d->cols;
    m->hosts = s->len;
    m->outputs = cczi_sb_outputs(&s->cfg);
    m->base = malloc(m->outputs * sizeof(*m->base));
    m->tree = calloc((size_t)s->cfg.rounds * m->outputs, sizeof(*m->tree));
    if (!m->base || !m->tree)
        return cczi_sb_no_memory(err);
    cczi_sb_base(m->base, d, &s->cfg);
    *out = ccz_sboost_model_take(&m);
    return CCZ_OK;
}

/* Hosts are asked for their numbers of columns in the greeting: memory for the most candidates of one. */
static ccz_rc guest_memory(struct guest *g, size_t most, struct ccz_err *err)
{
    size_t rows = g->d->rows;
    /* the tail of the last ciphertext: fewer than the bits of n */
    g->theirs_cap = most + CCZ_PAILLIER_BITS_MAX;
    g->score = malloc(rows * g->m->outputs * sizeof(*g->score));
    g->before = malloc(score_size(g));
    g->tmp = malloc(3 * rows * sizeof(*g->tmp));
    g->left = malloc(cczi_sb_bitmap_size(rows));
    g->own = malloc(g->s->cfg.bins * sizeof(*g->own));
    g->theirs = malloc(g->theirs_cap * sizeof(*g->theirs));
    if (!g->score || !g->before || !g->tmp || !g->left || !g->own || !g->theirs)
        return cczi_sb_no_memory(err);
    for (size_t i = 0; i < rows; i++)
        memcpy(g->score + i * g->m->outputs, g->m->base, g->m->outputs * sizeof(*g->score));
    return CCZ_OK;
}

static ccz_rc fresh(void *out, size_t size, const struct guest *g, struct ccz_err *err)
{
    const struct ccz_paillier_rng *rng = &g->s->run->rng;
    ccz_rc rc = rng->fill ? rng->fill(rng->arg, out, size) : ccz_random(out, size);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "sboost:random", 0, "no randomness");
}

/*
 * A run has a number, so that states of two runs are not taken for one. With a seed the same training has the same number each
 * time: hosts shuffle by it. Who does not have the seal cannot test guesses of labels by it.
 */
static ccz_rc begin_run(struct guest *g, struct ccz_err *err)
{
    uint8_t secret[32] = {0};
    const struct ccz_sboost_run *run = g->s->run;
    bool seeded = run->sample_seed != 0 && cczi_sb_kept(&g->store);
    ccz_rc rc = CCZ_OK;
    g->sample_seed = run->sample_seed;
    if (g->sample_seed == 0)
        rc = fresh(&g->sample_seed, sizeof(g->sample_seed), g, err);
    if (rc == CCZ_OK && seeded)
        rc = cczi_sb_store_secret(secret, &g->store, run, "cczoo sboost run", err);
    else if (rc == CCZ_OK)
        rc = fresh(secret, sizeof(g->store.have.run), g, err);
    memcpy(g->store.have.run, secret, sizeof(g->store.have.run));
    ccz_wipe(secret, sizeof(secret));
    return rc == CCZ_OK ? save(g, err) : rc;
}

/* The last trees that all have a state of. */
static ccz_rc agree(uint32_t *trees, const struct guest *g, struct ccz_err *err)
{
    const struct cczi_sb_states *mine = &g->store.have;
    bool found = false;
    *trees = 0;
    for (size_t i = 0; i < g->s->len; i++) {
        const struct cczi_sb_states *have = &g->s->have[i];
        if (have->len > 0 &&
            (mine->len == 0 || memcmp(have->run, mine->run, sizeof(mine->run)) != 0))
            return cczi_sb_no_resume(
                have->trees[0], "a host has a state of a run that the guest does not know", err);
    }
    for (uint32_t i = 0; i < mine->len || (i == 0 && mine->len == 0); i++) {
        bool all = true;
        for (size_t k = 0; k < g->s->len; k++)
            all &= cczi_sb_offers(&g->s->have[k], mine->trees[i]);
        if (all && (!found || mine->trees[i] > *trees))
            *trees = mine->trees[i];
        found |= all;
    }
    return found
               ? CCZ_OK
               : cczi_sb_no_resume(mine->trees[0], "no tree that all parties have a state of", err);
}

/* What is there of this run already, or nothing: a first state then, before any host has one. */
static ccz_rc begin(struct guest *g, struct ccz_err *err)
{
    uint32_t trees;
    ccz_rc rc = agree(&trees, g, err);
    if (rc == CCZ_OK)
        rc = g->store.have.len > 0 ? load(g, trees, err) : begin_run(g, err);
    return rc;
}

static ccz_rc send_start(struct guest *g, struct ccz_err *err)
{
    cczi_sb_msg_begin(&g->s->out, CCZI_SB_START, g->m->trees, 0);
    ccz_buf_put(&g->s->out, g->store.have.run, sizeof(g->store.have.run));
    return cczi_sb_send_all(g->s, err);
}

static ccz_rc send_key(struct guest *g, struct ccz_err *err)
{
    if (g->s->len == 0)
        return CCZ_OK;
    g->pub = ccz_paillier_key_pub(g->key);
    if (ccz_paillier_bits(g->pub) < 2048 && !g->s->run->key_1024_insecure)
        return ccz_refuse_num(err, CCZ_E_ARG, "sboost:config", ccz_paillier_bits(g->pub), 2048);
    cczi_sb_msg_begin(&g->s->out, CCZI_SB_KEY, 0, 0);
    ccz_paillier_pub_write(&g->s->out, g->pub);
    return cczi_sb_send_all(g->s, err);
}

static void guest_free(struct guest *g)
{
    size_t rows = g->d->rows;
    if (g->score)
        ccz_wipe(g->score, score_size(g));
    if (g->before)
        ccz_wipe(g->before, score_size(g));
    if (g->tmp)
        ccz_wipe(g->tmp, 3 * rows * sizeof(*g->tmp));
    if (g->steps.packed)
        ccz_wipe(g->steps.packed, rows * sizeof(*g->steps.packed));
    free(g->score);
    free(g->before);
    cczi_sb_store_close(&g->store);
    free(g->tmp);
    free(g->left);
    free(g->own);
    free(g->theirs);
    cczi_sb_bins_free(&g->bins);
    cczi_sb_steps_free(&g->steps);
    cczi_sb_grow_free(&g->grow);
    ccz_paillier_pub_free(g->pub);
    ccz_sboost_model_free(g->m);
}

static ccz_rc train(struct guest *g, struct ccz_err *err)
{
    struct cczi_sb_session *s = g->s;
    size_t most = 0;
    ccz_rc rc = cczi_sb_labels_check(g->d, &s->cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_bins_new(&g->bins, g->d, s->cfg.bins, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_steps_new(&g->steps, g->d->rows, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_store_open(&g->store, s, true, g->d, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_greet(s, true, g->d, &g->store.have, err);
    for (size_t i = 0; i < s->len; i++) {
        g->candidates[i] = s->cols[i] * (s->cfg.bins - 1);
        most = g->candidates[i] > most ? g->candidates[i] : most;
    }
    if (rc == CCZ_OK)
        rc = cczi_sb_grow_new(&g->grow, g->d->rows, err);
    if (rc == CCZ_OK)
        rc = model_new(&g->m, s, g->d, err);
    if (rc == CCZ_OK)
        rc = guest_memory(g, most, err);
    if (rc == CCZ_OK)
        rc = begin(g, err);
    if (rc == CCZ_OK)
        rc = send_key(g, err);
    if (rc == CCZ_OK)
        rc = send_start(g, err);
    if (rc == CCZ_OK)
        rc = all_trees(g, err);
    cczi_sb_msg_begin(&s->out, CCZI_SB_DONE, 0, 0);
    return rc == CCZ_OK ? cczi_sb_send_all(s, err) : rc;
}

ccz_rc ccz_sboost_guest(struct ccz_sboost_model **out, const struct ccz_paillier_key *key,
                        struct ccz_chan *const *hosts, size_t len,
                        const struct ccz_sboost_data *data, const struct ccz_sboost_run *run,
                        struct ccz_err *err)
{
    struct cczi_sb_session s;
    struct ccz_err e = {0};
    struct guest g = {.s = &s, .key = key, .d = data};
    *out = NULL;
    ccz_rc rc = cczi_sb_session_init(&s, run, hosts, len, &e);
    if (rc == CCZ_OK && (key != NULL) != (len > 0))
        rc = ccz_fail(&e, CCZ_E_ARG, "sboost:config", 0, "a key is for hosts, and hosts need one");
    if (rc == CCZ_OK)
        rc = train(&g, &e);
    if (rc == CCZ_OK) {
        *out = g.m;
        g.m = NULL;
    }
    guest_free(&g);
    return cczi_sb_session_end(&s, rc, &e, err);
}

ccz_rc ccz_sboost_guest_stored(struct ccz_sboost_model **out, size_t hosts,
                               const struct ccz_sboost_data *data, const struct ccz_sboost_run *run,
                               struct ccz_err *err)
{
    struct cczi_sb_session s = {.run = run, .len = hosts};
    struct guest g = {.s = &s, .d = data};
    *out = NULL;
    ccz_rc rc = cczi_sb_config(&s.cfg, run->cfg, err);
    if (rc != CCZ_OK)
        return rc;
    uint32_t trees = s.cfg.rounds * cczi_sb_outputs(&s.cfg);
    rc = cczi_sb_labels_check(data, &s.cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_sb_bins_new(&g.bins, data, s.cfg.bins, err); /* it checks the data */
    if (rc == CCZ_OK)
        rc = cczi_sb_store_open(&g.store, &s, true, data, err);
    if (rc == CCZ_OK &&
        (!cczi_sb_kept(&g.store) || g.store.have.len == 0 || !cczi_sb_offers(&g.store.have, trees)))
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "sboost:unfinished", trees,
                      "no state of tree %u, the last one", trees);
    if (rc == CCZ_OK)
        rc = model_new(&g.m, &s, data, err);
    if (rc == CCZ_OK)
        rc = guest_memory(&g, 0, err);
    if (rc == CCZ_OK)
        rc = load(&g, trees, err);
    if (rc == CCZ_OK) {
        *out = g.m;
        g.m = NULL;
    }
    guest_free(&g);
    return rc;
}
