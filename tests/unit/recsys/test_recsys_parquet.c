/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings and factors through Parquet files, in clear and encrypted. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "refused.h"

#include <cczoo/dataset.h>
#include <cczoo/parquet_crypt.h>
#include <cczoo/recsys_data.h>

#include <math.h>

static const uint8_t key_bytes[16] = {1, 2, 3}, other_bytes[16] = {3, 2, 1};

static struct ccz_pq_crypt *encrypt_with(const uint8_t bytes[16])
{
    struct ccz_pq_crypt *c;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_from(&key, bytes, 16) == CCZ_OK);
    CHECK(ccz_pq_encrypt_new(&c, &(struct ccz_pq_encrypt_cfg){.footer.key = key}, &err) == CCZ_OK);
    return c;
}

static struct ccz_pq_crypt *decrypt_with(const uint8_t bytes[16])
{
    struct ccz_pq_crypt *c;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_from(&key, bytes, 16) == CCZ_OK);
    CHECK(ccz_pq_decrypt_new(&c, &(struct ccz_pq_decrypt_cfg){.footer.key = key}, &err) == CCZ_OK);
    return c;
}

/* --------------------------------------------------------------------------------------- ratings */

enum { LEN = 40000, USERS = 900, ITEMS = 300 };

static void some_data(struct ccz_recsys_data *d, int kind, bool times)
{
    struct ccz_seeded rnd = ccz_seeded_from(5, (uint64_t)kind);
    struct ccz_recsys_format f;
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    struct ccz_err err = {0};
    ccz_buf_init(&text, 1 << 24);
    CHECK(ccz_recsys_format_from(&f, "csv"));
    f.user_kind = f.item_kind = (enum ccz_recsys_id_kind)kind;
    ccz_buf_put_str(&text, times ? "user,item,rating,timestamp\n" : "user,item,rating\n");
    for (int i = 0; i < LEN; i++) {
        const unsigned u = (unsigned)ccz_seeded_below(&rnd, USERS),
                       v = (unsigned)ccz_seeded_below(&rnd, ITEMS);
        ccz_buf_printf(&text, kind ? "%u,%u,%g" : "someone-%u,film-%u,%g", 1000 + u, v,
                       (double)(i % 9) / 2);
        ccz_buf_printf(&text, times ? ",%d\n" : "\n", 1000000000 + i);
    }
    CHECK(ccz_recsys_source_mem(&s, ccz_buf_span(&text), &err) == CCZ_OK);
    const struct ccz_recsys_filter last = {.twice = CCZ_RECSYS_TWICE_LAST};
    CHECK(ccz_recsys_read(d, s, &f, &last, &err) == CCZ_OK);
}

static ccz_rc write_data(struct ccz_buf *out, const struct ccz_recsys_data *d,
                         const struct ccz_recsys_table *t)
{
    struct ccz_err err = {0};
    const struct ccz_pq_sink io = ccz_pq_sink_buf(out);
    ccz_buf_init(out, 1 << 24);
    return ccz_recsys_write_parquet(&io, &d->ratings, d->user, d->item, t, &err);
}

static ccz_rc read_data(struct ccz_recsys_data *d, const struct ccz_buf *b,
                        const struct ccz_recsys_table *t, struct ccz_err *err)
{
    const struct ccz_span bytes = ccz_buf_span(b);
    const struct ccz_pq_source io = ccz_pq_source_mem(&bytes);
    return ccz_recsys_read_parquet(d, &io, t, NULL, err);
}

static void same_ids(const struct ccz_recsys_ids *a, const struct ccz_recsys_ids *b)
{
    CHECK(ccz_recsys_ids_len(a) == ccz_recsys_ids_len(b));
    for (uint32_t n = 0; n < ccz_recsys_ids_len(a); n++)
        CHECK(ccz_recsys_ids_find(b, ccz_recsys_ids_get(a, n)) == n);
}

