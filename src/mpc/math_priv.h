/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_MATH_PRIV_H
#define CCZI_MPC_MATH_PRIV_H
/* Functions of shared values: what the files share. Every function is written twice, on shares and on plain values. */
#include <cczoo/mpc_math.h>

#include "cmp_op.h"

/* ------------------------------------------------------------------------------ straight pieces */

enum { CCZI_PIECES_MAX = 31 };
/*
 * 0 below at[0], 1 from at[steps - 1] on, a[j] + b[j] x in [at[j], at[j + 1]), at fraction frac + shift, with half a unit of the
 * truncation that follows in a[j]. All numbers modulo 2^64.
 */
struct cczi_pieces {
    unsigned steps, frac, shift;
    unsigned bits; /* x - at[j] fits into bits + 1 bits */
    uint64_t at[CCZI_PIECES_MAX], a[CCZI_PIECES_MAX], b[CCZI_PIECES_MAX];
};
/* Of SIGMOID_3 and SIGMOID_SPLINE. "mpc:sigmoid", "mpc:pieces", "mpc:range", "mpc:frac" */
ccz_rc cczi_pieces_init(struct cczi_pieces *p, const struct ccz_mpc_sigmoid_cfg *cfg, unsigned k,
                        unsigned frac, struct ccz_err *err);
/* Before the truncation. x, out: [n] shares */
ccz_rc cczi_pieces_run(uint64_t *out, const uint64_t *x, size_t n, const struct cczi_pieces *p,
                       struct cczi_op *o, struct ccz_err *err);
void cczi_pieces_plain(uint64_t *out, const uint64_t *x, size_t n, const struct cczi_pieces *p,
                       unsigned k);
struct cczi_cmp_need cczi_pieces_need(size_t n, const struct cczi_pieces *p, unsigned k);

/* --------------------------------------------------------------------------------------- steps */

/* Rows, one behind the other without gaps: bit j n + i is a share of [x_i >= at[j]]; x - at[j] fits into bits + 1 bits. */
ccz_rc cczi_steps(uint64_t *rows, const uint64_t *x, size_t n, const uint64_t *at, unsigned steps,
                  unsigned bits, struct cczi_op *o, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- plain values */

/* floor(v / 2^s) of elements of k bits, s < k */
static inline uint64_t cczi_plain_floor(uint64_t v, unsigned s, unsigned k)
{
    const uint64_t mask = UINT64_MAX >> (64 - k), sign = 0 - (v >> (k - 1) & 1);
    v |= sign & ~mask;
    return (v >> s | (s > 0 ? sign << (64 - s) : 0)) & mask;
}
/* All ones if x >= c, in two's complement of k bits, and x - c does not overflow. */
static inline uint64_t cczi_plain_from(uint64_t x, uint64_t c, unsigned k)
{
    return ((x - c) >> (k - 1) & 1) - 1;
}

/* -------------------------------------------------------------------------------------- tensors */

enum { CCZI_MATH_KINDS = 1u << CCZ_MPC_PUBLIC | 1u << CCZ_MPC_PRIVATE | 1u << CCZ_MPC_SHARED };

#endif
