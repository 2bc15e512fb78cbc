/* SPDX-License-Identifier: Apache-2.0 */
/* Who cannot open a file, and who has the footer's key alone: what they can make of it is refused. */
#include "parquet/write_priv.h"

#include "crypt_file.h"

#include "refused.h"

static const struct ccz_pq_column one_column[] = {
    {.name = "rating", .type = CCZ_PQ_INT32, .encode = CCZ_PQ_ENCODE_PLAIN}};
enum { VALUES = 3 };

/* One column of three numbers, without statistics. */
static ccz_rc one_write(struct ccz_buf *out, const struct ccz_pq_crypt *crypt)
{
    static const int32_t v[VALUES] = {1, 2, 3};
    const struct ccz_pq_data d = {.rows = VALUES, .len = VALUES, .v.i32 = v};
    const struct ccz_pq_write_cfg cfg = {
        .columns = one_column, .columns_len = 1, .no_statistics = true, .crypt = crypt};
    struct ccz_pq_sink io = ccz_pq_sink_buf(out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    ccz_buf_init(out, TABLE_SIZE_MAX);
    ccz_rc rc = ccz_pq_writer_new(&w, &io, &cfg, NULL);
    if (rc == CCZ_OK)
        rc = ccz_pq_writer_put(w, &d, NULL);
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, NULL) : rc;
}

static ccz_rc open_verify(struct ccz_pq_chunk_info *info, struct ccz_span file,
                          const struct ccz_pq_crypt *crypt, struct ccz_err *err)
{
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    struct ccz_pq_read_cfg cfg = {.crypt = crypt};
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    ccz_rc rc = ccz_pq_reader_open(&r, &io, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_verify(r, err);
    if (rc == CCZ_OK && info) {
        rc = ccz_pq_chunk_info(info, r, 0, 0, err);
        ccz_buf_free(&info->bytes);
    }
    return rc;
}

/* A file's word for its algorithm: the byte that makes pages with tags look like pages without. */
static void test_algorithm(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    for (unsigned mix = 0; mix < 4; mix++) {
        struct ccz_pq_encrypt_cfg w = {.algorithm =
                                           mix & 1 ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                       .plain_footer = mix & 2,
                                       .footer = {.key = kf}};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(table_write(&file, write, NULL) == CCZ_OK);
        /* the union's field, in front of aad_file_unique of 16 bytes: the first thing in the metadata of an encrypted footer. Elsewhere in
         * a file of random bytes these three come up by chance. */
        const uint8_t said[] = {mix & 1 ? 0x2c : 0x1c, 0x28, 0x10};
        struct ccz_rd end = ccz_rd_from(CCZ_SPAN(file.ptr + file.size - 8, 4));
        const size_t size = ccz_rd_le32(&end), start = file.size - 8 - size;
        const struct ccz_span footer = CCZ_SPAN(file.ptr + start, mix & 2 ? size : 8);
        size_t at = find_bytes(footer, said, sizeof(said));
        CHECK(at != SIZE_MAX && find_bytes(ccz_span_sub(footer, at + 1, footer.size - at - 1), said,
                                           sizeof(said)) == SIZE_MAX);
        at += start;
        for (unsigned ctr = 0; ctr < 2; ctr++) {
            struct ccz_pq_decrypt_cfg r = {.algorithm =
                                               ctr ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                           .footer = {.key = kf}};
            CCZ_AUTO(ccz_pq_crypt) read = NULL;
            struct ccz_err err = {0};
            CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
            ccz_rc rc = table_read(ccz_buf_span(&file), read, 15, &err);
            CHECK(ctr == (mix & 1) ? rc == CCZ_OK
                                   : is_refused(rc, CCZ_E_SIG, &err, "parquet:algorithm"));
            file.ptr[at] ^= 0x30;
            rc = table_read(ccz_buf_span(&file), read, 0, &err);
            if (mix & 2) /* under the signature */
                CHECK(is_refused(rc, CCZ_E_SIG, &err, "parquet:footer"));
            else if (!ctr && !(mix & 1))
                CHECK(is_refused(rc, CCZ_E_SIG, &err, "parquet:algorithm") && err.hint[0]);
            file.ptr[at] ^= 0x30;
        }
    }
}

/* A column that the reader has a key for is under that one, or the file is refused. */
static void test_key_column(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    CCZ_AUTO(ccz_secret) kc = key_from(2, 16);
    const struct ccz_pq_key_of clear = {.column = "rating"};
    for (unsigned mix = 0; mix < 8; mix++) {
        bool own = mix & 2, others_plain = mix & 4;
        const struct ccz_pq_key_of user = {.column = "user", .key = own ? kc : NULL};
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf},
                                       .plain_footer = mix & 1,
                                       .columns = own || !others_plain ? &user : &clear,
                                       .columns_len = 1,
                                       .others_plain_insecure = others_plain};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(table_write(&file, write, NULL) == CCZ_OK);
        static const char *const asked[] = {"user", "usre", "user.x", "use", "features"};
        for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
            const struct ccz_pq_key_of want = {.column = asked[i], .key = kc};
            struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf},
                                           .columns = &want,
                                           .columns_len = 1,
                                           .plain_columns_insecure = true};
            CCZ_AUTO(ccz_pq_crypt) read = NULL;
            struct ccz_err err = {0};
            CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
            ccz_rc rc = table_read(ccz_buf_span(&file), read, 0, &err); /* at opening */
            CHECK(own && i == 0 ? rc == CCZ_OK
                                : is_refused(rc, CCZ_E_SIG, &err, "parquet:key-column"));
        }
    }
}

