/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys have to rotate now. The rotation itself is a call like any other: methods_keys.c. */
#include "use_priv.h"

#include <stdlib.h>
#include <string.h>

const struct cczi_kms_method cczi_kms_rotate_due = {
    .name = "Rotate", .recorded = true, .run = cczi_kms_run_rotate_due};

struct scan {
    struct cczi_kms_due *due;
    int64_t now_s;
};

static ccz_rc look(void *arg, const char *name, struct ccz_span meta, struct ccz_err *err)
{
    const struct scan *scan = arg;
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
    struct scan scan = {out, now_s};
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

/* Names of one namespace lie together, so a place in the middle of them is left to others, too. */
size_t cczi_kms_rotations_pick(size_t *out, size_t most, const struct cczi_kms_due *due,
                               size_t start)
{
    const size_t share = most / CCZI_KMS_ROTATION_SHARES;
    char ns[CCZ_KMS_NAME_SIZE], first[CCZ_KMS_NAME_SIZE] = "", last[CCZ_KMS_NAME_SIZE] = "";
    size_t n = 0, of_first = 0, of_last = 0;
    for (size_t i = 0; i < due->len && n < most; i++) {
        const size_t at = (start + i) % due->len;
        cczi_kms_ns_of(ns, due->names[at]);
        if (i == 0)
            memcpy(first, ns, sizeof(ns));
        const bool is_first =
            strcmp(ns, first) == 0; /* it may come again at the end of the round */
        if (!is_first && strcmp(ns, last) != 0)
            of_last = 0;
        memcpy(last, ns, sizeof(ns));
        size_t *has = is_first ? &of_first : &of_last;
        if (*has == share)
            continue;
        ++*has;
        out[n++] = at;
    }
    return n;
}
