/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_JSON_H
#define CCZI_KMSDOOR_JSON_H
/* Messages as JSON and back (proto3's mapping), driven by the tables of shape.h. Pure. */
#include "shape.h"

enum { CCZI_JSON_NESTED_MAX = 4 }; /* messages in messages */

/*
 * Appends the message that @p text says. Stricter than proto3's mapping where two readers could differ: a member that is not known, one given
 * twice (in either spelling), numbers with a fraction or exponent, base64 with the wrong padding or stray bits are refused; null is an
 * absent member. Bytes: base64 with padding, or base64url without. 64-bit numbers: digits in a string, or a number.
 * @param[out] out  as it was on failure; set its `wipe` where there may be secrets
 * @retval CCZ_E_FORMAT  "door:json", "door:json-object", "door:json-member" (not known), "door:json-twice", "door:json-type",
 *                       "door:json-number", "door:json-base64"; got is the member
 * @retval CCZ_E_LIMIT   "door:json", "door:json-size" (@p out)
 */
CCZ_MUST_USE ccz_rc cczi_json_get(struct ccz_buf *out, const struct cczi_shape *shape,
                                  struct ccz_span text, struct ccz_err *err);
/*
 * Appends the JSON of @p message; what is absent there is absent here, fields that the table does not know are left out.
 * @param[out] out  as it was on failure
 * @retval CCZ_E_FORMAT  "door:message": it is none  @retval CCZ_E_LIMIT  "door:json-size"
 */
CCZ_MUST_USE ccz_rc cczi_json_put(struct ccz_buf *out, const struct cczi_shape *shape,
                                  struct ccz_span message, struct ccz_err *err);

/* Content of a string, for doors with bodies of their own: writers of JSON may escape any character, and some do so in base64
 * ("\/", "\u003d").
 * @param[out] out   borrowed from the text, or from @p room where there are escapes
 * @param[out] room  made here, to be wiped; ccz_buf_free() it in any case
 * @retval CCZ_E_FORMAT  not a string, or NULL  @retval CCZ_E_NOMEM */
struct ccz_jnode; /* codec.h */
CCZ_MUST_USE ccz_rc cczi_json_str(struct ccz_span *out, struct ccz_buf *room,
                                  const struct ccz_jnode *v);
#endif
