/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, quote generation service and registers of the model of the kernel. Structures are read by offset, so that
 * the module's declarations of the ABI are judged independently. */
#define _DEFAULT_SOURCE
#include "fake_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE = 4096, CERTS_MAX = 4 * PAGE };

static uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void *pointer(const uint8_t *p)
{
    uint64_t v = get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
    return (void *)(uintptr_t)v;
}

static struct fake_kernel *lock(void *arg)
{
    struct fake_kernel *k = arg;
    (void)pthread_mutex_lock(&k->lock);
    k->now_ms++;
    return k;
}

/* -------------------------------------------------------------------------------------- files */

static int open_blob(struct fake_file *f, struct ccz_span content)
{
    if (content.size == 0 || content.size > FAKE_BLOB_MAX)
        return -ENOENT;
    memcpy(f->data, content.ptr, content.size);
    f->size = content.size;
    return 0;
}

static int open_rtmr(struct fake_kernel *k, struct fake_file *f, const char *path)
{
    int index = path[0] - '0';
    if (!k->rtmr_files || index < 0 || index > 3 || strcmp(path + 1, ":sha384") != 0)
        return -ENOENT;
    if (f->write && k->rtmr_denied)
        return -EACCES;
    (void)snprintf(f->name, sizeof(f->name), "rtmr%d", index);
    memcpy(f->data, k->rtmr[index], 48);
    f->size = k->rtmr_read_size;
    return 0;
}

int fake_open_device(struct fake_kernel *k, struct fake_file *f, const char *path)
{
    static const char rtmr[] = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr";
    bool tdx = k->tdx_device && strcmp(path, "/dev/tdx_guest") == 0;
    bool sev = k->sev_device && strcmp(path, "/dev/sev-guest") == 0;
    if (tdx || sev) {
        (void)snprintf(f->name, sizeof(f->name), "%s", path + 5);
        return -k->device_error;
    }
    if (strncmp(path, rtmr, sizeof(rtmr) - 1) == 0)
        return open_rtmr(k, f, path + sizeof(rtmr) - 1);
    bool table = strcmp(path, "/sys/firmware/acpi/tables/CCEL") == 0;
    if (table || strcmp(path, "/sys/firmware/acpi/tables/data/CCEL") == 0)
        return k->ccel_error ? -k->ccel_error : open_blob(f, table ? k->ccel_table : k->ccel_log);
    const char *text = strcmp(path, "/etc/tdx-attest.conf") == 0               ? k->tdx_conf
                       : strcmp(path, "/sys/devices/system/cpu/sev/vmpl") == 0 ? k->vmpl_text
                                                                               : NULL;
    if (!text)
        return -ENOENT;
    fake_text(f, text);
    return 0;
}

/* tsm-mr.c: whole values at offset 0 only. The locks are taken before the extend, and may be interrupted. */
int64_t fake_write_rtmr(struct fake_kernel *k, struct fake_file *f, const void *buf, size_t size)
{
    if (size != 48 || f->at != 0)
        return -EINVAL;
    if (fake_take(&k->interrupted))
        return -EINTR;
    if (k->ioctl_error)
        return -k->ioctl_error;
    uint8_t *rtmr = k->rtmr[f->name[4] - '0'], both[96];
    memcpy(both, rtmr, 48);
    memcpy(both + 48, buf, 48);
    SHA384(both, sizeof(both), rtmr);
    f->at = size;
    return (int64_t)size;
}

/* ------------------------------------------------------------------------------------- ioctls */

/* TDREPORT: report data at 128 of the MAC structure. */
static int tdx_report(uint8_t *req)
{
    uint8_t *report = req + 64;
    memset(report, 0x77, 1024);
    memcpy(report + 128, req, 64);
    return 0;
}

static void wipe(struct fake_kernel *k, uint8_t *io)
{
    k->key_wiped = true;
    put_le32(io + 24, k->fw_error);
    put_le32(io + 28, k->vmm_error);
}

static void message(struct fake_kernel *k)
{
    if (k->sent < FAKE_TIMES)
        k->sent_ms[k->sent] = k->now_ms;
    k->sent++;
}

