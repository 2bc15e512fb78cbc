/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SIM_PRIV_H
#define CCZ_SIM_PRIV_H
/* The software TEE: what its quotes (sim.c) and its platform (sim_init.c, sim_pki.c, sim_tcb.c)
 * share. */
#include <cczoo/tee.h>
#include <cczoo/x509.h>

enum {
    CCZI_SGX_REPORT_SIZE = 384,
    CCZI_TD_REPORT_SIZE = 584,
    CCZI_CERT_TYPE_PCK_CHAIN = 5,
    CCZI_CERT_TYPE_QE_REPORT = 6
};

/* SGX attribute flags (Intel SDM vol. 3D, "ATTRIBUTES"). */
#define CCZI_SGX_INIT          0x01u
#define CCZI_SGX_DEBUG         0x02u
#define CCZI_SGX_MODE64        0x04u
#define CCZI_SGX_PROVISION_KEY 0x10u
/* TDATTRIBUTES. */
#define CCZI_TD_DEBUG           0x01u
#define CCZI_TD_SEPT_VE_DISABLE 0x10000000u

/** TCB of the simulated platform: the same in the PCK certificate, the quotes and the TCB info. */
struct cczi_sim_tcb {
    uint8_t cpu_svn[16];     /**< = the 16 SGX components */
    uint8_t tee_tcb_svn[16]; /**< TDX module: isvsvn, major version, late microcode */
    uint16_t pce_svn;
    uint8_t fmspc[6], pce_id[2];
};
extern const struct cczi_sim_tcb cczi_sim_tcb;

/** The two quoting enclaves of the platform. */
struct cczi_sim_qe {
    const char *dir;         /**< "sgx" or "tdx", under platform/ and trust/ */
    const char *identity_id; /**< "QE" or "TD_QE" */
    const char *label;       /**< what its MRENCLAVE is the digest of */
    uint16_t prod_id, isv_svn;
};
enum { CCZI_SIM_SGX, CCZI_SIM_TDX, CCZI_SIM_QE_LEN };
extern const struct cczi_sim_qe cczi_sim_qe[CCZI_SIM_QE_LEN];
/** Labels whose digests are the fixed signers. */
extern const char cczi_sim_qe_signer[], cczi_sim_enclave_signer[], cczi_sim_tdx_module[];

/** Digest of a label with its NUL. */
ccz_rc cczi_sim_digest(void *out, enum ccz_hash alg, const char *label);

/** Fields of an SGX report body that the software TEE sets; the rest is zero. */
struct cczi_sgx_report {
    uint64_t flags, xfrm;
    uint8_t mrenclave[32], mrsigner[32];
    uint16_t prod_id, isv_svn;
    uint8_t report_data[64];
};
void cczi_sgx_report_put(struct ccz_buf *out, const struct cczi_sgx_report *r);
/** Fields of a TD report 1.0 that the software TEE sets; the rest is zero. */
struct cczi_td_report {
    uint64_t td_attributes, xfam;
    uint8_t mrseam[48], mrtd[48];
    uint8_t report_data[64];
};
void cczi_td_report_put(struct ccz_buf *out, const struct cczi_td_report *r);

/** Keys and certificates of one sim_init run. */
struct cczi_sim_pki {
    struct ccz_key *root_key, *ca_key, *tcb_key, *pck_key;
    struct ccz_cert *root, *ca, *tcb, *pck;
    int64_t now_s, next_update_s;
};
ccz_rc cczi_sim_pki_new(struct cczi_sim_pki *out, const struct ccz_sim_cfg *cfg,
                        struct ccz_err *err);
void cczi_sim_pki_deinit(struct cczi_sim_pki *p);
/** Appends certificates as PEM, in this order. */
void cczi_sim_pem_chain(struct ccz_buf *out, const struct ccz_cert *const *certs, size_t len);

/** platform/snp and trust/snp of a simulated platform (sim_snp.c). */
ccz_rc cczi_sim_snp_init(const char *dir, const struct ccz_sim_cfg *cfg, struct ccz_err *err);

/** Default or checked cfg->tcb_status. */
ccz_rc cczi_sim_status(const char **out, const struct ccz_sim_cfg *cfg, struct ccz_err *err);
/** PCS response objects, signed by the TCB signing key. @param qe CCZI_SIM_SGX or CCZI_SIM_TDX */
ccz_rc cczi_sim_tcb_info(struct ccz_buf *out, const struct cczi_sim_pki *pki, int qe,
                         const char *status);
ccz_rc cczi_sim_qe_identity(struct ccz_buf *out, const struct cczi_sim_pki *pki, int qe);
#endif
