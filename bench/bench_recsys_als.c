/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alternating least squares.
 *   bench_recsys_als write FILE USERS ITEMS RATINGS [SEED]   synthetic feedback: power laws of items and users, values 1 .. 5
 *   bench_recsys_als run FILE FACTORS exact|cg|nonneg|explicit|ials THREADS [ROUNDS [TIER|best [REG]]]
 *   bench_recsys_als train USERS ITEMS RATINGS FACTORS exact|cg THREADS ITERATIONS     no file; losses, peak memory
 *   bench_recsys_als factors FILE FACTORS exact|cg THREADS ITERATIONS OUT   float32: users before and after a sweep, items
 *                                                                           that it started from; for comparisons
 * FILE: u32 users, u32 items, u64 ratings, u64 start[users + 1], u32 item[], float value[].
 * `run` has one line: what, least and median seconds of an iteration, users and items: CPU time of all threads, then wall time.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_als.h>

#include <math.h>

enum { ROUNDS_MAX = 101 };
static const float ALPHA = 10, REG = 20;

/* ---------------------------------------------------------------------------------------- data */

/* Cumulated popularity of items: the r-th has (r + 20)^-0.9. Places are shuffled, as popular items have any number. */
struct shape {
    uint32_t users, items;
    double *until;
    size_t *number;
};

