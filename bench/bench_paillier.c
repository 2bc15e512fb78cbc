/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paillier, microseconds per item. Columns: name, minimum, median: of CPU time for one thread, of wall time for more.
 * usage: bench_paillier [--len ITEMS] [--threads N] [--only PART] [BITS]...
 *        2048 and 3072 by default. --len: only calls with that many items; --only: rows whose name begins so
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/paillier.h>

enum { SAMPLES = 15, LEN_MAX = 227, SAMPLES_227 = 227, WEIGHTS = 31 };

static unsigned threads = 1;
static const char *only = "";
static int64_t (*now_ns)(void) = cpu_ns;

struct world {
    unsigned bits;
    size_t len; /* items per call */
    struct ccz_paillier_key *key;
    struct ccz_paillier_pub *pub;
    struct ccz_paillier_pool *pool;
    struct ccz_paillier_plain *plain, *k;
    struct ccz_paillier_vec *c, *d, *weights, *out;
    int64_t x[SAMPLES_227 * WEIGHTS];
    struct ccz_paillier_enc_cfg enc;
    struct ccz_paillier_matrix matrix;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* @p before is not measured; @p per items a call */
static void measure(const char *name, void (*before)(struct world *w),
                    void (*call)(struct world *w), struct world *w, size_t per)
{
    double us[SAMPLES];
    if (strncmp(name, only, strlen(only)) != 0)
        return;
    for (int s = -1; s < SAMPLES; s++) { /* the first is not counted */
        if (before)
            before(w);
        int64_t start_ns = now_ns();
        call(w);
        if (s >= 0)
            us[s] = (double)(now_ns() - start_ns) / 1e3 / (double)per;
    }
    qsort(us, SAMPLES, sizeof(us[0]), by_size);
    printf("%s_%u_%zu\t%.2f\t%.2f\n", name, w->bits, w->len, us[0], us[SAMPLES / 2]);
    (void)fflush(stdout);
}

static void call_encrypt(struct world *w)
{
    CCZ_AUTO(ccz_paillier_vec) c = NULL;
    must(ccz_paillier_encrypt(&c, w->plain, &w->enc, NULL) == CCZ_OK, "encrypt");
}

static void refill(struct world *w)
{
    must(ccz_paillier_pool_refill(w->pool, w->len, NULL, NULL) == CCZ_OK, "refill");
}

static void call_decrypt(struct world *w)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    const struct ccz_paillier_dec_cfg cfg = {.threads = threads};
    must(ccz_paillier_decrypt(&p, w->key, w->c, &cfg, NULL) == CCZ_OK, "decrypt");
}

static void copy(struct world *w)
{
    ccz_paillier_vec_free(w->d);
    must(ccz_paillier_vec_slice(&w->d, w->c, 0, w->len, NULL) == CCZ_OK, "copy");
}

static void call_add(struct world *w)
{
    must(ccz_paillier_add(w->d, w->c, NULL) == CCZ_OK, "add");
}

static void call_mul(struct world *w)
{
    must(ccz_paillier_mul_plain(w->d, w->k, NULL) == CCZ_OK, "multiply");
}

static void call_add_plain(struct world *w)
{
    must(ccz_paillier_add_plain(w->d, w->plain, NULL) == CCZ_OK, "add plain");
}

static void call_neg(struct world *w)
{
    must(ccz_paillier_neg(w->d, NULL) == CCZ_OK, "negate");
}

static void call_matmul(struct world *w)
{
    CCZ_AUTO(ccz_paillier_vec) c = NULL;
    must(ccz_paillier_matmul(&c, w->weights, &w->matrix, threads, NULL) == CCZ_OK, "matmul");
}

static void call_squeeze(struct world *w)
{
    CCZ_AUTO(ccz_paillier_vec) c = NULL;
    const struct ccz_paillier_packing pack = {.slot_bits = 64, .slots = 8};
    must(ccz_paillier_squeeze(&c, w->c, pack, threads, NULL) == CCZ_OK, "squeeze");
}

static void call_write_read(struct world *w)
{
    CCZ_AUTO(ccz_paillier_vec) c = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, (size_t)1 << 20);
    must(ccz_paillier_vec_write(&b, w->c, NULL) == CCZ_OK, "write");
    must(ccz_paillier_vec_read(&c, w->pub, ccz_buf_span(&b), w->len, NULL) == CCZ_OK, "read");
}

static void call_keygen(struct world *w)
{
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    must(ccz_paillier_keygen(&k, &(struct ccz_paillier_keygen_cfg){.bits = w->bits}, NULL) ==
             CCZ_OK,
         "keygen");
}

/* Plain numbers of 53 bits. */
static struct ccz_paillier_plain *numbers(const struct world *w, size_t len)
{
    int64_t v[SAMPLES_227];
    struct ccz_paillier_plain *p;
    for (size_t i = 0; i < len; i++)
        v[i] = (int64_t)(0x1f0123456789abu ^ i * 0x10000001u) * (i % 2 ? -1 : 1);
    must(ccz_paillier_plain_i64(&p, w->pub, v, len, 53, NULL, NULL) == CCZ_OK, "numbers");
    return p;
}

