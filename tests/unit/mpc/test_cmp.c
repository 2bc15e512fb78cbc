/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comparison family in sessions: every operation against what it is to compute, on all pairs of shares of the 8-bit ring and
 * on edges of larger ones; its counters against ccz_mpc_cmp_cost(); plans.
 */
#define _DEFAULT_SOURCE
#include <cczoo/mpc_cmp.h>

#include "kit.h"
#include "mpc/cmp_op.h"
#include "mpc/session.h"

enum op {
    MSB,
    DRELU,
    LESS,
    LESS_CONST,
    EQUAL,
    WRAP,
    B2A,
    A2B,
    MUX,
    SELECT,
    RELU,
    ABS,
    CLAMP,
    MAX2,
    TRUNCATE
};

/* One operation on given shares, and what both parties got. */
struct trial {
    enum op op;
    unsigned k, s;
    enum ccz_mpc_range range;
    enum ccz_mpc_trunc mode;
    int64_t c, hi;
    size_t n;
    uint64_t *x[2], *y[2], *b[2]; /* shares; b: rows */
    uint64_t *out[2], *row[2];
    struct ccz_mpc_cmp_cost cost;
};

struct run {
    struct trial *t;
    size_t len;
    unsigned frac;
};

static uint64_t *words_new(size_t len)
{
    uint64_t *p = calloc(len + 1, sizeof(*p));
    CHECK(p);
    return p;
}

static unsigned bit_at(const uint64_t *row, size_t i)
{
    return (unsigned)(row[i / 64] >> i % 64 & 1);
}

static enum ccz_mpc_cmp_op cost_op(const struct trial *t)
{
    static const enum ccz_mpc_cmp_op of[] = {
        [MSB] = CCZ_MPC_OP_MSB,        [DRELU] = CCZ_MPC_OP_MSB,   [LESS] = CCZ_MPC_OP_MSB,
        [LESS_CONST] = CCZ_MPC_OP_MSB, [EQUAL] = CCZ_MPC_OP_EQUAL, [WRAP] = CCZ_MPC_OP_WRAP,
        [B2A] = CCZ_MPC_OP_B2A,        [A2B] = CCZ_MPC_OP_A2B,     [MUX] = CCZ_MPC_OP_MUX,
        [SELECT] = CCZ_MPC_OP_MUX,     [RELU] = CCZ_MPC_OP_RELU,   [ABS] = CCZ_MPC_OP_RELU,
        [CLAMP] = CCZ_MPC_OP_CLAMP,    [MAX2] = CCZ_MPC_OP_RELU};
    const bool known =
        t->range == CCZ_MPC_RANGE_POSITIVE || (t->range == CCZ_MPC_RANGE_HALF && t->s < t->k - 1);
    if (t->op != TRUNCATE)
        return of[t->op];
    if (t->mode == CCZ_MPC_TRUNC_FAITHFUL)
        return known ? CCZ_MPC_OP_TRUNC_FAITHFUL_RANGE : CCZ_MPC_OP_TRUNC_FAITHFUL;
    return known ? CCZ_MPC_OP_TRUNC_ONE_BIT_RANGE : CCZ_MPC_OP_TRUNC_ONE_BIT;
}

/* What sessions refuse in small rings, where it can be tried for all shares. */
static ccz_rc local(struct ccz_mpc_tensor **out, const struct trial *t,
                    const struct ccz_mpc_tensor *x, struct ccz_err *e)
{
    struct ccz_mpc *m = ccz_mpc_session_of(x);
    uint64_t *q = words_new(t->n);
    cczi_op_truncate_local(q, ccz_mpc_words(x), t->n, t->s, t->k, m->cfg.role);
    ccz_rc rc = ccz_mpc_import(out, m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE1(t->n),
                               ccz_mpc_frac_of(x) - t->s, q, e);
    free(q);
    return rc;
}