static ccz_rc find_kc(struct ccz_secret **out, void *arg, const char *column,
                      struct ccz_span metadata, struct ccz_err *err)
{
    (void)arg;
    (void)metadata;
    (void)err;
    *out = column ? key_from(9, 16) : NULL;
    return CCZ_OK;
}

/* Which master key a column, or the footer, must be under. */
static void test_master_key(void)
{
    struct kms *k = kms_new();
    CCZ_AUTO(ccz_pq_keytools) t = tools_of(k, false, 0);
    const struct ccz_pq_key_of columns[] = {{.column = "user", .master_key = "k1"},
                                            {.column = "features", .master_key = "k2"}};
    struct ccz_pq_encrypt_cfg w = {
        .footer = {.master_key = "kf"}, .columns = columns, .columns_len = 2, .keytools = t};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, TABLE_SIZE_MAX);
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    CHECK(table_write(&file, write, NULL) == CCZ_OK);
    static const struct {
        const char *footer, *user;
        ccz_rc rc;
        const char *where;
        bool find;
    } rows[] = {
        {"kf", "k1", CCZ_OK, "", false},
        {NULL, "k1", CCZ_OK, "", false},
        {"kf", "k2", CCZ_E_DENIED, "parquet:master-key", false},
        {"kf", "kf", CCZ_E_DENIED, "parquet:master-key", false},
        {"kf", "k2", CCZ_E_DENIED, "parquet:master-key", true}, /* find() is not asked */
        {"k1", "k1", CCZ_E_DENIED, "parquet:master-key", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const char *const may[] = {"kf", "k1", "k2"};
        const struct ccz_pq_key_of user = {.column = "user", .master_key = rows[i].user};
        struct ccz_pq_decrypt_cfg r = {.footer = {.master_key = rows[i].footer},
                                       .columns = &user,
                                       .columns_len = 1,
                                       .find = rows[i].find ? find_kc : NULL,
                                       .keytools = t,
                                       .master_keys = may,
                                       .master_keys_len = 3};
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        struct ccz_err err = {0};
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        ccz_rc rc = table_read(ccz_buf_span(&file), read, rows[i].find ? 1 : 9, &err);
        CHECK(rows[i].rc == CCZ_OK ? rc == CCZ_OK
                                   : is_refused(rc, rows[i].rc, &err, rows[i].where));
    }
    kms_free(k);
}

/* What the owner of the footer's key makes of a footer before he signs it. */
static enum { UNSEALED, STATISTICS } forged;

static ccz_rc sign_forged(struct ccz_buf *out, void *file, struct ccz_span footer,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF mine;
    ccz_buf_init(&mine, TABLE_SIZE_MAX);
    /* ColumnMetaData in clear end, crypto_metadata begin: EncryptionWithColumnKey */
    size_t at = find_bytes(footer, "\0\x5c\x2c", 3);
    CHECK(at != SIZE_MAX);
    if (forged == STATISTICS) { /* field 12 behind 9: more nulls than there are */
        ccz_buf_put(&mine, footer.ptr, at);
        ccz_buf_put(&mine, "\x3c\x36\x06\0", 4);
        ccz_buf_put(&mine, footer.ptr + at, footer.size - at);
    } else { /* field 9, encrypted_column_metadata, becomes one that nobody knows */
        const struct module *m = &tap.modules[tap.len - 1];
        size_t meta = find_bytes(footer, m->head, 32);
        CHECK(m->at.module == CCZI_PQ_COLUMN_META && meta != SIZE_MAX && m->size < 16384);
        meta -= m->size < 128 ? 2 : 3; /* its size, its head */
        CHECK(footer.ptr[meta] == 0x18);
        ccz_buf_put_span(&mine, footer);
        mine.ptr[meta] = 0x28;
    }
    ccz_buf_clear(out); /* it holds the footer, and the signature is to follow */
    ccz_buf_put_span(out, ccz_buf_span(&mine));
    return tap.inner->sign(out, file, ccz_buf_span(&mine), err);
}

