/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels and transforms with AVX2 and fused multiplication, in double precision. */
#if defined(__AVX2__)

#include "kernels_fp.h"

const struct cczi_tier cczi_tier_avx2 = FP_TIER("avx2");
#endif
