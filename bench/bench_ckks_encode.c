/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CKKS besides its core: the embedding in each tier, encoding and decoding, products with matrices,
 * polynomials. 128-bit security, chains of the sizes that are usual for a degree. One thread.
 * Columns: name, least and median microseconds.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "ckks/fft_priv.h"

#include <cczoo/ckks.h>

#include <string.h>

enum { ROUNDS = 15, SLOTS_MAX = 16384, DEGREE = 31, SIDE = 64 };
static const int64_t ROUND_NS = 20000000;

struct world {
    size_t n, limbs;
    struct ccz_ckks *ctx;
    struct ccz_ckks_eval *eval;
    struct ccz_ckks_pt *pt;
    struct cczi_fft *fft;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois;
    struct ccz_ckks_matrix *matrix;
    struct ccz_ckks_ct *in, *out;
    double scale;
    size_t degree;
};
static _Alignas(64) double a[2 * SLOTS_MAX + CCZI_FFT_GAP], b[2 * SLOTS_MAX + CCZI_FFT_GAP];
static double values[SLOTS_MAX], coeff[DEGREE + 1], square[SIDE * SIDE];
static struct ccz_complex numbers[SLOTS_MAX];

static int compare(const void *x, const void *y)
{
    double p = *(const double *)x, q = *(const double *)y;
    return (p > q) - (p < q);
}

static void measure(const char *name, void (*call)(struct world *w), struct world *w)
{
    double us[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        int64_t start_ns = cpu_ns(), now_ns;
        int calls = 0;
        do {
            call(w);
            calls++;
            now_ns = cpu_ns();
        } while (now_ns - start_ns < ROUND_NS);
        us[r] = (double)(now_ns - start_ns) / 1e3 / calls;
    }
    qsort(us, ROUNDS, sizeof(us[0]), compare);
    printf("n=%zu %s\t%.2f\t%.2f\n", w->n, name, us[0], us[ROUNDS / 2]);
    (void)fflush(stdout);
}

/* ------------------------------------------------------------------------------------- calls */

static void call_to_slots(struct world *w)
{
    w->fft->kernel->to_slots(b, a, w->fft);
}

static void call_to_coeffs(struct world *w)
{
    w->fft->kernel->to_coeffs(a, b, w->fft);
    memset(b, 0, 64); /* what is transformed over and over would grow */
}

static void call_encode(struct world *w)
{
    must(ccz_ckks_encode(w->pt, w->eval, values, w->n / 2, w->scale, w->limbs, NULL) == CCZ_OK,
         "encode");
}

static void call_encode_coeff(struct world *w)
{
    must(ccz_ckks_encode(w->pt, w->eval, values, w->n / 2, w->scale, 0, NULL) == CCZ_OK, "encode");
}

static void call_encode_complex_coeff(struct world *w)
{
    must(ccz_ckks_encode_complex(w->pt, w->eval, numbers, w->n / 2, w->scale, 0, NULL) == CCZ_OK,
         "encode");
}

static void call_encode_complex(struct world *w)
{
    must(ccz_ckks_encode_complex(w->pt, w->eval, numbers, w->n / 2, w->scale, w->limbs, NULL) ==
             CCZ_OK,
         "encode");
}

static void call_decode(struct world *w)
{
    must(ccz_ckks_decode(values, w->n / 2, w->eval, w->pt, NULL) == CCZ_OK, "decode");
}

static void call_matrix(struct world *w)
{
    must(ccz_ckks_matrix_mul(w->out, w->eval, w->matrix, w->in, w->galois, NULL) == CCZ_OK,
         "matrix");
}

static void call_poly(struct world *w)
{
    must(ccz_ckks_poly(w->out, w->eval, w->in, CCZ_CKKS_CHEBYSHEV, coeff, w->degree, 0, w->relin,
                       NULL) == CCZ_OK,
         "polynomial");
}

/* ------------------------------------------------------------------------------------ worlds */

static void set_up(struct world *w, size_t n, size_t limbs, unsigned first, unsigned bits)
{
    struct ccz_ckks_cfg cfg = {.ring = {.n = n, .data_len = limbs, .special_len = 1}};
    for (size_t i = 0; i <= limbs; i++)
        cfg.ring.bits[i] = (uint8_t)(i == 0 || i == limbs ? first : bits);
    *w = (struct world){.n = n, .limbs = limbs, .scale = (double)((uint64_t)1 << bits)};
    struct ccz_err err;
    if (ccz_ckks_new(&w->ctx, &cfg, &err) != CCZ_OK)
        must(false, err.msg);
    must(ccz_ckks_eval_new(&w->eval, w->ctx, NULL, NULL) == CCZ_OK &&
             ccz_ckks_pt_new(&w->pt, w->ctx, NULL) == CCZ_OK &&
             ccz_ckks_ct_new(&w->in, w->ctx, NULL) == CCZ_OK &&
             ccz_ckks_ct_new(&w->out, w->ctx, NULL) == CCZ_OK,
         "context");
}

