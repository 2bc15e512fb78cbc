/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "fl/fl_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

ccz_rc cczi_hfl_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "fl:memory", 0, "out of memory");
}

bool cczi_hfl_name_ok(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strnlen(name, CCZ_FL_MEMBER_NAME_SIZE);
    return n > 0 && n < CCZ_FL_MEMBER_NAME_SIZE && strspn(name, allowed) == n;
}

/* For the pages that lie in it as a whole. Advice only: if it fails, nothing is lost. */
static void advise(void *p, size_t size, int advice)
{
    enum { PAGE = 4096 };
    uintptr_t from = ((uintptr_t)p + PAGE - 1) / PAGE * PAGE,
              to = ((uintptr_t)p + size) / PAGE * PAGE;
    if (to > from)
        (void)madvise((void *)from, to - from, advice);
}

void cczi_hfl_huge_pages(void *p, size_t size)
{
    enum { HUGE_PAGE = 2 << 20 };
    if (size >= 2 * (size_t)HUGE_PAGE)
        advise(p, size, MADV_HUGEPAGE);
}

void cczi_hfl_drop_pages(void *p, size_t size)
{
    advise(p, size, MADV_DONTNEED);
}

float *cczi_hfl_vector(uint64_t len)
{
    float *v = len <= SIZE_MAX / sizeof(float) ? calloc((size_t)len, sizeof(float)) : NULL;
    if (v)
        cczi_hfl_huge_pages(v, (size_t)len * sizeof(float));
    return v;
}

static void put_le(uint8_t out[8], uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

ccz_rc cczi_hfl_derive(uint64_t *out, const char *use, uint64_t seed, uint64_t round,
                       const char *name, struct ccz_err *err)
{
    uint8_t numbers[16], h[CCZ_FL_DIGEST_SIZE];
    put_le(numbers, seed);
    put_le(numbers + 8, round);
    const struct ccz_span parts[] = {CCZ_SPAN(use, strlen(use) + 1), CCZ_SPAN(numbers, 16),
                                     ccz_span_str(name)};
    ccz_rc rc = ccz_hash(h, CCZ_SHA256, parts, 3);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "fl:hash", 0, "hashing failed");
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(h, 8));
    *out = ccz_rd_le64(&r);
    return CCZ_OK;
}

static const char *const RULES[CCZ_FL_RULES] = {"mean", "median", "trimmed", "krum"};

const char *ccz_fl_rule_name(enum ccz_fl_rule rule)
{
    return rule < CCZ_FL_RULES ? RULES[rule] : "?";
}

enum ccz_fl_rule ccz_fl_rule_from(const char *name)
{
    int i = 0;
    while (i < CCZ_FL_RULES && strcmp(RULES[i], name) != 0)
        i++;
    return (enum ccz_fl_rule)i;
}