static void snp_answer(struct fake_kernel *k, const uint8_t *req, uint8_t *resp)
{
    static const uint8_t other[64] = {0xee};
    uint32_t vmpl = get_le32(req + 64);
    memset(resp, 0, 4000);
    if (vmpl > 3 || vmpl < (uint32_t)k->running_vmpl) {
        put_le32(resp, 0x16); /* INVALID_PARAM */
        return;
    }
    put_le32(resp, k->snp_status);
    put_le32(resp + 4, k->snp_report_size ? k->snp_report_size : 1184);
    fake_quote(resp + 32, 1184, CCZI_TEE_SNP, 0, fake_take(&k->other_data) ? other : req);
    put_le32(resp + 32 + 0x30, k->other_vmpl >= 0 ? (uint32_t)k->other_vmpl : vmpl);
}

/* drivers/virt/coco/sev-guest: struct snp_guest_request_ioctl { version u8 @0, req @8, resp @16, exitinfo2 @24 }. */
static int snp_request(struct fake_kernel *k, uint8_t *io, bool ext)
{
    uint8_t *req = pointer(io + 8), *resp = pointer(io + 16);
    if (io[0] == 0 || !req || !resp)
        return -EINVAL;
    for (size_t i = 0; i < 28; i++)
        if (req[68 + i] != 0)
            return -EINVAL;
    uint8_t *certs = ext ? pointer(req + 96) : NULL;
    uint32_t certs_len = certs ? get_le32(req + 104) : 0;
    if (certs_len > CERTS_MAX || certs_len % PAGE != 0)
        return -EINVAL;
    if (k->key_wiped)
        return -ENOTTY;
    if (fake_take(&k->interrupted))
        return -EINTR;
    message(k);
    if (k->ioctl_error) {
        wipe(k, io);
        return -k->ioctl_error;
    }
    if (ext && k->certs_size > certs_len) { /* sent again without certificates: the key lives on */
        message(k);
        put_le32(req + 104, (uint32_t)((k->certs_size + PAGE - 1) / PAGE * PAGE));
        put_le32(io + 24, 0);
        put_le32(io + 28, 1);
        return -EIO;
    }
    snp_answer(k, req, resp);
    if (certs) {
        memset(certs, 0, certs_len);
        memcpy(certs, k->certs, k->certs_size);
    }
    put_le32(io + 24, 0);
    put_le32(io + 28, 0);
    return 0;
}

int fake_ioctl(void *arg, int fd, unsigned long request, void *data)
{
    struct fake_kernel *k = lock(arg);
    const char *name = k->fd[fd].name;
    int e = -ENOTTY;
    if (strcmp(name, "tdx_guest") == 0 && request == _IOWR('T', 1, uint8_t[64 + 1024]))
        e = fake_take(&k->interrupted) ? -EINTR
            : k->ioctl_error           ? -k->ioctl_error
                                       : tdx_report(data);
    else if (strcmp(name, "sev-guest") == 0 && request == _IOWR('S', 0, uint8_t[32]))
        e = snp_request(k, data, false);
    else if (strcmp(name, "sev-guest") == 0 && request == _IOWR('S', 2, uint8_t[32]))
        e = snp_request(k, data, true);
    (void)pthread_mutex_unlock(&k->lock);
    return e;
}

/* --------------------------------------------------------------------- quote generation service */

static void qgs_answer(struct fake_kernel *k)
{
    uint8_t *out = k->qgs_out, report_data[64];
    memcpy(report_data, k->qgs_in + 4 + 24 + 128, 64);
    if (k->qgs_mode == QGS_REPLAY)
        report_data[0] ^= 1;
    uint32_t quote = (uint32_t)k->outblob_size, size = 24 + k->qgs_id_size + quote;
    uint32_t frame = k->qgs_mode == QGS_HUGE    ? 0x80000000u
                     : k->qgs_mode == QGS_EMPTY ? 0
                     : k->qgs_mode == QGS_SHORT ? size - 100
                                                : size;
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(frame >> (24 - 8 * i));
    put_le32(out + 4, 0x00010001);
    put_le32(out + 8, k->qgs_mode == QGS_TYPE ? 3 : 1);
    put_le32(out + 12, size);
    put_le32(out + 16, k->qgs_mode == QGS_ERROR ? 0x12001 : 0);
    put_le32(out + 20, k->qgs_id_size);
    put_le32(out + 24, quote);
    memset(out + 28, 0x99, k->qgs_id_size);
    fake_quote(out + 28 + k->qgs_id_size, quote, CCZI_TEE_TDX, k->quote_version, report_data);
    k->qgs_out_size = 4 + size - (k->qgs_mode == QGS_CUT ? 1 : 0);
}

