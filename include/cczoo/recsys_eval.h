/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_EVAL_H
#define CCZ_RECSYS_EVAL_H
/**
 * @file recsys_eval.h
 * How good is a recommender, and against what: splits, metrics with intervals, baselines (popularity, item-kNN, EASE), search
 * for parameters, ratings with a planted truth, and a report. Design, definitions and their sources: docs/design/recsys-eval.md.
 *
 * Life cycle: ccz_recsys_split(), ccz_recsys_csr_new() of both parts, train something, ccz_recsys_evaluate() what it recommends.
 * Whatever has a ccz_recsys_recommend_fn can be judged; baselines have one, and so have factor models (recsys_rank.h).
 *
 * Results are the same for the same input and seed, whatever the number of threads. Sums of metrics are in double precision, in
 * order of users. Threads: functions of their arguments; baselines may be asked by many threads at once.
 * Reading order of the sources: metrics.c, metrics_interval.c, split.c, popular_lists.c, popular.c, knn.c, ease.c, ease_invert.c, ease_kern.h,
 * search.c, search_als.c, synth.c, report.c in src/recsys.
 */
#include <cczoo/recsys_als.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------- metrics */

/**
 * Of a user with n relevant items in the test part and a list of k items, h of which are relevant (rel(p): the item at place p is;
 * p counts from 1), and of all users:
 * X(name, text, what)
 */
#define CCZ_RECSYS_METRIC_MAP(X)                                                                   \
    X(HR, "hr", "hit rate: 1 if h > 0")                                                            \
    X(RECALL, "recall", "h / n")                                                                   \
    X(PRECISION, "precision", "h / k")                                                             \
    X(NDCG, "ndcg", "sum rel(p) / log2(p + 1), over that of min(k, n) relevant items in front")    \
    X(MAP, "map", "sum rel(p) h(p) / p, over min(k, n); h(p): relevant ones up to p")              \
    X(MRR, "mrr", "1 / p of the first relevant item, 0 if there is none")                          \
    X(AUC, "auc", "relevant before irrelevant candidates; what the list does not show: a half")    \
    X(AUC_ALL, "auc_all", "the same, and seen items count as irrelevant, behind all candidates")   \
    X(NOVELTY, "novelty",                                                                          \
      "mean of -log2(share of users who have seen the item; at least one), bits")                  \
    X(PRECISION_CAPPED, "precision_capped", "sum of h of all users / sum of min(k, n)")            \
    X(COVERAGE, "coverage", "share of items that are in some list")

enum ccz_recsys_metric {
#define X(name, text, what) CCZ_RECSYS_##name,
    CCZ_RECSYS_METRIC_MAP(X)
#undef X
        CCZ_RECSYS_METRICS
};
/** "ndcg" and so on. */
CCZ_API const char *ccz_recsys_metric_name(enum ccz_recsys_metric m);
/** By that name; CCZ_RECSYS_METRICS if there is none. */
CCZ_API enum ccz_recsys_metric ccz_recsys_metric_from(const char *name);

#define CCZ_RECSYS_CUTS_MAX       8
#define CCZ_RECSYS_BOOTSTRAP_MAX  100000
#define CCZ_RECSYS_CANDIDATES_MAX 9999 /**< of `sampled` */

