/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PF_H
#define CCZ_PF_H
/**
 * @file pf.h
 * Protected files: the encrypted file format of Gramine, read (v1, v2) and written (v1, v2).
 * Reading order of the sources: layout.h, path.c, meta.c, reader.c, writer.c, rekey.c, io.c, file.c,
 * tree.c. Why it judges more strictly than Gramine: docs/design/protected-files.md.
 *
 * Terms. A protected file is a row of 4096-byte nodes. Node 0 holds version, nonce, tag and the
 * encrypted metadata: bound path, plaintext size, key and tag of the root, and the first 3072
 * plaintext bytes (the head). The rest of the plaintext lies in blocks of 4096 bytes, each encrypted
 * under its own random key; MHT nodes hold keys and tags of 96 blocks and of 32 further MHT nodes.
 * Errors count blocks and MHT nodes from 0 in plaintext order, and name the node too (node * 4096 is
 * the file offset). One 16-byte key (Gramine: KDK, wrap key) opens node 0 and so everything else.
 *
 * What the format gives: confidentiality and integrity of the contents, and a binding to a path, so
 * that the host cannot swap files. What it does not give: it does not hide the size or the access
 * pattern, and it does not detect that a whole file was put back to an older state (rollback).
 *
 * Reader, writer and rekey work over a callback and touch nothing else (the writer draws keys with
 * ccz_random()). Every object is used by one thread at a time; two objects are independent.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PF_KEY_SIZE      16
#define CCZ_PF_NODE_SIZE     4096
#define CCZ_PF_PATH_SIZE_MAX 771 /**< bytes of a bound path, without its NUL */
/** Largest plaintext accepted (bytes); the format itself has no limit. */
#define CCZ_PF_SIZE_MAX (UINT64_C(1) << 60)

/**
 * The bytes of a protected file, wherever they are. Offsets and sizes in bytes; a callback returns
 * CCZ_OK or fills @p err. The reader calls `read_at` and `size`, the writer `write_at`, `truncate` and
 * `flush`, rekey all but `truncate`; the others may be NULL.
 * Everything read is untrusted: it is copied once, verified and used from that copy.
 */
struct ccz_pf_io {
    /** Exactly @p size bytes at @p offset; fewer is CCZ_E_IO. */
    ccz_rc (*read_at)(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err);
    ccz_rc (*write_at)(void *arg, uint64_t offset, struct ccz_span in, struct ccz_err *err);
    ccz_rc (*size)(uint64_t *out, void *arg, struct ccz_err *err);
    /** Cuts or extends with zeros to exactly @p size bytes. */
    ccz_rc (*truncate)(void *arg, uint64_t size, struct ccz_err *err);
    /** Returns when all writes are durable. */
    ccz_rc (*flush)(void *arg, struct ccz_err *err);
    void *arg;
};
/** An open file. @param fd  borrowed: must outlive the returned value and everything made from it */
CCZ_API struct ccz_pf_io ccz_pf_io_fd(const int *fd);
/** A file image in memory; the writer sizes it, up to its max_size. @param b  borrowed */
CCZ_API struct ccz_pf_io ccz_pf_io_buf(struct ccz_buf *b);

/** One configuration for all calls; each says which fields it uses. All-zero is the strict one. */
struct ccz_pf_cfg {
    /** Bound path, compared byte for byte (as Gramine does): give what ccz_pf_path_normalise()
     *  returns. For trees: the bound path of the top folder. */
    const char *path;
    /** Reading only: accept a file bound to any path. Who can move files may then swap them. */
    bool any_path_insecure;
    /** Writing only: 1, 2, or 0 for the default 1, which every Gramine version reads. */
    uint8_t version;
    /** Whole-file calls: an existing output is replaced (atomically) instead of refused. */
    bool replace;
    /** How errors call the file; NULL: the path. Whole-file and tree calls use the real name. */
    const char *name;
    /** Trees: told after each finished file; may be NULL. */
    void (*on_file)(void *arg, const char *rel, uint64_t plain_size);
    void *arg;
};

/* ---------------------------------------------------------------------------------------- keys */

