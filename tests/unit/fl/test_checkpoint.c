/* SPDX-License-Identifier: Apache-2.0 */
/* What survives: servers and clients that are thrown away at any moment and go on from their files, to the same bits. */
#define _GNU_SOURCE
#include "fl/world.h"
#include "temp_dir.h"

#include <cczoo/pf.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEN = 3000, ROUNDS = 6 };

static void set_up(struct world *w, const struct ccz_fl_agg_cfg *agg)
{
    static const uint8_t key[CCZ_FL_KEY_SIZE] = {1, 2, 3};
    *w = (struct world){.len = 3,
                        .cfg = {.rounds = ROUNDS,
                                .members_min = 3,
                                .seeded = true,
                                .seed = 11,
                                .eval_every = 2,
                                .train = {.lr = 0.2F, .epochs = 3}}};
    w->cfg.agg = *agg;
    CHECK(ccz_secret_from(&w->seal, key, sizeof(key)) == CCZ_OK);
    world_begin(w, LEN);
}

static const char *state_of(unsigned i)
{
    static char path[WORLD_MAX][600]; /* clients borrow it */
    (void)snprintf(path[i], sizeof(path[i]), "%s/client-%u", temp_base, i);
    return path[i];
}

static void forget_files(struct world *w)
{
    static char dir[600];
    char cmd[1024];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'/ck '%s'/client-*", temp_base, temp_base);
    CHECK(system(cmd) == 0);
    (void)snprintf(dir, sizeof(dir), "%s", temp_make_dir("ck"));
    w->dir = dir;
}

/* All clients again, from their files. */
static void new_client(struct world *w, unsigned i)
{
    ccz_fl_client_free(w->seat[i].c);
    world_client(w, i, state_of(i));
    w->seat[i].in = w->seat[i].work = false;
}

static void calm(float out[LEN], const struct ccz_fl_agg_cfg *agg)
{
    struct world w;
    set_up(&w, agg);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.recs == ROUNDS);
    memcpy(out, ccz_fl_server_params(w.s), LEN * sizeof(float));
    world_end(&w);
}

static void server_again(struct world *w)
{
    struct ccz_err err = {0};
    for (unsigned i = 0; i < w->len; i++)
        w->seat[i].in = w->seat[i].work = false;
    ccz_fl_server_free(w->s);
    ccz_rc rc = ccz_fl_checkpoint_load(&w->s, w->dir, w->seal, &w->cfg, w->now_ms, &err);
    if (rc == CCZ_E_NOT_FOUND)
        world_server(w);
    else if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK || rc == CCZ_E_NOT_FOUND);
}

/* One thing of each client in turn. @return false: nothing moves any more */
static bool once_around(struct world *w, struct ccz_buf *msg, unsigned *steps)
{
    bool moved = false;
    for (unsigned i = 0; i < w->len; i++) {
        bool step = world_step(w, i, msg);
        moved |= step;
        *steps += step;
    }
    return moved;
}

/*
 * The server, or one client, dies behind every `every`-th message and comes back from its file.
 * @param who  WORLD_MAX: the server; a run that was over when it died stays over
 */
static void wild(float out[LEN], const struct ccz_fl_agg_cfg *agg, unsigned every, unsigned who)
{
    struct world w;
    struct ccz_buf msg;
    unsigned steps = 0, next = every, deaths = 0;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    set_up(&w, agg);
    forget_files(&w);
    for (unsigned i = 0; i < w.len; i++)
        new_client(&w, i);
    world_server(&w);
    world_join_all(&w);
    while (once_around(&w, &msg, &steps) || !ccz_fl_server_over(w.s, NULL)) {
        if (steps < next || ccz_fl_server_over(w.s, NULL) || deaths > 40)
            continue;
        next = steps + every;
        deaths++;
        if (who == WORLD_MAX) {
            server_again(&w);
            world_join_all(&w);
        } else {
            world_leave(&w, who);
            new_client(&w, who);
            world_join(&w, who);
        }
    }
    CHECK(deaths > 2 && ccz_fl_server_round(w.s) == ROUNDS);
    memcpy(out, ccz_fl_server_params(w.s), LEN * sizeof(float));
    ccz_buf_free(&msg);
    world_end(&w);
}

