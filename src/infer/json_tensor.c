/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REST predict: tensors from "instances" (rows) or "inputs" (columns) and back, following
 * tensorflow_serving/util/json_tensor.cc in checks, order of checks and wording. The type of a
 * tensor comes from the signature, its shape from the nesting of the lists.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE_MAX = 1 << 16 };

/* One input while it grows. */
struct column {
    const struct ccz_tensor_info *info;
    struct ccz_buf values; /* numbers, or struct ccz_span for strings */
    size_t len;            /* elements so far */
    int rank;              /* of one instance (row form) or of the whole (column form) */
    int64_t dims[CCZ_TENSOR_RANK_MAX];
    size_t rows;    /* row form: instances so far; column form: 1 = it is there */
    size_t row_len; /* row form: elements of the first instance */
};
struct build {
    struct ccz_run_status *st;
    const struct ccz_signature *sig;
    struct cczi_scratch *scratch;
    struct column *col; /* one per input of the signature */
};

/* ------------------------------------------------------------------------ messages */

ccz_rc cczi_json_error(struct ccz_run_status *st, const struct cczi_json *value, const char *fmt,
                       ...)
{
    struct ccz_buf b;
    char rest[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(rest, sizeof(rest), fmt, ap);
    va_end(ap);
    ccz_buf_init(&b, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&b, "JSON Value: ");
    cczi_json_debug(&b, value);
    ccz_buf_put_str(&b, rest);
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &b);
}

static ccz_rc type_error(struct ccz_run_status *st, struct cczi_json value, enum ccz_dtype t)
{
    const char *kind = cczi_json_kind_name(cczi_json_kind(&value));
    return cczi_json_error(st, &value, " Type: %s is not of expected type: %s", kind,
                           ccz_dtype_name(t));
}

/* Puts words in front of the message that is there. */
static CCZ_FMT(2, 3) ccz_rc wrap(struct ccz_run_status *st, const char *fmt, ...)
{
    struct ccz_buf b;
    char front[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(front, sizeof(front), fmt, ap);
    va_end(ap);
    ccz_buf_init(&b, MESSAGE_SIZE_MAX);
    ccz_buf_printf(&b, "%s%s: %s", front, ccz_run_code_name(st->code), st->msg);
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &b);
}

/* ------------------------------------------------------------------------ one value */

struct range {
    enum ccz_dtype dtype;
    bool is_signed;
    uint64_t max; /* of the magnitude; a negative number may be one more */
};
static const struct range ranges[] = {
    {CCZ_DT_INT32, true, INT32_MAX},    {CCZ_DT_INT16, true, INT16_MAX},
    {CCZ_DT_INT8, true, INT8_MAX},      {CCZ_DT_UINT8, false, UINT8_MAX},
    {CCZ_DT_INT64, true, INT64_MAX},    {CCZ_DT_UINT32, false, UINT32_MAX},
    {CCZ_DT_UINT64, false, UINT64_MAX},
};

static const struct range *range_of(enum ccz_dtype t)
{
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (ranges[i].dtype == t)
            return &ranges[i];
    return NULL;
}