static void round_trip(void)
{
    struct ccz_pq_crypt *seal = encrypt_with(key_bytes), *open = decrypt_with(key_bytes);
    for (int way = 0; way < 8; way++) {
        struct ccz_recsys_data d, back;
        struct ccz_err err = {0};
        CCZ_AUTO_BUF b;
        const struct ccz_recsys_table out = {.crypt = way & 2 ? seal : NULL, .user = "who"},
                                      in = {.crypt = way & 2 ? open : NULL, .user = "who"};
        some_data(&d, way & 1, way & 4);
        CHECK(write_data(&b, &d, &out) == CCZ_OK);
        CHECK(read_data(&back, &b, &in, &err) == CCZ_OK);
        /* numbers by first appearance need not be the same: repeats were dropped in between */
        CHECK(back.ratings.len == d.ratings.len && back.counts.read == d.ratings.len);
        for (uint64_t i = 0; i < d.ratings.len; i++) {
            CHECK(
                ccz_recsys_ids_find(d.user, ccz_recsys_ids_get(back.user, back.ratings.user[i])) ==
                    d.ratings.user[i] &&
                ccz_recsys_ids_find(d.item, ccz_recsys_ids_get(back.item, back.ratings.item[i])) ==
                    d.ratings.item[i]);
            CHECK(back.ratings.value[i] == d.ratings.value[i] &&
                  back.ratings.time[i] == d.ratings.time[i]);
        }
        ccz_recsys_data_deinit(&back);
        ccz_recsys_data_deinit(&d);
    }
    ccz_pq_crypt_free(seal);
    ccz_pq_crypt_free(open);
}

/* As Spark gets them: numbers as INT32; and the builder reads what the other way of reading does. */
static void numbers_and_builder(void)
{
    struct ccz_recsys_data d, back;
    struct ccz_recsys_matrices m;
    struct ccz_recsys_builder *builder;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF b;
    some_data(&d, CCZ_RECSYS_ID_TEXT, true);
    CHECK(write_data(&b, &d, &(struct ccz_recsys_table){.numbers = true}) == CCZ_OK);
    const struct ccz_recsys_table plain = {0};
    CHECK(read_data(&back, &b, &plain, &err) == CCZ_OK);
    CHECK(ccz_recsys_ids_kind(back.user) == CCZ_RECSYS_ID_INT);
    for (uint64_t i = 0; i < d.ratings.len; i++)
        CHECK(ccz_recsys_ids_get(back.user, back.ratings.user[i]).num == d.ratings.user[i] &&
              ccz_recsys_ids_get(back.item, back.ratings.item[i]).num == d.ratings.item[i]);
    const struct ccz_span bytes = ccz_buf_span(&b);
    const struct ccz_pq_source io = ccz_pq_source_mem(&bytes);
    CCZ_AUTO(ccz_recsys_csr) want = NULL;
    CHECK(ccz_recsys_csr_new(&want, &back.ratings, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK);
    CHECK(ccz_recsys_builder_new(&builder, &(struct ccz_recsys_build_cfg){0}, &err) == CCZ_OK &&
          ccz_recsys_builder_read_parquet(builder, &io, &plain, &err) == CCZ_OK &&
          ccz_recsys_builder_finish(&m, builder, &err) == CCZ_OK);
    CHECK(m.by_user->len == want->len &&
          memcmp(m.by_user->col, want->col, want->len * sizeof(*want->col)) == 0 &&
          memcmp(m.by_user->value, want->value, want->len * sizeof(*want->value)) == 0);
    same_ids(m.user, back.user);
    ccz_recsys_builder_free(builder);
    ccz_recsys_matrices_deinit(&m);
    ccz_recsys_data_deinit(&back);
    /* a dictionary that is too short */
    d.ratings.user[7] = ccz_recsys_ids_len(d.user);
    ccz_buf_free(&b);
    CHECK(write_data(&b, &d, &plain) == CCZ_E_ARG);
    ccz_recsys_data_deinit(&d);
}

static bool has(const struct ccz_buf *b, const char *what)
{
    return memmem(b->ptr, b->size, what, strlen(what)) != NULL;
}

static void sealed(void)
{
    struct ccz_recsys_data d, back;
    struct ccz_err err = {0};
    struct ccz_pq_crypt *seal = encrypt_with(key_bytes), *open = decrypt_with(key_bytes),
                        *other = decrypt_with(other_bytes);
    CCZ_AUTO_BUF clear;
    CCZ_AUTO_BUF b;
    some_data(&d, CCZ_RECSYS_ID_TEXT, true);
    CHECK(write_data(&clear, &d, &(struct ccz_recsys_table){0}) == CCZ_OK);
    CHECK(write_data(&b, &d, &(struct ccz_recsys_table){.crypt = seal}) == CCZ_OK);
    CHECK(has(&clear, "timestamp") && !has(&b, "timestamp") && !has(&b, "someone"));
    const struct ccz_recsys_table right = {.crypt = open}, wrong = {.crypt = other}, none = {0};
    CHECK(is_refused(read_data(&back, &b, &none, &err), CCZ_E_UNSUPPORTED, &err,
                     "parquet:encrypted") &&
          !back.user);
    CHECK(is_refused(read_data(&back, &b, &wrong, &err), CCZ_E_SIG, &err, "parquet:footer"));
    CHECK(
        is_refused(read_data(&back, &clear, &right, &err), CCZ_E_SIG, &err, "parquet:plain-file"));
    b.ptr[b.size / 3] ^= 1;
    CHECK(read_data(&back, &b, &right, &err) == CCZ_E_SIG && !back.user &&
          strncmp(err.where, "parquet:", 8) == 0);
    ccz_recsys_data_deinit(&d);
    ccz_pq_crypt_free(seal);
    ccz_pq_crypt_free(open);
    ccz_pq_crypt_free(other);
}

/* ----------------------------------------------------------------------- columns of other types */

struct own_table {
    struct ccz_pq_column column[4];
    struct ccz_pq_data data[4];
    size_t len;
};

static void write_own(struct ccz_buf *out, const struct own_table *t)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    const struct ccz_pq_sink io = ccz_pq_sink_buf(out);
    ccz_buf_init(out, 1 << 20);
    CHECK(ccz_pq_writer_new(&w, &io,
                            &(struct ccz_pq_write_cfg){.columns = t->column, .columns_len = t->len},
                            &err) == CCZ_OK);
    if (ccz_pq_writer_put(w, t->data, &err) != CCZ_OK || ccz_pq_writer_finish(w, &err) != CCZ_OK) {
        fprintf(stderr, "%s %s\n", err.where, err.msg);
        CHECK(false);
    }
}

