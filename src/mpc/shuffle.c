/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permute and share (Chase, Ghosh, Poburinnaya, ASIACRYPT 2020). For each row i there is a vector V[i][.] of random numbers, the leaves
 * of a tree; the sender knows all of it, the owner of the order p all but V[i][p(i)]. The sender hides its share x of row j
 * with the sum of column j, a_j, and keeps the sum of row i, b_i. What the owner has to subtract, b_i - a_p(i), does not contain
 * V[i][p(i)] at all: it cancels, whatever the owner puts there. So
 *   owner:   (own share + (x - a))[p(i)] + its a_p(i) - its b_i        sender: b_i
 * Three steps after each other need no more messages than one: the sender's share after a step is known before it begins.
 */
#include "shuffle.h"

#include <cczoo/mpc_math.h>

#include <string.h>

struct blocks {
    struct ccz_f128 *at;
    size_t len;
};

static ccz_rc blocks_init(struct blocks *b, size_t len, struct ccz_err *err)
{
    b->len = len;
    return cczi_mpc_alloc(&b->at, len, sizeof(*b->at), err);
}

static void blocks_deinit(struct blocks *b)
{
    cczi_mpc_wipe_free(b->at, b->len * sizeof(*b->at));
    *b = (struct blocks){0};
}

/* Where rows go in each step. */
struct way {
    uint32_t *place[CCZI_ORDER_STEPS];
    size_t len;
};

/*
 * order: NULL when planning. Above CCZI_ROWS_SINGLE rows time depends on the order: so ways are found before the first message of an
 * operation, not between two of them.
 */
static ccz_rc way_init(struct way *w, const struct cczi_order *o, const uint32_t *order,
                       struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    w->len = o->padded;
    for (unsigned s = 0; s < o->steps && rc == CCZ_OK; s++)
        rc = cczi_mpc_alloc(&w->place[s], o->padded, sizeof(*w->place[s]), err);
    return rc == CCZ_OK && order && o->steps > 0 ? cczi_order_route(w->place, order, o, err) : rc;
}

static void way_deinit(struct way *w)
{
    for (unsigned s = 0; s < CCZI_ORDER_STEPS; s++)
        cczi_mpc_wipe_free(w->place[s], w->len * sizeof(*w->place[s]));
}
#define AUTO_WAY __attribute__((cleanup(way_deinit))) struct way

struct permute {
    struct ccz_mpc *m;
    const struct cczi_order *o;
    struct cczi_tree tree;
    bool owner;
    unsigned sender, k;
    struct ccz_ot_ext *ot; /* NULL when planning */
    struct ccz_f128 delta;
    struct blocks ots, msg, leaves, wide; /* leaves: of one tree; wide: stretched */
    struct cczi_words flips;              /* bits, of all OTs */
    struct cczi_words hidden;             /* [steps][padded][d]: x - a */
    struct cczi_words share;              /* [padded][d] */
    struct cczi_words row, column;        /* [padded][stride] */
    size_t pairs, per_pair, stride; /* blocks of 256 bits for a row, elements in each, in all */
    uint32_t *const *place;         /* the owner's way */
};

static void permute_deinit(struct permute *p)
{
    cczi_tree_deinit(&p->tree);
    blocks_deinit(&p->ots);
    blocks_deinit(&p->msg);
    blocks_deinit(&p->leaves);
    blocks_deinit(&p->wide);
    cczi_words_deinit(&p->flips);
    cczi_words_deinit(&p->hidden);
    cczi_words_deinit(&p->share);
    cczi_words_deinit(&p->row);
    cczi_words_deinit(&p->column);
    ccz_wipe(&p->delta, sizeof(p->delta));
}
#define AUTO_PERMUTE __attribute__((cleanup(permute_deinit))) struct permute

