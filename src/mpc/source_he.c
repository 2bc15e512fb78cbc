/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated randomness from lattice ciphertexts: needs become jobs and lists of elements, which travel in one step. A job has
 * an evaluator, who knows one operand; the other party owns the key. Products of fixed operands have parameters for their bound;
 * those of two uniform operands (MATMUL) parameters for any factor.
 */
#include "mpc/mpc_priv.h"

#include "mpc/source_he_priv.h"

#include <cczoo/crypto.h>
#include <cczoo/ring.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BOUNDED, FULL, SUITES };
enum { WAVE_BLOCKS = 16, TERMS_GUESS = 8, LIST_BITS = 44 };

struct he {
    struct ccz_mpc *m;
    struct ccz_mpc_he_cfg cfg;
    struct cczi_he_suite *suite[SUITES]; /* whose keys were exchanged */
    struct cczi_he_suite
        *spare[SUITES]; /* made for a cost or a plan; of use if the list is prepared */
    struct cczi_he_slots *slots;
};

/* Elements of all needs of one kind of list, one behind the other; arg: the factors, or what is encrypted. */
struct list {
    size_t len, at;
    uint64_t *arg[2], *out;
};

/* A list of needs as work. */
struct he_work {
    struct cczi_he_plan plan[SUITES][2]; /* by evaluator */
    struct cczi_he_suite *suite[SUITES]; /* borrowed from struct he; NULL: not needed */
    struct list list[2][2]; /* by evaluator and number of products in a sum, less one */
};

static void work_deinit(struct he_work *w)
{
    for (unsigned e = 0; e < 2; e++) {
        for (size_t s = 0; s < SUITES; s++)
            cczi_he_plan_deinit(&w->plan[s][e]);
        for (size_t k = 0; k < 2; k++) {
            struct list *l = &w->list[e][k];
            cczi_mpc_wipe_free(l->arg[0], l->len * sizeof(uint64_t));
            cczi_mpc_wipe_free(l->arg[1], l->len * sizeof(uint64_t));
            cczi_mpc_wipe_free(l->out, l->len * sizeof(uint64_t));
        }
    }
}
#define AUTO_WORK __attribute__((cleanup(work_deinit))) struct he_work

static ccz_rc random_fill(void *arg, uint64_t *out, size_t len, unsigned bits, struct ccz_err *err)
{
    return cczi_mpc_random(out, len, bits, arg, err);
}

static uint64_t half_of(const struct he *h)
{
    return UINT64_C(1) << (cczi_mpc_bits(h->m) - 1);
}

/* ------------------------------------------------------------------------------- needs to jobs */

/* The job of that operand, if there is one, else a new one: *is_new. */
static struct cczi_he_job *job_of(struct cczi_he_plan *p, uint64_t key, bool *is_new)
{
    for (size_t i = p->len; key && i-- > 0;)
        if (p->jobs[i].key == key) {
            *is_new = false;
            return &p->jobs[i];
        }
    struct cczi_he_job *j = cczi_he_job_add(p);
    if (j)
        j->key = key;
    *is_new = true;
    return j;
}

static ccz_rc add(struct cczi_he_plan *p, const struct cczi_he_job *shape,
                  const struct cczi_he_part *part, struct ccz_err *err)
{
    bool is_new;
    struct cczi_he_job *j = job_of(p, shape->key, &is_new);
    if (!j)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    if (is_new) {
        *j = *shape;
        cczi_he_job_derive(j);
    }
    return cczi_he_part_add(j, part, err);
}

/* Rows of x times columns of v, as images of one pixel. */
static struct cczi_he_job matrix_job(size_t rows, size_t inner)
{
    return (struct cczi_he_job){.in_c = inner,
                                .in_h = 1,
                                .in_w = 1,
                                .k_h = 1,
                                .k_w = 1,
                                .o = rows,
                                .oh = 1,
                                .ow = 1,
                                .stride = 1};
}

static uint64_t key_of(const struct ccz_mpc_need *n)
{
    return 4 * n->fixed + (n->kind == CCZ_MPC_CROSS_CONV2D ? 2 : 0) + (n->transposed ? 1 : 0);
}

static ccz_rc add_cross_matmul(struct he_work *w, const struct ccz_mpc_need *n,
                               const struct ccz_mpc_item *item, struct ccz_err *err)
{
    struct cczi_he_job j = matrix_job(n->m, n->k);
    j.key = key_of(n);
    j.x = item->x;
    j.x_o = n->k;
    j.x_c = 1;
    const struct cczi_he_part part = {.images = n->n,
                                      .v = item->v,
                                      .v_image = 1,
                                      .v_c = n->n,
                                      .out = item->c,
                                      .out_image = 1,
                                      .out_o = n->n};
    return add(&w->plan[BOUNDED][n->owner], &j, &part, err);
}