static const int32_t i32[] = {5, -6, 7};
static const int64_t i64[] = {1500000001999, -1, 0};
static const double f64[] = {3.5, 1e-3, -7};
static const struct ccz_span texts[] = {
    {(const uint8_t *)"a", 1}, {(const uint8_t *)"", 0}, {(const uint8_t *)"b", 1}};

static struct own_table types(void)
{
    return (struct own_table){
        .column = {{.name = "user", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_UNSIGNED},
                   {.name = "item", .type = CCZ_PQ_INT64},
                   {.name = "rating", .type = CCZ_PQ_DOUBLE},
                   {.name = "timestamp", .type = CCZ_PQ_INT64, .meaning = CCZ_PQ_TIME_MS}},
        .data = {{.rows = 3, .len = 3, .v.i32 = i32},
                 {.rows = 3, .len = 3, .v.i64 = i64},
                 {.rows = 3, .len = 3, .v.f64 = f64},
                 {.rows = 3, .len = 3, .v.i64 = i64}},
        .len = 4};
}

static ccz_rc read_own(struct ccz_recsys_data *d, const struct own_table *t, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    write_own(&b, t);
    const struct ccz_recsys_table names = {0};
    return read_data(d, &b, &names, err);
}

static void column_types(void)
{
    struct own_table t = types();
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    CHECK(read_own(&d, &t, &err) == CCZ_OK);
    CHECK(ccz_recsys_ids_get(d.user, 1).num == (int64_t)(uint32_t)-6 &&
          ccz_recsys_ids_get(d.item, 0).num == i64[0]);
    CHECK(d.ratings.value[1] == 1e-3F && d.ratings.time[0] == 1500000001 && d.ratings.time[1] == 0);
    ccz_recsys_data_deinit(&d);

    t = types(); /* days, and a value in whole numbers */
    t.column[3] =
        (struct ccz_pq_column){.name = "timestamp", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_DATE};
    t.data[3].v.i32 = i32;
    t.column[2] = (struct ccz_pq_column){.name = "rating", .type = CCZ_PQ_INT32};
    t.data[2].v.i32 = i32;
    CHECK(read_own(&d, &t, &err) == CCZ_OK && d.ratings.time[1] == -6 * 86400 &&
          d.ratings.value[1] == -6);
    ccz_recsys_data_deinit(&d);

    t = types(); /* neither value nor time */
    t.len = 2;
    CHECK(read_own(&d, &t, &err) == CCZ_OK && d.ratings.value[2] == 1 && d.ratings.time[2] == 0);
    ccz_recsys_data_deinit(&d);
}

