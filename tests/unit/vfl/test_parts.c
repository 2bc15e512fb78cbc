/* SPDX-License-Identifier: Apache-2.0 */
/* Order of rows, tables, attacks, noise, messages and checkpoints, each alone. */
#define _GNU_SOURCE
#include "temp_dir.h"
#include "vfl/kit.h"

#include <cczoo/pf.h>

static const struct ccz_vfl_cfg CFG = {
    .epochs = 3, .batch = 10, .seed = 5, .alignment = {1}, .schema = {2}};

/* ----------------------------------------------------------------------------------- order */

static void order_covers(void)
{
    struct cczi_vfl_plan p;
    size_t first[2] = {0, 0};
    CHECK(cczi_vfl_plan_init(&p, &CFG, 0, 47, NULL) == CCZ_OK);
    CHECK(p.per_epoch == 5 && p.steps == 15);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        uint8_t seen[47] = {0};
        for (uint64_t s = 1; s <= 5; s++) {
            size_t len;
            const size_t *rows = cczi_vfl_rows_of(&len, &p, epoch * 5 + s);
            CHECK(len == (s == 5 ? 7 : 10));
            CHECK(cczi_vfl_epoch_of(&p, epoch * 5 + s) == epoch + 1);
            for (size_t i = 0; i < len; i++)
                CHECK(rows[i] < 47 && !seen[rows[i]]++);
            if (s == 1 && epoch < 2)
                first[epoch] = rows[0] * 47 + rows[1];
        }
    }
    CHECK(first[0] != first[1]); /* another order in each epoch */
    cczi_vfl_plan_deinit(&p);
}

static void order_seeded(void)
{
    struct cczi_vfl_plan a, b, c;
    struct ccz_vfl_cfg other = CFG;
    size_t len, differs = 0;
    other.seed = 6;
    CHECK(cczi_vfl_plan_init(&a, &CFG, 0, 1000, NULL) == CCZ_OK);
    CHECK(cczi_vfl_plan_init(&b, &CFG, 0, 1000, NULL) == CCZ_OK);
    CHECK(cczi_vfl_plan_init(&c, &other, 0, 1000, NULL) == CCZ_OK);
    (void)cczi_vfl_rows_of(&len, &b, 201); /* where one comes from does not matter */
    for (uint64_t s = 1; s <= 100; s++) {
        const size_t *x = cczi_vfl_rows_of(&len, &a, s), *y = cczi_vfl_rows_of(&len, &b, s);
        const size_t *z = cczi_vfl_rows_of(&len, &c, s);
        CHECK(memcmp(x, y, len * sizeof(*x)) == 0);
        differs += memcmp(x, z, len * sizeof(*x)) != 0;
    }
    CHECK(differs == 100);
    cczi_vfl_plan_deinit(&a);
    cczi_vfl_plan_deinit(&b);
    cczi_vfl_plan_deinit(&c);
}

static void segments(void)
{
    struct cczi_vfl_plan p;
    struct ccz_vfl_cfg cfg = CFG;
    static const uint64_t ends[] = {3, 5, 6, 9, 10, 12, 15};
    cfg.checkpoint_steps = 3;
    CHECK(cczi_vfl_plan_init(&p, &cfg, 0, 47, NULL) == CCZ_OK);
    uint64_t step = 0;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        CHECK((step = cczi_vfl_segment_end(&p, step)) == ends[i]);
    p.checkpoint_steps = 0;
    CHECK(cczi_vfl_segment_end(&p, 0) == 5 && cczi_vfl_segment_end(&p, 7) == 10);
    cczi_vfl_plan_deinit(&p);
}

static void digests(void)
{
    static const uint8_t align[2][32] = {{1}, {2}};
    static const size_t rows[2][3] = {{4, 5, 6}, {4, 6, 5}};
    uint8_t a[16], b[16];
    CHECK(cczi_vfl_batch_digest(a, align[0], 1, rows[0], 3, NULL) == CCZ_OK);
    CHECK(cczi_vfl_batch_digest(b, align[0], 1, rows[0], 3, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, 16) == 0);
    CHECK(cczi_vfl_batch_digest(b, align[1], 1, rows[0], 3, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, 16) != 0);
    CHECK(cczi_vfl_batch_digest(b, align[0], 2, rows[0], 3, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, 16) != 0);
    CHECK(cczi_vfl_batch_digest(b, align[0], 1, rows[1], 3, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, 16) != 0);
}

