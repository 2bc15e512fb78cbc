/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels with AVX-512 and VNNI. */
#if defined(__AVX512VNNI__)
#define RANK_TIER 512
#define RANK_VNNI
#include "rank_kernels_vec.h"

const struct cczi_rank_kernels cczi_rank_vnni = RANK_KERNELS("vnni");
#endif