static ccz_rc add_integer(struct column *c, struct build *b, struct cczi_json *j,
                          const struct range *r)
{
    struct cczi_json at = *j;
    if (cczi_json_kind(j) != CCZI_NUMBER)
        return type_error(b->st, at, r->dtype);
    struct cczi_num n = cczi_json_num(j);
    bool fits = n.integer && n.magnitude <= r->max + (n.negative && r->is_signed ? 1 : 0);
    if (!fits || (n.negative && !r->is_signed && n.magnitude))
        return type_error(b->st, at, r->dtype);
    uint64_t v = n.negative ? 0 - n.magnitude : n.magnitude;
    size_t size = ccz_dtype_size(r->dtype);
    uint8_t le[8];
    for (size_t i = 0; i < size; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    ccz_buf_put(&c->values, le, size);
    return CCZ_OK;
}

static ccz_rc add_real(struct column *c, struct build *b, struct cczi_json *j, enum ccz_dtype t)
{
    struct cczi_json at = *j;
    if (cczi_json_kind(j) != CCZI_NUMBER)
        return type_error(b->st, at, t);
    double v = cczi_json_num(j).real;
    float f = (float)v;
    if (t == CCZ_DT_FLOAT)
        ccz_buf_put(&c->values, &f, sizeof(f));
    else
        ccz_buf_put(&c->values, &v, sizeof(v));
    return CCZ_OK;
}

bool cczi_json_is_base64(struct cczi_json j, struct cczi_scratch *scratch)
{
    if (cczi_json_kind(&j) != CCZI_OBJECT)
        return false;
    cczi_json_enter(&j);
    if (!cczi_json_more(&j, true) ||
        !ccz_span_eq(cczi_json_key(&j, scratch), ccz_span_str("b64")) ||
        cczi_json_kind(&j) != CCZI_STRING)
        return false;
    (void)cczi_json_skip(&j);
    return !cczi_json_more(&j, false);
}

ccz_rc cczi_json_base64(struct ccz_span *out, struct ccz_run_status *st, struct cczi_json *j,
                        struct cczi_scratch *scratch)
{
    if (!cczi_json_is_base64(*j, scratch))
        return cczi_json_error(st, j, " not formatted correctly for base64 data");
    struct cczi_json v = *j;
    cczi_json_enter(&v);
    (void)cczi_json_key(&v, scratch);
    struct ccz_span text = cczi_json_string(&v, scratch);
    (void)cczi_json_skip(j);
    CCZ_AUTO_BUF bytes;
    ccz_buf_init(&bytes, text.size);
    if (ccz_base64_get(&bytes, text, CCZ_BASE64_STD, NULL) != CCZ_OK)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Unable to base64 decode");
    uint8_t *copy = cczi_scratch_raw(scratch, bytes.size, 1);
    if (copy && bytes.size)
        memcpy(copy, bytes.ptr, bytes.size);
    *out = CCZ_SPAN(copy, copy ? bytes.size : 0);
    return CCZ_OK;
}

static ccz_rc add_string(struct column *c, struct build *b, struct cczi_json *j)
{
    struct ccz_span s = {0};
    enum cczi_json_kind kind = cczi_json_kind(j);
    ccz_rc rc = CCZ_OK;
    if (kind == CCZI_OBJECT)
        rc = cczi_json_base64(&s, b->st, j, b->scratch);
    else if (kind == CCZI_STRING)
        s = cczi_json_string(j, b->scratch);
    else
        rc = type_error(b->st, *j, CCZ_DT_STRING);
    if (rc == CCZ_OK)
        ccz_buf_put(&c->values, &s, sizeof(s));
    return rc;
}

static ccz_rc add_bool(struct column *c, struct build *b, struct cczi_json *j)
{
    enum cczi_json_kind kind = cczi_json_kind(j);
    if (kind != CCZI_TRUE && kind != CCZI_FALSE)
        return type_error(b->st, *j, CCZ_DT_BOOL);
    (void)cczi_json_skip(j);
    ccz_buf_u8(&c->values, kind == CCZI_TRUE);
    return CCZ_OK;
}

/* AddValueToTensor() */
static ccz_rc add_value(struct column *c, struct build *b, struct cczi_json *j)
{
    enum ccz_dtype t = c->info->dtype;
    const struct range *r = range_of(t);
    c->len++;
    if (t == CCZ_DT_STRING)
        return add_string(c, b, j);
    if (cczi_json_kind(j) == CCZI_OBJECT)
        return type_error(b->st, *j, t);
    if (r)
        return add_integer(c, b, j, r);
    if (t == CCZ_DT_FLOAT || t == CCZ_DT_DOUBLE)
        return add_real(c, b, j, t);
    if (t == CCZ_DT_BOOL)
        return add_bool(c, b, j);
    struct ccz_buf m;
    ccz_buf_init(&m, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&m, "Conversion of JSON Value: ");
    cczi_json_debug(&m, j);
    ccz_buf_printf(&m, " to type: %s", ccz_dtype_name(t));
    return cczi_status_buf(b->st, CCZ_RUN_UNIMPLEMENTED, &m);
}

/* ------------------------------------------------------------------------ one tensor */

/* GetDenseTensorShape(): the lengths along the first elements. @p rank_max leaves room for a batch
 * dimension. */
static ccz_rc find_shape(int *rank, int64_t *dims, int rank_max, struct cczi_json j,
                         struct ccz_run_status *st)
{
    *rank = 0;
    while (cczi_json_kind(&j) == CCZI_ARRAY) {
        if (*rank == rank_max)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "A tensor has at most %d dimensions", CCZ_TENSOR_RANK_MAX);
        dims[*rank] = cczi_json_elements(j);
        cczi_json_enter(&j);
        if (dims[(*rank)++] == 0)
            break;
    }
    return CCZ_OK;
}

