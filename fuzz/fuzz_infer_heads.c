/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of Classify, Regress, MultiInference and HandleReloadConfigRequest. First byte: which. Invariants: a task has
 * one input of at least one example, every byte of which can be read, and answers with outputs that fit give a message
 * with as many results; a refusal has a text and no answer; the name that is peeked is the name that is looked for.
 */
#define _DEFAULT_SOURCE
#include "../tests/unit/infer/infer_kit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_reload(void *arg, struct ccz_span config, struct ccz_run_status *st)
{
    (void)arg;
    if (config.size % 2)
        (void)ccz_run_status_set(st, CCZ_RUN_NOT_FOUND, "odd");
}

static struct ccz_infer *server(void)
{
    static struct ccz_infer *s;
    if (!s)
        s = kit_server(&(struct ccz_infer_cfg){.input_size_max = 1 << 20, .on_reload = on_reload});
    return s;
}

static unsigned sum; /* of every byte that a model would read: a sanitizer looks on */

static void answer(struct ccz_infer_task *t)
{
    static const float zero[4096];
    const struct ccz_infer_task_info *info = ccz_infer_task_info(t);
    const struct ccz_tensor *in = info->req->in;
    if (info->req->in_len != 1 || in->len == 0 || in->dims[0] != (int64_t)in->len ||
        strcmp(info->model, "m") != 0)
        abort();
    for (size_t i = 0; i < in->len; i++)
        for (size_t k = 0; k < in->strings[i].size; k++)
            sum += in->strings[i].ptr[k];
    if (in->len > sizeof(zero) / sizeof(zero[0]))
        return;
    struct ccz_span *words = calloc(in->len, sizeof(*words));
    struct ccz_tensor out[64];
    const size_t len = cczi_task_outputs(t);
    if (!words || len > sizeof(out) / sizeof(out[0]))
        abort();
    for (size_t i = 0; i < len; i++)
        out[i] = strcmp(cczi_task_output(t, i)->name, "classes") == 0
                     ? kit_strings(words, 2, (int64_t)in->len, 1)
                     : kit_floats(zero, 2, (int64_t)in->len, 1);
    struct ccz_buf response;
    struct ccz_run_status st;
    ccz_buf_init(&response, 1 << 20);
    ccz_infer_answer_grpc(&response, &st, t, out, len);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&response));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        sum += f.number;
    if (st.code != CCZ_RUN_OK || response.size == 0 || r.bad)
        abort();
    ccz_buf_free(&response);
    free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {CCZ_INFER_PATH_CLASSIFY, CCZ_INFER_PATH_REGRESS,
                                        CCZ_INFER_PATH_MULTI, CCZ_INFER_PATH_RELOAD};
    if (size == 0)
        return 0;
    const struct ccz_infer_call call = {.path = paths[data[0] & 3],
                                        .request = CCZ_SPAN(data + 1, size - 1)};
    struct ccz_infer_task *t = NULL;
    struct ccz_run_status st;
    struct ccz_buf response;
    ccz_buf_init(&response, 1 << 20);
    ccz_infer_begin_grpc(&t, &response, &st, server(), &call);
    if (!memchr(st.msg, 0, sizeof(st.msg)) || (st.code == CCZ_RUN_OK) != (st.msg[0] == 0) ||
        (st.code != CCZ_RUN_OK && (t || response.size)) || (t && response.size))
        abort();
    if (st.code == CCZ_RUN_OK && !t && (data[0] & 3) != 3) /* only a reload is answered at once */
        abort();
    (void)ccz_infer_peek_grpc(&call);
    if (t)
        answer(t);
    ccz_infer_task_free(t);
    ccz_buf_free(&response);
    return 0;
}
