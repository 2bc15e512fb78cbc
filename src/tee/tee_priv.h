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

struct cczi_tee_request {
    struct ccz_buf *out, *aux; /**< scratch buffers, empty at the start of each attempt */
    const uint8_t *report_data;
    int64_t deadline_ms;
};
struct cczi_tee_provider {
    const char *name;
    bool simulated;
    ccz_rc (*open)(struct ccz_attester *a, const struct ccz_attester_cfg *cfg, struct ccz_err *err);
    ccz_rc (*quote)(struct ccz_attester *a, const struct cczi_tee_request *q, struct ccz_err *err);
    void (*close)(struct ccz_attester *a); /**< NULL = nothing to release */
};
extern const struct cczi_tee_provider cczi_tee_gramine, cczi_tee_configfs, cczi_tee_sim_sgx,
    cczi_tee_sim_tdx;

enum { CCZI_TEE_ROOT_SIZE = 256, CCZI_TEE_PATH_SIZE = 512 };
struct cczi_sim; /* sim.c */
struct ccz_attester {
    const struct cczi_tee_provider *provider;
    struct cczi_tee_fs fs;
    char root[CCZI_TEE_ROOT_SIZE];
    int64_t timeout_ms;
    pthread_mutex_t lock; /**< gramine: its files are one state per process */
    bool snp;             /**< configfs: SEV-SNP, not TDX */
    struct cczi_sim *sim; /**< software TEE */
    uint8_t measurement[48];
    size_t measurement_size;
};

/** ccz_attester_open() over other file operations. */
ccz_rc cczi_attester_open(struct ccz_attester **out, const struct ccz_attester_cfg *cfg,
                          const struct cczi_tee_fs *fs, struct ccz_err *err);
#endif