/** Zeroed: lists of 10, full ranking, every user with something in the test part, no intervals. */
struct ccz_recsys_eval_cfg {
    uint32_t k[CCZ_RECSYS_CUTS_MAX]; /**< lengths of lists, ascending; 1 .. CCZ_RECSYS_K_MAX */
    size_t k_len;                    /**< 0: one, 10 */
    float
        relevant_from; /**< test ratings with less are not relevant; 0: every test rating is, whatever its value */
    const uint32_t *
        user; /**< [users_len] judge only these, ascending; NULL: all. Users without relevant items are left out */
    size_t users_len;
    /** Judge also items that the user has seen in the training part: for things that people take again. */
    bool repeats;
    /** 0: rank all items. n: only the user's relevant items and n others that he has in neither part, drawn uniformly. Such
     *  metrics are inflated and may order recommenders differently; they are here to compare with papers that have them. */
    uint32_t sampled;
    uint64_t seed; /**< of `sampled` and `bootstrap` */
    uint32_t
        bootstrap; /**< resamples of users for intervals, up to CCZ_RECSYS_BOOTSTRAP_MAX; 0: none */
    double confidence; /**< 0: 0.95 */
    unsigned threads;  /**< 0 = 1; passed on to the recommender */
};
/** At one length of lists. NAN: not defined (nobody to judge; an interval that was not asked for, or of PRECISION_CAPPED and COVERAGE). */
struct ccz_recsys_at {
    uint32_t k;
    double mean[CCZ_RECSYS_METRICS];
    double low[CCZ_RECSYS_METRICS],
        high[CCZ_RECSYS_METRICS]; /**< percentile bootstrap over users */
};
struct ccz_recsys_metrics {
    uint64_t users;    /**< judged */
    uint64_t relevant; /**< their relevant items */
    size_t at_len;
    struct ccz_recsys_at at[CCZ_RECSYS_CUTS_MAX];
};
/**
 * Asks for lists of the largest k, without what was seen in @p train, and judges them. What the recommender leaves out (a list that
 * ends early) is a miss. Ties are the recommender's to break; ours break them by the number of the item, which is arbitrary:
 * what scores everything alike must not be judged by this.
 * @param arg    given to @p recommend
 * @param train  what was trained on: users x items
 * @param test   the held-out part, of the same shape
 * @retval CCZ_E_ARG     recsys:shape: parts of different shapes; recsys:k: not ascending, or out of range; recsys:user: not ascending or
 *                       too large; recsys:confidence; recsys:sampled; recsys:bootstrap
 * @retval CCZ_E_FORMAT  recsys:list: the recommender answered with an item that does not exist, that is there twice, or that had to be
 *                       left out. Judging that would flatter it
 * @retval CCZ_E_NOMEM   recsys:memory
 * @return or what @p recommend failed with
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_evaluate(struct ccz_recsys_metrics *out,
                                                ccz_recsys_recommend_fn recommend, void *arg,
                                                const struct ccz_recsys_csr *train,
                                                const struct ccz_recsys_csr *test,
                                                const struct ccz_recsys_eval_cfg *cfg,
                                                struct ccz_err *err);
/** One user's metrics from one list: what ccz_recsys_evaluate() takes means of. Novelty, AUC and AUC_ALL only if @p candidates > 0.
 *  @param[out] out    [CCZ_RECSYS_METRICS]; NAN where it is not a user's
 *  @param      list   [k] items, CCZ_RECSYS_NONE behind the end
 *  @param relevant    [relevant_len] ascending, 1 or more
 *  @param candidates  items that could have been in the list; @p items  all items */
CCZ_API void ccz_recsys_judge(double *out, const uint32_t *list, uint32_t k,
                              const uint32_t *relevant, size_t relevant_len, uint32_t candidates,
                              uint32_t items);

/** Predicts values. @shape value, user, item [len] */
typedef ccz_rc (*ccz_recsys_predict_fn)(float *value, void *arg, const uint32_t *user,
                                        const uint32_t *item, size_t len, struct ccz_err *err);
