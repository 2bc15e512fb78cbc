/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic modulo large numbers as Paillier encryption uses it, per item, in each tier the processor
 * has, beside GMP. Columns: name, least and median microseconds.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "num/mont_priv.h"

#include <gmp.h>
#include <string.h>

enum { ROUNDS = 15, BATCH = 32, SIZE_MAX_BYTES = CCZ_MONT_BITS_MAX / 8, MULTI_BASES = 1024 };
static const int64_t ROUND_NS = 20000000;

/* A modulus of `bits` bits or its square, and operands of all sorts. */
struct world {
    unsigned bits;
    size_t count, exp_bits;
    struct ccz_mont *m, *other; /* of the same size */
    struct ccz_mont_comb *comb;
    uint64_t *a, *b, *out;
    uint8_t exps[BATCH * SIZE_MAX_BYTES];
    uint8_t bytes[BATCH * SIZE_MAX_BYTES];
    struct ccz_mont_job jobs[BATCH];
    int64_t *small_exps;
    mpz_t x, y, e, modulus;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Prints microseconds for one of the @p per things that a call does. */
static void measure(const char *tier, const char *name, void (*call)(struct world *w),
                    struct world *w, double per)
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
        us[r] = (double)(now_ns - start_ns) / 1e3 / calls / per;
    }
    qsort(us, ROUNDS, sizeof(us[0]), compare);
    printf("%s %s\t%.3f\t%.3f\n", tier, name, us[0], us[ROUNDS / 2]);
    (void)fflush(stdout);
}

/* ---------------------------------------------------------------------------------- operations */

static void call_mul(struct world *w)
{
    ccz_mont_mul(w->m, w->out, w->a, w->b, w->count);
}

static void call_sqr(struct world *w)
{
    ccz_mont_sqr(w->m, w->out, w->a, w->count);
}

static void call_from(struct world *w)
{
    must(ccz_mont_from_bytes(w->m, w->out, w->bytes, ccz_mont_size(w->m), w->count) == CCZ_OK,
         "from bytes");
}

static void call_to(struct world *w)
{
    ccz_mont_to_bytes(w->m, w->bytes, w->a, w->count);
}

static void call_pow(struct world *w)
{
    must(ccz_mont_pow(w->jobs, w->count, w->exp_bits, NULL) == CCZ_OK, "power");
}

static void call_pow_var(struct world *w)
{
    must(ccz_mont_pow_var(w->m, w->out, w->a, w->count, CCZ_SPAN(w->exps, w->exp_bits / 8), NULL) ==
             CCZ_OK,
         "public power");
}

static void call_comb(struct world *w)
{
    must(ccz_mont_comb_pow(w->comb, w->out, w->exps, w->count, NULL) == CCZ_OK, "comb");
}

static void call_inv(struct world *w)
{
    must(ccz_mont_inv_var(w->m, w->out, w->a, w->count, NULL) == CCZ_OK, "inverse");
}

static void call_multi(struct world *w)
{
    must(ccz_mont_multi_pow_var(w->m, w->out, w->count, w->a, MULTI_BASES, w->small_exps, w->count,
                                (unsigned)w->exp_bits, NULL) == CCZ_OK,
         "product of powers");
}

static void call_gmp_mul(struct world *w)
{
    mpz_mul(w->y, w->x, w->x);
    mpz_mod(w->y, w->y, w->modulus);
}

static void call_gmp_pow(struct world *w)
{
    mpz_powm(w->y, w->x, w->e, w->modulus);
}

static void call_gmp_pow_sec(struct world *w)
{
    mpz_powm_sec(w->y, w->x, w->e, w->modulus);
}

/* --------------------------------------------------------------------------------------- worlds */

/* The next prime, so that values have inverses. */
static void make_prime(uint8_t *root, size_t size)
{
    mpz_t p;
    mpz_init(p);
    mpz_import(p, size, 1, 1, 1, 0, root);
    mpz_nextprime(p, p);
    (void)mpz_export(root, NULL, 1, 1, 1, 0, p);
    mpz_clear(p);
}

