/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of :classify and :regress: {"context": {...}, "examples": [{feature: value or list, ...}, ...]} becomes
 * serialized tf.Examples. Which of the three kinds a feature has is ruled by its first value.
 * FillClassifyRegressRequestFromJson() of tensorflow_serving/util/json_tensor.cc.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum kind { NOT_SET = 0, BYTES = 1, FLOATS = 2, INTS = 3 }; /* fields of tensorflow.Feature */

static const char *const kind_names[] = {
    [NOT_SET] = "UNKNOWN", [BYTES] = "bytes", [FLOATS] = "float", [INTS] = "int64"};

struct build {
    struct ccz_run_status *st;
    struct cczi_scratch *scratch;
    struct ccz_buf *out;
    struct ccz_span name; /* of the feature */
    enum kind kind;
};

/* For "%.*s" in messages. */
#define NAME(b)                                                                                    \
    (int)((b)->name.size < 512 ? (b)->name.size : 512),                                            \
        (b)->name.ptr ? (const char *)(b)->name.ptr : ""

static ccz_rc wrong_kind(const struct build *b)
{
    return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                              "Unexpected element type in feature: %.*s expecting type: %s",
                              NAME(b), kind_names[b->kind]);
}

static ccz_rc wrong_type(const struct build *b, enum cczi_json_kind k)
{
    return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                              "Feature: %.*s has element with unexpected JSON type: %s", NAME(b),
                              cczi_json_kind_name(k));
}

/* True if the feature is, or from now on is, of kind @p k. */
static bool settle(struct build *b, enum kind k)
{
    b->kind = b->kind == NOT_SET ? k : b->kind;
    return b->kind == k;
}

static ccz_rc add_bytes(struct build *b, struct cczi_json *j)
{
    struct ccz_span s = {0};
    if (!settle(b, BYTES))
        return wrong_kind(b);
    if (cczi_json_kind(j) == CCZI_STRING)
        s = cczi_json_string(j, b->scratch);
    else if (cczi_json_base64(&s, b->st, j, b->scratch) != CCZ_OK)
        return ccz_run_rc(b->st->code);
    ccz_pb_put_bytes(b->out, 1, s);
    return CCZ_OK;
}

/* Single values, not packed: every parser takes both, and what comes later is not known here. */
static ccz_rc add_number(struct build *b, struct cczi_json *j)
{
    const struct cczi_num n = cczi_json_num(j);
    if (!settle(b, n.integer ? INTS : FLOATS))
        return wrong_kind(b);
    if (!n.integer) {
        ccz_pb_put_float(b->out, 1, (float)n.real);
        return CCZ_OK;
    }
    if (!n.negative && n.magnitude > INT64_MAX)
        return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Feature: %.*s has uint64_t element. Only int64_t is supported.",
                                  NAME(b));
    ccz_pb_put_uint(b->out, 1, n.negative ? 0 - n.magnitude : n.magnitude);
    return CCZ_OK;
}

/* AddValueToFeature() */
static ccz_rc add_value(struct build *b, struct cczi_json *j)
{
    const enum cczi_json_kind k = cczi_json_kind(j);
    switch (k) {
    case CCZI_NUMBER:
        return add_number(b, j);
    case CCZI_STRING:
        return add_bytes(b, j);
    case CCZI_OBJECT:
        return cczi_json_is_base64(*j, b->scratch) ? add_bytes(b, j) : wrong_type(b, k);
    case CCZI_FALSE:
    case CCZI_TRUE:
        if (!settle(b, INTS))
            return wrong_kind(b);
        ccz_pb_put_uint(b->out, 1, k == CCZI_TRUE);
        (void)cczi_json_skip(j);
        return CCZ_OK;
    case CCZI_NULL:
    case CCZI_ARRAY:
        break;
    }
    return wrong_type(b, k);
}

/* The kind is known only after the first value, so the list is put together beside the message. */
static ccz_rc add_feature(struct build *b, struct ccz_buf *list, struct cczi_json *j)
{
    struct ccz_buf *out = b->out;
    ccz_rc rc = CCZ_OK;
    b->kind = NOT_SET;
    b->out = list;
    ccz_buf_clear(list);
    if (cczi_json_kind(j) == CCZI_ARRAY) {
        cczi_json_enter(j);
        for (bool first = true; rc == CCZ_OK && cczi_json_more(j, first); first = false)
            rc = add_value(b, j);
    } else {
        rc = add_value(b, j);
    }
    b->out = out;
    if (rc != CCZ_OK)
        return rc;
    const size_t entry = ccz_pb_open(out, 1); /* Features.feature: map<string, Feature> */
    ccz_pb_put_bytes(out, 1, b->name);
    const size_t feature = ccz_pb_open(out, 2);
    if (b->kind != NOT_SET)
        ccz_pb_put_bytes(out, (uint32_t)b->kind, ccz_buf_span(list));
    ccz_pb_close(out, feature);
    ccz_pb_close(out, entry);
    out->bad = out->bad || list->bad;
    return CCZ_OK;
}

