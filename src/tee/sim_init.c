/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the directory of a simulated platform: see the layout at ccz_sim_init() in tee.h. */
#define _DEFAULT_SOURCE
#include "tee/sim_priv.h"

#include <cczoo/codec.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_SIZE_MAX = 65536, QE_AUTH_SIZE = 32 };

struct init {
    const char *dir;
    const struct ccz_sim_cfg *cfg;
    const char *status;
    struct cczi_sim_pki pki;
};

static ccz_rc make_dir(const struct init *in, const char *name, unsigned perm, struct ccz_err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", in->dir, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-dir", n, "the directory name is too long");
    return ccz_dir_make(path, perm, err);
}

/* `data` may be bad: then `what` could not be made. */
static ccz_rc write_file(const struct init *in, const char *sub, const char *name,
                         const struct ccz_buf *data, unsigned perm, struct ccz_err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s/%s", in->dir, sub, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-dir", n, "the directory name is too long");
    if (data->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "tee:sim-init", 0, "cannot build %s", name);
    return ccz_file_write(path, ccz_buf_span(data), perm, CCZ_FILE_CREATE_ONLY, err);
}

/* An old platform is never overwritten: policies and verifiers may still name it. */
static ccz_rc refuse_non_empty(const char *dir, struct ccz_err *err)
{
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return CCZ_OK;
    if (!d) {
        int e = errno;
        return ccz_fail(err, CCZ_E_IO, "tee:sim-dir", e, "cannot open %s: %s", dir, strerror(e));
    }
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(d)) != NULL;)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    if (empty)
        return CCZ_OK;
    ccz_rc rc = ccz_fail(err, CCZ_E_EXISTS, "tee:sim-dir", 0, "%s is not empty", dir);
    return ccz_hint(err, rc, "choose a new directory, or remove the old platform yourself");
}

/* ----------------------------------------------------------------------------------- platform */

/* QE report over SHA-256(attestation key || authentication data), as the real QE makes it. */
static ccz_rc qe_report(struct ccz_buf *out, const struct cczi_sim_qe *q,
                        const struct ccz_key *attest_key, struct ccz_span auth)
{
    struct cczi_sgx_report r = {.flags = CCZI_SGX_INIT | CCZI_SGX_MODE64 | CCZI_SGX_PROVISION_KEY,
                                .xfrm = 0xe7,
                                .prod_id = q->prod_id,
                                .isv_svn = q->isv_svn};
    uint8_t xy[64];
    struct ccz_span parts[] = {CCZ_SPAN(xy, sizeof(xy)), auth};
    ccz_rc rc = cczi_sim_digest(r.mrenclave, CCZ_SHA256, q->label);
    if (rc == CCZ_OK)
        rc = cczi_sim_digest(r.mrsigner, CCZ_SHA256, cczi_sim_qe_signer);
    if (rc == CCZ_OK)
        rc = ccz_key_xy(xy, attest_key);
    if (rc == CCZ_OK)
        rc = ccz_hash(r.report_data, CCZ_SHA256, parts, 2);
    if (rc == CCZ_OK)
        cczi_sgx_report_put(out, &r);
    return rc;
}

/* QE report || PCK signature || auth data || PCK chain */
static ccz_rc certification(struct ccz_buf *out, const struct init *in, const struct cczi_sim_qe *q,
                            const struct ccz_key *attest_key)
{
    uint8_t auth[QE_AUTH_SIZE], sig[64];
    for (uint8_t i = 0; i < QE_AUTH_SIZE; i++) /* what every real QE sends */
        auth[i] = i;
    ccz_rc rc = qe_report(out, q, attest_key, CCZ_SPAN(auth, sizeof(auth)));
    struct ccz_span report = ccz_buf_span(out);
    if (rc == CCZ_OK)
        rc = ccz_ecdsa_sign(sig, in->pki.pck_key, &report, 1);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF chain;
    ccz_buf_init(&chain, FILE_SIZE_MAX);
    const struct ccz_cert *certs[] = {in->pki.pck, in->pki.ca, in->pki.root};
    cczi_sim_pem_chain(&chain, certs, 3);
    ccz_buf_u8(&chain, 0); /* real quotes end in a NUL */
    ccz_buf_put(out, sig, sizeof(sig));
    ccz_buf_le16(out, QE_AUTH_SIZE);
    ccz_buf_put(out, auth, sizeof(auth));
    ccz_buf_le16(out, CCZI_CERT_TYPE_PCK_CHAIN);
    ccz_buf_le32(out, (uint32_t)chain.size);
    ccz_buf_put_span(out, ccz_buf_span(&chain));
    return chain.bad ? CCZ_E_NOMEM : CCZ_OK;
}

static ccz_rc write_key(const struct init *in, const char *name, const struct ccz_key *key,
                        struct ccz_err *err)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/platform/%s", in->dir,
                   name); /* shorter than what make_dir() took */
    return ccz_key_save(key, path, err);
}

static ccz_rc write_qe(const struct init *in, const struct cczi_sim_qe *q, struct ccz_err *err)
{
    char sub[32], key_name[32];
    (void)snprintf(sub, sizeof(sub), "platform/%s", q->dir);
    (void)snprintf(key_name, sizeof(key_name), "%s/attest_key.pem", q->dir);
    CCZ_AUTO(ccz_key) attest_key = NULL;
    CCZ_AUTO_BUF cert;
    ccz_buf_init(&cert, FILE_SIZE_MAX);
    ccz_rc rc = ccz_key_generate(&attest_key, CCZ_P256);
    if (rc == CCZ_OK)
        rc = certification(&cert, in, q, attest_key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tee:sim-init", 0, "cannot make the quoting enclave %s",
                        q->identity_id);
    rc = make_dir(in, sub, 0700, err);
    if (rc == CCZ_OK)
        rc = write_key(in, key_name, attest_key, err);
    return rc == CCZ_OK ? write_file(in, sub, "qe_certification.bin", &cert, 0600, err) : rc;
}

