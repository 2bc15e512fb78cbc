/* SPDX-License-Identifier: Apache-2.0 */
/* Channels over gRPC: messages of all sizes, waiting, ends of every kind, hostile frames. */
#include "rpc_fixture.h"

#include <cczoo/rpc_chan.h>

#include "rpc/chan.h"

enum { MIB = 1 << 20 };

static struct ccz_rpc_chan_server_cfg chan_cfg; /* of the next server */
static struct ccz_rpc_chan_server *chans;

static void add_channels(struct fixture *f)
{
    CHECK(ccz_rpc_chan_server_new(&chans, f->server, &chan_cfg, NULL) == CCZ_OK);
    struct ccz_rpc_chan_server *twice;
    struct ccz_err err;
    CHECK(ccz_rpc_chan_server_new(&twice, f->server, NULL, &err) == CCZ_E_EXISTS && !twice);
    CHECK(strcmp(err.where, "rpc-chan:method") == 0);
}

static void start(struct fixture *f, struct ccz_rpc_chan_server_cfg cfg)
{
    memset(f, 0, sizeof(*f));
    chan_cfg = cfg;
    f->before_start = add_channels;
    start_server(f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
}

static void stop(struct fixture *f)
{
    teardown(f);
    ccz_rpc_chan_server_free(chans);
    chans = NULL;
}

struct ends {
    struct ccz_chan *a, *b; /* client's, server's */
};

static struct ends join(struct fixture *f, struct ccz_rpc_chan_limits limits)
{
    struct ends e;
    struct ccz_err err = {0};
    ccz_rc rc =
        ccz_rpc_chan_connect(&e.a, f->client, &(struct ccz_rpc_chan_cfg){.limits = limits}, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    CHECK(ccz_rpc_chan_accept(&e.b, chans, NULL, NULL, 5000, NULL) == CCZ_OK);
    return e;
}

static void part(struct ends *e)
{
    ccz_chan_free(e->a);
    ccz_chan_free(e->b);
}

static void send_text(struct ccz_chan *c, const char *text)
{
    CHECK(ccz_chan_send(c, ccz_span_str(text), NULL) == CCZ_OK);
}

static void expect_text(struct ccz_chan *c, const char *text)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1000);
    CHECK(ccz_chan_recv(&b, c, NULL) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&b), ccz_span_str(text)));
}

/* The next receive fails as given. */
static void expect_end(struct ccz_chan *c, const char *text)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1000);
    int64_t start_ms = ccz_mono_ms();
    ccz_rc rc = ccz_chan_recv(&b, c, &err);
    if (rc != CCZ_E_CLOSED || !strstr(err.msg, text))
        fprintf(stderr, "%d %s: %s\n", rc, err.where, err.msg);
    CHECK(rc == CCZ_E_CLOSED && strcmp(err.where, "chan:closed") == 0);
    CHECK(strstr(err.msg, text));
    CHECK(ccz_mono_ms() - start_ms < 20000);
    CHECK(ccz_chan_send(c, ccz_span_str("x"), &err) == CCZ_E_CLOSED);
}

/* The peer of a channel is the server that it leads to, whichever connection of its client is the newest. */
static void test_peer(void)
{
    enum { SERVERS = 2, CHANNELS = 4 };
    static struct fixture f[SERVERS];
    struct ccz_rpc_chan_server *at[SERVERS];
    struct ccz_ratls_peer peers[SERVERS];
    struct ccz_rpc_client *client;
    char target[160];
    unsigned met[SERVERS] = {0};
    for (size_t i = 0; i < SERVERS; i++) {
        start(&f[i], (struct ccz_rpc_chan_server_cfg){0});
        at[i] = chans;
        CHECK(ccz_rpc_client_connect(&peers[i], f[i].client, NULL) == CCZ_OK);
    }
    (void)snprintf(target, sizeof(target), "%s,%s", f[0].target, f[1].target);
    const struct ccz_rpc_client_cfg cfg = {.target = target, .ratls = f[0].client_ctx};
    CHECK(ccz_rpc_client_new(&client, &cfg, NULL) == CCZ_OK);
    for (size_t n = 0; n < CHANNELS || !met[0] || !met[1]; n++) { /* until both are connected */
        struct ccz_chan *a, *b = NULL;
        const struct ccz_rpc_chan_cfg chan = {.lifetime_ms = INT64_MAX};
        CHECK(ccz_rpc_chan_connect(&a, client, &chan, NULL) == CCZ_OK);
        size_t i = 0;
        while (ccz_rpc_chan_accept(&b, at[i], NULL, NULL, 10, NULL) != CCZ_OK)
            i = (i + 1) % SERVERS;
        met[i]++;
        CHECK(memcmp(ccz_rpc_chan_peer(a)->spki_sha256, peers[i].spki_sha256, 32) == 0);
        CHECK(memcmp(peers[0].spki_sha256, peers[1].spki_sha256, 32) != 0);
        part(&(struct ends){a, b});
    }
    ccz_rpc_client_free(client);
    for (size_t i = 0; i < SERVERS; i++) {
        teardown(&f[i]);
        ccz_rpc_chan_server_free(at[i]);
    }
    chans = NULL;
}

