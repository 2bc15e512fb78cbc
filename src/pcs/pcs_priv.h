/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PCS_PRIV_H
#define CCZI_PCS_PRIV_H
#include <cczoo/pcs.h>

enum { CCZI_PCS_PATH_SIZE = 4096 };

/* Reads one bundle. CCZ_E_NOT_FOUND with where "pcs:no-bundle": the directory has no tcb_info.json.
 */
CCZ_MUST_USE ccz_rc cczi_bundle_load(struct ccz_collateral **out, const char *dir,
                                     const struct ccz_roots *roots, struct ccz_err *err);
#endif
