/* SPDX-License-Identifier: Apache-2.0 */
/* `cczoo psi prepare|answer|ask`: a large set is prepared once, and many small ones are asked for. */
#include "psi.h"

#include <cczoo/psi_db.h>

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEAL_SIZE = 32, SESSIONS_MAX = 16, LOOK_MS = 200 };
#define FILTER_SIZE_MAX ((size_t)4 << 30)

/* ----------------------------------------------------------------------------------------- prepare */

int psi_prepare(const struct psi_opts *o)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_psi_ids) ids = NULL;
    CCZ_AUTO(ccz_secret) seal = NULL;
    CCZ_AUTO(ccz_psi_db) db = NULL;
    const struct ccz_psi_db_cfg cfg = {.query_len_max = (uint64_t)o->query_len_max,
                                       .threads = (unsigned)o->threads};
    int64_t start_ms = ccz_mono_ms();
    ccz_rc rc = ccz_file_read_secret(&seal, o->seal, SEAL_SIZE, &err);
    if (rc == CCZ_OK)
        rc = psi_read_ids(&ids, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_psi_db_new(&db, ids, &cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_psi_db_save(db, o->db, seal, o->replace, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    uint8_t name[32];
    char hex[65];
    ccz_psi_db_name(name, db);
    ccz_hex(hex, name, sizeof(name));
    ui_say("database %.16s: %" PRIu64 " ids, filter %.1f MB, %.1f s", hex, ccz_psi_ids_len(ids),
           (double)ccz_psi_db_filter(db).size / 1e6, (double)(ccz_mono_ms() - start_ms) / 1e3);
    return UI_OK;
}

/* ------------------------------------------------------------------------------------------ answer */

struct answers;
struct session {
    struct answers *all;
    struct ccz_chan *chan;
    pthread_t thread;
    bool started, over; /* over: to be joined */
};
struct answers {
    const struct psi_opts *o;
    const struct ccz_psi_db *db;
    pthread_mutex_t lock;
    uint64_t asked, sessions; /* ids and clients so far */
    struct session session[SESSIONS_MAX];
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

/* What this client may ask: of a total, the rest, which is taken at once, so that two clients cannot both have it. */
static uint64_t reserve(struct answers *a)
{
    const struct psi_opts *o = a->o;
    uint64_t most = o->query_len_max ? (uint64_t)o->query_len_max : CCZ_PSI_QUERY_LEN;
    if (o->total == 0)
        return (uint64_t)o->query_len_max;
    pthread_mutex_lock(&a->lock);
    uint64_t left = (uint64_t)o->total - a->asked;
    most = most < left ? most : left;
    a->asked += most;
    pthread_mutex_unlock(&a->lock);
    return most;
}

static void give_back(struct answers *a, uint64_t ids)
{
    pthread_mutex_lock(&a->lock);
    if (a->o->total > 0)
        a->asked -= ids;
    pthread_mutex_unlock(&a->lock);
}

static ccz_rc answer(uint64_t *len, struct session *s, struct ccz_err *err)
{
    struct answers *a = s->all;
    const struct psi_opts *o = a->o;
    uint64_t most = reserve(a);
    const struct ccz_psi_db_terms terms = {.query_len_max = most,
                                           .min_intersection = (uint64_t)o->minimum,
                                           .trusted_client = o->trusted_receiver};
    *len = 0;
    if (o->total > 0 && most == 0) {
        ccz_chan_close(s->chan, "psi:total");
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:total", o->total, o->total);
    }
    ccz_rc rc = ccz_psi_db_answer(len, a->db, s->chan, &terms, err);
    give_back(a, most - *len); /* what was asked for counts, also if it failed */
    return rc;
}

static void *run_session(void *arg)
{
    struct session *s = arg;
    struct ccz_err err = {0};
    uint64_t len;
    ccz_rc rc = answer(&len, s, &err);
    pthread_mutex_lock(&s->all->lock);
    const char *party = ccz_rpc_chan_party(s->chan);
    if (rc == CCZ_OK)
        ui_say("answered party=%s ids=%" PRIu64, party, len);
    else
        ui_say("refused party=%s ids=%" PRIu64 " where=%s: %s", party, len, err.where, err.msg);
    s->all->sessions++;
    s->over = true;
    pthread_mutex_unlock(&s->all->lock);
    return NULL;
}

/* A place for one more client, or NULL. Those that are through are cleared. */
static struct session *free_place(struct answers *a, bool all)
{
    struct session *found = NULL;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &a->session[i];
        pthread_mutex_lock(&a->lock);
        bool over = s->over;
        pthread_mutex_unlock(&a->lock);
        if (s->started && (over || all)) {
            (void)pthread_join(s->thread, NULL);
            ccz_chan_free(s->chan); /* waits until the client has what was sent last */
            *s = (struct session){0};
        }
        if (!s->started)
            found = s;
    }
    return found;
}

static bool enough(struct answers *a, uint64_t accepted)
{
    return stop_asked || (a->o->clients > 0 && accepted >= (uint64_t)a->o->clients);
}

static ccz_rc serve(struct answers *a, struct ccz_links *l, struct ccz_err *err)
{
    static const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    uint64_t accepted = 0;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && !enough(a, accepted)) {
        struct ccz_chan *chan = NULL;
        struct session *s = free_place(a, false);
        if (!s) {
            (void)nanosleep(&pause, NULL);
            continue;
        }
        rc = ccz_links_accept(&chan, l, LOOK_MS, err);
        if (rc == CCZ_E_TIMEOUT) {
            rc = CCZ_OK;
            continue;
        }
        if (rc != CCZ_OK)
            break;
        accepted++;
        ccz_chan_set_timeout(chan, 1000 * a->o->timeout_s);
        *s = (struct session){.all = a, .chan = chan};
        s->started = pthread_create(&s->thread, NULL, run_session, s) == 0;
        if (!s->started) {
            ccz_chan_close(chan, "the server has no thread");
            ccz_chan_free(chan);
            s->chan = NULL;
            rc = ccz_fail(err, CCZ_E_NOMEM, "psi:thread", 0, "cannot start a thread");
        }
    }
    (void)free_place(a, true); /* who was let in is answered */
    return rc;
}

int psi_answer(const struct psi_opts *o)
{
    static struct answers a;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) seal = NULL;
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CCZ_AUTO(ccz_links) links = NULL;
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    ccz_rc rc = ccz_file_read_secret(&seal, o->seal, SEAL_SIZE, &err);
    if (rc == CCZ_OK)
        rc = ccz_psi_db_load(&db, o->db, seal, (unsigned)o->threads, &err);
    if (rc == CCZ_OK)
        rc = psi_links(&links, o, 1, &err);
    a.o = o;
    a.db = db;
    pthread_mutex_init(&a.lock, NULL);
    if (rc == CCZ_OK)
        rc = serve(&a, links, &err);
    if (rc == CCZ_OK)
        ui_say("done: %" PRIu64 " clients", a.sessions);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* --------------------------------------------------------------------------------------------- ask */

static ccz_rc read_filter(struct ccz_buf *out, const struct psi_opts *o, struct ccz_err *err)
{
    struct ccz_err io = {0};
    ccz_rc rc = o->filter ? ccz_file_read(out, o->filter, &io) : CCZ_E_NOT_FOUND;
    if (rc == CCZ_E_NOT_FOUND) /* downloaded then */
        return CCZ_OK;
    if (rc != CCZ_OK)
        *err = io;
    else if (out->size == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "psi:filter", 0, "%.120s is empty", o->filter);
    return rc;
}

int psi_ask(const struct psi_opts *o)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_psi_ids) ids = NULL;
    CCZ_AUTO(ccz_psi_result) r = NULL;
    CCZ_AUTO(ccz_links) links = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    CCZ_AUTO_BUF filter;
    const struct ccz_psi_db_ask_cfg cfg = {.min_intersection = (uint64_t)o->minimum,
                                           .refresh = o->refresh,
                                           .threads = (unsigned)o->threads};
    ccz_buf_init(&filter, FILTER_SIZE_MAX);
    ccz_rc rc = psi_read_ids(&ids, o, &err);
    if (rc == CCZ_OK)
        rc = read_filter(&filter, o, &err);
    if (rc == CCZ_OK)
        rc = psi_links(&links, o, 1, &err);
    int64_t start_ms = ccz_mono_ms();
    if (rc == CCZ_OK)
        rc = ccz_links_connect(&chan, links, o->connect, o->name, &err);
    if (rc == CCZ_OK) {
        ccz_chan_set_timeout(chan, 1000 * o->timeout_s);
        rc = ccz_psi_db_ask(&r, chan, ids, &filter, &cfg, &err);
    }
    if (rc == CCZ_OK && o->filter)
        rc = ccz_file_write(o->filter, ccz_buf_span(&filter), 0644, CCZ_FILE_REPLACE, &err);
    if (rc == CCZ_OK)
        rc = psi_report(o, r, (double)(ccz_mono_ms() - start_ms) / 1e3, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
