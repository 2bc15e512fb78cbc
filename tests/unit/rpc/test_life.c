/* SPDX-License-Identifier: Apache-2.0 */
/* Servers and clients over time: several addresses, identities that change, ends in order, refusals that are told. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "rpc/rpc_fixture.h"

#include "rpc/server.h"

#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>

static ccz_rc call(struct ccz_rpc_client *c, const char *path, const struct ccz_rpc_call_cfg *cfg,
                   struct ccz_rpc_result *res, struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    memset(err, 0, sizeof(*err));
    return ccz_rpc_unary(&out, res, c, path, ccz_span_str("x"), cfg, err);
}

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 10000 && atomic_load(n) < want; i++)
        usleep(1000);
    CHECK(atomic_load(n) == want);
}

struct pending {
    atomic_int over;
    enum ccz_rpc_code code;
    char where[CCZ_ERR_WHERE_SIZE], message[CCZ_ERR_MSG_SIZE];
    unsigned attempts;
};

static void on_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    (void)response;
    struct pending *p = arg;
    p->code = res->code;
    p->attempts = res->attempts;
    if (err) {
        (void)snprintf(p->where, sizeof(p->where), "%s", err->where);
        (void)snprintf(p->message, sizeof(p->message), "%s", err->msg);
    }
    atomic_fetch_add(&p->over, 1);
}

static void begin(struct ccz_rpc_client *c, struct pending *p, const char *path,
                  const struct ccz_rpc_call_cfg *cfg)
{
    memset(p, 0, sizeof(*p));
    CHECK(ccz_rpc_unary_async(c, path, ccz_span_str("x"), cfg, on_done, p) == CCZ_OK);
}

/* --------------------------------------------------------------------------------- addresses */

enum { SERVERS = 3 };
static struct fixture servers[SERVERS];
static struct fixture user; /* the client of all of them */

static void open_servers(struct ccz_rpc_client_cfg cfg, const char *before, const char *after)
{
    char target[512];
    memset(servers, 0, sizeof(servers));
    memset(&user, 0, sizeof(user));
    (void)snprintf(target, sizeof(target), "%s", before);
    for (size_t i = 0; i < SERVERS; i++) {
        start_server(&servers[i], CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
        size_t at = strlen(target);
        (void)snprintf(target + at, sizeof(target) - at, "%s%s", i ? "," : "", servers[i].target);
    }
    size_t at = strlen(target);
    (void)snprintf(target + at, sizeof(target) - at, "%s", after);
    user.client_ctx = make_ctx(CCZ_RATLS_SESSION, false, &user.client_toy);
    cfg.target = target; /* copied */
    cfg.ratls = user.client_ctx;
    CHECK(ccz_rpc_client_new(&user.client, &cfg, NULL) == CCZ_OK);
}

static void close_servers(void)
{
    teardown(&user);
    for (size_t i = 0; i < SERVERS; i++)
        teardown(&servers[i]);
}

static int echoes_at(size_t i)
{
    return atomic_load(&servers[i].echoes);
}

/* Waits until every server has been heard of. */
static void meet_all(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    for (int i = 0; i < 2000; i++) {
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        if (echoes_at(0) && echoes_at(1) && echoes_at(2))
            return;
        usleep(2000);
    }
    CHECK(!"every server was asked");
}

/* Calls go in turn; an address where nobody is fails none. */
static void test_addresses(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    for (unsigned connections = 1; connections <= 2; connections++) {
        open_servers((struct ccz_rpc_client_cfg){.reconnect = true, .connections = connections},
                     "127.0.0.1:1,", ",[::1]:1");
        CHECK(ccz_rpc_client_connect(NULL, user.client, &err) == CCZ_OK);
        meet_all();
        int before[SERVERS];
        for (size_t i = 0; i < SERVERS; i++)
            before[i] = echoes_at(i);
        for (int i = 0; i < 30; i++)
            CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK && res.attempts == 1);
        for (size_t i = 0; i < SERVERS; i++)
            CHECK(echoes_at(i) - before[i] == 10);
        close_servers();
    }
}

/* One server ends, calls go to the others; it comes back, and gets its share again. */
static void test_address_lost(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    open_servers((struct ccz_rpc_client_cfg){.reconnect = true, .backoff_max_ms = 100}, "", "");
    meet_all();
    ccz_rpc_server_stop(servers[1].server, 1000);
    for (int i = 0; i < 100; i++)
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    int before = echoes_at(1);
    ccz_rpc_server_free(servers[1].server);
    struct ccz_rpc_server_cfg again = {.listen = strdup(servers[1].target)};
    start_server(&servers[1], CCZ_RATLS_SESSION, again);
    for (int i = 0; i < 2000 && echoes_at(1) == before; i++) {
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        usleep(2000);
    }
    CHECK(echoes_at(1) > before);
    close_servers();
    free((char *)(uintptr_t)again.listen);
}