static void alignment(void)
{
    struct ccz_span one[] = {ccz_span_str("ab"), ccz_span_str("c")};
    struct ccz_span two[] = {ccz_span_str("a"), ccz_span_str("bc")};
    struct ccz_span three[] = {ccz_span_str("c"), ccz_span_str("ab")};
    uint8_t a[32], b[32];
    CHECK(ccz_vfl_alignment(a, one, 2, NULL) == CCZ_OK);
    CHECK(ccz_vfl_alignment(b, one, 2, NULL) == CCZ_OK && memcmp(a, b, 32) == 0);
    CHECK(ccz_vfl_alignment(b, two, 2, NULL) == CCZ_OK && memcmp(a, b, 32) != 0);
    CHECK(ccz_vfl_alignment(b, three, 2, NULL) == CCZ_OK && memcmp(a, b, 32) != 0);
}

/* ----------------------------------------------------------------------------------- table */

static void table_refusals(void)
{
    struct kit_data d;
    struct ccz_err err;
    kit_data_init(&d, 20, 1, 2, 0.5, 1);
    CHECK(cczi_vfl_table_check(&d.table[0], "rows", &err) == CCZ_OK);
    struct ccz_vfl_table t = d.table[0];
    t.rows = 19;
    CHECK(cczi_vfl_table_check(&t, "rows", &err) == CCZ_E_ARG && WHERE(err, "vfl:table"));
    t = d.table[0];
    t.in_len = 0;
    CHECK(cczi_vfl_table_check(&t, "rows", &err) == CCZ_E_ARG);
    t = d.table[0];
    struct ccz_tensor bad = d.in[0];
    t.in = &bad;
    bad.data.size--;
    CHECK(cczi_vfl_table_check(&t, "rows", &err) == CCZ_E_ARG);
    bad = d.in[0];
    bad.dtype = CCZ_DT_STRING;
    CHECK(cczi_vfl_table_check(&t, "rows", &err) == CCZ_E_ARG);
    bad = d.in[0];
    bad.rank = 0;
    CHECK(cczi_vfl_table_check(&t, "rows", &err) == CCZ_E_ARG);

    CHECK(cczi_vfl_labels_check(&d.labels, "rows", &err) == CCZ_OK);
    d.label[7] = 2;
    CHECK(cczi_vfl_labels_check(&d.labels, "rows", &err) == CCZ_E_ARG && WHERE(err, "vfl:labels"));
    d.label[7] = 1;
    struct ccz_vfl_labels l = d.labels;
    l.classes = 1;
    CHECK(cczi_vfl_labels_check(&l, "rows", &err) == CCZ_E_ARG);
    l = (struct ccz_vfl_labels){.rows = 20, .value = d.value};
    CHECK(cczi_vfl_labels_check(&l, "rows", &err) == CCZ_OK);
    d.value[3] = NAN;
    CHECK(cczi_vfl_labels_check(&l, "rows", &err) == CCZ_E_ARG);
    kit_data_free(&d);
}

