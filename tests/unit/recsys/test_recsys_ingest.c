/* SPDX-License-Identifier: Apache-2.0 */
/* Formats, filters, refusals; the builder without disk against ratings in memory. */
#define _GNU_SOURCE
#include "recsys/ingest.h"
#include "refused.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>

static ccz_rc read_text(struct ccz_recsys_data *out, const char *format, struct ccz_span text,
                        const struct ccz_recsys_filter *filter, struct ccz_err *err)
{
    struct ccz_recsys_format f;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    CHECK(ccz_recsys_format_from(&f, format));
    CHECK(ccz_recsys_source_mem(&s, text, err) == CCZ_OK);
    return ccz_recsys_read(out, s, &f, filter, err);
}

static ccz_rc read_str(struct ccz_recsys_data *out, const char *format, const char *text,
                       struct ccz_err *err)
{
    return read_text(out, format, ccz_span_str(text), NULL, err);
}

/* ------------------------------------------------------------------------------------- formats */

/* Two users, three items, the same ratings in every format. */
static void check_three(const char *format, const char *text, bool value, bool time)
{
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    if (read_str(&d, format, text, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s %s\n", format, err.where, err.msg);
        CHECK(false);
    }
    static const uint32_t user[] = {0, 1, 0}, item[] = {0, 1, 2};
    static const float values[] = {3.5F, 5, 1};
    static const int64_t times[] = {881250949, 881250950, -5};
    CHECK(d.ratings.len == 3 && d.ratings.users == 2 && d.ratings.items == 3);
    CHECK(d.counts.read == 3 && d.counts.left == 3 && d.counts.twice == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(d.ratings.user[i] == user[i] && d.ratings.item[i] == item[i]);
        CHECK(d.ratings.value[i] == (value ? values[i] : 1));
        CHECK(d.ratings.time[i] == (time ? times[i] : 0));
    }
    struct ccz_recsys_id id;
    CHECK(ccz_recsys_id_parse(&id, ccz_recsys_ids_kind(d.user), ccz_span_str("22")) &&
          ccz_recsys_ids_find(d.user, id) == 1);
    CHECK(ccz_recsys_id_parse(&id, ccz_recsys_ids_kind(d.item), ccz_span_str("302")) &&
          ccz_recsys_ids_find(d.item, id) == 2);
    ccz_recsys_data_deinit(&d);
    CHECK(!d.user && !d.ratings.user);
}

static void formats(void)
{
    check_three(
        "movielens-csv",
        "userId,movieId,rating,timestamp\n11,7,3.5,881250949\n22,8,5,881250950\n11,302,1,-5\n",
        true, true);
    check_three("movielens-csv", /* other order, byte order mark, CR LF, quotes, no last line end */
                "\xef\xbb\xbfrating,\"timestamp\",movieId,userId\r\n3.5,881250949,\"7\",11\r\n"
                "5e0,881250950,8,22\r\n1.0,-5,302,11",
                true, true);
    check_three("movielens-dat", "11::7::3.5::881250949\n22::8::5::881250950\n11::302::1::-5\n",
                true, true);
    check_three("movielens-100k", "11\t7\t3.5\t881250949\r\n22\t8\t5\t881250950\r\n11\t302\t1\t-5",
                true, true);
    check_three("recbole",
                "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                "11\t7\t3.5\t881250949.7\n22\t8\t5\t881250950\n11\t302\t1\t-5.5\n",
                true, true);
    check_three("recbole", "item_id:token\tuser_id:token\n7\t11\n8\t22\n302\t11\n", false, false);
    check_three("csv", "user,item\n11,7\n22,8\n11,302\n", false, false);
    check_three("tsv", "user\titem\ttimestamp\n11\t7\t881250949\n22\t8\t881250950\n11\t302\t-5\n",
                false, true);
    CHECK(ccz_recsys_format_name(0) && !ccz_recsys_format_name(10));
    struct ccz_recsys_format f;
    for (size_t i = 0; ccz_recsys_format_name(i); i++)
        CHECK(ccz_recsys_format_from(&f, ccz_recsys_format_name(i)));
    CHECK(!ccz_recsys_format_from(&f, "movielens") && !f.user.at && !f.user.name);
}

static void format_refusals(void)
{
    static const struct {
        const char *format, *text, *where;
        ccz_rc rc;
        int64_t aux;
    } cases[] = {
        {"csv", "", "recsys:empty", CCZ_E_FORMAT, 0},
        {"csv", "user,thing\n", "recsys:column", CCZ_E_NOT_FOUND, 0},
        {"csv", "user,item,user\n", "recsys:column", CCZ_E_FORMAT, 1},
        {"csv", "user,item\n1,2\n1\n", "csv:fields", CCZ_E_FORMAT, 3},
        {"csv", "user,item\n1,2\n,3\n", "recsys:id", CCZ_E_FORMAT, 3},
        {"csv", "user,item,rating\n1,2,x\n", "recsys:value", CCZ_E_FORMAT, 2},
        {"csv", "user,item,rating\n1,2,1e39\n", "recsys:value", CCZ_E_FORMAT, 2},
        {"csv", "user,item,rating\n1,2,nan\n", "recsys:value", CCZ_E_FORMAT, 2},
        {"csv", "user,item,timestamp\n1,2,1e17\n", "recsys:time", CCZ_E_FORMAT, 2},
        {"csv", "user,item,timestamp\n1,2,\n", "recsys:time", CCZ_E_FORMAT, 2},
        {"csv", "user,item\n1,2\n2,2\n1,2\n", "recsys:twice", CCZ_E_EXISTS, 2},
        {"tsv", "user\titem\n1\t2\n\n", "recsys:line", CCZ_E_FORMAT, 3},
        {"tsv", "user\titem\n1\t2\t3\n", "recsys:column-count", CCZ_E_FORMAT, 2},
        {"tsv", "user\titem\n1\t\xff\n", "recsys:text", CCZ_E_FORMAT, 2},
        {"tsv", "user\titem\n1\r2\t3\n", "recsys:text", CCZ_E_FORMAT, 2},
        {"movielens-dat", "1::2\n", "recsys:column", CCZ_E_NOT_FOUND, 3},
        {"movielens-dat", "1::01::3::4\n", "recsys:id", CCZ_E_FORMAT, 1},
        {"movielens-dat", "1::2::3:4\n", "recsys:column", CCZ_E_NOT_FOUND, 4},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ccz_recsys_data d;
        struct ccz_err err = {0};
        CHECK(is_refused(read_str(&d, cases[i].format, cases[i].text, &err), cases[i].rc, &err,
                         cases[i].where));
        CHECK(err.aux == cases[i].aux && !d.user && !d.ratings.user);
    }
    static char wide[70000]; /* a line beyond its limit, the end of the file in sight or not */
    memset(wide, 'x', sizeof(wide));
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    CHECK(is_refused(read_text(&d, "tsv", CCZ_SPAN(wide, sizeof(wide)), NULL, &err), CCZ_E_LIMIT,
                     &err, "recsys:line-size"));
    wide[sizeof(wide) - 1] = '\n';
    CHECK(is_refused(read_text(&d, "tsv", CCZ_SPAN(wide, sizeof(wide)), NULL, &err), CCZ_E_LIMIT,
                     &err, "recsys:line-size"));
    CHECK(is_refused(read_text(&d, "tsv", CCZ_SPAN("user\titem\na\0b\tc\n", 16), NULL, &err),
                     CCZ_E_FORMAT, &err, "recsys:text"));
}

static void own_formats(void)
{
    static const struct ccz_recsys_format good = {
        .delimiter = ";", .user = {.at = 2}, .item = {.at = 1}, .item_kind = CCZ_RECSYS_ID_INT};
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    CHECK(ccz_recsys_source_mem(&s, ccz_span_str("5;\"a;b\"\n6;c\n"), &err) == CCZ_OK);
    CHECK(ccz_recsys_read(&d, s, &good, NULL, &err) == CCZ_OK && d.ratings.len == 2);
    CHECK(ccz_span_eq(ccz_recsys_ids_get(d.user, 0).text, ccz_span_str("a;b")) &&
          ccz_recsys_ids_get(d.item, 1).num == 6);
    ccz_recsys_data_deinit(&d);

    struct ccz_recsys_format bad[6] = {good, good, good, good, good, good};
    bad[0].user.at = 0;
    bad[1].user = (struct ccz_recsys_column){.name = "user"}; /* without a header */
    memcpy(bad[2].delimiter, "::", 3);                        /* with quotes */
    memcpy(bad[3].delimiter, "::::", 4);
    bad[4].latin1 = true; /* with quotes */
    bad[5].delimiter[0] = '"';
    for (int i = 0; i < 6; i++)
        CHECK(is_refused(ccz_recsys_read(&d, s, &bad[i], NULL, &err), CCZ_E_ARG, &err,
                         "recsys:format"));
}

/* Each cut of a good file is read or refused, never more than what is there. */
static void truncation(void)
{
    static const char *const files[][2] = {
        {"movielens-csv",
         "userId,movieId,rating,timestamp\n11,7,3.5,881250949\n22,8,5,881250950\n"},
        {"movielens-dat", "11::7::3.5::881250949\n22::8::5::881250950\n"},
        {"recbole", "user_id:token\titem_id:token\trating:float\n11\t7\t3.5\n22\t8\t5\n"}};
    for (int f = 0; f < 3; f++)
        for (size_t cut = 0; cut <= strlen(files[f][1]); cut++) {
            struct ccz_recsys_data d;
            struct ccz_err err = {0};
            ccz_rc rc = read_text(&d, files[f][0], CCZ_SPAN(files[f][1], cut), NULL, &err);
            if (rc == CCZ_OK) {
                CHECK(d.ratings.len <= 2 && d.ratings.users == d.ratings.len);
                ccz_recsys_data_deinit(&d);
            } else {
                CHECK(err.where[0] && !d.user && rc != CCZ_E_NOMEM && rc != CCZ_E_INTERNAL);
            }
        }
}

/* ------------------------------------------------------------------------------------- sources */

static void sources(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1 << 22);
    ccz_buf_put_str(&text, "user\titem\n");
    for (int i = 0; i < 100000; i++)
        ccz_buf_printf(&text, "u%d\ti%d\n", i % 1000, i / 1000);
    temp_setup();
    CHECK(ccz_pf_key_generate(&key, &err) == CCZ_OK);
    CHECK(ccz_file_write(temp_path("clear"), ccz_buf_span(&text), 0600, CCZ_FILE_CREATE_ONLY,
                         &err) == CCZ_OK);
    const struct ccz_pf_cfg cfg = {.path = "ratings"};
    CHECK(ccz_pf_encrypt_file(temp_path("sealed"), temp_path("clear"), key, &cfg, &err) == CCZ_OK);
    struct ccz_recsys_format f;
    CHECK(ccz_recsys_format_from(&f, "tsv"));
    for (int sealed = 0; sealed < 2; sealed++) {
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        struct ccz_recsys_data d;
        CHECK((sealed ? ccz_recsys_source_protected(&s, temp_path("sealed"), key, &cfg, &err)
                      : ccz_recsys_source_file(&s, temp_path("clear"), &err)) == CCZ_OK);
        CHECK(ccz_recsys_read(&d, s, &f, NULL, &err) == CCZ_OK);
        CHECK(d.ratings.len == 100000 && d.ratings.users == 1000 && d.ratings.items == 100);
        ccz_recsys_data_deinit(&d);
    }
    /* a changed block in the middle: the reason comes through, for both kinds of readers */
    FILE *file = fopen(temp_path("sealed"), "r+b");
    CHECK(file && fseek(file, 100 * 4096 + 5, SEEK_SET) == 0 && fputc(0x55, file) == 0x55);
    CHECK(fclose(file) == 0);
    for (int plain = 0; plain < 2; plain++) {
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        struct ccz_recsys_data d;
        f.plain = plain;
        CHECK(ccz_recsys_source_protected(&s, temp_path("sealed"), key, &cfg, &err) == CCZ_OK);
        CHECK(ccz_recsys_read(&d, s, &f, NULL, &err) == CCZ_E_SIG &&
              strncmp(err.where, "pf:", 3) == 0 && !d.user);
    }
    struct ccz_recsys_source *s;
    CHECK(is_refused(ccz_recsys_source_file(&s, temp_path("none"), &err), CCZ_E_NOT_FOUND, &err,
                     "recsys:open"));
    CHECK(is_refused(ccz_recsys_source_file(&s, "/dev/null", &err), CCZ_E_IO, &err, "recsys:open"));
    CHECK(is_refused(ccz_recsys_source_protected(&s, temp_path("clear"), key, &cfg, &err),
                     CCZ_E_FORMAT, &err, "pf:file-size"));
}

