/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PARALLEL_H
#define CCZ_PARALLEL_H
/**
 * @file parallel.h
 * One piece of work on several threads, which live as long as the call. For work that takes milliseconds and more.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_THREADS_MAX 64

/** Works on items from .. from + len - 1; called on several threads at once, for parts that do not overlap. */
typedef ccz_rc (*ccz_range_fn)(void *arg, size_t from, size_t len, struct ccz_err *err);
/**
 * Splits 0 .. @p len - 1 among threads at multiples of @p grain; the caller's is one of them. Where the cuts are depends on
 * @p threads: what @p fn computes must not depend on them.
 * @param threads  1 .. CCZ_THREADS_MAX; 0 = 1. Threads that cannot be started are done without
 * @return the error of the first part in order that failed; the other parts are finished all the same
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_parallel(ccz_range_fn fn, void *arg, size_t len, size_t grain,
                                         unsigned threads, struct ccz_err *err);
/** Processors that this process may use, at most CCZ_THREADS_MAX. */
CCZ_API unsigned ccz_processors(void);

#ifdef __cplusplus
}
#endif
#endif
