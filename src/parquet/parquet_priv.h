/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PARQUET_PRIV_H
#define CCZI_PARQUET_PRIV_H
/**
 * The encryption hook and what the files of this module share.
 *
 * Every module (in the sense of Modular Encryption: a piece of the file that is encrypted alone) passes through struct ccz_pq_crypt.
 * This side knows where modules are, what their plain bytes mean and what Thrift says of keys; the hook knows keys, nonces, AAD and
 * the bytes of an encrypted module.
 *
 * Reading, in this order:
 *   begin()    once per file, with what FileCryptoMetaData (PARE) or the footer's fields 8 and 9 (PAR1, signed) say, or with kind PLAIN. The
 *              place for "encryption is required": refuse PLAIN there.
 *   open()     of the footer (PARE), or verify() of the footer's bytes (PAR1, signed)
 *   ready()    once, when the footer is known to be genuine and is parsed: whether columns have the keys that they must have
 *   open()     of ColumnMetaData in ColumnChunk.encrypted_column_metadata, if that is there; each time that a scan or an info needs the chunk
 *   open()     of page headers and pages, indexes, Bloom filters, of chunks whose key is not KEY_NONE
 *   plain()    of a chunk whose key is KEY_NONE, in a file that is not PLAIN: before its first page, index or filter is read
 *   end()      once
 * Writing:
 *   begin_write()  once per file: the hook fills what the file will say
 *   column_key()   once per column
 *   seal()     of pages, then their headers (so that a header has the encrypted size), of ColumnMetaData, of the footer
 *   sign()     of the footer of a signed PAR1 file
 *   end()
 * open(), plain(): from any number of threads at once (scans of one reader). The rest: from one.
 * A chunk whose key cannot be had is refused by open() of its first module, so that the other columns stay readable.
 */
#include <cczoo/parquet.h>

/** Numbers are those that the AAD has. @source Encryption.md 4.4.2 */
enum cczi_pq_module {
    CCZI_PQ_FOOTER = 0,
    CCZI_PQ_COLUMN_META = 1,
    CCZI_PQ_DATA_PAGE = 2,
    CCZI_PQ_DICT_PAGE = 3,
    CCZI_PQ_DATA_PAGE_HEADER = 4,
    CCZI_PQ_DICT_PAGE_HEADER = 5,
    CCZI_PQ_COLUMN_INDEX = 6,
    CCZI_PQ_OFFSET_INDEX = 7,
    CCZI_PQ_BLOOM_HEADER = 8,
    CCZI_PQ_BLOOM_BITSET = 9,
    CCZI_PQ_MODULES_LEN = 10
};

/** ColumnCryptoMetaData of a chunk. */
struct cczi_pq_key {
    enum ccz_pq_key kind;
    struct ccz_span metadata; /**< key_metadata of KEY_COLUMN; empty: not there */
    const char *path;         /**< dotted path of the column, as in the schema; never NULL */
};

/** Which module. Ordinals that a module has not are -1. */
struct cczi_pq_at {
    enum cczi_pq_module module;
    int32_t row_group; /**< all but the footer */
    int32_t column;    /**< all but the footer */
    int32_t
        page; /**< data pages and their headers: from 0 in the chunk, dictionary pages not counted */
    struct cczi_pq_key key; /**< of the footer: KEY_FOOTER with path "" */
};

enum cczi_pq_file_kind {
    CCZI_PQ_FILE_PLAIN = 0, /**< PAR1 without any encryption */
    CCZI_PQ_FILE_SIGNED,    /**< PAR1, footer in clear with nonce and tag behind it */
    CCZI_PQ_FILE_ENCRYPTED  /**< PARE */
};
enum cczi_pq_algorithm { CCZI_PQ_GCM_V1 = 1, CCZI_PQ_GCM_CTR_V1 = 2 }; /**< fields of the union */
/** FileCryptoMetaData, or fields 8 and 9 of FileMetaData. Spans: reading, borrowed during begin(); writing, from begin_write() to end(). */
struct cczi_pq_file_crypt {
    enum cczi_pq_file_kind kind;
    enum cczi_pq_algorithm algorithm;
    bool has_aad_prefix; /**< told apart from an empty one */
    struct ccz_span aad_prefix;
    struct ccz_span aad_file_unique;
    bool supply_aad_prefix;
    struct ccz_span key_metadata; /**< of the footer's key; empty: not there */
};

#define CCZI_PQ_SIGNATURE_SIZE 28 /* nonce and tag behind a signed footer */

/** The public opaque type: parquet_crypt.h makes objects that begin with it. Functions that a direction does not need may be NULL. */
struct ccz_pq_crypt {
    void *arg;
    /** @param[out] file  state of this file, given to the functions below */
    ccz_rc (*begin)(void **file, void *arg, const struct cczi_pq_file_crypt *crypt,
                    struct ccz_err *err);
    /** Appends the plain bytes. @param in  the whole module with its 4 bytes of length, at least that long; the length is not checked yet */
    ccz_rc (*open)(struct ccz_buf *out, void *file, const struct cczi_pq_at *at, struct ccz_span in,
                   struct ccz_err *err);
    /** Keys of columns, as the footer has them, against what is demanded. NULL: nothing is */
    ccz_rc (*ready)(void *file, const struct ccz_pq_reader *r, struct ccz_err *err);
    /** Whether a chunk in clear may be read. @param at  module CCZI_PQ_DATA_PAGE, page -1. NULL: it may */
    ccz_rc (*plain)(void *file, const struct cczi_pq_at *at, struct ccz_err *err);
    /** @param footer  bytes of FileMetaData  @param signature  CCZI_PQ_SIGNATURE_SIZE bytes */
    ccz_rc (*verify)(void *file, struct ccz_span footer, struct ccz_span signature,
                     struct ccz_err *err);
    ccz_rc (*begin_write)(void **file, struct cczi_pq_file_crypt *crypt, void *arg,
                          struct ccz_err *err);
    /** Key of a column to be written: kind and metadata (borrowed until end()). @param path  the dotted path @param name  of the top-level field */
    ccz_rc (*column_key)(enum ccz_pq_key *kind, struct ccz_span *metadata, void *file,
                         const char *path, const char *name, struct ccz_err *err);
    /** Appends the module, its 4 bytes of length first. */
    ccz_rc (*seal)(struct ccz_buf *out, void *file, const struct cczi_pq_at *at, struct ccz_span in,
                   struct ccz_err *err);
    /** Appends CCZI_PQ_SIGNATURE_SIZE bytes. */
    ccz_rc (*sign)(struct ccz_buf *out, void *file, struct ccz_span footer, struct ccz_err *err);
    void (*end)(void *file); /**< NULL is fine */
};

/** `where` of what is refused in a module: "parquet:data-page". */
const char *cczi_pq_where(enum cczi_pq_module module);
/* The footer as a module. */
struct cczi_pq_at cczi_pq_at_footer(void);
#define CCZI_PQ_AT_SIZE 128
/** "row group 0, column rating, page 3", escaped. @return out */
const char *cczi_pq_at_text(char out[CCZI_PQ_AT_SIZE], const struct cczi_pq_at *at);
/** ccz_fail() with where and place of a module: "<place>: <what>", aux = page, or row group, or -1. */
ccz_rc cczi_pq_fail(struct ccz_err *err, ccz_rc rc, const struct cczi_pq_at *at, const char *what);

#endif
