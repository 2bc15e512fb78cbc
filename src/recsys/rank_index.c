/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors in 8 bits, in tiles, with what rounding has done to them. */
#include "rank_priv.h"

#include <stdlib.h>

enum { LANES = 8 };

static double add_up(const double s[LANES])
{
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

double cczi_rank_length(const float *v, size_t stride)
{
    double squares[LANES] = {0};
    for (size_t j = 0; j < stride; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            squares[l] += (double)v[j + l] * v[j + l];
    return sqrt(add_up(squares));
}

bool cczi_rank_in_range(const struct cczi_rank_asker *a)
{
    return (cczi_rank_length(a->v, a->stride) < CCZI_RANK_LENGTH_MAX) &
           (fabsf(a->base) < 2 * CCZI_RANK_BIAS_MAX);
}

/* In lanes: so that compilers make vector code of it. */
struct cczi_rank_rounded cczi_rank_round(int8_t *q, const float *v, size_t stride, int limit)
{
    float most[LANES] = {0}, max = 0;
    double squares[LANES] = {0}, rounded[LANES] = {0}, error[LANES] = {0};
    for (size_t j = 0; j < stride; j += LANES)
        for (size_t l = 0; l < LANES; l++) {
            const float x = fabsf(v[j + l]);
            most[l] = x > most[l] ? x : most[l];
            squares[l] += (double)x * x;
        }
    for (size_t l = 0; l < LANES; l++)
        max = most[l] > max ? most[l] : max;
    /* what is too short for 1 / max keeps a scale of 0: v' = 0, and all of v is error */
    const float scale = max < 0x1p-100f ? 0 : max / (float)limit;
    const float by = max < 0x1p-100f ? 0 : (float)limit / max;
    for (size_t j = 0; j < stride; j += LANES)
        for (size_t l = 0; l < LANES; l++) {
            /* |v by| is at most limit, but for a rounding: 1.5 2^23 is added and taken away, which leaves a whole number, and no more
             * than limit */
            const float x = (v[j + l] * by + 0x1.8p23f) - 0x1.8p23f;
            const double e = (double)v[j + l] - (double)scale * x;
            q[j + l] = (int8_t)x;
            rounded[l] += (double)x * x;
            error[l] += e * e;
        }
    return (struct cczi_rank_rounded){.scale = scale,
                                      .length = sqrt(add_up(squares)),
                                      .rounded_length = scale * sqrt(add_up(rounded)),
                                      .error = sqrt(add_up(error))};
}

float cczi_rank_inverse(double length)
{
    return length < CCZI_RANK_LENGTH_MIN ? 0 : (float)(1 / length);
}

void cczi_rank_load(struct cczi_rank_group *g, size_t u, const struct cczi_rank_asker *a, int limit)
{
    int8_t q[CCZ_RECSYS_FACTORS_MAX];
    int32_t sum = 0;
    const struct cczi_rank_rounded r = cczi_rank_round(q, a->v, a->stride, limit);
    for (size_t j = 0; j < a->stride; j++) {
        g->q[j / CCZI_RANK_QUAD][u][j % CCZI_RANK_QUAD] = q[j];
        sum += q[j];
    }
    ccz_wipe(q, a->stride);
    /* Of |u| |v|: what the score itself and the bound lose by rounding; half of it would do (docs/design/recsys-rank.md). */
    const double gamma = ((double)a->stride / 16 + 16) * 0x1p-23, more = 1 + 0x1p-20;
    g->minus[u] = CCZI_RANK_OFFSET * sum;
    g->scale[u] = (float)((double)r.scale * a->by);
    g->alpha[u] = cczi_rank_up((r.error + gamma * r.length) * a->by * more);
    g->beta[u] = cczi_rank_up(r.rounded_length * a->by * more);
    /* and what is lost below the smallest numbers */
    g->base[u] = cczi_rank_up(a->base + 0x1p-20 * fabs(a->base) + 0x1p-120);
    g->fall[u] =
        cczi_rank_up(2 * (0x1p-20 * fabs(a->base) + 0x1p-20 * a->bias_max + 0x1p-120) * more);
}

static ccz_rc refuse_value(struct ccz_err *err, size_t number, const char *what)
{
    return ccz_fail(err, CCZ_E_ARG, "recsys:value", (int64_t)number,
                    "%s %zu is not finite or too large", what, number);
}

/* One vector: its place in the tile and what is known about it. */
static ccz_rc put(struct cczi_rank_side *s, uint32_t number, float *ratio, struct ccz_err *err)
{
    int8_t q[CCZ_RECSYS_FACTORS_MAX];
    const float *v = ccz_recsys_row(s->f, number);
    const float bias = s->f->bias ? s->f->bias[number] : 0;
    if (!(cczi_rank_length(v, s->f->stride) < CCZI_RANK_LENGTH_MAX) ||
        !(fabsf(bias) < CCZI_RANK_BIAS_MAX)) /* before anything is converted to whole numbers */
        return refuse_value(err, number, "vector");
    const struct cczi_rank_rounded r = cczi_rank_round(q, v, s->f->stride, CCZI_RANK_LIMIT);
    uint8_t *panel =
        s->panel + (size_t)(number / CCZI_RANK_TILE) * s->quads * CCZI_RANK_TILE * CCZI_RANK_QUAD;
    for (size_t j = 0; j < s->f->stride; j++)
        panel[(j / CCZI_RANK_QUAD * CCZI_RANK_TILE + number % CCZI_RANK_TILE) * CCZI_RANK_QUAD +
              j % CCZI_RANK_QUAD] = (uint8_t)(q[j] + CCZI_RANK_OFFSET);
    ccz_wipe(q, s->f->stride);
    s->scale[number] = r.scale;
    s->norm[number] = cczi_rank_up(r.length);
    s->inverse[number] = cczi_rank_inverse(r.length);
    s->cosine_scale[number] = s->inverse[number] > 0 ? (float)(r.scale / r.length) : 0;
    if (s->base)
        s->base[number] = cczi_rank_up(bias + 0x1p-20 * fabs(bias));
    if (r.length > 0)
        *ratio = fmaxf(*ratio, cczi_rank_up(r.error / r.length));
    return CCZ_OK;
}

static ccz_rc put_tiles(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct cczi_rank_side *s = arg;
    for (size_t t = from; t < from + len; t++)
        for (uint32_t i = 0; i < CCZI_RANK_TILE; i++) {
            const size_t number = t * CCZI_RANK_TILE + i;
            ccz_rc rc = number < s->f->len ? put(s, (uint32_t)number, &s->ratio[t], err) : CCZ_OK;
            if (rc != CCZ_OK)
                return rc;
        }
    return CCZ_OK;
}

static uint64_t padded(uint32_t len)
{
    return ((uint64_t)len + CCZI_RANK_TILE - 1) / CCZI_RANK_TILE * CCZI_RANK_TILE;
}

static ccz_rc side_init(struct cczi_rank_side *s, const struct ccz_recsys_factors *f,
                        unsigned threads, struct ccz_err *err)
{
    const uint64_t all = padded(f->len);
    *s = (struct cczi_rank_side){.f = f,
                                 .tiles = (uint32_t)(all / CCZI_RANK_TILE),
                                 .quads = f->stride / CCZI_RANK_QUAD,
                                 .panel = cczi_recsys_alloc(all * f->stride, 1),
                                 .scale = cczi_recsys_alloc(all, sizeof(float)),
                                 .norm = cczi_recsys_alloc(all, sizeof(float)),
                                 .ratio = cczi_recsys_alloc(all / CCZI_RANK_TILE, sizeof(float)),
                                 .base = f->bias ? cczi_recsys_alloc(all, sizeof(float)) : NULL,
                                 .cosine_scale = cczi_recsys_alloc(all, sizeof(float)),
                                 .inverse = cczi_recsys_alloc(all, sizeof(float))};
    if (!s->panel || !s->scale || !s->norm || !s->ratio || (f->bias && !s->base) ||
        !s->cosine_scale || !s->inverse)
        return cczi_recsys_no_memory(err);
    for (uint32_t i = 0; f->bias && i < f->len; i++)
        s->bias_max = fmaxf(s->bias_max, fabsf(f->bias[i]));
    return ccz_parallel(put_tiles, s, s->tiles, 1, threads, err);
}

static void side_deinit(struct cczi_rank_side *s)
{
    if (!s->f)
        return;
    const size_t floats = (size_t)s->tiles * CCZI_RANK_TILE * sizeof(float);
    cczi_recsys_wipe_free(s->panel, (size_t)s->tiles * s->quads * CCZI_RANK_TILE * CCZI_RANK_QUAD);
    cczi_recsys_wipe_free(s->scale, floats);
    cczi_recsys_wipe_free(s->norm, floats);
    cczi_recsys_wipe_free(s->ratio, s->tiles * sizeof(float));
    cczi_recsys_wipe_free(s->base, floats);
    cczi_recsys_wipe_free(s->cosine_scale, floats);
    cczi_recsys_wipe_free(s->inverse, floats);
    *s = (struct cczi_rank_side){0};
}

static uint64_t side_size(const struct ccz_recsys_factors *f)
{
    const uint64_t all = padded(f->len);
    return all * f->stride + all * (f->bias ? 5 : 4) * sizeof(float) +
           all / CCZI_RANK_TILE * sizeof(float);
}

uint64_t ccz_recsys_index_size(const struct ccz_recsys_model *model,
                               const struct ccz_recsys_index_cfg *cfg)
{
    return sizeof(struct ccz_recsys_index) + side_size(&model->item) +
           (cfg && cfg->users ? side_size(&model->user) : 0);
}

ccz_rc ccz_recsys_index_new(struct ccz_recsys_index **out, const struct ccz_recsys_model *model,
                            const struct ccz_recsys_index_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (model->user.factors != model->item.factors)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:factors", model->user.factors,
                              model->item.factors);
    if (!(fabsf(model->mean) < CCZI_RANK_BIAS_MAX))
        return ccz_fail(err, CCZ_E_ARG, "recsys:value", -1, "the mean is not finite or too large");
    const struct cczi_rank_kernels *k = cczi_rank_kernels(cfg ? cfg->tier : NULL);
    if (!k)
        return ccz_refuse(err, CCZ_E_UNAVAILABLE, "recsys:tier", cfg->tier,
                          "a tier of vector code that this processor has");
    const unsigned threads = cfg ? cfg->threads : 0;
    CCZ_AUTO(ccz_recsys_index) index = calloc(1, sizeof(*index));
    if (!index)
        return cczi_recsys_no_memory(err);
    index->model = model;
    index->k = k;
    ccz_rc rc = side_init(&index->item, &model->item, threads, err);
    if (rc == CCZ_OK && cfg && cfg->users)
        rc = side_init(&index->user, &model->user, threads, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_index_take(&index);
    return rc;
}

void ccz_recsys_index_free(struct ccz_recsys_index *index)
{
    if (!index)
        return;
    side_deinit(&index->item);
    side_deinit(&index->user);
    free(index);
}
