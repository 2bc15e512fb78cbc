/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_DIR_H
#define KMS_DIR_H
/* The temporary folder of a test, with a state folder "kms" in it. */
#include "kms/kms_fixture.h"
#include "kms/kms_temp.h"
#include "kms/master_priv.h"

#include <sys/stat.h>
#include <unistd.h>

static inline void dir_make(void)
{
    dir_fresh();
    CHECK(mkdir(dir_path("kms"), 0700) == 0);
    CHECK(mkdir(dir_path("other"), 0700) == 0); /* "another disk" */
}

/* Copies a file or folder, as a backup or an attacker would; `to` is replaced. */
static inline void dir_copy(const char *from, const char *to)
{
    char cmd[1200];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s/%s' && cp -rp '%s/%s' '%s/%s'", dir_root, to,
                   dir_root, from, dir_root, to);
    CHECK(system(cmd) == 0);
}

static inline bool dir_has(const char *name)
{
    return access(dir_path(name), F_OK) == 0;
}

static inline struct ccz_kms_master *dir_master(const char *spec, struct ccz_attester *attester)
{
    struct ccz_kms_master *m = NULL;
    struct ccz_err err = {0};
    static char kms[400], shares[400];
    (void)snprintf(kms, sizeof(kms), "%s", dir_path("kms"));
    (void)snprintf(shares, sizeof(shares), "%s", dir_path("shares"));
    const struct ccz_kms_master_cfg cfg = {
        .spec = spec, .dir = kms, .attester = attester, .shares_dir = shares};
    if (ccz_kms_master_open(&m, &cfg, &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    return m;
}

static inline ccz_rc dir_init(struct ccz_kms_master *m, struct ccz_kms_epoch *e,
                              struct ccz_err *err)
{
    uint8_t spki[32];
    fix_spki(spki, FIX_ADMIN);
    *err = (struct ccz_err){0};
    const struct ccz_kms_state st = {.dir = dir_path("kms"), .master = m, .epoch = e};
    return ccz_kms_init(&st, spki, FIX_NOW, err);
}

static inline ccz_rc dir_open(struct ccz_kms_store **out, struct ccz_kms_master *m,
                              struct ccz_kms_epoch *e, struct ccz_err *err)
{
    *err = (struct ccz_err){0};
    const struct ccz_kms_state st = {.dir = dir_path("kms"), .master = m, .epoch = e};
    ccz_rc rc = ccz_kms_store_open(out, &st, err);
    CHECK((rc == CCZ_OK) == (*out != NULL));
    return rc;
}

/* Opens and closes. */
static inline ccz_rc dir_try(struct ccz_kms_master *m, struct ccz_kms_epoch *e, struct ccz_err *err)
{
    CCZ_AUTO(ccz_kms_store) s = NULL;
    return dir_open(&s, m, e, err);
}

static inline bool dir_refused(ccz_rc rc, const struct ccz_err *err, ccz_rc want, const char *where)
{
    bool ok = rc == want && strcmp(err->where, where) == 0;
    if (!ok)
        fprintf(stderr, "got %s %s (%s), expected %s %s\n", ccz_rc_name(rc), err->where, err->msg,
                ccz_rc_name(want), where);
    return ok;
}
#endif
