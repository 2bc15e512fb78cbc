/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quote verifications per second, one core:
 *   bench_quote                       quotes made here, and plain P-256 verifications by OpenSSL
 *   bench_quote DIR@TIME...           genuine ones: DIR/evidence.bin and DIR/collateral/, judged at
 *                                     TIME (seconds since 1970)
 *   bench_quote --rounds N DIR@TIME   N cold verifications and the growth of the heap
 * Cold: collateral and quote, everything parsed and verified from bytes; quote: with collateral
 * opened before; steady: the same attestation key as before; strangers: each quote of a platform
 * whose keys were not seen lately. Columns: name, value, unit.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "quote/kit.h"

#include <malloc.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

struct world {
    struct ccz_span quote;
    struct ccz_collateral_src src;
    struct ccz_roots roots;
    int64_t now_s;
    struct ccz_collateral *collateral;
    struct ccz_verify_cache *cache;
};

static void call_parse(void *arg)
{
    const struct world *w = arg;
    struct ccz_quote q;
    must(ccz_quote_parse(&q, w->quote, NULL) == CCZ_OK, "parse");
}

static void call_platform(void *arg)
{
    const struct world *w = arg;
    struct ccz_quote q;
    struct ccz_platform p;
    must(ccz_quote_parse(&q, w->quote, NULL) == CCZ_OK, "parse");
    must(ccz_quote_platform(&p, &q, NULL) == CCZ_OK, "platform");
}

static void verify(const struct world *w, const struct ccz_collateral *c)
{
    struct ccz_claims claims;
    const struct ccz_verify_cfg cfg = {
        .now_s = w->now_s, .roots = &w->roots, .collateral = c, .cache = w->cache};
    must(ccz_quote_verify(&claims, w->quote, &cfg, NULL) == CCZ_OK, "verify");
}

static void call_verify(void *arg)
{
    const struct world *w = arg;
    verify(w, w->collateral);
}

static void call_collateral(void *arg)
{
    const struct world *w = arg;
    CCZ_AUTO(ccz_collateral) c = NULL;
    must(ccz_collateral_new(&c, &w->src, &w->roots, NULL) == CCZ_OK, "collateral");
}

static void call_cold(void *arg)
{
    const struct world *w = arg;
    CCZ_AUTO(ccz_collateral) c = NULL;
    must(ccz_collateral_new(&c, &w->src, &w->roots, NULL) == CCZ_OK, "collateral");
    verify(w, c);
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

static void bench(const char *name, struct world *w, double two_verifies)
{
    must(ccz_collateral_new(&w->collateral, &w->src, &w->roots, NULL) == CCZ_OK, "collateral");
    printf("%s_parse\t%.0f\t1/s\n", name, per_second(call_parse, w));
    printf("%s_platform\t%.0f\t1/s\n", name, per_second(call_platform, w));
    printf("%s_cold\t%.0f\t1/s\n", name, per_second(call_cold, w));
    printf("%s_collateral\t%.0f\t1/s\n", name, per_second(call_collateral, w));
    printf("%s_quote\t%.0f\t1/s\n", name, per_second(call_verify, w));
    must(ccz_verify_cache_new(&w->cache, 16) == CCZ_OK, "cache");
    double steady = per_second(call_verify, w);
    printf("%s_steady\t%.0f\t1/s\n", name, steady);
    printf("%s_steady_vs_2_p256\t%.2f\tratio\n", name, steady / two_verifies);
    ccz_verify_cache_free(w->cache);
    ccz_collateral_free(w->collateral);
    w->cache = NULL;
    w->collateral = NULL;
}

static void bench_kit(const char *name, enum ccz_tee tee, uint16_t version, double two_verifies)
{
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, tee, version);
    kit_new(&k, &cfg);
    struct world w = {ccz_buf_span(&k.quote), k.src, k.roots, KIT_NOW_S, NULL, NULL};
    bench(name, &w, two_verifies);
    kit_free(&k);
}

/* More platforms than keys are remembered: nothing that a verification leaves behind helps the next
 * ones, but for the issuers' keys. */
struct crowd {
    struct kit kit[KIT_PLATFORMS];
    struct world world[KIT_PLATFORMS];
    size_t next;
};

static void call_crowd_quote(void *arg)
{
    struct crowd *c = arg;
    call_verify(&c->world[c->next++ % KIT_PLATFORMS]);
}

static void call_crowd_cold(void *arg)
{
    struct crowd *c = arg;
    call_cold(&c->world[c->next++ % KIT_PLATFORMS]);
}

static void bench_crowd(const char *name, enum ccz_tee tee, uint16_t version)
{
    static struct crowd c;
    for (unsigned i = 0; i < KIT_PLATFORMS; i++) {
        struct kit_cfg cfg;
        struct kit *k = &c.kit[i];
        kit_default(&cfg, tee, version);
        cfg.platform = i + 1;
        kit_new(k, &cfg);
        struct world *w = &c.world[i];
        *w = (struct world){ccz_buf_span(&k->quote), k->src, k->roots, KIT_NOW_S, NULL, NULL};
        must(ccz_collateral_new(&w->collateral, &w->src, &w->roots, NULL) == CCZ_OK, "collateral");
    }
    printf("%s_strangers_cold\t%.0f\t1/s\n", name, per_second(call_crowd_cold, &c));
    printf("%s_strangers_quote\t%.0f\t1/s\n", name, per_second(call_crowd_quote, &c));
    for (int i = 0; i < KIT_PLATFORMS; i++) {
        ccz_collateral_free(c.world[i].collateral);
        kit_free(&c.kit[i]);
    }
}

