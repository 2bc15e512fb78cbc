/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PF_PF_PRIV_H
#define CCZ_SRC_PF_PF_PRIV_H
#include <cczoo/crypto.h>
#include <cczoo/pf.h>

#include "layout.h"

/* How errors call the file: the end of its name, escaped. */
#define PF_NAME_SIZE 48
struct cczi_pf_name {
    char text[PF_NAME_SIZE];
};
struct cczi_pf_name cczi_pf_name(const struct ccz_pf_cfg *cfg);

/* Refuses with got = "<file> <what>"; the node number goes to err->aux. */
CCZ_FMT(7, 8)
ccz_rc cczi_pf_refuse(struct ccz_err *err, ccz_rc rc, const char *where,
                      const struct cczi_pf_name *name, uint64_t node, const char *expected,
                      const char *fmt, ...);

/* Refuses the kind of a directory entry: got = "<path> <what>". */
ccz_rc cczi_pf_refuse_type(struct ccz_err *err, const char *path, const char *what,
                           const char *expected);

/* Puts the name in front of what a storage callback said. Returns `rc`, which is not CCZ_OK. */
ccz_rc cczi_pf_io_fail(struct ccz_err *err, ccz_rc rc, const struct cczi_pf_name *name);

/* E_ARG unless `key` is there and has 16 bytes. */
ccz_rc cczi_pf_key_check(const struct ccz_secret *key, struct ccz_err *err);

/* The entry of one node in its parent: random key, and the tag that the key gave. */
struct cczi_pf_entry {
    uint8_t key[CCZ_PF_KEY_SIZE];
    uint8_t tag[PF_TAG_SIZE];
};

/* A decrypted MHT node, exactly as on disk. */
struct cczi_pf_mht {
    struct cczi_pf_entry entry[PF_BLOCKS_PER_MHT + PF_CHILDREN_PER_MHT];
};
_Static_assert(sizeof(struct cczi_pf_mht) == PF_NODE_SIZE, "an MHT node is one node");

/* Node 0, decrypted. Lives in secret memory: it holds the root key and plaintext. */
struct cczi_pf_meta {
    uint8_t version;
    uint64_t plain_size;
    char path[PF_PATH_FIELD_SIZE];
    struct cczi_pf_entry root;
    uint8_t head[PF_HEAD_SIZE];
};

/* All nodes are encrypted with AES-128-GCM, a zero nonce and no AAD: each key is used once. */
ccz_rc cczi_pf_node_seal(struct ccz_aead *aead, uint8_t out[PF_NODE_SIZE],
                         struct cczi_pf_entry *entry, const uint8_t in[PF_NODE_SIZE]);
/* In place. CCZ_E_SIG: not the node this entry belongs to; the node is zeroed. */
ccz_rc cczi_pf_node_open(struct ccz_aead *aead, uint8_t node[PF_NODE_SIZE],
                         const struct cczi_pf_entry *entry);

/* Parses, verifies and decrypts node 0. */
ccz_rc cczi_pf_meta_open(struct cczi_pf_meta *out, struct ccz_aead *aead,
                         const uint8_t node[PF_NODE_SIZE], const struct ccz_secret *key,
                         const struct cczi_pf_name *name, struct ccz_err *err);
/* Builds node 0 under a fresh nonce. */
ccz_rc cczi_pf_meta_seal(uint8_t node[PF_NODE_SIZE], struct ccz_aead *aead,
                         const struct cczi_pf_meta *meta, const uint8_t key[CCZ_PF_KEY_SIZE]);
/* Verified metadata of an open file, as long as the reader. */
const struct cczi_pf_meta *cczi_pf_reader_meta(const struct ccz_pf_reader *r);

#endif
