/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FLD_H
#define CCZ_FLD_H
/* cczoo-fld, the server of a federated training, and cczoo-fl-worker, one of its members. */
#include <cczoo/codec.h>
#include <cczoo/fl.h>
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>

#define FLD_CHANNEL "fl"
enum { FLD_SECONDS_MAX = 7 * 86400, FLD_CONFIG_SIZE_MAX = 1 << 20 };

/* ---------------------------------------------------------------------------------- common.c */

/* Evidence of one's own, and what is asked of the other side. */
struct fld_trust {
    const char *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *policy;
    bool unattested_insecure;   /* no policy */
    const char *const *measure; /* software TEE: files beside the program that are code, too */
    size_t measure_len;
    int64_t reattest_s;
};
ccz_rc fld_party_open(struct ccz_attester **attester, struct ccz_party **party,
                      const struct fld_trust *t, bool server, struct ccz_err *err);
/* Limits of channels, the same on both sides. */
extern const struct ccz_rpc_chan_limits fld_limits;
/* Names that a JSON object may have, NULL at the end. @retval CCZ_E_FORMAT fl:config-name */
ccz_rc fld_check_names(const struct ccz_json *object, const char *const *known,
                       struct ccz_err *err);
ccz_rc fld_read_roster(struct ccz_fl_identity **out, size_t *len, const char *path,
                       struct ccz_err *err);
void fld_tune_memory(void); /* before other threads exist */
/* A key for checkpoints or states: CCZ_FL_KEY_SIZE bytes. */
ccz_rc fld_read_seal(struct ccz_secret **out, const char *path, struct ccz_err *err);

/* ---------------------------------------------------------------------------- cczoo-fld */

struct fld_opts {
    struct fld_trust trust;
    const char *listen, *port_file, *config, *model, *state, *seal, *sign_key, *members, *model_out,
        *log, *prometheus, *metrics, *metrics_port_file, *roster, *spill;
    int64_t keep;
    int64_t last_wait_s; /* for members that are to have the last model */
};
/* @return < 0: go on; else the exit status */
int fld_options(struct fld_opts *o, int argc, char **argv);

/* server_members.c: a thread for each member's channel. */
struct fld_members;
ccz_rc fld_members_start(struct fld_members **out, struct ccz_fl_server *s,
                         struct ccz_rpc_chan_server *offers, struct ccz_err *err);
/* Takes no more, and waits for those that are there: the server is over. */
void fld_members_stop(struct fld_members *m);

/* ----------------------------------------------------------------------- cczoo-fl-worker */

struct worker_opts {
    struct fld_trust trust;
    const char *server, *name, *config, *state, *seal, *server_key, *init_out, *model_out, *log;
    const char *alone; /* a server's configuration */
    const char *roster, *identity;
    bool roster_entry;
    int64_t retry_s, part;
};
int worker_options(struct worker_opts *o, int argc, char **argv);

/* worker_trainer.c: a trainer and what it borrows. */
struct worker_trainer;
ccz_rc worker_trainer_open(struct worker_trainer **out, const struct worker_opts *o,
                           struct ccz_err *err);
void worker_trainer_close(struct worker_trainer *t);
const struct ccz_fl_trainer *worker_trainer_get(const struct worker_trainer *t);
/* What the trainer brought into the process: TensorFlow's libraries and the graph. Borrowed. */
size_t worker_trainer_files(const char *const **out, const struct worker_trainer *t);
/* The configuration that it was made from. Borrowed. */
const struct ccz_json *worker_trainer_json(const struct worker_trainer *t);

/* worker_private.c: what this member insists on, and who the others are to it. */
struct worker_private {
    bool required;
    uint32_t quorum_min;
    struct ccz_fl_identity *roster; /* NULL: none */
    size_t roster_len;
    struct ccz_key *identity;
};
ccz_rc worker_private_open(struct worker_private *out, const struct worker_opts *o,
                           const struct ccz_json *config, struct ccz_err *err);
void worker_private_close(struct worker_private *p);
/* Prints this member's entry of a roster; makes its key if there is none. */
ccz_rc worker_roster_entry(const struct worker_opts *o, struct ccz_err *err);

/* worker_alone.c: the training of a server's configuration on this member's data alone. */
ccz_rc worker_alone(const struct worker_opts *o, const struct ccz_fl_trainer *t,
                    struct ccz_err *err);
#endif
