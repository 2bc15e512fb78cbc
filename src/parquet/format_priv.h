/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PARQUET_FORMAT_PRIV_H
#define CCZI_PARQUET_FORMAT_PRIV_H
/* Structures of the format and the decoders and encoders below readers and writers. Names and numbers: parquet.thrift. */
#include "parquet/parquet_priv.h"

#include <string.h>

enum cczi_pq_encoding {
    CCZI_PQ_PLAIN = 0,
    CCZI_PQ_PLAIN_DICTIONARY = 2,
    CCZI_PQ_RLE = 3,
    CCZI_PQ_BIT_PACKED = 4,
    CCZI_PQ_DELTA_BINARY_PACKED = 5,
    CCZI_PQ_DELTA_LENGTH = 6,
    CCZI_PQ_DELTA_BYTES = 7,
    CCZI_PQ_RLE_DICTIONARY = 8,
    CCZI_PQ_STREAM_SPLIT = 9,
};
enum cczi_pq_page_type {
    CCZI_PQ_DATA_V1 = 0,
    CCZI_PQ_INDEX_PAGE = 1,
    CCZI_PQ_DICT = 2,
    CCZI_PQ_DATA_V2 = 3
};
enum { CCZI_PQ_MAGIC_SIZE = 4, CCZI_PQ_TAIL_SIZE = 8, CCZI_PQ_INT96_SIZE = 12 };

/* -------------------------------------------------------------------------------- at.c */

/* free(); @p wipe: what was decrypted, or is to be encrypted, is in it. */
void cczi_pq_free(void *p, size_t size, bool wipe);
/* realloc() from @p from to @p to bytes that leaves no copy behind if @p wipe; NULL: no memory, @p p stays. */
void *cczi_pq_resize(void *p, size_t from, size_t to, bool wipe);
static inline void cczi_pq_buf_init(struct ccz_buf *b, size_t max_size, bool wipe)
{
    ccz_buf_init(b, max_size);
    b->wipe = wipe;
}

/* ------------------------------------------------------------------------------ thrift.c */

enum cczi_th_type {
    CCZI_TH_STOP = 0,
    CCZI_TH_TRUE = 1,
    CCZI_TH_FALSE = 2,
    CCZI_TH_I8 = 3,
    CCZI_TH_I16 = 4,
    CCZI_TH_I32 = 5,
    CCZI_TH_I64 = 6,
    CCZI_TH_DOUBLE = 7,
    CCZI_TH_BINARY = 8,
    CCZI_TH_LIST = 9,
    CCZI_TH_SET = 10,
    CCZI_TH_MAP = 11,
    CCZI_TH_STRUCT = 12,
    CCZI_TH_UUID = 13,
};
enum { CCZI_TH_DEPTH_MAX = 32 };
/* Where a reader is in one struct: zeroed at its begin. */
struct cczi_th {
    int16_t id;
    uint8_t type;  /* of field `id` */
    uint64_t seen; /* bit id, for 0 < id < 64 */
};
/* The next field; false at the end of the struct, or with r->bad. A field that comes twice is bad. */
bool cczi_th_next(struct ccz_rd *r, struct cczi_th *s);
static inline bool cczi_th_has(const struct cczi_th *s, unsigned id)
{
    return (s->seen >> id) & 1;
}
/* The value of the field at hand; r->bad if it is of another type. */
int32_t cczi_th_i32(struct ccz_rd *r, const struct cczi_th *s);
int64_t cczi_th_i64(struct ccz_rd *r, const struct cczi_th *s);
bool cczi_th_bool(struct ccz_rd *r, const struct cczi_th *s);
struct ccz_span cczi_th_binary(struct ccz_rd *r, const struct cczi_th *s);
bool cczi_th_is_struct(struct ccz_rd *r, const struct cczi_th *s);
/* Elements that follow, at most as many as bytes are left; 0 and r->bad for elements of another type than @p of. */
size_t cczi_th_list(struct ccz_rd *r, const struct cczi_th *s, enum cczi_th_type of);
int32_t cczi_th_elem_i32(struct ccz_rd *r);
struct ccz_span cczi_th_elem_binary(struct ccz_rd *r);
void cczi_th_skip(struct ccz_rd *r, const struct cczi_th *s);
/* The bytes of the struct that begins here, passed over. */
struct ccz_span cczi_th_struct_bytes(struct ccz_rd *r);
/* Whether nothing follows. @p sealed  the module was encrypted: zeros may follow, because parquet-java encrypts whole buffers, unused ends
 * included. They are authentic. */
