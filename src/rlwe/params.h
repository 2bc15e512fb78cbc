/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RLWE_PARAMS_H
#define CCZI_RLWE_PARAMS_H
/* From a configuration to primes that may be used. */
#include "rlwe_priv.h"

/* Chosen or given primes, all checks but security. @shape primes[data_len + special_len] */
ccz_rc cczi_rlwe_primes(uint64_t *primes, const struct ccz_rlwe_cfg *cfg, struct ccz_err *err);
/* The strictest row that holds: 256, 192, 128, or 0. */
unsigned cczi_rlwe_security_of(size_t n, double log2_qp);
ccz_rc cczi_rlwe_check_security(const struct ccz_rlwe_cfg *cfg, double log2_qp,
                                struct ccz_err *err);
ccz_rc cczi_rlwe_identify(uint8_t out[CCZ_RLWE_PARAMS_ID_SIZE], const struct ccz_rlwe_cfg *cfg,
                          const uint64_t *primes);
#endif
