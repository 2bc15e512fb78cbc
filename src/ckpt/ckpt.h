/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CKPT_H
#define CCZI_CKPT_H
/*
 * The state of a party that shall survive kill -9: two protected files (pf.h) take turns, PATH.0 and PATH.1. Each appears by
 * rename, so that there is always one whole state, and beside it the one before, as another party may not have got as far.
 * A state has a number, a *step*. Files that are there must be whole, under the same key, and of the same training: a changed
 * one is refused, never passed over for the older one. That the host puts back older files, or removes one, is not noticed.
 * What vfl and sboost stand on; not for programs. One thread.
 */
#include <cczoo/base.h>

enum { CCZI_CKPT_KEPT = 2, CCZI_CKPT_SEAL_SIZE = 32 };

/* What differs from module to module. */
struct cczi_ckpt_kind {
    char magic[8];
    const char *info;                 /* separates keys that come from the same seal */
    const char *where, *where_config; /* of refusals: "vfl:checkpoint", "vfl:checkpoint-config" */
    size_t extra_size_max, state_size_max;
};
struct cczi_ckpt {
    const struct cczi_ckpt_kind *kind;
    char *path[CCZI_CKPT_KEPT]; /* NULL: none are kept */
    struct ccz_secret *key;     /* of protected files, from the seal */
    const char *bound;          /* path inside of the files */
    uint8_t config[32];         /* digest of everything a state belongs to */
    bool have[CCZI_CKPT_KEPT];
    uint64_t step[CCZI_CKPT_KEPT];
    int last; /* loaded or written last, -1 = none */
};
/*
 * Looks at the files that are there; all of each is verified. Removes what a process that was killed left half-written.
 * @param path    NULL: no states are kept, and saving does nothing
 * @param bound   role of the party: another role's file is refused. Borrowed, as `kind` is
 * @param seal    CCZI_CKPT_SEAL_SIZE bytes
 * @param config  32 bytes
 * Errors: those of pf.h (CCZ_E_SIG: changed, another key or role), CCZ_E_FORMAT and CCZ_E_NOMEM `where`, CCZ_E_MISMATCH
 * `where_config`. cczi_ckpt_close() in any case.
 */
ccz_rc cczi_ckpt_open(struct cczi_ckpt *c, const struct cczi_ckpt_kind *kind, const char *path,
                      const char *bound, const struct ccz_secret *seal, const uint8_t *config,
                      struct ccz_err *err);
void cczi_ckpt_close(struct cczi_ckpt *c); /* zeroed is fine */
/* In place of the older file. `extra` is small and of a size that the loading side knows; either may be empty. */
ccz_rc cczi_ckpt_save(struct cczi_ckpt *c, uint64_t step, struct ccz_span extra,
                      struct ccz_span state, struct ccz_err *err);
/* Appends the state. The other file makes room for the next one. CCZ_E_NOT_FOUND: none of that step. */
ccz_rc cczi_ckpt_load(struct ccz_buf *state, void *extra, size_t extra_size, struct cczi_ckpt *c,
                      uint64_t step, struct ccz_err *err);
#endif