static void gathers(void)
{
    struct kit_data d;
    struct cczi_vfl_batch b;
    static const size_t index[] = {19, 0, 7};
    kit_data_init(&d, 20, 1, 2, 0.5, 1);
    CHECK(cczi_vfl_batch_init(&b, &d.table[0], 8, NULL) == CCZ_OK);
    cczi_vfl_batch_fill(&b, &d.table[0], index, 0, 3);
    CHECK(b.in[0].dims[0] == 3 && b.in[0].len == 3 * KIT_COLS &&
          b.in[0].data.size == 3 * KIT_COLS * 4 && (uintptr_t)b.in[0].data.ptr % 64 == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK(memcmp(b.in[0].data.ptr + i * KIT_COLS * 4, d.x[0] + index[i] * KIT_COLS,
                     KIT_COLS * 4) == 0);
    cczi_vfl_batch_fill(&b, &d.table[0], NULL, 12, 8);
    CHECK(memcmp(b.in[0].data.ptr, d.x[0] + 12 * KIT_COLS, 8 * KIT_COLS * 4) == 0);
    cczi_vfl_batch_deinit(&b);
    kit_data_free(&d);
}

static void finite_values(void)
{
    float v[5] = {0, -1, 1e38f, 1e-44f, -0.0f};
    CHECK(cczi_vfl_finite(v, 5) && cczi_vfl_finite(v, 0));
    v[4] = INFINITY;
    CHECK(!cczi_vfl_finite(v, 5) && cczi_vfl_finite(v, 4));
    v[0] = -NAN;
    CHECK(!cczi_vfl_finite(v, 1));
}

/* --------------------------------------------------------------------------------- attacks */

/* By the definition: the share of pairs in the right order, ties half. */
static double auc_by_pairs(const double *score, const uint8_t *positive, size_t len)
{
    double right = 0, pairs = 0;
    for (size_t i = 0; i < len; i++)
        for (size_t k = 0; k < len; k++)
            if (positive[i] && !positive[k]) {
                pairs++;
                right += score[i] > score[k] ? 1 : score[i] == score[k] ? 0.5 : 0;
            }
    return right / pairs;
}

static void auc(void)
{
    double score[200];
    uint8_t positive[200];
    uint64_t seed = 3;
    for (int turn = 0; turn < 20; turn++) {
        for (size_t i = 0; i < 200; i++) {
            positive[i] = kit_uniform(&seed) < 0.3;
            score[i] = floor(20 * kit_uniform(&seed)) + positive[i] * turn;
        }
        CHECK(fabs(cczi_vfl_auc(score, positive, 200) - auc_by_pairs(score, positive, 200)) <
              1e-12);
    }
    memset(positive, 1, sizeof(positive));
    CHECK(isnan(cczi_vfl_auc(score, positive, 200)));
    CHECK(isnan(cczi_vfl_auc(score, positive, 0)));
}

static void attacks(void)
{
    /* Class 1 is longer and points the other way: both attacks see it. */
    const float grad[] = {1, 0, 0.9f, 0.1f, -3, 0.1f, -2, 0, -2.5f, -0.1f};
    const uint32_t label[] = {0, 0, 1, 1, 1};
    struct ccz_vfl_labels l = {.rows = 5, .classes = 2, .label = label};
    double norm, cosine;
    CHECK(ccz_vfl_attack(&norm, &cosine, grad, 2, &l) && norm == 1 && cosine == 1);
    const uint32_t one[] = {0, 0, 0, 0, 0};
    l.label = one;
    CHECK(!ccz_vfl_attack(&norm, &cosine, grad, 2, &l) && isnan(norm) && isnan(cosine));
    const uint32_t many[] = {0, 0, 2, 1, 1}; /* the rarest of three */
    l = (struct ccz_vfl_labels){.rows = 5, .classes = 3, .label = many};
    CHECK(ccz_vfl_attack(&norm, &cosine, grad, 2, &l) && norm == 1 && isnan(cosine));
    l.classes = 0;
    CHECK(!ccz_vfl_attack(&norm, &cosine, grad, 2, &l));
}

/* ----------------------------------------------------------------------------------- noise */

static struct ccz_vfl_noise *noise_of(uint8_t first)
{
    uint8_t seed[32] = {first};
    struct ccz_secret *s;
    struct ccz_vfl_noise *n;
    CHECK(ccz_secret_from(&s, seed, 32) == CCZ_OK && ccz_vfl_noise_new(&n, s, NULL) == CCZ_OK);
    ccz_secret_free(s);
    return n;
}

static void noise(void)
{
    enum { LEN = 200001 };
    float *a = malloc(LEN * sizeof(*a)), *b = malloc(LEN * sizeof(*b));
    struct ccz_vfl_noise *n = noise_of(1);
    double m[5] = {0};
    CHECK(a && b && ccz_vfl_noise_start(n, 7, 0, NULL) == CCZ_OK);
    CHECK(ccz_vfl_noise_normal(a, LEN, n, NULL) == CCZ_OK);
    for (size_t i = 0; i < LEN; i++)
        for (unsigned k = 1; k <= 4; k++)
            m[k] += pow((double)a[i], k) / LEN;
    CHECK(fabs(m[1]) < 0.01 && fabs(m[2] - 1) < 0.02 && fabs(m[3]) < 0.05 && fabs(m[4] - 3) < 0.1);
    /* The same again, in pieces of any length. */
    CHECK(ccz_vfl_noise_start(n, 7, 0, NULL) == CCZ_OK);
    for (size_t at = 0, piece = 1; at < LEN; at += piece, piece = piece * 3 % 1009 + 1) {
        piece = piece < LEN - at ? piece : LEN - at;
        CHECK(ccz_vfl_noise_normal(b + at, piece, n, NULL) == CCZ_OK);
    }
    CHECK(memcmp(a, b, LEN * sizeof(*a)) == 0);
    static const struct {
        uint64_t step;
        uint32_t party;
    } others[] = {{8, 0}, {7, 1}, {7 + (UINT64_C(1) << 40), 0}};
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_vfl_noise_start(n, others[i].step, others[i].party, NULL) == CCZ_OK);
        CHECK(ccz_vfl_noise_normal(b, 16, n, NULL) == CCZ_OK && memcmp(a, b, 64) != 0);
    }
    ccz_vfl_noise_free(n);
    n = noise_of(2);
    CHECK(ccz_vfl_noise_start(n, 7, 0, NULL) == CCZ_OK);
    CHECK(ccz_vfl_noise_normal(b, 16, n, NULL) == CCZ_OK && memcmp(a, b, 64) != 0);
    ccz_vfl_noise_free(n);
    free(a);
    free(b);
}

