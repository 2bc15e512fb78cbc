/* SPDX-License-Identifier: Apache-2.0 */
/* Version 2: what is data and what is a message. Long data goes from TLS to the caller's buffer without a stop between. */
#include "ratls_priv.h"

enum {
    PIECE = 2048
}; /* a head and what follows it are read together, and copied: cheaper than asking TLS twice */

void cczi_frames_init(struct cczi_frames *f)
{
    *f = (struct cczi_frames){0};
    ccz_buf_init(&f->message, CCZI_RATLS_FRAME_MAX);
    ccz_buf_init(&f->piece, PIECE);
}

void cczi_frames_deinit(struct cczi_frames *f)
{
    ccz_buf_free(&f->message);
    ccz_buf_free(&f->piece);
}

/* Type and size of the frame that is being read; false until its head is complete. */
static bool head(uint8_t *type, uint32_t *size, const struct cczi_frames *f)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&f->message));
    *type = ccz_rd_u8(&r);
    *size = ccz_rd_le32(&r);
    return !r.bad;
}

bool cczi_frames_message(uint8_t *type, struct ccz_span *body, const struct cczi_frames *f)
{
    uint32_t size;
    /* an empty one is none, whatever its type: it is refused by its head */
    if (!head(type, &size, f) || size == 0 ||
        f->message.size != CCZI_RATLS_HEAD_SIZE + (size_t)size)
        return false;
    *body = ccz_span_sub(ccz_buf_span(&f->message), CCZI_RATLS_HEAD_SIZE, size);
    return true;
}

void cczi_frames_next(struct cczi_frames *f)
{
    ccz_buf_clear(&f->message);
}

/* Plain bytes, but not more than @p size of them. */
static ccz_rc read_some(size_t *got, struct ccz_buf *out, size_t size, cczi_plain_fn read,
                        void *arg, struct ccz_err *err)
{
    size_t before = out->size, max_size = out->max_size;
    if (size < max_size - before)
        out->max_size = before + size;
    ccz_rc rc = read(arg, out, err);
    out->max_size = max_size;
    *got = out->size - before;
    return rc;
}

/* Takes at most @p size bytes from the piece that was read ahead. @return how many */
static size_t take(struct ccz_buf *out, struct cczi_frames *f, size_t size)
{
    size_t left = f->piece.size - f->piece_at, room = out->max_size - out->size;
    size = size < left ? size : left;
    size = size < room ? size : room;
    ccz_buf_put(out, f->piece.ptr + f->piece_at, size);
    f->piece_at += size;
    return size;
}

/* Takes a part of head or message. A head is judged before anything is stored for what it announces, and again by
 * every call: a refused one stays refused. */
static ccz_rc take_message(struct cczi_frames *f, const struct cczi_session *s, struct ccz_err *err)
{
    uint8_t type;
    uint32_t size;
    if (!head(&type, &size, f)) {
        (void)take(&f->message, f, CCZI_RATLS_HEAD_SIZE - f->message.size);
        if (!head(&type, &size, f))
            return CCZ_OK;
    }
    ccz_rc rc = cczi_round_check_head(s, type, size, err);
    if (rc != CCZ_OK)
        return rc;
    if (f->ended && (type == CCZI_RATLS_DATA || type == CCZI_RATLS_END))
        return ccz_fail(err, CCZ_E_PEER, "ratls:order", type,
                        "message type %u: behind the end of the peer's bytes", type);
    if (type == CCZI_RATLS_END) {
        f->ended = true;
        cczi_frames_next(f);
        return CCZ_OK;
    }
    if (type != CCZI_RATLS_DATA) {
        (void)take(&f->message, f, CCZI_RATLS_HEAD_SIZE + (size_t)size - f->message.size);
        return CCZ_OK;
    }
    f->data_left = size;
    cczi_frames_next(f);
    return CCZ_OK;
}

/* More plain bytes: the middle of long data straight to @p out, all else ahead into the piece. */
static ccz_rc refill(size_t *got, struct ccz_buf *out, struct cczi_frames *f, cczi_plain_fn read,
                     void *arg, struct ccz_err *err)
{
    if (f->data_left >= PIECE) {
        ccz_rc rc = read_some(got, out, f->data_left, read, arg, err);
        f->data_left -= (uint32_t)*got;
        return rc;
    }
    ccz_buf_clear(&f->piece);
    f->piece_at = 0;
    return read_some(got, &f->piece, PIECE, read, arg, err);
}

ccz_rc cczi_frames_read(struct ccz_buf *out, struct cczi_frames *f, const struct cczi_session *s,
                        cczi_plain_fn read, void *arg, struct ccz_err *err)
{
    size_t before = out->size, got;
    uint8_t type;
    struct ccz_span body;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && out->size < out->max_size && !cczi_frames_message(&type, &body, f)) {
        if (f->piece_at == f->piece.size) {
            rc = refill(&got, out, f, read, arg, err);
            if (rc == CCZ_OK && got == 0)
                break;
        } else if (f->data_left > 0) {
            f->data_left -= (uint32_t)take(out, f, f->data_left);
        } else {
            rc = take_message(f, s, err);
        }
        if (rc == CCZ_OK && (out->bad || f->piece.bad || f->message.bad))
            rc = ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    }
    if (f->piece.wipe && f->piece_at == f->piece.size) {
        ccz_buf_clear(&f->piece);
        f->piece_at = 0;
    }
    if (rc == CCZ_OK && f->ended)
        rc = ccz_fail(err, CCZ_E_CLOSED, "ratls:ended", 0, "the peer sends no more bytes");
    /* what came before a failure is given out first; the next call fails again */
    return out->size > before ? CCZ_OK : rc;
}
