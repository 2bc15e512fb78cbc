/* SPDX-License-Identifier: Apache-2.0 */
/* Thrift, schemas, runs and deltas by themselves. */
#include "parquet/write_priv.h"
#include "parquet_test.h"

/* -------------------------------------------------------------------------------------------- Thrift */

static void test_thrift(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100000);
    struct cczi_tw w = {.out = &b};
    cczi_tw_open(&w);
    cczi_tw_i32(&w, 1, -5);
    cczi_tw_i64(&w, 20, INT64_MIN); /* too far for a short head */
    cczi_tw_bool(&w, 21, true);
    cczi_tw_binary(&w, 22, ccz_span_str("text"));
    cczi_tw_list(&w, 23, CCZI_TH_I32, 20);
    for (int32_t i = 0; i < 20; i++)
        cczi_tw_elem_i32(&w, i);
    cczi_tw_struct(&w, 24);
    cczi_tw_i8(&w, 1, -1);
    cczi_tw_i16(&w, 2, 300);
    cczi_tw_close(&w);
    cczi_tw_close(&w);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    struct cczi_th s = {0};
    CHECK(cczi_th_next(&r, &s) && s.id == 1 && cczi_th_i32(&r, &s) == -5);
    CHECK(cczi_th_next(&r, &s) && s.id == 20 && cczi_th_i64(&r, &s) == INT64_MIN);
    CHECK(cczi_th_next(&r, &s) && s.id == 21 && cczi_th_bool(&r, &s));
    CHECK(cczi_th_next(&r, &s) && ccz_span_eq(cczi_th_binary(&r, &s), ccz_span_str("text")));
    CHECK(cczi_th_next(&r, &s) && cczi_th_list(&r, &s, CCZI_TH_I32) == 20);
    for (int32_t i = 0; i < 20; i++)
        CHECK(cczi_th_elem_i32(&r) == i);
    CHECK(cczi_th_next(&r, &s) && s.id == 24 && cczi_th_is_struct(&r, &s));
    cczi_th_skip(&r, &s);
    CHECK(!cczi_th_next(&r, &s) && ccz_rd_done(&r));
    for (size_t size = 0; size < b.size; size++) { /* passed over as a whole, and cut anywhere */
        r = ccz_rd_from(CCZ_SPAN(b.ptr, size));
        CHECK(cczi_th_struct_bytes(&r).size == 0 && r.bad);
    }
    r = ccz_rd_from(ccz_buf_span(&b));
    CHECK(cczi_th_struct_bytes(&r).size == b.size && ccz_rd_done(&r));
}

/* Whether a struct can be passed over. */
static bool passes(const char *text, size_t size)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(text, size));
    cczi_th_struct_bytes(&r);
    return ccz_rd_done(&r);
}
#define PASSES(text) passes(text, sizeof(text) - 1)

