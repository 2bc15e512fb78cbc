/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CODEC_H
#define CCZ_CODEC_H
/**
 * @file codec.h
 * DER, JSON, CSV, CBOR, base64, PEM and protobuf wire format: bytes to views, no meaning.
 *
 * jansson is used only in src/codec/json.c. DER, CBOR and protobuf are cursors of our own over
 * struct ccz_rd (docs/design/codec.md says why): views into the input, no allocation, bounded depth.
 * Everything is a pure function of its input and thread-safe; nothing here is secret-independent in time
 * except the character mapping of base64 (in PEM: of blocks that are to be wiped).
 * Reading order of the sources: der.c, base64.c, utf8.c, json.c, jdoc.c, csv.c, cbor.c, pb.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- DER (ITU-T X.690) */

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
 * @return the content, borrowed; empty after an error
 * @source X.690 8.1.2, 8.1.3, 10.1
 */
CCZ_API struct ccz_span ccz_der_take(struct ccz_rd *r, uint8_t tag);
/** Takes any element; @p tag receives its tag byte, 0 after an error. */
CCZ_API struct ccz_span ccz_der_any(uint8_t *tag, struct ccz_rd *r);
/** True if the next element has @p tag (nothing is consumed). */
CCZ_API bool ccz_der_peek(const struct ccz_rd *r, uint8_t tag);
/** INTEGER or ENUMERATED content as 0..2^63-1; sets r->bad if negative, non-minimal or larger. */
CCZ_API uint64_t ccz_der_uint(struct ccz_rd *r, uint8_t tag);
/** BOOLEAN; DER allows 0x00 and 0xff only. */
CCZ_API bool ccz_der_bool(struct ccz_rd *r);
#define CCZ_DER_OID_SIZE_MAX 64 /**< room that ccz_der_oid() needs for any OID in use here */
/**
 * Content bytes of an OID given as "1.2.840.113741.1.13.1", for comparing. Arcs are at most 2^64 - 81.
 * @return bytes written; 0 if @p dotted is malformed or does not fit in @p out_size
 */
CCZ_API size_t ccz_der_oid(uint8_t *out, size_t out_size, const char *dotted);

/** Writing: one element with its content. */
CCZ_API void ccz_der_put(struct ccz_buf *out, uint8_t tag, struct ccz_span content);
CCZ_API void ccz_der_put_uint(struct ccz_buf *out, uint8_t tag,
                              uint64_t v);                             /**< INTEGER, ENUMERATED */
CCZ_API void ccz_der_put_oid(struct ccz_buf *out, const char *dotted); /**< malformed: out->bad */
/** Nested element: `size_t m = ccz_der_open(b, CCZ_DER_SEQUENCE); ...content...; ccz_der_close(b, m);` */
CCZ_API size_t ccz_der_open(struct ccz_buf *out, uint8_t tag);
CCZ_API void ccz_der_close(struct ccz_buf *out, size_t mark);

/* -------------------------------------------------------------------------------- text */

/** True if the whole of @p s is well-formed UTF-8 (RFC 3629, section 4). */
CCZ_API bool ccz_utf8_ok(struct ccz_span s);

/* ------------------------------------------------------------------------- base64, PEM */

enum ccz_base64 { CCZ_BASE64_STD, CCZ_BASE64_URL /**< RFC 4648 section 5, no padding */ };
CCZ_API void ccz_base64_put(struct ccz_buf *out, struct ccz_span in, enum ccz_base64 kind);
/**
 * Appends the bytes of @p text. Strict: no white space, correct padding (CCZ_BASE64_STD) or none
 * (CCZ_BASE64_URL), zero spare bits, so that every byte string has exactly one text.
 * @retval CCZ_E_FORMAT  base64:padding, base64:length, base64:alphabet (aux = offset), base64:spare-bits
 * @retval CCZ_E_LIMIT   base64:size: beyond out->max_size
 * @ct   of the characters; lengths and errors are public
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_base64_get(struct ccz_buf *out, struct ccz_span text,
                                           enum ccz_base64 kind, struct ccz_err *err);
/**
 * Next PEM block (RFC 7468, strict: lines end with LF or CR LF, no other white space inside) with
 * @p label in @p *text; appends its DER to @p out and advances @p *text past the END line. Explanatory
 * text and blocks with other labels are skipped. Set out->wipe when the block is a private key: the
 * time depends on the characters of other blocks.
 * @retval CCZ_E_NOT_FOUND  pem:begin: no further block; *text is empty
 * @retval CCZ_E_FORMAT     pem:end, pem:empty, base64:...; *text is untouched
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pem_next(struct ccz_buf *out, struct ccz_span *text,
                                         const char *label, struct ccz_err *err);
CCZ_API void ccz_pem_put(struct ccz_buf *out, const char *label, struct ccz_span der);

/* ----------------------------------------------------------------------------------- JSON */

