/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of .proto files: what is found, what is refused, and that a refusal leaves nothing behind. */
#define _DEFAULT_SOURCE
#include "nomem.h"
#include "rpc/desc.h"

#include "ccz_test.h"

#include <cczoo/codec.h>

#define NAME(s) ccz_span_str(s)

/* ------------------------------------------------------------------------------ making files */

/* A message in field @p number that only has a name. */
static void named(struct ccz_buf *b, uint32_t number, const char *name)
{
    size_t m = ccz_pb_open(b, number);
    ccz_pb_put_str(b, 1, name);
    ccz_pb_close(b, m);
}

static void extension(struct ccz_buf *b, uint32_t number, const char *name, const char *extendee,
                      uint64_t ext)
{
    size_t m = ccz_pb_open(b, number);
    ccz_pb_put_str(b, 1, name);
    ccz_pb_put_str(b, 2, extendee);
    ccz_pb_put_uint(b, 3, ext);
    ccz_pb_close(b, m);
}

/* a.proto, package p.q: message M with field, oneof, nested N with enum E, extension; enum E2; service S. The names stand
 * behind what they name, which the format allows. */
static void put_a(struct ccz_buf *b)
{
    size_t file = ccz_pb_open(b, 1);
    size_t m = ccz_pb_open(b, 4);
    named(b, 2, "field");
    named(b, 8, "choice");
    size_t n = ccz_pb_open(b, 3);
    size_t e = ccz_pb_open(b, 4);
    named(b, 2, "VALUE");
    ccz_pb_put_str(b, 1, "E");
    ccz_pb_close(b, e);
    ccz_pb_put_str(b, 1, "N");
    ccz_pb_close(b, n);
    extension(b, 6, "inner", ".p.q.M", 7);
    ccz_pb_put_str(b, 1, "M");
    ccz_pb_close(b, m);
    size_t e2 = ccz_pb_open(b, 5);
    ccz_pb_put_str(b, 1, "E2");
    named(b, 2, "TOP_VALUE");
    ccz_pb_close(b, e2);
    size_t s = ccz_pb_open(b, 6);
    ccz_pb_put_str(b, 1, "S");
    named(b, 2, "Do");
    ccz_pb_close(b, s);
    ccz_pb_put_str(b, 12, "proto3");
    ccz_pb_put_str(b, 2, "p.q");
    ccz_pb_put_str(b, 1, "a.proto");
    ccz_pb_close(b, file);
}

/* b.proto, no package, imports a.proto and extends p.q.M. */
static void put_b(struct ccz_buf *b)
{
    size_t file = ccz_pb_open(b, 1);
    ccz_pb_put_str(b, 1, "b.proto");
    ccz_pb_put_str(b, 3, "a.proto");
    extension(b, 7, "more", ".p.q.M", 100);
    extension(b, 7, "most", ".p.q.M", 0x1fffffff);
    named(b, 4, "B");
    ccz_pb_close(b, file);
}

/* One file of a name with nothing but one more field. */
static void put_file(struct ccz_buf *b, const char *name, uint32_t number, struct ccz_span bytes)
{
    size_t file = ccz_pb_open(b, 1);
    ccz_pb_put_str(b, 1, name);
    ccz_pb_put_bytes(b, number, bytes);
    ccz_pb_close(b, file);
}

static const char *const symbols[] = {
    "p.q.M",       "p.q.M.field", "p.q.M.choice", "p.q.M.N",  "p.q.M.N.E",     "p.q.M.N.VALUE",
    "p.q.M.inner", "p.q.E2",      "p.q.S",        "p.q.S.Do", "p.q.TOP_VALUE",
};

static void expect_a(const struct cczi_desc_pool *p)
{
    ptrdiff_t a = cczi_desc_by_file(p, NAME("a.proto"));
    CHECK(a >= 0 && ccz_span_eq(cczi_desc_file(p, (size_t)a)->name, NAME("a.proto")));
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        const struct cczi_desc_symbol *s = cczi_desc_by_symbol(p, NAME(symbols[i]));
        CHECK(s && s->file == (size_t)a);
        CHECK(s->message == (i == 0 || i == 3));
    }
    CHECK(cczi_desc_by_extension(p, NAME("p.q.M"), 7) == a);
}

