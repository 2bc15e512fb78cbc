/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCORE_H
#define CCORE_H
/* What the peers on gRPC C-core share: blocking batches, byte buffers, slices. */
#include <cczoo/base.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include <stdlib.h>
#include <string.h>

/* Runs a batch and waits for it. @return false if it failed (the call is over) */
static inline bool cc_batch(grpc_call *call, grpc_completion_queue *cq, const grpc_op *ops,
                            size_t len)
{
    if (grpc_call_start_batch(call, ops, len, (void *)(uintptr_t)ops, NULL) != GRPC_CALL_OK)
        abort();
    grpc_event e = grpc_completion_queue_pluck(cq, (void *)(uintptr_t)ops,
                                               gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    return e.success != 0;
}

static inline bool cc_send(grpc_call *call, grpc_completion_queue *cq, struct ccz_span msg,
                           bool compressed)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)msg.ptr, msg.size);
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .flags = compressed ? 0 : GRPC_WRITE_NO_COMPRESS};
    op.data.send_message.send_message = bytes;
    bool ok = cc_batch(call, cq, &op, 1);
    grpc_byte_buffer_destroy(bytes);
    grpc_slice_unref(slice);
    return ok;
}

static inline void cc_put_slice(struct ccz_buf *out, grpc_slice s)
{
    ccz_buf_put(out, GRPC_SLICE_START_PTR(s), GRPC_SLICE_LENGTH(s));
}

/* Takes @p bytes. */
static inline void cc_put_bytes(struct ccz_buf *out, grpc_byte_buffer *bytes)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, bytes))
        abort();
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    cc_put_slice(out, all);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(bytes);
}

static inline const grpc_slice *cc_find(const grpc_metadata_array *md, const char *key)
{
    for (size_t i = 0; i < md->count; i++)
        if (grpc_slice_str_cmp(md->metadata[i].key, key) == 0)
            return &md->metadata[i].value;
    return NULL;
}

/* Nothing public tells whether a message came compressed; this is what gRPC's own interop peers ask (call_test_only.h). */
uint32_t
cc_message_flags(grpc_call *call) __asm__("_Z37grpc_call_test_only_get_message_flagsP9grpc_call");
static inline bool cc_was_compressed(grpc_call *call)
{
    return (cc_message_flags(call) & 0x40000000u) != 0;
}

static inline void cc_read_file(struct ccz_buf *out, const char *path)
{
    struct ccz_err err;
    ccz_buf_init(out, 1 << 16);
    if (ccz_file_read(out, path, &err) != CCZ_OK)
        abort();
}
#endif
