/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of ratings by the hundred million: made up as they are needed, sorted with encrypted runs on disk, and trained on.
 *   bench_recsys_scale RATINGS USERS ITEMS MEMORY_MIB DIR [FACTORS ITERATIONS exact|cg THREADS]
 *   bench_recsys_scale file RATINGS USERS ITEMS MEMORY_MIB DIR FILE     by way of a file in clear ("csv"), which stays
 * Users come in an order that has nothing to do with their numbers, or sorting would have nothing to do.
 * One line each: what, seconds (wall), peak of the process so far, and what the formulas of recsys_data.h and recsys_als.h say, in MiB.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/recsys_als.h>
#include <cczoo/recsys_data.h>
#include <cczoo/recsys_eval.h>

#include <inttypes.h>

static double mib(uint64_t size)
{
    return (double)size / 1048576;
}

static void line(const char *what, int64_t since_ns, uint64_t formula)
{
    printf("%s\t%.1f s\tpeak %.0f MiB\tformula %.0f MiB\n", what,
           (double)(wall_ns() - since_ns) / 1e9, (double)peak_kb() / 1024, mib(formula));
    (void)fflush(stdout);
}

static void check(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s %s\n", err->where, err->msg, err->hint);
    must(rc == CCZ_OK, "see above");
}

/* Where the ratings of a user go. */
struct target {
    struct ccz_recsys_builder *b;
    FILE *file;
    uint64_t len;
};

static ccz_rc take(void *arg, const struct ccz_recsys_ratings *r, struct ccz_err *err)
{
    struct target *t = arg;
    ccz_rc rc = CCZ_OK;
    for (uint64_t i = 0; rc == CCZ_OK && i < r->len; i++) {
        const struct ccz_recsys_rating one = {r->user[i], r->item[i], r->value[i],
                                              r->time ? r->time[i] : 0};
        if (t->file)
            must(fprintf(t->file, "u%u,i%u,%g,%" PRId64 "\n", one.user, one.item, one.value,
                         one.time) > 0,
                 "writing");
        else
            rc = ccz_recsys_builder_add(t->b, &one, 1, err);
    }
    t->len += r->len;
    return rc;
}

static void stream(struct target *t, uint32_t users, uint32_t items, uint64_t ratings)
{
    struct ccz_recsys_synth *s;
    struct ccz_err err = {0};
    const struct ccz_recsys_synth_cfg cfg = {
        .users = users, .items = items, .ratings = ratings, .implicit = true, .seed = 1};
    check(ccz_recsys_synth_new(&s, &cfg, &err), &err);
    static const uint64_t stride =
        1000003; /* a prime: every user once, unless users are its multiple */
    must(users % stride != 0, "another number of users");
    for (uint64_t i = 0; i < users; i++)
        check(ccz_recsys_synth_each(s, (uint32_t)(i * stride % users), 1, take, t, &err), &err);
    ccz_recsys_synth_free(s);
}

static void read_file(struct ccz_recsys_builder *b, const char *path)
{
    struct ccz_recsys_source *s;
    struct ccz_recsys_format f;
    struct ccz_err err = {0};
    must(ccz_recsys_format_from(&f, "tsv"), "format");
    f.delimiter[0] = ',';
    check(ccz_recsys_source_file(&s, path, &err), &err);
    check(ccz_recsys_builder_read(b, s, &f, &err), &err);
    ccz_recsys_source_free(s);
}

static void write_file(const char *path, uint32_t users, uint32_t items, uint64_t ratings)
{
    struct target t = {.file = fopen(path, "w")};
    must(t.file && fputs("user,item,rating,timestamp\n", t.file) > 0, path);
    stream(&t, users, items, ratings);
    must(fclose(t.file) == 0, path);
}

static void train(const struct ccz_recsys_matrices *m, int argc, char **argv)
{
    must(argc == 10, "FACTORS ITERATIONS exact|cg THREADS");
    struct ccz_recsys_model *model;
    struct ccz_err err = {0};
    const struct ccz_recsys_als_cfg cfg = {
        .factors = (uint32_t)atoi(argv[6]),
        .iterations = (uint32_t)atoi(argv[7]),
        .solver = strcmp(argv[8], "cg") == 0 ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT,
        .threads = (unsigned)atoi(argv[9]),
        .by_item = m->by_item,
        .alpha = 10,
        .reg = 20,
        .seed = 1};
    const int64_t start_ns = wall_ns();
    check(ccz_recsys_als_train(&model, m->by_user, &cfg, &err), &err);
    line("train", start_ns,
         16 * m->by_user->len + 8 * ((uint64_t)m->by_user->rows + m->by_user->cols + 2) +
             ccz_recsys_als_size(m->by_user->rows, m->by_user->cols, m->by_user->len, &cfg));
    ccz_recsys_model_free(model);
}

int main(int argc, char **argv)
{
    const bool by_file = argc > 1 && strcmp(argv[1], "file") == 0;
    argc -= by_file;
    argv += by_file;
    must(argc >= 6 && (!by_file || argc == 7), "arguments: see the source");
    const uint64_t ratings = strtoull(argv[1], NULL, 10);
    const uint32_t users = (uint32_t)strtoul(argv[2], NULL, 10),
                   items = (uint32_t)strtoul(argv[3], NULL, 10);
    const struct ccz_recsys_build_cfg cfg = {.filter.twice = CCZ_RECSYS_TWICE_LAST,
                                             .memory_max = strtoull(argv[4], NULL, 10) << 20,
                                             .spill_dir = argv[5],
                                             .by_item = true};
    struct ccz_recsys_matrices m;
    struct ccz_err err = {0};
    struct target t = {0};
    int64_t start_ns = wall_ns();
    if (by_file) {
        write_file(argv[6], users, items, ratings);
        line("write file", start_ns, 0);
        start_ns = wall_ns();
    }
    check(ccz_recsys_builder_new(&t.b, &cfg, &err), &err);
    if (by_file)
        read_file(t.b, argv[6]);
    else
        stream(&t, users, items, ratings);
    line(by_file ? "read file" : "stream", start_ns, cfg.memory_max / 2);
    start_ns = wall_ns();
    check(ccz_recsys_builder_finish(&m, t.b, &err), &err);
    ccz_recsys_builder_free(t.b);
    line("build", start_ns, m.memory_peak);
    printf("ratings %" PRIu64 ", users %u, items %u, runs %u, on disk %.0f MiB, limit %.0f MiB\n",
           m.by_user->len, m.by_user->rows, m.by_user->cols, m.runs, mib(m.spilled),
           mib(cfg.memory_max));
    if (argc > 6 && !by_file)
        train(&m, argc, argv);
    ccz_recsys_matrices_deinit(&m);
    return 0;
}