static ccz_rc call(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **row, const struct trial *t,
                   const struct ccz_mpc_tensor *x, const struct ccz_mpc_tensor *y,
                   const struct ccz_mpc_tensor *b, struct ccz_err *e)
{
    switch (t->op) {
    case MSB:
        return ccz_mpc_msb(out, x, e);
    case DRELU:
        return ccz_mpc_drelu(out, x, e);
    case LESS:
        return ccz_mpc_less(out, x, y, e);
    case LESS_CONST:
        return ccz_mpc_less_const(out, x, t->c, e);
    case EQUAL:
        return ccz_mpc_equal(out, x, y, e);
    case WRAP:
        return ccz_mpc_wrap(out, x, e);
    case B2A:
        return ccz_mpc_b2a(out, b, e);
    case A2B:
        return ccz_mpc_a2b(out, x, e);
    case MUX:
        return ccz_mpc_mux(out, b, x, e);
    case SELECT:
        return ccz_mpc_select(out, b, x, y, e);
    case RELU:
        return ccz_mpc_relu(out, row, x, e);
    case ABS:
        return ccz_mpc_abs(out, x, e);
    case CLAMP:
        return ccz_mpc_clamp(out, x, t->c, t->hi, e);
    case MAX2:
        return ccz_mpc_max2(out, x, y, e);
    case TRUNCATE:
        return t->mode == CCZ_MPC_TRUNC_LOCAL && t->k < 64
                   ? local(out, t, x, e)
                   : ccz_mpc_truncate_as(out, x, t->s, t->range, t->mode, e);
    }
    return CCZ_E_ARG;
}

static uint64_t *copied(const struct ccz_mpc_tensor *t)
{
    size_t len =
        ccz_mpc_kind_of(t) == CCZ_MPC_BITS ? (ccz_mpc_len_of(t) + 63) / 64 : ccz_mpc_len_of(t);
    uint64_t *p = words_new(len);
    memcpy(p, ccz_mpc_words(t), len * sizeof(*p));
    return p;
}

/* Bytes and rounds of the online phase, and OTs, are those of the formula. */
static void check_counters(const struct party *p, const struct trial *t,
                           const struct ccz_mpc_stats *before, const uint64_t ots[2])
{
    const struct ccz_mpc_stats after = ccz_mpc_stats(p->m);
    const struct ccz_mpc_phase_stats *a = &before->phase[CCZ_MPC_ONLINE];
    const struct ccz_mpc_phase_stats *z = &after.phase[CCZ_MPC_ONLINE];
    struct ccz_mpc_cmp_cost c = ccz_mpc_cmp_cost(cost_op(t), t->n, t->k, t->s);
    if (t->op == TRUNCATE && (t->mode == CCZ_MPC_TRUNC_LOCAL || t->s == 0))
        c = (struct ccz_mpc_cmp_cost){.rounds = 0};
    if (z->sent_size - a->sent_size != c.sent[p->role] || z->rounds - a->rounds != c.rounds)
        fprintf(stderr, "op %d n %zu k %u s %u: %llu bytes %llu rounds, formula %llu %u\n", t->op,
                t->n, t->k, t->s, (unsigned long long)(z->sent_size - a->sent_size),
                (unsigned long long)(z->rounds - a->rounds), (unsigned long long)c.sent[p->role],
                c.rounds);
    CHECK(z->sent_size - a->sent_size == c.sent[p->role]);
    CHECK(z->received_size - a->received_size == c.sent[1 - p->role]);
    CHECK(z->rounds - a->rounds == c.rounds);
    CHECK(p->m->ots[0] - ots[0] == c.ots[0] && p->m->ots[1] - ots[1] == c.ots[1]);
}

static struct ccz_mpc_tensor *imported(struct party *p, enum ccz_mpc_kind kind, size_t n,
                                       unsigned frac, uint64_t *const share[2])
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_tensor *t = NULL;
    if (share[p->role])
        OK(ccz_mpc_import(&t, p->m, kind, CCZ_MPC_SHAPE1(n), frac, share[p->role], e));
    return t;
}