/** A fresh random key. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_key_generate(struct ccz_secret **out, struct ccz_err *err);
/** Reads a key file: exactly 16 raw bytes, no permission for group and others. where = "pf:key-size" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_key_load(struct ccz_secret **out, const char *path,
                                            struct ccz_err *err);
/** Writes a key file, mode 0600. @retval CCZ_E_EXISTS  never overwrites */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_key_save(const struct ccz_secret *key, const char *path,
                                            struct ccz_err *err);

/**
 * Lexical normal form of a path, as Gramine forms the bound path from a manifest URI: no "." and no
 * empty components, ".." taken back (kept in front of a relative path, dropped at the root), no
 * trailing slash. Relative stays relative; no file system is asked.
 * @retval CCZ_E_ARG    nothing remains ("", ".", "a/..")
 * @retval CCZ_E_LIMIT  longer than CCZ_PF_PATH_SIZE_MAX    where = "pf:path-size"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_path_normalise(char out[CCZ_PF_PATH_SIZE_MAX + 1],
                                                  const char *path, struct ccz_err *err);

/* -------------------------------------------------------------------------------------- reading */

struct ccz_pf_info {
    uint8_t version;                     /**< 1 or 2 */
    uint64_t plain_size;                 /**< bytes of plaintext */
    uint64_t cipher_size;                /**< bytes of the protected file, a multiple of 4096 */
    uint64_t block_len;                  /**< blocks after the head */
    uint64_t mht_len;                    /**< MHT nodes */
    char path[CCZ_PF_PATH_SIZE_MAX + 1]; /**< bound path, authentic but not escaped for display */
};

/** Random-access reader: checks each node the first time it is needed, keeps checked MHT nodes. */
struct ccz_pf_reader;
/**
 * Opens a protected file: verifies node 0, that the file has exactly the nodes its size asks for, the
 * bound path, and the root MHT node. Blocks are verified when they are read.
 * @param[out] out  owned by the caller
 * @param io   copied; what it points to is borrowed until ccz_pf_reader_free()
 * @param key  16 bytes, not kept
 * @param cfg  path (required), any_path_insecure (then path is not looked at), name
 * @retval CCZ_E_FORMAT       pf:file-size, pf:magic, pf:padding, pf:pending-write, pf:path-field
 * @retval CCZ_E_UNSUPPORTED  pf:version, pf:minor, pf:feature-flags
 * @retval CCZ_E_SIG          pf:metadata (wrong key or changed node 0), pf:path, pf:mht-node
 * @retval CCZ_E_LIMIT        pf:plain-size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_reader_open(struct ccz_pf_reader **out,
                                               const struct ccz_pf_io *io,
                                               const struct ccz_secret *key,
                                               const struct ccz_pf_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_pf_reader_free(struct ccz_pf_reader *r);
CCZ_DEFINE_AUTO(ccz_pf_reader)
CCZ_API uint64_t ccz_pf_reader_size(const struct ccz_pf_reader *r); /**< bytes of plaintext */
CCZ_API void ccz_pf_reader_info(struct ccz_pf_info *out, const struct ccz_pf_reader *r);
/**
 * Exactly @p size plaintext bytes from @p offset; all of them verified, or none: on failure @p out
 * is zeroed. Fastest for long reads that start at 3072 + k * 4096.
 * @param[out] out  private memory: it holds unverified bytes while the call runs
 * @retval CCZ_E_ARG  the range ends behind the file           where = "pf:read-range"
 * @retval CCZ_E_SIG  a node does not match the tag its parent stores     pf:data-node, pf:mht-node
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_reader_read(void *out, struct ccz_pf_reader *r, uint64_t offset,
                                               size_t size, struct ccz_err *err);

/* -------------------------------------------------------------------------------------- writing */

/**
 * Sequential writer: fresh random key for every node, each node encrypted and written once, node 0
 * last. Until ccz_pf_writer_finish() returns CCZ_OK the output is not a valid protected file.
 */
