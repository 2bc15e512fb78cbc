/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: what is written is read, and nothing else is. */
#include "ccz_test.h"
#include "refused.h"

#include <cczoo/crypto.h>
#include <cczoo/recsys_order.h>

#include <math.h>
#include <stdlib.h>

static struct ccz_recsys_order sample(void)
{
    struct ccz_recsys_order o = {.name = "films",
                                 .trainer = "cczoo",
                                 .model_key = "key/films",
                                 .data = {.key = "key/ratings",
                                          .name = "films/ratings \"1\"",
                                          .format = "parquet",
                                          .titles_format = "movielens-csv-titles"},
                                 .filter = {.drop_below = true,
                                            .value_min = 3.5f,
                                            .binarize = true,
                                            .per_user = 2,
                                            .per_item = 3,
                                            .twice = CCZ_RECSYS_TWICE_LAST},
                                 .als = {.kind = CCZ_RECSYS_IMPLICIT_HKV,
                                         .factors = 64,
                                         .iterations = 14,
                                         .reg = 0.0139f,
                                         .alpha = 0.116f,
                                         .seed = 9007199254740993},
                                 .judge = {.split = CCZ_RECSYS_SPLIT_LAST, .expect = 1.5}};
    memset(o.data.sha256, 0xd1, 32);
    memset(o.data.titles_sha256, 0xd2, 32);
    memset(o.parent_sha256, 0xd3, 32);
    return o;
}

static struct ccz_recsys_order spark_sample(void)
{
    struct ccz_recsys_order o = sample();
    (void)snprintf(o.trainer, sizeof(o.trainer), "spark");
    (void)snprintf(o.spark.ratings_key, sizeof(o.spark.ratings_key), "key/spark/ratings");
    (void)snprintf(o.spark.factors_key, sizeof(o.spark.factors_key), "key/spark/factors");
    (void)snprintf(o.spark.export_name, sizeof(o.spark.export_name), "films/part");
    return o;
}

static void put(struct ccz_buf *out, const struct ccz_recsys_order *o)
{
    ccz_buf_init(out, 1 << 16);
    ccz_recsys_order_put(out, o);
    CHECK(!out->bad);
}

/* With a NUL behind it. */
static void put_text(struct ccz_buf *out, const struct ccz_recsys_order *o)
{
    put(out, o);
    ccz_buf_u8(out, 0);
    out->size--;
}

static bool same(const struct ccz_recsys_order *a, const struct ccz_recsys_order *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->trainer, b->trainer) == 0 &&
           strcmp(a->model_key, b->model_key) == 0 &&
           memcmp(a->parent_sha256, b->parent_sha256, 32) == 0 &&
           strcmp(a->spark.ratings_key, b->spark.ratings_key) == 0 &&
           strcmp(a->spark.factors_key, b->spark.factors_key) == 0 &&
           strcmp(a->spark.export_name, b->spark.export_name) == 0 &&
           strcmp(a->data.key, b->data.key) == 0 && strcmp(a->data.name, b->data.name) == 0 &&
           strcmp(a->data.format, b->data.format) == 0 &&
           memcmp(a->data.sha256, b->data.sha256, 32) == 0 &&
           strcmp(a->data.titles_format, b->data.titles_format) == 0 &&
           memcmp(a->data.titles_sha256, b->data.titles_sha256, 32) == 0 &&
           a->filter.drop_below == b->filter.drop_below &&
           a->filter.value_min == b->filter.value_min && a->filter.binarize == b->filter.binarize &&
           a->filter.per_user == b->filter.per_user && a->filter.per_item == b->filter.per_item &&
           a->filter.twice == b->filter.twice && a->als.kind == b->als.kind &&
           a->als.solver == b->als.solver && a->als.cg_steps == b->als.cg_steps &&
           a->als.factors == b->als.factors && a->als.iterations == b->als.iterations &&
           a->als.reg == b->als.reg && a->als.alpha == b->als.alpha &&
           a->als.unobserved == b->als.unobserved && a->als.nu == b->als.nu &&
           a->als.seed == b->als.seed && a->als.biases == b->als.biases &&
           a->als.nonneg == b->als.nonneg && a->judge.none == b->judge.none &&
           a->judge.split == b->judge.split && a->judge.share == b->judge.share &&
           a->judge.expect == b->judge.expect;
}

