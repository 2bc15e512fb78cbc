/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX-512. */
#if defined(__AVX512F__)
#define NN_TIER 512
#include "kernels_vec.h"

const struct cczi_nn_kernels cczi_nn_avx512 = NN_KERNELS("avx512");
#endif
