/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted base64 has one text; what PEM reading finds, PEM writing and reading find again. */
#include <cczoo/codec.h>

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void check_kind(struct ccz_span text, enum ccz_base64 kind)
{
    CCZ_AUTO_BUF bytes, back;
    ccz_buf_init(&bytes, text.size);
    ccz_buf_init(&back, text.size);
    struct ccz_err err;
    if (ccz_base64_get(&bytes, text, kind, &err) != CCZ_OK) {
        expect(bytes.size == 0 && err.where[0] != 0);
        return;
    }
    ccz_base64_put(&back, ccz_buf_span(&bytes), kind);
    expect(ccz_span_eq(ccz_buf_span(&back), text));
}

static void check_pem(struct ccz_span text)
{
    CCZ_AUTO_BUF der, pem, again;
    ccz_buf_init(&der, text.size);
    ccz_buf_init(&pem, 4 * text.size + 100);
    ccz_buf_init(&again, text.size);
    struct ccz_span rest = text;
    while (ccz_pem_next(&der, &rest, "X", NULL) == CCZ_OK) {
        expect(der.size > 0 && rest.size < text.size);
        ccz_pem_put(&pem, "X", ccz_buf_span(&der));
        struct ccz_span written = ccz_buf_span(&pem);
        expect(ccz_pem_next(&again, &written, "X", NULL) == CCZ_OK && written.size == 0);
        expect(ccz_span_eq(ccz_buf_span(&der), ccz_buf_span(&again)));
        ccz_buf_clear(&der);
        ccz_buf_clear(&pem);
        ccz_buf_clear(&again);
    }
    expect(der.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_kind(CCZ_SPAN(data, size), CCZ_BASE64_STD);
    check_kind(CCZ_SPAN(data, size), CCZ_BASE64_URL);
    check_pem(CCZ_SPAN(data, size));
    return 0;
}
