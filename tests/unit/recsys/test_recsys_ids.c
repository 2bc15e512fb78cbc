/* SPDX-License-Identifier: Apache-2.0 */
/* Dictionaries and titles: numbers, bytes, protected files. */
#define _GNU_SOURCE
#include "recsys/ids.h"
#include "refused.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_data.h>

#include <limits.h>
#include <sys/stat.h>

static struct ccz_span text_of(char out[32], uint32_t i)
{
    return CCZ_SPAN(out, (size_t)snprintf(out, 32, "person-%u", i));
}

static void numbers(void)
{
    enum { LEN = 5000 };
    struct ccz_err err = {0};
    for (int kind = 0; kind < 2; kind++) {
        struct ccz_recsys_ids *ids;
        struct ccz_seeded rnd = ccz_seeded_from(3, (uint64_t)kind);
        char text[32];
        CHECK(ccz_recsys_ids_new(&ids, (enum ccz_recsys_id_kind)kind, &err) == CCZ_OK);
        for (uint32_t i = 0; i < 3 * LEN; i++) {
            /* each third is new: numbers go by first appearance */
            const uint32_t which = i % 3 == 0 ? i / 3 : (uint32_t)ccz_seeded_below(&rnd, i / 3 + 1);
            const struct ccz_recsys_id id = kind == CCZ_RECSYS_ID_INT
                                                ? ccz_recsys_id_int((int64_t)which * 77 - 1000)
                                                : ccz_recsys_id_text(text_of(text, which));
            uint32_t n;
            CHECK(ccz_recsys_ids_add(&n, ids, id, &err) == CCZ_OK && n == which);
            CHECK(ccz_recsys_ids_len(ids) == i / 3 + 1 && ccz_recsys_ids_find(ids, id) == which);
            const struct ccz_recsys_id back = ccz_recsys_ids_get(ids, which);
            CHECK(back.kind == id.kind && back.num == id.num && ccz_span_eq(back.text, id.text));
        }
        CHECK(ccz_recsys_ids_find(ids, ccz_recsys_id_int(-999)) == CCZ_RECSYS_NONE);
        CHECK(ccz_recsys_ids_find(ids, ccz_recsys_id_text(ccz_span_str("person-"))) ==
              CCZ_RECSYS_NONE);
        CHECK(ccz_recsys_ids_size(ids) > LEN * 12 && ccz_recsys_ids_size(ids) < LEN * 200);
        ccz_recsys_ids_free(ids);
    }
}

/* Refused before it is allocated; what is there stays good. */
static void growth_limit(void)
{
    for (int kind = 0; kind < 2; kind++) {
        struct ccz_recsys_ids *ids;
        struct ccz_err err = {0};
        uint32_t n, i = 0;
        char text[32];
        ccz_rc rc = CCZ_OK;
        CHECK(ccz_recsys_ids_new(&ids, (enum ccz_recsys_id_kind)kind, &err) == CCZ_OK);
        cczi_recsys_ids_limit(ids, 200000);
        for (; rc == CCZ_OK && i < 100000; i++)
            rc =
                ccz_recsys_ids_add(&n, ids,
                                   kind == CCZ_RECSYS_ID_INT ? ccz_recsys_id_int(i)
                                                             : ccz_recsys_id_text(text_of(text, i)),
                                   &err);
        CHECK(is_refused(rc, CCZ_E_LIMIT, &err, "recsys:memory-max"));
        CHECK(ids->size_peak <= 200000 && ids->size_peak >= ccz_recsys_ids_size(ids) && i > 1000);
        CHECK(ccz_recsys_ids_len(ids) == i - 1);
        cczi_recsys_ids_limit(ids, 0);
        CHECK(ccz_recsys_ids_add(&n, ids,
                                 kind == CCZ_RECSYS_ID_INT
                                     ? ccz_recsys_id_int(i - 1)
                                     : ccz_recsys_id_text(text_of(text, i - 1)),
                                 &err) == CCZ_OK &&
              n == i - 1);
        ccz_recsys_ids_free(ids);
    }
}

