/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ciphertext holds what, as cheaply as can be found.
 *
 * One image of c channels, kernels of c kh kw: with coefficient (y w + x) S + ch for pixel (y, x) of channel ch, and
 * -((i w + j) S + ch) for (i, j, ch) of a kernel, the product has the output (y, x) at (y w + x) S. Exponents are multiples
 * of S only where both channels are the same, as channels are below S. Outputs whose window reaches over a border of the image
 * are garbage, and the largest that does not, ((h - kh) w + w - kw) S, lies below the lowest coefficient that a neighbour `area`
 * further up reaches down to: area - ((kh - 1) w + kw - 1) S - (S - 1), which is one more. So pieces and outputs lie side by side at
 * multiples of the area, and around the end of the ring with the sign changed.
 */
#include "mpc/source_he_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

struct cczi_he_job *cczi_he_job_add(struct cczi_he_plan *p)
{
    if (p->len == p->cap) {
        const size_t cap = p->cap ? 2 * p->cap : 16;
        struct cczi_he_job *jobs = realloc(p->jobs, cap * sizeof(*jobs));
        if (!jobs)
            return NULL;
        p->jobs = jobs;
        p->cap = cap;
    }
    struct cczi_he_job *j = &p->jobs[p->len++];
    *j = (struct cczi_he_job){0};
    return j;
}

ccz_rc cczi_he_part_add(struct cczi_he_job *j, const struct cczi_he_part *part, struct ccz_err *err)
{
    struct cczi_he_part *parts = realloc(j->parts, (j->parts_len + 1) * sizeof(*parts));
    if (!parts)
        return no_memory(err);
    parts[j->parts_len++] = *part;
    j->parts = parts;
    j->images += part->images;
    return CCZ_OK;
}

void cczi_he_job_derive(struct cczi_he_job *j)
{
    /* Of the s s phases of a strided kernel only those have weights that begin inside it. */
    j->s_y = j->stride < j->k_h ? j->stride : j->k_h;
    j->s_x = j->stride < j->k_w ? j->stride : j->k_w;
    j->c = j->in_c * j->s_y * j->s_x;
    j->h = cczi_he_ceil(j->in_h + 2 * j->pad, j->stride);
    j->w = cczi_he_ceil(j->in_w + 2 * j->pad, j->stride);
    j->kh = cczi_he_ceil(j->k_h, j->stride);
    j->kw = cczi_he_ceil(j->k_w, j->stride);
    /* rows and columns that no output needs */
    j->h = j->oh + j->kh - 1;
    j->w = j->ow + j->kw - 1;
}

void cczi_he_plan_deinit(struct cczi_he_plan *p)
{
    for (size_t i = 0; i < p->len; i++)
        free(p->jobs[i].parts);
    free(p->jobs);
    free(p->groups);
    free(p->order);
    free(p->places);
    *p = (struct cczi_he_plan){0};
}

/* --------------------------------------------------------------------------------- one group */

struct search {
    size_t n;
    const struct cczi_he_weights *weights;
    const struct cczi_he_plan *plan;
    const size_t *order;
    struct cczi_he_group best;
    double cost; /* of the best; INFINITY: none */
};

static const struct cczi_he_job *job_at(const struct search *s, size_t i)
{
    return &s->plan->jobs[s->order[i]];
}

static double cost_of(const struct search *s, const struct cczi_he_group *g)
{
    double outs = 0;
    for (size_t i = 0; i < g->len; i++)
        outs += (double)cczi_he_ceil(job_at(s, g->first + i)->o, g->outs_w) * (double)g->blocks;
    return (double)(g->blocks * g->chan_tiles) * s->weights->up +
           outs * (double)g->chan_tiles * s->weights->product + outs * s->weights->out +
           outs / (double)g->chan * s->weights->down;
}

