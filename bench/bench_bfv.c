/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BFV as secure computation uses it: products of vectors and matrices over Z_2^64 and Z_2^32, element-wise products of slots.
 * Parameters are planned, results flooded with 40 bits and switched down. Argument: threads (default 1).
 * Columns: name, minimum and median in microseconds of wall time.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/bfv.h>

#include <string.h>

enum { SAMPLES = 61, DOT_LEN = 16 };

struct world {
    struct ccz_bfv *c;
    struct ccz_bfv_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_bfv_pt *a, *b, *out;
    struct ccz_bfv_ct *fresh, *product, *flooded, *back, *tmp;
    const struct ccz_bfv_ct *list[DOT_LEN];
    const struct ccz_bfv_pt *factors[DOT_LEN];
    struct ccz_buf bytes;
    uint64_t *v;
    size_t n, return_limbs;
};

static void ok(ccz_rc rc)
{
    must(rc == CCZ_OK, ccz_rc_name(rc));
}

static void encode(struct world *w)
{
    if (ccz_bfv_slots(w->c))
        ok(ccz_bfv_encode(w->b, w->e, w->v, w->n, NULL));
    else
        ok(ccz_bfv_encode_coeff(w->b, w->v, w->n, NULL));
}

static void prepare(struct world *w)
{
    w->b->factor_limbs = 0;
    ok(ccz_bfv_pt_prepare(w->b, w->e, 0, NULL));
}

static void encrypt_sk(struct world *w)
{
    ok(ccz_bfv_encrypt_sk(w->tmp, w->e, w->sk, w->a, 0, NULL));
}

static void encrypt_pk(struct world *w)
{
    ok(ccz_bfv_encrypt_pk(w->tmp, w->e, w->pk, w->a, 0, NULL));
}

static void add(struct world *w)
{
    ok(ccz_bfv_add(w->tmp, w->e, w->fresh, w->fresh, NULL));
}

static void add_plain(struct world *w)
{
    ok(ccz_bfv_add_plain(w->tmp, w->e, w->product, w->a, NULL));
}

static void mul_plain(struct world *w)
{
    ok(ccz_bfv_mul_plain(w->tmp, w->e, w->fresh, w->b, NULL));
}

static void dot_plain(struct world *w)
{
    ok(ccz_bfv_dot_plain(w->tmp, w->e, w->list, w->factors, DOT_LEN, NULL));
}

static void flood(struct world *w)
{
    ok(ccz_bfv_flood(w->tmp, w->e, w->product, w->a, w->pk, 40, NULL));
}

static void mod_switch(struct world *w)
{
    ok(ccz_bfv_mod_switch(w->tmp, w->e, w->flooded, w->return_limbs, NULL));
}

static void decrypt(struct world *w)
{
    ok(ccz_bfv_decrypt(w->out, w->e, w->sk, w->back, NULL));
}

static void decrypt_all(struct world *w)
{
    ok(ccz_bfv_decrypt(w->out, w->e, w->sk, w->product, NULL));
}

static void decode(struct world *w)
{
    if (ccz_bfv_slots(w->c))
        ok(ccz_bfv_decode(w->v, w->n, w->e, w->out, NULL));
}

static void write_back(struct world *w)
{
    ccz_buf_clear(&w->bytes);
    ok(ccz_bfv_ct_write(&w->bytes, w->back, NULL));
}

static void read_back(struct world *w)
{
    ok(ccz_bfv_ct_read(w->tmp, w->e, ccz_buf_span(&w->bytes), NULL, NULL));
}