/* ------------------------------------------------------------------------------------- filters */

static void repeats(void)
{
    static const char text[] = "user,item,rating,timestamp\na,x,1,10\nb,x,2,10\na,x,3,9\na,y,4,1\n"
                               "a,x,5,10\n";
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    struct ccz_recsys_filter last = {.twice = CCZ_RECSYS_TWICE_LAST},
                             sum = {.twice = CCZ_RECSYS_TWICE_SUM};
    CHECK(read_text(&d, "csv", ccz_span_str(text), &last, &err) == CCZ_OK);
    CHECK(d.ratings.len == 3 && d.counts.twice == 2 && d.counts.left == 3);
    CHECK(d.ratings.value[0] == 2 && d.ratings.value[1] == 4 && d.ratings.value[2] == 5);
    ccz_recsys_data_deinit(&d);
    CHECK(read_text(&d, "csv", ccz_span_str(text), &sum, &err) == CCZ_OK);
    CHECK(d.ratings.len == 3 && d.ratings.value[0] == 9 && d.ratings.time[0] == 10 &&
          d.ratings.value[1] == 2 && d.ratings.value[2] == 4);
    ccz_recsys_data_deinit(&d);
}

static void values(void)
{
    static const char text[] = "user,item,rating\na,x,1\nb,x,4\na,y,5\nc,z,-2\n";
    struct ccz_recsys_filter f = {.drop_below = true, .value_min = 4, .binarize = true};
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    CHECK(read_text(&d, "csv", ccz_span_str(text), &f, &err) == CCZ_OK);
    CHECK(d.ratings.len == 2 && d.counts.below == 2 && d.counts.read == 4);
    CHECK(d.ratings.value[0] == 1 && d.ratings.value[1] == 1);
    /* numbers by first appearance among what is left */
    CHECK(ccz_recsys_ids_find(d.user, ccz_recsys_id_text(ccz_span_str("b"))) == 0 &&
          ccz_recsys_ids_find(d.user, ccz_recsys_id_text(ccz_span_str("a"))) == 1 &&
          ccz_recsys_ids_find(d.item, ccz_recsys_id_text(ccz_span_str("z"))) == CCZ_RECSYS_NONE);
    ccz_recsys_data_deinit(&d);
}

