/* SPDX-License-Identifier: Apache-2.0 */
/* Writing in one pass. With the size known, it is known of each MHT node whether it has children:
 * those without (31 of 32) are sealed with their 96 blocks and go out in one write; the others wait
 * in memory until the tags of their children are there, and go out last, from the highest number
 * down. */
#include "pf_priv.h"

#include <stdlib.h>
#include <string.h>

/* MHT nodes with children live in pieces of secret memory of this many nodes. */
#define PIECE_LEN (CCZ_SECRET_SIZE_MAX / PF_NODE_SIZE)

/* Everything that must not stay in memory, in one piece of secret memory. */
struct plain {
    uint8_t key[CCZ_PF_KEY_SIZE];
    struct cczi_pf_meta meta;
    uint8_t block[PF_NODE_SIZE]; /* collects a block from short puts */
    struct cczi_pf_mht leaf;     /* the MHT node being filled, if it has no children */
    uint8_t node_key[PF_GROUP_LEN][CCZ_PF_KEY_SIZE]; /* [0]: the MHT node, [1 + i]: its block i */
};

struct ccz_pf_writer {
    struct ccz_pf_io io;
    struct cczi_pf_name name;
    struct ccz_aead *aead;
    struct ccz_secret *memory; /* holds *plain */
    struct plain *plain;
    struct cczi_pf_layout layout;
    uint64_t put_size;  /* plaintext bytes taken so far */
    size_t block_size;  /* bytes in plain->block */
    uint64_t block_no;  /* next block to seal */
    uint64_t inner_len; /* MHT nodes 0 .. inner_len-1 have children */
    size_t piece_len;   /* pieces of memory that hold them */
    struct ccz_secret **piece;
    bool failed;                               /* a failed call ends the life of a writer */
    uint8_t group[PF_GROUP_LEN][PF_NODE_SIZE]; /* ciphertext: one MHT node and its blocks */
};

/* --------------------------------------------------------------------------------------- set-up */

static ccz_rc alloc_memory(struct ccz_pf_writer *w)
{
    ccz_rc rc = ccz_aead_new(&w->aead, CCZ_AES_128_GCM);
    if (rc == CCZ_OK)
        rc = ccz_secret_new(&w->memory, sizeof(struct plain));
    if (rc != CCZ_OK)
        return rc;
    w->plain = (struct plain *)(void *)ccz_secret_bytes(w->memory);

    /* the last MHT node that has a child is the parent of the last one */
    w->inner_len = w->layout.mht_len > 1 ? cczi_pf_mht_parent(w->layout.mht_len - 1) + 1 : 0;
    uint64_t len = (w->inner_len + PIECE_LEN - 1) / PIECE_LEN;
    if (len == 0)
        return CCZ_OK;
    if (len > SIZE_MAX / sizeof(*w->piece))
        return CCZ_E_NOMEM;
    w->piece = calloc((size_t)len, sizeof(*w->piece));
    if (!w->piece)
        return CCZ_E_NOMEM;
    w->piece_len = (size_t)len;
    for (size_t i = 0; i < w->piece_len && rc == CCZ_OK; i++) {
        uint64_t left = w->inner_len - i * (uint64_t)PIECE_LEN;
        size_t n = left < PIECE_LEN ? (size_t)left : PIECE_LEN;
        rc = ccz_secret_new(&w->piece[i], n * PF_NODE_SIZE);
    }
    return rc;
}

static ccz_rc check_cfg(uint64_t size, const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_pf_key_check(key, err);
    if (rc != CCZ_OK)
        return rc;
    if (!cfg->path)
        return ccz_fail(err, CCZ_E_ARG, "pf:config", 0, "no path to bind the file to");
    char normal[CCZ_PF_PATH_SIZE_MAX + 1];
    rc = ccz_pf_path_normalise(normal, cfg->path, err);
    if (rc != CCZ_OK)
        return rc;
    if (strcmp(normal, cfg->path) != 0) /* Gramine would never ask for it */
        return ccz_refuse(err, CCZ_E_ARG, "pf:path", cfg->path, normal);
    if (cfg->version > 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "pf:version", cfg->version, 2);
    if (size > CCZ_PF_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "pf:plain-size", 0, "a plaintext has at most 2^60 bytes");
    return CCZ_OK;
}