static bool same_conv(const struct cczi_he_job *j, const struct ccz_mpc_conv *c)
{
    return j->in_h == c->h && j->in_w == c->w && j->in_c == c->c && j->stride == c->stride &&
           j->pad == c->pad && j->k_h == c->kh && j->k_w == c->kw && j->o == c->o;
}

static ccz_rc add_cross_conv(struct he_work *w, const struct ccz_mpc_need *n,
                             const struct ccz_mpc_item *item, struct ccz_err *err)
{
    const struct ccz_mpc_conv *c = &n->conv;
    struct cczi_he_plan *p = &w->plan[BOUNDED][n->owner];
    struct cczi_he_job j = {.key = key_of(n),
                            .x = item->x,
                            .x_o = 1,
                            .x_c = c->o,
                            .x_x = c->c * c->o,
                            .x_y = c->kw * c->c * c->o,
                            .in_c = c->c,
                            .in_h = c->h,
                            .in_w = c->w,
                            .k_h = c->kh,
                            .k_w = c->kw,
                            .o = c->o,
                            .oh = c->oh,
                            .ow = c->ow,
                            .stride = c->stride,
                            .pad = c->pad};
    const struct cczi_he_part part = {.images = c->batch,
                                      .v = item->v,
                                      .v_c = 1,
                                      .v_x = c->c,
                                      .v_y = c->w * c->c,
                                      .v_image = c->h * c->w * c->c,
                                      .out = item->c,
                                      .out_o = 1,
                                      .out_x = c->o,
                                      .out_y = c->ow * c->o,
                                      .out_image = c->oh * c->ow * c->o};
    for (size_t i = 0; i < p->len; i++) /* the same weights on images of another size: apart */
        if (p->jobs[i].key == j.key && !same_conv(&p->jobs[i], c))
            j.key = 0;
    return add(p, &j, &part, err);
}

/* The smaller operand is encrypted, by each party the own share of it. */
static ccz_rc add_matmul(struct he_work *w, unsigned role, const struct ccz_mpc_need *n,
                         const struct ccz_mpc_item *item, struct ccz_err *err)
{
    const bool left = n->m <= n->n; /* a is encrypted: out = (b' a')' */
    ccz_rc rc = CCZ_OK;
    for (unsigned e = 0; rc == CCZ_OK && e < 2; e++) {
        struct cczi_he_job j = matrix_job(left ? n->n : n->m, n->k);
        struct cczi_he_part part = {.images = left ? n->m : n->n, .out = item->c};
        j.x_o = left ? 1 : n->k;
        j.x_c = left ? n->n : 1;
        part.v_image = left ? n->k : 1;
        part.v_c = left ? 1 : n->n;
        part.out_image = left ? n->n : 1;
        part.out_o = left ? 1 : n->n;
        if (role == e)
            j.x = left ? item->b : item->a;
        else
            part.v = left ? item->a : item->b;
        rc = add(&w->plan[FULL][e], &j, &part, err);
    }
    return rc;
}

/* Which list of elements a need belongs to; NULL: none. */
static struct list *list_of(struct he_work *w, const struct ccz_mpc_need *n)
{
    switch (n->kind) {
    case CCZ_MPC_MUL:
        return &w->list[1][1];
    case CCZ_MPC_SQUARE:
        return &w->list[1][0];
    case CCZ_MPC_CROSS_MUL:
        return &w->list[n->owner][0];
    default:
        return NULL;
    }
}

/* Jobs and lengths of lists. Items may be empty: then only sizes are wanted. */
static ccz_rc plan_needs(struct he_work *w, const struct he *h, const struct ccz_mpc_need *needs,
                         const struct ccz_mpc_item *items, size_t len, struct ccz_err *err)
{
    const struct ccz_mpc_item none = {0};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        const struct ccz_mpc_item *item = items ? &items[i] : &none;
        struct list *l = list_of(w, &needs[i]);
        if (l)
            l->len += needs[i].n;
        else if (needs[i].kind == CCZ_MPC_CROSS_MATMUL)
            rc = add_cross_matmul(w, &needs[i], item, err);
        else if (needs[i].kind == CCZ_MPC_CROSS_CONV2D)
            rc = add_cross_conv(w, &needs[i], item, err);
        else if (needs[i].kind == CCZ_MPC_MATMUL)
            rc = add_matmul(w, cczi_mpc_role(h->m), &needs[i], item, err);
        else
            rc = ccz_fail(err, CCZ_E_UNSUPPORTED, "mpc:source-none", needs[i].kind,
                          "ciphertexts make no needs of kind %d", (int)needs[i].kind);
    }
    return rc;
}

/* -------------------------------------------------------------------------------- parameters */

static double max_abs_of(const struct he *h, size_t s)
{
    return s == BOUNDED && h->cfg.max_abs ? (double)h->cfg.max_abs : (double)half_of(h);
}

