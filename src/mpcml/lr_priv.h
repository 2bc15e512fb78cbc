/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPCML_LR_PRIV_H
#define CCZI_MPCML_LR_PRIV_H
/* Regressions: what the program and its simulation share. */
#include "mpcml_priv.h"

enum { CCZI_LR_RING = 64 };
/* Rows that are scored at once. */
#define CCZI_LR_CHUNK ((size_t)1 << 16)

/* What follows from a configuration. */
struct cczi_lr_form {
    struct ccz_mpcml_lr_cfg cfg; /* defaults filled in */
    bool train, given;           /* given: weights come from outside */
    bool by_rows;
    unsigned f, g;
    unsigned step;       /* s: rate / batch = gain^2 / 2^s */
    double gain;         /* of features */
    uint64_t one;        /* the intercept's feature: gain at scale f */
    uint64_t decay;      /* rate l2 at scale 2 f + s */
    uint64_t clip;       /* linear: at scale f + g */
    double weight_bound; /* of |weight| / gain, and of the intercept's */
    unsigned z_bits;     /* |z| < 2^z_bits, as a value */
    uint64_t max_abs;    /* of encoded features */
    size_t columns, len; /* of the model; len with the intercept */
    size_t batches, chunks;
};
/* Refuses what struct ccz_mpcml_lr_cfg says. */
ccz_rc cczi_lr_form_init(struct cczi_lr_form *form, const struct ccz_mpcml_lr_cfg *cfg,
                         struct ccz_err *err);
ccz_rc cczi_lr_digest(uint8_t out[CCZ_MPC_PROGRAM_SIZE], const struct cczi_lr_form *form,
                      struct ccz_err *err);

/* Rows of each party that are used together. */
struct cczi_lr_block {
    size_t from[2], len[2];
    size_t rows; /* of the block: those of COLUMNS are the same at both */
};
struct cczi_lr_block cczi_lr_batch(const struct cczi_lr_form *form, size_t i);
struct cczi_lr_block cczi_lr_chunk(const struct cczi_lr_form *form, size_t i);
/* Columns of a party, and where in the model they begin. */
size_t cczi_lr_columns(const struct cczi_lr_form *form, unsigned p);
size_t cczi_lr_first(const struct cczi_lr_form *form, unsigned p);
bool cczi_lr_has_labels(const struct cczi_lr_form *form, unsigned p);
/* Weights that a party is given, or gives, with OWN: its columns, and the intercept where the labels are. */
size_t cczi_lr_own_len(const struct cczi_lr_form *form, unsigned p);
size_t cczi_lr_score_rows(const struct cczi_lr_form *form);

/* One party's data as ring elements; rows in the order of batches. */
struct cczi_lr_inputs {
    uint64_t *x, *y, *score_x, *weights, *share;
    size_t x_len, y_len, score_len, weights_len, share_len;
};
/* data NULL: nothing. "mpcml:data", "mpcml:range", "mpcml:label", "mpcml:weight" */
ccz_rc cczi_lr_inputs_init(struct cczi_lr_inputs *in, const struct cczi_lr_form *form,
                           unsigned role, const struct ccz_mpcml_lr_data *data,
                           struct ccz_err *err);
void cczi_lr_inputs_deinit(struct cczi_lr_inputs *in); /* wipes */

/* PRIVATE tensors of the two parties, as far as they have any in a block. */
struct cczi_lr_parts {
    struct ccz_mpc_tensor *part[2];
};
/* A program, between runs and within one. */
struct ccz_mpcml_lr {
    struct cczi_lr_form form;
    unsigned role;
    bool has_data;
    struct cczi_lr_inputs in;
    struct ccz_mpcml_program program;
    /* of a session */
    struct cczi_lr_parts *x, *y, *score_x;       /* [batches], [batches], [chunks] */
    struct ccz_mpc_tensor *given[2], *given_one; /* scoring alone: weights by columns, intercept */
    struct ccz_mpc_tensor *w;                    /* [1, len] SHARED, after training */
    /* results */
    bool done;
    uint64_t *words, *share, *scores;
    double *weights, *values;
    size_t words_len;
};
ccz_rc cczi_lr_train(struct ccz_mpcml_lr *lr, struct ccz_mpc *m,
                     const struct ccz_mpcml_setting *setting, struct ccz_err *err);
ccz_rc cczi_lr_score(struct ccz_mpcml_lr *lr, struct ccz_mpc *m,
                     const struct ccz_mpcml_setting *setting, struct ccz_err *err);

/* Weights as forward products want them: columns of each part, and the intercept [1, 1]. NULL: none. */
struct cczi_lr_w {
    struct ccz_mpc_tensor *part[2], *one;
};
void cczi_lr_w_deinit(struct cczi_lr_w *w);
#define CCZI_AUTO_LR_W __attribute__((cleanup(cczi_lr_w_deinit))) struct cczi_lr_w
ccz_rc cczi_lr_split_w(struct cczi_lr_w *out, const struct cczi_lr_form *form,
                       const struct ccz_mpc_tensor *w, struct ccz_err *err);
/* z = x w + b [rows, 1] SHARED, scale f + g. Parts without features are left out. */
ccz_rc cczi_lr_forward(struct ccz_mpc_tensor **z, const struct cczi_lr_form *form,
                       const struct cczi_lr_parts *x, const struct cczi_lr_w *w, bool one_by_one,
                       struct ccz_err *err);
/* s(z) of logistic regression, same scale. */
ccz_rc cczi_lr_activate(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                        const struct ccz_mpc_tensor *z, bool one_by_one, struct ccz_err *err);
/* The same on plain values, in place. */
ccz_rc cczi_lr_activate_plain(uint64_t *z, size_t len, const struct cczi_lr_form *form,
                              struct ccz_err *err);

#endif
