/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_FL_TRAINER_TF_H
#define CCZ_SRC_FL_TRAINER_TF_H
#include <cczoo/fl_tf.h>

/* The signatures of a model that can be trained; all of them are there and runnable. */
struct cczi_fl_tf_signatures {
    const struct ccz_signature *train, *eval, *begin, *correct, *get, *set;
};
/* Have they the inputs and outputs that models/export_train.py makes, and do they fit each other? fl:tf-signature */
ccz_rc cczi_fl_tf_check(const struct cczi_fl_tf_signatures *s, struct ccz_err *err);
#endif
