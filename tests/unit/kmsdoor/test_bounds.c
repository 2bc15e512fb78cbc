/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers can make a door hold or do, and what is left of what they sent. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"

#include <event2/event.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <semaphore.h>

/* --------------------------------------------------------------------------------- clients */

/* From @p address of this machine (NULL = any). */
static CURL *client_from(const char *url, const char *address)
{
    CURL *c = curl_easy_init();
    CHECK(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_INTERFACE, address);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 20000L);
    return c;
}

/* A TLS connection of its own, on which each send_record() is one record. */
static CURL *dial_tls(const struct kit *k, const char *address)
{
    CURL *c = client_from(k->base, address);
    curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    if (curl_easy_perform(c) == CURLE_OK)
        return c;
    curl_easy_cleanup(c);
    return NULL;
}

/* @return false: the connection has ended */
static bool send_record(CURL *c, const void *data, size_t size)
{
    size_t n = 0;
    CURLcode rc;
    while ((rc = curl_easy_send(c, data, size, &n)) == CURLE_AGAIN)
        usleep(1000);
    CHECK(rc != CURLE_OK || n == size);
    return rc == CURLE_OK;
}

static bool send_text(CURL *c, const char *text)
{
    return send_record(c, text, strlen(text));
}

/* Reads one whole answer. @return its status is 200; false also if the connection has ended */
static bool answered(CURL *c)
{
    static const char length[] = "\r\nContent-Length: ";
    char text[4096] = "";
    size_t size = 0, n = 0;
    for (;;) {
        const char *end = strstr(text, "\r\n\r\n"), *says = strstr(text, length);
        if (end && says &&
            size == (size_t)(end + 4 - text) + strtoul(says + sizeof(length) - 1, NULL, 10))
            return strncmp(text, "HTTP/1.1 200 ", 13) == 0;
        CURLcode rc = curl_easy_recv(c, text + size, sizeof(text) - 1 - size, &n);
        if (rc == CURLE_AGAIN)
            usleep(1000);
        else if (rc != CURLE_OK || n == 0)
            return false;
        size += rc == CURLE_OK ? n : 0;
        text[size] = 0;
    }
}

static uint64_t refused(struct kit *k, enum cczi_door_refusal why)
{
    return atomic_load(&k->door->refused[why]);
}

static void wait_refused(struct kit *k, enum cczi_door_refusal why, uint64_t times)
{
    while (refused(k, why) < times) /* else the test's own limit of time ends it */
        usleep(1000);
    CHECK(refused(k, why) == times);
}

/* ---------------------------------------------------------------------------------- routes */

static sem_t goes_on;

static void wait_for_it(void *arg)
{
    (void)arg;
    CHECK(sem_wait(&goes_on) == 0);
}

static void say_ok(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    cczi_door_reply_json(r, 200, ccz_span_str("{}"));
}

static void on_wait(struct cczi_door_req *r, void *arg)
{
    struct ccz_err err;
    CHECK(cczi_door_work(r, wait_for_it, say_ok, arg, &err) == CCZ_OK);
}

enum { LARGE = 16 << 20 };

static void on_large(struct cczi_door_req *r, void *arg)
{
    static const uint8_t zeros[LARGE];
    (void)arg;
    cczi_door_reply_json(r, 200, CCZ_SPAN(zeros, sizeof(zeros)));
}

static void on_admin_only(struct cczi_door_req *r, void *arg)
{
    cczi_door_admin(r, say_ok, arg);
}

static void add_routes(struct ccz_kms_door *d)
{
    static const struct cczi_door_route routes[] = {
        {.name = "any",
         .methods = "POST",
         .path = "/any",
         .body_size_max = CCZI_DOOR_BODY_ANY,
         .fn = say_ok},
        {.name = "wait", .methods = "GET", .path = "/wait", .fn = on_wait},
        {.name = "large", .methods = "GET", .path = "/large", .fn = on_large},
        {.name = "admin",
         .methods = "POST",
         .path = "/admin",
         .flags = CCZI_DOOR_OWN_AUTH,
         .body_size_max = CCZI_DOOR_BODY_ANY,
         .fn = on_admin_only},
    };
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
        CHECK(cczi_door_route(d, &routes[i], &err) == CCZ_OK);
}

/* ---------------------------------------------------------------------------------- memory */