static ccz_rc write_platform(const struct init *in, struct ccz_err *err)
{
    ccz_rc rc = make_dir(in, "platform", 0700, err);
    if (rc == CCZ_OK)
        rc = write_key(in, "pck_key.pem", in->pki.pck_key, err);
    for (int i = 0; i < CCZI_SIM_QE_LEN && rc == CCZ_OK; i++)
        rc = write_qe(in, &cczi_sim_qe[i], err);
    return rc;
}

/* -------------------------------------------------------------------------------------- trust */

static ccz_rc write_chain(const struct init *in, const char *sub, const char *name,
                          const struct ccz_cert *signer, struct ccz_err *err)
{
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, FILE_SIZE_MAX);
    const struct ccz_cert *certs[] = {signer, in->pki.root};
    cczi_sim_pem_chain(&pem, certs, 2);
    return write_file(in, sub, name, &pem, 0644, err);
}

static ccz_rc write_json(const struct init *in, const char *sub, int qe, struct ccz_err *err)
{
    CCZ_AUTO_BUF tcb_info;
    CCZ_AUTO_BUF identity;
    ccz_buf_init(&tcb_info, FILE_SIZE_MAX);
    ccz_buf_init(&identity, FILE_SIZE_MAX);
    ccz_rc rc = cczi_sim_tcb_info(&tcb_info, &in->pki, qe, in->status);
    if (rc == CCZ_OK)
        rc = cczi_sim_qe_identity(&identity, &in->pki, qe);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tee:sim-init", 0, "cannot make the collateral");
    rc = write_file(in, sub, "tcb_info.json", &tcb_info, 0644, err);
    return rc == CCZ_OK ? write_file(in, sub, "qe_identity.json", &identity, 0644, err) : rc;
}

static ccz_rc write_crls(const struct init *in, const char *sub, struct ccz_err *err)
{
    const struct cczi_sim_pki *p = &in->pki;
    CCZ_AUTO_BUF root_crl;
    CCZ_AUTO_BUF pck_crl;
    ccz_buf_init(&root_crl, FILE_SIZE_MAX);
    ccz_buf_init(&pck_crl, FILE_SIZE_MAX);
    struct ccz_span revoked = ccz_cert_serial(p->pck);
    ccz_rc rc = ccz_crl_issue(&root_crl, p->root, p->root_key, p->now_s, p->next_update_s, NULL, 0);
    if (rc == CCZ_OK)
        rc = ccz_crl_issue(&pck_crl, p->ca, p->ca_key, p->now_s, p->next_update_s, &revoked,
                           in->cfg->revoke_pck ? 1 : 0);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tee:sim-init", 0, "cannot make the CRLs");
    rc = write_file(in, sub, "root_ca_crl.der", &root_crl, 0644, err);
    return rc == CCZ_OK ? write_file(in, sub, "pck_crl.der", &pck_crl, 0644, err) : rc;
}

static ccz_rc write_bundle(const struct init *in, int qe, struct ccz_err *err)
{
    char sub[32];
    (void)snprintf(sub, sizeof(sub), "trust/%s", cczi_sim_qe[qe].dir);
    ccz_rc rc = make_dir(in, sub, 0755, err);
    if (rc == CCZ_OK)
        rc = write_json(in, sub, qe, err);
    if (rc == CCZ_OK)
        rc = write_chain(in, sub, "tcb_info_issuer_chain.pem", in->pki.tcb, err);
    if (rc == CCZ_OK)
        rc = write_chain(in, sub, "qe_identity_issuer_chain.pem", in->pki.tcb, err);
    if (rc == CCZ_OK)
        rc = write_chain(in, sub, "pck_crl_issuer_chain.pem", in->pki.ca, err);
    return rc == CCZ_OK ? write_crls(in, sub, err) : rc;
}

static ccz_rc write_trust(const struct init *in, struct ccz_err *err)
{
    ccz_rc rc = make_dir(in, "trust", 0755, err);
    for (int i = 0; i < CCZI_SIM_QE_LEN && rc == CCZ_OK; i++)
        rc = write_bundle(in, i, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF root;
    ccz_buf_init(&root, FILE_SIZE_MAX);
    const struct ccz_cert *certs[] = {in->pki.root};
    cczi_sim_pem_chain(&root, certs, 1);
    return write_file(in, "trust", "root.pem", &root, 0644, err);
}

ccz_rc ccz_sim_init(const char *dir, const struct ccz_sim_cfg *cfg, struct ccz_err *err)
{
    struct init in = {.dir = dir, .cfg = cfg};
    if (cfg->now_s <= 0 || cfg->valid_s < 0)
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-init", 0,
                        "now_s is required, valid_s must not be negative");
    ccz_rc rc = cczi_sim_status(&in.status, cfg, err);
    if (rc == CCZ_OK)
        rc = refuse_non_empty(dir, err);
    if (rc == CCZ_OK)
        rc = ccz_dir_make(dir, 0755, err);
    if (rc == CCZ_OK)
        rc = cczi_sim_pki_new(&in.pki, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    rc = write_platform(&in, err);
    if (rc == CCZ_OK)
        rc = cczi_sim_snp_init(dir, cfg, err);
    if (rc == CCZ_OK)
        rc = write_trust(&in, err);
    cczi_sim_pki_deinit(&in.pki);
    return rc;
}