static void run_trials(struct party *p, void *arg)
{
    const struct run *r = arg;
    struct ccz_err *e = &p->err;
    for (size_t i = 0; i < r->len; i++) {
        struct trial *t = &r->t[i];
        CCZ_AUTO(ccz_mpc_tensor) x = imported(p, CCZ_MPC_SHARED, t->n, r->frac, t->x);
        CCZ_AUTO(ccz_mpc_tensor) y = imported(p, CCZ_MPC_SHARED, t->n, r->frac, t->y);
        CCZ_AUTO(ccz_mpc_tensor) b = imported(p, CCZ_MPC_BITS, t->n, 0, t->b);
        CCZ_AUTO(ccz_mpc_tensor) out = NULL;
        CCZ_AUTO(ccz_mpc_tensor) row = NULL;
        struct ccz_mpc_stats before = ccz_mpc_stats(p->m);
        uint64_t ots[2] = {p->m->ots[0], p->m->ots[1]};
        OK(call(&out, &row, t, x, y, b, e));
        check_counters(p, t, &before, ots);
        CHECK(ccz_mpc_frac_of(out) ==
              (ccz_mpc_kind_of(out) == CCZ_MPC_BITS || t->op == B2A ? 0 : r->frac - t->s));
        t->out[p->role] = copied(out);
        t->row[p->role] = row ? copied(row) : NULL;
    }
}

/* ------------------------------------------------------------------------------------ expected */

static uint64_t mask_of(unsigned k)
{
    return UINT64_MAX >> (64 - k);
}

static int64_t value(uint64_t *const v[2], size_t i, unsigned k)
{
    return ccz_mpc_signed((v[0][i] + v[1][i]) & mask_of(k), k);
}

static int64_t sign_extended(uint64_t v, unsigned k)
{
    return ccz_mpc_signed(v & mask_of(k), k);
}

static int64_t floor_shift(int64_t x, unsigned s)
{
    return x < 0 ? ~(~x >> s) : x >> s;
}

static void check_bits(const struct trial *t, size_t i, int64_t x, int64_t y)
{
    const unsigned got = bit_at(t->out[0], i) ^ bit_at(t->out[1], i);
    const uint64_t d = (uint64_t)x - (uint64_t)(t->op == LESS_CONST ? t->c : y);
    switch (t->op) {
    case MSB:
        CHECK(got == (x < 0));
        break;
    case DRELU:
        CHECK(got == (x >= 0));
        break;
    case EQUAL:
        CHECK(got == (x == y));
        break;
    case WRAP:
        CHECK(got == (t->x[1][i] > mask_of(t->k) - t->x[0][i]));
        break;
    default:
        CHECK(got == (sign_extended(d, t->k) < 0));
    }
}

static int64_t expected(const struct trial *t, size_t i, int64_t x, int64_t y)
{
    const unsigned b = t->b[0] ? bit_at(t->b[0], i) ^ bit_at(t->b[1], i) : 0;
    switch (t->op) {
    case B2A:
        return (int64_t)b;
    case MUX:
        return b ? x : 0;
    case SELECT:
        return b ? x : y;
    case RELU:
        CHECK((bit_at(t->row[0], i) ^ bit_at(t->row[1], i)) == (x >= 0));
        return x >= 0 ? x : 0;
    case ABS:
        return sign_extended(x < 0 ? 0 - (uint64_t)x : (uint64_t)x, t->k);
    case CLAMP:
        return x < t->c ? t->c : x > t->hi ? t->hi : x;
    default: /* MAX2, with the differences of the ring */
        return sign_extended((uint64_t)x - (uint64_t)y, t->k) < 0 ? y : x;
    }
}

static bool promised(const struct trial *t, int64_t x)
{
    const int64_t quarter = (int64_t)1 << (t->k - 2);
    if (t->range == CCZ_MPC_RANGE_HALF && t->mode != CCZ_MPC_TRUNC_LOCAL)
        return -quarter <= x && x < quarter;
    return t->range != CCZ_MPC_RANGE_POSITIVE || t->mode == CCZ_MPC_TRUNC_LOCAL || x >= 0;
}

