/* SPDX-License-Identifier: Apache-2.0 */
/* The side that has the rows and the key. */
#include "helr/helr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ccz_helr_client {
    struct ccz_helr_info info;
    const struct ccz_helr_model *model; /* only if the server has none */
    struct ccz_ckks *ckks;
    struct ccz_ckks_eval *eval;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois; /* NULL: per_ct_max is 1 */
    size_t n, per_ct_max;
    struct ccz_helr_layout fixed; /* that of the encrypted model; per_ct 0: none sent */
    bool has_session;
    uint8_t session[CCZ_HELR_SESSION_SIZE];
    double scale;
    struct ccz_complex *slots; /* n / 2, wiped */
    double *x;                 /* standardised rows, wiped */
    size_t x_cap;
    struct ccz_ckks_pt *pt;
    struct ccz_ckks_ct *ct;
};

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
}

static size_t features_len(const struct ccz_helr_client *c)
{
    return c->model ? c->model->features_len : c->info.features_len;
}

/* -------------------------------------------------------------------------------------- set-up */

/* Info and, if the server has no model, ours: parameters are made here and judged by our demands. */
static ccz_rc read_info(struct ccz_helr_client *c, struct ccz_span info,
                        const struct ccz_helr_client_cfg *cfg, struct ccz_err *err)
{
    uint8_t params_id[CCZ_RLWE_PARAMS_ID_SIZE];
    ccz_rc rc = cczi_helr_get_info(&c->info, params_id, info, err);
    if (rc != CCZ_OK)
        return rc;
    if (c->info.encrypted_model != (cfg->model != NULL))
        return ccz_fail(err, CCZ_E_ARG, "helr:model-wanted", 0,
                        cfg->model ? "the server has a model of its own"
                                   : "the server has no model: bring one");
    struct ccz_ckks_cfg ckks = {.ring = c->info.ring};
    ckks.ring.security = cfg->security;
    if ((rc = ccz_ckks_new(&c->ckks, &ckks, err)) != CCZ_OK)
        return rc;
    const uint8_t *ours = ccz_rlwe_params_id(ccz_ckks_ring(c->ckks));
    if (memcmp(params_id, ours, sizeof(params_id)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "helr:params", params_id, sizeof(params_id),
                                ours, sizeof(params_id));
    c->n = 2 * ccz_ckks_slots(c->ckks);
    c->scale = ldexp(1.0, (int)c->info.scale_bits);
    return CCZ_OK;
}

static ccz_rc make_keys(struct ccz_helr_client *c, const struct ccz_helr_client_cfg *cfg,
                        struct ccz_err *err)
{
    struct ccz_rlwe_work_cfg work = {.rng = cfg->rng};
    ccz_rc rc = ccz_ckks_eval_new(&c->eval, c->ckks, &work, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_sk_new(&c->sk, ccz_ckks_eval_work(c->eval), err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_relin_new(&c->relin, ccz_ckks_eval_work(c->eval), c->sk, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_helr_layout most = ccz_helr_layout(c->n, features_len(c), 1, cfg->per_ct_max);
    c->per_ct_max = most.per_ct;
    if (most.switches == 0)
        return CCZ_OK;
    int64_t steps[32];
    for (unsigned i = 1; i < most.switches; i++)
        steps[i - 1] = cczi_helr_step(c->n, i);
    return ccz_ckks_galois_new(&c->galois, c->eval, c->sk, steps, most.switches - 1, true, err);
}

ccz_rc ccz_helr_client_new(struct ccz_helr_client **out, struct ccz_span info,
                           const struct ccz_helr_client_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_helr_client) c = calloc(1, sizeof(*c));
    if (!c)
        return no_memory(err);
    ccz_rc rc = read_info(c, info, cfg, err);
    c->model = cfg->model;
    if (rc == CCZ_OK)
        rc = make_keys(c, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_pt_new(&c->pt, c->ckks, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_ct_new(&c->ct, c->ckks, err);
    if (rc == CCZ_OK && !(c->slots = malloc(c->n / 2 * sizeof(*c->slots))))
        rc = no_memory(err);
    if (rc == CCZ_OK)
        *out = ccz_helr_client_take(&c);
    return rc;
}

static void free_rows(struct ccz_helr_client *c)
{
    if (c->x)
        ccz_wipe(c->x, c->x_cap * sizeof(*c->x));
    free(c->x);
    c->x = NULL;
    c->x_cap = 0;
}

void ccz_helr_client_free(struct ccz_helr_client *c)
{
    if (!c)
        return;
    free_rows(c);
    if (c->slots)
        ccz_wipe(c->slots, c->n / 2 * sizeof(*c->slots));
    free(c->slots);
    ccz_ckks_ct_free(c->ct);
    ccz_ckks_pt_free(c->pt);
    ccz_rlwe_galois_set_free(c->galois);
    ccz_rlwe_swk_free(c->relin);
    ccz_rlwe_sk_free(c->sk);
    ccz_ckks_eval_free(c->eval);
    ccz_ckks_free(c->ckks);
    cczi_helr_info_deinit(&c->info);
    free(c);
}

const struct ccz_helr_info *ccz_helr_client_info(const struct ccz_helr_client *c)
{
    return &c->info;
}

const struct ccz_helr_feature *ccz_helr_client_features(size_t *len,
                                                        const struct ccz_helr_client *c)
{
    *len = features_len(c);
    return c->model ? c->model->features : c->info.features;
}

struct ccz_helr_layout ccz_helr_client_layout(const struct ccz_helr_client *c, size_t rows)
{
    if (c->fixed.per_ct > 0)
        return rows > 0 && rows <= c->fixed.rows_max ? c->fixed : (struct ccz_helr_layout){0};
    return ccz_helr_layout(c->n, features_len(c), rows, c->per_ct_max);
}

ccz_rc ccz_helr_client_keys(struct ccz_buf *out, struct ccz_helr_client *c, struct ccz_err *err)
{
    size_t start = out->size;
    cczi_helr_put_head(out, CCZI_HELR_KEYS);
    CCZ_AUTO_BUF part;
    ccz_buf_init(&part, CCZ_HELR_KEYS_SIZE_MAX);
    ccz_rc rc = ccz_rlwe_swk_write(&part, c->relin, err);
    ccz_buf_le32(out, (uint32_t)part.size);
    ccz_buf_put_span(out, ccz_buf_span(&part));
    ccz_buf_clear(&part);
    if (rc == CCZ_OK && c->galois)
        rc = ccz_rlwe_galois_set_write(&part, c->galois, err);
    ccz_buf_put_span(out, ccz_buf_span(&part));
    if (rc == CCZ_OK && (out->bad || part.bad))
        rc = ccz_fail(err, CCZ_E_LIMIT, "helr:buffer", (int64_t)out->max_size, "no room");
    if (rc == CCZ_OK)
        rc = cczi_helr_session_id(c->session,
                                  (struct ccz_span){out->ptr + start, out->size - start}, err);
    c->has_session = rc == CCZ_OK;
    return rc;
}

ccz_rc ccz_helr_client_ready(struct ccz_helr_client *c, struct ccz_span ready, struct ccz_err *err)
{
    struct ccz_rd r;
    uint8_t got[CCZ_HELR_SESSION_SIZE];
    ccz_rc rc = cczi_helr_get_head(&r, ready, CCZI_HELR_READY, 64, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_rd_copy(&r, got, sizeof(got));
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "helr:ready", (int64_t)ready.size,
                        "truncated or trailing bytes");
    if (!c->has_session || memcmp(got, c->session, sizeof(got)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "helr:session", got, sizeof(got), c->session,
                                sizeof(got));
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- encrypting */

/* What every slot is said to be below: a bound of its own would show the size of values. */
#define SLOT_MAX (2.0 * (1 << CCZI_HELR_LOG_VALUE_MAX))

/* Encrypts c->slots and appends the result; all have one size, which the first one tells. */
static ccz_rc put_ct(struct ccz_buf *out, size_t *ct_size, struct ccz_helr_client *c,
                     struct ccz_err *err)
{
    ccz_rc rc = ccz_ckks_encode_complex(c->pt, c->eval, c->slots, c->n / 2, c->scale, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_pt_declare(c->pt, SLOT_MAX, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_encrypt_sk(c->ct, c->eval, c->sk, c->pt, 0, err);
    size_t before = out->size;
    if (rc == CCZ_OK)
        rc = ccz_ckks_ct_write(out, c->ct, err);
    if (rc != CCZ_OK)
        return rc;
    if (*ct_size == 0)
        *ct_size = out->size - before;
    if (*ct_size != out->size - before)
        return ccz_fail(err, CCZ_E_INTERNAL, "helr:ct-size", 0, "ciphertexts of several sizes");
    return CCZ_OK;
}

enum { CT_SIZE_AT = 8 + CCZ_HELR_SESSION_SIZE + 12 }; /* of a request, model or reply */

/* The head, whose last field is filled in when the first ciphertext is there. */
static void begin(struct ccz_buf *out, const struct ccz_helr_client *c, enum cczi_helr_kind kind,
                  size_t rows, size_t per_ct, size_t cts)
{
    struct cczi_helr_rows h = {
        .rows = (uint32_t)rows, .per_ct = (uint32_t)per_ct, .cts = (uint32_t)cts};
    memcpy(h.session, c->session, sizeof(h.session));
    if (kind == CCZI_HELR_MODEL)
        h.radius = c->model->radius;
    cczi_helr_put_rows(out, kind, &h);
}

static ccz_rc end(struct ccz_buf *out, size_t start, size_t ct_size, struct ccz_err *err)
{
    if (out->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "helr:buffer", (int64_t)out->max_size, "no room");
    for (unsigned i = 0; i < 4; i++)
        out->ptr[start + CT_SIZE_AT + i] = (uint8_t)(ct_size >> 8 * i);
    return CCZ_OK;
}

ccz_rc ccz_helr_client_model(struct ccz_buf *out, struct ccz_helr_client *c, size_t rows,
                             struct ccz_err *err)
{
    if (!c->model)
        return ccz_fail(err, CCZ_E_ARG, "helr:model-wanted", 0, "the server has its own model");
    if (!c->has_session)
        return ccz_fail(err, CCZ_E_ARG, "helr:session", 0, "no keys message has been made");
    struct ccz_helr_layout l = ccz_helr_layout(c->n, features_len(c), rows, c->per_ct_max);
    if (l.per_ct == 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "helr:rows", (int64_t)rows, (int64_t)c->n / 2);
    struct cczi_helr_poly poly;
    cczi_helr_fold(&poly, c->info.degree, c->model->radius);
    double *w = malloc(features_len(c) * sizeof(*w));
    if (!w)
        return no_memory(err);
    for (size_t i = 0; i < features_len(c); i++)
        w[i] = poly.fold * c->model->features[i].weight;
    size_t start = out->size, ct_size = 0;
    ccz_rc rc = CCZ_OK;
    begin(out, c, CCZI_HELR_MODEL, features_len(c), l.per_ct, l.cts + 1);
    for (size_t i = 0; i < l.cts && rc == CCZ_OK; i++) {
        cczi_helr_pack_weights(c->slots, c->n, &l, i, w, features_len(c));
        rc = put_ct(out, &ct_size, c, err);
    }
    for (size_t i = 0; i < c->n / 2; i++) /* last: the bias */
        c->slots[i] = (struct ccz_complex){poly.fold * c->model->bias, 0};
    if (rc == CCZ_OK)
        rc = put_ct(out, &ct_size, c, err);
    ccz_wipe(w, features_len(c) * sizeof(*w));
    free(w);
    if (rc == CCZ_OK)
        rc = end(out, start, ct_size, err);
    if (rc == CCZ_OK)
        c->fixed = l;
    return rc;
}

/* c->x = rows, standardised. */
static ccz_rc standardise(struct ccz_helr_client *c, const double *x, size_t rows,
                          struct ccz_err *err)
{
    size_t len;
    const struct ccz_helr_feature *f = ccz_helr_client_features(&len, c);
    if (rows * len > c->x_cap) {
        free_rows(c);
        c->x = malloc(rows * len * sizeof(*c->x));
        if (!c->x)
            return no_memory(err);
        c->x_cap = rows * len;
    }
    const double limit = 1 << CCZI_HELR_LOG_VALUE_MAX;
    for (size_t i = 0; i < rows * len; i++) {
        double v = (x[i] - f[i % len].mean) / f[i % len].scale;
        if (!(v >= -limit && v <= limit))
            return ccz_fail(err, CCZ_E_ARG, "helr:value", (int64_t)i,
                            "row %zu, feature %zu: no number near the feature's range", i / len,
                            i % len);
        c->x[i] = v;
    }
    return CCZ_OK;
}

ccz_rc ccz_helr_encrypt(struct ccz_buf *out, struct ccz_helr_client *c, const double *x,
                        size_t rows, struct ccz_err *err)
{
    struct ccz_helr_layout l = ccz_helr_client_layout(c, rows);
    if (!c->has_session)
        return ccz_fail(err, CCZ_E_ARG, "helr:session", 0, "no keys message has been made");
    if (c->model && c->fixed.per_ct == 0)
        return ccz_fail(err, CCZ_E_ARG, "helr:model-missing", 0, "no model message has been made");
    if (l.per_ct == 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "helr:rows", (int64_t)rows,
                              (int64_t)(c->fixed.per_ct ? c->fixed.rows_max : c->n / 2));
    ccz_rc rc = standardise(c, x, rows, err);
    size_t start = out->size, ct_size = 0;
    if (rc == CCZ_OK)
        begin(out, c, CCZI_HELR_REQUEST, rows, l.per_ct, l.cts);
    for (size_t i = 0; i < l.cts && rc == CCZ_OK; i++) {
        cczi_helr_pack(c->slots, c->n, &l, i, c->x, rows, features_len(c));
        rc = put_ct(out, &ct_size, c, err);
    }
    return rc == CCZ_OK ? end(out, start, ct_size, err) : rc;
}

/* -------------------------------------------------------------------------------------- decrypting */

ccz_rc ccz_helr_decrypt(double *score, struct ccz_helr_client *c, struct ccz_span reply,
                        size_t rows, struct ccz_err *err)
{
    struct cczi_helr_rows h;
    memset(score, 0, rows * sizeof(*score));
    ccz_rc rc =
        cczi_helr_get_rows(&h, reply, CCZI_HELR_REPLY, CCZ_HELR_REPLY_SIZE_MAX, "helr:reply", err);
    if (rc != CCZ_OK)
        return rc;
    if (h.rows != rows || h.cts != 1 || rows > c->n / 2 ||
        memcmp(h.session, c->session, sizeof(h.session)) != 0)
        return ccz_refuse_num(err, CCZ_E_PEER, "helr:reply-rows", h.rows, (int64_t)rows);
    rc = ccz_ckks_ct_read(c->ct, c->eval, h.body, ccz_rlwe_sk_id(c->sk), err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_decrypt(c->pt, c->eval, c->sk, c->ct, err);
    return rc == CCZ_OK ? ccz_ckks_decode(score, rows, c->eval, c->pt, err) : rc;
}
