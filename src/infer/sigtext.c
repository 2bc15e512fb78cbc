/* SPDX-License-Identifier: Apache-2.0 */
/* A SignatureDef in protobuf's text format, as TensorFlow Serving puts it into messages. Defaults stay in the server. */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>

enum { SHOWN_SIZE = 512 };

static void put_text(struct ccz_buf *out, const char *before, struct ccz_span text)
{
    char shown[SHOWN_SIZE];
    ccz_escape(shown, sizeof(shown), text);
    ccz_buf_printf(out, "%s\"%s\"\n", before, shown);
}

/* TensorShapeProto {2 rep dim {1 size, 2 name}, 3 unknown_rank} */
static void put_shape(struct ccz_buf *out, struct ccz_span shape)
{
    struct ccz_rd r = ccz_rd_from(shape);
    struct ccz_pb_field f, g;
    bool unknown = false;
    ccz_buf_put_str(out, "    tensor_shape {\n");
    while (ccz_pb_next(&f, &r)) {
        unknown = f.number == 3 && f.wire == CCZ_PB_VARINT ? f.num != 0 : unknown;
        if (f.number != 2 || f.wire != CCZ_PB_LEN)
            continue;
        struct ccz_rd d = ccz_rd_from(f.bytes);
        ccz_buf_put_str(out, "      dim {\n");
        while (ccz_pb_next(&g, &d)) {
            if (g.number == 1 && g.wire == CCZ_PB_VARINT && g.num)
                ccz_buf_printf(out, "        size: %" PRId64 "\n", (int64_t)g.num);
            else if (g.number == 2 && g.wire == CCZ_PB_LEN && g.bytes.size)
                put_text(out, "        name: ", g.bytes);
        }
        ccz_buf_put_str(out, "      }\n");
    }
    ccz_buf_put_str(out, unknown ? "      unknown_rank: true\n    }\n" : "    }\n");
}

/* Map entry {key, value {1 name, 2 dtype, 3 tensor_shape}} */
static void put_info(struct ccz_buf *out, const char *field, const struct ccz_tensor_info *t)
{
    struct ccz_rd r = ccz_rd_from(t->proto);
    struct ccz_pb_field f;
    struct ccz_span shape = {0};
    uint64_t dtype = 0;
    bool has_shape = false;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 2 && f.wire == CCZ_PB_VARINT)
            dtype = f.num;
        if (f.number == 3 && f.wire == CCZ_PB_LEN)
            has_shape = true, shape = f.bytes;
    }
    ccz_buf_printf(out, "%s {\n", field);
    put_text(out, "  key: ", ccz_span_str(t->name));
    ccz_buf_put_str(out, "  value {\n");
    if (t->tensor_name[0])
        put_text(out, "    name: ", ccz_span_str(t->tensor_name));
    if (dtype && cczi_dtype_text(dtype))
        ccz_buf_printf(out, "    dtype: %s\n", cczi_dtype_text(dtype));
    if (has_shape)
        put_shape(out, shape);
    ccz_buf_put_str(out, "  }\n}\n");
}

void cczi_signature_text(struct ccz_buf *out, const struct ccz_signature *sig)
{
    for (size_t i = 0; i < sig->in_len; i++)
        put_info(out, "inputs", &sig->in[i]);
    for (size_t i = 0; i < sig->out_len; i++)
        put_info(out, "outputs", &sig->out[i]);
    if (sig->method[0])
        put_text(out, "method_name: ", ccz_span_str(sig->method));
}
