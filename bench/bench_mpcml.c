/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regressions of two parties, in two threads that talk over loopback TCP, one thread each.
 *   bench_mpcml SHAPE SETTING [TRUNC [RUNS [FILE...]]]
 * SHAPE: lr100 (50 + 50 columns, 8 batches of 128), lr10 (5 + 5 columns, 10 batches of 128), rows10 (the same by rows), lr30 (15 + 15
 * columns, 7 batches of 64, 5 epochs), linear10; wdbc: as lr30 on the rows of FILEs (CSV: id, y, 30 columns), in an order that seed 1
 * makes; the first 448 train and the others are scored. Then the simulation, and the same in doubles, for seeds 1 to 100. SETTING: a name of --optimize, or "all". TRUNC: faithful or one-bit.
 * Tab-separated lines: what, phase, bytes of both directions, rounds, wall ms, processor ms of party 0 and 1; medians of RUNS.
 * Then the plan, and whether the result is that of the simulation.
 */
#define _GNU_SOURCE
#include "tcp_chan.h"

#include <cczoo/dataset.h>
#include <cczoo/mpcml.h>

#include <math.h>
#include <pthread.h>

enum { RUNS_MAX = 99, WDBC_TRAIN = 448, WDBC_COLUMNS = 30, WDBC_MAX = 2000 };

struct shape {
    const char *name;
    struct ccz_mpcml_lr_cfg cfg;
};
static const struct shape shapes[] = {
    {"lr100", {.rows = {1024, 1024}, .columns = {50, 50}, .batch = 128, .epochs = 1, .rate = 0.1}},
    {"lr10", {.rows = {1280, 1280}, .columns = {5, 5}, .batch = 128, .epochs = 1, .rate = 0.1}},
    {"rows10",
     {.split = CCZ_MPCML_ROWS,
      .rows = {640, 640},
      .columns = {10, 10},
      .batch = 128,
      .epochs = 1,
      .rate = 0.1,
      .weights = CCZ_MPCML_WEIGHTS_TO_BOTH}},
    {"lr30", {.rows = {448, 448}, .columns = {15, 15}, .batch = 64, .epochs = 5, .rate = 0.1}},
    {"wdbc", {.rows = {448, 448}, .columns = {15, 15}, .batch = 64, .epochs = 5, .rate = 0.1}},
    {"linear10",
     {.model = CCZ_MPCML_LINEAR,
      .rows = {1280, 1280},
      .columns = {5, 5},
      .batch = 128,
      .epochs = 1,
      .rate = 0.1}},
};

struct party {
    struct ccz_chan *chan, *dealer;
    struct ccz_mpcml_run_cfg cfg;
    struct ccz_mpcml_lr *lr;
    struct ccz_mpc_stats stats;
};
struct job {
    struct ccz_mpcml_lr_cfg cfg;
    struct ccz_mpcml_lr_data data[2];
    struct party p[2];
    struct ccz_chan *dealer[2];
    double *y; /* of scored rows, or NULL */
};

static double real(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
    }
    return sum * 1.7;
}

static void make_up(struct job *j)
{
    uint64_t state = 1;
    for (unsigned p = 0; p < 2; p++) {
        const size_t rows = j->cfg.rows[p], len = rows * j->cfg.columns[p];
        double *x = calloc(len + 1, sizeof(*x)), *y = calloc(rows + 1, sizeof(*y));
        must(x && y, "memory");
        for (size_t i = 0; i < len; i++)
            x[i] = real(&state);
        for (size_t i = 0; i < rows; i++)
            y[i] = x[i * j->cfg.columns[p]] + 0.5 * real(&state) > 0;
        j->data[p].x = x;
        j->data[p].y = y;
    }
}

static size_t read_rows(double (*rows)[WDBC_COLUMNS + 1], size_t at, const char *path)
{
    char line[8192];
    FILE *f = fopen(path, "r");
    must(f && fgets(line, sizeof(line), f), path); /* names */
    for (; fgets(line, sizeof(line), f) && at < WDBC_MAX; at++) {
        char *s = strchr(line, ',');
        for (int j = 0; j <= WDBC_COLUMNS; j++) {
            must(s && *s == ',', "a row of id, y and 30 columns");
            rows[at][j] = strtod(s + 1, &s);
        }
    }
    (void)fclose(f);
    return at;
}