CCZ_MUST_USE bool cczi_th_ends(const struct ccz_rd *r, bool sealed);
int64_t cczi_zigzag(struct ccz_rd *r);

struct cczi_tw {
    struct ccz_buf *out;
    int16_t last[8]; /* field ids of the open structs */
    int depth;
};
void cczi_tw_i32(struct cczi_tw *w, int16_t id, int32_t v);
void cczi_tw_i64(struct cczi_tw *w, int16_t id, int64_t v);
void cczi_tw_i16(struct cczi_tw *w, int16_t id, int16_t v);
void cczi_tw_i8(struct cczi_tw *w, int16_t id, int8_t v);
void cczi_tw_bool(struct cczi_tw *w, int16_t id, bool v);
void cczi_tw_binary(struct cczi_tw *w, int16_t id, struct ccz_span v);
void cczi_tw_list(struct cczi_tw *w, int16_t id, enum cczi_th_type of, size_t len);
void cczi_tw_elem_i32(struct cczi_tw *w, int32_t v);
void cczi_tw_elem_binary(struct cczi_tw *w, struct ccz_span v);
void cczi_tw_struct(struct cczi_tw *w, int16_t id); /* a field that is a struct */
void cczi_tw_open(struct cczi_tw *w);               /* an element, or the outermost struct */
void cczi_tw_close(struct cczi_tw *w);
void cczi_put_zigzag(struct ccz_buf *out, int64_t v);

/* ------------------------------------------------------------------------------ schema.c */

struct cczi_pq_leaf {
    struct ccz_pq_column c; /* name and path are owned */
    uint8_t max_def, max_rep;
    uint8_t def_list;  /* lists: from this level on the list is not null */
    uint8_t def_elem;  /* lists: from this level on there is an element */
    size_t slot_size;  /* bytes of a slot in struct ccz_pq_data */
    size_t value_size; /* bytes of a value in PLAIN; 0: BYTES, and BOOLEAN is bits */
};
struct cczi_pq_schema {
    struct cczi_pq_leaf *leaves;
    size_t len;
};
/* Reads list<SchemaElement>. @p s is zeroed first; cczi_pq_schema_free() it in any case. */
ccz_rc cczi_pq_schema_read(struct cczi_pq_schema *s, struct ccz_rd *r, size_t len,
                           struct ccz_err *err);
void cczi_pq_schema_free(struct cczi_pq_schema *s);
/* Fills sizes from c.type and c.type_size. */
void cczi_pq_leaf_sizes(struct cczi_pq_leaf *l);

/* ------------------------------------------------------------------------------ footer.c */

struct cczi_pq_stats {
    bool has_nulls, has_min, has_max;
    int64_t nulls;
    struct ccz_span min, max; /* PLAIN */
};
struct cczi_pq_chunk {
    bool has_meta; /* ColumnMetaData is there (the fields behind `key`) */
    struct cczi_pq_key key;
    struct ccz_span sealed_meta; /* encrypted_column_metadata */
    int64_t offset_index, column_index;
    int32_t offset_index_size, column_index_size; /* 0: not there */
    int32_t codec;
    uint32_t encodings;
    int64_t values, plain_size, size, data_page, dict_page; /* dict_page 0: none */
    int64_t bloom;                                          /* 0: none */
    int32_t bloom_size;
    struct cczi_pq_stats stats;
};
struct cczi_pq_group {
    uint64_t rows;
    uint64_t chunks_at; /* number of its first chunk in reader.chunks */
};
struct ccz_pq_reader {
    struct ccz_pq_source io;
    struct ccz_pq_read_cfg cfg;
    uint64_t data_end; /* where the footer begins */
    struct ccz_buf footer;
    struct cczi_pq_schema schema;
    uint64_t rows;
    struct cczi_pq_group *groups;
    size_t groups_len;
    struct ccz_span *chunks; /* ColumnChunk, as bytes of `footer` */
    struct ccz_pq_meta *meta;
    size_t meta_len;
    char *created_by;
    void *file;   /* of cfg.crypt */
    bool begun;   /* end() is due */
    bool any_key; /* a chunk is encrypted */
};
/* Parses r->footer. @p crypt  fields 8 and 9, if they are there @p sealed  it was encrypted */
ccz_rc cczi_pq_footer_read(struct ccz_pq_reader *r, struct cczi_pq_file_crypt *crypt, bool *signed_,
                           bool sealed, struct ccz_err *err);