static const char chunked[] = "POST /any HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/* A byte in a chunk and a record of its own takes a chain of libevent: it is counted as that. */
static void test_chunks(void)
{
    struct kit k;
    kit_open(&k, &(struct kit_opts){.add = add_routes, .limits = {.kept_size_max = 8 << 20}});
    CURL *c = dial_tls(&k, NULL);
    CHECK(c && send_text(c, chunked) && send_text(c, "1\r\na"));
    for (int i = 0; i < 2000 && refused(&k, CCZI_REFUSED_BYTES) == 0; i++)
        if (!send_text(c, "\r\n1\r\na"))
            break;
    wait_refused(&k, CCZI_REFUSED_BYTES, 1);
    curl_easy_cleanup(c);
    kit_close(&k);
}

/* The largest body as honest clients send it: in records of 1,400 bytes (Go), and in chunks of 4 KiB that end with their record. */
static void test_records(void)
{
    enum { RECORD = 1400, CHUNK = 4096, BODY = CCZ_KMS_DOOR_BODY_SIZE_MAX };
    static char part[CHUNK + 64];
    struct kit k;
    char head[128];
    kit_open(&k, &(struct kit_opts){.add = add_routes});
    CURL *c = dial_tls(&k, NULL);
    CHECK(c);
    (void)snprintf(head, sizeof(head),
                   "POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", (int)BODY);
    CHECK(send_text(c, head));
    memset(part, 'x', sizeof(part));
    for (size_t sent = 0; sent < BODY; sent += RECORD)
        CHECK(send_record(c, part, BODY - sent < RECORD ? BODY - sent : RECORD));
    CHECK(answered(c));
    CHECK(send_text(c, chunked)); /* the same connection: what was held is given back */
    memcpy(part, "1000\r\n", 6);
    memcpy(part + 6 + CHUNK, "\r\n", 2);
    for (size_t sent = 0; sent < BODY; sent += CHUNK)
        CHECK(send_record(c, part, RECORD) && send_record(c, part + RECORD, RECORD) &&
              send_record(c, part + 2 * RECORD, 6 + CHUNK + 2 - 2 * RECORD));
    CHECK(send_text(c, "0\r\n\r\n") && answered(c));
    CHECK(refused(&k, CCZI_REFUSED_BYTES) == 0);
    curl_easy_cleanup(c);
    kit_close(&k);
}

/* An answer that nobody takes is held, too: of one address the one that has been so for longest goes, and the last never. */
static void test_answers(void)
{
    enum { CLIENTS = 4 };
    struct kit k;
    CURL *c[CLIENTS];
    kit_open(&k, &(struct kit_opts){.add = add_routes, .limits = {.kept_size_max = 8 << 20}});
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = dial_tls(&k, NULL);
        CHECK(c[i] && send_text(c[i], "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
        wait_refused(&k, CCZI_REFUSED_BYTES, (uint64_t)i);
        while (atomic_load(&k.door->count[k.door->routes_len - 2].by_class[2]) <= (uint64_t)i)
            usleep(1000);
    }
    static char text[65536];
    size_t got = 0, n = 0;
    while (got < LARGE) { /* alone it may be larger than what there is for all */
        CURLcode rc = curl_easy_recv(c[CLIENTS - 1], text, sizeof(text), &n);
        CHECK(rc == CURLE_OK ? n > 0 : rc == CURLE_AGAIN);
        got += rc == CURLE_OK ? n : 0;
    }
    for (int i = 0; i < CLIENTS; i++)
        curl_easy_cleanup(c[i]);
    kit_close(&k);
}

/* Of each line a header becomes, however short it is. */
static void test_lines(void)
{
    enum { LINES = 10000 };
    struct kit k;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4 * LINES);
    for (int i = 0; i < LINES; i++)
        ccz_buf_put_str(&text, ":\r\n");
    CHECK(!text.bad);
    kit_open(&k, &(struct kit_opts){.add = add_routes, .limits = {.kept_size_max = 4 << 20}});
    CURL *c = dial_tls(&k, NULL);
    CHECK(c && send_text(c, "GET /any HTTP/1.1\r\nHost: x\r\n"));
    (void)send_record(c, text.ptr, text.size);
    wait_refused(&k, CCZI_REFUSED_BYTES, 1);
    curl_easy_cleanup(c);
    kit_close(&k);
}