/* Nobody is there; whoever waits is served by the first that comes. */
static void test_address_wait(void)
{
    struct ccz_rpc_call_cfg wait = {.timeout_ms = 20000, .wait_for_ready = true};
    struct pending p;
    open_servers((struct ccz_rpc_client_cfg){.reconnect = true, .backoff_max_ms = 100}, "", "");
    for (size_t i = 0; i < SERVERS; i++) {
        ccz_rpc_server_free(servers[i].server);
        servers[i].server = NULL;
    }
    /* a call on a connection that is about to be lost would end with it */
    while (ccz_rpc_client_connect(NULL, user.client, NULL) == CCZ_OK)
        usleep(1000);
    begin(user.client, &p, "/t.T/Echo", &wait);
    usleep(300000);
    CHECK(atomic_load(&p.over) == 0);
    struct ccz_rpc_server_cfg again = {.listen = strdup(servers[2].target)};
    start_server(&servers[2], CCZ_RATLS_SESSION, again);
    wait_for(&p.over, 1);
    CHECK(p.code == CCZ_RPC_OK && p.attempts == 1 && echoes_at(2) == 1);
    close_servers();
    free((char *)(uintptr_t)again.listen);
}

static void unavailable(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    struct fixture *f = arg;
    (void)request;
    atomic_fetch_add(&f->started, 1);
    ccz_rpc_finish(c, CCZ_RPC_UNAVAILABLE, "not now");
}

static void add_unavailable(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Unavailable", unavailable, f) == CCZ_OK);
}

/* Retries go to another address. */
static void test_address_retry(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct ccz_rpc_call_cfg cfg = {.retries = 2};
    memset(servers, 0, sizeof(servers));
    for (size_t i = 0; i < SERVERS; i++)
        servers[i].before_start = add_unavailable;
    char target[256] = "";
    memset(&user, 0, sizeof(user));
    for (size_t i = 0; i < 2; i++) {
        start_server(&servers[i], CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
        size_t at = strlen(target);
        (void)snprintf(target + at, sizeof(target) - at, "%s%s", i ? "," : "", servers[i].target);
    }
    user.client_ctx = make_ctx(CCZ_RATLS_SESSION, false, &user.client_toy);
    struct ccz_rpc_client_cfg ccfg = {
        .target = target, .ratls = user.client_ctx, .reconnect = true, .connections = 3};
    CHECK(ccz_rpc_client_new(&user.client, &ccfg, NULL) == CCZ_OK);
    while (!echoes_at(0) || !echoes_at(1))
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    for (int i = 1; i <= 5; i++) {
        CHECK(call(user.client, "/t.T/Unavailable", &cfg, &res, &err) == CCZ_E_UNAVAILABLE &&
              res.attempts == 3);
        int a = atomic_load(&servers[0].started), b = atomic_load(&servers[1].started);
        CHECK(a + b == 3 * i && a >= i && b >= i); /* never thrice the same */
    }
    cfg.retries = 1; /* also if another call took the other one's turn meanwhile */
    for (int i = 0; i < 5; i++) {
        struct pending p;
        int a = atomic_load(&servers[0].started), b = atomic_load(&servers[1].started);
        begin(user.client, &p, "/t.T/Unavailable", &cfg);
        while (atomic_load(&servers[0].started) + atomic_load(&servers[1].started) == a + b)
            usleep(100);
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        wait_for(&p.over, 1);
        CHECK(atomic_load(&servers[0].started) == a + 1 &&
              atomic_load(&servers[1].started) == b + 1);
    }
    close_servers();
}

/* The server says when to come again, or that not; and it is told how often we came. */
static void push_back(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    struct fixture *f = arg;
    (void)request;
    char want[12];
    struct ccz_span before = ccz_rpc_metadata(c, "grpc-previous-rpc-attempts");
    int n = atomic_fetch_add(&f->started, 1);
    (void)snprintf(want, sizeof(want), "%d", n);
    CHECK(n == 0 ? before.ptr == NULL : ccz_span_eq(before, ccz_span_str(want)));
    struct ccz_span ask = ccz_rpc_metadata(c, "x-ask");
    if (n == 0)
        ccz_rpc_add_trailer(c, "grpc-retry-pushback-ms", ask);
    if (n < 2)
        ccz_rpc_finish(c, CCZ_RPC_UNAVAILABLE, "not now");
    else
        ccz_rpc_reply(c, (struct ccz_span){0});
}

static void add_push_back(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/PushBack", push_back, f) == CCZ_OK);
}

static void test_retry_pushback(void)
{
    static const char *const never[] = {"-1", "", "1x", "0x10", "9999999999", "+5"};
    struct fixture f = {.before_start = add_push_back};
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct ccz_rpc_md ask = {.key = "x-ask"};
    struct ccz_rpc_call_cfg cfg = {.retries = 3, .metadata = &ask, .metadata_len = 1};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    ask.value = ccz_span_str("700");
    int64_t from = ccz_mono_ms();
    CHECK(call(f.client, "/t.T/PushBack", &cfg, &res, &err) == CCZ_OK && res.attempts == 3);
    CHECK(ccz_mono_ms() - from >= 700);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        atomic_store(&f.started, 0);
        ask.value = ccz_span_str(never[i]);
        CHECK(call(f.client, "/t.T/PushBack", &cfg, &res, &err) == CCZ_E_UNAVAILABLE);
        CHECK(res.attempts == 1 && atomic_load(&f.started) == 1);
    }
    teardown(&f);
}

