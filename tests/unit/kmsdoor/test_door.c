/* SPDX-License-Identifier: Apache-2.0 */
/* The listener: who gets in, how much and for how long. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"

#include <poll.h>
#include <stdatomic.h>

/* -------------------------------------------------------------------------------- health */

static void test_health(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200 && strcmp(r.body, "ok\n") == 0);
    CHECK(strstr(r.headers, "Cache-Control: no-store") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .method = "HEAD"}) == 200 &&
          r.size == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .method = "POST", .body = ""}) == 405);
    CHECK(kit_where(&r, "door:method") && strstr(r.headers, "Allow: GET, HEAD") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .body = "x", .method = "GET"}) == 413);
    CHECK(kit_where(&r, "door:body-size"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 200);
    CHECK(strcmp(r.body, "{\"ready\":true}") == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/nothing"}) == 404 &&
          kit_where(&r, "door:not-found"));
    kit_close(&k);
}

/* ---------------------------------------------------------------------------------- paths */

static void on_echo(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    cczi_door_reply(r, &(struct ccz_http_answer){.status = 200,
                                                 .content_type = "text/plain",
                                                 .body = ccz_span_str(r->rest)});
}

static void add_echo(struct ccz_kms_door *d)
{
    static const struct cczi_door_route routes[] = {
        {.name = "echo", .methods = "GET", .path = "/echo/", .fn = on_echo},
        {.name = "deep", .methods = "GET PUT", .path = "/echo/deep/", .fn = on_echo},
        {.name = "exact", .methods = "DELETE", .path = "/echo/deep/one", .fn = on_echo},
    };
    struct ccz_err err;
    for (size_t i = 0; i < 3; i++)
        CHECK(cczi_door_route(d, &routes[i], &err) == CCZ_OK);
    CHECK(cczi_door_route(d, &routes[1], &err) == CCZ_E_EXISTS &&
          strcmp(err.where, "door:route") == 0);
}

static void test_paths(void)
{
    static const struct {
        const char *path;
        unsigned status;
        const char *what; /* `rest`, or where */
    } cases[] = {
        {"/echo/", 200, ""},
        {"/echo/a/b", 200, "a/b"},
        {"/echo/a/", 200, "a/"},
        {"/echo/a%2Fb%20", 200, "a%2Fb%20"},
        {"/echo/..a/a..", 200, "..a/a.."},
        {"/echo/deep/x", 200, "x"},
        {"/echo/a?q=1", 200, "a"},
        {"/echo", 404, "door:not-found"},
        {"/Echo/", 404, "door:not-found"},
        {"/", 404, "door:not-found"},
        {"/echo//a", 400, "door:path"},
        {"//echo/a", 400, NULL},
        {"/echo/./a", 400, "door:path"},
        {"/echo/../healthz", 400, "door:path"},
        {"/echo/..", 400, "door:path"},
        {"/echo/%2e%2E/healthz", 400, "door:path"},
        {"/echo/.%2e", 400, "door:path"},
        {"/echo/a\\b", 400, "door:path"},
    };
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.plain = true, .add = add_echo});
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        unsigned status = kit_ask(&k, &r, &(struct ask){.path = cases[i].path});
        if (status != cases[i].status)
            fprintf(stderr, "%s: %u\n", cases[i].path, status);
        CHECK(status == cases[i].status);
        if (cases[i].what) /* else the server below said so */
            CHECK(status == 200 ? strcmp(r.body, cases[i].what) == 0
                                : kit_where(&r, cases[i].what));
    }
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/echo/deep/one"}) == 405);
    CHECK(strstr(r.headers, "Allow: DELETE\r\n") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/echo/deep/", .method = "POST", .body = ""}) ==
          405);
    CHECK(strstr(r.headers, "Allow: GET, HEAD, PUT\r\n") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/echo/", .header = "Content-Encoding: gzip"}) ==
              415 &&
          kit_where(&r, "door:content-encoding"));
    kit_close(&k);
}

/* ---------------------------------------------------------------------------------- sizes */

static void on_size(struct cczi_door_req *r, void *arg)
{
    char text[32];
    (void)arg;
    (void)snprintf(text, sizeof(text), "%zu", ccz_http_body(r->http).size);
    cczi_door_reply_json(r, 200, ccz_span_str(text));
}

static void add_size(struct ccz_kms_door *d)
{
    static const struct cczi_door_route routes[] = {
        {.name = "any",
         .methods = "POST",
         .path = "/any",
         .body_size_max = CCZI_DOOR_BODY_ANY,
         .fn = on_size},
        {.name = "ten", .methods = "POST", .path = "/ten", .body_size_max = 10, .fn = on_size},
    };
    struct ccz_err err;
    CHECK(cczi_door_route(d, &routes[0], &err) == CCZ_OK &&
          cczi_door_route(d, &routes[1], &err) == CCZ_OK);
}

