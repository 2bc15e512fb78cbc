/* SPDX-License-Identifier: Apache-2.0 */
/* Modular Encryption without files: the hook, with "files" of a footer and three pages. */
#define _DEFAULT_SOURCE
#include "crypt_kms.h"

#include "refused.h"

#include <pthread.h>

struct column {
    const char *path;
    enum ccz_pq_key kind;
    uint8_t metadata[2000];
    size_t metadata_size;
};

/* A "file": what the hook said of it and one page of each column. */
struct file {
    struct cczi_pq_file_crypt said;
    uint8_t prefix[100], unique[100], metadata[2000];
    struct column columns[3];
    struct ccz_buf footer, pages[3];
    uint8_t signature[CCZI_PQ_SIGNATURE_SIZE];
};
static const char *const paths[] = {"user", "item", "features.list.element"};

static struct cczi_pq_at page_at(const struct file *f, int column)
{
    struct cczi_pq_at at = at_of(CCZI_PQ_DATA_PAGE, 0, column, 0);
    const struct column *c = &f->columns[column];
    at.key = (struct cczi_pq_key){c->kind, CCZ_SPAN(c->metadata, c->metadata_size), c->path};
    return at;
}

static struct ccz_span keep(uint8_t *to, struct ccz_span from)
{
    CHECK(from.size <= 2000);
    if (from.size)
        memcpy(to, from.ptr, from.size);
    return CCZ_SPAN(to, from.size);
}

static ccz_rc write_page(struct file *f, const struct ccz_pq_crypt *c, void *file, int i,
                         struct ccz_err *err)
{
    struct cczi_pq_at at = page_at(f, i);
    if (f->columns[i].kind == CCZ_PQ_KEY_NONE)
        return CCZ_OK;
    return c->seal(&f->pages[i], file, &at, ccz_span_str("a page"), err);
}

