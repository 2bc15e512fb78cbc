/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and the texts of gRPC headers (PROTOCOL-HTTP2: Timeout, Status-Message, Status). */
#include "rpc_priv.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

enum { CODE_LEN = CCZ_RPC_UNAUTHENTICATED + 1 };

static const struct code {
    const char *name;
    ccz_rc rc; /* nearest reason on the client */
} codes[CODE_LEN] = {
    [CCZ_RPC_OK] = {"OK", CCZ_OK},
    [CCZ_RPC_CANCELLED] = {"CANCELLED", CCZ_E_CLOSED},
    [CCZ_RPC_UNKNOWN] = {"UNKNOWN", CCZ_E_PEER},
    [CCZ_RPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", CCZ_E_FORMAT},
    [CCZ_RPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", CCZ_E_TIMEOUT},
    [CCZ_RPC_NOT_FOUND] = {"NOT_FOUND", CCZ_E_NOT_FOUND},
    [CCZ_RPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", CCZ_E_EXISTS},
    [CCZ_RPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", CCZ_E_DENIED},
    [CCZ_RPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", CCZ_E_LIMIT},
    [CCZ_RPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", CCZ_E_MISMATCH},
    [CCZ_RPC_ABORTED] = {"ABORTED", CCZ_E_PEER},
    [CCZ_RPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", CCZ_E_LIMIT},
    [CCZ_RPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", CCZ_E_UNSUPPORTED},
    [CCZ_RPC_INTERNAL] = {"INTERNAL", CCZ_E_PEER},
    [CCZ_RPC_UNAVAILABLE] = {"UNAVAILABLE", CCZ_E_UNAVAILABLE},
    [CCZ_RPC_DATA_LOSS] = {"DATA_LOSS", CCZ_E_IO},
    [CCZ_RPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", CCZ_E_DENIED},
};

const char *ccz_rpc_code_name(enum ccz_rpc_code c)
{
    return (unsigned)c < CODE_LEN ? codes[c].name : "UNKNOWN";
}

ccz_rc ccz_rpc_rc_of(enum ccz_rpc_code c)
{
    return (unsigned)c < CODE_LEN ? codes[c].rc : CCZ_E_PEER;
}

enum ccz_rpc_code ccz_rpc_code_of(ccz_rc rc)
{
    switch (rc) {
    case CCZ_OK:
        return CCZ_RPC_OK;
    case CCZ_E_ARG:
    case CCZ_E_FORMAT:
        return CCZ_RPC_INVALID_ARGUMENT;
    case CCZ_E_NOMEM:
    case CCZ_E_LIMIT:
        return CCZ_RPC_RESOURCE_EXHAUSTED;
    case CCZ_E_IO:
    case CCZ_E_INTERNAL:
        return CCZ_RPC_INTERNAL;
    case CCZ_E_UNSUPPORTED:
        return CCZ_RPC_UNIMPLEMENTED;
    case CCZ_E_SIG:
    case CCZ_E_EXPIRED:
    case CCZ_E_POLICY:
    case CCZ_E_REVOKED:
    case CCZ_E_UNTRUSTED:
    case CCZ_E_DENIED:
        return CCZ_RPC_PERMISSION_DENIED;
    case CCZ_E_MISMATCH:
        return CCZ_RPC_FAILED_PRECONDITION;
    case CCZ_E_NOT_FOUND:
        return CCZ_RPC_NOT_FOUND;
    case CCZ_E_EXISTS:
        return CCZ_RPC_ALREADY_EXISTS;
    case CCZ_E_TIMEOUT:
        return CCZ_RPC_DEADLINE_EXCEEDED;
    case CCZ_E_CLOSED:
        return CCZ_RPC_CANCELLED;
    case CCZ_E_UNAVAILABLE:
        return CCZ_RPC_UNAVAILABLE;
    case CCZ_E_PEER:
        return CCZ_RPC_UNKNOWN;
    }
    return CCZ_RPC_UNKNOWN;
}

enum ccz_rpc_code cczi_code_parse(struct ccz_span text)
{
    unsigned v = 0;
    if (text.size == 0 || text.size > 2)
        return CCZ_RPC_UNKNOWN;
    for (size_t i = 0; i < text.size; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return CCZ_RPC_UNKNOWN;
        v = 10 * v + (unsigned)(text.ptr[i] - '0');
    }
    return v < CODE_LEN ? (enum ccz_rpc_code)v : CCZ_RPC_UNKNOWN;
}

/* gRPC "HTTP to gRPC Status Code Mapping". */
enum ccz_rpc_code cczi_code_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return CCZ_RPC_INTERNAL;
    case 401:
        return CCZ_RPC_UNAUTHENTICATED;
    case 403:
        return CCZ_RPC_PERMISSION_DENIED;
    case 404:
        return CCZ_RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return CCZ_RPC_UNAVAILABLE;
    default:
        return CCZ_RPC_UNKNOWN;
    }
}

/* PROTOCOL-HTTP2, "HTTP2 Transport Mapping / Errors". */
enum ccz_rpc_code cczi_code_of_reset(uint32_t h2_code)
{
    switch (h2_code) {
    case NGHTTP2_REFUSED_STREAM:
        return CCZ_RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return CCZ_RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return CCZ_RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return CCZ_RPC_PERMISSION_DENIED;
    default:
        return CCZ_RPC_INTERNAL;
    }
}

/* ---------------------------------------------------------------------------------- timeout */

static const struct unit {
    char letter;
    int64_t num, den; /* milliseconds = value * num / den */
} units[] = {{'m', 1, 1},       {'S', 1000, 1}, {'M', 60000, 1},
             {'H', 3600000, 1}, {'u', 1, 1000}, {'n', 1, 1000000}};
enum { TIMEOUT_VALUE_MAX = 99999999 }; /* 8 digits */

void cczi_timeout_format(char out[CCZI_TIMEOUT_TEXT_SIZE], int64_t timeout_ms)
{
    if (timeout_ms < 1)
        timeout_ms = 1;
    for (size_t i = 0; i < 4; i++) { /* the finest unit that fits */
        int64_t v = timeout_ms / units[i].num + (timeout_ms % units[i].num != 0);
        if (v > TIMEOUT_VALUE_MAX)
            continue;
        (void)snprintf(out, CCZI_TIMEOUT_TEXT_SIZE, "%d%c", (int)v, units[i].letter);
        return;
    }
    (void)snprintf(out, CCZI_TIMEOUT_TEXT_SIZE, "%dH", TIMEOUT_VALUE_MAX);
}

bool cczi_timeout_parse(int64_t *timeout_ms, struct ccz_span text)
{
    int64_t v = 0;
    *timeout_ms = 0;
    if (text.size < 2 || text.size > 9)
        return false;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = 10 * v + (text.ptr[i] - '0');
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].letter != (char)text.ptr[text.size - 1])
            continue;
        *timeout_ms = (v * units[i].num + units[i].den - 1) / units[i].den;
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------------- percent-encoding */

void cczi_percent_put(struct ccz_buf *out, struct ccz_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        /* a space at either end would be trimmed from the header */
        bool edge = c == ' ' && (i == 0 || i + 1 == text.size);
        if (c >= 0x20 && c <= 0x7e && c != '%' && !edge)
            ccz_buf_u8(out, c);
        else
            ccz_buf_printf(out, "%%%02X", c);
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that stands at text[*i], which moves behind it. */
static uint8_t percent_next(struct ccz_span text, size_t *i)
{
    size_t at = *i;
    int hi = text.ptr[at] == '%' && at + 2 < text.size ? hex_digit(text.ptr[at + 1]) : -1;
    int lo = hi >= 0 ? hex_digit(text.ptr[at + 2]) : -1;
    *i += lo < 0 ? 1 : 3;
    return lo < 0 ? text.ptr[at] : (uint8_t)(16 * hi + lo);
}

void cczi_percent_get(char *out, size_t out_size, struct ccz_span text)
{
    uint8_t raw[CCZI_MESSAGE_SIZE];
    size_t n = 0;
    for (size_t i = 0; i < text.size && n < sizeof(raw);)
        raw[n++] = percent_next(text, &i);
    ccz_escape(out, out_size, CCZ_SPAN(raw, n));
}

void cczi_percent_raw(struct ccz_buf *out, struct ccz_span text)
{
    for (size_t i = 0; i < text.size;)
        ccz_buf_u8(out, percent_next(text, &i));
    (void)ccz_buf_str(out);
}
