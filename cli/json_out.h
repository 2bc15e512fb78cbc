/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JSON_OUT_H
#define JSON_OUT_H
/* Members of an object that is being printed, each after a comma; texts are escaped, whoever they come from. */
#include <cczoo/base.h>

void put_text(struct ccz_buf *b, const char *key, const char *text);
void put_hex(struct ccz_buf *b, const char *key, const uint8_t bytes[32]);
void put_time(struct ccz_buf *b, const char *key, int64_t t_s); /* 0 = "" */
#endif
