/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of regressions: defaults, refusals, fixed point, who has which rows and columns. */
#include "lr_priv.h"

#include <math.h>

enum { FRAC_LOGISTIC = 14, FRAC_LINEAR = 12, FRAC_WEIGHT = 20, FRAC_MIN = 4 };
enum { RANGE = 16, WEIGHT_RANGE = 1024, ROOM = CCZI_LR_RING - 2 };

/* ------------------------------------------------------------------------------------- shapes */

size_t cczi_lr_columns(const struct cczi_lr_form *form, unsigned p)
{
    return form->cfg.columns[p];
}

size_t cczi_lr_first(const struct cczi_lr_form *form, unsigned p)
{
    return p == 1 && !form->by_rows ? form->cfg.columns[0] : 0;
}

bool cczi_lr_has_labels(const struct cczi_lr_form *form, unsigned p)
{
    return form->by_rows ? form->cfg.rows[p] > 0 : form->cfg.labels == p;
}

size_t cczi_lr_own_len(const struct cczi_lr_form *form, unsigned p)
{
    const bool one = !form->cfg.no_intercept && form->cfg.labels == p;
    return form->cfg.columns[p] + one;
}

static size_t all_rows(const struct cczi_lr_form *form, const size_t rows[2])
{
    return form->by_rows ? rows[0] + rows[1] : rows[0];
}

size_t cczi_lr_score_rows(const struct cczi_lr_form *form)
{
    return all_rows(form, form->cfg.score_rows);
}

static size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* Split by rows, rows of both are spread evenly over the blocks; of few rows, a block may get none. */
static struct cczi_lr_block block_of(const struct cczi_lr_form *form, const size_t rows[2],
                                     size_t size, size_t blocks, size_t i)
{
    struct cczi_lr_block b = {0};
    for (unsigned p = 0; p < 2; p++) {
        b.from[p] = form->by_rows ? rows[p] * i / blocks : size * i;
        const size_t to = form->by_rows ? rows[p] * (i + 1) / blocks : b.from[p] + size;
        b.len[p] = (to < rows[p] ? to : rows[p]) - b.from[p];
    }
    b.rows = form->by_rows ? b.len[0] + b.len[1] : b.len[0];
    return b;
}

struct cczi_lr_block cczi_lr_batch(const struct cczi_lr_form *form, size_t i)
{
    return block_of(form, form->cfg.rows, form->cfg.batch, form->batches, i);
}

struct cczi_lr_block cczi_lr_chunk(const struct cczi_lr_form *form, size_t i)
{
    return block_of(form, form->cfg.score_rows, CCZI_LR_CHUNK, form->chunks, i);
}

/* ------------------------------------------------------------------------------------ refusals */

static ccz_rc check_enums(const struct ccz_mpcml_lr_cfg *c, struct ccz_err *err)
{
    const struct {
        unsigned value, max;
        const char *where;
    } all[] = {{(unsigned)c->model, CCZ_MPCML_LINEAR, "mpcml:model"},
               {(unsigned)c->split, CCZ_MPCML_ROWS, "mpcml:split"},
               {(unsigned)c->weights, CCZ_MPCML_WEIGHTS_SHARED, "mpcml:weights"},
               {(unsigned)c->score, CCZ_MPCML_SCORE_CLASS, "mpcml:score"},
               {(unsigned)c->given, CCZ_MPCML_GIVEN_SHARED, "mpcml:given"},
               {(unsigned)c->sigmoid.kind, CCZ_MPC_SIGMOID_CHEBYSHEV, "mpcml:sigmoid"},
               {c->labels, 1, "mpcml:labels"},
               {c->score_to, CCZ_MPC_TO_BOTH, "mpcml:score-to"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].value > all[i].max)
            return ccz_refuse_num(err, CCZ_E_ARG, all[i].where, all[i].value, all[i].max);
    return CCZ_OK;
}

static ccz_rc check_rows(const struct ccz_mpcml_lr_cfg *c, const size_t rows[2],
                         struct ccz_err *err)
{
    for (unsigned p = 0; p < 2; p++)
        if (rows[p] > CCZ_MPCML_ROWS_MAX)
            return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:rows", (int64_t)rows[p],
                                  (int64_t)CCZ_MPCML_ROWS_MAX);
    if (c->split == CCZ_MPCML_COLUMNS && rows[0] != rows[1]) {
        (void)ccz_refuse_num(err, CCZ_E_ARG, "mpcml:rows", (int64_t)rows[1], (int64_t)rows[0]);
        return ccz_hint(err, CCZ_E_ARG, "split by columns, both parties have the same rows");
    }
    return CCZ_OK;
}

