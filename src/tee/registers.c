/* SPDX-License-Identifier: Apache-2.0 */
/* Measurement registers of a TDX guest (Linux Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest) and the
 * boot event log (ACPI table CCEL). */
#include "tee/tee_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { RTMR_LEN = 4, RTMR_SIZE = 48, RETRY_MS = 5, RETRIES = 200 };

static ccz_rc check_args(unsigned index, const char **root, const char *where, struct ccz_err *err)
{
    *root = *root ? *root : "";
    if (index >= RTMR_LEN)
        return ccz_fail(err, CCZ_E_ARG, where, index, "there are RTMR0 to RTMR3, not %u", index);
    if (strlen(*root) >= CCZI_TEE_ROOT_SIZE)
        return ccz_fail(err, CCZ_E_ARG, where, 0, "fs_root is too long");
    return CCZ_OK;
}

static void rtmr_path(char out[CCZI_TEE_PATH_SIZE], const char *root, unsigned index)
{
    (void)snprintf(out, CCZI_TEE_PATH_SIZE,
                   "%s/sys/devices/virtual/misc/tdx_guest/measurements/rtmr%u:sha384", root, index);
}

/* Without the file: is it the kernel or the machine? */
static const char *absent_hint(const char *root, const struct cczi_tee_fs *fs)
{
    char path[CCZI_TEE_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/dev/tdx_guest", root);
    int fd = fs->open(fs->arg, path, O_RDONLY);
    if (fd >= 0)
        (void)fs->close(fs->arg, fd);
    return fd >= 0 || fd == -EACCES || fd == -EPERM
               ? "this is a TDX guest, but its kernel does not show the registers: needs Linux >= "
                 "6.16"
               : "this must be a TDX guest with Linux >= 6.16: modprobe tdx_guest";
}

static ccz_rc rtmr_failed(struct ccz_err *err, const char *where, int e, const char *root,
                          const struct cczi_tee_fs *fs)
{
    if (e == ENOENT) {
        ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, where, e, "no measurement registers");
        return ccz_hint(err, rc, absent_hint(root, fs));
    }
    if (e == EACCES || e == EPERM) {
        ccz_rc rc = ccz_fail(err, CCZ_E_DENIED, where, e, "not allowed (%s)", strerror(e));
        return ccz_hint(err, rc, "extending a register needs root");
    }
    ccz_rc rc = ccz_fail(err, CCZ_E_IO, where, e, "%s", strerror(e));
    return ccz_hint(err, rc, "the kernel log tells why");
}

ccz_rc cczi_rtmr_extend(unsigned index, const uint8_t digest[48], const char *fs_root,
                        const struct cczi_tee_fs *fs, struct ccz_err *err)
{
    static const char where[] = "tee:rtmr-extend";
    char path[CCZI_TEE_PATH_SIZE];
    ccz_rc rc = check_args(index, &fs_root, where, err);
    if (rc != CCZ_OK)
        return rc;
    rtmr_path(path, fs_root, index);
    int e;
    for (int i = 0; (e = cczi_tee_write(fs, path, CCZ_SPAN(digest, RTMR_SIZE))) == -EINTR; i++) {
        if (i == RETRIES)
            break;
        fs->sleep_ms(fs->arg, RETRY_MS);
    }
    return e < 0 ? rtmr_failed(err, where, -e, fs_root, fs) : CCZ_OK;
}

ccz_rc cczi_rtmr_read(uint8_t out[48], unsigned index, const char *fs_root,
                      const struct cczi_tee_fs *fs, struct ccz_err *err)
{
    static const char where[] = "tee:rtmr-read";
    char path[CCZI_TEE_PATH_SIZE];
    memset(out, 0, RTMR_SIZE);
    ccz_rc rc = check_args(index, &fs_root, where, err);
    if (rc != CCZ_OK)
        return rc;
    rtmr_path(path, fs_root, index);
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, 2 * RTMR_SIZE);
    int e;
    for (int i = 0; (e = cczi_tee_read(&value, fs, path)) == -EINTR && i < RETRIES; i++) {
        ccz_buf_clear(&value);
        fs->sleep_ms(fs->arg, RETRY_MS);
    }
    if (e < 0 && e != -EFBIG)
        return rtmr_failed(err, where, -e, fs_root, fs);
    if (e < 0 || value.size != RTMR_SIZE)
        return ccz_refuse_num(err, CCZ_E_PEER, where, (int64_t)value.size, RTMR_SIZE);
    memcpy(out, value.ptr, RTMR_SIZE);
    return CCZ_OK;
}

