/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PARQUET_H
#define CCZ_PARQUET_H
/**
 * @file parquet.h
 * Apache Parquet: tables of columns, read and written in bounded memory. Encryption of it: parquet_crypt.h.
 * Reading order of the sources: parquet_priv.h, thrift.c, schema.c, footer.c, stats.c, hybrid.c, delta.c, codec.c, page.c, values.c,
 * cursor.c, reader.c, verify.c, encode.c, column.c, footer_put.c, writer.c, io.c. What is read, written and refused: docs/design/parquet.md.
 *
 * Terms. A file has *rows*, cut into *row groups*; a row group has one *chunk* per column; a chunk is a row of *pages*. A column is *flat*
 * (one value in a row) or a *list* (any number of elements in a row). A value, a list or an element may be *null* if the schema
 * calls it optional. Columns of other shapes (structs, maps, lists of lists) are described and cannot be read; the others of that file can.
 *
 * Life cycle of reading: ccz_pq_reader_open(), ccz_pq_find() for columns by name, ccz_pq_scan_open(), ccz_pq_scan_next() until a batch has no
 * rows. Of writing: ccz_pq_writer_new(), ccz_pq_writer_put() as often as you like, ccz_pq_writer_finish().
 * Everything that is read is untrusted: a malformed file is refused by name, with the place as text ("row group 0, column rating, page 3").
 *
 * Memory. A reader keeps the footer (up to footer_size_max); a scan keeps for each of its columns up to three pages, a dictionary and
 * one batch; a writer keeps one row group in encoded form. Nothing grows with the number of rows but the footer, by row groups.
 *
 * Threads: a reader does not change once it is open, so that several scans of it may run in several threads if its
 * `read_at` may be called so. A scan and a writer are used by one thread at a time.
 * @source apache/parquet-format: parquet.thrift, Encodings.md, LogicalTypes.md, Compression.md, Encryption.md
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PQ_COLUMNS_MAX       10000     /**< leaves of a schema */
#define CCZ_PQ_ROW_GROUPS_MAX    1000000   /**< row groups of a file that is read */
#define CCZ_PQ_NAME_SIZE_MAX     1024      /**< bytes of a column's dotted path */
#define CCZ_PQ_PAGE_VALUES_MAX   134217728 /**< values of one page: 2^27 */
#define CCZ_PQ_VALUE_SIZE_MAX    16777216  /**< bytes of one BYTE_ARRAY or FIXED value: 16 MiB */
#define CCZ_PQ_BATCH_ROWS_MAX    1048576   /**< rows of one batch that is read */
#define CCZ_PQ_META_LEN_MAX      1000      /**< pairs of key and value in a footer */
#define CCZ_PQ_CRYPT_ORDINAL_MAX 32767     /**< row groups, columns, pages of an encrypted file */

/* --------------------------------------------------------------------------------------- bytes */

/** A file that is read. Offsets and sizes in bytes; a callback returns CCZ_OK or fills @p err. */
struct ccz_pq_source {
    /** Exactly @p size bytes at @p offset; fewer is CCZ_E_IO. */
    ccz_rc (*read_at)(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err);
    ccz_rc (*size)(uint64_t *out, void *arg, struct ccz_err *err);
    void *arg;
};
/** A file that is written, from its begin to its end. */
struct ccz_pq_sink {
    ccz_rc (*write)(void *arg, struct ccz_span in, struct ccz_err *err);
    void *arg;
};
/** An open file (pread). @param fd  borrowed, as the other arguments here: must outlive what is made from it */
CCZ_API struct ccz_pq_source ccz_pq_source_fd(const int *fd);
CCZ_API struct ccz_pq_source ccz_pq_source_mem(const struct ccz_span *bytes);
/** Appends to an open file (write). */
CCZ_API struct ccz_pq_sink ccz_pq_sink_fd(const int *fd);
/** Appends to a buffer; beyond its max_size: CCZ_E_LIMIT parquet:sink. */
CCZ_API struct ccz_pq_sink ccz_pq_sink_buf(struct ccz_buf *b);

/* -------------------------------------------------------------------------------------- columns */

