/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SECAGG_QUANT_H
#define CCZ_SECAGG_QUANT_H
/* The loops of quant.c in plain C and with AVX-512, where that is usable; both give the same bits. */
#include "secagg/secagg_priv.h"

/* @return whether some value is infinite or not a number; @param clipped may be NULL */
uint32_t cczi_sa_round(uint32_t *q, uint64_t *clipped, const float *x, size_t len, double factor,
                       double top);
void cczi_sa_real(float *x, const uint32_t *q, size_t len, double by); /* x may be q */
bool cczi_sa_quant_avx512_usable(void);
uint32_t cczi_sa_round_avx512(uint32_t *q, uint64_t *clipped, const float *x, size_t len,
                              double factor, double top);
void cczi_sa_real_avx512(float *x, const uint32_t *q, size_t len, double by);
#endif
