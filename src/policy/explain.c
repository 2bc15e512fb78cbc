/* SPDX-License-Identifier: Apache-2.0 */
/* A policy in words, and field by field against claims. */
#include "policy/policy_priv.h"

#include <string.h>

const char *ccz_policy_outcome_name(enum ccz_policy_outcome o)
{
    switch (o) {
    case CCZ_POLICY_NOT_JUDGED:
        return "not-judged";
    case CCZ_POLICY_PASS:
        return "pass";
    case CCZ_POLICY_GRACE:
        return "grace";
    case CCZ_POLICY_FAIL:
        return "fail";
    }
    return "fail";
}

/* One question: these claims (or none) at this time. */
struct asked {
    const struct ccz_claims *claims;
    int64_t now_s;
    struct ccz_buf *out;
    bool lacks; /* reference values: then no rule accepts anybody */
};

static bool has_grace(const struct cczi_rule *r)
{
    for (size_t i = 0; i < cczi_fields_len; i++)
        if (r->grace[i].set)
            return true;
    return false;
}

/* Fields are compared only with claims of the rule's own TEE. */
static bool comparable(const struct asked *a, const struct cczi_rule *r)
{
    return a->claims && a->claims->tee == r->tee;
}

static bool rule_accepts(const struct asked *a, const struct cczi_rule *r)
{
    bool all = comparable(a, r) && !a->lacks;
    for (size_t i = 0; i < cczi_fields_len && all; i++)
        all = cczi_judge(r, i, a->claims, a->now_s) != CCZ_POLICY_FAIL;
    return all;
}

/* Both texts of one field; empty if the rule does not judge it. */
static void field_texts(struct ccz_buf *got, struct ccz_buf *want, const struct asked *a,
                        const struct cczi_rule *r, size_t i)
{
    const struct cczi_field *f = &cczi_fields[i];
    ccz_buf_init(got, CCZI_TEXT_SIZE_MAX);
    ccz_buf_init(want, CCZI_TEXT_SIZE_MAX);
    if (!r->value[i].set)
        return;
    if (comparable(a, r))
        f->kind->got(got, &(struct cczi_check){f, &r->value[i], a->claims, a->now_s});
    cczi_want(want, r, i, a->claims, a->now_s, false);
}

/* ---------------------------------------------------------------------------------------- JSON */

static void put_time(struct ccz_buf *out, bool given, int64_t t_s)
{
    char text[21];
    ccz_time_format(text, t_s);
    ccz_buf_printf(out, given ? "\"%s\"" : "null", text);
}

static void json_text(struct ccz_buf *out, const char *name, const struct ccz_buf *text)
{
    ccz_buf_printf(out, ",\"%s\":", name);
    if (text->size)
        ccz_json_put_str(out, ccz_buf_span(text));
    else
        ccz_buf_put_str(out, "null");
    out->bad = out->bad || text->bad;
}

static void json_rule(const struct asked *a, const struct cczi_rule *r)
{
    struct ccz_buf *out = a->out;
    ccz_buf_printf(out, "{\"rule\":\"%s\",\"tee\":\"%s\"", r->name, ccz_tee_name(r->tee));
    if (a->claims)
        ccz_buf_printf(out, ",\"accept\":%s", rule_accepts(a, r) ? "true" : "false");
    ccz_buf_put_str(out, ",\"grace_until\":");
    put_time(out, has_grace(r), r->grace_until_s);
    ccz_buf_put_str(out, ",\"fields\":[");
    const char *comma = "";
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        if (!(f->tees & 1u << r->tee))
            continue;
        CCZ_AUTO_BUF got, want;
        field_texts(&got, &want, a, r, i);
        ccz_buf_printf(out, "%s{\"field\":\"%s\",\"named\":%s,\"judged\":%s", comma, f->name,
                       r->value[i].named ? "true" : "false", r->value[i].set ? "true" : "false");
        if (comparable(a, r)) {
            ccz_buf_printf(out, ",\"outcome\":\"%s\"",
                           ccz_policy_outcome_name(cczi_judge(r, i, a->claims, a->now_s)));
            json_text(out, "got", &got);
        }
        json_text(out, "expected", &want);
        ccz_buf_put_str(out, "}");
        comma = ",";
    }
    ccz_buf_put_str(out, "]}");
}

static void json(const struct asked *a, const struct ccz_policy *p)
{
    struct ccz_buf *out = a->out;
    ccz_buf_put_str(out, "{");
    if (a->claims) {
        struct ccz_verdict v;
        struct ccz_err err;
        bool accepts = ccz_policy_eval(&v, p, a->claims, a->now_s, &err) == CCZ_OK;
        ccz_buf_printf(out, "\"accept\":%s", accepts ? "true" : "false");
        ccz_buf_printf(
            out, accepts ? ",\"where\":null,\"rule\":\"%s\"" : ",\"where\":\"%s\",\"rule\":null",
            accepts ? v.rule : err.where);
        ccz_buf_put_str(out, ",\"grace_until\":");
        put_time(out, v.grace_until_s != 0, v.grace_until_s);
        ccz_buf_put_str(out, ",");
    }
    ccz_buf_put_str(out, "\"rules\":[");
    for (size_t i = 0; i < p->len; i++) {
        ccz_buf_put_str(out, i ? "," : "");
        json_rule(a, &p->rule[i]);
    }
    ccz_buf_put_str(out, "]}\n");
}

