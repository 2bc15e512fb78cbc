/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private inference and k-means of two parties, one thread each, over a channel in memory. Tab-separated: what, ring, transfers,
 * images at once (points); bytes of both directions together: set-up (once per session), offline, online; rounds of all;
 * milliseconds, median of runs: wall clock from hello to result, processor time of both parties (the server first), of it set-up.
 * Set-up is base OTs and keys. usage: bench_mpcml_nn [runs [network.nn [images]]]
 * With a network: how often it is right on the Fashion-MNIST test images, as doubles and in fixed point, and how often both agree.
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/dataset.h>
#include <cczoo/mpcml_kmeans.h>
#include <cczoo/mpcml_nn.h>

#include "mpc_duo.h"

#include <math.h>
#include <string.h>

enum { TIMES = 5 };

static void ok(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    must(rc == CCZ_OK, ccz_rc_name(rc));
}

/* ------------------------------------------------------------------------------------ networks */

#define DENSE(n)                                                                                   \
    {                                                                                              \
        .kind = CCZ_MPCML_DENSE, .out = (n)                                                        \
    }
#define CONV(n)                                                                                    \
    {                                                                                              \
        .kind = CCZ_MPCML_CONV2D, .out = (n), .kh = 5, .kw = 5, .stride = 1                        \
    }
#define POOL                                                                                       \
    {                                                                                              \
        .kind = CCZ_MPCML_MAX_POOL, .kh = 2, .kw = 2, .stride = 2                                  \
    }
#define RELU                                                                                       \
    {                                                                                              \
        .kind = CCZ_MPCML_RELU                                                                     \
    }
#define FLATTEN                                                                                    \
    {                                                                                              \
        .kind = CCZ_MPCML_FLATTEN                                                                  \
    }

static const struct ccz_mpcml_spec specs[] = {
    {.height = 28,
     .width = 28,
     .channels = 1,
     .input_max = 1,
     .weight_max = 1,
     .layers_len = 6,
     .layers = {FLATTEN, DENSE(128), RELU, DENSE(128), RELU, DENSE(10)}},
    {.height = 28,
     .width = 28,
     .channels = 1,
     .input_max = 1,
     .weight_max = 1,
     .layers_len = 12,
     .layers = {CONV(6), RELU, POOL, CONV(16), RELU, POOL, FLATTEN, DENSE(120), RELU, DENSE(84),
                RELU, DENSE(10)}}};
static const char *const names[] = {"MLP 784-128-128-10", "LeNet"};

/* Weights of the size that training gives: what a run costs does not depend on them. */
static struct ccz_mpcml_network *random_network(const struct ccz_mpcml_spec *spec)
{
    struct ccz_mpcml_network *net, *bare;
    struct ccz_err err = {0};
    struct ccz_seeded rng = ccz_seeded_from(1, 1);
    ok(ccz_mpcml_network_new(&bare, spec, NULL, 0, &err), &err);
    const size_t len = ccz_mpcml_network_params_len(bare);
    float *params = malloc(len * sizeof(*params));
    must(params, "memory");
    for (size_t i = 0; i < len; i++)
        params[i] = (float)(ccz_seeded_unit(&rng) - 0.5) / 8;
    ok(ccz_mpcml_network_new(&net, spec, params, len, &err), &err);
    free(params);
    ccz_mpcml_network_free(bare);
    return net;
}

/* ------------------------------------------------------------------------------------------ runs */

struct side {
    struct ccz_chan *chan;
    const struct ccz_mpcml_program *program;
    struct ccz_mpcml_run_cfg cfg;
    struct ccz_mpc_stats stats;
    int64_t wall_ns, cpu_ns;
};

static void *run_side(void *arg)
{
    struct side *s = arg;
    struct ccz_err err = {0};
    const int64_t wall = wall_ns(), cpu = duo_thread_ns();
    ok(ccz_mpcml_run(&s->stats, s->chan, s->program, &s->cfg, &err), &err);
    s->wall_ns = wall_ns() - wall;
    s->cpu_ns = duo_thread_ns() - cpu;
    return NULL;
}

static void report(const struct side *s, int64_t ns[TIMES][DUO_RUNS_MAX], size_t runs)
{
    uint64_t rounds = 0;
    for (int i = 0; i < CCZ_MPC_PHASES; i++) {
        const struct ccz_mpc_phase_stats *p = &s->stats.phase[i];
        rounds += p->rounds;
        printf("\t%llu", (unsigned long long)(p->sent_size + p->received_size));
    }
    printf("\t%llu", (unsigned long long)rounds);
    for (int i = 0; i < TIMES; i++)
        printf("\t%.1f", duo_median_ms(ns[i], runs));
    printf("\n");
    (void)fflush(stdout);
}