/** Scores of a model as predictions: @p arg is a const struct ccz_recsys_model. Errors as of ccz_recsys_scores(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_predict(float *value, void *arg, const uint32_t *user,
                                               const uint32_t *item, size_t len,
                                               struct ccz_err *err);
/** Predictions are cut to low .. high unless both are 0. */
struct ccz_recsys_error_cfg {
    float low, high;
    uint32_t
        bootstrap; /**< as above; resamples *users*, not ratings: those of one user are not independent */
    uint64_t seed;
    double confidence;
    unsigned threads;
};
struct ccz_recsys_errors {
    uint64_t len;
    double rmse, mae; /**< over ratings; NAN if there is none */
    double rmse_low, rmse_high, mae_low, mae_high;
};
/** @retval CCZ_E_ARG recsys:range, recsys:confidence, recsys:bootstrap @retval CCZ_E_FORMAT recsys:prediction: not a finite number
 *  @retval CCZ_E_NOMEM recsys:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_errors(struct ccz_recsys_errors *out,
                                              ccz_recsys_predict_fn predict, void *arg,
                                              const struct ccz_recsys_csr *test,
                                              const struct ccz_recsys_error_cfg *cfg,
                                              struct ccz_err *err);

/* ----------------------------------------------------------------------------------------- splits */

enum ccz_recsys_split_kind {
    CCZ_RECSYS_SPLIT_TIME, /**< what happened last, over everybody: the only one in which nothing of the future is learned from */
    CCZ_RECSYS_SPLIT_LAST, /**< the last `leave` ratings of each user. Others' later ratings are in the training part */
    CCZ_RECSYS_SPLIT_LEAVE, /**< `leave` of each user's ratings, drawn uniformly */
    CCZ_RECSYS_SPLIT_RANDOM /**< each rating with probability `share` */
};
struct ccz_recsys_split_cfg {
    enum ccz_recsys_split_kind kind;
    double share; /**< of TIME and RANDOM: part for testing, in (0, 1); 0: 0.2 */
    int64_t
        from_s; /**< of TIME: everything at this time and later; 0: chosen so that `share` is reached. Equal times stay together */
    uint32_t leave; /**< of LAST and LEAVE; 0: 1 */
    uint32_t
        remain; /**< of LAST and LEAVE: who would have fewer left keeps all for training; 0: 1 */
    bool
        drop_cold; /**< leaves out test ratings of users and items that are not in the training part: nobody could predict them. Metrics rise by it */
    bool
        keep_seen; /**< keeps test ratings of what the same user has rated in the training part; else they are left out, as that would be known already */
    uint64_t seed;
};
/** What became of the ratings. */
struct ccz_recsys_split {
    uint64_t train, test;
    uint64_t cold, seen; /**< left out, see `drop_cold` and `keep_seen` */
    uint64_t users;      /**< with something in the test part */
    uint64_t users_kept; /**< LAST and LEAVE: with too little to leave something out */
    uint64_t
        test_before_train; /**< test ratings that are older than the newest of training: learned from their future; 0 by TIME */
    int64_t from_s;        /**< TIME: where the test part begins */
};
/**
 * Ratings keep their order and their numbers of users and items. Among equal times the one that comes later in @p in is later.
 * @param[out] train, test  the caller's; ccz_recsys_ratings_deinit(); zeroed on failure
 * @param[out] info  may be NULL
 * @retval CCZ_E_ARG    recsys:time: TIME or LAST without times; recsys:share; recsys:user, recsys:item as ccz_recsys_csr_new()
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_split(struct ccz_recsys_ratings *train,
                                             struct ccz_recsys_ratings *test,
                                             struct ccz_recsys_split *info,
                                             const struct ccz_recsys_ratings *in,
                                             const struct ccz_recsys_split_cfg *cfg,
                                             struct ccz_err *err);

/* -------------------------------------------------------------------------------------- baselines */

/*
 * Each is made from the training part, which it borrows: `train` has to live as long, as the histories of users are in it.
 * One that is no matrix of compressed rows is refused: CCZ_E_ARG recsys:rows (starts that do not ascend), recsys:columns (columns of a row
 * that do not ascend, or are too large); aux is the row.
 * ccz_recsys_..._recommend() are ccz_recsys_recommend_fn with the object as `arg`. They refuse what is asked for beyond the contract of
 * struct ccz_recsys_ask with CCZ_E_UNSUPPORTED recsys:oblivious: their time depends on what they read.
 */

