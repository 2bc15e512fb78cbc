/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FUZZ_H2_SCRIPT_H
#define CCZ_FUZZ_H2_SCRIPT_H
/*
 * What the two HTTP/2 targets share: a hostile peer that follows a script, and a reader of what the engine
 * answers. The script is a byte code, so that what libFuzzer changes stays frames: one byte says what comes,
 * its arguments follow, missing ones are 0.
 */
#include "rpc/h2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says which invariant does not hold. */
static void require_line(bool ok, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: broken\n", file, line);
    abort();
}
#define require(ok) require_line(ok, __FILE__, __LINE__)

/* ------------------------------------------------------------------------------------ the peer */

struct script {
    const uint8_t *p;
    size_t left;
    uint32_t newest;       /* stream that was opened last, 0 = none */
    uint64_t credit;       /* bytes of DATA that the engine may have sent; UINT64_MAX = who knows */
    struct ccz_buf wire;   /* frames for the engine */
    struct ccz_buf fields; /* a header block in the making */
};

static unsigned take8(struct script *s)
{
    if (s->left == 0)
        return 0;
    s->left--;
    return *s->p++;
}

static unsigned take16(struct script *s)
{
    unsigned high = take8(s);
    return high << 8 | take8(s);
}

static struct ccz_span take(struct script *s, size_t size)
{
    size = size < s->left ? size : s->left;
    struct ccz_span got = CCZ_SPAN(s->p, size);
    s->p += size;
    s->left -= size;
    return got;
}

static void put_head(struct script *s, size_t size, unsigned type, unsigned flags, uint32_t stream)
{
    ccz_buf_u8(&s->wire, (uint8_t)(size >> 16));
    ccz_buf_be16(&s->wire, (uint16_t)size);
    ccz_buf_u8(&s->wire, (uint8_t)type);
    ccz_buf_u8(&s->wire, (uint8_t)flags);
    ccz_buf_be32(&s->wire, stream);
}

/* 0 to 7: one of the streams before the newest; 0x40: even; 0x80: the connection. */
static uint32_t take_stream(struct script *s)
{
    unsigned b = take8(s);
    uint32_t back = 2 * (b & 7);
    uint32_t id = s->newest > back ? s->newest - back : 1;
    return b & 0x80 ? 0 : b & 0x40 ? id + 1 : id;
}

/* -------------------------------------------------------------------------------- header blocks */

static const struct known {
    const char *name, *value;
} knowns[] = {{":method", "POST"},
              {":scheme", "https"},
              {":path", "/plain"},
              {":authority", "a"},
              {"te", "trailers"},
              {"content-type", "application/grpc"},
              {":status", "200"},
              {"grpc-status", "0"},
              {":path", "/keep"},
              {":path", "/stop"},
              {":path", "/answer"},
              {":method", "GET"},
              {"content-type", "text/html"},
              {"content-type", "application/grpc+proto"},
              {"grpc-timeout", "1S"},
              {"grpc-timeout", "9x"},
              {"grpc-encoding", "gzip"},
              {"grpc-encoding", "identity"},
              {"grpc-encoding", "br"},
              {"grpc-accept-encoding", "identity,gzip"},
              {"x-a-bin", "AAEC,AwQ="},
              {"x-a-bin", "A*"},
              {"x-text", "v"},
              {":status", "103"},
              {":status", "503"},
              {":status", "999"},
              {"grpc-status", "14"},
              {"grpc-status", "x"},
              {"grpc-message", "a%20b%zz%"},
              {"grpc-status-details-bin", "CAUSAWE"},
              {"content-length", "5"},
              {"X-Upper", "v"}};
enum { KNOWN_LEN = sizeof(knowns) / sizeof(knowns[0]) };

static void put_hpack_text(struct ccz_buf *b, const void *text, size_t size)
{
    ccz_buf_u8(b, size < 127 ? (uint8_t)size : 127);
    if (size >= 127) {
        size_t rest = size - 127;
        for (; rest >= 128; rest >>= 7)
            ccz_buf_u8(b, (uint8_t)(0x80 | (rest & 0x7f)));
        ccz_buf_u8(b, (uint8_t)rest);
    }
    ccz_buf_put(b, text, size);
}

