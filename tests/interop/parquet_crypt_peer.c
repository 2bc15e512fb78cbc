/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypted Parquet files from a script: one JSON configuration, one job.
 *
 *   parquet_crypt_peer copy IN OUT CONFIG     reads IN and writes the same table to OUT
 *   parquet_crypt_peer verify IN CONFIG       reads every module
 *   parquet_crypt_peer modules IN CONFIG      verify, and says of each module: number, row group, column, page, offset, size
 *   parquet_crypt_peer info IN CONFIG         what the file says of its encryption
 *
 * CONFIG: {"read": {..}, "write": {..}}; what is not there is zero, as in the library's configurations. Refused: "refused: WHERE: .." and exit 1.
 */
#define _GNU_SOURCE /* memmem */
#include "parquet/crypt_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS_MAX = 16, COLUMNS_MAX = 64, FILE_SIZE_MAX = 1 << 28 };

static void fail(const struct ccz_err *err)
{
    fprintf(stderr, "refused: %s: %s\n", err->where, err->msg);
    exit(1);
}

static void usage(const char *what)
{
    fprintf(stderr, "usage: %s\n", what);
    exit(2);
}

/* ------------------------------------------------------------------------------- configuration */

/* Everything that a crypt is made from; lives as long as the program. */
struct side {
    const struct ccz_json *j;
    struct ccz_pq_master_key masters[KEYS_MAX];
    struct ccz_pq_master_keys master_list;
    struct ccz_pq_keytools *keytools;
    struct ccz_pq_key_of footer, columns[KEYS_MAX];
    size_t columns_len;
    const char *names[KEYS_MAX];
    size_t names_len;
    struct ccz_buf material;
    struct ccz_pq_crypt *crypt;
};

static bool flag(const struct ccz_json *j, const char *name)
{
    bool b = false;
    const struct ccz_json *v = ccz_json_get(j, name);
    if (v && !ccz_json_bool(&b, v))
        usage(name);
    return b;
}

static size_t number(const struct ccz_json *j, const char *name)
{
    int64_t n = 0;
    const struct ccz_json *v = ccz_json_get(j, name);
    if (v && (!ccz_json_int(&n, v) || n < 0))
        usage(name);
    return (size_t)n;
}

static struct ccz_span text(const struct ccz_json *j, const char *name)
{
    const struct ccz_json *v = ccz_json_get(j, name);
    return v ? ccz_json_bytes(v) : CCZ_SPAN(NULL, 0);
}

static struct ccz_secret *key_from(const char *hex)
{
    uint8_t bytes[32];
    struct ccz_secret *s = NULL;
    size_t size = strlen(hex) / 2;
    if (size > sizeof(bytes) || ccz_unhex(bytes, size, hex, 2 * size) != CCZ_OK ||
        ccz_secret_from(&s, bytes, size) != CCZ_OK)
        usage("key");
    return s;
}

/* "" nothing, "@name" a master key, otherwise hex */
static struct ccz_pq_key_of key_of(const char *column, const char *said)
{
    struct ccz_pq_key_of k = {.column = column};
    if (said && said[0] == '@')
        k.master_key = said + 1;
    else if (said && said[0])
        k.key = key_from(said);
    return k;
}

static void read_side(struct side *s, const struct ccz_json *j)
{
    const char *name = NULL;
    const struct ccz_json *v;
    struct ccz_err err;
    *s = (struct side){.j = j};
    s->master_list.keys = s->masters;
    while ((v = ccz_json_next(&name, ccz_json_get(j, "kms"))) && s->master_list.len < KEYS_MAX)
        s->masters[s->master_list.len++] =
            (struct ccz_pq_master_key){name, key_from(ccz_json_str(v))};
    if (s->master_list.len) {
        struct ccz_pq_keytools_cfg cfg = {.kms = ccz_pq_local_kms(&s->master_list),
                                          .single_wrapping = flag(j, "single_wrapping"),
                                          .key_size = number(j, "key_size")};
        if (ccz_pq_keytools_new(&s->keytools, &cfg, &err) != CCZ_OK)
            fail(&err);
    }
    s->footer = key_of(NULL, ccz_json_str(ccz_json_get(j, "footer")));
    s->footer.metadata = text(j, "footer_metadata");
    name = NULL;
    while ((v = ccz_json_next(&name, ccz_json_get(j, "columns"))) && s->columns_len < KEYS_MAX)
        s->columns[s->columns_len++] = key_of(name, ccz_json_str(v));
    v = ccz_json_get(j, "master_keys");
    for (size_t i = 0; i < ccz_json_len(v) && i < KEYS_MAX; i++)
        s->names[s->names_len++] = ccz_json_str(ccz_json_at(v, i));
    ccz_buf_init(&s->material, CCZ_PQ_MATERIAL_SIZE_MAX);
    const char *path = ccz_json_str(ccz_json_get(j, "material"));
    if (path && ccz_file_read(&s->material, path, &err) != CCZ_OK)
        fail(&err);
}