static ccz_rc write_file(struct file *f, const struct ccz_pq_crypt *c, struct ccz_err *err)
{
    memset(f, 0, sizeof(*f));
    void *file = NULL;
    ccz_rc rc = c->begin_write(&file, &f->said, c->arg, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_init(&f->footer, 10000);
    f->said.aad_prefix = keep(f->prefix, f->said.aad_prefix);
    f->said.aad_file_unique = keep(f->unique, f->said.aad_file_unique);
    f->said.key_metadata = keep(f->metadata, f->said.key_metadata);
    for (int i = 0; i < 3 && rc == CCZ_OK; i++) {
        struct column *col = &f->columns[i];
        struct ccz_span metadata;
        char name[64] = {0};
        memcpy(name, paths[i], strcspn(paths[i], "."));
        ccz_buf_init(&f->pages[i], 10000);
        col->path = paths[i];
        rc = c->column_key(&col->kind, &metadata, file, paths[i], name, err);
        if (rc == CCZ_OK)
            col->metadata_size = keep(col->metadata, metadata).size;
    }
    for (int i = 0; i < 3 && rc == CCZ_OK; i++)
        rc = write_page(f, c, file, i, err);
    struct cczi_pq_at at = cczi_pq_at_footer();
    if (rc == CCZ_OK && f->said.kind == CCZI_PQ_FILE_ENCRYPTED)
        rc = c->seal(&f->footer, file, &at, ccz_span_str("footer"), err);
    else if (rc == CCZ_OK)
        rc = c->sign(&f->footer, file, ccz_span_str("footer"), err);
    c->end(file);
    return rc;
}

/* Reads footer and pages; bit i of *read: the page of column i was read. */
static ccz_rc read_file(unsigned *read, const struct file *f, const struct ccz_pq_crypt *c,
                        struct ccz_err *err)
{
    void *file = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    *read = 0;
    ccz_rc rc = c->begin(&file, c->arg, &f->said, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_pq_at at = cczi_pq_at_footer();
    if (f->said.kind == CCZI_PQ_FILE_ENCRYPTED)
        rc = c->open(&out, file, &at, ccz_buf_span(&f->footer), err);
    else if (f->said.kind == CCZI_PQ_FILE_SIGNED)
        rc = c->verify(file, ccz_span_str("footer"), ccz_buf_span(&f->footer), err);
    for (int again = 0; again < 2; again++) { /* keys are found once, and then again */
        for (int i = 0; i < 3 && (rc == CCZ_OK || *read); i++) {
            at = page_at(f, i);
            ccz_buf_clear(&out);
            ccz_rc one = f->columns[i].kind == CCZ_PQ_KEY_NONE
                             ? c->plain(file, &at, err)
                             : c->open(&out, file, &at, ccz_buf_span(&f->pages[i]), err);
            if (one == CCZ_OK)
                *read |= 1u << i;
            else
                rc = one;
        }
    }
    c->end(file);
    return rc;
}

static void file_deinit(struct file *f)
{
    ccz_buf_free(&f->footer);
    for (int i = 0; i < 3; i++)
        ccz_buf_free(&f->pages[i]);
}

/* Given keys: every mix of algorithm, footer, prefix; what is encrypted under what. */
static void test_given_keys(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    CCZ_AUTO(ccz_secret) k1 = key_from(11, 24);
    CCZ_AUTO(ccz_secret) k2 = key_from(12, 32);
    struct ccz_pq_key_of columns[] = {
        {.column = "item", .key = k1, .metadata = ccz_span_str("key 1")},
        {.column = "features", .key = k2},
    };
    for (unsigned mix = 0; mix < 16; mix++) {
        struct ccz_pq_encrypt_cfg w = {.algorithm =
                                           mix & 1 ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                       .plain_footer = mix & 2,
                                       .footer = {.key = kf, .metadata = ccz_span_str("kf")},
                                       .columns = columns,
                                       .columns_len = mix & 4 ? 2 : 0,
                                       .aad_prefix = ccz_span_str(mix & 8 ? "name" : "")};
        struct ccz_pq_decrypt_cfg r = {.algorithm = w.algorithm,
                                       .footer = {.key = kf},
                                       .columns = columns,
                                       .columns_len = mix & 4 ? 2 : 0,
                                       .aad_prefix = w.aad_prefix};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        struct file f;
        unsigned got;
        CHECK(write_file(&f, write, NULL) == CCZ_OK);
        CHECK(f.said.kind == (mix & 2 ? CCZI_PQ_FILE_SIGNED : CCZI_PQ_FILE_ENCRYPTED));
        CHECK(f.said.algorithm == (mix & 1 ? CCZI_PQ_GCM_CTR_V1 : CCZI_PQ_GCM_V1));
        CHECK(f.said.has_aad_prefix == (mix >= 8) && f.said.aad_file_unique.size == 16);
        CHECK(ccz_span_eq(f.said.key_metadata, ccz_span_str("kf")));
        CHECK(f.columns[0].kind == CCZ_PQ_KEY_FOOTER);
        CHECK(f.columns[1].kind == (mix & 4 ? CCZ_PQ_KEY_COLUMN : CCZ_PQ_KEY_FOOTER));
        CHECK(f.columns[2].kind == f.columns[1].kind);
        CHECK(f.columns[1].metadata_size == (mix & 4 ? 5u : 0u));
        CHECK(read_file(&got, &f, read, NULL) == CCZ_OK && got == 7);
        struct file g;
        CHECK(write_file(&g, write, NULL) == CCZ_OK); /* a second file has a name of its own */
        CHECK(!ccz_span_eq(f.said.aad_file_unique, g.said.aad_file_unique));
        struct ccz_buf page = g.pages[0];
        g.pages[0] = f.pages[0];
        struct ccz_err err = {0};
        ccz_rc rc = read_file(&got, &g, read, &err);
        CHECK(mix & 1 ? rc == CCZ_OK : is_refused(rc, CCZ_E_SIG, &err, "parquet:data-page"));
        g.pages[0] = page;
        file_deinit(&f);
        file_deinit(&g);
    }
}

static void test_no_key(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    CCZ_AUTO(ccz_secret) k1 = key_from(11, 24);
    struct ccz_pq_key_of columns[] = {{.column = "item", .key = k1}, {.column = "user"}};
    struct ccz_pq_encrypt_cfg w = {
        .footer = {.key = kf}, .columns = columns, .columns_len = 2, .others_plain_insecure = true};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    struct file f;
    unsigned got;
    struct ccz_err err = {0};
    CHECK(write_file(&f, write, NULL) == CCZ_OK);
    CHECK(f.columns[0].kind == CCZ_PQ_KEY_FOOTER && f.columns[1].kind == CCZ_PQ_KEY_COLUMN);
    CHECK(f.columns[2].kind == CCZ_PQ_KEY_NONE);
    for (int plain = 0; plain < 2; plain++) {
        for (int has = 0; has < 2; has++) {
            struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf},
                                           .columns = columns,
                                           .columns_len = (size_t)has,
                                           .plain_columns_insecure = plain};
            CCZ_AUTO(ccz_pq_crypt) read = NULL;
            CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
            ccz_rc rc = read_file(&got, &f, read, &err);
            CHECK(got == (1u | (has ? 2u : 0) | (plain ? 4u : 0)));
            CHECK(rc == (plain && has ? CCZ_OK : plain ? CCZ_E_NOT_FOUND : CCZ_E_SIG));
            if (rc != CCZ_OK)
                CHECK(strcmp(err.where, plain ? "parquet:key" : "parquet:plain-column") == 0);
        }
    }
    struct ccz_pq_decrypt_cfg r = {0};
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_NOT_FOUND, &err, "parquet:key"));
    file_deinit(&f);
}

