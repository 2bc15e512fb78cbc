/* SPDX-License-Identifier: Apache-2.0 */
/* Correlated randomness between the source that makes it and the product that uses it up: needs, the queue, one-time use. */
#include "session.h"

#include <cczoo/ring.h>

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- needs */

static bool product(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out) && *out <= CCZ_MPC_LEN_MAX;
}

static bool conv_lens(struct ccz_mpc_item *l, const struct ccz_mpc_conv *c)
{
    size_t in, out, w;
    if (!product(&in, c->batch, c->h) || !product(&in, in, c->w) || !product(&in, in, c->c) ||
        !product(&out, c->batch, c->oh) || !product(&out, out, c->ow) ||
        !product(&out, out, c->o) || !product(&w, c->kh, c->kw) || !product(&w, w, c->c) ||
        !product(&w, w, c->o) || c->stride == 0)
        return false;
    if (c->pad > CCZ_MPC_LEN_MAX || c->h + 2 * c->pad < c->kh || c->w + 2 * c->pad < c->kw)
        return false;
    if (c->oh != (c->h + 2 * c->pad - c->kh) / c->stride + 1 ||
        c->ow != (c->w + 2 * c->pad - c->kw) / c->stride + 1)
        return false;
    *l = (struct ccz_mpc_item){.v_len = in, .c_len = out, .x_len = w};
    return in && out && w;
}

/* Lengths of an item; false: no such need. */
static bool lens_of(struct ccz_mpc_item *l, const struct ccz_mpc_need *n)
{
    size_t mk = 0, kn = 0, mn = 0;
    bool matrices = product(&mk, n->m, n->k) && product(&kn, n->k, n->n) &&
                    product(&mn, n->m, n->n) && mn && mk && kn;
    bool elements = n->n > 0 && n->n <= CCZ_MPC_LEN_MAX;
    if (n->owner > 1)
        return false;
    switch (n->kind) {
    case CCZ_MPC_MUL:
        *l = (struct ccz_mpc_item){.a_len = n->n, .b_len = n->n, .c_len = n->n};
        return elements;
    case CCZ_MPC_SQUARE:
        *l = (struct ccz_mpc_item){.a_len = n->n, .c_len = n->n};
        return elements;
    case CCZ_MPC_AND: {
        size_t w = (n->n + 63) / 64;
        *l = (struct ccz_mpc_item){.a_len = w, .b_len = w, .c_len = w};
        return elements;
    }
    case CCZ_MPC_MATMUL:
        *l = (struct ccz_mpc_item){.a_len = mk, .b_len = kn, .c_len = mn};
        return matrices;
    case CCZ_MPC_CROSS_MATMUL:
        *l = (struct ccz_mpc_item){.v_len = kn, .c_len = mn, .x_len = mk};
        return matrices;
    case CCZ_MPC_CROSS_MUL:
        *l = (struct ccz_mpc_item){.v_len = n->n, .c_len = n->n, .x_len = n->n};
        return elements;
    case CCZ_MPC_CROSS_CONV2D:
        return conv_lens(l, &n->conv);
    default:
        return false;
    }
}

ccz_rc cczi_mpc_item_lens(struct ccz_mpc_item *lens, const struct ccz_mpc_need *need,
                          struct ccz_err *err)
{
    *lens = (struct ccz_mpc_item){0};
    if (lens_of(lens, need))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "mpc:need", need->kind, "a need of kind %d with no such shape",
                    (int)need->kind);
}

bool cczi_mpc_is_cross(enum ccz_mpc_need_kind kind)
{
    return kind == CCZ_MPC_CROSS_MATMUL || kind == CCZ_MPC_CROSS_MUL ||
           kind == CCZ_MPC_CROSS_CONV2D;
}

