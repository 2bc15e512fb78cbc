/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HOMO. A round: every worker descends on its own rows, encrypts its share of the average, and of the loss before; the
 * aggregator adds; every worker decrypts the sum. The aggregator, of ENCRYPTED_MODEL too.
 */
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT_BITS = 64,
    EXPONENT = -10,      /* steps of 2^-40 */
    VALUE_BITS = 40 + 7, /* a share of a weight or loss is below 2^7 */
};

/* ------------------------------------------------------------------------------- aggregator */

/* The numbers of a round: ciphertexts in each direction. */
struct cczi_fl_volume cczi_fl_volume_of(const struct ccz_paillier_pub *pub, size_t cols,
                                        const struct ccz_fedlr_cfg *cfg)
{
    size_t d = cols + 1, values = cfg->mode == CCZ_FEDLR_HOMO ? d + 1 : d;
    size_t slots = cfg->optimize & CCZ_FEDLR_PACK ? ccz_paillier_slots(pub, SLOT_BITS) : 1;
    return (struct cczi_fl_volume){.model = d, .update = (values + slots - 1) / slots};
}

/* Every worker's key must be the same. */
static ccz_rc collect_keys(struct cczi_fl_session *s, size_t workers, struct ccz_err *err)
{
    uint8_t first[CCZ_PAILLIER_ID_SIZE], id[CCZ_PAILLIER_ID_SIZE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < workers; i++) {
        struct ccz_paillier_pub *pub;
        rc = cczi_fl_recv_key(&pub, s, i, err);
        if (rc != CCZ_OK)
            break;
        if (i == 0) {
            rc = cczi_fl_use_key(s, pub, err);
            ccz_paillier_id(first, pub);
            continue;
        }
        ccz_paillier_id(id, pub);
        ccz_paillier_pub_free(pub);
        if (memcmp(id, first, sizeof(id)) != 0)
            rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:key-id", id, sizeof(id), first,
                                  sizeof(first));
    }
    return rc;
}

/* The key of the arbiter, passed on to the workers. */
static ccz_rc pass_key_on(struct cczi_fl_session *s, size_t workers, struct ccz_err *err)
{
    struct ccz_paillier_pub *pub;
    ccz_rc rc = cczi_fl_recv_key(&pub, s, workers, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_use_key(s, pub, err);
    for (size_t i = 0; rc == CCZ_OK && i < workers; i++)
        rc = cczi_fl_send_key(s, i, err);
    return rc;
}

/* Who has the model (the workers or the arbiter) says where to begin: where the last of them is. */
static ccz_rc agree(uint64_t *round, size_t *cols, uint64_t *rows, struct cczi_fl_session *s,
                    const struct cczi_fl_hello *h, size_t workers, struct ccz_err *err)
{
    bool arbiter = s->len > workers;
    uint64_t latest = arbiter ? h[workers].round : UINT64_MAX;
    ccz_rc rc = arbiter ? cczi_fl_expect_role(&h[workers], CCZI_ROLE_ARBITER, err) : CCZ_OK;
    *rows = 0;
    *cols = h[0].cols;
    for (size_t i = 0; rc == CCZ_OK && i < workers; i++) {
        rc = cczi_fl_expect_role(&h[i], CCZI_ROLE_WORKER, err);
        *rows += h[i].rows;
        if (rc == CCZ_OK && (h[i].cols != *cols || (arbiter && h[workers].cols != *cols)))
            rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "fedlr:columns", h[i].cols, (int64_t)*cols);
        if (!arbiter)
            latest = h[i].round < latest ? h[i].round : latest;
    }
    *round = latest;
    for (size_t i = 0; rc == CCZ_OK && i < s->len; i++)
        rc = cczi_fl_send_start(s, i, latest, *rows, err);
    return rc;
}

/* Do all want another round? They compute it from the same numbers, so they must agree. */
static ccz_rc ask_go(bool *go, struct cczi_fl_session *s, size_t workers, uint64_t r,
                     struct ccz_err *err)
{
    bool arbiter = s->len > workers;
    size_t from = arbiter ? workers : 0, agreed = 0;
    ccz_rc rc = CCZ_OK;
    *go = false;
    for (size_t i = from; rc == CCZ_OK && i < s->len; i++) {
        bool one;
        rc = cczi_fl_recv_go(&one, s, i, r, err);
        agreed += one;
    }
    if (rc == CCZ_OK && agreed != 0 && agreed != s->len - from)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:order", (int64_t)agreed,
                            (int64_t)(s->len - from));
    *go = rc == CCZ_OK && agreed > 0;
    for (size_t i = 0; rc == CCZ_OK && arbiter && i < workers; i++)
        rc = cczi_fl_send_go(s, i, r, *go, err);
    return rc;
}

