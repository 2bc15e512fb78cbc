/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CODEC_H
#define CCZ_CODEC_H
/**
 * @file codec.h
 * DER, JSON, CBOR, base64, PEM and protobuf wire format: bytes to views, no meaning.
 *
 * jansson and libcbor are used only in src/codec. The protobuf part is a zero-copy wire cursor of our
 * own (docs/design/codec.md says why). Everything is a pure function of its input and thread-safe.
 * Reading order of the sources: der.c, base64.c, json.c, cbor.c, pb.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- DER (X.690), reading only */

/** DER tag bytes used by callers; context tags are 0x80|n (primitive) or 0xa0|n (constructed). */
enum {
    CCZ_DER_BOOLEAN = 0x01,
    CCZ_DER_INTEGER = 0x02,
    CCZ_DER_BIT_STRING = 0x03,
    CCZ_DER_OCTET_STRING = 0x04,
    CCZ_DER_OID = 0x06,
    CCZ_DER_ENUMERATED = 0x0a,
    CCZ_DER_SEQUENCE = 0x30,
    CCZ_DER_SET = 0x31
};
/**
 * Takes one element from @p r; sticky error in r->bad when the tag differs, the length is not
 * minimal, indefinite or beyond the input, or the tag number is above 30.
 * @return the content, borrowed
 */
CCZ_API struct ccz_span ccz_der_take(struct ccz_rd *r, uint8_t tag);
/** Takes any element; @p tag receives its tag byte. */
CCZ_API struct ccz_span ccz_der_any(uint8_t *tag, struct ccz_rd *r);
/** True if the next element has @p tag (nothing is consumed). */
CCZ_API bool ccz_der_peek(const struct ccz_rd *r, uint8_t tag);
/** INTEGER or ENUMERATED content as 0..2^63-1; sets r->bad if negative, non-minimal or larger. */
CCZ_API uint64_t ccz_der_uint(struct ccz_rd *r, uint8_t tag);
/** BOOLEAN; DER allows 0x00 and 0xff only. */
CCZ_API bool ccz_der_bool(struct ccz_rd *r);
/** Content bytes of an OID given as "1.2.840.113741.1.13.1"; for comparing. @return bytes written, 0 = error */
CCZ_API size_t ccz_der_oid(uint8_t *out, size_t out_size, const char *dotted);

/* ------------------------------------------------------------------------- base64, PEM */

enum ccz_base64 { CCZ_BASE64_STD, CCZ_BASE64_URL /**< RFC 4648 section 5, no padding */ };
CCZ_API void ccz_base64_put(struct ccz_buf *out, struct ccz_span in, enum ccz_base64 kind);
/** Strict: no white space, correct padding, zero spare bits. where = "base64:..." */
CCZ_API CCZ_MUST_USE ccz_rc ccz_base64_get(struct ccz_buf *out, struct ccz_span text,
                                           enum ccz_base64 kind, struct ccz_err *err);
/**
 * Next PEM block (RFC 7468) with @p label in @p *text; appends its DER to @p out and advances @p *text
 * past the END line. Explanatory text between blocks is skipped.
 * @retval CCZ_E_NOT_FOUND  no further block; *text is empty
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pem_next(struct ccz_buf *out, struct ccz_span *text,
                                         const char *label, struct ccz_err *err);
CCZ_API void ccz_pem_put(struct ccz_buf *out, const char *label, struct ccz_span der);

/* ----------------------------------------------------------------------------------- JSON */

/** A parsed document (root) or a borrowed node of it; nodes live as long as their root. */
struct ccz_json;
enum ccz_json_type {
    CCZ_JSON_NULL, CCZ_JSON_BOOL, CCZ_JSON_INT, CCZ_JSON_REAL,
    CCZ_JSON_STRING, CCZ_JSON_ARRAY, CCZ_JSON_OBJECT
};
/**
 * Parses one document; duplicate keys, trailing bytes, invalid UTF-8 and nesting above 64 are errors.
 * where = "json:parse", aux = byte offset.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_json_parse(struct ccz_json **out, struct ccz_span text, struct ccz_err *err);
CCZ_API void ccz_json_free(struct ccz_json *root); /**< roots only; NULL is fine */
CCZ_API enum ccz_json_type ccz_json_type(const struct ccz_json *j); /**< NULL counts as CCZ_JSON_NULL */
/** Member @p key of an object, or NULL (also when @p j is NULL or no object): lookups can be chained. */
CCZ_API const struct ccz_json *ccz_json_get(const struct ccz_json *j, const char *key);
CCZ_API size_t ccz_json_len(const struct ccz_json *j); /**< of an array or object, else 0 */
CCZ_API const struct ccz_json *ccz_json_at(const struct ccz_json *array, size_t i);
/** i-th member of an object in document order: its key (borrowed) and value. */
CCZ_API const struct ccz_json *ccz_json_member(const char **key, const struct ccz_json *object, size_t i);
/** String content, borrowed and NUL-terminated; NULL if not a string or if it contains a NUL. */
CCZ_API const char *ccz_json_str(const struct ccz_json *j);
CCZ_API struct ccz_span ccz_json_bytes(const struct ccz_json *j); /**< string content with its size */
/** False (and *out = 0) unless an integer. */
CCZ_API CCZ_MUST_USE bool ccz_json_int(int64_t *out, const struct ccz_json *j);
CCZ_API CCZ_MUST_USE bool ccz_json_real(double *out, const struct ccz_json *j); /**< integers too */
CCZ_API CCZ_MUST_USE bool ccz_json_bool(bool *out, const struct ccz_json *j);
/**
 * The exact bytes of the value of top-level member @p key, as delivered: what a signature over a part
 * of a document covers (Intel TCB info, QE identity). @p text must have passed ccz_json_parse().
 * @return empty if absent
 */