/* Everything of a need, for comparison, digests and files. */
void cczi_mpc_need_words(uint64_t out[CCZI_NEED_WORDS], const struct ccz_mpc_need *n)
{
    const struct ccz_mpc_conv *c = &n->conv;
    const uint64_t w[CCZI_NEED_WORDS] = {
        (uint64_t)n->kind, n->m,   n->k,  n->n, n->fixed, n->owner, n->transposed,
        c->batch,          c->h,   c->w,  c->c, c->kh,    c->kw,    c->o,
        c->stride,         c->pad, c->oh, c->ow};
    memcpy(out, w, sizeof(w));
}

bool cczi_mpc_need_eq(const struct ccz_mpc_need *a, const struct ccz_mpc_need *b)
{
    uint64_t x[CCZI_NEED_WORDS], y[CCZI_NEED_WORDS];
    cczi_mpc_need_words(x, a);
    cczi_mpc_need_words(y, b);
    return memcmp(x, y, sizeof(x)) == 0;
}

/* ------------------------------------------------------------------------------------- items */

void cczi_mpc_item_deinit(struct ccz_mpc_item *item)
{
    cczi_mpc_wipe_free(item->a, item->a_len * sizeof(*item->a));
    cczi_mpc_wipe_free(item->b, item->b_len * sizeof(*item->b));
    cczi_mpc_wipe_free(item->c, item->c_len * sizeof(*item->c));
    cczi_mpc_wipe_free(item->v, item->v_len * sizeof(*item->v));
    *item = (struct ccz_mpc_item){0};
}

static ccz_rc item_init(struct ccz_mpc_item *item, const struct ccz_mpc *m,
                        const struct ccz_mpc_need *need, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_item_lens(item, need, err);
    if (rc == CCZ_OK && item->a_len)
        rc = cczi_mpc_alloc(&item->a, item->a_len, sizeof(uint64_t), err);
    if (rc == CCZ_OK && item->b_len)
        rc = cczi_mpc_alloc(&item->b, item->b_len, sizeof(uint64_t), err);
    if (rc == CCZ_OK && item->c_len)
        rc = cczi_mpc_alloc(&item->c, item->c_len, sizeof(uint64_t), err);
    if (rc == CCZ_OK && item->v_len && m->cfg.role != need->owner)
        rc = cczi_mpc_alloc(&item->v, item->v_len, sizeof(uint64_t), err);
    return rc;
}

/* The fixed operand of a need, if there is such a tensor: found is false if there is none. */
static ccz_rc find_fixed(struct ccz_mpc_tensor **out, const struct ccz_mpc *m,
                         const struct ccz_mpc_need *need, size_t x_len, struct ccz_err *err)
{
    *out = cczi_mpc_private_at(m, need->fixed);
    if (!*out)
        return CCZ_OK;
    const struct ccz_mpc_tensor *t = *out;
    bool fits = t->len == x_len && t->owner == need->owner;
    if (fits && need->kind == CCZ_MPC_CROSS_MATMUL)
        fits = t->shape.rank == 2 && t->shape.dim[need->transposed] == need->m;
    const struct ccz_mpc_conv *c = &need->conv;
    if (fits && need->kind ==
                    CCZ_MPC_CROSS_CONV2D) /* as many numbers in another order are another kernel */
        fits = t->shape.rank == 4 && t->shape.dim[0] == c->kh && t->shape.dim[1] == c->kw &&
               t->shape.dim[2] == c->c && t->shape.dim[3] == c->o;
    if (!fits)
        return ccz_fail(err, CCZ_E_ARG, "mpc:need-fixed", (int64_t)need->fixed,
                        "tensor %llu has another shape or owner than the need for it",
                        (unsigned long long)need->fixed);
    return CCZ_OK;
}

/* Points item->x at the owner's values; a transposed copy goes to *own. */
static ccz_rc set_fixed(struct ccz_mpc_item *item, struct cczi_words *own, const struct ccz_mpc *m,
                        const struct ccz_mpc_need *need, struct ccz_err *err)
{
    struct ccz_mpc_tensor *t;
    ccz_rc rc = find_fixed(&t, m, need, item->x_len, err);
    if (rc != CCZ_OK)
        return rc;
    if (!t)
        return ccz_fail(err, CCZ_E_ARG, "mpc:need-fixed", (int64_t)need->fixed,
                        "there is no PRIVATE tensor %llu", (unsigned long long)need->fixed);
    if (!t->v)
        return CCZ_OK;
    item->x = t->v;
    if (!need->transposed)
        return CCZ_OK;
    rc = cczi_words_init(own, t->len, err);
    if (rc == CCZ_OK)
        ccz_ring_transpose(own->v, t->v, t->shape.dim[0], t->shape.dim[1]);
    item->x = own->v;
    return rc;
}