static void test_thrift_strict(void)
{
    CHECK(PASSES("\0"));
    CHECK(PASSES("\x15\2\x15\2\0"));                                    /* fields 1 and 2 */
    CHECK(!PASSES("\x1e\2\0"));                                         /* a type that is not */
    CHECK(!PASSES("\x10\0"));                                           /* a stop with a number */
    CHECK(!PASSES("\x15\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0")); /* a number without end */
    CHECK(!PASSES("\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\0"));   /* of 65 bits */
    CHECK(PASSES("\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0"));
    CHECK(!PASSES("\x18\5text\0"));               /* longer than what is there */
    CHECK(!PASSES("\x19\xf5\xff\xff\xff\x0f\0")); /* a list of 2^25 in no bytes */
    CHECK(PASSES("\x19\x25\2\4\0"));
    CHECK(PASSES("\x19\x21\1\2\0"));                          /* booleans */
    CHECK(PASSES("\x1b\1\x85\1k\2\0") && PASSES("\x1b\0\0")); /* maps */
    CHECK(!PASSES("\x1b\xff\xff\xff\x0f\x85\0"));
    CHECK(PASSES("\x1d"
                 "0123456789abcdef\0") &&
          PASSES("\x17"
                 "01234567\0")); /* a UUID, a double */
    char deep[200];
    for (int n = 10; n < 60; n++) { /* structs in structs */
        memset(deep, 0x1c, (size_t)n);
        memset(deep + n, 0, (size_t)n + 1);
        CHECK(passes(deep, 2 * (size_t)n + 1) == (n < CCZI_TH_DEPTH_MAX));
    }
    struct cczi_th twice = {0}; /* field 1, and again */
    struct ccz_rd t = ccz_rd_from(CCZ_SPAN("\x15\2\5\2\2\0", 6));
    CHECK(cczi_th_next(&t, &twice) && cczi_th_i32(&t, &twice) == 1);
    CHECK(!cczi_th_next(&t, &twice) && t.bad);
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN("\x15\xfe\xff\xff\xff\x1f", 6)); /* an i32 of 2^32 - 1 */
    struct cczi_th s = {0};
    CHECK(cczi_th_next(&r, &s) && cczi_th_i32(&r, &s) == 0 && r.bad);
}

/* ------------------------------------------------------------------------------------------- schemas */

struct node {
    const char *name;
    int type, repetition, children, converted; /* -1: not there */
};
enum { REQ, OPT, REP };

static ccz_rc read_schema(struct cczi_pq_schema *s, const struct node *n, size_t len,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 24);
    struct cczi_tw w = {.out = &b};
    for (size_t i = 0; i < len; i++) {
        cczi_tw_open(&w);
        if (n[i].type >= 0)
            cczi_tw_i32(&w, 1, n[i].type);
        if (n[i].repetition >= 0)
            cczi_tw_i32(&w, 3, n[i].repetition);
        cczi_tw_binary(&w, 4, ccz_span_str(n[i].name));
        if (n[i].children >= 0)
            cczi_tw_i32(&w, 5, n[i].children);
        if (n[i].converted >= 0)
            cczi_tw_i32(&w, 6, n[i].converted);
        cczi_tw_close(&w);
    }
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    return cczi_pq_schema_read(s, &r, len, err);
}

static void test_schema(void)
{
    static const struct node n[] = {
        {"root", -1, -1, 8, -1},     {"flat", 1, OPT, -1, -1},   {"bare", 4, REP, -1, -1},
        {"spark", -1, OPT, 1, 3},    {"list", -1, REP, 1, -1},   {"element", 4, OPT, -1, -1},
        {"two", -1, REQ, 1, 3},      {"array", 4, REP, -1, -1},  {"map", -1, OPT, 1, 1},
        {"kv", -1, REP, 2, -1},      {"key", 6, REQ, -1, 0},     {"value", 6, OPT, -1, 0},
        {"group", -1, OPT, 1, -1},   {"in", 2, REQ, -1, -1},     {"lists", -1, OPT, 1, 3},
        {"list", -1, REP, 1, -1},    {"element", -1, OPT, 1, 3}, {"list", -1, REP, 1, -1},
        {"element", 1, OPT, -1, -1}, {"structs", -1, OPT, 1, 3}, {"list", -1, REP, 2, -1},
        {"a", 1, OPT, -1, -1},       {"b", 1, OPT, -1, -1},
    };
    static const struct {
        const char *path;
        enum ccz_pq_shape shape;
        unsigned max_def, max_rep, def_list;
        bool element_optional;
    } want[] = {
        {"flat", CCZ_PQ_FLAT, 1, 0, 0, false},
        {"bare", CCZ_PQ_LIST, 1, 1, 0, false},
        {"spark.list.element", CCZ_PQ_LIST, 3, 1, 1, true},
        {"two.array", CCZ_PQ_LIST, 1, 1, 0, false},
        {"map.kv.key", CCZ_PQ_NESTED, 2, 1, 0, false},
        {"map.kv.value", CCZ_PQ_NESTED, 3, 1, 0, false},
        {"group.in", CCZ_PQ_NESTED, 1, 0, 0, false},
        {"lists.list.element.list.element", CCZ_PQ_NESTED, 5, 2, 0, false},
        {"structs.list.a", CCZ_PQ_NESTED, 3, 1, 0, false},
        {"structs.list.b", CCZ_PQ_NESTED, 3, 1, 0, false},
    };
    struct cczi_pq_schema s;
    CHECK(read_schema(&s, n, sizeof(n) / sizeof(*n), NULL) == CCZ_OK);
    CHECK(s.len == sizeof(want) / sizeof(*want));
    for (size_t i = 0; i < s.len; i++) {
        const struct cczi_pq_leaf *l = &s.leaves[i];
        CHECK(strcmp(l->c.path, want[i].path) == 0 && l->c.shape == want[i].shape);
        CHECK(l->max_def == want[i].max_def && l->max_rep == want[i].max_rep);
        CHECK(l->def_list == want[i].def_list && l->c.element_optional == want[i].element_optional);
        CHECK(strncmp(l->c.name, l->c.path, strlen(l->c.name)) == 0);
    }
    cczi_pq_schema_free(&s);
}