enum { USERS = 60, ITEMS = 40 };

/* A table with all cells, each side dropped in rounds as the header says. */
static void peel_table(uint8_t cell[USERS][ITEMS], const struct ccz_recsys_filter *f)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < ITEMS; i++) {
            uint32_t n = 0;
            for (int u = 0; u < USERS; u++)
                n += cell[u][i];
            for (int u = 0; n > 0 && n < f->per_item && u < USERS; u++)
                cell[u][i] = 0, changed = true;
        }
        for (int u = 0; u < USERS; u++) {
            uint32_t n = 0;
            for (int i = 0; i < ITEMS; i++)
                n += cell[u][i];
            for (int i = 0; n > 0 && n < f->per_user && i < ITEMS; i++)
                cell[u][i] = 0, changed = true;
        }
        changed = changed && !f->once;
    }
}

static void table_text(struct ccz_buf *out, uint8_t cell[USERS][ITEMS], uint64_t seed)
{
    struct ccz_seeded rnd = ccz_seeded_from(seed, 0);
    memset(cell, 0, USERS * ITEMS);
    ccz_buf_put_str(out, "user,item,rating\n");
    for (int n = 0; n < 260; n++) {
        const unsigned u = (unsigned)ccz_seeded_below(&rnd, USERS),
                       i = (unsigned)(ccz_seeded_below(&rnd, ITEMS) *
                                      ccz_seeded_below(&rnd, ITEMS) / ITEMS);
        ccz_buf_printf(out, "u%u,i%u,%u\n", u, i, 1 + n % 5);
        cell[u][i] = 1;
    }
}

