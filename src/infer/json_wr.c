/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON layout. RapidJSON's PrettyWriter indents by four and can keep arrays on one line, protobuf's
 * printer indents by one; otherwise they break lines at the same places.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>

enum {
    DEBUG_SIZE = 256,         /* no event after that many bytes */
    DEBUG_STRING_SIZE = 2048, /* more than any message shows */
    DEBUG_SIZE_MAX = 1 << 16,
};

static void line(struct cczi_jw *w)
{
    ccz_buf_printf(w->out, "\n%*s", w->depth * w->indent, "");
}

/* What stands before a value: comma, colon, line break. */
static void prefix(struct cczi_jw *w)
{
    if (w->depth == 0)
        return;
    size_t n = w->level[w->depth - 1].len++;
    if (w->level[w->depth - 1].array) {
        ccz_buf_put_str(w->out, n ? "," : "");
        if (!w->single_line)
            line(w);
        else if (n)
            ccz_buf_put_str(w->out, " ");
    } else if (n % 2) {
        ccz_buf_put_str(w->out, ": ");
    } else {
        ccz_buf_put_str(w->out, n ? "," : "");
        line(w);
    }
}

static void open_level(struct cczi_jw *w, bool array)
{
    prefix(w);
    ccz_buf_put_str(w->out, array ? "[" : "{");
    if (w->depth == CCZI_JW_DEPTH_MAX) {
        w->out->bad = true; /* deeper than any tensor or accepted text */
        return;
    }
    w->level[w->depth].array = array;
    w->level[w->depth].len = 0;
    w->depth++;
}

static void close_level(struct cczi_jw *w)
{
    if (w->depth == 0)
        return;
    w->depth--;
    bool array = w->level[w->depth].array;
    if (w->level[w->depth].len && !(array && w->single_line))
        line(w);
    ccz_buf_put_str(w->out, array ? "]" : "}");
}

void cczi_jw_object(struct cczi_jw *w)
{
    open_level(w, false);
}

void cczi_jw_object_end(struct cczi_jw *w)
{
    close_level(w);
}

void cczi_jw_array(struct cczi_jw *w)
{
    open_level(w, true);
}

void cczi_jw_array_end(struct cczi_jw *w)
{
    close_level(w);
}

void cczi_jw_raw(struct cczi_jw *w)
{
    prefix(w);
}

void cczi_jw_string(struct cczi_jw *w, struct ccz_span s)
{
    prefix(w);
    ccz_json_put_str(w->out, s);
}

void cczi_jw_key(struct cczi_jw *w, const char *name)
{
    cczi_jw_string(w, ccz_span_str(name));
}

void cczi_jw_member(struct cczi_jw *w, const char *name, const char *text)
{
    cczi_jw_key(w, name);
    cczi_jw_string(w, ccz_span_str(text));
}

static void debug_number(struct cczi_jw *w, struct cczi_json *j)
{
    struct cczi_num n = cczi_json_num(j);
    cczi_jw_raw(w);
    if (n.integer)
        ccz_buf_printf(w->out, "%s%" PRIu64, n.negative && n.magnitude ? "-" : "", n.magnitude);
    else
        ccz_json_put_double(w->out, n.real);
}

static void debug_scalar(struct cczi_jw *w, struct cczi_json *j, struct cczi_scratch *scratch)
{
    struct ccz_span s;
    switch (cczi_json_kind(j)) {
    case CCZI_STRING:
        s = cczi_json_string(j, scratch);
        s.size = s.size < DEBUG_STRING_SIZE ? s.size : DEBUG_STRING_SIZE;
        cczi_jw_string(w, s);
        return;
    case CCZI_NUMBER:
        debug_number(w, j);
        return;
    case CCZI_NULL:
        cczi_jw_raw(w);
        ccz_buf_put_str(w->out, "null");
        break;
    case CCZI_TRUE:
        cczi_jw_raw(w);
        ccz_buf_put_str(w->out, "true");
        break;
    default:
        cczi_jw_raw(w);
        ccz_buf_put_str(w->out, "false");
    }
    (void)cczi_json_skip(j);
}

void cczi_json_debug(struct ccz_buf *out, const struct cczi_json *at)
{
    struct cczi_json j = *at;
    struct cczi_scratch scratch;
    CCZ_AUTO_BUF text; /* separate, so that the limit counts this value alone */
    ccz_buf_init(&text, DEBUG_SIZE_MAX);
    cczi_scratch_init(&scratch, DEBUG_SIZE_MAX);
    struct cczi_jw w = {.out = &text, .indent = 4, .single_line = true};
    bool first[CCZ_INFER_JSON_DEPTH_MAX + 1] = {true};
    /* One step per event of a parser; RapidJSON's writer is asked before each whether there is
     * room. */
    do {
        enum cczi_json_kind k = cczi_json_kind(&j);
        if (k == CCZI_OBJECT || k == CCZI_ARRAY) {
            k == CCZI_ARRAY ? cczi_jw_array(&w) : cczi_jw_object(&w);
            cczi_json_enter(&j);
            first[w.depth] = true;
        } else {
            debug_scalar(&w, &j, &scratch);
        }
        while (w.depth > 0 && text.size < DEBUG_SIZE && !cczi_json_more(&j, first[w.depth]))
            close_level(&w);
        first[w.depth] = false;
        if (w.depth > 0 && text.size < DEBUG_SIZE && !w.level[w.depth - 1].array)
            cczi_jw_string(&w, cczi_json_key(&j, &scratch));
    } while (w.depth > 0 && text.size < DEBUG_SIZE && !text.bad);
    cczi_scratch_free(&scratch);
    ccz_buf_put_span(out, text.size < DEBUG_SIZE_MAX ? ccz_buf_span(&text) : (struct ccz_span){0});
}
