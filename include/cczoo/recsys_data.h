/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_DATA_H
#define CCZ_RECSYS_DATA_H
/**
 * @file recsys_data.h
 * From files of ratings to matrices: formats, dictionaries of ids, filters, building beyond working memory with encrypted
 * runs on disk, titles, and a plan that says whether one machine is enough.
 * Sources in reading order: ids.c, ids_file.c, titles.c, ingest_source.c, ingest_lines.c, ingest_format.c, sort.c, spill.c,
 * ingest_filter.c, ingest.c, ingest_ratings.c, ingest_parquet.c, ingest_factors.c, plan.c. Why it is so: docs/design/recsys-data.md.
 *
 * Files are somebody else's and not trusted; what is read is bounded by named limits. Errors tell lines and columns, never the
 * text, which is somebody's data. What was read is wiped from memory when it is freed.
 * On disk nothing is in clear: dictionaries and titles are protected files (pf.h), and so are runs of the external sort, under
 * keys that exist in memory only, in files that have no name. Swap is the system's affair: turn it off or encrypt it.
 *
 * Numbers of users and items are given by first appearance among the ratings whose values count; who is dropped later, for
 * having too few, leaves no gap. The same source gives the same numbers, and memory and disk do not change results.
 * Threads: an object is used by one thread at a time.
 */
#include <cczoo/parquet.h>
#include <cczoo/pf.h>
#include <cczoo/pinned.h>
#include <cczoo/recsys.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ dictionaries */

#define CCZ_RECSYS_ID_SIZE_MAX 1024 /**< bytes of a text */

enum ccz_recsys_id_kind {
    CCZ_RECSYS_ID_TEXT, /**< 1 .. CCZ_RECSYS_ID_SIZE_MAX bytes, compared byte for byte */
    CCZ_RECSYS_ID_INT   /**< int64 */
};
/** What a user or item is called outside. */
struct ccz_recsys_id {
    enum ccz_recsys_id_kind kind;
    int64_t num;          /**< INT */
    struct ccz_span text; /**< TEXT; borrowed */
};
static inline struct ccz_recsys_id ccz_recsys_id_int(int64_t num)
{
    return (struct ccz_recsys_id){.kind = CCZ_RECSYS_ID_INT, .num = num};
}
static inline struct ccz_recsys_id ccz_recsys_id_text(struct ccz_span text)
{
    return (struct ccz_recsys_id){.kind = CCZ_RECSYS_ID_TEXT, .text = text};
}
/**
 * An id from its text. INT: decimal, minus sign if negative, no leading zeros, no plus sign: one text for each number.
 * @return false: no id of that kind
 */
CCZ_API CCZ_MUST_USE bool ccz_recsys_id_parse(struct ccz_recsys_id *out,
                                              enum ccz_recsys_id_kind kind, struct ccz_span text);
/** Appends its text. */
CCZ_API void ccz_recsys_id_put(struct ccz_buf *out, struct ccz_recsys_id id);

/** Ids and their numbers 0 .. len-1. Looking up by many threads is fine while nobody adds. */
struct ccz_recsys_ids;
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ids_new(struct ccz_recsys_ids **out,
                                               enum ccz_recsys_id_kind kind, struct ccz_err *err);
CCZ_API void ccz_recsys_ids_free(struct ccz_recsys_ids *ids); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_ids)
CCZ_API enum ccz_recsys_id_kind ccz_recsys_ids_kind(const struct ccz_recsys_ids *ids);
CCZ_API uint32_t ccz_recsys_ids_len(const struct ccz_recsys_ids *ids);
/**
 * The number of @p id; the next one if it is new.
 * @retval CCZ_E_ARG    recsys:id: another kind, an empty text or one that is too long
 * @retval CCZ_E_LIMIT  recsys:ids: more than CCZ_RECSYS_LEN_MAX, or 64 GiB of text
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ids_add(uint32_t *number, struct ccz_recsys_ids *ids,
                                               struct ccz_recsys_id id, struct ccz_err *err);
/** CCZ_RECSYS_NONE: not known, or of another kind. */
CCZ_API uint32_t ccz_recsys_ids_find(const struct ccz_recsys_ids *ids, struct ccz_recsys_id id);
/** @param number  below the length; the text is borrowed until an id is added */
CCZ_API struct ccz_recsys_id ccz_recsys_ids_get(const struct ccz_recsys_ids *ids, uint32_t number);
CCZ_API uint64_t
ccz_recsys_ids_size(const struct ccz_recsys_ids *ids); /**< bytes that it takes in memory */