/* The system's resolver, with a name of ours: "cloud.test" stands for what `cloud` lists. */
static const char *_Atomic cloud[4];

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **list)
{
    typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *,
                                  struct addrinfo **);
    getaddrinfo_fn real;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, "cloud.test") != 0)
        return real(host, port, hints, list);
    *list = NULL;
    for (size_t i = 0; i < 4 && cloud[i]; i++) {
        int rv = real(cloud[i], port, hints, list);
        CHECK(rv == 0 && *list && !(*list)->ai_next);
        list = &(*list)->ai_next;
    }
    return cloud[0] ? 0 : EAI_NONAME;
}

/* Of two families, one is used: the first that works. */
static void test_address_families(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    for (int reconnect = 0; reconnect < 2; reconnect++) {
        struct fixture f = {0};
        start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
        (void)snprintf(f.target, sizeof(f.target), "cloud.test:%u", ccz_rpc_server_port(f.server));
        cloud[0] = "::1"; /* where nobody is */
        cloud[1] = "127.0.0.1";
        make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = reconnect});
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        ccz_rpc_client_free(f.client);
        cloud[0] = "127.0.0.2"; /* of one family, all */
        make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = reconnect});
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        ccz_rpc_client_free(f.client);
        cloud[0] = "::1";
        cloud[1] = NULL;
        make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = reconnect});
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_E_UNAVAILABLE &&
              strcmp(err.where, "net:connect") == 0);
        teardown(&f);
    }
}

/* A family in which one address works is not left because another does not. */
static void test_address_family_kept(void)
{
    struct fixture f = {0}, late = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    struct ccz_rpc_server_cfg again = {.listen = strdup(f.target)};
    (void)snprintf(late.target, sizeof(late.target), "cloud.test:%u",
                   ccz_rpc_server_port(f.server));
    teardown(&f);
    cloud[0] = "127.0.0.1";
    cloud[1] = "127.0.0.2";
    cloud[2] = "::1";
    make_client(&late, CCZ_RATLS_SESSION,
                (struct ccz_rpc_client_cfg){.reconnect = true, .backoff_max_ms = 100});
    CHECK(ccz_rpc_client_connect(NULL, late.client, &err) == CCZ_E_UNAVAILABLE);
    usleep(500000);
    memset(&f, 0, sizeof(f));
    f.server_toy.delay_ms = 150; /* slower than the others are refused */
    start_server(&f, CCZ_RATLS_SESSION, again);
    for (int i = 0; i < 10000 && f.server_toy.attested == 0; i++)
        usleep(1000);
    usleep(1000000); /* the other one fails again and again */
    CHECK(call(late.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK && f.server_toy.attested == 1);
    teardown(&late);
    teardown(&f);
    free((char *)(uintptr_t)again.listen);
}

/* Servers of a name come and go: all have one port, and addresses of their own. */
static void test_address_moves(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    char at[SERVERS][64];
    memset(servers, 0, sizeof(servers));
    memset(&user, 0, sizeof(user));
    start_server(&servers[0], CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    unsigned port = ccz_rpc_server_port(servers[0].server);
    for (unsigned i = 1; i < SERVERS; i++) {
        (void)snprintf(at[i], sizeof(at[i]), "127.0.0.%u:%u", i + 1, port);
        start_server(&servers[i], CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.listen = at[i]});
    }
    cloud[0] = "127.0.0.1";
    cloud[1] = "127.0.0.2";
    (void)snprintf(user.target, sizeof(user.target), "cloud.test:%u", port);
    make_client(&user, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    while (!echoes_at(0) || !echoes_at(1))
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    CHECK(echoes_at(2) == 0);
    usleep(1100000);        /* names are not looked up more often than once a second */
    cloud[0] = "127.0.0.3"; /* the first machine is replaced */
    ccz_rpc_server_stop(servers[0].server, 1000);
    int before = echoes_at(1);
    for (int i = 0; i < 5000 && (!echoes_at(2) || echoes_at(1) == before); i++) {
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        usleep(1000);
    }
    CHECK(echoes_at(2) > 0 && echoes_at(1) > before);
    close_servers();
}

static void test_address_names(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct fixture f = {0};
    (void)snprintf(f.target, sizeof(f.target), "nobody.invalid:1,other.invalid:1");
    for (int reconnect = 0; reconnect < 2; reconnect++) {
        make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = reconnect});
        CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_UNAVAILABLE);
        CHECK(strcmp(err.where, "net:resolve") == 0);
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_E_UNAVAILABLE &&
              strcmp(err.where, "net:resolve") == 0);
        struct ccz_rpc_call_cfg wait = {.timeout_ms = 200, .wait_for_ready = true};
        CHECK(call(f.client, "/t.T/Echo", &wait, &res, &err) ==
              (reconnect ? CCZ_E_TIMEOUT : CCZ_E_UNAVAILABLE));
        ccz_rpc_client_free(f.client);
        f.client = NULL;
    }
    teardown(&f);
    /* a name without an address beside a server that is there */
    open_servers((struct ccz_rpc_client_cfg){.reconnect = true}, "nobody.invalid:1,", "");
    meet_all();
    close_servers();
}

