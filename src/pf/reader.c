/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: node 0 at open, MHT nodes on the way to a block, blocks when asked for. Nothing leaves
 * this file before its tag was checked against the entry in its (checked) parent. */
#include "pf_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MHT_SLOTS_MAX 64 /* 256 KiB; one slot serves 384 KiB of plaintext */
#define NONE          UINT64_MAX

/* Everything decrypted that outlives a call, in one piece of secret memory. */
struct plain {
    struct cczi_pf_meta meta;
    uint8_t block[PF_NODE_SIZE]; /* the last block that was read in part */
    struct cczi_pf_mht mht[];    /* slot m % slot_len holds MHT node m, or another of its class */
};

struct ccz_pf_reader {
    struct ccz_pf_io io;
    struct cczi_pf_name name;
    struct ccz_aead *aead;
    struct ccz_secret *memory; /* holds *plain */
    struct plain *plain;
    struct cczi_pf_layout layout;
    uint64_t block_no; /* which block plain->block is, or NONE */
    size_t slot_len;
    uint64_t slot_mht[MHT_SLOTS_MAX]; /* which MHT node is in which slot, or NONE */
};

/* ------------------------------------------------------------------------------------- opening */

/* The whole file in nodes; the last word on the size is metadata, checked in check_meta(). */
static ccz_rc check_node_count(uint64_t *size, const struct ccz_pf_reader *r, struct ccz_err *err)
{
    ccz_rc rc = r->io.size(size, r->io.arg, err);
    if (rc != CCZ_OK)
        return cczi_pf_io_fail(err, rc, &r->name);
    if (*size > 0 && *size % PF_NODE_SIZE == 0)
        return CCZ_OK;
    cczi_pf_refuse(err, CCZ_E_FORMAT, "pf:file-size", &r->name, *size / PF_NODE_SIZE,
                   "a multiple of 4096 bytes, not 0", "has %llu bytes", (unsigned long long)*size);
    return ccz_hint(err, CCZ_E_FORMAT, "the file was cut, or it is not a protected file");
}

static ccz_rc read_meta(struct cczi_pf_meta *out, const struct ccz_pf_reader *r,
                        const struct ccz_secret *key, struct ccz_err *err)
{
    uint8_t node[PF_NODE_SIZE];
    ccz_rc rc = r->io.read_at(node, r->io.arg, 0, PF_NODE_SIZE, err);
    if (rc != CCZ_OK)
        return cczi_pf_io_fail(err, rc, &r->name);
    return cczi_pf_meta_open(out, r->aead, node, key, &r->name, err);
}

static ccz_rc check_meta(const struct cczi_pf_meta *meta, const struct ccz_pf_reader *r,
                         uint64_t size, const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    /* No tag covers the number of nodes, so it is compared with the authentic plaintext size: a
     * missing node would show late, an appended one never. */
    if (size != r->layout.cipher_size) {
        char want[CCZ_ERR_VALUE_SIZE];
        (void)snprintf(want, sizeof(want), "%llu bytes for a plaintext of %llu",
                       (unsigned long long)r->layout.cipher_size,
                       (unsigned long long)meta->plain_size);
        return cczi_pf_refuse(err, CCZ_E_FORMAT, "pf:file-size", &r->name, size / PF_NODE_SIZE,
                              want, "has %llu bytes", (unsigned long long)size);
    }
    if (!cfg->any_path_insecure && strcmp(meta->path, cfg->path) != 0) {
        char got[CCZ_ERR_VALUE_SIZE], want[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), ccz_span_str(meta->path));
        ccz_escape(want, sizeof(want), ccz_span_str(cfg->path));
        ccz_refuse(err, CCZ_E_SIG, "pf:path", got, want);
        return ccz_hint(err, CCZ_E_SIG,
                        "the file was made for another place: it was moved or swapped");
    }
    return CCZ_OK;
}

static ccz_rc mht_get(const struct cczi_pf_mht **out, struct ccz_pf_reader *r, uint64_t mht,
                      struct ccz_err *err);