ccz_rc ccz_pf_writer_new(struct ccz_pf_writer **out, const struct ccz_pf_io *io, uint64_t size,
                         const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                         struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(size, key, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_pf_writer) w = calloc(1, sizeof(*w));
    if (!w)
        return ccz_fail(err, CCZ_E_NOMEM, "pf:memory", 0, "no memory");
    w->io = *io;
    w->name = cczi_pf_name(cfg);
    w->layout = cczi_pf_layout(size);
    rc = alloc_memory(w);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:memory", 0, "%s", ccz_rc_str(rc));
    memcpy(w->plain->key, ccz_secret_view(key), CCZ_PF_KEY_SIZE);
    w->plain->meta.version = cfg->version ? cfg->version : 1;
    w->plain->meta.plain_size = size;
    memcpy(w->plain->meta.path, cfg->path, strlen(cfg->path));
    rc = io->truncate(io->arg, w->layout.cipher_size, err);
    if (rc != CCZ_OK)
        return cczi_pf_io_fail(err, rc, &w->name);
    *out = ccz_pf_writer_take(&w);
    return CCZ_OK;
}

void ccz_pf_writer_free(struct ccz_pf_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->piece_len; i++)
        ccz_secret_free(w->piece[i]);
    free(w->piece);
    ccz_secret_free(w->memory);
    ccz_aead_free(w->aead);
    free(w);
}

/* --------------------------------------------------------------------------------------- groups */

/* The plaintext of MHT node `mht`, which has children or is being filled. */
static struct cczi_pf_mht *mht_of(struct ccz_pf_writer *w, uint64_t mht)
{
    if (mht >= w->inner_len)
        return &w->plain->leaf;
    struct cczi_pf_mht *piece = (void *)ccz_secret_bytes(w->piece[mht / PIECE_LEN]);
    return &piece[mht % PIECE_LEN];
}

/* Where the parent of MHT node `mht` keeps its key and tag. */
static struct cczi_pf_entry *mht_entry(struct ccz_pf_writer *w, uint64_t mht)
{
    if (mht == 0)
        return &w->plain->meta.root;
    return &mht_of(w, cczi_pf_mht_parent(mht))->entry[cczi_pf_mht_slot(mht)];
}

static ccz_rc write_nodes(struct ccz_pf_writer *w, uint64_t node_no, const uint8_t *nodes,
                          size_t len, struct ccz_err *err)
{
    ccz_rc rc =
        w->io.write_at(w->io.arg, node_no * PF_NODE_SIZE, CCZ_SPAN(nodes, len * PF_NODE_SIZE), err);
    return rc == CCZ_OK ? CCZ_OK : cczi_pf_io_fail(err, rc, &w->name);
}

/* Seals MHT node `mht` into group[0], under the key drawn for it. */
static ccz_rc seal_mht(struct ccz_pf_writer *w, uint64_t mht, struct ccz_err *err)
{
    struct cczi_pf_entry *entry = mht_entry(w, mht);
    memcpy(entry->key, w->plain->node_key[0], sizeof(entry->key));
    ccz_rc rc = cczi_pf_node_seal(w->aead, w->group[0], entry, (const uint8_t *)mht_of(w, mht));
    if (rc != CCZ_OK)
        ccz_fail(err, rc, "pf:crypto", (int64_t)cczi_pf_mht_node(mht), "%s", ccz_rc_str(rc));
    return rc;
}

/* All blocks of MHT node `mht` are sealed: writes them, and the node itself when it is complete. */
static ccz_rc end_group(struct ccz_pf_writer *w, uint64_t mht, size_t block_len,
                        struct ccz_err *err)
{
    uint64_t node_no = cczi_pf_mht_node(mht);
    if (mht < w->inner_len)
        return write_nodes(w, node_no + 1, w->group[1], block_len, err);

    ccz_rc rc = seal_mht(w, mht, err);
    ccz_wipe(&w->plain->leaf, sizeof(w->plain->leaf));
    return rc == CCZ_OK ? write_nodes(w, node_no, w->group[0], 1 + block_len, err) : rc;
}

static ccz_rc put_block(struct ccz_pf_writer *w, const uint8_t plain[PF_NODE_SIZE],
                        struct ccz_err *err)
{
    uint64_t mht = w->block_no / PF_BLOCKS_PER_MHT;
    size_t slot = (size_t)(w->block_no % PF_BLOCKS_PER_MHT);
    ccz_rc rc = CCZ_OK;
    if (slot == 0) /* the keys of a group in one draw: the generator's start-up cost counts */
        rc = ccz_random(w->plain->node_key, sizeof(w->plain->node_key));
    struct cczi_pf_entry *entry = &mht_of(w, mht)->entry[slot];
    memcpy(entry->key, w->plain->node_key[1 + slot], sizeof(entry->key));
    if (rc == CCZ_OK)
        rc = cczi_pf_node_seal(w->aead, w->group[1 + slot], entry, plain);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:crypto", (int64_t)cczi_pf_block_node(w->block_no), "%s",
                        ccz_rc_str(rc));
    w->block_no++;
    if (slot + 1 == PF_BLOCKS_PER_MHT || w->block_no == w->layout.block_len)
        rc = end_group(w, mht, slot + 1, err);
    return rc;
}

