/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aggregation against the memory of the same core: `bench_agg [tier] [elements]`, default the best tier and 25,000,000.
 * STREAM's triad (a = b + s c over doubles, 24 bytes per element as STREAM counts them) runs before each sample of each
 * kernel. Columns: name, median GB/s, the triad's median GB/s beside it, ratio of the medians, ms. Bytes are those that a
 * kernel has to read and write. Pin it: taskset -c 0 bench_agg
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include "agg/agg_priv.h"

enum { SAMPLES = 9, ROWS = 10 };

struct world {
    const struct cczi_agg_kernels *k;
    size_t len, triad_len;
    double *a, *b, *c;
    float *acc, *x, *m, *v, *rows[ROWS];
    uint8_t *bytes;
    uint64_t bytes_size;
    struct ccz_agg_codec codec;
    struct ccz_agg_opt *opt;
    struct ccz_agg_robust *robust;
    struct ccz_agg_enc *enc;
};

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(double *x)
{
    qsort(x, SAMPLES, sizeof(*x), compare);
    return x[SAMPLES / 2];
}

/* Kept from being merged with its neighbours or left out. */
__attribute__((noinline)) static void triad(double *restrict a, const double *restrict b,
                                            const double *restrict c, double s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        a[i] = b[i] + s * c[i];
}

static double triad_rate(struct world *w)
{
    int64_t start = cpu_ns();
    triad(w->a, w->b, w->c, 3.0, w->triad_len);
    return 24 * (double)w->triad_len / (double)(cpu_ns() - start);
}

static void measure(const char *what, double bytes, void (*call)(struct world *w), struct world *w)
{
    double rates[SAMPLES], triads[SAMPLES];
    call(w);
    for (int s = 0; s < SAMPLES; s++) {
        triads[s] = triad_rate(w);
        int64_t start = cpu_ns();
        call(w);
        rates[s] = bytes / (double)(cpu_ns() - start);
    }
    double rate = median(rates), peer = median(triads);
    printf("%s.%s\t%.2f\t%.2f\t%.2f\t%.1f\n", what, w->k->name, rate, peer, rate / peer,
           bytes / rate / 1e6);
    fflush(stdout);
}

static void call_add(struct world *w)
{
    w->k->add(w->acc, w->x, 0.1f, w->len);
}

static void call_axpby(struct world *w)
{
    w->k->axpby(w->acc, 0.1f, w->x, 0.9f, w->len);
}

static void call_norm(struct world *w)
{
    double lanes[CCZ_AGG_LANES] = {0};
    w->k->squares(lanes, w->x, w->len / CCZ_AGG_LANES * CCZ_AGG_LANES);
    must(cczi_agg_lanes_sum(lanes) > 0, "norm");
}

static void call_f32_add(struct world *w)
{
    w->k->f32_add(w->acc, w->bytes, 0.1f, w->len);
}

static void call_f16_add(struct world *w)
{
    w->k->f16_add(w->acc, w->bytes, 0.1f, w->len);
}

static void call_bf16_add(struct world *w)
{
    w->k->bf16_add(w->acc, w->bytes, 0.1f, w->len);
}

static void call_decode_add(struct world *w)
{
    CCZ_AUTO(ccz_agg_dec) d = NULL;
    must(ccz_agg_dec_new(&d, &w->codec, w->len, NULL) == CCZ_OK, "decoder");
    must(ccz_agg_dec_add(d, w->acc, 0.1f, CCZ_SPAN(w->bytes, w->bytes_size), NULL) == CCZ_OK,
         "decode");
}

static void call_encode(struct world *w)
{
    must(ccz_agg_enc_begin(w->enc, w->x, w->m, w->m, NULL) == CCZ_OK, "encode");
    must(ccz_agg_enc_read(w->bytes, w->bytes_size, w->enc) > 0, "encode");
}

static void call_step(struct world *w)
{
    must(ccz_agg_opt_step(w->opt, w->acc, w->x, 0.1f, NULL) == CCZ_OK, "step");
}

static void call_robust(struct world *w)
{
    must(ccz_agg_robust_run(w->acc, w->robust, (const float *const *)w->rows, w->len / ROWS,
                            NULL) == CCZ_OK,
         "robust");
}

static void call_krum(struct world *w)
{
    CCZ_AUTO(ccz_agg_krum) k = NULL;
    uint32_t chosen;
    must(ccz_agg_krum_new(&k, ROWS, 3, NULL) == CCZ_OK, "krum");
    must(ccz_agg_krum_add(k, (const float *const *)w->rows, w->len / ROWS, NULL) == CCZ_OK, "krum");
    must(ccz_agg_krum_select(&chosen, NULL, 1, k, NULL) == CCZ_OK, "krum");
}

