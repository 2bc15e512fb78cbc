/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HETERO_RLWE: the protocol of HETERO_TWO (two.c) with BFV instead of Paillier. A round, both sides alike, each with a key of
 * its own that it made for this training:
 *   PARTS     own part of the residuals, B rows a ciphertext, under the own key      -> the other
 *   GRADIENT  sums of the other's part times own columns, masked and flooded         -> the other
 *   WINDOWS   the wanted coefficients of the other's sums, still masked              -> the other
 *
 * Inner products are coefficients of products of polynomials (Huang et al., Cheetah, USENIX Security 2022, section 4.1): rows
 * v_0 .. v_(B-1) of a block are sum v_i X^i, and C = n / B columns share one plaintext, sum_c sum_i x_(i,c) X^(cB + B-1-i). The
 * coefficient cB + B-1 of their product is sum_i v_i x_(i,c): terms of another column differ by at least B in the exponent, and
 * what wraps around X^n = -1 lands below B-1. All other coefficients are sums over different rows: they are masked, and
 * nobody asks for them. No rotations, no Galois keys. docs/design/fedlr.md has the bounds.
 */
#include "fedlr/fedlr_priv.h"

#include <cczoo/bfv.h>
#include <cczoo/crypto.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    X_FRACTION = 8, /* as with CCZ_FEDLR_PRODUCT: the same sums in both modes */
    X_INT_BITS = 3,
    DROP = CCZI_SHARE_FRACTION + X_FRACTION - CCZI_SUM_FRACTION, /* low bits that are kept back */
    BLOCK_MIN = 64,                                              /* rows of a block, at least */
    BLOCKS_MAX = CCZ_BFV_TERMS_MAX,
    CHUNK = 64,                   /* blocks that are held at a time, with their plaintexts */
    KEY_SIZE_MAX = 16 << 20,      /* of a message with a public key */
    CIPHERTEXT_SIZE_MAX = 4 << 20 /* of a message with a ciphertext */
};

/* How one party's rows meet the other's columns. Both know it from public numbers. */
struct shape {
    size_t block, blocks;   /* B; ciphertexts of parts */
    size_t columns, groups; /* C; ciphertexts of sums */
    size_t sums;
};

struct lattice {
    struct ccz_bfv *ctx;
    struct ccz_bfv_eval *eval;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *peer;
    struct ccz_bfv_pt *pt[CHUNK]; /* own columns; the first one for other things, too */
    struct ccz_bfv_ct *in[CHUNK]; /* the other's parts */
    struct ccz_bfv_ct *ct;        /* one that is made, sent, received or decrypted */
    struct ccz_bfv_ct **sum;      /* [sums_len] of this round */
    size_t sums_len;
    uint64_t *words;   /* [n] coefficients */
    uint64_t *masks;   /* of the own sums: what the wanted coefficients were masked with */
    uint64_t *windows; /* of the other's sums: what it gets */
    size_t own_sums, peer_sums;
    size_t n, limbs, return_limbs;
    unsigned plain_bits;
};

/* ------------------------------------------------------------------------------- parameters */

/* |residual| < 2^value_bits, |feature| < 2^x_bits, and their sums over all rows with a sign and a bit to spare. */
static ccz_rc plan(struct ccz_bfv_plan *out, size_t rows, struct ccz_err *err)
{
    unsigned value_bits = CCZI_SHARE_FRACTION + cczi_fl_log2_up(2 * CCZI_SHARE_CLIP + 1);
    size_t terms = (rows + BLOCK_MIN - 1) / BLOCK_MIN;
    const struct ccz_bfv_goal goal = {.plain_bits = value_bits + X_FRACTION + X_INT_BITS +
                                                    cczi_fl_log2_up(rows + 1) + 2,
                                      .multiply = true,
                                      .max_factor = ldexp(1, X_FRACTION + X_INT_BITS),
                                      .terms = terms < BLOCKS_MAX ? terms : BLOCKS_MAX,
                                      .flood_bits = CCZI_HIDING_BITS};
    if (goal.plain_bits > 64)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fedlr:layout", goal.plain_bits, 64);
    return ccz_bfv_plan(out, &goal, err);
}

