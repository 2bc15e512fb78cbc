/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_DATASET_H
#define CCZ_DATASET_H
/**
 * @file dataset.h
 * Training data from files, and how it is dealt out to parties: IDX (MNIST, Fashion-MNIST), CIFAR-10 binary batches,
 * MovieLens ratings; partitions IID, Dirichlet, shards and labels; orders that a seed fixes.
 *
 * Terms. A *sample* is `width` numbers with a *label*, a class 0 .. classes-1. A *part* is what one party holds. A *group*
 * is what belongs together, as all ratings of one user.
 *
 * Files are not trusted: each refusal names its reason, every size is checked before memory is taken. What is the same
 * everywhere for the same seed: orders and partitions (integers and double arithmetic with log, sqrt, cos, pow of the C
 * library; a partition by Dirichlet may so differ between C libraries, but not between runs). None of the random numbers
 * here is for secrets.
 *
 * Threads: everything is a function of its arguments; a data set that nobody changes may be read by many threads.
 * Reading order of the sources: seeded.c, idx.c, dataset.c, images.c, movielens.c, partition.c, open.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------- numbers that a seed fixes */

/** Reproducible, not secret: SplitMix64. One value of it belongs to one thread. */
struct ccz_seeded {
    uint64_t state;
};
/** Streams of one seed are independent of each other. */
CCZ_API struct ccz_seeded ccz_seeded_from(uint64_t seed, uint64_t stream);
CCZ_API uint64_t ccz_seeded_u64(struct ccz_seeded *r);
/** Uniform below n > 0, without bias. */
CCZ_API uint64_t ccz_seeded_below(struct ccz_seeded *r, uint64_t n);
CCZ_API double ccz_seeded_unit(struct ccz_seeded *r);   /**< uniform in (0, 1) */
CCZ_API double ccz_seeded_normal(struct ccz_seeded *r); /**< mean 0, variance 1 */
/** Gamma(shape, 1), shape > 0. @source Marsaglia, Tsang, ACM TOMS 26 (2000) */
CCZ_API double ccz_seeded_gamma(struct ccz_seeded *r, double shape);
/** Permutes index[0 .. len-1]; its contents are kept. */
CCZ_API void ccz_seeded_shuffle(size_t *index, size_t len, struct ccz_seeded *r);
/** 0 .. len-1 in the order of @p seed and @p stream (an epoch, say). */
CCZ_API void ccz_dataset_order(size_t *index, size_t len, uint64_t seed, uint64_t stream);

/* --------------------------------------------------------------------------------------- IDX */

#define CCZ_IDX_DIMS_MAX 4
#define CCZ_IDX_SIZE_MAX ((size_t)1 << 30) /**< bytes of a file, decompressed */

/** An array of bytes from an IDX file: be16 0, type 8, number of dimensions, be32 sizes, data. */
struct ccz_idx {
    unsigned dims_len; /**< 1 .. CCZ_IDX_DIMS_MAX */
    uint32_t dims[CCZ_IDX_DIMS_MAX];
    const uint8_t *data; /**< product of dims bytes */
    struct ccz_buf file; /**< what `data` points into, if it was read from a file */
};
/**
 * @param[out] out  zeroed on failure; borrows from @p in
 * @param dims_len  dimensions that are wanted
 * @retval CCZ_E_FORMAT  idx:header: no IDX file of bytes with so many dimensions; idx:dimension: a size of 0 or an
 *                       impossible one; idx:data: fewer or more bytes than announced
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_idx_parse(struct ccz_idx *out, struct ccz_span in,
                                          unsigned dims_len, struct ccz_err *err);
/**
 * The same from a plain or gzip-compressed file; ccz_idx_free() afterwards, also after a failure.
 * @retval CCZ_E_NOT_FOUND  dataset:open
 * @retval CCZ_E_LIMIT      dataset:size: more than CCZ_IDX_SIZE_MAX
 * @retval CCZ_E_FORMAT     dataset:gzip: damaged or cut short; and as ccz_idx_parse()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_idx_read(struct ccz_idx *out, const char *path, unsigned dims_len,
                                         struct ccz_err *err);
CCZ_API void ccz_idx_free(struct ccz_idx *x);

/* ---------------------------------------------------------------------------------- data sets */

#define CCZ_DATASET_LEN_MAX     ((size_t)1 << 28) /**< samples */
#define CCZ_DATASET_SIZE_MAX    ((size_t)1 << 33) /**< bytes of all samples */
#define CCZ_DATASET_CLASSES_MAX 65536
#define CCZ_DATASET_RANK_MAX    3

/**
 * Samples in memory. Images stay bytes, a quarter of the size, and become numbers when a batch is gathered.
 * @shape bytes or values [len * width] row-major, label[len], group[len]
 */