/**
 * As bytes: "CCZRIDS1", le32 kind, le32 length; then int64 le each, or le32 size and bytes each.
 * Not encrypted: for what stands inside of something that is.
 */
CCZ_API void ccz_recsys_ids_put(struct ccz_buf *out, const struct ccz_recsys_ids *ids);
/** @retval CCZ_E_FORMAT recsys:ids-file: not such bytes, cut short, more behind them, or an id twice @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ids_parse(struct ccz_recsys_ids **out, struct ccz_span in,
                                                 struct ccz_err *err);
/**
 * To a protected file, which appears by rename when it is whole.
 * @param key    16 bytes (pf.h)
 * @param bound  path that it is bound to, in normal form (pf.h): what it is, so that users and items cannot be swapped
 * @retval CCZ_E_EXISTS  file:exists   @retval as ccz_pf_writer_new(), ccz_newfile_open()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ids_save(const struct ccz_recsys_ids *ids, const char *path,
                                                const struct ccz_secret *key, const char *bound,
                                                struct ccz_err *err);
/** @retval CCZ_E_NOT_FOUND, CCZ_E_IO  recsys:open: no such file, or not a regular one  @retval as ccz_pf_decrypt_to_buf(), ccz_recsys_ids_parse() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ids_load(struct ccz_recsys_ids **out, const char *path,
                                                const struct ccz_secret *key, const char *bound,
                                                struct ccz_err *err);

/* ----------------------------------------------------------------------------------------- sources */

/** Bytes of a file of ratings, read once from front to back. */
struct ccz_recsys_source;
/** A file in clear, not a folder or device. @retval CCZ_E_NOT_FOUND, CCZ_E_IO  recsys:open */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_source_file(struct ccz_recsys_source **out, const char *path,
                                                   struct ccz_err *err);
/** A protected file; nothing of it reaches the disk in clear. @param cfg  path or any_path_insecure @retval as pf.h */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_source_protected(struct ccz_recsys_source **out,
                                                        const char *path,
                                                        const struct ccz_secret *key,
                                                        const struct ccz_pf_cfg *cfg,
                                                        struct ccz_err *err);
/** A file that reads as it was hashed (pinned.h). @param pinned  borrowed until the source is freed
 *  @param key  NULL: in clear; else as ccz_recsys_source_protected(), which @p cfg is for  @retval as pinned.h, pf.h */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_source_pinned(struct ccz_recsys_source **out,
                                                     struct ccz_pinned *pinned,
                                                     const struct ccz_secret *key,
                                                     const struct ccz_pf_cfg *cfg,
                                                     struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_source_mem(struct ccz_recsys_source **out,
                                                  struct ccz_span text, /**< borrowed */
                                                  struct ccz_err *err);
CCZ_API void ccz_recsys_source_free(struct ccz_recsys_source *s); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_source)

/* ----------------------------------------------------------------------------------------- formats */

/** Which column: its name in the header line, or its place from 1. Neither: there is none. */
struct ccz_recsys_column {
    const char *name;
    uint32_t at;
    bool optional; /**< may be missing in the header, or behind the last column */
};
/**
 * A text format: one rating a line. Zeroed but for user and item: RFC 4180 (codec.h) without a header.
 * A name in a header of RecBole ends before its colon ("user_id:token").
 */
struct ccz_recsys_format {
    char delimiter[4]; /**< "": ","; more than one character (as "::") only with `plain` */
    bool plain;        /**< no quoting: a quote is a character like others */
    bool header;       /**< the first line has names */
    bool typed;        /**< names of the header end in a colon and a type */
    bool latin1;       /**< ISO 8859-1, made UTF-8 of; else UTF-8, checked */
    struct ccz_recsys_column user, item;
    struct ccz_recsys_column value; /**< without: every value is 1 */
    struct ccz_recsys_column time; /**< seconds since 1970, cut to whole ones; without: not known */
    struct ccz_recsys_column title; /**< of tables of items: ccz_recsys_titles_read() */
    enum ccz_recsys_id_kind user_kind, item_kind;
};
/**
 * Known formats:
 * "movielens-csv"  ratings.csv: userId,movieId,rating,timestamp; ids INT
 * "movielens-dat"  ratings.dat of ml-1m and ml-10m: user::item::rating::time; ids INT
 * "movielens-100k" u.data: user, item, rating, time between tabs; ids INT
 * "recbole"        .inter: tabs, header user_id:token item_id:token rating:float timestamp:float, the last two may be
 *                  missing; ids TEXT
 * "csv", "tsv"     header user,item,rating,timestamp, the last two may be missing; ids TEXT
 * and of titles: "movielens-csv-titles" movies.csv, "movielens-dat-titles" movies.dat, "movielens-100k-titles" u.item,
 * "recbole-titles" .item (movie_title:token_seq)
 * @return false: no such name; @p out is zeroed
 */
