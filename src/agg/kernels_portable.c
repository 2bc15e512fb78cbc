/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels for any processor. */
#define HALF_TO(out, in, len)     0
#define HALF_ADD(acc, in, w, len) 0
#define HALF_FROM(out, x, len)    0
#include "kernels_body.h"

const struct cczi_agg_kernels cczi_agg_portable = AGG_TIER("portable");
