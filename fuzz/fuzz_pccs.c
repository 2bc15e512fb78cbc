/* SPDX-License-Identifier: Apache-2.0 */
/* platform_collaterals.json. Invariant: a bundle has all of its required parts, within their limits, and refusals say
 * where. */
#include "pcs/pcs_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ccz_rc on_bundle(void *arg, struct ccz_buf parts[CCZI_PARTS], struct ccz_err *err)
{
    size_t *len = arg;
    (void)err;
    for (int i = 0; i < CCZI_PARTS; i++)
        if (parts[i].bad || parts[i].size > CCZ_COLLATERAL_SIZE_MAX ||
            (parts[i].size == 0) != (i >= CCZI_PARTS_REQUIRED))
            abort();
    (*len)++;
    return *len < 1000 ? CCZ_OK : CCZ_E_LIMIT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int early = 0; early < 2; early++) {
        struct ccz_err err = {.rc = CCZ_OK};
        size_t len = 0;
        ccz_rc rc = cczi_pccs_each((struct ccz_span){data, size},
                                   early ? CCZ_PCS_EARLY : CCZ_PCS_STANDARD, on_bundle, &len, &err);
        if (rc != CCZ_OK && rc != CCZ_E_LIMIT && (err.rc != rc || err.where[0] == 0))
            abort();
    }
    return 0;
}
