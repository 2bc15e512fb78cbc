/* SPDX-License-Identifier: Apache-2.0 */
/* The order: what an owner of ratings has trained. Checked, written, and read with no member that is not known. */
#define _DEFAULT_SOURCE
#include "als_priv.h"
#include "bundle_priv.h"
#include "members.h"

#include <cczoo/crypto.h>
#include <cczoo/recsys_order.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const cczi_als_kinds[CCZI_ALS_KINDS] = {[CCZ_RECSYS_IMPLICIT_HKV] = "implicit-hkv",
                                                    [CCZ_RECSYS_IMPLICIT_IALS] = "implicit-ials",
                                                    [CCZ_RECSYS_EXPLICIT] = "explicit"};
static const char *const splits[] = {[CCZ_RECSYS_SPLIT_TIME] = "time",
                                     [CCZ_RECSYS_SPLIT_LAST] = "last",
                                     [CCZ_RECSYS_SPLIT_LEAVE] = "leave",
                                     [CCZ_RECSYS_SPLIT_RANDOM] = "random",
                                     "none"};
static const char *const rules[] = {[CCZ_RECSYS_TWICE_REFUSE] = "refuse",
                                    [CCZ_RECSYS_TWICE_LAST] = "last",
                                    [CCZ_RECSYS_TWICE_SUM] = "sum"};
static const char *const trainers[] = {"cczoo", "spark"};
enum { CCZOO, SPARK };
_Static_assert(CCZ_RECSYS_FACTORS_MAX == 1024 && CCZ_RECSYS_ITERATIONS_MAX == 10000, "texts below");
enum { NONE = 4, SPLITS = 5, RULES = 3, TRAINERS = 2, ORDER_VERSION = 1 };

const char *ccz_recsys_kind_name(enum ccz_recsys_als_kind kind)
{
    return (unsigned)kind < CCZI_ALS_KINDS ? cczi_als_kinds[kind] : NULL;
}

const char *ccz_recsys_split_name(enum ccz_recsys_split_kind kind)
{
    return (unsigned)kind < NONE ? splits[kind] : NULL;
}

const char *ccz_recsys_twice_name(enum ccz_recsys_twice rule)
{
    return (unsigned)rule < RULES ? rules[rule] : NULL;
}

/* ------------------------------------------------------------------------------------ checking */

/* @p member  with its object, as the document has it */
static ccz_rc refuse(struct ccz_err *err, const char *member, const char *got, const char *expected)
{
    char text[2 * CCZ_ERR_VALUE_SIZE]; /* an error keeps as much of it as it has room for */
    (void)snprintf(text, sizeof(text), "%.64s: %.150s", member, got);
    return ccz_refuse(err, CCZ_E_ARG, "recsys:order-value", text, expected);
}

static ccz_rc refuse_real(struct ccz_err *err, const char *member, double got, const char *expected)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%g", got);
    return refuse(err, member, text, expected);
}

static bool none(const uint8_t sha256[32])
{
    static const uint8_t zeros[32];
    return memcmp(sha256, zeros, 32) == 0;
}

/* "key/NAME"; the KMS is stricter about NAME, and says so itself. */
static ccz_rc check_key(const char *member, const char *key, struct ccz_err *err)
{
    return strncmp(key, "key/", 4) == 0 && key[4]
               ? CCZ_OK
               : refuse(err, member, *key ? key : "a key of no KMS", "key/NAME of the KMS");
}

static ccz_rc check_data(const struct ccz_recsys_order *o, struct ccz_err *err)
{
    struct ccz_recsys_format format;
    const bool titles = o->data.titles_format[0] != 0;
    ccz_rc rc = check_key("data.key", o->data.key, err);
    if (rc == CCZ_OK)
        rc = check_key("model_key", o->model_key, err);
    if (rc != CCZ_OK)
        return rc;
    if (!o->data.name[0])
        return refuse(err, "data.name", "none", "a name of 1 byte or more");
    if (strcmp(o->data.format, "parquet") != 0 && !ccz_recsys_format_from(&format, o->data.format))
        return refuse(err, "data.format", o->data.format, "a format of ratings");
    if (titles && !ccz_recsys_format_from(&format, o->data.titles_format))
        return refuse(err, "data.titles_format", o->data.titles_format, "a format of titles");
    if (none(o->data.sha256))
        return refuse(err, "data.sha256", "no digest", "that of the ratings");
    if (titles == none(o->data.titles_sha256))
        return refuse(err, titles ? "data.titles_sha256" : "data.titles_format", "none",
                      "digest and format of titles, or neither");
    return CCZ_OK;
}