/* A file without encryption in the place of an encrypted one. */
static void test_plain_file(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    struct file f = {0};
    struct ccz_err err = {0};
    unsigned got;
    for (int i = 0; i < 3; i++) {
        f.columns[i].path = paths[i];
        ccz_buf_init(&f.pages[i], 100);
        ccz_buf_le32(&f.pages[i], 30); /* as if it were a module */
        memset(ccz_buf_extend(&f.pages[i], 30), i, 30);
    }
    for (int allowed = 0; allowed < 2; allowed++) {
        struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf}, .plain_file_insecure = allowed};
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        ccz_rc rc = read_file(&got, &f, read, &err);
        CHECK(allowed ? rc == CCZ_OK && got == 7
                      : is_refused(rc, CCZ_E_SIG, &err, "parquet:plain-file"));
        /* and one column that claims to be encrypted */
        f.columns[1].kind = CCZ_PQ_KEY_FOOTER;
        CHECK(!allowed ||
              is_refused(read_file(&got, &f, read, &err), CCZ_E_FORMAT, &err, "parquet:data-page"));
        f.columns[1].kind = CCZ_PQ_KEY_NONE;
    }
    file_deinit(&f);
}

static void test_prefix(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    static const struct {
        const char *written;
        bool apart;
        const char *expected;
        ccz_rc rc;
        const char *where;
    } rows[] = {
        {"", false, "", CCZ_OK, ""},
        {"", false, "name", CCZ_E_SIG, "parquet:aad-prefix"},
        {"name", false, "", CCZ_OK, ""},
        {"name", false, "name", CCZ_OK, ""},
        {"name", false, "nomen", CCZ_E_SIG, "parquet:aad-prefix"},
        {"name", true, "", CCZ_E_ARG, "parquet:aad-prefix"},
        {"name", true, "name", CCZ_OK, ""},
        {"name", true, "nomen", CCZ_E_SIG, "parquet:footer"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf},
                                       .plain_footer = i & 1,
                                       .aad_prefix = ccz_span_str(rows[i].written),
                                       .aad_prefix_apart = rows[i].apart};
        struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf},
                                       .aad_prefix = ccz_span_str(rows[i].expected)};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        struct file f;
        unsigned got;
        struct ccz_err err = {0};
        CHECK(write_file(&f, write, NULL) == CCZ_OK);
        CHECK(f.said.supply_aad_prefix == rows[i].apart);
        ccz_rc rc = read_file(&got, &f, read, &err);
        CHECK(rows[i].rc == CCZ_OK ? rc == CCZ_OK
                                   : is_refused(rc, rows[i].rc, &err, rows[i].where));
        /* a prefix that is taken out of the file, or put in: the modules know better */
        if (i == 3) {
            f.said.has_aad_prefix = false;
            CHECK(
                is_refused(read_file(&got, &f, read, &err), CCZ_E_SIG, &err, "parquet:aad-prefix"));
        }
        if (i == 0) {
            f.said.has_aad_prefix = true;
            f.said.aad_prefix = ccz_span_str("name");
            CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_SIG, &err, "parquet:footer"));
        }
        file_deinit(&f);
    }
}