static void put_known(struct script *s, unsigned i, uint8_t form)
{
    ccz_buf_u8(&s->fields, form);
    put_hpack_text(&s->fields, knowns[i].name, strlen(knowns[i].name));
    put_hpack_text(&s->fields, knowns[i].value, strlen(knowns[i].value));
}

/* One field: a known one, in the table or not; one of a chosen size; a reference; raw HPACK. */
static void put_field(struct script *s)
{
    static const uint8_t filler[8192];
    static const char name[] = "x-long-binary";
    unsigned b = take8(s);
    if (b < 2 * KNOWN_LEN) {
        put_known(s, b % KNOWN_LEN, b < KNOWN_LEN ? 0 : 0x40);
    } else if (b < 0x80) {
        uint8_t value[8192];
        size_t size = take16(s) % sizeof(value);
        memset(value, 'a' + (int)(b & 7), size);
        ccz_buf_u8(&s->fields, b & 8 ? 0x40 : 0);
        put_hpack_text(&s->fields, &name[b & 3], b & 0x10 ? 13 - (b & 3) : 6);
        put_hpack_text(&s->fields, b & 0x20 ? filler : value, size);
    } else if (b < 0xc0) { /* the same reference many times */
        unsigned times = 1 + (b & 0x20 ? take16(s) : take8(s)) % 4096;
        for (unsigned i = 0; i < times; i++)
            ccz_buf_u8(&s->fields, (uint8_t)(0x80 | 62 | (b & 1)));
    } else {
        ccz_buf_put_span(&s->fields, take(s, b & 0x3f));
    }
}

/* s->fields in HEADERS and CONTINUATION frames. @p how: 1 END_STREAM, 2 END_HEADERS is left out, from 8 on the size of
 * the pieces. */
static void put_block(struct script *s, uint32_t stream, unsigned how)
{
    size_t piece = how >> 3 ? (size_t)(how >> 3) * (how >> 3) : 16384, at = 0;
    do {
        size_t n = s->fields.size - at < piece ? s->fields.size - at : piece;
        unsigned flags = at == 0 && (how & 1) ? NGHTTP2_FLAG_END_STREAM : 0;
        if (at + n == s->fields.size && !(how & 2))
            flags |= NGHTTP2_FLAG_END_HEADERS;
        put_head(s, n, at ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS, flags, stream);
        ccz_buf_put_span(&s->wire, ccz_span_sub(ccz_buf_span(&s->fields), at, n));
        at += n;
    } while (at < s->fields.size);
}

static void put_fields(struct script *s, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        put_field(s);
}

/* --------------------------------------------------------------------------- messages and others */

/* Bits of a deflate stream, least significant first. */
struct bits {
    struct ccz_buf *to;
    unsigned held, len;
};

static void put_bits(struct bits *b, unsigned value, unsigned len)
{
    b->held |= value << b->len;
    for (b->len += len; b->len >= 8; b->len -= 8, b->held >>= 8)
        ccz_buf_u8(b->to, (uint8_t)b->held);
}

static uint32_t crc_of_byte(uint32_t byte)
{
    static uint32_t table[256];
    for (uint32_t i = 1; table[255] == 0 && i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        table[i] = crc;
    }
    return table[byte];
}

/* A gzip member of 1 + 258 * @p times zero bytes (RFC 1951, fixed codes): about 160 times smaller than what it says.
 * @p spoil: 1 wrong checksum, 2 cut. */
static void put_gzip(struct ccz_buf *b, unsigned times, unsigned spoil)
{
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    uint32_t size = 1 + 258 * times, crc = UINT32_MAX;
    for (uint32_t i = 0; i < size; i++)
        crc = crc >> 8 ^ crc_of_byte(crc & 0xff);
    ccz_buf_put(b, head, sizeof(head));
    struct bits bits = {b, 0, 0};
    put_bits(&bits, 3, 3);    /* last block, fixed codes */
    put_bits(&bits, 0x0c, 8); /* the byte 0: code 00110000, its first bit first */
    for (unsigned i = 0; i < times; i++) {
        put_bits(&bits, 0xa3, 8); /* length 258: code 11000101 */
        put_bits(&bits, 0, 5);    /* distance 1 */
    }
    put_bits(&bits, 0, 7); /* end of block */
    put_bits(&bits, 0, 7);
    if (spoil & 2)
        return;
    ccz_buf_le32(b, ~crc ^ (spoil & 1));
    ccz_buf_le32(b, size);
}