/* Whoever may open what a cluster gets or makes may not open the owner's data and the model by that. */
static ccz_rc check_spark(const struct ccz_recsys_order *o, struct ccz_err *err)
{
    const struct {
        const char *member, *key;
    } keys[] = {{"spark.ratings_key", o->spark.ratings_key},
                {"spark.factors_key", o->spark.factors_key}};
    if (strcmp(o->trainer, trainers[SPARK]) != 0)
        return o->spark.ratings_key[0] || o->spark.factors_key[0] || o->spark.export_name[0]
                   ? refuse(err, "spark", "keys", "none: the trainer is another one")
                   : CCZ_OK;
    for (int i = 0; i < 2; i++) {
        const ccz_rc rc = check_key(keys[i].member, keys[i].key, err);
        if (rc != CCZ_OK)
            return rc;
        if (strcmp(keys[i].key, o->data.key) == 0 || strcmp(keys[i].key, o->model_key) == 0)
            return refuse(err, keys[i].member, keys[i].key, "a key that nothing else is under");
    }
    if (!o->spark.export_name[0])
        return refuse(err, "spark.export_name", "none", "a name of 1 byte or more");
    if (o->judge.none ||
        !(o->judge.expect > 0)) /* what comes back is judged, or anything may come back */
        return refuse(err, "judge.expect", o->judge.none ? "no judge" : "0",
                      "more than 0: nobody else says how good Spark's factors are");
    return CCZ_OK;
}

/* The place of a parameter in an order: "recsys:factors" is als.factors. */
static ccz_rc refuse_als(struct ccz_err *err, ccz_rc rc, const struct ccz_err *why)
{
    static const struct {
        const char *where, *member;
    } other[] = {{"recsys:cg-steps", "als.cg"},
                 {"recsys:solver", "als.cg"},
                 {"recsys:nonneg-biases", "als.nonnegative"},
                 {"recsys:nonneg-solver", "als.nonnegative"}};
    char text[CCZ_ERR_VALUE_SIZE], member[CCZ_ERR_VALUE_SIZE];
    const char *colon = strchr(why->where, ':');
    (void)snprintf(member, sizeof(member), "als.%s", colon ? colon + 1 : why->where);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        if (strcmp(why->where, other[i].where) == 0)
            (void)snprintf(member, sizeof(member), "%s", other[i].member);
    const int n = snprintf(text, sizeof(text), "%s: %s", member, why->got[0] ? why->got : why->msg);
    return n < 0 ? rc : ccz_refuse(err, rc, "recsys:order-value", text, why->expected);
}

static ccz_rc check_als(const struct ccz_recsys_als_cfg *a, struct ccz_err *err)
{
    struct ccz_err why = {0};
    if (a->factors == 0 || a->factors > CCZ_RECSYS_FACTORS_MAX)
        return refuse_real(err, "als.factors", a->factors, "1 to 1024");
    ccz_rc rc = cczi_als_check_cfg(a, &why);
    if (rc != CCZ_OK)
        return refuse_als(err, rc, &why);
    if (a->iterations == 0 || a->iterations > CCZ_RECSYS_ITERATIONS_MAX)
        return refuse_real(err, "als.iterations", a->iterations, "1 to 10000");
    if (a->seed > INT64_MAX)
        return refuse_real(err, "als.seed", (double)a->seed, "below 2^63");
    if ((a->solver == CCZ_RECSYS_ALS_CG) != (a->cg_steps > 0))
        return refuse_real(err, "als.cg", a->cg_steps, "0 for the exact solver, or steps");
    if (a->kind != CCZ_RECSYS_IMPLICIT_HKV && a->alpha != 0)
        return refuse_real(err, "als.alpha", (double)a->alpha, "0 for this kind of model");
    if (a->kind != CCZ_RECSYS_IMPLICIT_IALS && a->unobserved != 0)
        return refuse_real(err, "als.unobserved", (double)a->unobserved,
                           "0 for this kind of model");
    if (a->kind != CCZ_RECSYS_IMPLICIT_IALS && a->nu != 0)
        return refuse_real(err, "als.nu", (double)a->nu, "0 for this kind of model");
    return a->deviation == 0 ? CCZ_OK
                             : refuse_real(err, "als.deviation", (double)a->deviation, "0");
}