/** What most have. The same for everybody but for what each has seen. */
struct ccz_recsys_popular;
/** @param values  true: by sum of values; false: by number of ratings @retval CCZ_E_NOMEM recsys:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_popular_new(struct ccz_recsys_popular **out,
                                                   const struct ccz_recsys_csr *train, bool values,
                                                   struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_popular_recommend(uint32_t *item, float *score, void *arg,
                                                         const struct ccz_recsys_ask *ask,
                                                         struct ccz_err *err);
/** [items] what items are ordered by. */
CCZ_API const float *ccz_recsys_popular_scores(const struct ccz_recsys_popular *p);
CCZ_API void ccz_recsys_popular_free(struct ccz_recsys_popular *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_popular)

/**
 * Similarity of items i and j, whose columns of ratings are x and y:
 *  COSINE  <x, y> / (|x| |y| + shrink)
 *  TFIDF   the same of sqrt(value) * idf(u), idf(u) = ln(items) - ln(1 + items of u)
 *  BM25    <x', y'> of x'_u = value (k1 + 1) / (k1 (1 - b + b sum(x) / mean sum) + value) * idf(u), over 1 + shrink
 * Score of an item: sum over the user's items of value * similarity, where the item is one of the most similar ones.
 */
enum ccz_recsys_knn_kind { CCZ_RECSYS_KNN_COSINE, CCZ_RECSYS_KNN_TFIDF, CCZ_RECSYS_KNN_BM25 };
#define CCZ_RECSYS_NEIGHBOURS_MAX 10000
struct ccz_recsys_knn_cfg {
    enum ccz_recsys_knn_kind kind;
    uint32_t
        neighbours; /**< of each item, itself not counted; 0: 20; up to CCZ_RECSYS_NEIGHBOURS_MAX */
    double shrink;  /**< 0 or more */
    double k1, b;   /**< BM25; both 0: 1.2 and 0.75. 0 <= b <= 1 */
    bool binary;    /**< every rating counts as 1 */
    unsigned threads; /**< 0 = 1 */
};
struct ccz_recsys_knn;
/**
 * Time: sum over users of (their ratings)^2; memory: ccz_recsys_knn_size() bytes, of which items * neighbours * 8 + items * 4 stay.
 * @retval CCZ_E_ARG    recsys:neighbours, recsys:shrink, recsys:bm25; recsys:value: a negative value with TFIDF or BM25
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_knn_new(struct ccz_recsys_knn **out,
                                               const struct ccz_recsys_csr *train,
                                               const struct ccz_recsys_knn_cfg *cfg,
                                               struct ccz_err *err);
/** Peak, bytes, besides the ratings given: 24 a rating, 8 for each neighbour, 16 an item and thread. @param cfg  neighbours and threads are read */
CCZ_API uint64_t ccz_recsys_knn_size(uint32_t items, uint64_t ratings,
                                     const struct ccz_recsys_knn_cfg *cfg);
/** Items that are no neighbour of anything the user has seen are in no list: lists may end early. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_knn_recommend(uint32_t *item, float *score, void *arg,
                                                     const struct ccz_recsys_ask *ask,
                                                     struct ccz_err *err);
/** The neighbours of an item, most similar first; returns how many. @p item and @p similarity are valid as long as @p k. */
CCZ_API uint32_t ccz_recsys_knn_neighbours(const uint32_t **item, const float **similarity,
                                           const struct ccz_recsys_knn *k, uint32_t of);
CCZ_API void ccz_recsys_knn_free(struct ccz_recsys_knn *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_knn)

/** EASE: linear autoencoder with zero diagonal. P = (X^T X + reg I)^-1; weight of item i for item j: -P_ij / P_jj.
 *  @source Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019 */
