/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PF_LAYOUT_H
#define CCZ_SRC_PF_LAYOUT_H
/* Where everything is in a protected file. All integers little-endian, fields packed.
 *
 * node 0, "metadata node"            metadata block (decrypted)         MHT node (decrypted)
 *   v2    v1    size                   0    772  bound path, NUL          0    96 x {key[16], tag[16]}
 *   0     0     8    "GRAFS_PF"        772  8    plaintext size                of its blocks
 *   8     8     1    major             780  16   root MHT key             3072 32 x {key[16], tag[16]}
 *   9     9     1    minor             796  16   root MHT tag                  of its child MHT nodes
 *   10    10    32   nonce             812  3072 head: first bytes
 *   42    42    16   tag                         of the plaintext
 *   58    -     1    feature flags
 *   59    58    3884 encrypted block     nodes: [0 metadata][1 MHT 0][2..97 blocks 0..95]
 *   3943  3942  ..   zero                       [98 MHT 1][99.. blocks 96..191][195 MHT 2] ...
 */
#include <cczoo/pf.h>

enum {
    PF_NODE_SIZE = CCZ_PF_NODE_SIZE,
    PF_NONCE_SIZE = 32,
    PF_TAG_SIZE = 16,
    PF_PATH_FIELD_SIZE = 772, /* check: CCZ_PF_PATH_SIZE_MAX + 1 */
    PF_HEAD_SIZE = 3072,
    PF_META_SIZE = 3884, /* check: 772 + 8 + 16 + 16 + 3072 */
    PF_ENTRY_SIZE = 32,
    PF_BLOCKS_PER_MHT = 96,
    PF_CHILDREN_PER_MHT = 32,
    PF_GROUP_LEN = 97, /* nodes of one MHT node and its blocks */
    PF_MHT_DEPTH_MAX =
        10 /* check: levels of a 32-ary tree of 2^60 / (96 * 4096) nodes, root included */
};

struct cczi_pf_layout {
    uint64_t block_len;
    uint64_t mht_len;
    uint64_t cipher_size;
};

static inline struct cczi_pf_layout cczi_pf_layout(uint64_t plain_size)
{
    struct cczi_pf_layout l = {0};
    if (plain_size > PF_HEAD_SIZE) {
        l.block_len = (plain_size - PF_HEAD_SIZE + PF_NODE_SIZE - 1) / PF_NODE_SIZE;
        l.mht_len = (l.block_len + PF_BLOCKS_PER_MHT - 1) / PF_BLOCKS_PER_MHT;
    }
    l.cipher_size = PF_NODE_SIZE * (1 + l.mht_len + l.block_len);
    return l;
}

/* Node numbers; the file offset of a node is its number * 4096. */
static inline uint64_t cczi_pf_block_node(uint64_t block)
{
    return block + 2 + block / PF_BLOCKS_PER_MHT;
}

static inline uint64_t cczi_pf_mht_node(uint64_t mht)
{
    return 1 + PF_GROUP_LEN * mht;
}

/* Parent of MHT node `mht` (> 0), and the entry inside its parent. */
static inline uint64_t cczi_pf_mht_parent(uint64_t mht)
{
    return (mht - 1) / PF_CHILDREN_PER_MHT;
}

static inline size_t cczi_pf_mht_slot(uint64_t mht)
{
    return PF_BLOCKS_PER_MHT + (size_t)((mht - 1) % PF_CHILDREN_PER_MHT);
}

#endif