static double rate_of(const struct he *h)
{
    return h->cfg.bytes_per_s > 0 ? h->cfg.bytes_per_s : 12.5e6;
}

static struct cczi_he_weights weights_of(const struct he *h, const struct cczi_he_suite *s)
{
    const double rate = rate_of(h) / 1e6;
    return (struct cczi_he_weights){
        .up = (double)cczi_he_up_size(s->c) / rate + 350,
        .product = 95,
        .out = 900,
        .down = (double)cczi_he_down_size(s->pack_c, s->return_limbs) / rate + 200};
}

static void clear_tiles(struct cczi_he_plan *p)
{
    free(p->groups);
    free(p->order);
    free(p->places);
    *p = (struct cczi_he_plan){.jobs = p->jobs, .len = p->len, .cap = p->cap};
}

/* Tiles of both directions; @return the most ciphertexts in a sum. */
static ccz_rc tiles(size_t *terms, struct cczi_he_plan plan[2], const struct he *h,
                    const struct cczi_he_suite *s, struct ccz_err *err)
{
    const struct cczi_he_weights weights = weights_of(h, s);
    ccz_rc rc = CCZ_OK;
    *terms = 1;
    for (unsigned e = 0; rc == CCZ_OK && e < 2; e++) {
        clear_tiles(&plan[e]);
        rc = cczi_he_plan_tiles(&plan[e], s->n, &weights, err);
        *terms = *terms > plan[e].terms ? *terms : plan[e].terms;
    }
    return rc;
}

/*
 * Bits that leave a list 2^-44 from what does not depend on values, a sixteenth of what a session usually has. Lists of up to 4,096 results
 * take what they take anyway.
 */
static unsigned flood_for(const struct cczi_he_plan plan[2])
{
    const size_t outs = plan[0].outs > plan[1].outs ? plan[0].outs : plan[1].outs;
    const unsigned bits = LIST_BITS + (unsigned)ceil(log2(outs > 1 ? (double)outs : 1));
    return bits > CCZI_HE_FLOOD ? bits : CCZI_HE_FLOOD;
}

/* Parameters for so many terms and results. What is in use is left alone: its keys are with the peer. */
static ccz_rc spare_for(struct cczi_he_suite **out, struct he *h, size_t s, size_t terms,
                        unsigned flood, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (h->spare[s] && (h->spare[s]->terms != terms || h->spare[s]->flood_most != flood)) {
        cczi_he_suite_free(h->spare[s]);
        h->spare[s] = NULL;
    }
    if (!h->spare[s])
        rc = cczi_he_suite_new(&h->spare[s], cczi_mpc_bits(h->m), max_abs_of(h, s), terms, 0, flood,
                               err);
    *out = h->spare[s];
    return rc;
}

/*
 * Tiles and parameters that fit each other; those of earlier lists are kept while they do. The outcome depends on what was
 * prepared before and on the needs alone, not on what this party has asked for a cost.
 */
static ccz_rc fit(struct he_work *w, struct he *h, size_t s, struct ccz_err *err)
{
    struct cczi_he_plan *plan = w->plan[s];
    size_t terms = TERMS_GUESS, want;
    unsigned flood = CCZI_HE_FLOOD;
    ccz_rc rc = CCZ_OK;
    if (plan[0].len + plan[1].len == 0)
        return CCZ_OK;
    for (w->suite[s] = h->suite[s];; w->suite[s] = NULL) {
        if (!w->suite[s])
            rc = spare_for(&w->suite[s], h, s, terms, flood, err);
        if (rc == CCZ_OK)
            rc = tiles(&want, plan, h, w->suite[s], err);
        if (rc != CCZ_OK)
            return rc;
        const unsigned wanted = flood_for(plan);
        if (want <= w->suite[s]->terms && wanted <= w->suite[s]->flood_most)
            return CCZ_OK;
        while (terms < want)
            terms *= 2;
        flood = flood > wanted ? flood : wanted;
    }
}

/* The list is going to be prepared: new parameters replace those that have become too small. */
static void adopt(struct he *h, const struct he_work *w)
{
    for (size_t s = 0; s < SUITES; s++) {
        if (!w->suite[s] || w->suite[s] == h->suite[s])
            continue;
        cczi_he_suite_free(h->suite[s]);
        h->suite[s] = h->spare[s];
        h->spare[s] = NULL;
    }
}

static bool has_lists(const struct he_work *w)
{
    return w->list[0][0].len + w->list[0][1].len + w->list[1][0].len + w->list[1][1].len > 0;
}

static ccz_rc set_up(struct he_work *w, struct he *h, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t s = 0; rc == CCZ_OK && s < SUITES; s++)
        rc = fit(w, h, s, err);
    if (rc == CCZ_OK && has_lists(w) && !h->slots)
        rc = cczi_he_slots_new(&h->slots, cczi_mpc_bits(h->m), err);
    return rc;
}