/* How much larger than the floor; LOCAL may also be wrong by 2^(k-s), which counts as 2. */
static unsigned above_floor(const struct trial *t, size_t i, int64_t x)
{
    const uint64_t q = (t->out[0][i] + t->out[1][i]) & mask_of(t->k);
    const uint64_t d = (q - (uint64_t)floor_shift(x, t->s)) & mask_of(t->k);
    const uint64_t wrong = (d - ((uint64_t)1 << (t->k - t->s) % 64)) & mask_of(t->k);
    const uint64_t wrong2 = (d + ((uint64_t)1 << (t->k - t->s) % 64)) & mask_of(t->k);
    if (d <= 1)
        return (unsigned)d;
    CHECK(t->mode == CCZ_MPC_TRUNC_LOCAL && (wrong <= 1 || wrong2 <= 1));
    return 2;
}

static void check_trial(const struct trial *t)
{
    for (size_t i = 0; i < t->n; i++) {
        int64_t x = t->x[0] ? value(t->x, i, t->k) : 0, y = t->y[0] ? value(t->y, i, t->k) : 0;
        if (t->op <= WRAP) {
            check_bits(t, i, x, y);
        } else if (t->op == A2B) {
            for (unsigned b = 0; b < t->k; b++)
                CHECK((bit_at(t->out[0], b * t->n + i) ^ bit_at(t->out[1], b * t->n + i)) ==
                      ((uint64_t)x >> b & 1));
        } else if (t->op == TRUNCATE) {
            unsigned above = promised(t, x) ? above_floor(t, i, x) : 0;
            CHECK(above == 0 || t->mode != CCZ_MPC_TRUNC_FAITHFUL);
            CHECK(above != 1 || ((uint64_t)x & (((uint64_t)1 << t->s) - 1)) != 0);
        } else {
            CHECK(t->out[0][i] <= mask_of(t->k) && t->out[1][i] <= mask_of(t->k));
            const int64_t most =
                (int64_t)(mask_of(t->k) >> 1); /* differences that overflow promise nothing */
            if (t->op != CLAMP || (x >= t->hi - most && x <= t->c + most))
                CHECK(value(t->out, i, t->k) == expected(t, i, x, y));
        }
    }
}

static void run_on(struct run *r, unsigned k, enum ccz_mpc_ot ot)
{
    struct duo d;
    duo_init(&d, k);
    d.p[0].cfg.ot = d.p[1].cfg.ot = ot;
    duo_run(&d, run_trials, r);
    CHECK(d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK);
    duo_free(&d);
    for (size_t i = 0; i < r->len; i++)
        check_trial(&r->t[i]);
}

static void run_all(struct run *r, unsigned k)
{
    run_on(r, k, CCZ_MPC_OT_SOFTSPOKEN);
}

static void free_outputs(struct run *r)
{
    for (size_t i = 0; i < r->len; i++)
        for (int p = 0; p < 2; p++) {
            free(r->t[i].out[p]);
            free(r->t[i].row[p]);
        }
}

/* ------------------------------------------------------------------------------------ 8-bit ring */

enum { ALL = 65536 };

/* All pairs of shares of x; y: other shares of numbers near x; b: random. */
struct inputs {
    uint64_t *x[2], *y[2], *b[2];
    uint64_t seed;
};

static void all_pairs(struct inputs *in)
{
    in->seed = 3;
    for (int p = 0; p < 2; p++) {
        in->x[p] = words_new(ALL);
        in->y[p] = words_new(ALL);
        in->b[p] = words_new(ALL / 64);
    }
    for (size_t i = 0; i < ALL; i++) {
        in->x[0][i] = i >> 8;
        in->x[1][i] = i & 255;
        in->y[0][i] = rnd(&in->seed) & 255;
        in->y[1][i] = (in->x[0][i] + in->x[1][i] + rnd(&in->seed) % 5 - 2 - in->y[0][i]) & 255;
    }
}

