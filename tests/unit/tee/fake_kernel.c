/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "fake_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_DIR "/sys/kernel/config/tsm/report/"

void fake_init(struct fake_kernel *k)
{
    *k = (struct fake_kernel){.root = "/fake",
                              .provider = "tdx_guest\n",
                              .mounted = true,
                              .privlevel_floor = -1,
                              .outblob_size = 5000,
                              .quote_version = 4,
                              .other_vmpl = -1,
                              .qgs_port = 4050,
                              .qgs_chunk = SIZE_MAX,
                              .qgs_fd = {-1, -1},
                              .rtmr_read_size = 48,
                              .read_max = SIZE_MAX};
    (void)pthread_mutex_init(&k->lock, NULL);
}

bool fake_take(int *fault)
{
    if (*fault <= 0)
        return false;
    (*fault)--;
    return true;
}

/* ----------------------------------------------------------------------------------- content */

void fake_text(struct fake_file *f, const char *text)
{
    f->size = strlen(text);
    memcpy(f->data, text, f->size);
}

static void put_le16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void fake_quote(uint8_t *out, size_t size, enum cczi_tee_kind kind, uint16_t version,
                const uint8_t report_data[64])
{
    size_t at = kind == CCZI_TEE_SNP   ? 0x50
                : kind == CCZI_TEE_SGX ? 48 + 320
                : version == 5         ? 54 + 520
                                       : 48 + 520;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)i;
    if (size >= 8 && kind != CCZI_TEE_SNP) {
        memset(out, 0, 8);
        put_le16(out, version);
        put_le16(out + 2, 2); /* ECDSA P-256 */
        put_le16(out + 4, kind == CCZI_TEE_TDX ? 0x81 : 0);
    }
    for (size_t i = 0; i < 64 && at + i < size; i++)
        out[at + i] = report_data[i];
}

size_t fake_certs(struct fake_kernel *k)
{
    static const uint8_t sizes[2][2] = {{0xe8, 0x03}, {0xf4, 0x01}}; /* 1000, 500 */
    memset(k->certs, 0, sizeof(k->certs));
    for (size_t i = 0; i < 2; i++) {
        uint8_t *entry = k->certs + 24 * i;
        memset(entry, (int)(0xa0 + i), 16); /* GUID */
        put_le16(entry + 16, i == 0 ? 72 : 1072);
        memcpy(entry + 20, sizes[i], 2);
    }
    memset(k->certs + 72, 0x11, 1000);
    memset(k->certs + 1072, 0x22, 500);
    k->certs_size = 1572;
    return k->certs_size;
}

bool fake_all_closed(const struct fake_kernel *k)
{
    for (size_t i = 0; i < FAKE_FDS; i++)
        if (k->fd[i].used)
            return false;
    return k->qgs_fd[0] < 0 && !k->exists;
}

/* The driver's report: made from what was committed. */
static int make_outblob(struct fake_kernel *k, struct fake_file *f)
{
    if (k->outblob_error)
        return -k->outblob_error;
    if (fake_take(&k->busy_reads))
        return -EBUSY;
    if (fake_take(&k->interrupted))
        return -EINTR;
    if (k->inblob_size != 64)
        return -EINVAL;
    bool snp = strncmp(k->provider, "sev", 3) == 0;
    static const uint8_t other[64] = {0xee};
    f->size = snp && k->outblob_size == 5000 ? 1184 : k->outblob_size;
    fake_quote(f->data, f->size, snp ? CCZI_TEE_SNP : CCZI_TEE_TDX, k->quote_version,
               fake_take(&k->other_data) ? other : k->inblob);
    if (snp) { /* VMPL */
        memset(f->data + 0x30, 0, 4);
        f->data[0x30] = (uint8_t)(k->other_vmpl >= 0 ? k->other_vmpl : k->privlevel);
    }
    if (fake_take(&k->foreign_after))
        k->generation++;
    return 0;
}

