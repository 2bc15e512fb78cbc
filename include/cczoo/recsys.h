/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_H
#define CCZ_RECSYS_H
/**
 * @file recsys.h
 * Recommenders: what all parts of the module share, ratings, sparse matrices, factors and the question "which k items".
 * Training: recsys_als.h; lists, similar items, fold-in: recsys_rank.h; baselines, metrics, splits, search: recsys_eval.h;
 * files of ratings and their ids: recsys_data.h; models that leave the process: recsys_bundle.h.
 *
 * Terms. Users and items have *numbers*, 0 .. users-1 and 0 .. items-1; what they are called outside, an *id*, is known to a
 * dictionary only. A *rating* is (user, item, value, time): stars, or for implicit feedback how often or how long. The
 * *factors* of a user and of an item are vectors whose inner product is a score. An item is *seen* by a user who rated it.
 *
 * Everything that a function computes is the same for the same input and seed, whatever the number of threads.
 * Threads: everything is a function of its arguments; what nobody changes may be read by many threads.
 */
#include <cczoo/parallel.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_RECSYS_NONE        UINT32_MAX          /**< no item, no user */
#define CCZ_RECSYS_LEN_MAX     ((uint32_t)1 << 31) /**< users, items */
#define CCZ_RECSYS_RATINGS_MAX ((uint64_t)1 << 36)
#define CCZ_RECSYS_FACTORS_MAX 1024
#define CCZ_RECSYS_K_MAX       10000 /**< length of a list */

/* --------------------------------------------------------------------------------------- ratings */

/** Ratings in any order. Who fills it in keeps user < users, item < items and values finite. */
struct ccz_recsys_ratings {
    uint32_t users, items;
    uint64_t len;
    uint32_t *user, *item; /**< [len] */
    float *value;          /**< [len] */
    int64_t *time;         /**< [len] seconds since 1970 UTC; NULL: not known */
};
/**
 * Makes room; contents are zeros.
 * @retval CCZ_E_LIMIT  recsys:users, recsys:items, recsys:ratings
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ratings_init(struct ccz_recsys_ratings *out, uint32_t users,
                                                    uint32_t items, uint64_t len, bool times,
                                                    struct ccz_err *err);
/** Wipes and frees; zeroed is fine. */
CCZ_API void ccz_recsys_ratings_deinit(struct ccz_recsys_ratings *r);

/* ------------------------------------------------------------------------------------ sparse matrix */

/** Compressed rows. Columns of a row ascend, none twice. */
struct ccz_recsys_csr {
    uint32_t rows, cols;
    uint64_t len;    /**< stored values */
    uint64_t *start; /**< [rows + 1]; row r is start[r] .. start[r + 1] - 1 */
    uint32_t *col;   /**< [len] */
    float *value;    /**< [len] */
};
/** What a second rating of the same item by the same user means. */
enum ccz_recsys_twice {
    CCZ_RECSYS_TWICE_REFUSE, /**< recsys:twice */
    CCZ_RECSYS_TWICE_LAST, /**< the later one counts: by time, and among equal times, or without times, by place */
    CCZ_RECSYS_TWICE_SUM /**< of implicit feedback */
};
/**
 * Users are rows, items columns.
 * @param[out] out  the caller's; ccz_recsys_csr_free()
 * @retval CCZ_E_ARG     recsys:user, recsys:item: a number that is too large; recsys:value: not finite, or a sum that is not
 * @retval CCZ_E_EXISTS  recsys:twice, with the place
 * @retval CCZ_E_NOMEM   recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_csr_new(struct ccz_recsys_csr **out,
                                               const struct ccz_recsys_ratings *r,
                                               enum ccz_recsys_twice twice, struct ccz_err *err);
/** Columns become rows. @retval CCZ_E_NOMEM recsys:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_csr_transpose(struct ccz_recsys_csr **out,
                                                     const struct ccz_recsys_csr *in,
                                                     struct ccz_err *err);
/** Wipes and frees; NULL is fine. */
CCZ_API void ccz_recsys_csr_free(struct ccz_recsys_csr *m);
CCZ_DEFINE_AUTO(ccz_recsys_csr)

/* ---------------------------------------------------------------------------------------- factors */

/** Vectors of users or of items. @shape v [len * stride] row-major, aligned to 64 bytes; behind `factors` zeros */
struct ccz_recsys_factors {
    uint32_t len;
    uint32_t factors; /**< 1 .. CCZ_RECSYS_FACTORS_MAX */
    uint32_t stride;  /**< factors, rounded up to 16 */
    float *v;
    float *bias; /**< [len] or NULL: what a score gets besides */
};
/** Zeros. @retval CCZ_E_LIMIT recsys:factors, recsys:users @retval CCZ_E_NOMEM recsys:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_factors_init(struct ccz_recsys_factors *out, uint32_t len,
                                                    uint32_t factors, bool bias,
                                                    struct ccz_err *err);
CCZ_API void
ccz_recsys_factors_deinit(struct ccz_recsys_factors *f); /**< wipes and frees; zeroed is fine */
static inline float *ccz_recsys_row(const struct ccz_recsys_factors *f, uint32_t i)
{
    return f->v + (size_t)i * f->stride;
}

/** A trained factor model. Score of (u, i): mean + user.bias[u] + item.bias[i] + <user u, item i>. */
struct ccz_recsys_model {
    struct ccz_recsys_factors user, item;
    float mean;
};
CCZ_API void ccz_recsys_model_free(struct ccz_recsys_model *m); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_model)

/* ------------------------------------------------------------------------------------------ lists */

/** Which items for whom. Zeroed but for users and k: every item may be recommended, also one that was seen. */
struct ccz_recsys_ask {
    const uint32_t *user; /**< [users_len] numbers of users; NULL: 0 .. users_len - 1 */
    size_t users_len;
    uint32_t k; /**< 1 .. CCZ_RECSYS_K_MAX */
    const struct ccz_recsys_csr
        *seen;            /**< rows are users: what a user has seen is left out; NULL: nothing is */
    const uint32_t *deny; /**< [deny_len] items that nobody gets */
    size_t deny_len;
    const uint32_t *allow; /**< [allow_len] the only items that anybody gets; NULL: all */
    size_t allow_len;
    unsigned threads; /**< 0 = 1 */
    /** Time and places in memory that are read do not depend on scores, on what was seen or on the lists that come out; on
     *  who asks, which numbers are asked for and how much each has seen they do. */
    bool oblivious;
};
/**
 * Lists by descending score; among equal scores the lower number first. A list that is shorter than k ends in
 * CCZ_RECSYS_NONE with score -INFINITY.
 * @shape item, score [users_len * k]
 * @retval CCZ_E_ARG  recsys:k, recsys:user, recsys:item (of deny and allow), recsys:seen (another number of items, or no row for a user);
 *                    recsys:rows, recsys:columns: a row of `seen` that is asked for does not lie within it, or its columns do not ascend or
 *                    are too large; aux is the row. Lists are empty then, but for recsys:k
 */
typedef ccz_rc (*ccz_recsys_recommend_fn)(uint32_t *item, float *score, void *arg,
                                          const struct ccz_recsys_ask *ask, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
