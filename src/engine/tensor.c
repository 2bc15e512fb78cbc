/* SPDX-License-Identifier: Apache-2.0 */
/* Element types, shapes and the outcome of a run. */
#include <cczoo/engine.h>

#include <stdio.h>
#include <string.h>

#define TENSOR_LEN_MAX ((size_t)1 << 40)

struct dtype_row {
    enum ccz_dtype dtype;
    size_t size;
    const char *text, *enum_name;
};
static const struct dtype_row dtypes[] = {
#define X(name, value, size, text) {CCZ_DT_##name, (size), (text), "DT_" #name},
    CCZ_DTYPE_MAP(X)
#undef X
};
static const struct dtype_row invalid = {CCZ_DT_INVALID, 0, "invalid", "DT_INVALID"};

static const struct dtype_row *row_of(enum ccz_dtype t)
{
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
        if (dtypes[i].dtype == t)
            return &dtypes[i];
    return &invalid;
}

size_t ccz_dtype_size(enum ccz_dtype t)
{
    return row_of(t)->size;
}

const char *ccz_dtype_name(enum ccz_dtype t)
{
    return row_of(t)->text;
}

const char *ccz_dtype_enum_name(enum ccz_dtype t)
{
    return row_of(t)->enum_name;
}

bool ccz_tensor_len(size_t *len, int rank, const int64_t *dims)
{
    *len = 0;
    size_t n = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || (uint64_t)dims[i] > TENSOR_LEN_MAX)
            return false;
        /* A zero must not hide a product that other code would compute in another order. */
        empty = empty || dims[i] == 0;
        if (dims[i] != 0 && n > TENSOR_LEN_MAX / (size_t)dims[i])
            return false;
        n *= dims[i] ? (size_t)dims[i] : 1;
    }
    *len = empty ? 0 : n;
    return true;
}

static const struct {
    const char *name;
    ccz_rc rc;
} codes[] = {
    [CCZ_RUN_OK] = {"OK", CCZ_OK},
    [CCZ_RUN_CANCELLED] = {"CANCELLED", CCZ_E_CLOSED},
    [CCZ_RUN_UNKNOWN] = {"UNKNOWN", CCZ_E_INTERNAL},
    [CCZ_RUN_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", CCZ_E_FORMAT},
    [CCZ_RUN_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", CCZ_E_TIMEOUT},
    [CCZ_RUN_NOT_FOUND] = {"NOT_FOUND", CCZ_E_NOT_FOUND},
    [CCZ_RUN_ALREADY_EXISTS] = {"ALREADY_EXISTS", CCZ_E_EXISTS},
    [CCZ_RUN_PERMISSION_DENIED] = {"PERMISSION_DENIED", CCZ_E_DENIED},
    [CCZ_RUN_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", CCZ_E_LIMIT},
    [CCZ_RUN_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", CCZ_E_UNSUPPORTED},
    [CCZ_RUN_ABORTED] = {"ABORTED", CCZ_E_UNAVAILABLE},
    [CCZ_RUN_OUT_OF_RANGE] = {"OUT_OF_RANGE", CCZ_E_FORMAT},
    [CCZ_RUN_UNIMPLEMENTED] = {"UNIMPLEMENTED", CCZ_E_UNSUPPORTED},
    [CCZ_RUN_INTERNAL] = {"INTERNAL", CCZ_E_INTERNAL},
    [CCZ_RUN_UNAVAILABLE] = {"UNAVAILABLE", CCZ_E_UNAVAILABLE},
    [CCZ_RUN_DATA_LOSS] = {"DATA_LOSS", CCZ_E_IO},
    [CCZ_RUN_UNAUTHENTICATED] = {"UNAUTHENTICATED", CCZ_E_DENIED},
};

static bool in_range(enum ccz_run_code code)
{
    return (unsigned)code < sizeof(codes) / sizeof(codes[0]);
}

ccz_rc ccz_run_rc(enum ccz_run_code code)
{
    return in_range(code) ? codes[code].rc : CCZ_E_INTERNAL;
}

const char *ccz_run_code_name(enum ccz_run_code code)
{
    return in_range(code) ? codes[code].name : "UNKNOWN";
}

ccz_rc ccz_run_status_set(struct ccz_run_status *st, enum ccz_run_code code, const char *fmt, ...)
{
    static const char cut[] = "...TRUNCATED";
    _Static_assert(sizeof(st->msg) >= CCZ_RUN_MSG_SIZE_MAX + sizeof(cut), "the mark fits");
    if (st) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(st->msg, CCZ_RUN_MSG_SIZE_MAX + 1, fmt, ap);
        va_end(ap);
        st->code = code;
        if (n > CCZ_RUN_MSG_SIZE_MAX)
            memcpy(st->msg + CCZ_RUN_MSG_SIZE_MAX, cut, sizeof(cut));
    }
    return ccz_run_rc(code);
}
