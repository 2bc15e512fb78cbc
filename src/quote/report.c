/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SGX: Intel SDM volume 3D, "REPORT" (fields of the Key Separation and Sharing feature included).
 * TDX: "TDX DCAP Quoting Library API", appendix A.3, "TD Quote Body", versions 1.0 and 1.5.
 * The callers took exactly the size of the type, so the cursors cannot fail. Reserved bytes are
 * skipped: they are signed, and Intel may give them a meaning that does not weaken the others.
 */
#include "quote/quote_priv.h"

void cczi_sgx_report_read(struct cczi_sgx_report *out, struct ccz_span body)
{
    struct ccz_rd r = ccz_rd_from(body);
    ccz_rd_copy(&r, out->cpu_svn, 16);
    ccz_rd_copy(&r, out->misc_select, 4);
    (void)ccz_rd_take(&r, 12);
    ccz_rd_copy(&r, out->isv_ext_prod_id, 16);
    ccz_rd_copy(&r, out->attributes, 16);
    ccz_rd_copy(&r, out->mrenclave, 32);
    (void)ccz_rd_take(&r, 32);
    ccz_rd_copy(&r, out->mrsigner, 32);
    (void)ccz_rd_take(&r, 32);
    ccz_rd_copy(&r, out->config_id, 64);
    out->isv_prod_id = ccz_rd_le16(&r);
    out->isv_svn = ccz_rd_le16(&r);
    out->config_svn = ccz_rd_le16(&r);
    (void)ccz_rd_take(&r, 42);
    ccz_rd_copy(&r, out->isv_family_id, 16);
    ccz_rd_copy(&r, out->report_data, 64);
}

void cczi_td_report_read(struct cczi_td_report *out, struct ccz_span body)
{
    struct ccz_rd r = ccz_rd_from(body);
    *out = (struct cczi_td_report){.has_15 = body.size >= CCZI_TD_REPORT_15_SIZE};
    ccz_rd_copy(&r, out->tee_tcb_svn, 16);
    ccz_rd_copy(&r, out->mrseam, 48);
    ccz_rd_copy(&r, out->mrsignerseam, 48);
    ccz_rd_copy(&r, out->seam_attributes, 8);
    ccz_rd_copy(&r, out->td_attributes, 8);
    ccz_rd_copy(&r, out->xfam, 8);
    ccz_rd_copy(&r, out->mrtd, 48);
    ccz_rd_copy(&r, out->mrconfigid, 48);
    ccz_rd_copy(&r, out->mrowner, 48);
    ccz_rd_copy(&r, out->mrownerconfig, 48);
    for (int i = 0; i < 4; i++)
        ccz_rd_copy(&r, out->rtmr[i], 48);
    ccz_rd_copy(&r, out->report_data, 64);
    if (out->has_15) {
        ccz_rd_copy(&r, out->tee_tcb_svn2, 16);
        ccz_rd_copy(&r, out->mrservicetd, 48);
    }
}
