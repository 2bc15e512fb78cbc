/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels and transforms with AVX-512 and fused multiplication, in double precision. */
#if defined(__AVX512DQ__)

#include "kernels_fp.h"

const struct cczi_tier cczi_tier_avx512 = FP_TIER("avx512");
#endif