/* Tries all numbers of pieces in a ciphertext. */
static void try_pieces(struct search *s, struct cczi_he_group g, size_t outs_max)
{
    g.area = g.h_t * g.w_t * g.chan;
    if (g.area > s->n)
        return;
    const size_t room = s->n / g.area;
    for (size_t most = g.pieces < room ? g.pieces : room; most > 0;) {
        g.blocks = cczi_he_ceil(g.pieces, most);
        g.images_w = cczi_he_ceil(g.pieces, g.blocks);
        g.outs_w = room / g.images_w < outs_max ? room / g.images_w : outs_max;
        const double cost = cost_of(s, &g);
        if (cost < s->cost) {
            s->cost = cost;
            s->best = g;
        }
        most = g.images_w - 1;
    }
}

/* Tries all sizes of channel tiles: one alone if jobs lie side by side. */
static void try_channels(struct search *s, struct cczi_he_group g)
{
    size_t channels = 0, outs_max = 0;
    for (size_t i = 0; i < g.len; i++) {
        const struct cczi_he_job *j = job_at(s, g.first + i);
        channels += j->c;
        outs_max = outs_max > j->o ? outs_max : j->o;
    }
    for (g.chan = 1; g.chan <= s->n; g.chan *= 2) {
        g.chan_tiles = cczi_he_ceil(channels, g.chan);
        if ((g.len > 1 && g.chan_tiles > 1) || g.chan_tiles > CCZ_BFV_TERMS_MAX)
            continue;
        try_pieces(s, g, outs_max);
        if (g.chan_tiles == 1)
            return;
    }
}

/* Pieces of images: as they are, or fewer rows, or fewer columns if a few rows are still too many. */
static void try_group(struct search *s, size_t first, size_t len)
{
    const struct cczi_he_job *j = job_at(s, first);
    struct cczi_he_group g = {.first = first, .len = len};
    s->cost = INFINITY;
    for (g.tiles_x = 1; g.tiles_x <= j->ow; g.tiles_x++) {
        g.step_x = cczi_he_ceil(j->ow, g.tiles_x);
        g.w_t = g.step_x + j->kw - 1;
        if (cczi_he_ceil(j->ow, g.step_x) != g.tiles_x || g.w_t * j->kh > s->n)
            continue;
        for (g.tiles_y = 1; g.tiles_y <= j->oh; g.tiles_y++) {
            g.step_y = cczi_he_ceil(j->oh, g.tiles_y);
            g.h_t = g.step_y + j->kh - 1;
            if (cczi_he_ceil(j->oh, g.step_y) != g.tiles_y)
                continue;
            g.pieces = j->images * g.tiles_y * g.tiles_x;
            try_channels(s, g);
        }
        if (isfinite(s->cost))
            return;
    }
}

/* --------------------------------------------------------------------------------- the plan */

/* Products of matrices with as many columns may lie side by side. */
static bool is_matrix(const struct cczi_he_job *j)
{
    return j->h == 1 && j->w == 1 && j->kh == 1 && j->kw == 1;
}

static bool alike(const struct cczi_he_job *a, const struct cczi_he_job *b)
{
    return is_matrix(a) && is_matrix(b) && a->images == b->images;
}

static ccz_rc add_group(struct cczi_he_plan *p, const struct cczi_he_group *g, struct ccz_err *err)
{
    struct cczi_he_group *groups = realloc(p->groups, (p->groups_len + 1) * sizeof(*groups));
    if (!groups)
        return no_memory(err);
    p->groups = groups;
    size_t at = p->groups_len++; /* stable, by ascending distance */
    for (; at > 0 && groups[at - 1].chan > g->chan; at--)
        groups[at] = groups[at - 1];
    groups[at] = *g;
    return CCZ_OK;
}