static void measure(const char *name, const struct ccz_mpcml_program *const program[2],
                    enum ccz_mpcml_optimize optimize, size_t len, size_t runs)
{
    static int64_t ns[TIMES][DUO_RUNS_MAX];
    struct side s[2] = {0};
    const struct ccz_mpcml_setting *setting = ccz_mpcml_setting(optimize);
    for (unsigned r = 0; r < 2; r++) {
        s[r].program = program[r];
        s[r].cfg = (struct ccz_mpcml_run_cfg){
            .role = r, .setting = setting, .trunc = CCZ_MPC_TRUNC_ONE_BIT};
    }
    for (size_t i = 0; i < runs; i++) {
        pthread_t t;
        must(ccz_chan_pair(&s[0].chan, &s[1].chan, NULL, NULL) == CCZ_OK, "channel");
        must(pthread_create(&t, NULL, run_side, &s[0]) == 0, "thread");
        (void)run_side(&s[1]);
        must(pthread_join(t, NULL) == 0, "thread");
        for (int r = 0; r < 2; r++)
            ccz_chan_free(s[r].chan);
        ns[0][i] = s[0].wall_ns > s[1].wall_ns ? s[0].wall_ns : s[1].wall_ns;
        for (int r = 0; r < 2; r++) {
            ns[1 + r][i] = s[r].cpu_ns;
            ns[3 + r][i] = s[r].stats.phase[CCZ_MPC_SETUP].cpu_ns;
        }
    }
    printf("%s\t%u\t%s\t%zu", name, program[0]->ring_bits,
           setting->ot == CCZ_MPC_OT_SILENT ? "silent" : "softspoken", len);
    report(&s[0], ns, runs);
}

static void inference(const struct ccz_mpcml_network *net, const char *name,
                      enum ccz_mpcml_optimize optimize, const struct ccz_mpcml_nn_cfg *cfg,
                      const float *images, size_t runs)
{
    const struct ccz_mpcml_program *program[2];
    struct ccz_mpcml_nn *nn[2];
    struct ccz_err err = {0};
    for (unsigned r = 0; r < 2; r++) {
        ok(ccz_mpcml_nn_new(&nn[r], r, net, cfg, r == cfg->server ? NULL : images, &err), &err);
        program[r] = ccz_mpcml_nn_program(nn[r]);
    }
    measure(name, program, optimize, cfg->images, runs);
    for (int r = 0; r < 2; r++)
        ccz_mpcml_nn_free(nn[r]);
}

/* 1,000 points of 10 columns, 5 clusters, 10 iterations. */
static void clusters(enum ccz_mpcml_split split, const char *name, size_t runs)
{
    enum { POINTS = 1000, COLUMNS = 10 };
    static double x[POINTS * COLUMNS];
    const bool rows = split == CCZ_MPCML_ROWS;
    const size_t n = rows ? POINTS / 2 : POINTS, d = rows ? COLUMNS : COLUMNS / 2;
    const struct ccz_mpcml_kmeans_cfg cfg = {.split = split,
                                             .rows = {n, n},
                                             .columns = {d, d},
                                             .clusters = 5,
                                             .iterations = 10,
                                             .to = CCZ_MPC_TO_BOTH};
    const struct ccz_mpcml_program *program[2];
    struct ccz_mpcml_kmeans *km[2];
    struct ccz_err err = {0};
    struct ccz_seeded rng = ccz_seeded_from(3, 1);
    for (size_t i = 0; i < POINTS * COLUMNS; i++)
        x[i] = ccz_seeded_unit(&rng);
    for (unsigned r = 0; r < 2; r++) {
        ok(ccz_mpcml_kmeans_new(&km[r], r, &cfg, x, &err), &err);
        program[r] = ccz_mpcml_kmeans_program(km[r]);
    }
    for (int silent = 0; silent < 2; silent++)
        measure(name, program, silent ? CCZ_MPCML_ROUNDS : CCZ_MPCML_HE_PACKED, POINTS, runs);
    for (int r = 0; r < 2; r++)
        ccz_mpcml_kmeans_free(km[r]);
}