CCZ_API struct ccz_span ccz_json_raw_member(struct ccz_span text, const char *key);

/** Writing: `"text"` with escapes (invalid UTF-8 becomes U+FFFD). The rest is ccz_buf_printf(). */
CCZ_API void ccz_json_put_str(struct ccz_buf *out, struct ccz_span text);
/** Shortest decimal that reads back as the same float / double ("1.0", "0.1", "NaN", "Infinity"). */
CCZ_API void ccz_json_put_float(struct ccz_buf *out, float v);
CCZ_API void ccz_json_put_double(struct ccz_buf *out, double v);

/* ------------------------------------------------- CBOR (RFC 8949), definite lengths only */

/** Cursor reading of the subset that evidence claims use; sticky error in r->bad. Non-minimal heads
 *  and indefinite lengths are errors. */
enum ccz_cbor_type {
    CCZ_CBOR_UINT = 0, CCZ_CBOR_NEGINT = 1, CCZ_CBOR_BYTES = 2, CCZ_CBOR_TEXT = 3,
    CCZ_CBOR_ARRAY = 4, CCZ_CBOR_MAP = 5, CCZ_CBOR_TAG = 6
};
/** Takes a head of major type @p want; returns its argument (value, size, count or tag). */
CCZ_API uint64_t ccz_cbor_head(struct ccz_rd *r, enum ccz_cbor_type want);
/** Takes a byte or text string. */
CCZ_API struct ccz_span ccz_cbor_string(struct ccz_rd *r, enum ccz_cbor_type want);
/** Skips one item of any type, nesting <= 16. */
CCZ_API void ccz_cbor_skip(struct ccz_rd *r);
CCZ_API void ccz_cbor_put_head(struct ccz_buf *out, enum ccz_cbor_type type, uint64_t arg);
CCZ_API void ccz_cbor_put_string(struct ccz_buf *out, enum ccz_cbor_type type, struct ccz_span s);

/* --------------------------------------------------------------- protobuf wire format */

enum ccz_pb_wire { CCZ_PB_VARINT = 0, CCZ_PB_I64 = 1, CCZ_PB_LEN = 2, CCZ_PB_I32 = 5 };
/** One field as it stands in the message: `num` for scalar wire types, `bytes` for CCZ_PB_LEN. */
struct ccz_pb_field {
    uint32_t number; /**< 1..2^29-1 */
    enum ccz_pb_wire wire;
    uint64_t num;
    struct ccz_span bytes; /**< borrowed from the message */
};
/**
 * Next field of a message; false at the end or on a malformed field (then r->bad). Groups are errors.
 * Loop: `while (ccz_pb_next(&f, &r)) switch (f.number) {...}  if (r.bad) ...`. Unknown fields: ignore.
 */
CCZ_API CCZ_MUST_USE bool ccz_pb_next(struct ccz_pb_field *f, struct ccz_rd *r);
CCZ_API uint64_t ccz_pb_varint(struct ccz_rd *r); /**< for packed fields */
CCZ_API double ccz_pb_as_double(uint64_t i64);
CCZ_API float ccz_pb_as_float(uint64_t i32);
CCZ_API int64_t ccz_pb_zigzag(uint64_t v);

CCZ_API void ccz_pb_put_varint(struct ccz_buf *out, uint64_t v);                /**< bare, no tag */
CCZ_API void ccz_pb_put_tag(struct ccz_buf *out, uint32_t number, enum ccz_pb_wire wire);
CCZ_API void ccz_pb_put_uint(struct ccz_buf *out, uint32_t number, uint64_t v); /**< 0 is written too */
CCZ_API void ccz_pb_put_bytes(struct ccz_buf *out, uint32_t number, struct ccz_span s);
CCZ_API void ccz_pb_put_str(struct ccz_buf *out, uint32_t number, const char *s);
CCZ_API void ccz_pb_put_float(struct ccz_buf *out, uint32_t number, float v);
CCZ_API void ccz_pb_put_double(struct ccz_buf *out, uint32_t number, double v);
/**
 * Nested message: `size_t m = ccz_pb_open(b, 3); ...fields...; ccz_pb_close(b, m);`. The length is
 * written in 5 bytes (a padded varint, which every parser accepts), so nothing is moved at close.
 */
CCZ_API size_t ccz_pb_open(struct ccz_buf *out, uint32_t number);
CCZ_API void ccz_pb_close(struct ccz_buf *out, size_t mark);
/** Bytes that ccz_pb_put_varint() writes for @p v (1..10). */
CCZ_API size_t ccz_pb_varint_size(uint64_t v);

#ifdef __cplusplus
}
#endif
#endif