static void test_round_trip(void)
{
    struct ccz_recsys_order o[4];
    for (int i = 0; i < 4; i++)
        o[i] = sample();
    o[1] = spark_sample();
    o[1].als = (struct ccz_recsys_als_cfg){.kind = CCZ_RECSYS_EXPLICIT,
                                           .biases = true,
                                           .factors = 1,
                                           .iterations = 1,
                                           .cg_steps = 3,
                                           .solver = CCZ_RECSYS_ALS_CG};
    o[1].filter = (struct ccz_recsys_filter){.twice = CCZ_RECSYS_TWICE_SUM};
    o[1].judge.split = CCZ_RECSYS_SPLIT_RANDOM;
    o[1].judge.share = 0.1;
    o[2].als = (struct ccz_recsys_als_cfg){.kind = CCZ_RECSYS_IMPLICIT_IALS,
                                           .nonneg = true,
                                           .factors = 3,
                                           .iterations = 2,
                                           .unobserved = 0.1f,
                                           .nu = 1};
    o[2].data.titles_format[0] = 0; /* no titles, no parent, not judged */
    memset(o[2].data.titles_sha256, 0, 32);
    memset(o[2].parent_sha256, 0, 32);
    o[2].judge.none = true;
    o[2].judge.expect = 0;
    (void)snprintf(o[3].data.format, sizeof(o[3].data.format), "csv");
    o[3].judge.split = CCZ_RECSYS_SPLIT_LEAVE;
    for (int i = 0; i < 4; i++) {
        CCZ_AUTO_BUF text;
        struct ccz_recsys_order again;
        struct ccz_err err = {0};
        uint8_t sha256[32];
        CHECK(ccz_recsys_order_check(&o[i], &err) == CCZ_OK);
        put(&text, &o[i]);
        CHECK(ccz_recsys_order_parse(&again, ccz_buf_span(&text), &err) == CCZ_OK);
        CHECK(same(&o[i], &again));
        CHECK(ccz_sha256(sha256, ccz_buf_span(&text)) == CCZ_OK);
        CHECK(memcmp(sha256, again.sha256, 32) == 0);
        ccz_buf_put_str(&text, " "); /* another document, another digest */
        CHECK(ccz_recsys_order_parse(&again, ccz_buf_span(&text), &err) == CCZ_OK);
        CHECK(same(&o[i], &again) && memcmp(sha256, again.sha256, 32) != 0);
    }
}

/* The first @p from becomes @p to. */
static void replaced(struct ccz_buf *out, const struct ccz_buf *text, const char *from,
                     const char *to)
{
    const char *at = strstr((const char *)text->ptr, from);
    CHECK(at);
    const size_t before = (size_t)(at - (const char *)text->ptr);
    ccz_buf_init(out, 1 << 17);
    ccz_buf_put(out, text->ptr, before);
    ccz_buf_put_str(out, to);
    ccz_buf_put(out, text->ptr + before + strlen(from), text->size - before - strlen(from));
    CHECK(!out->bad);
}

static void refuses(const struct ccz_buf *text, const char *from, const char *to, ccz_rc rc,
                    const char *where, const char *says)
{
    CCZ_AUTO_BUF changed;
    struct ccz_recsys_order o;
    struct ccz_err err = {0};
    replaced(&changed, text, from, to);
    const ccz_rc got = ccz_recsys_order_parse(&o, ccz_buf_span(&changed), &err);
    if (!is_refused(got, rc, &err, where) || !strstr(err.msg, says)) {
        fprintf(stderr, "%s -> %s: %s\n", from, to, err.msg);
        CHECK(false);
    }
}