static ccz_rc permute_init(struct permute *p, struct ccz_err *err)
{
    const struct cczi_order *o = p->o;
    const size_t len = o->padded * o->d;
    size_t leaves = 0;
    for (unsigned s = 0; s < o->steps; s++)
        if ((size_t)1 << o->step[s].depth > leaves)
            leaves = (size_t)1 << o->step[s].depth;
    p->per_pair = p->k == 64 ? 4 : 8;
    p->pairs = (o->d + p->per_pair - 1) / p->per_pair;
    p->stride = p->pairs * p->per_pair;
    ccz_rc rc = cczi_tree_init(&p->tree, p->pairs, p->m, err);
    if (rc == CCZ_OK)
        rc = blocks_init(&p->ots, o->ots, err);
    if (rc == CCZ_OK)
        rc = blocks_init(&p->msg, o->ots, err);
    if (rc == CCZ_OK)
        rc = blocks_init(&p->leaves, leaves, err);
    if (rc == CCZ_OK)
        rc = blocks_init(&p->wide, 2 * leaves, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&p->flips, cczi_words_of(o->ots), err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&p->hidden, o->steps * len, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&p->share, len, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&p->row, o->padded * p->stride, err);
    return rc == CCZ_OK ? cczi_words_init(&p->column, o->padded * p->stride, err) : rc;
}

/* -------------------------------------------------------------------------------------- vectors */

/* Adds 256 bits of each leaf to elements of a vector, and of one for each row of a block. */
static void add_lanes_64(uint64_t *row, uint64_t *column, const struct ccz_f128 *wide, size_t len,
                         size_t by)
{
    uint64_t sum[4] = {0};
    for (size_t j = 0; j < len; j++, column += by, wide += 2) {
        const uint64_t v[4] = {wide[0].lo, wide[0].hi, wide[1].lo, wide[1].hi};
        for (int e = 0; e < 4; e++) {
            sum[e] += v[e];
            column[e] += v[e];
        }
    }
    for (int e = 0; e < 4; e++)
        row[e] += sum[e];
}

static void add_lanes_32(uint64_t *row, uint64_t *column, const struct ccz_f128 *wide, size_t len,
                         size_t by)
{
    uint64_t sum[8] = {0};
    for (size_t j = 0; j < len; j++, column += by, wide += 2) {
        const uint64_t v[4] = {wide[0].lo, wide[0].hi, wide[1].lo, wide[1].hi};
        for (int e = 0; e < 8; e++) {
            const uint64_t x = v[e / 2] >> 32 * (e % 2) & UINT32_MAX;
            sum[e] += x;
            column[e] += x;
        }
    }
    for (int e = 0; e < 8; e++)
        row[e] += sum[e];
}

/* All leaves of the tree of row `at`, which is in a block that begins at `first`, to its sum and to the columns'. */
static void absorb(struct permute *p, const struct cczi_order_step *s, size_t at, size_t first)
{
    for (size_t i = 0; i < p->pairs; i++) {
        uint64_t *row = p->row.v + at * p->stride + i * p->per_pair;
        uint64_t *column = p->column.v + first * p->stride + i * p->per_pair;
        p->tree.kernels->grow(p->wide.at, p->leaves.at, s->len, &p->tree.stretch[i]);
        if (p->k == 64)
            add_lanes_64(row, column, p->wide.at, s->len, s->row_by * p->stride);
        else
            add_lanes_32(row, column, p->wide.at, s->len, s->row_by * p->stride);
    }
}

/* Bits of the OTs of a tree, one in each byte. */
static void flips_of(uint8_t flip[CCZI_TREE_DEPTH_MAX], const struct permute *p, size_t ot,
                     unsigned depth)
{
    for (unsigned l = 0; l < depth; l++)
        flip[l] = (uint8_t)(p->flips.v[(ot + l) / 64] >> (ot + l) % 64 & 1);
}