/* Reads one answer with a body of three bytes, as /healthz gives. */
static bool is_healthy(SSL *ssl)
{
    char text[512] = "";
    size_t size = 0, n = 0;
    const char *end = NULL;
    while ((!end || text + size < end + 4 + 3) &&
           SSL_read_ex(ssl, text + size, sizeof(text) - 1 - size, &n) == 1) {
        size += n;
        text[size] = 0;
        end = strstr(text, "\r\n\r\n");
    }
    return strncmp(text, "HTTP/1.1 200 ", 13) == 0 && end && strlen(end) == 4 + 3;
}

/* KeyUpdate is work, and nothing that the HTTP server sees: a few beside a request are fine, more are not. */
static void test_key_updates(void)
{
    enum { FINE = 16 };
    static const char head[] = "GET /healthz HTTP/1.1\r\n", rest[] = "Host: x\r\n\r\n";
    struct kit k;
    kit_open(&k, &(struct kit_opts){0});
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    int fd = kit_dial(&k), sent = 0;
    CHECK(ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1);
    for (int round = 0; round < 3; round++) {
        CHECK(SSL_write(ssl, head, sizeof(head) - 1) > 0);
        for (int i = 0; i < FINE + (round == 2); i++)
            sent += SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
                    SSL_do_handshake(ssl) == 1;
        if (round < 2)
            CHECK(SSL_write(ssl, rest, sizeof(rest) - 1) > 0 && is_healthy(ssl));
    }
    CHECK(sent == 3 * FINE + 1);
    wait_refused(&k, CCZI_REFUSED_BYTES, 1);
    CHECK(!is_healthy(ssl));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    kit_close(&k);
}

/* ------------------------------------------------------------------------------ connections */

enum { ADDRESSES = 200 };

/* Handshakes from one address after the other. @return how many of them were done before one was refused */
static unsigned until_refused(struct kit *k)
{
    unsigned n = 0;
    for (; n < ADDRESSES; n++) {
        char address[16];
        (void)snprintf(address, sizeof(address), "127.0.0.%u", n + 2);
        CURL *c = dial_tls(k, address);
        curl_easy_cleanup(c);
        if (!c)
            break;
    }
    CHECK(n < ADDRESSES);
    return n;
}

/* What is gone does not come back, however slow the machine is. */
static void stop_refill(struct ccz_kms_door *d)
{
    d->shakes.open_rate.rate = d->shakes.kept_rate.rate = 0;
}

/* However many addresses they come from; but for the quarter that is kept. */
static void test_handshakes_all(void)
{
    enum { BURST = 8 };
    struct kit k;
    kit_open(&k, &(struct kit_opts){
                     .add = stop_refill,
                     .limits = {.handshake_total_rate = 4, .handshake_total_burst = BURST}});
    CHECK(until_refused(&k) == BURST - BURST / 4);
    CHECK(refused(&k, CCZI_REFUSED_RATE_HANDSHAKES) == 1);
    kit_close(&k);
    kit_open(&k, &(struct kit_opts){0});
    CHECK(k.door->limits.handshake_total_rate == 1000 &&
          k.door->limits.handshake_total_burst == 2000);
    kit_close(&k);
    kit_open(&k, &(struct kit_opts){.limits = {.address_rate = 3000}});
    CHECK(k.door->limits.handshake_total_rate == 15000);
    kit_close(&k);
}

/* One request on a connection of its own. @return its status; 0: there was no connection */
static unsigned who_from(struct kit *k, const char *address, const char *as)
{
    char url[80], key[64];
    long status = 0;
    (void)snprintf(url, sizeof(url), "%s/v1/Status", k->base);
    (void)snprintf(key, sizeof(key), "%s.key", as);
    CURL *c = client_from(url, address);
    curl_easy_setopt(c, CURLOPT_SSLCERT, dir_path(as));
    curl_easy_setopt(c, CURLOPT_SSLKEY, dir_path(key));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, "{}");
    struct curl_slist *type = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, type);
    struct reply r = {0};
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, kit_on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &r);
    if (curl_easy_perform(c) == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(type);
    curl_easy_cleanup(c);
    return (unsigned)status;
}

