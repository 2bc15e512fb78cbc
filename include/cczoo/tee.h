/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEE_H
#define CCZ_TEE_H
/**
 * @file tee.h
 * Obtaining evidence about this process or VM. Never judges evidence (quote.h, policy.h do).
 * Reading order of the sources: tee.c (table of providers), fs.c, gramine.c, configfs.c, sim.c (quotes of
 * the software TEE), sim_init.c (its platform), sim_pki.c, sim_tcb.c, sim_report.c.
 *
 * Providers:
 *   gramine   SGX enclave under Gramine; /dev/attestation; quote v3. The quote is checked to be over our report
 *             data, because those files are shared by the whole process.
 *   configfs  TDX or SEV-SNP guest, Linux >= 6.7; /sys/kernel/config/tsm/report. One private directory per
 *             request; the generation counter proves that nobody else wrote to it. Needs root.
 *   sim-sgx   software TEE, SGX quote v3. MRENCLAVE = ccz_sim_measure(running executable, cfg.measure),
 *             MRSIGNER = one fixed digest, ISVPRODID 1, ISVSVN 1, attributes INIT | MODE64BIT.
 *   sim-tdx   software TEE, TDX quote v4. MRTD = SHA-384(label || that measurement), RTMRs zero (never extended),
 *             TD attributes SEPT_VE_DISABLE.
 *
 * Sources: Gramine "Attestation and Secret Provisioning"; Linux Documentation/ABI/testing/configfs-tsm-report;
 * Intel "SGX ECDSA QuoteLibReference DCAP API", "TDX DCAP Quoting Library API".
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One open provider. ccz_attester_quote() may be called from several threads. */
struct ccz_attester;

struct ccz_attester_cfg {
    /** "gramine", "configfs", "sim-sgx" or "sim-tdx" (above). There is no default and no fallback. */
    const char *provider;
    /** Root under which the provider's files are looked up (NULL or "" = the real "/"); for tests. */
    const char *fs_root;
    /** Software TEE only, required there: the directory given to ccz_sim_init(). */
    const char *sim_dir;
    /** Software TEE only: files measured besides the running executable (the engine's libraries), in this
     *  order. Read once, when the provider is opened. */
    const char *const *measure;
    size_t measure_len;
    /** How long one quote may take, retries included; 0 = 30 s. A driver that blocks inside read() (TDX: up to
     *  30 s) cannot be interrupted, so a call may end later than this, but starts no new attempt. */
    int64_t timeout_ms;
    /** Software TEE only: report the DEBUG attribute, to see a verifier refuse it. */
    bool sim_debug;
};
/**
 * Opens a provider and makes sure that it can answer: reads the attestation type, probes configfs, or loads the
 * simulated platform and measures the executable.
 * @param[out] out  owned by the caller
 * @retval CCZ_E_ARG          unknown provider (err->expected lists the known ones), no sim_dir
 * @retval CCZ_E_UNAVAILABLE  not on this machine, with a hint
 * @retval CCZ_E_DENIED       the files are there, but not for this user, with a hint
 * @retval CCZ_E_FORMAT, CCZ_E_MISMATCH  damaged or mixed up simulated platform
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_open(struct ccz_attester **out,
                                              const struct ccz_attester_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_attester_free(struct ccz_attester *a); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_attester)
CCZ_API const char *
ccz_attester_provider(const struct ccz_attester *a); /**< name as in the cfg, static */
CCZ_API bool ccz_attester_simulated(const struct ccz_attester *a);
/**
 * Appends a quote over @p report_data to @p out: an Intel quote, or a 1184-byte SNP attestation report.
 * Costs: software TEE one ECDSA signature; Gramine ~10 ms; TDX through configfs ~1 s (the driver polls once per
 * second), so never once per connection.
 * @param[out] out  untouched on failure
 * @retval CCZ_E_TIMEOUT      timeout_ms passed, or the driver gave up
 * @retval CCZ_E_UNAVAILABLE  no driver, still busy, or another process kept interfering; with a hint
 * @retval CCZ_E_MISMATCH     what came back is not over @p report_data
 * @retval CCZ_E_LIMIT        more bytes than @p out may hold
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_quote(struct ccz_buf *out, struct ccz_attester *a,
                                               const uint8_t report_data[64], struct ccz_err *err);
/** As ccz_attester_quote(); appends to @p aux what the platform adds for verifiers (SNP: the certificate
 *  table of GHCB, host data; nothing for the others). Both come from the same request. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_quote_aux(struct ccz_buf *out, struct ccz_buf *aux,
                                                   struct ccz_attester *a,
                                                   const uint8_t report_data[64],
                                                   struct ccz_err *err);
/** Measurement this process reports (MRENCLAVE 32 bytes, MRTD 48 bytes) where known without a quote
 *  (software TEE); empty otherwise. Borrowed from @p a. */
CCZ_API struct ccz_span ccz_attester_measurement(const struct ccz_attester *a);

/* ------------------------------------------------------------------------- software TEE */

/**
 * Creates a simulated platform and its certification authority. All formats are the real ones; only the root
 * is a test root, and names say SIMULATED.
 *
 *   DIR/platform/           private, 0700; files 0600
 *     pck_key.pem           PCK private key (P-256)
 *     sgx/ and tdx/         one quoting enclave each:
 *       attest_key.pem      attestation key (P-256), which signs quotes
 *       qe_certification.bin  as in a quote: QE report 384 | its signature by the PCK key 64 | u16 size of the
 *                           authentication data, data | u16 5 | u32 size, PCK chain (PEM leaf, CA, root, NUL)
 *   DIR/trust/              public: what a verifier is given with --trust-sim DIR/trust
 *     root.pem              the simulated root, the only trust anchor; written last
 *     sgx/ and tdx/         a collateral bundle each: tcb_info.json, qe_identity.json (PCS response objects, v3 and
 *                           v2), tcb_info_issuer_chain.pem, qe_identity_issuer_chain.pem,
 *                           pck_crl_issuer_chain.pem (PEM, root last), root_ca_crl.der, pck_crl.der
 *
 * The keys of the three authorities (root, PCK Platform CA, TCB signing) exist only during the call: nobody can
 * certify more under this root. For fresh collateral make a new directory; measurements do not depend on it.
 */
struct ccz_sim_cfg {
    int64_t now_s; /**< required: issue date of everything */
    int64_t
        valid_s; /**< lifetime of TCB info, QE identity and CRLs, 0 = 30 days; certificates: 7 years more */
    /** Status of the platform's TCB level as PCS spells it ("OutOfDate", "SWHardeningNeeded", "Revoked", ..),
     *  NULL = "UpToDate". Any other than UpToDate comes with advisory SIMULATED-SA-00001. */
    const char *tcb_status;
    bool revoke_pck; /**< the PCK CRL lists the platform's PCK certificate */
};
/**
 * @param dir  created with its parents; must not exist, or be empty
 * @retval CCZ_E_EXISTS  @p dir is not empty
 * @retval CCZ_E_ARG     now_s <= 0, valid_s < 0 or unknown tcb_status
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sim_init(const char *dir, const struct ccz_sim_cfg *cfg,
                                         struct ccz_err *err);
/**
 * The measurement the software TEE gives to an executable with these measured libraries:
 * SHA-256("cczoo sim measurement v1" NUL || for each file: size u64 LE || SHA-256(content)), the executable first.
 * Streams; a file that changes size meanwhile is an error.
 * @param[out] out 32 bytes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sim_measure(uint8_t out[32], const char *exe,
                                            const char *const *libs, size_t len,
                                            struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