/* All bad: the reason of the last, when the last has failed, and not before. */
static void test_addresses_bad(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    for (int reconnect = 0; reconnect < 2; reconnect++) {
        (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:1,127.0.0.1:2,[::1]:3");
        make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = reconnect});
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_E_UNAVAILABLE &&
              strcmp(err.where, "net:connect") == 0);
        CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_UNAVAILABLE);
        ccz_rpc_client_free(f.client);
        f.client = NULL;
    }
    teardown(&f);
    /* without reconnection, one that is there is enough, and its end is final */
    open_servers((struct ccz_rpc_client_cfg){0}, "127.0.0.1:1,", "");
    meet_all();
    for (size_t i = 0; i < SERVERS; i++)
        ccz_rpc_server_stop(servers[i].server, 1000);
    for (int i = 0; i < 500; i++) {
        if (call(user.client, "/t.T/Echo", NULL, &res, &err) != CCZ_OK)
            break;
        usleep(1000);
    }
    struct ccz_rpc_call_cfg wait = {.timeout_ms = 20000, .wait_for_ready = true};
    int64_t from = ccz_mono_ms();
    CHECK(call(user.client, "/t.T/Echo", &wait, &res, &err) != CCZ_OK &&
          res.code == CCZ_RPC_UNAVAILABLE && ccz_mono_ms() - from < 15000);
    close_servers();
}

/* --------------------------------------------------------------------------------- keepalive */

static atomic_bool blocked;

/* The loop of the server stands still, as if the machine did. */
static void block(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    (void)c, (void)arg, (void)request;
    while (atomic_load(&blocked))
        usleep(1000);
    ccz_rpc_finish(c, CCZ_RPC_OK, NULL);
}

static void add_block(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Block", block, f) == CCZ_OK);
}

static void test_client_keepalive(void)
{
    struct fixture f = {.before_start = add_block};
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct pending p;
    const struct ccz_rpc_call_cfg forever = {.timeout_ms = 300000}; /* no deadline gets in first */
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION,
                (struct ccz_rpc_client_cfg){.reconnect = true, .keepalive_ms = 1500});
    begin(f.client, &p, "/t.T/Hold", &forever); /* silent, but alive: PINGs are answered */
    wait_for(&f.started, 1);
    usleep(3500000); /* twice */
    CHECK(atomic_load(&p.over) == 0);
    atomic_store(&blocked, true);
    CHECK(call(f.client, "/t.T/Block", &forever, &res, &err) != CCZ_OK);
    CHECK(res.code == CCZ_RPC_UNAVAILABLE && strcmp(err.where, "rpc:keepalive") == 0);
    wait_for(&p.over, 1);
    CHECK(p.code == CCZ_RPC_UNAVAILABLE);
    atomic_store(&blocked, false);
    struct ccz_rpc_call_cfg wait = {.wait_for_ready = true};
    CHECK(call(f.client, "/t.T/Echo", &wait, &res, &err) == CCZ_OK);
    teardown(&f);
}

/* --------------------------------------------------------------------------- ages, ends, signals */

static void test_age_grace(void)
{
    struct fixture f = {0};
    struct pending old, other;
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(
        &f, CCZ_RATLS_SESSION,
        (struct ccz_rpc_server_cfg){.connection_age_ms = 300, .connection_age_grace_ms = 2000});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    int64_t from = ccz_mono_ms();
    begin(f.client, &old, "/t.T/Hold", NULL);
    wait_for(&f.started, 1);
    while (f.client_toy.attested < 2) /* others go on, on new connections */
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    bool still = atomic_load(&old.over) == 0;
    CHECK(still || ccz_mono_ms() - from >= 2270);
    wait_for(&old.over, 1);
    CHECK(ccz_mono_ms() - from >= 2270); /* 270 and 2000 */
    CHECK(old.code == CCZ_RPC_UNAVAILABLE && strstr(old.message, "too old"));
    begin(f.client, &other, "/t.T/Hold", NULL);
    wait_for(&f.started, 2);
    teardown(&f);
    CHECK(other.over == 1);
}

