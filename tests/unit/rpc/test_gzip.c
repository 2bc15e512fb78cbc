/* SPDX-License-Identifier: Apache-2.0 */
/* Compression of single messages: by itself, through the framer, and through the engine. */
#define _DEFAULT_SOURCE
#include "rpc/h2.h"

#include "ccz_test.h"

/* RFC 1950 form of a hundred times 'a', as a stock peer writes it. */
static const uint8_t deflated[] = {0x78, 0x9c, 0x4b, 0x4c, 0xa4, 0x3d,
                                   0x00, 0x00, 0x7a, 0x47, 0x25, 0xe5};

static void text_of(struct ccz_buf *b, size_t size)
{
    ccz_buf_init(b, (size_t)1 << 27);
    while (b->size < size)
        ccz_buf_printf(b, "line %zu of a text that repeats itself\n", b->size % 9973);
    b->size = size;
}

static struct ccz_span packed(const struct cczi_out *o)
{
    return CCZ_SPAN(o->bytes + CCZI_PREFIX_SIZE, o->size - CCZI_PREFIX_SIZE);
}

static void test_encodings(void)
{
    CHECK(cczi_encoding_of(ccz_span_str("identity")) == CCZI_IDENTITY);
    CHECK(cczi_encoding_of(ccz_span_str("gzip")) == CCZI_GZIP);
    CHECK(cczi_encoding_of(ccz_span_str("deflate")) == CCZI_DEFLATE);
    static const char *const unknown[] = {"", "GZIP", "gzip ", "gzi", "gzipp", "snappy"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        CHECK(cczi_encoding_of(ccz_span_str(unknown[i])) == CCZI_ENCODING_UNKNOWN);
    static const char *const with[] = {"gzip", "identity,deflate,gzip", "identity, gzip ",
                                       "\tgzip\t,x", ",,gzip"};
    static const char *const without[] = {"",      ",",     "identity", "gzipp",
                                          "xgzip", "gz ip", "deflate"};
    for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
        CHECK(cczi_encoding_listed(ccz_span_str(with[i]), CCZI_GZIP));
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        CHECK(!cczi_encoding_listed(ccz_span_str(without[i]), CCZI_GZIP));
}

static void test_round(void)
{
    static const size_t sizes[] = {64, 65, 511, 512, 513, 4096, 65535, 65536, 65537, 1000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CCZ_AUTO_BUF text;
        CCZ_AUTO_BUF out;
        text_of(&text, sizes[i]);
        ccz_buf_init(&out, sizes[i] + 1);
        struct cczi_out *o = cczi_out_gzip(ccz_buf_span(&text));
        CHECK(o || sizes[i] < 128);
        if (!o)
            continue;
        CHECK(o->bytes[0] == 1 && o->size < CCZI_PREFIX_SIZE + text.size);
        CHECK(cczi_decompress(&out, packed(o), CCZI_GZIP, sizes[i]) == CCZI_FRAME_MESSAGE);
        CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_buf_span(&text)));
        cczi_out_free(o);
    }
    CHECK(!cczi_out_gzip(ccz_span_str(""))); /* identity is the answer to what does not shrink */
    CHECK(!cczi_out_gzip(ccz_span_str("short")));
    static uint8_t noise[5000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    CHECK(!cczi_out_gzip(CCZ_SPAN(noise, sizeof(noise))));
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    CHECK(cczi_decompress(&out, CCZ_SPAN(deflated, sizeof(deflated)), CCZI_DEFLATE, 999) ==
          CCZI_FRAME_MESSAGE);
    CHECK(out.size == 100 && out.ptr[0] == 'a' && out.ptr[99] == 'a');
}

/* 64 MiB of zeros in 64 KB: never more memory than the limit and one step of growth. */
static void test_bomb(void)
{
    size_t size = (size_t)64 << 20;
    uint8_t *zeros = calloc(1, size);
    CHECK(zeros);
    struct cczi_out *o = cczi_out_gzip(CCZ_SPAN(zeros, size));
    CHECK(o && o->size < size / 200);
    static const size_t limits[] = {0, 1, 1000, 65535, 65536, 1000000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, limits[i] + 1);
        CHECK(cczi_decompress(&out, packed(o), CCZI_GZIP, limits[i]) == CCZI_FRAME_TOO_LARGE);
        CHECK(out.size <= limits[i] + 1 && out.cap <= 2 * limits[i] + 4096);
    }
    CCZ_AUTO_BUF out; /* the limit itself passes, one byte less does not */
    ccz_buf_init(&out, size + 1);
    CHECK(cczi_decompress(&out, packed(o), CCZI_GZIP, size - 1) == CCZI_FRAME_TOO_LARGE);
    CHECK(cczi_decompress(&out, packed(o), CCZI_GZIP, size) == CCZI_FRAME_MESSAGE);
    cczi_out_free(o);
    free(zeros);
}