/* ----------------------------------------------------------------------------------- prepare */

static ccz_rc own_source(struct ccz_mpc *m, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_source) s = NULL;
    if (m->source)
        return CCZ_OK;
    if (m->cfg.source != CCZ_MPC_SOURCE_OT) {
        (void)ccz_refuse(err, CCZ_E_ARG, "mpc:no-source", "none",
                         ccz_mpc_source_kind_name(m->cfg.source));
        return ccz_hint(err, CCZ_E_ARG, "ccz_mpc_attach() before the first product");
    }
    ccz_rc rc = ccz_mpc_source_ot_new(&s, m, err);
    if (rc == CCZ_OK)
        m->source = ccz_mpc_source_take(&s);
    return rc;
}

/* What a source sends in the middle of a step travels apart from what the step has collected. */
struct aside {
    struct cczi_io pending;
    enum ccz_mpc_phase phase;
};

static struct aside step_aside(struct ccz_mpc *m)
{
    const struct aside a = {m->io, cczi_mpc_phase(m, CCZ_MPC_OFFLINE)};
    cczi_io_init(&m->io);
    return a;
}

static void step_back(struct ccz_mpc *m, const struct aside *a)
{
    cczi_io_deinit(&m->io);
    (void)cczi_mpc_phase(m, a->phase);
    m->io = a->pending;
}

/* Makes the items of a list, in a round of messages of its own. */
ccz_rc cczi_mpc_make_items(struct ccz_mpc_item *items, struct ccz_mpc *m,
                           const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    struct cczi_words *fixed = NULL;
    ccz_rc rc = own_source(m, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&fixed, len, sizeof(*fixed), err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        rc = item_init(&items[i], m, &needs[i], err);
        if (rc == CCZ_OK && cczi_mpc_is_cross(needs[i].kind))
            rc = set_fixed(&items[i], &fixed[i], m, &needs[i], err);
    }
    if (rc == CCZ_OK) {
        const struct aside a = step_aside(m);
        rc = cczi_mpc_source_prepare(items, m->source, needs, len, err);
        step_back(m, &a);
    }
    for (size_t i = 0; fixed && i < len; i++) {
        cczi_words_deinit(&fixed[i]);
        items[i].x = NULL;
    }
    free(fixed);
    return rc;
}

void cczi_mpc_ready_deinit(struct ccz_mpc *m)
{
    for (size_t i = m->ready_at; i < m->ready_len; i++)
        cczi_mpc_item_deinit(&m->ready[i].item);
    free(m->ready);
    m->ready = NULL;
    m->ready_at = m->ready_len = 0;
    ccz_mpc_source_free(m->source);
    m->source = NULL;
}

/* Appends to the queue. */
static ccz_rc enqueue(struct ccz_mpc *m, const struct ccz_mpc_need *needs,
                      struct ccz_mpc_item *items, size_t len, struct ccz_err *err)
{
    size_t left = m->ready_len - m->ready_at;
    struct cczi_ready *q;
    ccz_rc rc = cczi_mpc_alloc(&q, left + len, sizeof(*q), err);
    if (rc != CCZ_OK)
        return rc;
    if (left)
        memcpy(q, m->ready + m->ready_at, left * sizeof(*q));
    for (size_t i = 0; i < len; i++) {
        q[left + i] = (struct cczi_ready){needs[i], items[i]};
        items[i] = (struct ccz_mpc_item){0};
    }
    free(m->ready);
    m->ready = q;
    m->ready_at = 0;
    m->ready_len = left + len;
    return CCZ_OK;
}