/* Connections that came together do not get old together. */
static void test_age_spread(void)
{
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t ms = cczi_spread_ms(10000);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    CHECK(least >= 9000 && least < 9200 && most <= 11000 && most > 10800);
    CHECK(cczi_spread_ms(1) <= 2 && cczi_spread_ms(INT64_MAX / 2) > 0);
}

static void *stop_server(void *arg)
{
    ccz_rpc_server_stop(arg, 20000);
    return NULL;
}

/* No call is lost or sent twice because a server stops: what comes too late for one goes to the other. */
static void test_stop_loses_nothing(void)
{
    enum { CALLS = 400 };
    static struct pending p[CALLS];
    pthread_t t;
    open_servers((struct ccz_rpc_client_cfg){.reconnect = true}, "", "");
    meet_all();
    int before = echoes_at(0) + echoes_at(1) + echoes_at(2);
    for (size_t i = 0; i < CALLS; i++) {
        begin(user.client, &p[i], "/t.T/Echo", NULL);
        if (i == CALLS / 2)
            CHECK(pthread_create(&t, NULL, stop_server, servers[0].server) == 0);
        if (i % 8 == 0)
            usleep(500);
    }
    for (size_t i = 0; i < CALLS; i++) {
        wait_for(&p[i].over, 1);
        CHECK(p[i].code == CCZ_RPC_OK && p[i].attempts <= 2); /* 2: the client heard too late */
    }
    pthread_join(t, NULL);
    CHECK(echoes_at(0) + echoes_at(1) + echoes_at(2) == before + CALLS);
    close_servers();
}

static void *serve(void *arg)
{
    struct ccz_rpc_server *const *s = arg;
    ccz_rpc_serve(s, 2, 60000);
    return NULL;
}

static void test_signals(void)
{
    ccz_rpc_signals_block(); /* before there are other threads */
    struct fixture a, b;
    pthread_t t;
    struct pending later, held;
    setup(&a, CCZ_RATLS_SESSION);
    setup(&b, CCZ_RATLS_SESSION);
    struct ccz_rpc_server *s[] = {a.server, b.server};
    const struct ccz_rpc_md md = {"x-text", ccz_span_str("late")};
    struct ccz_rpc_call_cfg cfg = {.metadata = &md, .metadata_len = 1};
    CHECK(ccz_rpc_client_connect(NULL, a.client, NULL) == CCZ_OK);
    begin(b.client, &held, "/t.T/Hold", NULL);
    wait_for(&b.started, 1);
    CHECK(pthread_create(&t, NULL, serve, s) == 0);
    begin(a.client, &later, "/t.T/Later", &cfg);
    wait_for(&a.later, 1);
    CHECK(kill(getpid(), SIGTERM) == 0); /* would end us, were it not blocked */
    wait_for(&later.over, 1);
    CHECK(later.code == CCZ_RPC_OK); /* was in flight, and is answered */
    usleep(300000);
    CHECK(atomic_load(&held.over) == 0);
    int64_t from = ccz_mono_ms();
    CHECK(kill(getpid(), SIGINT) == 0); /* enough */
    pthread_join(t, NULL);
    CHECK(ccz_mono_ms() - from < 30000);
    wait_for(&held.over, 1);
    CHECK(held.code == CCZ_RPC_UNAVAILABLE && atomic_load(&b.cancelled) == 1);
    teardown(&a);
    teardown(&b);
}

/* ---------------------------------------------------------------------------------- identity */

static void peer_key(uint8_t spki[32], struct ccz_rpc_client *c)
{
    struct ccz_ratls_peer peer;
    struct ccz_err err;
    CHECK(ccz_rpc_client_connect(&peer, c, &err) == CCZ_OK);
    memcpy(spki, peer.spki_sha256, 32);
}

