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
