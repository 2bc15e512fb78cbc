/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEROP_MSG_H
#define INTEROP_MSG_H
/* Messages of grpc.testing, the service of gRPC's interop cases (protos/grpc_testing.proto). */
#include <cczoo/base.h>

#define IM_SERVICE      "/grpc.testing.TestService/"
#define IM_ECHO_INITIAL "x-grpc-test-echo-initial"
#define IM_ECHO_TRAILER "x-grpc-test-echo-trailing-bin"

enum { IM_PARTS_MAX = 16, IM_BODY_MAX = 8 << 20, IM_MESSAGE_MAX = IM_BODY_MAX + 4096 };
enum im_bool { IM_UNSET = 0, IM_FALSE, IM_TRUE }; /* google's BoolValue */

struct im_part { /* ResponseParameters */
    size_t size;
    uint32_t interval_us;
    enum im_bool compressed;
};

/* SimpleRequest, StreamingOutputCallRequest and StreamingInputCallRequest in one. */
struct im_request {
    size_t response_size;
    struct im_part parts[IM_PARTS_MAX];
    size_t parts_len;
    struct ccz_span body;
    enum im_bool response_compressed, expect_compressed;
    bool fill_server_id;
    bool has_status;
    uint32_t code;
    struct ccz_span message;
};
enum im_kind { IM_SIMPLE, IM_OUTPUT, IM_INPUT };

/* @return false if malformed or above a limit */
CCZ_MUST_USE bool im_get_request(struct im_request *rq, enum im_kind kind, struct ccz_span msg);
/* The body is `body_size` zeros; rq->body is not used. */
void im_put_request(struct ccz_buf *out, enum im_kind kind, const struct im_request *rq,
                    size_t body_size);
/* SimpleResponse, StreamingOutputCallResponse: a payload of zeros. */
void im_put_response(struct ccz_buf *out, size_t body_size, const char *server_id);
CCZ_MUST_USE bool im_get_response(struct ccz_span *body, struct ccz_span *server_id,
                                  struct ccz_span msg);
/* StreamingInputCallResponse */
void im_put_sum(struct ccz_buf *out, size_t size);
CCZ_MUST_USE bool im_get_sum(size_t *size, struct ccz_span msg);
bool im_all_zero(struct ccz_span s);
#endif