/* ------------------------------------------------------------------------------------ frames */

static void test_frames(void)
{
    enum cczi_chan_kind kind;
    struct ccz_span data;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1000);
    for (unsigned k = CCZI_CHAN_LAST; k <= CCZI_CHAN_OPEN; k++) {
        for (size_t size = k == CCZI_CHAN_MORE; size < 300; size += 149) {
            ccz_buf_clear(&b);
            cczi_chan_frame_put(&b, (enum cczi_chan_kind)k, size);
            for (size_t i = 0; i < size; i++)
                ccz_buf_u8(&b, (uint8_t)i);
            CHECK(cczi_chan_frame_get(&kind, &data, ccz_buf_span(&b), &err) == CCZ_OK);
            CHECK(kind == k && data.size == size && (size < 2 || data.ptr[1] == 1));
            for (size_t cut = 1; cut < b.size && size > 0;
                 cut++) { /* no frame, or one without data */
                ccz_rc rc = cczi_chan_frame_get(&kind, &data, CCZ_SPAN(b.ptr, cut), &err);
                CHECK(rc == CCZ_E_PEER || (rc == CCZ_OK && data.size == 0 && cut == 2));
            }
        }
    }
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"\x08\x04", 2},                                      /* unknown kind */
               {"\x08\x01", 2},                                      /* an empty part */
               {"\x08\x00\x08\x00", 4},                              /* twice */
               {"\x12\x01x\x12\x01x", 6},                            /* twice */
               {"\x0a\x01x", 3},                                     /* wrong type */
               {"\x10\x01", 2},                                      /* wrong type */
               {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11}, /* above 2^64 */
               {"\xff", 1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(cczi_chan_frame_get(&kind, &data, CCZ_SPAN(bad[i].bytes, bad[i].size), &err) ==
              CCZ_E_PEER);
        CHECK(strcmp(err.where, "rpc-chan:frame") == 0);
        CHECK(kind == CCZI_CHAN_LAST && data.size == 0);
    }
    /* unknown fields are for later versions */
    CHECK(cczi_chan_frame_get(&kind, &data, CCZ_SPAN("\x18\x05\x12\x01x", 5), &err) == CCZ_OK);
    CHECK(kind == CCZI_CHAN_LAST && data.size == 1);
}

/* ---------------------------------------------------------------------------------- messages */

static void fill(uint8_t *p, size_t size)
{
    uint32_t x = (uint32_t)size + 1;
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

static void pass(struct ccz_chan *from, struct ccz_chan *to, uint8_t *out, uint8_t *in, size_t size)
{
    fill(out, size);
    CHECK(ccz_chan_send(from, CCZ_SPAN(out, size), NULL) == CCZ_OK);
    memset(in, 0, size);
    CHECK(ccz_chan_recv_exact(in, size, to, NULL) == CCZ_OK);
    CHECK(memcmp(in, out, size) == 0);
    /* the same with the message's own memory; what is to be wiped is copied */
    for (int wipe = 0; wipe < 2; wipe++) {
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, size + 1);
        b.wipe = wipe;
        ccz_buf_put(&b, out, size);
        const uint8_t *before = b.ptr;
        CHECK(ccz_chan_send_buf(from, &b, NULL) == CCZ_OK && b.size == 0 && !b.bad);
        CHECK(!wipe || !before || b.ptr == before);
        memset(in, 0, size);
        CHECK(ccz_chan_recv_exact(in, size, to, NULL) == CCZ_OK);
        CHECK(memcmp(in, out, size) == 0);
    }
}