static void test_sizes(void)
{
    struct kit k;
    struct reply r;
    static char big[20001], header[9000];
    memset(big, 'x', sizeof(big) - 1);
    kit_open(&k, &(struct kit_opts){.add = add_size,
                                    .limits = {.body_size_max = 20000, .header_size_max = 4096}});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/ten", .body = big, .body_size = 10}) == 200 &&
          strcmp(r.body, "10") == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/ten", .body = big, .body_size = 11}) == 413 &&
          kit_where(&r, "door:body-size"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/any", .body = big}) == 200 &&
          strcmp(r.body, "20000") == 0);
    char *more = malloc(20002);
    CHECK(more != NULL);
    memset(more, 'x', 20001);
    more[20001] = 0;
    unsigned large = kit_ask(&k, &r, &(struct ask){.path = "/any", .body = more});
    CHECK(large == 413 ||
          large == 0); /* it is not read to its end: the client may see that first */
    free(more);
    memset(header, 'h', sizeof(header) - 1);
    memcpy(header, "X: ", 3);
    unsigned status = kit_ask(&k, &r, &(struct ask){.path = "/healthz", .header = header});
    CHECK(status == 400 || status == 413 || status == 431 || status == 0);
    header[3000] = 0;
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .header = header}) == 200);
    kit_close(&k);
}

/* ------------------------------------------------------------------------------- who calls */

static void on_who(struct cczi_door_req *r, void *arg)
{
    char hex[65], text[160];
    (void)arg;
    ccz_hex(hex, r->auth.id, 32);
    CHECK(memcmp(r->auth.peer.spki_sha256, r->auth.id, 32) == 0 && !r->auth.peer.attested);
    CHECK(r->auth.peer.pinned == (r->auth.kind != CCZI_DOOR_NOBODY));
    (void)snprintf(text, sizeof(text), "%d %s", (int)r->auth.kind, hex);
    cczi_door_reply_json(r, 200, ccz_span_str(text));
}

static void add_who(struct ccz_kms_door *d)
{
    static const struct cczi_door_route routes[] = {
        {.name = "who", .methods = "GET", .path = "/who", .fn = on_who},
        {.name = "own",
         .methods = "GET",
         .path = "/own",
         .flags = CCZI_DOOR_OWN_AUTH,
         .fn = on_who},
        {.name = "known",
         .methods = "GET",
         .path = "/known",
         .flags = CCZI_DOOR_KNOWN,
         .fn = on_who},
    };
    struct ccz_err err;
    for (size_t i = 0; i < 3; i++)
        CHECK(cczi_door_route(d, &routes[i], &err) == CCZ_OK);
}

static void make_pair(const char *name, const char *kind)
{
    char cmd[1400];
    (void)snprintf(cmd, sizeof(cmd),
                   "openssl req -x509 -newkey %s -nodes -subj /CN=x -days 3650 -keyout '%s.key' "
                   "-out '%s' 2>/dev/null && chmod 600 '%s.key'",
                   kind, dir_path(name), dir_path(name), dir_path(name));
    CHECK(system(cmd) == 0);
}

static void test_certificates(void)
{
    struct kit k;
    struct reply r;
    char hex[65], want[80];
    uint8_t id[32];
    kit_open(&k, &(struct kit_opts){.add = add_who});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who"}) == 200 && r.body[0] == '0');
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "admin"}) == 200);
    kit_spki(id, k.admin);
    ccz_hex(hex, id, 32);
    (void)snprintf(want, sizeof(want), "1 %s", hex);
    CHECK(strcmp(r.body, want) == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/own", .as = "admin", .bearer = "x.y.z"}) == 200 &&
          strcmp(r.body, want) == 0); /* the token is the handler's */
    /* a key without a role is somebody, and may nothing */
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "stranger"}) == 200 &&
          r.body[0] == '1');
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/known"}) == 401 &&
          kit_where(&r, "door:auth-required"));
    CHECK(strstr(r.headers, "WWW-Authenticate: Bearer") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/known", .as = "stranger"}) == 403 &&
          kit_where(&r, "kms:admin-unknown"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/known", .as = "auditor"}) == 200);
    /* tokens where no issuer is configured, and what is no token, also beside a good certificate */
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "admin", .bearer = "x.y.z"}) == 401 &&
          kit_where(&r, "door:token-issuer"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/who",
                                .as = "admin",
                                .header = "Authorization: Basic eA=="}) == 401 &&
          kit_where(&r, "door:token-scheme"));
    /* other kinds of keys: as strong, they are let in and known by their keys; weak ones are not */
    make_pair("rsa", "rsa:3072");
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "rsa"}) == 200 && r.body[0] == '1');
    make_pair("p384", "ec -pkeyopt ec_paramgen_curve:P-384");
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "p384"}) == 200 && r.body[0] == '1');
    make_pair("p521", "ec -pkeyopt ec_paramgen_curve:P-521");
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "p521"}) == 0 || r.body[0] == '0');
    make_pair("long", "rsa:4608"); /* somebody else's work for each handshake */
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "long"}) == 0);
    make_pair("ed", "ed25519");
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "ed"}) == 0 || r.body[0] == '0');
    /* somebody else's certificate without its key */
    char cmd[900];
    (void)snprintf(cmd, sizeof(cmd), "cp '%s' '%s' && cp '%s' '%s'", dir_path("admin"),
                   dir_path("thief"), dir_path("stranger.key"), dir_path("thief.key"));
    CHECK(system(cmd) == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "thief"}) == 0);
    kit_close(&k);
}