/* A page after the column got another key, as row groups may: the first key is not taken for it. */
static void check_new_key(const struct file *f, const struct file *g,
                          const struct ccz_pq_crypt *read)
{
    void *file = NULL;
    struct ccz_err err = {0};
    struct cczi_pq_at at = page_at(f, 1);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 100);
    CHECK(read->begin(&file, read->arg, &f->said, NULL) == CCZ_OK);
    CHECK(read->open(&out, file, &at, ccz_buf_span(&f->pages[1]), NULL) == CCZ_OK);
    at.key.metadata = CCZ_SPAN(g->columns[1].metadata, g->columns[1].metadata_size);
    CHECK(is_refused(read->open(&out, file, &at, ccz_buf_span(&f->pages[1]), &err), CCZ_E_SIG, &err,
                     "parquet:data-page"));
    read->end(file);
}

/* Keys of a KMS: new ones for each file and column; who may have only some reads those. */
static void test_kms_keys(void)
{
    for (unsigned mix = 0; mix < 4; mix++) {
        struct kms *k = kms_new();
        CCZ_AUTO(ccz_pq_keytools) t = tools_of(k, mix & 1, 0);
        struct ccz_pq_key_of columns[] = {{.column = "item", .master_key = "k1"},
                                          {.column = "features.list.element", .master_key = "k2"}};
        struct ccz_pq_encrypt_cfg w = {.footer = {.master_key = "kf"},
                                       .plain_footer = mix & 2,
                                       .columns = columns,
                                       .columns_len = 2,
                                       .keytools = t};
        static const char *const may[] = {"k2", "k1", "kf"};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        struct file f, g;
        unsigned got;
        struct ccz_err err = {0};
        CHECK(write_file(&f, write, NULL) == CCZ_OK && write_file(&g, write, NULL) == CCZ_OK);
        CHECK(k->wraps == (mix & 1 ? 6 : 3));
        CHECK(!ccz_span_eq(f.said.key_metadata, g.said.key_metadata));
        for (size_t len = 0; len <= 3; len++) {
            struct ccz_pq_decrypt_cfg r = {
                .keytools = t, .master_keys = may + 3 - len, .master_keys_len = len};
            CCZ_AUTO(ccz_pq_crypt) read = NULL;
            CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
            ccz_rc rc = read_file(&got, &f, read, &err);
            CHECK(len == 3 ? rc == CCZ_OK
                           : is_refused(rc, CCZ_E_DENIED, &err, "parquet:master-key"));
            CHECK(got == (1u << len) - 1);
        }
        struct ccz_pq_decrypt_cfg r = {.keytools = t};
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        ccz_pq_keytools_forget(t);
        k->refuses = "k1";
        CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_DENIED, &err, "kms:revoked"));
        CHECK(got == 5);
        /* a column's key in the place of the footer's */
        k->refuses = NULL;
        struct cczi_pq_file_crypt said = f.said;
        f.said.key_metadata = CCZ_SPAN(f.columns[1].metadata, f.columns[1].metadata_size);
        CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_FORMAT, &err,
                         "parquet:key-material"));
        f.said = said;
        check_new_key(&f, &g, read);
        /* another file's key */
        f.said.key_metadata = g.said.key_metadata;
        CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_SIG, &err, "parquet:footer"));
        f.said.key_metadata = CCZ_SPAN(NULL, 0);
        CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_NOT_FOUND, &err, "parquet:key"));
        file_deinit(&f);
        file_deinit(&g);
        kms_free(k);
    }
}

/* As pyarrow writes it. */
static const char reference_json[] =
    "{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":false,\"keyReference\":\"footerKey\"}";