/* Allocates the memory that the file needs, moves the metadata in, and checks the root. */
static ccz_rc start(struct ccz_pf_reader *r, const struct cczi_pf_meta *meta, struct ccz_err *err)
{
    r->slot_len = r->layout.mht_len < MHT_SLOTS_MAX ? (size_t)r->layout.mht_len : MHT_SLOTS_MAX;
    ccz_rc rc = ccz_secret_new(&r->memory, sizeof(struct plain) + r->slot_len * PF_NODE_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:memory", 0, "%s", ccz_rc_str(rc));
    r->plain = (struct plain *)(void *)ccz_secret_bytes(r->memory);
    r->plain->meta = *meta;
    r->block_no = NONE;
    for (size_t i = 0; i < MHT_SLOTS_MAX; i++)
        r->slot_mht[i] = NONE;
    const struct cczi_pf_mht *root;
    return r->layout.mht_len ? mht_get(&root, r, 0, err) : CCZ_OK;
}

ccz_rc ccz_pf_reader_open(struct ccz_pf_reader **out, const struct ccz_pf_io *io,
                          const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_pf_key_check(key, err);
    if (rc != CCZ_OK)
        return rc;
    if (!cfg->path && !cfg->any_path_insecure)
        return ccz_fail(err, CCZ_E_ARG, "pf:config", 0, "no path to compare the bound path with");

    CCZ_AUTO(ccz_pf_reader) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "pf:memory", 0, "no memory");
    r->io = *io;
    r->name = cczi_pf_name(cfg);
    rc = ccz_aead_new(&r->aead, CCZ_AES_128_GCM);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "pf:crypto", 0, "%s", ccz_rc_str(rc));

    uint64_t size;
    struct cczi_pf_meta meta;
    rc = check_node_count(&size, r, err);
    if (rc == CCZ_OK)
        rc = read_meta(&meta, r, key, err);
    if (rc != CCZ_OK)
        return rc;
    r->layout = cczi_pf_layout(meta.plain_size);
    rc = check_meta(&meta, r, size, cfg, err);
    if (rc == CCZ_OK)
        rc = start(r, &meta, err);
    ccz_wipe(&meta, sizeof(meta));
    if (rc == CCZ_OK)
        *out = ccz_pf_reader_take(&r);
    return rc;
}

void ccz_pf_reader_free(struct ccz_pf_reader *r)
{
    if (!r)
        return;
    ccz_secret_free(r->memory);
    ccz_aead_free(r->aead);
    free(r);
}

const struct cczi_pf_meta *cczi_pf_reader_meta(const struct ccz_pf_reader *r)
{
    return &r->plain->meta;
}

uint64_t ccz_pf_reader_size(const struct ccz_pf_reader *r)
{
    return r->plain->meta.plain_size;
}

void ccz_pf_reader_info(struct ccz_pf_info *out, const struct ccz_pf_reader *r)
{
    *out = (struct ccz_pf_info){.version = r->plain->meta.version,
                                .plain_size = r->plain->meta.plain_size,
                                .cipher_size = r->layout.cipher_size,
                                .block_len = r->layout.block_len,
                                .mht_len = r->layout.mht_len};
    memcpy(out->path, r->plain->meta.path, sizeof(out->path));
}

/* ------------------------------------------------------------------------------------ MHT nodes */

static bool is_cached(const struct ccz_pf_reader *r, uint64_t mht)
{
    return r->slot_mht[mht % r->slot_len] == mht;
}

/* A node that could not be opened: its tag is wrong, or the cipher failed. */
static ccz_rc refuse_node(struct ccz_err *err, ccz_rc rc, const struct ccz_pf_reader *r,
                          const char *where, const char *kind, uint64_t no, uint64_t node_no)
{
    if (rc != CCZ_E_SIG)
        return ccz_fail(err, rc, "pf:crypto", (int64_t)node_no, "%s", ccz_rc_str(rc));
    return cczi_pf_refuse(err, rc, where, &r->name, node_no, "the tag its parent stores",
                          "%s %llu (node %llu): tag mismatch", kind, (unsigned long long)no,
                          (unsigned long long)node_no);
}

/* Reads MHT node `mht`, whose parent is cached, into its slot. */
static ccz_rc mht_load(struct ccz_pf_reader *r, uint64_t mht, struct ccz_err *err)
{
    /* a copy: parent and child may share a slot */
    struct cczi_pf_entry entry = r->plain->meta.root;
    if (mht > 0)
        entry = r->plain->mht[cczi_pf_mht_parent(mht) % r->slot_len].entry[cczi_pf_mht_slot(mht)];

    size_t slot = (size_t)(mht % r->slot_len);
    uint8_t *node = (uint8_t *)&r->plain->mht[slot];
    uint64_t node_no = cczi_pf_mht_node(mht);
    r->slot_mht[slot] = NONE; /* until the tag is checked */
    ccz_rc rc = r->io.read_at(node, r->io.arg, node_no * PF_NODE_SIZE, PF_NODE_SIZE, err);
    if (rc != CCZ_OK) {
        ccz_wipe(&entry, sizeof(entry));
        return cczi_pf_io_fail(err, rc, &r->name);
    }
    rc = cczi_pf_node_open(r->aead, node, &entry);
    ccz_wipe(&entry, sizeof(entry));
    if (rc != CCZ_OK)
        return refuse_node(err, rc, r, "pf:mht-node", "MHT", mht, node_no);
    r->slot_mht[slot] = mht;
    return CCZ_OK;
}