static void free_inputs(struct inputs *in)
{
    for (int p = 0; p < 2; p++) {
        free(in->x[p]);
        free(in->y[p]);
        free(in->b[p]);
    }
}

static void random_bits(struct inputs *in, size_t words)
{
    for (int p = 0; p < 2; p++)
        for (size_t w = 0; w < words; w++)
            in->b[p][w] = rnd(&in->seed);
}

static struct trial trial_of(const struct inputs *in, enum op op, unsigned k, size_t n)
{
    return (struct trial){.op = op,
                          .k = k,
                          .n = n,
                          .c = op == CLAMP ? -20 : 5,
                          .hi = 27,
                          .x = {in->x[0], in->x[1]},
                          .y = {in->y[0], in->y[1]},
                          .b = {in->b[0], in->b[1]}};
}

static void test_all8(void)
{
    struct inputs in;
    struct trial t[TRUNCATE + 2];
    struct run r = {t, 0, 0};
    all_pairs(&in);
    random_bits(&in, ALL / 64);
    for (enum op op = MSB; op < TRUNCATE; op++)
        t[r.len++] = trial_of(&in, op, 8, ALL);
    t[r.len] = trial_of(&in, LESS_CONST, 8, ALL);
    t[r.len++].c = -128;
    run_all(&r, 8);
    free_outputs(&r);
    free_inputs(&in);
}

/* All pairs of shares and both bits, in both ways of sharing it. */
static void test_mux8(void)
{
    struct inputs in;
    all_pairs(&in);
    for (int b = 0; b < 4; b++) {
        struct trial t[2] = {trial_of(&in, MUX, 8, ALL), trial_of(&in, SELECT, 8, ALL)};
        struct run r = {t, 2, 0};
        memset(in.b[0], b & 1 ? 0xff : 0, ALL / 8);
        memset(in.b[1], b & 2 ? 0xff : 0, ALL / 8);
        run_all(&r, 8);
        free_outputs(&r);
    }
    free_inputs(&in);
}

/* Over the 256 ways to share x: ONE_BIT and LOCAL are above the floor as often as x mod 2^s says (LOCAL: where it is not wrong),
 * and LOCAL is wrong |x| times. */
static void check_distribution(const struct trial *t)
{
    unsigned above[256] = {0}, wrong[256] = {0};
    for (size_t i = 0; i < ALL; i++) {
        int64_t x = value(t->x, i, 8);
        unsigned a = promised(t, x) ? above_floor(t, i, x) : 0;
        above[x & 255] += a == 1;
        wrong[x & 255] += a == 2;
    }
    for (int x = -128; x < 128; x++) {
        const unsigned part = (unsigned)x & ((1u << t->s) - 1), i = (unsigned)x & 255;
        if (!promised(t, x))
            continue;
        if (t->mode == CCZ_MPC_TRUNC_ONE_BIT)
            CHECK(above[i] == part << (8 - t->s));
        if (t->mode == CCZ_MPC_TRUNC_LOCAL && t->s > 0)
            CHECK(wrong[i] == (unsigned)(x < 0 ? -x : x));
    }
}

static void test_trunc8(void)
{
    struct inputs in;
    struct trial t[7 * 3 * 3];
    struct run r = {t, 0, 6};
    all_pairs(&in);
    for (unsigned s = 0; s <= 6; s++)
        for (int mode = 0; mode < 3; mode++)
            for (int range = 0; range < 3; range++) {
                t[r.len] = trial_of(&in, TRUNCATE, 8, ALL);
                t[r.len].s = s;
                t[r.len].mode = (enum ccz_mpc_trunc)mode;
                t[r.len++].range = (enum ccz_mpc_range)range;
            }
    run_all(&r, 8);
    for (size_t i = 0; i < r.len; i++)
        check_distribution(&t[i]);
    free_outputs(&r);
    free_inputs(&in);
}

/* -------------------------------------------------------------------------------- larger rings */