static void expect_b(const struct cczi_desc_pool *p)
{
    size_t len;
    ptrdiff_t b = cczi_desc_by_file(p, NAME("b.proto"));
    CHECK(b >= 0 && cczi_desc_by_symbol(p, NAME("more"))->file == (size_t)b);
    CHECK(cczi_desc_by_extension(p, NAME("p.q.M"), 100) == b);
    const struct cczi_desc_ext *x = cczi_desc_extensions(&len, p, NAME("p.q.M"));
    CHECK(len == 3 && x[0].number == 7 && x[1].number == 100 && x[2].number == 0x1fffffff);
    const struct cczi_desc_file *f = cczi_desc_file(p, (size_t)b);
    const size_t *imports = CCZI_DESC_AT(p->imports, const size_t);
    CHECK(f->imports_len == 1 &&
          (ptrdiff_t)imports[f->imports_at] == cczi_desc_by_file(p, NAME("a.proto")));
}

static void expect_nothing(const struct cczi_desc_pool *p)
{
    size_t len;
    CHECK(cczi_desc_files_len(p) == 0 && p->size == 0 && p->symbols.size == 0 &&
          p->exts.size == 0 && p->imports.size == 0);
    CHECK(!cczi_desc_by_symbol(p, NAME("p.q.M")) && cczi_desc_by_file(p, NAME("a.proto")) < 0);
    CHECK(!cczi_desc_extensions(&len, p, NAME("p.q.M")) && len == 0);
}

/* ------------------------------------------------------------------------------------- tests */