/* Finds MHT node `mht`, verified; valid until the next call. Climbs to the nearest cached ancestor
 * (or to the root, whose entry is in node 0) and verifies downwards. */
static ccz_rc mht_get(const struct cczi_pf_mht **out, struct ccz_pf_reader *r, uint64_t mht,
                      struct ccz_err *err)
{
    uint64_t todo[PF_MHT_DEPTH_MAX];
    size_t len = 0;
    for (uint64_t m = mht; !is_cached(r, m); m = cczi_pf_mht_parent(m)) {
        todo[len++] = m;
        if (m == 0)
            break;
    }
    ccz_rc rc = CCZ_OK;
    while (len > 0 && rc == CCZ_OK)
        rc = mht_load(r, todo[--len], err);
    *out = &r->plain->mht[mht % r->slot_len];
    return rc;
}

/* --------------------------------------------------------------------------------------- blocks */

/* Reads and verifies `len` neighbouring blocks of one MHT node into `out`, in place: one read of at
 * most 384 KiB, decrypted while it is in the L2 cache. */
static ccz_rc read_run(uint8_t *out, struct ccz_pf_reader *r, uint64_t block, size_t len,
                       struct ccz_err *err)
{
    const struct cczi_pf_mht *mht;
    ccz_rc rc = mht_get(&mht, r, block / PF_BLOCKS_PER_MHT, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t node_no = cczi_pf_block_node(block);
    rc = r->io.read_at(out, r->io.arg, node_no * PF_NODE_SIZE, len * PF_NODE_SIZE, err);
    if (rc != CCZ_OK)
        return cczi_pf_io_fail(err, rc, &r->name);
    const struct cczi_pf_entry *entry = &mht->entry[block % PF_BLOCKS_PER_MHT];
    for (size_t i = 0; i < len; i++) {
        rc = cczi_pf_node_open(r->aead, out + i * PF_NODE_SIZE, &entry[i]);
        if (rc != CCZ_OK)
            return refuse_node(err, rc, r, "pf:data-node", "block", block + i, node_no + i);
    }
    return CCZ_OK;
}

/* Whole blocks that one run can read at `offset`, counted behind the head; 0: read a part. */
static size_t run_len(uint64_t offset, size_t size)
{
    uint64_t block = offset / PF_NODE_SIZE;
    size_t len = size / PF_NODE_SIZE;
    size_t to_end = PF_BLOCKS_PER_MHT - (size_t)(block % PF_BLOCKS_PER_MHT);
    if (offset % PF_NODE_SIZE != 0)
        return 0;
    return len < to_end ? len : to_end;
}

/* As much as one step gives: a run of whole blocks, or a part of one. */
static ccz_rc read_step(size_t *done, uint8_t *out, struct ccz_pf_reader *r, uint64_t offset,
                        size_t size, struct ccz_err *err)
{
    uint64_t block = offset / PF_NODE_SIZE;
    size_t run = run_len(offset, size);
    if (run > 0) {
        *done = run * PF_NODE_SIZE;
        return read_run(out, r, block, run, err);
    }
    size_t skip = (size_t)(offset % PF_NODE_SIZE);
    *done = PF_NODE_SIZE - skip < size ? PF_NODE_SIZE - skip : size;
    if (r->block_no != block) {
        r->block_no = NONE;
        ccz_rc rc = read_run(r->plain->block, r, block, 1, err);
        if (rc != CCZ_OK)
            return rc;
        r->block_no = block;
    }
    memcpy(out, r->plain->block + skip, *done);
    return CCZ_OK;
}

ccz_rc ccz_pf_reader_read(void *out, struct ccz_pf_reader *r, uint64_t offset, size_t size,
                          struct ccz_err *err)
{
    const struct cczi_pf_meta *meta = &r->plain->meta;
    if (offset > meta->plain_size || size > meta->plain_size - offset) {
        memset(out, 0, size);
        return ccz_fail(err, CCZ_E_ARG, "pf:read-range", (int64_t)offset,
                        "%s has %llu bytes: no %zu bytes at %llu", r->name.text,
                        (unsigned long long)meta->plain_size, size, (unsigned long long)offset);
    }
    uint8_t *p = out;
    size_t left = size;
    if (offset < PF_HEAD_SIZE) {
        size_t in_head = PF_HEAD_SIZE - (size_t)offset, n = in_head < left ? in_head : left;
        memcpy(p, meta->head + offset, n);
        p += n;
        offset += n;
        left -= n;
    }
    while (left > 0) {
        size_t n = 0;
        ccz_rc rc = read_step(&n, p, r, offset - PF_HEAD_SIZE, left, err);
        if (rc != CCZ_OK) {
            ccz_wipe(out, size); /* verified or not: all or nothing */
            return rc;
        }
        p += n;
        offset += n;
        left -= n;
    }
    return CCZ_OK;
}
