/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RECSYS_IDS_H
#define CCZI_RECSYS_IDS_H
/* Inside of dictionaries: ids.c looks up, ids_file.c reads and writes. */
#include "recsys_priv.h"

#include <cczoo/recsys_data.h>

struct ccz_recsys_ids {
    enum ccz_recsys_id_kind kind;
    uint32_t len, cap;
    uint32_t *slot;    /* number + 1, 0 = empty; linear probing, at most half of them are taken */
    uint64_t slot_len; /* a power of two */
    int64_t *num;      /* INT: [cap] */
    uint64_t *end;     /* TEXT: [cap] where the text of a number ends, and the next one's starts */
    uint8_t *text;     /* [text_cap] */
    uint64_t text_size, text_cap;
    uint64_t key[2];    /* of the hash: who writes files cannot make all ids collide */
    uint64_t size_max;  /* 0: none; refused instead of growing beyond */
    uint64_t size_peak; /* most that it took, what is copied while it grows included */
};

/* For reading; what is no regular file is refused, and of a pipe nobody writes to not awaited. "recsys:open" */
ccz_rc cczi_recsys_open_regular(int *fd, const char *path, struct ccz_err *err);
/* No growth beyond `size` bytes, the copy in between included: "recsys:memory-max". 0: no limit. */
void cczi_recsys_ids_limit(struct ccz_recsys_ids *ids, uint64_t size);
/* Number n becomes to[n], or is dropped if that is CCZ_RECSYS_NONE; those that stay ascend without gaps. */
void cczi_recsys_ids_keep(struct ccz_recsys_ids *ids, const uint32_t *to);
/* Moves `used` bytes to new memory of `size` bytes and wipes the old one; false: no memory, nothing changed. */
bool cczi_recsys_move(void **p, uint64_t used, uint64_t size);
#endif