CCZ_API CCZ_MUST_USE bool ccz_recsys_format_from(struct ccz_recsys_format *out, const char *name);
/** The i-th of these names; NULL behind the last. */
CCZ_API const char *ccz_recsys_format_name(size_t i);

/* ----------------------------------------------------------------------------------------- filters */

/** Most ratings that a Parquet file may claim for each of its bytes, unless ratings_max says otherwise: what 100 million ratings
 *  take on disk is 10 to 100 times more. */
#define CCZ_RECSYS_RATINGS_PER_BYTE 16
#define CCZ_RECSYS_RATINGS_FREE     ((uint64_t)1 << 20) /**< so many may be in any file */

/** Which ratings count. Zeroed: all, and a second rating of the same item by the same user is refused. In this order: */
struct ccz_recsys_filter {
    /**
     * Most ratings that are read, from all sources together, dropped ones included; more is refused (recsys:ratings) before memory
     * or disk are taken for them, and of a Parquet file before its first page is read.
     * 0: as many as a file's size makes likely. Of Parquet, which packs any number of equal rows into a few bytes:
     * CCZ_RECSYS_RATINGS_PER_BYTE a byte of the file, or CCZ_RECSYS_RATINGS_FREE if that is more. Text has at least 4 bytes a rating anyway.
     */
    uint64_t ratings_max;
    bool drop_below; /**< ratings below value_min are dropped */
    float value_min;
    bool binarize;               /**< what is left becomes 1 */
    enum ccz_recsys_twice twice; /**< what a second rating means */
    /** Users and items with fewer ratings are dropped, and again those that have fewer now, until none has: the k-core. */
    uint32_t per_user, per_item;
    bool
        once; /**< items once, then users once: a frequency filter, after which items may have fewer */
};

/** What became of the input. */
struct ccz_recsys_counts {
    uint64_t read;    /**< ratings in the input */
    uint64_t below;   /**< dropped by value */
    uint64_t twice;   /**< further ratings of the same item by the same user */
    uint64_t dropped; /**< ratings of users and items with too few */
    uint32_t users_dropped, items_dropped;
    uint64_t left;
};

/* ------------------------------------------------------------------------------- ratings in memory */

/** Ratings with what their numbers mean. */
struct ccz_recsys_data {
    struct ccz_recsys_ratings ratings; /**< in the order of the input, no pair twice */
    struct ccz_recsys_ids *user, *item;
    struct ccz_recsys_counts counts;
};
/**
 * Reads everything into memory, with times: for splits and evaluation. Of repeated ratings the one that counts keeps its place
 * (LAST), or the first one gets the sum of values and the latest time (SUM).
 * Memory: 20 bytes a rating; up to 60 while they grow, and 52 while repeats are looked for.
 * @param filter  NULL: zeroed
 * @retval CCZ_E_ARG        recsys:format: no user or item column, an impossible delimiter
 * @retval CCZ_E_NOT_FOUND  recsys:column: not in the header
 * @retval CCZ_E_FORMAT     recsys:empty, recsys:column-count, recsys:id, recsys:value, recsys:time, recsys:text, recsys:line, csv:...; aux = line
 * @retval CCZ_E_EXISTS     recsys:twice
 * @retval CCZ_E_LIMIT      recsys:ids, recsys:ratings, recsys:line-size
 * @retval CCZ_E_NOMEM      recsys:memory   @retval CCZ_E_SIG and others of a protected source: as pf.h
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_read(struct ccz_recsys_data *out,
                                            struct ccz_recsys_source *source,
                                            const struct ccz_recsys_format *format,
                                            const struct ccz_recsys_filter *filter,
                                            struct ccz_err *err);
CCZ_API void ccz_recsys_data_deinit(struct ccz_recsys_data *d); /**< wipes; zeroed is fine */

/* ------------------------------------------------------------------------- matrices beyond memory */

/** One rating by numbers. */
struct ccz_recsys_rating {
    uint32_t user, item;
    float value;
    int64_t time;
};

