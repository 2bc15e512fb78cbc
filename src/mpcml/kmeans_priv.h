/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPCML_KMEANS_PRIV_H
#define CCZI_MPCML_KMEANS_PRIV_H
/* What the protocol and the simulation of k-means share: the configuration, and points as elements. */
#include "mpcml_priv.h"

#include <cczoo/mpc_math.h>
#include <cczoo/mpcml_kmeans.h>

enum { CCZI_KMEANS_RING = 64, CCZI_KMEANS_SIZE_FRAC = 28 };

struct cczi_kmeans {
    struct ccz_mpcml_kmeans_cfg c; /* with defaults filled in; first points below */
    uint32_t first[CCZ_MPCML_CLUSTERS_MAX];
    size_t points, columns;         /* of both parties */
    struct ccz_mpc_octaves octaves; /* of the sizes of clusters */
};
ccz_rc cczi_kmeans_init(struct cczi_kmeans *k, const struct ccz_mpcml_kmeans_cfg *cfg,
                        struct ccz_err *err);
/* Of a party: numbers it has. */
size_t cczi_kmeans_len(const struct cczi_kmeans *k, unsigned role);
/* "mpcml:input" */
ccz_rc cczi_kmeans_encode(uint64_t **out, const struct cczi_kmeans *k, unsigned role,
                          const double *x, struct ccz_err *err);

#endif
