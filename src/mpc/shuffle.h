/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_SHUFFLE_H
#define CCZI_MPC_SHUFFLE_H
/* Order of rows: trees of random numbers with a hole, ways through three steps of small permutations. */
#include "cmp_op.h"

/* --------------------------------------------------------------------------------------- shape */

enum { CCZI_ROWS_SINGLE = 2048, CCZI_TREE_DEPTH_MAX = 12, CCZI_ORDER_STEPS = 3 };
/* Permutations inside of blocks: place j of block b is row b block_by + j row_by. */
struct cczi_order_step {
    size_t blocks, len, block_by, row_by;
    unsigned depth; /* of a tree with a leaf for each row of a block */
};
struct cczi_order {
    size_t rows, padded, d; /* d: elements of a row */
    unsigned steps;         /* 0, 1 or 3 */
    struct cczi_order_step step[CCZI_ORDER_STEPS];
    uint64_t ots;
};
void cczi_order_shape(struct cczi_order *o, size_t rows, size_t d);
struct cczi_cmp_need cczi_order_need(const struct cczi_order *o, unsigned owner, unsigned k);

/*
 * place[s][row] = place in its block of what comes to this row in step s; all steps together bring order[i] to row i. Three steps:
 * time depends on the order.
 */
ccz_rc cczi_order_route(uint32_t *const place[CCZI_ORDER_STEPS], const uint32_t *order,
                        const struct cczi_order *o, struct ccz_err *err);

/* --------------------------------------------------------------------------------------- trees */

/*
 * Public keys: of levels, of the hash of the last one, of what leaves are stretched with. Each tree and level has a node that is a
 * known number and delta: whoever has u of their images under one key tests all of them with one call of AES. So keys are
 * those of a group, the trees that begin in the same CCZI_TREE_GROUP OTs, at most 512 of 2 images: AES of numbers under a master
 * key of the operation.
 */
enum { CCZI_TREE_GROUP = 1024 };
struct cczi_tree {
    const struct cczi_ot_kernels *kernels;
    struct cczi_aes master, level[CCZI_TREE_DEPTH_MAX], hash;
    struct cczi_aes *stretch; /* [pairs] */
    size_t pairs;
    uint64_t group;           /* whose keys these are; UINT64_MAX: nobody's */
    struct ccz_f128 *scratch; /* [2^(depth max + 2)] */
};
/* pairs: how many numbers of 256 bits leaves are stretched to */
ccz_rc cczi_tree_init(struct cczi_tree *t, size_t pairs, struct ccz_mpc *m, struct ccz_err *err);
void cczi_tree_deinit(struct cczi_tree *t); /* wipes */
#define CCZI_AUTO_TREE __attribute__((cleanup(cczi_tree_deinit))) struct cczi_tree

/*
 * A tree from `depth` correlated OTs (2 or more), t = q + r delta: all 2^depth leaves, and [depth] elements for the other side, which
 * has said, for each OT, how r differs from the side that it knows. number: that of the first OT. Afterwards keys are those of its group.
 */
void cczi_tree_grow(struct ccz_f128 *leaves, struct ccz_f128 *msg, const struct ccz_f128 *q,
                    struct ccz_f128 delta, const uint8_t *flip, unsigned depth, uint64_t number,
                    struct cczi_tree *t);
/* The same with a hole: leaf number `hole` is 0. ts: OTs; the known side of level l is not bit (depth - 1 - l) of `hole`. */
void cczi_tree_regrow(struct ccz_f128 *leaves, const struct ccz_f128 *msg,
                      const struct ccz_f128 *ts, size_t hole, unsigned depth, uint64_t number,
                      struct cczi_tree *t);
#endif