static void of_len(struct world *w, size_t len)
{
    w->len = len;
    w->plain = numbers(w, len);
    w->k = numbers(w, len);
    must(ccz_paillier_encrypt(&w->c, w->plain, NULL, NULL) == CCZ_OK, "encrypt");
    w->enc = (struct ccz_paillier_enc_cfg){.threads = threads};
    measure("encrypt_djn", NULL, call_encrypt, w, len);
    w->enc = (struct ccz_paillier_enc_cfg){.method = CCZ_PAILLIER_FULL, .threads = threads};
    measure("encrypt_full", NULL, call_encrypt, w, len);
    w->enc = (struct ccz_paillier_enc_cfg){.pool = w->pool, .pool_only = true};
    measure("encrypt_pool", refill, call_encrypt, w, len);
    measure("decrypt", NULL, call_decrypt, w, len);
    measure("add", copy, call_add, w, len);
    measure("add_plain", copy, call_add_plain, w, len);
    measure("mul_53", copy, call_mul, w, len);
    measure("neg", copy, call_neg, w, len);
    measure("squeeze_64x8", NULL, call_squeeze, w, len);
    measure("write_read", NULL, call_write_read, w, len);
    ccz_paillier_plain_free(w->plain);
    ccz_paillier_plain_free(w->k);
    ccz_paillier_vec_free(w->c);
    ccz_paillier_vec_free(w->d);
    w->d = NULL;
}

/* The products of one worker's epoch of federated logistic regression: X w, and X^T r. */
static void products(struct world *w, unsigned bits)
{
    char name[32];
    for (size_t i = 0; i < SAMPLES_227 * WEIGHTS; i++)
        w->x[i] = (int64_t)((i * 0x9e3779b97f4a7c15u) >> (64 - bits)) * (i % 2 ? -1 : 1);
    for (int back = 0; back < 2; back++) {
        size_t cols = back ? SAMPLES_227 : WEIGHTS;
        CCZ_AUTO(ccz_paillier_plain) p = numbers(w, cols);
        must(ccz_paillier_encrypt(&w->weights, p, NULL, NULL) == CCZ_OK, "encrypt");
        w->matrix = (struct ccz_paillier_matrix){.x = w->x, .cols = cols, .bits = bits};
        w->matrix.rows = back ? WEIGHTS : SAMPLES_227;
        w->matrix.row_stride = back ? 1 : WEIGHTS;
        w->matrix.col_stride = back ? WEIGHTS : 1;
        w->len = w->matrix.rows;
        (void)snprintf(name, sizeof(name), "matmul_%ubit", bits);
        measure(name, NULL, call_matmul, w, 1);
        ccz_paillier_vec_free(w->weights);
    }
}

static void run(unsigned bits, size_t len)
{
    static struct world w;
    w.bits = bits;
    must(ccz_paillier_keygen(&w.key, &(struct ccz_paillier_keygen_cfg){.bits = bits}, NULL) ==
             CCZ_OK,
         "keygen");
    w.pub = ccz_paillier_key_pub(w.key);
    int64_t start_ns = cpu_ns();
    must(ccz_paillier_prepare(w.pub, NULL) == CCZ_OK, "tables");
    printf("prepare_%u\t%.2f\t%.2f\n", bits, (double)(cpu_ns() - start_ns) / 1e3,
           (double)(cpu_ns() - start_ns) / 1e3);
    must(ccz_paillier_pool_new(&w.pool, w.pub, LEN_MAX, NULL) == CCZ_OK, "pool");
    static const size_t lens[] = {1, 8, 64};
    for (size_t i = 0; len == 0 && i < sizeof(lens) / sizeof(lens[0]); i++)
        of_len(&w, lens[i]);
    if (len > 0)
        of_len(&w, len);
    if (len == 0) {
        products(&w, 16);
        products(&w, 42);
        measure("keygen", NULL, call_keygen, &w, 1);
    }
    ccz_paillier_pool_free(w.pool);
    ccz_paillier_pub_free(w.pub);
    ccz_paillier_key_free(w.key);
}

int main(int argc, char **argv)
{
    size_t len = 0;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--len") == 0)
            len = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else
            must(false, "usage: bench_paillier [--len N] [--threads N] [--only PART] [BITS]...");
    }
    must(len <= LEN_MAX && threads > 0, "--len is at most 227, --threads at least 1");
    if (threads > 1)
        now_ns = wall_ns;
    if (i == argc) {
        run(2048, len);
        run(3072, len);
    }
    for (; i < argc; i++)
        run((unsigned)strtoul(argv[i], NULL, 10), len);
    printf("peak memory, kB\t%ld\n", peak_kb());
    return 0;
}
