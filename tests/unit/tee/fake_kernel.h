/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H
/*
 * A model of what the tee module talks to, behind its table of file operations.
 *
 * configfs-tsm (Linux drivers/virt/coco/guest/report.c): mkdir makes a request with its own
 * generation counter; a write to inblob is committed when the file is closed; a text option at
 * once; each commit counts one generation; outblob is made on the first read after a commit and
 * needs exactly 64 bytes of input; files cannot be removed, only the directory. Gramine
 * /dev/attestation: every write replaces the report data at once; the quote is made at open().
 *
 * /dev/tdx_guest and /dev/sev-guest: ioctls. The second wipes its key (VMPCK) after every failure
 * but "certificate buffer too small", and answers ENOTTY from then on. Quote generation service
 * (QGS): the far end of a socket pair, which answers when the module waits or reads.
 * /sys/.../measurements: a write is one extend, of exactly 48 bytes at offset 0.
 *
 * Faults are counters: how often the next operations misbehave. All functions may be called from
 * several threads, but for the QGS, which serves one connection.
 */
#include "tee/tee_priv.h"

enum { FAKE_FDS = 32, FAKE_BLOB_MAX = 40000, FAKE_QGS_FD = 1000, FAKE_TIMES = 16 };

struct fake_file {
    bool used, write;
    char name[32];
    uint8_t data[FAKE_BLOB_MAX];
    size_t size, at;
};

/* What the QGS does with a request; any but 0 is a fault. */
enum fake_qgs_mode {
    QGS_GOOD,
    QGS_SILENT,   /* never answers */
    QGS_HANGS_UP, /* closes without a word */
    QGS_ERROR,    /* error code 0x12001 */
    QGS_CUT,      /* closes before the last byte */
    QGS_SHORT,    /* a frame that ends inside of the quote */
    QGS_HUGE,     /* a frame of 2 GiB */
    QGS_EMPTY,    /* a frame of 0 bytes */
    QGS_TYPE,     /* answers another question */
    QGS_REPLAY,   /* a quote over other report data */
};

struct fake_kernel {
    const char *root; /* what paths begin with */
    /* configfs */
    const char *provider; /* "tdx_guest\n"; NULL = no driver: mkdir gives ENXIO */
    bool mounted;         /* false: the report directory does not exist */
    int privlevel_floor;  /* -1 = the file is absent */
    size_t outblob_size;
    uint16_t quote_version; /* of TDX quotes */
    bool exists;
    char dir[256];
    uint64_t generation;
    uint8_t inblob[64];
    size_t inblob_size;
    int privlevel;
    /* gramine */
    const char *attestation_type; /* NULL = not Gramine */
    uint8_t report_data[64];
    int quote_error; /* errno of opening `quote` */
    /* SNP, both ways */
    uint8_t certs[20000]; /* certificate table of the host */
    size_t certs_size;
    int other_vmpl; /* reports carry this VMPL, if >= 0 */
    /* devices */
    bool tdx_device, sev_device;
    int device_error; /* errno of opening one */
    int ioctl_error;  /* errno of the next ioctl; sev: wipes the key */
    uint32_t fw_error, vmm_error;
    uint32_t snp_status, snp_report_size; /* 0 = good */
    int running_vmpl;
    const char *vmpl_text; /* /sys/devices/system/cpu/sev/vmpl, NULL = absent */
    bool key_wiped;
    int sent; /* messages to the security processor */
    int64_t sent_ms[FAKE_TIMES];
    /* quote generation service */
    const char *tdx_conf; /* /etc/tdx-attest.conf, NULL = absent */
    int connect_error;    /* errno of connecting; 0 = it listens */
    uint32_t qgs_port;
    enum fake_qgs_mode qgs_mode;
    uint32_t qgs_id_size;
    size_t qgs_chunk; /* bytes sent at a time */
    size_t send_max;  /* bytes that one send() takes; every other one takes none */
    int qgs_fd[2];    /* -1 = no connection; [1] is the service's end */
    uint8_t qgs_in[4096], qgs_out[FAKE_BLOB_MAX + 64];
    size_t qgs_in_size, qgs_out_size, qgs_out_at;
    bool qgs_answered;
    int connects;
    unsigned sends;
    /* registers and event log */
    bool rtmr_files, rtmr_denied;
    uint8_t rtmr[4][48];
    size_t rtmr_read_size; /* bytes that reading gives, 48 is right */
    struct ccz_span ccel_table, ccel_log;
    int ccel_error; /* errno of opening either */
    /* faults */
    int mkdir_error;
    int busy_reads;      /* outblob answers EBUSY */
    int interrupted;     /* outblob, quote, ioctl, socket or register answers EINTR */
    int dropped;         /* commits that the driver drops without a word */
    int foreign_before;  /* another process writes right after our commit */
    int foreign_after;   /* another process writes after outblob was read */
    int outblob_error;   /* errno of every outblob read */
    int foreign_gramine; /* other code of the process sets report data before the quote is opened */
    int other_data;      /* the driver answers for other report data */
    bool short_write;    /* write() takes one byte less */
    bool rmdir_fails;
    size_t read_max; /* most bytes one read() returns */
    /* what happened */
    int64_t now_ms;
    int mkdirs, rmdirs, opens;
    struct fake_file fd[FAKE_FDS];
    pthread_mutex_t lock;
};

void fake_init(struct fake_kernel *k);
/* File operations over k; one clock tick per call, so that every loop of the module under test
 * ends. */
struct cczi_tee_fs fake_fs(struct fake_kernel *k);
/* A host's table of two certificates, 1000 and 500 bytes. @return its size */
size_t fake_certs(struct fake_kernel *k);
/* No file, no connection is left open. */
bool fake_all_closed(const struct fake_kernel *k);

/* For fake_devices.c. */
bool fake_take(int *fault);
void fake_text(struct fake_file *f, const char *text);
/* A quote or report of this kind over the report data. */
void fake_quote(uint8_t *out, size_t size, enum cczi_tee_kind kind, uint16_t version,
                const uint8_t report_data[64]);
int fake_open_device(struct fake_kernel *k, struct fake_file *f, const char *path);
int64_t fake_write_rtmr(struct fake_kernel *k, struct fake_file *f, const void *buf, size_t size);
int fake_ioctl(void *arg, int fd, unsigned long request, void *data);
int fake_connect(void *arg, uint32_t cid, uint32_t port, int64_t timeout_ms);
int64_t fake_send(void *arg, int fd, const void *buf, size_t size);
int fake_wait(void *arg, int fd, bool for_write, int64_t timeout_ms);
int64_t fake_read_socket(struct fake_kernel *k, void *buf, size_t size);
void fake_close_socket(struct fake_kernel *k);
#endif