/* Key material in a file beside. */
static void test_external(void)
{
    struct kms *k = kms_new();
    CCZ_AUTO(ccz_pq_keytools) t = tools_of(k, false, 16);
    struct ccz_pq_encrypt_cfg w = {.footer = {.master_key = "kf"}, .keytools = t};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    struct file f;
    unsigned got;
    struct ccz_err err = {0};
    CHECK(write_file(&f, write, NULL) == CCZ_OK);
    CCZ_AUTO_BUF beside;
    ccz_buf_init(&beside, 10000);
    ccz_buf_put_str(&beside, "{\"footerKey\":");
    ccz_json_put_str(&beside, f.said.key_metadata);
    ccz_buf_put_str(&beside, ",\"number\":1}");
    f.said.key_metadata = ccz_span_str(reference_json);
    struct ccz_pq_decrypt_cfg r = {.keytools = t, .key_material = ccz_buf_span(&beside)};
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CCZ_AUTO(ccz_pq_crypt) without_it = NULL;
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    CHECK(read_file(&got, &f, read, NULL) == CCZ_OK && got == 7);
    r.key_material = CCZ_SPAN(NULL, 0);
    CHECK(ccz_pq_decrypt_new(&without_it, &r, NULL) == CCZ_OK);
    CHECK(is_refused(read_file(&got, &f, without_it, &err), CCZ_E_NOT_FOUND, &err,
                     "parquet:key-material"));
    f.said.key_metadata = ccz_span_str("{\"keyMaterialType\":\"PKMT1\",\"internalStorage\":false,"
                                       "\"keyReference\":\"number\"}");
    CHECK(
        is_refused(read_file(&got, &f, read, &err), CCZ_E_NOT_FOUND, &err, "parquet:key-material"));
    struct ccz_pq_crypt *none = NULL;
    static const char *const bad[] = {"[]", "{", "\"x\"", "{\"a\":\"b\"} x"};
    for (size_t i = 0; i < 4; i++) {
        r.key_material = ccz_span_str(bad[i]);
        CHECK(is_refused(ccz_pq_decrypt_new(&none, &r, &err), CCZ_E_FORMAT, &err,
                         "parquet:key-material") &&
              !none);
    }
    file_deinit(&f);
    kms_free(k);
}

static ccz_rc find(struct ccz_secret **out, void *arg, const char *column, struct ccz_span metadata,
                   struct ccz_err *err)
{
    (void)err;
    int *calls = arg;
    ++*calls;
    if (!column && ccz_span_eq(metadata, ccz_span_str("kf")))
        *out = key_from(10, 16);
    if (column && strcmp(column, "item") == 0)
        *out = ccz_span_eq(metadata, ccz_span_str("key 1")) ? key_from(11, 24) : NULL;
    return CCZ_OK;
}

static void test_find(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    CCZ_AUTO(ccz_secret) k1 = key_from(11, 24);
    struct ccz_pq_key_of column = {.column = "item", .key = k1, .metadata = ccz_span_str("key 1")};
    struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf, .metadata = ccz_span_str("kf")},
                                   .columns = &column,
                                   .columns_len = 1};
    int calls = 0;
    struct ccz_pq_decrypt_cfg r = {.find = find, .arg = &calls};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    struct file f;
    unsigned got;
    struct ccz_err err = {0};
    CHECK(write_file(&f, write, NULL) == CCZ_OK);
    CHECK(read_file(&got, &f, read, NULL) == CCZ_OK && got == 7);
    CHECK(calls == 2); /* once per key */
    f.columns[1].metadata[0] = 'K';
    CHECK(is_refused(read_file(&got, &f, read, &err), CCZ_E_NOT_FOUND, &err, "parquet:key"));
    CHECK(got == 5);
    file_deinit(&f);
}

