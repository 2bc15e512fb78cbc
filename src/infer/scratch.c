/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/infer_priv.h"

#include <stdlib.h>
#include <string.h>

enum { SCRATCH_ALIGN = 64 };

struct cczi_scratch_block {
    struct cczi_scratch_block *next;
    uint8_t pad[SCRATCH_ALIGN - sizeof(void *)];
};
_Static_assert(sizeof(struct cczi_scratch_block) == SCRATCH_ALIGN,
               "the data behind the head stays aligned");

void cczi_scratch_init(struct cczi_scratch *s, size_t size_max)
{
    *s = (struct cczi_scratch){.left = size_max};
}

void cczi_scratch_free(struct cczi_scratch *s)
{
    while (s->head) {
        struct cczi_scratch_block *b = s->head;
        s->head = b->next;
        free(b);
    }
}

void *cczi_scratch_take(struct cczi_scratch *s, size_t len, size_t size)
{
    if (s->full || (size && len > s->left / size)) {
        s->full = true;
        return NULL;
    }
    size_t whole = (SCRATCH_ALIGN + len * size + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    struct cczi_scratch_block *b = aligned_alloc(SCRATCH_ALIGN, whole);
    if (!b) {
        s->full = true;
        return NULL;
    }
    memset(b, 0, whole);
    s->left -= len * size;
    b->next = s->head;
    s->head = b;
    return b + 1;
}
