/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypted Parquet beside Spark, for tests/integration/56-spark.sh. Both sides make the same table by formula; master keys are wrapped by the key
 * agent of the environment.
 *   write FILE [none|snappy|gzip|zstd] [ctr] [plain-footer] [column-keys] [single] [clear] [key=NAME]
 *   show FILE MASTER_KEY                         rows and columns of any file under that key
 *   check FILE [ctr]                             every value is what the formula says; prints what the file says of itself
 */
#include "../../cli/ui.h"

#include <cczoo/agent.h>
#include <cczoo/parquet_crypt.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 3000, FIXED_SIZE = 9, COLUMNS = 11, DAY_0 = 18262, TEXT_SIZE = 24 };
static const char master[] = "ratings", column_master[] = "columns";

/* ------------------------------------------------------------------------------ the table */

static bool is_null(int64_t i)
{
    return i % 7 == 0;
}

/* Columns, in order: id, b, i32, i64, f32, f64, s, raw, dec, day, features. The first and the last have no nulls. */
static const struct ccz_pq_column columns[COLUMNS] = {
    {.name = "id", .type = CCZ_PQ_INT64, .encode = CCZ_PQ_ENCODE_DELTA},
    {.name = "b", .type = CCZ_PQ_BOOLEAN, .optional = true},
    {.name = "i32", .type = CCZ_PQ_INT32, .optional = true},
    {.name = "i64", .type = CCZ_PQ_INT64, .optional = true},
    {.name = "f32", .type = CCZ_PQ_FLOAT, .optional = true},
    {.name = "f64", .type = CCZ_PQ_DOUBLE, .optional = true},
    {.name = "s", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING, .optional = true},
    {.name = "raw", .type = CCZ_PQ_BYTES, .optional = true},
    {.name = "dec", .type = CCZ_PQ_FIXED, .type_size = FIXED_SIZE, .optional = true},
    {.name = "day", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_DATE, .optional = true},
    {.name = "features", .type = CCZ_PQ_FLOAT, .shape = CCZ_PQ_LIST},
};

static int32_t i32_of(int64_t i)
{
    return (int32_t)(i * 7919 % 100003 - 50000);
}

static void text_of(char out[TEXT_SIZE], int64_t i)
{
    (void)snprintf(out, TEXT_SIZE, "name-%d", (int)(i % 50));
}

static void raw_of(char out[TEXT_SIZE], int64_t i)
{
    (void)snprintf(out, TEXT_SIZE, "raw%lld", (long long)i);
}

/* 100 i as a big-endian number of 9 bytes: a decimal(20,2). */
static void fixed_of(uint8_t out[FIXED_SIZE], int64_t i)
{
    uint64_t v = (uint64_t)i * 100;
    for (int k = FIXED_SIZE - 1; k >= 0; k--, v >>= 8)
        out[k] = (uint8_t)v;
}

static bool value_ok(const char *name, const struct ccz_pq_data *d, size_t at, int64_t i)
{
    char text[TEXT_SIZE];
    uint8_t fixed[FIXED_SIZE];
    if (strcmp(name, "id") == 0)
        return d->v.i64[at] == i;
    if (strcmp(name, "b") == 0)
        return d->v.b[at] == (i % 3 == 0);
    if (strcmp(name, "i32") == 0)
        return d->v.i32[at] == i32_of(i);
    if (strcmp(name, "i64") == 0)
        return d->v.i64[at] == i * 1000000007;
    if (strcmp(name, "f32") == 0)
        return d->v.f32[at] == (float)i / 8;
    if (strcmp(name, "f64") == 0)
        return d->v.f64[at] == (double)i / 16;
    if (strcmp(name, "day") == 0)
        return d->v.i32[at] == DAY_0 + (int32_t)i;
    if (strcmp(name, "s") == 0 || strcmp(name, "raw") == 0) {
        name[0] == 's' ? text_of(text, i) : raw_of(text, i);
        return ccz_span_eq(d->v.bytes[at], ccz_span_str(text));
    }
    fixed_of(fixed, i);
    return strcmp(name, "dec") == 0 && ccz_span_eq(d->v.bytes[at], CCZ_SPAN(fixed, FIXED_SIZE));
}

/* ----------------------------------------------------------------------------------- keys */