static void id_refusals(void)
{
    struct ccz_err err = {0};
    struct ccz_recsys_ids *ids;
    static uint8_t big[CCZ_RECSYS_ID_SIZE_MAX + 1];
    uint32_t n;
    memset(big, 'x', sizeof(big));
    CHECK(ccz_recsys_ids_new(&ids, CCZ_RECSYS_ID_TEXT, &err) == CCZ_OK);
    CHECK(is_refused(ccz_recsys_ids_add(&n, ids, ccz_recsys_id_int(1), &err), CCZ_E_ARG, &err,
                     "recsys:id"));
    CHECK(is_refused(ccz_recsys_ids_add(&n, ids, ccz_recsys_id_text(CCZ_SPAN(big, 0)), &err),
                     CCZ_E_ARG, &err, "recsys:id"));
    CHECK(is_refused(
        ccz_recsys_ids_add(&n, ids, ccz_recsys_id_text(CCZ_SPAN(big, sizeof(big))), &err),
        CCZ_E_ARG, &err, "recsys:id"));
    CHECK(n == CCZ_RECSYS_NONE && ccz_recsys_ids_len(ids) == 0);
    CHECK(ccz_recsys_ids_add(&n, ids, ccz_recsys_id_text(CCZ_SPAN(big, sizeof(big) - 1)), &err) ==
          CCZ_OK);
    ccz_recsys_ids_free(ids);
}

static void id_text(void)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t num;
    } cases[] = {{"0", true, 0},
                 {"17", true, 17},
                 {"-17", true, -17},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"99999999999999999999", false, 0},
                 {"", false, 0},
                 {"-", false, 0},
                 {"-0", false, 0},
                 {"01", false, 0},
                 {"+1", false, 0},
                 {" 1", false, 0},
                 {"1 ", false, 0},
                 {"1.0", false, 0},
                 {"1e3", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ccz_recsys_id id;
        const struct ccz_span text = ccz_span_str(cases[i].text);
        CHECK(ccz_recsys_id_parse(&id, CCZ_RECSYS_ID_INT, text) == cases[i].ok);
        CHECK(!cases[i].ok || id.num == cases[i].num);
        CHECK(ccz_recsys_id_parse(&id, CCZ_RECSYS_ID_TEXT, text) == (text.size > 0));
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 64);
        ccz_recsys_id_put(&b, ccz_recsys_id_int(cases[i].num));
        CHECK(!cases[i].ok || strcmp(ccz_buf_str(&b), cases[i].text) == 0);
    }
}

static struct ccz_recsys_ids *some_ids(int kind, uint32_t len)
{
    struct ccz_recsys_ids *ids;
    char text[32];
    CHECK(ccz_recsys_ids_new(&ids, (enum ccz_recsys_id_kind)kind, NULL) == CCZ_OK);
    for (uint32_t i = 0; i < len; i++) {
        uint32_t n;
        CHECK(ccz_recsys_ids_add(&n, ids,
                                 kind == CCZ_RECSYS_ID_INT
                                     ? ccz_recsys_id_int(-5 + (int64_t)i * 1000003)
                                     : ccz_recsys_id_text(text_of(text, i)),
                                 NULL) == CCZ_OK);
    }
    return ids;
}

static void same_ids(const struct ccz_recsys_ids *a, const struct ccz_recsys_ids *b)
{
    CHECK(ccz_recsys_ids_len(a) == ccz_recsys_ids_len(b));
    for (uint32_t i = 0; i < ccz_recsys_ids_len(a); i++)
        CHECK(ccz_recsys_ids_find(b, ccz_recsys_ids_get(a, i)) == i);
}

static void bytes(void)
{
    struct ccz_err err = {0};
    for (int kind = 0; kind < 2; kind++) {
        struct ccz_recsys_ids *ids = some_ids(kind, 30), *back;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 1 << 16);
        ccz_recsys_ids_put(&b, ids);
        CHECK(!b.bad && ccz_recsys_ids_parse(&back, ccz_buf_span(&b), &err) == CCZ_OK);
        same_ids(ids, back);
        ccz_recsys_ids_free(back);
        for (size_t cut = 0; cut < b.size; cut++)
            CHECK(is_refused(ccz_recsys_ids_parse(&back, CCZ_SPAN(b.ptr, cut), &err), CCZ_E_FORMAT,
                             &err, "recsys:ids-file") &&
                  !back);
        ccz_buf_u8(&b, 0);
        CHECK(is_refused(ccz_recsys_ids_parse(&back, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err,
                         "recsys:ids-file"));
        b.size--;
        for (size_t i = 0; i < 12; i++) { /* magic and kind */
            b.ptr[i] ^= 0x40;
            CHECK(is_refused(ccz_recsys_ids_parse(&back, ccz_buf_span(&b), &err), CCZ_E_FORMAT,
                             &err, "recsys:ids-file"));
            b.ptr[i] ^= 0x40;
        }
        /* the second id becomes the first */
        if (kind == CCZ_RECSYS_ID_INT)
            memcpy(b.ptr + 24, b.ptr + 16, 8);
        else
            memcpy(b.ptr + 16 + 12, b.ptr + 16, 12);
        CHECK(is_refused(ccz_recsys_ids_parse(&back, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err,
                         "recsys:ids-file") &&
              strstr(err.msg, "twice"));
        ccz_recsys_ids_free(ids);
    }
}

static bool file_has(const char *path, const char *what)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 24);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK);
    return memmem(b.ptr, b.size, what, strlen(what)) != NULL;
}

