/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first run of a model is slow: TensorFlow optimises its graph and builds an executor, both engines allocate. A version without
 * warm-up records would leave that to a client's call. Here it is done on zeros while the version is being loaded, for
 * serving_default, which clients get if they name none; others are left alone: a training step of a model is a signature, too.
 */
#include "served.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 60000, SIZE_MAX_BYTES = 64 << 20 };

/* One example of zeros. False: what it may be is not said, it is text, or too large. */
static bool zeros(struct ccz_tensor *t, const struct ccz_tensor_info *info)
{
    const size_t size = ccz_dtype_size(info->dtype);
    *t = (struct ccz_tensor){.name = info->name, .dtype = info->dtype, .rank = info->rank};
    if (info->unknown_rank || info->rank > CCZ_TENSOR_RANK_MAX || size == 0)
        return false;
    for (int i = 0; i < info->rank; i++)
        t->dims[i] = info->dims[i] < 0 ? 1 : info->dims[i];
    if (!ccz_tensor_len(&t->len, t->rank, t->dims) || t->len > SIZE_MAX_BYTES / size)
        return false;
    void *data = calloc(t->len ? t->len : 1, size);
    t->data = CCZ_SPAN(data, t->len * size);
    return data != NULL;
}

void served_first_run(struct ccz_model *model)
{
    const struct ccz_signature *sig = ccz_model_signature(model, "serving_default");
    if (!sig || !sig->runnable)
        return;
    struct ccz_tensor *in = calloc(sig->in_len ? sig->in_len : 1, sizeof(*in));
    bool can = in != NULL;
    for (size_t i = 0; can && i < sig->in_len; i++)
        can = zeros(&in[i], &sig->in[i]);
    if (can) {
        struct ccz_result *result = NULL;
        struct ccz_run_status st = {0};
        struct ccz_err err = {0};
        const struct ccz_run_req req = {
            .sig = sig, .in = in, .in_len = sig->in_len, .timeout_ms = TIMEOUT_MS};
        /* a model may well have no answer for zeros; then its first client waits a little */
        if (ccz_model_run(&result, &st, model, &req, &err) != CCZ_OK)
            ccz_log(CCZ_LOG_INFO, "served", "first-run=failed signature=%s code=%s message=%.200s",
                    sig->name, ccz_run_code_name(st.code), st.msg);
        ccz_result_free(result);
    }
    for (size_t i = 0; in && i < sig->in_len; i++)
        free((void *)(uintptr_t)in[i].data.ptr);
    free(in);
}
