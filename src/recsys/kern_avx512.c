/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX-512. */
#if defined(__AVX512F__)
#define ALS_TIER 512
#include "kern_vec.h"

const struct cczi_als_kernels cczi_als_avx512 = ALS_KERNELS("avx512");
#endif