/* FileCryptoMetaData at the start of @p in. @p size  bytes it took */
ccz_rc cczi_pq_file_crypt_read(struct cczi_pq_file_crypt *out, size_t *size, struct ccz_span in,
                               struct ccz_err *err);
/* One chunk, opened if it is encrypted. Views go into the footer, or into @p hold, which the caller has initialized. */
ccz_rc cczi_pq_chunk_read(struct cczi_pq_chunk *out, struct cczi_pq_at *at, struct ccz_buf *hold,
                          const struct ccz_pq_reader *r, size_t group, size_t column,
                          struct ccz_err *err);
/* Its key alone: nothing is opened. */
ccz_rc cczi_pq_chunk_key(struct cczi_pq_key *out, const struct ccz_pq_reader *r, size_t group,
                         size_t column, struct ccz_err *err);
/* Statistics, of chunks and pages. */
void cczi_pq_stats_thrift(struct cczi_pq_stats *out, struct ccz_rd *r);

/* ------------------------------------------------------------------------------- stats.c */

/* Whether min and max of that column have an order that is known here. */
bool cczi_pq_ordered(const struct ccz_pq_column *c);
/* min or max as a value; false: of a wrong size. */
bool cczi_pq_bound(union ccz_pq_bound *out, const struct ccz_pq_column *c, struct ccz_span plain);
int cczi_pq_compare(const struct ccz_pq_column *c, const union ccz_pq_bound *a,
                    const union ccz_pq_bound *b); /* NaN is equal to everything */
bool cczi_pq_is_nan(const struct ccz_pq_column *c, const union ccz_pq_bound *v);
/* Slot i of a batch. */
void cczi_pq_slot(union ccz_pq_bound *out, const struct ccz_pq_column *c,
                  const struct ccz_pq_data *d, size_t i);

/* ------------------------------------------------------------------------------ hybrid.c */

/* Runs and bit-packed groups. @source Encodings.md, RLE */
struct cczi_hybrid {
    struct ccz_rd r;
    unsigned width; /* bits of a value, 0 .. 32 */
    size_t left;    /* values of the run at hand */
    bool packed;
    uint32_t value;      /* of a run */
    const uint8_t *bits; /* of groups: left to read from bit `at` */
    size_t bits_size, at;
    bool bad;
};
void cczi_hybrid_init(struct cczi_hybrid *h, struct ccz_span in, unsigned width);
/* Bytes behind the group, or the run, of the last value that was got. */
size_t cczi_hybrid_rest(const struct cczi_hybrid *h);
/* False, and h->bad: the input ends before. */
bool cczi_hybrid_get(uint32_t *out, struct cczi_hybrid *h, size_t len);
bool cczi_hybrid_get8(uint8_t *out, struct cczi_hybrid *h, size_t len); /* width <= 8 */
void cczi_hybrid_put(struct ccz_buf *out, const uint32_t *v, size_t len, unsigned width);
/* Bits from bit @p at of a little-endian row of bytes; what is behind its end is 0. @p width  0 .. 64 */
uint64_t cczi_bits(const uint8_t *p, size_t size, size_t at, unsigned width);
unsigned cczi_width(uint64_t max); /* bits that values up to @p max need */

/* ------------------------------------------------------------------------------- delta.c */

