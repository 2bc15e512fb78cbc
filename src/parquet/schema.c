/* SPDX-License-Identifier: Apache-2.0 */
/* The schema: a tree in depth-first order. Leaves become columns; of their ancestors only levels and the shape matter. */
#include "parquet/format_priv.h"

#include <cczoo/codec.h>
#include <stdlib.h>

enum { DEPTH_MAX = 32, REQUIRED = 0, OPTIONAL = 1, REPEATED = 2, CONVERTED_LIST = 3 };

/* SchemaElement */
struct element {
    bool is_leaf, is_list; /* annotated LIST */
    int32_t type, type_size, repetition, children;
    struct ccz_span name;
    enum ccz_pq_meaning meaning;
};

static enum ccz_pq_meaning from_converted(int32_t converted)
{
    switch (converted) {
    case 0:
        return CCZ_PQ_STRING;
    case 19:
        return CCZ_PQ_JSON;
    case 6:
        return CCZ_PQ_DATE;
    case 9:
        return CCZ_PQ_TIME_MS;
    case 10:
        return CCZ_PQ_TIME_US;
    default:
        if (converted >= 11 && converted <= 14)
            return CCZ_PQ_UNSIGNED;
        return converted >= 15 && converted <= 18 ? CCZ_PQ_SIGNED : CCZ_PQ_OTHER;
    }
}

static enum ccz_pq_meaning read_timestamp(struct ccz_rd *r)
{
    static const enum ccz_pq_meaning unit_of[] = {CCZ_PQ_OTHER, CCZ_PQ_TIME_MS, CCZ_PQ_TIME_US,
                                                  CCZ_PQ_TIME_NS};
    enum ccz_pq_meaning m = CCZ_PQ_OTHER;
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        if (s.id != 2 || !cczi_th_is_struct(r, &s)) {
            cczi_th_skip(r, &s);
            continue;
        }
        struct cczi_th unit = {0};
        while (cczi_th_next(r, &unit)) {
            m = unit.id >= 1 && unit.id <= 3 ? unit_of[unit.id] : CCZ_PQ_OTHER;
            cczi_th_skip(r, &unit);
        }
    }
    return m;
}

static enum ccz_pq_meaning read_integer(struct ccz_rd *r)
{
    bool is_signed = true;
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        if (s.id == 2)
            is_signed = cczi_th_bool(r, &s);
        else
            cczi_th_skip(r, &s);
    }
    return is_signed ? CCZ_PQ_SIGNED : CCZ_PQ_UNSIGNED;
}

/* LogicalType: a union */
static void read_logical(struct element *e, struct ccz_rd *r)
{
    enum { STRING = 1, LIST = 3, DATE = 6, TIMESTAMP = 8, INTEGER = 10, JSON = 12 };
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        if (!cczi_th_is_struct(r, &s))
            return;
        e->is_list |= s.id == LIST;
        e->meaning = s.id == STRING ? CCZ_PQ_STRING
                     : s.id == JSON ? CCZ_PQ_JSON
                     : s.id == DATE ? CCZ_PQ_DATE
                                    : CCZ_PQ_OTHER;
        if (s.id == TIMESTAMP)
            e->meaning = read_timestamp(r);
        else if (s.id == INTEGER)
            e->meaning = read_integer(r);
        else
            cczi_th_skip(r, &s);
    }
}

static bool read_element(struct element *e, struct ccz_rd *r)
{
    *e = (struct element){.repetition = -1};
    bool has_logical = false;
    int32_t converted = -1;
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        switch (s.id) {
        case 1:
            e->type = cczi_th_i32(r, &s);
            break;
        case 2:
            e->type_size = cczi_th_i32(r, &s);
            break;
        case 3:
            e->repetition = cczi_th_i32(r, &s);
            break;
        case 4:
            e->name = cczi_th_binary(r, &s);
            break;
        case 5:
            e->children = cczi_th_i32(r, &s);
            break;
        case 6:
            converted = cczi_th_i32(r, &s);
            break;
        case 10:
            has_logical = cczi_th_is_struct(r, &s);
            read_logical(e, r);
            break;
        default:
            cczi_th_skip(r, &s);
        }
    }
    e->is_leaf = cczi_th_has(&s, 1);
    e->is_list |= converted == CONVERTED_LIST;
    if (!has_logical && cczi_th_has(&s, 6))
        e->meaning = from_converted(converted);
    bool group_ok = !e->is_leaf && e->children >= 0 && cczi_th_has(&s, 5);
    bool leaf_ok = e->is_leaf && e->children <= 0 && e->type >= 0 && e->type <= CCZ_PQ_FIXED;
    return !r->bad && cczi_th_has(&s, 4) && (group_ok || leaf_ok);
}

