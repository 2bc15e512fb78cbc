/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members take turns on the workers: one that the server has messages for is put into a queue, a worker takes it out and
 * carries messages between its client and the server until there are none left. Members that trained already and wait to
 * upload go first: their updates are what takes memory.
 */
#define _DEFAULT_SOURCE
#include "sim_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NONE = UINT32_MAX, POLL_MS = 200, PATH_SIZE = 4096 };
enum turn { IDLE, QUEUED, RUNNING, RUNNING_AGAIN };

struct member {
    struct ccz_fl_client *client;
    uint32_t id;      /* of the server */
    uint32_t next;    /* in its queue */
    char *state_file; /* borrowed by the client */
    enum turn turn;
    bool trained; /* and not done with uploading */
};

struct queue {
    uint32_t head, tail;
};

struct sim {
    const struct ccz_fl_sim_cfg *cfg;
    struct cczi_fl_parts parts;
    struct ccz_fl_server *server;
    struct ccz_fl_layout *layout;
    struct ccz_fl_trainer judge; /* evaluates */
    struct member *members;
    uint32_t *by_id; /* members_max entries: index of the server's member */
    pthread_mutex_t lock;
    pthread_cond_t work, quiet;
    struct queue urgent, ready;
    unsigned running;
    uint64_t served;
    bool held; /* the run is to stop: nobody is served until the server knows */
    bool quit;
    ccz_rc rc; /* first failure */
    struct ccz_err err;
};

/* --------------------------------------------------------------------------------------- parts */

void cczi_fl_parts_free(struct cczi_fl_parts *p)
{
    free(p->rows);
    free(p->first);
    *p = (struct cczi_fl_parts){0};
}

ccz_rc cczi_fl_parts_new(struct cczi_fl_parts *out, const struct ccz_fl_sim_cfg *cfg,
                         struct ccz_err *err)
{
    const size_t len = cfg->train->len, clients = cfg->clients;
    *out = (struct cczi_fl_parts){.rows = malloc((len + 1) * sizeof(*out->rows)),
                                  .first = calloc(clients + 2, sizeof(*out->first))};
    if (!out->rows || !out->first) {
        cczi_fl_parts_free(out);
        return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", (int64_t)len, "out of memory");
    }
    size_t *at = out->first + 1; /* first[i + 1] is where the next row of part i goes */
    for (size_t i = 0; i < len; i++) {
        if (cfg->part[i] == CCZ_DATASET_NO_PART)
            continue;
        if (cfg->part[i] >= clients) {
            cczi_fl_parts_free(out);
            return ccz_refuse_num(err, CCZ_E_ARG, "fl:sim-part", cfg->part[i], (int64_t)clients);
        }
        at[cfg->part[i] + 1]++;
    }
    for (size_t c = 0; c < clients; c++) {
        if (at[c + 1] == 0) {
            cczi_fl_parts_free(out);
            return ccz_fail(err, CCZ_E_ARG, "fl:sim-part", (int64_t)c, "client %zu has no samples",
                            c);
        }
        at[c + 1] += at[c];
    }
    for (size_t i = 0; i < len; i++)
        if (cfg->part[i] != CCZ_DATASET_NO_PART)
            out->rows[at[cfg->part[i]]++] = (uint32_t)i;
    return CCZ_OK;
}

struct ccz_nn_data cczi_fl_parts_data(const struct cczi_fl_parts *p,
                                      const struct ccz_fl_sim_cfg *cfg, uint32_t from, uint32_t to)
{
    struct ccz_nn_data d = ccz_fl_nn_data(cfg->train);
    d.rows = p->rows + p->first[from];
    d.rows_len = p->first[to] - p->first[from];
    return d;
}

unsigned cczi_fl_threads(const struct ccz_fl_sim_cfg *cfg, uint32_t work)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = cfg->threads ? cfg->threads : processors > 0 ? (unsigned)processors : 1;
    n = n > CCZ_FL_SIM_THREADS_MAX ? CCZ_FL_SIM_THREADS_MAX : n;
    return n > work ? work : n;
}