/* One round: the model out (if an arbiter has it), the sum of the updates back. */
static ccz_rc aggregate_round(struct cczi_fl_session *s, size_t workers, uint64_t r,
                              struct cczi_fl_volume volume, struct ccz_err *err)
{
    bool arbiter = s->len > workers;
    CCZ_AUTO(ccz_paillier_vec) model = NULL;
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    ccz_rc rc = CCZ_OK;
    if (arbiter)
        rc = cczi_fl_recv_vec(&model, s, workers, CCZI_MSG_MODEL, r, s->pub, volume.model, err);
    for (size_t i = 0; rc == CCZ_OK && arbiter && i < workers; i++)
        rc = cczi_fl_send_vec(s, i, CCZI_MSG_MODEL, r, model, err);
    for (size_t i = 0; rc == CCZ_OK && i < workers; i++) {
        CCZ_AUTO(ccz_paillier_vec) v = NULL;
        rc = cczi_fl_recv_vec(&v, s, i, CCZI_MSG_UPDATE, r, s->pub, volume.update, err);
        if (rc == CCZ_OK && sum)
            rc = ccz_paillier_add(sum, v, err);
        else if (rc == CCZ_OK)
            sum = ccz_paillier_vec_take(&v);
    }
    for (size_t i = arbiter ? workers : 0; rc == CCZ_OK && i < s->len; i++)
        rc = cczi_fl_send_vec(s, i, CCZI_MSG_UPDATE, r, sum, err);
    return rc;
}

static ccz_rc aggregate(struct cczi_fl_session *s, size_t workers, struct ccz_err *err)
{
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX] = {0}, mine = {0};
    uint64_t round, rows;
    size_t cols;
    ccz_rc rc = cczi_fl_greet(theirs, s, &mine, err);
    if (rc == CCZ_OK)
        rc = s->len > workers ? pass_key_on(s, workers, err) : collect_keys(s, workers, err);
    if (rc == CCZ_OK)
        rc = agree(&round, &cols, &rows, s, theirs, workers, err);
    for (bool go = true; rc == CCZ_OK; round++) {
        rc = ask_go(&go, s, workers, round, err);
        if (rc != CCZ_OK || !go)
            break;
        cczi_fl_round_begin(s);
        rc = aggregate_round(s, workers, round, cczi_fl_volume_of(s->pub, cols, s->run->cfg), err);
        if (rc == CCZ_OK)
            cczi_fl_round_end(s, round + 1, s->run->cfg->rounds, NAN, NULL, 0);
    }
    return rc;
}

ccz_rc ccz_fedlr_aggregate(struct ccz_chan *const *workers, size_t len, struct ccz_chan *arbiter,
                           const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    struct cczi_fl_session s;
    struct ccz_err e = {0};
    ccz_rc rc = cczi_fl_session_init(&s, run, CCZI_ROLE_AGGREGATOR, workers, len, arbiter, &e);
    if (rc == CCZ_OK && (run->cfg->mode == CCZ_FEDLR_ENCRYPTED_MODEL) != (arbiter != NULL))
        rc = ccz_fail(&e, CCZ_E_ARG, "fedlr:config", 0,
                      "ENCRYPTED_MODEL has an arbiter, HOMO has none");
    if (rc == CCZ_OK)
        rc = aggregate(&s, len, &e);
    return cczi_fl_session_end(&s, rc, &e, err);
}

/* ----------------------------------------------------------------------------------- worker */

