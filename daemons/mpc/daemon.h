/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_DAEMON_H
#define CCZ_MPC_DAEMON_H
/* Computing of two parties as a program: options, channels, data, what the parties must agree on, what is printed. */
#include <cczoo/codec.h>
#include <cczoo/fedlr.h>
#include <cczoo/links.h>
#include <cczoo/mpcml.h>
#include <cczoo/mpcml_kmeans.h>
#include <cczoo/mpcml_nn.h>

#include "../../cli/ui.h"

#define MPC_CHANNEL        "mpc"
#define MPC_DEALER_CHANNEL "mpc-dealer"
#define MPC_PARTY_0        "party-0" /* who listens */
#define MPC_PARTY_1        "party-1"
enum { MPC_TIMEOUT_S = 600, MPC_SECONDS_MAX = 7 * 86400 };

/* ---- links.c */

/* Own evidence, and whose is accepted. */
struct mpc_evidence {
    const char *tee, *sim_dir, *trust_sim, *collateral, *policy;
    bool unattested_insecure;
};
struct mpc_net {
    const char *listen, *port_file, *connect, *dealer, *dealer_policy;
    struct mpc_evidence evidence;
    int64_t timeout_s;
};
struct mpc_links {
    struct ccz_attester *attester;
    struct ccz_links *peer_links, *dealer_links;
    struct ccz_chan *peer, *dealer; /* dealer: NULL without one */
};
ccz_rc mpc_links_open(struct mpc_links *l, const struct mpc_net *n, struct ccz_err *err);
ccz_rc mpc_links_join(struct mpc_links *l, const struct mpc_net *n, struct ccz_err *err);
/* The peer learns where it failed, also behind the computing; never the message, which may hold a value or a path of this party. */
void mpc_links_give_up(struct mpc_links *l, const struct ccz_err *err);
void mpc_links_close(struct mpc_links *l);

/* ---- options.c */

enum mpc_kind { MPC_LR, MPC_LINEAR, MPC_SCORE, MPC_MLP, MPC_KMEANS };
struct mpc_opts {
    const char *command; /* party, offline, plan, table, simulate */
    struct mpc_net net;
    /* files */
    const char *data, *test, *id, *label, *data_2, *test_2; /* _2: of party 1, for simulate */
    const char *model, *model_out, *scores_out, *json, *store, *store_key, *csv, *svg;
    const char *compare, *compare_2;
    const char *network, *images, *image_labels;
    bool aligned, raw;
    int64_t minimum;
    /* the program; texts are as given, the rest is made of them */
    const char *program, *split, *rate, *l2, *clip, *range, *sigmoid, *weights, *score, *score_to,
        *optimize, *trunc, *bandwidth, *rtt, *columns;
    int64_t epochs, batch, seed, rows, score_rows, repeats, clusters, iterations, ring;
    bool no_intercept;
    enum mpc_kind kind;
    bool scoring;                /* program score: no training */
    struct ccz_mpcml_lr_cfg cfg; /* but for what the data say */
    bool score_to_labels;        /* cfg.score_to follows from who has the labels */
    struct ccz_mpcml_run_cfg run;
    int64_t columns_of[2]; /* plan, table */
};
/* @return < 0: go on; else the exit status */
int mpc_options(struct mpc_opts *o, int argc, char **argv);
bool mpc_number_in(const char *name, int64_t v, int64_t least, int64_t most);
bool mpc_evidence_ok(const struct mpc_evidence *e);
static inline unsigned mpc_role(const struct mpc_opts *o)
{
    return o->net.listen ? 0 : 1;
}
static inline char mpc_letter(unsigned role)
{
    return role == 0 ? 'A' : 'B';
}

/* ---- terms.c: what both parties must have said alike, and what each tells of itself */

struct mpc_self {
    bool labels;   /* it has them; of scoring: the intercept */
    bool verifies; /* the other one's program, by a policy */
    uint64_t columns, rows,
        test_rows;  /* rows: 0 if the parties are to find common ones; of mlp: images */
    uint64_t names; /* of columns, hashed; likewise */
};
/* Both tell each other. @retval CCZ_E_MISMATCH  "mpc:terms-NAME" for each option on its own @retval CCZ_E_PEER "mpc:terms" */
ccz_rc mpc_terms(struct mpc_self *peer, struct ccz_chan *chan, const struct mpc_opts *o,
                 const struct mpc_self *self, struct ccz_err *err);