static void test_messages(void)
{
    enum { F = CCZI_CHAN_FRAME_SIZE };
    static const size_t sizes[] = {0, 1, 1000, 16383, 16384, F - 1, F, F + 1, 2 * F, 5 * MIB + 3};
    static uint8_t out[6 * MIB], in[6 * MIB];
    struct fixture f;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    struct ends e = join(&f, (struct ccz_rpc_chan_limits){0});
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pass(e.a, e.b, out, in, sizes[i]);
        pass(e.b, e.a, out, in, sizes[i]);
    }
    /* in pieces across the borders of frames */
    fill(out, sizeof(out));
    const struct ccz_span parts[] = {
        CCZ_SPAN(out, 7), {0}, CCZ_SPAN(out + 7, F), CCZ_SPAN(out + 7 + F, 2 * F)};
    CHECK(ccz_chan_send_parts(e.a, parts, 4, NULL) == CCZ_OK);
    CHECK(ccz_chan_recv_exact(in, 7 + 3 * F, e.b, NULL) == CCZ_OK);
    CHECK(memcmp(in, out, 7 + 3 * F) == 0);
    CHECK(ccz_rpc_chan_peer(e.a)->attested && ccz_rpc_chan_peer(e.b)->attested);
    CHECK(ccz_rpc_chan_peer(e.a)->fresh);
    CHECK(strcmp(ccz_rpc_chan_channel(e.b), "default") == 0);
    CHECK(strcmp(ccz_rpc_chan_party(e.b), "client") == 0);
    CHECK(strcmp(ccz_rpc_chan_party(e.a), "client") == 0);
    CHECK(strcmp(ccz_chan_name(e.b), "client/default") == 0);
    part(&e);
    stop(&f);
    /* not one of ours */
    CHECK(ccz_chan_pair(&e.a, &e.b, NULL, NULL) == CCZ_OK);
    CHECK(!ccz_rpc_chan_peer(e.a) && !ccz_rpc_chan_party(e.a) && !ccz_rpc_chan_channel(e.a));
    part(&e);
}

struct big {
    struct ccz_chan *c;
    uint8_t *bytes;
    size_t size;
};

static void *exchange(void *arg)
{
    struct big *b = arg;
    for (int round = 0; round < 2; round++) {
        CHECK(ccz_chan_send(b->c, CCZ_SPAN(b->bytes, b->size), NULL) == CCZ_OK);
        CHECK(ccz_chan_recv_exact(b->bytes, b->size, b->c, NULL) == CCZ_OK);
    }
    return NULL;
}

/* Both send 24 MiB, more than any window or queue, before either receives. */
static void test_exchange(void)
{
    enum { SIZE = 24 * MIB };
    struct ccz_rpc_chan_limits limits = {.queue_size_max = MIB};
    struct fixture f;
    pthread_t t;
    start(&f, (struct ccz_rpc_chan_server_cfg){.limits = limits});
    struct ends e = join(&f, limits);
    struct big a = {e.a, malloc(SIZE), SIZE}, b = {e.b, malloc(SIZE), SIZE};
    CHECK(a.bytes && b.bytes);
    memset(a.bytes, 1, SIZE);
    memset(b.bytes, 2, SIZE);
    ccz_chan_set_timeout(e.a, 20000);
    ccz_chan_set_timeout(e.b, 20000);
    CHECK(pthread_create(&t, NULL, exchange, &b) == 0);
    exchange(&a);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(a.bytes[0] == 1 && a.bytes[SIZE - 1] == 1 && b.bytes[SIZE / 2] == 2); /* and back */
    CHECK(ccz_chan_stats(e.a).rounds == 2);
    free(a.bytes);
    free(b.bytes);
    part(&e);
    stop(&f);
}

/* Nobody receives: what a sender gets rid of is bounded, then it waits; later everything arrives. */
static void fill_up(struct ccz_chan *from, struct ccz_chan *to)
{
    static uint8_t block[100000], in[sizeof(block)];
    struct ccz_err err = {0};
    size_t sent = 0;
    ccz_chan_set_timeout(from, 300);
    for (; sent < 1000; sent++) {
        fill(block, sizeof(block) - sent);
        if (ccz_chan_send(from, CCZ_SPAN(block, sizeof(block) - sent), &err) != CCZ_OK)
            break;
    }
    CHECK(strcmp(err.where, "chan:send-timeout") == 0);
    CHECK(sent > 10 && sent < 200);
    for (size_t i = 0; i < sent; i++) {
        CHECK(ccz_chan_recv_exact(in, sizeof(in) - i, to, NULL) == CCZ_OK);
        fill(block, sizeof(block) - i);
        CHECK(memcmp(in, block, sizeof(block) - i) == 0);
    }
}

static void test_bounded(void)
{
    struct ccz_rpc_chan_limits limits = {.queue_size_max = MIB};
    struct fixture f;
    start(&f, (struct ccz_rpc_chan_server_cfg){.limits = limits});
    struct ends e = join(&f, limits);
    fill_up(e.a, e.b);
    fill_up(e.b, e.a);
    part(&e);
    stop(&f);
}

