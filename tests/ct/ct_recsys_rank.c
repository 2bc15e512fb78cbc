/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: no branch and no address of an oblivious list may depend on factors, biases, what was seen, or the list.
 * With --leak a plain list is made of the same secrets, which has to be reported.
 */
#include "base/ct.h"
#include "recsys/rank_priv.h"

#include <stdio.h>
#include <string.h>

enum { USERS = 11, ITEMS = 150, FACTORS = 20, SEEN = 9, K_MAX = 37 };

static struct ccz_recsys_model m;
static struct ccz_recsys_csr seen;
static uint64_t start[USERS + 1];
static uint32_t col[USERS * SEEN];

static bool fill(struct ccz_recsys_factors *f, uint32_t len, uint64_t *x)
{
    if (ccz_recsys_factors_init(f, len, FACTORS, true, NULL) != CCZ_OK)
        return false;
    for (size_t i = 0; i < (size_t)len * f->stride; i++) {
        *x = *x * 6364136223846793005u + 1442695040888963407u;
        f->v[i] = i % f->stride < FACTORS ? (float)((int)(*x >> 60) - 8) : 0;
    }
    CCZ_CT_SECRET(f->v, (size_t)len * f->stride * sizeof(float));
    CCZ_CT_SECRET(f->bias, len * sizeof(float));
    return true;
}

static bool ask(const struct cczi_rank_kernels *by, uint32_t k, bool oblivious, bool cosine)
{
    static uint32_t item[USERS * K_MAX];
    static float score[USERS * K_MAX];
    static const uint32_t deny[] = {3, 77};
    const struct ccz_recsys_ask a = {.users_len = USERS,
                                     .k = k,
                                     .seen = cosine ? NULL : &seen,
                                     .deny = deny,
                                     .deny_len = 2,
                                     .oblivious = oblivious};
    struct cczi_rank_side side = {.f = &m.item};
    static float inverse[ITEMS];
    CCZ_CT_SECRET(inverse, sizeof(inverse));
    side.inverse = inverse;
    struct cczi_rank_job job = {.ask = &a,
                                .users = cosine ? &m.item : &m.user,
                                .targets = &m.item,
                                .side = cosine ? &side : NULL,
                                .cosine = cosine,
                                .number = item,
                                .score = score,
                                .k = by};
    const bool good = cczi_rank_run(&job, NULL) == CCZ_OK;
    CCZ_CT_PUBLIC(item, sizeof(item));
    CCZ_CT_PUBLIC(score, sizeof(score));
    for (size_t i = 0; i < (size_t)USERS * k; i++)
        if (item[i] >= ITEMS || item[i] == 3 || item[i] == 77)
            return false;
    return good;
}

int main(int argc, char **argv)
{
    static const char *const tiers[] = {"portable", "avx2"};
    const bool leak = argc == 2 && strcmp(argv[1], "--leak") == 0;
    uint64_t x = 1;
    bool good = true;
    int ran = 0;
    for (uint32_t u = 0; u < USERS; u++) {
        start[u + 1] = start[u] + SEEN;
        for (uint32_t i = 0; i < SEEN; i++)
            col[u * SEEN + i] = i * 16 + u;
    }
    CCZ_CT_SECRET(col, sizeof(col));
    seen = (struct ccz_recsys_csr){
        .rows = USERS, .cols = ITEMS, .len = USERS * SEEN, .start = start, .col = col};
    if (!fill(&m.user, USERS, &x) || !fill(&m.item, ITEMS, &x))
        return 1;
    for (size_t t = 0; t < 2; t++) {
        const struct cczi_rank_kernels *k = cczi_rank_kernels(tiers[t]);
        if (!k)
            continue;
        /* lists in registers and in memory */
        good =
            ask(k, 13, true, false) && ask(k, 13, true, true) && ask(k, K_MAX, true, false) && good;
        if (leak)
            good = ask(k, 13, false, false) && good;
        ran++;
    }
    printf("tiers=%d %s\n", ran, good ? "ok" : "failed");
    return good && ran > 0 ? 0 : 1;
}
