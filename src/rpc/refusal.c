/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a peer was refused, told in HTTP/2: the profiles that judge inside the TLS handshake have no message for it but an
 * alert. GOAWAY carries it as debug data, in a form that stock peers put into their logs as it stands:
 *   ccz-refusal: rc=-33 where=policy:mrenclave got=11.. expected=22.. hint=add%20it msg=..
 */
#include "h2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char mark[] = "ccz-refusal:";
enum { MARK_SIZE = sizeof(mark) - 1, DEBUG_SIZE_MAX = 2048, TEXT_SIZE_MAX = 255 };

/* Percent-encoded, also blanks: they part the fields. */
static void put_field(struct ccz_buf *out, const char *name, const char *text)
{
    if (!text[0])
        return;
    ccz_buf_printf(out, " %s=", name);
    for (size_t i = 0; text[i] && i < TEXT_SIZE_MAX; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c > 0x20 && c < 0x7f && c != '%')
            ccz_buf_u8(out, c);
        else
            ccz_buf_printf(out, "%%%02X", c);
    }
}

void cczi_refusal_text(struct ccz_buf *out, const struct ccz_err *why)
{
    ccz_buf_put_str(out, mark);
    ccz_buf_printf(out, " rc=%d", (int)why->rc);
    put_field(out, "where", why->where);
    put_field(out, "got", why->got);
    put_field(out, "expected", why->expected);
    put_field(out, "hint", why->hint);
    put_field(out, "msg", why->msg);
}

/* Value of " name=", undecoded; empty if absent. */
static struct ccz_span field(struct ccz_span text, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i + 1 + size < text.size; i++) {
        if (text.ptr[i] != ' ' || memcmp(text.ptr + i + 1, name, size) != 0 ||
            text.ptr[i + 1 + size] != '=')
            continue;
        size_t from = i + 2 + size, to = from;
        while (to < text.size && text.ptr[to] != ' ')
            to++;
        return ccz_span_sub(text, from, to - from);
    }
    return (struct ccz_span){0};
}

bool cczi_refusal_parse(struct ccz_err *err, struct ccz_span debug)
{
    char rc[16], where[CCZ_ERR_WHERE_SIZE - 5], msg[CCZ_ERR_MSG_SIZE], hint[CCZ_ERR_MSG_SIZE];
    char full_where[CCZ_ERR_WHERE_SIZE];
    if (debug.size < MARK_SIZE || debug.size > DEBUG_SIZE_MAX ||
        memcmp(debug.ptr, mark, MARK_SIZE) != 0)
        return false;
    struct ccz_span text = ccz_span_sub(debug, MARK_SIZE, debug.size - MARK_SIZE);
    cczi_percent_get(rc, sizeof(rc), field(text, "rc"));
    cczi_percent_get(where, sizeof(where), field(text, "where"));
    cczi_percent_get(msg, sizeof(msg), field(text, "msg"));
    cczi_percent_get(hint, sizeof(hint), field(text, "hint"));
    (void)snprintf(full_where, sizeof(full_where), "peer:%s", where);
    (void)ccz_fail(err, CCZ_E_PEER, full_where, strtol(rc, NULL, 10), "%s%s%s", msg,
                   hint[0] ? "; peer's hint: " : "", hint);
    cczi_percent_get(err->got, sizeof(err->got), field(text, "got"));
    cczi_percent_get(err->expected, sizeof(err->expected), field(text, "expected"));
    return true;
}

/* ccz_ratls_farewell_fn: what HTTP/2 asks of whoever speaks first, then GOAWAY. */
static void put_goaway(struct ccz_buf *out, const struct ccz_err *why)
{
    static const uint8_t settings[9] = {0, 0, 0, NGHTTP2_SETTINGS};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, DEBUG_SIZE_MAX);
    cczi_refusal_text(&text, why);
    if (text.bad)
        ccz_buf_clear(&text);
    uint32_t size = (uint32_t)(8 + text.size);
    const uint8_t head[9] = {(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size,
                             NGHTTP2_GOAWAY};
    ccz_buf_put(out, settings, sizeof(settings));
    ccz_buf_put(out, head, sizeof(head));
    ccz_buf_be32(out, 0); /* no call was begun */
    ccz_buf_be32(out, NGHTTP2_INADEQUATE_SECURITY);
    ccz_buf_put_span(out, ccz_buf_span(&text));
}

void cczi_refusal_by_server(void *arg, struct ccz_buf *out, const struct ccz_err *why)
{
    (void)arg;
    put_goaway(out, why);
}

void cczi_refusal_by_client(void *arg, struct ccz_buf *out, const struct ccz_err *why)
{
    (void)arg;
    ccz_buf_put(out, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    put_goaway(out, why);
}