static void check_table(const struct ccz_recsys_data *d, uint8_t cell[USERS][ITEMS])
{
    uint64_t len = 0;
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < ITEMS; i++)
            len += cell[u][i];
    CHECK(d->ratings.len == len && d->counts.left == len);
    CHECK(ccz_recsys_ids_len(d->user) == d->ratings.users &&
          ccz_recsys_ids_len(d->item) == d->ratings.items);
    for (uint64_t k = 0; k < d->ratings.len; k++) {
        const struct ccz_recsys_id u = ccz_recsys_ids_get(d->user, d->ratings.user[k]),
                                   i = ccz_recsys_ids_get(d->item, d->ratings.item[k]);
        char name[2][16] = {{0}};
        memcpy(name[0], u.text.ptr, u.text.size);
        memcpy(name[1], i.text.ptr, i.text.size);
        CHECK(cell[atoi(name[0] + 1)][atoi(name[1] + 1)] == 1);
    }
}

static void same_rows(const struct ccz_recsys_csr *a, const struct ccz_recsys_csr *b)
{
    CHECK(a->rows == b->rows && a->cols == b->cols && a->len == b->len);
    CHECK(memcmp(a->start, b->start, ((size_t)a->rows + 1) * sizeof(*a->start)) == 0);
    CHECK(a->len == 0 || (memcmp(a->col, b->col, a->len * sizeof(*a->col)) == 0 &&
                          memcmp(a->value, b->value, a->len * sizeof(*a->value)) == 0));
}

