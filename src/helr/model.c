/* SPDX-License-Identifier: Apache-2.0 */
/* The model in the clear: reading, writing, scoring. */
#include "helr/helr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RADIUS_DEFAULT 8.0

static ccz_rc bad(struct ccz_err *err, const char *path, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "helr:model", 0, "%s: %s", path, what);
}

/* A finite number; absent: *out stays as it is if @p optional. */
static ccz_rc take_number(double *out, const struct ccz_json *j, const char *key, bool optional,
                          struct ccz_err *err)
{
    const struct ccz_json *v = ccz_json_get(j, key);
    if (!v && optional)
        return CCZ_OK;
    if (!v || !ccz_json_real(out, v) || !isfinite(*out))
        return bad(err, key, "a finite number is needed");
    return CCZ_OK;
}

static ccz_rc take_name(char out[CCZ_HELR_NAME_SIZE], const struct ccz_json *j, struct ccz_err *err)
{
    const char *name = ccz_json_str(ccz_json_get(j, "name"));
    if (!name || !*name || strlen(name) >= CCZ_HELR_NAME_SIZE)
        return ccz_fail(err, CCZ_E_FORMAT, "helr:model-name", 0, "a name of 1..%d bytes is needed",
                        CCZ_HELR_NAME_SIZE - 1);
    memcpy(out, name, strlen(name) + 1);
    return CCZ_OK;
}

/* Members outside of @p known, which ends with NULL: a misspelt one would be a silent default. */
static ccz_rc check_members(const struct ccz_json *j, const char *const *known, struct ccz_err *err)
{
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return bad(err, "model", "an object is needed");
    const char *key = NULL;
    while (ccz_json_next(&key, j)) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return ccz_fail(err, CCZ_E_FORMAT, "helr:model", 0, "unknown member");
    }
    return CCZ_OK;
}

static ccz_rc take_feature(struct ccz_helr_feature *f, const struct ccz_json *j,
                           struct ccz_err *err)
{
    static const char *const known[] = {"name", "weight", "mean", "scale", NULL};
    f->scale = 1;
    ccz_rc rc = check_members(j, known, err);
    if (rc == CCZ_OK)
        rc = take_name(f->name, j, err);
    if (rc == CCZ_OK)
        rc = take_number(&f->weight, j, "weight", false, err);
    if (rc == CCZ_OK)
        rc = take_number(&f->mean, j, "mean", true, err);
    if (rc == CCZ_OK)
        rc = take_number(&f->scale, j, "scale", true, err);
    if (rc == CCZ_OK && !(f->scale > 0))
        rc = bad(err, "scale", "a number above 0 is needed");
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Columns of data are found by name, so a name may stand for one of them only. */
static ccz_rc check_names(const struct ccz_helr_model *m, struct ccz_err *err)
{
    const char **names = malloc(m->features_len * sizeof(*names));
    if (!names)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    for (size_t i = 0; i < m->features_len; i++)
        names[i] = m->features[i].name;
    qsort(names, m->features_len, sizeof(*names), compare_names);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 1; i < m->features_len && rc == CCZ_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = ccz_fail(err, CCZ_E_FORMAT, "helr:model-name", 0, "two features have one name");
    free(names);
    return rc;
}

static ccz_rc read_model(struct ccz_helr_model *m, const struct ccz_json *j, struct ccz_err *err)
{
    static const char *const known[] = {"version", "name", "bias", "radius", "features", NULL};
    int64_t version;
    ccz_rc rc = check_members(j, known, err);
    if (rc == CCZ_OK && (!ccz_json_int(&version, ccz_json_get(j, "version")) || version != 1))
        rc = bad(err, "version", "1 is needed");
    m->radius = RADIUS_DEFAULT;
    if (rc == CCZ_OK)
        rc = take_name(m->name, j, err);
    if (rc == CCZ_OK)
        rc = take_number(&m->bias, j, "bias", false, err);
    if (rc == CCZ_OK)
        rc = take_number(&m->radius, j, "radius", true, err);
    if (rc == CCZ_OK && !(m->radius >= 1 && m->radius <= CCZI_HELR_RADIUS_MAX))
        rc = bad(err, "radius", "a number from 1 to 32 is needed");
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_json *features = ccz_json_get(j, "features");
    if (ccz_json_type(features) != CCZ_JSON_ARRAY)
        return bad(err, "features", "an array is needed");
    size_t len = ccz_json_len(features);
    if (len == 0 || len > CCZ_HELR_FEATURES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "helr:features", (int64_t)len,
                              CCZ_HELR_FEATURES_MAX);
    m->features = calloc(len, sizeof(*m->features));
    if (!m->features)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    m->features_len = len;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = take_feature(&m->features[i], ccz_json_at(features, i), err);
    return rc == CCZ_OK ? check_names(m, err) : rc;
}

ccz_rc ccz_helr_model_parse(struct ccz_helr_model **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO(ccz_helr_model) m = calloc(1, sizeof(*m));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    ccz_rc rc = ccz_json_parse(&j, json, err);
    if (rc == CCZ_OK)
        rc = read_model(m, j, err);
    if (rc == CCZ_OK)
        *out = ccz_helr_model_take(&m);
    return rc;
}

ccz_rc ccz_helr_model_read(struct ccz_helr_model **out, const char *path, struct ccz_err *err)
{
    enum { FILE_SIZE_MAX = 1 << 20 };
    *out = NULL;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, FILE_SIZE_MAX);
    json.wipe = true;
    ccz_rc rc = ccz_file_read(&json, path, err);
    return rc == CCZ_OK ? ccz_helr_model_parse(out, ccz_buf_span(&json), err) : rc;
}

static void put_number(struct ccz_buf *out, const char *key, double v)
{
    ccz_buf_printf(out, ",\"%s\":", key);
    ccz_json_put_double(out, v);
}

void ccz_helr_model_put(struct ccz_buf *out, const struct ccz_helr_model *m)
{
    ccz_buf_put_str(out, "{\"version\":1,\"name\":");
    ccz_json_put_str(out, ccz_span_str(m->name));
    put_number(out, "bias", m->bias);
    put_number(out, "radius", m->radius);
    ccz_buf_put_str(out, ",\"features\":[");
    for (size_t i = 0; i < m->features_len; i++) {
        const struct ccz_helr_feature *f = &m->features[i];
        ccz_buf_put_str(out, i ? ",{\"name\":" : "{\"name\":");
        ccz_json_put_str(out, ccz_span_str(f->name));
        put_number(out, "weight", f->weight);
        put_number(out, "mean", f->mean);
        put_number(out, "scale", f->scale);
        ccz_buf_u8(out, '}');
    }
    ccz_buf_put_str(out, "]}\n");
}

void ccz_helr_model_free(struct ccz_helr_model *m)
{
    if (!m)
        return;
    if (m->features)
        ccz_wipe(m->features, m->features_len * sizeof(*m->features));
    free(m->features);
    ccz_wipe(m, sizeof(*m));
    free(m);
}

double ccz_helr_model_linear(const struct ccz_helr_model *m, const double *row)
{
    double t = m->bias;
    for (size_t i = 0; i < m->features_len; i++) {
        const struct ccz_helr_feature *f = &m->features[i];
        t += f->weight * ((row[i] - f->mean) / f->scale);
    }
    return t;
}
