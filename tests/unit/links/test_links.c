/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of a protocol, as threads of one: seats, who comes again, strangers, policies of both directions. */
#define _GNU_SOURCE
#include <cczoo/links.h>

#include "temp_dir.h"

#include <pthread.h>
#include <string.h>

static const char *sim, *trust, *anybody, *nobody;

static void put(const char *path, const char *text)
{
    CHECK(ccz_file_write(path, ccz_span_str(text), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static void setup(void)
{
    const struct ccz_sim_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    temp_setup();
    sim = strdup(temp_path("sim"));
    trust = strdup(temp_path("sim/trust"));
    anybody = strdup(temp_path("anybody.json"));
    nobody = strdup(temp_path("nobody.json"));
    CHECK(sim && trust && anybody && nobody && ccz_sim_init(sim, &cfg, NULL) == CCZ_OK);
    char hex[65], text[256];
    uint8_t own[32];
    const struct ccz_attester_cfg tee = {.provider = "sim-sgx", .sim_dir = sim};
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO_BUF quote;
    const uint8_t data[64] = {0};
    ccz_buf_init(&quote, 65536);
    CHECK(ccz_attester_open(&a, &tee, NULL) == CCZ_OK);
    CHECK(ccz_attester_quote(&quote, a, data, NULL) == CCZ_OK);
    memcpy(own, quote.ptr + 48 + 64, sizeof(own)); /* MRENCLAVE of the report body */
    ccz_hex(hex, own, sizeof(own));
    (void)snprintf(text, sizeof(text),
                   "{\"version\":1,\"rules\":[{\"name\":\"own\",\"tee\":\"sgx\",\"sim\":true,"
                   "\"mrenclave\":\"%s\"}]}",
                   hex);
    put(anybody, text);
    memset(hex, '0', 64);
    (void)snprintf(text, sizeof(text),
                   "{\"version\":1,\"rules\":[{\"name\":\"other\",\"tee\":\"sgx\",\"sim\":true,"
                   "\"mrenclave\":\"%s\"}]}",
                   hex);
    put(nobody, text);
}

static struct ccz_party_cfg evidence(void)
{
    return (struct ccz_party_cfg){.tee = {.provider = "sim-sgx", .sim_dir = sim},
                                  .trust_sim_dir = trust};
}

static int seat_of(void *arg, const char *party)
{
    (void)arg;
    return strcmp(party, "a") == 0 ? 0 : strcmp(party, "b") == 0 ? 1 : -1;
}

static struct ccz_links *listening(const char *policy, bool named)
{
    struct ccz_links *l;
    struct ccz_err err = {0};
    const struct ccz_links_cfg cfg = {.channel = "test",
                                      .party = evidence(),
                                      .listen = "127.0.0.1:0",
                                      .port_file = temp_path("port"),
                                      .listen_policy = policy,
                                      .seats = 2,
                                      .seat_of = named ? seat_of : NULL};
    ccz_rc rc = ccz_links_new(&l, &cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && ccz_links_port(l) != 0 && ccz_links_simulated(l));
    return l;
}

/* A program that connects, says its name and waits for an answer. */
struct caller {
    const char *name, *channel, *policy;
    char target[32], got[8];
    ccz_rc rc;
    struct ccz_err err;
    pthread_t thread;
};

static void *call(void *arg)
{
    struct caller *c = arg;
    CCZ_AUTO(ccz_links) l = NULL;
    struct ccz_chan *chan = NULL;
    const struct ccz_links_cfg cfg = {.channel = c->channel ? c->channel : "test",
                                      .party = evidence(),
                                      .connects = true,
                                      .connect_policy = c->policy};
    c->rc = ccz_links_new(&l, &cfg, &c->err);
    if (c->rc == CCZ_OK)
        c->rc = ccz_links_connect(&chan, l, c->target, c->name, &c->err);
    if (c->rc == CCZ_OK)
        c->rc = ccz_chan_send(chan, ccz_span_str(c->name), &c->err);
    if (c->rc == CCZ_OK)
        c->rc = ccz_chan_recv_exact(c->got, 1, chan, &c->err);
    ccz_chan_free(chan);
    return NULL;
}

static void start(struct caller *c, const struct ccz_links *l, const char *name, const char *policy)
{
    *c = (struct caller){.name = name, .policy = policy};
    (void)snprintf(c->target, sizeof(c->target), "127.0.0.1:%u", ccz_links_port(l));
    CHECK(pthread_create(&c->thread, NULL, call, c) == 0);
}

static void end(struct caller *c)
{
    CHECK(pthread_join(c->thread, NULL) == 0);
    if (c->rc != CCZ_OK)
        fprintf(stderr, "%s: %s: %s\n", c->name, c->err.where, c->err.msg);
}

/* What the party in that seat calls itself; it is answered with it. */
static char hear(struct ccz_chan *chan)
{
    char name;
    CHECK(ccz_chan_recv_exact(&name, 1, chan, NULL) == CCZ_OK);
    CHECK(ccz_chan_send(chan, CCZ_SPAN(&name, 1), NULL) == CCZ_OK);
    return name;
}

static void seats(void)
{
    CCZ_AUTO(ccz_links) l = listening(anybody, true);
    struct ccz_chan *chan[2] = {NULL};
    struct caller b, a;
    struct ccz_err err = {0};
    start(&b, l, "b", anybody);
    start(&a, l, "a", anybody);
    CHECK(ccz_links_accept(chan, l, INT64_MAX, &err) == CCZ_OK);
    CHECK(hear(chan[0]) == 'a' && hear(chan[1]) == 'b');
    CHECK(ccz_rpc_chan_peer(chan[0])->attested && ccz_rpc_chan_peer(chan[0])->fresh);
    end(&a);
    end(&b);
    CHECK(a.rc == CCZ_OK && b.rc == CCZ_OK && a.got[0] == 'a');
    CCZ_AUTO_BUF port;
    char text[8];
    ccz_buf_init(&port, 16);
    (void)snprintf(text, sizeof(text), "%u\n", ccz_links_port(l));
    CHECK(ccz_file_read(&port, temp_path("port"), &err) == CCZ_OK &&
          ccz_span_eq(ccz_buf_span(&port), ccz_span_str(text)));
    ccz_chan_free(chan[0]);
    ccz_chan_free(chan[1]);
}

/* Any names: seats in the order of arrival, one for each name. */
static void arrival(void)
{
    CCZ_AUTO(ccz_links) l = listening(NULL, false);
    struct ccz_chan *chan[2] = {NULL};
    struct caller x, y;
    start(&x, l, "x", anybody);
    start(&y, l, "y", anybody);
    CHECK(ccz_links_accept(chan, l, 20000, NULL) == CCZ_OK);
    char first = hear(chan[0]), second = hear(chan[1]);
    CHECK(first != second && (first == 'x' || first == 'y') && (second == 'x' || second == 'y'));
    end(&x);
    end(&y);
    ccz_chan_free(chan[0]);
    ccz_chan_free(chan[1]);
}

/* Until somebody else than @p was has the first seat; the second stays free. */
static void wait_change(struct ccz_chan **chan, struct ccz_links *l, const struct ccz_chan *was)
{
    for (int i = 0; i < 200 && chan[0] == was; i++)
        CHECK(ccz_links_accept(chan, l, 100, NULL) == CCZ_E_TIMEOUT);
    CHECK(chan[0] && chan[0] != was && !chan[1]);
}

/* Who comes again while others are awaited: the newest channel counts, and one seat is one name's. */
static void replaced(void)
{
    for (int named = 0; named < 2; named++) {
        CCZ_AUTO(ccz_links) l = listening(anybody, named == 1);
        struct ccz_chan *chan[2] = {NULL};
        struct caller first, again, b;
        struct ccz_err err = {0};
        start(&first, l, "a", anybody);
        wait_change(chan, l, NULL);
        start(&again, l, "a", anybody);
        wait_change(chan, l, chan[0]);
        end(&first); /* its channel is closed */
        CHECK(first.rc == CCZ_E_CLOSED);
        start(&b, l, "b", anybody);
        CHECK(ccz_links_accept(chan, l, 20000, &err) == CCZ_OK);
        CHECK(hear(chan[0]) == 'a' && hear(chan[1]) == 'b');
        end(&again);
        end(&b);
        CHECK(again.rc == CCZ_OK && b.rc == CCZ_OK);
        ccz_chan_free(chan[0]);
        ccz_chan_free(chan[1]);
    }
}

static void strangers(void)
{
    CCZ_AUTO(ccz_links) l = listening(anybody, true);
    struct caller c = {.name = "c", .policy = anybody};
    start(&c, l, "c", anybody);
    end(&c);
    CHECK(c.rc == CCZ_E_PEER || c.rc == CCZ_E_DENIED);
    CHECK(strstr(c.err.where, "links:name"));
    c = (struct caller){.name = "a", .channel = "other", .policy = anybody};
    (void)snprintf(c.target, sizeof(c.target), "127.0.0.1:%u", ccz_links_port(l));
    (void)call(&c);
    CHECK(c.rc != CCZ_OK && strstr(c.err.where, "links:channel"));
}

/* Each direction has its own. */
static void policies(void)
{
    struct caller c;
    CCZ_AUTO(ccz_links) strict = listening(nobody, true);
    start(&c, strict, "a", anybody);
    end(&c);
    CHECK(c.rc == CCZ_E_PEER && strcmp(c.err.where, "peer:policy:mrenclave") == 0);
    CCZ_AUTO(ccz_links) open = listening(anybody, true);
    start(&c, open, "a", nobody);
    end(&c);
    CHECK(c.rc == CCZ_E_POLICY && strcmp(c.err.where, "policy:mrenclave") == 0);
}

static void config(void)
{
    struct ccz_links *l = NULL;
    struct ccz_chan *chan;
    const struct ccz_links_cfg good = {.channel = "test",
                                       .party = evidence(),
                                       .listen = "127.0.0.1:0",
                                       .listen_policy = anybody,
                                       .seats = 1};
    for (int i = 0; i < 8; i++) {
        struct ccz_links_cfg c = good;
        struct ccz_err err = {0};
        if (i == 0)
            c.channel = NULL;
        if (i == 1)
            c.listen = NULL;
        if (i == 2)
            c.seats = 0;
        if (i == 3)
            c.seats = CCZ_LINKS_SEATS_MAX + 1;
        if (i == 4)
            c.party.policy_file = anybody; /* of which direction? */
        if (i == 5)
            c.party.peer_evidence_optional = true;
        if (i == 6)
            c.connect_policy = anybody; /* it connects to nobody */
        if (i == 7)
            c.listen = NULL, c.connects = true; /* and then the other one */
        CHECK(ccz_links_new(&l, &c, &err) == CCZ_E_ARG && !l &&
              strcmp(err.where, "links:config") == 0);
    }
    struct ccz_err err = {0};
    CHECK(ccz_links_new(&l, &good, &err) == CCZ_OK);
    CHECK(ccz_links_connect(&chan, l, "127.0.0.1:1", "a", &err) == CCZ_E_ARG && !chan);
    ccz_links_free(l);
}

static void timeout(void)
{
    CCZ_AUTO(ccz_links) l = listening(anybody, true);
    struct ccz_chan *chan[2] = {NULL};
    struct ccz_err err = {0};
    CHECK(ccz_links_accept(chan, l, 50, &err) == CCZ_E_TIMEOUT && !chan[0] && !chan[1]);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"links.seats", seats},         {"links.arrival", arrival},   {"links.replaced", replaced},
        {"links.strangers", strangers}, {"links.policies", policies}, {"links.config", config},
        {"links.timeout", timeout},
    };
    setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
