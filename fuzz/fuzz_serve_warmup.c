/* SPDX-License-Identifier: Apache-2.0 */
/* However the bytes arrive the same requests are replayed, and they lie in the file. The first byte says how many at a time. */
#include <cczoo/serve.h>

#include <stdlib.h>
#include <string.h>

struct run {
    struct ccz_span left;
    size_t chunk;
    size_t requests, size;
    uint64_t sum;
};

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static ptrdiff_t give(void *arg, void *to, size_t size, struct ccz_err *err)
{
    struct run *r = arg;
    size_t n = size < r->left.size ? size : r->left.size;
    (void)err;
    n = r->chunk && n > r->chunk ? r->chunk : n;
    if (n > 0)
        memcpy(to, r->left.ptr, n);
    r->left = (struct ccz_span){r->left.ptr + n, r->left.size - n};
    return (ptrdiff_t)n;
}

static ccz_rc replay(void *arg, const char *path, struct ccz_span request, uint32_t timeout_ms,
                     struct ccz_err *err)
{
    struct run *r = arg;
    expect(path[0] == '/' && timeout_ms > 0);
    r->requests++;
    r->size += request.size;
    for (size_t i = 0; i < request.size; i++)
        r->sum = r->sum * 31 + request.ptr[i];
    return request.size == 13 ? ccz_fail(err, CCZ_E_FORMAT, "fuzz:model", 0, "unlucky") : CCZ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run a = {0}, b = {0};
    struct ccz_serve_warmup w = {
        .read = give, .replay = replay, .arg = &a, .record_size_max = 4096};
    struct ccz_err e1 = {0}, e2 = {0};
    size_t done, again;
    if (size == 0)
        return 0;
    a.left = b.left = (struct ccz_span){data + 1, size - 1};
    b.chunk = 1 + data[0] % 32u;
    ccz_rc rc = ccz_serve_warmup(&done, &w, &e1);
    w.arg = &b;
    expect(ccz_serve_warmup(&again, &w, &e2) == rc && done == again);
    expect(strcmp(e1.where, e2.where) == 0 && e1.aux == e2.aux);
    expect(a.requests == b.requests && a.sum == b.sum && a.size <= size);
    expect(rc != CCZ_OK || a.left.size == 0);
    return 0;
}
