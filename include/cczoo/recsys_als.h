/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_ALS_H
#define CCZ_RECSYS_ALS_H
/**
 * @file recsys_als.h
 * Factor models by alternating least squares: the factors of items stay as they are while each user's are the solution of
 * a linear system, then the other way round. Design, equations and figures: docs/design/recsys-als.md.
 *
 * Kinds, with y_i the factors of item i, x_u of user u, r_ui a rating, S the pairs that are stored:
 *  - CCZ_RECSYS_IMPLICIT_HKV: sum over all u, i of c_ui (p_ui - x_u y_i)^2 + reg (|x|^2 + |y|^2), c = 1 + alpha r, p = 1 where
 *    r > 0 and else 0. @source Hu, Koren, Volinsky, ICDM 2008, sections 4 and 5
 *  - CCZ_RECSYS_IMPLICIT_IALS: sum over S of (1 - x_u y_i)^2 + w sum over all of (x_u y_i)^2 + reg times sums over users of
 *    (|S_u| + w items)^nu |x_u|^2, over items alike; values of ratings are not read. @source Rendle, Krichene, Zhang, Koren,
 *    "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022, section 3 (arXiv 2110.14037)
 *  - CCZ_RECSYS_EXPLICIT: sum over S of (r - score)^2 + reg (n_u |x_u|^2 + n_i |y_i|^2), n the numbers of ratings; with
 *    `biases` a mean and a bias for each user and item, solved for together with the factors and with the same weight.
 *    @source Zhou, Wilkinson, Schreiber, Pan, "Large-scale parallel collaborative filtering for the Netflix prize", AAIM 2008
 *
 * Results are the same for the same input and seed, whatever the number of threads; the tier of vector code matters, as sums
 * are rounded in another order. A user or item without ratings has factors 0. Nothing that comes out is infinite or NaN.
 * Threads: everything is a function of its arguments; a ccz_recsys_fold may be used by one thread at a time.
 * Reading order of the sources: als.c, als_solve.c, als_gram.c, als_double.c, als_nonneg.c, als_fold.c, als_loss.c, kern_vec.h, kern.c.
 */
#include <cczoo/recsys.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_RECSYS_CG_STEPS_MAX   1000
#define CCZ_RECSYS_ITERATIONS_MAX 10000

enum ccz_recsys_als_kind { CCZ_RECSYS_IMPLICIT_HKV, CCZ_RECSYS_IMPLICIT_IALS, CCZ_RECSYS_EXPLICIT };
enum ccz_recsys_als_solver {
    CCZ_RECSYS_ALS_EXACT, /**< blocked Cholesky; systems that float cannot solve in double, and 0 for factors that depend on others */
    CCZ_RECSYS_ALS_CG     /**< a few steps of conjugate gradients from the last factors */
};
/** Whose factors are looked for. */
enum ccz_recsys_side { CCZ_RECSYS_USERS, CCZ_RECSYS_ITEMS };

/** Where training is. */
struct ccz_recsys_als_step {
    uint32_t iteration;                   /**< 1, 2, .. that have been done in this call */
    double loss;                          /**< NAN unless it was asked for */
    const struct ccz_recsys_model *model; /**< as it is now; valid during the call */
};

/** Zeroed: HKV, exact; `factors`, `iterations` and `alpha` have to be set, or `unobserved` for IALS. */
struct ccz_recsys_als_cfg {
    enum ccz_recsys_als_kind kind;
    enum ccz_recsys_als_solver solver;
    bool biases;         /**< explicit only: mean and biases; not with nonneg */
    bool nonneg;         /**< no factor below 0; exact only */
    uint32_t factors;    /**< 1 .. CCZ_RECSYS_FACTORS_MAX */
    uint32_t iterations; /**< 1 .. CCZ_RECSYS_ITERATIONS_MAX; an iteration is users, then items */
    uint32_t cg_steps;   /**< of conjugate gradients; 0 = 3 */
    float reg;           /**< >= 0 */
    float alpha;         /**< HKV: > 0 */
    float unobserved;    /**< IALS: w > 0 */
    float nu;            /**< IALS: 0 .. 1; 0 = the same weight for all */
    float deviation; /**< items begin with normal numbers of deviation / sqrt(factors); 0 = 0.1 */
    uint64_t seed;
    unsigned threads; /**< 0 = 1; at most CCZ_THREADS_MAX are used */
    /** The ratings with items as rows; NULL: made inside, 8 bytes a rating. */
    const struct ccz_recsys_csr *by_item;
    bool loss; /**< for on_iteration; costs one more pass over ratings */
    /** After each iteration; false ends the training, with the model as it is. NULL: nobody is told. */
    bool (*on_iteration)(void *arg, const struct ccz_recsys_als_step *step);
    void *arg;
    const char *
        tier; /**< "portable", "avx2", "avx512": for tests and benches; NULL: the best of ccz_cpu()->chosen */
};

