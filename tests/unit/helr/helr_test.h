/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HELR_TEST_H
#define HELR_TEST_H
/* Shared by the tests of helr. */
#include <cczoo/codec.h>
#include <cczoo/helr.h>

/* The original workload: $CCZOO_VECTORS/lr, or shared/vectors beside the repository. Skips (77) without it. */
struct original {
    struct ccz_helr_model *model;
    double *x; /* rows * 80 */
    int *label;
    size_t rows;
};
void original_load(struct original *o);
void original_free(struct original *o);

/* A model of @p features features with mean and scale, and rows for it with |t| < 5; the same for the same seed. */
struct ccz_helr_model *made_model(size_t features, uint64_t seed);
double *made_rows(const struct ccz_helr_model *m, size_t rows, uint64_t seed);
/* Uniform in [-1, 1). */
double made_number(uint64_t *state);
#endif
