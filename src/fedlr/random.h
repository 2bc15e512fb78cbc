/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FEDLR_RANDOM_H
#define CCZ_FEDLR_RANDOM_H
/* Reproducible numbers for orders and partitions; never for anything secret. */
#include <stddef.h>
#include <stdint.h>

struct cczi_fl_seeded {
    uint64_t state;
};
struct cczi_fl_seeded cczi_fl_seeded_from(uint64_t seed, uint64_t stream);
uint64_t cczi_fl_seeded_u64(struct cczi_fl_seeded *r);
/* Uniform below n > 0, without bias. */
uint64_t cczi_fl_seeded_below(struct cczi_fl_seeded *r, uint64_t n);
/* Uniform in (0, 1). */
double cczi_fl_seeded_unit(struct cczi_fl_seeded *r);
double cczi_fl_seeded_normal(struct cczi_fl_seeded *r);
/* Gamma(shape, 1). */
double cczi_fl_seeded_gamma(struct cczi_fl_seeded *r, double shape);
/* Permutes @p index; its contents are kept. */
void cczi_fl_seeded_shuffle(size_t *index, size_t len, struct cczi_fl_seeded *r);
#endif
