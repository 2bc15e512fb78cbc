/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotes of the software TEE: genuine SGX v3 and TDX v4 layouts, signed by the attestation key of a
 * simulated platform (sim_init.c). Sources: Intel "SGX ECDSA QuoteLibReference DCAP API", "TDX DCAP
 * Quoting Library API".
 */
#define _DEFAULT_SOURCE
#include "tee/sim_priv.h"
#include "tee/tee_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEASURE_LABEL "cczoo sim measurement v1"
#define MRTD_LABEL    "cczoo sim mrtd v1"
#define SEAL_LABEL    "cczoo sim seal v1"
enum {
    CHUNK_SIZE = 65536,
    CERTIFICATION_SIZE_MAX = 65536,
    ISV_PROD_ID = 1,
    ISV_SVN = 1,
    KEY_TYPE_ECDSA_P256 = 2,
    TEE_TYPE_TDX = 0x81
};

struct cczi_sim {
    const struct cczi_sim_qe *qe;
    struct ccz_key *key;   /* attestation key */
    uint8_t xy[64];        /* its public part */
    uint8_t user_data[20]; /* QE id of the quote header */
    bool debug;
    uint8_t mrsigner[32], mrseam[48];
    struct ccz_buf certification; /* QE report .. PCK chain, as it stands in quotes */
};

/* -------------------------------------------------------------------------------- measurement */

static ccz_rc measure_failed(struct ccz_err *err, const char *path)
{
    int e = errno;
    return ccz_fail(err, e == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "tee:measure", e,
                    "cannot read %s: %s", path, strerror(e));
}