static ccz_rc check_columns(const struct ccz_mpcml_lr_cfg *c, struct ccz_err *err)
{
    const size_t *n = c->columns;
    const bool by_rows = c->split == CCZ_MPCML_ROWS;
    for (unsigned p = 0; p < 2; p++)
        if (n[p] > CCZ_MPCML_COLUMNS_MAX)
            return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:columns", (int64_t)n[p],
                                  CCZ_MPCML_COLUMNS_MAX);
    if (n[0] + n[1] == 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:columns", 0, 1);
    if (by_rows && n[0] != n[1])
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:columns", (int64_t)n[1], (int64_t)n[0]);
    return CCZ_OK;
}

/* Refuses what is not in lo .. hi; NaN is never. */
static ccz_rc check_real(double v, double lo, double hi, const char *where, struct ccz_err *err)
{
    if (v >= lo && v <= hi)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, where, 0, "got %g, expected %g to %g", v, lo, hi);
}

static ccz_rc check_training(const struct ccz_mpcml_lr_cfg *c, struct ccz_err *err)
{
    if (c->batch == 0 || c->batch > CCZ_MPCML_ROWS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:batch", (int64_t)c->batch,
                              (int64_t)CCZ_MPCML_ROWS_MAX);
    if (c->epochs == 0 || c->epochs > CCZ_MPCML_EPOCHS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:epochs", (int64_t)c->epochs,
                              (int64_t)CCZ_MPCML_EPOCHS_MAX);
    ccz_rc rc = check_real(c->rate, 1e-12, (double)c->batch, "mpcml:rate", err);
    if (rc == CCZ_OK)
        rc = check_real(c->l2, 0, 1 / c->rate, "mpcml:l2", err);
    if (rc == CCZ_OK && c->model == CCZ_MPCML_LINEAR)
        rc = check_real(c->clip, 1e-6, 1e12, "mpcml:clip", err);
    if (rc == CCZ_OK && c->split == CCZ_MPCML_ROWS && c->weights == CCZ_MPCML_WEIGHTS_OWN)
        rc = ccz_refuse(err, CCZ_E_ARG, "mpcml:weights", "each party its own columns",
                        "another choice, as both have all columns");
    return rc;
}

static ccz_rc check_scoring(const struct cczi_lr_form *form, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg *c = &form->cfg;
    const size_t rows = cczi_lr_score_rows(form);
    if (rows == 0 && !form->train)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:rows", "none", "rows to train with or to score");
    if (rows > 0 && c->score_to == 0)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:score-to", "nobody", "who gets the scores");
    if (c->model == CCZ_MPCML_LINEAR && c->score == CCZ_MPCML_SCORE_CLASS)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:score", "a class", "a value of linear regression");
    if (form->given && form->by_rows && c->given == CCZ_MPCML_GIVEN_OWN)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:given", "each party its own columns",
                          "another choice, as both have all columns");
    return form->given ? check_real(c->weight_range, 1e-6, 1e12, "mpcml:weight-range", err)
                       : CCZ_OK;
}

/* --------------------------------------------------------------------------------- fixed point */

/* rate / batch = gain^2 / 2^s with 1/2 < gain^2 <= 1. */
static ccz_rc set_gain(struct cczi_lr_form *form, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg *c = &form->cfg;
    int exponent;
    form->gain = form->given && c->given == CCZ_MPCML_GIVEN_SHARED ? c->given_gain : 1;
    if (!form->train)
        return check_real(form->gain, 0.5, 1, "mpcml:given-gain", err);
    double square = frexp(c->rate / (double)c->batch, &exponent); /* 1/2 <= square < 1 */
    if (square == 0.5) {
        square = 1;
        exponent--;
    }
    if (exponent > 0 || -exponent > (int)form->g) {
        (void)ccz_fail(err, CCZ_E_ARG, "mpcml:rate", 0, "rate / batch is %g, expected 2^-%u to 1",
                       c->rate / (double)c->batch, form->g);
        return ccz_hint(err, CCZ_E_ARG, "more weight_frac, or a larger rate");
    }
    form->step = (unsigned)-exponent;
    form->gain = sqrt(square);
    return CCZ_OK;
}

