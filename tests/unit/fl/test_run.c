/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and channels: the drivers, channels that break in the middle, models beyond 4 GiB. */
#define _GNU_SOURCE
#include "fl/world.h"

#include "fl/server.h"

#include <pthread.h>
#include <sys/mman.h>

enum { MEMBERS = 6, LEN = 400000 };

struct party {
    struct world *w;
    unsigned i;
    struct ccz_chan *chan;
    pthread_t thread;
    ccz_rc rc;
    struct ccz_err err;
};

static void *attend(void *arg)
{
    struct party *p = arg;
    char name[32];
    (void)snprintf(name, sizeof(name), "m-%02u", p->i);
    p->rc = ccz_fl_server_attend(p->w->s, name, p->chan, &p->err);
    ccz_chan_free(p->chan);
    return NULL;
}

static void *take_part(void *arg)
{
    struct party *p = arg;
    struct seat *seat = &p->w->seat[p->i];
    const struct ccz_fl_trainer t = toy_trainer(&seat->toy);
    p->rc = ccz_fl_client_run(seat->c, p->chan, &t, 0, &p->err);
    ccz_chan_free(p->chan);
    return NULL;
}

static void *tick(void *arg)
{
    struct world *w = arg;
    static const struct timespec pause = {.tv_nsec = 10000000};
    while (!ccz_fl_server_over(w->s, NULL)) {
        (void)ccz_fl_server_tick(w->s, ccz_mono_ms());
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* One visit of client @p i; @p fault (may be NULL) is on its side. Both ends run to their ends. */
static void visit(struct party *server, struct party *client, struct world *w, unsigned i,
                  const struct ccz_chan_fault_cfg *fault)
{
    *server = (struct party){.w = w, .i = i};
    *client = (struct party){.w = w, .i = i};
    CHECK(ccz_chan_pair(&server->chan, &client->chan, NULL, NULL) == CCZ_OK);
    if (fault)
        CHECK(ccz_chan_fault_new(&client->chan, client->chan, fault, NULL) == CCZ_OK);
    CHECK(pthread_create(&server->thread, NULL, attend, server) == 0);
    CHECK(pthread_create(&client->thread, NULL, take_part, client) == 0);
}

static void await(struct party *p)
{
    CHECK(pthread_join(p->thread, NULL) == 0);
}

static void test_threads(void)
{
    static struct party server[MEMBERS], client[MEMBERS];
    struct world w = {.len = MEMBERS,
                      .cfg = {.rounds = 4,
                              .members_min = MEMBERS,
                              .seeded = true,
                              .slots = 2,
                              .train = {.lr = 0.5F}}};
    pthread_t ticker;
    CHECK(ccz_key_generate(&w.key, CCZ_P256) == CCZ_OK);
    world_begin(&w, LEN);
    w.cfg.hooks.on_refusal = NULL;
    world_server(&w);
    for (unsigned i = 0; i < MEMBERS; i++)
        visit(&server[i], &client[i], &w, i, NULL);
    CHECK(pthread_create(&ticker, NULL, tick, &w) == 0);
    for (unsigned i = 0; i < MEMBERS; i++) {
        await(&client[i]);
        await(&server[i]);
        CHECK(client[i].rc == CCZ_OK && server[i].rc == CCZ_OK);
        CHECK(ccz_fl_client_round(w.seat[i].c) == 4);
    }
    CHECK(pthread_join(ticker, NULL) == 0);
    CHECK(w.recs == 4);
    /* the same as in one thread, bit by bit */
    struct world v = {.len = MEMBERS, .cfg = w.cfg};
    CHECK(ccz_key_generate(&v.key, CCZ_P256) == CCZ_OK);
    world_begin(&v, LEN);
    world_server(&v);
    world_join_all(&v);
    world_run(&v);
    CHECK(memcmp(ccz_fl_server_params(v.s), ccz_fl_server_params(w.s), LEN * sizeof(float)) == 0);
    world_end(&v);
    world_end(&w);
}

/* A channel that breaks, loses, repeats or changes a message: that visit ends, the next one goes on, the result is the same. */
static void test_faults(void)
{
    const struct ccz_chan_fault_cfg faults[] = {
        {.send_cut_after = 1}, {.send_cut_after = 2}, {.send_cut_after = 5}, {.recv_cut_after = 1},
        {.recv_cut_after = 3}, {.recv_cut_after = 9}, {.send_flip = 1},      {.send_flip = 3},
        {.send_repeat = 3},    {.send_shorten = 2},   {.recv_flip = 3},      {.recv_shorten = 2}};
    for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++) {
        static struct party server[2], client[2];
        struct world w = {
            .len = 2, .cfg = {.rounds = 2, .members_min = 2, .seeded = true, .train = {.lr = 1}}};
        CHECK(ccz_key_generate(&w.key, CCZ_P256) == CCZ_OK);
        world_begin(&w, 100000);
        w.cfg.hooks.on_refusal = NULL;
        world_server(&w);
        visit(&server[0], &client[0], &w, 0, NULL);
        visit(&server[1], &client[1], &w, 1, &faults[f]);
        await(&client[1]);
        await(&server[1]);
        if (client[1].rc != CCZ_OK || server[1].rc != CCZ_OK) {
            CHECK(client[1].rc != CCZ_OK && client[1].err.where[0]);
            visit(&server[1], &client[1], &w, 1, NULL);
            await(&client[1]);
            await(&server[1]);
        }
        await(&client[0]);
        await(&server[0]);
        CHECK(client[0].rc == CCZ_OK && client[1].rc == CCZ_OK && w.recs == 2);
        CHECK(fabs((double)ccz_fl_server_params(w.s)[0] - 5.0 / 3) < 1e-3);
        world_end(&w);
    }
}

/* A stranger's bytes end its connection, with the reason at both ends. */
static void test_garbage(void)
{
    struct party server = {0};
    struct world w = {.len = 1, .cfg = {.rounds = 1}};
    struct ccz_chan *mine;
    struct ccz_buf got;
    struct ccz_err err;
    ccz_buf_init(&got, 4096);
    world_begin(&w, 10);
    world_server(&w);
    server.w = &w;
    CHECK(ccz_chan_pair(&server.chan, &mine, NULL, NULL) == CCZ_OK);
    CHECK(pthread_create(&server.thread, NULL, attend, &server) == 0);
    CHECK(ccz_chan_send(mine, ccz_span_str("GET / HTTP/1.1"), NULL) == CCZ_OK);
    CHECK(ccz_chan_recv(&got, mine, &err) == CCZ_E_CLOSED && strstr(err.msg, "fl:message"));
    await(&server);
    CHECK(server.rc == CCZ_E_PEER && strcmp(server.err.where, "fl:message") == 0);
    ccz_chan_free(mine);
    ccz_buf_free(&got);
    world_end(&w);
}

/*
 * A model of 6 GiB: zeros that the kernel does not back with memory until they are written. All of it goes to a member, and the last
 * bytes of its update come behind 4 GiB; in between nothing is touched, so that no memory is needed.
 */
static void test_large(void)
{
    enum { TAIL = 4096 };
    const uint64_t len = (UINT64_C(6) << 30) / sizeof(float);
    const struct ccz_fl_tensor t = {.name = "w", .rank = 2, .dims = {1024, len / 1024}};
    struct ccz_fl_layout *l;
    CHECK(ccz_fl_layout_new(&l, &t, 1, NULL) == CCZ_OK && l->len == len);
    struct ccz_fl_server s = {.layout = l, .cfg = {.slots = 1}};
    struct hfl_member m = {.link = HFL_HERE, .work = HFL_UPLOADING};
    struct hfl_slot slot = {.owner = &m, .size = {len * sizeof(float)}};
    static float tail[TAIL / sizeof(float)] = {1, 2, 3};
    struct ccz_err err = {0};
    pthread_mutex_init(&s.lock, NULL);
    slot.bytes = mmap(NULL, (size_t)(len * sizeof(float)), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(slot.bytes != MAP_FAILED);
    CHECK(ccz_agg_dec_new(&slot.dec, &s.cfg.agg.codec, (size_t)len, NULL) == CCZ_OK);
    m.slot = &slot;
    slot.at = slot.size[0] - 2 * TAIL; /* as if all before had come */
    struct cczi_hfl_chunk c = {.offset = slot.at, .data = CCZ_SPAN(tail, TAIL)};
    pthread_mutex_lock(&s.lock);
    CHECK(cczi_hfl_on_chunk_locked(&s, &m, &c, 0, &err) == CCZ_OK);
    CHECK(slot.at == slot.size[0] - TAIL && slot.norm[0].len == TAIL / sizeof(float));
    CHECK(memcmp(slot.bytes + (size_t)c.offset, tail, TAIL) == 0);
    CHECK(cczi_hfl_on_chunk_locked(&s, &m, &c, 0, &err) == CCZ_E_PEER); /* the same again */
    c.offset = slot.at & UINT32_MAX;
    CHECK(cczi_hfl_on_chunk_locked(&s, &m, &c, 0, &err) == CCZ_E_PEER);
    c.offset = slot.at;
    c.data = CCZ_SPAN(tail, TAIL + 1);
    CHECK(cczi_hfl_on_chunk_locked(&s, &m, &c, 0, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "fl:chunk-size") == 0);
    pthread_mutex_unlock(&s.lock);
    ccz_agg_dec_free(slot.dec);
    CHECK(munmap(slot.bytes, (size_t)(len * sizeof(float))) == 0);
    pthread_mutex_destroy(&s.lock);
    ccz_fl_layout_free(l);
}

/* A whole round of a model of 2.3 GB between real ends; the update has a few values, the rest of all vectors is never written. */
static void test_over_2_gb(void)
{
    const uint64_t len = UINT64_C(575000000);
    struct ccz_fl_layout *l;
    const struct ccz_fl_tensor t = {.name = "w", .rank = 1, .dims = {len}};
    struct ccz_fl_server *s;
    struct ccz_buf msg;
    struct cczi_hfl_msg in;
    uint64_t at = 0;
    uint32_t id;
    float *zeros = mmap(NULL, (size_t)len * sizeof(float), PROT_READ,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(zeros != MAP_FAILED && ccz_fl_layout_new(&l, &t, 1, NULL) == CCZ_OK);
    const struct ccz_fl_server_cfg cfg = {.layout = l, .rounds = 1};
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    CHECK(ccz_fl_server_new(&s, &cfg, zeros, 0, NULL) == CCZ_OK);
    CHECK(ccz_fl_server_join(&id, s, "m", 0, NULL) == CCZ_OK);
    struct cczi_hfl_msg hello = {.kind = CCZI_HFL_HELLO, .hello = {.version = CCZI_HFL_VERSION}};
    memcpy(hello.hello.layout, l->digest, 32);
    cczi_hfl_msg_put(&msg, &hello);
    CHECK(ccz_fl_server_input(s, id, ccz_buf_span(&msg), 0, NULL) == CCZ_OK);
    while (ccz_fl_server_output(&msg, s, id, 0)) {
        CHECK(cczi_hfl_msg_parse(&in, ccz_buf_span(&msg), NULL) == CCZ_OK);
        if (in.kind != CCZI_HFL_CHUNK)
            continue;
        CHECK(in.chunk.offset == at);
        at += in.chunk.data.size;
    }
    CHECK(at == len * sizeof(float) && at > INT32_MAX);
    ccz_fl_server_free(s);
    CHECK(munmap(zeros, (size_t)len * sizeof(float)) == 0);
    ccz_fl_layout_free(l);
    ccz_buf_free(&msg);
}

static const struct ccz_test tests[] = {
    {"fl.threads", test_threads}, {"fl.faults", test_faults},       {"fl.garbage", test_garbage},
    {"fl.large", test_large},     {"fl.over_2_gb", test_over_2_gb},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