/* A message behind its prefix. @p how: 1 gzip, 2 bad flag, 4 announces more than comes, 8 announces less, 16 no prefix. */
static void put_message(struct script *s, struct ccz_buf *b, unsigned how)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 20);
    if (how & 1) {
        unsigned times = take8(s);
        put_gzip(&body, times, how >> 5 & 3);
    } else {
        size_t size = how & 32 ? take16(s) : take8(s);
        uint8_t *p = size ? ccz_buf_extend(&body, size) : NULL;
        if (p)
            memset(p, 'm', size);
    }
    uint32_t said = (uint32_t)body.size;
    said = how & 4 ? said + (1u << (how >> 5 << 2)) : how & 8 && said ? said - 1 : said;
    if (!(how & 16)) {
        ccz_buf_u8(b, how & 2 ? 7 : how & 1);
        ccz_buf_be32(b, said);
    }
    ccz_buf_put_span(b, ccz_buf_span(&body));
}

static void put_data(struct script *s)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 22);
    unsigned b =
        take8(s); /* 1 END_STREAM, 2 padded, 4 cut in two frames, then the number of messages */
    uint32_t stream = take_stream(s);
    for (unsigned i = 0; i < (b >> 3 & 7); i++)
        put_message(s, &body, take8(s));
    size_t pad = b & 2 ? 7 : 0, first = b & 4 ? body.size / 2 : body.size;
    for (size_t at = 0; at < body.size || at == 0; at += first, first = body.size - at) {
        bool last = at + first >= body.size;
        put_head(s, first + (pad ? 1 + pad : 0), NGHTTP2_DATA,
                 (last ? b & 1 : 0) | (pad ? NGHTTP2_FLAG_PADDED : 0), stream);
        if (pad)
            ccz_buf_u8(&s->wire, (uint8_t)pad);
        ccz_buf_put_span(&s->wire, ccz_span_sub(ccz_buf_span(&body), at, first));
        ccz_buf_put(&s->wire, "\0\0\0\0\0\0\0", pad);
        if (body.size == 0 || last)
            break;
    }
}

static void put_settings(struct script *s)
{
    static const uint32_t values[] = {0,     1,     2,       100,      4096,      16384,
                                      65535, 65536, 1 << 18, 16777215, INT32_MAX, UINT32_MAX};
    enum { VALUES = sizeof(values) / sizeof(values[0]), ENTRY = 6 };
    unsigned b = take8(s), len = b & 0x3f;
    bool ack = b & 0x40;
    put_head(s, (size_t)len * ENTRY, NGHTTP2_SETTINGS, ack, b & 0x80 ? take_stream(s) : 0);
    for (unsigned i = 0; i < len; i++) {
        unsigned id = take8(s);
        ccz_buf_be16(&s->wire, (uint16_t)(id % 10));
        ccz_buf_be32(&s->wire, values[take8(s) % VALUES]);
    }
}

static void put_window(struct script *s)
{
    uint32_t stream = take_stream(s);
    unsigned b = take8(s);
    uint32_t by = b < 0x80 ? b : b < 0xf0 ? 1u << (b & 31) : INT32_MAX;
    put_head(s, 4, NGHTTP2_WINDOW_UPDATE, 0, stream);
    ccz_buf_be32(&s->wire, by);
    if (stream == 0 && s->credit != UINT64_MAX)
        s->credit += by & INT32_MAX;
}

static void put_any(struct script *s)
{
    unsigned type = take8(s), flags = take8(s);
    uint32_t stream = take_stream(s);
    struct ccz_span body = take(s, take8(s));
    if (type & 0x80) /* says another size than it has */
        put_head(s, body.size + (type & 0x7f) * 1024, flags & 15, flags, stream);
    else
        put_head(s, body.size, type, flags, stream);
    ccz_buf_put_span(&s->wire, body);
    s->credit = UINT64_MAX;
}