ccz_rc cczi_fl_sim_check(const struct ccz_fl_sim_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->train || !cfg->part || cfg->clients == 0 || cfg->clients > CCZ_FL_MEMBERS_MAX ||
        cfg->threads > CCZ_FL_SIM_THREADS_MAX || cfg->train->len > UINT32_MAX ||
        (cfg->dir && !cfg->key))
        return ccz_fail(err, CCZ_E_ARG, "fl:sim-config", cfg->clients,
                        "no data, no parts, no or more than %zu clients, more than %d threads, or "
                        "checkpoints without a key",
                        CCZ_FL_MEMBERS_MAX, CCZ_FL_SIM_THREADS_MAX);
    const uint64_t width = (uint64_t)cfg->spec.channels * cfg->spec.height * cfg->spec.width;
    if (cfg->train->width != width || (cfg->test && cfg->test->width != width))
        return ccz_fail(err, CCZ_E_ARG, "fl:sim-config", (int64_t)cfg->train->width,
                        "the network is for samples of another width");
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- queues */

static void push(struct sim *s, uint32_t i)
{
    struct queue *q = s->members[i].trained ? &s->urgent : &s->ready;
    s->members[i].turn = QUEUED;
    s->members[i].next = NONE;
    if (q->head == NONE)
        q->head = i;
    else
        s->members[q->tail].next = i;
    q->tail = i;
    (void)pthread_cond_signal(&s->work);
}

static uint32_t pop(struct sim *s)
{
    struct queue *q = s->urgent.head != NONE ? &s->urgent : &s->ready;
    const uint32_t i = q->head;
    if (i != NONE)
        q->head = s->members[i].next;
    return i;
}

static bool nothing_queued(const struct sim *s)
{
    return s->urgent.head == NONE && s->ready.head == NONE;
}

static void fail(struct sim *s, ccz_rc rc, const struct ccz_err *err)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->rc == CCZ_OK) {
        s->rc = rc;
        s->err = *err;
    }
    s->quit = true;
    (void)pthread_cond_broadcast(&s->work);
    (void)pthread_cond_signal(&s->quiet);
    (void)pthread_mutex_unlock(&s->lock);
}

/* --------------------------------------------------------------------------------------- hooks */

static void on_wake(void *arg, uint32_t id)
{
    struct sim *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    const uint32_t i = id < s->cfg->clients ? s->by_id[id] : NONE;
    if (i != NONE && s->members[i].turn == IDLE)
        push(s, i);
    else if (i != NONE && s->members[i].turn == RUNNING)
        s->members[i].turn = RUNNING_AGAIN;
    (void)pthread_mutex_unlock(&s->lock);
}

static ccz_rc on_evaluate(struct ccz_fl_metrics *out, void *arg, uint64_t round,
                          const float *params, struct ccz_err *err)
{
    struct sim *s = arg;
    const uint32_t every = s->cfg->eval_every ? s->cfg->eval_every : 1;
    *out = (struct ccz_fl_metrics){0};
    if (!s->cfg->test || (round % every != 0 && round != s->cfg->server.rounds))
        return CCZ_OK;
    ccz_rc rc = s->judge.ops->set(s->judge.self, params, err);
    return rc == CCZ_OK ? s->judge.ops->evaluate(out, s->judge.self, err) : rc;
}

static ccz_rc on_store(void *arg, const struct ccz_fl_server *server, struct ccz_err *err)
{
    const struct sim *s = arg;
    return ccz_fl_checkpoint_save(s->cfg->dir, s->cfg->key, 0, server, err);
}

static bool stop_wanted(const struct sim *s)
{
    return s->cfg->stop && *(const volatile bool *)s->cfg->stop;
}

static void on_round(void *arg, const struct ccz_fl_record *r)
{
    struct sim *s = arg;
    if (s->cfg->on_round)
        s->cfg->on_round(s->cfg->arg, r);
    if (!stop_wanted(s))
        return;
    (void)pthread_mutex_lock(&s->lock); /* the next round may be over before the supervisor looks */
    s->held = true;
    (void)pthread_cond_signal(&s->quiet);
    (void)pthread_mutex_unlock(&s->lock);
}

static void on_refusal(void *arg, const char *member, uint64_t round, const struct ccz_err *why)
{
    const struct sim *s = arg;
    if (s->cfg->on_refusal)
        s->cfg->on_refusal(s->cfg->arg, member, round, why);
}

