/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LOG_MAKER_H
#define LOG_MAKER_H
/* Writes TCG crypto-agile event logs as the firmware of a TD does. */
#include <cczoo/eventlog.h>

enum { LOG_SHA256 = 0x000b, LOG_SHA384 = 0x000c, LOG_SHA512 = 0x000d };

/** Header event for these algorithms. */
void log_begin(struct ccz_buf *b, const uint16_t *algs, size_t len);
/** One event with this SHA-384 digest and, for every other algorithm of the header, zeros. */
void log_event(struct ccz_buf *b, const uint16_t *algs, size_t len, uint32_t mr, uint32_t type,
               const uint8_t digest[48], struct ccz_span data);
/** One event of a SHA-384 log whose digest is over its data. */
void log_measure(struct ccz_buf *b, uint32_t mr, uint32_t type, struct ccz_span data);
/** UEFI_VARIABLE_DATA. */
void log_variable(struct ccz_buf *b, const char *name, struct ccz_span value);
void log_pad(struct ccz_buf *b, size_t size);
#endif
