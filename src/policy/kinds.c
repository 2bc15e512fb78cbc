/* SPDX-License-Identifier: Apache-2.0 */
/* How each kind of field is read from a rule, judged against claims, and drafted from good ones. */
#include "policy/policy_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_SIZE_MAX = 64, ALLOWED = 'a', DENIED = 'd' };

static const uint8_t *claim(const struct cczi_field *f, const struct ccz_claims *c)
{
    return (const uint8_t *)c + f->offset;
}

/* Claims of 2 or 4 bytes. */
static uint64_t claim_num(const struct cczi_field *f, const struct ccz_claims *c)
{
    uint16_t v16;
    uint32_t v32;
    if (f->size == sizeof(v16)) {
        memcpy(&v16, claim(f, c), sizeof(v16));
        return v16;
    }
    memcpy(&v32, claim(f, c), sizeof(v32));
    return v32;
}

static uint64_t num_max(const struct cczi_field *f)
{
    return f->size == sizeof(uint16_t) ? UINT16_MAX : UINT32_MAX;
}

/* ------------------------------------------------------------------------------- shared parsing */

/* Appends an element of `size` bytes; a value that is there already is a mistake worth telling. */
static ccz_rc list_add(struct cczi_value *v, const void *element, size_t size, struct cczi_at *at)
{
    for (size_t i = 0; i < v->len; i++)
        if (memcmp(v->list + i * size, element, size) == 0)
            return cczi_at_fail(at, "policy:duplicate", "stands in this list twice");
    uint8_t *grown = realloc(v->list, (v->len + 1) * size);
    if (!grown)
        return ccz_fail(at->err, CCZ_E_NOMEM, "policy:parse", 0, "out of memory");
    v->list = grown;
    memcpy(v->list + v->len++ * size, element, size);
    return CCZ_OK;
}

static ccz_rc check_list(const struct ccz_json *j, bool may_be_empty, struct cczi_at *at)
{
    size_t len = ccz_json_len(j);
    if (ccz_json_type(j) != CCZ_JSON_ARRAY)
        return cczi_at_fail(at, "policy:type", "expected a list");
    if (len == 0 && !may_be_empty)
        return cczi_at_fail(at, "policy:list",
                            "an empty list accepts nothing: leave the field out or fill it");
    if (len > CCZ_POLICY_LIST_MAX)
        return ccz_fail(at->err, CCZ_E_LIMIT, "policy:list-size", (int64_t)len,
                        "%s: more than %d values", at->path, CCZ_POLICY_LIST_MAX);
    return CCZ_OK;
}

typedef ccz_rc (*item_fn)(struct cczi_value *out, const struct cczi_field *f,
                          const struct ccz_json *j, struct cczi_at *at);

/* One value, or a list of them. */
static ccz_rc one_or_list(struct cczi_value *out, const struct cczi_field *f,
                          const struct ccz_json *j, struct cczi_at *at, item_fn item)
{
    if (ccz_json_type(j) != CCZ_JSON_ARRAY)
        return item(out, f, j, at);
    ccz_rc rc = check_list(j, false, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_index(at, i);
        rc = item(out, f, ccz_json_at(j, i), at);
        cczi_at_leave(at, mark);
    }
    return rc;
}

/* Member `key` of an object that may only hold the keys in `known` (NULL-terminated). */
static ccz_rc check_members(const struct ccz_json *j, const char *const *known, struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_at_fail(at, "policy:type", "expected an object");
    for (size_t i = 0; i < ccz_json_len(j); i++) {
        const char *key;
        (void)ccz_json_member(&key, j, i);
        size_t k = 0;
        while (known[k] && strcmp(known[k], key) != 0)
            k++;
        if (!known[k]) {
            (void)cczi_at_key(at, key);
            return cczi_at_fail(at, "policy:unknown-field", "unknown field");
        }
    }
    return CCZ_OK;
}

static ccz_rc get_uint(uint64_t *out, const struct ccz_json *j, uint64_t max, struct cczi_at *at)
{
    int64_t v;
    if (!ccz_json_int(&v, j))
        return cczi_at_fail(at, "policy:type", "expected a whole number");
    if (v < 0 || (uint64_t)v > max)
        return cczi_at_fail(at, "policy:range", "expected 0 to %llu", (unsigned long long)max);
    *out = (uint64_t)v;
    return CCZ_OK;
}

