/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "quote/vectors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_SIZE_MAX = 1 << 20 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

const char *vectors_dir(void)
{
    static char dir[1024];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(dir, sizeof(dir), "%s/tee",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    DIR *d = opendir(dir);
    if (!d) {
        fprintf(stderr, "skipped: no %s\n", dir);
        exit(77);
    }
    closedir(d);
    return dir;
}

void vectors_load(struct ccz_buf *out, const char *set, const char *dir, const char *file)
{
    char path[2048];
    ccz_buf_init(out, FILE_SIZE_MAX);
    (void)snprintf(path, sizeof(path), "%s/%s/%s/%s", vectors_dir(), set, dir, file);
    if (ccz_file_read(out, path, NULL) != CCZ_OK)
        ccz_buf_clear(out);
}

static const char *const file_names[FILES] = {
    "tcb_info.json",
    "tcb_info_issuer_chain.pem",
    "qe_identity.json",
    "qe_identity_issuer_chain.pem",
    "root_ca_crl.der",
    "pck_crl.der",
    "pck_crl_issuer_chain.pem",
    "pck_leaf.pem",
    "pck_sign_chain.pem",
    "trusted_root.pem",
};

void bundle_load(struct bundle *b, const char *set, const char *dir)
{
    *b = (struct bundle){0};
    for (int i = 0; i < FILES; i++)
        vectors_load(&b->file[i], set, dir, file_names[i]);
    if (b->file[TRUSTED].size)
        require(ccz_roots_add_cert(&b->roots, ccz_buf_span(&b->file[TRUSTED]), true, NULL) ==
                CCZ_OK);
    else
        require(ccz_roots_add_intel(&b->roots) == CCZ_OK);
    /* Where a set lacks the chain of the QE identity, PCS signs it with the key of TCB info. */
    struct ccz_buf *qe_chain = &b->file[b->file[QE_CHAIN].size ? QE_CHAIN : TCB_CHAIN];
    struct ccz_buf *crl_chain = &b->file[b->file[CRL_CHAIN].size ? CRL_CHAIN : SIGN_CHAIN];
    ccz_buf_put_span(&b->file[LEAF], ccz_buf_span(&b->file[SIGN_CHAIN]));
    b->src = (struct ccz_collateral_src){
        .tcb_info = ccz_buf_span(&b->file[TCB]),
        .tcb_info_chain = ccz_buf_span(&b->file[TCB_CHAIN]),
        .qe_identity = ccz_buf_span(&b->file[QE]),
        .qe_identity_chain = ccz_buf_span(qe_chain),
        .root_ca_crl = ccz_buf_span(&b->file[ROOT_CRL]),
        .pck_crl = ccz_buf_span(&b->file[PCK_CRL]),
        .pck_crl_chain = ccz_buf_span(crl_chain),
        .pck_chain = ccz_buf_span(&b->file[LEAF]),
    };
}

void bundle_free(struct bundle *b)
{
    for (int i = 0; i < FILES; i++)
        ccz_buf_free(&b->file[i]);
}
