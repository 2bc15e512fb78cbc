/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a party keeps of a training, as JSON: either weights that were revealed to it, with the names of its columns, or its shares
 * of all weights ("secret": whoever has both parties' files has the model).
 */
#include "daemon.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_SIZE_MAX = 16 << 20, WORD_TEXT = 24 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

void mpc_model_deinit(struct mpc_model *m)
{
    if (m->weights)
        ccz_wipe(m->weights, m->len * sizeof(*m->weights));
    if (m->words)
        ccz_wipe(m->words, m->len * sizeof(*m->words));
    if (m->share)
        ccz_wipe(m->share, m->share_len * sizeof(*m->share));
    free(m->weights);
    free(m->words);
    free(m->share);
    mpc_scaling_deinit(&m->scaling);
    *m = (struct mpc_model){0};
}

/* -------------------------------------------------------------------------------------- writing */

static void put_names(struct ccz_buf *b, const struct ccz_fedlr_table *t)
{
    ccz_buf_put_str(b, "\"columns\":[");
    for (size_t j = 0; j < t->cols; j++) {
        ccz_buf_put_str(b, j ? "," : "");
        ccz_json_put_str(b, ccz_span_str(t->name[j]));
    }
    ccz_buf_put_str(b, "]");
}

static void put_reals(struct ccz_buf *b, const char *name, const double *v, size_t len)
{
    ccz_buf_printf(b, ",\n\"%s\":[", name);
    for (size_t j = 0; j < len; j++) {
        ccz_buf_put_str(b, j ? "," : "");
        ccz_json_put_double(b, v[j]);
    }
    ccz_buf_put_str(b, "]");
}

/* Words are text: numbers of JSON are not exact everywhere. */
static void put_words(struct ccz_buf *b, const char *name, const uint64_t *v, size_t len,
                      bool negative)
{
    ccz_buf_printf(b, ",\n\"%s\":[", name);
    for (size_t j = 0; j < len; j++)
        if (negative)
            ccz_buf_printf(b, "%s\"%" PRId64 "\"", j ? "," : "", (int64_t)v[j]);
        else
            ccz_buf_printf(b, "%s\"%016" PRIx64 "\"", j ? "," : "", v[j]);
    ccz_buf_put_str(b, "]");
}

ccz_rc mpc_model_write(const char *path, const struct mpc_model *m, const struct ccz_fedlr_table *t,
                       struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, MODEL_SIZE_MAX);
    b.wipe = true;
    ccz_buf_put_str(&b, "{\"version\":1,");
    put_names(&b, t);
    ccz_buf_printf(&b, ",\n\"labels\":%s,\n\"intercept\":%s", m->labels ? "true" : "false",
                   m->intercept ? "true" : "false");
    if (m->whole)
        ccz_buf_printf(&b, ",\n\"first\":%zu", m->first);
    if (m->weights) {
        put_reals(&b, "weights", m->weights, m->len);
        put_words(&b, "words", (const uint64_t *)m->words, m->len, true);
    } else {
        put_words(&b, "share", m->share, m->share_len, false);
        put_reals(&b, "gain", &m->gain, 1);
        put_reals(&b, "bound", &m->bound, 1);
    }
    if (m->scaling.mean) {
        put_reals(&b, "mean", m->scaling.mean, m->scaling.len);
        put_reals(&b, "deviation", m->scaling.sd, m->scaling.len);
    }
    ccz_buf_put_str(&b, "}\n");
    if (b.bad)
        return no_memory(err);
    return ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}

/* -------------------------------------------------------------------------------------- reading */

static ccz_rc bad(const char *path, const char *what, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "mpc:model", 0, "%.80s: %s", path, what);
}

static bool get_reals(double **out, size_t *len, const struct ccz_json *array)
{
    *len = ccz_json_len(array);
    if (ccz_json_type(array) != CCZ_JSON_ARRAY || !(*out = calloc(*len + 1, sizeof(**out))))
        return false;
    for (size_t j = 0; j < *len; j++)
        if (!ccz_json_real(&(*out)[j], ccz_json_at(array, j)))
            return false;
    return true;
}

static bool get_words(uint64_t **out, size_t *len, const struct ccz_json *array, int base)
{
    *len = ccz_json_len(array);
    if (ccz_json_type(array) != CCZ_JSON_ARRAY || !(*out = calloc(*len + 1, sizeof(**out))))
        return false;
    for (size_t j = 0; j < *len; j++) {
        const char *text = ccz_json_str(ccz_json_at(array, j));
        char *end;
        if (!text || !*text || strlen(text) > WORD_TEXT)
            return false;
        (*out)[j] = base == 16 ? strtoull(text, &end, 16) : (uint64_t)strtoll(text, &end, 10);
        if (*end)
            return false;
    }
    return true;
}

