/* SPDX-License-Identifier: Apache-2.0 */
/* ModelServerConfig. */
#define _DEFAULT_SOURCE
#include "serve/serve_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory of one list. Text takes less than the wire format: a string has a tag and a length there, a NUL here. */
struct own {
    struct ccz_serve_model *model;
    char *text;
    size_t text_size;
};

void ccz_serve_models_free(struct ccz_serve_models *m)
{
    struct own *o = m->own;
    for (size_t i = 0; o && i < m->len; i++) {
        free((void *)(uintptr_t)o->model[i].versions);
        free((void *)(uintptr_t)o->model[i].labels);
    }
    if (o) {
        free(o->model);
        free(o->text);
    }
    free(o);
    *m = (struct ccz_serve_models){0};
}

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "serve:memory", 0, "out of memory");
}

static const char *keep(struct own *o, struct ccz_span s)
{
    char *at = o->text + o->text_size;
    if (s.size > 0)
        memcpy(at, s.ptr, s.size);
    at[s.size] = 0;
    o->text_size += s.size + 1;
    return at;
}

static bool has_control(struct ccz_span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static ccz_rc read_name(struct ccz_serve_model *m, struct own *o, struct ccz_span s,
                        struct ccz_err *err)
{
    char shown[80];
    ccz_escape(shown, sizeof(shown), s);
    if (s.size == 0 || s.size > CCZ_INFER_NAME_SIZE_MAX || has_control(s) ||
        memchr(s.ptr, '/', s.size) || memchr(s.ptr, ':', s.size))
        return ccz_refuse(err, CCZ_E_ARG, "serve:name", shown,
                          "a name of 1 to 255 bytes without '/', ':' and control bytes");
    m->name = keep(o, s);
    return CCZ_OK;
}

static ccz_rc read_base_path(struct ccz_serve_model *m, struct own *o, struct ccz_span s,
                             struct ccz_err *err)
{
    char shown[120];
    ccz_escape(shown, sizeof(shown), s);
    if (s.size > CCZ_SERVE_PATH_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:base-path", (int64_t)s.size,
                              CCZ_SERVE_PATH_SIZE_MAX);
    for (size_t i = 1; i + 2 < s.size; i++)
        if (memcmp(s.ptr + i, "://", 3) == 0)
            return ccz_hint(
                err,
                ccz_refuse(err, CCZ_E_UNSUPPORTED, "serve:base-path", shown,
                           "a folder of this machine"),
                "mount the bucket, or copy the model: files are read through the system only");
    if (s.size == 0 || s.ptr[0] != '/' || has_control(s)) {
        (void)ccz_fail(err, CCZ_E_ARG, "serve:base-path", 0,
                       "Expected model %s to have an absolute path or URI; got base_path()=%s",
                       m->name ? m->name : "", shown);
        return ccz_hint(err, CCZ_E_ARG, "write the path from '/', without control bytes");
    }
    while (s.size > 1 && s.ptr[s.size - 1] == '/')
        s.size--;
    m->base_path = keep(o, s);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ policy */

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Appends; @p v has room for CCZ_SERVE_VERSIONS_MAX. */
static ccz_rc add_version(int64_t *v, size_t *len, uint64_t value, struct ccz_err *err)
{
    if ((int64_t)value < 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "serve:version", (int64_t)value, 0);
    if (*len == CCZ_SERVE_VERSIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:versions", CCZ_SERVE_VERSIONS_MAX + 1,
                              CCZ_SERVE_VERSIONS_MAX);
    v[(*len)++] = (int64_t)value;
    return CCZ_OK;
}

static ccz_rc read_specific(struct ccz_serve_model *m, struct ccz_span wire, struct ccz_err *err)
{
    int64_t *v = calloc(CCZ_SERVE_VERSIONS_MAX, sizeof(*v));
    if (!v)
        return no_memory(err);
    m->versions = v; /* freed with the list */
    struct ccz_rd r = ccz_rd_from(wire);
    struct ccz_pb_field f;
    size_t len = 0, kept = 0;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        struct ccz_rd packed = ccz_rd_from(f.bytes);
        if (f.wire == CCZ_PB_VARINT)
            rc = add_version(v, &len, f.num, err);
        while (rc == CCZ_OK && packed.left > 0)
            rc = add_version(v, &len, ccz_pb_varint(&packed), err);
    }
    qsort(v, len, sizeof(*v), ascending);
    for (size_t i = 0; i < len; i++)
        if (kept == 0 || v[kept - 1] != v[i])
            v[kept++] = v[i];
    m->versions_len = kept;
    return rc;
}

static ccz_rc read_policy(struct ccz_serve_model *m, struct ccz_span wire, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(wire), sub;
    struct ccz_pb_field f;
    if (!ccz_pb_next(&f, &r))
        return CCZ_OK;
    if (f.number == 101) {
        m->policy = CCZ_SERVE_ALL;
        return CCZ_OK;
    }
    if (f.number == 102) {
        m->policy = CCZ_SERVE_SPECIFIC;
        return read_specific(m, f.bytes, err);
    }
    sub = ccz_rd_from(f.bytes);
    if (ccz_pb_next(&f, &sub) && f.num > 0) /* 0 is 1, as there */
        m->latest = (uint32_t)f.num;
    if (m->latest > CCZ_SERVE_VERSIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:versions", m->latest,
                              CCZ_SERVE_VERSIONS_MAX);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ labels */

static ccz_rc read_label(struct ccz_serve_model *m, struct own *o, struct ccz_span wire,
                         struct ccz_err *err)
{
    struct ccz_infer_label *labels = (struct ccz_infer_label *)(uintptr_t)m->labels;
    struct ccz_span key = {0};
    int64_t version = 0;
    struct ccz_rd r = ccz_rd_from(wire);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1)
            key = f.bytes;
        else
            version = (int64_t)f.num;
    }
    if (!labels && !(labels = calloc(CCZ_INFER_LABELS_MAX, sizeof(*labels))))
        return no_memory(err);
    m->labels = labels;
    if (m->labels_len == CCZ_INFER_LABELS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:labels", CCZ_INFER_LABELS_MAX + 1,
                              CCZ_INFER_LABELS_MAX);
    if (key.size == 0 || key.size > CCZ_INFER_NAME_SIZE_MAX || has_control(key))
        return ccz_fail(err, CCZ_E_ARG, "serve:label", (int64_t)key.size,
                        "got a label of %zu bytes, expected 1 to 255 without control bytes",
                        key.size);
    if (version < 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "serve:version", version, 0);
    for (size_t i = 0; i < m->labels_len; i++)
        if (ccz_span_eq(key, ccz_span_str(labels[i].label)))
            return ccz_refuse(err, CCZ_E_ARG, "serve:label", labels[i].label, "each label once");
    labels[m->labels_len++] = (struct ccz_infer_label){keep(o, key), version};
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ the list */

static ccz_rc read_platform(struct ccz_serve_model *m, struct own *o, uint64_t type,
                            struct ccz_span platform, struct ccz_err *err)
{
    if (type != 0 && platform.size > 0)
        return ccz_fail(err, CCZ_E_ARG, "serve:platform", (int64_t)type,
                        "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                        "ModelServerConfig::model_platform, model name is %s",
                        m->name);
    if (type > 1)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "serve:platform", (int64_t)type,
                        "ModelServerConfig::model_type choice %d not supported.", (int)type);
    if (has_control(platform) || platform.size > CCZ_INFER_NAME_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "serve:platform", (int64_t)platform.size,
                        "got a platform of %zu bytes, expected at most 255 without control bytes",
                        platform.size);
    m->platform = type ? "tensorflow" : keep(o, platform);
    return CCZ_OK;
}