/** A parsed document (root) or a borrowed node of it; nodes live as long as their root. */
struct ccz_json;
enum ccz_json_type {
    CCZ_JSON_NULL,
    CCZ_JSON_BOOL,
    CCZ_JSON_INT,
    CCZ_JSON_REAL,
    CCZ_JSON_STRING,
    CCZ_JSON_ARRAY,
    CCZ_JSON_OBJECT
};
/**
 * Parses one document (RFC 8259, any type at the top). Duplicate keys, trailing bytes, invalid UTF-8,
 * NUL in a key, NaN and Infinity, integers outside int64 and reals outside double are errors.
 * @param[out] out  owned by the caller: ccz_json_free()
 * @retval CCZ_E_FORMAT  json:parse, aux = byte offset; the message gives line and column, never the text
 * @retval CCZ_E_LIMIT   json:depth: more than 64 levels
 * @retval CCZ_E_NOMEM   json:parse
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_json_parse(struct ccz_json **out, struct ccz_span text,
                                           struct ccz_err *err);
CCZ_API void ccz_json_free(struct ccz_json *root); /**< roots only; NULL is fine */
CCZ_DEFINE_AUTO(ccz_json)
CCZ_API enum ccz_json_type
ccz_json_type(const struct ccz_json *j); /**< NULL counts as CCZ_JSON_NULL */
/** Member @p key of an object, or NULL (also when @p j is NULL or no object): lookups can be chained. */
CCZ_API const struct ccz_json *ccz_json_get(const struct ccz_json *j, const char *key);
CCZ_API size_t ccz_json_len(const struct ccz_json *j); /**< of an array or object, else 0 */
CCZ_API const struct ccz_json *ccz_json_at(const struct ccz_json *array, size_t i);
/**
 * Walks the members of an object in document order:
 * `const char *key = NULL; while ((v = ccz_json_next(&key, object))) ...`.
 * @param[in,out] key  NULL to start, then what the last call left there (no copy of it); borrowed
 * @return the next value; NULL at the end, or if @p object is NULL or no object
 */
CCZ_API const struct ccz_json *ccz_json_next(const char **key, const struct ccz_json *object);
/** i-th member in document order, found by walking (quadratic in a loop: use ccz_json_next()). */
CCZ_API const struct ccz_json *ccz_json_member(const char **key, const struct ccz_json *object,
                                               size_t i);
/** String content, borrowed and NUL-terminated; NULL if not a string or if it contains a NUL. */
CCZ_API const char *ccz_json_str(const struct ccz_json *j);
CCZ_API struct ccz_span
ccz_json_bytes(const struct ccz_json *j); /**< string content with its size */
/** False (and *out = 0) unless an integer. */
CCZ_API CCZ_MUST_USE bool ccz_json_int(int64_t *out, const struct ccz_json *j);
CCZ_API CCZ_MUST_USE bool ccz_json_real(double *out, const struct ccz_json *j); /**< integers too */
CCZ_API CCZ_MUST_USE bool ccz_json_bool(bool *out, const struct ccz_json *j);
/**
 * The exact bytes of the value of top-level member @p key, as delivered: what a signature over a part
 * of a document covers (Intel TCB info, QE identity). @p text must have passed ccz_json_parse().
 * @return borrowed from @p text, without surrounding white space; empty if absent, if @p text is no
 *         object, or if the key is written with escapes
 */
CCZ_API struct ccz_span ccz_json_raw_member(struct ccz_span text, const char *key);

/** Writing: `"text"` with escapes (each byte of invalid UTF-8 becomes U+FFFD). The rest is ccz_buf_printf(). */
CCZ_API void ccz_json_put_str(struct ccz_buf *out, struct ccz_span text);
/**
 * The correctly rounded decimal with the fewest digits that reads back as the same float / double: "1.0",
 * "0.1", "-0.0", "1e22". Independent of the locale. Not finite: NaN, Infinity, -Infinity, which
 * are no JSON (and ccz_json_parse() refuses), but what TensorFlow Serving's REST API sends.
 */
CCZ_API void ccz_json_put_float(struct ccz_buf *out, float v);
CCZ_API void ccz_json_put_double(struct ccz_buf *out, double v);

/* ---------------------------------------------------------------- JSON, read in place */

/**
 * A document whose nodes are views of its text, for signed documents, of which each member is read
 * once: a tenth of the time of a struct ccz_json and one allocation. As strict, with these differences:
 * integers go up to 2^64 - 1; an object key with an escape, more than 128 members in an object and more than 16 MiB are refused;
 * strings with escapes are checked, but their content is not to be had; so are reals.
 */
