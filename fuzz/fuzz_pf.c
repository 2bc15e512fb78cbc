/* SPDX-License-Identifier: Apache-2.0 */
/* Protected files under one fixed key. The first byte of the input chooses:
 * - 0: the rest is the file. Plaintext that comes out follows the rule of the seeds, the only
 *   files that were ever made with this key.
 * - 1, 2: the rest is a list of changes, five bytes each, to a good file of version 1 or 2. It is
 *   accepted if and only if the changes left it as it was.
 * - 3: the rest is a metadata block, sealed with the key, and the nodes behind it: what only the
 *   holder of the key can send. No call may fail in another way than by its return code. */
#include "pf/pf_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BASE_SIZE = 3072 + 97 * 4096 - 100, FILE_SIZE_MAX = 1 << 20 };

static const struct ccz_pf_cfg any = {.any_path_insecure = true};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_secret *fixed_key(void)
{
    static struct ccz_secret *key; /* zeros */
    if (!key)
        must(ccz_secret_new(&key, CCZ_PF_KEY_SIZE) == CCZ_OK);
    return key;
}

/* The plaintext of all seeds: byte i is a function of i alone. */
static uint8_t rule(uint64_t i)
{
    return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

/* A good file of BASE_SIZE bytes, made once. */
static const struct ccz_buf *base(uint8_t version)
{
    static struct ccz_buf files[3];
    struct ccz_buf *b = &files[version];
    if (b->size > 0)
        return b;
    static uint8_t plain[BASE_SIZE];
    for (size_t i = 0; i < BASE_SIZE; i++)
        plain[i] = rule(i);
    ccz_buf_init(b, FILE_SIZE_MAX);
    struct ccz_pf_io io = ccz_pf_io_buf(b);
    struct ccz_pf_cfg cfg = {.path = "base", .version = version};
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    must(ccz_pf_writer_new(&w, &io, BASE_SIZE, fixed_key(), &cfg, NULL) == CCZ_OK);
    must(ccz_pf_writer_put(w, CCZ_SPAN(plain, BASE_SIZE), NULL) == CCZ_OK);
    must(ccz_pf_writer_finish(w, NULL) == CCZ_OK);
    return b;
}

/* Reads all of it; true: accepted to the last byte. */
static bool read_all(struct ccz_buf *file, bool by_rule)
{
    struct ccz_err err;
    struct ccz_pf_io io = ccz_pf_io_buf(file);
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    if (ccz_pf_reader_open(&r, &io, fixed_key(), &any, &err) != CCZ_OK) {
        must(r == NULL && err.rc != CCZ_OK && err.where[0]);
        return false;
    }
    static uint8_t out[20000];
    uint64_t size = ccz_pf_reader_size(r);
    must(cczi_pf_layout(size).cipher_size == file->size);
    for (uint64_t at = 0; at < size; at += sizeof(out)) {
        size_t n = size - at < sizeof(out) ? (size_t)(size - at) : sizeof(out);
        memset(out, 0xa5, sizeof(out));
        ccz_rc rc = ccz_pf_reader_read(out, r, at, n, &err);
        for (size_t i = 0; i < n; i++)
            must(rc != CCZ_OK ? out[i] == 0 : !by_rule || out[i] == rule(at + i));
        if (rc != CCZ_OK)
            return false;
    }
    return true;
}

static void change(struct ccz_buf *file, uint8_t op, uint16_t a, uint16_t b)
{
    size_t at = ((size_t)b << 16 | a) % (file->size ? file->size : 1);
    uint8_t node[PF_NODE_SIZE];
    if (file->size < PF_NODE_SIZE || op % 4 == 0) { /* another size, zeros appended */
        size_t size = ((size_t)b << 16 | a) % (2 * BASE_SIZE), had = file->size;
        file->size = size;
        if (size > had)
            memset(file->ptr + had, 0, size - had);
    } else if (op % 4 == 1) { /* two nodes exchanged */
        uint8_t *x = file->ptr + a % (file->size / PF_NODE_SIZE) * PF_NODE_SIZE;
        uint8_t *y = file->ptr + b % (file->size / PF_NODE_SIZE) * PF_NODE_SIZE;
        memcpy(node, x, PF_NODE_SIZE);
        memmove(x, y, PF_NODE_SIZE);
        memcpy(y, node, PF_NODE_SIZE);
    } else {
        file->ptr[at] ^= op;
    }
}

static void run_changes(uint8_t version, struct ccz_rd *r)
{
    const struct ccz_buf *good = base(version);
    static uint8_t memory[2 * BASE_SIZE];
    struct ccz_buf file = {.ptr = memory, .size = good->size, .max_size = sizeof(memory)};
    memcpy(memory, good->ptr, good->size);
    while (r->left >= 5) {
        uint8_t op = ccz_rd_u8(r);
        uint16_t a = ccz_rd_le16(r);
        change(&file, op, a, ccz_rd_le16(r));
    }
    bool same = file.size == good->size && memcmp(file.ptr, good->ptr, good->size) == 0;
    must(read_all(&file, true) == same);
}

static void run_sealed(struct ccz_rd *r)
{
    static uint8_t memory[FILE_SIZE_MAX];
    struct cczi_pf_meta meta = {.version = (uint8_t)(1 + ccz_rd_u8(r) % 2)};
    meta.plain_size = ccz_rd_le64(r);
    ccz_rd_copy(r, meta.root.key, sizeof(meta.root.key));
    ccz_rd_copy(r, meta.root.tag, sizeof(meta.root.tag));
    struct ccz_span path = ccz_rd_take(r, ccz_rd_le16(r) % (PF_PATH_FIELD_SIZE + 1));
    if (path.size)
        memcpy(meta.path, path.ptr, path.size);

    CCZ_AUTO(ccz_aead) aead = NULL;
    must(ccz_aead_new(&aead, CCZ_AES_128_GCM) == CCZ_OK);
    must(cczi_pf_meta_seal(memory, aead, &meta, ccz_secret_view(fixed_key())) == CCZ_OK);
    struct ccz_span rest = ccz_rd_take(r, r->left);
    struct ccz_buf file = {
        .ptr = memory, .size = PF_NODE_SIZE + rest.size, .max_size = sizeof(memory)};
    if (rest.size > sizeof(memory) - PF_NODE_SIZE)
        return;
    if (rest.size)
        memcpy(memory + PF_NODE_SIZE, rest.ptr, rest.size);
    (void)read_all(&file, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(data, size));
    uint8_t mode = ccz_rd_u8(&r) % 4;
    if (mode == 1 || mode == 2) {
        run_changes(mode, &r);
    } else if (mode == 3) {
        run_sealed(&r);
    } else { /* the storage reads only: the input may stay where it is */
        struct ccz_span rest = ccz_rd_take(&r, r.left);
        struct ccz_buf file = {.ptr = (uint8_t *)(uintptr_t)rest.ptr, .size = rest.size};
        (void)read_all(&file, true);
    }
    return 0;
}
