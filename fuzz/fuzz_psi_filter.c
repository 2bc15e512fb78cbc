/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of databases, as clients download them, and what client and server say before. What is accepted is written alike from what was read. */
#include "psi/db_priv.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void heads(const uint8_t *data, size_t size)
{
    for (int offer = 0; offer < 2; offer++) {
        struct cczi_db_head h;
        struct ccz_err err = {0};
        ccz_rc rc = cczi_db_head_get(&h, CCZ_SPAN(data, size), offer, &err);
        expect(rc == CCZ_OK || err.where[0]);
        expect(rc != CCZ_OK || (size == (offer ? 56 : 48) && memcmp(data + 16, h.name, 32) == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cczi_filter f;
    struct cczi_psi_mask *masks = NULL;
    struct ccz_err err = {0};
    heads(data, size);
    if (cczi_filter_get(&f, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        expect(strcmp(err.where, "psi:filter") == 0 && f.len == 0);
        return 0;
    }
    if (cczi_filter_masks(&masks, &f, &err) != CCZ_OK) {
        expect(strcmp(err.where, "psi:filter") == 0 && !masks);
        return 0;
    }
    uint8_t *again = malloc(f.masks.size + 1);
    expect(again != NULL);
    cczi_psi_masks_put(again, masks, (size_t)f.len, f.mask_size);
    expect(f.masks.size == 0 || memcmp(again, f.masks.ptr, f.masks.size) == 0);
    free(again);
    free(masks);
    return 0;
}