/* ------------------------------------------------------------------------------------ interface */

/* Takes what fits from `in` to the end of the area `to` of `to_size` bytes. */
static void fill(uint8_t *to, size_t to_size, struct ccz_span *in)
{
    size_t n = in->size < to_size ? in->size : to_size;
    if (n > 0)
        memcpy(to, in->ptr, n);
    in->ptr += n;
    in->size -= n;
}

static ccz_rc put(struct ccz_pf_writer *w, struct ccz_span in, struct ccz_err *err)
{
    uint64_t before = w->put_size;
    w->put_size += in.size;
    if (before < PF_HEAD_SIZE)
        fill(w->plain->meta.head + before, PF_HEAD_SIZE - (size_t)before, &in);

    ccz_rc rc = CCZ_OK;
    while (in.size > 0 && rc == CCZ_OK) {
        if (w->block_size == 0 && in.size >= PF_NODE_SIZE) {
            rc = put_block(w, in.ptr, err); /* no copy */
            in.ptr += PF_NODE_SIZE;
            in.size -= PF_NODE_SIZE;
            continue;
        }
        size_t had = in.size;
        fill(w->plain->block + w->block_size, PF_NODE_SIZE - w->block_size, &in);
        w->block_size += had - in.size;
        if (w->block_size == PF_NODE_SIZE) {
            rc = put_block(w, w->plain->block, err);
            w->block_size = 0;
        }
    }
    return rc;
}

ccz_rc ccz_pf_writer_put(struct ccz_pf_writer *w, struct ccz_span in, struct ccz_err *err)
{
    if (w->failed)
        return ccz_fail(err, CCZ_E_ARG, "pf:writer", 0, "%s: an earlier call failed", w->name.text);
    ccz_rc rc;
    if (in.size > w->plain->meta.plain_size - w->put_size)
        rc = ccz_fail(err, CCZ_E_ARG, "pf:write-size", (int64_t)w->put_size,
                      "%s: more than the announced %llu bytes", w->name.text,
                      (unsigned long long)w->plain->meta.plain_size);
    else
        rc = put(w, in, err);
    w->failed = rc != CCZ_OK;
    return rc;
}

/* Last block, MHT nodes with children, node 0. */
static ccz_rc finish(struct ccz_pf_writer *w, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (w->block_size > 0) {
        memset(w->plain->block + w->block_size, 0, PF_NODE_SIZE - w->block_size);
        rc = put_block(w, w->plain->block, err);
    }
    for (uint64_t mht = w->inner_len; mht-- > 0 && rc == CCZ_OK;) {
        rc = ccz_random(w->plain->node_key[0], CCZ_PF_KEY_SIZE);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "pf:crypto", 0, "%s", ccz_rc_str(rc));
        rc = seal_mht(w, mht, err);
        if (rc == CCZ_OK)
            rc = write_nodes(w, cczi_pf_mht_node(mht), w->group[0], 1, err);
    }
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_pf_meta_seal(w->group[0], w->aead, &w->plain->meta, w->plain->key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:crypto", 0, "%s", ccz_rc_str(rc));
    rc = write_nodes(w, 0, w->group[0], 1, err);
    if (rc != CCZ_OK)
        return rc;
    rc = w->io.flush(w->io.arg, err);
    return rc == CCZ_OK ? CCZ_OK : cczi_pf_io_fail(err, rc, &w->name);
}

ccz_rc ccz_pf_writer_finish(struct ccz_pf_writer *w, struct ccz_err *err)
{
    if (w->failed)
        return ccz_fail(err, CCZ_E_ARG, "pf:writer", 0, "%s: an earlier call failed", w->name.text);
    w->failed = true; /* finished: nothing may follow, a node key is used once */
    if (w->put_size != w->plain->meta.plain_size)
        return ccz_fail(err, CCZ_E_ARG, "pf:write-size", (int64_t)w->put_size,
                        "%s: %llu of the announced %llu bytes were written", w->name.text,
                        (unsigned long long)w->put_size,
                        (unsigned long long)w->plain->meta.plain_size);
    return finish(w, err);
}
