/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEXTPB_H
#define CCZ_TEXTPB_H
/**
 * @file textpb.h
 * Protobuf text format: configuration files that people write, by a schema given as tables.
 *
 *     model_config_list {            # comments
 *       config: { name: 'a', base_path: "/models/" "a"; model_version_policy < specific { versions: [1, 2] } > }
 *     }
 *
 * Text becomes wire format (codec.h), and the same schema checks wire format that came from elsewhere: what fills
 * structures afterwards reads one form and knows that every field is of its type.
 *
 * Taken is what C++'s TextFormat takes: fields separated by nothing, ',' or ';'; a message in { } or < >, with or without ':';
 * lists of a repeated field in [ ]; strings in ' or ", adjacent ones joined, with C's escapes, also over several lines (people
 * paste PEM files); numbers decimal, octal and hexadecimal; true, True, t, 1. A field that is not repeated is
 * given once, of a oneof one field is given. More strict: a number ends where its token ends, and an enum has a known value.
 * @source https://protobuf.dev/reference/protobuf/textformat-spec/, text_format.cc of protobuf 29
 *
 * Pure functions, thread-safe. Messages of errors tell line and column (bytes, from 1) and the words that are there, except
 * when out->wipe is set: then what is read may be a private key, and only the kind of a word is told.
 */
#include <cczoo/codec.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ccz_textpb_kind {
    CCZ_TEXTPB_BOOL,
    CCZ_TEXTPB_INT32,
    CCZ_TEXTPB_INT64,
    CCZ_TEXTPB_UINT32,
    CCZ_TEXTPB_DOUBLE,
    CCZ_TEXTPB_STRING, /**< UTF-8 */
    CCZ_TEXTPB_ENUM,   /**< `values` */
    CCZ_TEXTPB_MESSAGE /**< `message`; maps are repeated messages of `key` and `value` */,
    /** Known and of no effect here: its text must be well formed, whatever it holds (an Any, too), and becomes an empty
     *  string in the wire format; on the wire it may be anything. */
    CCZ_TEXTPB_IGNORED
};
struct ccz_textpb_value {
    const char *name;
    int32_t number;
};
struct ccz_textpb_message;
struct ccz_textpb_field {
    const char *name;
    uint32_t number;
    enum ccz_textpb_kind kind;
    bool repeated;
    uint8_t oneof; /**< 1..63: of the fields with this number one is given; 0 = none */
    const struct ccz_textpb_message *message;
    const struct ccz_textpb_value *values; /**< up to one without a name */
};
struct ccz_textpb_message {
    const char *name; /**< as messages of errors call it */
    const struct ccz_textpb_field *fields;
    size_t len; /**< at most 64 */
};
#define CCZ_TEXTPB_DEPTH_MAX 32 /**< messages inside each other */

/**
 * @param[out] out  the message in wire format, appended; unchanged in size unless CCZ_OK
 * @retval CCZ_E_FORMAT  textpb:syntax, textpb:field (unknown), textpb:repeated (given again), textpb:oneof, textpb:value (of another
 *                       type), textpb:string (not ended, bad escape, no UTF-8); aux = line
 * @retval CCZ_E_LIMIT   textpb:range a number does not fit, textpb:depth, textpb:size beyond out->max_size; aux = line
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_textpb_parse(struct ccz_buf *out, struct ccz_span text,
                                             const struct ccz_textpb_message *schema,
                                             struct ccz_err *err);
/**
 * Whether @p wire is a message of that schema, with the same rules: unknown fields are errors, which ordinary readers of
 * protobuf skip; repeated numbers may be packed. Messages of errors name the field by its path.
 * @retval CCZ_E_FORMAT  textpb:wire (malformed), textpb:field, textpb:repeated, textpb:oneof, textpb:value, textpb:string; aux = field number
 * @retval CCZ_E_LIMIT   textpb:range, textpb:depth
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_textpb_check(struct ccz_span wire,
                                             const struct ccz_textpb_message *schema,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
