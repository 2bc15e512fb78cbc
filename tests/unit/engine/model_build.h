/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MODEL_BUILD_H
#define CCZ_TEST_MODEL_BUILD_H
/* For tests: writes a saved_model.pb with any signatures, for the echo back end. */
#include <cczoo/codec.h>
#include <cczoo/engine.h>

#include <stdio.h>
#include <string.h>

struct model_build {
    struct ccz_buf pb;
    size_t graph, entry, sig; /* open messages */
    struct ccz_model_file file;
};

/* SavedModel {1 version, 2 MetaGraphDef {1 meta_info_def {4 tags} ... */
static inline void mb_begin(struct model_build *b)
{
    *b = (struct model_build){0};
    ccz_buf_init(&b->pb, 1 << 20);
    ccz_pb_put_uint(&b->pb, 1, 1);
    b->graph = ccz_pb_open(&b->pb, 2);
    size_t info = ccz_pb_open(&b->pb, 1);
    ccz_pb_put_str(&b->pb, 4, "serve");
    ccz_pb_close(&b->pb, info);
    ccz_pb_put_str(&b->pb, 2, "the graph is skipped");
}

static inline void mb_signature(struct model_build *b, const char *name)
{
    b->entry = ccz_pb_open(&b->pb, 5);
    ccz_pb_put_str(&b->pb, 1, name);
    b->sig = ccz_pb_open(&b->pb, 2);
}

/* number 1 = input, 2 = output; rank -1 = unknown rank */
static inline void mb_tensor(struct model_build *b, uint32_t number, const char *name,
                             const char *tensor_name, enum ccz_dtype dtype, int rank,
                             const int64_t *dims)
{
    size_t entry = ccz_pb_open(&b->pb, number);
    ccz_pb_put_str(&b->pb, 1, name);
    size_t info = ccz_pb_open(&b->pb, 2);
    ccz_pb_put_str(&b->pb, 1, tensor_name);
    ccz_pb_put_uint(&b->pb, 2, (uint64_t)dtype);
    size_t shape = ccz_pb_open(&b->pb, 3);
    for (int i = 0; i < rank; i++) {
        size_t dim = ccz_pb_open(&b->pb, 2);
        ccz_pb_put_uint(&b->pb, 1, (uint64_t)dims[i]);
        ccz_pb_close(&b->pb, dim);
    }
    if (rank < 0)
        ccz_pb_put_uint(&b->pb, 3, 1);
    ccz_pb_close(&b->pb, shape);
    ccz_pb_close(&b->pb, info);
    ccz_pb_close(&b->pb, entry);
}

/* An input "x" and an output "y" that repeats it. */
static inline void mb_echo(struct model_build *b, const char *in, const char *out,
                           enum ccz_dtype dtype, int rank, const int64_t *dims)
{
    char tensor[64] = "";
    (void)snprintf(tensor, sizeof(tensor), "%.50s_t:0", in);
    mb_tensor(b, 1, in, tensor, dtype, rank, dims);
    mb_tensor(b, 2, out, tensor, dtype, rank, dims);
}

static inline void mb_signature_end(struct model_build *b, const char *method)
{
    ccz_pb_put_str(&b->pb, 3, method);
    ccz_pb_close(&b->pb, b->sig);
    ccz_pb_close(&b->pb, b->entry);
}

static inline ccz_rc mb_read(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                             struct ccz_err *err)
{
    const struct model_build *b = arg;
    struct ccz_span s = ccz_span_sub(ccz_buf_span(&b->pb), (size_t)offset, size);
    if (file != 0 || s.size != size)
        return ccz_fail(err, CCZ_E_IO, "test:read", (int64_t)offset, "out of range");
    memcpy(out, s.ptr, size);
    return CCZ_OK;
}

static inline struct ccz_model_cfg mb_cfg(struct model_build *b)
{
    b->file = (struct ccz_model_file){"saved_model.pb", b->pb.size};
    return (struct ccz_model_cfg){.files = &b->file, .files_len = 1, .read_at = mb_read, .arg = b};
}

static inline struct ccz_model_cfg mb_end(struct model_build *b)
{
    ccz_pb_close(&b->pb, b->graph);
    return mb_cfg(b);
}

#endif
