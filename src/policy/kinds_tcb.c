/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of fields about what vendors publish: product lines, TCB statuses, advisories, dates. */
#include "policy/policy_priv.h"

#include <stdio.h>
#include <string.h>

/* ------------------------- enumerators: equal to one of a list; num = set of them, 1 << enumerator */

/* Name of the enumerator @p e that a rule may accept; NULL behind the last one. */
static const char *enum_name(const struct cczi_field *f, unsigned e)
{
    if (f->kind == &cczi_kind_products)
        return e <= CCZ_SNP_TURIN ? ccz_snp_product_name((enum ccz_snp_product)e) : NULL;
    if (f->kind == &cczi_kind_signers)
        return e <= CCZ_SNP_VLEK ? ccz_snp_signer_name((enum ccz_snp_signer)e) : NULL;
    /* a revoked platform key proves nothing, so that "Revoked" is none of them */
    return e < CCZ_TCB_REVOKED ? ccz_tcb_status_name((enum ccz_tcb_status)e) : NULL;
}

/* Bits of all enumerators; zero is "none" in every enumeration. */
static uint64_t enum_bit(const struct cczi_field *f, const char *name)
{
    for (unsigned e = 1; enum_name(f, e); e++)
        if (strcmp(name, enum_name(f, e)) == 0)
            return UINT64_C(1) << e;
    return 0;
}

static ccz_rc enum_item(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at)
{
    const char *name = ccz_json_str(j);
    uint64_t bit = name ? enum_bit(f, name) : 0;
    if (bit == 0 && f->kind == &cczi_kind_statuses)
        return cczi_at_fail(at, "policy:status",
                            "expected a TCB status other than Revoked, such as \"UpToDate\"");
    if (bit == 0)
        return cczi_at_fail(at, "policy:name-of", "expected a name such as \"%s\"",
                            enum_name(f, 1));
    if (out->num & bit)
        return cczi_at_fail(at, "policy:duplicate", "stands in this list twice");
    out->num |= bit;
    return CCZ_OK;
}

static ccz_rc enum_parse(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    return cczi_one_or_list(out, f, j, at, enum_item);
}

static ccz_rc statuses_parse(struct cczi_value *out, const struct cczi_field *f,
                             const struct ccz_json *j, struct cczi_at *at)
{
    ccz_rc rc = cczi_check_list(j, false, at);
    return rc == CCZ_OK ? enum_parse(out, f, j, at) : rc;
}

static unsigned claim_enum(const struct cczi_field *f, const struct ccz_claims *c)
{
    unsigned e;
    memcpy(&e, cczi_claim(f, c), sizeof(e));
    return e;
}
_Static_assert(sizeof(enum ccz_tcb_status) == sizeof(unsigned) &&
                   sizeof(enum ccz_snp_product) == sizeof(unsigned) &&
                   sizeof(enum ccz_snp_signer) == sizeof(unsigned),
               "claim_enum() reads them as unsigned");

static bool enum_holds(const struct cczi_check *c)
{
    unsigned is = claim_enum(c->field, c->claims);
    return is < 64 && (c->value->num & UINT64_C(1) << is); /* bit 0 is never set */
}

static void enum_got(struct ccz_buf *out, const struct cczi_check *c)
{
    unsigned is = claim_enum(c->field, c->claims);
    const char *name = c->field->kind == &cczi_kind_statuses
                           ? ccz_tcb_status_name((enum ccz_tcb_status)is)
                           : enum_name(c->field, is);
    ccz_buf_put_str(out, name ? name : "none");
}

static void enum_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                      bool brief)
{
    (void)brief;
    bool first = true;
    for (unsigned e = 1; enum_name(f, e); e++) {
        if (!(v->num & UINT64_C(1) << e))
            continue;
        ccz_buf_printf(out, "%s%s", first ? "" : ", ", enum_name(f, e));
        first = false;
    }
}

