/* SPDX-License-Identifier: Apache-2.0 */
#include "fld.h"

#include <pthread.h>
#include <stdlib.h>

enum { ACCEPT_MS = 1000 };

struct visit {
    struct fld_members *all;
    struct ccz_chan *chan;
    struct visit *next;
};
struct fld_members {
    struct ccz_fl_server *s;
    struct ccz_rpc_chan_server *offers;
    pthread_t accepter;
    pthread_mutex_t lock;
    pthread_cond_t left;
    size_t here;
};

static void *serve_one(void *arg)
{
    struct visit *v = arg;
    struct fld_members *m = v->all;
    struct ccz_err err = {0};
    const char *name = ccz_rpc_chan_party(v->chan);
    ccz_log(CCZ_LOG_INFO, "fld", "member=%s channel=%s joined", name, ccz_chan_name(v->chan));
    ccz_rc rc = ccz_fl_server_attend(m->s, name, v->chan, &err);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "fld", "member=%s done", name);
    else
        ccz_log(CCZ_LOG_WARN, "fld", "member=%s left where=%s reason=\"%s\"", name, err.where,
                err.msg);
    ccz_chan_free(v->chan);
    free(v);
    pthread_mutex_lock(&m->lock);
    m->here--;
    pthread_cond_signal(&m->left);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void begin_visit(struct fld_members *m, struct ccz_chan *chan)
{
    pthread_t thread;
    pthread_attr_t attr;
    struct visit *v = malloc(sizeof(*v));
    bool good = v != NULL;
    if (good) {
        *v = (struct visit){.all = m, .chan = chan};
        pthread_mutex_lock(&m->lock);
        m->here++;
        pthread_mutex_unlock(&m->lock);
        good = pthread_attr_init(&attr) == 0;
        if (good) {
            (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
            good = pthread_create(&thread, &attr, serve_one, v) == 0;
            (void)pthread_attr_destroy(&attr);
        }
        if (!good) {
            pthread_mutex_lock(&m->lock);
            m->here--;
            pthread_mutex_unlock(&m->lock);
        }
    }
    if (good)
        return;
    free(v);
    ccz_log(CCZ_LOG_ERROR, "fld", "a member is turned away: no memory, or no thread");
    ccz_chan_close(chan, "the server is out of memory or threads");
    ccz_chan_free(chan);
}

static void *accept_all(void *arg)
{
    struct fld_members *m = arg;
    struct ccz_err err = {0};
    for (;;) {
        struct ccz_chan *c;
        ccz_rc rc = ccz_rpc_chan_accept(&c, m->offers, FLD_CHANNEL, NULL, ACCEPT_MS, &err);
        if (rc == CCZ_OK)
            begin_visit(m, c);
        else if (rc != CCZ_E_TIMEOUT)
            return NULL; /* stopped */
    }
}

ccz_rc fld_members_start(struct fld_members **out, struct ccz_fl_server *s,
                         struct ccz_rpc_chan_server *offers, struct ccz_err *err)
{
    struct fld_members *m = calloc(1, sizeof(*m));
    *out = NULL;
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "fld:memory", 0, "out of memory");
    *m = (struct fld_members){.s = s, .offers = offers};
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->left, NULL);
    if (pthread_create(&m->accepter, NULL, accept_all, m) != 0) {
        free(m);
        return ccz_fail(err, CCZ_E_NOMEM, "fld:thread", 0, "no thread could be started");
    }
    *out = m;
    return CCZ_OK;
}

void fld_members_stop(struct fld_members *m)
{
    if (!m)
        return;
    ccz_rpc_chan_server_stop(m->offers);
    (void)pthread_join(m->accepter, NULL);
    pthread_mutex_lock(&m->lock);
    while (m->here > 0)
        pthread_cond_wait(&m->left, &m->lock);
    pthread_mutex_unlock(&m->lock);
    pthread_cond_destroy(&m->left);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
