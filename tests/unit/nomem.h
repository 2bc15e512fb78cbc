/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NOMEM_H
#define CCZ_NOMEM_H
/*
 * For tests that run one whole use with the k-th allocation failing, for every k. Include it in the one source of such a
 * test, behind _DEFAULT_SOURCE, and link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,
 * --wrap=mmap: the project's allocations come here, of all threads. OpenSSL takes its allocator from nomem_openssl().
 */
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

static _Atomic long nomem_left = -1; /* allocations until one fails; -1: none fails */
static _Atomic long nomem_more;      /* so many fail behind that one */
static _Atomic long nomem_used;      /* allocations that were asked for */

static bool nomem_fails(void)
{
    nomem_used++;
    if (nomem_left >= 0)
        return nomem_left-- == 0;
    return nomem_more > 0 && nomem_more-- > 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t len, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t len, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size)
{
    return nomem_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t len, size_t size)
{
    return nomem_fails() ? NULL : __real_calloc(len, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return nomem_fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return nomem_fails() ? NULL : __real_aligned_alloc(align, size);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    return nomem_fails() ? MAP_FAILED : __real_mmap(at, size, prot, flags, fd, offset);
}

static void *nomem_ossl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return nomem_fails() ? NULL : __real_malloc(size);
}

static void *nomem_ossl_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return nomem_fails() ? NULL : __real_realloc(p, size);
}

static void nomem_ossl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* Before anything else of OpenSSL. */
static bool nomem_openssl(void)
{
    return CRYPTO_set_mem_functions(nomem_ossl_malloc, nomem_ossl_realloc, nomem_ossl_free) == 1;
}
#endif