/* A run of jobs that are alike, in groups of as many as is cheapest. */
static ccz_rc add_run(struct search *s, struct cczi_he_plan *p, size_t first, size_t len,
                      struct ccz_err *err)
{
    double best = INFINITY;
    size_t best_size = 1;
    for (size_t size = 1; size <= len; size = size < len && 2 * size > len ? len : 2 * size) {
        double cost = 0;
        for (size_t at = 0; at < len && isfinite(cost); at += size) {
            try_group(s, first + at, len - at < size ? len - at : size);
            cost += s->cost;
        }
        if (cost < best) {
            best = cost;
            best_size = size;
        }
        if (size == len)
            break;
    }
    if (!isfinite(best))
        return ccz_fail(err, CCZ_E_LIMIT, "mpc:he-size", (int64_t)job_at(s, first)->kh,
                        "the window of one output does not fit into %zu coefficients", s->n);
    for (size_t at = 0; at < len; at += best_size) {
        try_group(s, first + at, len - at < best_size ? len - at : best_size);
        ccz_rc rc = add_group(p, &s->best, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* Matrices first, with as many columns beside each other; then the others. */
static ccz_rc order_jobs(struct cczi_he_plan *p, struct ccz_err *err)
{
    p->order = calloc(p->len + 1, sizeof(*p->order));
    bool *done = calloc(p->len + 1, sizeof(*done));
    if (!p->order || !done) {
        free(done);
        return no_memory(err);
    }
    size_t len = 0;
    for (size_t i = 0; i < p->len; i++) {
        if (done[i])
            continue;
        p->order[len++] = i;
        for (size_t k = i + 1; k < p->len; k++) {
            if (done[k] || !alike(&p->jobs[i], &p->jobs[k]))
                continue;
            p->order[len++] = k;
            done[k] = true;
        }
    }
    free(done);
    return CCZ_OK;
}

static ccz_rc count(struct cczi_he_plan *p, struct ccz_err *err)
{
    for (size_t i = 0; i < p->groups_len; i++) {
        const struct cczi_he_group *g = &p->groups[i];
        size_t c_off = 0;
        p->up += g->blocks * g->chan_tiles;
        p->terms = p->terms > g->chan_tiles ? p->terms : g->chan_tiles;
        for (size_t k = 0; k < g->len; k++) {
            struct cczi_he_job *j = cczi_he_job_of(p, g, k);
            j->group = i;
            j->c_off = c_off;
            c_off += j->c;
            const size_t outs = cczi_he_ceil(j->o, g->outs_w) * g->blocks;
            p->outs += outs;
            p->products += outs * g->chan_tiles;
        }
    }
    uint32_t *strides = calloc(p->outs + 1, sizeof(*strides));
    p->places = calloc(p->outs + 1, sizeof(*p->places));
    if (!strides || !p->places) {
        free(strides);
        return no_memory(err);
    }
    for (size_t i = 0, at = 0; i < p->groups_len; i++)
        for (size_t k = 0; k < p->groups[i].len; k++) {
            const struct cczi_he_group *g = &p->groups[i];
            const size_t outs = cczi_he_ceil(cczi_he_job_of(p, g, k)->o, g->outs_w) * g->blocks;
            for (size_t x = 0; x < outs; x++)
                strides[at++] = (uint32_t)g->chan;
        }
    ccz_rc rc =
        ccz_bfv_pack_places(p->places, &p->down, &p->doublings, strides, p->outs, p->n, err);
    free(strides);
    return rc;
}

ccz_rc cczi_he_plan_tiles(struct cczi_he_plan *p, size_t n, const struct cczi_he_weights *weights,
                          struct ccz_err *err)
{
    p->n = n;
    p->terms = 1;
    ccz_rc rc = order_jobs(p, err);
    struct search s = {.n = n, .weights = weights, .plan = p, .order = p->order};
    for (size_t first = 0, len; rc == CCZ_OK && first < p->len; first += len) {
        for (len = 1; first + len < p->len && alike(job_at(&s, first), job_at(&s, first + len));)
            len++;
        rc = add_run(&s, p, first, len, err);
    }
    return rc == CCZ_OK ? count(p, err) : rc;
}