static void test_malformed(void)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF out;
    text_of(&text, 3000);
    ccz_buf_init(&out, 10001);
    struct cczi_out *o = cczi_out_gzip(ccz_buf_span(&text));
    CHECK(o);
    struct ccz_span good = packed(o);
    for (size_t size = 0; size < good.size; size++) { /* cut at each byte */
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, good.ptr, size);
        CHECK(cczi_decompress(&out, CCZ_SPAN(copy, size), CCZI_GZIP, 10000) ==
              CCZI_FRAME_BAD_COMPRESSION);
        free(copy);
    }
    uint8_t *more = malloc(good.size + 1);
    memcpy(more, good.ptr, good.size);
    more[good.size] = 0x1f; /* a byte behind the end */
    CHECK(cczi_decompress(&out, CCZ_SPAN(more, good.size + 1), CCZI_GZIP, 10000) ==
          CCZI_FRAME_BAD_COMPRESSION);
    for (size_t i = 1; i <= 8; i++) { /* checksum and size */
        more[good.size - i] ^= 1;
        CHECK(cczi_decompress(&out, CCZ_SPAN(more, good.size), CCZI_GZIP, 10000) ==
              CCZI_FRAME_BAD_COMPRESSION);
        more[good.size - i] ^= 1;
    }
    /* each format is refused under the other's name */
    CHECK(cczi_decompress(&out, good, CCZI_DEFLATE, 10000) == CCZI_FRAME_BAD_COMPRESSION);
    CHECK(cczi_decompress(&out, CCZ_SPAN(deflated, sizeof(deflated)), CCZI_GZIP, 10000) ==
          CCZI_FRAME_BAD_COMPRESSION);
    CHECK(cczi_decompress(&out, good, CCZI_GZIP, 10000) == CCZI_FRAME_MESSAGE && out.size == 3000);
    free(more);
    cczi_out_free(o);
}

/* Compressed and plain messages in turn, in pieces of every size, kept and borrowed. */
static void test_framer(void)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF wire;
    text_of(&text, 700);
    ccz_buf_init(&wire, 1 << 16);
    for (int i = 0; i < 3; i++) {
        struct cczi_out *o =
            i == 1 ? cczi_out_new(ccz_buf_span(&text), NULL) : cczi_out_gzip(ccz_buf_span(&text));
        CHECK(o);
        ccz_buf_put(&wire, o->bytes, o->size);
        cczi_out_free(o);
    }
    for (size_t step = 1; step <= wire.size; step += 1 + step / 8) {
        for (int keep = 0; keep < 2; keep++) {
            struct cczi_framer f;
            int got = 0;
            cczi_framer_init(&f, 700);
            f.keep = keep;
            f.encoding = CCZI_GZIP;
            for (size_t from = 0; from < wire.size; from += step) {
                struct ccz_span msg,
                    chunk = {wire.ptr + from, wire.size - from < step ? wire.size - from : step};
                while (cczi_framer_next(&msg, &f, &chunk) == CCZI_FRAME_MESSAGE) {
                    CHECK(ccz_span_eq(msg, ccz_buf_span(&text)) && f.compressed == (got != 1));
                    got++;
                }
                CHECK(cczi_framer_held(&f) <= 701);
            }
            CHECK(got == 3 && cczi_framer_idle(&f));
            cczi_framer_release(&f);
            CHECK(cczi_framer_held(&f) == 0);
            cczi_framer_free(&f);
        }
    }
    struct cczi_framer f; /* the limit is one of what comes out */
    struct ccz_span msg, chunk = ccz_buf_span(&wire);
    cczi_framer_init(&f, 699);
    f.encoding = CCZI_GZIP;
    CHECK(cczi_framer_next(&msg, &f, &chunk) == CCZI_FRAME_TOO_LARGE);
    cczi_framer_free(&f);
    chunk = ccz_buf_span(&wire);
    cczi_framer_init(&f, 700); /* and without an encoding there is nothing to be compressed */
    CHECK(cczi_framer_next(&msg, &f, &chunk) == CCZI_FRAME_COMPRESSED);
    cczi_framer_free(&f);
}

/* ---------------------------------------------------------------------------- two engines */

struct end {
    struct cczi_h2 *h;
    struct cczi_stream *last;
    bool answer_gzip, bomb;
    unsigned closes, compressed;
    size_t bytes;
    enum ccz_rpc_code code;
    char message[CCZI_MESSAGE_SIZE];
};

static struct cczi_stream *stream_new(void *arg)
{
    struct end *e = arg;
    e->last = malloc(sizeof(*e->last));
    CHECK(e->last);
    cczi_stream_init(e->last, e->h->cfg.message_size_max);
    return e->last;
}