static void enum_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    ccz_buf_printf(out, "\"%s\"", enum_name(f, claim_enum(f, claims)));
}

/* The status that was seen, and the one that it should become. */
static void statuses_draft(struct ccz_buf *out, const struct cczi_field *f,
                           const struct ccz_claims *claims)
{
    ccz_buf_printf(out, "[\"%s\"", ccz_tcb_status_name(CCZ_TCB_UP_TO_DATE));
    if (claim_enum(f, claims) != CCZ_TCB_UP_TO_DATE)
        ccz_buf_printf(out, ", \"%s\"", enum_name(f, claim_enum(f, claims)));
    ccz_buf_put_str(out, "]");
}

static void enum_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    CCZ_AUTO_BUF names;
    ccz_buf_init(&names, CCZI_TEXT_SIZE_MAX);
    for (unsigned e = 1; enum_name(f, e); e++)
        ccz_buf_printf(&names, "%s\"%s\"", e > 1 ? ", " : "", enum_name(f, e));
    const char *text = ccz_buf_str(&names);
    static const char list[] =
        "{\"type\": \"array\", \"minItems\": 1, \"uniqueItems\": true, \"items\": {\"enum\": [";
    if (f->kind == &cczi_kind_statuses)
        ccz_buf_printf(out, "%s%s]}}", list, text);
    else
        ccz_buf_printf(out, "{\"anyOf\": [{\"enum\": [%s]}, %s%s]}}]}", text, list, text);
}

const struct cczi_kind cczi_kind_products = {enum_parse, enum_holds, enum_got,
                                             enum_want,  enum_draft, enum_schema};
const struct cczi_kind cczi_kind_signers = {enum_parse, enum_holds, enum_got,
                                            enum_want,  enum_draft, enum_schema};
const struct cczi_kind cczi_kind_statuses = {statuses_parse, enum_holds,     enum_got,
                                             enum_want,      statuses_draft, enum_schema};

/* ------------- advisories: {"deny": [..], "allow": [..]}; num = 1: an allow list is given */

enum { ALLOWED = 'a', DENIED = 'd' };
struct advisory {
    char list; /* ALLOWED or DENIED */
    char id[CCZ_ADVISORY_SIZE];
};

static ccz_rc advisory_items(struct cczi_value *out, char list, const struct ccz_json *j,
                             struct cczi_at *at)
{
    ccz_rc rc = cczi_check_list(j, true, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        struct advisory a = {.list = list};
        const char *id = ccz_json_str(ccz_json_at(j, i));
        size_t mark = cczi_at_index(at, i);
        if (!id || id[0] == 0 || strlen(id) >= sizeof(a.id)) {
            rc = cczi_at_fail(at, "policy:advisory",
                              "expected an advisory id such as \"INTEL-SA-00615\"");
        } else {
            memcpy(a.id, id, strlen(id));
            rc = cczi_list_add(out, &a, sizeof(a), at);
        }
        cczi_at_leave(at, mark);
    }
    return rc;
}

static ccz_rc advisories_parse(struct cczi_value *out, const struct cczi_field *f,
                               const struct ccz_json *j, struct cczi_at *at)
{
    (void)f;
    static const char *const members[] = {"deny", "allow", NULL};
    static const char lists[] = {DENIED, ALLOWED};
    ccz_rc rc = cczi_check_members(j, members, at);
    if (rc == CCZ_OK && ccz_json_len(j) == 0)
        rc = cczi_at_fail(at, "policy:list", "expected \"deny\", \"allow\" or both");
    for (size_t i = 0; i < 2 && rc == CCZ_OK; i++) {
        const struct ccz_json *items = ccz_json_get(j, members[i]);
        size_t mark = cczi_at_key(at, members[i]);
        if (items)
            rc = advisory_items(out, lists[i], items, at);
        if (items && lists[i] == ALLOWED)
            out->num = 1;
        cczi_at_leave(at, mark);
    }
    return rc;
}