/* A crowd of addresses uses up what there is for everybody, and keeps nobody out who was here before and is somebody. */
static void test_regulars(void)
{
    enum { BURST = 16, KEPT = BURST / 4 };
    struct kit k;
    kit_open(&k, &(struct kit_opts){
                     .add = stop_refill,
                     .limits = {.handshake_total_rate = 4, .handshake_total_burst = BURST}});
    CHECK(who_from(&k, "127.0.1.1", "auditor") == 200);
    CHECK(who_from(&k, "127.0.1.2", "stranger") == 403); /* with a certificate, which anybody has */
    (void)until_refused(&k);
    CHECK(who_from(&k, "127.0.1.2", "stranger") == 0);
    for (unsigned in = 0; in < KEPT; in++)
        CHECK(who_from(&k, "127.0.1.1", "auditor") == 200);
    CHECK(who_from(&k, "127.0.1.1", "auditor") == 0);
    kit_close(&k);
}

/* The linker sends the door here (--wrap): records that TLS objects have read are counted. */
static atomic_uint records;
static void (*tell_door)(void *arg, size_t size);
void __real_cczi_web_watch(struct ssl_st *ssl, const struct cczi_web_watch *watch);
void __wrap_cczi_web_watch(struct ssl_st *ssl, const struct cczi_web_watch *watch);

static void count_record(void *arg, size_t size)
{
    atomic_fetch_add(&records, 1);
    tell_door(arg, size);
}

void __wrap_cczi_web_watch(struct ssl_st *ssl, const struct cczi_web_watch *watch)
{
    tell_door = watch->bytes;
    __real_cczi_web_watch(ssl, &(struct cczi_web_watch){count_record, watch->key_update});
}

enum { CROWD = 10, LET_IN = 4 };
static int crowd[CROWD];

/* What a TLS client says first. */
static void send_hello(int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char *hello = NULL;
    CHECK(ssl && in && out);
    SSL_set_bio(ssl, in, out);
    CHECK(SSL_connect(ssl) < 0);
    long size = BIO_get_mem_data(out, &hello);
    CHECK(size > 0 && send(fd, hello, (size_t)size, MSG_NOSIGNAL) == size);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/* Before the door looks at its port for the first time. */
static void add_crowd(struct ccz_kms_door *d)
{
    const struct kit k = {.door = d};
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = kit_dial(&k);
        send_hello(crowd[i]);
    }
}

/* Who is cut at the beginning has cost no handshake, also if all that it takes was there before. */
static void test_handshakes_unread(void)
{
    struct kit k;
    atomic_store(&records, 0);
    kit_open(&k, &(struct kit_opts){.add = add_crowd,
                                    .limits = {.handshake_total_rate = 1,
                                               .handshake_total_burst = LET_IN,
                                               .per_address = CROWD}});
    unsigned shaken = 0;
    for (int i = 0; i < CROWD; i++) {
        char byte;
        shaken += recv(crowd[i], &byte, 1, 0) == 1;
        close(crowd[i]);
    }
    CHECK(shaken == LET_IN && refused(&k, CCZI_REFUSED_RATE_HANDSHAKES) == CROWD - LET_IN);
    while (atomic_load(&k.door->conns_now))
        usleep(1000);
    CHECK(atomic_load(&records) == LET_IN);
    kit_close(&k);
}