static void *count_up(void *arg)
{
    for (uint64_t i = 0; i < 5000; i++)
        CHECK(ccz_chan_send(arg, CCZ_SPAN(&i, i % 9), NULL) == CCZ_OK);
    return NULL;
}

static void *expect_count(void *arg)
{
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t got;
        CHECK(ccz_chan_recv_exact(&got, i % 9, arg, NULL) == CCZ_OK);
        CHECK(memcmp(&got, &i, i % 9) == 0);
    }
    return NULL;
}

static void test_threads(void)
{
    struct fixture f;
    pthread_t t[4];
    start(&f, (struct ccz_rpc_chan_server_cfg){.limits = {.queue_size_max = 20000}});
    struct ends e = join(&f, (struct ccz_rpc_chan_limits){.queue_size_max = 20000});
    CHECK(pthread_create(&t[0], NULL, count_up, e.a) == 0);
    CHECK(pthread_create(&t[1], NULL, count_up, e.b) == 0);
    CHECK(pthread_create(&t[2], NULL, expect_count, e.a) == 0);
    CHECK(pthread_create(&t[3], NULL, expect_count, e.b) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    part(&e);
    stop(&f);
}

/* ----------------------------------------------------------------------------- who and which */

static ccz_rc allow(void *arg, const char *channel, const char *party,
                    const struct ccz_ratls_peer *peer, struct ccz_err *err)
{
    CHECK(arg == &chan_cfg && peer->attested);
    if (strcmp(party, "mallory") != 0)
        return CCZ_OK;
    ccz_refuse(err, CCZ_E_POLICY, "test:party", party, "alice or bob");
    return ccz_hint(err, CCZ_E_POLICY, channel);
}

static ccz_rc open_as(struct ccz_chan **out, struct fixture *f, const char *channel,
                      const char *party, struct ccz_err *err)
{
    ccz_rc rc = ccz_rpc_chan_connect(
        out, f->client, &(struct ccz_rpc_chan_cfg){.channel = channel, .party = party}, err);
    CHECK((rc == CCZ_OK) == (*out != NULL));
    return rc;
}

static void test_names(void)
{
    struct fixture f;
    struct ccz_err err = {0};
    struct ccz_chan *c[4], *got;
    start(&f, (struct ccz_rpc_chan_server_cfg){
                  .channels_max = 3, .allow = allow, .allow_arg = &chan_cfg});
    CHECK(open_as(&c[0], &f, "train", "alice", NULL) == CCZ_OK);
    CHECK(open_as(&c[1], &f, "train", "bob", NULL) == CCZ_OK);
    CHECK(open_as(&c[2], &f, "score", "alice", NULL) == CCZ_OK);
    CHECK(open_as(&c[3], &f, "x", "alice", &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "rpc-chan:channels") == 0);
    CHECK(open_as(&c[3], &f, "train", "mallory", &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "test:party") == 0 && strcmp(err.got, "mallory") == 0);
    CHECK(strcmp(err.hint, "train") == 0 && err.aux == CCZ_E_POLICY);
    static const char *const bad[] = {
        "",         "a b", "a/b",
        "\xc3\xa9", "\n",  "12345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(open_as(&c[3], &f, bad[i], "alice", &err) == CCZ_E_ARG);
        CHECK(strcmp(err.where, "rpc-chan:name") == 0);
        CHECK(open_as(&c[3], &f, "train", bad[i], &err) == CCZ_E_ARG);
    }
    CHECK(ccz_rpc_chan_accept(&got, chans, "train", "carol", 20, &err) == CCZ_E_TIMEOUT && !got);
    CHECK(strcmp(err.where, "rpc-chan:accept-timeout") == 0);
    CHECK(ccz_rpc_chan_accept(&got, chans, NULL, "bob", 0, &err) == CCZ_OK);
    CHECK(strcmp(ccz_chan_name(got), "bob/train") == 0);
    send_text(c[1], "to bob's end");
    expect_text(got, "to bob's end");
    ccz_chan_free(got);
    CHECK(ccz_rpc_chan_accept(&got, chans, "score", NULL, 0, &err) == CCZ_OK);
    CHECK(strcmp(ccz_chan_name(got), "alice/score") == 0);
    ccz_chan_free(got);
    CHECK(ccz_rpc_chan_accept(&got, chans, "train", "alice", 0, &err) == CCZ_OK);
    ccz_chan_free(got);
    CHECK(ccz_rpc_chan_accept(&got, chans, NULL, NULL, 0, &err) == CCZ_E_TIMEOUT);
    for (int i = 0; i < 3; i++)
        ccz_chan_free(c[i]);
    CHECK(open_as(&c[0], &f, "again", "alice", &err) == CCZ_OK); /* there is room again */
    ccz_chan_free(c[0]);
    stop(&f);
}

/* A stranger's calls: names are checked by the server, too. */
static void test_stranger(void)
{
    struct fixture f;
    struct ccz_err err;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    static const struct ccz_rpc_md none[1], only[] = {{"ccz-channel", {(const uint8_t *)"x", 1}}},
                                            bad[] = {{"ccz-channel", {(const uint8_t *)"x", 1}},
                                                     {"ccz-party", {(const uint8_t *)"a b", 3}}};
    const struct ccz_rpc_md *const lists[] = {none, only, bad};
    for (size_t i = 0; i < 3; i++) {
        struct ccz_rpc_stream *s;
        struct ccz_rpc_call_cfg cfg = {.metadata = lists[i], .metadata_len = i};
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 100);
        CHECK(ccz_rpc_stream_open(&s, f.client, CCZI_CHAN_PATH, &cfg, NULL) == CCZ_OK);
        CHECK(ccz_rpc_stream_recv(&b, s, NULL, &err) != CCZ_OK);
        CHECK(err.aux == CCZ_E_ARG);
        CHECK(strcmp(err.where, "rpc-chan:name") == 0);
        ccz_rpc_stream_free(s);
    }
    struct ccz_chan *got;
    CHECK(ccz_rpc_chan_accept(&got, chans, NULL, NULL, 0, NULL) == CCZ_E_TIMEOUT);
    stop(&f);
}