/* Lists that are open around the cursor. */
struct nesting {
    struct cczi_json start[CCZ_TENSOR_RANK_MAX];
    int64_t len[CCZ_TENSOR_RANK_MAX]; /* elements passed */
    int level;
};

/* A list of another length than its level wants is reported before what is wrong inside it. */
static ccz_rc wrong_size(struct ccz_run_status *st, const struct nesting *n, const int64_t *dims)
{
    for (int i = 0; i < n->level; i++) {
        int64_t size = cczi_json_elements(n->start[i]);
        if (size != dims[i])
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "Encountered list at unexpected size: %" PRId64
                                      " at level: %d expected size: %" PRId64,
                                      size, i, dims[i]);
    }
    return CCZ_OK;
}

/* The value at the cursor, or the opening of a list. */
static ccz_rc fill_one(struct column *c, struct build *b, struct nesting *n, const int64_t *dims,
                       int rank, struct cczi_json *j, bool *opened)
{
    *opened = cczi_json_kind(j) == CCZI_ARRAY;
    ccz_rc rc;
    if (!*opened && n->level == rank) {
        rc = add_value(c, b, j);
    } else if (!*opened) {
        rc = cczi_json_error(b->st, j,
                             " found at incorrect level: %d in the JSON DOM. Expected at level: %d",
                             n->level + 1, rank);
    } else if (n->level >= rank) {
        rc = ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                "Encountered list at unexpected level: %d expected < %d", n->level,
                                rank);
    } else {
        n->start[n->level] = *j;
        n->len[n->level] = 0;
        n->level++;
        cczi_json_enter(j);
        rc = CCZ_OK;
    }
    if (rc == CCZ_OK)
        return CCZ_OK;
    ccz_rc outer = wrong_size(b->st, n, dims);
    return outer != CCZ_OK ? outer : rc;
}

/* Numbers of a list that was just opened, as many as are plain: images are that and nothing else. */
static size_t take_reals(struct column *c, size_t most, struct cczi_json *j)
{
    const enum ccz_dtype t = c->info->dtype;
    if (t != CCZ_DT_FLOAT && t != CCZ_DT_DOUBLE)
        return 0;
    const size_t size = ccz_dtype_size(t), before = c->values.size;
    /* a shape may say anything: a number has a byte of text, and one behind it */
    const size_t text = (size_t)(j->end - j->p) / 2, room = (c->values.max_size - before) / size;
    most = most < text ? most : text;
    most = most < room ? most : room;
    void *to = ccz_buf_extend(&c->values, most * size);
    const size_t n = to ? cczi_json_reals(to, t == CCZ_DT_DOUBLE, most, j) : 0;
    if (to)
        c->values.size = before + n * size;
    c->len += n;
    return n;
}

/* FillTensorProto(): appends one (nested list of) value(s) of the given shape. */
static ccz_rc fill(struct column *c, struct build *b, int rank, const int64_t *dims,
                   struct cczi_json *j)
{
    struct nesting n = {.level = 0};
    do {
        bool opened;
        ccz_rc rc = fill_one(c, b, &n, dims, rank, j, &opened);
        if (rc != CCZ_OK)
            return rc;
        if (opened && n.level == rank && dims[rank - 1] > 0)
            n.len[rank - 1] = (int64_t)take_reals(c, (size_t)dims[rank - 1], j);
        /* Ends every list that ends here; a list that was opened just now may be empty. */
        while (n.level > 0 && !cczi_json_more(j, n.len[n.level - 1] == 0)) {
            if (n.len[n.level - 1] != dims[n.level - 1])
                return wrong_size(b->st, &n, dims);
            n.level--;
        }
        if (n.level > 0)
            n.len[n.level - 1]++;
    } while (n.level > 0);
    if (c->values.bad || b->scratch->full)
        return ccz_run_status_set(b->st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                  "input %s is larger than the server allows", c->info->name);
    return CCZ_OK;
}

