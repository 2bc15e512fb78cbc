/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gRPC methods of the model server with any message. First byte: which method, from 0xf8 on those of
 * v2. Invariants: a good answer parses as an answer, what the echo engine returns is what the request said, a refusal
 * has no answer and a terminated text.
 */
#include "../tests/unit/engine/model_build.h"

#include <cczoo/infer.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ccz_infer *server(void)
{
    static struct ccz_infer *s;
    if (s)
        return s;
    struct ccz_engine *e = NULL;
    struct ccz_model *m = NULL;
    struct model_build b;
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 3});
    mb_signature_end(&b, "tensorflow/serving/predict");
    mb_signature(&b, "s");
    mb_echo(&b, "i", "j", CCZ_DT_INT16, -1, NULL);
    mb_echo(&b, "t", "u", CCZ_DT_STRING, -1, NULL);
    mb_signature_end(&b, "tensorflow/serving/predict");
    struct ccz_model_cfg cfg = mb_end(&b);
    if (ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) != CCZ_OK ||
        ccz_model_load(&m, e, &cfg, NULL) != CCZ_OK || ccz_infer_new(&s, NULL) != CCZ_OK ||
        ccz_infer_add(s, "m", 1, &m, NULL) != CCZ_OK)
        abort();
    ccz_infer_configure(s, &(struct ccz_infer_cfg){.input_size_max = 1 << 20});
    ccz_buf_free(&b.pb);
    return s;
}

static void check_answer(struct ccz_span response)
{
    struct ccz_infer_answer *a = NULL;
    if (ccz_infer_decode_predict(&a, response, (size_t)4 << 20, NULL) != CCZ_OK ||
        ccz_infer_answer_version(a) != 1)
        abort();
    const struct ccz_tensor *y = ccz_infer_answer_get(a, "y"), *j = ccz_infer_answer_get(a, "j");
    if ((y && y->dtype != CCZ_DT_FLOAT) || (j && j->dtype != CCZ_DT_INT16) ||
        (!y && !j && !ccz_infer_answer_get(a, "u")))
        abort();
    ccz_infer_answer_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {CCZ_INFER_PATH_PREDICT, CCZ_INFER_PATH_METADATA,
                                        CCZ_INFER_PATH_STATUS, "/x/y"};
    static const char *const v2[] = {
        CCZ_INFER_PATH_V2 "ModelInfer",     CCZ_INFER_PATH_V2 "ModelMetadata",
        CCZ_INFER_PATH_V2 "ModelReady",     CCZ_INFER_PATH_V2 "ServerReady",
        CCZ_INFER_PATH_V2 "ServerMetadata", CCZ_INFER_PATH_V2 "ServerLive",
        CCZ_INFER_PATH_V2 "ModelInfer",     CCZ_INFER_PATH_V2};
    if (size == 0)
        return 0;
    struct ccz_infer *s = server();
    struct ccz_buf response;
    struct ccz_run_status st;
    ccz_buf_init(&response, 1 << 20);
    const struct ccz_infer_call call = {.path = data[0] >= 0xf8 ? v2[data[0] - 0xf8]
                                                                : paths[data[0] & 3],
                                        .request = CCZ_SPAN(data + 1, size - 1)};
    ccz_infer_grpc(&response, &st, s, &call);
    if (!memchr(st.msg, 0, sizeof(st.msg)) || (st.code == CCZ_RUN_OK) != (st.msg[0] == 0))
        abort();
    if (st.code != CCZ_RUN_OK && ccz_buf_span(&response).size)
        abort();
    if (st.code == CCZ_RUN_OK && data[0] < 0xf8 && (data[0] & 3) == 0)
        check_answer(ccz_buf_span(&response));
    ccz_buf_free(&response);
    struct ccz_infer_answer *a = NULL; /* the client's parser with the same bytes */
    if ((ccz_infer_decode_predict(&a, call.request, 1 << 20, NULL) == CCZ_OK) != (a != NULL))
        abort();
    ccz_infer_answer_free(a);
    return 0;
}