/* All trees of a step; `ot` is the number of their first OT. */
static void step_vectors(struct permute *p, unsigned s, size_t ot)
{
    const struct cczi_order_step *st = &p->o->step[s];
    uint8_t flip[CCZI_TREE_DEPTH_MAX];
    memset(p->row.v, 0, p->row.len * sizeof(*p->row.v));
    memset(p->column.v, 0, p->column.len * sizeof(*p->column.v));
    for (size_t b = 0; b < st->blocks; b++)
        for (size_t j = 0; j < st->len; j++, ot += st->depth) {
            const size_t first = b * st->block_by, at = first + j * st->row_by;
            if (p->owner) {
                cczi_tree_regrow(p->leaves.at, p->msg.at + ot, p->ots.at + ot, p->place[s][at],
                                 st->depth, ot, &p->tree);
            } else {
                flips_of(flip, p, ot, st->depth);
                cczi_tree_grow(p->leaves.at, p->msg.at + ot, p->ots.at + ot, p->delta, flip,
                               st->depth, ot, &p->tree);
            }
            absorb(p, st, at, first);
        }
}

/* --------------------------------------------------------------------------------------- sender */

/* Hides the share of each step, and goes on with the rows' sums. */
static void send_steps(struct permute *p)
{
    const size_t d = p->o->d, len = p->o->padded;
    size_t ot = 0;
    for (unsigned s = 0; s < p->o->steps; s++) {
        uint64_t *hidden = p->hidden.v + s * len * d;
        step_vectors(p, s, ot);
        for (size_t i = 0; i < len; i++)
            for (size_t e = 0; e < d; e++) {
                hidden[i * d + e] = p->share.v[i * d + e] - p->column.v[i * p->stride + e];
                p->share.v[i * d + e] = p->row.v[i * p->stride + e];
            }
        ot += len * p->o->step[s].depth;
    }
}

static ccz_rc send(struct permute *p, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (p->ot) {
        p->delta = *ccz_ot_ext_delta(p->ot);
        rc = ccz_ot_ext_rcot_send(p->ots.at, p->ots.len, p->ot, err);
    }
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_want_bits(p->m, p->flips.v, p->ots.len);
    rc = cczi_mpc_round(p->m, err);
    if (rc != CCZ_OK)
        return rc;
    if (p->ot)
        send_steps(p);
    cczi_mpc_put_raw(p->m, p->msg.at, p->msg.len * sizeof(*p->msg.at));
    cczi_mpc_put(p->m, p->hidden.v, p->hidden.len, p->k);
    return cczi_mpc_round(p->m, err);
}

/* ---------------------------------------------------------------------------------------- owner */

/* How random choices differ from the sides to be known, which are those beside the way to the hole. */
static void choose(struct permute *p, const uint64_t *choices)
{
    size_t ot = 0;
    for (unsigned s = 0; s < p->o->steps; s++) {
        const struct cczi_order_step *st = &p->o->step[s];
        for (size_t b = 0; b < st->blocks; b++)
            for (size_t j = 0; j < st->len; j++) {
                const uint64_t hole = p->place[s][b * st->block_by + j * st->row_by];
                for (unsigned l = 0; l < st->depth; l++, ot++) {
                    uint64_t bit = (hole >> (st->depth - 1 - l) & 1) ^ 1;
                    bit ^= choices[ot / 64] >> ot % 64 & 1;
                    p->flips.v[ot / 64] |= bit << ot % 64;
                }
            }
    }
}

/* out = rows of `in` by their places in blocks: each output looks at every row of its block. */
static void gather(uint64_t *out, size_t d, const uint64_t *in, size_t stride,
                   const struct cczi_order_step *st, const uint32_t *place)
{
    for (size_t b = 0; b < st->blocks; b++)
        for (size_t i = 0; i < st->len; i++) {
            const size_t first = b * st->block_by, at = first + i * st->row_by;
            uint64_t *to = out + at * d;
            memset(to, 0, d * sizeof(*to));
            for (size_t j = 0; j < st->len; j++) {
                const uint64_t diff = j ^ place[at];
                const uint64_t mask = 0 - (cczi_ct_barrier64((diff - 1) & ~diff) >> 63);
                const uint64_t *row = in + (first + j * st->row_by) * stride;
                for (size_t e = 0; e < d; e++)
                    to[e] |= row[e] & mask;
            }
        }
}