/* "[2,3]" */
static void put_shape(struct ccz_buf *out, int rank, const int64_t *dims)
{
    ccz_buf_put_str(out, "[");
    for (int i = 0; i < rank; i++)
        ccz_buf_printf(out, "%s%" PRId64, i ? "," : "", dims[i]);
    ccz_buf_put_str(out, "]");
}

/* ------------------------------------------------------------------------ rows */

/* AddInstanceItem() */
static ccz_rc add_instance(struct column *c, struct build *b, struct cczi_json *j)
{
    int rank;
    int64_t dims[CCZ_TENSOR_RANK_MAX];
    size_t before = c->len;
    ccz_rc rc = find_shape(&rank, dims, CCZ_TENSOR_RANK_MAX - 1, *j, b->st);
    if (rc == CCZ_OK)
        rc = fill(c, b, rank, dims, j);
    if (rc != CCZ_OK)
        return rc;
    size_t len = c->len - before;
    if (c->rows++ == 0) {
        c->row_len = len;
        c->rank = rank;
        memcpy(c->dims, dims, sizeof(dims));
        return CCZ_OK;
    }
    if (len != c->row_len)
        return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Expecting tensor size: %zu but got: %zu", c->row_len, len);
    if (rank == c->rank && memcmp(dims, c->dims, (size_t)rank * sizeof(dims[0])) == 0)
        return CCZ_OK;
    struct ccz_buf m;
    ccz_buf_init(&m, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&m, "Expecting shape ");
    put_shape(&m, c->rank, c->dims);
    ccz_buf_put_str(&m, " but got: ");
    put_shape(&m, rank, dims);
    return cczi_status_buf(b->st, CCZ_RUN_INVALID_ARGUMENT, &m);
}

static struct column *column_of(struct build *b, struct ccz_span name)
{
    for (size_t i = 0; i < b->sig->in_len; i++)
        if (ccz_span_eq(ccz_span_str(b->sig->in[i].name), name))
            return &b->col[i];
    return NULL;
}

static ccz_rc wrong_keys(struct build *b, size_t row, const struct cczi_json *object)
{
    struct ccz_buf m;
    ccz_buf_init(&m, MESSAGE_SIZE_MAX);
    ccz_buf_printf(&m, "Failed to process element: %zu of 'instances' list. JSON object: ", row);
    cczi_json_debug(&m, object);
    ccz_buf_put_str(&m, " keys must be equal to: ");
    for (size_t i = 0; i < b->sig->in_len; i++)
        ccz_buf_printf(&m, "%s%s", i ? "," : "", b->sig->in[i].name);
    return cczi_status_buf(b->st, CCZ_RUN_INVALID_ARGUMENT, &m);
}

/* An instance that is an object: one member per input, each once. */
static ccz_rc add_object(struct build *b, size_t row, struct cczi_json *j)
{
    struct cczi_json object = *j;
    cczi_json_enter(j);
    for (bool first = true; cczi_json_more(j, first); first = false) {
        struct ccz_span name = cczi_json_key(j, b->scratch);
        struct column *c = column_of(b, name);
        ccz_rc rc;
        if (!c)
            rc = ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                    "JSON object: does not have named input: %.*s", (int)name.size,
                                    (const char *)name.ptr);
        else if (c->rows != row) /* a second member of the same name, or not in each row before */
            return wrong_keys(b, row, &object);
        else
            rc = add_instance(c, b, j);
        if (rc != CCZ_OK)
            return wrap(
                b->st, "Failed to process element: %zu key: %.*s of 'instances' list. Error: ", row,
                (int)(name.size < 256 ? name.size : 256), (const char *)name.ptr);
    }
    for (size_t i = 0; i < b->sig->in_len; i++)
        if (b->col[i].rows != row + 1 &&
            (b->col[i].rows ||
             !b->sig->in[i].default_proto.size)) /* left out of every row, or of none */
            return wrong_keys(b, row, &object);
    return CCZ_OK;
}

