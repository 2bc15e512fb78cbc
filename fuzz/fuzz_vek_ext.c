/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of AMD's extensions in VEK certificates. Byte 0: bit 0 VLEK; then for each extension in the order of enum
 * cczi_vek_ext one byte: its size (0xff: absent), and the bytes. Invariants: a failure leaves zeros and a reason; an
 * accepted set is not accepted any more with a byte behind one of its values, or without one.
 */
#include "quote/snp_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cczi_vek none;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(data, size));
    struct ccz_span values[CCZI_VEK_EXTS] = {{0}};
    enum ccz_snp_signer signer = ccz_rd_u8(&r) & 1 ? CCZ_SNP_VLEK : CCZ_SNP_VCEK;
    for (int i = 0; i < CCZI_VEK_EXTS && r.left > 0; i++) {
        uint8_t n = ccz_rd_u8(&r);
        if (n != 0xff)
            values[i] = ccz_rd_take(&r, n < r.left ? n : r.left);
    }
    struct cczi_vek v, other;
    struct ccz_err err = {0};
    if (cczi_vek_read(&v, values, signer, &err) != CCZ_OK) {
        if (memcmp(&v, &none, sizeof(v)) != 0 || err.where[0] == 0)
            abort();
        return 0;
    }
    for (int i = 0; i < CCZI_VEK_EXTS; i++) {
        const struct ccz_span old = values[i];
        if (!old.ptr)
            continue;
        uint8_t longer[256 + 1] = {0};
        memcpy(longer, old.ptr, old.size);
        values[i] = CCZ_SPAN(longer, old.size + 1);
        if (cczi_vek_read(&other, values, signer, NULL) == CCZ_OK)
            abort();
        values[i] = (struct ccz_span){0};
        if (cczi_vek_read(&other, values, signer, NULL) == CCZ_OK)
            abort();
        values[i] = old;
    }
    return 0;
}