#define CCZ_RECSYS_BUILD_MEMORY_MIN ((uint64_t)4 << 20)

struct ccz_recsys_build_cfg {
    struct ccz_recsys_filter filter;
    /**
     * Bytes of memory that the builder may hold at any time: dictionaries, sorting, the matrices that come out.
     * At least CCZ_RECSYS_BUILD_MEMORY_MIN. Up to half of it is for sorting; what does not fit there goes to disk.
     * 0: no limit, and nothing goes to disk.
     */
    uint64_t memory_max;
    const char *spill_dir; /**< a folder with room; NULL: more than fits is refused */
    bool by_item;          /**< the matrix by items is wanted as well */
};
struct ccz_recsys_matrices {
    struct ccz_recsys_csr *by_user;
    struct ccz_recsys_csr *by_item;     /**< NULL unless wanted */
    struct ccz_recsys_ids *user, *item; /**< NULL if ratings were given by numbers */
    struct ccz_recsys_counts counts;
    uint64_t memory_peak; /**< bytes that the builder held at most, by its own count */
    uint64_t spilled;     /**< bytes of encrypted runs that were written */
    uint32_t runs;        /**< of the last merge */
};
CCZ_API void
ccz_recsys_matrices_deinit(struct ccz_recsys_matrices *m); /**< wipes; zeroed is fine */

/**
 * Collects ratings and makes matrices of them by an external sort: the ratings themselves are never in memory together.
 * With n ratings, u users, i items and dictionaries of d bytes (ccz_recsys_ids_size()), sorting in s <= memory_max / 2:
 *   reading d + s;  merging d + s + 8 n + 8 u;  at the end d + 8 n + 8 u, and with by_item or per_user or per_item
 *   d + 16 n + 8 (u + i), and 17 (u + i) more while per_user and per_item are worked on.
 * On disk: 12 bytes a rating, 20 with CCZ_RECSYS_TWICE_LAST, and 3 % more for its protection; twice as much for a moment if there are
 * more runs than one merge takes.
 */
struct ccz_recsys_builder;
/** @retval CCZ_E_ARG recsys:memory-max: too small @retval CCZ_E_NOMEM recsys:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_builder_new(struct ccz_recsys_builder **out,
                                                   const struct ccz_recsys_build_cfg *cfg,
                                                   struct ccz_err *err);
CCZ_API void ccz_recsys_builder_free(struct ccz_recsys_builder *b); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_builder)
/**
 * Adds ratings by numbers; users and items of the matrices are the largest ones + 1. A filter of per_user or per_item
 * would change numbers that nobody could tell, and is refused. After a failure the builder is of no use.
 * @retval CCZ_E_ARG    recsys:builder: ids were read before, or the filter; recsys:user, recsys:item, recsys:value
 * @retval CCZ_E_LIMIT  recsys:memory-max, recsys:ratings  @retval CCZ_E_IO  recsys:spill, pf:io: the disk is full
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_builder_add(struct ccz_recsys_builder *b,
                                                   const struct ccz_recsys_rating *r, size_t len,
                                                   struct ccz_err *err);
/** Reads a source to its end; may be called for several one after another, whose ids are of the same kinds.
 *  @retval as ccz_recsys_read(), ccz_recsys_builder_add() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_builder_read(struct ccz_recsys_builder *b,
                                                    struct ccz_recsys_source *source,
                                                    const struct ccz_recsys_format *format,
                                                    struct ccz_err *err);
/**
 * Makes the matrices; the builder can then only be freed.
 * @retval CCZ_E_LIMIT   recsys:memory-max: got what would be needed; nothing of that size was allocated
 * @retval CCZ_E_EXISTS  recsys:twice
 * @retval CCZ_E_SIG     pf:...: somebody changed what lies on the disk
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_builder_finish(struct ccz_recsys_matrices *out,
                                                      struct ccz_recsys_builder *b,
                                                      struct ccz_err *err);
/** One source from end to end. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_build(struct ccz_recsys_matrices *out,
                                             struct ccz_recsys_source *source,
                                             const struct ccz_recsys_format *format,
                                             const struct ccz_recsys_build_cfg *cfg,
                                             struct ccz_err *err);

/* ------------------------------------------------------------------------------- Parquet: ratings */