static void *take(size_t size)
{
    void *p = aligned_alloc(64, (size + 63) / 64 * 64);
    must(p, "memory");
    return p;
}

static void set_up(struct world *w)
{
    uint64_t state = 1;
    w->triad_len = 16000000;
    w->a = take(w->triad_len * 8);
    w->b = take(w->triad_len * 8);
    w->c = take(w->triad_len * 8);
    for (size_t i = 0; i < w->triad_len; i++)
        w->a[i] = w->b[i] = w->c[i] = 1;
    w->acc = take(4 * w->len);
    w->x = take(4 * w->len);
    w->m = take(4 * w->len);
    w->bytes = take(4 * w->len + 64);
    for (size_t i = 0; i < w->len; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        w->x[i] = (float)(int32_t)(state >> 32) * 0x1p-36f;
        w->acc[i] = w->m[i] = 0;
    }
    for (size_t r = 0; r < ROWS; r++)
        w->rows[r] = w->x + r * (w->len / ROWS);
}

static void run_codecs(struct world *w)
{
    for (int c = 0; c < CCZ_AGG_CODECS; c++) {
        char name[32];
        double n = (double)w->len;
        w->codec = (struct ccz_agg_codec){.kind = (enum ccz_agg_codec_kind)c, .topk = w->len / 100};
        must(ccz_agg_enc_new(&w->enc, &w->codec, w->len, NULL) == CCZ_OK, "encoder");
        must(ccz_agg_codec_size(&w->bytes_size, &w->codec, w->len, NULL) == CCZ_OK, "size");
        (void)snprintf(name, sizeof(name), "encode_%s_feedback", ccz_agg_codec_name(w->codec.kind));
        measure(name, 12 * n + (double)w->bytes_size, call_encode, w);
        double rewritten = c == CCZ_AGG_TOPK ? 8 * n / 100 : 8 * n;
        (void)snprintf(name, sizeof(name), "decode_add_%s", ccz_agg_codec_name(w->codec.kind));
        measure(name, rewritten + (double)w->bytes_size, call_decode_add, w);
        ccz_agg_enc_free(w->enc);
    }
}

int main(int argc, char **argv)
{
    static struct world w;
    w.k = cczi_agg_kernels(argc > 1 ? argv[1] : NULL);
    must(w.k, "this machine does not run that tier");
    w.len = argc > 2 ? strtoull(argv[2], NULL, 10) : 25000000;
    set_up(&w);
    double n = (double)w.len;
    measure("add", 12 * n, call_add, &w);
    measure("axpby", 12 * n, call_axpby, &w);
    measure("norm_finite", 4 * n, call_norm, &w);
    measure("add_f32", 12 * n, call_f32_add, &w);
    measure("add_f16", 10 * n, call_f16_add, &w);
    measure("add_bf16", 10 * n, call_bf16_add, &w);
    if (argc > 1)
        return 0; /* the rest goes through the chosen tier: CCZOO_CPU */
    run_codecs(&w);
    struct ccz_agg_robust_cfg robust = {CCZ_AGG_MEDIAN, ROWS, 0};
    must(ccz_agg_robust_new(&w.robust, &robust, NULL) == CCZ_OK, "robust");
    measure("median_10", 4.4 * n, call_robust, &w);
    ccz_agg_robust_free(w.robust);
    robust = (struct ccz_agg_robust_cfg){CCZ_AGG_TRIMMED, ROWS, 2};
    must(ccz_agg_robust_new(&w.robust, &robust, NULL) == CCZ_OK, "robust");
    measure("trimmed_10_2", 4.4 * n, call_robust, &w);
    ccz_agg_robust_free(w.robust);
    measure("krum_10", 4 * n, call_krum, &w);
    for (int i = 0; i < CCZ_AGG_OPT_KINDS; i++) {
        static const double bytes[CCZ_AGG_OPT_KINDS] = {16, 24, 32, 32,
                                                        32}; /* the check reads once more */
        struct ccz_agg_opt_cfg cfg = ccz_agg_opt_defaults((enum ccz_agg_opt_kind)i);
        must(ccz_agg_opt_new(&w.opt, &cfg, w.len, NULL) == CCZ_OK, "optimizer");
        measure(ccz_agg_opt_name(cfg.kind), bytes[i] * n, call_step, &w);
        ccz_agg_opt_free(w.opt);
    }
    return 0;
}
