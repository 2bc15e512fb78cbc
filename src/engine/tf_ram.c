/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage in TensorFlow's own in-memory file system (ram://, a map from names to std::string inside
 * the library). Deleting a file frees its memory; TensorFlow offers no way to overwrite it before.
 */
#include "engine/tf_priv.h"

#include <stdio.h>
#include <string.h>

enum { TF_OK = 0, TF_ALREADY_EXISTS = 6, TF_UNIMPLEMENTED = 12 };

typedef char ram_name[sizeof(((struct tf_ram *)0)->path) + CCZ_MODEL_NAME_SIZE_MAX + 2];

static void full_name(ram_name out, const struct tf_ram *r, const char *name)
{
    (void)snprintf(out, sizeof(ram_name), "%s/%s", r->path, name);
}

static ccz_rc outcome(const struct tf_ram *r, const char *what, struct ccz_err *err)
{
    int code = r->api->TF_GetCode(r->status);
    if (code == TF_OK)
        return CCZ_OK;
    ccz_rc rc = code == TF_UNIMPLEMENTED ? CCZ_E_UNAVAILABLE : CCZ_E_IO;
    ccz_fail(err, rc, "engine:stage", code, "cannot %s in memory: %.120s", what,
             r->api->TF_Message(r->status));
    return rc == CCZ_E_UNAVAILABLE
               ? ccz_hint(err, rc, "this TensorFlow has no ram:// file system: use the tmpfs stage")
               : rc;
}

static ccz_rc ram_dir(void *arg, const char *name, struct ccz_err *err)
{
    struct tf_ram *r = arg;
    ram_name full;
    full_name(full, r, name);
    r->api->TF_CreateDir(full, r->status);
    return r->api->TF_GetCode(r->status) == TF_ALREADY_EXISTS ? CCZ_OK
                                                              : outcome(r, "make a folder", err);
}

static ccz_rc ram_open(void *arg, const char *name, struct ccz_err *err)
{
    struct tf_ram *r = arg;
    ram_name full;
    full_name(full, r, name);
    r->api->TF_NewWritableFile(full, &r->file, r->status);
    return outcome(r, "create a file", err);
}

static ccz_rc ram_write(void *arg, struct ccz_span chunk, struct ccz_err *err)
{
    struct tf_ram *r = arg;
    r->api->TF_AppendWritableFile(r->file, (const char *)chunk.ptr, chunk.size, r->status);
    return outcome(r, "write", err);
}

static ccz_rc ram_close(void *arg, struct ccz_err *err)
{
    struct tf_ram *r = arg;
    r->api->TF_CloseWritableFile(r->file, r->status);
    r->file = NULL;
    return outcome(r, "close a file", err);
}

ccz_rc cczi_tf_ram_fill(struct tf_ram *r, struct ccz_err *err)
{
    r->api->TF_CreateDir(r->path, r->status);
    ccz_rc rc = outcome(r, "make a folder", err);
    struct cczi_sink sink = {ram_dir, ram_open, ram_write, ram_close, r};
    return rc == CCZ_OK ? cczi_stage_copy(r->cfg, &sink, err) : rc;
}

/* Every file and folder that cczi_stage_copy() can have made, by name; what is not there is no
 * error. */
void cczi_tf_ram_remove(struct tf_ram *r)
{
    ram_name full;
    for (size_t i = 0; i < r->cfg->files_len; i++) {
        full_name(full, r, r->cfg->files[i].name);
        r->api->TF_DeleteFile(full, r->status);
    }
    for (size_t i = 0; i < r->cfg->files_len; i++) {
        full_name(full, r, r->cfg->files[i].name);
        char *below = full + strlen(r->path) + 1;
        for (char *s; (s = strrchr(below, '/')) != NULL;) {
            *s = 0;
            r->api->TF_DeleteDir(full, r->status);
        }
    }
    r->api->TF_DeleteDir(r->path, r->status);
}
