/* SPDX-License-Identifier: Apache-2.0 */
/* Masks: the key stream of AES-256-CTR, read as little-endian integers, from any place on. */
#include "secagg/prg.h"

#include <string.h>

enum { PIECE = 2048, PER_BLOCK = 4 }; /* integers of a piece (8 KiB), of an AES block */

void ccz_secagg_add(uint32_t *restrict acc, const uint32_t *restrict y, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] += y[i];
}

static void subtract(uint32_t *restrict acc, const uint32_t *restrict y, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] -= y[i];
}

/* Little-endian, whatever the machine. */
static void to_host(uint32_t *x, size_t len)
{
    const uint32_t probe = 1;
    uint8_t b[4];
    memcpy(b, &probe, 4);
    if (b[0] == 1)
        return;
    for (size_t i = 0; i < len; i++) {
        memcpy(b, &x[i], 4);
        x[i] = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    }
}

static ccz_rc expand(uint32_t *out, struct ccz_stream *s, const uint8_t *key, uint64_t block,
                     size_t len)
{
    uint8_t iv[CCZ_STREAM_IV_SIZE] = {0};
    for (int i = 0; i < 8; i++)
        iv[15 - i] = (uint8_t)(block >> (8 * i));
    ccz_rc rc = ccz_stream_start(s, key, iv);
    if (rc == CCZ_OK)
        rc = ccz_stream_read(out, s, len * sizeof(*out));
    to_host(out, len);
    return rc;
}

ccz_rc cczi_sa_apply_portable(uint32_t *y, uint64_t offset, size_t len,
                              const struct cczi_sa_mask *masks, size_t masks_len)
{
    uint32_t stream[PIECE + PER_BLOCK];
    CCZ_AUTO(ccz_stream) s = NULL;
    ccz_rc rc = ccz_stream_new(&s);
    while (rc == CCZ_OK && len) {
        size_t n = len < PIECE ? len : PIECE, skip = (size_t)(offset % PER_BLOCK);
        for (size_t i = 0; rc == CCZ_OK && i < masks_len; i++) {
            rc = expand(stream, s, masks[i].key, offset / PER_BLOCK, skip + n);
            if (masks[i].negative)
                subtract(y, stream + skip, n);
            else
                ccz_secagg_add(y, stream + skip, n);
        }
        y += n;
        offset += n;
        len -= n;
    }
    ccz_wipe(stream, sizeof(stream));
    return rc;
}

ccz_rc cczi_sa_apply(uint32_t *y, uint64_t offset, size_t len, const struct cczi_sa_mask *masks,
                     size_t masks_len)
{
    if (!cczi_sa_vaes_usable())
        return cczi_sa_apply_portable(y, offset, len, masks, masks_len);
    cczi_sa_vaes_apply(y, offset, len, masks, masks_len);
    return CCZ_OK;
}