static bool advisory_listed(const struct cczi_value *v, char list, const char *id)
{
    for (size_t i = 0; i < v->len; i++) {
        struct advisory a;
        memcpy(&a, v->list + i * sizeof(a), sizeof(a));
        if (a.list == list && strcmp(a.id, id) == 0)
            return true;
    }
    return false;
}

/* The first advisory that may not stand against the platform, or NULL. */
static const char *advisory_refused(const struct cczi_check *c)
{
    for (size_t i = 0; i < c->claims->advisory_len && i < CCZ_ADVISORIES_MAX; i++) {
        const char *id = c->claims->advisory[i];
        if (advisory_listed(c->value, DENIED, id) ||
            (c->value->num && !advisory_listed(c->value, ALLOWED, id)))
            return id;
    }
    return NULL;
}

static bool advisories_holds(const struct cczi_check *c)
{
    return !advisory_refused(c);
}

static void advisories_got(struct ccz_buf *out, const struct cczi_check *c)
{
    const char *id = advisory_refused(c);
    if (id || c->claims->advisory_len == 0) {
        ccz_buf_put_str(out, id ? id : "none");
        return;
    }
    for (size_t i = 0; i < c->claims->advisory_len && i < CCZ_ADVISORIES_MAX; i++)
        ccz_buf_printf(out, "%s%s", i ? ", " : "", c->claims->advisory[i]);
}

static void put_advisories(struct ccz_buf *out, const struct cczi_value *v, char list)
{
    const char *between = " ";
    for (size_t i = 0; i < v->len; i++) {
        struct advisory a;
        char id[4 * CCZ_ADVISORY_SIZE];
        memcpy(&a, v->list + i * sizeof(a), sizeof(a));
        if (a.list != list)
            continue;
        ccz_escape(id, sizeof(id), ccz_span_str(a.id)); /* a rule may say anything */
        ccz_buf_printf(out, "%s%s", between, id);
        between = ", ";
    }
    if (between[0] == ' ')
        ccz_buf_put_str(out, " none");
}

/* In brief by what the rule says at all: the lists may be long. */
static void advisories_want(struct ccz_buf *out, const struct cczi_field *f,
                            const struct cczi_value *v, bool brief)
{
    (void)f;
    bool denies = false;
    for (size_t i = 0; i < v->len; i++)
        denies = denies || v->list[i * sizeof(struct advisory)] == DENIED;
    ccz_buf_put_str(out, v->num ? "only those that the rule allows" : "");
    if (v->num && !brief) {
        ccz_buf_put_str(out, ":");
        put_advisories(out, v, ALLOWED);
    }
    if (!denies && v->num)
        return;
    ccz_buf_put_str(out, v->num ? "; none that the rule denies" : "none that the rule denies");
    if (!brief) {
        ccz_buf_put_str(out, ":");
        put_advisories(out, v, DENIED);
    }
}

static void advisories_draft(struct ccz_buf *out, const struct cczi_field *f,
                             const struct ccz_claims *claims)
{
    (void)f;
    if (claims->advisory_len == 0)
        return;
    ccz_buf_put_str(out, "{\"allow\": [");
    for (size_t i = 0; i < claims->advisory_len && i < CCZ_ADVISORIES_MAX; i++) {
        if (i)
            ccz_buf_put_str(out, ", ");
        ccz_json_put_str(out, ccz_span_str(claims->advisory[i]));
    }
    ccz_buf_put_str(out, "]}");
}

static void advisories_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    (void)f;
    char list[200];
    (void)snprintf(list, sizeof(list),
                   "{\"type\": \"array\", \"maxItems\": %d, \"uniqueItems\": true, \"items\": "
                   "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": %d}}",
                   CCZ_POLICY_LIST_MAX, CCZ_ADVISORY_SIZE - 1);
    ccz_buf_printf(out,
                   "{\"type\": \"object\", \"minProperties\": 1, \"additionalProperties\": false, "
                   "\"properties\": {\"deny\": %s, \"allow\": %s}}",
                   list, list);
}