/* ------------------------------------------------------------------------------------------- keys */

/* Keys that the owner of the key of evaluator @p e's jobs has to send: doublings, 0 and false: none. */
static bool keys_due(uint32_t *doublings, const struct he *h, const struct he_work *w, size_t s,
                     unsigned e)
{
    const struct cczi_he_suite *suite = w->suite[s];
    const bool own = cczi_mpc_role(h->m) != e;
    if (w->plan[s][e].len == 0)
        return false;
    const uint32_t have = own ? suite->own_doublings : suite->peer_doublings;
    *doublings = have | w->plan[s][e].doublings;
    return cczi_he_keys_missing(own ? suite->own_sent : suite->peer_got, have,
                                w->plan[s][e].doublings);
}

static bool slot_keys_due(const struct he *h, const struct he_work *w, unsigned e)
{
    if (w->list[e][0].len + w->list[e][1].len == 0)
        return false;
    return cczi_mpc_role(h->m) != e ? !h->slots->own_sent : !h->slots->peer_got;
}

/* Bytes of keys that this party sends (e = the other role), or gets. */
static size_t keys_size(const struct he *h, const struct he_work *w, unsigned e)
{
    size_t size = slot_keys_due(h, w, e) ? cczi_he_slots_keys_size(h->slots) : 0;
    uint32_t doublings;
    for (size_t s = 0; s < SUITES; s++)
        if (keys_due(&doublings, h, w, s, e))
            size += cczi_he_keys_size(w->suite[s], doublings);
    return size;
}

static ccz_rc write_keys(struct ccz_buf *out, struct he *h, const struct he_work *w,
                         struct ccz_err *err)
{
    const unsigned e = 1 - cczi_mpc_role(h->m);
    const bool slots = slot_keys_due(h, w, e);
    uint32_t doublings;
    ccz_rc rc = CCZ_OK;
    for (size_t s = 0; rc == CCZ_OK && s < SUITES; s++)
        if (keys_due(&doublings, h, w, s, e))
            rc = cczi_he_keys_write(out, w->suite[s], doublings, err);
    return rc == CCZ_OK && slots ? cczi_he_slots_keys_write(out, h->slots, err) : rc;
}

static ccz_rc read_keys(struct he *h, const struct he_work *w, struct ccz_span in,
                        struct ccz_err *err)
{
    const unsigned e = cczi_mpc_role(h->m);
    const bool slots = slot_keys_due(h, w, e);
    struct ccz_rd rd = ccz_rd_from(in);
    uint32_t doublings;
    ccz_rc rc = CCZ_OK;
    for (size_t s = 0; rc == CCZ_OK && s < SUITES; s++)
        if (keys_due(&doublings, h, w, s, e))
            rc = cczi_he_keys_read(w->suite[s],
                                   ccz_rd_take(&rd, cczi_he_keys_size(w->suite[s], doublings)),
                                   doublings, err);
    return rc == CCZ_OK && slots ? cczi_he_slots_keys_read(h->slots, ccz_rd_take(&rd, rd.left), err)
                                 : rc;
}

/* One message each way; what comes is of the size that the list says. */
static ccz_rc swap(struct ccz_buf *in, struct he *h, const struct ccz_buf *out, size_t in_size,
                   struct ccz_err *err)
{
    if (out->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "no memory for a message");
    ccz_buf_clear(in);
    uint8_t *to = ccz_buf_extend(in, in_size);
    if (in_size && !to)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", (int64_t)in_size,
                        "no memory for a message of %zu bytes", in_size);
    if (out->size)
        cczi_mpc_put_raw(h->m, out->ptr, out->size);
    if (in_size)
        cczi_mpc_want_raw(h->m, to, in_size);
    return cczi_mpc_round(h->m, err);
}

static ccz_rc exchange_keys(struct he *h, const struct he_work *w, struct ccz_err *err)
{
    const unsigned role = cczi_mpc_role(h->m);
    const size_t in_size = keys_size(h, w, role);
    CCZ_AUTO_BUF out;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&out, CCZ_CHAN_MESSAGE_SIZE_MAX);
    ccz_buf_init(&in, CCZ_CHAN_MESSAGE_SIZE_MAX);
    const enum ccz_mpc_phase before = cczi_mpc_phase(h->m, CCZ_MPC_SETUP);
    ccz_rc rc = write_keys(&out, h, w, err);
    if (rc == CCZ_OK)
        rc = swap(&in, h, &out, in_size, err);
    if (rc == CCZ_OK && in_size)
        rc = read_keys(h, w, ccz_buf_span(&in), err);
    (void)cczi_mpc_phase(h->m, before);
    return rc;
}

/* ------------------------------------------------------------------------------------- elements */

