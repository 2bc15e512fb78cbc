/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RECSYS_INGEST_H
#define CCZI_RECSYS_INGEST_H
/* From bytes to ratings by numbers: what the sources ingest_*.c share. */
#include "ids.h"

/* A ccz_csv_source; where it failed says ccz_recsys_source's own error. */
ptrdiff_t cczi_recsys_source_read(void *source, void *to, size_t size);
/* What the last failure of the source was, in place of "reading failed"; `rc` if it was none of the source's. */
ccz_rc cczi_recsys_source_why(const struct ccz_recsys_source *s, ccz_rc rc, struct ccz_err *err);

/* ---- lines without quoting (ingest_lines.c) */

struct cczi_recsys_lines;
ccz_rc cczi_recsys_lines_new(struct cczi_recsys_lines **out, struct ccz_recsys_source *source,
                             const char *delimiter, bool latin1, struct ccz_err *err);
void cczi_recsys_lines_free(struct cczi_recsys_lines *l);
/* CCZ_E_NOT_FOUND: no further line. Each line has as many fields as the first. */
ccz_rc cczi_recsys_lines_next(struct cczi_recsys_lines *l, struct ccz_err *err);
size_t cczi_recsys_lines_len(const struct cczi_recsys_lines *l);
struct ccz_span cczi_recsys_lines_field(const struct cczi_recsys_lines *l, size_t i);
uint64_t cczi_recsys_lines_line(const struct cczi_recsys_lines *l);

/* ---- records of a format (ingest_format.c) */

enum { COLUMN_USER, COLUMN_ITEM, COLUMN_VALUE, COLUMN_TIME, COLUMN_TITLE, COLUMNS };
#define CCZI_RECSYS_NO_COLUMN SIZE_MAX

/* Records of a source by a format, columns found. */
struct cczi_recsys_records {
    struct ccz_recsys_source *source;
    struct ccz_csv *csv; /* or lines */
    struct cczi_recsys_lines *lines;
    size_t at[COLUMNS]; /* which field; CCZI_RECSYS_NO_COLUMN: none */
    bool ready;         /* the first record is read and not given out yet */
};
/* `needed`: bits 1 << COLUMN_x. cczi_recsys_records_close() in any case. */
ccz_rc cczi_recsys_records_open(struct cczi_recsys_records *r, struct ccz_recsys_source *source,
                                const struct ccz_recsys_format *format, unsigned needed,
                                struct ccz_err *err);
void cczi_recsys_records_close(struct cczi_recsys_records *r);
/* end: there is no further one */
ccz_rc cczi_recsys_records_next(bool *end, struct cczi_recsys_records *r, struct ccz_err *err);
/* Empty if there is no such column. */
struct ccz_span cczi_recsys_records_field(const struct cczi_recsys_records *r, int column);
uint64_t cczi_recsys_records_line(const struct cczi_recsys_records *r);

/* ---- ratings (ingest_ratings.c) */

/* recsys:ratings */
ccz_rc cczi_recsys_too_many(struct ccz_err *err, uint64_t got, uint64_t most);
/* May there be one more? Asked before each rating is counted. */
ccz_rc cczi_recsys_one_more(const struct ccz_recsys_filter *filter,
                            const struct ccz_recsys_counts *counts, struct ccz_err *err);
/* Counts a rating; false: its value is too low. The value may become 1. */
bool cczi_recsys_passes(float *value, const struct ccz_recsys_filter *filter,
                        struct ccz_recsys_counts *counts);
/* The dictionary of a side: a new one, or one of the same kind. */
ccz_rc cczi_recsys_side(struct ccz_recsys_ids **ids, enum ccz_recsys_id_kind kind,
                        struct ccz_err *err);

/* A text file, or a Parquet file if `io` is there. */
struct cczi_recsys_feed {
    struct ccz_recsys_source *source;
    const struct ccz_recsys_format *format;
    const struct ccz_pq_source *io;
    const struct ccz_recsys_table *table;
};
typedef ccz_rc (*cczi_recsys_put_fn)(void *arg, const struct ccz_recsys_rating *r,
                                     struct ccz_err *err);
