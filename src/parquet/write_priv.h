/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PARQUET_WRITE_PRIV_H
#define CCZI_PARQUET_WRITE_PRIV_H
/* What the files of the writer share. */
#include "parquet/format_priv.h"

/* A chunk's dictionary: entries in PLAIN, found by an open hash table. */
struct cczi_pq_writer_dict {
    uint64_t key[2]; /* of the hash: who writes ids cannot make them collide */
    uint32_t *table; /* [cap] number of an entry + 1; 0: free */
    size_t cap, len;
    uint32_t *at; /* [at_cap] where entries begin */
    size_t at_cap;
    struct ccz_buf bytes;
};
/* Index of a value; UINT32_MAX: the dictionary is full, or there is no memory. */
uint32_t cczi_pq_dict_put(struct cczi_pq_writer_dict *d, const uint8_t *value, size_t size);
void cczi_pq_dict_drop(struct cczi_pq_writer_dict *d);

/* A column of a writer, and its chunk and page at hand. */
struct cczi_pq_out {
    struct cczi_pq_leaf leaf; /* name and path are owned */
    struct cczi_pq_key key;
    int32_t number;
    /* the page */
    struct ccz_buf raw;      /* PLAIN, but BOOLEAN, which takes a byte */
    size_t raw_len;          /* values in it */
    struct ccz_buf rep, def; /* a byte per slot */
    size_t slots, rows;
    /* the chunk */
    bool dict_on, dict_used;
    struct cczi_pq_writer_dict dict;
    struct ccz_buf pages; /* headers and bodies, as in the file */
    size_t pages_len;
    uint32_t encodings;
    uint64_t values, plain_size, nulls;
    bool has_bounds, no_bounds; /* no_bounds: a value that is too long for them */
    union ccz_pq_bound min, max;
    struct ccz_buf min_bytes, max_bytes;
};
struct ccz_pq_writer {
    struct ccz_pq_sink io;
    enum ccz_pq_codec codec;
    int level;
    bool pages_v2, no_statistics;
    size_t group_rows, group_size, page_size;
    struct cczi_pq_out *cols;
    size_t cols_len;
    char **meta; /* [2 * meta_len] */
    size_t meta_len;
    const struct ccz_pq_crypt *crypt;
    struct cczi_pq_file_crypt file_crypt;
    void *file;
    bool begun, over;
    uint64_t offset; /* bytes written */
    uint64_t rows_in_group, rows, groups_len;
    struct ccz_buf groups;                             /* RowGroup, one behind the other */
    struct ccz_buf columns;                            /* ColumnChunk of the row group at hand */
    struct ccz_buf body, packed, sealed, header, temp; /* of one page */
};

/* encode.c: raw values of a page, encoded; `*encoding` is the one that was taken. */
ccz_rc cczi_pq_encode(struct ccz_buf *out, int32_t *encoding, struct cczi_pq_out *c);
ccz_rc cczi_pq_encode_levels(struct ccz_buf *out, const struct ccz_buf *levels, unsigned max);

/* column.c: slots of a flat column or a list into pages. */
ccz_rc cczi_pq_column_put(struct ccz_pq_writer *w, struct cczi_pq_out *c,
                          const struct ccz_pq_data *in, size_t from, size_t rows,
                          struct ccz_err *err);
ccz_rc cczi_pq_page_end(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct ccz_err *err);
/* The dictionary page as it is in the file, in w->body (empty: none). */
ccz_rc cczi_pq_dict_page(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct ccz_err *err);
void cczi_pq_chunk_clear(struct cczi_pq_out *c, bool dict_on);

/* footer_put.c */
ccz_rc cczi_pq_put_chunk(struct ccz_pq_writer *w, struct cczi_pq_out *c, uint64_t dict_page,
                         uint64_t data_page, uint64_t size, struct ccz_err *err);
void cczi_pq_put_group(struct ccz_pq_writer *w, uint64_t start, uint64_t plain_size);
/* The footer from its first byte to the magic, in w->body. */
ccz_rc cczi_pq_put_footer(struct ccz_pq_writer *w, struct ccz_err *err);

#endif