/* @param member  which it is, with what follows */
static void not_written(const struct ccz_recsys_order *o, const char *member)
{
    struct ccz_err err = {0};
    CHECK(is_refused(ccz_recsys_order_check(o, &err), CCZ_E_ARG, &err, "recsys:order-value"));
    CHECK(strncmp(err.got, member, strlen(member)) == 0);
}

static void test_refuses(void)
{
    static const struct {
        const char *from, *to, *where, *says;
        ccz_rc rc;
    } bad[] = {
        {"{\"version\"", "[\"version\"", "recsys:order-format", "JSON", CCZ_E_FORMAT},
        {"\"version\": 1", "\"version\": 2", "recsys:order-format", "version 2", CCZ_E_UNSUPPORTED},
        {"\"version\": 1", "\"version\": \"1\"", "recsys:order-format", "version", CCZ_E_FORMAT},
        {"\"seed\":", "\"seed\": 1, \"seed\":", "recsys:order-format", "twice", CCZ_E_FORMAT},
        {"\"name\": \"films\"", "\"name\": \"films\", \"more\": 1", "recsys:order-format",
         "member more is not", CCZ_E_FORMAT},
        {"\"share\":", "\"gain\": 1, \"share\":", "recsys:order-format", "member judge.gain is not",
         CCZ_E_FORMAT},
        {"\"cg\":", "\"threads\": 1, \"cg\":", "recsys:order-format", "member als.threads is not",
         CCZ_E_FORMAT},
        {"\"per_user\":", "\"once\": true, \"per_user\":", "recsys:order-format",
         "member filter.once", CCZ_E_FORMAT},
        {"\"format\":", "\"path\": \"x\", \"format\":", "recsys:order-format", "member data.path",
         CCZ_E_FORMAT},
        {"\"data\": {", "\"data\": [1], \"als\": {", "recsys:order-format", "", CCZ_E_FORMAT},
        {"d1d1", "d1d", "recsys:order-format", "member data.sha256", CCZ_E_FORMAT},
        {"d2d2", "", "recsys:order-format", "member data.titles_sha256", CCZ_E_FORMAT},
        {"\"films\"", "\"../films\"", "recsys:order-value", "name: ../films", CCZ_E_FORMAT},
        {"\"cczoo\"", "\"somebody\"", "recsys:order-format", "trainer", CCZ_E_FORMAT},
        {"\"ratings\"", "\"\"", "recsys:order-value", "data.key: key/", CCZ_E_FORMAT},
        {"\"model_key\": \"films\"", "\"model_key\": \"\"", "recsys:order-value", "model_key: key/",
         CCZ_E_FORMAT},
        {"\"parquet\"", "\"excel\"", "recsys:order-value", "data.format: excel", CCZ_E_FORMAT},
        {"\"movielens-csv-titles\"", "\"none\"", "recsys:order-value", "data.titles_format: none",
         CCZ_E_FORMAT},
        {"\"movielens-csv-titles\"", "\"\"", "recsys:order-value", "data.titles_format: none",
         CCZ_E_FORMAT},
        {"\"binarize\": true", "\"binarize\": 1", "recsys:order-format", "binarize", CCZ_E_FORMAT},
        {"\"value_min\": 3.5", "\"value_min\": 1e99", "recsys:order-format", "value_min",
         CCZ_E_FORMAT},
        {"\"per_user\": 2", "\"per_user\": -2", "recsys:order-format", "per_user", CCZ_E_FORMAT},
        {"\"twice\": \"last\"", "\"twice\": \"first\"", "recsys:order-format", "twice",
         CCZ_E_FORMAT},
        {"implicit-hkv", "implicit", "recsys:order-format", "kind", CCZ_E_FORMAT},
        {"implicit-hkv", "explicit", "recsys:order-value", "als.alpha: 0.116", CCZ_E_FORMAT},
        {"\"factors\": 64", "\"factors\": 0", "recsys:order-value",
         "als.factors: 0, expected 1 to 1024", CCZ_E_FORMAT},
        {"\"factors\": 64", "\"factors\": 64.5", "recsys:order-format", "factors", CCZ_E_FORMAT},
        {"\"iterations\": 14", "\"iterations\": 0", "recsys:order-value",
         "als.iterations: 0, expected 1 to", CCZ_E_FORMAT},
        {"\"iterations\": 14", "\"iterations\": 10001", "recsys:order-format",
         "member als.iterations", CCZ_E_FORMAT},
        {"\"alpha\": 0.116", "\"alpha\": 0", "recsys:order-value", "als.alpha: 0, expected more",
         CCZ_E_FORMAT},
        {"\"reg\": 0.0139", "\"reg\": -1", "recsys:order-value", "als.reg: -1, expected 0 or more",
         CCZ_E_FORMAT},
        {"\"nu\": 0", "\"nu\": 1", "recsys:order-value", "als.nu: 1, expected 0", CCZ_E_FORMAT},
        {"\"unobserved\": 0", "\"unobserved\": 1", "recsys:order-value",
         "als.unobserved: 1, expected 0", CCZ_E_FORMAT},
        {"\"biases\": false", "\"biases\": true", "recsys:order-value", "als.biases: implicit",
         CCZ_E_FORMAT},
        {"\"split\": \"last\"", "\"split\": \"first\"", "recsys:order-format", "split",
         CCZ_E_FORMAT},
        {"\"split\": \"last\"", "\"split\": \"time\"", "recsys:order-value",
         "judge.share: 0, expected", CCZ_E_FORMAT},
        {"\"split\": \"last\"", "\"split\": \"none\"", "recsys:order-value",
         "judge.expect: 1.5, expected", CCZ_E_FORMAT},
        {"\"share\": 0.0", "\"share\": 0.2", "recsys:order-value", "judge.share: 0.2, expected",
         CCZ_E_FORMAT},
        {"\"share\": 0.0", "\"share\": 1", "recsys:order-format", "share", CCZ_E_FORMAT},
        {"\"expect\": 1.5", "\"expect\": -1", "recsys:order-format", "expect", CCZ_E_FORMAT},
        {"\"expect\": 1.5", "\"expect\": 1001", "recsys:order-format", "expect", CCZ_E_FORMAT},
    };
    const struct ccz_recsys_order o = sample();
    CCZ_AUTO_BUF text;
    put_text(&text, &o);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(&text, bad[i].from, bad[i].to, bad[i].rc, bad[i].where, bad[i].says);
}