struct ccz_pf_writer;
/**
 * @param io    copied; truncated to the final size at once
 * @param size  plaintext bytes that will follow, at most CCZ_PF_SIZE_MAX; exactly that many must come.
 *              Known in advance, so that only 1/3072 of it is held in memory until the end.
 * @param key   16 bytes, copied
 * @param cfg   path (required, in normal form), version, name
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_writer_new(struct ccz_pf_writer **out,
                                              const struct ccz_pf_io *io, uint64_t size,
                                              const struct ccz_secret *key,
                                              const struct ccz_pf_cfg *cfg, struct ccz_err *err);
/** Appends plaintext. @retval CCZ_E_ARG  more than announced   where = "pf:write-size" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_writer_put(struct ccz_pf_writer *w, struct ccz_span in,
                                              struct ccz_err *err);
/** Writes what is left, node 0 last, and flushes. @retval CCZ_E_ARG  less than announced */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_writer_finish(struct ccz_pf_writer *w, struct ccz_err *err);
CCZ_API void ccz_pf_writer_free(struct ccz_pf_writer *w);
CCZ_DEFINE_AUTO(ccz_pf_writer)

/**
 * Puts a file under another key by rewriting node 0 alone, whatever its size. @p cfg is as for
 * ccz_pf_reader_open(). The version stays.
 * Who kept the old key and an old copy of node 0 still knows the keys of all unchanged nodes: after a
 * key leaked, encrypt the file anew. Node 0 is overwritten in place, so a power failure inside that
 * one 4096-byte write can cost the file: keep a copy until the call returns.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_rekey(const struct ccz_pf_io *io,
                                         const struct ccz_secret *old_key,
                                         const struct ccz_secret *new_key,
                                         const struct ccz_pf_cfg *cfg, struct ccz_err *err);

/* --------------------------------------------------------------------------- whole files, trees */

/* Outputs appear by rename once they are complete, durable and (decryption) verified to the last
 * byte; a failure leaves nothing behind and an existing output untouched. Inputs must be regular
 * files: a symbolic link or special file is refused (pf:file-type). cfg->name is not used. */

/**
 * @param cfg  path (NULL: @p out_path, normalised, as Gramine's tool binds it), version, replace
 * @retval CCZ_E_EXISTS  @p out_path exists and cfg->replace is not set
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_encrypt_file(const char *out_path, const char *in_path,
                                                const struct ccz_secret *key,
                                                const struct ccz_pf_cfg *cfg, struct ccz_err *err);
/** The plaintext file gets mode 0600. @param cfg  path or any_path_insecure, replace */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_decrypt_file(const char *out_path, const char *in_path,
                                                const struct ccz_secret *key,
                                                const struct ccz_pf_cfg *cfg, struct ccz_err *err);
/** Appends the plaintext to @p out; nothing touches the disk. where = "pf:buf-size" if it does not fit.
 *  @param out  set its `wipe` when the plaintext is secret  @param cfg  path or any_path_insecure */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_decrypt_to_buf(struct ccz_buf *out, const char *in_path,
                                                  const struct ccz_secret *key,
                                                  const struct ccz_pf_cfg *cfg,
                                                  struct ccz_err *err);
/** Verifies node 0 and the root only. @param cfg  path or any_path_insecure */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_inspect_file(struct ccz_pf_info *out, const char *in_path,
                                                const struct ccz_secret *key,
                                                const struct ccz_pf_cfg *cfg, struct ccz_err *err);

/**
 * Encrypts a folder with all its sub-folders. The file at REL below @p in_dir is bound to
 * "<path>/REL", normalised, with path = cfg->path, or @p out_dir when that is NULL.
 * @p out_dir must not exist. @p cfg: path, version, on_file.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_encrypt_tree(const char *out_dir, const char *in_dir,
                                                const struct ccz_secret *key,
                                                const struct ccz_pf_cfg *cfg, struct ccz_err *err);
/** The inverse; every file must be bound to "<path>/REL". @param cfg  path or any_path_insecure, on_file */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_decrypt_tree(const char *out_dir, const char *in_dir,
                                                const struct ccz_secret *key,
                                                const struct ccz_pf_cfg *cfg, struct ccz_err *err);

/**
 * Calls @p visit for every regular file below @p dir (name relative to it, '/' between components,
 * sorted within a folder, no symbolic links followed). Ends at the first failure.
 * For callers that load a protected folder into memory with ccz_pf_decrypt_to_buf().
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pf_tree_walk(const char *dir,
                                             ccz_rc (*visit)(void *arg, const char *rel,
                                                             struct ccz_err *err),
                                             void *arg, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