/* A server changes its identity: calls in flight go on, new connections see the new one. */
static void test_rotate_server(void)
{
    struct fixture f, late = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct pending held;
    uint8_t before[32], same[32], after[32];
    setup(&f, CCZ_RATLS_SESSION);
    begin(f.client, &held, "/t.T/Hold", NULL);
    wait_for(&f.started, 1);
    peer_key(before, f.client);
    struct toy fresh_toy = {0};
    struct ccz_ratls_ctx *fresh = make_ctx(CCZ_RATLS_SESSION, true, &fresh_toy);
    ccz_rpc_server_set_ratls(f.server, fresh);
    ccz_ratls_ctx_free(f.server_ctx); /* nobody holds the old one but what uses it */
    f.server_ctx = fresh;
    for (int i = 0; i < 50; i++)
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    peer_key(same, f.client);
    CHECK(memcmp(before, same, 32) == 0 && fresh_toy.attested == 0); /* the old connection */
    memcpy(late.target, f.target, sizeof(late.target));
    make_client(&late, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    peer_key(after, late.client);
    CHECK(memcmp(before, after, 32) != 0 && fresh_toy.attested == 1);
    CHECK(atomic_load(&held.over) == 0);
    CHECK(ccz_rpc_server_recycle(f.server) == CCZ_OK);
    for (int i = 0; i < 5000; i++) { /* no call fails while connections are replaced */
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        peer_key(same, f.client);
        if (memcmp(same, after, 32) == 0)
            break;
    }
    CHECK(memcmp(same, after, 32) == 0 && atomic_load(&held.over) == 0);
    teardown(&late);
    teardown(&f);
}

struct pins {
    uint8_t spki[32];
    atomic_int refused;
};

static ccz_rc pin(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    struct pins *p = arg;
    uint8_t hash[32];
    CHECK(ccz_sha256(hash, spki) == CCZ_OK);
    if (memcmp(hash, p->spki, 32) == 0)
        return CCZ_OK;
    atomic_fetch_add(&p->refused, 1);
    return ccz_fail(err, CCZ_E_DENIED, "test:pin", 0, "another key");
}

/* Whoever holds on to the identity that was rotated away meets it no more. */
static void test_rotated_away(void)
{
    static const char *const h2[] = {"h2", NULL};
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct pins pins = {0};
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    peer_key(pins.spki, f.client);
    struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                .now_s = INT64_C(1767225600),
                                .peer_evidence_optional = true,
                                .pin = pin,
                                .pin_arg = &pins,
                                .alpn = h2};
    struct ccz_ratls_ctx *pinned;
    struct ccz_rpc_client *c;
    CHECK(ccz_ratls_ctx_new(&pinned, &cfg, NULL) == CCZ_OK);
    struct ccz_rpc_client_cfg ccfg = {.target = f.target, .ratls = pinned};
    CHECK(ccz_rpc_client_new(&c, &ccfg, NULL) == CCZ_OK);
    CHECK(call(c, "/t.T/Echo", NULL, &res, &err) == CCZ_OK && pins.refused == 0);
    struct ccz_ratls_ctx *fresh = make_ctx(CCZ_RATLS_TLS_ONLY_INSECURE, true, NULL);
    ccz_rpc_server_set_ratls(f.server, fresh);
    CHECK(call(c, "/t.T/Echo", NULL, &res, &err) == CCZ_OK); /* a connection that stands */
    ccz_rpc_client_free(c);
    CHECK(ccz_rpc_client_new(&c, &ccfg, NULL) == CCZ_OK);
    CHECK(call(c, "/t.T/Echo", NULL, &res, &err) == CCZ_E_DENIED && pins.refused == 1);
    CHECK(strcmp(err.where, "test:pin") == 0 && res.code == CCZ_RPC_PERMISSION_DENIED);
    ccz_rpc_client_free(c);
    ccz_ratls_ctx_free(pinned);
    ccz_ratls_ctx_free(fresh);
    teardown(&f);
}

/* Clients too: the server sees the new key on new connections only. */
static void test_rotate_client(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct pending held;
    setup(&f, CCZ_RATLS_SESSION);
    begin(f.client, &held, "/t.T/Hold", NULL);
    wait_for(&f.started, 1);
    struct toy fresh_toy = {0};
    struct ccz_ratls_ctx *fresh = make_ctx(CCZ_RATLS_SESSION, false, &fresh_toy);
    ccz_rpc_client_set_ratls(f.client, fresh);
    ccz_ratls_ctx_free(f.client_ctx);
    f.client_ctx = fresh;
    for (int i = 0; i < 20; i++)
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    CHECK(fresh_toy.attested == 0);
    CHECK(ccz_rpc_client_recycle(f.client) == CCZ_OK);
    for (int i = 0; i < 2000 && fresh_toy.attested == 0; i++)
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    CHECK(fresh_toy.attested == 1 && atomic_load(&held.over) == 0);
    CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    ccz_rpc_client_free(f.client);
    CHECK(held.over == 1);
    /* also a client that would not replace a lost connection */
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.connections = 2});
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_OK && fresh_toy.attested == 3);
    CHECK(ccz_rpc_client_recycle(f.client) == CCZ_OK);
    for (int i = 0; i < 2000 && fresh_toy.attested < 5; i++)
        CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    CHECK(fresh_toy.attested == 5);
    CHECK(call(f.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    teardown(&f);
}

/* ---------------------------------------------------------------------------------- refusals */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[16384];

static void keep_log(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg, (void)level, (void)module;
    pthread_mutex_lock(&log_lock);
    size_t at = strlen(logged);
    (void)snprintf(logged + at, sizeof(logged) - at, "%s\n", line);
    pthread_mutex_unlock(&log_lock);
}

static bool was_logged(const char *what)
{
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&log_lock);
        bool found = strstr(logged, what) != NULL;
        pthread_mutex_unlock(&log_lock);
        if (found)
            return true;
        usleep(1000);
    }
    fprintf(stderr, "not in the log: %s\n%s", what, logged);
    return false;
}