static ccz_rc check_judge(const struct ccz_recsys_order *o, struct ccz_err *err)
{
    const bool share = !o->judge.none && (o->judge.split == CCZ_RECSYS_SPLIT_TIME ||
                                          o->judge.split == CCZ_RECSYS_SPLIT_RANDOM);
    if (!o->judge.none && !ccz_recsys_split_name(o->judge.split))
        return refuse(err, "judge.split", "no rule", "a rule of splitting");
    if (share ? !(o->judge.share >= 0.001 && o->judge.share <= 0.999) : o->judge.share != 0)
        return refuse_real(err, "judge.share", o->judge.share,
                           "0.001 to 0.999 for time and random, 0 for others");
    if (!(o->judge.expect >= 0 && o->judge.expect <= CCZ_RECSYS_EXPECT_MAX))
        return refuse_real(err, "judge.expect", o->judge.expect, "0 to 1000");
    if (o->judge.none && o->judge.expect != 0)
        return refuse_real(err, "judge.expect", o->judge.expect, "0, or a split to judge by");
    return CCZ_OK;
}

static ccz_rc check_filter(const struct ccz_recsys_filter *f, struct ccz_err *err)
{
    if (!ccz_recsys_twice_name(f->twice))
        return refuse(err, "filter.twice", "no rule", "a rule for what is there twice");
    if (f->ratings_max || f->once)
        return refuse(err, "filter", "ratings_max or once", "what an order can say");
    return (f->drop_below ? isfinite(f->value_min) : f->value_min == 0)
               ? CCZ_OK
               : refuse_real(err, "filter.value_min", (double)f->value_min, "a number, or null");
}

ccz_rc ccz_recsys_order_check(const struct ccz_recsys_order *o, struct ccz_err *err)
{
    if (!cczi_bundle_name_ok(o->name))
        return refuse(err, "name", o->name, "1 to 128 of the characters A-Z a-z 0-9 . _ -");
    if (strcmp(o->trainer, trainers[CCZOO]) != 0 && strcmp(o->trainer, trainers[SPARK]) != 0)
        return refuse(err, "trainer", o->trainer, "cczoo or spark");
    ccz_rc rc = check_filter(&o->filter, err);
    if (rc == CCZ_OK)
        rc = check_data(o, err);
    if (rc == CCZ_OK)
        rc = check_als(&o->als, err);
    if (rc == CCZ_OK)
        rc = check_judge(o, err);
    return rc == CCZ_OK ? check_spark(o, err) : rc;
}

/* ------------------------------------------------------------------------------------- writing */

static void put_text(struct ccz_buf *out, const char *before, const char *text)
{
    ccz_buf_put_str(out, before);
    ccz_json_put_str(out, ccz_span_str(text));
}

static void put_hex(struct ccz_buf *out, const char *before, const uint8_t bytes[32])
{
    char hex[65];
    ccz_hex(hex, bytes, 32);
    put_text(out, before, none(bytes) ? "" : hex);
}

static void put_float(struct ccz_buf *out, const char *before, float v)
{
    ccz_buf_put_str(out, before);
    ccz_json_put_float(out, v);
}

