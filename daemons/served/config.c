/* SPDX-License-Identifier: Apache-2.0 */
/* TensorFlow Serving's configuration files: read at the start, the list of models again when it is asked for. */
#include "served.h"

#include <stdlib.h>
#include <string.h>

/* What is known and has no effect is said once, in the log. */
static void log_notes(const char *file, struct ccz_buf *notes)
{
    const char *at = ccz_buf_str(notes);
    while (*at) {
        const char *end = strchr(at, '\n');
        const size_t len = end ? (size_t)(end - at) : strlen(at);
        ccz_log(CCZ_LOG_WARN, "served", "%s: %.*s", file, (int)len, at);
        at += len + (end != NULL);
    }
}

/* In TensorFlow Serving's words, with line and column: what is told of the error at the end may leave them out. */
static ccz_rc invalid_file(const char *file, ccz_rc rc, const struct ccz_err *err)
{
    ccz_log(CCZ_LOG_ERROR, "served", "Invalid protobuf file: '%s': %s", file, err->msg);
    return rc;
}

typedef ccz_rc read_fn(void *out, struct ccz_buf *notes, struct ccz_span in, struct ccz_err *err);

static ccz_rc read_file(void *out, const char *file, read_fn *read, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF notes;
    ccz_buf_init(&text, CCZ_SERVE_CONFIG_SIZE_MAX);
    ccz_buf_init(&notes, CCZ_SERVE_NOTES_SIZE_MAX);
    text.wipe = true; /* an SSLConfig holds a key */
    ccz_rc rc = ccz_file_read(&text, file, err);
    if (rc != CCZ_OK)
        return rc;
    rc = read(out, &notes, ccz_buf_span(&text), err);
    if (rc != CCZ_OK)
        return invalid_file(file, rc, err);
    log_notes(file, &notes);
    return CCZ_OK;
}

static ccz_rc read_batching(void *out, struct ccz_buf *notes, struct ccz_span in,
                            struct ccz_err *err)
{
    return ccz_serve_read_batching(out, notes, in, CCZ_SERVE_TEXT, err);
}

static ccz_rc read_monitoring(void *out, struct ccz_buf *notes, struct ccz_span in,
                              struct ccz_err *err)
{
    return ccz_serve_read_monitoring(out, notes, in, CCZ_SERVE_TEXT, err);
}

static ccz_rc read_session(void *out, struct ccz_buf *notes, struct ccz_span in,
                           struct ccz_err *err)
{
    return ccz_serve_read_session(out, notes, in, CCZ_SERVE_TEXT, err);
}

static ccz_rc read_platforms(void *out, struct ccz_buf *notes, struct ccz_span in,
                             struct ccz_err *err)
{
    (void)out;
    return ccz_serve_read_platforms(notes, in, CCZ_SERVE_TEXT, err);
}

ccz_rc served_config_read(struct served_tfs *t, struct ccz_err *err)
{
    struct ccz_serve_session session = {0};
    ccz_rc rc = CCZ_OK;
    if (t->batching_file)
        rc = read_file(&t->batching_params, t->batching_file, read_batching, err);
    if (rc == CCZ_OK && t->monitoring_file)
        rc = read_file(&t->monitoring, t->monitoring_file, read_monitoring, err);
    if (rc == CCZ_OK && t->session_file)
        rc = read_file(&session, t->session_file, read_session, err);
    if (rc == CCZ_OK && t->platform_file)
        rc = read_file(NULL, t->platform_file, read_platforms, err);
    if (session.intra_threads)
        t->intra_threads = session.intra_threads;
    if (session.inter_threads)
        t->inter_threads = session.inter_threads;
    return rc;
}

/* The same bytes as at the last look: nothing is done, so that a poll costs one read. */
static bool unchanged(struct served_configured *seen, struct ccz_span text)
{
    uint8_t digest[32];
    if (ccz_sha256(digest, text) != CCZ_OK)
        return false;
    const bool same = seen->known && memcmp(seen->sha256, digest, sizeof(digest)) == 0;
    memcpy(seen->sha256, digest, sizeof(digest));
    seen->known = true;
    return same;
}

ccz_rc served_config_models(struct ccz_serve_models *out, bool *same,
                            struct served_configured *seen, const struct served_opts *o,
                            struct ccz_err *err)
{
    const struct served_tfs *t = &o->tfs;
    *same = false;
    if (!t->models_file)
        return ccz_serve_one_model(out, t->model_name, t->base_path, "", err);
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF notes;
    ccz_buf_init(&text, CCZ_SERVE_CONFIG_SIZE_MAX);
    ccz_buf_init(&notes, CCZ_SERVE_NOTES_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, t->models_file, err);
    if (rc != CCZ_OK)
        return rc;
    *same = unchanged(seen, ccz_buf_span(&text));
    if (*same)
        return CCZ_OK;
    rc = ccz_serve_read_models(out, &notes, ccz_buf_span(&text), CCZ_SERVE_TEXT, err);
    if (rc != CCZ_OK)
        return invalid_file(t->models_file, rc, err);
    log_notes(t->models_file, &notes);
    return CCZ_OK;
}