static const char health[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

static CURL *dial_idle(struct kit *k, const char *address)
{
    CURL *c = dial_tls(k, address);
    CHECK(c && send_text(c, health) && answered(c));
    usleep(2000); /* so that none is as old as the next */
    return c;
}

static bool lives(CURL *c)
{
    return send_text(c, health) && answered(c);
}

/* Idle connections keep nobody out, those that wait for their answers do. */
static void test_idle(void)
{
    struct kit k;
    CURL *c[8];
    CHECK(sem_init(&goes_on, 0, 0) == 0);
    kit_open(&k,
             &(struct kit_opts){.add = add_routes, .limits = {.connections = 4, .per_address = 2}});
    c[0] = dial_idle(&k, "127.0.0.2");
    c[1] = dial_idle(&k, "127.0.0.2");
    c[2] = dial_idle(&k, "127.0.0.3");
    c[3] = dial_idle(&k, "127.0.0.3");
    CHECK(refused(&k, CCZI_REFUSED_CONNECTIONS) == 0);
    c[4] = dial_idle(&k, "127.0.0.4"); /* for the oldest */
    CHECK(refused(&k, CCZI_REFUSED_CONNECTIONS) == 1 && !lives(c[0]));
    c[5] =
        dial_idle(&k, "127.0.0.4"); /* for the one of the same address, though others are older */
    CHECK(refused(&k, CCZI_REFUSED_CONNECTIONS) == 2 && !lives(c[4]) && lives(c[1]) &&
          lives(c[2]) && lives(c[3]));
    CHECK(!dial_tls(&k, "127.0.0.3") && refused(&k, CCZI_REFUSED_ADDRESS_CONNECTIONS) == 1);
    for (int i = 1; i < 6; i++)
        if (i != 4)
            CHECK(send_text(c[i], "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    while (atomic_load(&k.door->requests_now) < 4)
        usleep(1000);
    CHECK(!dial_tls(&k, "127.0.0.5") && refused(&k, CCZI_REFUSED_CONNECTIONS) == 3);
    for (int i = 1; i < 6; i++)
        CHECK(sem_post(&goes_on) == 0);
    for (int i = 1; i < 6; i++)
        CHECK(i == 4 || answered(c[i]));
    for (int i = 0; i < 6; i++)
        curl_easy_cleanup(c[i]);
    kit_close(&k);
}

/* Who only connects, from however many addresses, takes places of quiet ones up to half of all, and then of others of the kind. */
static void test_newcomers(void)
{
    enum { PLACES = 8, BARE = 20, QUIET = PLACES - 1, STAY = PLACES / 2 - 1 };
    struct kit k;
    int fds[BARE];
    CURL *quiet[QUIET];
    char address[16];
    kit_open(&k, &(struct kit_opts){.add = add_routes, .limits = {.connections = PLACES}});
    CURL *at_work = dial_idle(&k, "127.0.0.2"); /* the oldest */
    CHECK(send_text(at_work, "GET /healthz HTTP/1.1\r\n"));
    for (int i = 0; i < QUIET; i++) {
        (void)snprintf(address, sizeof(address), "127.0.0.%d", i + 3);
        quiet[i] = dial_idle(&k, address);
    }
    for (int i = 0; i < BARE; i++) {
        (void)snprintf(address, sizeof(address), "127.0.1.%d", i + 1);
        fds[i] = kit_dial_from(&k, address);
    }
    wait_refused(&k, CCZI_REFUSED_CONNECTIONS, BARE);
    CHECK(send_text(at_work, "Host: x\r\n\r\n") && answered(at_work));
    for (int i = 0; i < QUIET; i++) {
        CHECK(lives(quiet[i]) == (i >= QUIET - STAY));
        curl_easy_cleanup(quiet[i]);
    }
    for (int i = 0; i < BARE; i++)
        close(fds[i]);
    curl_easy_cleanup(at_work);
    kit_close(&k);
}

/* ---------------------------------------------------------------------------------- secrets */

static const char marker[] = "a value that is secret";
static atomic_uint left_behind;
static _Atomic bool watching;

/* libevent's memory, as it is given back. */
static void look_and_free(void *p)
{
    if (p && atomic_load(&watching) &&
        memmem(p, malloc_usable_size(p), marker, sizeof(marker) - 1) != NULL)
        atomic_fetch_add(&left_behind, 1);
    free(p);
}

/* What the client of the same process left in it is not libevent's. */
static void *take_clean(size_t size)
{
    void *p = malloc(size);
    if (p)
        memset(p, 0, malloc_usable_size(p));
    return p;
}

/* As realloc(), which may give back what was here before. */
static void *take_more(void *p, size_t size)
{
    if (size == 0) {
        look_and_free(p);
        return NULL;
    }
    void *more = take_clean(size);
    if (more && p) {
        size_t was = malloc_usable_size(p);
        memcpy(more, p, was < size ? was : size);
        look_and_free(p);
    }
    return more;
}

/* @return what was found of the body after it was answered so */
static unsigned left_of(struct kit *k, const struct ask *ask, size_t size, unsigned status)
{
    struct reply r;
    CCZ_AUTO_BUF body;
    struct ask a = *ask;
    ccz_buf_init(&body, size + 64);
    ccz_buf_put_str(&body, "{\"name\":\"wiped\",\"value\":\"");
    while (body.size < size)
        ccz_buf_put_str(&body, marker);
    a.body = ccz_buf_str(&body);
    atomic_store(&left_behind, 0);
    atomic_store(&watching, true);
    unsigned got = kit_ask(k, &r, &a);
    if (got != status)
        fprintf(stderr, "%s: %u %s\n", a.path, got, r.body);
    CHECK(got == status);
    while (atomic_load(&k->door->conns_now)) /* and all of the connection is freed */
        usleep(1000);
    atomic_store(&watching, false);
    return atomic_load(&left_behind);
}

/* Two hosts: the server below refuses that. */
static unsigned left_of_unsound(struct kit *k)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "POST /any HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: %zu\r\n\r\n%s",
                   sizeof(marker) - 1, marker);
    atomic_store(&left_behind, 0);
    atomic_store(&watching, true);
    CURL *c = dial_tls(k, NULL);
    CHECK(c && send_text(c, text) && !answered(c));
    curl_easy_cleanup(c);
    while (atomic_load(&k->door->conns_now))
        usleep(1000);
    atomic_store(&watching, false);
    return atomic_load(&left_behind);
}

/* Of the body of a refused request nothing is left in memory that libevent gives back, of one piece or of many. */
static void test_wiped(void)
{
    static const struct {
        struct ask ask;
        unsigned status;
    } cases[] = {
        {{.path = "/v1/PutSecret", .bearer = "x.y.z"}, 401}, /* no token that counts */
        {{.path = "/v1/PutSecret"}, 401},
        {{.path = "/v1/PutSecret", .as = "stranger"}, 403},
        {{.path = "/v1/PutSecret", .as = "admin", .header = "Sec-Fetch-Site: cross-site"}, 403},
        {{.path = "/v1/PutSecret", .as = "admin", .header = "Content-Encoding: gzip"}, 415},
        {{.path = "/v1/PutSecret", .as = "admin"}, 400}, /* the handler's own */
        {{.path = "/admin", .bearer = "x.y.z"}, 401},
        {{.path = "/admin", .as = "stranger"}, 403},
        {{.path = "/healthz"}, 405},
        {{.path = "/healthz", .method = "GET"}, 413},
        {{.path = "/nothing"}, 404},
        {{.path = "/any"}, 200},
    };
    struct kit k;
    kit_open(&k, &(struct kit_opts){.add = add_routes});
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK(left_of(&k, &cases[i].ask, 100, cases[i].status) == 0);
        CHECK(left_of(&k, &cases[i].ask, 300000, cases[i].status) == 0);
    }
    CHECK(left_of_unsound(&k) == 0);
    kit_close(&k);
    kit_open(&k, &(struct kit_opts){.add = add_routes,
                                    .limits = {.address_rate = 1, .address_burst = 10}});
    const struct ask any = {.path = "/any"};
    struct reply r;
    CURL *c = curl_easy_init();
    while (kit_ask_on(c, &k, &r, &(struct ask){.path = "/nothing"}) != 429)
        CHECK(r.status == 404);
    curl_easy_cleanup(c);
    CHECK(left_of(&k, &any, 300000, 429) == 0);
    kit_close(&k);
}

