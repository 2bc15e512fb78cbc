/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX-512. */
#if defined(__AVX512BW__)
#define RANK_TIER 512
#include "rank_kernels_vec.h"

const struct cczi_rank_kernels cczi_rank_avx512 = RANK_KERNELS("avx512");
#endif
