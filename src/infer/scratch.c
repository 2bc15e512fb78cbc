/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/infer_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCRATCH_ALIGN = 64,
    SCRATCH_BLOCK = 8192, /* what is taken from the heap at a time, if more is not asked for */
};

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

void cczi_scratch_lend(struct cczi_scratch *s, void *memory, size_t size)
{
    s->at = memory;
    s->room = size;
}

void cczi_scratch_free(struct cczi_scratch *s)
{
    while (s->head) {
        struct cczi_scratch_block *b = s->head;
        s->head = b->next;
        free(b);
    }
    s->at = NULL;
    s->room = 0;
}

/* A block of its own; what is left of the one before is used on if the new one is full. */
static uint8_t *new_block(struct cczi_scratch *s, size_t whole)
{
    const size_t size = whole < SCRATCH_BLOCK / 2 ? SCRATCH_BLOCK : whole + SCRATCH_ALIGN;
    struct cczi_scratch_block *b = aligned_alloc(SCRATCH_ALIGN, size);
    if (!b)
        return NULL;
    b->next = s->head;
    s->head = b;
    uint8_t *out = (uint8_t *)(b + 1);
    const size_t room = size - SCRATCH_ALIGN - whole;
    if (room > s->room) {
        s->at = out + whole;
        s->room = room;
    }
    return out;
}

void *cczi_scratch_raw(struct cczi_scratch *s, size_t len, size_t size)
{
    if (s->full || (size && len > s->left / size)) {
        s->full = true;
        return NULL;
    }
    const size_t want = len * size > 0 ? len * size : 1; /* every piece has an address of its own */
    const size_t whole = (want + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    uint8_t *out = s->at;
    if (whole <= s->room) {
        s->at += whole;
        s->room -= whole;
    } else {
        out = new_block(s, whole);
    }
    if (out)
        s->left -= len * size;
    else
        s->full = true;
    return out;
}

void *cczi_scratch_take(struct cczi_scratch *s, size_t len, size_t size)
{
    void *out = cczi_scratch_raw(s, len, size);
    if (out)
        memset(out, 0, len * size);
    return out;
}
