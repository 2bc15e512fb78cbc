/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 8259 read in place: one pass over the text, one array of nodes, nothing copied. For the signed
 * documents of attestation, of which each member is read once; everything else uses json.c.
 * A container is followed by its children, so that a node and what is below it are one stretch.
 */
#include "codec/codec_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 64,
    MEMBERS_MAX = 128,
    INT_DIGITS_MAX = 20,
    BYTES_PER_NODE = 8, /* what TCB info has at least, so that one allocation does */
};

struct ccz_jnode {
    struct ccz_span key;  /* of a member */
    struct ccz_span text; /* of a string its content, else the value as it stands there */
    int64_t num;          /* of an integer */
    uint32_t len;         /* elements or members */
    uint32_t span;        /* nodes: this one and all below it */
    uint8_t type;         /* enum ccz_json_type */
    bool escaped;         /* a string whose text is not its content */
    bool large;           /* an integer beyond 2^63 - 1: num holds its 64 bits */
    bool last;            /* of its container */
};

struct ccz_jdoc {
    struct ccz_jnode *nodes;
    size_t len, cap;
};

struct reader {
    const uint8_t *p, *end;
    const char *bad; /* what is wrong at p; the first mistake stays */
    ccz_rc rc;
    const char *where;
    struct ccz_jdoc *doc;
    size_t open[DEPTH_MAX];      /* indices of the containers around p */
    size_t child[DEPTH_MAX + 1]; /* and of the last child of each; [0] is the root */
    size_t depth;
};

static void fail(struct reader *r, const char *what)
{
    if (r->bad)
        return;
    r->bad = what;
    r->rc = CCZ_E_FORMAT;
    r->where = "json:parse";
}

static void fail_limit(struct reader *r, const char *where, const char *what)
{
    if (r->bad)
        return;
    r->bad = what;
    r->rc = CCZ_E_LIMIT;
    r->where = where;
}

/* ------------------------------------------------------------------------------- tokens */

static uint8_t peek(const struct reader *r)
{
    return r->p < r->end ? *r->p : 0;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The 16 bits of four hex digits at p + from, or -1. */
static int hex16(const struct reader *r, size_t from)
{
    uint8_t v[2];
    if ((size_t)(r->end - r->p) < from + 4 ||
        ccz_unhex(v, 2, (const char *)r->p + from, 4) != CCZ_OK)
        return -1;
    return v[0] << 8 | v[1];
}

/* At a backslash: takes the escape (section 7); surrogates only as a pair. */
static void take_escape(struct reader *r)
{
    uint8_t c = r->end - r->p > 1 ? r->p[1] : 0;
    if (c != 'u') {
        if (c == 0 || !strchr("\"\\/bfnrt", c))
            fail(r, "unknown escape");
        r->p += r->bad ? 0 : 2;
        return;
    }
    int high = hex16(r, 2);
    bool pair = high >= 0xd800 && high <= 0xdbff;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff)) {
        fail(r, "malformed escape");
        return;
    }
    if (pair) {
        int low = r->end - r->p > 7 && r->p[6] == '\\' && r->p[7] == 'u' ? hex16(r, 8) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            fail(r, "malformed escape");
    }
    r->p += r->bad ? 0 : (pair ? 12 : 6);
}

/* At a quote: takes the string. @return what stands between the quotes */
static struct ccz_span take_string(struct reader *r, bool *escaped)
{
    const uint8_t *from = ++r->p;
    *escaped = false;
    while (r->p < r->end && !r->bad) {
        uint8_t c = *r->p;
        if (c == '"')
            return CCZ_SPAN(from, (size_t)(r->p++ - from));
        if (c == '\\') {
            *escaped = true;
            take_escape(r);
        } else if (c < 0x20) {
            fail(r, "control character in a string");
        } else if (c < 0x80) {
            r->p++;
        } else {
            size_t n = cczi_utf8_size(CCZ_SPAN(r->p, (size_t)(r->end - r->p)));
            if (n == 0)
                fail(r, "invalid UTF-8");
            r->p += n;
        }
    }
    fail(r, "the text ends too early");
    return (struct ccz_span){0};
}

static size_t take_digits(struct reader *r)
{
    const uint8_t *from = r->p;
    while (r->p < r->end && is_digit(*r->p))
        r->p++;
    return (size_t)(r->p - from);
}

/* The integer from @p digits to p: from -2^63 to 2^64 - 1. */
static void int_value(struct reader *r, struct ccz_jnode *n, const uint8_t *digits, bool negative)
{
    uint64_t v = 0, max = negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX;
    size_t len = (size_t)(r->p - digits);
    bool ok = len <= INT_DIGITS_MAX;
    for (size_t i = 0; i < len && ok; i++) {
        uint64_t digit = (uint64_t)(digits[i] - '0');
        ok = v <= (max - digit) / 10;
        v = v * 10 + digit;
    }
    if (!ok) {
        fail(r, "number out of range");
        return;
    }
    n->large = !negative && v > INT64_MAX;
    n->num = (int64_t)(negative ? 0 - v : v);
}

