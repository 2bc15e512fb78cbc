/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of fields that are numbers: values and ranges, SVNs by component, firmware versions. */
#include "policy/policy_priv.h"

#include <stdio.h>
#include <string.h>

static const char *const range_members[] = {"min", "max", NULL};

/* Values min to max of one part; plain numbers have the part 0 only. No padding: compared by memcmp. */
struct range {
    uint64_t part, min, max;
};

static struct range range_at(const struct cczi_value *v, size_t i)
{
    struct range r;
    memcpy(&r, v->list + i * sizeof(r), sizeof(r));
    return r;
}

/* A number, or {"min": n, "max": n} with one of them or both. */
static ccz_rc add_range(struct cczi_value *out, uint64_t part, uint64_t limit,
                        const struct ccz_json *j, struct cczi_at *at)
{
    struct range r = {.part = part, .max = limit};
    uint64_t *const to[] = {&r.min, &r.max};
    ccz_rc rc = CCZ_OK;
    if (ccz_json_type(j) != CCZ_JSON_OBJECT) {
        rc = cczi_get_uint(&r.min, j, limit, at);
        r.max = r.min;
        return rc == CCZ_OK ? cczi_list_add(out, &r, sizeof(r), at) : rc;
    }
    rc = cczi_check_members(j, range_members, at);
    if (rc == CCZ_OK && ccz_json_len(j) == 0)
        rc = cczi_at_fail(at, "policy:type", "expected \"min\", \"max\" or both");
    for (size_t i = 0; i < 2 && rc == CCZ_OK; i++) {
        const struct ccz_json *n = ccz_json_get(j, range_members[i]);
        size_t mark = cczi_at_key(at, range_members[i]);
        if (n)
            rc = cczi_get_uint(to[i], n, limit, at);
        cczi_at_leave(at, mark);
    }
    if (rc == CCZ_OK && r.min > r.max)
        rc = cczi_at_fail(at, "policy:range", "min is above max");
    return rc == CCZ_OK ? cczi_list_add(out, &r, sizeof(r), at) : rc;
}

/* One number or range, or a list of them. */
static ccz_rc add_ranges(struct cczi_value *out, uint64_t part, uint64_t limit,
                         const struct ccz_json *j, struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_ARRAY)
        return add_range(out, part, limit, j, at);
    ccz_rc rc = cczi_check_list(j, false, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_index(at, i);
        rc = add_range(out, part, limit, ccz_json_at(j, i), at);
        cczi_at_leave(at, mark);
    }
    return rc;
}

static bool part_named(const struct cczi_value *v, uint64_t part)
{
    for (size_t i = 0; i < v->len; i++)
        if (range_at(v, i).part == part)
            return true;
    return false;
}

static bool part_holds(const struct cczi_value *v, uint64_t part, uint64_t is)
{
    for (size_t i = 0; i < v->len; i++) {
        struct range r = range_at(v, i);
        if (r.part == part && r.min <= is && is <= r.max)
            return true;
    }
    return false;
}

static void put_range(struct ccz_buf *out, struct range r, uint64_t limit)
{
    if (r.min == r.max)
        ccz_buf_printf(out, "%llu", (unsigned long long)r.min);
    else if (r.max == limit)
        ccz_buf_printf(out, "at least %llu", (unsigned long long)r.min);
    else if (r.min == 0)
        ccz_buf_printf(out, "at most %llu", (unsigned long long)r.max);
    else
        ccz_buf_printf(out, "%llu to %llu", (unsigned long long)r.min, (unsigned long long)r.max);
}

static void put_ranges(struct ccz_buf *out, const struct cczi_value *v, uint64_t part,
                       uint64_t limit, bool brief)
{
    size_t shown = 0, others = 0;
    for (size_t i = 0; i < v->len; i++) {
        if (range_at(v, i).part != part)
            continue;
        if (brief && shown > 0) {
            others++;
            continue;
        }
        ccz_buf_put_str(out, shown++ ? ", " : "");
        put_range(out, range_at(v, i), limit);
    }
    if (others)
        ccz_buf_printf(out, " or %zu other%s", others, others > 1 ? "s" : "");
}