static ccz_rc encrypt_shares(struct ccz_paillier_vec **out, const struct cczi_fl_session *s,
                             const double *values, size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_format format = {.exponent = EXPONENT, .bits = VALUE_BITS};
    const struct ccz_paillier_packing pack = {.slot_bits = SLOT_BITS};
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    *out = NULL;
    for (size_t i = 0; i < len; i++)
        if (!(fabs(values[i]) < ldexp(1, VALUE_BITS + 4 * EXPONENT)))
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_LIMIT, "fedlr:range", (int64_t)i,
                                     "weight %zu grew beyond what can be sent", i),
                            "take a smaller step size, or standardise the columns");
    ccz_rc rc = ccz_paillier_plain_f64(&p, s->pub, values, len, format,
                                       s->run->cfg->optimize & CCZ_FEDLR_PACK ? &pack : NULL, err);
    return rc == CCZ_OK ? ccz_paillier_encrypt(out, p, &enc, err) : rc;
}

static ccz_rc decrypt_sum(double *values, size_t len, const struct cczi_fl_session *s,
                          const struct ccz_paillier_key *key, const struct ccz_paillier_vec *v,
                          struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_dec_cfg dec = {.threads = s->run->threads};
    ccz_rc rc = ccz_paillier_decrypt(&p, key, v, &dec, err);
    if (rc != CCZ_OK)
        return rc;
    size_t got = ccz_paillier_plain_values(p);
    double *all = cczi_fl_zeros(got, sizeof(*all));
    rc = !all ? cczi_fl_no_memory(err) : ccz_paillier_plain_to_f64(all, p, err);
    if (rc == CCZ_OK && got < len)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)got, (int64_t)len);
    if (rc == CCZ_OK)
        memcpy(values, all, len * sizeof(*values));
    cczi_fl_drop(all, got, sizeof(*all));
    return rc;
}