/* Control frames that are well formed, once or many times. */
static void put_control(struct script *s, unsigned type)
{
    unsigned b = take8(s), times = b & 0x80 ? 1 + take16(s) % 2048 : 1;
    uint32_t stream = type == NGHTTP2_PING || type == NGHTTP2_GOAWAY ? 0 : take_stream(s);
    for (unsigned i = 0; i < times; i++) {
        size_t size = type == NGHTTP2_RST_STREAM ? 4 : type == NGHTTP2_PRIORITY ? 5 : 8;
        put_head(s, size, type, type == NGHTTP2_PING ? b & 1 : 0, stream);
        if (size != 4)
            ccz_buf_be32(&s->wire,
                         b & 2 ? s->newest : 0); /* GOAWAY: last stream; PRIORITY: depends on */
        if (size == 5)
            ccz_buf_u8(&s->wire, (uint8_t)b);
        else
            ccz_buf_be32(&s->wire, b >> 2 & 15); /* error code */
        if (b & 0x40)
            stream += 2;
    }
}

static uint32_t open_stream(struct script *s)
{
    return s->newest += s->newest ? 2 : 1;
}

static void put_headers(struct script *s)
{
    unsigned b = take8(s); /* 0x80: a new stream; 0x40: many times, a new one each */
    unsigned times = b & 0x40 ? 1 + take16(s) % 8192 : 1;
    uint32_t stream = b & 0x80 ? open_stream(s) : take_stream(s);
    put_fields(s, b & 0x3f);
    unsigned how = take8(s);
    for (unsigned i = 1; i < times && s->wire.size < (1 << 20); i++) {
        put_block(s, stream, how);
        stream = open_stream(s);
    }
    put_block(s, stream, how);
    ccz_buf_clear(&s->fields);
}

/* @param what 0 to 8 */
static void put_frame(struct script *s, unsigned what, unsigned b)
{
    switch (what) {
    case 0:
        put_headers(s);
        break;
    case 1:
        put_data(s);
        break;
    case 2:
        put_settings(s);
        break;
    case 3:
        put_window(s);
        break;
    case 4:
        put_control(s, NGHTTP2_RST_STREAM);
        break;
    case 5:
        put_control(s, NGHTTP2_PING);
        break;
    case 6:
        put_control(s, b & 0x80 ? NGHTTP2_GOAWAY : NGHTTP2_PRIORITY);
        break;
    case 7:
        put_any(s);
        break;
    default:
        ccz_buf_put_span(&s->wire, take(s, take8(s)));
        s->credit = UINT64_MAX;
        break;
    }
}

/* ------------------------------------------------------------------ what the engine answers */

/* Frames in order, their streams and header blocks; and of each stream whole messages before its end. */
enum { SENT_STREAMS = 64, FRAME_HEAD = 9, FRAME_LARGEST = 1 << 18 };
struct answer {
    nghttp2_hd_inflater *inflater;
    bool client;   /* read the engine's side of a client */
    bool preface;  /* was taken off */
    bool settled;  /* SETTINGS came first */
    uint32_t open; /* stream whose header block goes on */
    uint64_t data; /* bytes of DATA */
    struct sent {
        uint32_t id;
        bool ended, plain; /* plain: an answer that is not gRPC */
        uint8_t prefix[CCZI_PREFIX_SIZE];
        size_t prefix_size, missing;
    } sent[SENT_STREAMS]; /* by id; of two that share a place, the second is not followed */
    struct ccz_buf bytes;
};

static struct sent *sent_of(struct answer *a, uint32_t id)
{
    struct sent *st = &a->sent[id / 2 % SENT_STREAMS];
    if (st->id == 0 || (st->ended && st->id < id))
        *st = (struct sent){.id = id};
    return st->id == id ? st : NULL;
}

static void read_block(struct answer *a, struct sent *st, struct ccz_span in, bool last)
{
    while (in.size || last) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(a->inflater, &nv, &flags, in.ptr, in.size, last);
        require(n >= 0);
        in = CCZ_SPAN(in.ptr + n, in.size - (size_t)n);
        if (st && (flags & NGHTTP2_HD_INFLATE_EMIT) && nv.namelen == 7 && nv.valuelen == 3 &&
            memcmp(nv.name, ":status", 7) == 0)
            st->plain = memcmp(nv.value, "200", 3) != 0;
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            require(in.size == 0);
            nghttp2_hd_inflate_end_headers(a->inflater);
            return;
        }
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && in.size == 0)
            return;
    }
}