#define CCZ_RECSYS_EASE_ITEMS_MAX 32768
struct ccz_recsys_ease_cfg {
    double reg;       /**< above 0; 0: 500 */
    bool values;      /**< ratings count with their values; else each as 1 */
    unsigned threads; /**< 0 = 1 */
    const char *
        tier; /**< "portable", "avx2", "avx512"; NULL: the best allowed. Tiers differ in the last bits */
};
struct ccz_recsys_ease;
/**
 * Time: items^3 / 2 multiplications and sum over users of (their ratings)^2 / 2; memory: ccz_recsys_ease_size() bytes. Sums of
 * X^T X are in double precision, the inverse in single.
 * @retval CCZ_E_LIMIT        recsys:ease-items: more than CCZ_RECSYS_EASE_ITEMS_MAX
 * @retval CCZ_E_ARG          recsys:reg; recsys:singular: `reg` is too small for single precision: a pivot is at most 2^-26 items
 *                            times its element of the diagonal (items that the same users have rated need a reg above that)
 * @retval CCZ_E_UNAVAILABLE  recsys:tier: not on this processor
 * @retval CCZ_E_NOMEM        recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ease_new(struct ccz_recsys_ease **out,
                                                const struct ccz_recsys_csr *train,
                                                const struct ccz_recsys_ease_cfg *cfg,
                                                struct ccz_err *err);
/** Peak, bytes, besides the ratings given. @param threads  as of ccz_recsys_ease_cfg */
CCZ_API uint64_t ccz_recsys_ease_size(uint32_t items, uint64_t ratings, unsigned threads);
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_ease_recommend(uint32_t *item, float *score, void *arg,
                                                      const struct ccz_recsys_ask *ask,
                                                      struct ccz_err *err);
/** Weights of item @p i: what having it adds to the scores of all items. @return [items] */
CCZ_API const float *ccz_recsys_ease_row(const struct ccz_recsys_ease *e, uint32_t i);
CCZ_API void ccz_recsys_ease_free(struct ccz_recsys_ease *e); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_ease)

/* ----------------------------------------------------------------------------------------- search */

#define CCZ_RECSYS_DIMS_MAX   8
#define CCZ_RECSYS_STEPS_MAX  1000
#define CCZ_RECSYS_TRIALS_MAX 100000

/** One parameter: values to try in a grid, or a range to draw from. */
struct ccz_recsys_dim {
    const char *name;
    const double *value; /**< [value_len]; NULL: a range */
    size_t value_len;
    double low, high;
    bool log;     /**< drawn uniformly in its logarithm; low > 0 */
    bool integer; /**< rounded */
};
/**
 * What is tried. `judge` must not look at the test part: a configuration that was chosen by it is judged too well by it. Judge by a
 * validation part that was split from the training part.
 */