static void world_init(struct world *w, const struct cczi_mont_tier *tier, unsigned bits, bool pair)
{
    uint8_t root[SIZE_MAX_BYTES];
    size_t words = (size_t)MULTI_BASES * CCZ_MONT_LEN_MAX;
    w->bits = bits;
    for (size_t i = 0; i < sizeof(w->exps); i++)
        w->exps[i] = w->bytes[i] = (uint8_t)(i * i * 29 + i * 7 + i / 256 + 3);
    for (size_t i = 0; i < bits / 8; i++)
        root[i] = (uint8_t)(i * i * 31 + 5 * i + 0xc1);
    make_prime(root, bits / 8);
    must(cczi_mont_new(&w->m, CCZ_SPAN(root, bits / 8), pair, tier, NULL) == CCZ_OK, "context");
    root[1] ^= 1;
    must(cczi_mont_new(&w->other, CCZ_SPAN(root, bits / 8), pair, tier, NULL) == CCZ_OK, "context");
    w->a = calloc(words, 8);
    w->b = calloc(words, 8);
    w->out = calloc(words, 8);
    w->small_exps = calloc((size_t)MULTI_BASES * BATCH, sizeof(*w->small_exps));
    must(w->a && w->b && w->out && w->small_exps, "memory");
    size_t len = ccz_mont_len(w->m), size = ccz_mont_size(w->m);
    for (size_t i = 0; i < MULTI_BASES; i++) {
        const uint8_t *from = w->bytes + i % BATCH * size;
        must(ccz_mont_from_bytes(w->m, w->a + i * len, from, size, 1) == CCZ_OK, "value");
        must(ccz_mont_from_bytes(w->m, w->b + i * len, from, size - 1, 1) == CCZ_OK, "value");
    }
    mpz_inits(w->x, w->y, w->e, w->modulus, NULL);
    root[1] ^= 1;
    mpz_import(w->modulus, bits / 8, 1, 1, 1, 0, root);
    if (pair)
        mpz_mul(w->modulus, w->modulus, w->modulus);
    mpz_import(w->x, size, 1, 1, 1, 0, w->bytes);
    mpz_mod(w->x, w->x, w->modulus);
}

static void world_deinit(struct world *w)
{
    ccz_mont_free(w->m);
    ccz_mont_free(w->other);
    free(w->a);
    free(w->b);
    free(w->out);
    free(w->small_exps);
    mpz_clears(w->x, w->y, w->e, w->modulus, NULL);
}

/* Half of the jobs have the other modulus, as in decryption. */
static void set_jobs(struct world *w, size_t count, size_t exp_bits)
{
    size_t len = ccz_mont_len(w->m), exp_size = (exp_bits + 7) / 8;
    w->count = count;
    w->exp_bits = exp_bits;
    for (size_t i = 0; i < count; i++)
        w->jobs[i] = (struct ccz_mont_job){i % 2 ? w->other : w->m, w->out + i * len,
                                           w->a + i * len, w->exps + i * exp_size};
}

/* ----------------------------------------------------------------------------------------- runs */

static void run_powers(struct world *w, const char *tier, const char *what, size_t exp_bits)
{
    static const size_t counts[] = {1, 2, 4, 8, 16};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char name[96];
        set_jobs(w, counts[i], exp_bits);
        (void)snprintf(name, sizeof(name), "%s^%zu secret, %zu at once, each", what, exp_bits,
                       counts[i]);
        measure(tier, name, call_pow, w, (double)counts[i]);
    }
}

