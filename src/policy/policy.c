/* SPDX-License-Identifier: Apache-2.0 */
/* Rules from JSON, and their evaluation. What the single fields mean is in fields.c and kinds.c. */
#include "policy/policy_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

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

bool cczi_good_name(const char *s)
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
    if (!name || !cczi_good_name(name))
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
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP && tee; t++)
        if (strcmp(tee, ccz_tee_name((enum ccz_tee)t)) == 0)
            r->tee = (enum ccz_tee)t;
    if (r->tee == CCZ_TEE_NONE)
        return cczi_at_fail(at, "policy:rule-tee", "expected \"sgx\", \"tdx\" or \"snp\"");
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

/* Field @p key into its place in @p values, which are those of the rule or of its grace. */
static ccz_rc parse_field(struct cczi_value *values, enum ccz_tee tee, const char *key,
                          const struct ccz_json *j, struct cczi_at *at)
{
    size_t i = cczi_field_find(key);
    const struct cczi_field *f = &cczi_fields[i];
    size_t mark = cczi_at_key(at, key);
    if (i == cczi_fields_len)
        return cczi_at_fail(at, "policy:unknown-field", "unknown field");
    if (!(f->tees & 1u << tee))
        return cczi_at_fail(at, "policy:tee-field", "this field is not for tee \"%s\"",
                            ccz_tee_name(tee));
    ccz_rc rc = f->kind->parse(&values[i], f, j, at);
    if (rc != CCZ_OK)
        return rc;
    values[i].set = values[i].named = true;
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

/* {"until": time, <field>: <value that is accepted as well>, ..} */
static ccz_rc parse_grace(struct cczi_rule *r, const struct ccz_json *j, struct cczi_at *at)
{
    size_t mark = cczi_at_key(at, "grace"), fields = 0;
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_at_fail(at, "policy:type", "expected an object");
    size_t inner = cczi_at_key(at, "until");
    ccz_rc rc = cczi_get_time(&r->grace_until_s, ccz_json_get(j, "until"), at);
    if (rc != CCZ_OK)
        return rc;
    cczi_at_leave(at, inner);
    const char *key = NULL;
    for (const struct ccz_json *v; rc == CCZ_OK && (v = ccz_json_next(&key, j));) {
        if (strcmp(key, "until") == 0)
            continue;
        size_t i = cczi_field_find(key);
        if (i < cczi_fields_len && !(cczi_fields[i].flags & CCZI_GRACE)) {
            (void)cczi_at_key(at, key);
            return cczi_at_fail(at, "policy:grace", "no grace for who somebody is");
        }
        rc = parse_field(r->grace, r->tee, key, v, at);
        fields++;
    }
    if (rc == CCZ_OK && fields == 0)
        return cczi_at_fail(at, "policy:grace", "expected what to accept, such as \"tcb_status\"");
    if (rc == CCZ_OK)
        cczi_at_leave(at, mark);
    return rc;
}

/* Grace beside a field that is not judged grants nothing: whoever wrote it meant something else. */
static ccz_rc check_grace(const struct cczi_rule *r, struct cczi_at *at)
{
    for (size_t i = 0; i < cczi_fields_len; i++) {
        if (!r->grace[i].set || r->value[i].set)
            continue;
        (void)cczi_at_key(at, "grace");
        (void)cczi_at_key(at, cczi_fields[i].name);
        return cczi_at_fail(at, "policy:grace", "the rule does not judge this field");
    }
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
            rc = parse_field(r->value, r->tee, f->name, j, at);
        r->value[i].named = false;
        ccz_json_free(j);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static ccz_rc check_pinned(const struct cczi_rule *r, struct cczi_at *at)
{
    for (size_t i = 0; i < cczi_pins_len; i++) {
        const struct cczi_pin *p = &cczi_pins[i];
        bool all = p->tee == r->tee;
        for (size_t k = 0; k < sizeof(p->field) / sizeof(p->field[0]) && p->field[k]; k++)
            all = all && r->value[cczi_field_find(p->field[k])].named;
        if (all)
            return CCZ_OK;
    }
    return cczi_at_fail(at, "policy:unpinned", "%s", cczi_pin_text(r->tee));
}

static ccz_rc check_references(const struct cczi_rule *r, struct cczi_at *at)
{
    size_t n = 0;
    for (size_t i = 0; i < cczi_fields_len; i++)
        n += r->value[i].ref != NULL;
    return n <= CCZ_POLICY_RULE_REFERENCES_MAX
               ? CCZ_OK
               : ccz_fail(at->err, CCZ_E_LIMIT, "policy:references", (int64_t)n,
                          "%s: more than %d fields refer to sets", at->path,
                          CCZ_POLICY_RULE_REFERENCES_MAX);
}

static ccz_rc parse_rule(struct cczi_rule *r, const struct ccz_policy *p, const struct ccz_json *j,
                         struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_at_fail(at, "policy:type", "expected an object");
    ccz_rc rc = parse_name(r, p, j, at);
    if (rc == CCZ_OK)
        rc = parse_tee(r, j, at);
    const char *key = NULL;
    for (const struct ccz_json *v; rc == CCZ_OK && (v = ccz_json_next(&key, j));) {
        if (strcmp(key, "name") == 0 || strcmp(key, "tee") == 0)
            continue;
        if (strcmp(key, "grace") == 0)
            rc = parse_grace(r, v, at);
        else if (strcmp(key, "description") != 0)
            rc = parse_field(r->value, r->tee, key, v, at);
        else if (ccz_json_type(v) != CCZ_JSON_STRING)
            rc = cczi_at_fail(at, "policy:type", "description: expected a string");
    }
    if (rc == CCZ_OK)
        rc = check_pinned(r, at);
    if (rc == CCZ_OK)
        rc = check_references(r, at);
    if (rc == CCZ_OK)
        rc = parse_defaults(r, at);
    return rc == CCZ_OK ? check_grace(r, at) : rc;
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
    struct cczi_at at = {.policy = p, .err = err};
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
        for (size_t k = 0; k < cczi_fields_len; k++) {
            free(p->rule[i].value[k].list);
            free(p->rule[i].grace[k].list);
        }
    free(p->rule);
    cczi_refs_free(p);
    free(p);
}

/* -------------------------------------------------------------------------------- evaluation */

enum ccz_policy_outcome cczi_judge(const struct cczi_rule *r, size_t i,
                                   const struct ccz_claims *claims, int64_t now_s)
{
    struct cczi_check c = {&cczi_fields[i], &r->value[i], claims, now_s};
    if (!r->value[i].set)
        return CCZ_POLICY_NOT_JUDGED;
    if (c.field->kind->holds(&c))
        return CCZ_POLICY_PASS;
    c.value = &r->grace[i];
    return c.value->set && now_s < r->grace_until_s && c.field->kind->holds(&c) ? CCZ_POLICY_GRACE
                                                                                : CCZ_POLICY_FAIL;
}

void cczi_want(struct ccz_buf *out, const struct cczi_rule *r, size_t i,
               const struct ccz_claims *claims, int64_t now_s, bool brief)
{
    const struct cczi_field *f = &cczi_fields[i];
    const struct cczi_check grace = {f, &r->grace[i], claims, now_s};
    char until[21];
    const struct cczi_ref *ref = r->value[i].ref;
    const struct cczi_entry *e = ref && claims ? cczi_ref_find(ref, cczi_claim(f, claims)) : NULL;
    if (brief && e && !cczi_entry_holds(e, now_s)) { /* it was one of them */
        ccz_time_format(until, e->until_s);
        ccz_buf_printf(out, "%s@%u: %s ended %s", ref->name, ref->version, e->name, until);
        return;
    }
    f->kind->want(out, f, &r->value[i], brief);
    if (!r->grace[i].set)
        return;
    ccz_time_format(until, r->grace_until_s);
    if (brief) { /* only if it would have helped */
        if (now_s >= r->grace_until_s && f->kind->holds(&grace))
            ccz_buf_printf(out, " (grace ended %s)", until);
        return;
    }
    ccz_buf_printf(out, "; %s %s also ", now_s < r->grace_until_s ? "until" : "ended", until);
    f->kind->want(out, f, &r->grace[i], false);
}

/* How far one rule goes with these claims. */
struct progress {
    const struct cczi_rule *rule;
    size_t rank;  /* fields of the table that passed; 0 = not even the TEE */
    bool accepts; /* all of them */
    bool grace;   /* some only for a time */
};

static struct progress follow(const struct cczi_rule *r, const struct ccz_claims *claims,
                              int64_t now_s)
{
    struct progress p = {.rule = r};
    if (claims->tee != r->tee)
        return p;
    for (size_t i = 0; i < cczi_fields_len; i++) {
        enum ccz_policy_outcome o = cczi_judge(r, i, claims, now_s);
        p.rank = i + 1;
        p.grace = p.grace || o == CCZ_POLICY_GRACE;
        if (o == CCZ_POLICY_FAIL)
            return p;
    }
    p.accepts = true;
    return p;
}

static ccz_rc refuse(const struct progress *p, const struct ccz_claims *claims, int64_t now_s,
                     struct ccz_err *err)
{
    if (!err)
        return CCZ_E_POLICY;
    const char *field = "tee", *hint = NULL;
    CCZ_AUTO_BUF got, want;
    ccz_buf_init(&got, CCZI_TEXT_SIZE_MAX);
    ccz_buf_init(&want, CCZI_TEXT_SIZE_MAX);
    if (p->rank == 0) {
        ccz_buf_put_str(&got, ccz_tee_name(claims->tee));
        ccz_buf_put_str(&want, ccz_tee_name(p->rule->tee));
    } else {
        size_t i = p->rank - 1;
        const struct cczi_field *f = &cczi_fields[i];
        field = f->name;
        hint = f->hint;
        f->kind->got(&got, &(struct cczi_check){f, &p->rule->value[i], claims, now_s});
        cczi_want(&want, p->rule, i, claims, now_s, true);
    }
    char where[CCZ_ERR_WHERE_SIZE];
    (void)snprintf(where, sizeof(where), "policy:%s", field);
    ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, where, ccz_buf_str(&got), ccz_buf_str(&want));
    (void)snprintf(err->msg, sizeof(err->msg), "rule \"%s\" does not accept this %s", p->rule->name,
                   field);
    return hint ? ccz_hint(err, rc, hint) : rc;
}

/* A set that is not there decides nothing, and so does the policy that relies on it. */
static ccz_rc refuse_lack(const struct cczi_lack *l, struct ccz_err *err)
{
    ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, l->where, l->got, l->expected);
    if (err)
        (void)snprintf(err->msg, sizeof(err->msg),
                       "the policy relies on reference values \"%s\", and does not have them",
                       l->name);
    return ccz_hint(err, rc,
                    "a policy without its reference values refuses everybody: put them "
                    "(`cczoo kms reference put`), or name others");
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
    struct cczi_lack lack;
    if (cczi_ref_lack(&lack, p))
        return refuse_lack(&lack, err);
    /* Claims are made at one time and may be judged later. */
    if (now_s > claims->collateral_expires_s) {
        char now[21], end[21], expected[40];
        ccz_time_format(now, now_s);
        ccz_time_format(end, claims->collateral_expires_s);
        (void)snprintf(expected, sizeof(expected), "%s or earlier", end);
        ccz_rc rc = ccz_refuse(err, CCZ_E_POLICY, "policy:collateral-expired", now, expected);
        return ccz_hint(err, rc, "fetch the collateral again and verify the evidence with it");
    }
    struct progress best = {0};
    for (size_t i = 0; i < p->len; i++) {
        struct progress now = follow(&p->rule[i], claims, now_s);
        if (now.accepts) {
            verdict->accept = true;
            memcpy(verdict->rule, now.rule->name, sizeof(verdict->rule));
            verdict->grace_until_s = now.grace ? now.rule->grace_until_s : 0;
            cczi_ref_decided(verdict->references, now.rule, claims);
            return CCZ_OK;
        }
        if (!best.rule || now.rank > best.rank)
            best = now;
    }
    memcpy(verdict->nearest, best.rule->name, sizeof(verdict->nearest));
    return refuse(&best, claims, now_s, err);
}

void ccz_policy_claim(struct ccz_buf *out, const char *where, const struct ccz_claims *claims,
                      int64_t now_s)
{
    static const char prefix[] = "policy:";
    const struct cczi_value nothing = {0}; /* a rule that objects to nothing in particular */
    if (strncmp(where, prefix, sizeof(prefix) - 1) != 0)
        return;
    const char *name = where + sizeof(prefix) - 1;
    size_t i = cczi_field_find(name);
    if (strcmp(name, "tee") == 0)
        ccz_buf_put_str(out, ccz_tee_name(claims->tee));
    else if (i < cczi_fields_len)
        cczi_fields[i].kind->got(out,
                                 &(struct cczi_check){&cczi_fields[i], &nothing, claims, now_s});
}