/* DELTA_BINARY_PACKED. @source Encodings.md, DELTA_BINARY_PACKED */
struct cczi_delta {
    struct ccz_rd r;
    uint64_t block, minis, per_mini; /* values of a block, miniblocks of it, values of one */
    uint64_t len, done;              /* values; given out */
    uint64_t value, min_delta;
    const uint8_t *widths;
    uint64_t mini, in_mini; /* which miniblock, values of it already given out */
    struct ccz_span bits;
    bool bad;
};
void cczi_delta_init(struct cczi_delta *d, struct ccz_span in);
bool cczi_delta_get(int64_t *out, struct cczi_delta *d, size_t len);
/* Sum of all values, and what lies behind them; false: malformed, or a value below 0 or above 2^31 - 1. */
bool cczi_delta_lengths(uint64_t *sum, struct ccz_span *rest, struct ccz_span in, uint64_t len_max);
void cczi_delta_put(struct ccz_buf *out, const int64_t *v, size_t len, bool is32);

/* ------------------------------------------------------------------------------- codec.c */

uint32_t cczi_pq_crc(uint32_t crc, struct ccz_span in); /* of gzip; begins with 0 */
bool cczi_pq_codec_known(int32_t codec);
/* Exactly @p size bytes. @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED, CCZ_E_NOMEM (no err: the caller knows the place) */
ccz_rc cczi_pq_unpack(uint8_t *out, size_t size, int32_t codec, struct ccz_span in);
ccz_rc cczi_pq_pack(struct ccz_buf *out, enum ccz_pq_codec codec, int level, struct ccz_span in);

/* -------------------------------------------------------------------------------- page.c */

struct cczi_pq_page_header {
    int32_t type, plain_size, size;
    bool has_crc;
    uint32_t crc;
    int32_t values; /* of a dictionary: entries */
    int32_t encoding, def_encoding, rep_encoding;
    /* version 2 */
    int32_t nulls, rows, def_size, rep_size;
    bool packed;
    struct cczi_pq_stats stats;
};
/* @p r stands behind it afterwards; false: malformed (a cut one is malformed, too) */
bool cczi_pq_page_header_read(struct cczi_pq_page_header *h, struct ccz_rd *r);
void cczi_pq_page_header_put(struct ccz_buf *out, const struct cczi_pq_page_header *h);

/* Pages of one chunk. */
struct cczi_pq_pages {
    const struct ccz_pq_reader *r;
    const struct cczi_pq_leaf *leaf;
    struct cczi_pq_chunk chunk;
    struct cczi_pq_at at;
    struct ccz_buf hold; /* decrypted ColumnMetaData */
    uint64_t pos, end;   /* next page, end of the chunk */
    uint64_t values_left;
    uint64_t plain_left;   /* bytes that pages may still unpack to */
    struct ccz_buf window; /* bytes of the file from window_at on */
    uint64_t window_at;
    struct ccz_buf header, sealed, plain; /* the page at hand; plain: unpacked */
    bool first;
    int32_t next_page; /* number of the next data page */
    struct cczi_pq_page_header h;
    struct ccz_span levels_rep, levels_def,
        values;         /* of a data page; `values` is in plain or in the window */
    uint64_t header_at; /* where its header began */
};
ccz_rc cczi_pq_pages_open(struct cczi_pq_pages *p, const struct ccz_pq_reader *r, size_t group,
                          size_t column, struct ccz_err *err);
void cczi_pq_pages_close(struct cczi_pq_pages *p);
/* The next dictionary or data page, unpacked; CCZ_E_NOT_FOUND (no err) behind the last. */
ccz_rc cczi_pq_pages_next(struct cczi_pq_pages *p, struct ccz_err *err);
/* Whether a chunk in clear may be read: asks the hook, if the file has begun with one. @p at  as cczi_pq_chunk_read() filled it */
ccz_rc cczi_pq_admit(const struct ccz_pq_reader *r, const struct cczi_pq_at *at,
                     struct ccz_err *err);
/* An encrypted or plain module at a place of the file, plain in @p out; @p size 0: only an encrypted one says its size. */
ccz_rc cczi_pq_module(struct ccz_buf *out, const struct ccz_pq_reader *r,
                      const struct cczi_pq_at *at, uint64_t offset, uint64_t size,
                      struct ccz_err *err);

/* ------------------------------------------------------------------------------ values.c */