static ccz_rc read_model(struct ccz_serve_model *m, struct own *o, struct ccz_span wire,
                         struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(wire);
    struct ccz_pb_field f;
    struct ccz_span name = {0}, base_path = {0}, platform = {0};
    uint64_t type = 0;
    ccz_rc rc = CCZ_OK;
    m->latest = 1;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        if (f.number == 1)
            name = f.bytes;
        else if (f.number == 2)
            base_path = f.bytes;
        else if (f.number == 3)
            type = f.num;
        else if (f.number == 4)
            platform = f.bytes;
        else if (f.number == 7)
            rc = read_policy(m, f.bytes, err);
        else if (f.number == 8)
            rc = read_label(m, o, f.bytes, err);
    }
    if (rc == CCZ_OK)
        rc = read_name(m, o, name, err);
    if (rc == CCZ_OK)
        rc = read_base_path(m, o, base_path, err);
    return rc == CCZ_OK ? read_platform(m, o, type, platform, err) : rc;
}

static int by_name(const void *a, const void *b)
{
    const struct ccz_serve_model *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* No name twice: found in a sorted copy, so that a thousand models are no matter. */
static ccz_rc check_names(const struct ccz_serve_models *m, struct ccz_err *err)
{
    const struct ccz_serve_model **sorted = calloc(m->len + 1, sizeof(*sorted));
    ccz_rc rc = CCZ_OK;
    if (!sorted)
        return no_memory(err);
    for (size_t i = 0; i < m->len; i++)
        sorted[i] = &m->model[i];
    qsort(sorted, m->len, sizeof(*sorted), by_name);
    for (size_t i = 1; rc == CCZ_OK && i < m->len; i++)
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            rc =
                ccz_fail(err, CCZ_E_ARG, "serve:name-again", 0,
                         "Illegal to list model %s multiple times in config list", sorted[i]->name);
    free(sorted);
    return rc;
}

static size_t count(struct ccz_span list)
{
    struct ccz_rd r = ccz_rd_from(list);
    struct ccz_pb_field f;
    size_t n = 0;
    while (ccz_pb_next(&f, &r))
        n++;
    return n;
}

static ccz_rc read_list(struct ccz_serve_models *out, struct ccz_buf *notes, struct ccz_span list,
                        struct ccz_err *err)
{
    const size_t len = count(list);
    struct ccz_rd r = ccz_rd_from(list);
    struct ccz_pb_field f;
    ccz_rc rc = CCZ_OK;
    if (len > CCZ_SERVE_MODELS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "serve:models", (int64_t)len, CCZ_SERVE_MODELS_MAX);
    struct own *o = out->own = calloc(1, sizeof(*o));
    if (!o)
        return no_memory(err);
    o->model = calloc(len + 1, sizeof(*o->model));
    o->text = malloc(list.size + 3 * len + 1); /* also of fields that are absent */
    out->model = o->model;
    if (!o->model || !o->text)
        return no_memory(err);
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        char prefix[64];
        (void)snprintf(prefix, sizeof(prefix), "model_config_list.config[%zu].", out->len);
        cczi_config_note(notes, prefix, f.bytes,
                         cczi_model_server_config.fields[0].message->fields[0].message);
        rc = read_model(&o->model[out->len++], o, f.bytes, err);
    }
    return rc == CCZ_OK ? check_names(out, err) : rc;
}