/* Made an administrator while the server runs: known at once, and gone at once. */
static void test_known(void)
{
    struct kit k;
    struct reply r;
    uint8_t id[32];
    kit_open(&k, &(struct kit_opts){.add = add_who});
    CCZ_AUTO(ccz_key) stranger = NULL;
    struct ccz_err err;
    CHECK(ccz_key_load(&stranger, dir_path("stranger.key"), &err) == CCZ_OK);
    kit_spki(id, stranger);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/known", .as = "stranger"}) == 403);
    CHECK(!kit_knows(&k, false));
    kit_set_role(&k, id, CCZ_KMS_ROLE_AUDITOR, false);
    CHECK(kit_knows(&k, true));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/known", .as = "stranger"}) == 200);
    CHECK(kit_knows(&k, false));
    kit_set_role(&k, id, 0, false);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/known", .as = "stranger"}) == 403);
    kit_close(&k);
}

/* ----------------------------------------------------------------------------------- rates */

/* Asks until it is told to slow down. @return how often it was answered before */
static unsigned until_slow(CURL *c, struct kit *k, const struct ask *a, const char *where)
{
    struct reply r;
    for (unsigned n = 0; n < 2000; n++) {
        if (kit_ask_on(c, k, &r, a) != 429)
            continue;
        CHECK(kit_where(&r, where) && strstr(r.headers, "Retry-After: 1\r\n") != NULL);
        return n;
    }
    return UINT32_MAX;
}

static void test_rates(void)
{
    struct kit k;
    struct reply r;
    const struct ask who = {.path = "/who"}, nothing = {.path = "/nothing"},
                     admin = {.path = "/who", .as = "admin"};
    kit_open(&k,
             &(struct kit_opts){.add = add_who, .limits = {.address_rate = 1, .address_burst = 5}});
    CURL *c = curl_easy_init();
    unsigned n = until_slow(c, &k, &who, "door:rate-address");
    CHECK(n >= 5 && n < 2000);
    CHECK(until_slow(c, &k, &nothing, "door:rate-address") < 2000); /* rubbish counts, too */
    CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/healthz"}) == 200); /* probes go on */
    curl_easy_cleanup(c);
    CHECK(atomic_load(&k.door->refused[CCZI_REFUSED_RATE_ADDRESS]) == 2);
    kit_close(&k);

    kit_open(&k, &(struct kit_opts){.add = add_who,
                                    .limits = {.principal_rate = 1, .principal_burst = 2}});
    c = curl_easy_init();
    n = until_slow(c, &k, &admin, "door:rate-principal");
    CHECK(n >= 2 && n < 2000);
    curl_easy_cleanup(c);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/who", .as = "auditor"}) == 200);
    CHECK(kit_ask(&k, &r, &who) == 200);
    kit_close(&k);

    kit_open(&k, &(struct kit_opts){.add = add_who, .limits = {.total_rate = 1, .total_burst = 3}});
    c = curl_easy_init();
    n = until_slow(c, &k, &who, "door:rate-total");
    CHECK(n >= 3 && n < 2000);
    curl_easy_cleanup(c);
    kit_close(&k);
}

/* A handshake costs more than a request: they are counted before, by address, and apart from requests. */
static void test_handshakes(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.limits = {.address_rate = 1, .address_burst = 5}});
    CURL *kept = curl_easy_init(); /* who is in stays */
    CHECK(kept && kit_ask_on(kept, &k, &r, &(struct ask){.path = "/healthz"}) == 200);
    unsigned n = 0;
    while (n < 100 && kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200)
        n++;
    CHECK(n >= 4 && n < 100);
    CHECK(kit_ask_on(kept, &k, &r, &(struct ask){.path = "/healthz"}) == 200);
    /* requests do not use up what handshakes need: a probe that connects each time gets through */
    while (kit_ask_on(kept, &k, &r, &(struct ask){.path = "/nothing"}) == 404)
        ;
    CHECK(kit_where(&r, "door:rate-address"));
    usleep(2100000); /* two more */
    CHECK(kit_ask_on(kept, &k, &r, &(struct ask){.path = "/nothing"}) == 404);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200);
    curl_easy_cleanup(kept);
    CHECK(atomic_load(&k.door->refused[CCZI_REFUSED_RATE_HANDSHAKES]) >= 1);
    kit_close(&k);
}