static ccz_rc get_hex(uint8_t *out, size_t size, const struct ccz_json *j, struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_STRING)
        return cczi_at_fail(at, "policy:type", "expected a string of %zu hex digits", 2 * size);
    struct ccz_span text = ccz_json_bytes(j);
    if (ccz_unhex(out, size, (const char *)text.ptr, text.size) != CCZ_OK)
        return cczi_at_fail(at, "policy:hex", "expected %zu hex digits", 2 * size);
    return CCZ_OK;
}

static ccz_rc get_time(int64_t *out, const struct ccz_json *j, struct cczi_at *at)
{
    struct ccz_span text = ccz_json_bytes(j);
    if (ccz_json_type(j) != CCZ_JSON_STRING ||
        ccz_time_parse(out, (const char *)text.ptr, text.size) != CCZ_OK)
        return cczi_at_fail(at, "policy:time", "expected a time as \"2027-01-01T00:00:00Z\"");
    return CCZ_OK;
}

/* "<first>", or "<first> or N others": what a refusal shows of a list. */
static ccz_rc refuse_list(struct ccz_err *err, const char *where, const char *got,
                          const char *first, size_t len)
{
    char expected[CCZ_ERR_VALUE_SIZE];
    if (len > 1)
        (void)snprintf(expected, sizeof(expected), "%.96s or %zu other%s", first, len - 1,
                       len > 2 ? "s" : "");
    else
        (void)snprintf(expected, sizeof(expected), "%s", first);
    return ccz_refuse(err, CCZ_E_POLICY, where, got, expected);
}

/* ------------------------------------------------------------- flag: must be allowed to be true */

static ccz_rc flag_parse(struct cczi_value *out, struct cczi_rule *rule, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    (void)rule, (void)f;
    bool v;
    if (!ccz_json_bool(&v, j))
        return cczi_at_fail(at, "policy:type", "expected true or false");
    out->num = v;
    return CCZ_OK;
}

static ccz_rc flag_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    bool is;
    memcpy(&is, claim(c->field, c->claims), sizeof(is));
    return !is || c->value->num ? CCZ_OK : ccz_refuse(err, CCZ_E_POLICY, where, "true", "false");
}

static void flag_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    bool is;
    memcpy(&is, claim(f, claims), sizeof(is));
    if (is)
        ccz_buf_put_str(out, "true");
}

const struct cczi_kind cczi_kind_flag = {flag_parse, flag_eval, flag_draft};

/* ---------------------------------------------------------------- bytes: equal to one of a list */

static ccz_rc bytes_item(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    uint8_t b[VALUE_SIZE_MAX];
    ccz_rc rc = get_hex(b, f->size, j, at);
    return rc == CCZ_OK ? list_add(out, b, f->size, at) : rc;
}

static ccz_rc bytes_parse(struct cczi_value *out, struct cczi_rule *rule,
                          const struct cczi_field *f, const struct ccz_json *j, struct cczi_at *at)
{
    (void)rule;
    return one_or_list(out, f, j, at, bytes_item);
}

static ccz_rc bytes_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    const uint8_t *is = claim(c->field, c->claims);
    size_t size = c->field->size;
    for (size_t i = 0; i < c->value->len; i++)
        if (memcmp(is, c->value->list + i * size, size) == 0) /* public values */
            return CCZ_OK;
    char got[2 * VALUE_SIZE_MAX + 1], first[2 * VALUE_SIZE_MAX + 1];
    ccz_hex(got, is, size);
    ccz_hex(first, c->value->list, size);
    return refuse_list(err, where, got, first, c->value->len);
}

static void bytes_draft(struct ccz_buf *out, const struct cczi_field *f,
                        const struct ccz_claims *claims)
{
    char hex[2 * VALUE_SIZE_MAX + 1];
    ccz_hex(hex, claim(f, claims), f->size);
    ccz_buf_printf(out, "\"%s\"", hex);
}

const struct cczi_kind cczi_kind_bytes = {bytes_parse, bytes_eval, bytes_draft};

/* --------------------------------------------------------------- number: equal to one of a list */

static ccz_rc number_item(struct cczi_value *out, const struct cczi_field *f,
                          const struct ccz_json *j, struct cczi_at *at)
{
    uint64_t v;
    ccz_rc rc = get_uint(&v, j, num_max(f), at);
    return rc == CCZ_OK ? list_add(out, &v, sizeof(v), at) : rc;
}

static ccz_rc number_parse(struct cczi_value *out, struct cczi_rule *rule,
                           const struct cczi_field *f, const struct ccz_json *j, struct cczi_at *at)
{
    (void)rule;
    return one_or_list(out, f, j, at, number_item);
}