/** How values are stored; the numbers are those of the format. */
enum ccz_pq_type {
    CCZ_PQ_BOOLEAN = 0,
    CCZ_PQ_INT32 = 1,
    CCZ_PQ_INT64 = 2,
    CCZ_PQ_INT96 = 3, /**< 12 bytes, old timestamps (Spark's default); read as bytes, not written */
    CCZ_PQ_FLOAT = 4,
    CCZ_PQ_DOUBLE = 5,
    CCZ_PQ_BYTES = 6, /**< BYTE_ARRAY */
    CCZ_PQ_FIXED = 7  /**< FIXED_LEN_BYTE_ARRAY of type_size bytes */
};
/** What values mean, as far as it is told apart here. Numbers arrive as stored; OTHER is any further meaning. */
enum ccz_pq_meaning {
    CCZ_PQ_PLAIN = 0,
    CCZ_PQ_STRING,   /**< UTF-8: checked by the reader and the writer */
    CCZ_PQ_JSON,     /**< UTF-8, too */
    CCZ_PQ_UNSIGNED, /**< of INT32 and INT64 (8, 16, 32 or 64 bits) */
    CCZ_PQ_SIGNED,   /**< of fewer bits than stored */
    CCZ_PQ_DATE,     /**< days since 1970 (INT32) */
    CCZ_PQ_TIME_MS,  /**< milliseconds since 1970 (INT64) */
    CCZ_PQ_TIME_US,  /**< microseconds since 1970 (INT64) */
    CCZ_PQ_TIME_NS,  /**< nanoseconds since 1970 (INT64) */
    CCZ_PQ_OTHER
};
enum ccz_pq_shape {
    CCZ_PQ_FLAT = 0,
    CCZ_PQ_LIST, /**< one level: Spark's and pyarrow's three-level form, or the old two-level one */
    CCZ_PQ_NESTED /**< anything else: cannot be read (parquet:nested) */
};
/** How a column that is written is encoded. */
enum ccz_pq_encode {
    CCZ_PQ_ENCODE_AUTO = 0, /**< dictionary as long as it pays, then PLAIN; BOOLEAN: PLAIN */
    CCZ_PQ_ENCODE_PLAIN,
    CCZ_PQ_ENCODE_DELTA, /**< INT32, INT64: DELTA_BINARY_PACKED; BYTES: DELTA_LENGTH_BYTE_ARRAY */
    CCZ_PQ_ENCODE_SPLIT, /**< BYTE_STREAM_SPLIT: FLOAT, DOUBLE, INT32, INT64, FIXED */
    CCZ_PQ_ENCODE_RLE    /**< BOOLEAN */
};
/** A column, of a file that is read (everything is filled; strings borrow from the reader) or of one to be written. */
struct ccz_pq_column {
    const char *name; /**< of the top-level field: "rating", "features" */
    const char *path; /**< dotted, of the leaf: "features.list.element"; writing: not looked at */
    enum ccz_pq_type type;
    enum ccz_pq_meaning meaning; /**< writing: not OTHER */
    enum ccz_pq_shape shape;     /**< writing: FLAT or LIST */
    uint32_t type_size;          /**< bytes of a FIXED value, otherwise 0 */
    bool optional;               /**< the value, or the list as a whole, may be null */
    bool element_optional;       /**< an element of a list may be null */
    enum ccz_pq_encode encode;   /**< writing only */
};

/**
 * Values of one column for some rows: what a scan gives and what a writer takes.
 * Flat: slot i is row i, and len == rows. List: the elements of row i are slots offset[i] .. offset[i+1] - 1.
 */
struct ccz_pq_data {
    size_t rows, len;
    union {
        const uint8_t *b;             /**< BOOLEAN: 0 or 1 */
        const int32_t *i32;           /**< INT32 */
        const int64_t *i64;           /**< INT64 */
        const float *f32;             /**< FLOAT */
        const double *f64;            /**< DOUBLE */
        const struct ccz_span *bytes; /**< BYTES, FIXED, INT96 */
    } v;                              /**< [len]; a null has 0 or an empty span in its slot */
    const uint8_t *present;           /**< [len] 1 = value, 0 = null; NULL: none is null */
    const uint32_t *offset; /**< [rows + 1], ascending from 0 to len; lists only, else NULL */
    const uint8_t
        *has_list; /**< [rows] 0 = the list is null (and has no elements); NULL: none is */
};

/* -------------------------------------------------------------------------------------- reading */

struct ccz_pq_crypt; /**< how modules of the file are encrypted: made by parquet_crypt.h */

/** All-zero: the defaults in brackets; each limit may be set lower or higher. */
struct ccz_pq_read_cfg {
    /** NULL: a file with anything encrypted is refused. Otherwise all memory of values is wiped before it is given back. */
    const struct ccz_pq_crypt *crypt;
    size_t footer_size_max; /**< bytes [64 MiB] */
    size_t page_size_max;   /**< bytes of a page, as stored and unpacked [128 MiB] */
    size_t batch_size_max;  /**< bytes of one column in one batch [256 MiB] */
    uint64_t rows_max;      /**< [2^36] */
};

