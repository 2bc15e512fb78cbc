/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RISTRETTO_PRIV_H
#define CCZ_RISTRETTO_PRIV_H
/* Eight points at a time; only where the processor has AVX-512 IFMA. */
#include <cczoo/ristretto.h>

#if defined(__x86_64__)
/* out[k] = s in[k] for k < 8, s below the order. @return bit k: in[k] is an encoding, and out[k] not the identity */
unsigned cczi_ristretto_ifma_mul(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32]);
void cczi_ristretto_ifma_from_hash(uint8_t (*out)[32], const uint8_t (*hash)[64]);
#endif
/* Whether they are usable here and agree with libsodium. */
bool cczi_ristretto_vector(void);
#endif
