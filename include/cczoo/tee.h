/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEE_H
#define CCZ_TEE_H
/**
 * @file tee.h
 * Obtaining evidence about this process or VM, and its measurement registers. Never judges evidence (quote.h,
 * snp.h, eventlog.h, policy.h do).
 * Reading order of the sources: tee.c (table of providers), report.c (what comes back is over our data), seal.c, fs.c,
 * gramine.c, configfs.c, tdx_guest.c, qgs.c (messages of the quote generation service), sev_guest.c, detect.c,
 * registers.c (RTMR, CCEL), sim.c (quotes of the software TEE), sim_snp.c (its SNP reports), sim_init.c (its platform), sim_pki.c, sim_tcb.c,
 * sim_report.c. Design and traps: docs/design/tee.md.
 *
 * Providers:
 *   gramine   SGX enclave under Gramine; /dev/attestation; quote v3. The quote is checked to be over our report
 *             data, because those files are shared by the whole process.
 *   configfs  TDX or SEV-SNP guest, Linux >= 6.7; /sys/kernel/config/tsm/report. One private directory per
 *             request; the generation counter proves that nobody else wrote to it. Needs root.
 *   tdx-guest TDX guest; TDX_CMD_GET_REPORT0 on /dev/tdx_guest, and the quote from the quote generation service (QGS)
 *             of the host over AF_VSOCK, port as in /etc/tdx-attest.conf ("port = N"; 4050 without that file). Some
 *             milliseconds where configfs takes a second, and needs no configfs; the host must offer the port.
 *   sev-guest SEV-SNP guest; SNP_GET_EXT_REPORT on /dev/sev-guest, SNP_GET_REPORT if the host's certificates do not
 *             fit. At most one request in 2 s: a failed one costs the guest its key until reboot.
 *   sim-sgx   software TEE, SGX quote v3. MRENCLAVE = ccz_sim_measure(running executable, cfg.record, cfg.measure),
 *             MRSIGNER = one fixed digest, ISVPRODID 1, ISVSVN 1, attributes INIT | MODE64BIT.
 *   sim-tdx   software TEE, TDX quote v4. MRTD = SHA-384(label || that measurement), RTMRs zero (never extended),
 *             TD attributes SEPT_VE_DISABLE.
 *   sim-snp   software TEE, SNP report v5 of a Milan and its certificate table. MEASUREMENT = SHA-384("cczoo sim snp
 *             v1" NUL || that measurement), guest policy SMT allowed, VMPL as asked for, else 0.
 *
 * Sources: Gramine "Attestation and Secret Provisioning"; Linux Documentation/ABI/testing/configfs-tsm-report;
 * Documentation/virt/coco/{tdx-guest,sev-guest}.rst, Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest;
 * Intel "SGX ECDSA QuoteLibReference DCAP API", "TDX DCAP Quoting Library API"; AMD 56860 "SEV Secure Nested Paging
 * Firmware ABI Specification"; GHCB specification 4.1.8.1 (certificate table).
 *
 * Example: which providers answer here, and why the others do not.
 *     struct ccz_attester_probe p[CCZ_ATTESTER_PROBES];
 *     ccz_attester_detect(p, NULL);
 *     for (size_t i = 0; i < CCZ_ATTESTER_PROBES; i++)
 *         printf("%s: %s\n", p[i].provider, p[i].tee ? p[i].tee : p[i].err.msg);
 *
 * Example: a guest measures a configuration file before it uses it.
 *     uint8_t digest[48], value[48];                       // digest = SHA-384 of the file
 *     ccz_rc rc = ccz_rtmr_extend(3, digest, NULL, err);   // irreversible; write it into your own log, too
 *     if (rc == CCZ_OK)
 *         rc = ccz_rtmr_read(value, 3, NULL, err);
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One open provider. ccz_attester_quote() may be called from several threads. */
struct ccz_attester;