/* Metadata of a column with a key of its own: nothing of it is taken from what the footer's key vouches for. */
static void test_clear_metadata(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    CCZ_AUTO(ccz_secret) kc = key_from(2, 16);
    const struct ccz_pq_key_of column = {.column = "rating", .key = kc};
    struct ccz_pq_encrypt_cfg w = {
        .footer = {.key = kf}, .plain_footer = true, .columns = &column, .columns_len = 1};
    struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf}, .columns = &column, .columns_len = 1};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO_BUF file;
        struct ccz_pq_chunk_info info;
        struct ccz_err err = {0};
        forged = i ? STATISTICS : UNSEALED;
        tap.hook = *write;
        tap.inner = write;
        tap.hook.seal = tap_seal;
        tap.hook.sign = sign_forged;
        tap.len = 0;
        CHECK(one_write(&file, &tap.hook) == CCZ_OK);
        ccz_rc rc = open_verify(&info, ccz_buf_span(&file), read, &err);
        CHECK(forged == UNSEALED
                  ? is_refused(rc, CCZ_E_FORMAT, &err, "parquet:column-metadata")
                  : rc == CCZ_OK && !info.has_nulls && info.key == CCZ_PQ_KEY_COLUMN);
    }
}

/* A page that is a footer, in the place of the footer: its AAD is longer, and a name of another length would make up for it. */
static void test_confused(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    CCZ_AUTO_BUF wanted, file, forgery;
    CHECK(one_write(&wanted, NULL) == CCZ_OK);
    uint32_t size;
    memcpy(&size, wanted.ptr + wanted.size - 8, 4);
    const struct ccz_span footer = CCZ_SPAN(wanted.ptr + wanted.size - 8 - size, size);
    struct ccz_pq_encrypt_cfg w = {
        .footer = {.key = kf}, .aad_prefix = ccz_span_str("name"), .aad_prefix_apart = true};
    struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf}, .aad_prefix = ccz_span_str("name")};
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    const struct ccz_pq_column blob = {
        .name = "blob", .type = CCZ_PQ_FIXED, .type_size = size, .encode = CCZ_PQ_ENCODE_PLAIN};
    const struct ccz_pq_data d = {.rows = 1, .len = 1, .v.bytes = &footer};
    tap.hook = *write;
    tap.inner = write;
    tap.hook.seal = tap_seal;
    tap.len = 0;
    ccz_buf_init(&file, TABLE_SIZE_MAX);
    struct ccz_pq_sink io = ccz_pq_sink_buf(&file);
    CCZ_AUTO(ccz_pq_writer) out = NULL;
    const struct ccz_pq_write_cfg cfg = {.columns = &blob, .columns_len = 1, .crypt = &tap.hook};
    CHECK(ccz_pq_writer_new(&out, &io, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_pq_writer_put(out, &d, NULL) == CCZ_OK && ccz_pq_writer_finish(out, NULL) == CCZ_OK);
    const struct module *m = &tap.modules[0];
    CHECK(m->at.module == CCZI_PQ_DATA_PAGE);
    size_t page = find_bytes(ccz_buf_span(&file), m->head, sizeof(m->head));
    memcpy(&size, file.ptr + file.size - 8, 4);
    const uint8_t *said = file.ptr + file.size - 8 - size; /* 1c 1c 28 10, 16 bytes, 11 0 0 0 */
    ccz_buf_init(&forgery, TABLE_SIZE_MAX);
    ccz_buf_put(&forgery, "PARE\x1c\x1c\x28\x16", 8);
    ccz_buf_put(&forgery, said + 4, 16);
    ccz_buf_put(&forgery, "\2\0\0\0\0\0", 6); /* up to the last byte, which is that of a footer */
    ccz_buf_put(&forgery, said + 20, 4);
    ccz_buf_put(&forgery, file.ptr + page, m->size);
    ccz_buf_le32(&forgery, (uint32_t)forgery.size - 4);
    ccz_buf_put_str(&forgery, "PARE");
    struct ccz_err err = {0};
    CHECK(is_refused(open_verify(NULL, ccz_buf_span(&forgery), read, &err), CCZ_E_UNSUPPORTED, &err,
                     "parquet:file-unique"));
    /* every length but those of writers */
    for (size_t len = 0; len < 40; len++) {
        static const uint8_t unique[40];
        struct cczi_pq_file_crypt f = {.kind = CCZI_PQ_FILE_ENCRYPTED,
                                       .algorithm = CCZI_PQ_GCM_V1,
                                       .aad_file_unique = CCZ_SPAN(unique, len),
                                       .supply_aad_prefix = true};
        void *state = NULL;
        ccz_rc rc = read->begin(&state, read->arg, &f, &err);
        CHECK(len == 8 || len == 16
                  ? rc == CCZ_OK
                  : is_refused(rc, CCZ_E_UNSUPPORTED, &err, "parquet:file-unique"));
        read->end(state);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"parquet.crypt_algorithm", test_algorithm},
        {"parquet.crypt_key_column", test_key_column},
        {"parquet.crypt_master_key", test_master_key},
        {"parquet.crypt_clear_metadata", test_clear_metadata},
        {"parquet.crypt_confused", test_confused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
