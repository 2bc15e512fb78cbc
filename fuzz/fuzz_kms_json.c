/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transcoder of REST. The first byte chooses a message of proto/kms.proto; the rest is JSON for it, and protobuf of it. What
 * JSON becomes is a message that says the same as JSON again, and then the same message; nothing fails without a reason.
 */
#include "kmsdoor/json.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_OUT = 1 << 20 };

static void check_refused(ccz_rc rc, const struct ccz_err *err, const struct ccz_buf *out)
{
    if (rc != CCZ_OK && (err->rc != rc || strncmp(err->where, "door:", 5) != 0 || out->size))
        abort();
}

static void from_json(const struct cczi_shape *shape, struct ccz_span in)
{
    CCZ_AUTO_BUF message, json, again;
    struct ccz_err err = {0};
    ccz_buf_init(&message, SIZE_MAX_OUT);
    ccz_buf_init(&json, 8 * SIZE_MAX_OUT);
    ccz_buf_init(&again, SIZE_MAX_OUT);
    ccz_rc rc = cczi_json_get(&message, shape, in, &err);
    check_refused(rc, &err, &message);
    if (rc != CCZ_OK)
        return;
    if (message.size > 2 * in.size)
        abort(); /* "{}," is an empty message of 6 bytes; nothing grows more */
    if (cczi_json_put(&json, shape, ccz_buf_span(&message), &err) != CCZ_OK ||
        cczi_json_get(&again, shape, ccz_buf_span(&json), &err) != CCZ_OK)
        abort();
    ccz_buf_clear(&message); /* members in the order of the file, as `again` has them */
    if (cczi_json_get(&message, shape, ccz_buf_span(&json), &err) != CCZ_OK ||
        !ccz_span_eq(ccz_buf_span(&message), ccz_buf_span(&again)))
        abort();
}

static void from_message(const struct cczi_shape *shape, struct ccz_span in)
{
    CCZ_AUTO_BUF json;
    CCZ_AUTO(ccz_jdoc) parsed = NULL; /* it has no limit of its own for numbers */
    struct ccz_err err = {0};
    ccz_buf_init(&json, 8 * SIZE_MAX_OUT);
    ccz_rc rc = cczi_json_put(&json, shape, in, &err);
    check_refused(rc, &err, &json);
    if (rc == CCZ_OK && ccz_jdoc_parse(&parsed, ccz_buf_span(&json), &err) != CCZ_OK)
        abort(); /* whatever is in it, an answer is JSON */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct cczi_shape *shape = cczi_shapes[data[0] % cczi_shapes_len];
    from_json(shape, CCZ_SPAN(data + 1, size - 1));
    from_message(shape, CCZ_SPAN(data + 1, size - 1));
    return 0;
}
