/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages and layouts: what is taken encodes to something that is taken again, as the same. The first byte says more: the rest goes,
 * cut into messages, to a server that has a member, or to a client.
 */
#include "fl/fl_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEN = 64, OUT_MAX = 64 };

static void one_message(struct ccz_span in)
{
    struct cczi_hfl_msg m, again;
    CCZ_AUTO_BUF a;
    ccz_buf_init(&a, CCZ_FL_MESSAGE_SIZE_MAX);
    if (cczi_hfl_msg_parse(&m, in, NULL) != CCZ_OK)
        return;
    cczi_hfl_msg_put(&a, &m);
    assert(!a.bad && cczi_hfl_msg_parse(&again, ccz_buf_span(&a), NULL) == CCZ_OK);
    assert(again.kind == m.kind);
    if (m.kind == CCZI_HFL_CHUNK)
        assert(again.chunk.offset == m.chunk.offset && ccz_span_eq(again.chunk.data, m.chunk.data));
}

static void one_layout(struct ccz_span in)
{
    CCZ_AUTO(ccz_fl_layout) l = NULL;
    CCZ_AUTO_BUF a;
    ccz_buf_init(&a, CCZ_FL_LAYOUT_SIZE_MAX);
    if (ccz_fl_layout_decode(&l, in, NULL) != CCZ_OK)
        return;
    ccz_fl_layout_encode(&a, l);
    assert(ccz_span_eq(ccz_buf_span(&a), in));
}

static struct ccz_fl_layout *small(void)
{
    const struct ccz_fl_tensor t = {.name = "w", .rank = 1, .dims = {LEN}};
    struct ccz_fl_layout *l;
    return ccz_fl_layout_new(&l, &t, 1, NULL) == CCZ_OK ? l : NULL;
}

/* 2 bytes of size, then that much of a message. */
static bool next(struct ccz_span *msg, struct ccz_rd *r)
{
    size_t n = ccz_rd_le16(r);
    *msg = ccz_rd_take(r, n < r->left ? n : r->left);
    return !r->bad;
}

static void server(struct ccz_rd r)
{
    static const float zeros[LEN];
    CCZ_AUTO(ccz_fl_layout) l = small();
    CCZ_AUTO(ccz_fl_server) s = NULL;
    CCZ_AUTO_BUF out;
    struct ccz_span msg;
    uint32_t id;
    int64_t now = 0;
    ccz_buf_init(&out, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    uint8_t how = ccz_rd_u8(&r);
    struct ccz_fl_server_cfg cfg = {
        .layout = l, .rounds = 2, .norm_max = 100, .seeded = true, .round_timeout_ms = 50};
    cfg.agg.codec.kind = (enum ccz_agg_codec_kind)(how % CCZ_AGG_CODECS);
    cfg.agg.codec.topk = cfg.agg.codec.kind == CCZ_AGG_TOPK ? 5 : 0;
    cfg.buffer_len = how & 0x40 ? 1 : 0;
    cfg.agg.scaffold = (how & 0x80) && cfg.agg.codec.kind == CCZ_AGG_F32 && !cfg.buffer_len;
    if (!l || ccz_fl_server_new(&s, &cfg, zeros, 0, NULL) != CCZ_OK ||
        ccz_fl_server_join(&id, s, "m", 0, NULL) != CCZ_OK)
        return;
    struct cczi_hfl_msg hello = {.kind = CCZI_HFL_HELLO, .hello = {.version = CCZI_HFL_VERSION}};
    memcpy(hello.hello.layout, l->digest, sizeof(hello.hello.layout));
    cczi_hfl_msg_put(&out, &hello);
    ccz_rc rc = ccz_fl_server_input(s, id, ccz_buf_span(&out), 0, NULL);
    while (rc == CCZ_OK && next(&msg, &r)) {
        for (int i = 0; i < OUT_MAX && ccz_fl_server_output(&out, s, id, now); i++)
            assert(!out.bad);
        rc = ccz_fl_server_input(s, id, msg, now, NULL);
        now += 3;
        (void)ccz_fl_server_tick(s, now);
    }
    for (size_t i = 0; i < LEN; i++) /* whatever came: the model stays one */
        assert(ccz_fl_server_params(s)[i] <= 1e6F && ccz_fl_server_params(s)[i] >= -1e6F);
}

static void client(struct ccz_rd r)
{
    CCZ_AUTO(ccz_fl_layout) l = small();
    CCZ_AUTO(ccz_fl_client) c = NULL;
    CCZ_AUTO_BUF out;
    struct ccz_span msg;
    enum ccz_fl_event event;
    ccz_buf_init(&out, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    const struct ccz_fl_client_cfg cfg = {.name = "c", .layout = l, .unsigned_insecure = true};
    if (!l || ccz_fl_client_new(&c, &cfg, NULL) != CCZ_OK ||
        ccz_fl_client_start(c, NULL) != CCZ_OK || !ccz_fl_client_output(&out, c))
        return;
    CCZ_AUTO_BUF layout;
    ccz_buf_init(&layout, CCZ_FL_LAYOUT_SIZE_MAX);
    ccz_fl_layout_encode(&layout, l);
    struct cczi_hfl_msg welcome = {.kind = CCZI_HFL_WELCOME,
                                   .welcome = {.layout = ccz_buf_span(&layout)}};
    ccz_buf_clear(&out);
    cczi_hfl_msg_put(&out, &welcome);
    ccz_rc rc = ccz_fl_client_input(&event, c, ccz_buf_span(&out), NULL);
    while (rc == CCZ_OK && next(&msg, &r)) {
        rc = ccz_fl_client_input(&event, c, msg, NULL);
        for (int i = 0; i < OUT_MAX && ccz_fl_client_output(&out, c); i++)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(data, size));
    uint8_t what = ccz_rd_u8(&r);
    if (what % 4 == 0)
        one_message(ccz_span_sub(CCZ_SPAN(data, size), 1, size ? size - 1 : 0));
    else if (what % 4 == 1)
        one_layout(ccz_span_sub(CCZ_SPAN(data, size), 1, size ? size - 1 : 0));
    else if (what % 4 == 2)
        server(r);
    else
        client(r);
    return 0;
}
