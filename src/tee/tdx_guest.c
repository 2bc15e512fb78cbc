/* SPDX-License-Identifier: Apache-2.0 */
/* TDX guests without configfs-tsm: a TDREPORT from /dev/tdx_guest (Linux Documentation/virt/coco/tdx-guest.rst), which
 * the quote generation service of the host turns into a quote, over AF_VSOCK. */
#include "tee/tee_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { VSOCK_CID_HOST = 2, RETRY_MS = 5, CONF_SIZE_MAX = 65536 };

/* struct tdx_report_req of <linux/tdx-guest.h>. */
struct tdx_report_req {
    uint8_t report_data[64];
    uint8_t td_report[CCZI_TD_REPORT_MAC_SIZE];
};
_Static_assert(sizeof(struct tdx_report_req) == 1088, "kernel ABI");
#define TDX_CMD_GET_REPORT0 0xc4405401ul /* _IOWR('T', 1, struct tdx_report_req): 1088 = 0x440 */

/* What an errno means depends on the step; the first line that fits counts, 0 = any. */
static const struct {
    const char *where;
    int error;
    ccz_rc rc;
    const char *text, *hint;
} meanings[] = {
    {"tee:tdx-device", EACCES, CCZ_E_DENIED, "not allowed", "/dev/tdx_guest needs root"},
    {"tee:tdx-device", EPERM, CCZ_E_DENIED, "not allowed", "/dev/tdx_guest needs root"},
    {"tee:tdx-device", 0, CCZ_E_UNAVAILABLE, "no /dev/tdx_guest",
     "this must be a TDX guest with Linux >= 6.2: modprobe tdx_guest"},
    {"tee:tdx-report", EINTR, CCZ_E_TIMEOUT, "interrupted until the deadline passed", NULL},
    {"tee:tdx-report", ENOTTY, CCZ_E_UNAVAILABLE, "the driver has no TDX_CMD_GET_REPORT0",
     "vendor kernels before Linux 6.2 have another interface: use configfs, or a newer kernel"},
    {"tee:tdx-report", 0, CCZ_E_IO, "the driver gave no report", "the kernel log tells why"},
    {"tee:qgs-connect", ETIMEDOUT, CCZ_E_TIMEOUT, "the host did not accept the connection",
     "check qgsd on the host and the port in /etc/tdx-attest.conf"},
    {"tee:qgs-connect", 0, CCZ_E_UNAVAILABLE,
     "no quote generation service at the vsock port of the host",
     "run qgsd with a vsock port on the host and name it in /etc/tdx-attest.conf, or use configfs"},
    {"tee:qgs-exchange", ETIMEDOUT, CCZ_E_TIMEOUT, "no complete response in time",
     "check the quote generation service (qgsd) on the host"},
    {"tee:qgs-exchange", ECONNRESET, CCZ_E_PEER, "the service closed the connection",
     "the log of qgsd on the host tells why"},
    {"tee:qgs-exchange", EPIPE, CCZ_E_PEER, "the service closed the connection",
     "the log of qgsd on the host tells why"},
    {"tee:qgs-exchange", EFBIG, CCZ_E_LIMIT, "the quote is larger than the buffer may grow", NULL},
    {"tee:qgs-exchange", EMSGSIZE, CCZ_E_PEER, "a response of an impossible size", NULL},
};

static ccz_rc fail_errno(struct ccz_err *err, const char *where, int e)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (strcmp(meanings[i].where, where) == 0 &&
            (meanings[i].error == e || meanings[i].error == 0)) {
            ccz_rc rc =
                ccz_fail(err, meanings[i].rc, where, e, "%s (%s)", meanings[i].text, strerror(e));
            return ccz_hint(err, rc, meanings[i].hint);
        }
    return ccz_fail(err, CCZ_E_IO, where, e, "%s", strerror(e));
}

static void path_of(char out[CCZI_TEE_PATH_SIZE], const struct ccz_attester *a, const char *path)
{
    (void)snprintf(out, CCZI_TEE_PATH_SIZE, "%s%s", a->root, path);
}

/* A report of this TD over the report data, which only a quoting enclave on this machine can verify. */
static ccz_rc get_report(struct tdx_report_req *req, const struct ccz_attester *a,
                         int64_t deadline_ms, struct ccz_err *err)
{
    const struct cczi_tee_fs *fs = &a->fs;
    char path[CCZI_TEE_PATH_SIZE];
    path_of(path, a, "/dev/tdx_guest");
    int fd = fs->open(fs->arg, path, O_RDWR);
    if (fd < 0)
        return fail_errno(err, "tee:tdx-device", -fd);
    int e;
    while ((e = fs->ioctl(fs->arg, fd, TDX_CMD_GET_REPORT0, req)) == -EINTR &&
           fs->now_ms(fs->arg) < deadline_ms)
        fs->sleep_ms(fs->arg, RETRY_MS);
    (void)fs->close(fs->arg, fd);
    return e < 0 ? fail_errno(err, "tee:tdx-report", -e) : CCZ_OK;
}

/* ---------------------------------------------------------------------------- conversation */

/* Waits for the peer. 0 or -errno; -ETIMEDOUT at the deadline. */
static int wait_for(const struct cczi_tee_fs *fs, int fd, bool for_write, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - fs->now_ms(fs->arg);
    if (left_ms <= 0)
        return -ETIMEDOUT;
    int n = fs->wait(fs->arg, fd, for_write, left_ms);
    return n < 0 && n != -EINTR ? n : 0;
}