/* @param v  room for the state, then for the shares */
static ccz_rc homo_round(double *v, struct cczi_fl_history *h, struct cczi_fl_session *s,
                         const struct ccz_paillier_key *key, const struct ccz_fedlr_table *t,
                         double share, struct ccz_err *err)
{
    const struct ccz_fedlr_cfg *cfg = s->run->cfg;
    uint64_t r = h->now.round;
    size_t d = t->cols + 1;
    CCZ_AUTO(ccz_paillier_vec) mine = NULL;
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    cczi_fl_round_begin(s);
    memcpy(v, h->now.v, d * sizeof(*v));
    double loss = cczi_fl_loss(v, t, cfg);
    ccz_rc rc = cczi_fl_descend(v, t, cfg, r, err);
    v[d] = loss;
    for (size_t i = 0; i <= d; i++)
        v[i] *= share;
    if (rc == CCZ_OK)
        rc = encrypt_shares(&mine, s, v, d + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, 0, CCZI_MSG_UPDATE, r, mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_vec(&sum, s, 0, CCZI_MSG_UPDATE, r, s->pub,
                              cczi_fl_volume_of(s->pub, t->cols, cfg).update, err);
    if (rc == CCZ_OK)
        rc = decrypt_sum(v, d + 1, s, key, sum, err);
    if (rc != CCZ_OK)
        return rc;
    /* v[d] is now the loss of the model that the round began with */
    v[d + CCZI_AVERAGE_CONVERGED] = r > 0 && cfg->tol > 0 && fabs(v[d] - h->now.v[d]) < cfg->tol;
    rc = cczi_fl_history_push(h, v, s->role, s->run, err);
    if (rc == CCZ_OK)
        cczi_fl_round_end(s, r + 1, cfg->rounds, v[d], v, d);
    return rc;
}

static ccz_rc work_homo(struct ccz_fedlr_model *m, struct cczi_fl_session *s,
                        const struct ccz_paillier_key *key, const struct ccz_fedlr_table *t,
                        struct cczi_fl_history *h, struct ccz_err *err)
{
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX], mine = cczi_fl_hello_of(h, t);
    size_t d = t->cols + 1;
    double *v = cczi_fl_zeros(d + CCZI_AVERAGE_MORE, sizeof(*v));
    ccz_rc rc = v ? cczi_fl_use_key(s, ccz_paillier_key_pub(key), err) : cczi_fl_no_memory(err);
    if (rc == CCZ_OK)
        rc = cczi_fl_greet(theirs, s, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(&theirs[0], CCZI_ROLE_AGGREGATOR, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_key(s, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv(s, 0, CCZI_MSG_START, 0, err);
    if (rc == CCZ_OK && s->msg.start.rows < t->rows)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)s->msg.start.rows,
                            (int64_t)t->rows);
    double share = rc == CCZ_OK ? (double)t->rows / (double)s->msg.start.rows : 0;
    if (rc == CCZ_OK)
        rc = cczi_fl_history_back(h, s->msg.start.round, err);
    for (bool go = true; rc == CCZ_OK && go;) {
        go = cczi_fl_average_wants_more(h, s->run);
        rc = cczi_fl_send_go(s, 0, h->now.round, go, err);
        if (rc == CCZ_OK && go)
            rc = homo_round(v, h, s, key, t, share, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_fl_average_model(m, h, s->run, err);
    cczi_fl_drop(v, d + CCZI_AVERAGE_MORE, sizeof(*v));
    return rc;
}

ccz_rc ccz_fedlr_work(struct ccz_fedlr_model **out, const struct ccz_paillier_key *key,
                      struct ccz_chan *aggregator, const struct ccz_fedlr_table *t,
                      const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_model) m = NULL;
    struct cczi_fl_session s;
    struct cczi_fl_history h = {0};
    struct ccz_err e = {0};
    bool homo = run->cfg->mode == CCZ_FEDLR_HOMO;
    *out = NULL;
    ccz_rc rc = cczi_fl_session_init(&s, run, CCZI_ROLE_WORKER, &aggregator, 1, NULL, &e);
    if (rc == CCZ_OK && homo != (key != NULL))
        rc = ccz_fail(&e, CCZ_E_ARG, "fedlr:config", 0,
                      "workers have a key in HOMO, and only there");
    if (rc == CCZ_OK && !t->y)
        rc = ccz_fail(&e, CCZ_E_ARG, "fedlr:no-labels", 0, "the table has no labels");
    if (rc == CCZ_OK)
        rc = cczi_fl_model_new(&m, homo ? t->cols + 1 : 0, &e);
    if (rc == CCZ_OK && homo)
        rc = cczi_fl_history_new(&h, t->cols + 1 + CCZI_AVERAGE_MORE, &e);
    if (rc == CCZ_OK && homo)
        rc = cczi_fl_history_load(&h, s.role, run, &e);
    if (rc == CCZ_OK)
        rc = homo ? work_homo(m, &s, key, t, &h, &e) : cczi_fl_work_encrypted(m, &s, t, &e);
    cczi_fl_history_free(&h);
    rc = cczi_fl_session_end(&s, rc, &e, err);
    if (rc == CCZ_OK)
        *out = ccz_fedlr_model_take(&m);
    return rc;
}

/* ----------------------------------------------------------------------- who has the average */

static size_t weights_of(const struct cczi_fl_history *h)
{
    return h->now.len - CCZI_AVERAGE_MORE;
}

bool cczi_fl_average_wants_more(const struct cczi_fl_history *h, const struct ccz_fedlr_run *run)
{
    return h->now.round < run->cfg->rounds && h->now.v[weights_of(h) + CCZI_AVERAGE_CONVERGED] == 0;
}

ccz_rc cczi_fl_average_model(struct ccz_fedlr_model *m, const struct cczi_fl_history *h,
                             const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    if (cczi_fl_average_wants_more(h, run))
        return cczi_fl_unfinished(err);
    memcpy(m->w, h->now.v, weights_of(h) * sizeof(*m->w));
    m->rounds = h->now.round;
    m->converged = h->now.v[weights_of(h) + CCZI_AVERAGE_CONVERGED] != 0;
    return CCZ_OK;
}

ccz_rc cczi_fl_average_stored(struct ccz_fedlr_model **out, enum cczi_fl_role role, size_t cols,
                              const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_model) m = NULL;
    struct cczi_fl_history h = {0};
    *out = NULL;
    ccz_rc rc = cczi_fl_config_check(run, role, 1, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_model_new(&m, cols + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_history_new(&h, cols + 1 + CCZI_AVERAGE_MORE, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_history_load(&h, role, run, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_average_model(m, &h, run, err);
    cczi_fl_history_free(&h);
    if (rc == CCZ_OK)
        *out = ccz_fedlr_model_take(&m);
    return rc;
}

ccz_rc ccz_fedlr_work_stored(struct ccz_fedlr_model **out, const struct ccz_fedlr_table *t,
                             const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    return cczi_fl_average_stored(out, CCZI_ROLE_WORKER, t->cols, run, err);
}