static void same_as_built(const struct ccz_recsys_data *d, struct ccz_span text,
                          const struct ccz_recsys_filter *filter)
{
    struct ccz_err err = {0};
    struct ccz_recsys_format f;
    struct ccz_recsys_matrices m;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    CCZ_AUTO(ccz_recsys_csr) rows = NULL;
    CCZ_AUTO(ccz_recsys_csr) cols = NULL;
    CHECK(ccz_recsys_format_from(&f, "csv") && ccz_recsys_source_mem(&s, text, &err) == CCZ_OK);
    CHECK(ccz_recsys_build(&m, s, &f,
                           &(struct ccz_recsys_build_cfg){.filter = *filter, .by_item = true},
                           &err) == CCZ_OK);
    CHECK(ccz_recsys_csr_new(&rows, &d->ratings, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK &&
          ccz_recsys_csr_transpose(&cols, rows, &err) == CCZ_OK);
    same_rows(m.by_user, rows);
    same_rows(m.by_item, cols);
    CHECK(memcmp(&m.counts, &d->counts, sizeof(m.counts)) == 0 && m.spilled == 0 && m.runs == 0);
    CHECK(ccz_recsys_ids_len(m.user) == ccz_recsys_ids_len(d->user));
    for (uint32_t n = 0; n < ccz_recsys_ids_len(m.user); n++)
        CHECK(ccz_recsys_ids_find(m.user, ccz_recsys_ids_get(d->user, n)) == n);
    for (uint32_t n = 0; n < ccz_recsys_ids_len(m.item); n++)
        CHECK(ccz_recsys_ids_find(m.item, ccz_recsys_ids_get(d->item, n)) == n);
    ccz_recsys_matrices_deinit(&m);
}

static void few(void)
{
    static uint8_t cell[USERS][ITEMS];
    struct ccz_err err = {0};
    uint64_t dropped = 0, empty = 0;
    for (uint64_t seed = 0; seed < 24; seed++) {
        const struct ccz_recsys_filter f = {.twice = seed % 2 ? CCZ_RECSYS_TWICE_LAST
                                                              : CCZ_RECSYS_TWICE_SUM,
                                            .per_user = (uint32_t)(seed % 6),
                                            .per_item = (uint32_t)(seed / 3 % 8),
                                            .once = seed % 5 == 4};
        struct ccz_recsys_data d;
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 1 << 16);
        table_text(&text, cell, seed);
        peel_table(cell, &f);
        CHECK(read_text(&d, "csv", ccz_buf_span(&text), &f, &err) == CCZ_OK);
        check_table(&d, cell);
        same_as_built(&d, ccz_buf_span(&text), &f);
        dropped += d.counts.dropped > 0;
        empty += d.counts.left == 0;
        ccz_recsys_data_deinit(&d);
    }
    CHECK(dropped > 10 && empty < 12);
}

