/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in plain C. */
#define NN_TIER 0
#include "kernels_vec.h"

const struct cczi_nn_kernels cczi_nn_portable = NN_KERNELS("portable");
