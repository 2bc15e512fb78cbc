/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quote verifications per second: parsing, cold (nothing remembered), steady state (same
 * attestation key as before), opening collateral; and plain P-256 verifications by OpenSSL to
 * compare with. Columns: name, value, unit.
 */
#define _POSIX_C_SOURCE 200809L
#include "quote/kit.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, BATCH = 20 };
static const int64_t ROUND_NS = 300000000;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_quote: %s\n", what);
        exit(1);
    }
}

/* CPU time of this one-threaded process: what other processes take does not count. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Best of ROUNDS, calls per second. */
static double per_second(void (*call)(void *arg), void *arg)
{
    double best = 0;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t start_ns = cpu_ns(), now_ns;
        int n = 0;
        do {
            for (int i = 0; i < BATCH; i++)
                call(arg);
            n += BATCH;
            now_ns = cpu_ns();
        } while (now_ns - start_ns < ROUND_NS);
        double rate = n * 1e9 / (double)(now_ns - start_ns);
        best = rate > best ? rate : best;
    }
    return best;
}

struct world {
    struct kit kit;
    struct ccz_collateral *collateral;
    struct ccz_verify_cache *cache;
};

static void call_parse(void *arg)
{
    const struct world *w = arg;
    struct ccz_quote q;
    must(ccz_quote_parse(&q, ccz_buf_span(&w->kit.quote), NULL) == CCZ_OK, "parse");
}

static void call_platform(void *arg)
{
    const struct world *w = arg;
    struct ccz_quote q;
    struct ccz_platform p;
    must(ccz_quote_parse(&q, ccz_buf_span(&w->kit.quote), NULL) == CCZ_OK, "parse");
    must(ccz_quote_platform(&p, &q, NULL) == CCZ_OK, "platform");
}

static void call_verify(void *arg)
{
    const struct world *w = arg;
    struct ccz_claims claims;
    const struct ccz_verify_cfg cfg = {
        .now_s = KIT_NOW_S, .roots = &w->kit.roots, .collateral = w->collateral, .cache = w->cache};
    must(ccz_quote_verify(&claims, ccz_buf_span(&w->kit.quote), &cfg, NULL) == CCZ_OK, "verify");
}

static void call_collateral(void *arg)
{
    const struct world *w = arg;
    CCZ_AUTO(ccz_collateral) c = NULL;
    must(ccz_collateral_new(&c, &w->kit.src, &w->kit.roots, NULL) == CCZ_OK, "collateral");
}

/* --------------------------------------------------------------------------- OpenSSL alone */

struct plain {
    EVP_PKEY *key;
    uint8_t message[632], signature[80];
    size_t signature_size;
};

static void plain_new(struct plain *p)
{
    p->key = EVP_EC_gen("P-256");
    memset(p->message, 0x5a, sizeof(p->message));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    p->signature_size = sizeof(p->signature);
    must(p->key && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, p->key) == 1 &&
             EVP_DigestSign(ctx, p->signature, &p->signature_size, p->message,
                            sizeof(p->message)) == 1,
         "sign");
    EVP_MD_CTX_free(ctx);
}

static void call_plain(void *arg)
{
    const struct plain *p = arg;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, p->key) == 1 &&
             EVP_DigestVerify(ctx, p->signature, p->signature_size, p->message,
                              sizeof(p->message)) == 1,
         "P-256");
    EVP_MD_CTX_free(ctx);
}

static void bench(const char *name, enum ccz_tee tee, uint16_t version, double two_verifies)
{
    struct world w = {0};
    struct kit_cfg cfg;
    kit_default(&cfg, tee, version);
    kit_new(&w.kit, &cfg);
    must(ccz_collateral_new(&w.collateral, &w.kit.src, &w.kit.roots, NULL) == CCZ_OK, "collateral");
    printf("%s_parse\t%.0f\t1/s\n", name, per_second(call_parse, &w));
    printf("%s_platform\t%.0f\t1/s\n", name, per_second(call_platform, &w));
    double cold = per_second(call_verify, &w);
    must(ccz_verify_cache_new(&w.cache, 16) == CCZ_OK, "cache");
    double warm = per_second(call_verify, &w);
    printf("%s_verify_cold\t%.0f\t1/s\n", name, cold);
    printf("%s_verify_steady\t%.0f\t1/s\n", name, warm);
    printf("%s_steady_vs_2_p256\t%.2f\tratio\n", name, warm / two_verifies);
    printf("%s_collateral_open\t%.0f\t1/s\n", name, per_second(call_collateral, &w));
    ccz_verify_cache_free(w.cache);
    ccz_collateral_free(w.collateral);
    kit_free(&w.kit);
}

int main(void)
{
    struct plain p;
    plain_new(&p);
    double one = per_second(call_plain, &p);
    printf("openssl_p256_verify\t%.0f\t1/s\n", one);
    bench("sgx_v3", CCZ_TEE_SGX, 3, one / 2);
    bench("tdx_v4", CCZ_TEE_TDX, 4, one / 2);
    EVP_PKEY_free(p.key);
    return 0;
}
