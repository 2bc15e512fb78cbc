/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: two parties with secret inputs and secret randomness (marked where it is drawn). Only what has been opened
 * is public. Products take theirs from a dealer; what OT does is in ct_ot.
 */
#include "mpc/cubes.h"

static void run(struct party *p, void *arg)
{
    uint64_t *out = arg;
    p->rc = cubes(out + 4 * p->role, p);
}

/* Negative control: a branch on a share. */
static int leak(void)
{
    uint64_t v = 1;
    CCZ_CT_SECRET(&v, sizeof(v));
    return v > 5 ? puts("large") : puts("small");
}

int main(int argc, char **argv)
{
    uint64_t out[8] = {0};
    struct duo d;
    if (argc == 2 && strcmp(argv[1], "--leak") == 0)
        return leak() < 0;
    kit_source = CCZ_MPC_SOURCE_DEALER;
    duo_init(&d, 64);
    duo_run(&d, run, out);
    const bool good = d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK;
    duo_free(&d);
    return !good || d.dealer_rc != CCZ_OK || !cubes_right(out) || !cubes_right(out + 4);
}