/* FillTensorMapFromInstancesList() */
static ccz_rc read_rows(struct build *b, struct cczi_json j, const struct cczi_json *root)
{
    if (cczi_json_kind(&j) != CCZI_ARRAY)
        return cczi_json_error(b->st, root, " Expecting 'instances' to be an list/array");
    cczi_json_enter(&j);
    if (!cczi_json_more(&j, true))
        return cczi_json_error(b->st, root, " No values in 'instances' array");
    bool objects = cczi_json_kind(&j) == CCZI_OBJECT && !cczi_json_is_base64(j, b->scratch);
    if (!objects && b->sig->in_len > 1)
        return ccz_run_status_set(
            b->st, CCZ_RUN_INVALID_ARGUMENT, "%s",
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map");
    size_t row = 0;
    do {
        bool object = cczi_json_kind(&j) == CCZI_OBJECT && !cczi_json_is_base64(j, b->scratch);
        ccz_rc rc;
        if (objects && !object)
            return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                      "Expecting object but got list at item %zu of input list",
                                      row);
        if (!objects && object)
            return ccz_run_status_set(
                b->st, CCZ_RUN_INVALID_ARGUMENT,
                "Expecting value/list but got object at item %zu of input list", row);
        if (objects) {
            rc = add_object(b, row, &j);
        } else {
            rc = add_instance(&b->col[0], b, &j);
            if (rc != CCZ_OK)
                rc =
                    wrap(b->st, "Failed to process element: %zu of 'instances' list. Error: ", row);
        }
        if (rc != CCZ_OK)
            return rc;
        row++;
    } while (cczi_json_more(&j, false));
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ columns */

static ccz_rc read_column(struct column *c, struct build *b, struct cczi_json j)
{
    ccz_rc rc = find_shape(&c->rank, c->dims, CCZ_TENSOR_RANK_MAX, j, b->st);
    return rc == CCZ_OK ? fill(c, b, c->rank, c->dims, &j) : rc;
}

/* FillTensorMapFromInputsMap() */
static ccz_rc read_columns(struct build *b, struct cczi_json j)
{
    if (cczi_json_kind(&j) != CCZI_OBJECT || cczi_json_is_base64(j, b->scratch)) {
        if (b->sig->in_len > 1)
            return ccz_run_status_set(
                b->st, CCZ_RUN_INVALID_ARGUMENT, "%s",
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map");
        b->col[0].rows = 1;
        return read_column(&b->col[0], b, j);
    }
    for (size_t i = 0; i < b->sig->in_len; i++) {
        struct cczi_json value;
        const bool there = cczi_json_member(&value, j, b->sig->in[i].name, b->scratch);
        if (!there && b->sig->in[i].default_proto.size)
            continue;
        if (!there)
            return ccz_run_status_set(b->st, CCZ_RUN_INVALID_ARGUMENT,
                                      "Missing named input: %s in 'inputs' object.",
                                      b->sig->in[i].name);
        b->col[i].rows = 1;
        ccz_rc rc = read_column(&b->col[i], b, value);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ request */

bool cczi_json_member(struct cczi_json *value, struct cczi_json object, const char *key,
                      struct cczi_scratch *scratch)
{
    cczi_json_enter(&object);
    for (bool first = true; cczi_json_more(&object, first); first = false) {
        if (ccz_span_eq(cczi_json_key(&object, scratch), ccz_span_str(key))) {
            *value = object;
            return true;
        }
        (void)cczi_json_skip(&object);
    }
    return false;
}

/* Moves what was read to where the run finds it, with the batch dimension in front for rows. */
static bool finish(struct ccz_tensor *t, struct column *c, bool row, struct cczi_scratch *scratch)
{
    *t = (struct ccz_tensor){.name = c->info->name, .dtype = c->info->dtype, .len = c->len};
    if (row)
        t->dims[t->rank++] = (int64_t)c->rows;
    for (int i = 0; i < c->rank; i++)
        t->dims[t->rank++] = c->dims[i];
    uint8_t *copy = cczi_scratch_raw(scratch, c->values.size, 1);
    if (copy && c->values.size)
        memcpy(copy, c->values.ptr, c->values.size);
    if (t->dtype == CCZ_DT_STRING)
        t->strings = (const struct ccz_span *)(const void *)copy;
    else
        t->data = CCZ_SPAN(copy, c->values.size);
    return copy != NULL;
}

void cczi_json_body(struct cczi_json_body *out, struct cczi_json root, struct cczi_scratch *scratch)
{
    *out = (struct cczi_json_body){.root = root};
    struct {
        const char *key;
        struct cczi_json *value;
    } members[] = {{"signature_name", &out->signature_name},
                   {"instances", &out->instances},
                   {"inputs", &out->inputs},
                   {"context", &out->context},
                   {"examples", &out->examples}};
    cczi_json_enter(&root);
    for (bool first = true; cczi_json_more(&root, first); first = false) {
        const struct ccz_span key = cczi_json_key(&root, scratch);
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
            if (!members[i].value->p && ccz_span_eq(key, ccz_span_str(members[i].key)))
                *members[i].value = root;
        (void)cczi_json_skip(&root);
    }
}

ccz_rc cczi_json_inputs(struct cczi_json_inputs *out, struct ccz_run_status *st,
                        const struct ccz_signature *sig, const struct cczi_json_body *body,
                        struct cczi_scratch *scratch)
{
    *out = (struct cczi_json_inputs){.in_len = sig->in_len};
    struct build b = {.st = st, .sig = sig, .scratch = scratch};
    const bool has_rows = body->instances.p != NULL, has_columns = body->inputs.p != NULL;
    if (has_rows && has_columns)
        return cczi_json_error(st, &body->root,
                               " Not formatted correctly expecting only one of 'inputs' or "
                               "'instances' keys to exist ");
    if (!has_rows && !has_columns)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Missing 'inputs' or 'instances' key");
    out->in = cczi_scratch_take(scratch, sig->in_len, sizeof(*out->in));
    b.col = cczi_scratch_take(scratch, sig->in_len, sizeof(*b.col));
    if (!out->in || !b.col)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the request");
    for (size_t i = 0; i < sig->in_len; i++) {
        b.col[i].info = &sig->in[i];
        ccz_buf_init(&b.col[i].values, scratch->left);
    }
    ccz_rc rc =
        has_rows ? read_rows(&b, body->instances, &body->root) : read_columns(&b, body->inputs);
    for (size_t i = 0; rc == CCZ_OK && i < sig->in_len; i++)
        if (b.col[i].rows == 0 && sig->in[i].default_proto.size)
            rc = cczi_default_input(&out->in[i], st, &sig->in[i], scratch);
        else if (!finish(&out->in[i], &b.col[i], has_rows, scratch))
            rc = ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                    "input %s is larger than the server allows", sig->in[i].name);
    for (size_t i = 0; i < sig->in_len; i++)
        ccz_buf_free(&b.col[i].values);
    out->row = has_rows;
    return rc;
}

ccz_rc cczi_json_values(struct ccz_tensor *t, struct ccz_run_status *st, struct ccz_span name,
                        struct cczi_json j, struct cczi_scratch *scratch)
{
    char text[CCZ_RUN_MSG_SIZE_MAX / 4] = "";
    ccz_escape(text, sizeof(text), name);
    const struct ccz_tensor_info info = {.name = text, .dtype = t->dtype};
    const int64_t flat = (int64_t)t->len;
    struct build b = {.st = st, .scratch = scratch};
    struct column c = {.info = &info};
    struct cczi_json first = j;
    ccz_buf_init(&c.values, scratch->left);
    cczi_json_enter(&first);
    const bool nested = cczi_json_more(&first, true) && cczi_json_kind(&first) == CCZI_ARRAY;
    ccz_rc rc = nested ? fill(&c, &b, t->rank, t->dims, &j) : fill(&c, &b, 1, &flat, &j);
    uint8_t *copy = rc == CCZ_OK ? cczi_scratch_raw(scratch, c.values.size, 1) : NULL;
    if (rc == CCZ_OK && !copy)
        rc = ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                "input %s is larger than the server allows", text);
    if (copy && c.values.size)
        memcpy(copy, c.values.ptr, c.values.size);
    if (copy && t->dtype == CCZ_DT_STRING)
        t->strings = (const struct ccz_span *)(const void *)copy;
    else if (copy)
        t->data = CCZ_SPAN(copy, c.values.size);
    ccz_buf_free(&c.values);
    return rc;
}

/* ------------------------------------------------------------------------ response */

/* Output strings whose name ends in "_bytes" are not text. */
static bool is_bytes(const struct ccz_tensor *t)
{
    static const char suffix[] = "_bytes";
    size_t size = strlen(t->name);
    return t->dtype == CCZ_DT_STRING && size >= sizeof(suffix) - 1 &&
           strcmp(t->name + size - (sizeof(suffix) - 1), suffix) == 0;
}

static void put_string(struct cczi_jw *w, const struct ccz_tensor *t, size_t i)
{
    if (!is_bytes(t)) {
        cczi_jw_string(w, t->strings[i]);
        return;
    }
    cczi_jw_object(w);
    cczi_jw_key(w, "b64");
    cczi_jw_raw(w);
    ccz_buf_put_str(w->out, "\"");
    ccz_base64_put(w->out, t->strings[i], CCZ_BASE64_STD);
    ccz_buf_put_str(w->out, "\"");
    cczi_jw_object_end(w);
}

/* AddSingleValueAndAdvance() */
bool cczi_json_put_value(struct cczi_jw *w, const struct ccz_tensor *t, size_t i)
{
    const struct range *r = range_of(t->dtype);
    size_t size = ccz_dtype_size(t->dtype);
    uint64_t raw = 0;
    float f;
    double d;
    if (t->dtype == CCZ_DT_STRING) {
        put_string(w, t, i);
        return true;
    }
    cczi_jw_raw(w);
    const uint8_t *at = t->data.ptr + i * size;
    if (t->dtype == CCZ_DT_FLOAT) {
        memcpy(&f, at, sizeof(f));
        ccz_json_put_float(w->out, f);
    } else if (t->dtype == CCZ_DT_DOUBLE) {
        memcpy(&d, at, sizeof(d));
        ccz_json_put_double(w->out, d);
    } else if (t->dtype == CCZ_DT_BOOL) {
        ccz_buf_put_str(w->out, *at ? "true" : "false");
    } else if (r) {
        for (size_t k = 0; k < size; k++)
            raw |= (uint64_t)at[k] << (8 * k);
        if (r->is_signed && raw > r->max) /* two's complement of `size` bytes */
            ccz_buf_printf(w->out, "-%" PRIu64, (r->max - (raw & r->max)) + 1);
        else
            ccz_buf_printf(w->out, "%" PRIu64, raw);
    }
    return r || t->dtype == CCZ_DT_FLOAT || t->dtype == CCZ_DT_DOUBLE || t->dtype == CCZ_DT_BOOL;
}

/* AddTensorValues() from dimension @p from on, without recursion; @p next runs through the
 * elements. */
static bool put_tensor(struct cczi_jw *w, const struct ccz_tensor *t, int from, size_t *next)
{
    int64_t at[CCZ_TENSOR_RANK_MAX];
    int level = from;
    if (level == t->rank)
        return cczi_json_put_value(w, t, (*next)++);
    cczi_jw_array(w);
    at[level] = 0;
    for (;;) {
        if (at[level] == t->dims[level]) {
            cczi_jw_array_end(w);
            if (level-- == from)
                return true;
            at[level]++;
        } else if (level + 1 < t->rank) {
            cczi_jw_array(w);
            at[++level] = 0;
        } else {
            if (!cczi_json_put_value(w, t, (*next)++))
                return false;
            at[level]++;
        }
        if (w->out->bad)
            return true; /* too large: said by the caller, once */
    }
}

static ccz_rc no_json(struct ccz_run_status *st, const struct ccz_tensor *t)
{
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                              "Failed to write JSON value for tensor type: %s",
                              ccz_dtype_name(t->dtype));
}

/* The outputs of a task, each under the name that the signature gives it. */
struct outputs {
    struct ccz_tensor *t;
    size_t len;
};

static ccz_rc check_batch(struct ccz_run_status *st, const struct outputs *o)
{
    for (size_t i = 0; i < o->len; i++) {
        const struct ccz_tensor *t = &o->t[i];
        if (t->rank == 0)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "Tensor name: %s has no shape information ", t->name);
        if (t->dims[0] != o->t[0].dims[0])
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "Tensor name: %s has inconsistent batch size: %" PRId64
                                      " expecting: %" PRId64,
                                      t->name, t->dims[0], o->t[0].dims[0]);
    }
    return CCZ_OK;
}