/* The buckets themselves, by a clock of the test's own. */
static void test_buckets(void)
{
    const struct cczi_rate rate = {10, 3};
    struct cczi_bucket b = {.at_ms = 1000, .milli = 3000};
    uint32_t wait;
    for (int i = 0; i < 3; i++)
        CHECK(cczi_bucket_take(&wait, &b, rate, 1000));
    CHECK(!cczi_bucket_take(&wait, &b, rate, 1000) && wait == 1);
    CHECK(!cczi_bucket_take(&wait, &b, rate, 1099));
    CHECK(cczi_bucket_take(&wait, &b, rate, 1100) && !cczi_bucket_take(&wait, &b, rate, 1100));
    CHECK(!cczi_bucket_take(&wait, &b, rate, 900));      /* a clock that goes back gives nothing */
    CHECK(cczi_bucket_take(&wait, &b, rate, INT64_MAX)); /* nor does one that jumps give too much */
    CHECK(cczi_bucket_take(&wait, &b, rate, INT64_MAX) &&
          cczi_bucket_take(&wait, &b, rate, INT64_MAX) &&
          !cczi_bucket_take(&wait, &b, rate, INT64_MAX));
    const struct cczi_rate slow = {1, 1};
    struct cczi_bucket empty = {.at_ms = 0, .milli = 0};
    CHECK(!cczi_bucket_take(&wait, &empty, slow, 0) && wait == 1);

    /* a flood of keys: the table stays what it is, and whoever was slowed down among few is still */
    static struct cczi_rates rates;
    unsigned passed = 0;
    uint8_t key[8] = {0}, mine[8] = {0xff};
    CHECK(cczi_rates_init(&rates) == CCZ_OK);
    for (int i = 0; i < 3; i++)
        CHECK(cczi_rates_take(&wait, &rates, CCZ_SPAN(mine, 8), rate, 5000));
    CHECK(!cczi_rates_take(&wait, &rates, CCZ_SPAN(mine, 8), rate, 5000));
    for (uint32_t i = 0; i < 100; i++) {
        memcpy(key, &i, 4);
        CHECK(cczi_rates_take(&wait, &rates, CCZ_SPAN(key, 8), rate, 5000));
    }
    CHECK(
        !cczi_rates_take(&wait, &rates, CCZ_SPAN(mine, 8), rate, 5000)); /* fuller ones go first */
    for (uint32_t i = 0; i < 100000; i++) {
        memcpy(key, &i, 4);
        passed += cczi_rates_take(&wait, &rates, CCZ_SPAN(key, 8), rate, 5000);
    }
    CHECK(passed > 99000);
    struct cczi_rate_addr a, a2;
    cczi_rate_addr_of(&a, "192.0.2.1:80");
    cczi_rate_addr_of(&a2, "192.0.2.1:81");
    CHECK(memcmp(&a, &a2, sizeof(a)) == 0);
    cczi_rate_addr_of(&a2, "[::ffff:192.0.2.1]:81");
    CHECK(memcmp(&a, &a2, sizeof(a)) == 0);
    cczi_rate_addr_of(&a2, "192.0.2.2:80");
    CHECK(memcmp(&a, &a2, sizeof(a)) != 0);
    cczi_rate_addr_of(&a, "[2001:db8:0:1::1]:80");
    cczi_rate_addr_of(&a2, "[2001:db8:0:1:ffff::2]:80");
    CHECK(memcmp(&a, &a2, sizeof(a)) == 0);
    cczi_rate_addr_of(&a2, "[2001:db8:0:2::1]:80");
    CHECK(memcmp(&a, &a2, sizeof(a)) != 0);
    cczi_rate_addr_of(&a, "nonsense");
    cczi_rate_addr_of(&a2, ":0");
    CHECK(memcmp(&a, &a2, sizeof(a)) == 0);
}

/* ----------------------------------------------------------------------------- connections */

static bool ends_within(int fd, int ms)
{
    char byte[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t until = ccz_mono_ms() + ms;
    for (;;) {
        int64_t left = until - ccz_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t n = recv(fd, byte, sizeof(byte), 0);
        if (n <= 0)
            return true;
    }
}

static void test_connections(void)
{
    struct kit k;
    struct reply r;
    int fds[6];
    kit_open(&k, &(struct kit_opts){.limits = {.per_address = 4, .connections = 100}});
    for (int i = 0; i < 4; i++)
        fds[i] = kit_dial(&k);
    while (atomic_load(&k.door->conns_now) < 4)
        usleep(1000);
    fds[4] = kit_dial(&k);
    CHECK(ends_within(fds[4], 10000)); /* the fifth of one address */
    CHECK(atomic_load(&k.door->refused[CCZI_REFUSED_ADDRESS_CONNECTIONS]) == 1);
    close(fds[4]);
    close(fds[0]);
    while (kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) != 200) /* there is room again */
        usleep(10000);
    for (int i = 1; i < 4; i++)
        close(fds[i]);
    kit_close(&k);
}

