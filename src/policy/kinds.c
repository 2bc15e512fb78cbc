/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of fields that say who somebody is: flags, byte strings, texts, masks. */
#define _POSIX_C_SOURCE 200809L
#include "policy/policy_priv.h"

#include <string.h>

enum { VALUE_SIZE_MAX = 64 };

/* The end of a list that is cut after its first element. */
static void put_others(struct ccz_buf *out, size_t len)
{
    if (len > 1)
        ccz_buf_printf(out, " or %zu other%s", len - 1, len > 2 ? "s" : "");
}

/* ------------------------------------------------------- flag: what must be allowed to be true */

static ccz_rc flag_parse(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    (void)f;
    bool v;
    if (!ccz_json_bool(&v, j))
        return cczi_at_fail(at, "policy:type", "expected true or false");
    out->num = v;
    return CCZ_OK;
}

/* The claim of a cczi_kind_flag_not is the good thing of which the field is the lack. */
static bool flag_is(const struct cczi_field *f, const struct ccz_claims *claims)
{
    bool is;
    memcpy(&is, cczi_claim(f, claims), sizeof(is));
    return is != (f->kind == &cczi_kind_flag_not);
}

static bool flag_holds(const struct cczi_check *c)
{
    return c->value->num || !flag_is(c->field, c->claims);
}

static void flag_got(struct ccz_buf *out, const struct cczi_check *c)
{
    ccz_buf_put_str(out, flag_is(c->field, c->claims) ? "true" : "false");
}

static void flag_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                      bool brief)
{
    (void)f, (void)brief;
    ccz_buf_put_str(out, v->num ? "true or false" : "false");
}

static void flag_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    if (flag_is(f, claims))
        ccz_buf_put_str(out, "true");
}

static void flag_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    (void)f;
    ccz_buf_put_str(out, "{\"type\": \"boolean\"}");
}

const struct cczi_kind cczi_kind_flag = {flag_parse, flag_holds, flag_got,
                                         flag_want,  flag_draft, flag_schema};
const struct cczi_kind cczi_kind_flag_not = {flag_parse, flag_holds, flag_got,
                                             flag_want,  flag_draft, flag_schema};

/* ---------------------------------------------------------------- bytes: equal to one of a list */

static ccz_rc bytes_item(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    uint8_t b[VALUE_SIZE_MAX];
    ccz_rc rc = cczi_get_hex(b, f->size, j, at);
    return rc == CCZ_OK ? cczi_list_add(out, b, f->size, at) : rc;
}

static ccz_rc bytes_parse(struct cczi_value *out, const struct cczi_field *f,
                          const struct ccz_json *j, struct cczi_at *at)
{
    if (ccz_json_type(j) == CCZ_JSON_OBJECT)
        return cczi_ref_parse(out, f->size, j, at);
    return cczi_one_or_list(out, f, j, at, bytes_item);
}

static bool bytes_holds(const struct cczi_check *c)
{
    size_t size = c->field->size;
    const struct cczi_ref *ref = c->value->ref;
    if (ref) {
        const struct cczi_entry *e = cczi_ref_find(ref, cczi_claim(c->field, c->claims));
        return e && cczi_entry_holds(e, c->now_s);
    }
    for (size_t i = 0; i < c->value->len; i++)
        if (memcmp(cczi_claim(c->field, c->claims), c->value->list + i * size, size) == 0)
            return true; /* public values: no need for constant time */
    return false;
}

static void put_hex(struct ccz_buf *out, const uint8_t *b, size_t size)
{
    char hex[2 * VALUE_SIZE_MAX + 1];
    ccz_hex(hex, b, size);
    ccz_buf_put_str(out, hex);
}

static void bytes_got(struct ccz_buf *out, const struct cczi_check *c)
{
    put_hex(out, cczi_claim(c->field, c->claims), c->field->size);
}

static void bytes_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                       bool brief)
{
    if (v->ref) {
        cczi_ref_want(out, v->ref, brief);
        return;
    }
    for (size_t i = 0; i < (brief ? 1 : v->len); i++) {
        ccz_buf_put_str(out, i ? ", " : "");
        put_hex(out, v->list + i * f->size, f->size);
    }
    if (brief)
        put_others(out, v->len);
}

static void bytes_draft(struct ccz_buf *out, const struct cczi_field *f,
                        const struct ccz_claims *claims)
{
    ccz_buf_put_str(out, "\"");
    put_hex(out, cczi_claim(f, claims), f->size);
    ccz_buf_put_str(out, "\"");
}

/* `item`, or a list of it; `or`: what else it may be, with its comma. */
static void put_values_schema(struct ccz_buf *out, const char *item, const char * or)
{
    ccz_buf_printf(out,
                   "{\"anyOf\": [%s, {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, "
                   "\"uniqueItems\": true, \"items\": %s}%s]}",
                   item, CCZ_POLICY_LIST_MAX, item, or);
}

static void put_hex_schema(struct ccz_buf *out, size_t size)
{
    ccz_buf_printf(out, "{\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f]{%zu}$\"}", 2 * size);
}

static void bytes_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    CCZ_AUTO_BUF item;
    ccz_buf_init(&item, CCZI_TEXT_SIZE_MAX);
    put_hex_schema(&item, f->size);
    put_values_schema(out, ccz_buf_str(&item), ", {\"$ref\": \"#/$defs/reference\"}");
}

const struct cczi_kind cczi_kind_bytes = {bytes_parse, bytes_holds, bytes_got,
                                          bytes_want,  bytes_draft, bytes_schema};

/* ---------------------------------------------- text: equal to one of a list; elements of f->size */