static ccz_rc check_names(const struct ccz_json *names, const struct ccz_fedlr_table *t,
                          struct ccz_err *err)
{
    if (ccz_json_len(names) != t->cols)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:model-columns", (int64_t)t->cols,
                              (int64_t)ccz_json_len(names));
    for (size_t j = 0; j < t->cols; j++) {
        const char *name = ccz_json_str(ccz_json_at(names, j));
        if (!name || strcmp(name, t->name[j]) != 0)
            return ccz_refuse(err, CCZ_E_MISMATCH, "mpc:model-columns", t->name[j],
                              name ? name : "no name");
    }
    return CCZ_OK;
}

/* Of weights of both parties' columns those of this party, and the intercept where the labels are. */
static bool take_own(struct mpc_model *m, size_t cols, const struct ccz_json *place)
{
    int64_t first;
    const size_t own = cols + (m->intercept && m->labels), all = m->len;
    if (!ccz_json_int(&first, place) || first < 0 || all < cols + m->intercept ||
        (uint64_t)first > all - m->intercept - cols)
        return false;
    const double last = m->weights[all - 1];
    const int64_t last_word = m->words[all - 1];
    memmove(m->weights, m->weights + first, cols * sizeof(*m->weights));
    memmove(m->words, m->words + first, cols * sizeof(*m->words));
    if (own > cols) {
        m->weights[cols] = last;
        m->words[cols] = last_word;
    }
    ccz_wipe(m->weights + own, (all - own) * sizeof(*m->weights));
    ccz_wipe(m->words + own, (all - own) * sizeof(*m->words));
    m->len = own;
    m->intercept = own > cols;
    return true;
}

static ccz_rc read_weights(struct mpc_model *m, const char *path, const struct ccz_json *j,
                           size_t cols, struct ccz_err *err)
{
    const struct ccz_json *place = ccz_json_get(j, "first");
    uint64_t *words = NULL;
    size_t len = 0;
    bool good = get_reals(&m->weights, &m->len, ccz_json_get(j, "weights")) &&
                get_words(&words, &len, ccz_json_get(j, "words"), 10) && len == m->len;
    if (good)
        m->words = (int64_t *)words;
    else if (words) { /* not as long as the weights: deinit would not know */
        ccz_wipe(words, len * sizeof(*words));
        free(words);
    }
    if (good && place)
        good = take_own(m, cols, place);
    if (good && m->len == cols + m->intercept)
        return CCZ_OK;
    return bad(path, "not the weights of these columns", err);
}

static ccz_rc read_values(struct mpc_model *m, const char *path, const struct ccz_json *j,
                          size_t cols, struct ccz_err *err)
{
    const struct ccz_json *share = ccz_json_get(j, "share"), *mean = ccz_json_get(j, "mean");
    double *gain = NULL, *bound = NULL;
    size_t len = 0, bound_len = 0;
    if (!ccz_json_bool(&m->intercept, ccz_json_get(j, "intercept")) ||
        !ccz_json_bool(&m->labels, ccz_json_get(j, "labels")))
        return bad(path, "labels or intercept is missing", err);
    if (share) {
        bool good = get_words(&m->share, &m->share_len, share, 16) &&
                    get_reals(&gain, &len, ccz_json_get(j, "gain")) && len == 1 &&
                    get_reals(&bound, &bound_len, ccz_json_get(j, "bound")) && bound_len == 1 &&
                    bound[0] > 0;
        m->gain = good ? gain[0] : 0;
        m->bound = good ? bound[0] : 0;
        free(gain);
        free(bound);
        if (!good)
            return bad(path, "shares are no words, or gain or bound are missing", err);
    } else if (read_weights(m, path, j, cols, err) != CCZ_OK) {
        return CCZ_E_FORMAT;
    }
    const bool scaled = mean && get_reals(&m->scaling.mean, &m->scaling.len, mean) &&
                        get_reals(&m->scaling.sd, &len, ccz_json_get(j, "deviation"));
    if (m->scaling.sd && len < m->scaling.len) /* what deinit may wipe */
        m->scaling.len = len;
    if (mean && (!scaled || m->scaling.len != cols || len != cols))
        return bad(path, "not the scaling of these columns", err);
    for (size_t i = 0; mean && i < cols; i++)
        if (!(m->scaling.sd[i] > 0))
            return bad(path, "a deviation is not above 0", err);
    return CCZ_OK;
}

ccz_rc mpc_model_read(struct mpc_model *out, const char *path, const struct ccz_fedlr_table *t,
                      struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    int64_t version;
    ccz_buf_init(&text, MODEL_SIZE_MAX);
    text.wipe = true;
    ccz_rc rc = ccz_file_read(&text, path, err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&json, ccz_buf_span(&text), err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_json_int(&version, ccz_json_get(json, "version")) || version != 1)
        return bad(path, "no model of version 1", err);
    rc = check_names(ccz_json_get(json, "columns"), t, err);
    if (rc == CCZ_OK)
        rc = read_values(out, path, json, t->cols, err);
    if (rc != CCZ_OK)
        mpc_model_deinit(out);
    return rc;
}