void cczi_pq_leaf_sizes(struct cczi_pq_leaf *l)
{
    static const struct {
        size_t slot, value;
    } sizes[] = {
        [CCZ_PQ_BOOLEAN] = {1, 0},
        [CCZ_PQ_INT32] = {4, 4},
        [CCZ_PQ_INT64] = {8, 8},
        [CCZ_PQ_INT96] = {sizeof(struct ccz_span), CCZI_PQ_INT96_SIZE},
        [CCZ_PQ_FLOAT] = {4, 4},
        [CCZ_PQ_DOUBLE] = {8, 8},
        [CCZ_PQ_BYTES] = {sizeof(struct ccz_span), 0},
        [CCZ_PQ_FIXED] = {sizeof(struct ccz_span), 0},
    };
    l->slot_size = sizes[l->c.type].slot;
    l->value_size = l->c.type == CCZ_PQ_FIXED ? l->c.type_size : sizes[l->c.type].value;
}

/* Meanings are of certain types only; elsewhere they say nothing. */
static enum ccz_pq_meaning fit(enum ccz_pq_meaning m, enum ccz_pq_type t)
{
    bool is_int = t == CCZ_PQ_INT32 || t == CCZ_PQ_INT64;
    switch (m) {
    case CCZ_PQ_STRING:
    case CCZ_PQ_JSON:
        return t == CCZ_PQ_BYTES ? m : CCZ_PQ_OTHER;
    case CCZ_PQ_UNSIGNED:
    case CCZ_PQ_SIGNED:
        return is_int ? m : CCZ_PQ_OTHER;
    case CCZ_PQ_DATE:
        return t == CCZ_PQ_INT32 ? m : CCZ_PQ_OTHER;
    case CCZ_PQ_TIME_MS:
    case CCZ_PQ_TIME_US:
    case CCZ_PQ_TIME_NS:
        return t == CCZ_PQ_INT64 ? m : CCZ_PQ_OTHER;
    default:
        return m;
    }
}

/* The way from the root to the element at hand. path[0] is the top-level field. */
struct walk {
    struct element path[DEPTH_MAX];
    int32_t left[DEPTH_MAX]; /* children still to come */
    size_t depth;
};

/* Flat, or one of the three forms of a list: a repeated leaf; LIST around a repeated leaf; LIST around a repeated group of one leaf. */
static void shape(struct cczi_pq_leaf *l, const struct walk *w)
{
    const struct element *top = &w->path[0], *leaf = &w->path[w->depth - 1];
    l->c.shape = CCZ_PQ_NESTED;
    l->c.optional = top->repetition == OPTIONAL;
    if (w->depth == 1) {
        l->c.shape = top->repetition == REPEATED ? CCZ_PQ_LIST : CCZ_PQ_FLAT;
    } else if (top->is_list && top->children == 1 && top->repetition != REPEATED) {
        const struct element *mid = &w->path[1];
        bool two = w->depth == 2 && leaf->repetition == REPEATED;
        bool three = w->depth == 3 && mid->repetition == REPEATED && mid->children == 1 &&
                     leaf->repetition != REPEATED;
        if (two || three)
            l->c.shape = CCZ_PQ_LIST;
        l->c.element_optional = three && leaf->repetition == OPTIONAL;
    }
    if (l->c.shape == CCZ_PQ_LIST) {
        l->def_list = l->c.optional ? 1 : 0;
        l->def_elem = (uint8_t)(l->def_list + 1);
    }
}

static char *copy(const char *p, size_t size)
{
    char *s = malloc(size + 1);
    if (s) {
        memcpy(s, p, size);
        s[size] = 0;
    }
    return s;
}

