/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier, and the test that it has to pass. */
#define _DEFAULT_SOURCE
#include "rank_priv.h"

#include <pthread.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const struct cczi_rank_kernels *usable[4], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
/* What the tier does not say (Intel SDM, volume 2, CPUID leaf 7): AVX512BW, AVX512_VNNI. */
static void detect(bool *bw, bool *vnni)
{
    unsigned a, b, c, d;
    const bool have = __get_cpuid_count(7, 0, &a, &b, &c, &d) == 1;
    *bw = have && (b >> 30 & 1);
    *vnni = *bw && (c >> 11 & 1);
}
#endif

static void choose(void)
{
    struct {
        const struct cczi_rank_kernels *k;
        enum ccz_cpu_tier tier;
        bool have;
    } tiers[] = {
        {&cczi_rank_portable, CCZ_CPU_PORTABLE, true},
#if defined(__x86_64__)
        {&cczi_rank_avx2, CCZ_CPU_AVX2, true},
        {&cczi_rank_avx512, CCZ_CPU_AVX512, false},
        {&cczi_rank_vnni, CCZ_CPU_AVX512, false}
#endif
    };
#if defined(__x86_64__)
    detect(&tiers[2].have, &tiers[3].have);
#endif
    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (tiers[i].have && tiers[i].tier <= ccz_cpu()->best &&
            (i == 0 || cczi_rank_self_test(tiers[i].k)))
            usable[i] = tiers[i].k;
        if (usable[i] && tiers[i].tier <= ccz_cpu()->chosen)
            chosen = usable[i];
    }
}

const struct cczi_rank_kernels *cczi_rank_kernels(const char *name)
{
    (void)pthread_once(&chosen_once, choose);
    if (!name)
        return chosen;
    for (size_t i = 0; i < sizeof(usable) / sizeof(usable[0]); i++)
        if (usable[i] && strcmp(usable[i]->name, name) == 0)
            return usable[i];
    return NULL;
}

/* --------------------------------------------------------------------------------- self-test */

enum { QUADS = 12, STRIDE = QUADS * CCZI_RANK_QUAD, ROWS = CCZI_RANK_TILE };

struct inputs {
    struct cczi_rank_group g;
    struct cczi_rank_tile t;
    uint8_t panel[QUADS * CCZI_RANK_TILE * CCZI_RANK_QUAD];
    float scale[CCZI_RANK_TILE], norm[CCZI_RANK_TILE], base[CCZI_RANK_TILE];
    float rows[ROWS][STRIDE];
    int64_t key[ROWS];
    uint32_t in[CCZI_RANK_GROUP];
};

/* Known words: a linear congruential generator (Knuth, MMIX). */
static int32_t next(uint64_t *state, int32_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)(*state >> 33) % (limit + 1) - limit / 2;
}

static void make(struct inputs *in, uint64_t *state)
{
    memset(in, 0, sizeof(*in));
    for (size_t i = 0; i < sizeof(in->panel); i++)
        in->panel[i] = (uint8_t)(next(state, 254) + CCZI_RANK_OFFSET);
    for (size_t u = 0; u < CCZI_RANK_GROUP; u++) {
        for (size_t j = 0; j < STRIDE; j++) {
            int8_t *q = &in->g.q[j / CCZI_RANK_QUAD][u][j % CCZI_RANK_QUAD];
            *q = (int8_t)next(state, 126);
            in->g.minus[u] += CCZI_RANK_OFFSET * *q;
        }
        in->g.scale[u] = 1;
        in->g.alpha[u] = (float)next(state, 8) + 5;
        in->g.beta[u] = (float)next(state, 8) + 5;
        in->g.base[u] = (float)next(state, 1000);
        in->g.fall[u] = (float)next(state, 8) + 5;
        in->in[u] = (uint32_t)next(state, INT32_MAX - 1);
    }
    for (size_t i = 0; i < ROWS; i++) {
        in->scale[i] = 1; /* everything is whole: no tier rounds */
        in->norm[i] = (float)next(state, 8) + 5;
        in->base[i] = (float)next(state, 1000);
        in->key[i] = (int64_t)((uint64_t)(uint32_t)next(state, INT32_MAX - 1) << 32);
        for (size_t j = 0; j < STRIDE; j++)
            in->rows[i][j] = (float)next(state, 1 << 24) * 0x1p-22f;
    }
    in->key[0] = INT64_MIN;
    in->key[ROWS - 1] = INT64_MAX; /* a list without the last one differs */
    in->t = (struct cczi_rank_tile){
        .panel = in->panel, .scale = in->scale, .norm = in->norm, .base = in->base, .ratio = 2};
}

/* Lists of 1 .. 5 vectors of 8, the last one not full. */
static bool same_lists(const struct cczi_rank_kernels *k, const struct inputs *in)
{
    enum { MOST = 40 };
    for (size_t top = 3; top <= MOST; top += 8) {
        int64_t a[MOST], b[MOST];
        cczi_topk_init(a, MOST);
        cczi_topk_init(b, MOST);
        for (int round = 0; round < 2; round++) { /* each key twice */
            k->insert(a, top, in->key, ROWS);
            cczi_rank_portable.insert(b, top, in->key, ROWS);
            if (memcmp(a, b, top * sizeof(*a)) != 0)
                return false;
        }
    }
    return true;
}

struct results {
    float upper[2][CCZI_RANK_GROUP][CCZI_RANK_TILE], max[2][CCZI_RANK_GROUP][CCZI_RANK_TILE];
    uint32_t mask[CCZI_RANK_GROUP];
    float dots[ROWS];
};

static void run(struct results *r, const struct cczi_rank_kernels *k, const struct inputs *in)
{
    memset(r, 0, sizeof(*r));
    for (int one = 0; one < 2; one++) {
        const struct cczi_rank_bounds out = {.upper = r->upper[one][0],
                                             .lower_max = r->max[one][0],
                                             .in = in->in,
                                             .upper_step = CCZI_RANK_TILE,
                                             .max_step = CCZI_RANK_TILE,
                                             .in_step = 1};
        k->scan(&out, &in->g, &in->t, QUADS, one ? 1 : CCZI_RANK_GROUP);
    }
    k->pick(r->mask, r->upper[0][0], CCZI_RANK_GROUP, r->upper[0][0][3]);
    k->dots(r->dots, in->rows[1], in->rows[0], ROWS - 1, STRIDE);
    r->dots[ROWS - 1] = k->dot(in->rows[1], in->rows[0], STRIDE);
}

bool cczi_rank_self_test(const struct cczi_rank_kernels *k)
{
    struct inputs in;
    struct results got, want;
    uint64_t state = 1;
    for (int round = 0; round < 4; round++) {
        make(&in, &state);
        run(&got, k, &in);
        run(&want, &cczi_rank_portable, &in);
        if (memcmp(&got, &want, sizeof(got)) != 0 || !same_lists(k, &in))
            return false;
    }
    return true;
}