static ccz_rc text_item(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at)
{
    char b[VALUE_SIZE_MAX] = "";
    const char *s = ccz_json_str(j);
    if (!s)
        return cczi_at_fail(at, "policy:type", "expected a string");
    if (s[0] == 0 || strlen(s) >= f->size)
        return cczi_at_fail(at, "policy:text", "expected 1 to %zu bytes", f->size - 1);
    memcpy(b, s, strlen(s));
    return cczi_list_add(out, b, f->size, at);
}

static ccz_rc text_parse(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    return cczi_one_or_list(out, f, j, at, text_item);
}

static bool text_holds(const struct cczi_check *c)
{
    const char *is = (const char *)cczi_claim(c->field, c->claims);
    for (size_t i = 0; i < c->value->len; i++)
        if (strncmp(is, (const char *)c->value->list + i * c->field->size, c->field->size) == 0)
            return true;
    return false;
}

static void put_text(struct ccz_buf *out, const uint8_t *s, size_t size)
{
    char shown[4 * VALUE_SIZE_MAX + 1];
    ccz_escape(shown, sizeof(shown), CCZ_SPAN(s, strnlen((const char *)s, size)));
    ccz_buf_printf(out, "\"%s\"", shown);
}

static void text_got(struct ccz_buf *out, const struct cczi_check *c)
{
    put_text(out, cczi_claim(c->field, c->claims), c->field->size);
}

static void text_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                      bool brief)
{
    for (size_t i = 0; i < (brief ? 1 : v->len); i++) {
        ccz_buf_put_str(out, i ? ", " : "");
        put_text(out, v->list + i * f->size, f->size);
    }
    if (brief)
        put_others(out, v->len);
}

static void text_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    const uint8_t *s = cczi_claim(f, claims);
    size_t size = strnlen((const char *)s, f->size);
    if (size > 0)
        ccz_json_put_str(out, CCZ_SPAN(s, size));
}

static void text_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    CCZ_AUTO_BUF item;
    ccz_buf_init(&item, CCZI_TEXT_SIZE_MAX);
    ccz_buf_printf(&item, "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": %zu}",
                   f->size - 1);
    put_values_schema(out, ccz_buf_str(&item), "");
}

const struct cczi_kind cczi_kind_text = {text_parse, text_holds, text_got,
                                         text_want,  text_draft, text_schema};

/* ------------------------------------- mask: (claim & mask) == value, list = mask, then value */

static ccz_rc mask_parse(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    static const char *const members[] = {"mask", "value", NULL};
    uint8_t b[2 * VALUE_SIZE_MAX];
    ccz_rc rc = cczi_check_members(j, members, at);
    for (size_t i = 0; i < 2 && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_key(at, members[i]);
        rc = cczi_get_hex(b + i * f->size, f->size, ccz_json_get(j, members[i]), at);
        cczi_at_leave(at, mark);
    }
    for (size_t i = 0; i < f->size && rc == CCZ_OK; i++)
        if (b[f->size + i] & ~b[i]) /* could never be satisfied */
            rc = cczi_at_fail(at, "policy:mask", "value has bits outside mask");
    return rc == CCZ_OK ? cczi_list_add(out, b, 2 * f->size, at) : rc;
}

/* Masks are over bytes in quote order: a claim that is kept as a number is turned into them. */
static void mask_claim(uint8_t out[VALUE_SIZE_MAX], const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    memcpy(out, cczi_claim(f, claims), f->size);
    if (f->kind != &cczi_kind_mask_num)
        return;
    uint32_t v32 = 0;
    uint64_t v = 0;
    if (f->size == sizeof(v32))
        memcpy(&v32, out, sizeof(v32));
    else
        memcpy(&v, out, sizeof(v));
    v = f->size == sizeof(v32) ? v32 : v;
    for (size_t i = 0; i < f->size; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

static bool mask_holds(const struct cczi_check *c)
{
    uint8_t is[VALUE_SIZE_MAX];
    mask_claim(is, c->field, c->claims);
    const uint8_t *mask = c->value->list, *want = mask + c->field->size;
    bool equal = true;
    for (size_t i = 0; i < c->field->size; i++)
        equal = equal && (is[i] & mask[i]) == want[i];
    return equal;
}

static void mask_got(struct ccz_buf *out, const struct cczi_check *c)
{
    uint8_t is[VALUE_SIZE_MAX];
    mask_claim(is, c->field, c->claims);
    put_hex(out, is, c->field->size);
}

static void mask_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                      bool brief)
{
    (void)brief;
    put_hex(out, v->list + f->size, f->size);
    ccz_buf_put_str(out, " under mask ");
    put_hex(out, v->list, f->size);
}

static void mask_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    uint8_t ones[VALUE_SIZE_MAX], is[VALUE_SIZE_MAX];
    memset(ones, 0xff, sizeof(ones));
    mask_claim(is, f, claims);
    ccz_buf_put_str(out, "{\"mask\": \"");
    put_hex(out, ones, f->size);
    ccz_buf_put_str(out, "\", \"value\": \"");
    put_hex(out, is, f->size);
    ccz_buf_put_str(out, "\"}");
}

static void mask_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    ccz_buf_put_str(out, "{\"type\": \"object\", \"required\": [\"mask\", \"value\"], "
                         "\"additionalProperties\": false, \"properties\": {\"mask\": ");
    put_hex_schema(out, f->size);
    ccz_buf_put_str(out, ", \"value\": ");
    put_hex_schema(out, f->size);
    ccz_buf_put_str(out, "}}");
}

const struct cczi_kind cczi_kind_mask = {mask_parse, mask_holds, mask_got,
                                         mask_want,  mask_draft, mask_schema};
const struct cczi_kind cczi_kind_mask_num = {mask_parse, mask_holds, mask_got,
                                             mask_want,  mask_draft, mask_schema};