static ccz_rc unwrap(struct ccz_secret **out, void *arg, struct ccz_span wrapped, const char *name,
                     struct ccz_err *err)
{
    return ccz_agent_client_unwrap(out, arg, name, wrapped, err);
}

static ccz_rc wrap(struct ccz_buf *out, void *arg, const struct ccz_secret *key, const char *name,
                   struct ccz_err *err)
{
    return ccz_agent_client_wrap(out, arg, name,
                                 CCZ_SPAN(ccz_secret_view(key), ccz_secret_size(key)), err);
}

static ccz_rc keys_from_agent(struct ccz_pq_keytools **out, struct ccz_agent_client **agent,
                              bool single, struct ccz_err *err)
{
    ccz_rc rc = ccz_agent_client_of_env(agent, err);
    const struct ccz_pq_keytools_cfg cfg = {.kms = {.unwrap = unwrap, .wrap = wrap, .arg = *agent},
                                            .single_wrapping = single};
    return rc == CCZ_OK ? ccz_pq_keytools_new(out, &cfg, err) : rc;
}

/* -------------------------------------------------------------------------------- writing */

struct options {
    enum ccz_pq_codec codec;
    bool ctr, plain_footer, column_keys, single;
    bool clear;      /* nothing is encrypted */
    const char *key; /* master key of the footer and of columns without their own */
};

static bool parse(struct options *o, int len, char **words)
{
    static const struct {
        const char *name;
        enum ccz_pq_codec codec;
    } codecs[] = {{"none", CCZ_PQ_NONE},
                  {"snappy", CCZ_PQ_SNAPPY},
                  {"gzip", CCZ_PQ_GZIP},
                  {"zstd", CCZ_PQ_ZSTD}};
    for (int i = 0; i < len; i++) {
        bool known = true;
        if (strcmp(words[i], "ctr") == 0)
            o->ctr = true;
        else if (strcmp(words[i], "plain-footer") == 0)
            o->plain_footer = true;
        else if (strcmp(words[i], "column-keys") == 0)
            o->column_keys = true;
        else if (strcmp(words[i], "single") == 0)
            o->single = true;
        else if (strcmp(words[i], "clear") == 0)
            o->clear = true;
        else if (strncmp(words[i], "key=", 4) == 0)
            o->key = words[i] + 4;
        else
            known = false;
        for (size_t c = 0; !known && c < 4; c++)
            if (strcmp(words[i], codecs[c].name) == 0) {
                o->codec = codecs[c].codec;
                known = true;
            }
        if (!known)
            return false;
    }
    return true;
}

/* Everything that a batch points to. */
struct table {
    int64_t id[ROWS], i64[ROWS];
    uint8_t b[ROWS], present[ROWS], fixed[ROWS][FIXED_SIZE];
    int32_t i32[ROWS], day[ROWS];
    float f32[ROWS], features[2 * ROWS];
    double f64[ROWS];
    char text[ROWS][TEXT_SIZE], raw_text[ROWS][TEXT_SIZE];
    struct ccz_span s[ROWS], raw[ROWS], dec[ROWS];
    uint32_t offset[ROWS + 1];
};

static void fill(struct table *t)
{
    for (int64_t i = 0; i < ROWS; i++) {
        t->id[i] = i;
        t->present[i] = !is_null(i);
        t->b[i] = i % 3 == 0;
        t->i32[i] = i32_of(i);
        t->i64[i] = i * 1000000007;
        t->f32[i] = (float)i / 8;
        t->f64[i] = (double)i / 16;
        t->day[i] = DAY_0 + (int32_t)i;
        text_of(t->text[i], i);
        raw_of(t->raw_text[i], i);
        fixed_of(t->fixed[i], i);
        t->s[i] = ccz_span_str(t->text[i]);
        t->raw[i] = ccz_span_str(t->raw_text[i]);
        t->dec[i] = CCZ_SPAN(t->fixed[i], FIXED_SIZE);
        t->features[2 * i] = (float)i;
        t->features[2 * i + 1] = (float)i + 0.5F;
        t->offset[i + 1] = (uint32_t)(2 * i + 2);
    }
}

