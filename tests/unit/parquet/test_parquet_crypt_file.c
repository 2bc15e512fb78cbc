/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted files as a whole: every module changed, moved, taken from elsewhere; keys, downgrades, columns in clear. */
#include "crypt_file.h"

#include "refused.h"
#include "test_rng.h"

enum mix { CTR = 1, SIGNED = 2, COLUMN_KEYS = 4, MIXES = 8 };

struct pair {
    struct ccz_pq_crypt *write, *read;
};

static struct ccz_secret *keys[4];

static void pair_make(struct pair *p, unsigned mix)
{
    for (int i = 0; i < 4; i++) {
        if (!keys[i])
            keys[i] = key_from(20 + i, key_sizes[i % 3]);
    }
    const struct ccz_pq_key_of columns[] = {
        {.column = "user", .key = keys[1], .metadata = ccz_span_str("u")},
        {.column = "features", .key = keys[2], .metadata = ccz_span_str("f")}};
    struct ccz_pq_encrypt_cfg w = {.algorithm =
                                       mix & CTR ? CCZ_PQ_AES_GCM_CTR_V1 : CCZ_PQ_AES_GCM_V1,
                                   .plain_footer = mix & SIGNED,
                                   .footer = {.key = keys[0]},
                                   .columns = columns,
                                   .columns_len = mix & COLUMN_KEYS ? 2 : 0};
    struct ccz_pq_decrypt_cfg r = {.algorithm = w.algorithm,
                                   .footer = {.key = keys[0]},
                                   .columns = columns,
                                   .columns_len = w.columns_len};
    CHECK(ccz_pq_encrypt_new(&p->write, &w, NULL) == CCZ_OK);
    CHECK(ccz_pq_decrypt_new(&p->read, &r, NULL) == CCZ_OK);
}

static void pair_free(struct pair *p)
{
    ccz_pq_crypt_free(p->write);
    ccz_pq_crypt_free(p->read);
    for (int i = 0; i < 4; i++) {
        ccz_secret_free(keys[i]);
        keys[i] = NULL;
    }
}

static void test_round_trip(void)
{
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(table_write(&file, p.write, NULL) == CCZ_OK);
        struct ccz_span all = ccz_buf_span(&file);
        CHECK(memcmp(all.ptr, mix & SIGNED ? "PAR1" : "PARE", 4) == 0);
        CHECK(table_read(all, p.read, 15, NULL) == CCZ_OK);
        /* nothing is in clear: values, statistics; names only in a footer that is to be readable */
        CHECK(find_bytes(all, "Casablanca", 10) == SIZE_MAX);
        CHECK((find_bytes(all, "rating", 6) == SIZE_MAX) == !(mix & SIGNED));
        struct ccz_err err = {0};
        CHECK(is_refused(table_read(all, NULL, 15, &err), CCZ_E_UNSUPPORTED, &err,
                         "parquet:encrypted"));
        pair_free(&p);
    }
}

static bool in_ctr(unsigned mix, const struct module *m)
{
    return mix & CTR && (m->at.module == CCZI_PQ_DATA_PAGE || m->at.module == CCZI_PQ_DICT_PAGE);
}

/* ColumnMetaData of a signed footer are covered twice; the signature is looked at first. */
static const char *where_of(unsigned mix, const struct module *m)
{
    return mix & SIGNED && m->at.module == CCZI_PQ_COLUMN_META ? "parquet:footer"
                                                               : cczi_pq_where(m->at.module);
}

static void test_changed(void)
{
    unsigned seen = 0;
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        table_write_tapped(&file, p.write);
        struct ccz_err err = {0};
        for (size_t i = 0; i < tap.len; i++) {
            const struct module *m = &tap.modules[i];
            if (m->offset == SIZE_MAX) {
                CHECK(m->at.module == CCZI_PQ_COLUMN_META && !(mix & SIGNED));
                continue;
            }
            seen |= 1u << m->at.module;
            const size_t places[] = {0, 1, 4, 15, 16, m->size / 2, m->size - 16, m->size - 1};
            for (size_t k = 0; k < (in_ctr(mix, m) ? 2 : sizeof(places) / sizeof(places[0])); k++) {
                uint8_t *at = &file.ptr[m->offset + places[k]];
                *at ^= 0x10;
                ccz_rc rc = table_read(ccz_buf_span(&file), p.read, 15, &err);
                CHECK(is_refused(rc, places[k] < 4 ? err.rc : CCZ_E_SIG, &err, where_of(mix, m)));
                CHECK(rc == CCZ_E_SIG || rc == CCZ_E_FORMAT);
                *at ^= 0x10;
            }
        }
        CHECK(table_read(ccz_buf_span(&file), p.read, 15, NULL) == CCZ_OK);
        pair_free(&p);
    }
    CHECK(seen == 0x3f); /* footer, column metadata, pages and headers */
}

