/* SPDX-License-Identifier: Apache-2.0 */
#include "mpc_priv.h"

const char *ccz_mpc_source_kind_name(enum ccz_mpc_source_kind kind)
{
    static const char *const names[CCZ_MPC_SOURCE_KINDS] = {"ot",     "he",    "paillier",
                                                            "dealer", "store", "mixed"};
    return (unsigned)kind < CCZ_MPC_SOURCE_KINDS ? names[kind] : "?";
}
