/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in plain C. */
#define ALS_TIER 0
#include "kern_vec.h"

const struct cczi_als_kernels cczi_als_portable = ALS_KERNELS("portable");