static ccz_rc add_leaf(struct cczi_pq_schema *s, const struct walk *w, struct ccz_err *err)
{
    const struct element *e = &w->path[w->depth - 1];
    struct cczi_pq_leaf *l = &s->leaves[s->len];
    *l = (struct cczi_pq_leaf){.c = {.type = (enum ccz_pq_type)e->type}};
    l->c.meaning = fit(e->meaning, l->c.type);
    char path[CCZ_PQ_NAME_SIZE_MAX + 1];
    size_t size = 0;
    for (size_t i = 0; i < w->depth; i++) {
        struct ccz_span name = w->path[i].name;
        l->max_def = (uint8_t)(l->max_def + (w->path[i].repetition != REQUIRED));
        l->max_rep = (uint8_t)(l->max_rep + (w->path[i].repetition == REPEATED));
        if (name.size + (i > 0) > CCZ_PQ_NAME_SIZE_MAX - size)
            return ccz_fail(err, CCZ_E_LIMIT, "parquet:schema", (int64_t)s->len,
                            "column %zu: a name of more than %d bytes", s->len,
                            CCZ_PQ_NAME_SIZE_MAX);
        if (i > 0)
            path[size++] = '.';
        memcpy(path + size, name.ptr, name.size);
        size += name.size;
    }
    if (l->c.type == CCZ_PQ_FIXED) {
        if (e->type_size <= 0 || e->type_size > CCZ_PQ_VALUE_SIZE_MAX)
            return ccz_fail(err, CCZ_E_FORMAT, "parquet:schema", (int64_t)s->len,
                            "column %zu: values of %d bytes", s->len, (int)e->type_size);
        l->c.type_size = (uint32_t)e->type_size;
    }
    cczi_pq_leaf_sizes(l);
    shape(l, w);
    s->len++; /* from here on freed by cczi_pq_schema_free() */
    l->c.name = copy(path, w->path[0].name.size);
    l->c.path = copy(path, size);
    return l->c.name && l->c.path
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

static ccz_rc bad_schema(struct ccz_err *err, size_t at, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "parquet:schema", (int64_t)at, "element %zu: %s", at, what);
}

static bool name_ok(struct ccz_span name)
{
    return name.size > 0 && memchr(name.ptr, 0, name.size) == NULL && ccz_utf8_ok(name);
}

ccz_rc cczi_pq_schema_read(struct cczi_pq_schema *s, struct ccz_rd *r, size_t len,
                           struct ccz_err *err)
{
    *s = (struct cczi_pq_schema){0};
    struct walk w = {0};
    struct element root;
    if (len == 0 || !read_element(&root, r) || root.is_leaf)
        return bad_schema(err, 0, "no root");
    size_t room = len < CCZ_PQ_COLUMNS_MAX ? len : CCZ_PQ_COLUMNS_MAX;
    s->leaves = calloc(room, sizeof(*s->leaves));
    if (!s->leaves)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    int32_t root_left = root.children;
    for (size_t i = 1; i < len; i++) {
        struct element *e = &w.path[w.depth];
        int32_t *left = w.depth == 0 ? &root_left : &w.left[w.depth - 1];
        if (!read_element(e, r) || e->repetition < REQUIRED || e->repetition > REPEATED ||
            !name_ok(e->name))
            return bad_schema(err, i, "malformed");
        if (*left == 0)
            return bad_schema(err, i, "belongs to no group");
        --*left;
        w.left[w.depth++] = e->is_leaf ? 0 : e->children;
        if (e->is_leaf && s->len == CCZ_PQ_COLUMNS_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "parquet:columns", (int64_t)i, "more than %d columns",
                            CCZ_PQ_COLUMNS_MAX);
        ccz_rc rc = e->is_leaf ? add_leaf(s, &w, err) : CCZ_OK;
        if (rc != CCZ_OK)
            return rc;
        if (w.depth == DEPTH_MAX && !e->is_leaf)
            return bad_schema(err, i, "groups in groups, too deep");
        while (w.depth > 0 && w.left[w.depth - 1] == 0)
            w.depth--;
    }
    return w.depth == 0 && root_left == 0 ? CCZ_OK : bad_schema(err, len, "elements are missing");
}

void cczi_pq_schema_free(struct cczi_pq_schema *s)
{
    for (size_t i = 0; i < s->len; i++) {
        free((char *)s->leaves[i].c.name);
        free((char *)s->leaves[i].c.path);
    }
    free(s->leaves);
    *s = (struct cczi_pq_schema){0};
}