/* In every profile both sides know the reason. */
static void refused_by(bool server, enum ccz_ratls_profile profile)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    logged[0] = 0;
    ccz_log_install(keep_log, NULL, CCZ_LOG_DEBUG);
    start_server(&f, profile, (struct ccz_rpc_server_cfg){0});
    (server ? &f.server_toy : &f.client_toy)->appraise_rc = CCZ_E_POLICY;
    make_client(&f, profile, (struct ccz_rpc_client_cfg){.reconnect = true});
    struct ccz_rpc_call_cfg cfg = {.retries = 5}; /* nobody knocks again */
    CHECK(call(f.client, "/t.T/Echo", &cfg, &res, &err) == (server ? CCZ_E_PEER : CCZ_E_POLICY));
    CHECK(res.code == CCZ_RPC_PERMISSION_DENIED && atomic_load(&f.echoes) == 0);
    CHECK(res.attempts <= 1);
    CHECK(strcmp(err.where, server ? "peer:policy:mrenclave" : "policy:mrenclave") == 0);
    CHECK(strcmp(err.got, "11aa") == 0 && strcmp(err.expected, "22bb") == 0);
    if (server)
        CHECK(err.aux == CCZ_E_POLICY && was_logged(" where=policy:mrenclave got=\"11aa\""));
    else
        CHECK(was_logged(" where=peer:policy:mrenclave got=\"11aa\" expected=\"22bb\""));
    ccz_rpc_client_free(f.client);
    make_client(&f, profile, (struct ccz_rpc_client_cfg){0});
    struct ccz_rpc_stream *s; /* streams are not sent again, and know why too */
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, 100);
    CHECK(ccz_rpc_stream_open(&s, f.client, "/t.T/Bidi", NULL, &err) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&msg, s, &res, &err) == (server ? CCZ_E_PEER : CCZ_E_POLICY));
    CHECK(strcmp(err.where, server ? "peer:policy:mrenclave" : "policy:mrenclave") == 0);
    ccz_rpc_stream_free(s);
    teardown(&f);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
}

static void test_refusals_told(void)
{
    for (int server = 0; server < 2; server++) {
        refused_by(server, CCZ_RATLS_SESSION);
        refused_by(server, CCZ_RATLS_CERTIFICATE);
        refused_by(server, CCZ_RATLS_HANDSHAKE);
    }
}

