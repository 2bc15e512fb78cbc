/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SECAGG_PRG_H
#define CCZ_SECAGG_PRG_H
/* The two ways to apply masks; cczi_sa_apply() takes the faster one that the processor has. */
#include "secagg/secagg_priv.h"

ccz_rc cczi_sa_apply_portable(uint32_t *y, uint64_t offset, size_t len,
                              const struct cczi_sa_mask *masks, size_t masks_len);
/* With VAES; only where it is usable. */
bool cczi_sa_vaes_usable(void);
void cczi_sa_vaes_apply(uint32_t *y, uint64_t offset, size_t len, const struct cczi_sa_mask *masks,
                        size_t masks_len);
#endif
