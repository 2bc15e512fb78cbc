/* SPDX-License-Identifier: Apache-2.0 */
/* Length-Prefixed-Message of PROTOCOL-HTTP2: compressed flag, big-endian size, message. */
#include "rpc_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_KEEP_SIZE = 65536 }; /* a larger buffer is given back before the next message */

void cczi_framer_init(struct cczi_framer *f, size_t size_max)
{
    *f = (struct cczi_framer){.size_max = size_max};
    ccz_buf_init(&f->body, size_max);
    ccz_buf_init(&f->plain, size_max + 1); /* one more, to see that it is too much */
}

void cczi_framer_set_stock(struct cczi_framer *f, struct cczi_stock *stock)
{
    f->stock = cczi_stock_ref(stock); /* a handler may keep its call beyond the server */
    f->body.wipe = f->plain.wipe = cczi_stock_wipes(stock);
}

void cczi_framer_free(struct cczi_framer *f)
{
    cczi_framer_release(f);
    cczi_stock_unref(f->stock);
    f->stock = NULL;
}

static void free_body(struct cczi_framer *f)
{
    if (f->stocked) {
        cczi_stock_give(f->stock, f->body.ptr, f->body.cap);
        f->body.ptr = NULL;
        f->stocked = false;
    }
    ccz_buf_free(&f->body);
}

void cczi_framer_release(struct cczi_framer *f)
{
    free_body(f);
    ccz_buf_free(&f->plain);
}

void *cczi_framer_steal(size_t *cap, struct cczi_framer *f, struct ccz_span msg)
{
    if (!f->stocked || msg.ptr != f->body.ptr)
        return NULL;
    void *p = f->body.ptr;
    *cap = f->body.cap;
    f->body.ptr = NULL;
    f->body.size = f->body.cap = 0;
    f->stocked = false;
    return p;
}

/* Room for @p size more bytes of a large body. It grows with what arrives, not with what is announced, and not beyond that. */
static void reserve_body(struct cczi_framer *f, size_t size)
{
    enum { GROWTH = 4 };
    struct ccz_buf *b = &f->body;
    size_t need = b->size + size + 1, most = f->want + 1, cap; /* one more: see struct ccz_buf */
    if (!f->stock || need <= b->cap || most <= CCZI_STOCK_BLOCK)
        return;
    size_t grown = CCZI_STOCK_BLOCK +
                   GROWTH * (need - 1); /* 128 KiB after 16: a usual message moves once less */
    void *p = cczi_stock_take(&cap, f->stock, grown < most ? grown : most);
    if (!p)
        return; /* the buffer tries by itself, and says so if it cannot */
    struct ccz_span old = ccz_buf_span(b);
    if (old.size)
        memcpy(p, old.ptr, old.size);
    free_body(f);
    b->ptr = p;
    b->cap = cap;
    b->size = old.size;
    f->stocked = true;
}

size_t cczi_framer_held(const struct cczi_framer *f)
{
    return f->body.size + f->plain.size;
}

bool cczi_framer_idle(const struct cczi_framer *f)
{
    return f->prefix_size == 0;
}

/* Takes what is missing of the prefix; CCZI_FRAME_MESSAGE once it is complete and acceptable. */
static enum cczi_frame take_prefix(struct cczi_framer *f, struct ccz_span *chunk)
{
    size_t n = CCZI_PREFIX_SIZE - (size_t)f->prefix_size;
    n = n < chunk->size ? n : chunk->size;
    memcpy(f->prefix + f->prefix_size, chunk->ptr, n);
    f->prefix_size = (uint8_t)(f->prefix_size + n);
    *chunk = (struct ccz_span){chunk->ptr + n, chunk->size - n};
    if (f->prefix_size < CCZI_PREFIX_SIZE)
        return CCZI_FRAME_MORE;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(f->prefix, CCZI_PREFIX_SIZE));
    uint8_t flag = ccz_rd_u8(&r);
    f->want = ccz_rd_be32(&r);
    if (flag > 1)
        return CCZI_FRAME_BAD_FLAG;
    f->compressed = flag == 1;
    if (f->compressed && f->encoding == CCZI_IDENTITY)
        return CCZI_FRAME_COMPRESSED;
    if (f->want > f->size_max)
        return CCZI_FRAME_TOO_LARGE;
    if (f->body.cap > BODY_KEEP_SIZE || f->plain.cap > BODY_KEEP_SIZE)
        cczi_framer_release(f);
    ccz_buf_clear(&f->body);
    ccz_buf_clear(&f->plain);
    return CCZI_FRAME_MESSAGE;
}

/* The whole message is here: what is in it. */
static enum cczi_frame unpack(struct ccz_span *msg, struct cczi_framer *f)
{
    if (!f->compressed)
        return CCZI_FRAME_MESSAGE;
    enum cczi_frame got = cczi_decompress(&f->plain, *msg, f->encoding, f->size_max);
    *msg = ccz_buf_span(&f->plain);
    free_body(f);
    return got;
}