ccz_rc ccz_rtmr_extend(unsigned index, const uint8_t digest[48], const char *fs_root,
                       struct ccz_err *err)
{
    return cczi_rtmr_extend(index, digest, fs_root, &cczi_tee_fs_posix, err);
}

ccz_rc ccz_rtmr_read(uint8_t out[48], unsigned index, const char *fs_root, struct ccz_err *err)
{
    return cczi_rtmr_read(out, index, fs_root, &cczi_tee_fs_posix, err);
}

/* ---------------------------------------------------------------------------------- event log */

static ccz_rc ccel_failed(struct ccz_err *err, const char *where, int e)
{
    if (e == ENOENT) {
        ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, where, e, "no boot event log");
        return ccz_hint(
            err, rc,
            strcmp(where, "tee:ccel-table") == 0
                ? "firmware shows no ACPI table CCEL: not a TDX guest, or firmware that "
                  "keeps no log"
                : "the kernel does not show the log at tables/data/CCEL: use a newer one");
    }
    if (e == EACCES || e == EPERM) {
        ccz_rc rc = ccz_fail(err, CCZ_E_DENIED, where, e, "not allowed (%s)", strerror(e));
        return ccz_hint(err, rc, "ACPI tables are readable by root");
    }
    if (e == EFBIG)
        return ccz_fail(err, CCZ_E_LIMIT, where, e, "larger than the buffer may grow");
    return ccz_fail(err, CCZ_E_IO, where, e, "%s", strerror(e));
}

static ccz_rc read_table(struct ccz_buf *scratch, const char *root, const char *name,
                         const struct cczi_tee_fs *fs, const char *where, struct ccz_err *err)
{
    char path[CCZI_TEE_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/sys/firmware/acpi/tables/%s", root, name);
    int e = cczi_tee_read(scratch, fs, path);
    return e < 0 ? ccel_failed(err, where, -e) : CCZ_OK;
}

static size_t room(const struct ccz_buf *b)
{
    return b->bad || b->size > b->max_size ? 0 : b->max_size - b->size;
}

ccz_rc cczi_ccel_read(struct ccz_buf *table, struct ccz_buf *log, const char *fs_root,
                      const struct cczi_tee_fs *fs, struct ccz_err *err)
{
    CCZ_AUTO_BUF t;
    CCZ_AUTO_BUF l;
    ccz_buf_init(&t, room(table));
    ccz_buf_init(&l, room(log));
    ccz_rc rc = check_args(0, &fs_root, "tee:ccel-table", err);
    if (rc == CCZ_OK)
        rc = read_table(&t, fs_root, "CCEL", fs, "tee:ccel-table", err);
    if (rc == CCZ_OK)
        rc = read_table(&l, fs_root, "data/CCEL", fs, "tee:ccel-log", err);
    if (rc != CCZ_OK)
        return rc;
    size_t before = table->size;
    ccz_buf_put_span(table, ccz_buf_span(&t));
    if (!table->bad)
        ccz_buf_put_span(log, ccz_buf_span(&l));
    if (table->bad || log->bad) { /* sizes were bounded above: this is memory */
        table->size = before;
        return ccz_fail(err, CCZ_E_NOMEM, "tee:ccel-log", 0, "out of memory");
    }
    return CCZ_OK;
}

ccz_rc ccz_ccel_read(struct ccz_buf *table, struct ccz_buf *log, const char *fs_root,
                     struct ccz_err *err)
{
    return cczi_ccel_read(table, log, fs_root, &cczi_tee_fs_posix, err);
}
