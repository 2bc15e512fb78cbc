/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CKKS operations at the parameters of Microsoft SEAL's benchmark: as many data primes at each degree, and
 * the same bound of the modulus (218, 438 and 881 bits). Primes are below 2^50 here, so that the largest
 * set has three special primes where SEAL has one of 55 bits.
 * usage: bench_ckks [N [THREADS [PART]]]                            N = 0: all; PART of a row's name
 *        bench_ckks chain N DATA SPECIAL BITS [THREADS [PART]]      primes of BITS bits; then also memory
 * Columns: name, minimum and median in microseconds: of CPU time for one thread, of wall time for more.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/ckks.h>

enum { SAMPLES_MAX = 61 };

struct world {
    struct ccz_ckks *c;
    struct ccz_ckks_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois;
    struct ccz_ckks_pt *pt, *plain;
    struct ccz_ckks_ct *a, *b, *product, *out;
    struct ccz_ckks_ct *many[8];
    double *x;
    size_t slots, limbs;
    double scale;
};

static void ok(ccz_rc rc)
{
    must(rc == CCZ_OK, ccz_rc_name(rc));
}

static void encode(struct world *w)
{
    ok(ccz_ckks_encode(w->pt, w->e, w->x, w->slots, w->scale, w->limbs, NULL));
}

static void encode_coefficients(struct world *w)
{
    ok(ccz_ckks_encode(w->pt, w->e, w->x, w->slots, w->scale, 0, NULL));
}

static void decode(struct world *w)
{
    ok(ccz_ckks_decode(w->x, w->slots, w->e, w->plain, NULL));
}

static void encrypt_sk(struct world *w)
{
    ok(ccz_ckks_encrypt_sk(w->out, w->e, w->sk, w->pt, 0, NULL));
}

static void encrypt_pk(struct world *w)
{
    ok(ccz_ckks_encrypt_pk(w->out, w->e, w->pk, w->pt, 0, NULL));
}

static void decrypt(struct world *w)
{
    ok(ccz_ckks_decrypt(w->pt, w->e, w->sk, w->a, NULL));
}

/* Every prime, as SEAL does, not only those that the values need. */
static void phase(struct world *w)
{
    ok(ccz_rlwe_phase(w->pt->v, ccz_ckks_eval_work(w->e), w->sk, &w->a->ct, w->limbs, NULL));
}

static void add(struct world *w)
{
    ok(ccz_ckks_add(w->out, w->e, w->a, w->b, NULL));
}

static void add_in_place(struct world *w)
{
    w->out->bound = 1;
    ok(ccz_ckks_add(w->out, w->e, w->out, w->b, NULL));
}

static void multiply(struct world *w)
{
    ok(ccz_ckks_mul(w->out, w->e, w->a, w->b, NULL));
}

static void square(struct world *w)
{
    ok(ccz_ckks_square(w->out, w->e, w->a, NULL));
}

static void multiply_plain(struct world *w)
{
    ok(ccz_ckks_mul_plain(w->out, w->e, w->a, w->plain, NULL));
}

static void multiply_scalar(struct world *w)
{
    ok(ccz_ckks_mul_scalar(w->out, w->e, w->a, 0.3, w->scale, NULL));
}

static void relinearize(struct world *w)
{
    ok(ccz_ckks_relin(w->out, w->e, w->product, w->relin, NULL));
}

static void relinearize_rescale(struct world *w)
{
    ok(ccz_ckks_relin_rescale(w->out, w->e, w->product, w->relin, NULL));
}

static void rescale(struct world *w)
{
    ok(ccz_ckks_rescale(w->out, w->e, w->a, NULL));
}

static void rotate(struct world *w)
{
    ok(ccz_ckks_rotate(w->out, w->e, w->a, 1, w->galois, NULL));
}

static void rotate_hoisted(struct world *w)
{
    static const int64_t steps[] = {1, 2, 3, 4, 5, 6, 7, 8};
    ok(ccz_ckks_rotate_many(w->many, w->e, w->a, steps, 8, w->galois, NULL));
}

static void keygen_pk(struct world *w)
{
    ccz_rlwe_pk_free(w->pk);
    ok(ccz_rlwe_pk_new(&w->pk, ccz_ckks_eval_work(w->e), w->sk, NULL));
}