/* ------------------------------------------------------------------------------------ rates */

/* Who is asked again who he is, is charged once. */
static void test_paid_once(void)
{
    struct kit k;
    struct reply r;
    const struct ask a = {.path = "/admin", .body = "{}", .as = "admin"};
    kit_open(&k, &(struct kit_opts){.add = add_routes,
                                    .limits = {.principal_rate = 1, .principal_burst = 2}});
    CURL *c = curl_easy_init();
    CHECK(kit_ask_on(c, &k, &r, &a) == 200 && kit_ask_on(c, &k, &r, &a) == 200);
    unsigned n = 0; /* and charged he is */
    while (n < 1000 && kit_ask_on(c, &k, &r, &a) == 200)
        n++;
    CHECK(r.status == 429 && kit_where(&r, "door:rate-principal"));
    curl_easy_cleanup(c);
    kit_close(&k);
}

static const struct ccz_test tests[] = {
    {"door.chunks", test_chunks},
    {"door.records", test_records},
    {"door.lines", test_lines},
    {"door.key_updates", test_key_updates},

    {"door.answers", test_answers},
    {"door.handshakes_all", test_handshakes_all},
    {"door.handshakes_unread", test_handshakes_unread},
    {"door.regulars", test_regulars},
    {"door.idle", test_idle},
    {"door.newcomers", test_newcomers},
    {"door.wiped", test_wiped},
    {"door.paid_once", test_paid_once},
};

int main(int argc, char **argv)
{
    event_set_mem_functions(take_clean, take_more, look_and_free);
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
