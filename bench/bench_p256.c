/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification of P-256 signatures, best of several rounds on one core: OpenSSL, the project's own
 * with a new key and with a key that recurs, batches per signature, and what keys and tables cost
 * to set up. Columns: name, value, unit.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "crypto/p256_priv.h"

#include <cczoo/crypto.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

enum { ROUNDS = 9, LEN = 8 };
static const int64_t ROUND_NS = 100000000;

struct world {
    const struct cczi_p256_engine *engine;
    struct ccz_key *keys[LEN];
    struct cczi_p256_point points[LEN];
    struct cczi_p256_table *tables[LEN];
    uint8_t xy[LEN][64], sigs[LEN][64], digests[LEN][32];
    struct cczi_p256_job jobs[LEN];
    size_t jobs_len;
    EVP_PKEY *openssl;
    uint8_t der[80];
    size_t der_size;
};

/* Prints microseconds for one of the @p per things that a call does. */
static void measure(const char *name, void (*call)(struct world *w), struct world *w, size_t per)
{
    double best = 1e18;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t start_ns = cpu_ns(), now_ns;
        int calls = 0;
        do {
            for (int i = 0; i < 10; i++)
                call(w);
            calls += 10;
            now_ns = cpu_ns();
        } while (now_ns - start_ns < ROUND_NS);
        double us = (double)(now_ns - start_ns) / 1e3 / calls / (double)per;
        best = us < best ? us : best;
    }
    printf("%s\t%.2f\tus\n", name, best);
}

static void call_openssl(struct world *w)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, w->openssl) == 1 &&
             EVP_DigestVerify(ctx, w->der, w->der_size, w->xy[0], 64) == 1,
         "OpenSSL");
    EVP_MD_CTX_free(ctx);
}

static void call_jobs(struct world *w)
{
    cczi_p256_verify(w->engine, w->jobs, w->jobs_len);
    for (size_t i = 0; i < w->jobs_len; i++)
        must(w->jobs[i].valid, "verify");
}

static void call_public(struct world *w)
{
    const struct ccz_span msg = CCZ_SPAN(w->xy[0], 64);
    must(ccz_ecdsa_verify(w->keys[0], w->sigs[0], 64, &msg, 1) == CCZ_OK, "ccz_ecdsa_verify");
}

static void call_key(struct world *w)
{
    CCZ_AUTO(ccz_key) k = NULL;
    must(ccz_key_from_xy(&k, CCZ_P256, CCZ_SPAN(w->xy[0], 64)) == CCZ_OK, "key");
}

static void call_table(struct world *w)
{
    w->engine->curve->table(w->tables[0], &w->points[0]);
}

static void set_up(struct world *w)
{
    w->engine = cczi_p256_engine();
    for (size_t i = 0; i < LEN; i++) {
        must(ccz_key_generate(&w->keys[i], CCZ_P256) == CCZ_OK, "generate");
        must(ccz_key_xy(w->xy[i], w->keys[i]) == CCZ_OK, "xy");
        const struct ccz_span msg = CCZ_SPAN(w->xy[i], 64);
        must(ccz_ecdsa_sign(w->sigs[i], w->keys[i], &msg, 1) == CCZ_OK, "sign");
        must(ccz_sha256(w->digests[i], msg) == CCZ_OK, "hash");
        must(w->engine->curve->read(&w->points[i], w->xy[i]), "read");
        w->tables[i] = aligned_alloc(64, sizeof(*w->tables[i]));
        must(w->tables[i] != NULL, "memory");
        w->engine->curve->table(w->tables[i], &w->points[i]);
        w->jobs[i] = (struct cczi_p256_job){
            .key = &w->points[i], .sig = w->sigs[i], .digest = w->digests[i]};
    }
    w->openssl = EVP_EC_gen("P-256");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    w->der_size = sizeof(w->der);
    must(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, w->openssl) == 1 &&
             EVP_DigestSign(ctx, w->der, &w->der_size, w->xy[0], 64) == 1,
         "OpenSSL signs");
    EVP_MD_CTX_free(ctx);
}

int main(void)
{
    static struct world w;
    static const size_t lens[] = {1, 2, 3, 4, 8};
    char name[64];
    set_up(&w);
    printf("engine\t%s\tname\n", w.engine->curve->name);
    measure("openssl_verify", call_openssl, &w, 1);
    for (int known = 0; known < 2; known++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            w.jobs_len = lens[i];
            (void)snprintf(name, sizeof(name), "verify_%s_key_batch_%zu", known ? "known" : "new",
                           lens[i]);
            measure(name, call_jobs, &w, lens[i]);
        }
        for (size_t i = 0; i < LEN; i++)
            w.jobs[i].table = w.tables[i];
    }
    measure("public_call_known_key", call_public, &w, 1);
    measure("key_from_xy", call_key, &w, 1);
    measure("table", call_table, &w, 1);
    for (size_t i = 0; i < LEN; i++) {
        ccz_key_free(w.keys[i]);
        free(w.tables[i]);
    }
    EVP_PKEY_free(w.openssl);
    return 0;
}