struct ccz_pq_reader;
/**
 * Reads and checks the footer; pages are read by scans.
 * @param[out] out  owned by the caller
 * @param io   copied; what it points to is borrowed until ccz_pq_reader_free()
 * @param cfg  NULL: all-zero; cfg->crypt is borrowed until ccz_pq_reader_free()
 * @retval CCZ_E_FORMAT       parquet:magic, parquet:size, parquet:footer, parquet:schema, parquet:row-group, parquet:column-metadata
 * @retval CCZ_E_LIMIT        parquet:footer-size, parquet:columns, parquet:row-groups, parquet:rows
 * @retval CCZ_E_UNSUPPORTED  parquet:encrypted (the file is, and cfg->crypt is NULL)
 * and what io and crypt report.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_reader_open(struct ccz_pq_reader **out,
                                               const struct ccz_pq_source *io,
                                               const struct ccz_pq_read_cfg *cfg,
                                               struct ccz_err *err);
CCZ_API void ccz_pq_reader_free(struct ccz_pq_reader *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pq_reader)
CCZ_API uint64_t ccz_pq_rows(const struct ccz_pq_reader *r);
CCZ_API size_t ccz_pq_row_groups(const struct ccz_pq_reader *r);
CCZ_API uint64_t ccz_pq_row_group_rows(const struct ccz_pq_reader *r, size_t row_group);
CCZ_API size_t ccz_pq_columns(const struct ccz_pq_reader *r);
CCZ_API const struct ccz_pq_column *ccz_pq_column(const struct ccz_pq_reader *r, size_t column);
/** Number of the column whose name (of a column that can be read) or path is @p name. @retval CCZ_E_NOT_FOUND  parquet:column */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_find(size_t *column, const struct ccz_pq_reader *r,
                                        const char *name, struct ccz_err *err);
/** Value of @p key among the footer's pairs (Spark and pyarrow keep their schemas there); NULL: no such key. */
CCZ_API const char *ccz_pq_meta(const struct ccz_pq_reader *r, const char *key);
CCZ_API const char *ccz_pq_created_by(const struct ccz_pq_reader *r); /**< "" if not told */

enum ccz_pq_codec { CCZ_PQ_NONE = 0, CCZ_PQ_SNAPPY = 1, CCZ_PQ_GZIP = 2, CCZ_PQ_ZSTD = 6 };
/** Which key a chunk is encrypted under. */
enum ccz_pq_key { CCZ_PQ_KEY_NONE = 0, CCZ_PQ_KEY_FOOTER, CCZ_PQ_KEY_COLUMN };
/** Smallest and largest value, or their bounds; compared as the type's order says (bytes: unsigned, NaN: left out). */
union ccz_pq_bound {
    uint8_t b;
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    struct ccz_span bytes; /**< borrows from the chunk's info */
};
struct ccz_pq_chunk_info {
    enum ccz_pq_key key;
    int32_t codec;      /**< enum ccz_pq_codec, or a number of the format that is not supported */
    uint32_t encodings; /**< bit e: encoding e of the format occurs */
    uint64_t values;    /**< slots, nulls and empty lists included */
    uint64_t size, plain_size; /**< bytes with headers, as stored and before compression */
    bool has_nulls, has_min, has_max;
    uint64_t nulls;
    union ccz_pq_bound min, max;
    struct ccz_buf bytes; /**< what min and max borrow from; ccz_buf_free() it */
};
/** What the file says of a chunk. @retval CCZ_E_FORMAT parquet:statistics (a wrong size, min > max, more nulls than values) */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_chunk_info(struct ccz_pq_chunk_info *out,
                                              const struct ccz_pq_reader *r, size_t row_group,
                                              size_t column, struct ccz_err *err);

struct ccz_pq_scan_cfg {
    const size_t *columns; /**< [columns_len] numbers; NULL: all columns */
    size_t columns_len;
    size_t row_group;      /**< the first one */
    size_t row_groups_len; /**< 0: all from there on */
    size_t batch_rows;     /**< most rows of a batch, up to CCZ_PQ_BATCH_ROWS_MAX; 0 = 65536 */
};
/** Columns side by side, in batches that end at row groups. */
struct ccz_pq_scan;
/** @param r    borrowed until ccz_pq_scan_free()   @param cfg  NULL: everything
 *  @retval CCZ_E_ARG  parquet:column, parquet:row-group, parquet:batch-rows (out of range)
 *  @retval CCZ_E_UNSUPPORTED  parquet:nested */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_scan_open(struct ccz_pq_scan **out,
                                             const struct ccz_pq_reader *r,
                                             const struct ccz_pq_scan_cfg *cfg,
                                             struct ccz_err *err);
