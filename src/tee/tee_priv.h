/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEE_PRIV_H
#define CCZ_TEE_PRIV_H
/* Shared by the files of src/tee: file operations, the provider interface, an open attester. */
#include <cczoo/tee.h>

#include <pthread.h>

/**
 * File operations of the providers, as a table so that a test can put a model of the kernel behind
 * them. All return >= 0, or -errno.
 */
struct cczi_tee_fs {
    int (*open)(void *arg, const char *path, int flags);
    int64_t (*read)(void *arg, int fd, void *buf, size_t size);
    int64_t (*write)(void *arg, int fd, const void *buf, size_t size);
    int (*close)(void *arg, int fd);
    int (*mkdir)(void *arg, const char *path);
    int (*rmdir)(void *arg, const char *path);
    int (*ioctl)(void *arg, int fd, unsigned long request, void *data);
    /** Connects a non-blocking stream socket to AF_VSOCK (cid, port). */
    int (*connect)(void *arg, uint32_t cid, uint32_t port, int64_t timeout_ms);
    int64_t (*send)(void *arg, int fd, const void *buf, size_t size); /**< without SIGPIPE */
    /** Until @p fd can be read (or written). @return 1, 0 if the time is over */
    int (*wait)(void *arg, int fd, bool for_write, int64_t timeout_ms);
    int64_t (*now_ms)(void *arg); /**< monotonic */
    void (*sleep_ms)(void *arg, int64_t ms);
    void *arg;
};
extern const struct cczi_tee_fs cczi_tee_fs_posix;

/** Appends a whole file. @return 0 or -errno; -EFBIG if it does not fit */
int cczi_tee_read(struct ccz_buf *out, const struct cczi_tee_fs *fs, const char *path);
/** Writes @p data in ONE write(), which is what these pseudo-files need. @return 0 or -errno; -EIO
 * if short */
int cczi_tee_write(const struct cczi_tee_fs *fs, const char *path, struct ccz_span data);
/** A file that holds a decimal number and a newline. @return 0 or -errno; -EPROTO anything else */
int cczi_tee_read_number(uint64_t *out, const struct cczi_tee_fs *fs, const char *path);

enum cczi_tee_kind { CCZI_TEE_NONE, CCZI_TEE_SGX, CCZI_TEE_TDX, CCZI_TEE_SNP };

enum {
    CCZI_TEE_ROOT_SIZE = 256,
    CCZI_TEE_PATH_SIZE = 512,
    CCZI_SNP_REPORT_SIZE = 1184,
    CCZI_SNP_TABLE_SIZE_MAX = 16384, /**< GHCB: what a host may hand to a guest */
    CCZI_VMPL_MAX = 3,
};

struct cczi_tee_request {
    struct ccz_buf *out;   /**< scratch buffers, empty at the start of each attempt */
    struct ccz_buf *certs; /**< SNP: the certificate table, anything behind it */
    const uint8_t *report_data;
    int64_t deadline_ms;
    int vmpl; /**< SNP: the level that was asked for; -1 = left to the driver */
};
struct cczi_tee_provider {
    const char *name;
    bool simulated;
    ccz_rc (*open)(struct ccz_attester *a, const struct ccz_attester_cfg *cfg, struct ccz_err *err);
    ccz_rc (*quote)(struct ccz_attester *a, struct cczi_tee_request *q, struct ccz_err *err);
    void (*close)(struct ccz_attester *a); /**< NULL = nothing to release */
    /** What to look for when a quote came back over other report data. */
    const char *binding_hint;
};
extern const struct cczi_tee_provider cczi_tee_gramine, cczi_tee_configfs, cczi_tee_tdx_guest,
    cczi_tee_sev_guest, cczi_tee_sim_sgx, cczi_tee_sim_tdx, cczi_tee_sim_snp;

struct cczi_sim;     /* sim.c */
struct cczi_sim_snp; /* sim_snp.c */
struct ccz_attester {
    const struct cczi_tee_provider *provider;
    struct cczi_tee_fs fs;
    char root[CCZI_TEE_ROOT_SIZE];
    int64_t timeout_ms;
    enum cczi_tee_kind kind; /**< set by the provider's open() */
    int vmpl;                /**< SNP: as configured, -1 = the lowest */
    /** gramine: its files are one state per process; sev-guest: guards busy and next_ms */
    pthread_mutex_t lock;
    bool busy;            /**< sev-guest: a request is under way */
    int64_t next_ms;      /**< sev-guest: no request before */
    uint32_t port;        /**< tdx-guest: of the quote generation service */
    struct cczi_sim *sim; /**< software TEE */
    struct cczi_sim_snp *sim_snp;
    uint8_t measurement[48];
    size_t measurement_size;
};

/** Raw sealing keys: 32 bytes (the last 16 zero where the hardware's has 16). */
ccz_rc cczi_gramine_seal(uint8_t raw[32], struct ccz_attester *a, enum ccz_seal_to to,
                         struct ccz_err *err);
ccz_rc cczi_sim_seal(uint8_t raw[32], struct ccz_attester *a, enum ccz_seal_to to,
                     struct ccz_err *err);

/** ccz_attester_open(), .. over other file operations. */
ccz_rc cczi_attester_open(struct ccz_attester **out, const struct ccz_attester_cfg *cfg,
                          const struct cczi_tee_fs *fs, struct ccz_err *err);
size_t cczi_attester_detect(struct ccz_attester_probe *out, const char *fs_root,
                            const struct cczi_tee_fs *fs);
ccz_rc cczi_rtmr_extend(unsigned index, const uint8_t digest[48], const char *fs_root,
                        const struct cczi_tee_fs *fs, struct ccz_err *err);
ccz_rc cczi_rtmr_read(uint8_t out[48], unsigned index, const char *fs_root,
                      const struct cczi_tee_fs *fs, struct ccz_err *err);
ccz_rc cczi_ccel_read(struct ccz_buf *table, struct ccz_buf *log, const char *fs_root,
                      const struct cczi_tee_fs *fs, struct ccz_err *err);

/* ------------------------------------------------------------------------------------ report.c */

/** What came back is of the kind, over the report data and of the VMPL that was asked for. */
ccz_rc cczi_tee_check_report(const struct ccz_attester *a, const struct cczi_tee_request *q,
                             struct ccz_err *err);
/**
 * Size of the certificate table at the start of @p raw: what its entries cover, 0 if it has none.
 * @retval CCZ_E_PEER  no zero entry, or an entry that leaves @p raw
 */
ccz_rc cczi_snp_table_size(size_t *out, struct ccz_span raw, struct ccz_err *err);

/* --------------------------------------------------------------------------------------- qgs.c */

enum { CCZI_TD_REPORT_MAC_SIZE = 1024, CCZI_QGS_MSG_SIZE_MAX = 131072 };
/** Appends a framed request for a quote over a TDREPORT. */
void cczi_qgs_request_put(struct ccz_buf *out, const uint8_t report[CCZI_TD_REPORT_MAC_SIZE]);
/**
 * The quote in a response, without its frame; a view.
 * @retval CCZ_E_PEER         the service reports an error (err->aux), or sizes do not add up
 * @retval CCZ_E_UNSUPPORTED  another version or type of message
 */
ccz_rc cczi_qgs_response_parse(struct ccz_span *quote, struct ccz_span msg, struct ccz_err *err);
/** The port in the text of /etc/tdx-attest.conf; 4050 if it names none. @retval CCZ_E_FORMAT  a port that is none */
ccz_rc cczi_qgs_port_parse(uint32_t *out, struct ccz_span text, struct ccz_err *err);
#endif