static void resume_with(const struct ccz_fl_agg_cfg *agg)
{
    static float want[LEN], got[LEN];
    static const unsigned every[] = {7, 11, 17, 23};
    calm(want, agg);
    for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
        /* a server's round takes some twenty messages: it must get through one between two deaths */
        wild(got, agg, every[i] + 30, WORLD_MAX);
        CHECK(memcmp(got, want, sizeof(want)) == 0);
        wild(got, agg, every[i], (unsigned)i % 3);
        CHECK(memcmp(got, want, sizeof(want)) == 0);
    }
}

static void test_resume(void)
{
    resume_with(&(struct ccz_fl_agg_cfg){0});
    resume_with(&(struct ccz_fl_agg_cfg){.opt = {.kind = CCZ_AGG_FEDAVGM}});
    resume_with(&(struct ccz_fl_agg_cfg){.opt = {.kind = CCZ_AGG_FEDADAM}});
}

static void test_resume_scaffold(void)
{
    resume_with(&(struct ccz_fl_agg_cfg){.scaffold = true});
}

static void test_resume_feedback(void)
{
    resume_with(&(struct ccz_fl_agg_cfg){.codec = {.kind = CCZ_AGG_INT8}});
    resume_with(&(struct ccz_fl_agg_cfg){.codec = {.kind = CCZ_AGG_TOPK, .topk = 300}});
}

static void test_resume_robust(void)
{
    resume_with(&(struct ccz_fl_agg_cfg){.rule = CCZ_FL_MEDIAN});
}

/* A world with a finished training and its checkpoints. */
static void finished(struct world *w)
{
    set_up(w, &(struct ccz_fl_agg_cfg){0});
    forget_files(w);
    for (unsigned i = 0; i < w->len; i++)
        new_client(w, i);
    world_server(w);
    world_join_all(w);
    world_run(w);
    CHECK(w->recs == ROUNDS);
}

static ccz_rc load(struct world *w, struct ccz_err *err)
{
    struct ccz_fl_server *s;
    ccz_rc rc = ccz_fl_checkpoint_load(&s, w->dir, w->seal, &w->cfg, 0, err);
    CHECK((rc == CCZ_OK) == (s != NULL));
    ccz_fl_server_free(s);
    return rc;
}