/* Who says nothing, or one byte now and then, is cut; who asks now and then is not. */
static void test_slow(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.limits = {.request_ms = 8000}});
    CURL *c = curl_easy_init();
    int silent = kit_dial(&k), drip = kit_dial(&k);
    static const char hello[] = "\x16\x03\x01\x02";
    for (int i = 0; i < 4; i++) {
        CHECK(send(drip, hello + i, 1, MSG_NOSIGNAL) == 1);
        CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/healthz"}) == 200);
        usleep(300000);
    }
    CHECK(ends_within(silent, 30000) && ends_within(drip, 30000));
    CHECK(atomic_load(&k.door->refused[CCZI_REFUSED_SLOW]) >= 1);
    close(silent);
    close(drip);
    curl_easy_cleanup(c);
    kit_close(&k);
}

static size_t resident(void)
{
    unsigned long all = 0, here = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%lu %lu", &all, &here) == 2);
    (void)fclose(f);
    return here * (size_t)sysconf(_SC_PAGESIZE);
}

/* A request that does not end. @return bytes of its body that were taken */
static size_t send_body(CURL *c, struct kit *k, const char *path, size_t size)
{
    static char part[16384];
    char head[256];
    size_t sent = 0, n = 0;
    (void)snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                   path, (size_t)2 << 20);
    curl_easy_setopt(c, CURLOPT_URL, k->base);
    curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    if (curl_easy_perform(c) != CURLE_OK || curl_easy_send(c, head, strlen(head), &n) != CURLE_OK)
        return 0;
    for (int tries = 0; sent < size && tries < 2000;) {
        CURLcode rc = curl_easy_send(c, part, sizeof(part), &n);
        if (rc == CURLE_OK) {
            sent += n;
        } else if (rc == CURLE_AGAIN) {
            usleep(1000);
            tries++;
        } else {
            break;
        }
    }
    return sent;
}

/* What strangers send is kept within bounds, whatever its route: of one address, and of all; who has sent for longest goes. */
static void test_bodies(void)
{
    enum { CLIENTS = 100, BODY = 1536 << 10 };
    struct kit k;
    struct reply r;
    static CURL *clients[CLIENTS];
    kit_open(&k, &(struct kit_opts){.add = add_size});
    char *body = malloc(((size_t)1 << 20) + 1);
    CHECK(body);
    memset(body, 'x', (size_t)1 << 20);
    body[(size_t)1 << 20] = 0;
    size_t before = resident(), sent = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = curl_easy_init();
        CHECK(clients[i]);
        sent += send_body(clients[i], &k, i % 2 ? "/healthz" : "/any", BODY);
        if (i % 25 == 24) /* honest ones get through */
            CHECK(kit_ask(&k, &r, &(struct ask){.path = "/any", .body = body}) == 200 &&
                  strcmp(r.body, "1048576") == 0);
    }
    CHECK(sent > (size_t)64 << 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which keep what was freed */
    CHECK(resident() - before < (size_t)48 << 20);
#endif
    CHECK(before > 0);
    for (size_t i = 0; i < CLIENTS; i++)
        curl_easy_cleanup(clients[i]);
    free(body);
    kit_close(&k);
    /* an address has its share of the connections, however many there may be */
    kit_open(&k, &(struct kit_opts){.limits = {.connections = 8000}});
    CHECK(k.door->limits.per_address == 1000);
    kit_close(&k);
    kit_open(&k, &(struct kit_opts){.limits = {.connections = 4}});
    CHECK(k.door->limits.per_address == 4);
    kit_close(&k);
}

/* ----------------------------------------------------------------------------- operations */

static int64_t expired(void *arg)
{
    (void)arg;
    return FIX_NOW - 1;
}

static ccz_rc not_ready(void *arg, struct ccz_err *err)
{
    (void)arg;
    return ccz_fail(err, CCZ_E_UNAVAILABLE, "test:not-ready", 0, "not yet");
}

static ccz_rc lost(void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:store-connect", 0,
             "cannot connect to the database: server at \"10.0.0.5\", port 5432, user \"kms\"");
    return ccz_hint(err, err->rc, "10.0.0.5 does not listen");
}

static void on_lost(struct cczi_door_req *r, void *arg)
{
    struct ccz_err err = {0};
    (void)lost(arg, &err);
    (void)ccz_refuse(&err, err.rc, "kms:store-lost", "10.0.0.5", "10.0.0.6");
    cczi_door_reply_err(r, &err);
}