static double wdbc[WDBC_MAX][WDBC_COLUMNS + 1];
static size_t wdbc_len;

static void read_wdbc(struct job *j, char **files, int len)
{
    for (int i = 0; i < len; i++)
        wdbc_len = read_rows(wdbc, wdbc_len, files[i]);
    must(wdbc_len > WDBC_TRAIN, "files with more than 448 rows");
    j->cfg.score_rows[0] = j->cfg.score_rows[1] = wdbc_len - WDBC_TRAIN;
    j->cfg.score_to = CCZ_MPC_TO_0;
    for (unsigned p = 0; p < 2; p++) {
        double *x = calloc(wdbc_len * WDBC_COLUMNS / 2, sizeof(*x));
        double *y = calloc(wdbc_len, sizeof(*y));
        must(x && y, "memory");
        j->data[p] = (struct ccz_mpcml_lr_data){
            .x = x, .y = y, .score_x = x + WDBC_TRAIN * WDBC_COLUMNS / 2};
    }
}

/* Deals the rows out in an order. */
static void deal_wdbc(struct job *j, uint64_t seed)
{
    static size_t order[WDBC_MAX];
    const size_t columns = WDBC_COLUMNS / 2;
    ccz_dataset_order(order, wdbc_len, seed, 0);
    for (unsigned p = 0; p < 2; p++)
        for (size_t i = 0; i < wdbc_len; i++) {
            const double *row = wdbc[order[i]];
            memcpy((double *)j->data[p].x + i * columns, row + 1 + p * columns,
                   columns * sizeof(*row));
            ((double *)j->data[p].y)[i] = row[0];
        }
    j->y = (double *)j->data[0].y + WDBC_TRAIN;
}

/* Scores of the same training in doubles. */
static void in_doubles(double *scores, const struct job *j)
{
    double w[WDBC_COLUMNS + 1] = {0}, g[WDBC_COLUMNS + 1];
    const size_t half = WDBC_COLUMNS / 2, batch = j->cfg.batch;
    const double *y = j->data[0].y;
    for (size_t step = 0; step < j->cfg.epochs * WDBC_TRAIN / batch + 1; step++) {
        const bool last = step == j->cfg.epochs * WDBC_TRAIN / batch;
        const size_t from = last ? WDBC_TRAIN : step * batch % WDBC_TRAIN;
        memset(g, 0, sizeof(g));
        for (size_t i = from; i < (last ? wdbc_len : from + batch); i++) {
            double z = w[WDBC_COLUMNS];
            for (size_t c = 0; c < WDBC_COLUMNS; c++)
                z += w[c] * j->data[c >= half].x[i * half + c % half];
            const double s = z < -0.5 ? 0 : z > 0.5 ? 1 : z + 0.5;
            for (size_t c = 0; c < WDBC_COLUMNS; c++)
                g[c] += (s - y[i]) * j->data[c >= half].x[i * half + c % half];
            g[WDBC_COLUMNS] += s - y[i];
            if (last)
                scores[i - WDBC_TRAIN] = s;
        }
        for (size_t c = 0; c <= WDBC_COLUMNS && !last; c++)
            w[c] -= j->cfg.rate / (double)batch * g[c];
    }
}

