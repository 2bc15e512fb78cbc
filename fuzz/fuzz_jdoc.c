/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader in place accepts, the tree reader accepts too and finds the same in it (but for
 * reals out of range, whose value the former does not look at, and integers from 2^63 on); what only the tree reader accepts has
 * an escape in a key, or more members or levels than supported. */
#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void same(struct ccz_span text, const struct ccz_jnode *n, const struct ccz_json *j);

static void same_children(struct ccz_span text, const struct ccz_jnode *n, const struct ccz_json *j)
{
    const char *key = NULL;
    size_t i = 0;
    for (const struct ccz_jnode *v = ccz_jnode_first(n); v; v = ccz_jnode_next(v), i++) {
        const struct ccz_json *w =
            ccz_json_type(j) == CCZ_JSON_OBJECT ? ccz_json_next(&key, j) : ccz_json_at(j, i);
        if (key) {
            expect(ccz_span_eq(ccz_jnode_key(v), ccz_span_str(key)));
            expect(ccz_jnode_get(n, key) == v);
        }
        same(text, v, w);
    }
    expect(i == ccz_jnode_len(n) && i == ccz_json_len(j));
}

static void same(struct ccz_span text, const struct ccz_jnode *n, const struct ccz_json *j)
{
    int64_t a, b;
    struct ccz_span raw = ccz_jnode_raw(n), s = ccz_jnode_str(n);
    expect(ccz_jnode_type(n) == ccz_json_type(j));
    expect(raw.size > 0 && raw.ptr >= text.ptr && raw.ptr + raw.size <= text.ptr + text.size);
    expect(ccz_jnode_int(&a, n) == ccz_json_int(&b, j) && a == b);
    if (s.ptr)
        expect(ccz_span_eq(s, ccz_json_bytes(j)));
    else if (ccz_jnode_type(n) == CCZ_JSON_STRING)
        expect(memchr(raw.ptr, '\\', raw.size) != NULL);
    same_children(text, n, j);
}

static bool has_large(const struct ccz_jnode *n)
{
    int64_t i;
    uint64_t u;
    bool large = ccz_jnode_uint(&u, n) && u > INT64_MAX;
    expect(!large || !ccz_jnode_int(&i, n));
    for (const struct ccz_jnode *v = ccz_jnode_first(n); v && !large; v = ccz_jnode_next(v))
        large = has_large(v);
    return large;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span text = CCZ_SPAN(data, size);
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_jdoc) d = NULL;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_rc rc = ccz_jdoc_parse(&d, text, &err);
    bool other = ccz_json_parse(&j, text, NULL) == CCZ_OK;
    expect((rc == CCZ_OK) == (d != NULL));
    if (rc == CCZ_OK && other)
        same(text, ccz_jdoc_root(d), j);
    if (rc == CCZ_OK && !other) /* 1e999, 2^63 */
        expect(memchr(data, 'e', size) || memchr(data, 'E', size) || size > 300 ||
               has_large(ccz_jdoc_root(d)));
    if (rc != CCZ_OK && other)
        expect(rc == CCZ_E_LIMIT || strstr(err.msg, "object key with an escape"));
    return 0;
}
