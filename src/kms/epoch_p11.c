/* SPDX-License-Identifier: Apache-2.0 */
/* A counter in a data object of a PKCS#11 token. */
#include "master_priv.h"

static ccz_rc p11_open(struct ccz_kms_epoch *e, const char *rest,
                       const struct ccz_kms_epoch_cfg *cfg, struct ccz_err *err)
{
    (void)cfg;
    return cczi_p11_open(&e->token, rest, err);
}

static ccz_rc p11_load(struct ccz_buf *out, struct ccz_kms_epoch *e, struct ccz_err *err)
{
    return cczi_p11_data_get(out, e->token, err);
}

static ccz_rc p11_save(struct ccz_kms_epoch *e, struct ccz_span record, struct ccz_err *err)
{
    return cczi_p11_data_put(e->token, record, err);
}

static void p11_close(struct ccz_kms_epoch *e)
{
    ccz_kms_token_free(e->token);
}

const struct cczi_kms_epoch_ops cczi_epoch_pkcs11 = {"pkcs11", p11_open, p11_load, p11_save,
                                                     p11_close};