/* ------------------------------------------------------------------------------ builder's rules */

static void builder_rules(void)
{
    struct ccz_err err = {0};
    struct ccz_recsys_builder *b;
    struct ccz_recsys_matrices m;
    CHECK(is_refused(
              ccz_recsys_builder_new(&b, &(struct ccz_recsys_build_cfg){.memory_max = 1000}, &err),
              CCZ_E_ARG, &err, "recsys:memory-max") &&
          !b);
    struct ccz_recsys_rating r = {.user = 1, .item = 2, .value = 3};
    CHECK(ccz_recsys_builder_new(&b, &(struct ccz_recsys_build_cfg){.filter.per_user = 2}, &err) ==
          CCZ_OK);
    CHECK(is_refused(ccz_recsys_builder_add(b, &r, 1, &err), CCZ_E_ARG, &err, "recsys:builder"));
    ccz_recsys_builder_free(b);

    const struct ccz_recsys_build_cfg cfg = {0};
    CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK &&
          ccz_recsys_builder_add(b, &r, 1, &err) == CCZ_OK);
    struct ccz_recsys_format f;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    CHECK(ccz_recsys_format_from(&f, "csv") &&
          ccz_recsys_source_mem(&s, ccz_span_str("user,item\na,b\n"), &err) == CCZ_OK);
    CHECK(is_refused(ccz_recsys_builder_read(b, s, &f, &err), CCZ_E_ARG, &err, "recsys:builder"));
    CHECK(ccz_recsys_builder_finish(&m, b, &err) == CCZ_OK && m.by_user->rows == 2 &&
          m.by_user->cols == 3 && m.by_user->len == 1 && !m.by_item && !m.user);
    ccz_recsys_matrices_deinit(&m);
    CHECK(is_refused(ccz_recsys_builder_add(b, &r, 1, &err), CCZ_E_ARG, &err, "recsys:builder"));
    CHECK(is_refused(ccz_recsys_builder_finish(&m, b, &err), CCZ_E_ARG, &err, "recsys:builder"));
    ccz_recsys_builder_free(b);

    CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK);
    r.value = INFINITY;
    CHECK(is_refused(ccz_recsys_builder_add(b, &r, 1, &err), CCZ_E_ARG, &err, "recsys:value"));
    ccz_recsys_builder_free(b);
    CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK);
    r = (struct ccz_recsys_rating){.user = CCZ_RECSYS_LEN_MAX};
    CHECK(is_refused(ccz_recsys_builder_add(b, &r, 1, &err), CCZ_E_ARG, &err, "recsys:user"));
    ccz_recsys_builder_free(b);
}