static void column_refusals(void)
{
    static const uint8_t present[] = {1, 0, 1};
    static const uint8_t bools[] = {1, 0, 1};
    static const double big[] = {1, 1e300, 1};
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    for (size_t c = 0; c < 4; c++) { /* a null in each column */
        struct own_table t = types();
        t.column[c].optional = true;
        t.data[c].present = present;
        CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_FORMAT, &err, "recsys:null") &&
              err.aux == 1 && !d.user);
        t = types(); /* a type that is none of them */
        t.column[c] = (struct ccz_pq_column){.name = t.column[c].name, .type = CCZ_PQ_BOOLEAN};
        t.data[c].v.b = bools;
        CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_UNSUPPORTED, &err, "recsys:column-type"));
    }
    struct own_table t = types();
    t.data[2].v.f64 = big;
    CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_FORMAT, &err, "recsys:value") && err.aux == 1);
    t = types();
    t.column[0] =
        (struct ccz_pq_column){.name = "user", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING};
    t.data[0].v.bytes = texts;
    CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_FORMAT, &err, "recsys:id") && err.aux == 1);
    t = types();
    t.column[1].name = "thing";
    CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_NOT_FOUND, &err, "parquet:column"));
    t = types();
    t.column[3] = (struct ccz_pq_column){.name = "timestamp", .type = CCZ_PQ_DOUBLE};
    t.data[3].v.f64 = big;
    CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_FORMAT, &err, "recsys:time"));
}

/* What numbers mean: never another rating, id or time than was meant. */
static void meanings(void)
{
    static const int64_t high[] = {1, INT64_MIN, 3};
    static const int32_t days[] = {45, 46, 47};
    static const struct {
        size_t column;
        enum ccz_pq_type type;
        enum ccz_pq_meaning meaning;
    } bad[] = {
        {0, CCZ_PQ_INT32, CCZ_PQ_DATE},    {1, CCZ_PQ_INT64, CCZ_PQ_TIME_MS},
        {1, CCZ_PQ_BYTES, CCZ_PQ_JSON},    {2, CCZ_PQ_INT32, CCZ_PQ_DATE},
        {2, CCZ_PQ_INT64, CCZ_PQ_TIME_US}, {2, CCZ_PQ_INT64, CCZ_PQ_TIME_NS},
    };
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct own_table t = types();
        struct ccz_pq_column *c = &t.column[bad[i].column];
        *c =
            (struct ccz_pq_column){.name = c->name, .type = bad[i].type, .meaning = bad[i].meaning};
        if (bad[i].type == CCZ_PQ_INT32)
            t.data[bad[i].column].v.i32 = days;
        else if (bad[i].type == CCZ_PQ_INT64)
            t.data[bad[i].column].v.i64 = high;
        else
            t.data[bad[i].column].v.bytes = texts;
        CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_UNSUPPORTED, &err, "recsys:column-type") &&
              strstr(err.msg, c->name) && strstr(err.hint, "cast"));
    }
    for (int id = 0; id < 2; id++) { /* beyond int64: no id; a value all the same */
        struct own_table t = types();
        t.column[id ? 1 : 2] = (struct ccz_pq_column){
            .name = id ? "item" : "rating", .type = CCZ_PQ_INT64, .meaning = CCZ_PQ_UNSIGNED};
        t.data[id ? 1 : 2].v.i64 = high;
        const ccz_rc rc = read_own(&d, &t, &err);
        CHECK(id ? is_refused(rc, CCZ_E_FORMAT, &err, "recsys:id") && err.aux == 1
                 : rc == CCZ_OK && d.ratings.value[1] == 0x1p63F);
        ccz_recsys_data_deinit(&d);
    }
    static const enum ccz_pq_meaning unit[] = {CCZ_PQ_TIME_MS, CCZ_PQ_TIME_US, CCZ_PQ_TIME_NS};
    int64_t second = 1000;
    for (size_t i = 0; i < 3; i++, second *= 1000) {
        const int64_t when[] = {1234567890 * second + 1, second - 1, -7 * second};
        struct own_table t = types();
        t.column[3].meaning = unit[i];
        t.data[3].v.i64 = when;
        CHECK(read_own(&d, &t, &err) == CCZ_OK && d.ratings.time[0] == 1234567890 &&
              d.ratings.time[1] == 0 && d.ratings.time[2] == -7);
        ccz_recsys_data_deinit(&d);
    }
}