struct ccz_dataset {
    size_t len;    /**< samples */
    size_t width;  /**< numbers of a sample: the product of dims */
    unsigned rank; /**< of a sample */
    uint32_t dims
        [CCZ_DATASET_RANK_MAX]; /**< 28 x 28 x 1, 32 x 32 x 3 (height, width, channel), or the width */
    uint32_t classes;           /**< labels are below it */
    uint8_t *
        bytes; /**< images: a number is (byte / 255 - mean[channel]) / deviation[channel]; else NULL */
    float *values; /**< else NULL */
    float mean[4],
        deviation
            [4]; /**< by channel (the last dimension, at most 4); 0 and 1 unless set by the caller */
    uint32_t *label;
    uint32_t *group; /**< NULL: no groups */
};
CCZ_API void ccz_dataset_free(struct ccz_dataset *d); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_dataset)

/** What ccz_dataset_new() makes room for. */
struct ccz_dataset_shape {
    size_t len;
    unsigned rank;
    uint32_t dims[CCZ_DATASET_RANK_MAX];
    uint32_t classes;
    bool bytes; /**< bytes instead of values */
    bool groups;
};
/**
 * Zeros; the caller fills them in.
 * @retval CCZ_E_LIMIT  dataset:size: nothing, or beyond the limits above
 * @retval CCZ_E_NOMEM  dataset:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_new(struct ccz_dataset **out,
                                            const struct ccz_dataset_shape *shape,
                                            struct ccz_err *err);
/** Samples index[0 .. len-1] in that order. @retval CCZ_E_ARG dataset:index @retval CCZ_E_LIMIT, CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_select(struct ccz_dataset **out,
                                               const struct ccz_dataset *d, const size_t *index,
                                               size_t len, struct ccz_err *err);
/**
 * Gathers a batch as numbers.
 * @param[out] x      [len * width]
 * @param[out] label  [len], may be NULL
 * @param index       each below d->len, not checked; NULL: 0 .. len-1
 */
CCZ_API void ccz_dataset_gather(float *x, uint32_t *label, const struct ccz_dataset *d,
                                const size_t *index, size_t len);

/**
 * Images and labels of two IDX files (plain or gzip): MNIST, Fashion-MNIST. One channel.
 * @param classes  0: the largest label + 1
 * @retval CCZ_E_MISMATCH  dataset:labels: another number of labels than of images
 * @retval CCZ_E_FORMAT    dataset:label: a label is not below classes; and as ccz_idx_read()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_idx(struct ccz_dataset **out, const char *images,
                                            const char *labels, uint32_t classes,
                                            struct ccz_err *err);

#define CCZ_CIFAR10_RECORD_SIZE 3073 /**< label, then 32 x 32 red, green, blue */
/**
 * CIFAR-10 binary batches (data_batch_1.bin ...; plain or gzip), 32 x 32 x 3, ten classes.
 * @param paths  at least one, in this order
 * @retval CCZ_E_FORMAT  cifar10:size: not a whole number of records, or none; dataset:label; dataset:gzip
 * @source https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_cifar10(struct ccz_dataset **out, const char *const *paths,
                                                size_t paths_len, struct ccz_err *err);
/** The same from bytes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_cifar10_parse(struct ccz_dataset **out,
                                                      const struct ccz_span *batches, size_t len,
                                                      struct ccz_err *err);

#define CCZ_MOVIELENS_GENRES    20 /**< of GroupLens's list, "(no genres listed)" included */
#define CCZ_MOVIELENS_WIDTH     (3 + CCZ_MOVIELENS_GENRES)
#define CCZ_MOVIELENS_FILMS_MAX ((size_t)1 << 20)
/** The i-th genre; NULL behind the last. */
CCZ_API const char *ccz_movielens_genre(size_t i);
/**
 * MovieLens as GroupLens publishes it: ratings.csv (userId, movieId, rating, ...) and movies.csv (movieId, title,
 * genres), columns found by these names. scripts/fetch-movielens makes both from a Debian package.
 * A sample is a rating: x[0] the user's number, x[1] the film's row in movies.csv, from 0, x[2] (year - 1980) / 20 with
 * the year at the end of the title (0 without one), x[3 ..] 1 for each genre. Label 1: rating >= like; else 0. The group is
 * the user's number.
 * @param like  from 0.5 to 5; 0 = 4
 * @retval CCZ_E_FORMAT     movielens:column, movielens:id, movielens:film-twice, movielens:genre, movielens:rating, csv:...
 * @retval CCZ_E_NOT_FOUND  dataset:open; movielens:film: a rating of a film that is not in movies.csv
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_movielens(struct ccz_dataset **out, const char *ratings,
                                                  const char *films, double like,
                                                  struct ccz_err *err);
/** The same from bytes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_movielens_parse(struct ccz_dataset **out,
                                                        struct ccz_span ratings,
                                                        struct ccz_span films, double like,
                                                        struct ccz_err *err);

/* --------------------------------------------------------------------------------- partitions */