static void test_names(void)
{
    struct cczi_desc_pool p;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF a, b;
    ccz_buf_init(&a, 4096);
    ccz_buf_init(&b, 4096);
    put_a(&a);
    put_b(&b);
    cczi_desc_init(&p, 4096);
    CHECK(cczi_desc_add(&p, ccz_buf_span(&b), &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "rpc:descriptor-import") == 0 && err.hint[0]);
    expect_nothing(&p);
    CHECK(cczi_desc_add(&p, ccz_buf_span(&a), &err) == CCZ_OK);
    expect_a(&p);
    CHECK(cczi_desc_add(&p, ccz_buf_span(&b), &err) == CCZ_OK);
    expect_a(&p);
    expect_b(&p);
    CHECK(cczi_desc_add(&p, ccz_buf_span(&a), &err) == CCZ_OK && cczi_desc_files_len(&p) == 2);
    static const char *const absent[] = {"",
                                         "p",
                                         "p.q",
                                         ".p.q.M",
                                         "p.q.M.",
                                         "p.q.M.VALUE",
                                         "p.q.M.N.E.VALUE",
                                         "b.proto",
                                         "p.q.E2.TOP_VALUE"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        CHECK(!cczi_desc_by_symbol(&p, NAME(absent[i])));
    CHECK(cczi_desc_by_extension(&p, NAME("p.q.M"), 8) < 0);
    CHECK(cczi_desc_by_extension(&p, NAME("p.q.N"), 7) < 0);
    cczi_desc_deinit(&p);
}

static void test_standard(void)
{
    struct cczi_desc_pool p;
    cczi_desc_init(&p, 1 << 16);
    CHECK(cczi_desc_add(&p, CCZ_SPAN(cczi_services_desc, cczi_services_desc_size), NULL) == CCZ_OK);
    CHECK(cczi_desc_files_len(&p) == 3);
    CHECK(cczi_desc_by_file(&p, NAME("grpc/health/v1/health.proto")) == 0);
    CHECK(cczi_desc_by_symbol(&p, NAME("grpc.health.v1.Health.Watch"))->file == 0);
    CHECK(cczi_desc_by_symbol(&p, NAME("grpc.reflection.v1.ServerReflection"))->file == 1);
    CHECK(cczi_desc_by_symbol(&p, NAME("grpc.reflection.v1alpha.ServerReflection"))->file == 2);
    cczi_desc_deinit(&p);
}

/* Every prefix of two files is refused without a trace, or is what it looks like: whole files. */
static void test_truncated(void)
{
    struct ccz_err err;
    size_t whole = 0;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    put_a(&b);
    size_t first = b.size;
    put_b(&b);
    for (size_t size = 0; size <= b.size; size++) {
        struct cczi_desc_pool p;
        uint8_t *copy = malloc(size ? size : 1); /* a read behind it is seen by sanitizers */
        CHECK(copy);
        memcpy(copy, b.ptr, size);
        cczi_desc_init(&p, 4096);
        ccz_rc rc = cczi_desc_add(&p, CCZ_SPAN(copy, size), &err);
        free(copy);
        bool fits = size == 0 || size == first || size == b.size;
        CHECK(rc == (fits ? CCZ_OK : CCZ_E_FORMAT));
        if (fits && size) {
            expect_a(&p);
            whole++;
        } else {
            expect_nothing(&p);
        }
        cczi_desc_deinit(&p);
    }
    CHECK(whole == 2);
}

static void refused(struct ccz_buf *b, ccz_rc rc, const char *where)
{
    struct cczi_desc_pool p;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF a;
    ccz_buf_init(&a, 4096);
    put_a(&a);
    cczi_desc_init(&p, 1 << 20);
    CHECK(cczi_desc_add(&p, ccz_buf_span(&a), &err) == CCZ_OK && !b->bad);
    ccz_rc got = cczi_desc_add(&p, ccz_buf_span(b), &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(got == rc && strcmp(err.where, where) == 0);
    CHECK(cczi_desc_files_len(&p) == 1 && p.size == a.size);
    expect_a(&p);
    ccz_buf_clear(b);
    put_b(b);
    CHECK(cczi_desc_add(&p, ccz_buf_span(b), &err) == CCZ_OK); /* the pool is as good as before */
    expect_b(&p);
    cczi_desc_deinit(&p);
    ccz_buf_clear(b);
}

static void test_refused(void)
{
    CCZ_AUTO_BUF b, m;
    ccz_buf_init(&b, 1 << 16);
    ccz_buf_init(&m, 4096);
    static const char *const bad_names[] = {"", "1x", "a.b", "a-b", ".a", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        ccz_buf_clear(&m);
        ccz_pb_put_str(&m, 1, bad_names[i]);
        put_file(&b, "c.proto", 4, ccz_buf_span(&m));
        refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    }
    static const char *const bad_packages[] = {".", "a.", ".a", "a..b", "a b"};
    for (size_t i = 0; i < sizeof(bad_packages) / sizeof(bad_packages[0]); i++) {
        put_file(&b, "c.proto", 2, NAME(bad_packages[i]));
        refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    }
    put_file(&b, "", 2, NAME("p"));
    refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    put_file(&b, "c.proto", 1, NAME("d.proto")); /* two names */
    refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    put_file(&b, "c.proto", 4, (struct ccz_span){0}); /* a message without a name */
    refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    ccz_pb_put_uint(&b, 1, 5); /* a file that is a number */
    refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    size_t file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "c.proto");
    ccz_pb_put_uint(&b, 4, 5); /* a message that is a number */
    ccz_pb_close(&b, file);
    refused(&b, CCZ_E_FORMAT, "rpc:descriptor");
    put_file(&b, "a.proto", 2, NAME("other"));
    refused(&b, CCZ_E_EXISTS, "rpc:descriptor-file");
    put_file(&b, "c.proto", 3, NAME("nowhere.proto"));
    refused(&b, CCZ_E_NOT_FOUND, "rpc:descriptor-import");
    put_file(&b, "c.proto", 3, NAME("c.proto")); /* itself */
    refused(&b, CCZ_E_NOT_FOUND, "rpc:descriptor-import");
}

static void test_refused_extensions(void)
{
    static const struct {
        const char *extendee;
        uint64_t number;
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {"p.q.M", 5, CCZ_E_FORMAT, "rpc:descriptor"},
        {".", 5, CCZ_E_FORMAT, "rpc:descriptor"},
        {"", 5, CCZ_E_FORMAT, "rpc:descriptor"},
        {".p..M", 5, CCZ_E_FORMAT, "rpc:descriptor"},
        {".p.q.M", 0, CCZ_E_FORMAT, "rpc:descriptor"},
        {".p.q.M", 0x20000000, CCZ_E_FORMAT, "rpc:descriptor"},
        {".p.q.M", 7, CCZ_E_EXISTS, "rpc:descriptor-name"}, /* a.proto has it */
    };
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t file = ccz_pb_open(&b, 1);
        ccz_pb_put_str(&b, 1, "c.proto");
        extension(&b, 7, "x", cases[i].extendee, cases[i].number);
        ccz_pb_close(&b, file);
        refused(&b, cases[i].rc, cases[i].where);
    }
    size_t file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "c.proto");
    extension(&b, 7, "x", ".o.T", 9);
    extension(&b, 7, "y", ".o.T", 9);
    ccz_pb_close(&b, file);
    refused(&b, CCZ_E_EXISTS, "rpc:descriptor-name");
}

