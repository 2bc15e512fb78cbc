/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_DATASET_PRIV_H
#define CCZ_DATASET_PRIV_H
#include <cczoo/dataset.h>

/* A whole file, plain or gzip-compressed, appended to @p out (bounded by its max_size). */
ccz_rc cczi_dataset_file(struct ccz_buf *out, const char *path, struct ccz_err *err);
/* Refuses a label that is not below d->classes. */
ccz_rc cczi_dataset_labels(const struct ccz_dataset *d, struct ccz_err *err);
#endif