/* MakeRowFormatJsonFromTensors() */
static ccz_rc put_rows(struct cczi_jw *w, struct ccz_run_status *st, const struct outputs *o,
                       size_t *next)
{
    ccz_rc rc = check_batch(st, o);
    if (rc != CCZ_OK)
        return rc;
    cczi_jw_key(w, "predictions");
    cczi_jw_array(w);
    for (int64_t row = 0; rc == CCZ_OK && row < o->t[0].dims[0]; row++) {
        if (o->len > 1)
            cczi_jw_object(w);
        w->single_line = true;
        for (size_t i = 0; rc == CCZ_OK && i < o->len; i++) {
            if (o->len > 1)
                cczi_jw_key(w, o->t[i].name);
            if (!put_tensor(w, &o->t[i], 1, &next[i]))
                rc = no_json(st, &o->t[i]);
        }
        w->single_line = false;
        if (o->len > 1)
            cczi_jw_object_end(w);
        if (w->out->bad)
            break;
    }
    cczi_jw_array_end(w);
    return rc;
}

/* MakeColumnarFormatJsonFromTensors() */
static ccz_rc put_columns(struct cczi_jw *w, struct ccz_run_status *st, const struct outputs *o)
{
    cczi_jw_key(w, "outputs");
    if (o->len > 1)
        cczi_jw_object(w);
    for (size_t i = 0; i < o->len; i++) {
        size_t next = 0;
        if (o->len > 1)
            cczi_jw_key(w, o->t[i].name);
        if (!put_tensor(w, &o->t[i], 0, &next))
            return no_json(st, &o->t[i]);
    }
    if (o->len > 1)
        cczi_jw_object_end(w);
    return CCZ_OK;
}

