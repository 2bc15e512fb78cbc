/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_ENGINE_TF_PRIV_H
#define CCZ_ENGINE_TF_PRIV_H
#include "engine/engine_priv.h"
#include "engine/tf_api.h"

#include <stdatomic.h>

/* State of an engine. */
struct tf_engine {
    struct tf_api api;
    struct ccz_buf config;      /* serialized ConfigProto */
    atomic_uint_fast64_t loads; /* numbers the folders in ram:// */
};

/* State of a model. */
struct tf_model {
    struct TF_Graph *graph;
    struct TF_Session *session;
};

/* tf.c */

/* What TensorFlow says of a failed load. */
ccz_rc cczi_tf_failed(const struct tf_api *tf, const struct TF_Status *s, const char *where,
                      struct ccz_err *err);
/* Options with the threads of the engine; freed by the caller. */
ccz_rc cczi_tf_options(struct TF_SessionOptions **out, const struct tf_engine *te,
                       struct TF_Status *s, struct ccz_err *err);
/* "op:2" to a place in the graph; false if it is not there. */
bool cczi_tf_find(struct TF_Output *out, const struct tf_api *tf, struct TF_Graph *g,
                  const char *tensor_name);

/* tf_frozen.c: graph, session and signatures from file @p file, a GraphDef. */
ccz_rc cczi_tf_load_frozen(struct ccz_model *m, const struct ccz_model_cfg *cfg, size_t file,
                           struct TF_Status *s, struct ccz_err *err);

/* tf_lib.c. Fills e->libraries and e->version too. */
ccz_rc cczi_tf_lib_open(struct ccz_engine *e, struct tf_api *tf, const char *library,
                        struct ccz_err *err);

/* tf_ram.c: a folder in TensorFlow's in-memory file system. */
struct tf_ram {
    const struct tf_api *api;
    const struct ccz_model_cfg *cfg;
    struct TF_Status *status;
    struct TF_WritableFileHandle *file;
    char path[96];
};
ccz_rc cczi_tf_ram_fill(struct tf_ram *r, struct ccz_err *err);
void cczi_tf_ram_remove(struct tf_ram *r);

#endif
