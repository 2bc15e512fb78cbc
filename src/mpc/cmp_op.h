/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_CMP_OP_H
#define CCZI_MPC_CMP_OP_H
/* The comparison family in a session: arrays of this party's shares, between the protocols (cmp_priv.h) and the tensors. */
#include <cczoo/mpc_cmp.h>

#include "cmp_priv.h"
#include "mpc_priv.h"

/* One operation of a session, or one level of a tree. */
struct cczi_op {
    struct cczi_cmp c;
    struct ccz_mpc *m;
    struct ccz_ot_ext *ot[2]; /* by sender; NULL when planning */
    uint64_t used[2];
    unsigned party, k;
    uint64_t mask; /* 2^k - 1 */
};
/* Draws the hash key, and sees to it that there are OTs for so many elements (ccz_mpc_cmp_cost()). */
ccz_rc cczi_op_init(struct cczi_op *o, struct ccz_mpc *m, enum ccz_mpc_cmp_op op, size_t n,
                    unsigned bits, struct ccz_err *err);
ccz_rc cczi_op_init_need(struct cczi_op *o, struct ccz_mpc *m, const struct cczi_cmp_need *need,
                         struct ccz_err *err);
void cczi_op_deinit(struct cczi_op *o);
#define CCZI_AUTO_OP __attribute__((cleanup(cczi_op_deinit))) struct cczi_op

static inline unsigned cczi_row_bit(const uint64_t *row, size_t i)
{
    return (unsigned)(row[i / 64] >> i % 64 & 1);
}

/* Row of shares of [x < 0]. `row` may not be an input of anything pending. */
ccz_rc cczi_op_msb(uint64_t *row, const uint64_t *x, size_t n, struct cczi_op *o,
                   struct ccz_err *err);
/* Likewise for x of which both know that -2^bits <= x < 2^bits: what is above these bits is not looked at. */
ccz_rc cczi_op_sign(uint64_t *row, const uint64_t *x, size_t n, unsigned bits, struct cczi_op *o,
                    struct ccz_err *err);
/* z = b x, and z2 = b x2 unless NULL. z may be x. */
ccz_rc cczi_op_mux(uint64_t *z, uint64_t *z2, const uint64_t *row, const uint64_t *x,
                   const uint64_t *x2, size_t n, struct cczi_op *o, struct ccz_err *err);
/* q = x / 2^s, 1 <= s <= k - 2: the floor, or that or one more. */
ccz_rc cczi_op_truncate(uint64_t *q, const uint64_t *x, size_t n, unsigned s,
                        enum ccz_mpc_range range, bool exact, struct cczi_op *o,
                        struct ccz_err *err);
/* The same without messages, of party `party`'s share in a ring of k bits: wrong with probability |x| / 2^k. */
void cczi_op_truncate_local(uint64_t *q, const uint64_t *x, size_t n, unsigned s, unsigned k,
                            unsigned party);
/* Shares of all bits negated: by one party. */
void cczi_op_not(uint64_t *row, size_t n, const struct cczi_op *o);

/* What the wrappers of tensors share: x as shares (any kind but BITS), and a result of its shape. */
struct cczi_operand {
    const struct ccz_mpc_tensor *t;
    struct ccz_mpc_tensor *own;
};
ccz_rc cczi_operand_init(struct cczi_operand *x, const struct ccz_mpc_tensor *t,
                         struct ccz_err *err);
void cczi_operand_deinit(struct cczi_operand *x);
#define CCZI_AUTO_OPERAND __attribute__((cleanup(cczi_operand_deinit))) struct cczi_operand
/* "mpc:session", "mpc:shape"; with `scales` also "mpc:scale". */
ccz_rc cczi_check_pair(const struct ccz_mpc_tensor *a, const struct ccz_mpc_tensor *b, bool scales,
                       struct ccz_err *err);
/* Hands the result out, with zeros behind the last bit, if rc is CCZ_OK; ends the session if not. */
ccz_rc cczi_op_leave(struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **result, struct ccz_mpc *m,
                     ccz_rc rc, struct ccz_err *err);

/* Formulas behind ccz_mpc_cmp_cost(). */
struct cczi_cmp_need cczi_op_need(enum ccz_mpc_cmp_op op, size_t n, unsigned k, unsigned bits);

#endif