static void on_request(void *arg, struct cczi_stream *st)
{
    const struct end *e = arg;
    CHECK(st->takes_gzip); /* our clients say so without being asked */
    cczi_stream_set_gzip(st, e->answer_gzip);
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    struct end *e = arg;
    e->bytes += msg.size;
    e->compressed += st->framer.compressed;
    if (e->h->cfg.server)
        cczi_stream_send(st, cczi_stream_out(st, msg, false));
}

static void on_half_close(void *arg, struct cczi_stream *st)
{
    (void)arg;
    cczi_stream_set_gzip(st, true); /* too late to be announced */
    cczi_stream_send(st, cczi_stream_out(st,
                                         ccz_span_str("enough of this, of this, of this, of "
                                                      "this, of this, of this, of this"),
                                         false));
    cczi_stream_finish(st, CCZ_RPC_OK, NULL);
}

static void on_close(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->closes++;
    e->code = st->code;
    memcpy(e->message, st->message, sizeof(e->message));
    cczi_stream_deinit(st);
    free(st);
}

static void nothing(void *arg, struct cczi_stream *st)
{
    (void)arg, (void)st;
}

static const struct cczi_h2_ops ops = {.stream_new = stream_new,
                                       .on_request = on_request,
                                       .on_response = nothing,
                                       .on_message = on_message,
                                       .on_half_close = on_half_close,
                                       .on_drained = nothing,
                                       .on_close = on_close};

static bool move(struct end *to, struct end *from)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 26);
    CHECK(cczi_h2_pull(&wire, from->h, 1 << 20, NULL) == CCZ_OK);
    CHECK(cczi_h2_feed(to->h, ccz_buf_span(&wire), NULL) == CCZ_OK);
    return wire.size > 0;
}

static void exchange(struct end *c, struct end *s, struct cczi_out *msg, bool gzip)
{
    static struct cczi_md none;
    struct cczi_request rq = {
        .authority = "t", .path = "/a/B", .timeout_ms = 1000, .metadata = &none};
    for (int i = 0; i < 2; i++) {
        struct end *e = i ? s : c;
        struct cczi_h2_cfg cfg = {
            .server = i == 1, .ops = &ops, .arg = e, .message_size_max = 10000, .streams_max = 8};
        CHECK(cczi_h2_new(&e->h, &cfg) == CCZ_OK);
    }
    struct cczi_stream *st = stream_new(c);
    cczi_stream_set_gzip(st, gzip);
    CHECK(cczi_h2_request(c->h, st, &rq, NULL) == CCZ_OK);
    cczi_stream_send(st, msg);
    cczi_stream_half_close(st);
    for (bool more = true; more;) {
        more = move(s, c);
        more |= move(c, s);
    }
    CHECK(c->closes == 1 && cczi_h2_buffered(c->h) == 0 && cczi_h2_buffered(s->h) == 0);
    cczi_h2_free(c->h);
    cczi_h2_free(s->h);
}

static void test_h2(void)
{
    CCZ_AUTO_BUF text;
    text_of(&text, 10000);
    struct ccz_span all = ccz_buf_span(&text);
    struct end c = {0}, s = {.answer_gzip = true};
    exchange(&c, &s, cczi_out_gzip(all), true);
    CHECK(c.code == CCZ_RPC_OK && s.bytes == 10000 && s.compressed == 1 && c.compressed == 2);
    c = (struct end){0}, s = (struct end){0}; /* nobody asked: nothing is compressed */
    exchange(&c, &s, cczi_out_new(all, NULL), false);
    CHECK(c.code == CCZ_RPC_OK && s.compressed == 0 && c.compressed == 0 && c.bytes > 10000);
    c = (struct end){0}, s = (struct end){0}; /* compressed, but not announced */
    exchange(&c, &s, cczi_out_gzip(all), false);
    CHECK(c.code == CCZ_RPC_INTERNAL && s.bytes == 0);
    uint8_t *zeros = calloc(1, 1000000);
    CHECK(zeros);
    c = (struct end){0}, s = (struct end){0}; /* a bomb ends its call */
    exchange(&c, &s, cczi_out_gzip(CCZ_SPAN(zeros, 1000000)), true);
    CHECK(c.code == CCZ_RPC_RESOURCE_EXHAUSTED && s.bytes == 0);
    free(zeros);
    struct cczi_out *bad = cczi_out_gzip(all);
    CHECK(bad);
    bad->bytes[bad->size - 1] ^= 1;
    c = (struct end){0}, s = (struct end){0};
    exchange(&c, &s, bad, true);
    CHECK(c.code == CCZ_RPC_INTERNAL && s.bytes == 0 && strstr(c.message, "malformed"));
}

static const struct ccz_test tests[] = {
    {"rpc.gzip_encodings", test_encodings}, {"rpc.gzip_round", test_round},
    {"rpc.gzip_bomb", test_bomb},           {"rpc.gzip_malformed", test_malformed},
    {"rpc.gzip_framer", test_framer},       {"rpc.gzip_h2", test_h2},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
