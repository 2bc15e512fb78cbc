/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half of Predict. */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

void ccz_infer_encode_predict(struct ccz_buf *out, const char *model, const char *signature,
                              const struct ccz_tensor *in, size_t in_len, const char *output)
{
    size_t spec = ccz_pb_open(out, 1);
    ccz_pb_put_str(out, 1, model);
    if (signature && *signature)
        ccz_pb_put_str(out, 3, signature);
    ccz_pb_close(out, spec);
    if (output)
        ccz_pb_put_str(out, 3, output);
    for (size_t i = 0; i < in_len; i++) {
        size_t entry = ccz_pb_open(out, 2);
        ccz_pb_put_str(out, 1, in[i].name);
        size_t tensor = ccz_pb_open(out, 2);
        cczi_tensor_encode(out, &in[i], true);
        ccz_pb_close(out, tensor);
        ccz_pb_close(out, entry);
    }
}

struct ccz_infer_answer {
    struct cczi_scratch scratch;
    struct ccz_tensor *out;
    size_t len;
    int64_t version;
};

void ccz_infer_answer_free(struct ccz_infer_answer *a)
{
    if (!a)
        return;
    cczi_scratch_free(&a->scratch);
    free(a);
}

const struct ccz_tensor *ccz_infer_answer_get(const struct ccz_infer_answer *a, const char *name)
{
    for (size_t i = 0; i < a->len; i++)
        if (strcmp(a->out[i].name, name) == 0)
            return &a->out[i];
    return NULL;
}

int64_t ccz_infer_answer_version(const struct ccz_infer_answer *a)
{
    return a->version;
}

static ccz_rc malformed(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "infer:response", 0,
                    "the server's PredictResponse is malformed");
}

static ccz_rc add_output(struct ccz_infer_answer *a, struct ccz_span entry, struct ccz_err *err)
{
    struct ccz_span name, proto;
    if (!cczi_map_entry(&name, &proto, entry) || (name.size && memchr(name.ptr, 0, name.size)))
        return malformed(err);
    struct ccz_tensor *t = &a->out[a->len];
    char *copy = cczi_scratch_take(&a->scratch, name.size + 1, 1);
    enum cczi_tensor_result rc =
        copy ? cczi_tensor_decode(t, proto, &a->scratch) : CCZI_TENSOR_LIMIT;
    if (rc == CCZI_TENSOR_MALFORMED)
        return malformed(err);
    if (rc == CCZI_TENSOR_INVALID)
        return ccz_fail(err, CCZ_E_FORMAT, "infer:tensor", 0,
                        "an output does not fit its type and shape");
    if (rc == CCZI_TENSOR_LIMIT)
        return ccz_fail(err, CCZ_E_LIMIT, "infer:tensor", 0,
                        "the outputs are larger than expected");
    if (name.size)
        memcpy(copy, name.ptr, name.size);
    t->name = copy;
    if (ccz_infer_answer_get(a, copy)) /* a map has each key once */
        return malformed(err);
    a->len++;
    return CCZ_OK;
}

/* ModelSpec {2 Int64Value {1 value}} */
static bool spec_version(int64_t *out, struct ccz_span spec)
{
    struct ccz_rd r = ccz_rd_from(spec);
    struct ccz_pb_field f, g;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 2 || f.wire != CCZ_PB_LEN)
            continue;
        struct ccz_rd v = ccz_rd_from(f.bytes);
        *out = 0;
        while (ccz_pb_next(&g, &v))
            if (g.number == 1 && g.wire == CCZ_PB_VARINT)
                *out = (int64_t)g.num;
        r.bad = r.bad || v.bad;
    }
    return !r.bad;
}

/* PredictResponse {1 map<string, TensorProto> outputs, 2 model_spec} */
static ccz_rc parse(struct ccz_infer_answer *a, struct ccz_span response, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(response);
    struct ccz_pb_field f;
    size_t outputs = 0;
    while (ccz_pb_next(&f, &r))
        outputs += f.number == 1 && f.wire == CCZ_PB_LEN;
    if (r.bad)
        return malformed(err);
    if (outputs > CCZI_NAMES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "infer:tensor", (int64_t)outputs, CCZI_NAMES_MAX);
    a->out = cczi_scratch_take(&a->scratch, outputs, sizeof(*a->out));
    if (!a->out)
        return ccz_fail(err, CCZ_E_LIMIT, "infer:tensor", 0,
                        "the outputs are larger than expected");
    r = ccz_rd_from(response);
    while (ccz_pb_next(&f, &r)) {
        ccz_rc rc = CCZ_OK;
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            rc = add_output(a, f.bytes, err);
        else if (f.number == 2 && f.wire == CCZ_PB_LEN && !spec_version(&a->version, f.bytes))
            rc = malformed(err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

ccz_rc ccz_infer_decode_predict(struct ccz_infer_answer **out, struct ccz_span response,
                                size_t size_max, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_infer_answer) a = calloc(1, sizeof(*a));
    if (!a)
        return ccz_fail(err, CCZ_E_NOMEM, "infer:response", 0, "no memory");
    cczi_scratch_init(&a->scratch, size_max);
    a->version = -1;
    ccz_rc rc = parse(a, response, err);
    if (rc == CCZ_OK)
        *out = ccz_infer_answer_take(&a);
    return rc;
}

ccz_rc ccz_infer_decode_scores(struct ccz_buf *scores, size_t *classes, struct ccz_span response,
                               const char *name, size_t rows, struct ccz_err *err)
{
    *classes = 0;
    CCZ_AUTO(ccz_infer_answer) a = NULL;
    /* Nothing decoded may be larger than what fits the caller's buffer, beside the bookkeeping. */
    size_t size_max = scores->max_size - scores->size + CCZI_NAMES_MAX * sizeof(struct ccz_tensor);
    ccz_rc rc = ccz_infer_decode_predict(&a, response, size_max, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_tensor *t = ccz_infer_answer_get(a, name);
    if (!t)
        return ccz_fail(err, CCZ_E_FORMAT, "infer:scores", 0, "the answer has no output %.60s",
                        name);
    if (t->dtype != CCZ_DT_FLOAT || t->rank != 2 || t->dims[1] < 1)
        return ccz_refuse(err, CCZ_E_FORMAT, "infer:scores", ccz_dtype_enum_name(t->dtype),
                          "a DT_FLOAT matrix");
    if ((uint64_t)t->dims[0] != rows)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "infer:scores", t->dims[0], (int64_t)rows);
    ccz_buf_put_span(scores, t->data);
    if (scores->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "infer:scores", (int64_t)t->data.size,
                        "the scores do not fit the buffer");
    *classes = (size_t)t->dims[1];
    return CCZ_OK;
}