/* Equation (1) of the design note, written out once more. */
static double sum_kl(const struct ccz_vfl_spread s[2], double delta2, double d,
                     const double along[2], const double across[2])
{
    double a = s[0].along + along[0], b = s[1].along + along[1];
    double c = s[0].across + across[0], e = s[1].across + across[1];
    return ((d - 1) * (c / e + e / c) + (a + delta2) / b + (b + delta2) / a) / 2 - d;
}

static void marvell_optimal(void)
{
    static const struct {
        struct ccz_vfl_spread s[2];
        double delta2, p, power;
        size_t d;
    } cases[] = {
        {{{0.01, 0.01}, {0.5, 0.5}}, 2, 0.1, 4, 8},  {{{0.5, 0.5}, {0.01, 0.01}}, 2, 0.1, 4, 8},
        {{{0.2, 0.2}, {0.2, 0.2}}, 1, 0.5, 8, 32},   {{{1, 0.01}, {9, 0.02}}, 2, 0.05, 16, 32},
        {{{1, 1}, {3, 3}}, 0.1, 0.3, 20, 2},         {{{0.1, 0}, {0.4, 0}}, 1, 0.3, 5, 1},
        {{{0.3, 0.3}, {0.1, 0.1}}, 5, 0.9, 0.5, 16}, {{{4, 0.1}, {0.1, 0.2}}, 1, 0.3, 2, 8}};
    uint64_t seed = 9;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct ccz_vfl_spread *s = cases[i].s;
        struct ccz_vfl_spread safe[2] = {s[0], s[1]};
        double delta2 = cases[i].delta2, p = cases[i].p, d = (double)cases[i].d;
        double power = cases[i].power;
        struct ccz_vfl_marvell m;
        ccz_vfl_marvell_solve(&m, s, delta2, cases[i].d, p, power);
        double spent = p * (m.along[1] + (d - 1) * m.across[1]) +
                       (1 - p) * (m.along[0] + (d - 1) * m.across[0]);
        CHECK(spent <= power * (1 + 1e-9) && spent > power * 0.999);
        for (int c = 0; c < 2; c++) {
            CHECK(m.across[c] >= 0 && m.along[c] >= 0);
            safe[c].across = cases[i].d > 1 ? s[c].across : 1;
        }
        double scale = 1e-6 * (1 + m.sum_kl);
        CHECK(fabs(m.sum_kl - sum_kl(safe, delta2, d, m.along, m.across)) < scale);
        /* Nothing that is allowed is better: a search at random over the whole set. */
        for (int k = 0; k < 200000; k++) {
            double x[4], along[2], across[2], total = 0;
            for (int j = 0; j < 4; j++)
                total += x[j] = -log(kit_uniform(&seed) + 1e-300);
            if (k % 2 || cases[i].d == 1) { /* mostly without noise across */
                total -= x[2] + x[3];
                x[2] = x[3] = 0;
            }
            for (int c = 0; c < 2; c++) {
                double share = c ? p : 1 - p;
                across[c] = cases[i].d > 1 ? x[2 + c] / total * power / (share * (d - 1)) : 0;
                along[c] = x[c] / total * power / share;
            }
            CHECK(sum_kl(safe, delta2, d, along, across) > m.sum_kl - scale);
        }
    }
    /* Nothing varies and nothing is spent: no division by zero. */
    struct ccz_vfl_marvell m;
    const struct ccz_vfl_spread zero[2] = {{0, 0}, {0, 0}};
    ccz_vfl_marvell_solve(&m, zero, 1, 4, 0.5, 0);
    CHECK(isfinite(m.sum_kl) && m.along[0] == 0 && m.along[1] == 0);
}

