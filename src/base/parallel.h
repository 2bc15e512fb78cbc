/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PARALLEL_H
#define CCZ_SRC_PARALLEL_H
#include <cczoo/base.h>

enum { CCZI_THREADS_MAX = 64 };

/* Work on items from .. from + len. */
typedef ccz_rc (*cczi_range_fn)(void *arg, size_t from, size_t len, struct ccz_err *err);
/* Splits 0 .. len over threads (0 = 1) at multiples of @p grain. @return the first error */
ccz_rc cczi_parallel(cczi_range_fn fn, void *arg, size_t len, size_t grain, unsigned threads,
                     struct ccz_err *err);
/* Processors that this process may use, at most CCZI_THREADS_MAX. */
unsigned cczi_processors(void);
#endif
