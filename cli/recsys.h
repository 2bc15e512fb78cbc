/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_RECSYS_H
#define CCZ_CLI_RECSYS_H
/* What the verbs of `cczoo recsys` share: keys from a KMS or from files, who trained, ratings, bundles. */
#include "cli.h"

#include <cczoo/kms.h>
#include <cczoo/parquet_crypt.h>
#include <cczoo/party.h>
#include <cczoo/recsys_bundle.h>
#include <cczoo/recsys_eval.h>
#include <cczoo/recsys_order.h>
#include <cczoo/recsys_rank.h>
#include <cczoo/rpc.h>

/* ------------------------------------------------------------------------------ keys, evidence */

struct recsys_trust_opts {
    const char *kms, *kms_policy, *tee, *sim_dir, *trust_sim, *collateral, *collateral_from,
        *ca_file;
    const char *trainer_policy, *data_sha256, *trainer_kind, *order;
    bool any_trainer;
    bool kms_only;      /* no key or order from a file, no signature without evidence */
    const char *kms_id; /* which KMS; NULL: that of the first value */
};
/* One command's keys and identities; what is not asked for is not opened. */
struct recsys_session {
    const struct recsys_trust_opts *o;
    struct ccz_attester *attester;
    struct ccz_party *party; /* towards the KMS */
    struct ccz_rpc_client *client;
    struct ccz_kms_instance kms; /* where all values of this command come from */
    struct ccz_party *judge;     /* of trainers */
    struct ccz_key *signer;
    struct ccz_buf cert;
};
/* Where a key comes from: "key/NAME" is an item of the KMS, anything else a file. */
struct recsys_key_id {
    char item[8 + CCZ_RECSYS_NAME_SIZE]; /* "" for a file */
    uint32_t version;                    /* 0 for a file */
};
size_t recsys_kms_options(struct ui_opt *out, struct recsys_trust_opts *o);
size_t recsys_trainer_options(struct ui_opt *out, struct recsys_trust_opts *o);
void recsys_session_begin(struct recsys_session *s, const struct recsys_trust_opts *o);
void recsys_session_end(struct recsys_session *s);
bool recsys_key_in_kms(const char *spec);
/* The latest version, or @p version if it is not 0. @p id may be NULL. */
ccz_rc recsys_key(struct ccz_secret **out, struct recsys_key_id *id, struct recsys_session *s,
                  const char *spec, uint32_t version, struct ccz_err *err);
/* "secret/NAME" of the KMS, or a file. */
ccz_rc recsys_order_read(struct ccz_recsys_order *out, struct recsys_session *s, const char *spec,
                         struct ccz_err *err);
/* Keys of one command come all from the KMS or all from files: what the KMS gives for one purpose does not flow into what anybody
 * reads, nor the other way round. NULL: in clear. "recsys:mixed-keys" */
ccz_rc recsys_keys_alike(const struct recsys_session *s, const char *one, const char *other,
                         struct ccz_err *err);
/* A key of 16 bytes for protected files. */
ccz_rc recsys_file_key(struct ccz_secret **out, struct recsys_key_id *id, struct recsys_session *s,
                       const char *spec, struct ccz_err *err);
/* Whom this command believes; @p policy may be NULL. */
struct ccz_party_cfg recsys_party_cfg(const struct recsys_session *s, const char *policy);
/* As ui_fail(). */
int recsys_fail(const struct ccz_err *err);
/* Key and certificate to sign bundles with: with evidence if there is a TEE. */
ccz_rc recsys_signer(struct recsys_session *s, struct ccz_err *err);
ccz_rc recsys_open_bundle(struct ccz_recsys_bundle **out, struct recsys_session *s, const char *dir,
                          const char *key, struct ccz_err *err);

/* Wraps and unwraps data keys of Parquet files with a master key, as the agent does (agent.h). */
struct recsys_master {
    struct recsys_session *s;
    const char *spec;
    const char *name; /* of the master key, in files */
};
void recsys_master_init(struct recsys_master *m, struct recsys_session *s, const char *spec);
struct ccz_pq_kms recsys_master_kms(struct recsys_master *m);

/* ---------------------------------------------------------------------------- ratings, options */

/* Paths that protected files of ratings and titles are bound to. */
#define RECSYS_BOUND_RATINGS "recsys-data/ratings"
#define RECSYS_BOUND_TITLES  "recsys-data/titles"

struct recsys_input_opts {
    const char *in, *format, *titles, *titles_format, *data_key;
    const char *value_min, *twice;
    bool binarize;
    const char *data_name; /* AAD prefix that an encrypted Parquet file must have */
    bool any_data_name;
    int64_t per_user, per_item, ratings_max;
    struct ccz_recsys_filter filter;      /* by recsys_input_check(), or of the order */
    const struct ccz_recsys_order *order; /* what files must be; NULL: any */
    uint64_t memory;                      /* bytes; 0: everything into memory */
    const char *spill_dir;                /* with memory */
};
struct recsys_input {
    struct ccz_recsys_data data;           /* empty if it was built */
    struct ccz_recsys_matrices built;      /* empty unless it was */
    struct ccz_recsys_titles *titles;      /* NULL: none */
    uint8_t sha256[32], titles_sha256[32]; /* of the files as they lie there; zeros: none */
};
/* Files, which who starts a program names; and what they are, which their owner knows. */
size_t recsys_file_options(struct ui_opt *out, struct recsys_input_opts *o);
size_t recsys_form_options(struct ui_opt *out, struct recsys_input_opts *o);
/* Which ratings count, and whether files without a name do. */
size_t recsys_filter_options(struct ui_opt *out, struct recsys_input_opts *o);
size_t recsys_foreign_options(struct ui_opt *out, struct recsys_input_opts *o);
bool recsys_input_check(struct recsys_input_opts *o);
ccz_rc recsys_input_read(struct recsys_input *in, const struct recsys_input_opts *o,
                         struct recsys_session *s, struct ccz_err *err);
void recsys_input_deinit(struct recsys_input *in);
/* Names of data sets: 1 .. CCZ_PQ_AAD_PREFIX_SIZE_MAX bytes. */
bool recsys_data_name_check(const char *option, const char *name);
/* Reading said that the file has no name at all: a refusal. `name`: what was expected, NULL if nothing was. */
ccz_rc recsys_no_data_name(ccz_rc rc, const char *name, const char *option, struct ccz_err *err);
bool recsys_is_parquet(const struct recsys_input_opts *o);

struct recsys_als_opts {
    const char *kind, *reg, *alpha, *unobserved, *nu;
    int64_t factors, iterations, cg, seed;
    bool nonneg, no_biases;
};
size_t recsys_als_options(struct ui_opt *out, struct recsys_als_opts *o);
/* All but the threads. */
bool recsys_als_cfg(struct ccz_recsys_als_cfg *out, const struct recsys_als_opts *o);

/* ----------------------------------------------------------------------------------------- verbs */

cli_fn recsys_encrypt, recsys_order, recsys_train, recsys_evaluate, recsys_search, recsys_recommend,
    recsys_similar, recsys_plan, recsys_export, recsys_import, recsys_inspect;

#endif
