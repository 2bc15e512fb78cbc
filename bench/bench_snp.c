/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SEV-SNP verifications per second: parsing; VEK in the collateral or remembered; VEK in the evidence, verified each time;
 * opening collateral (RSA of 3072 bits here, 4096 with AMD); and plain P-384 verifications to compare with.
 * Columns: name, value, unit.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "quote/snp_kit.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

struct world {
    struct snp_kit kit;
    struct ccz_snp_collateral *collateral;
    struct ccz_verify_cache *cache;
};

static void call_parse(void *arg)
{
    const struct world *w = arg;
    struct ccz_snp_report r;
    must(ccz_snp_report_parse(&r, ccz_buf_span(&w->kit.evidence), NULL) == CCZ_OK, "parse");
}

static void call_verify(void *arg)
{
    const struct world *w = arg;
    struct ccz_claims claims;
    const struct ccz_snp_verify_cfg cfg = {.now_s = SNP_KIT_NOW_S,
                                           .roots = &w->kit.roots,
                                           .collateral = w->collateral,
                                           .cache = w->cache};
    must(ccz_snp_verify(&claims, ccz_buf_span(&w->kit.evidence), &cfg, NULL) == CCZ_OK, "verify");
}

static void call_collateral(void *arg)
{
    const struct world *w = arg;
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    must(ccz_snp_collateral_new(&c, &w->kit.src, &w->kit.roots, NULL) == CCZ_OK, "collateral");
}

struct plain {
    EVP_PKEY *key;
    uint8_t message[672], signature[112];
    size_t signature_size;
};

static void plain_new(struct plain *p)
{
    p->key = EVP_EC_gen("P-384");
    memset(p->message, 0x5a, sizeof(p->message));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    p->signature_size = sizeof(p->signature);
    must(p->key && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, p->key) == 1 &&
             EVP_DigestSign(ctx, p->signature, &p->signature_size, p->message,
                            sizeof(p->message)) == 1,
         "sign");
    EVP_MD_CTX_free(ctx);
}

static void call_plain(void *arg)
{
    const struct plain *p = arg;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL, p->key) == 1 &&
             EVP_DigestVerify(ctx, p->signature, p->signature_size, p->message,
                              sizeof(p->message)) == 1,
         "P-384");
    EVP_MD_CTX_free(ctx);
}

static void open_world(struct world *w, bool table)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, CCZ_SNP_MILAN, CCZ_SNP_VCEK, 3);
    cfg.table = table;
    cfg.vek_in_collateral = !table;
    snp_kit_new(&w->kit, &cfg);
    must(ccz_snp_collateral_new(&w->collateral, &w->kit.src, &w->kit.roots, NULL) == CCZ_OK,
         "collateral");
    must(ccz_verify_cache_new(&w->cache, 16) == CCZ_OK, "cache");
}

static void close_world(struct world *w)
{
    ccz_verify_cache_free(w->cache);
    ccz_snp_collateral_free(w->collateral);
    snp_kit_free(&w->kit);
}

int main(void)
{
    struct plain p;
    struct world alone = {0}, carried = {0};
    plain_new(&p);
    open_world(&alone, false);
    open_world(&carried, true);
    double one = per_second(call_plain, &p), known = per_second(call_verify, &alone);
    printf("openssl_p384_verify\t%.0f\t1/s\n", one);
    printf("snp_parse\t%.0f\t1/s\n", per_second(call_parse, &carried));
    printf("snp_verify_vek_known\t%.0f\t1/s\n", known);
    printf("snp_verify_vek_cached\t%.0f\t1/s\n", per_second(call_verify, &carried));
    printf("snp_known_vs_p384\t%.2f\tratio\n", known / one);
    ccz_verify_cache_free(carried.cache);
    carried.cache = NULL;
    printf("snp_verify_vek_carried\t%.0f\t1/s\n", per_second(call_verify, &carried));
    printf("snp_collateral_open\t%.0f\t1/s\n", per_second(call_collateral, &alone));
    close_world(&alone);
    close_world(&carried);
    EVP_PKEY_free(p.key);
    return 0;
}