/* The limit is of all sources together, and of what is read, not of what is left. */
static void ratings_max(void)
{
    static const char text[] = "user,item,rating\na,x,1\nb,y,5\na,z,1\n";
    for (uint64_t most = 2; most <= 4; most++) {
        struct ccz_err err = {0};
        struct ccz_recsys_data d;
        struct ccz_recsys_format f;
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        CCZ_AUTO(ccz_recsys_source) again = NULL;
        CCZ_AUTO(ccz_recsys_builder) b = NULL;
        CCZ_AUTO(ccz_recsys_builder) by_number = NULL;
        const struct ccz_recsys_filter filter = {
            .ratings_max = most, .drop_below = true, .value_min = 4};
        CHECK(ccz_recsys_format_from(&f, "csv") &&
              ccz_recsys_source_mem(&s, ccz_span_str(text), &err) == CCZ_OK &&
              ccz_recsys_source_mem(&again, ccz_span_str(text), &err) == CCZ_OK);
        ccz_rc rc = ccz_recsys_read(&d, s, &f, &filter, &err);
        CHECK(most < 3 ? is_refused(rc, CCZ_E_LIMIT, &err, "recsys:ratings") &&
                             strcmp(err.got, "3") == 0 && strcmp(err.expected, "2") == 0
                       : rc == CCZ_OK && d.ratings.len == 1);
        ccz_recsys_data_deinit(&d);
        const struct ccz_recsys_build_cfg cfg = {.filter = filter};
        CHECK(ccz_recsys_builder_new(&b, &cfg, &err) == CCZ_OK &&
              ccz_recsys_builder_new(&by_number, &cfg, &err) == CCZ_OK);
        ccz_recsys_source_free(s);
        CHECK(ccz_recsys_source_mem(&s, ccz_span_str(text), &err) == CCZ_OK);
        rc = ccz_recsys_builder_read(b, s, &f, &err);
        if (most >= 3) {
            CHECK(rc == CCZ_OK);
            rc = ccz_recsys_builder_read(b, again, &f, &err);
        }
        CHECK(is_refused(rc, CCZ_E_LIMIT, &err, "recsys:ratings"));
        const struct ccz_recsys_rating r[5] = {
            {.value = 1}, {.value = 1}, {.value = 1}, {.value = 1}, {.value = 1}};
        CHECK(ccz_recsys_builder_add(by_number, r, most, &err) == CCZ_OK &&
              is_refused(ccz_recsys_builder_add(by_number, r, 1, &err), CCZ_E_LIMIT, &err,
                         "recsys:ratings"));
    }
}

static bool read_fails;
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size)
{
    if (!read_fails)
        return __real_read(fd, to, size);
    errno = EIO;
    return -1;
}

/* The disk fails: the reason comes through both kinds of readers. */
static void source_fails(void)
{
    struct ccz_err err = {0};
    temp_setup();
    CHECK(ccz_file_write(temp_path("clear"), ccz_span_str("user,item\na,b\n"), 0600,
                         CCZ_FILE_CREATE_ONLY, &err) == CCZ_OK);
    for (int plain = 0; plain < 2; plain++) {
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        struct ccz_recsys_format f;
        struct ccz_recsys_data d;
        CHECK(ccz_recsys_format_from(&f, "csv") &&
              ccz_recsys_source_file(&s, temp_path("clear"), &err) == CCZ_OK);
        f.plain = plain;
        read_fails = true;
        const ccz_rc rc = ccz_recsys_read(&d, s, &f, NULL, &err);
        read_fails = false;
        CHECK(is_refused(rc, CCZ_E_IO, &err, "recsys:read") && err.aux == EIO && !d.user);
    }
}

/* What a digest was taken of is what is read: in clear, protected, and as Parquet; a change meanwhile is seen. */
static ccz_rc read_pinned(struct ccz_recsys_data *d, struct ccz_pinned *p, int form,
                          const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_recsys_format f;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    const struct ccz_pq_source io = {
        .read_at = ccz_pinned_read_at, .size = ccz_pinned_size_at, .arg = p};
    if (form == 2)
        return ccz_recsys_read_parquet(d, &io, &(struct ccz_recsys_table){0}, NULL, err);
    CHECK(ccz_recsys_format_from(&f, "csv"));
    ccz_rc rc = ccz_recsys_source_pinned(&s, p, form ? key : NULL,
                                         &(struct ccz_pf_cfg){.path = "ratings"}, err);
    return rc == CCZ_OK ? ccz_recsys_read(d, s, &f, NULL, err) : rc;
}

