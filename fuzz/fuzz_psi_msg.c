/* SPDX-License-Identifier: Apache-2.0 */
/* Greetings and masks of set intersection: what is accepted is written back the same. First byte 0: a greeting, else the
 * size of a mask, and two bytes with their number. */
#include "psi/psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { LEN_MAX = 4096 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void greeting(struct ccz_span in)
{
    struct cczi_psi_hello h;
    struct ccz_err err = {0};
    uint8_t back[CCZI_PSI_HELLO_SIZE];
    if (cczi_psi_hello_get(&h, in, &err) != CCZ_OK) {
        require(h.len == 0 && strncmp(err.where, "psi:", 4) == 0);
        return;
    }
    cczi_psi_hello_put(back, &h);
    require(in.size == sizeof(back) && memcmp(back, in.ptr, in.size) == 0);
}

static void masks(struct ccz_span in, size_t len, size_t size)
{
    static struct cczi_psi_mask m[LEN_MAX];
    static uint8_t back[LEN_MAX * 17];
    struct cczi_psi_masks_in g;
    struct ccz_err err = {0};
    size_t n = 0;
    ccz_rc rc = cczi_psi_masks_start(&g, len, size, in, &err);
    while (rc == CCZ_OK && (rc = cczi_psi_masks_next(&g, &err)) == CCZ_OK && !g.end) {
        require(n < len && g.mask.at == n);
        m[n++] = g.mask;
    }
    if (rc != CCZ_OK) {
        require(rc == CCZ_E_PEER && strcmp(err.where, "psi:masks") == 0);
        return;
    }
    require(n == len && cczi_psi_masks_size(len, size) == in.size);
    cczi_psi_masks_put(back, m, len, size);
    require(memcmp(back, in.ptr, in.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] == 0) {
        greeting(CCZ_SPAN(data + 1, size - 1));
    } else if (size >= 3) {
        size_t len = 1 + (data[1] | (size_t)data[2] << 8) % LEN_MAX;
        masks(CCZ_SPAN(data + 3, size - 3), len, 6 + data[0] % 11);
    }
    return 0;
}
