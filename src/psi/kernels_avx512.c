/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#if defined(__AVX512F__)
#include "crypto/sha256_words_avx512.h"
#define LANES         16
#define V_LOAD(p)     _mm512_loadu_si512(p)
#define V_STORE(p, x) _mm512_storeu_si512((p), (x))
#define SHA_LANES     cczi_sha_avx512
#include "sha_lanes.h"
#else
void cczi_sha_avx512(struct cczi_digest *out, const uint32_t mid[8], const uint8_t (*block)[64],
                     size_t len)
{
    cczi_sha_portable(out, mid, block, len);
}
#endif