/* The second declaration in the same file, in the same set, in a set before. */
static void test_twice(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    size_t file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "c.proto");
    named(&b, 4, "T");
    named(&b, 5, "T");
    ccz_pb_close(&b, file);
    refused(&b, CCZ_E_EXISTS, "rpc:descriptor-name");
    struct ccz_span t = CCZ_SPAN("\12\1T", 3);
    put_file(&b, "c.proto", 4, t);
    put_file(&b, "d.proto", 4, t);
    refused(&b, CCZ_E_EXISTS, "rpc:descriptor-name");
    file = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "c.proto");
    ccz_pb_put_str(&b, 2, "p.q");
    named(&b, 6, "M");
    ccz_pb_close(&b, file);
    refused(&b, CCZ_E_EXISTS, "rpc:descriptor-name");
}

/* Messages in messages; the innermost file field is the first level. */
static void put_nested(struct ccz_buf *b, size_t levels)
{
    size_t marks[CCZI_DESC_DEPTH_MAX + 8];
    size_t file = ccz_pb_open(b, 1);
    ccz_pb_put_str(b, 1, "c.proto");
    for (size_t i = 0; i < levels; i++) {
        marks[i] = ccz_pb_open(b, i ? 3 : 4);
        ccz_pb_put_str(b, 1, "D");
    }
    for (size_t i = levels; i-- > 0;)
        ccz_pb_close(b, marks[i]);
    ccz_pb_close(b, file);
}

static void test_limits(void)
{
    struct cczi_desc_pool p;
    char name[CCZI_DESC_NAME_SIZE_MAX + 2];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    put_nested(&b, CCZI_DESC_DEPTH_MAX);
    cczi_desc_init(&p, b.size);
    CHECK(cczi_desc_add(&p, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(CCZI_DESC_LEN(p.symbols, struct cczi_desc_symbol) == CCZI_DESC_DEPTH_MAX);
    struct ccz_err err = {0};
    CHECK(cczi_desc_add(&p, CCZ_SPAN("x", 1), &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "rpc:descriptor-size") == 0);
    cczi_desc_deinit(&p);
    ccz_buf_clear(&b);
    put_nested(&b, CCZI_DESC_DEPTH_MAX + 1);
    refused(&b, CCZ_E_LIMIT, "rpc:descriptor-depth");

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    put_file(&b, name, 2, NAME("p"));
    refused(&b, CCZ_E_LIMIT, "rpc:descriptor-names");
    put_file(&b, "c.proto", 2, NAME(name));
    refused(&b, CCZ_E_LIMIT, "rpc:descriptor-names");
    for (size_t scope = 0; scope < 2; scope++) { /* too long by itself; too long with its package */
        size_t file = ccz_pb_open(&b, 1);
        ccz_pb_put_str(&b, 1, "c.proto");
        if (scope)
            ccz_pb_put_str(&b, 2, "package");
        named(&b, 4, name + scope);
        ccz_pb_close(&b, file);
        refused(&b, CCZ_E_LIMIT, "rpc:descriptor-names");
    }
    cczi_desc_init(&p, 1 << 20);
    for (int i = 0; i < CCZI_DESC_FILES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%d.proto", i);
        put_file(&b, name, 2, NAME("p"));
    }
    CHECK(cczi_desc_add(&p, ccz_buf_span(&b), NULL) == CCZ_OK);
    ccz_buf_clear(&b);
    put_file(&b, "last.proto", 2, NAME("p"));
    CHECK(cczi_desc_add(&p, ccz_buf_span(&b), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "rpc:descriptor-names") == 0);
    cczi_desc_deinit(&p);
}

/* Each allocation fails in turn: all or none is added. */
static void test_nomem(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    put_a(&b);
    put_b(&b);
    ccz_rc rc = CCZ_E_NOMEM;
    long k = 0;
    for (; rc != CCZ_OK; k++) {
        struct cczi_desc_pool p;
        struct ccz_err err = {0};
        cczi_desc_init(&p, 4096);
        nomem_left = k;
        rc = cczi_desc_add(&p, ccz_buf_span(&b), &err);
        nomem_left = -1;
        if (rc == CCZ_OK) {
            expect_a(&p);
            expect_b(&p);
        } else {
            CHECK(rc == CCZ_E_NOMEM && strcmp(err.where, "rpc:memory") == 0);
            expect_nothing(&p);
        }
        cczi_desc_deinit(&p);
    }
    CHECK(k > 5);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rpc.desc_names", test_names},
        {"rpc.desc_standard", test_standard},
        {"rpc.desc_truncated", test_truncated},
        {"rpc.desc_refused", test_refused},
        {"rpc.desc_refused_extensions", test_refused_extensions},
        {"rpc.desc_twice", test_twice},
        {"rpc.desc_limits", test_limits},
        {"rpc.desc_nomem", test_nomem},
    };
    if (!nomem_openssl()) /* nothing here uses it; the header wants to be whole */
        return 1;
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