struct ccz_recsys_search_ops {
    void *arg;
    /** A trial begins. @p run is given to the other three; @p value [dims_len] */
    ccz_rc (*begin)(void **run, void *arg, const double *value, struct ccz_err *err);
    /** One more step of training, from 1: an iteration of ALS. What has none trains in the first. */
    ccz_rc (*step)(void *run, uint32_t step, struct ccz_err *err);
    /** How good it is now, finite; more is better. */
    ccz_rc (*judge)(double *metric, void *run, struct ccz_err *err);
    void (*end)(void *run); /**< after begin has succeeded, however it goes on; may be NULL */
};
enum ccz_recsys_ended {
    CCZ_RECSYS_ENDED_STEPS,    /**< all steps done */
    CCZ_RECSYS_ENDED_PATIENCE, /**< no better for `patience` judgements */
    CCZ_RECSYS_ENDED_BEHIND    /**< behind the median of earlier trials */
};
struct ccz_recsys_trial {
    double value[CCZ_RECSYS_DIMS_MAX];
    double best;        /**< the best metric of its judgements */
    uint32_t best_step; /**< and the step of it, the first of equal ones: train so long */
    uint32_t steps;     /**< done */
    enum ccz_recsys_ended ended;
    double *curve; /**< [curve_len] each judgement */
    uint32_t curve_len;
};
struct ccz_recsys_search_cfg {
    const struct ccz_recsys_dim *dim; /**< [dims_len] 1 .. CCZ_RECSYS_DIMS_MAX */
    size_t dims_len;
    uint32_t
        trials; /**< 0: the grid of all values, the last parameter fastest; else so many points drawn at random */
    uint32_t steps; /**< of a trial, at most; 0: 1 */
    uint32_t every; /**< judged after every so many steps, and the last; 0: 1 */
    uint32_t
        patience; /**< judgements without a gain of more than `gain` before a trial ends; 0: trials are not stopped so */
    double gain;  /**< 0 or more */
    /** Ends a trial whose best so far is below the median of what the earlier trials had reached by the same judgement; from the fourth
     *  trial on. Depends on the order of trials. @source Golovin et al., Google Vizier, KDD 2017, 3.2.2 */
    bool median_stop;
    uint64_t seed;
    bool (*on_trial)(void *arg, size_t i,
                     const struct ccz_recsys_trial
                         *t); /**< after each trial; false ends the search; may be NULL */
    void *on_trial_arg;
};
struct ccz_recsys_search {
    size_t len, best; /**< best: of equal ones the earlier */
    struct ccz_recsys_trial *trial;
};
/**
 * An error of @p ops ends the search with that error.
 * @param[out] out  ccz_recsys_search_deinit(); zeroed on failure
 * @retval CCZ_E_ARG    recsys:dim with the place: neither values nor range, a range of no sense, not finite; recsys:search: no dimension;
 *                      recsys:metric: a judgement is not finite
 * @retval CCZ_E_LIMIT  recsys:trials, recsys:steps
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_search(struct ccz_recsys_search *out,
                                              const struct ccz_recsys_search_ops *ops,
                                              const struct ccz_recsys_search_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_recsys_search_deinit(struct ccz_recsys_search *s); /**< zeroed is fine */

/** Trials of alternating least squares; a step is an iteration. Names of parameters: "factors", "reg", "alpha", "unobserved", "nu",
 *  "deviation", "cg_steps". */
struct ccz_recsys_als_trials {
    const struct ccz_recsys_csr *train,
        *valid; /**< by users; both split from what may be looked at */
    struct ccz_recsys_als_cfg
        cfg; /**< what is not searched for; iterations and on_iteration are not used */
    struct ccz_recsys_eval_cfg eval;
    enum ccz_recsys_metric metric;    /**< at the first length of lists; 0 is HR */
    const struct ccz_recsys_dim *dim; /**< those of the search */
    size_t dims_len;
};
/** What ccz_recsys_search() needs for them; borrows @p t.
 *  @retval CCZ_E_ARG recsys:dim: a name that ALS does not have; recsys:shape: parts of different shapes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_als_search_ops(struct ccz_recsys_search_ops *out,
                                                      const struct ccz_recsys_als_trials *t,
                                                      struct ccz_err *err);

/* --------------------------------------------------------------------------- ratings with a truth */

/**
 * Users have tastes: shares of some topics that add up to 1. A topic is a distribution over items: its liking of an item times the
 * item's popularity, which falls as a power of its rank. A user draws a topic by taste and an item by topic, and takes what is new to
 * him: the chance of an item, before he has anything, is an inner product of taste and topics, of rank `topics`: the truth. Numbers of
 * ratings per user fall as a power, too.
 * A value is mean + bias of user + bias of item + <taste, opinions of topics> + noise: a truth of the same form as that of explicit factors.
 * Times of a user ascend. Items and users are numbered at random: numbers say nothing about popularity.
 */