static void read_messages(struct sent *st, struct ccz_span in)
{
    while (in.size) {
        size_t n;
        if (st->prefix_size < CCZI_PREFIX_SIZE) {
            n = 1;
            st->prefix[st->prefix_size++] = in.ptr[0];
            struct ccz_rd r = ccz_rd_from(CCZ_SPAN(st->prefix + 1, 4));
            if (st->prefix_size == CCZI_PREFIX_SIZE)
                st->missing = ccz_rd_be32(&r);
            require(st->prefix[0] <= 1);
        } else {
            n = st->missing < in.size ? st->missing : in.size;
            st->missing -= n;
        }
        in = CCZ_SPAN(in.ptr + n, in.size - n);
        if (st->prefix_size == CCZI_PREFIX_SIZE && st->missing == 0)
            st->prefix_size = 0;
    }
}

static void read_frame(struct answer *a, unsigned type, unsigned flags, uint32_t id,
                       struct ccz_span body)
{
    require(a->settled || type == NGHTTP2_SETTINGS);
    a->settled = true;
    require((a->open != 0) == (type == NGHTTP2_CONTINUATION));
    require(type <= NGHTTP2_CONTINUATION && type != NGHTTP2_PUSH_PROMISE);
    if (type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION) {
        require(id && (a->open == 0 || a->open == id) && !(flags & NGHTTP2_FLAG_PADDED));
        read_block(a, sent_of(a, id), body, flags & NGHTTP2_FLAG_END_HEADERS);
        a->open = flags & NGHTTP2_FLAG_END_HEADERS ? 0 : id;
    }
    if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA && type != NGHTTP2_RST_STREAM)
        return;
    require(id % 2 == 1 || type == NGHTTP2_RST_STREAM);
    a->data += type == NGHTTP2_DATA ? body.size : 0;
    struct sent *st = sent_of(a, id);
    if (!st)
        return;
    require(!st->ended || type == NGHTTP2_RST_STREAM);
    if (type == NGHTTP2_DATA && !st->plain)
        read_messages(st, body);
    if (type == NGHTTP2_RST_STREAM) {
        st->ended = true;
    } else if (flags & NGHTTP2_FLAG_END_STREAM) {
        require(st->prefix_size == 0); /* no message is cut */
        st->ended = true;
    }
}

static void read_answer(struct answer *a, struct ccz_span in)
{
    ccz_buf_put_span(&a->bytes, in);
    require(!a->bytes.bad);
    if (a->client && !a->preface) {
        if (a->bytes.size < NGHTTP2_CLIENT_MAGIC_LEN)
            return;
        require(memcmp(a->bytes.ptr, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN) == 0);
        ccz_buf_consume(&a->bytes, NGHTTP2_CLIENT_MAGIC_LEN);
        a->preface = true;
    }
    while (a->bytes.size >= FRAME_HEAD) {
        const uint8_t *p = a->bytes.ptr;
        size_t size = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        uint32_t id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
        require(size <= FRAME_LARGEST);
        if (a->bytes.size < FRAME_HEAD + size)
            return;
        read_frame(a, p[3], p[4], id, CCZ_SPAN(p + FRAME_HEAD, size));
        ccz_buf_consume(&a->bytes, FRAME_HEAD + size);
    }
}

static void answer_init(struct answer *a, bool client)
{
    *a = (struct answer){.client = client};
    ccz_buf_init(&a->bytes, 1 << 26);
    require(nghttp2_hd_inflate_new(&a->inflater) == 0);
}

static void answer_deinit(struct answer *a)
{
    nghttp2_hd_inflate_del(a->inflater);
    ccz_buf_free(&a->bytes);
}

static void script_init(struct script *s, struct ccz_span in)
{
    *s = (struct script){.p = in.ptr, .left = in.size, .credit = 65535};
    ccz_buf_init(&s->wire, 1 << 26);
    ccz_buf_init(&s->fields, 1 << 22);
}

static void script_deinit(struct script *s)
{
    ccz_buf_free(&s->wire);
    ccz_buf_free(&s->fields);
}

/* ------------------------------------------------------------------------------------- memory */

/* With AddressSanitizer: bytes that the process has allocated. */
__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}
#endif
