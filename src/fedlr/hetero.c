/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HETERO. A round, one mini-batch (with CCZ_FEDLR_SQUARED: y / 4 in place of y' / 2):
 *   host   PARTS      w x / 4 of each row, packed and encrypted          -> guest
 *   guest  RESIDUALS  their sum plus its own part minus y' / 2           -> hosts
 *   each   GRADIENT   sums of residuals times its columns, masked        -> arbiter
 *   arbiter WINDOWS   the wanted slot of them, still masked              -> each
 * and when an epoch ends, the loss: log 2 - 1/2 + 2 mean d^2 = log(1 + exp(-y' u)) to second order, d the residual. The sum
 * of d^2 is a sum of w g / 4 over the parties minus the guest's sum of d y' / 2, so that every party has its part of it:
 *   host   LOSS       its part, encrypted -> guest, which adds its own   -> arbiter, which answers
 *   GO     1 or 0                                                        -> guest -> hosts
 */
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS_BITS = 62, LOSS_FRACTION = 16, LABEL_MAX = 8 };
#define LOG_2 0.69314718055994530942

/* ---------------------------------------------------------------------------------- trainer */

uint64_t cczi_fl_trainer_rounds(const struct cczi_fl_trainer *t)
{
    return (uint64_t)t->s->run->cfg->rounds * t->batches;
}

struct cczi_fl_batch cczi_fl_trainer_batch(struct cczi_fl_trainer *t)
{
    uint64_t r = t->h.now.round, epoch = r / t->batches;
    if (t->order_epoch != epoch) {
        cczi_fl_order(t->order, t->side.t->rows, t->s->run->cfg, epoch);
        t->order_epoch = epoch;
    }
    return cczi_fl_batch_of(t->order, t->side.t->rows, t->s->run->cfg, (size_t)(r % t->batches));
}

bool cczi_fl_trainer_epoch_ends(const struct cczi_fl_trainer *t)
{
    return (t->h.now.round + 1) % t->batches == 0;
}

void cczi_fl_trainer_step(struct cczi_fl_trainer *t, size_t rows)
{
    const struct ccz_fedlr_cfg *cfg = t->s->run->cfg;
    size_t d = t->d, first = t->side.guest ? 0 : 1; /* a host's intercept stays 0 */
    bool begins = t->h.now.round % t->batches == 0;
    double eta = cczi_fl_eta(cfg, t->h.now.round / t->batches);
    double *w = t->v, *velocity = t->v + d, *more = t->v + 2 * d;
    bool squared = cfg->loss == CCZ_FEDLR_SQUARED;
    double scale = squared ? 4 : 1; /* d is a quarter of u - y */
    memcpy(t->v, t->h.now.v, (2 * d + CCZI_STATE_MORE) * sizeof(*t->v));
    if (begins)
        more[CCZI_LOSS_PART] = more[CCZI_CHANGE] = 0;
    for (size_t j = first; j < d; j++) {
        double sum = t->sums[j - first], was = w[j]; /* of d x */
        more[CCZI_LOSS_PART] += w[j] * sum / 4;
        velocity[j] =
            cfg->momentum * velocity[j] + scale * sum / (double)rows + (j ? cfg->l2 * w[j] : 0);
        w[j] -= eta * velocity[j];
        if (j > 0)
            w[j] = cczi_fl_shrink(w[j], eta * cfg->l1);
        more[CCZI_CHANGE] = fmax(more[CCZI_CHANGE], fabs(w[j] - was));
    }
    if (t->side.guest)
        more[CCZI_LOSS_PART] -= t->sums[d] / (squared ? 4 : 2); /* sum of d y, of d y' */
}

static ccz_rc trainer_init(struct cczi_fl_trainer *t, struct cczi_fl_session *s,
                           const struct ccz_fedlr_table *table, bool guest, struct ccz_err *err)
{
    size_t d = table->cols + 1, len = 2 * d + CCZI_STATE_MORE;
    *t = (struct cczi_fl_trainer){.s = s,
                                  .side = cczi_fl_side_of(table, guest, s->run->cfg->loss),
                                  .d = d,
                                  .order_epoch = UINT64_MAX};
    t->batches = cczi_fl_batches(table->rows, s->run->cfg);
    t->order = cczi_fl_zeros(table->rows, sizeof(*t->order));
    t->v = cczi_fl_zeros(len, sizeof(*t->v));
    t->sums = cczi_fl_zeros(t->side.sums, sizeof(*t->sums));
    t->shares = cczi_fl_zeros(table->rows, sizeof(*t->shares));
    if (!t->order || !t->v || !t->sums || !t->shares)
        return cczi_fl_no_memory(err);
    ccz_rc rc = cczi_fl_history_new(&t->h, len, err);
    return rc == CCZ_OK ? cczi_fl_history_load(&t->h, s->role, s->run, err) : rc;
}

ccz_rc cczi_fl_trainer_prepare(struct cczi_fl_trainer *t, unsigned n_bits, unsigned peer_bits,
                               struct ccz_err *err)
{
    const struct ccz_fedlr_cfg *cfg = t->s->run->cfg;
    size_t rows = t->side.t->rows;
    rows = cfg->batch_rows > 0 && cfg->batch_rows < rows ? cfg->batch_rows : rows;
    ccz_rc rc = cczi_fl_layout_of(&t->layout, n_bits, rows, cfg->parties, cfg->optimize, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_layout_of(&t->peer_layout, peer_bits, rows, cfg->parties, cfg->optimize, err);
    if (rc != CCZ_OK)
        return rc;
    t->masks = cczi_fl_zeros(t->side.sums, t->peer_layout.n_size);
    return t->masks ? CCZ_OK : cczi_fl_no_memory(err);
}

static void trainer_deinit(struct cczi_fl_trainer *t)
{
    cczi_fl_history_free(&t->h);
    if (t->v)
        ccz_wipe(t->v, (2 * t->d + CCZI_STATE_MORE) * sizeof(*t->v));
    if (t->shares)
        ccz_wipe(t->shares, t->side.t->rows * sizeof(*t->shares));
    if (t->masks)
        ccz_wipe(t->masks, t->side.sums * t->peer_layout.n_size);
    free(t->order);
    free(t->v);
    free(t->sums);
    free(t->shares);
    free(t->masks);
}

static ccz_rc trainer_model(struct ccz_fedlr_model **out, const struct cczi_fl_trainer *t,
                            struct ccz_err *err)
{
    ccz_rc rc = cczi_fl_model_new(out, t->d, err);
    if (rc == CCZ_OK) {
        memcpy((*out)->w, t->h.now.v, t->d * sizeof(double));
        (*out)->rounds = t->h.now.round;
        (*out)->loss = t->s->run->cfg->loss;
        (*out)->converged = t->h.now.v[2 * t->d + CCZI_CONVERGED] != 0;
    }
    return rc;
}

/* Gradients go to the arbiter, which is the last link of the session. */
static ccz_rc ask_arbiter(struct cczi_fl_trainer *t, const struct ccz_paillier_vec *residuals,
                          struct cczi_fl_batch b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) products = NULL;
    struct cczi_fl_session *s = t->s;
    uint64_t r = t->h.now.round;
    memset(t->sums, 0, t->side.sums * sizeof(*t->sums));
    ccz_rc rc =
        cczi_fl_products(&products, t->masks, residuals, s->pub, &t->side, b, &t->layout, s, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, s->len - 1, CCZI_MSG_GRADIENT, r, products, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_sums(t->sums, t->side.sums, s, s->len - 1, r, t->masks, &t->layout, err);
    if (rc == CCZ_OK)
        cczi_fl_trainer_step(t, b.len);
    return rc;
}

static ccz_rc plain_loss(struct ccz_paillier_plain **out, const struct cczi_fl_trainer *t,
                         struct ccz_err *err)
{
    double part = t->v[2 * t->d + CCZI_LOSS_PART];
    int64_t fixed = cczi_fl_fixed(part, LOSS_FRACTION, ldexp(1, LOSS_BITS - 1 - LOSS_FRACTION));
    return ccz_paillier_plain_i64(out, t->s->pub, &fixed, 1, LOSS_BITS, NULL, err);
}

static ccz_rc finish_round(struct cczi_fl_trainer *t, struct ccz_err *err)
{
    ccz_rc rc = cczi_fl_history_push(&t->h, t->v, t->s->role, t->s->run, err);
    if (rc == CCZ_OK)
        cczi_fl_round_end(t->s, t->h.now.round, cczi_fl_trainer_rounds(t), NAN, t->h.now.v, t->d);
    return rc;
}

bool cczi_fl_trainer_wants_more(const struct cczi_fl_trainer *t)
{
    return t->h.now.round < cczi_fl_trainer_rounds(t) && t->h.now.v[2 * t->d + CCZI_CONVERGED] == 0;
}

/* ------------------------------------------------------------------------------------ guest */

static ccz_rc guest_residuals(struct ccz_paillier_vec **out, struct cczi_fl_trainer *t,
                              size_t hosts, struct cczi_fl_batch b, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    CCZ_AUTO(ccz_paillier_plain) own = NULL;
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    uint64_t r = t->h.now.round;
    cczi_fl_shares(t->shares, &t->side, t->h.now.v, b);
    ccz_rc rc = cczi_fl_packed(&own, s->pub, t->shares, b.len, &t->layout, err);
    for (size_t i = 0; rc == CCZ_OK && i < hosts; i++) {
        CCZ_AUTO(ccz_paillier_vec) v = NULL;
        rc = cczi_fl_recv_vec(&v, s, i, CCZI_MSG_PARTS, r, s->pub,
                              cczi_fl_ciphertexts(b, &t->layout), err);
        if (rc == CCZ_OK && sum)
            rc = ccz_paillier_add(sum, v, err);
        else if (rc == CCZ_OK)
            sum = ccz_paillier_vec_take(&v);
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_add_plain(sum, own, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_randomise(sum, &enc, err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_vec_take(&sum);
    return rc;
}

/* The loss of the epoch: all parts added up, for the arbiter to judge. */
static ccz_rc guest_loss(bool *go, struct cczi_fl_trainer *t, size_t hosts, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    CCZ_AUTO(ccz_paillier_plain) own = NULL;
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    uint64_t r = t->h.now.round;
    ccz_rc rc = plain_loss(&own, t, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&sum, own, &enc, err);
    for (size_t i = 0; rc == CCZ_OK && i < hosts; i++) {
        CCZ_AUTO(ccz_paillier_vec) v = NULL;
        rc = cczi_fl_recv_vec(&v, s, i, CCZI_MSG_LOSS, r, s->pub, 1, err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_add(sum, v, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, hosts, CCZI_MSG_LOSS, r, sum, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_go(go, s, hosts, r, err);
    for (size_t i = 0; rc == CCZ_OK && i < hosts; i++)
        rc = cczi_fl_send_go(s, i, r, *go, err);
    return rc;
}

static ccz_rc guest_round(struct cczi_fl_trainer *t, size_t hosts, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    CCZ_AUTO(ccz_paillier_vec) residuals = NULL;
    struct cczi_fl_batch b = cczi_fl_trainer_batch(t);
    cczi_fl_round_begin(s);
    ccz_rc rc = guest_residuals(&residuals, t, hosts, b, err);
    for (size_t i = 0; rc == CCZ_OK && i < hosts; i++)
        rc = cczi_fl_send_vec(s, i, CCZI_MSG_RESIDUALS, t->h.now.round, residuals, err);
    if (rc == CCZ_OK)
        rc = ask_arbiter(t, residuals, b, err);
    bool go = true;
    if (rc == CCZ_OK && cczi_fl_trainer_epoch_ends(t))
        rc = guest_loss(&go, t, hosts, err);
    t->v[2 * t->d + CCZI_CONVERGED] = !go;
    return rc == CCZ_OK ? finish_round(t, err) : rc;
}

/* Roles, rows and ids of the others; the round to begin with is the last one that all have. */
static ccz_rc guest_agree(struct cczi_fl_trainer *t, const struct cczi_fl_hello *mine,
                          const struct cczi_fl_hello *theirs, size_t hosts, struct ccz_err *err)
{
    uint64_t latest = mine->round;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < hosts; i++) {
        rc = cczi_fl_expect_role(&theirs[i], CCZI_ROLE_HOST, err);
        if (rc == CCZ_OK && theirs[i].rows != mine->rows)
            rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:alignment", (int64_t)theirs[i].rows,
                                (int64_t)mine->rows);
        if (rc == CCZ_OK && memcmp(theirs[i].ids, mine->ids, sizeof(mine->ids)) != 0)
            rc = ccz_hint(err,
                          ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:alignment", theirs[i].ids,
                                           sizeof(mine->ids), mine->ids, sizeof(mine->ids)),
                          "guest and hosts need the same rows in the same order");
        latest = theirs[i].round < latest ? theirs[i].round : latest;
    }
    /* an end by convergence is stored; the arbiter, who stores nothing, is told that all rounds are done */
    bool ended = latest == t->h.now.round && t->h.now.v[2 * t->d + CCZI_CONVERGED] != 0;
    for (size_t i = 0; rc == CCZ_OK && i < t->s->len; i++)
        rc = cczi_fl_send_start(t->s, i, ended && i == hosts ? cczi_fl_trainer_rounds(t) : latest,
                                mine->rows, err);
    return rc == CCZ_OK ? cczi_fl_history_back(&t->h, latest, err) : rc;
}

static ccz_rc use_arbiters_key(struct cczi_fl_trainer *t, struct ccz_err *err)
{
    struct ccz_paillier_pub *pub;
    ccz_rc rc = cczi_fl_recv_key(&pub, t->s, t->s->len - 1, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_use_key(t->s, pub, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_trainer_prepare(t, ccz_paillier_bits(t->s->pub), ccz_paillier_bits(t->s->pub),
                                     err);
    return rc;
}

static ccz_rc guest_train(struct cczi_fl_trainer *t, size_t hosts, struct ccz_err *err)
{
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX], mine = cczi_fl_hello_of(&t->h, t->side.t);
    ccz_rc rc = cczi_fl_greet(theirs, t->s, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(&theirs[hosts], CCZI_ROLE_ARBITER, err);
    if (rc == CCZ_OK)
        rc = use_arbiters_key(t, err);
    if (rc == CCZ_OK)
        rc = guest_agree(t, &mine, theirs, hosts, err);
    while (rc == CCZ_OK && cczi_fl_trainer_wants_more(t))
        rc = guest_round(t, hosts, err);
    return rc;
}

/* ------------------------------------------------------------------------------------- host */

static ccz_rc host_loss(bool *go, struct cczi_fl_trainer *t, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) own = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(t->s);
    ccz_rc rc = plain_loss(&own, t, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&v, own, &enc, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(t->s, 0, CCZI_MSG_LOSS, t->h.now.round, v, err);
    return rc == CCZ_OK ? cczi_fl_recv_go(go, t->s, 0, t->h.now.round, err) : rc;
}

static ccz_rc host_round(struct cczi_fl_trainer *t, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    CCZ_AUTO(ccz_paillier_plain) own = NULL;
    CCZ_AUTO(ccz_paillier_vec) parts = NULL;
    CCZ_AUTO(ccz_paillier_vec) residuals = NULL;
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    uint64_t r = t->h.now.round;
    struct cczi_fl_batch b = cczi_fl_trainer_batch(t);
    cczi_fl_round_begin(s);
    cczi_fl_shares(t->shares, &t->side, t->h.now.v, b);
    ccz_rc rc = cczi_fl_packed(&own, s->pub, t->shares, b.len, &t->layout, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&parts, own, &enc, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, 0, CCZI_MSG_PARTS, r, parts, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_vec(&residuals, s, 0, CCZI_MSG_RESIDUALS, r, s->pub,
                              cczi_fl_ciphertexts(b, &t->layout), err);
    if (rc == CCZ_OK)
        rc = ask_arbiter(t, residuals, b, err);
    bool go = true;
    if (rc == CCZ_OK && cczi_fl_trainer_epoch_ends(t))
        rc = host_loss(&go, t, err);
    t->v[2 * t->d + CCZI_CONVERGED] = !go;
    return rc == CCZ_OK ? finish_round(t, err) : rc;
}

static ccz_rc host_train(struct cczi_fl_trainer *t, struct ccz_err *err)
{
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX], mine = cczi_fl_hello_of(&t->h, t->side.t);
    ccz_rc rc = cczi_fl_greet(theirs, t->s, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(&theirs[0], CCZI_ROLE_GUEST, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(&theirs[1], CCZI_ROLE_ARBITER, err);
    if (rc == CCZ_OK)
        rc = use_arbiters_key(t, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv(t->s, 0, CCZI_MSG_START, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_history_back(&t->h, t->s->msg.start.round, err);
    while (rc == CCZ_OK && cczi_fl_trainer_wants_more(t))
        rc = host_round(t, err);
    return rc;
}

/* ------------------------------------------------------------------------------ entry points */

static ccz_rc check_labels(const struct ccz_fedlr_table *t, enum ccz_fedlr_loss loss,
                           struct ccz_err *err)
{
    for (size_t i = 0; i < t->rows; i++) {
        bool good =
            loss == CCZ_FEDLR_SQUARED ? fabs(t->y[i]) <= LABEL_MAX : t->y[i] == 0 || t->y[i] == 1;
        if (!good)
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_ARG, "fedlr:labels", (int64_t)i,
                                     "the label of row %zu is %g", i, t->y[i]),
                            loss == CCZ_FEDLR_SQUARED ? "standardise labels: within +-8"
                                                      : "labels are 0 or 1");
    }
    return CCZ_OK;
}

/* A role that trains: HETERO with an arbiter, HETERO_TWO without one but with an own key, HETERO_RLWE with neither. */
static ccz_rc train(struct ccz_fedlr_model **out, const struct ccz_paillier_key *key,
                    struct ccz_chan *const *peers, size_t len, struct ccz_chan *arbiter,
                    const struct ccz_fedlr_table *table, bool guest,
                    const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    struct cczi_fl_session s;
    struct cczi_fl_trainer t = {0};
    struct ccz_err e = {0};
    bool two = run->cfg->mode == CCZ_FEDLR_HETERO_TWO;
    bool lattice = run->cfg->mode == CCZ_FEDLR_HETERO_RLWE;
    *out = NULL;
    ccz_rc rc = cczi_fl_session_init(&s, run, guest ? CCZI_ROLE_GUEST : CCZI_ROLE_HOST, peers, len,
                                     arbiter, &e);
    if (rc == CCZ_OK && ((two || lattice) != (arbiter == NULL) || two != (key != NULL)))
        rc = ccz_fail(
            &e, CCZ_E_ARG, "fedlr:config", 0,
            "HETERO has an arbiter, HETERO_TWO a key of each party instead, HETERO_RLWE neither");
    if (rc == CCZ_OK && guest && !table->y)
        rc = ccz_fail(&e, CCZ_E_ARG, "fedlr:no-labels", 0, "the guest's table has no labels");
    if (rc == CCZ_OK && guest)
        rc = check_labels(table, run->cfg->loss, &e);
    if (rc == CCZ_OK)
        rc = trainer_init(&t, &s, table, guest, &e);
    if (rc == CCZ_OK)
        rc = two       ? cczi_fl_train_two(&t, key, &e)
             : lattice ? cczi_fl_train_lattice(&t, &e)
             : guest   ? guest_train(&t, len, &e)
                       : host_train(&t, &e);
    if (rc == CCZ_OK)
        rc = trainer_model(out, &t, &e);
    trainer_deinit(&t);
    rc = cczi_fl_session_end(&s, rc, &e, err);
    if (rc != CCZ_OK) {
        ccz_fedlr_model_free(*out);
        *out = NULL;
    }
    return rc;
}

static ccz_rc stored(struct ccz_fedlr_model **out, const struct ccz_fedlr_table *table, bool guest,
                     const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    struct cczi_fl_session s = {.run = run, .role = guest ? CCZI_ROLE_GUEST : CCZI_ROLE_HOST};
    struct cczi_fl_trainer t = {0};
    *out = NULL;
    ccz_rc rc = cczi_fl_config_check(run, s.role, guest ? run->cfg->parties : 1, err);
    if (rc == CCZ_OK)
        rc = trainer_init(&t, &s, table, guest, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_trainer_wants_more(&t) ? cczi_fl_unfinished(err) : trainer_model(out, &t, err);
    trainer_deinit(&t);
    return rc;
}

ccz_rc ccz_fedlr_guest_stored(struct ccz_fedlr_model **out, const struct ccz_fedlr_table *t,
                              const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    return stored(out, t, true, run, err);
}

ccz_rc ccz_fedlr_host_stored(struct ccz_fedlr_model **out, const struct ccz_fedlr_table *t,
                             const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    return stored(out, t, false, run, err);
}

ccz_rc ccz_fedlr_guest(struct ccz_fedlr_model **out, const struct ccz_paillier_key *key,
                       struct ccz_chan *const *hosts, size_t len, struct ccz_chan *arbiter,
                       const struct ccz_fedlr_table *t, const struct ccz_fedlr_run *run,
                       struct ccz_err *err)
{
    return train(out, key, hosts, len, arbiter, t, true, run, err);
}

ccz_rc ccz_fedlr_host(struct ccz_fedlr_model **out, const struct ccz_paillier_key *key,
                      struct ccz_chan *guest, struct ccz_chan *arbiter,
                      const struct ccz_fedlr_table *t, const struct ccz_fedlr_run *run,
                      struct ccz_err *err)
{
    return train(out, key, &guest, 1, arbiter, t, false, run, err);
}

/* ---------------------------------------------------------------------------------- arbiter */

/* @return the loss of an epoch: the sum of d^2 that was decrypted, by its formula at the top of this file */
static ccz_rc arbiter_loss(double *loss, struct cczi_fl_session *s,
                           const struct ccz_paillier_key *key, uint64_t r, uint64_t rows,
                           struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    int64_t fixed = 0;
    ccz_rc rc = cczi_fl_recv_vec(&v, s, 0, CCZI_MSG_LOSS, r, s->pub, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_decrypt(&p, key, v, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_to_i64(&fixed, p, err);
    double mean = ldexp((double)fixed, -LOSS_FRACTION) / (double)rows; /* of d^2 */
    *loss = s->run->cfg->loss == CCZ_FEDLR_SQUARED ? 8 * mean : LOG_2 - 0.5 + 2 * mean;
    return rc;
}

size_t cczi_fl_sums_of(const struct cczi_fl_hello *h)
{
    return h->role == CCZI_ROLE_GUEST ? h->cols + 2 : h->cols;
}

static ccz_rc serve(struct cczi_fl_session *s, const struct ccz_paillier_key *key,
                    const struct cczi_fl_hello *theirs, struct ccz_err *err)
{
    const struct ccz_fedlr_cfg *cfg = s->run->cfg;
    struct cczi_fl_layout l;
    size_t rows = (size_t)theirs[0].rows, batches = cczi_fl_batches(rows, cfg);
    size_t largest = cfg->batch_rows > 0 && cfg->batch_rows < rows ? cfg->batch_rows : rows;
    uint64_t r = s->msg.start.round, rounds = (uint64_t)cfg->rounds * batches;
    double before = NAN, loss = NAN;
    bool go = true;
    ccz_rc rc =
        cczi_fl_layout_of(&l, ccz_paillier_bits(s->pub), largest, cfg->parties, cfg->optimize, err);
    for (; rc == CCZ_OK && go && r < rounds; r++) {
        cczi_fl_round_begin(s);
        for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
            rc = cczi_fl_serve_gradient(s, i, r, key, cczi_fl_sums_of(&theirs[i]), &l, err);
        bool ends = (r + 1) % batches == 0;
        if (rc == CCZ_OK && ends) {
            before = loss;
            rc = arbiter_loss(&loss, s, key, r, rows, err);
            go = !(cfg->tol > 0 && fabs(loss - before) < cfg->tol);
        }
        if (rc == CCZ_OK && ends)
            rc = cczi_fl_send_go(s, 0, r, go, err);
        if (rc == CCZ_OK)
            cczi_fl_round_end(s, r + 1, rounds, ends ? loss : NAN, NULL, 0);
    }
    return rc;
}

static ccz_rc arbitrate_gradients(struct cczi_fl_session *s, const struct ccz_paillier_key *key,
                                  struct ccz_err *err)
{
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX], mine = {0};
    ccz_rc rc = cczi_fl_use_key(s, ccz_paillier_key_pub(key), err);
    if (rc == CCZ_OK)
        rc = cczi_fl_greet(theirs, s, &mine, err);
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++) {
        rc = cczi_fl_expect_role(&theirs[i], i ? CCZI_ROLE_HOST : CCZI_ROLE_GUEST, err);
        if (rc == CCZ_OK && (theirs[i].rows == 0 || theirs[i].rows != theirs[0].rows))
            rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:alignment", (int64_t)theirs[i].rows,
                                (int64_t)theirs[0].rows);
        if (rc == CCZ_OK)
            rc = cczi_fl_enough_rows(s->run, (size_t)theirs[i].rows, cczi_fl_sums_of(&theirs[i]),
                                     err);
    }
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        rc = cczi_fl_send_key(s, i, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv(s, 0, CCZI_MSG_START, 0, err);
    return rc == CCZ_OK ? serve(s, key, theirs, err) : rc;
}

ccz_rc ccz_fedlr_arbitrate(struct ccz_fedlr_model **out, const struct ccz_paillier_key *key,
                           struct ccz_chan *const *chans, size_t len, size_t cols,
                           const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    struct cczi_fl_session s;
    struct ccz_err e = {0};
    bool model = run->cfg->mode == CCZ_FEDLR_ENCRYPTED_MODEL;
    size_t expected = model ? 1 : (size_t)run->cfg->parties + 1;
    *out = NULL;
    ccz_rc rc = cczi_fl_session_init(&s, run, CCZI_ROLE_ARBITER, chans, len, NULL, &e);
    if (rc == CCZ_OK && !model && run->cfg->mode != CCZ_FEDLR_HETERO)
        rc = ccz_fail(&e, CCZ_E_ARG, "fedlr:config", 0, "this mode has no arbiter");
    if (rc == CCZ_OK && len != expected)
        rc = ccz_refuse_num(&e, CCZ_E_ARG, "fedlr:config", (int64_t)len, (int64_t)expected);
    if (rc == CCZ_OK)
        rc = model ? cczi_fl_arbitrate_model(out, &s, key, cols, &e)
                   : arbitrate_gradients(&s, key, &e);
    return cczi_fl_session_end(&s, rc, &e, err); /* with a model it does not fail: comes_again() */
}

/* ------------------------------------------------------------------------------- prediction */

/* Hosts wait for it before they go: what they sent could be lost with them. */
static ccz_rc acknowledge(struct ccz_chan *const *hosts, size_t len, struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    ccz_rc rc = CCZ_OK;
    ccz_buf_init(&out, CCZI_MSG_HEADER_SIZE);
    cczi_fl_msg_begin(&out, CCZI_MSG_BYE, 0);
    for (size_t h = 0; rc == CCZ_OK && h < len; h++)
        rc = ccz_chan_send(hosts[h], ccz_buf_span(&out), err);
    return rc;
}

ccz_rc ccz_fedlr_predict_guest(double *p, const struct ccz_fedlr_model *m,
                               struct ccz_chan *const *hosts, size_t len,
                               const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    struct cczi_fl_msg msg;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, CCZI_MSG_HEADER_SIZE + 8 * t->rows);
    if (m->len != t->cols + 1)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:columns", (int64_t)t->cols,
                              (int64_t)m->len - 1);
    for (size_t i = 0; i < t->rows; i++)
        p[i] = cczi_fl_score(m->w, &t->x[i * t->cols], t->cols);
    for (size_t h = 0; h < len; h++) {
        ccz_buf_clear(&in);
        ccz_rc rc = ccz_chan_recv(&in, hosts[h], err);
        if (rc == CCZ_OK)
            rc = cczi_fl_msg_parse(&msg, ccz_buf_span(&in), err);
        if (rc == CCZ_OK && (msg.kind != CCZI_MSG_SCORES || msg.len != t->rows))
            rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)msg.len,
                                (int64_t)t->rows);
        if (rc != CCZ_OK)
            return rc;
        for (size_t i = 0; i < t->rows; i++)
            p[i] += cczi_fl_msg_score(&msg, i);
    }
    for (size_t i = 0; i < t->rows; i++)
        p[i] = cczi_fl_output(m, p[i]);
    return acknowledge(hosts, len, err);
}

ccz_rc ccz_fedlr_predict_host(struct ccz_chan *guest, const struct ccz_fedlr_model *m,
                              const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    struct cczi_fl_msg msg;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_MSG_HEADER_SIZE + 8 * t->rows);
    if (m->len != t->cols + 1)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:columns", (int64_t)t->cols,
                              (int64_t)m->len - 1);
    cczi_fl_msg_begin(&out, CCZI_MSG_SCORES, 0);
    for (size_t i = 0; i < t->rows; i++)
        cczi_fl_msg_put_double(&out, cczi_fl_score(m->w, &t->x[i * t->cols], t->cols));
    if (out.bad)
        return cczi_fl_no_memory(err);
    ccz_rc rc = ccz_chan_send(guest, ccz_buf_span(&out), err);
    ccz_buf_clear(&out);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv(&out, guest, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_msg_parse(&msg, ccz_buf_span(&out), err);
    if (rc == CCZ_OK && msg.kind != CCZI_MSG_BYE)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:order", (int64_t)msg.kind, CCZI_MSG_BYE);
    return rc;
}