/* Meanings that our writer does not know: the footer of a DATE is changed to another one. */
static void foreign_meanings(void)
{
    static const uint8_t date[] = {0x0c, 0x4c, 0x6c, 0, 0}; /* converted type 6, logical type 6 */
    static const uint8_t other[][2] = {{0x0a, 0x5c} /* DECIMAL */, {0x0e, 0x7c} /* TIME_MILLIS */};
    static const int32_t cells[] = {45, 46, 47};
    const struct ccz_recsys_table names = {0};
    for (size_t c = 0; c < 4; c++)
        for (size_t k = 0; k < 2; k++) {
            struct own_table t = types();
            struct ccz_recsys_data d;
            struct ccz_err err = {0};
            CCZ_AUTO_BUF b;
            t.column[c] = (struct ccz_pq_column){
                .name = t.column[c].name, .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_DATE};
            t.data[c].v.i32 = cells;
            write_own(&b, &t);
            uint8_t *at = memmem(b.ptr, b.size, date, sizeof(date));
            CHECK(at);
            at[0] = other[k][0];
            at[2] = other[k][1];
            CHECK(is_refused(read_data(&d, &b, &names, &err), CCZ_E_UNSUPPORTED, &err,
                             "recsys:column-type") &&
                  strstr(err.msg, t.column[c].name));
        }
}

/* Texts without a meaning are ids if they are UTF-8: they are written as such again. */
static void text_ids(void)
{
    static const struct ccz_span good[] = {{(const uint8_t *)"\xc3\xa4", 2},
                                           {(const uint8_t *)"b", 1},
                                           {(const uint8_t *)"c", 1}},
                                 bad[] = {{(const uint8_t *)"a", 1},
                                          {(const uint8_t *)"\xff\xfe", 2},
                                          {(const uint8_t *)"c", 1}};
    struct own_table t = types();
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF again;
    t.column[1] = (struct ccz_pq_column){.name = "item", .type = CCZ_PQ_BYTES};
    t.data[1].v.bytes = good;
    CHECK(read_own(&d, &t, &err) == CCZ_OK);
    CHECK(write_data(&again, &d, &(struct ccz_recsys_table){0}) == CCZ_OK);
    ccz_recsys_data_deinit(&d);
    t.data[1].v.bytes = bad;
    CHECK(is_refused(read_own(&d, &t, &err), CCZ_E_FORMAT, &err, "recsys:id") && err.aux == 1);
}

/* ---------------------------------------------------------------------------------------- limits */

/* Reads `len` bytes and says that there are no more: of the footer, not of pages. */
struct watched {
    struct ccz_span bytes;
    uint64_t lowest; /* the first byte that was asked for */
};

static ccz_rc watched_read(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err)
{
    struct watched *w = arg;
    if (offset > w->bytes.size || size > w->bytes.size - offset)
        return ccz_fail(err, CCZ_E_IO, "test:read", 0, "beyond the end");
    if (offset >= 4 && offset < w->lowest)
        w->lowest = offset; /* the magic is no page */
    memcpy(out, w->bytes.ptr + offset, size);
    return CCZ_OK;
}

static ccz_rc watched_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    (void)err;
    *out = ((struct watched *)arg)->bytes.size;
    return CCZ_OK;
}