static ccz_rc number_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    uint64_t is = claim_num(c->field, c->claims), want = 0;
    for (size_t i = c->value->len; i-- > 0;) {
        memcpy(&want, c->value->list + i * sizeof(want), sizeof(want));
        if (is == want)
            return CCZ_OK;
    }
    char got[24], first[24]; /* `want` is now the first of the list */
    (void)snprintf(got, sizeof(got), "%llu", (unsigned long long)is);
    (void)snprintf(first, sizeof(first), "%llu", (unsigned long long)want);
    return refuse_list(err, where, got, first, c->value->len);
}

static void number_draft(struct ccz_buf *out, const struct cczi_field *f,
                         const struct ccz_claims *claims)
{
    ccz_buf_printf(out, "%llu", (unsigned long long)claim_num(f, claims));
}

const struct cczi_kind cczi_kind_number = {number_parse, number_eval, number_draft};

/* ------------------------------------------------------------------------- minimum: {"min": n} */

static const char *const min_members[] = {"min", NULL};

static ccz_rc minimum_parse(struct cczi_value *out, struct cczi_rule *rule,
                            const struct cczi_field *f, const struct ccz_json *j,
                            struct cczi_at *at)
{
    (void)rule;
    ccz_rc rc = check_members(j, min_members, at);
    if (rc != CCZ_OK)
        return rc;
    (void)cczi_at_key(at, "min");
    return get_uint(&out->num, ccz_json_get(j, "min"), num_max(f), at);
}

static ccz_rc minimum_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    uint64_t is = claim_num(c->field, c->claims);
    if (is >= c->value->num)
        return CCZ_OK;
    char got[24], expected[40];
    (void)snprintf(got, sizeof(got), "%llu", (unsigned long long)is);
    (void)snprintf(expected, sizeof(expected), "at least %llu", (unsigned long long)c->value->num);
    return ccz_refuse(err, CCZ_E_POLICY, where, got, expected);
}

static void minimum_draft(struct ccz_buf *out, const struct cczi_field *f,
                          const struct ccz_claims *claims)
{
    ccz_buf_printf(out, "{\"min\": %llu}", (unsigned long long)claim_num(f, claims));
}

const struct cczi_kind cczi_kind_minimum = {minimum_parse, minimum_eval, minimum_draft};

/* ------------------------------------- mask: (claim & mask) == value, list = mask, then value */

static ccz_rc mask_parse(struct cczi_value *out, struct cczi_rule *rule, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    (void)rule;
    static const char *const members[] = {"mask", "value", NULL};
    uint8_t b[2 * VALUE_SIZE_MAX];
    ccz_rc rc = check_members(j, members, at);
    for (size_t i = 0; i < 2 && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_key(at, members[i]);
        rc = get_hex(b + i * f->size, f->size, ccz_json_get(j, members[i]), at);
        cczi_at_leave(at, mark);
    }
    for (size_t i = 0; i < f->size && rc == CCZ_OK; i++)
        if (b[f->size + i] & ~b[i]) /* could never be satisfied */
            rc = cczi_at_fail(at, "policy:mask", "value has bits outside mask");
    return rc == CCZ_OK ? list_add(out, b, 2 * f->size, at) : rc;
}

static ccz_rc mask_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    const uint8_t *is = claim(c->field, c->claims), *mask = c->value->list,
                  *want = mask + c->field->size;
    bool equal = true;
    for (size_t i = 0; i < c->field->size; i++)
        equal = equal && (is[i] & mask[i]) == want[i];
    if (equal)
        return CCZ_OK;
    char got[2 * VALUE_SIZE_MAX + 1], m[2 * VALUE_SIZE_MAX + 1], v[2 * VALUE_SIZE_MAX + 1];
    char expected[CCZ_ERR_VALUE_SIZE];
    ccz_hex(got, is, c->field->size);
    ccz_hex(m, mask, c->field->size);
    ccz_hex(v, want, c->field->size);
    (void)snprintf(expected, sizeof(expected), "%.60s under mask %.60s", v, m);
    return ccz_refuse(err, CCZ_E_POLICY, where, got, expected);
}

static void mask_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    uint8_t ones[VALUE_SIZE_MAX];
    char m[2 * VALUE_SIZE_MAX + 1], v[2 * VALUE_SIZE_MAX + 1];
    memset(ones, 0xff, sizeof(ones));
    ccz_hex(m, ones, f->size);
    ccz_hex(v, claim(f, claims), f->size);
    ccz_buf_printf(out, "{\"mask\": \"%s\", \"value\": \"%s\"}", m, v);
}