/* Where ratings go. */
struct cczi_recsys_sink {
    const struct ccz_recsys_filter *filter;
    struct ccz_recsys_ids **user, **item;
    struct ccz_recsys_counts *counts;
    cczi_recsys_put_fn put;
    void *arg;
};
/* Reads to the end and gives each rating that the filter's values let pass to `put`. Ids become numbers here. */
ccz_rc cczi_recsys_ingest(const struct cczi_recsys_feed *feed, const struct cczi_recsys_sink *sink,
                          struct ccz_err *err);
ccz_rc cczi_recsys_ingest_parquet(const struct ccz_pq_source *io,
                                  const struct ccz_recsys_table *table,
                                  const struct cczi_recsys_sink *sink, struct ccz_err *err);

/* ---- columns of Parquet files (ingest_parquet.c, ingest_factors.c) */

/* A reader and a scan of some of its columns, in that order. */
struct cczi_recsys_scan {
    struct ccz_pq_reader *reader;
    struct ccz_pq_scan *scan;
    const struct ccz_pq_column *column[4]; /* NULL: not in the file */
    size_t at[4];                          /* which of the scan's */
    uint64_t row;                          /* the first of the batch */
    size_t rows;
    struct ccz_pq_data data[4];
};
/* @param optional  bit i: names[i] may be missing. cczi_recsys_scan_close() in any case. */
ccz_rc cczi_recsys_scan_open(struct cczi_recsys_scan *s, const struct ccz_pq_source *io,
                             const struct ccz_pq_crypt *crypt, const char *const *names, size_t len,
                             unsigned optional, struct ccz_err *err);
void cczi_recsys_scan_close(struct cczi_recsys_scan *s);
/* The next batch; rows 0 behind the last. */
ccz_rc cczi_recsys_scan_next(struct cczi_recsys_scan *s, struct ccz_err *err);
const struct ccz_pq_data *cczi_recsys_scan_data(const struct cczi_recsys_scan *s, size_t column);
/* INT32, INT64, BYTES; flat; of no other meaning than a number or a text */
bool cczi_recsys_is_id(const struct ccz_pq_column *c);
enum ccz_recsys_id_kind cczi_recsys_id_kind(const struct ccz_pq_column *c);
/* The id in slot i; false: null, or an unsigned one beyond 2^63 - 1. */
bool cczi_recsys_cell_id(struct ccz_recsys_id *out, const struct ccz_pq_column *c,
                         const struct ccz_pq_data *d, size_t i);
/* INT32, INT64, FLOAT, DOUBLE that count; neither times nor decimals */
bool cczi_recsys_is_number(const struct ccz_pq_column *c);
/* The number in slot i; false: null. */
bool cczi_recsys_cell_number(double *out, const struct ccz_pq_column *c,
                             const struct ccz_pq_data *d, size_t i);

/* ---- who has too few (ingest_filter.c) */

/* Numbers before -> numbers after, CCZ_RECSYS_NONE = dropped. */
struct cczi_recsys_keep {
    uint32_t *user, *item;
    uint32_t users, items;           /* before */
    uint32_t users_left, items_left; /* after */
};
/* `by_item` is the transpose of `by_user`. */
ccz_rc cczi_recsys_keep_init(struct cczi_recsys_keep *k, const struct ccz_recsys_csr *by_user,
                             const struct ccz_recsys_csr *by_item,
                             const struct ccz_recsys_filter *filter, struct ccz_err *err);
void cczi_recsys_keep_deinit(struct cczi_recsys_keep *k); /* zeroed is fine */
/* Leaves rows and columns that have a new number; memory stays as large as it was. */
void cczi_recsys_csr_keep(struct ccz_recsys_csr *m, const uint32_t *row_to, uint32_t rows,
                          const uint32_t *col_to, uint32_t cols);
#endif
