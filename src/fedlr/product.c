/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_ROWS = 4096 }; /* rows of one product: bounds its matrix to 8 bytes * rows * sums */
#define X_CLIP 8.0

struct cczi_fl_side cczi_fl_side_of(const struct ccz_fedlr_table *t, bool guest,
                                    enum ccz_fedlr_loss loss)
{
    return (struct cczi_fl_side){.t = t,
                                 .guest = guest,
                                 .squared = loss == CCZ_FEDLR_SQUARED,
                                 .sums = guest ? t->cols + 2 : t->cols};
}

/* ---------------------------------------------------------------------------------- batches */

/*
 * The rows are dealt out evenly: a remainder would make a last batch of a few rows, down to a single one, whose sums tell
 * each party the residuals, and with their signs the labels, of those rows.
 */
size_t cczi_fl_batches(size_t rows, const struct ccz_fedlr_cfg *cfg)
{
    size_t per = cfg->batch_rows > 0 && cfg->batch_rows < rows ? cfg->batch_rows : rows;
    return (rows + per - 1) / per;
}

struct cczi_fl_batch cczi_fl_batch_of(const size_t *order, size_t rows,
                                      const struct ccz_fedlr_cfg *cfg, size_t i)
{
    size_t batches = cczi_fl_batches(rows, cfg), from = i * rows / batches;
    return (struct cczi_fl_batch){order + from, (i + 1) * rows / batches - from};
}

ccz_rc cczi_fl_enough_rows(const struct ccz_fedlr_run *run, size_t rows, size_t sums,
                           struct ccz_err *err)
{
    size_t smallest = rows / cczi_fl_batches(rows, run->cfg);
    if (run->few_rows_insecure || smallest > sums)
        return CCZ_OK;
    return ccz_hint(
        err,
        ccz_refuse_num(err, CCZ_E_LIMIT, "fedlr:few-rows", (int64_t)smallest, (int64_t)sums + 1),
        "a party with as many sums as a mini-batch has rows could solve for each row");
}

size_t cczi_fl_ciphertexts(struct cczi_fl_batch b, const struct cczi_fl_layout *l)
{
    return (b.len + l->slots - 1) / l->slots;
}

/* ----------------------------------------------------------------------------------- shares */

void cczi_fl_shares(int64_t *v, const struct cczi_fl_side *side, const double *w,
                    struct cczi_fl_batch b)
{
    const struct ccz_fedlr_table *t = side->t;
    for (size_t i = 0; i < b.len; i++) {
        size_t row = b.index[i];
        double u = cczi_fl_score(w, &t->x[row * t->cols], t->cols) / 4;
        v[i] = cczi_fl_fixed(u, CCZI_SHARE_FRACTION, CCZI_SHARE_CLIP);
        if (side->guest) /* y' / 2 = y - 1/2 */
            v[i] -= (int64_t)ldexp(side->squared ? t->y[row] / 4 : t->y[row] - 0.5,
                                   CCZI_SHARE_FRACTION);
    }
}

ccz_rc cczi_fl_packed(struct ccz_paillier_plain **out, const struct ccz_paillier_pub *pub,
                      const int64_t *v, size_t len, const struct cczi_fl_layout *l,
                      struct ccz_err *err)
{
    size_t count = (len + l->slots - 1) / l->slots;
    const struct ccz_paillier_format format = {.exponent = 0, .bits = l->packed_bits};
    uint8_t n[CCZ_PAILLIER_N_SIZE_MAX], *residues = cczi_fl_zeros(count, l->n_size);
    *out = NULL;
    if (!residues)
        return cczi_fl_no_memory(err);
    ccz_paillier_n(n, pub);
    for (size_t i = 0; i < count; i++) {
        size_t from = i * l->slots, some = len - from < l->slots ? len - from : l->slots;
        cczi_fl_pack(residues + i * l->n_size, v + from, some, l, n);
    }
    ccz_rc rc = ccz_paillier_plain_residues(out, pub, residues, count, format, err);
    cczi_fl_drop(residues, count, l->n_size);
    return rc;
}

/* --------------------------------------------------------------------------------- products */

int64_t cczi_fl_entry(const struct cczi_fl_side *side, size_t row, size_t j, unsigned fraction)
{
    const struct ccz_fedlr_table *t = side->t;
    const double *x = &t->x[row * t->cols];
    if (!side->guest)
        return cczi_fl_fixed(x[j], fraction, X_CLIP);
    if (j == 0)
        return (int64_t)1 << fraction;
    if (j <= t->cols)
        return cczi_fl_fixed(x[j - 1], fraction, X_CLIP);
    if (side->squared)
        return cczi_fl_fixed(t->y[row], fraction, X_CLIP);
    return (t->y[row] == 1 ? 1 : -1) * ((int64_t)1 << fraction);
}

