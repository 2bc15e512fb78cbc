/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_SIZE ((size_t)2 << 20)

/* Tables are looked up all over: large pages save faults when they are new, and look-ups of pages later. */
void *cczi_psi_alloc(size_t len, size_t size)
{
    size_t align = 64, bytes;
    if (__builtin_mul_overflow(len, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    if (bytes >= HUGE_SIZE)
        align = HUGE_SIZE;
    bytes = (bytes + align) / align * align; /* at least one: NULL always means no memory */
    void *p = aligned_alloc(align, bytes);
    if (p && align == HUGE_SIZE)
        (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

void *cczi_psi_alloc_zero(size_t len, size_t size)
{
    void *p = cczi_psi_alloc(len, size);
    if (p)
        memset(p, 0, len * size);
    return p;
}

void cczi_psi_recs_free(struct cczi_psi_rec *recs, size_t len)
{
    if (recs)
        ccz_wipe(recs, len * sizeof(*recs));
    free(recs);
}
