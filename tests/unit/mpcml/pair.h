/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPCML_PAIR_H
#define CCZ_TEST_MPCML_PAIR_H
/* What tests of programs ask of a pair of parties behind its run. */
#include "kit.h"

static inline void pair_ok(const struct kit_pair *k)
{
    for (int r = 0; r < 2; r++) {
        if (k->p[r].rc != CCZ_OK)
            fprintf(stderr, "party %d: %s %s\n", r, k->p[r].err.where, k->p[r].err.msg);
        CHECK(k->p[r].rc == CCZ_OK);
    }
}

/* One of both names the reason, the other one heard of it, and nothing was revealed. */
static inline void pair_refused(const struct kit_pair *k, const char *where)
{
    bool named = false;
    for (int r = 0; r < 2; r++) {
        const struct kit_party *p = &k->p[r];
        const bool own = strcmp(p->err.where, where) == 0;
        if (p->rc == CCZ_OK || (!own && !strstr(p->err.msg, where)))
            fprintf(stderr, "party %d: got %s (%s), expected %s\n", r, p->err.where, p->err.msg,
                    where);
        CHECK(p->rc != CCZ_OK && (own || strstr(p->err.msg, where)));
        CHECK(p->reveals_len == 0);
        named = named || own;
    }
    CHECK(named);
}

/* Bytes and rounds online are what the plan says, all bytes within 15 % of it. */
static inline void pair_as_planned(const struct kit_pair *k, const struct ccz_mpcml_plan *plan)
{
    const struct ccz_mpcml_phase_cost *online = &plan->phase[CCZ_MPC_ONLINE];
    for (int r = 0; r < 2; r++) {
        const struct ccz_mpc_stats *s = &k->p[r].stats;
        CHECK(kit_bytes(s, CCZ_MPC_ONLINE) == online->size);
        CHECK(s->phase[CCZ_MPC_ONLINE].rounds == online->rounds);
        const double real = (double)(kit_bytes(s, CCZ_MPC_SETUP) + kit_bytes(s, CCZ_MPC_OFFLINE) +
                                     kit_bytes(s, CCZ_MPC_ONLINE));
        CHECK(fabs(real - (double)plan->total.size) < 0.15 * real);
    }
}

/* The party's channel with a fault in it. */
static inline void pair_fault(struct kit_pair *k, int who, const struct ccz_chan_fault_cfg *fault)
{
    OK(ccz_chan_fault_new(&k->p[who].chan, k->p[who].chan, fault, e));
}
#endif
