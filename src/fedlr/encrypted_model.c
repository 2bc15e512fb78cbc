/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ENCRYPTED_MODEL. A round: the arbiter encrypts the weights; every worker applies its local steps, which are an affine
 * map of them, scaled by its share of the rows, packs the result; the aggregator adds (homo.c); the arbiter decrypts
 * the average. So d^2 multiplications replace the rows * d of a gradient, whatever the number of rows and local steps.
 */
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT_BITS = 64,
    W_FRACTION = 24,
    W_INT_BITS = 5, /* |w| < 32 */
    M_FRACTION_MAX = 24,
    M_INT_BITS = 1,          /* |M| < 2 */
    SUM_BITS = SLOT_BITS - 2 /* of a weight of the average */
};

/* Bits behind the point of M: as many as slots leave for the sum over columns (and the constant) and over workers. */
static unsigned m_fraction(size_t cols, uint32_t workers)
{
    unsigned used =
        W_FRACTION + W_INT_BITS + M_INT_BITS + cczi_fl_log2_up(cols + 2) + cczi_fl_log2_up(workers);
    unsigned left = SUM_BITS - used;
    return left < M_FRACTION_MAX ? left : M_FRACTION_MAX;
}

static ccz_rc to_fixed(int64_t *out, const double *v, size_t len, unsigned fraction, double limit,
                       struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        if (!(fabs(v[i]) < limit - ldexp(1, -(int)fraction)))
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_LIMIT, "fedlr:range", (int64_t)i,
                                     "a number is beyond +-%g", limit),
                            "take a smaller step size, or standardise the columns");
        out[i] = cczi_fl_fixed(v[i], fraction, limit);
    }
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- worker */

