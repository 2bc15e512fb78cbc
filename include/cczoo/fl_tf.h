/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_TF_H
#define CCZ_FL_TF_H
/**
 * @file fl_tf.h
 * A trainer of federated learning that runs a TensorFlow model: a SavedModel made by models/export_train.py, which has
 * signatures train, eval, begin, set_correction, get_weights and set_weights. docs/reference/federated-model.md.
 *
 * The parameters are all weights of the model, trainable or not, in the order of Keras; the layout names them as the
 * signatures do. Statistics of batch normalisation are weights like others: they travel, and are averaged.
 *
 * Deterministic: with an engine of intra_threads = 1 and inter_threads = -1 the same parameters, data and configuration
 * give the same bits on the same kind of processor. With more threads TensorFlow adds in varying order.
 */
#include <cczoo/dataset.h>
#include <cczoo/engine.h>
#include <cczoo/fl.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Loads a SavedModel from a folder: plain files, or with @p key protected files as `cczoo pf encrypt` makes them of a
 * folder, each bound to the path DIR/NAME (as given). Nothing decrypted touches a disk.
 * @param key  CCZ_PF_KEY_SIZE bytes; NULL = plain files
 * @retval CCZ_E_NOT_FOUND  fl:model-files: no file in @p dir   @retval CCZ_E_IO fl:model-files, pf:...
 * @retval CCZ_E_LIMIT      fl:model-files: more than CCZ_MODEL_FILES_MAX
 * @retval others           of protected files and of ccz_model_load()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_tf_load(struct ccz_model **out, struct ccz_engine *engine,
                                           const char *dir, const struct ccz_secret *key,
                                           struct ccz_err *err);

struct ccz_fl_tf_cfg {
    struct ccz_model *model;            /**< borrowed; nobody else runs it meanwhile */
    const struct ccz_dataset *train;    /**< borrowed; NULL: train() is refused */
    const struct ccz_dataset *held_out; /**< borrowed; NULL: evaluate() gives samples = 0 */
    uint32_t eval_batch;                /**< 0 = 250 */
};
/**
 * @param[out] out  out->ops->free(out->self) when done
 * @retval CCZ_E_FORMAT    fl:tf-signature: a signature is missing, or has other inputs or outputs than the exporter makes
 * @retval CCZ_E_MISMATCH  fl:tf-shape: the samples of a data set have another shape than input x
 * @retval CCZ_E_NOMEM     fl:tf-memory
 * Of its operations: train() CCZ_E_ARG fl:tf-config (no data, epochs or batch 0, lr not above 0), fl:tf-correction; all:
 * those of ccz_model_run().
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_tf_trainer(struct ccz_fl_trainer *out,
                                              const struct ccz_fl_tf_cfg *cfg, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
