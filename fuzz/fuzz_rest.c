/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST side of the model server. Input: "METHOD PATH\nBODY"; what stands behind "?h=" in PATH is the header that says
 * how much of BODY is JSON. Invariants: the status is one that
 * the server gives; a refusal is a JSON object with an error text; asking again gives the same
 * answer.
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
    mb_echo(&b, "i", "j", CCZ_DT_INT64, -1, NULL);
    mb_echo(&b, "t", "u_bytes", CCZ_DT_STRING, -1, NULL);
    mb_signature_end(&b, "tensorflow/serving/predict");
    mb_signature(&b, "b");
    mb_echo(&b, "i", "j", CCZ_DT_BOOL, -1, NULL);
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

static void check_refusal(struct ccz_span body)
{
    struct ccz_json *j = NULL;
    if (ccz_json_parse(&j, body, NULL) != CCZ_OK ||
        ccz_json_type(ccz_json_get(j, "error")) != CCZ_JSON_STRING)
        abort();
    ccz_json_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char head[256];
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    if (!line || (size_t)(line - data) >= sizeof(head) || memchr(data, 0, (size_t)(line - data)))
        return 0;
    memcpy(head, data, (size_t)(line - data));
    head[line - data] = 0;
    char *path = strchr(head, ' ');
    if (!path)
        return 0;
    *path++ = 0;
    const char *header = strstr(path, "?h=");
    const struct ccz_infer_http call = {.method = head,
                                        .path = path,
                                        .json_size = header ? header + 3 : NULL,
                                        .body =
                                            CCZ_SPAN(line + 1, size - (size_t)(line + 1 - data))};
    struct ccz_buf first, again;
    struct ccz_infer_http_answer answer[2];
    ccz_buf_init(&first, 1 << 20);
    ccz_buf_init(&again, 1 << 20);
    ccz_infer_rest(&first, &answer[0], server(), &call);
    ccz_infer_rest(&again, &answer[1], server(), &call);
    const unsigned status = answer[0].status;
    if (status != answer[1].status || answer[0].json_size > first.size ||
        !ccz_span_eq(ccz_buf_span(&first), ccz_buf_span(&again)))
        abort();
    if (status != 200 && status != 400 && status != 404 && status != 429 && status != 501)
        abort();
    if (status != 200 && first.size)
        check_refusal(ccz_buf_span(&first));
    ccz_buf_free(&first);
    ccz_buf_free(&again);
    return 0;
}
