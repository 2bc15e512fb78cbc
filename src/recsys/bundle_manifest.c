/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a bundle: JSON, strict when read. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"

#include <cczoo/crypto.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const kinds[] = {[CCZ_RECSYS_IMPLICIT_HKV] = "implicit-hkv",
                                    [CCZ_RECSYS_IMPLICIT_IALS] = "implicit-ials",
                                    [CCZ_RECSYS_EXPLICIT] = "explicit"};
static const char *const solvers[] = {[CCZ_RECSYS_ALS_EXACT] = "exact", [CCZ_RECSYS_ALS_CG] = "cg"};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), SOLVERS = sizeof(solvers) / sizeof(solvers[0]) };

const char *cczi_bundle_part_name(enum cczi_bundle_part p)
{
    static const char *const names[] = {
#define X(name, text) [CCZI_PART_##name] = (text),
        CCZI_BUNDLE_PARTS(X)
#undef X
    };
    return names[p];
}

/* Rounded up so that few bits of a size are left: "Padme" of Nikitin et al., PETS 2019, section 5. */
uint64_t cczi_bundle_rounded(uint64_t size)
{
    enum { SMALLEST = 65536 };
    if (size <= SMALLEST)
        return SMALLEST;
    const unsigned e = 63 - (unsigned)__builtin_clzll(size);
    const unsigned s = 32 - (unsigned)__builtin_clz(e);
    const uint64_t mask = ((uint64_t)1 << (e - s)) - 1;
    return (size + mask) & ~mask;
}

uint64_t cczi_bundle_factors_size(uint32_t len, uint32_t factors, bool bias)
{
    return (uint64_t)len * (factors + (bias ? 1u : 0u)) * sizeof(float);
}

uint64_t cczi_bundle_seen_size(uint32_t rows, uint64_t len)
{
    return ((uint64_t)rows + 1) * sizeof(uint64_t) + len * (sizeof(uint32_t) + sizeof(float));
}

bool cczi_bundle_name_ok(const char *name)
{
    const size_t size = strnlen(name, CCZ_RECSYS_NAME_SIZE);
    if (size == 0 || size == CCZ_RECSYS_NAME_SIZE || name[0] == '.')
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
           size;
}

static ccz_rc check_metrics(const struct ccz_recsys_manifest *m, struct ccz_err *err)
{
    if (m->metrics_len > CCZ_RECSYS_BUNDLE_METRICS)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:metric", (int64_t)m->metrics_len,
                              CCZ_RECSYS_BUNDLE_METRICS);
    for (size_t i = 0; i < m->metrics_len; i++) {
        const struct ccz_recsys_metric_value *v = &m->metric[i];
        const bool named = v->name[0] && memchr(v->name, 0, sizeof(v->name));
        for (size_t k = 0; named && k < i; k++)
            if (strcmp(m->metric[k].name, v->name) == 0)
                return ccz_fail(err, CCZ_E_ARG, "recsys:metric", (int64_t)i,
                                "metric %s is there twice", v->name);
        if (!named || !isfinite(v->value))
            return ccz_fail(err, CCZ_E_ARG, "recsys:metric", (int64_t)i,
                            "a metric has no name or is no finite number");
    }
    return CCZ_OK;
}

ccz_rc cczi_manifest_check(const struct ccz_recsys_manifest *m, struct ccz_err *err)
{
    if (!cczi_bundle_name_ok(m->name) || !cczi_bundle_name_ok(m->trainer))
        return ccz_fail(err, CCZ_E_ARG, "recsys:name", 0,
                        "a name has 1 to 128 of the characters A-Z a-z 0-9 . _ -");
    if (m->version == 0 || m->version > INT64_MAX)
        return ccz_fail(err, CCZ_E_ARG, "recsys:version", 0, "versions count from 1");
    if (!memchr(m->key, 0, sizeof(m->key)) || (m->key[0] && strncmp(m->key, "key/", 4) != 0) ||
        !m->key[0] != !m->key_version)
        return ccz_fail(err, CCZ_E_ARG, "recsys:key-version", m->key_version,
                        "a key of a KMS has a name, key/.., and a version from 1");
    if (m->key_version && m->version != m->key_version)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:version", (int64_t)m->version,
                              m->key_version);
    if ((unsigned)m->als.kind >= KINDS || (unsigned)m->als.solver >= SOLVERS)
        return ccz_fail(err, CCZ_E_ARG, "recsys:kind", 0, "no such kind or solver");
    if (m->als.seed > INT64_MAX)
        return ccz_fail(err, CCZ_E_ARG, "recsys:seed", 0, "a seed of a bundle is below 2^63");
    return check_metrics(m, err);
}

/* ----------------------------------------------------------------------------------- writing */

static void put_hex(struct ccz_buf *out, const char *key, const uint8_t bytes[32])
{
    char hex[65];
    ccz_hex(hex, bytes, 32);
    ccz_buf_printf(out, ",\n \"%s\": \"%s\"", key, hex);
}

static void put_real(struct ccz_buf *out, const char *before, float v)
{
    ccz_buf_put_str(out, before);
    ccz_json_put_float(out, v);
}