/* The block size with the fewest residues on the way. Public numbers alone: both sides come to the same. */
static struct shape shape_of(const struct lattice *l, size_t rows, size_t sums)
{
    struct shape best = {0};
    size_t least = SIZE_MAX;
    for (size_t block = BLOCK_MIN; block <= l->n; block *= 2) {
        struct shape s = {.block = block, .columns = l->n / block, .sums = sums};
        s.blocks = (rows + block - 1) / block;
        s.groups = (sums + s.columns - 1) / s.columns;
        /* half of a fresh ciphertext is a seed */
        size_t cost = s.blocks * l->limbs + s.groups * 2 * l->return_limbs;
        if (cost < least && s.blocks <= BLOCKS_MAX) {
            least = cost;
            best = s;
        }
    }
    return best;
}

/* ------------------------------------------------------------------------------- life cycle */

static void lattice_free(struct lattice *l)
{
    for (size_t k = 0; k < CHUNK; k++) {
        ccz_bfv_pt_free(l->pt[k]);
        ccz_bfv_ct_free(l->in[k]);
    }
    for (size_t g = 0; l->sum && g < l->sums_len; g++)
        ccz_bfv_ct_free(l->sum[g]);
    free(l->sum);
    ccz_bfv_ct_free(l->ct);
    cczi_fl_drop(l->words, l->n, sizeof(*l->words));
    cczi_fl_drop(l->masks, l->own_sums, sizeof(*l->masks));
    cczi_fl_drop(l->windows, l->peer_sums, sizeof(*l->windows));
    ccz_rlwe_pk_free(l->peer);
    ccz_rlwe_sk_free(l->sk);
    ccz_bfv_eval_free(l->eval);
    ccz_bfv_free(l->ctx);
    *l = (struct lattice){0};
}

static ccz_rc make_memory(struct lattice *l, struct ccz_err *err)
{
    ccz_rc rc = ccz_bfv_ct_new(&l->ct, l->ctx, err);
    for (size_t k = 0; rc == CCZ_OK && k < CHUNK; k++) {
        rc = ccz_bfv_pt_new(&l->pt[k], l->ctx, err);
        if (rc == CCZ_OK)
            rc = ccz_bfv_ct_new(&l->in[k], l->ctx, err);
    }
    l->sum = cczi_fl_zeros(l->sums_len, sizeof(struct ccz_bfv_ct *));
    l->words = cczi_fl_zeros(l->n, sizeof(*l->words));
    l->masks = cczi_fl_zeros(l->own_sums, sizeof(*l->masks));
    l->windows = cczi_fl_zeros(l->peer_sums, sizeof(*l->windows));
    if (rc == CCZ_OK && (!l->sum || !l->words || !l->masks || !l->windows))
        rc = cczi_fl_no_memory(err);
    for (size_t g = 0; rc == CCZ_OK && g < l->sums_len; g++)
        rc = ccz_bfv_ct_new(&l->sum[g], l->ctx, err);
    return rc;
}