static void make_decrypt(struct side *s)
{
    struct ccz_err err;
    struct ccz_pq_decrypt_cfg cfg = {.algorithm = flag(s->j, "ctr") ? CCZ_PQ_AES_GCM_CTR_V1
                                                                    : CCZ_PQ_AES_GCM_V1,
                                     .footer = s->footer,
                                     .columns = s->columns,
                                     .columns_len = s->columns_len,
                                     .keytools = s->keytools,
                                     .master_keys = s->names_len ? s->names : NULL,
                                     .master_keys_len = s->names_len,
                                     .key_material = ccz_buf_span(&s->material),
                                     .aad_prefix = text(s->j, "aad_prefix"),
                                     .plain_file_insecure = flag(s->j, "plain_file"),
                                     .plain_columns_insecure = flag(s->j, "plain_columns")};
    if (flag(s->j, "crypt") && ccz_pq_decrypt_new(&s->crypt, &cfg, &err) != CCZ_OK)
        fail(&err);
}

static void make_encrypt(struct side *s)
{
    struct ccz_err err;
    struct ccz_pq_encrypt_cfg cfg = {.algorithm = flag(s->j, "ctr") ? CCZ_PQ_AES_GCM_CTR_V1
                                                                    : CCZ_PQ_AES_GCM_V1,
                                     .plain_footer = flag(s->j, "plain_footer"),
                                     .footer = s->footer,
                                     .columns = s->columns,
                                     .columns_len = s->columns_len,
                                     .others_plain_insecure = flag(s->j, "others_plain"),
                                     .aad_prefix = text(s->j, "aad_prefix"),
                                     .aad_prefix_apart = flag(s->j, "apart"),
                                     .keytools = s->keytools,
                                     .invocations_max = number(s->j, "invocations_max")};
    if (flag(s->j, "crypt") && ccz_pq_encrypt_new(&s->crypt, &cfg, &err) != CCZ_OK)
        fail(&err);
}

static void free_side(struct side *s)
{
    ccz_pq_crypt_free(s->crypt);
    ccz_pq_keytools_free(s->keytools);
    for (size_t i = 0; i < s->master_list.len; i++)
        ccz_secret_free((struct ccz_secret *)(uintptr_t)s->masters[i].key);
    for (size_t i = 0; i < s->columns_len; i++)
        ccz_secret_free((struct ccz_secret *)(uintptr_t)s->columns[i].key);
    ccz_secret_free((struct ccz_secret *)(uintptr_t)s->footer.key);
    ccz_buf_free(&s->material);
}

/* -------------------------------------------------------------------------------------- modules */

/* A hook around the hook, which sees each module as it stands in the file. */
struct tap {
    struct ccz_pq_crypt hook;
    const struct ccz_pq_crypt *inner;
    struct ccz_span file;
};
static struct tap tap;

static void show(const struct cczi_pq_at *at, struct ccz_span in)
{
    const uint8_t *found = memmem(tap.file.ptr, tap.file.size, in.ptr, in.size);
    if (!found && at->module == CCZI_PQ_COLUMN_META)
        return; /* inside an encrypted footer */
    if (!found)
        usage("a module that is not in the file");
    printf("%d %d %d %d %zu %zu\n", (int)at->module, (int)at->row_group, (int)at->column,
           (int)at->page, (size_t)(found - tap.file.ptr), in.size);
}

static ccz_rc tap_open(struct ccz_buf *out, void *file, const struct cczi_pq_at *at,
                       struct ccz_span in, struct ccz_err *err)
{
    ccz_rc rc = tap.inner->open(out, file, at, in, err);
    if (rc == CCZ_OK)
        show(at, in);
    return rc;
}

static ccz_rc tap_verify(void *file, struct ccz_span footer, struct ccz_span signature,
                         struct ccz_err *err)
{
    ccz_rc rc = tap.inner->verify(file, footer, signature, err);
    struct cczi_pq_at at = cczi_pq_at_footer();
    if (rc == CCZ_OK)
        show(&at, CCZ_SPAN(footer.ptr, footer.size + signature.size));
    return rc;
}

static const struct ccz_pq_crypt *tapped(const struct ccz_pq_crypt *inner, struct ccz_span file)
{
    if (!inner)
        return NULL;
    tap = (struct tap){.hook = *inner, .inner = inner, .file = file};
    tap.hook.open = tap_open;
    tap.hook.verify = tap_verify;
    return &tap.hook;
}

/* ---------------------------------------------------------------------------------------- jobs */

static struct ccz_pq_reader *open_reader(const struct ccz_span *bytes,
                                         const struct ccz_pq_crypt *crypt)
{
    struct ccz_err err;
    struct ccz_pq_source io = ccz_pq_source_mem(bytes);
    struct ccz_pq_read_cfg cfg = {.crypt = crypt};
    struct ccz_pq_reader *r = NULL;
    if (ccz_pq_reader_open(&r, &io, &cfg, &err) != CCZ_OK)
        fail(&err);
    return r;
}

