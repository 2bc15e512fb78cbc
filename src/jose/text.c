/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of text that all formats here share. */
#include "jose_priv.h"

ccz_rc cczi_refuse_text(struct ccz_err *err, ccz_rc rc, const char *where, struct ccz_span got,
                        const char *expected)
{
    char text[CCZ_ERR_VALUE_SIZE];
    ccz_escape(text, sizeof(text), got);
    return ccz_refuse(err, rc, where, text, expected);
}

ccz_rc cczi_get_base64url(struct ccz_buf *out, struct ccz_span text, const char *where,
                          const char *what, struct ccz_err *err)
{
    struct ccz_err why = {0};
    size_t room = out->size < out->max_size ? out->max_size - out->size : 0;
    ccz_rc rc = ccz_base64_get(out, text, CCZ_BASE64_URL, &why);
    size_t tail = text.size % 4, size = text.size / 4 * 3 + (tail ? tail - 1 : 0);
    if (rc == CCZ_E_LIMIT && size <= room) /* so that it is memory that lacks */
        rc = CCZ_E_NOMEM;
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, where, why.aux, "%s: %s", what, why.msg);
}

/* The letter of a two-character escape, 0 if @p c has none. */
static char short_escape(uint8_t c)
{
    switch (c) {
    case '\b':
        return 'b';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\f':
        return 'f';
    case '\r':
        return 'r';
    case '"':
    case '\\':
        return (char)c;
    default:
        return 0;
    }
}

void cczi_put_jcs_str(struct ccz_buf *out, struct ccz_span text)
{
    if (!ccz_utf8_ok(text)) {
        out->bad = true;
        return;
    }
    ccz_buf_u8(out, '"');
    size_t from = 0; /* of what needs no escape */
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        char letter = short_escape(c);
        if (!letter && c >= 0x20)
            continue;
        ccz_buf_put(out, text.ptr + from, i - from);
        from = i + 1;
        if (letter)
            ccz_buf_printf(out, "\\%c", letter);
        else
            ccz_buf_printf(out, "\\u%04x", (unsigned)c);
    }
    if (from < text.size)
        ccz_buf_put(out, text.ptr + from, text.size - from);
    ccz_buf_u8(out, '"');
}

void cczi_put_base64url_str(struct ccz_buf *out, struct ccz_span bytes)
{
    ccz_buf_u8(out, '"');
    ccz_base64_put(out, bytes, CCZ_BASE64_URL);
    ccz_buf_u8(out, '"');
}

ccz_rc cczi_hand_over(struct ccz_buf *out, const struct ccz_buf *from, const char *where,
                      struct ccz_err *err)
{
    size_t room = out->bad || out->size > out->max_size ? 0 : out->max_size - out->size;
    if (from->bad || from->size > room)
        return ccz_fail(err, CCZ_E_LIMIT, where, (int64_t)from->size,
                        "it does not fit into %zu bytes, or there is no memory", room);
    size_t old = out->size;
    ccz_buf_put(out, from->ptr, from->size);
    if (!out->bad)
        return CCZ_OK;
    out->size = old;
    out->bad = false; /* it was not before: the room was there, so that memory is what lacks */
    return ccz_fail(err, CCZ_E_NOMEM, where, 0, "out of memory");
}
