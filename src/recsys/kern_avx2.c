/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX2 and FMA. */
#if defined(__AVX2__) && defined(__FMA__)
#define ALS_TIER 256
#include "kern_vec.h"

const struct cczi_als_kernels cczi_als_avx2 = ALS_KERNELS("avx2");
#endif