/**
 * Trains from random factors.
 * @param[out] out      the caller's; NULL unless CCZ_OK
 * @param      by_user  users are rows
 * @retval CCZ_E_ARG    recsys:kind, recsys:solver, recsys:iterations, recsys:cg-steps, recsys:reg, recsys:alpha, recsys:unobserved,
 *                      recsys:nu, recsys:deviation; recsys:biases (not explicit), recsys:nonneg-biases, recsys:nonneg-solver;
 *                      recsys:rows (starts that do not ascend), recsys:item (a column that is too large),
 *                      recsys:value (not finite, or implicit and negative; aux: place); recsys:by-item (not by_user's transpose in
 *                      shape or number of ratings)
 * @retval CCZ_E_LIMIT  recsys:factors; recsys:users, recsys:items; recsys:overflow: numbers that float cannot hold (aux: the first such row)
 * @retval CCZ_E_UNAVAILABLE  recsys:tier: not on this processor
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_als_train(struct ccz_recsys_model **out,
                                                 const struct ccz_recsys_csr *by_user,
                                                 const struct ccz_recsys_als_cfg *cfg,
                                                 struct ccz_err *err);
/**
 * cfg->iterations more iterations from where a model is: after new ratings, say. Seed and deviation are not used; mean stays.
 * On an error the model is one between before and after, without infinite numbers or NaN.
 * @param[in,out] model  of by_user's numbers of users and items and cfg->factors, with biases iff cfg->biases
 * @retval as of ccz_recsys_als_train(), and CCZ_E_MISMATCH recsys:model-users, recsys:model-items, recsys:model-factors,
 *         recsys:model-biases; recsys:model-mean: not 0 in a model without biases
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_als_iterate(struct ccz_recsys_model *model,
                                                   const struct ccz_recsys_csr *by_user,
                                                   const struct ccz_recsys_als_cfg *cfg,
                                                   struct ccz_err *err);
/**
 * What iterations make smaller: the sum that stands above, in double precision throughout.
 * @retval as of ccz_recsys_als_iterate()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_als_loss(double *loss, const struct ccz_recsys_model *model,
                                                const struct ccz_recsys_csr *by_user,
                                                const struct ccz_recsys_als_cfg *cfg,
                                                struct ccz_err *err);
/**
 * The most bytes that ccz_recsys_als_train() has at a time, its result included, by_user and cfg->by_item not: linear in
 * ratings, users and items. UINT64_MAX if factors are out of range or it overflows.
 */
CCZ_API uint64_t ccz_recsys_als_size(uint32_t users, uint32_t items, uint64_t ratings,
                                     const struct ccz_recsys_als_cfg *cfg);

/* ---------------------------------------------------------------------------- new users and items */

/** Ready to find factors of rows that were not there in training: sums over all factors of the other side are done. */
struct ccz_recsys_fold;
/**
 * @param[out] out    the caller's; ccz_recsys_fold_free(); borrows model
 * @param      side   whose factors it will find
 * @param      cfg    as in training; solver, seed, iterations, by_item and on_iteration are not used
 * @retval CCZ_E_ARG  recsys:side, and those of cfg in ccz_recsys_als_train()
 * @retval CCZ_E_MISMATCH  recsys:model-factors, recsys:model-biases, recsys:model-mean
 * @retval CCZ_E_UNAVAILABLE, CCZ_E_NOMEM  as there
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_fold_new(struct ccz_recsys_fold **out,
                                                const struct ccz_recsys_model *model,
                                                enum ccz_recsys_side side,
                                                const struct ccz_recsys_als_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_recsys_fold_free(struct ccz_recsys_fold *f); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_fold)
/**
 * Exact solutions: what an iteration with the exact solver would give these rows, bit for bit.
 * @param[out] out   made here; ccz_recsys_factors_deinit(); zeroed unless CCZ_OK
 * @param      rows  new users x items of the model (CCZ_RECSYS_USERS), or new items x users of it
 * @retval CCZ_E_ARG  recsys:cols (not as many as the model has), recsys:rows, recsys:item, recsys:value
 * @retval CCZ_E_LIMIT recsys:overflow @retval CCZ_E_NOMEM recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_fold_rows(struct ccz_recsys_factors *out,
                                                 struct ccz_recsys_fold *f,
                                                 const struct ccz_recsys_csr *rows,
                                                 struct ccz_err *err);
/** The two above for once. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_als_fold_in(struct ccz_recsys_factors *out,
                                                   const struct ccz_recsys_model *model,
                                                   const struct ccz_recsys_csr *rows,
                                                   enum ccz_recsys_side side,
                                                   const struct ccz_recsys_als_cfg *cfg,
                                                   struct ccz_err *err);
/**
 * How much each rating of a row adds to the score of @p target, were the row folded in: they sum up to its score, less mean
 * and target's bias. @source Hu, Koren, Volinsky, section 5
 * @shape share [row's ratings], in its order; zeros after recsys:target
 * @param target  number of an item of the model (CCZ_RECSYS_USERS), or of a user
 * @retval as of ccz_recsys_fold_rows(), and CCZ_E_ARG recsys:row, recsys:target
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_als_weights(float *share, struct ccz_recsys_fold *f,
                                                   const struct ccz_recsys_csr *rows, uint32_t row,
                                                   uint32_t target, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