/* Spark's keys stand in its order, none of them is the owner's, and what comes back is judged. */
static void test_spark(void)
{
    static const struct {
        const char *from, *to, *where, *says;
    } bad[] = {
        {"\"spark\"", "\"cczoo\"", "recsys:order-format",
         "member spark is not one of an order for cczoo"},
        {"\"spark\": {", "\"sparks\": {", "recsys:order-format",
         "member spark.ratings_key is missing"},
        {"\"ratings_key\"", "\"rating_key\"", "recsys:order-format", "member spark.ratings_key"},
        {"\"factors_key\"", "\"factor_key\"", "recsys:order-format", "member spark.factors_key"},
        {"\"export_name\"", "\"export\"", "recsys:order-format", "member spark.export_name"},
        {"\"export_name\"", "\"x\": 1, \"export_name\"", "recsys:order-format",
         "member spark.x is not"},
        {"\"spark/ratings\"", "\"\"", "recsys:order-value",
         "spark.ratings_key: key/, expected key/NAME"},
        {"\"spark/factors\"", "\"\"", "recsys:order-value",
         "spark.factors_key: key/, expected key/NAME"},
        {"\"spark/ratings\"", "\"ratings\"", "recsys:order-value",
         "spark.ratings_key: key/ratings, expected"},
        {"\"spark/ratings\"", "\"films\"", "recsys:order-value",
         "spark.ratings_key: key/films, expected"},
        {"\"spark/factors\"", "\"films\"", "recsys:order-value",
         "spark.factors_key: key/films, expected"},
        {"\"films/part\"", "\"\"", "recsys:order-value", "spark.export_name: none, expected"},
        {"\"expect\": 1.5", "\"expect\": 0", "recsys:order-value",
         "judge.expect: 0, expected more than 0"},
        {"\"split\": \"last\", \"share\": 0.0, \"expect\": 1.5",
         "\"split\": \"none\", \"share\": 0, \"expect\": 0", "recsys:order-value",
         "judge.expect: no judge, expected"},
    };
    struct ccz_recsys_order o = spark_sample();
    CCZ_AUTO_BUF text;
    put_text(&text, &o);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(&text, bad[i].from, bad[i].to, CCZ_E_FORMAT, bad[i].where, bad[i].says);
    (void)snprintf(o.trainer, sizeof(o.trainer), "cczoo");
    not_written(&o, "spark: ");
}