static ccz_rc alloc_lists(struct he_work *w, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < 4; i++) {
        struct list *l = &w->list[i / 2][i % 2];
        for (size_t k = 0; rc == CCZ_OK && l->len && k <= i % 2; k++)
            rc = cczi_mpc_alloc(&l->arg[k], l->len, sizeof(uint64_t), err);
        if (rc == CCZ_OK && l->len)
            rc = cczi_mpc_alloc(&l->out, l->len, sizeof(uint64_t), err);
    }
    return rc;
}

/* What this party puts into the products of a need. */
static void gather(struct he_work *w, const struct he *h, const struct ccz_mpc_need *n,
                   const struct ccz_mpc_item *item)
{
    const unsigned role = cczi_mpc_role(h->m);
    struct list *l = list_of(w, n);
    if (!l)
        return;
    const size_t size = n->n * sizeof(uint64_t);
    if (n->kind == CCZ_MPC_MUL) { /* a0 b1 + b0 a1 */
        memcpy(l->arg[0] + l->at, role == 0 ? item->a : item->b, size);
        memcpy(l->arg[1] + l->at, role == 0 ? item->b : item->a, size);
    } else if (n->kind == CCZ_MPC_SQUARE) { /* a0 (2 a1) */
        ccz_ring_scale(l->arg[0] + l->at, item->a, role == 0 ? 1 : 2, n->n, cczi_mpc_bits(h->m));
    } else {
        memcpy(l->arg[0] + l->at, role == n->owner ? item->x : item->v, size);
    }
    l->at += n->n;
}

static void scatter_lists(struct he_work *w, const struct he *h, const struct ccz_mpc_need *needs,
                          struct ccz_mpc_item *items, size_t len)
{
    for (size_t i = 0; i < 4; i++)
        w->list[i / 2][i % 2].at = 0;
    for (size_t i = 0; i < len; i++) {
        struct list *l = list_of(w, &needs[i]);
        if (!l)
            continue;
        ccz_ring_add(items[i].c, items[i].c, l->out + l->at, needs[i].n, cczi_mpc_bits(h->m));
        l->at += needs[i].n;
    }
}

/* -------------------------------------------------------------------------------------- own values */

/* Largest |element| of a fixed operand; the answer alone is public. */
static ccz_rc check_bound(const struct he *h, const struct ccz_mpc_need *n,
                          const struct ccz_mpc_item *item, struct ccz_err *err)
{
    const unsigned bits = cczi_mpc_bits(h->m);
    const uint64_t max_abs = h->cfg.max_abs;
    uint64_t bad = 0;
    if (!max_abs || max_abs == half_of(h) || !cczi_mpc_is_cross(n->kind) || !item->x)
        return CCZ_OK;
    for (size_t i = 0; i < item->x_len; i++) {
        const uint64_t x = (uint64_t)ccz_mpc_signed(item->x[i], bits), sign = 0 - (x >> 63);
        bad |= (max_abs - ((x ^ sign) - sign)) >> 63;
    }
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    if (!bad)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "mpc:he-max-abs", (int64_t)n->fixed,
                    "tensor %llu has an element beyond the bound %llu that was agreed on",
                    (unsigned long long)n->fixed, (unsigned long long)max_abs);
}