/* Section 6. */
static void take_number(struct reader *r, struct ccz_jnode *n)
{
    bool negative = peek(r) == '-';
    r->p += negative;
    const uint8_t *digits = r->p;
    size_t len = take_digits(r);
    if (len == 0 || (len > 1 && digits[0] == '0'))
        fail(r, "malformed number");
    n->type = CCZ_JSON_INT;
    if (peek(r) != '.' && (peek(r) | 0x20) != 'e') {
        int_value(r, n, digits, negative);
        return;
    }
    n->type = CCZ_JSON_REAL;
    if (peek(r) == '.') {
        r->p++;
        len = take_digits(r);
    }
    if ((peek(r) | 0x20) == 'e') {
        r->p++;
        r->p += peek(r) == '+' || peek(r) == '-';
        len = len ? take_digits(r) : 0;
    }
    if (len == 0)
        fail(r, "malformed number");
}

static bool take_word(struct reader *r, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, word, size) != 0)
        return false;
    r->p += size;
    return true;
}

/* -------------------------------------------------------------------------------- nodes */

static struct ccz_jnode *new_node(struct reader *r)
{
    struct ccz_jdoc *d = r->doc;
    if (d->len == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : (size_t)(r->end - r->p) / BYTES_PER_NODE + 1;
        struct ccz_jnode *nodes = realloc(d->nodes, cap * sizeof(*nodes));
        if (!nodes) {
            fail(r, "out of memory");
            r->rc = CCZ_E_NOMEM;
            return NULL;
        }
        d->nodes = nodes;
        d->cap = cap;
    }
    struct ccz_jnode *n = &d->nodes[d->len++];
    *n = (struct ccz_jnode){.span = 1, .last = true};
    return n;
}

/* The members of an object before the one that was just added have other keys. */
static void check_key(struct reader *r, const struct ccz_jnode *object, struct ccz_span key)
{
    const struct ccz_jnode *n = object + 1;
    for (uint32_t i = 1; i < object->len; i++, n += n->span) {
        if (n->key.size == key.size && ccz_span_eq(n->key, key))
            fail(r, "duplicate object key");
    }
}

/* "key" : */
static struct ccz_span take_key(struct reader *r)
{
    bool escaped = false;
    if (peek(r) != '"')
        fail(r, "syntax error");
    struct ccz_span key = r->bad ? (struct ccz_span){0} : take_string(r, &escaped);
    if (escaped)
        fail(r, "object key with an escape");
    skip_space(r);
    if (peek(r) != ':')
        fail(r, "syntax error");
    r->p += !r->bad;
    skip_space(r);
    return key;
}

static void take_scalar(struct reader *r, struct ccz_jnode *n)
{
    const uint8_t *from = r->p;
    if (*from == '"') {
        n->type = CCZ_JSON_STRING;
        n->text = take_string(r, &n->escaped);
        return;
    }
    if (*from == '-' || is_digit(*from))
        take_number(r, n);
    else if (take_word(r, "true") || take_word(r, "false"))
        n->type = CCZ_JSON_BOOL;
    else if (take_word(r, "null"))
        n->type = CCZ_JSON_NULL;
    else
        fail(r, "syntax error");
    n->text = CCZ_SPAN(from, (size_t)(r->p - from));
}

/* A value with its key, if it is a member. Opens a container, or takes a whole scalar. */
static void take_value(struct reader *r)
{
    struct ccz_jnode *parent = r->depth ? &r->doc->nodes[r->open[r->depth - 1]] : NULL;
    struct ccz_span key = {0};
    if (parent) {
        parent->len++;
        if (parent->type == CCZ_JSON_OBJECT) {
            key = take_key(r);
            check_key(r, parent, key);
            if (parent->len > MEMBERS_MAX) /* keys are compared with each other */
                fail_limit(r, "json:members", "more members in an object than supported");
        }
    }
    if (r->p == r->end)
        fail(r, "the text ends too early");
    struct ccz_jnode *n = r->bad ? NULL : new_node(r);
    if (!n)
        return;
    n->key = key;
    r->child[r->depth] = r->doc->len - 1;
    if (*r->p != '{' && *r->p != '[') {
        take_scalar(r, n);
        return;
    }
    if (r->depth == DEPTH_MAX) {
        fail_limit(r, "json:depth", "nested deeper than supported");
        return;
    }
    n->type = *r->p == '{' ? CCZ_JSON_OBJECT : CCZ_JSON_ARRAY;
    n->text = CCZ_SPAN(r->p++, 0); /* its size when it is closed */
    r->open[r->depth++] = r->doc->len - 1;
}

