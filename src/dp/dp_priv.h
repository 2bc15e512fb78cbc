/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_DP_PRIV_H
#define CCZ_DP_PRIV_H
/* Shared by the sources of dp. */
#include <cczoo/dp.h>

/* Rounding to a grid moves a value by half a step, twice for two neighbours; the hundredth is for the division before. */
#define CCZI_DP_ROUNDING 1.01
/* Grid of real noise: steps per standard deviation. */
#define CCZI_DP_GRID ((uint32_t)1 << 20)

/* RDP of one step at all orders. */
ccz_rc cczi_dp_rdp_all(double rdp[CCZ_DP_ORDERS], const struct ccz_dp_event *event,
                       struct ccz_err *err);
#endif