static void receive_steps(struct permute *p)
{
    const size_t d = p->o->d, len = p->o->padded;
    size_t ot = 0;
    for (unsigned s = 0; s < p->o->steps; s++) {
        const uint64_t *hidden = p->hidden.v + s * len * d;
        step_vectors(p, s, ot);
        for (size_t i = 0; i < len; i++)
            for (size_t e = 0; e < d; e++)
                p->column.v[i * p->stride + e] += p->share.v[i * d + e] + hidden[i * d + e];
        gather(p->share.v, d, p->column.v, p->stride, &p->o->step[s], p->place[s]);
        for (size_t i = 0; i < len; i++)
            for (size_t e = 0; e < d; e++)
                p->share.v[i * d + e] -= p->row.v[i * p->stride + e];
        ot += len * p->o->step[s].depth;
    }
}

static ccz_rc receive(struct permute *p, struct ccz_err *err)
{
    CCZI_AUTO_WORDS choices = {0};
    ccz_rc rc = cczi_words_init(&choices, p->flips.len, err);
    if (rc == CCZ_OK && p->ot)
        rc = ccz_ot_ext_rcot_recv(p->ots.at, (uint8_t *)choices.v, p->ots.len, p->ot, err);
    if (rc != CCZ_OK)
        return rc;
    choose(p, choices.v);
    cczi_mpc_put_bits(p->m, p->flips.v, p->ots.len);
    rc = cczi_mpc_round(p->m, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_want_raw(p->m, p->msg.at, p->msg.len * sizeof(*p->msg.at));
    cczi_mpc_want(p->m, p->hidden.v, p->hidden.len, p->k);
    rc = cczi_mpc_round(p->m, err);
    if (rc == CCZ_OK && p->ot)
        receive_steps(p);
    return rc;
}

/* ------------------------------------------------------------------------------------ operation */

struct cczi_cmp_need cczi_order_need(const struct cczi_order *o, unsigned owner, unsigned k)
{
    struct cczi_cmp_need sum = {.rounds = o->steps > 0 ? 2 : 0};
    sum.ots[1 - owner] = o->ots;
    sum.sent[owner] = cczi_bits_size(o->ots);
    sum.sent[1 - owner] =
        o->ots * sizeof(struct ccz_f128) + (uint64_t)o->steps * o->padded * o->d * (k / 8);
    return sum;
}

/* x: [rows][d] shares, replaced. way: the owner's. */
static ccz_rc permute_shares(uint64_t *x, struct ccz_mpc *m, const struct cczi_order *o,
                             unsigned owner, const struct way *way, struct ccz_err *err)
{
    AUTO_PERMUTE p = {.m = m,
                      .o = o,
                      .owner = cczi_mpc_role(m) == owner,
                      .sender = 1 - owner,
                      .k = cczi_mpc_bits(m),
                      .place = way->place};
    if (o->steps == 0)
        return CCZ_OK;
    ccz_rc rc = permute_init(&p, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_ot(&p.ot, m, p.sender, o->ots, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(p.share.v, x, o->rows * o->d * sizeof(*x));
    rc = p.owner ? receive(&p, err) : send(&p, err);
    for (size_t i = 0; i < o->rows * o->d && rc == CCZ_OK; i++)
        x[i] = p.share.v[i] & cczi_mpc_mask(m);
    return rc;
}

/* Each number once. Small ones: every number looks at all, so that time says nothing. */
static ccz_rc check_order(const uint32_t *order, size_t rows, struct ccz_err *err)
{
    uint8_t *seen = NULL;
    uint64_t bad = 0;
    if (rows <= CCZI_ROWS_SINGLE) {
        for (size_t v = 0; v < rows; v++) {
            uint64_t found = 0;
            for (size_t i = 0; i < rows; i++)
                found |= ((v ^ order[i]) - 1) & ~(v ^ order[i]);
            bad |= ~found;
        }
    } else {
        ccz_rc rc = cczi_mpc_alloc(&seen, rows, 1, err);
        if (rc != CCZ_OK)
            return rc;
        for (size_t i = 0; i < rows; i++) {
            if (order[i] >= rows || seen[order[i]])
                bad = UINT64_MAX;
            else
                seen[order[i]] = 1;
        }
        cczi_mpc_wipe_free(seen, rows);
    }
    CCZ_CT_PUBLIC(&bad, sizeof(bad)); /* an order that is none is the caller's mistake */
    if (bad >> 63)
        return ccz_fail(err, CCZ_E_ARG, "mpc:order", (int64_t)rows,
                        "not each of 0 .. %zu once in an order of rows", rows - 1);
    return CCZ_OK;
}

static ccz_rc check_rows(const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    const unsigned kinds = 1u << CCZ_MPC_PUBLIC | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_SHARED;
    ccz_rc rc = cczi_mpc_want_kind(x, kinds, "the rows", err);
    if (rc == CCZ_OK && (x->shape.rank < 1 || x->shape.dim[0] > CCZ_MPC_ROWS_MAX))
        rc =
            ccz_refuse_num(err, CCZ_E_ARG, "mpc:rows", x->shape.rank ? (int64_t)x->shape.dim[0] : 0,
                           (int64_t)CCZ_MPC_ROWS_MAX);
    return rc;
}

static ccz_rc check(const struct ccz_mpc_tensor *x, unsigned owner, const uint32_t *order,
                    struct ccz_err *err)
{
    ccz_rc rc = check_rows(x, err);
    if (rc == CCZ_OK && owner > 1)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "mpc:owner", owner, 1);
    if (rc != CCZ_OK || (cczi_mpc_planning(x->m) && !order))
        return rc;
    if ((owner == cczi_mpc_role(x->m)) != (order != NULL))
        return ccz_fail(err, CCZ_E_ARG, "mpc:values", 0,
                        order ? "an order at a party that should not have it"
                              : "no order at the party that has it");
    return order ? check_order(order, x->shape.dim[0], err) : CCZ_OK;
}

/* Rows that the owner of the order knows. */
static ccz_rc local(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned owner,
                    const uint32_t *order, const struct cczi_order *o, struct ccz_err *err)
{
    const struct cczi_order_step all = {1, o->rows, o->rows, 1, 0};
    ccz_rc rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_PRIVATE, owner, x->shape, x->frac, err);
    if (rc != CCZ_OK || !order)
        return rc;
    if (o->rows <= CCZI_ROWS_SINGLE)
        gather((*out)->v, o->d, x->v, o->d, &all, order);
    for (size_t i = 0; i < o->rows && o->rows > CCZI_ROWS_SINGLE; i++)
        memcpy((*out)->v + i * o->d, x->v + order[i] * o->d, o->d * sizeof(*x->v));
    return CCZ_OK;
}

static ccz_rc permute(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned owner,
                      const uint32_t *order, struct ccz_err *err)
{
    struct cczi_order o;
    CCZI_AUTO_OPERAND s = {0};
    AUTO_WAY way = {0};
    ccz_rc rc = check(x, owner, order, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_order_shape(&o, x->shape.dim[0], x->len / x->shape.dim[0]);
    if (x->kind == CCZ_MPC_PUBLIC || (x->kind == CCZ_MPC_PRIVATE && x->owner == owner))
        return local(out, x, owner, order, &o, err);
    if (owner == cczi_mpc_role(x->m))
        rc = way_init(&way, &o, order, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&s, x, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_SHARED, 0, x->shape, x->frac, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy((*out)->v, s.t->v, x->len * sizeof(*x->v));
    return permute_shares((*out)->v, x->m, &o, owner, &way, err);
}

ccz_rc ccz_mpc_permute(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, unsigned owner,
                       const uint32_t *order, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, permute(&r, x, owner, order, err), err) : rc;
}

/* -------------------------------------------------------------------------------------- shuffle */

/* Both pairs in order, without a branch. */
static void exchange(uint64_t *key, uint32_t *value, size_t i, size_t j)
{
    const uint64_t a = key[i], b = key[j];
    const uint64_t less = ((~b & a) | (~(a ^ b) & (b - a))) >> 63; /* b < a */
    const uint64_t m = cczi_ct_barrier64(0 - less), k = (a ^ b) & m;
    const uint32_t v = (value[i] ^ value[j]) & (uint32_t)m;
    key[i] ^= k;
    key[j] ^= k;
    value[i] ^= v;
    value[j] ^= v;
}

/* Batcher's merge exchange (Knuth, volume 3, 5.2.2, algorithm M): what is compared does not depend on what is found. */
static void sort(uint64_t *key, uint32_t *value, size_t n)
{
    size_t top = 1;
    while (2 * top < n)
        top *= 2;
    for (size_t p = top; p > 0; p /= 2)
        for (size_t q = top, r = 0, d = p;; d = q - p, q /= 2, r = p) {
            for (size_t i = 0; i + d < n; i++)
                if ((i & p) == r)
                    exchange(key, value, i, i + d);
            if (q == p)
                break;
        }
}

/* Numbers in the order of random words; these are drawn again if two of them are equal, so that each order is as likely. */
static ccz_rc random_order(uint32_t *order, size_t rows, struct ccz_mpc *m, struct ccz_err *err)
{
    CCZI_AUTO_WORDS key = {0};
    uint64_t equal = UINT64_MAX;
    ccz_rc rc = cczi_words_init(&key, rows, err);
    while (equal && rc == CCZ_OK) {
        rc = cczi_mpc_random(key.v, rows, 64, m, err);
        for (size_t i = 0; i < rows; i++)
            order[i] = (uint32_t)i;
        if (rc == CCZ_OK)
            sort(key.v, order, rows);
        equal = 0;
        for (size_t i = 0; i + 1 < rows; i++) {
            const uint64_t d = key.v[i] ^ key.v[i + 1];
            equal |= ((d - 1) & ~d) >> 63;
        }
        CCZ_CT_PUBLIC(&equal, sizeof(equal)); /* says nothing about the next ones */
    }
    return rc;
}

static ccz_rc shuffle(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                      struct ccz_err *err)
{
    struct cczi_order o;
    CCZI_AUTO_OPERAND s = {0};
    AUTO_WAY way = {0};
    uint32_t *order = NULL;
    ccz_rc rc = check_rows(x, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&s, x, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(out, x->m, CCZ_MPC_SHARED, 0, x->shape, x->frac, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_order_shape(&o, x->shape.dim[0], x->len / x->shape.dim[0]);
    memcpy((*out)->v, s.t->v, x->len * sizeof(*x->v));
    rc = cczi_mpc_alloc(&order, o.rows, sizeof(*order), err);
    if (rc == CCZ_OK && !cczi_mpc_planning(x->m))
        rc = random_order(order, o.rows, x->m, err);
    if (rc == CCZ_OK)
        rc = way_init(&way, &o, cczi_mpc_planning(x->m) ? NULL : order, err);
    for (unsigned owner = 0; owner < 2 && rc == CCZ_OK; owner++)
        rc = permute_shares((*out)->v, x->m, &o, owner, &way, err);
    cczi_mpc_wipe_free(order, o.rows * sizeof(*order));
    return rc;
}

ccz_rc ccz_mpc_shuffle(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, shuffle(&r, x, err), err) : rc;
}
