/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RAW_CLIENT_H
#define CCZ_RAW_CLIENT_H
/* A client that speaks RA-TLS as it should and sends what a test wants behind it. */
#include "rpc_fixture.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>

/* Bytes that the process has allocated. */
__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

static inline size_t memory(void)
{
    struct mallinfo2 m = mallinfo2();
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                   : m.uordblks + m.hblkhd;
}

/* A client of raw bytes: RA-TLS over a blocking socket. */
struct raw {
    int fd;
    struct ccz_ratls *ratls;
};

static inline void raw_flush(struct raw *r)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 24);
    CHECK(ccz_ratls_drain(&wire, r->ratls) == CCZ_OK);
    for (size_t at = 0; at < wire.size;) {
        ssize_t n = send(r->fd, wire.ptr + at, wire.size - at, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server has closed: what it did is judged elsewhere */
        at += (size_t)n;
    }
}

/* One read from the socket into the engine. @return false at the end of the stream */
static inline bool raw_fill(struct raw *r)
{
    static uint8_t bytes[65536];
    ssize_t n = recv(r->fd, bytes, sizeof(bytes), 0);
    return n > 0 && ccz_ratls_feed(r->ratls, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK;
}

static inline void raw_open(struct raw *r, struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(ccz_rpc_server_port(f->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(r->fd >= 0 && connect(r->fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    CHECK(ccz_ratls_new(&r->ratls, f->client_ctx) == CCZ_OK);
    for (;;) {
        struct ccz_err err = {0};
        CHECK(ccz_ratls_step(r->ratls, &err) == CCZ_OK);
        raw_flush(r);
        if (ccz_ratls_ready(r->ratls))
            return;
        CHECK(raw_fill(r));
    }
}

static inline void raw_close(struct raw *r)
{
    ccz_ratls_free(r->ratls);
    close(r->fd);
}

static const char preface[] = NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0"; /* and empty SETTINGS */
enum { PREFACE_SIZE = sizeof(preface) - 1 };

static inline void raw_write(struct raw *r, const void *bytes, size_t size)
{
    CHECK(ccz_ratls_write(r->ratls, CCZ_SPAN(bytes, size), NULL) == CCZ_OK);
}

/* HPACK literal without indexing, short strings. */
static inline void put_header(struct ccz_buf *b, const char *key, const char *value)
{
    ccz_buf_u8(b, 0);
    ccz_buf_u8(b, (uint8_t)strlen(key));
    ccz_buf_put_str(b, key);
    ccz_buf_u8(b, (uint8_t)strlen(value));
    ccz_buf_put_str(b, value);
}

static inline void put_frame(struct ccz_buf *b, uint8_t type, uint8_t flags, uint32_t stream,
                             struct ccz_span body)
{
    ccz_buf_u8(b, (uint8_t)(body.size >> 16));
    ccz_buf_be16(b, (uint16_t)body.size);
    ccz_buf_u8(b, type);
    ccz_buf_u8(b, flags);
    ccz_buf_be32(b, stream);
    ccz_buf_put_span(b, body);
}

/* A request without its messages. @param timeout NULL = none */
static inline void put_request_on(struct ccz_buf *b, uint32_t stream, uint8_t flags,
                                  const char *path, const char *timeout)
{
    CCZ_AUTO_BUF headers;
    ccz_buf_init(&headers, 1024);
    put_header(&headers, ":method", "POST");
    put_header(&headers, ":scheme", "https");
    put_header(&headers, ":path", path);
    put_header(&headers, ":authority", "t");
    put_header(&headers, "te", "trailers");
    put_header(&headers, "content-type", "application/grpc");
    if (timeout)
        put_header(&headers, "grpc-timeout", timeout);
    put_frame(b, NGHTTP2_HEADERS, flags, stream, ccz_buf_span(&headers));
}

static inline void put_request(struct ccz_buf *b, const char *path, const char *timeout)
{
    put_request_on(b, 1, NGHTTP2_FLAG_END_HEADERS, path, timeout);
}
#endif