static void put_parameters(struct ccz_buf *out, const struct ccz_recsys_als_cfg *a)
{
    ccz_buf_printf(
        out,
        ",\n \"parameters\": {\"kind\": \"%s\", \"solver\": \"%s\", \"biases\": %s, "
        "\"nonneg\": %s, \"factors\": %u, \"iterations\": %u, \"cg_steps\": %u, \"seed\": "
        "%" PRIu64,
        kinds[a->kind], solvers[a->solver], a->biases ? "true" : "false",
        a->nonneg ? "true" : "false", a->factors, a->iterations, a->cg_steps, a->seed);
    put_real(out, ", \"reg\": ", a->reg);
    put_real(out, ", \"alpha\": ", a->alpha);
    put_real(out, ", \"unobserved\": ", a->unobserved);
    put_real(out, ", \"nu\": ", a->nu);
    put_real(out, ", \"deviation\": ", a->deviation);
    ccz_buf_put_str(out, "}");
}

static void put_files(struct ccz_buf *out, const struct cczi_bundle_file *files)
{
    bool first = true;
    ccz_buf_put_str(out, ",\n \"files\": {");
    for (int p = 0; p < CCZI_PARTS; p++) {
        char hex[65];
        if (files[p].size == 0)
            continue;
        ccz_hex(hex, files[p].sha256, 32);
        ccz_buf_printf(out, "%s\n  \"%s\": {\"size\": %" PRIu64 ", \"sha256\": \"%s\"}",
                       first ? "" : ",", cczi_bundle_part_name((enum cczi_bundle_part)p),
                       files[p].size, hex);
        first = false;
    }
    ccz_buf_put_str(out, "}");
}

void cczi_manifest_put(struct ccz_buf *out, const struct ccz_recsys_manifest *m,
                       const struct cczi_bundle_file *files)
{
    char at[21];
    ccz_time_format(at, m->created_s);
    ccz_buf_printf(out, "{\"format\": \"%s\",\n \"name\": \"%s\",\n \"version\": %" PRIu64,
                   CCZI_BUNDLE_FORMAT, m->name, m->version);
    ccz_buf_put_str(out, ",\n \"key\": ");
    ccz_json_put_str(out, ccz_span_str(m->key));
    ccz_buf_printf(out, ",\n \"key_version\": %u,\n \"created\": \"%s\",\n \"trainer\": \"%s\"",
                   m->key_version, at, m->trainer);
    put_hex(out, "data_sha256", m->data_sha256);
    put_hex(out, "parent_sha256", m->parent_sha256);
    ccz_buf_printf(out, ",\n \"users\": %u, \"items\": %u, \"ratings\": %" PRIu64, m->users,
                   m->items, m->ratings);
    put_real(out, ", \"mean\": ", m->mean);
    put_parameters(out, &m->als);
    ccz_buf_put_str(out, ",\n \"metrics\": {");
    for (size_t i = 0; i < m->metrics_len; i++) {
        ccz_buf_put_str(out, i ? ", " : "");
        ccz_json_put_str(out, ccz_span_str(m->metric[i].name));
        ccz_buf_put_str(out, ": ");
        ccz_json_put_double(out, m->metric[i].value);
    }
    ccz_buf_put_str(out, "}");
    if (files)
        put_files(out, files);
    ccz_buf_put_str(out, "}\n");
}

void ccz_recsys_manifest_put(struct ccz_buf *out, const struct ccz_recsys_manifest *m)
{
    cczi_manifest_put(out, m, NULL);
}

/* ----------------------------------------------------------------------------------- reading */

/* Sticky: read everything, test once; the first member that is wrong is named. */
struct parse {
    const char *wrong;
};

static void wrong(struct parse *p, const char *key)
{
    p->wrong = p->wrong ? p->wrong : key;
}

static void text(struct parse *p, char *out, size_t size, const struct ccz_json *o, const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    if (!s || strlen(s) >= size) {
        wrong(p, key);
        return;
    }
    memcpy(out, s, strlen(s) + 1);
}

static uint64_t number(struct parse *p, const struct ccz_json *o, const char *key, uint64_t max)
{
    int64_t v = 0;
    if (!ccz_json_int(&v, ccz_json_get(o, key)) || v < 0 || (uint64_t)v > max) {
        wrong(p, key);
        return 0;
    }
    return (uint64_t)v;
}

static float real(struct parse *p, const struct ccz_json *o, const char *key)
{
    double v = 0;
    if (!ccz_json_real(&v, ccz_json_get(o, key)) || !isfinite((float)v))
        wrong(p, key);
    return (float)v;
}

static bool flag(struct parse *p, const struct ccz_json *o, const char *key)
{
    bool v = false;
    if (!ccz_json_bool(&v, ccz_json_get(o, key)))
        wrong(p, key);
    return v;
}

static void digest(struct parse *p, uint8_t out[32], const struct ccz_json *o, const char *key)
{
    const struct ccz_span s = ccz_json_bytes(ccz_json_get(o, key));
    if (s.size != 64 || ccz_unhex(out, 32, (const char *)s.ptr, s.size) != CCZ_OK)
        wrong(p, key);
}

