/* SPDX-License-Identifier: Apache-2.0 */
/* What AMD's key distribution service publishes about one chip, issued by the kit for SEV-SNP. */
#include "fake_pcs.h"

#include "quote/snp_kit.h"

#include <string.h>

enum { TCB_AT = 0x180, CHIP_AT = 0x1a0, DAY = 86400 };

static void copy(struct ccz_buf *out, const struct ccz_buf *in)
{
    ccz_buf_init(out, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_put_span(out, ccz_buf_span(in));
}

static void make(struct snp_kit *k, const struct fake_amd *a, enum ccz_snp_signer signer,
                 int64_t crl_from_s, int64_t crl_until_s, bool revoke_ca)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, a->turin ? CCZ_SNP_TURIN : CCZ_SNP_MILAN, signer, 3);
    cfg.tcb =
        a->turin ? (struct ccz_snp_tcb){1, 2, 3, 4, 5} : (struct ccz_snp_tcb){0, 4, 0, 22, 213};
    cfg.crl.from_s = crl_from_s;
    cfg.crl.until_s = crl_until_s;
    cfg.crl.serials[0] = revoke_ca ? cfg.ca.serial : 0;
    snp_kit_new(k, &cfg);
}

void fake_amd_new(struct fake_amd *a, bool turin)
{
    struct snp_kit k, later, revoking, vlek;
    *a = (struct fake_amd){.turin = turin};
    make(&k, a, CCZ_SNP_VCEK, KIT_NOW_S - 60, KIT_NOW_S + 30 * DAY, false);
    make(&later, a, CCZ_SNP_VCEK, KIT_NOW_S, KIT_NOW_S + 60 * DAY, false);
    make(&revoking, a, CCZ_SNP_VCEK, KIT_NOW_S, KIT_NOW_S + 60 * DAY, true);
    make(&vlek, a, CCZ_SNP_VLEK, KIT_NOW_S, KIT_NOW_S + 60 * DAY, false);
    copy(&a->ark, &k.ark);
    copy(&a->ask, &k.ca);
    copy(&a->asvk, &vlek.ca);
    copy(&a->crl, &k.crl);
    copy(&a->later_crl, &later.crl);
    copy(&a->revoking_crl, &revoking.crl);
    copy(&a->vek, &k.vek);
    copy(&a->report, &k.evidence);
    a->roots = k.roots;
    memcpy(a->chip_id, a->report.ptr + CHIP_AT, sizeof(a->chip_id));
    memcpy(a->tcb, a->report.ptr + TCB_AT, sizeof(a->tcb));
    snp_kit_free(&k);
    snp_kit_free(&later);
    snp_kit_free(&revoking);
    snp_kit_free(&vlek);
}

void fake_amd_free(struct fake_amd *a)
{
    struct ccz_buf *const all[] = {&a->ark, &a->ask,       &a->asvk,         &a->crl,
                                   &a->vek, &a->later_crl, &a->revoking_crl, &a->report};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        ccz_buf_free(all[i]);
}
