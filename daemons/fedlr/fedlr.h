/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FEDLR_DAEMON_H
#define CCZ_FEDLR_DAEMON_H
/* One role of a federated regression as a program: options, channels to the others, files, what is printed. */
#include <cczoo/codec.h>
#include <cczoo/fedlr.h>
#include <cczoo/links.h>
#include <cczoo/sboost.h>

struct fedlr_opts {
    const char *role; /* aggregator, arbiter, worker, guest, host */
    /* network */
    const char *listen, *port_file, *aggregator, *arbiter, *guest, *name;
    const char *tee, *sim_dir, *trust_sim, *collateral, *policy, *client_policy;
    bool unattested_insecure;
    int64_t retry_s, timeout_s;
    /* files */
    const char *data, *test, *label, *id, *key, *key_id, *state, *seal, *model_out;
    int64_t cols;
    /* the training */
    const char *mode, *optimize, *sigmoid, *loss, *eta, *decay, *momentum, *l1, *l2, *tol;
    int64_t rounds, parties, local_steps, batch, seed, threads;
    struct ccz_fedlr_cfg cfg;
    /* boosted trees */
    bool trees;
    const char *lambda, *gamma, *min_child, *goss_top, *goss_rest;
    int64_t depth, bins, classes;
    struct ccz_sboost_cfg trees_cfg;
};
/* @return < 0: go on; else the exit status */
int fedlr_options(struct fedlr_opts *o, int argc, char **argv);
/* CCZ_FEDLR_* of a name; false if there is no such name. */
bool fedlr_optimize(unsigned *out, const char *name);
bool fedlr_real(double *out, const char *text);

/* ---- links.c: channels in the order in which the roles take them */

#define FEDLR_LINKS_MAX (CCZ_FEDLR_PARTIES_MAX + 1)
struct fedlr_links {
    struct ccz_links *links;
    struct ccz_chan *chan[FEDLR_LINKS_MAX];
    size_t len;   /* of the peers: workers, hosts, aggregator or guest; for an arbiter all */
    bool arbiter; /* chan[len] is to it */
};
ccz_rc fedlr_links_open(struct fedlr_links *l, const struct fedlr_opts *o, struct ccz_err *err);
/* Fresh channels to all, replacing those that are there. */
ccz_rc fedlr_links_join(struct fedlr_links *l, const struct fedlr_opts *o, int64_t timeout_ms,
                        struct ccz_err *err);
void fedlr_links_close(struct fedlr_links *l);
/*
 * Joins and works, again and again when a peer was lost, while less than --retry has passed since *@p progress_ms, which @p work sets
 * with each round. @param complete  this party could end alone: it is there for others, for --retry if that is not 0
 */
ccz_rc fedlr_attempts(struct fedlr_links *l, const struct fedlr_opts *o, bool complete,
                      int64_t *progress_ms, ccz_rc (*work)(void *arg, struct ccz_err *err),
                      void *arg, struct ccz_err *err);
/* What goes away with a peer that comes back. */
bool fedlr_peer_lost(ccz_rc rc);

/* ---- role.c */

int fedlr_run_role(const struct fedlr_opts *o);
/* Own rows or columns as the options say; no path, no table. */
ccz_rc fedlr_read_table(struct ccz_fedlr_table **out, const char *path, const struct fedlr_opts *o,
                        struct ccz_err *err);
ccz_rc fedlr_read_key(struct ccz_paillier_key **out, const char *path, struct ccz_err *err);

/* ---- trees.c */

int fedlr_run_trees(const struct fedlr_opts *o);

/* ---- split.c, table.c: further commands */

int fedlr_cmd_keygen(int argc, char **argv);
int fedlr_cmd_split(int argc, char **argv);
int fedlr_cmd_table(int argc, char **argv);
#endif
