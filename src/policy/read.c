/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a rule from JSON, each with the check of its type, size and range. */
#include "policy/policy_priv.h"

#include <stdlib.h>
#include <string.h>

ccz_rc cczi_list_add(struct cczi_value *v, const void *element, size_t size, struct cczi_at *at)
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

ccz_rc cczi_check_list(const struct ccz_json *j, bool may_be_empty, struct cczi_at *at)
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

ccz_rc cczi_one_or_list(struct cczi_value *out, const struct cczi_field *f,
                        const struct ccz_json *j, struct cczi_at *at, cczi_item_fn *item)
{
    if (ccz_json_type(j) != CCZ_JSON_ARRAY)
        return item(out, f, j, at);
    ccz_rc rc = cczi_check_list(j, false, at);
    for (size_t i = 0; i < ccz_json_len(j) && rc == CCZ_OK; i++) {
        size_t mark = cczi_at_index(at, i);
        rc = item(out, f, ccz_json_at(j, i), at);
        if (rc == CCZ_OK)
            cczi_at_leave(at, mark);
    }
    return rc;
}

ccz_rc cczi_check_members(const struct ccz_json *j, const char *const *known, struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return cczi_at_fail(at, "policy:type", "expected an object");
    const char *key = NULL;
    while (ccz_json_next(&key, j)) {
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

ccz_rc cczi_get_uint(uint64_t *out, const struct ccz_json *j, uint64_t max, struct cczi_at *at)
{
    int64_t v;
    if (!ccz_json_int(&v, j))
        return cczi_at_fail(at, "policy:type", "expected a whole number");
    if (v < 0 || (uint64_t)v > max)
        return cczi_at_fail(at, "policy:range", "expected 0 to %llu", (unsigned long long)max);
    *out = (uint64_t)v;
    return CCZ_OK;
}

ccz_rc cczi_get_hex(uint8_t *out, size_t size, const struct ccz_json *j, struct cczi_at *at)
{
    if (ccz_json_type(j) != CCZ_JSON_STRING)
        return cczi_at_fail(at, "policy:type", "expected a string of %zu hex digits", 2 * size);
    struct ccz_span text = ccz_json_bytes(j);
    if (ccz_unhex(out, size, (const char *)text.ptr, text.size) != CCZ_OK)
        return cczi_at_fail(at, "policy:hex", "expected %zu hex digits", 2 * size);
    return CCZ_OK;
}

ccz_rc cczi_get_time(int64_t *out, const struct ccz_json *j, struct cczi_at *at)
{
    struct ccz_span text = ccz_json_bytes(j);
    if (ccz_json_type(j) != CCZ_JSON_STRING ||
        ccz_time_parse(out, (const char *)text.ptr, text.size) != CCZ_OK)
        return cczi_at_fail(at, "policy:time", "expected a time as \"2027-01-01T00:00:00Z\"");
    return CCZ_OK;
}