/* Each member in turn under another name: missing, and said so. */
static void test_members(void)
{
    static const char *const names[] = {
        "version",       "trainer", "data",          "key",           "name",
        "format",        "sha256",  "titles_format", "titles_sha256", "model_key",
        "parent_sha256", "filter",  "value_min",     "binarize",      "per_user",
        "per_item",      "twice",   "als",           "kind",          "factors",
        "iterations",    "reg",     "alpha",         "unobserved",    "nu",
        "seed",          "cg",      "biases",        "nonnegative",   "judge",
        "split",         "share",   "expect"};
    const struct ccz_recsys_order o = sample();
    CCZ_AUTO_BUF text;
    put_text(&text, &o);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char from[40], to[40];
        (void)snprintf(from, sizeof(from), "\"%s\":", names[i]);
        (void)snprintf(to, sizeof(to), "\"%s2\":", names[i]);
        refuses(&text, from, to, CCZ_E_FORMAT, "recsys:order-format", "member ");
    }
}

/* What a program may not write. */
static void test_values(void)
{
    struct ccz_recsys_order o = sample();
    o.filter.ratings_max = 7;
    not_written(&o, "filter: ");
    o = sample();
    o.filter.once = true;
    not_written(&o, "filter: ");
    o = sample();
    o.filter.drop_below = false; /* with a value */
    not_written(&o, "filter.value_min: ");
    o = sample();
    (void)snprintf(o.data.key, sizeof(o.data.key), "./ratings.key");
    not_written(&o, "data.key: ");
    o = sample();
    memset(o.data.sha256, 0, 32);
    not_written(&o, "data.sha256: ");
    o = sample();
    o.data.name[0] = 0;
    not_written(&o, "data.name: ");
    o = sample();
    o.als.cg_steps = 3; /* of the exact solver */
    not_written(&o, "als.cg: ");
    o = sample();
    o.als.deviation = 0.5f;
    not_written(&o, "als.deviation: ");
    o = sample();
    o.als.seed = (uint64_t)INT64_MAX + 1;
    not_written(&o, "als.seed: ");
    o = sample();
    o.judge.expect = NAN;
    not_written(&o, "judge.expect: ");
}

static void test_cuts(void)
{
    const struct ccz_recsys_order o = sample();
    struct ccz_recsys_order got;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF text;
    put(&text, &o);
    const size_t end = text.size - 1; /* of the last brace */
    for (size_t size = 0; size <= end; size++)
        CHECK((ccz_recsys_order_parse(&got, CCZ_SPAN(text.ptr, size), &err) == CCZ_OK) ==
              (size == end));
    CCZ_AUTO_BUF large;
    ccz_buf_init(&large, 1 << 20);
    ccz_buf_put_span(&large, ccz_buf_span(&text));
    while (large.size <= CCZ_RECSYS_ORDER_SIZE_MAX)
        ccz_buf_put_str(&large, " ");
    CHECK(is_refused(ccz_recsys_order_parse(&got, ccz_buf_span(&large), &err), CCZ_E_LIMIT, &err,
                     "recsys:order-format"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"order.round_trip", test_round_trip}, {"order.refuses", test_refuses},
        {"order.members", test_members},       {"order.spark", test_spark},
        {"order.values", test_values},         {"order.cuts", test_cuts},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