static void run_gmp(struct world *w, const char *what, size_t exp_bits)
{
    char name[96];
    mpz_import(w->e, exp_bits / 8, 1, 1, 1, 0, w->exps);
    mpz_setbit(w->e, exp_bits - 1);
    (void)snprintf(name, sizeof(name), "%s^%zu mpz_powm", what, exp_bits);
    measure("gmp", name, call_gmp_pow, w, 1);
    (void)snprintf(name, sizeof(name), "%s^%zu mpz_powm_sec", what, exp_bits);
    measure("gmp", name, call_gmp_pow_sec, w, 1);
}

/* Modulo p^2, as in decryption, and modulo p. */
static void run_root(const struct cczi_mont_tier *tier, unsigned bits, bool pair)
{
    static struct world w;
    char what[64];
    world_init(&w, tier, bits, pair);
    (void)snprintf(what, sizeof(what), "mod %s%u bits%s", pair ? "(" : "", bits, pair ? ")^2" : "");
    run_powers(&w, tier->name, what, bits);
    if (tier == &cczi_mont_portable)
        run_gmp(&w, what, bits);
    world_deinit(&w);
}

static void run_public(const struct cczi_mont_tier *tier, unsigned bits)
{
    static struct world w;
    char name[96];
    world_init(&w, tier, bits, true);
    w.count = BATCH;
#define RUN(text, call, per)                                                                       \
    do {                                                                                           \
        (void)snprintf(name, sizeof(name), "mod (%u bits)^2 " text, bits);                         \
        measure(tier->name, name, call, &w, per);                                                  \
    } while (0)
    RUN("mul, 32 at once, each", call_mul, BATCH);
    RUN("sqr, 32 at once, each", call_sqr, BATCH);
    RUN("from bytes, 32 at once, each", call_from, BATCH);
    RUN("to bytes, 32 at once, each", call_to, BATCH);
    RUN("inverse, 32 at once, each", call_inv, BATCH);
    w.count = 1;
    RUN("mul, single", call_mul, 1);
    set_jobs(&w, 8, 53);
    for (size_t i = 0; i < 8; i++)
        w.jobs[i].m = w.m;
    RUN("^53 secret, 8 at once, each", call_pow, 8);
    w.exp_bits = bits;
    RUN("^n public, 8 at once, each", call_pow_var, 8);
    for (unsigned window = 5; window <= 6; window++) {
        must(ccz_mont_comb_new(&w.comb, w.m, w.a, bits / 2, window, NULL) == CCZ_OK, "table");
        printf("%s window %u, table of bytes\t%zu\t\n", tier->name, window,
               ccz_mont_comb_size(w.comb));
        w.count = 8;
        RUN("fixed base, exponent half, 8 at once, each", call_comb, 8);
        w.count = BATCH;
        RUN("fixed base, exponent half, 32 at once, each", call_comb, BATCH);
        ccz_mont_comb_free(w.comb);
    }
    w.exp_bits = 15;
    for (size_t i = 0; i < (size_t)MULTI_BASES * BATCH; i++)
        w.small_exps[i] = (int64_t)(i * 40503 % 32749) * (i % 3 ? 1 : -1);
    RUN("1024 bases to 32 outputs, 16 bits, per base, output and 8 bits", call_multi,
        2.0 * MULTI_BASES * BATCH);
    if (tier == &cczi_mont_portable) {
        (void)snprintf(name, sizeof(name), "mod (%u bits)^2 mul", bits);
        measure("gmp", name, call_gmp_mul, &w, 1);
    }
#undef RUN
    world_deinit(&w);
}

int main(int argc, char **argv)
{
    for (size_t t = CCZI_MONT_TIERS; t-- > 0;) {
        const struct cczi_mont_tier *tier = cczi_mont_tier_at(t);
        if (!tier || (argc > 1 && strcmp(argv[1], tier->name) != 0))
            continue;
        run_root(tier, 1024, true);
        run_root(tier, 1536, true);
        run_root(tier, 1024, false);
        run_root(tier, 2048, false);
        run_public(tier, 2048);
        run_public(tier, 3072);
    }
    return 0;
}
