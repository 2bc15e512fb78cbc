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

/* ---- files.c: one file of a model as a whole, for a library that parses it in memory */

enum {
    MODEL_SIZE_MAX = INT32_MAX, /* of a protobuf message */
    SIDECAR_SIZE_MAX = 1 << 20,
};
/* Private memory: not dumped, locked if possible, wiped when freed. */
struct cczi_image {
    uint8_t *bytes;
    size_t size;
};
ccz_rc cczi_image_read(struct cczi_image *out, const struct ccz_model_cfg *cfg, size_t file,
                       uint64_t size_max, struct ccz_err *err);
void cczi_image_free(struct cczi_image *i);
/* File @p file and signatures.json, if there is one (else empty). */
ccz_rc cczi_files_read(struct cczi_image *model, struct cczi_image *sidecar,
                       const struct ccz_model_cfg *cfg, size_t file, struct ccz_err *err);
/* ccz_engine_detect() on checked names, for one back end: what another one runs is refused. */
ccz_rc cczi_files_kind(struct ccz_model_kind *out, const struct ccz_model_cfg *cfg,
                       const char *backend, struct ccz_err *err);

/* ---- sidecar.c: signatures of a graph that has none */

struct cczi_graph_tensor {
    const char *key;  /* in the default signature */
    const char *name; /* in the graph */
    enum ccz_dtype dtype;
    int rank; /* -1 = unknown */
    const int64_t *dims;
};
struct cczi_graph {
    const struct cczi_graph_tensor *in, *out; /* of the default signature */
    size_t in_len, out_len;
    /* A tensor that signatures.json names; what is set lives until the signatures are made. */
    bool (*find)(struct cczi_graph_tensor *out, void *arg, bool input, const char *name);
    void *arg;
    const char *hint; /* which names there are */
};
/* @p json: the contents of signatures.json; empty = one signature "serving_default" */
ccz_rc cczi_sidecar_signatures(struct cczi_meta *out, const struct cczi_graph *g,
                               struct ccz_span json, struct ccz_err *err);
/* custom.c: one input (number 1) or output (2) of a SignatureDef */
void cczi_info_put(struct ccz_buf *out, uint32_t number, const char *key,
                   const struct cczi_graph_tensor *t);

/* ---- onnx.c */

/* Well-formed as far as it was looked at, one graph, no weights elsewhere. */
ccz_rc cczi_onnx_check(struct ccz_span model, struct ccz_err *err);
/* The model does not even say the rank of its input or output @p name. */
bool cczi_onnx_shapeless(struct ccz_span model, bool input, const char *name);

/* ---- stage.c: streaming files to where a back end can read them */

struct cczi_sink {
    ccz_rc (*dir)(void *arg, const char *name, struct ccz_err *err);
    ccz_rc (*open)(void *arg, const char *name, struct ccz_err *err);
    ccz_rc (*write)(void *arg, struct ccz_span chunk, struct ccz_err *err);
    ccz_rc (*close)(void *arg, struct ccz_err *err); /* called after each open that succeeded */
    void *arg;
};
ccz_rc cczi_files_check(const struct ccz_model_cfg *cfg, struct ccz_err *err);
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

/* ---- lib.c: the library of a back end. @p hint: how to get it */

/* The path with its links followed, malloc()ed; refused without a '/'. */
ccz_rc cczi_lib_path(char **out, const char *library, const char *hint, struct ccz_err *err);
ccz_rc cczi_lib_load(void **out, const char *path, const char *hint, struct ccz_err *err);
/* Refuses one that uses functions of the network ("engine:network"). */
ccz_rc cczi_lib_offline(void *lib, const char *path, struct ccz_err *err);
/* Did @p symbol come out of the file @p path? */
ccz_rc cczi_lib_origin(void *symbol, const char *path, struct ccz_err *err);

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
    /* Sets sig->bound of a union of parts[0..len), in its arena; its inputs and outputs are set. NULL = this back end runs one
     * signature at a time. */
    ccz_rc (*unite)(struct cczi_arena *a, struct ccz_signature *sig,
                    const struct ccz_signature *const *parts, size_t len, struct ccz_err *err);
};
extern const struct cczi_backend cczi_backend_echo, cczi_backend_tensorflow,
    cczi_backend_onnxruntime;

/* ---- engine.c: a tensor whose description and bytes disagree would make a reader read out of bounds */
bool cczi_well_formed(const struct ccz_tensor *t);

/* ---- union.c: signatures that are made of others; freed with the model at the latest */

struct cczi_union;
struct cczi_unions {
    pthread_mutex_t lock; /* for everything below */
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
