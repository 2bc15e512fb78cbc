/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_RANK_H
#define CCZ_RECSYS_RANK_H
/**
 * @file recsys_rank.h
 * The k best items of factor models: for users of the model or for vectors that came from elsewhere, similar items and users,
 * and why an item is recommended.
 *
 * Two ways lead to a list. *Plain*: vectors are read in 8 bits first, with an upper bound of each score that is proved
 * (docs/design/recsys-rank.md); only what may get into the list is computed in float32. *Oblivious* (ask.oblivious): every score
 * is computed in float32, and the list is kept by compare-exchanges without branches. Both, any number of threads, and every
 * processor give the same lists, bit for bit.
 *
 * The score of a user and an item is float32: 16 sums of products, of the factors j, j + 16, j + 32 .., each operation rounded by
 * itself; the sums are added as halves (j and j + 8, then 4, 2, 1); to that mean + user's bias + item's bias is added. A score of
 * zero is +0.
 *
 * Vectors and biases have to be finite, a vector shorter than 2^62 and a bias, or the mean, less than 2^125 in magnitude. A user for
 * whom that does not hold is refused, however many ask.
 *
 * Threads: an index may be used by many threads at once. Memory with parts of models or of lists is wiped before it is freed.
 */
#include <cczoo/recsys.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------ index */

/** A model made ready for many questions: vectors in 8 bits, how long they are and what rounding has done to them. */
struct ccz_recsys_index;

struct ccz_recsys_index_cfg {
    bool users;       /**< also for ccz_recsys_similar_users() */
    unsigned threads; /**< 0 = 1 */
    /** "portable", "avx2", "avx512", "vnni": for tests and benches; NULL: the best allowed. Lists do not differ. */
    const char *tier;
};
/** Bytes of an index, besides the model. About a quarter of the vectors, and 20 bytes an item (and a user). */
CCZ_API uint64_t ccz_recsys_index_size(const struct ccz_recsys_model *model,
                                       const struct ccz_recsys_index_cfg *cfg);
/**
 * @param[out] out    the caller's; ccz_recsys_index_free()
 * @param      model  borrowed: neither changed nor freed as long as the index lives
 * @param      cfg    NULL: all zeros
 * @retval CCZ_E_ARG    recsys:factors: users have another number than items; recsys:value: a vector or bias that is not finite or too
 *                      large, with its number
 * @retval CCZ_E_UNAVAILABLE  recsys:tier: not on this processor
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_index_new(struct ccz_recsys_index **out,
                                                 const struct ccz_recsys_model *model,
                                                 const struct ccz_recsys_index_cfg *cfg,
                                                 struct ccz_err *err);
/** Wipes and frees; NULL is fine. */
CCZ_API void ccz_recsys_index_free(struct ccz_recsys_index *index);
CCZ_DEFINE_AUTO(ccz_recsys_index)

/* ------------------------------------------------------------------------------------------ lists */

/*
 * All of these: lists by descending score, among equal scores the lower number first; what is missing to k is
 * CCZ_RECSYS_NONE with -INFINITY. After a failure lists are empty, but for CCZ_E_ARG of recsys:k, which leaves them alone.
 * @shape item, score [ask->users_len * ask->k]
 * @retval CCZ_E_ARG    recsys:k, recsys:user, recsys:item (deny, allow), recsys:seen (other items, or no row for a user), recsys:rows and
 *                      recsys:columns (as recsys.h says of ccz_recsys_recommend_fn), recsys:factors, recsys:value
 * @retval CCZ_E_NOMEM  recsys:memory
 *
 * What an oblivious question hides: scores, what was seen, and lists; from who watches which addresses are read and written, which
 * branches are taken, and the time. What it does not: which users are asked for, how much each has seen, k, deny, allow, sizes,
 * whether a vector is in range, a score finite and a row of what was seen refused. Its time is that of items * (factors + k +
 * how much the user has seen / 64), whatever comes out; and processors take longer over numbers below 2^-126, if vectors or
 * products of them are that small.
 */

/** As ccz_recsys_recommend_fn. Makes an index for this call if there are many users; who asks often makes one for all calls.
 *  @param model  const struct ccz_recsys_model * */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_recommend(uint32_t *item, float *score, void *model,
                                                 const struct ccz_recsys_ask *ask,
                                                 struct ccz_err *err);
/** The same by an index. @param index  const struct ccz_recsys_index * */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_recommend_index(uint32_t *item, float *score, void *index,
                                                       const struct ccz_recsys_ask *ask,
                                                       struct ccz_err *err);
/**
 * The same for users that the model does not know, as folding in makes them: numbers of ask->user and rows of ask->seen are those
 * of @p users.
 * @param users  as many factors as the model's; a bias if there is one
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_recommend_vectors(uint32_t *item, float *score,
                                                         const struct ccz_recsys_index *index,
                                                         const struct ccz_recsys_factors *users,
                                                         const struct ccz_recsys_ask *ask,
                                                         struct ccz_err *err);
/**
 * Items whose vectors have the most similar direction, by cosine: (dot product as in a score) * (1 / length * 1 / length). Vectors
 * that are shorter than 2^-50 count as zeros, and a cosine with one is 0. An item is not in its own list.
 * @param ask  numbers of ask->user are those of items; deny and allow as well; seen is NULL
 * @retval CCZ_E_ARG  also recsys:seen: not NULL
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_similar_items(uint32_t *item, float *cosine,
                                                     const struct ccz_recsys_index *index,
                                                     const struct ccz_recsys_ask *ask,
                                                     struct ccz_err *err);
/** The same for users: numbers of ask->user, deny and allow are those of users. @retval CCZ_E_ARG also recsys:index: made without them */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_similar_users(uint32_t *user, float *cosine,
                                                     const struct ccz_recsys_index *index,
                                                     const struct ccz_recsys_ask *ask,
                                                     struct ccz_err *err);
/** Score of each of @p len pairs, as in lists. @shape score, user, item [len] @retval CCZ_E_ARG recsys:user, recsys:item, recsys:factors */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_scores(float *score, const struct ccz_recsys_model *model,
                                              const uint32_t *user, const uint32_t *item,
                                              size_t len, struct ccz_err *err);

/* ------------------------------------------------------------------------------------------- why */

/** An item of a user's history and what it adds to a score. */
struct ccz_recsys_reason {
    uint32_t item;
    float share;
};
/** score = mean + item_bias + shares of the listed reasons + others + rest, up to rounding. The user's bias is part of the shares: it
 *  comes from the history too. */
struct ccz_recsys_explanation {
    float score; /**< as in lists */
    float mean, item_bias;
    float others; /**< shares of the history that are not listed */
    /** What the user's vector says besides: training moves items after users, so that a vector is not quite what the history makes of it
     *  now. */
    float rest;
    uint32_t reasons; /**< how many are listed: k or the whole history */
};
/**
 * Why @p item has the score that it has for @p user: the items of the history with the largest shares.
 * @param[out] reason  by descending share, among equal ones the lower number first; behind them CCZ_RECSYS_NONE with 0
 * @shape reason [k], share [items of the user's row of @p seen]: as ccz_recsys_als_weights() gives it
 * @retval CCZ_E_ARG  recsys:k, recsys:user, recsys:item, recsys:seen, recsys:rows, recsys:columns, recsys:factors; recsys:value: a share is not finite
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_explain(struct ccz_recsys_explanation *out,
                                               struct ccz_recsys_reason *reason, uint32_t k,
                                               const struct ccz_recsys_model *model, uint32_t user,
                                               uint32_t item, const struct ccz_recsys_csr *seen,
                                               const float *share, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