static int open_report_file(struct fake_kernel *k, struct fake_file *f)
{
    char text[32];
    bool snp = strncmp(k->provider, "sev", 3) == 0;
    if (strcmp(f->name, "provider") == 0) {
        fake_text(f, k->provider);
    } else if (strcmp(f->name, "generation") == 0) {
        (void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)k->generation);
        fake_text(f, text);
    } else if (strcmp(f->name, "outblob") == 0) {
        return f->write ? -EACCES : 0; /* content: at the first read */
    } else if (strcmp(f->name, "auxblob") == 0 && snp) {
        memcpy(f->data, k->certs, k->certs_size);
        f->size = k->certs_size;
    } else if (strcmp(f->name, "privlevel_floor") == 0 && snp && k->privlevel_floor >= 0) {
        (void)snprintf(text, sizeof(text), "%d\n", k->privlevel_floor);
        fake_text(f, text);
    } else if (strcmp(f->name, "inblob") != 0 && !(strcmp(f->name, "privlevel") == 0 && snp)) {
        return -ENOENT;
    }
    return 0;
}

static int open_gramine_file(struct fake_kernel *k, struct fake_file *f)
{
    if (!k->attestation_type)
        return -ENOENT;
    if (strcmp(f->name, "attestation_type") == 0)
        fake_text(f, k->attestation_type);
    else if (strcmp(f->name, "quote") == 0) { /* made here, from the report data of this moment */
        if (fake_take(&k->interrupted))
            return -EINTR;
        if (fake_take(&k->foreign_gramine))
            memset(k->report_data, 0xee, 64);
        if (k->quote_error)
            return -k->quote_error;
        f->size = k->outblob_size;
        fake_quote(f->data, f->size, CCZI_TEE_SGX, 3, k->report_data);
    } else if (strcmp(f->name, "user_report_data") != 0)
        return -ENOENT;
    return 0;
}

/* -------------------------------------------------------------------------------- operations */

static int open_locked(struct fake_kernel *k, const char *path, int flags)
{
    int fd = 0;
    while (fd < FAKE_FDS && k->fd[fd].used)
        fd++;
    if (fd == FAKE_FDS)
        return -EMFILE;
    struct fake_file *f = &k->fd[fd];
    size_t root = strlen(k->root);
    if (strncmp(path, k->root, root) != 0)
        return -ENOENT;
    path += root;
    memset(f, 0, sizeof(*f));
    f->write = (flags & O_ACCMODE) == O_WRONLY;
    int e = -ENOENT;
    if (strncmp(path, "/dev/attestation/", 17) == 0) {
        (void)snprintf(f->name, sizeof(f->name), "%.31s", path + 17);
        e = open_gramine_file(k, f);
    } else if (k->exists && strncmp(path, k->dir, strlen(k->dir)) == 0 &&
               path[strlen(k->dir)] == '/') {
        (void)snprintf(f->name, sizeof(f->name), "%.31s", path + strlen(k->dir) + 1);
        e = open_report_file(k, f);
    } else {
        e = fake_open_device(k, f, path);
    }
    f->used = e == 0;
    k->opens += e == 0;
    return e == 0 ? fd : e;
}

static int64_t read_locked(struct fake_kernel *k, struct fake_file *f, void *buf, size_t size)
{
    if (strcmp(f->name, "outblob") == 0 && f->at == 0) {
        int e = make_outblob(k, f);
        if (e < 0)
            return e;
    }
    if (strncmp(f->name, "rtmr", 4) == 0 && fake_take(&k->interrupted))
        return -EINTR;
    size_t n = f->size - f->at;
    n = n < size ? n : size;
    n = n < k->read_max ? n : k->read_max;
    memcpy(buf, f->data + f->at, n);
    f->at += n;
    return (int64_t)n;
}

static int64_t write_locked(struct fake_kernel *k, struct fake_file *f, const void *buf,
                            size_t size)
{
    if (!f->write)
        return -EBADF;
    size -= k->short_write ? 1 : 0;
    if (strncmp(f->name, "rtmr", 4) == 0)
        return fake_write_rtmr(k, f, buf, size);
    if (size > 64)
        return -EINVAL;
    if (strcmp(f->name, "user_report_data") == 0) { /* replaces, zero padded */
        memset(k->report_data, 0, 64);
        memcpy(k->report_data, buf, size);
    } else if (strcmp(f->name, "privlevel") == 0) {
        char text[65] = "";
        memcpy(text, buf, size);
        char *end;
        long level = strtol(text, &end, 10);
        if (end == text || *end || level < k->privlevel_floor || level > 3)
            return -EINVAL; /* kstrtouint: decimal text */
        k->privlevel = (int)level;
        k->generation++;
    } else {
        memcpy(f->data + f->size, buf, size); /* pending until close */
        f->size += size;
    }
    return (int64_t)size;
}

