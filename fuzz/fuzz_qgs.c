/* SPDX-License-Identifier: Apache-2.0 */
/* Byte 0 odd: text of /etc/tdx-attest.conf, even: a response of the quote generation service. Invariants: a quote lies
 * inside of the message, at its end; a response that is accepted is not accepted with a byte more or less. */
#include "tee/tee_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void conf(struct ccz_span in)
{
    uint32_t port = 0;
    struct ccz_err err = {0};
    ccz_rc rc = cczi_qgs_port_parse(&port, in, &err);
    if ((rc == CCZ_OK) != (port > 0) || (rc != CCZ_OK && !err.where[0]) || port == UINT32_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1), quote, other;
    if (data[0] % 2 == 1) {
        conf(in);
        return 0;
    }
    struct ccz_err err = {0};
    if (cczi_qgs_response_parse(&quote, in, &err) != CCZ_OK) {
        if (quote.size != 0 || !err.where[0])
            abort();
        return 0;
    }
    if (quote.size > in.size || quote.ptr + quote.size != in.ptr + in.size)
        abort();
    uint8_t *longer = calloc(1, in.size + 1);
    if (!longer)
        return 0;
    memcpy(longer, in.ptr, in.size);
    if (cczi_qgs_response_parse(&other, CCZ_SPAN(longer, in.size + 1), NULL) == CCZ_OK ||
        cczi_qgs_response_parse(&other, CCZ_SPAN(longer, in.size - 1), NULL) == CCZ_OK)
        abort();
    free(longer);
    return 0;
}