static void keygen_relin(struct world *w)
{
    ccz_rlwe_swk_free(w->relin);
    ok(ccz_rlwe_relin_new(&w->relin, ccz_ckks_eval_work(w->e), w->sk, NULL));
}

static int64_t (*now_ns)(void) = cpu_ns;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Each sample repeats the call for about 2 ms. */
static void measure(const char *name, void (*call)(struct world *w), struct world *w, size_t per)
{
    double samples[SAMPLES_MAX];
    call(w);
    int64_t once = now_ns();
    call(w);
    once = now_ns() - once;
    const size_t calls = once > 2000000 ? 1 : (size_t)(2000000 / (once + 1)) + 1;
    const size_t len = once > 50000000 ? 7 : once > 10000000 ? 15 : SAMPLES_MAX;
    for (size_t s = 0; s < len; s++) {
        const int64_t start = now_ns();
        for (size_t k = 0; k < calls; k++)
            call(w);
        samples[s] = (double)(now_ns() - start) / 1e3 / (double)(calls * per);
    }
    qsort(samples, len, sizeof(samples[0]), by_value);
    printf("%zu %s\t%.1f\t%.1f\n", 2 * w->slots, name, samples[0], samples[len / 2]);
    fflush(stdout);
}

static void setup(struct world *w, const struct ccz_ckks_cfg *cfg, double scale, unsigned threads)
{
    static const int64_t steps[] = {1, 2, 3, 4, 5, 6, 7, 8};
    *w = (struct world){.scale = scale, .limbs = cfg->ring.data_len};
    ok(ccz_ckks_new(&w->c, cfg, NULL));
    ok(ccz_ckks_eval_new(&w->e, w->c, &(struct ccz_rlwe_work_cfg){.threads = threads}, NULL));
    struct ccz_rlwe_work *work = ccz_ckks_eval_work(w->e);
    ok(ccz_rlwe_sk_new(&w->sk, work, NULL));
    ok(ccz_rlwe_pk_new(&w->pk, work, w->sk, NULL));
    ok(ccz_rlwe_relin_new(&w->relin, work, w->sk, NULL));
    ok(ccz_ckks_galois_new(&w->galois, w->e, w->sk, steps, 8, false, NULL));
    w->slots = ccz_ckks_slots(w->c);
    w->x = malloc(w->slots * sizeof(*w->x));
    must(w->x != NULL, "memory");
    for (size_t i = 0; i < w->slots; i++)
        w->x[i] = (double)(i * 7919 % 10007) / 10007 - 0.5;
    ok(ccz_ckks_pt_new(&w->pt, w->c, NULL));
    ok(ccz_ckks_pt_new(&w->plain, w->c, NULL));
    struct ccz_ckks_ct **cts[] = {&w->a, &w->b, &w->product, &w->out};
    for (size_t i = 0; i < 4; i++)
        ok(ccz_ckks_ct_new(cts[i], w->c, NULL));
    for (size_t i = 0; i < 8; i++)
        ok(ccz_ckks_ct_new(&w->many[i], w->c, NULL));
    encode(w);
    ok(ccz_ckks_encrypt_pk(w->a, w->e, w->pk, w->pt, 0, NULL));
    ok(ccz_ckks_encrypt_sk(w->b, w->e, w->sk, w->pt, 0, NULL));
    ok(ccz_ckks_mul(w->product, w->e, w->a, w->b, NULL));
    ok(ccz_ckks_encode(w->plain, w->e, w->x, w->slots, scale, w->limbs, NULL));
    w->plain->has_coeff = false; /* as decryption leaves it: decoding inverts a transform */
}

static void teardown(struct world *w)
{
    struct ccz_ckks_ct *cts[] = {w->a, w->b, w->product, w->out};
    for (size_t i = 0; i < 4; i++)
        ccz_ckks_ct_free(cts[i]);
    for (size_t i = 0; i < 8; i++)
        ccz_ckks_ct_free(w->many[i]);
    ccz_ckks_pt_free(w->pt);
    ccz_ckks_pt_free(w->plain);
    ccz_rlwe_galois_set_free(w->galois);
    ccz_rlwe_swk_free(w->relin);
    ccz_rlwe_pk_free(w->pk);
    ccz_rlwe_sk_free(w->sk);
    ccz_ckks_eval_free(w->e);
    ccz_ckks_free(w->c);
    free(w->x);
}

