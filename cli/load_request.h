/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_LOAD_REQUEST_H
#define CCZ_CLI_LOAD_REQUEST_H
/* What `cczoo load` asks: made once, sent again and again. */
#include <cczoo/infer.h>

enum { LOAD_INPUTS_MAX = 8 };
enum load_api {
    LOAD_GRPC,     /* Predict */
    LOAD_GRPC_V2,  /* ModelInfer, tensors as raw bytes */
    LOAD_REST,     /* :predict, row form */
    LOAD_REST_V2,  /* infer, tensors as JSON */
    LOAD_REST_BIN, /* infer, binary extension */
    LOAD_API_LEN
};
extern const char *const load_api_names[LOAD_API_LEN]; /* as --api says it */
/* False if there is none of that name. */
bool load_api_find(enum load_api *out, const char *name);

/* Inputs that a text describes: NAME:TYPE[d,d,..]=VALUE, separated by ';'. VALUE: zeros, random (the same ones each time), or
 * @FILE: raw little-endian bytes. TYPE as TensorFlow names it; no strings. */
struct load_inputs {
    struct ccz_tensor t[LOAD_INPUTS_MAX];
    size_t len;
    struct ccz_buf text, data[LOAD_INPUTS_MAX]; /* what the tensors point into */
};
/* @retval CCZ_E_ARG load:input: malformed @retval CCZ_E_MISMATCH load:input-file: its size does not fit the shape */
CCZ_MUST_USE ccz_rc load_inputs_parse(struct load_inputs *out, const char *text,
                                      struct ccz_err *err);
void load_inputs_free(struct load_inputs *in);

struct load_request {
    enum load_api api;
    char path[512];         /* gRPC method, or path of the URL */
    char field[64];         /* REST: one more header line, or "" */
    const char *media_type; /* REST */
    struct ccz_buf body;
};
CCZ_MUST_USE ccz_rc load_request_build(struct load_request *out, enum load_api api,
                                       const char *model, const char *signature,
                                       const struct load_inputs *in, struct ccz_err *err);
void load_request_free(struct load_request *r);
#endif