static void put_filter(struct ccz_buf *out, const struct ccz_recsys_filter *f)
{
    if (f->drop_below)
        put_float(out, ",\n \"filter\": {\"value_min\": ", f->value_min);
    else
        ccz_buf_put_str(out, ",\n \"filter\": {\"value_min\": null");
    ccz_buf_printf(
        out, ", \"binarize\": %s, \"per_user\": %u, \"per_item\": %u, \"twice\": \"%s\"}",
        f->binarize ? "true" : "false", f->per_user, f->per_item, ccz_recsys_twice_name(f->twice));
}

static void put_als(struct ccz_buf *out, const struct ccz_recsys_als_cfg *a)
{
    ccz_buf_printf(out, ",\n \"als\": {\"kind\": \"%s\", \"factors\": %u, \"iterations\": %u",
                   ccz_recsys_kind_name(a->kind), a->factors, a->iterations);
    put_float(out, ", \"reg\": ", a->reg);
    put_float(out, ", \"alpha\": ", a->alpha);
    put_float(out, ", \"unobserved\": ", a->unobserved);
    put_float(out, ", \"nu\": ", a->nu);
    ccz_buf_printf(out, ", \"seed\": %" PRIu64 ", \"cg\": %u, \"biases\": %s, \"nonnegative\": %s}",
                   a->seed, a->cg_steps, a->biases ? "true" : "false",
                   a->nonneg ? "true" : "false");
}

void ccz_recsys_order_put(struct ccz_buf *out, const struct ccz_recsys_order *o)
{
    ccz_buf_printf(out, "{\"version\": %d", ORDER_VERSION);
    put_text(out, ",\n \"name\": ", o->name);
    put_text(out, ",\n \"trainer\": ", o->trainer);
    put_text(out, ",\n \"data\": {\"key\": ", o->data.key + 4);
    put_text(out, ", \"name\": ", o->data.name);
    put_text(out, ", \"format\": ", o->data.format);
    put_hex(out, ",\n  \"sha256\": ", o->data.sha256);
    put_text(out, ",\n  \"titles_format\": ", o->data.titles_format);
    put_hex(out, ", \"titles_sha256\": ", o->data.titles_sha256);
    put_text(out, "},\n \"model_key\": ", o->model_key + 4);
    put_hex(out, ",\n \"parent_sha256\": ", o->parent_sha256);
    if (strcmp(o->trainer, trainers[SPARK]) == 0) {
        put_text(out, ",\n \"spark\": {\"ratings_key\": ", o->spark.ratings_key + 4);
        put_text(out, ", \"factors_key\": ", o->spark.factors_key + 4);
        put_text(out, ", \"export_name\": ", o->spark.export_name);
        ccz_buf_put_str(out, "}");
    }
    put_filter(out, &o->filter);
    put_als(out, &o->als);
    put_text(out,
             ",\n \"judge\": {\"split\": ", splits[o->judge.none ? NONE : (int)o->judge.split]);
    ccz_buf_put_str(out, ", \"share\": ");
    ccz_json_put_double(out, o->judge.share);
    ccz_buf_put_str(out, ", \"expect\": ");
    ccz_json_put_double(out, o->judge.expect);
    ccz_buf_put_str(out, "}}\n");
}

/* ------------------------------------------------------------------------------------- reading */

static void item(struct cczi_members *p, char out[8 + CCZ_RECSYS_NAME_SIZE],
                 const struct ccz_json *o, const char *key)
{
    memcpy(out, "key/", 5);
    cczi_member_text(p, out + 4, 4 + CCZ_RECSYS_NAME_SIZE, o, key);
}

/* 64 hex digits, or "" for none; zeros are no third form of it. */
static void digest_or_none(struct cczi_members *p, uint8_t out[32], const struct ccz_json *o,
                           const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    if (s && !s[0])
        return;
    cczi_member_digest(p, out, o, key);
    if (none(out))
        cczi_member_wrong(p, key);
}

static void read_data(struct cczi_members *p, struct ccz_recsys_order *out,
                      const struct ccz_json *o)
{
    item(p, out->data.key, o, "key");
    cczi_member_text(p, out->data.name, sizeof(out->data.name), o, "name");
    cczi_member_text(p, out->data.format, sizeof(out->data.format), o, "format");
    cczi_member_digest(p, out->data.sha256, o, "sha256");
    cczi_member_text(p, out->data.titles_format, sizeof(out->data.titles_format), o,
                     "titles_format");
    digest_or_none(p, out->data.titles_sha256, o, "titles_sha256");
}

