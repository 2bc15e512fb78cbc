/* SPDX-License-Identifier: Apache-2.0 */
#include "shape.h"

#include <cczoo/codec.h>

#include <string.h>

const struct cczi_shape_method *cczi_shape_method(const char *name)
{
    for (size_t i = 0; i < cczi_shape_methods_len; i++)
        if (strcmp(cczi_shape_methods[i].name, name) == 0)
            return &cczi_shape_methods[i];
    return NULL;
}

const struct cczi_shape_field *cczi_shape_number(const struct cczi_shape *s, uint32_t number)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->fields[i].number == number)
            return &s->fields[i];
    return NULL;
}

const struct cczi_shape_field *cczi_shape_named(const struct cczi_shape *s, struct ccz_span name)
{
    for (size_t i = 0; i < s->len; i++)
        if (ccz_span_eq(name, ccz_span_str(s->fields[i].json)) ||
            ccz_span_eq(name, ccz_span_str(s->fields[i].name)))
            return &s->fields[i];
    return NULL;
}

uint64_t cczi_shape_uint(const struct cczi_shape *s, struct ccz_span message, const char *name)
{
    const struct cczi_shape_field *t = cczi_shape_named(s, ccz_span_str(name));
    struct ccz_rd r = ccz_rd_from(message);
    struct ccz_pb_field f;
    uint64_t value = 0;
    while (t && ccz_pb_next(&f, &r))
        if (f.number == t->number && f.wire == CCZ_PB_VARINT)
            value = f.num;
    return r.bad ? 0 : value;
}