/* A few KB that stand for millions of equal rows. */
static void write_bomb(struct ccz_buf *out, uint64_t rows)
{
    enum { PER = 1 << 16 };
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    const struct ccz_pq_sink io = ccz_pq_sink_buf(out);
    const struct ccz_pq_column c[] = {{.name = "user", .type = CCZ_PQ_INT64},
                                      {.name = "item", .type = CCZ_PQ_INT64}};
    int64_t *zero = calloc(PER, sizeof(*zero));
    const struct ccz_pq_data d[] = {{.rows = PER, .len = PER, .v.i64 = zero},
                                    {.rows = PER, .len = PER, .v.i64 = zero}};
    ccz_buf_init(out, 1 << 24);
    CHECK(zero && ccz_pq_writer_new(&w, &io,
                                    &(struct ccz_pq_write_cfg){.columns = c,
                                                               .columns_len = 2,
                                                               .codec = CCZ_PQ_ZSTD,
                                                               .no_statistics = true},
                                    &err) == CCZ_OK);
    for (uint64_t i = 0; i < rows; i += PER)
        CHECK(ccz_pq_writer_put(w, d, &err) == CCZ_OK);
    CHECK(ccz_pq_writer_finish(w, &err) == CCZ_OK);
    free(zero);
}

static ccz_rc read_watched(struct watched *w, const struct ccz_recsys_filter *filter, bool build,
                           struct ccz_err *err)
{
    const struct ccz_pq_source io = {watched_read, watched_size, w};
    const struct ccz_recsys_table table = {0};
    struct ccz_recsys_data d;
    w->lowest = w->bytes.size;
    if (!build) {
        ccz_rc rc = ccz_recsys_read_parquet(&d, &io, &table, filter, err);
        ccz_recsys_data_deinit(&d);
        return rc;
    }
    CCZ_AUTO(ccz_recsys_builder) b = NULL;
    const struct ccz_recsys_build_cfg cfg = {.filter = *filter};
    ccz_rc rc = ccz_recsys_builder_new(&b, &cfg, err);
    return rc == CCZ_OK ? ccz_recsys_builder_read_parquet(b, &io, &table, err) : rc;
}

static void bomb(void)
{
    enum { ROWS = 3 << 20 };
    struct ccz_err err = {0};
    CCZ_AUTO_BUF b;
    write_bomb(&b, ROWS);
    struct watched w = {.bytes = ccz_buf_span(&b)};
    CHECK(b.size < 16384); /* 16 a byte are far less than 3 million */
    for (int build = 0; build < 2; build++) {
        struct ccz_recsys_filter f = {.twice = CCZ_RECSYS_TWICE_SUM};
        CHECK(is_refused(read_watched(&w, &f, build, &err), CCZ_E_LIMIT, &err, "recsys:ratings"));
        CHECK(strcmp(err.got, "3145728") == 0 && strcmp(err.expected, "1048576") == 0 &&
              strstr(err.hint, "ratings_max"));
        CHECK(w.lowest > b.size / 2); /* no page was asked for */
        f.ratings_max = ROWS - 1;
        CHECK(is_refused(read_watched(&w, &f, build, &err), CCZ_E_LIMIT, &err, "recsys:ratings"));
        CHECK(strcmp(err.expected, "3145727") == 0 && w.lowest > b.size / 2);
        f.ratings_max = ROWS; /* who knows that it is honest says so */
        CHECK(read_watched(&w, &f, build, &err) == CCZ_OK && w.lowest < b.size / 2);
    }
}

/* --------------------------------------------------------------------------------------- factors */

static void some_factors(struct ccz_recsys_factors *f, uint32_t len, bool bias)
{
    CHECK(ccz_recsys_factors_init(f, len, 10, bias, NULL) == CCZ_OK);
    for (uint32_t i = 0; i < len; i++) {
        for (uint32_t k = 0; k < f->factors; k++)
            ccz_recsys_row(f, i)[k] = (float)(i * 10 + k) / 7;
        if (bias)
            f->bias[i] = -(float)i;
    }
}