/* A pipe in the place of a dictionary is refused, and not waited for. */
static void no_pipe(const struct ccz_secret *key)
{
    struct ccz_recsys_ids *ids;
    struct ccz_err err = {0};
    CHECK(mkfifo(temp_path("pipe"), 0600) == 0);
    (void)alarm(20);
    CHECK(is_refused(ccz_recsys_ids_load(&ids, temp_path("pipe"), key, "users", &err), CCZ_E_IO,
                     &err, "recsys:open") &&
          !ids);
    (void)alarm(0);
}

static void files(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) other = NULL;
    CHECK(ccz_pf_key_generate(&key, &err) == CCZ_OK && ccz_pf_key_generate(&other, &err) == CCZ_OK);
    temp_setup();
    for (int kind = 0; kind < 2; kind++) {
        const char *path = temp_path(kind ? "int" : "text");
        struct ccz_recsys_ids *ids = some_ids(kind, 20000), *back;
        CHECK(ccz_recsys_ids_save(ids, path, key, "users", &err) == CCZ_OK);
        CHECK(is_refused(ccz_recsys_ids_save(ids, path, key, "users", &err), CCZ_E_EXISTS, &err,
                         "file:exists"));
        CHECK(ccz_recsys_ids_load(&back, path, key, "users", &err) == CCZ_OK);
        same_ids(ids, back);
        ccz_recsys_ids_free(back);
        CHECK(is_refused(ccz_recsys_ids_load(&back, path, key, "items", &err), CCZ_E_SIG, &err,
                         "pf:path"));
        CHECK(is_refused(ccz_recsys_ids_load(&back, path, other, "users", &err), CCZ_E_SIG, &err,
                         "pf:metadata") &&
              !back);
        CHECK(!file_has(path, "person-1") && !file_has(path, "CCZRIDS1"));
        CCZ_AUTO_BUF clear; /* the search finds what is there */
        ccz_buf_init(&clear, 1 << 20);
        ccz_recsys_ids_put(&clear, ids);
        CHECK(ccz_file_write(temp_path("clear"), ccz_buf_span(&clear), 0600, CCZ_FILE_REPLACE,
                             &err) == CCZ_OK &&
              file_has(temp_path("clear"), kind ? "CCZRIDS1" : "person-1"));
        ccz_recsys_ids_free(ids);
    }
    struct ccz_recsys_ids *none;
    CHECK(is_refused(ccz_recsys_ids_load(&none, temp_path("none"), key, "users", &err),
                     CCZ_E_NOT_FOUND, &err, "recsys:open"));
    no_pipe(key);
}

/* ---------------------------------------------------------------------------------------- titles */

static struct ccz_recsys_titles *titles_of(const char *format, struct ccz_span text,
                                           const struct ccz_recsys_ids *items)
{
    struct ccz_recsys_format f;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    struct ccz_recsys_titles *t;
    CHECK(ccz_recsys_format_from(&f, format));
    f.item_kind = ccz_recsys_ids_kind(items);
    CHECK(ccz_recsys_source_mem(&s, text, &err) == CCZ_OK);
    CHECK(ccz_recsys_titles_read(&t, s, &f, items, &err) == CCZ_OK);
    return t;
}

static bool title_is(const struct ccz_recsys_titles *t, uint32_t item, const char *want)
{
    return ccz_span_eq(ccz_recsys_titles_get(t, item), ccz_span_str(want));
}

/* ------------------------------------------------------------------------- what the system refuses */

static bool random_fails;
ccz_rc __real_ccz_random(void *out, size_t size);
ccz_rc __wrap_ccz_random(void *out, size_t size);
ccz_rc __wrap_ccz_random(void *out, size_t size)
{
    return random_fails ? CCZ_E_INTERNAL : __real_ccz_random(out, size);
}

