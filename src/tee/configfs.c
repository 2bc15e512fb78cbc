/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TDX and SEV-SNP guests: configfs-tsm (Linux Documentation/ABI/testing/configfs-tsm-report).
 * A directory made with mkdir is one request. Every accepted write to it advances `generation`; a
 * reader that finds its own writes counted, and nothing else, knows that the report is over its own
 * input.
 */
#define _DEFAULT_SOURCE
#include "tee/tee_priv.h"

#include <cczoo/crypto.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A write that the driver drops (it does so when the counter would lap the reader) never shows up
 * in `generation`, and close() does not say so: after COMMIT_MS we ask again from the start. */
enum { POLL_MS = 1, COMMIT_MS = 1000, BACKOFF_MIN_MS = 10, BACKOFF_MAX_MS = 1000 };

struct request {
    const struct ccz_attester *a;
    struct cczi_tee_request *q;
    char dir[CCZI_TEE_PATH_SIZE - 32]; /* room for "/" and a file name */
    uint64_t generation;               /* what the counter must show if only we wrote */
    const char *where;                 /* step under way */
};

/* What each errno of the driver means, and what a human can do. */
static const struct {
    int error;
    ccz_rc rc;
    const char *text, *hint;
} meanings[] = {
    {ENXIO, CCZ_E_UNAVAILABLE, "no attestation driver is registered",
     "load tdx_guest or sev_guest; this must be a TDX or SEV-SNP guest"},
    {ENOENT, CCZ_E_UNAVAILABLE, "configfs-tsm is not there",
     "needs Linux >= 6.7: modprobe tdx_guest (or sev_guest), mount -t configfs none "
     "/sys/kernel/config"},
    {EACCES, CCZ_E_DENIED, "not allowed", "requests in configfs need root"},
    {EPERM, CCZ_E_DENIED, "not allowed", "requests in configfs need root"},
    {EBUSY, CCZ_E_UNAVAILABLE, "the driver stayed busy with another request",
     "ask for fewer quotes: one quote can serve many connections"},
    {ESTALE, CCZ_E_UNAVAILABLE, "another process kept writing to our request",
     "find the process that writes under /sys/kernel/config/tsm/report"},
    {ETIMEDOUT, CCZ_E_TIMEOUT, "the host did not produce a quote in time",
     "check the quote generation service (qgsd) on the host"},
    {EINTR, CCZ_E_TIMEOUT, "interrupted until the deadline passed", NULL},
    {ERANGE, CCZ_E_ARG, "the guest may not ask for a VMPL below its own",
     "privlevel_floor is the lowest; leave vmpl_set out to get it"},
    {EOPNOTSUPP, CCZ_E_UNSUPPORTED, "the driver offers no choice of VMPL",
     "leave vmpl_set out, or use a kernel with privlevel_floor"},
    {EFBIG, CCZ_E_LIMIT, "the report is larger than the buffer may grow", NULL},
    {EINVAL, CCZ_E_PEER, "the driver refused the request", "the kernel log tells why"},
    {EPROTO, CCZ_E_PEER, "not what the kernel documents", NULL},
};

static ccz_rc fail_errno(struct ccz_err *err, const char *where, int e)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].error == e) {
            ccz_rc rc =
                ccz_fail(err, meanings[i].rc, where, e, "%s (%s)", meanings[i].text, strerror(e));
            return ccz_hint(err, rc, meanings[i].hint);
        }
    return ccz_fail(err, CCZ_E_IO, where, e, "%s", strerror(e));
}

static void path_of(char out[CCZI_TEE_PATH_SIZE], const struct request *r, const char *name)
{
    (void)snprintf(out, CCZI_TEE_PATH_SIZE, "%s/%s", r->dir, name);
}

static int read_number(uint64_t *out, const struct request *r, const char *name)
{
    char path[CCZI_TEE_PATH_SIZE];
    path_of(path, r, name);
    return cczi_tee_read_number(out, &r->a->fs, path);
}

static int open_request(struct request *r)
{
    uint8_t tag[8];
    char hex[2 * sizeof(tag) + 1];
    r->where = "tee:configfs-mkdir";
    if (ccz_random(tag, sizeof(tag)) != CCZ_OK)
        return -EIO;
    ccz_hex(hex, tag, sizeof(tag));
    (void)snprintf(r->dir, sizeof(r->dir), "%s/sys/kernel/config/tsm/report/cczoo-%ld-%s",
                   r->a->root, (long)getpid(), hex);
    return r->a->fs.mkdir(r->a->fs.arg, r->dir);
}

/* Any local user may read a report that stays behind, so that a failure here is worth a line. */
static void close_request(const struct request *r)
{
    int e = r->a->fs.rmdir(r->a->fs.arg, r->dir);
    if (e < 0)
        ccz_log(CCZ_LOG_WARN, "tee", "configfs=rmdir-failed dir=%s error=%d", r->dir, -e);
}

