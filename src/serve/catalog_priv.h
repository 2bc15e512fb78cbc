/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CATALOG_PRIV_H
#define CCZ_CATALOG_PRIV_H
/*
 * The catalog: models, each with its versions, ascending. Everything below is under the lock `c->lock`, except what a worker
 * does with the one version that it holds (`held`), whose entry and texts nobody touches meanwhile.
 *
 *   QUEUED -> LOADING -> SERVED -> LEAVING -> ENDED      a version that is wanted, then not
 *       ^       |
 *       |       v
 *       +---- FAILED -> ENDED                            tried again when its time has come, then given up
 */
#include <cczoo/serve.h>

#include "base/condwait.h"

enum cczi_phase {
    CCZI_ENDED, /* never loaded, unloaded, or given up (`given_up`, `error`) */
    CCZI_QUEUED,
    CCZI_LOADING,
    CCZI_FAILED, /* until `next_ms` */
    CCZI_SERVED,
    CCZI_LEAVING /* withdrawn; a worker waits for its calls and frees it */
};
struct cczi_version {
    struct cczi_version *next;
    struct ccz_catalog_item item; /* its texts are in `texts`, but the name, which is the model's */
    char *texts;
    int64_t stamp; /* of the folder, when it was seen last */
    bool seen;     /* in the round that is going on */
    bool on_disk;  /* in the last round that could look */
    bool wanted;   /* by the policy */
    bool revoked;
    bool suspended; /* was in service, and is to come back */
    bool put_off;   /* suspended while it was loaded: that load does not count */
    bool held;      /* by a worker */
    bool given_up;
    enum cczi_phase phase;
    unsigned attempts;
    int64_t next_ms;
    char *error; /* of the last load, or why it was revoked; NULL = none */
};
/* A version that is not to be served any more, whatever is configured. */
struct cczi_revoked {
    struct cczi_revoked *next;
    int64_t version;
    char *why;
    char name[];
};
struct cczi_model {
    struct cczi_model *next;
    char *name, *base_path, *platform;
    enum ccz_serve_policy policy;
    uint32_t latest;
    int64_t *named; /* versions of the policy */
    size_t named_len;
    struct ccz_infer_label *labels; /* in one piece with their texts */
    size_t labels_len;
    bool removed; /* not in the configuration; goes when its versions have */
    bool fresh; /* new in the configuration that is being put into effect, or waited for with it */
    bool scanned;   /* its base path, as it is now, held versions once */
    char *alarm;    /* why its base path is no good; NULL = it is */
    size_t missing; /* versions that the policy names and that are nowhere */
    struct cczi_version *versions;
};
/* A platform of which something was loaded. */
struct cczi_platform {
    struct cczi_platform *next;
    char name[];
};
enum cczi_worker_kind { CCZI_UNLOADER, CCZI_FIRST_LOADER, CCZI_LOADER };
struct cczi_worker {
    struct ccz_catalog *c;
    enum cczi_worker_kind kind;
    pthread_t thread;
};
struct ccz_catalog {
    struct ccz_catalog_cfg cfg;
    pthread_mutex_t configs, rounds, lock; /* taken in this order */
    pthread_cond_t changed;
    struct cczi_model *models; /* in the order in which they were configured */
    struct cczi_revoked *revoked;
    size_t revoked_len;
    struct cczi_platform *platforms;
    bool stopping;         /* threads end */
    bool cancelled;        /* nobody waits any more */
    unsigned next_configs; /* who wait for `configs`: whoever has it and waits for models, ends */
    pthread_t poller;
    bool has_poller;
    struct cczi_worker *workers;
    size_t workers_len;
};

/* catalog_table.c: models and versions as data. */
void cczi_model_free(struct cczi_model *m);
/* NULL: no memory. */
struct cczi_model *cczi_model_new(const struct ccz_serve_model *from);
/* Takes over what is configured; @p from is freed. */
void cczi_model_assign(struct cczi_model *m, struct cczi_model *from);
struct cczi_model *cczi_model_find(struct ccz_catalog *c, const char *name);
struct cczi_version *cczi_version_find(const struct cczi_model *m, int64_t number);
/* The entry, in order; its texts are brought up to date unless it is in use. NULL: no memory. */
struct cczi_version *cczi_version_enter(struct cczi_model *m, int64_t number, const char *folder);
/* Why it is revoked, or NULL. */
const char *cczi_revoked_why(const struct ccz_catalog *c, const char *name, int64_t version);
void cczi_text_set(char **to, const char *text); /* a copy; NULL if there is no memory */
/* Tells that it is gone, and frees it. */
void cczi_catalog_forget(struct ccz_catalog *c, struct cczi_model *m);
/* Drops entries that say nothing any more, and models that are gone. */
void cczi_catalog_sweep(struct ccz_catalog *c);

/* catalog_policy.c */
void cczi_catalog_want(struct cczi_model *m); /* sets `wanted` and `missing` */
/* Acts on it: what is wanted is queued, what is not goes when it may. */
void cczi_catalog_act(struct ccz_catalog *c, struct cczi_model *m);
void cczi_catalog_tell(struct ccz_catalog *c, const struct cczi_version *v,
                       enum ccz_infer_state state, enum ccz_run_code code, const char *why);
void cczi_catalog_withdraw(struct ccz_catalog *c, struct cczi_version *v);
/* Sets the labels if each has a version in service. @return the first label that has none, or NULL */
const struct ccz_infer_label *cczi_catalog_labels(struct ccz_catalog *c, const struct cczi_model *m,
                                                  struct ccz_run_status *st);
/* Nothing of it is to be loaded any more. */
bool cczi_model_done(const struct cczi_model *m);
bool cczi_model_served(const struct cczi_model *m);

/* catalog_scan.c */
bool cczi_catalog_number(int64_t *out, const char *folder);
/* Whether @p path has a folder for the version. */
bool cczi_catalog_on_disk(struct ccz_catalog *c, const char *path, int64_t version);

/* catalog_work.c */
int64_t cczi_catalog_now_ms(const struct ccz_catalog *c);
ccz_rc cczi_catalog_start(struct ccz_catalog *c, struct ccz_err *err);
void cczi_catalog_stop(struct ccz_catalog *c);
/* Queues what is due. @return when the next is; INT64_MAX if none */
int64_t cczi_catalog_retry(struct ccz_catalog *c);
#endif