enum cczi_frame cczi_framer_next(struct ccz_span *msg, struct cczi_framer *f,
                                 struct ccz_span *chunk)
{
    *msg = (struct ccz_span){0};
    if (f->prefix_size < CCZI_PREFIX_SIZE) {
        if (chunk->size == 0)
            return CCZI_FRAME_MORE;
        enum cczi_frame got = take_prefix(f, chunk);
        if (got != CCZI_FRAME_MESSAGE)
            return got;
    }
    size_t missing = f->want - f->body.size;
    if (f->body.size == 0 && chunk->size >= missing && (!f->keep || f->compressed)) {
        *msg = CCZ_SPAN(chunk->ptr, missing); /* whole in this chunk: no copy */
    } else {
        size_t n = missing < chunk->size ? missing : chunk->size;
        reserve_body(f, n);
        ccz_buf_put(&f->body, chunk->ptr, n);
        if (f->body.bad)
            return CCZI_FRAME_NOMEM;
        *chunk = (struct ccz_span){chunk->ptr + n, chunk->size - n};
        if (f->body.size < f->want)
            return CCZI_FRAME_MORE;
        *msg = ccz_buf_span(&f->body);
        missing = 0;
    }
    *chunk = (struct ccz_span){chunk->ptr + missing, chunk->size - missing};
    f->prefix_size = 0;
    return unpack(msg, f);
}

void cczi_out_prefix(struct cczi_out *o, uint8_t flag, size_t size)
{
    o->bytes[0] = flag;
    o->bytes[1] = (uint8_t)(size >> 24);
    o->bytes[2] = (uint8_t)(size >> 16);
    o->bytes[3] = (uint8_t)(size >> 8);
    o->bytes[4] = (uint8_t)size;
}

struct cczi_out *cczi_out_room(uint8_t **room, size_t size, struct cczi_stock *stock)
{
    if (size > UINT32_MAX)
        return NULL;
    size_t cap = sizeof(struct cczi_out) + CCZI_PREFIX_SIZE + size;
    bool wipe = stock && cczi_stock_wipes(stock);
    if (cap < CCZI_STOCK_BLOCK)
        stock = NULL;
    struct cczi_out *o = stock ? cczi_stock_take(&cap, stock, cap) : malloc(cap);
    if (!o)
        return NULL;
    *o = (struct cczi_out){
        .size = CCZI_PREFIX_SIZE + size, .refs = 1, .wipe = wipe, .stock = stock, .cap = cap};
    cczi_out_prefix(o, 0, size);
    *room = o->bytes + CCZI_PREFIX_SIZE;
    return o;
}

struct cczi_out *cczi_out_new(struct ccz_span msg, struct cczi_stock *stock)
{
    uint8_t *room;
    struct cczi_out *o = cczi_out_room(&room, msg.size, stock);
    if (o && msg.size)
        memcpy(room, msg.ptr, msg.size);
    return o;
}

struct cczi_out *cczi_out_lent(struct ccz_span msg, struct cczi_stock *stock)
{
    enum { WORTH_IT = 16384 };
    if (msg.size < WORTH_IT || msg.size > UINT32_MAX)
        return cczi_out_new(msg, stock);
    struct cczi_out *o = cczi_out_new((struct ccz_span){0}, NULL);
    if (!o)
        return NULL;
    o->lent = msg.ptr;
    o->head_size = CCZI_PREFIX_SIZE;
    o->size += msg.size;
    cczi_out_prefix(o, 0, msg.size);
    return o;
}

struct cczi_out *cczi_out_own(struct ccz_span head, struct ccz_buf *body)
{
    struct cczi_out *o = body->size > UINT32_MAX - head.size ? NULL : cczi_out_new(head, NULL);
    if (!o)
        return NULL;
    o->lent = o->owned = body->ptr;
    o->head_size = o->size;
    o->size += body->size;
    cczi_out_prefix(o, 0, head.size + body->size);
    body->ptr = NULL;
    body->size = body->cap = 0;
    return o;
}

struct ccz_span cczi_out_piece(const struct cczi_out *o, size_t at)
{
    if (!o->lent)
        return CCZ_SPAN(o->bytes + at, o->size - at);
    if (at < o->head_size)
        return CCZ_SPAN(o->bytes + at, o->head_size - at);
    return CCZ_SPAN(o->lent + (at - o->head_size), o->size - at);
}

void cczi_out_free(struct cczi_out *list)
{
    while (list) {
        struct cczi_out *next = list->next;
        list->next = NULL;
        bool last = --list->refs == 0;
        if (last)
            free(list->owned);
        if (last && list->wipe)
            ccz_wipe(list->bytes, list->lent ? list->head_size : list->size);
        if (last && list->stock)
            cczi_stock_give(list->stock, list, list->cap);
        else if (last)
            free(list);
        list = next;
    }
}