static void copy_rows(struct ccz_pq_writer *w, const struct ccz_pq_reader *r)
{
    struct ccz_err err;
    struct ccz_pq_data data[COLUMNS_MAX];
    struct ccz_pq_scan *scan = NULL;
    if (ccz_pq_scan_open(&scan, r, NULL, &err) != CCZ_OK)
        fail(&err);
    do {
        if (ccz_pq_scan_next(data, scan, &err) != CCZ_OK)
            fail(&err);
        if (data[0].rows && ccz_pq_writer_put(w, data, &err) != CCZ_OK)
            fail(&err);
    } while (data[0].rows);
    if (ccz_pq_writer_finish(w, &err) != CCZ_OK)
        fail(&err);
    ccz_pq_scan_free(scan);
}

static enum ccz_pq_codec codec_of(const struct ccz_json *j)
{
    const char *s = ccz_json_str(ccz_json_get(j, "codec"));
    return !s || !*s                  ? CCZ_PQ_NONE
           : strcmp(s, "gzip") == 0   ? CCZ_PQ_GZIP
           : strcmp(s, "snappy") == 0 ? CCZ_PQ_SNAPPY
                                      : CCZ_PQ_ZSTD;
}

static void copy(const char *out, const struct ccz_pq_reader *r, struct side *write)
{
    struct ccz_err err;
    struct ccz_pq_column columns[COLUMNS_MAX];
    size_t len = ccz_pq_columns(r);
    if (len > COLUMNS_MAX)
        usage("too many columns");
    for (size_t i = 0; i < len; i++) {
        columns[i] = *ccz_pq_column(r, i);
        columns[i].encode =
            flag(write->j, "plain_encoding") ? CCZ_PQ_ENCODE_PLAIN : CCZ_PQ_ENCODE_AUTO;
    }
    struct ccz_pq_write_cfg cfg = {.columns = columns,
                                   .columns_len = len,
                                   .codec = codec_of(write->j),
                                   .pages_v2 = flag(write->j, "pages_v2"),
                                   .row_group_rows = number(write->j, "row_group_rows"),
                                   .page_size = number(write->j, "page_size"),
                                   .crypt = write->crypt};
    int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        usage(out);
    struct ccz_pq_sink io = ccz_pq_sink_fd(&fd);
    struct ccz_pq_writer *w = NULL;
    if (ccz_pq_writer_new(&w, &io, &cfg, &err) != CCZ_OK)
        fail(&err);
    copy_rows(w, r);
    ccz_pq_writer_free(w);
    close(fd);
}

static void info(const struct ccz_pq_reader *r)
{
    struct ccz_err err;
    struct ccz_pq_crypt_info i;
    char unique[64] = "", prefix[64];
    if (ccz_pq_crypt_info(&i, r, &err) != CCZ_OK)
        fail(&err);
    ccz_hex(unique, i.file_unique.ptr, i.file_unique.size < 16 ? i.file_unique.size : 16);
    ccz_escape(prefix, sizeof(prefix), i.aad_prefix);
    printf("encrypted=%d plain_footer=%d ctr=%d prefix=%s apart=%d unique=%s plain_columns=%zu\n",
           i.encrypted, i.plain_footer, i.algorithm == CCZ_PQ_AES_GCM_CTR_V1, prefix,
           i.aad_prefix_apart, unique, i.plain_columns);
    for (size_t g = 0; g < ccz_pq_row_groups(r); g++) {
        for (size_t c = 0; c < ccz_pq_columns(r); c++) {
            struct ccz_pq_chunk_info chunk;
            if (ccz_pq_chunk_info(&chunk, r, g, c, &err) != CCZ_OK)
                fail(&err);
            printf("%zu %s key=%d\n", g, ccz_pq_column(r, c)->path, (int)chunk.key);
            ccz_buf_free(&chunk.bytes);
        }
    }
}

int main(int argc, char **argv)
{
    struct ccz_err err;
    struct side read, write;
    struct ccz_json *cfg = NULL;
    struct ccz_buf bytes;
    bool is_copy = argc == 5 && strcmp(argv[1], "copy") == 0;
    if (!is_copy && argc != 4)
        usage("parquet_crypt_peer copy IN OUT CONFIG | verify|modules|info IN CONFIG");
    if (ccz_json_parse(&cfg, ccz_span_str(argv[argc - 1]), &err) != CCZ_OK)
        fail(&err);
    ccz_buf_init(&bytes, FILE_SIZE_MAX);
    if (ccz_file_read(&bytes, argv[2], &err) != CCZ_OK)
        fail(&err);
    struct ccz_span file = ccz_buf_span(&bytes);
    read_side(&read, ccz_json_get(cfg, "read"));
    read_side(&write, ccz_json_get(cfg, "write"));
    make_decrypt(&read);
    make_encrypt(&write);
    bool modules = strcmp(argv[1], "modules") == 0;
    struct ccz_pq_reader *r = open_reader(&file, modules ? tapped(read.crypt, file) : read.crypt);
    if (is_copy)
        copy(argv[3], r, &write);
    else if (strcmp(argv[1], "info") == 0)
        info(r);
    else if (ccz_pq_verify(r, &err) != CCZ_OK)
        fail(&err);
    ccz_pq_reader_free(r);
    free_side(&read);
    free_side(&write);
    ccz_json_free(cfg);
    ccz_buf_free(&bytes);
    return 0;
}
