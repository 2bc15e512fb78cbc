/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_AGG_OPT_PRIV_H
#define CCZ_AGG_OPT_PRIV_H

#include <cczoo/agg.h>

struct ccz_agg_opt {
    struct ccz_agg_opt_cfg cfg;
    size_t len;
    uint64_t rounds;
    float *m, *v; /* NULL: the kind has none */
};

/* To the state of a new one. */
void cczi_agg_opt_reset(struct ccz_agg_opt *o);
#endif