static void add_lost(struct ccz_kms_door *d)
{
    const struct cczi_door_route route = {
        .name = "lost", .methods = "GET", .path = "/lost", .fn = on_lost};
    struct ccz_err err;
    CHECK(cczi_door_route(d, &route, &err) == CCZ_OK);
}

static char heard_lines[8192];
static void hear(void *arg, enum ccz_log_level level, const char *module, const char *text)
{
    (void)arg, (void)level, (void)module;
    size_t n = strlen(heard_lines);
    (void)snprintf(heard_lines + n, sizeof(heard_lines) - n, "%s\n", text);
}

/* Where the database is and who uses it is for the log, and nobody else. */
static void test_database_texts(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.ready = lost, .add = add_lost});
    ccz_log_install(hear, NULL, CCZ_LOG_INFO);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 503 &&
          kit_where(&r, "kms:store-connect") && !strstr(r.body, "10.0.0"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/lost"}) == 503 &&
          kit_where(&r, "kms:store-lost") && !strstr(r.body, "10.0.0"));
    CHECK(strstr(r.headers, "Retry-After: 1\r\n"));
    kit_close(&k);
    ccz_log_install(NULL, NULL, CCZ_LOG_INFO);
    CHECK(strstr(heard_lines, "port 5432") && strstr(heard_lines, "10.0.0.6"));
}

/* A store that stands still when it is asked whether it is there. */
static struct {
    struct ccz_kms_backend ops;
    const struct ccz_kms_backend *real;
    atomic_bool hold, held;
} still;

static enum cczi_kms_step still_first(void *db, enum cczi_kms_sql q, const struct cczi_kms_param *p,
                                      size_t n)
{
    while (q == CCZI_SQL_BEGIN_READ && atomic_load(&still.hold)) {
        atomic_store(&still.held, true);
        (void)usleep(1000);
    }
    return still.real->first(db, q, p, n);
}

static void stand_still(struct ccz_kms_store *store)
{
    still.real = store->db.ops;
    still.ops = *still.real;
    still.ops.first = still_first;
    store->db.ops = &still.ops;
}

static void *ask_ready(void *arg)
{
    struct reply r;
    CHECK(kit_ask(arg, &r, &(struct ask){.path = "/readyz"}) == 200);
    return NULL;
}

/* Who asked before is not told what was true then. */
static void test_ready_stalled(void)
{
    struct kit k;
    struct reply r;
    pthread_t t;
    kit_open(&k, &(struct kit_opts){.fill = stand_still});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 200);
    (void)usleep(1100000); /* the answer is old */
    atomic_store(&still.hold, true);
    CHECK(pthread_create(&t, NULL, ask_ready, &k) == 0);
    while (!atomic_load(&still.held))
        (void)usleep(1000);
    while (kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 200)
        (void)usleep(20000);
    CHECK(r.status == 503 && kit_where(&r, "kms:store-stalled"));
    atomic_store(&still.hold, false);
    CHECK(pthread_join(t, NULL) == 0);
    while (kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) != 200) /* the worker has looked */
        (void)usleep(20000);
    kit_close(&k);
}

static void test_ready(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.sealed = true});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 503 && kit_where(&r, "kms:sealed"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/v1/Status", .body = "{}", .as = "admin"}) ==
              503 &&
          kit_where(&r, "kms:sealed") && strstr(r.headers, "Retry-After: 1\r\n") != NULL);
    kit_close(&k);
    kit_open(&k, &(struct kit_opts){.collateral_expires_s = expired});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 503 &&
          kit_where(&r, "door:collateral-expired"));
    kit_close(&k);
    kit_open(&k, &(struct kit_opts){.ready = not_ready});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 503 &&
          kit_where(&r, "test:not-ready"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200);
    kit_close(&k);
}

static void put_other(void *arg, struct ccz_buf *out)
{
    CHECK(!arg);
    ccz_buf_put_str(out, "other_total 7\n");
}