/**
 * A Parquet file of ratings (parquet.h), encrypted or not. Zeroed: columns "user", "item", "rating" and "timestamp", as Spark's examples
 * call them, and a file in clear.
 * Read: user and item INT32 or INT64 (ids INT; unsigned ones up to 2^63 - 1), or BYTES (ids TEXT, UTF-8); rating FLOAT, DOUBLE, INT32 or INT64;
 * timestamp the same as seconds, or DATE, or milli-, micro- or nanoseconds since 1970 where the column says so; no nulls. rating and
 * timestamp may be missing. Any other meaning (decimals, times of a day) is refused, as the numbers would be read as others than they are.
 * Written: ids as INT64 or as STRING, rating FLOAT, timestamp INT64 if it is known; ZSTD, without statistics: they tell about values.
 */
struct ccz_recsys_table {
    const char *user, *item, *value, *time; /**< NULL: the names above */
    /** From ccz_pq_decrypt_new() or ccz_pq_encrypt_new() (parquet_crypt.h). NULL: in clear; an encrypted file is refused then. */
    const struct ccz_pq_crypt *crypt;
    bool numbers; /**< writing: numbers as INT32 in place of ids, as Spark's ALS takes them */
};
/**
 * As ccz_recsys_read(), from a Parquet file. A scan needs memory of its own: parquet.h; pages up to 32 MiB, batches of a column up to 64 MiB.
 * @retval CCZ_E_NOT_FOUND    parquet:column   @retval CCZ_E_UNSUPPORTED  recsys:column-type: type or meaning; the hint says what to cast to
 * @retval CCZ_E_LIMIT        recsys:ratings: more rows than ccz_recsys_filter.ratings_max; got and expected
 * @retval CCZ_E_FORMAT       recsys:null, recsys:id, recsys:value, recsys:time; aux = row, from 0
 * @retval as ccz_recsys_read(), ccz_pq_reader_open(), ccz_pq_scan_next(), ccz_pq_decrypt_new()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_read_parquet(struct ccz_recsys_data *out,
                                                    const struct ccz_pq_source *io,
                                                    const struct ccz_recsys_table *table,
                                                    const struct ccz_recsys_filter *filter,
                                                    struct ccz_err *err);
/** As ccz_recsys_builder_read(), from a Parquet file. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_builder_read_parquet(struct ccz_recsys_builder *b,
                                                            const struct ccz_pq_source *io,
                                                            const struct ccz_recsys_table *table,
                                                            struct ccz_err *err);
/**
 * Writes ratings in their order, in bounded memory.
 * @param user, item  dictionaries, as long as r->users and r->items at least; not looked at if table->numbers
 * @retval CCZ_E_ARG  recsys:ids: a number that has no id  @retval as ccz_pq_writer_put()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_write_parquet(const struct ccz_pq_sink *io,
                                                     const struct ccz_recsys_ratings *r,
                                                     const struct ccz_recsys_ids *user,
                                                     const struct ccz_recsys_ids *item,
                                                     const struct ccz_recsys_table *table,
                                                     struct ccz_err *err);

/* ------------------------------------------------------------------------------- Parquet: factors */

/** A Parquet file of factors: what Spark's ALSModel.userFactors and itemFactors write. Zeroed: columns "id" and "features". */
struct ccz_recsys_factor_table {
    const char *id, *features; /**< NULL: the names above */
    const struct ccz_pq_crypt *crypt;
    /** What ids of the file mean. NULL: they are numbers. Borrowed. */
    const struct ccz_recsys_ids *ids;
    uint32_t len; /**< reading without ids: users or items there are; with ids not looked at */
};
/**
 * Reads factors: id INT32, INT64 or BYTES, features a list of FLOAT or DOUBLE, as many in each row; a column "bias" (FLOAT or
 * DOUBLE), if there is one. Several files, as Spark writes them, go into the same factors one after another.
 * @param[in,out] f     made by the first call that finds a row, if it is zeroed; ccz_recsys_factors_deinit()
 * @param[in,out] seen  [users or items of the table] 1 for each that is there now; zeros before the first file. Who is in no file has
 *                      zeros for factors: that is for the caller to count and judge
 * @retval CCZ_E_FORMAT     recsys:factors: a list of another length, null, a number that is not finite, an id twice; aux = row
 * @retval CCZ_E_NOT_FOUND  recsys:id: an id that is not known; aux = row   @retval CCZ_E_LIMIT recsys:factors
 * @retval CCZ_E_UNSUPPORTED recsys:column-type  @retval as ccz_pq_reader_open(), ccz_pq_scan_next(), ccz_pq_decrypt_new()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_factors_read_parquet(
    struct ccz_recsys_factors *f, uint8_t *seen, const struct ccz_pq_source *io,
    const struct ccz_recsys_factor_table *table, struct ccz_err *err);
/** Writes factors: id INT32 (numbers), INT64 or STRING, features a list of FLOAT, and bias if there is one.
 *  @retval CCZ_E_ARG  recsys:ids: a number that has no id @retval as ccz_pq_writer_put() */