static int send_all(const struct cczi_tee_fs *fs, int fd, struct ccz_span data, int64_t deadline_ms)
{
    while (data.size > 0) {
        int64_t n = fs->send(fs->arg, fd, data.ptr, data.size);
        int e = n >= 0 ? 0 : (int)n;
        if (n == -EAGAIN || n == -EINTR)
            e = wait_for(fs, fd, true, deadline_ms);
        if (e < 0)
            return e;
        if (n > 0)
            data = ccz_span_sub(data, (size_t)n, data.size - (size_t)n);
    }
    return 0;
}

/* Appends exactly @p size bytes; memory is taken as they arrive, not as the peer announces them. */
static int receive(struct ccz_buf *out, size_t size, const struct cczi_tee_fs *fs, int fd,
                   int64_t deadline_ms)
{
    while (size > 0) {
        uint8_t chunk[4096];
        int64_t n = fs->read(fs->arg, fd, chunk, size < sizeof(chunk) ? size : sizeof(chunk));
        int e = n > 0 ? 0 : n == 0 ? -ECONNRESET : (int)n;
        if (n == -EAGAIN || n == -EINTR)
            e = wait_for(fs, fd, false, deadline_ms);
        if (e < 0)
            return e;
        if (n > 0) {
            ccz_buf_put(out, chunk, (size_t)n);
            if (out->bad)
                return -ENOMEM;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int converse(struct ccz_buf *response, const struct cczi_tee_fs *fs, int fd,
                    struct ccz_span request, int64_t deadline_ms)
{
    int e = send_all(fs, fd, request, deadline_ms);
    if (e == 0)
        e = receive(response, 4, fs, fd, deadline_ms);
    if (e < 0)
        return e;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(response));
    uint32_t size = ccz_rd_be32(&r);
    ccz_buf_clear(response);
    if (size == 0 || size > CCZI_QGS_MSG_SIZE_MAX)
        return -EMSGSIZE;
    return receive(response, size, fs, fd, deadline_ms);
}

static int connect_host(const struct ccz_attester *a, int64_t deadline_ms)
{
    const struct cczi_tee_fs *fs = &a->fs;
    return fs->connect(fs->arg, VSOCK_CID_HOST, a->port, deadline_ms - fs->now_ms(fs->arg));
}

static ccz_rc tdx_quote(struct ccz_attester *a, struct cczi_tee_request *q, struct ccz_err *err)
{
    struct tdx_report_req req = {0};
    memcpy(req.report_data, q->report_data, sizeof(req.report_data));
    ccz_rc rc = get_report(&req, a, q->deadline_ms, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF request;
    CCZ_AUTO_BUF response;
    ccz_buf_init(&request, sizeof(req) + 64);
    ccz_buf_init(&response, CCZI_QGS_MSG_SIZE_MAX);
    cczi_qgs_request_put(&request, req.td_report);
    if (request.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "tee:qgs-exchange", 0, "out of memory");
    int fd = connect_host(a, q->deadline_ms);
    if (fd < 0)
        return fail_errno(err, "tee:qgs-connect", -fd);
    int e = converse(&response, &a->fs, fd, ccz_buf_span(&request), q->deadline_ms);
    (void)a->fs.close(a->fs.arg, fd);
    if (e < 0)
        return fail_errno(err, "tee:qgs-exchange", -e);
    struct ccz_span quote;
    rc = cczi_qgs_response_parse(&quote, ccz_buf_span(&response), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(q->out, quote);
    return q->out->bad ? fail_errno(err, "tee:qgs-exchange", EFBIG) : CCZ_OK;
}

/* ---------------------------------------------------------------------------------- opening */

static ccz_rc read_port(struct ccz_attester *a, struct ccz_err *err)
{
    char path[CCZI_TEE_PATH_SIZE];
    path_of(path, a, "/etc/tdx-attest.conf");
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CONF_SIZE_MAX);
    int e = cczi_tee_read(&text, &a->fs, path);
    if (e < 0 && e != -ENOENT)
        return ccz_fail(err, CCZ_E_IO, "tee:qgs-port", -e, "cannot read %s: %s", path,
                        strerror(-e));
    return cczi_qgs_port_parse(&a->port, ccz_buf_span(&text), err);
}

/* A report over zeros and a connection without a request show that both ends are there. */
static ccz_rc tdx_open(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                       struct ccz_err *err)
{
    (void)cfg;
    const int64_t deadline_ms = a->fs.now_ms(a->fs.arg) + a->timeout_ms;
    struct tdx_report_req req = {0};
    a->kind = CCZI_TEE_TDX;
    ccz_rc rc = get_report(&req, a, deadline_ms, err);
    if (rc == CCZ_OK)
        rc = read_port(a, err);
    if (rc != CCZ_OK)
        return rc;
    int fd = connect_host(a, deadline_ms);
    if (fd < 0)
        return fail_errno(err, "tee:qgs-connect", -fd);
    (void)a->fs.close(a->fs.arg, fd);
    return CCZ_OK;
}

const struct cczi_tee_provider cczi_tee_tdx_guest = {
    "tdx-guest", false,
    tdx_open,    tdx_quote,
    NULL,        "the quote generation service answered for another TDREPORT: check the host"};