static void run(const struct ccz_ckks_cfg *cfg, double scale, unsigned threads, const char *part)
{
    static const struct {
        const char *name;
        void (*call)(struct world *w);
        size_t per;
    } rows[] = {
        {"encode", encode, 1},
        {"encode, coefficients only", encode_coefficients, 1},
        {"encrypt pk", encrypt_pk, 1},
        {"encrypt sym", encrypt_sk, 1},
        {"decrypt, primes needed", decrypt, 1},
        {"decrypt, every prime", phase, 1},
        {"decode", decode, 1},
        {"add", add, 1},
        {"add in place", add_in_place, 1},
        {"multiply", multiply, 1},
        {"square", square, 1},
        {"multiply_plain", multiply_plain, 1},
        {"multiply_scalar", multiply_scalar, 1},
        {"relinearize", relinearize, 1},
        {"relinearize and rescale", relinearize_rescale, 1},
        {"rescale", rescale, 1},
        {"rotate", rotate, 1},
        {"rotate, hoisted, one of 8", rotate_hoisted, 8},
        {"keygen pk", keygen_pk, 1},
        {"keygen relin", keygen_relin, 1},
    };
    struct world w;
    setup(&w, cfg, scale, threads);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].call == encrypt_pk || rows[i].call == decode)
            encode(&w); /* what the calls before left in the plaintext */
        if (strstr(rows[i].name, part))
            measure(rows[i].name, rows[i].call, &w, rows[i].per);
        if (rows[i].call == add)
            ok(ccz_ckks_copy(w.out, w.b));
    }
    teardown(&w);
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    return i < argc ? (size_t)strtoull(argv[i], NULL, 10) : otherwise;
}

/* A chain of equal primes. Memory is that of the context, of the secret, the public and the relinearization key and
 * eight rotation keys, and of what an evaluator works with. */
static void run_chain(int argc, char **argv)
{
    const unsigned bits = (unsigned)number(argc, argv, 5, 40);
    struct ccz_ckks_cfg cfg = {.ring = {.n = number(argc, argv, 2, 8192),
                                        .data_len = number(argc, argv, 3, 4),
                                        .special_len = number(argc, argv, 4, 1)}};
    must(bits > 8 && bits <= 50 && cfg.ring.data_len > 0 &&
             cfg.ring.data_len + cfg.ring.special_len <= CCZ_RLWE_PRIMES_MAX,
         "usage: bench_ckks chain N DATA SPECIAL BITS [THREADS [PART]]");
    memset(cfg.ring.bits, (int)bits, cfg.ring.data_len + cfg.ring.special_len);
    run(&cfg, (double)((uint64_t)1 << (bits - 4)), (unsigned)number(argc, argv, 6, 1),
        argc > 7 ? argv[7] : "");
    printf("%zu peak memory, kB\t%ld\n", cfg.ring.n, peak_kb());
}

int main(int argc, char **argv)
{
    const bool chain = argc > 1 && strcmp(argv[1], "chain") == 0;
    const size_t only = number(argc, argv, 1, 0);
    const unsigned threads = (unsigned)number(argc, argv, chain ? 6 : 2, 1);
    if (threads > 1)
        now_ns = wall_ns;
    if (chain) {
        run_chain(argc, argv);
        return 0;
    }
    struct ccz_ckks_cfg sets[] = {
        {.ring = {.n = 8192, .data_len = 4, .special_len = 1, .bits = {49, 40, 40, 40, 49}}},
        {.ring = {.n = 16384,
                  .data_len = 8,
                  .special_len = 1,
                  .bits = {49, 48, 48, 49, 49, 49, 49, 48, 49}}},
        {.ring = {.n = 32768, .data_len = 15, .special_len = 3}},
    };
    for (size_t i = 0; i < 18; i++)
        sets[2].ring.bits[i] = i < 17 ? 49 : 48;
    for (size_t i = 0; i < 15; i += 5)
        sets[2].ring.bits[i] = 48;
    static const double scales[] = {0x1p40, 0x1p45, 0x1p45};
    for (size_t i = 0; i < 3; i++)
        if (only == 0 || only == sets[i].ring.n)
            run(&sets[i], scales[i], threads, argc > 3 ? argv[3] : "");
    return 0;
}
