/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_SIM_PRIV_H
#define CCZ_FL_SIM_PRIV_H
/* What simulation and baselines share. */
#include <cczoo/fl_sim.h>

/* Samples by client: client i has rows[first[i] .. first[i + 1]). */
struct cczi_fl_parts {
    uint32_t *rows;
    size_t *first; /* [clients + 1] */
};
void cczi_fl_parts_free(struct cczi_fl_parts *p);
/* Checks the parts of cfg. */
ccz_rc cczi_fl_parts_new(struct cczi_fl_parts *out, const struct ccz_fl_sim_cfg *cfg,
                         struct ccz_err *err);
/* The rows of clients from .. to - 1. */
struct ccz_nn_data cczi_fl_parts_data(const struct cczi_fl_parts *p,
                                      const struct ccz_fl_sim_cfg *cfg, uint32_t from, uint32_t to);
/* cfg->threads, or what stands for 0; not more than there is work for. */
unsigned cczi_fl_threads(const struct ccz_fl_sim_cfg *cfg, uint32_t work);
/* What every entry point needs. */
ccz_rc cczi_fl_sim_check(const struct ccz_fl_sim_cfg *cfg, struct ccz_err *err);

#endif