/* Counter mode: a page that was changed is read as it is, unless its checksum says no. */
static void test_ctr_pages(void)
{
    struct pair p;
    pair_make(&p, CTR);
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, TABLE_SIZE_MAX);
    table_write_tapped(&file, p.write);
    struct ccz_err err = {0};
    for (size_t i = 0; i < tap.len; i++) {
        const struct module *m = &tap.modules[i];
        if (!in_ctr(CTR, m))
            continue;
        file.ptr[m->offset + m->size - 1] ^= 1;
        CHECK(is_refused(table_read(ccz_buf_span(&file), p.read, 15, &err), CCZ_E_FORMAT, &err,
                         "parquet:page-crc"));
        file.ptr[m->offset + m->size - 1] ^= 1;
    }
    pair_free(&p);
}

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

/* Pairs of modules of one kind and size: other page, other column, other row group. */
static void test_swapped(void)
{
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        table_write_tapped(&file, p.write);
        struct ccz_err err = {0};
        size_t pages = 0, groups = 0, tried = 0;
        for (size_t i = 0; i < tap.len; i++) {
            for (size_t k = 0; k < i && tried < 400; k++) {
                const struct module *a = &tap.modules[i], *b = &tap.modules[k];
                if (a->at.module != b->at.module || a->size != b->size || in_ctr(mix, a) ||
                    a->offset == SIZE_MAX)
                    continue;
                tried++;
                pages += a->at.page != b->at.page;
                groups += a->at.row_group != b->at.row_group;
                swap(file.ptr + a->offset, file.ptr + b->offset, a->size);
                CHECK(is_refused(table_read(ccz_buf_span(&file), p.read, 15, &err), CCZ_E_SIG, &err,
                                 where_of(mix, a)));
                swap(file.ptr + a->offset, file.ptr + b->offset, a->size);
            }
        }
        CHECK(pages > 0 && groups > 0);
        pair_free(&p);
    }
}

/* The same module of another file of the same keys: aad_file_unique tells them apart. */
static void test_foreign(void)
{
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix);
        CCZ_AUTO_BUF other, file;
        ccz_buf_init(&other, TABLE_SIZE_MAX);
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        static struct module modules[MODULES_MAX];
        table_write_tapped(&other, p.write);
        memcpy(modules, tap.modules, sizeof(modules));
        table_write_tapped(&file, p.write);
        struct ccz_err err = {0};
        unsigned seen = 0;
        for (size_t i = 0; i < tap.len; i++) {
            const struct module *m = &tap.modules[i], *o = &modules[i];
            /* headers have checksums in as many bytes as they need: not all are of one size */
            if (in_ctr(mix, m) || m->offset == SIZE_MAX || m->size != o->size)
                continue;
            seen |= 1u << m->at.module;
            swap(file.ptr + m->offset, other.ptr + o->offset, m->size);
            CHECK(is_refused(table_read(ccz_buf_span(&file), p.read, 15, &err), CCZ_E_SIG, &err,
                             where_of(mix, m)));
            swap(file.ptr + m->offset, other.ptr + o->offset, m->size);
        }
        CHECK((seen & 0x14) == (mix & CTR ? 0x10 : 0x14));
        pair_free(&p);
    }
}

static void test_cut(void)
{
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(table_write(&file, p.write, NULL) == CCZ_OK);
        for (size_t size = 0; size < file.size; size += size < file.size - 1500 ? 97 : 1)
            CHECK(table_read(CCZ_SPAN(file.ptr, size), p.read, 15, NULL) != CCZ_OK);
        pair_free(&p);
    }
}