/* Uniform values of this party's, and what of the products it can do alone. */
static ccz_rc own_values(struct he *h, const struct ccz_mpc_need *n, struct ccz_mpc_item *item,
                         struct ccz_err *err)
{
    const unsigned bits = cczi_mpc_bits(h->m);
    ccz_rc rc = check_bound(h, n, item, err);
    if (rc == CCZ_OK && item->v)
        rc = cczi_mpc_random(item->v, item->v_len, bits, h->m, err);
    if (rc == CCZ_OK && item->a)
        rc = cczi_mpc_random(item->a, item->a_len, bits, h->m, err);
    if (rc == CCZ_OK && item->b)
        rc = cczi_mpc_random(item->b, item->b_len, bits, h->m, err);
    if (rc != CCZ_OK)
        return rc;
    if (n->kind == CCZ_MPC_MATMUL)
        ccz_ring_matmul_add(item->c, item->a, item->b, n->m, n->k, n->n, bits);
    else if (n->kind == CCZ_MPC_MUL)
        ccz_ring_mul(item->c, item->a, item->b, n->n, bits);
    else if (n->kind == CCZ_MPC_SQUARE)
        ccz_ring_mul(item->c, item->a, item->a, n->n, bits);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------------ waves */

static size_t wave_len(const struct he *h)
{
    return WAVE_BLOCKS * h->slots->n;
}

static size_t waves_of(const struct he *h, const struct he_work *w)
{
    size_t waves = 1;
    for (size_t i = 0; h->slots && i < 4; i++) {
        const size_t need = cczi_he_ceil(w->list[i / 2][i % 2].len, wave_len(h));
        waves = waves > need ? waves : need;
    }
    return waves;
}

/* Elements of list (e, k) in a wave; this party has only its side of them. */
static struct cczi_he_elements elements_of(const struct he *h, const struct he_work *w, unsigned e,
                                           size_t k, size_t wave)
{
    const struct list *l = &w->list[e][k];
    struct cczi_he_elements el = {.operands = k + 1};
    const size_t at = h->slots ? wave * wave_len(h) : 0;
    if (at >= l->len)
        return el;
    el.len = l->len - at < wave_len(h) ? l->len - at : wave_len(h);
    for (size_t i = 0; l->out && i <= k; i++)
        el.enc[i] = el.fac[i] = l->arg[i] + at;
    el.out = l->out ? l->out + at : NULL;
    return el;
}

/* Bytes to the evaluator @p e, or back from it. */
static size_t wave_size(const struct he *h, const struct he_work *w, unsigned e, size_t wave,
                        bool back)
{
    size_t size = 0;
    for (size_t s = 0; wave == 0 && s < SUITES; s++) {
        const struct cczi_he_plan *p = &w->plan[s][e];
        if (p->len)
            size +=
                back ? p->down * cczi_he_down_size(w->suite[s]->pack_c, w->suite[s]->return_limbs)
                     : p->up * cczi_he_up_size(w->suite[s]->c);
    }
    for (size_t k = 0; h->slots && k < 2; k++) {
        const struct cczi_he_elements el = elements_of(h, w, e, k, wave);
        if (el.len)
            size += back ? cczi_he_slots_down_size(h->slots, el.len)
                         : cczi_he_slots_up_size(h->slots, el.operands, el.len);
    }
    return size;
}

static ccz_rc encrypt(struct ccz_buf *out, struct he *h, const struct he_work *w, size_t wave,
                      struct ccz_err *err)
{
    const unsigned e = 1 - cczi_mpc_role(h->m);
    ccz_rc rc = CCZ_OK;
    for (size_t s = 0; rc == CCZ_OK && wave == 0 && s < SUITES; s++)
        if (w->plan[s][e].len)
            rc = cczi_he_linear_up(out, &w->plan[s][e], w->suite[s], err);
    for (size_t k = 0; rc == CCZ_OK && h->slots && k < 2; k++) {
        const struct cczi_he_elements el = elements_of(h, w, e, k, wave);
        if (el.len)
            rc = cczi_he_slots_up(out, h->slots, &el, err);
    }
    return rc;
}

static ccz_rc evaluate(struct ccz_buf *out, struct he *h, const struct he_work *w, size_t wave,
                       struct ccz_span in, struct ccz_err *err)
{
    const unsigned e = cczi_mpc_role(h->m);
    const struct cczi_he_rng rng = {random_fill, h->m};
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = CCZ_OK;
    for (size_t s = 0; rc == CCZ_OK && wave == 0 && s < SUITES; s++) {
        const struct cczi_he_plan *p = &w->plan[s][e];
        if (p->len == 0)
            continue;
        const struct ccz_span part = ccz_rd_take(&rd, p->up * cczi_he_up_size(w->suite[s]->c));
        rc = cczi_he_linear_eval(out, p, w->suite[s], part, &rng, err);
    }
    for (size_t k = 0; rc == CCZ_OK && h->slots && k < 2; k++) {
        const struct cczi_he_elements el = elements_of(h, w, e, k, wave);
        if (el.len == 0)
            continue;
        const struct ccz_span part =
            ccz_rd_take(&rd, cczi_he_slots_up_size(h->slots, el.operands, el.len));
        rc = cczi_he_slots_eval(out, h->slots, &el, part, &rng, err);
    }
    return rc;
}

static ccz_rc decrypt(struct he *h, const struct he_work *w, size_t wave, struct ccz_span in,
                      struct ccz_err *err)
{
    const unsigned e = 1 - cczi_mpc_role(h->m);
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = CCZ_OK;
    for (size_t s = 0; rc == CCZ_OK && wave == 0 && s < SUITES; s++) {
        const struct cczi_he_plan *p = &w->plan[s][e];
        if (p->len == 0)
            continue;
        const struct cczi_he_suite *suite = w->suite[s];
        const size_t size = p->down * cczi_he_down_size(suite->pack_c, suite->return_limbs);
        rc = cczi_he_linear_down(p, w->suite[s], ccz_rd_take(&rd, size), err);
    }
    for (size_t k = 0; rc == CCZ_OK && h->slots && k < 2; k++) {
        const struct cczi_he_elements el = elements_of(h, w, e, k, wave);
        if (el.len)
            rc = cczi_he_slots_down(
                h->slots, &el, ccz_rd_take(&rd, cczi_he_slots_down_size(h->slots, el.len)), err);
    }
    return rc;
}

static ccz_rc run_wave(struct he *h, const struct he_work *w, size_t wave, struct ccz_err *err)
{
    const unsigned role = cczi_mpc_role(h->m);
    CCZ_AUTO_BUF out;
    CCZ_AUTO_BUF in;
    ccz_buf_init(&out, CCZ_CHAN_MESSAGE_SIZE_MAX);
    ccz_buf_init(&in, CCZ_CHAN_MESSAGE_SIZE_MAX);
    ccz_rc rc = encrypt(&out, h, w, wave, err);
    if (rc == CCZ_OK)
        rc = swap(&in, h, &out, wave_size(h, w, role, wave, false), err);
    ccz_buf_clear(&out);
    if (rc == CCZ_OK)
        rc = evaluate(&out, h, w, wave, ccz_buf_span(&in), err);
    if (rc == CCZ_OK)
        rc = swap(&in, h, &out, wave_size(h, w, 1 - role, wave, true), err);
    return rc == CCZ_OK ? decrypt(h, w, wave, ccz_buf_span(&in), err) : rc;
}

/* ----------------------------------------------------------------------------------- the source */

static bool he_can(void *self, const struct ccz_mpc_need *need)
{
    (void)self;
    struct ccz_mpc_item lens;
    switch (need->kind) {
    case CCZ_MPC_MUL:
    case CCZ_MPC_SQUARE:
    case CCZ_MPC_MATMUL:
    case CCZ_MPC_CROSS_MATMUL:
    case CCZ_MPC_CROSS_MUL:
    case CCZ_MPC_CROSS_CONV2D:
        return cczi_mpc_item_lens(&lens, need, NULL) == CCZ_OK;
    default:
        return false;
    }
}

/* Microseconds of the busier party: keys apart. */
static double cpu_us(const struct he *h, const struct he_work *w)
{
    double us = 0;
    for (size_t s = 0; s < SUITES; s++)
        for (unsigned e = 0; e < 2; e++) {
            const struct cczi_he_plan *p = &w->plan[s][e];
            us += (double)p->up * 350 + (double)p->products * 95 + (double)p->outs * 900 +
                  (double)p->down * 250;
        }
    for (size_t i = 0; h->slots && i < 4; i++)
        us += (double)cczi_he_ceil(w->list[i / 2][i % 2].len, h->slots->n) * 900 *
              (double)h->slots->len;
    return us;
}

/* What evaluator @p e gives away: results, each within 2^-flood_bits, and elements under masks of integers. */
static double distance_of(const struct he *h, const struct he_work *w, unsigned e)
{
    double d = 0;
    for (size_t s = 0; s < SUITES; s++)
        if (w->suite[s])
            d += (double)w->plan[s][e].outs * exp2(-(double)w->suite[s]->flood_bits);
    for (size_t k = 0; h->slots && k < 2; k++) {
        const size_t len = w->list[e][k].len;
        d += (double)len * exp2(-(double)CCZI_HE_STAT_BITS) +
             (double)(cczi_he_ceil(len, h->slots->n) * h->slots->len) *
                 exp2(-(double)h->slots->flood_bits);
    }
    return d;
}

static ccz_rc he_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                      size_t len, struct ccz_err *err)
{
    struct he *h = self;
    AUTO_WORK w = {0};
    *out = (struct ccz_mpc_cost){0};
    ccz_rc rc = plan_needs(&w, h, needs, NULL, len, err);
    if (rc == CCZ_OK)
        rc = set_up(&w, h, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    const size_t waves = waves_of(h, &w);
    for (unsigned e = 0; e < 2; e++) {
        out->setup_size += keys_size(h, &w, e);
        for (size_t i = 0; i < waves; i++)
            out->size += wave_size(h, &w, e, i, false) + wave_size(h, &w, e, i, true);
        out->distance[e] = distance_of(h, &w, e);
    }
    out->rounds = 2 * waves + (out->setup_size > 0);
    out->cpu_s = cpu_us(h, &w) / 1e6;
    return CCZ_OK;
}

/* Fields one by one where a struct could have gaps. */
static ccz_rc hash_tiles(struct ccz_hasher *hash, const struct cczi_he_plan *p)
{
    const uint64_t sums[] = {p->n,    p->len,  p->groups_len, p->up,
                             p->outs, p->down, p->products,   p->doublings};
    ccz_rc rc = ccz_hasher_put(hash, CCZ_SPAN(sums, sizeof(sums)));
    for (size_t i = 0; i < p->groups_len && rc == CCZ_OK; i++) {
        const struct cczi_he_group *g = &p->groups[i];
        const uint64_t words[] = {g->first,  g->len,    g->chan,     g->chan_tiles, g->h_t,
                                  g->w_t,    g->step_y, g->step_x,   g->tiles_y,    g->tiles_x,
                                  g->pieces, g->area,   g->images_w, g->outs_w,     g->blocks};
        rc = ccz_hasher_put(hash, CCZ_SPAN(words, sizeof(words)));
    }
    for (size_t i = 0; i < p->len && rc == CCZ_OK; i++) {
        const uint64_t order = p->order[i];
        rc = ccz_hasher_put(hash, CCZ_SPAN(&order, sizeof(order)));
    }
    return rc;
}

/* Settings, parameters, and which ciphertext holds what: both parties' have to be the same. */
static ccz_rc hash_work(struct ccz_hasher *hash, const struct he *h, const struct he_work *w)
{
    const double max_abs = max_abs_of(h, BOUNDED), rate = rate_of(h);
    ccz_rc rc = ccz_hasher_put(hash, CCZ_SPAN(&max_abs, sizeof(max_abs)));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(hash, CCZ_SPAN(&rate, sizeof(rate)));
    for (size_t s = 0; s < SUITES && rc == CCZ_OK; s++) {
        const struct cczi_he_suite *suite = w->suite[s];
        const uint64_t words[] = {s, suite ? suite->n : 0, suite ? suite->terms : 0,
                                  suite ? suite->return_limbs : 0, suite ? suite->flood_bits : 0};
        rc = ccz_hasher_put(hash, CCZ_SPAN(words, sizeof(words)));
        for (unsigned e = 0; e < 2 && rc == CCZ_OK; e++)
            rc = hash_tiles(hash, &w->plan[s][e]);
    }
    for (size_t i = 0; i < 4 && rc == CCZ_OK; i++) {
        const uint64_t len = w->list[i / 2][i % 2].len;
        rc = ccz_hasher_put(hash, CCZ_SPAN(&len, sizeof(len)));
    }
    return rc;
}

static ccz_rc he_plan(uint8_t digest[32], void *self, const struct ccz_mpc_need *needs, size_t len,
                      struct ccz_err *err)
{
    struct he *h = self;
    AUTO_WORK w = {0};
    CCZ_AUTO(ccz_hasher) hash = NULL;
    ccz_rc rc = plan_needs(&w, h, needs, NULL, len, err);
    if (rc == CCZ_OK)
        rc = set_up(&w, h, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_hasher_new(&hash, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = hash_work(hash, h, &w);
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(digest, hash);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
}

static ccz_rc he_prepare(struct ccz_mpc_item *items, void *self, const struct ccz_mpc_need *needs,
                         size_t len, struct ccz_err *err)
{
    struct he *h = self;
    AUTO_WORK w = {0};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = own_values(h, &needs[i], &items[i], err);
    if (rc == CCZ_OK)
        rc = plan_needs(&w, h, needs, items, len, err);
    if (rc == CCZ_OK)
        rc = set_up(&w, h, err);
    if (rc == CCZ_OK)
        adopt(h, &w);
    if (rc == CCZ_OK)
        rc = alloc_lists(&w, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        gather(&w, h, &needs[i], &items[i]);
    if (rc == CCZ_OK) {
        const double distance[2] = {distance_of(h, &w, 0), distance_of(h, &w, 1)};
        rc = cczi_mpc_distance_add(h->m, distance, err);
    }
    if (rc == CCZ_OK && keys_size(h, &w, 0) + keys_size(h, &w, 1) > 0)
        rc = exchange_keys(h, &w, err);
    for (size_t wave = 0; rc == CCZ_OK && len && wave < waves_of(h, &w); wave++)
        rc = run_wave(h, &w, wave, err);
    if (rc == CCZ_OK)
        scatter_lists(&w, h, needs, items, len);
    return rc;
}

static void he_free(void *self)
{
    struct he *h = self;
    for (size_t s = 0; s < SUITES; s++) {
        cczi_he_suite_free(h->suite[s]);
        cczi_he_suite_free(h->spare[s]);
    }
    cczi_he_slots_free(h->slots);
    free(h);
}

static const struct ccz_mpc_source_ops ops = {.name = "he",
                                              .can = he_can,
                                              .cost = he_cost,
                                              .prepare = he_prepare,
                                              .free = he_free,
                                              .plan = he_plan};

ccz_rc ccz_mpc_source_he_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                             const struct ccz_mpc_he_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_mpc_he_cfg zero = {0};
    *out = NULL;
    if (!cfg)
        cfg = &zero;
    const uint64_t half = UINT64_C(1) << (cczi_mpc_bits(m) - 1);
    if (cfg->max_abs > half)
        return ccz_fail(err, CCZ_E_ARG, "mpc:he-max-abs", 0, "a bound of %llu in a ring of %u bits",
                        (unsigned long long)cfg->max_abs, cczi_mpc_bits(m));
    if (!(cfg->bytes_per_s >= 0) || !isfinite(cfg->bytes_per_s))
        return ccz_fail(err, CCZ_E_ARG, "mpc:he-bandwidth", 0, "%g bytes per second",
                        cfg->bytes_per_s);
    struct he *h = calloc(1, sizeof(*h));
    if (!h)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    h->m = m;
    h->cfg = *cfg;
    return ccz_mpc_source_new(out, CCZ_MPC_SOURCE_HE, &ops, h, err);
}
