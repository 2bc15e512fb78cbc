/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CODEC_PRIV_H
#define CCZ_CODEC_PRIV_H
/* Shared by the sources of src/codec only. */
#include <cczoo/codec.h>

/**
 * Size (1..4) of the well-formed UTF-8 sequence (RFC 3629, section 4) at the start of @p s, 0 if
 * there is none: overlong forms, surrogates, values above U+10FFFF and truncated sequences have no
 * size.
 */
size_t cczi_utf8_size(struct ccz_span s);
#endif