static void check_read_config(const struct ccz_secret *kf)
{
    struct ccz_err err = {0};
    struct ccz_pq_key_of master = {.column = "a", .master_key = "m"};
    struct ccz_pq_crypt *c = NULL;
    struct ccz_pq_key_of none = {.column = "a"};
    struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf}, .columns = &none, .columns_len = 1};
    CHECK(is_refused(ccz_pq_decrypt_new(&c, &r, &err), CCZ_E_ARG, &err, "parquet:key"));
    r = (struct ccz_pq_decrypt_cfg){.footer = {.key = kf}, .algorithm = (enum ccz_pq_algorithm)2};
    CHECK(is_refused(ccz_pq_decrypt_new(&c, &r, &err), CCZ_E_ARG, &err, "parquet:algorithm"));
    r = (struct ccz_pq_decrypt_cfg){.footer = {.key = kf}, .columns = &master, .columns_len = 1};
    CHECK(is_refused(ccz_pq_decrypt_new(&c, &r, &err), CCZ_E_ARG, &err, "parquet:key"));
    r = (struct ccz_pq_decrypt_cfg){.footer = {.master_key = "m"}}; /* without keytools */
    CHECK(is_refused(ccz_pq_decrypt_new(&c, &r, &err), CCZ_E_ARG, &err, "parquet:key"));
}

static void test_config(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    CCZ_AUTO(ccz_secret) odd = key_from(10, 20);
    struct ccz_pq_key_of twice[] = {{.column = "a", .key = kf}, {.column = "a", .key = kf}};
    struct ccz_pq_key_of nameless = {.key = kf}, master = {.column = "a", .master_key = "m"},
                         both = {.column = "a", .key = kf, .master_key = "m"};
    static const uint8_t prefix[CCZ_PQ_AAD_PREFIX_SIZE_MAX + 1];
    const struct {
        struct ccz_pq_encrypt_cfg cfg;
        const char *where;
    } rows[] = {
        {{0}, "parquet:key"},
        {{.footer = {.key = odd}}, "parquet:key-size"},
        {{.footer = {.master_key = "m"}}, "parquet:key"},
        {{.footer = {.key = kf}, .columns = &master, .columns_len = 1}, "parquet:key"},
        {{.footer = {.key = kf, .master_key = "m"},
          .keytools = (struct ccz_pq_keytools *)(uintptr_t)prefix},
         "parquet:key"},
        {{.footer = {.key = kf},
          .columns = &both,
          .columns_len = 1,
          .keytools = (struct ccz_pq_keytools *)(uintptr_t)prefix},
         "parquet:key"},
        {{.footer = {.key = kf}, .columns = twice, .columns_len = 2}, "parquet:key-column"},
        {{.footer = {.key = kf}, .columns = &nameless, .columns_len = 1}, "parquet:key-column"},
        {{.footer = {.key = kf}, .aad_prefix = CCZ_SPAN(prefix, sizeof(prefix))},
         "parquet:aad-prefix"},
        {{.footer = {.key = kf}, .aad_prefix_apart = true}, "parquet:aad-prefix"},
        {{.footer = {.key = kf}, .algorithm = (enum ccz_pq_algorithm)2}, "parquet:algorithm"},
        {{.footer = {.key = kf}, .invocations_max = CCZ_PQ_INVOCATIONS_MAX + 1},
         "parquet:invocations"},
    };
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ccz_pq_crypt *c = NULL;
        CHECK(
            is_refused(ccz_pq_encrypt_new(&c, &rows[i].cfg, &err), CCZ_E_ARG, &err, rows[i].where));
        CHECK(!c);
    }
    check_read_config(kf);
    /* a key for a column that the file has not */
    CCZ_AUTO(ccz_pq_crypt) misspelt = NULL;
    struct ccz_pq_key_of typo = {.column = "iten", .key = kf};
    for (int plain_footer = 0; plain_footer < 2; plain_footer++) {
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf},
                                       .plain_footer = plain_footer,
                                       .columns = &typo,
                                       .columns_len = 1,
                                       .others_plain_insecure = true};
        struct file f;
        ccz_pq_crypt_free(ccz_pq_crypt_take(&misspelt));
        CHECK(ccz_pq_encrypt_new(&misspelt, &w, NULL) == CCZ_OK);
        CHECK(is_refused(write_file(&f, misspelt, &err), CCZ_E_ARG, &err, "parquet:key-column"));
        file_deinit(&f);
    }
}