static void test_schema_refused(void)
{
    static const struct node cases[][4] = {
        {{"root", 1, -1, -1, -1}},                        /* a leaf */
        {{"root", -1, -1, 2, -1}, {"a", 1, REQ, -1, -1}}, /* one is missing */
        {{"root", -1, -1, 1, -1}, {"a", 1, REQ, -1, -1}, {"b", 1, REQ, -1, -1}}, /* one too many */
        {{"root", -1, -1, 1, -1}, {"", 1, REQ, -1, -1}},                         /* no name */
        {{"root", -1, -1, 1, -1}, {"\xff", 1, REQ, -1, -1}},                     /* not UTF-8 */
        {{"root", -1, -1, 1, -1}, {"a", 1, -1, -1, -1}},                         /* no repetition */
        {{"root", -1, -1, 1, -1}, {"a", 1, REQ, 3, -1}},   /* a leaf with children */
        {{"root", -1, -1, 1, -1}, {"a", -1, REQ, -1, -1}}, /* neither leaf nor group */
        {{"root", -1, -1, -3, -1}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct cczi_pq_schema s;
        struct ccz_err err;
        size_t len = 0;
        while (len < 4 && cases[i][len].name)
            len++;
        CHECK(
            is_refused(read_schema(&s, cases[i], len, &err), CCZ_E_FORMAT, &err, "parquet:schema"));
        cczi_pq_schema_free(&s);
    }
    struct node *many = calloc(CCZ_PQ_COLUMNS_MAX + 2, sizeof(*many));
    CHECK(many);
    struct cczi_pq_schema s;
    struct ccz_err err;
    for (int deep = 30; deep < 35; deep++) { /* groups in groups */
        for (int i = 0; i <= deep; i++)
            many[i] =
                (struct node){"g", i == deep ? 1 : -1, i == 0 ? -1 : REQ, i == deep ? -1 : 1, -1};
        ccz_rc rc = read_schema(&s, many, (size_t)deep + 1, &err);
        CHECK(deep <= 32 ? rc == CCZ_OK : is_refused(rc, CCZ_E_FORMAT, &err, "parquet:schema"));
        cczi_pq_schema_free(&s);
    }
    for (int more = 0; more < 2; more++) {
        for (int i = 0; i <= CCZ_PQ_COLUMNS_MAX + more; i++)
            many[i] = (struct node){"c", i == 0 ? -1 : 1, i == 0 ? -1 : REQ,
                                    i == 0 ? CCZ_PQ_COLUMNS_MAX + more : -1, -1};
        ccz_rc rc = read_schema(&s, many, (size_t)(CCZ_PQ_COLUMNS_MAX + 1 + more), &err);
        CHECK(more == 0 ? rc == CCZ_OK : is_refused(rc, CCZ_E_LIMIT, &err, "parquet:columns"));
        cczi_pq_schema_free(&s);
    }
    free(many);
}

/* ------------------------------------------------------------------------------------ runs and deltas */

static void test_hybrid(void)
{
    uint64_t seed = 1;
    for (unsigned width = 0; width <= 32; width++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            uint32_t v[2000], got[2000];
            uint32_t mask = width < 32 ? (1U << width) - 1 : UINT32_MAX;
            size_t len = next_random(&seed) % 2000;
            for (size_t i = 0; i < len; i++)
                v[i] = (kind == 0   ? next_random(&seed) * 2 + 1
                        : kind == 1 ? (uint32_t)(i / 50 * 7)
                        : kind == 2
                            ? (next_random(&seed) % 10 ? i > 0 ? v[i - 1] : 0 : next_random(&seed))
                            : UINT32_MAX) &
                       mask;
            CCZ_AUTO_BUF b;
            ccz_buf_init(&b, 100000);
            cczi_hybrid_put(&b, v, len, width);
            for (size_t step = 1; step < 300; step += 149) { /* in parts of any size */
                struct cczi_hybrid h;
                cczi_hybrid_init(&h, ccz_buf_span(&b), width);
                for (size_t at = 0; at < len; at += step) {
                    size_t n = len - at < step ? len - at : step;
                    CHECK(cczi_hybrid_get(got + at, &h, n));
                }
                CHECK(memcmp(v, got, len * sizeof(*v)) == 0);
            }
            for (size_t cut = 0; cut < b.size && len > 0;
                 cut += 1 + cut / 10) { /* cut off: no crash, not all of them */
                uint8_t *copy = malloc(cut + 1);
                CHECK(copy);
                memcpy(copy, b.ptr, cut);
                struct cczi_hybrid h;
                cczi_hybrid_init(&h, CCZ_SPAN(copy, cut), width);
                CHECK(width > 0 ? !cczi_hybrid_get(got, &h, len) || cut == b.size - 1 ||
                                      memcmp(v, got, len * sizeof(*v)) == 0
                                : true);
                free(copy);
            }
        }
    }
    struct cczi_hybrid h;
    uint32_t one;
    cczi_hybrid_init(&h, CCZ_SPAN("\2\x08", 2), 3); /* a run of 8, in 3 bits */
    CHECK(!cczi_hybrid_get(&one, &h, 1) && h.bad);
    cczi_hybrid_init(&h, CCZ_SPAN("\0\0\0\0\0\0", 6), 3); /* runs of nothing end */
    CHECK(!cczi_hybrid_get(&one, &h, 1) && h.bad);
    cczi_hybrid_init(&h, CCZ_SPAN("\2\1", 2), 33);
    CHECK(!cczi_hybrid_get(&one, &h, 1));
}

