/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_SHAPE_H
#define CCZI_KMSDOOR_SHAPE_H
/*
 * What proto/kms.proto says, as tables: made of it when this is built (shapes.cmake), so that a method or field that is added
 * there is served over REST, and described by the OpenAPI document, without anything else.
 */
#include <cczoo/base.h>

enum cczi_shape_kind {
    CCZI_SHAPE_STRING,
    CCZI_SHAPE_BYTES,
    CCZI_SHAPE_BOOL,
    CCZI_SHAPE_UINT32,
    CCZI_SHAPE_UINT64,
    CCZI_SHAPE_INT64,
    CCZI_SHAPE_MESSAGE
};
struct cczi_shape;
struct cczi_shape_field {
    uint32_t number; /* below 64 */
    enum cczi_shape_kind kind;
    bool repeated;
    const char *name;            /* "audit_seq" */
    const char *json;            /* "auditSeq" */
    const struct cczi_shape *of; /* MESSAGE */
    const char *text;            /* the comment beside it, "" = none */
};
struct cczi_shape {
    const char *name;
    const struct cczi_shape_field *fields;
    size_t len;
};
struct cczi_shape_method {
    const char *name;
    const struct cczi_shape *request, *response;
    const char *text;
};
extern const struct cczi_shape *const cczi_shapes[];
extern const size_t cczi_shapes_len;
extern const struct cczi_shape_method cczi_shape_methods[]; /* in the order of the file */
extern const size_t cczi_shape_methods_len;

const struct cczi_shape_method *cczi_shape_method(const char *name); /* NULL = none */
const struct cczi_shape_field *cczi_shape_number(const struct cczi_shape *s, uint32_t number);
/* By either spelling. */
const struct cczi_shape_field *cczi_shape_named(const struct cczi_shape *s, struct ccz_span name);
/* A number of a message, 0 if it is not there. */
uint64_t cczi_shape_uint(const struct cczi_shape *s, struct ccz_span message, const char *name);
#endif
