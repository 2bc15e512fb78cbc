/* SPDX-License-Identifier: Apache-2.0 */
#define QUANT_ROUND cczi_sa_round_avx512
#define QUANT_REAL  cczi_sa_real_avx512
#include "secagg/quant_body.h"

bool cczi_sa_quant_avx512_usable(void)
{
#if defined(__AVX512F__)
    return ccz_cpu()->chosen >= CCZ_CPU_AVX512;
#else
    return false;
#endif
}
