/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever bytes read as claims are their only encoding. What was not read is zero. */
#include <cczoo/quote.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_claims c;
    struct ccz_err err = {0};
    uint8_t id[32];
    if (ccz_claims_get(&c, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        if (err.where[0] == 0 || c.tee != CCZ_TEE_NONE)
            abort();
        return 0;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_CLAIMS_SIZE_MAX);
    if (ccz_claims_put(&out, &c, &err) != CCZ_OK || out.size != size ||
        memcmp(out.ptr, data, size) != 0)
        abort();
    if (ccz_claims_identity(id, &c, &err) != CCZ_OK)
        abort();
    return 0;
}
