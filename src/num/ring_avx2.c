/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_priv.h"

#if defined(__x86_64__)
#define RING(name) ring_avx2_##name
#define RING_TABLE cczi_ring_avx2
#include "ring_body.h"
#endif