const struct cczi_kind cczi_kind_mask = {mask_parse, mask_eval, mask_draft};

/* -------------------------------------------------------------------- TCB statuses, dated grace */

/* Bit of a status that a rule may accept. A revoked platform key proves nothing, so "Revoked" is
 * none. */
static uint64_t status_bit(const char *name)
{
    for (int s = CCZ_TCB_UP_TO_DATE; s < CCZ_TCB_REVOKED; s++)
        if (strcmp(name, ccz_tcb_status_name((enum ccz_tcb_status)s)) == 0)
            return UINT64_C(1) << s;
    return 0;
}

static ccz_rc get_statuses(uint64_t *out, const struct ccz_json *j, struct cczi_at *at)
{
    ccz_rc rc = check_list(j, false, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_index(at, i);
        const char *name = ccz_json_str(ccz_json_at(j, i));
        uint64_t bit = name ? status_bit(name) : 0;
        if (bit == 0)
            rc = cczi_at_fail(at, "policy:status",
                              "expected a TCB status other than Revoked, such as \"UpToDate\"");
        else if (*out & bit)
            rc = cczi_at_fail(at, "policy:duplicate", "stands in this list twice");
        *out |= bit;
        cczi_at_leave(at, mark);
    }
    return rc;
}

static ccz_rc statuses_parse(struct cczi_value *out, struct cczi_rule *rule,
                             const struct cczi_field *f, const struct ccz_json *j,
                             struct cczi_at *at)
{
    (void)rule, (void)f;
    return get_statuses(&out->num, j, at);
}

static ccz_rc statuses_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    enum ccz_tcb_status is = c->claims->tcb_status;
    uint64_t bit = is > CCZ_TCB_NONE && is < CCZ_TCB_REVOKED ? UINT64_C(1) << is : 0;
    if (c->value->num & bit)
        return CCZ_OK;
    bool in_grace = (c->rule->grace_statuses & bit) != 0;
    if (in_grace && c->now_s < c->rule->grace_until_s) {
        *c->used_grace = true;
        return CCZ_OK;
    }
    char expected[CCZ_ERR_VALUE_SIZE] = "", end[21];
    size_t used = 0;
    for (int s = CCZ_TCB_UP_TO_DATE; s < CCZ_TCB_REVOKED && used < sizeof(expected); s++)
        if (c->value->num & UINT64_C(1) << s)
            used += (size_t)snprintf(expected + used, sizeof(expected) - used, "%s%s",
                                     used ? ", " : "", ccz_tcb_status_name((enum ccz_tcb_status)s));
    ccz_time_format(end, c->rule->grace_until_s);
    if (in_grace && used < sizeof(expected))
        (void)snprintf(expected + used, sizeof(expected) - used, " (grace ended %s)", end);
    return ccz_refuse(err, CCZ_E_POLICY, where, ccz_tcb_status_name(is), expected);
}

static void statuses_draft(struct ccz_buf *out, const struct cczi_field *f,
                           const struct ccz_claims *claims)
{
    (void)f;
    ccz_buf_printf(out, "[\"%s\"", ccz_tcb_status_name(CCZ_TCB_UP_TO_DATE));
    if (claims->tcb_status != CCZ_TCB_UP_TO_DATE)
        ccz_buf_printf(out, ", \"%s\"", ccz_tcb_status_name(claims->tcb_status));
    ccz_buf_put_str(out, "]");
}

const struct cczi_kind cczi_kind_statuses = {statuses_parse, statuses_eval, statuses_draft};

static ccz_rc grace_parse(struct cczi_value *out, struct cczi_rule *rule,
                          const struct cczi_field *f, const struct ccz_json *j, struct cczi_at *at)
{
    (void)out, (void)f;
    static const char *const members[] = {"until", "tcb_status", NULL};
    ccz_rc rc = check_members(j, members, at);
    if (rc != CCZ_OK)
        return rc;
    size_t mark = cczi_at_key(at, members[0]);
    rc = get_time(&rule->grace_until_s, ccz_json_get(j, members[0]), at);
    if (rc != CCZ_OK)
        return rc;
    cczi_at_leave(at, mark);
    (void)cczi_at_key(at, members[1]);
    return get_statuses(&rule->grace_statuses, ccz_json_get(j, members[1]), at);
}

