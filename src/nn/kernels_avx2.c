/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX2 and fused multiplication. */
#if defined(__AVX2__)
#define NN_TIER 256
#include "kernels_vec.h"

const struct cczi_nn_kernels cczi_nn_avx2 = NN_KERNELS("avx2");
#endif