struct ccz_jdoc;
/** A value of it, with its key if it is a member of an object. Lives as long as document and text. */
struct ccz_jnode;
#define CCZ_JDOC_SIZE_MAX 16777216
/**
 * @param[out] out  owned by the caller: ccz_jdoc_free(); borrows from @p text
 * @retval CCZ_E_FORMAT  json:parse, aux = byte offset
 * @retval CCZ_E_LIMIT   json:depth: more than 64 levels; json:members; json:size
 * @retval CCZ_E_NOMEM   json:parse
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_jdoc_parse(struct ccz_jdoc **out, struct ccz_span text,
                                           struct ccz_err *err);
CCZ_API void ccz_jdoc_free(struct ccz_jdoc *d); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_jdoc)
CCZ_API const struct ccz_jnode *ccz_jdoc_root(const struct ccz_jdoc *d);
/** As for struct ccz_json: NULL is a null, and lookups can be chained. */
CCZ_API enum ccz_json_type ccz_jnode_type(const struct ccz_jnode *n);
CCZ_API const struct ccz_jnode *ccz_jnode_get(const struct ccz_jnode *n, const char *key);
CCZ_API size_t ccz_jnode_len(const struct ccz_jnode *n); /**< of an array or object, else 0 */
/** Elements or members in document order: `for (v = ccz_jnode_first(n); v; v = ccz_jnode_next(v))`. */
CCZ_API const struct ccz_jnode *ccz_jnode_first(const struct ccz_jnode *n);
CCZ_API const struct ccz_jnode *ccz_jnode_next(const struct ccz_jnode *n);
CCZ_API struct ccz_span ccz_jnode_key(const struct ccz_jnode *n);
/** Content of a string without escapes; ptr is NULL for anything else. */
CCZ_API struct ccz_span ccz_jnode_str(const struct ccz_jnode *n);
/** False (and *out = 0) unless an integer, of at most 2^63 - 1. */
CCZ_API CCZ_MUST_USE bool ccz_jnode_int(int64_t *out, const struct ccz_jnode *n);
/** The same from 0 to 2^64 - 1, exactly: what others write of a uint64_t. */
CCZ_API CCZ_MUST_USE bool ccz_jnode_uint(uint64_t *out, const struct ccz_jnode *n);
/** The value as it stands in the text: what a signature over a part of a document covers. */
CCZ_API struct ccz_span ccz_jnode_raw(const struct ccz_jnode *n);

/* -------------------------------------------------------------------------- CSV (RFC 4180) */

/**
 * Reads one record at a time from a source of bytes, so that a file of any length needs the memory of
 * one record. Strict: each record has as many fields as the first; a field is quoted as a whole
 * or holds no quote; lines end with LF or CR LF, the last one may lack it; no empty line; valid UTF-8
 * without NUL. A byte order mark at the start is skipped. A header line is a record like any other.
 * Errors tell line and column, never the text, which may be somebody's data; the buffer is wiped when freed.
 *
 *     while ((rc = ccz_csv_next(c, &err)) == CCZ_OK) ... ccz_csv_num(&x, c, i, &err) ...
 *     if (rc != CCZ_E_NOT_FOUND) ... the file is refused
 */