/* Gradients as a split network gives them: class 1 rare, long, opposite. */
static void gradients(float *grad, uint32_t *label, size_t rows, size_t width, uint32_t classes,
                      uint64_t seed)
{
    for (size_t i = 0; i < rows; i++) {
        double u = kit_uniform(&seed);
        label[i] = classes == 2 ? u < 0.1 : (uint32_t)(u * u * classes);
        for (size_t k = 0; k < width; k++) {
            double centre =
                classes == 2 ? (label[i] ? -2 : 0.3) : (k % classes == label[i] ? -2 : 0.3);
            grad[i * width + k] = (float)(centre * (0.5 + kit_uniform(&seed)));
        }
    }
}

enum { ROWS = 2000, WIDTH = 16 };

struct leaks {
    double norm[2], cosine[2]; /* before, after; folded */
    double shift;              /* of the mean gradient */
};

static struct leaks leaks_with(enum ccz_vfl_protect how, uint32_t classes, double power)
{
    static float grad[ROWS * WIDTH], before[ROWS * WIDTH];
    static uint32_t label[ROWS];
    struct ccz_vfl_labels l = {.rows = ROWS, .classes = classes, .label = label};
    struct ccz_vfl_noise *n = noise_of(3);
    struct leaks out = {0};
    gradients(grad, label, ROWS, WIDTH, classes, 11);
    memcpy(before, grad, sizeof(grad));
    CHECK(ccz_vfl_attack(&out.norm[0], &out.cosine[0], grad, WIDTH, &l));
    CHECK(ccz_vfl_noise_start(n, 1, 0, NULL) == CCZ_OK);
    CHECK(ccz_vfl_protect(grad, WIDTH, &l, how, power, n, NULL) == CCZ_OK);
    CHECK(ccz_vfl_attack(&out.norm[1], &out.cosine[1], grad, WIDTH, &l));
    CHECK(cczi_vfl_finite(grad, ROWS * WIDTH));
    double diff = 0;
    for (size_t k = 0; k < WIDTH; k++) {
        double a = 0, b = 0;
        for (size_t i = 0; i < ROWS; i++) {
            a += (double)before[i * WIDTH + k] / ROWS;
            b += (double)grad[i * WIDTH + k] / ROWS;
        }
        diff += (a - b) * (a - b);
    }
    out.shift = sqrt(diff);
    for (int i = 0; i < 2; i++) {
        out.norm[i] = out.norm[i] < 0.5 ? 1 - out.norm[i] : out.norm[i];
        out.cosine[i] = out.cosine[i] < 0.5 ? 1 - out.cosine[i] : out.cosine[i];
    }
    ccz_vfl_noise_free(n);
    return out;
}

static void protects(void)
{
    struct leaks none = leaks_with(CCZ_VFL_PROTECT_NONE_INSECURE, 2, 0);
    CHECK(none.norm[1] > 0.99 && none.cosine[1] > 0.99 && none.shift == 0);
    struct leaks marvell = leaks_with(CCZ_VFL_MARVELL, 2, 0);
    CHECK(marvell.norm[0] > 0.99 && marvell.norm[1] < 0.6 && marvell.cosine[1] < 0.65);
    CHECK(marvell.shift < 0.1 * 2.3 * sqrt(WIDTH)); /* noise has mean zero: it averages out */
    struct leaks more = leaks_with(CCZ_VFL_MARVELL, 2, 100);
    CHECK(more.norm[1] < 0.55 && more.cosine[1] < 0.6);
    struct leaks less = leaks_with(CCZ_VFL_MARVELL, 2, 0.01);
    CHECK(less.norm[1] > marvell.norm[1] && less.cosine[1] > marvell.cosine[1]);
    struct leaks norm = leaks_with(CCZ_VFL_MAX_NORM, 2, 0);
    CHECK(norm.norm[1] < 0.7);
    struct leaks many = leaks_with(CCZ_VFL_MARVELL, 4, 0);
    CHECK(many.cosine[0] > 0.99 && many.norm[1] < 0.6 && many.cosine[1] < 0.7);
}

