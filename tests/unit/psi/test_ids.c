/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: preparation, duplicates, files, and the spool below them. */
#define _GNU_SOURCE
#include "parties.h"
#include "temp_dir.h"

#include <dirent.h>
#include <fcntl.h>

static struct ccz_psi_ids *from_strings(const char *const *text, size_t len,
                                        const struct ccz_psi_ids_cfg *cfg, struct ccz_err *err)
{
    struct ccz_psi_ids *ids;
    struct ccz_span spans[16];
    CHECK(len <= 16);
    for (size_t i = 0; i < len; i++)
        spans[i] = ccz_span_str(text[i]);
    ccz_rc rc = ccz_psi_ids_new(&ids, spans, len, cfg, err);
    CHECK((rc == CCZ_OK) == (ids != NULL));
    return ids;
}

static int by_row(const void *a, const void *b)
{
    const struct cczi_psi_rec *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* All records in the order of rows. */
static struct cczi_psi_rec *records(const struct ccz_psi_ids *ids, size_t *len)
{
    struct cczi_psi_rec *r;
    CHECK(cczi_psi_ids_parts(&r, len, ids, 0, CCZI_PSI_PARTS, NULL) == CCZ_OK);
    CHECK(*len == ccz_psi_ids_len(ids));
    qsort(r, *len, sizeof(*r), by_row);
    return r;
}

static bool same(const struct ccz_psi_ids *a, const struct ccz_psi_ids *b)
{
    size_t n[2];
    struct cczi_psi_rec *x = records(a, &n[0]), *y = records(b, &n[1]);
    bool yes = n[0] == n[1] && memcmp(x, y, n[0] * sizeof(*x)) == 0 &&
               memcmp(a->prepared, b->prepared, 32) == 0;
    free(x);
    free(y);
    return yes;
}

static void test_prepare(void)
{
    static const char *const plain[] = {"abc", "x y", "\xc3\x84z"};
    static const char *const messy[] = {" abc\t", "\r\nX y  ", "\xc3\x84Z"};
    const struct ccz_psi_ids_cfg both = {.trim = true, .fold_case = true};
    struct ccz_psi_ids *a = from_strings(plain, 3, &both, NULL),
                       *b = from_strings(messy, 3, &both, NULL),
                       *c = from_strings(plain, 3, NULL, NULL),
                       *d = from_strings(messy, 3, NULL, NULL);
    CHECK(same(a, b) && !same(a, c) && !same(c, d));
    /* The same ids of another kind have nothing in common. */
    const struct ccz_psi_ids_cfg other = {.trim = true, .fold_case = true, .domain = "mail"};
    struct ccz_psi_ids *e = from_strings(plain, 3, &other, NULL);
    size_t n[2];
    struct cczi_psi_rec *x = records(a, &n[0]), *y = records(e, &n[1]);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            CHECK(memcmp(x[i].b, y[k].b, 16) != 0);
    free(x);
    free(y);
    struct ccz_psi_ids *all[] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++)
        ccz_psi_ids_free(all[i]);
}

static void test_duplicates(void)
{
    static const char *const twice[] = {"a", "b", "a", "c", "b", "a"};
    struct ccz_err err = {0};
    CHECK(!from_strings(twice, 6, NULL, &err));
    CHECK(err.rc == CCZ_E_FORMAT && strcmp(err.where, "psi:id-twice") == 0);
    CHECK((err.aux == 2 || err.aux == 4 || err.aux == 5) && err.hint[0]);
    const struct ccz_psi_ids_cfg first = {.duplicates = CCZ_PSI_FIRST};
    struct ccz_psi_ids *ids = from_strings(twice, 6, &first, NULL);
    size_t len;
    struct cczi_psi_rec *r = records(ids, &len);
    CHECK(len == 3 && r[0].row == 0 && r[1].row == 1 && r[2].row == 3);
    free(r);
    ccz_psi_ids_free(ids);
    /* Equal only after preparation. */
    static const char *const cases[] = {"Ab", "aB"};
    const struct ccz_psi_ids_cfg fold = {.fold_case = true};
    CHECK(!from_strings(cases, 2, &fold, &err) && strcmp(err.where, "psi:id-twice") == 0);
    const struct ccz_psi_ids_cfg bad = {.duplicates = (enum ccz_psi_duplicates)2};
    CHECK(!from_strings(cases, 2, &bad, &err) && strcmp(err.where, "psi:ids-config") == 0);
}

