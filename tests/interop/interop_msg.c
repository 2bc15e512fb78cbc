/* SPDX-License-Identifier: Apache-2.0 */
#include "interop_msg.h"

#include <cczoo/codec.h>

#include <string.h>

/* Where the kinds of requests have their fields; 0 = not at all. */
static const struct layout {
    uint32_t size, parts, payload, response_compressed, status, expect_compressed, server_id;
} layouts[] = {
    [IM_SIMPLE] = {2, 0, 3, 6, 7, 8, 9},
    [IM_OUTPUT] = {0, 2, 3, 0, 7, 0, 0},
    [IM_INPUT] = {0, 0, 1, 0, 0, 2, 0},
};

/* A message's fields one by one; each has to be of the type that is asked for. */
struct reader {
    struct ccz_rd r;
    struct ccz_pb_field f;
    bool wrong;
};

static bool next(struct reader *in)
{
    return !in->wrong && ccz_pb_next(&in->f, &in->r);
}

static struct ccz_span bytes(struct reader *in)
{
    in->wrong |= in->f.wire != CCZ_PB_LEN;
    return in->f.bytes;
}

static uint64_t number(struct reader *in, uint64_t max)
{
    in->wrong |= in->f.wire != CCZ_PB_VARINT || in->f.num > max;
    return in->wrong ? 0 : in->f.num;
}

static bool fine(const struct reader *in)
{
    return !in->wrong && !in->r.bad;
}

static enum im_bool get_bool(struct reader *outer)
{
    struct reader in = {.r = ccz_rd_from(bytes(outer))};
    enum im_bool v = IM_FALSE;
    while (next(&in))
        if (in.f.number == 1)
            v = number(&in, 1) ? IM_TRUE : IM_FALSE;
    outer->wrong |= !fine(&in);
    return v;
}

/* Payload */
static struct ccz_span get_body(struct reader *outer)
{
    struct reader in = {.r = ccz_rd_from(bytes(outer))};
    struct ccz_span body = {0};
    while (next(&in)) {
        if (in.f.number == 1)
            (void)number(&in, 0); /* COMPRESSABLE, the only type */
        else if (in.f.number == 2)
            body = bytes(&in);
    }
    outer->wrong |= !fine(&in);
    return body;
}

static void get_part(struct im_request *rq, struct reader *outer)
{
    struct reader in = {.r = ccz_rd_from(bytes(outer))};
    struct im_part part = {0};
    while (next(&in)) {
        if (in.f.number == 1)
            part.size = (size_t)number(&in, IM_BODY_MAX);
        else if (in.f.number == 2)
            part.interval_us = (uint32_t)number(&in, 60000000);
        else if (in.f.number == 3)
            part.compressed = get_bool(&in);
    }
    outer->wrong |= !fine(&in) || rq->parts_len == IM_PARTS_MAX;
    if (!outer->wrong)
        rq->parts[rq->parts_len++] = part;
}

static void get_status(struct im_request *rq, struct reader *outer)
{
    struct reader in = {.r = ccz_rd_from(bytes(outer))};
    rq->has_status = true;
    while (next(&in)) {
        if (in.f.number == 1)
            rq->code = (uint32_t)number(&in, UINT32_MAX);
        else if (in.f.number == 2)
            rq->message = bytes(&in);
    }
    outer->wrong |= !fine(&in);
}

bool im_get_request(struct im_request *rq, enum im_kind kind, struct ccz_span msg)
{
    const struct layout *l = &layouts[kind];
    struct reader in = {.r = ccz_rd_from(msg)};
    *rq = (struct im_request){0};
    while (next(&in)) {
        uint32_t n = in.f.number;
        if (n == l->size)
            rq->response_size = (size_t)number(&in, IM_BODY_MAX);
        else if (n == l->parts)
            get_part(rq, &in);
        else if (n == l->payload)
            rq->body = get_body(&in);
        else if (n == l->response_compressed)
            rq->response_compressed = get_bool(&in);
        else if (n == l->status)
            get_status(rq, &in);
        else if (n == l->expect_compressed)
            rq->expect_compressed = get_bool(&in);
        else if (n == l->server_id)
            rq->fill_server_id = number(&in, 1) == 1;
    }
    return fine(&in);
}

static void put_bool(struct ccz_buf *out, uint32_t field, enum im_bool v)
{
    if (v == IM_UNSET)
        return;
    size_t m = ccz_pb_open(out, field);
    ccz_pb_put_uint(out, 1, v == IM_TRUE);
    ccz_pb_close(out, m);
}

static void put_payload(struct ccz_buf *out, uint32_t field, size_t size)
{
    size_t m = ccz_pb_open(out, field);
    ccz_pb_put_tag(out, 2, CCZ_PB_LEN);
    ccz_pb_put_varint(out, size);
    uint8_t *to = ccz_buf_extend(out, size);
    if (to)
        memset(to, 0, size);
    ccz_pb_close(out, m);
}

void im_put_request(struct ccz_buf *out, enum im_kind kind, const struct im_request *rq,
                    size_t body_size)
{
    const struct layout *l = &layouts[kind];
    if (rq->response_size)
        ccz_pb_put_uint(out, l->size, rq->response_size);
    for (size_t i = 0; i < rq->parts_len; i++) {
        size_t m = ccz_pb_open(out, l->parts);
        ccz_pb_put_uint(out, 1, rq->parts[i].size);
        if (rq->parts[i].interval_us)
            ccz_pb_put_uint(out, 2, rq->parts[i].interval_us);
        put_bool(out, 3, rq->parts[i].compressed);
        ccz_pb_close(out, m);
    }
    if (body_size)
        put_payload(out, l->payload, body_size);
    if (l->response_compressed)
        put_bool(out, l->response_compressed, rq->response_compressed);
    if (rq->has_status) {
        size_t m = ccz_pb_open(out, l->status);
        ccz_pb_put_uint(out, 1, rq->code);
        ccz_pb_put_bytes(out, 2, rq->message);
        ccz_pb_close(out, m);
    }
    if (l->expect_compressed)
        put_bool(out, l->expect_compressed, rq->expect_compressed);
    if (rq->fill_server_id)
        ccz_pb_put_uint(out, l->server_id, 1);
}

void im_put_response(struct ccz_buf *out, size_t body_size, const char *server_id)
{
    put_payload(out, 1, body_size);
    if (server_id)
        ccz_pb_put_str(out, 4, server_id);
}

bool im_get_response(struct ccz_span *body, struct ccz_span *server_id, struct ccz_span msg)
{
    struct reader in = {.r = ccz_rd_from(msg)};
    *body = *server_id = (struct ccz_span){0};
    while (next(&in)) {
        if (in.f.number == 1)
            *body = get_body(&in);
        else if (in.f.number == 4)
            *server_id = bytes(&in);
    }
    return fine(&in);
}

void im_put_sum(struct ccz_buf *out, size_t size)
{
    ccz_pb_put_uint(out, 1, size);
}

bool im_get_sum(size_t *size, struct ccz_span msg)
{
    struct reader in = {.r = ccz_rd_from(msg)};
    *size = 0;
    while (next(&in))
        if (in.f.number == 1)
            *size = (size_t)number(&in, INT32_MAX);
    return fine(&in);
}

bool im_all_zero(struct ccz_span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i])
            return false;
    return true;
}
