/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: three parties with secret inputs and secret randomness (marked where it is drawn), every operation that
 * sends. Only what has been sent, masked, and what has been revealed is public.
 */
#include "rep3/kit.h"
#include "rep3/whole.h"

static void run(struct party *p, void *arg)
{
    uint64_t(*out)[7 * WHOLE] = arg;
    p->rc = whole(out[p->role], p->m, &p->err);
}

/* Negative control: an address that depends on a share. */
static int leak(void)
{
    static const char table[2][8] = {"small", "large"};
    uint64_t v = 1;
    CCZ_CT_SECRET(&v, sizeof(v));
    return puts(table[v & 1]);
}

static bool good(unsigned bits, enum ccz_rep3_trunc trunc)
{
    static uint64_t out[3][7 * WHOLE];
    struct trio t;
    bool right = true;
    memset(out, 0, sizeof(out));
    trio_init(&t, bits);
    for (int i = 0; i < 3; i++)
        t.p[i].cfg.trunc = trunc;
    trio_run(&t, run, out);
    for (int i = 0; i < 3; i++)
        right = right && t.p[i].rc == CCZ_OK && (bits != 64 || whole_right(out[i]));
    trio_free(&t);
    return right;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--leak") == 0)
        return leak() < 0;
    return !good(64, CCZ_REP3_TRUNC_SAFE) || !good(64, CCZ_REP3_TRUNC_FAST) ||
           !good(32, CCZ_REP3_TRUNC_SAFE);
}