/* MakeExampleFromJsonObject(): Example {1 features {1 map feature}} */
static ccz_rc add_example(struct build *b, struct ccz_buf *list, struct cczi_json *j)
{
    if (cczi_json_kind(j) != CCZI_OBJECT)
        return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Example must be JSON object but got JSON %s",
                                  cczi_json_kind_name(cczi_json_kind(j)));
    const size_t features = ccz_pb_open(b->out, 1);
    cczi_json_enter(j);
    for (bool first = true; cczi_json_more(j, first); first = false) {
        b->name = cczi_json_key(j, b->scratch);
        ccz_rc rc = add_feature(b, list, j);
        if (rc != CCZ_OK)
            return rc;
    }
    ccz_pb_close(b->out, features);
    return CCZ_OK;
}

/* Moves what was written to memory of the call, as one example. */
static bool keep(struct ccz_span *out, struct build *b)
{
    const size_t size = b->out->size;
    uint8_t *copy = b->out->bad ? NULL : cczi_scratch_raw(b->scratch, size, 1);
    if (copy && size)
        memcpy(copy, b->out->ptr, size);
    *out = CCZ_SPAN(copy, size);
    return copy != NULL;
}

static size_t count(struct cczi_json array)
{
    size_t n = 0;
    cczi_json_enter(&array);
    for (; cczi_json_more(&array, n == 0); n++)
        (void)cczi_json_skip(&array);
    return n;
}

static ccz_rc too_large(struct ccz_run_status *st)
{
    return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                              "the examples are larger than the server allows");
}

/* Each example for itself, in the memory of the call. */
static ccz_rc read_examples(struct ccz_span *examples, struct build *b, struct ccz_buf *list,
                            struct cczi_json array)
{
    cczi_json_enter(&array);
    for (size_t i = 0; cczi_json_more(&array, i == 0); i++) {
        ccz_buf_clear(b->out);
        ccz_rc rc = add_example(b, list, &array);
        if (rc != CCZ_OK)
            return rc;
        if (!keep(&examples[i], b))
            return too_large(b->st);
    }
    return CCZ_OK;
}

static ccz_rc read_all(struct ccz_tensor *out, struct build *b, struct ccz_buf *list,
                       const struct cczi_json_body *body)
{
    struct cczi_json context = body->context, array = body->examples;
    struct ccz_span before = {0};
    ccz_rc rc = CCZ_OK;
    if (context.p) {
        rc = add_example(b, list, &context);
        if (rc == CCZ_OK && !keep(&before, b))
            rc = too_large(b->st);
    }
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_json *root = &body->root;
    if (!array.p)
        return cczi_json_error(
            b->st, root, " When method is classify, key 'examples' is expected and was not found");
    if (cczi_json_kind(&array) != CCZI_ARRAY)
        return cczi_json_error(b->st, root, " Expecting 'examples' value to be an list/array");
    const size_t len = count(array);
    if (len == 0)
        return cczi_json_error(b->st, root, " 'examples' value is an empty array");
    struct ccz_span *examples = cczi_scratch_raw(b->scratch, len, sizeof(*examples));
    if (!examples)
        return too_large(b->st);
    rc = read_examples(examples, b, list, array);
    return rc == CCZ_OK ? cczi_examples_join(out, b->st, examples, len, before, b->scratch) : rc;
}

ccz_rc cczi_json_examples(struct ccz_tensor *out, struct ccz_run_status *st,
                          const struct cczi_json_body *body, struct cczi_scratch *scratch)
{
    CCZ_AUTO_BUF message, list;
    ccz_buf_init(&message, scratch->left);
    ccz_buf_init(&list, scratch->left);
    struct build b = {.st = st, .scratch = scratch, .out = &message};
    ccz_rc rc = read_all(out, &b, &list, body);
    if (rc == CCZ_OK && scratch->full) /* a string that did not fit was left empty */
        rc = too_large(st);
    return rc;
}