const struct cczi_kind cczi_kind_grace = {grace_parse, NULL, NULL};

/* --------------------------- advisories: {"deny": [..], "allow": [..]}; num = an allow list is
 * given */

struct advisory {
    char list; /* ALLOWED or DENIED */
    char id[CCZ_ADVISORY_SIZE];
};

static ccz_rc advisory_items(struct cczi_value *out, char list, const struct ccz_json *j,
                             struct cczi_at *at)
{
    ccz_rc rc = check_list(j, true, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        struct advisory a = {.list = list};
        const char *id = ccz_json_str(ccz_json_at(j, i));
        size_t mark = cczi_at_index(at, i);
        if (!id || id[0] == 0 || strlen(id) >= sizeof(a.id)) {
            rc = cczi_at_fail(at, "policy:advisory",
                              "expected an advisory id such as \"INTEL-SA-00615\"");
        } else {
            memcpy(a.id, id, strlen(id));
            rc = list_add(out, &a, sizeof(a), at);
        }
        cczi_at_leave(at, mark);
    }
    return rc;
}

static ccz_rc advisories_parse(struct cczi_value *out, struct cczi_rule *rule,
                               const struct cczi_field *f, const struct ccz_json *j,
                               struct cczi_at *at)
{
    (void)rule, (void)f;
    static const char *const members[] = {"deny", "allow", NULL};
    static const char lists[] = {DENIED, ALLOWED};
    ccz_rc rc = check_members(j, members, at);
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

static ccz_rc advisories_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    for (size_t i = 0; i < c->claims->advisory_len && i < CCZ_ADVISORIES_MAX; i++) {
        const char *id = c->claims->advisory[i];
        if (advisory_listed(c->value, DENIED, id))
            return ccz_refuse(err, CCZ_E_POLICY, where, id, "none that the rule denies");
        if (c->value->num && !advisory_listed(c->value, ALLOWED, id))
            return ccz_refuse(err, CCZ_E_POLICY, where, id, "only those that the rule allows");
    }
    return CCZ_OK;
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

const struct cczi_kind cczi_kind_advisories = {advisories_parse, advisories_eval, advisories_draft};

/* ----------------------------------------------------- since: {"min": time}; age: whole seconds */

static int64_t claim_time(const struct cczi_field *f, const struct ccz_claims *c)
{
    int64_t t;
    memcpy(&t, claim(f, c), sizeof(t));
    return t;
}

static ccz_rc since_parse(struct cczi_value *out, struct cczi_rule *rule,
                          const struct cczi_field *f, const struct ccz_json *j, struct cczi_at *at)
{
    (void)rule, (void)f;
    int64_t t;
    ccz_rc rc = check_members(j, min_members, at);
    if (rc != CCZ_OK)
        return rc;
    (void)cczi_at_key(at, "min");
    rc = get_time(&t, ccz_json_get(j, "min"), at);
    if (rc == CCZ_OK && t < 0)
        rc = cczi_at_fail(at, "policy:time", "expected a time after 1970");
    out->num = rc == CCZ_OK ? (uint64_t)t : 0;
    return rc;
}

static ccz_rc since_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    int64_t is = claim_time(c->field, c->claims);
    if (is >= (int64_t)c->value->num)
        return CCZ_OK;
    char got[21], min[21], expected[40];
    ccz_time_format(got, is);
    ccz_time_format(min, (int64_t)c->value->num);
    (void)snprintf(expected, sizeof(expected), "%s or later", min);
    return ccz_refuse(err, CCZ_E_POLICY, where, got, expected);
}

const struct cczi_kind cczi_kind_since = {since_parse, since_eval, NULL};

static ccz_rc age_parse(struct cczi_value *out, struct cczi_rule *rule, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at)
{
    (void)rule, (void)f;
    return get_uint(&out->num, j, INT32_MAX, at);
}

static ccz_rc age_eval(const struct cczi_check *c, const char *where, struct ccz_err *err)
{
    int64_t age = c->now_s - claim_time(c->field, c->claims);
    if (age <= (int64_t)c->value->num)
        return CCZ_OK;
    char got[32], expected[40];
    (void)snprintf(got, sizeof(got), "%lld", (long long)age);
    (void)snprintf(expected, sizeof(expected), "at most %llu", (unsigned long long)c->value->num);
    return ccz_refuse(err, CCZ_E_POLICY, where, got, expected);
}

const struct cczi_kind cczi_kind_age = {age_parse, age_eval, NULL};