static ccz_rc hash_needs(uint8_t out[32], const struct ccz_mpc_need *needs, size_t len,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        uint64_t w[CCZI_NEED_WORDS];
        cczi_mpc_need_words(w, &needs[i]);
        rc = ccz_hasher_put(h, CCZ_SPAN(w, sizeof(w)));
    }
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
}

/* The source is asked before anything is sent: parties whose settings differ would make values that do not belong together. */
ccz_rc cczi_mpc_compare_needs(struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                              const struct ccz_mpc_need *now, size_t now_len, struct ccz_err *err)
{
    enum { DIGEST = 16 };
    uint8_t own[32], plan[32] = {0}, peer[2][DIGEST];
    ccz_rc rc = hash_needs(own, needs, len, err);
    if (rc == CCZ_OK && m->source)
        rc = cczi_mpc_source_plan(plan, m->source, now, now_len, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_put_raw(m, own, DIGEST);
    cczi_mpc_put_raw(m, plan, DIGEST);
    cczi_mpc_want_raw(m, peer, sizeof(peer));
    rc = cczi_mpc_round(m, err);
    if (rc != CCZ_OK || cczi_mpc_planning(m))
        return rc;
    if (memcmp(own, peer[0], DIGEST) != 0) {
        (void)ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:needs", peer[0], DIGEST, own, DIGEST);
        return ccz_hint(err, CCZ_E_PEER, "the parties prepare for different programs");
    }
    if (memcmp(plan, peer[1], DIGEST) != 0) {
        (void)ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:needs-plan", peer[1], DIGEST, plan, DIGEST);
        return ccz_hint(err, CCZ_E_PEER, "the sources of the two parties have different settings");
    }
    m->plan_compared = m->plan_compared || now_len > 0;
    return CCZ_OK;
}

/* Those that a source can make now: without transfers, and without operands that do not exist yet. */
static ccz_rc select_needs(struct ccz_mpc_need *out, size_t *out_len, size_t ots[2],
                           const struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                           struct ccz_err *err)
{
    *out_len = 0;
    for (size_t i = 0; i < len; i++) {
        const struct ccz_mpc_need *n = &needs[i];
        struct ccz_mpc_item lens;
        struct ccz_mpc_tensor *fixed = NULL;
        if (n->kind == CCZ_MPC_OTS && n->owner <= 1) {
            ots[n->owner] += n->n;
            continue;
        }
        ccz_rc rc = cczi_mpc_item_lens(&lens, n, err);
        bool cross = cczi_mpc_is_cross(n->kind);
        if (rc == CCZ_OK && cross)
            rc = find_fixed(&fixed, m, n, lens.x_len, err);
        if (rc != CCZ_OK)
            return rc;
        if (!cross || fixed)
            out[(*out_len)++] = *n;
    }
    return CCZ_OK;
}

static ccz_rc prepare(struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                      struct ccz_err *err)
{
    struct ccz_mpc_need *now = NULL;
    struct ccz_mpc_item *items = NULL;
    size_t now_len = 0, ots[2] = {0};
    ccz_rc rc = cczi_mpc_alloc(&now, len, sizeof(*now), err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&items, len, sizeof(*items), err);
    if (rc == CCZ_OK)
        rc = select_needs(now, &now_len, ots, m, needs, len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_compare_needs(m, needs, len, now, now_len, err);
    if (rc == CCZ_OK && now_len && !cczi_mpc_planning(m)) {
        rc = cczi_mpc_make_items(items, m, now, now_len, err);
        if (rc == CCZ_OK)
            rc = enqueue(m, now, items, now_len, err);
    }
    m->prepared_ids = m->ids;
    for (unsigned s = 0; s < 2 && rc == CCZ_OK; s++)
        if (ots[s])
            rc = cczi_mpc_ot_fill(m, s, ots[s], err);
    for (size_t i = 0; items && i < now_len; i++)
        cczi_mpc_item_deinit(&items[i]);
    free(items);
    free(now);
    return rc;
}

ccz_rc ccz_mpc_prepare(struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len,
                       struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc != CCZ_OK)
        return rc;
    enum ccz_mpc_phase before = cczi_mpc_phase(m, CCZ_MPC_OFFLINE);
    rc = prepare(m, needs, len, err);
    (void)cczi_mpc_phase(m, before);
    return cczi_mpc_leave(m, rc, err);
}

ccz_rc ccz_mpc_attach(struct ccz_mpc *m, struct ccz_mpc_source *src, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_enter(m, err);
    if (rc == CCZ_OK && (m->source || ccz_mpc_source_kind_of(src) != m->cfg.source)) {
        (void)ccz_refuse(err, CCZ_E_ARG, "mpc:source-kind",
                         m->source ? "a second source" : ccz_mpc_source_name(src),
                         ccz_mpc_source_kind_name(m->cfg.source));
        rc = cczi_mpc_leave(m, CCZ_E_ARG, err);
    }
    if (rc == CCZ_OK)
        m->source = src;
    else
        ccz_mpc_source_free(src);
    return rc;
}

/* --------------------------------------------------------------------------------------- use */

static ccz_rc record(struct ccz_mpc *m, const struct ccz_mpc_need *need, size_t elements,
                     struct ccz_err *err)
{
    m->stats.needs[need->kind] += elements;
    if (m->needs_len == m->needs_cap) {
        size_t cap = 2 * m->needs_cap;
        struct ccz_mpc_need *p = realloc(m->needs, (cap + 2) * sizeof(*p));
        if (!p)
            return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "no memory for a list of needs");
        m->needs = p;
        m->needs_cap = cap;
    }
    m->needs[m->needs_len++] = *need;
    return CCZ_OK;
}