/* inblob is committed when it is closed, and generation tells whether it was. */
static int put_report_data(struct request *r)
{
    const struct cczi_tee_fs *fs = &r->a->fs;
    char path[CCZI_TEE_PATH_SIZE];
    r->where = "tee:configfs-inblob";
    path_of(path, r, "inblob");
    int e = cczi_tee_write(fs, path, CCZ_SPAN(r->q->report_data, 64));
    if (e < 0)
        return e;
    r->where = "tee:configfs-generation";
    uint64_t want = r->generation + 1;
    int64_t end_ms = fs->now_ms(fs->arg) + COMMIT_MS;
    for (;;) {
        e = read_number(&r->generation, r, "generation");
        if (e < 0 || r->generation == want)
            return e;
        if (r->generation > want)
            return -ESTALE;
        if (fs->now_ms(fs->arg) >= end_ms)
            return -EBUSY;
        fs->sleep_ms(fs->arg, POLL_MS);
    }
}

/* SNP: asks for the configured VMPL, else for the one this guest runs at (the lowest it may use)
 * instead of the driver's default, so that a guest under an SVSM works too. The number is text; the
 * write is committed at once. */
static int put_privlevel(struct request *r)
{
    uint64_t floor;
    r->where = "tee:configfs-privlevel";
    int e = read_number(&floor, r, "privlevel_floor");
    if (e == -ENOENT) /* older drivers: no choice */
        return r->a->vmpl < 0 ? 0 : -EOPNOTSUPP;
    if (e < 0)
        return e;
    if (floor > CCZI_VMPL_MAX)
        return -EPROTO;
    r->q->vmpl = r->a->vmpl < 0 ? (int)floor : r->a->vmpl;
    if ((uint64_t)r->q->vmpl < floor)
        return -ERANGE;
    char path[CCZI_TEE_PATH_SIZE], text[24];
    path_of(path, r, "privlevel");
    (void)snprintf(text, sizeof(text), "%d", r->q->vmpl);
    e = cczi_tee_write(&r->a->fs, path, ccz_span_str(text));
    if (e == 0)
        r->generation++;
    return e;
}

static int read_blobs(struct request *r)
{
    char path[CCZI_TEE_PATH_SIZE];
    r->where = "tee:configfs-outblob";
    path_of(path, r, "outblob");
    int e = cczi_tee_read(r->q->out, &r->a->fs, path);
    if (e < 0 || r->a->kind != CCZI_TEE_SNP)
        return e;
    r->where = "tee:configfs-auxblob";
    path_of(path, r, "auxblob");
    e = cczi_tee_read(r->q->certs, &r->a->fs, path);
    return e == -ENOENT ? 0 : e;
}

/* One whole request in its own directory. 0 or -errno. */
static int attempt(struct request *r)
{
    ccz_buf_clear(r->q->out);
    ccz_buf_clear(r->q->certs);
    int e = open_request(r);
    if (e < 0)
        return e;
    r->where = "tee:configfs-generation";
    e = read_number(&r->generation, r, "generation");
    if (e == 0)
        e = put_report_data(r);
    if (e == 0 && r->a->kind == CCZI_TEE_SNP)
        e = put_privlevel(r);
    if (e == 0)
        e = read_blobs(r);
    if (e == 0) { /* still only our writes: else the blobs may be over another input */
        uint64_t now = 0;
        r->where = "tee:configfs-generation";
        e = read_number(&now, r, "generation");
        if (e == 0 && now != r->generation)
            e = -ESTALE;
    }
    close_request(r);
    return e;
}

static bool transient(int e)
{
    return e == -EBUSY || e == -EINTR || e == -ESTALE;
}

static ccz_rc configfs_quote(struct ccz_attester *a, struct cczi_tee_request *q,
                             struct ccz_err *err)
{
    struct request r = {.a = a, .q = q};
    int64_t backoff_ms = BACKOFF_MIN_MS;
    for (;;) {
        int e = attempt(&r);
        if (e == 0)
            return CCZ_OK;
        if (!transient(e) || a->fs.now_ms(a->fs.arg) + backoff_ms >= q->deadline_ms)
            return fail_errno(err, r.where, -e);
        a->fs.sleep_ms(a->fs.arg, backoff_ms);
        backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
    }
}

/* Makes an empty request to see that a driver answers, and which. */
static ccz_rc configfs_open(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                            struct ccz_err *err)
{
    (void)cfg;
    struct request r = {.a = a};
    CCZ_AUTO_BUF name;
    ccz_buf_init(&name, 64);
    int e = open_request(&r);
    if (e < 0)
        return fail_errno(err, r.where, -e);
    char path[CCZI_TEE_PATH_SIZE];
    path_of(path, &r, "provider");
    e = cczi_tee_read(&name, &a->fs, path);
    close_request(&r);
    if (e < 0)
        return fail_errno(err, "tee:configfs-provider", -e);
    if (ccz_span_eq(ccz_buf_span(&name), ccz_span_str("tdx_guest\n")))
        a->kind = CCZI_TEE_TDX;
    if (ccz_span_eq(ccz_buf_span(&name), ccz_span_str("sev_guest\n")))
        a->kind = CCZI_TEE_SNP;
    if (a->kind != CCZI_TEE_NONE)
        return CCZ_OK;
    char got[65];
    ccz_escape(got, sizeof(got), ccz_buf_span(&name));
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "tee:configfs-provider", got,
                      "tdx_guest or sev_guest");
}

const struct cczi_tee_provider cczi_tee_configfs = {
    "configfs",     false, configfs_open,
    configfs_quote, NULL,  "the driver answered another request than ours: see the kernel log"};