/* Any bit of a file in GCM: read as it was, or refused. */
static void test_any_bit(void)
{
    uint64_t rng = 7;
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix & ~(unsigned)CTR);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(table_write(&file, p.write, NULL) == CCZ_OK);
        for (int i = 0; i < 300; i++) {
            size_t at = rnd(&rng) % file.size;
            uint8_t bit = (uint8_t)(1u << rnd(&rng) % 8);
            file.ptr[at] ^= bit;
            CHECK(table_read(ccz_buf_span(&file), p.read, 15, NULL) != CCZ_OK);
            file.ptr[at] ^= bit;
        }
        pair_free(&p);
    }
}

/* A footer of a file in clear in the place of the encrypted one's, and a whole such file. */
static void test_downgrade(void)
{
    struct ccz_err err = {0};
    for (unsigned mix = 0; mix < MIXES; mix++) {
        struct pair p;
        pair_make(&p, mix);
        CCZ_AUTO_BUF clear, file;
        ccz_buf_init(&clear, TABLE_SIZE_MAX);
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(table_write(&clear, NULL, NULL) == CCZ_OK);
        CHECK(table_write(&file, p.write, NULL) == CCZ_OK);
        CHECK(is_refused(table_read(ccz_buf_span(&clear), p.read, 15, &err), CCZ_E_SIG, &err,
                         "parquet:plain-file"));
        /* the footer's own word for how long it is, and the magic, are nobody's secret */
        memcpy(file.ptr, mix & SIGNED ? "PARE" : "PAR1", 4);
        memcpy(file.ptr + file.size - 4, mix & SIGNED ? "PARE" : "PAR1", 4);
        CHECK(table_read(ccz_buf_span(&file), p.read, 15, NULL) != CCZ_OK);
        pair_free(&p);
    }
}

/* Columns in clear beside encrypted ones: only for who allows it, and the encrypted ones for everybody with their key. */
static void test_plain_columns(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    CCZ_AUTO(ccz_secret) k1 = key_from(2, 16);
    struct ccz_err err = {0};
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        const struct ccz_pq_key_of columns[] = {{.column = "user", .key = k1},
                                                {.column = "rating"}};
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf},
                                       .plain_footer = is_signed,
                                       .columns = columns,
                                       .columns_len = 2,
                                       .others_plain_insecure = true};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(table_write(&file, write, NULL) == CCZ_OK);
        struct ccz_span all = ccz_buf_span(&file);
        CHECK(find_bytes(all, "Casablanca", 10) != SIZE_MAX);
        for (int has_key = 0; has_key < 2; has_key++) {
            for (int allowed = 0; allowed < 2; allowed++) {
                struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf},
                                               .columns = columns,
                                               .columns_len = (size_t)has_key,
                                               .plain_columns_insecure = allowed};
                CCZ_AUTO(ccz_pq_crypt) read = NULL;
                CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
                CHECK(table_read(all, read, 4, NULL) == CCZ_OK);
                ccz_rc rc = table_read(all, read, 1, &err);
                CHECK(has_key ? rc == CCZ_OK
                              : is_refused(rc, CCZ_E_NOT_FOUND, &err, "parquet:key"));
                rc = table_read(all, read, 2, &err);
                CHECK(allowed ? rc == CCZ_OK
                              : is_refused(rc, CCZ_E_SIG, &err, "parquet:plain-column"));
                CHECK(allowed || table_read(all, read, 8, NULL) == CCZ_E_SIG);

                struct ccz_pq_source io = ccz_pq_source_mem(&all);
                struct ccz_pq_read_cfg cfg = {.crypt = read};
                CCZ_AUTO(ccz_pq_reader) reader = NULL;
                struct ccz_pq_crypt_info info;
                CHECK(ccz_pq_reader_open(&reader, &io, &cfg, NULL) == CCZ_OK);
                CHECK(ccz_pq_crypt_info(&info, reader, NULL) == CCZ_OK);
                CHECK(info.encrypted && info.plain_columns == 2);
                CHECK(info.plain_footer == is_signed && info.file_unique.size == 16);
            }
        }
        /* the key of one column in the place of another's */
        struct ccz_pq_key_of wrong = {.column = "user", .key = kf};
        struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf}, .columns = &wrong, .columns_len = 1};
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        CHECK(
            is_refused(table_read(all, read, 1, &err), CCZ_E_SIG, &err, "parquet:column-metadata"));
        CHECK(table_read(all, read, 4, NULL) == CCZ_OK);
    }
}