/* The expected squared norm of every row is that of the largest. */
static void max_norm_equal(void)
{
    enum { TURNS = 4000 };
    const float grad[] = {3, 4, 0, 1, -2, 0, 0, 0};
    const uint32_t label[] = {0, 1, 0, 1};
    struct ccz_vfl_labels l = {.rows = 4, .classes = 2, .label = label};
    struct ccz_vfl_noise *n = noise_of(4);
    double square[4] = {0};
    for (uint64_t t = 0; t < TURNS; t++) {
        float g[8];
        memcpy(g, grad, sizeof(g));
        CHECK(ccz_vfl_noise_start(n, t, 0, NULL) == CCZ_OK);
        CHECK(ccz_vfl_protect(g, 2, &l, CCZ_VFL_MAX_NORM, 0, n, NULL) == CCZ_OK);
        CHECK(g[0] == 3 && g[1] == 4 && g[6] == 0 && g[7] == 0); /* largest, and none at all */
        for (size_t i = 0; i < 4; i++)
            square[i] += (double)(g[2 * i] * g[2 * i] + g[2 * i + 1] * g[2 * i + 1]) / TURNS;
    }
    CHECK(fabs(square[1] - 25) < 3 && fabs(square[2] - 25) < 3);
    ccz_vfl_noise_free(n);
}

static void protect_edges(void)
{
    float g[6] = {1, 2, 3, 4, 5, 6};
    const uint32_t same[] = {1, 1, 1}, two[] = {0, 1, 0};
    struct ccz_vfl_labels l = {.rows = 3, .classes = 2, .label = same};
    struct ccz_vfl_noise *n = noise_of(5);
    struct ccz_err err;
    CHECK(ccz_vfl_noise_start(n, 1, 0, NULL) == CCZ_OK);
    CHECK(ccz_vfl_protect(g, 2, &l, CCZ_VFL_MARVELL, 0, n, NULL) == CCZ_OK);
    CHECK(g[0] != 1 && cczi_vfl_finite(g, 6)); /* one class only: max-norm */
    l.label = two;
    memset(g, 0, sizeof(g)); /* nothing to hide, nothing added */
    CHECK(ccz_vfl_protect(g, 2, &l, CCZ_VFL_MARVELL, 0, n, NULL) == CCZ_OK && g[0] == 0);
    float one[3] = {1, -1, 1}; /* one coordinate */
    CHECK(ccz_vfl_protect(one, 1, &l, CCZ_VFL_MARVELL, 0, n, NULL) == CCZ_OK);
    CHECK(cczi_vfl_finite(one, 3) && one[0] != 1);
    l.classes = 0;
    CHECK(ccz_vfl_protect(g, 2, &l, CCZ_VFL_MARVELL, 0, n, &err) == CCZ_E_ARG &&
          WHERE(err, "vfl:protect"));
    ccz_vfl_noise_free(n);
    struct ccz_secret *s;
    CHECK(ccz_secret_new(&s, 16) == CCZ_OK);
    CHECK(ccz_vfl_noise_new(&n, s, &err) == CCZ_E_ARG && WHERE(err, "vfl:noise-seed"));
    ccz_secret_free(s);
}

/* -------------------------------------------------------------------------------- messages */

static size_t make_message(uint8_t *out, const struct cczi_vfl_msg *m, const void *body,
                           size_t size)
{
    cczi_vfl_msg_header(out, m);
    memcpy(out + CCZI_VFL_HEADER_SIZE, body, size);
    return CCZI_VFL_HEADER_SIZE + size;
}

