/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H
/*
 * A model of the two kernels the tee module talks to, behind its table of file operations.
 *
 * configfs-tsm (Linux drivers/virt/coco/guest/report.c): mkdir makes a request with its own
 * generation counter; a write to inblob is committed when the file is closed; a text option at
 * once; each commit counts one generation; outblob is made on the first read after a commit and
 * needs exactly 64 bytes of input; files cannot be removed, only the directory. Gramine
 * /dev/attestation: every write replaces the report data at once; the quote is made at open().
 *
 * Faults are counters: how often the next operations misbehave. All functions may be called from
 * several threads.
 */
#include "tee/tee_priv.h"

enum { FAKE_FDS = 32, FAKE_BLOB_MAX = 40000 };

struct fake_file {
    bool used, write;
    char name[32];
    uint8_t data[FAKE_BLOB_MAX];
    size_t size, at;
};

struct fake_kernel {
    const char *root; /* what paths begin with */
    /* configfs */
    const char *provider; /* "tdx_guest\n"; NULL = no driver: mkdir gives ENXIO */
    bool mounted;         /* false: the report directory does not exist */
    int privlevel_floor;  /* -1 = the file is absent */
    size_t outblob_size, auxblob_size;
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
    /* faults */
    int mkdir_error;
    int busy_reads;      /* outblob answers EBUSY */
    int interrupted;     /* outblob or quote answers EINTR */
    int dropped;         /* commits that the driver drops without a word */
    int foreign_before;  /* another process writes right after our commit */
    int foreign_after;   /* another process writes after outblob was read */
    int outblob_error;   /* errno of every outblob read */
    int foreign_gramine; /* other code of the process sets report data before the quote is opened */
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
#endif
