/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a model are, and one of them as a whole in private memory. */
#define _DEFAULT_SOURCE
#include "engine/engine_priv.h"

#include <string.h>
#include <sys/mman.h>

static const char holds[] =
    "a model folder holds saved_model.pb and variables/, or one .onnx file, or one frozen .pb file;"
    " beside the latter two signatures.json may lie";

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), e = strlen(end);
    return n > e && strcmp(name + n - e, end) == 0;
}

static bool at_top(const char *name)
{
    return !strchr(name, '/');
}

/* What the files are counted as. */
struct tally {
    size_t saved, onnx, frozen;    /* how many */
    size_t onnx_file, frozen_file; /* the last of each */
};

static struct tally count(const struct ccz_model_file *files, size_t len)
{
    struct tally t = {0};
    for (size_t i = 0; i < len; i++) {
        const char *name = files[i].name;
        if (strcmp(name, "saved_model.pb") == 0 || strcmp(name, "saved_model.pbtxt") == 0) {
            t.saved++;
        } else if (at_top(name) && ends_with(name, ".onnx")) {
            t.onnx++;
            t.onnx_file = i;
        } else if (at_top(name) && ends_with(name, ".pb")) {
            t.frozen++;
            t.frozen_file = i;
        }
    }
    if (t.saved) /* which keeps files like fingerprint.pb beside it */
        t.frozen = 0;
    return t;
}

ccz_rc ccz_engine_detect(struct ccz_model_kind *out, const struct ccz_model_file *files, size_t len,
                         struct ccz_err *err)
{
    *out = (struct ccz_model_kind){0};
    const struct tally t = count(files, len);
    if (t.saved + t.onnx + t.frozen == 0) {
        char shown[64] = "no file";
        if (len)
            ccz_escape(shown, sizeof(shown), ccz_span_str(files[0].name));
        ccz_fail(err, CCZ_E_FORMAT, "engine:model-files", (int64_t)len,
                 "no model among %zu files (the first: %.60s)", len, shown);
        return ccz_hint(err, CCZ_E_FORMAT, holds);
    }
    if ((t.saved != 0) + t.onnx + t.frozen > 1) {
        ccz_fail(err, CCZ_E_FORMAT, "engine:model-files", (int64_t)len,
                 "more than one model: %zu SavedModel, %zu .onnx, %zu frozen .pb",
                 (size_t)(t.saved != 0), t.onnx, t.frozen);
        return ccz_hint(err, CCZ_E_FORMAT, holds);
    }
    if (t.saved)
        *out = (struct ccz_model_kind){.backend = "tensorflow", .format = CCZ_FORMAT_SAVED_MODEL};
    else if (t.onnx)
        *out = (struct ccz_model_kind){"onnxruntime", CCZ_FORMAT_ONNX, t.onnx_file};
    else
        *out = (struct ccz_model_kind){"tensorflow", CCZ_FORMAT_FROZEN_GRAPH, t.frozen_file};
    return CCZ_OK;
}

ccz_rc cczi_files_kind(struct ccz_model_kind *out, const struct ccz_model_cfg *cfg,
                       const char *backend, struct ccz_err *err)
{
    ccz_rc rc = cczi_files_check(cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_engine_detect(out, cfg->files, cfg->files_len, err);
    if (rc == CCZ_OK && strcmp(out->backend, backend) != 0) {
        ccz_refuse(err, CCZ_E_FORMAT, "engine:model-files", backend, out->backend);
        rc = ccz_hint(err, CCZ_E_FORMAT, "open the back end that runs this kind of model");
    }
    return rc;
}

/* ------------------------------------------------------------------------------- one file in memory */

ccz_rc cczi_image_read(struct cczi_image *out, const struct ccz_model_cfg *cfg, size_t file,
                       uint64_t size_max, struct ccz_err *err)
{
    *out = (struct cczi_image){0};
    const uint64_t size = cfg->files[file].size;
    if (size == 0 || size > size_max)
        return ccz_fail(err, CCZ_E_LIMIT, "engine:stage", (int64_t)size,
                        "%.80s has %llu bytes, 1 to %llu can be loaded", cfg->files[file].name,
                        (unsigned long long)size, (unsigned long long)size_max);
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:stage", (int64_t)size, "no memory for %.80s",
                        cfg->files[file].name);
    *out = (struct cczi_image){p, (size_t)size};
    (void)madvise(p, out->size, MADV_DONTDUMP);
    (void)mlock(p, out->size); /* best effort, as for ccz_secret */
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < out->size;) {
        const size_t left = out->size - at,
                     n = left < CCZ_MODEL_CHUNK_SIZE ? left : CCZ_MODEL_CHUNK_SIZE;
        rc = cfg->read_at(cfg->arg, file, at, out->bytes + at, n, err);
        at += n;
    }
    if (rc != CCZ_OK)
        cczi_image_free(out);
    return rc;
}

void cczi_image_free(struct cczi_image *i)
{
    if (i->bytes) {
        ccz_wipe(i->bytes, i->size);
        munmap(i->bytes, i->size);
    }
    *i = (struct cczi_image){0};
}

ccz_rc cczi_files_read(struct cczi_image *model, struct cczi_image *sidecar,
                       const struct ccz_model_cfg *cfg, size_t file, struct ccz_err *err)
{
    *model = *sidecar = (struct cczi_image){0};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < cfg->files_len; i++) /* a reader is called in order */
        if (i == file)
            rc = cczi_image_read(model, cfg, i, MODEL_SIZE_MAX, err);
        else if (strcmp(cfg->files[i].name, "signatures.json") == 0)
            rc = cczi_image_read(sidecar, cfg, i, SIDECAR_SIZE_MAX, err);
    if (rc != CCZ_OK) {
        cczi_image_free(model);
        cczi_image_free(sidecar);
    }
    return rc;
}