/* NIST SP 800-38D, 8.3: counted per key, over files and columns that share it. */
static void test_invocations(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(10, 16);
    CCZ_AUTO(ccz_secret) k1 = key_from(11, 16);
    struct ccz_err err = {0};
    struct file f;
    for (int i = 0; i < 7; i++) {
        /* a file is three pages and a footer */
        struct ccz_pq_key_of column = {
            .column = "item", .key = i & 1 ? k1 : kf, .invocations = i == 6 ? 1 : 0};
        bool had = i == 4 || i == 5;
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf, .invocations = had ? 1 : 0},
                                       .plain_footer = i >= 2 && i < 4,
                                       .columns = &column,
                                       .columns_len = 1,
                                       .invocations_max = i & 1 ? 6 : 8};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(write_file(&f, write, NULL) == CCZ_OK);
        file_deinit(&f);
        ccz_rc rc = write_file(&f, write, &err);
        CHECK(i >= 4 ? is_refused(rc, CCZ_E_LIMIT, &err, "parquet:invocations") : rc == CCZ_OK);
        file_deinit(&f);
        CHECK(is_refused(write_file(&f, write, &err), CCZ_E_LIMIT, &err, "parquet:invocations"));
        file_deinit(&f);
    }
    /* keys of a KMS are new for each file */
    struct kms *k = kms_new();
    CCZ_AUTO(ccz_pq_keytools) t = tools_of(k, false, 0);
    for (uint64_t max = 3; max <= 4; max++) {
        struct ccz_pq_encrypt_cfg w = {
            .footer = {.master_key = "kf"}, .keytools = t, .invocations_max = max};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        for (int file = 0; file < 3; file++) {
            ccz_rc rc = write_file(&f, write, &err);
            CHECK(max == 4 ? rc == CCZ_OK
                           : is_refused(rc, CCZ_E_LIMIT, &err, "parquet:invocations"));
            file_deinit(&f);
        }
    }
    kms_free(k);
}

struct reader {
    const struct file *f;
    const struct ccz_pq_crypt *crypt;
    void *file;
};

static void *open_pages(void *arg)
{
    struct reader *r = arg;
    for (int i = 0; i < 300; i++) {
        struct cczi_pq_at at = page_at(r->f, i % 3);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 100);
        CHECK(r->crypt->open(&out, r->file, &at, ccz_buf_span(&r->f->pages[i % 3]), NULL) ==
              CCZ_OK);
        CHECK(out.size == 6 && memcmp(out.ptr, "a page", 6) == 0);
    }
    return NULL;
}

/* Scans of one reader in several threads, which all need the same keys at once. */
static void test_threads(void)
{
    struct kms *k = kms_new();
    CCZ_AUTO(ccz_pq_keytools) t = tools_of(k, false, 0);
    struct ccz_pq_key_of columns[] = {{.column = "item", .master_key = "k1"},
                                      {.column = "features", .master_key = "k2"}};
    struct ccz_pq_encrypt_cfg w = {
        .footer = {.master_key = "kf"}, .columns = columns, .columns_len = 2, .keytools = t};
    struct ccz_pq_decrypt_cfg r = {.keytools = t};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    struct file f;
    CHECK(write_file(&f, write, NULL) == CCZ_OK);
    ccz_pq_keytools_forget(t);
    struct reader arg = {&f, read, NULL};
    CHECK(read->begin(&arg.file, read->arg, &f.said, NULL) == CCZ_OK);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, open_pages, &arg) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    read->end(arg.file);
    CHECK(k->unwraps == 3);
    file_deinit(&f);
    kms_free(k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"parquet.crypt_given_keys", test_given_keys},
        {"parquet.crypt_no_key", test_no_key},
        {"parquet.crypt_plain_file", test_plain_file},
        {"parquet.crypt_prefix", test_prefix},
        {"parquet.crypt_kms_keys", test_kms_keys},
        {"parquet.crypt_external", test_external},
        {"parquet.crypt_find", test_find},
        {"parquet.crypt_config", test_config},
        {"parquet.crypt_invocations", test_invocations},
        {"parquet.crypt_threads", test_threads},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