struct ccz_csv;
/** Bytes put at @p to (at most @p size), 0 at the end, -1 on an error: read(2) with an argument. */
typedef ptrdiff_t (*ccz_csv_source)(void *arg, void *to, size_t size);
struct ccz_csv_cfg {
    char delimiter;         /**< 0: ',' */
    size_t record_size_max; /**< 0: 1 MiB */
    size_t fields_max;      /**< 0: 65,536 */
};
/**
 * @param[out] out  owned by the caller: ccz_csv_free()
 * @param      cfg  NULL: the defaults
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_csv_new(struct ccz_csv **out, ccz_csv_source source, void *arg,
                                        const struct ccz_csv_cfg *cfg, struct ccz_err *err);
/** As ccz_csv_new() over @p text, which must outlive the reader. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_csv_new_mem(struct ccz_csv **out, struct ccz_span text,
                                            const struct ccz_csv_cfg *cfg, struct ccz_err *err);
/** A source that reads a FILE, given as the argument. */
CCZ_API ptrdiff_t ccz_csv_from_file(void *file, void *to, size_t size);
CCZ_API void ccz_csv_free(struct ccz_csv *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_csv)
/**
 * Reads the next record. After any other answer than CCZ_OK the reader gives that answer again.
 * @retval CCZ_E_NOT_FOUND  csv:end: no further record
 * @retval CCZ_E_FORMAT     csv:empty-line, csv:fields, csv:quote, csv:line-end, csv:text; aux = line
 * @retval CCZ_E_LIMIT      csv:record-size, csv:fields-max; aux = line
 * @retval CCZ_E_IO         csv:read: the source failed
 * @retval CCZ_E_NOMEM      csv:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_csv_next(struct ccz_csv *c, struct ccz_err *err);
CCZ_API size_t
ccz_csv_len(const struct ccz_csv *c); /**< fields of the record; 0 if there is none */
/** Field @p i without its quotes, borrowed until the next call; empty if there is none. */
CCZ_API struct ccz_span ccz_csv_field(const struct ccz_csv *c, size_t i);
CCZ_API uint64_t ccz_csv_line(const struct ccz_csv *c); /**< where the record starts, from 1 */
/**
 * Field @p i as a decimal number: sign, digits, point, exponent; correctly rounded, independent of the
 * locale. White space, hexadecimal, NaN, Infinity and what overflows a double are refused.
 * @retval CCZ_E_FORMAT  csv:number, aux = line; @p out is 0
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_csv_num(double *out, const struct ccz_csv *c, size_t i,
                                        struct ccz_err *err);

/** The same for any text. @return false: none such; @p out is 0 */
CCZ_API CCZ_MUST_USE bool ccz_decimal(double *out, struct ccz_span text);

/* ------------------------------------------------- CBOR (RFC 8949), definite lengths only */

/**
 * Cursor reading of the subset that evidence claims use; sticky error in r->bad. Only the deterministic
 * encoding (section 4.2.1) is accepted: non-minimal heads and indefinite lengths are errors. A negative
 * integer is -1 - argument. Simple values and floats can be skipped, not read.
 */
enum ccz_cbor_type {
    CCZ_CBOR_UINT = 0,
    CCZ_CBOR_NEGINT = 1,
    CCZ_CBOR_BYTES = 2,
    CCZ_CBOR_TEXT = 3,
    CCZ_CBOR_ARRAY = 4,
    CCZ_CBOR_MAP = 5,
    CCZ_CBOR_TAG = 6
};
/** Takes a head of major type @p want; returns its argument (value, size, count or tag), 0 after an error.
 *  A count is untrusted: bound it before allocating. */
CCZ_API uint64_t ccz_cbor_head(struct ccz_rd *r, enum ccz_cbor_type want);
/** Takes a byte string, or a text string, which must be UTF-8. Borrowed; empty after an error. */
CCZ_API struct ccz_span ccz_cbor_string(struct ccz_rd *r, enum ccz_cbor_type want);
/** Skips one item of any type; more than 16 arrays, maps and tags around an item are an error. */
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
/** For packed fields. More than 10 bytes, or bits above 2^64 - 1, are an error (then 0). */
CCZ_API uint64_t ccz_pb_varint(struct ccz_rd *r);
CCZ_API double ccz_pb_as_double(uint64_t i64);
CCZ_API float ccz_pb_as_float(uint64_t i32);
CCZ_API int64_t ccz_pb_zigzag(uint64_t v);

CCZ_API void ccz_pb_put_varint(struct ccz_buf *out, uint64_t v); /**< bare, no tag */
CCZ_API void ccz_pb_put_tag(struct ccz_buf *out, uint32_t number, enum ccz_pb_wire wire);
CCZ_API void ccz_pb_put_uint(struct ccz_buf *out, uint32_t number,
                             uint64_t v); /**< 0 is written too */
CCZ_API void ccz_pb_put_bytes(struct ccz_buf *out, uint32_t number, struct ccz_span s);
CCZ_API void ccz_pb_put_str(struct ccz_buf *out, uint32_t number, const char *s);
CCZ_API void ccz_pb_put_float(struct ccz_buf *out, uint32_t number, float v);
CCZ_API void ccz_pb_put_double(struct ccz_buf *out, uint32_t number, double v);
/**
 * Nested message: `size_t m = ccz_pb_open(b, 3); ...fields...; ccz_pb_close(b, m);`. The length is
 * written in 5 bytes (a padded varint, which every parser accepts), so nothing is moved at close.
 * A message of 2 GiB and more sets out->bad.
 */
CCZ_API size_t ccz_pb_open(struct ccz_buf *out, uint32_t number);
CCZ_API void ccz_pb_close(struct ccz_buf *out, size_t mark);
/** Bytes that ccz_pb_put_varint() writes for @p v (1..10). */
CCZ_API size_t ccz_pb_varint_size(uint64_t v);

#ifdef __cplusplus
}
#endif
#endif