static void pinned(void)
{
    enum { RATINGS = 90000, CHUNK = CCZ_PINNED_CHUNK_SIZE };
    static const char *const name[] = {"pin-clear", "pin-sealed", "pin-parquet"};
    struct ccz_err err = {0};
    struct ccz_recsys_data d;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO_BUF text;
    temp_setup();
    ccz_buf_init(&text, 1 << 22);
    ccz_buf_put_str(&text, "user,item,rating\n");
    for (int i = 0; i < RATINGS; i++)
        ccz_buf_printf(&text, "u%d,i%d,%d\n", i / 100, i * 7 % 10007, 1 + i % 5);
    CHECK(ccz_file_write(temp_path(name[0]), ccz_buf_span(&text), 0600, CCZ_FILE_CREATE_ONLY,
                         &err) == CCZ_OK);
    CHECK(ccz_secret_from(&key, "0123456789abcdef", 16) == CCZ_OK);
    CHECK(ccz_pf_encrypt_file(temp_path(name[1]), temp_path(name[0]), key,
                              &(struct ccz_pf_cfg){.path = "ratings"}, &err) == CCZ_OK);
    CHECK(read_text(&d, "csv", ccz_buf_span(&text), NULL, &err) == CCZ_OK);
    const int fd = open(temp_path(name[2]), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const struct ccz_pq_sink sink = ccz_pq_sink_fd(&fd);
    CHECK(fd >= 0 && ccz_recsys_write_parquet(&sink, &d.ratings, d.user, d.item,
                                              &(struct ccz_recsys_table){0}, &err) == CCZ_OK);
    close(fd);
    ccz_recsys_data_deinit(&d);
    for (int form = 0; form < 3; form++) {
        CCZ_AUTO(ccz_pinned) p = NULL;
        uint8_t byte;
        CHECK(ccz_pinned_open(&p, temp_path(name[form]), &err) == CCZ_OK &&
              ccz_pinned_size(p) > CHUNK);
        CHECK(read_pinned(&d, p, form, key, &err) == CCZ_OK && d.ratings.len == RATINGS);
        ccz_recsys_data_deinit(&d);
        const int at = open(temp_path(name[form]), O_RDWR | O_CLOEXEC);
        CHECK(at >= 0 && pread(at, &byte, 1, 5000) == 1); /* another rating, user or item */
        byte ^= 1;
        CHECK(pwrite(at, &byte, 1, 5000) == 1);
        close(at);
        CHECK(is_refused(read_pinned(&d, p, form, key, &err), CCZ_E_SIG, &err, "pinned:changed"));
    }
}

static void several_sources(void)
{
    struct ccz_err err = {0};
    struct ccz_recsys_builder *b;
    struct ccz_recsys_matrices m;
    struct ccz_recsys_format f;
    static const char *const text[] = {"user,item\na,x\nb,y\n", "user,item\nb,z\na,y\n"};
    CHECK(ccz_recsys_format_from(&f, "csv"));
    CHECK(ccz_recsys_builder_new(&b, &(struct ccz_recsys_build_cfg){0}, &err) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        CHECK(ccz_recsys_source_mem(&s, ccz_span_str(text[i]), &err) == CCZ_OK &&
              ccz_recsys_builder_read(b, s, &f, &err) == CCZ_OK);
    }
    CHECK(ccz_recsys_builder_finish(&m, b, &err) == CCZ_OK && m.by_user->len == 4 &&
          ccz_recsys_ids_len(m.user) == 2 && ccz_recsys_ids_len(m.item) == 3);
    ccz_recsys_matrices_deinit(&m);
    ccz_recsys_builder_free(b);
    CHECK(ccz_recsys_builder_new(&b, &(struct ccz_recsys_build_cfg){0}, &err) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_recsys_source) s = NULL;
        f.user_kind = i ? CCZ_RECSYS_ID_INT : CCZ_RECSYS_ID_TEXT;
        CHECK(ccz_recsys_source_mem(&s, ccz_span_str(text[i]), &err) == CCZ_OK);
        ccz_rc rc = ccz_recsys_builder_read(b, s, &f, &err);
        CHECK(i ? is_refused(rc, CCZ_E_ARG, &err, "recsys:id") : rc == CCZ_OK);
    }
    CHECK(ccz_recsys_builder_finish(&m, b, &err) == CCZ_E_ARG);
    ccz_recsys_builder_free(b);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"recsys.formats", formats},
        {"recsys.format_refusals", format_refusals},
        {"recsys.own_formats", own_formats},
        {"recsys.format_cuts", truncation},
        {"recsys.sources", sources},
        {"recsys.repeats", repeats},
        {"recsys.values", values},
        {"recsys.few", few},
        {"recsys.builder_rules", builder_rules},
        {"recsys.ratings_max", ratings_max},
        {"recsys.source_fails", source_fails},
        {"recsys.several_sources", several_sources},
        {"recsys.pinned", pinned},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
