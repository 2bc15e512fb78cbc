/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SEV-SNP guests without configfs-tsm: ioctls of /dev/sev-guest (Linux Documentation/virt/coco/sev-guest.rst).
 *
 * The guest talks to the security processor through messages numbered and encrypted with a key (VMPCK) that it has
 * only one of. The driver cannot send a number twice, so that after any failure but two it wipes the key, and the guest
 * gives no evidence until it is rebooted. Hence: nothing is repeated that may have reached the processor, and requests
 * are 2 s apart, which is what hosts allow before they throttle.
 */
#include "tee/tee_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PACE_MS = 2000, POLL_MS = 20, REPORT_AT = 32, STATUS_INVALID_PARAM = 0x16 };
/* High half of exitinfo2: what the host says. */
enum { VMM_INVALID_LEN = 1, VMM_BUSY = 2 };

/* <linux/sev-guest.h> */
struct snp_report_req {
    uint8_t user_data[64];
    uint32_t vmpl;
    uint8_t reserved[28];
};
struct snp_ext_report_req {
    struct snp_report_req data;
    uint64_t certs_address;
    uint32_t certs_len; /* a multiple of the page size */
};
struct snp_report_resp {
    uint8_t data[4000]; /* status u32 | size u32 | reserved 24 | report */
};
struct snp_guest_request {
    uint8_t msg_version;
    uint64_t req_data, resp_data;
    uint64_t exitinfo2; /* fw_error u32 | vmm_error u32 */
};
_Static_assert(sizeof(struct snp_report_req) == 96 && sizeof(struct snp_ext_report_req) == 112 &&
                   sizeof(struct snp_guest_request) == 32,
               "kernel ABI");
#define SNP_GET_REPORT     0xc0205300ul /* _IOWR('S', 0, struct snp_guest_request_ioctl) */
#define SNP_GET_EXT_REPORT 0xc0205302ul /* _IOWR('S', 2, ..) */

/* One exchange with the driver. */
struct exchange {
    int fd;
    int error; /* errno, 0 = success */
    uint32_t fw_error, vmm_error;
    struct snp_report_resp resp;
    uint8_t certs[CCZI_SNP_TABLE_SIZE_MAX];
    uint32_t certs_needed; /* with VMM_INVALID_LEN */
};

static const char rebooting[] = "the driver wipes its key (VMPCK) after a failure: no more "
                                "evidence until the guest is rebooted";

static ccz_rc open_failed(struct ccz_err *err, int e)
{
    if (e == EACCES || e == EPERM) {
        ccz_rc rc =
            ccz_fail(err, CCZ_E_DENIED, "tee:sev-device", e, "/dev/sev-guest: %s", strerror(e));
        return ccz_hint(err, rc, "/dev/sev-guest needs root");
    }
    ccz_rc rc =
        ccz_fail(err, CCZ_E_UNAVAILABLE, "tee:sev-device", e, "/dev/sev-guest: %s", strerror(e));
    return ccz_hint(err, rc, "this must be a SEV-SNP guest with Linux >= 5.19: modprobe sev-guest");
}

static ccz_rc request_failed(struct ccz_err *err, const struct exchange *x)
{
    static const char where[] = "tee:sev-request";
    ccz_rc rc;
    if (x->error == ENOTTY) {
        rc = ccz_fail(err, CCZ_E_UNAVAILABLE, where, x->error, "the driver's key is gone (%s)",
                      strerror(x->error));
        return ccz_hint(err, rc,
                        "an earlier request failed and the driver wiped its key (VMPCK): reboot "
                        "the guest; the kernel log has the reason");
    }
    if (x->error == ETIMEDOUT) {
        rc = ccz_fail(err, CCZ_E_TIMEOUT, where, x->error,
                      "the host held the request back too long");
        return ccz_hint(err, rc, rebooting);
    }
    if (x->error == EIO && x->vmm_error == VMM_BUSY) {
        rc = ccz_fail(err, CCZ_E_UNAVAILABLE, where, x->error,
                      "the host is busy or throttles requests");
        return ccz_hint(err, rc,
                        "ask for fewer reports: one can serve many connections; if the next "
                        "request fails with ENOTTY, reboot the guest");
    }
    rc = ccz_fail(err, x->error == EIO || x->error == EBADMSG ? CCZ_E_PEER : CCZ_E_IO, where,
                  x->error, "%s, firmware error 0x%x, host error 0x%x", strerror(x->error),
                  x->fw_error, x->vmm_error);
    return ccz_hint(err, rc, rebooting);
}

/* Waits for the right to send. @return false  the deadline comes first */
static bool take_turn(struct ccz_attester *a, int64_t deadline_ms)
{
    for (;;) {
        (void)pthread_mutex_lock(&a->lock);
        const int64_t now_ms = a->fs.now_ms(a->fs.arg);
        const bool mine = !a->busy && now_ms >= a->next_ms;
        const int64_t wait_ms = a->busy ? POLL_MS : a->next_ms - now_ms;
        if (mine)
            a->busy = true;
        (void)pthread_mutex_unlock(&a->lock);
        if (mine || now_ms + wait_ms > deadline_ms)
            return mine;
        a->fs.sleep_ms(a->fs.arg, wait_ms);
    }
}

static void end_turn(struct ccz_attester *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->busy = false;
    a->next_ms = a->fs.now_ms(a->fs.arg) + PACE_MS;
    (void)pthread_mutex_unlock(&a->lock);
}

/* One request. Repeated only when the driver was interrupted before it sent anything.
 * @retval CCZ_E_TIMEOUT  no place before the deadline; nothing was sent */
