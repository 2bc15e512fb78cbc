/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transforms and kernels over residues, by tier: `bench_num [tier]...`, all by default. Columns: name,
 * best and median of many samples in microseconds. Names are <what>.<tier>.<length>.<bits of q>.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/num.h>

#include <string.h>

enum { SAMPLES = 300, STREAMS = 80, TERMS = 5, LEN_MAX = 32768 };

struct world {
    const struct ccz_kernels *k;
    struct ccz_modulus m, other;
    struct ccz_ntt *ntt;
    struct ccz_galois *galois;
    struct ccz_base_conv *conv;
    size_t n;
    uint64_t *mem, *a[2 * TERMS], *b[2 * TERMS], *r[3], *words, *streams[STREAMS];
    uint64_t s[STREAMS];
    struct ccz_mulc c;
    int8_t *bytes;
};

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void measure(const char *what, void (*call)(struct world *w), struct world *w)
{
    double us[SAMPLES];
    int calls = 1;
    for (int64_t spent = 0; spent < 200000; calls *= 2) { /* 0.2 ms and more per sample */
        int64_t start = cpu_ns();
        for (int i = 0; i < calls; i++)
            call(w);
        spent = cpu_ns() - start;
    }
    for (int s = 0; s < SAMPLES; s++) {
        int64_t start = cpu_ns();
        for (int i = 0; i < calls; i++)
            call(w);
        us[s] = (double)(cpu_ns() - start) / 1e3 / calls;
    }
    qsort(us, SAMPLES, sizeof(us[0]), compare);
    printf("%s.%s.%zu.%u\t%.3f\t%.3f\n", what, w->k->name, w->n, w->m.bits, us[0], us[SAMPLES / 2]);
    fflush(stdout);
}

static void call_forward(struct world *w)
{
    ccz_ntt_forward(w->r[0], w->a[0], w->ntt);
}

static void call_forward_in_place(struct world *w)
{
    ccz_ntt_forward(w->r[0], w->r[0], w->ntt);
}

static void call_lazy(struct world *w)
{
    ccz_ntt_forward_lazy(w->r[0], w->a[0], w->ntt);
}

static void call_lift_lazy(struct world *w)
{
    ccz_ntt_forward_lift_lazy(w->r[0], w->a[0], &w->other, w->ntt);
}

static void call_inverse(struct world *w)
{
    ccz_ntt_inverse(w->r[0], w->a[0], w->ntt);
}

static void call_add(struct world *w)
{
    w->k->add(w->r[0], w->a[0], w->b[0], w->n, &w->m);
}

static void call_mul(struct world *w)
{
    w->k->mul(w->r[0], w->a[0], w->b[0], w->n, &w->m);
}

static void call_mul_const(struct world *w)
{
    w->k->mul_const(w->r[0], w->a[0], w->c, w->n, &w->m);
}

static void call_sub_mul_const(struct world *w)
{
    w->k->sub_mul_const(w->r[0], w->a[0], w->b[0], w->c, w->n, &w->m);
}

static void call_mac2(struct world *w)
{
    w->k->mac2(w->r, (const uint64_t *const *)w->a, (const uint64_t *const *)w->b, TERMS, w->n,
               &w->m, false);
}

static void call_mac_scalar(struct world *w)
{
    w->k->mac_scalar(w->r[0], (const uint64_t *const *)w->streams, w->s, STREAMS, w->n, &w->m,
                     false);
}

static void call_tensor(struct world *w)
{
    w->k->tensor(w->r, (const uint64_t *const *)w->a, (const uint64_t *const *)w->b, w->n, &w->m);
}

static void call_reduce_i64(struct world *w)
{
    w->k->reduce_i64(w->r[0], (const int64_t *)w->words, w->n, &w->m);
}

static void call_reduce_i8(struct world *w)
{
    w->k->reduce_i8(w->r[0], w->bytes, w->n, &w->m);
}

static void call_lift(struct world *w)
{
    w->k->lift(w->r[0], w->a[0], w->n, &w->other, &w->m);
}

static void call_uniform(struct world *w)
{
    (void)w->k->uniform(w->r[0], w->n, w->words, 2 * w->n, &w->m);
}

static void call_galois(struct world *w)
{
    w->k->galois(w->r[0], w->a[0], w->galois);
}