ccz_rc ccz_serve_read_models(struct ccz_serve_models *out, struct ccz_buf *notes,
                             struct ccz_span in, enum ccz_serve_form form, struct ccz_err *err)
{
    struct ccz_span wire;
    struct ccz_pb_field f;
    CCZ_AUTO_BUF buf;
    ccz_buf_init(&buf, (size_t)4 * CCZ_SERVE_CONFIG_SIZE_MAX);
    *out = (struct ccz_serve_models){0};
    ccz_rc rc = cczi_config_wire(&wire, &buf, in, form, &cczi_model_server_config, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(wire);
    const bool any = ccz_pb_next(&f, &r);
    if (any && f.number == 2)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "serve:custom", 2,
                        "got custom_model_config, expected model_config_list");
    rc = read_list(out, notes, any ? f.bytes : (struct ccz_span){0}, err);
    if (rc != CCZ_OK)
        ccz_serve_models_free(out);
    return rc;
}

ccz_rc ccz_serve_one_model(struct ccz_serve_models *out, const char *name, const char *base_path,
                           const char *platform, struct ccz_err *err)
{
    CCZ_AUTO_BUF buf;
    ccz_buf_init(&buf, 2 * CCZ_SERVE_PATH_SIZE_MAX);
    *out = (struct ccz_serve_models){0};
    const size_t list = ccz_pb_open(&buf, 1), config = ccz_pb_open(&buf, 1);
    ccz_pb_put_str(&buf, 1, name);
    ccz_pb_put_str(&buf, 2, base_path);
    ccz_pb_put_str(&buf, 4, platform);
    ccz_pb_close(&buf, config);
    ccz_pb_close(&buf, list);
    if (buf.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "serve:base-path", 0, "got names of more than %d bytes",
                        2 * CCZ_SERVE_PATH_SIZE_MAX);
    return ccz_serve_read_models(out, NULL, ccz_buf_span(&buf), CCZ_SERVE_WIRE, err);
}