static ccz_rc hash_fd(uint64_t *size, struct ccz_hasher *h, int fd, const char *path,
                      struct ccz_err *err)
{
    for (;;) {
        uint8_t chunk[CHUNK_SIZE];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return measure_failed(err, path);
        if (n == 0)
            return CCZ_OK;
        *size += (uint64_t)n;
        if (ccz_hasher_put(h, CCZ_SPAN(chunk, (size_t)n)) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash %s", path);
    }
}

/* size u64 LE || SHA-256(content) */
static ccz_rc measure_file(uint8_t out[40], const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    if (ccz_hasher_new(&h, CCZ_SHA256) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "tee:measure", 0, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return measure_failed(err, path);
    struct stat st;
    uint64_t size = 0;
    ccz_rc rc = CCZ_OK;
    if (fstat(fd, &st) != 0)
        rc = measure_failed(err, path);
    else if (!S_ISREG(st.st_mode))
        rc = ccz_fail(err, CCZ_E_ARG, "tee:measure", 0, "%s is not a regular file", path);
    else
        rc = hash_fd(&size, h, fd, path, err);
    close(fd);
    if (rc == CCZ_OK && size != (uint64_t)st.st_size)
        rc = ccz_fail(err, CCZ_E_IO, "tee:measure", 0, "%s changed while it was measured", path);
    if (rc == CCZ_OK && ccz_hasher_done(out + 8, h) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash %s", path);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(size >> (8 * i));
    return rc;
}

/* As of a file, but for the highest bit: no file has such a size. */
static ccz_rc measure_record(uint8_t out[40], struct ccz_span record, struct ccz_err *err)
{
    const uint64_t size = (uint64_t)record.size | (uint64_t)1 << 63;
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(size >> (8 * i));
    if (ccz_sha256(out + 8, record) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash a record");
    return CCZ_OK;
}

ccz_rc ccz_sim_measure(uint8_t out[32], const char *exe, struct ccz_span record,
                       const char *const *libs, size_t len, struct ccz_err *err)
{
    memset(out, 0, 32);
    const size_t first_lib = record.size ? 2 : 1;
    CCZ_AUTO(ccz_hasher) h = NULL;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(MEASURE_LABEL, sizeof(MEASURE_LABEL)));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tee:measure", 0, "cannot hash");
    for (size_t i = 0; i < first_lib + len; i++) {
        uint8_t entry[40];
        rc = i == 1 && record.size ? measure_record(entry, record, err)
                                   : measure_file(entry, i == 0 ? exe : libs[i - first_lib], err);
        if (rc != CCZ_OK)
            return rc;
        if (ccz_hasher_put(h, CCZ_SPAN(entry, sizeof(entry))) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash");
    }
    if (ccz_hasher_done(out, h) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash");
    return CCZ_OK;
}

/* MRENCLAVE, or for a TD the same extended to the 48 bytes of an MRTD. */
static ccz_rc measure_self(struct ccz_attester *a, const struct ccz_attester_cfg *cfg, bool tdx,
                           struct ccz_err *err)
{
    uint8_t m[32];
    ccz_rc rc =
        ccz_sim_measure(m, "/proc/self/exe", cfg->record, cfg->measure, cfg->measure_len, err);
    if (rc != CCZ_OK)
        return rc;
    a->measurement_size = tdx ? 48 : 32;
    if (!tdx) {
        memcpy(a->measurement, m, 32);
        return CCZ_OK;
    }
    struct ccz_span parts[] = {CCZ_SPAN(MRTD_LABEL, sizeof(MRTD_LABEL)), CCZ_SPAN(m, sizeof(m))};
    if (ccz_hash(a->measurement, CCZ_SHA384, parts, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ loading */

/* The certification must parse and belong to the key: else every verifier would refuse our quotes
 * later, far away from the mistake. */
static ccz_rc check_certification(const struct cczi_sim *s, const char *path, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&s->certification));
    struct ccz_span report = ccz_rd_take(&r, CCZI_SGX_REPORT_SIZE);
    (void)ccz_rd_take(&r, 64); /* signature of the QE report */
    struct ccz_span auth = ccz_rd_take(&r, ccz_rd_le16(&r));
    uint16_t type = ccz_rd_le16(&r);
    (void)ccz_rd_take(&r, ccz_rd_le32(&r)); /* PCK chain */
    if (!ccz_rd_done(&r) || type != CCZI_CERT_TYPE_PCK_CHAIN)
        return ccz_fail(err, CCZ_E_FORMAT, "tee:sim-certification", (int64_t)s->certification.size,
                        "%s is not a QE certification", path);
    uint8_t want[32];
    struct ccz_span parts[] = {CCZ_SPAN(s->xy, 64), auth};
    struct ccz_span got = ccz_span_sub(report, 320, 32);
    if (ccz_hash(want, CCZ_SHA256, parts, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-binding", 0, "cannot hash");
    if (!ccz_span_eq(got, CCZ_SPAN(want, 32))) {
        ccz_rc rc =
            ccz_refuse_bytes(err, CCZ_E_MISMATCH, "tee:sim-binding", got.ptr, got.size, want, 32);
        return ccz_hint(err, rc,
                        "files of two platforms are mixed: make a new one with `cczoo sim init`");
    }
    return CCZ_OK;
}

static ccz_rc load_platform(struct cczi_sim *s, const char *sim_dir, struct ccz_err *err)
{
    char path[4096];
    int n =
        snprintf(path, sizeof(path), "%s/platform/%s/qe_certification.bin", sim_dir, s->qe->dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-dir", n, "sim_dir is too long");
    ccz_rc rc = ccz_file_read(&s->certification, path, err);
    if (rc != CCZ_OK)
        return ccz_hint(err, rc, "make a simulated platform with `cczoo sim init DIR`");
    char key_path[4096];
    (void)snprintf(key_path, sizeof(key_path), "%s/platform/%s/attest_key.pem", sim_dir,
                   s->qe->dir);
    rc = ccz_key_load(&s->key, key_path, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_key_curve(s->key) != CCZ_P256)
        return ccz_fail(err, CCZ_E_FORMAT, "tee:sim-key", 0, "%s is not a P-256 key", key_path);
    if (ccz_key_xy(s->xy, s->key) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-key", 0, "cannot export the public key");
    return check_certification(s, path, err);
}

/* What stays the same in every quote. The first 16 bytes of user data name the QE: here, by its
 * key. */
static ccz_rc fixed_fields(struct cczi_sim *s)
{
    uint8_t id[32];
    ccz_rc rc = ccz_sha256(id, CCZ_SPAN(s->xy, 64));
    memcpy(s->user_data, id, 16);
    if (rc == CCZ_OK)
        rc = cczi_sim_digest(s->mrsigner, CCZ_SHA256, cczi_sim_enclave_signer);
    if (rc == CCZ_OK)
        rc = cczi_sim_digest(s->mrseam, CCZ_SHA384, cczi_sim_tdx_module);
    return rc;
}

static ccz_rc sim_open(struct ccz_attester *a, const struct ccz_attester_cfg *cfg, int qe,
                       struct ccz_err *err)
{
    if (!cfg->sim_dir)
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-dir", 0, "the software TEE needs sim_dir");
    struct cczi_sim *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "tee:open", 0, "out of memory");
    a->sim = s; /* released by sim_close() in any case */
    a->kind = qe == CCZI_SIM_TDX ? CCZI_TEE_TDX : CCZI_TEE_SGX;
    s->qe = &cczi_sim_qe[qe];
    s->debug = cfg->sim_debug;
    ccz_buf_init(&s->certification, CERTIFICATION_SIZE_MAX);
    ccz_rc rc = load_platform(s, cfg->sim_dir, err);
    if (rc != CCZ_OK)
        return rc;
    if (fixed_fields(s) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:open", 0, "cannot hash");
    return measure_self(a, cfg, qe == CCZI_SIM_TDX, err);
}

static void sim_close(struct ccz_attester *a)
{
    if (!a->sim)
        return;
    ccz_key_free(a->sim->key);
    ccz_buf_free(&a->sim->certification);
    free(a->sim);
}

/* ------------------------------------------------------------------------------------- quotes */

static void header_put(struct ccz_buf *b, const struct cczi_sim *s, bool tdx)
{
    static const uint8_t intel[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                      0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    ccz_buf_le16(b, tdx ? 4 : 3); /*  0 version */
    ccz_buf_le16(b, KEY_TYPE_ECDSA_P256);
    ccz_buf_le32(b, tdx ? TEE_TYPE_TDX : 0);            /*  4 TEE type; v3: reserved */
    ccz_buf_le16(b, tdx ? 0 : s->qe->isv_svn);          /*  8 v3: QE SVN */
    ccz_buf_le16(b, tdx ? 0 : cczi_sim_tcb.pce_svn);    /* 10 v3: PCE SVN */
    ccz_buf_put(b, intel, sizeof(intel));               /* 12 QE vendor: the format is Intel's */
    ccz_buf_put(b, s->user_data, sizeof(s->user_data)); /* 28 */
}

static void body_put(struct ccz_buf *b, const struct ccz_attester *a, bool tdx,
                     const uint8_t report_data[64])
{
    const struct cczi_sim *s = a->sim;
    if (tdx) {
        struct cczi_td_report td = {.td_attributes =
                                        CCZI_TD_SEPT_VE_DISABLE | (s->debug ? CCZI_TD_DEBUG : 0),
                                    .xfam = 0x602e7}; /* x87, SSE, AVX, AVX-512, PKRU, AMX */
        memcpy(td.mrseam, s->mrseam, 48);
        memcpy(td.mrtd, a->measurement, 48);
        memcpy(td.report_data, report_data, 64);
        cczi_td_report_put(b, &td);
        return;
    }
    struct cczi_sgx_report e = {.flags = CCZI_SGX_INIT | CCZI_SGX_MODE64 |
                                         (s->debug ? CCZI_SGX_DEBUG : 0),
                                .xfrm = 0xe7, /* x87, SSE, AVX, AVX-512 */
                                .prod_id = ISV_PROD_ID,
                                .isv_svn = ISV_SVN};
    memcpy(e.mrenclave, a->measurement, 32);
    memcpy(e.mrsigner, s->mrsigner, 32);
    memcpy(e.report_data, report_data, 64);
    cczi_sgx_report_put(b, &e);
}

static ccz_rc sim_quote(struct ccz_attester *a, struct cczi_tee_request *q, struct ccz_err *err)
{
    const struct cczi_sim *s = a->sim;
    const bool tdx = a->provider == &cczi_tee_sim_tdx;
    struct ccz_buf *b = q->out;
    header_put(b, s, tdx);
    body_put(b, a, tdx, q->report_data);
    uint8_t sig[64];
    struct ccz_span signed_bytes = ccz_buf_span(b);
    if (!b->bad && ccz_ecdsa_sign(sig, s->key, &signed_bytes, 1) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-sign", 0, "cannot sign the quote");
    size_t cert_size = s->certification.size;
    ccz_buf_le32(b, (uint32_t)(sizeof(sig) + 64 + cert_size + (tdx ? 6 : 0)));
    ccz_buf_put(b, sig, sizeof(sig));
    ccz_buf_put(b, s->xy, 64);
    if (tdx) { /* v4 wraps what follows into certification data of its own */
        ccz_buf_le16(b, CCZI_CERT_TYPE_QE_REPORT);
        ccz_buf_le32(b, (uint32_t)cert_size);
    }
    ccz_buf_put_span(b, ccz_buf_span(&s->certification));
    if (b->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "tee:sim-quote", (int64_t)b->max_size,
                        "the quote is larger than the buffer may grow");
    return CCZ_OK;
}

/* As EGETKEY: a secret of the platform (here that of its attestation key), the identity, and whether the
 * enclave can be debugged. */
ccz_rc cczi_sim_seal(uint8_t raw[32], struct ccz_attester *a, enum ccz_seal_to to,
                     struct ccz_err *err)
{
    const struct cczi_sim *s = a->sim;
    CCZ_AUTO(ccz_secret) platform = NULL;
    CCZ_AUTO_BUF info;
    ccz_buf_init(&info, 64);
    ccz_buf_u8(&info, (uint8_t)to);
    ccz_buf_u8(&info, s->debug);
    ccz_buf_put(&info, to == CCZ_SEAL_TO_MEASUREMENT ? a->measurement : s->mrsigner, 32);
    ccz_rc rc = info.bad ? CCZ_E_NOMEM : ccz_key_to_pkcs8(&platform, s->key);
    if (rc == CCZ_OK)
        rc = ccz_hkdf(raw, 32, CCZ_SHA256, ccz_span_str(SEAL_LABEL),
                      CCZ_SPAN(ccz_secret_view(platform), ccz_secret_size(platform)),
                      ccz_buf_span(&info));
    return rc == CCZ_OK ? rc
                        : ccz_fail(err, rc, "tee:seal-key", 0, "cannot derive the sealing key");
}

static ccz_rc open_sgx(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                       struct ccz_err *err)
{
    return sim_open(a, cfg, CCZI_SIM_SGX, err);
}

static ccz_rc open_tdx(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                       struct ccz_err *err)
{
    return sim_open(a, cfg, CCZI_SIM_TDX, err);
}

const struct cczi_tee_provider cczi_tee_sim_sgx = {"sim-sgx", true,      open_sgx,
                                                   sim_quote, sim_close, NULL};
const struct cczi_tee_provider cczi_tee_sim_tdx = {"sim-tdx", true,      open_tdx,
                                                   sim_quote, sim_close, NULL};