/* A party without evidence, where the server does not need any. */
static void test_no_evidence(void)
{
    struct fixture f;
    struct ccz_err err;
    struct ends e;
    memset(&f, 0, sizeof(f));
    chan_cfg = (struct ccz_rpc_chan_server_cfg){0};
    f.before_start = add_channels;
    struct ccz_ratls_cfg server = {.server = true,
                                   .now_s = INT64_C(1767225600),
                                   .attest = toy_attest,
                                   .attest_arg = &f.server_toy,
                                   .appraise = toy_appraise,
                                   .appraise_arg = &f.server_toy,
                                   .peer_evidence_optional = true};
    struct ccz_ratls_cfg client = {
        .now_s = INT64_C(1767225600), .appraise = toy_appraise, .appraise_arg = &f.client_toy};
    CHECK(ccz_ratls_ctx_new(&f.server_ctx, &server, NULL) == CCZ_OK);
    CHECK(ccz_ratls_ctx_new(&f.client_ctx, &client, NULL) == CCZ_OK);
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    e = join(&f, (struct ccz_rpc_chan_limits){0});
    CHECK(!ccz_rpc_chan_peer(e.b)->attested && ccz_rpc_chan_peer(e.a)->attested);
    send_text(e.a, "data of an owner outside");
    expect_text(e.b, "data of an owner outside");
    part(&e);
    stop(&f);
    /* a server that is refused: the reason comes out of connect */
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    atomic_store(&f.client_toy.appraise_rc, CCZ_E_POLICY);
    CHECK(open_as(&e.a, &f, NULL, NULL, &err) == CCZ_E_POLICY);
    CHECK(strcmp(err.where, "policy:mrenclave") == 0);
    stop(&f);
}

/* -------------------------------------------------------------------------------------- ends */

static void test_close(void)
{
    struct fixture f;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    struct ends e = join(&f, (struct ccz_rpc_chan_limits){0});
    send_text(e.a, "one");
    send_text(e.a, "two");
    send_text(e.b, "nobody takes this");
    ccz_chan_close(e.a, "model converged\n");
    expect_end(e.a, "this end is closed");
    expect_text(e.b, "one");
    expect_text(e.b, "two");
    expect_end(e.b, "model converged\\x0a");
    part(&e);
    e = join(&f, (struct ccz_rpc_chan_limits){0});
    send_text(e.b, "one");
    ccz_chan_close(e.b, "done");
    expect_text(e.a, "one");
    expect_end(e.a, "done");
    part(&e);
    /* freed at once: it all arrives, also if the client goes right after */
    e = join(&f, (struct ccz_rpc_chan_limits){0});
    for (int i = 0; i < 100; i++)
        send_text(e.a, "last words");
    ccz_chan_free(e.a);
    ccz_rpc_client_free(f.client);
    f.client = NULL;
    for (int i = 0; i < 100; i++)
        expect_text(e.b, "last words");
    expect_end(e.b, "closed by the peer");
    ccz_chan_free(e.b);
    stop(&f);
}