static void read_spark(struct cczi_members *p, struct ccz_recsys_order *out,
                       const struct ccz_json *o)
{
    item(p, out->spark.ratings_key, o, "ratings_key");
    item(p, out->spark.factors_key, o, "factors_key");
    cczi_member_text(p, out->spark.export_name, sizeof(out->spark.export_name), o, "export_name");
}

static void read_filter(struct cczi_members *p, struct ccz_recsys_filter *f,
                        const struct ccz_json *o)
{
    const struct ccz_json *least = ccz_json_get(o, "value_min");
    f->drop_below = !least || ccz_json_type(least) != CCZ_JSON_NULL;
    if (f->drop_below)
        f->value_min = cczi_member_float(p, o, "value_min");
    f->binarize = cczi_member_flag(p, o, "binarize");
    f->per_user = (uint32_t)cczi_member_number(p, o, "per_user", UINT32_MAX);
    f->per_item = (uint32_t)cczi_member_number(p, o, "per_item", UINT32_MAX);
    f->twice = (enum ccz_recsys_twice)cczi_member_choice(p, o, "twice", rules, RULES);
}

static void read_als(struct cczi_members *p, struct ccz_recsys_als_cfg *a, const struct ccz_json *o)
{
    a->kind =
        (enum ccz_recsys_als_kind)cczi_member_choice(p, o, "kind", cczi_als_kinds, CCZI_ALS_KINDS);
    a->factors = (uint32_t)cczi_member_number(p, o, "factors", CCZ_RECSYS_FACTORS_MAX);
    a->iterations = (uint32_t)cczi_member_number(p, o, "iterations", CCZ_RECSYS_ITERATIONS_MAX);
    a->reg = cczi_member_float(p, o, "reg");
    a->alpha = cczi_member_float(p, o, "alpha");
    a->unobserved = cczi_member_float(p, o, "unobserved");
    a->nu = cczi_member_float(p, o, "nu");
    a->seed = cczi_member_number(p, o, "seed", INT64_MAX);
    a->cg_steps = (uint32_t)cczi_member_number(p, o, "cg", CCZ_RECSYS_CG_STEPS_MAX);
    a->solver = a->cg_steps ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT;
    a->biases = cczi_member_flag(p, o, "biases");
    a->nonneg = cczi_member_flag(p, o, "nonnegative");
}

static void read_judge(struct cczi_members *p, struct ccz_recsys_order *out,
                       const struct ccz_json *o)
{
    const int split = cczi_member_choice(p, o, "split", splits, SPLITS);
    out->judge.none = split == NONE;
    out->judge.split = split == NONE ? CCZ_RECSYS_SPLIT_LAST : (enum ccz_recsys_split_kind)split;
    out->judge.share = cczi_member_real(p, o, "share", 0, 0.999);
    out->judge.expect = cczi_member_real(p, o, "expect", 0, CCZ_RECSYS_EXPECT_MAX);
}

struct known {
    const char *in;
    const struct ccz_json *o;
    const char *const *names;
    size_t len;
};

