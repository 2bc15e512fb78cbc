/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte 0 says what the rest is:
 *   0 mod 3: a report with or without certificate table as such; parsed
 *   1 mod 3: a certificate table behind a good report; parsed
 *   2 mod 3: damage: triples (offset u16, xor u8) applied to good evidence (byte 0 picks which), which is then verified
 *            under fixed collateral
 * Invariants: views lie inside of the input; a failure leaves zeros and a reason; evidence is accepted only if every byte
 * is the original one; the cache changes no verdict.
 */
#include "quote/snp_kit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct ccz_span part, struct ccz_span whole)
{
    if (part.size == 0)
        return;
    if (part.ptr < whole.ptr || part.size > whole.size ||
        (size_t)(part.ptr - whole.ptr) > whole.size - part.size)
        abort();
}

static void parse(struct ccz_span in)
{
    static const struct ccz_snp_report none;
    struct ccz_snp_report r;
    struct ccz_err err = {0};
    if (ccz_snp_report_parse(&r, in, &err) != CCZ_OK) {
        if (memcmp(&r, &none, sizeof(r)) != 0 || err.where[0] == 0)
            abort();
        return;
    }
    if (r.claims.product != CCZ_SNP_NONE && ccz_snp_report_product(&r) != r.claims.product)
        abort();
    (void)ccz_snp_report_product(&r); /* version 2: reads the certificate */
    const struct ccz_span parts[] = {r.report_data, r.signed_bytes, r.signature,
                                     r.vek,         r.ca,           r.ark};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        inside(parts[i], in);
    if (!ccz_snp_is_report(in) || r.signed_bytes.size != 672 || r.signature.size != 512 ||
        r.claims.vmpl > 3 || r.signer == CCZ_SNP_SIGNER_NONE ||
        (r.version >= 3) != (r.claims.product != CCZ_SNP_NONE))
        abort();
}

static const struct {
    enum ccz_snp_product product;
    enum ccz_snp_signer signer;
    uint32_t version;
} shapes[] = {
    {CCZ_SNP_MILAN, CCZ_SNP_VCEK, 2},
    {CCZ_SNP_MILAN, CCZ_SNP_VLEK, 3},
    {CCZ_SNP_GENOA, CCZ_SNP_VCEK, 4},
    {CCZ_SNP_TURIN, CCZ_SNP_VCEK, 5},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

struct world {
    struct snp_kit kit;
    struct ccz_snp_collateral *collateral;
    struct ccz_verify_cache *cache;
};

static struct world *world(size_t i)
{
    static struct world worlds[SHAPES];
    struct world *w = &worlds[i];
    if (!w->collateral) {
        struct snp_kit_cfg cfg;
        snp_kit_default(&cfg, shapes[i].product, shapes[i].signer, shapes[i].version);
        cfg.table = true;
        cfg.vek_in_collateral = false;
        snp_kit_new(&w->kit, &cfg);
        if (ccz_snp_collateral_new(&w->collateral, &w->kit.src, &w->kit.roots, NULL) != CCZ_OK ||
            ccz_verify_cache_new(&w->cache, 4) != CCZ_OK)
            abort();
    }
    return w;
}

static void parse_table(struct ccz_span table)
{
    const struct ccz_buf *good = &world(0)->kit.evidence;
    uint8_t *in = malloc(CCZ_SNP_REPORT_SIZE + table.size);
    if (!in)
        return;
    memcpy(in, good->ptr, CCZ_SNP_REPORT_SIZE);
    if (table.size > 0)
        memcpy(in + CCZ_SNP_REPORT_SIZE, table.ptr, table.size);
    parse(CCZ_SPAN(in, CCZ_SNP_REPORT_SIZE + table.size));
    free(in);
}

static void verify(const struct world *w, const uint8_t *evidence, size_t size, bool good)
{
    struct ccz_claims with, without;
    static const struct ccz_claims none;
    struct ccz_err err = {0};
    struct ccz_snp_verify_cfg cfg = {
        .now_s = SNP_KIT_NOW_S, .roots = &w->kit.roots, .collateral = w->collateral};
    ccz_rc a = ccz_snp_verify(&without, CCZ_SPAN(evidence, size), &cfg, &err);
    if (a != CCZ_OK && (err.where[0] == 0 || memcmp(&without, &none, sizeof(none)) != 0))
        abort();
    cfg.cache = w->cache;
    ccz_rc b = ccz_snp_verify(&with, CCZ_SPAN(evidence, size), &cfg, &err);
    if (a != b || memcmp(&with, &without, sizeof(with)) != 0 || (a == CCZ_OK) != good)
        abort();
}

static void damage(uint8_t pick, const uint8_t *data, size_t size)
{
    const struct world *w = world(pick / 3 % SHAPES);
    const struct ccz_buf *good = &w->kit.evidence;
    uint8_t *evidence = malloc(good->size);
    if (!evidence)
        return;
    memcpy(evidence, good->ptr, good->size);
    for (; size >= 3; size -= 3, data += 3)
        evidence[(size_t)(data[0] | data[1] << 8) % good->size] ^= data[2];
    verify(w, evidence, good->size, memcmp(evidence, good->ptr, good->size) == 0);
    free(evidence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 3 == 0)
        parse(CCZ_SPAN(data + 1, size - 1));
    else if (data[0] % 3 == 1)
        parse_table(CCZ_SPAN(data + 1, size - 1));
    else
        damage(data[0], data + 1, size - 1);
    return 0;
}
