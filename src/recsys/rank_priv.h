/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_RANK_PRIV_H
#define CCZ_RECSYS_RANK_PRIV_H
/*
 * Lists. A *side* is what lists are made of, the items or, for similar users, the users: its vectors in 8 bits lie in tiles of 32,
 * [tile][quad of factors][32][4], so that one instruction multiplies 4 factors of 16 of them. A *group* of up to 8 askers is
 * scanned at once, in chunks of 128 tiles: first bounds of every score, then, for those that the lists may need, scores.
 *
 * Bounds, for asker u and target v with their 8-bit forms u' = s q and v': u.v = u'.v' + u'.(v - v') + (u - u').v, so that
 * |u.v - u'.v'| <= |u'| |v - v'| + |u - u'| |v| (Cauchy-Schwarz). `alpha` and `beta` of a group, `norm` and `ratio` of a side are
 * those lengths, rounded up, with room for every rounding: docs/design/recsys-rank.md.
 */
#include "recsys_priv.h"

#include <cczoo/recsys_rank.h>

#include <math.h>
#include <string.h>

enum { CCZI_RANK_GROUP = 8, CCZI_RANK_TILE = 32, CCZI_RANK_QUAD = 4, CCZI_RANK_BLOCK = 64 };
enum { CCZI_RANK_CHUNK = 128 };                         /* tiles */
enum { CCZI_RANK_OFFSET = 128, CCZI_RANK_LIMIT = 127 }; /* targets: q + 128, |q| <= 127 */

#define CCZI_RANK_LENGTH_MAX 0x1p62
#define CCZI_RANK_LENGTH_MIN 0x1p-50 /* cosines: shorter vectors are zeros */
#define CCZI_RANK_BIAS_MAX   0x1p125f

/* Askers. */
struct cczi_rank_group {
    _Alignas(64) int8_t q[CCZ_RECSYS_FACTORS_MAX / CCZI_RANK_QUAD][CCZI_RANK_GROUP][CCZI_RANK_QUAD];
    int32_t minus[CCZI_RANK_GROUP]; /* OFFSET * sum of q */
    float scale[CCZI_RANK_GROUP], alpha[CCZI_RANK_GROUP], beta[CCZI_RANK_GROUP];
    float base[CCZI_RANK_GROUP]; /* mean and bias, rounded up */
    float fall
        [CCZI_RANK_GROUP]; /* what the lower bound is below the upper one, besides twice the error of 8 bits */
};
struct cczi_rank_tile {
    const uint8_t *panel;
    const float *scale, *norm, *base; /* [TILE] */
    float ratio;                      /* the largest length of (v - v') by that of v, in the tile */
};
/* Of the first asker; those of the next one are a step further. */
struct cczi_rank_bounds {
    float *upper;       /* [TILE]: no score is above; -INFINITY: left out */
    float *lower_max;   /* [TILE]: becomes the larger of itself and the lower bound */
    const uint32_t *in; /* bit i: target i is not left out */
    size_t upper_step, max_step, in_step;
};

struct cczi_rank_kernels {
    const char *name;
    int limit; /* |q| of askers */
    /* Bounds of a tile for the first len askers: 1 or GROUP. */
    void (*scan)(const struct cczi_rank_bounds *out, const struct cczi_rank_group *g,
                 const struct cczi_rank_tile *t, size_t quads, size_t len);
    /* Bit i of mask[t]: upper[32 t + i] >= least. */
    void (*pick)(uint32_t *mask, const float *upper, size_t tiles, float least);
    /* In the order that the header tells: the same bits from all. */
    float (*dot)(const float *a, const float *b, size_t stride);
    void (*dots)(float *out, const float *a, const float *rows, size_t len, size_t stride);
    /* top [k] descends and is to hold the k largest of itself and key [len]. No branch and no address depends on values.
     * top has room for a multiple of 8. */
    void (*insert)(int64_t *top, size_t k, const int64_t *key, size_t len);
};
extern const struct cczi_rank_kernels cczi_rank_portable, cczi_rank_avx2, cczi_rank_avx512,
    cczi_rank_vnni;
/* By name (portable, avx2, avx512, vnni), NULL = the best allowed. NULL if the processor cannot run it, or it failed its self-test. */
const struct cczi_rank_kernels *cczi_rank_kernels(const char *name);
/* Whether a tier computes what the portable one does. */
bool cczi_rank_self_test(const struct cczi_rank_kernels *k);

/* ------------------------------------------------------------------------------- rank_index.c */