static void messages(void)
{
    uint8_t bytes[512];
    const float v[6] = {1, 2, 3, 4, 5, 6};
    struct cczi_vfl_msg m = {
        .kind = CCZI_VFL_ACT, .session = {9}, .step = 77, .rows = 3, .width = 2, .batch = {8}};
    struct cczi_vfl_msg got;
    struct ccz_err err;
    size_t size = make_message(bytes, &m, v, sizeof(v));
    CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    CHECK(got.kind == m.kind && got.step == 77 && got.rows == 3 && got.width == 2 &&
          got.session[0] == 9 && got.batch[0] == 8 && memcmp(got.body.ptr, v, sizeof(v)) == 0);
    for (size_t cut = 0; cut < size; cut++)
        CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, cut), &err) == CCZ_E_PEER &&
              WHERE(err, "vfl:message") && got.kind == 0);
    CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, size + 1), NULL) == CCZ_E_PEER);
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 'X'},   {4, 2},  {5, 0},  {5, CCZI_VFL_KIND_END},
               {6, 1},     {32, 0}, {36, 0}, {39, 0xff},
               {35, 0xff}, {56, 1}, {63, 1}, {5, CCZI_VFL_BYE}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t was = bytes[bad[i].at];
        bytes[bad[i].at] = bad[i].value;
        CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
        bytes[bad[i].at] = was;
    }
}

static void message_hello(void)
{
    struct cczi_vfl_hello h = {.role = CCZI_VFL_FOLLOWER,
                               .worker = 2,
                               .workers = 5,
                               .steps_len = 2,
                               .steps = {5, 10},
                               .width = 32,
                               .rows = 1000,
                               .test_rows = 7,
                               .config = {1},
                               .alignment = {2},
                               .test_alignment = {3},
                               .schema = {4}};
    struct cczi_vfl_msg m = {.kind = CCZI_VFL_HELLO}, got;
    uint8_t bytes[512];
    struct ccz_buf body;
    ccz_buf_init(&body, 400);
    cczi_vfl_msg_hello(&body, &h);
    size_t size = make_message(bytes, &m, body.ptr, body.size);
    CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
    CHECK(got.hello.worker == 2 && got.hello.workers == 5);
    CHECK(got.hello.role == h.role && got.hello.steps[1] == 10 && got.hello.width == 32 &&
          got.hello.rows == 1000 && got.hello.test_rows == 7 && got.hello.schema[0] == 4 &&
          got.hello.test_alignment[0] == 3 && got.hello.alignment[0] == 2 &&
          got.hello.config[0] == 1);
    for (size_t cut = 0; cut < size; cut++)
        CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, cut), NULL) == CCZ_E_PEER);
    static const uint8_t bad_roles[] = {0, CCZI_VFL_OWN + 1}, bad_steps[] = {0, 3};
    for (size_t i = 0; i < 2; i++) {
        bytes[64] = bad_roles[i];
        CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
        bytes[64] = CCZI_VFL_FOLLOWER;
        bytes[65] = bad_steps[i];
        CHECK(cczi_vfl_msg_parse(&got, CCZ_SPAN(bytes, size), NULL) == CCZ_E_PEER);
        bytes[65] = 2;
    }
    ccz_buf_free(&body);
}

/* ----------------------------------------------------------------------------- checkpoints */

static struct ccz_secret *seal_of(uint8_t first)
{
    uint8_t seal[32] = {first};
    struct ccz_secret *s;
    CHECK(ccz_secret_from(&s, seal, 32) == CCZ_OK);
    return s;
}