static void put_ranges_schema(struct ccz_buf *out, uint64_t limit)
{
    char number[80], item[400];
    (void)snprintf(number, sizeof(number),
                   "{\"type\": \"integer\", \"minimum\": 0, \"maximum\": %llu}",
                   (unsigned long long)limit);
    (void)snprintf(item, sizeof(item),
                   "%s, {\"type\": \"object\", \"minProperties\": 1, \"additionalProperties\": "
                   "false, \"properties\": {\"min\": %s, \"max\": %s}}",
                   number, number, number);
    ccz_buf_printf(out,
                   "{\"anyOf\": [%s, {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, "
                   "\"uniqueItems\": true, \"items\": {\"anyOf\": [%s]}}]}",
                   item, CCZ_POLICY_LIST_MAX, item);
}

/* ------------------------------------------------- number: equal to a value of a list, or in a range */

/* Claims of 1, 2, 4 or 8 bytes. */
static uint64_t claim_num(const struct cczi_field *f, const struct ccz_claims *c)
{
    uint16_t v16;
    uint32_t v32;
    const uint8_t *p = cczi_claim(f, c);
    switch (f->size) {
    case sizeof(uint8_t):
        return *p;
    case sizeof(v16):
        memcpy(&v16, p, sizeof(v16));
        return v16;
    default:
        memcpy(&v32, p, sizeof(v32));
        return v32;
    }
}

static uint64_t num_max(const struct cczi_field *f)
{
    return f->size == sizeof(uint8_t)    ? UINT8_MAX
           : f->size == sizeof(uint16_t) ? UINT16_MAX
                                         : UINT32_MAX;
}

static ccz_rc number_parse(struct cczi_value *out, const struct cczi_field *f,
                           const struct ccz_json *j, struct cczi_at *at)
{
    return add_ranges(out, 0, num_max(f), j, at);
}

static bool number_holds(const struct cczi_check *c)
{
    return part_holds(c->value, 0, claim_num(c->field, c->claims));
}

static void number_got(struct ccz_buf *out, const struct cczi_check *c)
{
    ccz_buf_printf(out, "%llu", (unsigned long long)claim_num(c->field, c->claims));
}

static void number_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                        bool brief)
{
    put_ranges(out, v, 0, num_max(f), brief);
}

static void number_draft(struct ccz_buf *out, const struct cczi_field *f,
                         const struct ccz_claims *claims)
{
    ccz_buf_printf(out, "%llu", (unsigned long long)claim_num(f, claims));
}

/* A security version: later ones are as good. */
static void svn_draft(struct ccz_buf *out, const struct cczi_field *f,
                      const struct ccz_claims *claims)
{
    ccz_buf_printf(out, "{\"min\": %llu}", (unsigned long long)claim_num(f, claims));
}

static void number_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    put_ranges_schema(out, num_max(f));
}

const struct cczi_kind cczi_kind_number = {number_parse, number_holds, number_got,
                                           number_want,  number_draft, number_schema};
const struct cczi_kind cczi_kind_svn = {number_parse, number_holds, number_got,
                                        number_want,  svn_draft,    number_schema};

/* ------- svns: one SVN per byte, hex values to be equal to, or {"min": hex}, then num = 1: each byte
 * at least that of the value */

enum { SVNS_SIZE_MAX = 16 };

static ccz_rc svns_item(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at)
{
    uint8_t b[SVNS_SIZE_MAX];
    ccz_rc rc = cczi_get_hex(b, f->size, j, at);
    return rc == CCZ_OK ? cczi_list_add(out, b, f->size, at) : rc;
}

static ccz_rc svns_parse(struct cczi_value *out, const struct cczi_field *f,
                         const struct ccz_json *j, struct cczi_at *at)
{
    static const char *const members[] = {"min", NULL};
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_one_or_list(out, f, j, at, svns_item);
    ccz_rc rc = cczi_check_members(j, members, at);
    if (rc != CCZ_OK)
        return rc;
    size_t mark = cczi_at_key(at, "min");
    rc = svns_item(out, f, ccz_json_get(j, "min"), at);
    cczi_at_leave(at, mark);
    out->num = 1;
    return rc;
}

