/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of reference values: read, given to the policies that name them, looked up. */
#include "policy/policy_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

/* ------------------------------------------------------------------------------- the sets */

static ccz_rc parse_entry_name(struct cczi_entry *e, const struct ccz_reference *set,
                               const struct ccz_json *j, struct cczi_at *at)
{
    size_t mark = cczi_at_key(at, "name");
    const char *name = ccz_json_str(j);
    if (!name || !cczi_good_name(name))
        return cczi_at_fail(at, "policy:name",
                            "expected 1 to 63 letters, digits, spaces or any of . _ -");
    for (size_t i = 0; i < set->len; i++)
        if (strcmp(set->entry[i].name, name) == 0)
            return cczi_at_fail(at, "policy:duplicate", "values[%zu] has this name already", i);
    memcpy(e->name, name, strlen(name) + 1);
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

/* The first value says how many bytes all of them have. */
static ccz_rc parse_entry_value(struct cczi_entry *e, struct ccz_reference *set,
                                const struct ccz_json *j, struct cczi_at *at)
{
    size_t mark = cczi_at_key(at, "value");
    size_t digits = ccz_json_type(j) == CCZ_JSON_STRING ? ccz_json_bytes(j).size : 0;
    if (set->len == 0)
        set->size = digits / 2;
    if (set->size == 0 || set->size > sizeof(e->value))
        return cczi_at_fail(at, "policy:hex", "expected 2 to %zu hex digits", 2 * sizeof(e->value));
    ccz_rc rc = cczi_get_hex(e->value, set->size, j, at);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < set->len; i++)
        if (memcmp(set->entry[i].value, e->value, set->size) == 0)
            return cczi_at_fail(at, "policy:duplicate", "values[%zu] is the same", i);
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

static ccz_rc parse_entry(struct ccz_reference *set, const struct ccz_json *j, struct cczi_at *at)
{
    static const char *const members[] = {"name", "value", "until", "description", NULL};
    struct cczi_entry *e = &set->entry[set->len];
    ccz_rc rc = cczi_check_members(j, members, at);
    if (rc == CCZ_OK)
        rc = parse_entry_name(e, set, ccz_json_get(j, "name"), at);
    if (rc == CCZ_OK)
        rc = parse_entry_value(e, set, ccz_json_get(j, "value"), at);
    const struct ccz_json *until = ccz_json_get(j, "until"), *note = ccz_json_get(j, "description");
    if (rc == CCZ_OK && until) {
        size_t mark = cczi_at_key(at, "until");
        rc = cczi_get_time(&e->until_s, until, at);
        if (rc == CCZ_OK && e->until_s <= 0) /* 0 stands for no end */
            rc = cczi_at_fail(at, "policy:time", "expected a time after 1970");
        if (rc == CCZ_OK)
            cczi_at_leave(at, mark);
    }
    if (rc == CCZ_OK && note && ccz_json_type(note) != CCZ_JSON_STRING)
        rc = cczi_at_fail(at, "policy:type", "description: expected a string");
    return rc;
}

static ccz_rc parse_set(struct ccz_reference *set, const struct ccz_json *j, struct cczi_at *at)
{
    static const char *const members[] = {"version", "values", "description", NULL};
    int64_t version;
    ccz_rc rc = cczi_check_members(j, members, at);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_json_int(&version, ccz_json_get(j, "version")) || version != VERSION)
        return cczi_at_fail(at, "policy:version", "expected \"version\": %d", VERSION);
    const struct ccz_json *values = ccz_json_get(j, "values"),
                          *note = ccz_json_get(j, "description");
    if (note && ccz_json_type(note) != CCZ_JSON_STRING)
        return cczi_at_fail(at, "policy:type", "description: expected a string");
    (void)cczi_at_key(at, "values");
    rc = cczi_check_list(values, false, at);
    if (rc != CCZ_OK)
        return rc;
    size_t len = ccz_json_len(values);
    set->entry = calloc(len, sizeof(*set->entry));
    if (!set->entry)
        return ccz_fail(at->err, CCZ_E_NOMEM, "policy:reference", 0, "out of memory");
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_index(at, i);
        rc = parse_entry(set, ccz_json_at(values, i), at);
        set->len += rc == CCZ_OK;
        if (rc == CCZ_OK)
            cczi_at_leave(at, mark);
    }
    return rc;
}

