/* SPDX-License-Identifier: Apache-2.0 */
/* Version 2: what is data and what is a message. Data goes from TLS to the caller's buffer without a stop between. */
#include "ratls_priv.h"

void cczi_frames_init(struct cczi_frames *f)
{
    *f = (struct cczi_frames){0};
    ccz_buf_init(&f->message, CCZI_RATLS_FRAME_MAX);
}

void cczi_frames_deinit(struct cczi_frames *f)
{
    ccz_buf_free(&f->message);
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
    if (!head(type, &size, f) || f->message.size != CCZI_RATLS_HEAD_SIZE + (size_t)size)
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

/* The next piece of the head, or of a message's body. A head is judged before anything is stored for what it
 * announces, and again by every call: a refused one stays refused. */
static ccz_rc read_message(size_t *got, struct cczi_frames *f, const struct cczi_session *s,
                           cczi_plain_fn read, void *arg, struct ccz_err *err)
{
    uint8_t type;
    uint32_t size;
    *got = 0;
    if (!head(&type, &size, f)) {
        ccz_rc rc =
            read_some(got, &f->message, CCZI_RATLS_HEAD_SIZE - f->message.size, read, arg, err);
        if (rc != CCZ_OK || !head(&type, &size, f))
            return rc;
    }
    ccz_rc rc = cczi_round_check_head(s, type, size, err);
    if (rc != CCZ_OK)
        return rc;
    if (type != CCZI_RATLS_DATA)
        return read_some(got, &f->message, CCZI_RATLS_HEAD_SIZE + (size_t)size - f->message.size,
                         read, arg, err);
    f->data_left = size;
    cczi_frames_next(f);
    *got = CCZI_RATLS_HEAD_SIZE;
    return CCZ_OK;
}

ccz_rc cczi_frames_read(struct ccz_buf *out, struct cczi_frames *f, const struct cczi_session *s,
                        cczi_plain_fn read, void *arg, struct ccz_err *err)
{
    size_t before = out->size, got = 1;
    uint8_t type;
    struct ccz_span body;
    while (got > 0 && out->size < out->max_size && !cczi_frames_message(&type, &body, f)) {
        ccz_rc rc;
        if (f->data_left > 0) {
            rc = read_some(&got, out, f->data_left, read, arg, err);
            f->data_left -= (uint32_t)got;
        } else {
            rc = read_message(&got, f, s, read, arg, err);
        }
        if (rc != CCZ_OK) /* what came before is given out first; the next call fails again */
            return out->size > before ? CCZ_OK : rc;
    }
    return CCZ_OK;
}