/* ---------------------------------------------------------------------------------------- text */

static void text_field(const struct asked *a, const struct cczi_rule *r, size_t i)
{
    CCZ_AUTO_BUF got, want;
    field_texts(&got, &want, a, r, i);
    const char *by = r->value[i].named ? "named" : "default";
    ccz_buf_printf(a->out, "  %-22s %-8s", cczi_fields[i].name, by);
    if (!comparable(a, r)) {
        ccz_buf_printf(a->out, " %s\n", ccz_buf_str(&want));
    } else {
        enum ccz_policy_outcome o = cczi_judge(r, i, a->claims, a->now_s);
        ccz_buf_printf(a->out, " %-6s got %s", ccz_policy_outcome_name(o), ccz_buf_str(&got));
        if (o != CCZ_POLICY_PASS) /* else the two say the same */
            ccz_buf_printf(a->out, ", expected %s", ccz_buf_str(&want));
        ccz_buf_put_str(a->out, "\n");
    }
    a->out->bad = a->out->bad || got.bad || want.bad;
}

/* Names of the fields of its TEE about which the rule says nothing, broken into lines. */
static void text_not_judged(const struct asked *a, const struct cczi_rule *r)
{
    enum { WIDTH = 100 };
    size_t column = WIDTH;
    bool any = false;
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        if (r->value[i].set || !(f->tees & 1u << r->tee))
            continue;
        size_t size = strlen(f->name) + 2;
        if (!any)
            ccz_buf_put_str(a->out, "  not judged:");
        if (any)
            ccz_buf_put_str(a->out, ",");
        if (column + size > WIDTH) {
            ccz_buf_put_str(a->out, "\n   ");
            column = 3;
        }
        ccz_buf_printf(a->out, " %s", f->name);
        column += size;
        any = true;
    }
    if (any)
        ccz_buf_put_str(a->out, "\n");
}

static void text_rule(const struct asked *a, const struct cczi_rule *r)
{
    struct ccz_buf *out = a->out;
    ccz_buf_printf(out, "rule \"%s\"", r->name);
    if (!a->claims)
        ccz_buf_printf(out, " accepts evidence of tee %s of which all of this holds:\n",
                       ccz_tee_name(r->tee));
    else if (!comparable(a, r))
        ccz_buf_printf(out, " refuses: it is about tee %s, the evidence is of tee %s\n",
                       ccz_tee_name(r->tee), ccz_tee_name(a->claims->tee));
    else
        ccz_buf_printf(out, " %s:\n", rule_accepts(a, r) ? "accepts" : "refuses");
    if (a->claims && !comparable(a, r))
        return;
    for (size_t i = 0; i < cczi_fields_len; i++)
        if (r->value[i].set)
            text_field(a, r, i);
    text_not_judged(a, r);
}

static void text(const struct asked *a, const struct ccz_policy *p)
{
    if (p->len == 0)
        ccz_buf_put_str(a->out, "the policy has no rules: it refuses everybody\n");
    for (size_t i = 0; i < p->len; i++) {
        ccz_buf_put_str(a->out, i ? "\n" : "");
        text_rule(a, &p->rule[i]);
    }
    struct cczi_lack lack;
    if (cczi_ref_lack(&lack, p))
        ccz_buf_printf(a->out,
                       "\nthe reference values \"%s\" are not at hand: every rule refuses\n",
                       lack.name);
    if (a->claims && a->now_s > a->claims->collateral_expires_s)
        ccz_buf_put_str(a->out, "\nthe collateral that judged the evidence has expired: every rule "
                                "refuses\n");
}

ccz_rc ccz_policy_explain(struct ccz_buf *out, const struct ccz_policy *p,
                          const struct ccz_claims *claims, int64_t now_s,
                          enum ccz_policy_format format, struct ccz_err *err)
{
    size_t before = out->size;
    struct cczi_lack lack;
    const struct asked a = {claims, now_s, out, cczi_ref_lack(&lack, p)};
    if (format == CCZ_POLICY_JSON)
        json(&a, p);
    else
        text(&a, p);
    if (!out->bad)
        return CCZ_OK;
    out->size = before;
    return ccz_fail(err, CCZ_E_LIMIT, "policy:explain", (int64_t)out->max_size,
                    "the explanation is larger than the buffer may grow");
}