CCZ_API CCZ_MUST_USE ccz_rc
ccz_recsys_factors_write_parquet(const struct ccz_pq_sink *io, const struct ccz_recsys_factors *f,
                                 const struct ccz_recsys_factor_table *table, struct ccz_err *err);

/* ------------------------------------------------------------------------------------------ titles */

#define CCZ_RECSYS_TITLE_SIZE_MAX 4096 /**< bytes; what is longer is cut at a character */

/** What people call items. */
struct ccz_recsys_titles;
/**
 * @param items  titles of other items are skipped; the last one of the same item counts
 * @retval as ccz_recsys_read(); the format needs item and title
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_titles_read(struct ccz_recsys_titles **out,
                                                   struct ccz_recsys_source *source,
                                                   const struct ccz_recsys_format *format,
                                                   const struct ccz_recsys_ids *items,
                                                   struct ccz_err *err);
CCZ_API void ccz_recsys_titles_free(struct ccz_recsys_titles *t); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_titles)
CCZ_API uint32_t ccz_recsys_titles_len(const struct ccz_recsys_titles *t); /**< items */
/** UTF-8, borrowed; empty: not known, or no such item. Untrusted: ccz_escape() or JSON before it is shown. */
CCZ_API struct ccz_span ccz_recsys_titles_get(const struct ccz_recsys_titles *t, uint32_t item);
/** As bytes: "CCZRTTL1", le32 length; then le32 size and bytes each. */
CCZ_API void ccz_recsys_titles_put(struct ccz_buf *out, const struct ccz_recsys_titles *t);
/** @retval CCZ_E_FORMAT recsys:titles-file @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_titles_parse(struct ccz_recsys_titles **out,
                                                    struct ccz_span in, struct ccz_err *err);

/* -------------------------------------------------------------------------------------------- plan */

/** What somebody wants to train, and on what. */
struct ccz_recsys_plan_in {
    uint64_t ratings;
    uint32_t users, items;
    uint32_t factors;
    uint32_t cg_steps;    /**< 0: exact solver */
    uint64_t memory_size; /**< bytes of this machine (of the TEE) */
    uint32_t cores;       /**< 0 = 1 */
    double
        rate; /**< work a second of one core: ccz_recsys_plan_rate(); 0: not known, no times come out */
    uint64_t executor_memory_size; /**< of one Spark executor; 0: memory_size */
    uint32_t executor_cores;       /**< 0: cores */
};
struct ccz_recsys_plan {
    uint64_t matrix_size; /**< bytes: both matrices */
    uint64_t factor_size; /**< bytes: factors of users and items */
    uint64_t train_size;  /**< bytes: both, and what threads need */
    uint64_t sort_memory; /**< for ccz_recsys_build_cfg.memory_max, beside dictionaries */
    uint64_t
        spill_size; /**< bytes on disk if sorting does not fit into half of the memory; 0: it does */
    bool fits;      /**< train_size is at most 60 % of the memory */
    double work;    /**< floating-point operations of an iteration */
    double seconds; /**< of an iteration; 0: not known */
    /** What the same takes as a job of Spark's MLlib; see docs/design/recsys-data.md for where the figures come from. */
    uint32_t executors;       /**< 0: more than 100,000 */
    uint64_t executor_memory; /**< spark.executor.memory, bytes */
    uint32_t blocks;          /**< numUserBlocks, numItemBlocks */
    uint64_t cluster_size;    /**< bytes of cached blocks and factors of all executors */
    uint64_t shuffle_size;    /**< bytes that cross the network in an iteration, at most */
};
/** @retval CCZ_E_ARG  recsys:plan: no ratings, users or items, or more than CCZ_RECSYS_..._MAX; factors; no memory; a rate < 0 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_plan(struct ccz_recsys_plan *out,
                                            const struct ccz_recsys_plan_in *in,
                                            struct ccz_err *err);
/** The rate of one core from an iteration that was measured: what `seconds` on `cores` cores of @p in says. 0: @p in is impossible. */
CCZ_API double ccz_recsys_plan_rate(const struct ccz_recsys_plan_in *in, double seconds);

#ifdef __cplusplus
}
#endif
#endif
