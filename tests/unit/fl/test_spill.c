/* SPDX-License-Identifier: Apache-2.0 */
/* A model that waits in a file while updates are collected: the same bits, less memory, and no host that can change it. */
#define _GNU_SOURCE
#include "fl/world.h"
#include "temp_dir.h"

#include "fl/server.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LEN = 100003, BLOCK = CCZI_HFL_SPILL_BLOCK }; /* three blocks and a bit */

/* --------------------------------------------------------------------------- what a host can do */

/* The newest open file without a name below the temporary folder. */
static int host_open(void)
{
    DIR *d = opendir("/proc/self/fd");
    char path[64], to[4096];
    int best = -1;
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%.20s", e->d_name);
        ssize_t n = readlink(path, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = '\0';
        if (strstr(to, temp_base) && strstr(to, "(deleted)") && atoi(e->d_name) > best)
            best = atoi(e->d_name);
    }
    (void)closedir(d);
    CHECK(best >= 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", best);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void host_flip(uint64_t at)
{
    uint8_t b;
    int fd = host_open();
    CHECK(pread(fd, &b, 1, (off_t)at) == 1);
    b ^= 1;
    CHECK(pwrite(fd, &b, 1, (off_t)at) == 1 && close(fd) == 0);
}

static void host_read(uint8_t *out, size_t size, uint64_t at)
{
    int fd = host_open();
    CHECK(pread(fd, out, size, (off_t)at) == (ssize_t)size && close(fd) == 0);
}

static void host_write(const uint8_t *in, size_t size, uint64_t at)
{
    int fd = host_open();
    CHECK(pwrite(fd, in, size, (off_t)at) == (ssize_t)size && close(fd) == 0);
}

/* ------------------------------------------------------------------------------------ the file */

static void fill(uint8_t *x, size_t size, unsigned salt)
{
    for (size_t i = 0; i < size; i++)
        x[i] = (uint8_t)(i * 31 + i / 251 + salt);
}

static void refused(struct cczi_hfl_spill *s, uint64_t at, size_t size, ccz_rc rc,
                    const char *where)
{
    static uint8_t out[BLOCK], zeros[BLOCK];
    struct ccz_err err = {0};
    memset(out, 1, sizeof(out));
    CHECK(cczi_hfl_spill_get(out, s, at, size, &err) == rc && strcmp(err.where, where) == 0);
    CHECK(memcmp(out, zeros, size) == 0);
}

static void test_file(void)
{
    enum { SIZE = 3 * BLOCK + 1000 };
    static uint8_t x[SIZE], y[SIZE], old[SIZE];
    struct cczi_hfl_spill *s;
    CHECK(cczi_hfl_spill_new(&s, temp_base, SIZE, NULL) == CCZ_OK);
    refused(s, 0, BLOCK, CCZ_E_IO, "fl:spill"); /* nothing was written */
    fill(x, SIZE, 1);
    CHECK(cczi_hfl_spill_put(s, x, NULL) == CCZ_OK);
    CHECK(cczi_hfl_spill_get_all(y, s, NULL) == CCZ_OK && memcmp(x, y, SIZE) == 0);
    CHECK(cczi_hfl_spill_get(y, s, BLOCK, BLOCK, NULL) == CCZ_OK &&
          memcmp(x + BLOCK, y, BLOCK) == 0);
    host_read(old, SIZE, 0);
    for (size_t i = 0; i + 16 <= SIZE; i += 1000) /* encrypted */
        CHECK(memcmp(old + i, x + i, 16) != 0);
    /* again: other bytes for the same contents, and the old ones are not taken any more */
    CHECK(cczi_hfl_spill_put(s, x, NULL) == CCZ_OK);
    host_read(y, SIZE, 0);
    CHECK(memcmp(y, old, 16) != 0);
    host_write(old, BLOCK, 0);
    refused(s, 0, BLOCK, CCZ_E_SIG, "fl:spill-seal");
    host_write(y + BLOCK, BLOCK, 0); /* another block */
    refused(s, 0, BLOCK, CCZ_E_SIG, "fl:spill-seal");
    host_write(y, BLOCK, 0);
    CHECK(cczi_hfl_spill_get_all(y, s, NULL) == CCZ_OK && memcmp(x, y, SIZE) == 0);
    host_flip(SIZE - 1);
    refused(s, 3 * BLOCK, 1000, CCZ_E_SIG, "fl:spill-seal");
    CHECK(cczi_hfl_spill_get_all(y, s, NULL) == CCZ_E_SIG);
    int fd = host_open();
    CHECK(ftruncate(fd, 2 * BLOCK + 5) == 0 && close(fd) == 0);
    refused(s, 2 * BLOCK, BLOCK, CCZ_E_IO, "fl:spill");
    CHECK(cczi_hfl_spill_put(s, x, NULL) == CCZ_OK); /* whole again */
    CHECK(cczi_hfl_spill_get_all(y, s, NULL) == CCZ_OK && memcmp(x, y, SIZE) == 0);
    cczi_hfl_spill_free(s);
    struct ccz_err err;
    CHECK(cczi_hfl_spill_new(&s, "/nowhere/at/all", SIZE, &err) == CCZ_E_IO && !s);
    CHECK(strcmp(err.where, "fl:spill") == 0);
}

/* Room for two blocks. */
static void limit(bool on)
{
    static struct rlimit normal;
    struct rlimit small;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    if (on)
        CHECK(getrlimit(RLIMIT_FSIZE, &normal) == 0);
    small = normal;
    small.rlim_cur = 2 * BLOCK;
    CHECK(setrlimit(RLIMIT_FSIZE, on ? &small : &normal) == 0);
}

static void test_full(void)
{
    enum { SIZE = 3 * BLOCK };
    static uint8_t x[SIZE], y[SIZE];
    struct cczi_hfl_spill *s;
    struct ccz_err err = {0};
    fill(x, SIZE, 2);
    CHECK(cczi_hfl_spill_new(&s, temp_base, SIZE, NULL) == CCZ_OK);
    CHECK(cczi_hfl_spill_put(s, x, NULL) == CCZ_OK);
    limit(true);
    CHECK(cczi_hfl_spill_put(s, x, &err) == CCZ_E_IO && strcmp(err.where, "fl:spill") == 0);
    limit(false);
    CHECK(err.hint[0]);
    refused(s, 0, BLOCK, CCZ_E_SIG, "fl:spill-seal"); /* half of it is new */
    CHECK(cczi_hfl_spill_get_all(y, s, NULL) == CCZ_E_SIG);
    cczi_hfl_spill_free(s);
}

/* ---------------------------------------------------------------------------------- trainings */

static const struct ccz_fl_server_cfg plain = {
    .rounds = 3, .members_min = 3, .seeded = true, .seed = 5, .train = {.lr = 0.5F}};

static void begin(struct world *w, const struct ccz_fl_server_cfg *cfg)
{
    *w = (struct world){.len = 3, .cfg = *cfg};
    world_begin(w, LEN);
    world_server(w);
    w->cfg.spill_dir = NULL; /* not kept */
    world_join_all(w);
}

static void whole(float out[LEN], const struct ccz_fl_server_cfg *cfg)
{
    struct world w;
    begin(&w, cfg);
    world_run(&w);
    CHECK(ccz_fl_server_over(w.s, NULL) && w.recs == cfg->rounds && w.refusals == 0);
    memcpy(out, ccz_fl_server_params(w.s), LEN * sizeof(float));
    for (unsigned i = 0; i < w.len; i++)
        CHECK(memcmp(ccz_fl_client_params(w.seat[i].c), out, LEN * sizeof(float)) == 0);
    world_end(&w);
}

static struct ccz_fl_server_cfg spilled(const struct ccz_fl_server_cfg *cfg)
{
    struct ccz_fl_server_cfg c = *cfg;
    c.spill_dir = temp_base;
    return c;
}

static void test_same_bits(void)
{
    static float x[LEN], y[LEN];
    struct ccz_fl_server_cfg cfgs[6] = {plain, plain, plain, plain, plain, plain};
    cfgs[1].slots = 2;
    cfgs[1].norm_max = 1e9;
    cfgs[2].agg.codec.kind = CCZ_AGG_INT8;
    cfgs[2].agg.opt.kind = CCZ_AGG_FEDAVGM;
    cfgs[3].agg.scaffold = true;
    cfgs[4].agg.rule = CCZ_FL_MEDIAN;
    cfgs[5].privacy.secagg = true;
    cfgs[5].privacy.range = 200000;
    cfgs[5].samples_max = 1000;
    for (unsigned i = 0; i < sizeof(cfgs) / sizeof(cfgs[0]); i++) {
        struct ccz_fl_server_cfg there = spilled(&cfgs[i]);
        whole(x, &cfgs[i]);
        whole(y, &there);
        CHECK(memcmp(x, y, sizeof(x)) == 0);
    }
}

/* Until the updates come: then the model is in its file. */
static void until_spilled(struct world *w)
{
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    bool moved = true;
    while (moved && w->s->model != HFL_SPILLED) {
        moved = false;
        for (unsigned i = 0; i < w->len && w->s->model != HFL_SPILLED; i++)
            moved |= world_step(w, i, &msg);
    }
    CHECK(w->s->model == HFL_SPILLED);
    ccz_buf_free(&msg);
}

/* To the end of the first round, and not further. */
static void one_round(struct world *w)
{
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    while (w->recs == 0)
        for (unsigned i = 0; i < w->len && w->recs == 0; i++)
            (void)world_step(w, i, &msg);
    ccz_buf_free(&msg);
}

/* Pages of a vector that are in memory; the first and the last may be shared. */
static size_t resident(const void *p, size_t size)
{
    static unsigned char at[1 << 16];
    const uintptr_t page = 4096, from = ((uintptr_t)p + page - 1) / page * page;
    size_t pages = ((uintptr_t)p + size - from) / page, n = 0;
    CHECK(pages < sizeof(at) && mincore((void *)from, pages * page, at) == 0);
    for (size_t i = 0; i < pages; i++)
        n += at[i] & 1;
    return n;
}

static void test_memory(void)
{
    struct world w;
    struct ccz_fl_server_cfg cfg = spilled(&plain);
    begin(&w, &cfg);
    CHECK(resident(w.s->params, LEN * sizeof(float)) > 50);
    until_spilled(&w);
    CHECK(resident(w.s->params, LEN * sizeof(float)) == 0);
    one_round(&w);
    CHECK(w.s->model == HFL_HELD && !w.s->slots[0].bytes);
    CHECK(resident(w.s->params, LEN * sizeof(float)) > 50);
    world_end(&w);
}

/* Who is lost and comes back gets the model from the file. */
static void test_return(void)
{
    static float x[LEN];
    struct world w;
    struct ccz_fl_server_cfg cfg = spilled(&plain);
    whole(x, &plain);
    begin(&w, &cfg);
    one_round(&w); /* the first model is zeros, as memory is that was given back */
    until_spilled(&w);
    world_leave(&w, 2);
    world_join(&w, 2);
    CHECK(w.s->model == HFL_SPILLED);
    world_run(&w);
    CHECK(w.recs == 3 && w.rec[1].delivered == 3);
    CHECK(memcmp(ccz_fl_server_params(w.s), x, sizeof(x)) == 0);
    world_end(&w);
}

/* A round that is begun anew sends its model from there, too. */
static void test_anew(void)
{
    static float x[LEN];
    struct world w;
    struct ccz_fl_server_cfg cfg = spilled(&plain);
    cfg.round_timeout_ms = 1000;
    whole(x, &plain);
    begin(&w, &cfg);
    one_round(&w);
    until_spilled(&w);
    world_leave(&w, 1);
    world_run(&w);
    CHECK(w.recs == 1);
    w.now_ms = 40000;
    (void)ccz_fl_server_tick(w.s, w.now_ms);
    CHECK(w.s->model == HFL_SPILLED && w.s->attempt == 1);
    world_join(&w, 1);
    world_run(&w);
    CHECK(w.recs == 3 && w.rec[1].attempt == 2);
    CHECK(memcmp(ccz_fl_server_params(w.s), x, sizeof(x)) == 0);
    world_end(&w);
}

/* A changed file is seen: at the end of the round, by whoever asks for the model, and when it is asked for at the end. */
static void test_tampered(void)
{
    struct ccz_fl_server_cfg cfg = spilled(&plain);
    struct ccz_err why;
    struct world w;
    begin(&w, &cfg);
    until_spilled(&w);
    host_flip(LEN);
    world_run(&w);
    CHECK(ccz_fl_server_over(w.s, &why) && strcmp(why.where, "fl:spill-seal") == 0);
    CHECK(w.recs == 0 && w.seat[0].over && !ccz_fl_server_params(w.s));
    world_end(&w);
    begin(&w, &cfg);
    until_spilled(&w);
    world_leave(&w, 2);
    host_flip(LEN);
    world_join(&w, 2);
    world_run_but(&w, 0); /* whose update is awaited: the round does not close */
    CHECK(ccz_fl_server_over(w.s, &why) && strcmp(why.where, "fl:spill-seal") == 0);
    CHECK(w.seat[2].over && strcmp(w.seat[2].err.where, "fl:spill-seal") != 0);
    world_end(&w);
}

/* Stopped, and the model is still to be had; what cannot be written ends the training, too. */
static void test_stop(void)
{
    static float x[LEN];
    struct ccz_fl_server_cfg cfg = plain;
    struct ccz_err why;
    struct world w;
    cfg.rounds = 1;
    whole(x, &cfg);
    cfg = spilled(&plain);
    begin(&w, &cfg);
    one_round(&w);
    until_spilled(&w);
    ccz_fl_server_stop(w.s, "maintenance");
    const float *first = ccz_fl_server_params(w.s);
    CHECK(first && w.recs == 1 && w.s->model == HFL_HELD);
    CHECK(memcmp(first, x, sizeof(x)) == 0);
    world_end(&w);
    begin(&w, &cfg);
    limit(true);
    world_run(&w);
    limit(false);
    CHECK(ccz_fl_server_over(w.s, &why) && strcmp(why.where, "fl:spill") == 0);
    CHECK(w.recs == 0 && ccz_fl_server_params(w.s));
    world_end(&w);
}

static void test_config(void)
{
    struct ccz_fl_server *s;
    struct ccz_err err;
    struct ccz_fl_layout *l = toy_make_layout(10);
    const float zeros[10] = {0};
    struct ccz_fl_server_cfg cfg = spilled(&plain);
    cfg.layout = l;
    cfg.buffer_len = 2;
    CHECK(ccz_fl_server_new(&s, &cfg, zeros, 0, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "fl:cfg-spill") == 0);
    cfg.buffer_len = 0;
    cfg.spill_dir = "/nowhere/at/all";
    CHECK(ccz_fl_server_new(&s, &cfg, zeros, 0, &err) == CCZ_E_IO);
    CHECK(strcmp(err.where, "fl:spill") == 0);
    ccz_fl_layout_free(l);
}

/* ------------------------------------------------------------------------------------ threads */

struct party {
    struct world *w;
    unsigned i;
    struct ccz_chan *chan;
    pthread_t thread;
    ccz_rc rc;
};

static void *attend(void *arg)
{
    struct party *p = arg;
    char name[32];
    (void)snprintf(name, sizeof(name), "m-%02u", p->i);
    p->rc = ccz_fl_server_attend(p->w->s, name, p->chan, NULL);
    ccz_chan_free(p->chan);
    return NULL;
}

static void *take_part(void *arg)
{
    struct party *p = arg;
    const struct ccz_fl_trainer t = toy_trainer(&p->w->seat[p->i].toy);
    p->rc = ccz_fl_client_run(p->w->seat[p->i].c, p->chan, &t, 0, NULL);
    ccz_chan_free(p->chan);
    return NULL;
}

/* Some read the model while it leaves, and from its file. */
static void test_threads(void)
{
    enum { MEMBERS = 5 };
    static float x[LEN];
    struct party server[MEMBERS], client[MEMBERS];
    struct world w = {.len = MEMBERS, .cfg = plain}, v = {.len = MEMBERS, .cfg = plain};
    v.cfg.members_min = w.cfg.members_min = MEMBERS;
    world_begin(&v, LEN);
    world_server(&v);
    world_join_all(&v);
    world_run(&v);
    memcpy(x, ccz_fl_server_params(v.s), sizeof(x));
    world_end(&v);
    w.cfg.spill_dir = temp_base;
    world_begin(&w, LEN);
    w.cfg.hooks.on_refusal = NULL;
    world_server(&w);
    for (unsigned i = 0; i < MEMBERS; i++) {
        server[i] = client[i] = (struct party){.w = &w, .i = i};
        CHECK(ccz_chan_pair(&server[i].chan, &client[i].chan, NULL, NULL) == CCZ_OK);
        CHECK(pthread_create(&server[i].thread, NULL, attend, &server[i]) == 0);
        CHECK(pthread_create(&client[i].thread, NULL, take_part, &client[i]) == 0);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        CHECK(pthread_join(client[i].thread, NULL) == 0 && client[i].rc == CCZ_OK);
        CHECK(pthread_join(server[i].thread, NULL) == 0 && server[i].rc == CCZ_OK);
    }
    CHECK(w.recs == 3 && memcmp(ccz_fl_server_params(w.s), x, sizeof(x)) == 0);
    world_end(&w);
}

static const struct ccz_test tests[] = {
    {"fl_spill.file", test_file},           {"fl_spill.full", test_full},
    {"fl_spill.same_bits", test_same_bits}, {"fl_spill.memory", test_memory},
    {"fl_spill.return", test_return},       {"fl_spill.anew", test_anew},
    {"fl_spill.tampered", test_tampered},   {"fl_spill.stop", test_stop},
    {"fl_spill.config", test_config},       {"fl_spill.threads", test_threads},
};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