/* A well-formed request for a quote, as the service checks it. */
static bool qgs_request_good(const uint8_t *in)
{
    return get_le32(in + 4) == 0x00010001 && get_le32(in + 8) == 0 && get_le32(in + 12) == 1048 &&
           get_le32(in + 16) == 0 && get_le32(in + 20) == 1024 && get_le32(in + 24) == 0;
}

/* The service's turn: takes what has come, answers when the request is complete. */
static void qgs_run(struct fake_kernel *k)
{
    const size_t whole = 4 + 1048;
    ssize_t n = recv(k->qgs_fd[1], k->qgs_in + k->qgs_in_size, sizeof(k->qgs_in) - k->qgs_in_size,
                     MSG_DONTWAIT);
    k->qgs_in_size += n > 0 ? (size_t)n : 0;
    if (k->qgs_in_size < whole || k->qgs_mode == QGS_SILENT || k->qgs_fd[1] < 0)
        return;
    if (!k->qgs_answered) {
        static const uint8_t frame[4] = {0, 0, 0x04, 0x18};
        bool good = memcmp(k->qgs_in, frame, 4) == 0 && k->qgs_in_size == whole &&
                    qgs_request_good(k->qgs_in);
        k->qgs_answered = true;
        if (good && k->qgs_mode != QGS_HANGS_UP)
            qgs_answer(k);
    }
    size_t left = k->qgs_out_size - k->qgs_out_at;
    n = send(k->qgs_fd[1], k->qgs_out + k->qgs_out_at, left < k->qgs_chunk ? left : k->qgs_chunk,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    k->qgs_out_at += n > 0 ? (size_t)n : 0;
    if (k->qgs_out_at == k->qgs_out_size) {
        (void)close(k->qgs_fd[1]);
        k->qgs_fd[1] = -1;
    }
}

int fake_connect(void *arg, uint32_t cid, uint32_t port, int64_t timeout_ms)
{
    struct fake_kernel *k = lock(arg);
    int e = k->connect_error == ETIMEDOUT || timeout_ms <= 0 ? ETIMEDOUT : k->connect_error;
    if (e == ETIMEDOUT)
        k->now_ms += timeout_ms > 0 ? timeout_ms : 0;
    if (e == 0 && (cid != 2 || port != k->qgs_port || k->qgs_fd[0] >= 0))
        e = ECONNRESET; /* nobody listens there */
    if (e == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, k->qgs_fd) < 0)
        e = errno;
    if (e == 0) {
        k->connects++;
        k->qgs_in_size = k->qgs_out_size = k->qgs_out_at = 0;
        k->qgs_answered = false;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return e ? -e : FAKE_QGS_FD;
}

int64_t fake_send(void *arg, int fd, const void *buf, size_t size)
{
    struct fake_kernel *k = lock(arg);
    int64_t n;
    (void)fd;
    if (fake_take(&k->interrupted))
        n = -EINTR;
    else if (k->send_max && k->sends++ % 2 == 1)
        n = -EAGAIN;
    else {
        n = send(k->qgs_fd[0], buf, k->send_max && size > k->send_max ? k->send_max : size,
                 MSG_NOSIGNAL);
        n = n < 0 ? -errno : n;
    }
    (void)pthread_mutex_unlock(&k->lock);
    return n;
}

int64_t fake_read_socket(struct fake_kernel *k, void *buf, size_t size)
{
    if (fake_take(&k->interrupted))
        return -EINTR;
    ssize_t n = recv(k->qgs_fd[0], buf, size < k->read_max ? size : k->read_max, 0);
    return n < 0 ? -errno : n;
}

int fake_wait(void *arg, int fd, bool for_write, int64_t timeout_ms)
{
    struct fake_kernel *k = lock(arg);
    struct pollfd p = {.fd = k->qgs_fd[0], .events = for_write ? POLLOUT : POLLIN};
    (void)fd;
    int n = fake_take(&k->interrupted) ? -EINTR : 0;
    if (n == 0) {
        qgs_run(k);
        n = poll(&p, 1, 0);
    }
    if (n == 0)
        k->now_ms += timeout_ms;
    (void)pthread_mutex_unlock(&k->lock);
    return n;
}

void fake_close_socket(struct fake_kernel *k)
{
    for (size_t i = 0; i < 2; i++) {
        if (k->qgs_fd[i] >= 0)
            (void)close(k->qgs_fd[i]);
        k->qgs_fd[i] = -1;
    }
}