static ccz_rc put(struct ccz_pq_writer *w, struct table *t, struct ccz_err *err)
{
    struct ccz_pq_data d[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++)
        d[c] = (struct ccz_pq_data){
            .rows = ROWS, .len = ROWS, .present = columns[c].optional ? t->present : NULL};
    d[0].v.i64 = t->id;
    d[1].v.b = t->b;
    d[2].v.i32 = t->i32;
    d[3].v.i64 = t->i64;
    d[4].v.f32 = t->f32;
    d[5].v.f64 = t->f64;
    d[6].v.bytes = t->s;
    d[7].v.bytes = t->raw;
    d[8].v.bytes = t->dec;
    d[9].v.i32 = t->day;
    d[10].v.f32 = t->features;
    d[10].len = (size_t)2 * ROWS;
    d[10].offset = t->offset;
    ccz_rc rc = ccz_pq_writer_put(w, d, err);
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, err) : rc;
}

static ccz_rc write_file(const char *path, const struct options *o, struct ccz_err *err)
{
    CCZ_AUTO(ccz_agent_client) agent = NULL;
    CCZ_AUTO(ccz_pq_keytools) keys = NULL;
    CCZ_AUTO(ccz_pq_crypt) crypt = NULL;
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    const struct ccz_pq_key_of own[] = {{.column = "s", .master_key = column_master},
                                        {.column = "features", .master_key = column_master}};
    ccz_rc rc = keys_from_agent(&keys, &agent, o->single, err);
    const struct ccz_pq_encrypt_cfg enc = {.algorithm =
                                               o->ctr ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                           .plain_footer = o->plain_footer,
                                           .footer = {.master_key = o->key ? o->key : master},
                                           .columns = own,
                                           .columns_len = o->column_keys ? 2 : 0,
                                           .keytools = keys};
    if (rc == CCZ_OK)
        rc = ccz_pq_encrypt_new(&crypt, &enc, err);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const struct ccz_pq_sink sink = ccz_pq_sink_fd(&fd);
    const struct ccz_pq_write_cfg cfg = {.columns = columns,
                                         .columns_len = COLUMNS,
                                         .codec = o->codec,
                                         .row_group_rows = 1000,
                                         .page_size = 2048,
                                         .crypt = o->clear ? NULL : crypt};
    if (rc == CCZ_OK)
        rc = ccz_pq_writer_new(&w, &sink, &cfg, err);
    struct table *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    fill(t);
    if (rc == CCZ_OK)
        rc = put(w, t, err);
    free(t);
    (void)close(fd);
    return rc;
}

/* -------------------------------------------------------------------------------- reading */

static ccz_rc check_batch(const struct ccz_pq_reader *r, const struct ccz_pq_data *d, int64_t first,
                          struct ccz_err *err)
{
    for (size_t c = 0; c < ccz_pq_columns(r); c++) {
        const struct ccz_pq_column *col = ccz_pq_column(r, c);
        for (size_t k = 0; k < d[c].rows; k++) {
            int64_t i = first + (int64_t)k;
            bool ok;
            if (col->shape == CCZ_PQ_LIST) {
                const float *f = d[c].v.f32 + d[c].offset[k];
                ok = d[c].offset[k + 1] - d[c].offset[k] == 2 && f[0] == (float)i &&
                     f[1] == (float)i + 0.5F;
            } else {
                bool null = d[c].present && !d[c].present[k];
                bool want = strcmp(col->name, "id") != 0 && is_null(i);
                ok = null == want && (null || value_ok(col->name, &d[c], k, i));
            }
            if (!ok)
                return ccz_fail(err, CCZ_E_MISMATCH, "probe:value", i, "column %s, row %lld",
                                col->path, (long long)i);
        }
    }
    return CCZ_OK;
}

static ccz_rc check_rows(const struct ccz_pq_reader *r, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pq_scan) scan = NULL;
    struct ccz_pq_data d[COLUMNS];
    int64_t rows = 0;
    if (ccz_pq_columns(r) != COLUMNS)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "probe:columns", (int64_t)ccz_pq_columns(r),
                              COLUMNS);
    ccz_rc rc = ccz_pq_scan_open(&scan, r, NULL, err);
    while (rc == CCZ_OK) {
        rc = ccz_pq_scan_next(d, scan, err);
        if (rc != CCZ_OK || d[0].rows == 0)
            break;
        rc = check_batch(r, d, rows, err);
        rows += (int64_t)d[0].rows;
    }
    if (rc == CCZ_OK && rows != ROWS)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "probe:rows", rows, ROWS);
    return rc;
}