/**
 * The next rows of every column of the scan. After the last: CCZ_OK with rows = 0. After an error the scan is over and repeats it.
 * @param[out] out  [columns of the scan], all with the same `rows`; borrowed until the next call
 * @retval CCZ_E_FORMAT  parquet:data-page, parquet:data-page-header, parquet:dictionary-page, parquet:dictionary-page-header, parquet:page-crc,
 *                       parquet:codec, parquet:levels, parquet:values, parquet:text (not UTF-8), parquet:chunk, parquet:rows
 * @retval CCZ_E_LIMIT   parquet:page-size, parquet:page-values, parquet:value-size, parquet:batch-size
 * @retval CCZ_E_UNSUPPORTED  parquet:codec, parquet:encoding, parquet:chunk-file
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_scan_next(struct ccz_pq_data *out, struct ccz_pq_scan *s,
                                             struct ccz_err *err);
CCZ_API void ccz_pq_scan_free(struct ccz_pq_scan *s); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pq_scan)

/**
 * Reads every module of the file once: all pages of the columns that can be read, headers and pages alone of the others, page indexes and
 * Bloom filters; checks that values lie within the statistics, counts of nulls and values, and places of the page indexes.
 * Refuses as ccz_pq_scan_next(), and parquet:statistics, parquet:column-index, parquet:offset-index, parquet:bloom-header, parquet:bloom-bitset.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_verify(const struct ccz_pq_reader *r, struct ccz_err *err);

/* -------------------------------------------------------------------------------------- writing */

struct ccz_pq_meta {
    const char *key, *value;
};
/** All-zero but for columns: uncompressed, pages of version 1 with checksums, statistics. */
struct ccz_pq_write_cfg {
    const struct ccz_pq_column
        *columns;       /**< [columns_len], copied; names unique, UTF-8, without '.' */
    size_t columns_len; /**< 1 .. CCZ_PQ_COLUMNS_MAX */
    enum ccz_pq_codec codec;
    int level;             /**< of GZIP 1 .. 9, of ZSTD 1 .. 19; 0 = 6 and 3 */
    bool pages_v2;         /**< data pages of version 2 */
    bool no_statistics;    /**< neither min, max nor counts of nulls: they tell about values */
    size_t row_group_rows; /**< most rows of a row group; 0 = 1048576 */
    size_t row_group_size; /**< encoded bytes that end a row group; 0 = 128 MiB */
    size_t page_size;      /**< plain bytes that end a page; 0 = 1 MiB */
    const struct ccz_pq_meta *meta; /**< [meta_len], copied */
    size_t meta_len;
    const struct ccz_pq_crypt *
        crypt; /**< NULL: nothing is encrypted; else memory is wiped. Borrowed until the writer is freed */
};
struct ccz_pq_writer;
/**
 * @param io   copied; what it points to is borrowed
 * @retval CCZ_E_ARG  parquet:columns, parquet:column (name, type, meaning or encoding do not fit), parquet:meta, parquet:level
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_writer_new(struct ccz_pq_writer **out,
                                              const struct ccz_pq_sink *io,
                                              const struct ccz_pq_write_cfg *cfg,
                                              struct ccz_err *err);
/**
 * Appends rows. After an error the writer is over: the file has no footer and is none.
 * @param in  [columns of the writer], all with the same `rows`; read during the call only
 * @retval CCZ_E_ARG  parquet:rows (differ), parquet:null (in a column that is not optional), parquet:offset, parquet:text (not UTF-8),
 *                    parquet:value-size (of FIXED), parquet:boolean
 * @retval CCZ_E_LIMIT  parquet:value-size, parquet:list-size, and of an encrypted file parquet:ordinal
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_writer_put(struct ccz_pq_writer *w, const struct ccz_pq_data *in,
                                              struct ccz_err *err);
/** Writes what is left and the footer. Call it once. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_writer_finish(struct ccz_pq_writer *w, struct ccz_err *err);
CCZ_API void ccz_pq_writer_free(struct ccz_pq_writer *w); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pq_writer)

#ifdef __cplusplus
}
#endif
#endif
