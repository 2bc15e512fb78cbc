/* SPDX-License-Identifier: Apache-2.0 */
/*
 * K-means of two parties. Both splits are one thing: the table of all points in two blocks, each of which is a party's and the
 * fixed operand of its products. With columns split, products with both blocks are summed for distances and lie side by side
 * for sums; with rows split it is the other way round.
 */
#include "kmeans_priv.h"

#include "base/ct.h"

#include <cczoo/mpc_cmp.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ccz_mpcml_kmeans {
    struct cczi_kmeans k;
    unsigned role;
    struct ccz_mpcml_program program;
    uint64_t *points;  /* this party's */
    uint64_t *centres; /* what it gets */
    bool done;
    struct ccz_mpc_tensor *x[2]; /* of a session */
};

static bool by_rows(const struct ccz_mpcml_kmeans *km)
{
    return km->k.c.split == CCZ_MPCML_ROWS;
}

/* Several tensors, freed together. */
struct bag {
    struct ccz_mpc_tensor *t[2 * CCZ_MPCML_CLUSTERS_MAX];
    size_t len;
};

static void bag_deinit(struct bag *b)
{
    for (size_t i = 0; i < b->len; i++)
        ccz_mpc_tensor_free(b->t[i]);
    b->len = 0;
}
#define AUTO_BAG __attribute__((cleanup(bag_deinit))) struct bag

static ccz_rc concat(struct ccz_mpc_tensor **out, const struct bag *b, unsigned axis,
                     struct ccz_err *err)
{
    const struct ccz_mpc_tensor *parts[2 * CCZ_MPCML_CLUSTERS_MAX];
    for (size_t i = 0; i < b->len; i++)
        parts[i] = b->t[i];
    return ccz_mpc_concat(out, parts, b->len, axis, err);
}

/* Columns from .. from + len of a, put into the bag. */
static ccz_rc put_columns(struct bag *b, const struct ccz_mpc_tensor *a, size_t from, size_t len,
                          struct ccz_err *err)
{
    ccz_rc rc = ccz_mpc_slice(&b->t[b->len], a, 1, from, 1, len, err);
    b->len += rc == CCZ_OK;
    return rc;
}

static void replace(struct ccz_mpc_tensor **t, struct ccz_mpc_tensor **by)
{
    ccz_mpc_tensor_free(*t);
    *t = ccz_mpc_tensor_take(by);
}

/* -------------------------------------------------------------------------------------- inputs */

static ccz_rc check_session(const struct ccz_mpcml_kmeans *km, const struct ccz_mpc *m,
                            struct ccz_err *err)
{
    const ccz_rc rc = cczi_mpcml_check_session(m, km->role, CCZI_KMEANS_RING, err);
    if (rc != CCZ_OK || ccz_mpc_is_plan(m))
        return rc;
    if (!km->points)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:data", 0, "no points");
    return CCZ_OK;
}

static ccz_rc inputs(void *self, struct ccz_mpc *m, struct ccz_err *err)
{
    struct ccz_mpcml_kmeans *km = self;
    const struct ccz_mpcml_kmeans_cfg *c = &km->k.c;
    km->done = false;
    ccz_rc rc = check_session(km, m, err);
    for (unsigned r = 0; r < 2 && rc == CCZ_OK; r++) {
        const bool mine = r == km->role && !ccz_mpc_is_plan(m);
        rc = ccz_mpc_private(&km->x[r], m, r, CCZ_MPC_SHAPE2(c->rows[r], c->columns[r]), c->frac,
                             mine ? km->points : NULL, err);
    }
    return rc;
}

static void reset(void *self)
{
    struct ccz_mpcml_kmeans *km = self;
    for (unsigned r = 0; r < 2; r++) {
        ccz_mpc_tensor_free(km->x[r]);
        km->x[r] = NULL;
    }
}

/* Rows of a party's block, as shares. */
static ccz_rc put_rows(struct bag *b, const struct ccz_mpc_tensor *x, const uint32_t *rows,
                       size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) own = NULL;
    ccz_rc rc = ccz_mpc_rows(&own, x, rows, len, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share(&b->t[b->len], own, err);
    b->len += rc == CCZ_OK;
    return rc;
}