static void test_delta(void)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MAX, 0, -1, 1, INT32_MAX, INT32_MIN};
    uint64_t seed = 5;
    int64_t v[1000], got[1000];
    for (unsigned kind = 0; kind < 5; kind++) {
        for (size_t len = 0; len < 1000; len += len < 140 ? 1 : 123) {
            for (size_t i = 0; i < len; i++)
                v[i] = kind == 0 ? (int64_t)i * 3
                       : kind == 1
                           ? (int64_t)((uint64_t)next_random(&seed) << 33 ^ next_random(&seed) << 1)
                       : kind == 2 ? edges[next_random(&seed) % 7]
                       : kind == 3 ? -7
                                   : (int32_t)next_random(&seed) * (i & 1 ? 1 : -1);
            CCZ_AUTO_BUF b;
            ccz_buf_init(&b, 100000);
            cczi_delta_put(&b, v, len, kind == 4);
            uint8_t *copy = malloc(b.size + 1);
            CHECK(copy);
            memcpy(copy, b.ptr, b.size);
            struct cczi_delta d;
            cczi_delta_init(&d, CCZ_SPAN(copy, b.size));
            CHECK(!d.bad && d.len == len);
            for (size_t at = 0; at < len; at += 37)
                CHECK(cczi_delta_get(got + at, &d, len - at < 37 ? len - at : 37));
            CHECK(!cczi_delta_get(got, &d, 1)); /* there are no more */
            for (size_t i = 0; i < len; i++)
                CHECK(kind == 4 ? (int32_t)got[i] == (int32_t)v[i] : got[i] == v[i]);
            CHECK(d.r.left == 0);
            for (size_t cut = 0; cut < b.size; cut += 1 + cut / 8) {
                cczi_delta_init(&d, CCZ_SPAN(copy, cut));
                CHECK(d.bad || !cczi_delta_get(got, &d, (size_t)d.len));
            }
            free(copy);
        }
    }
}