static void measure_all(const struct ccz_mpcml_network *net, const char *name, size_t runs)
{
    const size_t inputs = ccz_mpcml_network_inputs(net);
    struct ccz_seeded rng = ccz_seeded_from(2, 1);
    float *images = malloc(32 * inputs * sizeof(*images));
    must(images, "memory");
    for (size_t i = 0; i < 32 * inputs; i++)
        images[i] = (float)ccz_seeded_unit(&rng);
    for (unsigned ring = 32; ring <= 64; ring *= 2)
        for (size_t batch = 1; batch <= 32; batch += 31)
            for (int silent = 0; silent < 2; silent++) {
                const struct ccz_mpcml_nn_cfg cfg = {.ring_bits = ring, .images = batch};
                inference(net, name, silent ? CCZ_MPCML_ROUNDS : CCZ_MPCML_HE_PACKED, &cfg, images,
                          runs);
            }
    free(images);
}

/* -------------------------------------------------------------------------------------- accuracy */

static size_t largest(const double *v, size_t len)
{
    size_t best = 0;
    for (size_t i = 1; i < len; i++)
        best = v[i] > v[best] ? i : best;
    return best;
}

static float *test_images(uint32_t *labels, size_t len)
{
    struct ccz_idx x = {0}, y = {0};
    struct ccz_err err = {0};
    const char *dir = "/usr/share/datasets/fashion-mnist/";
    char path[128];
    (void)snprintf(path, sizeof(path), "%st10k-images-idx3-ubyte.gz", dir);
    ok(ccz_idx_read(&x, path, 3, &err), &err);
    (void)snprintf(path, sizeof(path), "%st10k-labels-idx1-ubyte.gz", dir);
    ok(ccz_idx_read(&y, path, 1, &err), &err);
    must(len <= x.dims[0] && x.dims[1] * x.dims[2] == 784, "images");
    float *v = malloc(len * 784 * sizeof(*v));
    must(v, "memory");
    for (size_t i = 0; i < len * 784; i++)
        v[i] = (float)x.data[i] / 255;
    for (size_t i = 0; i < len; i++)
        labels[i] = y.data[i];
    ccz_idx_free(&x);
    ccz_idx_free(&y);
    return v;
}

/* Doubles against fixed point, by the simulation that the protocol equals. */
static void accuracy(const struct ccz_mpcml_network *net, size_t len)
{
    struct ccz_err err = {0};
    const size_t outputs = ccz_mpcml_network_outputs(net);
    uint32_t *labels = malloc(len * sizeof(*labels));
    uint64_t *got = malloc(len * sizeof(*got));
    must(labels && got, "memory");
    float *images = test_images(labels, len);
    for (unsigned ring = 32; ring <= 64; ring *= 2) {
        const struct ccz_mpcml_nn_cfg cfg = {.ring_bits = ring, .images = len};
        struct ccz_mpcml_nn_range range;
        size_t right = 0, real = 0, agree = 0;
        if (ccz_mpcml_nn_range(&range, net, &cfg, &err) != CCZ_OK) {
            printf("ring of %u bits: %s: %s\n", ring, err.where, err.msg);
            continue;
        }
        ok(ccz_mpcml_nn_simulate(got, net, &cfg, images, &err), &err);
        for (size_t i = 0; i < len; i++) {
            double v[CCZ_MPCML_NETWORK_SIDE_MAX];
            ok(ccz_mpcml_network_logits(v, net, images + i * 784, &err), &err);
            const size_t class = largest(v, outputs);
            right += got[i] == labels[i];
            real += class == labels[i];
            agree += class == got[i];
        }
        printf("ring of %u bits, values to %.1f bits, ONE_BIT deviates by 2^%.1f ulp at most: "
               "right %.4f, doubles "
               "%.4f, agree %.4f\n",
               ring, range.bits, log2(range.deviation), (double)right / (double)len,
               (double)real / (double)len, (double)agree / (double)len);
    }
    free(images);
    free(labels);
    free(got);
}

int main(int argc, char **argv)
{
    const size_t runs = argc > 1 ? strtoull(argv[1], NULL, 10) : 5;
    must(runs >= 1 && runs <= DUO_RUNS_MAX, "usage");
    if (argc > 2) {
        struct ccz_mpcml_network *net;
        struct ccz_err err = {0};
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
        ok(ccz_file_read(&file, argv[2], &err), &err);
        ok(ccz_mpcml_network_read(&net, ccz_buf_span(&file), &err), &err);
        accuracy(net, argc > 3 ? strtoull(argv[3], NULL, 10) : 10000);
        ccz_mpcml_network_free(net);
        return 0;
    }
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct ccz_mpcml_network *net = random_network(&specs[i]);
        measure_all(net, names[i], runs);
        ccz_mpcml_network_free(net);
    }
    clusters(CCZ_MPCML_COLUMNS, "k-means, columns", runs);
    clusters(CCZ_MPCML_ROWS, "k-means, rows", runs);
    return 0;
}