/* The most rows of a batch. */
static size_t batch_max(const struct cczi_lr_form *form)
{
    const struct ccz_mpcml_lr_cfg *c = &form->cfg;
    if (!form->by_rows)
        return c->batch < c->rows[0] ? c->batch : c->rows[0];
    return ceil_div(c->rows[0], form->batches) + ceil_div(c->rows[1], form->batches);
}

static ccz_rc refuse_range(double bits, const char *what, struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_ARG, "mpcml:range", (int64_t)bits,
                   "%s could take %.1f bits, expected at most %d", what, bits, ROOM);
    return ccz_hint(err, CCZ_E_ARG,
                    "smaller feature_frac, weight_frac, range, batch or clip, or fewer steps");
}

/*
 * Bounds that hold whatever the data are. A step moves a weight by at most
 *   2^-s rows X E + u,  X = the largest feature, E = the largest |s(z) - y|, u = one unit of the last place,
 * and with decay the weights stay below (that) / decay, as it is after rounding. The intercept has X = gain and no decay.
 */
static ccz_rc check_ranges(struct cczi_lr_form *form, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg *c = &form->cfg;
    const double x = form->gain * c->range + ldexp(1, -(int)form->f);
    const double e = c->model == CCZ_MPCML_LINEAR                   ? c->clip
                     : c->sigmoid.kind == CCZ_MPC_SIGMOID_CHEBYSHEV ? 2
                                                                    : 1;
    double w = c->weight_range, intercept = w;
    if (form->train) {
        const double step = ldexp((double)batch_max(form) * x * e, -(int)form->step);
        const double u = ldexp(1, -(int)form->g), moved = step + u;
        const double steps = (double)c->epochs * (double)form->batches;
        const double decay = ldexp((double)form->decay, -(int)(2 * form->f + form->step));
        const double one = ldexp((double)form->one, -(int)form->f);
        w = moved * steps;
        intercept =
            form->len > form->columns
                ? one * steps * (ldexp((double)batch_max(form) * one * e, -(int)form->step) + u)
                : 0;
        w = decay > 0 && moved / decay < w ? moved / decay : w;
        const double bits = log2(decay * w + step) + 2 * form->f + form->step + form->g;
        if (!(bits < ROOM))
            return refuse_range(bits, "the sum of a step", err);
    }
    const double z = (double)form->columns * x * w + intercept + (form->train ? 0 : c->range) + 1;
    const double bits = log2(z) + form->f + form->g;
    if (!(bits < ROOM))
        return refuse_range(bits, "a linear predictor", err);
    if (c->model == CCZ_MPCML_LINEAR && form->train &&
        !(log2(c->range + c->clip) + form->f + form->g < ROOM - 1))
        return refuse_range(log2(c->range + c->clip) + form->f + form->g, "an error", err);
    form->weight_bound = w;
    if (form->train && form->len > form->columns)
        form->weight_bound = fmax(w, intercept / ldexp((double)form->one, -(int)form->f));
    form->z_bits = z < 16 ? 4 : (unsigned)ceil(log2(z));
    return CCZ_OK;
}

static ccz_rc set_fixed(struct cczi_lr_form *form, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg *c = &form->cfg;
    if (c->feature_frac < FRAC_MIN || c->weight_frac < FRAC_MIN ||
        2 * (uint64_t)c->feature_frac + c->weight_frac > ROOM)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:frac", 0,
                        "feature_frac %u, weight_frac %u; expected at least %d each, and "
                        "2 feature_frac + weight_frac at most %d",
                        c->feature_frac, c->weight_frac, FRAC_MIN, ROOM);
    form->f = c->feature_frac;
    form->g = c->weight_frac;
    ccz_rc rc = check_real(c->range, 1, 1e9, "mpcml:range", err);
    if (rc == CCZ_OK)
        rc = set_gain(form, err);
    if (rc != CCZ_OK)
        return rc;
    form->one = (uint64_t)llround(ldexp(form->gain, (int)form->f));
    if (form->train)
        form->decay = (uint64_t)llround(ldexp(c->rate * c->l2, (int)(2 * form->f + form->step)));
    rc = check_ranges(form, err);
    if (rc != CCZ_OK)
        return rc;
    if (form->train && c->model == CCZ_MPCML_LINEAR)
        form->clip = (uint64_t)llround(ldexp(c->clip, (int)(form->f + form->g)));
    form->max_abs = (uint64_t)ceil(ldexp(c->range, (int)form->f)) + 1;
    return CCZ_OK;
}

