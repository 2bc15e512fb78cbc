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
enum { TDX_REPORT_DATA_AT = 48 + 520, SNP_REPORT_DATA_AT = 0x50, SGX_REPORT_DATA_AT = 48 + 320 };

void fake_init(struct fake_kernel *k)
{
    *k = (struct fake_kernel){.root = "/fake",
                              .provider = "tdx_guest\n",
                              .mounted = true,
                              .privlevel_floor = -1,
                              .outblob_size = 5000,
                              .read_max = SIZE_MAX};
    (void)pthread_mutex_init(&k->lock, NULL);
}

static bool take(int *fault)
{
    if (*fault <= 0)
        return false;
    (*fault)--;
    return true;
}

/* ----------------------------------------------------------------------------------- content */

static void set_text(struct fake_file *f, const char *text)
{
    f->size = strlen(text);
    memcpy(f->data, text, f->size);
}

static void set_blob(struct fake_file *f, size_t size, size_t at, const uint8_t *report_data)
{
    for (size_t i = 0; i < size; i++)
        f->data[i] = (uint8_t)i;
    memcpy(f->data + at, report_data, 64);
    f->size = size;
}

/* The driver's report: made from what was committed. */
static int make_outblob(struct fake_kernel *k, struct fake_file *f)
{
    if (k->outblob_error)
        return -k->outblob_error;
    if (take(&k->busy_reads))
        return -EBUSY;
    if (take(&k->interrupted))
        return -EINTR;
    if (k->inblob_size != 64)
        return -EINVAL;
    bool snp = strncmp(k->provider, "sev", 3) == 0;
    set_blob(f, snp ? 1184 : k->outblob_size, snp ? SNP_REPORT_DATA_AT : TDX_REPORT_DATA_AT,
             k->inblob);
    if (snp)
        f->data[0x30] = (uint8_t)k->privlevel; /* VMPL */
    if (take(&k->foreign_after))
        k->generation++;
    return 0;
}

static int open_report_file(struct fake_kernel *k, struct fake_file *f)
{
    char text[32];
    bool snp = strncmp(k->provider, "sev", 3) == 0;
    if (strcmp(f->name, "provider") == 0) {
        set_text(f, k->provider);
    } else if (strcmp(f->name, "generation") == 0) {
        (void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)k->generation);
        set_text(f, text);
    } else if (strcmp(f->name, "outblob") == 0) {
        return f->write ? -EACCES : 0; /* content: at the first read */
    } else if (strcmp(f->name, "auxblob") == 0 && snp) {
        set_blob(f, k->auxblob_size, 0, k->inblob);
    } else if (strcmp(f->name, "privlevel_floor") == 0 && snp && k->privlevel_floor >= 0) {
        (void)snprintf(text, sizeof(text), "%d\n", k->privlevel_floor);
        set_text(f, text);
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
        set_text(f, k->attestation_type);
    else if (strcmp(f->name, "quote") == 0) { /* made here, from the report data of this moment */
        if (take(&k->interrupted))
            return -EINTR;
        if (take(&k->foreign_gramine))
            memset(k->report_data, 0xee, 64);
        if (k->quote_error)
            return -k->quote_error;
        set_blob(f, k->outblob_size, SGX_REPORT_DATA_AT, k->report_data);
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
    if (f->write && strcmp(f->name, "inblob") == 0 && f->size > 0 && !take(&k->dropped)) {
        memcpy(k->inblob, f->data, 64);
        k->inblob_size = f->size;
        k->generation++;
        if (take(&k->foreign_before)) {
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
    int64_t n = read_locked(k, &k->fd[fd], buf, size);
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
    return (struct cczi_tee_fs){fake_open,  fake_read,   fake_write,    fake_close, fake_mkdir,
                                fake_rmdir, fake_now_ms, fake_sleep_ms, k};
}