static ccz_rc first_by_rows(struct ccz_mpc_tensor **out, const struct ccz_mpcml_kmeans *km,
                            struct ccz_err *err)
{
    const size_t clusters = km->k.c.clusters;
    uint32_t rows[2][CCZ_MPCML_CLUSTERS_MAX], place[CCZ_MPCML_CLUSTERS_MAX];
    size_t len[2] = {0};
    CCZ_AUTO(ccz_mpc_tensor) all = NULL;
    AUTO_BAG b = {0};
    for (size_t j = 0; j < clusters; j++) {
        const bool second = km->k.first[j] >= km->k.c.rows[0];
        rows[second][len[second]++] = (uint32_t)(km->k.first[j] - (second ? km->k.c.rows[0] : 0));
    }
    for (size_t j = 0, at[2] = {0, len[0]}; j < clusters; j++)
        place[j] = (uint32_t)at[km->k.first[j] >= km->k.c.rows[0]]++;
    ccz_rc rc = CCZ_OK;
    for (unsigned r = 0; r < 2 && rc == CCZ_OK; r++)
        if (len[r])
            rc = put_rows(&b, km->x[r], rows[r], len[r], err);
    if (rc == CCZ_OK)
        rc = concat(&all, &b, 0, err);
    return rc == CCZ_OK ? ccz_mpc_rows(out, all, place, clusters, err) : rc;
}

static ccz_rc first_centres(struct ccz_mpc_tensor **out, const struct ccz_mpcml_kmeans *km,
                            struct ccz_err *err)
{
    AUTO_BAG b = {0};
    if (by_rows(km))
        return first_by_rows(out, km, err);
    ccz_rc rc = put_rows(&b, km->x[0], km->k.first, km->k.c.clusters, err);
    if (rc == CCZ_OK)
        rc = put_rows(&b, km->x[1], km->k.first, km->k.c.clusters, err);
    return rc == CCZ_OK ? concat(out, &b, 1, err) : rc;
}

/* ------------------------------------------------------------------------------------- distances */

/* All in one round, or one after the other. */
static ccz_rc products(struct bag *out, const struct ccz_mpc_product *p, size_t len,
                       bool one_by_one, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (!one_by_one) {
        rc = ccz_mpc_products(out->t, p, len, err);
        out->len = rc == CCZ_OK ? len : 0;
        return rc;
    }
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        rc = ccz_mpc_products(&out->t[i], &p[i], 1, err);
        out->len += rc == CCZ_OK;
    }
    return rc;
}

/* Of the two blocks: one above the other, side by side, or added. */
static ccz_rc join(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor *const t[2], bool add,
                   unsigned axis, struct ccz_err *err)
{
    const struct ccz_mpc_tensor *parts[2] = {t[0], t[1]};
    return add ? ccz_mpc_add(out, t[0], t[1], err) : ccz_mpc_concat(out, parts, 2, axis, err);
}

/* Centres as they meet a block: transposed, and its columns alone. */
static ccz_rc facing(struct ccz_mpc_tensor **out, const struct ccz_mpcml_kmeans *km, unsigned r,
                     const struct ccz_mpc_tensor *centres, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) part = NULL;
    const size_t from = by_rows(km) || r == 0 ? 0 : km->k.c.columns[0];
    ccz_rc rc = ccz_mpc_slice(&part, centres, 1, from, 1, km->k.c.columns[r], err);
    return rc == CCZ_OK ? ccz_mpc_transpose(out, part, err) : rc;
}

