/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPCML_KMEANS_H
#define CCZ_MPCML_KMEANS_H
/**
 * @file mpcml_kmeans.h
 * K-means (Lloyd) over the data of two parties, split by rows (each has points) or by columns (each has some features of
 * the same points, in the same order).
 *
 * **Ideal functionality.** A trusted third takes the points of both, does a fixed number of iterations in fixed point as
 * ccz_mpcml_kmeans_simulate() does, and gives the centres to whom cfg.to names. Assignments, distances, sizes of clusters and the centres in
 * between stay shared. Both know the configuration. Security is that of mpc.h: semi-honest. A centre of a cluster of one point is that point:
 * choose few clusters for many points.
 *
 * One iteration: distances |c|^2 - 2 x c of every point to every centre c; the nearest (the first of equals) as one bit per
 * cluster; sums and sizes; the new centre, sum times the reciprocal of size. A cluster that nobody belongs to keeps its centre. Points are the fixed
 * operands of all products, so that iterations cost masks alone, and what all of them need is made in one step
 * beforehand.
 *
 * Points have `frac` fraction bits, |x| <= max_abs ("mpcml:input"). With d columns, n points, everything stays within a quarter of the
 * ring if d max_abs^2 2^(2 frac) and n max_abs 2^frac do, "mpcml:range".
 * Bit by bit equal to the simulation with CCZ_MPC_TRUNC_FAITHFUL.
 *
 * Threads and ownership: as mpc.h. Reading order of the sources: kmeans_priv.h, kmeans_cfg.c, kmeans_plain.c, kmeans.c.
 */
#include <cczoo/mpcml.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_MPCML_CLUSTERS_MAX   64
#define CCZ_MPCML_ITERATIONS_MAX 1000
/** The same at both parties; part of the program's digest. */
struct ccz_mpcml_kmeans_cfg {
    enum ccz_mpcml_split split;
    size_t rows[2];    /**< ROWS: of each party; COLUMNS: the same number twice; "mpcml:rows" */
    size_t columns[2]; /**< COLUMNS: of each party; ROWS: the same number twice; "mpcml:columns" */
    size_t clusters;   /**< 2 .. CCZ_MPCML_CLUSTERS_MAX, at most the points; "mpcml:clusters" */
    size_t iterations; /**< 1 .. CCZ_MPCML_ITERATIONS_MAX; "mpcml:iterations" */
    unsigned frac;     /**< 0 = 14; "mpcml:frac" */
    double max_abs;    /**< of every number; 0 = 8; "mpcml:max-abs" */
    const uint32_t *
        first; /**< numbers of the points that are the first centres (party 0's rows come first), `clusters` different ones; NULL = by seed; "mpcml:first" */
    uint64_t seed; /**< of the choice of first centres; public */
    unsigned
        to; /**< who gets all centres, CCZ_MPC_TO_...; 0 = each party its own columns (COLUMNS alone); "mpcml:to" */
};
/** Points of both; columns of a centre. */
CCZ_API size_t ccz_mpcml_kmeans_points(const struct ccz_mpcml_kmeans_cfg *cfg);
CCZ_API size_t ccz_mpcml_kmeans_columns(const struct ccz_mpcml_kmeans_cfg *cfg);

struct ccz_mpcml_kmeans;
/**
 * Clustering as a program, on a ring of 64 bits. The program and results are borrowed from the object.
 * @param role  of this party
 * @param x     its points, [rows][columns], borrowed; NULL: for plans
 * @retval CCZ_E_ARG, CCZ_E_LIMIT  what struct ccz_mpcml_kmeans_cfg says; "mpcml:range"; "mpcml:input": a number beyond max_abs, or not a number
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_kmeans_new(struct ccz_mpcml_kmeans **out, unsigned role,
                                                 const struct ccz_mpcml_kmeans_cfg *cfg,
                                                 const double *x, struct ccz_err *err);
CCZ_API void ccz_mpcml_kmeans_free(struct ccz_mpcml_kmeans *km); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_mpcml_kmeans)
/** A run reveals "centres" and nothing else. */
CCZ_API const struct ccz_mpcml_program *ccz_mpcml_kmeans_program(const struct ccz_mpcml_kmeans *km);
/** Of the last run: [clusters, columns] elements of `frac`, for ccz_mpc_decode(); cfg.to = 0: [clusters, own columns]. NULL before one has
 *  succeeded, and at who gets nothing. */
CCZ_API const uint64_t *ccz_mpcml_kmeans_centres(const struct ccz_mpcml_kmeans *km);
/** The same on plain fixed-point numbers: all centres, [clusters, columns]. @param sizes  of clusters in the last iteration; may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_kmeans_simulate(uint64_t *centres, size_t *sizes,
                                                      const struct ccz_mpcml_kmeans_cfg *cfg,
                                                      const double *x0, const double *x1,
                                                      struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
