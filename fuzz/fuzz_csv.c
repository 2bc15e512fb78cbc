/* SPDX-License-Identifier: Apache-2.0 */
/* However the bytes arrive the records are the same, each as wide as the first; accepted records,
 * written with every field quoted, are read again and equal; numbers agree with strtod(). */
#include <cczoo/codec.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static ptrdiff_t read_one(void *arg, void *to, size_t size)
{
    struct ccz_span *s = arg;
    if (s->size == 0 || size == 0)
        return 0;
    *(uint8_t *)to = *s->ptr;
    *s = (struct ccz_span){s->ptr + 1, s->size - 1};
    return 1;
}

static void put_record(struct ccz_buf *out, const struct ccz_csv *c)
{
    for (size_t i = 0; i < ccz_csv_len(c); i++) {
        struct ccz_span f = ccz_csv_field(c, i);
        ccz_buf_put_str(out, i ? ",\"" : "\"");
        for (size_t k = 0; k < f.size; k++) {
            if (f.ptr[k] == '"')
                ccz_buf_u8(out, '"');
            ccz_buf_u8(out, f.ptr[k]);
        }
        ccz_buf_u8(out, '"');
    }
    ccz_buf_u8(out, '\n');
}

static void check_number(const struct ccz_csv *c, size_t i)
{
    char text[64];
    double v;
    struct ccz_span f = ccz_csv_field(c, i);
    if (ccz_csv_num(&v, c, i, NULL) != CCZ_OK || f.size >= sizeof(text))
        return;
    memcpy(text, f.ptr, f.size);
    text[f.size] = 0;
    char *end;
    double w = strtod(text, &end);
    expect(*end == 0 && v == w && signbit(v) == signbit(w));
}

/* @return the last answer; what was read goes to @p out in its quoted form */
static ccz_rc read_all(struct ccz_buf *out, struct ccz_csv *c, struct ccz_err *err)
{
    ccz_rc rc;
    size_t width = 0;
    while ((rc = ccz_csv_next(c, err)) == CCZ_OK) {
        expect(ccz_csv_len(c) > 0 && (width == 0 || ccz_csv_len(c) == width));
        width = ccz_csv_len(c);
        for (size_t i = 0; i < width; i++)
            check_number(c, i);
        put_record(out, c);
    }
    expect(ccz_csv_len(c) == 0 && rc != CCZ_E_NOMEM && err->where[0] != 0);
    expect(ccz_csv_next(c, NULL) == rc);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_csv_cfg cfg = {.record_size_max = 200, .fields_max = 10};
    struct ccz_csv_cfg wide = {.record_size_max = 1000, .fields_max = 10};
    struct ccz_span text = {data, size};
    struct ccz_err e1, e2;
    CCZ_AUTO_BUF a, b;
    ccz_buf_init(&a, 8 * size + 64);
    ccz_buf_init(&b, 16 * size + 64);
    CCZ_AUTO(ccz_csv) whole = NULL;
    CCZ_AUTO(ccz_csv) bytes = NULL;
    CCZ_AUTO(ccz_csv) again = NULL;
    expect(ccz_csv_new_mem(&whole, text, &cfg, NULL) == CCZ_OK);
    expect(ccz_csv_new(&bytes, read_one, &text, &cfg, NULL) == CCZ_OK);
    ccz_rc rc = read_all(&a, whole, &e1);
    expect(read_all(&b, bytes, &e2) == rc && strcmp(e1.where, e2.where) == 0 && e1.aux == e2.aux);
    expect(!a.bad && ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
    ccz_buf_clear(&b);
    expect(ccz_csv_new_mem(&again, ccz_buf_span(&a), &wide, NULL) == CCZ_OK);
    expect(read_all(&b, again, &e2) == CCZ_E_NOT_FOUND);
    expect(ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
    return 0;
}
