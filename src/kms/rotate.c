/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys have to rotate now. The rotation itself is a call like any other: methods_keys.c. */
#include "quota.h"
#include "use_priv.h"

#include <stdlib.h>
#include <string.h>

const struct cczi_kms_method cczi_kms_rotate_due = {
    .name = "Rotate", .recorded = true, .run = cczi_kms_run_rotate_due};

struct scan {
    struct cczi_kms_due *due;
    const struct ccz_kms_store *store;
    int64_t now_s;
};

static ccz_rc look(void *arg, const char *name, struct ccz_span meta, struct ccz_err *err)
{
    const struct scan *scan = arg;
    if (cczi_kms_quota_rests(scan->store, name))
        return CCZ_OK;
    struct cczi_kms_key_meta m;
    ccz_rc rc = cczi_kms_key_meta_get(&m, meta, err);
    if (rc != CCZ_OK || !cczi_kms_key_rotation_due(&m, scan->now_s))
        return rc;
    struct cczi_kms_due *d = scan->due;
    char(*names)[CCZ_KMS_NAME_SIZE] = realloc(d->names, (d->len + 1) * sizeof(*names));
    if (!names)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    d->names = names;
    memcpy(names[d->len++], name, strlen(name) + 1);
    return CCZ_OK;
}

ccz_rc cczi_kms_rotations_due(struct cczi_kms_due *out, struct ccz_kms_store *s, int64_t now_s,
                              struct ccz_err *err)
{
    *out = (struct cczi_kms_due){0};
    struct scan scan = {out, s, now_s};
    ccz_rc rc = cczi_kms_begin_read(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_key_meta_each(s, look, &scan, err);
    cczi_kms_rollback(s);
    if (rc != CCZ_OK) {
        free(out->names);
        *out = (struct cczi_kms_due){0};
    }
    return rc;
}
