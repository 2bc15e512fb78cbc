/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier, and the test that it has to pass. */
#define _DEFAULT_SOURCE
#include "als_priv.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

static const struct cczi_als_kernels *const tiers[CCZ_CPU_TIERS] = {
    [CCZ_CPU_PORTABLE] = &cczi_als_portable,
#if defined(__x86_64__)
    [CCZ_CPU_AVX2] = &cczi_als_avx2,
    [CCZ_CPU_AVX512] = &cczi_als_avx512,
#endif
};
static const struct cczi_als_kernels *usable[CCZ_CPU_TIERS], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    for (int i = 0; i <= (int)ccz_cpu()->best; i++) {
        if (tiers[i] && (i == CCZ_CPU_PORTABLE || cczi_als_self_test(tiers[i])))
            usable[i] = tiers[i];
        if (usable[i] && i <= (int)ccz_cpu()->chosen)
            chosen = usable[i];
    }
}

const struct cczi_als_kernels *cczi_als_kernels(const char *name)
{
    (void)pthread_once(&chosen_once, choose);
    if (!name)
        return chosen;
    const enum ccz_cpu_tier tier = ccz_cpu_tier_from(name);
    return tier < CCZ_CPU_TIERS ? usable[tier] : NULL;
}

enum {
    DIMS = 3 * CCZI_ALS_BLOCK,
    ROWS = 80,
    FIXED = 19,
    WIDTHS = 9,
    WIDEST = WIDTHS * CCZI_ALS_BLOCK
};

/* Every kernel once, each from what the one before has left. No memory is taken: a test that runs out of it does not change
 * what is chosen. */
struct results {
    _Alignas(64) float panel[ROWS * DIMS], a[DIMS * DIMS], b[DIMS], r[DIMS], y[DIMS];
    _Alignas(64) float widths[WIDTHS][WIDEST];
    float bends[WIDTHS];
    double gram[DIMS * DIMS];
};

/* The products of conjugate gradients at every width that has its own code, and one more. */
static void run_widths(struct results *o, const struct cczi_als_kernels *k, const uint32_t *col,
                       const float *t, const float *w)
{
    _Alignas(64) float fixed[FIXED * WIDEST], x[WIDEST];
    for (size_t i = 0; i < FIXED * WIDEST; i++)
        fixed[i] = (float)((i * 7919 + 13) % 101) / 101 - 0.5f;
    for (size_t i = 0; i < WIDEST; i++)
        x[i] = (float)(i % 7) - 2.75f;
    for (size_t n = 1; n <= WIDTHS; n++) {
        const size_t stride = n * CCZI_ALS_BLOCK;
        k->residual(o->widths[n - 1], fixed, stride, col, n % 2 ? 5 : 0, n % 3 ? t : NULL, w, x,
                    ROWS - 3);
        o->bends[n - 1] = k->curvature(fixed, stride, col, n % 2 ? 5 : 0, w, x, ROWS - 3);
    }
}

static bool run(struct results *o, const struct cczi_als_kernels *k)
{
    _Alignas(64) float fixed[FIXED * DIMS], inverse[DIMS * CCZI_ALS_BLOCK], limit[DIMS];
    _Alignas(64) float s[ROWS], t[ROWS];
    uint32_t col[ROWS], state = 1;
    for (size_t i = 0; i < FIXED * DIMS; i++) {
        state = state * 1664525 + 1013904223;
        fixed[i] = (float)(state >> 16) * 0x1p-16f - 0.5f;
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        col[i] = i * 7 % FIXED;
        s[i] = 1 + 0.01f * (float)i;
        t[i] = 1 - 0.02f * (float)i;
    }
    memset(o, 0, sizeof(*o));
    k->gather(o->panel, o->b, DIMS, fixed, DIMS, col, s, t, ROWS);
    k->syrk(o->a, DIMS, o->panel, DIMS, ROWS);
    k->gram(o->gram, DIMS, fixed, FIXED);
    for (size_t i = 0; i < DIMS; i++) {
        o->a[i * DIMS + i] += 3;
        for (size_t j = 0; j < i; j++)
            o->a[i * DIMS + j] = o->a[j * DIMS + i];
    }
    for (size_t i = ROWS - 3; i < ROWS; i++) /* the last block is not whole */
        s[i] = t[i] = 0;
    k->residual(o->r, fixed, DIMS, col, 5, t, s, o->b,
                ROWS - 3); /* its bias is one place of DIMS */
    run_widths(o, k, col, t, s);
    o->y[0] = k->curvature(fixed, DIMS, col, 5, s, o->b, ROWS - 3) + k->quadratic(o->a, o->b, DIMS);
    k->minus_product(o->r, o->a, o->b, DIMS);
    memcpy(o->y + 1, o->b + 1, sizeof(o->y) - sizeof(o->y[0]));
    k->axpy(o->y, 0.01f * k->dot(o->b, o->b, DIMS), o->r, DIMS);
    return k->solve(o->b, o->a, inverse, limit, DIMS, cczi_als_tolerance(DIMS));
}

static bool close_to(const float *x, const float *want, size_t len)
{
    float most = 0, off = 0;
    for (size_t i = 0; i < len; i++) {
        most = fmaxf(most, fabsf(want[i]));
        off = fmaxf(off, fabsf(x[i] - want[i]));
        if (!isfinite(x[i]))
            return false;
    }
    return off <= 1e-4f * most;
}

bool cczi_als_self_test(const struct cczi_als_kernels *k)
{
    struct results want, got;
    bool ok = run(&want, &cczi_als_portable) && run(&got, k) &&
              close_to(got.panel, want.panel, ROWS * DIMS);
    for (size_t i = 0; ok && i < DIMS; i++) /* below the diagonal is what nobody reads */
        ok = close_to(got.a + i * DIMS + i, want.a + i * DIMS + i, DIMS - i);
    for (size_t n = 0; ok && n < WIDTHS; n++)
        ok = close_to(got.widths[n], want.widths[n], WIDEST) &&
             close_to(&got.bends[n], &want.bends[n], 1);
    return ok && memcmp(got.gram, want.gram, sizeof(got.gram)) == 0 &&
           close_to(got.b, want.b, DIMS) && close_to(got.r, want.r, DIMS) &&
           close_to(got.y, want.y, DIMS);
}
