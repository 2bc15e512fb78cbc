/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#include <string.h>

enum {
    BLOCK = 64,
    PREFIX = 64,
    BATCH = 64,
    FITS = BLOCK - 9 /* bytes beside padding and length */
};

static const uint32_t sha_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const cczi_sha_lanes lanes[CCZ_CPU_TIERS] = {[CCZ_CPU_PORTABLE] = cczi_sha_portable,
                                                    [CCZ_CPU_AVX2] = cczi_sha_avx2,
                                                    [CCZ_CPU_AVX512] = cczi_sha_avx512,
                                                    [CCZ_CPU_IFMA] = cczi_sha_avx512};

void cczi_ro_init(struct cczi_ro *ro, const char *label, const uint8_t key[32])
{
    uint8_t block[1][BLOCK] = {0};
    struct cczi_digest d;
    memcpy(block[0], label, strlen(label));
    memcpy(block[0] + 32, key, 32);
    cczi_sha_portable(&d, sha_start, (const uint8_t(*)[BLOCK])block, 1);
    memcpy(ro->mid, d.w, sizeof(ro->mid));
}

/* Padding of the last block: 0x80, zeros, the length in bits. */
static void end_block(uint8_t block[BLOCK], size_t used, uint64_t size)
{
    uint64_t bits = __builtin_bswap64(8 * (PREFIX + size));
    memset(block + used, 0, BLOCK - used);
    block[used] = 0x80;
    memcpy(block + BLOCK - 8, &bits, 8);
}

void cczi_ro_hash_tier(struct cczi_digest *out, const struct cczi_ro *ro, const uint8_t (*in)[32],
                       size_t len, enum ccz_cpu_tier tier)
{
    uint8_t block[BATCH][BLOCK];
    for (size_t i = 0; i < BATCH; i++)
        end_block(block[i], 32, 32);
    for (size_t i = 0; i < len; i += BATCH) {
        size_t n = len - i < BATCH ? len - i : BATCH;
        for (size_t j = 0; j < n; j++)
            memcpy(block[j], in[i + j], 32);
        lanes[tier](out + i, ro->mid, (const uint8_t(*)[BLOCK])block, n);
    }
    ccz_wipe(block, sizeof(block));
}

void cczi_ro_hash(struct cczi_digest *out, const struct cczi_ro *ro, const uint8_t (*in)[32],
                  size_t len)
{
    cczi_ro_hash_tier(out, ro, in, len, ccz_cpu()->chosen);
}

static void to_bytes(uint8_t out[32], const struct cczi_digest *d)
{
    for (int j = 0; j < 8; j++) {
        uint32_t be = __builtin_bswap32(d->w[j]);
        memcpy(out + 4 * j, &be, 4);
    }
}

/* A message of more than one block, by itself. */
static void hash_long(uint8_t out[32], const struct cczi_ro *ro, struct ccz_span in)
{
    uint8_t block[1][BLOCK];
    struct cczi_digest d;
    uint32_t mid[8];
    size_t at = 0;
    memcpy(mid, ro->mid, sizeof(mid));
    for (; in.size - at >= BLOCK; at += BLOCK) {
        memcpy(block[0], in.ptr + at, BLOCK);
        cczi_sha_portable(&d, mid, (const uint8_t(*)[BLOCK])block, 1);
        memcpy(mid, d.w, sizeof(mid));
    }
    size_t left = in.size - at;
    if (left > 0)
        memcpy(block[0], in.ptr + at, left);
    if (left > FITS) { /* the length goes to a block of its own */
        memset(block[0] + left, 0, BLOCK - left);
        block[0][left] = 0x80;
        cczi_sha_portable(&d, mid, (const uint8_t(*)[BLOCK])block, 1);
        memcpy(mid, d.w, sizeof(mid));
        end_block(block[0], 0, in.size);
        block[0][0] = 0;
    } else {
        end_block(block[0], left, in.size);
    }
    cczi_sha_portable(&d, mid, (const uint8_t(*)[BLOCK])block, 1);
    to_bytes(out, &d);
    ccz_wipe(block, sizeof(block));
}

void cczi_ro_hash_spans(uint8_t (*out)[32], const struct cczi_ro *ro, const struct ccz_span *in,
                        size_t len)
{
    uint8_t block[BATCH][BLOCK];
    struct cczi_digest d[BATCH];
    size_t of[BATCH], n = 0;
    cczi_sha_lanes compress = lanes[ccz_cpu()->chosen];
    for (size_t i = 0; i < len; i++) {
        if (in[i].size > FITS) {
            hash_long(out[i], ro, in[i]);
        } else {
            if (in[i].size > 0)
                memcpy(block[n], in[i].ptr, in[i].size);
            end_block(block[n], in[i].size, in[i].size);
            of[n++] = i;
        }
        if (n == BATCH || (i + 1 == len && n > 0)) {
            compress(d, ro->mid, (const uint8_t(*)[BLOCK])block, n);
            for (size_t j = 0; j < n; j++)
                to_bytes(out[of[j]], &d[j]);
            n = 0;
        }
    }
    ccz_wipe(block, sizeof(block));
}