struct ccz_attester_cfg {
    /** "gramine", "configfs", "tdx-guest", "sev-guest", "sim-sgx", "sim-tdx" or "sim-snp" (above). There is no default and no
     *  fallback: ccz_attester_detect() tells what could be named here. */
    const char *provider;
    /** Root under which the provider's files are looked up (NULL or "" = the real "/"); for tests. */
    const char *fs_root;
    /** Software TEE only, required there: the directory given to ccz_sim_init(). */
    const char *sim_dir;
    /** Software TEE only: files measured besides the running executable (the engine's libraries), in this
     *  order. Read once, when the provider is opened. */
    const char *const *measure;
    size_t measure_len;
    /** Software TEE only: bytes that are measured as well, e.g. what this program was told to start; empty = none. No file of
     *  `measure` stands for a record, whatever is in it. Borrowed while the provider is opened. */
    struct ccz_span record;
    /** SEV-SNP only: ask for a report of this VMPL. Unset, the report is of the most privileged level that the guest
     *  may use (the one it runs at). The report is checked to carry the level that was asked for. */
    bool vmpl_set;
    uint8_t vmpl; /**< 0 to 3 */
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
 * @retval CCZ_E_ARG          unknown provider (err->expected lists the known ones), no sim_dir, a VMPL above 3 or
 *                            where there is none
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
/** Kind of TEE that the evidence is about: "sgx", "tdx" or "snp", static. */
CCZ_API const char *ccz_attester_tee(const struct ccz_attester *a);
CCZ_API bool ccz_attester_simulated(const struct ccz_attester *a);
/**
 * Appends evidence over @p report_data to @p out, one blob that a verifier needs nothing else from this machine for:
 *   SGX, TDX  an Intel quote
 *   SEV-SNP   attestation report (1184) || certificate table of the GHCB, if the host provides one: entries of 24
 *             bytes { GUID, u32 offset, u32 length }, offsets from the start of the table; a zero entry; the
 *             certificates. Exactly the bytes that the entries cover. Host data: whether the certificates are
 *             genuine is for the verifier to find out.
 * Costs: software TEE one ECDSA signature; Gramine ~10 ms; TDX through configfs ~1 s (the driver polls once per
 * second), SEV-SNP through sev-guest one per 2 s, so never once per connection.
 * @param[out] out  untouched on failure
 * @retval CCZ_E_TIMEOUT      timeout_ms passed, or the driver gave up
 * @retval CCZ_E_UNAVAILABLE  no driver, still busy, or another process kept interfering; with a hint
 * @retval CCZ_E_MISMATCH     what came back is not over @p report_data ("tee:binding"), or of another VMPL ("tee:vmpl")
 * @retval CCZ_E_UNSUPPORTED  a quote or report in a format that this version does not know ("tee:quote-format")
 * @retval CCZ_E_PEER         host or driver broke the protocol, e.g. entries that leave the table ("tee:snp-table")
 * @retval CCZ_E_LIMIT        more bytes than @p out may hold
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_quote(struct ccz_buf *out, struct ccz_attester *a,
                                               const uint8_t report_data[64], struct ccz_err *err);
/** Measurement this process reports (MRENCLAVE 32 bytes, MRTD 48 bytes) where known without a quote
 *  (software TEE); empty otherwise. Borrowed from @p a. */
CCZ_API struct ccz_span ccz_attester_measurement(const struct ccz_attester *a);

/** Who may have a sealing key. */
enum ccz_seal_to {
    CCZ_SEAL_TO_MEASUREMENT = 1, /**< this very program: another build has another key */
    CCZ_SEAL_TO_SIGNER = 2       /**< every program of its signer */
};
/**
 * A key that only this TEE on this machine can have again: to encrypt what outlives the process.
 *   gramine  SGX sealing key, /dev/attestation/keys/_sgx_mrenclave or _sgx_mrsigner
 *   sim-sgx  from the platform's attestation key, the identity (MRENCLAVE or MRSIGNER) and DEBUG; as good as the mode of that file
 * TDX has no such key, and SNP's (SNP_GET_DERIVED_KEY) is not used.
 * @param[out] out  32 bytes, owned by the caller
 * @param info      purpose; each its own key
 * @retval CCZ_E_UNSUPPORTED  "tee:seal": this provider has none, with a hint
 * @retval CCZ_E_UNAVAILABLE, CCZ_E_PEER  "tee:seal-key": Gramine gives none (outside of SGX), or not 16 bytes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_attester_seal_key(struct ccz_secret **out, struct ccz_attester *a,
                                                  enum ccz_seal_to to, const char *info,
                                                  struct ccz_err *err);

/** What one hardware provider says on this machine. */
struct ccz_attester_probe {
    const char *provider; /**< for ccz_attester_cfg.provider, static */
    const char *tee;      /**< as ccz_attester_tee(); NULL = does not answer, err says why */
    struct ccz_err
        err; /**< rc CCZ_OK if it answers; else where, msg and hint of ccz_attester_open() */
};
#define CCZ_ATTESTER_PROBES 4
/**
 * Opens each hardware provider in turn: gramine, configfs, tdx-guest, sev-guest. For people who choose one; a program
 * that takes the first that answers lets whoever breaks a provider choose the next.
 * Asks for no evidence. Takes up to 2 s where a host accepts no connection.
 * @param[out] out  CCZ_ATTESTER_PROBES entries, in that order
 * @param fs_root   as in the cfg
 * @return how many answer
 */
CCZ_API size_t ccz_attester_detect(struct ccz_attester_probe *out, const char *fs_root);

/* ----------------------------------------------------------- measurement registers of a TDX guest */

/**
 * Extends RTMR @p index at run time: RTMR = SHA-384(RTMR || digest), until the TD ends. By convention RTMR0 and RTMR1
 * belong to firmware and boot loader, RTMR2 to the OS, RTMR3 to applications. The kernel keeps no log: without a log
 * of the caller's own (eventlog.h: ccz_eventlog_extend()) nobody can explain the value.
 * Linux >= 6.16, root. An interrupted extend is repeated: the driver gives up before it extends.
 * @param index     0 to 3
 * @param fs_root   as in the cfg
 * @retval CCZ_E_ARG          index
 * @retval CCZ_E_UNAVAILABLE  no TDX guest, or the kernel is too old, with a hint which
 * @retval CCZ_E_DENIED       not root
 * @retval CCZ_E_IO           the driver refused; whether the register was extended shows only by reading it
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rtmr_extend(unsigned index, const uint8_t digest[48],
                                            const char *fs_root, struct ccz_err *err);
/** Current value of RTMR @p index, from the driver, unsigned. @param[out] out  48 bytes, zeroed on failure
 *  @retval as ccz_rtmr_extend(), and CCZ_E_PEER  not 48 bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rtmr_read(uint8_t out[48], unsigned index, const char *fs_root,
                                          struct ccz_err *err);
/**
 * Appends the ACPI table CCEL and the boot event log from /sys/firmware/acpi/tables; eventlog.h reads both.
 * @param[out] table, log  untouched on failure; bounded by their max_size (a log area is 64 KiB to some MiB)
 * @retval CCZ_E_UNAVAILABLE  no such table: firmware that keeps no log, or no TDX guest
 * @retval CCZ_E_DENIED       not root
 * @retval CCZ_E_LIMIT        larger than a buffer may grow
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ccel_read(struct ccz_buf *table, struct ccz_buf *log,
                                          const char *fs_root, struct ccz_err *err);

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
 *     snp/                  an AMD processor: vcek_key.pem (P-384), cert_table.bin (VCEK, ASK, ARK)
 *   DIR/trust/              public: what a verifier is given with --trust-sim DIR/trust
 *     root.pem              the simulated root, the only trust anchor; written last
 *     sgx/ and tdx/         a collateral bundle each: tcb_info.json, qe_identity.json (PCS response objects, v3 and
 *                           v2), tcb_info_issuer_chain.pem, qe_identity_issuer_chain.pem,
 *                           pck_crl_issuer_chain.pem (PEM, root last), root_ca_crl.der, pck_crl.der
 *     snp/                  ark.pem (a simulated ARK-Milan, trust anchor of SNP reports), ask.pem, vcek.der, crl.der
 *
 * The keys of the authorities (root, PCK Platform CA, TCB signing; ARK, ASK, which have P-384 keys in place of AMD's
 * RSA-4096) exist only during the call: nobody can
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
 * The measurement the software TEE gives to an executable with this record and these measured libraries:
 * SHA-256("cczoo sim measurement v1" NUL || for each: size u64 LE || SHA-256(content)): the executable, the record unless it
 * is empty, the libraries. The size of a record has its highest bit set, that of a file has not.
 * Streams; a file that changes size meanwhile is an error.
 * @param[out] out 32 bytes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sim_measure(uint8_t out[32], const char *exe,
                                            struct ccz_span record, const char *const *libs,
                                            size_t len, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