static void call_base_conv(struct world *w)
{
    ccz_base_conv(w->r, (const uint64_t *const *)w->a, true, w->n, w->conv, w->k);
}

static uint64_t *take(struct world *w, size_t *at, size_t words)
{
    *at += words;
    return w->mem + *at - words;
}

static void world_init(struct world *w, const struct ccz_kernels *k, size_t n, unsigned bits)
{
    uint64_t q[8], x = 1;
    struct ccz_modulus from[4];
    size_t at = 0;
    memset(w, 0, sizeof(*w));
    w->k = k;
    w->n = n;
    must(ccz_ntt_primes(q, 8, bits, n, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK &&
             ccz_modulus_init(&w->m, q[0], NULL) == CCZ_OK &&
             ccz_modulus_init(&w->other, q[1], NULL) == CCZ_OK,
         "primes");
    for (int i = 0; i < 4; i++)
        must(ccz_modulus_init(&from[i], q[i + 2], NULL) == CCZ_OK, "moduli");
    must(ccz_ntt_new(&w->ntt, &w->m, n, k, NULL) == CCZ_OK &&
             ccz_galois_new(&w->galois, n, 5, NULL) == CCZ_OK &&
             ccz_base_conv_new(&w->conv, from, 4, &w->m, 1, CCZ_CONV_CENTERED, NULL) == CCZ_OK,
         "tables");
    const size_t words = (4 * TERMS + 3 + 2 + STREAMS) * n + n / 8;
    w->mem = aligned_alloc(4096, words * sizeof(uint64_t) + 4096 - words * sizeof(uint64_t) % 4096);
    must(w->mem != NULL, "memory");
    for (size_t i = 0; i < words; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        w->mem[i] = (x >> 8) % q[7];
    }
    for (int i = 0; i < 2 * TERMS; i++) {
        w->a[i] = take(w, &at, n);
        w->b[i] = take(w, &at, n);
    }
    for (int i = 0; i < 3; i++)
        w->r[i] = take(w, &at, n);
    for (int i = 0; i < STREAMS; i++) {
        w->streams[i] = take(w, &at, n);
        w->s[i] = w->a[0][i];
    }
    w->words = take(w, &at, 2 * n);
    w->bytes = (int8_t *)take(w, &at, n / 8);
    w->c = ccz_mulc_from(w->a[0][1], &w->m);
}

static void bench(const struct ccz_kernels *k, size_t n, unsigned bits, bool kernels)
{
    struct world w;
    world_init(&w, k, n, bits);
    measure("ntt_forward", call_forward, &w);
    measure("ntt_forward_in_place", call_forward_in_place, &w);
    measure("ntt_forward_lazy", call_lazy, &w);
    measure("ntt_forward_lift_lazy", call_lift_lazy, &w);
    measure("ntt_inverse", call_inverse, &w);
    if (kernels) {
        measure("add", call_add, &w);
        measure("mul", call_mul, &w);
        measure("mul_const", call_mul_const, &w);
        measure("sub_mul_const", call_sub_mul_const, &w);
        measure("mac2_5", call_mac2, &w);
        measure("mac_scalar_80", call_mac_scalar, &w);
        measure("tensor", call_tensor, &w);
        measure("reduce_i64", call_reduce_i64, &w);
        measure("reduce_i8", call_reduce_i8, &w);
        measure("lift", call_lift, &w);
        measure("uniform", call_uniform, &w);
        measure("galois", call_galois, &w);
        measure("base_conv_4", call_base_conv, &w);
    }
    ccz_ntt_free(w.ntt);
    ccz_galois_free(w.galois);
    ccz_base_conv_free(w.conv);
    free(w.mem);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"ifma", "avx512", "avx2", "portable"};
    static const unsigned bits[] = {50, 48, 44};
    for (size_t t = 0; t < (argc > 1 ? (size_t)argc - 1 : 4); t++) {
        const struct ccz_kernels *k = ccz_kernels(argc > 1 ? argv[t + 1] : all[t]);
        for (size_t n = 4096; k && n <= LEN_MAX; n *= 2) {
            for (size_t b = 0; b < 3; b++)
                bench(k, n, bits[b], n == 8192 && b == 0);
        }
    }
    return 0;
}