static bool svns_holds(const struct cczi_check *c)
{
    const uint8_t *is = cczi_claim(c->field, c->claims);
    size_t size = c->field->size;
    for (size_t i = 0; i < c->value->len; i++) {
        const uint8_t *want = c->value->list + i * size;
        bool ok = true;
        for (size_t k = 0; k < size; k++)
            ok = ok && (c->value->num ? is[k] >= want[k] : is[k] == want[k]);
        if (ok)
            return true;
    }
    return false;
}

static void svns_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                      bool brief)
{
    if (!v->num) {
        cczi_kind_bytes.want(out, f, v, brief);
        return;
    }
    ccz_buf_put_str(out, "each byte at least ");
    cczi_kind_bytes.want(out, f, v, true);
}

static void svns_got(struct ccz_buf *out, const struct cczi_check *c)
{
    cczi_kind_bytes.got(out, c);
}

static void svns_draft(struct ccz_buf *out, const struct cczi_field *f,
                       const struct ccz_claims *claims)
{
    ccz_buf_put_str(out, "{\"min\": ");
    cczi_kind_bytes.draft(out, f, claims);
    ccz_buf_put_str(out, "}");
}

static void svns_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    ccz_buf_put_str(out, "{\"anyOf\": [");
    cczi_kind_bytes.schema(out, f);
    ccz_buf_printf(out,
                   ", {\"type\": \"object\", \"required\": [\"min\"], \"additionalProperties\": "
                   "false, \"properties\": {\"min\": {\"type\": \"string\", \"pattern\": "
                   "\"^[0-9A-Fa-f]{%zu}$\"}}}]}",
                   2 * f->size);
}

const struct cczi_kind cczi_kind_svns = {svns_parse, svns_holds, svns_got,
                                         svns_want,  svns_draft, svns_schema};

/* ------------------------- tcb: {"snp": {"min": n}, ..}, numbers for each component of a TCB version */

/* In the order of struct ccz_snp_tcb. */
static const char *const tcb_parts[] = {"fmc", "boot_loader", "tee", "snp", "microcode", NULL};
enum { PART_FMC, PART_BOOT_LOADER, PARTS_LEN = 5 };
_Static_assert(sizeof(struct ccz_snp_tcb) == PARTS_LEN, "one byte per component, in order");

static ccz_rc tcb_parse(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at)
{
    bool whole = f->kind == &cczi_kind_tcb_whole;
    ccz_rc rc = cczi_check_members(j, tcb_parts, at);
    if (rc == CCZ_OK && ccz_json_len(j) == 0)
        rc = cczi_at_fail(at, "policy:list", "expected a component, such as \"snp\"");
    for (size_t i = 0; i < PARTS_LEN && rc == CCZ_OK; i++) {
        const struct ccz_json *part = ccz_json_get(j, tcb_parts[i]);
        size_t mark = cczi_at_key(at, tcb_parts[i]);
        if (part)
            rc = add_ranges(out, i, UINT8_MAX, part, at);
        else if (whole && i >= PART_BOOT_LOADER)
            rc = cczi_at_fail(at, "policy:tcb",
                              "missing: what is not said of this TCB would not be judged");
        cczi_at_leave(at, mark);
    }
    if (rc == CCZ_OK && whole && !part_named(out, PART_FMC)) {
        const struct range none = {.part = PART_FMC};
        rc = cczi_list_add(out, &none, sizeof(none), at);
    }
    return rc;
}

static bool tcb_part_holds(const struct cczi_check *c, size_t i)
{
    return !part_named(c->value, i) || part_holds(c->value, i, cczi_claim(c->field, c->claims)[i]);
}

static bool tcb_holds(const struct cczi_check *c)
{
    bool all = true;
    for (size_t i = 0; i < PARTS_LEN; i++)
        all = all && tcb_part_holds(c, i);
    return all;
}

static void tcb_got(struct ccz_buf *out, const struct cczi_check *c)
{
    bool all = tcb_holds(c), first = true;
    for (size_t i = 0; i < PARTS_LEN; i++) {
        uint8_t is = cczi_claim(c->field, c->claims)[i];
        if (all ? i == PART_FMC && is == 0 : tcb_part_holds(c, i))
            continue; /* only Turin has an FMC */
        ccz_buf_printf(out, "%s%s %u", first ? "" : ", ", tcb_parts[i], is);
        first = false;
    }
}

