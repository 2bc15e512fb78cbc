/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_TABLE_H
#define CCZ_MPC_TABLE_H
/* Measured costs of several settings, and how they are shown. */
#include <cczoo/mpc.h>

enum { MPC_TABLE_ROWS = 16, MPC_TABLE_REPEATS = 1000 };
struct mpc_table_row {
    const char *name; /* borrowed */
    /* of both directions; the same in each repetition */
    uint64_t size[CCZ_MPC_PHASES], rounds[CCZ_MPC_PHASES];
    double *seconds, *cpu_s; /* [len], of all phases together */
    size_t len;
};
struct mpc_table {
    struct mpc_table_row row[MPC_TABLE_ROWS];
    size_t len;
    double rtt_ms;
};
double mpc_median(double *v, size_t len); /* sorts */
/* One more run of that setting. @return false: out of memory, or too many */
bool mpc_table_add(struct mpc_table *t, const char *name, const struct ccz_mpc_stats *s);
void mpc_table_print(struct mpc_table *t);
ccz_rc mpc_table_csv(const char *path, struct mpc_table *t, struct ccz_err *err);
/* Three groups of bars: seconds, bytes, rounds. */
ccz_rc mpc_table_svg(const char *path, struct mpc_table *t, struct ccz_err *err);
void mpc_table_deinit(struct mpc_table *t);
#endif
