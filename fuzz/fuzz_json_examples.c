/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of REST :classify. Invariants: a task has one input of at least one example; each example is a tf.Example whose
 * features have one kind, with values of that kind only; a refusal is a JSON object with an error text.
 */
#define _DEFAULT_SOURCE
#include "../tests/unit/infer/infer_kit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ccz_infer *server(void)
{
    static struct ccz_infer *s;
    if (!s)
        s = kit_server(&(struct ccz_infer_cfg){.input_size_max = 1 << 20});
    return s;
}

/* BytesList, FloatList or Int64List: {1 rep value} */
static void check_list(uint32_t kind, struct ccz_span list)
{
    static const enum ccz_pb_wire wires[] = {
        [1] = CCZ_PB_LEN, [2] = CCZ_PB_I32, [3] = CCZ_PB_VARINT};
    struct ccz_rd r = ccz_rd_from(list);
    struct ccz_pb_field f;
    if (kind < 1 || kind > 3)
        abort();
    while (ccz_pb_next(&f, &r))
        if (f.number != 1 || f.wire != wires[kind])
            abort();
    if (r.bad)
        abort();
}

static void check_example(struct ccz_span example)
{
    struct ccz_rd r = ccz_rd_from(example);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 1 || f.wire != CCZ_PB_LEN)
            abort();
        for (struct ccz_rd m = ccz_rd_from(f.bytes); ccz_pb_next(&f, &m);) {
            struct ccz_span key, feature;
            if (f.number != 1 || !cczi_map_entry(&key, &feature, f.bytes))
                abort();
            struct ccz_rd one = ccz_rd_from(feature);
            if (ccz_pb_next(&f, &one)) { /* none: an empty list has no kind */
                check_list(f.number, f.bytes);
                if (!ccz_rd_done(&one))
                    abort();
            }
        }
    }
    if (r.bad)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_infer_task *t = NULL;
    struct ccz_infer_http_answer a;
    struct ccz_buf body;
    ccz_buf_init(&body, 1 << 20);
    ccz_infer_begin_rest(&t, &body, &a, server(),
                         &(struct ccz_infer_http){.method = "POST",
                                                  .path = "/v1/models/m:classify",
                                                  .body = CCZ_SPAN(data, size)});
    if (!t) {
        struct ccz_json *j = NULL;
        if ((a.status != 400 && a.status != 429) ||
            ccz_json_parse(&j, ccz_buf_span(&body), NULL) != CCZ_OK ||
            ccz_json_type(ccz_json_get(j, "error")) != CCZ_JSON_STRING)
            abort();
        ccz_json_free(j);
    } else {
        const struct ccz_tensor *in = ccz_infer_task_info(t)->req->in;
        if (in->len == 0 || body.size)
            abort();
        for (size_t i = 0; i < in->len; i++)
            check_example(in->strings[i]);
    }
    ccz_infer_task_free(t);
    ccz_buf_free(&body);
    return 0;
}