struct cczi_rank_side {
    const struct ccz_recsys_factors *f;
    uint32_t tiles, quads;
    float bias_max; /* magnitude */
    uint8_t *panel;
    float *scale, *norm, *ratio; /* [tiles * TILE], ratio [tiles] */
    float *base;                 /* biases, rounded up; NULL: zeros */
    float *cosine_scale;         /* scale by length */
    float *inverse;              /* 1 by length, 0 of zeros */
};
struct ccz_recsys_index {
    const struct ccz_recsys_model *model;
    const struct cczi_rank_kernels *k;
    struct cczi_rank_side item, user; /* user.f NULL: not asked for */
};
struct cczi_rank_rounded {
    float scale;
    double length, rounded_length, error; /* of v, v' and v - v' */
};
/* @shape q, v [stride] */
struct cczi_rank_rounded cczi_rank_round(int8_t *q, const float *v, size_t stride, int limit);
/* One who asks; for cosines base is 0 and `by` 1 / length, else `by` is 1. */
struct cczi_rank_asker {
    const float *v;
    size_t stride;
    float base, by, bias_max; /* bias_max: of targets */
};
/* Asker u of a group, in range: its vector in 8 bits and the lengths that the bound is made of. */
void cczi_rank_load(struct cczi_rank_group *g, size_t u, const struct cczi_rank_asker *a,
                    int limit);
/* What bounds are proved for, and so what lists are made of, whichever way: finite, not too long, and of a bias that is not too large.
 * No branch depends on values. */
bool cczi_rank_in_range(const struct cczi_rank_asker *a);
double cczi_rank_length(const float *v, size_t stride);
/* The next float above. */
static inline float cczi_rank_up(double x)
{
    return nextafterf((float)x, INFINITY);
}
/* 1 by length, as cosines use it. */
float cczi_rank_inverse(double length);

/* ------------------------------------------------------------------------------------- topk.c */

/* Keys order as lists do: by score, among equal ones the lower number is more. No entry: -INFINITY and CCZ_RECSYS_NONE. */
#define CCZI_TOPK_EMPTY ((int64_t)0x807fffff00000000u)
static inline int64_t cczi_topk_key(float score, uint32_t number)
{
    uint32_t u;
    memcpy(&u, &score, sizeof(u));
    u ^= (0u - (u >> 31)) & 0x7fffffffu;
    return (int64_t)((uint64_t)u << 32 | (uint32_t)~number);
}
static inline float cczi_topk_score(int64_t key)
{
    uint32_t u = (uint32_t)((uint64_t)key >> 32);
    float score;
    u ^= (0u - (u >> 31)) & 0x7fffffffu;
    memcpy(&score, &u, sizeof(score));
    return score;
}
static inline uint32_t cczi_topk_number(int64_t key)
{
    return ~(uint32_t)key;
}
/* A heap of k keys, the least at heap[0]. */
void cczi_topk_init(int64_t *heap, size_t k);
void cczi_topk_replace(int64_t *heap, size_t k, int64_t key); /* heap[0] leaves */
void cczi_topk_sort(int64_t *heap, size_t k);                 /* descending */
void cczi_topk_write(uint32_t *number, float *score, const int64_t *sorted, size_t k);

void cczi_topk_none(uint32_t *number, float *score, size_t len); /* empty lists */

/* Sets bit col[i] of bits [words] for all i, without an address or branch that depends on col. */
void cczi_topk_mark(uint64_t *bits, size_t words, const uint32_t *col, size_t len);
/* key[i] of a block of scores; EMPTY where bit i of left_out is set. The result is 1 if a score is not finite, else 0. No branch. */
uint32_t cczi_topk_keys(int64_t *key, const float *score, uint32_t first, size_t len,
                        uint64_t left_out);

/* ------------------------------------------------------------------------------------- rank.c */

/* One question. */
struct cczi_rank_job {
    const struct ccz_recsys_ask *ask;
    const struct ccz_recsys_factors *users, *targets;
    const struct cczi_rank_side *side; /* of targets; NULL: every score in float32 */
    bool cosine; /* users are targets, nobody is in the own list; side is set */
    float mean;
    uint32_t *number;
    float *score;
    const struct cczi_rank_kernels *k;
    uint64_t *permitted; /* filled in: [words] by deny and allow; NULL: all */
    size_t words;
};
ccz_rc cczi_rank_run(struct cczi_rank_job *job, struct ccz_err *err);
/* ccz_recsys_recommend() by these kernels. */
ccz_rc cczi_rank_recommend(uint32_t *item, float *score, const struct ccz_recsys_model *m,
                           const struct ccz_recsys_ask *ask, const struct cczi_rank_kernels *k,
                           struct ccz_err *err);
/* Score of an asker whose vector is u, with c = mean + bias of it or, for cosines, 1 / length; d is the dot product. */
static inline float cczi_rank_score(const struct cczi_rank_job *job, float d, float c,
                                    uint32_t target)
{
    if (job->cosine)
        return d * (c * job->side->inverse[target]) + 0.0f;
    return d + (c + (job->targets->bias ? job->targets->bias[target] : 0)) + 0.0f;
}

#endif