static int choice(struct parse *p, const struct ccz_json *o, const char *key,
                  const char *const *names, int len)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    for (int i = 0; s && i < len; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    wrong(p, key);
    return 0;
}

static void parameters(struct parse *p, struct ccz_recsys_als_cfg *a, const struct ccz_json *o)
{
    a->kind = (enum ccz_recsys_als_kind)choice(p, o, "kind", kinds, KINDS);
    a->solver = (enum ccz_recsys_als_solver)choice(p, o, "solver", solvers, SOLVERS);
    a->biases = flag(p, o, "biases");
    a->nonneg = flag(p, o, "nonneg");
    a->factors = (uint32_t)number(p, o, "factors", CCZ_RECSYS_FACTORS_MAX);
    a->iterations = (uint32_t)number(p, o, "iterations", UINT32_MAX);
    a->cg_steps = (uint32_t)number(p, o, "cg_steps", UINT32_MAX);
    a->seed = number(p, o, "seed", INT64_MAX);
    a->reg = real(p, o, "reg");
    a->alpha = real(p, o, "alpha");
    a->unobserved = real(p, o, "unobserved");
    a->nu = real(p, o, "nu");
    a->deviation = real(p, o, "deviation");
    if (a->factors == 0)
        wrong(p, "factors");
}

static void metrics(struct parse *p, struct ccz_recsys_manifest *m, const struct ccz_json *o)
{
    const char *key = NULL;
    const struct ccz_json *v;
    while ((v = ccz_json_next(&key, o))) {
        struct ccz_recsys_metric_value *to = &m->metric[m->metrics_len];
        if (m->metrics_len == CCZ_RECSYS_BUNDLE_METRICS || strlen(key) >= sizeof(to->name) ||
            !ccz_json_real(&to->value, v)) {
            wrong(p, "metrics");
            return;
        }
        memcpy(to->name, key, strlen(key) + 1);
        m->metrics_len++;
    }
}

static void files_of(struct parse *p, struct cczi_bundle_file *files, const struct ccz_json *o)
{
    size_t used = 0;
    for (int i = 0; i < CCZI_PARTS; i++) {
        const struct ccz_json *f = ccz_json_get(o, cczi_bundle_part_name((enum cczi_bundle_part)i));
        files[i] = (struct cczi_bundle_file){0};
        if (!f && i == CCZI_PART_TITLES)
            continue;
        files[i].size = number(p, f, "size", INT64_MAX >> 8);
        digest(p, files[i].sha256, f, "sha256");
        if (files[i].size == 0)
            wrong(p, "size");
        used++;
    }
    if (ccz_json_len(o) != used)
        wrong(p, "files");
}

ccz_rc cczi_manifest_parse(struct ccz_recsys_manifest *m, struct cczi_bundle_file *files,
                           struct ccz_span json, struct ccz_err *err)
{
    *m = (struct ccz_recsys_manifest){0};
    CCZ_AUTO(ccz_json) root = NULL;
    ccz_rc rc = ccz_json_parse(&root, json, err);
    if (rc != CCZ_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:manifest", 0, "the manifest is no JSON");
    const char *format = ccz_json_str(ccz_json_get(root, "format"));
    if (!format || strcmp(format, CCZI_BUNDLE_FORMAT) != 0)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "recsys:manifest", format ? format : "no format",
                          CCZI_BUNDLE_FORMAT);
    struct parse p = {0};
    char created[24] = "";
    text(&p, m->name, sizeof(m->name), root, "name");
    m->version = number(&p, root, "version", INT64_MAX);
    text(&p, m->key, sizeof(m->key), root, "key");
    m->key_version = (uint32_t)number(&p, root, "key_version", UINT32_MAX);
    text(&p, created, sizeof(created), root, "created");
    if (ccz_time_parse(&m->created_s, created, strlen(created)) != CCZ_OK)
        wrong(&p, "created");
    text(&p, m->trainer, sizeof(m->trainer), root, "trainer");
    digest(&p, m->data_sha256, root, "data_sha256");
    digest(&p, m->parent_sha256, root, "parent_sha256");
    m->users = (uint32_t)number(&p, root, "users", CCZ_RECSYS_LEN_MAX);
    m->items = (uint32_t)number(&p, root, "items", CCZ_RECSYS_LEN_MAX);
    m->ratings = number(&p, root, "ratings", CCZ_RECSYS_RATINGS_MAX);
    m->mean = real(&p, root, "mean");
    parameters(&p, &m->als, ccz_json_get(root, "parameters"));
    metrics(&p, m, ccz_json_get(root, "metrics"));
    files_of(&p, files, ccz_json_get(root, "files"));
    if (p.wrong)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:manifest", 0, "member %s is missing or wrong",
                        p.wrong);
    rc = cczi_manifest_check(m, err);
    if (rc != CCZ_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:manifest", 0,
                        "it says what no trainer may say of a model");
    return ccz_sha256(m->sha256, json);
}