static ccz_rc put_outputs(struct ccz_buf *out, struct ccz_run_status *st, const struct outputs *o,
                          size_t *next, bool row)
{
    struct cczi_jw w = {.out = out, .indent = 4};
    cczi_jw_object(&w);
    ccz_rc rc = row ? put_rows(&w, st, o, next) : put_columns(&w, st, o);
    cczi_jw_object_end(&w);
    return rc;
}

ccz_rc cczi_json_outputs(struct ccz_buf *out, struct ccz_run_status *st,
                         const struct ccz_infer_task *t, const struct ccz_tensor *result, bool row)
{
    struct outputs o = {.len = cczi_task_outputs(t)};
    if (o.len == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Cannot convert empty tensor map to JSON");
    o.t = calloc(o.len, sizeof(*o.t));
    size_t *next = calloc(o.len, sizeof(*next));
    ccz_rc rc = o.t && next ? CCZ_OK
                            : ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                                 "no memory for the response");
    for (size_t i = 0; rc == CCZ_OK && i < o.len; i++) {
        o.t[i] = result[i];
        o.t[i].name = cczi_task_output(t, i)->name;
    }
    if (rc == CCZ_OK)
        rc = put_outputs(out, st, &o, next, row);
    free(next);
    free(o.t);
    return rc;
}
