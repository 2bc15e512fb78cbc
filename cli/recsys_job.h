/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_RECSYS_JOB_H
#define CCZ_CLI_RECSYS_JOB_H
/*
 * Training, judging, signing, and the way to a cluster and back: what `cczoo recsys`, cczoo-trainer and cczoo-recsys-spark have in
 * common. What the last two must never do is in other files (recsys_ask.c, recsys_export.c, cmd_recsys.c), which are not linked
 * into them.
 */
#include "recsys.h"

enum { RECSYS_OPTIONS_MAX = 64, RECSYS_ROWS_MAX = 4, RECSYS_CURVE_MAX = 200 };

struct recsys_train_opts {
    struct recsys_trust_opts trust;
    struct recsys_input_opts input;
    struct recsys_als_opts als;
    const char *split, *share, *html, *out, *name, *model_key, *parent, *by_factors, *expect,
        *memory;
    int64_t version; /* 0: that of the key of a KMS, else 1 */
    int64_t bootstrap, threads;
    bool baselines;
    /* what the texts say, by recsys_judge_check() and recsys_model_check(), or of the order */
    struct ccz_recsys_judge judge;
    uint8_t parent_sha256[32];
};

/* What stands in tables and pages. */
struct recsys_judged {
    const char *name;
    struct ccz_recsys_metrics m;
};
struct recsys_curve {
    double x[RECSYS_CURVE_MAX], y[RECSYS_CURVE_MAX];
    size_t len;
};
struct recsys_job {
    struct recsys_train_opts o;
    struct recsys_session session;
    struct recsys_input in;
    struct ccz_recsys_als_cfg cfg;
    struct ccz_recsys_order order; /* if o.input.order points to it */
    struct ccz_recsys_eval_cfg eval;
    struct ccz_recsys_csr *train, *test;
    struct ccz_recsys_model *model; /* of the training part */
    struct recsys_judged row[RECSYS_ROWS_MAX];
    size_t rows;
    struct recsys_curve by_iteration, by_factors;
    struct ccz_err curve_err;
};
void recsys_job_begin(struct recsys_job *j);
void recsys_job_end(struct recsys_job *j);

/* ------------------------------------------------------------------------------------- options */

/* What whoever starts a program may choose: threads, what is shown and where. */
size_t recsys_run_options(struct ui_opt *out, struct recsys_train_opts *o);
/* Of ratings, training, keys, judging, and of running; filters of ratings are recsys_filter_options(). */
size_t recsys_job_options(struct ui_opt *out, struct recsys_train_opts *o);
/* --split, --share, --expect. */
size_t recsys_judge_options(struct ui_opt *out, struct recsys_train_opts *o);
/* Of the model that is made: its name, key, parent. */
size_t recsys_model_options(struct ui_opt *out, struct recsys_train_opts *o);
/* --out, --memory, --spill-dir. */
size_t recsys_out_options(struct ui_opt *out, struct recsys_train_opts *o);
bool recsys_run_check(const struct recsys_train_opts *o);
bool recsys_judge_check(struct recsys_train_opts *o, bool may_be_none);
bool recsys_model_check(struct recsys_train_opts *o);
bool recsys_out_check(struct recsys_train_opts *o);

/* --------------------------------------------------------------------------------------- steps */

/* Splits @p from; both parts as rows of users. @p left gets the training part as triples; NULL: nobody does. */
ccz_rc recsys_job_split(struct ccz_recsys_csr **train, struct ccz_recsys_csr **test,
                        struct ccz_recsys_ratings *left, const struct ccz_recsys_ratings *from,
                        const struct recsys_job *j, struct ccz_err *err);
ccz_rc recsys_job_judge(struct recsys_job *j, const char *name, ccz_recsys_recommend_fn fn,
                        void *arg, struct ccz_err *err);
ccz_rc recsys_job_baselines(struct recsys_job *j, struct ccz_err *err);
void recsys_job_show(const struct recsys_job *j);
ccz_rc recsys_job_page(const struct recsys_job *j, const struct ccz_recsys_search *search,
                       const struct ccz_recsys_search_cfg *search_cfg, struct ccz_err *err);
/* UI_NO if the model is not as good, beside popularity, as it has to be. */
int recsys_job_verdict(const struct recsys_job *j);
/* A model of all ratings is trained unless there is one already. */
ccz_rc recsys_job_bundle(struct recsys_job *j, const struct ccz_recsys_model *given,
                         struct ccz_err *err);

/* --------------------------------------------------------------------------- whole programs */

/* From ratings to a bundle, or to a table only. Exit status. */
int recsys_job_run(struct recsys_job *j, bool bundle);

/* ---------------------------------------------------------------------------------------- orders */

/*
 * Programs to which a KMS gives keys, on a host that is not trusted: files, places and threads are the host's to name, everything else is
 * that of an order of the KMS. Their options are these and --out; names of what an order says are none of theirs.
 */
size_t recsys_ordered_options(struct ui_opt *out, struct recsys_train_opts *o);
bool recsys_ordered_check(const struct recsys_train_opts *o);
/* Fetches the order and does as it says from here on. Begun. @p trainer  what this program is, in orders */
ccz_rc recsys_order_take(struct recsys_job *j, const char *trainer, struct ccz_err *err);
/* cczoo-trainer. Exit status. */
int recsys_trainer_run(int argc, char **argv);

/* ------------------------------------------------------------------------- to a cluster and back */

/* Keys of Parquet files, in one direction. */
struct recsys_pq_keys {
    struct recsys_master master;
    struct ccz_pq_keytools *tools;
    struct ccz_pq_crypt *crypt;
    const char *names[1];
};
void recsys_pq_keys_end(struct recsys_pq_keys *k);
/* Of users (0) or items (1): NAME/user_factors or NAME/item_factors, so that one does not pass for the other. */
ccz_rc recsys_side_keys_begin(struct recsys_pq_keys *k, struct recsys_session *s, const char *spec,
                              const char *name, int side, bool reading, struct ccz_err *err);
extern const char *const recsys_factor_folders[2];

/* What is to be learned from, by numbers: ids stay here. @p name  AAD prefix that the file gets */
ccz_rc recsys_export_ratings(struct recsys_job *j, const char *out, const char *key,
                             const char *name, struct ccz_err *err);
/* Factors that a cluster wrote become a bundle. Exit status. */
int recsys_import_run(int argc, char **argv, const char *usage, bool ordered);

#endif
