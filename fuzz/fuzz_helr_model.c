/* SPDX-License-Identifier: Apache-2.0 */
/* An accepted model, written, is accepted again and written alike. */
#include <cczoo/helr.h>

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO(ccz_helr_model) m = NULL;
    CCZ_AUTO(ccz_helr_model) again = NULL;
    struct ccz_err err = {0};
    if (ccz_helr_model_parse(&m, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        expect(!m && err.where[0]);
        return 0;
    }
    expect(m->features_len >= 1 && m->features_len <= CCZ_HELR_FEATURES_MAX && m->radius >= 1);
    CCZ_AUTO_BUF a, b;
    ccz_buf_init(&a, 200 * CCZ_HELR_FEATURES_MAX + 8 * size + 1000);
    ccz_buf_init(&b, 200 * CCZ_HELR_FEATURES_MAX + 8 * size + 1000);
    ccz_helr_model_put(&a, m);
    expect(!a.bad && ccz_helr_model_parse(&again, ccz_buf_span(&a), &err) == CCZ_OK);
    ccz_helr_model_put(&b, again);
    expect(ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
    return 0;
}