ccz_rc ccz_reference_parse(struct ccz_reference **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    if (json.size > CCZ_REFERENCE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "policy:size", (int64_t)json.size, "larger than %d bytes",
                        CCZ_REFERENCE_SIZE_MAX);
    CCZ_AUTO(ccz_reference) set = calloc(1, sizeof(*set));
    if (!set)
        return ccz_fail(err, CCZ_E_NOMEM, "policy:reference", 0, "out of memory");
    struct ccz_json *j = NULL;
    struct cczi_at at = {.err = err};
    ccz_rc rc = ccz_json_parse(&j, json, err);
    if (rc == CCZ_OK)
        rc = parse_set(set, j, &at);
    ccz_json_free(j);
    if (rc == CCZ_OK)
        *out = ccz_reference_take(&set);
    return rc;
}

void ccz_reference_free(struct ccz_reference *r)
{
    if (!r)
        return;
    free(r->entry);
    free(r);
}

size_t ccz_reference_len(const struct ccz_reference *r)
{
    return r->len;
}

size_t ccz_reference_size(const struct ccz_reference *r)
{
    return r->size;
}

/* ------------------------------------------------------------------- in a policy: naming one */

/* As the KMS names things; whether there is one of this name is for whoever looks for it. */
static bool good_set_name(const char *s)
{
    static const char others[] = "._-/";
    size_t size = strlen(s);
    for (size_t i = 0; i < size; i++) {
        char c = s[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !strchr(others, c))
            return false;
    }
    return size > 0 && size < CCZ_REFERENCE_NAME_SIZE;
}

/* The place of a set in the policy; fields that name one set share it. */
static ccz_rc place_of(struct cczi_ref **out, const char *name, size_t size, struct cczi_at *at)
{
    struct ccz_policy *p = at->policy;
    for (size_t i = 0; i < p->refs_len; i++) {
        *out = p->ref[i];
        if (strcmp(p->ref[i]->name, name) != 0)
            continue;
        return p->ref[i]->size == size
                   ? CCZ_OK
                   : cczi_at_fail(at, "policy:reference-size",
                                  "another field takes values of %zu bytes from it, not of %zu",
                                  p->ref[i]->size, size);
    }
    if (p->refs_len == CCZ_POLICY_REFERENCES_MAX)
        return ccz_fail(at->err, CCZ_E_LIMIT, "policy:references", CCZ_POLICY_REFERENCES_MAX + 1,
                        "%s: more than %d sets of reference values", at->path,
                        CCZ_POLICY_REFERENCES_MAX);
    struct cczi_ref *r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(at->err, CCZ_E_NOMEM, "policy:parse", 0, "out of memory");
    memcpy(r->name, name, strlen(name) + 1);
    r->size = size;
    p->ref[p->refs_len++] = *out = r;
    return CCZ_OK;
}

ccz_rc cczi_ref_parse(struct cczi_value *out, size_t size, const struct ccz_json *j,
                      struct cczi_at *at)
{
    static const char *const members[] = {"reference", NULL};
    struct cczi_ref *r;
    ccz_rc rc = cczi_check_members(j, members, at);
    if (rc != CCZ_OK)
        return rc;
    size_t mark = cczi_at_key(at, members[0]);
    const char *name = ccz_json_str(ccz_json_get(j, members[0]));
    if (!name || !good_set_name(name))
        return cczi_at_fail(at, "policy:reference-name",
                            "expected the name of a set: 1 to 128 of [A-Za-z0-9._/-]");
    rc = place_of(&r, name, size, at);
    if (rc != CCZ_OK)
        return rc;
    out->ref = r;
    cczi_at_leave(at, mark);
    return CCZ_OK;
}

void cczi_refs_free(struct ccz_policy *p)
{
    for (size_t i = 0; i < p->refs_len; i++) {
        free(p->ref[i]->set.entry);
        free(p->ref[i]);
    }
}

/* ------------------------------------------------------------------- in a policy: its values */

const char *ccz_policy_reference(const struct ccz_policy *p, size_t i)
{
    return i < p->refs_len ? p->ref[i]->name : NULL;
}