#define CCZ_DATASET_PARTS_MAX 1048576

enum ccz_dataset_skew {
    CCZ_DATASET_IID, /**< equal parts at random */
    /** The shares of each class are drawn from Dirichlet(alpha): small = skewed. */
    CCZ_DATASET_DIRICHLET,
    /** Sorted by class and cut into parts * per_part shards, per_part of which go to each part, at random unless it is 1
     *  (McMahan et al. 2017: 2 shards for each of 100 clients). */
    CCZ_DATASET_SHARDS,
    /** Part p has the class p mod classes and per_part - 1 others at random; a class is dealt out in equal shares to the
     *  parts that have it (Li et al. 2022, "#C = k"). A class that no part has is left out: NO_PART. */
    CCZ_DATASET_LABELS,
    CCZ_DATASET_GROUPS /**< whole groups, at random, each to the part with the fewest samples */
};
#define CCZ_DATASET_NO_PART UINT32_MAX

struct ccz_dataset_partition_cfg {
    enum ccz_dataset_skew skew;
    uint32_t parts;    /**< 1 .. CCZ_DATASET_PARTS_MAX, not more than samples */
    double alpha;      /**< DIRICHLET: > 0, < 1e6 */
    uint32_t per_part; /**< SHARDS, LABELS: shards or classes of a part; 0 = 2 */
    uint32_t
        least; /**< samples that each part is to have at least; 0 = 1. DIRICHLET draws anew until it holds, at most
                            1,000 times; with 1, parts without a sample take one from the largest. */
    bool
        balanced; /**< DIRICHLET: a part that has its equal share already gets no more of further classes (as NIID-Bench
                            and what compares itself with it) */
    uint64_t seed;
};
/**
 * Deals samples out.
 * @param[out] part  [len]: 0 .. parts-1, or CCZ_DATASET_NO_PART (LABELS only)
 * @param label      [len], below @p classes; with GROUPS the groups, and @p classes is not looked at
 * @retval CCZ_E_ARG    dataset:parts, dataset:alpha, dataset:per-part, dataset:label
 * @retval CCZ_E_LIMIT  dataset:least: no partition gives every part so many samples
 * @retval CCZ_E_NOMEM  dataset:memory
 * @source McMahan et al., AISTATS 2017; Li et al., "Federated Learning on Non-IID Data Silos", ICDE 2022
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_partition(uint32_t *part, const uint32_t *label, size_t len,
                                                  uint32_t classes,
                                                  const struct ccz_dataset_partition_cfg *cfg,
                                                  struct ccz_err *err);
/** Samples of part @p which, in their order. @retval CCZ_E_NOT_FOUND dataset:part-empty @retval CCZ_E_LIMIT, CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_part(struct ccz_dataset **out, const struct ccz_dataset *d,
                                             const uint32_t *part, uint32_t which,
                                             struct ccz_err *err);
/** "iid", "dirichlet", "shards", "labels", "groups"; false if @p name is none of them. */
CCZ_API CCZ_MUST_USE bool ccz_dataset_skew_from(enum ccz_dataset_skew *out, const char *name);

/* ------------------------------------------------------------------------- known collections */

/** A collection as it is published, and what one party has of it. */
struct ccz_dataset_source {
    /**
     * "mnist", "fashion-mnist"  the four IDX files, plain or .gz
     * "cifar10"                 data_batch_1.bin .. data_batch_5.bin, test_batch.bin, plain or .gz
     * "movielens"               ratings.csv, movies.csv; every tenth rating, by @p parts.seed, is held out
     * Images are normalised with the usual means and deviations of their collection.
     */
    const char *kind;
    const char *dir;
    struct ccz_dataset_partition_cfg parts; /**< parts.parts = 0: everything */
    uint32_t which;                         /**< the part of this party, below parts.parts */
    bool whole_test; /**< all test images instead of a share: to compare models of single parties */
    size_t limit, held_out_limit; /**< samples at most, chosen by the seed; 0 = all */
};
/**
 * Training samples of the part, and held-out ones: of images an equal share of the test images (so that the shares of all
 * parties make up the whole test), of ratings those of the part.
 * @retval CCZ_E_ARG  dataset:kind, dataset:which   @retval others as above; a file that is missing: dataset:open
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dataset_open(struct ccz_dataset **train,
                                             struct ccz_dataset **held_out,
                                             const struct ccz_dataset_source *source,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