struct waiter {
    struct ccz_chan *c;
    const char *text;
};

static void *wait_end(void *arg)
{
    struct waiter *w = arg;
    expect_end(w->c, w->text);
    return NULL;
}

static void test_client_dies(void)
{
    struct fixture f;
    pthread_t t;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    struct ends e = join(&f, (struct ccz_rpc_chan_limits){0});
    struct waiter w = {e.b, "the connection was lost"};
    send_text(e.a, "before");
    expect_text(e.b, "before");
    CHECK(pthread_create(&t, NULL, wait_end, &w) == 0);
    usleep(20000);
    ccz_rpc_client_free(f.client); /* without a word on the channel */
    f.client = NULL;
    CHECK(pthread_join(t, NULL) == 0);
    expect_end(e.a, "cancelled"); /* outlives its client */
    part(&e);
    stop(&f);
}

static void test_server_dies(void)
{
    struct fixture f;
    pthread_t t;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    struct ends e = join(&f, (struct ccz_rpc_chan_limits){0});
    struct waiter w = {e.a, "the server is stopping"};
    send_text(e.b, "before");
    expect_text(e.a, "before");
    CHECK(pthread_create(&t, NULL, wait_end, &w) == 0);
    usleep(20000);
    ccz_rpc_server_free(f.server);
    f.server = NULL;
    CHECK(pthread_join(t, NULL) == 0);
    expect_end(e.b, "the server is stopping");
    part(&e);
    stop(&f);
}

/* Nobody is there; the wait for one; nobody accepts; the end of the server's queue. */
static void test_connect(void)
{
    struct fixture f;
    struct ccz_err err = {0};
    struct ends e;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    CHECK(open_as(&e.a, &f, NULL, NULL, NULL) == CCZ_OK);
    send_text(e.a, "before anybody accepted");
    CHECK(ccz_rpc_chan_accept(&e.b, chans, NULL, NULL, 1000, NULL) == CCZ_OK);
    expect_text(e.b, "before anybody accepted");
    part(&e);
    /* left in order before it was accepted: its words remain; left otherwise: nothing does */
    CHECK(open_as(&e.a, &f, "kept", NULL, NULL) == CCZ_OK);
    send_text(e.a, "posthumous");
    ccz_chan_free(e.a);
    CHECK(open_as(&e.a, &f, "gone", NULL, NULL) == CCZ_OK);
    ccz_rpc_client_free(f.client);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    ccz_chan_free(e.a);
    CHECK(ccz_rpc_chan_accept(&e.b, chans, NULL, NULL, 1000, NULL) == CCZ_OK);
    expect_text(e.b, "posthumous");
    ccz_chan_free(e.b);
    usleep(50000);
    CHECK(ccz_rpc_chan_accept(&e.b, chans, NULL, NULL, 0, NULL) == CCZ_E_TIMEOUT);
    /* stopped */
    CHECK(open_as(&e.a, &f, NULL, NULL, NULL) == CCZ_OK);
    ccz_rpc_chan_server_stop(chans);
    expect_end(e.a, "the server takes no more channels");
    ccz_chan_free(e.a);
    CHECK(ccz_rpc_chan_accept(&e.b, chans, NULL, NULL, 60000, &err) == CCZ_E_CLOSED);
    CHECK(strcmp(err.where, "rpc-chan:stopped") == 0);
    CHECK(open_as(&e.a, &f, NULL, NULL, &err) == CCZ_E_UNAVAILABLE);
    CHECK(strcmp(err.where, "rpc-chan:stopped") == 0);
    ccz_rpc_server_free(f.server);
    f.server = NULL;
    CHECK(open_as(&e.a, &f, NULL, NULL, &err) == CCZ_E_UNAVAILABLE);
    int64_t start_ms = ccz_mono_ms();
    CHECK(ccz_rpc_chan_connect(
              &e.a, f.client,
              &(struct ccz_rpc_chan_cfg){.wait_for_ready = true, .open_timeout_ms = 200},
              &err) == CCZ_E_TIMEOUT);
    CHECK(strcmp(err.where, "rpc-chan:open-timeout") == 0 && ccz_mono_ms() - start_ms >= 190);
    stop(&f);
}

