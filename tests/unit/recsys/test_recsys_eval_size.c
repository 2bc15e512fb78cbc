/* SPDX-License-Identifier: Apache-2.0 */
/* What baselines take at most at a time, beside what their sizes say: the allocations of this process are counted. */
#define _GNU_SOURCE
#include "eval_kit.h"

#include <malloc.h>
#include <stdatomic.h>

static atomic_long now, most;

void *__real_malloc(size_t size);
void *__real_calloc(size_t len, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t len, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *p);

static void *counted(void *p)
{
    const long size = p ? (long)malloc_usable_size(p) : 0,
               all = atomic_fetch_add(&now, size) + size;
    long before = atomic_load(&most);
    while (before < all && !atomic_compare_exchange_weak(&most, &before, all))
        ;
    return p;
}
void *__wrap_malloc(size_t size)
{
    return counted(__real_malloc(size));
}
void *__wrap_calloc(size_t len, size_t size)
{
    return counted(__real_calloc(len, size));
}
void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return counted(__real_aligned_alloc(align, size));
}
void __wrap_free(void *p)
{
    atomic_fetch_sub(&now, p ? (long)malloc_usable_size(p) : 0);
    __real_free(p);
}

/* Within 3 % and 64 kB of what is said. */
static void near_size(const char *what, uint64_t said)
{
    const double off = (double)atomic_load(&most) - (double)said;
    printf("%s: %ld bytes, said %llu\n", what, atomic_load(&most), (unsigned long long)said);
    CHECK(fabs(off) < 0.03 * (double)said + 65536);
}

static void begin(void)
{
    atomic_store(&now, 0);
    atomic_store(&most, 0);
}

static void sizes(void)
{
    static const uint32_t items[] = {150, 700}; /* mostly ratings, mostly weights */
    for (int i = 0; i < 2; i++) {
        struct ccz_recsys_csr *train, *test;
        kit_parts(&train, &test, 5000, items[i], i ? 0.02 : 0.5, 3);
        CCZ_AUTO(ccz_recsys_ease) e = NULL;
        CCZ_AUTO(ccz_recsys_knn) k = NULL;
        begin();
        CHECK(ccz_recsys_ease_new(&e, train, &(struct ccz_recsys_ease_cfg){0}, NULL) == CCZ_OK);
        near_size("ease", ccz_recsys_ease_size(items[i], train->len, 1));
        const struct ccz_recsys_knn_cfg cfg = {.neighbours = 30};
        begin();
        CHECK(ccz_recsys_knn_new(&k, train, &cfg, NULL) == CCZ_OK);
        near_size("knn", ccz_recsys_knn_size(items[i], train->len, &cfg));
        ccz_recsys_csr_free(train);
        ccz_recsys_csr_free(test);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.eval_sizes", sizes}};
    return ccz_test_main(tests, 1, argc, argv);
}
