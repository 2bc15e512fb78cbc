/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensorflow.serving.Input: tf.Examples, which the model itself parses. What travels here is their bytes, so that nothing
 * is read that need not be: InputToSerializedExampleTensor() of servables/tensorflow/util.cc.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { /* fields of Input, and of the two messages in it */
       IN_LIST = 1,
       IN_LIST_WITH_CONTEXT = 2,
       LIST_EXAMPLES = 1,
       LIST_CONTEXT = 2,
};

static ccz_rc too_large(struct ccz_run_status *st)
{
    return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                              "the examples are larger than the server allows");
}

ccz_rc cczi_examples_join(struct ccz_tensor *out, struct ccz_run_status *st,
                          struct ccz_span *examples, size_t len, struct ccz_span context,
                          struct cczi_scratch *scratch)
{
    /* Behind the context, an example is the two merged: that is how protobuf reads one message behind another. */
    for (size_t i = 0; context.size && i < len; i++) {
        const size_t size = examples[i].size;
        uint8_t *both = cczi_scratch_raw(scratch, context.size + size, 1);
        if (!both)
            return too_large(st);
        memcpy(both, context.ptr, context.size);
        if (size)
            memcpy(both + context.size, examples[i].ptr, size);
        examples[i] = CCZ_SPAN(both, context.size + size);
    }
    *out = (struct ccz_tensor){
        .dtype = CCZ_DT_STRING, .rank = 1, .dims = {(int64_t)len}, .len = len, .strings = examples};
    return CCZ_OK;
}

static bool count_examples(size_t *len, struct ccz_span list)
{
    struct ccz_rd r = ccz_rd_from(list);
    struct ccz_pb_field f;
    *len = 0;
    while (ccz_pb_next(&f, &r))
        *len += f.number == LIST_EXAMPLES && f.wire == CCZ_PB_LEN;
    return !r.bad;
}

ccz_rc cczi_examples_pb(struct ccz_tensor *out, struct ccz_run_status *st, struct ccz_span input,
                        struct cczi_scratch *scratch)
{
    struct ccz_span list = {0}, context = {0};
    bool with_context = false;
    struct ccz_rd r = ccz_rd_from(input);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.wire == CCZ_PB_LEN && (f.number == IN_LIST || f.number == IN_LIST_WITH_CONTEXT)) {
            list = f.bytes;
            with_context = f.number == IN_LIST_WITH_CONTEXT;
        }
    size_t len, n = 0;
    if (r.bad || !count_examples(&len, list))
        return cczi_unparsable(st);
    if (len == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Input is empty.");
    struct ccz_span *examples = cczi_scratch_raw(scratch, len, sizeof(*examples));
    if (!examples)
        return too_large(st);
    r = ccz_rd_from(list);
    while (ccz_pb_next(&f, &r)) {
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == LIST_EXAMPLES)
            examples[n++] = f.bytes;
        else if (f.number == LIST_CONTEXT && with_context)
            context = f.bytes;
    }
    return cczi_examples_join(out, st, examples, len, context, scratch);
}