void cczi_fl_plain_sums(double *sums, const int64_t *v, const struct cczi_fl_side *side,
                        struct cczi_fl_batch b, const struct cczi_fl_layout *l)
{
    for (size_t j = 0; j < side->sums; j++) {
        double sum = 0;
        for (size_t i = 0; i < b.len; i++)
            sum += (double)v[i] * (double)cczi_fl_entry(side, b.index[i], j, l->x_fraction);
        sums[j] = ldexp(sum, -(CCZI_SHARE_FRACTION + (int)l->x_fraction));
    }
}

/* Ciphertexts from .. from + len times 2^(slot_bits s), for all s: what the rows are multiplied with. */
static ccz_rc spread(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *packed,
                     size_t from, size_t len, const struct cczi_fl_layout *l, struct ccz_err *err)
{
    struct ccz_paillier_vec **shifted = cczi_fl_zeros(l->slots, sizeof(*shifted));
    ccz_rc rc = shifted ? ccz_paillier_vec_slice(&shifted[0], packed, from, len, err)
                        : cczi_fl_no_memory(err);
    for (size_t s = 1; rc == CCZ_OK && s < l->slots; s++) {
        rc = ccz_paillier_vec_slice(&shifted[s], shifted[s - 1], 0, len, err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_shift(shifted[s], l->slot_bits, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_concat(out, (const struct ccz_paillier_vec *const *)shifted, l->slots,
                                     err);
    for (size_t s = 0; shifted && s < l->slots; s++)
        ccz_paillier_vec_free(shifted[s]);
    free(shifted);
    return rc;
}

/* Entries for what spread() makes: a row in slot S-1-s of its ciphertext meets 2^(slot_bits s). */
static void fill_matrix(int64_t *x, const struct cczi_fl_side *side, struct cczi_fl_batch b,
                        size_t from, size_t len, const struct cczi_fl_layout *l)
{
    for (size_t s = 0; s < l->slots; s++)
        for (size_t c = 0; c < len; c++) {
            size_t i = (from + c) * l->slots + (l->slots - 1 - s);
            int64_t *row = x + (s * len + c) * side->sums;
            for (size_t j = 0; j < side->sums; j++)
                row[j] = i < b.len ? cczi_fl_entry(side, b.index[i], j, l->x_fraction) : 0;
        }
}

/* One sum after the other, each product by itself: what CCZ_FEDLR_PRODUCT is compared with. */
static ccz_rc one_by_one(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                         const struct ccz_paillier_pub *pub, const struct ccz_paillier_matrix *m,
                         struct ccz_err *err)
{
    struct ccz_paillier_vec **sums = cczi_fl_zeros(m->rows, sizeof(*sums));
    int64_t *column = cczi_fl_zeros(m->cols, sizeof(*column));
    ccz_rc rc = sums && column ? CCZ_OK : cczi_fl_no_memory(err);
    for (size_t j = 0; rc == CCZ_OK && j < m->rows; j++) {
        CCZ_AUTO(ccz_paillier_plain) p = NULL;
        CCZ_AUTO(ccz_paillier_vec) w = NULL;
        for (size_t c = 0; c < m->cols; c++)
            column[c] = m->x[j * m->row_stride + c * m->col_stride];
        rc = ccz_paillier_plain_i64(&p, pub, column, m->cols, m->bits, NULL, err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_vec_slice(&w, v, 0, m->cols, err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_mul_plain(w, p, err);
        if (rc == CCZ_OK)
            rc = ccz_paillier_sum(&sums[j], w, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_concat(out, (const struct ccz_paillier_vec *const *)sums, m->rows,
                                     err);
    for (size_t j = 0; sums && j < m->rows; j++)
        ccz_paillier_vec_free(sums[j]);
    free(sums);
    cczi_fl_drop(column, m->cols, sizeof(*column));
    return rc;
}

/* Adds the products with ciphertexts from .. from + len to *out. */
static ccz_rc add_chunk(struct ccz_paillier_vec **out, int64_t *x,
                        const struct ccz_paillier_vec *packed, const struct ccz_paillier_pub *pub,
                        const struct cczi_fl_side *side, struct cczi_fl_batch b, size_t from,
                        size_t len, const struct cczi_fl_layout *l, const struct cczi_fl_session *s,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) bases = NULL;
    CCZ_AUTO(ccz_paillier_vec) part = NULL;
    const struct ccz_paillier_matrix m = {.x = x,
                                          .rows = side->sums,
                                          .cols = len * l->slots,
                                          .row_stride = 1,
                                          .col_stride = side->sums,
                                          .bits = l->x_bits};
    fill_matrix(x, side, b, from, len, l);
    ccz_rc rc = spread(&bases, packed, from, len, l, err);
    if (rc == CCZ_OK)
        rc = s->run->cfg->optimize & CCZ_FEDLR_PRODUCT
                 ? ccz_paillier_matmul(&part, bases, &m, s->run->threads, err)
                 : one_by_one(&part, bases, pub, &m, err);
    if (rc == CCZ_OK && *out)
        return ccz_paillier_add(*out, part, err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_vec_take(&part);
    return rc;
}

/* Adds a mask to every sum and new randomness: neither the decrypter nor anybody else can tell anything from them. */
static ccz_rc hide(struct ccz_paillier_vec *v, uint8_t *masks, size_t len,
                   const struct ccz_paillier_pub *pub, const struct cczi_fl_layout *l,
                   const struct cczi_fl_session *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_format format = {.exponent = 0, .bits = l->mask_bits + 1};
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = cczi_fl_mask(masks + i * l->n_size, l, &s->run->rng, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_plain_residues(&p, pub, masks, len, format, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_add_plain(v, p, err);
    return rc == CCZ_OK ? ccz_paillier_randomise(v, &enc, err) : rc;
}

ccz_rc cczi_fl_products(struct ccz_paillier_vec **out, uint8_t *masks,
                        const struct ccz_paillier_vec *packed, const struct ccz_paillier_pub *pub,
                        const struct cczi_fl_side *side, struct cczi_fl_batch b,
                        const struct cczi_fl_layout *l, const struct cczi_fl_session *s,
                        struct ccz_err *err)
{
    size_t count = cczi_fl_ciphertexts(b, l), per = CHUNK_ROWS / l->slots;
    CCZ_AUTO(ccz_paillier_vec) sum = NULL;
    int64_t *x = cczi_fl_zeros(per * l->slots * side->sums, sizeof(*x));
    *out = NULL;
    ccz_rc rc = x ? CCZ_OK : cczi_fl_no_memory(err);
    for (size_t from = 0; rc == CCZ_OK && from < count; from += per) {
        size_t len = count - from < per ? count - from : per;
        rc = add_chunk(&sum, x, packed, pub, side, b, from, len, l, s, err);
    }
    cczi_fl_drop(x, per * l->slots * side->sums, sizeof(*x));
    if (rc == CCZ_OK)
        rc = hide(sum, masks, side->sums, pub, l, s, err);
    if (rc == CCZ_OK)
        *out = ccz_paillier_vec_take(&sum);
    return rc;
}

/* -------------------------------------------------------------------------------- decrypter */

ccz_rc cczi_fl_serve_gradient(struct cczi_fl_session *s, size_t peer, uint64_t round,
                              const struct ccz_paillier_key *key, size_t sums,
                              const struct cczi_fl_layout *l, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_dec_cfg dec = {.threads = s->run->threads};
    ccz_rc rc = cczi_fl_recv_vec(&v, s, peer, CCZI_MSG_GRADIENT, round, s->pub, sums, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_decrypt(&p, key, v, &dec, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *residues = cczi_fl_zeros(sums, l->n_size);
    if (!residues)
        return cczi_fl_no_memory(err);
    ccz_paillier_plain_to_residues(residues, p);
    cczi_fl_msg_begin(&s->out, CCZI_MSG_WINDOWS, round);
    for (size_t i = 0; i < sums; i++)
        ccz_buf_le64(&s->out, cczi_fl_window(residues + i * l->n_size, l));
    cczi_fl_drop(residues, sums, l->n_size);
    return cczi_fl_send(s, peer, err);
}

ccz_rc cczi_fl_recv_sums(double *sums, size_t len, struct cczi_fl_session *s, size_t from,
                         uint64_t round, const uint8_t *masks, const struct cczi_fl_layout *l,
                         struct ccz_err *err)
{
    ccz_rc rc = cczi_fl_recv_values(s, from, CCZI_MSG_WINDOWS, round, len, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        sums[i] += cczi_fl_unmask(cczi_fl_msg_window(&s->msg, i), masks + i * l->n_size, l);
    return rc;
}
