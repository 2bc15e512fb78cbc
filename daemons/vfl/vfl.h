/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_VFL_DAEMON_H
#define CCZ_VFL_DAEMON_H
/* One party of split learning as a program: options, channels to the others, data, models, what is printed. */
#include <cczoo/codec.h>
#include <cczoo/links.h>
#include <cczoo/vfl.h>

#define VFL_PATH_SIZE 4096

struct vfl_opts {
    bool leader;
    /* network */
    const char *listen, *port_file, *connect, *name;
    const char *tee, *sim_dir, *trust_sim, *collateral, *policy, *client_policy;
    bool unattested_insecure;
    /* several workers of this party */
    const char *worker_text, *team_listen, *team_port_file, *team_connect, *team_policy;
    uint32_t worker, workers; /* 1 of 1 */
    int64_t average_steps;
    int64_t parties, retry_s, timeout_s;
    /* files */
    const char *data, *model, *model_key, *tensorflow, *state, *seal, *noise_seed, *report;
    /* the training */
    const char *protect, *power;
    int64_t epochs, batch, eval_batch, staleness, checkpoint_steps, seed, positive, threads,
        minimum;
    bool aligned, raw;
    enum ccz_vfl_protect how;
    double power_value;
    struct ccz_vfl_cfg cfg; /* but for the digests */
};
/* @return < 0: go on; else the exit status */
int vfl_options(struct vfl_opts *o, int argc, char **argv);

/* ---- links.c */

struct vfl_links {
    struct ccz_attester *attester;
    struct ccz_links *links;
    struct ccz_chan *chan[CCZ_VFL_PARTIES_MAX]; /* leader: by number of the follower */
    size_t len;
    struct ccz_links *team; /* to the other workers of this party; NULL: there are none */
    struct ccz_chan *peer[CCZ_VFL_WORKERS_MAX];
    size_t peers;
};
ccz_rc vfl_links_open(struct vfl_links *l, const struct vfl_opts *o, struct ccz_err *err);
/* Fresh channels to all, replacing those that are there. */
ccz_rc vfl_links_join(struct vfl_links *l, const struct vfl_opts *o, int64_t timeout_ms,
                      struct ccz_err *err);
void vfl_links_close(struct vfl_links *l);

/* ---- data.c: what one party knows of some rows */

enum { VFL_COLUMNS_MAX = 2 };
struct vfl_rows {
    size_t rows;
    struct ccz_span *id; /* [rows] */
    struct ccz_buf id_text;
    struct ccz_tensor in[VFL_COLUMNS_MAX];
    void *memory[VFL_COLUMNS_MAX];
    struct ccz_vfl_table table;   /* in_len 0: no columns */
    struct ccz_vfl_labels labels; /* rows 0: no labels */
    uint32_t *label;
};
/*
 * "train" or "test" of a folder: WHAT.csv (columns id, of the leader y, for an embedding index, others are numbers), or
 * WHAT-images.idx (rows x height x width), WHAT.ids (a name per line) and of the leader WHAT-labels.idx.
 */
ccz_rc vfl_rows_read(struct vfl_rows *out, const char *dir, const char *what, bool labels,
                     uint32_t classes, int64_t positive, struct ccz_err *err);
/* Rows row[0 .. len-1] in that order. */
ccz_rc vfl_rows_take(struct vfl_rows *out, const struct vfl_rows *from, const size_t *row,
                     size_t len, struct ccz_err *err);
/* Columns of numbers to mean 0 and deviation 1, as those of `train` ask for; of `test` (may be NULL) the same way. */
void vfl_rows_scale(struct vfl_rows *train, struct vfl_rows *test);
void vfl_rows_free(struct vfl_rows *r);

/* Of everything in them: all workers of a party have the same files. */
ccz_rc vfl_rows_digest(uint8_t out[CCZ_VFL_DIGEST_SIZE], const struct vfl_rows *r,
                       struct ccz_err *err);

/* split.json: what the parties have agreed on. */
struct vfl_split {
    uint32_t classes;
    uint8_t digest[CCZ_VFL_DIGEST_SIZE];
};
ccz_rc vfl_split_read(struct vfl_split *out, const char *dir, struct ccz_err *err);

/* ---- report.c */

struct vfl_report {
    const char *path; /* NULL = none */
    struct ccz_buf lines;
    size_t rows;
    double cpu_s; /* of this process, at the end of the last epoch */
    bool leader;
};
double vfl_cpu_s(void); /* that this process has used so far */
void vfl_report_epoch(void *report, const struct ccz_vfl_epoch *e); /* an on_epoch function */

/* ---- role.c, local.c, split.c */

int vfl_run_role(const struct vfl_opts *o);
int vfl_cmd_local(int argc, char **argv);
int vfl_cmd_split(int argc, char **argv);
ccz_rc vfl_open_engine(struct ccz_engine **out, const char *library, int64_t threads,
                       struct ccz_err *err);
#endif
