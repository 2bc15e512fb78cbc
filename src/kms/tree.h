/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_TREE_H
#define CCZ_KMS_TREE_H
/* Merkle tree over audit lines, the writing side: part of kms_priv.h, in a file of its own. Rolled back by copying: none of it owns
 * memory but struct cczi_kms_lines and struct cczi_kms_signer. */
#include <cczoo/kms_audit.h>

/* --------------------------------------------------------------------------- tree.c */

/* SHA-256(0x01 || left || right); out may be one of them. */
ccz_rc cczi_kms_node_hash(uint8_t out[32], const uint8_t left[32], const uint8_t right[32]);
#define CCZI_KMS_TREE_LEVELS 49
/* Frontier: node[h] is the root of the perfect subtree of 2^h leaves at the right end, where bit h of `size` is set. Zero is the empty
 * tree. */
struct cczi_kms_tree {
    uint64_t size; /* leaves, at most CCZ_KMS_TREE_SIZE_MAX */
    uint8_t node[CCZI_KMS_TREE_LEVELS][32];
};
/* Adds a leaf hash. On failure the tree is as it was. @retval CCZ_E_LIMIT  the tree is full */
ccz_rc cczi_kms_tree_append(struct cczi_kms_tree *t, const uint8_t leaf[32]);
/* Adds a perfect subtree of 2^level leaves; the tree has a multiple of so many. */
ccz_rc cczi_kms_tree_append_at(struct cczi_kms_tree *t, unsigned level, const uint8_t root[32]);
/* Root of what was added so far; of nothing: SHA-256 of nothing. */
ccz_rc cczi_kms_tree_root(uint8_t out[32], const struct cczi_kms_tree *t);
/* Stored form: le64 size, then the nodes that are in use, highest first. */
#define CCZI_KMS_TREE_SIZE_MAX (8 + CCZI_KMS_TREE_LEVELS * 32)
void cczi_kms_tree_put(struct ccz_buf *out, const struct cczi_kms_tree *t);
/* Sticky error in `r`; the tree is empty then. */
void cczi_kms_tree_get(struct cczi_kms_tree *out, struct ccz_rd *r);

/* A proof is made of the roots of ranges of leaves that do not overlap. Collecting them takes one walk over the leaves, whatever their
 * number, and no memory. */
struct cczi_kms_gather {
    struct cczi_kms_tree tree; /* of the range that is being read */
    uint64_t index;            /* of the next leaf */
    size_t len;
    struct {
        uint64_t from, to;
    } range[CCZ_KMS_PATH_MAX]; /* in the order of the proof */
    struct ccz_kms_path path;
};
/* index < size <= CCZ_KMS_TREE_SIZE_MAX */
void cczi_kms_gather_inclusion(struct cczi_kms_gather *g, uint64_t index, uint64_t size);
/* old_size <= size <= CCZ_KMS_TREE_SIZE_MAX */
void cczi_kms_gather_consistency(struct cczi_kms_gather *g, uint64_t old_size, uint64_t size);
/* Leaf hashes in order, from leaf 0 on. Afterwards g->path is the proof. */
ccz_rc cczi_kms_gather_put(struct cczi_kms_gather *g, const uint8_t leaf[32]);

/* -------------------------------------------------------------------- checkpoint.c */

/* Who signs checkpoints of one log. */
struct cczi_kms_signer {
    struct ccz_key *key; /* owned; NULL = not loaded yet */
    uint8_t key_id[32];
    char origin[CCZ_KMS_ORIGIN_SIZE];
};
/* Takes the key over. */
ccz_rc cczi_kms_signer_init(struct cczi_kms_signer *s, struct ccz_key *key,
                            const uint8_t first_hash[32], struct ccz_err *err);
void cczi_kms_signer_deinit(struct cczi_kms_signer *s); /* zeroed is fine */
/* Signs what the tree holds. After the commit, so that nothing is signed that may not have happened.
 * where = "kms:checkpoint-sign" */
ccz_rc cczi_kms_checkpoint_sign(struct ccz_kms_checkpoint *out, const struct cczi_kms_signer *s,
                                const struct cczi_kms_tree *t, int64_t now_s, struct ccz_err *err);

/* ----------------------------------------------------------------------- receipt.c */

/*
 * The lines of one transaction, for the receipts of its calls: start when it begins, add each line, cut back to an earlier length when
 * a savepoint is rolled back, sign once after the commit, then a receipt for each line. Memory is kept for the next transaction.
 */
struct cczi_kms_lines {
    struct cczi_kms_tree before; /* what was there */
    uint8_t (*node)[32]; /* owned: leaves, then the complete nodes above them, level by level */
    size_t len, cap;     /* leaves; nodes allocated */
    bool bad;            /* no memory: no receipts, which signing will say */
    size_t at[CCZI_KMS_TREE_LEVELS + 1]; /* signed: where each level starts in `node` */
    uint8_t rest[CCZI_KMS_TREE_LEVELS + 1]
                [32]; /* signed: root of the leaves behind the last complete node of a level */
    struct ccz_kms_checkpoint checkpoint; /* signed: over all of it; size 0 = not signed */
};
void cczi_kms_lines_start(struct cczi_kms_lines *b, const struct cczi_kms_tree *before);
void cczi_kms_lines_add(struct cczi_kms_lines *b, const uint8_t leaf[32]);
void cczi_kms_lines_cut(struct cczi_kms_lines *b, size_t len);
void cczi_kms_lines_free(struct cczi_kms_lines *b); /* zeroed is fine */
/* Needs at least one line. `after` is the tree with the batch in it. where = "kms:checkpoint-sign" */
ccz_rc cczi_kms_lines_sign(struct cczi_kms_lines *b, const struct cczi_kms_signer *s,
                           const struct cczi_kms_tree *after, int64_t now_s, struct ccz_err *err);
/* Receipt of the line with that number, after signing. @retval CCZ_E_ARG  it is not in the signed batch */
ccz_rc cczi_kms_lines_receipt(struct ccz_kms_inclusion *out, const struct cczi_kms_lines *b,
                              uint64_t seq);
#endif