/* Without a key that nobody knows the hash protects nothing. */
static void no_random(void)
{
    struct ccz_err err = {0};
    for (int kind = 0; kind < 2; kind++) {
        struct ccz_recsys_ids *ids;
        random_fails = true;
        const ccz_rc rc = ccz_recsys_ids_new(&ids, (enum ccz_recsys_id_kind)kind, &err);
        random_fails = false;
        CHECK(is_refused(rc, CCZ_E_INTERNAL, &err, "recsys:random") && !ids);
    }
}

static void titles(void)
{
    struct ccz_recsys_ids *ids;
    struct ccz_err err = {0};
    uint32_t n;
    CHECK(ccz_recsys_ids_new(&ids, CCZ_RECSYS_ID_INT, &err) == CCZ_OK);
    CHECK(ccz_recsys_ids_add(&n, ids, ccz_recsys_id_int(7), &err) == CCZ_OK);
    CHECK(ccz_recsys_ids_add(&n, ids, ccz_recsys_id_int(3), &err) == CCZ_OK);
    CHECK(ccz_recsys_ids_add(&n, ids, ccz_recsys_id_int(9), &err) == CCZ_OK);
    struct ccz_recsys_titles *t = titles_of(
        "movielens-csv-titles",
        ccz_span_str(
            "movieId,title,genres\n3,\"Film, The (1999)\",Drama\n4,X,Y\n7,Old,Z\n7,New,Z\n"),
        ids);
    CHECK(ccz_recsys_titles_len(t) == 3 && title_is(t, 1, "Film, The (1999)") &&
          title_is(t, 0, "New") && title_is(t, 2, "") && title_is(t, 3, ""));
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_recsys_titles_put(&b, t);
    ccz_recsys_titles_free(t);
    CHECK(ccz_recsys_titles_parse(&t, ccz_buf_span(&b), &err) == CCZ_OK &&
          title_is(t, 1, "Film, The (1999)") && title_is(t, 2, ""));
    ccz_recsys_titles_free(t);
    for (size_t cut = 0; cut < b.size; cut++)
        CHECK(is_refused(ccz_recsys_titles_parse(&t, CCZ_SPAN(b.ptr, cut), &err), CCZ_E_FORMAT,
                         &err, "recsys:titles-file") &&
              !t);
    ccz_buf_u8(&b, 1);
    CHECK(ccz_recsys_titles_parse(&t, ccz_buf_span(&b), &err) == CCZ_E_FORMAT);

    t = titles_of("movielens-100k-titles", CCZ_SPAN("3|Caf\xe9 (1990)|x|y\n9|B|x|y\n", 25), ids);
    CHECK(title_is(t, 1, "Caf\xc3\xa9 (1990)") && title_is(t, 2, "B"));
    ccz_recsys_titles_free(t);
    t = titles_of("movielens-dat-titles", ccz_span_str("3::A: B::Drama\n7::C::D\n"), ids);
    CHECK(title_is(t, 1, "A: B") && title_is(t, 0, "C"));
    ccz_recsys_titles_free(t);
    t = titles_of("recbole-titles",
                  ccz_span_str("item_id:token\tmovie_title:token_seq\n3\tA \"quoted\" B\n"), ids);
    CHECK(title_is(t, 1, "A \"quoted\" B"));
    ccz_recsys_titles_free(t);

    static char longest[3 * CCZ_RECSYS_TITLE_SIZE_MAX]; /* cut between characters of two bytes */
    size_t at = (size_t)snprintf(longest, sizeof(longest), "movieId,title\n3,x");
    for (; at + 2 < 2 * CCZ_RECSYS_TITLE_SIZE_MAX; at += 2)
        memcpy(longest + at, "\xc3\xa9", 2);
    t = titles_of("movielens-csv-titles", CCZ_SPAN(longest, at), ids);
    CHECK(ccz_recsys_titles_get(t, 1).size == CCZ_RECSYS_TITLE_SIZE_MAX - 1);
    ccz_recsys_titles_free(t);
    ccz_recsys_ids_free(ids);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"recsys.ids", numbers},
        {"recsys.ids_refusals", id_refusals},
        {"recsys.ids_limit", growth_limit},
        {"recsys.ids_text", id_text},
        {"recsys.ids_bytes", bytes},
        {"recsys.ids_files", files},
        {"recsys.ids_random", no_random},
        {"recsys.titles", titles},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