/* Edges around leaf and word borders, shared at random; y beside x. */
static void edge_inputs(struct inputs *in, unsigned k, size_t n)
{
    in->seed = 100 + k + n;
    for (int p = 0; p < 2; p++) {
        in->x[p] = words_new(n);
        in->y[p] = words_new(n);
        in->b[p] = words_new(n / 64 + 1);
    }
    random_bits(in, n / 64 + 1);
    for (size_t i = 0; i < n; i++) {
        const unsigned bit = (unsigned)(rnd(&in->seed) % k);
        uint64_t x = ((uint64_t)1 << bit) + rnd(&in->seed) % 3 - 1, y;
        switch (rnd(&in->seed) % 6) {
        case 0:
            x = 0;
            break;
        case 1:
            x = UINT64_MAX;
            break;
        case 2:
            x = (uint64_t)1 << (k - 1);
            break;
        case 3:
            x = 0 - x;
            break;
        case 4:
            x = rnd(&in->seed);
            break;
        default:
            break;
        }
        y = rnd(&in->seed) % 3 ? x + rnd(&in->seed) % 3 - 1 : rnd(&in->seed);
        in->x[0][i] = rnd(&in->seed) & mask_of(k);
        in->x[1][i] = (x - in->x[0][i]) & mask_of(k);
        in->y[0][i] = rnd(&in->seed) & mask_of(k);
        in->y[1][i] = (y - in->y[0][i]) & mask_of(k);
    }
}

static void edges(unsigned k)
{
    static const size_t lens[] = {1, 7, 65, 4096};
    for (size_t l = 0; l < 4; l++) {
        struct inputs in;
        struct trial t[64];
        struct run r = {t, 0, k - 2};
        edge_inputs(&in, k, lens[l]);
        for (enum op op = MSB; op < TRUNCATE; op++)
            t[r.len++] = trial_of(&in, op, k, lens[l]);
        run_all(&r, k);
        free_outputs(&r);
        r.len = 0;
        const unsigned shifts[] = {1, 4, 12, k - 3, k - 2};
        for (size_t s = 0; s < 5; s++)
            for (int mode = 0; mode < 2; mode++)
                for (int range = 0; range < 3; range++) {
                    t[r.len] = trial_of(&in, TRUNCATE, k, lens[l]);
                    t[r.len].s = shifts[s];
                    t[r.len].mode = (enum ccz_mpc_trunc)mode;
                    t[r.len++].range = (enum ccz_mpc_range)range;
                }
        run_all(&r, k);
        free_outputs(&r);
        free_inputs(&in);
    }
}

static void test_edges16(void)
{
    edges(16);
}

static void test_edges32(void)
{
    edges(32);
}

static void test_edges64(void)
{
    edges(64);
}

static void test_silent(void)
{
    struct inputs in;
    struct trial t[TRUNCATE];
    struct run r = {t, 0, 30};
    edge_inputs(&in, 32, 300);
    for (enum op op = MSB; op < TRUNCATE; op++)
        t[r.len++] = trial_of(&in, op, 32, 300);
    run_on(&r, 32, CCZ_MPC_OT_SILENT);
    free_outputs(&r);
    free_inputs(&in);
}

/* -------------------------------------------------------------------------------------- maxima */

/* Where the first maximum of n values stands. */
static size_t first_max(const uint64_t *v, size_t n, size_t step, unsigned k)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (ccz_mpc_signed(v[i * step], k) > ccz_mpc_signed(v[best * step], k))
            best = i;
    return best;
}

