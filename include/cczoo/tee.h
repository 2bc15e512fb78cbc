/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEE_H
#define CCZ_TEE_H
/**
 * @file tee.h
 * Obtaining evidence about this process or VM. Never judges evidence (quote.h, policy.h do).
 * Reading order of the sources: tee.c (table of providers), gramine.c, configfs.c, sim.c, sim_init.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One open provider. ccz_attester_quote() may be called from several threads. */
struct ccz_attester;

struct ccz_attester_cfg {
    /** "gramine" (SGX through /dev/attestation), "configfs" (TDX or SNP through configfs-tsm),
     *  "sim-sgx" or "sim-tdx" (software TEE). There is no default and no fallback. */
    const char *provider;
    /** Root under which the provider's files are looked up ("" = the real "/"); for tests. */
    const char *fs_root;
    /** Software TEE only: platform directory made by ccz_sim_init(). */
    const char *sim_dir;
    /** Software TEE only: files measured besides the running executable (the engine's libraries). */
    const char *const *measure;
    size_t measure_len;
    int64_t timeout_ms; /**< 0 = 30 s */
};
/** @retval CCZ_E_ARG unknown provider @retval CCZ_E_UNAVAILABLE  not on this machine, with a hint */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_open(struct ccz_attester **out, const struct ccz_attester_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_attester_free(struct ccz_attester *a);
CCZ_DEFINE_AUTO(ccz_attester)
CCZ_API const char *ccz_attester_provider(const struct ccz_attester *a);
CCZ_API bool ccz_attester_simulated(const struct ccz_attester *a);
/** Appends a quote over @p report_data to @p out. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_quote(struct ccz_buf *out, struct ccz_attester *a,
                                               const uint8_t report_data[64], struct ccz_err *err);
/** Measurement this process reports (MRENCLAVE 32 bytes, MRTD 48 bytes) where known without a quote
 *  (software TEE); empty otherwise. */
CCZ_API struct ccz_span ccz_attester_measurement(const struct ccz_attester *a);

/* ------------------------------------------------------------------------- software TEE */

/**
 * Creates a simulated platform and its certification authority in @p dir:
 *   dir/platform/  private: PCK and attestation keys, QE report, PCK chain (0600)
 *   dir/trust/     public: root.pem, tcb_info.json, qe_identity.json, issuer chains, CRLs: the
 *                  collateral that a verifier is given with --trust-sim DIR
 * All formats are the real ones; only the root is a test root. Refuses an existing directory that is not empty.
 */
struct ccz_sim_cfg {
    int64_t now_s;        /**< required */
    int64_t valid_s;      /**< collateral lifetime, 0 = 30 days */
    const char *tcb_status; /**< status of the platform's TCB level, NULL = "UpToDate" */
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_sim_init(const char *dir, const struct ccz_sim_cfg *cfg, struct ccz_err *err);
/** The measurement the software TEE gives to an executable with these measured libraries: SHA-256 over a
 *  domain label and, for each file, its size and SHA-256. @param[out] out 32 bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sim_measure(uint8_t out[32], const char *exe, const char *const *libs, size_t len,
                                            struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