static void test_info(void)
{
    CCZ_AUTO_BUF clear;
    ccz_buf_init(&clear, TABLE_SIZE_MAX);
    CHECK(table_write(&clear, NULL, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    struct ccz_pq_decrypt_cfg r = {.footer = {.key = kf}, .plain_file_insecure = true};
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
    struct ccz_span all = ccz_buf_span(&clear);
    CHECK(table_read(all, read, 15, NULL) == CCZ_OK);
    for (int with = 0; with < 2; with++) {
        struct ccz_pq_source io = ccz_pq_source_mem(&all);
        struct ccz_pq_read_cfg cfg = {.crypt = with ? read : NULL};
        CCZ_AUTO(ccz_pq_reader) reader = NULL;
        struct ccz_pq_crypt_info info;
        struct ccz_err err = {0};
        CHECK(ccz_pq_reader_open(&reader, &io, &cfg, NULL) == CCZ_OK);
        ccz_rc rc = ccz_pq_crypt_info(&info, reader, &err);
        CHECK(with ? rc == CCZ_OK && !info.encrypted
                   : is_refused(rc, CCZ_E_ARG, &err, "parquet:crypt"));
    }
}

/* parquet-java encrypts buffers with their unused ends: zeros, and nothing else, may follow a struct of an encrypted module. */
static uint8_t padding;
static enum cczi_pq_module padded;

static ccz_rc seal_padded(struct ccz_buf *out, void *file, const struct cczi_pq_at *at,
                          struct ccz_span in, struct ccz_err *err)
{
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, TABLE_SIZE_MAX);
    ccz_buf_put_span(&plain, in);
    if (at->module == padded) {
        ccz_buf_le64(&plain, 0);
        ccz_buf_u8(&plain, padding);
    }
    return tap.inner->seal(out, file, at, ccz_buf_span(&plain), err);
}

static void test_padding(void)
{
    static const enum cczi_pq_module modules[] = {
        CCZI_PQ_FOOTER, CCZI_PQ_COLUMN_META, CCZI_PQ_DATA_PAGE_HEADER, CCZI_PQ_DICT_PAGE_HEADER};
    struct ccz_err err = {0};
    for (unsigned i = 0; i < 8; i++) {
        struct pair p;
        pair_make(&p, COLUMN_KEYS);
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        padded = modules[i / 2];
        padding = i & 1;
        tap.hook = *p.write;
        tap.inner = p.write;
        tap.hook.seal = seal_padded;
        CHECK(table_write(&file, &tap.hook, NULL) == CCZ_OK);
        ccz_rc rc = table_read(ccz_buf_span(&file), p.read, 15, &err);
        CHECK(padding ? is_refused(rc, CCZ_E_FORMAT, &err, cczi_pq_where(padded)) : rc == CCZ_OK);
        pair_free(&p);
    }
}

/* A limit that is reached in the middle of a file. */
static void test_limit(void)
{
    CCZ_AUTO(ccz_secret) kf = key_from(1, 16);
    struct ccz_err err = {0};
    for (uint64_t max = 1; max < 40; max += 7) {
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = kf}, .invocations_max = max};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, TABLE_SIZE_MAX);
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(
            is_refused(table_write(&file, write, &err), CCZ_E_LIMIT, &err, "parquet:invocations"));
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"parquet.crypt_round_trip", test_round_trip},
        {"parquet.crypt_changed", test_changed},
        {"parquet.crypt_ctr_pages", test_ctr_pages},
        {"parquet.crypt_swapped", test_swapped},
        {"parquet.crypt_foreign", test_foreign},
        {"parquet.crypt_cut", test_cut},
        {"parquet.crypt_any_bit", test_any_bit},
        {"parquet.crypt_downgrade", test_downgrade},
        {"parquet.crypt_plain_columns", test_plain_columns},
        {"parquet.crypt_info", test_info},
        {"parquet.crypt_padding", test_padding},
        {"parquet.crypt_limit", test_limit},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