static void set_defaults(struct ccz_mpcml_lr_cfg *c)
{
    const unsigned frac = c->model == CCZ_MPCML_LINEAR ? FRAC_LINEAR : FRAC_LOGISTIC;
    c->feature_frac = c->feature_frac ? c->feature_frac : frac;
    c->weight_frac = c->weight_frac ? c->weight_frac : FRAC_WEIGHT;
    c->range = c->range == 0 ? RANGE : c->range;
    c->clip = c->clip == 0 ? c->range : c->clip;
    c->weight_range = c->weight_range == 0 ? WEIGHT_RANGE : c->weight_range;
    c->given_gain = c->given_gain == 0 ? 1 : c->given_gain;
    c->sigmoid.range = 0;
}

ccz_rc cczi_lr_form_init(struct cczi_lr_form *form, const struct ccz_mpcml_lr_cfg *cfg,
                         struct ccz_err *err)
{
    *form = (struct cczi_lr_form){.cfg = *cfg};
    struct ccz_mpcml_lr_cfg *c = &form->cfg;
    set_defaults(c);
    ccz_rc rc = check_enums(c, err);
    if (rc == CCZ_OK)
        rc = check_rows(c, c->rows, err);
    if (rc == CCZ_OK)
        rc = check_rows(c, c->score_rows, err);
    if (rc == CCZ_OK)
        rc = check_columns(c, err);
    if (rc != CCZ_OK)
        return rc;
    form->by_rows = c->split == CCZ_MPCML_ROWS;
    form->train = c->rows[0] + c->rows[1] > 0;
    form->given = !form->train;
    form->columns = form->by_rows ? c->columns[0] : c->columns[0] + c->columns[1];
    form->len = form->columns + !c->no_intercept;
    if (form->train)
        rc = check_training(c, err);
    if (rc == CCZ_OK)
        rc = check_scoring(form, err);
    if (rc != CCZ_OK)
        return rc;
    form->batches = form->train ? ceil_div(all_rows(form, c->rows), c->batch) : 0;
    form->chunks = ceil_div(cczi_lr_score_rows(form), CCZI_LR_CHUNK);
    return set_fixed(form, err);
}

double ccz_mpcml_lr_weight_bound(const struct ccz_mpcml_lr_cfg *cfg)
{
    struct cczi_lr_form form;
    return cczi_lr_form_init(&form, cfg, NULL) == CCZ_OK ? form.weight_bound : NAN;
}

size_t ccz_mpcml_lr_weights_len(const struct ccz_mpcml_lr_cfg *cfg)
{
    const bool by_rows = cfg->split == CCZ_MPCML_ROWS;
    return cfg->columns[0] + (by_rows ? 0 : cfg->columns[1]) + !cfg->no_intercept;
}

/* -------------------------------------------------------------------------------------- digest */

ccz_rc cczi_lr_digest(uint8_t out[CCZ_MPC_PROGRAM_SIZE], const struct cczi_lr_form *form,
                      struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg *c = &form->cfg;
    const uint64_t numbers[] = {(uint64_t)c->model,
                                (uint64_t)c->split,
                                c->rows[0],
                                c->rows[1],
                                c->columns[0],
                                c->columns[1],
                                c->labels,
                                c->batch,
                                c->epochs,
                                (uint64_t)c->sigmoid.kind,
                                c->sigmoid.pieces,
                                c->sigmoid.degree,
                                c->seed,
                                c->no_intercept,
                                c->feature_frac,
                                c->weight_frac,
                                (uint64_t)c->weights,
                                c->score_rows[0],
                                c->score_rows[1],
                                (uint64_t)c->score,
                                c->score_to,
                                (uint64_t)c->given};
    const double reals[] = {c->rate, c->l2, c->clip, c->range, c->weight_range, c->given_gain};
    struct cczi_mpcml_digest d;
    cczi_mpcml_digest_begin(&d, "cczoo mpcml regression 1");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        cczi_mpcml_digest_u64(&d, numbers[i]);
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
        cczi_mpcml_digest_real(&d, reals[i]);
    return cczi_mpcml_digest_end(out, &d, err);
}