/* ---- data.c */

/* What the other party may have learned of the names of rows by now. */
enum mpc_told { MPC_TOLD_NOTHING, MPC_TOLD_DIGEST, MPC_TOLD_COMMON };
struct mpc_align {
    const char *kind; /* "train", "test" */
    unsigned role;
    bool aligned;
    bool verified; /* party 1 verifies that the program of party 0 is one that keeps a minimum */
    uint64_t minimum;
    enum mpc_told *told; /* set before anything is sent */
};
ccz_rc mpc_data_read(struct ccz_fedlr_table **out, const char *path, const struct mpc_opts *o,
                     const char *label, struct ccz_err *err);
/*
 * Rows that both have, ordered by id: the same order at both, and in each run.
 * A minimum is kept by party 0, who learns the rows first. Unless party 1 has verified its program the intersection is that of a
 * protocol which counts first (ECDH), slower.
 */
ccz_rc mpc_align(struct ccz_fedlr_table **out, struct ccz_chan *chan,
                 const struct ccz_fedlr_table *t, const struct mpc_align *a, struct ccz_err *err);
/* Rows that are not searched for count, too. @retval CCZ_E_POLICY "mpc:minimum": fewer than that */
ccz_rc mpc_check_minimum(uint64_t rows, const struct mpc_align *a, struct ccz_err *err);
/* The same with both tables in one place. */
ccz_rc mpc_join(struct ccz_fedlr_table *out[2], struct ccz_fedlr_table *const t[2],
                struct ccz_err *err);
struct mpc_scaling {
    double *mean, *sd; /* NULL: none */
    size_t len;
};
ccz_rc mpc_scaling_fit(struct mpc_scaling *s, const struct ccz_fedlr_table *t, struct ccz_err *err);
void mpc_scaling_deinit(struct mpc_scaling *s);
void mpc_names_hash(uint64_t *out, const struct ccz_fedlr_table *t);

/* ---- model.c: what a party keeps of a training */

struct mpc_model {
    double *weights; /* own columns, then the intercept if it has one; NULL if they are shared */
    int64_t *words;  /* the same in the ring */
    size_t len;
    bool labels;    /* it had them */
    bool intercept; /* its weights end with it; of shares: all weights do */
    bool whole;     /* to write: weights of both parties' columns, this party's from `first` */
    size_t first;
    uint64_t *share; /* of all weights */
    size_t share_len;
    double gain;
    double bound; /* of shares: of |weight| / gain, whatever the data were; public */
    struct mpc_scaling scaling;
};
/* A reader of a whole model takes this party's part of it: what `--weights own` would have given. */
ccz_rc mpc_model_write(const char *path, const struct mpc_model *m, const struct ccz_fedlr_table *t,
                       struct ccz_err *err);
/* @retval CCZ_E_FORMAT "mpc:model" @retval CCZ_E_MISMATCH "mpc:model-columns": of other columns than @p t */
ccz_rc mpc_model_read(struct mpc_model *out, const char *path, const struct ccz_fedlr_table *t,
                      struct ccz_err *err);
void mpc_model_deinit(struct mpc_model *m);

/* ---- report.c */

/* What a run cost and what left it, in words and for programs. */
struct mpc_report {
    unsigned role;
    struct ccz_buf reveals; /* JSON objects */
    size_t reveals_len;
    uint64_t planned_size, planned_rounds; /* 0: no plan */
};
void mpc_report_init(struct mpc_report *r, unsigned role);
void mpc_on_reveal(void *report, const struct ccz_mpc_reveal *r);
void mpc_print_stats(const struct mpc_report *r, const struct ccz_mpc_stats *s);
ccz_rc mpc_write_stats(const char *path, const struct mpc_report *r, const struct mpc_opts *o,
                       const struct ccz_mpc_stats *s, struct ccz_err *err);
void mpc_print_metrics(const double *p, const double *y, size_t len, const struct mpc_opts *o);

/* ---- regress.c: what is the same for a party, the simulation and plans */