/* What depends on which rows are held out. */
static void many_splits(struct job *j)
{
    enum { SPLITS = 100 };
    static int64_t words[WDBC_MAX];
    static double reals[WDBC_MAX];
    const size_t len = wdbc_len - WDBC_TRAIN;
    const int64_t half = INT64_C(1) << 33;
    size_t sum[2] = {0}, least = len, most = 0, good = 0, differ = 0;
    for (uint64_t seed = 1; seed <= SPLITS; seed++) {
        size_t right[2] = {0};
        deal_wdbc(j, seed);
        must(ccz_mpcml_lr_simulate(NULL, words, &j->cfg, j->data, NULL) == CCZ_OK, "simulation");
        in_doubles(reals, j);
        for (size_t i = 0; i < len; i++) {
            right[0] += (words[i] >= half) == (j->y[i] > 0.5);
            right[1] += (reals[i] >= 0.5) == (j->y[i] > 0.5);
            differ += (words[i] >= half) != (reals[i] >= 0.5);
        }
        sum[0] += right[0];
        sum[1] += right[1];
        least = right[0] < least ? right[0] : least;
        most = right[0] > most ? right[0] : most;
        good += (double)right[0] >= 0.98 * (double)len;
    }
    printf("100 splits: accuracy mean %.4f, %.4f to %.4f, in %zu at least 0.98; in doubles mean "
           "%.4f; %zu of %zu predictions differ\n",
           (double)sum[0] / SPLITS / (double)len, (double)least / (double)len,
           (double)most / (double)len, good, (double)sum[1] / SPLITS / (double)len, differ,
           len * SPLITS);
}

static void *run_party(void *arg)
{
    struct party *p = arg;
    struct ccz_err err;
    if (ccz_mpcml_run(&p->stats, p->chan, ccz_mpcml_lr_program(p->lr), &p->cfg, &err) != CCZ_OK) {
        fprintf(stderr, "error: %s %s\n", err.where, err.msg);
        exit(1);
    }
    if (p->dealer)
        ccz_chan_close(p->dealer, NULL);
    return NULL;
}

static void *run_dealer(void *arg)
{
    struct job *j = arg;
    must(ccz_mpc_dealer_run(j->dealer[0], j->dealer[1], NULL, NULL) == CCZ_OK, "dealer");
    return NULL;
}