/* ------------------------------------------------------------------------------------- workers */

/* All messages of one member that there are, in both directions. */
static ccz_rc serve(struct sim *s, struct member *m, const struct ccz_fl_trainer *t,
                    struct ccz_buf *msg, struct ccz_err *err)
{
    const uint32_t i = (uint32_t)(m - s->members);
    for (;;) {
        ccz_rc rc = CCZ_OK;
        while (rc == CCZ_OK && ccz_fl_client_output(msg, m->client))
            rc = ccz_fl_server_input(s->server, m->id, ccz_buf_span(msg), ccz_mono_ms(), err);
        if (rc != CCZ_OK || !ccz_fl_server_output(msg, s->server, m->id, ccz_mono_ms()))
            return rc;
        enum ccz_fl_event event;
        rc = ccz_fl_client_input(&event, m->client, ccz_buf_span(msg), err);
        if (rc == CCZ_OK && event == CCZ_FL_WORK) {
            const struct ccz_nn_data rows = cczi_fl_parts_data(&s->parts, s->cfg, i, i + 1);
            ccz_fl_nn_use(t, &rows, NULL);
            rc = ccz_fl_client_work(m->client, t, err);
            m->trained = true;
        }
        if (rc != CCZ_OK)
            return rc;
    }
}

/* The server has judged the update: the client holds nothing any more. Called within serve(). */
static void on_delivered(void *arg, const struct ccz_fl_client_record *r)
{
    struct member *m = arg;
    (void)r;
    m->trained = false;
}

/* The server ended early and told the client so: the reason is the server's to say. */
static bool told_of_end(const struct ccz_err *err)
{
    return strcmp(err->where, "fl:stopped") == 0;
}

static void *work(void *arg)
{
    struct sim *s = arg;
    struct ccz_fl_trainer t;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    const struct ccz_fl_nn_cfg cfg = {.spec = s->cfg->spec, .weight_decay = s->cfg->weight_decay};
    ccz_rc rc = ccz_fl_nn_trainer(&t, &cfg, &err);
    if (rc != CCZ_OK) {
        fail(s, rc, &err);
        return NULL;
    }
    (void)pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        const uint32_t i = s->held ? NONE : pop(s);
        if (i == NONE) {
            (void)pthread_cond_wait(&s->work, &s->lock);
            continue;
        }
        struct member *m = &s->members[i];
        m->turn = RUNNING;
        s->running++;
        (void)pthread_mutex_unlock(&s->lock);
        rc = serve(s, m, &t, &msg, &err);
        if (rc != CCZ_OK && !told_of_end(&err))
            fail(s, rc, &err);
        (void)pthread_mutex_lock(&s->lock);
        s->running--;
        s->served++;
        if (m->turn == RUNNING_AGAIN)
            push(s, i);
        else
            m->turn = IDLE;
        if (s->running == 0 && nothing_queued(s))
            (void)pthread_cond_signal(&s->quiet);
    }
    (void)pthread_mutex_unlock(&s->lock);
    t.ops->free(t.self);
    return NULL;
}

/* Waits for something to change; lock held. */
static void wait_ms(struct sim *s, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    ms = ms < 1 ? 1 : ms > POLL_MS ? POLL_MS : ms;
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&s->quiet, &s->lock, &until);
}

