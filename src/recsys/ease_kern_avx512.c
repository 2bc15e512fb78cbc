/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX-512. */
#if defined(__AVX512F__)
#define EASE_TIER 512
#include "ease_kern.h"

const struct cczi_ease_kernels cczi_ease_avx512 = EASE_KERNELS("avx512");
#endif