static void tcb_want(struct ccz_buf *out, const struct cczi_field *f, const struct cczi_value *v,
                     bool brief)
{
    (void)f;
    bool first = true;
    for (size_t i = 0; i < PARTS_LEN; i++) {
        if (!part_named(v, i))
            continue;
        ccz_buf_printf(out, "%s%s ", first ? "" : ", ", tcb_parts[i]);
        put_ranges(out, v, i, UINT8_MAX, brief);
        first = false;
    }
}

static void tcb_draft(struct ccz_buf *out, const struct cczi_field *f,
                      const struct ccz_claims *claims)
{
    bool first = true;
    ccz_buf_put_str(out, "{");
    for (size_t i = 0; i < PARTS_LEN; i++) {
        uint8_t is = cczi_claim(f, claims)[i];
        if (i == PART_FMC && is == 0 && claims->snp.product != CCZ_SNP_TURIN)
            continue;
        ccz_buf_printf(out, "%s\"%s\": {\"min\": %u}", first ? "" : ", ", tcb_parts[i], is);
        first = false;
    }
    ccz_buf_put_str(out, "}");
}

static void tcb_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    ccz_buf_printf(out,
                   "{\"type\": \"object\", %s, \"additionalProperties\": false, "
                   "\"properties\": {",
                   f->kind == &cczi_kind_tcb_whole
                       ? "\"required\": [\"boot_loader\", \"tee\", \"snp\", \"microcode\"]"
                       : "\"minProperties\": 1");
    for (size_t i = 0; i < PARTS_LEN; i++) {
        ccz_buf_printf(out, "%s\"%s\": ", i ? ", " : "", tcb_parts[i]);
        put_ranges_schema(out, UINT8_MAX);
    }
    ccz_buf_put_str(out, "}}");
}

const struct cczi_kind cczi_kind_tcb = {tcb_parse, tcb_holds, tcb_got,
                                        tcb_want,  tcb_draft, tcb_schema};
const struct cczi_kind cczi_kind_tcb_whole = {tcb_parse, tcb_holds, tcb_got,
                                              tcb_want,  tcb_draft, tcb_schema};

/* ------------------------- version: "1.55.21", list, {"min": version, "max": version}; major first */

/* Numbers that compare as the versions do. */
struct version_range {
    uint32_t min, max;
};
enum { VERSION_MAX = 0xffffff };
#define VERSION_PATTERN "{\"type\": \"string\", \"pattern\": \"^[0-9]{1,3}(\\\\.[0-9]{1,3}){2}$\"}"

static ccz_rc get_version(uint32_t *out, const struct ccz_json *j, struct cczi_at *at)
{
    struct ccz_span s = ccz_json_bytes(j);
    unsigned part[3] = {0}, len = 0, digits = 0;
    bool bad = ccz_json_type(j) != CCZ_JSON_STRING;
    for (size_t i = 0; i < s.size && !bad; i++) {
        if (s.ptr[i] >= '0' && s.ptr[i] <= '9' && digits++ < 3)
            part[len] = part[len] * 10 + s.ptr[i] - '0';
        else if (s.ptr[i] == '.' && digits > 0 && len < 2)
            len++, digits = 0;
        else
            bad = true;
        bad = bad || part[len] > UINT8_MAX;
    }
    if (bad || len != 2 || digits == 0)
        return cczi_at_fail(at, "policy:version-text", "expected a version as \"1.55.21\"");
    *out = part[0] << 16 | part[1] << 8 | part[2];
    return CCZ_OK;
}

