/* SPDX-License-Identifier: Apache-2.0 */
/* Layout { repeated Tensor tensor = 1; }   Tensor { string name = 1; repeated uint64 dims = 2 [packed]; } */
#define _DEFAULT_SOURCE
#include <cczoo/fl.h>

#include <cczoo/codec.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_TENSOR = 1, FIELD_NAME = 1, FIELD_DIMS = 2 };

void ccz_fl_layout_free(struct ccz_fl_layout *l)
{
    if (!l)
        return;
    free(l->tensors);
    free(l);
}

static bool name_ok(const char *name)
{
    size_t n = strnlen(name, CCZ_FL_NAME_SIZE);
    if (n == 0 || n == CCZ_FL_NAME_SIZE)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] < 0x20 || name[i] > 0x7e)
            return false;
    return true;
}

/* Elements of @p t; 0 if the dimensions are not allowed, UINT64_MAX if there are too many. */
static uint64_t elements(const struct ccz_fl_tensor *t)
{
    uint64_t n = 1;
    if (t->rank > CCZ_FL_RANK_MAX)
        return 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] == 0)
            return 0;
        if (t->dims[i] > CCZ_FL_LEN_MAX / n)
            return UINT64_MAX;
        n *= t->dims[i];
    }
    return n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ccz_rc check_unique(const struct ccz_fl_layout *l, struct ccz_err *err)
{
    const char **names = calloc(l->tensors_len, sizeof(*names));
    if (!names)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:memory", 0, "out of memory");
    for (size_t i = 0; i < l->tensors_len; i++)
        names[i] = l->tensors[i].name;
    qsort(names, l->tensors_len, sizeof(*names), by_name);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 1; i < l->tensors_len && rc == CCZ_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = ccz_fail(err, CCZ_E_ARG, "fl:layout-name", 0, "two tensors are called %.100s",
                          names[i]);
    free(names);
    return rc;
}

/* Checks each tensor and gives it its place. */
static ccz_rc place(struct ccz_fl_layout *l, const struct ccz_fl_tensor *tensors,
                    struct ccz_err *err)
{
    for (size_t i = 0; i < l->tensors_len; i++) {
        struct ccz_fl_tensor *t = &l->tensors[i];
        uint64_t n = elements(&tensors[i]);
        if (!name_ok(tensors[i].name))
            return ccz_fail(err, CCZ_E_ARG, "fl:layout-name", (int64_t)i,
                            "the name of tensor %zu is empty, too long or not printable", i);
        if (n == 0)
            return ccz_fail(err, CCZ_E_ARG, "fl:layout-dims", (int64_t)i,
                            "tensor %zu has a dimension of 0 or more than %d dimensions", i,
                            CCZ_FL_RANK_MAX);
        if (n > CCZ_FL_LEN_MAX - l->len)
            return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:layout-size", (int64_t)i,
                                  (int64_t)CCZ_FL_LEN_MAX);
        memcpy(t->name, tensors[i].name, strlen(tensors[i].name));
        t->rank = tensors[i].rank;
        memcpy(t->dims, tensors[i].dims, t->rank * sizeof(t->dims[0]));
        t->offset = l->len;
        t->len = n;
        l->len += n;
    }
    return check_unique(l, err);
}

static ccz_rc digest(struct ccz_fl_layout *l, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_FL_LAYOUT_SIZE_MAX);
    ccz_fl_layout_encode(&text, l);
    if (text.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "fl:layout-size", (int64_t)l->tensors_len,
                        "the names of the tensors are too long, or memory is out");
    ccz_rc rc = ccz_sha256(l->digest, ccz_buf_span(&text));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "fl:hash", 0, "hashing failed");
}

ccz_rc ccz_fl_layout_new(struct ccz_fl_layout **out, const struct ccz_fl_tensor *tensors,
                         size_t len, struct ccz_err *err)
{
    *out = NULL;
    if (len == 0 || len > CCZ_FL_TENSORS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:layout-tensors", (int64_t)len,
                              CCZ_FL_TENSORS_MAX);
    CCZ_AUTO(ccz_fl_layout) l = calloc(1, sizeof(*l));
    if (l)
        l->tensors = calloc(len, sizeof(*l->tensors));
    if (!l || !l->tensors)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:memory", 0, "out of memory");
    l->tensors_len = len;
    ccz_rc rc = place(l, tensors, err);
    if (rc == CCZ_OK)
        rc = digest(l, err);
    if (rc == CCZ_OK)
        *out = ccz_fl_layout_take(&l);
    return rc;
}

ccz_rc ccz_fl_layout_copy(struct ccz_fl_layout **out, const struct ccz_fl_layout *l,
                          struct ccz_err *err)
{
    return ccz_fl_layout_new(out, l->tensors, l->tensors_len, err);
}

