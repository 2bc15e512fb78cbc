/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from JSON, and their evaluation. What the single fields mean is in fields.c and kinds.c. */
#include "policy/policy_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

struct ccz_policy {
    struct cczi_rule *rule;
    size_t len;
};

/* ------------------------------------------------------------------------------- JSON path */

ccz_rc cczi_at_fail(struct cczi_at *at, const char *where, const char *fmt, ...)
{
    char text[CCZ_ERR_MSG_SIZE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return ccz_fail(at->err, CCZ_E_FORMAT, where, 0, "%.90s: %.95s",
                    at->path[0] ? at->path : "policy", text);
}

size_t cczi_at_key(struct cczi_at *at, const char *key)
{
    char shown[64]; /* the key may be anything */
    size_t mark = strlen(at->path);
    ccz_escape(shown, sizeof(shown), ccz_span_str(key));
    (void)snprintf(at->path + mark, sizeof(at->path) - mark, "%s%s", mark ? "." : "", shown);
    return mark;
}

size_t cczi_at_index(struct cczi_at *at, size_t i)
{
    size_t mark = strlen(at->path);
    (void)snprintf(at->path + mark, sizeof(at->path) - mark, "[%zu]", i);
    return mark;
}

void cczi_at_leave(struct cczi_at *at, size_t mark)
{
    at->path[mark] = 0;
}

/* ----------------------------------------------------------------------------------- parsing */

/* Names stand in log lines and messages. */
static bool good_name(const char *s)
{
    size_t size = strlen(s);
    for (size_t i = 0; i < size; i++) {
        char c = s[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !strchr("._- ", c))
            return false;
    }
    return size > 0 && size < sizeof(((struct cczi_rule *)0)->name);
}

static ccz_rc parse_name(struct cczi_rule *r, const struct ccz_policy *p, const struct ccz_json *j,
                         struct cczi_at *at)
{
    size_t mark = cczi_at_key(at, "name");
    const char *name = ccz_json_str(ccz_json_get(j, "name"));
    if (!name || !good_name(name))
        return cczi_at_fail(at, "policy:name",
                            "expected 1 to 63 letters, digits, spaces or any of . _ -");
    for (size_t i = 0; i < p->len; i++)
        if (strcmp(p->rule[i].name, name) == 0)
            return cczi_at_fail(at, "policy:duplicate", "rules[%zu] has this name already", i);
    memcpy(r->name, name, strlen(name) + 1);
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

static ccz_rc parse_tee(struct cczi_rule *r, const struct ccz_json *j, struct cczi_at *at)
{
    size_t mark = cczi_at_key(at, "tee");
    const char *tee = ccz_json_str(ccz_json_get(j, "tee"));
    if (tee && strcmp(tee, ccz_tee_name(CCZ_TEE_SGX)) == 0)
        r->tee = CCZ_TEE_SGX;
    else if (tee && strcmp(tee, ccz_tee_name(CCZ_TEE_TDX)) == 0)
        r->tee = CCZ_TEE_TDX;
    else
        return cczi_at_fail(at, "policy:rule-tee", "expected \"sgx\" or \"tdx\"");
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

static ccz_rc parse_field(struct cczi_rule *r, const char *key, const struct ccz_json *j,
                          struct cczi_at *at)
{
    size_t i = cczi_field_find(key);
    const struct cczi_field *f = &cczi_fields[i];
    size_t mark = cczi_at_key(at, key);
    if (i == cczi_fields_len)
        return cczi_at_fail(at, "policy:unknown-field", "unknown field");
    if (!(f->tees & 1u << r->tee))
        return cczi_at_fail(at, "policy:tee-field", "this field is not for tee \"%s\"",
                            ccz_tee_name(r->tee));
    ccz_rc rc = f->kind->parse(&r->value[i], r, f, j, at);
    if (rc != CCZ_OK)
        return rc;
    r->value[i].set = true;
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

/* What the rule leaves out it means strictly. The defaults are written in the language of policies.
 */
static ccz_rc parse_defaults(struct cczi_rule *r, struct cczi_at *at)
{
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        if (r->value[i].set || !f->absent || !(f->tees & 1u << r->tee))
            continue;
        struct ccz_json *j = NULL;
        ccz_rc rc = ccz_json_parse(&j, ccz_span_str(f->absent), at->err);
        if (rc == CCZ_OK)
            rc = parse_field(r, f->name, j, at);
        ccz_json_free(j);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* A rule that pins no code would accept any enclave of any author on a healthy platform. */
static ccz_rc check_pinned(const struct cczi_rule *r, struct cczi_at *at)
{
#define SAYS(field) (r->value[cczi_field_find(field)].set)
    if (r->tee == CCZ_TEE_TDX && !SAYS("mrtd"))
        return cczi_at_fail(at, "policy:unpinned", "a tdx rule must name mrtd");
    bool by_signer = SAYS("mrsigner") && SAYS("isv_prod_id") && SAYS("isv_svn");
    if (r->tee == CCZ_TEE_SGX && !SAYS("mrenclave") && !by_signer)
        return cczi_at_fail(
            at, "policy:unpinned",
            "an sgx rule must name mrenclave, or mrsigner with isv_prod_id and isv_svn");
    return CCZ_OK;
#undef SAYS
}

static ccz_rc parse_rule(struct cczi_rule *r, const struct ccz_policy *p, const struct ccz_json *j,
                         struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_at_fail(at, "policy:type", "expected an object");
    ccz_rc rc = parse_name(r, p, j, at);
    if (rc == CCZ_OK)
        rc = parse_tee(r, j, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        const char *key;
        const struct ccz_json *v = ccz_json_member(&key, j, i);
        if (strcmp(key, "name") == 0 || strcmp(key, "tee") == 0)
            continue;
        if (strcmp(key, "description") != 0)
            rc = parse_field(r, key, v, at);
        else if (ccz_json_type(v) != CCZ_JSON_STRING)
            rc = cczi_at_fail(at, "policy:type", "description: expected a string");
    }
    if (rc == CCZ_OK)
        rc = check_pinned(r, at);
    return rc == CCZ_OK ? parse_defaults(r, at) : rc;
}

static ccz_rc parse_rules(struct ccz_policy *p, const struct ccz_json *rules, struct cczi_at *at)
{
    size_t len = ccz_json_len(rules);
    if (ccz_json_type(rules) != CCZ_JSON_ARRAY)
        return cczi_at_fail(at, "policy:type", "rules: expected a list");
    if (len > CCZ_POLICY_RULES_MAX)
        return ccz_fail(at->err, CCZ_E_LIMIT, "policy:rules", (int64_t)len,
                        "rules: more than %d rules", CCZ_POLICY_RULES_MAX);
    if (len == 0)
        return CCZ_OK;
    p->rule = calloc(len, sizeof(*p->rule));
    if (!p->rule)
        return ccz_fail(at->err, CCZ_E_NOMEM, "policy:parse", 0, "out of memory");
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_key(at, "rules");
        (void)cczi_at_index(at, i);
        rc = parse_rule(&p->rule[i], p, ccz_json_at(rules, i), at);
        cczi_at_leave(at, mark);
        p->len = i + 1; /* counted even when it failed, so that its lists are freed */
    }
    return rc;
}

static ccz_rc parse_document(struct ccz_policy *p, const struct ccz_json *j, struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_at_fail(at, "policy:type", "expected an object");
    if (ccz_json_len(j) == 0)
        return CCZ_OK; /* `{}`: well formed, and refuses everybody */
    for (size_t i = 0; i < ccz_json_len(j); i++) {
        const char *key;
        const struct ccz_json *v = ccz_json_member(&key, j, i);
        if (strcmp(key, "description") == 0 && ccz_json_type(v) != CCZ_JSON_STRING)
            return cczi_at_fail(at, "policy:type", "description: expected a string");
        if (strcmp(key, "version") != 0 && strcmp(key, "rules") != 0 &&
            strcmp(key, "description") != 0) {
            (void)cczi_at_key(at, key);
            return cczi_at_fail(at, "policy:unknown-field", "unknown field");
        }
    }
    int64_t version;
    if (!ccz_json_int(&version, ccz_json_get(j, "version")) || version != VERSION)
        return cczi_at_fail(at, "policy:version", "expected \"version\": %d", VERSION);
    const struct ccz_json *rules = ccz_json_get(j, "rules");
    return rules ? parse_rules(p, rules, at) : CCZ_OK;
}

ccz_rc ccz_policy_parse(struct ccz_policy **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    if (json.size > CCZ_POLICY_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "policy:size", (int64_t)json.size, "larger than %d bytes",
                        CCZ_POLICY_SIZE_MAX);
    CCZ_AUTO(ccz_policy) p = calloc(1, sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "policy:parse", 0, "out of memory");
    struct ccz_json *j = NULL;
    struct cczi_at at = {.err = err};
    ccz_rc rc = ccz_json_parse(&j, json, err);
    if (rc == CCZ_OK)
        rc = parse_document(p, j, &at);
    ccz_json_free(j);
    if (rc == CCZ_OK)
        *out = ccz_policy_take(&p);
    return rc;
}

void ccz_policy_free(struct ccz_policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->len; i++)
        for (size_t k = 0; k < cczi_fields_len; k++)
            free(p->rule[i].value[k].list);
    free(p->rule);
    free(p);
}

/* -------------------------------------------------------------------------------- evaluation */

/* @param[out] rank  how many fields of the table passed; 0 = not even the TEE */
static ccz_rc eval_rule(size_t *rank, struct cczi_check *c, struct ccz_err *err)
{
    const struct cczi_rule *r = c->rule;
    *rank = 0;
    ccz_rc rc = CCZ_OK;
    if (c->claims->tee != r->tee)
        rc = ccz_refuse(err, CCZ_E_POLICY, "policy:tee", ccz_tee_name(c->claims->tee),
                        ccz_tee_name(r->tee));
    for (size_t i = 0; i < cczi_fields_len && rc == CCZ_OK; i++) {
        c->field = &cczi_fields[i];
        c->value = &r->value[i];
        *rank = i + 1;
        if (!c->value->set || !c->field->kind->eval)
            continue;
        char where[CCZ_ERR_WHERE_SIZE];
        (void)snprintf(where, sizeof(where), "policy:%s", c->field->name);
        rc = c->field->kind->eval(c, where, err);
        if (rc != CCZ_OK)
            ccz_hint(err, rc, c->field->hint);
    }
    if (rc != CCZ_OK)
        (void)snprintf(err->msg, sizeof(err->msg), "rule \"%s\" does not accept this %s", r->name,
                       err->where + 7);
    return rc;
}

ccz_rc ccz_policy_eval(struct ccz_verdict *verdict, const struct ccz_policy *p,
                       const struct ccz_claims *claims, int64_t now_s, struct ccz_err *err)
{
    *verdict = (struct ccz_verdict){0};
    if (p->len == 0) {
        ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, "policy:empty", "no rules", "at least one rule");
        return ccz_hint(
            err, rc,
            "an empty policy refuses everybody: `cczoo policy from-evidence` drafts a rule");
    }
    /* Claims are made at one time and may be judged later. */
    if (now_s > claims->collateral_expires_s) {
        char now[21], end[21], expected[40];
        ccz_time_format(now, now_s);
        ccz_time_format(end, claims->collateral_expires_s);
        (void)snprintf(expected, sizeof(expected), "%s or earlier", end);
        ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, "policy:collateral-expired", now, expected);
        return ccz_hint(err, rc, "fetch the collateral again and verify the quote with it");
    }
    size_t best = 0;
    for (size_t i = 0; i < p->len; i++) {
        struct ccz_err e;
        size_t rank;
        bool used_grace = false;
        struct cczi_check c = {
            .rule = &p->rule[i], .claims = claims, .now_s = now_s, .used_grace = &used_grace};
        if (eval_rule(&rank, &c, &e) == CCZ_OK) {
            verdict->accept = true;
            memcpy(verdict->rule, p->rule[i].name, sizeof(verdict->rule));
            verdict->grace_until_s = used_grace ? p->rule[i].grace_until_s : 0;
            return CCZ_OK;
        }
        if (err && (i == 0 || rank > best))
            *err = e;
        best = i == 0 || rank > best ? rank : best;
    }
    return CCZ_E_POLICY;
}