/* |c|^2 - 2 x c, [points, clusters], said to have no fraction bits. */
static ccz_rc distances(struct ccz_mpc_tensor **out, const struct ccz_mpcml_kmeans *km,
                        const struct ccz_mpc_tensor *centres, bool one_by_one, struct ccz_err *err)
{
    const size_t clusters = km->k.c.clusters;
    CCZ_AUTO(ccz_mpc_tensor) c0 = NULL;
    CCZ_AUTO(ccz_mpc_tensor) c1 = NULL;
    CCZ_AUTO(ccz_mpc_tensor) dots = NULL;
    CCZ_AUTO(ccz_mpc_tensor) twice = NULL;
    CCZ_AUTO(ccz_mpc_tensor) sums = NULL;
    CCZ_AUTO(ccz_mpc_tensor) norms = NULL;
    CCZ_AUTO(ccz_mpc_tensor) d = NULL;
    AUTO_BAG p = {0};
    ccz_rc rc = facing(&c0, km, 0, centres, err);
    if (rc == CCZ_OK)
        rc = facing(&c1, km, 1, centres, err);
    const struct ccz_mpc_product list[] = {{.op = CCZ_MPC_OP_MATMUL, .a = km->x[0], .b = c0},
                                           {.op = CCZ_MPC_OP_MATMUL, .a = km->x[1], .b = c1},
                                           {.op = CCZ_MPC_OP_SQUARE, .a = centres}};
    if (rc == CCZ_OK)
        rc = products(&p, list, 3, one_by_one, err);
    if (rc == CCZ_OK)
        rc = join(&dots, p.t, !by_rows(km), 0, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_scale(&twice, dots, 2, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sum(&sums, p.t[2], 1, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reshape(&norms, sums, CCZ_MPC_SHAPE2(1, clusters), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sub(&d, norms, twice, err);
    return rc == CCZ_OK ? ccz_mpc_reinterpret(out, d, 0, err) : rc;
}

/* ---------------------------------------------------------------------------------- the nearest */

/*
 * A tournament of all points at once: neighbours meet, the left one stays unless the right one is nearer. `value` has what the groups
 * that are left have at best, `hot` for each cluster 1 if it is the best one of its group, and 0.
 */
struct tournament {
    struct ccz_mpc_tensor *value, *hot;
    size_t groups, start[CCZ_MPCML_CLUSTERS_MAX + 1]; /* of a group's clusters */
};

static void tournament_deinit(struct tournament *t)
{
    ccz_mpc_tensor_free(t->value);
    ccz_mpc_tensor_free(t->hot);
}
#define AUTO_TOURNAMENT __attribute__((cleanup(tournament_deinit))) struct tournament

static ccz_rc begin(struct tournament *t, const struct ccz_mpc_tensor *distances,
                    struct ccz_err *err)
{
    const struct ccz_mpc_shape shape = ccz_mpc_shape_of(distances);
    CCZ_AUTO(ccz_mpc_tensor) one = NULL;
    CCZ_AUTO(ccz_mpc_tensor) ones = NULL;
    const uint64_t value = 1;
    t->groups = shape.dim[1];
    for (size_t i = 0; i <= t->groups; i++)
        t->start[i] = i;
    ccz_rc rc = ccz_mpc_copy(&t->value, distances, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_public(&one, ccz_mpc_session_of(distances), CCZ_MPC_SHAPE2(1, 1), 0, &value,
                            err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_expand(&ones, one, shape, err);
    return rc == CCZ_OK ? ccz_mpc_share(&t->hot, ones, err) : rc;
}

/* Who won, once for the value of each pair and once for each of its clusters: [points, pairs + clusters]. */
static ccz_rc spread(struct ccz_mpc_tensor **out, const struct tournament *t,
                     const struct ccz_mpc_tensor *wins, struct ccz_err *err)
{
    const size_t pairs = t->groups / 2, points = ccz_mpc_shape_of(wins).dim[0];
    AUTO_BAG b = {0};
    ccz_rc rc = put_columns(&b, wins, 0, pairs, err);
    for (size_t i = 0; i < pairs && rc == CCZ_OK; i++) {
        CCZ_AUTO(ccz_mpc_tensor) column = NULL;
        const size_t len = t->start[2 * i + 2] - t->start[2 * i];
        rc = ccz_mpc_slice(&column, wins, 1, i, 1, 1, err);
        if (rc == CCZ_OK)
            rc = ccz_mpc_expand(&b.t[b.len], column, CCZ_MPC_SHAPE2(points, len), err);
        b.len += rc == CCZ_OK;
    }
    return rc == CCZ_OK ? concat(out, &b, 1, err) : rc;
}

/* Bits of pairs: left clusters keep theirs if the left one won, right ones if the right one did. */
static ccz_rc new_hot(struct tournament *t, const struct ccz_mpc_tensor *right_won,
                      struct ccz_err *err)
{
    const size_t pairs = t->groups / 2, met = t->start[2 * pairs];
    CCZ_AUTO(ccz_mpc_tensor) before = NULL;
    CCZ_AUTO(ccz_mpc_tensor) left_won = NULL;
    CCZ_AUTO(ccz_mpc_tensor) hot = NULL;
    AUTO_BAG b = {0};
    ccz_rc rc = ccz_mpc_slice(&before, t->hot, 1, 0, 1, met, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sub(&left_won, before, right_won, err);
    for (size_t g = 0; g < 2 * pairs && rc == CCZ_OK; g++)
        rc = put_columns(&b, g % 2 ? right_won : left_won, t->start[g],
                         t->start[g + 1] - t->start[g], err);
    if (rc == CCZ_OK && t->groups % 2)
        rc = put_columns(&b, t->hot, met, t->start[t->groups] - met, err);
    if (rc == CCZ_OK)
        rc = concat(&hot, &b, 1, err);
    if (rc == CCZ_OK)
        replace(&t->hot, &hot);
    return rc;
}

static ccz_rc new_value(struct tournament *t, const struct ccz_mpc_tensor *left,
                        const struct ccz_mpc_tensor *change, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) value = NULL;
    AUTO_BAG b = {0};
    ccz_rc rc = ccz_mpc_add(&b.t[0], left, change, err);
    b.len = rc == CCZ_OK;
    if (rc == CCZ_OK && t->groups % 2)
        rc = put_columns(&b, t->value, t->groups - 1, 1, err);
    if (rc == CCZ_OK)
        rc = concat(&value, &b, 1, err);
    if (rc == CCZ_OK)
        replace(&t->value, &value);
    return rc;
}

/* One comparison and one selection for all pairs. */
static ccz_rc level(struct tournament *t, struct ccz_err *err)
{
    const size_t pairs = t->groups / 2, met = t->start[2 * pairs];
    CCZ_AUTO(ccz_mpc_tensor) left = NULL;
    CCZ_AUTO(ccz_mpc_tensor) right = NULL;
    CCZ_AUTO(ccz_mpc_tensor) wins = NULL;
    CCZ_AUTO(ccz_mpc_tensor) bits = NULL;
    CCZ_AUTO(ccz_mpc_tensor) all = NULL;
    CCZ_AUTO(ccz_mpc_tensor) chosen = NULL;
    AUTO_BAG b = {0};
    AUTO_BAG part = {0};
    ccz_rc rc = ccz_mpc_slice(&left, t->value, 1, 0, 2, pairs, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_slice(&right, t->value, 1, 1, 2, pairs, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_less(&wins, right, left, err);
    if (rc == CCZ_OK)
        rc = spread(&bits, t, wins, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sub(&b.t[0], right, left, err);
    b.len = rc == CCZ_OK;
    if (rc == CCZ_OK)
        rc = put_columns(&b, t->hot, 0, met, err);
    if (rc == CCZ_OK)
        rc = concat(&all, &b, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_mux(&chosen, bits, all, err);
    if (rc == CCZ_OK)
        rc = put_columns(&part, chosen, 0, pairs, err);
    if (rc == CCZ_OK)
        rc = put_columns(&part, chosen, pairs, met, err);
    if (rc == CCZ_OK)
        rc = new_value(t, left, part.t[0], err);
    return rc == CCZ_OK ? new_hot(t, part.t[1], err) : rc;
}

/* One bit per point and cluster, as ring elements. */
static ccz_rc nearest(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *distances,
                      struct ccz_err *err)
{
    AUTO_TOURNAMENT t = {0};
    ccz_rc rc = begin(&t, distances, err);
    while (t.groups > 1 && rc == CCZ_OK) {
        const size_t left = (t.groups + 1) / 2;
        rc = level(&t, err);
        for (size_t g = 0; g < left; g++)
            t.start[g] = t.start[2 * g];
        t.start[left] = t.start[t.groups];
        t.groups = left;
    }
    if (rc == CCZ_OK)
        *out = ccz_mpc_tensor_take(&t.hot);
    return rc;
}

/* ----------------------------------------------------------------------------------- new centres */

/* Sums of the points of each cluster: [clusters, columns]. */
static ccz_rc sums(struct ccz_mpc_tensor **out, const struct ccz_mpcml_kmeans *km,
                   const struct ccz_mpc_tensor *hot, bool one_by_one, struct ccz_err *err)
{
    AUTO_BAG b = {0};
    AUTO_BAG p = {0};
    ccz_rc rc = CCZ_OK;
    for (unsigned r = 0; r < 2 && rc == CCZ_OK; r++) {
        CCZ_AUTO(ccz_mpc_tensor) part = NULL;
        const size_t from = by_rows(km) && r == 1 ? km->k.c.rows[0] : 0;
        rc = ccz_mpc_slice(&part, hot, 0, from, 1, km->k.c.rows[r], err);
        if (rc == CCZ_OK)
            rc = ccz_mpc_transpose(&b.t[r], part, err);
        b.len += rc == CCZ_OK;
    }
    const struct ccz_mpc_product list[] = {{.op = CCZ_MPC_OP_MATMUL, .a = b.t[0], .b = km->x[0]},
                                           {.op = CCZ_MPC_OP_MATMUL, .a = b.t[1], .b = km->x[1]}};
    if (rc == CCZ_OK)
        rc = products(&p, list, 2, one_by_one, err);
    return rc == CCZ_OK ? join(out, p.t, by_rows(km), 1, err) : rc;
}

/* 1 / size, 1 / 1 of empty clusters, and which are empty: [clusters, 1]. */
static ccz_rc reciprocals(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **empty,
                          const struct ccz_mpcml_kmeans *km, const struct ccz_mpc_tensor *hot,
                          struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) sizes = NULL;
    CCZ_AUTO(ccz_mpc_tensor) column = NULL;
    CCZ_AUTO(ccz_mpc_tensor) one = NULL;
    CCZ_AUTO(ccz_mpc_tensor) all = NULL;
    CCZ_AUTO(ccz_mpc_tensor) scaled = NULL;
    ccz_rc rc = ccz_mpc_sum(&sizes, hot, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reshape(&column, sizes, CCZ_MPC_SHAPE2(km->k.c.clusters, 1), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_less_const(empty, column, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_b2a(&one, *empty, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_add(&all, column, one, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_rescale(&scaled, all, CCZI_KMEANS_SIZE_FRAC, err);
    return rc == CCZ_OK ? ccz_mpc_reciprocal(out, scaled, km->k.octaves, err) : rc;
}

/* Means, and the old centre where there is nothing to take the mean of. */
static ccz_rc move(struct ccz_mpc_tensor **centres, const struct ccz_mpcml_kmeans *km,
                   const struct ccz_mpc_tensor *hot, bool one_by_one, struct ccz_err *err)
{
    const struct ccz_mpc_shape shape = CCZ_MPC_SHAPE2(km->k.c.clusters, km->k.columns);
    CCZ_AUTO(ccz_mpc_tensor) sum = NULL;
    CCZ_AUTO(ccz_mpc_tensor) reciprocal = NULL;
    CCZ_AUTO(ccz_mpc_tensor) empty = NULL;
    CCZ_AUTO(ccz_mpc_tensor) keep = NULL;
    CCZ_AUTO(ccz_mpc_tensor) product = NULL;
    CCZ_AUTO(ccz_mpc_tensor) mean = NULL;
    CCZ_AUTO(ccz_mpc_tensor) next = NULL;
    ccz_rc rc = sums(&sum, km, hot, one_by_one, err);
    if (rc == CCZ_OK)
        rc = reciprocals(&reciprocal, &empty, km, hot, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_mul(&product, sum, reciprocal, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_truncate(&mean, product, CCZI_KMEANS_SIZE_FRAC, CCZ_MPC_RANGE_HALF, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_expand(&keep, empty, shape, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_select(&next, keep, *centres, mean, err);
    if (rc == CCZ_OK)
        replace(centres, &next);
    return rc;
}

/* ------------------------------------------------------------------------------------------ run */

static ccz_rc reveal(struct ccz_mpcml_kmeans *km, const struct ccz_mpc_tensor *centres,
                     struct ccz_err *err)
{
    const struct ccz_mpcml_kmeans_cfg *c = &km->k.c;
    const unsigned role = ccz_mpc_cfg_of(ccz_mpc_session_of(centres))->role;
    if (c->to)
        return ccz_mpc_reveal(c->to >> role & 1 ? km->centres : NULL, centres, c->to, "centres",
                              err);
    ccz_rc rc = CCZ_OK;
    for (unsigned r = 0; r < 2 && rc == CCZ_OK; r++) {
        CCZ_AUTO(ccz_mpc_tensor) own = NULL;
        rc = ccz_mpc_slice(&own, centres, 1, r ? c->columns[0] : 0, 1, c->columns[r], err);
        if (rc == CCZ_OK)
            rc = ccz_mpc_reveal(r == role ? km->centres : NULL, own, 1u << r, "centres", err);
    }
    return rc;
}

static ccz_rc compute(void *self, struct ccz_mpc *m, const struct ccz_mpcml_setting *setting,
                      struct ccz_err *err)
{
    struct ccz_mpcml_kmeans *km = self;
    CCZ_AUTO(ccz_mpc_tensor) centres = NULL;
    ccz_rc rc = first_centres(&centres, km, err);
    for (size_t i = 0; i < km->k.c.iterations && rc == CCZ_OK; i++) {
        CCZ_AUTO(ccz_mpc_tensor) d = NULL;
        CCZ_AUTO(ccz_mpc_tensor) hot = NULL;
        rc = distances(&d, km, centres, setting->one_by_one, err);
        if (rc == CCZ_OK)
            rc = nearest(&hot, d, err);
        if (rc == CCZ_OK)
            rc = move(&centres, km, hot, setting->one_by_one, err);
    }
    if (rc == CCZ_OK)
        rc = reveal(km, centres, err);
    km->done = rc == CCZ_OK && !ccz_mpc_is_plan(m);
    return rc;
}

/* --------------------------------------------------------------------------------------- object */

static ccz_rc digest(uint8_t out[CCZ_MPC_PROGRAM_SIZE], const struct cczi_kmeans *k,
                     struct ccz_err *err)
{
    const struct ccz_mpcml_kmeans_cfg *c = &k->c;
    const uint64_t word[] = {(uint64_t)c->split, c->rows[0],    c->rows[1],
                             c->columns[0],      c->columns[1], c->clusters,
                             c->iterations,      c->frac,       c->to};
    struct cczi_mpcml_digest d;
    cczi_mpcml_digest_begin(&d, "cczoo mpcml k-means 1");
    for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
        cczi_mpcml_digest_u64(&d, word[i]);
    cczi_mpcml_digest_real(&d, c->max_abs);
    for (size_t i = 0; i < c->clusters; i++) /* whatever they were chosen by */
        cczi_mpcml_digest_u64(&d, k->first[i]);
    return cczi_mpcml_digest_end(out, &d, err);
}

ccz_rc ccz_mpcml_kmeans_new(struct ccz_mpcml_kmeans **out, unsigned role,
                            const struct ccz_mpcml_kmeans_cfg *cfg, const double *x,
                            struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_kmeans) km = NULL;
    *out = NULL;
    if (role > 1)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:role", role, 1);
    ccz_rc rc = cczi_mpcml_alloc(&km, 1, sizeof(*km), err);
    if (rc == CCZ_OK)
        rc = cczi_kmeans_init(&km->k, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    km->role = role;
    km->k.c.first = NULL; /* the caller's */
    km->program = (struct ccz_mpcml_program){
        .name = "k-means",
        .self = km,
        .ring_bits = CCZI_KMEANS_RING,
        .frac = km->k.c.frac,
        .max_abs = (uint64_t)ceil(ldexp(km->k.c.max_abs, (int)km->k.c.frac)),
        .inputs = inputs,
        .compute = compute,
        .reset = reset};
    rc = digest(km->program.digest, &km->k, err);
    if (rc == CCZ_OK && x)
        rc = cczi_kmeans_encode(&km->points, &km->k, role, x, err);
    if (rc == CCZ_OK &&
        x) /* encoding is the owner's affair; from here on nothing depends on values */
        CCZ_CT_SECRET(km->points, cczi_kmeans_len(&km->k, role) * sizeof(*km->points));
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&km->centres, km->k.c.clusters * km->k.columns, sizeof(*km->centres),
                              err);
    if (rc == CCZ_OK)
        *out = ccz_mpcml_kmeans_take(&km);
    return rc;
}

void ccz_mpcml_kmeans_free(struct ccz_mpcml_kmeans *km)
{
    if (!km)
        return;
    reset(km);
    cczi_mpcml_wipe_free(km->points, cczi_kmeans_len(&km->k, km->role) * sizeof(*km->points));
    cczi_mpcml_wipe_free(km->centres, km->k.c.clusters * km->k.columns * sizeof(*km->centres));
    free(km);
}

const struct ccz_mpcml_program *ccz_mpcml_kmeans_program(const struct ccz_mpcml_kmeans *km)
{
    return &km->program;
}

const uint64_t *ccz_mpcml_kmeans_centres(const struct ccz_mpcml_kmeans *km)
{
    const bool gets = km->k.c.to == 0 || (km->k.c.to >> km->role & 1);
    return km->done && gets ? km->centres : NULL;
}
