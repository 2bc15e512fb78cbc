/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate table of a host. Invariants: the size lies inside; the table cut to it has the same size, and cut by one
 * byte more is refused. */
#include "tee/tee_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t got = 0, again = 0;
    struct ccz_err err = {0};
    if (cczi_snp_table_size(&got, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        if (got != 0 || !err.where[0])
            abort();
        return 0;
    }
    if (got == 0)
        return 0;
    if (got > size || got < 48)
        abort();
    uint8_t *cut = malloc(got); /* exact: a sanitizer sees what is read behind it */
    if (!cut)
        return 0;
    memcpy(cut, data, got);
    if (cczi_snp_table_size(&again, CCZ_SPAN(cut, got), NULL) != CCZ_OK || again != got ||
        cczi_snp_table_size(&again, CCZ_SPAN(cut, got - 1), NULL) == CCZ_OK)
        abort();
    free(cut);
    return 0;
}