/* Time and the end are this thread's affair. */
static ccz_rc supervise(struct sim *s, struct ccz_err *err)
{
    bool stopped = false;
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        const uint64_t served = s->served;
        const bool was_quiet = s->running == 0 && nothing_queued(s);
        (void)pthread_mutex_unlock(&s->lock);
        if (!stopped && stop_wanted(s)) {
            ccz_fl_server_stop(s->server, "the simulation is stopped");
            stopped = true;
        }
        const int64_t now = ccz_mono_ms(), next = ccz_fl_server_tick(s->server, now);
        const bool over = ccz_fl_server_over(s->server, NULL);
        (void)pthread_mutex_lock(&s->lock);
        if (stopped && s->held) {
            s->held = false;
            (void)pthread_cond_broadcast(&s->work);
        }
        const bool quiet = was_quiet && s->served == served && s->running == 0 && nothing_queued(s);
        if (s->rc != CCZ_OK || (quiet && over))
            break;
        if (quiet && next == INT64_MAX) {
            rc = ccz_fail(err, CCZ_E_INTERNAL, "fl:sim-stuck", (int64_t)served,
                          "no member has anything to do, and the round does not end");
            break;
        }
        if (!was_quiet || s->served == served)
            wait_ms(s, next == INT64_MAX ? POLL_MS : next - now);
    }
    s->quit = true;
    (void)pthread_cond_broadcast(&s->work);
    if (s->rc != CCZ_OK) {
        rc = s->rc;
        if (err)
            *err = s->err;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK && stopped)
        rc = ccz_fail(err, CCZ_E_CLOSED, "fl:sim-stopped", 0, "stopped");
    return rc;
}

/* --------------------------------------------------------------------------------------- start */