static ccz_rc describe(const struct ccz_pq_reader *r, struct ccz_err *err)
{
    struct ccz_pq_crypt_info info;
    struct ccz_pq_chunk_info chunk;
    struct ccz_pq_key_material m = {0};
    ccz_rc rc = ccz_pq_crypt_info(&info, r, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_chunk_info(&chunk, r, 0, 6, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_free(&chunk.bytes);
    rc = ccz_pq_key_material_read(&m, info.key_metadata, err);
    if (rc == CCZ_OK)
        ui_out("ok codec=%d algorithm=%s footer=%s keys=%s wrapping=%s\n", chunk.codec,
               info.algorithm == CCZ_PQ_AES_GCM_V1 ? "gcm" : "ctr",
               info.plain_footer ? "plain" : "encrypted",
               chunk.key == CCZ_PQ_KEY_COLUMN ? "column" : "footer",
               m.external         ? "external"
               : m.double_wrapped ? "double"
                                  : "single");
    ccz_pq_key_material_deinit(&m);
    return rc;
}

static ccz_rc show_file(const struct ccz_pq_reader *r, struct ccz_err *err)
{
    ccz_rc rc = ccz_pq_verify(r, err);
    if (rc != CCZ_OK)
        return rc;
    ui_out("rows=%llu columns=", (unsigned long long)ccz_pq_rows(r));
    for (size_t c = 0; c < ccz_pq_columns(r); c++)
        ui_out("%s%s", c ? "," : "", ccz_pq_column(r, c)->path);
    ui_out("\n");
    return CCZ_OK;
}

/* @param key  the one master key that may protect it; NULL: those of the table, whose values are compared */
static ccz_rc check_file(const char *path, const char *key, bool ctr, struct ccz_err *err)
{
    CCZ_AUTO(ccz_agent_client) agent = NULL;
    CCZ_AUTO(ccz_pq_keytools) keys = NULL;
    CCZ_AUTO(ccz_pq_crypt) crypt = NULL;
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CCZ_AUTO_BUF apart, material;
    ccz_buf_init(&apart, 4096);
    ccz_buf_init(&material, CCZ_PQ_MATERIAL_SIZE_MAX);
    ccz_pq_key_material_path(&apart, path);
    ccz_rc rc = keys_from_agent(&keys, &agent, false, err);
    if (rc == CCZ_OK && access(ccz_buf_str(&apart), F_OK) == 0)
        rc = ccz_file_read(&material, ccz_buf_str(&apart), err);
    const char *const allowed[] = {key ? key : master, column_master};
    const struct ccz_pq_decrypt_cfg dec = {.algorithm =
                                               ctr ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                           .keytools = keys,
                                           .master_keys = allowed,
                                           .master_keys_len = key ? 1 : 2,
                                           .key_material = ccz_buf_span(&material)};
    if (rc == CCZ_OK)
        rc = ccz_pq_decrypt_new(&crypt, &dec, err);
    int fd = open(path, O_RDONLY);
    const struct ccz_pq_source source = ccz_pq_source_fd(&fd);
    const struct ccz_pq_read_cfg cfg = {.crypt = crypt};
    if (rc == CCZ_OK)
        rc = ccz_pq_reader_open(&r, &source, &cfg, err);
    if (rc == CCZ_OK && key)
        rc = show_file(r, err);
    if (rc == CCZ_OK && !key)
        rc = ccz_pq_verify(r, err);
    if (rc == CCZ_OK && !key)
        rc = check_rows(r, err);
    if (rc == CCZ_OK && !key)
        rc = describe(r, err);
    (void)close(fd);
    return rc;
}

int main(int argc, char **argv)
{
    struct ccz_err err = {0};
    struct options o = {0};
    ccz_rc rc;
    if (argc >= 3 && strcmp(argv[1], "write") == 0 && parse(&o, argc - 3, argv + 3)) {
        rc = write_file(argv[2], &o, &err);
    } else if ((argc == 3 || (argc == 4 && strcmp(argv[3], "ctr") == 0)) &&
               strcmp(argv[1], "check") == 0) {
        rc = check_file(argv[2], NULL, argc == 4, &err);
    } else if (argc == 4 && strcmp(argv[1], "show") == 0) {
        rc = check_file(argv[2], argv[3], false, &err);
    } else {
        ui_error("expected write FILE [OPTION..], check FILE [ctr] or show FILE KEY");
        return UI_USAGE;
    }
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