/* The call's deadline is the channel's end. */
static void test_lifetime(void)
{
    struct fixture f;
    struct ccz_err err;
    struct ends e;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK); /* is not part of the lifetime */
    CHECK(ccz_rpc_chan_connect(&e.a, f.client, &(struct ccz_rpc_chan_cfg){.lifetime_ms = 2000},
                               NULL) == CCZ_OK);
    CHECK(ccz_rpc_chan_accept(&e.b, chans, NULL, NULL, 5000, NULL) == CCZ_OK);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1000);
    CHECK(ccz_chan_recv(&b, e.a, &err) == CCZ_E_CLOSED && err.aux == CCZ_E_TIMEOUT);
    expect_end(e.b, "");
    part(&e);
    stop(&f);
}

static ccz_rc send_size(struct ccz_chan *c, size_t size, struct ccz_err *err)
{
    uint8_t *p = calloc(1, size);
    CHECK(p);
    ccz_rc rc = ccz_chan_send(c, CCZ_SPAN(p, size), err);
    free(p);
    return rc;
}

static void test_limits(void)
{
    struct fixture f;
    struct ccz_err err = {0};
    start(&f, (struct ccz_rpc_chan_server_cfg){.limits = {.message_size_max = MIB}});
    struct ends e = join(&f, (struct ccz_rpc_chan_limits){.message_size_max = MIB});
    CHECK(send_size(e.a, MIB, NULL) == CCZ_OK);
    CHECK(send_size(e.a, MIB + 1, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "chan:message-size") == 0);
    part(&e);
    /* sides that disagree: the receiver refuses, the sender hears why */
    e = join(&f, (struct ccz_rpc_chan_limits){0});
    send_text(e.a, "small");
    CHECK(send_size(e.a, MIB + 1, NULL) == CCZ_OK);
    expect_text(e.b, "small");
    expect_end(e.b, "rpc-chan:message-size");
    expect_end(e.a, "rpc-chan:message-size");
    part(&e);
    e = join(&f, (struct ccz_rpc_chan_limits){.message_size_max = 1000});
    CHECK(send_size(e.b, 1001, NULL) == CCZ_OK);
    expect_end(e.a, "rpc-chan:message-size");
    expect_end(e.b, "the peer gave up");
    part(&e);
    stop(&f);
}

/* A sender that gives up within a message takes the channel down: its peer must not wait for the rest. */
static void test_half_message(void)
{
    struct ccz_rpc_chan_limits limits = {.queue_size_max = 1000, .linger_ms = 100};
    struct fixture f;
    start(&f, (struct ccz_rpc_chan_server_cfg){.limits = limits});
    struct ends e = join(&f, limits);
    ccz_chan_set_timeout(e.a, 200);
    CHECK(send_size(e.a, 5000, NULL) == CCZ_OK); /* the peer's queue is full */
    CHECK(send_size(e.a, 30 * MIB, NULL) == CCZ_E_TIMEOUT);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 5000);
    CHECK(ccz_chan_recv(&b, e.b, NULL) == CCZ_OK && b.size == 5000);
    expect_end(e.b, "the peer gave up");
    part(&e);
    /* a peer that takes nothing does not hold up who leaves */
    e = join(&f, limits);
    CHECK(send_size(e.a, 5000, NULL) == CCZ_OK);
    for (int i = 0; i < 10; i++)
        CHECK(send_size(e.a, 100000, NULL) == CCZ_OK);
    int64_t start_ms = ccz_mono_ms();
    ccz_chan_free(e.a);
    CHECK(ccz_mono_ms() - start_ms < 10000);
    ccz_chan_free(e.b);
    stop(&f);
}

/* ------------------------------------------------------------------------------------ hostile */

struct hostile {
    const char *name;
    const char *frame[3];
    size_t size[3];
    const char *text; /* in the reason that the server's user sees */
    bool half_close;
};

