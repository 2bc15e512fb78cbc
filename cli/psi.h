/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_PSI_H
#define CCZ_CLI_PSI_H
/* `cczoo psi`: options and what its verbs have in common. */
#include "cli.h"

#include <cczoo/links.h>
#include <cczoo/psi.h>

struct psi_opts {
    const char *verb; /* send, receive, serve, join, prepare, answer, ask */
    /* network */
    const char *listen, *connect, *port_file, *name;
    const char *policy, *trust_sim, *collateral, *tee, *sim_dir;
    bool unattested_insecure;
    int64_t timeout_s;
    /* ids */
    const char *ids, *column, *domain, *spool, *out;
    bool trim, fold_case, first;
    /* the run */
    const char *protocol, *session, *key;
    bool both, cardinality, pad, trusted_receiver, json;
    int64_t minimum, bucket, threads, peer_len_max, parties;
    /* databases */
    const char *db, *seal, *filter;
    bool replace, refresh;
    int64_t query_len_max, total, clients;
};

ccz_rc psi_read_ids(struct ccz_psi_ids **out, const struct psi_opts *o, struct ccz_err *err);
/* Evidence, policy, and a port if it listens. @param seats  of parties that are expected at once */
ccz_rc psi_links(struct ccz_links **out, const struct psi_opts *o, unsigned seats,
                 struct ccz_err *err);
/* Rows where they are wanted, and in words or as JSON what happened. */
ccz_rc psi_report(const struct psi_opts *o, const struct ccz_psi_result *r, double seconds,
                  struct ccz_err *err);

/* psi_db.c */
int psi_prepare(const struct psi_opts *o);
int psi_answer(const struct psi_opts *o);
int psi_ask(const struct psi_opts *o);
#endif