static unsigned count_files(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    CHECK(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

/* The last two stay; what a killed process left is removed; another model is not taken for ours. */
static void test_files(void)
{
    struct world w;
    char path[600];
    struct ccz_err err;
    finished(&w);
    CHECK(count_files(w.dir) == 2);
    (void)snprintf(path, sizeof(path), "%s/round-000000000009.ccz.123.tmp", w.dir);
    CHECK(ccz_file_write(path, ccz_span_str("half"), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(load(&w, NULL) == CCZ_OK && count_files(w.dir) == 2);
    w.cfg.rounds = 99; /* a limit may change */
    CHECK(load(&w, NULL) == CCZ_OK);
    w.cfg.train.lr = 0.3F;
    CHECK(load(&w, &err) == CCZ_E_MISMATCH && strcmp(err.where, "fl:checkpoint-config") == 0);
    w.cfg.train.lr = 0.2F;
    w.cfg.seed = 12;
    CHECK(load(&w, &err) == CCZ_E_MISMATCH && strcmp(err.where, "fl:checkpoint-config") == 0);
    w.cfg.seed = 11;
    struct ccz_fl_layout *narrow = toy_make_layout(LEN - 1);
    w.cfg.layout = narrow;
    CHECK(load(&w, &err) == CCZ_E_MISMATCH && strcmp(err.where, "fl:layout") == 0);
    w.cfg.layout = w.layout;
    ccz_fl_layout_free(narrow);
    w.dir = temp_path("nothing-here");
    CHECK(load(&w, &err) == CCZ_E_NOT_FOUND && strcmp(err.where, "fl:checkpoint") == 0);
    world_end(&w);
}

/* A changed byte anywhere, another key, a file under another round's name: refused, and no older one is taken instead. */
static void test_tampered(void)
{
    struct world w;
    struct ccz_buf file;
    char newest[600], older[600], next[600];
    struct ccz_err err;
    ccz_buf_init(&file, 1 << 20);
    finished(&w);
    (void)snprintf(newest, sizeof(newest), "%s/round-%012d.ccz", w.dir, ROUNDS);
    (void)snprintf(older, sizeof(older), "%s/round-%012d.ccz", w.dir, ROUNDS - 1);
    (void)snprintf(next, sizeof(next), "%s/round-%012d.ccz", w.dir, ROUNDS + 1);
    CHECK(ccz_file_read(&file, newest, NULL) == CCZ_OK);
    for (size_t at = 0; at < file.size; at += 509) {
        file.ptr[at] ^= 0x10;
        CHECK(ccz_file_write(newest, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
        file.ptr[at] ^= 0x10;
        ccz_rc rc = load(&w, &err);
        bool padding = at % CCZ_PF_NODE_SIZE > 0 && rc == CCZ_OK; /* bytes that mean nothing */
        CHECK(padding || (rc == CCZ_E_SIG && strcmp(err.where, "fl:checkpoint-seal") == 0));
    }
    for (size_t size = 0; size < file.size; size += 1021) {
        CHECK(ccz_file_write(newest, CCZ_SPAN(file.ptr, size), 0600, CCZ_FILE_REPLACE, NULL) ==
              CCZ_OK);
        CHECK(load(&w, &err) == CCZ_E_SIG);
    }
    CHECK(ccz_file_write(newest, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(load(&w, NULL) == CCZ_OK);
    CHECK(rename(older, next) == 0); /* an old state as the newest */
    CHECK(load(&w, &err) == CCZ_E_SIG && strcmp(err.where, "fl:checkpoint-seal") == 0);
    CHECK(unlink(next) == 0);
    ccz_secret_bytes(w.seal)[0] ^= 1;
    CHECK(load(&w, &err) == CCZ_E_SIG);
    ccz_secret_bytes(w.seal)[0] ^= 1;
    struct ccz_secret *whole = w.seal;
    CHECK(ccz_secret_new(&w.seal, 16) == CCZ_OK);
    CHECK(load(&w, &err) == CCZ_E_ARG && strcmp(err.where, "fl:checkpoint-key") == 0);
    ccz_secret_free(w.seal);
    w.seal = whole;
    ccz_buf_free(&file);
    world_end(&w);
}

/* A server that was put back to an older checkpoint: clients have seen more, and refuse. */
static void test_rolled_back(void)
{
    struct world w;
    char path[600];
    finished(&w);
    (void)snprintf(path, sizeof(path), "%s/round-%012d.ccz", w.dir, ROUNDS);
    CHECK(unlink(path) == 0);
    server_again(&w);
    CHECK(ccz_fl_server_round(w.s) == ROUNDS - 1);
    for (unsigned i = 0; i < w.len; i++)
        new_client(&w, i);
    world_join_all(&w);
    world_run(&w);
    CHECK(w.seat[0].rc == CCZ_E_POLICY && strcmp(w.seat[0].err.where, "fl:rollback") == 0);
    CHECK(ccz_fl_server_round(w.s) == ROUNDS - 1);
    world_end(&w);
}

/* A client's file is bound to its name, and to its key. */
static void test_client_state(void)
{
    struct world w;
    struct ccz_fl_client *c;
    struct ccz_buf file;
    struct ccz_err err;
    ccz_buf_init(&file, 1 << 20);
    set_up(&w, &(struct ccz_fl_agg_cfg){.codec = {.kind = CCZ_AGG_INT8}});
    forget_files(&w);
    for (unsigned i = 0; i < w.len; i++)
        new_client(&w, i);
    world_server(&w);
    world_join_all(&w);
    world_run(&w);
    struct ccz_fl_client_cfg cfg = {
        .name = "m-01", .layout = w.layout, .state_file = state_of(0), .state_key = w.seal};
    CHECK(ccz_fl_client_new(&c, &cfg, &err) == CCZ_E_SIG && !c);
    CHECK(strcmp(err.where, "fl:checkpoint-seal") == 0);
    cfg.name = "m-00";
    struct ccz_fl_layout *narrow = toy_make_layout(LEN - 1);
    cfg.layout = narrow;
    CHECK(ccz_fl_client_new(&c, &cfg, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "fl:layout") == 0);
    cfg.layout = w.layout;
    CHECK(ccz_file_read(&file, cfg.state_file, NULL) == CCZ_OK);
    CHECK(file.size > 2 * LEN * sizeof(float));
    file.ptr[5000] ^= 1;
    CHECK(ccz_file_write(cfg.state_file, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(ccz_fl_client_new(&c, &cfg, &err) == CCZ_E_SIG);
    ccz_fl_layout_free(narrow);
    ccz_buf_free(&file);
    world_end(&w);
}

/* What member 0 does with the last model. */
struct last {
    struct world *w;
    unsigned kept;
    ccz_rc rc;
    bool blocked; /* then its state cannot be written */
};

static ccz_rc keep_last(void *arg, uint64_t round, const float *params, struct ccz_err *err)
{
    struct last *l = arg;
    CHECK(round == l->w->cfg.rounds);
    CHECK(memcmp(params, ccz_fl_server_params(l->w->s), LEN * sizeof(float)) == 0);
    l->kept += l->rc == CCZ_OK;
    if (l->blocked)
        CHECK(unlink(state_of(0)) == 0 && mkdir(state_of(0), 0700) == 0);
    return l->rc == CCZ_OK ? CCZ_OK : ccz_fail(err, l->rc, "test:last", 0, "told to fail");
}

static void client_0(struct last *l)
{
    struct seat *p = &l->w->seat[0];
    const struct ccz_fl_client_cfg cfg = {.name = "m-00",
                                          .layout = l->w->layout,
                                          .unsigned_insecure = true,
                                          .state_file = state_of(0),
                                          .state_key = l->w->seal,
                                          .on_last = keep_last,
                                          .arg = l};
    world_leave(l->w, 0);
    ccz_fl_client_free(p->c);
    CHECK(ccz_fl_client_new(&p->c, &cfg, NULL) == CCZ_OK);
}

/* All together, until member 0 was asked to keep the last model; its report is not sent yet. */
static void run_to(struct last *l, bool complete)
{
    struct ccz_buf msg;
    unsigned steps = 0, kept = l->kept;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    world_join_all(l->w);
    while (l->kept == kept && l->w->seat[0].in) {
        CHECK(ccz_fl_client_complete(l->w->seat[0].c) == complete);
        CHECK(once_around(l->w, &msg, &steps));
    }
    CHECK(!ccz_fl_server_over(l->w->s, NULL));
    ccz_buf_free(&msg);
}

/* A member that dies behind its last model knows later that it has it, with nobody left to ask; not before it could keep it. */
static void test_last_model(void)
{
    struct world w;
    struct last l = {.w = &w, .rc = CCZ_E_IO};
    struct ccz_err err;
    float x[LEN];
    set_up(&w, &(struct ccz_fl_agg_cfg){.codec = {.kind = CCZ_AGG_INT8}});
    forget_files(&w);
    client_0(&l);
    world_server(&w);
    run_to(&l, false);
    CHECK(w.seat[0].rc == CCZ_E_IO && strcmp(w.seat[0].err.where, "test:last") == 0);
    client_0(&l);
    memcpy(x, ccz_fl_server_params(w.s), sizeof(x));
    CHECK(!ccz_fl_client_complete(w.seat[0].c));
    CHECK(ccz_fl_client_is_last(w.seat[0].c, w.layout, ROUNDS, x, &err) == CCZ_E_MISMATCH);

    l.rc = CCZ_OK;
    l.blocked = true;
    server_again(&w);
    world_join_all(&w);
    world_run(&w);
    CHECK(l.kept == 1 && w.seat[0].rc != CCZ_OK && !ccz_fl_client_complete(w.seat[0].c));
    CHECK(rmdir(state_of(0)) == 0);
    l = (struct last){.w = &w};

    client_0(&l);
    server_again(&w);
    run_to(&l, false);
    client_0(&l);
    CHECK(l.kept == 1 && ccz_fl_client_complete(w.seat[0].c) && !ccz_fl_client_params(w.seat[0].c));
    CHECK(ccz_fl_client_round(w.seat[0].c) == ROUNDS);
    CHECK(ccz_fl_client_is_last(w.seat[0].c, w.layout, ROUNDS, x, NULL) == CCZ_OK);
    CHECK(ccz_fl_client_is_last(w.seat[0].c, w.layout, ROUNDS - 1, x, &err) == CCZ_E_MISMATCH);
    x[LEN - 1] += 1;
    CHECK(ccz_fl_client_is_last(w.seat[0].c, w.layout, ROUNDS, x, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "fl:last-model") == 0);

    server_again(&w); /* once more the same, and the disk is full: it was kept before */
    l.rc = CCZ_E_IO;
    run_to(&l, true);
    CHECK(w.seat[0].rc == CCZ_E_IO && ccz_fl_client_complete(w.seat[0].c));
    l.rc = CCZ_OK;

    w.cfg.rounds += 2; /* it was not the last, as the first word of the server says */
    server_again(&w);
    client_0(&l);
    world_join(&w, 0);
    struct ccz_buf msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    CHECK(world_up(&w, 0, &msg) && world_down(&w, 0, &msg));
    client_0(&l);
    CHECK(!ccz_fl_client_complete(w.seat[0].c) && ccz_fl_client_round(w.seat[0].c) == ROUNDS);
    run_to(&l, false);
    CHECK(l.kept == 2 && ccz_fl_client_complete(w.seat[0].c));

    /* the server gives up waiting for another one: this member has all that there is */
    ccz_fl_server_stop(w.s, "no time");
    while (!w.seat[0].over && world_down(&w, 0, &msg))
        ;
    CHECK(w.seat[0].over && w.seat[0].rc == CCZ_OK);
    ccz_buf_free(&msg);
    world_end(&w);
}

static void test_model_file(void)
{
    struct ccz_fl_layout *l = toy_make_layout(LEN), *got;
    struct ccz_key *key, *other;
    struct ccz_buf file;
    struct ccz_err err;
    static float x[LEN];
    float *y;
    uint64_t round;
    const char *path = temp_path("model");
    ccz_buf_init(&file, 1 << 20);
    x[9] = 4;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK &&
          ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    CHECK(ccz_fl_model_save(path, l, 17, x, key, NULL) == CCZ_OK);
    CHECK(ccz_fl_model_load(&got, &y, &round, path, key, NULL) == CCZ_OK);
    CHECK(round == 17 && got->len == LEN && memcmp(x, y, sizeof(x)) == 0);
    ccz_fl_layout_free(got);
    free(y);
    CHECK(ccz_fl_model_load(&got, &y, &round, path, other, &err) == CCZ_E_SIG && !got && !y);
    CHECK(strcmp(err.where, "fl:model-signature") == 0);
    CHECK(ccz_file_read(&file, path, NULL) == CCZ_OK);
    for (size_t size = 0; size < file.size; size += size < 300 ? 1 : 997) {
        CHECK(ccz_file_write(path, CCZ_SPAN(file.ptr, size), 0600, CCZ_FILE_REPLACE, NULL) ==
              CCZ_OK);
        CHECK(ccz_fl_model_load(&got, &y, &round, path, NULL, &err) == CCZ_E_FORMAT);
    }
    file.ptr[file.size - 1] ^= 1;
    CHECK(ccz_file_write(path, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(ccz_fl_model_load(&got, &y, &round, path, NULL, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "fl:model-digest") == 0);
    CHECK(ccz_fl_model_load(&got, &y, &round, temp_path("none"), NULL, &err) == CCZ_E_NOT_FOUND);
    ccz_key_free(key);
    ccz_key_free(other);
    ccz_fl_layout_free(l);
    ccz_buf_free(&file);
}

static const struct ccz_test tests[] = {
    {"fl.resume", test_resume},
    {"fl.resume_scaffold", test_resume_scaffold},
    {"fl.resume_feedback", test_resume_feedback},
    {"fl.resume_robust", test_resume_robust},
    {"fl.checkpoint_files", test_files},
    {"fl.checkpoint_tampered", test_tampered},
    {"fl.checkpoint_rolled_back", test_rolled_back},
    {"fl.client_state", test_client_state},
    {"fl.last_model", test_last_model},
    {"fl.model_file", test_model_file},
};

int main(int argc, char **argv)
{
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