static void test_metrics(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.add = add_who, .metrics = put_other});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/nothing"}) == 404);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/metrics"}) == 401);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/metrics", .as = "stranger"}) == 403);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/metrics", .as = "auditor"}) == 200);
    CHECK(strstr(r.headers, "text/plain; version=0.0.4") != NULL);
    CHECK(strstr(r.body, "cczoo_kms_http_requests_total{route=\"none\",class=\"4xx\"} 1\n"));
    CHECK(strstr(r.body, "cczoo_kms_http_requests_total{route=\"metrics\",class=\"4xx\"} 2\n"));
    CHECK(strstr(r.body, "cczoo_kms_http_refused_total{reason=\"unknown\"} 2\n"));
    CHECK(strstr(r.body, "cczoo_kms_secrets 2\n") && strstr(r.body, "cczoo_kms_simulated 1\n"));
    CHECK(strstr(r.body, "password") == NULL); /* no names */
    CCZ_AUTO_BUF open;
    ccz_buf_init(&open, 65536);
    ccz_kms_door_metrics(k.door, &open);
    CHECK(strstr(ccz_buf_str(&open), "cczoo_kms_http_refused_total") != NULL &&
          strstr(ccz_buf_str(&open), "cczoo_kms_secrets") == NULL);
    CHECK(strstr(r.body, "\nother_total 7\n") && strstr(ccz_buf_str(&open), "\nother_total 7\n") &&
          strstr(ccz_buf_str(&open), "cczoo_kms_rpc_calls_total 0\n"));
    ccz_kms_door_stop(k.door, 0); /* what is beside it may be gone from now on */
    ccz_buf_clear(&open);
    ccz_kms_door_metrics(k.door, &open);
    CHECK(strstr(ccz_buf_str(&open), "cczoo_kms_http_refused_total") &&
          !strstr(ccz_buf_str(&open), "other_total") &&
          !strstr(ccz_buf_str(&open), "cczoo_kms_rpc_calls_total"));
    kit_close(&k);
}

/* ------------------------------------------------------------------------------- identity */

static void test_reload(void)
{
    struct kit k;
    struct reply r;
    struct ccz_err err;
    kit_open(&k, &(struct kit_opts){0});
    CURL *c = curl_easy_init();
    CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/healthz"}) == 200);
    CCZ_AUTO(ccz_key) other = kit_key("server");
    CHECK(other != NULL && ccz_kms_door_reload(k.door) == CCZ_OK);
    CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/healthz"}) == 200); /* goes on as it is */
    curl_easy_cleanup(c);
    c = curl_easy_init(); /* the new one is served, and only that */
    curl_easy_setopt(c, CURLOPT_CAINFO, dir_path("server"));
    curl_easy_setopt(c, CURLOPT_URL, k.base);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    CHECK(curl_easy_perform(c) == CURLE_OK);
    curl_easy_cleanup(c);
    CHECK(ccz_file_write(dir_path("server"), ccz_span_str("rubbish"), 0644, CCZ_FILE_REPLACE,
                         &err) == CCZ_OK);
    CHECK(ccz_kms_door_reload(k.door) != CCZ_OK);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200); /* kept */
    kit_close(&k);
}

