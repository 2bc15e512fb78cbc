/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FAKE_SITE_H
#define CCZ_FAKE_SITE_H
/*
 * A web site on loopback with a thread of its own: plain HTTP or HTTPS on ccz_http_server, its answers made
 * by a function; or a "raw" one that sends given bytes and hangs up, for answers that no honest server gives.
 */
#include <cczoo/net.h>
#include <cczoo/tls.h>

#include <pthread.h>
#include <stdatomic.h>

enum { FAKE_HEADERS = 4 };

/* What a site answers. Set by the function, zeroed before: status 0 = 200. */
struct fake_answer {
    unsigned status;
    struct ccz_span body; /* borrowed until the next request */
    struct ccz_http_field headers[FAKE_HEADERS];
    size_t headers_len;
    int64_t delay_ms; /* -1 = never */
};
/* Runs on the site's thread. */
typedef void fake_fn(void *arg, struct fake_answer *out, const struct ccz_http_req *req);

struct fake_site {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    struct ccz_tls_ctx *tls;
    struct ccz_key *key;
    struct ccz_buf cert; /* DER of an HTTPS site */
    pthread_t thread;
    fake_fn *fn;
    void *arg;
    int raw_fd;
    const char *raw;
    bool raw_reset;
    uint16_t port;
    atomic_int requests;
};

void fake_open(struct fake_site *f, fake_fn *fn, void *arg);
/* With a certificate for localhost and 127.0.0.1, self-signed; written as PEM to @p pem_file. */
void fake_open_tls(struct fake_site *f, fake_fn *fn, void *arg, const char *pem_file);
/* Every connection gets @p bytes and is then closed, or reset. */
void fake_open_raw(struct fake_site *f, const char *bytes, bool reset);
void fake_close(struct fake_site *f);
/* "http://127.0.0.1:port<path>", in one of some static buffers. */
const char *fake_url(const struct fake_site *f, const char *path);

#endif
