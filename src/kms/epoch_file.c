/* SPDX-License-Identifier: Apache-2.0 */
/* A counter in a file on another disk. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700 /* realpath() */
#include "master_priv.h"

#include "kms_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A counter that lies in the state folder goes back with it. */
static ccz_rc check_place(const char *path, const char *dir, struct ccz_err *err)
{
    char parent[4096];
    (void)snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        (void)snprintf(parent, sizeof(parent), ".");
    else
        slash[slash == parent ? 1 : 0] = 0;
    char *real_parent = realpath(parent, NULL);
    if (!real_parent)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:epoch-place", errno,
                        "the folder of the counter is not there: %s", strerror(errno));
    char *real_dir = realpath(dir, NULL); /* a state folder yet to be made holds nothing */
    size_t n = real_dir ? strlen(real_dir) : 0;
    bool inside = real_dir && strncmp(real_parent, real_dir, n) == 0 &&
                  (real_parent[n] == '/' || real_parent[n] == 0);
    free(real_parent);
    free(real_dir);
    if (!inside)
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_ARG, "kms:epoch-place", 0,
                   "the counter would be in the state folder, and go back with it");
    return cczi_kms_hint(err, CCZ_E_ARG);
}

static ccz_rc file_open(struct ccz_kms_epoch *e, const char *rest,
                        const struct ccz_kms_epoch_cfg *cfg, struct ccz_err *err)
{
    int n = snprintf(e->path, sizeof(e->path), "%s", rest);
    if (n <= 0 || (size_t)n >= sizeof(e->path))
        return ccz_fail(err, CCZ_E_ARG, "kms:epoch-spec", n, "file: needs a path");
    return check_place(e->path, cfg->dir, err);
}

static ccz_rc file_load(struct ccz_buf *out, struct ccz_kms_epoch *e, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) record = NULL; /* no secret; its mode is checked as that of one */
    ccz_rc rc = ccz_file_read_secret(&record, e->path, 1024, err);
    if (rc == CCZ_E_NOT_FOUND)
        return ccz_fail(err, rc, "kms:epoch-lost", 0, "there is no counter %s", e->path);
    if (rc == CCZ_OK)
        ccz_buf_put(out, ccz_secret_view(record), ccz_secret_size(record));
    return rc;
}

static ccz_rc file_save(struct ccz_kms_epoch *e, struct ccz_span record, struct ccz_err *err)
{
    struct ccz_err why = {0};
    ccz_rc rc = ccz_file_write(e->path, record, 0600, CCZ_FILE_REPLACE, &why);
    return rc == CCZ_OK ? rc
                        : ccz_fail(err, CCZ_E_IO, "kms:epoch", why.aux,
                                   "the counter cannot be advanced: %s", why.msg);
}

static void file_close(struct ccz_kms_epoch *e)
{
    (void)e;
}

const struct cczi_kms_epoch_ops cczi_epoch_file = {"file", file_open, file_load, file_save,
                                                   file_close};