/* M w, row by row or as one product of a matrix. */
static ccz_rc apply(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *w,
                    const int64_t *m, size_t d, unsigned bits, const struct cczi_fl_session *s,
                    struct ccz_err *err)
{
    const struct ccz_paillier_matrix matrix = {
        .x = m, .rows = d, .cols = d, .row_stride = d, .col_stride = 1, .bits = bits};
    if (s->run->cfg->optimize & CCZ_FEDLR_PRODUCT)
        return ccz_paillier_matmul(out, w, &matrix, s->run->threads, err);
    struct ccz_paillier_vec **rows = cczi_fl_zeros(d, sizeof(*rows));
    ccz_rc rc = rows ? CCZ_OK : cczi_fl_no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < d; i++) {
        CCZ_AUTO(ccz_paillier_plain) row = NULL;
        rc = ccz_paillier_plain_i64(&row, s->pub, m + i * d, d, bits, NULL, err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_dot(&rows[i], w, row, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_concat(out, (const struct ccz_paillier_vec *const *)rows, d, err);
    for (size_t i = 0; rows && i < d; i++)
        ccz_paillier_vec_free(rows[i]);
    free(rows);
    return rc;
}

/* What a worker multiplies and adds, as integers; the same in every round unless the step size decays. */
struct cczi_fl_map {
    int64_t *m, *c;
    double *real;
    size_t d;
    unsigned fraction;
    uint64_t round; /* it was made for */
    bool made;
};

static ccz_rc make_map(struct cczi_fl_map *map, const struct ccz_fedlr_table *t,
                       const struct ccz_fedlr_cfg *cfg, double share, uint64_t r,
                       struct ccz_err *err)
{
    size_t d = map->d;
    if (map->made && (map->round == r || cfg->decay == 0))
        return CCZ_OK;
    ccz_rc rc = cczi_fl_affine(map->real, map->real + d * d, t, cfg, r, err);
    for (size_t i = 0; i < d * d + d; i++)
        map->real[i] *= share;
    if (rc == CCZ_OK)
        rc = to_fixed(map->m, map->real, d * d, map->fraction, 1 << M_INT_BITS, err);
    if (rc == CCZ_OK)
        rc = to_fixed(map->c, map->real + d * d, d, map->fraction + W_FRACTION,
                      1 << (M_INT_BITS + W_INT_BITS), err);
    map->made = rc == CCZ_OK;
    map->round = r;
    return rc;
}

/* Packs, if asked to, and makes it fit to leave. */
static ccz_rc finish_update(struct ccz_paillier_vec **out, struct ccz_paillier_vec **v,
                            const struct cczi_fl_session *s, struct ccz_err *err)
{
    const struct ccz_paillier_packing pack = {.slot_bits = SLOT_BITS};
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    ccz_rc rc = CCZ_OK;
    if (s->run->cfg->optimize & CCZ_FEDLR_PACK)
        rc = ccz_paillier_squeeze(out, *v, pack, s->run->threads, err);
    else
        *out = ccz_paillier_vec_take(v);
    return rc == CCZ_OK ? ccz_paillier_randomise(*out, &enc, err) : rc;
}

static ccz_rc worker_round(struct cczi_fl_session *s, struct cczi_fl_map *map,
                           const struct ccz_fedlr_table *t, double share, uint64_t r,
                           struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) w = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_vec) update = NULL;
    CCZ_AUTO(ccz_paillier_plain) c = NULL;
    cczi_fl_round_begin(s);
    ccz_rc rc = make_map(map, t, s->run->cfg, share, r, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_vec(&w, s, 0, CCZI_MSG_MODEL, r, s->pub, map->d, err);
    cczi_fl_round_clock(s);
    if (rc == CCZ_OK)
        rc = apply(&v, w, map->m, map->d, map->fraction + M_INT_BITS, s, err);
    if (rc == CCZ_OK)
        rc =
            ccz_paillier_plain_i64(&c, s->pub, map->c, map->d,
                                   map->fraction + W_FRACTION + M_INT_BITS + W_INT_BITS, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_add_plain(v, c, err);
    if (rc == CCZ_OK)
        rc = finish_update(&update, &v, s, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, 0, CCZI_MSG_UPDATE, r, update, err);
    if (rc == CCZ_OK)
        cczi_fl_round_end(s, r + 1, s->run->cfg->rounds, NAN, NULL, 0);
    return rc;
}

static ccz_rc greet_aggregator(uint64_t *round, double *share, struct cczi_fl_session *s,
                               const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX], mine = {0};
    struct ccz_paillier_pub *pub;
    mine.rows = t->rows;
    mine.cols = (uint32_t)t->cols;
    ccz_rc rc = cczi_fl_greet(theirs, s, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(&theirs[0], CCZI_ROLE_AGGREGATOR, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_key(&pub, s, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_use_key(s, pub, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv(s, 0, CCZI_MSG_START, 0, err);
    if (rc == CCZ_OK && s->msg.start.rows < t->rows)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)s->msg.start.rows,
                            (int64_t)t->rows);
    *round = rc == CCZ_OK ? s->msg.start.round : 0;
    *share = rc == CCZ_OK ? (double)t->rows / (double)s->msg.start.rows : 0;
    return rc;
}

ccz_rc cczi_fl_work_encrypted(struct ccz_fedlr_model *m, struct cczi_fl_session *s,
                              const struct ccz_fedlr_table *t, struct ccz_err *err)
{
    size_t d = t->cols + 1;
    struct cczi_fl_map map = {.d = d, .fraction = m_fraction(t->cols, s->run->cfg->parties)};
    map.m = cczi_fl_zeros(d * d, sizeof(*map.m));
    map.c = cczi_fl_zeros(d, sizeof(*map.c));
    map.real = cczi_fl_zeros(d * d + d, sizeof(*map.real));
    uint64_t round;
    double share;
    ccz_rc rc = map.m && map.c && map.real ? CCZ_OK : cczi_fl_no_memory(err);
    if (rc == CCZ_OK)
        rc = greet_aggregator(&round, &share, s, t, err);
    for (bool go = true; rc == CCZ_OK; round++) {
        rc = cczi_fl_recv_go(&go, s, 0, round, err);
        if (rc != CCZ_OK || !go)
            break;
        rc = worker_round(s, &map, t, share, round, err);
        m->rounds = round + 1;
    }
    cczi_fl_drop(map.m, d * d, sizeof(*map.m));
    cczi_fl_drop(map.c, d, sizeof(*map.c));
    cczi_fl_drop(map.real, d * d + d, sizeof(*map.real));
    return rc;
}

/* ---------------------------------------------------------------------------------- arbiter */

static ccz_rc encrypt_model(struct ccz_paillier_vec **out, const double *w, size_t d,
                            const struct cczi_fl_session *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    int64_t *fixed = cczi_fl_zeros(d, sizeof(*fixed));
    ccz_rc rc =
        fixed ? to_fixed(fixed, w, d, W_FRACTION, 1 << W_INT_BITS, err) : cczi_fl_no_memory(err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_i64(&p, s->pub, fixed, d, W_FRACTION + W_INT_BITS, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(out, p, &enc, err);
    cczi_fl_drop(fixed, d, sizeof(*fixed));
    return rc;
}

static ccz_rc decrypt_average(double *w, size_t d, const struct ccz_paillier_key *key,
                              const struct ccz_paillier_vec *sum, const struct cczi_fl_session *s,
                              struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_dec_cfg dec = {.threads = s->run->threads};
    ccz_rc rc = ccz_paillier_decrypt(&p, key, sum, &dec, err);
    size_t len = rc == CCZ_OK ? ccz_paillier_plain_values(p) : 0;
    int64_t *v = cczi_fl_zeros(len, sizeof(*v));
    if (rc == CCZ_OK)
        rc = v ? ccz_paillier_plain_to_i64(v, p, err) : cczi_fl_no_memory(err);
    if (rc == CCZ_OK && len < d)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "fedlr:message", (int64_t)len, (int64_t)d);
    int shift = (int)(W_FRACTION + m_fraction(d - 1, s->run->cfg->parties));
    for (size_t i = 0; rc == CCZ_OK && i < d; i++)
        w[i] = ldexp((double)v[i], -shift);
    cczi_fl_drop(v, len, sizeof(*v));
    return rc;
}

static ccz_rc arbiter_round(double *v, struct cczi_fl_history *h, struct cczi_fl_session *s,
                            const struct ccz_paillier_key *key, size_t d, struct ccz_err *err)
{
    const struct ccz_fedlr_cfg *cfg = s->run->cfg;
    uint64_t r = h->now.round;
    CCZ_AUTO(ccz_paillier_vec) model = NULL;
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    cczi_fl_round_begin(s);
    ccz_rc rc = encrypt_model(&model, h->now.v, d, s, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, 0, CCZI_MSG_MODEL, r, model, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_vec(&sum, s, 0, CCZI_MSG_UPDATE, r, s->pub,
                              cczi_fl_volume_of(s->pub, d - 1, cfg).update, err);
    if (rc == CCZ_OK)
        rc = decrypt_average(v, d, key, sum, s, err);
    if (rc != CCZ_OK)
        return rc;
    double change = 0;
    for (size_t i = 0; i < d; i++)
        change = fmax(change, fabs(v[i] - h->now.v[i]));
    v[d + CCZI_AVERAGE_NOTE] = change;
    v[d + CCZI_AVERAGE_CONVERGED] = cfg->tol > 0 && change < cfg->tol;
    rc = cczi_fl_history_push(h, v, s->role, s->run, err);
    if (rc == CCZ_OK)
        cczi_fl_round_end(s, r + 1, cfg->rounds, NAN, v, d);
    return rc;
}

static ccz_rc arbitrate(struct ccz_fedlr_model *m, struct cczi_fl_session *s,
                        const struct ccz_paillier_key *key, struct cczi_fl_history *h, double *v,
                        struct ccz_err *err)
{
    size_t d = m->len;
    struct cczi_fl_hello theirs[CCZI_LINKS_MAX], mine = cczi_fl_hello_of(h, NULL);
    mine.cols = (uint32_t)(d - 1);
    ccz_rc rc = cczi_fl_use_key(s, ccz_paillier_key_pub(key), err);
    if (rc == CCZ_OK)
        rc = cczi_fl_greet(theirs, s, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(&theirs[0], CCZI_ROLE_AGGREGATOR, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_key(s, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv(s, 0, CCZI_MSG_START, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_history_back(h, s->msg.start.round, err);
    for (bool go = true; rc == CCZ_OK && go;) {
        go = cczi_fl_average_wants_more(h, s->run);
        rc = cczi_fl_send_go(s, 0, h->now.round, go, err);
        if (rc == CCZ_OK && go)
            rc = arbiter_round(v, h, s, key, d, err);
    }
    return rc == CCZ_OK ? cczi_fl_average_model(m, h, s->run, err) : rc;
}

ccz_rc cczi_fl_arbitrate_model(struct ccz_fedlr_model **out, struct cczi_fl_session *s,
                               const struct ccz_paillier_key *key, size_t cols, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_model) m = NULL;
    struct cczi_fl_history h = {0};
    size_t len = cols + 1 + CCZI_AVERAGE_MORE;
    if (cols == 0 || cols > CCZ_FEDLR_COLS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "fedlr:config", (int64_t)cols,
                        "the arbiter needs to know the number of columns");
    double *v = cczi_fl_zeros(len, sizeof(*v));
    ccz_rc rc = v ? cczi_fl_model_new(&m, cols + 1, err) : cczi_fl_no_memory(err);
    if (rc == CCZ_OK)
        rc = cczi_fl_history_new(&h, len, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_history_load(&h, s->role, s->run, err);
    if (rc == CCZ_OK)
        rc = arbitrate(m, s, key, &h, v, err);
    cczi_fl_history_free(&h);
    cczi_fl_drop(v, len, sizeof(*v));
    if (rc == CCZ_OK)
        *out = ccz_fedlr_model_take(&m);
    return rc;
}

ccz_rc ccz_fedlr_arbitrate_stored(struct ccz_fedlr_model **out, size_t cols,
                                  const struct ccz_fedlr_run *run, struct ccz_err *err)
{
    return cczi_fl_average_stored(out, CCZI_ROLE_ARBITER, cols, run, err);
}