/* @param rows of the largest batch */
static ccz_rc lattice_init(struct lattice *l, const struct cczi_fl_session *s, size_t rows,
                           size_t own_sums, size_t peer_sums, struct ccz_err *err)
{
    struct ccz_bfv_plan p;
    const struct ccz_rlwe_work_cfg work = {.threads = s->run->threads,
                                           .rng = {s->run->rng.fill, s->run->rng.arg}};
    *l = (struct lattice){.own_sums = own_sums, .peer_sums = peer_sums};
    ccz_rc rc = plan(&p, rows, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_new(&l->ctx, &p.cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_eval_new(&l->eval, l->ctx, &work, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_sk_new(&l->sk, ccz_bfv_eval_work(l->eval), err);
    if (rc != CCZ_OK)
        return rc;
    l->plain_bits = p.cfg.plain_bits;
    l->return_limbs = p.return_limbs;
    l->n = ccz_rlwe_n(ccz_bfv_ring(l->ctx));
    l->limbs = ccz_rlwe_data_len(ccz_bfv_ring(l->ctx));
    l->sums_len = own_sums; /* groups of one column, at most */
    return make_memory(l, err);
}

/* ----------------------------------------------------------------------------------- messages */

/* Public keys; nothing vouches for them but the channel. */
static ccz_rc exchange_keys(struct lattice *l, struct cczi_fl_session *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_pk) own = NULL;
    struct ccz_span body;
    ccz_rc rc = ccz_rlwe_pk_new(&own, ccz_bfv_eval_work(l->eval), l->sk, err);
    cczi_fl_msg_begin(&s->out, CCZI_MSG_KEY, 0);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_pk_write(&s->out, own, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send(s, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_body(&body, s, 0, CCZI_MSG_KEY, 0, KEY_SIZE_MAX, err);
    return rc == CCZ_OK ? ccz_rlwe_pk_read(&l->peer, ccz_bfv_eval_work(l->eval), body, NULL, err)
                        : rc;
}

static ccz_rc send_ct(struct lattice *l, struct cczi_fl_session *s, enum cczi_fl_msg_kind kind,
                      uint64_t round, struct ccz_err *err)
{
    cczi_fl_msg_begin(&s->out, kind, round);
    ccz_rc rc = ccz_bfv_ct_write(&s->out, l->ct, err);
    return rc == CCZ_OK ? cczi_fl_send(s, 0, err) : rc;
}

/* -------------------------------------------------------------------------------------- parts */

/* Rows of block @p k, encrypted and sent. */
static ccz_rc send_part(struct lattice *l, struct cczi_fl_session *s, uint64_t round,
                        const int64_t *v, size_t rows, const struct shape *shape, size_t k,
                        struct ccz_err *err)
{
    size_t from = k * shape->block, some = rows - from;
    some = some < shape->block ? some : shape->block;
    uint64_t mask = UINT64_MAX >> (64 - l->plain_bits);
    for (size_t i = 0; i < some; i++)
        l->words[i] = (uint64_t)v[from + i] & mask;
    ccz_rc rc = ccz_bfv_encode_coeff(l->pt[0], l->words, some, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_encrypt_sk(l->ct, l->eval, l->sk, l->pt[0], 0, err);
    return rc == CCZ_OK ? send_ct(l, s, CCZI_MSG_PARTS, round, err) : rc;
}

static ccz_rc recv_part(struct lattice *l, struct cczi_fl_session *s, uint64_t round, size_t k,
                        struct ccz_err *err)
{
    struct ccz_span body;
    ccz_rc rc = cczi_fl_recv_body(&body, s, 0, CCZI_MSG_PARTS, round, CIPHERTEXT_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_read_fresh(l->in[k % CHUNK], l->eval, body, ccz_rlwe_pk_id(l->peer), err);
    if (rc == CCZ_OK && l->in[k % CHUNK]->ct.limbs != l->limbs)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)l->in[k % CHUNK]->ct.limbs,
                            (int64_t)l->limbs);
    return rc;
}

/* ----------------------------------------------------------------------------------- products */

/* Columns of group @p g at the rows of block @p k. */
static ccz_rc prepare_columns(struct lattice *l, struct ccz_bfv_pt *pt,
                              const struct cczi_fl_side *side, struct cczi_fl_batch b,
                              const struct shape *shape, size_t g, size_t k, struct ccz_err *err)
{
    size_t from = k * shape->block, some = b.len - from, block = shape->block;
    some = some < block ? some : block;
    uint64_t mask = UINT64_MAX >> (64 - l->plain_bits);
    memset(l->words, 0, l->n * sizeof(*l->words));
    for (size_t c = 0; c < shape->columns && g * shape->columns + c < shape->sums; c++)
        for (size_t i = 0; i < some; i++)
            l->words[c * block + block - 1 - i] =
                (uint64_t)cczi_fl_entry(side, b.index[from + i], g * shape->columns + c,
                                        X_FRACTION) &
                mask;
    ccz_rc rc = ccz_bfv_encode_coeff(pt, l->words, l->n, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pt_declare(pt, ldexp(1, X_FRACTION + X_INT_BITS), l->n, err);
    return rc == CCZ_OK ? ccz_bfv_pt_prepare(pt, l->eval, 0, err) : rc;
}

/* Adds the products with blocks first .. first + len, which lie in l->in, to the sums. */
static ccz_rc add_blocks(struct lattice *l, const struct cczi_fl_side *side, struct cczi_fl_batch b,
                         const struct shape *shape, size_t first, size_t len, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t g = 0; rc == CCZ_OK && g < shape->groups; g++) {
        for (size_t k = 0; rc == CCZ_OK && k < len; k++)
            rc = prepare_columns(l, l->pt[k], side, b, shape, g, first + k, err);
        struct ccz_bfv_ct *out = first == 0 ? l->sum[g] : l->ct;
        if (rc == CCZ_OK)
            rc = ccz_bfv_dot_plain(out, l->eval, (const struct ccz_bfv_ct *const *)l->in,
                                   (const struct ccz_bfv_pt *const *)l->pt, len, err);
        if (rc == CCZ_OK && first > 0)
            rc = ccz_bfv_add(l->sum[g], l->eval, l->sum[g], l->ct, err);
    }
    return rc;
}

/* Own parts to the other, the other's parts times own columns to l->sum. One message each way at a time: neither side waits for
 * a peer that waits for it. */
static ccz_rc parts(struct lattice *l, struct cczi_fl_trainer *t, struct cczi_fl_batch b,
                    const struct shape *mine, const struct shape *theirs, struct ccz_err *err)
{
    uint64_t r = t->h.now.round;
    size_t turns = mine->blocks > theirs->blocks ? mine->blocks : theirs->blocks;
    ccz_rc rc = CCZ_OK;
    for (size_t k = 0; rc == CCZ_OK && k < turns; k++) {
        if (k < mine->blocks)
            rc = send_part(l, t->s, r, t->shares, b.len, mine, k, err);
        if (rc == CCZ_OK && k < theirs->blocks)
            rc = recv_part(l, t->s, r, k, err);
        size_t in_chunk = k % CHUNK + 1;
        bool last = k + 1 == theirs->blocks;
        if (rc == CCZ_OK && k < theirs->blocks && (in_chunk == CHUNK || last))
            rc = add_blocks(l, &t->side, b, theirs, k + 1 - in_chunk, in_chunk, err);
    }
    return rc;
}

/* --------------------------------------------------------------------------------------- sums */

/* Group @p g of the own sums leaves: every coefficient masked, the noise drowned. */
static ccz_rc send_sums(struct lattice *l, struct cczi_fl_session *s, uint64_t round,
                        const struct shape *shape, size_t g, struct ccz_err *err)
{
    const struct ccz_paillier_rng *rng = &s->run->rng;
    size_t size = l->n * sizeof(*l->words);
    uint64_t mask = UINT64_MAX >> (64 - l->plain_bits);
    ccz_rc rc = rng->fill ? rng->fill(rng->arg, l->words, size) : ccz_random(l->words, size);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "fedlr:random", 0, "no randomness");
    for (size_t i = 0; i < l->n; i++)
        l->words[i] &= mask;
    for (size_t c = 0; c < shape->columns && g * shape->columns + c < shape->sums; c++)
        l->masks[g * shape->columns + c] = l->words[c * shape->block + shape->block - 1];
    rc = ccz_bfv_encode_coeff(l->pt[0], l->words, l->n, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_flood(l->ct, l->eval, l->sum[g], l->pt[0], l->peer, CCZI_HIDING_BITS, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_mod_switch(l->ct, l->eval, l->ct, l->return_limbs, err);
    return rc == CCZ_OK ? send_ct(l, s, CCZI_MSG_GRADIENT, round, err) : rc;
}

/* Group @p g of the other's sums: the wanted coefficients, without their low bits. */
static ccz_rc recv_sums(struct lattice *l, struct cczi_fl_session *s, uint64_t round,
                        const struct shape *shape, size_t g, struct ccz_err *err)
{
    struct ccz_span body;
    ccz_rc rc = cczi_fl_recv_body(&body, s, 0, CCZI_MSG_GRADIENT, round, CIPHERTEXT_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_read(l->ct, l->eval, body, ccz_rlwe_sk_id(l->sk), err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_decrypt(l->pt[0], l->eval, l->sk, l->ct, err);
    for (size_t c = 0; rc == CCZ_OK && c < shape->columns && g * shape->columns + c < shape->sums;
         c++)
        l->windows[g * shape->columns + c] =
            l->pt[0]->m[c * shape->block + shape->block - 1] >> DROP;
    return rc;
}

/* The sum behind a window, in steps of 2^-14, off by less than one step. */
static double unmask(const struct lattice *l, uint64_t window, uint64_t mask)
{
    unsigned unused = 64 - (l->plain_bits - DROP);
    uint64_t diff = (window - (mask >> DROP)) << unused; /* its sign bit to the top */
    return ldexp((double)((int64_t)diff / ((int64_t)1 << unused)), -CCZI_SUM_FRACTION);
}

static ccz_rc sums(struct lattice *l, struct cczi_fl_trainer *t, const struct shape *mine,
                   const struct shape *theirs, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    uint64_t r = t->h.now.round;
    size_t turns = mine->groups > theirs->groups ? mine->groups : theirs->groups;
    ccz_rc rc = CCZ_OK;
    for (size_t g = 0; rc == CCZ_OK && g < turns; g++) {
        if (g < theirs->groups) /* their rows, own columns */
            rc = send_sums(l, s, r, theirs, g, err);
        if (rc == CCZ_OK && g < mine->groups)
            rc = recv_sums(l, s, r, mine, g, err);
    }
    cczi_fl_msg_begin(&s->out, CCZI_MSG_WINDOWS, r);
    for (size_t j = 0; j < mine->sums; j++)
        ccz_buf_le64(&s->out, l->windows[j]);
    if (rc == CCZ_OK)
        rc = cczi_fl_send(s, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_values(s, 0, CCZI_MSG_WINDOWS, r, theirs->sums, err);
    for (size_t j = 0; rc == CCZ_OK && j < theirs->sums; j++)
        t->sums[j] += unmask(l, cczi_fl_msg_window(&s->msg, j), l->masks[j]);
    return rc;
}

/* --------------------------------------------------------------------------------------- round */

static ccz_rc lattice_round(struct cczi_fl_trainer *t, struct lattice *l, struct ccz_err *err)
{
    struct cczi_fl_batch b = cczi_fl_trainer_batch(t);
    const struct cczi_fl_layout plain = {.x_fraction = X_FRACTION};
    const struct shape mine = shape_of(l, b.len, l->peer_sums);
    const struct shape theirs = shape_of(l, b.len, l->own_sums);
    cczi_fl_round_begin(t->s);
    cczi_fl_shares(t->shares, &t->side, t->h.now.v, b);
    ccz_rc rc = parts(l, t, b, &mine, &theirs, err);
    cczi_fl_plain_sums(t->sums, t->shares, &t->side, b, &plain);
    if (rc == CCZ_OK)
        rc = sums(l, t, &mine, &theirs, err);
    return rc == CCZ_OK ? cczi_fl_two_end(t, b.len, err) : rc;
}

ccz_rc cczi_fl_train_lattice(struct cczi_fl_trainer *t, struct ccz_err *err)
{
    const struct ccz_fedlr_cfg *cfg = t->s->run->cfg;
    struct cczi_fl_hello theirs;
    struct lattice l = {0};
    size_t rows = t->side.t->rows, largest = rows;
    largest = cfg->batch_rows > 0 && cfg->batch_rows < rows ? cfg->batch_rows : rows;
    ccz_rc rc = cczi_fl_two_agree(&theirs, t, err);
    size_t peer_sums = rc == CCZ_OK ? cczi_fl_sums_of(&theirs) : 0;
    if (rc == CCZ_OK)
        rc = cczi_fl_enough_rows(t->s->run, rows, peer_sums, err);
    if (rc == CCZ_OK)
        rc = lattice_init(&l, t->s, largest, t->side.sums, peer_sums, err);
    if (rc == CCZ_OK)
        rc = exchange_keys(&l, t->s, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_two_resume(t, &theirs, err);
    while (rc == CCZ_OK && cczi_fl_trainer_wants_more(t))
        rc = lattice_round(t, &l, err);
    lattice_free(&l);
    return rc;
}