static ccz_rc exchange(struct exchange *x, struct ccz_attester *a, const struct cczi_tee_request *q,
                       bool with_certs, struct ccz_err *err)
{
    struct snp_ext_report_req req = {
        .data = {.vmpl = (uint32_t)q->vmpl},
        .certs_address = (uint64_t)(uintptr_t)x->certs,
        .certs_len = sizeof(x->certs), /* the most that the driver takes */
    };
    memcpy(req.data.user_data, q->report_data, sizeof(req.data.user_data));
    do {
        struct snp_guest_request io = {.msg_version = 1,
                                       .req_data = (uint64_t)(uintptr_t)&req,
                                       .resp_data = (uint64_t)(uintptr_t)&x->resp};
        if (!take_turn(a, q->deadline_ms)) {
            ccz_rc rc = ccz_fail(err, CCZ_E_TIMEOUT, "tee:sev-pace", PACE_MS,
                                 "no turn before the deadline: one request in %d ms", PACE_MS);
            return ccz_hint(err, rc, "ask for fewer reports: one can serve many connections");
        }
        int e =
            a->fs.ioctl(a->fs.arg, x->fd, with_certs ? SNP_GET_EXT_REPORT : SNP_GET_REPORT, &io);
        end_turn(a);
        x->error = e < 0 ? -e : 0;
        x->fw_error = (uint32_t)io.exitinfo2;
        x->vmm_error = (uint32_t)(io.exitinfo2 >> 32);
    } while (x->error == EINTR);
    x->certs_needed = req.certs_len;
    return CCZ_OK;
}

/* MSG_REPORT_RSP: the security processor's own answer. */
static ccz_rc take_report(struct cczi_tee_request *q, const struct exchange *x, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(x->resp.data, sizeof(x->resp.data)));
    uint32_t status = ccz_rd_le32(&r), size = ccz_rd_le32(&r);
    if (status != 0) {
        ccz_rc rc = ccz_fail(err, CCZ_E_PEER, "tee:sev-status", status,
                             "the security processor refused the request with status 0x%x", status);
        return ccz_hint(err, rc,
                        status == STATUS_INVALID_PARAM
                            ? "the guest may not ask for a VMPL below its own: set vmpl"
                            : NULL);
    }
    if (size != CCZI_SNP_REPORT_SIZE)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "tee:sev-report-size", size,
                              CCZI_SNP_REPORT_SIZE);
    ccz_buf_put(q->out, x->resp.data + REPORT_AT, size);
    return q->out->bad ? ccz_fail(err, CCZ_E_LIMIT, "tee:sev-report", size,
                                  "the report is larger than the buffer may grow")
                       : CCZ_OK;
}

static ccz_rc report_with_certs(struct exchange *x, struct ccz_attester *a,
                                struct cczi_tee_request *q, struct ccz_err *err)
{
    ccz_rc rc = exchange(x, a, q, true, err);
    if (rc != CCZ_OK)
        return rc;
    bool certs = true;
    if (x->error == EIO && x->vmm_error == VMM_INVALID_LEN) {
        /* The driver has kept its key: it sent the request once more without certificates. No buffer that it would
         * take is large enough, so that the verifier has to get the certificates elsewhere. */
        ccz_log(CCZ_LOG_WARN, "tee", "sev-guest=certificates-too-large size=%u max=%d",
                x->certs_needed, CCZI_SNP_TABLE_SIZE_MAX);
        certs = false;
        rc = exchange(x, a, q, false, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (x->error != 0)
        return request_failed(err, x);
    rc = take_report(q, x, err);
    if (rc == CCZ_OK && certs)
        ccz_buf_put(q->certs, x->certs, sizeof(x->certs));
    return rc;
}

/* The VMPL to ask for: as configured, else the one that the guest runs at, which the kernel shows since it can run at
 * another than 0 (6.11). */
static ccz_rc choose_vmpl(int *out, const struct ccz_attester *a, struct ccz_err *err)
{
    *out = a->vmpl;
    if (*out >= 0)
        return CCZ_OK;
    char path[CCZI_TEE_PATH_SIZE];
    uint64_t v = 0;
    (void)snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/sev/vmpl", a->root);
    int e = cczi_tee_read_number(&v, &a->fs, path);
    if (e == -ENOENT)
        e = 0;
    if (e < 0 || v > CCZI_VMPL_MAX)
        return ccz_fail(err, CCZ_E_IO, "tee:sev-vmpl", -e, "cannot read the guest's VMPL in %s",
                        path);
    *out = (int)v;
    return CCZ_OK;
}

static int open_device(const struct ccz_attester *a)
{
    char path[CCZI_TEE_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/dev/sev-guest", a->root);
    return a->fs.open(a->fs.arg, path, O_RDWR);
}

static ccz_rc sev_quote(struct ccz_attester *a, struct cczi_tee_request *q, struct ccz_err *err)
{
    struct exchange x = {0};
    ccz_rc rc = choose_vmpl(&q->vmpl, a, err);
    if (rc != CCZ_OK)
        return rc;
    x.fd = open_device(a);
    if (x.fd < 0)
        return open_failed(err, -x.fd);
    rc = report_with_certs(&x, a, q, err);
    (void)a->fs.close(a->fs.arg, x.fd);
    return rc;
}

/* Opens the device and asks nothing: a request is no probe. */
static ccz_rc sev_open(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                       struct ccz_err *err)
{
    (void)cfg;
    int fd = open_device(a);
    if (fd < 0)
        return open_failed(err, -fd);
    (void)a->fs.close(a->fs.arg, fd);
    a->kind = CCZI_TEE_SNP;
    return CCZ_OK;
}

const struct cczi_tee_provider cczi_tee_sev_guest = {
    "sev-guest", false, sev_open,
    sev_quote,   NULL,  "the security processor answered for another request"};
