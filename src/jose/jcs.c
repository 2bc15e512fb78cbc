/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Canonicalization Scheme (RFC 8785). */
#include "jose_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 65 }; /* of what ccz_json_parse() takes */
#define INT_MAX_EXACT (INT64_C(1) << 53)

struct member {
    const char *key;
    const struct ccz_json *value;
};

/* A container that is being written. */
struct level {
    const struct ccz_json *node;
    struct member *members; /* sorted; NULL: an array, or an empty object */
    size_t len, next;
};

/* Section 3.2.3: by UTF-16 code units, which differs from the order of UTF-8 bytes in one case only: a surrogate (U+10000 and
 * above, lead byte F0 and above) comes before U+E000 to U+FFFF (lead bytes EE and EF). */
static int by_key(const void *a, const void *b)
{
    const uint8_t *x = (const uint8_t *)((const struct member *)a)->key;
    const uint8_t *y = (const uint8_t *)((const struct member *)b)->key;
    while (*x && *x == *y)
        x++, y++;
    if (*x == *y)
        return 0;
    if (*x >= 0xee && *y >= 0xee && (*x >= 0xf0) != (*y >= 0xf0))
        return *x >= 0xf0 ? -1 : 1;
    return *x < *y ? -1 : 1;
}

static ccz_rc open_level(struct level *l, const struct ccz_json *node, struct ccz_buf *out)
{
    const char *key = NULL;
    *l = (struct level){.node = node, .len = ccz_json_len(node)};
    bool object = ccz_json_type(node) == CCZ_JSON_OBJECT;
    ccz_buf_u8(out, object ? '{' : '[');
    if (!object || l->len == 0)
        return CCZ_OK;
    l->members = calloc(l->len, sizeof(*l->members));
    if (!l->members)
        return CCZ_E_NOMEM;
    for (size_t i = 0; i < l->len; i++) {
        l->members[i].value = ccz_json_next(&key, node);
        l->members[i].key = key;
    }
    qsort(l->members, l->len, sizeof(*l->members), by_key);
    return CCZ_OK;
}

static ccz_rc put_scalar(struct ccz_buf *out, const struct ccz_json *j, struct ccz_err *err)
{
    int64_t number;
    bool truth;
    switch (ccz_json_type(j)) {
    case CCZ_JSON_NULL:
        ccz_buf_put_str(out, "null");
        return CCZ_OK;
    case CCZ_JSON_BOOL:
        (void)!ccz_json_bool(&truth, j);
        ccz_buf_put_str(out, truth ? "true" : "false");
        return CCZ_OK;
    case CCZ_JSON_STRING:
        cczi_put_jcs_str(out, ccz_json_bytes(j));
        return CCZ_OK;
    case CCZ_JSON_INT:
        if (ccz_json_int(&number, j) && number >= -INT_MAX_EXACT && number <= INT_MAX_EXACT) {
            ccz_buf_printf(out, "%" PRId64, number);
            return CCZ_OK;
        }
        break;
    case CCZ_JSON_REAL:
    case CCZ_JSON_ARRAY:
    case CCZ_JSON_OBJECT:
        break;
    }
    return ccz_fail(err, CCZ_E_UNSUPPORTED, "jcs:number", 0,
                    "a number that is no integer from -2^53 to 2^53");
}

/* The next child of @p l, its key written; NULL at the end. */
static const struct ccz_json *next_child(struct level *l, struct ccz_buf *out)
{
    if (l->next == l->len)
        return NULL;
    if (l->next > 0)
        ccz_buf_u8(out, ',');
    size_t i = l->next++;
    if (!l->members)
        return ccz_json_at(l->node, i);
    cczi_put_jcs_str(out, ccz_span_str(l->members[i].key));
    ccz_buf_u8(out, ':');
    return l->members[i].value;
}

/* Writes one value, or opens it. */
static ccz_rc put_value(struct level *levels, size_t *depth, const struct ccz_json *v,
                        struct ccz_buf *out, struct ccz_err *err)
{
    enum ccz_json_type type = ccz_json_type(v);
    if (type != CCZ_JSON_ARRAY && type != CCZ_JSON_OBJECT)
        return put_scalar(out, v, err);
    if (*depth == DEPTH_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "jcs:depth", DEPTH_MAX, "nested deeper than supported");
    ccz_rc rc = open_level(&levels[*depth], v, out);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "jcs:memory", 0, "out of memory");
    (*depth)++;
    return CCZ_OK;
}

ccz_rc ccz_jcs_put(struct ccz_buf *out, const struct ccz_json *j, struct ccz_err *err)
{
    struct level levels[DEPTH_MAX];
    size_t depth = 0;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, out->max_size - (out->size < out->max_size ? out->size : out->max_size));
    ccz_rc rc = put_value(levels, &depth, j, &text, err);
    while (rc == CCZ_OK && depth > 0) {
        struct level *l = &levels[depth - 1];
        const struct ccz_json *v = next_child(l, &text);
        if (v) {
            rc = put_value(levels, &depth, v, &text, err);
            continue;
        }
        ccz_buf_u8(&text, ccz_json_type(l->node) == CCZ_JSON_OBJECT ? '}' : ']');
        free(l->members);
        depth--;
    }
    while (depth > 0)
        free(levels[--depth].members);
    return rc == CCZ_OK ? cczi_hand_over(out, &text, "jcs:text", err) : rc;
}
