/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX2. */
#if defined(__AVX2__)
#define RANK_TIER 256
#include "rank_kernels_vec.h"

const struct cczi_rank_kernels cczi_rank_avx2 = RANK_KERNELS("avx2");
#endif
