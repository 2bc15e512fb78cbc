/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX2 and FMA. */
#if defined(__AVX2__)
#define EASE_TIER 256
#include "ease_kern.h"

const struct cczi_ease_kernels cczi_ease_avx2 = EASE_KERNELS("avx2");
#endif
