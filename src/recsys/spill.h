/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RECSYS_SPILL_H
#define CCZI_RECSYS_SPILL_H
/*
 * Sorting what memory does not hold. A record is `width` words: user, item, bits of the value, and with 5 words the time, low
 * half first. Order: user, item, then the order in which records came. Runs are sorted records in protected files that have no
 * name, each under a key of its own that exists in memory only: after a crash nobody can read them, and they are gone.
 */
#include "recsys_priv.h"

#include <cczoo/pf.h>

enum { RECORD_WIDTH_MAX = 5 };

/* Stable. `tmp` is as large as `rec`; the result is in the one that is returned. */
uint32_t *cczi_recsys_sort(uint32_t *rec, uint32_t *tmp, uint64_t len, unsigned width);

struct cczi_recsys_run;
/* Bytes of memory that writing one run takes, and reading one takes beside its buffer. */
#define CCZI_RECSYS_RUN_WRITE_SIZE ((uint64_t)1 << 20)
#define CCZI_RECSYS_RUN_READ_SIZE  ((uint64_t)320 << 10)
/* An empty run for `len` records in folder `dir`. Errors: recsys:spill, pf:... */
ccz_rc cczi_recsys_run_new(struct cczi_recsys_run **out, const char *dir, uint64_t len,
                           unsigned width, struct ccz_err *err);
void cczi_recsys_run_free(struct cczi_recsys_run *r); /* and its file; NULL is fine */
CCZ_DEFINE_AUTO(cczi_recsys_run)
ccz_rc cczi_recsys_run_put(struct cczi_recsys_run *r, const uint32_t *rec, uint64_t len,
                           struct ccz_err *err);
ccz_rc cczi_recsys_run_end(struct cczi_recsys_run *r, struct ccz_err *err); /* all are written */
uint64_t cczi_recsys_run_len(const struct cczi_recsys_run *r);
uint64_t cczi_recsys_run_size(const struct cczi_recsys_run *r); /* bytes on disk */
/* To the first record, with a buffer of `size` bytes. */
ccz_rc cczi_recsys_run_start(struct cczi_recsys_run *r, size_t size, struct ccz_err *err);
/* The next record, valid until the next call; NULL behind the last. */
ccz_rc cczi_recsys_run_next(const uint32_t **rec, struct cczi_recsys_run *r, struct ccz_err *err);

/* Merges sorted runs: of equal records those of earlier runs come first. */
struct cczi_recsys_merge;
/* `runs` are borrowed; `buffer` bytes for each. */
ccz_rc cczi_recsys_merge_new(struct cczi_recsys_merge **out, struct cczi_recsys_run **runs,
                             size_t len, size_t buffer, struct ccz_err *err);
void cczi_recsys_merge_free(struct cczi_recsys_merge *m); /* NULL is fine */
CCZ_DEFINE_AUTO(cczi_recsys_merge)
ccz_rc cczi_recsys_merge_next(const uint32_t **rec, struct cczi_recsys_merge *m,
                              struct ccz_err *err);
#endif
