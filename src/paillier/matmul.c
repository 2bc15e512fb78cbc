/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix of plain integers times encrypted vector. */
#include "paillier/paillier_priv.h"

#include <stdlib.h>

enum { BITS_MAX = 62, GRAIN = 8 };

/* Largest block of the matrix that is copied to be read in the order of the arithmetic. */
enum { BLOCK_ROWS = 256 };

struct work {
    struct ccz_paillier_vec *out;
    const struct ccz_paillier_vec *v;
    const struct ccz_paillier_matrix *m;
};

/* exps[c][r] of rows from .. from + rows */
static void copy_block(int64_t *exps, const struct ccz_paillier_matrix *m, size_t from, size_t rows)
{
    for (size_t c = 0; c < m->cols; c++)
        for (size_t r = 0; r < rows; r++)
            exps[c * rows + r] = m->x[(from + r) * m->row_stride + c * m->col_stride];
}

static ccz_rc range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct work *work = arg;
    const struct ccz_paillier_pub *pub = work->v->pub;
    const struct ccz_paillier_matrix *m = work->m;
    int64_t *exps = NULL;
    ccz_rc rc = CCZ_OK;
    if (m->row_stride != 1 && !(exps = malloc(sizeof(*exps) * BLOCK_ROWS * m->cols)))
        return cczi_no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i += BLOCK_ROWS) {
        size_t rows = len - i < BLOCK_ROWS ? len - i : BLOCK_ROWS;
        if (exps)
            copy_block(exps, m, from + i, rows);
        rc = ccz_mont_multi_pow_var(pub->m, work->out->w + (from + i) * pub->len, rows, work->v->w,
                                    m->cols, exps ? exps : m->x + from + i,
                                    exps ? rows : m->col_stride, m->bits, err);
    }
    free(exps);
    return rc;
}

/* Every entry below 2^bits. */
static ccz_rc check_entries(const struct ccz_paillier_matrix *m, struct ccz_err *err)
{
    uint64_t bad = 0;
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++) {
            int64_t x = m->x[r * m->row_stride + c * m->col_stride];
            uint64_t sign = 0 - ((uint64_t)x >> 63);
            bad |= (((uint64_t)x ^ sign) - sign) >> m->bits;
        }
    return bad ? ccz_fail(err, CCZ_E_LIMIT, "paillier:range", 0,
                          "an entry does not fit in the %u bits declared", m->bits)
               : CCZ_OK;
}

static ccz_rc check(struct cczi_bound *bound, const struct ccz_paillier_vec *v,
                    const struct ccz_paillier_matrix *m, struct ccz_err *err)
{
    if (m->cols != v->len || m->cols == 0)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "paillier:len", (int64_t)m->cols,
                              (int64_t)v->len);
    if (m->bits == 0 || m->bits > BITS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:bits", m->bits, BITS_MAX);
    int64_t exponent = (int64_t)v->exponent + m->exponent;
    if (exponent < -CCZI_PAI_EXPONENT_MAX || exponent > CCZI_PAI_EXPONENT_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:exponent", exponent,
                              CCZI_PAI_EXPONENT_MAX);
    struct cczi_bound limit = cczi_limit(v->pub, v->pack);
    *bound = cczi_bound_times(cczi_bound_mul(v->bound, cczi_bound_bits(m->bits)), m->cols);
    return cczi_bound_fits(*bound, limit) ? check_entries(m, err)
                                          : cczi_overflow(err, *bound, limit);
}

ccz_rc ccz_paillier_matmul(struct ccz_paillier_vec **out, const struct ccz_paillier_vec *v,
                           const struct ccz_paillier_matrix *m, unsigned threads,
                           struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_vec) o = NULL;
    struct cczi_bound bound;
    ccz_rc rc = check(&bound, v, m, err);
    if (rc == CCZ_OK)
        rc = cczi_vec_new(&o, v->pub, m->rows, err);
    if (rc != CCZ_OK)
        return rc;
    struct work work = {o, v, m};
    rc = ccz_parallel(range, &work, m->rows, GRAIN, threads, err);
    if (rc != CCZ_OK)
        return rc;
    o->exponent = v->exponent + m->exponent;
    o->pack = v->pack;
    o->bound = bound;
    o->random = CCZI_RANDOM_NONE;
    *out = ccz_paillier_vec_take(&o);
    return CCZ_OK;
}
