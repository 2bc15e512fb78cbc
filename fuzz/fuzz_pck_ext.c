/* SPDX-License-Identifier: Apache-2.0 */
/* SGX extension of PCK certificates. Invariants: a failure leaves zeros and a reason; an extension
 * that is accepted is not accepted any more with a byte behind it or without its last one. */
#include "quote/quote_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cczi_pck none;
    struct cczi_pck p, other;
    struct ccz_err err = {0};
    if (cczi_pck_ext_parse(&p, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        if (memcmp(&p, &none, sizeof(p)) != 0 || err.where[0] == 0)
            abort();
        return 0;
    }
    uint8_t *longer = calloc(1, size + 1);
    if (!longer)
        return 0;
    memcpy(longer, data, size);
    if (cczi_pck_ext_parse(&other, CCZ_SPAN(longer, size + 1), NULL) == CCZ_OK ||
        cczi_pck_ext_parse(&other, CCZ_SPAN(longer, size - 1), NULL) == CCZ_OK)
        abort();
    free(longer);
    return 0;
}