static void run(struct job *j)
{
    pthread_t t, d;
    const bool dealt = j->p[0].cfg.setting->source == CCZ_MPC_SOURCE_DEALER;
    tcp_pair(&j->p[0].chan, &j->p[1].chan);
    for (unsigned p = 0; p < 2; p++) {
        if (dealt)
            tcp_pair(&j->p[p].dealer, &j->dealer[p]);
        j->p[p].cfg.dealer = j->p[p].dealer;
        j->p[p].cfg.role = p;
    }
    must(!dealt || pthread_create(&d, NULL, run_dealer, j) == 0, "thread");
    must(pthread_create(&t, NULL, run_party, &j->p[1]) == 0, "thread");
    (void)run_party(&j->p[0]);
    must(pthread_join(t, NULL) == 0, "thread");
    must(!dealt || pthread_join(d, NULL) == 0, "thread");
    for (unsigned p = 0; p < 2; p++) {
        ccz_chan_free(j->p[p].chan);
        ccz_chan_free(j->p[p].dealer);
        ccz_chan_free(j->dealer[p]);
        j->p[p].dealer = j->dealer[p] = NULL;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int len)
{
    qsort(v, (size_t)len, sizeof(*v), by_value);
    return v[len / 2];
}

static void check_result(const struct job *j)
{
    const size_t len = ccz_mpcml_lr_weights_len(&j->cfg);
    const struct ccz_mpcml_lr_result r[2] = {ccz_mpcml_lr_result(j->p[0].lr),
                                             ccz_mpcml_lr_result(j->p[1].lr)};
    int64_t *words = calloc(len, sizeof(*words)), off = 0;
    must(words && ccz_mpcml_lr_simulate(words, NULL, &j->cfg, j->data, NULL) == CCZ_OK,
         "simulation");
    for (size_t i = 0; i < r[0].weights_len; i++) {
        const bool own = j->cfg.weights == CCZ_MPCML_WEIGHTS_OWN;
        const size_t at = own && i == j->cfg.columns[0] ? len - 1 : i;
        const int64_t d = llabs(r[0].words[i] - words[at]);
        off = d > off ? d : off;
    }
    printf("weights differ from the simulation by at most %lld units of 2^-20\n", (long long)off);
    size_t right = 0;
    for (size_t i = 0; j->y && i < r[0].scores_len; i++)
        right += (r[0].scores[i] >= 0.5) == (j->y[i] > 0.5);
    if (j->y)
        printf("accuracy %.4f of %zu rows\n", (double)right / (double)r[0].scores_len,
               r[0].scores_len);
    free(words);
}

static void measure(const char *name, struct job *j, const struct ccz_mpcml_setting *setting,
                    int runs)
{
    static const char *const phases[] = {"set-up", "offline", "online", "all"};
    static double wall[4][RUNS_MAX], cpu[2][4][RUNS_MAX];
    static char text[8192];
    uint64_t bytes[4] = {0}, rounds[4] = {0};
    struct ccz_mpcml_plan *plan;
    for (unsigned p = 0; p < 2; p++)
        j->p[p].cfg.setting = setting;
    for (int i = 0; i < runs; i++) {
        run(j);
        for (unsigned f = 0; f < CCZ_MPC_PHASES; f++) {
            const struct ccz_mpc_phase_stats *s = &j->p[0].stats.phase[f];
            bytes[f] = s->sent_size + s->received_size;
            rounds[f] = s->rounds;
            wall[f][i] = (double)s->time_ns / 1e6;
            for (unsigned p = 0; p < 2; p++)
                cpu[p][f][i] = (double)j->p[p].stats.phase[f].cpu_ns / 1e6;
        }
        wall[3][i] = wall[0][i] + wall[1][i] + wall[2][i];
        for (unsigned p = 0; p < 2; p++)
            cpu[p][3][i] = cpu[p][0][i] + cpu[p][1][i] + cpu[p][2][i];
    }
    for (unsigned f = 0; f < 3; f++) {
        bytes[3] += bytes[f];
        rounds[3] += rounds[f];
    }
    for (unsigned f = 0; f < 4; f++)
        printf("%s %s\t%s\t%llu\t%llu\t%.1f\t%.1f\t%.1f\n", name, setting->name, phases[f],
               (unsigned long long)bytes[f], (unsigned long long)rounds[f], median(wall[f], runs),
               median(cpu[0][f], runs), median(cpu[1][f], runs));
    must(ccz_mpcml_plan_new(&plan, ccz_mpcml_lr_program(j->p[0].lr), &j->p[0].cfg, NULL) == CCZ_OK,
         "plan");
    (void)ccz_mpcml_plan_text(text, sizeof(text), plan);
    printf("%s", text);
    ccz_mpcml_plan_free(plan);
    check_result(j);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct shape *s = NULL;
    static struct job j;
    for (size_t i = 0; argc > 2 && i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (strcmp(shapes[i].name, argv[1]) == 0)
            s = &shapes[i];
    const bool all = argc > 2 && strcmp(argv[2], "all") == 0;
    const struct ccz_mpcml_setting *setting =
        argc > 2 && !all ? ccz_mpcml_setting_named(argv[2]) : NULL;
    if (!s || (!setting && !all)) {
        fprintf(stderr, "usage: bench_mpcml SHAPE SETTING [TRUNC [RUNS [FILE...]]]\n");
        return 2;
    }
    const int runs = argc > 4 ? atoi(argv[4]) : 5;
    must(runs > 0 && runs <= RUNS_MAX, "1 to 99 runs");
    j.cfg = s->cfg;
    const bool real_data = strcmp(s->name, "wdbc") == 0;
    if (real_data) {
        read_wdbc(&j, argv + 5, argc > 5 ? argc - 5 : 0);
        deal_wdbc(&j, 1);
    } else {
        make_up(&j);
    }
    for (unsigned p = 0; p < 2; p++) {
        must(ccz_mpcml_lr_new(&j.p[p].lr, p, &j.cfg, &j.data[p], NULL) == CCZ_OK, "regression");
        if (argc > 3 && strcmp(argv[3], "one-bit") == 0)
            j.p[p].cfg.trunc = CCZ_MPC_TRUNC_ONE_BIT;
    }
    for (unsigned i = 0; i < CCZ_MPCML_OPTIMIZES; i++)
        if (all || ccz_mpcml_setting((enum ccz_mpcml_optimize)i) == setting)
            measure(s->name, &j, ccz_mpcml_setting((enum ccz_mpcml_optimize)i), runs);
    for (unsigned p = 0; p < 2; p++)
        ccz_mpcml_lr_free(j.p[p].lr);
    if (real_data)
        many_splits(&j);
    return 0;
}