static ccz_rc start_server(struct sim *s, bool *resumed, struct ccz_err *err)
{
    const struct ccz_fl_sim_cfg *cfg = s->cfg;
    struct ccz_fl_server_cfg c = cfg->server;
    c.layout = s->layout;
    c.members_min = c.members_max = cfg->clients;
    c.hooks = (struct ccz_fl_server_hooks){.wake = on_wake,
                                           .evaluate = on_evaluate,
                                           .store = cfg->dir ? on_store : NULL,
                                           .on_round = on_round,
                                           .on_refusal = on_refusal,
                                           .wake_arg = s,
                                           .arg = s};
    struct ccz_err none = {0};
    *resumed = false;
    if (cfg->dir) {
        ccz_rc rc = ccz_dir_make(cfg->dir, 0700, err);
        if (rc == CCZ_OK)
            rc = ccz_fl_checkpoint_load(&s->server, cfg->dir, cfg->key, &c, ccz_mono_ms(), &none);
        if (rc != CCZ_E_NOT_FOUND) {
            *resumed = rc == CCZ_OK;
            if (rc != CCZ_OK && none.rc != CCZ_OK && err)
                *err = none;
            return rc;
        }
    }
    float *params = malloc((size_t)s->layout->len * sizeof(*params));
    if (!params)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", 0, "out of memory");
    ccz_rc rc = s->judge.ops->get(s->judge.self, params, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_server_new(&s->server, &c, params, ccz_mono_ms(), err);
    free(params);
    if (rc == CCZ_OK &&
        cfg->dir) /* killed in its first round, it is to go on as the same training */
        rc = ccz_fl_checkpoint_save(cfg->dir, cfg->key, 0, s->server, err);
    return rc;
}

static ccz_rc start_client(struct sim *s, uint32_t i, struct ccz_err *err)
{
    const struct ccz_fl_sim_cfg *cfg = s->cfg;
    char name[CCZ_FL_MEMBER_NAME_SIZE], path[PATH_SIZE];
    (void)snprintf(name, sizeof(name), "client-%07u", i);
    struct ccz_fl_client_cfg c = {.name = name,
                                  .layout = s->layout,
                                  .unsigned_insecure = !cfg->server.sign_key,
                                  .frugal = true,
                                  .on_round = on_delivered,
                                  .arg = &s->members[i]};
    if (cfg->server
            .sign_key) { /* as a server that is known: its key is kept from the first round on */
        c.unsigned_insecure = false;
    }
    if (cfg->dir && (cfg->server.agg.scaffold || cfg->server.agg.codec.kind != CCZ_AGG_F32)) {
        if (snprintf(path, sizeof(path), "%s/%s.ccz", cfg->dir, name) >= (int)sizeof(path))
            return ccz_fail(err, CCZ_E_LIMIT, "fl:sim-path", 0, "too long: %s", cfg->dir);
        c.state_file = s->members[i].state_file = strdup(path);
        if (!c.state_file)
            return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", 0, "out of memory");
        c.state_key = cfg->key;
    }
    ccz_rc rc = ccz_fl_client_new(&s->members[i].client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_client_start(s->members[i].client, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_server_join(&s->members[i].id, s->server, name, ccz_mono_ms(), err);
    if (rc == CCZ_OK && s->members[i].id < cfg->clients)
        s->by_id[s->members[i].id] = i;
    return rc;
}

static ccz_rc start(struct sim *s, bool *resumed, struct ccz_err *err)
{
    const struct ccz_fl_sim_cfg *cfg = s->cfg;
    struct ccz_fl_nn_cfg judge = {
        .spec = cfg->spec, .weight_decay = cfg->weight_decay, .seed = cfg->seed};
    if (cfg->test)
        judge.test = ccz_fl_nn_data(cfg->test);
    s->urgent.head = s->ready.head = NONE;
    s->members = calloc(cfg->clients, sizeof(*s->members));
    s->by_id = malloc(cfg->clients * sizeof(*s->by_id));
    if (!s->members || !s->by_id)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", cfg->clients, "out of memory");
    for (uint32_t i = 0; i < cfg->clients; i++)
        s->by_id[i] = NONE;
    ccz_rc rc = cczi_fl_parts_new(&s->parts, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_nn_trainer(&s->judge, &judge, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_layout_copy(&s->layout, s->judge.ops->layout(s->judge.self), err);
    if (rc == CCZ_OK)
        rc = start_server(s, resumed, err);
    for (uint32_t i = 0; rc == CCZ_OK && i < cfg->clients; i++)
        rc = start_client(s, i, err);
    (void)pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; rc == CCZ_OK && i < cfg->clients; i++)
        if (s->members[i].turn == IDLE)
            push(s, i);
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static void finish(struct sim *s)
{
    ccz_fl_server_free(s->server);
    for (uint32_t i = 0; s->members && i < s->cfg->clients; i++) {
        ccz_fl_client_free(s->members[i].client);
        free(s->members[i].state_file);
    }
    free(s->members);
    free(s->by_id);
    cczi_fl_parts_free(&s->parts);
    ccz_fl_layout_free(s->layout);
    if (s->judge.ops)
        s->judge.ops->free(s->judge.self);
    (void)pthread_cond_destroy(&s->quiet);
    (void)pthread_cond_destroy(&s->work);
    (void)pthread_mutex_destroy(&s->lock);
}

static ccz_rc take_model(struct ccz_fl_sim_result *out, const struct sim *s, struct ccz_err *err)
{
    struct ccz_err why = {0};
    (void)ccz_fl_server_over(s->server, &why);
    if (why.rc != CCZ_OK) { /* it ended before its last round */
        if (err)
            *err = why;
        return why.rc;
    }
    out->len = (size_t)s->layout->len;
    out->params = malloc(out->len * sizeof(float));
    if (!out->params)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", (int64_t)out->len, "out of memory");
    memcpy(out->params, ccz_fl_server_params(s->server), out->len * sizeof(float));
    out->rounds = ccz_fl_server_round(s->server);
    return CCZ_OK;
}

ccz_rc ccz_fl_simulate(struct ccz_fl_sim_result *out, const struct ccz_fl_sim_cfg *cfg,
                       struct ccz_err *err)
{
    struct sim s = {.cfg = cfg};
    pthread_t threads[CCZ_FL_SIM_THREADS_MAX];
    unsigned started = 0;
    *out = (struct ccz_fl_sim_result){0};
    ccz_rc rc = cczi_fl_sim_check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    if (pthread_mutex_init(&s.lock, NULL) != 0 || pthread_cond_init(&s.work, NULL) != 0 ||
        pthread_cond_init(&s.quiet, NULL) != 0)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:sim-memory", 0, "no mutex");
    bool resumed = false;
    rc = start(&s, &resumed, err);
    for (const unsigned n = cczi_fl_threads(cfg, cfg->clients); rc == CCZ_OK && started < n;
         started++)
        if (pthread_create(&threads[started], NULL, work, &s) != 0) {
            if (started == 0)
                rc = ccz_fail(err, CCZ_E_NOMEM, "fl:sim-thread", 0, "cannot start a thread");
            break;
        }
    if (rc == CCZ_OK)
        rc = supervise(&s, err);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    if (rc == CCZ_OK)
        rc = take_model(out, &s, err);
    out->resumed = rc == CCZ_OK && resumed;
    finish(&s);
    return rc;
}
