/* SPDX-License-Identifier: Apache-2.0 */
/* One bundle directory: files to struct ccz_collateral_src. */
#define _DEFAULT_SOURCE
#include "pcs/pcs_priv.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum part {
    TCB_INFO,
    TCB_CHAIN,
    QE_IDENTITY,
    QE_CHAIN,
    CRL_CHAIN,
    ROOT_CRL,
    PCK_CRL,
    LEAF,
    SIGN_CHAIN
};
enum { PARTS = SIGN_CHAIN + 1, REQUIRED = LEAF };

static const char *const file_names[PARTS] = {
    [TCB_INFO] = "tcb_info.json",
    [TCB_CHAIN] = "tcb_info_issuer_chain.pem",
    [QE_IDENTITY] = "qe_identity.json",
    [QE_CHAIN] = "qe_identity_issuer_chain.pem",
    [CRL_CHAIN] = "pck_crl_issuer_chain.pem",
    [ROOT_CRL] = "root_ca_crl.der",
    [PCK_CRL] = "pck_crl.der",
    [LEAF] = "pck_leaf.pem", /* optional from here */
    [SIGN_CHAIN] = "pck_sign_chain.pem",
};

static ccz_rc path_of(char path[CCZI_PCS_PATH_SIZE], const char *dir, const char *file,
                      struct ccz_err *err)
{
    int n = snprintf(path, CCZI_PCS_PATH_SIZE, "%s/%s", dir, file);
    if (n < 0 || n >= CCZI_PCS_PATH_SIZE)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:path", n, CCZI_PCS_PATH_SIZE - 1);
    return CCZ_OK;
}

/* *there is false, and that is no error, if the file does not exist. */
static ccz_rc read_part(bool *there, struct ccz_buf *out, const char *dir, const char *file,
                        struct ccz_err *err)
{
    char path[CCZI_PCS_PATH_SIZE];
    ccz_rc rc = path_of(path, dir, file, err);
    if (rc != CCZ_OK)
        return rc;
    *there = access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    return *there ? ccz_file_read(out, path, err) : CCZ_OK;
}

static ccz_rc read_parts(struct ccz_buf parts[PARTS], const char *dir, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int i = 0; i < PARTS && rc == CCZ_OK; i++) {
        bool there;
        rc = read_part(&there, &parts[i], dir, file_names[i], err);
        if (rc != CCZ_OK || there || i >= REQUIRED)
            continue;
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, i == TCB_INFO ? "pcs:no-bundle" : "pcs:incomplete", 0,
                      "%s is missing", file_names[i]);
    }
    return rc;
}

ccz_rc cczi_bundle_load(struct ccz_collateral **out, const char *dir, const struct ccz_roots *roots,
                        struct ccz_err *err)
{
    struct ccz_buf parts[PARTS];
    for (int i = 0; i < PARTS; i++)
        ccz_buf_init(&parts[i], CCZ_COLLATERAL_SIZE_MAX);
    *out = NULL;
    ccz_rc rc = read_parts(parts, dir, err);
    if (rc == CCZ_OK && parts[LEAF].size > 0) {
        ccz_buf_put_span(&parts[LEAF], ccz_buf_span(&parts[SIGN_CHAIN]));
        if (parts[LEAF].bad)
            rc = ccz_fail(err, CCZ_E_LIMIT, "pcs:pck-chain", 0, "the PCK chain is too large");
    }
    if (rc == CCZ_OK) {
        const struct ccz_collateral_src src = {
            .tcb_info = ccz_buf_span(&parts[TCB_INFO]),
            .tcb_info_chain = ccz_buf_span(&parts[TCB_CHAIN]),
            .qe_identity = ccz_buf_span(&parts[QE_IDENTITY]),
            .qe_identity_chain = ccz_buf_span(&parts[QE_CHAIN]),
            .root_ca_crl = ccz_buf_span(&parts[ROOT_CRL]),
            .pck_crl = ccz_buf_span(&parts[PCK_CRL]),
            .pck_crl_chain = ccz_buf_span(&parts[CRL_CHAIN]),
            .pck_chain = ccz_buf_span(&parts[LEAF]),
        };
        rc = ccz_collateral_new(out, &src, roots, err);
    }
    for (int i = 0; i < PARTS; i++)
        ccz_buf_free(&parts[i]);
    return rc;
}
