/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: a network and a clustering of two parties, with secret weights, images and points as elements (marked where
 * they have been made) and secret randomness. Only what is revealed is public. Products take theirs from a dealer; what
 * ciphertexts do is in ct_mpc_he, what transfers do in ct_ot.
 */
#define _DEFAULT_SOURCE
#include "base/ct.h"

#include "mpcml/small.h"

static bool run(struct small *s, bool kmeans)
{
    struct kit_pair k;
    if (small_new(s, kmeans, NULL) != CCZ_OK)
        return false;
    kit_init(&k, small_program(s, 0, kmeans), small_program(s, 1, kmeans), "dealer");
    for (int r = 0; r < 2; r++)
        ccz_chan_set_timeout(k.p[r].chan, INT64_MAX);
    kit_run(&k);
    const uint64_t *got = small_result(s, kmeans);
    if (got)
        CCZ_CT_PUBLIC(got, kmeans ? sizeof(s->centres) : sizeof(s->classes));
    const bool good = k.p[0].rc == CCZ_OK && k.p[1].rc == CCZ_OK && small_right(s, kmeans);
    kit_free(&k);
    small_free(s);
    return good;
}

/* Negative control: a result that was not revealed decides. */
static int leak(void)
{
    uint64_t v = 1;
    CCZ_CT_SECRET(&v, sizeof(v));
    return v > 5 ? puts("large") : puts("small");
}

int main(int argc, char **argv)
{
    struct small s;
    if (argc == 2 && strcmp(argv[1], "--leak") == 0)
        return leak() < 0;
    small_init(&s);
    const bool good = run(&s, false) && run(&s, true);
    small_deinit(&s);
    return !good;
}