/* In the list itself there is room for the transfers behind the end. */
const struct ccz_mpc_need *ccz_mpc_needs(size_t *len, const struct ccz_mpc *m)
{
    *len = m->needs_len;
    for (unsigned s = 0; s < 2; s++)
        if (m->ots[s])
            m->needs[(*len)++] =
                (struct ccz_mpc_need){.kind = CCZ_MPC_OTS, .owner = s, .n = (size_t)m->ots[s]};
    return m->needs;
}

/* An item that nobody prepared. Settings of sources are compared before the first one. */
static ccz_rc make_one(struct ccz_mpc_item *item, struct ccz_mpc *m,
                       const struct ccz_mpc_need *need, struct ccz_err *err)
{
    ccz_rc rc = own_source(m, err);
    if (rc == CCZ_OK && cczi_mpc_source_has_plan(m->source) && !m->plan_compared) {
        const struct aside a = step_aside(m);
        rc = cczi_mpc_compare_needs(m, need, 1, need, 1, err);
        step_back(m, &a);
    }
    return rc == CCZ_OK ? cczi_mpc_make_items(item, m, need, 1, err) : rc;
}

ccz_rc cczi_mpc_take(struct ccz_mpc_item *item, struct ccz_mpc *m, const struct ccz_mpc_need *need,
                     struct ccz_err *err)
{
    *item = (struct ccz_mpc_item){0};
    ccz_rc rc = cczi_mpc_item_lens(item, need, err);
    if (rc == CCZ_OK)
        rc = record(m, need, need->kind == CCZ_MPC_AND ? need->n : item->c_len, err);
    if (rc != CCZ_OK)
        return rc;
    *item = (struct ccz_mpc_item){0};
    if (cczi_mpc_planning(m))
        rc = item_init(item, m, need, err);
    else if (m->ready_at < m->ready_len && cczi_mpc_need_eq(&m->ready[m->ready_at].need, need)) {
        *item = m->ready[m->ready_at].item;
        m->ready[m->ready_at++].item = (struct ccz_mpc_item){0};
    } else if (m->ready_at == m->ready_len || need->fixed > m->prepared_ids)
        rc = make_one(item, m, need, err);
    else
        rc = ccz_fail(err, CCZ_E_ARG, "mpc:need-order", need->kind,
                      "a product that is not the next one prepared for");
    if (rc != CCZ_OK)
        cczi_mpc_item_deinit(item);
    return rc;
}