void ccz_fl_layout_encode(struct ccz_buf *out, const struct ccz_fl_layout *l)
{
    for (size_t i = 0; i < l->tensors_len; i++) {
        const struct ccz_fl_tensor *t = &l->tensors[i];
        size_t tensor = ccz_pb_open(out, FIELD_TENSOR);
        ccz_pb_put_str(out, FIELD_NAME, t->name);
        if (t->rank > 0) {
            size_t dims = ccz_pb_open(out, FIELD_DIMS);
            for (uint32_t d = 0; d < t->rank; d++)
                ccz_pb_put_varint(out, t->dims[d]);
            ccz_pb_close(out, dims);
        }
        ccz_pb_close(out, tensor);
    }
}

/* @return false if it is not a tensor; odd but well-formed encodings show when it is encoded again */
static bool decode_tensor(struct ccz_fl_tensor *t, struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.wire != CCZ_PB_LEN)
            return false;
        if (f.number == FIELD_NAME) {
            if (f.bytes.size >= CCZ_FL_NAME_SIZE || memchr(f.bytes.ptr, 0, f.bytes.size))
                return false;
            memcpy(t->name, f.bytes.ptr, f.bytes.size);
        } else if (f.number == FIELD_DIMS) {
            struct ccz_rd d = ccz_rd_from(f.bytes);
            while (d.left > 0 && !d.bad && t->rank < CCZ_FL_RANK_MAX)
                t->dims[t->rank++] = ccz_pb_varint(&d);
            if (!ccz_rd_done(&d))
                return false;
        }
    }
    return !r.bad;
}

static size_t count_tensors(struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    size_t n = 0;
    while (ccz_pb_next(&f, &r) && n <= CCZ_FL_TENSORS_MAX)
        n += f.number == FIELD_TENSOR && f.wire == CCZ_PB_LEN;
    return r.bad ? 0 : n;
}

static ccz_rc refuse(struct ccz_span in, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "fl:layout", (int64_t)in.size,
                    "malformed layout of %zu bytes", in.size);
}

/* Only what encodes to the same bytes is taken: one layout, one digest. */
static ccz_rc check_canonical(const struct ccz_fl_layout *l, struct ccz_span in,
                              struct ccz_err *err)
{
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, CCZ_FL_LAYOUT_SIZE_MAX);
    ccz_fl_layout_encode(&again, l);
    return ccz_span_eq(ccz_buf_span(&again), in) ? CCZ_OK : refuse(in, err);
}

ccz_rc ccz_fl_layout_decode(struct ccz_fl_layout **out, struct ccz_span in, struct ccz_err *err)
{
    *out = NULL;
    size_t n = in.size <= CCZ_FL_LAYOUT_SIZE_MAX ? count_tensors(in) : 0;
    if (n == 0 || n > CCZ_FL_TENSORS_MAX)
        return refuse(in, err);
    struct ccz_fl_tensor *t = calloc(n, sizeof(*t));
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:memory", 0, "out of memory");
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    CCZ_AUTO(ccz_fl_layout) l = NULL;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < n && ccz_pb_next(&f, &r);)
        if (f.number == FIELD_TENSOR && f.wire == CCZ_PB_LEN && !decode_tensor(&t[i++], f.bytes))
            rc = refuse(in, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_new(&l, t, n, err);
    free(t);
    if (rc == CCZ_OK)
        rc = check_canonical(l, in, err);
    if (rc == CCZ_OK)
        *out = ccz_fl_layout_take(&l);
    return rc;
}

static void describe(char *out, size_t size, const struct ccz_fl_layout *l, size_t i)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1024);
    if (i >= l->tensors_len) {
        ccz_buf_put_str(&text, "no such tensor");
    } else {
        const struct ccz_fl_tensor *t = &l->tensors[i];
        ccz_buf_printf(&text, "%.60s (", t->name);
        for (uint32_t d = 0; d < t->rank; d++)
            ccz_buf_printf(&text, "%s%llu", d ? "," : "", (unsigned long long)t->dims[d]);
        ccz_buf_put_str(&text, ")");
    }
    ccz_escape(out, size, ccz_buf_span(&text));
}

ccz_rc ccz_fl_layout_same(const struct ccz_fl_layout *got, const struct ccz_fl_layout *expected,
                          struct ccz_err *err)
{
    char a[CCZ_ERR_VALUE_SIZE], b[CCZ_ERR_VALUE_SIZE];
    if (memcmp(got->digest, expected->digest, sizeof(got->digest)) == 0)
        return CCZ_OK;
    size_t i = 0;
    for (; i < got->tensors_len && i < expected->tensors_len; i++) {
        const struct ccz_fl_tensor *g = &got->tensors[i], *e = &expected->tensors[i];
        if (strcmp(g->name, e->name) != 0 || g->rank != e->rank ||
            memcmp(g->dims, e->dims, sizeof(g->dims)) != 0)
            break;
    }
    describe(a, sizeof(a), got, i);
    describe(b, sizeof(b), expected, i);
    return ccz_refuse(err, CCZ_E_MISMATCH, "fl:layout", a, b);
}