static void close_locked(struct fake_kernel *k, struct fake_file *f)
{
    if (f->write && strcmp(f->name, "inblob") == 0 && f->size > 0 && !fake_take(&k->dropped)) {
        memcpy(k->inblob, f->data, 64);
        k->inblob_size = f->size;
        k->generation++;
        if (fake_take(&k->foreign_before)) {
            memset(k->inblob, 0xee, 64);
            k->generation++;
        }
    }
    f->used = false;
}

static struct fake_kernel *lock(void *arg)
{
    struct fake_kernel *k = arg;
    (void)sched_yield(); /* let another thread in between any two operations */
    (void)pthread_mutex_lock(&k->lock);
    k->now_ms++;
    return k;
}

static int fake_open(void *arg, const char *path, int flags)
{
    struct fake_kernel *k = lock(arg);
    int fd = open_locked(k, path, flags);
    (void)pthread_mutex_unlock(&k->lock);
    return fd;
}

static int64_t fake_read(void *arg, int fd, void *buf, size_t size)
{
    struct fake_kernel *k = lock(arg);
    int64_t n =
        fd >= FAKE_QGS_FD ? fake_read_socket(k, buf, size) : read_locked(k, &k->fd[fd], buf, size);
    (void)pthread_mutex_unlock(&k->lock);
    return n;
}

static int64_t fake_write(void *arg, int fd, const void *buf, size_t size)
{
    struct fake_kernel *k = lock(arg);
    int64_t n = write_locked(k, &k->fd[fd], buf, size);
    (void)pthread_mutex_unlock(&k->lock);
    return n;
}

static int fake_close(void *arg, int fd)
{
    struct fake_kernel *k = lock(arg);
    if (fd >= FAKE_QGS_FD)
        fake_close_socket(k);
    else
        close_locked(k, &k->fd[fd]);
    (void)pthread_mutex_unlock(&k->lock);
    return 0; /* configfs does not pass the driver's verdict on */
}

static int mkdir_locked(struct fake_kernel *k, const char *path)
{
    size_t root = strlen(k->root);
    if (k->mkdir_error)
        return -k->mkdir_error;
    if (!k->mounted || strncmp(path, k->root, root) != 0 ||
        strncmp(path + root, REPORT_DIR, strlen(REPORT_DIR)) != 0)
        return -ENOENT;
    if (!k->provider)
        return -ENXIO;
    if (k->exists) /* one at a time is enough for the tests */
        return -EEXIST;
    (void)snprintf(k->dir, sizeof(k->dir), "%s", path + root);
    k->exists = true;
    k->generation = 0;
    k->inblob_size = 0;
    k->privlevel = 0;
    k->mkdirs++;
    return 0;
}

static int fake_mkdir(void *arg, const char *path)
{
    struct fake_kernel *k = lock(arg);
    int e = mkdir_locked(k, path);
    (void)pthread_mutex_unlock(&k->lock);
    return e;
}

static int fake_rmdir(void *arg, const char *path)
{
    struct fake_kernel *k = lock(arg);
    int e = k->exists && strcmp(path + strlen(k->root), k->dir) == 0 ? 0 : -ENOENT;
    if (e == 0 && k->rmdir_fails)
        e = -EBUSY;
    if (e == 0) {
        k->exists = false;
        k->rmdirs++;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return e;
}

static int64_t fake_now_ms(void *arg)
{
    struct fake_kernel *k = lock(arg);
    int64_t now = k->now_ms;
    (void)pthread_mutex_unlock(&k->lock);
    return now;
}

static void fake_sleep_ms(void *arg, int64_t ms)
{
    struct fake_kernel *k = lock(arg);
    k->now_ms += ms;
    (void)pthread_mutex_unlock(&k->lock);
}

struct cczi_tee_fs fake_fs(struct fake_kernel *k)
{
    return (struct cczi_tee_fs){
        fake_open,    fake_read, fake_write, fake_close,  fake_mkdir,    fake_rmdir, fake_ioctl,
        fake_connect, fake_send, fake_wait,  fake_now_ms, fake_sleep_ms, k};
}