static void max_program(struct party *p, void *arg)
{
    static const size_t lens[] = {1, 2, 3, 5, 10, 16, 33};
    struct ccz_err *e = &p->err;
    const unsigned k = p->cfg.ring_bits;
    uint64_t seed = 21;
    (void)arg;
    for (size_t l = 0; l < 7; l++)
        for (int with = 0; with < 2; with++) {
            const size_t groups = 13, d = lens[l];
            uint64_t v[13 * 33], best[13], at[13];
            for (size_t i = 0; i < groups * d; i++)
                v[i] = (rnd(&seed) % 7 - 3) & mask_of(k); /* many equals */
            for (size_t g = 0; g < groups; g++) {
                at[g] = first_max(v + g * d, d, 1, k);
                best[g] = v[g * d + at[g]];
            }
            CCZ_AUTO(ccz_mpc_tensor) x = input(p, 3, CCZ_MPC_SHAPE2(groups, d), 3, v);
            CCZ_AUTO(ccz_mpc_tensor) max = NULL;
            CCZ_AUTO(ccz_mpc_tensor) index = NULL;
            struct ccz_mpc_stats a = ccz_mpc_stats(p->m);
            OK(ccz_mpc_max(&max, with ? &index : NULL, x, e));
            struct ccz_mpc_stats z = ccz_mpc_stats(p->m);
            struct ccz_mpc_cmp_cost c =
                ccz_mpc_cmp_cost(with ? CCZ_MPC_OP_ARGMAX : CCZ_MPC_OP_MAX, groups, k, (unsigned)d);
            CHECK(z.phase[CCZ_MPC_ONLINE].sent_size - a.phase[CCZ_MPC_ONLINE].sent_size ==
                  c.sent[p->role]);
            CHECK(z.phase[CCZ_MPC_ONLINE].rounds - a.phase[CCZ_MPC_ONLINE].rounds == c.rounds);
            CHECK(ccz_mpc_shape_of(max).rank == 1 && ccz_mpc_frac_of(max) == 3);
            expect(p, max, best);
            if (with)
                expect(p, index, at);
        }
}

static void test_max(void)
{
    both(16, max_program, NULL);
    both(64, max_program, NULL);
}

static void pool_program(struct party *p, void *arg)
{
    enum { N = 2, Y = 7, X = 6, C = 3 };
    static const struct ccz_mpc_pool pools[] = {
        {2, 2, 0, 0}, {3, 2, 2, 1}, {1, 1, 0, 0}, {7, 6, 0, 0}};
    struct ccz_err *e = &p->err;
    uint64_t *v = numbers(N * Y * X * C, 30, 9), expected_max[N * Y * X * C];
    (void)arg;
    CCZ_AUTO(ccz_mpc_tensor) x = input(p, 3, CCZ_MPC_SHAPE4(N, Y, X, C), 0, v);
    for (size_t i = 0; i < 4; i++) {
        const struct ccz_mpc_pool *w = &pools[i];
        size_t sy = w->stride_y ? w->stride_y : w->height,
               sx = w->stride_x ? w->stride_x : w->width;
        size_t oy = (Y - w->height) / sy + 1, ox = (X - w->width) / sx + 1, len = 0;
        CCZ_AUTO(ccz_mpc_tensor) out = NULL;
        for (size_t b = 0; b < N; b++)
            for (size_t r = 0; r < oy * ox * C; r++) {
                size_t c = r % C, col = r / C % ox, row = r / C / ox;
                uint64_t best = 0;
                for (size_t a = 0; a < w->height * w->width; a++) {
                    size_t iy = row * sy + a / w->width, ix = col * sx + a % w->width;
                    uint64_t u = v[((b * Y + iy) * X + ix) * C + c];
                    best = u > best ? u : best;
                }
                expected_max[len++] = best;
            }
        OK(ccz_mpc_max_pool(&out, x, w, e));
        CHECK(ccz_mpc_len_of(out) == len && ccz_mpc_shape_of(out).dim[1] == oy);
        expect(p, out, expected_max);
    }
    free(v);
}

static void test_pool(void)
{
    both(32, pool_program, NULL);
}

/* ------------------------------------------------------------------------- kinds of operands */

