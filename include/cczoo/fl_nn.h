/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_NN_H
#define CCZ_FL_NN_H
/**
 * @file fl_nn.h
 * The built-in trainer (nn.h) as a trainer of federated learning (fl.h), over data sets (dataset.h).
 * Sources: src/fl/trainer_nn.c.
 *
 * Threads: one at a time per trainer. One trainer may stand for many clients, one after another: ccz_fl_nn_use() changes its
 * data; parameters come with each round anyway.
 */
#include <cczoo/dataset.h>
#include <cczoo/fl.h>
#include <cczoo/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A network by its name for data of a shape: "logistic", "softmax", "mlp:200,100" (hidden layers), "lenet".
 * @retval CCZ_E_ARG  fl:nn-model: no such name, or a hidden layer that is no number; fl:nn-data: "lenet" without images,
 *                    "logistic" with other than 2 classes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_nn_spec(struct ccz_nn_spec *out, const char *name,
                                           const struct ccz_dataset *d, struct ccz_err *err);
/** A data set as nn.h wants it: borrowed, normalised as the data set says, all samples. */
CCZ_API struct ccz_nn_data ccz_fl_nn_data(const struct ccz_dataset *d);
/** The layout of a network's parameters. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_nn_layout(struct ccz_fl_layout **out, const struct ccz_nn *nn,
                                             struct ccz_err *err);

struct ccz_fl_nn_cfg {
    struct ccz_nn_spec spec;
    float weight_decay;
    struct ccz_nn_data train; /**< borrowed */
    struct ccz_nn_data test;  /**< len 0: no held-out rows */
    uint64_t seed;            /**< of the initial parameters */
};
/**
 * @param[out] out  its `self` belongs to the caller: out->ops->free(out->self)
 * @retval those of ccz_nn_new(); CCZ_E_NOMEM fl:nn
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_nn_trainer(struct ccz_fl_trainer *out,
                                              const struct ccz_fl_nn_cfg *cfg, struct ccz_err *err);
/** Other data from now on. @p t is of ccz_fl_nn_trainer(). */
CCZ_API void ccz_fl_nn_use(const struct ccz_fl_trainer *t, const struct ccz_nn_data *train,
                           const struct ccz_nn_data *test);

#ifdef __cplusplus
}
#endif
#endif