/* Behind a value or an opening bracket: closes what ends here. @return true if a value follows */
static bool take_separator(struct reader *r, bool opened)
{
    for (;;) {
        skip_space(r);
        if (r->bad || r->depth == 0)
            return false;
        struct ccz_jnode *c = &r->doc->nodes[r->open[r->depth - 1]];
        uint8_t b = peek(r);
        bool close = b == (c->type == CCZ_JSON_OBJECT ? '}' : ']');
        if (!close && opened)
            return true;
        if (!close && b != ',') {
            fail(r, r->p == r->end ? "the text ends too early" : "syntax error");
            return false;
        }
        r->p++;
        if (!close) {
            r->doc->nodes[r->child[r->depth]].last = false;
            skip_space(r);
            return true;
        }
        c->text.size = (size_t)(r->p - c->text.ptr);
        c->span = (uint32_t)(r->doc->len - r->open[r->depth - 1]);
        r->depth--;
        opened = false;
    }
}

ccz_rc ccz_jdoc_parse(struct ccz_jdoc **out, struct ccz_span text, struct ccz_err *err)
{
    *out = NULL;
    if (text.size > CCZ_JDOC_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "json:size", (int64_t)text.size, CCZ_JDOC_SIZE_MAX);
    CCZ_AUTO(ccz_jdoc) d = calloc(1, sizeof(*d));
    if (!d)
        return ccz_fail(err, CCZ_E_NOMEM, "json:parse", 0, "out of memory");
    static const uint8_t none[1];
    const uint8_t *from = text.size ? text.ptr : none;
    struct reader r = {.p = from, .end = from + text.size, .doc = d};
    skip_space(&r);
    bool more = true;
    while (more) {
        size_t depth = r.depth;
        take_value(&r);
        more = take_separator(&r, r.depth > depth);
    }
    if (r.p < r.end)
        fail(&r, "text behind the end of the document");
    if (r.bad)
        return ccz_fail(err, r.rc, r.where, (int64_t)(r.p - from), "byte %zu: %s",
                        (size_t)(r.p - from), r.bad);
    *out = ccz_jdoc_take(&d);
    return CCZ_OK;
}

void ccz_jdoc_free(struct ccz_jdoc *d)
{
    if (!d)
        return;
    free(d->nodes);
    free(d);
}

/* ------------------------------------------------------------------------------- access */

const struct ccz_jnode *ccz_jdoc_root(const struct ccz_jdoc *d)
{
    return d ? d->nodes : NULL;
}

enum ccz_json_type ccz_jnode_type(const struct ccz_jnode *n)
{
    return n ? (enum ccz_json_type)n->type : CCZ_JSON_NULL;
}

const struct ccz_jnode *ccz_jnode_get(const struct ccz_jnode *n, const char *key)
{
    if (ccz_jnode_type(n) != CCZ_JSON_OBJECT)
        return NULL;
    struct ccz_span want = ccz_span_str(key);
    const struct ccz_jnode *m = n + 1;
    for (uint32_t i = 0; i < n->len; i++, m += m->span) {
        if (m->key.size == want.size && ccz_span_eq(m->key, want))
            return m;
    }
    return NULL;
}

size_t ccz_jnode_len(const struct ccz_jnode *n)
{
    return n ? n->len : 0;
}

const struct ccz_jnode *ccz_jnode_first(const struct ccz_jnode *n)
{
    return ccz_jnode_len(n) ? n + 1 : NULL;
}

const struct ccz_jnode *ccz_jnode_next(const struct ccz_jnode *n)
{
    return n && !n->last ? n + n->span : NULL;
}

struct ccz_span ccz_jnode_key(const struct ccz_jnode *n)
{
    return n ? n->key : (struct ccz_span){0};
}

struct ccz_span ccz_jnode_str(const struct ccz_jnode *n)
{
    return ccz_jnode_type(n) == CCZ_JSON_STRING && !n->escaped ? n->text : (struct ccz_span){0};
}

bool ccz_jnode_int(int64_t *out, const struct ccz_jnode *n)
{
    bool ok = ccz_jnode_type(n) == CCZ_JSON_INT && !n->large;
    *out = ok ? n->num : 0;
    return ok;
}

bool ccz_jnode_uint(uint64_t *out, const struct ccz_jnode *n)
{
    bool ok = ccz_jnode_type(n) == CCZ_JSON_INT && (n->large || n->num >= 0);
    *out = ok ? (uint64_t)n->num : 0;
    return ok;
}

struct ccz_span ccz_jnode_raw(const struct ccz_jnode *n)
{
    if (!n)
        return (struct ccz_span){0};
    if (n->type == CCZ_JSON_STRING) /* with its quotes */
        return CCZ_SPAN(n->text.ptr - 1, n->text.size + 2);
    return n->text;
}