static const struct {
    const char *name;
    void (*run)(struct world *w);
} ops[] = {{"encode", encode},
           {"prepare", prepare},
           {"encrypt_sk", encrypt_sk},
           {"encrypt_pk", encrypt_pk},
           {"add", add},
           {"add_plain", add_plain},
           {"mul_plain", mul_plain},
           {"dot_plain_16", dot_plain},
           {"flood", flood},
           {"mod_switch", mod_switch},
           {"decrypt", decrypt},
           {"decrypt_all_primes", decrypt_all},
           {"decode", decode},
           {"write", write_back},
           {"read", read_back}};

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double wall_us(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0, "clock");
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void setup(struct world *w, const struct ccz_bfv_plan *plan, unsigned threads)
{
    const struct ccz_rlwe_work_cfg cfg = {.threads = threads};
    ok(ccz_bfv_new(&w->c, &plan->cfg, NULL));
    ok(ccz_bfv_eval_new(&w->e, w->c, &cfg, NULL));
    ok(ccz_rlwe_sk_new(&w->sk, ccz_bfv_eval_work(w->e), NULL));
    ok(ccz_rlwe_pk_new(&w->pk, ccz_bfv_eval_work(w->e), w->sk, NULL));
    struct ccz_bfv_pt **pts[] = {&w->a, &w->b, &w->out};
    struct ccz_bfv_ct **cts[] = {&w->fresh, &w->product, &w->flooded, &w->back, &w->tmp};
    for (size_t i = 0; i < 3; i++)
        ok(ccz_bfv_pt_new(pts[i], w->c, NULL));
    for (size_t i = 0; i < 5; i++)
        ok(ccz_bfv_ct_new(cts[i], w->c, NULL));
    ccz_buf_init(&w->bytes, (size_t)1 << 24);
    w->n = plan->cfg.ring.n;
    w->return_limbs = plan->return_limbs;
    w->v = calloc(w->n, sizeof(*w->v));
    must(w->v, "memory");
    const uint64_t mask =
        ccz_bfv_log2_t(w->c) >= 64 ? UINT64_MAX : (UINT64_C(1) << (int)ccz_bfv_log2_t(w->c)) - 1;
    for (size_t i = 0; i < w->n; i++)
        w->v[i] = (i * UINT64_C(0x9e3779b97f4a7c15) >> 3) & mask;
    ok(ccz_bfv_encode_coeff(w->a, w->v, w->n, NULL));
    ok(ccz_bfv_encode_coeff(w->b, w->v, w->n, NULL));
    ok(ccz_bfv_pt_prepare(w->b, w->e, 0, NULL));
    ok(ccz_bfv_encrypt_sk(w->fresh, w->e, w->sk, w->a, 0, NULL));
    ok(ccz_bfv_mul_plain(w->product, w->e, w->fresh, w->b, NULL));
    ok(ccz_bfv_flood(w->flooded, w->e, w->product, NULL, w->pk, 40, NULL));
    ok(ccz_bfv_mod_switch(w->back, w->e, w->flooded, w->return_limbs, NULL));
    for (size_t i = 0; i < DOT_LEN; i++) {
        w->list[i] = w->fresh;
        w->factors[i] = w->b;
    }
}

static void clean(struct world *w)
{
    struct ccz_bfv_ct *cts[] = {w->fresh, w->product, w->flooded, w->back, w->tmp};
    for (size_t i = 0; i < 5; i++)
        ccz_bfv_ct_free(cts[i]);
    ccz_bfv_pt_free(w->a);
    ccz_bfv_pt_free(w->b);
    ccz_bfv_pt_free(w->out);
    ccz_buf_free(&w->bytes);
    free(w->v);
    ccz_rlwe_pk_free(w->pk);
    ccz_rlwe_sk_free(w->sk);
    ccz_bfv_eval_free(w->e);
    ccz_bfv_free(w->c);
}

static void measure(const char *set, const struct ccz_bfv_goal *goal, unsigned threads)
{
    struct ccz_bfv_plan plan;
    struct world w = {0};
    ok(ccz_bfv_plan(&plan, goal, NULL));
    setup(&w, &plan, threads);
    printf("# %s: n %zu, %zu primes, %.0f bits, back with %zu; bytes: sent %zu, back %zu\n", set,
           w.n, plan.cfg.ring.data_len, ccz_rlwe_log2_qp(ccz_bfv_ring(w.c)), w.return_limbs,
           ccz_bfv_ct_size(w.fresh), ccz_bfv_ct_size(w.back));
    for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++) {
        double us[SAMPLES];
        ops[k].run(&w);
        for (int i = 0; i < SAMPLES; i++) {
            const double start = wall_us();
            ops[k].run(&w);
            us[i] = wall_us() - start;
        }
        qsort(us, SAMPLES, sizeof(us[0]), by_size);
        printf("%s_%s\t%.2f\t%.2f\n", set, ops[k].name, us[0], us[SAMPLES / 2]);
    }
    clean(&w);
}

int main(int argc, char **argv)
{
    const unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    const struct ccz_bfv_goal z64 = {
        .plain_bits = 64, .multiply = true, .terms = DOT_LEN, .flood_bits = 40};
    const struct ccz_bfv_goal z32 = {
        .plain_bits = 32, .multiply = true, .terms = DOT_LEN, .flood_bits = 40};
    const struct ccz_bfv_goal slots = {.plain_prime = 1099511480321,
                                       .multiply = true,
                                       .terms = DOT_LEN,
                                       .flood_bits = 40,
                                       .n_min = 8192};
    measure("z64", &z64, threads);
    measure("z32", &z32, threads);
    measure("slots40", &slots, threads);
    return 0;
}