static uint32_t draw(const struct shape *s, struct ccz_seeded *rnd)
{
    const double at = ccz_seeded_unit(rnd) * s->until[s->items - 1];
    uint32_t lo = 0, hi = s->items - 1;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (s->until[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (uint32_t)s->number[lo];
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Lognormal numbers of ratings, at least some; drawn with repeats, which are left out. */
static struct ccz_recsys_csr make(uint32_t users, uint32_t items, uint64_t ratings, uint64_t seed)
{
    struct shape s = {.users = users,
                      .items = items,
                      .until = malloc(items * sizeof(double)),
                      .number = malloc(items * sizeof(size_t))};
    struct ccz_recsys_csr m = {.rows = users, .cols = items};
    double *activity = malloc(users * sizeof(double)), total = 0, sum = 0;
    m.start = malloc(((size_t)users + 1) * sizeof(*m.start));
    m.col = aligned_alloc(64, (ratings + ratings / 8 + users + 16) / 16 * 64);
    must(s.until && s.number && activity && m.start && m.col, "memory");
    ccz_dataset_order(s.number, items, seed, 1);
    for (uint32_t i = 0; i < items; i++)
        s.until[i] = sum += pow((double)i + 20, -0.9);
    struct ccz_seeded rnd = ccz_seeded_from(seed, 2);
    for (uint32_t u = 0; u < users; u++)
        total += activity[u] = exp(ccz_seeded_normal(&rnd));
    m.start[0] = 0;
    for (uint32_t u = 0; u < users; u++) {
        uint32_t *row = m.col + m.start[u];
        uint64_t n = (uint64_t)((double)ratings * activity[u] / total), kept = 0;
        n = n < 1 ? 1 : n < items / 2 ? n : items / 2;
        for (int again = 0; kept < n && again < 8; again++) {
            for (uint64_t i = kept; i < n; i++)
                row[i] = draw(&s, &rnd);
            qsort(row, n, sizeof(*row), ascending);
            kept = 0;
            for (uint64_t i = 0; i < n; i++)
                if (kept == 0 || row[kept - 1] != row[i])
                    row[kept++] = row[i];
        }
        m.start[u + 1] = m.start[u] + kept;
    }
    m.len = m.start[users];
    m.value = malloc(m.len * sizeof(*m.value));
    must(m.value, "memory");
    for (uint64_t i = 0; i < m.len; i++)
        m.value[i] = (float)(1 + ccz_seeded_below(&rnd, 5));
    free(s.until);
    free(s.number);
    free(activity);
    return m;
}

static void parts(struct ccz_recsys_csr *m, FILE *f,
                  size_t (*move)(void *p, size_t size, size_t len, FILE *f))
{
    must(move(m->start, sizeof(*m->start), (size_t)m->rows + 1, f) == (size_t)m->rows + 1 &&
             move(m->col, sizeof(*m->col), m->len, f) == m->len &&
             move(m->value, sizeof(*m->value), m->len, f) == m->len,
         "file");
}

static size_t put(void *p, size_t size, size_t len, FILE *f)
{
    return fwrite(p, size, len, f);
}

static void save(const char *path, struct ccz_recsys_csr *m)
{
    FILE *f = fopen(path, "wb");
    must(f && fwrite(&m->rows, 4, 1, f) == 1 && fwrite(&m->cols, 4, 1, f) == 1 &&
             fwrite(&m->len, 8, 1, f) == 1,
         path);
    parts(m, f, put);
    must(fclose(f) == 0, path);
}

static struct ccz_recsys_csr load(const char *path)
{
    struct ccz_recsys_csr m = {0};
    FILE *f = fopen(path, "rb");
    must(f && fread(&m.rows, 4, 1, f) == 1 && fread(&m.cols, 4, 1, f) == 1 &&
             fread(&m.len, 8, 1, f) == 1,
         path);
    m.start = malloc(((size_t)m.rows + 1) * sizeof(*m.start));
    m.col = malloc(m.len * sizeof(*m.col));
    m.value = malloc(m.len * sizeof(*m.value));
    must(m.start && m.col && m.value, "memory");
    parts(&m, f, fread);
    (void)fclose(f);
    return m;
}

static void drop(struct ccz_recsys_csr *m)
{
    free(m->start);
    free(m->col);
    free(m->value);
}

/* ------------------------------------------------------------------------------------ measuring */

static struct ccz_recsys_als_cfg cfg_from(const char *factors, const char *solver,
                                          const char *threads)
{
    struct ccz_recsys_als_cfg cfg = {.factors = (uint32_t)atoi(factors),
                                     .iterations = 1,
                                     .reg = REG,
                                     .alpha = ALPHA,
                                     .seed = 1,
                                     .threads = (unsigned)atoi(threads)};
    if (strcmp(solver, "cg") == 0)
        cfg.solver = CCZ_RECSYS_ALS_CG;
    else if (strcmp(solver, "nonneg") == 0)
        cfg.nonneg = true;
    else if (strcmp(solver, "explicit") == 0) {
        cfg.kind = CCZ_RECSYS_EXPLICIT;
        cfg.biases = true;
        cfg.reg = 0.05f;
    } else if (strcmp(solver, "ials") == 0) {
        cfg.kind = CCZ_RECSYS_IMPLICIT_IALS;
        cfg.unobserved = 0.1f;
        cfg.nu = 1;
        cfg.reg = 0.003f;
    } else
        must(strcmp(solver, "exact") == 0, "exact, cg, nonneg, explicit or ials");
    return cfg;
}

static void well(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    must(rc == CCZ_OK, "training");
}

static int rising(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Times between calls: checks, memory and the transpose at the beginning are not among them. */
struct clocks {
    int64_t cpu, wall, cpus[ROUNDS_MAX], walls[ROUNDS_MAX];
    int len;
};

static bool tick(void *arg, const struct ccz_recsys_als_step *step)
{
    struct clocks *c = arg;
    const int64_t cpu = cpu_ns(), wall = wall_ns();
    (void)step;
    if (c->cpu) {
        c->cpus[c->len] = cpu - c->cpu;
        c->walls[c->len++] = wall - c->wall;
    }
    c->cpu = cpu;
    c->wall = wall;
    return c->len < ROUNDS_MAX;
}

static void run(int argc, char **argv)
{
    struct ccz_recsys_csr m = load(argv[2]);
    struct ccz_recsys_als_cfg cfg = cfg_from(argv[3], argv[4], argv[5]);
    struct ccz_recsys_model *model;
    struct ccz_err err = {0};
    struct clocks c = {0};
    const int rounds = argc > 6 ? atoi(argv[6]) : BENCH_ROUNDS;
    must(rounds >= 1 && rounds <= ROUNDS_MAX, "rounds");
    cfg.iterations = (uint32_t)rounds + 1;
    cfg.tier = argc > 7 && strcmp(argv[7], "best") != 0 ? argv[7] : NULL;
    cfg.reg = argc > 8 ? strtof(argv[8], NULL) : cfg.reg;
    cfg.on_iteration = tick;
    cfg.arg = &c;
    well(ccz_recsys_als_train(&model, &m, &cfg, &err), &err);
    qsort(c.cpus, (size_t)c.len, sizeof(c.cpus[0]), rising);
    qsort(c.walls, (size_t)c.len, sizeof(c.walls[0]), rising);
    printf("%s f=%s threads=%s%s%s\t%.4f\t%.4f\t%.4f\t%.4f\n", argv[4], argv[3], argv[5],
           cfg.tier ? " " : "", cfg.tier ? cfg.tier : "", (double)c.cpus[0] * 1e-9,
           (double)c.cpus[c.len / 2] * 1e-9, (double)c.walls[0] * 1e-9,
           (double)c.walls[c.len / 2] * 1e-9);
    ccz_recsys_model_free(model);
    drop(&m);
}

static bool say(void *arg, const struct ccz_recsys_als_step *step)
{
    struct clocks *c = arg;
    const int64_t wall = wall_ns();
    printf("iteration %u\t%.1f s\tloss %.6g\tpeak %.2f GB\n", step->iteration,
           (double)(wall - c->wall) * 1e-9, step->loss, (double)peak_kb() / 1e6);
    fflush(stdout);
    c->wall = wall;
    return true;
}

static void train(char **argv)
{
    struct ccz_recsys_csr m =
        make((uint32_t)atol(argv[2]), (uint32_t)atol(argv[3]), (uint64_t)atoll(argv[4]), 1);
    struct ccz_recsys_als_cfg cfg = cfg_from(argv[5], argv[6], argv[7]);
    struct ccz_recsys_model *model;
    struct ccz_err err = {0};
    struct clocks c = {.wall = wall_ns()};
    cfg.iterations = (uint32_t)atoi(argv[8]);
    cfg.on_iteration = say;
    cfg.arg = &c;
    cfg.loss = true;
    const double own = (double)m.len * 8 + (double)m.rows * 8;
    printf("ratings %llu in %.2f GB, training needs %.2f GB, peak so far %.2f GB\n",
           (unsigned long long)m.len, own * 1e-9,
           (double)ccz_recsys_als_size(m.rows, m.cols, m.len, &cfg) * 1e-9,
           (double)peak_kb() / 1e6);
    fflush(stdout);
    well(ccz_recsys_als_train(&model, &m, &cfg, &err), &err);
    ccz_recsys_model_free(model);
    drop(&m);
}

static void rows_to(FILE *f, const struct ccz_recsys_factors *x)
{
    for (uint32_t i = 0; i < x->len; i++)
        must(fwrite(ccz_recsys_row(x, i), sizeof(float), x->factors, f) == x->factors, "file");
}

static void factors(char **argv)
{
    struct ccz_recsys_csr m = load(argv[2]);
    struct ccz_recsys_als_cfg cfg = cfg_from(argv[3], argv[4], argv[5]);
    struct ccz_recsys_model *model;
    struct ccz_err err = {0};
    FILE *f = fopen(argv[7], "wb");
    must(f, argv[7]);
    cfg.iterations = (uint32_t)atoi(argv[6]);
    well(ccz_recsys_als_train(&model, &m, &cfg, &err), &err);
    rows_to(f, &model->item);
    rows_to(f, &model->user);
    cfg.iterations = 1;
    well(ccz_recsys_als_iterate(model, &m, &cfg, &err), &err);
    rows_to(f, &model->user);
    must(fclose(f) == 0, argv[7]);
    ccz_recsys_model_free(model);
    drop(&m);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "write") == 0 && argc >= 6) {
        struct ccz_recsys_csr m =
            make((uint32_t)atol(argv[3]), (uint32_t)atol(argv[4]), (uint64_t)atoll(argv[5]),
                 argc > 6 ? (uint64_t)atoll(argv[6]) : 1);
        save(argv[2], &m);
        drop(&m);
    } else if (strcmp(what, "run") == 0 && argc >= 6)
        run(argc, argv);
    else if (strcmp(what, "train") == 0 && argc == 9)
        train(argv);
    else if (strcmp(what, "factors") == 0 && argc == 8)
        factors(argv);
    else
        must(false, "see the beginning of bench_recsys_als.c");
    return 0;
}