static void checkpoint(void)
{
    temp_setup();
    struct ccz_secret *seal = seal_of(1);
    struct ccz_vfl_run run = {.cfg = &CFG, .checkpoint = temp_path("state"), .seal = seal};
    struct cczi_ckpt c;
    struct ccz_buf out;
    char extra[3];
    ccz_buf_init(&out, 1000);
    CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, NULL) == CCZ_OK);
    CHECK(!c.have[0] && !c.have[1]);
    for (uint64_t step = 0; step < 5; step++) {
        char text[2] = {(char)('a' + step), 0};
        CHECK(cczi_ckpt_save(&c, step * 10, ccz_span_str("xyz"), ccz_span_str(text), NULL) ==
              CCZ_OK);
    }
    cczi_ckpt_close(&c);
    CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, NULL) == CCZ_OK); /* the last two */
    CHECK(c.have[0] && c.have[1] && c.step[0] + c.step[1] == 70);
    CHECK(cczi_ckpt_load(&out, extra, 3, &c, 20, NULL) == CCZ_E_NOT_FOUND);
    CHECK(cczi_ckpt_load(&out, extra, 3, &c, 30, NULL) == CCZ_OK && out.size == 1 &&
          out.ptr[0] == 'd' && memcmp(extra, "xyz", 3) == 0);
    CHECK(cczi_ckpt_load(&out, extra, 2, &c, 30, NULL) == CCZ_E_FORMAT);
    /* The one that was loaded stays, the other one makes room. */
    CHECK(cczi_ckpt_save(&c, 35, ccz_span_str("xyz"), ccz_span_str("n"), NULL) == CCZ_OK);
    CHECK(c.step[0] + c.step[1] == 65);
    cczi_ckpt_close(&c);
    ccz_buf_free(&out);
    ccz_secret_free(seal);
}

static void flip(const char *path, size_t at)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && at < b.size);
    b.ptr[at] ^= 1;
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

static void checkpoint_refusals(void)
{
    temp_setup();
    struct ccz_secret *seal = seal_of(1), *other = seal_of(2);
    struct ccz_vfl_cfg cfg = CFG;
    const char *file = temp_path("state.0");
    struct ccz_vfl_run run = {.cfg = &cfg, .checkpoint = temp_path("state"), .seal = seal};
    struct cczi_ckpt c;
    struct ccz_err err;
    char model[5000] = {1};
    CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, NULL) == CCZ_OK);
    CHECK(cczi_ckpt_save(&c, 10, CCZ_SPAN("", 0), CCZ_SPAN(model, sizeof(model)), NULL) == CCZ_OK);
    cczi_ckpt_close(&c);
    /* Another seal, role, training. */
    run.seal = other;
    CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, &err) == CCZ_E_SIG);
    cczi_ckpt_close(&c);
    run.seal = seal;
    CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_LEADER, &err) == CCZ_E_SIG &&
          WHERE(err, "pf:path"));
    cczi_ckpt_close(&c);
    for (int i = 0; i < 4; i++) {
        cfg = CFG;
        i == 0 ? cfg.seed++ : i == 1 ? cfg.alignment[3]++ : i == 2 ? cfg.schema[3]++ : cfg.batch++;
        CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, &err) == CCZ_E_MISMATCH &&
              WHERE(err, "vfl:checkpoint-config"));
        cczi_ckpt_close(&c);
    }
    cfg = CFG;
    for (size_t at = 0; at < 8192; at += 97) { /* node 0 and a block: nothing can be changed */
        flip(file, at);
        CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, &err) != CCZ_OK);
        CHECK(strncmp(err.where, "pf:", 3) == 0);
        cczi_ckpt_close(&c);
        flip(file, at);
    }
    CHECK(cczi_vfl_ckpt_open(&c, &run, CCZI_VFL_FOLLOWER, NULL) == CCZ_OK && c.have[0]);
    cczi_ckpt_close(&c);
    ccz_secret_free(seal);
    ccz_secret_free(other);
}

static const struct ccz_test tests[] = {{"vfl.order", order_covers},
                                        {"vfl.order_seeded", order_seeded},
                                        {"vfl.segments", segments},
                                        {"vfl.digests", digests},
                                        {"vfl.alignment", alignment},
                                        {"vfl.table_refusals", table_refusals},
                                        {"vfl.gather", gathers},
                                        {"vfl.finite", finite_values},
                                        {"vfl.auc", auc},
                                        {"vfl.attacks", attacks},
                                        {"vfl.noise", noise},
                                        {"vfl.marvell_optimal", marvell_optimal},
                                        {"vfl.protect", protects},
                                        {"vfl.max_norm", max_norm_equal},
                                        {"vfl.protect_edges", protect_edges},
                                        {"vfl.messages", messages},
                                        {"vfl.message_hello", message_hello},
                                        {"vfl.checkpoint", checkpoint},
                                        {"vfl.checkpoint_refusals", checkpoint_refusals}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