static unsigned times_heard(const char *text)
{
    unsigned n = 0;
    for (const char *p = heard_lines; (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

static void hear_end(void *arg, enum ccz_log_level level, const char *module, const char *text)
{
    if (strstr(text, "until="))
        hear(arg, level, module, text);
    atomic_fetch_add((atomic_uint *)arg, strstr(text, " ENDS SOON") || strstr(text, " HAS ENDED"));
}

/* That the certificate ends is in the metrics, and in the log once a day from two weeks before. */
static void test_certificate_ends(void)
{
    enum { DAY_S = 86400 };
    const int64_t until_s = INT64_C(4000000000);
    static atomic_uint said;
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    kit_now_s = until_s - 14 * DAY_S;
    heard_lines[0] = 0;
    ccz_log_install(hear_end, &said, CCZ_LOG_INFO);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/metrics", .as = "auditor"}) == 200);
    CHECK(strstr(r.body, "\ncczoo_kms_http_certificate_expires_seconds 4000000000\n"));
    usleep(2500000); /* some ticks */
    CHECK(atomic_load(&said) == 0);
    kit_now_s = until_s - 14 * DAY_S + 1;
    while (atomic_load(&said) < 1)
        usleep(10000);
    kit_now_s = until_s - 13 * DAY_S;
    usleep(2500000);
    CHECK(atomic_load(&said) == 1);
    kit_now_s = until_s - 13 * DAY_S + 1;
    while (atomic_load(&said) < 2)
        usleep(10000);
    kit_now_s = until_s + 1;
    while (atomic_load(&said) < 3)
        usleep(10000);
    kit_close(&k);
    ccz_log_install(NULL, NULL, CCZ_LOG_INFO);
    CHECK(times_heard("until=2096-10-02T07:06:40Z ENDS SOON") == 2 &&
          times_heard("until=2096-10-02T07:06:40Z HAS ENDED") == 1);
    kit_open(&k, &(struct kit_opts){.plain = true});
    CCZ_AUTO_BUF open;
    ccz_buf_init(&open, 65536);
    ccz_kms_door_metrics(k.door, &open);
    CHECK(strstr(ccz_buf_str(&open), "\ncczoo_kms_http_certificate_expires_seconds 0\n"));
    kit_close(&k);
}

static ccz_rc try_new(const struct ccz_kms_door_cfg *cfg, struct ccz_err *err)
{
    struct ccz_kms_door *d;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_kms_door_new(&d, cfg, err);
    CHECK((rc == CCZ_OK) == (d != NULL));
    ccz_kms_door_free(d);
    return rc;
}

static void test_config(void)
{
    struct ccz_err err;
    dir_fresh();
    ccz_key_free(kit_key("server"));
    ccz_key_free(kit_key("other"));
    char cert[400], key[400], other[400];
    (void)snprintf(cert, sizeof(cert), "%s", dir_path("server"));
    (void)snprintf(key, sizeof(key), "%s", dir_path("server.key"));
    (void)snprintf(other, sizeof(other), "%s", dir_path("other.key"));
    const struct ccz_kms_door_cfg good = {.sealed = true,
                                          .clock = {kit_clock, NULL},
                                          .listen = "127.0.0.1:0",
                                          .cert_file = cert,
                                          .key_file = key};
    CHECK(try_new(&good, &err) == CCZ_OK);
    struct ccz_kms_door_cfg c = good;
    c.cert_file = c.key_file = NULL;
    CHECK(try_new(&c, &err) == CCZ_E_ARG && strcmp(err.where, "door:identity") == 0);
    c.plain_http_insecure = true;
    CHECK(try_new(&c, &err) == CCZ_OK);
    static const char *const open[] = {"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "10.0.0.1:0",
                                       "127.0.0.1"};
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
        c.listen = open[i];
        CHECK(try_new(&c, &err) == CCZ_E_ARG && strcmp(err.where, "door:plain") == 0);
    }
    c.listen = "[::1]:0";
    CHECK(try_new(&c, &err) != CCZ_E_ARG); /* perhaps there is no IPv6 here */
    c = good;
    c.plain_http_insecure = true;
    CHECK(try_new(&c, &err) == CCZ_E_ARG && strcmp(err.where, "door:identity") == 0);
    c = good;
    c.key_file = NULL;
    CHECK(try_new(&c, &err) == CCZ_E_ARG && strcmp(err.where, "door:identity") == 0);
    c = good;
    c.sealed = false;
    CHECK(try_new(&c, &err) == CCZ_E_ARG && strcmp(err.where, "door:config") == 0);
    c = good;
    c.key_file = other;
    CHECK(try_new(&c, &err) == CCZ_E_MISMATCH && strcmp(err.where, "tls:web-pair") == 0);
    c = good;
    CHECK(chmod(key, 0644) == 0 && try_new(&c, &err) != CCZ_OK &&
          strcmp(err.where, "file:permissions") == 0);
    CHECK(chmod(key, 0600) == 0);
    c.cert_file = key;
    CHECK(try_new(&c, &err) == CCZ_E_FORMAT && strcmp(err.where, "tls:web-certificate") == 0);
    c = good;
    make_pair("weak", "rsa:1024");
    c.cert_file = dir_path("weak");
    c.key_file = dir_path("weak.key");
    CHECK(try_new(&c, &err) != CCZ_OK);
    make_pair("ed", "ed25519");
    c.cert_file = dir_path("ed");
    c.key_file = dir_path("ed.key");
    CHECK(try_new(&c, &err) == CCZ_E_UNSUPPORTED && strcmp(err.where, "tls:web-key-kind") == 0);
    make_pair("rsa", "rsa:2048");
    c.cert_file = dir_path("rsa");
    c.key_file = dir_path("rsa.key");
    CHECK(try_new(&c, &err) == CCZ_OK);
    char cmd[1300];
    (void)snprintf(cmd, sizeof(cmd), "openssl pkey -in '%s' -aes256 -passout pass:x -out '%s'",
                   dir_path("rsa.key"), dir_path("locked"));
    CHECK(system(cmd) == 0 && chmod(dir_path("locked"), 0600) == 0);
    c.key_file = dir_path("locked");
    CHECK(try_new(&c, &err) == CCZ_E_FORMAT && strcmp(err.where, "tls:web-key") == 0);
    /* half a certificate behind a whole one */
    (void)snprintf(cmd, sizeof(cmd), "head -3 '%s' >>'%s'", dir_path("other"), cert);
    CHECK(system(cmd) == 0);
    CHECK(try_new(&good, &err) == CCZ_E_FORMAT && strcmp(err.where, "tls:web-certificate") == 0);
}

static const struct ccz_test tests[] = {
    {"door.health", test_health},
    {"door.paths", test_paths},
    {"door.sizes", test_sizes},
    {"door.certificates", test_certificates},
    {"door.known", test_known},
    {"door.rates", test_rates},
    {"door.buckets", test_buckets},
    {"door.connections", test_connections},
    {"door.slow", test_slow},
    {"door.bodies", test_bodies},
    {"door.database_texts", test_database_texts},
    {"door.handshakes", test_handshakes},
    {"door.ready", test_ready},
    {"door.ready_stalled", test_ready_stalled},
    {"door.metrics", test_metrics},
    {"door.reload", test_reload},
    {"door.certificate_ends", test_certificate_ends},
    {"door.config", test_config},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