/* Of each object, what it may have: all of it is required above. @param in  the object of the member, with a dot */
static const char *unknown(const char **in, const struct ccz_json *root, bool spark)
{
    static const char *const top[] = {"version",       "name",   "trainer", "data",  "model_key",
                                      "parent_sha256", "filter", "als",     "judge", "spark"},
                             *const data[] = {"key",    "name",          "format",
                                              "sha256", "titles_format", "titles_sha256"},
                             *const filter[] = {"value_min", "binarize", "per_user", "per_item",
                                                "twice"},
                             *const als[] = {"kind",  "factors", "iterations", "reg",
                                             "alpha", "nu",      "unobserved", "seed",
                                             "cg",    "biases",  "nonnegative"},
                             *const judge[] = {"split", "share", "expect"},
                             *const cluster[] = {"ratings_key", "factors_key", "export_name"};
    const struct known objects[] = {
        {"", root, top, sizeof(top) / sizeof(*top) - !spark},
        {"data.", ccz_json_get(root, "data"), data, sizeof(data) / sizeof(*data)},
        {"filter.", ccz_json_get(root, "filter"), filter, sizeof(filter) / sizeof(*filter)},
        {"als.", ccz_json_get(root, "als"), als, sizeof(als) / sizeof(*als)},
        {"judge.", ccz_json_get(root, "judge"), judge, sizeof(judge) / sizeof(*judge)},
        {"spark.", ccz_json_get(root, "spark"), cluster, sizeof(cluster) / sizeof(*cluster)}};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]) && !found; i++) {
        found = cczi_member_unknown(objects[i].o, objects[i].names, objects[i].len);
        *in = objects[i].in;
    }
    return found;
}

/* Everything but the version. Refused by the name of a member. */
static ccz_rc read_members(struct ccz_recsys_order *out, const struct ccz_json *root,
                           struct ccz_err *err)
{
    struct cczi_members p = {.in = ""};
    const char *in = "";
    cczi_member_text(&p, out->name, sizeof(out->name), root, "name");
    const int trainer = cczi_member_choice(&p, root, "trainer", trainers, TRAINERS);
    (void)snprintf(out->trainer, sizeof(out->trainer), "%s", trainers[trainer]);
    item(&p, out->model_key, root, "model_key");
    digest_or_none(&p, out->parent_sha256, root, "parent_sha256");
    p.in = "data.";
    read_data(&p, out, ccz_json_get(root, "data"));
    p.in = "spark.";
    if (trainer == SPARK)
        read_spark(&p, out, ccz_json_get(root, "spark"));
    p.in = "filter.";
    read_filter(&p, &out->filter, ccz_json_get(root, "filter"));
    p.in = "als.";
    read_als(&p, &out->als, ccz_json_get(root, "als"));
    p.in = "judge.";
    read_judge(&p, out, ccz_json_get(root, "judge"));
    if (p.wrong)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:order-format", 0,
                        "member %s%.60s is missing or wrong", p.wrong_in, p.wrong);
    const char *more = unknown(&in, root, trainer == SPARK);
    return more ? ccz_fail(err, CCZ_E_FORMAT, "recsys:order-format", 0,
                           "member %s%.60s is not one of an order for %s", in, more, out->trainer)
                : CCZ_OK;
}

static ccz_rc check_version(const struct ccz_json *root, struct ccz_err *err)
{
    int64_t version;
    char got[32];
    if (!ccz_json_int(&version, ccz_json_get(root, "version")))
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:order-format", 0,
                        "member version is missing or wrong");
    (void)snprintf(got, sizeof(got), "version %" PRId64, version);
    return version == ORDER_VERSION
               ? CCZ_OK
               : ccz_refuse(err, CCZ_E_UNSUPPORTED, "recsys:order-format", got, "version 1");
}

ccz_rc ccz_recsys_order_parse(struct ccz_recsys_order *out, struct ccz_span json,
                              struct ccz_err *err)
{
    *out = (struct ccz_recsys_order){0};
    CCZ_AUTO(ccz_json) root = NULL;
    if (json.size > CCZ_RECSYS_ORDER_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:order-format", (int64_t)json.size,
                              CCZ_RECSYS_ORDER_SIZE_MAX);
    ccz_rc rc = ccz_json_parse(&root, json, err);
    if (rc == CCZ_E_NOMEM)
        return rc;
    if (rc != CCZ_OK)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_FORMAT, "recsys:order-format", 0,
                                 "an order is JSON, and names no member twice"),
                        "`cczoo recsys order` writes one");
    rc = check_version(root, err);
    if (rc != CCZ_OK)
        return rc;
    rc = read_members(out, root, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_err why = {0};
    if (ccz_recsys_order_check(out, &why) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "recsys:order-value", why.got, why.expected);
    return ccz_sha256(out->sha256, json) == CCZ_OK
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
}
