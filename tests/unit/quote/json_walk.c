/* SPDX-License-Identifier: Apache-2.0 */
#include "quote/json_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walker {
    struct ccz_rd r;
    void (*fn)(void *arg, const struct walk_value *v);
    void *arg;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void skip_space(struct walker *w)
{
    while (w->r.left > 0 && strchr(" \t\r\n", w->r.ptr[0]))
        (void)ccz_rd_u8(&w->r);
}

static uint8_t peek(struct walker *w)
{
    skip_space(w);
    require(w->r.left > 0);
    return w->r.ptr[0];
}

static struct ccz_span take_string(struct walker *w)
{
    require(peek(w) == '"');
    (void)ccz_rd_u8(&w->r);
    const uint8_t *from = w->r.ptr;
    while (peek(w) != '"') {
        require(w->r.ptr[0] != '\\'); /* none in the documents at hand */
        (void)ccz_rd_u8(&w->r);
    }
    struct ccz_span s = CCZ_SPAN(from, (size_t)(w->r.ptr - from));
    (void)ccz_rd_u8(&w->r);
    return s;
}

/* Moves over a value without showing it. */
static void skip_value(struct walker *w)
{
    int depth = 0;
    do {
        uint8_t c = peek(w);
        if (c == '"')
            (void)take_string(w);
        else
            (void)ccz_rd_u8(&w->r);
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth == 0 && c != '{' && c != '[' && c != '"' && c != '}' && c != ']')
            while (!strchr(",]} \t\r\n", peek(w)))
                (void)ccz_rd_u8(&w->r);
    } while (depth > 0);
}

static void show(struct walker *w, const uint8_t *whole, const char *path, bool first);

static void show_inside(struct walker *w, const char *path, uint8_t open)
{
    bool first = true;
    (void)ccz_rd_u8(&w->r);
    for (size_t i = 0; peek(w) != (open == '{' ? '}' : ']'); i++) {
        char sub[160];
        if (!first)
            require(ccz_rd_u8(&w->r) == ',');
        skip_space(w);
        const uint8_t *whole = w->r.ptr;
        if (open == '{') {
            struct ccz_span name = take_string(w);
            (void)snprintf(sub, sizeof(sub), "%s%s%.*s", path, path[0] ? "." : "", (int)name.size,
                           (const char *)name.ptr);
            require(peek(w) == ':');
            (void)ccz_rd_u8(&w->r);
        } else {
            (void)snprintf(sub, sizeof(sub), "%s[%zu]", path, i);
        }
        show(w, whole, sub, first);
        first = false;
    }
    (void)ccz_rd_u8(&w->r);
}

static void show(struct walker *w, const uint8_t *whole, const char *path, bool first)
{
    struct walk_value v = {.type = 'w'};
    uint8_t c = peek(w);
    (void)snprintf(v.path, sizeof(v.path), "%s", path);
    if (c == '{' || c == '[' || c == '"')
        v.type = (char)c;
    else if (c == '-' || (c >= '0' && c <= '9'))
        v.type = 'n';
    struct walker ahead = *w;
    const uint8_t *from = w->r.ptr;
    skip_value(&ahead);
    size_t size = (size_t)(ahead.r.ptr - from);
    v.value = c == '"' ? CCZ_SPAN(from + 1, size - 2) : CCZ_SPAN(from, size);
    v.whole = CCZ_SPAN(whole, (size_t)(ahead.r.ptr - whole));
    v.with_comma = v.whole;
    if (!first)
        v.with_comma = CCZ_SPAN(whole - 1, v.whole.size + 1);
    else if (ahead.r.left > 0 && ahead.r.ptr[0] == ',')
        v.with_comma.size++;
    w->fn(w->arg, &v);
    if (c == '{' || c == '[')
        show_inside(w, path, c);
    else
        skip_value(w);
}

void walk_json(struct ccz_span text, void (*fn)(void *arg, const struct walk_value *v), void *arg)
{
    struct walker w = {.r = ccz_rd_from(text), .fn = fn, .arg = arg};
    show(&w, text.ptr, "", true);
    skip_space(&w);
    require(ccz_rd_done(&w.r));
}

void walk_replace(struct ccz_buf *out, struct ccz_span text, struct ccz_span part, const char *with)
{
    size_t at = (size_t)(part.ptr - text.ptr);
    require(part.ptr >= text.ptr && at + part.size <= text.size);
    ccz_buf_clear(out);
    ccz_buf_put(out, text.ptr, at);
    ccz_buf_put_str(out, with);
    ccz_buf_put(out, part.ptr + part.size, text.size - at - part.size);
    require(!out->bad);
}
