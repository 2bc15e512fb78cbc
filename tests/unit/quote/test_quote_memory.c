/* SPDX-License-Identifier: Apache-2.0 */
/* What verifications take from the heap: nothing that stays, and little at a time. Every allocation of
 * the process is counted, OpenSSL's included. */
#define _DEFAULT_SOURCE /* posix_memalign */
#include "quote/kit.h"

#include "ccz_test.h"

#include <errno.h>
#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0 /* the sanitizer's own allocator is in the way */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define COUNTED 0
#endif
#endif
#ifndef COUNTED
#define COUNTED 1
#endif

static size_t in_use, peak;

#if COUNTED
/* glibc's allocator under its other names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t len, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static void *taken(void *p)
{
    in_use += malloc_usable_size(p);
    peak = in_use > peak ? in_use : peak;
    return p;
}

void *malloc(size_t size)
{
    return taken(__libc_malloc(size));
}

void *calloc(size_t len, size_t size)
{
    return taken(__libc_calloc(len, size));
}

void *realloc(void *p, size_t size)
{
    size_t before = malloc_usable_size(p);
    void *q = __libc_realloc(p, size);
    if (q || size == 0)
        in_use -= before;
    return taken(q);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return taken(__libc_memalign(alignment, size));
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = taken(__libc_memalign(alignment, size));
    return *out ? 0 : ENOMEM;
}

void free(void *p)
{
    in_use -= malloc_usable_size(p);
    __libc_free(p);
}
#endif

enum { KITS = 3, PEAK_MAX = 256 * 1024 };

struct world {
    struct kit kit[KITS]; /* SGX v3, TDX v4, and a quote whose signature fails */
    struct ccz_collateral *collateral[KITS];
};

static void world_new(struct world *w)
{
    for (int i = 0; i < KITS; i++) {
        struct kit_cfg cfg;
        kit_default(&cfg, i == 1 ? CCZ_TEE_TDX : CCZ_TEE_SGX, i == 1 ? 4 : 3);
        cfg.stranger_signs_body = i == 2;
        kit_new(&w->kit[i], &cfg);
        CHECK(ccz_collateral_new(&w->collateral[i], &w->kit[i].src, &w->kit[i].roots, NULL) ==
              CCZ_OK);
    }
}

static void world_free(struct world *w)
{
    for (int i = 0; i < KITS; i++) {
        ccz_collateral_free(w->collateral[i]);
        kit_free(&w->kit[i]);
    }
}

static void verify(const struct world *w, int i, const struct ccz_collateral *c,
                   struct ccz_verify_cache *cache)
{
    struct ccz_claims claims;
    struct ccz_err err;
    const struct kit *k = &w->kit[i];
    const struct ccz_verify_cfg v = {
        .now_s = KIT_NOW_S, .roots = &k->roots, .collateral = c, .cache = cache};
    CHECK(ccz_quote_verify(&claims, ccz_buf_span(&k->quote), &v, &err) ==
          (i == 2 ? CCZ_E_SIG : CCZ_OK));
}

static void cold(const struct world *w, int i)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    CHECK(ccz_collateral_new(&c, &w->kit[i].src, &w->kit[i].roots, NULL) == CCZ_OK);
    verify(w, i, c, NULL);
}

/* The first ones fill tables of the process: OpenSSL's, and those of keys that recur. */
static void warm_up(const struct world *w, struct ccz_verify_cache *cache)
{
    for (int n = 0; n < 100; n++) {
        for (int i = 0; i < KITS; i++) {
            cold(w, i);
            verify(w, i, w->collateral[i], cache);
        }
    }
}

static void test_growth(void)
{
    if (!COUNTED)
        exit(77);
    enum { QUOTES = 20000, COLD = 1000 };
    struct world w;
    CCZ_AUTO(ccz_verify_cache) cache = NULL;
    CHECK(ccz_verify_cache_new(&cache, 4) == CCZ_OK);
    world_new(&w);
    warm_up(&w, cache);
    size_t before = in_use;
    for (int n = 0; n < QUOTES; n++)
        verify(&w, n % KITS, w.collateral[n % KITS], n % 4 == 3 ? cache : NULL);
    CHECK(in_use == before);
    for (int n = 0; n < COLD; n++)
        cold(&w, n % KITS);
    CHECK(in_use == before);
    world_free(&w);
}

static void test_peak(void)
{
    if (!COUNTED)
        exit(77);
    struct world w;
    world_new(&w);
    warm_up(&w, NULL);
    for (int i = 0; i < KITS; i++) {
        size_t before = in_use;
        peak = in_use;
        verify(&w, i, w.collateral[i], NULL);
        printf("quote: %zu bytes at most\n", peak - before);
        CHECK(peak > before && peak - before < PEAK_MAX);
        /* opening collateral: above what is kept of it */
        CCZ_AUTO(ccz_collateral) c = NULL;
        peak = in_use;
        CHECK(ccz_collateral_new(&c, &w.kit[i].src, &w.kit[i].roots, NULL) == CCZ_OK);
        printf("collateral: %zu bytes, %zu at most\n", in_use - before, peak - before);
        CHECK(in_use > before && peak - in_use < PEAK_MAX);
    }
    world_free(&w);
}

static const struct ccz_test tests[] = {
    {"memory.growth", test_growth},
    {"memory.peak", test_peak},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