struct ccz_recsys_synth_cfg {
    uint32_t users, items;
    uint64_t ratings; /**< at least users, at most half of all pairs */
    uint32_t topics;  /**< 1 .. 256; 0: 8 */
    double item_skew; /**< exponent of popularity; 0: 0.6 */
    double user_skew; /**< exponent of activity, below 1; 0: 0.6 */
    double taste;     /**< Dirichlet parameter of tastes, small: few topics each; 0: 0.1 */
    double
        liking;   /**< shape (Gamma) of a topic's liking of items, small: few items each; 0: 0.15 */
    double noise; /**< standard deviation of values around the truth; 0: 0.5 */
    bool stars;   /**< values are rounded to 1, 2 .. 5 */
    bool implicit; /**< values are counts, 1 and more; no opinions */
    uint64_t seed;
};
struct ccz_recsys_synth;
/**
 * Memory: items * topics * 16 bytes and users * 8.
 * @retval CCZ_E_ARG    recsys:synth: names the field that is out of range
 * @retval CCZ_E_LIMIT  recsys:users, recsys:items, recsys:ratings
 * @retval CCZ_E_NOMEM  recsys:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_synth_new(struct ccz_recsys_synth **out,
                                                 const struct ccz_recsys_synth_cfg *cfg,
                                                 struct ccz_err *err);
/** One user's ratings, in order of time; @p r borrows until the call returns. Anything but CCZ_OK ends it. */
typedef ccz_rc (*ccz_recsys_ratings_fn)(void *arg, const struct ccz_recsys_ratings *r,
                                        struct ccz_err *err);
/** Users from .. from + len - 1, each a call: the same ratings whatever the parts are. Nothing is kept.
 *  @retval CCZ_E_ARG recsys:user @retval CCZ_E_NOMEM recsys:memory @return or what @p fn returned */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_synth_each(const struct ccz_recsys_synth *s, uint32_t from,
                                                  uint32_t len, ccz_recsys_ratings_fn fn, void *arg,
                                                  struct ccz_err *err);
/** All of them in memory, by user. @param[out] out ccz_recsys_ratings_deinit() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_synth_ratings(struct ccz_recsys_ratings *out,
                                                     const struct ccz_recsys_synth *s,
                                                     unsigned threads, struct ccz_err *err);
/** The truth as a model. @param values  false: a score is the chance of choosing the item, times the number of items; true: the value without noise */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_synth_truth(struct ccz_recsys_model **out,
                                                   const struct ccz_recsys_synth *s, bool values,
                                                   struct ccz_err *err);
CCZ_API void ccz_recsys_synth_free(struct ccz_recsys_synth *s); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_synth)

/* ----------------------------------------------------------------------------------------- report */

#define CCZ_RECSYS_REPORT_SERIES_MAX 8

struct ccz_recsys_report_fact {
    const char *name, *value;
};
/** A recommender that was judged: a row of the table, a bar of coverage. */
struct ccz_recsys_report_row {
    const char *name;
    const struct ccz_recsys_metrics *metrics;
};
/** A curve: a metric over steps of training, or over numbers of factors. */
struct ccz_recsys_report_curve {
    const char *name;
    const double *x, *y; /**< [len] x ascending; NAN in y: a gap */
    size_t len;
};
struct ccz_recsys_report_chart {
    const char *title, *x_label, *y_label;
    const struct ccz_recsys_report_curve
        *curve; /**< [curves_len] up to CCZ_RECSYS_REPORT_SERIES_MAX */
    size_t curves_len;
};
struct ccz_recsys_report {
    const char *title;
    const struct ccz_recsys_report_fact *facts;
    size_t facts_len;
    const struct ccz_recsys_report_row *rows;
    size_t rows_len;
    const struct ccz_recsys_report_chart *charts; /**< training curve, metric by factor count */
    size_t charts_len;
    const struct ccz_recsys_search *search; /**< a table of its trials, best first; NULL: none */
    const struct ccz_recsys_search_cfg *search_cfg;
};
/**
 * Appends one HTML page: no scripts, nothing from elsewhere. Texts are escaped. Metrics of each row at each length of lists with their
 * intervals, NDCG and coverage by length of lists as charts, the charts given, trials.
 * @retval CCZ_E_ARG    recsys:report: more curves than colours
 * @retval CCZ_E_LIMIT  recsys:report-size: @p out is too small or there is no memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_report_html(struct ccz_buf *out,
                                                   const struct ccz_recsys_report *r,
                                                   struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
