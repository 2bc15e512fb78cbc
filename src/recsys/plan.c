/* SPDX-License-Identifier: Apache-2.0 */
/* What training takes, from counts alone: docs/design/recsys-data.md has the formulas. */
#include "recsys_priv.h"

#include <cczoo/recsys_data.h>

#include <math.h>

enum { LANES = 16, RECORD_SIZE = 20, EXECUTORS_MAX = 100000 };

/* Of the memory of a machine, what may be planned with: the rest is for the system, the program and what else runs. */
static const double usable = 0.6;
/* Of spark.executor.memory, what blocks and shuffles may fill: spark.memory.fraction, 0.6 by default. */
static const double spark_fraction = 0.6;
/* What an executor needs beside its heap: spark.executor.memoryOverheadFactor, 0.1 by default. */
static const double spark_overhead = 0.1;

static double number(uint64_t x)
{
    return (double)x;
}

/* Floating-point operations of one iteration: both sides, each rating once per side. Exact: an update of a symmetric matrix per
 * rating, a factorization per row. Conjugate gradients: two products per rating and step, one with the Gram matrix per row and
 * step, and one of each for the start. */
static double work(const struct ccz_recsys_plan_in *in)
{
    const double n = number(in->ratings), rows = number((uint64_t)in->users + in->items),
                 f = in->factors, gram = rows * f * f;
    if (in->cg_steps == 0)
        return 2 * n * f * f + gram + rows * f * f * f / 3;
    return gram + (in->cg_steps + 1.0) * (2 * 4 * n * f + 2 * rows * f * f);
}

static ccz_rc bad(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_ARG, "recsys:plan", 0, "%s", what);
}

static ccz_rc check(const struct ccz_recsys_plan_in *in, struct ccz_err *err)
{
    if (in->ratings == 0 || in->ratings > CCZ_RECSYS_RATINGS_MAX)
        return bad(err, "an impossible number of ratings");
    if (in->users == 0 || in->users > CCZ_RECSYS_LEN_MAX || in->items == 0 ||
        in->items > CCZ_RECSYS_LEN_MAX)
        return bad(err, "an impossible number of users or items");
    if (in->factors == 0 || in->factors > CCZ_RECSYS_FACTORS_MAX)
        return bad(err, "an impossible number of factors");
    if (in->memory_size == 0)
        return bad(err, "how much memory there is");
    if (!(in->rate >= 0) || !isfinite(in->rate))
        return bad(err, "an impossible rate");
    return CCZ_OK;
}

/* A factor vector goes to each block of the other side that has a rating of its row. */
static double to_blocks(double rows, double ratings, double blocks, double vector)
{
    const double degree = ratings / rows;
    return rows * (degree < blocks ? degree : blocks) * vector;
}

static void plan_spark(struct ccz_recsys_plan *out, const struct ccz_recsys_plan_in *in)
{
    const uint64_t memory = in->executor_memory_size ? in->executor_memory_size : in->memory_size;
    const uint32_t cores = in->executor_cores ? in->executor_cores : in->cores ? in->cores : 1;
    const double n = number(in->ratings), users = in->users, items = in->items;
    /* an array of floats on the heap, with its header and the id */
    const double vector = 4.0 * in->factors + 32;
    const double heap = number(memory) / (1 + spark_overhead);
    uint64_t executors = 1;
    double shuffle = 0, all = 0;
    /* more executors have more blocks, which makes more copies of vectors: until it is enough */
    for (; executors <= EXECUTORS_MAX; executors += 1 + executors / 16) {
        const double blocks = number(executors * cores > 10 ? executors * cores : 10);
        const double user = to_blocks(users, n, blocks, vector),
                     item = to_blocks(items, n, blocks, vector);
        shuffle = user + item;
        /* Of a rating: ids and value in the cached input (12 bytes), index and value in each of two in-blocks (8), and 12 while
         * one of them is sorted. Of a row: its vector, and its index in each block it goes to. */
        all =
            40 * n + (users + items) * vector + 4 * shuffle / vector + (user > item ? user : item);
        if (all <= number(executors) * heap * spark_fraction)
            break;
    }
    out->executors = executors <= EXECUTORS_MAX ? (uint32_t)executors : 0;
    out->executor_memory = (uint64_t)heap;
    const uint64_t blocks = (executors <= EXECUTORS_MAX ? executors : EXECUTORS_MAX) * cores;
    out->blocks = blocks > 10 ? (uint32_t)blocks : 10;
    out->cluster_size = (uint64_t)all;
    out->shuffle_size = (uint64_t)shuffle;
}

ccz_rc ccz_recsys_plan(struct ccz_recsys_plan *out, const struct ccz_recsys_plan_in *in,
                       struct ccz_err *err)
{
    *out = (struct ccz_recsys_plan){0};
    ccz_rc rc = check(in, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t n = in->ratings, rows = (uint64_t)in->users + in->items,
                   stride = (in->factors + LANES - 1) / LANES * LANES;
    const uint32_t cores = in->cores ? in->cores : 1;
    out->matrix_size = 16 * n + 8 * (rows + 2);
    out->factor_size = rows * stride * sizeof(float);
    /* each thread: a Gram matrix, a row's matrix, a panel of as many gathered vectors; solutions */
    const uint64_t thread = 4 * stride * stride * sizeof(float) + ((uint64_t)1 << 20);
    out->train_size = out->matrix_size + out->factor_size + cores * thread;
    out->fits = number(out->train_size) <= usable * number(in->memory_size);
    out->sort_memory = (uint64_t)(usable * number(in->memory_size));
    if (2 * n * RECORD_SIZE > out->sort_memory / 2)
        out->spill_size = n * RECORD_SIZE + n * RECORD_SIZE / 32;
    out->work = work(in);
    out->seconds = in->rate > 0 ? out->work / in->rate / cores : 0;
    plan_spark(out, in);
    return CCZ_OK;
}

double ccz_recsys_plan_rate(const struct ccz_recsys_plan_in *in, double seconds)
{
    struct ccz_recsys_plan_in p = *in;
    p.rate = 0;
    if (!(seconds > 0) || check(&p, NULL) != CCZ_OK)
        return 0;
    return work(in) / seconds / (in->cores ? in->cores : 1);
}