static void expect_lines(const char *text, size_t size, const struct ccz_psi_ids_cfg *cfg,
                         const char *where, int64_t row, size_t len)
{
    const char *path = temp_path("lines");
    struct ccz_psi_ids *ids;
    struct ccz_err err = {0};
    CHECK(ccz_file_write(path, CCZ_SPAN(text, size), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_rc rc = ccz_psi_ids_read_lines(&ids, path, cfg, &err);
    if (where) {
        CHECK(rc != CCZ_OK && !ids && strcmp(err.where, where) == 0 && err.aux == row);
    } else {
        CHECK(rc == CCZ_OK && ccz_psi_ids_len(ids) == len);
        ccz_psi_ids_free(ids);
    }
}

static void test_lines(void)
{
    static const char text[] = "one\ntwo\r\nthree";
    struct ccz_psi_ids *a, *b;
    static const char *const three[] = {"one", "two", "three"};
    CHECK(ccz_file_write(temp_path("three"), ccz_span_str(text), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(ccz_psi_ids_read_lines(&a, temp_path("three"), NULL, NULL) == CCZ_OK);
    b = from_strings(three, 3, NULL, NULL);
    CHECK(same(a, b));
    ccz_psi_ids_free(a);
    ccz_psi_ids_free(b);
    expect_lines("", 0, NULL, NULL, 0, 0);
    expect_lines("a\n", 2, NULL, NULL, 0, 1);
    expect_lines("a\n\nb\n", 5, NULL, "psi:id-empty", 1, 0);
    const struct ccz_psi_ids_cfg trim = {.trim = true};
    expect_lines("a\nb\n \t\n", 7, &trim, "psi:id-empty", 2, 0);
    expect_lines("a\nb\na\n", 6, NULL, "psi:id-twice", 2, 0);
    size_t most = CCZ_PSI_ID_SIZE_MAX;
    char *text_long = malloc(most + 16);
    CHECK(text_long);
    memset(text_long, 'x', most + 16);
    memcpy(text_long, "a\n", 2);
    text_long[most + 2] = '\n';
    expect_lines(text_long, most + 3, NULL, NULL, 0, 2);
    text_long[most + 2] = 'x';
    expect_lines(text_long, most + 3, NULL, "psi:id-size", 1, 0);
    text_long[most + 3] = '\n';
    expect_lines(text_long, most + 4, NULL, "psi:id-size", 1, 0);
    free(text_long);
    struct ccz_err err = {0};
    CHECK(ccz_psi_ids_read_lines(&a, temp_path("none"), NULL, &err) == CCZ_E_IO && !a);
    CHECK(strcmp(err.where, "psi:file") == 0);
}

/* A file cut at any byte gives the lines before the cut and a shorter last one. */
static void test_lines_cut(void)
{
    static const char text[] = "alpha\r\nbeta\r\ngamma\n";
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        size_t lines = cut > 0;
        for (size_t i = 0; i + 1 < cut; i++)
            lines += text[i] == '\n';
        expect_lines(text, cut, NULL, NULL, 0, lines);
    }
}

static void test_csv(void)
{
    static const char text[] = "age,id,name\r\n1,\"a,1\",x\r\n2,b,y\r\n";
    static const char *const two[] = {"a,1", "b"};
    const char *path = temp_path("table.csv");
    struct ccz_psi_ids *a, *b = from_strings(two, 2, NULL, NULL);
    struct ccz_err err = {0};
    CHECK(ccz_file_write(path, ccz_span_str(text), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(ccz_psi_ids_read_csv(&a, path, "id", NULL, &err) == CCZ_OK && err.rc == CCZ_OK);
    CHECK(same(a, b));
    ccz_psi_ids_free(a);
    ccz_psi_ids_free(b);
    CHECK(ccz_psi_ids_read_csv(&a, path, "ids", NULL, &err) == CCZ_E_NOT_FOUND && !a);
    CHECK(strcmp(err.where, "psi:column") == 0);
    static const char broken[] = "id,x\na,1\nb\n";
    CHECK(ccz_file_write(path, ccz_span_str(broken), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(ccz_psi_ids_read_csv(&a, path, "id", NULL, &err) == CCZ_E_FORMAT && !a);
    CHECK(strcmp(err.where, "csv:fields") == 0);
    CHECK(ccz_file_write(path, CCZ_SPAN("", 0), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(ccz_psi_ids_read_csv(&a, path, "id", NULL, &err) != CCZ_OK && !a);
}

/* -------------------------------------------------------------------------------- spool */

enum { MANY = 150000 };

static size_t entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;
    CHECK(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n - 2;
}

static struct ccz_psi_ids *many(const struct ccz_psi_ids_cfg *cfg)
{
    uint64_t *numbers = malloc(MANY * sizeof(*numbers));
    CHECK(numbers);
    for (size_t i = 0; i < MANY; i++)
        numbers[i] = i % 3 == 2 ? i - 1 : i; /* every third one is a repetition */
    struct ccz_psi_ids *ids = ids_of(numbers, MANY, cfg);
    free(numbers);
    return ids;
}

static void test_spooled(void)
{
    const char *dir = temp_make_dir("spool");
    const struct ccz_psi_ids_cfg memory = {.duplicates = CCZ_PSI_FIRST},
                                 file = {.duplicates = CCZ_PSI_FIRST,
                                         .memory_len = 20000,
                                         .spool_dir = dir};
    struct ccz_psi_ids *a = many(&memory), *b = many(&file);
    struct stat st;
    CHECK(cczi_spool_fd(a->spool) < 0 && cczi_spool_fd(b->spool) >= 0);
    CHECK(fstat(cczi_spool_fd(b->spool), &st) == 0);
    CHECK(st.st_nlink == 0 && (st.st_mode & 0777) == 0600 && st.st_size > 0 && entries(dir) == 0);
    CHECK(ccz_psi_ids_len(a) == MANY / 3 * 2 && same(a, b));
    /* No hash is in the file as such. */
    uint8_t *bytes = malloc((size_t)st.st_size);
    size_t len;
    struct cczi_psi_rec *r = records(a, &len);
    CHECK(bytes && pread(cczi_spool_fd(b->spool), bytes, (size_t)st.st_size, 0) == st.st_size);
    for (size_t i = 0; i < len; i += 5000)
        CHECK(!memmem(bytes, (size_t)st.st_size, r[i].b, 16));
    free(r);
    /* A byte that somebody changed is noticed. */
    bytes[st.st_size / 2] ^= 1;
    CHECK(pwrite(cczi_spool_fd(b->spool), bytes, (size_t)st.st_size, 0) == st.st_size);
    struct ccz_err err = {0};
    CHECK(cczi_psi_ids_parts(&r, &len, b, 0, CCZI_PSI_PARTS, &err) == CCZ_E_SIG && !r && len == 0);
    CHECK(strcmp(err.where, "psi:spool-seal") == 0);
    /* Two chunks in each other's place, too. */
    bytes[st.st_size / 2] ^= 1;
    enum { SEALED = 256 * 24 + CCZ_AEAD_TAG_SIZE };
    uint8_t chunk[SEALED];
    memcpy(chunk, bytes, SEALED);
    memcpy(bytes, bytes + SEALED, SEALED);
    memcpy(bytes + SEALED, chunk, SEALED);
    CHECK(pwrite(cczi_spool_fd(b->spool), bytes, (size_t)st.st_size, 0) == st.st_size);
    CHECK(cczi_psi_ids_parts(&r, &len, b, 0, CCZI_PSI_PARTS, &err) == CCZ_E_SIG);
    /* And a file that lost its end. */
    CHECK(ftruncate(cczi_spool_fd(b->spool), 100) == 0);
    CHECK(cczi_psi_ids_parts(&r, &len, b, 0, CCZI_PSI_PARTS, &err) == CCZ_E_IO);
    CHECK(strcmp(err.where, "psi:spool") == 0);
    free(bytes);
    ccz_psi_ids_free(a);
    ccz_psi_ids_free(b);
}

static void test_spool_refuse(void)
{
    uint64_t seed = 3;
    struct cczi_spool *s;
    struct ccz_err err = {0};
    const struct cczi_spool_cfg no_file = {.parts = 1, .memory_len = 1000};
    const struct cczi_spool_cfg no_dir = {.parts = 1, .dir = "/nonexistent/directory"};
    const struct cczi_spool_cfg *cfg[] = {&no_file, &no_dir};
    const char *const where[] = {"psi:memory", "psi:spool"};
    for (int i = 0; i < 2; i++) {
        ccz_rc rc = cczi_spool_new(&s, cfg[i], NULL);
        CHECK(rc == CCZ_OK);
        for (size_t k = 0; rc == CCZ_OK && k < 10000; k++) {
            const struct cczi_psi_rec rec = {.row = rnd(&seed)};
            rc = cczi_spool_put(s, 0, &rec, &err);
        }
        CHECK(rc != CCZ_OK && strcmp(err.where, where[i]) == 0);
        cczi_spool_free(s);
    }
}

static const struct ccz_test tests[] = {{"psi.ids_prepare", test_prepare},
                                        {"psi.ids_duplicates", test_duplicates},
                                        {"psi.ids_lines", test_lines},
                                        {"psi.ids_lines_cut", test_lines_cut},
                                        {"psi.ids_csv", test_csv},
                                        {"psi.spooled", test_spooled},
                                        {"psi.spool_refuse", test_spool_refuse}};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
