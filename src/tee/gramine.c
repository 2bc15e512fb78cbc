/* SPDX-License-Identifier: Apache-2.0 */
/* SGX under Gramine: /dev/attestation (Gramine documentation, "Attestation and Secret
 * Provisioning"). */
#include "tee/tee_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RETRY_MS = 5 };

static void path_of(char out[CCZI_TEE_PATH_SIZE], const struct ccz_attester *a, const char *name)
{
    (void)snprintf(out, CCZI_TEE_PATH_SIZE, "%s/dev/attestation/%s", a->root, name);
}

static ccz_rc open_failed(struct ccz_err *err, int e, const char *path)
{
    if (e == -EACCES || e == -EPERM) {
        ccz_rc rc = ccz_fail(err, CCZ_E_DENIED, "tee:gramine-type", -e, "cannot read %s: %s", path,
                             strerror(-e));
        return ccz_hint(err, rc, "the manifest must allow /dev/attestation");
    }
    ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "tee:gramine-type", -e, "cannot read %s: %s", path,
                         strerror(-e));
    return ccz_hint(err, rc, "run inside Gramine (gramine-sgx), or choose another provider");
}

static ccz_rc gramine_open(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                           struct ccz_err *err)
{
    (void)cfg;
    char path[CCZI_TEE_PATH_SIZE];
    path_of(path, a, "attestation_type");
    CCZ_AUTO_BUF type;
    ccz_buf_init(&type, 64);
    int e = cczi_tee_read(&type, &a->fs, path);
    if (e < 0)
        return open_failed(err, e, path);
    if (type.size &&
        type.ptr[type.size - 1] == '\n') /* Gramine writes none; an `echo` in a test does */
        type.size--;
    if (!ccz_span_eq(ccz_buf_span(&type), ccz_span_str("dcap"))) {
        char got[65];
        ccz_escape(got, sizeof(got), ccz_buf_span(&type));
        ccz_rc rc = ccz_refuse(err, CCZ_E_UNAVAILABLE, "tee:gramine-type", got, "dcap");
        return ccz_hint(err, rc,
                        "set sgx.remote_attestation = \"dcap\" in the manifest and sign it again");
    }
    a->kind = CCZI_TEE_SGX;
    return CCZ_OK;
}

/* Sets the report data and reads the quote over it. 0 or -errno; *path = the file concerned. */
static int set_and_read(const char **name, struct ccz_attester *a, const struct cczi_tee_request *q)
{
    char path[CCZI_TEE_PATH_SIZE];
    *name = "user_report_data";
    path_of(path, a, *name);
    int e = cczi_tee_write(&a->fs, path, CCZ_SPAN(q->report_data, 64));
    if (e < 0)
        return e;
    /* The quote is made when the file is opened, so every request opens it anew. */
    *name = "quote";
    path_of(path, a, *name);
    ccz_buf_clear(q->out);
    return cczi_tee_read(q->out, &a->fs, path);
}

static ccz_rc quote_failed(struct ccz_err *err, int e, const char *name)
{
    if (e == -EFBIG)
        return ccz_fail(err, CCZ_E_LIMIT, "tee:gramine-quote", -e,
                        "the quote is larger than the buffer may grow");
    if (e == -EINTR)
        return ccz_fail(err, CCZ_E_TIMEOUT, "tee:gramine-quote", -e,
                        "interrupted until the deadline passed");
    /* Gramine reports every failure of its host side as EACCES. */
    ccz_rc rc = ccz_fail(err, e == -EACCES ? CCZ_E_UNAVAILABLE : CCZ_E_IO, "tee:gramine-quote", -e,
                         "/dev/attestation/%s: %s", name, strerror(-e));
    return ccz_hint(err, rc,
                    "check on the host that aesmd runs and that its quote provider reaches a PCCS");
}

static ccz_rc gramine_quote(struct ccz_attester *a, struct cczi_tee_request *q, struct ccz_err *err)
{
    const char *name;
    int e;
    /* user_report_data and quote are one state of the process: set and read must not interleave. */
    (void)pthread_mutex_lock(&a->lock);
    while ((e = set_and_read(&name, a, q)) == -EINTR && a->fs.now_ms(a->fs.arg) < q->deadline_ms)
        a->fs.sleep_ms(a->fs.arg, RETRY_MS);
    (void)pthread_mutex_unlock(&a->lock);
    if (e < 0)
        return quote_failed(err, e, name);
    return CCZ_OK;
}

/* Gramine's special keys (documentation, "Encrypted files"): EGETKEY by MRENCLAVE or by MRSIGNER. */
ccz_rc cczi_gramine_seal(uint8_t raw[32], struct ccz_attester *a, enum ccz_seal_to to,
                         struct ccz_err *err)
{
    enum { SGX_KEY_SIZE = 16 };
    char path[CCZI_TEE_PATH_SIZE];
    path_of(path, a, to == CCZ_SEAL_TO_MEASUREMENT ? "keys/_sgx_mrenclave" : "keys/_sgx_mrsigner");
    CCZ_AUTO_BUF key;
    ccz_buf_init(&key, 64);
    key.wipe = true;
    int e = cczi_tee_read(&key, &a->fs, path);
    if (e < 0 && e != -EFBIG) {
        ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "tee:seal-key", -e, "cannot read %s: %s", path,
                             strerror(-e));
        return ccz_hint(err, rc, "gramine-direct has no sealing keys: run in gramine-sgx");
    }
    uint8_t zero[SGX_KEY_SIZE] = {0};
    if (e == -EFBIG || key.size != SGX_KEY_SIZE || ccz_ct_eq(key.ptr, zero, SGX_KEY_SIZE))
        return ccz_refuse_num(err, CCZ_E_PEER, "tee:seal-key", (int64_t)key.size, SGX_KEY_SIZE);
    memset(raw, 0, 32);
    memcpy(raw, key.ptr, SGX_KEY_SIZE);
    return CCZ_OK;
}

/* The lock does not bind other code of this process, which may set other report data in between. */
const struct cczi_tee_provider cczi_tee_gramine = {
    "gramine",
    false,
    gramine_open,
    gramine_quote,
    NULL,
    "something else in this process uses /dev/attestation: make it share this attester"};