static void tear_down(struct world *w)
{
    ccz_ckks_ct_free(w->in);
    ccz_ckks_ct_free(w->out);
    ccz_ckks_matrix_free(w->matrix);
    ccz_rlwe_galois_set_free(w->galois);
    ccz_rlwe_swk_free(w->relin);
    ccz_rlwe_sk_free(w->sk);
    ccz_ckks_pt_free(w->pt);
    ccz_ckks_eval_free(w->eval);
    ccz_ckks_free(w->ctx);
}

static void bench_embedding(struct world *w)
{
    const struct cczi_fft_kernel *all[3];
    size_t len = cczi_fft_kernels(all);
    unsigned log_n = 0;
    while ((size_t)2 << log_n < w->n)
        log_n++;
    for (size_t i = 0; i < len; i++) {
        char name[64];
        w->fft = cczi_fft_new(log_n, all[i]);
        must(w->fft, "memory");
        memset(a, 0, sizeof(a));
        memset(b, 0, sizeof(b));
        snprintf(name, sizeof(name), "embedding to slots, %s", all[i]->name);
        measure(name, call_to_slots, w);
        snprintf(name, sizeof(name), "embedding to coefficients, %s", all[i]->name);
        measure(name, call_to_coeffs, w);
        cczi_fft_free(w->fft);
    }
}

static void bench_encoder(struct world *w)
{
    char name[64];
    snprintf(name, sizeof(name), "encode, %zu primes", w->limbs);
    measure(name, call_encode, w);
    measure("encode, coefficients alone", call_encode_coeff, w);
    measure("encode complex, coefficients alone", call_encode_complex_coeff, w);
    snprintf(name, sizeof(name), "encode complex, %zu primes", w->limbs);
    measure(name, call_encode_complex, w);
    call_encode(w);
    w->pt->has_coeff = false;
    measure("decode, one prime needed", call_decode, w);
    w->pt->bound *= 0x1p20;
    measure("decode, two primes needed", call_decode, w);
    w->pt->bound *= 0x1p60;
    if (w->limbs > 4)
        measure("decode, four primes needed", call_decode, w);
}

static void bench_linear(struct world *w)
{
    int64_t steps[CCZ_CKKS_MATRIX_STEPS_MAX];
    size_t len = ccz_ckks_matrix_steps(steps, SIDE, SIDE);
    struct ccz_rlwe_work *work = ccz_ckks_eval_work(w->eval);
    for (size_t i = 0; i < SIDE * SIDE; i++)
        square[i] = (double)(i * 7919 % 1009) / 1009 - 0.5;
    for (size_t i = 0; i <= DEGREE; i++)
        coeff[i] = (double)(i * 7919 % 101) / 5000 + 0.001;
    call_encode_coeff(w);
    must(ccz_rlwe_sk_new(&w->sk, work, NULL) == CCZ_OK &&
             ccz_rlwe_relin_new(&w->relin, work, w->sk, NULL) == CCZ_OK &&
             ccz_ckks_galois_new(&w->galois, w->eval, w->sk, steps, len, false, NULL) == CCZ_OK &&
             ccz_ckks_matrix_new(&w->matrix, w->eval, square, SIDE, SIDE, w->scale, w->limbs,
                                 NULL) == CCZ_OK &&
             ccz_ckks_encrypt_sk(w->in, w->eval, w->sk, w->pt, 0, NULL) == CCZ_OK &&
             ccz_ckks_assume(w->in, 1, NULL) == CCZ_OK,
         "keys");
    measure("matrix 64 x 64 times vector", call_matrix, w);
    w->degree = 7;
    measure("polynomial of degree 7", call_poly, w);
    w->degree = DEGREE;
    if (w->limbs > 5)
        measure("polynomial of degree 31", call_poly, w);
}

int main(void)
{
    static const struct {
        size_t n, limbs;
        unsigned first, bits;
    } chains[] = {{4096, 2, 37, 34}, {8192, 4, 49, 40}, {16384, 8, 49, 47}, {32768, 17, 49, 46}};
    struct world w;
    for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        for (size_t j = 0; j < SLOTS_MAX; j++) {
            values[j] = (double)(j * 7919 % 10007) / 10007 - 0.5;
            numbers[j] = (struct ccz_complex){values[j], -values[j] / 2};
        }
        set_up(&w, chains[i].n, chains[i].limbs, chains[i].first, chains[i].bits);
        bench_embedding(&w);
        bench_encoder(&w);
        if (w.n == 8192 || w.n == 16384)
            bench_linear(&w);
        tear_down(&w);
    }
    return 0;
}