/* -------------------------------------------------------------------------- genuine evidence */

enum { FILES = 8 };
struct files {
    struct ccz_buf file[FILES];
};

static struct ccz_span load(struct ccz_buf *to, const char *dir, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    ccz_buf_init(to, CCZ_COLLATERAL_SIZE_MAX);
    must(ccz_file_read(to, path, NULL) == CCZ_OK, path);
    return ccz_buf_span(to);
}

/* @param where  DIR@TIME; the '@' is cut out, so that it is the name of the rows then */
static void load_world(struct world *w, struct files *f, char *where)
{
    char *at = strrchr(where, '@');
    must(at != NULL, "usage: bench_quote [--rounds N | --turn] [DIR@TIME...]");
    *at = 0;
    *w = (struct world){.now_s = strtoll(at + 1, NULL, 10)};
    w->quote = load(&f->file[0], where, "evidence.bin");
    w->src = (struct ccz_collateral_src){
        .tcb_info = load(&f->file[1], where, "collateral/tcb_info.json"),
        .tcb_info_chain = load(&f->file[2], where, "collateral/tcb_info_issuer_chain.pem"),
        .qe_identity = load(&f->file[3], where, "collateral/qe_identity.json"),
        .qe_identity_chain = load(&f->file[4], where, "collateral/qe_identity_issuer_chain.pem"),
        .root_ca_crl = load(&f->file[5], where, "collateral/root_ca_crl.der"),
        .pck_crl = load(&f->file[6], where, "collateral/pck_crl.der"),
        .pck_crl_chain = load(&f->file[7], where, "collateral/pck_crl_issuer_chain.pem"),
    };
    must(ccz_roots_add_intel(&w->roots) == CCZ_OK, "root");
}

static void free_files(struct files *f)
{
    for (int i = 0; i < FILES; i++)
        ccz_buf_free(&f->file[i]);
}

static void bench_genuine(char *where, double two_verifies)
{
    struct world w;
    struct files f;
    load_world(&w, &f, where);
    const char *slash = strrchr(where, '/');
    bench(slash ? slash + 1 : where, &w, two_verifies);
    free_files(&f);
}

/* One after the other: with more quotes than keys are remembered, no key of a quote is known when its turn comes. */
struct turn {
    struct world *world;
    size_t len, next;
};

static void call_turn_cold(void *arg)
{
    struct turn *t = arg;
    call_cold(&t->world[t->next++ % t->len]);
}

static void bench_turn(char **where, size_t len)
{
    struct turn t = {calloc(len, sizeof(*t.world)), len, 0};
    struct files *f = calloc(len, sizeof(*f));
    must(t.world && f, "memory");
    for (size_t i = 0; i < len; i++)
        load_world(&t.world[i], &f[i], where[i]);
    printf("genuine_in_turn_cold\t%.0f\t1/s\n", per_second(call_turn_cold, &t));
    for (size_t i = 0; i < len; i++)
        free_files(&f[i]);
    free(f);
    free(t.world);
}

/* Does the heap grow? The first verifications fill OpenSSL's tables and malloc's free lists. */
static void run_rounds(long rounds, char *where)
{
    enum { WARM_UP = 1000 };
    struct world w;
    struct files f;
    load_world(&w, &f, where);
    for (int i = 0; i < WARM_UP; i++)
        call_cold(&w);
    struct mallinfo2 before = mallinfo2();
    for (long i = 0; i < rounds; i++)
        call_cold(&w);
    struct mallinfo2 after = mallinfo2();
    printf("verifications\t%ld\t1\n", rounds);
    printf("heap_in_use_growth\t%lld\tbytes\n",
           (long long)after.uordblks - (long long)before.uordblks);
    printf("heap_size_growth\t%lld\tbytes\n",
           (long long)(after.arena + after.hblkhd) - (long long)(before.arena + before.hblkhd));
    free_files(&f);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--rounds") == 0) {
        run_rounds(strtol(argv[2], NULL, 10), argv[3]);
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "--turn") == 0) {
        bench_turn(argv + 2, (size_t)argc - 2);
        return 0;
    }
    struct plain p;
    plain_new(&p);
    double one = per_second(call_plain, &p);
    printf("openssl_p256_verify\t%.0f\t1/s\n", one);
    for (int i = 1; i < argc; i++)
        bench_genuine(argv[i], one / 2);
    if (argc == 1) {
        bench_kit("sgx_v3", CCZ_TEE_SGX, 3, one / 2);
        bench_kit("tdx_v4", CCZ_TEE_TDX, 4, one / 2);
        bench_crowd("sgx_v3", CCZ_TEE_SGX, 3);
        bench_crowd("tdx_v4", CCZ_TEE_TDX, 4);
    }
    EVP_PKEY_free(p.key);
    return 0;
}
