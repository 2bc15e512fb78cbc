/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_WHOLE_H
#define KMS_WHOLE_H
/* A store that fills the temporary folder of a test. */
#include "kms/kms_fixture.h"
#include "kms/kms_temp.h"

static inline struct ccz_kms_state state(void)
{
    return (struct ccz_kms_state){.dir = dir_root};
}

static inline void init_store(void)
{
    uint8_t spki[32];
    fix_spki(spki, FIX_ADMIN);
    struct ccz_kms_state st = state();
    struct ccz_err err = {0};
    if (ccz_kms_init(&st, spki, FIX_NOW, &err) != CCZ_OK)
        fix_die(err.msg);
}

static inline struct ccz_kms_store *open_store(void)
{
    struct ccz_kms_store *s;
    struct ccz_kms_state st = state();
    struct ccz_err err = {0};
    if (ccz_kms_store_open(&s, &st, &err) != CCZ_OK) {
        fprintf(stderr, "open: %s: %s\n", err.where, err.msg);
        exit(1);
    }
    return s;
}

static inline ccz_rc try_open(struct ccz_err *err)
{
    struct ccz_kms_store *s;
    struct ccz_kms_state st = state();
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_kms_store_open(&s, &st, err);
    CHECK((rc == CCZ_OK) == (s != NULL));
    ccz_kms_store_free(s);
    return rc;
}
#endif
