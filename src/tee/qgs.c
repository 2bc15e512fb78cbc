/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the quote generation service (Intel TDX DCAP, qgs_msg_lib 1.1). Integers are little-endian, but for the
 * frame.
 *
 *   frame     u32 big-endian size of what follows
 *   header    u16 major 1 | u16 minor 1 | u32 type | u32 size of the message | u32 error, 0 in requests
 *   request   header, type 0 | u32 size of the report | u32 size of the list of key ids | report | list
 *   response  header, type 1 | u32 size of the selected key id | u32 size of the quote | key id | quote
 */
#include "tee/tee_priv.h"

#include <stdio.h>
#include <string.h>

enum {
    QGS_MAJOR = 1,
    QGS_MINOR = 1,
    QGS_GET_QUOTE_REQUEST = 0,
    QGS_GET_QUOTE_RESPONSE = 1,
    QGS_HEADER_SIZE = 16,
    QGS_PORT = 4050,
};

void cczi_qgs_request_put(struct ccz_buf *out, const uint8_t report[CCZI_TD_REPORT_MAC_SIZE])
{
    const uint32_t size = QGS_HEADER_SIZE + 8 + CCZI_TD_REPORT_MAC_SIZE;
    ccz_buf_be32(out, size);
    ccz_buf_le16(out, QGS_MAJOR);
    ccz_buf_le16(out, QGS_MINOR);
    ccz_buf_le32(out, QGS_GET_QUOTE_REQUEST);
    ccz_buf_le32(out, size);
    ccz_buf_le32(out, 0);
    ccz_buf_le32(out, CCZI_TD_REPORT_MAC_SIZE);
    ccz_buf_le32(out, 0); /* no key ids: the service's own choice */
    ccz_buf_put(out, report, CCZI_TD_REPORT_MAC_SIZE);
}

ccz_rc cczi_qgs_response_parse(struct ccz_span *quote, struct ccz_span msg, struct ccz_err *err)
{
    *quote = CCZ_SPAN(NULL, 0);
    struct ccz_rd r = ccz_rd_from(msg);
    uint16_t major = ccz_rd_le16(&r), minor = ccz_rd_le16(&r);
    uint32_t type = ccz_rd_le32(&r), size = ccz_rd_le32(&r), error = ccz_rd_le32(&r);
    if (r.bad)
        return ccz_fail(err, CCZ_E_PEER, "tee:qgs-header", (int64_t)msg.size,
                        "the response ends inside of its header");
    if (major != QGS_MAJOR || type != QGS_GET_QUOTE_RESPONSE)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "tee:qgs-header", type,
                        "response of version %u.%u, type %u; expected 1.x, type 1", major, minor,
                        type);
    if (error != 0) {
        ccz_rc rc = ccz_fail(err, CCZ_E_PEER, "tee:qgs-error", error,
                             "the quote generation service answers with error 0x%x", error);
        return ccz_hint(err, rc, "the log of qgsd on the host tells why (registration, PCCS)");
    }
    uint32_t id_size = ccz_rd_le32(&r), quote_size = ccz_rd_le32(&r);
    (void)ccz_rd_take(&r, id_size);
    struct ccz_span q = ccz_rd_take(&r, quote_size);
    if (!ccz_rd_done(&r) || size != msg.size)
        return ccz_fail(err, CCZ_E_PEER, "tee:qgs-size", (int64_t)msg.size,
                        "sizes inside the response do not add up to its %zu bytes", msg.size);
    *quote = q;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ /etc/tdx-attest.conf */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct ccz_span trim(struct ccz_span s)
{
    while (s.size > 0 && is_blank(s.ptr[0]))
        s = ccz_span_sub(s, 1, s.size - 1);
    while (s.size > 0 && is_blank(s.ptr[s.size - 1]))
        s.size--;
    return s;
}

/* The text up to @p end, which is dropped; @p rest is what follows. */
static struct ccz_span cut(struct ccz_span *rest, char end)
{
    struct ccz_span s = *rest;
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] == (uint8_t)end) {
            *rest = CCZ_SPAN(s.ptr + i + 1, s.size - i - 1);
            return CCZ_SPAN(s.ptr, i);
        }
    *rest = CCZ_SPAN(NULL, 0);
    return s;
}

static bool parse_port(uint32_t *out, struct ccz_span text)
{
    uint64_t v = 0;
    if (text.size == 0 || text.size > 10)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = (uint32_t)v;
    return v > 0 && v < UINT32_MAX; /* UINT32_MAX = any port */
}

ccz_rc cczi_qgs_port_parse(uint32_t *out, struct ccz_span text, struct ccz_err *err)
{
    *out = QGS_PORT;
    while (text.size > 0) {
        struct ccz_span value = cut(&text, '\n');
        value = cut(&value, '#'); /* the rest of the line is a comment */
        struct ccz_span name = trim(cut(&value, '='));
        if (!ccz_span_eq(name, ccz_span_str("port")))
            continue;
        value = trim(value);
        if (parse_port(out, value))
            return CCZ_OK;
        char got[40];
        ccz_escape(got, sizeof(got), value);
        *out = 0;
        return ccz_refuse(err, CCZ_E_FORMAT, "tee:qgs-port", got, "port = 1 to 4294967294");
    }
    return CCZ_OK;
}