/* A dictionary's places depend on a key of the writer's: numbers that all met in one place of a table without one. */
static uint64_t meets(uint64_t i)
{
    uint64_t h = i << 20, inverse = 1, m = UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 29 ^ h >> 58;
    h ^= h >> 32;
    for (int k = 0; k < 6; k++)
        inverse *= 2 - m * inverse;
    return (h * inverse) ^ (8 * UINT64_C(0x9e3779b97f4a7c15));
}

static size_t longest_run(const struct cczi_pq_writer_dict *d)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < d->cap; i++) {
        run = d->table[i] ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void test_dictionary(void)
{
    enum { LEN = 3000 };
    struct cczi_pq_writer_dict d[2] = {{.key = {1, 2}}, {.key = {1, 3}}};
    for (int n = 0; n < 2; n++) {
        for (uint64_t i = 0; i < 2 * LEN; i++) { /* and each is found again */
            uint64_t v = meets(i % LEN + 1);
            CHECK(cczi_pq_dict_put(&d[n], (const uint8_t *)&v, sizeof(v)) == i % LEN);
        }
        CHECK(d[n].len == LEN && longest_run(&d[n]) < 200);
    }
    CHECK(d[0].cap == d[1].cap && memcmp(d[0].table, d[1].table, d[0].cap * 4) != 0);
    for (int n = 0; n < 2; n++)
        cczi_pq_dict_drop(&d[n]);
    /* each writer, and each of its columns, has one of its own; it stays from row group to row group */
    struct ccz_pq_column columns[] = {{.name = "a", .type = CCZ_PQ_INT64},
                                      {.name = "b", .type = CCZ_PQ_INT64}};
    struct ccz_pq_write_cfg cfg = {.columns = columns, .columns_len = 2};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    struct ccz_pq_sink io = ccz_pq_sink_buf(&out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    CCZ_AUTO(ccz_pq_writer) x = NULL;
    CHECK(ccz_pq_writer_new(&w, &io, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_pq_writer_new(&x, &io, &cfg, NULL) == CCZ_OK);
    const uint64_t *keys[] = {w->cols[0].dict.key, w->cols[1].dict.key, x->cols[0].dict.key};
    static const uint64_t none[2];
    for (int i = 0; i < 3; i++) {
        CHECK(memcmp(keys[i], none, sizeof(none)) != 0);
        CHECK(memcmp(keys[i], keys[(i + 1) % 3], sizeof(none)) != 0);
    }
}

static const struct ccz_test tests[] = {
    {"parquet.thrift", test_thrift},
    {"parquet.thrift_strict", test_thrift_strict},
    {"parquet.schema", test_schema},
    {"parquet.schema_refused", test_schema_refused},
    {"parquet.hybrid", test_hybrid},
    {"parquet.delta", test_delta},
    {"parquet.dictionary_keyed", test_dictionary},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