/* Frames of a client that does not keep to the rules. */
static void test_hostile(void)
{
    static const struct hostile cases[] = {
        {"garbage", {"\xff\xff"}, {2}, "rpc-chan:frame: malformed", false},
        {"opens", {"\x08\x03"}, {2}, "opened twice", false},
        {"empty part", {"\x08\x01"}, {2}, "an empty part", false},
        {"after close", {"\x08\x02", "\x12\x01x"}, {2, 3}, "", false},
        {"close within",
         {"\x08\x01\x12\x01x", "\x08\x02"},
         {5, 2},
         "closed within a message",
         false},
        {"ends within", {"\x08\x01\x12\x01x"}, {5}, "within a message", true},
        {"ends", {"\x12\x01x"}, {3}, "the peer ended the channel", true},
    };
    static const struct ccz_rpc_md md[] = {{"ccz-channel", {(const uint8_t *)"x", 1}},
                                           {"ccz-party", {(const uint8_t *)"y", 1}}};
    struct fixture f;
    start(&f, (struct ccz_rpc_chan_server_cfg){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct hostile *h = &cases[i];
        struct ccz_rpc_call_cfg cfg = {.metadata = md, .metadata_len = 2};
        struct ccz_rpc_stream *s;
        struct ccz_chan *c;
        struct ccz_err err = {0};
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 1000);
        CHECK(ccz_rpc_stream_open(&s, f.client, CCZI_CHAN_PATH, &cfg, NULL) == CCZ_OK);
        CHECK(ccz_rpc_stream_recv(&b, s, NULL, NULL) == CCZ_OK);
        CHECK(b.size == 2 && memcmp(b.ptr, "\x08\x03", 2) == 0);
        CHECK(ccz_rpc_chan_accept(&c, chans, NULL, NULL, 5000, NULL) == CCZ_OK);
        for (int k = 0; k < 3 && h->frame[k]; k++)
            CHECK(ccz_rpc_stream_send(s, CCZ_SPAN(h->frame[k], h->size[k])) == CCZ_OK);
        if (h->half_close)
            CHECK(ccz_rpc_stream_half_close(s) == CCZ_OK);
        if (strcmp(h->name, "ends") == 0)
            expect_text(c, "x");
        expect_end(c, h->text);
        ccz_rc rc = ccz_rpc_stream_recv(&b, s, NULL, &err);
        CHECK(h->half_close ? rc == CCZ_E_NOT_FOUND : strcmp(err.where, "rpc-chan:frame") == 0);
        ccz_chan_free(c);
        ccz_rpc_stream_free(s);
    }
    stop(&f);
}

/* A server that does not keep to the rules: methods of that path which answer as they like. */
static const char *bad_answer;

static void bad_start(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    if (bad_answer)
        ccz_rpc_send(call, ccz_span_str(bad_answer));
    else
        ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void add_bad(struct fixture *f)
{
    struct ccz_rpc_handler bad = {.on_start = bad_start};
    CHECK(ccz_rpc_server_add(f->server, CCZI_CHAN_PATH, &bad, NULL) == CCZ_OK);
}

static void test_hostile_server(void)
{
    struct fixture f;
    struct ccz_chan *c;
    struct ccz_err err = {0};
    memset(&f, 0, sizeof(f));
    f.before_start = add_bad;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    bad_answer = "\x12\x01x"; /* a message before OPEN */
    CHECK(open_as(&c, &f, NULL, NULL, &err) != CCZ_OK &&
          strstr(err.msg, "rpc-chan:frame: not opened"));
    bad_answer = "\xff";
    CHECK(open_as(&c, &f, NULL, NULL, &err) != CCZ_OK &&
          strstr(err.msg, "rpc-chan:frame: malformed"));
    bad_answer = NULL;
    CHECK(open_as(&c, &f, NULL, NULL, &err) == CCZ_E_CLOSED);
    bad_answer = "\x08\x03"; /* opens, and then says nothing: the user's own limit ends it */
    CHECK(open_as(&c, &f, NULL, NULL, &err) == CCZ_OK);
    ccz_chan_set_timeout(c, 30);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 10);
    CHECK(ccz_chan_recv(&b, c, &err) == CCZ_E_TIMEOUT);
    ccz_chan_close(c, NULL);
    ccz_rpc_client_free(f.client); /* before the channel: no lingering */
    f.client = NULL;
    ccz_chan_free(c);
    teardown(&f);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rpc.chan_peer", test_peer},
        {"rpc.chan_frames", test_frames},
        {"rpc.chan_messages", test_messages},
        {"rpc.chan_exchange", test_exchange},
        {"rpc.chan_bounded", test_bounded},
        {"rpc.chan_threads", test_threads},
        {"rpc.chan_names", test_names},
        {"rpc.chan_stranger", test_stranger},
        {"rpc.chan_no_evidence", test_no_evidence},
        {"rpc.chan_close", test_close},
        {"rpc.chan_client_dies", test_client_dies},
        {"rpc.chan_server_dies", test_server_dies},
        {"rpc.chan_connect", test_connect},
        {"rpc.chan_lifetime", test_lifetime},
        {"rpc.chan_limits", test_limits},
        {"rpc.chan_half_message", test_half_message},
        {"rpc.chan_hostile", test_hostile},
        {"rpc.chan_hostile_server", test_hostile_server},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
