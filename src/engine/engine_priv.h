/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_ENGINE_PRIV_H
#define CCZ_ENGINE_PRIV_H
/* Inside the engine: what a back end implements, and what it gets for free. */
#include <cczoo/engine.h>

#include <pthread.h>

/* ---- arena: many small objects, freed at once */

struct cczi_arena {
    struct cczi_block *head;
};
/* Zeroed memory for len objects of size bytes; NULL if there is none. */
void *cczi_alloc(struct cczi_arena *a, size_t len, size_t size);
/* NUL-terminated copy; NULL if there is no memory. */
char *cczi_copy_str(struct cczi_arena *a, struct ccz_span s);
void cczi_arena_free(struct cczi_arena *a);

/* ---- meta.c: signatures of a MetaGraphDef */

struct cczi_meta {
    struct cczi_arena arena;
    struct ccz_signature *sigs;
    size_t len;
};
ccz_rc cczi_meta_parse(struct cczi_meta *out, struct ccz_span meta_graph_def, struct ccz_err *err);
void cczi_meta_free(struct cczi_meta *m);
/* The MetaGraphDef with @p tag in a serialized SavedModel. */
ccz_rc cczi_meta_find(struct ccz_span *out, struct ccz_span saved_model, const char *tag,
                      struct ccz_err *err);

/* ---- stage.c: streaming files to where a back end can read them */

struct cczi_sink {
    ccz_rc (*dir)(void *arg, const char *name, struct ccz_err *err);
    ccz_rc (*open)(void *arg, const char *name, struct ccz_err *err);
    ccz_rc (*write)(void *arg, struct ccz_span chunk, struct ccz_err *err);
    ccz_rc (*close)(void *arg, struct ccz_err *err); /* called after each open that succeeded */
    void *arg;
};
/* Checks every name first, then makes the folders and copies file by file, chunk by chunk. */
ccz_rc cczi_stage_copy(const struct ccz_model_cfg *cfg, const struct cczi_sink *sink,
                       struct ccz_err *err);

/* A private folder in RAM. */
struct cczi_tmpfs {
    char path[128];
    int dir_fd, file_fd;
    const struct ccz_model_cfg *cfg;
};
ccz_rc cczi_tmpfs_open(struct cczi_tmpfs *t, const struct ccz_model_cfg *cfg, struct ccz_err *err);
ccz_rc cczi_tmpfs_fill(struct cczi_tmpfs *t, struct ccz_err *err);
void cczi_tmpfs_remove(struct cczi_tmpfs *t); /* the folder and everything that was put into it */

/* ---- back ends */

struct cczi_backend {
    const char *name;
    ccz_rc (*open)(struct ccz_engine *e, const struct ccz_engine_cfg *cfg, struct ccz_err *err);
    void (*close)(struct ccz_engine *e);
    /* Fills m->meta and m->state; may leave both half done on error, unload() is called then too.
     */
    ccz_rc (*load)(struct ccz_model *m, const struct ccz_model_cfg *cfg, struct ccz_err *err);
    void (*unload)(struct ccz_model *m);
    /* in[i] belongs to sig->in[i]. Fills r->out[0..fetch_len); on error r is released by the
     * caller. */
    ccz_rc (*run)(struct ccz_result *r, struct ccz_run_status *st, struct ccz_model *m,
                  const struct ccz_run_req *req, const struct ccz_tensor *const *in);
    void (*release)(struct ccz_result *r);
    /* Sets sig->bound of a union of parts[0..len), in the arena of m->unions; its inputs and outputs are set. NULL = this back
     * end runs one signature at a time. */
    ccz_rc (*unite)(struct ccz_model *m, struct ccz_signature *sig,
                    const struct ccz_signature *const *parts, size_t len, struct ccz_err *err);
};
extern const struct cczi_backend cczi_backend_echo, cczi_backend_tensorflow;

/* ---- engine.c: a tensor whose description and bytes disagree would make a reader read out of bounds */
bool cczi_well_formed(const struct ccz_tensor *t);

/* ---- union.c: signatures that are made of others; kept until the model is freed */

struct cczi_union;
struct cczi_unions {
    pthread_mutex_t lock; /* for everything below */
    struct cczi_arena arena;
    struct cczi_union *head;
    size_t len;
};
ccz_rc cczi_unions_init(struct cczi_unions *u, struct ccz_err *err);
void cczi_unions_free(struct cczi_unions *u);

struct ccz_engine {
    const struct cczi_backend *backend;
    void *state;
    char version[32];
    char *libraries[2]; /* malloc()ed */
};
struct ccz_model {
    struct ccz_engine *engine;
    struct cczi_meta meta;
    struct cczi_unions unions;
    void *state;
};
struct ccz_result {
    const struct cczi_backend *backend;
    struct cczi_arena arena;
    struct ccz_tensor *out;
    size_t len;
    void *state; /* in arena */
};

#endif