const struct cczi_kind cczi_kind_advisories = {advisories_parse, advisories_holds,
                                               advisories_got,   advisories_want,
                                               advisories_draft, advisories_schema};

/* ----------------------------------------------------- since: {"min": time}; age: whole seconds */

static int64_t claim_time(const struct cczi_field *f, const struct ccz_claims *c)
{
    int64_t t;
    memcpy(&t, cczi_claim(f, c), sizeof(t));
    return t;
}

static ccz_rc since_parse(struct cczi_value *out, const struct cczi_field *f,
                          const struct ccz_json *j, struct cczi_at *at)
{
    (void)f;
    static const char *const members[] = {"min", NULL};
    int64_t t;
    ccz_rc rc = cczi_check_members(j, members, at);
    if (rc != CCZ_OK)
        return rc;
    size_t mark = cczi_at_key(at, "min");
    rc = cczi_get_time(&t, ccz_json_get(j, "min"), at);
    if (rc == CCZ_OK && t < 0)
        rc = cczi_at_fail(at, "policy:time", "expected a time after 1970");
    cczi_at_leave(at, mark);
    out->num = rc == CCZ_OK ? (uint64_t)t : 0;
    return rc;
}

static bool since_holds(const struct cczi_check *c)
{
    return claim_time(c->field, c->claims) >= (int64_t)c->value->num;
}

static void put_time(struct ccz_buf *out, int64_t t_s)
{
    char text[21];
    ccz_time_format(text, t_s);
    ccz_buf_put_str(out, text);
}

static void since_got(struct ccz_buf *out, const struct cczi_check *c)
{
    put_time(out, claim_time(c->field, c->claims));
}

static void since_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                       bool brief)
{
    (void)f, (void)brief;
    put_time(out, (int64_t)v->num);
    ccz_buf_put_str(out, " or later");
}

static void since_draft(struct ccz_buf *out, const struct cczi_field *f,
                        const struct ccz_claims *claims)
{
    ccz_buf_put_str(out, "{\"min\": \"");
    put_time(out, claim_time(f, claims));
    ccz_buf_put_str(out, "\"}");
}

static void since_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    (void)f;
    ccz_buf_put_str(out, "{\"type\": \"object\", \"required\": [\"min\"], "
                         "\"additionalProperties\": false, \"properties\": {\"min\": {\"$ref\": "
                         "\"#/$defs/time\"}}}");
}

const struct cczi_kind cczi_kind_since = {since_parse, since_holds, since_got,
                                          since_want,  since_draft, since_schema};

static ccz_rc age_parse(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at)
{
    (void)f;
    return cczi_get_uint(&out->num, j, INT32_MAX, at);
}

static int64_t claim_age(const struct cczi_check *c)
{
    return c->now_s - claim_time(c->field, c->claims);
}

static bool age_holds(const struct cczi_check *c)
{
    return claim_age(c) <= (int64_t)c->value->num;
}

static void age_got(struct ccz_buf *out, const struct cczi_check *c)
{
    ccz_buf_printf(out, "%lld", (long long)claim_age(c));
}

static void age_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                     bool brief)
{
    (void)f, (void)brief;
    ccz_buf_printf(out, "at most %llu", (unsigned long long)v->num);
}

/* How old collateral may be is not read off good evidence. */
static void age_draft(struct ccz_buf *out, const struct cczi_field *f,
                      const struct ccz_claims *claims)
{
    (void)out, (void)f, (void)claims;
}

static void age_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    (void)f;
    ccz_buf_printf(out, "{\"type\": \"integer\", \"minimum\": 0, \"maximum\": %d}", INT32_MAX);
}

const struct cczi_kind cczi_kind_age = {age_parse, age_holds, age_got,
                                        age_want,  age_draft, age_schema};
