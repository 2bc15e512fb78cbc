/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in plain C. */
#define EASE_TIER 0
#include "ease_kern.h"

const struct cczi_ease_kernels cczi_ease_portable = EASE_KERNELS("portable");
