/* SPDX-License-Identifier: Apache-2.0 */
#include "json_out.h"

#include <cczoo/codec.h>

void put_text(struct ccz_buf *b, const char *key, const char *text)
{
    ccz_buf_printf(b, ",\"%s\":", key);
    ccz_json_put_str(b, ccz_span_str(text));
}

void put_hex(struct ccz_buf *b, const char *key, const uint8_t bytes[32])
{
    char hex[65];
    ccz_hex(hex, bytes, 32);
    put_text(b, key, hex);
}

void put_time(struct ccz_buf *b, const char *key, int64_t t_s)
{
    char at[21] = "";
    if (t_s)
        ccz_time_format(at, t_s);
    put_text(b, key, at);
}