static void same_factors(const struct ccz_recsys_factors *a, const struct ccz_recsys_factors *b)
{
    CHECK(a->len == b->len && a->factors == b->factors && a->stride == b->stride &&
          !a->bias == !b->bias);
    CHECK(memcmp(a->v, b->v, (size_t)a->len * a->stride * sizeof(*a->v)) == 0);
    CHECK(!a->bias || memcmp(a->bias, b->bias, a->len * sizeof(*a->bias)) == 0);
}

static ccz_rc read_factors(struct ccz_recsys_factors *f, uint8_t *seen, const struct ccz_buf *b,
                           const struct ccz_recsys_factor_table *t, struct ccz_err *err)
{
    const struct ccz_span bytes = ccz_buf_span(b);
    const struct ccz_pq_source io = ccz_pq_source_mem(&bytes);
    return ccz_recsys_factors_read_parquet(f, seen, &io, t, err);
}

static void factors(void)
{
    enum { ROWS = 3000 };
    static uint8_t seen[ROWS];
    struct ccz_pq_crypt *seal = encrypt_with(key_bytes), *open = decrypt_with(key_bytes);
    for (int way = 0; way < 12; way++) { /* numbers, integers, texts; bias; encrypted */
        struct ccz_recsys_factors f, back = {0};
        struct ccz_err err = {0};
        CCZ_AUTO(ccz_recsys_ids) ids = NULL;
        CCZ_AUTO_BUF b;
        const struct ccz_pq_sink io = ccz_pq_sink_buf(&b);
        ccz_buf_init(&b, 1 << 24);
        some_factors(&f, ROWS, way & 1);
        if (way % 3 > 0)
            CHECK(ccz_recsys_ids_new(&ids, (enum ccz_recsys_id_kind)(way % 3 - 1), &err) == CCZ_OK);
        for (uint32_t i = 0; ids && i < ROWS; i++) {
            char text[32];
            const int size = snprintf(text, sizeof(text), "id-%u", i * 3);
            uint32_t n;
            CHECK(ccz_recsys_ids_add(&n, ids,
                                     way % 3 == 1 ? ccz_recsys_id_text(CCZ_SPAN(text, (size_t)size))
                                                  : ccz_recsys_id_int((int64_t)i * 5000000000 - 9),
                                     &err) == CCZ_OK);
        }
        const struct ccz_recsys_factor_table out = {.crypt = way & 2 ? seal : NULL, .ids = ids},
                                             in = {.crypt = way & 2 ? open : NULL,
                                                   .ids = ids,
                                                   .len = ROWS};
        CHECK(ccz_recsys_factors_write_parquet(&io, &f, &out, &err) == CCZ_OK);
        memset(seen, 0, sizeof(seen));
        CHECK(read_factors(&back, seen, &b, &in, &err) == CCZ_OK);
        same_factors(&f, &back);
        CHECK(!memchr(seen, 0, sizeof(seen)));
        /* again: everybody is there twice */
        CHECK(is_refused(read_factors(&back, seen, &b, &in, &err), CCZ_E_FORMAT, &err,
                         "recsys:factors") &&
              err.aux == 0);
        ccz_recsys_factors_deinit(&f);
        ccz_recsys_factors_deinit(&back);
    }
    ccz_pq_crypt_free(seal);
    ccz_pq_crypt_free(open);
}

/* Lists as Spark writes them: the list and its elements may be null, and are not. */
struct lists {
    const int32_t *id;
    const float *v;
    const uint32_t *offset;
    size_t rows;
    const uint8_t *present, *has_list;
    bool wide; /* DOUBLE */
};

static ccz_rc read_lists(struct ccz_recsys_factors *f, uint8_t *seen, const struct lists *l,
                         struct ccz_err *err)
{
    static double wide[64];
    const size_t len = l->offset[l->rows];
    for (size_t i = 0; i < len; i++)
        wide[i] = (double)l->v[i];
    struct own_table t = {.column = {{.name = "id", .type = CCZ_PQ_INT32},
                                     {.name = "features",
                                      .type = l->wide ? CCZ_PQ_DOUBLE : CCZ_PQ_FLOAT,
                                      .shape = CCZ_PQ_LIST,
                                      .optional = true,
                                      .element_optional = true}},
                          .data = {{.rows = l->rows, .len = l->rows, .v.i32 = l->id},
                                   {.rows = l->rows,
                                    .len = len,
                                    .offset = l->offset,
                                    .present = l->present,
                                    .has_list = l->has_list}},
                          .len = 2};
    if (l->wide)
        t.data[1].v.f64 = wide;
    else
        t.data[1].v.f32 = l->v;
    CCZ_AUTO_BUF b;
    write_own(&b, &t);
    return read_factors(f, seen, &b, &(struct ccz_recsys_factor_table){.len = 4}, err);
}