/* cfg of the library: what the options say, completed by what the parties have. */
struct ccz_mpcml_lr_cfg mpc_lr_cfg(const struct mpc_opts *o, const struct mpc_self self[2],
                                   const size_t rows[2], const size_t test_rows[2]);
/* The first of two failures is returned and kept in @p err; the second one is told at once. */
ccz_rc mpc_first(ccz_rc before, struct ccz_err *err, ccz_rc rc, const struct ccz_err *own);
/* With a hint where an option helps. */
ccz_rc mpc_hint(ccz_rc rc, struct ccz_err *err);
/* id,score,word of each scored row; without names, their numbers. */
ccz_rc mpc_scores_write(const char *path, const struct ccz_fedlr_table *t, const double *scores,
                        const int64_t *words, size_t len, struct ccz_err *err);

/* ---- party.c, and what each kind of program has of its own: regress.c, network.c, clusters.c */

struct mpc_party {
    const struct mpc_opts *o;
    struct mpc_links links;
    unsigned role;
    struct ccz_fedlr_table *data, *test; /* as read */
    struct ccz_fedlr_table *rows[2];     /* common ones, scaled: of data, of test */
    struct mpc_self self[2];             /* by role */
    struct mpc_model model;              /* given, or gained */
    enum mpc_told told;
    /* regressions */
    struct ccz_mpcml_lr_cfg cfg;
    struct ccz_mpcml_lr *lr;
    /* networks */
    struct ccz_mpcml_network *net;
    struct ccz_mpcml_nn_cfg nn_cfg;
    struct ccz_mpcml_nn *nn;
    float *images;
    uint32_t *image_labels; /* NULL: none */
    size_t images_len, image_labels_len;
    /* clusters */
    struct ccz_mpcml_kmeans_cfg km_cfg;
    struct ccz_mpcml_kmeans *km;
    /* what was made of them */
    const struct ccz_mpcml_program *program;
    struct ccz_mpcml_plan *plan; /* NULL: of stored runs */
    struct mpc_report report;
    struct ccz_mpc_stats stats;
};
ccz_rc mpc_lr_make(struct mpc_party *p, struct ccz_err *err);
ccz_rc mpc_lr_tell(struct mpc_party *p, struct ccz_err *err);
ccz_rc mpc_nn_read(struct mpc_party *p, struct ccz_err *err);
ccz_rc mpc_nn_make(struct mpc_party *p, struct ccz_err *err);
ccz_rc mpc_nn_tell(struct mpc_party *p, struct ccz_err *err);
struct ccz_mpcml_nn_cfg mpc_nn_cfg(const struct mpc_opts *o, unsigned server, size_t images);
ccz_rc mpc_km_make(struct mpc_party *p, struct ccz_err *err);
ccz_rc mpc_km_tell(struct mpc_party *p, struct ccz_err *err);
struct ccz_mpcml_kmeans_cfg mpc_km_cfg(const struct mpc_opts *o, const struct mpc_self self[2],
                                       const size_t rows[2]);
/* Rows that each party brings: of data, of test. */
void mpc_party_rows(size_t rows[2], size_t test[2], const struct mpc_party *p);

/* ---- stored.c: runs whose randomness comes from files */

ccz_rc mpc_store_fill(struct ccz_mpc_stats *stats, struct ccz_chan *chan,
                      const struct ccz_mpcml_program *program, const struct mpc_opts *o,
                      struct ccz_err *err);
ccz_rc mpc_store_run(struct ccz_mpc_stats *stats, struct ccz_chan *chan,
                     const struct ccz_mpcml_program *program, const struct mpc_opts *o,
                     struct ccz_err *err);

/* ---- commands */

int mpc_cmd_party(int argc, char **argv); /* party, offline */
int mpc_cmd_dealer(int argc, char **argv);
/* Without evidence, for a table of this machine; until it is killed. */
int mpc_dealer_here(const char *port_file);
/* plan.c: of --rows, --columns and so on */
struct ccz_mpcml_lr_cfg mpc_shapes_cfg(const struct mpc_opts *o);
int mpc_cmd_plan(int argc, char **argv);
int mpc_cmd_table(int argc, char **argv);
int mpc_cmd_simulate(int argc, char **argv);
#endif