static void millionaires_program(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    (void)arg;
    for (unsigned bits = 1; bits <= 32; bits += bits < 8 ? 1 : 6)
        for (int turned = 0; turned < 2; turned++) {
            enum { N = 300 };
            uint64_t *x = numbers(N, bits, 5 + bits), *y = numbers(N, bits, 6 + bits);
            memcpy(y + 100, x + 100, 50 * sizeof(*y));
            CCZ_AUTO(ccz_mpc_tensor) tx = input(p, turned ? 2 : 1, CCZ_MPC_SHAPE1(N), 0, x);
            CCZ_AUTO(ccz_mpc_tensor) ty = input(p, turned ? 1 : 2, CCZ_MPC_SHAPE1(N), 0, y);
            CCZ_AUTO(ccz_mpc_tensor) out = NULL;
            OK(ccz_mpc_millionaires(&out, tx, ty, bits, e));
            uint64_t *got = values(p, out);
            for (size_t i = 0; i < N; i++)
                CHECK(bit_at(got, i) == (x[i] < y[i]));
            free(got);
            free(x);
            free(y);
        }
}

static void test_millionaires(void)
{
    both(32, millionaires_program, NULL);
}

/* Every mixture of kinds; truncation of what a party knows is exact and stays its own. */
static void kinds_program(struct party *p, void *arg)
{
    enum { N = 70 };
    struct ccz_err *e = &p->err;
    uint64_t x[N], y[N], seed = 5, larger[N], cut[N];
    (void)arg;
    for (size_t i = 0; i < N; i++) {
        x[i] = (rnd(&seed) % 1000 - 500) & mask_of(32);
        y[i] = i % 4 ? (rnd(&seed) % 1000 - 500) & mask_of(32) : x[i];
        int64_t a = ccz_mpc_signed(x[i], 32), b = ccz_mpc_signed(y[i], 32);
        larger[i] = a < b ? y[i] : x[i];
        cut[i] = (uint64_t)floor_shift(a, 3) & mask_of(32);
    }
    for (int kx = 0; kx < 4; kx++) {
        CCZ_AUTO(ccz_mpc_tensor) tx = input(p, kx, CCZ_MPC_SHAPE2(N / 7, 7), 4, x);
        CCZ_AUTO(ccz_mpc_tensor) q = NULL;
        OK(ccz_mpc_truncate(&q, tx, 3, CCZ_MPC_RANGE_ANY, e));
        CHECK(ccz_mpc_kind_of(q) == ccz_mpc_kind_of(tx) && ccz_mpc_frac_of(q) == 1);
        expect(p, q, cut);
        for (int ky = 0; ky < 4; ky++) {
            CCZ_AUTO(ccz_mpc_tensor) ty = input(p, ky, CCZ_MPC_SHAPE2(N / 7, 7), 4, y);
            CCZ_AUTO(ccz_mpc_tensor) less = NULL;
            CCZ_AUTO(ccz_mpc_tensor) same = NULL;
            CCZ_AUTO(ccz_mpc_tensor) max = NULL;
            CCZ_AUTO(ccz_mpc_tensor) chosen = NULL;
            OK(ccz_mpc_less(&less, tx, ty, e));
            OK(ccz_mpc_equal(&same, tx, ty, e));
            OK(ccz_mpc_max2(&max, tx, ty, e));
            OK(ccz_mpc_select(&chosen, less, ty, tx, e));
            expect(p, max, larger);
            expect(p, chosen, larger);
            uint64_t *l = values(p, less), *s = values(p, same);
            for (size_t i = 0; i < N; i++) {
                CHECK(bit_at(l, i) == (ccz_mpc_signed(x[i], 32) < ccz_mpc_signed(y[i], 32)));
                CHECK(bit_at(s, i) == (x[i] == y[i]));
            }
            free(l);
            free(s);
        }
    }
}

static void test_kinds(void)
{
    both(32, kinds_program, NULL);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"cmp.all8", test_all8},
        {"cmp.mux8", test_mux8},
        {"cmp.trunc8", test_trunc8},
        {"cmp.edges16", test_edges16},
        {"cmp.edges32", test_edges32},
        {"cmp.edges64", test_edges64},
        {"cmp.silent", test_silent},
        {"cmp.max", test_max},
        {"cmp.pool", test_pool},
        {"cmp.kinds", test_kinds},
        {"cmp.millionaires", test_millionaires},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
