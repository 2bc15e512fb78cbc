/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PCS_PRIV_H
#define CCZI_PCS_PRIV_H
#include <cczoo/pcs.h>

#include <pthread.h>

enum { CCZI_PCS_PATH_SIZE = 4096, CCZI_PCS_URL_SIZE = 2048 };

/* -------------------------------------------------------------------------- bundles on disk */

enum cczi_part {
    CCZI_TCB_INFO,
    CCZI_TCB_CHAIN,
    CCZI_QE_IDENTITY,
    CCZI_QE_CHAIN,
    CCZI_CRL_CHAIN,
    CCZI_ROOT_CRL,
    CCZI_PCK_CRL,
    CCZI_LEAF, /* optional from here */
    CCZI_SIGN_CHAIN,
};
enum { CCZI_PARTS = CCZI_SIGN_CHAIN + 1, CCZI_PARTS_REQUIRED = CCZI_LEAF };
extern const char *const cczi_part_names[CCZI_PARTS]; /* file names */
#define CCZI_SOURCE_FILE "source.json"                /* where the parts came from, and when */

void cczi_parts_init(struct ccz_buf parts[CCZI_PARTS]);
void cczi_parts_free(struct ccz_buf parts[CCZI_PARTS]);
/* CCZ_E_NOT_FOUND with where "pcs:no-bundle": the directory has no tcb_info.json. */
CCZ_MUST_USE ccz_rc cczi_parts_read(struct ccz_buf parts[CCZI_PARTS], const char *dir,
                                    struct ccz_err *err);
/* What the parts prove under the roots. parts[CCZI_LEAF] may grow. */
CCZ_MUST_USE ccz_rc cczi_parts_open(struct ccz_collateral **out, struct ccz_buf parts[CCZI_PARTS],
                                    const struct ccz_roots *roots, struct ccz_err *err);
/* Both. */
CCZ_MUST_USE ccz_rc cczi_bundle_load(struct ccz_collateral **out, const char *dir,
                                     const struct ccz_roots *roots, struct ccz_err *err);

/* "dir/name" */
CCZ_MUST_USE ccz_rc cczi_path(char path[CCZI_PCS_PATH_SIZE], const char *dir, const char *name,
                              struct ccz_err *err);

struct cczi_file {
    const char *name;
    struct ccz_span data;
};
/* Replacing a sub-directory as a whole: stage() writes dir/.new-<name> and makes it durable, commit() gives it the
 * name and removes what had it. Whatever happens between, dir/<name> is the old one or the new one. The caller
 * holds the fetch lock. */