static ccz_rc version_item(struct cczi_value *out, const struct cczi_field *f,
                           const struct ccz_json *j, struct cczi_at *at)
{
    (void)f;
    struct version_range r = {0, VERSION_MAX};
    uint32_t *const to[] = {&r.min, &r.max};
    ccz_rc rc = CCZ_OK;
    if (ccz_json_type(j) != CCZ_JSON_OBJECT) {
        rc = get_version(&r.min, j, at);
        r.max = r.min;
        return rc == CCZ_OK ? cczi_list_add(out, &r, sizeof(r), at) : rc;
    }
    rc = cczi_check_members(j, range_members, at);
    if (rc == CCZ_OK && ccz_json_len(j) == 0)
        rc = cczi_at_fail(at, "policy:type", "expected \"min\", \"max\" or both");
    for (size_t i = 0; i < 2 && rc == CCZ_OK; i++) {
        const struct ccz_json *n = ccz_json_get(j, range_members[i]);
        size_t mark = cczi_at_key(at, range_members[i]);
        if (n)
            rc = get_version(to[i], n, at);
        cczi_at_leave(at, mark);
    }
    if (rc == CCZ_OK && r.min > r.max)
        rc = cczi_at_fail(at, "policy:range", "min is above max");
    return rc == CCZ_OK ? cczi_list_add(out, &r, sizeof(r), at) : rc;
}

static ccz_rc version_parse(struct cczi_value *out, const struct cczi_field *f,
                            const struct ccz_json *j, struct cczi_at *at)
{
    return cczi_one_or_list(out, f, j, at, version_item);
}

static uint32_t claim_version(const struct cczi_field *f, const struct ccz_claims *c)
{
    struct ccz_snp_version v;
    memcpy(&v, cczi_claim(f, c), sizeof(v));
    return (uint32_t)v.major << 16 | (uint32_t)v.minor << 8 | v.build;
}

static bool version_holds(const struct cczi_check *c)
{
    uint32_t is = claim_version(c->field, c->claims);
    for (size_t i = 0; i < c->value->len; i++) {
        struct version_range r;
        memcpy(&r, c->value->list + i * sizeof(r), sizeof(r));
        if (r.min <= is && is <= r.max)
            return true;
    }
    return false;
}

static void put_version(struct ccz_buf *out, uint32_t v)
{
    ccz_buf_printf(out, "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
}

static void version_got(struct ccz_buf *out, const struct cczi_check *c)
{
    put_version(out, claim_version(c->field, c->claims));
}

static void version_want(struct ccz_buf *out, const struct cczi_field *f,
                         const struct cczi_value *v, bool brief)
{
    (void)f;
    for (size_t i = 0; i < (brief ? 1 : v->len); i++) {
        struct version_range r;
        memcpy(&r, v->list + i * sizeof(r), sizeof(r));
        ccz_buf_put_str(out, i ? ", " : "");
        if (r.min != r.max)
            ccz_buf_put_str(out, r.min || r.max == VERSION_MAX ? "at least " : "at most ");
        if (r.min == r.max || r.min || r.max == VERSION_MAX)
            put_version(out, r.min);
        if (r.min != r.max && r.max != VERSION_MAX) {
            ccz_buf_put_str(out, r.min ? ", at most " : "");
            put_version(out, r.max);
        }
    }
    if (brief && v->len > 1)
        ccz_buf_printf(out, " or %zu other%s", v->len - 1, v->len > 2 ? "s" : "");
}

static void version_draft(struct ccz_buf *out, const struct cczi_field *f,
                          const struct ccz_claims *claims)
{
    ccz_buf_put_str(out, "{\"min\": \"");
    put_version(out, claim_version(f, claims));
    ccz_buf_put_str(out, "\"}");
}

static void version_schema(struct ccz_buf *out, const struct cczi_field *f)
{
    (void)f;
    static const char item[] = VERSION_PATTERN
        ", {\"type\": \"object\", \"minProperties\": 1, \"additionalProperties\": "
        "false, \"properties\": {\"min\": " VERSION_PATTERN ", \"max\": " VERSION_PATTERN "}}";
    ccz_buf_printf(out,
                   "{\"anyOf\": [%s, {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, "
                   "\"uniqueItems\": true, \"items\": {\"anyOf\": [%s]}}]}",
                   item, CCZ_POLICY_LIST_MAX, item);
}

const struct cczi_kind cczi_kind_version = {version_parse, version_holds, version_got,
                                            version_want,  version_draft, version_schema};
