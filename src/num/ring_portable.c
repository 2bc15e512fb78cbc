/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_priv.h"

#define RING(name) ring_portable_##name
#define RING_TABLE cczi_ring_portable
#include "ring_body.h"
