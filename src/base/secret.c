/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/base.h>

#include "ct.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct ccz_secret {
    size_t size;     /* bytes the caller asked for */
    size_t map_size; /* bytes mapped, whole pages */
    uint8_t bytes[];
};

void ccz_wipe(void *p, size_t size)
{
    if (size == 0)
        return;
    memset(p, 0, size);
    __asm__ volatile("" : : "r"(p) : "memory");
}

int ccz_ct_eq(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    uint32_t diff = 0;
    for (size_t i = 0; i < size; i++) /* barrier per byte: no early exit once diff saturates */
        diff = cczi_ct_barrier(diff | (uint32_t)(x[i] ^ y[i]));
    return (int)(1u & ((diff - 1u) >> 31));
}

ccz_rc ccz_secret_new(struct ccz_secret **out, size_t size)
{
    *out = NULL;
    if (size == 0 || size > CCZ_SECRET_SIZE_MAX)
        return CCZ_E_ARG;

    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t map_size = (sizeof(struct ccz_secret) + size + page - 1) / page * page;
    struct ccz_secret *s =
        mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return CCZ_E_NOMEM;
    (void)madvise(s, map_size, MADV_DONTDUMP);
    (void)mlock(s, map_size); /* best effort: RLIMIT_MEMLOCK may be 0, and an enclave has no swap */
    s->size = size;
    s->map_size = map_size;
    *out = s;
    return CCZ_OK;
}

ccz_rc ccz_secret_from(struct ccz_secret **out, const void *bytes, size_t size)
{
    ccz_rc rc = ccz_secret_new(out, size);
    if (rc == CCZ_OK)
        memcpy((*out)->bytes, bytes, size);
    return rc;
}

void ccz_secret_free(struct ccz_secret *s)
{
    if (!s)
        return;
    size_t map_size = s->map_size;
    ccz_wipe(s, map_size);
    munmap(s, map_size);
}

uint8_t *ccz_secret_bytes(struct ccz_secret *s)
{
    return s->bytes;
}

const uint8_t *ccz_secret_view(const struct ccz_secret *s)
{
    return s->bytes;
}

size_t ccz_secret_size(const struct ccz_secret *s)
{
    return s->size;
}

void ccz_process_harden(void)
{
    struct rlimit none = {0, 0};
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)umask(077);
}
