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
        {"recsys.parquet_factors", factors},
        {"recsys.parquet_factor_files", factor_files},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
