/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated platform's identity, and its report bodies as the Intel documents lay them out. */
#include "tee/sim_priv.h"

#include <string.h>

/* One component is above 127, so that its DER INTEGER needs a leading zero, as on real CPUs. */
const struct cczi_sim_tcb cczi_sim_tcb = {
    .cpu_svn = {11, 11, 2, 2, 255, 1, 0, 5},
    .tee_tcb_svn = {5, 1, 11},
    .pce_svn = 13,
    .fmspc = {0xcc, 0x20, 0x00, 0x51, 0x00, 0x00},
    .pce_id = {0x00, 0x00},
};

const struct cczi_sim_qe cczi_sim_qe[CCZI_SIM_QE_LEN] = {
    [CCZI_SIM_SGX] = {"sgx", "QE", "cczoo SIMULATED quoting enclave", 1, 8},
    [CCZI_SIM_TDX] = {"tdx", "TD_QE", "cczoo SIMULATED TD quoting enclave", 2, 4},
};
const char cczi_sim_qe_signer[] = "cczoo SIMULATED signer of quoting enclaves";
const char cczi_sim_enclave_signer[] = "cczoo SIMULATED signer of enclaves";
const char cczi_sim_tdx_module[] = "cczoo SIMULATED TDX module";

ccz_rc cczi_sim_digest(void *out, enum ccz_hash alg, const char *label)
{
    return ccz_hash(out, alg, &CCZ_SPAN(label, strlen(label) + 1), 1);
}

static void put_zero(struct ccz_buf *out, size_t size)
{
    uint8_t *p = ccz_buf_extend(out, size);
    if (p)
        memset(p, 0, size);
}

void cczi_sgx_report_put(struct ccz_buf *out, const struct cczi_sgx_report *r)
{
    ccz_buf_put(out, cczi_sim_tcb.cpu_svn, 16); /*   0 CPUSVN */
    ccz_buf_le32(out, 0);                       /*  16 MISCSELECT */
    put_zero(out, 12 + 16);                     /*  20 reserved, 32 ISVEXTPRODID */
    ccz_buf_le64(out, r->flags);                /*  48 ATTRIBUTES */
    ccz_buf_le64(out, r->xfrm);                 /*  56 XFRM */
    ccz_buf_put(out, r->mrenclave, 32);         /*  64 */
    put_zero(out, 32);                          /*  96 reserved */
    ccz_buf_put(out, r->mrsigner, 32);          /* 128 */
    put_zero(out, 32 + 64);                     /* 160 reserved, 192 CONFIGID */
    ccz_buf_le16(out, r->prod_id);              /* 256 ISVPRODID */
    ccz_buf_le16(out, r->isv_svn);              /* 258 ISVSVN */
    put_zero(out, 2 + 42 + 16);                 /* 260 CONFIGSVN, 262 reserved, 304 ISVFAMILYID */
    ccz_buf_put(out, r->report_data, 64);       /* 320 */
}

void cczi_td_report_put(struct ccz_buf *out, const struct cczi_td_report *r)
{
    ccz_buf_put(out, cczi_sim_tcb.tee_tcb_svn, 16); /*   0 TEE_TCB_SVN */
    ccz_buf_put(out, r->mrseam, 48);                /*  16 */
    put_zero(out, 48 + 8); /*  64 MRSIGNERSEAM, 112 SEAMATTRIBUTES: zero for any module */
    ccz_buf_le64(out, r->td_attributes);  /* 120 */
    ccz_buf_le64(out, r->xfam);           /* 128 */
    ccz_buf_put(out, r->mrtd, 48);        /* 136 */
    put_zero(out, 3 * 48 + 4 * 48);       /* 184 MRCONFIGID, MROWNER, MROWNERCONFIG, 328 RTMR0..3 */
    ccz_buf_put(out, r->report_data, 64); /* 520 */
}
