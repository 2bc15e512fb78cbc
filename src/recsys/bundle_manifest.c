/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a bundle: JSON, strict when read. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"
#include "members.h"

#include <cczoo/crypto.h>
#include <cczoo/recsys_order.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const solvers[] = {[CCZ_RECSYS_ALS_EXACT] = "exact", [CCZ_RECSYS_ALS_CG] = "cg"};
enum { SOLVERS = sizeof(solvers) / sizeof(solvers[0]) };

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
    if (!ccz_recsys_kind_name(m->als.kind) || (unsigned)m->als.solver >= SOLVERS)
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
        ccz_recsys_kind_name(a->kind), solvers[a->solver], a->biases ? "true" : "false",
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
    put_hex(out, "order_sha256", m->order_sha256);
    put_hex(out, "data_sha256", m->data_sha256);
    put_hex(out, "titles_sha256", m->titles_sha256);
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

static void parameters(struct cczi_members *p, struct ccz_recsys_als_cfg *a,
                       const struct ccz_json *o)
{
    a->kind =
        (enum ccz_recsys_als_kind)cczi_member_choice(p, o, "kind", cczi_als_kinds, CCZI_ALS_KINDS);
    a->solver = (enum ccz_recsys_als_solver)cczi_member_choice(p, o, "solver", solvers, SOLVERS);
    a->biases = cczi_member_flag(p, o, "biases");
    a->nonneg = cczi_member_flag(p, o, "nonneg");
    a->factors = (uint32_t)cczi_member_number(p, o, "factors", CCZ_RECSYS_FACTORS_MAX);
    a->iterations = (uint32_t)cczi_member_number(p, o, "iterations", UINT32_MAX);
    a->cg_steps = (uint32_t)cczi_member_number(p, o, "cg_steps", UINT32_MAX);
    a->seed = cczi_member_number(p, o, "seed", INT64_MAX);
    a->reg = cczi_member_float(p, o, "reg");
    a->alpha = cczi_member_float(p, o, "alpha");
    a->unobserved = cczi_member_float(p, o, "unobserved");
    a->nu = cczi_member_float(p, o, "nu");
    a->deviation = cczi_member_float(p, o, "deviation");
    if (a->factors == 0)
        cczi_member_wrong(p, "factors");
}

static void metrics(struct cczi_members *p, struct ccz_recsys_manifest *m, const struct ccz_json *o)
{
    const char *key = NULL;
    const struct ccz_json *v;
    while ((v = ccz_json_next(&key, o))) {
        struct ccz_recsys_metric_value *to = &m->metric[m->metrics_len];
        if (m->metrics_len == CCZ_RECSYS_BUNDLE_METRICS || strlen(key) >= sizeof(to->name) ||
            !ccz_json_real(&to->value, v)) {
            cczi_member_wrong(p, "metrics");
            return;
        }
        memcpy(to->name, key, strlen(key) + 1);
        m->metrics_len++;
    }
}

static void files_of(struct cczi_members *p, struct cczi_bundle_file *files,
                     const struct ccz_json *o)
{
    size_t used = 0;
    for (int i = 0; i < CCZI_PARTS; i++) {
        const struct ccz_json *f = ccz_json_get(o, cczi_bundle_part_name((enum cczi_bundle_part)i));
        files[i] = (struct cczi_bundle_file){0};
        if (!f && i == CCZI_PART_TITLES)
            continue;
        files[i].size = cczi_member_number(p, f, "size", INT64_MAX >> 8);
        cczi_member_digest(p, files[i].sha256, f, "sha256");
        if (files[i].size == 0)
            cczi_member_wrong(p, "size");
        used++;
    }
    if (ccz_json_len(o) != used)
        cczi_member_wrong(p, "files");
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
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_UNSUPPORTED, "recsys:manifest",
                                   format ? format : "no format", CCZI_BUNDLE_FORMAT),
                        "a bundle of another release of cczoo: train and publish the model anew");
    struct cczi_members p = {0};
    char created[24] = "";
    cczi_member_text(&p, m->name, sizeof(m->name), root, "name");
    m->version = cczi_member_number(&p, root, "version", INT64_MAX);
    cczi_member_text(&p, m->key, sizeof(m->key), root, "key");
    m->key_version = (uint32_t)cczi_member_number(&p, root, "key_version", UINT32_MAX);
    cczi_member_text(&p, created, sizeof(created), root, "created");
    if (ccz_time_parse(&m->created_s, created, strlen(created)) != CCZ_OK)
        cczi_member_wrong(&p, "created");
    cczi_member_text(&p, m->trainer, sizeof(m->trainer), root, "trainer");
    cczi_member_digest(&p, m->order_sha256, root, "order_sha256");
    cczi_member_digest(&p, m->data_sha256, root, "data_sha256");
    cczi_member_digest(&p, m->titles_sha256, root, "titles_sha256");
    cczi_member_digest(&p, m->parent_sha256, root, "parent_sha256");
    m->users = (uint32_t)cczi_member_number(&p, root, "users", CCZ_RECSYS_LEN_MAX);
    m->items = (uint32_t)cczi_member_number(&p, root, "items", CCZ_RECSYS_LEN_MAX);
    m->ratings = cczi_member_number(&p, root, "ratings", CCZ_RECSYS_RATINGS_MAX);
    m->mean = cczi_member_float(&p, root, "mean");
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