CCZ_MUST_USE ccz_rc cczi_dir_stage(const char *dir, const char *name, const struct cczi_file *files,
                                   size_t len, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_dir_commit(const char *dir, const char *name, struct ccz_err *err);
/* Takes dir/<name> out of use: it becomes dir/.revoked-<name>, which nobody loads, in the place of an earlier one. */
CCZ_MUST_USE ccz_rc cczi_dir_withdraw(const char *dir, const char *name, struct ccz_err *err);
/* Finishes or undoes what a killed process left. */
void cczi_dir_recover(const char *dir);

/* Locks on dir/<file>; released by closing, also by the death of the process. -1 if there is none to take. */
int cczi_lock_shared(const char *dir);
CCZ_MUST_USE ccz_rc cczi_lock_fetch(int *fd, const char *dir, struct ccz_err *err);

/* One object of ccz_pcs_report(). */
void cczi_report_one(struct ccz_buf *out, const char *name, const struct ccz_collateral *c,
                     int64_t now_s);

/* -------------------------------------------------------------------------------- upstream */

/* The first ones are for servers: no flood of URLs may push those out. */
enum { CCZI_SERVER_GATES = 8, CCZI_GATES = 64 };
/* Something that must not be asked before until_s: a server ("https://host:port") or a URL. */
struct cczi_gate {
    char key[CCZI_PCS_URL_SIZE];
    int64_t until_s;
    unsigned failures;
    ccz_rc rc; /* why; CCZ_OK = only to keep a pace */
    char why[CCZ_ERR_MSG_SIZE];
};
struct cczi_upstream {
    struct ccz_pcs_getter getter;
    struct ccz_clock clock;
    int64_t wait_max_s;
    void (*sleep_ms)(void *arg, int64_t ms);
    void *sleep_arg;
    ccz_rc (*random)(void *out, size_t size);
    pthread_mutex_t *lock; /* held by the caller, released while blocked */
    struct cczi_gate gates[CCZI_GATES];
};
struct cczi_answer {
    struct ccz_buf body, headers;
};
void cczi_answer_init(struct cczi_answer *a);
void cczi_answer_free(struct cczi_answer *a);
/* Asks unless a gate is shut; only status 200 is success. */
CCZ_MUST_USE ccz_rc cczi_upstream_get(struct cczi_upstream *u, struct cczi_answer *a,
                                      const char *url, struct ccz_err *err);
/* An answer that cannot be used: not asked again at once. */
void cczi_upstream_reject(struct cczi_upstream *u, const char *url, const struct ccz_err *err);
/* The same for documents of which a server gives one in @p pace_s; others of its documents are not concerned. */
CCZ_MUST_USE ccz_rc cczi_upstream_get_paced(struct cczi_upstream *u, struct cczi_answer *a,
                                            const char *url, int64_t pace_s, struct ccz_err *err);
/* Would that ask, or wait, or fail at once? Then it fails here. */
CCZ_MUST_USE ccz_rc cczi_upstream_may_ask(const struct cczi_upstream *u, const char *url,
                                          struct ccz_err *err);
/* 0..span_s */
int64_t cczi_jitter(const struct cczi_upstream *u, int64_t span_s);
/* Value of a header line, empty if absent. */
struct ccz_span cczi_header(const struct cczi_answer *a, const char *name);
/* Seconds of Cache-Control: max-age; -1 if absent. */
int64_t cczi_max_age(const struct cczi_answer *a);

/* ---------------------------------------------------------------------------- one document */

enum cczi_doc { CCZI_DOC_TCB, CCZI_DOC_QE, CCZI_DOC_PCK_CRL, CCZI_DOC_ROOT_CRL };
enum { CCZI_DOCS = CCZI_DOC_ROOT_CRL + 1 };
struct cczi_document {
    char url[CCZI_PCS_URL_SIZE]; /* "" = not known */
    struct ccz_buf body, chain;  /* CRLs as DER; no chain for the root CRL */
    int64_t fetched_s, refresh_s, from_s, until_s;
};
void cczi_document_init(struct cczi_document *d);
void cczi_document_free(struct cczi_document *d);
enum cczi_part cczi_doc_body(enum cczi_doc doc);
int cczi_doc_chain(enum cczi_doc doc); /* part, or -1 */
/* Body and chain header of an answer, and their dates; nothing is verified. */
CCZ_MUST_USE ccz_rc cczi_document_take(struct cczi_document *d, enum cczi_doc doc,
                                       const struct cczi_answer *a, struct ccz_err *err);
/* Sets from_s and until_s from the body. */
CCZ_MUST_USE ccz_rc cczi_document_dates(struct cczi_document *d, enum cczi_doc doc,
                                        struct ccz_err *err);
/* Was one of the documents, all of which verified, issued before that in @p was? Each counts for itself: the oldest of
 * them all says nothing about the others. */
bool cczi_parts_older(int64_t *is_s, int64_t *was_s, const struct ccz_buf is[CCZI_PARTS],
                      const struct ccz_buf was[CCZI_PARTS]);
/* Percent-decodes (+ stays) what may or may not be encoded. */
CCZ_MUST_USE ccz_rc cczi_unescape(struct ccz_buf *out, struct ccz_span text, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- store */

enum { CCZI_FAILURES = 32, CCZI_UPDATE_SIZE = 16 };
struct cczi_failure {
    char what[CCZ_PCS_NAME_MAX + 1];
    int64_t at_s;   /* 0 = free */
    int64_t told_s; /* when it was logged */
    char where[CCZ_ERR_WHERE_SIZE], msg[CCZ_ERR_MSG_SIZE];
};
/* What source.json of a bundle says. */
struct cczi_source {
    char name[CCZ_PCS_NAME_MAX + 1];
    char from[CCZI_PCS_URL_SIZE], update[CCZI_UPDATE_SIZE];
    int64_t fetched_s, refresh_s; /* oldest, earliest */
};
struct ccz_pcs_store {
    char *dir, *base, *root_crl_url, *amd;
    struct ccz_roots roots;
    struct ccz_snp_roots snp_roots;
    enum ccz_pcs_update update;
    uint32_t eval_number;
    bool fetch_pck;
    int64_t reuse_max_s;
    struct cczi_upstream up;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    bool busy;       /* a flight is in the air: only its thread changes the directory */
    uint64_t flight; /* number of the last that was started */
    int flight_fd;   /* its lock between processes */
    char what[256];  /* what it is for */
    ccz_rc rc;       /* how it ended */
    struct ccz_err err;
    uint64_t changes;
    struct ccz_pcs *set; /* NULL = nothing there */
    struct cczi_source *sources;
    size_t sources_len;
    struct cczi_failure failures[CCZI_FAILURES];
};
/* Reads the directory again. */
CCZ_MUST_USE ccz_rc cczi_store_load(struct ccz_pcs_store *s, struct ccz_err *err);
/* Is that refresh still to come? One further away than any can be was noted by a clock that was wrong. */
bool cczi_store_rests(const struct ccz_pcs_store *s, int64_t refresh_s, int64_t now_s);
void cczi_store_failed(struct ccz_pcs_store *s, const char *what, const struct ccz_err *err);
void cczi_store_worked(struct ccz_pcs_store *s, const char *what);
/* Withdraws bundle @p name, whose signer is on a new revocation list, and loads the rest again. @p why (the refusal, not
 * NULL) gets the hint, or becomes the reason why that failed. */
void cczi_store_withdraw(struct ccz_pcs_store *s, const char *name, struct ccz_err *why);
/* A PCK certificate for quotes that carry none, and the quote it must fit. */
struct cczi_pck_files {
    const struct ccz_quote *quote;
    struct ccz_buf leaf, chain;
};
/* The work of one flight. @p pck  NULL = keep what is there */
CCZ_MUST_USE ccz_rc cczi_intel_fetch(struct ccz_pcs_store *s, const struct ccz_pcs_want *want,
                                     const struct cczi_pck_files *pck, struct ccz_err *err);
/* Asks for the PCK certificate of pck->quote, and says what else is wanted then. */
CCZ_MUST_USE ccz_rc cczi_pck_fetch(struct ccz_pcs_want *want, struct cczi_pck_files *pck,
                                   struct ccz_pcs_store *s, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_amd_fetch(struct ccz_pcs_store *s, const struct ccz_pcs_want_amd *want,
                                   struct ccz_err *err);
/* Refuses what cczi_amd_fetch() would refuse without asking anybody, at less cost. */
CCZ_MUST_USE ccz_rc cczi_amd_may_ask(struct ccz_pcs_store *s, const struct ccz_pcs_want_amd *want,
                                     struct ccz_err *err);
/* AMD's product line directories below @p dir, at most @p max: product (borrowed, static) and vlek are set. */
size_t cczi_amd_list(struct ccz_pcs_want_amd *out, size_t max, const char *dir);
/* "standard", "early" or a TCB evaluation data number. */
void cczi_update_name(char name[CCZI_UPDATE_SIZE], const struct ccz_pcs_store *s);
/* The elements of "amd" in ccz_pcs_store_report(). */
void cczi_amd_report(struct ccz_buf *out, const char *dir, int64_t now_s);
/* What AMD delivered, under the roots: chain of the product line and kind of key, revocation list (may be empty), and
 * the VCEK (may be empty) with chip and TCB. *until_s: when the first of chain and list expires. */
struct cczi_amd_parts {
    struct ccz_span ark, ca, crl, vek;
};
CCZ_MUST_USE ccz_rc cczi_amd_check(int64_t *until_s, const struct cczi_amd_parts *parts,
                                   const struct ccz_pcs_want_amd *want,
                                   const struct ccz_snp_roots *roots, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_want_name(char name[CCZ_PCS_NAME_MAX + 1], const struct ccz_pcs_want *want,
                                   struct ccz_err *err);
/* ------------------------------------------------------------------------------- archives */

enum { CCZI_USTAR_PATH_MAX = 255 };
struct cczi_member {
    char path[CCZI_USTAR_PATH_MAX + 1];
    struct ccz_span data; /* borrowed */
};
/* CCZ_E_ARG: the path does not fit. */
CCZ_MUST_USE ccz_rc cczi_ustar_put(struct ccz_buf *out, const char *path, struct ccz_span data);
void cczi_ustar_end(struct ccz_buf *out);
/* Takes one member; CCZ_E_NOT_FOUND: the end was reached, and nothing is behind it. */
CCZ_MUST_USE ccz_rc cczi_ustar_next(struct cczi_member *out, struct ccz_span *left,
                                    struct ccz_err *err);

/* A path that an archive may have below its manifest: a bundle's, or AMD's. */
enum cczi_path_kind { CCZI_PATH_BAD, CCZI_PATH_PART, CCZI_PATH_AMD };
struct cczi_archive_path {
    enum cczi_path_kind kind;
    char name[CCZ_PCS_NAME_MAX + 1];    /* of the directory */
    int part;                           /* CCZI_PATH_PART */
    char file[CCZI_USTAR_PATH_MAX + 1]; /* CCZI_PATH_AMD: file name on disk */
};
struct cczi_archive_path cczi_archive_path(const char *path);

/* An opened archive: form, manifest, digests and signature hold. */
struct cczi_archive {
    struct ccz_span manifest, files; /* files: the members behind manifest and signature */
    int64_t created_s, expires_s;
    uint8_t signer[32];
};
CCZ_MUST_USE ccz_rc cczi_archive_open(struct cczi_archive *out, struct ccz_span archive,
                                      struct ccz_err *err);

/* What is about to be installed. */
struct cczi_incoming {
    char name[CCZ_PCS_NAME_MAX + 1]; /* directory */
    struct ccz_buf parts[CCZI_PARTS];
};
struct cczi_incoming_amd {
    char name[CCZ_PCS_NAME_MAX + 1];
    struct cczi_amd_file {
        char file[CCZI_USTAR_PATH_MAX + 1];
        struct ccz_span data; /* borrowed from the archive */
    } * files;
    size_t len;
};
struct cczi_install {
    const struct ccz_pcs_import_cfg *cfg;
    struct cczi_incoming *list; /* CCZ_PCS_LEN_MAX */
    size_t len;
    struct cczi_incoming_amd amd[6];
    size_t amd_len;
    struct ccz_span manifest; /* kept as MANIFEST.json; may be empty */
};
CCZ_MUST_USE ccz_rc cczi_install_init(struct cczi_install *in, const struct ccz_pcs_import_cfg *cfg,
                                      struct ccz_err *err);
void cczi_install_deinit(struct cczi_install *in);
/* Verifies a bundle and moves its parts into the list. @param name  what it must be called; NULL = any */
CCZ_MUST_USE ccz_rc cczi_install_add(struct cczi_install *in, struct ccz_buf parts[CCZI_PARTS],
                                     const char *name, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_install_add_amd(struct cczi_install *in, const char *name,
                                         const char *file, struct ccz_span data,
                                         struct ccz_err *err);
/* Checks against what is there, and writes. */
CCZ_MUST_USE ccz_rc cczi_install_commit(struct cczi_install *in, struct ccz_err *err);
/* Name of the manifest in an archive and, once installed, in the directory. */
#define CCZI_MANIFEST_FILE "MANIFEST.json"

/* Calls @p fn with the parts of every bundle in a PCCS offline file; they are the callee's to change. */
typedef ccz_rc cczi_pccs_fn(void *arg, struct ccz_buf parts[CCZI_PARTS], struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_pccs_each(struct ccz_span json, enum ccz_pcs_update update,
                                   cczi_pccs_fn *fn, void *arg, struct ccz_err *err);
struct ccz_pcs_want cczi_want_of(const struct ccz_collateral *c);
#endif
