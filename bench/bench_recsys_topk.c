/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of the 10 best items, one thread.
 *   bench_recsys_topk batch DIR USERS ITEMS FACTORS [SEEN]   users a second for all users in one call, of user.f32 and item.f32 in DIR
 *                                                            (rows of float32); SEEN: seen.start (uint64) and seen.col (uint32) as well
 *   bench_recsys_topk random USERS ITEMS FACTORS             the same of normal numbers
 *   bench_recsys_topk single ITEMS FACTORS CALLS             one user at a time: median, 99th percentile and most of the milliseconds, of
 *                                                            CPU time (what other processes take does not count), then of wall time
 * CCZOO_CPU chooses the tier. Pin it: taskset -c 1
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_rank.h>

enum { K = 10, ROUNDS = 7 };

static struct ccz_recsys_model model;
static struct ccz_recsys_csr seen;

static void read_all(void *to, size_t size, const char *dir, const char *name)
{
    char path[4096];
    must(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path), "path");
    FILE *f = fopen(path, "rb");
    must(f && fread(to, 1, size, f) == size, path);
    (void)fclose(f);
}

static void load(struct ccz_recsys_factors *f, uint32_t len, uint32_t factors, const char *dir,
                 const char *name, uint64_t seed)
{
    struct ccz_seeded rnd = ccz_seeded_from(seed, 0);
    must(ccz_recsys_factors_init(f, len, factors, false, NULL) == CCZ_OK, "memory");
    float *rows = malloc((size_t)len * factors * sizeof(*rows));
    must(rows, "memory");
    if (dir)
        read_all(rows, (size_t)len * factors * sizeof(*rows), dir, name);
    else
        for (size_t i = 0; i < (size_t)len * factors; i++)
            rows[i] = (float)ccz_seeded_normal(&rnd);
    for (uint32_t r = 0; r < len; r++)
        memcpy(ccz_recsys_row(f, r), rows + (size_t)r * factors, factors * sizeof(*rows));
    free(rows);
}

static void load_seen(const char *dir, uint32_t users, uint32_t items)
{
    seen = (struct ccz_recsys_csr){.rows = users, .cols = items};
    seen.start = malloc(((size_t)users + 1) * sizeof(*seen.start));
    must(seen.start, "memory");
    read_all(seen.start, ((size_t)users + 1) * sizeof(*seen.start), dir, "seen.start");
    seen.len = seen.start[users];
    seen.col = malloc(seen.len * sizeof(*seen.col));
    must(seen.col, "memory");
    read_all(seen.col, seen.len * sizeof(*seen.col), dir, "seen.col");
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double rate(struct ccz_recsys_index *index, struct ccz_recsys_ask ask, uint32_t *item,
                   float *score)
{
    double s[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        const int64_t start = cpu_ns();
        must((index ? ccz_recsys_recommend_index(item, score, index, &ask, NULL)
                    : ccz_recsys_recommend(item, score, &model, &ask, NULL)) == CCZ_OK,
             "recommend");
        s[r] = (double)ask.users_len * 1e9 / (double)(cpu_ns() - start);
    }
    qsort(s, ROUNDS, sizeof(*s), compare);
    return s[ROUNDS / 2];
}

static void batch(void)
{
    struct ccz_recsys_index *index;
    struct ccz_recsys_ask ask = {.users_len = model.user.len, .k = K};
    uint32_t *item = malloc(ask.users_len * K * sizeof(*item));
    float *score = malloc(ask.users_len * K * sizeof(*score));
    must(item && score, "memory");
    const int64_t start = cpu_ns();
    must(ccz_recsys_index_new(&index, &model, NULL, NULL) == CCZ_OK, "index");
    printf("index_ms\t%.2f\n", (double)(cpu_ns() - start) / 1e6);
    printf("recommend\t%.0f\n", rate(NULL, ask, item, score));
    printf("recommend_index\t%.0f\n", rate(index, ask, item, score));
    if (seen.start) {
        ask.seen = &seen;
        printf("recommend_index_seen\t%.0f\n", rate(index, ask, item, score));
    }
    ask.oblivious = true;
    ask.users_len = ask.users_len < 2000 ? ask.users_len : 2000;
    printf("oblivious%s\t%.0f\n", ask.seen ? "_seen" : "", rate(index, ask, item, score));
    ccz_recsys_index_free(index);
    free(item);
    free(score);
}

static void print_ms(const char *what, double *ms, size_t len)
{
    qsort(ms, len, sizeof(*ms), compare);
    printf("%s\tp50\t%.3f\tp99\t%.3f\tmax\t%.3f\n", what, ms[len / 2], ms[len * 99 / 100],
           ms[len - 1]);
}

static void single(size_t calls)
{
    struct ccz_recsys_index *index;
    uint32_t item[K];
    float score[K];
    double *cpu = malloc(calls * sizeof(*cpu)), *wall = malloc(calls * sizeof(*wall));
    must(cpu && wall && ccz_recsys_index_new(&index, &model, NULL, NULL) == CCZ_OK, "index");
    for (int oblivious = 0; oblivious < 2; oblivious++) {
        for (size_t c = 0; c < calls; c++) {
            const uint32_t user = (uint32_t)(c % model.user.len);
            const struct ccz_recsys_ask ask = {
                .user = &user, .users_len = 1, .k = K, .oblivious = oblivious};
            const int64_t start = wall_ns(), cpu_start = cpu_ns();
            must(ccz_recsys_recommend_index(item, score, index, &ask, NULL) == CCZ_OK, "recommend");
            cpu[c] = (double)(cpu_ns() - cpu_start) / 1e6;
            wall[c] = (double)(wall_ns() - start) / 1e6;
        }
        print_ms(oblivious ? "oblivious_cpu_ms" : "single_cpu_ms", cpu, calls);
        print_ms(oblivious ? "oblivious_wall_ms" : "single_wall_ms", wall, calls);
    }
    printf("index_mb\t%.1f\n", (double)ccz_recsys_index_size(&model, NULL) / 1e6);
    ccz_recsys_index_free(index);
    free(cpu);
    free(wall);
}

static uint32_t number(const char *text)
{
    const long long x = atoll(text);
    must(x > 0 && x < INT32_MAX, "a number above 0");
    return (uint32_t)x;
}

int main(int argc, char **argv)
{
    if (argc >= 6 && strcmp(argv[1], "batch") == 0) {
        load(&model.user, number(argv[3]), number(argv[5]), argv[2], "user.f32", 0);
        load(&model.item, number(argv[4]), number(argv[5]), argv[2], "item.f32", 0);
        if (argc == 7)
            load_seen(argv[2], number(argv[3]), number(argv[4]));
        batch();
    } else if (argc == 5 && strcmp(argv[1], "random") == 0) {
        load(&model.user, number(argv[2]), number(argv[4]), NULL, NULL, 1);
        load(&model.item, number(argv[3]), number(argv[4]), NULL, NULL, 2);
        batch();
    } else if (argc == 5 && strcmp(argv[1], "single") == 0) {
        load(&model.user, 100, number(argv[3]), NULL, NULL, 1);
        load(&model.item, number(argv[2]), number(argv[3]), NULL, NULL, 2);
        single(number(argv[4]));
    } else {
        fputs("usage: see the head of bench/bench_recsys_topk.c\n", stderr);
        return 2;
    }
    free(seen.start);
    free(seen.col);
    ccz_recsys_factors_deinit(&model.user);
    ccz_recsys_factors_deinit(&model.item);
    return 0;
}
