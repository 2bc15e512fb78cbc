/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of an idle connection. Of the 25 KB that nghttp2 takes for a session, 16 KB and more are the buffer in which it
 * builds frames, whose content means nothing between two pulls. It cannot be taken away, but its pages can: they are given
 * back to the system and come back, zeroed, at the next frame.
 */
#define _DEFAULT_SOURCE
#include "h2.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    FRAME_BUFFER_MIN = 16384 /* what nghttp2 starts with, and more for larger frames */
};

/* nghttp2 makes its frame buffer with the session; for a larger one it allocates the new one, then frees the old one. So it
 * is what was allocated last whenever the one we know is freed. */
static void note_new(struct cczi_h2_mem *m, void *p, size_t size)
{
    m->last = p;
    m->last_size = size;
}

static void *alloc(size_t size, void *arg)
{
    bool paged = size > FRAME_BUFFER_MIN;
    size_t whole = (size + PAGE - 1) / PAGE * PAGE;
    void *p = paged ? aligned_alloc(PAGE, whole) : malloc(size);
    note_new(arg, paged ? p : NULL, whole);
    return p;
}

static void *alloc_zeroed(size_t len, size_t size, void *arg)
{
    note_new(arg, NULL, 0);
    return calloc(len, size);
}

static void release(void *p, void *arg)
{
    struct cczi_h2_mem *m = arg;
    if (p && p == m->frames) {
        m->frames = m->last;
        m->frames_size = m->last_size;
    }
    if (p && p == m->last)
        note_new(m, NULL, 0);
    free(p);
}

static void *resize(void *p, size_t size, void *arg)
{
    struct cczi_h2_mem *m = arg;
    if (!p)
        return alloc(size, arg);
    void *q = realloc(p, size);
    if (q && p == m->frames)
        m->frames = NULL; /* not whole pages any more: left alone */
    note_new(m, NULL, 0);
    return q;
}

nghttp2_mem cczi_h2_mem(struct cczi_h2_mem *m)
{
    return (nghttp2_mem){.mem_user_data = m,
                         .malloc = alloc,
                         .free = release,
                         .calloc = alloc_zeroed,
                         .realloc = resize};
}

void cczi_h2_mem_made(struct cczi_h2_mem *m)
{
    m->frames = m->last;
    m->frames_size = m->last_size;
}

void cczi_h2_trim(struct cczi_h2 *h)
{
    if (h->mem.frames && !nghttp2_session_want_write(h->ng))
        (void)madvise(h->mem.frames, h->mem.frames_size, MADV_DONTNEED);
}
