/* SPDX-License-Identifier: Apache-2.0 */
/* Lines whose fields stand between delimiters of one or more characters, without quoting: what MovieLens, RecBole and others
 * write. Strict as codec's CSV is: no empty line, as many fields as the first has, LF or CR LF, UTF-8 without NUL. */
#include "ingest.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE_MAX = 65536, READ_SIZE = 262144, FIELDS_MAX = 256 };

struct cczi_recsys_lines {
    struct ccz_recsys_source *source;
    char delimiter[4];
    size_t delimiter_size;
    bool latin1, eof, begun;
    uint8_t *bytes; /* [LINE_SIZE_MAX + READ_SIZE]; [at, end) is not given out yet */
    size_t at, end;
    uint8_t *utf8; /* [2 * LINE_SIZE_MAX] of a line in ISO 8859-1 */
    struct ccz_span field[FIELDS_MAX];
    size_t len, width;
    uint64_t line;
};

ccz_rc cczi_recsys_lines_new(struct cczi_recsys_lines **out, struct ccz_recsys_source *source,
                             const char *delimiter, bool latin1, struct ccz_err *err)
{
    struct cczi_recsys_lines *l = calloc(1, sizeof(*l));
    *out = l;
    if (l) {
        l->source = source;
        l->latin1 = latin1;
        l->delimiter_size = strlen(delimiter);
        memcpy(l->delimiter, delimiter, l->delimiter_size);
        l->bytes = malloc(LINE_SIZE_MAX + READ_SIZE);
        l->utf8 = latin1 ? malloc(2 * (size_t)LINE_SIZE_MAX) : NULL;
        if (l->bytes && (l->utf8 || !latin1))
            return CCZ_OK;
    }
    cczi_recsys_lines_free(l);
    *out = NULL;
    return cczi_recsys_no_memory(err);
}

void cczi_recsys_lines_free(struct cczi_recsys_lines *l)
{
    if (!l)
        return;
    cczi_recsys_wipe_free(l->bytes, LINE_SIZE_MAX + READ_SIZE);
    cczi_recsys_wipe_free(l->utf8, 2 * (size_t)LINE_SIZE_MAX);
    free(l);
}

/* More bytes behind `end`; a byte order mark at the start of the file is skipped. */
static ccz_rc refill(struct cczi_recsys_lines *l, struct ccz_err *err)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    memmove(l->bytes, l->bytes + l->at, l->end - l->at);
    l->end -= l->at;
    l->at = 0;
    const ptrdiff_t n =
        cczi_recsys_source_read(l->source, l->bytes + l->end, LINE_SIZE_MAX + READ_SIZE - l->end);
    if (n < 0)
        return cczi_recsys_source_why(l->source, CCZ_E_IO, err);
    l->end += (size_t)n;
    l->eof = n == 0;
    if (!l->begun && (l->end >= sizeof(mark) || l->eof)) {
        l->begun = true;
        if (!l->latin1 && l->end >= sizeof(mark) && memcmp(l->bytes, mark, sizeof(mark)) == 0)
            l->at = sizeof(mark);
    }
    return CCZ_OK;
}

static ccz_rc find_line(struct ccz_span *out, struct cczi_recsys_lines *l, struct ccz_err *err)
{
    const uint8_t *lf = NULL;
    for (size_t seen = 0;;) {
        const size_t size = l->end - l->at;
        const uint8_t *from = l->bytes + l->at;
        if (l->begun && size > seen)
            lf = memchr(from + seen, '\n', size - seen);
        if (lf || (l->begun && l->eof) || size > LINE_SIZE_MAX) {
            *out = CCZ_SPAN(from, lf ? (size_t)(lf - from) : size);
            l->at += out->size + (lf != NULL);
            break;
        }
        seen = l->begun ? size : 0; /* a byte order mark moves the start */
        ccz_rc rc = refill(l, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (!lf && out->size == 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:end", 0, "no further line");
    l->line++;
    if (out->size > LINE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "recsys:line-size", (int64_t)l->line,
                        "line %llu: more than %d bytes", (unsigned long long)l->line,
                        LINE_SIZE_MAX);
    if (out->size > 0 && out->ptr[out->size - 1] == '\r')
        out->size--;
    return CCZ_OK;
}

static ccz_rc to_text(struct ccz_span *line, const struct cczi_recsys_lines *l, struct ccz_err *err)
{
    if (line->size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:line", (int64_t)l->line,
                        "line %llu: an empty line", (unsigned long long)l->line);
    if (memchr(line->ptr, 0, line->size) || memchr(line->ptr, '\r', line->size) ||
        (!l->latin1 && !ccz_utf8_ok(*line)))
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:text", (int64_t)l->line,
                        "line %llu: not text in the expected encoding",
                        (unsigned long long)l->line);
    if (!l->latin1)
        return CCZ_OK;
    size_t n = 0;
    for (size_t i = 0; i < line->size; i++) {
        const uint8_t c = line->ptr[i];
        if (c >= 0x80)
            l->utf8[n++] = (uint8_t)(0xc0 | c >> 6);
        l->utf8[n++] = c >= 0x80 ? (uint8_t)(0x80 | (c & 0x3f)) : c;
    }
    *line = CCZ_SPAN(l->utf8, n);
    return CCZ_OK;
}

/* Where the next delimiter starts; the end of the line if there is none. */
static const uint8_t *find_delimiter(const uint8_t *p, const uint8_t *end,
                                     const struct cczi_recsys_lines *l)
{
    while (p < end) {
        const uint8_t *hit = memchr(p, l->delimiter[0], (size_t)(end - p));
        if (!hit)
            return end;
        if (l->delimiter_size == 1 || ((size_t)(end - hit) >= l->delimiter_size &&
                                       memcmp(hit, l->delimiter, l->delimiter_size) == 0))
            return hit;
        p = hit + 1;
    }
    return end;
}

ccz_rc cczi_recsys_lines_next(struct cczi_recsys_lines *l, struct ccz_err *err)
{
    struct ccz_span line;
    l->len = 0;
    ccz_rc rc = find_line(&line, l, err);
    if (rc == CCZ_OK)
        rc = to_text(&line, l, err);
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *end = line.ptr + line.size;
    for (const uint8_t *p = line.ptr;; p += l->delimiter_size) {
        const uint8_t *to = find_delimiter(p, end, l);
        if (l->len == FIELDS_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "recsys:column-count", (int64_t)l->line,
                            "line %llu: more than %d fields", (unsigned long long)l->line,
                            FIELDS_MAX);
        l->field[l->len++] = CCZ_SPAN(p, (size_t)(to - p));
        p = to;
        if (p == end)
            break;
    }
    if (l->width == 0)
        l->width = l->len;
    if (l->len == l->width)
        return CCZ_OK;
    rc = ccz_refuse_num(err, CCZ_E_FORMAT, "recsys:column-count", (int64_t)l->len,
                        (int64_t)l->width);
    if (err) {
        err->aux = (int64_t)l->line;
        (void)ccz_hint(err, rc, "every line needs as many fields as the first");
    }
    return rc;
}

size_t cczi_recsys_lines_len(const struct cczi_recsys_lines *l)
{
    return l->len;
}

struct ccz_span cczi_recsys_lines_field(const struct cczi_recsys_lines *l, size_t i)
{
    return i < l->len ? l->field[i] : (struct ccz_span){0};
}

uint64_t cczi_recsys_lines_line(const struct cczi_recsys_lines *l)
{
    return l->line;
}