ccz_rc ccz_policy_resolve(struct ccz_policy *p, size_t i, uint32_t version,
                          const struct ccz_reference *set, struct ccz_err *err)
{
    struct cczi_ref *r = p->ref[i];
    free(r->set.entry);
    r->set = (struct ccz_reference){0};
    r->given = false;
    r->version = version;
    if (!set)
        return CCZ_OK;
    struct cczi_entry *copy = calloc(set->len, sizeof(*copy));
    if (!copy)
        return ccz_fail(err, CCZ_E_NOMEM, "policy:reference", 0, "out of memory");
    memcpy(copy, set->entry, set->len * sizeof(*copy));
    r->set = (struct ccz_reference){copy, set->len, set->size};
    r->given = true;
    return CCZ_OK;
}

bool cczi_ref_lack(struct cczi_lack *out, const struct ccz_policy *p)
{
    for (size_t i = 0; i < p->refs_len; i++) {
        const struct cczi_ref *r = p->ref[i];
        out->name = r->name;
        if (!r->given) {
            out->where = "policy:reference";
            (void)snprintf(out->got, sizeof(out->got), "no such reference values");
            (void)snprintf(out->expected, sizeof(out->expected), "a set of that name");
            return true;
        }
        if (r->set.size != r->size) {
            out->where = "policy:reference-size";
            (void)snprintf(out->got, sizeof(out->got), "values of %zu bytes", r->set.size);
            (void)snprintf(out->expected, sizeof(out->expected), "values of %zu bytes", r->size);
            return true;
        }
    }
    return false;
}

ccz_rc ccz_policy_resolved(const struct ccz_policy *p, struct ccz_err *err)
{
    struct cczi_lack l;
    if (!cczi_ref_lack(&l, p))
        return CCZ_OK;
    ccz_rc rc = strcmp(l.where, "policy:reference") == 0 ? CCZ_E_NOT_FOUND : CCZ_E_MISMATCH;
    rc = ccz_refuse(err, rc, l.where, l.got, l.expected);
    if (err)
        (void)snprintf(err->msg, sizeof(err->msg), "the policy names reference values \"%s\"",
                       l.name);
    return rc;
}

const struct cczi_entry *cczi_ref_find(const struct cczi_ref *r, const uint8_t *bytes)
{
    for (size_t i = 0; i < r->set.len && r->set.size == r->size; i++)
        if (memcmp(r->set.entry[i].value, bytes, r->size) == 0)
            return &r->set.entry[i]; /* public values: no need for constant time */
    return NULL;
}

bool cczi_entry_holds(const struct cczi_entry *e, int64_t now_s)
{
    return e->until_s == 0 || now_s < e->until_s;
}

void cczi_ref_want(struct ccz_buf *out, const struct cczi_ref *r, bool brief)
{
    ccz_buf_printf(out, "%s", r->name);
    if (!r->given)
        ccz_buf_put_str(out, ", which is not at hand");
    else
        ccz_buf_printf(out, "@%u: ", r->version);
    for (size_t i = 0; i < (brief && r->set.len ? 1 : r->set.len); i++) {
        const struct cczi_entry *e = &r->set.entry[i];
        char hex[2 * sizeof(e->value) + 1], until[21];
        ccz_hex(hex, e->value, r->set.size);
        ccz_buf_printf(out, "%s%s %s", i ? ", " : "", e->name, hex);
        ccz_time_format(until, e->until_s);
        if (e->until_s)
            ccz_buf_printf(out, " until %s", until);
    }
    if (brief && r->set.len > 1)
        ccz_buf_printf(out, " or %zu other%s", r->set.len - 1, r->set.len > 2 ? "s" : "");
}

void cczi_ref_decided(char out[CCZ_POLICY_DECIDED_SIZE], const struct cczi_rule *r,
                      const struct ccz_claims *claims)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_ref *ref = r->value[i].ref;
        const struct cczi_field *f = &cczi_fields[i];
        const struct cczi_entry *e = ref ? cczi_ref_find(ref, cczi_claim(f, claims)) : NULL;
        if (e && n < CCZ_POLICY_DECIDED_SIZE)
            n += (size_t)snprintf(out + n, CCZ_POLICY_DECIDED_SIZE - n, "%s%s=%s@%u:%s",
                                  n ? "; " : "", f->name, ref->name, ref->version, e->name);
    }
}