/* A server that refuses us is one bad address among others: what it did not begin goes to the next. */
static void test_refused_by_one(void)
{
    struct ccz_rpc_result res;
    struct ccz_err err;
    char target[160];
    memset(servers, 0, sizeof(servers));
    memset(&user, 0, sizeof(user));
    for (size_t i = 0; i < 2; i++)
        start_server(&servers[i], CCZ_RATLS_CERTIFICATE, (struct ccz_rpc_server_cfg){0});
    servers[0].server_toy.appraise_rc = CCZ_E_POLICY;
    (void)snprintf(target, sizeof(target), "%s,%s", servers[0].target, servers[1].target);
    user.client_ctx = make_ctx(CCZ_RATLS_CERTIFICATE, false, &user.client_toy);
    struct ccz_rpc_client_cfg cfg = {
        .target = target, .ratls = user.client_ctx, .reconnect = true, .backoff_max_ms = 100};
    CHECK(ccz_rpc_client_new(&user.client, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_rpc_client_connect(NULL, user.client, &err) == CCZ_OK);
    while (!echoes_at(1))
        (void)(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    int64_t until = ccz_mono_ms() + 1000;
    for (int i = 0; i < 50 || ccz_mono_ms() < until; i++)
        CHECK(call(user.client, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    CHECK(echoes_at(0) == 0);
    close_servers();
}

/* What is in GOAWAY comes from a stranger. */
static void test_refusal_text(void)
{
    struct ccz_err why, got;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    (void)ccz_refuse(&why, CCZ_E_POLICY, "policy:mrtd", "", "");
    (void)snprintf(why.got, sizeof(why.got), "a b%%=\n\x01");
    (void)snprintf(why.msg, sizeof(why.msg), "got=x where=y");
    (void)ccz_hint(&why, CCZ_E_POLICY, "50 % more");
    cczi_refusal_text(&text, &why);
    CHECK(cczi_refusal_parse(&got, ccz_buf_span(&text)));
    CHECK(got.rc == CCZ_E_PEER && got.aux == CCZ_E_POLICY);
    CHECK(strcmp(got.where, "peer:policy:mrtd") == 0 && got.expected[0] == 0);
    CHECK(strcmp(got.got, "a b%=\\x0a\\x01") == 0); /* escaped for logs */
    CHECK(strcmp(got.msg, "got=x where=y; peer's hint: 50 % more") == 0);
    for (size_t size = 0; size < text.size; size++) { /* cut anywhere */
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, text.ptr, size);
        struct ccz_err cut = {0};
        CHECK(cczi_refusal_parse(&cut, CCZ_SPAN(copy, size)) == (size >= strlen("ccz-refusal:")));
        free(copy);
    }
    CCZ_AUTO_BUF frame; /* the same instead of a server's SETTINGS: whole or not at all */
    ccz_buf_init(&frame, 4096);
    cczi_refusal_by_server(NULL, &frame, &why);
    CHECK(cczi_refusal_at_once(&got, ccz_buf_span(&frame)));
    CHECK(strcmp(got.where, "peer:policy:mrtd") == 0 && got.aux == CCZ_E_POLICY);
    for (size_t size = 0; size < frame.size; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, frame.ptr, size);
        CHECK(!cczi_refusal_at_once(&got, CCZ_SPAN(copy, size)));
        free(copy);
    }
    frame.ptr[3] = 4; /* SETTINGS with such bytes */
    CHECK(!cczi_refusal_at_once(&got, ccz_buf_span(&frame)));
    static const char *const none[] = {"", "too_many_pings", "ccz-refusal", " ccz-refusal:"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CHECK(!cczi_refusal_parse(&got, ccz_span_str(none[i])));
    static char large[5000] = "ccz-refusal: where=";
    memset(large + 19, 'w', sizeof(large) - 20);
    CHECK(!cczi_refusal_parse(&got, ccz_span_str(large)));
    large[2000] = 0;
    CHECK(cczi_refusal_parse(&got, ccz_span_str(large)) && strlen(got.where) < CCZ_ERR_WHERE_SIZE);
}

/* ----------------------------------------------------------------------------------- threads */

static pthread_t seen[64];
static atomic_int seen_len;

static void who(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    int i = 0, n = atomic_load(&seen_len);
    while (i < n && !pthread_equal(seen[i], pthread_self()))
        i++;
    if (i == n && n < 64) {
        seen[n] = pthread_self();
        atomic_store(&seen_len, n + 1);
    }
    pthread_mutex_unlock(&lock);
    ccz_rpc_reply(c, (struct ccz_span){0});
}

static void add_who(struct fixture *f)
{
    CHECK(ccz_rpc_server_add_unary(f->server, "/t.T/Who", who, f) == CCZ_OK);
}

/* Each loop gets its share of the connections. 64 connections leave one of 4 out once in 2^25 runs. */
static void test_threads_spread(void)
{
    enum { CONNS = 64 };
    struct fixture f = {.before_start = add_who};
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                 (struct ccz_rpc_server_cfg){.threads = 4, .handshake_timeout_ms = 60000});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE,
                (struct ccz_rpc_client_cfg){.connections = CONNS, .connect_timeout_ms = 60000});
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_OK);
    for (int i = 0; i < CONNS; i++)
        CHECK(call(f.client, "/t.T/Who", NULL, &res, &err) == CCZ_OK);
    CHECK(atomic_load(&seen_len) == 4);
    teardown(&f);
}

static const struct ccz_test tests[] = {
    {"rpc.addresses", test_addresses},
    {"rpc.address_lost", test_address_lost},
    {"rpc.address_wait", test_address_wait},
    {"rpc.retry_pushback", test_retry_pushback},
    {"rpc.address_retry", test_address_retry},
    {"rpc.address_names", test_address_names},
    {"rpc.address_families", test_address_families},
    {"rpc.address_family_kept", test_address_family_kept},
    {"rpc.address_moves", test_address_moves},
    {"rpc.addresses_bad", test_addresses_bad},
    {"rpc.client_keepalive", test_client_keepalive},
    {"rpc.age_grace", test_age_grace},
    {"rpc.age_spread", test_age_spread},
    {"rpc.stop_loses_nothing", test_stop_loses_nothing},
    {"rpc.signals", test_signals},
    {"rpc.rotate_server", test_rotate_server},
    {"rpc.rotated_away", test_rotated_away},
    {"rpc.rotate_client", test_rotate_client},
    {"rpc.refusals_told", test_refusals_told},
    {"rpc.refused_by_one", test_refused_by_one},
    {"rpc.refusal_text", test_refusal_text},
    {"rpc.threads_spread", test_threads_spread},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