static void factor_files(void)
{
    static const int32_t first[] = {3, 0}, second[] = {1}, outside[] = {4}, negative[] = {-1};
    static const float v[] = {1, 2, 3, 4, 5, 6}, nan[] = {1, NAN, 3};
    static const uint32_t three[] = {0, 3, 6}, two[] = {0, 2, 5};
    static const uint8_t hole[] = {1, 0, 1}, nobody[] = {0};
    static const uint32_t empty[] = {0, 0};
    struct ccz_err err = {0};
    for (int wide = 0; wide < 2; wide++) {
        struct ccz_recsys_factors f = {0};
        uint8_t seen[4] = {0};
        CHECK(read_lists(
                  &f, seen,
                  &(struct lists){.id = first, .v = v, .offset = three, .rows = 2, .wide = wide},
                  &err) == CCZ_OK);
        CHECK(f.len == 4 && f.factors == 3 && !f.bias && ccz_recsys_row(&f, 3)[2] == 3 &&
              ccz_recsys_row(&f, 0)[0] == 4 && seen[0] && !seen[1] && !seen[2] && seen[3]);
        struct lists l = {.id = second, .v = v, .offset = three, .rows = 1, .wide = wide};
        struct lists bad[7] = {l, l, l, l, l, l, l};
        bad[0].offset = two; /* another length */
        bad[1].v = nan;
        bad[2].present = hole;
        bad[3].has_list = nobody;
        bad[3].offset = empty;
        bad[4].id = first; /* there before */
        bad[5].id = outside;
        bad[6].id = negative;
        for (int i = 0; i < 7; i++)
            CHECK(is_refused(read_lists(&f, seen, &bad[i], &err),
                             i < 5 ? CCZ_E_FORMAT : CCZ_E_NOT_FOUND, &err,
                             i < 5 ? "recsys:factors" : "recsys:id"));
        CHECK(read_lists(&f, seen, &l, &err) == CCZ_OK && seen[1] && ccz_recsys_row(&f, 1)[1] == 2);
        ccz_recsys_factors_deinit(&f);
    }
    struct ccz_recsys_factors f = {0};
    uint8_t seen[4] = {0};
    struct own_table t = types(); /* no list */
    t.column[0].name = "id";
    t.column[1].name = "features";
    CCZ_AUTO_BUF b;
    write_own(&b, &t);
    CHECK(is_refused(read_factors(&f, seen, &b, &(struct ccz_recsys_factor_table){.len = 4}, &err),
                     CCZ_E_UNSUPPORTED, &err, "recsys:column-type") &&
          !f.v);
    some_factors(&f, 5, false);
    CCZ_AUTO(ccz_recsys_ids) ids = NULL;
    CHECK(ccz_recsys_ids_new(&ids, CCZ_RECSYS_ID_INT, &err) == CCZ_OK);
    const struct ccz_pq_sink io = ccz_pq_sink_buf(&b);
    CHECK(is_refused(ccz_recsys_factors_write_parquet(
                         &io, &f, &(struct ccz_recsys_factor_table){.ids = ids}, &err),
                     CCZ_E_ARG, &err, "recsys:ids"));
    ccz_recsys_factors_deinit(&f);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"recsys.parquet_ratings", round_trip},
        {"recsys.parquet_numbers", numbers_and_builder},
        {"recsys.parquet_sealed", sealed},
        {"recsys.parquet_types", column_types},
        {"recsys.parquet_refusals", column_refusals},
        {"recsys.parquet_meanings", meanings},
        {"recsys.parquet_foreign_meanings", foreign_meanings},
        {"recsys.parquet_text_ids", text_ids},
        {"recsys.parquet_bomb", bomb},
        {"recsys.parquet_factors", factors},
        {"recsys.parquet_factor_files", factor_files},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