/* Padding behind runs and indexes that is passed over: more would be room for pages that say little and cost much. */
enum { CCZI_PQ_PADDING_MAX = 8 };
/* Values of one page or dictionary. */
struct cczi_pq_dict {
    struct ccz_buf bytes;   /* the page */
    struct ccz_span *spans; /* BYTES, FIXED, INT96 */
    size_t len;
    bool there;
};
struct cczi_pq_values {
    const struct cczi_pq_leaf *leaf;
    const struct cczi_pq_dict *dict;
    int32_t encoding;
    struct ccz_span in; /* PLAIN: what is left; STREAM_SPLIT: all; DELTA_*: bytes that are left */
    size_t bit;         /* BOOLEAN PLAIN */
    size_t done, len;   /* STREAM_SPLIT */
    struct cczi_hybrid hybrid;
    struct cczi_delta delta, suffix;
    struct ccz_buf last;      /* DELTA_BYTES: the value before */
    const char *where, *what; /* of the last failure */
};
/* What values are decoded to: one column of a batch. */
struct cczi_pq_batch {
    uint8_t *slots; /* [cap] of slot_size */
    size_t slot_size;
    uint8_t *present;                /* [cap] */
    size_t slots_size, present_size; /* bytes that are there, whatever slot_size was before */
    bool wipe;
    uint32_t *offset;
    uint8_t *has_list;
    size_t len, cap, rows, rows_cap;
    size_t nulls;
    bool no_list;         /* a list is null */
    struct ccz_buf arena; /* BYTES and the like, in the order of slots */
};
/* @retval CCZ_E_UNSUPPORTED  the encoding is not known, or not of this type @retval CCZ_E_FORMAT (v->where, v->what) */
ccz_rc cczi_pq_values_init(struct cczi_pq_values *v, const struct cczi_pq_leaf *leaf,
                           const struct cczi_pq_dict *dict, int32_t encoding, struct ccz_span in,
                           size_t slots);
void cczi_pq_values_free(struct cczi_pq_values *v);
/* @p len values to the slots from @p at on. @retval CCZ_E_FORMAT, CCZ_E_LIMIT, CCZ_E_NOMEM (v->where, v->what) */
ccz_rc cczi_pq_values_get(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len);
bool cczi_pq_values_done(const struct cczi_pq_values *v); /* nothing is left over */
/* Takes the bytes of p->plain. */
ccz_rc cczi_pq_dict_read(struct cczi_pq_dict *d, struct cczi_pq_pages *p, struct ccz_err *err);
void cczi_pq_dict_free(struct cczi_pq_dict *d);

/* ------------------------------------------------------------------------------ cursor.c */

enum { CCZI_PQ_LEVELS_LEN = 1024 };
/* One chunk as batches. */
struct cczi_pq_cursor {
    struct cczi_pq_pages pages;
    struct cczi_pq_dict dict;
    struct cczi_pq_values values;
    struct cczi_pq_batch batch;
    struct cczi_hybrid rep, def;
    size_t slots_left; /* of the page, without those in the level buffers */
    uint8_t rep_level[CCZI_PQ_LEVELS_LEN], def_level[CCZI_PQ_LEVELS_LEN];
    size_t level_at, level_len;
    uint64_t rows_left, rows_begun; /* rows_begun: before the page at hand, or part of it so far */
    bool in_page;
    bool last_empty;                /* the list at hand has no elements, so that none may follow */
    uint64_t page_nulls, page_rows; /* of the page at hand */
    uint64_t nulls;                 /* of all slots so far */
    /* verification: told of every data page before its values are read */
    void (*on_page)(void *arg, const struct cczi_pq_cursor *c);
    void *arg;
};
ccz_rc cczi_pq_cursor_open(struct cczi_pq_cursor *c, const struct ccz_pq_reader *r, size_t group,
                           size_t column, struct ccz_err *err);
/* Exactly @p rows rows, which must be there. */
ccz_rc cczi_pq_cursor_next(struct ccz_pq_data *out, struct cczi_pq_cursor *c, size_t rows,
                           struct ccz_err *err);
/* After the last row: nothing may be left. */
ccz_rc cczi_pq_cursor_end(struct cczi_pq_cursor *c, struct ccz_err *err);
void cczi_pq_cursor_close(struct cczi_pq_cursor *c); /* batch memory goes, too */

#endif
